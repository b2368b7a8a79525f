//! What is sent to one client, and when: answers at once, then deltas and snapshots in turns.
//!
//! A chunk of the subscription is in one of two states. Either its snapshot is *wanted*: deltas of it are
//! ignored, because the snapshot is made from the chunk's state at the moment of sending and shows them already.
//! Or the client *follows* it: it holds, or has on its way, every version up to `tail`, and a delta that begins
//! there is queued. What does not fit the queue, or does not begin at `tail`, makes the snapshot wanted again. So
//! there is never a gap, whatever was dropped, and never more queued than the bound.
//!
//! A body is queued among the deltas of its tick, and from then on *followed*: its moves and its end are told. Where they
//! don't fit, the newest move and the end are kept by themselves and go out when the queue is empty; a body that does not
//! fit is not followed. Answers about paths have turns of their own beside deltas and snapshots, as have agents, which are made
//! at the moment of sending ([`crate::following`]). Overlays come behind everything else, and are made in the same way.

use crate::MAGIC;
use crate::body::{BodyFrames, BodyMove, encode_ends, encode_moves, ends_frame_bytes, moves_frame_bytes};
use crate::crowd::AgentsPart;
use crate::error::ProtocolError;
use crate::following::{AgentSource, Following, NoAgents};
use crate::interest::Shape;
use crate::limits::{
    AGENTS_TURN_BYTES, BODIES_FOLLOWED_MAX, DELTA_FRAME_BYTES_MAX, DELTA_TURN_BYTES, HEADER_BYTES,
    OUTPUT_QUEUE_BYTES_MAX, OUTPUT_TRANSPORT_BYTES_MAX, PATHS_TURN_BYTES, PONGS_PENDING_MAX, QUEUED_FRAME_BYTES,
    REFUSALS_PENDING_MAX, REGISTRY_FRAME_BYTES, REQUESTS_REFUSED_PENDING_MAX, SNAPSHOT_TRIES_MAX, SNAPSHOT_TURN_BYTES,
};
use crate::message::{BlockInfo, Refused, RefusedInput, ServerMessage, Welcome};
use crate::message::{encode_delta, encode_snapshot, snapshot_frame_bytes};
use crate::overlay::{OverlayKind, OverlayKinds};
use crate::path::PathRefused;
use crate::wire;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use terrane_world::chunk::Version;
use terrane_world::space::ChunkPos;
use terrane_world::step::{ChunkDelta, Held};

/// A delta as a frame, made once and shared by every stream that sends it.
#[derive(Debug, Clone)]
pub struct DeltaFrame {
    pos: ChunkPos,
    from: Version,
    to: Version,
    bytes: Arc<[u8]>,
}

impl DeltaFrame {
    /// The frame of what changed in `tick`.
    pub fn new(delta: &ChunkDelta, tick: u64) -> Self {
        let mut bytes = Vec::new();
        encode_delta(delta, tick, &mut bytes);
        Self { pos: delta.pos, from: delta.from, to: delta.to, bytes: bytes.into() }
    }

    /// The chunk it changes.
    pub const fn pos(&self) -> ChunkPos {
        self.pos
    }

    fn charge_bytes(&self) -> usize {
        self.bytes.len() + QUEUED_FRAME_BYTES
    }
}

/// The Registry frames of blocks from id `first` on, made once and shared by every stream that sends them.
pub fn registry_frames(first: u16, blocks: &[BlockInfo]) -> Vec<Arc<[u8]>> {
    let mut frames = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (index, block) in blocks.iter().enumerate() {
        bytes += block.wire_bytes();
        if bytes >= REGISTRY_FRAME_BYTES || index + 1 == blocks.len() {
            let mut frame = Vec::with_capacity(bytes + 16);
            let part = blocks[begin..=index].to_vec();
            ServerMessage::Registry { first: first + begin as u16, blocks: part }.encode(&mut frame);
            frames.push(frame.into());
            (begin, bytes) = (index + 1, 0);
        }
    }
    frames
}

#[derive(Debug)]
struct ChunkState {
    /// Place in the order of the subscription.
    rank: u32,
    /// A snapshot is to be sent; then nothing is queued for the chunk.
    wanted: bool,
    /// A snapshot has been sent: the client knows the chunk.
    sent: bool,
    /// The version that the client holds once it has read all that was sent and queued.
    tail: Version,
    /// The newest version that a snapshot has to show, because the delta that led there was not queued.
    shown_at_least: Version,
    /// Keys of the chunk's deltas in the queue.
    queued: Vec<u64>,
    /// Overlays that are to be sent.
    overlays_due: OverlayKinds,
}

impl ChunkState {
    const fn new(rank: u32) -> Self {
        let none = Version::NONE;
        Self {
            rank,
            wanted: true,
            sent: false,
            tail: none,
            shown_at_least: none,
            queued: Vec::new(),
            overlays_due: OverlayKinds::NONE,
        }
    }
}

#[derive(Debug)]
enum Queued {
    Delta(DeltaFrame),
    /// The frames are shared, so that here they are only what is left of them to send.
    Body {
        frames: Arc<BodyFrames>,
        next: usize,
    },
    Moves {
        tick: u64,
        moves: Vec<BodyMove>,
    },
    Ends {
        handles: Vec<u32>,
    },
    Acknowledge {
        sequence: u64,
        tick: u64,
        refusals: Vec<RefusedInput>,
    },
}

