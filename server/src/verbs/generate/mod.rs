//! `terrane generate`.
//!
//! `batches.rs` cuts the box into batches of whole regions, `engine.rs` makes and stores them, on a device with
//! `device.rs`, `progress.rs` says how far it is.

mod batches;
#[cfg(feature = "gpu")]
mod device;
mod engine;
mod progress;

use crate::compute::{Compute, Wanted};
use crate::failure::{About, Failure};
use crate::memory::Bytes;
use crate::stopping;
use crate::worlds::{self, DEFAULT_GENERATOR};
use clap::Args;
use engine::{Counts, Engine};
use progress::Progress;
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use terrane_store::{Shape, Store, StoreError};
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::VoxelBox;

/// Generate and store every chunk of a box; makes the world if there is none
///
/// What is stored already is left as it is and not made again, so the same command goes on where it was interrupted.
/// Ctrl-C stores what is in hand and stops; a second one stops at once.
#[derive(Args)]
pub struct Generate {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The box, X0,Y0,Z0:X1,Y1,Z1, the end not included
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: VoxelBox,
    /// The seed of a new world (default 0); an existing world keeps its own
    #[arg(long)]
    seed: Option<u64>,
    /// What makes the chunks; the bytes are the same
    #[arg(long, value_enum, default_value = "auto")]
    compute: Wanted,
    /// The graphics device, by part of its name; `terrane devices` lists them
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Memory for chunks that are being made or written, on a device as much again: bytes, or with K, M or G
    #[arg(long, default_value = "1G", value_name = "BYTES")]
    memory: Bytes,
    /// Threads that make chunks (default: one for each core)
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Pack what is stored: small files, a little slower to read; what is changed is unpacked
    #[arg(long)]
    packed: bool,
}

impl Generate {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let threads = self.threads.map_or_else(cores, NonZeroUsize::get);
        let batch_chunks = engine::batch_chunks(self.memory, threads)?;
        if let Some(seed) = self.seed.filter(|_| worlds::exists(&self.world)) {
            worlds::check_seed(&self.world, seed)?;
        }
        let store = worlds::open_or_create(&self.world, self.seed.unwrap_or(0), DEFAULT_GENERATOR)?;
        if store.settings().generator.name == "void" {
            let path = self.world.display();
            return Err(Failure::new(format!(
                "{path} has the generator `void` (it was imported): there is nothing to generate in it"
            )));
        }
        let compute = Compute::choose(self.compute, self.device.as_deref(), self.memory, store.generator())?;
        let (total, begun) = (self.within.chunk_count(), Instant::now());
        let progress = Progress::new(total);
        let stop = stopping::on_signals()?;
        let shape = if self.packed { Shape::Packed } else { Shape::Slots };
        let engine =
            Engine { store: &store, progress: &progress, stop: &stop, compute: &compute, threads, batch_chunks, shape };
        let result = engine.run(self.within);
        progress.finish();
        let counts = result.about(&self.world)?;
        if self.packed {
            // What had been stored of these regions before.
            pack_within(&store, self.within).about(&self.world)?;
        }
        worlds::close(store, &self.world)?;
        let interrupted = counts.handled() < total;
        self.tell(json, total, &counts, &compute.name(), begun.elapsed().as_secs_f64());
        Ok(if interrupted { ExitCode::from(stopping::INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    fn tell(&self, json: bool, total: u64, counts: &Counts, compute: &str, seconds: f64) {
        let Counts { made, stored, already_there } = *counts;
        let left = total - counts.handled();
        let voxels_per_second = (made * CHUNK_VOXELS as u64) as f64 / seconds.max(1e-9);
        if json {
            let facts = json!({
                "chunks": total, "made": made, "stored": stored, "already_there": already_there, "left": left,
                "interrupted": left > 0, "compute": compute, "seconds": seconds, "voxels_per_second": voxels_per_second,
            });
            say!("{facts}");
            return;
        }
        say!("{stored} chunks stored, {already_there} were there already");
        if made > 0 {
            say!("{seconds:.1} s, {:.1} million voxels a second", voxels_per_second / 1e6);
        }
        if left > 0 {
            say!("interrupted with {left} chunks left: the same command goes on from here");
        }
    }
}

/// Packs what is not packed of the stored regions that a box touches.
fn pack_within(store: &Store, within: VoxelBox) -> Result<(), StoreError> {
    let mut regions = store.stored_regions()?.into_iter().filter(|region| worlds::touches(within, *region));
    regions.try_for_each(|region| store.pack_region(region).map(drop))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
