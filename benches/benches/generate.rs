//! World generation against Luanti's, and noise against quick-noise's. Built for the machine it runs on, because that is
//! the only way that peer knows to use wide vectors; ours looks at run time.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use quick_noise::{Fbm, Grid, Perlin};
use rayon::prelude::*;
use std::process::Command;
use terrane_benches::rounds::{Rounds, Run};
use terrane_benches::{files, goals, luanti, ours, record};
use terrane_world::block::Registry;
use terrane_world::digest::chunk_hash;
use terrane_world::generate::noise::Octaves;
use terrane_world::generate::{Generator, Level, grid};
use terrane_world::space::{ChunkPos, VoxelBox};

/// Chunks of noise in one run of one thread.
const NOISE_CHUNKS: usize = 2_000;
/// The box around the surface. Wider than Luanti's, which would take a tenth of a second, a third of it for starting.
const BOX: ([i32; 3], [i32; 3]) = ([-1024, -128, -1024], [1024, 128, 1024]);

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be had")
}

fn noise(criterion: &mut Criterion) {
    for (threads, name) in [(1, "generate/noise 1 thread"), (2, "generate/noise 2 threads")] {
        let pool = pool(threads);
        let timed = |work: &(dyn Fn(usize) + Sync)| {
            Run::timed(NOISE_CHUNKS * threads * 32_768, || {
                pool.install(|| (0..threads).into_par_iter().with_max_len(1).for_each(work));
            })
        };
        let ours = |level: Level| {
            move |thread: usize| {
                let mut field = grid::any_field();
                for chunk in 0..NOISE_CHUNKS {
                    let origin = [(thread * NOISE_CHUNKS + chunk) as i32 * 32, 0, 0];
                    grid::fractal3(level, origin, 0..32, Octaves::new(6, 4, 7), &mut field);
                    std::hint::black_box(&field[0]);
                }
            }
        };
        let theirs = |thread: usize| {
            let mut field = vec![0f32; 32_768];
            for chunk in 0..NOISE_CHUNKS {
                let x = ((thread * NOISE_CHUNKS + chunk) * 32) as f64;
                let grid = Grid::<3>::new(32, 32, 32).grid_position(x, 0.0, 0.0);
                grid.builder::<Fbm, Perlin>().octaves(4).frequency(1.0 / 64.0).fill(&mut field);
                std::hint::black_box(&field[0]);
            }
        };
        let best = ours(Level::best());
        let (avx2, plain) = (ours(Level::Avx2), ours(Level::Plain));
        let rounds = Rounds::new(name)
            .with(ours::NAME, ours::version(), |_| timed(&best))
            .with(goals::AVX2, ours::version(), |_| timed(&avx2))
            .with("terrane, no vectors", ours::version(), |_| timed(&plain))
            .with(goals::QUICK_NOISE, record::locked_version("quick-noise").into(), |_| timed(&theirs));
        rounds.measure(criterion).write_rate("samples");
    }
}

/// Columns of chunks, each ready for one task.
fn stacks(within: VoxelBox) -> Vec<Vec<ChunkPos>> {
    let mut stacks = std::collections::BTreeMap::<(i32, i32), Vec<ChunkPos>>::new();
    within.chunks().for_each(|pos| stacks.entry((pos.x(), pos.z())).or_default().push(pos));
    stacks.into_values().collect()
}

/// Generates and hashes the box.
fn digested(pool: &rayon::ThreadPool, generator: &Generator, registry: &Registry, within: VoxelBox) -> Run {
    let stacks = stacks(within);
    Run::timed(within.size().iter().product(), || {
        let hash = |stack: &Vec<ChunkPos>| {
            let chunks = generator.chunks(stack).expect("built-in stages make every chunk");
            stack.iter().zip(&chunks).fold(0, |sum, (pos, chunk)| sum ^ chunk_hash(registry, *pos, chunk, None))
        };
        let sum = pool.install(|| stacks.par_iter().map(hash).reduce(|| 0, |a, b| a ^ b));
        std::hint::black_box(sum);
    })
}

/// `terrane generate` as a whole process on a quiet disk: from nothing to the last sync.
fn stored(threads: usize, within: VoxelBox) -> Run {
    let folder = files::scratch("generated");
    files::settle(&folder);
    let program = files::target().join("release/terrane");
    let world = folder.join("world");
    let run = Run::timed(within.size().iter().product(), || {
        let run = Command::new(&program)
            .args(["generate", "--seed", "7", "--threads", threads.to_string().as_str()])
            .arg("--world")
            .arg(&world)
            .arg("--box")
            .arg(within.to_string())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    });
    std::fs::remove_dir_all(folder).expect("the folder is ours");
    run
}

fn world(criterion: &mut Criterion) {
    let within = VoxelBox::new(BOX.0, BOX.1).expect("inside the world");
    let registry = Registry::built_in();
    let generator = Generator::plain("terrain", 1, 7, &registry).expect("it is released");
    for (threads, name) in [(1, "generate/world 1 thread"), (2, "generate/world 2 threads")] {
        let pool = pool(threads);
        let rounds = Rounds::new(name)
            .with(ours::NAME, ours::version(), |_| stored(threads, within))
            .with(goals::DIGESTED, ours::version(), |_| digested(&pool, &generator, &registry, within))
            .with(luanti::NAME, luanti::version(), |round| luanti::generate(threads, round));
        rounds.measure(criterion).write_rate("voxels");
    }
}

criterion_group!(benches, noise, world);
criterion_main!(benches);
