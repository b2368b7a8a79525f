//! From history to what an undo does, voxel by voxel.
//!
//! A voxel's changes are told in the order in which they were made. Those that are meant and follow each other, with nobody
//! else's between them, are a *run*. If the last run is the last that happened to the voxel, the undo puts back what was there
//! before it. If somebody else has changed the voxel since, that is a conflict: by [`Rule::Keep`] theirs stays, by
//! [`Rule::Overwrite`] the voxel gets what it was before the first change that is meant.
//!
//! Another undo is nobody's work. Where it left one of the values that the run went through, the run goes on; where it left
//! something else, it is a conflict like any other.

use super::{Request, Rule};
use crate::block::BlockId;
use crate::chunk::Sparse;
use crate::physics::state::BodyId;
use crate::space::{ChunkPos, LocalIndex, VoxelPos};
use crate::step::{ActorId, Cause, CauseKind, ChunkDelta, Swap, VoxelRestore};
use std::collections::BTreeMap;

/// Voxels that one plan may be about: at some 100 bytes each they stay below 1 GiB.
pub const PLAN_VOXELS_MAX: usize = 8 << 20;

/// A plan that would take too much memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {most} voxels changed: choose a smaller box, a later time or fewer causes, and do it in several parts"
)]
pub struct TooMuch {
    /// How many there may be.
    pub most: usize,
}

/// What happened to one voxel since the first change that is meant.
struct Entry {
    /// Its block before any of it; none if only its sparse data changed.
    first: Option<BlockId>,
    /// Its block now, if it changed.
    now: BlockId,
    /// Its block before the last run, if that changed it.
    base: Option<BlockId>,
    /// What the last run left.
    own: BlockId,
    /// What the last run went through.
    between: Box<[BlockId]>,
    sparse: Option<Box<SparseEntry>>,
    /// Why it changed last, of what is meant.
    kind: CauseKind,
    /// Who else changed it since.
    other: Option<(ActorId, CauseKind)>,
}

/// The same of its sparse data.
struct SparseEntry {
    first: Option<Sparse>,
    now: Option<Sparse>,
    base: Option<Option<Sparse>>,
}

/// What one delta did to one voxel.
#[derive(Default)]
struct Event {
    block: Option<Swap<BlockId>>,
    sparse: Option<Swap<Option<Sparse>>>,
}

impl Entry {
    fn new(kind: CauseKind) -> Self {
        let (now, own) = (BlockId(0), BlockId(0));
        Self { first: None, now, base: None, own, between: Box::default(), sparse: None, kind, other: None }
    }

    /// Takes in what the voxel is now.
    fn becomes(&mut self, event: &Event) {
        if let Some(Swap { from, to }) = event.block {
            self.first.get_or_insert(from);
            self.now = to;
        }
        if let Some(Swap { from, to }) = &event.sparse {
            let fresh = || Box::new(SparseEntry { first: from.clone(), now: None, base: None });
            self.sparse.get_or_insert_with(fresh).now = to.clone();
        }
    }

    /// A change that is meant.
    fn chosen(&mut self, event: &Event, kind: CauseKind) {
        if self.other.take().is_some() {
            (self.base, self.between) = (None, Box::default());
            self.sparse.iter_mut().for_each(|sparse| sparse.base = None);
        }
        self.kind = kind;
        self.becomes(event);
        if let Some(Swap { from, to }) = event.block {
            if self.base.is_some() {
                self.goes_through(from);
                self.goes_through(self.own);
            }
            self.base.get_or_insert(from);
            self.own = to;
        }
        if let (Some(Swap { from, .. }), Some(sparse)) = (&event.sparse, &mut self.sparse) {
            sparse.base.get_or_insert_with(|| from.clone());
        }
    }

    fn goes_through(&mut self, block: BlockId) {
        if !self.between.contains(&block) {
            self.between = [&self.between[..], &[block]].concat().into();
        }
    }

    /// Somebody else's change.
    fn others(&mut self, event: &Event, cause: &Cause) {
        self.becomes(event);
        self.other = Some((cause.actor, cause.kind));
    }

    /// A change by another undo.
    fn undone(&mut self, event: &Event, cause: &Cause) {
        self.becomes(event);
        let is_of_run = match (&event.block, self.base) {
            (Some(Swap { to, .. }), Some(base)) => *to == base || *to == self.own || self.between.contains(to),
            (Some(_), None) => false,
            (None, _) => self.other.is_none(),
        };
        self.other = (!is_of_run).then_some((cause.actor, cause.kind));
    }

