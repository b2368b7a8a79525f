//! One tile of 32³ solved by sweeps over its rows, planes and columns: the kernel that bulk work runs.
//!
//! A sweep carries values along one direction through the whole tile, 32 voxels at a time; sweeps along all six repeat until
//! none changes anything (fast sweeping: Zhao, *A fast sweeping method for Eikonal equations*, 2005, with integers the
//! result is exact). Along x a plane is transposed first, so that rows lie across the direction there too.

use crate::generate::lanes::Lanes;
use crate::generate::simd::{self, Kernel, Level};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};

const EDGE: usize = CHUNK_EDGE;
/// Voxels of a plane, and of a face.
pub const FACE: usize = EDGE * EDGE;

/// A number that distances are computed in. The greatest stands for none.
pub trait Word: Copy + Ord + Default + Send + Sync + 'static {
    /// None.
    const NONE: Self;
    /// A sum that stops at none.
    fn plus(self, loss: Self) -> Self;
    /// Every bit in which two differ.
    fn differs(self, other: Self) -> Self;
    /// Bits of either.
    fn or(self, other: Self) -> Self;
    /// From the narrow form of a field, in which `u16::MAX` is none.
    fn from_narrow(value: u16) -> Self;
}

impl Word for u8 {
    const NONE: Self = Self::MAX;
    #[inline(always)]
    fn plus(self, loss: Self) -> Self {
        self.saturating_add(loss)
    }
    #[inline(always)]
    fn differs(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn from_narrow(value: u16) -> Self {
        value.min(0xff) as Self
    }
}

impl Word for u16 {
    const NONE: Self = Self::MAX;
    #[inline(always)]
    fn plus(self, loss: Self) -> Self {
        self.saturating_add(loss)
    }
    #[inline(always)]
    fn differs(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn from_narrow(value: u16) -> Self {
        value
    }
}

impl Word for u32 {
    const NONE: Self = Self::MAX;
    #[inline(always)]
    fn plus(self, loss: Self) -> Self {
        self.saturating_add(loss)
    }
    #[inline(always)]
    fn differs(self, other: Self) -> Self {
        self ^ other
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn from_narrow(value: u16) -> Self {
        if value == u16::MAX { Self::NONE } else { Self::from(value) }
    }
}

/// Numbers of every voxel of a tile.
pub type Tile<T> = [T; CHUNK_VOXELS];

/// What a tile is solved from, in local-index order. Losses are `NONE` where an exit is closed.
pub struct Scratch<T: Word> {
    /// Distances: what voxels have so far.
    pub distances: Box<Tile<T>>,
    /// No voxel comes nearer than this by a step.
    pub floors: Box<Tile<T>>,
    /// What steps add, by group of exits.
    pub losses: [Box<Tile<T>>; 6],
    /// Which of `losses` each of the six exits has.
    pub group: [usize; 6],
    /// What lies behind the six faces, in the order of `EXITS`: y faces by z and x, z faces by y and x, x faces by y and z.
    pub halo: [Box<[T; FACE]>; 6],
}

impl<T: Word> Default for Scratch<T> {
    fn default() -> Self {
        let tile = || vec![T::NONE; CHUNK_VOXELS].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!());
        let face = || vec![T::NONE; FACE].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!());
        Self {
            distances: tile(),
            floors: tile(),
            losses: std::array::from_fn(|_| tile()),
            group: [0; 6],
            halo: std::array::from_fn(|_| face()),
        }
    }
}

/// Solves a tile to its fixed point for what lies around it. Gives how many times all sweeps were made.
pub fn solve<T: Word>(level: Level, scratch: &mut Scratch<T>) -> u32 {
    let mut rounds = 0;
    simd::run(level, Solve { scratch, rounds: &mut rounds });
    rounds
}

struct Solve<'a, T: Word> {
    scratch: &'a mut Scratch<T>,
    rounds: &'a mut u32,
}

