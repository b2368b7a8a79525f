//! Connectivity: every solid block counts alike, and what hangs together with something anchored stands.
//!
//! A step would lose nothing here, so this is no relaxation: chunks are held as pieces (`label`), and a change asks, for the
//! pieces around it, whether a search from piece to piece still meets an anchored one. The search goes for what lies lowest
//! first, so over ordinary ground it ends after a few chunks; only what really hangs in the air is followed to its end.

use super::plan::{Tick, beside};
use super::roused;
use super::state::Mark;
use super::support::{Lost, all_marks};
use crate::label::bits::Bits;
use crate::label::pieces::{Axis, Pieces, contacts};
use crate::relax::EXITS;
use crate::space::{ChunkPos, VoxelPos};
use crate::step::Cause;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

/// A piece of a chunk.
type Place = (ChunkPos, u16);

/// Pieces as of the marks that were looked into: derived, so they can be dropped and worked out again at any time.
#[derive(Default)]
pub struct Connectivity {
    pieces: HashMap<ChunkPos, Arc<Pieces>>,
}

/// What is asked about one state of the world.
#[derive(Default)]
struct Search {
    /// Chunks that are not as `Connectivity` holds them.
    other: HashMap<ChunkPos, Arc<Pieces>>,
    touches: HashMap<(ChunkPos, Axis), Vec<(u16, u16)>>,
    known: HashMap<Place, bool>,
}

/// A voxel that a mark may have taken the hold from.
struct Asked {
    at: VoxelPos,
    /// The mark says that it was put there.
    placed: bool,
    cause: Cause,
}

impl Connectivity {
    /// How many chunks are held.
    pub fn chunks(&self) -> usize {
        self.pieces.len()
    }

    /// Drops what is worked out of these chunks; nothing else depends on what stands in them.
    pub fn forget_chunks(&mut self, changed: &BTreeSet<ChunkPos>) {
        changed.iter().for_each(|pos| drop(self.pieces.remove(pos)));
    }

    /// Drops what is worked out.
    pub fn forget(&mut self) {
        self.pieces.clear();
    }

    /// Takes the ready marks in, and gives what hangs on nothing any more because of them.
    pub fn judge(&mut self, tick: &mut Tick<'_>) -> Lost {
        let marks = all_marks(tick.start);
        let ready: Vec<(VoxelPos, Mark)> = marks.iter().filter(|(_, mark)| mark.ready).map(|(p, m)| (*p, *m)).collect();
        let mut before = Search::default();
        for pos in ready.iter().map(|(pos, _)| pos.chunk()).collect::<BTreeSet<_>>() {
            let old = self.pieces(tick, pos, &marks);
            before.other.insert(pos, old);
            let new = label(tick, pos, &mut |mark| !mark.ready, &marks);
            self.pieces.insert(pos, new);
        }
        let mut after = Search::default();
        let mut lost = Lost::new();
        for (pos, mark) in &ready {
            tick.counts.marks += u64::from(tick.owns(*pos));
            tick.work(*pos, 1);
            let touched = EXITS[..6].iter().filter_map(|step| beside(*pos, *step)).chain([*pos]);
            for at in touched {
                let asked = Asked { at, placed: at == *pos && mark.placed, cause: mark.cause };
                self.judge_voxel(tick, &asked, &marks, (&mut before, &mut after), &mut lost);
            }
        }
        for (pos, cause) in roused(tick) {
            if let Some(place) = self.place(tick, &after, pos, &marks)
                && !self.hangs(tick, &mut after, place, &marks)
            {
                lost.entry(pos).or_insert(cause);
            }
        }
        lost
    }

    fn judge_voxel(
        &mut self,
        tick: &mut Tick<'_>,
        asked: &Asked,
        marks: &BTreeMap<VoxelPos, Mark>,
        (before, after): (&mut Search, &mut Search),
        lost: &mut Lost,
    ) {
        let Asked { at, placed, cause } = *asked;
        let Some(place) = self.place(tick, after, at, marks) else { return };
        if lost.contains_key(&at) || self.hangs(tick, after, place, marks) {
            return;
        }
        // Nobody had to hold it before: what is placed falls alone, what was there stays.
        let held_before =
            self.place(tick, before, at, marks).is_some_and(|place| self.hangs(tick, before, place, marks));
        if !held_before {
            if placed {
                lost.insert(at, cause);
            }
            return;
        }
        for (pos, piece) in self.all_of(tick, after, place, marks) {
            let bits = self.look(tick, after, pos, marks).bits_of(piece);
            for local in bits.voxels() {
                lost.entry(pos.voxel(local)).or_insert(cause);
            }
            tick.work(pos.origin(), u64::from(bits.count()));
        }
    }

    /// The piece that a voxel belongs to, if it is solid.
    fn place(
        &mut self,
        tick: &mut Tick<'_>,
        search: &Search,
        at: VoxelPos,
        marks: &BTreeMap<VoxelPos, Mark>,
    ) -> Option<Place> {
        Some((at.chunk(), self.look(tick, search, at.chunk(), marks).at(at.local())?))
    }

