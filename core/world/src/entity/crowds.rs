//! The crowds of one world: what is worked out for them, and their part of a tick.
//!
//! Everything here follows from the state of columns and the blocks of the world, so a world that is opened again makes it
//! anew and goes on alike.

use super::advance::{Agents, Pace, Scratch, advance};
use super::guide::{Grid, Guides, Now, guide};
use super::state::{Agent, Crowd, CrowdError, CrowdId, Errand, Starts};
use crate::block::{AIR, BlockId, Registry};
use crate::chunk::Chunk;
use crate::limits::{
    AGENTS_MAX, AGENTS_PER_VOXEL, CHUNK_VOXELS, CROWD_GOALS_MAX, CROWDS_MAX, FIELD_CHUNKS_MAX, FIELD_PENDING_MAX,
    FIELD_WORK_PER_TICK,
};
use crate::path::PathError;
use crate::path::field::{FlowField, Reach};
use crate::path::mode::{Medium, Modes};
use crate::path::navigation::{Blocks, Navigation, Resident};
use crate::physics::Columns;
use crate::physics::plan::Tick;
use crate::resident::Residency;
use crate::space::{ChunkPos, ColumnPos, LocalIndex, VoxelBox, VoxelPos};
use crate::step::{Cause, CauseKind};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Heap bytes of one crowd's guides from which on those that nobody needs now are dropped.
const GUIDES_BYTES_MAX: usize = 256 << 20;

/// What is worked out for one crowd.
struct Running {
    errand: Arc<Errand>,
    agents: Agents,
    /// None where the world has no such mode any more: then all wait.
    ground: Option<Ground>,
    scratch: Scratch,
}

/// What agents go by.
struct Ground {
    navigation: Navigation,
    field: FlowField,
    guides: Guides,
    pace: Pace,
    /// By block id, whether it has to be dug away; empty if the mode does not dig.
    solid: Vec<bool>,
}

/// The crowds of one world.
pub struct Crowds {
    modes: Modes,
    running: BTreeMap<CrowdId, Running>,
    /// Whether what the world's state tells of has been taken up.
    is_open: bool,
}

/// The chunks of a world with some voxels as they were.
struct Before<'a> {
    blocks: &'a mut dyn Blocks,
    voxels: &'a BTreeMap<VoxelPos, BlockId>,
}

impl Blocks for Before<'_> {
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>> {
        let mut chunks = self.blocks.chunks(wanted);
        let mut by_chunk: BTreeMap<ChunkPos, Vec<(LocalIndex, BlockId)>> = BTreeMap::new();
        for (pos, block) in self.voxels {
            by_chunk.entry(pos.chunk()).or_default().push((pos.local(), *block));
        }
        for (chunk, pos) in chunks.iter_mut().zip(wanted) {
            let (Some(chunk), Some(voxels)) = (chunk, by_chunk.get(pos)) else { continue };
            let chunk = Arc::make_mut(chunk);
            for (local, block) in voxels {
                chunk.set(*local, *block);
            }
        }
        chunks
    }
}

/// The column that remembers a crowd.
fn home(errand: &Errand) -> ColumnPos {
    errand.goals[0].chunk().column()
}

impl Ground {
    /// Works out the field of an errand. `pending` are voxels that it has not taken note of yet.
    fn new(
        errand: &Errand,
        modes: &Modes,
        registry: &Registry,
        blocks: &mut dyn Blocks,
        pending: Option<&BTreeMap<VoxelPos, BlockId>>,
    ) -> Result<Self, CrowdError> {
        let unknown = || PathError::UnknownMode { name: errand.mode.clone(), known: modes.names() };
        let mode = modes.get(&errand.mode).ok_or_else(unknown)?;
        let digs = mode.medium == Medium::Dig;
        if digs && (mode.height, mode.width) != (1, 1) {
            return Err(CrowdError::Body(mode.name.clone()));
        }
        let mut navigation = Navigation::new(mode, registry)?;
        let (goals, within) = (&errand.goals, errand.within);
        let field = match pending {
            None => FlowField::solve(&mut navigation, blocks, registry, goals, within, None)?,
            Some(voxels) => {
                let mut before = Navigation::new(mode, registry)?;
                FlowField::resume(&mut before, &mut Before { blocks, voxels }, goals, within, None)
            }
        };
        let solid = if digs { registry.iter().map(|(_, _, rule)| rule.solid).collect() } else { Vec::new() };
        let pace = Pace { speed: errand.speed.into(), lengths: mode.diagonal };
        Ok(Self { navigation, field, guides: Guides::new(within), pace, solid })
    }

