//! Questions about paths and their answers, as they travel; fields are in [`crate::field`].

use crate::error::ProtocolError;
use crate::limits::{GOALS_MAX, MODES_TOLD_MAX, REFUSED_TEXT_BYTES_MAX, WAYPOINTS_PART_MAX};
use crate::message::{ClientMessage, Payload, ServerMessage, cut, put};
use crate::wire;
use terrane_world::path::mode::{DROP_MAX, HEIGHT_MAX, MODE_NAME_MAX, Medium, Mode, STEP_MAX, WIDTH_MAX};
use terrane_world::path::search::End;
use terrane_world::space::VoxelPos;

/// What is asked of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Wanted {
    /// The way itself.
    Way = 0,
    /// Only whether there is one.
    Reachable = 1,
}

/// A question about the way between two voxels. The world may have neither of them, nor the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRequest {
    /// Chosen by the client; no other open request of the connection has it.
    pub request: u32,
    /// What is asked.
    pub wanted: Wanted,
    /// How far around both ends the way may lead, in voxels.
    pub around: u32,
    /// The name of the mode, 1 to 32 bytes.
    pub mode: String,
    /// Where from.
    pub from: [i32; 3],
    /// Where to.
    pub to: [i32; 3],
}

/// A wish for a field, which follows the world from then on. The world may have neither the box nor the goals nor the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequest {
    /// Chosen by the client; no other open request of the connection has it.
    pub request: u32,
    /// The name of the mode, 1 to 32 bytes.
    pub mode: String,
    /// 1 to 16.
    pub goals: Vec<[i32; 3]>,
    /// The first voxel of the box.
    pub first: [i32; 3],
    /// One past its last.
    pub end: [i32; 3],
}

/// A part of the way that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPart {
    /// The request that it answers.
    pub request: u32,
    /// From 0.
    pub part: u16,
    /// Nothing comes behind it.
    pub last: bool,
    /// How far the way leads.
    pub end: End,
    /// What all of it costs; 0 if only reachability was asked for.
    pub cost: u64,
    /// Voxels that were looked at.
    pub searched: u64,
    /// It is true after this tick.
    pub tick: u64,
    /// Waypoints of this part, 4,096 at most.
    pub waypoints: Vec<VoxelPos>,
}

impl PathPart {
    /// A whole way in parts, of which this is the first as far as its waypoints are too many.
    pub fn split(mut self) -> Vec<Self> {
        let mut parts = Vec::new();
        while self.waypoints.len() > WAYPOINTS_PART_MAX {
            let rest = self.waypoints.split_off(WAYPOINTS_PART_MAX);
            let next = Self { part: self.part + 1, waypoints: rest, ..self.clone() };
            parts.push(Self { last: false, ..self });
            self = next;
        }
        parts.push(Self { last: true, ..self });
        parts
    }
}

/// Why a request is not answered, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum PathRefusal {
    /// The world has no such mode, or can't use it.
    Mode = 1,
    /// A position is outside the world.
    OutsideWorld = 2,
    /// Where it starts is no place for the mode.
    StartBlocked = 3,
    /// A goal is no place for the mode.
    GoalBlocked = 4,
    /// The ends are too far from each other, or too much around them is to be looked at.
    TooFar = 5,
    /// The box is empty or too large.
    Box = 6,
    /// A goal is outside the box.
    GoalOutsideBox = 7,
    /// Too many requests of the session are open.
    TooManyRequests = 8,
    /// A chunk that the answer depends on can't be read.
    Unreadable = 9,
    /// The server has no room for another field.
    NoRoom = 10,
    /// The client has cancelled it.
    Cancelled = 11,
}

impl PathRefusal {
    /// Every reason, in order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Mode,
        Self::OutsideWorld,
        Self::StartBlocked,
        Self::GoalBlocked,
        Self::TooFar,
        Self::Box,
        Self::GoalOutsideBox,
        Self::TooManyRequests,
        Self::Unreadable,
        Self::NoRoom,
        Self::Cancelled,
    ];

    /// From the number in a frame.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// The end of a request without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRefused {
    /// The request.
    pub request: u32,
    /// For programs.
    pub code: PathRefusal,
    /// For people; cut at 1,024 bytes.
    pub text: String,
}

