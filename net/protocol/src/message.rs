//! The messages: frames with their meaning, read and written in both directions.

use crate::body::{BodyMove, BodyPart, encode_ends, encode_moves, put_body, read_body, read_ends, read_moves};
use crate::crowd::{self, AgentMoves, Agents, CrowdInfo, CrowdRequest};
use crate::error::{ProtocolError, RefusedCode};
use crate::field::{self, FieldChunk, FieldState};
use crate::frame::{Kind, write_frame};
use crate::interest::{Shape, View};
use crate::limits::{
    DELTA_UNPACKED_BYTES_MAX, HOLDS_FRAME_MAX, NAME_BYTES_MAX, REFUSALS_PENDING_MAX, REFUSED_TEXT_BYTES_MAX,
    SAME_FRAME_MAX,
};
use crate::news::PackedChunk;
use crate::overlay::{OverlayKind, OverlayKinds, Values, encode_overlay, read_overlay};
use crate::path::{self, FieldRequest, PathPart, PathRefused, PathRequest};
use crate::undo::{self, UndoGhost, UndoPlan, UndoProgress, UndoRefused, UndoRequest};
use crate::wire;
use bytemuck::{Pod, bytes_of, cast_slice};
use std::borrow::Borrow;
use std::sync::Arc;
use terrane_world::block::{AIR, BlockId, BlockRule, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::delta::changes::{self, Change, Changes, NewRun};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{Class, pack_changes, unpack_chunk};
use terrane_world::entity::state::CrowdError;
use terrane_world::limits::{BLOCK_NAME_BYTES_MAX, BLOCKS_MAX, EDIT_VOXELS_MAX};
use terrane_world::path::PathError;
use terrane_world::path::mode::Mode;
use terrane_world::space::{ChunkPos, SpaceError, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Refusal, Run};

/// Names a session; who holds it can resume it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

impl std::fmt::Debug for SessionId {
    /// Shows two bytes only: the rest is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionId({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Lowest protocol version it speaks.
    pub lowest: u16,
    /// Highest.
    pub highest: u16,
    /// The session it wants back.
    pub resume: Option<SessionId>,
    /// Its name, at most 64 bytes.
    pub name: String,
}

/// One voxel of an edit as it came: the world may not have the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EditVoxel {
    /// x, y, z.
    pub pos: [i32; 3],
    /// What it shall be.
    pub block: BlockId,
}

/// Everything a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// The first frame.
    Hello(Hello),
    /// Replaces the subscription.
    Subscribe {
        /// Chosen by the client, growing.
        subscription: u32,
        /// The chunks it wants.
        shape: Shape,
    },
    /// Changes voxels, all or none.
    Edit {
        /// 1, 2, 3, …
        sequence: u64,
        /// 1 to 4,096.
        voxels: Vec<EditVoxel>,
    },
    /// Wants a Pong.
    Ping {
        /// Comes back.
        number: u64,
    },
    /// Sets off a blast.
    Blast {
        /// Numbered with the edits.
        sequence: u64,
        /// x, y, z: the world may not have the position.
        at: [i32; 3],
        /// How strong.
        power: u8,
    },
    /// Wants overlays of the chunks it sees.
    Overlay {
        /// In place of those before.
        kinds: OverlayKinds,
    },
    /// Asks for a way, or whether there is one.
    Path(PathRequest),
    /// Wants a field, and to hear how it changes.
    Field(FieldRequest),
    /// Does not want an answer any more.
    Cancel {
        /// Which.
        request: u32,
    },
    /// Sends agents to goals.
    Crowd(CrowdRequest),
    /// Takes the session's crowds out of the world.
    Dismiss {
        /// Numbered with the edits.
        sequence: u64,
    },
    /// Says where it looks: chunks there come first.
    Look(View),
    /// Names chunks that it holds from before, ahead of the Subscribe that wants them.
    Holds {
        /// Which, and at which version.
        chunks: Vec<(ChunkPos, Version)>,
    },
    /// Asks what an undo would do.
    Undo(UndoRequest),
    /// Has a planned undo done, or ends it.
    UndoAct {
        /// Which.
        request: u32,
        /// It is to be ended.
        ends: bool,
    },
}

/// What the server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Protocol version chosen.
    pub version: u16,
    /// Whether the session asked for was resumed.
    pub resumed: bool,
    /// Epoch of the server.
    pub epoch: u32,
    /// The session.
    pub session: SessionId,
    /// The world.
    pub world: [u8; 16],
    /// The tick.
    pub tick: u64,
    /// Acknowledged input sequence of the session.
    pub acknowledged: u64,
    /// Length of a tick in microseconds.
    pub tick_us: u32,
    /// Blocks in the Registry frames behind.
    pub blocks: u32,
    /// Where a new player's feet stand.
    pub spawn: VoxelPos,
    /// What chunks are made from: what a client has kept under another number is void.
    pub identity: u64,
}

/// What a client needs to know of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockInfo {
    /// With its states.
    pub name: Arc<str>,
    /// Bodies can't pass.
    pub solid: bool,
    /// Hides what is behind.
    pub opaque: bool,
    /// Drawn translucent.
    pub liquid: bool,
    /// Shown in a block picker.
    pub pickable: bool,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// Given off, 0–15.
    pub light: u8,
}

