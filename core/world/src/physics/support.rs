//! Support: how much of what anchored blocks give arrives at each solid voxel. What gets none falls.

use super::plan::{Tick, beside};
use super::roused;
use super::state::{ColumnState, Mark};
use crate::block::{BlockRule, Registry};
use crate::chunk::{Chunk, zeroed};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS, REACH};
use crate::relax::{ABOVE, BELOW, Bulk, Class, Classes, EXITS, FACES, Field, NONE, Operator, Rules, RulesError, Table};
use crate::space::{ChunkPos, ColumnPos, LocalIndex, PlaceMap, PlaceSet, VoxelPos};
use crate::step::Cause;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What an anchored voxel has, and the top of all support.
pub const ANCHORED: u32 = 255;

/// The classes of a world's blocks for support: from below without loss, from a side less `side_loss`, from above less
/// `hang_loss`, never more than the voxel's own `strength`; loose blocks take it from below alone.
pub fn table(registry: &Registry) -> Result<Table, RulesError> {
    let unreadable = Class { source: 0, ..Class::CLOSED };
    Table::new(registry, Operator::MaxMinus, ANCHORED, class, unreadable)
}

fn class(rule: &BlockRule) -> Class {
    if !rule.solid {
        return Class::CLOSED;
    }
    if rule.anchored {
        return Class { source: 0, ..Class::CLOSED };
    }
    let floor = ANCHORED - u32::from(rule.strength);
    if rule.loose {
        return Class { source: NONE, floor, exits: 1 << BELOW, losses: [0; 26] };
    }
    let mut losses = [0; 26];
    losses[..6].fill(u16::from(rule.side_loss));
    losses[BELOW] = 0;
    losses[ABOVE] = u16::from(rule.hang_loss);
    Class { source: NONE, floor, exits: FACES, losses }
}

/// Support as worked out so far: derived from blocks and marks, so it can be dropped and worked out again at any time.
pub struct Support {
    table: Table,
    bulk: Option<Arc<dyn Bulk>>,
    field: Field,
    /// Of each loaded chunk the faces on which a voxel could hand support on, or could have at some time.
    faces: PlaceMap<ChunkPos, u32>,
    /// Chunks around which everything that bears on them is loaded.
    complete: PlaceSet<ChunkPos>,
}

/// How far around a chunk that has marks support is worked out, in chunks: what a mark can change lies within `REACH` of
/// it, and what holds that within `REACH` of that.
const AROUND: i32 = 2 * REACH / CHUNK_EDGE as i32;

/// Voxels that have no hold, with why they lost it.
pub type Lost = BTreeMap<VoxelPos, Cause>;

impl Support {
    /// Nothing worked out yet.
    pub fn new(table: Table) -> Self {
        Self {
            field: Field::new(Arc::clone(table.rules())),
            bulk: None,
            table,
            faces: PlaceMap::default(),
            complete: PlaceSet::default(),
        }
    }

    /// Whether what stands in a chunk bears on anything that is worked out: chunks that solid voxels lead to from those are held as
    /// well, however little is in them.
    pub fn holds(&self, pos: ChunkPos) -> bool {
        self.faces.contains_key(&pos)
    }

    /// Drops what is worked out.
    pub fn forget(&mut self) {
        *self = Self::new(self.table.clone()).with_bulk(self.bulk.clone());
    }

    /// The same with something that large loads are handed to.
    #[must_use]
    pub fn with_bulk(mut self, bulk: Option<Arc<dyn Bulk>>) -> Self {
        self.field = self.field.with_bulk(bulk.clone());
        self.bulk = bulk;
        self
    }

    /// Heap bytes of what is worked out.
    pub fn memory_bytes(&self) -> usize {
        self.field.memory_bytes()
    }

    /// How many chunks support is held of.
    pub fn chunk_count(&self) -> usize {
        self.field.chunks().count()
    }

    /// Takes the ready marks in: what they changed is followed until support is true again.
    pub fn judge(&mut self, tick: &mut Tick<'_>) -> Lost {
        let ready = ready_marks(tick.start);
        if ready.is_empty() {
            return Lost::new();
        }
        self.complete(tick, &ready);
        let changes: Vec<(VoxelPos, u8)> =
            ready.iter().map(|(pos, _)| (*pos, class_at(tick, &self.table, *pos))).collect();
        for (pos, class) in &changes {
            if hands_on(self.field.rules(), *class) {
                *self.faces.entry(pos.chunk()).or_default() |= faces_of(pos.local());
            }
        }
        let updated = self.field.update(&changes);
        tick.counts.visited += updated.visited;
        let mut lost = Lost::new();
        let owned = tick.owned;
        for changed in updated.changed.iter().filter(|changed| changed.new < ANCHORED && changed.old >= ANCHORED) {
            gain(tick, &self.field, changed.pos, &mut lost);
        }
        for changed in updated.changed.iter().filter(|changed| owned.has(changed.pos.chunk().column())) {
            tick.counts.support += 1;
            tick.work(changed.pos, 1);
            if changed.new >= ANCHORED && tick.is_solid(changed.pos) {
                let (_, mark) = ready[changed.origin.expect("it lost its value by a change") as usize];
                lost.insert(changed.pos, mark.cause);
            }
        }
        for (pos, mark) in &ready {
            tick.counts.marks += u64::from(tick.owns(*pos));
            tick.work(*pos, 1);
            self.judge_mark(tick, *pos, mark, &mut lost);
        }
        for (pos, cause) in roused(tick) {
            if !self.stands(pos) {
                lost.entry(pos).or_insert(cause);
            }
        }
        lost
    }

