//! What agents go by: for each voxel of a chunk the ways that lead on, in one word.
//!
//! A guide is what the field says, as it was last worked out, less what is not legal now. So it never leads where nobody
//! can go, however old the field is.

use crate::chunk::zeroed;
use crate::limits::{AGENTS_PER_VOXEL, CHUNK_EDGE, CHUNK_VOXELS};
use crate::path::field::FlowField;
use crate::path::flow::{Around, WIDE};
use crate::path::navigation::{Blocks, Navigation};
use crate::path::ways::Ways;
use crate::relax::{ALL, EXITS, FACES, TENTHS};
use crate::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What one voxel tells an agent. From the lowest bit: 26 of exits that are best, 6 of exits over faces that are good, 8 of
/// cost, 2 flags, 5 of how many exits are best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(transparent)]
pub struct Sign(u64);

const LOWER_SHIFT: u32 = 26;
const COST_SHIFT: u32 = 32;
const SOLID: u64 = 1 << 40;
const GOAL: u64 = 1 << 41;
const CHOICES_SHIFT: u32 = 42;
const _: () = assert!(ALL == (1 << LOWER_SHIFT) - 1 && FACES == (1 << (COST_SHIFT - LOWER_SHIFT)) - 1);

impl Sign {
    /// Nobody can be here.
    pub const CLOSED: Self = Self(0);

    /// `best` and `lower` are masks of [`EXITS`], of `lower` those over faces count; `cost` is 1 at least.
    pub const fn new(best: u32, lower: u32, cost: u8, is_goal: bool, is_solid: bool) -> Self {
        let flags = if is_goal { GOAL } else { 0 } | if is_solid { SOLID } else { 0 };
        let exits = (best & ALL) as u64 | ((lower & FACES) as u64) << LOWER_SHIFT;
        let choices = (best & ALL).count_ones() as u64;
        Self(exits | (cost as u64) << COST_SHIFT | flags | choices << CHOICES_SHIFT)
    }

    /// The exits of the ways that cost least in all.
    pub const fn best(self) -> u32 {
        self.0 as u32 & ALL
    }

    /// How many exits are best.
    pub const fn choices(self) -> u32 {
        (self.0 >> CHOICES_SHIFT) as u32 & 31
    }

    /// The exits over faces to voxels from which less is left to pay.
    pub const fn lower(self) -> u32 {
        (self.0 >> LOWER_SHIFT) as u32 & FACES
    }

    /// What entering the voxel costs; 0 if nobody can.
    pub const fn cost(self) -> u8 {
        (self.0 >> COST_SHIFT) as u8
    }

    /// Whether the voxel has to be dug away before anybody enters.
    pub const fn is_solid(self) -> bool {
        self.0 & SOLID != 0
    }

    /// Whether it is a goal.
    pub const fn is_goal(self) -> bool {
        self.0 & GOAL != 0
    }
}

/// The signs of one chunk, by local index.
pub type Guide = Box<[Sign; CHUNK_VOXELS]>;

/// Places of a box of chunks, in one word each, so that a table is looked up without a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    first: ChunkPos,
    size: [u32; 3],
}

/// A voxel of a [`Grid`]: the number of its chunk, of its brick of 4×4×4 in there, and 6 bits of where it is in that. Eight
/// voxels, 2×2×2, follow each other, so that an agent seldom has to look at two cache lines.
pub type Place = u32;

/// The bits of a place that say where in its chunk it is.
const INSIDE_BITS: u32 = 15;
const INSIDE: u32 = (1 << INSIDE_BITS) - 1;
/// The bits of a place that say where in its brick it is.
const BRICK_BITS: u32 = 6;
/// Bricks of a chunk.
const BRICKS: usize = CHUNK_VOXELS >> BRICK_BITS;
const _: () = assert!(1 << INSIDE_BITS == CHUNK_VOXELS);

/// Where in its chunk a voxel is, as places tell it.
const fn inside(x: u32, y: u32, z: u32) -> u32 {
    let ones = x & 1 | (z & 1) << 1 | (y & 1) << 2;
    let twos = x >> 1 & 1 | (z >> 1 & 1) << 1 | (y >> 1 & 1) << 2;
    ones | twos << 3 | x >> 2 << 6 | z >> 2 << 9 | y >> 2 << 12
}

