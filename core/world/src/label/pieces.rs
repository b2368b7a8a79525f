//! The components of one chunk, called its pieces, and where those of two chunks touch.
//!
//! Pieces are numbered in local-index order of their first voxels. They are kept as runs, which say what a face looks like
//! as well, so nothing else is stored of faces.

use super::bits::{Bits, ROWS};
use super::runs::{self, Run, as_runs, find_short_row, number, overlaps, unite_rows};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::space::{ChunkPos, LocalIndex};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

/// Most pieces of one chunk: a checkerboard's.
pub const PIECES_MAX: usize = CHUNK_VOXELS / 2;

const _: () = assert!(PIECES_MAX <= u16::MAX as usize + 1, "a piece's number fits u16");

/// One piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How many voxels it has, at least one.
    pub voxels: u32,
    /// Its first voxel in local-index order.
    pub first: LocalIndex,
    /// Whether one of its voxels is anchored.
    pub anchored: bool,
}

/// The pieces of one chunk. A copy shares the runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    pieces: Few<Piece>,
    rows: Arc<Rows>,
}

/// The runs of one chunk.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    /// All of them, row after row.
    runs: Vec<Run>,
    /// The piece of each run.
    piece_of: Vec<u16>,
    /// The first run of each row, and how many runs there are.
    first: Vec<u16>,
}

/// A list that mostly has one entry, which then is here and not elsewhere in memory: whoever walks over all chunks of a world
/// waits for memory and for little else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Few<T> {
    /// One entry.
    One(T),
    /// Any number of them.
    Many(Box<[T]>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut list: Vec<T>) -> Self {
        match (list.pop(), list.is_empty()) {
            (Some(only), true) => Self::One(only),
            (last, _) => {
                list.extend(last);
                Self::Many(list.into())
            }
        }
    }
}

impl<T> std::ops::Deref for Few<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }
}

impl Default for Pieces {
    /// Those of an empty chunk.
    fn default() -> Self {
        Self::label(&Bits::empty(), &Bits::empty())
    }
}

/// Where a thread unites runs. Of `edges` a chunk has at most one for each voxel.
#[derive(Default)]
struct Scratch {
    edges: Vec<u16>,
    first: Vec<u32>,
    parents: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// An axis of the world; [`contacts`] is asked for two chunks that are neighbours along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// East.
    X,
    /// Up.
    Y,
    /// South.
    Z,
}

impl Axis {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::X, Self::Y, Self::Z];

    /// The step to the next chunk: `[x, y, z]`.
    const fn step(self) -> [i32; 3] {
        match self {
            Self::X => [1, 0, 0],
            Self::Y => [0, 1, 0],
            Self::Z => [0, 0, 1],
        }
    }

    /// The next chunk along this axis, if the world has it.
    pub fn neighbour(self, pos: ChunkPos) -> Option<ChunkPos> {
        Self::moved(pos, self.step())
    }

    /// The chunk before along this axis, if the world has it.
    pub fn neighbour_before(self, pos: ChunkPos) -> Option<ChunkPos> {
        Self::moved(pos, self.step().map(|part| -part))
    }

    fn moved(pos: ChunkPos, by: [i32; 3]) -> Option<ChunkPos> {
        let to: [i32; 3] = std::array::from_fn(|axis| pos.to_array()[axis] + by[axis]);
        ChunkPos::try_from(to).ok()
    }
}

impl Pieces {
    /// Labels a chunk. Anchored voxels that are not solid do not count. All chunks that are empty, or solid throughout and
    /// nowhere anchored, share one copy.
    pub fn label(solid: &Bits, anchored: &Bits) -> Self {
        static EMPTY: OnceLock<Pieces> = OnceLock::new();
        static FULL: OnceLock<Pieces> = OnceLock::new();
        let new = || {
            SCRATCH.with_borrow_mut(|scratch| {
                let count = unite(solid, scratch);
                collect(scratch, count, anchored)
            })
        };
        match solid.0[0] {
            0 if solid.is_empty() => EMPTY.get_or_init(new).clone(),
            u32::MAX if solid.is_full() && anchored.is_empty() => FULL.get_or_init(new).clone(),
            _ => new(),
        }
    }

