//! The chunks in memory, and where the others come from.

use crate::block::BlockId;
use crate::chunk::{Chunk, Sparse};
use crate::space::{ChunkPos, PlaceMap, VoxelPos};
use crate::step::{ChunkSource, Held, SourceError};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

struct Entry {
    held: Held,
    changed: u64,
    used: u64,
}

/// A source that remembers what it could not give: an answer depends on more than what was asked about.
#[derive(Clone)]
pub struct Watched {
    source: Arc<dyn ChunkSource>,
    failed: Arc<Mutex<Option<(ChunkPos, SourceError)>>>,
}

impl Watched {
    /// Nothing has failed yet.
    pub fn new(source: Arc<dyn ChunkSource>) -> Self {
        Self { source, failed: Arc::default() }
    }

    /// What has failed last since this was last asked.
    pub fn take_failure(&self) -> Option<(ChunkPos, SourceError)> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note<T>(&self, pos: ChunkPos, result: Result<T, SourceError>) -> Result<T, SourceError> {
        result.inspect_err(|error| {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((pos, error.clone()));
        })
    }
}

impl ChunkSource for Watched {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        self.note(pos, self.source.load(pos))
    }

    fn load_stack(&self, positions: &[ChunkPos]) -> Vec<Result<Held, SourceError>> {
        let loaded = self.source.load_stack(positions);
        positions.iter().zip(loaded).map(|(pos, result)| self.note(*pos, result)).collect()
    }
}

/// Chunks in memory in front of their source.
pub struct Residency {
    pool: Arc<rayon::ThreadPool>,
    source: Box<dyn ChunkSource>,
    entries: PlaceMap<ChunkPos, Entry>,
    bytes: usize,
    /// The chunk that was looked at last: neighbouring voxels are asked for one after the other.
    last: Option<(ChunkPos, Option<Arc<Chunk>>)>,
}

impl Residency {
    /// Nothing in memory yet.
    pub fn new(pool: Arc<rayon::ThreadPool>, source: Box<dyn ChunkSource>) -> Self {
        Self { pool, source, entries: PlaceMap::default(), bytes: 0, last: None }
    }

    /// The threads.
    pub const fn pool(&self) -> &Arc<rayon::ThreadPool> {
        &self.pool
    }

    /// Heap bytes of the chunks in memory.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A chunk that is in memory.
    pub fn get(&self, pos: ChunkPos) -> Option<&Held> {
        self.entries.get(&pos).map(|entry| &entry.held)
    }

    /// Fetches those that are not in memory, in parallel; gives the errors of those that can't be read.
    pub fn fetch(&mut self, tick: u64, needed: &[ChunkPos]) -> BTreeMap<ChunkPos, SourceError> {
        let (here, missing): (Vec<ChunkPos>, Vec<ChunkPos>) =
            needed.iter().partition(|pos| self.entries.contains_key(pos));
        for pos in here {
            self.entries.get_mut(&pos).expect("just seen").used = tick;
        }
        if missing.is_empty() {
            return BTreeMap::new();
        }
        let source = &self.source;
        let mut stacks: BTreeMap<(i32, i32), Vec<ChunkPos>> = BTreeMap::new();
        missing.iter().for_each(|pos| stacks.entry((pos.x(), pos.z())).or_default().push(*pos));
        let load = |stack: &Vec<ChunkPos>| stack.iter().copied().zip(source.load_stack(stack)).collect::<Vec<_>>();
        let loaded: Vec<_> = self.pool.install(|| stacks.par_iter().flat_map_iter(|(_, stack)| load(stack)).collect());
        let mut failed = BTreeMap::new();
        for (pos, result) in loaded {
            match result {
                Ok(held) => self.insert(pos, Entry { held, changed: 0, used: tick }),
                Err(error) => drop(failed.insert(pos, error)),
            }
        }
        failed
    }

    /// Puts the state of a chunk after a change in `tick`.
    pub fn put(&mut self, tick: u64, pos: ChunkPos, held: Held) {
        self.insert(pos, Entry { held, changed: tick, used: tick });
    }

    fn insert(&mut self, pos: ChunkPos, entry: Entry) {
        self.last = None;
        self.bytes += entry.held.chunk.memory_bytes();
        if let Some(before) = self.entries.insert(pos, entry) {
            self.bytes -= before.held.chunk.memory_bytes();
        }
    }

    /// The chunk, fetched if need be; none if it can't be read.
    pub fn chunk(&mut self, tick: u64, pos: ChunkPos) -> Option<Arc<Chunk>> {
        if let Some((last, chunk)) = &self.last
            && *last == pos
        {
            return chunk.clone();
        }
        let known = self.entries.get_mut(&pos).map(|entry| {
            entry.used = tick;
            Arc::clone(&entry.held.chunk)
        });
        let chunk = known.or_else(|| {
            self.fetch(tick, &[pos]);
            self.get(pos).map(|held| Arc::clone(&held.chunk))
        });
        self.last = Some((pos, chunk.clone()));
        chunk
    }

    /// The block of a voxel, its chunk fetched if need be; none if it can't be read.
    pub fn block(&mut self, tick: u64, pos: VoxelPos) -> Option<BlockId> {
        if let Some((last, chunk)) = &self.last
            && *last == pos.chunk()
        {
            return chunk.as_ref().map(|chunk| chunk.get(pos.local()));
        }
        self.chunk(tick, pos.chunk()).map(|chunk| chunk.get(pos.local()))
    }

    /// The sparse data of a voxel.
    pub fn sparse(&mut self, tick: u64, pos: VoxelPos) -> Option<Sparse> {
        self.chunk(tick, pos.chunk())?.sparse().get(&pos.local()).cloned()
    }

    /// Lets go of chunks, longest unused first, until `budget_bytes` hold the rest. A chunk changed after
    /// `committed_tick` stays: its source does not have it yet.
    pub fn evict(&mut self, budget_bytes: usize, committed_tick: u64) {
        if self.bytes <= budget_bytes {
            return;
        }
        self.last = None;
        let clean = self.entries.iter().filter(|(_, entry)| entry.changed <= committed_tick);
        let mut clean: Vec<(u64, ChunkPos)> = clean.map(|(pos, entry)| (entry.used, *pos)).collect();
        clean.sort_unstable();
        for (_, pos) in clean {
            if self.bytes <= budget_bytes {
                return;
            }
            let entry = self.entries.remove(&pos).expect("listed above");
            self.bytes -= entry.held.chunk.memory_bytes();
        }
    }
}
