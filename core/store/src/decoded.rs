//! Chunks that were unpacked to read single voxels of them, as many as fit.

use crate::error::StoreError;
use crate::packed::PackedFile;
use std::collections::{HashMap, VecDeque};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Form};
use terrane_world::space::{ChunkPos, LocalIndex};

/// Bytes of unpacked chunks that one reader keeps: a thousand chunks of surface.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// The chunks. The oldest goes first.
#[derive(Default)]
pub struct Decoded {
    chunks: HashMap<ChunkPos, Chunk>,
    order: VecDeque<ChunkPos>,
    bytes: usize,
}

impl Decoded {
    /// Forgets all of them: a region has changed.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// One voxel of a packed region; `None` if its chunk is not stored.
    pub fn voxel(
        &mut self,
        file: &PackedFile,
        pos: ChunkPos,
        local: LocalIndex,
    ) -> Result<Option<BlockId>, StoreError> {
        let index = pos.index_in_region();
        let entry = file.entry(index);
        match entry.form {
            None => return Ok(None),
            Some(Form::Uniform) => return Ok(Some(BlockId(entry.table))),
            Some(_) => {}
        }
        if let Some(chunk) = self.chunks.get(&pos) {
            return Ok(Some(chunk.get(local)));
        }
        let Some((chunk, _)) = file.chunk(index)? else { return Ok(None) };
        let block = chunk.get(local);
        self.keep(pos, chunk);
        Ok(Some(block))
    }

    fn keep(&mut self, pos: ChunkPos, chunk: Chunk) {
        self.bytes += chunk.memory_bytes();
        self.order.push_back(pos);
        self.chunks.insert(pos, chunk);
        while self.bytes > KEPT_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.chunks.remove(&oldest).map_or(0, |chunk| chunk.memory_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrane_world::chunk::new_blocks;

    #[test]
    fn what_is_kept_stays_below_the_limit_and_the_newest_is_in_it() {
        let mut blocks = new_blocks();
        blocks.iter_mut().enumerate().for_each(|(n, block)| *block = BlockId(n as u16 % 900));
        let chunk = Chunk::from_blocks(&blocks);
        let (mut decoded, count) = (Decoded::default(), 2 * KEPT_BYTES_MAX / chunk.memory_bytes());
        for x in 0..count {
            let pos = ChunkPos::new(x as i32, 0, 0).expect("inside the world");
            decoded.keep(pos, chunk.clone());
            assert!(decoded.chunks.contains_key(&pos) && decoded.bytes <= KEPT_BYTES_MAX);
            assert_eq!(decoded.bytes, decoded.chunks.values().map(Chunk::memory_bytes).sum::<usize>());
        }
        assert!(decoded.chunks.len() > 100 && decoded.chunks.len() < count, "{}", decoded.chunks.len());
        assert_eq!(decoded.order.len(), decoded.chunks.len());
    }
}
