//! Chunks packed on the device are the bytes of the CPU.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::device;
use common::shapes::large;
use terrane_gpu::Packer;
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Form, new_blocks};
use terrane_world::delta::codec;
use terrane_world::generate::Generator;
use terrane_world::generate::noise::hash;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox};

/// With subgroups, where the device has them, and without.
fn check(name: &str, chunks: &[Chunk]) -> usize {
    let dispatches = [Packer::new(device()).unwrap(), Packer::without_subgroups(device()).unwrap()]
        .map(|packer| check_with(&packer, name, chunks));
    assert_eq!(dispatches[0], dispatches[1]);
    dispatches[0]
}

fn check_with(packer: &Packer, name: &str, chunks: &[Chunk]) -> usize {
    let packed = packer.pack(&chunks.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(packed.len(), chunks.len());
    for (n, (chunk, bytes)) in chunks.iter().zip(&packed).enumerate() {
        let mut expected = Vec::new();
        codec::pack(chunk, &mut expected);
        assert!(
            *bytes == expected,
            "{name}: chunk {n}, {:?}: {} and {} bytes",
            chunk.form(),
            bytes.len(),
            expected.len()
        );
        assert!(codec::unpack(bytes).as_ref() == Ok(chunk), "{name}: chunk {n}");
    }
    packer.dispatches().get("codec").copied().unwrap_or(0) as usize
}

/// Layers with noise of a thousandth in them.
fn layered(blocks: u16, noise: u32, seed: u32) -> Chunk {
    let mut voxels = new_blocks();
    for (n, voxel) in voxels.iter_mut().enumerate() {
        let random = hash(n as i32, 0, 0, seed);
        let block = if random % 1000 < noise { (random >> 10) as u16 } else { (n / 4096) as u16 };
        *voxel = BlockId(block % blocks * 3);
    }
    Chunk::from_blocks(&voxels)
}

#[test]
fn chunks_of_every_form_have_the_bytes_of_the_cpu() {
    let mut chunks = Vec::new();
    for blocks in [1, 2, 16, 17, 256, 300] {
        for noise in [0, 1, 20, 300, 1_000] {
            let mut chunk = layered(blocks, noise, u32::from(blocks) + noise);
            chunks.push(chunk.clone());
            chunk.set_sparse(LocalIndex::new(9).unwrap(), Some([1u8, 2, 3][..].into())).unwrap();
            chunks.push(chunk);
        }
    }
    for form in [Form::Uniform, Form::U4, Form::U8, Form::U16] {
        assert!(chunks.iter().any(|chunk| chunk.form() == form), "{form:?}");
    }
    assert_eq!(check("all", &chunks), 1, "one dispatch for all of them");
    chunks.reverse();
    check("in another order", &chunks);
}

#[test]
fn one_voxel_anywhere_is_found() {
    let at = [0, 1, 31, 32, 1023, 1024, 1055, 16_383, 32_736, 32_767];
    let one = |n: &u16| {
        let mut chunk = Chunk::uniform(BlockId(4));
        chunk.set(LocalIndex::new(*n).unwrap(), BlockId(5));
        chunk
    };
    check("one voxel", &at.iter().map(one).collect::<Vec<_>>());
}

#[test]
fn lists_longer_than_what_is_put_together_at_once_are_whole() {
    // Every voxel differs from the one before it, in few rows or in nearly all.
    let chunk = |(blocks, rows): (u16, usize)| {
        let mut voxels = new_blocks();
        for (n, voxel) in voxels.iter_mut().enumerate() {
            let row = n / 32;
            *voxel = BlockId(if row % 4 < rows { (n * 7 + row * row) as u16 % blocks } else { 0 });
        }
        Chunk::from_blocks(&voxels)
    };
    let chunks: Vec<Chunk> = [(16, 1), (16, 2), (16, 3), (200, 1), (200, 2), (200, 3), (200, 4)].map(chunk).into();
    assert!(chunks.iter().any(|chunk| chunk.form() == Form::U4) && chunks.iter().any(|chunk| chunk.form() == Form::U8));
    check("long lists", &chunks);
}

#[test]
fn generated_terrain_has_the_bytes_of_the_cpu() {
    let edge = if large() { 512 } else { 128 };
    let within = VoxelBox::new([0, -32, 0], [edge, 96, edge]).unwrap();
    let places: Vec<ChunkPos> = within.chunks().collect();
    let chunks = Generator::plain("terrain", 1, 3, &Registry::built_in()).unwrap().chunks(&places).unwrap();
    assert!(check("terrain", &chunks) >= 1);
}

#[test]
fn nothing_and_what_needs_no_device() {
    assert_eq!(check("nothing", &[]), 0);
    assert_eq!(check("one block each", &[Chunk::uniform(BlockId(0)), Chunk::uniform(BlockId(7))]), 0);
}
