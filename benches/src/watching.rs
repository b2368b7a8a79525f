//! Many clients around one collapse, each with a budget: how long until they see it, and what that takes.
//!
//! The chunk server runs as it does in production, with a transport that delivers at once and a journal that commits at once;
//! its time is passed in, so that a run is the same everywhere.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use terrane_protocol::message::{EditVoxel, Hello, SessionId};
use terrane_protocol::{
    ClientMessage, FrameReader, MAGIC, PROTOCOL_VERSION, Rate, ServerMessage, Shape, Towards, View,
};
use terrane_roles::{ChunkServer, Commit, Input, Limits, Outbox, PeerId};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::physics::RuleSet;
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{self, ActorId, ChunkSource, Held, SourceError, Standing, VoxelEdit, World};

const TICK: Duration = Duration::from_millis(50);
/// Chunks around a client that are its nearest: the one that it is in and those beside it.
const NEAREST: i32 = 1;

/// What a run is like.
#[derive(Debug, Clone, Copy)]
pub struct Watching {
    /// How many watch.
    pub clients: usize,
    /// What each is sent a second at most.
    pub bytes_per_second: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Voxels that changed.
    pub voxels: usize,
    /// Ticks in which some did.
    pub ticks: usize,
    /// The longest that a chunk next to a client was not what the server had.
    pub nearest: Duration,
    /// The longest that any chunk was not.
    pub any: Duration,
    /// Bytes sent to all clients from the cut on, of every kind.
    pub bytes: usize,
    /// Changed voxels in chunks that clients hold, summed over clients.
    pub edits_seen: usize,
    /// The most that a client was sent beyond its budget, and its largest frame.
    pub over_budget: usize,
    /// Bytes of the largest frame.
    pub largest_frame: usize,
    /// Time that the server took for all of it, and for its longest tick.
    pub server: Duration,
    /// The longest tick, everything that was sent in it included.
    pub longest_tick: Duration,
}

/// Bedrock below y = 0, air above.
struct Plain(BlockId);

impl ChunkSource for Plain {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        let block = if pos.y() < 0 { self.0 } else { BlockId(0) };
        Ok(Held { chunk: Arc::new(Chunk::uniform(block)), version: Version::GENERATED })
    }
}

/// A client as far as it matters here: at which version it holds chunks.
struct Client {
    reader: FrameReader,
    centre: ChunkPos,
    held: HashMap<ChunkPos, Version>,
    stale: BTreeMap<ChunkPos, Duration>,
    caught_up: bool,
    sent: usize,
    since_cut: usize,
}

impl Client {
    fn take(&mut self, mut bytes: &[u8], largest: &mut usize) {
        while let Some(frame) = self.reader.next(&mut bytes).expect("the server keeps to the protocol") {
            *largest = (*largest).max(frame.payload.len() + 8);
            match ServerMessage::decode(frame.kind, frame.payload).expect("the server keeps to the protocol") {
                ServerMessage::Snapshot { pos, version, .. } => drop(self.held.insert(pos, version)),
                ServerMessage::Delta(changes) => {
                    for change in changes.chunks {
                        let before = self.held.insert(change.pos, change.to);
                        assert_eq!(before, Some(change.from), "no gap in {}", change.pos);
                    }
                }
                ServerMessage::CaughtUp { .. } => self.caught_up = true,
                ServerMessage::Refused(refused) => panic!("{}", refused.text),
                _ => {}
            }
        }
    }
}

struct Run {
    server: ChunkServer,
    clients: Vec<Client>,
    rate: Rate,
    now: Duration,
    latest: HashMap<ChunkPos, Version>,
    cut: Option<Duration>,
    seen: Seen,
}

/// A number that looks like chance.
fn mixed(x: i32, y: i32, z: i32) -> u32 {
    let value = (x as u32).wrapping_mul(0x9e37_79b9)
        ^ (y as u32).wrapping_mul(0x85eb_ca6b)
        ^ (z as u32).wrapping_mul(0xc2b2_ae35);
    (value ^ value >> 15).wrapping_mul(0x2c1b_3c6d) >> 12
}

