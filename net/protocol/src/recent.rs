//! What has changed lately, chunk by chunk: whoever holds a chunk at an older version gets what came since, in one piece.
//!
//! One log serves every session. Nothing is queued for anybody: a session remembers at which version it holds a chunk, and what
//! brings it up to date is put together when it is sent ([`RecentChanges::since`]). However slow a client is, it costs no more
//! memory, and a voxel that changed ten times meanwhile travels once.

use crate::limits::DELTA_COST_BYTES;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use terrane_world::block::BlockId;
use terrane_world::chunk::Version;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::{ChunkPos, LocalIndex};
use terrane_world::step::{ChunkDelta, Run};

/// Deltas of one chunk, each beginning where the one before ends.
#[derive(Debug, Default)]
struct Chain {
    deltas: VecDeque<Arc<ChunkDelta>>,
    /// What was put together since the last delta, by the version that it begins at.
    merged: HashMap<Version, Arc<ChunkDelta>>,
}

/// The newest deltas of all chunks, up to a number of bytes.
#[derive(Debug)]
pub struct RecentChanges {
    chains: HashMap<ChunkPos, Chain>,
    /// Where the oldest deltas are; those of one chunk leave in their order.
    order: VecDeque<ChunkPos>,
    bytes: usize,
    bytes_max: usize,
    scratch: Box<Scratch>,
}

fn cost_bytes(delta: &ChunkDelta) -> usize {
    DELTA_COST_BYTES + delta.runs.len() * size_of::<Run>()
}

impl RecentChanges {
    /// Remembers deltas of about so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { chains: HashMap::new(), order: VecDeque::new(), bytes: 0, bytes_max, scratch: Box::default() }
    }

    /// Takes in a committed delta; deltas of one chunk come in order. One that does not begin where the last one ended begins
    /// anew: what came before leads nowhere.
    pub fn push(&mut self, delta: &ChunkDelta) {
        let delta = Arc::new(ChunkDelta { sparse: Vec::new(), runs: delta.runs.clone(), ..*delta });
        let chain = self.chains.entry(delta.pos).or_default();
        chain.merged.clear();
        if chain.deltas.back().is_some_and(|last| last.to != delta.from) {
            self.bytes -= chain.deltas.drain(..).map(|old| cost_bytes(&old)).sum::<usize>();
            let pos = delta.pos;
            self.order.retain(|at| *at != pos);
        }
        self.bytes += cost_bytes(&delta);
        self.order.push_back(delta.pos);
        chain.deltas.push_back(delta);
        while self.bytes > self.bytes_max
            && let Some(pos) = self.order.pop_front()
        {
            self.forget_oldest(pos);
        }
    }

    fn forget_oldest(&mut self, pos: ChunkPos) {
        let Some(chain) = self.chains.get_mut(&pos) else { return };
        if let Some(old) = chain.deltas.pop_front() {
            self.bytes -= cost_bytes(&old);
            chain.merged.remove(&old.from);
        }
        if chain.deltas.is_empty() {
            self.chains.remove(&pos);
        }
    }

    /// Bytes that are held.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The version after the newest delta of a chunk, if one is remembered.
    pub fn latest(&self, pos: ChunkPos) -> Option<Version> {
        Some(self.chains.get(&pos)?.deltas.back()?.to)
    }

    /// What leads from a version of a chunk to its newest one, each voxel once; none if that is not remembered. A voxel that is
    /// what it was is left out.
    pub fn since(&mut self, pos: ChunkPos, version: Version) -> Option<Arc<ChunkDelta>> {
        let chain = self.chains.get_mut(&pos)?;
        let first = chain.deltas.partition_point(|delta| delta.from < version);
        let begin = chain.deltas.get(first).filter(|delta| delta.from == version)?;
        if first + 1 == chain.deltas.len() {
            return Some(Arc::clone(begin));
        }
        if let Some(known) = chain.merged.get(&version) {
            return Some(Arc::clone(known));
        }
        let last = chain.deltas.back()?;
        let runs = self.scratch.merge(chain.deltas.range(first..).map(|delta| &delta.runs[..]));
        let ChunkDelta { from, cause, .. } = **begin;
        let merged = Arc::new(ChunkDelta { pos, from, to: last.to, cause, body: None, runs, sparse: Vec::new() });
        chain.merged.insert(version, Arc::clone(&merged));
        Some(merged)
    }
}

/// The voxels of one chunk, to put runs together in.
#[derive(Debug)]
struct Scratch {
    touched: [u64; CHUNK_VOXELS / 64],
    old: [BlockId; CHUNK_VOXELS],
    new: [BlockId; CHUNK_VOXELS],
}

impl Default for Scratch {
    fn default() -> Self {
        let none = [BlockId(0); CHUNK_VOXELS];
        Self { touched: [0; CHUNK_VOXELS / 64], old: none, new: none }
    }
}

impl Scratch {
    /// The sum of lists of runs, oldest first.
    fn merge<'a>(&mut self, lists: impl Iterator<Item = &'a [Run]>) -> Vec<Run> {
        self.touched.fill(0);
        for run in lists.flatten() {
            for at in run.first.index()..run.first.index() + usize::from(run.length) {
                let bit = 1u64 << (at % 64);
                if self.touched[at / 64] & bit == 0 {
                    self.touched[at / 64] |= bit;
                    self.old[at] = run.old;
                }
                self.new[at] = run.new;
            }
        }
        let mut runs: Vec<Run> = Vec::new();
        for (word, bits) in self.touched.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let at = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (old, new) = (self.old[at], self.new[at]);
                if old != new {
                    push(&mut runs, at, old, new);
                }
            }
        }
        runs
    }
}

/// Puts a voxel behind runs, into the last one if it goes on there.
fn push(runs: &mut Vec<Run>, at: usize, old: BlockId, new: BlockId) {
    let goes_on =
        |run: &&mut Run| run.first.index() + usize::from(run.length) == at && (run.old, run.new) == (old, new);
    match runs.last_mut().filter(goes_on) {
        Some(run) => run.length += 1,
        None => {
            let first = LocalIndex::new(at as u16).expect("a voxel of the scratch is one of the chunk");
            runs.push(Run { first, length: 1, old, new });
        }
    }
}

/// About how many bytes of a Delta frame a delta takes: a row mask of two or three bytes for what lies together, and a few bits a
/// voxel.
pub fn delta_bytes(delta: &ChunkDelta) -> usize {
    let voxels: usize = delta.runs.iter().map(|run| usize::from(run.length)).sum();
    16 + delta.runs.len() + voxels / 2
}
