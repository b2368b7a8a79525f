//! One chunk as one mode sees it: what each voxel costs to enter, and which moves are legal.
//!
//! A body that walks is at a voxel if it fits there and stands, swims or holds on, or is a few voxels above such a place:
//! on its way up a step or down from an edge. Everything follows from rows of bits, so a chunk takes some ten microseconds.

use super::mode::{DROP_MAX, Footing, HEIGHT_MAX, Mode, WIDTH_MAX};
use crate::block::BlockId;
use crate::chunk::{Chunk, Form, zeroed};
use crate::label::bits::{Bits, ROWS};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::relax::{ABOVE, ALL, BELOW, Class, Classes, EXITS, Exits, FACES, Operator, Rules, RulesError, TENTHS};
use crate::space::LocalIndex;
use std::cell::RefCell;
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

/// By exit, what is added to a local index when it stays in the chunk.
pub(super) const DELTAS: [isize; 26] = {
    let mut deltas = [0; 26];
    let mut exit = 0;
    while exit < 26 {
        let [x, y, z] = EXITS[exit];
        deltas[exit] = (x + z * CHUNK_EDGE as i32 + y * (CHUNK_EDGE * CHUNK_EDGE) as i32) as isize;
        exit += 1;
    }
    deltas
};

/// By axis, the exits that lead to lower and to higher voxels.
const LEADING: [[u32; 2]; 3] = {
    let mut leading = [[0; 2]; 3];
    let mut exit = 0;
    while exit < 26 {
        let mut axis = 0;
        while axis < 3 {
            if EXITS[exit][axis] != 0 {
                leading[axis][(EXITS[exit][axis] > 0) as usize] |= 1 << exit;
            }
            axis += 1;
        }
        exit += 1;
    }
    leading
};

/// The exits from a voxel of a chunk that stay inside the cube with this edge, a power of two, that it lies in.
pub(super) const fn staying(local: usize, edge: usize) -> u32 {
    let at = [local, local >> 10, local >> 5];
    let (mut leaving, mut axis) = (0, 0);
    while axis < 3 {
        let place = at[axis] & (edge - 1);
        if place == 0 {
            leaving |= LEADING[axis][0];
        }
        if place == edge - 1 {
            leaving |= LEADING[axis][1];
        }
        axis += 1;
    }
    ALL & !leaving
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
                classes.iter().fold(u8::MAX, |least, class| least.min(class.wrapping_sub(1))).wrapping_add(1)
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

    /// The moves of a mode that are legal from a voxel, as a mask, whatever is beside it where all are.
    pub(super) fn open(&self, mode: &Mode, local: usize) -> u32 {
        mode.exits() & self.exits.as_ref().map_or(u32::MAX, |exits| exits[local])
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
    /// What costs more to be in than the cheapest of all blocks, which nearly all open voxels are.
    dear: Bits,
    /// Nobody can be in any of its voxels.
    is_shut: bool,
    /// Whether something in its lower and in its upper half can be stood on, swum in or held on to.
    ground: [bool; 2],
}

impl Footholds {
    /// Of one chunk.
    pub fn new(chunk: Arc<Chunk>, footings: &[Footing]) -> Self {
        let cheapest = cheapest(footings);
        let mut known = Vec::new();
        let mut bits = |is: &dyn Fn(&Footing) -> bool| told(&chunk, &mut known, footings.iter().map(is).collect());
        let open = bits(&|footing| footing.through > 0);
        let head = bits(&|footing| footing.through > 0 && footing.breathes);
        let floor = bits(&|footing| footing.on > 0);
        let floats = bits(&|footing| footing.floats);
        let holds = bits(&|footing| footing.holds);
        let dear = bits(&|footing| footing.through > cheapest);
        let has_ground = |half: usize| {
            let rows = (0..CHUNK_EDGE / 2).flat_map(|y| (0..CHUNK_EDGE).map(move |z| (y + half * CHUNK_EDGE / 2, z)));
            rows.into_iter().any(|(y, z)| floor.row(y, z) | floats.row(y, z) | holds.row(y, z) != 0)
        };
        Self {
            is_shut: open.is_empty(),
            ground: [has_ground(0), has_ground(1)],
            open,
            head,
            floor,
            floats,
            holds,
            dear,
            chunk,
        }
    }
}

/// The voxels whose block counts. Of what is asked about a chunk most has the same answer: it is known by what its blocks say.
fn told(chunk: &Chunk, known: &mut Vec<(Vec<bool>, Bits)>, counts: Vec<bool>) -> Bits {
    if chunk.form() == Form::U16 {
        return Bits::of(chunk, &counts);
    }
    let counts_here = |block: &BlockId| counts.get(usize::from(block.0)).copied().unwrap_or(false);
    let here: Vec<bool> = chunk.table().iter().map(counts_here).collect();
    for (there, bits) in known.iter() {
        if *there == here {
            return bits.clone();
        }
        if there.iter().zip(&here).all(|(there, here)| there != here) {
            return Bits(Box::new(bits.0.map(|row| !row)));
        }
    }
    let bits = Bits::of(chunk, &counts);
    known.push((here, bits.clone()));
    bits
}

/// The least that being in an open block costs.
fn cheapest(footings: &[Footing]) -> u8 {
    footings.iter().map(|footing| footing.through).filter(|through| *through > 0).min().unwrap_or(0)
}

/// How far around a chunk its ways look.
const PAD: usize = 16;
const SPAN: usize = CHUNK_EDGE + 2 * PAD;
const _: () = assert!(DROP_MAX as usize + 2 <= PAD, "the ground below a fall is seen");
const _: () =
    assert!(HEIGHT_MAX as usize + 2 <= PAD && WIDTH_MAX as usize + 2 <= PAD, "a body beside the chunk is seen");

/// Rows along x of a chunk and of what lies around it: bit `x + PAD` of row `(y + PAD, z + PAD)`.
struct Window(Box<Rows>);
type Rows = [u64; SPAN * SPAN];

/// Windows of one chunk, which its thread keeps for the next: to get the memory anew would take longer than to fill it.
const SPARE_MAX: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Window>> = const { RefCell::new(Vec::new()) };
}

