//! Undo on a served world, as it travels (docs/undo.md): what is asked for, what it would do, how far it is.

use crate::error::ProtocolError;
use crate::frame::{Kind, write_frame};
use crate::limits::{
    DELTA_CHUNKS_MAX, DELTA_UNPACKED_BYTES_MAX, NAME_BYTES_MAX, QUEUED_FRAME_BYTES, REFUSED_TEXT_BYTES_MAX,
    UNDO_GHOST_BYTES_MAX, UNDO_GHOST_FRAME_VOXELS, UNDO_GHOST_VOXELS_MAX, UNDO_OTHERS_MAX, UNDO_PENDING_MAX,
};
use crate::message::{ClientMessage, Payload, ServerMessage, cut, put};
use crate::wire;
use std::collections::{BTreeMap, VecDeque};
use terrane_world::block::AIR;
use terrane_world::chunk::Version;
use terrane_world::delta::changes::{self, Changes};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{Class, pack_changes};
use terrane_world::space::ChunkPos;
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Run};
use terrane_world::undo::plan::Plan;
use terrane_world::undo::{Kinds, Rule};

/// The causes of each bit of [`UndoRequest::causes`].
const CAUSES: [&[CauseKind]; 5] = [
    &[CauseKind::Edit],
    &[CauseKind::Blast],
    &[CauseKind::Collapse, CauseKind::Landing, CauseKind::Slide],
    &[CauseKind::Dig],
    &[CauseKind::Undo],
];

/// What a client wants taken back. The world may not have the box, and nobody may have the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoRequest {
    /// Chosen by the client; no open undo of the connection has it.
    pub request: u32,
    /// Causes that are meant, a bit each: edit, blast, collapse, dig, undo; 0 for all but undo.
    pub causes: u8,
    /// What happens where somebody else has built since.
    pub rule: Rule,
    /// How long ago it may have been, in milliseconds; 0 for as long as history goes back.
    pub since_ms: u64,
    /// The undo that is to be taken back; then nothing else counts but the rule.
    pub undo: Option<u64>,
    /// The first voxel of the box, and one past its last.
    pub within: Option<[[i32; 3]; 2]>,
    /// Whose changes; empty for everybody.
    pub name: String,
}

impl UndoRequest {
    /// The causes that are meant.
    pub fn kinds(&self) -> Kinds {
        let meant = (0..CAUSES.len()).filter(|bit| self.causes >> bit & 1 == 1);
        let kinds = meant.map(|bit| CAUSES[bit].iter().copied().collect()).reduce(Kinds::and);
        kinds.unwrap_or_else(Kinds::all_but_undo)
    }
}

/// Somebody else who has changed voxels since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoOther {
    /// By which cause.
    pub cause: CauseKind,
    /// So many voxels.
    pub voxels: u64,
    /// What they call themselves; cut at 64 bytes.
    pub name: String,
}

/// What an undo would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoPlan {
    /// The request that it answers.
    pub request: u32,
    /// Chunks that would change.
    pub chunks: u32,
    /// Voxels that would be put back.
    pub voxels: u64,
    /// Voxels that are as they were already.
    pub unchanged: u64,
    /// Voxels that somebody else has changed since.
    pub conflicts: u64,
    /// Voxels in chunks that were loaded whole since.
    pub replaced: u64,
    /// The tick that history goes back to, if that is not far enough; else 0.
    pub begins: u64,
    /// Gaps in that history: less may be told than happened.
    pub gaps: u32,
    /// How many voxels changed last by which cause.
    pub causes: Vec<(CauseKind, u64)>,
    /// Those with the most voxels, 32 at most.
    pub others: Vec<UndoOther>,
}

/// What would be there after an undo, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoGhost {
    /// The request that it answers.
    pub request: u32,
    /// No more follow.
    pub last: bool,
    /// There is more than is told.
    pub is_cut: bool,
    /// What would be there; all versions are (0, 0).
    pub changes: Changes,
}

/// How an undo goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum UndoState {
    /// It waits until nothing falls.
    Waiting = 0,
    /// It goes on.
    Going = 1,
    /// It is done.
    Done = 2,
    /// It was ended in the middle.
    Ended = 3,
}

