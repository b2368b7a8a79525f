//! The chunk server: owns a world, hears its clients, and tells them what has become durable.
//!
//! An edit waits for the next tick; the tick's deltas go to the journal; when the journal says that they are
//! durable, and not before, they go to the clients, with the acknowledgement behind them. A client that comes
//! meanwhile is shown each chunk as it was last durable. Bodies on their way are told in the same way; overlays are made a
//! few a step, outside of the world's tick. Agents are told of by columns (`docs/protocol.md`). Questions about paths are
//! passed on, and their answers handed through. An undo goes on beside everybody's inputs ([`crate::undoing`]).

use crate::agents::Crowds;
use crate::bodies::Bodies;
use crate::feed::{Feed, FeedSource};
use crate::overlays::{self, Budget, Overlays, SUPPORT_WORK, Unsettled};
use crate::paths::{PathAnswer, PathInput};
use crate::undoing::{Said, UndoAnswer, UndoAsk, Undos};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use terrane_protocol::error::{ProtocolError, RefusedCode};
use terrane_protocol::limits::{
    OUTPUT_TRANSPORT_BYTES_MAX, OVERLAY_TURN_BYTES, SERVER_BYTES_PER_SECOND, SESSION_BYTES_PER_SECOND, SESSIONS_MAX,
};
use terrane_protocol::message::{Hello, Reason, Refused, RefusedInput, SessionId, Welcome, block_infos};
use terrane_protocol::stream::{OverlayAnswer, registry_frames};
use terrane_protocol::{ChunkStream, Event, OverlayKind, PROTOCOL_VERSION, Rate, ServerMessage, Session, TokenBucket};
use terrane_world::limits::TICK_INPUTS_MAX;
use terrane_world::path::mode::Modes;
use terrane_world::physics::state::ColumnState;
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{self, ActorId, CauseKind, Deltas, Held, Outcome, World};
use terrane_world::undo::Request;

/// One connection, numbered by the shell, never twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// Something that happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection was opened.
    Opened {
        /// Its number.
        peer: PeerId,
        /// A random id, in case it turns out to be a new session.
        fresh: SessionId,
        /// Whether the other end is on this machine.
        is_local: bool,
    },
    /// Bytes came.
    Received {
        /// From whom.
        peer: PeerId,
        /// In any portion.
        bytes: &'a [u8],
    },
    /// The transport got rid of bytes.
    Flushed {
        /// Towards whom.
        peer: PeerId,
        /// How many more since it last said so.
        bytes: usize,
    },
    /// The connection is gone.
    Closed {
        /// Which.
        peer: PeerId,
    },
    /// It is time for the next tick.
    Tick,
    /// Everything up to this tick is durable.
    Committed {
        /// The tick.
        tick: u64,
    },
    /// The disk refuses writes: nothing more can be acknowledged.
    Failing {
        /// Why, for the clients.
        reason: String,
    },
    /// A path server has something to say to a client.
    Path(PathAnswer),
    /// A planner of undos has something to say to a client.
    Undo(Box<UndoAnswer>),
    /// That an undo is done is durable.
    UndoEnded {
        /// Which.
        undo: u64,
    },
    /// The server is about to stop.
    Stop,
}

/// What the journal is to know.
#[derive(Debug, Clone)]
pub enum Commit {
    /// What a tick did; [`Input::Committed`] answers.
    Tick(Arc<Deltas>),
    /// An undo begins, and takes the tick that is its number; [`Input::Committed`] answers.
    UndoBegins(Request),
    /// An undo is done; [`Input::UndoEnded`] answers.
    UndoEnds(u64),
}

/// What shall happen outside, in this order: commit, send, close.
#[derive(Debug, Default)]
pub struct Outbox {
    /// What actors call themselves, to be journaled with their first change.
    pub names: Vec<(ActorId, String)>,
    /// To be journaled and synced, in this order.
    pub commit: Vec<Commit>,
    /// Bytes to be sent.
    pub send: Vec<(PeerId, Vec<u8>)>,
    /// Connections to be closed once their bytes are sent.
    pub close: Vec<PeerId>,
    /// Connections that are not to be read any more, or, where it says false, again.
    pub pause: Vec<(PeerId, bool)>,
    /// For a path server, in order.
    pub paths: Vec<PathInput>,
    /// For a planner of undos, in order.
    pub undos: Vec<UndoAsk>,
    /// For the log: chunks that clients wait for and that can't be read, each once.
    pub unreadable: Vec<(ChunkPos, String)>,
}

