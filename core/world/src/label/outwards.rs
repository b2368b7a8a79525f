//! The components of a box as they are in the world: what meets outside of the box hangs together too.
//!
//! Chunks are held as pieces that are united over the faces of chunks. A set of pieces is *open* while it goes on into a
//! chunk that is not held yet. From the box the search goes outwards, one chunk at a time and always for the set that cost
//! least so far, until what is asked does not depend on what lies further out: ground without end is no obstacle, as long as
//! nothing else has to be told apart from it.

use super::bits::Bits;
use super::pieces::{Axis, Pieces, contacts};
use super::runs::find;
use crate::block::Registry;
use crate::chunk::zeroed;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::physics::facts::Facts;
use crate::relax::{EXITS, opposite};
use crate::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use crate::step::{ChunkSource, SourceError};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

/// Chunks around a box that are searched before it is given up: about a gigabyte of pieces at worst.
pub const OUTSIDE_MAX: usize = 65_536;

/// What is asked of the solid voxels of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Which hang together. The search ends when at most one set is open: nothing else could still meet it.
    Together,
    /// Which hang together with something anchored. The search ends when all others are closed.
    Anchored,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutwardsError {
    /// A chunk that matters can't be read.
    #[error("chunk {pos}, which solid voxels of the box lead to, can't be read: {error}")]
    Unreadable {
        /// Which.
        pos: ChunkPos,
        /// Why.
        error: SourceError,
    },
    /// Several sets go on further than is searched.
    #[error(
        "{open} groups of solid voxels of the box go on past {most} chunks around it, and whether they meet, or what holds \
         them, is not known: give a --box that cuts through less, or a larger one"
    )]
    TooFar {
        /// How many are open.
        open: usize,
        /// Chunks that were searched.
        most: usize,
    },
}

/// The answer for a box: a number for each piece of its chunks.
#[derive(Debug)]
pub struct Answer {
    pieces: HashMap<ChunkPos, Pieces>,
    numbers: HashMap<ChunkPos, Vec<u32>>,
    /// The highest number: how many components have voxels in the box, or 1 if any of those hangs on something.
    pub count: u32,
    /// How many chunks were looked at outside of the box.
    pub outside: usize,
}

impl Answer {
    /// The solid voxels of a chunk of the box.
    pub fn solid(&self, pos: ChunkPos) -> Bits {
        let mut bits = Bits::empty();
        if let Some(pieces) = self.pieces.get(&pos) {
            pieces.for_each_run(|row, run, _| bits.0[row] |= run.mask());
        }
        bits
    }

    /// The numbers of a chunk of the box: of each component in it alone, by its first voxel.
    pub fn numbers(&self, pos: ChunkPos) -> impl Iterator<Item = (LocalIndex, u32)> {
        let both = self.pieces.get(&pos).zip(self.numbers.get(&pos));
        both.into_iter().flat_map(|(pieces, numbers)| pieces.all().iter().map(|piece| piece.first).zip(numbers.clone()))
    }

    /// The number of every voxel of a chunk of the box, in local-index order; 0 where nothing solid is. Components are
    /// numbered from 1 in the order of their first voxels inside the box (by y, z, x); those without any there have 0. Of
    /// [`Question::Anchored`] it is 1 for what hangs on something.
    pub fn values(&self, pos: ChunkPos) -> Box<[u32; CHUNK_VOXELS]> {
        let mut values = zeroed::<u32, CHUNK_VOXELS>();
        if let (Some(pieces), Some(numbers)) = (self.pieces.get(&pos), self.numbers.get(&pos)) {
            pieces.for_each_run(|row, run, piece| {
                let row = row * CHUNK_EDGE;
                values[row + usize::from(run.start)..row + usize::from(run.end)].fill(numbers[usize::from(piece)]);
            });
        }
        values
    }
}

/// Answers a question about the solid voxels of a box, looking at `outside_max` chunks around it at most. Chunks of the box
/// are read and labelled in the rayon pool that this is called in.
pub fn outwards(
    question: Question,
    within: VoxelBox,
    registry: &Registry,
    source: &dyn ChunkSource,
    outside_max: usize,
) -> Result<Answer, OutwardsError> {
    let mut search = Search::new(question, within, Facts::new(registry), source);
    search.load_box()?;
    let mut outside = 0;
    while let Some(pos) = search.next() {
        if outside == outside_max {
            return Err(OutwardsError::TooFar { open: search.open.len(), most: outside_max });
        }
        let pieces = search.label(pos)?;
        search.add(pos, pieces);
        outside += 1;
    }
    Ok(search.answer(outside))
}

/// What is known of a set of pieces; kept at the piece that is its root.
#[derive(Default)]
struct Set {
    /// Chunks it goes on into, those first that are looked at first. Some may be held by now.
    ahead: BinaryHeap<Reverse<(i32, ChunkPos)>>,
    /// A voxel of it is in the box.
    is_asked: bool,
    is_anchored: bool,
    /// Chunks that were looked at for its sake.
    cost: usize,
}

