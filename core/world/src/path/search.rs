//! One way between two voxels: A* over the ways of chunks, kept inside the cells of a course and those around them.
//!
//! Hart, Nilsson and Raphael, *A formal basis for the heuristic determination of minimum cost paths* (1968). Inside those cells
//! the way found is the best one; the tests measure that the best of all costs at most a twentieth less.

use super::coarse::{self, Course, Known};
use super::navigation::{Blocks, Navigation};
use super::patches::CELL;
use super::smooth::smooth;
use super::ways::{CLOSED, DELTAS, Ways, bits, staying};
use super::{PathError, mode::Mode};
use crate::block::Registry;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::physics::plan::beside;
use crate::relax::{EXITS, TENTHS, opposite};
use crate::space::{ChunkPos, LocalIndex, PlaceMap, VoxelBox, VoxelPos};
use std::sync::Arc;

/// Voxels that one search may look at before it gives up.
pub const SEARCHED_MAX: u64 = 16 << 20;

/// Voxels that a search for something better may look at.
const BETTER_MAX: u64 = 1 << 20;
/// It counts what has been paid so much, and what is left [`ESTIMATED`]: so what it finds, and what it could not better, costs
/// at most a twentieth more than the best (Pohl 1970).
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
    /// Patches and voxels that were looked at.
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
    /// The blocks that the search is kept inside, as bits.
    inside: Blocked,
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
    queue: Buckets<u32>,
    /// Of patches.
    coarse: Buckets<u64>,
    /// Something costs more than can be told.
    overflowed: bool,
    /// Patches and voxels that were looked at.
    searched: u64,
}

/// Estimates that have a bucket of their own at a time: those further on wait aside.
const BUCKETS: usize = 1 << 15;

/// Voxels or patches that wait, by what a way through them would cost at least. Within one estimate the newest comes first.
#[derive(Default)]
pub(super) struct Buckets<C> {
    base: u64,
    first: usize,
    /// The last bucket that was used.
    last: usize,
    buckets: Vec<Vec<(u32, C)>>,
    /// How many wait in buckets.
    near: usize,
    far: Vec<(u64, u32, C)>,
}

impl<C> Buckets<C> {
    pub(super) fn clear(&mut self, base: u64) {
        self.buckets.resize_with(BUCKETS, Vec::new);
        self.buckets[..=self.last].iter_mut().for_each(Vec::clear);
        self.far.clear();
        (self.base, self.first, self.last, self.near) = (base, 0, 0, 0);
    }

    /// Puts in a node with what it has cost so far.
    pub(super) fn push(&mut self, estimate: u64, node: u32, cost: C) {
        let bucket = estimate.saturating_sub(self.base) as usize;
        if bucket >= BUCKETS {
            return self.far.push((estimate, node, cost));
        }
        self.buckets[bucket].push((node, cost));
        self.first = self.first.min(bucket);
        self.last = self.last.max(bucket);
        self.near += 1;
    }

    /// Takes out the next: what a way through it costs at least, the node, and what it has cost so far.
    pub(super) fn pop(&mut self) -> Option<(u64, u32, C)> {
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
        let (node, cost) = self.buckets[self.first].pop()?;
        Some((self.base + self.first as u64, node, cost))
    }
}

/// What all steps of one search share.
struct Job<'a, 'b> {
    mode: &'a Mode,
    to: VoxelPos,
    /// The least that entering a voxel costs, as far as the search counts on it.
    least: u64,
    /// How much what has been paid counts, and how much what is left.
    counted: (u64, u64),
    /// Estimates from here on are of no use.
    most: u64,
    /// Whether it matters where what is loaded ends: there is no way to the goal, or nobody knows.
    borders: bool,
    /// The box that chunks have to meet to be looked at.
    within: Option<VoxelBox>,
    /// Where the search is kept; none if nowhere.
    corridor: Option<&'a Corridor>,
    navigation: &'a mut Navigation,
    blocks: &'b mut dyn Blocks,
}

