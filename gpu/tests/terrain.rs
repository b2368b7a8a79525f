//! Every stage of `terrain` 1 and its twin give the same bytes: each by itself, on what the stages before it have made, and all
//! of them together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{chunks, device};
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_gpu::Engine;
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::digest::{ContentDigest, chunk_hash};
use terrane_world::generate::noise::hash;
use terrane_world::generate::pipeline::{MapsByFootprint, Pipeline};
use terrane_world::generate::stage::{BuiltInOnly, Draft, Entries, Layer, Maps, NO_WATER};
use terrane_world::generate::terrain::STAGES;
use terrane_world::generate::{Generator, GeneratorSetting, StageSetting};
use terrane_world::space::{ChunkPos, VoxelBox};

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

/// A number from `low` to below `high` that depends on where it stands and on nothing else.
fn any(at: [i32; 3], salt: u32, low: i32, high: i32) -> i32 {
    low + (hash(at[0], at[1], at[2], salt) % (high - low) as u32) as i32
}

/// Maps in which every cell is something else, within what stages and plug-ins may write.
fn wild_maps([x, z]: [i32; 2], width: i32) -> Maps {
    let mut maps = Maps::new(x, z);
    for layer in Layer::ALL {
        let (low, high) = match layer {
            Layer::Height => (60 - width, 61 + width),
            Layer::Overhang => (0, 33),
            Layer::Biome => (0, 40),
            Layer::Tilt => (-200, 200),
            Layer::Water => (40, 90),
            Layer::CaveTop => (-100, 200),
            _ => (-32_768, 32_768),
        };
        for (number, cell) in (0..).zip(maps.layer_mut(layer)) {
            let is_dry = layer == Layer::Water && any([x, number, z], 99, 0, 3) > 0;
            *cell = if is_dry { NO_WATER } else { any([x, number, z], layer as u32, low, high) as i16 };
        }
    }
    maps
}

#[test]
fn and_on_maps_and_voxels_that_no_stage_has_made() {
    let (cpu, gpu) = (pipeline(5, &STAGES), pipeline(5, &STAGES));
    let engine = Engine::new(device(), gpu).unwrap();
    let kinds = cpu.palette().ids().len() as i32;
    // From nearly level ground, where bounds decide, to ground that is all spikes.
    for (width, at) in [(0, [3, 4]), (3, [-9, 1 << 20]), (150, [-(1 << 25), (1 << 25) - 1])] {
        let maps = MapsByFootprint::from([(at, wild_maps(at, width))]);
        let all = column(at);
        let wild = |pos: &ChunkPos| {
            let mut draft = Draft::new(*pos);
            // Every third chunk is of one kind, air among them.
            let one = any(pos.to_array(), 7, 0, 4) as u8;
            let entry = |local| any([pos.x() ^ pos.y(), local, pos.z()], 8, 0, kinds) as u8;
            match pos.y().rem_euclid(3) {
                0 => draft.fill(one),
                _ => (0..).zip(draft.entries_new()).for_each(|(local, to)| *to = entry(local)),
            }
            (*pos, draft)
        };
        for stage in 0..STAGES.len() {
            let mut theirs: Drafts = all.iter().map(wild).collect();
            let mut ours = theirs.clone();
            engine.run_blocks(stage, &all, &maps, &mut ours).unwrap();
            cpu.run_blocks(stage, &all, &maps, &mut theirs).unwrap();
            assert_same_drafts(STAGES[stage], &ours, &theirs);
            let (mut ours, mut theirs) = (maps.clone(), maps.clone());
            engine.run_maps(stage, &mut ours).unwrap();
            theirs.values_mut().for_each(|maps| cpu.run_maps(stage, maps).unwrap());
            assert_same_maps(STAGES[stage], &ours, &theirs);
        }
    }
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

/// The digest of a box of 512×256×512 voxels from `x`, `z` on.
fn box_digest(x: i32, z: i32, make: impl Fn(&[ChunkPos]) -> Vec<Chunk>) -> String {
    let registry = Registry::built_in();
    let targets: Vec<ChunkPos> = VoxelBox::new([x, -128, z], [x + 512, 128, z + 512]).unwrap().chunks().collect();
    let mut digest = ContentDigest::new("");
    for (pos, chunk) in targets.iter().zip(make(&targets)) {
        digest.add(*pos, chunk_hash(&registry, *pos, &chunk, None));
    }
    digest.finish()
}

#[test]
fn a_large_box_has_the_digest_that_the_cpu_is_pinned_to() {
    let gpu = pipeline(0x7e44_a9e5_0000_0007, &[]);
    let engine = Engine::new(device(), gpu.clone()).unwrap();
    // As in core/world/tests/golden.rs.
    let pinned = "3cbaa13f89f84aba89e0c8514f74f02f";
    assert_eq!(box_digest(-256, -256, |targets| engine.chunks(targets).unwrap()), pinned);
    let (x, z) = ((1 << 30) - 512, -(1 << 30));
    let cpu = pipeline(0x7e44_a9e5_0000_0007, &[]);
    let expected = box_digest(x, z, |targets| cpu.chunks(targets).unwrap());
    assert_eq!(box_digest(x, z, |targets| engine.chunks(targets).unwrap()), expected, "at the corner of the world");
    assert_eq!(gpu.runs(), [0; STAGES.len()], "nothing ran on the CPU");
}
