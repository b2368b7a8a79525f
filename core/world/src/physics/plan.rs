//! What a tick changes, put together voxel by voxel before anything is changed.

use super::facts::Facts;
use super::state::{BodyId, ColumnState};
use crate::block::BlockId;
use crate::chunk::Sparse;
use crate::resident::Residency;
use crate::space::{ChunkPos, ColumnPos, LocalIndex, PlaceMap, VoxelPos};
use crate::step::Cause;
use std::collections::{BTreeMap, BTreeSet};

/// The columns a world owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Owned {
    /// All of them.
    #[default]
    All,
    /// Some; of the others it knows what their owners tell.
    Some(BTreeSet<ColumnPos>),
}

impl Owned {
    /// Whether a column is among them.
    pub fn has(&self, column: ColumnPos) -> bool {
        match self {
            Self::All => true,
            Self::Some(columns) => columns.contains(&column),
        }
    }

    /// Whether a chunk is in an owned column, or within `REACH` of one.
    pub fn is_near(&self, pos: ChunkPos) -> bool {
        let Self::Some(_) = self else { return true };
        let near = |dx, dz| {
            let [x, y, z] = pos.to_array();
            ChunkPos::new(x + dx, y, z + dz).is_ok_and(|there| self.has(there.column()))
        };
        // Two chunks are `REACH`; a column is four wide, so these nine places meet every column within it.
        [-2, 0, 2].into_iter().any(|dx| [-2, 0, 2].into_iter().any(|dz| near(dx, dz)))
    }
}

/// Changes of one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Why.
    pub cause: Cause,
    /// The body that left or entered.
    pub body: Option<BodyId>,
}

/// One voxel as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Which group it belongs to.
    pub group: usize,
    /// Where.
    pub local: LocalIndex,
    /// The block it shall be.
    pub block: BlockId,
    /// The sparse data it shall have.
    pub sparse: Option<Sparse>,
}

struct Change {
    start: BlockId,
    now: BlockId,
    /// It was another block at some point of the tick, even if it is the same again.
    disturbed: bool,
    placed: bool,
    cause: Cause,
}

/// All changes of a tick, in the order in which they happen.
#[derive(Default)]
pub struct Plan {
    /// Groups by number.
    pub groups: Vec<Group>,
    /// Changes by chunk, groups ascending.
    pub chunks: BTreeMap<ChunkPos, Vec<Planned>>,
    changes: PlaceMap<VoxelPos, Change>,
}

impl Plan {
    /// Begins a group.
    pub fn group(&mut self, cause: Cause, body: Option<BodyId>) -> usize {
        self.groups.push(Group { cause, body });
        self.groups.len() - 1
    }

    /// Plans one voxel as part of the newest group. `start` is the block at the tick's start; `placed` says that the block
    /// is new there, and has to hold by itself.
    pub fn set(&mut self, pos: VoxelPos, start: BlockId, block: BlockId, sparse: Option<Sparse>, placed: bool) {
        let group = self.groups.len() - 1;
        let cause = self.groups[group].cause;
        let fresh = Change { start, now: start, disturbed: false, placed, cause };
        let change = self.changes.entry(pos).or_insert(fresh);
        if change.now != block {
            *change = Change { now: block, disturbed: true, placed, cause, ..*change };
        }
        let planned = Planned { group, local: pos.local(), block, sparse };
        self.chunks.entry(pos.chunk()).or_default().push(planned);
    }

    /// The block of a voxel after what is planned so far, if it is planned to change.
    pub fn block(&self, pos: VoxelPos) -> Option<BlockId> {
        self.changes.get(&pos).map(|change| change.now)
    }

    /// Whether a voxel was another block at some point of the tick.
    pub fn disturbs(&self, pos: VoxelPos) -> bool {
        self.changes.get(&pos).is_some_and(|change| change.disturbed)
    }

    /// Voxels whose block is another than at the start, or is the same but has been put there anew (gravel left, gravel
    /// landed), ascending: place, block then, block now, whether it was placed, why.
    pub fn changed(&self) -> Vec<(VoxelPos, BlockId, BlockId, bool, Cause)> {
        let mut all: Vec<_> = self
            .changes
            .iter()
            .filter(|(_, change)| change.disturbed && (change.placed || change.start != change.now))
            .map(|(pos, change)| (*pos, change.start, change.now, change.placed, change.cause))
            .collect();
        all.sort_unstable_by_key(|(pos, ..)| *pos);
        all
    }
}

