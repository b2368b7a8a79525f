//! A plug-in among the built-in stages stands under the same hash gates: any order, any threads, every set of vector
//! instructions, and the device, where it runs on the CPU in between.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{chunks, device};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use terrane_gpu::Engine;
use terrane_plugin::{Plugins, sha256};
use terrane_world::block::Registry;
use terrane_world::digest::{ContentDigest, chunk_hash};
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::terrain::STAGES;
use terrane_world::generate::{Generator, GeneratorSetting, Level, PluginFile, StageSetting};
use terrane_world::space::ChunkPos;

/// The stages of `terrain` 1 with the example plug-in `crystals`, which has a halo, before the plants.
fn pipeline() -> Arc<Pipeline> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/crystals.wasm");
    let wasm = std::fs::read(path).unwrap();
    let sha256 = sha256(&wasm);
    let stage = |name: &str| StageSetting { stage: name.to_owned(), settings: toml::Table::new() };
    let mut stages: Vec<StageSetting> = STAGES.iter().map(|name| stage(name)).collect();
    stages.insert(8, stage("crystals"));
    let plugins = BTreeMap::from([("crystals".to_owned(), sha256.clone())]);
    let setting = GeneratorSetting { stages, plugins, ..GeneratorSetting::plain("terrain", 1) };
    let files = [PluginFile { name: "crystals".into(), sha256, wasm }];
    let generator = Generator::new(&setting, 5, &Registry::built_in(), &files, &Plugins::new()).unwrap();
    Arc::clone(generator.pipeline().unwrap())
}

fn targets() -> Vec<ChunkPos> {
    let mut targets = chunks([-3..3, -3..3, -3..3]);
    targets.sort_unstable();
    targets
}

fn digest(hashes: impl IntoIterator<Item = (ChunkPos, u128)>) -> String {
    let sorted: BTreeMap<ChunkPos, u128> = hashes.into_iter().collect();
    let mut digest = ContentDigest::new("");
    sorted.into_iter().for_each(|(pos, hash)| digest.add(pos, hash));
    digest.finish()
}

fn made(pipeline: &Pipeline, order: &[ChunkPos], batch: usize, threads: usize) -> String {
    let registry = Registry::built_in();
    let make = |batch: &[ChunkPos]| -> Vec<(ChunkPos, u128)> {
        let chunks = pipeline.chunks(batch).unwrap();
        batch.iter().zip(chunks).map(|(pos, chunk)| (*pos, chunk_hash(&registry, *pos, &chunk, None))).collect()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    digest(pool.install(|| order.par_chunks(batch).flat_map_iter(make).collect::<Vec<_>>()))
}

#[test]
fn a_world_with_a_plug_in_is_the_same_in_any_order_on_any_threads_and_with_any_vectors() {
    let (pipeline, forward) = (pipeline(), targets());
    let expected = made(&pipeline, &forward, forward.len(), 1);
    let reverse: Vec<ChunkPos> = forward.iter().rev().copied().collect();
    let mut shuffled = forward.clone();
    shuffled.sort_by_key(|pos| (pos.x() * 7 + pos.z() * 11 + pos.y() * 5) & 15);
    for (name, order, batch, threads) in
        [("one by one", &forward, 1, 2), ("reverse", &reverse, 5, 3), ("shuffled", &shuffled, 40, 8)]
    {
        assert_eq!(made(&pipeline, order, batch, threads), expected, "{name}");
    }
    for level in Level::available() {
        let masked = Arc::into_inner(self::pipeline()).unwrap().with_level(level);
        assert_eq!(made(&masked, &forward, 60, 2), expected, "{level:?}");
    }
}

#[test]
fn on_a_device_a_plug_in_runs_on_the_cpu_in_between_and_the_engine_says_so() {
    let (cpu, gpu) = (pipeline(), pipeline());
    let engine = Engine::new(device(), gpu.clone()).unwrap();
    let (registry, targets) = (Registry::built_in(), targets());
    let chunks = engine.chunks(&targets).unwrap();
    let hashes = targets.iter().zip(&chunks).map(|(pos, chunk)| (*pos, chunk_hash(&registry, *pos, chunk, None)));
    assert_eq!(digest(hashes), made(&cpu, &targets, targets.len(), 1));
    assert!(
        engine.notes().iter().any(|note| note.contains("crystals") && note.contains("CPU")),
        "{:?}",
        engine.notes()
    );
    for (number, (stage, runs)) in gpu.stages().iter().zip(gpu.runs()).enumerate() {
        assert_eq!(
            runs > 0,
            stage.name() == "crystals",
            "stage {number}, {}, ran {runs} times on the CPU",
            stage.name()
        );
    }
    assert!(STAGES.iter().all(|stem| engine.dispatches()[stem] > 0), "{:?}", engine.dispatches());
}
