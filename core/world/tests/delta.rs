//! Chunks and deltas come back from their bytes as they were; any other bytes are an error.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use std::sync::Arc;
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Form, Version, new_blocks};
use terrane_world::delta::changes::{Change, Changes, NewRun, TickDeltas};
use terrane_world::delta::codec::{Entries, Rows, find};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{
    Class, CodecError, pack_changes, pack_chunk, pack_deltas, unpack_changes, unpack_chunk, unpack_deltas,
};
use terrane_world::generate::Generator;
use terrane_world::generate::noise::hash;
use terrane_world::generate::simd::Level;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::physics::state::BodyId;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Run, SparseChange};
use xxhash_rust::xxh3::xxh3_64;

const CLASSES: [Class; 2] = [Class::Fast, Class::Small];

fn local(index: usize) -> LocalIndex {
    LocalIndex::new(index as u16).unwrap()
}

/// Layers with some noise in them, of so many blocks.
fn layered(blocks: u16, noise: u32, seed: u32) -> Chunk {
    let mut voxels = new_blocks();
    for (n, voxel) in voxels.iter_mut().enumerate() {
        let random = hash(n as i32, 0, 0, seed);
        let layer = (n / 1024 + hash(n as i32 % 1024 / 64, 1, 0, seed) as usize % 3) as u16 / 4;
        let block = if random % 1000 < noise { (random >> 10) as u16 } else { layer };
        *voxel = BlockId(block % blocks * 7);
    }
    Chunk::from_blocks(&voxels)
}

fn comes_back(chunk: &Chunk, outer: &mut Outer) -> [Vec<u8>; 2] {
    CLASSES.map(|class| {
        let mut bytes = vec![1, 2, 3];
        pack_chunk(chunk, class, outer, &mut bytes);
        assert_eq!(&bytes[..3], [1, 2, 3], "what was there stays");
        assert!(unpack_chunk(&bytes[3..], outer).as_ref() == Ok(chunk), "{:?}, {class:?}", chunk.form());
        bytes.split_off(3)
    })
}

#[test]
fn chunks_of_every_form_come_back() {
    let mut outer = Outer::new();
    let mut seen = Vec::new();
    for blocks in [1, 2, 15, 16, 17, 200, 256, 257, 4_000] {
        for noise in [0, 1, 30, 1_000] {
            let mut chunk = layered(blocks, noise, u32::from(blocks));
            comes_back(&chunk, &mut outer);
            seen.push(chunk.form());
            chunk.set_sparse(local(77), Some(Arc::from(&b"a chest"[..]))).unwrap();
            chunk.set_sparse(local(0), Some(Arc::from(&b""[..]))).unwrap();
            comes_back(&chunk, &mut outer);
        }
    }
    for form in [Form::Uniform, Form::U4, Form::U8, Form::U16] {
        assert!(seen.contains(&form), "{form:?}");
    }
}

#[test]
fn a_chunk_that_edits_have_widened_keeps_its_form_and_its_table() {
    let mut outer = Outer::new();
    let mut chunk = Chunk::uniform(BlockId(9));
    for n in 0..17 {
        chunk.set(local(n), BlockId(100 + n as u16));
        comes_back(&chunk, &mut outer);
    }
    for n in 0..17 {
        chunk.set(local(n), BlockId(9));
    }
    assert_eq!((chunk.form(), chunk.table().len()), (Form::U8, 18));
    comes_back(&chunk, &mut outer);
}

#[test]
fn noise_is_never_much_larger_than_what_is_stored() {
    let mut outer = Outer::new();
    for blocks in [16, 256, 4_000] {
        let chunk = layered(blocks, 1_000, 3);
        let stored = chunk.form().data_bytes() + 2 * chunk.table().len();
        for bytes in comes_back(&chunk, &mut outer) {
            assert!(bytes.len() <= stored + 3, "{blocks} blocks: {} of {stored}", bytes.len());
        }
    }
}

#[test]
fn every_level_finds_the_same_and_generated_terrain_becomes_small() {
    let generator = Generator::plain("terrain", 1, 5, &Registry::built_in()).unwrap();
    let places: Vec<ChunkPos> = VoxelBox::new([0, 0, 0], [96, 128, 96]).unwrap().chunks().collect();
    let chunks = generator.chunks(&places).unwrap();
    let mut outer = Outer::new();
    let (mut fast, mut small, mut count) = (0, 0, 0);
    for chunk in chunks.iter().filter(|chunk| chunk.form() != Form::Uniform) {
        let [a, b] = comes_back(chunk, &mut outer);
        (fast, small, count) = (fast + a.len(), small + b.len(), count + 1);
        let mut entries: Box<Entries> = vec![0; CHUNK_VOXELS].try_into().unwrap();
        for (n, entry) in entries.iter_mut().enumerate() {
            *entry = chunk.table().iter().position(|block| *block == chunk.get(local(n))).unwrap() as u8;
        }
        let found: Vec<_> = Level::available()
            .into_iter()
            .map(|level| {
                let mut rows = Box::new(Rows::EMPTY);
                find(&entries, level, &mut rows);
                let masks = rows.masks[..rows.mask_count].to_vec();
                let flags = rows.flags[..rows.flag_count.div_ceil(32)].to_vec();
                (rows.changed, masks, flags, rows.values[..=rows.value_count].to_vec())
            })
            .collect();
        assert!(found.windows(2).all(|two| two[0] == two[1]));
    }
    assert!(count > 20 && fast / count < 4_000 && small < fast, "{count} chunks, {fast} and {small} bytes");
}