struct Search<'a> {
    question: Question,
    within: VoxelBox,
    facts: Facts,
    source: &'a dyn ChunkSource,
    /// Chunks that are held, each with the number of its first piece among all.
    chunks: HashMap<ChunkPos, (u32, Pieces)>,
    /// Sets of pieces, as trees.
    parents: Vec<u32>,
    sets: Vec<Set>,
    /// Roots of the open sets that are asked about, by cost.
    open: BTreeSet<(usize, u32)>,
}

impl<'a> Search<'a> {
    fn new(question: Question, within: VoxelBox, facts: Facts, source: &'a dyn ChunkSource) -> Self {
        let (chunks, parents, sets, open) = Default::default();
        Self { question, within, facts, source, chunks, parents, sets, open }
    }

    fn label(&self, pos: ChunkPos) -> Result<Pieces, OutwardsError> {
        let held = self.source.load(pos).map_err(|error| OutwardsError::Unreadable { pos, error })?;
        Ok(Pieces::label(&Bits::of(&held.chunk, self.facts.solid()), &Bits::of(&held.chunk, self.facts.anchored())))
    }

    fn load_box(&mut self) -> Result<(), OutwardsError> {
        let chunks: Vec<ChunkPos> = self.within.chunks().collect();
        let pieces = chunks.par_iter().map(|pos| self.label(*pos)).collect::<Result<Vec<_>, _>>()?;
        for (pos, pieces) in chunks.into_iter().zip(pieces) {
            self.add(pos, pieces);
        }
        Ok(())
    }

    /// The chunk to look at next; none when the question is answered.
    fn next(&mut self) -> Option<ChunkPos> {
        let enough = match self.question {
            Question::Together => 1,
            Question::Anchored => 0,
        };
        while self.open.len() > enough {
            let (_, root) = *self.open.first()?;
            let set = &mut self.sets[root as usize];
            while let Some(Reverse((_, pos))) = set.ahead.pop() {
                if !self.chunks.contains_key(&pos) {
                    // It counts as soon as it is begun; what it leads to is added to whichever set this one is in by then.
                    self.open.remove(&(set.cost, root));
                    set.cost += 1;
                    self.open.insert((set.cost, root));
                    return Some(pos);
                }
            }
            self.open.remove(&(set.cost, root));
        }
        None
    }

    /// Where a chunk stands in the order of looking. What hangs together is best looked for nearby; what is anchored lies low.
    fn rank(&self, pos: ChunkPos) -> i32 {
        if self.question == Question::Anchored {
            return 0;
        }
        let (low, high) = (self.within.min(), self.within.max());
        let beyond = |axis: usize| {
            let (low, high) = (low[axis].div_euclid(CHUNK_EDGE as i32), (high[axis] - 1).div_euclid(CHUNK_EDGE as i32));
            (low - pos.to_array()[axis]).max(pos.to_array()[axis] - high).max(0)
        };
        beyond(0).max(beyond(1)).max(beyond(2))
    }

    /// Holds a chunk, and unites its pieces with those of the chunks beside it.
    fn add(&mut self, pos: ChunkPos, pieces: Pieces) {
        let base = self.parents.len() as u32;
        let count = pieces.all().len() as u32;
        self.parents.extend(base..base + count);
        self.sets.extend(pieces.all().iter().map(|piece| Set { is_anchored: piece.anchored, ..Set::default() }));
        for (piece, _) in first_inside(pos, &pieces, self.within) {
            self.sets[(base + u32::from(piece)) as usize].is_asked = true;
        }
        let touched = faces_of(&pieces);
        self.chunks.insert(pos, (base, pieces));
        for face in 0..6 {
            let [x, y, z] = std::array::from_fn(|axis| pos.to_array()[axis] + EXITS[face][axis]);
            let Ok(other) = ChunkPos::new(x, y, z) else { continue };
            if self.chunks.contains_key(&other) {
                self.join(pos, other, face);
                continue;
            }
            let ahead = Reverse((self.rank(other), other));
            for piece in (0..count).filter(|piece| touched[*piece as usize] >> face & 1 == 1) {
                let root = find(&mut self.parents, base + piece);
                self.sets[root as usize].ahead.push(ahead);
            }
        }
        for piece in base..base + count {
            let root = find(&mut self.parents, piece);
            self.review(root);
        }
    }

    /// Unites the pieces of two chunks that touch; `other` lies behind a face of `pos`.
    fn join(&mut self, pos: ChunkPos, other: ChunkPos, face: usize) {
        let axis = [Axis::Y, Axis::Z, Axis::X][face / 2];
        let (low, high) = if opposite(face) > face { (other, pos) } else { (pos, other) };
        let ((low_base, low), (high_base, high)) = (&self.chunks[&low], &self.chunks[&high]);
        let (low_base, high_base) = (*low_base, *high_base);
        for (one, another) in contacts(low, high, axis) {
            self.unite(low_base + u32::from(one), high_base + u32::from(another));
        }
    }

