//! What brings a client up to date about one chunk: nothing, what changed since the version that it holds, or all of it.

use crate::message::encode_delta;
use std::collections::HashMap;
use std::sync::Arc;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{Class, pack_chunk};
use terrane_world::space::ChunkPos;
use terrane_world::step::ChunkDelta;

/// A chunk's voxels as they travel, made once and shared by every stream that sends them.
#[derive(Debug, Clone)]
pub struct PackedChunk {
    /// The version shown.
    pub version: Version,
    /// See docs/codec.md.
    pub bytes: Arc<[u8]>,
}

impl PackedChunk {
    /// Packs the voxels of a chunk; sparse data doesn't travel.
    pub fn new(chunk: &Chunk, version: Version, outer: &mut Outer) -> Self {
        let mut bytes = Vec::new();
        match chunk.sparse().is_empty() {
            true => pack_chunk(chunk, Class::Small, outer, &mut bytes),
            false => pack_chunk(&chunk.without_sparse(), Class::Small, outer, &mut bytes),
        }
        Self { version, bytes: bytes.into() }
    }
}

/// What brings a client up to date about one chunk.
#[derive(Debug, Clone)]
pub enum ChunkUpdate {
    /// It holds what there is.
    Same,
    /// What changed since, each voxel once.
    Changes(Arc<ChunkDelta>),
    /// All of it.
    Snapshot(PackedChunk),
    /// The chunk is not at hand: the next one gets its turn.
    Later,
}

/// Where streams get their chunks from, as they are durable.
pub trait ChunkSource {
    /// What brings a client up to date that holds a chunk at a version, (0, 0) if it does not hold it: whichever is smaller.
    fn update(&mut self, pos: ChunkPos, held: Version) -> ChunkUpdate;
    /// The Delta frame of changes that [`ChunkSource::update`] has given.
    fn delta_frame(&mut self, deltas: &[Arc<ChunkDelta>]) -> Arc<[u8]>;
}

/// What names a frame: chunks, and from which version to which.
type FrameName = Vec<(ChunkPos, Version, Version)>;

/// Makes Delta frames, and remembers those of the tick: clients that keep up and look at the same are sent the same bytes.
#[derive(Debug, Default)]
pub struct DeltaPacker {
    outer: Outer,
    tick: u64,
    made: HashMap<FrameName, Arc<[u8]>>,
}

impl DeltaPacker {
    /// The frame of changes that lead up to a tick.
    pub fn frame(&mut self, tick: u64, deltas: &[Arc<ChunkDelta>]) -> Arc<[u8]> {
        if tick != self.tick {
            (self.tick, self.made) = (tick, HashMap::new());
        }
        let Self { outer, made, .. } = self;
        let name: FrameName = deltas.iter().map(|delta| (delta.pos, delta.from, delta.to)).collect();
        let make = || {
            let mut frame = Vec::new();
            encode_delta(tick, deltas, outer, &mut frame);
            frame.into()
        };
        Arc::clone(made.entry(name).or_insert_with(make))
    }

    /// A chunk packed with what is at hand here.
    pub fn chunk(&mut self, chunk: &Chunk, version: Version) -> PackedChunk {
        PackedChunk::new(chunk, version, &mut self.outer)
    }
}
