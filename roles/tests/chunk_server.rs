//! A chunk server and its clients on one thread: what is told, to whom, and not before it is durable.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use terrane_protocol::error::RefusedCode;
use terrane_protocol::limits::PATH_REQUESTS_MAX;
use terrane_protocol::message::{EditVoxel, Hello, SessionId, Welcome};
use terrane_protocol::{
    AgentMoves, Agents, AgentsPart, BodyMove, ClientMessage, CrowdInfo, CrowdRequest, FieldState, FrameReader, MAGIC,
    OverlayKind, OverlayKinds, PROTOCOL_VERSION, PathRefusal, PathRequest, Rate, ServerMessage, Shape, Towards, Wanted,
};
use terrane_roles::{ChunkServer, Commit, Input, Limits, Outbox, PathAnswer, PathInput, PeerId};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::path::mode::Modes;
use terrane_world::physics::RuleSet;
use terrane_world::physics::state::Phase;
use terrane_world::relax::EXITS;
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{ActorId, ActorState, ChunkSource, Held, SourceError, Standing, World};

/// Stone everywhere; one chunk can't be read.
struct Stone;

impl ChunkSource for Stone {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        match pos.to_array() {
            [9, 9, 9] => Err(SourceError("a damaged slot".into())),
            _ => Ok(Held { chunk: Arc::new(Chunk::uniform(BlockId(1))), version: Version::GENERATED }),
        }
    }
}

/// Its block below y = 0, nothing above.
struct Plain(BlockId);

impl ChunkSource for Plain {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        let chunk = Chunk::uniform(if pos.y() < 0 { self.0 } else { BlockId(0) });
        Ok(Held { chunk: Arc::new(chunk), version: Version::GENERATED })
    }
}

fn tick_of(commit: &Commit) -> u64 {
    match commit {
        Commit::Tick(deltas) => deltas.tick,
        Commit::UndoBegins(_) | Commit::UndoEnds(_) => panic!("nobody has asked for an undo"),
    }
}

/// What a client knows, built from frames only.
#[derive(Default)]
struct Client {
    peer: u64,
    reader: Option<FrameReader>,
    welcome: Option<Welcome>,
    chunks: BTreeMap<ChunkPos, (Version, Chunk)>,
    acknowledged: u64,
    refusals: Vec<(u64, u16)>,
    refused: Option<RefusedCode>,
    caught_up: Option<u32>,
    /// Voxels of the bodies that fall, and how they move, by handle.
    bodies: BTreeMap<u32, (usize, Option<BodyMove>)>,
    bodies_seen: usize,
    overlays: BTreeMap<ChunkPos, Option<Box<[u8; 32_768]>>>,
    light: BTreeMap<ChunkPos, Option<Box<[u8; 32_768]>>>,
    overlays_seen: usize,
    /// Chunks from before that it has said it holds.
    kept: BTreeMap<ChunkPos, (Version, Chunk)>,
    bytes: usize,
    snapshots: usize,
    pongs: usize,
    /// Chunks whose light came, in order.
    lit: Vec<ChunkPos>,
    requests_refused: Vec<(u32, PathRefusal)>,
    states: Vec<FieldState>,
    modes: Vec<String>,
    crowds: BTreeMap<u32, CrowdInfo>,
    crowds_seen: usize,
    /// Where agents are, by their numbers.
    agents: BTreeMap<AgentsPart, (u64, BTreeMap<u32, VoxelPos>)>,
    /// Frames of all agents of a part, and of moves.
    agent_frames: [usize; 2],
}

