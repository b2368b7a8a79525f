//! A small world of blocks: solid stone where nothing was put, and some chunks of it loaded.

use std::sync::Arc;
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::Chunk;
use terrane_world::path::navigation::Blocks;
use terrane_world::space::{ChunkPos, PlaceMap, PlaceSet, VoxelBox, VoxelPos};

pub fn pos(x: i32, y: i32, z: i32) -> VoxelPos {
    VoxelPos::new(x, y, z).unwrap()
}

/// The eight chunks around the origin.
pub static LOADED: std::sync::LazyLock<VoxelBox> =
    std::sync::LazyLock::new(|| VoxelBox::new([-32, -32, -32], [32, 32, 32]).unwrap());

#[derive(Clone)]
pub struct Scene {
    pub registry: Arc<Registry>,
    chunks: PlaceMap<ChunkPos, Arc<Chunk>>,
    loaded: PlaceSet<ChunkPos>,
    stone: BlockId,
}

impl Scene {
    /// Boxes of blocks, from, to (not included) and what, one put over the other.
    pub fn new(parts: &[([i32; 3], [i32; 3], &str)]) -> Self {
        let registry = Arc::new(Registry::built_in());
        let stone = registry.id("stone").unwrap();
        let mut scene = Self { registry, chunks: PlaceMap::default(), loaded: PlaceSet::default(), stone };
        scene.load(*LOADED);
        for (from, to, block) in parts {
            for y in from[1]..to[1] {
                for z in from[2]..to[2] {
                    (from[0]..to[0]).for_each(|x| scene.set(pos(x, y, z), block));
                }
            }
        }
        scene
    }

    pub fn load(&mut self, within: VoxelBox) {
        self.loaded.extend(within.chunks());
    }

    pub fn set(&mut self, at: VoxelPos, block: &str) {
        let id = self.registry.id(block).unwrap();
        let chunk = self.chunks.entry(at.chunk()).or_insert_with(|| Arc::new(Chunk::uniform(self.stone)));
        Arc::make_mut(chunk).set(at.local(), id);
    }

    pub fn block(&self, at: VoxelPos) -> Option<BlockId> {
        let block = || self.chunks.get(&at.chunk()).map_or(self.stone, |chunk| chunk.get(at.local()));
        self.loaded.contains(&at.chunk()).then(block)
    }
}

impl Blocks for Scene {
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>> {
        let chunk =
            |pos: &ChunkPos| self.chunks.get(pos).cloned().unwrap_or_else(|| Arc::new(Chunk::uniform(self.stone)));
        wanted.iter().map(|pos| self.loaded.contains(pos).then(|| chunk(pos))).collect()
    }
}
