//! Agents: 100,000 of them moved one tick along a field over terrain, and what their guides take.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_benches::rounds::{Rounds, Run};
use terrane_benches::{goals, ours};
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::entity::advance::{Agents, Pace, Scratch, UNIT, advance};
use terrane_world::entity::guide::{Guides, Now, guide};
use terrane_world::generate::Generator;
use terrane_world::limits::{AGENTS_PER_VOXEL, CHUNK_VOXELS};
use terrane_world::path::field::{FlowField, Reach};
use terrane_world::path::mode::Modes;
use terrane_world::path::navigation::{Blocks, Navigation};
use terrane_world::space::{ChunkPos, PlaceMap, VoxelBox, VoxelPos};

/// Chunks in memory.
struct Chunks(PlaceMap<ChunkPos, Arc<Chunk>>);

impl Blocks for Chunks {
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>> {
        wanted.iter().map(|pos| self.0.get(pos).cloned()).collect()
    }
}

const AGENTS: usize = 100_000;
/// Ticks that one run takes; it tells the mean.
const TICKS: u32 = 20;
/// As fast as walks over plain ground once a tick.
const PACE: Pace = Pace { speed: 2 * UNIT, lengths: false };

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be had")
}

/// Of each vertical line of voxels the highest from which a goal can be reached: the surface, of land and of water.
fn surface(field: &FlowField, chunks: &[ChunkPos]) -> Vec<VoxelPos> {
    let mut highest: BTreeMap<[i32; 2], VoxelPos> = BTreeMap::new();
    // Chunks come from the bottom to the top, and so do the voxels of each.
    for pos in chunks {
        let open =
            (0..CHUNK_VOXELS as u16).zip(field.reaches(*pos)).filter(|(_, reach)| matches!(reach, Reach::Cost(_)));
        for (local, _) in open {
            let at = pos.voxel(local.try_into().expect("below a chunk's voxels"));
            highest.insert([at.x(), at.z()], at);
        }
    }
    highest.into_values().collect()
}

fn agents(criterion: &mut Criterion) {
    let registry = Registry::built_in();
    let generator = Generator::plain("terrain", 1, 7, &registry).expect("a built-in generator");
    let within = VoxelBox::new([-192, 0, -192], [192, 160, 192]).expect("inside the world");
    let around = VoxelBox::new([-224, -32, -224], [224, 192, 224]).expect("inside the world");
    let made: Vec<(ChunkPos, Arc<Chunk>)> = around
        .chunks()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|pos| (pos, Arc::new(generator.chunk(pos).expect("built-in stages do not fail"))))
        .collect();
    let mut chunks = Chunks(made.into_iter().collect());
    let ground = Modes::built_in().get("ground").expect("a built-in mode").clone();
    let mut navigation = Navigation::new(&ground, &registry).expect("few costs");
    let goal = (0..160).rev().filter_map(|y| VoxelPos::new(0, y, 0).ok());
    let goal = goal.into_iter().find(|at| navigation.exits(&mut chunks, *at) >> 2 & 15 == 15).expect("there is ground");
    let field = FlowField::solve(&mut navigation, &mut chunks, &registry, &[goal], within, None).expect("it is open");
    let mut guides = Guides::new(within);
    let all: Vec<ChunkPos> = within.chunks().collect();
    let run = Run::timed(1, || {
        for chunk in &all {
            let now = Now::new(&mut navigation, &mut chunks, *chunk, &[]);
            let number = guides.grid().number(*chunk).expect("in the box");
            guides.put(number, &guide(&field, &navigation, *chunk, &now));
        }
    });
    let mean = run.took.as_secs_f64() * 1e6 / all.len() as f64;
    eprintln!("agents/guides: {} chunks, {mean:.0} µs each on one thread", all.len());
    let mut open = surface(&field, &all);
    open.sort_unstable_by_key(|at| guides.grid().place(*at));
    let mut start = Agents::default();
    for n in 0..AGENTS.min(open.len() * AGENTS_PER_VOXEL / 2) {
        let at = open[(n as u64 * open.len() as u64 / AGENTS as u64) as usize];
        start.push(n as u32, guides.grid().place(at).expect("in the box"));
    }
    assert_eq!(start.len(), AGENTS, "{} voxels are too few", open.len());
    let run = |threads: usize| {
        let (pool, start, guides) = (pool(threads), start.clone(), &guides);
        let mut scratch = Scratch::default();
        move |round: u64| {
            let mut agents = start.clone();
            let (mut moved, mut waiting) = (0, 0);
            let run = Run::timed(1, || {
                pool.install(|| {
                    for _ in 0..TICKS {
                        let tally = advance(guides, PACE, &mut agents, &mut scratch);
                        (moved, waiting) = (moved + tally.moved, waiting + tally.waiting);
                    }
                });
            });
            if round == 0 {
                eprintln!("agents/advance: {threads} threads, {TICKS} ticks: {moved} moves, {waiting} times no room");
            }
            Run { took: run.took / TICKS, ..run }
        }
    };
    let rounds = Rounds::new("agents/advance").with(ours::NAME, ours::version(), run(2));
    rounds.with(goals::ONE_THREAD, ours::version(), run(1)).measure(criterion).write_milliseconds("");
}

criterion_group!(benches, agents);
criterion_main!(benches);