const ENDS: [End; 4] = [End::Goal, End::Border, End::Unreachable, End::TooFar];
const MEDIA: [Medium; 4] = [Medium::Walk, Medium::Fly, Medium::Swim, Medium::Dig];

fn number<T: PartialEq>(of: &[T], value: &T) -> u8 {
    of.iter().position(|known| known == value).expect("all of them are listed") as u8
}

pub(crate) fn checked_name(mode: &str) -> &[u8] {
    assert!((1..=MODE_NAME_MAX).contains(&mode.len()), "a mode's name of {} bytes", mode.len());
    mode.as_bytes()
}

pub(crate) fn read_name(payload: &mut Payload<'_>, bytes: u8) -> Result<String, ProtocolError> {
    let bytes = payload.within(bytes, 1, MODE_NAME_MAX as u8, "length of the mode's name")?;
    Ok(payload.text(usize::from(bytes), "mode's name")?.to_owned())
}

pub(crate) fn put_request(ask: &PathRequest, out: &mut Vec<u8>) {
    let mode = checked_name(&ask.mode);
    put(
        out,
        &wire::PathRequestHead {
            request: ask.request.into(),
            what: ask.wanted as u8,
            mode_bytes: mode.len() as u8,
            zero: 0.into(),
            around: ask.around.into(),
            from: ask.from.into(),
            to: ask.to.into(),
        },
    );
    out.extend_from_slice(mode);
}

pub(crate) fn read_request(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let head: &wire::PathRequestHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 6")?;
    let wanted = match payload.within(head.what, 0, 1, "what is asked")? {
        0 => Wanted::Way,
        _ => Wanted::Reachable,
    };
    let mode = read_name(payload, head.mode_bytes)?;
    let (from, to) = (head.from.to_array(), head.to.to_array());
    let (request, around) = (head.request.get(), head.around.get());
    Ok(ClientMessage::Path(PathRequest { request, wanted, around, mode, from, to }))
}

pub(crate) fn put_field_request(ask: &FieldRequest, out: &mut Vec<u8>) {
    let mode = checked_name(&ask.mode);
    assert!((1..=GOALS_MAX).contains(&ask.goals.len()), "a field of {} goals", ask.goals.len());
    put(
        out,
        &wire::FieldRequestHead {
            request: ask.request.into(),
            mode_bytes: mode.len() as u8,
            goals: ask.goals.len() as u8,
            zero: 0.into(),
            first: ask.first.into(),
            end: ask.end.into(),
        },
    );
    ask.goals.iter().for_each(|goal| put(out, &wire::Position::from(*goal)));
    out.extend_from_slice(mode);
}

pub(crate) fn read_field_request(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let head: &wire::FieldRequestHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 6")?;
    let count = payload.within(head.goals, 1, GOALS_MAX as u8, "number of goals")?;
    let goals: &[wire::Position] = payload.list(usize::from(count), "the goals")?;
    let goals = goals.iter().map(|goal| goal.to_array()).collect();
    let mode = read_name(payload, head.mode_bytes)?;
    let (first, end) = (head.first.to_array(), head.end.to_array());
    Ok(ClientMessage::Field(FieldRequest { request: head.request.get(), mode, goals, first, end }))
}

pub(crate) fn read_cancel(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let body: &wire::CancelBody = payload.read("the body")?;
    payload.zero(&body.zero, "the field at offset 4")?;
    Ok(ClientMessage::Cancel { request: body.request.get() })
}

pub(crate) fn put_modes(modes: &[Mode], out: &mut Vec<u8>) {
    assert!(modes.len() <= MODES_TOLD_MAX, "{} modes", modes.len());
    put(out, &wire::ModesHead { count: (modes.len() as u16).into(), zero: [0; 6] });
    for mode in modes {
        let name = checked_name(&mode.name);
        put(
            out,
            &wire::ModeHead {
                medium: number(&MEDIA, &mode.medium),
                flags: u8::from(mode.diagonal) | u8::from(mode.swim) << 1 | u8::from(mode.climb) << 2,
                height: mode.height,
                width: mode.width,
                step_up: mode.step_up,
                drop: mode.drop,
                name_bytes: name.len() as u8,
                zero: 0,
            },
        );
        out.extend_from_slice(name);
    }
}

