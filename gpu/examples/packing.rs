//! Measures packing of terrain on a device, against the CPU, whose bytes they must be:
//! `cargo run --release -p terrane-gpu --example packing -- [auto|gpu|NAME] [EDGE] [HEIGHT] [TIMES]`. EDGE is that of the square of
//! chunks, HEIGHT how many lie over each other, from two below height 0 on. Chunks that are not of one block are packed as they
//! are, and over again until there are 16,384.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people, with a clock")]

use rayon::prelude::*;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use terrane_gpu::{Choice, Device, PackPhases, Packer};
use terrane_world::block::Registry;
use terrane_world::chunk::{Chunk, Form};
use terrane_world::delta::codec;
use terrane_world::generate::Generator;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::ChunkPos;

/// Chunks of the larger one of the two measurements.
const MANY: usize = 16_384;

/// How often the kernel runs without a pause, and how often that.
const REPEATS: u32 = 100;
const ROUNDS: usize = 6;

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64().max(1e-9) / 1e9
}

/// By the CPU, on all cores, into memory that is there already; the best of so many times.
fn on_cpu(chunks: &[&Chunk], times: usize) -> (Vec<Vec<u8>>, Duration) {
    let (mut packed, mut best) = (vec![Vec::new(); chunks.len()], Duration::MAX);
    for _ in 0..=times {
        let begun = Instant::now();
        packed.par_iter_mut().zip(chunks).for_each(|(out, chunk)| {
            out.clear();
            codec::pack(chunk, out);
        });
        best = best.min(begun.elapsed());
    }
    (packed, best)
}

/// Runs the kernel alone until the device's clock is up, and again: the median time. A device that has little to do runs slower.
fn kernels(packer: &Packer, chunks: &[&Chunk]) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times = packer.repeat(chunks, REPEATS)?;
    }
    Ok(median(times))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Packs chunks on the device and prints where the time went.
fn packs(device: &Arc<Device>, packer: &Packer, chunks: &[&Chunk], times: usize) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let now = || begun.elapsed();
    let plain = chunks.len() * CHUNK_VOXELS * 2;
    let (expected, by_cpu) = on_cpu(chunks, times);
    println!("{} chunks: {:.1} GB/s of plain ids on the CPU", chunks.len(), rate(plain, by_cpu));
    let mut rounds: Vec<(PackPhases, Duration)> = Vec::new();
    // One more, which makes the device ready.
    for _ in 0..=times {
        let begun = now();
        let (packed, phases) = packer.measure(chunks, &now)?;
        rounds.push((phases, now() - begun));
        if packed != expected {
            return Err("the device's bytes are not the CPU's".into());
        }
    }
    rounds.remove(0);
    let middle = |of: &dyn Fn(&(PackPhases, Duration)) -> Duration| median(rounds.iter().map(of).collect());
    let [up, down] = [rounds[0].0.bytes_up, rounds[0].0.bytes_down].map(|bytes| bytes as usize);
    println!(
        "  from the CPU to the CPU {:.1} GB/s of plain ids: {up} bytes up in {:?}, the kernel in {:?} (by its own clock {:?}), {down} bytes down in {:?}",
        rate(plain, middle(&|(_, all)| *all)),
        middle(&|(phases, _)| phases.upload),
        middle(&|(phases, _)| phases.kernels),
        middle(&|(phases, _)| phases.kernels_on_device),
        middle(&|(phases, _)| phases.download),
    );
    let plainer = Packer::without_subgroups(device.clone())?;
    for (name, packer) in [("without a pause", packer), ("without subgroups", &plainer)] {
        let kernels = kernels(packer, chunks)?;
        println!(
            "  {name} the kernel takes {kernels:?}: {:.1} GB/s of plain ids, {:.1} GB/s of numbers, {:.1} GB/s read and written",
            rate(plain, kernels),
            rate(up, kernels),
            rate(up + down, kernels),
        );
    }
    println!("  a copy: {:.1} GB/s read and written", device.copy_bytes_a_second(up as u64, &now)? / 1e9);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |n: usize, other: &str| words.get(n).cloned().unwrap_or_else(|| other.to_owned());
    let device = Arc::new(Device::open(&Choice::from(word(0, "auto").as_str()))?);
    let (edge, height): (i32, i32) = (word(1, "32").parse()?, word(2, "32").parse()?);
    let times: usize = word(3, "9").parse()?;
    let all = (-2..height - 2).flat_map(|y| (0..edge).flat_map(move |z| (0..edge).map(move |x| [x, y, z])));
    let places = all.map(ChunkPos::try_from).collect::<Result<Vec<_>, _>>()?;
    let chunks = Generator::plain("terrain", 1, 1, &Registry::built_in())?.chunks(&places)?;
    let chunks: Vec<&Chunk> = chunks.iter().filter(|chunk| chunk.form() != Form::Uniform).collect();
    let packer = Packer::new(device.clone())?;
    println!("{}", device.listed());
    packs(&device, &packer, &chunks, times)?;
    let many: Vec<&Chunk> = chunks.iter().copied().cycle().take(MANY).collect();
    packs(&device, &packer, &many, times)
}
