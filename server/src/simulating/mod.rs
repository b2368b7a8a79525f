//! Running a world without a network: inputs from a list, tick by tick, into its journal.

pub mod script;

use crate::failure::{About, Failure};
use crate::worlds;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use terrane_store::{Access, Store};
use terrane_world::physics::plan::Counts;
use terrane_world::relax::Bulk;
use terrane_world::step::{ActorId, Input, Outcome, Stage, World};

/// Ticks between two syncs of the journal: a run can be made again, so nobody waits for each tick to be durable.
const TICKS_PER_SYNC: u64 = 64;

/// How a world is run.
pub struct Options {
    /// Its folder.
    pub world: PathBuf,
    /// Threads; 0 for one per core.
    pub threads: usize,
    /// Heap bytes of chunks in memory.
    pub memory_bytes: usize,
    /// Leave the world's folder as it is.
    pub dry_run: bool,
}

/// What one tick did.
#[derive(Serialize)]
pub struct Report {
    /// Counted from 1, the first of this run.
    pub tick: u64,
    /// The world's own number of it.
    pub world_tick: u64,
    /// The world's running digest after it.
    pub digest: String,
    /// Chunks that changed.
    pub chunks: usize,
    /// Bodies in the air.
    pub bodies: usize,
    /// Agents in the world.
    pub agents: usize,
    /// What physics and agents did.
    #[serde(flatten)]
    pub counts: Counts,
    /// Why inputs were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Microseconds by stage.
    pub stages_us: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Whether anything happened in it.
    pub fn is_quiet(&self) -> bool {
        self.chunks == 0
            && self.bodies == 0
            && self.agents == 0
            && self.refused.is_empty()
            && self.counts == Counts::default()
    }

    /// All stages together, in milliseconds.
    pub fn ms(&self) -> f64 {
        self.stages_us.values().sum::<u64>() as f64 / 1000.0
    }
}

/// A world that is being run.
pub struct Run {
    store: Arc<Store>,
    world: World,
    options: Options,
    first: u64,
    tick: u64,
    synced: u64,
}

impl Run {
    /// Opens a world.
    pub fn open(options: Options, bulk: Option<Arc<dyn Bulk>>) -> Result<Self, Failure> {
        let access = if options.dry_run { Access::Read } else { Access::Write };
        let store = worlds::open(&options.world, access)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
        let pool = Arc::new(pool.map_err(|error| Failure::new(format!("threads can't be started: {error}")))?);
        let mut world = worlds::world(&store, pool)?;
        if let Some(bulk) = bulk {
            world = world.with_bulk(bulk);
        }
        let tick = world.standing().tick;
        Ok(Self { store, world, options, first: tick, tick, synced: tick })
    }

    /// The world.
    pub const fn world(&mut self) -> &mut World {
        &mut self.world
    }

    /// Says what somebody calls themselves, for the journal.
    pub fn introduce(&self, actor: u64, name: &str) {
        self.store.introduce(ActorId(actor), name);
    }

    /// Whether something is under way.
    pub fn is_busy(&self) -> bool {
        self.world.standing().columns.values().any(|state| !state.is_at_rest())
    }

    /// One tick.
    pub fn step(&mut self, inputs: &[Input]) -> Result<Report, Failure> {
        self.tick += 1;
        let mut stages_us: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut last = Instant::now();
        let mut watch = |stage: Stage| {
            let now = Instant::now();
            *stages_us.entry(stage.name()).or_default() += now.duration_since(last).as_micros() as u64;
            last = now;
        };
        let deltas = self.world.step_watched(self.tick, inputs, &mut watch).about(&self.options.world)?;
        if !self.options.dry_run {
            self.store.commit(&deltas, worlds::now_ms()).about(&self.options.world)?;
            if self.tick - self.synced >= TICKS_PER_SYNC {
                self.synced = self.store.sync().about(&self.options.world)?;
            }
            // What is not synced yet, the store can't give back.
            self.world.evict(self.options.memory_bytes, self.synced);
        }
        let refused = deltas.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Refused(refusal) => Some(refusal.to_string()),
            Outcome::Applied | Outcome::Repeated => None,
        });
        Ok(Report {
            tick: self.tick - self.first,
            world_tick: self.tick,
            digest: format!("{:016x}", deltas.digest),
            chunks: deltas.after.len(),
            bodies: self.world.standing().columns.values().map(|state| state.bodies.len()).sum(),
            agents: self.world.agent_count(),
            counts: deltas.counts,
            refused: refused.collect(),
            stages_us,
        })
    }

    /// Makes everything durable and lets go of the world.
    pub fn close(self) -> Result<(), Failure> {
        let Self { store, world, options, .. } = self;
        drop(world);
        if options.dry_run {
            return Ok(());
        }
        store.sync().about(&options.world)?;
        worlds::close(store, &options.world)
    }
}
