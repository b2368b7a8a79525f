//! Where a way leads roughly: A* over patches, which says among which voxels it has to be looked for.

use super::navigation::{Blocks, Navigation, one_around};
use super::patches::{CELL, FALLING, HERE, Links, NOBODY, Patches};
use super::search::{Buckets, End, estimate, is_near};
use crate::limits::CHUNK_EDGE;
use crate::physics::plan::{below, beside};
use crate::relax::{BELOW, EXITS, opposite};
use crate::space::{ChunkPos, LocalIndex, PlaceMap, VoxelBox, VoxelPos};
use std::sync::Arc;

/// Patches that one search may look at before it gives up.
pub const PATCHES_MAX: u64 = 1 << 20;

const UNSEEN: u64 = u64::MAX;

/// The way from patch to patch.
pub struct Course {
    /// How far it leads.
    pub end: End,
    /// Voxels on it, from one end to the other, each with what the way there costs: the ends, and middles of patches.
    pub stations: Vec<(VoxelPos, u64)>,
    /// Patches that were looked at.
    pub searched: u64,
}

struct Room {
    pos: ChunkPos,
    patches: Arc<Patches>,
    links: Option<Arc<Links>>,
    /// The rooms around, as far as they were asked for.
    around: [u32; 27],
    /// By patch.
    seen: Vec<Seen>,
    /// Whether something beside it is not loaded; none before anybody asked.
    is_at_border: Option<bool>,
}

/// What a search has found out about a patch.
#[derive(Clone, Copy)]
struct Seen {
    /// What it costs to get there.
    cost: u64,
    /// From which patch.
    before: u32,
    /// Whether what leads there counts a quarter more.
    is_avoided: bool,
}

/// Not asked for yet.
const UNKNOWN: u32 = u32::MAX;
/// Asked for, and not there.
const ABSENT: u32 = u32::MAX - 1;

/// What the coarse searches for one question know: room by room, patch by patch. A patch is told by `room << 16 | number`.
pub(super) struct Known<'a> {
    rooms: Vec<Room>,
    numbers: PlaceMap<ChunkPos, u32>,
    least: u8,
    within: Option<VoxelBox>,
    queue: &'a mut Buckets<u64>,
}

impl<'a> Known<'a> {
    /// Nothing yet. Where a box is given, chunks have to meet it to be looked at.
    pub(super) fn new(queue: &'a mut Buckets<u64>, within: Option<VoxelBox>) -> Self {
        Self { rooms: Vec::new(), numbers: PlaceMap::default(), least: u8::MAX, within, queue }
    }

    /// From now on, what leads to one of the stations of a course counts a quarter more.
    pub(super) fn avoid(&mut self, course: &Course) {
        for (at, _) in &course.stations {
            let Some(room) = self.numbers.get(&at.chunk()).copied() else { continue };
            if let Some(node) = self.node(room, *at) {
                self.seen_mut(node).is_avoided = true;
            }
        }
    }

    /// Begins anew, with what is known of chunks and of what is avoided.
    fn reset(&mut self) {
        let all = self.rooms.iter_mut().flat_map(|room| &mut room.seen);
        all.for_each(|seen| seen.cost = UNSEEN);
    }

    fn room(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, pos: ChunkPos) -> Option<u32> {
        if let Some(room) = self.numbers.get(&pos) {
            return Some(*room);
        }
        let patches = navigation.patches(blocks, pos).filter(|_| is_near(self.within, pos))?;
        self.least = self.least.min(navigation.ways(blocks, pos)?.least);
        let room = self.rooms.len() as u32;
        let seen = vec![Seen { cost: UNSEEN, before: UNKNOWN, is_avoided: false }; patches.middles().len()];
        self.rooms.push(Room { pos, patches, links: None, around: [UNKNOWN; 27], seen, is_at_border: None });
        self.numbers.insert(pos, room);
        Some(room)
    }

    fn beside(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, room: u32, step: usize) -> u32 {
        let known = self.rooms[room as usize].around[step];
        if known != UNKNOWN {
            return known;
        }
        let beside = one_around(self.rooms[room as usize].pos, step);
        let found = beside.and_then(|pos| self.room(navigation, blocks, pos)).unwrap_or(ABSENT);
        self.rooms[room as usize].around[step] = found;
        found
    }

    fn links(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, room: u32) -> Arc<Links> {
        let Room { pos, links, .. } = &mut self.rooms[room as usize];
        let pos = *pos;
        Arc::clone(links.get_or_insert_with(|| navigation.links(blocks, pos).expect("it has patches")))
    }

    fn middle(&self, node: u32) -> VoxelPos {
        let room = &self.rooms[(node >> 16) as usize];
        room.pos.voxel(room.patches.middles()[(node & 0xffff) as usize])
    }

