//! Measures `terrain` 1 on a device: `cargo run --release -p terrane-gpu --example measure -- [auto|gpu|NAME] [EDGE] [TIMES]`.
//! EDGE is that of the square of chunks, 14 chunks high, which is made in one batch.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people, with a clock")]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;
use terrane_gpu::{Choice, Device, Engine, Options};
use terrane_world::block::Registry;
use terrane_world::generate::Generator;
use terrane_world::space::ChunkPos;

fn main() -> Result<(), Box<dyn Error>> {
    for listed in terrane_gpu::devices() {
        println!("{listed}");
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |n: usize, other: &str| words.get(n).cloned().unwrap_or_else(|| other.to_owned());
    let device = Arc::new(Device::open(&Choice::from(word(0, "auto").as_str()))?);
    let (edge, times) = (word(1, "16").parse::<i32>()?, word(2, "5").parse()?);
    let generator = Generator::plain("terrain", 1, 1, &Registry::built_in())?;
    let pipeline = generator.pipeline().ok_or("terrain is a pipeline")?.clone();
    let begun = Instant::now();
    let options = Options { memory_bytes: 16 << 30, ..Options::default() };
    let engine = Engine::with(device.clone(), pipeline, options)?;
    println!("{device:?}: kernels made in {:.2?}", begun.elapsed());
    let mut targets = Vec::new();
    for (x, z, y) in (0..edge).flat_map(|x| (0..edge).flat_map(move |z| (-4..10).map(move |y| (x, z, y)))) {
        targets.push(ChunkPos::new(x, y, z)?);
    }
    let measured = engine.measure(&targets, times, &|| begun.elapsed())?;
    for stage in &measured.stages {
        println!("  {:12} maps {:10.2?}  voxels {:10.2?}", stage.stage, stage.maps, stage.blocks);
    }
    println!(
        "{} chunks in {:.2?}: {:.2} Gvoxel/s in the device's memory, {:.1} % of the {:.0} GB/s of a copy",
        targets.len(),
        measured.run,
        measured.gigavoxels_a_second(),
        100.0 * measured.share_of_bandwidth(),
        measured.copy_bytes_a_second / 1e9
    );
    let planned = Instant::now();
    let batches = engine.batches(&targets)?;
    let (planned, submitted) = (planned.elapsed(), Instant::now());
    let tickets = batches.iter().map(|batch| engine.submit(batch)).collect::<Result<Vec<_>, _>>()?;
    let submitted = submitted.elapsed();
    for ticket in &tickets {
        while !ticket.is_ready()? {
            std::thread::yield_now();
        }
    }
    let collected = Instant::now();
    tickets.into_iter().try_for_each(|ticket| engine.collect(ticket).map(drop))?;
    println!("{planned:.2?} to divide, {submitted:.2?} to submit, {:.2?} to collect", collected.elapsed());
    let once = Instant::now();
    let chunks = engine.chunks(&targets)?;
    let seconds = once.elapsed().as_secs_f64();
    println!("{:.2} Gvoxel/s as chunks on the CPU", chunks.len() as f64 * 32768.0 / seconds / 1e9);
    Ok(())
}
