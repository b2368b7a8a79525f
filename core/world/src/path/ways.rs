//! One chunk as one mode sees it: what each voxel costs to enter, and which moves are legal.
//!
//! A body that walks is at a voxel if it fits there and stands, swims or holds on, or is a few voxels above such a place:
//! on its way up a step or down from an edge. Everything follows from rows of bits, so a chunk takes some ten microseconds.

use super::mode::{DROP_MAX, Footing, HEIGHT_MAX, Mode, WIDTH_MAX};
use crate::block::BlockId;
use crate::chunk::{Chunk, zeroed};
use crate::label::bits::Bits;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::relax::{ABOVE, BELOW, Class, Classes, EXITS, Exits, FACES, Operator, Rules, RulesError, TENTHS};
use crate::space::LocalIndex;
use std::sync::Arc;

/// The first path cost that counts as none.
pub const COST_LIMIT: u32 = u32::MAX - 2;

/// Costs that one mode can tell apart.
pub const COSTS_MAX: usize = 127;

/// The class of a voxel that nobody can be in.
pub const CLOSED: u8 = 0;
/// The bit that a goal's class has.
const GOAL: u8 = 1 << 7;
const _: () = assert!(COSTS_MAX < GOAL as usize, "a cost and a goal are told by one byte");

/// The classes of a mode's costs: 0 is closed, then one for each cost, and behind them the same for goals.
#[derive(Debug, Clone)]
pub struct Costs {
    rules: Arc<Rules>,
    class_of: [u8; 256],
    cost_of: [u8; 256],
}

impl Costs {
    /// For all costs that a mode can pay. Where they fit, a cost and its class are the same number.
    ///
    /// `limit` is the first cost that can't be told, [`COST_LIMIT`] at most.
    ///
    /// # Errors
    /// There are more than [`COSTS_MAX`] different ones.
    pub fn new(mode: &Mode, footings: &[Footing], limit: u32) -> Result<Self, RulesError> {
        let mut paid: Vec<u8> = footings.iter().flat_map(|footing| [footing.through, footing.on]).collect();
        paid.push(mode.cost_in_air());
        paid.sort_unstable();
        paid.dedup();
        paid.retain(|cost| *cost > 0);
        if paid.len() > COSTS_MAX {
            return Err(RulesError::TooMany(paid.len()));
        }
        if paid.last().is_none_or(|most| usize::from(*most) <= COSTS_MAX) {
            // Then a tile is filled without looking up.
            paid = (1..=COSTS_MAX as u8).collect();
        }
        let (mut class_of, mut cost_of) = ([CLOSED; 256], [0; 256]);
        let mut classes = vec![Class::CLOSED; usize::from(GOAL) + paid.len() + 1];
        for (class, cost) in (1..).zip(&paid) {
            class_of[usize::from(*cost)] = class;
            let open = open_class(mode, *cost);
            let goal = class | GOAL;
            let source = if mode.diagonal { 0 } else { (*cost).into() };
            (classes[usize::from(class)], classes[usize::from(goal)]) = (open, Class { source, ..open });
            (cost_of[usize::from(class)], cost_of[usize::from(goal)]) = (*cost, *cost);
        }
        let rules = Rules::new(Operator::MinPlus, limit.min(COST_LIMIT), classes)?;
        let rules = Arc::new(if mode.diagonal { rules.with_giver_paying() } else { rules });
        Ok(Self { rules, class_of, cost_of })
    }

    /// The rules of the classes.
    pub const fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// The class of a cost that was counted in; 0 is closed.
    pub const fn class(&self, cost: u8) -> u8 {
        self.class_of[cost as usize]
    }

    /// What a class costs to enter; 0 if it is closed.
    pub const fn cost(&self, class: u8) -> u8 {
        self.cost_of[class as usize]
    }

    /// What a move through an exit into a voxel of a class costs.
    pub const fn step(&self, mode: &Mode, class: u8, exit: usize) -> u32 {
        let cost = self.cost(class) as u32;
        if !mode.diagonal {
            return cost;
        }
        let axes = if exit < 6 {
            0
        } else if exit < 18 {
            1
        } else {
            2
        };
        cost * TENTHS[axes] as u32
    }

