//! A stream and a client with a slow link between them: whatever is dropped, the client ends where the world is.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::Client;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use terrane_protocol::error::RefusedCode;
use terrane_protocol::limits::{
    BODIES_FOLLOWED_MAX, DELTA_FRAME_BYTES_MAX, OUTPUT_ANSWER_BYTES_MAX, OUTPUT_REFUSALS_BYTES_MAX, PONGS_PENDING_MAX,
    REFUSALS_PENDING_MAX, REQUESTS_REFUSED_PENDING_MAX,
};
use terrane_protocol::message::{Reason, Refused, RefusedInput, SessionId, Welcome, block_infos};
use terrane_protocol::recent::delta_bytes;
use terrane_protocol::stream::{OverlayAnswer, registry_frames};
use terrane_protocol::{
    AgentHistory, AgentNews, AgentSource, AgentsPart, BodyFrames, BodyMove, ChunkSource, ChunkStream, ChunkUpdate,
    CrowdInfo, DeltaPacker, FieldState, Kind, OverlayKind, OverlayKinds, PathRefusal, PathRefused, RecentChanges,
    ServerMessage, Shape, View,
};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::entity::state::Agent;
use terrane_world::physics::state::{self, BodyId, BodyVoxel, Phase};
use terrane_world::relax::EXITS;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Held, Run};

const TRANSPORT: usize = DELTA_FRAME_BYTES_MAX;
/// What may be held beside what is in the transport.
const BESIDE: usize = OUTPUT_ANSWER_BYTES_MAX + OUTPUT_REFUSALS_BYTES_MAX;

fn at(x: i32, y: i32, z: i32) -> ChunkPos {
    ChunkPos::new(x, y, z).unwrap()
}

/// A world that only knows how to change.
#[derive(Default)]
struct World {
    chunks: BTreeMap<ChunkPos, Held>,
    tick: u64,
}

impl World {
    fn held(&self, pos: ChunkPos) -> Held {
        let generated = || Held { chunk: Arc::new(Chunk::uniform(BlockId(1))), version: Version::GENERATED };
        self.chunks.get(&pos).cloned().unwrap_or_else(generated)
    }

    /// Changes `count` voxels `stride` apart; with a count of 0 only the version moves, as sparse data makes it.
    fn edit(&mut self, pos: ChunkPos, count: u16, stride: u16, block: u16) -> ChunkDelta {
        self.tick += 1;
        let held = self.held(pos);
        let mut chunk = (*held.chunk).clone();
        let mut runs = Vec::new();
        for i in 0..count {
            let first = LocalIndex::new(i * stride % 32_768).unwrap();
            let new = BlockId(block ^ (i & 3));
            let old = chunk.set(first, new);
            if old != new && runs.last().is_none_or(|run: &Run| run.first < first) {
                runs.push(Run { first, length: 1, old, new });
            }
        }
        let to = held.version.next(7);
        self.chunks.insert(pos, Held { chunk: Arc::new(chunk), version: to });
        let cause = Cause { kind: CauseKind::Edit, actor: ActorId(1), root: self.tick };
        ChunkDelta { pos, from: held.version, to, cause, body: None, runs, sparse: Vec::new() }
    }
}

/// Where the stream gets its chunks from; what is hidden can't be read just now, but for what is remembered of it.
struct Source<'a> {
    world: &'a World,
    hidden: &'a BTreeSet<ChunkPos>,
    recent: &'a mut RecentChanges,
    packer: &'a mut DeltaPacker,
}

impl ChunkSource for Source<'_> {
    fn update(&mut self, pos: ChunkPos, held: Version) -> ChunkUpdate {
        let now = self.world.held(pos);
        if held == now.version {
            return ChunkUpdate::Same;
        }
        let changes = if held == Version::NONE { None } else { self.recent.since(pos, held) };
        match changes {
            Some(delta) if delta_bytes(&delta) < 3_000 => ChunkUpdate::Changes(delta),
            _ if self.hidden.contains(&pos) => ChunkUpdate::Later,
            _ => ChunkUpdate::Snapshot(self.packer.chunk(&now.chunk, now.version)),
        }
    }

    fn delta_frame(&mut self, deltas: &[Arc<ChunkDelta>]) -> Arc<[u8]> {
        self.packer.frame(self.world.tick, deltas)
    }
}

/// A world without chunks.
struct Nothing;

impl ChunkSource for Nothing {
    fn update(&mut self, _: ChunkPos, _: Version) -> ChunkUpdate {
        ChunkUpdate::Later
    }

    fn delta_frame(&mut self, _: &[Arc<ChunkDelta>]) -> Arc<[u8]> {
        unreachable!("there are no changes")
    }
}

/// The moment of a tick.
fn moment(tick: u64) -> Duration {
    Duration::from_millis(50 * tick)
}

