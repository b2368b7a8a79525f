//! One tick: inputs go in, deltas come out, and nothing else changes a voxel.

use crate::block::{BlockId, Registry};
use crate::chunk::{Chunk, ChunkError, Sparse, Version};
use crate::digest::{sparse_term, voxel_term};
use crate::entity::crowds::Crowds;
use crate::entity::state::{CrowdError, CrowdId, Errand, Starts};
use crate::light::Light;
use crate::limits::{ACTORS_MAX, CHUNK_VOXELS, EDIT_VOXELS_MAX, TICK_INPUTS_MAX};
use crate::path::mode::Modes;
use crate::physics::plan::{Counts, Group, Owned, Plan, Planned, Tick};
use crate::physics::state::{Body, BodyId, Charge, ColumnState};
use crate::physics::{self, Columns, Judge, Physics, RuleSet};
use crate::relax::{Bulk, RulesError};
use crate::resident::Residency;
use crate::space::{ChunkPos, ColumnPos, LocalIndex, VoxelPos};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Who asked for a change: a number that outlives connections. 0 is the world itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActorId(pub u64);

impl ActorId {
    /// Somebody who has nothing but a name: the same name is always the same actor.
    pub fn named(name: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(name.as_bytes()).max(1))
    }
}

/// One voxel as it shall be: the block, and its sparse data (none takes away what was there).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoxelEdit {
    /// Where.
    pub pos: VoxelPos,
    /// The block it shall be.
    pub block: BlockId,
    /// The sparse data it shall have.
    pub sparse: Option<Sparse>,
}

/// What something is, and what it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap<T> {
    /// What it is.
    pub from: T,
    /// What it shall be.
    pub to: T,
}

/// One voxel that an undo puts back. Where it is not as expected any more, somebody was faster, and it stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoxelRestore {
    /// Where.
    pub pos: VoxelPos,
    /// Its block; none leaves it as it is.
    pub block: Option<Swap<BlockId>>,
    /// Its sparse data; none leaves it as it is.
    pub sparse: Option<Box<Swap<Option<Sparse>>>>,
}

/// A request to change the world. All of an input happens in one tick, or none of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Set voxels.
    Edit {
        /// Who asks.
        actor: ActorId,
        /// 1, 2, 3, … per actor; what is not above the last one decided is a repetition.
        sequence: u64,
        /// At most 4,096 voxels; a later entry for the same voxel wins.
        voxels: Vec<VoxelEdit>,
    },
    /// Set off a blast, in the next tick.
    Blast {
        /// Who asks.
        actor: ActorId,
        /// As for an edit; edits and blasts of an actor count together.
        sequence: u64,
        /// Where.
        at: VoxelPos,
        /// How strong: in a block that swallows `n`, it reaches `power / n` voxels.
        power: u8,
    },
    /// Send agents to goals. Whoever arrives leaves the crowd.
    Crowd {
        /// Who asks.
        actor: ActorId,
        /// As for an edit; all inputs of an actor count together.
        sequence: u64,
        /// Where they go.
        errand: Errand,
        /// Where they begin.
        starts: Starts,
    },
    /// Take the actor's crowds out of the world.
    Dismiss {
        /// Who asks.
        actor: ActorId,
        /// As for a crowd.
        sequence: u64,
    },
    /// Put voxels back as they were: a part of an undo. Nothing falls because of it, until somebody touches what is there.
    Restore {
        /// Who asks.
        actor: ActorId,
        /// As for an edit.
        sequence: u64,
        /// The undo it belongs to; what it changes has this as the root of its cause.
        undo: u64,
        /// At most 4,096 voxels, each once.
        voxels: Vec<VoxelRestore>,
    },
}

impl Input {
    /// Who asks, and their number for it.
    pub const fn asked_by(&self) -> (ActorId, u64) {
        match self {
            Self::Edit { actor, sequence, .. }
            | Self::Blast { actor, sequence, .. }
            | Self::Crowd { actor, sequence, .. }
            | Self::Restore { actor, sequence, .. }
            | Self::Dismiss { actor, sequence } => (*actor, *sequence),
        }
    }
}

/// What became of an input, in the order of inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It happened (voxels that already were as asked leave no trace).
    Applied,
    /// Its sequence has been decided before; nothing was done again.
    Repeated,
    /// It was refused, and nothing of it was done.
    Refused(Refusal),
}

/// Why an input was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The block has no entry in the world's registry.
    #[error("block id {0} is not in the world's registry")]
    UnknownBlock(u16),
    /// More voxels than one input may change.
    #[error("an input may change {EDIT_VOXELS_MAX} voxels, not {0}")]
    TooManyVoxels(usize),
    /// A chunk it touches could not be read.
    #[error("chunk {pos} could not be read: {reason}")]
    Unreadable {
        /// The chunk.
        pos: ChunkPos,
        /// What the source said.
        reason: String,
    },
    /// Sparse data is too large.
    #[error(transparent)]
    Sparse(#[from] ChunkError),
    /// A blast that would reach further than a tick may look, or nowhere.
    #[error("a blast in this world has a power of 1 to {most}, not {power}")]
    Power {
        /// The power asked for.
        power: u8,
        /// The most there may be: `REACH` times the least that a block swallows.
        most: u8,
    },
    /// There can't be such a crowd, or there is none.
    #[error(transparent)]
    Crowd(#[from] CrowdError),
}

/// Why a tick was refused as a whole. The world is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Ticks only go up.
    #[error("tick {given} does not follow tick {last}")]
    TickOrder {
        /// The tick given.
        given: u64,
        /// The last tick stepped.
        last: u64,
    },
    /// More inputs than a tick takes.
    #[error("a tick takes {TICK_INPUTS_MAX} inputs, not {0}: keep the rest for the next one")]
    TooManyInputs(usize),
}

