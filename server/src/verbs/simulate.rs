//! `terrane simulate`.

use crate::compute::{self, Wanted};
use crate::failure::{About, Failure};
use crate::memory::Bytes;
use crate::simulating::script::Script;
use crate::simulating::{Options, Report, Run};
use crate::stopping::{INTERRUPTED, on_signals};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use terrane_world::step::ActorId;

/// More threads than any machine has use for.
const THREADS_MAX: i64 = 1024;

/// Run a world under a list of inputs, without a network: with the digest, counts and stage times of every tick
///
/// The list has a JSON object a line; ticks are counted from 1, the first of this run:
///
///   {"tick": 1, "set": [[10, 64, -3, "stone"], [10, 65, -3, "sand"]]}
///
///   {"tick": 1, "fill": "0,64,0:4,80,4", "block": "air"}
///
///   {"tick": 5, "blast": [2, 66, 2], "power": 60}
///
///   {"tick": 1, "crowd": "ground", "count": 2000, "from": "0,60,0:40,80,40", "goals": [[90, 66, 40]], "within":
///   "-16,40,-16:112,100,64", "speed": 128}
///
///   {"tick": 90, "dismiss": true}
///
/// Each may have "actor": N, which is 1 otherwise, and "name": "Ann", what that actor is called in history. The same world and list give the same digests on every machine, with any
/// number of threads, on any device. What is still in the air after the last tick goes on when the world is next run or served.
#[derive(Args)]
pub struct Simulate {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The list of inputs; without one the world runs by itself
    #[arg(long, value_name = "FILE")]
    edits: Option<PathBuf>,
    /// How many ticks
    #[arg(long, value_name = "N")]
    ticks: u64,
    /// End as soon as the list is done and nothing is under way
    #[arg(long)]
    until_settled: bool,
    /// Leave the world as it is: only tell what would happen
    #[arg(long)]
    dry_run: bool,
    /// Threads; 0 for one per core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=THREADS_MAX))]
    threads: u16,
    /// Memory for chunks
    #[arg(long, default_value = "1G", value_name = "BYTES")]
    memory: Bytes,
    /// What works out support for whole regions; single edits are always the CPU's
    #[arg(long, value_enum, default_value = "auto")]
    compute: Wanted,
    /// A device by part of its name, as `terrane devices` lists them
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

impl Simulate {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let bulk = compute::bulk(self.compute, self.device.as_deref())?;
        let options = Options {
            world: self.world.clone(),
            threads: self.threads.into(),
            memory_bytes: self.memory.0,
            dry_run: self.dry_run,
        };
        let mut run = Run::open(options, bulk.as_ref().map(compute::Bulk::shared))?;
        let mut script = match &self.edits {
            Some(path) => Script::parse(path, &fs::read(path).about(path)?, run.world().registry())?,
            None => Script::default(),
        };
        if script.last_tick() > self.ticks {
            let last = script.last_tick();
            return Err(Failure::new(format!("the list goes on until tick {last}: give at least --ticks {last}")));
        }
        script.names.iter().for_each(|(actor, name)| run.introduce(*actor, name));
        let stop = on_signals()?;
        let last_tick = script.last_tick();
        if !json {
            say!("{HEAD}");
        }
        let mut refused = false;
        for tick in 1..=self.ticks {
            let world = &*run.world();
            let inputs = script.inputs(tick, &|actor: ActorId| world.actor_sequence(actor));
            let report = run.step(&inputs)?;
            refused |= !report.refused.is_empty();
            show(&report, json)?;
            if stop.load(Ordering::Relaxed) {
                run.close()?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
            if self.until_settled && tick >= last_tick && !run.is_busy() {
                break;
            }
        }
        run.close()?;
        if let Some(bulk) = bulk.filter(|_| !json) {
            say!("{}", bulk.told());
        }
        Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

const HEAD: &str = "  tick  digest            chunks  marks  support    left  landed  destroyed  bodies  agents  arrived    dug        ms  longest stage";

/// One line of a tick; in the table only if something happened in it.
fn show(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        let line = serde_json::to_string(report).map_err(|error| Failure::new(error.to_string()))?;
        say!("{line}");
        return Ok(());
    }
    report.refused.iter().for_each(|reason| eprintln!("tick {}: refused: {reason}", report.tick));
    if report.is_quiet() {
        return Ok(());
    }
    let counts = &report.counts;
    let longest = report.stages_us.iter().max_by_key(|(_, us)| **us).map_or("", |(stage, _)| stage);
    say!(
        "{:>6}  {}  {:>6}  {:>5}  {:>7}  {:>6}  {:>6}  {:>9}  {:>6}  {:>6}  {:>7}  {:>5}  {:>8.2}  {longest}",
        report.tick,
        report.digest,
        report.chunks,
        counts.marks,
        counts.support,
        counts.left,
        counts.landed,
        counts.destroyed,
        report.bodies,
        report.agents,
        counts.arrived,
        counts.dug,
        report.ms()
    );
    Ok(())
}