    /// All pieces, by number.
    pub fn all(&self) -> &[Piece] {
        &self.pieces
    }

    /// The piece that a voxel belongs to; none if it is not solid.
    pub fn at(&self, local: LocalIndex) -> Option<u16> {
        let (runs, pieces) = self.row(local.index() / CHUNK_EDGE);
        let x = local.x() as u16;
        runs.iter().position(|run| (run.start..run.end).contains(&x)).map(|n| pieces[n])
    }

    /// The voxels of a piece; none if there is no such piece.
    pub fn bits_of(&self, piece: u16) -> Bits {
        let mut bits = Bits::empty();
        for (index, row) in bits.0.iter_mut().enumerate() {
            let (runs, pieces) = self.row(index);
            let own = runs.iter().zip(pieces).filter(|(_, of)| **of == piece);
            *row = own.fold(0, |row, (run, _)| row | run.mask());
        }
        bits
    }

    /// Calls `visit` with each run of the chunk: its row, itself, its piece.
    pub fn for_each_run(&self, mut visit: impl FnMut(usize, Run, u16)) {
        for index in 0..ROWS {
            let (runs, pieces) = self.row(index);
            runs.iter().zip(pieces).for_each(|(run, piece)| visit(index, *run, *piece));
        }
    }

    /// The runs of a row, `z + 32·y`, and the piece of each.
    fn row(&self, index: usize) -> (&[Run], &[u16]) {
        let Rows { runs, piece_of, first } = &*self.rows;
        let range = usize::from(first[index])..usize::from(first[index + 1]);
        (&runs[range.clone()], &piece_of[range])
    }
}

/// Finds the runs of a chunk and the piece of each, into `scratch.parents`; gives the number of pieces.
fn unite(solid: &Bits, scratch: &mut Scratch) -> u32 {
    let Scratch { edges, first, parents } = scratch;
    edges.resize(CHUNK_VOXELS, 0);
    first.clear();
    first.push(0);
    parents.clear();
    let mut count = 0;
    for (index, &row) in solid.0.iter().enumerate() {
        if row != 0 {
            count += find_short_row(row, &mut edges[count..]);
            parents.extend(parents.len() as u32..count as u32 / 2);
        }
        first.push(count as u32 / 2);
        let runs = as_runs(&edges[..count]);
        if index % CHUNK_EDGE > 0 {
            unite_touching(solid, runs, first, parents, [index, index - 1]);
        }
        if index >= CHUNK_EDGE {
            unite_touching(solid, runs, first, parents, [index, index - CHUNK_EDGE]);
        }
    }
    number(parents)
}

/// Unites the touching runs of two rows. Mostly nothing touches, or both rows have one run.
#[inline(always)]
fn unite_touching(solid: &Bits, runs: &[Run], first: &[u32], parents: &mut [u32], [row, other]: [usize; 2]) {
    if solid.0[row] & solid.0[other] == 0 {
        return;
    }
    let [range, others] = [row, other].map(|index| first[index]..first[index + 1]);
    if range.len() == 1 && others.len() == 1 {
        runs::unite(parents, range.start, others.start);
    } else {
        unite_rows(runs, parents, range, others);
    }
}

