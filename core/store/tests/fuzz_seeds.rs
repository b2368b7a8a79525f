//! What fuzzing starts from: region files and journals that the store itself has written. `TERRANE_FUZZ_SEEDS` names the
//! folder they go to (scripts/fuzz.sh sets it); without it the test only makes them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{create, edit, patterned, pool, workload, world};
use std::path::PathBuf;
use std::sync::Arc;
use terrane_store::door::{Dir, Open};
use terrane_store::double::MemoryDir;
use terrane_store::journal::{self, FRAME_HEAD, SEGMENT_HEAD};
use terrane_store::{Access, Load, Store, packed, region};
use terrane_world::block::BlockId;
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, RegionPos};

fn write(folder: &str, name: &str, bytes: &[u8]) {
    if let Some(seeds) = std::env::var_os("TERRANE_FUZZ_SEEDS") {
        std::fs::write(PathBuf::from(seeds).join(folder).join(name), bytes).unwrap();
    }
}

fn read(dir: &dyn Dir, path: &str) -> Vec<u8> {
    let file = dir.open(path, Open::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// The segment as the target's mode 1 reads it: each frame as two bytes of length, one that says "in order", its payload.
fn payloads(segment: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (vec![1], &segment[SEGMENT_HEAD as usize..]);
    while let Some(frame) = journal::parse_frame(rest) {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.push(0);
        out.extend_from_slice(&rest[FRAME_HEAD..FRAME_HEAD + length]);
        rest = &rest[frame.bytes as usize..];
    }
    out
}

#[test]
fn journals_to_start_from() {
    let pool = pool();
    let only_ticks = MemoryDir::new();
    create(&only_ticks, "void").unwrap();
    let store = Arc::new(Store::open(Arc::new(only_ticks.clone()), Access::Write).unwrap());
    let mut world = world(&store, &pool);
    for tick in 1..5u64 {
        let voxels = [([3, 3, tick as i32], 9, None), ([40, 3, 3], 4, Some(&b"chest"[..tick as usize]))];
        let deltas = world.step(tick, &[edit(tick % 2, tick, &voxels)]).unwrap();
        store.commit(&deltas, tick).unwrap();
        store.sync().unwrap();
    }
    let everything: Arc<dyn Dir> = Arc::new(MemoryDir::new());
    workload(&everything, &pool, &mut common::Model::default()).unwrap();
    for (name, dir) in [("ticks", &only_ticks as &dyn Dir), ("everything", &*everything)] {
        let segment = read(dir, &journal::segment_name(1));
        let sealed = payloads(&segment);
        assert!(sealed.len() > 200, "{name} holds frames");
        let raw = [&[0], &segment[SEGMENT_HEAD as usize..]].concat();
        for (mode, kind) in [(0, "open"), (2, "read"), (4, "repair")] {
            for (bytes, form) in [(&raw, "raw"), (&sealed, "sealed")] {
                let mut bytes = bytes.clone();
                bytes[0] |= mode;
                write("journal_replay", &format!("{name}-{form}-{kind}"), &bytes);
            }
        }
    }
}

#[test]
fn regions_to_start_from() {
    let dir = MemoryDir::new();
    create(&dir, "void").unwrap();
    let store = Store::open(Arc::new(dir.clone()), Access::Write).unwrap();
    let pos = RegionPos::new(-1, 0, 2).unwrap();
    let mut chest = patterned(3, 1);
    chest.set_sparse(terrane_world::space::LocalIndex::new(5).unwrap(), Some(b"chest"[..].into())).unwrap();
    let forms: [(&str, Chunk); 4] =
        [("uniform", Chunk::uniform(BlockId(5))), ("u4", chest), ("u8", patterned(40, 2)), ("u16", patterned(700, 3))];
    for (index, (name, chunk)) in forms.into_iter().enumerate() {
        let at: ChunkPos = pos.chunk(index);
        store.load(vec![(at, chunk)], Load::OnlyNew, 1).unwrap();
        let file = read(&dir, &region::file_name(pos));
        if index == 0 {
            write("region_open", "raw", &[&[0], &file[..]].concat());
        }
        write("region_open", name, &parts(&file, index));
    }
    assert!(store.pack_region(pos).unwrap().is_some());
    for (mode, name) in [(8, "packed-raw"), (9, "packed-sealed")] {
        write("region_open", name, &[&[mode], &read(&dir, &packed::file_name(pos))[..]].concat());
    }
    store.unpack_region(pos).unwrap();
    let mut sealed = read(&dir, &region::file_name(pos));
    let before = sealed.clone();
    region::seal(&mut sealed, pos, b"a world for test");
    assert_eq!(sealed[..4096], before[..4096], "sealing what is whole changes nothing");
    assert!(sealed == before || sealed.len() == before.len());
}

/// As the target's mode 1 reads it: one entry, in both directories, and the bytes of its slot.
fn parts(file: &[u8], index: usize) -> Vec<u8> {
    let mut out = vec![1, 2];
    let (first, second) = (u64_at(file, 4096 + 8), u64_at(file, 2 * 4096 + 8));
    let newer = if second > first { 2 * 4096 } else { 4096 };
    let at = newer + 32 + index * 28;
    let place = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize * 512;
    let length = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
    let mut entry = file[at..at + 28].to_vec();
    // The target lays the slot's bytes down where slots begin.
    entry[..4].copy_from_slice(&(if length == 0 { 0 } else { 3 * 4096 / 512u32 }).to_le_bytes());
    for _ in 0..2 {
        out.push(index as u8);
        out.extend_from_slice(&entry);
    }
    out.extend_from_slice(if length == 0 { &[7, 8] } else { &file[place..place + length] });
    out
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