    /// The same class for a goal. A closed voxel is none.
    pub const fn goal(&self, class: u8) -> u8 {
        if class == CLOSED { class } else { class | GOAL }
    }
}

/// A voxel takes from any neighbour what that costs, and adds its own cost: so what it holds is the cost of a path with both
/// ends counted.
fn open_class(mode: &Mode, cost: u8) -> Class {
    let mut class = Class { exits: mode.exits(), ..Class::CLOSED };
    for (exit, step) in EXITS.iter().enumerate() {
        let axes = step.iter().filter(|part| **part != 0).count();
        class.losses[exit] = if mode.diagonal { u16::from(cost) * TENTHS[axes - 1] } else { cost.into() };
    }
    class
}

/// What one mode may do in one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    /// By voxel, the class of what entering it costs.
    pub classes: Classes,
    /// By voxel, the moves that are legal from it; none if all between open voxels are.
    pub exits: Option<Exits>,
    /// The least that entering one of its voxels costs; [`u8::MAX`] if nobody gets in.
    pub least: u8,
}

impl Ways {
    fn new(classes: Classes, exits: Option<Exits>, costs: &Costs) -> Self {
        let least = match &classes {
            Classes::One(class) => *class,
            // Classes are in order of costs, the closed one before them all.
            Classes::Each(classes) => {
                classes.iter().map(|class| class.wrapping_sub(1)).min().unwrap_or(0).wrapping_add(1)
            }
        };
        Self { classes, exits, least: if least == CLOSED { u8::MAX } else { costs.cost(least) } }
    }

    /// Nobody gets in.
    pub const fn closed() -> Self {
        Self { classes: Classes::One(CLOSED), exits: None, least: u8::MAX }
    }

    /// Of a mode for which a voxel's block says everything.
    pub fn plain(chunk: &Chunk, costs: &Costs, footings: &[Footing]) -> Self {
        let class = |block: BlockId| {
            let footing = footings.get(usize::from(block.0)).or_else(|| footings.first());
            costs.class(footing.map_or(0, |footing| footing.through))
        };
        Self::new(Classes::of(chunk, class), None, costs)
    }

    /// Whether nobody can be anywhere in it.
    pub fn is_closed(&self) -> bool {
        self.classes == Classes::One(CLOSED)
    }
}

/// A chunk, and which of its blocks are what to a mode.
pub struct Footholds {
    chunk: Arc<Chunk>,
    open: Bits,
    head: Bits,
    floor: Bits,
    floats: Bits,
    holds: Bits,
    /// Nobody can be in any of its voxels.
    is_shut: bool,
    /// Whether something in its lower and in its upper half can be stood on, swum in or held on to.
    ground: [bool; 2],
}

impl Footholds {
    /// Of one chunk.
    pub fn new(chunk: Arc<Chunk>, footings: &[Footing]) -> Self {
        let bits = |is: fn(&Footing) -> bool| Bits::of(&chunk, &footings.iter().map(is).collect::<Vec<_>>());
        let open = bits(|footing| footing.through > 0);
        let [floor, floats, holds] =
            [bits(|footing| footing.on > 0), bits(|footing| footing.floats), bits(|footing| footing.holds)];
        let has_ground = |half: usize| {
            let rows = (0..CHUNK_EDGE / 2).flat_map(|y| (0..CHUNK_EDGE).map(move |z| (y + half * CHUNK_EDGE / 2, z)));
            rows.into_iter().any(|(y, z)| floor.row(y, z) | floats.row(y, z) | holds.row(y, z) != 0)
        };
        Self {
            is_shut: open.is_empty(),
            ground: [has_ground(0), has_ground(1)],
            head: bits(|footing| footing.through > 0 && footing.breathes),
            open,
            floor,
            floats,
            holds,
            chunk,
        }
    }
}

/// How far around a chunk its ways look.
const PAD: usize = 16;
const SPAN: usize = CHUNK_EDGE + 2 * PAD;
const _: () = assert!(DROP_MAX as usize + 2 <= PAD, "the ground below a fall is seen");
const _: () =
    assert!(HEIGHT_MAX as usize + 2 <= PAD && WIDTH_MAX as usize + 2 <= PAD, "a body beside the chunk is seen");