/// The voxel of a chunk at a place: x, y, z.
const fn outside(place: Place) -> [u32; 3] {
    let x = place & 1 | place >> 2 & 2 | place >> 4 & 28;
    let z = place >> 1 & 1 | place >> 3 & 2 | place >> 7 & 28;
    let y = place >> 2 & 1 | place >> 4 & 2 | place >> 10 & 28;
    [x, y, z]
}

impl Grid {
    /// The chunks that a box touches.
    pub fn new(within: VoxelBox) -> Self {
        let (min, max) = (within.min(), within.max());
        let edge = CHUNK_EDGE as i32;
        let size = std::array::from_fn(|n| (max[n] - 1).div_euclid(edge).abs_diff(min[n].div_euclid(edge)) + 1);
        let first = within.chunks().next().expect("a box is not empty");
        Self { first, size }
    }

    /// How many chunks.
    pub const fn chunk_count(&self) -> usize {
        self.size[0] as usize * self.size[1] as usize * self.size[2] as usize
    }

    /// The number of a chunk, along x, then z, then y; none outside.
    pub fn number(&self, pos: ChunkPos) -> Option<u32> {
        let (at, first) = (pos.to_array(), self.first.to_array());
        let [x, y, z] = std::array::from_fn(|n| (i64::from(at[n]) - i64::from(first[n])) as u64);
        let [nx, ny, nz] = self.size.map(u64::from);
        (x < nx && y < ny && z < nz).then(|| (x + nx * (z + nz * y)) as u32)
    }

    /// The chunk of a number.
    ///
    /// # Panics
    /// If there is none.
    pub fn chunk(&self, number: u32) -> ChunkPos {
        let [nx, _, nz] = self.size;
        let at = [number % nx, number / nx / nz, number / nx % nz];
        let [x, y, z] = std::array::from_fn(|n| self.first.to_array()[n] + at[n] as i32);
        ChunkPos::new(x, y, z).expect("a box lies inside the world")
    }

    /// The place of a voxel; none outside.
    pub fn place(&self, pos: VoxelPos) -> Option<Place> {
        let local = pos.local();
        let [x, y, z] = [local.x(), local.y(), local.z()].map(|part| part as u32);
        Some(self.number(pos.chunk())? << INSIDE_BITS | inside(x, y, z))
    }

    /// The voxel of a place.
    pub fn voxel(&self, place: Place) -> VoxelPos {
        let [x, y, z] = outside(place).map(|part| part as usize);
        self.chunk(place >> INSIDE_BITS).voxel(LocalIndex::from_xyz(x, y, z))
    }

    /// The numbers of the chunks that a voxel and those around it are in.
    pub fn chunks_around(&self, place: Place) -> impl Iterator<Item = u32> {
        let (at, number) = (outside(place), place >> INSIDE_BITS);
        let [nx, ny, nz] = self.size;
        let chunk = [number % nx, number / nx / nz, number / nx % nz];
        let range = move |axis: usize, count: u32| {
            let first = chunk[axis].saturating_sub(u32::from(at[axis] == 0));
            first..=(chunk[axis] + u32::from(at[axis] == CHUNK_EDGE as u32 - 1)).min(count - 1)
        };
        range(1, ny).flat_map(move |y| range(2, nz).flat_map(move |z| range(0, nx).map(move |x| x + nx * (z + nz * y))))
    }

