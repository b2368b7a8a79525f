//! The mio loop: one thread, one port, and on it frames over TCP, frames over WebSocket at `/ws`, and HTTP for the
//! page and `/status`.
//!
//! The shell moves bytes and knows no message. The first bytes of a connection decide what it is: an HTTP method
//! means HTTP, a TLS handshake is closed, and everything else is a byte stream for the owner, who judges it.
//!
//! - [`shell`] is the loop and the owner's door to it, [`connection`] one socket with its bounds,
//! - [`http`] requests, answers and who may ask, [`websocket`] tungstenite over buffers in memory,
//! - [`output`] bytes on their way out, [`slots`] connection ids that go stale instead of wrong.
//!
//! What is absent: the meaning of frames (terrane-protocol), sessions and worlds (terrane-roles), threads.
#![forbid(unsafe_code)]

mod connection;
pub mod http;
pub mod limits;
mod output;
mod shell;
mod slots;
mod websocket;

pub use http::{Asset, Cache, Page};
pub use shell::{Config, Handler, Shell, ShellError, StatusHandle, Waker};
pub use slots::ConnectionId;

use std::net::SocketAddr;

/// How a byte stream travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Bare, over TCP.
    Tcp,
    /// In binary WebSocket messages.
    WebSocket,
}

/// A connection that carries a byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Its id.
    pub id: ConnectionId,
    /// How it travels.
    pub transport: Transport,
    /// Who is at the other end.
    pub peer: SocketAddr,
}

/// Why a connection is no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The other side closed it.
    #[error("closed by the other side")]
    Peer,
    /// The operating system ended it.
    #[error("lost: {0}")]
    Lost(String),
    /// The owner closed it.
    #[error("closed by the server")]
    Asked,
    /// It was given more to send than its bound: the owner's error.
    #[error("{unsent} bytes unsent and {given} more given, {max} is the most a connection holds")]
    Overflow {
        /// Bytes waiting.
        unsent: usize,
        /// Bytes given on top.
        given: usize,
        /// The bound.
        max: usize,
    },
    /// The other side broke the WebSocket protocol, or sent text.
    #[error("WebSocket: {0}")]
    WebSocket(String),
    /// It did not speak, or did not read the last bytes, in time.
    #[error("too slow: nothing moved for {limit_ms} ms")]
    TimedOut {
        /// How long was waited.
        limit_ms: u128,
    },
}