impl Queued {
    /// Bytes of the frame that goes next.
    fn frame_bytes(&self) -> usize {
        match self {
            Self::Delta(delta) => delta.bytes.len(),
            Self::Body { frames, next } => frames.parts[*next].len(),
            Self::Moves { moves, .. } => moves_frame_bytes(moves.len()),
            Self::Ends { handles } => ends_frame_bytes(handles.len()),
            Self::Acknowledge { refusals, .. } => {
                HEADER_BYTES + size_of::<wire::AcknowledgeHead>() + refusals.len() * size_of::<wire::RefusalEntry>()
            }
        }
    }

    fn charge_bytes(&self) -> usize {
        match self {
            Self::Body { .. } => QUEUED_FRAME_BYTES,
            _ => self.frame_bytes() + QUEUED_FRAME_BYTES,
        }
    }
}

/// A body that the client is told of.
#[derive(Debug)]
struct Followed {
    frames: Arc<BodyFrames>,
    /// Its place in the queue until all of its frames are sent.
    queued: Option<u64>,
    /// Some of its frames are sent.
    begun: bool,
    /// Its newest move, if that did not fit the queue, with its tick.
    late: Option<(u64, BodyMove)>,
}

#[derive(Debug)]
enum Answer {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
    Pong {
        number: u64,
        tick: u64,
    },
    /// A request that was not opened.
    RequestRefused(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Deltas,
    Snapshots,
    Paths,
    Agents,
}

impl Turn {
    const COUNT: usize = 4;

    /// The turn behind this one, and the bytes that it has.
    const fn next(self) -> (Self, usize) {
        match self {
            Self::Deltas => (Self::Snapshots, SNAPSHOT_TURN_BYTES),
            Self::Snapshots => (Self::Paths, PATHS_TURN_BYTES),
            Self::Paths => (Self::Agents, AGENTS_TURN_BYTES),
            Self::Agents => (Self::Deltas, DELTA_TURN_BYTES),
        }
    }
}

/// What there is of an overlay.
#[derive(Debug, Clone)]
pub enum OverlayAnswer {
    /// Its frame.
    Frame(Arc<[u8]>),
    /// Nothing yet: the next one gets its turn.
    Later,
    /// Nothing, and no more is to be asked for now.
    Enough,
}

/// How a turn ended.
#[derive(PartialEq, Eq)]
enum Step {
    /// The next frame does not fit.
    Full,
    /// The turn is over, or there is nothing to send in it.
    Over {
        /// Whether anything was sent.
        sent: bool,
    },
}

/// What one call of [`ChunkStream::next`] may still do.
struct Round {
    room_bytes: usize,
    /// Nothing is in the transport: one frame goes even if the caller's budget is smaller.
    idle: bool,
    tries: usize,
    from_rank: u32,
}

impl Round {
    fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.room_bytes && !self.idle {
            return false;
        }
        self.idle = false;
        self.room_bytes = self.room_bytes.saturating_sub(bytes);
        true
    }
}

/// The sending half of a connection. The receiving half is [`crate::session::Session`].
///
/// What it is offered must be committed, and what it is shown as a snapshot must show every delta offered before.
#[derive(Debug)]
pub struct ChunkStream {
    transport_bytes_max: usize,
    queue_bytes_max: usize,
    /// Bytes given to the transport that it has not got rid of.
    unsent_bytes: usize,
    answers: VecDeque<Answer>,
    pongs: usize,
    /// Refusals of requests among the answers.
    requests_refused: usize,
    ended: bool,

    subscription: u32,
    pending: Option<(u32, Shape)>,
    shape: Option<Shape>,
    order: Vec<ChunkPos>,
    chunks: HashMap<ChunkPos, ChunkState>,
    forgets: VecDeque<(ChunkPos, u32)>,
    /// Chunks whose snapshot is wanted, by rank.
    wanted: BTreeMap<u32, ChunkPos>,
    /// Chunks of the subscription that were never sent.
    unseen: usize,
    caught_up: Option<u32>,
    resume_rank: u32,

    queue: BTreeMap<u64, Queued>,
    queue_key: u64,
    queued_bytes: usize,
    refusals: usize,
    turn: Turn,
    turn_bytes: usize,

    bodies: BTreeMap<u32, Followed>,
    /// Bodies of which some move is late.
    late: BTreeSet<u32>,
    /// Bodies whose end did not fit the queue.
    late_ends: BTreeSet<u32>,
    bodies_wanted: bool,

    agents: Following,
    agents_wanted: bool,

    /// Frames about paths that wait.
    paths: VecDeque<Vec<u8>>,
    paths_bytes: usize,
    /// Bytes of such frames that were sent since it was last asked.
    paths_sent_bytes: usize,

    overlays: OverlayKinds,
    /// Chunks that have an overlay due, by rank.
    overlays_due: BTreeMap<u32, ChunkPos>,
    /// The last call of [`ChunkStream::next`] sent all that was at hand.
    is_drained: bool,
}