impl UndoState {
    const ALL: [Self; 4] = [Self::Waiting, Self::Going, Self::Done, Self::Ended];
}

/// How far an undo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndoProgress {
    /// The request.
    pub request: u32,
    /// How it goes on.
    pub state: UndoState,
    /// Its number; 0 before it has begun.
    pub undo: u64,
    /// Voxels looked at.
    pub looked_at: u64,
    /// Of so many.
    pub of: u64,
    /// Of those looked at, voxels that were something else by then, and stayed.
    pub stayed: u64,
}

/// Why there is no undo, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum UndoRefusal {
    /// The client is not on the server's machine.
    Stranger = 1,
    /// Nobody of that name is in history.
    Nobody = 2,
    /// Too much is meant at once.
    TooMuch = 3,
    /// Another undo goes on, or has been cut off.
    Another = 4,
    /// History can't be read.
    History = 5,
    /// There is no such plan, or not any more.
    NoPlan = 6,
    /// The world does not take it.
    World = 7,
}

impl UndoRefusal {
    /// Every reason, in order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Stranger, Self::Nobody, Self::TooMuch, Self::Another, Self::History, Self::NoPlan, Self::World];

    /// From the number in a frame.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// The end of a request without an undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoRefused {
    /// The request.
    pub request: u32,
    /// For programs.
    pub code: UndoRefusal,
    /// For people; cut at 1,024 bytes.
    pub text: String,
}

pub(crate) fn put_request(ask: &UndoRequest, out: &mut Vec<u8>) {
    let name = cut(&ask.name, NAME_BYTES_MAX);
    let [first, end] = ask.within.unwrap_or_default();
    put(
        out,
        &wire::UndoRequestHead {
            request: ask.request.into(),
            causes: ask.causes,
            rule: ask.rule as u8,
            has_box: ask.within.is_some().into(),
            name_bytes: name.len() as u8,
            since_ms: ask.since_ms.into(),
            undo: ask.undo.unwrap_or(0).into(),
            first: first.into(),
            end: end.into(),
        },
    );
    out.extend_from_slice(name.as_bytes());
}

pub(crate) fn read_request(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let head: &wire::UndoRequestHead = payload.read("the head")?;
    let causes = payload.within(head.causes, 0, (1u8 << CAUSES.len()) - 1, "causes")?;
    let rule = match payload.within(head.rule, 0, 1, "what becomes of others' voxels")? {
        0 => Rule::Keep,
        _ => Rule::Overwrite,
    };
    let ends = [head.first.to_array(), head.end.to_array()];
    let within = match payload.within(head.has_box, 0, 1, "whether there is a box")? {
        0 => {
            payload.zero(&[head.first, head.end], "the box that is not there")?;
            None
        }
        _ => Some(ends),
    };
    let name_bytes = payload.within(head.name_bytes, 0, NAME_BYTES_MAX as u8, "length of the name")?;
    let name = payload.text(usize::from(name_bytes), "name")?.to_owned();
    let undo = Some(head.undo.get()).filter(|undo| *undo > 0);
    let (request, since_ms) = (head.request.get(), head.since_ms.get());
    Ok(ClientMessage::Undo(UndoRequest { request, causes, rule, since_ms, undo, within, name }))
}

pub(crate) fn read_act(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let body: &wire::UndoActBody = payload.read("the body")?;
    payload.zero(&body.zero, "the field at offset 5")?;
    let ends = payload.within(body.act, 0, 1, "what is to be done")? == 1;
    Ok(ClientMessage::UndoAct { request: body.request.get(), ends })
}

