//! The path server: answers questions about ways, and keeps fields true for those who follow them.
//!
//! It sees the world as it was durable after some tick, in chunks of its own, so that nothing it does holds up a tick.
//! Whoever drives it says what the clients ask ([`PathServer::hear`]) and how the world changes ([`PathServer::changed`]), and lets
//! it do a portion of work again and again ([`PathServer::work`]). What it says to one client waits here until the
//! bytes before it are sent.

use crate::PeerId;
use crate::overlays::around;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use terrane_protocol::ServerMessage;
use terrane_protocol::field::{FieldChunk, FieldState, is_move};
use terrane_protocol::limits::{FIELD_CHUNKS_MAX, OUTPUT_PATHS_BYTES_MAX, PATHS_TURN_BYTES, WAY_CHUNKS_MAX};
use terrane_protocol::path::{FieldRequest, PathPart, PathRefusal, PathRefused, PathRequest, Wanted};
use terrane_world::block::Registry;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::path::field::{FlowField, Reach};
use terrane_world::path::mode::Modes;
use terrane_world::path::navigation::{Navigation, Resident};
use terrane_world::path::reach::reachable;
use terrane_world::path::search::{End, Route, Searcher};
use terrane_world::path::{PathError, box_around};
use terrane_world::resident::{Residency, Watched};
use terrane_world::space::{ChunkPos, SpaceError, VoxelBox, VoxelPos};
use terrane_world::step::{ChunkDelta, ChunkSource, Deltas};

/// What a client wants, or has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathInput {
    /// It asks for a way.
    Way {
        /// Who.
        peer: PeerId,
        /// What.
        ask: PathRequest,
    },
    /// It wants a field.
    Field {
        /// Who.
        peer: PeerId,
        /// Which.
        ask: FieldRequest,
    },
    /// It does not want an answer any more.
    Cancel {
        /// Who.
        peer: PeerId,
        /// To which request.
        request: u32,
    },
    /// It is gone.
    Closed {
        /// Who.
        peer: PeerId,
    },
    /// Bytes of what was said to it have been sent.
    Sent {
        /// To whom.
        peer: PeerId,
        /// How many more.
        bytes: usize,
    },
}

/// A frame for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathAnswer {
    /// For whom.
    pub peer: PeerId,
    /// The frame.
    pub frame: Vec<u8>,
    /// The request that ends with it.
    pub ends: Option<u32>,
}

/// What a path server may use.
#[derive(Debug, Clone, Copy)]
pub struct PathLimits {
    /// Heap bytes of chunks in memory between two questions.
    pub resident_bytes: usize,
    /// Bytes of all fields: about three of the largest at their worst, and hundreds of ordinary ones.
    pub field_bytes: usize,
    /// Of those, bytes of fields that nobody follows any more: they are kept, the newest ones, for whoever asks for them again.
    pub kept_field_bytes: usize,
    /// Chunks of which a mode's ways are kept between two fields, at about 250 KiB each at the worst.
    pub navigation_chunks: usize,
}

impl Default for PathLimits {
    fn default() -> Self {
        Self {
            resident_bytes: 256 << 20,
            field_bytes: 512 << 20,
            kept_field_bytes: 128 << 20,
            navigation_chunks: 2_048,
        }
    }
}

/// Bytes that a chunk of a field has at the worst: wide totals, classes, exits, and what is far.
const FIELD_CHUNK_BYTES_MAX: usize = CHUNK_VOXELS * (4 + 1 + 4) + (CHUNK_VOXELS >> 3);
/// Chunks of fields that are looked at for one client in one portion of work.
const CHUNKS_PER_PORTION: usize = 16;
/// Changed voxels of a chunk beyond which everything around it counts as affected.
const VOXELS_LOOKED_AT_MAX: usize = 2_048;
/// Voxels after which the room that a search took up is given back.
const SEARCHED_KEPT_MAX: u64 = 1 << 20;

type Refusal = (PathRefusal, String);

/// A question that waits.
enum Ask {
    Way(PathRequest),
    Field(FieldRequest),
}

impl Ask {
    const fn request(&self) -> u32 {
        match self {
            Self::Way(ask) => ask.request,
            Self::Field(ask) => ask.request,
        }
    }
}

/// What is to be said to a client.
#[derive(Default)]
struct Peer {
    outbound: VecDeque<(Vec<u8>, Option<u32>)>,
    /// Bytes that were handed on and are not sent.
    unsent_bytes: usize,
}

