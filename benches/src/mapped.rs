//! A plain mapped file, chunk `k` at byte 65,536·k, uniform chunks too: not a store, but what reading could cost.

use crate::content::{Content, Piece, Place};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use terrane_world::limits::CHUNK_VOXELS;

/// As it stands in the table.
pub const NAME: &str = "mapped file";

/// The crate's version.
pub fn version() -> String {
    format!("memmap2 {}", crate::record::locked_version("memmap2"))
}

/// The map.
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Writes a file of `count` chunks and maps it.
    #[allow(unsafe_code)]
    pub fn create(path: &Path, content: &Content, count: usize) -> Self {
        let mut out = BufWriter::new(File::create(path).expect("the folder is ours"));
        let mut buffer = Box::new([0u16; CHUNK_VOXELS]);
        for k in 0..count {
            let voxels = match content.piece(k, &mut buffer) {
                Piece::Uniform(block) => &[block; CHUNK_VOXELS],
                Piece::Dense(voxels) => voxels,
            };
            out.write_all(bytemuck::cast_slice(&voxels[..])).expect("the disk works");
        }
        out.into_inner().expect("the disk works").sync_data().expect("the disk works");
        let file = File::open(path).expect("just written");
        // SAFETY: nobody changes the file, which is ours, while it is mapped.
        Self(unsafe { memmap2::Mmap::map(&file) }.expect("a map"))
    }

    /// Adds up the blocks at some places.
    pub fn read(&self, places: &[Place]) -> u64 {
        let block = |place: &Place| {
            let at = (place.chunk as usize * CHUNK_VOXELS + usize::from(place.local)) * 2;
            u16::from_le_bytes([self.0[at], self.0[at + 1]])
        };
        places.iter().map(block).map(u64::from).sum()
    }
}