    fn unite(&mut self, one: u32, other: u32) {
        let (one, other) = (find(&mut self.parents, one), find(&mut self.parents, other));
        if one == other {
            return;
        }
        let (root, child) = (one.min(other), one.max(other));
        for member in [root, child] {
            self.open.remove(&(self.sets[member as usize].cost, member));
        }
        self.parents[child as usize] = root;
        let mut gone = std::mem::take(&mut self.sets[child as usize]);
        let set = &mut self.sets[root as usize];
        set.is_asked |= gone.is_asked;
        set.is_anchored |= gone.is_anchored;
        set.cost += gone.cost;
        if set.ahead.len() < gone.ahead.len() {
            std::mem::swap(&mut set.ahead, &mut gone.ahead);
        }
        set.ahead.append(&mut gone.ahead);
        self.review(root);
    }

    /// Keeps `open` true of a set that has changed.
    fn review(&mut self, root: u32) {
        let set = &self.sets[root as usize];
        let is_settled = self.question == Question::Anchored && set.is_anchored;
        if set.is_asked && !is_settled && !set.ahead.is_empty() {
            self.open.insert((set.cost, root));
        } else {
            self.open.remove(&(set.cost, root));
        }
    }

    fn answer(mut self, outside: usize) -> Answer {
        let chunks: Vec<ChunkPos> = self.within.chunks().collect();
        let mut first: BTreeMap<u32, VoxelPos> = BTreeMap::new();
        for pos in &chunks {
            let (base, pieces) = &self.chunks[pos];
            for (piece, voxel) in first_inside(*pos, pieces, self.within) {
                let root = find(&mut self.parents, base + u32::from(piece));
                let first = first.entry(root).or_insert(voxel);
                *first = voxel.min(*first);
            }
        }
        let mut order: Vec<(VoxelPos, u32)> = first.into_iter().map(|(root, voxel)| (voxel, root)).collect();
        order.sort_unstable();
        let number = |(index, (_, root)): (usize, (VoxelPos, u32))| match self.question {
            Question::Together => (root, index as u32 + 1),
            Question::Anchored => (root, u32::from(self.sets[root as usize].is_anchored)),
        };
        let numbers: HashMap<u32, u32> = order.into_iter().enumerate().map(number).collect();
        let count = numbers.values().copied().max().unwrap_or(0);
        let mut answer = Answer { pieces: HashMap::new(), numbers: HashMap::new(), count, outside };
        for pos in chunks {
            let (base, pieces) = self.chunks.remove(&pos).expect("chunks of the box are held");
            let of_piece = |piece| numbers.get(&find(&mut self.parents, base + piece)).copied().unwrap_or(0);
            answer.numbers.insert(pos, (0..pieces.all().len() as u32).map(of_piece).collect());
            answer.pieces.insert(pos, pieces);
        }
        answer
    }
}

/// The pieces of a chunk that have voxels in a box, each with its first one there.
fn first_inside(pos: ChunkPos, pieces: &Pieces, within: VoxelBox) -> Vec<(u16, VoxelPos)> {
    let Some(inside) = within.intersection(pos.voxel_box()) else { return Vec::new() };
    let (origin, [x0, y0, z0], [x1, y1, z1]) = (pos.origin(), inside.min(), inside.max());
    let mut first: Vec<Option<VoxelPos>> = vec![None; pieces.all().len()];
    // Runs come in the order of y, z and x.
    pieces.for_each_run(|row, run, piece| {
        let (y, z) = (origin.y() + (row / CHUNK_EDGE) as i32, origin.z() + (row % CHUNK_EDGE) as i32);
        let (start, end) = (origin.x() + i32::from(run.start), origin.x() + i32::from(run.end));
        let x = start.max(x0);
        let first = &mut first[usize::from(piece)];
        if first.is_none() && (y0..y1).contains(&y) && (z0..z1).contains(&z) && x < end.min(x1) {
            *first = VoxelPos::new(x, y, z).ok();
        }
    });
    (0..).zip(first).filter_map(|(piece, first)| Some((piece, first?))).collect()
}

/// For each piece the faces of its chunk that it touches, as a mask in the order of [`EXITS`].
fn faces_of(pieces: &Pieces) -> Vec<u8> {
    let edge = CHUNK_EDGE - 1;
    let mut touched = vec![0; pieces.all().len()];
    pieces.for_each_run(|row, run, piece| {
        let (y, z) = (row / CHUNK_EDGE, row % CHUNK_EDGE);
        let on = [y == 0, y == edge, z == 0, z == edge, run.start == 0, usize::from(run.end) == CHUNK_EDGE];
        let mask = on.iter().enumerate().fold(0, |mask, (face, is_on)| mask | u8::from(*is_on) << face);
        touched[usize::from(piece)] |= mask;
    });
    touched
}