impl Peer {
    fn say(&mut self, message: &ServerMessage, ends: Option<u32>) {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        self.outbound.push_back((frame, ends));
    }

    /// Whether something more may be made for it.
    fn is_ready(&self) -> bool {
        self.outbound.is_empty() && self.unsent_bytes < OUTPUT_PATHS_BYTES_MAX
    }
}

/// A field that somebody follows.
struct Live {
    field: FlowField,
    mode: String,
    /// What the client was told last.
    told_current: bool,
    /// Chunks whose ways may be others than the field was solved from: while there are any it is stale.
    touched: BTreeSet<ChunkPos>,
    /// Chunks of which what the client has may not be what the field says.
    due: BTreeSet<ChunkPos>,
    /// What the client has, as hashes.
    shown: BTreeMap<ChunkPos, u64>,
    /// The field's totals, as hashes.
    prints: BTreeMap<ChunkPos, u64>,
}

/// A field that nobody follows any more.
struct Kept {
    field: FlowField,
    mode: String,
    /// As of [`Live`].
    touched: BTreeSet<ChunkPos>,
}

/// The role.
pub struct PathServer {
    modes: Modes,
    registry: Arc<Registry>,
    resident: Residency,
    watched: Watched,
    limits: PathLimits,
    tick: u64,
    peers: BTreeMap<PeerId, Peer>,
    waiting: VecDeque<(PeerId, Ask)>,
    fields: BTreeMap<(PeerId, u32), Live>,
    /// Fields that nobody follows any more, the newest last.
    kept: VecDeque<Kept>,
    /// What is known of each mode that ways were asked for.
    known: BTreeMap<String, Navigation>,
    /// For each mode that a field has.
    navigations: BTreeMap<String, Navigation>,
    searcher: Searcher,
    /// The field that was repaired last, so that each gets its turn.
    repaired: Option<(PeerId, u32)>,
}

impl PathServer {
    /// A path server over the world that `source` shows after `tick`. It must go on showing it so until
    /// [`PathServer::changed`] is called.
    pub fn new(
        modes: Modes,
        registry: Arc<Registry>,
        pool: Arc<rayon::ThreadPool>,
        source: Arc<dyn ChunkSource>,
        tick: u64,
        limits: PathLimits,
    ) -> Self {
        let watched = Watched::new(source);
        Self {
            modes,
            registry,
            resident: Residency::new(pool, Box::new(watched.clone())),
            watched,
            limits,
            tick,
            peers: BTreeMap::new(),
            waiting: VecDeque::new(),
            fields: BTreeMap::new(),
            kept: VecDeque::new(),
            known: BTreeMap::new(),
            navigations: BTreeMap::new(),
            searcher: Searcher::default(),
            repaired: None,
        }
    }