/// A roof of 10,368 voxels of three blocks on one pillar.
fn roof(registry: &Registry) -> Vec<VoxelEdit> {
    let blocks = ["oak_planks", "stone", "cobblestone"].map(|name| registry.id(name).expect("a built-in block"));
    let edit = |x, y, z, block| {
        let pos = VoxelPos::new(x, y, z).expect("inside the world");
        VoxelEdit { pos, block, sparse: None }
    };
    let mut edits: Vec<VoxelEdit> = (0..24).map(|y| edit(0, y, 0, blocks[1])).collect();
    for (y, z, x) in (24..27).flat_map(|y| (-18..18).flat_map(move |z| (-48..48).map(move |x| (y, z, x)))) {
        edits.push(edit(x, y, z, blocks[mixed(x.div_euclid(3), y, z) as usize % blocks.len()]));
    }
    edits
}

impl Run {
    fn new(watching: Watching) -> Self {
        let registry = Arc::new(Registry::built_in());
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().build().expect("threads can be had"));
        let plain = Plain(registry.id("bedrock").expect("a built-in block"));
        let standing = Standing { epoch: 1, ..Standing::default() };
        let world = World::new(pool, Box::new(plain), Arc::clone(&registry), standing);
        let mut world = world.with_physics(RuleSet::Connectivity).expect("the built-in rules are within bounds");
        for (index, voxels) in roof(&registry).chunks(4_096).enumerate() {
            let input = step::Input::Edit { actor: ActorId(1), sequence: 1 + index as u64, voxels: voxels.to_vec() };
            world.step(1 + index as u64, &[input]).expect("one input a tick");
        }
        let rate = Rate::new(watching.bytes_per_second);
        let limits = Limits { session_rate: Some(rate), server_rate: None, ..Limits::default() };
        let spawn = VoxelPos::new(0, 64, 0).expect("inside the world");
        let server = ChunkServer::new(world, [7; 16], spawn, TICK, limits);
        let (clients, latest) = (Vec::new(), HashMap::new());
        let mut run = Self { server, clients, rate, now: Duration::ZERO, latest, cut: None, seen: Seen::default() };
        (0..watching.clients).for_each(|index| run.connect(index));
        run
    }

    fn step(&mut self, input: Input<'_>) {
        let begin = Instant::now();
        let mut out = Outbox::default();
        self.server.step(self.now, input, &mut out);
        self.seen.server += begin.elapsed();
        self.deliver(out);
    }

    fn deliver(&mut self, mut out: Outbox) {
        loop {
            for commit in std::mem::take(&mut out.commit) {
                let Commit::Tick(deltas) = commit else { continue };
                self.changed(&deltas);
                let begin = Instant::now();
                self.server.step(self.now, Input::Committed { tick: deltas.tick }, &mut out);
                self.seen.server += begin.elapsed();
            }
            let sent = std::mem::take(&mut out.send);
            if sent.is_empty() {
                return;
            }
            for (peer, bytes) in sent {
                let client = &mut self.clients[peer.0 as usize - 1];
                client.sent += bytes.len();
                client.take(&bytes, &mut self.seen.largest_frame);
                let begin = Instant::now();
                self.server.step(self.now, Input::Flushed { peer, bytes: bytes.len() }, &mut out);
                self.seen.server += begin.elapsed();
            }
        }
    }

    fn changed(&mut self, deltas: &step::Deltas) {
        let mut voxels = 0;
        for delta in &deltas.chunks {
            self.latest.insert(delta.pos, delta.to);
            let count: usize = delta.runs.iter().map(|run| usize::from(run.length)).sum();
            voxels += count;
            for client in self.clients.iter_mut().filter(|client| client.held.contains_key(&delta.pos)) {
                client.stale.entry(delta.pos).or_insert(self.now);
                self.seen.edits_seen += count;
            }
        }
        self.seen.voxels += voxels;
        self.seen.ticks += usize::from(voxels > 0);
    }

    fn say(&mut self, peer: usize, messages: &[ClientMessage]) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut bytes));
        self.step(Input::Received { peer: PeerId(peer as u64), bytes: &bytes });
    }

    /// Clients stand in a ring around the roof and under it, and look at it.
    fn connect(&mut self, index: usize) {
        let peer = index + 1;
        let (x, z) = (index as i32 * 7 % 9 - 4, index as i32 * 5 % 7 - 3);
        let centre = ChunkPos::new(x, 0, z).expect("inside the world");
        let (reader, stale) = (FrameReader::new(Towards::Client), BTreeMap::new());
        let held = HashMap::new();
        self.clients.push(Client { reader, centre, held, stale, caught_up: false, sent: 0, since_cut: 0 });
        self.step(Input::Opened { peer: PeerId(peer as u64), fresh: SessionId([peer as u8; 16]), is_local: true });
        self.step(Input::Received { peer: PeerId(peer as u64), bytes: &MAGIC });
        let (lowest, highest) = (PROTOCOL_VERSION, PROTOCOL_VERSION);
        let hello = Hello { lowest, highest, resume: None, name: format!("watcher {index}") };
        let eye = VoxelPos::new(x * 32 + 16, 2, z * 32 + 16).expect("inside the world");
        let forward = [-x, 0, -z].map(|part| part as i8 * 20);
        let shape = Shape::new_radius(centre, 5, 1).expect("few chunks");
        self.say(
            peer,
            &[
                ClientMessage::Hello(hello),
                ClientMessage::Look(View { eye, forward }),
                ClientMessage::Subscribe { subscription: 1, shape },
            ],
        );
    }

    fn tick(&mut self) {
        self.now += TICK;
        let before = self.seen.server;
        self.step(Input::Tick);
        self.seen.longest_tick = self.seen.longest_tick.max(self.seen.server - before);
        self.look();
    }

    /// How far behind each client is, and what it has been sent.
    fn look(&mut self) {
        let Self { clients, latest, seen, now, .. } = self;
        for client in clients {
            let (held, centre) = (&client.held, client.centre);
            client.stale.retain(|pos, since| {
                // What has come in this tick had come before its end.
                let waited = *now - *since;
                let away = (0..3).map(|axis| (pos.to_array()[axis] - centre.to_array()[axis]).abs()).max();
                seen.any = seen.any.max(waited);
                if away.is_some_and(|away| away <= NEAREST) {
                    seen.nearest = seen.nearest.max(waited);
                }
                held.get(pos) != latest.get(pos)
            });
            if let Some(cut) = self.cut {
                let passed = (*now - cut).as_millis() as u64;
                let allowed = self.rate.burst + self.rate.per_second * passed / 1_000;
                seen.over_budget =
                    seen.over_budget.max((client.sent - client.since_cut).saturating_sub(allowed as usize));
            }
        }
    }
}

