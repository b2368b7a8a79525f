//! What the server remembers of one client's side of a connection: bytes in, events out.

use crate::PROTOCOL_VERSION;
use crate::budget::{Rate, TokenBucket};
use crate::crowd::CrowdRequest;
use crate::error::ProtocolError;
use crate::frame::{FrameReader, Towards};
use crate::interest::{Shape, View};
use crate::limits::{
    BLAST_COST_VOXELS, COSTLY_REQUEST, EDIT_VOXELS_IN_FLIGHT_MAX, EDITS_IN_FLIGHT_MAX, FIELD_CHUNKS_MAX, HELLO_WITHIN,
    INPUT_VOXELS_PER_SECOND, PATH_REQUESTS_MAX, REQUESTS_PER_SECOND,
};
use crate::message::{ClientMessage, EditVoxel, Hello, Reason};
use crate::overlay::OverlayKinds;
use crate::path::{FieldRequest, PathRefusal, PathRefused, PathRequest};
use crate::undo::UndoRequest;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use terrane_world::chunk::Version;
use terrane_world::entity::state::{Errand, Starts};
use terrane_world::limits::EDIT_VOXELS_MAX;
use terrane_world::space::{ChunkPos, SpaceError, VoxelBox, VoxelPos};
use terrane_world::step::VoxelEdit;

/// What one session may ask to be changed: all that may be undecided at once, and then so much a second.
const INPUT_RATE: Rate = Rate { per_second: INPUT_VOXELS_PER_SECOND, burst: EDIT_VOXELS_IN_FLIGHT_MAX as u64 };
/// What it may ask otherwise: two seconds' worth at once, which is all the requests that may be open.
const QUESTION_RATE: Rate = Rate { per_second: REQUESTS_PER_SECOND, burst: 2 * REQUESTS_PER_SECOND };

/// What a client wants. Everything in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It introduced itself. Nothing more is read until [`Session::welcome`] is called.
    Hello(Hello),
    /// It wants these chunks instead of the ones before.
    Subscribe {
        /// Its number, larger than the one before.
        subscription: u32,
        /// Which chunks.
        shape: Shape,
    },
    /// It changes voxels; the sequence is the one that was due.
    Edit {
        /// Input sequence.
        sequence: u64,
        /// 1 to 4,096 voxels.
        voxels: Vec<VoxelEdit>,
    },
    /// It sets off a blast; the sequence is the one that was due.
    Blast {
        /// Input sequence.
        sequence: u64,
        /// Where.
        at: VoxelPos,
        /// How strong.
        power: u8,
    },
    /// It sends agents to goals; the sequence is the one that was due.
    Crowd {
        /// Input sequence.
        sequence: u64,
        /// Where they go.
        errand: Errand,
        /// Where they begin.
        starts: Starts,
    },
    /// It takes its crowds out of the world; the sequence is the one that was due.
    Dismiss {
        /// Input sequence.
        sequence: u64,
    },
    /// An input that can't be done whatever the world is like: to be refused, and decided like any other.
    Unfit {
        /// Input sequence.
        sequence: u64,
        /// Why.
        reason: Reason,
    },
    /// An input came again that has been decided: acknowledge again, up to `decided`.
    Repeated {
        /// Last decided sequence.
        decided: u64,
    },
    /// It wants a Pong.
    Ping {
        /// To be sent back.
        number: u64,
    },
    /// It wants these overlays instead of the ones before.
    Overlay {
        /// Which.
        kinds: OverlayKinds,
    },
    /// It asks for a way. The request is open until [`Session::finished`] is called.
    Path(PathRequest),
    /// It wants a field. The request is open until [`Session::finished`] is called.
    Field(FieldRequest),
    /// It does not want an open request answered any more; said once of each.
    Cancel {
        /// Which.
        request: u32,
    },
    /// It looks from here, this way.
    Look(View),
    /// It holds chunks at these versions, which counts for the next Subscribe.
    Holds(Vec<(ChunkPos, Version)>),
    /// It has too many requests open: this is to be said of one that was not opened.
    TooManyRequests(PathRefused),
    /// It asks what an undo would do, in place of the one before that has not begun.
    Undo(UndoRequest),
    /// It wants an undo done, or ended.
    UndoAct {
        /// Which.
        request: u32,
        /// It is to be ended.
        ends: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    BeforeHello,
    BeforeWelcome,
    Open,
    Ended,
}

