//! One way between two voxels: A* over the ways of chunks, which are made as the search reaches them.
//!
//! Hart, Nilsson and Raphael, *A formal basis for the heuristic determination of minimum cost paths* (1968), with the estimate
//! stretched by a twentieth (Pohl 1970): a path found costs at most 1.05 times the best one.

use super::navigation::{Blocks, Navigation};
use super::smooth::smooth;
use super::ways::{CLOSED, Ways};
use super::{PathError, mode::Mode};
use crate::block::Registry;
use crate::limits::CHUNK_VOXELS;
use crate::physics::plan::beside;
use crate::relax::{EXITS, TENTHS};
use crate::space::{ChunkPos, LocalIndex, PlaceMap, VoxelPos};
use std::sync::Arc;

/// Voxels that one search may look at before it gives up.
pub const SEARCHED_MAX: u64 = 16 << 20;

/// A cost counts this much, and an estimate [`ESTIMATED`].
const PAID: u64 = 20;
const ESTIMATED: u64 = 21;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// How far it leads.
    pub end: End,
    /// Every voxel of the way, both ends included.
    pub voxels: Vec<VoxelPos>,
    /// Places in `voxels` between which straight lines are legal and cost no more.
    pub waypoints: Vec<usize>,
    /// What the way from waypoint to waypoint costs.
    pub cost: u64,
    /// Voxels that were looked at.
    pub searched: u64,
}

/// How far a way leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// To where it should.
    Goal,
    /// To the border of what is loaded, where the search would go on.
    Border,
    /// Nowhere: there is no way.
    Unreachable,
    /// Nowhere: the search gave up.
    TooFar,
}

const UNSEEN: u32 = u32::MAX;
/// Not asked for yet.
const UNKNOWN: u32 = u32::MAX;
/// Asked for, and not there.
const ABSENT: u32 = u32::MAX - 1;

/// What a search knows of a chunk.
struct Room {
    pos: ChunkPos,
    ways: Arc<Ways>,
    /// The rooms behind the six faces.
    beside: [u32; 6],
}

/// What a search has found out about the voxels of a chunk. Kept from one search to the next, cleared of what was touched.
struct Sheet {
    costs: Box<[u32]>,
    came_by: Box<[u8]>,
    touched: Vec<u16>,
}

impl Default for Sheet {
    fn default() -> Self {
        let (costs, came_by) = (vec![UNSEEN; CHUNK_VOXELS], vec![0; CHUNK_VOXELS]);
        Self { costs: costs.into(), came_by: came_by.into(), touched: Vec::new() }
    }
}

/// Room for searches, one after the other.
#[derive(Default)]
pub struct Searcher {
    rooms: Vec<Room>,
    numbers: PlaceMap<ChunkPos, u32>,
    sheets: Vec<Sheet>,
    queue: Buckets,
    /// Something costs more than can be told.
    overflowed: bool,
}

/// Estimates that have a bucket of their own at a time: those further on wait aside.
const BUCKETS: usize = 1 << 15;

/// Voxels that wait, by what a way through them would cost at least. Within one estimate the newest comes first.
#[derive(Default)]
struct Buckets {
    base: u64,
    first: usize,
    buckets: Vec<Vec<(u32, u32)>>,
    /// How many wait in buckets.
    near: usize,
    far: Vec<(u64, u32, u32)>,
}

impl Buckets {
    fn clear(&mut self, base: u64) {
        self.buckets.resize_with(BUCKETS, Vec::new);
        self.buckets.iter_mut().for_each(Vec::clear);
        self.far.clear();
        (self.base, self.first, self.near) = (base, 0, 0);
    }

    /// Puts in a voxel with what it has cost so far.
    fn push(&mut self, estimate: u64, node: u32, cost: u32) {
        let bucket = estimate.saturating_sub(self.base) as usize;
        if bucket >= BUCKETS {
            return self.far.push((estimate, node, cost));
        }
        self.buckets[bucket].push((node, cost));
        self.first = self.first.min(bucket);
        self.near += 1;
    }

    fn pop(&mut self) -> Option<(u32, u32)> {
        if self.near == 0 {
            self.base = self.far.iter().map(|(estimate, ..)| *estimate).min()?;
            self.first = BUCKETS;
            std::mem::take(&mut self.far)
                .into_iter()
                .for_each(|(estimate, node, cost)| self.push(estimate, node, cost));
        }
        self.near -= 1;
        while self.buckets[self.first].is_empty() {
            self.first += 1;
        }
        self.buckets[self.first].pop()
    }
}

/// What all steps of one search share.
struct Job<'a, 'b> {
    mode: &'a Mode,
    to: VoxelPos,
    least: u64,
    navigation: &'a mut Navigation,
    blocks: &'b mut dyn Blocks,
}