    /// A chunk and those around it, as far as they are inside the world.
    pub fn around(pos: ChunkPos) -> impl Iterator<Item = ChunkPos> {
        (0..27i64).filter_map(move |n| {
            let step = [n % 3 - 1, n / 9 - 1, n / 3 % 3 - 1];
            let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + step[axis]);
            ChunkPos::from_i64(x, y, z).ok()
        })
    }

    /// The chunks of the grid that a voxel and those around it are in.
    pub fn chunks_near(&self, pos: VoxelPos) -> Vec<ChunkPos> {
        match self.place(pos) {
            Some(place) => self.chunks_around(place).map(|number| self.chunk(number)).collect(),
            None => Self::around(pos.chunk()).filter(|chunk| self.number(*chunk).is_some()).collect(),
        }
    }

    /// The place at an exit from another; none outside.
    #[inline]
    pub fn beside(&self, place: Place, exit: u32) -> Option<Place> {
        let step = &STEPS[exit as usize];
        // With all bits of the other axes set, what is carried passes over them.
        let moved = |axis: usize| (place | !AXES[axis]).wrapping_add(step.adds[axis]) & AXES[axis];
        let leaves = |axis: usize| place & AXES[axis] == step.last[axis];
        let there = moved(0) | moved(1) | moved(2);
        if leaves(0) | leaves(1) | leaves(2) {
            return Some(self.number_beside(place, exit)? << INSIDE_BITS | there);
        }
        Some(place & !INSIDE | there)
    }

    /// The number of the chunk in which an exit from a place ends; none outside.
    #[cold]
    fn number_beside(&self, place: Place, exit: u32) -> Option<u32> {
        let (step, at, number) = (EXITS[exit as usize], outside(place), place >> INSIDE_BITS);
        let [nx, ny, nz] = self.size;
        let chunk = [number % nx, number / nx / nz, number / nx % nz];
        let [x, y, z]: [u32; 3] = std::array::from_fn(|axis| {
            let leaves = at[axis].wrapping_add_signed(step[axis]) >= CHUNK_EDGE as u32;
            chunk[axis].wrapping_add_signed(if leaves { step[axis] } else { 0 })
        });
        (x < nx && y < ny && z < nz).then(|| x + nx * (z + nz * y))
    }
}

/// The bits of a place that x, y and z have.
const AXES: [u32; 3] = {
    let last = CHUNK_EDGE as u32 - 1;
    [inside(last, 0, 0), inside(0, last, 0), inside(0, 0, last)]
};

/// What an exit does to places, by axis.
#[derive(Clone, Copy)]
struct Step {
    /// What is added among the bits of the axis.
    adds: [u32; 3],
    /// The bits of the last voxels before the chunk is left; those of no voxel if it never is.
    last: [u32; 3],
}

const STEPS: [Step; EXITS.len()] = {
    let mut steps = [Step { adds: [0; 3], last: [u32::MAX; 3] }; EXITS.len()];
    let mut n = 0;
    while n < 3 * EXITS.len() {
        let (exit, axis) = (n / 3, n % 3);
        let one = AXES[axis] & AXES[axis].wrapping_neg();
        (steps[exit].adds[axis], steps[exit].last[axis]) = match EXITS[exit][axis] {
            0 => (0, u32::MAX),
            1 => (one, AXES[axis]),
            _ => (AXES[axis], 0),
        };
        n += 1;
    }
    steps
};

/// The signs of a brick.
#[derive(Clone)]
#[repr(align(64))]
struct Signs([Sign; 1 << BRICK_BITS]);

/// How crowded the voxels of a brick are, in one cache line, apart from the signs: what all agents write stays small.
#[repr(align(64))]
struct Counts([AtomicU8; 1 << BRICK_BITS]);

impl Counts {
    const fn none() -> Self {
        Self([const { AtomicU8::new(0) }; 1 << BRICK_BITS])
    }
}

/// How many agents are in a voxel, in the upper bits, and how many want to enter it, of whom no more than [`WANTED_MAX`] are
/// counted.
#[derive(Clone, Copy)]
pub(super) struct Count(u8);

const WANTED: u8 = 1;
const WANTED_MAX: u8 = 7;
const HERE_SHIFT: u32 = 5;
const _: () = assert!(AGENTS_PER_VOXEL < WANTED_MAX as usize && AGENTS_PER_VOXEL < 1 << (u8::BITS - HERE_SHIFT));

impl Count {
    /// Agents in the voxel.
    pub(super) const fn here(self) -> usize {
        (self.0 >> HERE_SHIFT) as usize
    }

    /// Whether more want to enter than there is room for.
    pub(super) const fn is_crowded(self) -> bool {
        (self.0 & WANTED_MAX) as usize > AGENTS_PER_VOXEL.saturating_sub(self.here())
    }
}

/// The guides of a box, as far as they have been made; and while a tick is worked out, how crowded their voxels are.
///
/// They are kept of those bricks alone in which somebody can be: that is little of most chunks, and what is far apart in memory
/// takes long to read.
pub struct Guides {
    grid: Grid,
    /// By chunk, whether its guide has been made.
    made: Vec<bool>,
    /// By chunk and brick, where its signs and counts are; [`SHUT`] for one in which nobody can be.
    bricks: Vec<u32>,
    signs: Vec<Signs>,
    counts: Vec<Counts>,
    /// Where there are signs and counts that no brick has.
    free: Vec<u32>,
}