    /// Takes in what a client wants; what costs time is done in [`PathServer::work`].
    pub fn hear(&mut self, input: PathInput) {
        match input {
            PathInput::Way { peer, ask } => self.waiting.push_back((peer, Ask::Way(ask))),
            PathInput::Field { peer, ask } => self.waiting.push_back((peer, Ask::Field(ask))),
            PathInput::Cancel { peer, request } => self.cancel(peer, request),
            PathInput::Closed { peer } => {
                self.peers.remove(&peer);
                self.waiting.retain(|(asker, _)| *asker != peer);
                let left: Vec<Live> =
                    self.fields.extract_if(.., |(follower, _), _| *follower == peer).map(|(_, live)| live).collect();
                left.into_iter().for_each(|live| self.keep(live));
                self.let_go_of_modes();
            }
            PathInput::Sent { peer, bytes } => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.unsent_bytes = peer.unsent_bytes.saturating_sub(bytes);
                }
            }
        }
    }

    /// What is waited for ends here; what has been answered already ends with its answer.
    fn cancel(&mut self, peer: PeerId, request: u32) {
        let asked = self.waiting.iter().position(|(asker, ask)| *asker == peer && ask.request() == request);
        let was_waiting = asked.is_some_and(|at| self.waiting.remove(at).is_some());
        let left = self.fields.remove(&(peer, request));
        if was_waiting || left.is_some() {
            left.into_iter().for_each(|live| self.keep(live));
            self.let_go_of_modes();
            self.refuse(peer, request, (PathRefusal::Cancelled, "cancelled, as the client has asked for".to_owned()));
        }
    }

    fn refuse(&mut self, peer: PeerId, request: u32, (code, text): Refusal) {
        let refused = ServerMessage::PathRefused(PathRefused { request, code, text });
        self.peers.entry(peer).or_default().say(&refused, Some(request));
    }

    /// The world has gone on by a tick, which is durable.
    pub fn changed(&mut self, deltas: &Deltas) {
        self.tick = deltas.tick;
        for (pos, held) in &deltas.after {
            if self.resident.get(*pos).is_some() {
                self.resident.put(self.tick, *pos, held.clone());
            }
        }
        let changed: Vec<&ChunkDelta> = deltas.chunks.iter().filter(|delta| !delta.runs.is_empty()).collect();
        for navigation in self.known.values_mut() {
            changed.iter().for_each(|delta| navigation.changed(delta.pos));
        }
        let mut affected: BTreeMap<&str, BTreeSet<ChunkPos>> = BTreeMap::new();
        for (mode, navigation) in &mut self.navigations {
            let chunks = affected.entry(mode).or_default();
            for delta in &changed {
                navigation.changed(delta.pos);
                affect(navigation, delta, chunks);
            }
        }
        for ((peer, request), live) in &mut self.fields {
            let within = live.field.within();
            let chunks = affected.get(&*live.mode).into_iter().flatten();
            let before = live.touched.len();
            live.touched.extend(chunks.filter(|pos| within.intersection(pos.voxel_box()).is_some()));
            if live.touched.len() > before {
                live.tell_stale(*request, self.tick, self.peers.entry(*peer).or_default());
            }
        }
        for Kept { field, mode, touched } in &mut self.kept {
            let chunks = affected.get(&**mode).into_iter().flatten();
            touched.extend(chunks.filter(|pos| field.within().intersection(pos.voxel_box()).is_some()));
        }
    }

    /// The world has gone on to a tick, and nobody can say how.
    pub fn lost(&mut self, tick: u64) {
        self.tick = tick;
        self.resident.evict(0, u64::MAX);
        self.known.clear();
        self.kept.clear();
        self.navigations.values_mut().for_each(Navigation::forget);
        for ((peer, request), live) in &mut self.fields {
            live.touched = live.field.chunks().collect();
            live.tell_stale(*request, tick, self.peers.entry(*peer).or_default());
        }
    }

    /// Does a portion of work: answers a question, repairs a field, makes what is due of fields.
    pub fn work(&mut self) {
        let pool = Arc::clone(self.resident.pool());
        pool.install(|| {
            self.answer_next();
            self.repair_next();
            self.fill();
        });
        self.resident.evict(self.limits.resident_bytes, u64::MAX);
    }

    /// Hands on what clients have room for.
    pub fn take_answers(&mut self, out: &mut Vec<PathAnswer>) {
        for (id, peer) in &mut self.peers {
            while let Some((frame, _)) = peer.outbound.front()
                && (peer.unsent_bytes == 0 || peer.unsent_bytes + frame.len() <= OUTPUT_PATHS_BYTES_MAX)
            {
                let (frame, ends) = peer.outbound.pop_front().expect("just seen");
                peer.unsent_bytes += frame.len();
                out.push(PathAnswer { peer: *id, frame, ends });
            }
        }
    }

    /// Bytes of all fields, those that nobody follows any more included.
    pub fn field_bytes(&self) -> usize {
        self.fields.values().map(|live| live.field.memory_bytes()).sum::<usize>() + self.kept_field_bytes()
    }

    /// Bytes of the fields that nobody follows any more.
    pub fn kept_field_bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.field.memory_bytes()).sum()
    }

    /// Keeps a field that is not followed any more, and drops the oldest of those that are kept, as far as they are too many.
    fn keep(&mut self, Live { field, mode, touched, .. }: Live) {
        self.kept.push_back(Kept { field, mode, touched });
        while self.kept_field_bytes() > self.limits.kept_field_bytes && self.kept.pop_front().is_some() {}
    }

    /// A field that was kept, if the mode can still be at all of its goals.
    fn take_kept(&mut self, mode: &str, goals: &[VoxelPos], within: VoxelBox) -> Option<Live> {
        let mut sorted = goals.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let is_it = |kept: &Kept| kept.mode == mode && kept.field.within() == within && kept.field.goals() == sorted;
        let at = self.kept.iter().position(is_it)?;
        let navigation = self.navigations.get_mut(mode)?;
        let mut blocks = Resident(&mut self.resident, self.tick);
        if !sorted.iter().all(|goal| navigation.cost(&mut blocks, *goal).is_some()) {
            return None;
        }
        let Kept { field, mode, touched } = self.kept.remove(at)?;
        Some(Live { touched, ..Live::new(field, &mode) })
    }

    /// Whether there is something to do at once, when all has been handed on that clients have room for.
    pub fn has_work(&self) -> bool {
        let is_ready = |peer: &PeerId| self.peers.get(peer).is_none_or(Peer::is_ready);
        self.waiting.iter().any(|(peer, _)| is_ready(peer))
            || self.fields.iter().any(|((peer, _), live)| !live.touched.is_empty() || live.has_due() && is_ready(peer))
    }

    /// Answers the first question of somebody who has room for the answer.
    fn answer_next(&mut self) {
        let ready = |(peer, _): &(PeerId, Ask)| self.peers.get(peer).is_none_or(Peer::is_ready);
        let Some(at) = self.waiting.iter().position(ready) else { return };
        let Some((peer, ask)) = self.waiting.remove(at) else { return };
        let request = ask.request();
        let result = match &ask {
            Ask::Way(ask) => self.way(peer, ask),
            Ask::Field(ask) => self.open_field(peer, ask),
        };
        // What could not be read says more than what was made of it.
        let result = self.check_read().and(result);
        if let Err(refusal) = result {
            self.fields.remove(&(peer, request));
            self.refuse(peer, request, refusal);
        }
        self.let_go_of_modes();
    }

    fn check_read(&mut self) -> Result<(), Refusal> {
        let Some((pos, error)) = self.watched.take_failure() else { return Ok(()) };
        // They hold the chunk for one that is not there.
        self.known.clear();
        self.kept.clear();
        self.navigations.values_mut().for_each(Navigation::forget);
        Err((PathRefusal::Unreadable, format!("chunk {pos}, which the answer depends on, can't be read: {error}")))
    }

    fn navigation(&self, mode: &str) -> Result<Navigation, Refusal> {
        let unknown = || PathError::UnknownMode { name: mode.to_owned(), known: self.modes.names() };
        let navigation =
            self.modes.get(mode).ok_or_else(unknown).and_then(|mode| Navigation::new(mode, &self.registry));
        navigation.map_err(|error| refusal(&error, None))
    }

    /// Finds a way. It depends on the world and the question alone: what is kept from earlier ones only saves time.
    fn way(&mut self, peer: PeerId, ask: &PathRequest) -> Result<(), Refusal> {
        if self.known.get(&ask.mode).is_none_or(|known| known.chunk_count() > self.limits.navigation_chunks) {
            let navigation = self.navigation(&ask.mode)?;
            self.known.insert(ask.mode.clone(), navigation);
        }
        let (from, to) = (place(ask.from)?, place(ask.to)?);
        let within = box_around(from, to, ask.around);
        if within.chunk_count() > WAY_CHUNKS_MAX {
            let (chunks, around) = (within.chunk_count(), ask.around);
            let text = format!(
                "the box of {around} voxels around both ends has {chunks} chunks, and {WAY_CHUNKS_MAX} is the most: ask for a \
                 way to a place between, or with less around it"
            );
            return Err((PathRefusal::TooFar, text));
        }
        let navigation = self.known.get_mut(&ask.mode).expect("just made");
        let (mut blocks, within) = (Resident(&mut self.resident, self.tick), Some(within));
        let refused = |error: PathError| refusal(&error, Some(from));
        let mut part = PathPart {
            request: ask.request,
            part: 0,
            last: true,
            end: End::Goal,
            cost: 0,
            searched: 0,
            tick: self.tick,
            waypoints: Vec::new(),
        };
        match ask.wanted {
            Wanted::Way => {
                let found = self.searcher.route_within(navigation, &mut blocks, &self.registry, from, to, within);
                let Route { end, voxels, waypoints, cost, searched } = found.map_err(refused)?;
                let waypoints = waypoints.into_iter().map(|at| voxels[at]).collect();
                part = PathPart { end, cost, searched, waypoints, ..part };
                if searched > SEARCHED_KEPT_MAX {
                    self.searcher = Searcher::default();
                }
            }
            Wanted::Reachable => {
                let found = reachable(navigation, &mut blocks, &self.registry, from, to, within).map_err(refused)?;
                part = PathPart { end: found.end, searched: found.searched, ..part };
            }
        }
        self.check_read()?;
        let peer = self.peers.entry(peer).or_default();
        for part in part.split() {
            let ends = part.last.then_some(part.request);
            peer.say(&part.into(), ends);
        }
        Ok(())
    }

    fn open_field(&mut self, peer: PeerId, ask: &FieldRequest) -> Result<(), Refusal> {
        if !self.navigations.contains_key(&ask.mode) {
            let navigation = self.navigation(&ask.mode)?;
            self.navigations.insert(ask.mode.clone(), navigation);
        }
        let within = VoxelBox::new(ask.first, ask.end).map_err(|error| match error {
            SpaceError::Empty { .. } => (PathRefusal::Box, error.to_string()),
            _ => (PathRefusal::OutsideWorld, error.to_string()),
        })?;
        let goals = ask.goals.iter().map(|goal| place(*goal)).collect::<Result<Vec<_>, _>>()?;
        let chunks = within.chunk_count();
        if chunks > FIELD_CHUNKS_MAX {
            let text =
                format!("the box touches {chunks} chunks, and {FIELD_CHUNKS_MAX} is the most: ask for a smaller one");
            return Err((PathRefusal::Box, text));
        }
        if let Some(live) = self.take_kept(&ask.mode, &goals, within) {
            self.fields.insert((peer, ask.request), live);
            self.peers.entry(peer).or_default();
            return Ok(());
        }
        let (wanted, most) = (chunks as usize * FIELD_CHUNK_BYTES_MAX, self.limits.field_bytes);
        while self.field_bytes() + wanted > most && self.kept.pop_front().is_some() {}
        let held = self.field_bytes();
        if held + wanted > most {
            let text = format!("the server's fields hold {held} bytes of {most}: ask for a smaller one, or later");
            return Err((PathRefusal::NoRoom, text));
        }
        let navigation = self.navigations.get_mut(&ask.mode).expect("just made");
        if navigation.chunk_count() > self.limits.navigation_chunks {
            navigation.forget();
        }
        let mut blocks = Resident(&mut self.resident, self.tick);
        let field = FlowField::solve(navigation, &mut blocks, &self.registry, &goals, within, None);
        let live = Live::new(field.map_err(|error| refusal(&error, None))?, &ask.mode);
        self.fields.insert((peer, ask.request), live);
        self.peers.entry(peer).or_default();
        Ok(())
    }

    /// Repairs the next field that is stale.
    fn repair_next(&mut self) {
        let stale = |(_, live): &(&(PeerId, u32), &Live)| !live.touched.is_empty();
        let behind = self.fields.iter().filter(|(key, _)| self.repaired.is_none_or(|last| **key > last)).find(stale);
        let Some(key) = behind.or_else(|| self.fields.iter().find(stale)).map(|(key, _)| *key) else { return };
        self.repaired = Some(key);
        let live = self.fields.get_mut(&key).expect("just found");
        let navigation = self.navigations.get_mut(&live.mode).expect("a field's mode has one");
        let mut blocks = Resident(&mut self.resident, self.tick);
        live.repair(navigation, &mut blocks);
        if let Err(refusal) = self.check_read() {
            self.fields.remove(&key);
            self.let_go_of_modes();
            self.refuse(key.0, key.1, refusal);
        }
    }

    /// Makes what is due of fields, for everybody who has room for it.
    fn fill(&mut self) {
        for (id, peer) in &mut self.peers {
            let (mut bytes, mut looks) = (PATHS_TURN_BYTES, CHUNKS_PER_PORTION);
            if !peer.is_ready() {
                continue;
            }
            for ((_, request), live) in self.fields.range_mut((*id, 0)..=(*id, u32::MAX)) {
                while bytes > 0 && looks > 0 && live.has_due() {
                    looks -= 1;
                    let before = peer.outbound.len();
                    live.say_next(*request, self.tick, peer);
                    let said = peer.outbound.iter().skip(before).map(|(frame, _)| frame.len()).sum();
                    bytes = bytes.saturating_sub(said);
                }
            }
        }
    }

    /// Forgets the ways of modes of which no field is left.
    fn let_go_of_modes(&mut self) {
        let (fields, kept) = (&self.fields, &self.kept);
        let has = |mode: &String| {
            fields.values().any(|live| live.mode == *mode) || kept.iter().any(|kept| kept.mode == *mode)
        };
        self.navigations.retain(|mode, _| has(mode));
    }
}

