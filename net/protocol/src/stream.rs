//! What is sent to one client, and when: answers at once, then deltas and snapshots in turns.
//!
//! A chunk of the subscription is in one of two states. Either its snapshot is *wanted*: deltas of it are
//! ignored, because the snapshot is made from the chunk's state at the moment of sending and shows them already.
//! Or the client *follows* it: it holds, or has on its way, every version up to `tail`, and a delta that begins
//! there is queued. What does not fit the queue, or does not begin at `tail`, makes the snapshot wanted again. So
//! there is never a gap, whatever was dropped, and never more queued than the bound.

use crate::MAGIC;
use crate::error::ProtocolError;
use crate::interest::Shape;
use crate::limits::{
    DELTA_FRAME_BYTES_MAX, DELTA_TURN_BYTES, HEADER_BYTES, OUTPUT_QUEUE_BYTES_MAX, OUTPUT_TRANSPORT_BYTES_MAX,
    PONGS_PENDING_MAX, QUEUED_FRAME_BYTES, REFUSALS_PENDING_MAX, REGISTRY_FRAME_BYTES, SNAPSHOT_TRIES_MAX,
    SNAPSHOT_TURN_BYTES,
};
use crate::message::{BlockInfo, Refused, RefusedInput, ServerMessage, Welcome};
use crate::message::{encode_delta, encode_snapshot, snapshot_frame_bytes};
use crate::wire;
use std::collections::{BTreeMap, HashMap, VecDeque};
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
}

impl ChunkState {
    const fn new(rank: u32) -> Self {
        let none = Version::NONE;
        Self { rank, wanted: true, sent: false, tail: none, shown_at_least: none, queued: Vec::new() }
    }
}

#[derive(Debug)]
enum Queued {
    Delta(DeltaFrame),
    Acknowledge { sequence: u64, tick: u64, refusals: Vec<RefusedInput> },
}

impl Queued {
    fn frame_bytes(&self) -> usize {
        match self {
            Self::Delta(delta) => delta.bytes.len(),
            Self::Acknowledge { refusals, .. } => {
                HEADER_BYTES + size_of::<wire::AcknowledgeHead>() + refusals.len() * size_of::<wire::RefusalEntry>()
            }
        }
    }

    fn charge_bytes(&self) -> usize {
        self.frame_bytes() + QUEUED_FRAME_BYTES
    }
}

#[derive(Debug)]
enum Answer {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
    Pong { number: u64, tick: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Deltas,
    Snapshots,
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
    ended: bool,

    subscription: u32,
    pending: Option<(u32, Shape)>,
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
            ended: false,
            subscription: 0,
            pending: None,
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

    /// Ends the stream: whatever waits is dropped, Refused goes out, and then nothing.
    pub fn refuse(&mut self, refused: &Refused) {
        if self.ended {
            return;
        }
        let magic_is_due = matches!(self.answers.front(), Some(Answer::Own(bytes)) if bytes[..] == MAGIC);
        self.answers.clear();
        (self.pongs, self.pending, self.caught_up) = (0, None, None);
        self.queue.clear();
        (self.queued_bytes, self.refusals) = (0, 0);
        self.forgets.clear();
        self.wanted.clear();
        self.chunks.clear();
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

    /// Drops every queued delta, so that the acknowledgements between them become one.
    fn collapse(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        self.queued_bytes = 0;
        for (_, queued) in queue {
            match queued {
                Queued::Delta(delta) => self.want(delta.pos),
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

    /// Bytes held for this client: in the transport, in the queue, and as answers. What is remembered per chunk of the
    /// subscription, and the registry, which is shared, are not in it.
    pub fn held_bytes(&self) -> usize {
        let answers = self.answers.iter().map(|answer| match answer {
            Answer::Own(bytes) => bytes.len() + QUEUED_FRAME_BYTES,
            Answer::Shared(_) => 0,
            Answer::Pong { .. } => QUEUED_FRAME_BYTES,
        });
        self.unsent_bytes + self.queued_bytes + answers.sum::<usize>()
    }

    /// Whether Refused was said: when the transport is empty, the connection may be closed.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether [`ChunkStream::next`] would have something to send, were there room and every chunk at hand.
    pub fn has_more(&self) -> bool {
        !(self.answers.is_empty() && self.forgets.is_empty() && self.queue.is_empty() && self.wanted.is_empty())
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
        self.apply_subscription();
        let start = out.len();
        let mut round = Round {
            room_bytes: budget_bytes.min(self.transport_bytes_max.saturating_sub(self.unsent_bytes)),
            idle: self.unsent_bytes == 0,
            tries: 0,
            from_rank: std::mem::take(&mut self.resume_rank),
        };
        let mut turns_without = 0;
        while turns_without < 2 && self.send_answers(&mut round, out) && self.send_forgets(&mut round, out) {
            let step = match self.turn {
                Turn::Deltas => self.send_queue(&mut round, out),
                Turn::Snapshots => self.send_snapshots(&mut round, out, snapshot),
            };
            match step {
                Step::Full => break,
                Step::Over { sent: true } => turns_without = 0,
                Step::Over { sent: false } => turns_without += 1,
            }
            (self.turn, self.turn_bytes) = match self.turn {
                Turn::Deltas => (Turn::Snapshots, SNAPSHOT_TURN_BYTES),
                Turn::Snapshots => (Turn::Deltas, DELTA_TURN_BYTES),
            };
        }
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
                Answer::Own(bytes) => bytes.len(),
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
            let (key, queued) = first.remove_entry();
            self.turn_bytes = self.turn_bytes.saturating_sub(bytes);
            self.queued_bytes -= queued.charge_bytes();
            sent = true;
            match queued {
                Queued::Delta(delta) => {
                    let state = self.chunks.get_mut(&delta.pos).expect("a queued delta's chunk is subscribed");
                    assert!(state.queued.first() == Some(&key), "deltas of {:?} leave in order", delta.pos);
                    state.queued.remove(0);
                    out.extend_from_slice(&delta.bytes);
                }
                Queued::Acknowledge { sequence, tick, refusals } => {
                    self.refusals -= refusals.len();
                    ServerMessage::Acknowledge { sequence, tick, refusals }.encode(out);
                }
            }
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
        self.order = shape.chunks();
        self.wanted.clear();
        self.unseen = 0;
        self.resume_rank = 0;
        for (rank, pos) in self.order.iter().enumerate() {
            let state = self.chunks.entry(*pos).or_insert_with(|| ChunkState::new(0));
            state.rank = rank as u32;
            self.unseen += usize::from(!state.sent);
            if state.wanted {
                self.wanted.insert(state.rank, *pos);
            }
        }
        self.caught_up = (self.unseen == 0).then_some(subscription);
    }
}