impl Window {
    fn empty() -> Self {
        let mut window = Self::any();
        window.0.fill(0);
        window
    }

    /// With anything in it.
    fn any() -> Self {
        SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Self(zeroed()))
    }

    fn copy(&self) -> Self {
        let mut window = Self::any();
        *window.0 = *self.0;
        window
    }

    fn spare(self) {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MAX {
                spare.push(self)
            }
        });
    }

    /// From a chunk and the 26 around it, the step along x fastest, then z, then y.
    fn gather(around: &[Option<&Footholds>; 27], pick: impl Fn(&Footholds) -> &Bits) -> Self {
        const NOTHING: &[u32; ROWS] = &[0; ROWS];
        // Of the chunks before and behind only the half that is near is seen: its first row, and where that goes.
        const PARTS: [(usize, usize, usize); 3] =
            [(CHUNK_EDGE - PAD, 0, PAD), (0, PAD, CHUNK_EDGE), (0, PAD + CHUNK_EDGE, PAD)];
        let mut window = Self::any();
        for (dy, (y_from, y_to, layers)) in PARTS.into_iter().enumerate() {
            for (dz, (z_from, z_to, count)) in PARTS.into_iter().enumerate() {
                let part = |dx: usize| around[9 * dy + 3 * dz + dx].map_or(NOTHING, |there| &*pick(there).0);
                let parts = [0, 1, 2].map(part);
                for y in 0..layers {
                    let first = z_from + CHUNK_EDGE * (y_from + y);
                    let [before, here, behind] = parts.map(|rows| &rows[first..first + count]);
                    let to = (y_to + y) * SPAN + z_to;
                    for (n, row) in window.0[to..to + count].iter_mut().enumerate() {
                        *row = u64::from(before[n]) >> (CHUNK_EDGE - PAD)
                            | u64::from(here[n]) << PAD
                            | u64::from(behind[n]) << (PAD + CHUNK_EDGE);
                    }
                }
            }
        }
        window
    }

    /// The rows at one height.
    fn layer(&self, y: i32) -> &[u64; SPAN] {
        let first = (y + PAD as i32) as usize * SPAN;
        self.0[first..first + SPAN].try_into().expect("so many rows")
    }

    fn layer_mut(&mut self, y: i32) -> &mut [u64; SPAN] {
        let first = (y + PAD as i32) as usize * SPAN;
        (&mut self.0[first..first + SPAN]).try_into().expect("so many rows")
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
    fn widened(self, width: u8, join: impl Fn(u64, u64) -> u64) -> Self {
        if width == 1 {
            return self;
        }
        let mut wide = self.copy();
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
        self.spare();
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
        let top = y + i32::from(mode.height) - 1;
        let fits = fits.layer_mut(y);
        *fits = *head.layer(top);
        for y in y..top {
            fits.iter_mut().zip(open.layer(y)).for_each(|(fits, open)| *fits &= open);
        }
    }
    [open, head].into_iter().for_each(Window::spare);
    if !mode.walks() {
        let (stands, here, none) = (fits.copy(), fits.copy(), Window::empty());
        return Places { fits, stands, step: none.copy(), lower: none.copy(), safe: none, here };
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
        let (floor, floats, holds, fits) = (floor.layer(y - 1), floats.layer(y), holds.layer(y), fits.layer(y));
        for (n, row) in stands.layer_mut(y).iter_mut().enumerate() {
            *row = fits[n] & (floor[n] | floats[n] | holds[n]);
        }
    }
    [floor, floats, holds].into_iter().for_each(Window::spare);
    stands
}