    /// What was placed and has no hold, and loose voxels that had none and whose place of rest changed.
    fn judge_mark(&self, tick: &mut Tick<'_>, pos: VoxelPos, mark: &Mark, lost: &mut Lost) {
        let on_it = beside(pos, [0, 1, 0]);
        let candidates = [(Some(pos), mark.placed, false), (on_it, true, true)];
        for (pos, counts, only_loose) in candidates {
            let Some(pos) = pos.filter(|pos| counts && tick.owns(*pos) && self.field.distance(*pos) >= ANCHORED) else {
                continue;
            };
            let fact = tick.block(pos).map(|block| tick.facts.of(block));
            if fact.is_some_and(|fact| fact.solid && (fact.loose || !only_loose)) {
                lost.entry(pos).or_insert(mark.cause);
            }
        }
    }

    /// Whether a voxel has any support, as worked out so far.
    pub fn stands(&self, pos: VoxelPos) -> bool {
        self.field.distance(pos) < ANCHORED
    }

    /// Loads at once what bears on some chunks and is not loaded, so that [`Support::values`] finds it.
    pub fn prepare(&mut self, tick: &mut Tick<'_>, centres: &[ChunkPos]) {
        let marks = all_marks(tick.start);
        let mut new = Vec::new();
        for pos in centres.iter().filter(|pos| !self.complete.contains(pos)).copied().collect::<Vec<_>>() {
            self.find_around(tick, pos, REACH / CHUNK_EDGE as i32, &marks, &mut new);
        }
        self.field.load(new);
    }

    /// The support of every voxel of a chunk, 0 for what is not solid or does not stand, as of the marks that were looked into.
    pub fn values(&mut self, tick: &mut Tick<'_>, pos: ChunkPos) -> Box<[u8; CHUNK_VOXELS]> {
        self.prepare(tick, &[pos]);
        let mut values = zeroed::<u8, CHUNK_VOXELS>();
        if let Some(field) = self.field.values(pos) {
            for (value, local) in values.iter_mut().zip((0..).map_while(LocalIndex::new)) {
                *value = self.field.rules().value(field.get(local, ANCHORED)) as u8;
            }
        }
        values
    }

    /// Loads what bears on the chunks of ready marks and is not loaded yet: all chunks that solid voxels lead to, from face
    /// to face, within [`AROUND`].
    fn complete(&mut self, tick: &mut Tick<'_>, ready: &[(VoxelPos, Mark)]) {
        let touched = |pos: VoxelPos| EXITS[..6].iter().filter_map(move |step| beside(pos, *step)).chain([pos]);
        let mut last = None;
        let unknown = |pos: &ChunkPos| last.replace(*pos) != Some(*pos) && !self.complete.contains(pos);
        let centres: BTreeSet<ChunkPos> =
            ready.iter().flat_map(|(pos, _)| touched(*pos)).map(VoxelPos::chunk).filter(unknown).collect();
        if centres.is_empty() {
            return;
        }
        let marks = all_marks(tick.start);
        let mut new = Vec::new();
        for centre in centres {
            if tick.owned.is_near(centre) {
                self.complete.insert(centre);
                self.find_around(tick, centre, AROUND, &marks, &mut new);
            }
        }
        tick.counts.visited += self.field.load(new);
    }