/// A stage of a tick, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Inputs are admitted, and the chunks they touch fetched.
    Admit,
    /// Clusters leave the grid.
    Collapse,
    /// Charges burst.
    Blast,
    /// Bodies land and fall.
    Bodies,
    /// Inputs are planned.
    Inputs,
    /// Fields that agents follow are repaired.
    Fields,
    /// Agents move, and dig.
    Entities,
    /// Support is worked out anew.
    Support,
    /// Chunks are changed.
    Change,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Admit,
        Self::Collapse,
        Self::Blast,
        Self::Bodies,
        Self::Inputs,
        Self::Fields,
        Self::Entities,
        Self::Support,
        Self::Change,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Collapse => "collapse",
            Self::Blast => "blast",
            Self::Bodies => "bodies",
            Self::Inputs => "inputs",
            Self::Fields => "fields",
            Self::Entities => "entities",
            Self::Support => "support",
            Self::Change => "change",
        }
    }
}

/// A world can't be shared out among owners under its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "connectivity reaches without bound, so a world under it has one owner: choose physics = \"span\" or \"off\" in \
     world.toml to share it out"
)]
pub struct NotLocal;

/// What kind of thing changed a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum CauseKind {
    /// Somebody's edit.
    Edit = 1,
    /// A blast destroyed it.
    Blast = 2,
    /// It lost its hold and left the grid with a body.
    Collapse = 3,
    /// A body landed.
    Landing = 4,
    /// A loose block slid off.
    Slide = 5,
    /// An agent dug it away.
    Dig = 6,
    /// It was put back as it had been.
    Undo = 7,
}

impl CauseKind {
    /// All of them, by number.
    pub const ALL: [Self; 7] =
        [Self::Edit, Self::Blast, Self::Collapse, Self::Landing, Self::Slide, Self::Dig, Self::Undo];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Blast => "blast",
            Self::Collapse => "collapse",
            Self::Landing => "landing",
            Self::Slide => "slide",
            Self::Dig => "dig",
            Self::Undo => "undo",
        }
    }

    /// From the number in a journal record.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Edit),
            2 => Some(Self::Blast),
            3 => Some(Self::Collapse),
            4 => Some(Self::Landing),
            5 => Some(Self::Slide),
            6 => Some(Self::Dig),
            7 => Some(Self::Undo),
            _ => None,
        }
    }
}

/// Why a chunk changed: what kind of change, whose, and which input began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The kind.
    pub kind: CauseKind,
    /// Who asked.
    pub actor: ActorId,
    /// The sequence of the actor's input that began it; of an undo, its number.
    pub root: u64,
}

/// Neighbouring local indexes that changed from one block to one other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// First local index.
    pub first: LocalIndex,
    /// How many, at least 1.
    pub length: u16,
    /// What was there.
    pub old: BlockId,
    /// What is there now.
    pub new: BlockId,
}

/// Sparse data that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseChange {
    /// Where.
    pub local: LocalIndex,
    /// What was there.
    pub old: Option<Sparse>,
    /// What is there now.
    pub new: Option<Sparse>,
}

/// What changed in one chunk by one cause in one tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkDelta {
    /// The chunk.
    pub pos: ChunkPos,
    /// Its version before.
    pub from: Version,
    /// Its version after.
    pub to: Version,
    /// Why.
    pub cause: Cause,
    /// The body that left the grid here or came back.
    pub body: Option<BodyId>,
    /// Changed voxels, ascending, not overlapping.
    pub runs: Vec<Run>,
    /// Changed sparse data, ascending.
    pub sparse: Vec<SparseChange>,
}

/// Everything one tick changed.
#[derive(Debug, Clone, Default)]
pub struct Deltas {
    /// The tick.
    pub tick: u64,
    /// In order of (chunk, input).
    pub chunks: Vec<ChunkDelta>,
    /// Each changed chunk as it stood before the tick, in order of position: what those see who wait for the fsync.
    pub before: Vec<(ChunkPos, Held)>,
    /// Each changed chunk as it stands after the tick, in order of position.
    pub after: Vec<(ChunkPos, Held)>,
    /// For each actor that was heard, the last sequence decided.
    pub actors: Vec<(ActorId, u64)>,
    /// For each input, what became of it.
    pub outcomes: Vec<Outcome>,
    /// The world's running digest after the tick.
    pub digest: u64,
    /// Columns in which something is under way, or was until now, in order of position.
    pub columns: Vec<ColumnUpdate>,
    /// What physics did.
    pub counts: Counts,
}