impl BlockInfo {
    /// From the world's registry.
    pub fn new(name: &str, rule: &BlockRule) -> Self {
        let BlockRule { solid, opaque, liquid, pickable, colour, light, .. } = *rule;
        Self { name: name.into(), solid, opaque, liquid, pickable, colour, light }
    }

    fn flags(&self) -> u8 {
        u8::from(self.solid) | u8::from(self.opaque) << 1 | u8::from(self.liquid) << 2 | u8::from(self.pickable) << 3
    }

    /// Bytes in a Registry frame.
    pub fn wire_bytes(&self) -> usize {
        size_of::<wire::BlockHead>() + self.name.len()
    }
}

/// Every block of a registry from id `first` on, as clients see them.
pub fn block_infos(registry: &Registry, first: usize) -> Vec<BlockInfo> {
    registry.iter().skip(first).map(|(_, name, rule)| BlockInfo::new(name, rule)).collect()
}

/// Why an input was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Reason {
    /// The registry does not have the block.
    UnknownBlock = 1,
    /// The world does not have the position.
    OutsideWorld = 2,
    /// A chunk could not be read.
    Unreadable = 3,
    /// The world is read-only.
    ReadOnly = 4,
    /// A blast is stronger than this world allows.
    TooStrong = 5,
    /// The world has no such movement mode.
    UnknownMode = 6,
    /// The mode can't be used for that: agents that dig take up one voxel.
    UnfitMode = 7,
    /// A goal or a start is no place for the mode.
    Blocked = 8,
    /// A box is empty or too large, or a goal is outside it.
    BadBox = 9,
    /// There is no room for so many agents where they begin.
    NoRoom = 10,
    /// The world has too many agents, crowds or fields already.
    TooMany = 11,
    /// The session has no crowd.
    NoCrowd = 12,
    /// The world has several owners, and crowds need one.
    Shared = 13,
}

impl Reason {
    /// Every reason, in order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::UnknownBlock,
        Self::OutsideWorld,
        Self::Unreadable,
        Self::ReadOnly,
        Self::TooStrong,
        Self::UnknownMode,
        Self::UnfitMode,
        Self::Blocked,
        Self::BadBox,
        Self::NoRoom,
        Self::TooMany,
        Self::NoCrowd,
        Self::Shared,
    ];

    /// From the number in a frame.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

impl From<&Refusal> for Reason {
    /// Too many voxels and bad sparse data can't come over this protocol; were they to, the world could not take them.
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::UnknownBlock(_) => Self::UnknownBlock,
            Refusal::Power { .. } => Self::TooStrong,
            Refusal::Unreadable { .. } | Refusal::TooManyVoxels(_) | Refusal::Sparse(_) => Self::Unreadable,
            Refusal::Crowd(error) => error.into(),
        }
    }
}

impl From<&CrowdError> for Reason {
    fn from(error: &CrowdError) -> Self {
        match error {
            CrowdError::Path(PathError::UnknownMode { .. }) => Self::UnknownMode,
            CrowdError::Path(PathError::Blocked { .. }) => Self::Blocked,
            CrowdError::Path(PathError::Unreadable { .. }) => Self::Unreadable,
            CrowdError::Path(PathError::NoGoal | PathError::OutsideBox { .. } | PathError::TooLarge { .. }) => {
                Self::BadBox
            }
            CrowdError::Path(PathError::Costs { .. }) | CrowdError::Body(_) => Self::UnfitMode,
            CrowdError::Nobody | CrowdError::NoRoom { .. } => Self::NoRoom,
            CrowdError::TooMany { .. }
            | CrowdError::TooManyCrowds
            | CrowdError::TooManyGoals(_)
            | CrowdError::Fields { .. } => Self::TooMany,
            CrowdError::NoCrowd(_) => Self::NoCrowd,
            CrowdError::Shared => Self::Shared,
        }
    }
}

/// One refused input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedInput {
    /// Its sequence.
    pub sequence: u64,
    /// Why.
    pub reason: Reason,
}

/// The last word of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// For programs.
    pub code: RefusedCode,
    /// For people; cut at 1,024 bytes.
    pub text: String,
}

impl From<&ProtocolError> for Refused {
    fn from(error: &ProtocolError) -> Self {
        Self { code: error.code(), text: error.to_string() }
    }
}

