//! One tile of 32³ solved by sweeps over its rows, planes and columns: the kernel that bulk work runs.
//!
//! A sweep carries values along one direction, 32 voxels at a time; sweeps along all six repeat until none changes anything
//! (fast sweeping: Zhao, *A fast sweeping method for Eikonal equations*, 2005, with integers the result is exact). Planes
//! that nothing has entered since they were last swept are passed over, so that a tile which is solved again for what
//! came over one face costs what that reaches. Along x, where values mostly come a few voxels far, all rows take one step at
//! a time; where they go on, the plane is transposed, so that rows lie across the direction there too.

use super::field::{Classes, Exits};
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
    /// A small number.
    fn from_byte(value: u8) -> Self;
    /// The same number.
    fn widened(self) -> u32;
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
    #[inline(always)]
    fn from_byte(value: u8) -> Self {
        value
    }
    #[inline(always)]
    fn widened(self) -> u32 {
        self.into()
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
    #[inline(always)]
    fn from_byte(value: u8) -> Self {
        value.into()
    }
    #[inline(always)]
    fn widened(self) -> u32 {
        self.into()
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
    #[inline(always)]
    fn from_byte(value: u8) -> Self {
        value.into()
    }
    #[inline(always)]
    fn widened(self) -> u32 {
        self
    }
}

/// Numbers of every voxel of a tile.
pub type Tile<T> = [T; CHUNK_VOXELS];
type Plane<T> = [T; FACE];

/// A class that occurs in a tile. Losses are `NONE` where an exit is closed.
#[derive(Clone, Copy)]
pub struct Kind<T> {
    /// Its number.
    pub class: u8,
    /// What it has by itself.
    pub own: T,
    /// No voxel of it comes nearer than this by a step.
    pub floor: T,
    /// What steps add, by group of exits.
    pub losses: [T; 6],
}

/// Where the distances of a tile begin.
pub enum Start<'a> {
    /// With what voxels have by themselves.
    Own,
    /// With these, in which `u16::MAX` is none.
    Narrow(&'a Tile<u16>),
    /// With what the scratch has already.
    Filled,
}

/// What a tile is solved from.
pub struct Given<'a, T: Word> {
    /// The class of each voxel.
    pub classes: &'a Classes,
    /// All classes that occur, and maybe more.
    pub kinds: &'a [Kind<T>],
    /// Which of a kind's losses each of the six exits has.
    pub group: [usize; 6],
    /// Limits the exits of each voxel beyond its class.
    pub exits: Option<&'a Exits>,
    /// Where distances begin.
    pub start: Start<'a>,
    /// Whether no voxel gains anything by another one of the tile as it begins.
    pub is_settled: bool,
}

/// Room to solve a tile in, in local-index order.
pub struct Scratch<T: Word> {
    /// Distances: what voxels have so far.
    pub distances: Box<Tile<T>>,
    /// What lies behind the six faces, in the order of `EXITS`: y faces by z and x, z faces by y and x, x faces by y and z.
    pub halo: [Box<Plane<T>>; 6],
    floors: Box<Tile<T>>,
    /// By group of exits.
    losses: [Box<Tile<T>>; 6],
    group: [usize; 6],
}

impl<T: Word> Default for Scratch<T> {
    fn default() -> Self {
        let tile = || vec![T::NONE; CHUNK_VOXELS].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!());
        let face = || vec![T::NONE; FACE].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!());
        Self {
            distances: tile(),
            halo: std::array::from_fn(|_| face()),
            floors: tile(),
            losses: std::array::from_fn(|_| tile()),
            group: [0; 6],
        }
    }
}

/// What solving did.
#[derive(Default)]
pub struct Swept {
    /// How many voxels were swept over.
    pub voxels: u64,
    /// Whether any distance is another than at the beginning.
    pub is_changed: bool,
}

/// Solves a tile to its fixed point for what lies around it.
pub fn solve<T: Word>(level: Level, given: &Given<'_, T>, scratch: &mut Scratch<T>) -> Swept {
    let mut swept = Swept::default();
    simd::run(level, Solve { given, scratch, swept: &mut swept });
    swept
}

