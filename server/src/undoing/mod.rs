//! Taking back, on a world that nobody serves: it is opened and run until nothing falls, an undo is planned from its history,
//! and done a part a tick. docs/undo.md says what is promised.

pub mod picture;
pub mod telling;
pub mod when;

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::worlds;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use terrane_store::{Access, History, Store, undo};
use terrane_world::limits::EDIT_VOXELS_MAX;
use terrane_world::physics::state::ColumnState;
use terrane_world::step::{ActorId, Deltas, Input, Outcome, World};
use terrane_world::undo::plan::{PLAN_VOXELS_MAX, Plan, Planner};
use terrane_world::undo::{Request, changed_voxels};
use when::When;

/// Heap bytes of chunks in memory, and of changed ones before they are written to the regions.
const RESIDENT_BYTES: usize = 512 << 20;

/// Names that actors have gone by.
pub type Names = BTreeMap<ActorId, BTreeSet<String>>;

/// A world on which something is taken back.
pub struct Bench {
    store: Arc<Store>,
    world: World,
    path: PathBuf,
    /// The last tick that is taken.
    tick: u64,
    /// Nothing is written.
    is_preview: bool,
    /// Ticks that only a preview has run: they are in no journal.
    unwritten: Vec<Deltas>,
}

/// What became of an undo.
pub struct Done {
    /// Voxels that were put back.
    pub put_back: u64,
    /// Voxels that were another block by then than planned, and stayed.
    pub stayed: u64,
    /// Somebody wanted it to end.
    pub is_interrupted: bool,
}

impl Bench {
    /// Opens a world, and runs it until nothing falls: a body on its way is in no voxel, so nobody could put it back.
    pub fn open(path: &Path, is_preview: bool, ticks: u64) -> Result<Self, Failure> {
        let store = worlds::open(path, if is_preview { Access::Read } else { Access::Write })?;
        let pool = rayon::ThreadPoolBuilder::new().build();
        let pool = Arc::new(pool.map_err(|error| Failure::new(format!("threads can't be started: {error}")))?);
        let world = worlds::world(&store, pool)?;
        let (path, tick) = (path.to_owned(), world.standing().tick);
        let mut bench = Self { store, world, path, tick, is_preview, unwritten: Vec::new() };
        bench.settle(ticks)?;
        Ok(bench)
    }

    fn settle(&mut self, most: u64) -> Result<(), Failure> {
        for _ in 0..most {
            if self.world.standing().columns.values().all(ColumnState::is_settled) {
                return Ok(());
            }
            let deltas = self.step(&[])?;
            if self.is_preview {
                self.unwritten.push(deltas);
            }
        }
        let path = self.path.display();
        Err(Failure::new(format!(
            "{path}: things still fall after {most} ticks: give more --ticks, or run it with `terrane simulate`"
        )))
    }

    /// One tick; durable when this returns, except in a preview.
    fn step(&mut self, inputs: &[Input]) -> Result<Deltas, Failure> {
        self.tick += 1;
        let deltas = self.world.step(self.tick, inputs).about(&self.path)?;
        if !self.is_preview {
            self.store.commit(&deltas, worlds::now_ms()).about(&self.path)?;
            let synced = self.store.sync().about(&self.path)?;
            self.world.evict(RESIDENT_BYTES, synced);
            if self.store.dirty_bytes() > RESIDENT_BYTES {
                self.store.checkpoint().about(&self.path)?;
            }
        }
        Ok(deltas)
    }

    /// The world's store.
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The journal.
    pub fn history(&self) -> Result<History<'_>, Failure> {
        self.store.history().about(&self.path)
    }

    /// The number of an undo that begins now: the tick that it takes.
    pub const fn next_id(&self) -> u64 {
        self.tick + 1
    }

    /// The first tick at or after a moment; later than all if nothing has happened since.
    pub fn first_tick(&self, when: When) -> Result<u64, Failure> {
        let time_ms = match when {
            When::Tick(tick) => return Ok(tick),
            When::Time(time_ms) => time_ms,
            When::Ago(ms) => worlds::now_ms().saturating_sub(ms),
        };
        let found = self.history()?.tick_at(time_ms).about(&self.path)?;
        // Ticks that only a preview has run are all of now.
        Ok(found.unwrap_or_else(|| self.unwritten.first().map_or(u64::MAX, |deltas| deltas.tick)))
    }

    /// Reads history, and plans.
    pub fn plan(&self, request: &Request) -> Result<Plan, Failure> {
        let mut planner = Planner::new(request, PLAN_VOXELS_MAX);
        undo::tell(&self.history()?, request.filter.since, &mut planner, &|| true).about(&self.path)?;
        for deltas in &self.unwritten {
            deltas.chunks.iter().try_for_each(|delta| planner.take(deltas.tick, delta)).about(&self.path)?;
        }
        Ok(planner.finish())
    }

    /// Notes, durably, that an undo begins.
    pub fn begin(&mut self, request: &Request) -> Result<(), Failure> {
        self.tick = request.id;
        self.store.begin_undo(request).and_then(|()| self.store.sync().map(drop)).about(&self.path)
    }

    /// Puts the voxels of a plan back, part by part, until it is done or somebody wants it to end; then notes that it is done.
    pub fn run(&mut self, request: &Request, mut plan: Plan, stop: &AtomicBool) -> Result<Done, Failure> {
        let progress = bar(plan.summary.voxels, "putting back", "voxels");
        let mut done = Done { put_back: 0, stayed: 0, is_interrupted: false };
        loop {
            let voxels = plan.take_part(EDIT_VOXELS_MAX);
            if voxels.is_empty() {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                done.is_interrupted = true;
                return Ok(done);
            }
            let count = voxels.len() as u64;
            let sequence = self.world.actor_sequence(request.actor) + 1;
            let deltas = self.step(&[Input::Restore { actor: request.actor, sequence, undo: request.id, voxels }])?;
            if let Some(Outcome::Refused(refusal)) = deltas.outcomes.first() {
                return Err(Failure::new(format!("{}: a part was refused: {refusal}", self.path.display())));
            }
            let changed = changed_voxels(&deltas, request.id);
            done.put_back += changed;
            done.stayed += count - changed.min(count);
            progress.inc(count);
        }
        progress.finish_and_clear();
        self.store.end_undo(request.id).and_then(|()| self.store.sync().map(drop)).about(&self.path)?;
        Ok(done)
    }

    /// Writes what is left to the regions, and lets go of the world.
    pub fn close(self) -> Result<(), Failure> {
        let Self { store, world, path, is_preview, .. } = self;
        drop(world);
        if is_preview { Ok(()) } else { worlds::close(store, &path) }
    }
}

/// The tick that history goes back to, if that is not as far as some tick; and that in words.
pub fn check_reach(history: &History<'_>, since: u64) -> Option<(u64, String)> {
    let known_from = Some(history.known_from()).filter(|known_from| *known_from > since)?;
    if known_from == u64::MAX {
        return Some((known_from, "history knows of nothing that happened".to_owned()));
    }
    let time = history.begins().map_or_else(String::new, |begins| format!(", {}", when::told(begins.time_ms)));
    Some((known_from, format!("history goes back to tick {known_from}{time}: what was before is not known")))
}