/// Everything a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// Answers Hello.
    Welcome(Welcome),
    /// Part of the block registry.
    Registry {
        /// Id of the first block here.
        first: u16,
        /// Ids counting up.
        blocks: Vec<BlockInfo>,
    },
    /// A chunk as it stands.
    Snapshot {
        /// Which.
        pos: ChunkPos,
        /// The subscription it answers.
        subscription: u32,
        /// Its version.
        version: Version,
        /// Its voxels; sparse data doesn't travel.
        chunk: Arc<Chunk>,
    },
    /// What changed in chunks.
    Delta(Changes),
    /// Chunks that the client said it holds, and does.
    Same {
        /// The subscription it answers.
        subscription: u32,
        /// Which.
        chunks: Vec<ChunkPos>,
    },
    /// No deltas for this chunk follow.
    Forget {
        /// Which.
        pos: ChunkPos,
        /// The subscription that no longer has it.
        subscription: u32,
    },
    /// Inputs are decided and durable.
    Acknowledge {
        /// Up to this one.
        sequence: u64,
        /// The tick.
        tick: u64,
        /// Those that were refused.
        refusals: Vec<RefusedInput>,
    },
    /// Answers Ping.
    Pong {
        /// The number from Ping.
        number: u64,
        /// The tick.
        tick: u64,
    },
    /// Every chunk of a subscription has been sent once.
    CaughtUp {
        /// Which.
        subscription: u32,
    },
    /// A body has left the grid, or falls where the client has begun to look.
    Body(BodyPart),
    /// Where bodies are.
    BodyMoves {
        /// After this tick.
        tick: u64,
        /// One or more.
        moves: Vec<BodyMove>,
    },
    /// Bodies have landed, or are no longer told of.
    BodyEnds {
        /// One or more.
        handles: Vec<u32>,
    },
    /// What lies over a chunk.
    OverlayData {
        /// Which.
        pos: ChunkPos,
        /// What it means.
        kind: OverlayKind,
        /// The chunk's version that it is about.
        version: Version,
        /// None if the world knows no such thing.
        values: Option<Box<Values>>,
    },
    /// The movement modes that the world knows.
    Modes {
        /// In order of their names.
        modes: Vec<Mode>,
    },
    /// A part of a way.
    PathAnswer(PathPart),
    /// What a field says of a chunk.
    FieldChunk(FieldChunk),
    /// Whether a field is what the world allows.
    FieldState(FieldState),
    /// A request ends without an answer.
    PathRefused(PathRefused),
    /// A crowd whose agents are told of next.
    Crowd(CrowdInfo),
    /// All agents of a crowd in a column.
    Agents(Agents),
    /// What they did in a tick.
    AgentMoves(AgentMoves),
    /// A crowd is gone, with all its agents.
    CrowdEnd {
        /// Which.
        handle: u32,
    },
    /// What an undo would do.
    UndoPlan(UndoPlan),
    /// What would be there after it.
    UndoGhost(UndoGhost),
    /// How far it is.
    UndoProgress(UndoProgress),
    /// There is no undo, or not any more.
    UndoRefused(UndoRefused),
    /// The connection closes behind it.
    Refused(Refused),
}