/// Where a search ended.
type Found = (End, Option<VoxelPos>);

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
        self.route_within(navigation, blocks, registry, from, to, None)
    }

    /// The same among the chunks that meet a box: those outside it count as not loaded, though bodies see what is there. So
    /// the answer depends on the world and on the question, and not on what happens to be in memory.
    ///
    /// # Errors
    /// One of the ends is no place for the mode, or the first is outside the box.
    pub fn route_within(
        &mut self,
        navigation: &mut Navigation,
        blocks: &mut dyn Blocks,
        registry: &Registry,
        from: VoxelPos,
        to: VoxelPos,
        within: Option<VoxelBox>,
    ) -> Result<Route, PathError> {
        check_ends(navigation, blocks, registry, [from, to], within)?;
        let mode = navigation.mode().clone();
        prepare_between(navigation, blocks, within, [from, to]);
        let courses = courses(&mut self.coarse, navigation, blocks, within, [from, to]);
        self.searched = courses.iter().map(|course| course.searched).sum();
        let (end, voxels) = self.along(&courses, &mode, navigation, blocks, within, [from, to]);
        let mut step = |at: VoxelPos, exit: usize| navigation.step(blocks, at, exit);
        let (waypoints, cost) =
            if voxels.is_empty() { (Vec::new(), 0) } else { smooth(&voxels, mode.diagonal, &mut step) };
        Ok(Route { end, voxels, waypoints, cost, searched: self.searched })
    }

    /// Looks for a way among the voxels near some courses.
    fn along(
        &mut self,
        courses: &[Course],
        mode: &Mode,
        navigation: &mut Navigation,
        blocks: &mut dyn Blocks,
        within: Option<VoxelBox>,
        [from, to]: [VoxelPos; 2],
    ) -> (End, Vec<VoxelPos>) {
        if courses[0].stations.is_empty() {
            return (courses[0].end, Vec::new());
        }
        let mut corridor = Corridor::default();
        courses.iter().for_each(|course| widen(&mut corridor, course));
        let least = corridor.keys().filter_map(|pos| Some(navigation.ways(blocks, *pos)?.least)).min();
        let least = u64::from(least.unwrap_or_default());
        let (corridor, counted) = (Some(&corridor), (1, 1));
        let borders = courses[0].end != End::Goal;
        let mut job = Job { mode, to, least, counted, most: u64::MAX, borders, corridor, within, navigation, blocks };
        let (end, last) = self.search(&mut job, from);
        let found = last.map_or_else(Vec::new, |last| self.trace(from, last));
        if end == End::Goal && !mode.walks() {
            let cost = self.cost(to).expect("it was found");
            if let Some(better) = self.better(&mut job, from, cost) {
                return (end, better);
            }
        }
        (end, found)
    }

    /// Looks everywhere for a way that costs a twentieth less than one that was found, or shows that there is none. What moves
    /// freely, through rock too, may save much by holes that are smaller than a cell.
    fn better(&mut self, job: &mut Job<'_, '_>, from: VoxelPos, cost: u32) -> Option<Vec<VoxelPos>> {
        (job.corridor, job.counted) = (None, (PAID, ESTIMATED));
        job.most = PAID * u64::from(cost);
        let before = self.searched;
        loop {
            let (end, last) = self.search(job, from);
            // Where something cheaper turned up than the search had counted on, its estimates were too high.
            let least = self.rooms.iter().map(|room| u64::from(room.ways.least)).min().unwrap_or(job.least);
            if least >= job.least {
                return last.filter(|_| end == End::Goal).map(|last| self.trace(from, last));
            }
            if self.searched - before > BETTER_MAX {
                return None;
            }
            job.least = least;
        }
    }

    /// What the way to a voxel costs, as far as it is known.
    fn cost(&self, at: VoxelPos) -> Option<u32> {
        let cost = self.sheets[*self.numbers.get(&at.chunk())? as usize].costs[at.local().index()];
        (cost != UNSEEN).then_some(cost)
    }

    fn search(&mut self, job: &mut Job<'_, '_>, from: VoxelPos) -> Found {
        self.reset();
        // Of those that cost alike the one nearest to the goal.
        let mut border: Option<(u64, u64, VoxelPos)> = None;
        let first = self.room(job, from.chunk()).expect("it has a cost");
        let start = first << 15 | from.local().index() as u32;
        let rest = job.estimate(0, from);
        self.queue.clear(rest);
        self.see(start, 0, 0);
        self.queue.push(rest, start, 0);
        let looked_at = self.searched;
        while let Some((so_far, node, cost)) = self.queue.pop() {
            if self.sheets[(node >> 15) as usize].costs[(node & 0x7fff) as usize] != cost {
                continue;
            }
            let pos = self.pos(node);
            if pos == job.to {
                return (End::Goal, Some(pos));
            }
            if so_far >= job.most {
                return (End::TooFar, None);
            }
            // What comes later costs more. Where borders matter the goal is not among what can be reached.
            if job.borders && border.is_some_and(|(least, ..)| least < so_far) {
                break;
            }
            self.searched += 1;
            let most = if job.corridor.is_some() { SEARCHED_MAX } else { BETTER_MAX };
            if self.searched - looked_at > most {
                return (End::TooFar, None);
            }
            if self.leave(job, node, pos, cost, so_far) {
                let rank = (so_far, job.estimate(0, pos), pos);
                border = Some(border.map_or(rank, |best| rank.min(best)));
            }
        }
        match border {
            Some((_, _, pos)) => (End::Border, Some(pos)),
            None if self.overflowed => (End::TooFar, None),
            None => (End::Unreachable, None),
        }
    }

    /// Goes one step in every direction. Whether one of them leads out of what is loaded.
    fn leave(&mut self, job: &mut Job<'_, '_>, node: u32, pos: VoxelPos, cost: u32, so_far: u64) -> bool {
        let local = (node & 0x7fff) as usize;
        let open = self.rooms[(node >> 15) as usize].ways.open(job.mode, local);
        let mut leads_out = job.borders && self.leads_out(job, node >> 15, local);
        let stays = staying(local, CHUNK_EDGE);
        let nearer = job.nearer(pos);
        for exit in bits(open).map(|exit| exit as usize) {
            let to = if stays >> exit & 1 == 1 {
                node.wrapping_add_signed(DELTAS[exit] as i32)
            } else {
                match self.beside(job, node, exit) {
                    Ok(to) => to,
                    Err(is_absent) => {
                        leads_out |= is_absent;
                        continue;
                    }
                }
            };
            // Most of what is beside a voxel has been seen, and nothing leads there that is nearly free.
            let seen = self.sheets[(to >> 15) as usize].costs[(to & 0x7fff) as usize];
            if seen != UNSEEN && u64::from(seen) <= u64::from(cost) + job.least {
                continue;
            }
            let there = &self.rooms[(to >> 15) as usize];
            let class = there.ways.classes.get(local_index(to));
            if class == CLOSED || !there.is_inside(local_index(to)) {
                continue;
            }
            let Some(total) = cost.checked_add(step_cost(job, class, exit)).filter(|total| *total < UNSEEN) else {
                self.overflowed = true;
                continue;
            };
            if total < seen && !there.is_dead_end(job, to, exit) {
                self.see(to, total, exit as u8);
                let estimate = if job.mode.diagonal {
                    job.estimate(total, beside(pos, EXITS[exit]).expect("a room is inside the world"))
                } else {
                    // A step over a face is one nearer to the goal or one further away.
                    let paid = so_far + job.counted.0 * u64::from(total - cost);
                    let step = job.counted.1 * job.least;
                    if nearer >> exit & 1 == 1 { paid - step } else { paid + step }
                };
                self.queue.push(estimate, to, total);
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
        if !is_near(job.within, pos) {
            return None;
        }
        let ways = job.navigation.ways(job.blocks, pos)?;
        let number = self.rooms.len() as u32;
        let inside = job.corridor.map_or([u64::MAX; _], |corridor| corridor.get(&pos).copied().unwrap_or_default());
        self.rooms.push(Room { pos, ways, inside, beside: [UNKNOWN; 6] });
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

impl Job<'_, '_> {
    /// The exits over faces that lead nearer to the goal.
    fn nearer(&self, at: VoxelPos) -> u32 {
        let (at, to) = (at.to_array(), self.to.to_array());
        (0..6).fold(0, |nearer, exit| {
            let axis = [1, 2, 0][exit / 2];
            let is_nearer = if exit & 1 == 1 { to[axis] > at[axis] } else { to[axis] < at[axis] };
            nearer | u32::from(is_nearer) << exit
        })
    }

    /// What a way costs at least that has cost so much up to a voxel.
    fn estimate(&self, cost: u32, at: VoxelPos) -> u64 {
        self.counted.0 * u64::from(cost) + self.counted.1 * estimate(self.least, self.mode.diagonal, at, self.to)
    }
}

impl Room {
    /// Whether the search may go to a voxel.
    fn is_inside(&self, local: LocalIndex) -> bool {
        let block = block_of(local);
        self.inside[block / 64] >> (block % 64) & 1 == 1
    }

    /// Whether the only way on from a voxel is the way back: half the voxels over flat ground are such, a step above it.
    fn is_dead_end(&self, job: &Job<'_, '_>, node: u32, exit: usize) -> bool {
        let Some(exits) = &self.ways.exits else { return false };
        let open = job.mode.exits() & exits[(node & 0x7fff) as usize];
        open & !(1 << opposite(exit)) == 0 && self.pos.voxel(local_index(node)) != job.to
    }
}

/// Voxels along an edge of a block of a corridor.
const BLOCK: usize = 4;
/// How many courses are looked along for a way whose best one has so many stations, and how many blocks wide on each side.
const fn look(stations: usize) -> (usize, i64) {
    match stations {
        0..=40 => (4, 3),
        41..=80 => (1, 2),
        _ => (1, 1),
    }
}
/// A bit for each block of a chunk.
type Blocked = [u64; (CHUNK_EDGE / BLOCK).pow(3) / 64];

/// The blocks near a course, by chunk.
type Corridor = PlaceMap<ChunkPos, Blocked>;

fn block_of(local: LocalIndex) -> usize {
    local.x() / BLOCK + CHUNK_EDGE / BLOCK * (local.z() / BLOCK + CHUNK_EDGE / BLOCK * (local.y() / BLOCK))
}

/// By what part a course may be dearer than the best one, with what it pays for what it shares with others.
const DEARER: u64 = 6;
/// Stations of a way that is short for that.
const SHORT: usize = 24;

/// The best course, and unless it is a long one the next best that lead elsewhere: which of several is the best voxel by voxel
/// can't be told from their middles, and over a short way what that costs does not even out.
fn courses(
    queue: &mut Buckets<u64>,
    navigation: &mut Navigation,
    blocks: &mut dyn Blocks,
    within: Option<VoxelBox>,
    ends: [VoxelPos; 2],
) -> Vec<Course> {
    let mut known = Known::new(queue, within);
    let mut courses = vec![coarse::course(&mut known, navigation, blocks, ends)];
    let (wanted, _) = look(courses[0].stations.len());
    while !courses[0].stations.is_empty() && courses.len() < wanted {
        known.avoid(&courses[courses.len() - 1]);
        let other = coarse::course(&mut known, navigation, blocks, ends);
        // Over a longer way, what costs so much more as a whole is not made up for voxel by voxel.
        let [best, total] = [&courses[0], &other].map(|course| course.stations.last().map_or(0, |(_, total)| *total));
        if courses[0].stations.len() > SHORT && total > best + best / DEARER {
            break;
        }
        courses.push(other);
    }
    courses
}

/// Adds the cells of a course, in which there is a way, and all blocks beside the straight lines from station to station.
fn widen(corridor: &mut Corridor, course: &Course) {
    let stations: Vec<[i64; 3]> = course.stations.iter().map(|(at, _)| at.to_array().map(i64::from)).collect();
    let (block, cell) = (BLOCK as i64, CELL as i64);
    for at in &stations {
        let first = at.map(|at| at.div_euclid(cell) * cell / block);
        mark(corridor, first, first.map(|at| at + cell / block - 1));
    }
    let mut middles: Vec<[i64; 3]> = Vec::new();
    for pair in stations.windows(2) {
        let length = (0..3).map(|axis| pair[0][axis].abs_diff(pair[1][axis])).max().unwrap_or(0) as i64;
        let steps = length / block + 1;
        let at = |step: i64, axis: usize| pair[0][axis] + (pair[1][axis] - pair[0][axis]) * step / steps;
        middles.extend((0..=steps).map(|step| std::array::from_fn(|axis| at(step, axis).div_euclid(block))));
    }
    middles.sort_unstable();
    middles.dedup();
    let (_, radius) = look(stations.len());
    for middle in &middles {
        mark(corridor, middle.map(|at| at - radius), middle.map(|at| at + radius));
    }
}

/// Adds all blocks from one to another, both included, as far as they are in the world.
fn mark(corridor: &mut Corridor, first: [i64; 3], last: [i64; 3]) {
    const EDGE: i64 = (CHUNK_EDGE / BLOCK) as i64;
    let chunks = |axis: usize| first[axis].div_euclid(EDGE)..=last[axis].div_euclid(EDGE);
    for (x, z) in chunks(2).flat_map(|z| chunks(0).map(move |x| (x, z))) {
        let inside = |axis: usize, chunk: i64| [first, last].map(|end| (end[axis] - chunk * EDGE).clamp(0, EDGE - 1));
        let ([x_first, x_last], [z_first, z_last]) = (inside(0, x), inside(2, z));
        let row = ((1u64 << (x_last - x_first + 1)) - 1) << x_first;
        let layer = (z_first..=z_last).fold(0, |layer, z| layer | row << (EDGE * z));
        for y in chunks(1) {
            let Ok(pos) = ChunkPos::from_i64(x, y, z) else { continue };
            let [y_first, y_last] = inside(1, y);
            let layers = &mut corridor.entry(pos).or_default()[y_first as usize..=y_last as usize];
            layers.iter_mut().for_each(|there| *there |= layer);
        }
    }
}
const _: () = assert!(CHUNK_EDGE / BLOCK == 8, "a layer of blocks is one word");

/// Fails if one of the ends is no place for the mode, or the first is not in the box. Whether the second is in a chunk that
/// is there, and in the box.
pub(super) fn check_ends(
    navigation: &mut Navigation,
    blocks: &mut dyn Blocks,
    registry: &Registry,
    [from, to]: [VoxelPos; 2],
    within: Option<VoxelBox>,
) -> Result<bool, PathError> {
    if let Some(within) = within.filter(|_| !is_near(within, from.chunk())) {
        return Err(PathError::OutsideBox { at: from, within: within.to_string() });
    }
    let is_there = is_near(within, to.chunk()) && navigation.ways(blocks, to.chunk()).is_some();
    for at in [Some(from), Some(to).filter(|_| is_there)].into_iter().flatten() {
        if navigation.cost(blocks, at).is_none() {
            return Err(navigation.refusal(blocks, registry, at));
        }
    }
    Ok(is_there)
}

/// Chunks between two ends that are prepared at once, before a search asks for one after the other.
const PREPARED_MAX: i64 = 64;

/// Makes the patches and links of the chunks on the straight line between two ends, in parallel: most ways lead there.
fn prepare_between(
    navigation: &mut Navigation,
    blocks: &mut dyn Blocks,
    within: Option<VoxelBox>,
    ends: [VoxelPos; 2],
) {
    let [from, to] = ends.map(|end| end.chunk().to_array().map(i64::from));
    let steps = (0..3).map(|axis| from[axis].abs_diff(to[axis])).max().unwrap_or(0) as i64;
    let mut near = Vec::new();
    for step in 0..=steps.min(PREPARED_MAX) {
        let middle: [i64; 3] = std::array::from_fn(|axis| from[axis] + (to[axis] - from[axis]) * step / steps.max(1));
        let pos =
            ChunkPos::from_i64(middle[0], middle[1], middle[2]).expect("it lies between two that are in the world");
        if is_near(within, pos) {
            near.push(pos);
        }
    }
    navigation.prepare_links(blocks, &near);
}

/// Whether a chunk meets the box that is looked at.
pub(super) fn is_near(within: Option<VoxelBox>, pos: ChunkPos) -> bool {
    within.is_none_or(|within| within.intersection(pos.voxel_box()).is_some())
}

/// What is left to pay at least, where entering a voxel costs `least`.
pub(super) fn estimate(least: u64, diagonal: bool, from: VoxelPos, to: VoxelPos) -> u64 {
    let (from, to) = (from.to_array(), to.to_array());
    estimate_over(least, diagonal, std::array::from_fn(|axis| from[axis].abs_diff(to[axis]).into()))
}

/// The same over a distance along each axis.
pub(super) fn estimate_over(least: u64, diagonal: bool, mut distance: [u64; 3]) -> u64 {
    if !diagonal {
        return least * distance.iter().sum::<u64>();
    }
    distance.sort_unstable();
    let [short, middle, long] = distance;
    let [face, edge, corner] = TENTHS.map(u64::from);
    least * (corner * short + edge * (middle - short) + face * (long - middle))
}
