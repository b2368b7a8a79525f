//! Real worlds: nothing is missing, they come back the same, and an independent reader counts the same blocks.

use crate::support::{World, counts_by_name, import, python, real_files};
use std::collections::BTreeMap;
use terrane_formats::anvil::{RegionXZ, write_regions};
use terrane_formats::volume::ImportedFile;
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox};

fn real() -> Vec<(String, std::path::PathBuf, ImportedFile)> {
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let file = import(&std::fs::read(&path).unwrap(), RegionXZ::from_file_name(&name), [0; 3]);
        (name, path, file)
    };
    real_files().into_iter().map(read).collect()
}

fn export(world: &World, within: VoxelBox) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut put = |name: &str, bytes: &[u8]| {
        assert!(files.insert(name.to_owned(), bytes.to_vec()).is_none(), "{name} is written twice");
        Ok(())
    };
    write_regions(&world.registry, &world.positions(), within, &world.source(), &mut put).unwrap();
    files
}

fn reimport(files: &BTreeMap<String, Vec<u8>>) -> World {
    let external = |x: i64, z: i64| {
        let file = files.get(&format!("c.{x}.{z}.mcc")).cloned();
        file.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
    };
    let mut world = World::new();
    for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".mca")) {
        let region = terrane_formats::anvil::Region::open(bytes, RegionXZ::from_file_name(name)).unwrap();
        let file = region.decode([0; 3], &external, &|_| ()).unwrap();
        assert_eq!(file.problems, []);
        world.take(&file);
    }
    world
}

#[test]
fn real_worlds_are_imported_without_problems() {
    for (name, _, file) in real() {
        assert_eq!(file.problems, [], "{name}");
        assert_eq!(file.counts.columns_skipped, 0, "{name}");
        match name.as_str() {
            "forest-1.16.mca" => assert_eq!((file.counts.columns, file.counts.block_entities), (253, 8)),
            "overworld-1.21.1.mca" => {
                assert_eq!((file.counts.columns, file.counts.columns_without_blocks), (225, 189));
            }
            _ => assert!(file.counts.columns > 0, "{name}"),
        }
    }
}

#[test]
fn import_then_export_then_import_gives_the_same_digest() {
    for (name, _, file) in real() {
        let mut world = World::new();
        world.take(&file);
        let files = export(&world, world.bounds());
        let again = reimport(&files);
        assert_eq!(again.positions(), world.positions(), "{name}");
        assert_eq!(again.digest(), world.digest(), "{name}");
        let bytes = files.values().next().unwrap();
        assert_eq!(bytes.len() % 4096, 0);
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let Some(path) = real_files().into_iter().next_back() else { return };
    let bytes = std::fs::read(path).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut world = World::new();
            world.take(&import(&bytes, None, [9, 8, 7]));
            (world.digest(), export(&world, world.bounds()))
        })
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.0, three.0);
    assert!(one.1 == three.1, "the exported bytes differ");
}

#[test]
fn an_independent_reader_counts_the_same_blocks() {
    for (name, path, file) in real() {
        let Some(theirs) = python("count_blocks.py", &[&path]) else { return };
        let theirs: BTreeMap<String, u64> = serde_json::from_value(theirs).unwrap();
        assert_eq!(counts_by_name(&file), theirs, "{name}");
    }
}

#[test]
fn a_large_column_and_foreign_sparse_data_survive_the_export() {
    let mut world = World::new();
    let pos = ChunkPos::new(-33, -64, 40).unwrap();
    let mut chunk = Chunk::uniform(world.registry.id("stone").unwrap());
    let mut numbers = crate::support::Numbers(5);
    for local in [0, 31, 32_767] {
        let noise: Vec<u8> = (0..(1 << 20)).map(|_| numbers.next() as u8).collect();
        chunk.set_sparse(LocalIndex::new(local).unwrap(), Some(noise.into())).unwrap();
    }
    for (local, data) in
        [(5, &b""[..]), (6, b"plain text"), (7, &[10, 0, 0, 0]), (8, b"\x0a\0\0\x03\0\x01x\0\0\0\x01\0")]
    {
        chunk.set_sparse(LocalIndex::new(local).unwrap(), Some(data.into())).unwrap();
    }
    world.chunks.insert(pos, chunk.into());
    let top = ChunkPos::new(-33, 63, 40).unwrap();
    world.chunks.insert(top, Chunk::uniform(world.registry.id("dirt").unwrap()).into());
    let files = export(&world, world.bounds());
    assert_eq!(files.keys().filter(|name| name.ends_with(".mcc")).count(), 3, "{:?}", files.keys());
    let again = reimport(&files);
    assert_eq!(again.digest(), world.digest());
}

#[test]
fn an_export_covers_the_chunks_of_its_box_and_has_air_outside() {
    let mut world = World::new();
    let stone = world.registry.id("stone").unwrap();
    for pos in VoxelBox::new([-64, 0, -64], [64, 32, 64]).unwrap().chunks() {
        world.chunks.insert(pos, Chunk::uniform(stone).into());
    }
    let within = VoxelBox::new([-5, 3, -5], [6, 4, 1]).unwrap();
    let again = reimport(&export(&world, within));
    assert_eq!(again.chunks.len(), 4);
    let stone = again.registry.id("stone").unwrap();
    let left: usize = again
        .chunks
        .values()
        .map(|c| (0..32_768).filter(|n| c.get(LocalIndex::new(*n).unwrap()) == stone).count())
        .sum();
    assert_eq!(left, 11 * 6);
}