impl Searcher {
    /// Finds a way. Chunks that `blocks` does not have end it at a border.
    ///
    /// # Errors
    /// One of the ends is no place for the mode.
    pub fn route(
        &mut self,
        navigation: &mut Navigation,
        blocks: &mut dyn Blocks,
        registry: &Registry,
        from: VoxelPos,
        to: VoxelPos,
    ) -> Result<Route, PathError> {
        let is_there = |navigation: &mut Navigation, blocks: &mut dyn Blocks, at: VoxelPos| {
            navigation.ways(blocks, at.chunk()).is_some()
        };
        if navigation.cost(blocks, from).is_none() {
            return Err(navigation.refusal(blocks, registry, from));
        }
        let ends_outside = !is_there(navigation, blocks, to);
        if !ends_outside && navigation.cost(blocks, to).is_none() {
            return Err(navigation.refusal(blocks, registry, to));
        }
        let mode = navigation.mode().clone();
        let (end, last, searched) = loop {
            let least = u64::from(navigation.least());
            let mut job = Job { mode: &mode, to, least, navigation: &mut *navigation, blocks: &mut *blocks };
            let found = self.search(&mut job, from, ends_outside);
            // Where something cheaper turned up than the search had counted on, its estimates were too high.
            if u64::from(navigation.least()) == least {
                break found;
            }
        };
        let voxels = last.map_or_else(Vec::new, |last| self.trace(from, last));
        let mut step = |at: VoxelPos, exit: usize| navigation.step(blocks, at, exit);
        let (waypoints, cost) =
            if voxels.is_empty() { (Vec::new(), 0) } else { smooth(&voxels, mode.diagonal, &mut step) };
        Ok(Route { end, voxels, waypoints, cost, searched })
    }

    /// Where a search ended, at which voxel, and how many it looked at.
    fn search(&mut self, job: &mut Job<'_, '_>, from: VoxelPos, ends_outside: bool) -> (End, Option<VoxelPos>, u64) {
        self.reset();
        let mut border: Option<(u64, VoxelPos)> = None;
        let first = self.room(job, from.chunk()).expect("it has a cost");
        let start = first << 15 | from.local().index() as u32;
        self.queue.clear(ESTIMATED * estimate(job, from));
        self.see(start, 0, 0);
        self.queue.push(ESTIMATED * estimate(job, from), start, 0);
        let mut searched = 0;
        while let Some((node, cost)) = self.queue.pop() {
            if self.sheets[(node >> 15) as usize].costs[(node & 0x7fff) as usize] != cost {
                continue;
            }
            let pos = self.pos(node);
            if pos == job.to {
                return (End::Goal, Some(pos), searched);
            }
            let so_far = PAID * u64::from(cost) + ESTIMATED * estimate(job, pos);
            if ends_outside && border.is_some_and(|(least, _)| least <= so_far) {
                break;
            }
            searched += 1;
            if searched > SEARCHED_MAX {
                return (End::TooFar, None, searched);
            }
            if self.leave(job, node, pos, cost) && border.is_none_or(|best| (so_far, pos) < best) {
                border = Some((so_far, pos));
            }
        }
        match border {
            Some((_, pos)) => (End::Border, Some(pos), searched),
            None if self.overflowed => (End::TooFar, None, searched),
            None => (End::Unreachable, None, searched),
        }
    }

    /// Goes one step in every direction. Whether one of them leads out of what is loaded.
    fn leave(&mut self, job: &mut Job<'_, '_>, node: u32, pos: VoxelPos, cost: u32) -> bool {
        let room = &self.rooms[(node >> 15) as usize];
        let local = (node & 0x7fff) as usize;
        let mut open = job.mode.exits() & room.ways.exits.as_ref().map_or(u32::MAX, |exits| exits[local]);
        let mut leads_out = self.leads_out(job, node >> 15, local);
        while open != 0 {
            let exit = open.trailing_zeros() as usize;
            open &= open - 1;
            let to = match self.beside(job, node, exit) {
                Ok(to) => to,
                Err(is_absent) => {
                    leads_out |= is_absent;
                    continue;
                }
            };
            let there = &self.rooms[(to >> 15) as usize];
            let class = there.ways.classes.get(local_index(to));
            if class == CLOSED {
                continue;
            }
            let step = step_cost(job, class, exit);
            let Some(total) = cost.checked_add(step).filter(|total| *total < UNSEEN) else {
                self.overflowed = true;
                continue;
            };
            if total < self.sheets[(to >> 15) as usize].costs[(to & 0x7fff) as usize] {
                self.see(to, total, exit as u8);
                let next = beside(pos, EXITS[exit]).expect("a room is inside the world");
                self.queue.push(PAID * u64::from(total) + ESTIMATED * estimate(job, next), to, total);
            }
        }
        leads_out
    }