struct Solve<'a, T: Word> {
    given: &'a Given<'a, T>,
    scratch: &'a mut Scratch<T>,
    swept: &'a mut Swept,
}

impl<T: Word> Kernel for Solve<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { given, scratch, swept } = self;
        fill(given, scratch);
        let Scratch { distances, halo, floors, losses, group } = scratch;
        let losses: [&Tile<T>; 6] = std::array::from_fn(|exit| &*losses[group[exit]]);
        let mut planes = Planes { inside: [!given.is_settled; EDGE], ..Planes::default() };
        planes.up = planes.inside;
        planes.down = planes.inside;
        enter_y(distances, floors, losses, halo, &mut planes);
        enter_z(distances, floors, losses, halo, &mut planes);
        enter_x(distances, floors, losses, halo, &mut planes);
        let mut work = Work { distances, floors, losses, planes };
        while work.planes.any() {
            work.sweep_up();
            work.sweep_down();
        }
        *swept = Swept { voxels: work.planes.swept * FACE as u64, is_changed: work.planes.is_changed };
    }
}

/// Which planes have changed since they were looked at.
#[derive(Default)]
struct Planes {
    /// Since the plane was swept.
    inside: [bool; EDGE],
    /// Since the plane above took from it.
    up: [bool; EDGE],
    /// Since the plane below took from it.
    down: [bool; EDGE],
    is_changed: bool,
    swept: u64,
}

impl Planes {
    fn changed(&mut self, y: usize) {
        self.is_changed = true;
        (self.inside[y], self.up[y], self.down[y]) = (true, true, true);
    }

    fn any(&self) -> bool {
        let takes = |y: usize| self.inside[y] || y + 1 < EDGE && (self.up[y] || self.down[y + 1]);
        (0..EDGE).any(takes)
    }
}

/// Up to so many classes comparing with each beats looking up, and most tiles have fewer.
const KINDS_COMPARED_MAX: usize = 12;
/// Numbers that are worked on at a time where it is not rows.
const WIDTH: usize = 64;

/// What a class has whose number says it, as those of costs do: class 0 none, then 1 to 127, and once more from 128 on. It
/// takes no looking up.
#[inline(always)]
fn told_by_number<T: Word>(class: u8) -> T {
    if class == 0 { T::NONE } else { T::from_byte(class & 0x7f) }
}

/// Writes for each voxel what its class has.
#[inline(always)]
fn map_classes<T: Word>(classes: &Classes, kinds: &[Kind<T>], value: impl Fn(&Kind<T>) -> T, out: &mut Tile<T>) {
    let classes = match classes {
        Classes::One(class) => {
            return out.fill(kinds.iter().find(|kind| kind.class == *class).map_or(T::NONE, value));
        }
        Classes::Each(classes) => classes,
    };
    if let Some(first) = kinds.first().map(&value)
        && kinds.iter().all(|kind| value(kind) == first)
    {
        return out.fill(first);
    }
    if kinds.iter().all(|kind| value(kind) == told_by_number(kind.class)) {
        for (out, class) in out.iter_mut().zip(classes.iter()) {
            *out = told_by_number(*class);
        }
        return;
    }
    if kinds.len() > KINDS_COMPARED_MAX {
        let mut table = [T::NONE; 256];
        kinds.iter().for_each(|kind| table[usize::from(kind.class)] = value(kind));
        return out.iter_mut().zip(classes.iter()).for_each(|(out, class)| *out = table[usize::from(*class)]);
    }
    for at in (0..CHUNK_VOXELS).step_by(WIDTH) {
        let (classes, out) = (row::<u8, WIDTH>(&classes[..], at), row_mut::<T, WIDTH>(&mut out[..], at));
        let mut values = [T::NONE; WIDTH];
        for kind in kinds {
            let value = value(kind);
            for n in 0..WIDTH {
                values[n] = if classes[n] == kind.class { value } else { values[n] };
            }
        }
        *out = values;
    }
}

