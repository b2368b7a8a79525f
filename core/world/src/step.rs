//! One tick: inputs go in, deltas come out, and nothing else changes a voxel.

use crate::block::{BlockId, Registry};
use crate::chunk::{Chunk, ChunkError, Sparse, Version};
use crate::digest::{sparse_term, voxel_term};
use crate::limits::{ACTORS_MAX, EDIT_VOXELS_MAX, TICK_INPUTS_MAX};
use crate::space::{ChunkPos, LocalIndex, VoxelPos};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Who asked for a change: a number that outlives connections. 0 is the world itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActorId(pub u64);

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

/// What kind of thing changed a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum CauseKind {
    /// Somebody's edit.
    Edit = 1,
}

impl CauseKind {
    /// From the number in a journal record.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Edit),
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
    /// The sequence of the actor's input that began it.
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
}

/// What is remembered of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActorState {
    /// Last decided input sequence.
    pub sequence: u64,
    /// The tick it was heard in.
    pub tick: u64,
}

struct Resident {
    held: Held,
    changed: u64,
    used: u64,
}

/// The simulated world: the chunks in memory, and the one way to change them.
pub struct World {
    pool: Arc<rayon::ThreadPool>,
    source: Box<dyn ChunkSource>,
    registry: Arc<Registry>,
    resident: HashMap<ChunkPos, Resident>,
    resident_bytes: usize,
    standing: Standing,
}

/// One voxel edit with the input it came from.
type Planned<'a> = (usize, Cause, &'a VoxelEdit);

impl World {
    /// A world that stands where `standing` says and reads chunks from `source`.
    pub fn new(
        pool: Arc<rayon::ThreadPool>,
        source: Box<dyn ChunkSource>,
        registry: Arc<Registry>,
        standing: Standing,
    ) -> Self {
        Self { pool, source, registry, resident: HashMap::new(), resident_bytes: 0, standing }
    }

