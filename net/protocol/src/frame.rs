//! Frames: cutting a byte stream into them, in pieces of any size and bounded memory.

use crate::MAGIC;
use crate::error::ProtocolError;
use crate::limits::{
    CROWD_GOALS_TOLD_MAX, GOALS_MAX, HEADER_BYTES, HOLDS_FRAME_MAX, NAME_BYTES_MAX, PAYLOAD_TO_CLIENT_BYTES_MAX,
    PAYLOAD_TO_SERVER_BYTES_MAX, REFUSED_TEXT_BYTES_MAX, SAME_FRAME_MAX, UNDO_OTHERS_MAX,
};
use crate::wire::{self, FrameHeader};
use std::fmt;
use terrane_world::path::mode::MODE_NAME_MAX;
use terrane_world::step::CauseKind;

/// A buffer larger than this is given back after the frame that needed it.
const KEPT_BUFFER_BYTES: usize = 4 << 10;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Towards {
    /// From a client.
    Server,
    /// From a server.
    Client,
}

impl Towards {
    /// Most payload bytes in this direction.
    pub const fn payload_bytes_max(self) -> usize {
        match self {
            Self::Server => PAYLOAD_TO_SERVER_BYTES_MAX,
            Self::Client => PAYLOAD_TO_CLIENT_BYTES_MAX,
        }
    }
}

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
#[allow(missing_docs, reason = "the names are those of docs/protocol.md, which describes them")]
pub enum Kind {
    Hello = 0x0001,
    Subscribe = 0x0002,
    Edit = 0x0003,
    Ping = 0x0004,
    Blast = 0x0005,
    Overlay = 0x0006,
    PathRequest = 0x0007,
    FieldRequest = 0x0008,
    Cancel = 0x0009,
    CrowdRequest = 0x000A,
    Dismiss = 0x000B,
    Look = 0x000C,
    Holds = 0x000D,
    UndoRequest = 0x000E,
    UndoAct = 0x000F,
    Welcome = 0x8001,
    Registry = 0x8002,
    Snapshot = 0x8003,
    Delta = 0x8004,
    Forget = 0x8005,
    Acknowledge = 0x8006,
    Pong = 0x8007,
    CaughtUp = 0x8008,
    Body = 0x8009,
    BodyMoves = 0x800A,
    BodyEnds = 0x800B,
    OverlayData = 0x800C,
    Modes = 0x800D,
    PathAnswer = 0x800E,
    FieldChunk = 0x800F,
    FieldState = 0x8010,
    PathRefused = 0x8011,
    Crowd = 0x8012,
    Agents = 0x8013,
    AgentMoves = 0x8014,
    CrowdEnd = 0x8015,
    Same = 0x8016,
    UndoPlan = 0x8017,
    UndoGhost = 0x8018,
    UndoProgress = 0x8019,
    UndoRefused = 0x801A,
    Refused = 0x80FF,
}

impl Kind {
    /// Every kind of version 2.
    pub const ALL: [Self; 42] = [
        Self::Hello,
        Self::Subscribe,
        Self::Edit,
        Self::Ping,
        Self::Blast,
        Self::Overlay,
        Self::PathRequest,
        Self::FieldRequest,
        Self::Cancel,
        Self::CrowdRequest,
        Self::Dismiss,
        Self::Look,
        Self::Holds,
        Self::UndoRequest,
        Self::UndoAct,
        Self::Welcome,
        Self::Registry,
        Self::Snapshot,
        Self::Delta,
        Self::Forget,
        Self::Acknowledge,
        Self::Pong,
        Self::CaughtUp,
        Self::Body,
        Self::BodyMoves,
        Self::BodyEnds,
        Self::OverlayData,
        Self::Modes,
        Self::PathAnswer,
        Self::FieldChunk,
        Self::FieldState,
        Self::PathRefused,
        Self::Crowd,
        Self::Agents,
        Self::AgentMoves,
        Self::CrowdEnd,
        Self::Same,
        Self::UndoPlan,
        Self::UndoGhost,
        Self::UndoProgress,
        Self::UndoRefused,
        Self::Refused,
    ];

    /// From the number in a header.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The number in a header.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Which way it goes.
    pub const fn towards(self) -> Towards {
        if self.number() & 0x8000 == 0 { Towards::Server } else { Towards::Client }
    }

