//! The twins on a real world: a forest of Minecraft 1.16, from `data/` of the shared files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::device;
use common::shapes::{boxed, large};
use common::twins::{Bits, check_labels, check_relaxation};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use terrane_formats::anvil::{Region, RegionXZ};
use terrane_gpu::{Given, Relaxer};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::relax::{Class, Classes, Rules};
use terrane_world::space::ChunkPos;
use terrane_world::{light, physics};

const NAME: &str = "forest-1.16.mca";

/// The region file; none if it is not there, and not asked for.
fn file() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = std::env::var_os("TERRANE_SHARED").map_or_else(|| workspace.join("../shared"), PathBuf::from);
    let file = shared.join("data").join(NAME);
    let required = std::env::var("TERRANE_REQUIRE_SHARED").is_ok_and(|word| word == "1");
    assert!(file.is_file() || !required, "TERRANE_REQUIRE_SHARED is set, but {} is no file", file.display());
    file.is_file().then_some(file)
}

/// The forest, of which some columns of chunks near its middle are enough, unless the long tests are wanted.
fn forest() -> Option<(Registry, BTreeMap<ChunkPos, Chunk>)> {
    let Some(file) = file() else {
        eprintln!("{NAME} is not here (TERRANE_SHARED): skipped");
        return None;
    };
    let bytes = std::fs::read(file).unwrap();
    let absent = |_, _| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    let region = Region::open(&bytes, RegionXZ::from_file_name(NAME)).unwrap();
    let imported = region.decode([0; 3], &absent, &|_| ()).unwrap();
    let mut registry = Registry::built_in();
    let (ids, _) = imported.register(&mut registry).unwrap();
    let middle = |part: fn(&ChunkPos) -> i32| {
        let mut parts: Vec<i32> = imported.chunks.iter().map(|chunk| part(&chunk.pos)).collect();
        parts.sort_unstable();
        parts[parts.len() / 2]
    };
    let (x, z) = (middle(|pos| pos.x()), middle(|pos| pos.z()));
    let wanted = |pos: ChunkPos| large() || (pos.x().abs_diff(x) <= 1 && pos.z().abs_diff(z) <= 1);
    let chunks = imported.chunks.iter().filter(|chunk| wanted(chunk.pos));
    let chunks: BTreeMap<_, _> = chunks.map(|chunk| (chunk.pos, chunk.onto(&ids, None).unwrap())).collect();
    assert!(chunks.len() > 20, "{} chunks", chunks.len());
    Some((registry, chunks))
}

#[test]
fn support_and_both_lights_of_the_forest() {
    let Some((registry, chunks)) = forest() else { return };
    let relaxer = Relaxer::new(device()).unwrap();
    let tables = [
        ("support of the forest", physics::support::table(&registry).unwrap()),
        ("sky light of the forest", light::sky_table(&registry).unwrap()),
        ("light of its blocks", light::block_table(&registry).unwrap()),
    ];
    for (name, table) in tables {
        // The sky is a chunk of light over each column.
        let mut classes = table.rules().classes().to_vec();
        classes.push(Class { source: 0, ..Class::CLOSED });
        let sky = classes.len() as u8 - 1;
        let rules = Rules::new(table.rules().operator(), table.rules().limit(), classes).unwrap();
        let mut given: Vec<Given> = chunks.iter().map(|(pos, chunk)| (*pos, table.classes(chunk), None)).collect();
        if name.starts_with("sky") {
            let tops: BTreeMap<[i32; 2], i32> = chunks.keys().map(|pos| ([pos.x(), pos.z()], pos.y())).collect();
            let above = tops.into_iter().map(|([x, z], y)| ChunkPos::new(x, y + 1, z).unwrap());
            given.extend(above.map(|pos| (pos, Classes::One(sky), None)));
        }
        let (reached, _) = check_relaxation(&relaxer, name, &rules, &given);
        assert!(reached > 1000, "{name}: {reached}");
    }
    assert!(relaxer.dispatches()["relax"] > 0);
}

#[test]
fn what_is_solid_in_the_forest_has_its_components() {
    let Some((registry, chunks)) = forest() else { return };
    let is_solid = |block: BlockId| registry.rule(block).is_some_and(|rule| rule.solid);
    let rows = |chunk: &Chunk| {
        let mut blocks = new_blocks();
        chunk.copy_to(&mut blocks);
        let row = |row: &[BlockId]| row.iter().zip(0..).map(|(block, x)| u32::from(is_solid(*block)) << x).sum();
        boxed(blocks.chunks_exact(32).map(row).collect())
    };
    let bits: Bits = chunks.iter().map(|(pos, chunk)| (*pos, rows(chunk))).collect();
    let count = check_labels("the forest", &bits);
    assert!(count > 1, "something hangs on nothing: {count}");
}
