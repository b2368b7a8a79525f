//! Makes batches on a pool of threads and stores them on one more, so that neither waits for the other.
//!
//! A batch in hand holds a place. There are few of them, which is what bounds the memory: the next batch is begun when the
//! writer gives a place back. Stacks of several batches are in the pool at once, so no thread idles at a batch's end.

use super::batches::{batches, stacks};
use super::progress::Progress;
use crate::compute::Compute;
use crate::failure::Failure;
use crate::memory::Bytes;
use crate::worlds::now_ms;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use terrane_store::{Load, Shape, Store};
use terrane_world::chunk::Chunk;
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{ChunkPos, VoxelBox};

/// Batches in hand: one being written, one being made, and one more, so that neither end waits.
const BATCHES: usize = 3;
/// Most chunks of a batch: eight regions. More gains nothing, and is what a crash loses.
const BATCH_CHUNKS_MAX: usize = 8 * REGION_CHUNKS;
/// Memory of a chunk in hand, at most: one byte for each voxel as made and once more as it is written, and what is around.
const CHUNK_BYTES: usize = 2 * 33 * 1024;
/// Memory of a thread, at most: the drafts of a stack of 32 chunks, with what is above, and its maps.
const THREAD_BYTES: usize = 4 << 20;
/// Threads that write regions: they wait for the disk more than they compute.
const WRITING_THREADS: usize = 4;
/// How often the one who hands out work looks up.
const LOOK_UP: Duration = Duration::from_millis(100);

/// How many chunks a batch may have.
pub fn batch_chunks(memory: Bytes, threads: usize) -> Result<usize, Failure> {
    let least = threads * THREAD_BYTES + BATCHES * REGION_CHUNKS * CHUNK_BYTES;
    if memory.0 < least {
        return Err(Failure::new(format!(
            "--memory {memory} is too little: {threads} threads and {BATCHES} batches of one region need {}",
            Bytes(least.next_multiple_of(1 << 20))
        )));
    }
    let chunks = (memory.0 - threads * THREAD_BYTES) / (BATCHES * CHUNK_BYTES);
    Ok(chunks.min(BATCH_CHUNKS_MAX))
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Chunks that were made.
    pub made: u64,
    /// Of those, how many were stored.
    pub stored: u64,
    /// Chunks that were stored before, and not made.
    pub already_there: u64,
}

impl Counts {
    /// Chunks of the box that are stored now.
    pub const fn handled(&self) -> u64 {
        self.stored + self.already_there
    }
}

/// What a run works with.
pub struct Engine<'a> {
    pub store: &'a Store,
    pub progress: &'a Progress,
    /// Set from outside: finish what is in hand.
    pub stop: &'a AtomicBool,
    pub compute: &'a Compute,
    pub threads: usize,
    pub batch_chunks: usize,
    /// What new regions become.
    pub shape: Shape,
}

/// A batch in hand.
pub(super) struct Batch {
    chunks: Mutex<Vec<(ChunkPos, Chunk)>>,
    /// Parts that are not made yet.
    left: AtomicUsize,
}

impl Batch {
    pub(super) fn new(chunks: usize, parts: usize) -> Arc<Self> {
        Arc::new(Self { chunks: Mutex::new(Vec::with_capacity(chunks)), left: AtomicUsize::new(parts) })
    }
}

/// What the threads of a run share.
#[derive(Default)]
pub(super) struct Shared {
    made: AtomicU64,
    stored: AtomicU64,
    /// The first thing that went wrong.
    failure: Mutex<Option<String>>,
    failed: AtomicBool,
}

impl Shared {
    pub(super) fn fail(&self, error: &dyn Display) {
        let mut first = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
        self.failed.store(true, Ordering::Release);
    }

    fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

impl Engine<'_> {
    /// Makes and stores what is not stored of the box, until it is done or told to stop. What went wrong first is the
    /// error; batches before it are stored.
    pub fn run(&self, within: VoxelBox) -> Result<Counts, String> {
        let pool = pool("generate", self.threads)?;
        let writing = pool_of_writers()?;
        let shared = Shared::default();
        // As long as a batch has a place, there is room for it in both queues.
        let (to_writer, batches) = sync_channel(BATCHES);
        let (give_back, places) = sync_channel(BATCHES);
        (0..BATCHES).for_each(|_| give_back.send(()).expect("the other end is here"));
        let already_there = std::thread::scope(|scope| {
            scope.spawn(|| self.write(&writing, &shared, batches, give_back));
            match self.compute {
                Compute::Cpu => pool.in_place_scope(|scope| self.hand_out(within, &shared, scope, to_writer, &places)),
                #[cfg(feature = "gpu")]
                Compute::Device(device) => self.make_on(device, &pool, within, &shared, &to_writer, &places),
            }
        });
        match shared.failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => Ok(Counts { made: shared.made.into_inner(), stored: shared.stored.into_inner(), already_there }),
        }
    }

    /// Gives the pool one batch after the other, each as soon as there is a place. Gives how many chunks were there.
    fn hand_out<'s>(
        &'s self,
        within: VoxelBox,
        shared: &'s Shared,
        scope: &rayon::Scope<'s>,
        to_writer: SyncSender<Vec<(ChunkPos, Chunk)>>,
        places: &Receiver<()>,
    ) -> u64 {
        let mut already_there = 0;
        for batch in batches(within, self.batch_chunks) {
            let Some(missing) = self.missing(batch, &mut already_there, shared) else { break };
            if !missing.is_empty() && !self.wait(shared, places) || self.is_over(shared) {
                break;
            }
            if !missing.is_empty() {
                self.make(&missing, shared, scope, &to_writer);
            }
        }
        already_there
    }

    pub(super) fn is_over(&self, shared: &Shared) -> bool {
        self.stop.load(Ordering::Acquire) || shared.failed()
    }

    /// What of a batch is not stored; the rest is counted. `None` if it can't be told, which is then the failure.
    pub(super) fn missing(
        &self,
        batch: Vec<ChunkPos>,
        already_there: &mut u64,
        shared: &Shared,
    ) -> Option<Vec<ChunkPos>> {
        let all = batch.len();
        let mut missing = Vec::with_capacity(all);
        for pos in batch {
            match self.store.has_chunk(pos) {
                Ok(true) => {}
                Ok(false) => missing.push(pos),
                Err(error) => {
                    shared.fail(&error);
                    return None;
                }
            }
        }
        *already_there += (all - missing.len()) as u64;
        self.progress.was_there((all - missing.len()) as u64);
        Some(missing)
    }

    /// Waits for a place; `false` if there is no use in waiting any longer.
    pub(super) fn wait(&self, shared: &Shared, places: &Receiver<()>) -> bool {
        loop {
            match places.recv_timeout(LOOK_UP) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) if self.is_over(shared) => return false,
                Err(RecvTimeoutError::Timeout) => self.progress.tell(),
            }
        }
    }

    /// Spawns the stacks of a batch; whoever makes the last one passes the batch on.
    fn make<'s>(
        &'s self,
        chunks: &[ChunkPos],
        shared: &'s Shared,
        scope: &rayon::Scope<'s>,
        to_writer: &SyncSender<Vec<(ChunkPos, Chunk)>>,
    ) {
        self.progress.tell();
        let stacks = stacks(chunks);
        let batch = Batch::new(chunks.len(), stacks.len());
        for stack in stacks {
            let (batch, to_writer) = (Arc::clone(&batch), to_writer.clone());
            scope.spawn(move |_| self.make_stack(&stack, shared, &batch, &to_writer));
        }
    }

    fn make_stack(
        &self,
        stack: &[ChunkPos],
        shared: &Shared,
        batch: &Batch,
        to_writer: &SyncSender<Vec<(ChunkPos, Chunk)>>,
    ) {
        if shared.failed() {
            return;
        }
        let chunks = match self.store.generator().chunks(stack) {
            Ok(chunks) => chunks,
            Err(error) => return shared.fail(&error),
        };
        self.was_made(stack, chunks, shared, batch, to_writer);
    }

    /// Puts a part of a batch to the others, and passes the batch on if it was the last.
    pub(super) fn was_made(
        &self,
        positions: &[ChunkPos],
        chunks: Vec<Chunk>,
        shared: &Shared,
        batch: &Batch,
        to_writer: &SyncSender<Vec<(ChunkPos, Chunk)>>,
    ) {
        shared.made.fetch_add(positions.len() as u64, Ordering::Relaxed);
        self.progress.made(positions.len() as u64);
        let mut made = batch.chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        made.extend(positions.iter().copied().zip(chunks));
        if batch.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The writer is gone only if it failed, which it has said.
            let _ = to_writer.send(std::mem::take(&mut made));
        }
    }

    /// Stores batches as they come, until no more come.
    fn write(
        &self,
        pool: &rayon::ThreadPool,
        shared: &Shared,
        batches: Receiver<Vec<(ChunkPos, Chunk)>>,
        give_back: SyncSender<()>,
    ) {
        for batch in batches {
            match pool.install(|| self.store.load_as(batch, Load::KeepExisting, self.shape, now_ms())) {
                Ok(stored) => shared.stored.fetch_add(stored as u64, Ordering::Relaxed),
                Err(error) => return shared.fail(&error),
            };
            // Nobody waits for a place any more when the last batches come.
            let _ = give_back.send(());
        }
    }
}

fn pool(name: &'static str, threads: usize) -> Result<rayon::ThreadPool, String> {
    let named = rayon::ThreadPoolBuilder::new().thread_name(move |index| format!("{name}-{index}"));
    named.num_threads(threads).build().map_err(|error| format!("{threads} threads can't be had: {error}"))
}

fn pool_of_writers() -> Result<rayon::ThreadPool, String> {
    pool("write", WRITING_THREADS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_the_batches_and_too_little_is_told() {
        assert_eq!(batch_chunks(Bytes(1 << 30), 2).unwrap(), BATCH_CHUNKS_MAX);
        let least = 2 * THREAD_BYTES + BATCHES * REGION_CHUNKS * CHUNK_BYTES;
        assert_eq!(batch_chunks(Bytes(least), 2).unwrap(), REGION_CHUNKS);
        let error = batch_chunks(Bytes(least - 1), 2).unwrap_err().to_string();
        assert!(error.contains("too little") && error.contains("33M"), "{error}");
    }
}