/// Clients gather, the pillar is cut, and everything goes on until all of them have seen all of it.
///
/// # Panics
/// If the server breaks the protocol, or it never comes to an end.
pub fn watch(watching: Watching) -> Seen {
    let mut run = Run::new(watching);
    for _ in 0..4_000 {
        if run.clients.iter().all(|client| client.caught_up) {
            break;
        }
        run.tick();
    }
    assert!(run.clients.iter().all(|client| client.caught_up), "everybody sees the roof before it falls");
    // Budgets are full again.
    (0..20).for_each(|_| run.tick());
    run.clients.iter_mut().for_each(|client| client.since_cut = client.sent);
    (run.seen, run.cut) = (Seen::default(), Some(run.now));
    let voxels = vec![EditVoxel { pos: [0, 5, 0], block: BlockId(0) }];
    run.say(1, &[ClientMessage::Edit { sequence: 1, voxels }]);
    let mut quiet = 0;
    for _ in 0..4_000 {
        let before = run.seen.voxels;
        run.tick();
        let is_done = run.clients.iter().all(|client| client.stale.is_empty());
        quiet = if is_done && run.seen.voxels == before { quiet + 1 } else { 0 };
        if quiet == 100 {
            break;
        }
    }
    assert_eq!(quiet, 100, "the collapse comes to an end, and everybody has seen it");
    run.seen.bytes = run.clients.iter().map(|client| client.sent - client.since_cut).sum();
    run.seen
}