pub(crate) fn put_plan(plan: &UndoPlan, out: &mut Vec<u8>) {
    assert!(plan.causes.len() <= CauseKind::ALL.len(), "a plan of {} causes", plan.causes.len());
    assert!(plan.others.len() <= UNDO_OTHERS_MAX, "a plan of {} others", plan.others.len());
    put(
        out,
        &wire::UndoPlanHead {
            request: plan.request.into(),
            chunks: plan.chunks.into(),
            voxels: plan.voxels.into(),
            unchanged: plan.unchanged.into(),
            conflicts: plan.conflicts.into(),
            replaced: plan.replaced.into(),
            begins: plan.begins.into(),
            gaps: plan.gaps.into(),
            causes: (plan.causes.len() as u16).into(),
            others: (plan.others.len() as u16).into(),
        },
    );
    for (cause, voxels) in &plan.causes {
        put(out, &wire::UndoCauseEntry { cause: *cause as u8, zero: [0; 7], voxels: (*voxels).into() });
    }
    for UndoOther { cause, voxels, name } in &plan.others {
        let name = cut(name, NAME_BYTES_MAX);
        let (cause, name_bytes) = (*cause as u8, name.len() as u8);
        put(out, &wire::UndoOtherHead { cause, name_bytes, zero: [0; 6], voxels: (*voxels).into() });
        out.extend_from_slice(name.as_bytes());
    }
}

fn read_cause(payload: &Payload<'_>, number: u8) -> Result<CauseKind, ProtocolError> {
    let number = payload.within(number, 1, CauseKind::ALL.len() as u8, "cause")?;
    Ok(CauseKind::from_number(number).expect("checked above"))
}

pub(crate) fn read_plan(payload: &mut Payload<'_>) -> Result<UndoPlan, ProtocolError> {
    let head: &wire::UndoPlanHead = payload.read("the head")?;
    let cause_count = payload.within(head.causes.get(), 0, CauseKind::ALL.len() as u16, "number of causes")?;
    let other_count = payload.within(head.others.get(), 0, UNDO_OTHERS_MAX as u16, "number of others")?;
    let list: &[wire::UndoCauseEntry] = payload.list(usize::from(cause_count), "the causes")?;
    let mut causes = Vec::with_capacity(list.len());
    for entry in list {
        payload.zero(&entry.zero, "the field behind a cause")?;
        causes.push((read_cause(payload, entry.cause)?, entry.voxels.get()));
    }
    let mut others = Vec::with_capacity(usize::from(other_count));
    for _ in 0..other_count {
        let head: &wire::UndoOtherHead = payload.read("the head of somebody else")?;
        payload.zero(&head.zero, "the field behind the length of a name")?;
        let cause = read_cause(payload, head.cause)?;
        let name_bytes = payload.within(head.name_bytes, 0, NAME_BYTES_MAX as u8, "length of a name")?;
        let name = payload.text(usize::from(name_bytes), "name of somebody else")?.to_owned();
        others.push(UndoOther { cause, voxels: head.voxels.get(), name });
    }
    Ok(UndoPlan {
        request: head.request.get(),
        chunks: head.chunks.get(),
        voxels: head.voxels.get(),
        unchanged: head.unchanged.get(),
        conflicts: head.conflicts.get(),
        replaced: head.replaced.get(),
        begins: head.begins.get(),
        gaps: head.gaps.get(),
        causes,
        others,
    })
}

/// Appends an UndoGhost frame of what is packed already.
pub(crate) fn encode_ghost(request: u32, last: bool, is_cut: bool, packed: &[u8], out: &mut Vec<u8>) {
    write_frame(Kind::UndoGhost, out, |out| {
        let (last, is_cut) = (last.into(), is_cut.into());
        put(out, &wire::UndoGhostHead { request: request.into(), last, is_cut, zero: 0.into() });
        out.extend_from_slice(packed);
    });
}

pub(crate) fn read_ghost(payload: &mut Payload<'_>) -> Result<UndoGhost, ProtocolError> {
    let head: &wire::UndoGhostHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 6")?;
    let last = payload.within(head.last, 0, 1, "whether it is the last part")? == 1;
    let is_cut = payload.within(head.is_cut, 0, 1, "whether there is more")? == 1;
    let packed = |source| ProtocolError::Packed { kind: Kind::UndoGhost, source };
    let mut outer = Outer::new();
    let inner = outer.unpack(payload.rest(), DELTA_UNPACKED_BYTES_MAX).map_err(packed)?;
    Ok(UndoGhost { request: head.request.get(), last, is_cut, changes: changes::unpack(inner).map_err(packed)? })
}

