//! The example plug-ins as they are committed: they load, they do what they are for, and their chunks fit together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{example, pipeline};
use std::collections::BTreeMap;
use std::path::Path;
use terrane_plugin::{Plugins, limits};
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::{Generator, GeneratorError, GeneratorSetting, PluginFile, StageSetting, terrain};
use terrane_world::space::{ChunkPos, LocalIndex};

fn positions() -> Vec<ChunkPos> {
    let all = (-2..2).flat_map(|y| (-3..3).flat_map(move |z| (-3..3).map(move |x| [x, y, z])));
    all.map(|[x, y, z]| ChunkPos::new(x, y, z).unwrap()).collect()
}

fn blocks(chunk: &Chunk) -> Vec<u16> {
    (0..32768).map(|n| chunk.get(LocalIndex::new(n).unwrap()).0).collect()
}

/// How many voxels of each block there are. Some of the chunks are made alone as well, and must be the same.
fn counts(pipeline: &Pipeline) -> BTreeMap<String, usize> {
    let (registry, positions) = (Registry::built_in(), positions());
    let chunks = pipeline.chunks(&positions).unwrap_or_else(|error| panic!("{error}"));
    let mut counts = BTreeMap::new();
    for (pos, chunk) in positions.iter().zip(&chunks).step_by(7) {
        assert!(blocks(&pipeline.chunks(&[*pos]).unwrap()[0]) == blocks(chunk), "{pos} alone is another");
    }
    for chunk in &chunks {
        for id in blocks(chunk) {
            let name = registry.iter().find(|(other, ..)| other.0 == id).unwrap().1;
            *counts.entry(name.rsplit(':').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn crystals_shine_in_caves_and_hang_from_rich_rock() {
    let counts = counts(&pipeline(&example("crystals"), ""));
    for (block, least) in [("sea_lantern", 300), ("glowstone", 100), ("calcite", 500)] {
        assert!(counts.get(block).is_some_and(|count| *count >= least), "{block}: {counts:?}");
    }
    let rare = self::counts(&pipeline(&example("crystals"), "rarity = 40000"));
    assert!(!rare.contains_key("calcite") && !rare.contains_key("sea_lantern"), "{rare:?}");
}

#[test]
fn stones_stand_in_circles_on_level_ground() {
    let counts = counts(&pipeline(&example("standing-stones"), "spacing = 32\nrarity = 1"));
    for (block, least) in [("stone_bricks", 20), ("mossy_cobblestone", 20), ("gravel", 50), ("sea_lantern", 3)] {
        assert!(counts.get(block).is_some_and(|count| *count >= least), "{block}: {counts:?}");
    }
    let elsewhere = self::counts(&pipeline(&example("standing-stones"), "spacing = 32\nrarity = 1\nbiome = 3"));
    assert!(!elsewhere.contains_key("sea_lantern"), "{elsewhere:?}");
}

#[test]
fn lanterns_stand_on_the_ground() {
    let counts = counts(&pipeline(&example("lanterns"), "every = 300"));
    assert!(counts.get("oak_fence").is_some_and(|count| *count >= 150), "{counts:?}");
    assert!(counts["glowstone"] > counts["oak_fence"] / 4, "{counts:?}");
}

#[test]
fn the_page_that_teaches_it_has_the_example_and_the_limits_as_they_are() {
    let read =
        |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).unwrap();
    let page = read("docs/plugins.md");
    assert!(page.contains(&read("examples/plugins/lanterns.ts")), "docs/plugins.md has another lanterns.ts");
    let bytes = [limits::WASM_BYTES_MAX, limits::MEMORY_BYTES_MAX, limits::TABLE_ELEMENTS_MAX, limits::STACK_BYTES];
    let fuel = [limits::FUEL_PER_CHUNK, limits::FUEL_TO_LOAD].map(|fuel| fuel as usize);
    for limit in bytes.into_iter().chain(fuel).chain([limits::BLOCKS_MAX, limits::LIST_BYTES_MAX]) {
        assert!(page.contains(&with_commas(limit)), "docs/plugins.md does not name the limit {limit}");
    }
    for function in limits::FUNCTIONS {
        assert!(page.contains(&format!("| `{function}` | `(")), "docs/plugins.md has no row for {function}");
        let declared = read("examples/plugins/terrane.ts").contains(&format!("@external(\"terrane\", \"{function}\")"));
        assert!(declared, "terrane.ts does not declare {function}");
    }
}

fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// The generator of a world whose settings add plug-ins to the version's own stages.
fn terrain(names: &[&str]) -> Result<Generator, GeneratorError> {
    let stage = |name: &str| StageSetting { stage: name.to_owned(), settings: toml::Table::new() };
    let stages = terrain::STAGES.iter().chain(names).map(|name| stage(name)).collect();
    let files: Vec<PluginFile> = names.iter().map(|name| example(name)).collect();
    let plugins = files.iter().map(|file| (file.name.clone(), file.sha256.clone())).collect();
    let setting = GeneratorSetting { name: "terrain".to_owned(), version: 1, stages, plugins };
    Generator::new(&setting, common::SEED, &Registry::built_in(), &files, &Plugins::new())
}

#[test]
fn a_world_with_plugins_differs_from_one_without_only_in_what_they_place() {
    let (plain, with) = (terrain(&[]).unwrap(), terrain(&["crystals", "standing-stones", "lanterns"]).unwrap());
    let positions: Vec<ChunkPos> = (-2..4).map(|y| ChunkPos::new(3, y, -2).unwrap()).collect();
    let registry = Registry::built_in();
    let placed = ["sea_lantern", "glowstone", "calcite", "stone_bricks", "mossy_cobblestone", "gravel", "oak_fence"];
    let mut differ = 0;
    for (before, after) in plain.chunks(&positions).unwrap().iter().zip(&with.chunks(&positions).unwrap()) {
        for (before, after) in blocks(before).into_iter().zip(blocks(after)) {
            let name = registry.iter().find(|(id, ..)| id.0 == after).unwrap().1;
            assert!(before == after || placed.contains(&name), "{name}");
            differ += usize::from(before != after);
        }
    }
    assert!(differ > 10, "the plug-ins place nothing");
    let alone = with.chunk(positions[2]).unwrap();
    assert!(blocks(&alone) == blocks(&with.chunks(&positions).unwrap()[2]));
    let unknown = terrain(&[]).and_then(|_| {
        let stages = vec![StageSetting { stage: "crystals".to_owned(), settings: toml::Table::new() }];
        let setting =
            GeneratorSetting { name: "terrain".to_owned(), version: 1, stages, ..GeneratorSetting::default() };
        Generator::new(&setting, 1, &registry, &[], &Plugins::new())
    });
    assert!(matches!(unknown, Err(GeneratorError::UnknownStage { .. })), "a plug-in that is not pinned is not there");
}