    /// Least and most payload bytes that any frame of this kind has.
    pub const fn payload_bytes(self) -> (usize, usize) {
        let most = self.towards().payload_bytes_max();
        match self {
            Self::Hello => (size_of::<wire::HelloHead>(), size_of::<wire::HelloHead>() + NAME_BYTES_MAX),
            Self::Subscribe => fixed::<wire::SubscribeBody>(),
            Self::Edit => (size_of::<wire::EditHead>(), most),
            Self::Ping => fixed::<wire::PingBody>(),
            Self::Blast => fixed::<wire::BlastBody>(),
            Self::Overlay => fixed::<wire::OverlayBody>(),
            Self::PathRequest => {
                (size_of::<wire::PathRequestHead>(), size_of::<wire::PathRequestHead>() + MODE_NAME_MAX)
            }
            Self::FieldRequest => (
                size_of::<wire::FieldRequestHead>(),
                size_of::<wire::FieldRequestHead>() + GOALS_MAX * size_of::<wire::Position>() + MODE_NAME_MAX,
            ),
            Self::Cancel => fixed::<wire::CancelBody>(),
            Self::CrowdRequest => (
                size_of::<wire::CrowdRequestHead>(),
                size_of::<wire::CrowdRequestHead>() + GOALS_MAX * size_of::<wire::Position>() + MODE_NAME_MAX,
            ),
            Self::Dismiss => fixed::<wire::DismissBody>(),
            Self::Look => fixed::<wire::LookBody>(),
            Self::Holds => (
                size_of::<wire::HoldsHead>(),
                size_of::<wire::HoldsHead>() + HOLDS_FRAME_MAX * size_of::<wire::HoldEntry>(),
            ),
            Self::UndoRequest => {
                (size_of::<wire::UndoRequestHead>(), size_of::<wire::UndoRequestHead>() + NAME_BYTES_MAX)
            }
            Self::UndoAct => fixed::<wire::UndoActBody>(),
            Self::Welcome => fixed::<wire::WelcomeBody>(),
            Self::Registry => (size_of::<wire::RegistryHead>(), most),
            Self::Snapshot => (size_of::<wire::SnapshotHead>() + 1, most),
            Self::Delta => (1, most),
            Self::Forget => fixed::<wire::ForgetBody>(),
            Self::Acknowledge => (size_of::<wire::AcknowledgeHead>(), most),
            Self::Pong => fixed::<wire::PongBody>(),
            Self::CaughtUp => fixed::<wire::CaughtUpBody>(),
            Self::Body => (size_of::<wire::BodyHead>(), most),
            Self::BodyMoves => (size_of::<wire::BodyMovesHead>(), most),
            Self::BodyEnds => (size_of::<wire::BodyEndsHead>(), most),
            Self::OverlayData => (size_of::<wire::OverlayHead>(), most),
            Self::Modes => (size_of::<wire::ModesHead>(), most),
            Self::PathAnswer => (size_of::<wire::PathAnswerHead>(), most),
            Self::FieldChunk => (size_of::<wire::FieldChunkHead>(), most),
            Self::FieldState => fixed::<wire::FieldStateBody>(),
            Self::PathRefused => {
                (size_of::<wire::PathRefusedHead>(), size_of::<wire::PathRefusedHead>() + REFUSED_TEXT_BYTES_MAX)
            }
            Self::Crowd => (
                size_of::<wire::CrowdHead>(),
                size_of::<wire::CrowdHead>() + CROWD_GOALS_TOLD_MAX * size_of::<wire::Position>() + MODE_NAME_MAX,
            ),
            Self::Agents => (size_of::<wire::AgentsHead>(), most),
            Self::AgentMoves => (size_of::<wire::AgentMovesHead>(), most),
            Self::CrowdEnd => fixed::<wire::CrowdEndBody>(),
            Self::Same => (
                size_of::<wire::SameHead>(),
                size_of::<wire::SameHead>() + SAME_FRAME_MAX * size_of::<wire::Position>(),
            ),
            Self::UndoPlan => (
                size_of::<wire::UndoPlanHead>(),
                size_of::<wire::UndoPlanHead>()
                    + CauseKind::ALL.len() * size_of::<wire::UndoCauseEntry>()
                    + UNDO_OTHERS_MAX * (size_of::<wire::UndoOtherHead>() + NAME_BYTES_MAX),
            ),
            Self::UndoGhost => (size_of::<wire::UndoGhostHead>() + 1, most),
            Self::UndoProgress => fixed::<wire::UndoProgressBody>(),
            Self::UndoRefused => {
                (size_of::<wire::UndoRefusedHead>(), size_of::<wire::UndoRefusedHead>() + REFUSED_TEXT_BYTES_MAX)
            }
            Self::Refused => (size_of::<wire::RefusedHead>(), size_of::<wire::RefusedHead>() + REFUSED_TEXT_BYTES_MAX),
        }
    }
}

