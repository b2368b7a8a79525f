//! What is sent to one client, and when: answers at once, then what changed and what it has not seen in turns, within a budget.
//!
//! Of chunks nothing is queued: [`crate::chunks`] knows at which version the client holds each, and what brings it up to date is
//! made at the moment of sending ([`crate::news`]). What the client asked for itself comes first, and its acknowledgement behind
//! that; then what has waited for long, then what is near and ahead of it. docs/streaming.md says what is promised.
//!
//! Bodies ([`crate::falling`]) come ahead of the changes that took their voxels, and end behind those that brought them back. Answers
//! about paths and undos have turns of their own, as have agents, which are made at the moment of sending ([`crate::following`]). Overlays come
//! behind everything else.

use crate::MAGIC;
use crate::body::{BodyFrames, BodyMove, encode_ends, encode_moves, ends_frame_bytes, moves_frame_bytes};
use crate::budget::{Rate, TokenBucket};
use crate::chunks::{Chunks, Place};
use crate::crowd::AgentsPart;
use crate::error::ProtocolError;
use crate::falling::Falling;
use crate::following::{AgentSource, Following, NoAgents};
use crate::interest::{Shape, View};
use crate::limits::{
    AGENTS_TURN_BYTES, BODIES_QUEUED_BYTES_MAX, BODIES_TURN_BYTES, CHANGES_TURN_BYTES, DELTA_BATCH_BYTES,
    DELTA_CHUNKS_MAX, DELTA_FRAME_BYTES_MAX, HEADER_BYTES, OUTPUT_TRANSPORT_BYTES_MAX, PATHS_TURN_BYTES,
    PONGS_PENDING_MAX, QUEUED_FRAME_BYTES, REFUSALS_PENDING_MAX, REGISTRY_FRAME_BYTES, REQUESTS_REFUSED_PENDING_MAX,
    SAME_FRAME_MAX, SNAPSHOT_TRIES_MAX, SNAPSHOT_TURN_BYTES,
};
use crate::message::{BlockInfo, Refused, RefusedInput, ServerMessage, Welcome};
use crate::message::{encode_same, encode_snapshot, snapshot_frame_bytes};
use crate::news::{ChunkSource, ChunkUpdate, PackedChunk};
use crate::overlay::{OverlayKind, OverlayKinds};
use crate::path::PathRefused;
use crate::recent::delta_bytes;
use crate::undo::{UndoProgress, UndoQueue, UndoRefused};
use crate::wire;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use terrane_world::chunk::Version;
use terrane_world::space::ChunkPos;
use terrane_world::step::ChunkDelta;

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

/// Inputs that are decided and durable, up to a sequence.
#[derive(Debug)]
struct Acknowledgement {
    sequence: u64,
    tick: u64,
    refusals: Vec<RefusedInput>,
}

impl Acknowledgement {
    fn frame_bytes(&self) -> usize {
        HEADER_BYTES + size_of::<wire::AcknowledgeHead>() + self.refusals.len() * size_of::<wire::RefusalEntry>()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Changes,
    Unseen,
    Paths,
    Agents,
}

impl Turn {
    const COUNT: usize = 4;