impl Client {
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        let reader = self.reader.get_or_insert_with(|| FrameReader::new(Towards::Client));
        let mut rest = bytes;
        let mut messages = Vec::new();
        while let Some(frame) = reader.next(&mut rest).unwrap() {
            messages.push(ServerMessage::decode(frame.kind, frame.payload).unwrap());
        }
        messages.into_iter().for_each(|message| self.hear(message));
    }

    fn hear(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => {
                self.acknowledged = welcome.acknowledged;
                self.welcome = Some(welcome);
            }
            ServerMessage::Snapshot { pos, version, chunk, .. } => {
                self.snapshots += 1;
                drop(self.chunks.insert(pos, (version, (*chunk).clone())))
            }
            ServerMessage::Delta(changes) => {
                for change in changes.chunks {
                    let kept = || self.kept[&change.pos].clone();
                    let (version, chunk) = self.chunks.entry(change.pos).or_insert_with(kept);
                    assert_eq!(*version, change.from, "no gap in chunk {}", change.pos);
                    *version = change.to;
                    change.apply(chunk);
                }
            }
            ServerMessage::Same { chunks, .. } => chunks.into_iter().for_each(|pos| {
                let kept = self.kept[&pos].clone();
                self.chunks.insert(pos, kept);
            }),
            ServerMessage::Forget { pos, .. } => drop(self.chunks.remove(&pos)),
            ServerMessage::Acknowledge { sequence, refusals, .. } => {
                assert!(sequence >= self.acknowledged, "acknowledgements only grow");
                self.acknowledged = sequence;
                self.refusals.extend(refusals.iter().map(|refusal| (refusal.sequence, refusal.reason as u16)));
            }
            ServerMessage::Refused(refused) => self.refused = Some(refused.code),
            ServerMessage::CaughtUp { subscription } => self.caught_up = Some(subscription),
            ServerMessage::Body(body) => {
                assert_eq!(body.parts, 1);
                self.bodies_seen += 1;
                assert!(self.bodies.insert(body.handle, (body.voxels as usize, None)).is_none());
            }
            ServerMessage::BodyMoves { moves, .. } => moves.iter().for_each(|to| {
                self.bodies.get_mut(&to.handle).expect("only what is known moves").1 = Some(*to);
            }),
            ServerMessage::BodyEnds { handles } => {
                handles.iter().for_each(|handle| {
                    self.bodies.remove(handle).expect("only what is known ends");
                });
            }
            ServerMessage::OverlayData { pos, values, kind, .. } => {
                assert!(self.chunks.contains_key(&pos), "overlays lie over chunks that are known");
                if kind == OverlayKind::Light {
                    self.lit.push(pos);
                    self.light.insert(pos, values);
                } else {
                    self.overlays_seen += 1;
                    self.overlays.insert(pos, values);
                }
            }
            ServerMessage::PathRefused(refused) => self.requests_refused.push((refused.request, refused.code)),
            ServerMessage::FieldState(state) => self.states.push(state),
            ServerMessage::Modes { modes } => self.modes = modes.iter().map(|mode| mode.name.clone()).collect(),
            ServerMessage::Crowd(crowd) => {
                self.crowds_seen += 1;
                assert!(self.crowds.insert(crowd.handle, crowd).is_none());
            }
            ServerMessage::Agents(agents) => self.place_agents(agents),
            ServerMessage::AgentMoves(moves) => self.move_agents(moves),
            ServerMessage::CrowdEnd { handle } => {
                self.crowds.remove(&handle).expect("only what is known ends");
                self.agents.retain(|part, _| part.handle != handle);
            }
            ServerMessage::PathAnswer(_) | ServerMessage::FieldChunk(_) => {}
            ServerMessage::UndoPlan(_) | ServerMessage::UndoGhost(_) => {}
            ServerMessage::UndoProgress(_) | ServerMessage::UndoRefused(_) => {}
            ServerMessage::Pong { .. } => self.pongs += 1,
            ServerMessage::Registry { .. } => {}
        }
    }

    fn place_agents(&mut self, Agents { part, tick, agents }: Agents) {
        assert!(self.crowds.contains_key(&part.handle), "a crowd is told before its agents");
        self.agent_frames[0] += 1;
        if agents.is_empty() {
            self.agents.remove(&part).expect("only who was there is gone");
        } else {
            self.agents.insert(part, (tick, agents.iter().map(|agent| (agent.number, agent.at)).collect()));
        }
    }

    fn move_agents(&mut self, AgentMoves { part, from, tick, steps, entered }: AgentMoves) {
        self.agent_frames[1] += 1;
        let (told, places) = self.agents.get_mut(&part).expect("moves are of agents that are held");
        assert_eq!(std::mem::replace(told, tick), from, "no gap");
        for step in steps {
            let at = places.remove(&step.number).expect("who moves is held").to_array();
            if let Some(exit) = step.exit.map(|exit| EXITS[usize::from(exit)]) {
                let to: [i32; 3] = std::array::from_fn(|axis| at[axis] + exit[axis]);
                places.insert(step.number, to.try_into().unwrap());
            }
        }
        places.extend(entered.iter().map(|agent| (agent.number, agent.at)));
    }

    /// Where every agent is that it knows.
    fn agents(&self) -> BTreeMap<u32, VoxelPos> {
        self.agents.values().flat_map(|(_, places)| places.clone()).collect()
    }

    fn block(&self, x: i32, y: i32, z: i32) -> u16 {
        let pos = VoxelPos::new(x, y, z).unwrap();
        self.chunks[&pos.chunk()].1.get(pos.local()).0
    }
}

/// The server with a transport that delivers at once, and a journal that commits when told.
struct Bench {
    server: ChunkServer,
    clients: HashMap<u64, Client>,
    commits: Vec<u64>,
    now: Duration,
    peers: u64,
    /// What a path server would have heard.
    asked: Vec<PathInput>,
}

impl Bench {
    fn new(standing: Standing, limits: Limits) -> Self {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        Self::with(World::new(pool, Box::new(Stone), Arc::new(Registry::built_in()), standing), limits)
    }

    /// Stone below y = 0, the sky above, and nothing falls.
    fn daylight(limits: Limits) -> Self {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        let registry = Arc::new(Registry::built_in());
        let plain = Plain(registry.id("stone").unwrap());
        Self::with(World::new(pool, Box::new(plain), registry, Standing { epoch: 1, ..Standing::default() }), limits)
    }

    /// A plain of bedrock in which things fall.
    fn falling(limits: Limits) -> Self {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        let registry = Arc::new(Registry::built_in());
        let plain = Plain(registry.id("bedrock").unwrap());
        let world = World::new(pool, Box::new(plain), registry, Standing { epoch: 1, ..Standing::default() });
        Self::with(world.with_physics(RuleSet::Span).unwrap(), limits)
    }

    fn with(world: World, limits: Limits) -> Self {
        let spawn = VoxelPos::new(0, 64, 0).unwrap();
        let server = ChunkServer::new(world, [7; 16], spawn, Duration::from_millis(50), limits);
        Self { server, clients: HashMap::new(), commits: Vec::new(), now: Duration::ZERO, peers: 0, asked: Vec::new() }
    }

    fn plain() -> Self {
        Self::new(Standing { epoch: 3, ..Standing::default() }, Limits::default())
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Outbox::default();
        if matches!(input, Input::Tick) {
            self.now += Duration::from_millis(50);
        }
        self.server.step(self.now, input, &mut out);
        self.deliver(out);
    }

    fn deliver(&mut self, mut out: Outbox) {
        loop {
            self.commits.extend(out.commit.iter().map(tick_of));
            self.asked.append(&mut out.paths);
            let mut next = Outbox::default();
            for (peer, bytes) in out.send {
                self.clients.get_mut(&peer.0).expect("bytes go to connections that are open").take(&bytes);
                self.server.step(self.now, Input::Flushed { peer, bytes: bytes.len() }, &mut next);
            }
            if next.send.is_empty() && next.commit.is_empty() && next.paths.is_empty() {
                return;
            }
            out = next;
        }
    }

    fn connect(&mut self, resume: Option<SessionId>) -> u64 {
        self.peers += 1;
        let peer = self.peers;
        self.clients.insert(peer, Client { peer, ..Client::default() });
        self.step(Input::Opened { peer: PeerId(peer), fresh: SessionId([peer as u8 + 100; 16]), is_local: true });
        self.raw(peer, &MAGIC);
        self.say(
            peer,
            &ClientMessage::Hello(Hello {
                lowest: PROTOCOL_VERSION,
                highest: PROTOCOL_VERSION,
                resume,
                name: "somebody".into(),
            }),
        );
        peer
    }

