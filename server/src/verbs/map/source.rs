//! Where painters have chunks from: what is stored, and what the generator makes where nothing is.

use crate::failure::Failure;
use std::ops::RangeInclusive;
use std::sync::Arc;
use terrane_store::Store;
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, VoxelBox};

/// The chunks of a world.
pub struct Source<'a> {
    pub store: &'a Store,
    pub registry: Arc<Registry>,
    /// What is drawn.
    pub within: VoxelBox,
    /// Whether chunks that are not stored are made.
    pub generate: bool,
}

impl Source<'_> {
    /// y of the chunks that the box touches.
    pub fn heights(&self) -> RangeInclusive<i32> {
        self.within.min()[1] >> 5..=(self.within.max()[1] - 1) >> 5
    }

    /// The chunks over each other at `x`, `z`, y ascending; those that there are.
    pub fn stack(&self, x: i32, z: i32, y: RangeInclusive<i32>) -> Result<Vec<(ChunkPos, Arc<Chunk>)>, Failure> {
        let mut missing = Vec::new();
        let mut stack = Vec::new();
        for pos in y.filter_map(|y| ChunkPos::new(x, y, z).ok()) {
            match self.store.chunk(pos).map_err(|error| Failure::new(error.to_string()))? {
                Some(held) => stack.push((pos, held.chunk)),
                None => missing.push(pos),
            }
        }
        if self.generate && !missing.is_empty() {
            let made = self.store.generator().chunks(&missing).map_err(|error| Failure::new(error.to_string()))?;
            stack.extend(missing.into_iter().zip(made.into_iter().map(Arc::new)));
            stack.sort_unstable_by_key(|(pos, _)| pos.y());
        }
        Ok(stack)
    }
}
