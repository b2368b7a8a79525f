//! What a column has yet to do, and what moves in it: state, like its blocks.
//!
//! A tick reads this as it stood at the tick's start, its own and what lies within `REACH` of its neighbours', and leaves
//! the next state behind. All maps are in order, so that the bytes, and with them the digest, depend on nothing else.

use super::bodies::Bodies;
use super::plan::below;
use crate::block::BlockId;
use crate::chunk::Sparse;
use crate::entity::advance::NO_EXIT;
use crate::entity::state::{Agent, Crowd, CrowdId, Errand, PROGRESS_MAX};
use crate::limits::{
    CHUNK_EDGE, CROWD_GOALS_MAX, FIELD_CHUNKS_MAX, REGION_CHUNKS_X, REGION_CHUNKS_Z, SPARSE_BYTES_MAX, VERTICAL_BOUND,
};
use crate::path::mode::MODE_NAME_MAX;
use crate::relax::EXITS;
use crate::space::{ColumnPos, VoxelBox, VoxelPos};
use crate::step::{ActorId, Cause, CauseKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A voxel that changed, and whose neighbours have not been asked yet what that means to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What was there when support was last worked out.
    pub old: BlockId,
    /// Somebody, or a landing, put the block there that is there now.
    pub placed: bool,
    /// The next tick takes it; else it waits for its turn.
    pub ready: bool,
    /// When it changed.
    pub tick: u64,
    /// Why it changed.
    pub cause: Cause,
}

/// A voxel that leaves the grid in the next tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    /// Why.
    pub cause: Cause,
    /// It slides through this exit, to a voxel beside it; none if it falls.
    pub slide: Option<u8>,
}

/// Something that will burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// How strong it is.
    pub power: u8,
    /// Not before this tick.
    pub due: u64,
    /// The next tick takes it.
    pub ready: bool,
    /// Why.
    pub cause: Cause,
}

/// A name for a body that no other ever has: the tick in which it left the grid, and its lowest voxel there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BodyId {
    /// The tick.
    pub tick: u64,
    /// Its lowest voxel, in order of y, z, x, before it left.
    pub origin: VoxelPos,
}

/// One voxel of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyVoxel {
    /// Where it began to fall.
    pub pos: VoxelPos,
    /// What it is.
    pub block: BlockId,
    /// Its sparse data.
    pub sparse: Option<Sparse>,
}

/// The voxels of a body, ascending by position, which stay the same on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    voxels: Vec<BodyVoxel>,
    feet: Vec<VoxelPos>,
    hash: u64,
}

impl Shape {
    /// Takes voxels in ascending order.
    ///
    /// # Panics
    /// If there are none, or they are not in order.
    pub fn new(voxels: Vec<BodyVoxel>) -> Self {
        assert!(!voxels.is_empty() && voxels.is_sorted_by(|a, b| a.pos < b.pos), "a body has voxels, in order");
        let mut bytes = Vec::new();
        Writer(&mut bytes).voxels(&voxels);
        let is_there = |pos: VoxelPos| voxels.binary_search_by_key(&pos, |voxel| voxel.pos).is_ok();
        let feet = voxels.iter().map(|voxel| voxel.pos).filter(|pos| !below(*pos).is_some_and(is_there)).collect();
        Self { feet, hash: xxh3_64(&bytes), voxels }
    }

    /// The voxels.
    pub fn voxels(&self) -> &[BodyVoxel] {
        &self.voxels
    }

    /// Those that have none of its own below them: what meets the ground first.
    pub fn feet(&self) -> &[VoxelPos] {
        &self.feet
    }
}

/// What a body is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It falls.
    Falling,
    /// It re-enters the grid in the next tick, where it is now: whole.
    Landing,
    /// It re-enters the grid in the next tick: in pieces, each down to where it finds a hold.
    Shattering,
}