/// Where all bricks have their signs in which nobody can be.
const SHUT: u32 = 0;

impl Guides {
    /// None made yet.
    pub fn new(within: VoxelBox) -> Self {
        let grid = Grid::new(within);
        Self {
            grid,
            made: vec![false; grid.chunk_count()],
            bricks: vec![SHUT; grid.chunk_count() * BRICKS],
            signs: vec![Signs([Sign::CLOSED; 1 << BRICK_BITS])],
            counts: vec![Counts::none()],
            free: Vec::new(),
        }
    }

    /// The places they are for.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Where the signs and counts of a place are: of which brick, and where in that.
    #[inline]
    fn find(&self, place: Place) -> (usize, usize) {
        (self.bricks[(place >> BRICK_BITS) as usize] as usize, (place & ((1 << BRICK_BITS) - 1)) as usize)
    }

    /// What a place says: nothing where no guide has been made.
    #[inline]
    pub fn sign(&self, place: Place) -> Sign {
        let (brick, at) = self.find(place);
        self.signs[brick].0[at]
    }

    /// What a place says, and how crowded it is.
    #[inline]
    pub(super) fn sign_and_count(&self, place: Place) -> (Sign, Count) {
        let (brick, at) = self.find(place);
        (self.signs[brick].0[at], Count(self.counts[brick].0[at].load(Ordering::Relaxed)))
    }

    /// Counts an agent where it is.
    #[inline]
    pub(super) fn add_here(&self, place: Place) {
        let (brick, at) = self.find(place);
        if brick != SHUT as usize {
            self.counts[brick].0[at].fetch_add(1 << HERE_SHIFT, Ordering::Relaxed);
        }
    }

    /// Counts an agent where it wants to be.
    #[inline]
    pub(super) fn add_wanted(&self, place: Place) {
        let (brick, at) = self.find(place);
        let more = |count: u8| (count & WANTED_MAX < WANTED_MAX).then_some(count + WANTED);
        // It fails where as many are counted as can be.
        let _ = self.counts[brick].0[at].fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Leaves nothing counted in a place.
    pub(super) fn clear(&self, place: Place) {
        let (brick, at) = self.find(place);
        self.counts[brick].0[at].store(0, Ordering::Relaxed);
    }

    /// Leaves nothing counted in a place unless it is crowded, and tells whether it is: it tells all who ask the same. Nobody may
    /// count meanwhile.
    #[inline]
    pub(super) fn clear_uncrowded(&self, place: Place) -> bool {
        let (brick, at) = self.find(place);
        let count = &self.counts[brick].0[at];
        let is_crowded = Count(count.load(Ordering::Relaxed)).is_crowded();
        if !is_crowded {
            count.store(0, Ordering::Relaxed);
        }
        is_crowded
    }

    /// Whether a chunk's guide has been made.
    pub fn has(&self, number: u32) -> bool {
        self.made[number as usize]
    }

    /// Puts a chunk's guide.
    pub fn put(&mut self, number: u32, guide: &Guide) {
        self.drop(number);
        self.made[number as usize] = true;
        let mut signs = Signs([Sign::CLOSED; 1 << BRICK_BITS]);
        for brick in 0..BRICKS {
            for (place, sign) in (brick << BRICK_BITS..).zip(&mut signs.0) {
                let [x, y, z] = outside(place as Place).map(|part| part as usize);
                *sign = guide[LocalIndex::from_xyz(x, y, z).index()];
            }
            if signs.0.iter().all(|sign| *sign == Sign::CLOSED) {
                continue;
            }
            self.bricks[number as usize * BRICKS + brick] = match self.free.pop() {
                Some(at) => {
                    self.signs[at as usize] = signs.clone();
                    at
                }
                None => {
                    self.signs.push(signs.clone());
                    self.counts.push(Counts::none());
                    self.signs.len() as u32 - 1
                }
            };
        }
    }

    /// Forgets the guide of a chunk, if it has been made.
    fn drop(&mut self, number: u32) {
        if std::mem::replace(&mut self.made[number as usize], false) {
            let bricks = &mut self.bricks[number as usize * BRICKS..][..BRICKS];
            let bricks = bricks.iter_mut().map(|brick| std::mem::replace(brick, SHUT));
            self.free.extend(bricks.filter(|brick| *brick != SHUT));
        }
    }

    /// Forgets the guide of a chunk, if it has one.
    pub fn forget(&mut self, pos: ChunkPos) {
        if let Some(number) = self.grid.number(pos) {
            self.drop(number);
        }
    }

    /// Forgets the guides of a chunk and of those around it: they look one voxel over the border.
    pub fn forget_around(&mut self, pos: ChunkPos) {
        Grid::around(pos).for_each(|there| self.forget(there));
    }

    /// Forgets all but some.
    pub fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        (0..self.made.len() as u32).filter(|number| !keep(*number)).for_each(|number| self.drop(number));
    }

