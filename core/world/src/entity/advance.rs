//! One tick of all agents of a crowd: proposals, then by voxel the lowest numbers win, then all move at once.
//!
//! What an agent does depends on where all of them stood at the start, never on who was looked at first: so the answer is the
//! same for any number of threads and any order of agents.

use super::guide::{Guides, Place, Sign};
use crate::digest::mix;
use crate::limits::AGENTS_PER_VOXEL;
use rayon::prelude::*;

/// What an agent has to gather for one unit of cost: its progress counts in these.
pub const UNIT: u32 = 256;

/// What a unit of cost takes over a face, an edge and a corner, in steps whose length counts.
const LENGTHS: [u32; 3] = [UNIT, UNIT * 14 / 10, UNIT * 17 / 10];

/// Agents that one task looks at.
const PART: usize = 4_096;

/// Agents, a column for each thing that is known of them; all are equally long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agents {
    /// Their numbers in their crowd; none twice.
    pub numbers: Vec<u32>,
    /// Where they are.
    pub places: Vec<Place>,
    /// What they have gathered for their next step, in [`UNIT`]s of cost.
    pub progress: Vec<u32>,
    /// The exits they took last; [`NO_EXIT`] if none.
    pub exits: Vec<u8>,
}

/// An agent that has not moved yet.
pub const NO_EXIT: u8 = u8::MAX;

impl Agents {
    /// Adds one that has not moved yet.
    pub fn push(&mut self, number: u32, place: Place) {
        self.push_moving(number, place, 0, NO_EXIT);
    }

    /// Adds one that is on its way.
    pub fn push_moving(&mut self, number: u32, place: Place, progress: u32, exit: u8) {
        self.numbers.push(number);
        self.places.push(place);
        self.progress.push(progress);
        self.exits.push(exit);
    }

    /// How many.
    pub const fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Takes out those who arrive; the others keep their order.
    fn remove(&mut self, wishes: &[Wish]) {
        let mut kept = 0;
        for index in (0..self.len()).filter(|index| wishes[*index].fate != Fate::Arrives) {
            self.numbers[kept] = self.numbers[index];
            self.places[kept] = self.places[index];
            self.progress[kept] = self.progress[index];
            self.exits[kept] = self.exits[index];
            kept += 1;
        }
        self.numbers.truncate(kept);
        self.places.truncate(kept);
        self.progress.truncate(kept);
        self.exits.truncate(kept);
    }
}

/// How fast the agents of a crowd are, and what lengths of steps mean to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What an agent gathers in a tick, in [`UNIT`]s of cost.
    pub speed: u32,
    /// Whether steps over edges and corners cost more than those over faces.
    pub lengths: bool,
}

impl Pace {
    /// What a step takes.
    fn price(self, cost: u8, exit: u8) -> u32 {
        let length = match exit {
            0..6 => LENGTHS[0],
            6..18 => LENGTHS[1],
            _ => LENGTHS[2],
        };
        u32::from(cost) * if self.lengths { length } else { UNIT }
    }
}

/// What becomes of an agent in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has not gathered enough yet.
    Gathers,
    /// There is no room for it.
    Waits,
    /// No way leads to a goal.
    Lost,
    /// It is at a goal.
    Arrives,
    /// It enters another voxel.
    Goes,
    /// It takes away the voxel that it wants to enter.
    Digs,
}

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Agents that entered another voxel, those who arrived by it included.
    pub moved: u64,
    /// Agents that could pay their next step and found no room.
    pub waiting: u64,
    /// Agents from which no way leads to a goal.
    pub lost: u64,
    /// Agents that arrived and left the crowd.
    pub arrived: u64,
    /// Voxels that were dug.
    pub dug: u64,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            moved: self.moved + other.moved,
            waiting: self.waiting + other.waiting,
            lost: self.lost + other.lost,
            arrived: self.arrived + other.arrived,
            dug: self.dug + other.dug,
        }
    }
}

/// What a tick works with, kept so that it asks for no memory. It means nothing between ticks.
#[derive(Default)]
pub struct Scratch {
    wishes: Vec<Wish>,
    /// By part of the agents those who contend.
    parts: Vec<Vec<Contender>>,
    contenders: Vec<Contender>,
    /// Voxels dug in the last tick, ascending.
    pub dug: Vec<Place>,
}

/// One who wants to enter where there may not be room for all, or to dig: from the highest bit 32 of unused, 32 of the place, 32 of
/// its number, 32 of where it is among the agents. So they are sorted by one comparison each.
type Contender = u128;