impl Deltas {
    /// Whether there is nothing that a journal has to know.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.columns.is_empty() && self.outcomes.is_empty()
    }
}

/// What is under way in a column after a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnUpdate {
    /// The column.
    pub column: ColumnPos,
    /// Its state now.
    pub state: ColumnState,
    /// The bodies that were not there before the tick.
    pub fresh: BTreeSet<BodyId>,
}

/// A chunk with its version.
#[derive(Debug, Clone)]
pub struct Held {
    /// The voxels, shared with whoever reads them.
    pub chunk: Arc<Chunk>,
    /// Which state of the chunk this is.
    pub version: Version,
}

/// Where the world gets chunks it does not hold: a store, a generator, or one behind the other.
pub trait ChunkSource: Send + Sync {
    /// The chunk as last committed. Every position has one: what nobody stored is generated.
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError>;

    /// Chunks over each other, in the order of `positions`: for sources that make them faster together.
    fn load_stack(&self, positions: &[ChunkPos]) -> Vec<Result<Held, SourceError>> {
        positions.iter().map(|pos| self.load(*pos)).collect()
    }
}

/// Why a source could not give a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// Where a world stands when it is opened: what the journal and the last checkpoint said.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The fencing number of this owner.
    pub epoch: u32,
    /// The last tick that was stepped.
    pub tick: u64,
    /// The running digest after it.
    pub digest: u64,
    /// The last decided sequence of each actor, with the tick it was heard in.
    pub actors: BTreeMap<ActorId, ActorState>,
    /// What is under way, by column.
    pub columns: Columns,
}

/// What is remembered of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActorState {
    /// Last decided input sequence.
    pub sequence: u64,
    /// The tick it was heard in.
    pub tick: u64,
}

/// The simulated world: the chunks in memory, and the one way to change them.
pub struct World {
    chunks: Residency,
    registry: Arc<Registry>,
    standing: Standing,
    /// What the state of each column adds to the digest, as far as it has been worked out.
    terms: HashMap<ColumnPos, u64>,
    physics: Physics,
    owned: Owned,
    /// Made when somebody first asks for light.
    light: Option<Light>,
    crowds: Crowds,
}

impl World {
    /// A world that stands where `standing` says and reads chunks from `source`, without physics: see [`World::with_physics`].
    pub fn new(
        pool: Arc<rayon::ThreadPool>,
        source: Box<dyn ChunkSource>,
        registry: Arc<Registry>,
        standing: Standing,
    ) -> Self {
        let physics = Physics::off(&registry);
        let (chunks, terms) = (Residency::new(pool, source), HashMap::new());
        let crowds = Crowds::new(Modes::built_in());
        Self { chunks, registry, standing, terms, physics, owned: Owned::All, light: None, crowds }
    }

    /// The same world with movement modes of its own, for crowds.
    #[must_use]
    pub fn with_modes(mut self, modes: Modes) -> Self {
        self.crowds = Crowds::new(modes);
        self
    }

    /// The same world under a set of rules. Fails if its blocks have more different rules than physics can tell apart.
    pub fn with_physics(mut self, rule_set: RuleSet) -> Result<Self, RulesError> {
        self.physics = Physics::new(rule_set, &self.registry)?;
        Ok(self)
    }

    /// The same world with something that large pieces of work of physics are handed to. Nothing depends on it but time.
    #[must_use]
    pub fn with_bulk(mut self, bulk: Arc<dyn Bulk>) -> Self {
        self.physics = self.physics.with_bulk(bulk);
        self
    }

    /// The same world as the owner of some columns only. It changes nothing else; what lies around them is told by
    /// [`World::hear`]. Fails under rules that reach without bound.
    pub fn owning(mut self, columns: BTreeSet<ColumnPos>) -> Result<Self, NotLocal> {
        if !self.physics.is_local() {
            return Err(NotLocal);
        }
        self.owned = Owned::Some(columns);
        Ok(self)
    }

    /// One tick. Stages in order: admit inputs, fetch the chunks they touch; what is under way goes on, inputs are done,
    /// support is worked out anew, and changes are made; the digest is added up.
    ///
    /// An input that can't be done is refused by itself (see the outcomes); an error means that nothing happened at all.
    pub fn step(&mut self, tick: u64, inputs: &[Input]) -> Result<Deltas, StepError> {
        self.step_watched(tick, inputs, &mut |_| ())
    }