pub(crate) fn read_modes(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::ModesHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 2")?;
    let count = payload.within(head.count.get(), 0, MODES_TOLD_MAX as u16, "number of modes")?;
    let mut modes = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let head: &wire::ModeHead = payload.read("the head of a mode")?;
        payload.zero(&head.zero, "the field behind the length of a mode's name")?;
        let medium = MEDIA[usize::from(payload.within(head.medium, 0, 3, "medium of a mode")?)];
        let flags = payload.within(head.flags, 0, 7, "flags of a mode")?;
        modes.push(Mode {
            medium,
            diagonal: flags & 1 != 0,
            swim: flags & 2 != 0,
            climb: flags & 4 != 0,
            height: payload.within(head.height, 1, HEIGHT_MAX, "height of a mode")?,
            width: payload.within(head.width, 1, WIDTH_MAX, "width of a mode")?,
            step_up: payload.within(head.step_up, 0, STEP_MAX, "step of a mode")?,
            drop: payload.within(head.drop, 0, DROP_MAX, "drop of a mode")?,
            name: read_name(payload, head.name_bytes)?,
        });
    }
    Ok(ServerMessage::Modes { modes })
}

pub(crate) fn put_part(part: &PathPart, out: &mut Vec<u8>) {
    assert!(part.waypoints.len() <= WAYPOINTS_PART_MAX, "a part of {} waypoints", part.waypoints.len());
    put(
        out,
        &wire::PathAnswerHead {
            request: part.request.into(),
            part: part.part.into(),
            last: part.last.into(),
            end: number(&ENDS, &part.end),
            cost: part.cost.into(),
            searched: part.searched.into(),
            tick: part.tick.into(),
            waypoints: (part.waypoints.len() as u32).into(),
            zero: 0.into(),
        },
    );
    part.waypoints.iter().for_each(|at| put(out, &wire::Position::from(*at)));
}

pub(crate) fn read_part(payload: &mut Payload<'_>) -> Result<PathPart, ProtocolError> {
    let head: &wire::PathAnswerHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 36")?;
    let last = payload.within(head.last, 0, 1, "whether it is the last part")? == 1;
    let end = ENDS[usize::from(payload.within(head.end, 0, 3, "end of the way")?)];
    let count = payload.within(head.waypoints.get(), 0, WAYPOINTS_PART_MAX as u32, "number of waypoints")?;
    let list: &[wire::Position] = payload.list(count as usize, "the waypoints")?;
    let waypoints = list.iter().map(|at| payload.voxel(*at)).collect::<Result<_, _>>()?;
    let (cost, searched, tick) = (head.cost.get(), head.searched.get(), head.tick.get());
    let (request, part) = (head.request.get(), head.part.get());
    Ok(PathPart { request, part, last, end, cost, searched, tick, waypoints })
}

pub(crate) fn put_refused(refused: &PathRefused, out: &mut Vec<u8>) {
    let text = cut(&refused.text, REFUSED_TEXT_BYTES_MAX);
    let (code, text_bytes) = ((refused.code as u16).into(), (text.len() as u16).into());
    put(out, &wire::PathRefusedHead { request: refused.request.into(), code, text_bytes });
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn read_refused(payload: &mut Payload<'_>) -> Result<PathRefused, ProtocolError> {
    let head: &wire::PathRefusedHead = payload.read("the head")?;
    let code = payload.within(head.code.get(), 1, PathRefusal::ALL.len() as u16, "code")?;
    let text = payload.text(usize::from(head.text_bytes.get()), "text")?.to_owned();
    let code = PathRefusal::from_number(code).expect("checked above");
    Ok(PathRefused { request: head.request.get(), code, text })
}

impl From<PathPart> for ServerMessage {
    fn from(part: PathPart) -> Self {
        Self::PathAnswer(part)
    }
}

impl ClientMessage {
    /// The request that it opens or cancels.
    pub const fn request(&self) -> Option<u32> {
        match self {
            Self::Path(ask) => Some(ask.request),
            Self::Field(ask) => Some(ask.request),
            Self::Cancel { request } => Some(*request),
            _ => None,
        }
    }
}
