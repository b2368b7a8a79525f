//! Block physics: support of a whole region, and a block of sand that comes down.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use rayon::prelude::*;
use std::sync::Arc;
use terrane_benches::ours;
use terrane_benches::rounds::{Rounds, Run};
use terrane_world::block::{AIR, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::generate::Generator;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::physics::{RuleSet, support};
use terrane_world::relax::Field;
use terrane_world::space::{ChunkPos, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, ChunkSource, Held, Input, SourceError, Standing, VoxelEdit, World};

fn pool(threads: usize) -> Arc<rayon::ThreadPool> {
    Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be had"))
}

/// A region of generated terrain, 128×256×128, from the bedrock up: full support from its chunks.
fn region(criterion: &mut Criterion) {
    let registry = Registry::built_in();
    let generator = Generator::plain("terrain", 1, 7, &registry).expect("a built-in generator");
    let within = VoxelBox::new([0, -128, 0], [128, 128, 128]).expect("inside the world");
    let chunks: Vec<(ChunkPos, Chunk)> =
        within.chunks().map(|pos| (pos, generator.chunk(pos).expect("built-in stages do not fail"))).collect();
    let table = support::table(&registry).expect("built-in rules");
    let solve = |pool: &rayon::ThreadPool| {
        Run::timed(chunks.len() * CHUNK_VOXELS, || {
            pool.install(|| {
                let classes = chunks.par_iter().map(|(pos, chunk)| (*pos, table.classes(chunk))).collect();
                let mut field = Field::new(Arc::clone(table.rules()));
                std::hint::black_box(field.load(classes));
            });
        })
    };
    for (threads, name) in [(1, "physics/support 1 thread"), (2, "physics/support 2 threads")] {
        let pool = pool(threads);
        let rounds = Rounds::new(name).with(ours::NAME, ours::version(), |_| solve(&pool));
        rounds.measure(criterion).write_milliseconds("");
    }
}

/// A floor of stone on bedrock, 64 high, and nothing else.
struct Floor(Arc<Registry>);

impl ChunkSource for Floor {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        let block = |name| self.0.id(name).expect("a built-in block");
        let block = match pos.y() {
            -1 => block("stone"),
            -2 => block("bedrock"),
            _ => AIR,
        };
        Ok(Held { chunk: Arc::new(Chunk::uniform(block)), version: Version::GENERATED })
    }
}

/// 20×25×20 voxels of sand, hanging 20 above a floor, until they lie: on one thread, so that the time is CPU time.
fn sand(criterion: &mut Criterion) {
    let registry = Arc::new(Registry::built_in());
    let sand = registry.id("sand").expect("a built-in block");
    let all = (20..45).flat_map(|y| (0..20).flat_map(move |z| (0..20).map(move |x| [x, y, z])));
    let voxels: Vec<VoxelEdit> = all
        .map(|at| VoxelEdit { pos: VoxelPos::try_from(at).expect("inside the world"), block: sand, sparse: None })
        .collect();
    let inputs: Vec<Input> = (1..)
        .zip(voxels.chunks(4096))
        .map(|(sequence, voxels)| Input::Edit { actor: ActorId(1), sequence, voxels: voxels.to_vec() })
        .collect();
    let pool = pool(1);
    let settle = || {
        let standing = Standing { epoch: 1, ..Standing::default() };
        let source = Box::new(Floor(Arc::clone(&registry)));
        let world = World::new(Arc::clone(&pool), source, Arc::clone(&registry), standing);
        let mut world = world.with_physics(RuleSet::Span).expect("built-in rules");
        let mut until_rest = || {
            world.step(1, &inputs).expect("ticks go up");
            let mut tick = 1;
            let mut landed = 0;
            while world.standing().columns.values().any(|state| !state.is_at_rest()) {
                tick += 1;
                landed += world.step(tick, &[]).expect("ticks go up").counts.landed;
            }
            assert!(landed >= voxels.len() as u64, "{landed} of {} came down", voxels.len());
        };
        // In the pool, or each tick would wait for its thread to wake up.
        Run::timed(voxels.len(), || pool.install(&mut until_rest))
    };
    let rounds = Rounds::new("physics/sand").with(ours::NAME, ours::version(), |_| settle());
    rounds.measure(criterion).write_milliseconds("");
}

criterion_group!(benches, region, sand);
criterion_main!(benches);