#[derive(Debug, Clone)]
enum Action {
    Subscribe {
        centre: (i32, i32),
        radius: i32,
        vertical: i32,
    },
    Box {
        min: (i32, i32),
        size: (i32, i32),
    },
    Edit {
        pos: (i32, i32, i32),
        count: u16,
        stride: u16,
        block: u16,
    },
    Send {
        budget_bytes: usize,
    },
    Flush {
        share: u8,
    },
    Ping,
    Look {
        eye: (i32, i32),
        forward: (i8, i8),
    },
    Hide {
        pos: (i32, i32, i32),
        hidden: bool,
    },
    /// A body of so many voxels that don't touch begins to fall in a column of chunks.
    Fall {
        pos: (i32, i32),
        voxels: u16,
    },
    /// Every body moves on; the ones with such a remainder land.
    Move {
        land: u32,
    },
    Overlays {
        mask: u32,
    },
    /// A crowd of so many begins in a column of chunks.
    Crowd {
        pos: (i32, i32),
        agents: u32,
    },
    /// Some agents go one step, some arrive; nothing is remembered of it if it is skipped.
    Walk {
        seed: u32,
        skipped: bool,
    },
    /// The crowd with such a remainder leaves.
    Dismiss {
        remainder: u32,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let pos = || (-3i32..3, -1i32..1, -3i32..3);
    prop_oneof![
        1 => ((-3i32..3, -3i32..3), 0i32..3, 0i32..2)
            .prop_map(|(centre, radius, vertical)| Action::Subscribe { centre, radius, vertical }),
        1 => ((-3i32..3, -3i32..3), (0i32..4, 0i32..4)).prop_map(|(min, size)| Action::Box { min, size }),
        8 => (pos(), prop_oneof![Just(0u16), 1u16..40, 1_000u16..8_000], 1u16..5, any::<u16>())
            .prop_map(|(pos, count, stride, block)| Action::Edit { pos, count, stride, block }),
        5 => prop_oneof![0usize..3_000, 0usize..400_000].prop_map(|budget_bytes| Action::Send { budget_bytes }),
        3 => any::<u8>().prop_map(|share| Action::Flush { share }),
        1 => Just(Action::Ping),
        1 => ((-99i32..99, -99i32..99), any::<(i8, i8)>()).prop_map(|(eye, forward)| Action::Look { eye, forward }),
        1 => (pos(), any::<bool>()).prop_map(|(pos, hidden)| Action::Hide { pos, hidden }),
        3 => ((-3i32..3, -3i32..3), prop_oneof![1u16..20, 5_000u16..9_000])
            .prop_map(|(pos, voxels)| Action::Fall { pos, voxels }),
        4 => (0u32..12).prop_map(|land| Action::Move { land }),
        1 => (0u32..1 << OverlayKind::ALL.len()).prop_map(|mask| Action::Overlays { mask }),
        1 => ((-3i32..3, -3i32..3), prop_oneof![1u32..40, 2_000u32..3_000])
            .prop_map(|(pos, agents)| Action::Crowd { pos, agents }),
        8 => (any::<u32>(), prop::bool::weighted(0.1)).prop_map(|(seed, skipped)| Action::Walk { seed, skipped }),
        1 => (0u32..4).prop_map(|remainder| Action::Dismiss { remainder }),
    ]
}

/// The whole network: a world, a stream, a client, and what each input changed.
struct Network {
    world: World,
    recent: RecentChanges,
    packer: DeltaPacker,
    stream: ChunkStream,
    client: Client,
    hidden: BTreeSet<ChunkPos>,
    subscription: u32,
    shape: Shape,
    sequence: u64,
    changed: Vec<(u64, ChunkPos, Version)>,
    pings: u64,
    bodies: BTreeMap<u32, (Arc<BodyFrames>, BodyMove)>,
    handles: u32,
    overlays: OverlayKinds,
    crowds: Crowds,
    /// Whether the client asked for the edits itself.
    own: bool,
}

/// Agents that walk about, by the handle of their crowd, and what is told of them.
#[derive(Default)]
struct Crowds {
    agents: BTreeMap<u32, Vec<Agent>>,
    parts: BTreeMap<AgentsPart, AgentHistory>,
    tick: u64,
}

impl AgentSource for Crowds {
    fn crowd(&self, handle: u32) -> Option<Vec<u8>> {
        let (mode, goals) = ("ground".to_owned(), vec![VoxelPos::new(1, 2, 3).unwrap()]);
        let within = VoxelBox::new([-99, -99, -99], [99, 99, 99]).unwrap();
        let mut bytes = Vec::new();
        ServerMessage::Crowd(CrowdInfo { handle, sequence: 0, mode, speed: 1, goals, within }).encode(&mut bytes);
        self.agents.contains_key(&handle).then_some(bytes)
    }

    fn news(&self, part: AgentsPart, since: Option<u64>) -> Option<AgentNews> {
        Some(self.parts.get(&part)?.news(since))
    }