    /// The turn behind this one, and the bytes that it has.
    const fn next(self) -> (Self, usize) {
        match self {
            Self::Changes => (Self::Unseen, SNAPSHOT_TURN_BYTES),
            Self::Unseen => (Self::Paths, PATHS_TURN_BYTES),
            Self::Paths => (Self::Agents, AGENTS_TURN_BYTES),
            Self::Agents => (Self::Changes, CHANGES_TURN_BYTES),
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

/// What one call of [`ChunkStream::next`] may still do, and what it has.
struct Round<'a> {
    now: Duration,
    out: &'a mut Vec<u8>,
    /// What the budgets allow; the last frame may overdraw it.
    allowance: i64,
    /// What the transport has room for.
    room_bytes: usize,
    /// Nothing is in the transport: one frame goes even if there is no room for it.
    idle: bool,
    tries: usize,
    from: Place,
}

impl Round<'_> {
    fn is_spent(&self) -> bool {
        self.allowance <= 0
    }

    /// Whether a frame of so many bytes goes now.
    fn take(&mut self, bytes: usize) -> bool {
        if self.is_spent() || bytes > self.room_bytes && !self.idle {
            return false;
        }
        self.idle = false;
        self.room_bytes = self.room_bytes.saturating_sub(bytes);
        self.allowance -= bytes as i64;
        true
    }
}

/// Chunks that go together in one frame.
#[derive(Default)]
struct Batch {
    deltas: Vec<Arc<ChunkDelta>>,
    bytes: usize,
    same: Vec<ChunkPos>,
}

/// The sending half of a connection. The receiving half is [`crate::session::Session`].
///
/// What it is offered must be committed, and what its source gives must show everything that was offered before.
#[derive(Debug)]
pub struct ChunkStream {
    transport_bytes_max: usize,
    /// Bytes given to the transport that it has not got rid of.
    unsent_bytes: usize,
    /// What may go out, if that is limited.
    budget: Option<TokenBucket>,
    answers: VecDeque<Answer>,
    pongs: usize,
    /// Refusals of requests among the answers.
    requests_refused: usize,
    acknowledgement: Option<Acknowledgement>,
    ended: bool,

    chunks: Chunks,
    bodies: Falling,
    bodies_wanted: bool,
    agents: Following,
    agents_wanted: bool,
    undo: UndoQueue,
    /// Frames about paths that wait.
    paths: VecDeque<Vec<u8>>,
    paths_bytes: usize,
    /// Bytes of such frames that were sent since it was last asked.
    paths_sent_bytes: usize,

    turn: Turn,
    turn_bytes: usize,
    /// Where unseen chunks are looked for next, if many were not at hand.
    resume: Place,
    /// The last call of [`ChunkStream::next`] sent all that was at hand.
    is_drained: bool,
}

impl Default for ChunkStream {
    fn default() -> Self {
        Self::new(OUTPUT_TRANSPORT_BYTES_MAX)
    }
}

impl ChunkStream {
    /// A stream at the start of a connection, without a budget. [`Default`] has the bound of `limits`; this is for tests and tuning.
    ///
    /// # Panics
    /// If the bound is too small for the largest frame that it must hold.
    pub fn new(transport_bytes_max: usize) -> Self {
        assert!(transport_bytes_max >= DELTA_FRAME_BYTES_MAX, "the largest delta must fit the transport");
        Self {
            transport_bytes_max,
            unsent_bytes: 0,
            budget: None,
            answers: VecDeque::from([Answer::Own(MAGIC.to_vec())]),
            pongs: 0,
            requests_refused: 0,
            acknowledgement: None,
            ended: false,
            chunks: Chunks::default(),
            bodies: Falling::new(BODIES_QUEUED_BYTES_MAX),
            bodies_wanted: false,
            agents: Following::default(),
            agents_wanted: false,
            undo: UndoQueue::default(),
            paths: VecDeque::new(),
            paths_bytes: 0,
            paths_sent_bytes: 0,
            turn: Turn::Changes,
            turn_bytes: CHANGES_TURN_BYTES,
            resume: (0, 0),
            is_drained: false,
        }
    }

    /// The same with so many bytes a second, from `now` on. A frame that has begun is sent whole, so a second may have one frame
    /// more. Bodies whose frames would take longer than a second are not told of.
    #[must_use]
    pub fn with_budget(mut self, rate: Rate, now: Duration) -> Self {
        let second = usize::try_from(rate.per_second).unwrap_or(usize::MAX);
        self.budget = Some(TokenBucket::new(rate, now));
        self.bodies = Falling::new(BODIES_QUEUED_BYTES_MAX.min(second));
        self
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

    /// Offers a plan of an undo and its ghost, in place of the one before as far as that still waits.
    pub fn offer_undo_plan(&mut self, frames: Vec<Vec<u8>>) {
        if !self.ended {
            self.undo.offer_plan(frames);
        }
    }

    /// The client has asked for another undo, or wants the one before no more: what waits of its plan is not sent.
    pub fn drop_undo_plan(&mut self) {
        self.undo.drop_plan();
    }

    /// Says how far an undo is, in place of how far it was. An error means that the client doesn't read its answers.
    pub fn offer_undo_progress(&mut self, progress: UndoProgress) -> Result<(), ProtocolError> {
        if self.ended { Ok(()) } else { self.undo.offer_progress(progress) }
    }

    /// Says why there is no undo. An error means that the client doesn't read its answers.
    pub fn refuse_undo(&mut self, refused: UndoRefused) -> Result<(), ProtocolError> {
        if self.ended { Ok(()) } else { self.undo.offer_refused(refused) }
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
        (self.pongs, self.requests_refused, self.acknowledgement) = (0, 0, None);
        // The last word is said whatever has been sent.
        self.budget = None;
        self.undo.clear();
        self.paths.clear();
        self.paths_bytes = 0;
        self.chunks.clear();
        self.bodies.clear();
        self.agents.clear();
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
            self.chunks.subscribe(subscription, shape);
        }
    }