    /// The same, telling `watch` of each stage when it ends, so that somebody with a clock can say what took how long.
    pub fn step_watched(
        &mut self,
        tick: u64,
        inputs: &[Input],
        watch: &mut dyn FnMut(Stage),
    ) -> Result<Deltas, StepError> {
        self.check_tick(tick, inputs)?;
        let mut outcomes = self.admit(inputs);
        self.fetch(tick, inputs, &mut outcomes);
        self.raise_crowds(tick, inputs, &mut outcomes);
        watch(Stage::Admit);
        let (plan, next, counts) = self.plan(tick, inputs, &outcomes, watch);
        let changed = self.change(tick, plan);
        watch(Stage::Change);
        let actors = self.remember_actors(tick, inputs);
        let columns = self.replace_columns(next);
        self.standing.tick = tick;
        self.standing.digest = changed.iter().fold(self.standing.digest, |sum, e| sum.wrapping_add(e.digest_change));
        let mut deltas =
            Deltas { tick, actors, outcomes, digest: self.standing.digest, columns, counts, ..Deltas::default() };
        for chunk in changed {
            deltas.before.push((chunk.pos, chunk.before));
            deltas.after.push((chunk.pos, Held { chunk: chunk.chunk, version: chunk.version }));
            deltas.chunks.extend(chunk.deltas);
        }
        Ok(deltas)
    }

    fn check_tick(&self, tick: u64, inputs: &[Input]) -> Result<(), StepError> {
        if tick <= self.standing.tick && self.standing.tick != 0 {
            return Err(StepError::TickOrder { given: tick, last: self.standing.tick });
        }
        if inputs.len() > TICK_INPUTS_MAX {
            return Err(StepError::TooManyInputs(inputs.len()));
        }
        Ok(())
    }

    /// Decides by each input alone: repeated, malformed, or to be applied.
    fn admit(&self, inputs: &[Input]) -> Vec<Outcome> {
        let mut last: BTreeMap<ActorId, u64> = BTreeMap::new();
        let mut decide = |input: &Input| {
            let (actor, sequence) = input.asked_by();
            let last = last.entry(actor).or_insert_with(|| self.actor_sequence(actor));
            if sequence <= *last {
                return Outcome::Repeated;
            }
            *last = sequence;
            self.refusal(input).map_or(Outcome::Applied, Outcome::Refused)
        };
        inputs.iter().map(&mut decide).collect()
    }

    fn refusal(&self, input: &Input) -> Option<Refusal> {
        match input {
            Input::Edit { voxels, .. } if voxels.len() > EDIT_VOXELS_MAX => Some(Refusal::TooManyVoxels(voxels.len())),
            Input::Edit { voxels, .. } => {
                let unknown = voxels.iter().find(|v| !self.registry.contains(v.block))?;
                Some(Refusal::UnknownBlock(unknown.block.0))
            }
            Input::Blast { power, .. } => {
                let most = self.physics.power_max();
                (!(1..=most).contains(power)).then_some(Refusal::Power { power: *power, most })
            }
            Input::Restore { voxels, .. } if voxels.len() > EDIT_VOXELS_MAX => {
                Some(Refusal::TooManyVoxels(voxels.len()))
            }
            Input::Restore { voxels, .. } => {
                let mut blocks = voxels.iter().filter_map(|voxel| Some(voxel.block.as_ref()?.to));
                blocks.find(|block| !self.registry.contains(*block)).map(|block| Refusal::UnknownBlock(block.0))
            }
            Input::Crowd { .. } if self.owned != Owned::All => Some(CrowdError::Shared.into()),
            Input::Crowd { .. } | Input::Dismiss { .. } => None,
        }
    }

    /// Makes resident every chunk that an applied edit touches; an edit whose chunk can't be read is refused.
    fn fetch(&mut self, tick: u64, inputs: &[Input], outcomes: &mut [Outcome]) {
        let applied = inputs.iter().zip(&*outcomes).filter(|(_, outcome)| **outcome == Outcome::Applied);
        let mut needed: Vec<ChunkPos> = applied.flat_map(|(input, _)| places(input)).map(VoxelPos::chunk).collect();
        needed.sort_unstable();
        needed.dedup();
        let failed: BTreeMap<ChunkPos, SourceError> = self.chunks.fetch(tick, &needed);
        for (outcome, input) in outcomes.iter_mut().zip(inputs) {
            let unreadable = places(input).find_map(|pos| failed.get_key_value(&pos.chunk()));
            if let (Outcome::Applied, Some((pos, error))) = (&*outcome, unreadable) {
                *outcome = Outcome::Refused(Refusal::Unreadable { pos: *pos, reason: error.to_string() });
            }
            if *outcome == Outcome::Applied
                && let Some(refusal) = self.sparse_refusal(input)
            {
                *outcome = Outcome::Refused(refusal);
            }
        }
    }