#[inline(always)]
fn fill<T: Word>(given: &Given<'_, T>, scratch: &mut Scratch<T>) {
    let Given { classes, kinds, .. } = *given;
    match given.start {
        Start::Own => map_classes(classes, kinds, |kind| kind.own, &mut scratch.distances),
        Start::Narrow(values) => {
            let all = scratch.distances.iter_mut().zip(values.iter());
            all.for_each(|(distance, value)| *distance = T::from_narrow(*value));
        }
        Start::Filled => {}
    }
    map_classes(classes, kinds, |kind| kind.floor, &mut scratch.floors);
    let Some(exits) = given.exits else {
        scratch.group = given.group;
        for group in 0..=given.group.into_iter().max().unwrap_or(0) {
            map_classes(classes, kinds, |kind| kind.losses[group], &mut scratch.losses[group]);
        }
        return;
    };
    scratch.group = std::array::from_fn(|exit| exit);
    for exit in 0..6 {
        let losses = &mut scratch.losses[exit];
        map_classes(classes, kinds, |kind| kind.losses[given.group[exit]], losses);
        for (loss, exits) in losses.iter_mut().zip(exits.iter()) {
            *loss = if exits >> exit & 1 == 1 { *loss } else { T::NONE };
        }
    }
}

/// The bits that changed, lane by lane: put together only when a sweep is over.
type Bits<T, const N: usize> = [T; N];

#[inline(always)]
fn any<T: Word, const N: usize>(bits: &Bits<T, N>) -> bool {
    let mut all = T::default();
    for n in 0..N {
        all = all.or(bits[n]);
    }
    all != T::default()
}

/// A row that takes what the row beside it offers.
#[inline(always)]
fn relax<T: Word, const N: usize>(
    row: &mut [T; N],
    from: &[T; N],
    loss: &[T; N],
    floor: &[T; N],
    changed: &mut Bits<T, N>,
) {
    for n in 0..N {
        let offered = from[n].plus(loss[n]).max(floor[n]);
        let best = row[n].min(offered);
        changed[n] = changed[n].or(best.differs(row[n]));
        row[n] = best;
    }
}

/// The same for a whole plane: whether it changed.
#[inline(always)]
fn relax_plane<T: Word>(plane: &mut Plane<T>, from: &Plane<T>, loss: &Plane<T>, floor: &Plane<T>) -> bool {
    let mut changed = [T::default(); WIDTH];
    for at in (0..FACE).step_by(WIDTH) {
        relax(row_mut(plane, at), row(from, at), row(loss, at), row(floor, at), &mut changed);
    }
    any(&changed)
}

#[inline(always)]
fn row<T, const N: usize>(tile: &[T], at: usize) -> &[T; N] {
    tile[at..at + N].try_into().expect("N long")
}

#[inline(always)]
fn row_mut<T, const N: usize>(tile: &mut [T], at: usize) -> &mut [T; N] {
    (&mut tile[at..at + N]).try_into().expect("N long")
}

type Halo<T> = [Box<Plane<T>>; 6];

#[inline(always)]
fn enter_y<T: Word>(
    distances: &mut Tile<T>,
    floors: &Tile<T>,
    losses: [&Tile<T>; 6],
    halo: &Halo<T>,
    planes: &mut Planes,
) {
    for (exit, y) in [0, EDGE - 1].into_iter().enumerate() {
        let at = y * FACE;
        let from = &halo[exit];
        if relax_plane(row_mut(distances, at), from, row(losses[exit], at), row(floors, at)) {
            planes.changed(y);
        }
    }
}

#[inline(always)]
fn enter_z<T: Word>(
    distances: &mut Tile<T>,
    floors: &Tile<T>,
    losses: [&Tile<T>; 6],
    halo: &Halo<T>,
    planes: &mut Planes,
) {
    for y in 0..EDGE {
        let mut changed = [T::default(); EDGE];
        for (exit, z) in [(2, 0), (3, EDGE - 1)] {
            let at = y * FACE + z * EDGE;
            let from = row::<T, EDGE>(&halo[exit][..], y * EDGE);
            relax(row_mut(distances, at), from, row(losses[exit], at), row(floors, at), &mut changed);
        }
        if any(&changed) {
            planes.changed(y);
        }
    }
}