/// Version 1 of the layouts. Whoever changes these numbers gives the layout another number too: there are files of it.
#[test]
fn the_bytes_are_those_of_version_1() {
    let mut outer = Outer::new();
    let chunks = [layered(1, 0, 1), layered(9, 20, 1), layered(99, 20, 1), layered(16, 1_000, 1), layered(999, 900, 1)];
    let mut all = Vec::new();
    for chunk in &chunks {
        pack_chunk(chunk, Class::Fast, &mut outer, &mut all);
    }
    let deltas = some_deltas(40, 7);
    pack_changes(12, &deltas, Class::Fast, &mut outer, &mut all);
    pack_deltas(12, &deltas, Class::Fast, &mut outer, &mut all);
    assert_eq!((all.len(), xxh3_64(&all)), (173_813, 2_587_899_471_722_267_663));
}

/// Deltas as a tick makes them: clusters of voxels that became air or gravel, some with bodies and sparse data.
fn some_deltas(count: usize, seed: u32) -> Vec<ChunkDelta> {
    let random = |n: usize, what: i32| hash(n as i32, what, 0, seed);
    let one = |n: usize| {
        let pos =
            ChunkPos::new((random(n / 2, 1) % 9) as i32 - 4, (random(n / 2, 2) % 3) as i32, n as i32 / 8).unwrap();
        let mut runs: Vec<Run> = Vec::new();
        let mut at = random(n, 3) as usize % 20_000;
        for k in 0..random(n, 4) as usize % 40 {
            let pick = random(64 * n + k, 5);
            let length = (1 + pick as usize % if pick.is_multiple_of(16) { 3_000 } else { 5 }).min(CHUNK_VOXELS - at);
            let (old, new) = (BlockId(1 + pick as u16 % 3), BlockId(if pick.is_multiple_of(7) { 700 } else { 0 }));
            if length == 0 {
                break;
            }
            runs.push(Run { first: local(at), length: length as u16, old, new });
            at += length + 1 + random(64 * n + k, 6) as usize % 900;
            if at >= CHUNK_VOXELS {
                break;
            }
        }
        let sparse = (0..random(n, 7) as usize % 3)
            .map(|k| SparseChange {
                local: local(100 * k + n % 50),
                old: (k == 0).then(|| Arc::from(vec![n as u8; k + n % 9])),
                new: (k == 1).then(|| Arc::from(vec![k as u8; n % 5])),
            })
            .collect();
        let from = Version { epoch: random(n, 8) % 3, count: random(n, 9) % 1_000 };
        ChunkDelta {
            pos,
            from,
            to: if n.is_multiple_of(11) {
                Version { epoch: 9, count: 0 }
            } else {
                Version { count: from.count + 1, ..from }
            },
            cause: Cause {
                kind: CauseKind::from_number(1 + (random(n, 10) % 6) as u8).unwrap(),
                actor: ActorId(if n.is_multiple_of(5) { u64::MAX - n as u64 } else { 3 }),
                root: u64::from(random(n, 11)),
            },
            body: n
                .is_multiple_of(4)
                .then(|| BodyId { tick: n as u64, origin: VoxelPos::new(-5, n as i32, 70_000).unwrap() }),
            runs,
            sparse,
        }
    };
    (0..count).map(one).collect()
}

/// What a client has to get of deltas, worked out the plain way: runs that touch and became one block are one.
fn as_clients_see(tick: u64, deltas: &[ChunkDelta]) -> Changes {
    let one = |delta: &ChunkDelta| {
        let mut runs: Vec<NewRun> = Vec::new();
        for run in &delta.runs {
            match runs.last_mut().filter(|last| {
                last.block == run.new && last.first.index() + usize::from(last.length) == run.first.index()
            }) {
                Some(last) => last.length += run.length,
                None => runs.push(NewRun { first: run.first, length: run.length, block: run.new }),
            }
        }
        Change { pos: delta.pos, from: delta.from, to: delta.to, runs }
    };
    Changes { tick, chunks: deltas.iter().map(one).collect() }
}