/// No place.
const NOWHERE: Place = Place::MAX;

/// What an agent would do if it were alone, and then what it does.
#[derive(Debug, Clone, Copy)]
struct Wish {
    fate: Fate,
    exit: u8,
    /// The voxel it wants to enter is a goal.
    is_goal: bool,
    to: Place,
    /// What it pays.
    price: u32,
}

const NO_WISH: Wish = Wish { fate: Fate::Lost, exit: NO_EXIT, is_goal: false, to: NOWHERE, price: 0 };

/// Moves all agents one tick on. Each gathers its speed, and if that pays for the step that it wants, enters one voxel:
/// of the ways that cost least in all one by a hash of its number and place, and if there is no room, another of them, or one
/// over a face after which less is left to pay. Nobody enters a voxel with [`AGENTS_PER_VOXEL`] in it at the tick's start,
/// and never more do than fit.
///
/// Every agent has to be in a chunk whose guide has been made, as have the chunks beside it.
pub fn advance(guides: &Guides, pace: Pace, agents: &mut Agents, scratch: &mut Scratch) -> Tally {
    let Scratch { wishes, parts, contenders, dug } = scratch;
    wishes.resize(agents.len(), NO_WISH);
    parts.resize_with(agents.len().div_ceil(PART), Vec::new);
    agents.places.par_chunks(PART).for_each(|places| places.iter().for_each(|place| guides.add_here(*place)));
    let known = (agents.numbers.par_chunks(PART), agents.places.par_chunks(PART), agents.progress.par_chunks_mut(PART));
    (known, wishes.par_chunks_mut(PART)).into_par_iter().for_each(|((numbers, places, progress), wishes)| {
        let batches = numbers.chunks(BATCH).zip(places.chunks(BATCH)).zip(progress.chunks_mut(BATCH));
        for (((numbers, places), progress), wishes) in batches.zip(wishes.chunks_mut(BATCH)) {
            wish_all(guides, pace, numbers, places, progress, wishes);
        }
    });
    let mut tally = settle_all(guides, agents, wishes, parts);
    contenders.clear();
    parts.iter().for_each(|part| contenders.extend_from_slice(part));
    contenders.par_sort_unstable();
    judge(guides, agents, wishes, contenders, dug, &mut tally);
    if tally.arrived > 0 {
        agents.remove(wishes);
    }
    tally
}

/// Agents whose signs are read before any of them is thought about, so that memory is waited for once and not for each.
const BATCH: usize = 128;
const _: () = assert!(BATCH <= 1 << u8::BITS, "a byte tells who of a batch it is");

/// The first choice of an agent, and what is known of where that leads.
#[derive(Clone, Copy)]
struct First {
    to: Place,
    exit: u8,
    sign: Sign,
    here: usize,
}

const NO_FIRST: First = First { to: NOWHERE, exit: NO_EXIT, sign: Sign::CLOSED, here: 0 };

/// What some agents want. What is unforeseeable in it is written to lists and worked off after: a branch would be guessed wrong.
fn wish_all(guides: &Guides, pace: Pace, numbers: &[u32], places: &[Place], progress: &mut [u32], wishes: &mut [Wish]) {
    let len = numbers.len();
    let (places, progress, wishes) = (&places[..len], &mut progress[..len], &mut wishes[..len]);
    let mut signs = [Sign::CLOSED; BATCH];
    signs.iter_mut().zip(places).for_each(|(sign, place)| *sign = guides.sign(*place));
    let mut firsts = [NO_FIRST; BATCH];
    for (n, first) in (0..len).zip(&mut firsts) {
        *first = first_choice(guides, signs[n], numbers[n], places[n]);
    }
    let (mut others, mut going) = (List::NEW, List::NEW);
    for (n, First { to, exit, sign, here }) in (0..len).zip(firsts) {
        let will_do = (sign.cost() > 0) & (here < AGENTS_PER_VOXEL);
        let gathered = progress[n].saturating_add(pace.speed);
        let price = pace.price(sign.cost(), exit);
        let pays = gathered >= price;
        let fate = match (pays, sign.is_solid()) {
            (false, _) => Fate::Gathers,
            (true, true) => Fate::Digs,
            (true, false) => Fate::Goes,
        };
        wishes[n] = Wish { fate, exit, is_goal: sign.is_goal(), to, price };
        progress[n] = if will_do { gathered.min(price) } else { progress[n] };
        others.push_if(n, !will_do);
        going.push_if(n, will_do & pays & !sign.is_solid());
    }
    for n in others.iter() {
        (wishes[n], progress[n]) = wish(guides, pace, numbers[n], places[n], signs[n], progress[n]);
        going.push_if(n, wishes[n].fate == Fate::Goes);
    }
    going.iter().for_each(|n| guides.add_wanted(wishes[n].to));
}

