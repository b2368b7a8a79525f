//! Every stage of `terrain` 1 and its twin give the same bytes: each by itself, on what the stages before it have made, and all
//! of them together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{chunks, device};
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_gpu::Engine;
use terrane_world::block::Registry;
use terrane_world::generate::pipeline::{MapsByFootprint, Pipeline};
use terrane_world::generate::stage::{BuiltInOnly, Draft, Entries, Layer, Maps};
use terrane_world::generate::terrain::STAGES;
use terrane_world::generate::{Generator, GeneratorSetting, StageSetting};
use terrane_world::space::ChunkPos;

type Drafts = BTreeMap<ChunkPos, Draft>;

/// A pipeline of `terrain` 1 with these stages, each `name` or `name: settings`.
fn pipeline(seed: u64, stages: &[&str]) -> Arc<Pipeline> {
    let stage = |text: &&str| {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        StageSetting { stage: name.to_owned(), settings: toml::from_str(&settings.replace(';', "\n")).unwrap() }
    };
    let setting =
        GeneratorSetting { stages: stages.iter().map(stage).collect(), ..GeneratorSetting::plain("terrain", 1) };
    let generator = Generator::new(&setting, seed, &Registry::built_in(), &[], &BuiltInOnly).unwrap();
    generator.pipeline().unwrap().clone()
}

/// Footprints near each other around the origin and at the corners of the world, and others strewn over much land.
fn footprints() -> Vec<[i32; 2]> {
    let (low, high) = (-(1 << 25), (1 << 25) - 1);
    let mut all = vec![[-1, -1], [0, -1], [-1, 0], [0, 0], [low, low], [low, high], [high, low], [high, high]];
    all.extend((0..24).map(|n| [n * 37 - 400, n * n % 23 * 41 - 500]));
    all
}

/// All chunks of a footprint in which `terrain` makes anything, some air above it included.
fn column([x, z]: [i32; 2]) -> Vec<ChunkPos> {
    chunks([x..x + 1, -4..12, z..z + 1])
}

/// Runs every stage on the CPU and, from the same beginning, on the device. Gives how many cells or voxels each has changed.
fn compare_stage_by_stage(stages: &[&str]) -> Vec<usize> {
    let mut changes = vec![0; stages.len()];
    let (cpu, gpu) = (pipeline(77, stages), pipeline(77, stages));
    let engine = Engine::new(device(), gpu.clone()).unwrap();
    assert!(engine.notes().is_empty(), "{:?}", engine.notes());
    let mut maps: MapsByFootprint = footprints().into_iter().map(|at| (at, Maps::new(at[0], at[1]))).collect();
    for stage in 0..stages.len() {
        let before = maps.clone();
        let mut ours = maps.clone();
        engine.run_maps(stage, &mut ours).unwrap();
        maps.values_mut().for_each(|maps| cpu.run_maps(stage, maps).unwrap());
        assert_same_maps(stages[stage], &ours, &maps);
        changes[stage] += maps.iter().map(|(at, maps)| usize::from(*maps != before[at])).sum::<usize>();
    }
    let all: Vec<ChunkPos> = footprints().into_iter().flat_map(column).collect();
    let mut drafts: Drafts = all.iter().map(|pos| (*pos, Draft::new(*pos))).collect();
    for stage in 0..stages.len() {
        let before = drafts.clone();
        let mut ours = drafts.clone();
        engine.run_blocks(stage, &all, &maps, &mut ours).unwrap();
        cpu.run_blocks(stage, &all, &maps, &mut drafts).unwrap();
        assert_same_drafts(stages[stage], &ours, &drafts);
        changes[stage] +=
            drafts.iter().map(|(pos, made)| differences(&made.entries(), &before[pos].entries())).sum::<usize>();
    }
    assert_eq!(gpu.runs(), vec![0; stages.len()], "nothing ran on the CPU");
    let dispatches = engine.dispatches();
    for stage in stages {
        let stem = stage.split(':').next().unwrap();
        assert!(dispatches[stem] > 0, "{stem}");
    }
    changes
}

fn differences(ours: &Entries, theirs: &Entries) -> usize {
    ours.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs).count()
}

fn assert_same_maps(stage: &str, ours: &MapsByFootprint, theirs: &MapsByFootprint) {
    for (footprint, theirs) in theirs {
        for layer in Layer::ALL {
            let (ours, theirs) = (ours[footprint].layer(layer), theirs.layer(layer));
            let different = (0..ours.len()).filter(|cell| ours[*cell] != theirs[*cell]).collect::<Vec<_>>();
            if let Some(&cell) = different.first() {
                let (count, ours, theirs) = (different.len(), ours[cell], theirs[cell]);
                panic!("{stage}: {layer:?} of {footprint:?} differs in {count} cells; in {cell}: {ours}, CPU {theirs}");
            }
        }
    }
}

fn assert_same_drafts(stage: &str, ours: &Drafts, theirs: &Drafts) {
    for (pos, theirs) in theirs {
        let (ours, theirs) = (ours[pos].entries(), theirs.entries());
        let different = (0..ours.len()).filter(|local| ours[*local] != theirs[*local]).collect::<Vec<_>>();
        if let Some(&local) = different.first() {
            let (count, ours, theirs) = (different.len(), ours[local], theirs[local]);
            panic!("{stage}: chunk {pos} differs in {count} voxels; in {local}: {ours}, CPU {theirs}");
        }
    }
}

#[test]
fn each_stage_by_itself_gives_the_same_bytes() {
    let changes = compare_stage_by_stage(&STAGES);
    assert!(changes.iter().all(|count| *count > 20), "every stage has something to do here: {changes:?}");
}

#[test]
fn so_it_does_with_other_settings() {
    compare_stage_by_stage(&[
        "continents: spacing_bits = 8; land = 40; mountains = 150",
        "density: overhang = 32",
        "water: width = 300",
        "climate: spacing_bits = 7; warmth = -20; wetness = 30",
        "strata: deep = 80; rocks = [\"granite\", \"stone\", \"tuff\"]",
        "surface",
        "veins: ores = [{ block = \"gravel\", low = -100, high = 200, one_in = 1, radius = 4, length = 4 }, \
         { block = \"coal_ore\", low = 60, high = 70, one_in = 2 }]; replaces = [\"granite\", \"gravel\", \"tuff\"]",
        "caverns: tunnels = 300; caverns = 200; lava = 0",
        "plants: trees = 400; cover = 400",
        "structures: one_in = 1",
    ]);
}

#[test]
fn and_in_another_order() {
    // What is there before density stays where density does nothing; a stage that is there twice runs twice.
    compare_stage_by_stage(&[
        "structures: one_in = 1",
        "plants",
        "continents: mountains = 0; land = 20",
        "climate",
        "density",
        "caverns",
        "water: rivers = false",
        "plants: salt = 3; trees = 300",
        "structures: one_in = 2; salt = 1",
        "surface",
        "veins",
        "strata",
    ]);
}

#[test]
fn the_whole_pipeline_gives_the_chunks_of_the_cpu() {
    let (cpu, gpu) = (pipeline(1, &[]), pipeline(1, &[]));
    let engine = Engine::new(device(), gpu.clone()).unwrap();
    let mut targets = chunks([-2..2, -5..8, -1..2]);
    targets.extend(column([(1 << 25) - 1, -(1 << 25)]));
    assert!(engine.chunks(&targets).unwrap() == cpu.chunks(&targets).unwrap());
    assert_eq!(gpu.runs(), [0; STAGES.len()]);
    assert_eq!(engine.dispatches().keys().filter(|stem| STAGES.contains(stem)).count(), STAGES.len());
}