/// What a chunk server may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Heap bytes of chunks in memory.
    pub resident_bytes: usize,
    /// Chunks that may be loaded or generated for snapshots in one step, so that a newcomer can't hold up a tick.
    pub loads_per_step: usize,
    /// Ticks that may wait for their fsync before the world stands still.
    pub uncommitted_ticks: usize,
    /// Overlays that may be made in one step: at a few milliseconds each they leave most of a tick alone. Four of light
    /// count as one.
    pub overlays_per_step: usize,
    /// Chunks that may be loaded in one step to tell the light of others: everything up to the sky lights them.
    pub light_loads_per_step: usize,
    /// How often a voxel may be looked at in one step to work changes into light, in about a hundred nanoseconds each.
    pub light_visits_per_step: u64,
    /// Bytes of overlays that are kept because nothing near by has changed.
    pub overlay_bytes: usize,
    /// Bytes of changes that are remembered for those who come back or are slow.
    pub recent_bytes: usize,
    /// Bytes of packed chunks that are kept for whoever comes to look at the same.
    pub packed_bytes: usize,
    /// Bytes a second for one session; none for as many as there are.
    pub session_rate: Option<Rate>,
    /// Bytes a second for all sessions together.
    pub server_rate: Option<Rate>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            resident_bytes: 512 << 20,
            loads_per_step: 96,
            uncommitted_ticks: 64,
            overlays_per_step: 8,
            light_loads_per_step: 128,
            light_visits_per_step: 100_000,
            overlay_bytes: 32 << 20,
            recent_bytes: 64 << 20,
            packed_bytes: 32 << 20,
            session_rate: Some(Rate::new(SESSION_BYTES_PER_SECOND)),
            server_rate: Some(Rate::new(SERVER_BYTES_PER_SECOND)),
        }
    }
}

/// What a chunk server tells about itself.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The last tick.
    pub tick: u64,
    /// The last durable tick.
    pub committed_tick: u64,
    /// Running digest after the last tick.
    pub digest: u64,
    /// Clients that have said Hello.
    pub sessions: usize,
    /// Heap bytes of chunks in memory.
    pub resident_bytes: usize,
    /// Inputs that wait for a tick.
    pub waiting_inputs: usize,
}

struct Client {
    session: Session,
    stream: ChunkStream,
    fresh: SessionId,
    is_local: bool,
    name: String,
    /// Known after Hello.
    identity: Option<(SessionId, ActorId)>,
    /// Bytes that came while the session could not take them.
    unread: Vec<u8>,
    /// No more of them is read from the connection.
    paused: bool,
    ending: bool,
}

/// Unread bytes of a client that are kept before it is not read any more: one of the largest frames.
const UNREAD_BYTES_MAX: usize = 64 << 10;

/// An input that waits for a tick, and the refusal that is already certain.
struct Waiting {
    input: step::Input,
    unfit: Option<Reason>,
}

/// A tick that waits for its fsync.
pub(crate) struct Uncommitted {
    deltas: Arc<Deltas>,
    /// Chunks as they stood before it.
    pub(crate) before: HashMap<ChunkPos, Held>,
    decided: Vec<(ActorId, u64, Option<Reason>)>,
}

/// The role.
pub struct ChunkServer {
    world: World,
    world_id: [u8; 16],
    spawn: VoxelPos,
    tick_length: Duration,
    limits: Limits,
    clients: BTreeMap<PeerId, Client>,
    /// Sessions that were given out since the start, by actor, with the connection that has each now.
    sessions: HashMap<ActorId, Option<PeerId>>,
    waiting: VecDeque<Waiting>,
    uncommitted: VecDeque<Uncommitted>,
    committed_tick: u64,
    /// Last durably decided input sequence of each actor heard since the start.
    decided: HashMap<ActorId, u64>,
    tick: u64,
    refusing: Option<Refused>,
    /// Chunks that could not be read, so that each is reported once.
    unreadable: BTreeSet<ChunkPos>,
    bodies: Bodies,
    crowds: Crowds,
    overlays: Overlays,
    /// Whether light may be held because somebody wants it.
    is_lit: bool,
    /// The frame that tells the movement modes, if there is a path server.
    modes: Option<Arc<[u8]>>,
    feed: Feed,
    undos: Undos,
    /// What all sessions together may be sent, if that is limited.
    budget: Option<TokenBucket>,
    /// What chunks are made from, for clients that keep them.
    identity: u64,
    /// The time of the step.
    now: Duration,
    /// Counts ticks, so that another client is the first each time.
    rounds: usize,
}