/// Some of a batch.
struct List {
    members: [u8; BATCH],
    len: usize,
}

impl List {
    const NEW: Self = Self { members: [0; BATCH], len: 0 };

    /// Adds one, without a branch. No more may be added than a batch has.
    fn push_if(&mut self, n: usize, is_in: bool) {
        self.members[self.len % BATCH] = n as u8;
        self.len += usize::from(is_in);
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.members[..self.len].iter().map(|n| usize::from(*n))
    }
}

/// What an agent would do first. At a goal, and where nothing leads on, it is nothing.
fn first_choice(guides: &Guides, sign: Sign, number: u32, place: Place) -> First {
    if sign.choices() == 0 {
        return NO_FIRST;
    }
    let exit = begin(sign.best(), sign.choices(), turn(number, place));
    guides.grid().beside(place, exit).map_or(NO_FIRST, |to| {
        let (sign, count) = guides.sign_and_count(to);
        First { to, exit: exit as u8, sign, here: count.here() }
    })
}

/// The same for one whose first choice will not do: what it wants, and what it has gathered for that.
fn wish(guides: &Guides, pace: Pace, number: u32, place: Place, sign: Sign, progress: u32) -> (Wish, u32) {
    let stays = |fate, progress| (Wish { fate, ..NO_WISH }, progress);
    if sign.is_goal() {
        return stays(Fate::Arrives, progress);
    }
    let gathered = progress.saturating_add(pace.speed);
    let turn = turn(number, place);
    let mut dearest = 0;
    for exit in in_turn(sign.best(), turn).chain(in_turn(sign.lower() & !sign.best(), turn)) {
        let Some(to) = guides.grid().beside(place, exit) else { continue };
        let (there, count) = guides.sign_and_count(to);
        if there.cost() == 0 {
            continue;
        }
        let price = pace.price(there.cost(), exit as u8);
        dearest = dearest.max(price);
        if count.here() >= AGENTS_PER_VOXEL {
            continue;
        }
        let fate = match there.is_solid() {
            _ if gathered < price => return stays(Fate::Gathers, gathered),
            true => Fate::Digs,
            false => Fate::Goes,
        };
        let wish = Wish { fate, exit: exit as u8, is_goal: there.is_goal(), to, price };
        return (wish, price);
    }
    // Nobody saves up more than one step costs.
    match dearest {
        0 => stays(Fate::Lost, progress),
        dearest if gathered < dearest => stays(Fate::Gathers, gathered),
        dearest => stays(Fate::Waits, dearest),
    }
}

/// Where an agent begins among exits that are as good as each other.
pub const fn turn(number: u32, place: Place) -> u32 {
    mix((number as u64) << 32 | place as u64) as u32
}

/// By count what 2^64 is divided by it, rounded up: the rest of a division is had by two multiplications (Lemire, Kaser, Kurz:
/// Faster Remainder by Direct Computation, 2019).
const RECIPROCALS: [u64; 27] = {
    let mut all = [0; 27];
    let mut count = 1;
    while count < all.len() {
        all[count] = (u64::MAX / count as u64).wrapping_add(1);
        count += 1;
    }
    all
};

/// The exit of a mask that `turn` picks. `count` exits are in it, one at least.
#[inline]
fn begin(mask: u32, count: u32, turn: u32) -> u32 {
    let part = RECIPROCALS[count as usize].wrapping_mul(turn.into());
    let skipped = (u128::from(part) * u128::from(count) >> u64::BITS) as u32;
    let without = |mask: u32| mask & mask.wrapping_sub(1);
    // Nearly always it is one of the first three.
    let mask = if skipped > 0 { without(mask) } else { mask };
    let mask = if skipped > 1 { without(mask) } else { mask };
    (2..skipped).fold(mask, |mask, _| without(mask)).trailing_zeros()
}