/// Reads a payload from front to back; every step checks that the bytes are there.
pub(crate) struct Payload<'a> {
    kind: Kind,
    rest: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn bytes(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ProtocolError::Length {
            kind: self.kind,
            field,
            expected: count,
            found: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn read<T: Pod>(&mut self, field: &'static str) -> Result<&'a T, ProtocolError> {
        const { assert!(align_of::<T>() == 1) };
        Ok(bytemuck::from_bytes(self.bytes(size_of::<T>(), field)?))
    }

    pub(crate) fn list<T: Pod>(&mut self, count: usize, field: &'static str) -> Result<&'a [T], ProtocolError> {
        const { assert!(align_of::<T>() == 1) };
        Ok(cast_slice(self.bytes(count.saturating_mul(size_of::<T>()), field)?))
    }

    pub(crate) fn text(&mut self, bytes: usize, field: &'static str) -> Result<&'a str, ProtocolError> {
        let kind = self.kind;
        std::str::from_utf8(self.bytes(bytes, field)?).map_err(|error| ProtocolError::Text {
            kind,
            field,
            valid_up_to: error.valid_up_to(),
        })
    }

    pub(crate) fn zero<T: Pod>(&self, value: &T, field: &'static str) -> Result<(), ProtocolError> {
        match bytes_of(value).iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(ProtocolError::NotZero { kind: self.kind, field }),
        }
    }

    pub(crate) fn within<T>(
        &self,
        value: T,
        min: impl Into<i128>,
        max: impl Into<i128>,
        field: &'static str,
    ) -> Result<T, ProtocolError>
    where
        T: Into<i128> + Copy,
    {
        let (wide, min, max) = (value.into(), min.into(), max.into());
        match (min..=max).contains(&wide) {
            true => Ok(value),
            false => Err(ProtocolError::Value { kind: self.kind, field, value: wide, min, max }),
        }
    }

    pub(crate) fn voxel(&self, pos: wire::Position) -> Result<VoxelPos, ProtocolError> {
        pos.voxel().map_err(|source| self.position_error(source))
    }

    pub(crate) fn chunk(&self, pos: wire::Position) -> Result<ChunkPos, ProtocolError> {
        pos.chunk().map_err(|source| self.position_error(source))
    }

    pub(crate) fn voxel_box(&self, first: wire::Position, end: wire::Position) -> Result<VoxelBox, ProtocolError> {
        VoxelBox::new(first.to_array(), end.to_array()).map_err(|source| self.position_error(source))
    }

    pub(crate) const fn position_error(&self, source: SpaceError) -> ProtocolError {
        ProtocolError::Position { kind: self.kind, source }
    }

    fn end(&self) -> Result<(), ProtocolError> {
        match self.rest.len() {
            0 => Ok(()),
            found => Err(ProtocolError::Length {
                kind: self.kind,
                field: "what is behind the last field",
                expected: 0,
                found,
            }),
        }
    }
}

/// The longest part of `text` within `bytes_max` bytes.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

pub(crate) fn put(out: &mut Vec<u8>, value: &impl Pod) {
    out.extend_from_slice(bytes_of(value));
}

impl ClientMessage {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Subscribe { .. } => Kind::Subscribe,
            Self::Edit { .. } => Kind::Edit,
            Self::Ping { .. } => Kind::Ping,
            Self::Blast { .. } => Kind::Blast,
            Self::Overlay { .. } => Kind::Overlay,
            Self::Path(_) => Kind::PathRequest,
            Self::Field(_) => Kind::FieldRequest,
            Self::Cancel { .. } => Kind::Cancel,
            Self::Crowd(_) => Kind::CrowdRequest,
            Self::Dismiss { .. } => Kind::Dismiss,
            Self::Look(_) => Kind::Look,
            Self::Holds { .. } => Kind::Holds,
            Self::Undo(_) => Kind::UndoRequest,
            Self::UndoAct { .. } => Kind::UndoAct,
        }
    }

    /// Appends it as a frame. A name that is too long is cut.
    ///
    /// # Panics
    /// On an Edit of more than 4,096 voxels, a Holds of more chunks than a frame has room for, a field or a crowd of no or too many goals,
    /// and a mode's name that no mode can have.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_frame(self.kind(), out, |out| match self {
            Self::Hello(hello) => put_hello(hello, out),
            Self::Subscribe { subscription, shape } => {
                let (shape, first, second) = shape.to_wire();
                let subscription = (*subscription).into();
                put(
                    out,
                    &wire::SubscribeBody {
                        subscription,
                        shape: shape.into(),
                        zero: 0.into(),
                        first: first.into(),
                        second: second.into(),
                    },
                );
            }
            Self::Edit { sequence, voxels } => {
                assert!(voxels.len() <= EDIT_VOXELS_MAX, "an edit of {} voxels", voxels.len());
                put(
                    out,
                    &wire::EditHead {
                        sequence: (*sequence).into(),
                        voxels: (voxels.len() as u16).into(),
                        zero: [0; 6],
                    },
                );
                for EditVoxel { pos, block } in voxels {
                    put(out, &wire::EditVoxel { pos: (*pos).into(), block: block.0.into(), zero: 0.into() });
                }
            }
            Self::Ping { number } => put(out, &wire::PingBody { number: (*number).into() }),
            Self::Blast { sequence, at, power } => {
                let (sequence, at) = ((*sequence).into(), (*at).into());
                put(out, &wire::BlastBody { sequence, at, power: *power, zero: [0; 3] });
            }
            Self::Overlay { kinds } => put(out, &wire::OverlayBody { kinds: kinds.mask().into(), zero: 0.into() }),
            Self::Path(ask) => path::put_request(ask, out),
            Self::Field(ask) => path::put_field_request(ask, out),
            Self::Cancel { request } => put(out, &wire::CancelBody { request: (*request).into(), zero: 0.into() }),
            Self::Crowd(ask) => crowd::put_request(ask, out),
            Self::Dismiss { sequence } => put(out, &wire::DismissBody { sequence: (*sequence).into() }),
            Self::Look(View { eye, forward }) => {
                put(out, &wire::LookBody { eye: (*eye).into(), forward: *forward, zero: 0 });
            }
            Self::Holds { chunks } => put_holds(chunks, out),
            Self::Undo(ask) => undo::put_request(ask, out),
            Self::UndoAct { request, ends } => {
                put(out, &wire::UndoActBody { request: (*request).into(), act: (*ends).into(), zero: [0; 3] });
            }
        });
    }

    /// Reads a payload; every rule of the page is checked except those that need the session's state.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut payload = Payload { kind, rest: payload };
        let message = match kind {
            Kind::Hello => Self::Hello(read_hello(&mut payload)?),
            Kind::Subscribe => read_subscribe(&mut payload)?,
            Kind::Edit => read_edit(&mut payload)?,
            Kind::Ping => Self::Ping { number: payload.read::<wire::PingBody>("the body")?.number.get() },
            Kind::Blast => read_blast(&mut payload)?,
            Kind::Overlay => {
                let body: &wire::OverlayBody = payload.read("the body")?;
                payload.zero(&body.zero, "the field at offset 4")?;
                let most = (1u32 << OverlayKind::ALL.len()) - 1;
                let mask = payload.within(body.kinds.get(), 0, most, "kinds of overlay")?;
                Self::Overlay { kinds: OverlayKinds::from_mask(mask).expect("checked above") }
            }
            Kind::PathRequest => path::read_request(&mut payload)?,
            Kind::FieldRequest => path::read_field_request(&mut payload)?,
            Kind::Cancel => path::read_cancel(&mut payload)?,
            Kind::CrowdRequest => crowd::read_request(&mut payload)?,
            Kind::Dismiss => {
                let body: &wire::DismissBody = payload.read("the body")?;
                Self::Dismiss { sequence: payload.within(body.sequence.get(), 1, u64::MAX, "input sequence")? }
            }
            Kind::Look => {
                let body: &wire::LookBody = payload.read("the body")?;
                payload.zero(&body.zero, "the field at offset 15")?;
                Self::Look(View { eye: payload.voxel(body.eye)?, forward: body.forward })
            }
            Kind::Holds => read_holds(&mut payload)?,
            Kind::UndoRequest => undo::read_request(&mut payload)?,
            Kind::UndoAct => undo::read_act(&mut payload)?,
            _ => return Err(ProtocolError::UnknownKind { number: kind.number() }),
        };
        payload.end()?;
        Ok(message)
    }
}

