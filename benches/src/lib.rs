//! What Terrane does in a second, and what its peers do in the same second.
//!
//! A benchmark is a set of competitors that take turns ([`rounds`]); criterion runs it, and its figures are written
//! down ([`record`]). `bench-summary` joins them with the goals ([`goals`]) into one table ([`summary`]).
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::missing_panics_doc, reason = "a benchmark that can't go on says why and ends")]

pub mod cc3d;
pub mod content;
pub mod crackle;
pub mod dijkstra;
pub mod files;
pub mod goals;
pub mod lmdb;
pub mod luanti;
pub mod mapped;
pub mod ours;
pub mod python;
pub mod record;
pub mod rounds;
pub mod sqlite;
pub mod summary;
pub mod watching;

/// Chunks in the worlds that are compared.
pub const CHUNKS: usize = 20_000;
/// Chunks in the small world that shows what opening depends on.
pub const FEW_CHUNKS: usize = 2_000;
/// Voxels read in one run.
pub const READS: usize = 2_000_000;
/// Voxels read in one run of a peer that takes microseconds for each.
pub const SLOW_READS: usize = 200_000;
/// Edits in one durable batch.
pub const EDITS: usize = 2_000;