/// The places above those where it stands, level by level.
fn above(mode: &Mode, fits: Window, stands: Window) -> Places {
    let (mut step, mut lower, mut safe) = (Window::empty(), stands.copy(), Window::empty());
    let mut here = stands.copy();
    let mut level = stands.copy();
    for height in 1..=mode.step_up.max(mode.drop) {
        let mut next = Window::empty();
        for y in Y.0 + 1..Y.1 - i32::from(HEIGHT_MAX) {
            let (fits, stands, level) = (fits.layer(y), stands.layer(y), level.layer(y - 1));
            for (n, row) in next.layer_mut(y).iter_mut().enumerate() {
                *row = fits[n] & !stands[n] & level[n];
            }
            let add = |places: &mut Window, is_told: bool| {
                if is_told {
                    places.layer_mut(y).iter_mut().zip(next.layer(y)).for_each(|(place, row)| *place |= row);
                }
            };
            add(&mut here, true);
            add(&mut step, height <= mode.step_up);
            add(&mut lower, height < mode.step_up);
            add(&mut safe, height <= mode.drop);
        }
        std::mem::replace(&mut level, next).spare();
    }
    level.spare();
    if mode.step_up == 0 {
        lower.0.fill(0);
    }
    Places { fits, stands, step, lower, safe, here }
}

impl Places {
    /// Gives the memory back for the next chunk.
    fn spare(self) {
        let Self { fits, stands, step, lower, safe, here } = self;
        [fits, stands, step, lower, safe, here].into_iter().for_each(Window::spare);
    }

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
    if rows(&places).next().is_none() {
        places.spare();
        return Ways::closed();
    }
    let classes = classes(mode, costs, &places, &Cost { mode, footings, around, places: &places });
    let exits = (mode.walks() || mode.diagonal).then(|| legal_exits(mode, &places));
    places.spare();
    Ways::new(Classes::Each(classes), exits, costs)
}

/// The 32 bits of a window's row that tell of the chunk itself.
const fn inside(row: u64) -> u32 {
    (row >> PAD) as u32
}

/// The rows of a chunk in which there are places, each with its first voxel and the places.
fn rows(places: &Places) -> impl Iterator<Item = (i32, i32, usize, u32)> {
    (0..CHUNK_EDGE * CHUNK_EDGE).filter_map(|row| {
        let (y, z) = ((row / CHUNK_EDGE) as i32, (row % CHUNK_EDGE) as i32);
        let here = inside(places.here.row(y, z));
        (here != 0).then_some((y, z, row * CHUNK_EDGE, here))
    })
}