fn put_hello(hello: &Hello, out: &mut Vec<u8>) {
    let name = cut(&hello.name, NAME_BYTES_MAX);
    put(
        out,
        &wire::HelloHead {
            lowest: hello.lowest.into(),
            highest: hello.highest.into(),
            zero: 0.into(),
            session: hello.resume.map_or([0; 16], |id| id.0),
            name_bytes: (name.len() as u16).into(),
        },
    );
    out.extend_from_slice(name.as_bytes());
}

fn read_hello(payload: &mut Payload<'_>) -> Result<Hello, ProtocolError> {
    let head: &wire::HelloHead = payload.read("the head")?;
    let (lowest, highest) = (head.lowest.get(), head.highest.get());
    payload.within(lowest, 0, highest, "lowest version")?;
    payload.zero(&head.zero, "the field at offset 4")?;
    let name_bytes = payload.within(head.name_bytes.get(), 0, NAME_BYTES_MAX as u16, "length of the name")?;
    let name = payload.text(usize::from(name_bytes), "name")?.to_owned();
    let resume = (head.session != [0; 16]).then_some(SessionId(head.session));
    Ok(Hello { lowest, highest, resume, name })
}

fn read_subscribe(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let body: &wire::SubscribeBody = payload.read("the body")?;
    payload.zero(&body.zero, "the field at offset 6")?;
    let shape = Shape::from_wire(body.shape.get(), body.first.to_array(), body.second.to_array())?;
    Ok(ClientMessage::Subscribe { subscription: body.subscription.get(), shape })
}

fn put_holds(chunks: &[(ChunkPos, Version)], out: &mut Vec<u8>) {
    assert!(chunks.len() <= HOLDS_FRAME_MAX, "a Holds of {} chunks", chunks.len());
    put(out, &wire::HoldsHead { count: (chunks.len() as u32).into(), zero: 0.into() });
    for (pos, version) in chunks {
        put(out, &wire::HoldEntry { pos: (*pos).into(), version: (*version).into() });
    }
}

fn read_holds(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let head: &wire::HoldsHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 4")?;
    let count = payload.within(head.count.get(), 0, HOLDS_FRAME_MAX as u32, "number of chunks")?;
    let list: &[wire::HoldEntry] = payload.list(count as usize, "the list of chunks")?;
    let chunk = |entry: &wire::HoldEntry| Ok((payload.chunk(entry.pos)?, entry.version.get()));
    Ok(ClientMessage::Holds { chunks: list.iter().map(chunk).collect::<Result<_, ProtocolError>>()? })
}

fn read_edit(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let head: &wire::EditHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 10")?;
    let sequence = payload.within(head.sequence.get(), 1, u64::MAX, "input sequence")?;
    let count = payload.within(head.voxels.get(), 1, EDIT_VOXELS_MAX as u16, "number of voxels")?;
    let list: &[wire::EditVoxel] = payload.list(usize::from(count), "the list of voxels")?;
    let mut voxels = Vec::with_capacity(list.len());
    for voxel in list {
        payload.zero(&voxel.zero, "the field behind a block id")?;
        voxels.push(EditVoxel { pos: voxel.pos.to_array(), block: BlockId(voxel.block.get()) });
    }
    Ok(ClientMessage::Edit { sequence, voxels })
}

fn read_blast(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let body: &wire::BlastBody = payload.read("the body")?;
    payload.zero(&body.zero, "the field at offset 21")?;
    let sequence = payload.within(body.sequence.get(), 1, u64::MAX, "input sequence")?;
    Ok(ClientMessage::Blast { sequence, at: body.at.to_array(), power: body.power })
}