const fn fixed<T>() -> (usize, usize) {
    (size_of::<T>(), size_of::<T>())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// One whole frame: its kind is known, its length is one that the kind can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its payload.
    pub payload: &'a [u8],
}

/// Appends a frame whose payload `write` appends.
pub fn write_frame(kind: Kind, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + HEADER_BYTES, 0);
    write(out);
    let length = out.len() - start - HEADER_BYTES;
    let (least, most) = kind.payload_bytes();
    assert!((least..=most).contains(&length), "our own {kind} frame has {length} bytes of payload");
    let header = FrameHeader { length: (length as u32).into(), kind: kind.number().into(), flags: 0.into() };
    out[start..start + HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header));
}

fn check_header(bytes: &[u8], towards: Towards) -> Result<(Kind, usize), ProtocolError> {
    let header: &FrameHeader = bytemuck::from_bytes(bytes);
    let number = header.kind.get();
    let kind = Kind::from_number(number)
        .filter(|kind| kind.towards() == towards)
        .ok_or(ProtocolError::UnknownKind { number })?;
    let length = header.length.get();
    let max = towards.payload_bytes_max();
    if length as usize > max {
        return Err(ProtocolError::FrameTooLong { kind, length, max });
    }
    if header.flags.get() != 0 {
        return Err(ProtocolError::NotZero { kind, field: "the header's flags field" });
    }
    let (least, most) = kind.payload_bytes();
    let found = length as usize;
    if found < least {
        return Err(ProtocolError::Length { kind, field: "the payload at least", expected: least, found });
    }
    if found > most {
        return Err(ProtocolError::Length { kind, field: "the payload at most", expected: most, found });
    }
    Ok((kind, found))
}

/// Cuts a byte stream into frames.
///
/// It holds at most one unfinished frame, and of that only the bytes that came: a stated length costs nothing.
#[derive(Debug)]
pub struct FrameReader {
    towards: Towards,
    magic_bytes: usize,
    buffer: Vec<u8>,
    /// The frame in `buffer` has been given out.
    given: bool,
}

impl FrameReader {
    /// A reader at the start of a stream that goes `towards` whoever reads.
    pub const fn new(towards: Towards) -> Self {
        Self { towards, magic_bytes: 0, buffer: Vec::new(), given: false }
    }

    /// Bytes of the unfinished frame.
    pub const fn buffered_bytes(&self) -> usize {
        if self.given { 0 } else { self.buffer.len() }
    }

    /// Takes bytes off the front of `input` until a frame is whole. `None` means that `input` is used up.
    ///
    /// After an error the stream has no meaning any more: don't call it again.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<Frame<'s>>, ProtocolError> {
        self.take_magic(input)?;
        if self.given {
            self.given = false;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        }
        // A frame that lies whole in the input is not copied.
        if self.buffer.is_empty()
            && let Some((head, rest)) = input.split_at_checked(HEADER_BYTES)
        {
            let (kind, length) = check_header(head, self.towards)?;
            if let Some((payload, rest)) = rest.split_at_checked(length) {
                *input = rest;
                return Ok(Some(Frame { kind, payload }));
            }
        }
        self.fill(HEADER_BYTES, input);
        if self.buffer.len() < HEADER_BYTES {
            return Ok(None);
        }
        let (kind, length) = check_header(&self.buffer[..HEADER_BYTES], self.towards)?;
        self.fill(HEADER_BYTES + length, input);
        if self.buffer.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        self.given = true;
        Ok(Some(Frame { kind, payload: &self.buffer[HEADER_BYTES..] }))
    }

    fn fill(&mut self, target_bytes: usize, input: &mut &[u8]) {
        let taken = input.len().min(target_bytes.saturating_sub(self.buffer.len()));
        self.buffer.extend_from_slice(&input[..taken]);
        *input = &input[taken..];
    }

    fn take_magic(&mut self, input: &mut &[u8]) -> Result<(), ProtocolError> {
        while self.magic_bytes < MAGIC.len() {
            let Some((byte, rest)) = input.split_first() else { return Ok(()) };
            if *byte != MAGIC[self.magic_bytes] {
                let mut found = MAGIC[..self.magic_bytes].to_vec();
                found.extend(input.iter().take(MAGIC.len() - self.magic_bytes));
                return Err(ProtocolError::Magic { found });
            }
            self.magic_bytes += 1;
            *input = rest;
        }
        Ok(())
    }
}
