//! Overlay frames: made when somebody wants to see them, and kept until something changes near by.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use terrane_protocol::OverlayKind;
use terrane_protocol::overlay::{Values, encode_overlay};
use terrane_world::chunk::Version;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::{ChunkPos, ColumnPos};
use terrane_world::step::{Deltas, World};

/// Frames that were made, shared by all who want them.
#[derive(Default)]
pub struct Overlays {
    frames: HashMap<(ChunkPos, OverlayKind), Arc<[u8]>>,
    bytes: usize,
    /// Chunks with voxels whose change support has not followed yet.
    marked: BTreeMap<ColumnPos, BTreeSet<ChunkPos>>,
}

impl Overlays {
    /// A frame that was made before and still holds.
    pub fn get(&self, pos: ChunkPos, kind: OverlayKind) -> Option<Arc<[u8]>> {
        self.frames.get(&(pos, kind)).cloned()
    }

    /// Keeps a frame. If that makes more than `bytes_max`, the others go: they can be made again.
    pub fn put(&mut self, pos: ChunkPos, kind: OverlayKind, frame: &Arc<[u8]>, bytes_max: usize) {
        if self.bytes + frame.len() > bytes_max {
            self.frames.clear();
            self.bytes = 0;
        }
        self.bytes += frame.len();
        if let Some(before) = self.frames.insert((pos, kind), Arc::clone(frame)) {
            self.bytes -= before.len();
        }
    }

    /// Takes a durable tick in: what is shown of these chunks may be something else now. What a change means to support is
    /// found out in a tick after it, so that the chunk is named a second time then.
    pub fn update(&mut self, deltas: &Deltas) -> BTreeSet<ChunkPos> {
        let mut changed: BTreeSet<ChunkPos> = deltas.chunks.iter().map(|delta| delta.pos).collect();
        for update in &deltas.columns {
            changed.extend(self.marked.remove(&update.column).into_iter().flatten());
            let marked: BTreeSet<ChunkPos> = update.state.marks.keys().map(|pos| pos.chunk()).collect();
            if !marked.is_empty() {
                self.marked.insert(update.column, marked);
            }
        }
        let stale: BTreeSet<ChunkPos> = changed.into_iter().flat_map(around).collect();
        stale.iter().for_each(|pos| self.spoil(*pos));
        stale
    }

    fn spoil(&mut self, pos: ChunkPos) {
        for kind in OverlayKind::ALL {
            if let Some(frame) = self.frames.remove(&(pos, kind)) {
                self.bytes -= frame.len();
            }
        }
    }
}

/// The frame of a chunk as the world stands, and whether it took work to make.
pub fn make(world: &mut World, pos: ChunkPos, kind: OverlayKind) -> (Arc<[u8]>, bool) {
    let (version, values, is_work) = match world.chunk(pos) {
        Ok(held) if is_empty(world, &held.chunk) => (held.version, Some(zeros()), false),
        Ok(held) => (held.version, values(world, pos, kind), true),
        Err(_) => (Version::NONE, None, true),
    };
    let mut frame = Vec::new();
    encode_overlay(pos, kind, version, values.as_deref(), &mut frame);
    (frame.into(), is_work)
}

fn values(world: &mut World, pos: ChunkPos, kind: OverlayKind) -> Option<Box<Values>> {
    match kind {
        OverlayKind::Support => world.support(pos),
    }
}

/// Whether a chunk is one block throughout in which nothing can stand: most of the sky.
fn is_empty(world: &World, chunk: &terrane_world::chunk::Chunk) -> bool {
    let [block] = chunk.table() else { return false };
    !world.registry().rule(*block).is_some_and(|rule| rule.solid)
}

fn zeros() -> Box<Values> {
    vec![0; CHUNK_VOXELS].into_boxed_slice().try_into().expect("it has that length")
}

/// A chunk and those beside it, as far as the world has them.
pub fn around(pos: ChunkPos) -> impl Iterator<Item = ChunkPos> {
    let [x, y, z] = pos.to_array();
    (0..27).filter_map(move |place| ChunkPos::new(x + place % 3 - 1, y + place / 9 - 1, z + place / 3 % 3 - 1).ok())
}