    /// Works out the fields of new crowds; a crowd that can't be is refused.
    fn raise_crowds(&mut self, tick: u64, inputs: &[Input], outcomes: &mut [Outcome]) {
        if self.owned != Owned::All {
            return;
        }
        self.crowds.open(tick, &self.standing.columns, &self.registry, &mut self.chunks);
        for (input, outcome) in inputs.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Applied) {
            let raised = match input {
                Input::Crowd { actor, sequence, errand, starts } => {
                    let id = CrowdId { actor: *actor, sequence: *sequence };
                    self.crowds.raise(id, errand, starts, &self.registry, &mut self.chunks, tick)
                }
                Input::Dismiss { actor, sequence } => {
                    let before = self.crowds.before(CrowdId { actor: *actor, sequence: *sequence });
                    if before.is_empty() { Err(CrowdError::NoCrowd(actor.0)) } else { Ok(()) }
                }
                Input::Edit { .. } | Input::Blast { .. } | Input::Restore { .. } => Ok(()),
            };
            if let Err(error) = raised {
                *outcome = Outcome::Refused(error.into());
            }
        }
    }

    /// Whether the sparse data of an input would break a limit; tried on copies, so that the edit itself can't fail.
    fn sparse_refusal(&self, input: &Input) -> Option<Refusal> {
        let mut tried: HashMap<ChunkPos, Chunk> = HashMap::new();
        let mut try_one = |pos: VoxelPos, sparse: &Sparse| {
            let held = || self.chunks.get(pos.chunk()).expect("fetched above");
            let chunk = tried.entry(pos.chunk()).or_insert_with(|| (*held().chunk).clone());
            chunk.set_sparse(pos.local(), Some(sparse.clone())).err().map(Refusal::from)
        };
        match input {
            Input::Edit { voxels, .. } => voxels.iter().find_map(|voxel| try_one(voxel.pos, voxel.sparse.as_ref()?)),
            Input::Restore { voxels, .. } => {
                voxels.iter().find_map(|voxel| try_one(voxel.pos, voxel.sparse.as_ref()?.to.as_ref()?))
            }
            Input::Blast { .. } | Input::Crowd { .. } | Input::Dismiss { .. } => None,
        }
    }

    /// Decides everything that happens in a tick, from the world as it stands; nothing is changed yet.
    fn plan(
        &mut self,
        tick: u64,
        inputs: &[Input],
        outcomes: &[Outcome],
        watch: &mut dyn FnMut(Stage),
    ) -> (Plan, Columns, Counts) {
        let (facts, judge) = self.physics.parts();
        let mut tick = Tick::new(tick, facts, &self.owned, &self.standing.columns, &mut self.chunks);
        physics::begin(&mut tick, watch);
        inputs.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Applied).for_each(|(input, _)| {
            plan_input(&mut tick, &mut self.crowds, input);
        });
        watch(Stage::Inputs);
        self.crowds.repair(&mut tick);
        watch(Stage::Fields);
        self.crowds.advance(&mut tick);
        self.crowds.mark(&mut tick);
        watch(Stage::Entities);
        physics::settle(&mut tick, judge);
        watch(Stage::Support);
        (tick.plan, tick.next, tick.counts)
    }

    /// Makes the planned changes, chunk by chunk.
    fn change(&mut self, tick: u64, plan: Plan) -> Vec<ChangedChunk> {
        let (groups, epoch) = (plan.groups, self.standing.epoch);
        let chunks: Vec<_> = plan.chunks.into_iter().collect();
        let resident = &self.chunks;
        let changed: Vec<ChangedChunk> = self.chunks.pool().install(|| {
            let held = |pos| resident.get(pos).expect("read when the change was planned");
            chunks
                .par_iter()
                .filter_map(|(pos, planned)| change_chunk(*pos, held(*pos), epoch, &groups, planned))
                .collect()
        });
        for chunk in &changed {
            let held = Held { chunk: Arc::clone(&chunk.chunk), version: chunk.version };
            self.chunks.put(tick, chunk.pos, held);
        }
        self.note_changes(&changed);
        changed
    }

    /// Tells light and crowds of every voxel that changed, if anybody wants it.
    fn note_changes(&mut self, changed: &[ChangedChunk]) {
        if self.light.is_none() && self.crowds.is_empty() {
            return;
        }
        let mut voxels = Vec::new();
        for delta in changed.iter().flat_map(|chunk| &chunk.deltas) {
            for run in &delta.runs {
                for index in run.first.get()..run.first.get() + run.length {
                    let local = LocalIndex::new(index).expect("runs stay inside the chunk");
                    voxels.push(delta.pos.voxel(local));
                    if let Some(light) = &mut self.light {
                        light.set(delta.pos.voxel(local), run.new);
                    }
                }
            }
        }
        self.crowds.changed(&voxels);
    }

    fn remember_actors(&mut self, tick: u64, inputs: &[Input]) -> Vec<(ActorId, u64)> {
        let mut heard = BTreeMap::new();
        for (actor, sequence) in inputs.iter().map(Input::asked_by) {
            let state = self.standing.actors.entry(actor).or_default();
            if sequence > state.sequence {
                *state = ActorState { sequence, tick };
                heard.insert(actor, sequence);
            }
        }
        forget_silent_actors(&mut self.standing.actors);
        heard.into_iter().collect()
    }

    /// Puts the next states of columns in the place of those before, and into the digest.
    fn replace_columns(&mut self, next: Columns) -> Vec<ColumnUpdate> {
        let mut updates = Vec::new();
        for (column, state) in next {
            let before = self.standing.columns.remove(&column).unwrap_or_default();
            if before == state {
                if !state.is_empty() {
                    self.standing.columns.insert(column, state);
                }
                continue;
            }
            let term = state.term(column);
            let term_before = self.terms.remove(&column).unwrap_or_else(|| before.term(column));
            self.standing.digest = self.standing.digest.wrapping_add(term.wrapping_sub(term_before));
            if !state.is_empty() {
                self.terms.insert(column, term);
            }
            let fresh = state.bodies.new_since(&before.bodies).collect();
            if !state.is_empty() {
                self.standing.columns.insert(column, state.clone());
            }
            updates.push(ColumnUpdate { column, state, fresh });
        }
        updates
    }

    /// Takes over what the owner of other columns tells of its tick: what they hold within `REACH` of the own ones.
    ///
    /// # Panics
    /// If a chunk or a column is an own one.
    pub fn hear(&mut self, ring: Ring) {
        self.physics.forget(&ring.undone);
        for (pos, held) in ring.chunks {
            assert!(!self.owned.has(pos.column()), "chunk {pos} is an own one");
            if let Some(light) = &mut self.light {
                light.replace(pos, &held.chunk);
            }
            self.chunks.put(self.standing.tick, pos, held);
        }
        for (column, state) in ring.columns {
            assert!(!self.owned.has(column), "{column:?} is an own column");
            self.standing.columns.insert(column, state);
        }
    }

    /// The last decided sequence of an actor; 0 if it has not been heard.
    pub fn actor_sequence(&self, actor: ActorId) -> u64 {
        self.standing.actors.get(&actor).map_or(0, |state| state.sequence)
    }

    /// Where the world stands, for a checkpoint.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The registry.
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The chunk at `pos` as it stands, fetched if need be.
    pub fn chunk(&mut self, pos: ChunkPos) -> Result<Held, SourceError> {
        let tick = self.standing.tick;
        match self.chunks.fetch(tick, &[pos]).remove(&pos) {
            Some(error) => Err(error),
            None => Ok(self.chunks.get(pos).expect("just fetched").clone()),
        }
    }

    /// Fetches many chunks in parallel, so that [`World::chunk`] finds them in memory.
    pub fn prefetch(&mut self, positions: &[ChunkPos]) {
        let tick = self.standing.tick;
        let mut needed = positions.to_vec();
        needed.sort_unstable();
        needed.dedup();
        // What could not be read says so when it is asked for by itself.
        drop(self.chunks.fetch(tick, &needed));
    }

    /// The support of every voxel of a chunk, in local-index order: 0 for what is not solid or does not stand. None where
    /// the rules know no support.
    pub fn support(&mut self, pos: ChunkPos) -> Option<Box<[u8; CHUNK_VOXELS]>> {
        self.supports(&[pos])?.pop()
    }

    /// The same of some chunks at once, in their order: what bears on them is worked out together.
    pub fn supports(&mut self, positions: &[ChunkPos]) -> Option<Vec<Box<[u8; CHUNK_VOXELS]>>> {
        let (facts, Judge::Span(support)) = self.physics.parts() else { return None };
        let tick = self.standing.tick;
        let mut tick = Tick::new(tick, facts, &self.owned, &self.standing.columns, &mut self.chunks);
        support.prepare(&mut tick, positions);
        Some(positions.iter().map(|pos| support.values(&mut tick, *pos)).collect())
    }

    /// The light of every voxel of a chunk, in local-index order, as of the blocks that stand now: light of the sky in the
    /// high four bits, of blocks in the low ones. What is needed around the chunk is fetched; where that can't be read it
    /// is dark. Fails if the chunk itself can't be read.
    ///
    /// Light is worked out here, outside of ticks, and from then on kept true: see [`World::light_changed`].
    pub fn light(&mut self, pos: ChunkPos) -> Result<Box<[u8; CHUNK_VOXELS]>, SourceError> {
        let pool = Arc::clone(self.chunks.pool());
        let light = self.light.get_or_insert_with(|| Light::new(&self.registry));
        let (tick, chunks) = (self.standing.tick, &mut self.chunks);
        pool.install(|| light.values(tick, pos, chunks))
    }

    /// How many chunks [`World::light`] would have to load before it tells of a chunk, and which of them have to be fetched
    /// as well, ascending. A caller with little time fetches them beforehand, some at a time.
    pub fn light_needs(&mut self, pos: ChunkPos) -> (usize, Vec<ChunkPos>) {
        let light = self.light.get_or_insert_with(|| Light::new(&self.registry));
        let mut needed = light.needed(pos);
        let count = needed.len();
        needed.retain(|pos| self.chunks.get(*pos).is_none());
        (count, needed)
    }

    /// Works what has changed into light, in parts, until voxels have been looked at `visits` times. Gives whether that
    /// was all: until it is, [`World::light`] and [`World::light_changed`] take up the rest at once.
    pub fn settle_light(&mut self, visits: u64) -> bool {
        self.light.as_mut().is_none_or(|light| light.settle_some(visits))
    }

    /// The chunks that [`World::light`] has told of and whose light is another now, ascending; in rare cases one that only
    /// may be. Each is named once, until its light is asked for again.
    pub fn light_changed(&mut self) -> Vec<ChunkPos> {
        self.light.as_mut().map_or_else(Vec::new, Light::take_changed)
    }

    /// Drops what is worked out of light, for when nobody looks. What was told stays watched by [`World::light_changed`].
    pub fn forget_light(&mut self) {
        if let Some(light) = &mut self.light {
            light.forget();
        }
    }

    /// How many agents there are.
    pub fn agent_count(&self) -> usize {
        self.standing.columns.values().flat_map(|state| state.agents.values()).map(|agents| agents.len()).sum()
    }

    /// Heap bytes of the chunks in memory.
    pub const fn resident_bytes(&self) -> usize {
        self.chunks.bytes()
    }

    /// Lets go of chunks, longest unused first, until `budget_bytes` hold the rest. A chunk changed after
    /// `committed_tick` stays: its source does not have it yet.
    pub fn evict(&mut self, budget_bytes: usize, committed_tick: u64) {
        self.chunks.evict(budget_bytes, committed_tick);
    }
}

