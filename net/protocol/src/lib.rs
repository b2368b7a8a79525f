//! The client protocol of docs/protocol.md, without any input or output.
//!
//! Bytes come in as slices and leave in a `Vec<u8>`; this crate has no socket, clock, thread or entropy.
//! It knows both directions, so that tests and load bots use the same code as the server:
//!
//! - [`frame`] cuts a byte stream into frames, [`message`] gives them meaning, [`wire`] is their layout;
//! - [`session`] is what the server remembers of one client's side of the talk;
//! - [`body`] is what falls and [`overlay`] what lies over chunks, [`path`] questions about paths and [`field`] fields of them,
//!   as they travel, and [`crowd`] agents;
//! - [`undo`] is what is asked and told of undos;
//! - [`interest`] says which chunks a subscription wants, [`recent`] what has changed in them lately, [`news`] what brings a client
//!   up to date, [`stream`] what is sent and when, within a [`budget`], [`following`] what of agents.
//!
//! What is absent: the world's rules (terrane-world), deciding about inputs (terrane-roles), sockets (terrane-net).
#![forbid(unsafe_code)]

pub mod body;
pub mod budget;
mod chunks;
pub mod crowd;
pub mod error;
mod falling;
pub mod field;
pub mod following;
pub mod frame;
pub mod interest;
pub mod limits;
pub mod message;
pub mod news;
pub mod overlay;
pub mod path;
pub mod recent;
pub mod session;
pub mod stream;
pub mod undo;
pub mod wire;

pub use body::{BodyFrames, BodyMove};
pub use budget::{Rate, TokenBucket};
pub use crowd::{AgentMoves, AgentPlace, AgentStep, Agents, AgentsPart, CrowdInfo, CrowdRequest};
pub use error::{ProtocolError, RefusedCode};
pub use field::{FieldChunk, FieldState};
pub use following::{AgentHistory, AgentNews, AgentSource, NoAgents};
pub use frame::{Frame, FrameReader, Kind, Towards};
pub use interest::{Shape, View};
pub use message::{ClientMessage, ServerMessage};
pub use news::{ChunkSource, ChunkUpdate, DeltaPacker};
pub use overlay::{OverlayKind, OverlayKinds};
pub use path::{FieldRequest, PathPart, PathRefusal, PathRefused, PathRequest, Wanted};
pub use recent::RecentChanges;
pub use session::{Event, Session};
pub use stream::ChunkStream;
pub use undo::{UndoGhost, UndoOther, UndoPlan, UndoProgress, UndoRefusal, UndoRefused, UndoRequest, UndoState};

/// The four bytes with which both sides begin: `TRNE`.
pub const MAGIC: [u8; 4] = *b"TRNE";
/// The one version that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 2;
