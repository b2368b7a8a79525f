//! What streams are fed with: the newest changes, chunks packed once for everybody, and the frames of the tick.

use crate::chunk_server::Uncommitted;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use terrane_protocol::news::PackedChunk;
use terrane_protocol::recent::delta_bytes;
use terrane_protocol::{ChunkSource, ChunkUpdate, DeltaPacker, RecentChanges};
use terrane_world::chunk::Version;
use terrane_world::space::ChunkPos;
use terrane_world::step::{ChunkDelta, Held, SourceError, World};

/// Up to here changes are told without looking how large the whole chunk is: few chunks of terrain are smaller.
const SURELY_SMALLER_BYTES: usize = 1_024;

/// Packed chunks as they are durable, the oldest of which make room for others.
#[derive(Debug)]
struct PackedChunks {
    chunks: HashMap<ChunkPos, PackedChunk>,
    order: VecDeque<ChunkPos>,
    bytes: usize,
    bytes_max: usize,
}

impl PackedChunks {
    fn put(&mut self, pos: ChunkPos, chunk: &PackedChunk) {
        self.remove(pos);
        self.bytes += chunk.bytes.len();
        self.chunks.insert(pos, chunk.clone());
        self.order.push_back(pos);
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, pos: ChunkPos) {
        if let Some(old) = self.chunks.remove(&pos) {
            self.bytes -= old.bytes.len();
        }
        // Places of what was removed are passed over; they must not pile up.
        if self.order.len() > 2 * self.chunks.len() + 64 {
            self.order.retain(|pos| self.chunks.contains_key(pos));
        }
    }
}

/// What all streams share.
#[derive(Debug)]
pub(crate) struct Feed {
    recent: RecentChanges,
    packer: DeltaPacker,
    packed: PackedChunks,
}

impl Feed {
    /// Keeps so many bytes of changes, and so many of packed chunks.
    pub(crate) fn new(recent_bytes: usize, packed_bytes: usize) -> Self {
        let (chunks, order) = (HashMap::new(), VecDeque::new());
        let packed = PackedChunks { chunks, order, bytes: 0, bytes_max: packed_bytes };
        Self { recent: RecentChanges::new(recent_bytes), packer: DeltaPacker::default(), packed }
    }

    /// A chunk has durably changed.
    pub(crate) fn push(&mut self, delta: &ChunkDelta) {
        self.recent.push(delta);
        self.packed.remove(delta.pos);
    }

    /// Whether a chunk can be told without being loaded.
    pub(crate) fn has(&self, pos: ChunkPos) -> bool {
        self.packed.chunks.contains_key(&pos)
    }
}

/// A chunk as it was last durable.
fn durable(world: &mut World, uncommitted: &VecDeque<Uncommitted>, pos: ChunkPos) -> Result<Held, SourceError> {
    let before = uncommitted.iter().find_map(|waiting| waiting.before.get(&pos));
    before.map_or_else(|| world.chunk(pos), |held| Ok(held.clone()))
}

/// The feed of one stream for one step.
pub(crate) struct FeedSource<'a> {
    pub(crate) feed: &'a mut Feed,
    pub(crate) world: &'a mut World,
    pub(crate) uncommitted: &'a VecDeque<Uncommitted>,
    pub(crate) tick: u64,
    /// Chunks that have been loaded ahead.
    pub(crate) ready: BTreeSet<ChunkPos>,
    /// Chunks that may still be loaded in this step.
    pub(crate) loads: usize,
    /// Chunks that could not be read.
    pub(crate) unreadable: Vec<(ChunkPos, SourceError)>,
}

impl FeedSource<'_> {
    /// All of a chunk, unless the client holds it as it is, or it can't be had now.
    fn whole(&mut self, pos: ChunkPos, held: Version) -> ChunkUpdate {
        if let Some(packed) = self.feed.packed.chunks.get(&pos) {
            return if packed.version == held { ChunkUpdate::Same } else { ChunkUpdate::Snapshot(packed.clone()) };
        }
        // What is seen for the first time is loaded ahead, many at a time.
        let may_load = self.ready.contains(&pos) || held != Version::NONE;
        if !may_load || self.loads == 0 {
            return ChunkUpdate::Later;
        }
        self.loads -= 1;
        match durable(self.world, self.uncommitted, pos) {
            Ok(chunk) if chunk.version == held => ChunkUpdate::Same,
            Ok(chunk) => {
                let packed = self.feed.packer.chunk(&chunk.chunk, chunk.version);
                self.feed.packed.put(pos, &packed);
                ChunkUpdate::Snapshot(packed)
            }
            Err(error) => {
                self.unreadable.push((pos, error));
                ChunkUpdate::Later
            }
        }
    }
}

impl ChunkSource for FeedSource<'_> {
    fn update(&mut self, pos: ChunkPos, held: Version) -> ChunkUpdate {
        if held != Version::NONE && self.feed.recent.latest(pos) == Some(held) {
            return ChunkUpdate::Same;
        }
        let changes = if held == Version::NONE { None } else { self.feed.recent.since(pos, held) };
        if let Some(delta) = changes.as_ref().filter(|delta| delta_bytes(delta) <= SURELY_SMALLER_BYTES) {
            return ChunkUpdate::Changes(Arc::clone(delta));
        }
        match (self.whole(pos, held), changes) {
            (ChunkUpdate::Snapshot(packed), Some(delta)) if delta_bytes(&delta) < packed.bytes.len() => {
                ChunkUpdate::Changes(delta)
            }
            (ChunkUpdate::Later, Some(delta)) => ChunkUpdate::Changes(delta),
            (update, _) => update,
        }
    }

    fn delta_frame(&mut self, deltas: &[Arc<ChunkDelta>]) -> Arc<[u8]> {
        self.feed.packer.frame(self.tick, deltas)
    }
}