/// By voxel, the class of what it costs to enter.
fn classes(mode: &Mode, costs: &Costs, places: &Places, cost: &Cost<'_>) -> Box<[u8; CHUNK_VOXELS]> {
    let cheapest = cheapest(cost.footings);
    let dear = Window::gather(cost.around, |there| &there.dear).widened(mode.width, |a, b| a | b);
    let mut classes = zeroed::<u8, CHUNK_VOXELS>();
    for (y, z, first, here) in rows(places) {
        let classes = &mut classes[first..first + CHUNK_EDGE];
        let is_dear = inside((y..y + i32::from(mode.height)).fold(0, |any, y| any | dear.row(y, z)));
        let stands = if mode.walks() { inside(places.stands.row(y, z)) } else { 0 };
        let usual = if mode.walks() { cheapest.max(mode.cost_in_air()) } else { cheapest };
        for x in bits(here & !is_dear & !stands) {
            classes[x as usize] = costs.class(usual);
        }
        for x in bits(here & is_dear) {
            classes[x as usize] = costs.class(cost.on(x as i32, y, z, cost.body(x as i32, y, z)));
        }
        for x in bits(stands & !is_dear) {
            classes[x as usize] = costs.class(cost.on(x as i32, y, z, cheapest));
        }
    }
    dear.spare();
    classes
}

/// By voxel, the moves that are legal from it.
fn legal_exits(mode: &Mode, places: &Places) -> Exits {
    let mut exits: Arc<[u32]> = std::iter::repeat_n(0, CHUNK_VOXELS).collect();
    let all = Arc::get_mut(&mut exits).expect("nobody else has it yet");
    for (y, z, first, _) in rows(places) {
        let row = &mut all[first..first + CHUNK_EDGE];
        for exit in bits(mode.exits()) {
            for x in bits(inside(places.legal(mode, exit as usize, y, z))) {
                row[x as usize] |= 1 << exit;
            }
        }
    }
    Exits::try_from(exits).unwrap_or_else(|_| unreachable!("one for each voxel"))
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
        let chunk = 13 + 9 * (y >> 5) + 3 * (z >> 5) + (x >> 5);
        let local = LocalIndex::from_xyz(x as usize, y as usize, z as usize);
        let block = self.around[chunk as usize].map(|there| there.chunk.get(local));
        block.and_then(|block| self.footings.get(usize::from(block.0))).copied().unwrap_or_default()
    }

    /// The voxels at a height that the body is over.
    fn under(&self, x: i32, y: i32, z: i32) -> impl Iterator<Item = Footing> {
        let width = i32::from(self.mode.width);
        (0..width).flat_map(move |dz| (0..width).map(move |dx| self.footing(x + dx, y, z + dz)))
    }

    /// The dearest of what the body is in.
    fn body(&self, x: i32, y: i32, z: i32) -> u8 {
        let all = (y..y + i32::from(self.mode.height)).flat_map(|y| self.under(x, y, z));
        all.map(|footing| footing.through).max().unwrap_or(0)
    }

    /// The dearer of what the body is in and what it stands on.
    fn on(&self, x: i32, y: i32, z: i32, body: u8) -> u8 {
        if !self.mode.walks() {
            return body;
        }
        // In the air it may hang over ground that it does not stand on.
        let stands = self.places.stands.row(y, z) >> (x + PAD as i32) & 1 == 1;
        let ground = || self.under(x, y - 1, z).map(|footing| footing.on).max().filter(|on| *on > 0);
        body.max(stands.then(ground).flatten().unwrap_or(self.mode.cost_in_air()))
    }
}
const _: () = assert!(CHUNK_EDGE == 32, "a voxel's chunk is told by the bits above the fifth");

/// The numbers of the bits that are set, the lowest first.
pub(super) fn bits(mask: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(mask), |rest| Some(rest & rest.wrapping_sub(1)))
        .take_while(|rest| *rest != 0)
        .map(u32::trailing_zeros)
}

const _: () = assert!(FACES == 63, "exits over faces come first");