impl ServerMessage {
    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Welcome(_) => Kind::Welcome,
            Self::Registry { .. } => Kind::Registry,
            Self::Snapshot { .. } => Kind::Snapshot,
            Self::Delta(_) => Kind::Delta,
            Self::Same { .. } => Kind::Same,
            Self::Forget { .. } => Kind::Forget,
            Self::Acknowledge { .. } => Kind::Acknowledge,
            Self::Pong { .. } => Kind::Pong,
            Self::CaughtUp { .. } => Kind::CaughtUp,
            Self::Body(_) => Kind::Body,
            Self::BodyMoves { .. } => Kind::BodyMoves,
            Self::BodyEnds { .. } => Kind::BodyEnds,
            Self::OverlayData { .. } => Kind::OverlayData,
            Self::Modes { .. } => Kind::Modes,
            Self::PathAnswer(_) => Kind::PathAnswer,
            Self::FieldChunk(_) => Kind::FieldChunk,
            Self::FieldState(_) => Kind::FieldState,
            Self::PathRefused(_) => Kind::PathRefused,
            Self::Crowd(_) => Kind::Crowd,
            Self::Agents(_) => Kind::Agents,
            Self::AgentMoves(_) => Kind::AgentMoves,
            Self::CrowdEnd { .. } => Kind::CrowdEnd,
            Self::UndoPlan(_) => Kind::UndoPlan,
            Self::UndoGhost(_) => Kind::UndoGhost,
            Self::UndoProgress(_) => Kind::UndoProgress,
            Self::UndoRefused(_) => Kind::UndoRefused,
            Self::Refused(_) => Kind::Refused,
        }
    }

    /// Appends it as a frame. A text that is too long is cut.
    ///
    /// # Panics
    /// If a list is longer than its frame may be.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Snapshot { pos, subscription, version, chunk } => {
                let packed = PackedChunk::new(chunk, *version, &mut Outer::new());
                return encode_snapshot(*pos, *subscription, &packed, out);
            }
            Self::Delta(changes) => return encode_delta(changes.tick, &as_deltas(changes), &mut Outer::new(), out),
            Self::Same { subscription, chunks } => return encode_same(*subscription, chunks, out),
            Self::BodyMoves { tick, moves } => return encode_moves(*tick, moves, out),
            Self::BodyEnds { handles } => return encode_ends(handles, out),
            Self::OverlayData { pos, kind, version, values } => {
                return encode_overlay(*pos, *kind, *version, values.as_deref(), out);
            }
            Self::UndoGhost(UndoGhost { request, last, is_cut, changes }) => {
                let mut packed = Vec::new();
                pack_changes(changes.tick, &as_deltas(changes), Class::Small, &mut Outer::new(), &mut packed);
                return undo::encode_ghost(*request, *last, *is_cut, &packed, out);
            }
            _ => {}
        }
        write_frame(self.kind(), out, |out| match self {
            Self::Snapshot { .. }
            | Self::Delta(_)
            | Self::Same { .. }
            | Self::BodyMoves { .. }
            | Self::BodyEnds { .. }
            | Self::OverlayData { .. }
            | Self::UndoGhost(_) => unreachable!("written above"),
            Self::Body(body) => put_body(body, out),
            Self::Modes { modes } => path::put_modes(modes, out),
            Self::PathAnswer(part) => path::put_part(part, out),
            Self::FieldChunk(chunk) => field::put_chunk(chunk, out),
            Self::FieldState(state) => field::put_state(*state, out),
            Self::PathRefused(refused) => path::put_refused(refused, out),
            Self::Crowd(crowd) => crowd::put_crowd(crowd, out),
            Self::Agents(agents) => crowd::put_agents(agents, out),
            Self::AgentMoves(moves) => crowd::put_agent_moves(moves, out),
            Self::CrowdEnd { handle } => put(out, &wire::CrowdEndBody { handle: (*handle).into(), zero: 0.into() }),
            Self::UndoPlan(plan) => undo::put_plan(plan, out),
            Self::UndoProgress(progress) => undo::put_progress(*progress, out),
            Self::UndoRefused(refused) => undo::put_refused(refused, out),
            Self::Welcome(welcome) => put_welcome(welcome, out),
            Self::Registry { first, blocks } => put_registry(*first, blocks, out),
            Self::Forget { pos, subscription } => {
                put(out, &wire::ForgetBody { pos: (*pos).into(), subscription: (*subscription).into() });
            }
            Self::Acknowledge { sequence, tick, refusals } => put_acknowledge(*sequence, *tick, refusals, out),
            Self::Pong { number, tick } => put(out, &wire::PongBody { number: (*number).into(), tick: (*tick).into() }),
            Self::CaughtUp { subscription } => {
                put(out, &wire::CaughtUpBody { subscription: (*subscription).into(), zero: 0.into() });
            }
            Self::Refused(refused) => {
                let text = cut(&refused.text, REFUSED_TEXT_BYTES_MAX);
                let code = refused.code.number().into();
                put(out, &wire::RefusedHead { code, text_bytes: (text.len() as u16).into(), zero: 0.into() });
                out.extend_from_slice(text.as_bytes());
            }
        });
    }

    /// Reads a payload; every rule of the page is checked except those that need the stream's state.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, ProtocolError> {
        let mut payload = Payload { kind, rest: payload };
        let message = match kind {
            Kind::Welcome => Self::Welcome(read_welcome(&mut payload)?),
            Kind::Registry => read_registry(&mut payload)?,
            Kind::Snapshot => read_snapshot(&mut payload)?,
            Kind::Delta => read_delta(&mut payload)?,
            Kind::Same => read_same(&mut payload)?,
            Kind::Forget => {
                let body: &wire::ForgetBody = payload.read("the body")?;
                Self::Forget { pos: payload.chunk(body.pos)?, subscription: body.subscription.get() }
            }
            Kind::Acknowledge => read_acknowledge(&mut payload)?,
            Kind::Pong => {
                let body: &wire::PongBody = payload.read("the body")?;
                Self::Pong { number: body.number.get(), tick: body.tick.get() }
            }
            Kind::CaughtUp => {
                let body: &wire::CaughtUpBody = payload.read("the body")?;
                payload.zero(&body.zero, "the field at offset 4")?;
                Self::CaughtUp { subscription: body.subscription.get() }
            }
            Kind::Body => Self::Body(read_body(&mut payload)?),
            Kind::BodyMoves => read_moves(&mut payload)?,
            Kind::BodyEnds => read_ends(&mut payload)?,
            Kind::OverlayData => read_overlay(&mut payload)?,
            Kind::Modes => path::read_modes(&mut payload)?,
            Kind::PathAnswer => Self::PathAnswer(path::read_part(&mut payload)?),
            Kind::FieldChunk => Self::FieldChunk(field::read_chunk(&mut payload)?),
            Kind::FieldState => Self::FieldState(field::read_state(&mut payload)?),
            Kind::PathRefused => Self::PathRefused(path::read_refused(&mut payload)?),
            Kind::Crowd => Self::Crowd(crowd::read_crowd(&mut payload)?),
            Kind::Agents => Self::Agents(crowd::read_agents(&mut payload)?),
            Kind::AgentMoves => Self::AgentMoves(crowd::read_agent_moves(&mut payload)?),
            Kind::CrowdEnd => {
                let body: &wire::CrowdEndBody = payload.read("the body")?;
                payload.zero(&body.zero, "the field at offset 4")?;
                Self::CrowdEnd { handle: body.handle.get() }
            }
            Kind::UndoPlan => Self::UndoPlan(undo::read_plan(&mut payload)?),
            Kind::UndoGhost => Self::UndoGhost(undo::read_ghost(&mut payload)?),
            Kind::UndoProgress => Self::UndoProgress(undo::read_progress(&mut payload)?),
            Kind::UndoRefused => Self::UndoRefused(undo::read_refused(&mut payload)?),
            Kind::Refused => Self::Refused(read_refused(&mut payload)?),
            _ => return Err(ProtocolError::UnknownKind { number: kind.number() }),
        };
        payload.end()?;
        Ok(message)
    }
}