    /// Forgets what depends on the blocks of voxels.
    fn changed(&mut self, voxels: &[VoxelPos]) {
        let minded = voxels.iter().filter(|pos| self.minds(**pos));
        let chunks: BTreeSet<ChunkPos> = minded.clone().map(|pos| pos.chunk()).collect();
        let guides: BTreeSet<ChunkPos> = if self.navigation.mode().is_plain() {
            minded.flat_map(|pos| self.guides.grid().chunks_near(*pos)).collect()
        } else {
            let affected: BTreeSet<ChunkPos> = minded.flat_map(|pos| self.navigation.affected(*pos)).collect();
            affected.into_iter().flat_map(Grid::around).collect()
        };
        chunks.into_iter().for_each(|chunk| self.navigation.changed(chunk));
        guides.into_iter().for_each(|chunk| self.guides.forget(chunk));
    }

    /// Whether the field could tell something else because of a voxel.
    fn minds(&self, pos: VoxelPos) -> bool {
        self.navigation.affected(pos).any(|chunk| self.guides.grid().number(chunk).is_some())
    }

    /// Makes the guides that agents look at in a tick.
    fn make_guides(&mut self, agents: &Agents, blocks: &mut dyn Blocks) {
        let grid = *self.guides.grid();
        let mut needed = vec![false; grid.chunk_count()];
        let mark = |place| grid.chunks_around(place).for_each(|number| needed[number as usize] = true);
        agents.places.iter().copied().for_each(mark);
        if self.guides.memory_bytes() > GUIDES_BYTES_MAX {
            self.guides.retain(|number| needed[number as usize]);
        }
        let missing =
            (0..grid.chunk_count() as u32).filter(|number| needed[*number as usize] && !self.guides.has(*number));
        let missing: Vec<(u32, ChunkPos)> = missing.map(|number| (number, grid.chunk(number))).collect();
        let around = missing.iter().flat_map(|(_, pos)| Grid::around(*pos));
        let around: Vec<ChunkPos> = around.collect::<BTreeSet<_>>().into_iter().collect();
        self.navigation.prepare(blocks, &around);
        let gather = |(number, pos): &(u32, ChunkPos)| {
            (*number, *pos, Now::new(&mut self.navigation, blocks, *pos, &self.solid))
        };
        let gathered: Vec<_> = missing.iter().map(gather).collect();
        let (field, navigation) = (&self.field, &self.navigation);
        let make = |(number, pos, now): (u32, ChunkPos, Now)| (number, guide(field, navigation, pos, &now));
        let made: Vec<_> = gathered.into_par_iter().map(make).collect();
        made.iter().for_each(|(number, guide)| self.guides.put(*number, guide));
    }
}