    /// Whether a patch reaches a face of its chunk behind which nothing is loaded.
    fn leads_out(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, node: u32) -> bool {
        let room = node >> 16;
        if self.rooms[room as usize].is_at_border.is_none() {
            let is_at_border = (0..6).any(|face| self.is_unloaded(navigation, blocks, room, face));
            self.rooms[room as usize].is_at_border = Some(is_at_border);
        }
        if self.rooms[room as usize].is_at_border == Some(false) {
            return false;
        }
        let middle = self.rooms[(node >> 16) as usize].patches.middles()[(node & 0xffff) as usize];
        let at = [middle.x(), middle.y(), middle.z()].map(|at| at / CELL * CELL);
        (0..6).any(|face| {
            let (axis, is_far) = ([1, 2, 0][face / 2], face & 1 == 1);
            let layer = if is_far { CHUNK_EDGE - 1 } else { 0 };
            if at[axis] / CELL != layer / CELL {
                return false;
            }
            if !self.is_unloaded(navigation, blocks, room, face) {
                return false;
            }
            let patches = &self.rooms[room as usize].patches;
            (0..CELL * CELL).any(|n| {
                let mut to = at;
                (to[axis], to[(axis + 1) % 3]) = (layer, at[(axis + 1) % 3] + n % CELL);
                to[(axis + 2) % 3] += n / CELL;
                patches.of(LocalIndex::from_xyz(to[0], to[1], to[2])) == node as u16
            })
        })
    }

    /// Whether the chunk behind a face is in the world, but not there.
    fn is_unloaded(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, room: u32, face: usize) -> bool {
        let [x, y, z] = EXITS[face].map(|part| (part + 1) as usize);
        let step = x + 3 * z + 9 * y;
        self.beside(navigation, blocks, room, step) == ABSENT
            && one_around(self.rooms[room as usize].pos, step).is_some()
    }

    fn node(&self, room: u32, at: VoxelPos) -> Option<u32> {
        let patch = self.rooms[room as usize].patches.of(at.local());
        (patch < FALLING).then(|| room << 16 | u32::from(patch))
    }

    fn of(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, at: VoxelPos) -> u16 {
        match self.room(navigation, blocks, at.chunk()) {
            Some(room) => self.rooms[room as usize].patches.of(at.local()),
            None => NOBODY,
        }
    }

    /// The patches from which one gets to a voxel without touching another: its own, or those beside the fall that leads there.
    fn goals(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, to: VoxelPos) -> Vec<u32> {
        let Some(room) = self.room(navigation, blocks, to.chunk()) else { return Vec::new() };
        if let Some(node) = self.node(room, to) {
            return vec![node];
        }
        let mut goals = Vec::new();
        let mut fall = Some(to);
        while let Some(at) = fall.filter(|at| self.of(navigation, blocks, *at) == FALLING) {
            for exit in 0..EXITS.len() {
                let Some(from) = beside(at, EXITS[opposite(exit)]) else { continue };
                if navigation.exits(blocks, from) >> exit & 1 == 1
                    && let Some(room) = self.room(navigation, blocks, from.chunk())
                {
                    goals.extend(self.node(room, from));
                }
            }
            fall = beside(at, EXITS[opposite(BELOW)]);
        }
        goals
    }

    fn course(&self, end: End, ends: [VoxelPos; 2], last: u32, searched: u64) -> Course {
        let total = self.seen(last).cost;
        let mut stations = vec![(ends[1], total)];
        let mut node = last;
        while node != UNKNOWN {
            let Seen { cost, before, .. } = self.seen(node);
            stations.push((self.middle(node), cost));
            node = before;
        }
        stations.push((ends[0], 0));
        stations.reverse();
        Course { end, stations, searched }
    }

    /// Every patch to which there is a way.
    fn all_seen(&self) -> Vec<u32> {
        let rooms = (0..).zip(&self.rooms);
        let patches = rooms
            .flat_map(|(room, known)| (0..).zip(&known.seen).map(move |(patch, seen)| (room << 16 | patch, seen.cost)));
        patches.filter(|(_, cost)| *cost != UNSEEN).map(|(node, _)| node).collect()
    }

    /// How good a patch is to leave by, if it leads out of what is loaded: the least is the best.
    fn border(
        &mut self,
        navigation: &mut Navigation,
        blocks: &mut dyn Blocks,
        node: u32,
        rest: impl Fn(VoxelPos) -> u64,
    ) -> Option<(u64, u64, u32)> {
        let left = rest(self.middle(node));
        self.leads_out(navigation, blocks, node).then(|| (self.seen(node).cost + left, left, node))
    }