/// Adds what an applied input asks for to the plan.
fn plan_input(tick: &mut Tick<'_>, crowds: &mut Crowds, input: &Input) {
    let (actor, root) = input.asked_by();
    let cause = Cause { kind: CauseKind::Edit, actor, root };
    match input {
        Input::Edit { voxels, .. } => {
            tick.plan.group(cause, None);
            for voxel in voxels.iter().filter(|voxel| tick.owned.has(voxel.pos.chunk().column())) {
                let start = tick.chunks.block(tick.tick, voxel.pos).expect("fetched when the input was admitted");
                tick.plan.set(voxel.pos, start, voxel.block, voxel.sparse.clone(), true);
            }
        }
        Input::Blast { at, power, .. } if tick.owns(*at) => {
            let cause = Cause { kind: CauseKind::Blast, ..cause };
            let charge = Charge { power: *power, due: tick.tick + 1, ready: false, cause };
            tick.next(*at).add_charge(*at, charge);
        }
        Input::Blast { .. } => {}
        Input::Restore { undo, voxels, .. } => {
            tick.plan.group(Cause { kind: CauseKind::Undo, actor, root: *undo }, None);
            for voxel in voxels.iter().filter(|voxel| tick.owned.has(voxel.pos.chunk().column())) {
                put_back(tick, voxel);
            }
        }
        Input::Crowd { .. } => crowds.enter(tick, CrowdId { actor, sequence: root }),
        Input::Dismiss { .. } => {
            let before = crowds.before(CrowdId { actor, sequence: root });
            before.into_iter().for_each(|id| crowds.leave(tick, id));
        }
    }
}