impl Crowds {
    /// None yet, in a world with these modes.
    pub const fn new(modes: Modes) -> Self {
        Self { modes, running: BTreeMap::new(), is_open: false }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// How many agents there are.
    pub fn agents(&self) -> usize {
        self.running.values().map(|running| running.agents.len()).sum()
    }

    /// Takes up the crowds that the state of columns tells of, once.
    pub fn open(&mut self, tick: u64, columns: &Columns, registry: &Registry, chunks: &mut Residency) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        let pool = Arc::clone(chunks.pool());
        for (id, crowd) in columns.values().flat_map(|state| &state.crowds) {
            let blocks = &mut Resident(chunks, tick);
            let ground =
                pool.install(|| Ground::new(&crowd.errand, &self.modes, registry, blocks, Some(&crowd.pending)));
            let grid = Grid::new(crowd.errand.within);
            let mut all: Vec<Agent> = columns
                .values()
                .filter_map(|state| state.agents.get(id))
                .flat_map(|agents| agents.iter().copied())
                .collect();
            all.sort_unstable_by_key(|agent| agent.number);
            let mut agents = Agents::default();
            for (agent, place) in all.iter().filter_map(|agent| Some((agent, grid.place(agent.at)?))) {
                agents.push_moving(agent.number, place, agent.progress, agent.exit);
            }
            let running =
                Running { errand: Arc::clone(&crowd.errand), agents, ground: ground.ok(), scratch: Scratch::default() };
            self.running.insert(*id, running);
        }
    }

    /// Makes a crowd, which enters the world in the same tick.
    pub fn raise(
        &mut self,
        id: CrowdId,
        errand: &Errand,
        starts: &Starts,
        registry: &Registry,
        chunks: &mut Residency,
        tick: u64,
    ) -> Result<(), CrowdError> {
        let asked = match starts {
            Starts::Places(places) => places.len(),
            Starts::Within { count, .. } => *count as usize,
        };
        self.check(errand, asked)?;
        let mut errand = errand.clone();
        errand.goals.sort_unstable();
        errand.goals.dedup();
        let pool = Arc::clone(chunks.pool());
        let mut blocks = Resident(chunks, tick);
        let mut ground = pool.install(|| Ground::new(&errand, &self.modes, registry, &mut blocks, None))?;
        let places = match starts {
            Starts::Places(places) => {
                check_places(places, &mut ground, &mut blocks, registry)?;
                places.clone()
            }
            Starts::Within { within, count } => spread(&ground.field, *within, *count as usize)?,
        };
        let mut agents = Agents::default();
        for (number, at) in (0..).zip(places) {
            agents.push(number, ground.guides.grid().place(at).expect("inside the box"));
        }
        let running = Running { errand: Arc::new(errand), agents, ground: Some(ground), scratch: Scratch::default() };
        self.running.insert(id, running);
        Ok(())
    }

    /// The limits of the world.
    fn check(&self, errand: &Errand, asked: usize) -> Result<(), CrowdError> {
        let there = self.agents();
        let chunks = self.running.values().map(|running| running.errand.within.chunk_count()).sum::<u64>();
        if asked == 0 || errand.speed == 0 {
            return Err(CrowdError::Nobody);
        }
        if asked + there > AGENTS_MAX {
            return Err(CrowdError::TooMany { asked, there });
        }
        if self.running.len() >= CROWDS_MAX {
            return Err(CrowdError::TooManyCrowds);
        }
        if errand.goals.len() > CROWD_GOALS_MAX {
            return Err(CrowdError::TooManyGoals(errand.goals.len()));
        }
        if errand.within.chunk_count() + chunks > FIELD_CHUNKS_MAX {
            return Err(CrowdError::Fields { asked: errand.within.chunk_count(), there: chunks });
        }
        Ok(())
    }

    /// The crowds that an actor asked for before an input.
    pub fn before(&self, id: CrowdId) -> Vec<CrowdId> {
        let first = CrowdId { sequence: 0, ..id };
        self.running.range(first..id).map(|(id, _)| *id).collect()
    }

    /// Puts a crowd that was raised into the state of the world.
    pub fn enter(&self, tick: &mut Tick<'_>, id: CrowdId) {
        let running = &self.running[&id];
        let crowd = Crowd { errand: Arc::clone(&running.errand), pending: Arc::default(), debt: 0 };
        tick.next.entry(home(&running.errand)).or_default().crowds.insert(id, crowd);
    }

