//! Flow fields: from every voxel of a box the least cost to the nearest of some goals, and the way to go.
//!
//! The engine relaxes what a path costs with both ends counted, because there a step costs what its taker's class says; what
//! a voxel shows is that less its own cost. Where steps differ in length (`Mode::diagonal`) the giver pays, and the two are
//! the same.

use super::navigation::{Blocks, Navigation};
use super::ways::{CLOSED, Costs, Ways};
use super::{PathError, flow};
use crate::block::Registry;
use crate::chunk::zeroed;
use crate::label::bits::Bits;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::physics::plan::beside;
use crate::relax::{Bulk, Classes, EXITS, Exits, Field, Followed, Given, TILES_MAX, Values, opposite};
use crate::space::{ChunkPos, LocalIndex, PlaceMap, VoxelBox, VoxelPos};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a field says of a voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is a goal.
    Goal,
    /// The least cost to a goal.
    Cost(u64),
    /// No way leads to a goal, inside the box.
    Unreachable,
    /// There is a way, but it costs more than the field can tell.
    TooFar,
    /// The mode can't be there.
    Blocked,
    /// It is not in the field's box.
    Outside,
}

impl Reach {
    /// As a number, if there is one: 0 at a goal.
    pub const fn cost(self) -> Option<u64> {
        match self {
            Self::Goal => Some(0),
            Self::Cost(cost) => Some(cost),
            _ => None,
        }
    }
}

/// The most that one step can cost.
const STEP_MAX: u32 = 255 * 17;

/// A field over a box.
pub struct FlowField {
    within: VoxelBox,
    goals: Vec<VoxelPos>,
    costs: Costs,
    exits: u32,
    field: Field,
    /// Voxels from which a goal can be reached at a cost that is too high to tell, if there are any.
    far: PlaceMap<ChunkPos, Bits>,
    visited: u64,
}

impl FlowField {
    /// Solves a field. What lies outside the box counts as blocked.
    ///
    /// # Errors
    /// No goal, a goal outside the box or where the mode can't be, or a box that is too large.
    pub fn solve(
        navigation: &mut Navigation,
        blocks: &mut dyn Blocks,
        registry: &Registry,
        goals: &[VoxelPos],
        within: VoxelBox,
        bulk: Option<Arc<dyn Bulk>>,
    ) -> Result<Self, PathError> {
        if within.chunk_count() > TILES_MAX as u64 {
            return Err(PathError::TooLarge { chunks: within.chunk_count(), most: TILES_MAX as u64 });
        }
        let goals = sorted(goals);
        check_goals(navigation, blocks, registry, &goals, within)?;
        Ok(Self::resume(navigation, blocks, &goals, within, bulk))
    }

    /// The same for goals and a box that were found good before: a goal where the mode can't be now is none until it can.
    pub fn resume(
        navigation: &mut Navigation,
        blocks: &mut dyn Blocks,
        goals: &[VoxelPos],
        within: VoxelBox,
        bulk: Option<Arc<dyn Bulk>>,
    ) -> Self {
        let goals = sorted(goals);
        let chunks: Vec<ChunkPos> = within.chunks().collect();
        navigation.prepare(blocks, &chunks);
        let costs = navigation.costs().clone();
        let given: Vec<Given> = chunks
            .iter()
            .map(|pos| {
                let ways = navigation.ways(blocks, *pos);
                let classes =
                    ways.as_ref().map_or(Classes::One(CLOSED), |ways| classes_in(ways, *pos, within, &goals, &costs));
                (*pos, classes, ways.and_then(|ways| ways.exits.clone()))
            })
            .collect();
        let mut field = Field::new(Arc::clone(costs.rules())).with_bulk(bulk);
        let visited = field.load_limited(given);
        let exits = navigation.mode().exits();
        let mut solved = Self { within, goals, costs, exits, field, far: PlaceMap::default(), visited };
        solved.find_far();
        solved
    }

    /// The box.
    pub const fn within(&self) -> VoxelBox {
        self.within
    }

    /// The goals, ascending.
    pub fn goals(&self) -> &[VoxelPos] {
        &self.goals
    }

    /// How often a voxel was looked at, so far.
    pub const fn visited(&self) -> u64 {
        self.visited
    }

    /// Heap bytes of what is worked out.
    pub fn memory_bytes(&self) -> usize {
        self.field.memory_bytes()
    }

    /// What the field says of a voxel.
    pub fn reach(&self, pos: VoxelPos) -> Reach {
        let Some(class) = self.field.class(pos).filter(|_| self.holds(pos)) else { return Reach::Outside };
        if class == CLOSED {
            return Reach::Blocked;
        }
        if self.goals.binary_search(&pos).is_ok() {
            return Reach::Goal;
        }
        let total = self.field.distance(pos);
        if total < self.limit() {
            return Reach::Cost(u64::from(total - self.own(class)));
        }
        let is_far = self.far.get(&pos.chunk()).is_some_and(|far| far.get(pos.local()));
        if is_far { Reach::TooFar } else { Reach::Unreachable }
    }