/// What is kept of the runs in `scratch`.
fn collect(scratch: &Scratch, count: u32, anchored: &Bits) -> Pieces {
    let runs = as_runs(&scratch.edges[..2 * scratch.parents.len()]);
    let mut pieces: Vec<Piece> = Vec::with_capacity(count as usize);
    let rows = scratch.first.windows(2).map(|ends| ends[0] as usize..ends[1] as usize);
    for ((index, anchored), range) in anchored.0.iter().enumerate().zip(rows) {
        for (run, &piece) in runs[range.clone()].iter().zip(&scratch.parents[range]) {
            if piece as usize == pieces.len() {
                let first = LocalIndex::from_xyz(usize::from(run.start), index / CHUNK_EDGE, index % CHUNK_EDGE);
                pieces.push(Piece { voxels: 0, first, anchored: false });
            }
            let piece = &mut pieces[piece as usize];
            piece.voxels += run.length();
            piece.anchored |= run.mask() & anchored != 0;
        }
    }
    let rows = Rows {
        runs: runs.to_vec(),
        piece_of: scratch.parents.iter().map(|piece| *piece as u16).collect(),
        first: scratch.first.iter().map(|first| *first as u16).collect(),
    };
    Pieces { pieces: pieces.into(), rows: rows.into() }
}

/// Which pieces of `low` touch which of `high`, the next chunk along `axis`: pairs in ascending order, each once.
pub fn contacts(low: &Pieces, high: &Pieces, axis: Axis) -> Vec<(u16, u16)> {
    let mut pairs = Pairs::new(low.pieces.len(), high.pieces.len());
    match axis {
        Axis::X => touching(low, high, axis, (0..ROWS).map(|row| (row, row)), &mut pairs),
        Axis::Y => touching(low, high, axis, (0..CHUNK_EDGE).map(|z| (ROWS - CHUNK_EDGE + z, z)), &mut pairs),
        Axis::Z => {
            let rows = (0..ROWS).step_by(CHUNK_EDGE).map(|row| (row + CHUNK_EDGE - 1, row));
            touching(low, high, axis, rows, &mut pairs);
        }
    }
    pairs.found.sort_unstable();
    pairs.found.dedup();
    pairs.found
}

/// Goes over pairs of rows until there is nothing left to find.
#[inline(always)]
fn touching(
    low: &Pieces,
    high: &Pieces,
    axis: Axis,
    mut rows: impl Iterator<Item = (usize, usize)>,
    pairs: &mut Pairs,
) {
    while pairs.found.len() < pairs.most
        && let Some((row, next)) = rows.next()
    {
        touches(low.row(row), high.row(next), axis, pairs);
    }
}

/// Pairs of pieces, each once where that can be seen cheaply: the same few touch row after row.
struct Pairs {
    found: Vec<(u16, u16)>,
    /// How many there can be.
    most: usize,
    /// One bit for each, if there can't be more.
    seen: [u64; 16],
    others: usize,
}

impl Pairs {
    fn new(pieces: usize, others: usize) -> Self {
        let most = pieces * others;
        // Where bits do not suffice, the same pair may be found again and again.
        let most = if most > 1_024 { usize::MAX } else { most };
        Self { found: Vec::new(), most, seen: [0; 16], others }
    }

    #[inline(always)]
    fn touch(&mut self, one: u16, other: u16) {
        if self.most < usize::MAX {
            let at = usize::from(one) * self.others + usize::from(other);
            let (word, bit) = (&mut self.seen[at / 64], 1 << (at % 64));
            if *word & bit != 0 {
                return;
            }
            *word |= bit;
        } else if self.found.last() == Some(&(one, other)) {
            return;
        }
        self.found.push((one, other));
    }
}

/// Adds the pieces of a row that touch pieces of the next chunk's row.
#[inline(always)]
fn touches((runs, pieces): (&[Run], &[u16]), (others, other_pieces): (&[Run], &[u16]), axis: Axis, pairs: &mut Pairs) {
    if axis != Axis::X {
        overlaps(runs, others, |n, m| pairs.touch(pieces[n], other_pieces[m]));
    } else if let ([.., last], [next, ..]) = (runs, others)
        && usize::from(last.end) == CHUNK_EDGE
        && next.start == 0
    {
        pairs.touch(pieces[runs.len() - 1], other_pieces[0]);
    }
}