impl Default for ChunkStream {
    fn default() -> Self {
        Self::new(OUTPUT_TRANSPORT_BYTES_MAX, OUTPUT_QUEUE_BYTES_MAX)
    }
}

impl ChunkStream {
    /// A stream at the start of a connection. [`Default`] has the bounds of `limits`; these are for tests and tuning.
    ///
    /// # Panics
    /// If a bound is too small for the largest frame that it must hold.
    pub fn new(transport_bytes_max: usize, queue_bytes_max: usize) -> Self {
        assert!(transport_bytes_max >= DELTA_FRAME_BYTES_MAX, "the largest delta must fit the transport");
        let acknowledge_bytes = REFUSALS_PENDING_MAX * size_of::<wire::RefusalEntry>() + 2 * QUEUED_FRAME_BYTES;
        assert!(queue_bytes_max >= acknowledge_bytes, "the largest acknowledgement must fit the queue");
        Self {
            transport_bytes_max,
            queue_bytes_max,
            unsent_bytes: 0,
            answers: VecDeque::from([Answer::Own(MAGIC.to_vec())]),
            pongs: 0,
            requests_refused: 0,
            ended: false,
            subscription: 0,
            pending: None,
            shape: None,
            order: Vec::new(),
            chunks: HashMap::new(),
            forgets: VecDeque::new(),
            wanted: BTreeMap::new(),
            unseen: 0,
            caught_up: None,
            resume_rank: 0,
            queue: BTreeMap::new(),
            queue_key: 0,
            queued_bytes: 0,
            refusals: 0,
            turn: Turn::Deltas,
            turn_bytes: DELTA_TURN_BYTES,
            bodies: BTreeMap::new(),
            late: BTreeSet::new(),
            late_ends: BTreeSet::new(),
            bodies_wanted: false,
            agents: Following::default(),
            agents_wanted: false,
            paths: VecDeque::new(),
            paths_bytes: 0,
            paths_sent_bytes: 0,
            overlays: OverlayKinds::NONE,
            overlays_due: BTreeMap::new(),
            is_drained: false,
        }
    }

    /// Answers Hello, once, before anything else.
    pub fn welcome(&mut self, welcome: &Welcome) {
        self.answer(&ServerMessage::Welcome(welcome.clone()));
    }

    /// Tells the registry, or how it has grown. Everything told later may name its blocks.
    pub fn registry(&mut self, frames: &[Arc<[u8]>]) {
        if !self.ended {
            self.answers.extend(frames.iter().map(|frame| Answer::Shared(Arc::clone(frame))));
        }
    }

    /// Answers Ping, ahead of chunk data. An error means that the client doesn't read its answers.
    pub fn pong(&mut self, number: u64, tick: u64) -> Result<(), ProtocolError> {
        if self.ended {
            return Ok(());
        }
        if self.pongs == PONGS_PENDING_MAX {
            return Err(ProtocolError::Unread { what: "answers to Ping", pending: self.pongs });
        }
        self.pongs += 1;
        self.answers.push_back(Answer::Pong { number, tick });
        Ok(())
    }

    /// Says that a request was not opened, ahead of chunk data. An error means that the client doesn't read its answers.
    pub fn refuse_request(&mut self, refused: PathRefused) -> Result<(), ProtocolError> {
        if self.ended {
            return Ok(());
        }
        if self.requests_refused == REQUESTS_REFUSED_PENDING_MAX {
            return Err(ProtocolError::Unread { what: "refused requests", pending: self.requests_refused });
        }
        self.requests_refused += 1;
        let mut bytes = Vec::new();
        ServerMessage::PathRefused(refused).encode(&mut bytes);
        self.answers.push_back(Answer::RequestRefused(bytes));
        Ok(())
    }

    /// Offers a frame about paths, to be sent in its turn. [`ChunkStream::take_paths_sent`] says when there is room for more:
    /// whoever makes them keeps what is not sent within `OUTPUT_PATHS_BYTES_MAX`.
    pub fn offer_paths(&mut self, frame: Vec<u8>) {
        if !self.ended {
            self.paths_bytes += frame.len();
            self.paths.push_back(frame);
        }
    }

    /// Bytes of frames about paths that were sent since this was last asked.
    pub const fn take_paths_sent(&mut self) -> usize {
        std::mem::replace(&mut self.paths_sent_bytes, 0)
    }

    /// Ends the stream: whatever waits is dropped, Refused goes out, and then nothing.
    pub fn refuse(&mut self, refused: &Refused) {
        if self.ended {
            return;
        }
        let magic_is_due = matches!(self.answers.front(), Some(Answer::Own(bytes)) if bytes[..] == MAGIC);
        self.answers.clear();
        (self.pongs, self.requests_refused, self.pending, self.caught_up) = (0, 0, None, None);
        self.paths.clear();
        self.paths_bytes = 0;
        self.queue.clear();
        (self.queued_bytes, self.refusals) = (0, 0);
        self.forgets.clear();
        self.wanted.clear();
        self.chunks.clear();
        self.bodies.clear();
        self.late.clear();
        self.late_ends.clear();
        self.agents.clear();
        self.overlays_due.clear();
        if magic_is_due {
            self.answers.push_back(Answer::Own(MAGIC.to_vec()));
        }
        self.answer(&ServerMessage::Refused(refused.clone()));
        self.ended = true;
    }