    /// What entering a voxel costs; none where the mode can't be.
    pub fn enter(&self, pos: VoxelPos) -> Option<u8> {
        let class = self.field.class(pos).filter(|_| self.holds(pos))?;
        (class != CLOSED).then(|| self.costs.cost(class))
    }

    /// The move to make at a voxel, as a number of [`EXITS`]: of those that cost least in all, the first. None at a goal and
    /// where no goal can be reached.
    pub fn flow(&self, pos: VoxelPos) -> Option<usize> {
        if !matches!(self.reach(pos), Reach::Cost(_)) {
            return None;
        }
        let offer = |exit: usize| {
            let to = beside(pos, EXITS[exit])?;
            let class = self.field.class(to).filter(|class| *class != CLOSED)?;
            let total = self.field.distance(to);
            let step = if self.giver_pays() { self.loss(class, exit) } else { 0 };
            (total < self.limit()).then(|| (u64::from(total) + u64::from(step), exit))
        };
        let open = self.open_exits(pos);
        (0..26).filter(|exit| open >> exit & 1 == 1).filter_map(offer).min().map(|(_, exit)| exit)
    }

    /// What the field says of all voxels of a chunk, as [`FlowField::reach`] does.
    pub fn reaches(&self, pos: ChunkPos) -> Vec<Reach> {
        let inside = self.within.intersection(pos.voxel_box());
        let (Some((classes, _)), Some(values), Some(inside)) = (self.field.given(pos), self.field.values(pos), inside)
        else {
            return vec![Reach::Outside; CHUNK_VOXELS];
        };
        let (limit, far, origin) = (self.limit(), self.far.get(&pos), pos.origin().to_array());
        let goals: Vec<LocalIndex> =
            self.goals.iter().filter(|goal| goal.chunk() == pos).map(|goal| goal.local()).collect();
        let holds = |local: LocalIndex| {
            let at = [local.x(), local.y(), local.z()];
            (0..3).all(|n| (inside.min()[n]..inside.max()[n]).contains(&(origin[n] + at[n] as i32)))
        };
        let reach = |local: LocalIndex| {
            let (class, total) = (classes.get(local), values.get(local, limit));
            match class {
                _ if !holds(local) => Reach::Outside,
                CLOSED => Reach::Blocked,
                _ if goals.contains(&local) => Reach::Goal,
                _ if total < limit => Reach::Cost(u64::from(total - self.own(class))),
                _ if far.is_some_and(|far| far.get(local)) => Reach::TooFar,
                _ => Reach::Unreachable,
            }
        };
        (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new).map(reach).collect()
    }

    /// The move of every voxel of a chunk, as [`FlowField::flow`] tells it, or one of the numbers in [`flow`].
    pub fn flows(&self, pos: ChunkPos) -> Box<[u8; CHUNK_VOXELS]> {
        let exits = self.field.given(pos).and_then(|(_, exits)| exits);
        let around = self.around(pos, self.giver_pays());
        let mut moves = flow::directions(&around, self.exits, exits.map(|exits| &**exits));
        for (at, reach) in moves.iter_mut().zip(self.reaches(pos)) {
            *at = match reach {
                Reach::Cost(_) => *at,
                Reach::Goal => flow::GOAL,
                Reach::TooFar => flow::TOO_FAR,
                Reach::Unreachable => flow::UNREACHABLE,
                Reach::Blocked | Reach::Outside => flow::BLOCKED,
            };
        }
        moves
    }