impl<T: Word> Kernel for Solve<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Scratch { distances, floors, losses, group, halo } = self.scratch;
        let loss = |exit: usize| &losses[group[exit]];
        let enter = |distances: &mut Tile<T>| {
            let y = enter_y(distances, floors, [loss(0), loss(1)], [&halo[0], &halo[1]]);
            let z = enter_z(distances, floors, [loss(2), loss(3)], [&halo[2], &halo[3]]);
            enter_x(distances, floors, [loss(4), loss(5)], [&halo[4], &halo[5]]) | y | z
        };
        enter(distances);
        loop {
            *self.rounds += 1;
            let mut changed = false;
            changed |= sweep_y(distances, floors, [loss(0), loss(1)]);
            changed |= sweep_planes(distances, floors, [loss(2), loss(3)], [loss(4), loss(5)]);
            if !changed {
                return;
            }
        }
    }
}

/// The bits that changed, lane by lane: put together only when a sweep is over.
type Bits<T> = [T; EDGE];

#[inline(always)]
fn any<T: Word>(bits: &Bits<T>) -> bool {
    let mut all = T::default();
    for n in 0..EDGE {
        all = all.or(bits[n]);
    }
    all != T::default()
}

/// A row that takes what the row beside it offers.
#[inline(always)]
fn relax<T: Word>(row: &mut [T; EDGE], from: &[T; EDGE], loss: &[T; EDGE], floor: &[T; EDGE], changed: &mut Bits<T>) {
    for n in 0..EDGE {
        let offered = from[n].plus(loss[n]).max(floor[n]);
        let best = row[n].min(offered);
        changed[n] = changed[n].or(best.differs(row[n]));
        row[n] = best;
    }
}

/// The same for a whole plane.
#[inline(always)]
fn relax_plane<T: Word>(
    plane: &mut [T; FACE],
    from: &[T; FACE],
    loss: &[T; FACE],
    floor: &[T; FACE],
    changed: &mut Bits<T>,
) {
    for at in (0..FACE).step_by(EDGE) {
        relax(row_mut(plane, at), row(from, at), row(loss, at), row(floor, at), changed);
    }
}

#[inline(always)]
fn row<T, const N: usize>(tile: &[T], at: usize) -> &[T; N] {
    tile[at..at + N].try_into().expect("N long")
}

#[inline(always)]
fn row_mut<T, const N: usize>(tile: &mut [T], at: usize) -> &mut [T; N] {
    (&mut tile[at..at + N]).try_into().expect("N long")
}

#[inline(always)]
fn enter_y<T: Word>(distances: &mut Tile<T>, floors: &Tile<T>, losses: [&Tile<T>; 2], halo: [&[T; FACE]; 2]) -> bool {
    let top = CHUNK_VOXELS - FACE;
    let mut changed = Bits::default();
    relax_plane::<T>(row_mut(distances, 0), halo[0], row(losses[0], 0), row(floors, 0), &mut changed);
    relax_plane::<T>(row_mut(distances, top), halo[1], row(losses[1], top), row(floors, top), &mut changed);
    any(&changed)
}

#[inline(always)]
fn enter_z<T: Word>(distances: &mut Tile<T>, floors: &Tile<T>, losses: [&Tile<T>; 2], halo: [&[T; FACE]; 2]) -> bool {
    let mut changed = Bits::default();
    for y in 0..EDGE {
        for (side, z) in [0, EDGE - 1].into_iter().enumerate() {
            let at = y * FACE + z * EDGE;
            let from = row::<T, EDGE>(&halo[side][..], y * EDGE);
            relax(row_mut(distances, at), from, row(losses[side], at), row(floors, at), &mut changed);
        }
    }
    any(&changed)
}

#[inline(always)]
fn enter_x<T: Word>(distances: &mut Tile<T>, floors: &Tile<T>, losses: [&Tile<T>; 2], halo: [&[T; FACE]; 2]) -> bool {
    let mut changed = T::default();
    for row in 0..FACE {
        for (side, x) in [0, EDGE - 1].into_iter().enumerate() {
            let at = row * EDGE + x;
            let best = distances[at].min(halo[side][row].plus(losses[side][at]).max(floors[at]));
            changed = changed.or(best.differs(distances[at]));
            distances[at] = best;
        }
    }
    changed != T::default()
}