    /// Whether a voxel lies at a face behind which nothing is loaded: no move leads there, because what is there is unknown.
    fn leads_out(&mut self, job: &mut Job<'_, '_>, room: u32, local: usize) -> bool {
        let at = [local >> 10, local >> 5 & 31, local & 31];
        (0..6).any(|face| {
            let is_at_face = at[face / 2] == if face & 1 == 1 { 31 } else { 0 };
            is_at_face && self.behind(job, room, face) == ABSENT
        })
    }

    /// The voxel beside another; an error if it is in a chunk that is not there, with whether such a chunk is in the world.
    fn beside(&mut self, job: &mut Job<'_, '_>, node: u32, exit: usize) -> Result<u32, bool> {
        let (mut room, local) = (node >> 15, local_index(node));
        let mut to = [local.x() as i32, local.y() as i32, local.z() as i32];
        for axis in 0..3 {
            to[axis] += EXITS[exit][axis];
            if to[axis] & 31 != to[axis] {
                let face = [4, 0, 2][axis] + usize::from(to[axis] > 0);
                room = self.behind(job, room, face);
                if room == ABSENT {
                    return Err(true);
                }
                to[axis] &= 31;
            }
        }
        Ok(room << 15 | (to[0] | to[2] << 5 | to[1] << 10) as u32)
    }

    /// The room behind a face.
    fn behind(&mut self, job: &mut Job<'_, '_>, room: u32, face: usize) -> u32 {
        let known = self.rooms[room as usize].beside[face];
        if known != UNKNOWN {
            return known;
        }
        let pos = self.rooms[room as usize].pos;
        let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + i64::from(EXITS[face][axis]));
        let found = ChunkPos::from_i64(x, y, z).ok().and_then(|pos| self.room(job, pos)).unwrap_or(ABSENT);
        self.rooms[room as usize].beside[face] = found;
        found
    }

    fn room(&mut self, job: &mut Job<'_, '_>, pos: ChunkPos) -> Option<u32> {
        if let Some(room) = self.numbers.get(&pos) {
            return Some(*room);
        }
        let ways = job.navigation.ways(job.blocks, pos)?;
        let number = self.rooms.len() as u32;
        self.rooms.push(Room { pos, ways, beside: [UNKNOWN; 6] });
        if self.sheets.len() < self.rooms.len() {
            self.sheets.push(Sheet::default());
        }
        self.numbers.insert(pos, number);
        Some(number)
    }

    fn see(&mut self, node: u32, cost: u32, came_by: u8) {
        let sheet = &mut self.sheets[(node >> 15) as usize];
        let local = (node & 0x7fff) as usize;
        if sheet.costs[local] == UNSEEN {
            sheet.touched.push(local as u16);
        }
        (sheet.costs[local], sheet.came_by[local]) = (cost, came_by);
    }

    fn reset(&mut self) {
        for sheet in &mut self.sheets {
            for local in sheet.touched.drain(..) {
                sheet.costs[usize::from(local)] = UNSEEN;
            }
        }
        self.rooms.clear();
        self.numbers.clear();
        self.overflowed = false;
    }

    fn pos(&self, node: u32) -> VoxelPos {
        self.rooms[(node >> 15) as usize].pos.voxel(local_index(node))
    }

    /// The voxels of the way to one.
    fn trace(&self, from: VoxelPos, to: VoxelPos) -> Vec<VoxelPos> {
        let mut voxels = vec![to];
        let mut at = to;
        while at != from {
            let sheet = &self.sheets[self.numbers[&at.chunk()] as usize];
            let step = EXITS[usize::from(sheet.came_by[at.local().index()])];
            at = beside(at, step.map(|part| -part)).expect("it came from inside the world");
            voxels.push(at);
        }
        voxels.reverse();
        voxels
    }
}

fn local_index(node: u32) -> LocalIndex {
    LocalIndex::new((node & 0x7fff) as u16).expect("15 bits")
}

fn step_cost(job: &Job<'_, '_>, class: u8, exit: usize) -> u32 {
    job.navigation.costs().step(job.mode, class, exit)
}

/// What is left to pay at least.
fn estimate(job: &Job<'_, '_>, from: VoxelPos) -> u64 {
    let mut distance: [u64; 3] =
        std::array::from_fn(|axis| u64::from(from.to_array()[axis].abs_diff(job.to.to_array()[axis])));
    if !job.mode.diagonal {
        return job.least * distance.iter().sum::<u64>();
    }
    distance.sort_unstable();
    let [short, middle, long] = distance;
    let [face, edge, corner] = TENTHS.map(u64::from);
    job.least * (corner * short + edge * (middle - short) + face * (long - middle))
}