/// What a tick of physics reads, and what it leaves behind.
pub struct Tick<'a> {
    /// Its number.
    pub tick: u64,
    /// Facts of blocks.
    pub facts: &'a Facts,
    /// The columns whose next state is decided here.
    pub owned: &'a Owned,
    /// Every column's state at the tick's start, those of neighbours as far as they are known.
    pub start: &'a BTreeMap<ColumnPos, ColumnState>,
    /// Chunks as they stand at the tick's start.
    pub chunks: &'a mut Residency,
    /// Changes of owned voxels.
    pub plan: Plan,
    /// The next states of owned columns.
    pub next: BTreeMap<ColumnPos, ColumnState>,
    /// Work units that this tick took, by owned column.
    pub work: BTreeMap<ColumnPos, u64>,
    /// What happened, for whoever counts.
    pub counts: Counts,
}

/// What a tick of physics and agents did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Marks that were looked into.
    pub marks: u64,
    /// Voxels that a relaxation looked at.
    pub visited: u64,
    /// Voxels whose support changed.
    pub support: u64,
    /// Voxels that left the grid.
    pub left: u64,
    /// Voxels that came back.
    pub landed: u64,
    /// Voxels that blasts destroyed.
    pub destroyed: u64,
    /// Blasts.
    pub blasts: u64,
    /// Bodies that moved.
    pub moved: u64,
    /// Agents that entered another voxel.
    pub stepped: u64,
    /// Agents that could pay for their next step and found no room.
    pub waiting: u64,
    /// Agents from which no way leads to a goal.
    pub lost: u64,
    /// Agents that arrived.
    pub arrived: u64,
    /// Voxels that agents dug.
    pub dug: u64,
    /// Distances of fields that repairs changed, and voxels that were worked in.
    pub repaired: u64,
    /// Crowds whose fields wait for a repair.
    pub stale: u64,
}

impl<'a> Tick<'a> {
    /// A tick in which nothing has been decided.
    pub fn new(
        tick: u64,
        facts: &'a Facts,
        owned: &'a Owned,
        start: &'a BTreeMap<ColumnPos, ColumnState>,
        chunks: &'a mut Residency,
    ) -> Self {
        let (plan, next, work, counts) = Default::default();
        Self { tick, facts, owned, start, chunks, plan, next, work, counts }
    }

    /// Whether a voxel lies in an owned column.
    pub fn owns(&self, pos: VoxelPos) -> bool {
        self.owned.has(pos.chunk().column())
    }

    /// The block at the tick's start; none outside the world and where it can't be read.
    pub fn block(&mut self, pos: VoxelPos) -> Option<BlockId> {
        self.chunks.block(self.tick, pos)
    }

    /// Whether a voxel is taken at the tick's start. What can't be read counts as taken: it holds whatever lies on it.
    pub fn is_solid(&mut self, pos: VoxelPos) -> bool {
        self.block(pos).is_none_or(|block| self.facts.of(block).solid)
    }

    /// The block after what is planned so far.
    pub fn block_now(&mut self, pos: VoxelPos) -> Option<BlockId> {
        self.plan.block(pos).or_else(|| self.block(pos))
    }

    /// Whether a voxel is taken after what is planned so far.
    pub fn is_solid_now(&mut self, pos: VoxelPos) -> bool {
        self.block_now(pos).is_none_or(|block| self.facts.of(block).solid)
    }

    /// Charges a column with work.
    pub fn work(&mut self, pos: VoxelPos, units: u64) {
        let column = pos.chunk().column();
        if self.owned.has(column) {
            *self.work.entry(column).or_default() += units;
        }
    }

    /// The next state of the column of a voxel.
    pub fn next(&mut self, pos: VoxelPos) -> &mut ColumnState {
        self.next.entry(pos.chunk().column()).or_default()
    }
}

/// The voxel at a step from another, if it is inside the world.
pub fn beside(pos: VoxelPos, step: [i32; 3]) -> Option<VoxelPos> {
    let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + i64::from(step[axis]));
    VoxelPos::from_i64(x, y, z).ok()
}

/// The voxel below, if it is inside the world.
pub fn below(pos: VoxelPos) -> Option<VoxelPos> {
    beside(pos, [0, -1, 0])
}
