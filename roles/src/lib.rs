//! The roles of a Terrane cluster as pure state machines.
//!
//! A role is `step(now, Input, &mut Outbox)`. It has no socket, clock, thread or entropy: the shell in `server`
//! drives it in production, a simulator drives the same code in tests. What is absent: bytes on a wire
//! (terrane-protocol), files (terrane-store), time.
#![forbid(unsafe_code)]

mod agents;
mod bodies;
pub mod chunk_server;
mod feed;
mod overlays;
pub mod paths;
pub mod undoing;

pub use chunk_server::{ChunkServer, Commit, Input, Limits, Outbox, PeerId};
pub use paths::{PathAnswer, PathInput, PathLimits, PathServer};
pub use undoing::{Planned, UndoAnswer, UndoAsk};