impl ChunkServer {
    /// A chunk server over a world. `spawn` is where the feet of new players stand.
    pub fn new(world: World, world_id: [u8; 16], spawn: VoxelPos, tick_length: Duration, limits: Limits) -> Self {
        let tick = world.standing().tick;
        let bodies = Bodies::new(&world.standing().columns, tick);
        let crowds = Crowds::new(&world.standing().columns, tick);
        Self {
            world,
            world_id,
            spawn,
            tick_length,
            limits,
            clients: BTreeMap::new(),
            sessions: HashMap::new(),
            waiting: VecDeque::new(),
            uncommitted: VecDeque::new(),
            committed_tick: tick,
            decided: HashMap::new(),
            tick,
            refusing: None,
            unreadable: BTreeSet::new(),
            bodies,
            crowds,
            overlays: Overlays::default(),
            is_lit: false,
            modes: None,
            feed: Feed::new(limits.recent_bytes, limits.packed_bytes),
            undos: Undos::default(),
            budget: limits.server_rate.map(|rate| TokenBucket::new(rate, Duration::ZERO)),
            identity: 0,
            now: Duration::ZERO,
            rounds: 0,
        }
    }

    /// The same, for a world whose chunks are made from what this number stands for: who has kept chunks under another one has
    /// kept other chunks.
    #[must_use]
    pub const fn with_identity(mut self, identity: u64) -> Self {
        self.identity = identity;
        self
    }

    /// The same, for a world whose paths can be asked about: clients are told these modes.
    #[must_use]
    pub fn with_modes(mut self, modes: &Modes) -> Self {
        let mut frame = Vec::new();
        ServerMessage::Modes { modes: modes.iter().cloned().collect() }.encode(&mut frame);
        self.modes = Some(frame.into());
        self
    }

    /// Takes one input in, and puts what follows from it into the outbox. `now` is the time since any fixed point.
    pub fn step(&mut self, now: Duration, input: Input<'_>, out: &mut Outbox) {
        self.now = now;
        match input {
            Input::Opened { peer, fresh, is_local } => self.opened(peer, fresh, is_local, out),
            Input::Received { peer, bytes } => self.received(peer, bytes, out),
            Input::Flushed { peer, bytes } => self.flushed(peer, bytes, out),
            Input::Closed { peer } => self.closed(peer, out),
            Input::Path(answer) => self.answered(answer, out),
            Input::Undo(answer) => {
                self.undos.answered(*answer);
                self.tell_undos(out);
            }
            Input::UndoEnded { undo } => {
                self.undos.ended(undo);
                self.tell_undos(out);
            }
            Input::Tick => self.run_tick(out),
            Input::Committed { tick } => self.committed(tick, out),
            Input::Failing { reason } => self.refuse_all(RefusedCode::WorldFailing, &reason, out),
            Input::Stop => {
                self.refuse_all(RefusedCode::Stopping, "the server is stopping; it can be tried again in a moment", out)
            }
        }
    }

    /// What the server tells about itself.
    pub fn facts(&self) -> Facts {
        Facts {
            tick: self.tick,
            committed_tick: self.committed_tick,
            digest: self.world.standing().digest,
            sessions: self.clients.values().filter(|client| client.session.is_open()).count(),
            resident_bytes: self.world.resident_bytes(),
            waiting_inputs: self.waiting.len(),
        }
    }

