//! How the time of making a chunk splits over the stages of the generator `terrain`, and how far the memory's speed is.
#![allow(clippy::print_stdout, reason = "the table goes there")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;
use terrane_world::block::Registry;
use terrane_world::digest::chunk_hash;
use terrane_world::generate::pipeline::MapsByFootprint;
use terrane_world::generate::stage::{Draft, Maps};
use terrane_world::generate::{Generator, Level};
use terrane_world::space::ChunkPos;

/// Columns of eight chunks that are made.
const COLUMNS: i32 = 1_024;

/// Microseconds by what was done, summed up.
#[derive(Default)]
struct Split(BTreeMap<String, f64>);

impl Split {
    fn timed<T>(&mut self, what: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        *self.0.entry(what.to_owned()).or_default() += start.elapsed().as_secs_f64() * 1e6;
        result
    }
}

fn main() {
    let registry = Registry::built_in();
    let generator = Generator::plain("terrain", 1, 7, &registry).expect("it is released");
    let pipeline = generator.pipeline().expect("terrain has stages");
    let mut split = Split::default();
    let begun = Instant::now();
    for column in 0..COLUMNS {
        let (x, z) = (column % 32 - 16, column / 32 - 16);
        let mut maps = Maps::new(x, z);
        for (number, stage) in pipeline.stages().iter().enumerate() {
            let what = format!("{number} {} maps", stage.name());
            split.timed(&what, || pipeline.run_maps(number, &mut maps)).expect("a built-in stage");
        }
        let maps = MapsByFootprint::from([([x, z], maps)]);
        let targets: Vec<ChunkPos> = (-4..4).map(|y| ChunkPos::new(x, y, z).expect("inside the world")).collect();
        let plan = pipeline.plan(&targets, Some(&maps));
        let mut drafts: BTreeMap<ChunkPos, Draft> = plan.chunks().iter().map(|pos| (*pos, Draft::new(*pos))).collect();
        for (number, stage) in pipeline.stages().iter().enumerate() {
            let what = format!("{number} {} voxels", stage.name());
            let run = || pipeline.run_blocks(number, &plan.sets[number], &maps, &mut drafts);
            split.timed(&what, run).expect("a built-in stage");
        }
        let chunks =
            split.timed("packing", || targets.iter().map(|pos| pipeline.finish(&drafts[pos])).collect::<Vec<_>>());
        split.timed("digest", || {
            targets
                .iter()
                .zip(&chunks)
                .for_each(|(pos, chunk)| _ = black_box(chunk_hash(&registry, *pos, chunk, None)));
        });
    }
    let (all, chunks) = (begun.elapsed().as_secs_f64() * 1e6, f64::from(COLUMNS * 8));
    println!("One thread, {:?}, {} chunks from y -128 to 127: microseconds a chunk\n", Level::best(), COLUMNS * 8);
    println!("| what | µs | share |\n|---|---:|---:|");
    for (what, time) in split.0.iter().filter(|(_, time)| **time / chunks >= 0.05) {
        println!("| {what} | {:.2} | {:.0} % |", time / chunks, time * 100.0 / all);
    }
    println!("| all | {:.2} | |", all / chunks);
    let (rate, memory) = (32_768.0 * chunks / all, memory_rate());
    println!("\n{rate:.0} Mvoxel/s; as plain u16 that is {:.2} GB/s. Filling memory: {memory:.1} GB/s.", rate * 2e-3);
}

/// Gigabytes a second that one thread fills memory with.
fn memory_rate() -> f64 {
    let mut bytes = vec![1u8; 1 << 30];
    let mut rates: Vec<f64> = (0..5u8)
        .map(|value| {
            let start = Instant::now();
            black_box(&mut bytes).fill(value);
            bytes.len() as f64 / start.elapsed().as_secs_f64() / 1e9
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[2]
}