    /// A chunk's totals and those around it, with costs if they are wanted.
    pub(crate) fn around(&self, pos: ChunkPos, with_costs: bool) -> flow::Around {
        let limit = self.limit();
        let size = flow::WIDE.pow(3);
        let costs = if with_costs { vec![0; size] } else { Vec::new() };
        let mut around = flow::Around { totals: vec![limit; size], costs, limit };
        let edge = CHUNK_EDGE as i64;
        for n in 0..27i64 {
            let step = [n % 3 - 1, n / 9 - 1, n / 3 % 3 - 1];
            let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + step[axis]);
            let there = ChunkPos::from_i64(x, y, z).ok();
            let Some((there, values)) = there.and_then(|there| Some((there, self.field.values(there)?))) else {
                continue;
            };
            let (classes, _) = self.field.given(there).expect("it has values");
            // Of a neighbour only the layer that touches.
            let range = |axis: usize| match step[axis] {
                0 => 0..edge,
                -1 => edge - 1..edge,
                _ => 0..1,
            };
            for (y, z) in range(1).flat_map(|y| range(2).map(move |z| (y, z))) {
                for x in range(0) {
                    let local = LocalIndex::from_xyz(x as usize, y as usize, z as usize);
                    let [x, y, z] = [(x, 0), (y, 1), (z, 2)].map(|(at, axis)| (at + edge * step[axis] + 1) as usize);
                    let place = x + flow::WIDE * (z + flow::WIDE * y);
                    around.totals[place] = values.get(local, limit);
                    if let Some(cost) = around.costs.get_mut(place) {
                        *cost = self.costs.cost(classes.get(local));
                    }
                }
            }
        }
        around
    }

    /// A number that is another one when what the field says of a chunk has changed, apart from which moves are legal there.
    pub fn fingerprint(&self, pos: ChunkPos) -> u64 {
        let far: &[u8] = self.far.get(&pos).map_or(&[], |far| bytemuck::cast_slice(&far.0[..]));
        let values = match self.field.values(pos) {
            None => 0,
            Some(Values::One(value)) => u64::from(*value),
            Some(Values::Narrow { base, values }) => {
                xxh3_64_with_seed(bytemuck::cast_slice(&values[..]), u64::from(*base))
            }
            Some(Values::Wide(values)) => xxh3_64_with_seed(bytemuck::cast_slice(&values[..]), 1),
        };
        xxh3_64_with_seed(far, values)
    }

    /// The greatest total in the field, with both ends of a way counted; none if nothing has one.
    pub fn most(&self) -> Option<u32> {
        self.field.chunks().filter_map(|pos| self.field.values(pos)?.most(self.limit())).max()
    }

    /// The voxels from one to the nearest goal, both included; none where no goal can be reached.
    pub fn path(&self, from: VoxelPos) -> Option<Vec<VoxelPos>> {
        self.reach(from).cost()?;
        let mut path = vec![from];
        let mut at = from;
        while let Some(exit) = self.flow(at) {
            at = beside(at, EXITS[exit]).expect("a field leads through the world");
            path.push(at);
        }
        Some(path)
    }

    /// Follows changes of the world: what chunks' ways say now is compared with what the field was solved from, and only what
    /// differs is worked out again. Chunks outside the box are passed over. A goal that can't be entered any more is none
    /// until it can.
    pub fn repair(&mut self, navigation: &mut Navigation, blocks: &mut dyn Blocks, chunks: &[ChunkPos]) -> Followed {
        let mut changes = Vec::new();
        for pos in chunks.iter().filter(|pos| self.field.holds(**pos)) {
            let ways = navigation.ways(blocks, *pos);
            let closed = Ways::closed();
            let ways = ways.as_deref().unwrap_or(&closed);
            let classes = classes_in(ways, *pos, self.within, &self.goals, &self.costs);
            self.differences(*pos, &classes, ways, &mut changes);
        }
        if changes.is_empty() {
            return Followed::default();
        }
        let followed = self.field.follow(&changes);
        self.visited += followed.visited;
        self.find_far();
        followed
    }

    fn differences(&self, pos: ChunkPos, classes: &Classes, ways: &Ways, changes: &mut Vec<(VoxelPos, u8, u32)>) {
        let (old_classes, old_exits) = self.field.given(pos).expect("it is held");
        let new_exits = ways.exits.as_ref();
        let same_exits = match (old_exits, new_exits) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        for first in (0..CHUNK_VOXELS).step_by(CHUNK_EDGE) {
            let (old, new) = (row_of_classes(old_classes, first), row_of_classes(classes, first));
            let exits = |exits| if same_exits { [u32::MAX; CHUNK_EDGE] } else { row_of_exits(exits, first) };
            let masks = (exits(old_exits), exits(new_exits));
            if old == new && masks.0 == masks.1 {
                continue;
            }
            for n in (0..CHUNK_EDGE).filter(|n| old[*n] != new[*n] || masks.0[*n] != masks.1[*n]) {
                let local = LocalIndex::new((first + n) as u16).expect("below a chunk's voxels");
                let mask = new_exits.map_or(u32::MAX, |exits| exits[first + n]);
                changes.push((pos.voxel(local), new[n], mask));
            }
        }
    }

    fn holds(&self, pos: VoxelPos) -> bool {
        let (at, min, max) = (pos.to_array(), self.within.min(), self.within.max());
        (0..3).all(|axis| (min[axis]..max[axis]).contains(&at[axis]))
    }

    fn limit(&self) -> u32 {
        self.costs.rules().limit()
    }

    pub(crate) fn giver_pays(&self) -> bool {
        self.costs.rules().giver_pays()
    }

    /// What of a voxel's total is not paid by who starts there.
    fn own(&self, class: u8) -> u32 {
        if self.giver_pays() { 0 } else { self.costs.cost(class).into() }
    }

    fn loss(&self, class: u8, exit: usize) -> u16 {
        self.costs.rules().classes()[usize::from(class)].losses[exit]
    }

    fn open_exits(&self, pos: VoxelPos) -> u32 {
        let Some((_, exits)) = self.field.given(pos.chunk()) else { return 0 };
        self.exits & exits.map_or(u32::MAX, |exits| exits[pos.local().index()])
    }

    /// The exits that the field counts on, of a row of voxels from the local index `first`.
    pub(crate) fn exits_of_row(&self, pos: ChunkPos, first: usize) -> [u32; CHUNK_EDGE] {
        let Some((_, exits)) = self.field.given(pos) else { return [0; CHUNK_EDGE] };
        row_of_exits(exits, first).map(|exits| exits & self.exits)
    }

    /// Marks what leads to a goal at a cost beyond the limit: open voxels without a value from which a voxel can be entered
    /// that has one, or is marked itself.
    fn find_far(&mut self) {
        self.far.clear();
        let limit = self.limit();
        let near_limit = limit.saturating_sub(STEP_MAX);
        let rim = self
            .field
            .chunks()
            .filter(|pos| self.field.values(*pos).is_some_and(|values| values.at_most(limit) >= near_limit));
        let mut queue: Vec<VoxelPos> = Vec::new();
        for chunk in rim {
            let voxels = (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new).map(|local| chunk.voxel(local));
            queue.extend(voxels.filter(|pos| (near_limit..limit).contains(&self.field.distance(*pos))));
        }
        while let Some(pos) = queue.pop() {
            for exit in (0..26).filter(|exit| self.exits >> exit & 1 == 1) {
                let Some(from) = beside(pos, EXITS[opposite(exit)]) else { continue };
                let is_open = self.field.class(from).is_some_and(|class| class != CLOSED);
                if !is_open || self.open_exits(from) >> exit & 1 == 0 || self.field.distance(from) < self.limit() {
                    continue;
                }
                let far = self.far.entry(from.chunk()).or_default();
                if !far.get(from.local()) {
                    far.set(from.local(), true);
                    queue.push(from);
                }
            }
        }
    }

    /// The chunks of the box.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkPos> {
        self.within.chunks()
    }
}