    /// Whether nothing waits for a tick or an fsync.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.uncommitted.is_empty()
    }

    fn opened(&mut self, peer: PeerId, fresh: SessionId, is_local: bool, out: &mut Outbox) {
        let (session, mut stream) = (Session::new(self.now), ChunkStream::default());
        if let Some(rate) = self.limits.session_rate {
            stream = stream.with_budget(rate, self.now);
        }
        let (identity, name, unread) = (None, String::new(), Vec::new());
        let client = Client { session, stream, fresh, is_local, name, identity, unread, paused: false, ending: false };
        assert!(self.clients.insert(peer, client).is_none(), "{peer:?} was opened twice");
        if let Some(refused) = self.refusing.clone() {
            self.refuse(peer, &refused, out);
        } else if self.clients.len() > SESSIONS_MAX {
            let text = format!("the server takes {SESSIONS_MAX} connections; try again later");
            self.refuse(peer, &Refused { code: RefusedCode::TooManySessions, text }, out);
        }
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], out: &mut Outbox) {
        let Some(client) = self.clients.get_mut(&peer).filter(|client| !client.ending) else { return };
        client.unread.extend_from_slice(bytes);
        self.read(peer, out);
        self.pump(peer, &mut self.limits.loads_per_step.clone(), out);
    }

    /// Reads what has come, as far as the session takes it. What it does not take waits, and if that is much, no more is read from
    /// the connection.
    fn read(&mut self, peer: PeerId, out: &mut Outbox) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&peer).filter(|client| !client.ending) else { return };
        let unread = std::mem::take(&mut client.unread);
        let mut rest = &unread[..];
        while let Some(client) = self.clients.get_mut(&peer).filter(|client| !client.ending) {
            let result = match client.session.receive(now, &mut rest) {
                Ok(None) => break,
                Ok(Some(event)) => self.event(peer, event, out),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                return self.refuse(peer, &Refused::from(&error), out);
            }
        }
        let Some(client) = self.clients.get_mut(&peer) else { return };
        client.unread = rest.to_vec();
        let is_much = client.unread.len() >= UNREAD_BYTES_MAX;
        if is_much != client.paused && (is_much || client.unread.is_empty()) {
            client.paused = is_much;
            out.pause.push((peer, is_much));
        }
    }

    /// Reads what waited, now that time has passed.
    fn read_on(&mut self, out: &mut Outbox) {
        let waiting = self.clients.iter().filter(|(_, client)| !client.unread.is_empty());
        let waiting: Vec<PeerId> = waiting.map(|(peer, _)| *peer).collect();
        waiting.into_iter().for_each(|peer| self.read(peer, out));
    }

    fn event(&mut self, peer: PeerId, event: Event, out: &mut Outbox) -> Result<(), ProtocolError> {
        let tick = self.committed_tick;
        let Some(client) = self.clients.get_mut(&peer) else { return Ok(()) };
        match event {
            Event::Hello(hello) => self.hello(peer, &hello, out),
            Event::Subscribe { subscription, shape } => client.stream.subscribe(subscription, shape),
            Event::Edit { sequence, voxels } => {
                self.wait(peer, None, |actor| step::Input::Edit { actor, sequence, voxels })
            }
            Event::Blast { sequence, at, power } => {
                self.wait(peer, None, |actor| step::Input::Blast { actor, sequence, at, power })
            }
            // Decided like any other, so that the sequence goes on, also across a restart; it changes nothing.
            Event::Unfit { sequence, reason } => {
                self.wait(peer, Some(reason), |actor| step::Input::Edit { actor, sequence, voxels: Vec::new() })
            }
            Event::Crowd { sequence, errand, starts } => {
                self.wait(peer, None, |actor| step::Input::Crowd { actor, sequence, errand, starts })
            }
            Event::Dismiss { sequence } => self.wait(peer, None, |actor| step::Input::Dismiss { actor, sequence }),
            Event::Look(view) => client.stream.look(view),
            Event::Holds(chunks) => client.stream.claim(chunks),
            Event::Overlay { kinds } => client.stream.want_overlays(kinds),
            Event::Repeated { decided } => client.stream.acknowledge(decided, tick, &[])?,
            Event::Ping { number } => client.stream.pong(number, tick)?,
            Event::Path(ask) => out.paths.push(PathInput::Way { peer, ask }),
            Event::Field(ask) => out.paths.push(PathInput::Field { peer, ask }),
            Event::Cancel { request } => out.paths.push(PathInput::Cancel { peer, request }),
            Event::TooManyRequests(refused) => client.stream.refuse_request(refused)?,
            Event::Undo(ask) => {
                let actor = client.identity.filter(|_| client.is_local).map(|(_, actor)| undoer_of(actor));
                self.undos.ask(peer, actor, ask, self.tick)?;
                self.tell_undos(out);
            }
            Event::UndoAct { request, ends } => {
                self.undos.act(peer, request, ends);
                self.tell_undos(out);
            }
        }
        Ok(())
    }

    fn wait(&mut self, peer: PeerId, unfit: Option<Reason>, input: impl FnOnce(ActorId) -> step::Input) {
        let Some((_, actor)) = self.clients.get(&peer).and_then(|client| client.identity) else { return };
        self.waiting.push_back(Waiting { input: input(actor), unfit });
    }

    fn hello(&mut self, peer: PeerId, hello: &Hello, out: &mut Outbox) {
        let known = hello.resume.filter(|session| {
            let actor = actor_of(*session);
            self.sessions.contains_key(&actor) || self.world.actor_sequence(actor) > 0
        });
        let session = known.unwrap_or(self.clients[&peer].fresh);
        let actor = actor_of(session);
        if let Some(Some(older)) = self.sessions.insert(actor, Some(peer)) {
            let text = "the session goes on over a newer connection".to_owned();
            self.refuse(older, &Refused { code: RefusedCode::TakenOver, text }, out);
        }
        let acknowledged = self.decided_sequence(actor);
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            resumed: known.is_some(),
            epoch: self.world.standing().epoch,
            session,
            world: self.world_id,
            tick: self.committed_tick,
            acknowledged,
            tick_us: self.tick_length.as_micros() as u32,
            blocks: self.world.registry().len() as u32,
            spawn: self.spawn,
            identity: self.identity,
        };
        let client = self.clients.get_mut(&peer).expect("it has just said Hello");
        client.identity = Some((session, actor));
        client.name.clone_from(&hello.name);
        if !hello.name.trim().is_empty() {
            out.names.push((actor, hello.name.clone()));
        }
        client.session.welcome(acknowledged);
        client.stream.welcome(&welcome);
        client.stream.registry(&registry_frames(0, &block_infos(self.world.registry(), 0)));
        client.stream.registry(self.modes.as_slice());
    }

    /// The last input of an actor that is decided and durable.
    fn decided_sequence(&self, actor: ActorId) -> u64 {
        if let Some(sequence) = self.decided.get(&actor) {
            return *sequence;
        }
        let waits = self.uncommitted.iter().flat_map(|u| &u.decided).filter(|(heard, ..)| *heard == actor);
        match waits.map(|(_, sequence, _)| *sequence).min() {
            Some(first_waiting) => first_waiting.saturating_sub(1),
            None => self.world.actor_sequence(actor),
        }
    }

    fn flushed(&mut self, peer: PeerId, bytes: usize, out: &mut Outbox) {
        let Some(client) = self.clients.get_mut(&peer) else { return };
        client.stream.flushed(bytes);
        self.pump(peer, &mut self.limits.loads_per_step.clone(), out);
    }

    /// Hands through what a path server says.
    fn answered(&mut self, PathAnswer { peer, frame, ends }: PathAnswer, out: &mut Outbox) {
        let Some(client) = self.clients.get_mut(&peer).filter(|client| !client.ending) else { return };
        ends.into_iter().for_each(|request| client.session.finished(request));
        client.stream.offer_paths(frame);
        self.pump(peer, &mut self.limits.loads_per_step.clone(), out);
    }

    fn closed(&mut self, peer: PeerId, out: &mut Outbox) {
        let Some(client) = self.clients.remove(&peer) else { return };
        out.paths.push(PathInput::Closed { peer });
        self.undos.closed(peer);
        self.tell_undos(out);
        if let Some((_, actor)) = client.identity
            && let Some(holder) = self.sessions.get_mut(&actor)
            && *holder == Some(peer)
        {
            *holder = None;
        }
    }

    /// One tick of the world. If too many ticks wait for their fsync, the world stands still meanwhile.
    fn run_tick(&mut self, out: &mut Outbox) {
        self.check_times(out);
        self.read_on(out);
        if self.uncommitted.len() < self.limits.uncommitted_ticks && self.refusing.is_none() {
            self.begin_undo(out);
            self.step_world(out);
        }
        self.look_after_undos(out);
        self.world.evict(self.limits.resident_bytes, self.committed_tick);
        self.pump_all(out);
    }

    fn check_times(&mut self, out: &mut Outbox) {
        let now = self.now;
        let late: Vec<(PeerId, Refused)> = (self.clients.iter_mut())
            .filter(|(_, client)| !client.ending)
            .filter_map(|(peer, client)| Some((*peer, Refused::from(&client.session.check_time(now).err()?))))
            .collect();
        late.iter().for_each(|(peer, refused)| self.refuse(*peer, refused, out));
    }

    fn step_world(&mut self, out: &mut Outbox) {
        let part = self.undos.next_part(|actor| self.world.actor_sequence(actor));
        let part_voxels = part.as_ref().map(|part| match part {
            step::Input::Restore { voxels, .. } => voxels.len() as u64,
            _ => 0,
        });
        let most = TICK_INPUTS_MAX - usize::from(part.is_some());
        let (mut inputs, mut unfit): (Vec<step::Input>, Vec<Option<Reason>>) =
            self.take_inputs(most).into_iter().map(|waiting| (waiting.input, waiting.unfit)).unzip();
        // Behind everybody's inputs, each of which is faster where both want the same voxel.
        unfit.extend(part.as_ref().map(|_| None));
        inputs.extend(part);
        self.tick += 1;
        let deltas = self.world.step(self.tick, &inputs).expect("ticks go up, and their inputs are counted");
        let done = part_voxels.zip(deltas.outcomes.last());
        let done = done.and_then(|(voxels, outcome)| self.undos.stepped(voxels, outcome, &deltas));
        if deltas.is_empty() {
            if self.uncommitted.is_empty() {
                self.committed_tick = self.tick;
            }
            return;
        }
        let decided = inputs.iter().zip(&deltas.outcomes).zip(unfit).map(|((input, outcome), unfit)| {
            let (actor, sequence) = input.asked_by();
            (actor, sequence, unfit.or_else(|| reason(outcome)))
        });
        let decided = decided.collect();
        let before = deltas.before.iter().cloned().collect();
        let deltas = Arc::new(deltas);
        out.commit.push(Commit::Tick(Arc::clone(&deltas)));
        out.commit.extend(done.map(Commit::UndoEnds));
        self.uncommitted.push_back(Uncommitted { deltas, before, decided });
    }

    /// Takes the inputs of the next tick, each actor's in their order: one crowd at most, because its field is worked out in that
    /// tick. What an actor asked for behind another one waits with it, and nobody else does.
    fn take_inputs(&mut self, most: usize) -> Vec<Waiting> {
        let mut taken = Vec::new();
        let mut left = VecDeque::new();
        let (mut has_crowd, mut held) = (false, BTreeSet::new());
        while taken.len() < most
            && let Some(waiting) = self.waiting.pop_front()
        {
            let (actor, _) = waiting.input.asked_by();
            let is_crowd = matches!(waiting.input, step::Input::Crowd { .. });
            if held.contains(&actor) || is_crowd && has_crowd {
                held.insert(actor);
                left.push_back(waiting);
            } else {
                has_crowd |= is_crowd;
                taken.push(waiting);
            }
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        taken
    }

    /// An undo that is due begins, behind what the last tick did and ahead of what the next one does: it takes a tick in which nothing
    /// else happens.
    fn begin_undo(&mut self, out: &mut Outbox) {
        if !self.undos.is_due() {
            return;
        }
        self.tick += 1;
        let Some((request, is_through)) = self.undos.begin(self.tick) else { return };
        let asks = |client: &&Client| client.identity.is_some_and(|(_, actor)| undoer_of(actor) == request.actor);
        let name = self.clients.values().find(asks).map(|client| client.name.clone());
        out.names.extend(name.filter(|name| !name.trim().is_empty()).map(|name| (request.actor, name)));
        let id = request.id;
        out.commit.push(Commit::UndoBegins(request));
        out.commit.extend(is_through.then_some(Commit::UndoEnds(id)));
    }

    /// Looks for undos that may be planned now, and for one that has come to rest.
    fn look_after_undos(&mut self, out: &mut Outbox) {
        if self.undos.has_waiting() {
            let is_settled = self.world.standing().columns.values().all(ColumnState::is_settled);
            self.undos.look(self.tick, self.committed_tick, is_settled);
        }
        self.undos.rest(self.committed_tick);
        self.tell_undos(out);
    }

    /// Hands on what there is to say about undos.
    fn tell_undos(&mut self, out: &mut Outbox) {
        out.undos.append(&mut self.undos.asks);
        for (peer, said) in std::mem::take(&mut self.undos.said) {
            let Some(client) = self.clients.get_mut(&peer).filter(|client| !client.ending) else { continue };
            let told = match said {
                Said::Plan(frames) => {
                    client.stream.offer_undo_plan(frames);
                    Ok(())
                }
                Said::Forgotten => {
                    client.stream.drop_undo_plan();
                    Ok(())
                }
                Said::Progress(progress) => client.stream.offer_undo_progress(progress),
                Said::Refused(refused) => client.stream.refuse_undo(refused),
            };
            if let Err(error) = told {
                self.refuse(peer, &Refused::from(&error), out);
            }
        }
    }

    /// What is durable now goes to the clients.
    fn committed(&mut self, tick: u64, out: &mut Outbox) {
        while self.uncommitted.front().is_some_and(|first| first.deltas.tick <= tick) {
            let Some(first) = self.uncommitted.pop_front() else { return };
            self.committed_tick = first.deltas.tick;
            self.offer(&first.deltas);
            self.acknowledge(&first.decided, out);
        }
        if self.uncommitted.is_empty() {
            self.committed_tick = self.committed_tick.max(self.tick);
        }
        self.undos.committed(self.committed_tick);
        self.tell_undos(out);
        self.pump_all(out);
    }

    /// Offers a durable tick to everybody: bodies ahead of the deltas that took their voxels, ends behind those that brought
    /// them back.
    fn offer(&mut self, deltas: &Deltas) {
        let tick = deltas.tick;
        let news = self.bodies.update(deltas);
        deltas.chunks.iter().for_each(|delta| self.feed.push(delta));
        let crowds = self.crowds.update(deltas, !self.clients.is_empty());
        let stale = self.overlays.update(deltas);
        let now = self.now;
        for Client { stream, identity, .. } in self.clients.values_mut() {
            let asked = |actor: ActorId| identity.is_some_and(|(_, known)| known == actor);
            news.fresh.iter().for_each(|body| stream.offer_body(body, None));
            stream.offer_moves(tick, &news.moves);
            for delta in &deltas.chunks {
                let own = delta.cause.kind == CauseKind::Edit && asked(delta.cause.actor);
                stream.offer(delta.pos, delta.to, tick, now, own);
            }
            stream.offer_ends(tick, &news.ends);
            crowds.ended.iter().for_each(|handle| stream.end_crowd(*handle));
            crowds.parts.iter().for_each(|part| stream.offer_agents(*part));
            stale.iter().for_each(|pos| stream.spoil_overlay(*pos, OverlayKind::Support));
        }
    }

    fn acknowledge(&mut self, decided: &[(ActorId, u64, Option<Reason>)], out: &mut Outbox) {
        let mut by_actor: BTreeMap<ActorId, (u64, Vec<RefusedInput>)> = BTreeMap::new();
        for (actor, sequence, reason) in decided {
            let entry = by_actor.entry(*actor).or_default();
            entry.0 = entry.0.max(*sequence);
            entry.1.extend(reason.map(|reason| RefusedInput { sequence: *sequence, reason }));
        }
        for (actor, (sequence, refusals)) in by_actor {
            let known = self.decided.entry(actor).or_insert(0);
            *known = sequence.max(*known);
            let sequence = *known;
            let Some(Some(peer)) = self.sessions.get(&actor).copied() else { continue };
            let Some(client) = self.clients.get_mut(&peer).filter(|client| !client.ending) else { continue };
            // After a resume, what the older connection had sent is decided before the newer one has repeated it.
            let heard = sequence.min(client.session.received());
            client.session.decided(heard);
            let refusals: Vec<RefusedInput> =
                refusals.into_iter().filter(|refusal| refusal.sequence <= heard).collect();
            if let Err(error) = client.stream.acknowledge(heard, self.committed_tick, &refusals) {
                self.refuse(peer, &Refused::from(&error), out);
            }
            // Bytes that the session could not take while so much was undecided.
            self.read(peer, out);
        }
    }

    fn refuse_all(&mut self, code: RefusedCode, text: &str, out: &mut Outbox) {
        let refused = Refused { code, text: text.to_owned() };
        let peers: Vec<PeerId> = self.clients.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.refuse(peer, &refused, out));
        self.refusing = Some(refused);
    }

    fn refuse(&mut self, peer: PeerId, refused: &Refused, out: &mut Outbox) {
        let Some(client) = self.clients.get_mut(&peer).filter(|client| !client.ending) else { return };
        client.ending = true;
        client.unread = Vec::new();
        client.stream.refuse(refused);
        self.pump(peer, &mut 0, out);
    }

    fn pump_all(&mut self, out: &mut Outbox) {
        let mut peers: Vec<PeerId> =
            self.clients.iter().filter(|(_, client)| client.stream.has_more()).map(|(peer, _)| *peer).collect();
        // Another one is the first each time, should there not be enough for all.
        self.rounds = self.rounds.wrapping_add(1);
        let first = self.rounds % peers.len().max(1);
        peers.rotate_left(first);
        // Each gets its share of the loads, the ones behind what those before left over.
        let mut loads_left = self.limits.loads_per_step;
        for (index, peer) in peers.iter().enumerate() {
            let left = peers.len() - index;
            let mut share = loads_left.div_ceil(left);
            let given = share;
            self.pump_share(*peer, left, &mut share, out);
            loads_left -= given - share;
        }
        self.pump_overlays(out);
    }

    /// Bytes for one of so many clients.
    fn share_bytes(&mut self, clients: usize) -> usize {
        let now = self.now;
        let Some(budget) = &mut self.budget else { return OUTPUT_TRANSPORT_BYTES_MAX };
        usize::try_from(budget.available(now)).unwrap_or(0).div_ceil(clients.max(1))
    }

    fn spend(&mut self, bytes: usize) {
        if let Some(budget) = &mut self.budget {
            budget.spend(bytes as u64);
        }
    }

    /// Follows what has changed in the light, a bounded part of it. Gives whether nothing is left.
    fn follow_light(&mut self) -> bool {
        let wants = |client: &Client| client.stream.overlays().contains(OverlayKind::Light) && !client.ending;
        if !self.clients.values().any(wants) {
            if std::mem::take(&mut self.is_lit) {
                self.world.forget_light();
            }
            return true;
        }
        self.is_lit = true;
        if !self.world.settle_light(self.limits.light_visits_per_step) {
            return false;
        }
        for pos in self.world.light_changed() {
            self.overlays.spoil(pos, OverlayKind::Light);
            self.clients.values_mut().for_each(|client| client.stream.spoil_overlay(pos, OverlayKind::Light));
        }
        true
    }

    /// Makes a few overlays and sends them to those who have nothing else to wait for, each its share.
    fn pump_overlays(&mut self, out: &mut Outbox) {
        let is_settled = self.follow_light();
        let due = |client: &Client| client.stream.has_overlays_due() && !client.ending;
        let count = self.clients.values().filter(|client| due(client)).count();
        if count == 0 {
            return;
        }
        let (budget_bytes, now) = (self.share_bytes(count), self.now);
        let (world, overlays, limits) = (&mut self.world, &mut self.overlays, &self.limits);
        let uncommitted = &self.uncommitted;
        let unsettled = Unsettled::new(uncommitted.iter().flat_map(|waiting| waiting.before.keys().copied()));
        let is_near = |waiting: &Uncommitted, pos| overlays::around(pos).any(|pos| waiting.before.contains_key(&pos));
        let mut left = limits.overlays_per_step * SUPPORT_WORK;
        let mut sent = 0;
        let mut loads = limits.light_loads_per_step;
        for (index, (peer, client)) in self.clients.iter_mut().filter(|(_, client)| due(client)).enumerate() {
            let share = left.div_ceil(count - index);
            let is_fresh = loads == limits.light_loads_per_step;
            let mut budget = Budget { work: share, spent: 0, loads, is_fresh };
            let mut bytes = Vec::new();
            client.stream.next_overlays(now, (budget_bytes, OVERLAY_TURN_BYTES), &mut bytes, &mut |pos, kind| {
                if let Some(frame) = overlays.get(pos, kind) {
                    return OverlayAnswer::Frame(frame);
                }
                // Of what is not durable nothing is shown.
                let is_early = match kind {
                    OverlayKind::Support => uncommitted.iter().any(|waiting| is_near(waiting, pos)),
                    OverlayKind::Light => !is_settled || unsettled.may_light(pos),
                };
                if is_early {
                    return OverlayAnswer::Later;
                }
                if budget.spent >= budget.work {
                    return OverlayAnswer::Enough;
                }
                let Some(frame) = overlays::make(world, pos, kind, &mut budget) else { return OverlayAnswer::Enough };
                overlays.put(pos, kind, &frame, limits.overlay_bytes);
                OverlayAnswer::Frame(frame)
            });
            left = left.saturating_sub(budget.spent);
            loads = budget.loads;
            if !bytes.is_empty() {
                sent += bytes.len();
                out.send.push((*peer, bytes));
            }
        }
        self.spend(sent);
    }

    /// Sends what fits to one client, which has its share of what the server may send. Loads at most `loads` chunks, and takes them
    /// off.
    fn pump(&mut self, peer: PeerId, loads: &mut usize, out: &mut Outbox) {
        self.pump_share(peer, self.clients.len(), loads, out);
    }

    /// The same for one of so many that share what is left.
    fn pump_share(&mut self, peer: PeerId, sharers: usize, loads: &mut usize, out: &mut Outbox) {
        let (share, now) = (self.share_bytes(sharers), self.now);
        let Some(client) = self.clients.get_mut(&peer) else { return };
        // The last word is said whatever there is.
        let share = if client.ending { OUTPUT_TRANSPORT_BYTES_MAX } else { share };
        if client.ending && !out.close.contains(&peer) {
            out.close.push(peer);
        }
        if !client.stream.may_send(now, share) {
            return;
        }
        if client.stream.take_bodies_wanted() {
            let tick = self.bodies.tick();
            self.bodies.iter().for_each(|(frames, now)| client.stream.offer_body(frames, Some((tick, now))));
        }
        if client.stream.take_agents_wanted() {
            self.crowds.parts().for_each(|part| client.stream.offer_agents(part));
        }
        let feed = &mut self.feed;
        let ahead: Vec<ChunkPos> = client.stream.wanted().filter(|pos| !feed.has(*pos)).take(*loads).collect();
        self.world.prefetch(&ahead);
        let (world, uncommitted, tick) = (&mut self.world, &self.uncommitted, self.committed_tick);
        let (ready, unreadable) = (ahead.into_iter().collect(), Vec::new());
        let mut source = FeedSource { feed, world, uncommitted, tick, ready, loads: *loads, unreadable };
        let mut bytes = Vec::new();
        // Before Hello there is nobody who could have asked for a crowd.
        let actor = client.identity.map_or(ActorId(0), |(_, actor)| actor);
        let agents = self.crowds.seen_by(actor);
        client.stream.next_with_agents(now, share, &mut bytes, &mut source, &agents);
        *loads = source.loads;
        for (pos, error) in source.unreadable {
            if self.unreadable.insert(pos) {
                out.unreadable.push((pos, error.to_string()));
            }
        }
        let sent = client.stream.take_paths_sent();
        if sent > 0 {
            out.paths.push(PathInput::Sent { peer, bytes: sent });
        }
        if !bytes.is_empty() {
            self.spend(bytes.len());
            out.send.push((peer, bytes));
        }
    }
}

/// The number that stands for a session in the journal: a hash, because the id itself is the client's secret.
fn actor_of(session: SessionId) -> ActorId {
    let halves = [&session.0[..8], &session.0[8..]].map(|half| u64::from_le_bytes(std::array::from_fn(|i| half[i])));
    let mixed = halves.iter().fold(0x9E37_79B9_7F4A_7C15u64, |sum, half| {
        let value = (sum ^ half).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (value ^ value >> 32).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
    });
    // 0 stands for the world itself.
    ActorId(mixed.max(1))
}

/// Who puts voxels back for an actor: somebody of their own, so that their inputs count by themselves.
fn undoer_of(actor: ActorId) -> ActorId {
    let mixed = (actor.0 ^ 0x756e_646f).wrapping_mul(0xff51_afd7_ed55_8ccd);
    ActorId((mixed ^ mixed >> 29).max(1))
}

fn reason(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Applied | Outcome::Repeated => None,
        Outcome::Refused(refusal) => Some(refusal.into()),
    }
}