    /// Finds the chunks that bear on one and are not loaded yet, and adds them to `new`.
    fn find_around(
        &mut self,
        tick: &mut Tick<'_>,
        centre: ChunkPos,
        around: i32,
        marks: &BTreeMap<VoxelPos, Mark>,
        new: &mut Vec<(ChunkPos, Classes)>,
    ) {
        let is_near = |pos: &ChunkPos| (pos.x() - centre.x()).abs() <= around && (pos.z() - centre.z()).abs() <= around;
        let mut seen = BTreeSet::from([centre]);
        // Up and down first, then sideways: chunks over each other are fetched together.
        let (mut wave, mut sideways) = (vec![centre], BTreeSet::new());
        while !wave.is_empty() {
            let unknown: Vec<ChunkPos> = wave.iter().filter(|pos| !self.faces.contains_key(pos)).copied().collect();
            tick.chunks.fetch(tick.tick, &unknown);
            for pos in unknown {
                let chunk = tick.chunks.chunk(tick.tick, pos);
                let classes = classes(&self.table, pos, chunk.as_deref(), marks);
                self.faces.insert(pos, open_faces(self.field.rules(), &classes));
                new.push((pos, classes));
            }
            let mut next = BTreeSet::new();
            for pos in wave {
                let faces = self.faces[&pos];
                for face in (0..6).filter(|face| faces >> face & 1 == 1) {
                    let Some(pos) = beside_chunk(pos, EXITS[face]) else { continue };
                    if is_near(&pos) && tick.owned.is_near(pos) && seen.insert(pos) {
                        if face <= ABOVE { &mut next } else { &mut sideways }.insert(pos);
                    }
                }
            }
            let next = if next.is_empty() { std::mem::take(&mut sideways) } else { next };
            wave = next.into_iter().collect();
        }
    }
}

/// A voxel that has a hold now does not merely rest any more; what rested beside it and has none is on its own.
fn gain(tick: &mut Tick<'_>, field: &Field, pos: VoxelPos, lost: &mut Lost) {
    if tick.owns(pos) {
        tick.next(pos).stir(pos);
    }
    for there in EXITS[..6].iter().filter_map(|step| beside(pos, *step)) {
        if tick.owns(there)
            && let Some(cause) = tick.next(there).resting.get(&there).copied()
            && field.distance(there) >= ANCHORED
        {
            lost.entry(there).or_insert(cause);
        }
    }
}

/// All marks that are known, by place.
pub(super) fn all_marks(start: &BTreeMap<ColumnPos, ColumnState>) -> BTreeMap<VoxelPos, Mark> {
    start.values().flat_map(|state| &state.marks).map(|(pos, mark)| (*pos, *mark)).collect()
}

/// The marks that are ready, ascending.
fn ready_marks(start: &BTreeMap<ColumnPos, ColumnState>) -> Vec<(VoxelPos, Mark)> {
    let marks = start.values().flat_map(|state| &state.marks);
    let mut ready: Vec<_> = marks.filter(|(_, mark)| mark.ready).map(|(pos, mark)| (*pos, *mark)).collect();
    ready.sort_unstable_by_key(|(pos, _)| *pos);
    ready
}

/// The class of a voxel as it stands. What can't be read holds for ever.
fn class_at(tick: &mut Tick<'_>, table: &Table, pos: VoxelPos) -> u8 {
    match tick.block(pos) {
        Some(block) => table.class(block),
        None => table.unreadable(),
    }
}

/// The classes of a chunk as support was last worked out: where there are marks, of what was there before.
fn classes(table: &Table, pos: ChunkPos, chunk: Option<&Chunk>, marks: &BTreeMap<VoxelPos, Mark>) -> Classes {
    let Some(chunk) = chunk else { return Classes::One(table.unreadable()) };
    let mut classes = table.classes(chunk);
    let ([_, low, _], [_, high, _]) = (pos.voxel_box().min(), pos.voxel_box().max());
    // Marks are ordered by height first.
    for (at, mark) in marks.iter().skip_while(|(at, _)| at.y() < low).take_while(|(at, _)| at.y() < high) {
        if at.chunk() == pos {
            classes.set(at.local(), table.class(mark.old));
        }
    }
    classes
}

/// Whether voxels of a class can hand support on.
fn hands_on(rules: &Rules, class: u8) -> bool {
    rules.classes()[usize::from(class)] != Class::CLOSED
}

/// The faces of a chunk, as a mask, on which some voxel can hand support on.
fn open_faces(rules: &Rules, classes: &Classes) -> u32 {
    match classes {
        Classes::One(class) if hands_on(rules, *class) => FACES,
        Classes::One(_) => 0,
        Classes::Each(classes) => {
            let voxels = (0..).map_while(LocalIndex::new).zip(classes.iter());
            let open = voxels.filter(|(_, class)| hands_on(rules, **class));
            open.fold(0, |faces, (local, _)| faces | faces_of(local))
        }
    }
}

/// The faces of its chunk that a voxel lies on, as a mask in the order of [`EXITS`].
fn faces_of(local: LocalIndex) -> u32 {
    let edge = CHUNK_EDGE - 1;
    let on = [local.y() == 0, local.y() == edge, local.z() == 0, local.z() == edge, local.x() == 0, local.x() == edge];
    on.iter().enumerate().fold(0, |mask, (face, is_on)| mask | u32::from(*is_on) << face)
}

fn beside_chunk(pos: ChunkPos, step: [i32; 3]) -> Option<ChunkPos> {
    let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + i64::from(step[axis]));
    ChunkPos::from_i64(x, y, z).ok()
}