    fn seen(&self, node: u32) -> Seen {
        self.rooms[(node >> 16) as usize].seen[(node & 0xffff) as usize]
    }

    fn seen_mut(&mut self, node: u32) -> &mut Seen {
        &mut self.rooms[(node >> 16) as usize].seen[(node & 0xffff) as usize]
    }
}

/// Finds the way from one voxel to another, or to a border. Where it finds none, there is none.
pub(super) fn course(
    known: &mut Known<'_>,
    navigation: &mut Navigation,
    blocks: &mut dyn Blocks,
    [from, to]: [VoxelPos; 2],
) -> Course {
    let mut least_at = |at: VoxelPos| navigation.ways(blocks, at.chunk()).map_or(u8::MAX, |ways| ways.least);
    known.least = known.least.min(least_at(from)).min(least_at(to));
    loop {
        let least = known.least;
        known.reset();
        let course = match known.landing(navigation, blocks, from, to) {
            Ok(landing) => search(known, navigation, blocks, [from, landing, to], least),
            Err(course) => course,
        };
        // Where something cheaper turned up than the search had counted on, its estimates were too high.
        if known.least >= least {
            return course;
        }
    }
}

impl Known<'_> {
    /// Where a body that begins in the air comes down; or the whole course, if that ends on the way.
    fn landing(
        &mut self,
        navigation: &mut Navigation,
        blocks: &mut dyn Blocks,
        from: VoxelPos,
        to: VoxelPos,
    ) -> Result<VoxelPos, Course> {
        let mut at = from;
        let ends = |end, at| Course { end, stations: vec![(from, 0), (at, 0)], searched: 0 };
        while self.of(navigation, blocks, at) == FALLING {
            if at == to {
                return Err(ends(End::Goal, to));
            }
            let Some(next) = below(at).filter(|next| self.room(navigation, blocks, next.chunk()).is_some()) else {
                return Err(ends(End::Border, at));
            };
            at = next;
        }
        Ok(at)
    }
}

fn search(
    known: &mut Known<'_>,
    navigation: &mut Navigation,
    blocks: &mut dyn Blocks,
    [from, landing, to]: [VoxelPos; 3],
    least: u8,
) -> Course {
    let diagonal = navigation.mode().diagonal;
    let first = known.room(navigation, blocks, landing.chunk()).expect("a way begins in a chunk that is there");
    let start = known.node(first, landing).expect("a way begins where somebody can be");
    let ends_outside = known.room(navigation, blocks, to.chunk()).is_none();
    let goals = known.goals(navigation, blocks, to);
    let rest = |at: VoxelPos| estimate(least.into(), diagonal, at, to);
    let mut border: Option<(u64, u64, u32)> = None;
    known.queue.clear(rest(landing));
    known.queue.push(rest(landing), start, 0);
    let begin = known.seen_mut(start);
    (begin.cost, begin.before) = (0, UNKNOWN);
    let mut searched = 0;
    while let Some((so_far, at, cost)) = known.queue.pop() {
        if cost > known.seen(at).cost {
            continue;
        }
        if goals.contains(&at) {
            return known.course(End::Goal, [from, to], at, searched);
        }
        if ends_outside && border.is_some_and(|(least, ..)| least < so_far) {
            break;
        }
        searched += 1;
        if searched > PATCHES_MAX || known.rooms.len() >= 1 << 15 {
            return Course { end: End::TooFar, stations: Vec::new(), searched };
        }
        if ends_outside && let Some(rank) = known.border(navigation, blocks, at, rest) {
            border = Some(border.map_or(rank, |best| rank.min(best)));
        }
        let links = known.links(navigation, blocks, at >> 16);
        for link in links.of(at as u16) {
            let room = match usize::from(link.chunk) {
                HERE => at >> 16,
                step => known.beside(navigation, blocks, at >> 16, step),
            };
            if room == ABSENT {
                continue;
            }
            let next = room << 16 | u32::from(link.patch);
            let seen = &mut known.rooms[room as usize].seen[usize::from(link.patch)];
            let total = cost + u64::from(link.cost + if seen.is_avoided { link.cost / 4 } else { 0 });
            if total < seen.cost {
                (seen.cost, seen.before) = (total, at);
                known.queue.push(total + rest(known.middle(next)), next, total);
            }
        }
    }
    if !ends_outside {
        // Nothing leads to the goal: everything that can be reached has been looked at, and only now it matters where it ends.
        let seen = known.all_seen();
        border = seen.into_iter().filter_map(|at| known.border(navigation, blocks, at, rest)).min();
    }
    match border {
        Some((_, _, at)) => known.course(End::Border, [from, known.middle(at)], at, searched),
        None => Course { end: End::Unreachable, stations: Vec::new(), searched },
    }
}