/// Plans to put one voxel back, if it is as expected, and nothing else changes it in this tick.
fn put_back(tick: &mut Tick<'_>, voxel: &VoxelRestore) {
    let pos = voxel.pos;
    let start = tick.chunks.block(tick.tick, pos).expect("fetched when the input was admitted");
    let sparse = tick.chunks.sparse(tick.tick, pos);
    let is_expected = voxel.block.as_ref().is_none_or(|block| block.from == start)
        && voxel.sparse.as_ref().is_none_or(|swap| swap.from == sparse);
    if is_expected && tick.plan.block(pos).is_none() {
        let block = voxel.block.as_ref().map_or(start, |block| block.to);
        let sparse = voxel.sparse.as_ref().map_or(sparse, |swap| swap.to.clone());
        tick.plan.set(pos, start, block, sparse, false);
    }
}

/// What the owner of some columns tells the owner of others after a tick: chunks that changed and what is under way, as far
/// as they lie within `REACH` sideways.
#[derive(Debug, Clone, Default)]
pub struct Ring {
    chunks: Vec<(ChunkPos, Held)>,
    columns: Columns,
    /// Chunks in which an undo put something back, which leaves no marks that would tell what that means.
    undone: BTreeSet<ChunkPos>,
}

impl Ring {
    /// What `deltas` mean to whoever owns `columns`.
    pub fn new(deltas: &Deltas, columns: &Owned) -> Self {
        let is_near = |pos: VoxelPos| columns.is_near(pos.chunk());
        let touches =
            |id: &BodyId, body: &Body| is_near(id.origin) || body.shape.voxels().iter().any(|voxel| is_near(voxel.pos));
        let near_resting = |resting: &Arc<BTreeMap<VoxelPos, Cause>>| {
            if resting.keys().all(|pos| is_near(*pos)) {
                return Arc::clone(resting);
            }
            Arc::new(resting.iter().filter(|(pos, _)| is_near(**pos)).map(|(pos, cause)| (*pos, *cause)).collect())
        };
        let near = |state: &ColumnState| ColumnState {
            marks: state.marks.iter().filter(|(pos, _)| is_near(**pos)).map(|(p, m)| (*p, *m)).collect(),
            leaving: state.leaving.iter().filter(|(pos, _)| is_near(**pos)).map(|(p, l)| (*p, *l)).collect(),
            charges: state.charges.iter().filter(|(pos, _)| is_near(**pos)).map(|(p, c)| (*p, *c)).collect(),
            bodies: state.bodies.iter().filter(|(id, b)| touches(id, b)).map(|(i, b)| (*i, b.clone())).collect(),
            debt: 0,
            resting: near_resting(&state.resting),
            // A world with crowds has one owner.
            crowds: BTreeMap::new(),
            agents: BTreeMap::new(),
        };
        Self {
            chunks: deltas.after.iter().filter(|(pos, _)| columns.is_near(*pos)).cloned().collect(),
            columns: deltas.columns.iter().map(|update| (update.column, near(&update.state))).collect(),
            undone: (deltas.chunks.iter())
                .filter(|delta| delta.cause.kind == CauseKind::Undo && columns.is_near(delta.pos))
                .map(|delta| delta.pos)
                .collect(),
        }
    }
}