    fn answer(&mut self, message: &ServerMessage) {
        if !self.ended {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            self.answers.push_back(Answer::Own(bytes));
        }
    }

    /// Replaces the subscription. The work is done in the next [`ChunkStream::next`] or [`ChunkStream::wanted`], so
    /// that a client which changes its mind ten times a tick costs no more than one which does once.
    pub fn subscribe(&mut self, subscription: u32, shape: Shape) {
        if !self.ended {
            self.pending = Some((subscription, shape));
        }
    }

    /// Inputs up to `sequence` are decided and durable; `refusals` are those refused since the last call, ascending.
    /// Goes behind the deltas that were offered before. An error means that the client doesn't read its answers.
    pub fn acknowledge(&mut self, sequence: u64, tick: u64, refusals: &[RefusedInput]) -> Result<(), ProtocolError> {
        if self.ended {
            return Ok(());
        }
        let pending = self.refusals + refusals.len();
        if pending > REFUSALS_PENDING_MAX {
            return Err(ProtocolError::Unread { what: "refused edits", pending });
        }
        self.refusals = pending;
        self.push_acknowledge(sequence, tick, refusals.to_vec());
        if self.queued_bytes > self.queue_bytes_max {
            self.collapse();
        }
        Ok(())
    }

    fn push_acknowledge(&mut self, sequence: u64, tick: u64, refusals: Vec<RefusedInput>) {
        if let Some(mut last) = self.queue.last_entry()
            && let Queued::Acknowledge { sequence: last_sequence, tick: last_tick, refusals: all } = last.get_mut()
        {
            self.queued_bytes += refusals.len() * size_of::<wire::RefusalEntry>();
            *last_sequence = sequence.max(*last_sequence);
            *last_tick = tick.max(*last_tick);
            all.extend(refusals);
            return;
        }
        self.push(Queued::Acknowledge { sequence, tick, refusals });
    }

    fn push(&mut self, queued: Queued) -> u64 {
        self.queued_bytes += queued.charge_bytes();
        self.queue_key += 1;
        self.queue.insert(self.queue_key, queued);
        self.queue_key
    }

    /// Drops every queued delta and what is queued of bodies, so that the acknowledgements between them become one.
    fn collapse(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        self.queued_bytes = 0;
        for (_, queued) in queue {
            match queued {
                Queued::Delta(delta) => self.want(delta.pos),
                Queued::Body { frames, .. } => self.unfollow(frames.handle, None),
                Queued::Moves { tick, moves } => moves.into_iter().for_each(|to| self.move_late(tick, to)),
                Queued::Ends { handles } => self.late_ends.extend(handles),
                Queued::Acknowledge { sequence, tick, refusals } => self.push_acknowledge(sequence, tick, refusals),
            }
        }
    }

    /// [`ChunkStream::offer`] for a delta that only this stream sends.
    pub fn offer_delta(&mut self, delta: &ChunkDelta, tick: u64) {
        if self.chunks.contains_key(&delta.pos) {
            self.offer(&DeltaFrame::new(delta, tick));
        }
    }

    /// Offers a committed delta; deltas of one chunk come in order. It is queued, or its chunk's snapshot is wanted
    /// instead, or the client has no use for it.
    pub fn offer(&mut self, delta: &DeltaFrame) {
        let Some(state) = self.chunks.get_mut(&delta.pos) else { return };
        if state.wanted {
            state.shown_at_least = state.shown_at_least.max(delta.to);
            return;
        }
        if delta.to <= state.tail {
            // A snapshot that was newer than the delta has been sent.
            return;
        }
        let fits = self.queued_bytes + delta.charge_bytes() <= self.queue_bytes_max;
        if delta.from != state.tail || !fits {
            state.shown_at_least = delta.to;
            self.want(delta.pos);
            return;
        }
        state.tail = delta.to;
        let key = self.push(Queued::Delta(delta.clone()));
        self.chunks.get_mut(&delta.pos).expect("just seen").queued.push(key);
    }

    /// Wants a chunk's snapshot in place of what is queued for it.
    fn want(&mut self, pos: ChunkPos) {
        let Some(state) = self.chunks.get_mut(&pos) else { return };
        if !state.wanted {
            state.wanted = true;
            state.shown_at_least = state.shown_at_least.max(state.tail);
            self.wanted.insert(state.rank, pos);
        }
        let keys = std::mem::take(&mut state.queued);
        self.unqueue(&keys);
    }