fn put_welcome(welcome: &Welcome, out: &mut Vec<u8>) {
    put(
        out,
        &wire::WelcomeBody {
            version: welcome.version.into(),
            resumed: u16::from(welcome.resumed).into(),
            epoch: welcome.epoch.into(),
            session: welcome.session.0,
            world: welcome.world,
            tick: welcome.tick.into(),
            acknowledged: welcome.acknowledged.into(),
            tick_us: welcome.tick_us.into(),
            blocks: welcome.blocks.into(),
            spawn: welcome.spawn.into(),
            zero: 0.into(),
            identity: welcome.identity.into(),
        },
    );
}

fn read_welcome(payload: &mut Payload<'_>) -> Result<Welcome, ProtocolError> {
    let body: &wire::WelcomeBody = payload.read("the body")?;
    payload.zero(&body.zero, "the field at offset 76")?;
    Ok(Welcome {
        version: body.version.get(),
        resumed: payload.within(body.resumed.get(), 0, 1, "resumed")? == 1,
        epoch: body.epoch.get(),
        session: SessionId(body.session),
        world: body.world,
        tick: body.tick.get(),
        acknowledged: body.acknowledged.get(),
        tick_us: body.tick_us.get(),
        blocks: payload.within(body.blocks.get(), 0, BLOCKS_MAX as u32, "number of blocks")?,
        spawn: body.spawn.voxel().map_err(|source| ProtocolError::Position { kind: Kind::Welcome, source })?,
        identity: body.identity.get(),
    })
}

fn put_registry(first: u16, blocks: &[BlockInfo], out: &mut Vec<u8>) {
    assert!(usize::from(first) + blocks.len() <= BLOCKS_MAX, "{} blocks from id {first} on", blocks.len());
    put(out, &wire::RegistryHead { first: first.into(), count: (blocks.len() as u16).into(), zero: 0.into() });
    for block in blocks {
        assert!(block.name.len() <= BLOCK_NAME_BYTES_MAX, "a block's name of {} bytes", block.name.len());
        put(
            out,
            &wire::BlockHead {
                flags: block.flags(),
                colour: block.colour,
                light: block.light,
                zero: 0,
                name_bytes: (block.name.len() as u16).into(),
            },
        );
        out.extend_from_slice(block.name.as_bytes());
    }
}

fn read_registry(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::RegistryHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 4")?;
    let first = head.first.get();
    let count = payload.within(head.count.get(), 0, BLOCKS_MAX as i128 - i128::from(first), "number of blocks")?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let head: &wire::BlockHead = payload.read("the head of a block")?;
        payload.zero(&head.zero, "the field behind a block's light")?;
        let flags = payload.within(head.flags, 0, 15, "flags of a block")?;
        let name_bytes =
            payload.within(head.name_bytes.get(), 1, BLOCK_NAME_BYTES_MAX as u16, "length of a block's name")?;
        blocks.push(BlockInfo {
            name: payload.text(usize::from(name_bytes), "name of a block")?.into(),
            solid: flags & 1 != 0,
            opaque: flags & 2 != 0,
            liquid: flags & 4 != 0,
            pickable: flags & 8 != 0,
            colour: head.colour,
            light: payload.within(head.light, 0, 15, "light of a block")?,
        });
    }
    Ok(ServerMessage::Registry { first, blocks })
}

/// Appends the Snapshot frame of a chunk that is packed already.
pub fn encode_snapshot(pos: ChunkPos, subscription: u32, snapshot: &PackedChunk, out: &mut Vec<u8>) {
    write_frame(Kind::Snapshot, out, |out| {
        let (subscription, version) = (subscription.into(), snapshot.version.into());
        put(out, &wire::SnapshotHead { pos: pos.into(), subscription, version });
        out.extend_from_slice(&snapshot.bytes);
    });
}