/// Keeps the `ACTORS_MAX` that were heard last.
pub fn forget_silent_actors(actors: &mut BTreeMap<ActorId, ActorState>) {
    if actors.len() <= ACTORS_MAX {
        return;
    }
    let mut by_age: Vec<(u64, ActorId)> = actors.iter().map(|(actor, state)| (state.tick, *actor)).collect();
    by_age.sort_unstable();
    for (_, actor) in &by_age[..actors.len() - ACTORS_MAX] {
        actors.remove(actor);
    }
}

/// The voxels that an input names one by one.
fn places(input: &Input) -> Box<dyn Iterator<Item = VoxelPos> + '_> {
    match input {
        Input::Edit { voxels, .. } => Box::new(voxels.iter().map(|voxel| voxel.pos)),
        Input::Restore { voxels, .. } => Box::new(voxels.iter().map(|voxel| voxel.pos)),
        Input::Blast { .. } | Input::Crowd { .. } | Input::Dismiss { .. } => Box::new(std::iter::empty()),
    }
}

struct ChangedChunk {
    pos: ChunkPos,
    before: Held,
    chunk: Arc<Chunk>,
    version: Version,
    deltas: Vec<ChunkDelta>,
    digest_change: u64,
}

/// Makes the planned changes of one chunk, group by group; `None` if everything already was so.
fn change_chunk(pos: ChunkPos, held: &Held, epoch: u32, groups: &[Group], planned: &[Planned]) -> Option<ChangedChunk> {
    let mut chunk = (*held.chunk).clone();
    let mut changed = ChangedChunk {
        pos,
        before: held.clone(),
        chunk: Arc::clone(&held.chunk),
        version: held.version,
        deltas: Vec::new(),
        digest_change: 0,
    };
    for group in planned.chunk_by(|a, b| a.group == b.group) {
        // The last change of a voxel within a group wins.
        let wanted: BTreeMap<LocalIndex, &Planned> = group.iter().map(|planned| (planned.local, planned)).collect();
        let (runs, sparse) = apply_group(&mut chunk, &wanted);
        if runs.is_empty() && sparse.is_empty() {
            continue;
        }
        changed.digest_change = changed.digest_change.wrapping_add(digest_change(pos, &runs, &sparse));
        let from = changed.version;
        changed.version = from.next(epoch);
        let Group { cause, body } = groups[group[0].group];
        changed.deltas.push(ChunkDelta { pos, from, to: changed.version, cause, body, runs, sparse });
    }
    if changed.deltas.is_empty() {
        return None;
    }
    changed.chunk = Arc::new(chunk);
    Some(changed)
}

fn apply_group(chunk: &mut Chunk, wanted: &BTreeMap<LocalIndex, &Planned>) -> (Vec<Run>, Vec<SparseChange>) {
    let (mut runs, mut sparse): (Vec<Run>, Vec<SparseChange>) = (Vec::new(), Vec::new());
    for (&local, planned) in wanted {
        let old = chunk.set(local, planned.block);
        if old != planned.block {
            push_run(&mut runs, local, old, planned.block);
        }
        if chunk.sparse().get(&local) != planned.sparse.as_ref() {
            let old = chunk
                .set_sparse(local, planned.sparse.clone())
                .expect("the limits were checked when the input was admitted");
            sparse.push(SparseChange { local, old, new: planned.sparse.clone() });
        }
    }
    (runs, sparse)
}

fn push_run(runs: &mut Vec<Run>, local: LocalIndex, old: BlockId, new: BlockId) {
    match runs.last_mut() {
        Some(run) if run.first.get() + run.length == local.get() && run.old == old && run.new == new => run.length += 1,
        _ => runs.push(Run { first: local, length: 1, old, new }),
    }
}

/// What runs and sparse changes add to the running digest.
pub fn digest_change(pos: ChunkPos, runs: &[Run], sparse: &[SparseChange]) -> u64 {
    let mut sum = 0u64;
    for run in runs {
        for index in run.first.get()..run.first.get() + run.length {
            let at = pos.voxel(LocalIndex::new(index).expect("runs stay inside the chunk"));
            sum = sum.wrapping_add(voxel_term(at, run.new)).wrapping_sub(voxel_term(at, run.old));
        }
    }
    for change in sparse {
        let at = pos.voxel(change.local);
        let term = |data: &Option<Sparse>| data.as_ref().map_or(0, |data| sparse_term(at, data));
        sum = sum.wrapping_add(term(&change.new)).wrapping_sub(term(&change.old));
    }
    sum
}