    fn unqueue(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(queued) = self.queue.remove(key) {
                self.queued_bytes -= queued.charge_bytes();
            }
        }
    }

    /// Whether the client has begun to look elsewhere: then every body that falls is to be offered. Asked once.
    pub fn take_bodies_wanted(&mut self) -> bool {
        self.apply_subscription();
        std::mem::take(&mut self.bodies_wanted)
    }

    /// Offers a committed body: one that is new, ahead of the deltas of its tick, or any, with where it is now. It is queued
    /// and followed, or the client has no use for it, or there is no room for it.
    pub fn offer_body(&mut self, frames: &Arc<BodyFrames>, now: Option<(u64, BodyMove)>) {
        self.apply_subscription();
        let handle = frames.handle;
        let is_wanted = self.shape.is_some_and(|shape| frames.meets(shape)) && !self.bodies.contains_key(&handle);
        let told = self.bodies.len() + self.late_ends.len();
        let has_room = told < BODIES_FOLLOWED_MAX && self.queued_bytes + QUEUED_FRAME_BYTES <= self.queue_bytes_max;
        if self.ended || !is_wanted || !has_room || self.late_ends.contains(&handle) {
            return;
        }
        let queued = Some(self.push(Queued::Body { frames: Arc::clone(frames), next: 0 }));
        self.bodies.insert(handle, Followed { frames: Arc::clone(frames), queued, begun: false, late: None });
        if let Some((tick, to)) = now {
            self.offer_moves(tick, &[to]);
        }
    }

    /// Offers where bodies are after a committed tick; those that the client is not told of are passed over.
    pub fn offer_moves(&mut self, tick: u64, moves: &[BodyMove]) {
        let moves: Vec<BodyMove> = moves.iter().filter(|to| self.bodies.contains_key(&to.handle)).copied().collect();
        if moves.is_empty() {
            return;
        }
        if self.queued_bytes + moves_frame_bytes(moves.len()) + QUEUED_FRAME_BYTES > self.queue_bytes_max {
            return moves.into_iter().for_each(|to| self.move_late(tick, to));
        }
        for to in &moves {
            if self.late.remove(&to.handle) {
                self.bodies.get_mut(&to.handle).expect("a late body is followed").late = None;
            }
        }
        self.push(Queued::Moves { tick, moves });
    }

    fn move_late(&mut self, tick: u64, to: BodyMove) {
        if let Some(body) = self.bodies.get_mut(&to.handle)
            && body.late.is_none_or(|(known, _)| known <= tick)
        {
            body.late = Some((tick, to));
            self.late.insert(to.handle);
        }
    }

    /// Offers the end of bodies, behind the deltas of the committed tick in which they landed.
    pub fn offer_ends(&mut self, handles: &[u32]) {
        let mut ends = Vec::new();
        handles.iter().for_each(|handle| self.unfollow(*handle, Some(&mut ends)));
        if ends.is_empty() {
            return;
        }
        if self.queued_bytes + ends_frame_bytes(ends.len()) + QUEUED_FRAME_BYTES > self.queue_bytes_max {
            return self.late_ends.extend(ends);
        }
        self.push(Queued::Ends { handles: ends });
    }

    /// Forgets a body. If the client may know of it, its end is to be told: by `ends`, or late.
    fn unfollow(&mut self, handle: u32, ends: Option<&mut Vec<u32>>) {
        let Some(body) = self.bodies.remove(&handle) else { return };
        self.late.remove(&handle);
        self.unqueue(body.queued.as_slice());
        match ends {
            _ if body.queued.is_some() && !body.begun => {}
            Some(ends) => ends.push(handle),
            None => drop(self.late_ends.insert(handle)),
        }
    }

    /// Whether the client has begun to look elsewhere: then all agents are to be offered. Asked once.
    pub fn take_agents_wanted(&mut self) -> bool {
        self.apply_subscription();
        std::mem::take(&mut self.agents_wanted)
    }

    /// Something is to be told of agents, if the client looks there.
    pub fn offer_agents(&mut self, part: AgentsPart) {
        self.apply_subscription();
        if !self.ended {
            self.agents.offer(self.shape, part);
        }
    }

    /// A crowd is gone, with all its agents.
    pub fn end_crowd(&mut self, handle: u32) {
        self.agents.end(handle);
    }

    /// What the client wants to see over its chunks, in place of what it wanted before. What it wanted already is not sent
    /// again.
    pub fn want_overlays(&mut self, kinds: OverlayKinds) {
        if self.ended {
            return;
        }
        let fresh = kinds.without(self.overlays);
        self.overlays = kinds;
        self.overlays_due.clear();
        for (pos, state) in self.chunks.iter_mut().filter(|(_, state)| state.sent) {
            state.overlays_due = state.overlays_due.and(kinds).or(fresh);
            if state.overlays_due != OverlayKinds::NONE {
                self.overlays_due.insert(state.rank, *pos);
            }
        }
    }

    /// What the client wants to see over its chunks.
    pub const fn overlays(&self) -> OverlayKinds {
        self.overlays
    }

    /// An overlay of a chunk may be another one now.
    pub fn spoil_overlay(&mut self, pos: ChunkPos, kind: OverlayKind) {
        if self.overlays.contains(kind)
            && let Some(state) = self.chunks.get_mut(&pos).filter(|state| state.sent)
        {
            state.overlays_due = state.overlays_due.with(kind, true);
            self.overlays_due.insert(state.rank, pos);
        }
    }

    /// Whether overlays are due, and nothing that comes before them holds them up.
    pub fn has_overlays_due(&self) -> bool {
        self.is_drained && !self.overlays_due.is_empty()
    }

    /// Appends OverlayData frames to `out`, nearest chunks first, if everything else that was at hand has been sent: as many as
    /// keep what is unsent within `unsent_bytes_max`, or one if nothing is unsent.
    pub fn next_overlays(
        &mut self,
        unsent_bytes_max: usize,
        out: &mut Vec<u8>,
        overlay: &mut dyn FnMut(ChunkPos, OverlayKind) -> OverlayAnswer,
    ) -> usize {
        let start = out.len();
        let mut round = self.round(unsent_bytes_max.saturating_sub(self.unsent_bytes));
        let mut from_rank = 0;
        while self.is_drained
            && round.tries < SNAPSHOT_TRIES_MAX
            && let Some((&rank, &pos)) = self.overlays_due.range(from_rank..).next()
        {
            let state = self.chunks.get_mut(&pos).expect("an overlay's chunk is subscribed");
            let Some(kind) = state.overlays_due.first() else {
                self.overlays_due.remove(&rank);
                continue;
            };
            let frame = match overlay(pos, kind) {
                OverlayAnswer::Frame(frame) => frame,
                OverlayAnswer::Later => {
                    round.tries += 1;
                    from_rank = rank + 1;
                    continue;
                }
                OverlayAnswer::Enough => break,
            };
            if !round.take(frame.len()) {
                break;
            }
            state.overlays_due = state.overlays_due.with(kind, false);
            out.extend_from_slice(&frame);
        }
        self.unsent_bytes += out.len() - start;
        out.len() - start
    }

    fn round(&self, budget_bytes: usize) -> Round {
        Round {
            room_bytes: budget_bytes.min(self.transport_bytes_max.saturating_sub(self.unsent_bytes)),
            idle: self.unsent_bytes == 0,
            tries: 0,
            from_rank: 0,
        }
    }

    /// The transport has got rid of this many of the bytes it was given.
    ///
    /// # Panics
    /// If it was not given as many: that is our own error.
    pub fn flushed(&mut self, bytes: usize) {
        assert!(bytes <= self.unsent_bytes, "{bytes} bytes flushed of {} unsent", self.unsent_bytes);
        self.unsent_bytes -= bytes;
    }

    /// Bytes that the transport was given and has not got rid of.
    pub const fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    /// Bytes held for this client: in the transport, in the queue, and as answers, those about paths included. What is remembered per chunk of the
    /// subscription and per body, and frames of bodies and of the registry, which are shared, are not in it.
    pub fn held_bytes(&self) -> usize {
        let answers = self.answers.iter().map(|answer| match answer {
            Answer::Own(bytes) | Answer::RequestRefused(bytes) => bytes.len() + QUEUED_FRAME_BYTES,
            Answer::Shared(_) => 0,
            Answer::Pong { .. } => QUEUED_FRAME_BYTES,
        });
        self.unsent_bytes + self.queued_bytes + self.paths_bytes + answers.sum::<usize>()
    }

    /// Whether Refused was said: when the transport is empty, the connection may be closed.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether [`ChunkStream::next`] would have something to send, were there room and every chunk at hand.
    pub fn has_more(&self) -> bool {
        let has_late = !self.late.is_empty() || !self.late_ends.is_empty();
        !(self.answers.is_empty() && self.forgets.is_empty() && self.queue.is_empty() && self.wanted.is_empty())
            || has_late
            || !self.paths.is_empty()
            || self.agents.has_more()
            || self.pending.is_some()
            || self.caught_up.is_some()
    }

    /// Whether the subscription in force holds a chunk.
    pub fn follows(&self, pos: ChunkPos) -> bool {
        self.chunks.contains_key(&pos)
    }

    /// Chunks whose snapshots are wanted, the next one first: what is worth loading ahead.
    pub fn wanted(&mut self) -> impl Iterator<Item = ChunkPos> {
        self.apply_subscription();
        self.wanted.values().copied()
    }

    /// Appends whole frames to `out`, at most `budget_bytes` of them and no more than the transport may hold (if the
    /// transport is empty, one frame in any case), and counts them as unsent. `snapshot` gives a chunk as last
    /// committed, or `None` if it is not at hand, in which case the next one gets its turn. Returns the bytes appended.
    ///
    /// # Panics
    /// If a snapshot is older than a delta that was offered: the client would miss it.
    pub fn next(
        &mut self,
        budget_bytes: usize,
        out: &mut Vec<u8>,
        snapshot: &mut dyn FnMut(ChunkPos) -> Option<Held>,
    ) -> usize {
        self.next_with_agents(budget_bytes, out, snapshot, &NoAgents)
    }

    /// The same, in a world that has agents.
    ///
    /// # Panics
    /// As [`ChunkStream::next`].
    pub fn next_with_agents(
        &mut self,
        budget_bytes: usize,
        out: &mut Vec<u8>,
        snapshot: &mut dyn FnMut(ChunkPos) -> Option<Held>,
        agents: &dyn AgentSource,
    ) -> usize {
        self.apply_subscription();
        let start = out.len();
        let mut round = self.round(budget_bytes);
        round.from_rank = std::mem::take(&mut self.resume_rank);
        let mut turns_without = 0;
        while turns_without < Turn::COUNT && self.send_answers(&mut round, out) && self.send_forgets(&mut round, out) {
            let step = match self.turn {
                Turn::Deltas => self.send_queue(&mut round, out),
                Turn::Snapshots => self.send_snapshots(&mut round, out, snapshot),
                Turn::Paths => self.send_paths(&mut round, out),
                Turn::Agents => self.send_agents(&mut round, out, agents),
            };
            match step {
                Step::Full => break,
                Step::Over { sent: true } => turns_without = 0,
                Step::Over { sent: false } => turns_without += 1,
            }
            (self.turn, self.turn_bytes) = self.turn.next();
        }
        self.is_drained = turns_without == Turn::COUNT;
        if round.tries == SNAPSHOT_TRIES_MAX {
            self.resume_rank = round.from_rank;
        }
        let bytes = out.len() - start;
        self.unsent_bytes += bytes;
        bytes
    }

    fn send_answers(&mut self, round: &mut Round, out: &mut Vec<u8>) -> bool {
        while let Some(answer) = self.answers.front() {
            let bytes = match answer {
                Answer::Own(bytes) | Answer::RequestRefused(bytes) => bytes.len(),
                Answer::Shared(bytes) => bytes.len(),
                Answer::Pong { .. } => HEADER_BYTES + size_of::<wire::PongBody>(),
            };
            if !round.take(bytes) {
                return false;
            }
            match self.answers.pop_front().expect("just seen") {
                Answer::Own(bytes) => out.extend_from_slice(&bytes),
                Answer::Shared(bytes) => out.extend_from_slice(&bytes),
                Answer::Pong { number, tick } => {
                    self.pongs -= 1;
                    ServerMessage::Pong { number, tick }.encode(out);
                }
                Answer::RequestRefused(bytes) => {
                    self.requests_refused -= 1;
                    out.extend_from_slice(&bytes);
                }
            }
        }
        if let Some(subscription) = self.caught_up {
            if !round.take(HEADER_BYTES + size_of::<wire::CaughtUpBody>()) {
                return false;
            }
            self.caught_up = None;
            ServerMessage::CaughtUp { subscription }.encode(out);
        }
        true
    }

    fn send_forgets(&mut self, round: &mut Round, out: &mut Vec<u8>) -> bool {
        while let Some((pos, subscription)) = self.forgets.front().copied() {
            if !round.take(HEADER_BYTES + size_of::<wire::ForgetBody>()) {
                return false;
            }
            self.forgets.pop_front();
            ServerMessage::Forget { pos, subscription }.encode(out);
        }
        true
    }

    fn send_queue(&mut self, round: &mut Round, out: &mut Vec<u8>) -> Step {
        let mut sent = false;
        while self.turn_bytes > 0
            && let Some(first) = self.queue.first_entry()
        {
            let bytes = first.get().frame_bytes();
            if !round.take(bytes) {
                return Step::Full;
            }
            sent = true;
            if let Some(part) = self.next_body_part() {
                self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
                out.extend_from_slice(&part);
                continue;
            }
            let first = self.queue.first_entry().expect("just seen");
            let (key, queued) = first.remove_entry();
            self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
            self.queued_bytes -= queued.charge_bytes();
            match queued {
                Queued::Delta(delta) => {
                    let state = self.chunks.get_mut(&delta.pos).expect("a queued delta's chunk is subscribed");
                    assert!(state.queued.first() == Some(&key), "deltas of {:?} leave in order", delta.pos);
                    state.queued.remove(0);
                    out.extend_from_slice(&delta.bytes);
                }
                Queued::Body { .. } => unreachable!("its parts are sent above"),
                Queued::Moves { tick, moves } => encode_moves(tick, &moves, out),
                Queued::Ends { handles } => encode_ends(&handles, out),
                Queued::Acknowledge { sequence, tick, refusals } => {
                    self.refusals -= refusals.len();
                    ServerMessage::Acknowledge { sequence, tick, refusals }.encode(out);
                }
            }
        }
        match self.queue.is_empty() && !self.send_late(round, out, &mut sent) {
            true => Step::Full,
            false => Step::Over { sent },
        }
    }

    /// The next part of the body that is first in the queue, which leaves with its last part.
    fn next_body_part(&mut self) -> Option<Arc<[u8]>> {
        let mut first = self.queue.first_entry()?;
        let Queued::Body { frames, next } = first.get_mut() else { return None };
        let part = Arc::clone(&frames.parts[*next]);
        let body = self.bodies.get_mut(&frames.handle).expect("a queued body is followed");
        body.begun = true;
        *next += 1;
        if *next == frames.parts.len() {
            body.queued = None;
            self.queued_bytes -= first.remove().charge_bytes();
        }
        Some(part)
    }

    /// What was said of bodies and did not fit the queue. Returns whether all of it is sent.
    fn send_late(&mut self, round: &mut Round, out: &mut Vec<u8>, sent: &mut bool) -> bool {
        let mut moves: BTreeMap<u64, Vec<BodyMove>> = BTreeMap::new();
        for handle in &self.late {
            let late = self.bodies.get(handle).and_then(|body| body.late);
            late.into_iter().for_each(|(tick, to)| moves.entry(tick).or_default().push(to));
        }
        for (tick, moves) in moves {
            if !round.take(moves_frame_bytes(moves.len())) {
                return false;
            }
            *sent = true;
            encode_moves(tick, &moves, out);
            for to in moves {
                self.late.remove(&to.handle);
                self.bodies.get_mut(&to.handle).expect("a late body is followed").late = None;
            }
        }
        let ends: Vec<u32> = self.late_ends.iter().copied().collect();
        if ends.is_empty() {
            return true;
        }
        if !round.take(ends_frame_bytes(ends.len())) {
            return false;
        }
        *sent = true;
        encode_ends(&ends, out);
        self.late_ends.clear();
        true
    }

    fn send_paths(&mut self, round: &mut Round, out: &mut Vec<u8>) -> Step {
        let mut sent = false;
        while self.turn_bytes > 0
            && let Some(frame) = self.paths.front()
        {
            if !round.take(frame.len()) {
                return Step::Full;
            }
            let frame = self.paths.pop_front().expect("just seen");
            self.turn_bytes = self.turn_bytes.saturating_sub(frame.len());
            self.paths_bytes -= frame.len();
            self.paths_sent_bytes += frame.len();
            out.extend_from_slice(&frame);
            sent = true;
        }
        Step::Over { sent }
    }

    fn send_agents(&mut self, round: &mut Round, out: &mut Vec<u8>, source: &dyn AgentSource) -> Step {
        let mut sent = false;
        while self.turn_bytes > 0
            && let Some(next) = self.agents.peek(self.shape, source)
        {
            let bytes = next.frames.iter().map(|frame| frame.len()).sum();
            if bytes > 0 && !round.take(bytes) {
                return Step::Full;
            }
            self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
            self.agents.sent(next.what);
            next.frames.iter().for_each(|frame| out.extend_from_slice(frame));
            sent |= bytes > 0;
        }
        Step::Over { sent }
    }

    fn send_snapshots(
        &mut self,
        round: &mut Round,
        out: &mut Vec<u8>,
        snapshot: &mut dyn FnMut(ChunkPos) -> Option<Held>,
    ) -> Step {
        let mut sent = false;
        while self.turn_bytes > 0
            && round.tries < SNAPSHOT_TRIES_MAX
            && let Some((&rank, &pos)) = self.wanted.range(round.from_rank..).next()
        {
            let Some(held) = snapshot(pos) else {
                round.tries += 1;
                round.from_rank = rank + 1;
                continue;
            };
            let bytes = snapshot_frame_bytes(&held.chunk);
            if !round.take(bytes) {
                return Step::Full;
            }
            round.from_rank = rank + 1;
            self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
            self.send_snapshot(pos, &held, out);
            sent = true;
        }
        Step::Over { sent }
    }

    fn send_snapshot(&mut self, pos: ChunkPos, held: &Held, out: &mut Vec<u8>) {
        let state = self.chunks.get_mut(&pos).expect("a wanted chunk is subscribed");
        assert!(
            held.version >= state.shown_at_least,
            "the snapshot of {pos:?} is at {:?}, but a delta to {:?} was offered before",
            held.version,
            state.shown_at_least
        );
        self.wanted.remove(&state.rank);
        state.wanted = false;
        state.tail = held.version;
        encode_snapshot(pos, self.subscription, held.version, &held.chunk, out);
        if self.overlays != OverlayKinds::NONE {
            state.overlays_due = self.overlays;
            self.overlays_due.insert(state.rank, pos);
        }
        if !state.sent {
            state.sent = true;
            self.unseen -= 1;
            if self.unseen == 0 {
                self.caught_up = Some(self.subscription);
            }
        }
    }

    fn apply_subscription(&mut self) {
        let Some((subscription, shape)) = self.pending.take() else { return };
        self.subscription = subscription;
        let left: Vec<ChunkPos> = shape.left_behind(&self.order).collect();
        for pos in left {
            let state = self.chunks.remove(&pos).expect("every chunk in order has a state");
            self.unqueue(&state.queued);
            if state.sent {
                self.forgets.push_back((pos, subscription));
            }
        }
        let gone: Vec<u32> =
            self.bodies.iter().filter(|(_, body)| !body.frames.meets(shape)).map(|(handle, _)| *handle).collect();
        gone.into_iter().for_each(|handle| self.unfollow(handle, None));
        self.bodies_wanted = true;
        self.agents_wanted = true;
        self.agents.look(Some(shape));
        self.shape = Some(shape);
        self.order = shape.chunks();
        self.wanted.clear();
        self.overlays_due.clear();
        self.unseen = 0;
        self.resume_rank = 0;
        for (rank, pos) in self.order.iter().enumerate() {
            let state = self.chunks.entry(*pos).or_insert_with(|| ChunkState::new(0));
            state.rank = rank as u32;
            self.unseen += usize::from(!state.sent);
            if state.wanted {
                self.wanted.insert(state.rank, *pos);
            }
            if state.overlays_due != OverlayKinds::NONE {
                self.overlays_due.insert(state.rank, *pos);
            }
        }
        self.caught_up = (self.unseen == 0).then_some(subscription);
    }
}