    fn raw(&mut self, peer: u64, bytes: &[u8]) {
        self.step(Input::Received { peer: PeerId(peer), bytes });
    }

    fn say(&mut self, peer: u64, message: &ClientMessage) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.raw(peer, &bytes);
    }

    fn subscribe(&mut self, peer: u64, subscription: u32) {
        let shape = Shape::new_radius(ChunkPos::new(0, 0, 0).unwrap(), 2, 1).unwrap();
        self.say(peer, &ClientMessage::Subscribe { subscription, shape });
        (0..20).for_each(|_| self.step(Input::Tick));
        assert_eq!(self.clients[&peer].caught_up, Some(subscription));
    }

    fn edit(&mut self, peer: u64, sequence: u64, at: [i32; 3], block: u16) {
        let voxels = vec![EditVoxel { pos: at, block: BlockId(block) }];
        self.say(peer, &ClientMessage::Edit { sequence, voxels });
    }

    fn commit_all(&mut self) {
        if let Some(tick) = self.commits.drain(..).max() {
            self.step(Input::Committed { tick });
        }
    }

    fn session(&self, peer: u64) -> SessionId {
        self.clients[&peer].welcome.as_ref().unwrap().session
    }
}

#[test]
fn nothing_is_told_before_it_is_durable_and_then_everybody_who_looks_is() {
    let mut bench = Bench::plain();
    let (a, b) = (bench.connect(None), bench.connect(None));
    bench.subscribe(a, 1);
    bench.subscribe(b, 1);
    bench.edit(a, 1, [1, 2, 3], 5);
    bench.step(Input::Tick);
    assert_eq!(bench.commits.len(), 1, "the tick goes to the journal");
    for client in [a, b] {
        assert_eq!(bench.clients[&client].block(1, 2, 3), 1, "and to nobody else yet");
        assert_eq!(bench.clients[&client].acknowledged, 0);
    }
    let newcomer = bench.connect(None);
    bench.subscribe(newcomer, 1);
    assert_eq!(bench.clients[&newcomer].block(1, 2, 3), 1, "a newcomer is shown what is durable");
    bench.commit_all();
    for client in [a, b, newcomer] {
        assert_eq!(bench.clients[&client].block(1, 2, 3), 5);
    }
    assert_eq!(bench.clients[&a].acknowledged, 1);
    assert_eq!(bench.clients[&b].acknowledged, 0, "acknowledgements go to who asked");
}

#[test]
fn a_resumed_session_is_told_where_it_stands_and_repetitions_change_nothing() {
    let mut bench = Bench::plain();
    let a = bench.connect(None);
    bench.subscribe(a, 1);
    let session = bench.session(a);
    bench.edit(a, 1, [0, 0, 0], 5);
    bench.step(Input::Tick);
    bench.commit_all();
    bench.edit(a, 2, [0, 0, 0], 6);
    bench.step(Input::Tick);
    // The connection breaks before the second edit is durable.
    bench.step(Input::Closed { peer: PeerId(a) });
    let again = bench.connect(Some(session));
    let welcome = bench.clients[&again].welcome.clone().unwrap();
    assert!(welcome.resumed && welcome.session == session && welcome.acknowledged == 1);
    bench.subscribe(again, 2);
    bench.commit_all();
    assert_eq!(bench.clients[&again].acknowledged, 1, "what it has not repeated is not acknowledged to it");
    // Somebody else builds there, then the repetition comes.
    let b = bench.connect(None);
    bench.edit(b, 1, [0, 0, 0], 7);
    bench.edit(again, 2, [0, 0, 0], 6);
    bench.edit(again, 3, [0, 0, 1], 8);
    bench.step(Input::Tick);
    bench.commit_all();
    assert_eq!(bench.clients[&again].acknowledged, 3);
    assert_eq!((bench.clients[&again].block(0, 0, 0), bench.clients[&again].block(0, 0, 1)), (7, 8));
}

#[test]
fn a_session_outlives_the_server_by_its_journal() {
    let mut first = Bench::plain();
    let a = first.connect(None);
    let session = first.session(a);
    first.edit(a, 1, [0, 0, 0], 5);
    let mut out = Outbox::default();
    first.server.step(Duration::ZERO, Input::Tick, &mut out);
    let Commit::Tick(deltas) = &out.commit[0] else { panic!("a tick") };
    let (actor, sequence) = deltas.actors[0];
    // A new process that has replayed the journal knows the actor, and nothing else of the session.
    let actors = BTreeMap::from([(actor, ActorState { sequence, tick: 1 })]);
    let mut second = Bench::new(Standing { epoch: 4, tick: 1, actors, ..Standing::default() }, Limits::default());
    let again = second.connect(Some(session));
    let welcome = second.clients[&again].welcome.clone().unwrap();
    assert!(welcome.resumed && welcome.acknowledged == 1 && welcome.epoch == 4);
    let stranger = second.connect(Some(SessionId([9; 16])));
    assert!(
        !second.clients[&stranger].welcome.as_ref().unwrap().resumed,
        "an id that nobody was given is a new session"
    );
    assert_ne!(
        actor,
        ActorId(u64::from_le_bytes(session.0[..8].try_into().unwrap())),
        "the journal does not hold the secret"
    );
}

#[test]
fn a_newer_connection_takes_a_session_over() {
    let mut bench = Bench::plain();
    let a = bench.connect(None);
    let session = bench.session(a);
    let b = bench.connect(Some(session));
    assert_eq!(bench.clients[&a].refused, Some(RefusedCode::TakenOver));
    assert!(bench.clients[&b].refused.is_none());
    bench.step(Input::Closed { peer: PeerId(a) });
    bench.edit(b, 1, [0, 0, 0], 5);
    bench.step(Input::Tick);
    bench.commit_all();
    assert_eq!(bench.clients[&b].acknowledged, 1, "the older connection's end does not end the session");
}