    /// The client looks from here, this way.
    pub fn look(&mut self, view: View) {
        if !self.ended {
            self.chunks.look(view);
        }
    }

    /// The client says that it holds chunks at these versions; that counts for the next subscription.
    pub fn claim(&mut self, chunks: Vec<(ChunkPos, Version)>) {
        if !self.ended {
            self.chunks.claim(chunks);
        }
    }

    /// Inputs up to `sequence` are decided and durable; `refusals` are those refused since the last call, ascending.
    /// Goes behind the client's own changes that were offered before. An error means that the client doesn't read its answers.
    pub fn acknowledge(&mut self, sequence: u64, tick: u64, refusals: &[RefusedInput]) -> Result<(), ProtocolError> {
        if self.ended {
            return Ok(());
        }
        let fresh = || Acknowledgement { sequence, tick, refusals: Vec::new() };
        let waiting = self.acknowledgement.get_or_insert_with(fresh);
        let pending = waiting.refusals.len() + refusals.len();
        if pending > REFUSALS_PENDING_MAX {
            return Err(ProtocolError::Unread { what: "refused edits", pending });
        }
        (waiting.sequence, waiting.tick) = (waiting.sequence.max(sequence), waiting.tick.max(tick));
        waiting.refusals.extend(refusals);
        Ok(())
    }

    /// A committed tick has changed a chunk, to this version; `own` says that the client asked for it itself. The client is told
    /// later, or has no use for it.
    pub fn offer(&mut self, pos: ChunkPos, to: Version, tick: u64, now: Duration, own: bool) {
        self.chunks.change(pos, to, tick, now, own);
    }

    /// Whether the client has begun to look elsewhere: then every body that falls is to be offered. Asked once.
    pub fn take_bodies_wanted(&mut self) -> bool {
        self.apply_subscription();
        std::mem::take(&mut self.bodies_wanted)
    }

    /// Offers a committed body: one that is new, or any, with where it is now. It is queued and followed, or the client has no use
    /// for it, or there is no room for it.
    pub fn offer_body(&mut self, frames: &Arc<BodyFrames>, now: Option<(u64, BodyMove)>) {
        self.apply_subscription();
        if self.ended {
            return;
        }
        self.bodies.offer(self.chunks.shape, frames);
        if let Some((tick, to)) = now {
            self.bodies.offer_moves(tick, &[to]);
        }
    }

    /// Offers where bodies are after a committed tick; those that the client is not told of are passed over.
    pub fn offer_moves(&mut self, tick: u64, moves: &[BodyMove]) {
        self.bodies.offer_moves(tick, moves);
    }

    /// Offers the end of bodies that landed in a committed tick.
    pub fn offer_ends(&mut self, tick: u64, handles: &[u32]) {
        self.bodies.offer_ends(tick, handles);
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
            self.agents.offer(self.chunks.shape, part);
        }
    }

    /// A crowd is gone, with all its agents.
    pub fn end_crowd(&mut self, handle: u32) {
        self.agents.end(handle);
    }

    /// What the client wants to see over its chunks, in place of what it wanted before. What it wanted already is not sent
    /// again.
    pub fn want_overlays(&mut self, kinds: OverlayKinds) {
        if !self.ended {
            self.chunks.want_overlays(kinds);
        }
    }