#[inline(always)]
fn enter_x<T: Word>(
    distances: &mut Tile<T>,
    floors: &Tile<T>,
    losses: [&Tile<T>; 6],
    halo: &Halo<T>,
    planes: &mut Planes,
) {
    for y in 0..EDGE {
        let mut changed = T::default();
        for line in y * EDGE..(y + 1) * EDGE {
            for (exit, x) in [(4, 0), (5, EDGE - 1)] {
                let at = line * EDGE + x;
                let best = distances[at].min(halo[exit][line].plus(losses[exit][at]).max(floors[at]));
                changed = changed.or(best.differs(distances[at]));
                distances[at] = best;
            }
        }
        if changed != T::default() {
            planes.changed(y);
        }
    }
}

/// A tile that is being solved.
struct Work<'a, T: Word> {
    distances: &'a mut Tile<T>,
    floors: &'a Tile<T>,
    /// By exit.
    losses: [&'a Tile<T>; 6],
    planes: Planes,
}

impl<T: Word> Work<'_, T> {
    /// Plane by plane upwards, each swept before the next takes from it.
    #[inline(always)]
    fn sweep_up(&mut self) {
        self.settle(0);
        for y in 1..EDGE {
            if std::mem::take(&mut self.planes.up[y - 1]) {
                let at = y * FACE;
                let (below, here) = self.distances.split_at_mut(at);
                let (loss, floor) = (row(self.losses[0], at), row(self.floors, at));
                self.planes.swept += 1;
                if relax_plane(row_mut(here, 0), row(below, at - FACE), loss, floor) {
                    self.planes.changed(y);
                }
            }
            self.settle(y);
        }
    }

    #[inline(always)]
    fn sweep_down(&mut self) {
        for y in (0..EDGE - 1).rev() {
            if std::mem::take(&mut self.planes.down[y + 1]) {
                let at = y * FACE;
                let (here, above) = self.distances.split_at_mut(at + FACE);
                let (loss, floor) = (row(self.losses[1], at), row(self.floors, at));
                self.planes.swept += 1;
                if relax_plane(row_mut(here, at), row(above, 0), loss, floor) {
                    self.planes.changed(y);
                }
            }
            self.settle(y);
        }
    }

    /// One plane to its fixed point, if something has changed in it.
    #[inline(always)]
    fn settle(&mut self, y: usize) {
        if !std::mem::take(&mut self.planes.inside[y]) {
            return;
        }
        let at = y * FACE;
        let loss = |exit: usize| row::<T, FACE>(self.losses[exit], at);
        let plane = row_mut::<T, FACE>(self.distances, at);
        let floors = row::<T, FACE>(self.floors, at);
        let mut is_changed = sweep_rows(plane, floors, [loss(2), loss(3)]);
        self.planes.swept += 2;
        // Along one direction a sweep to and fro is exact: the plane is done when the other one has nothing to add.
        while sweep_along(plane, floors, [loss(4), loss(5)]) {
            is_changed = true;
            self.planes.swept += 2;
            if !sweep_rows(plane, floors, [loss(2), loss(3)]) {
                break;
            }
        }
        if is_changed {
            self.planes.changed(y);
            self.planes.inside[y] = false;
        }
    }
}

/// To and fro over the rows of one plane: whether anything changed.
#[inline(always)]
fn sweep_rows<T: Word>(plane: &mut Plane<T>, floors: &Plane<T>, losses: [&Plane<T>; 2]) -> bool {
    let mut changed = [T::default(); EDGE];
    for at in (EDGE..FACE).step_by(EDGE) {
        let from = *row::<T, EDGE>(&plane[..], at - EDGE);
        relax(row_mut(plane, at), &from, row(losses[0], at), row(floors, at), &mut changed);
    }
    for at in (0..FACE - EDGE).step_by(EDGE).rev() {
        let from = *row::<T, EDGE>(&plane[..], at + EDGE);
        relax(row_mut(plane, at), &from, row(losses[1], at), row(floors, at), &mut changed);
    }
    any(&changed)
}

/// How often all rows take a step along x before the plane is transposed.
const STEPS_MAX: usize = 4;