impl Live {
    /// A field of which nothing has been said.
    fn new(field: FlowField, mode: &str) -> Self {
        let mut live = Self {
            due: field.chunks().collect(),
            field,
            mode: mode.to_owned(),
            told_current: false,
            touched: BTreeSet::new(),
            shown: BTreeMap::new(),
            prints: BTreeMap::new(),
        };
        live.prints = live.fingerprints();
        live
    }

    fn fingerprints(&self) -> BTreeMap<ChunkPos, u64> {
        self.field.chunks().map(|pos| (pos, self.field.fingerprint(pos))).collect()
    }

    fn tell_stale(&mut self, request: u32, tick: u64, peer: &mut Peer) {
        if std::mem::take(&mut self.told_current) {
            let chunks = self.field.within().chunk_count() as u32;
            peer.say(&ServerMessage::FieldState(FieldState { request, current: false, tick, chunks }), None);
        }
    }

    fn repair(&mut self, navigation: &mut Navigation, blocks: &mut Resident<'_>) {
        let touched: Vec<ChunkPos> = std::mem::take(&mut self.touched).into_iter().collect();
        self.field.repair(navigation, blocks, &touched);
        let prints = self.fingerprints();
        let changed = prints.iter().filter(|(pos, print)| self.prints.get(pos) != Some(print)).map(|(pos, _)| *pos);
        // A move depends on the totals beside it, and on what is legal where it is made.
        let due: BTreeSet<ChunkPos> = changed.flat_map(around).chain(touched).collect();
        self.due.extend(due.into_iter().filter(|pos| prints.contains_key(pos)));
        self.prints = prints;
    }