#[test]
fn refused_edits_are_decided_with_their_reason_and_the_next_one_goes_on() {
    let mut bench = Bench::plain();
    let a = bench.connect(None);
    bench.subscribe(a, 1);
    bench.edit(a, 1, [0, 0, 0], 60_000);
    bench.edit(a, 2, [0, 5_000, 0], 5);
    bench.edit(a, 3, [9 * 32, 9 * 32, 9 * 32], 5);
    bench.edit(a, 4, [0, 0, 0], 5);
    bench.step(Input::Tick);
    bench.commit_all();
    let client = &bench.clients[&a];
    assert_eq!((client.acknowledged, client.block(0, 0, 0)), (4, 5));
    assert_eq!(client.refusals, [(1, 1), (2, 2), (3, 3)]);
}

#[test]
fn hostile_bytes_end_their_connection_and_no_other() {
    let mut bench = Bench::plain();
    let good = bench.connect(None);
    for (bytes, code) in [
        (&b"GET / HTTP/1.1\r\n"[..], RefusedCode::BadMagic),
        (b"TRNE\xff\xff\xff\xff\x01\x00\x00\x00", RefusedCode::FrameTooLong),
        (b"TRNE\x08\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00", RefusedCode::Hello),
    ] {
        bench.peers += 1;
        let peer = bench.peers;
        bench.clients.insert(peer, Client { peer, ..Client::default() });
        bench.step(Input::Opened { peer: PeerId(peer), fresh: SessionId([1; 16]), is_local: true });
        bench.raw(peer, bytes);
        assert_eq!(bench.clients[&peer].refused, Some(code), "{bytes:?}");
        bench.raw(peer, b"more of it");
        bench.step(Input::Closed { peer: PeerId(peer) });
    }
    bench.edit(good, 1, [0, 0, 0], 5);
    bench.step(Input::Tick);
    bench.commit_all();
    assert_eq!(bench.clients[&good].acknowledged, 1);
    assert_eq!(bench.clients[&good].peer, good);
}

#[test]
fn a_slow_journal_stops_the_world_and_a_failing_one_tells_everybody() {
    let mut bench = Bench::new(Standing::default(), Limits { uncommitted_ticks: 2, ..Limits::default() });
    let a = bench.connect(None);
    for sequence in 1..=5 {
        bench.edit(a, sequence, [0, 0, 0], sequence as u16);
        bench.step(Input::Tick);
    }
    assert_eq!(bench.commits.len(), 2, "two ticks may wait, then the world stands still");
    bench.commit_all();
    bench.step(Input::Tick);
    bench.commit_all();
    assert_eq!(bench.clients[&a].acknowledged, 5);
    bench.step(Input::Failing { reason: "the disk is full".into() });
    assert_eq!(bench.clients[&a].refused, Some(RefusedCode::WorldFailing));
    let late = bench.connect(None);
    assert_eq!(bench.clients[&late].refused, Some(RefusedCode::WorldFailing));
}

#[test]
fn snapshots_are_loaded_in_portions_and_all_arrive() {
    let mut bench = Bench::new(Standing::default(), Limits { loads_per_step: 4, ..Limits::default() });
    let (a, b) = (bench.connect(None), bench.connect(None));
    bench.subscribe(a, 1);
    bench.subscribe(b, 1);
    let wanted = Shape::new_radius(ChunkPos::new(0, 0, 0).unwrap(), 2, 1).unwrap().chunks();
    for client in [a, b] {
        assert_eq!(
            bench.clients[&client].chunks.keys().copied().collect::<std::collections::BTreeSet<_>>(),
            wanted.iter().copied().collect()
        );
    }
}

#[test]
fn a_chunk_that_cannot_be_read_is_reported_once_and_holds_nothing_else_up() {
    let mut bench = Bench::plain();
    let a = bench.connect(None);
    let shape = Shape::new_box([8, 9, 9], [11, 10, 10]).unwrap();
    bench.say(a, &ClientMessage::Subscribe { subscription: 1, shape });
    let mut reported = Vec::new();
    for _ in 0..5 {
        let mut out = Outbox::default();
        bench.server.step(Duration::ZERO, Input::Tick, &mut out);
        reported.append(&mut out.unreadable);
        bench.deliver(out);
    }
    assert!(reported.len() <= 1, "{reported:?}");
    let held: Vec<[i32; 3]> = bench.clients[&a].chunks.keys().map(|pos| pos.to_array()).collect();
    assert_eq!(held, [[8, 9, 9], [10, 9, 9]]);
    assert_eq!(bench.clients[&a].caught_up, None, "not everything has been sent");
}

#[test]
fn equal_inputs_give_equal_digests() {
    let run = || {
        let mut bench = Bench::plain();
        let (a, b) = (bench.connect(None), bench.connect(None));
        for n in 1..40u64 {
            bench.edit(a, n, [n as i32 % 7, 2, 3], n as u16 % 9);
            bench.edit(b, n, [n as i32 % 5, 2, 3], n as u16 % 11);
            bench.step(Input::Tick);
        }
        bench.server.facts().digest
    };
    assert_eq!(run(), run());
    assert_ne!(run(), 0);
}

/// A pillar of stone from the ground to y = 19, with one block beside its top.
fn pillar(bench: &mut Bench, peer: u64) {
    let stone = Registry::built_in().id("stone").unwrap();
    let mut voxels: Vec<EditVoxel> = (0..20).map(|y| EditVoxel { pos: [4, y, 4], block: stone }).collect();
    voxels.push(EditVoxel { pos: [5, 19, 4], block: stone });
    bench.say(peer, &ClientMessage::Edit { sequence: 1, voxels });
    for _ in 0..4 {
        bench.step(Input::Tick);
        bench.commit_all();
    }
    assert_eq!(bench.clients[&peer].acknowledged, 1);
}