    /// Takes a crowd out of the world.
    pub fn leave(&mut self, tick: &mut Tick<'_>, id: CrowdId) {
        self.running.remove(&id);
        for state in tick.next.values_mut() {
            state.crowds.remove(&id);
            state.agents.remove(&id);
        }
    }

    /// Brings fields up to date, crowd by crowd in order of their ids, as far as the tick has work for that.
    pub fn repair(&mut self, tick: &mut Tick<'_>) {
        let pool = Arc::clone(tick.chunks.pool());
        for (id, running) in &mut self.running {
            let state = tick.next.get_mut(&home(&running.errand)).and_then(|state| state.crowds.get_mut(id));
            let crowd = state.expect("the state tells of every crowd");
            let is_ready = crowd.debt == 0 || crowd.pending.len() > FIELD_PENDING_MAX;
            let mut done = 0;
            if is_ready && !crowd.pending.is_empty() {
                let pending = std::mem::take(&mut crowd.pending);
                if let Some(ground) = &mut running.ground {
                    let chunks: BTreeSet<ChunkPos> =
                        pending.keys().flat_map(|pos| ground.navigation.affected(*pos)).collect();
                    let chunks: Vec<ChunkPos> = chunks.into_iter().collect();
                    let blocks = &mut Resident(tick.chunks, tick.tick);
                    let followed = pool.install(|| ground.field.repair(&mut ground.navigation, blocks, &chunks));
                    followed.chunks.iter().for_each(|chunk| ground.guides.forget_around(*chunk));
                    done = followed.changed + pending.len() as u64;
                }
            }
            crowd.debt = (crowd.debt + done).saturating_sub(FIELD_WORK_PER_TICK);
            tick.counts.stale += u64::from(!crowd.pending.is_empty());
            tick.counts.repaired += done;
        }
    }

    /// Moves all agents, and plans what they dig. A crowd that nobody is left of is gone.
    pub fn advance(&mut self, tick: &mut Tick<'_>) {
        let pool = Arc::clone(tick.chunks.pool());
        let mut gone = Vec::new();
        for (id, running) in &mut self.running {
            let Running { agents, ground, scratch, .. } = running;
            if let Some(ground) = ground {
                let blocks = &mut Resident(tick.chunks, tick.tick);
                let tally = pool.install(|| {
                    ground.make_guides(agents, blocks);
                    advance(&ground.guides, ground.pace, agents, scratch)
                });
                tick.counts.stepped += tally.moved;
                tick.counts.waiting += tally.waiting;
                tick.counts.lost += tally.lost;
                tick.counts.arrived += tally.arrived;
                let dug: Vec<VoxelPos> = scratch.dug.iter().map(|place| ground.guides.grid().voxel(*place)).collect();
                dig(tick, *id, &dug);
            } else {
                tick.counts.lost += agents.len() as u64;
            }
            scatter(tick, *id, &running.errand, agents);
            if agents.is_empty() {
                gone.push(*id);
            }
        }
        gone.into_iter().for_each(|id| self.leave(tick, id));
    }

    /// Takes note of everything that the tick changes, in the state of the crowds whose fields mind it.
    pub fn mark(&self, tick: &mut Tick<'_>) {
        if self.running.is_empty() {
            return;
        }
        let changed = tick.plan.changed();
        for (id, running) in &self.running {
            let Some(ground) = &running.ground else { continue };
            let minded = changed.iter().filter(|(pos, start, now, ..)| start != now && ground.minds(*pos));
            let minded: Vec<(VoxelPos, BlockId)> = minded.map(|(pos, start, ..)| (*pos, *start)).collect();
            let state = tick.next.get_mut(&home(&running.errand)).and_then(|state| state.crowds.get_mut(id));
            let crowd = state.expect("the state tells of every crowd");
            if !minded.is_empty() {
                let pending = Arc::make_mut(&mut crowd.pending);
                // What has not been worked in yet is still to be compared with what was there first.
                for (pos, start) in minded {
                    pending.entry(pos).or_insert(start);
                }
            }
        }
    }

