//! One tick of all agents of a crowd: proposals, then by voxel the lowest numbers win, then all move at once.
//!
//! What an agent does depends on where all of them stood at the start, never on who was looked at first: so the answer is the
//! same for any number of threads and any order of agents.

use super::guide::{Count, Guides, Place, Sign};
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
    /// More want to enter that voxel than there is room for.
    Contends,
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

const _: () =
    assert!(26 * AGENTS_PER_VOXEL < 1 << 8, "all around a voxel may want to enter it, and a byte counts them");

/// What a tick works with, kept so that it asks for no memory. It means nothing between ticks.
#[derive(Default)]
pub struct Scratch {
    wishes: Vec<Wish>,
    contenders: Vec<(Place, u32, u32)>,
    /// Voxels dug in the last tick, ascending.
    pub dug: Vec<Place>,
}

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
    let Scratch { wishes, contenders, dug } = scratch;
    wishes.resize(agents.len(), NO_WISH);
    agents.places.par_chunks(PART).for_each(|places| {
        places.iter().filter_map(|place| guides.count(*place)).for_each(Count::add_here);
    });
    let known = (agents.numbers.par_chunks(PART), agents.places.par_chunks(PART), agents.progress.par_chunks_mut(PART));
    (known, wishes.par_chunks_mut(PART)).into_par_iter().for_each(|((numbers, places, progress), wishes)| {
        let batches = numbers.chunks(BATCH).zip(places.chunks(BATCH)).zip(progress.chunks_mut(BATCH));
        for (((numbers, places), progress), wishes) in batches.zip(wishes.chunks_mut(BATCH)) {
            wish_all(guides, pace, numbers, places, progress, wishes);
        }
    });
    contend(guides, wishes);
    judge(guides, &agents.numbers, wishes, contenders, dug);
    let tally = settle(guides, agents, wishes);
    if tally.arrived > 0 {
        agents.remove(wishes);
    }
    tally
}

/// Agents whose signs are read before any of them is thought about, so that memory is waited for once and not for each.
const BATCH: usize = 128;

