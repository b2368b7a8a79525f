//! What can be wrong with the other side's bytes, and the code it is told.

use crate::frame::Kind;
use crate::{MAGIC, PROTOCOL_VERSION};
use terrane_world::delta::CodecError;
use terrane_world::space::SpaceError;

/// The codes of Refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum RefusedCode {
    /// No common protocol version.
    NoCommonVersion = 1,
    /// The first four bytes are not `TRNE`.
    BadMagic = 2,
    /// A frame states more bytes than its direction allows.
    FrameTooLong = 3,
    /// A kind that this version does not have.
    UnknownKind = 4,
    /// The payload does not have the shape of its kind.
    BadPayload = 5,
    /// Hello is missing or came twice.
    Hello = 6,
    /// A number is outside what is accepted.
    OutOfBounds = 7,
    /// An input is missing before this one.
    SequenceGap = 8,
    /// The server is full.
    TooManySessions = 9,
    /// The server is stopping.
    Stopping = 10,
    /// The session was taken over by a newer connection.
    TakenOver = 11,
    /// The world can't be written any more.
    WorldFailing = 12,
}

impl RefusedCode {
    const ALL: [Self; 12] = [
        Self::NoCommonVersion,
        Self::BadMagic,
        Self::FrameTooLong,
        Self::UnknownKind,
        Self::BadPayload,
        Self::Hello,
        Self::OutOfBounds,
        Self::SequenceGap,
        Self::TooManySessions,
        Self::Stopping,
        Self::TakenOver,
        Self::WorldFailing,
    ];

    /// From the number in a frame.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The number in a frame.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// A rule of the protocol that the other side broke. The connection ends with it; the text says what, where and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The stream does not begin with the magic.
    #[error("the stream begins with {found:02x?}, not with {MAGIC:02x?} (\"TRNE\"): this is not the Terrane protocol")]
    Magic {
        /// What came, as far as it was looked at.
        found: Vec<u8>,
    },
    /// The two sides have no version in common.
    #[error(
        "this server speaks protocol version {PROTOCOL_VERSION}, and the client {lowest} to {highest}: use a client \
         and a server of the same release"
    )]
    Version {
        /// Lowest version of the client.
        lowest: u16,
        /// Its highest.
        highest: u16,
    },
    /// A header states too long a payload.
    #[error("a {kind} frame of {length} bytes: {max} is the most in this direction, send it in parts")]
    FrameTooLong {
        /// Its kind.
        kind: Kind,
        /// Payload bytes stated.
        length: u32,
        /// Most accepted.
        max: usize,
    },
    /// A kind that this direction does not have.
    #[error("frame kind {number:#06x} is not one that may be sent in this direction in protocol version 1")]
    UnknownKind {
        /// The number in the header.
        number: u16,
    },
    /// The payload's length is not what its kind or its counts say.
    #[error("{kind}: {field} needs {expected} bytes, and the payload has {found} there")]
    Length {
        /// The frame.
        kind: Kind,
        /// What was being read.
        field: &'static str,
        /// Bytes it needs.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A field that must be 0 is not.
    #[error("{kind}: {field} is not 0, and this version has no other meaning for it")]
    NotZero {
        /// The frame.
        kind: Kind,
        /// The field.
        field: &'static str,
    },
    /// A text is not UTF-8.
    #[error("{kind}: the {field} is not UTF-8 from byte {valid_up_to} on")]
    Text {
        /// The frame.
        kind: Kind,
        /// The field.
        field: &'static str,
        /// Bytes that are fine.
        valid_up_to: usize,
    },
    /// Another frame came before Hello.
    #[error("{kind} came before Hello: Hello is the first frame of a connection")]
    HelloMissing {
        /// The frame that came.
        kind: Kind,
    },
    /// Nothing came for too long.
    #[error("no Hello came within {limit_ms} ms of the connection's start: send it at once")]
    HelloLate {
        /// How long was waited.
        limit_ms: u128,
    },
    /// Hello came a second time.
    #[error("Hello came a second time: it is sent once, open a new connection to start over")]
    HelloRepeated,
    /// A number is outside what is accepted.
    #[error("{kind}: {field} = {value} is not accepted, it must be from {min} to {max}")]
    Value {
        /// The frame.
        kind: Kind,
        /// The field.
        field: &'static str,
        /// The number that came.
        value: i128,
        /// Smallest accepted.
        min: i128,
        /// Largest accepted.
        max: i128,
    },
    /// A position is outside the world.
    #[error("{kind}: {source}")]
    Position {
        /// The frame.
        kind: Kind,
        /// What is wrong with it.
        source: SpaceError,
    },
    /// What is packed in a frame can't be unpacked.
    #[error("{kind}: {source}")]
    Packed {
        /// The frame.
        kind: Kind,
        /// What is wrong with it.
        source: CodecError,
    },
    /// Inputs are missing.
    #[error(
        "input sequence {found} came where {expected} was due: send again every input after the last \
         acknowledged one, without gaps"
    )]
    SequenceGap {
        /// The sequence due.
        expected: u64,
        /// The sequence that came.
        found: u64,
    },
    /// A subscription's number does not grow.
    #[error(
        "Subscribe: number {found} came after {last}: every subscription needs a larger number than the one before"
    )]
    SubscriptionOrder {
        /// The number that came.
        found: u32,
        /// The one before.
        last: u32,
    },
    /// Two open requests have the same number.
    #[error("request {request} came while another one of that number is open: open requests need numbers of their own")]
    RequestInUse {
        /// The number.
        request: u32,
    },
    /// The client asks and asks, and does not read the answers.
    #[error("{pending} {what} wait to be read: read what comes before sending more")]
    Unread {
        /// What is waiting.
        what: &'static str,
        /// How many.
        pending: usize,
    },
}

impl ProtocolError {
    /// The code that the other side is told.
    pub const fn code(&self) -> RefusedCode {
        match self {
            Self::Magic { .. } => RefusedCode::BadMagic,
            Self::Version { .. } => RefusedCode::NoCommonVersion,
            Self::FrameTooLong { .. } => RefusedCode::FrameTooLong,
            Self::UnknownKind { .. } => RefusedCode::UnknownKind,
            Self::Length { .. } | Self::NotZero { .. } | Self::Text { .. } | Self::Packed { .. } => {
                RefusedCode::BadPayload
            }
            Self::HelloMissing { .. } | Self::HelloLate { .. } | Self::HelloRepeated => RefusedCode::Hello,
            Self::Value { .. }
            | Self::Position { .. }
            | Self::SubscriptionOrder { .. }
            | Self::RequestInUse { .. }
            | Self::Unread { .. } => RefusedCode::OutOfBounds,
            Self::SequenceGap { .. } => RefusedCode::SequenceGap,
        }
    }
}