/// Along the rows of one plane, to the fixed point: whether anything changed.
#[inline(always)]
fn sweep_along<T: Word>(plane: &mut Plane<T>, floors: &Plane<T>, losses: [&Plane<T>; 2]) -> bool {
    // A row more on both sides: rows are read one voxel to the left and to the right.
    let mut wide = [T::NONE; FACE + 2 * EDGE];
    *row_mut(&mut wide, EDGE) = *plane;
    if !step_along(&mut wide, floors, losses) {
        return false;
    }
    for _ in 1..STEPS_MAX {
        if !step_along(&mut wide, floors, losses) {
            *plane = *row(&wide, EDGE);
            return true;
        }
    }
    let mut turned = transposed(row(&wide, EDGE));
    let losses = losses.map(transposed);
    sweep_rows(&mut turned, &transposed(floors), [&losses[0], &losses[1]]);
    *plane = transposed(&turned);
    true
}

/// Every voxel takes from the one before and the one behind it.
#[inline(always)]
fn step_along<T: Word>(wide: &mut [T; FACE + 2 * EDGE], floors: &Plane<T>, losses: [&Plane<T>; 2]) -> bool {
    let mut changed = [T::default(); EDGE];
    let (mut first, mut last) = ([T::default(); EDGE], [T::default(); EDGE]);
    (first[0], last[EDGE - 1]) = (T::NONE, T::NONE);
    for at in (0..FACE).step_by(EDGE) {
        let here = *row::<T, EDGE>(wide, at + EDGE);
        let (before, behind) = (*row::<T, EDGE>(wide, at + EDGE - 1), *row::<T, EDGE>(wide, at + EDGE + 1));
        let (forth, back) = (row::<T, EDGE>(losses[0], at), row::<T, EDGE>(losses[1], at));
        let floor = row::<T, EDGE>(floors, at);
        let out = row_mut::<T, EDGE>(wide, at + EDGE);
        for n in 0..EDGE {
            // The neighbour of the first and the last voxel is in another row.
            let offered = before[n].plus(forth[n]).max(first[n]).min(behind[n].plus(back[n]).max(last[n]));
            let best = here[n].min(offered.max(floor[n]));
            changed[n] = changed[n].or(best.differs(here[n]));
            out[n] = best;
        }
    }
    any(&changed)
}

/// A plane with its rows as columns: five perfect shuffles turn the ten bits of an index half-way round.
#[inline(always)]
fn transposed<T: Word>(plane: &Plane<T>) -> Plane<T> {
    let mut turned = *plane;
    for _ in 0..EDGE.ilog2() {
        let from = turned;
        for n in 0..FACE / 2 {
            turned[2 * n] = from[n];
            turned[2 * n + 1] = from[n + FACE / 2];
        }
    }
    turned
}

/// Distances as a field holds them: whether all are the same, and in 16 bits, if none that is less than `limit` needs more.
pub fn narrow<T: Word>(level: Level, distances: &Tile<T>, limit: u32, values: &mut Tile<u16>) -> Narrow {
    let mut narrow = Narrow { is_one: false, fits: false };
    simd::run(level, Tell { distances, limit, values, narrow: &mut narrow });
    narrow
}

/// What [`narrow`] found.
pub struct Narrow {
    /// All distances are the same.
    pub is_one: bool,
    /// The values hold them.
    pub fits: bool,
}

struct Tell<'a, T: Word> {
    distances: &'a Tile<T>,
    limit: u32,
    values: &'a mut Tile<u16>,
    narrow: &'a mut Narrow,
}

impl<T: Word> Kernel for Tell<'_, T> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let first = self.distances[0];
        let mut differ = T::default();
        self.distances.iter().for_each(|distance| differ = differ.or(distance.differs(first)));
        self.narrow.is_one = differ == T::default();
        if self.narrow.is_one {
            return;
        }
        let mut most = 0;
        for (value, distance) in self.values.iter_mut().zip(self.distances) {
            let wide = distance.widened();
            let is_none = *distance == T::NONE || wide >= self.limit;
            most = if is_none { most } else { wide.max(most) };
            *value = if is_none { u16::MAX } else { wide as u16 };
        }
        self.narrow.fits = most < u32::from(u16::MAX);
    }
}