    /// Whether something can be said of it that is true.
    fn has_due(&self) -> bool {
        self.touched.is_empty() && !(self.due.is_empty() && self.told_current)
    }

    /// Says what the client does not have of the next chunk, or that it has everything.
    fn say_next(&mut self, request: u32, tick: u64, peer: &mut Peer) {
        let Some(pos) = self.due.pop_first() else {
            self.told_current = true;
            let chunks = self.field.within().chunk_count() as u32;
            return peer.say(&ServerMessage::FieldState(FieldState { request, current: true, tick, chunks }), None);
        };
        let moves = self.field.flows(pos);
        let reaches = self.field.reaches(pos);
        let costs: Vec<u32> = moves.iter().zip(&reaches).filter_map(|(number, reach)| cost(*number, *reach)).collect();
        let mut hasher = DefaultHasher::new();
        (&moves[..], &costs).hash(&mut hasher);
        let print = hasher.finish();
        if self.shown.insert(pos, print) != Some(print) {
            peer.say(&ServerMessage::FieldChunk(FieldChunk { request, pos, tick, moves, costs }), None);
        }
    }
}

/// What a voxel with a move costs.
fn cost(number: u8, reach: Reach) -> Option<u32> {
    let cost = reach.cost().filter(|_| is_move(number))?;
    Some(u32::try_from(cost).expect("a field's costs have 32 bits"))
}