/// The receiving half of a connection. The sending half is [`crate::stream::ChunkStream`].
#[derive(Debug)]
pub struct Session {
    reader: FrameReader,
    phase: Phase,
    opened: Duration,
    /// Last sequence that came.
    received: u64,
    /// Last sequence that is decided and durable.
    decided: u64,
    /// Sequence and voxel count of the inputs between the two; a blast has no voxels.
    in_flight: VecDeque<(u64, usize)>,
    in_flight_voxels: usize,
    subscription: Option<u32>,
    /// Open requests, and whether each was cancelled.
    requests: BTreeMap<u32, bool>,
    /// Voxels of edits, and what counts as such.
    inputs: TokenBucket,
    /// What changes nothing, and costs something to answer.
    questions: TokenBucket,
}

impl Session {
    /// A connection that was opened at `now`, a time since any fixed point.
    pub fn new(now: Duration) -> Self {
        Self {
            reader: FrameReader::new(Towards::Server),
            phase: Phase::BeforeHello,
            opened: now,
            received: 0,
            decided: 0,
            in_flight: VecDeque::new(),
            in_flight_voxels: 0,
            subscription: None,
            requests: BTreeMap::new(),
            inputs: TokenBucket::new(INPUT_RATE, now),
            questions: TokenBucket::new(QUESTION_RATE, now),
        }
    }

