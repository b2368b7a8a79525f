//! A network of many clients in one thread and from one seed: fast and slow links, links that stall, and links that break. Whatever
//! happens, nobody has a gap at any step, nobody is sent more than its budget, nobody who can read waits for long, and in the end
//! everybody's world is the server's.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::Client;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use terrane_protocol::limits::DELTA_FRAME_BYTES_MAX;
use terrane_protocol::recent::delta_bytes;
use terrane_protocol::{ChunkSource, ChunkStream, ChunkUpdate, DeltaPacker, Rate, RecentChanges, Shape, View};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelPos};
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Held, Run};

const TICK: Duration = Duration::from_millis(50);
const RATE: Rate = Rate::new(64 << 10);
/// Chunks of the world, from −N to N along x and z.
const REACH: i32 = 6;

/// Numbers that look like chance, the same on every machine (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn within(&mut self, reach: i32) -> i32 {
        self.below(2 * reach as u64 + 1) as i32 - reach
    }
}

/// The server: a world that changes, and what all its streams share.
struct Server {
    chunks: BTreeMap<ChunkPos, Held>,
    recent: RecentChanges,
    packer: DeltaPacker,
    tick: u64,
}

impl Server {
    fn held(&self, pos: ChunkPos) -> Held {
        let generated = || Held { chunk: Arc::new(Chunk::uniform(BlockId(1))), version: Version::GENERATED };
        self.chunks.get(&pos).cloned().unwrap_or_else(generated)
    }

    /// A clump of voxels becomes another block, as a blast or a player has it.
    fn change(&mut self, pos: ChunkPos, actor: u64, chance: &mut Chance) -> ChunkDelta {
        let held = self.held(pos);
        let mut chunk = (*held.chunk).clone();
        let mut runs = Vec::new();
        let (mut at, block) = (chance.below(20_000) as u16, chance.below(9) as u16);
        for _ in 0..=chance.below(120) {
            at += 1 + chance.below(40) as u16;
            let first = LocalIndex::new(at).unwrap();
            let (old, new) = (chunk.get(first), BlockId(block + (at & 1)));
            if old != new {
                chunk.set(first, new);
                runs.push(Run { first, length: 1, old, new });
            }
        }
        let to = held.version.next(3);
        self.chunks.insert(pos, Held { chunk: Arc::new(chunk), version: to });
        let cause = Cause { kind: CauseKind::Edit, actor: ActorId(actor), root: self.tick };
        let delta = ChunkDelta { pos, from: held.version, to, cause, body: None, runs, sparse: Vec::new() };
        self.recent.push(&delta);
        delta
    }

    fn now(&self) -> Duration {
        TICK * self.tick as u32
    }
}

impl ChunkSource for Server {
    fn update(&mut self, pos: ChunkPos, held: Version) -> ChunkUpdate {
        let now = self.held(pos);
        if now.version == held {
            return ChunkUpdate::Same;
        }
        let changes = if held == Version::NONE { None } else { self.recent.since(pos, held) };
        let packed = self.packer.chunk(&now.chunk, now.version);
        match changes {
            Some(delta) if delta_bytes(&delta) < packed.bytes.len() => ChunkUpdate::Changes(delta),
            _ => ChunkUpdate::Snapshot(packed),
        }
    }

    fn delta_frame(&mut self, deltas: &[Arc<ChunkDelta>]) -> Arc<[u8]> {
        self.packer.frame(self.tick, deltas)
    }
}

/// What is between a stream and its client: so many bytes a tick, so many ticks under way, and what goes wrong.
struct Link {
    bytes_per_tick: usize,
    latency_ticks: u64,
    /// One in so many ticks it stands still for a while.
    stalls: Option<u64>,
    /// One in so many ticks it breaks, and everything under way is lost.
    breaks: Option<u64>,
    stalled_until: u64,
    /// Accepted, and not yet on its way.
    buffer: VecDeque<u8>,
    under_way: VecDeque<(u64, Vec<u8>)>,
}

impl Link {
    fn is_reliable(&self) -> bool {
        self.stalls.is_none() && self.breaks.is_none() && self.bytes_per_tick >= 8 << 10
    }