#[test]
fn a_blast_lets_fall_what_stood_and_everybody_sees_it_fall_and_land() {
    let mut bench = Bench::falling(Limits::default());
    let (a, b) = (bench.connect(None), bench.connect(None));
    bench.subscribe(a, 1);
    bench.subscribe(b, 1);
    pillar(&mut bench, a);
    // 7 reaches one voxel of air, and in stone none: the foot and nothing else.
    bench.say(a, &ClientMessage::Blast { sequence: 2, at: [4, 0, 4], power: 7 });
    let mut late = None;
    let mut ticks = 0;
    while bench.clients[&b].bodies_seen == 0 || !bench.clients[&b].bodies.is_empty() {
        ticks += 1;
        assert!(ticks < 100, "it never lands");
        let before: Vec<usize> = [a, b].map(|peer| bench.clients[&peer].bodies_seen).to_vec();
        bench.step(Input::Tick);
        let now: Vec<usize> = [a, b].map(|peer| bench.clients[&peer].bodies_seen).to_vec();
        assert_eq!(before, now, "nothing is told before it is durable");
        bench.commit_all();
        let client = &bench.clients[&b];
        if let Some((voxels, moved)) = client.bodies.values().next().copied() {
            assert_eq!(voxels, 20);
            assert_eq!(client.block(4, 1, 4), 0, "its voxels left the grid in the same tick");
            if late.is_none() {
                let peer = bench.connect(None);
                bench.subscribe(peer, 1);
                late = Some(peer);
                assert!(moved.is_none(), "it fell as was to be expected");
                // The newcomer's ticks went to the journal as well.
                let peer = &bench.clients[&peer];
                assert_eq!(peer.bodies.len(), 1, "a newcomer sees what falls");
            }
        }
    }
    let stone = Registry::built_in().id("stone").unwrap().0;
    for peer in [a, b, late.unwrap()] {
        let client = &bench.clients[&peer];
        let column: Vec<u16> = (0..21).map(|y| client.block(4, y, 4)).collect();
        assert_eq!(column.iter().filter(|block| **block == stone).count(), 19, "{column:?}");
        assert_eq!((client.bodies_seen, client.bodies.len()), (1, 0));
        assert_eq!(client.block(4, 0, 4), stone, "what lands is in the grid in the same tick as the body ends");
    }
    assert_eq!(bench.clients[&a].acknowledged, 2);
}

#[test]
fn a_body_that_meets_the_ground_says_so_before_it_ends() {
    let mut bench = Bench::falling(Limits::default());
    let a = bench.connect(None);
    bench.subscribe(a, 1);
    pillar(&mut bench, a);
    bench.edit(a, 2, [4, 10, 4], 0);
    let mut moves: Vec<BodyMove> = Vec::new();
    for _ in 0..60 {
        bench.step(Input::Tick);
        bench.commit_all();
        let moved = bench.clients[&a].bodies.values().filter_map(|(_, moved)| *moved);
        moved.for_each(|to| moves.extend((moves.last() != Some(&to)).then_some(to)));
    }
    assert_eq!(bench.clients[&a].bodies_seen, 1);
    let last = moves.last().unwrap();
    assert_eq!((last.fallen, last.velocity, last.phase), (256, 0, Phase::Landing), "{moves:?}");
    assert!(moves.len() <= 4, "it is told of every few ticks: {moves:?}");
}

#[test]
fn blasts_outside_the_world_and_of_no_power_are_refused_with_their_reason() {
    let mut bench = Bench::falling(Limits::default());
    let a = bench.connect(None);
    bench.say(a, &ClientMessage::Blast { sequence: 1, at: [0, 0, 0], power: 0 });
    bench.say(a, &ClientMessage::Blast { sequence: 2, at: [0, 2_048, 0], power: 10 });
    bench.edit(a, 3, [0, 0, 0], 1);
    bench.step(Input::Tick);
    bench.commit_all();
    let client = &bench.clients[&a];
    assert_eq!((client.acknowledged, client.refusals.clone()), (3, vec![(1, 5), (2, 2)]));
}

#[test]
fn support_is_shown_to_who_asks_a_few_chunks_a_step_and_again_after_a_change() {
    let mut bench = Bench::falling(Limits { overlays_per_step: 1, ..Limits::default() });
    let (a, b) = (bench.connect(None), bench.connect(None));
    bench.subscribe(a, 1);
    bench.subscribe(b, 1);
    pillar(&mut bench, a);
    bench.say(a, &ClientMessage::Overlay { kinds: OverlayKinds::NONE.with(OverlayKind::Support, true) });
    bench.step(Input::Tick);
    let chunk = ChunkPos::new(0, 0, 0).unwrap();
    let first = bench.clients[&a].overlays.len();
    let whole = bench.clients[&a].chunks.len();
    assert!(first >= 1 && first < whole, "{first} of {whole} in one step");
    (0..40).for_each(|_| bench.step(Input::Tick));
    assert_eq!(bench.clients[&a].overlays.len(), whole);
    let at = |bench: &Bench, x: i32, y: i32| {
        let values = bench.clients[&a].overlays[&chunk].as_ref().expect("these rules know support");
        values[VoxelPos::new(x, y, 4).unwrap().local().index()]
    };
    assert_eq!((at(&bench, 4, 0), at(&bench, 4, 19), at(&bench, 5, 19), at(&bench, 6, 19)), (252, 252, 248, 0));
    let bedrock = bench.clients[&a].overlays[&ChunkPos::new(0, -1, 0).unwrap()].as_ref().unwrap();
    assert!(bedrock.iter().all(|value| *value == 255));
    // A branch grows, and its support is found out in the tick after it.
    let seen = bench.clients[&a].overlays_seen;
    bench.edit(a, 2, [6, 19, 4], Registry::built_in().id("stone").unwrap().0);
    for _ in 0..40 {
        bench.step(Input::Tick);
        bench.commit_all();
    }
    assert_eq!(at(&bench, 6, 19), 244);
    let again = bench.clients[&a].overlays_seen - seen;
    assert!((1..=2 * 27).contains(&again), "{again} overlays again");
    assert_eq!(bench.clients[&b].overlays_seen, 0, "nobody else is told");
}

#[test]
fn where_the_rules_know_no_support_its_overlay_is_empty() {
    let mut bench = Bench::plain();
    let a = bench.connect(None);
    bench.say(a, &ClientMessage::Overlay { kinds: OverlayKinds::NONE.with(OverlayKind::Support, true) });
    bench.subscribe(a, 1);
    (0..40).for_each(|_| bench.step(Input::Tick));
    let client = &bench.clients[&a];
    assert_eq!(client.overlays.len(), client.chunks.len());
    assert!(client.overlays.values().all(Option::is_none));
}