    /// What the client wants to see over its chunks.
    pub const fn overlays(&self) -> OverlayKinds {
        self.chunks.overlays()
    }

    /// An overlay of a chunk may be another one now.
    pub fn spoil_overlay(&mut self, pos: ChunkPos, kind: OverlayKind) {
        self.chunks.spoil_overlay(pos, kind);
    }

    /// Whether overlays are due, and nothing that comes before them holds them up.
    pub fn has_overlays_due(&self) -> bool {
        self.is_drained && self.chunks.has_overlays_due()
    }

    /// Appends OverlayData frames to `out`, nearest chunks first, if everything else that was at hand has been sent: as many as
    /// keep what is unsent within `unsent_bytes_max`, or one if nothing is unsent, and as the budgets allow.
    pub fn next_overlays(
        &mut self,
        now: Duration,
        (budget_bytes, unsent_bytes_max): (usize, usize),
        out: &mut Vec<u8>,
        overlay: &mut dyn FnMut(ChunkPos, OverlayKind) -> OverlayAnswer,
    ) -> usize {
        let start = out.len();
        let mut round = self.round(now, budget_bytes, out);
        round.room_bytes = round.room_bytes.min(unsent_bytes_max.saturating_sub(self.unsent_bytes));
        let mut from_rank = 0;
        while self.is_drained
            && !round.is_spent()
            && round.tries < SNAPSHOT_TRIES_MAX
            && let Some((rank, pos, kind)) = self.chunks.overlay_due(from_rank)
        {
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
            self.chunks.overlay_sent(pos, kind);
            round.out.extend_from_slice(&frame);
        }
        self.spend(out.len() - start)
    }