/// Rows along x of a chunk and of what lies around it: bit `x + PAD` of row `(y + PAD, z + PAD)`.
#[derive(Clone)]
struct Window(Box<[u64; SPAN * SPAN]>);

impl Window {
    fn empty() -> Self {
        Self(vec![0; SPAN * SPAN].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("the length is right")))
    }

    /// From a chunk and the 26 around it, the step along x fastest, then z, then y.
    fn gather(around: &[Option<&Footholds>; 27], pick: impl Fn(&Footholds) -> &Bits) -> Self {
        let mut window = Self::empty();
        for (row, at) in window.0.iter_mut().zip(0..) {
            let (y, z) = (at / SPAN + CHUNK_EDGE - PAD, at % SPAN + CHUNK_EDGE - PAD);
            let chunk = 9 * (y / CHUNK_EDGE) + 3 * (z / CHUNK_EDGE);
            let part = |dx: usize| {
                around[chunk + dx].map_or(0, |there| u64::from(pick(there).row(y % CHUNK_EDGE, z % CHUNK_EDGE)))
            };
            *row = part(0) >> (CHUNK_EDGE - PAD) | part(1) << PAD | part(2) << (PAD + CHUNK_EDGE);
        }
        window
    }

    #[inline]
    fn row(&self, y: i32, z: i32) -> u64 {
        self.0[(y + PAD as i32) as usize * SPAN + (z + PAD as i32) as usize]
    }

    #[inline]
    fn row_mut(&mut self, y: i32, z: i32) -> &mut u64 {
        &mut self.0[(y + PAD as i32) as usize * SPAN + (z + PAD as i32) as usize]
    }

    /// The row at a step from another: bit `x` tells of the voxel at `x` plus the step.
    #[inline]
    fn beside(&self, y: i32, z: i32, step: [i32; 3]) -> u64 {
        let row = self.row(y + step[1], z + step[2]);
        match step[0] {
            1 => row >> 1,
            -1 => row << 1,
            _ => row,
        }
    }

    /// Of a body `width` wide: bits at which `join` of all voxels under it, along x and z, is set.
    fn widened(&self, width: u8, join: impl Fn(u64, u64) -> u64) -> Self {
        let mut wide = self.clone();
        for y in Y.0..Y.1 {
            for z in Z.0..Z.1 {
                let mut row = self.row(y, z);
                for dz in 0..i32::from(width) {
                    for dx in 0..u32::from(width) {
                        row = join(row, self.row(y, z + dz) >> dx);
                    }
                }
                *wide.row_mut(y, z) = row;
            }
        }
        wide
    }
}

/// The rows that are looked at, along y and z.
const Y: (i32, i32) = (-(PAD as i32), (CHUNK_EDGE + HEIGHT_MAX as usize + 2) as i32);
const Z: (i32, i32) = (-2, (CHUNK_EDGE + 2) as i32);

/// Where a body may be.
struct Places {
    /// It fits.
    fits: Window,
    /// It stands, swims or holds on; for one that moves freely, it fits.
    stands: Window,
    /// It is one or more voxels above such a place: as high as a step.
    step: Window,
    /// Lower than that, so that it can still go up.
    lower: Window,
    /// No higher than it may fall.
    safe: Window,
    /// All of these.
    here: Window,
}

fn places(mode: &Mode, around: &[Option<&Footholds>; 27]) -> Places {
    let both = |a: u64, b: u64| a & b;
    let open = Window::gather(around, |there| &there.open).widened(mode.width, both);
    let head = Window::gather(around, |there| &there.head).widened(mode.width, both);
    let mut fits = Window::empty();
    for y in Y.0..Y.1 - i32::from(HEIGHT_MAX) {
        for z in Z.0..Z.1 {
            let top = y + i32::from(mode.height) - 1;
            *fits.row_mut(y, z) = (y..top).fold(head.row(top, z), |all, y| all & open.row(y, z));
        }
    }
    if !mode.walks() {
        let (stands, here, none) = (fits.clone(), fits.clone(), Window::empty());
        return Places { fits, stands, step: none.clone(), lower: none.clone(), safe: none, here };
    }
    let stands = standing(mode, around, &fits);
    above(mode, fits, stands)
}