    /// What it takes to put the voxel back.
    fn restore(&self, pos: VoxelPos, rule: Rule) -> Option<VoxelRestore> {
        let (block, sparse) = match (self.other, rule) {
            (Some(_), Rule::Keep) => return None,
            (Some(_), Rule::Overwrite) => (self.first, self.sparse.as_ref().map(|sparse| sparse.first.clone())),
            (None, _) => (self.base, self.sparse.as_ref().and_then(|sparse| sparse.base.clone())),
        };
        let block = block.filter(|to| *to != self.now).map(|to| Swap { from: self.now, to });
        let now = self.sparse.as_ref().map(|sparse| &sparse.now);
        let swap =
            |(to, from): (Option<Sparse>, &Option<Sparse>)| (to != *from).then(|| Swap { from: from.clone(), to });
        let sparse = sparse.zip(now).and_then(swap).map(Box::new);
        (block.is_some() || sparse.is_some()).then_some(VoxelRestore { pos, block, sparse })
    }
}

/// What a plan is about, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Voxels that are put back.
    pub voxels: u64,
    /// Chunks they are in.
    pub chunks: u64,
    /// How many of them changed last by which cause.
    pub kinds: BTreeMap<CauseKind, u64>,
    /// Voxels that are as they were before already.
    pub unchanged: u64,
    /// Voxels that somebody else changed since, by who and why. The rule says what becomes of them.
    pub conflicts: BTreeMap<(ActorId, CauseKind), u64>,
    /// Chunks that were loaded whole since; what is meant of before that is lost, in so many voxels.
    pub replaced: BTreeMap<ChunkPos, u64>,
    /// Bodies of which the plan has more voxels that left than came back, or fewer.
    pub bodies_in_part: u64,
    /// Frames of history that are lost.
    pub lost_frames: u64,
}

impl Summary {
    /// Voxels with a conflict.
    pub fn conflict_count(&self) -> u64 {
        self.conflicts.values().sum()
    }
}

/// What an undo does.
#[derive(Debug, Default)]
pub struct Plan {
    /// What it is about.
    pub summary: Summary,
    chunks: BTreeMap<ChunkPos, Vec<VoxelRestore>>,
}

impl Plan {
    /// Every voxel that is still to be put back, by chunk.
    pub fn voxels(&self) -> impl Iterator<Item = &VoxelRestore> {
        self.chunks.values().flatten()
    }

    /// Takes the next voxels out, for one input; none are left when there are none.
    pub fn take_part(&mut self, most: usize) -> Vec<VoxelRestore> {
        let mut part = Vec::new();
        while part.len() < most
            && let Some(mut chunk) = self.chunks.first_entry()
        {
            let voxels = chunk.get_mut();
            let rest = voxels.split_off(voxels.len().min(most - part.len()));
            part.append(&mut std::mem::replace(voxels, rest));
            if chunk.get().is_empty() {
                chunk.remove();
            }
        }
        part
    }
}

/// Reads history, oldest first.
pub struct Planner<'a> {
    request: &'a Request,
    most: usize,
    count: usize,
    chunks: BTreeMap<ChunkPos, BTreeMap<LocalIndex, Entry>>,
    /// Voxels of chosen changes that left with a body, and that came back with it.
    bodies: BTreeMap<BodyId, [u64; 2]>,
    replaced: BTreeMap<ChunkPos, u64>,
    lost_frames: u64,
}

impl<'a> Planner<'a> {
    /// Knows nothing yet. `most` voxels may change, see [`PLAN_VOXELS_MAX`].
    pub const fn new(request: &'a Request, most: usize) -> Self {
        let chunks = BTreeMap::new();
        Self { request, most, count: 0, chunks, bodies: BTreeMap::new(), replaced: BTreeMap::new(), lost_frames: 0 }
    }