const LIGHT: OverlayKinds = OverlayKinds::NONE.with(OverlayKind::Light, true);

/// A client that looks three chunks deep into a plain and wants to see its light, all of which has come.
fn looking_down(bench: &mut Bench) -> u64 {
    let a = bench.connect(None);
    let shape = Shape::new_box([-2, -3, -2], [3, 1, 3]).unwrap();
    bench.say(a, &ClientMessage::Subscribe { subscription: 1, shape });
    bench.say(a, &ClientMessage::Overlay { kinds: LIGHT });
    (0..400).for_each(|_| bench.step(Input::Tick));
    assert_eq!(bench.clients[&a].light.len(), 100);
    a
}

fn light_at(bench: &Bench, client: u64, [x, y, z]: [i32; 3]) -> u8 {
    let pos = VoxelPos::new(x, y, z).unwrap();
    bench.clients[&client].light[&pos.chunk()].as_ref().expect("every world has light")[pos.local().index()]
}

/// Digs one voxel wide down to y = -80, but for the voxel at the top.
fn dig_shaft(bench: &mut Bench, peer: u64) {
    let voxels = (-80..-1).map(|y| EditVoxel { pos: [4, y, 4], block: BlockId(0) }).collect();
    bench.say(peer, &ClientMessage::Edit { sequence: 1, voxels });
    for _ in 0..4 {
        bench.step(Input::Tick);
        bench.commit_all();
    }
}

#[test]
fn a_shaft_that_is_opened_lets_light_fall_far_below_and_who_wants_light_is_told() {
    let mut bench = Bench::daylight(Limits::default());
    let (a, b) = (looking_down(&mut bench), bench.connect(None));
    bench.subscribe(b, 1);
    dig_shaft(&mut bench, a);
    assert_eq!([[4, 0, 4], [4, -1, 4], [4, -80, 4]].map(|at| light_at(&bench, a, at)), [0xf0, 0, 0]);
    let seen = bench.clients[&a].lit.len();
    bench.edit(a, 2, [4, -1, 4], 0);
    (0..4).for_each(|_| bench.step(Input::Tick));
    assert_eq!(bench.clients[&a].lit.len(), seen, "what is not durable is not shown");
    bench.commit_all();
    (0..4).for_each(|_| bench.step(Input::Tick));
    assert_eq!([[4, -1, 4], [4, -80, 4], [5, -80, 4]].map(|at| light_at(&bench, a, at)), [0xf0, 0xf0, 0]);
    let mut again = bench.clients[&a].lit[seen..].to_vec();
    again.sort_unstable();
    assert_eq!(
        again,
        [-3, -2, -1].map(|y| ChunkPos::new(0, y, 0).unwrap()),
        "and what it does not reach is not sent again"
    );
    let lamp = Registry::built_in().id("glowstone").unwrap();
    bench.edit(a, 3, [4, -80, 4], lamp.0);
    for _ in 0..4 {
        bench.step(Input::Tick);
        bench.commit_all();
    }
    assert_eq!(light_at(&bench, a, [4, -79, 4]), 0xfe);
    assert!(bench.clients[&b].lit.is_empty(), "nobody else is told");
}

#[test]
fn light_comes_a_few_chunks_a_step_whatever_has_to_be_loaded_and_worked_in_for_it() {
    let limits = Limits { light_loads_per_step: 40, light_visits_per_step: 1, ..Limits::default() };
    let mut bench = Bench::daylight(limits);
    let a = bench.connect(None);
    bench.subscribe(a, 1);
    bench.say(a, &ClientMessage::Overlay { kinds: LIGHT });
    bench.step(Input::Tick);
    assert!(bench.clients[&a].lit.is_empty(), "the way up to the sky is longer than what one step loads");
    let mut most = 0;
    for _ in 0..400 {
        let before = bench.clients[&a].lit.len();
        bench.step(Input::Tick);
        most = most.max(bench.clients[&a].lit.len() - before);
    }
    assert!((1..=32).contains(&most), "{most} chunks in one step");
    assert_eq!(bench.clients[&a].light.len(), bench.clients[&a].chunks.len());
    // A roof of 4,096 voxels is worked in bit by bit, and nothing is told until all of it is.
    let stone = Registry::built_in().id("stone").unwrap();
    let place = |n: i32| EditVoxel { pos: [n % 64 - 32, 8, n / 64 - 32], block: stone };
    bench.say(a, &ClientMessage::Edit { sequence: 1, voxels: (0..4_096).map(place).collect() });
    let seen = bench.clients[&a].lit.len();
    bench.step(Input::Tick);
    bench.commit_all();
    (0..10).for_each(|_| bench.step(Input::Tick));
    assert_eq!(bench.clients[&a].lit.len(), seen, "4,096 voxels take longer than this");
    (0..60).for_each(|_| bench.step(Input::Tick));
    assert_eq!([[0, 0, 0], [0, 9, 0], [-40, 0, 0]].map(|at| light_at(&bench, a, at)), [0, 0xf0, 0xf0]);
    assert_eq!(light_at(&bench, a, [-32, 7, -32]), 0xe0);
}

#[test]
fn light_that_nobody_wants_any_more_is_right_again_when_somebody_does() {
    let mut bench = Bench::daylight(Limits::default());
    let a = looking_down(&mut bench);
    dig_shaft(&mut bench, a);
    bench.say(a, &ClientMessage::Overlay { kinds: OverlayKinds::NONE });
    let seen = bench.clients[&a].lit.len();
    bench.edit(a, 2, [4, -1, 4], 0);
    for _ in 0..4 {
        bench.step(Input::Tick);
        bench.commit_all();
    }
    assert_eq!(bench.clients[&a].lit.len(), seen);
    bench.say(a, &ClientMessage::Overlay { kinds: LIGHT });
    (0..100).for_each(|_| bench.step(Input::Tick));
    assert_eq!(bench.clients[&a].lit.len(), seen + 100, "all of it comes again");
    assert_eq!(light_at(&bench, a, [4, -80, 4]), 0xf0);
}