#[test]
fn deltas_come_back() {
    let mut outer = Outer::new();
    for count in [0, 1, 2, 7, 200] {
        let deltas = some_deltas(count, count as u32);
        for class in CLASSES {
            let mut bytes = Vec::new();
            pack_changes(5, &deltas, class, &mut outer, &mut bytes);
            assert_eq!(unpack_changes(&bytes, &mut outer), Ok(as_clients_see(5, &deltas)), "{count}, {class:?}");
            let mut whole = Vec::new();
            pack_deltas(u64::MAX, &deltas, class, &mut outer, &mut whole);
            let expected = TickDeltas { tick: u64::MAX, chunks: deltas.clone() };
            assert_eq!(unpack_deltas(&whole, &mut outer), Ok(expected), "{count}, {class:?}");
            assert!(count == 0 || unpack_changes(&whole, &mut outer).is_err(), "one is not the other");
        }
    }
}

#[test]
fn a_chunk_filled_in_one_go_takes_few_bytes() {
    let all = Run { first: local(0), length: CHUNK_VOXELS as u16, old: BlockId(0), new: BlockId(3) };
    let mut delta = some_deltas(1, 1).remove(0);
    delta.runs = vec![all];
    let (mut outer, mut bytes) = (Outer::new(), Vec::new());
    pack_changes(1, std::slice::from_ref(&delta), Class::Small, &mut outer, &mut bytes);
    assert!(bytes.len() < 100, "{} bytes", bytes.len());
    assert_eq!(unpack_changes(&bytes, &mut outer).unwrap().chunks[0].runs.len(), 1);
}

#[test]
fn what_is_too_large_or_of_another_version_is_refused() {
    let mut outer = Outer::new();
    assert!(matches!(unpack_chunk(&[], &mut outer), Err(CodecError::Short { .. })));
    assert!(matches!(unpack_chunk(&[0x55, 1], &mut outer), Err(CodecError::Layout { found: 0x55, .. })));
    assert!(matches!(unpack_chunk(&[0x10, 77], &mut outer), Err(CodecError::Layout { found: 77, .. })));
    // Says that it holds 2⁶² bytes; and that a few bytes hold as much as is allowed.
    let bomb = [&[0x11][..], &[0x80; 8], &[0x40]].concat();
    assert!(matches!(unpack_chunk(&bomb, &mut outer), Err(CodecError::TooLarge { .. })));
    let bomb = [0x11, 0x80, 0x80, 0x80, 0x20, 1, 2, 3];
    assert!(matches!(unpack_chunk(&bomb, &mut outer), Err(CodecError::Zstd(_))), "64 MiB from three bytes");
    let mut bytes = Vec::new();
    pack_chunk(&layered(9, 20, 1), Class::Fast, &mut outer, &mut bytes);
    bytes.push(0);
    assert!(unpack_chunk(&bytes, &mut outer).is_err(), "with a byte behind it");
    for end in 0..bytes.len() - 1 {
        assert!(unpack_chunk(&bytes[..end], &mut outer).is_err(), "cut at {end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunk_comes_back(blocks in 1u16..400, noise in 0u32..1_000, seed: u32, edits in 0usize..40) {
        let mut chunk = layered(blocks, noise, seed);
        for n in 0..edits {
            let random = hash(n as i32, 9, 9, seed);
            chunk.set(local(random as usize % CHUNK_VOXELS), BlockId((random >> 16) as u16));
        }
        comes_back(&chunk, &mut Outer::new());
    }

    #[test]
    fn any_deltas_come_back(count in 0usize..60, seed: u32) {
        let deltas = some_deltas(count, seed);
        let (mut outer, mut bytes) = (Outer::new(), Vec::new());
        pack_deltas(9, &deltas, Class::Fast, &mut outer, &mut bytes);
        prop_assert_eq!(unpack_deltas(&bytes, &mut outer), Ok(TickDeltas { tick: 9, chunks: deltas }));
    }

    /// What decoders accept, they would have written otherwise only where a voxel is told that was expected anyway.
    #[test]
    fn changed_bytes_are_an_error_or_a_value(seed: u32, at: prop::sample::Index, to: u8, blocks in 2u16..300) {
        let mut outer = Outer::new();
        let mut bytes = Vec::new();
        pack_chunk(&layered(blocks, 20, seed), Class::Fast, &mut outer, &mut bytes);
        *at.get_mut(&mut bytes) = to;
        if let Ok(chunk) = unpack_chunk(&bytes, &mut outer) {
            comes_back(&chunk, &mut outer);
        }
        let mut bytes = Vec::new();
        pack_deltas(9, &some_deltas(12, seed), Class::Fast, &mut outer, &mut bytes);
        *at.get_mut(&mut bytes) = to;
        if let Ok(deltas) = unpack_deltas(&bytes, &mut outer) {
            let mut again = Vec::new();
            pack_deltas(deltas.tick, &deltas.chunks, Class::Fast, &mut outer, &mut again);
            prop_assert_eq!(unpack_deltas(&again, &mut outer), Ok(deltas));
        }
    }
}