    /// A tick of the link: what leaves, and what arrives.
    fn carry(&mut self, tick: u64, chance: &mut Chance) -> (usize, Vec<u8>) {
        if self.stalls.is_some_and(|one_in| chance.below(one_in) == 0) {
            self.stalled_until = tick + 20 + chance.below(200);
        }
        let mut left = 0;
        if tick >= self.stalled_until {
            left = self.bytes_per_tick.min(self.buffer.len());
            let portion: Vec<u8> = self.buffer.drain(..left).collect();
            self.under_way.extend((left > 0).then(|| (tick + self.latency_ticks, portion)));
        }
        let mut arrived = Vec::new();
        while self.under_way.front().is_some_and(|(at, _)| *at <= tick) {
            arrived.extend(self.under_way.pop_front().unwrap().1);
        }
        (left, arrived)
    }
}

struct Player {
    actor: u64,
    stream: ChunkStream,
    link: Link,
    client: Client,
    shape: Shape,
    subscription: u32,
    /// Bytes sent on this connection, and when it began.
    sent_bytes: u64,
    began: Duration,
    reconnects: usize,
}

impl Player {
    fn new(actor: u64, link: Link, now: Duration) -> Self {
        let stream = ChunkStream::default().with_budget(RATE, now);
        let shape = Shape::new_radius(at(0, 0), 3, 0).unwrap().with_margin(1).unwrap();
        let mut player = Self {
            actor,
            stream,
            link,
            client: Client::new(),
            shape,
            subscription: 0,
            sent_bytes: 0,
            began: now,
            reconnects: 0,
        };
        player.subscribe();
        player
    }

    fn subscribe(&mut self) {
        self.subscription += 1;
        self.stream.subscribe(self.subscription, self.shape);
    }

    /// The connection is gone with all that was under way; the client comes back with what it holds.
    fn reconnect(&mut self, now: Duration) {
        let mut kept = std::mem::take(&mut self.client.kept);
        kept.append(&mut self.client.chunks);
        self.client = Client::new();
        self.client.kept = kept;
        self.link.buffer.clear();
        self.link.under_way.clear();
        self.stream = ChunkStream::default().with_budget(RATE, now);
        let held = self.client.kept.iter().map(|(pos, (version, _))| (*pos, *version)).collect();
        self.stream.claim(held);
        (self.sent_bytes, self.began) = (0, now);
        self.reconnects += 1;
        self.subscribe();
    }

    fn wander(&mut self, chance: &mut Chance) {
        let centre = at(chance.within(3), chance.within(3));
        self.shape = Shape::new_radius(centre, 3, 0).unwrap().with_margin(1).unwrap();
        let eye = VoxelPos::new(centre.x() * 32 + 16, 16, centre.z() * 32 + 16).unwrap();
        self.stream.look(View { eye, forward: [chance.within(9) as i8, 0, chance.within(9) as i8] });
        self.subscribe();
    }

    /// A tick of this player: what goes out, what arrives.
    fn step(&mut self, server: &mut Server, chance: &mut Chance) {
        let (now, tick) = (server.now(), server.tick);
        if self.link.breaks.is_some_and(|one_in| chance.below(one_in) == 0) {
            self.reconnect(now);
        }
        let mut out = Vec::new();
        self.sent_bytes += self.stream.next(now, usize::MAX, &mut out, server) as u64;
        let passed_ms = (now - self.began).as_millis() as u64;
        let most = RATE.burst + RATE.per_second * passed_ms / 1_000 + DELTA_FRAME_BYTES_MAX as u64;
        assert!(
            self.sent_bytes <= most,
            "{} bytes in {passed_ms} ms are over the budget by more than a frame",
            self.sent_bytes
        );
        self.link.buffer.extend(out);
        let (left, arrived) = self.link.carry(tick, chance);
        self.stream.flushed(left);
        // The client asserts that every change begins where it is, and that no version goes back.
        self.client.receive(&arrived, 1 + chance.below(900) as usize, |_, _| {});
        if self.link.is_reliable() {
            let waited = self.stream.oldest_change().map_or(Duration::ZERO, |since| now - since);
            assert!(waited <= Duration::from_secs(5), "player {} waits for {waited:?}", self.actor);
        }
    }