#[test]
fn questions_about_paths_are_passed_on_and_answers_handed_through() {
    let mut bench = Bench::plain();
    bench.server = std::mem::replace(&mut bench.server, Bench::plain().server).with_modes(&Modes::built_in());
    let a = bench.connect(None);
    assert_eq!(bench.clients[&a].modes, ["fly", "ground", "tunnel"]);
    let ask = |request| PathRequest {
        request,
        wanted: Wanted::Way,
        around: 8,
        mode: "fly".into(),
        from: [0; 3],
        to: [i32::MAX; 3],
    };
    (0..=PATH_REQUESTS_MAX as u32).for_each(|n| bench.say(a, &ClientMessage::Path(ask(n))));
    let most = PATH_REQUESTS_MAX as u32;
    assert_eq!(bench.clients[&a].requests_refused, [(most, PathRefusal::TooManyRequests)]);
    let passed: Vec<PathInput> = (0..most).map(|n| PathInput::Way { peer: PeerId(a), ask: ask(n) }).collect();
    assert_eq!(std::mem::take(&mut bench.asked), passed);
    bench.say(a, &ClientMessage::Cancel { request: 7 });
    assert_eq!(std::mem::take(&mut bench.asked), [PathInput::Cancel { peer: PeerId(a), request: 7 }]);
    let mut frame = Vec::new();
    let state = FieldState { request: 7, current: true, tick: 1, chunks: 4 };
    ServerMessage::FieldState(state).encode(&mut frame);
    let answer = PathAnswer { peer: PeerId(a), frame: frame.clone(), ends: Some(7) };
    bench.step(Input::Path(answer.clone()));
    assert_eq!(bench.clients[&a].states, [state]);
    assert_eq!(std::mem::take(&mut bench.asked), [PathInput::Sent { peer: PeerId(a), bytes: frame.len() }]);
    bench.say(a, &ClientMessage::Path(ask(7)));
    assert_eq!(bench.asked.len(), 1, "a request that has ended makes room for another");
    bench.step(Input::Closed { peer: PeerId(a) });
    assert_eq!(bench.asked.pop(), Some(PathInput::Closed { peer: PeerId(a) }));
    bench.step(Input::Path(answer));
    assert_eq!(bench.asked.len(), 1, "an answer to somebody who has gone is dropped");
}

/// Sends agents over a plain from around x = −8 to x = 150, which is in another column.
fn crowd(sequence: u64, agents: u32, mode: &str) -> ClientMessage {
    ClientMessage::Crowd(CrowdRequest {
        sequence,
        mode: mode.to_owned(),
        goals: vec![[150, 0, 0]],
        within: [[-20, -4, -20], [160, 12, 20]],
        from: [[-10, 0, -3], [-6, 1, 3]],
        agents,
        speed: 512,
    })
}

impl Bench {
    fn tick(&mut self) {
        self.step(Input::Tick);
        self.commit_all();
    }

    fn look_at_everything(&mut self, peer: u64) {
        let shape = Shape::new_box([-2, -1, -2], [6, 1, 2]).unwrap();
        self.say(peer, &ClientMessage::Subscribe { subscription: 1, shape });
        (0..20).for_each(|_| self.step(Input::Tick));
    }
}

#[test]
fn who_looks_is_told_of_a_crowd_and_of_every_step_until_all_have_arrived() {
    let mut bench = Bench::daylight(Limits::default());
    let [asks, looks, late] = [0; 3].map(|_| bench.connect(None));
    bench.look_at_everything(asks);
    bench.look_at_everything(looks);
    bench.say(asks, &crowd(1, 12, "ground"));
    bench.step(Input::Tick);
    assert!(bench.clients[&looks].crowds.is_empty(), "not before it is durable");
    bench.commit_all();
    let own = |bench: &Bench, peer: u64| bench.clients[&peer].crowds.values().map(|crowd| crowd.sequence).next();
    assert_eq!((own(&bench, asks), own(&bench, looks)), (Some(1), Some(0)));
    assert_eq!(bench.clients[&asks].acknowledged, 1);
    let start = bench.clients[&looks].agents();
    assert_eq!(start.len(), 12);
    for _ in 0..40 {
        bench.tick();
        assert_eq!(bench.clients[&asks].agents(), bench.clients[&looks].agents());
    }
    let moved = bench.clients[&looks].agents();
    assert!(moved.iter().all(|(number, at)| at.x() > start[number].x() + 20), "{moved:?}");
    bench.look_at_everything(late);
    bench.tick();
    assert_eq!(bench.clients[&late].agents(), bench.clients[&looks].agents());
    (0..200).for_each(|_| bench.tick());
    for client in bench.clients.values() {
        assert!(client.crowds.is_empty() && client.agents.is_empty());
        assert_eq!(client.crowds_seen, 1);
        let [whole, moves] = client.agent_frames;
        assert!(whole < 40 && moves > 90, "{whole} times all of them, {moves} times what they did");
    }
}

#[test]
fn who_looks_away_is_told_that_nobody_is_there_and_of_a_crowd_that_leaves_its_end() {
    let mut bench = Bench::daylight(Limits::default());
    let peer = bench.connect(None);
    bench.look_at_everything(peer);
    bench.say(peer, &crowd(1, 8, "fly"));
    (0..3).for_each(|_| bench.tick());
    assert_eq!(bench.clients[&peer].agents().len(), 8);
    let shape = Shape::new_box([60, -1, 60], [61, 1, 61]).unwrap();
    bench.say(peer, &ClientMessage::Subscribe { subscription: 2, shape });
    (0..3).for_each(|_| bench.tick());
    assert!(bench.clients[&peer].agents().is_empty() && bench.clients[&peer].crowds.len() == 1);
    bench.say(peer, &ClientMessage::Dismiss { sequence: 2 });
    bench.tick();
    assert!(bench.clients[&peer].crowds.is_empty());
    assert_eq!(bench.clients[&peer].acknowledged, 2);
}