/// Upwards, then downwards, plane by plane.
#[inline(always)]
fn sweep_y<T: Word>(distances: &mut Tile<T>, floors: &Tile<T>, losses: [&Tile<T>; 2]) -> bool {
    let mut changed = Bits::default();
    for y in 1..EDGE {
        let at = y * FACE;
        let (below, here) = distances.split_at_mut(at);
        let from = row::<T, FACE>(below, at - FACE);
        relax_plane(row_mut(here, 0), from, row(losses[0], at), row(floors, at), &mut changed);
    }
    for y in (0..EDGE - 1).rev() {
        let at = y * FACE;
        let (here, above) = distances.split_at_mut(at + FACE);
        relax_plane(row_mut(here, at), row::<T, FACE>(above, 0), row(losses[1], at), row(floors, at), &mut changed);
    }
    any(&changed)
}

/// To and fro along z, then along x, plane by plane. Planes are turned over only where something moves along x.
#[inline(always)]
fn sweep_planes<T: Word>(
    distances: &mut Tile<T>,
    floors: &Tile<T>,
    along_z: [&Tile<T>; 2],
    along_x: [&Tile<T>; 2],
) -> bool {
    let mut changed = Bits::default();
    for y in 0..EDGE {
        let at = y * FACE;
        let floors = row::<T, FACE>(floors, at);
        let plane = row_mut::<T, FACE>(distances, at);
        sweep_rows(plane, floors, [row(along_z[0], at), row(along_z[1], at)], &mut changed);
        let losses = [row::<T, FACE>(along_x[0], at), row::<T, FACE>(along_x[1], at)];
        if !moves_along_x(plane, floors, losses) {
            continue;
        }
        let mut turned = transposed(plane);
        let losses = [transposed(losses[0]), transposed(losses[1])];
        sweep_rows(&mut turned, &transposed(floors), [&losses[0], &losses[1]], &mut changed);
        *plane = transposed(&turned);
    }
    any(&changed)
}

/// Whether some voxel gains from the one before or behind it along x. The ends of rows are compared with those of the next
/// ones, so it may say yes without need.
#[inline(always)]
fn moves_along_x<T: Word>(plane: &[T; FACE], floors: &[T; FACE], losses: [&[T; FACE]; 2]) -> bool {
    // The last row begins one earlier, so that all pairs of neighbours are compared.
    let mut gains: Bits<T> = Bits::default();
    for at in (0..FACE).step_by(EDGE).map(|at| at.min(FACE - EDGE - 1)) {
        let (low, high) = (row::<T, EDGE>(plane, at), row::<T, EDGE>(plane, at + 1));
        let (low_floor, high_floor) = (row::<T, EDGE>(floors, at), row::<T, EDGE>(floors, at + 1));
        let (back, forth) = (row::<T, EDGE>(losses[1], at), row::<T, EDGE>(losses[0], at + 1));
        for n in 0..EDGE {
            let up = high[n].min(low[n].plus(forth[n]).max(high_floor[n]));
            let down = low[n].min(high[n].plus(back[n]).max(low_floor[n]));
            gains[n] = gains[n].or(up.differs(high[n])).or(down.differs(low[n]));
        }
    }
    any(&gains)
}

/// To and fro over the rows of one plane.
#[inline(always)]
fn sweep_rows<T: Word>(plane: &mut [T; FACE], floors: &[T; FACE], losses: [&[T; FACE]; 2], changed: &mut Bits<T>) {
    for at in (EDGE..FACE).step_by(EDGE) {
        let from = *row::<T, EDGE>(&plane[..], at - EDGE);
        relax(row_mut(plane, at), &from, row(losses[0], at), row(floors, at), changed);
    }
    for at in (0..FACE - EDGE).step_by(EDGE).rev() {
        let from = *row::<T, EDGE>(&plane[..], at + EDGE);
        relax(row_mut(plane, at), &from, row(losses[1], at), row(floors, at), changed);
    }
}

#[inline(always)]
fn transposed<T: Word>(plane: &[T; FACE]) -> [T; FACE] {
    let mut turned = [T::default(); FACE];
    for a in 0..EDGE {
        for b in 0..EDGE {
            turned[b * EDGE + a] = plane[a * EDGE + b];
        }
    }
    turned
}