pub(crate) fn put_progress(progress: UndoProgress, out: &mut Vec<u8>) {
    put(
        out,
        &wire::UndoProgressBody {
            request: progress.request.into(),
            state: progress.state as u8,
            zero: [0; 3],
            undo: progress.undo.into(),
            looked_at: progress.looked_at.into(),
            of: progress.of.into(),
            stayed: progress.stayed.into(),
        },
    );
}

pub(crate) fn read_progress(payload: &mut Payload<'_>) -> Result<UndoProgress, ProtocolError> {
    let body: &wire::UndoProgressBody = payload.read("the body")?;
    payload.zero(&body.zero, "the field at offset 5")?;
    let state = UndoState::ALL[usize::from(payload.within(body.state, 0, 3, "state")?)];
    let (undo, looked_at) = (body.undo.get(), body.looked_at.get());
    let (request, of, stayed) = (body.request.get(), body.of.get(), body.stayed.get());
    payload.within(looked_at, 0, of, "number of voxels looked at")?;
    payload.within(stayed, 0, looked_at, "number of voxels that stayed")?;
    Ok(UndoProgress { request, state, undo, looked_at, of, stayed })
}

pub(crate) fn put_refused(refused: &UndoRefused, out: &mut Vec<u8>) {
    let text = cut(&refused.text, REFUSED_TEXT_BYTES_MAX);
    let (code, text_bytes) = ((refused.code as u16).into(), (text.len() as u16).into());
    put(out, &wire::UndoRefusedHead { request: refused.request.into(), code, text_bytes });
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn read_refused(payload: &mut Payload<'_>) -> Result<UndoRefused, ProtocolError> {
    let head: &wire::UndoRefusedHead = payload.read("the head")?;
    let code = payload.within(head.code.get(), 1, UndoRefusal::ALL.len() as u16, "code")?;
    let text = payload.text(usize::from(head.text_bytes.get()), "text")?.to_owned();
    let code = UndoRefusal::from_number(code).expect("checked above");
    Ok(UndoRefused { request: head.request.get(), code, text })
}

/// The UndoGhost frames of a plan, of what it would do after a tick: those of the chunks nearest to the one with the most voxels, as
/// far as the limits go. There is one at least.
pub fn ghost_frames(request: u32, tick: u64, plan: &Plan) -> Vec<Vec<u8>> {
    let mut chunks = ghost_chunks(plan);
    let most = chunks.iter().map(|delta| (voxel_count(delta), std::cmp::Reverse(delta.pos))).max();
    if let Some((_, std::cmp::Reverse(centre))) = most {
        chunks.sort_by_cached_key(|delta| (distance(delta.pos, centre), delta.pos));
    }
    let mut outer = Outer::new();
    let (mut parts, mut voxels, mut bytes) = (Vec::new(), 0, 0);
    let mut rest = &chunks[..];
    while !rest.is_empty() {
        let (count, part_voxels) = part_of(rest);
        let mut packed = Vec::new();
        pack_changes(tick, &rest[..count], Class::Small, &mut outer, &mut packed);
        if voxels + part_voxels > UNDO_GHOST_VOXELS_MAX || bytes + packed.len() > UNDO_GHOST_BYTES_MAX {
            break;
        }
        (voxels, bytes) = (voxels + part_voxels, bytes + packed.len());
        parts.push(packed);
        rest = &rest[count..];
    }
    if parts.is_empty() {
        let mut none = Vec::new();
        pack_changes::<ChunkDelta>(tick, &[], Class::Small, &mut outer, &mut none);
        parts.push(none);
    }
    let last = parts.len() - 1;
    let frame = |(index, packed): (usize, &Vec<u8>)| {
        let mut frame = Vec::new();
        encode_ghost(request, index == last, !rest.is_empty(), packed, &mut frame);
        frame
    };
    parts.iter().enumerate().map(frame).collect()
}

/// How many chunks go into the next frame, and their voxels: one at least.
fn part_of(chunks: &[ChunkDelta]) -> (usize, usize) {
    let (mut count, mut voxels) = (0, 0);
    for delta in chunks.iter().take(DELTA_CHUNKS_MAX) {
        let more = voxel_count(delta);
        if count > 0 && voxels + more > UNDO_GHOST_FRAME_VOXELS {
            break;
        }
        (count, voxels) = (count + 1, voxels + more);
    }
    (count, voxels)
}

fn voxel_count(delta: &ChunkDelta) -> usize {
    delta.runs.iter().map(|run| usize::from(run.length)).sum()
}

fn distance(one: ChunkPos, other: ChunkPos) -> i64 {
    let (one, other) = (one.to_array(), other.to_array());
    (0..3).map(|axis| (i64::from(one[axis]) - i64::from(other[axis])).pow(2)).sum()
}

/// What the blocks of a plan would become, by chunk, as something that can be packed. Sparse data does not travel.
fn ghost_chunks(plan: &Plan) -> Vec<ChunkDelta> {
    let cause = Cause { kind: CauseKind::Undo, actor: ActorId(0), root: 0 };
    let mut chunks: BTreeMap<ChunkPos, ChunkDelta> = BTreeMap::new();
    for voxel in plan.voxels() {
        let Some(block) = &voxel.block else { continue };
        let (pos, local) = (voxel.pos.chunk(), voxel.pos.local());
        let (from, to) = (Version::NONE, Version::NONE);
        let fresh = || ChunkDelta { pos, from, to, cause, body: None, runs: Vec::new(), sparse: Vec::new() };
        let runs = &mut chunks.entry(pos).or_insert_with(fresh).runs;
        match runs.last_mut().filter(|run| run.first.get() + run.length == local.get() && run.new == block.to) {
            Some(run) => run.length += 1,
            None => runs.push(Run { first: local, length: 1, old: AIR, new: block.to }),
        }
    }
    chunks.into_values().collect()
}

/// Frames about undo that wait for one client, bounded whether it reads or not.
#[derive(Debug, Default)]
pub(crate) struct UndoQueue {
    frames: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    what: What,
    frame: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A plan or a part of its ghost: a newer plan takes its place.
    Plan,
    /// How far this request is: newer progress takes its place.
    Progress(u32),
    Refused,
}

impl UndoQueue {
    /// A plan and its ghost, in place of those before that still wait.
    pub(crate) fn offer_plan(&mut self, frames: Vec<Vec<u8>>) {
        self.drop_plan();
        frames.into_iter().for_each(|frame| self.push(What::Plan, frame));
    }

    /// Nobody wants to see the plan that waits any more.
    pub(crate) fn drop_plan(&mut self) {
        self.frames.retain(|waiting| waiting.what != What::Plan);
        self.bytes = self.frames.iter().map(|waiting| waiting.frame.len() + QUEUED_FRAME_BYTES).sum();
    }

    /// How far an undo is, in place of how far it was.
    pub(crate) fn offer_progress(&mut self, progress: UndoProgress) -> Result<(), ProtocolError> {
        let what = What::Progress(progress.request);
        let mut frame = Vec::new();
        ServerMessage::UndoProgress(progress).encode(&mut frame);
        if let Some(last) = self.frames.back_mut().filter(|last| last.what == what) {
            last.frame = frame;
            return Ok(());
        }
        self.offer(what, frame)
    }

    /// The end of a request.
    pub(crate) fn offer_refused(&mut self, refused: UndoRefused) -> Result<(), ProtocolError> {
        let mut frame = Vec::new();
        ServerMessage::UndoRefused(refused).encode(&mut frame);
        self.offer(What::Refused, frame)
    }

    fn offer(&mut self, what: What, frame: Vec<u8>) -> Result<(), ProtocolError> {
        let pending = self.frames.iter().filter(|waiting| waiting.what != What::Plan).count();
        if pending >= UNDO_PENDING_MAX {
            return Err(ProtocolError::Unread { what: "answers about undos", pending });
        }
        self.push(what, frame);
        Ok(())
    }

    fn push(&mut self, what: What, frame: Vec<u8>) {
        self.bytes += frame.len() + QUEUED_FRAME_BYTES;
        self.frames.push_back(Waiting { what, frame });
    }

    /// The next frame.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        self.frames.front().map(|waiting| &waiting.frame[..])
    }

    /// The next frame has been sent.
    pub(crate) fn pop(&mut self) {
        if let Some(sent) = self.frames.pop_front() {
            self.bytes -= sent.frame.len() + QUEUED_FRAME_BYTES;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}