fn standing(mode: &Mode, around: &[Option<&Footholds>; 27], fits: &Window) -> Window {
    let either = |a: u64, b: u64| a | b;
    let floor = Window::gather(around, |there| &there.floor).widened(mode.width, either);
    let floats = Window::gather(around, |there| &there.floats).widened(mode.width, either);
    let holds = Window::gather(around, |there| &there.holds).widened(mode.width, either);
    let mut stands = Window::empty();
    for y in Y.0 + 1..Y.1 - i32::from(HEIGHT_MAX) {
        for z in Z.0..Z.1 {
            let held = floor.row(y - 1, z) | floats.row(y, z) | holds.row(y, z);
            *stands.row_mut(y, z) = fits.row(y, z) & held;
        }
    }
    stands
}

/// The places above those where it stands, level by level.
fn above(mode: &Mode, fits: Window, stands: Window) -> Places {
    let (mut step, mut lower, mut safe) = (Window::empty(), stands.clone(), Window::empty());
    let mut here = stands.clone();
    let mut level = stands.clone();
    for height in 1..=mode.step_up.max(mode.drop) {
        let mut next = Window::empty();
        for y in Y.0 + 1..Y.1 - i32::from(HEIGHT_MAX) {
            for z in Z.0..Z.1 {
                let row = fits.row(y, z) & !stands.row(y, z) & level.row(y - 1, z);
                *next.row_mut(y, z) = row;
                *here.row_mut(y, z) |= row;
                if height <= mode.step_up {
                    *step.row_mut(y, z) |= row;
                }
                if height < mode.step_up {
                    *lower.row_mut(y, z) |= row;
                }
                if height <= mode.drop {
                    *safe.row_mut(y, z) |= row;
                }
            }
        }
        level = next;
    }
    if mode.step_up == 0 {
        lower = Window::empty();
    }
    Places { fits, stands, step, lower, safe, here }
}

impl Places {
    /// Where a move through an exit is legal, of the row at `y` and `z`.
    fn legal(&self, mode: &Mode, exit: usize, y: i32, z: i32) -> u64 {
        let step = EXITS[exit];
        let (stands, here) = (self.stands.row(y, z), self.here.row(y, z));
        let (stands_there, here_there) = (self.stands.beside(y, z, step), self.here.beside(y, z, step));
        if !mode.walks() {
            return here & here_there & self.uncut(y, z, step);
        }
        let safe_there = self.safe.beside(y, z, step);
        match exit {
            ABOVE => self.lower.row(y, z) & (stands_there | self.step.beside(y, z, step)) | stands & stands_there,
            BELOW => here & here_there,
            _ if step[1] == 0 && exit < 6 => stands & (stands_there | safe_there) | self.step.row(y, z) & stands_there,
            // Over edges and corners it goes from one place where it stands to another, or off an edge.
            _ if step[1] > 0 && mode.step_up == 0 => 0,
            _ if step[1] > 0 => stands & stands_there & self.uncut(y, z, step),
            _ if step[1] < 0 && mode.drop == 0 => 0,
            _ => stands & (stands_there | safe_there) & self.uncut(y, z, step),
        }
    }

    /// Where the body fits at every voxel that a move over an edge or a corner passes between.
    fn uncut(&self, y: i32, z: i32, step: [i32; 3]) -> u64 {
        let axes: u32 = (0..3).fold(0, |axes, axis| axes | u32::from(step[axis] != 0) << axis);
        let parts = (1..7u32).filter(|part| part & axes == *part && *part != axes);
        parts.fold(u64::MAX, |all, part| {
            let partial = std::array::from_fn(|axis| if part >> axis & 1 == 1 { step[axis] } else { 0 });
            all & self.fits.beside(y, z, partial)
        })
    }
}