    fn is_drained(&self) -> bool {
        !self.stream.has_more() && self.link.buffer.is_empty() && self.link.under_way.is_empty()
    }

    fn assert_equal(&self, server: &Server) {
        for pos in self.shape.chunks() {
            assert!(self.client.chunks.contains_key(&pos), "player {} lacks {pos:?}", self.actor);
        }
        for (pos, (version, chunk)) in &self.client.chunks {
            assert!(self.shape.keeps(*pos), "player {} was not told to forget {pos:?}", self.actor);
            let held = server.held(*pos);
            assert_eq!(*version, held.version, "player {}, {pos:?}", self.actor);
            assert_eq!(chunk.compacted(), held.chunk.compacted(), "player {}, {pos:?}", self.actor);
        }
    }
}

fn at(x: i32, z: i32) -> ChunkPos {
    ChunkPos::new(x, 0, z).unwrap()
}

fn players(now: Duration) -> Vec<Player> {
    let link = |bytes_per_tick, latency_ticks, stalls, breaks| Link {
        bytes_per_tick,
        latency_ticks,
        stalls,
        breaks,
        stalled_until: 0,
        buffer: VecDeque::new(),
        under_way: VecDeque::new(),
    };
    let links = [
        link(1 << 20, 0, None, None),
        link(8 << 10, 3, None, None),
        link(700, 5, None, None),
        link(64 << 10, 1, Some(60), None),
        link(2 << 10, 2, Some(100), None),
        link(64 << 10, 2, None, Some(40)),
        link(1 << 10, 9, Some(200), Some(90)),
        link(16 << 10, 1, Some(30), Some(300)),
    ];
    links.into_iter().enumerate().map(|(index, link)| Player::new(index as u64 + 1, link, now)).collect()
}

fn run(seed: u64) {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut server = Server {
        chunks: BTreeMap::new(),
        // Little enough that the slowest come back to chunks whose changes are forgotten.
        recent: RecentChanges::new(192 << 10),
        packer: DeltaPacker::default(),
        tick: 0,
    };
    let mut players = players(server.now());
    for _ in 0..1_200 {
        server.tick += 1;
        let now = server.now();
        for _ in 0..chance.below(6) {
            let actor = chance.below(players.len() as u64 + 1);
            let pos = at(chance.within(REACH), chance.within(REACH));
            let delta = server.change(pos, actor, &mut chance);
            players
                .iter_mut()
                .for_each(|player| player.stream.offer(pos, delta.to, server.tick, now, player.actor == actor));
        }
        for player in &mut players {
            if chance.below(80) == 0 {
                player.wander(&mut chance);
            }
            player.step(&mut server, &mut chance);
        }
    }
    for player in &mut players {
        (player.link.stalls, player.link.breaks) = (None, None);
    }
    for _ in 0..20_000 {
        if players.iter().all(Player::is_drained) {
            break;
        }
        server.tick += 1;
        players.iter_mut().for_each(|player| player.step(&mut server, &mut chance));
    }
    for player in &players {
        assert!(player.is_drained(), "player {} never gets to the end", player.actor);
        player.assert_equal(&server);
    }
    assert!(players.iter().any(|player| player.reconnects > 3), "some links broke");
}

#[test]
fn every_client_ends_where_the_server_is_and_nobody_has_a_gap_or_starves_on_the_way() {
    (1..=6).for_each(run);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let bytes = |seed| {
        let mut chance = Chance(seed);
        let recent = RecentChanges::new(1 << 20);
        let mut server = Server { chunks: BTreeMap::new(), recent, packer: DeltaPacker::default(), tick: 0 };
        let mut players = players(server.now());
        for _ in 0..100 {
            server.tick += 1;
            let (pos, now) = (at(chance.within(REACH), chance.within(REACH)), server.now());
            let delta = server.change(pos, 1, &mut chance);
            players.iter_mut().for_each(|player| player.stream.offer(pos, delta.to, server.tick, now, false));
            players.iter_mut().for_each(|player| player.step(&mut server, &mut chance));
        }
        players.iter().map(|player| player.sent_bytes).collect::<Vec<_>>()
    };
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}