    /// Takes bytes off the front of `input` until there is an event. `None` means that the input is used up, or,
    /// if bytes are left in it, that [`Session::can_receive`] is false and they must wait: nothing of them is lost.
    ///
    /// After an error the connection has ended: send what [`crate::message::Refused`] makes of it, and close.
    pub fn receive(&mut self, now: Duration, input: &mut &[u8]) -> Result<Option<Event>, ProtocolError> {
        while self.can_receive(now) {
            let message = match self.reader.next(input) {
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => ClientMessage::decode(frame.kind, frame.payload),
                Err(error) => Err(error),
            };
            if let Ok(message) = &message {
                self.charge(message);
            }
            match message.and_then(|message| self.judge(message)) {
                Ok(None) => {}
                Ok(Some(event)) => return Ok(Some(event)),
                Err(error) => {
                    self.phase = Phase::Ended;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Whether bytes would be taken now: not while Welcome is due, nor while too many edits are undecided, nor before what came was
    /// paid for, at so much a second.
    pub fn can_receive(&mut self, now: Duration) -> bool {
        match self.phase {
            Phase::BeforeHello => true,
            Phase::BeforeWelcome | Phase::Ended => false,
            Phase::Open => {
                self.in_flight.len() < EDITS_IN_FLIGHT_MAX
                    && self.in_flight_voxels + EDIT_VOXELS_MAX <= EDIT_VOXELS_IN_FLIGHT_MAX
                    && self.inputs.available(now) > 0
                    && self.questions.available(now) > 0
            }
        }
    }

    /// Takes what a message costs off what the session may ask for.
    fn charge(&mut self, message: &ClientMessage) {
        match message {
            ClientMessage::Edit { voxels, .. } => self.inputs.spend(voxels.len() as u64),
            ClientMessage::Blast { .. } | ClientMessage::Crowd(_) => self.inputs.spend(BLAST_COST_VOXELS),
            ClientMessage::Dismiss { .. } => self.inputs.spend(1),
            ClientMessage::Subscribe { .. }
            | ClientMessage::Path(_)
            | ClientMessage::Field(_)
            | ClientMessage::Undo(_)
            | ClientMessage::UndoAct { .. } => {
                self.questions.spend(COSTLY_REQUEST);
            }
            ClientMessage::Hello(_)
            | ClientMessage::Ping { .. }
            | ClientMessage::Overlay { .. }
            | ClientMessage::Cancel { .. }
            | ClientMessage::Look(_)
            | ClientMessage::Holds { .. } => self.questions.spend(1),
        }
    }

    /// Opens the session after Hello. `acknowledged` is the last decided input of a resumed session, else 0.
    ///
    /// # Panics
    /// If Hello was not the last event.
    pub fn welcome(&mut self, acknowledged: u64) {
        assert!(
            self.phase == Phase::BeforeWelcome,
            "welcome() answers the event Hello, but the phase is {:?}",
            self.phase
        );
        self.phase = Phase::Open;
        self.received = acknowledged;
        self.decided = acknowledged;
    }

    /// Every input up to `sequence` is decided and durable.
    ///
    /// # Panics
    /// If `sequence` has not come yet: that is our own error.
    pub fn decided(&mut self, sequence: u64) {
        assert!(sequence <= self.received, "input {sequence} is decided, but only {} have come", self.received);
        self.decided = self.decided.max(sequence);
        while let Some((first, voxels)) = self.in_flight.front().copied()
            && first <= self.decided
        {
            self.in_flight.pop_front();
            self.in_flight_voxels -= voxels;
        }
    }

    /// The last word about a request has been said.
    pub fn finished(&mut self, request: u32) {
        self.requests.remove(&request);
    }

    /// Last decided input.
    pub const fn acknowledged(&self) -> u64 {
        self.decided
    }

    /// Last input that came.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Whether Welcome has been said.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// An error once the client has kept the server waiting for Hello too long.
    pub fn check_time(&mut self, now: Duration) -> Result<(), ProtocolError> {
        if self.phase != Phase::BeforeHello || now.saturating_sub(self.opened) < HELLO_WITHIN {
            return Ok(());
        }
        self.phase = Phase::Ended;
        Err(ProtocolError::HelloLate { limit_ms: HELLO_WITHIN.as_millis() })
    }

    /// Bytes held of an unfinished frame.
    pub const fn buffered_bytes(&self) -> usize {
        self.reader.buffered_bytes()
    }

    fn judge(&mut self, message: ClientMessage) -> Result<Option<Event>, ProtocolError> {
        match (self.phase, message) {
            (Phase::BeforeHello, ClientMessage::Hello(hello)) => {
                if !(hello.lowest..=hello.highest).contains(&PROTOCOL_VERSION) {
                    return Err(ProtocolError::Version { lowest: hello.lowest, highest: hello.highest });
                }
                self.phase = Phase::BeforeWelcome;
                Ok(Some(Event::Hello(hello)))
            }
            (Phase::BeforeHello, other) => Err(ProtocolError::HelloMissing { kind: other.kind() }),
            (_, ClientMessage::Hello(_)) => Err(ProtocolError::HelloRepeated),
            (_, ClientMessage::Subscribe { subscription, shape }) => match self.subscription.replace(subscription) {
                Some(last) if subscription <= last => {
                    Err(ProtocolError::SubscriptionOrder { found: subscription, last })
                }
                _ => Ok(Some(Event::Subscribe { subscription, shape })),
            },
            (_, ClientMessage::Edit { sequence, voxels }) => self.judge_edit(sequence, &voxels),
            (_, ClientMessage::Blast { sequence, at, power }) => self.judge_blast(sequence, at, power),
            (_, ClientMessage::Look(view)) => Ok(Some(Event::Look(view))),
            (_, ClientMessage::Holds { chunks }) => Ok(Some(Event::Holds(chunks))),
            (_, ClientMessage::Overlay { kinds }) => Ok(Some(Event::Overlay { kinds })),
            (_, ClientMessage::Ping { number }) => Ok(Some(Event::Ping { number })),
            (_, ClientMessage::Path(ask)) => self.judge_request(ask.request, Event::Path(ask)),
            (_, ClientMessage::Field(ask)) => self.judge_request(ask.request, Event::Field(ask)),
            (_, ClientMessage::Cancel { request }) => Ok(self.judge_cancel(request)),
            (_, ClientMessage::Crowd(ask)) => self.judge_crowd(ask),
            (_, ClientMessage::Undo(ask)) => Ok(Some(Event::Undo(ask))),
            (_, ClientMessage::UndoAct { request, ends }) => Ok(Some(Event::UndoAct { request, ends })),
            (_, ClientMessage::Dismiss { sequence }) => {
                Ok(self.admit(sequence, 0)?.map_or_else(|instead| instead, |()| Some(Event::Dismiss { sequence })))
            }
        }
    }

    fn judge_request(&mut self, request: u32, event: Event) -> Result<Option<Event>, ProtocolError> {
        if self.requests.contains_key(&request) {
            return Err(ProtocolError::RequestInUse { request });
        }
        if self.requests.len() == PATH_REQUESTS_MAX {
            let text = format!("{PATH_REQUESTS_MAX} requests are open, which is the most: wait for one, or cancel it");
            let code = PathRefusal::TooManyRequests;
            return Ok(Some(Event::TooManyRequests(PathRefused { request, code, text })));
        }
        self.requests.insert(request, false);
        Ok(Some(event))
    }

    /// A request that has just been answered is cancelled in vain.
    fn judge_cancel(&mut self, request: u32) -> Option<Event> {
        let cancelled = self.requests.get_mut(&request)?;
        (!std::mem::replace(cancelled, true)).then_some(Event::Cancel { request })
    }

    fn judge_edit(&mut self, sequence: u64, voxels: &[EditVoxel]) -> Result<Option<Event>, ProtocolError> {
        if let Err(instead) = self.admit(sequence, voxels.len())? {
            return Ok(instead);
        }
        let edits: Result<Vec<VoxelEdit>, SpaceError> = voxels
            .iter()
            .map(|v| Ok(VoxelEdit { pos: VoxelPos::try_from(v.pos)?, block: v.block, sparse: None }))
            .collect();
        Ok(Some(match edits {
            Ok(voxels) => Event::Edit { sequence, voxels },
            Err(_) => Event::Unfit { sequence, reason: Reason::OutsideWorld },
        }))
    }

    fn judge_blast(&mut self, sequence: u64, at: [i32; 3], power: u8) -> Result<Option<Event>, ProtocolError> {
        if let Err(instead) = self.admit(sequence, 0)? {
            return Ok(instead);
        }
        Ok(Some(match VoxelPos::try_from(at) {
            Ok(at) => Event::Blast { sequence, at, power },
            Err(_) => Event::Unfit { sequence, reason: Reason::OutsideWorld },
        }))
    }

    fn judge_crowd(&mut self, ask: CrowdRequest) -> Result<Option<Event>, ProtocolError> {
        let sequence = ask.sequence;
        if let Err(instead) = self.admit(sequence, 0)? {
            return Ok(instead);
        }
        Ok(Some(match errand(ask) {
            Ok((errand, starts)) => Event::Crowd { sequence, errand, starts },
            Err(reason) => Event::Unfit { sequence, reason },
        }))
    }

    /// Takes the next input in, or, if it is not the next, says inside what there is instead of it.
    fn admit(&mut self, sequence: u64, voxels: usize) -> Result<Result<(), Option<Event>>, ProtocolError> {
        if sequence <= self.decided {
            return Ok(Err(Some(Event::Repeated { decided: self.decided })));
        }
        if sequence <= self.received {
            // Still under way: it is acknowledged when it is decided.
            return Ok(Err(None));
        }
        if sequence != self.received + 1 {
            return Err(ProtocolError::SequenceGap { expected: self.received + 1, found: sequence });
        }
        self.received = sequence;
        self.in_flight.push_back((sequence, voxels));
        self.in_flight_voxels += voxels;
        Ok(Ok(()))
    }
}

/// A crowd as the world takes it.
fn errand(ask: CrowdRequest) -> Result<(Errand, Starts), Reason> {
    let reason = |error| match error {
        SpaceError::Empty { .. } => Reason::BadBox,
        _ => Reason::OutsideWorld,
    };
    let [within, from] = [ask.within, ask.from].map(|[first, end]| VoxelBox::new(first, end).map_err(reason));
    let (within, from) = (within?, from?);
    if within.chunk_count() > FIELD_CHUNKS_MAX {
        return Err(Reason::BadBox);
    }
    let goals = ask.goals.into_iter().map(VoxelPos::try_from).collect::<Result<_, _>>().map_err(reason)?;
    Ok((Errand { mode: ask.mode, goals, within, speed: ask.speed }, Starts::Within { within: from, count: ask.agents }))
}