    /// One tick. Stages in order: admit inputs, fetch the chunks they touch, edit, add up the digest.
    ///
    /// An input that can't be done is refused by itself (see the outcomes); an error means that nothing happened at all.
    pub fn step(&mut self, tick: u64, inputs: &[Input]) -> Result<Deltas, StepError> {
        self.check_tick(tick, inputs)?;
        let mut outcomes = self.admit(inputs);
        self.fetch(tick, inputs, &mut outcomes);
        let edited = self.edit(tick, inputs, &outcomes);
        let actors = self.remember_actors(tick, inputs);
        self.standing.tick = tick;
        self.standing.digest = edited.iter().fold(self.standing.digest, |sum, e| sum.wrapping_add(e.digest_change));
        let mut deltas = Deltas { tick, actors, outcomes, digest: self.standing.digest, ..Deltas::default() };
        for chunk in edited {
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
        inputs
            .iter()
            .map(|Input::Edit { actor, sequence, voxels }| {
                let last = last.entry(*actor).or_insert_with(|| self.actor_sequence(*actor));
                if *sequence <= *last {
                    return Outcome::Repeated;
                }
                *last = *sequence;
                if voxels.len() > EDIT_VOXELS_MAX {
                    return Outcome::Refused(Refusal::TooManyVoxels(voxels.len()));
                }
                match voxels.iter().find(|v| !self.registry.contains(v.block)) {
                    Some(unknown) => Outcome::Refused(Refusal::UnknownBlock(unknown.block.0)),
                    None => Outcome::Applied,
                }
            })
            .collect()
    }

    /// Makes resident every chunk that an applied input touches; an input whose chunk can't be read is refused.
    fn fetch(&mut self, tick: u64, inputs: &[Input], outcomes: &mut [Outcome]) {
        let mut needed: Vec<ChunkPos> =
            applied(inputs, outcomes).flat_map(|(_, _, v)| v.iter().map(|v| v.pos.chunk())).collect();
        needed.sort_unstable();
        needed.dedup();
        let failed: BTreeMap<ChunkPos, SourceError> = self.make_resident(tick, &needed);
        for (outcome, Input::Edit { voxels, .. }) in outcomes.iter_mut().zip(inputs) {
            let unreadable = voxels.iter().find_map(|v| failed.get_key_value(&v.pos.chunk()));
            if let (Outcome::Applied, Some((pos, error))) = (&*outcome, unreadable) {
                *outcome = Outcome::Refused(Refusal::Unreadable { pos: *pos, reason: error.to_string() });
            }
            if *outcome == Outcome::Applied
                && let Some(refusal) = self.sparse_refusal(voxels)
            {
                *outcome = Outcome::Refused(refusal);
            }
        }
    }

    /// Whether the sparse data of an input would break a limit; tried on copies, so that the edit itself can't fail.
    fn sparse_refusal(&self, voxels: &[VoxelEdit]) -> Option<Refusal> {
        let mut tried: HashMap<ChunkPos, Chunk> = HashMap::new();
        for voxel in voxels.iter().filter(|v| v.sparse.is_some()) {
            let pos = voxel.pos.chunk();
            let chunk = tried.entry(pos).or_insert_with(|| (*self.resident[&pos].held.chunk).clone());
            if let Err(error) = chunk.set_sparse(voxel.pos.local(), voxel.sparse.clone()) {
                return Some(error.into());
            }
        }
        None
    }

    fn make_resident(&mut self, tick: u64, needed: &[ChunkPos]) -> BTreeMap<ChunkPos, SourceError> {
        let (here, missing): (Vec<ChunkPos>, Vec<ChunkPos>) =
            needed.iter().partition(|pos| self.resident.contains_key(pos));
        for pos in here {
            self.resident.get_mut(&pos).expect("just seen").used = tick;
        }
        let source = &self.source;
        let loaded: Vec<_> = self.pool.install(|| missing.par_iter().map(|pos| (*pos, source.load(*pos))).collect());
        let mut failed = BTreeMap::new();
        for (pos, result) in loaded {
            match result {
                Ok(held) => self.insert(pos, Resident { held, changed: 0, used: tick }),
                Err(error) => drop(failed.insert(pos, error)),
            }
        }
        failed
    }

    fn insert(&mut self, pos: ChunkPos, resident: Resident) {
        self.resident_bytes += resident.held.chunk.memory_bytes();
        if let Some(before) = self.resident.insert(pos, resident) {
            self.resident_bytes -= before.held.chunk.memory_bytes();
        }
    }

    fn edit(&mut self, tick: u64, inputs: &[Input], outcomes: &[Outcome]) -> Vec<EditedChunk> {
        let mut plan: BTreeMap<ChunkPos, Vec<Planned<'_>>> = BTreeMap::new();
        for (index, cause, voxels) in applied(inputs, outcomes) {
            for voxel in voxels {
                plan.entry(voxel.pos.chunk()).or_default().push((index, cause, voxel));
            }
        }
        let plan: Vec<_> = plan.into_iter().collect();
        let (resident, epoch) = (&self.resident, self.standing.epoch);
        let edited: Vec<EditedChunk> = self.pool.install(|| {
            plan.par_iter().filter_map(|(pos, edits)| edit_chunk(*pos, &resident[pos].held, epoch, edits)).collect()
        });
        for chunk in &edited {
            let held = Held { chunk: Arc::clone(&chunk.chunk), version: chunk.version };
            self.insert(chunk.pos, Resident { held, changed: tick, used: tick });
        }
        edited
    }

    fn remember_actors(&mut self, tick: u64, inputs: &[Input]) -> Vec<(ActorId, u64)> {
        let mut heard = BTreeMap::new();
        for Input::Edit { actor, sequence, .. } in inputs {
            let state = self.standing.actors.entry(*actor).or_default();
            if *sequence > state.sequence {
                *state = ActorState { sequence: *sequence, tick };
                heard.insert(*actor, *sequence);
            }
        }
        forget_silent_actors(&mut self.standing.actors);
        heard.into_iter().collect()
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
        match self.make_resident(tick, &[pos]).remove(&pos) {
            Some(error) => Err(error),
            None => Ok(self.resident[&pos].held.clone()),
        }
    }

    /// Fetches many chunks in parallel, so that [`World::chunk`] finds them in memory.
    pub fn prefetch(&mut self, positions: &[ChunkPos]) {
        let tick = self.standing.tick;
        let mut needed = positions.to_vec();
        needed.sort_unstable();
        needed.dedup();
        // What could not be read says so when it is asked for by itself.
        drop(self.make_resident(tick, &needed));
    }

    /// Heap bytes of the chunks in memory.
    pub const fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// Lets go of chunks, longest unused first, until `budget_bytes` hold the rest. A chunk changed after
    /// `committed_tick` stays: its source does not have it yet.
    pub fn evict(&mut self, budget_bytes: usize, committed_tick: u64) {
        if self.resident_bytes <= budget_bytes {
            return;
        }
        let mut clean: Vec<(u64, ChunkPos)> =
            self.resident.iter().filter(|(_, r)| r.changed <= committed_tick).map(|(pos, r)| (r.used, *pos)).collect();
        clean.sort_unstable();
        for (_, pos) in clean {
            if self.resident_bytes <= budget_bytes {
                return;
            }
            let resident = self.resident.remove(&pos).expect("listed above");
            self.resident_bytes -= resident.held.chunk.memory_bytes();
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

/// The inputs that are to be applied, with their index and cause.
fn applied<'a>(inputs: &'a [Input], outcomes: &'a [Outcome]) -> impl Iterator<Item = (usize, Cause, &'a [VoxelEdit])> {
    inputs.iter().zip(outcomes).enumerate().filter(|(_, (_, outcome))| **outcome == Outcome::Applied).map(
        |(index, (Input::Edit { actor, sequence, voxels }, _))| {
            (index, Cause { kind: CauseKind::Edit, actor: *actor, root: *sequence }, &voxels[..])
        },
    )
}

struct EditedChunk {
    pos: ChunkPos,
    before: Held,
    chunk: Arc<Chunk>,
    version: Version,
    deltas: Vec<ChunkDelta>,
    digest_change: u64,
}

/// Applies the edits of one chunk, input by input; `None` if everything already was as asked.
fn edit_chunk(pos: ChunkPos, held: &Held, epoch: u32, edits: &[Planned<'_>]) -> Option<EditedChunk> {
    let mut chunk = (*held.chunk).clone();
    let mut edited = EditedChunk {
        pos,
        before: held.clone(),
        chunk: Arc::clone(&held.chunk),
        version: held.version,
        deltas: Vec::new(),
        digest_change: 0,
    };
    for group in edits.chunk_by(|a, b| a.0 == b.0) {
        // The last edit of a voxel within an input wins.
        let wanted: BTreeMap<LocalIndex, &VoxelEdit> = group.iter().map(|(_, _, v)| (v.pos.local(), *v)).collect();
        let (runs, sparse) = apply_group(&mut chunk, &wanted);
        if runs.is_empty() && sparse.is_empty() {
            continue;
        }
        edited.digest_change = edited.digest_change.wrapping_add(digest_change(pos, &runs, &sparse));
        let from = edited.version;
        edited.version = from.next(epoch);
        edited.deltas.push(ChunkDelta { pos, from, to: edited.version, cause: group[0].1, runs, sparse });
    }
    if edited.deltas.is_empty() {
        return None;
    }
    edited.chunk = Arc::new(chunk);
    Some(edited)
}

fn apply_group(chunk: &mut Chunk, wanted: &BTreeMap<LocalIndex, &VoxelEdit>) -> (Vec<Run>, Vec<SparseChange>) {
    let (mut runs, mut sparse): (Vec<Run>, Vec<SparseChange>) = (Vec::new(), Vec::new());
    for (&local, edit) in wanted {
        let old = chunk.set(local, edit.block);
        if old != edit.block {
            push_run(&mut runs, local, old, edit.block);
        }
        if chunk.sparse().get(&local) != edit.sparse.as_ref() {
            let old = chunk
                .set_sparse(local, edit.sparse.clone())
                .expect("the limits were checked when the input was admitted");
            sparse.push(SparseChange { local, old, new: edit.sparse.clone() });
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