fn place(at: [i32; 3]) -> Result<VoxelPos, Refusal> {
    VoxelPos::try_from(at).map_err(|error| (PathRefusal::OutsideWorld, error.to_string()))
}

/// What a client is told of an error. `start` is where its way begins.
fn refusal(error: &PathError, start: Option<VoxelPos>) -> Refusal {
    let code = match error {
        PathError::UnknownMode { .. } | PathError::Costs { .. } => PathRefusal::Mode,
        PathError::Blocked { at, .. } if Some(*at) == start => PathRefusal::StartBlocked,
        PathError::Blocked { .. } => PathRefusal::GoalBlocked,
        PathError::OutsideBox { .. } | PathError::NoGoal => PathRefusal::GoalOutsideBox,
        PathError::TooLarge { .. } => PathRefusal::Box,
        PathError::Unreadable { .. } => PathRefusal::Unreadable,
    };
    (code, error.to_string())
}

/// Adds the chunks of whose ways some may be others after a change.
fn affect(navigation: &Navigation, delta: &ChunkDelta, chunks: &mut BTreeSet<ChunkPos>) {
    let voxels: usize = delta.runs.iter().map(|run| usize::from(run.length)).sum();
    if voxels > VOXELS_LOOKED_AT_MAX {
        return chunks.extend(around(delta.pos));
    }
    for run in &delta.runs {
        let locals = (run.first.get()..run.first.get() + run.length).map(|local| local.try_into());
        let places = locals.map(|local| delta.pos.voxel(local.expect("a run is inside its chunk")));
        places.for_each(|at| chunks.extend(navigation.affected(at)));
    }
}