/// The exits of a mask, beginning at the one that `turn` picks and going round.
fn in_turn(mask: u32, turn: u32) -> impl Iterator<Item = u32> {
    let upper = if mask == 0 { 0 } else { mask & (u32::MAX << begin(mask, mask.count_ones(), turn)) };
    let mut parts = [upper, mask & !upper];
    std::iter::from_fn(move || {
        let part = parts.iter_mut().find(|part| **part != 0)?;
        let exit = part.trailing_zeros();
        *part &= *part - 1;
        Some(exit)
    })
}

/// Moves everybody who goes where there is room for all who want to, and leaves nothing counted there. Who contends is told by
/// part of the agents.
fn settle_all(guides: &Guides, agents: &mut Agents, wishes: &mut [Wish], parts: &mut [Vec<Contender>]) -> Tally {
    let columns = (
        agents.numbers.par_chunks(PART),
        agents.places.par_chunks_mut(PART),
        agents.progress.par_chunks_mut(PART),
        agents.exits.par_chunks_mut(PART),
    );
    let all = (columns, wishes.par_chunks_mut(PART), parts).into_par_iter().zip(0..agents.numbers.len().div_ceil(PART));
    let tallies = all.map(|(((numbers, places, progress, exits), wishes, contenders), part)| {
        contenders.clear();
        let mut tally = Tally::default();
        for first in (0..numbers.len()).step_by(BATCH) {
            let range = first..numbers.len().min(first + BATCH);
            let (places, progress) = (&mut places[range.clone()], &mut progress[range.clone()]);
            let (exits, wishes) = (&mut exits[range.clone()], &mut wishes[range.clone()]);
            let contending = settle(guides, places, progress, exits, wishes, &mut tally);
            contenders.extend(contending.iter().map(|n| {
                let index = part * PART + first + n;
                Contender::from(wishes[n].to) << 64 | Contender::from(numbers[first + n]) << 32 | index as Contender
            }));
        }
        tally
    });
    tallies.reduce(Tally::default, Tally::plus)
}

/// The same for a batch; gives those who contend.
fn settle(
    guides: &Guides,
    places: &mut [Place],
    progress: &mut [u32],
    exits: &mut [u8],
    wishes: &mut [Wish],
    tally: &mut Tally,
) -> List {
    let len = places.len();
    let (progress, exits, wishes) = (&mut progress[..len], &mut exits[..len], &mut wishes[..len]);
    let mut contending = List::NEW;
    for n in 0..len {
        let wish = &mut wishes[n];
        guides.clear_uncrowded(places[n]);
        let wants = wish.fate == Fate::Goes;
        let goes = wants && !guides.clear_uncrowded(wish.to);
        contending.push_if(n, wants & !goes | (wish.fate == Fate::Digs));
        progress[n] -= if goes { wish.price } else { 0 };
        places[n] = if goes { wish.to } else { places[n] };
        exits[n] = if goes { wish.exit } else { exits[n] };
        let arrives = goes & wish.is_goal | (wish.fate == Fate::Arrives);
        tally.moved += u64::from(goes);
        tally.waiting += u64::from(wish.fate == Fate::Waits);
        tally.lost += u64::from(wish.fate == Fate::Lost);
        tally.arrived += u64::from(arrives);
        wish.fate = if arrives { Fate::Arrives } else { wish.fate };
    }
    contending
}

/// Moves the lowest numbers of those who contend for a voxel, as many as there is room for, and has the lowest one dig; the
/// others wait. Leaves nothing counted.
fn judge(
    guides: &Guides,
    agents: &mut Agents,
    wishes: &mut [Wish],
    contenders: &[Contender],
    dug: &mut Vec<Place>,
    tally: &mut Tally,
) {
    dug.clear();
    for group in contenders.chunk_by(|a, b| a >> 64 == b >> 64) {
        let (to, first) = ((group[0] >> 64) as Place, group[0] as u32);
        let is_solid = wishes[first as usize].fate == Fate::Digs;
        let (_, count) = guides.sign_and_count(to);
        let room = if is_solid { 1 } else { AGENTS_PER_VOXEL.saturating_sub(count.here()) };
        guides.clear(to);
        tally.waiting += group.len().saturating_sub(room) as u64;
        for n in group.iter().take(room).map(|contender| *contender as u32 as usize) {
            let wish = &mut wishes[n];
            agents.progress[n] -= wish.price;
            if is_solid {
                dug.push(to);
                tally.dug += 1;
                continue;
            }
            (agents.places[n], agents.exits[n]) = (to, wish.exit);
            tally.moved += 1;
            if wish.is_goal {
                wish.fate = Fate::Arrives;
                tally.arrived += 1;
            }
        }
    }
}