    /// Heap bytes of the guides there are.
    pub fn memory_bytes(&self) -> usize {
        let bricks = self.signs.len() - self.free.len();
        size_of_val(&*self.bricks) + bricks * (size_of::<Signs>() + size_of::<Counts>())
    }
}

/// What a guide is made from, beside the field: gathered first, so that the guides of many chunks are made in parallel.
pub struct Now {
    /// The ways of the chunk and of those around it, the step along x fastest, then z, then y.
    ways: [Option<Arc<Ways>>; 27],
    /// By voxel, whether it has to be dug away; none if nothing has.
    solid: Option<Box<[bool; CHUNK_VOXELS]>>,
}

impl Now {
    /// What is legal now in a chunk. `solid` tells by block id what has to be dug away; empty for a mode that does not dig.
    pub fn new(navigation: &mut Navigation, blocks: &mut dyn Blocks, pos: ChunkPos, solid: &[bool]) -> Self {
        let ways = std::array::from_fn(|n| {
            let step = [n % 3, n / 9, n / 3 % 3].map(|part| part as i64 - 1);
            let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + step[axis]);
            ChunkPos::from_i64(x, y, z).ok().and_then(|there| navigation.ways(blocks, there))
        });
        let chunk = if solid.is_empty() { None } else { blocks.chunks(&[pos]).pop().flatten() };
        let solid = chunk.map(|chunk| {
            let mut flags = zeroed::<bool, CHUNK_VOXELS>();
            for local in (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new) {
                flags[local.index()] = solid.get(usize::from(chunk.get(local).0)).copied().unwrap_or(false);
            }
            flags
        });
        Self { ways, solid }
    }

    /// What entering costs now, of the chunk's voxels and those around it; 0 where nobody can, or it is outside the box.
    fn costs(&self, pos: ChunkPos, within: VoxelBox, navigation: &Navigation) -> Vec<u8> {
        let mut costs = vec![0u8; WIDE.pow(3)];
        let (origin, min, max) = (pos.origin().to_array(), within.min(), within.max());
        let edge = CHUNK_EDGE as i32;
        let range = |axis: usize| (-1).max(min[axis] - origin[axis])..(edge + 1).min(max[axis] - origin[axis]);
        // Along x there are three chunks, of which the outer ones give one voxel each.
        let parts = [(-1..0, 12), (0..edge, 13), (edge..edge + 1, 14)];
        for (y, z) in range(1).flat_map(|y| range(2).map(move |z| (y, z))) {
            let [ly, lz] = [y, z].map(|part| part.rem_euclid(edge) as usize);
            let row = WIDE * ((z + 1) as usize + WIDE * (y + 1) as usize);
            for (part, middle) in &parts {
                let chunk = middle + 9 * y.div_euclid(edge) + 3 * z.div_euclid(edge);
                let Some(ways) = self.ways[chunk as usize].as_ref().filter(|ways| !ways.is_closed()) else { continue };
                for x in part.start.max(range(0).start)..part.end.min(range(0).end) {
                    let local = LocalIndex::from_xyz((x & (edge - 1)) as usize, ly, lz);
                    costs[row + (x + 1) as usize] = navigation.costs().cost(ways.classes.get(local));
                }
            }
        }
        costs
    }
}