/// Voxels on their way down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Why it fell.
    pub cause: Cause,
    /// How far it has fallen, in 1/256 voxel.
    pub fallen: u32,
    /// How fast it falls, in 1/256 voxel a tick.
    pub velocity: u32,
    /// What it is about to do.
    pub phase: Phase,
    /// Its voxels.
    pub shape: Arc<Shape>,
}

/// What one column has yet to do, and what moves in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnState {
    /// Voxels that changed, by place.
    pub marks: BTreeMap<VoxelPos, Mark>,
    /// Voxels that leave the grid in the next tick.
    pub leaving: BTreeMap<VoxelPos, Leaving>,
    /// What will burst.
    pub charges: BTreeMap<VoxelPos, Charge>,
    /// What falls.
    pub bodies: Bodies,
    /// Work units that earlier ticks took beyond their budget.
    pub debt: u64,
    /// Voxels that have no support and stay only because their cluster lay on something when it was about to leave. They are
    /// looked at again when something beside them changes. Each with why it was about to leave.
    pub resting: Arc<BTreeMap<VoxelPos, Cause>>,
    /// Crowds whose first goal is in this column.
    pub crowds: BTreeMap<CrowdId, Crowd>,
    /// Agents that are in this column, of each crowd in order of their numbers.
    pub agents: BTreeMap<CrowdId, Arc<[Agent]>>,
}

impl ColumnState {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.resting.is_empty() && self.is_at_rest()
    }

    /// Whether there is nothing to do and nothing moves.
    pub fn is_at_rest(&self) -> bool {
        self.is_settled() && self.crowds.is_empty() && self.agents.is_empty()
    }

    /// Whether nothing is to be decided, bursts or falls; agents may be about.
    pub fn is_settled(&self) -> bool {
        self.marks.is_empty()
            && self.leaving.is_empty()
            && self.charges.is_empty()
            && self.bodies.is_empty()
            && self.debt == 0
    }

    /// Adds a charge; of two in one place the stronger power and the earlier tick count.
    pub fn add_charge(&mut self, pos: VoxelPos, charge: Charge) {
        let there = self.charges.entry(pos).or_insert(charge);
        there.power = there.power.max(charge.power);
        there.due = there.due.min(charge.due);
    }

    /// Remembers a voxel that rests.
    pub fn rest(&mut self, pos: VoxelPos, cause: Cause) {
        Arc::make_mut(&mut self.resting).insert(pos, cause);
    }

    /// Forgets a voxel that rested, if it did.
    pub fn stir(&mut self, pos: VoxelPos) {
        if self.resting.contains_key(&pos) {
            Arc::make_mut(&mut self.resting).remove(&pos);
        }
    }

    /// What it adds to the world's running digest.
    pub fn term(&self, column: ColumnPos) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let mut bytes = Vec::with_capacity(self.bytes_expected());
        let mut writer = Writer(&mut bytes);
        writer.i32(column.x());
        writer.i32(column.z());
        writer.state(self);
        writer.later(self);
        xxh3_64(&bytes)
    }

    /// About how many, without the voxels of bodies and without crowds.
    fn bytes_expected(&self) -> usize {
        128 + 40 * self.marks.len()
            + 30 * self.leaving.len()
            + 39 * self.charges.len()
            + 54 * self.bodies.len()
            + 29 * self.resting.len()
    }

    /// As bytes: everything but the voxels of bodies, of which `fresh` gives those that follow.
    pub fn to_bytes(&self, fresh: &BTreeSet<BodyId>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.state(self);
        let fresh: Vec<_> = self.bodies.iter().filter(|(id, _)| fresh.contains(id)).collect();
        writer.u32(fresh.len() as u32);
        for (id, body) in fresh {
            writer.body_id(*id);
            writer.voxels(&body.shape.voxels);
        }
        writer.later(self);
        bytes
    }

    /// Reads what [`ColumnState::to_bytes`] wrote. The voxels of bodies that do not follow come from `before`, the state that
    /// this one replaces.
    pub fn from_bytes(bytes: &[u8], before: Option<&Self>) -> Result<Self, StateError> {
        let mut reader = Reader(bytes);
        let (state, missing) = reader.state(before).ok_or(StateError)?;
        if reader.0.is_empty() && missing == 0 { Ok(state) } else { Err(StateError) }
    }

    /// The same where bytes before these were lost: bodies whose voxels are nowhere to be found are left out, and counted.
    pub fn salvage(bytes: &[u8], before: Option<&Self>) -> Result<(Self, usize), StateError> {
        Reader(bytes).state(before).ok_or(StateError)
    }
}