    /// Whether a search from a piece meets something anchored. All pieces on the way share the answer.
    fn hangs(
        &mut self,
        tick: &mut Tick<'_>,
        search: &mut Search,
        from: Place,
        marks: &BTreeMap<VoxelPos, Mark>,
    ) -> bool {
        if let Some(known) = search.known.get(&from) {
            return *known;
        }
        let mut seen = BTreeSet::from([from]);
        let mut queue = BinaryHeap::from([Reverse(from)]);
        let mut found = false;
        while let Some(Reverse((pos, piece))) = queue.pop() {
            if self.look(tick, search, pos, marks).all()[usize::from(piece)].anchored {
                found = true;
                break;
            }
            let next = self.beside(tick, search, (pos, piece), marks);
            queue.extend(next.into_iter().filter(|place| seen.insert(*place)).map(Reverse));
        }
        tick.counts.visited += seen.len() as u64;
        search.known.extend(seen.into_iter().map(|place| (place, found)));
        found
    }

    /// Every piece that hangs together with one that hangs on nothing.
    fn all_of(
        &mut self,
        tick: &mut Tick<'_>,
        search: &mut Search,
        from: Place,
        marks: &BTreeMap<VoxelPos, Mark>,
    ) -> BTreeSet<Place> {
        let mut seen = BTreeSet::from([from]);
        let mut wave = vec![from];
        while let Some(place) = wave.pop() {
            let next = self.beside(tick, search, place, marks);
            wave.extend(next.into_iter().filter(|place| seen.insert(*place)));
        }
        seen
    }

    /// The pieces of neighbouring chunks that one touches.
    fn beside(
        &mut self,
        tick: &mut Tick<'_>,
        search: &mut Search,
        (pos, piece): Place,
        marks: &BTreeMap<VoxelPos, Mark>,
    ) -> Vec<Place> {
        let mut places = Vec::new();
        for axis in Axis::ALL {
            if let Some(low) = axis.neighbour_before(pos) {
                let touches = self.touches(tick, search, low, pos, axis, marks);
                places.extend(touches.iter().filter(|(_, high)| *high == piece).map(|(other, _)| (low, *other)));
            }
            if let Some(high) = axis.neighbour(pos) {
                let touches = self.touches(tick, search, pos, high, axis, marks);
                places.extend(touches.iter().filter(|(low, _)| *low == piece).map(|(_, other)| (high, *other)));
            }
        }
        places
    }

    fn touches<'a>(
        &mut self,
        tick: &mut Tick<'_>,
        search: &'a mut Search,
        low: ChunkPos,
        high: ChunkPos,
        axis: Axis,
        marks: &BTreeMap<VoxelPos, Mark>,
    ) -> &'a [(u16, u16)] {
        if !search.touches.contains_key(&(low, axis)) {
            let (below, above) = (self.look(tick, search, low, marks), self.look(tick, search, high, marks));
            search.touches.insert((low, axis), contacts(&below, &above, axis));
        }
        &search.touches[&(low, axis)]
    }

    fn look(
        &mut self,
        tick: &mut Tick<'_>,
        search: &Search,
        pos: ChunkPos,
        marks: &BTreeMap<VoxelPos, Mark>,
    ) -> Arc<Pieces> {
        search.other.get(&pos).cloned().unwrap_or_else(|| self.pieces(tick, pos, marks))
    }

    /// The pieces of a chunk as of the marks that were looked into.
    fn pieces(&mut self, tick: &mut Tick<'_>, pos: ChunkPos, marks: &BTreeMap<VoxelPos, Mark>) -> Arc<Pieces> {
        if let Some(pieces) = self.pieces.get(&pos) {
            return Arc::clone(pieces);
        }
        let pieces = label(tick, pos, &mut |_| true, marks);
        self.pieces.insert(pos, Arc::clone(&pieces));
        pieces
    }
}

/// Labels a chunk as it stands, but with what was there before at the marks that `is_undone` names. What can't be read
/// counts as anchored throughout.
fn label(
    tick: &mut Tick<'_>,
    pos: ChunkPos,
    is_undone: &mut dyn FnMut(&Mark) -> bool,
    marks: &BTreeMap<VoxelPos, Mark>,
) -> Arc<Pieces> {
    let Some(chunk) = tick.chunks.chunk(tick.tick, pos) else {
        return Arc::new(Pieces::label(&Bits::full(), &Bits::full()));
    };
    let mut solid = Bits::of(&chunk, tick.facts.solid());
    let mut anchored = Bits::of(&chunk, tick.facts.anchored());
    let ([_, low, _], [_, high, _]) = (pos.voxel_box().min(), pos.voxel_box().max());
    for (at, mark) in marks.iter().filter(|(at, _)| (low..high).contains(&at.y()) && at.chunk() == pos) {
        if is_undone(mark) {
            let fact = tick.facts.of(mark.old);
            solid.set(at.local(), fact.solid);
            anchored.set(at.local(), fact.anchored);
        }
    }
    Arc::new(Pieces::label(&solid, &anchored))
}