/// Bytes of the Snapshot frame of a packed chunk.
pub fn snapshot_frame_bytes(snapshot: &PackedChunk) -> usize {
    size_of::<wire::FrameHeader>() + size_of::<wire::SnapshotHead>() + snapshot.bytes.len()
}

fn read_snapshot(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::SnapshotHead = payload.read("the head")?;
    let packed = |source| ProtocolError::Packed { kind: Kind::Snapshot, source };
    let chunk = unpack_chunk(payload.rest(), &mut Outer::new()).map_err(packed)?;
    if !chunk.sparse().is_empty() {
        return Err(ProtocolError::NotZero { kind: Kind::Snapshot, field: "the number of voxels with data" });
    }
    let (subscription, version) = (head.subscription.get(), head.version.get());
    Ok(ServerMessage::Snapshot { pos: payload.chunk(head.pos)?, subscription, version, chunk: Arc::new(chunk) })
}

/// Appends the Delta frame of what changed.
pub fn encode_delta<D: Borrow<ChunkDelta>>(tick: u64, deltas: &[D], outer: &mut Outer, out: &mut Vec<u8>) {
    write_frame(Kind::Delta, out, |out| pack_changes(tick, deltas, Class::Small, outer, out));
}

/// What changed, as something that can be packed; what was there before is not known, and not told.
fn as_deltas(changes: &Changes) -> Vec<ChunkDelta> {
    let run = |run: &NewRun| Run { first: run.first, length: run.length, old: AIR, new: run.block };
    let cause = Cause { kind: CauseKind::Edit, actor: ActorId(0), root: 0 };
    let delta = |Change { pos, from, to, runs }: &Change| {
        let runs = runs.iter().map(run).collect();
        ChunkDelta { pos: *pos, from: *from, to: *to, cause, body: None, runs, sparse: Vec::new() }
    };
    changes.chunks.iter().map(delta).collect()
}

fn read_delta(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let packed = |source| ProtocolError::Packed { kind: Kind::Delta, source };
    let mut outer = Outer::new();
    let inner = outer.unpack(payload.rest(), DELTA_UNPACKED_BYTES_MAX).map_err(packed)?;
    Ok(ServerMessage::Delta(changes::unpack(inner).map_err(packed)?))
}

/// Appends the Same frame of chunks that the client holds as they are.
pub fn encode_same(subscription: u32, chunks: &[ChunkPos], out: &mut Vec<u8>) {
    assert!(chunks.len() <= SAME_FRAME_MAX, "a Same of {} chunks", chunks.len());
    write_frame(Kind::Same, out, |out| {
        put(out, &wire::SameHead { subscription: subscription.into(), count: (chunks.len() as u32).into() });
        chunks.iter().for_each(|pos| put(out, &wire::Position::from(*pos)));
    });
}

fn read_same(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::SameHead = payload.read("the head")?;
    let count = payload.within(head.count.get(), 0, SAME_FRAME_MAX as u32, "number of chunks")?;
    let list: &[wire::Position] = payload.list(count as usize, "the list of chunks")?;
    let chunks = list.iter().map(|pos| payload.chunk(*pos)).collect::<Result<_, _>>()?;
    Ok(ServerMessage::Same { subscription: head.subscription.get(), chunks })
}

fn put_acknowledge(sequence: u64, tick: u64, refusals: &[RefusedInput], out: &mut Vec<u8>) {
    assert!(refusals.len() <= REFUSALS_PENDING_MAX, "an acknowledgement of {} refusals", refusals.len());
    let count = (refusals.len() as u16).into();
    put(out, &wire::AcknowledgeHead { sequence: sequence.into(), tick: tick.into(), refusals: count, zero: [0; 6] });
    for refusal in refusals {
        let reason = (refusal.reason as u16).into();
        put(out, &wire::RefusalEntry { sequence: refusal.sequence.into(), reason, zero: [0; 6] });
    }
}

fn read_acknowledge(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::AcknowledgeHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 18")?;
    let list: &[wire::RefusalEntry] = payload.list(usize::from(head.refusals.get()), "the list of refusals")?;
    let sequence = head.sequence.get();
    let mut refusals = Vec::with_capacity(list.len());
    for entry in list {
        payload.zero(&entry.zero, "the field behind a reason")?;
        let reason = payload.within(entry.reason.get(), 1, Reason::ALL.len() as u16, "reason of a refusal")?;
        refusals.push(RefusedInput {
            sequence: payload.within(entry.sequence.get(), 1, sequence, "sequence of a refusal")?,
            reason: Reason::from_number(reason).expect("checked above"),
        });
    }
    Ok(ServerMessage::Acknowledge { sequence, tick: head.tick.get(), refusals })
}

fn read_refused(payload: &mut Payload<'_>) -> Result<Refused, ProtocolError> {
    let head: &wire::RefusedHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 4")?;
    let code = payload.within(head.code.get(), 1, 12, "code")?;
    let text = payload.text(usize::from(head.text_bytes.get()), "text")?.to_owned();
    Ok(Refused { code: RefusedCode::from_number(code).expect("checked above"), text })
}