/// Bytes that are not the state of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not the state of a column")]
pub struct StateError;

/// Bits of a voxel's x or z that say where in its column it is.
const COLUMN_BITS: u32 = 7;
const _: () = assert!(1 << COLUMN_BITS == CHUNK_EDGE * REGION_CHUNKS_X && REGION_CHUNKS_X == REGION_CHUNKS_Z);
/// The exit of an agent that has not moved yet, in five bits above its progress.
const EXIT_NONE: u8 = 31;
const EXIT_SHIFT: u32 = 27;
const _: () = assert!(PROGRESS_MAX == (1 << EXIT_SHIFT) - 1);

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn i32(&mut self, value: i32) {
        self.u32(value as u32);
    }
    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn pos(&mut self, pos: VoxelPos) {
        pos.to_array().into_iter().for_each(|part| self.i32(part));
    }
    fn cause(&mut self, cause: Cause) {
        self.u8(cause.kind as u8);
        self.u64(cause.actor.0);
        self.u64(cause.root);
    }
    fn body_id(&mut self, id: BodyId) {
        self.u64(id.tick);
        self.pos(id.origin);
    }

    fn voxels(&mut self, voxels: &[BodyVoxel]) {
        self.u32(voxels.len() as u32);
        for voxel in voxels {
            self.pos(voxel.pos);
            self.u16(voxel.block.0);
            self.u32(voxel.sparse.as_ref().map_or(u32::MAX, |data| data.len() as u32));
            self.0.extend_from_slice(voxel.sparse.as_deref().unwrap_or_default());
        }
    }

    /// What was added to states later: nothing where nothing rests and nobody walks, as before there were such things.
    fn later(&mut self, state: &ColumnState) {
        let has_agents = !state.crowds.is_empty() || !state.agents.is_empty();
        if !state.resting.is_empty() || has_agents {
            self.u32(state.resting.len() as u32);
            for (pos, cause) in &*state.resting {
                self.pos(*pos);
                self.cause(*cause);
            }
        }
        if has_agents {
            self.u32(state.crowds.len() as u32);
            state.crowds.iter().for_each(|(id, crowd)| self.crowd(*id, crowd));
            self.u32(state.agents.len() as u32);
            state.agents.iter().for_each(|(id, agents)| self.agents(*id, agents));
        }
    }

    fn crowd_id(&mut self, id: CrowdId) {
        self.u64(id.actor.0);
        self.u64(id.sequence);
    }

    fn crowd(&mut self, id: CrowdId, crowd: &Crowd) {
        let Errand { mode, goals, within, speed } = &*crowd.errand;
        self.crowd_id(id);
        self.u8(mode.len() as u8);
        self.0.extend_from_slice(mode.as_bytes());
        self.u32(goals.len() as u32);
        goals.iter().for_each(|goal| self.pos(*goal));
        within.min().into_iter().chain(within.max()).for_each(|part| self.i32(part));
        self.u16(*speed);
        self.u64(crowd.debt);
        self.u32(crowd.pending.len() as u32);
        for (pos, block) in &*crowd.pending {
            self.pos(*pos);
            self.u16(block.0);
        }
    }

    /// All of them are in one column of 128×128.
    fn agents(&mut self, id: CrowdId, agents: &[Agent]) {
        self.crowd_id(id);
        let first = agents.first().map_or([0; 3], |agent| agent.at.to_array());
        self.i32(first[0] >> COLUMN_BITS);
        self.i32(first[2] >> COLUMN_BITS);
        self.u32(agents.len() as u32);
        for Agent { number, at, progress, exit } in agents {
            let [x, z] = [at.x(), at.z()].map(|part| (part & ((1 << COLUMN_BITS) - 1)) as u32);
            self.u32(*number);
            self.u32(x | z << COLUMN_BITS | ((at.y() + VERTICAL_BOUND) as u32) << (2 * COLUMN_BITS));
            self.u32(*progress | u32::from((*exit).min(EXIT_NONE)) << EXIT_SHIFT);
        }
    }

    fn state(&mut self, state: &ColumnState) {
        self.u64(state.debt);
        self.u32(state.marks.len() as u32);
        for (pos, mark) in &state.marks {
            self.pos(*pos);
            self.u16(mark.old.0);
            self.u8(u8::from(mark.placed) | u8::from(mark.ready) << 1);
            self.u64(mark.tick);
            self.cause(mark.cause);
        }
        self.u32(state.leaving.len() as u32);
        for (pos, leaving) in &state.leaving {
            self.pos(*pos);
            self.u8(leaving.slide.unwrap_or(u8::MAX));
            self.cause(leaving.cause);
        }
        self.u32(state.charges.len() as u32);
        for (pos, charge) in &state.charges {
            self.pos(*pos);
            self.u8(charge.power);
            self.u8(u8::from(charge.ready));
            self.u64(charge.due);
            self.cause(charge.cause);
        }
        self.u32(state.bodies.len() as u32);
        for (id, body) in state.bodies.iter() {
            self.body_id(*id);
            self.cause(body.cause);
            self.u32(body.fallen);
            self.u32(body.velocity);
            self.u8(body.phase as u8);
            self.u64(body.shape.hash);
        }
    }
}