    fn tick(&self) -> u64 {
        self.tick
    }
}

/// A number that looks like chance.
fn mixed(seed: u32, number: u32) -> u32 {
    let value = (seed ^ number.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
    (value ^ value >> 15).wrapping_mul(0xc2b2_ae35) >> 4
}

impl Crowds {
    /// Where the agents of each part are.
    fn places(&self) -> BTreeMap<AgentsPart, Vec<Agent>> {
        let mut places: BTreeMap<AgentsPart, Vec<Agent>> = BTreeMap::new();
        for (handle, agent) in self.agents.iter().flat_map(|(handle, list)| list.iter().map(|agent| (*handle, *agent)))
        {
            places.entry(AgentsPart { column: agent.at.chunk().column(), handle }).or_default().push(agent);
        }
        places
    }

    /// Takes a tick in. Gives the parts in which something happened.
    fn follow(&mut self, tick: u64, skipped: bool) -> Vec<AgentsPart> {
        self.tick = tick;
        let places = self.places();
        let gone: Vec<AgentsPart> = self.parts.keys().filter(|part| !places.contains_key(part)).copied().collect();
        gone.iter().for_each(|part| drop(self.parts.remove(part)));
        let mut news = gone;
        for (part, agents) in places {
            let is_news = match self.parts.get_mut(&part) {
                Some(known) if skipped => {
                    known.skip(agents.into(), tick);
                    true
                }
                Some(known) => known.follow(agents.into(), tick),
                None => self.parts.insert(part, AgentHistory::new(part, agents.into(), tick)).is_none(),
            };
            news.extend(is_news.then_some(part));
        }
        news
    }

    fn walk(&mut self, seed: u32) {
        for (handle, list) in &mut self.agents {
            list.retain(|agent| !mixed(seed, agent.number ^ handle << 16).is_multiple_of(29));
            let goes = |agent: &&mut Agent| mixed(!seed, agent.number ^ handle << 16).is_multiple_of(3);
            for agent in list.iter_mut().filter(goes) {
                let exit = mixed(seed.rotate_left(9), agent.number) as usize % EXITS.len();
                let to: [i32; 3] = std::array::from_fn(|axis| agent.at.to_array()[axis] + EXITS[exit][axis]);
                if let Ok(to) = VoxelPos::try_from(to) {
                    (agent.at, agent.exit) = (to, exit as u8);
                }
            }
        }
    }
}

/// What stands for an overlay here: another value for each version and kind.
fn overlay_value(version: Version, kind: OverlayKind) -> u8 {
    (version.count as u8).wrapping_mul(2) | kind as u8
}

impl Network {
    fn new() -> Self {
        Self {
            world: World::default(),
            // So little that what was long ago is forgotten.
            recent: RecentChanges::new(256 << 10),
            packer: DeltaPacker::default(),
            stream: ChunkStream::new(TRANSPORT),
            client: Client::new(),
            hidden: BTreeSet::new(),
            subscription: 0,
            shape: Shape::new_box([0; 3], [0; 3]).unwrap(),
            sequence: 0,
            changed: Vec::new(),
            pings: 0,
            bodies: BTreeMap::new(),
            handles: 0,
            overlays: OverlayKinds::NONE,
            crowds: Crowds::default(),
            own: true,
        }
    }

    fn subscribe(&mut self, shape: Shape) {
        self.subscription += 1;
        self.shape = shape;
        self.stream.subscribe(self.subscription, shape);
    }

    fn edit(&mut self, pos: ChunkPos, count: u16, stride: u16, block: u16) {
        let delta = self.world.edit(pos, count, stride, block);
        self.sequence += 1;
        self.changed.push((self.sequence, pos, delta.to));
        self.recent.push(&delta);
        self.offer(&delta);
        OverlayKind::ALL.into_iter().for_each(|kind| self.stream.spoil_overlay(pos, kind));
        let refusals = match self.sequence % 5 {
            0 => vec![RefusedInput { sequence: self.sequence, reason: Reason::Unreadable }],
            _ => vec![],
        };
        self.stream.acknowledge(self.sequence, self.world.tick, &refusals).unwrap();
    }

    fn offer(&mut self, delta: &ChunkDelta) {
        self.stream.offer(delta.pos, delta.to, self.world.tick, moment(self.world.tick), self.own);
    }

    fn send(&mut self, budget_bytes: usize) -> usize {
        // Nothing is offered during the call, so what is not wanted now is not wanted at any moment of it.
        let wanted: BTreeSet<ChunkPos> = self.stream.wanted().collect();
        let (world, hidden) = (&self.world, &self.hidden);
        let unsent = self.stream.unsent_bytes();
        let mut out = Vec::new();
        let now = moment(world.tick);
        if self.stream.take_agents_wanted() {
            self.crowds.parts.keys().for_each(|part| self.stream.offer_agents(*part));
        }
        let (recent, packer) = (&mut self.recent, &mut self.packer);
        let mut source = Source { world, hidden, recent, packer };
        let sent = self.stream.next_with_agents(now, budget_bytes, &mut out, &mut source, &self.crowds);
        if self.stream.take_bodies_wanted() {
            let tick = self.world.tick;
            self.bodies.values().for_each(|(frames, now)| self.stream.offer_body(frames, Some((tick, *now))));
        }
        assert_eq!(sent, out.len());
        let overlaid =
            self.stream.next_overlays(now, (budget_bytes, unsent + budget_bytes), &mut out, &mut |pos, kind| {
                let (version, mut frame) = (world.held(pos).version, Vec::new());
                let values = Some(Box::new([overlay_value(version, kind); 32_768]));
                ServerMessage::OverlayData { pos, kind, version, values }.encode(&mut frame);
                OverlayAnswer::Frame(frame.into())
            });
        let sent = sent + overlaid;
        let most = budget_bytes + DELTA_FRAME_BYTES_MAX;
        assert!(sent <= most, "{sent} bytes sent on a budget of {budget_bytes} that one frame may overdraw");
        let (changed, own) = (&self.changed, self.own);
        self.client.receive(&out, 1 + budget_bytes % 977, |client, message| {
            if let ServerMessage::Acknowledge { sequence, .. } = message {
                for (_, pos, version) in changed.iter().filter(|(input, ..)| input <= sequence) {
                    let told = client.chunks.get(pos).is_none_or(|(held, _)| held >= version);
                    assert!(
                        !own || told || wanted.contains(pos) || hidden.contains(pos),
                        "{pos:?} was acknowledged before it was told"
                    );
                }
            }
        });
        self.check();
        sent
    }

    fn check(&self) {
        assert!(self.stream.unsent_bytes() <= TRANSPORT);
        assert!(self.stream.held_bytes() <= TRANSPORT + BESIDE);
    }

    fn run(&mut self, action: &Action) {
        match *action {
            Action::Subscribe { centre: (x, z), radius, vertical } => {
                self.subscribe(Shape::new_radius(at(x, 0, z), radius, vertical).unwrap());
            }
            Action::Box { min: (x, z), size: (a, b) } => {
                self.subscribe(Shape::new_box([x, -1, z], [x + a, 1, z + b]).unwrap());
            }
            Action::Edit { pos: (x, y, z), count, stride, block } => self.edit(at(x, y, z), count, stride, block),
            Action::Send { budget_bytes } => drop(self.send(budget_bytes)),
            Action::Flush { share } => {
                self.stream.flushed(self.stream.unsent_bytes() * usize::from(share) / 255);
            }
            Action::Look { eye: (x, z), forward: (a, b) } => {
                self.stream.look(View { eye: VoxelPos::new(x, 0, z).unwrap(), forward: [a, 0, b] });
            }
            Action::Ping => {
                self.pings += 1;
                let _ = self.stream.pong(self.pings, self.world.tick);
            }
            Action::Hide { pos: (x, y, z), hidden: true } => drop(self.hidden.insert(at(x, y, z))),
            Action::Hide { pos: (x, y, z), hidden: false } => drop(self.hidden.remove(&at(x, y, z))),
            Action::Fall { pos: (x, z), voxels } => self.fall(x, z, voxels),
            Action::Move { land } => self.move_bodies(land),
            Action::Overlays { mask } => {
                self.overlays = OverlayKinds::from_mask(mask).unwrap();
                self.stream.want_overlays(self.overlays);
            }
            Action::Crowd { pos: (x, z), agents } => {
                self.handles += 1;
                let place = |number: u32| {
                    let [a, b] = [number, number / 32].map(|part| (part % 32) as i32);
                    let at = VoxelPos::new(x * 32 + a, (number / 1_024) as i32, z * 32 + b).unwrap();
                    Agent { number, at, progress: 0, exit: u8::MAX }
                };
                self.crowds.agents.insert(self.handles, (0..agents).map(place).collect());
                self.walk(None, false);
            }
            Action::Walk { seed, skipped } => self.walk(Some(seed), skipped),
            Action::Dismiss { remainder } => {
                self.crowds.agents.retain(|handle, _| {
                    handle % 4 != remainder || {
                        self.stream.end_crowd(*handle);
                        false
                    }
                });
                self.walk(None, false);
            }
        }
        self.check();
    }

    /// A tick of all agents.
    fn walk(&mut self, seed: Option<u32>, skipped: bool) {
        self.world.tick += 1;
        seed.into_iter().for_each(|seed| self.crowds.walk(seed));
        let news = self.crowds.follow(self.world.tick, skipped);
        news.into_iter().for_each(|part| self.stream.offer_agents(part));
        let empty: Vec<u32> =
            self.crowds.agents.iter().filter(|(_, list)| list.is_empty()).map(|(handle, _)| *handle).collect();
        for handle in empty {
            self.crowds.agents.remove(&handle);
            self.stream.end_crowd(handle);
        }
    }

    fn fall(&mut self, x: i32, z: i32, voxels: u16) {
        let voxel = |index: i32| BodyVoxel {
            pos: VoxelPos::new(x * 32 + index % 16 * 2, index / 512, z * 32 + index / 16 % 32).unwrap(),
            block: BlockId(1),
            sparse: None,
        };
        let mut voxels: Vec<BodyVoxel> = (0..i32::from(voxels)).map(voxel).collect();
        voxels.sort_unstable_by_key(|voxel| voxel.pos);
        let shape = state::Shape::new(voxels);
        self.handles += 1;
        self.world.tick += 1;
        let id = BodyId { tick: self.world.tick, origin: shape.voxels()[0].pos };
        let frames = Arc::new(BodyFrames::new(self.handles, id, &shape));
        self.stream.offer_body(&frames, None);
        let now = BodyMove { handle: self.handles, fallen: 0, velocity: 0, phase: Phase::Falling };
        self.bodies.insert(self.handles, (frames, now));
    }

    fn move_bodies(&mut self, land: u32) {
        self.world.tick += 1;
        self.bodies.values_mut().for_each(|(_, now)| *now = now.fallen_on());
        let moves: Vec<BodyMove> = self.bodies.values().map(|(_, now)| *now).collect();
        self.stream.offer_moves(self.world.tick, &moves);
        let ends: Vec<u32> = self.bodies.keys().filter(|handle| *handle % 12 == land).copied().collect();
        ends.iter().for_each(|handle| drop(self.bodies.remove(handle)));
        self.stream.offer_ends(self.world.tick, &ends);
    }

    /// Lets everything through that is left.
    fn settle(&mut self) {
        self.hidden.clear();
        for _ in 0..10_000 {
            self.stream.flushed(self.stream.unsent_bytes());
            if self.send(1 << 20) == 0 {
                assert!(!self.stream.has_more() && !self.stream.has_overlays_due());
                return;
            }
        }
        panic!("the stream never falls silent");
    }

    fn assert_equal(&self) {
        let mut expected = self.shape.chunks();
        expected.sort_unstable();
        assert_eq!(self.client.chunks.keys().copied().collect::<Vec<_>>(), expected);
        for (pos, (version, chunk)) in &self.client.chunks {
            let held = self.world.held(*pos);
            assert_eq!(*version, held.version, "{pos:?}");
            assert_eq!(chunk.compacted(), held.chunk.compacted(), "{pos:?}");
        }
        for (handle, body) in &self.client.bodies {
            let (_, now) = self.bodies.get(handle).expect("what has landed has ended");
            assert_eq!(body.voxels, body.of as usize, "body {handle} came whole");
            assert_eq!(body.moved.map_or(0, |(_, to)| to.fallen), now.fallen, "body {handle}");
        }
        let sees = |part: &AgentsPart| {
            let (x, z) = (4 * part.column.x(), 4 * part.column.z());
            self.subscription > 0 && self.shape.meets([x, -64, z], [x + 3, 63, z + 3])
        };
        let places = self.crowds.places().into_iter().filter(|(part, _)| sees(part));
        let places = places.map(|(part, list)| (part, list.iter().map(|agent| (agent.number, agent.at)).collect()));
        let told = self.client.agents.iter().map(|(part, (_, places))| (*part, places.clone()));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), places.collect::<BTreeMap<_, BTreeMap<_, _>>>());
        assert!(self.client.crowds.keys().all(|handle| self.crowds.agents.contains_key(handle)));
        let wanted = |kind: OverlayKind| self.overlays.contains(kind);
        let told = self.client.overlays.iter().filter(|((_, kind), _)| wanted(*kind));
        for ((pos, kind), (version, value)) in told.clone() {
            let held = self.world.held(*pos).version;
            assert_eq!((*version, *value), (held, overlay_value(held, *kind)), "{kind:?} of {pos:?}");
        }
        let kinds = OverlayKind::ALL.into_iter().filter(|kind| wanted(*kind)).count();
        assert_eq!(told.count(), kinds * self.client.chunks.len());
        assert_eq!(self.client.acknowledged, self.sequence);
        let refused: Vec<u64> = self.client.refusals.iter().map(|refusal| refusal.sequence).collect();
        assert_eq!(refused, (1..=self.sequence).filter(|s| s % 5 == 0).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_client_always_ends_where_the_world_is(actions in prop::collection::vec(action(), 1..150)) {
        let mut network = Network::new();
        actions.iter().for_each(|action| network.run(action));
        network.settle();
        network.assert_equal();
        if network.subscription > 0 {
            prop_assert_eq!(network.client.caught_up.last(), Some(&network.subscription));
        }
        prop_assert!(network.client.pongs.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

fn whole(network: &mut Network) {
    network.subscribe(Shape::new_box([-2, -1, -2], [2, 1, 2]).unwrap());
    network.settle();
}

#[test]
fn a_client_that_stopped_reading_costs_no_more_than_the_bound_and_is_whole_again_afterwards() {
    let mut network = Network::new();
    whole(&mut network);
    network.client.kinds.clear();
    for round in 0..8_000u16 {
        network.edit(at(i32::from(round % 4) - 2, 0, 0), 500, 3, round);
        network.send(1 << 20);
        network.check();
    }
    network.settle();
    network.assert_equal();
    let told = network.client.kinds.iter().filter(|kind| matches!(kind, Kind::Snapshot | Kind::Delta)).count();
    assert!((1..3_000).contains(&told), "{told} frames for 8,000 changes of 4 chunks");
}

#[test]
fn a_chunk_that_changed_a_lot_comes_whole_and_others_as_what_changed() {
    let mut network = Network::new();
    whole(&mut network);
    network.client.kinds.clear();
    network.edit(at(0, 0, 0), 10, 1, 40);
    for round in 0..3 {
        network.edit(at(1, 0, 0), 8_000, 2, 50 + round * 8);
    }
    network.settle();
    network.assert_equal();
    let count = |kind| network.client.kinds.iter().filter(|k| **k == kind).count();
    assert_eq!((count(Kind::Snapshot), count(Kind::Delta)), (1, 1));
}

#[test]
fn a_voxel_that_changed_many_times_while_it_waited_travels_once_and_not_at_all_if_it_is_what_it_was() {
    let mut network = Network::new();
    whole(&mut network);
    let before = network.world.held(at(0, 0, 0)).version;
    for block in [7, 8, 9, 40] {
        network.edit(at(0, 0, 0), 30, 2, block);
    }
    let merged = network.recent.since(at(0, 0, 0), before).unwrap();
    assert_eq!(merged.runs.iter().map(|run| usize::from(run.length)).sum::<usize>(), 30);
    assert!(merged.runs.iter().all(|run| run.old == BlockId(1) && run.new.0 & !3 == 40));
    network.settle();
    network.assert_equal();
    let (back, tick) = (network.world.held(at(0, 0, 0)).version, network.world.tick);
    network.edit(at(0, 0, 0), 1, 1, 2);
    network.edit(at(0, 0, 0), 1, 1, 40);
    let nothing = network.recent.since(at(0, 0, 0), back).unwrap();
    assert!(nothing.runs.is_empty() && network.world.tick == tick + 2);
    network.settle();
    network.assert_equal();
}

#[test]
fn the_nearest_chunk_comes_first_and_caught_up_last() {
    let mut network = Network::new();
    network.subscribe(Shape::new_radius(at(1, 0, 1), 2, 1).unwrap());
    let order = network.shape.chunks();
    let mut out = Vec::new();
    let Network { world, hidden, recent, packer, stream, .. } = &mut network;
    stream.next(Duration::ZERO, 1 << 20, &mut out, &mut Source { world, hidden, recent, packer });
    let mut seen = Vec::new();
    network.client.receive(&out, 100, |_, message| match message {
        ServerMessage::Snapshot { pos, subscription: 1, .. } => seen.push(*pos),
        ServerMessage::CaughtUp { subscription: 1 } => assert_eq!(seen.len(), order.len()),
        other => panic!("{other:?}"),
    });
    assert_eq!(seen, order);
    assert_eq!(network.client.caught_up, [1]);
}

#[test]
fn what_is_kept_is_not_sent_again_and_what_is_left_is_forgotten() {
    let mut network = Network::new();
    whole(&mut network);
    network.client.kinds.clear();
    network.subscribe(Shape::new_box([-1, -1, -2], [3, 1, 2]).unwrap());
    network.settle();
    network.assert_equal();
    let count = |kind| network.client.kinds.iter().filter(|k| **k == kind).count();
    assert_eq!((count(Kind::Snapshot), count(Kind::Forget), count(Kind::CaughtUp)), (8, 8, 1));
}

#[test]
fn a_delta_of_data_that_clients_do_not_see_keeps_the_chain() {
    let mut network = Network::new();
    whole(&mut network);
    network.client.kinds.clear();
    network.edit(at(0, 0, 0), 0, 1, 0);
    network.edit(at(0, 0, 0), 3, 1, 9);
    network.settle();
    network.assert_equal();
    assert!(!network.client.kinds.contains(&Kind::Snapshot));
}

#[test]
fn a_snapshot_that_is_newer_than_the_deltas_offered_later_swallows_them() {
    let mut network = Network::new();
    let first = network.world.edit(at(0, 0, 0), 5, 1, 3);
    let second = network.world.edit(at(0, 0, 0), 5, 1, 4);
    whole(&mut network);
    network.offer(&first);
    network.offer(&second);
    assert!(!network.stream.has_more());
    network.assert_equal();
}

#[test]
fn deltas_that_never_end_do_not_starve_snapshots() {
    let mut network = Network::new();
    whole(&mut network);
    network.subscribe(Shape::new_box([-2, -1, -2], [6, 1, 2]).unwrap());
    for round in 0..400u16 {
        network.edit(at(i32::from(round % 4) - 2, 0, 0), 4_000, 3, round);
        // A link that carries less than the deltas need.
        let unsent = network.stream.unsent_bytes();
        network.stream.flushed(unsent.min(10_000));
        network.send(1 << 20);
    }
    assert_eq!(network.client.caught_up.last(), Some(&2));
}

#[test]
fn the_connection_begins_with_welcome_and_the_registry() {
    let mut network = Network::new();
    let blocks = block_infos(&Registry::built_in(), 0);
    let welcome = Welcome {
        version: 2,
        resumed: false,
        epoch: 7,
        session: SessionId([1; 16]),
        world: [2; 16],
        tick: 3,
        acknowledged: 0,
        tick_us: 50_000,
        blocks: blocks.len() as u32,
        spawn: VoxelPos::new(0, 64, 0).unwrap(),
        identity: 9,
    };
    network.stream.welcome(&welcome);
    network.stream.registry(&registry_frames(0, &blocks));
    whole(&mut network);
    assert_eq!(network.client.kinds[..2], [Kind::Welcome, Kind::Registry]);
    assert_eq!(network.client.blocks, blocks);
    assert_eq!(&*blocks[0].name, "air");
}

#[test]
fn a_registry_of_the_largest_size_travels_in_frames() {
    let name = "x".repeat(256);
    let air = block_infos(&Registry::built_in(), 0).remove(0);
    let block = terrane_protocol::message::BlockInfo { name: name.as_str().into(), ..air };
    let blocks = vec![block; 65_535];
    let mut network = Network::new();
    network.stream.registry(&registry_frames(0, &blocks));
    network.settle();
    assert!(network.client.blocks == blocks);
}

#[test]
fn who_asks_without_reading_is_told_so() {
    let mut stream = ChunkStream::default();
    for number in 0..PONGS_PENDING_MAX as u64 {
        stream.pong(number, 1).unwrap();
    }
    assert_eq!(stream.pong(99, 1).unwrap_err().code(), RefusedCode::OutOfBounds);
    let mut sequence = 0;
    let error = loop {
        sequence += 1;
        let refusal = RefusedInput { sequence, reason: Reason::UnknownBlock };
        match stream.acknowledge(sequence, 1, &[refusal]) {
            Ok(()) => assert!(stream.held_bytes() < 128 << 10),
            Err(error) => break error,
        }
    };
    assert_eq!(sequence as usize, REFUSALS_PENDING_MAX + 1);
    stream.refuse(&Refused::from(&error));
    let mut out = Vec::new();
    stream.next(Duration::ZERO, 1, &mut out, &mut Nothing);
    stream.flushed(out.len());
    stream.next(Duration::ZERO, 1 << 20, &mut out, &mut Nothing);
    let mut client = Client::new();
    client.receive(&out, 10, |_, _| {});
    assert_eq!(client.kinds, [Kind::Refused]);
    assert!(client.refused.unwrap().text.contains("read what comes"));
    assert!(stream.has_ended() && !stream.has_more());
}

#[test]
fn answers_about_paths_have_turns_of_their_own_and_say_when_they_are_sent() {
    let mut stream = ChunkStream::default();
    let mut frame = Vec::new();
    let state = FieldState { request: 1, current: true, tick: 3, chunks: 1 };
    ServerMessage::FieldState(state).encode(&mut frame);
    stream.offer_paths(frame.clone());
    stream.offer_paths(frame.clone());
    for request in 0..REQUESTS_REFUSED_PENDING_MAX as u32 {
        let refused = PathRefused { request, code: PathRefusal::TooManyRequests, text: "too many".into() };
        stream.refuse_request(refused).unwrap();
    }
    assert!(stream.has_more() && stream.take_paths_sent() == 0);
    let refused = PathRefused { request: 99, code: PathRefusal::TooManyRequests, text: "too many".into() };
    assert_eq!(stream.refuse_request(refused.clone()).unwrap_err().code(), RefusedCode::OutOfBounds);
    let mut out = Vec::new();
    stream.next(Duration::ZERO, 1 << 20, &mut out, &mut Nothing);
    assert_eq!((stream.take_paths_sent(), stream.take_paths_sent()), (2 * frame.len(), 0));
    assert!(!stream.has_more() && stream.held_bytes() == stream.unsent_bytes());
    stream.refuse_request(refused).unwrap();
    let mut client = Client::new();
    client.receive(&out, 7, |_, _| {});
    assert_eq!(client.requests_ended, (0..REQUESTS_REFUSED_PENDING_MAX as u32).collect::<Vec<_>>());
    assert_eq!(client.kinds.iter().filter(|kind| **kind == Kind::FieldState).count(), 2);
}

#[test]
fn chunks_that_are_not_at_hand_do_not_hold_up_the_others() {
    let mut network = Network::new();
    network.hidden = (0..4).map(|x| at(x, 0, 0)).collect();
    network.subscribe(Shape::new_box([0, 0, 0], [64, 1, 32]).unwrap());
    for _ in 0..10 {
        network.send(1 << 20);
        network.stream.flushed(network.stream.unsent_bytes());
    }
    assert_eq!(network.client.chunks.len(), 64 * 32 - 4);
    assert!(network.client.caught_up.is_empty());
    network.settle();
    network.assert_equal();
}

#[test]
fn a_chunk_whose_changes_are_not_all_remembered_comes_whole() {
    let mut network = Network::new();
    whole(&mut network);
    network.client.kinds.clear();
    let _lost = network.world.edit(at(0, 0, 0), 5, 1, 3);
    let later = network.world.edit(at(0, 0, 0), 5, 1, 4);
    network.recent.push(&later);
    network.offer(&later);
    network.settle();
    network.assert_equal();
    assert_eq!(network.client.kinds, [Kind::Snapshot]);
}

#[test]
fn a_body_comes_ahead_of_the_deltas_of_its_tick_and_ends_behind_those_of_its_landing() {
    let mut network = Network::new();
    whole(&mut network);
    network.client.kinds.clear();
    // Somebody else's: what the client asked for itself waits for nothing.
    network.own = false;
    network.fall(0, 0, 6_000);
    network.edit(at(0, 0, 0), 5, 1, 3);
    network.move_bodies(99);
    network.settle();
    network.edit(at(0, 0, 0), 5, 1, 4);
    network.move_bodies(1);
    network.settle();
    network.assert_equal();
    let moving: Vec<Kind> = network.client.kinds.iter().filter(|kind| **kind != Kind::Acknowledge).copied().collect();
    let expected = [Kind::Body, Kind::Body, Kind::Delta, Kind::BodyMoves, Kind::Delta, Kind::BodyEnds];
    assert_eq!(moving, expected);
    assert!(network.client.bodies.is_empty());
    // One that has landed before it could be sent is not sent any more.
    network.client.kinds.clear();
    network.fall(0, 0, 6_000);
    network.move_bodies(2);
    network.settle();
    assert!(network.client.kinds.is_empty());
}

#[test]
fn a_body_of_which_a_part_was_sent_in_a_turn_that_is_used_up_comes_whole_all_the_same() {
    let mut network = Network::new();
    network.fall(-2, 1, 5_000);
    network.subscribe(Shape::new_radius(at(-2, 0, 0), 1, 0).unwrap());
    network.send(113);
    network.send(53);
    network.settle();
    network.assert_equal();
    assert_eq!(network.client.bodies.len(), 1);
}

#[test]
fn who_looks_later_or_elsewhere_is_told_of_bodies_where_they_are() {
    let mut network = Network::new();
    whole(&mut network);
    network.fall(0, 0, 4);
    network.fall(5, 5, 4);
    network.move_bodies(99);
    network.settle();
    assert_eq!(network.client.bodies.keys().copied().collect::<Vec<_>>(), [1], "the other one is out of sight");
    network.subscribe(Shape::new_box([4, -1, 4], [6, 1, 6]).unwrap());
    network.settle();
    network.assert_equal();
    assert_eq!(network.client.bodies.keys().copied().collect::<Vec<_>>(), [2]);
    assert_eq!(network.client.bodies[&2].moved.unwrap().1.velocity, 10, "it is already on its way");
}

#[test]
fn a_client_that_stopped_reading_is_told_the_newest_of_bodies_and_of_no_more_than_the_limit() {
    let mut network = Network::new();
    whole(&mut network);
    (0..2_000).for_each(|n| network.fall(n % 4 - 2, 0, 3));
    for _ in 0..500 {
        network.move_bodies(99);
        network.check();
    }
    let followed_late = network.stream.held_bytes();
    assert!(followed_late <= TRANSPORT + BESIDE);
    network.move_bodies(5);
    network.settle();
    network.assert_equal();
    assert!(!network.client.bodies.is_empty());
    // Of those that fit the queue every move was one or the newest.
    (0..BODIES_FOLLOWED_MAX as i32 + 50).for_each(|n| {
        network.fall(n % 4 - 2, 0, 1);
        if n % 300 == 0 {
            network.settle();
        }
    });
    network.settle();
    assert_eq!(network.client.bodies.len(), BODIES_FOLLOWED_MAX);
}

#[test]
fn overlays_come_behind_everything_else_and_again_where_something_changed() {
    let mut network = Network::new();
    network.run(&Action::Overlays { mask: 1 });
    whole(&mut network);
    let first = network.client.kinds.iter().position(|kind| *kind == Kind::OverlayData).unwrap();
    let last = network.client.kinds.iter().rposition(|kind| *kind == Kind::Snapshot).unwrap();
    assert!(last < first, "chunks come first");
    network.assert_equal();
    network.client.kinds.clear();
    network.edit(at(0, 0, 0), 5, 1, 3);
    network.settle();
    network.assert_equal();
    assert_eq!(network.client.kinds, [Kind::Delta, Kind::Acknowledge, Kind::OverlayData]);
    network.run(&Action::Overlays { mask: 0 });
    network.edit(at(0, 0, 0), 5, 1, 4);
    network.settle();
    assert!(!network.client.kinds[3..].contains(&Kind::OverlayData));
}

#[test]
fn an_overlay_that_was_wanted_already_is_not_sent_again_and_one_may_change_by_itself() {
    let mut network = Network::new();
    let count = |network: &Network| network.client.kinds.iter().filter(|kind| **kind == Kind::OverlayData).count();
    network.run(&Action::Overlays { mask: 2 });
    whole(&mut network);
    let chunks = network.client.chunks.len();
    assert_eq!(count(&network), chunks);
    for (mask, sent) in [(3, 2 * chunks), (2, 2 * chunks), (3, 3 * chunks)] {
        network.run(&Action::Overlays { mask });
        network.settle();
        assert_eq!(count(&network), sent, "with {mask:b}");
        network.assert_equal();
    }
    network.stream.spoil_overlay(at(0, 0, 0), OverlayKind::Light);
    network.settle();
    assert_eq!(count(&network), 3 * chunks + 1);
}

#[test]
fn who_keeps_up_is_told_of_steps_and_who_does_not_of_everybody_once() {
    let mut network = Network::new();
    whole(&mut network);
    // Far enough from other columns for nobody to get there.
    network.run(&Action::Crowd { pos: (1, 1), agents: 3_000 });
    network.settle();
    let count = |network: &mut Network| {
        let kinds = std::mem::take(&mut network.client.kinds);
        [Kind::AgentMoves, Kind::Agents].map(|kind| kinds.iter().filter(|known| **known == kind).count())
    };
    count(&mut network);
    for seed in 0..5 {
        network.run(&Action::Walk { seed, skipped: false });
        network.settle();
        network.assert_equal();
    }
    assert_eq!(count(&mut network), [5, 0]);
    (5..30).for_each(|seed| network.run(&Action::Walk { seed, skipped: false }));
    network.settle();
    network.assert_equal();
    assert_eq!(count(&mut network), [0, 1]);
}

#[test]
fn agents_that_never_rest_starve_neither_snapshots_nor_each_other() {
    let mut network = Network::new();
    whole(&mut network);
    for pos in [(-1, 0), (0, -1), (0, 0), (-1, -1)] {
        network.run(&Action::Crowd { pos, agents: 3_000 });
    }
    network.subscribe(Shape::new_box([-2, -1, -2], [6, 1, 2]).unwrap());
    for seed in 0..300 {
        network.run(&Action::Walk { seed, skipped: false });
        // A link that carries less than they need.
        let unsent = network.stream.unsent_bytes();
        network.stream.flushed(unsent.min(8_000));
        network.send(1 << 20);
    }
    assert_eq!(network.client.caught_up.last(), Some(&2));
    let handles: BTreeSet<u32> = network.client.agents.keys().map(|part| part.handle).collect();
    assert_eq!(handles, network.crowds.agents.keys().copied().collect());
    network.settle();
    network.assert_equal();
}
