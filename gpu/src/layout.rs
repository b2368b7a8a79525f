//! Rows of the tables that Rust writes and WGSL reads. A test compares them with `shaders/shared/stage.wgsl`,
//! `shaders/relax.wgsl` and `shaders/label.wgsl`.

use crate::prelude::{AROUND, NONE};
use bytemuck::{Pod, Zeroable};
use terrane_world::generate::stage::MAP_MARGIN;
use terrane_world::relax::Class;
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

/// What stands before the classes of relaxation's rules.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct RulesHead {
    /// The first distance that counts as none.
    pub limit: u32,
    /// 0: two distances to a word. 1: one to a word.
    pub wide: u32,
    /// All exits that any class has.
    pub exits: u32,
    /// Colours of tiles: 2, or 8 where exits lead over edges and corners.
    pub colours: u32,
    /// Slots that are solved.
    pub own: u32,
    /// Slots in all, those of other pages' chunks included.
    pub slots: u32,
}

/// A class of relaxation.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassRow {
    /// The distance it has by itself, or `NONE`.
    pub source: u32,
    /// It never comes nearer than this.
    pub floor: u32,
    /// The exits it takes values through.
    pub exits: u32,
    /// Losses by exit, two to a word, the even exit in the low half.
    pub losses: [u32; 13],
}

impl From<&Class> for ClassRow {
    fn from(class: &Class) -> Self {
        let loss = |exit: usize| u32::from(class.losses[exit]);
        let losses = std::array::from_fn(|pair| loss(2 * pair) | loss(2 * pair + 1) << 16);
        Self { source: class.source, floor: class.floor, exits: class.exits, losses }
    }
}

/// A chunk under relaxation. Its row number is its slot.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct RelaxRow {
    /// Slots of the chunks around and of itself, the step along x fastest, then z, then y.
    pub around: [u32; AROUND],
    /// Where its classes begin, in words; or `ONE_CLASS` and the class of all its voxels.
    pub classes: u32,
    /// Where the masks of its exits begin, in words; or `NONE`.
    pub exits: u32,
}

/// What stands before the lists of tiles that wait for relaxation.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct QueueHead {
    /// By colour, how many tiles wait.
    pub waiting: [u32; 8],
    /// The colour whose turn it is.
    pub colour: u32,
    /// How many workgroups are done with it.
    pub finished: u32,
    /// Tiles settled so far.
    pub visits: u32,
}

/// A chunk that is packed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct PackRow {
    /// Where its numbers begin, in words.
    pub cells: u32,
    /// Bits of a number: 4 or 8.
    pub bits: u32,
}

/// A chunk that is labelled. Its row number is its slot.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct LabelRow {
    /// Slots of the chunks towards −y, −z and −x.
    pub beside: [u32; 3],
    /// The id of its first voxel.
    pub base: u32,
    /// How far ids are apart from one y to the next.
    pub stride_y: u32,
    /// How far ids are apart from one z to the next.
    pub stride_z: u32,
}