    fn round<'a>(&mut self, now: Duration, budget_bytes: usize, out: &'a mut Vec<u8>) -> Round<'a> {
        let own = self.budget.as_mut().map_or(i64::MAX, |budget| budget.available(now));
        Round {
            now,
            out,
            allowance: own.min(i64::try_from(budget_bytes).unwrap_or(i64::MAX)),
            room_bytes: self.transport_bytes_max.saturating_sub(self.unsent_bytes),
            idle: self.unsent_bytes == 0,
            tries: 0,
            from: (0, 0),
        }
    }

    fn spend(&mut self, bytes: usize) -> usize {
        self.unsent_bytes += bytes;
        if let Some(budget) = &mut self.budget {
            budget.spend(bytes as u64);
        }
        bytes
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

    /// Bytes held for this client: in the transport, and as answers, those about paths included. What is remembered per chunk of the
    /// subscription and per body, and frames of bodies and of the registry, which are shared, are not in it.
    pub fn held_bytes(&self) -> usize {
        let answers = self.answers.iter().map(|answer| match answer {
            Answer::Own(bytes) | Answer::RequestRefused(bytes) => bytes.len() + QUEUED_FRAME_BYTES,
            Answer::Shared(_) => 0,
            Answer::Pong { .. } => QUEUED_FRAME_BYTES,
        });
        let acknowledgement = self.acknowledgement.as_ref().map_or(0, Acknowledgement::frame_bytes);
        self.unsent_bytes + acknowledgement + self.paths_bytes + self.undo.bytes() + answers.sum::<usize>()
    }

    /// Whether Refused was said: when the transport is empty, the connection may be closed.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether anything would go out now, were there something: who has to wait needs nothing loaded for it.
    pub fn may_send(&mut self, now: Duration, budget_bytes: usize) -> bool {
        let own = self.budget.as_mut().is_none_or(|budget| budget.available(now) > 0);
        own && budget_bytes > 0 && self.unsent_bytes < self.transport_bytes_max
    }

    /// Whether [`ChunkStream::next`] would have something to send, were there room and every chunk at hand.
    pub fn has_more(&self) -> bool {
        !(self.answers.is_empty() && self.paths.is_empty() && self.undo.is_empty())
            || self.acknowledgement.is_some()
            || self.chunks.has_more()
            || self.bodies.has_more()
            || self.agents.has_more()
    }

    /// Whether the client is told of a chunk.
    pub fn follows(&self, pos: ChunkPos) -> bool {
        self.chunks.follows(pos)
    }

    /// When the oldest change that the client holds the chunk of, and was not told, was offered.
    pub fn oldest_change(&self) -> Option<Duration> {
        self.chunks.oldest()
    }

    /// Chunks that the client has not seen, the next one first: what is worth loading ahead.
    pub fn wanted(&mut self) -> impl Iterator<Item = ChunkPos> {
        self.apply_subscription();
        self.chunks.unseen()
    }

    /// Appends whole frames to `out` until `budget_bytes` and the stream's own budget are used up, of which the last frame may use
    /// more than there is, and no more than the transport may hold (if the transport is empty, one frame in any case), and counts
    /// them as unsent. A chunk that `source` has not at hand is passed over. Returns the bytes appended.
    ///
    /// # Panics
    /// If what the source gives is older than a change that was offered: the client would miss it.
    pub fn next(
        &mut self,
        now: Duration,
        budget_bytes: usize,
        out: &mut Vec<u8>,
        source: &mut dyn ChunkSource,
    ) -> usize {
        self.next_with_agents(now, budget_bytes, out, source, &NoAgents)
    }

    /// The same, in a world that has agents.
    ///
    /// # Panics
    /// As [`ChunkStream::next`].
    pub fn next_with_agents(
        &mut self,
        now: Duration,
        budget_bytes: usize,
        out: &mut Vec<u8>,
        source: &mut dyn ChunkSource,
        agents: &dyn AgentSource,
    ) -> usize {
        self.apply_subscription();
        let start = out.len();
        let mut round = self.round(now, budget_bytes, out);
        round.from = std::mem::take(&mut self.resume);
        let mut turns_without = 0;
        // One turn more than there are: the first may have been begun in an earlier round, with little left of it.
        while turns_without <= Turn::COUNT && self.send_answers(&mut round) && self.send_forgets(&mut round) {
            let step = match self.turn {
                Turn::Changes => self.send_changes(&mut round, source),
                Turn::Unseen => self.send_unseen(&mut round, source),
                Turn::Paths => self.send_paths(&mut round),
                Turn::Agents => self.send_agents(&mut round, agents),
            };
            match step {
                Step::Full => break,
                Step::Over { sent: true } => turns_without = 0,
                Step::Over { sent: false } => turns_without += 1,
            }
            (self.turn, self.turn_bytes) = self.turn.next();
        }
        self.is_drained = turns_without > Turn::COUNT;
        if round.tries >= SNAPSHOT_TRIES_MAX {
            self.resume = round.from;
        }
        self.spend(out.len() - start)
    }

    fn send_answers(&mut self, round: &mut Round<'_>) -> bool {
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
                Answer::Own(bytes) => round.out.extend_from_slice(&bytes),
                Answer::Shared(bytes) => round.out.extend_from_slice(&bytes),
                Answer::Pong { number, tick } => {
                    self.pongs -= 1;
                    ServerMessage::Pong { number, tick }.encode(round.out);
                }
                Answer::RequestRefused(bytes) => {
                    self.requests_refused -= 1;
                    round.out.extend_from_slice(&bytes);
                }
            }
        }
        if let Some(subscription) = self.chunks.caught_up {
            if !round.take(HEADER_BYTES + size_of::<wire::CaughtUpBody>()) {
                return false;
            }
            self.chunks.caught_up = None;
            ServerMessage::CaughtUp { subscription }.encode(round.out);
        }
        true
    }

    fn send_forgets(&mut self, round: &mut Round<'_>) -> bool {
        while let Some((pos, subscription)) = self.chunks.forgets.front().copied() {
            if !round.take(HEADER_BYTES + size_of::<wire::ForgetBody>()) {
                return false;
            }
            self.chunks.forgets.pop_front();
            ServerMessage::Forget { pos, subscription }.encode(round.out);
        }
        true
    }

    /// Bodies that begin; what changed, in order of urgency; where bodies are, and that they are gone.
    fn send_changes(&mut self, round: &mut Round<'_>, source: &mut dyn ChunkSource) -> Step {
        let before = round.out.len();
        let done = self.send_bodies(round)
            && self.send_updates(&self.chunks.own(), round, source)
            && self.send_acknowledgement(round)
            && self.send_updates(&self.chunks.overdue(round.now), round, source)
            && (self.bodies.has_queued() || self.send_updates(&self.chunks.stale(), round, source))
            && self.send_moves(round)
            && self.send_ends(round);
        match done {
            true => Step::Over { sent: round.out.len() > before },
            false => Step::Full,
        }
    }

    /// Counts a frame against the turn, and puts it out if it goes now.
    fn send(&mut self, round: &mut Round<'_>, frame: &[u8]) -> bool {
        let goes = round.take(frame.len());
        if goes {
            self.turn_bytes = self.turn_bytes.saturating_sub(frame.len());
            round.out.extend_from_slice(frame);
        }
        goes
    }

    fn send_bodies(&mut self, round: &mut Round<'_>) -> bool {
        let least = CHANGES_TURN_BYTES - BODIES_TURN_BYTES;
        while self.turn_bytes > least
            && let Some(part) = self.bodies.peek_part()
        {
            if !self.send(round, &part) {
                return false;
            }
            self.bodies.sent_part();
        }
        true
    }

    /// Tells what brings the client up to date about these chunks, as far as the turn goes. Whether nothing was too large.
    fn send_updates(&mut self, list: &[ChunkPos], round: &mut Round<'_>, source: &mut dyn ChunkSource) -> bool {
        let mut batch = Batch::default();
        for pos in list {
            if self.turn_bytes <= batch.bytes || round.is_spent() {
                break;
            }
            if !self.send_update(*pos, &mut batch, round, source) {
                return false;
            }
        }
        self.send_batch(&mut batch, round, source) && !round.is_spent()
    }

    fn send_update(
        &mut self,
        pos: ChunkPos,
        batch: &mut Batch,
        round: &mut Round<'_>,
        source: &mut dyn ChunkSource,
    ) -> bool {
        match source.update(pos, self.chunks.held(pos)) {
            ChunkUpdate::Same => batch.same.push(pos),
            ChunkUpdate::Changes(delta) => {
                batch.bytes += delta_bytes(&delta);
                batch.deltas.push(delta);
            }
            ChunkUpdate::Snapshot(snapshot) => return self.send_snapshot(pos, &snapshot, round),
            ChunkUpdate::Later => {
                round.tries += 1;
                self.chunks.postpone(pos, round.now);
            }
        }
        let room_bytes = DELTA_BATCH_BYTES.min(round.room_bytes).min(usize::try_from(round.allowance).unwrap_or(0));
        let is_full =
            batch.bytes >= room_bytes || batch.deltas.len() == DELTA_CHUNKS_MAX || batch.same.len() == SAME_FRAME_MAX;
        !is_full || self.send_batch(batch, round, source)
    }

    fn send_snapshot(&mut self, pos: ChunkPos, snapshot: &PackedChunk, round: &mut Round<'_>) -> bool {
        let bytes = snapshot_frame_bytes(snapshot);
        if !round.take(bytes) {
            return false;
        }
        self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
        encode_snapshot(pos, self.chunks.subscription, snapshot, round.out);
        self.chunks.told(pos, snapshot.version);
        true
    }

    /// Sends what has been gathered. Nothing counts as told before it is out.
    fn send_batch(&mut self, batch: &mut Batch, round: &mut Round<'_>, source: &mut dyn ChunkSource) -> bool {
        let Batch { deltas, same, .. } = std::mem::take(batch);
        if !deltas.is_empty() {
            if !self.send(round, &source.delta_frame(&deltas)) {
                return false;
            }
            deltas.iter().for_each(|delta| self.chunks.told(delta.pos, delta.to));
        }
        self.send_same(&same, round)
    }

    /// Chunks that the client holds as they are: it is told so of those that it did not know to be in its subscription.
    fn send_same(&mut self, same: &[ChunkPos], round: &mut Round<'_>) -> bool {
        let (seen, unseen): (Vec<ChunkPos>, Vec<ChunkPos>) = same.iter().partition(|pos| self.chunks.is_seen(**pos));
        seen.into_iter().for_each(|pos| self.chunks.told(pos, self.chunks.held(pos)));
        if unseen.is_empty() {
            return true;
        }
        let mut frame = Vec::new();
        encode_same(self.chunks.subscription, &unseen, &mut frame);
        let goes = self.send(round, &frame);
        if goes {
            unseen.into_iter().for_each(|pos| self.chunks.told(pos, self.chunks.held(pos)));
        }
        goes
    }

    /// What the client asked for is told before it hears that it is decided.
    fn send_acknowledgement(&mut self, round: &mut Round<'_>) -> bool {
        if self.chunks.has_own() {
            return true;
        }
        let Some(waiting) = &self.acknowledgement else { return true };
        let bytes = waiting.frame_bytes();
        if !round.take(bytes) {
            return false;
        }
        self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
        if let Some(Acknowledgement { sequence, tick, refusals }) = self.acknowledgement.take() {
            ServerMessage::Acknowledge { sequence, tick, refusals }.encode(round.out);
        }
        true
    }

    fn send_moves(&mut self, round: &mut Round<'_>) -> bool {
        while self.turn_bytes > 0
            && let Some((tick, moves)) = self.bodies.peek_moves()
        {
            let bytes = moves_frame_bytes(moves.len());
            if !round.take(bytes) {
                return false;
            }
            self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
            encode_moves(tick, &moves, round.out);
            self.bodies.sent_moves(&moves);
        }
        true
    }

    fn send_ends(&mut self, round: &mut Round<'_>) -> bool {
        let ends = self.bodies.peek_ends(self.chunks.oldest_tick());
        if ends.is_empty() {
            return true;
        }
        if !round.take(ends_frame_bytes(ends.len())) {
            return false;
        }
        encode_ends(&ends, round.out);
        self.bodies.sent_ends(&ends);
        true
    }

    fn send_unseen(&mut self, round: &mut Round<'_>, source: &mut dyn ChunkSource) -> Step {
        let before = round.out.len();
        let mut batch = Batch::default();
        while self.turn_bytes > batch.bytes && round.tries < SNAPSHOT_TRIES_MAX {
            let list = self.chunks.unseen_from(round.from);
            if list.is_empty() {
                break;
            }
            for (place, pos) in list {
                if self.turn_bytes <= batch.bytes || round.tries >= SNAPSHOT_TRIES_MAX {
                    break;
                }
                if round.is_spent() || !self.send_update(pos, &mut batch, round, source) {
                    return Step::Full;
                }
                round.from = (place.0, place.1 + 1);
            }
        }
        match self.send_batch(&mut batch, round, source) {
            true => Step::Over { sent: round.out.len() > before },
            false => Step::Full,
        }
    }

    /// Answers about undos, and behind them those about paths.
    fn send_paths(&mut self, round: &mut Round<'_>) -> Step {
        let mut sent = false;
        while self.turn_bytes > 0
            && let Some(frame) = self.undo.peek()
        {
            if !round.take(frame.len()) {
                return Step::Full;
            }
            self.turn_bytes = self.turn_bytes.saturating_sub(frame.len());
            round.out.extend_from_slice(frame);
            self.undo.pop();
            sent = true;
        }
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
            round.out.extend_from_slice(&frame);
            sent = true;
        }
        Step::Over { sent }
    }

    fn send_agents(&mut self, round: &mut Round<'_>, source: &dyn AgentSource) -> Step {
        let mut sent = false;
        while self.turn_bytes > 0
            && let Some(next) = self.agents.peek(self.chunks.shape, source)
        {
            let bytes = next.frames.iter().map(|frame| frame.len()).sum();
            if bytes > 0 && !round.take(bytes) {
                return Step::Full;
            }
            self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
            self.agents.sent(next.what);
            next.frames.iter().for_each(|frame| round.out.extend_from_slice(frame));
            sent |= bytes > 0;
        }
        Step::Over { sent }
    }

    fn apply_subscription(&mut self) {
        if !self.chunks.apply() {
            return;
        }
        let Some(shape) = self.chunks.shape else { return };
        self.bodies.look(shape);
        self.agents.look(Some(shape));
        (self.bodies_wanted, self.agents_wanted) = (true, true);
        self.resume = (0, 0);
    }
}