    /// Forgets what depends on voxels that have changed.
    pub fn changed(&mut self, voxels: &[VoxelPos]) {
        let grounds = self.running.values_mut().filter_map(|running| running.ground.as_mut());
        grounds.for_each(|ground| ground.changed(voxels));
    }
}

/// Plans what agents dig: in the tick they have paid for it, unless something else has changed it.
fn dig(tick: &mut Tick<'_>, id: CrowdId, dug: &[VoxelPos]) {
    if dug.is_empty() {
        return;
    }
    tick.plan.group(Cause { kind: CauseKind::Dig, actor: id.actor, root: id.sequence }, None);
    for pos in dug {
        let Some(start) = tick.block(*pos).filter(|_| !tick.plan.disturbs(*pos)) else { continue };
        tick.plan.set(*pos, start, AIR, None, false);
        tick.counts.dug += 1;
    }
}

/// Puts the agents of a crowd into the states of the columns they are in.
fn scatter(tick: &mut Tick<'_>, id: CrowdId, errand: &Errand, agents: &Agents) {
    let grid = Grid::new(errand.within);
    let mut by_column: BTreeMap<ColumnPos, Vec<Agent>> = BTreeMap::new();
    for n in 0..agents.len() {
        let at = grid.voxel(agents.places[n]);
        let agent = Agent { number: agents.numbers[n], at, progress: agents.progress[n], exit: agents.exits[n] };
        by_column.entry(at.chunk().column()).or_default().push(agent);
    }
    tick.next.values_mut().for_each(|state| drop(state.agents.remove(&id)));
    for (column, agents) in by_column {
        tick.next.entry(column).or_default().agents.insert(id, agents.into());
    }
}

/// Whether agents can begin where they shall.
fn check_places(
    places: &[VoxelPos],
    ground: &mut Ground,
    blocks: &mut dyn Blocks,
    registry: &Registry,
) -> Result<(), CrowdError> {
    let mut there: BTreeMap<VoxelPos, usize> = BTreeMap::new();
    for at in places {
        let (within, pos) = (ground.field.within(), at.to_array());
        if (0..3).any(|axis| !(within.min()[axis]..within.max()[axis]).contains(&pos[axis])) {
            return Err(PathError::OutsideBox { at: *at, within: within.to_string() }.into());
        }
        if ground.navigation.cost(blocks, *at).is_none() {
            return Err(ground.navigation.refusal(blocks, registry, *at).into());
        }
        *there.entry(*at).or_default() += 1;
    }
    if there.values().any(|count| *count > AGENTS_PER_VOXEL) {
        return Err(CrowdError::NoRoom { asked: places.len(), room: there.len() * AGENTS_PER_VOXEL });
    }
    Ok(())
}

/// Places for so many agents, spread evenly over those of a box from which a goal can be reached.
fn spread(field: &FlowField, within: VoxelBox, count: usize) -> Result<Vec<VoxelPos>, CrowdError> {
    let mut open = Vec::new();
    for chunk in within.intersection(field.within()).into_iter().flat_map(VoxelBox::chunks) {
        let is_inside = |at: &VoxelPos| (0..3).all(|n| (within.min()[n]..within.max()[n]).contains(&at.to_array()[n]));
        let reaches = (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new).zip(field.reaches(chunk));
        let reached = reaches.filter(|(_, reach)| matches!(reach, Reach::Cost(_)));
        open.extend(reached.map(|(local, _)| chunk.voxel(local)).filter(is_inside));
    }
    open.sort_unstable();
    let room = open.len() * AGENTS_PER_VOXEL;
    if count > room {
        return Err(CrowdError::NoRoom { asked: count, room });
    }
    Ok((0..count).map(|n| open[n * open.len() / count]).collect())
}
