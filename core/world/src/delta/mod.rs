//! Deltas and chunks as few bytes: for clients, for history, for regions at rest, for mirrors.
//!
//! Two layers. The *inner layout* ([`codec`] for a chunk, [`changes`] for what a tick changed) says nothing twice: rows that
//! equal their neighbours are a bit, voxels of a row are a mask, blocks are numbers of a table. It is fast by itself. The *outer
//! stage* ([`outer`]) puts zstd behind it. Each begins with the number of its version, so each can change without the other.
//!
//! Decoders are total: any bytes are a value or a [`CodecError`], and what they make is bounded by what they were given and by
//! the limits here. docs/codec.md has the bytes and the figures.

mod bytes;
pub mod changes;
pub mod codec;
mod lanes;
pub mod outer;

use crate::chunk::{Chunk, ChunkError};
use crate::limits::{CHUNK_VOXELS, SPARSE_CHUNK_BYTES_MAX, SPARSE_ENTRIES_MAX};
use crate::step::ChunkDelta;
use changes::{Changes, TickDeltas};
use outer::Outer;
use std::borrow::Borrow;

/// Most bytes of the inner layout of a chunk: plain ids, and all the sparse data that it may have.
pub const CHUNK_BYTES_MAX: usize = 1 + CHUNK_VOXELS * 2 + 4 + SPARSE_ENTRIES_MAX * 8 + SPARSE_CHUNK_BYTES_MAX;
/// Most bytes of the inner layout of what a tick changed. A tick whose deltas need more is told in parts.
pub const CHANGES_BYTES_MAX: usize = 256 << 20;

/// How small, and how fast: which outer stage is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The inner layout alone.
    Fast,
    /// zstd behind it, at a level that keeps up with a disk.
    Small,
}

/// Bytes that are no chunk and no deltas.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Made by a version that this program does not know, or by nothing at all.
    #[error("{what} has the layout {found}, which this version does not know")]
    Layout {
        /// What was read.
        what: &'static str,
        /// The number that was found.
        found: u8,
    },
    /// The bytes end too early.
    #[error("{what} ends at byte {at}, where more is needed")]
    Short {
        /// What was read.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// There are bytes behind the end.
    #[error("{left} bytes are left behind the end of {what}")]
    Left {
        /// What was read.
        what: &'static str,
        /// How many.
        left: usize,
    },
    /// A number is out of its range, or things are out of order.
    #[error("{what}, before byte {at}")]
    Wrong {
        /// What is wrong.
        what: &'static str,
        /// The first byte behind it.
        at: usize,
    },
    /// It says that it is larger than it may be.
    #[error("{length} bytes, of which {most} are allowed")]
    TooLarge {
        /// What it says.
        length: u64,
        /// The limit.
        most: usize,
    },
    /// The outer stage can't be undone.
    #[error("zstd: {0}")]
    Zstd(String),
    /// The parts are no chunk.
    #[error("the chunk: {0}")]
    Chunk(#[from] ChunkError),
}

/// A chunk as bytes, behind those that `out` has.
pub fn pack_chunk(chunk: &Chunk, class: Class, outer: &mut Outer, out: &mut Vec<u8>) {
    outer.pack(class, out, |inner| codec::pack(chunk, inner));
}

/// A chunk from what [`pack_chunk`] made. Its form and its table are those that were packed.
///
/// # Errors
/// [`CodecError`], for all other bytes.
pub fn unpack_chunk(bytes: &[u8], outer: &mut Outer) -> Result<Chunk, CodecError> {
    codec::unpack(outer.unpack(bytes, CHUNK_BYTES_MAX)?)
}

/// What a tick changed, as clients need it: which voxels, and what is there now.
pub fn pack_changes<D: Borrow<ChunkDelta>>(
    tick: u64,
    deltas: &[D],
    class: Class,
    outer: &mut Outer,
    out: &mut Vec<u8>,
) {
    outer.pack(class, out, |inner| changes::pack(tick, deltas, inner));
}

/// What [`pack_changes`] made.
///
/// # Errors
/// [`CodecError`], for all other bytes.
pub fn unpack_changes(bytes: &[u8], outer: &mut Outer) -> Result<Changes, CodecError> {
    changes::unpack(outer.unpack(bytes, CHANGES_BYTES_MAX)?)
}

/// What a tick changed, with all that history needs: what was there before, why, and sparse data.
pub fn pack_deltas<D: Borrow<ChunkDelta>>(tick: u64, deltas: &[D], class: Class, outer: &mut Outer, out: &mut Vec<u8>) {
    outer.pack(class, out, |inner| changes::pack_whole(tick, deltas, inner));
}

/// What [`pack_deltas`] made; runs are as long as they can be.
///
/// # Errors
/// [`CodecError`], for all other bytes.
pub fn unpack_deltas(bytes: &[u8], outer: &mut Outer) -> Result<TickDeltas, CodecError> {
    changes::unpack_whole(outer.unpack(bytes, CHANGES_BYTES_MAX)?)
}
