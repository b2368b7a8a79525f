//! Connected components against cc3d: a terrain labelled as one array, and what is unsupported after explosions in a world of
//! chunks, where the peer has to label everything again.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use rayon::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use terrane_benches::cc3d::{self, Cc3d};
use terrane_benches::content::{
    BASE_CHUNKS, Change, Content, MATERIALS, ROCKY_SIZE, explosions, is_anchored, is_solid, position, rocky_terrain,
};
use terrane_benches::rounds::{Rounds, Run};
use terrane_benches::{files, goals, ours};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::label::{Bits, Components, label_volume};
use terrane_world::space::{ChunkPos, LocalIndex};

/// Voxels along x, y and z of the world that is edited.
const WORLD_SIZE: [usize; 3] = [512, 256, 512];

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be had")
}

fn file(folder: &Path, name: &str, voxels: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, voxels).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
    path
}

fn volume(criterion: &mut Criterion) {
    let folder = files::scratch("components-volume");
    let solid = rocky_terrain();
    let path = file(&folder, "terrain", &solid);
    let peer = RefCell::new(Cc3d::start());
    let (_, expected) = peer.borrow_mut().label(&path, ROCKY_SIZE);
    for (threads, name) in [(1, "components/volume 1 thread"), (2, "components/volume 2 threads")] {
        let pool = pool(threads);
        let label = |labels: &mut [u32]| {
            let count = pool.install(|| label_volume(&solid, ROCKY_SIZE, labels));
            assert_eq!(count, expected, "we and cc3d differ");
        };
        let mut labels = vec![0; solid.len()];
        let rounds = Rounds::new(name)
            .with(ours::NAME, ours::version(), |_| Run::timed(solid.len(), || label(&mut labels)))
            .with(goals::FRESH, ours::version(), |_| Run::timed(solid.len(), || label(&mut vec![0; solid.len()])))
            .with(cc3d::NAME, peer.borrow().version(), |_| peer.borrow_mut().label(&path, ROCKY_SIZE).0);
        rounds.measure(criterion).write_rate("voxels");
    }
    drop(peer);
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

/// The world after the explosions as one array.
fn exploded(content: &Content, changes: &[Change]) -> Vec<u8> {
    let [width, height, depth] = WORLD_SIZE;
    let mut solid = vec![0; width * height * depth];
    let mut put = |k: usize, local: usize, material: u16| {
        let local = LocalIndex::new(local as u16).expect("below a chunk's voxels");
        let [x, y, z] = position(k).voxel(local).to_array().map(|part| part as usize);
        solid[(y * depth + z) * width + x] = u8::from(is_solid(material));
    };
    for (k, chunk) in content.base().iter().enumerate() {
        chunk.iter().enumerate().for_each(|(local, material)| put(k, local, *material));
    }
    changes.iter().for_each(|change| put(change.chunk as usize, usize::from(change.local), change.new));
    solid
}

/// Solid and anchored blocks, and chunks put in and settled.
struct World {
    solid: Vec<bool>,
    anchored: Vec<bool>,
    components: Components,
}

impl World {
    fn put<'a>(&mut self, chunks: impl IntoParallelIterator<Item = (&'a ChunkPos, &'a Chunk)>) {
        let bits =
            |(pos, chunk): (&ChunkPos, &Chunk)| (*pos, Bits::of(chunk, &self.solid), Bits::of(chunk, &self.anchored));
        let bits: Vec<(ChunkPos, Bits, Bits)> = chunks.into_par_iter().map(bits).collect();
        bits.into_iter().for_each(|(pos, solid, anchored)| self.components.set(pos, solid, anchored));
        self.components.settle();
    }

    /// The answer: how many components, what is unsupported and how much that is.
    fn unsupported(&self) -> (usize, Vec<(ChunkPos, u16)>, u64) {
        let components = &self.components;
        (components.component_count(), components.unsupported().collect(), components.unsupported_voxels())
    }
}

fn edits(criterion: &mut Criterion) {
    let content = Content::generate();
    let changes = explosions(content.base());
    let folder = files::scratch("components-edits");
    let path = file(&folder, "world", &exploded(&content, &changes));
    let mut buffer = new_blocks();
    let before: BTreeMap<_, _> = (0..BASE_CHUNKS).map(|k| (position(k), content.chunk(k, &mut buffer))).collect();
    let mut after = BTreeMap::<ChunkPos, Chunk>::new();
    for change in &changes {
        let pos = position(change.chunk as usize);
        let chunk = after.entry(pos).or_insert_with(|| before[&pos].clone());
        chunk.set(LocalIndex::new(change.local).expect("below a chunk's voxels"), BlockId(change.new));
    }
    let blocks = |counts: fn(u16) -> bool| (0..MATERIALS).map(counts).collect::<Vec<_>>();
    let world = World { solid: blocks(is_solid), anchored: blocks(is_anchored), components: Components::new() };
    let world = RefCell::new(world);
    world.borrow_mut().put(&before);
    let peer = RefCell::new(Cc3d::start());
    let (_, expected) = peer.borrow_mut().label(&path, WORLD_SIZE);
    let ask = |pool: &rayon::ThreadPool| {
        let world = &mut *world.borrow_mut();
        let mut answer = || {
            world.put(&after);
            assert_eq!(std::hint::black_box(world.unsupported()).0, expected as usize, "we and cc3d differ");
        };
        // In the pool, or the time in which its thread wakes up would count.
        let run = pool.install(|| Run::timed(changes.len(), &mut answer));
        world.put(after.par_iter().map(|(pos, _)| (pos, &before[pos])));
        run
    };
    let (one, two) = (pool(1), pool(2));
    let rounds = Rounds::new("components/edits")
        .with(ours::NAME, ours::version(), |_| ask(&one))
        .with(goals::TWO_THREADS, ours::version(), |_| ask(&two))
        .with(cc3d::NAME, peer.borrow().version(), |_| peer.borrow_mut().label(&path, WORLD_SIZE).0);
    rounds.measure(criterion).write_milliseconds("");
    drop(peer);
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

criterion_group!(benches, volume, edits);
criterion_main!(benches);