#[test]
fn a_crowd_that_cannot_be_is_refused_with_its_reason_and_a_tick_takes_one() {
    let mut bench = Bench::daylight(Limits::default());
    let peer = bench.connect(None);
    let ClientMessage::Crowd(fine) = crowd(1, 5, "ground") else { unreachable!() };
    let cases = [
        CrowdRequest { mode: "crawl".into(), ..fine.clone() },
        CrowdRequest { goals: vec![[150, -3, 0]], ..fine.clone() },
        CrowdRequest { goals: vec![[500, 0, 0]], ..fine.clone() },
        CrowdRequest { within: [[0; 3], [2_000, 200, 2_000]], ..fine.clone() },
        CrowdRequest { agents: 1_000, ..fine.clone() },
    ];
    for (sequence, ask) in (1..).zip(cases) {
        bench.say(peer, &ClientMessage::Crowd(CrowdRequest { sequence, ..ask }));
    }
    bench.say(peer, &ClientMessage::Dismiss { sequence: 6 });
    let other = bench.connect(None);
    bench.edit(other, 1, [0, 40, 0], 1);
    bench.tick();
    assert_eq!(bench.clients[&peer].acknowledged, 1, "each may take a field's time");
    assert_eq!(bench.clients[&other].acknowledged, 1, "and nobody else waits for it");
    (0..8).for_each(|_| bench.tick());
    assert_eq!(bench.clients[&peer].refusals, [(1, 6), (2, 8), (3, 9), (4, 9), (5, 10), (6, 12)]);
}

#[test]
fn what_one_client_and_all_together_are_sent_a_second_is_limited_and_everybody_gets_a_share() {
    let rate = |kib: u64| Some(Rate::new(kib << 10));
    let limits = Limits { session_rate: rate(16), server_rate: rate(48), ..Limits::default() };
    let mut bench = Bench::daylight(limits);
    let peers: Vec<u64> = (0..6).map(|_| bench.connect(None)).collect();
    let shape = Shape::new_radius(ChunkPos::new(0, 0, 0).unwrap(), 12, 2).unwrap();
    peers.iter().for_each(|peer| bench.say(*peer, &ClientMessage::Subscribe { subscription: 1, shape }));
    let begun: BTreeMap<u64, usize> = peers.iter().map(|peer| (*peer, bench.clients[peer].bytes)).collect();
    let largest = 8 << 10;
    for tick in 1..=40u64 {
        bench.step(Input::Tick);
        let sent = |peer: &u64| bench.clients[peer].bytes - begun[peer];
        let most = |kib: u64| (kib << 10) / 4 + (kib << 10) * tick / 20;
        for peer in &peers {
            assert!(sent(peer) as u64 <= most(16) + largest, "client {peer} after {tick} ticks");
        }
        let all: usize = peers.iter().map(sent).sum();
        assert!(all as u64 <= most(48) + peers.len() as u64 * largest, "{all} bytes after {tick} ticks");
    }
    let sent: Vec<usize> = peers.iter().map(|peer| bench.clients[peer].bytes - begun[peer]).collect();
    let (least, most) = (*sent.iter().min().unwrap(), *sent.iter().max().unwrap());
    assert!(2 * least > most, "{sent:?} is no fair share");
    (0..4_000).for_each(|_| bench.step(Input::Tick));
    assert!(
        peers.iter().all(|peer| bench.clients[peer].caught_up == Some(1)),
        "and in the end everybody has everything"
    );
}

#[test]
fn who_asks_without_end_is_not_read_any_more_until_time_has_passed_and_loses_nothing() {
    let mut bench = Bench::plain();
    let peer = bench.connect(None);
    let mut bytes = Vec::new();
    (0..6_000).for_each(|number| ClientMessage::Ping { number }.encode(&mut bytes));
    let mut pauses = Vec::new();
    for part in bytes.chunks(640) {
        let mut out = Outbox::default();
        bench.server.step(bench.now, Input::Received { peer: PeerId(peer), bytes: part }, &mut out);
        pauses.extend(out.pause.iter().copied());
        bench.deliver(out);
    }
    assert_eq!(pauses, [(PeerId(peer), true)]);
    for _ in 0..800 {
        bench.now += Duration::from_millis(50);
        let mut out = Outbox::default();
        bench.server.step(bench.now, Input::Tick, &mut out);
        pauses.extend(out.pause.iter().copied());
        bench.deliver(out);
    }
    assert_eq!(pauses, [(PeerId(peer), true), (PeerId(peer), false)]);
    assert_eq!(bench.clients[&peer].pongs, 6_000);
}

#[test]
fn a_client_that_comes_back_with_chunks_is_told_only_what_has_changed() {
    let mut bench = Bench::plain();
    let (a, b) = (bench.connect(None), bench.connect(None));
    bench.subscribe(a, 1);
    bench.subscribe(b, 1);
    let kept = bench.clients[&a].chunks.clone();
    bench.step(Input::Closed { peer: PeerId(a) });
    for (sequence, x) in (1..=20).zip(0..) {
        bench.edit(b, sequence, [x, 2, 3], 5);
        bench.step(Input::Tick);
        bench.commit_all();
    }
    let again = bench.connect(None);
    let chunks = kept.iter().map(|(pos, (version, _))| (*pos, *version)).collect();
    bench.clients.get_mut(&again).unwrap().kept = kept.clone();
    bench.say(again, &ClientMessage::Holds { chunks });
    let before = bench.clients[&again].bytes;
    bench.subscribe(again, 1);
    let told = bench.clients[&again].bytes - before;
    assert_eq!(bench.clients[&again].chunks, bench.clients[&b].chunks);
    assert_eq!(bench.clients[&again].snapshots, 0);
    assert!(told < 12 * kept.len() + 200, "{told} bytes for {} chunks", kept.len());
    // What the server has never had is sent whole.
    let bold = bench.connect(None);
    let (at, version) = (ChunkPos::new(0, 0, 0).unwrap(), Version { epoch: 9, count: 9 });
    bench.say(bold, &ClientMessage::Holds { chunks: vec![(at, version)] });
    bench.subscribe(bold, 1);
    assert_eq!(bench.clients[&bold].chunks, bench.clients[&b].chunks);
}