/// The ways of the middle one of 27 chunks, the step along x fastest, then z, then y. A chunk that is not there is closed.
pub fn ways(mode: &Mode, costs: &Costs, footings: &[Footing], around: &[Option<&Footholds>; 27]) -> Ways {
    let Some(here) = around[13] else { return Ways::closed() };
    if here.is_shut || mode.walks() && has_no_ground(mode, around) {
        return Ways::closed();
    }
    let places = places(mode, around);
    let inside = |row: u64| (row >> PAD) as u32;
    let rows = || (0..CHUNK_EDGE as i32).flat_map(|y| (0..CHUNK_EDGE as i32).map(move |z| (y, z)));
    if rows().all(|(y, z)| inside(places.here.row(y, z)) == 0) {
        return Ways::closed();
    }
    let cost = Cost { mode, footings, around, places: &places };
    let mut classes = zeroed::<u8, CHUNK_VOXELS>();
    for (y, z) in rows() {
        for x in bits(inside(places.here.row(y, z))) {
            let local = LocalIndex::from_xyz(x as usize, y as usize, z as usize);
            classes[local.index()] = costs.class(cost.at(x as i32, y, z));
        }
    }
    let exits = (mode.walks() || mode.diagonal).then(|| {
        let mut exits = vec![0u32; CHUNK_VOXELS];
        for exit in bits(mode.exits()) {
            for (y, z) in rows() {
                let first = (z as usize + CHUNK_EDGE * y as usize) * CHUNK_EDGE;
                for x in bits(inside(places.legal(mode, exit as usize, y, z))) {
                    exits[first + x as usize] |= 1 << exit;
                }
            }
        }
        let exits: Arc<[u32]> = exits.into();
        Exits::try_from(exits).unwrap_or_else(|_| unreachable!("one for each voxel"))
    });
    Ways::new(Classes::Each(classes), exits, costs)
}

/// Whether there is nothing to stand on, to swim in or to hold on to in the middle one of 27 chunks, nor so little below it that a
/// body on its way up or down from there comes into it. Most chunks are such: rock, or the air.
fn has_no_ground(mode: &Mode, around: &[Option<&Footholds>; 27]) -> bool {
    // A body reaches along x and z from its least voxel.
    let under: &[usize] = if mode.width == 1 { &[0] } else { &[0, 1, 3, 4] };
    let ground = |chunk: usize| around[chunk].map_or([false; 2], |there| there.ground);
    under.iter().all(|step| ground(13 + step) == [false; 2] && !ground(4 + step)[1])
}
const _: () = assert!(PAD <= CHUNK_EDGE / 2, "only the upper half of a chunk is near enough to the next");

/// What a place costs to enter.
struct Cost<'a> {
    mode: &'a Mode,
    footings: &'a [Footing],
    around: &'a [Option<&'a Footholds>; 27],
    places: &'a Places,
}

impl Cost<'_> {
    fn footing(&self, x: i32, y: i32, z: i32) -> Footing {
        let edge = CHUNK_EDGE as i32;
        let chunk = 13 + 9 * y.div_euclid(edge) + 3 * z.div_euclid(edge) + x.div_euclid(edge);
        let part = |value: i32| value.rem_euclid(edge) as usize;
        let block =
            self.around[chunk as usize].map(|there| there.chunk.get(LocalIndex::from_xyz(part(x), part(y), part(z))));
        block.and_then(|block| self.footings.get(usize::from(block.0))).copied().unwrap_or_default()
    }

    /// The dearest of what the body is in and what it stands on.
    fn at(&self, x: i32, y: i32, z: i32) -> u8 {
        let (width, height) = (i32::from(self.mode.width), i32::from(self.mode.height));
        let under = |y: i32| (0..width).flat_map(move |dz| (0..width).map(move |dx| (x + dx, y, z + dz)));
        let body = (y..y + height).flat_map(under).map(|(x, y, z)| self.footing(x, y, z).through).max().unwrap_or(0);
        if !self.mode.walks() {
            return body;
        }
        // In the air it may hang over ground that it does not stand on.
        let stands = self.places.stands.row(y, z) >> (x + PAD as i32) & 1 == 1;
        let ground = under(y - 1).map(|(x, y, z)| self.footing(x, y, z).on).max().filter(|on| stands && *on > 0);
        body.max(ground.unwrap_or(self.mode.cost_in_air()))
    }
}

fn bits(mask: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(mask), |rest| Some(rest & rest.wrapping_sub(1)))
        .take_while(|rest| *rest != 0)
        .map(u32::trailing_zeros)
}

const _: () = assert!(FACES == 63, "exits over faces come first");