fn row_of_classes(classes: &Classes, first: usize) -> [u8; CHUNK_EDGE] {
    match classes {
        Classes::One(class) => [*class; CHUNK_EDGE],
        Classes::Each(classes) => *classes[first..].first_chunk().expect("a row"),
    }
}

fn row_of_exits(exits: Option<&Exits>, first: usize) -> [u32; CHUNK_EDGE] {
    exits.map_or([u32::MAX; CHUNK_EDGE], |exits| *exits[first..].first_chunk().expect("a row"))
}

fn sorted(goals: &[VoxelPos]) -> Vec<VoxelPos> {
    let mut goals = goals.to_vec();
    goals.sort_unstable();
    goals.dedup();
    goals
}

fn check_goals(
    navigation: &mut Navigation,
    blocks: &mut dyn Blocks,
    registry: &Registry,
    goals: &[VoxelPos],
    within: VoxelBox,
) -> Result<(), PathError> {
    if goals.is_empty() {
        return Err(PathError::NoGoal);
    }
    for at in goals {
        let (min, max, pos) = (within.min(), within.max(), at.to_array());
        if !(0..3).all(|axis| (min[axis]..max[axis]).contains(&pos[axis])) {
            return Err(PathError::OutsideBox { at: *at, within: within.to_string() });
        }
        if navigation.cost(blocks, *at).is_none() {
            return Err(navigation.refusal(blocks, registry, *at));
        }
    }
    Ok(())
}

/// The classes of a chunk in a box, with goals: what lies outside the box is closed.
fn classes_in(ways: &Ways, pos: ChunkPos, within: VoxelBox, goals: &[VoxelPos], costs: &Costs) -> Classes {
    let mut classes = ways.classes.clone();
    let whole = pos.voxel_box();
    if within.intersection(whole) != Some(whole) && classes != Classes::One(CLOSED) {
        let mut cut = zeroed::<u8, CHUNK_VOXELS>();
        if let Some(inside) = within.intersection(whole) {
            let (origin, min, max) = (pos.origin().to_array(), inside.min(), inside.max());
            let range = |axis: usize| (min[axis] - origin[axis]) as usize..(max[axis] - origin[axis]) as usize;
            for (y, z) in range(1).flat_map(|y| range(2).map(move |z| (y, z))) {
                for x in range(0) {
                    let local = LocalIndex::from_xyz(x, y, z);
                    cut[local.index()] = classes.get(local);
                }
            }
        }
        classes = Classes::Each(cut);
    }
    for goal in goals.iter().filter(|goal| goal.chunk() == pos) {
        classes.set(goal.local(), costs.goal(classes.get(goal.local())));
    }
    classes
}