    /// Takes a delta in. Fails when too many voxels are meant.
    pub fn take(&mut self, tick: u64, delta: &ChunkDelta) -> Result<(), TooMuch> {
        let filter = &self.request.filter;
        let is_chosen = filter.chooses(tick, &delta.cause);
        if !is_chosen && !self.chunks.contains_key(&delta.pos) {
            return Ok(());
        }
        let whole = delta.pos.voxel_box();
        let Some(inside) = filter.within.map_or(Some(whole), |within| within.intersection(whole)) else {
            return Ok(());
        };
        let mut events = events(delta);
        if inside != whole {
            events.retain(|local, _| {
                let at = delta.pos.voxel(*local).to_array();
                (0..3).all(|axis| (inside.min()[axis]..inside.max()[axis]).contains(&at[axis]))
            });
        }
        if is_chosen {
            return self.choose(delta, &events);
        }
        self.note(delta, &events);
        Ok(())
    }

    fn choose(&mut self, delta: &ChunkDelta, events: &BTreeMap<LocalIndex, Event>) -> Result<(), TooMuch> {
        if events.is_empty() {
            return Ok(());
        }
        let entries = self.chunks.entry(delta.pos).or_default();
        let before = entries.len();
        for (local, event) in events {
            entries.entry(*local).or_insert_with(|| Entry::new(delta.cause.kind)).chosen(event, delta.cause.kind);
        }
        self.count += entries.len() - before;
        if let Some(body) = delta.body {
            let side = usize::from(delta.cause.kind == CauseKind::Landing);
            self.bodies.entry(body).or_default()[side] += events.len() as u64;
        }
        if self.count > self.most { Err(TooMuch { most: self.most }) } else { Ok(()) }
    }

    fn note(&mut self, delta: &ChunkDelta, events: &BTreeMap<LocalIndex, Event>) {
        let Some(entries) = self.chunks.get_mut(&delta.pos) else { return };
        let is_undo = delta.cause.kind == CauseKind::Undo;
        for (local, event) in events {
            let Some(entry) = entries.get_mut(local) else { continue };
            match (is_undo, delta.cause.root == self.request.id) {
                // What this undo has done before it was cut off.
                (true, true) => entry.becomes(event),
                (true, false) => entry.undone(event, &delta.cause),
                (false, _) => entry.others(event, &delta.cause),
            }
        }
    }

    /// A chunk was loaded whole: what was there before has nothing to do with what is there now.
    pub fn replaced(&mut self, pos: ChunkPos) {
        if let Some(entries) = self.chunks.remove(&pos) {
            self.count -= entries.len();
            *self.replaced.entry(pos).or_default() += entries.len() as u64;
        }
    }

    /// A frame of history is lost.
    pub const fn lost(&mut self) {
        self.lost_frames += 1;
    }

    /// What follows from it.
    pub fn finish(self) -> Plan {
        let rule = self.request.rule;
        let bodies_in_part = self.bodies.values().filter(|[left, landed]| left != landed).count() as u64;
        let (replaced, lost_frames) = (self.replaced, self.lost_frames);
        let mut summary = Summary { replaced, bodies_in_part, lost_frames, ..Summary::default() };
        let mut chunks = BTreeMap::new();
        for (pos, entries) in self.chunks {
            let mut voxels = Vec::new();
            for (local, entry) in entries {
                if let Some(other) = entry.other {
                    *summary.conflicts.entry(other).or_default() += 1;
                }
                match entry.restore(pos.voxel(local), rule) {
                    Some(restore) => {
                        *summary.kinds.entry(entry.kind).or_default() += 1;
                        voxels.push(restore);
                    }
                    None if entry.other.is_none() || rule == Rule::Overwrite => summary.unchanged += 1,
                    None => {}
                }
            }
            if !voxels.is_empty() {
                summary.voxels += voxels.len() as u64;
                chunks.insert(pos, voxels);
            }
        }
        summary.chunks = chunks.len() as u64;
        Plan { summary, chunks }
    }
}

/// What a delta did, voxel by voxel.
fn events(delta: &ChunkDelta) -> BTreeMap<LocalIndex, Event> {
    let voxels = delta.runs.iter().flat_map(|run| {
        let locals = (run.first.get()..run.first.get().saturating_add(run.length)).map_while(LocalIndex::new);
        locals.map(|local| (local, Event { block: Some(Swap { from: run.old, to: run.new }), sparse: None }))
    });
    let mut events: BTreeMap<LocalIndex, Event> = voxels.collect();
    for change in &delta.sparse {
        let swap = Swap { from: change.old.clone(), to: change.new.clone() };
        events.entry(change.local).or_default().sparse = Some(swap);
    }
    events
}