/// Makes the guide of a chunk.
pub fn guide(field: &FlowField, navigation: &Navigation, pos: ChunkPos, now: &Now) -> Guide {
    let mut signs = zeroed::<Sign, CHUNK_VOXELS>();
    let Some(ways) = now.ways[13].as_ref().filter(|ways| !ways.is_closed()) else { return signs };
    let around = field.around(pos, true);
    let rests = rests(&around, field.giver_pays());
    let costs = now.costs(pos, field.within(), navigation);
    let open = navigation.mode().exits();
    let mut goals = [false; CHUNK_VOXELS];
    field.goals().iter().filter(|goal| goal.chunk() == pos).for_each(|goal| goals[goal.local().index()] = true);
    for first in (0..CHUNK_VOXELS).step_by(CHUNK_EDGE) {
        let at = Around::place(0, first / CHUNK_EDGE / CHUNK_EDGE, first / CHUNK_EDGE % CHUNK_EDGE);
        if costs[at..at + CHUNK_EDGE].iter().all(|cost| *cost == 0) {
            continue;
        }
        let told = field.exits_of_row(pos, first);
        let masks =
            masks(&Row { rests: &rests, then: &around.costs, now: &costs, at, steps: field.giver_pays() }, &told);
        for n in 0..CHUNK_EDGE {
            let (index, cost) = (first + n, costs[at + n]);
            if cost == 0 {
                continue;
            }
            let legal = open & ways.exits.as_ref().map_or(u32::MAX, |exits| exits[index]);
            let solid = now.solid.as_ref().is_some_and(|solid| solid[index]);
            signs[index] = Sign::new(masks.0[n] & legal, masks.1[n] & legal, cost, goals[index], solid);
        }
    }
    signs
}

/// What is left to pay from each voxel on; `u32::MAX` for none.
fn rests(around: &Around, giver_pays: bool) -> Vec<u32> {
    let rest = |(total, cost): (&u32, &u8)| {
        let own = if giver_pays { 0 } else { u32::from(*cost) };
        if *total < around.limit { total - own } else { u32::MAX }
    };
    around.totals.iter().zip(&around.costs).map(rest).collect()
}

/// One row of voxels and what lies around it.
struct Row<'a> {
    rests: &'a [u32],
    /// What entering cost when the field was worked out.
    then: &'a [u8],
    /// What it costs now.
    now: &'a [u8],
    /// The place of the row's first voxel.
    at: usize,
    /// Whether steps over edges and corners cost more.
    steps: bool,
}

/// The exits that cost least in all, and those after which less is left to pay, of the voxels of a row. What the field counts
/// on is in `told`; an exit that leads where nobody can be now is left out, and none takes its place.
fn masks(row: &Row<'_>, told: &[u32; CHUNK_EDGE]) -> ([u32; CHUNK_EDGE], [u32; CHUNK_EDGE]) {
    let here: &[u32; CHUNK_EDGE] = row.rests[row.at..].first_chunk().expect("a row");
    let exits = told.iter().fold(0, |all, exits| all | exits);
    let mut least = [u32::MAX; CHUNK_EDGE];
    let (mut best, mut lower) = ([0u32; CHUNK_EDGE], [0u32; CHUNK_EDGE]);
    for exit in (0..EXITS.len()).filter(|exit| exits >> exit & 1 == 1) {
        let [x, y, z] = EXITS[exit].map(|part| part as isize);
        let from = row.at.strict_add_signed(x + WIDE as isize * (z + WIDE as isize * y));
        let there: &[u32; CHUNK_EDGE] = row.rests[from..].first_chunk().expect("one row beside another");
        let then: &[u8; CHUNK_EDGE] = row.then[from..].first_chunk().expect("one row beside another");
        let now: &[u8; CHUNK_EDGE] = row.now[from..].first_chunk().expect("one row beside another");
        let axes = EXITS[exit].iter().filter(|part| **part != 0).count();
        let length = if row.steps { u32::from(TENTHS[axes - 1]) } else { 1 };
        for n in 0..CHUNK_EDGE {
            let is_told = told[n] >> exit & 1 == 1 && there[n] != u32::MAX;
            let total = if is_told { there[n].saturating_add(u32::from(then[n]) * length) } else { u32::MAX };
            let bit = if now[n] > 0 { 1 << exit } else { 0 };
            best[n] = match total {
                total if total < least[n] => bit,
                total if total == least[n] && is_told => best[n] | bit,
                _ => best[n],
            };
            least[n] = least[n].min(total);
            lower[n] |= if is_told && there[n] < here[n] { bit } else { 0 };
        }
    }
    for n in 0..CHUNK_EDGE {
        // Where nothing leads to a goal, nothing leads on; and nobody leaves a goal.
        let goes = here[n] != u32::MAX && here[n] > 0;
        (best[n], lower[n]) = if goes { (best[n], lower[n]) } else { (0, 0) };
    }
    (best, lower)
}