fn wish_all(guides: &Guides, pace: Pace, numbers: &[u32], places: &[Place], progress: &mut [u32], wishes: &mut [Wish]) {
    let mut signs = [Sign::CLOSED; BATCH];
    signs.iter_mut().zip(places).for_each(|(sign, place)| *sign = guides.sign(*place));
    let mut first = [(NOWHERE, NO_EXIT, Sign::CLOSED); BATCH];
    for (n, first) in (0..numbers.len()).zip(&mut first) {
        let best = signs[n].best();
        let exit = if best == 0 { 0 } else { begin(best, turn(numbers[n], places[n])) };
        let to = if best == 0 { None } else { guides.grid().beside(places[n], exit) };
        *first = (to.unwrap_or(NOWHERE), exit as u8, to.map_or(Sign::CLOSED, |to| guides.sign(to)));
    }
    for n in 0..numbers.len() {
        let (to, exit, sign) = first[n];
        let has_room = |to| guides.count(to).is_some_and(|count| count.here() < AGENTS_PER_VOXEL);
        if sign.cost() > 0 && !signs[n].is_goal() && has_room(to) {
            // The usual case: the first choice will do.
            let gathered = progress[n].saturating_add(pace.speed);
            let price = pace.price(sign.cost(), exit);
            let fate = match gathered >= price {
                false => Fate::Gathers,
                true if sign.is_solid() => Fate::Digs,
                true => Fate::Goes,
            };
            progress[n] = gathered.min(price);
            let to = if fate == Fate::Gathers { NOWHERE } else { to };
            wishes[n] = Wish { fate, exit, is_goal: sign.is_goal(), to, price };
        } else {
            (wishes[n], progress[n]) = wish(guides, pace, numbers[n], places[n], signs[n], progress[n]);
        }
    }
    let going = wishes.iter().filter(|wish| wish.fate == Fate::Goes);
    going.filter_map(|wish| guides.count(wish.to)).for_each(Count::add_wanted);
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
        let there = guides.sign(to);
        if there.cost() == 0 {
            continue;
        }
        let price = pace.price(there.cost(), exit as u8);
        dearest = dearest.max(price);
        if guides.count(to).is_none_or(|count| count.here() >= AGENTS_PER_VOXEL) {
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

/// The exit of a mask, which is not empty, that `turn` picks.
fn begin(mask: u32, turn: u32) -> u32 {
    match mask.count_ones() {
        1 => mask.trailing_zeros(),
        count => (0..turn % count).fold(mask, |left, _| left & (left - 1)).trailing_zeros(),
    }
}

/// The exits of a mask, beginning at the one that `turn` picks and going round.
fn in_turn(mask: u32, turn: u32) -> impl Iterator<Item = u32> {
    let upper = if mask == 0 { 0 } else { mask & (u32::MAX << begin(mask, turn)) };
    let mut parts = [upper, mask & !upper];
    std::iter::from_fn(move || {
        let part = parts.iter_mut().find(|part| **part != 0)?;
        let exit = part.trailing_zeros();
        *part &= *part - 1;
        Some(exit)
    })
}

/// Finds those who want to enter where there is not enough room for all who do.
fn contend(guides: &Guides, wishes: &mut [Wish]) {
    wishes.par_chunks_mut(PART).for_each(|wishes| {
        for wish in wishes.iter_mut().filter(|wish| wish.fate == Fate::Goes) {
            let crowds = |count: Count<'_>| count.wanted() + count.here() > AGENTS_PER_VOXEL;
            if guides.count(wish.to).is_some_and(crowds) {
                wish.fate = Fate::Contends;
            }
        }
    });
}

/// By voxel the lowest numbers enter, as many as there is room for, and the lowest one digs.
fn judge(
    guides: &Guides,
    numbers: &[u32],
    wishes: &mut [Wish],
    contenders: &mut Vec<(Place, u32, u32)>,
    dug: &mut Vec<Place>,
) {
    contenders.clear();
    dug.clear();
    let open = wishes.iter().zip(numbers).zip(0..);
    let open = open.filter(|((wish, _), _)| matches!(wish.fate, Fate::Contends | Fate::Digs));
    contenders.extend(open.map(|((wish, number), index)| (wish.to, *number, index)));
    contenders.par_sort_unstable();
    for group in contenders.chunk_by(|a, b| a.0 == b.0) {
        let (to, _, first) = group[0];
        let is_solid = wishes[first as usize].fate == Fate::Digs;
        let room = if is_solid { 1 } else { AGENTS_PER_VOXEL.saturating_sub(guides.count(to).map_or(0, Count::here)) };
        if is_solid {
            dug.push(to);
        }
        for (rank, (.., index)) in group.iter().enumerate() {
            let fate = &mut wishes[*index as usize].fate;
            *fate = match fate {
                _ if rank >= room => Fate::Waits,
                Fate::Digs => Fate::Digs,
                _ => Fate::Goes,
            };
        }
    }
}

/// Moves everybody who goes, lets those who go or dig pay, and leaves nothing counted.
fn settle(guides: &Guides, agents: &mut Agents, wishes: &mut [Wish]) -> Tally {
    let known =
        (agents.places.par_chunks_mut(PART), agents.progress.par_chunks_mut(PART), agents.exits.par_chunks_mut(PART));
    let parts = (known, wishes.par_chunks_mut(PART)).into_par_iter().map(|((places, progress, exits), wishes)| {
        let mut tally = Tally::default();
        for n in 0..places.len() {
            let wish = &mut wishes[n];
            guides.count(places[n]).into_iter().for_each(Count::forget);
            if wish.to != NOWHERE {
                guides.count(wish.to).into_iter().for_each(Count::forget);
            }
            match wish.fate {
                Fate::Waits => tally.waiting += 1,
                Fate::Lost => tally.lost += 1,
                Fate::Arrives => tally.arrived += 1,
                Fate::Digs => {
                    progress[n] -= wish.price;
                    tally.dug += 1;
                }
                Fate::Goes => {
                    progress[n] -= wish.price;
                    (places[n], exits[n]) = (wish.to, wish.exit);
                    tally.moved += 1;
                    if wish.is_goal {
                        wish.fate = Fate::Arrives;
                        tally.arrived += 1;
                    }
                }
                Fate::Gathers | Fate::Contends => {}
            }
        }
        tally
    });
    parts.reduce(Tally::default, Tally::plus)
}
