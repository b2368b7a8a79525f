//! Rows of the tables that Rust writes and WGSL reads. A test compares them with `shaders/shared/stage.wgsl`.

use crate::prelude::{AROUND, NONE};
use bytemuck::{Pod, Zeroable};
use terrane_world::generate::stage::MAP_MARGIN;
use terrane_world::space::ChunkPos;

/// A footprint: x and z of the first cell of its maps, in voxels.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct FootprintRow {
    /// x of the first cell.
    pub x: i32,
    /// z of the first cell.
    pub z: i32,
}

impl FootprintRow {
    /// For the chunks at x, z, in chunks.
    pub const fn new([x, z]: [i32; 2]) -> Self {
        Self { x: x * 32 - MAP_MARGIN, z: z * 32 - MAP_MARGIN }
    }
}

/// A chunk. Its row number is its slot: voxels at `slot · CHUNK_WORDS` words.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct ChunkRow {
    /// x of the first voxel.
    pub x: i32,
    /// y of the first voxel.
    pub y: i32,
    /// z of the first voxel.
    pub z: i32,
    /// Number of its footprint.
    pub footprint: u32,
    /// Slots of the chunks around and of itself, the step along x fastest, then z, then y.
    pub around: [u32; AROUND],
    /// Zero.
    pub spare: u32,
}

impl ChunkRow {
    /// A chunk at `pos` in `slot`, with its neighbours at these steps along x, y and z. `slot_of` knows the slot of every
    /// chunk that there is.
    pub fn new(
        pos: ChunkPos,
        footprint: u32,
        slot: u32,
        steps: &[[i32; 3]],
        slot_of: impl Fn(ChunkPos) -> Option<u32>,
    ) -> Self {
        let mut around = [NONE; AROUND];
        around[AROUND / 2] = slot;
        for &[x, y, z] in steps {
            let there = ChunkPos::new(pos.x() + x, pos.y() + y, pos.z() + z).ok();
            around[(x + 1 + 3 * (z + 1) + 9 * (y + 1)) as usize] = there.and_then(&slot_of).unwrap_or(NONE);
        }
        let origin = pos.origin();
        Self { x: origin.x(), y: origin.y(), z: origin.z(), footprint, around, spare: 0 }
    }
}