/// Bytes coming in; `None` wherever they end too soon or are not what they must be.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn pos(&mut self) -> Option<VoxelPos> {
        let [x, y, z] = [self.u32()?, self.u32()?, self.u32()?].map(|part| part as i32);
        VoxelPos::new(x, y, z).ok()
    }
    fn cause(&mut self) -> Option<Cause> {
        Some(Cause { kind: CauseKind::from_number(self.u8()?)?, actor: ActorId(self.u64()?), root: self.u64()? })
    }
    fn body_id(&mut self) -> Option<BodyId> {
        Some(BodyId { tick: self.u64()?, origin: self.pos()? })
    }
    /// A count of things that take at least `least` bytes each, so that it can't ask for more memory than came.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = self.u32()? as usize;
        (count <= self.0.len() / least).then_some(count)
    }

    fn voxel(&mut self) -> Option<BodyVoxel> {
        let (pos, block, length) = (self.pos()?, BlockId(self.u16()?), self.u32()?);
        let sparse = match length {
            u32::MAX => None,
            length if length as usize > SPARSE_BYTES_MAX => return None,
            length => {
                let (data, rest) = self.0.split_at_checked(length as usize)?;
                self.0 = rest;
                Some(data.into())
            }
        };
        Some(BodyVoxel { pos, block, sparse })
    }

    fn shape(&mut self) -> Option<Shape> {
        let voxels: Vec<BodyVoxel> = (0..self.count(18)?).map(|_| self.voxel()).collect::<Option<_>>()?;
        (!voxels.is_empty() && voxels.is_sorted_by(|a, b| a.pos < b.pos)).then(|| Shape::new(voxels))
    }

    fn mark(&mut self) -> Option<(VoxelPos, Mark)> {
        let (pos, old, flags) = (self.pos()?, BlockId(self.u16()?), self.u8()?);
        let (tick, cause) = (self.u64()?, self.cause()?);
        (flags < 4).then_some((pos, Mark { old, placed: flags & 1 == 1, ready: flags & 2 == 2, tick, cause }))
    }

    fn leaving(&mut self) -> Option<(VoxelPos, Leaving)> {
        let (pos, slide, cause) = (self.pos()?, self.u8()?, self.cause()?);
        let slide = if slide == u8::MAX { None } else { Some(slide) };
        slide.is_none_or(|exit| (2..6).contains(&exit)).then_some((pos, Leaving { cause, slide }))
    }

    fn charge(&mut self) -> Option<(VoxelPos, Charge)> {
        let (pos, power, ready) = (self.pos()?, self.u8()?, self.u8()?);
        let (due, cause) = (self.u64()?, self.cause()?);
        (ready < 2).then_some((pos, Charge { power, due, ready: ready == 1, cause }))
    }

    /// A body whose shape is yet to be found, by its hash.
    fn moving(&mut self) -> Option<(BodyId, Cause, u32, u32, Phase, u64)> {
        let (id, cause, fallen, velocity) = (self.body_id()?, self.cause()?, self.u32()?, self.u32()?);
        let phase = match self.u8()? {
            0 => Phase::Falling,
            1 => Phase::Landing,
            2 => Phase::Shattering,
            _ => return None,
        };
        Some((id, cause, fallen, velocity, phase, self.u64()?))
    }

    /// What was added to states later, if anything.
    #[expect(clippy::type_complexity, reason = "three fields of a state")]
    fn later(
        &mut self,
    ) -> Option<(Arc<BTreeMap<VoxelPos, Cause>>, BTreeMap<CrowdId, Crowd>, BTreeMap<CrowdId, Arc<[Agent]>>)> {
        if self.0.is_empty() {
            return Some(Default::default());
        }
        let resting = self.count(29)?;
        let resting = (0..resting).map(|_| Some((self.pos()?, self.cause()?))).collect::<Option<BTreeMap<_, _>>>()?;
        if self.0.is_empty() {
            return (!resting.is_empty()).then(|| (Arc::new(resting), BTreeMap::new(), BTreeMap::new()));
        }
        let crowds = (0..self.count(71)?).map(|_| self.crowd()).collect::<Option<BTreeMap<_, _>>>()?;
        let agents = (0..self.count(40)?).map(|_| self.agents()).collect::<Option<BTreeMap<_, _>>>()?;
        (!crowds.is_empty() || !agents.is_empty()).then(|| (Arc::new(resting), crowds, agents))
    }

    fn crowd_id(&mut self) -> Option<CrowdId> {
        Some(CrowdId { actor: ActorId(self.u64()?), sequence: self.u64()? })
    }

    fn crowd(&mut self) -> Option<(CrowdId, Crowd)> {
        let (id, length) = (self.crowd_id()?, self.u8()?);
        let (mode, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        let mode = std::str::from_utf8(mode).ok().filter(|mode| mode.len() <= MODE_NAME_MAX)?.to_owned();
        let goals = (0..self.count(12)?).map(|_| self.pos()).collect::<Option<Vec<_>>>()?;
        let [x0, y0, z0, x1, y1, z1] = [(); 6].map(|()| self.u32().map(|part| part as i32));
        let within = VoxelBox::new([x0?, y0?, z0?], [x1?, y1?, z1?]).ok()?;
        let (speed, debt) = (self.u16()?, self.u64()?);
        let pending = (0..self.count(14)?).map(|_| Some((self.pos()?, BlockId(self.u16()?))));
        let pending = Arc::new(pending.collect::<Option<_>>()?);
        let is_inside = |goal: &VoxelPos| {
            (0..3).all(|axis| (within.min()[axis]..within.max()[axis]).contains(&goal.to_array()[axis]))
        };
        let is_good = !goals.is_empty()
            && goals.len() <= CROWD_GOALS_MAX
            && goals.is_sorted_by(|a, b| a < b)
            && goals.iter().all(is_inside)
            && within.chunk_count() <= FIELD_CHUNKS_MAX;
        let errand = Arc::new(Errand { mode, goals, within, speed });
        is_good.then_some((id, Crowd { errand, pending, debt }))
    }

    fn agents(&mut self) -> Option<(CrowdId, Arc<[Agent]>)> {
        let (id, x, z) = (self.crowd_id()?, self.u32()? as i32, self.u32()? as i32);
        let origin = [x, z].map(|part| i64::from(part) << COLUMN_BITS);
        let agent = |reader: &mut Self| {
            let (number, place, moving) = (reader.u32()?, reader.u32()?, reader.u32()?);
            let part = |shift: u32| i64::from(place >> shift & ((1 << COLUMN_BITS) - 1));
            let y = i64::from(place >> (2 * COLUMN_BITS)) - i64::from(VERTICAL_BOUND);
            let at = VoxelPos::from_i64(origin[0] + part(0), y, origin[1] + part(COLUMN_BITS)).ok()?;
            let exit = match (moving >> EXIT_SHIFT) as u8 {
                EXIT_NONE => NO_EXIT,
                exit if usize::from(exit) < EXITS.len() => exit,
                _ => return None,
            };
            Some(Agent { number, at, progress: moving & PROGRESS_MAX, exit })
        };
        let agents = (0..self.count(12)?).map(|_| agent(self)).collect::<Option<Vec<_>>>()?;
        let is_good = !agents.is_empty() && agents.is_sorted_by(|a, b| a.number < b.number);
        is_good.then(|| (id, agents.into()))
    }

    /// A state, and how many bodies are missing from it because their voxels are not known.
    fn state(&mut self, before: Option<&ColumnState>) -> Option<(ColumnState, usize)> {
        let debt = self.u64()?;
        let marks = (0..self.count(40)?).map(|_| self.mark()).collect::<Option<_>>()?;
        let leaving = (0..self.count(30)?).map(|_| self.leaving()).collect::<Option<_>>()?;
        let charges = (0..self.count(39)?).map(|_| self.charge()).collect::<Option<_>>()?;
        let moving = (0..self.count(54)?).map(|_| self.moving()).collect::<Option<Vec<_>>>()?;
        let fresh = (0..self.count(42)?).map(|_| Some((self.body_id()?, Arc::new(self.shape()?))));
        let fresh = fresh.collect::<Option<BTreeMap<_, _>>>()?;
        let (resting, crowds, agents) = self.later()?;
        let mut missing = 0;
        let mut bodies = Vec::new();
        for (id, cause, fallen, velocity, phase, hash) in moving {
            let known = || Some(Arc::clone(&before?.bodies.get(&id)?.shape));
            let Some(shape) = fresh.get(&id).cloned().or_else(known).filter(|shape| shape.hash == hash) else {
                missing += 1;
                continue;
            };
            // Order is by height first, so the first voxel is a lowest one.
            let lowest = i64::from(shape.voxels[0].pos.y()) - i64::from(fallen >> 8);
            if lowest < -i64::from(VERTICAL_BOUND) {
                return None;
            }
            bodies.push((id, Body { cause, fallen, velocity, phase, shape }));
        }
        let bodies = bodies.into_iter().collect();
        Some((ColumnState { marks, leaving, charges, bodies, debt, resting, crowds, agents }, missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ColumnState {
        let pos = |x| VoxelPos::new(x, -7, 3).unwrap();
        let cause = Cause { kind: CauseKind::Blast, actor: ActorId(9), root: 4 };
        let voxel = |x, sparse| BodyVoxel { pos: pos(x), block: BlockId(3), sparse };
        let shape = Arc::new(Shape::new(vec![
            voxel(1, None),
            voxel(2, Some([1u8, 2][..].into())),
            voxel(9, Some([][..].into())),
        ]));
        let errand = Errand {
            mode: "ground".into(),
            goals: vec![pos(1), pos(3)],
            within: VoxelBox::new([-8, -9, -8], [20, 9, 20]).unwrap(),
            speed: 300,
        };
        let crowd = Crowd { errand: Arc::new(errand), pending: Arc::new([(pos(6), BlockId(2))].into()), debt: 90_000 };
        let agent = |number, progress, exit| Agent { number, at: pos(7), progress, exit };
        let agents: Arc<[Agent]> = [agent(3, 0, NO_EXIT), agent(8, 40_000, 25)].into();
        let body = |phase| Body { cause, fallen: 700, velocity: 12, phase, shape: Arc::clone(&shape) };
        ColumnState {
            marks: [(pos(5), Mark { old: BlockId(2), placed: true, ready: false, tick: 8, cause })].into(),
            leaving: [(pos(1), Leaving { cause, slide: Some(3) }), (pos(2), Leaving { cause, slide: None })].into(),
            charges: [(pos(4), Charge { power: 64, due: 12, ready: true, cause })].into(),
            bodies: [Phase::Falling, Phase::Landing, Phase::Shattering]
                .into_iter()
                .enumerate()
                .map(|(n, phase)| (BodyId { tick: n as u64, origin: pos(0) }, body(phase)))
                .collect(),
            debt: 77,
            resting: Arc::new([(pos(8), cause), (pos(11), cause)].into()),
            crowds: [(CrowdId { actor: ActorId(9), sequence: 5 }, crowd)].into(),
            agents: [(CrowdId { actor: ActorId(9), sequence: 5 }, agents)].into(),
        }
    }

    #[test]
    fn a_state_comes_back_and_bodies_it_shares_with_the_one_before_need_no_voxels() {
        let state = sample();
        let all: BTreeSet<BodyId> = state.bodies.keys().copied().collect();
        let whole = state.to_bytes(&all);
        assert_eq!(ColumnState::from_bytes(&whole, None), Ok(state.clone()));
        let short = state.to_bytes(&BTreeSet::new());
        assert!(short.len() + 3 * 60 < whole.len());
        assert_eq!(ColumnState::from_bytes(&short, Some(&state)), Ok(state.clone()));
        assert_eq!(ColumnState::from_bytes(&short, None), Err(StateError), "the voxels are missing");
        let without = ColumnState { bodies: Bodies::default(), ..state.clone() };
        assert_eq!(ColumnState::salvage(&short, None), Ok((without, 3)));
        // As states were written before anything rested, and before anybody walked.
        let without_agents = ColumnState { crowds: BTreeMap::new(), agents: BTreeMap::new(), ..state.clone() };
        let walked = without_agents.to_bytes(&all).len();
        let old = [walked, walked - 4 - 2 * 29];
        for cut in (0..whole.len()).filter(|cut| !old.contains(cut)) {
            assert_eq!(ColumnState::from_bytes(&whole[..cut], None), Err(StateError), "cut at {cut}");
        }
    }

    #[test]
    fn every_part_of_a_state_counts_in_its_digest() {
        let column = VoxelPos::new(0, 0, 0).unwrap().chunk().column();
        let state = sample();
        let without: [fn(&mut ColumnState); 11] = [
            |s| s.crowds.values_mut().for_each(|crowd| crowd.debt = 0),
            |s| s.crowds.values_mut().for_each(|crowd| crowd.pending = Arc::default()),
            |s| s.agents.clear(),
            |s| s.crowds.clear(),
            |s| s.stir(VoxelPos::new(8, -7, 3).unwrap()),
            |s| s.marks.clear(),
            |s| s.leaving.clear(),
            |s| s.charges.clear(),
            |s| s.bodies = Bodies::default(),
            |s| s.debt = 0,
            |s| {
                let further = |body: &Body| Body { fallen: body.fallen + 1, ..body.clone() };
                s.bodies = s.bodies.iter().map(|(id, body)| (*id, further(body))).collect();
            },
        ];
        for (n, change) in without.iter().enumerate() {
            let mut other = state.clone();
            change(&mut other);
            assert_ne!(other.term(column), state.term(column), "part {n}");
        }
        assert_eq!(ColumnState::default().term(column), 0);
    }
}
