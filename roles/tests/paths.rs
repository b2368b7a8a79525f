//! A path server on one thread: what is answered in which order, what is stale when, and what is let go.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use terrane_protocol::limits::OUTPUT_PATHS_BYTES_MAX;
use terrane_protocol::{
    FieldChunk, FieldRequest, FrameReader, PathRefusal, PathRequest, ServerMessage, Towards, Wanted,
};
use terrane_roles::{PathAnswer, PathInput, PathLimits, PathServer, PeerId};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::path::flow;
use terrane_world::path::mode::Modes;
use terrane_world::path::search::End;
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{ActorId, ChunkSource, Deltas, Held, Input, SourceError, Standing, VoxelEdit, World};

/// Stone below y = 0, nothing above, and nothing at all while it is broken.
#[derive(Clone)]
struct Plain {
    stone: BlockId,
    broken: Arc<AtomicBool>,
}

impl ChunkSource for Plain {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(SourceError("a damaged slot".into()));
        }
        let block = if pos.y() < 0 { self.stone } else { BlockId(0) };
        Ok(Held { chunk: Arc::new(Chunk::uniform(block)), version: Version::GENERATED })
    }
}

/// A path server, the world that it follows, and what it has said.
struct Bench {
    server: PathServer,
    world: World,
    source: Plain,
    tick: u64,
    said: BTreeMap<u64, Vec<ServerMessage>>,
    ended: Vec<(u64, u32)>,
    readers: BTreeMap<u64, FrameReader>,
    /// Clients that don't read.
    stalled: bool,
    stalled_bytes: BTreeMap<u64, usize>,
}

impl Bench {
    fn new(limits: PathLimits) -> Self {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        let registry = Arc::new(Registry::built_in());
        let source = Plain { stone: registry.id("stone").unwrap(), broken: Arc::default() };
        let standing = Standing { epoch: 1, ..Standing::default() };
        let world = World::new(Arc::clone(&pool), Box::new(source.clone()), Arc::clone(&registry), standing);
        let server = PathServer::new(Modes::built_in(), registry, pool, Arc::new(source.clone()), 0, limits);
        Self {
            server,
            world,
            source,
            tick: 0,
            said: BTreeMap::new(),
            ended: Vec::new(),
            readers: BTreeMap::new(),
            stalled: false,
            stalled_bytes: BTreeMap::new(),
        }
    }

    fn way(&mut self, peer: u64, request: u32, from: [i32; 3], to: [i32; 3]) {
        let ask = PathRequest { request, wanted: Wanted::Way, around: 8, mode: "ground".into(), from, to };
        self.server.hear(PathInput::Way { peer: PeerId(peer), ask });
    }

    fn field(&mut self, peer: u64, request: u32, mode: &str, end: [i32; 3]) {
        let ask = FieldRequest { request, mode: mode.into(), goals: vec![[1, 0, 1]], first: [0; 3], end };
        self.server.hear(PathInput::Field { peer: PeerId(peer), ask });
    }

    /// Hands on what there is, and has it read unless clients stall.
    fn deliver(&mut self) {
        let mut answers = Vec::new();
        self.server.take_answers(&mut answers);
        for PathAnswer { peer, frame, ends } in answers {
            self.ended.extend(ends.map(|request| (peer.0, request)));
            let reader = self.readers.entry(peer.0).or_insert_with(|| {
                let mut reader = FrameReader::new(Towards::Client);
                assert_eq!(reader.next(&mut &terrane_protocol::MAGIC[..]), Ok(None));
                reader
            });
            let mut rest = &frame[..];
            let message = reader.next(&mut rest).unwrap().unwrap();
            let message = ServerMessage::decode(message.kind, message.payload).unwrap();
            self.said.entry(peer.0).or_default().push(message);
            match self.stalled {
                true => *self.stalled_bytes.entry(peer.0).or_default() += frame.len(),
                false => self.server.hear(PathInput::Sent { peer, bytes: frame.len() }),
            }
        }
    }

    /// Works until there is nothing to do.
    fn settle(&mut self) {
        self.deliver();
        while self.server.has_work() {
            self.server.work();
            self.deliver();
        }
    }

    fn edit(&mut self, at: [i32; 3], block: &str) -> Deltas {
        self.tick += 1;
        let block = self.world.registry().id(block).unwrap();
        let edit = VoxelEdit { pos: VoxelPos::try_from(at).unwrap(), block, sparse: None };
        let input = Input::Edit { actor: ActorId(1), sequence: self.tick, voxels: vec![edit] };
        self.world.step(self.tick, &[input]).unwrap()
    }

    fn change(&mut self, at: [i32; 3], block: &str) {
        let deltas = self.edit(at, block);
        self.server.changed(&deltas);
    }

    fn take(&mut self, peer: u64) -> Vec<ServerMessage> {
        self.said.remove(&peer).unwrap_or_default()
    }
}

fn refusals(said: &[ServerMessage]) -> Vec<(u32, PathRefusal)> {
    let refused = |message: &ServerMessage| match message {
        ServerMessage::PathRefused(refused) => Some((refused.request, refused.code)),
        _ => None,
    };
    said.iter().filter_map(refused).collect()
}

fn chunks(said: &[ServerMessage]) -> BTreeMap<ChunkPos, FieldChunk> {
    let chunk = |message: &ServerMessage| match message {
        ServerMessage::FieldChunk(chunk) => Some((chunk.pos, chunk.clone())),
        _ => None,
    };
    said.iter().filter_map(chunk).collect()
}

/// Whether the field was current, and since which tick, each time that was told.
fn states(said: &[ServerMessage]) -> Vec<(bool, u64)> {
    let state = |message: &ServerMessage| match message {
        ServerMessage::FieldState(state) => Some((state.current, state.tick)),
        _ => None,
    };
    said.iter().filter_map(state).collect()
}

#[test]
fn questions_are_answered_in_order_of_arrival_and_only_while_somebody_waits() {
    let mut bench = Bench::new(PathLimits::default());
    bench.way(1, 5, [0, 0, 0], [9, 0, 0]);
    bench.way(2, 5, [0, 0, 0], [9, 0, 0]);
    bench.way(1, 6, [0, 0, 0], [9, 0, 9]);
    bench.way(3, 1, [0, 0, 0], [9, 0, 9]);
    bench.way(1, 7, [0, -1, 0], [9, 0, 9]);
    bench.way(1, 8, [0, 0, 0], [9, -1, 9]);
    bench.way(1, 9, [0, 0, 0], [9, 0, 9]);
    bench.server.hear(PathInput::Cancel { peer: PeerId(1), request: 9 });
    bench.server.hear(PathInput::Cancel { peer: PeerId(2), request: 9 });
    bench.server.hear(PathInput::Closed { peer: PeerId(3) });
    bench.settle();
    assert_eq!(bench.ended, [(1, 9), (1, 5), (2, 5), (1, 6), (1, 7), (1, 8)]);
    let said = bench.take(1);
    let codes = [(9, PathRefusal::Cancelled), (7, PathRefusal::StartBlocked), (8, PathRefusal::GoalBlocked)];
    assert_eq!(refusals(&said), codes);
    let ServerMessage::PathAnswer(way) = &said[1] else { panic!("{said:?}") };
    assert_eq!((way.end, way.cost, way.waypoints.len(), way.tick), (End::Goal, 18, 2, 0));
    assert!(!bench.said.contains_key(&3) && !bench.server.has_work());
}

#[test]
fn a_field_is_told_whole_then_stale_then_only_where_it_differs() {
    let mut bench = Bench::new(PathLimits::default());
    bench.field(1, 3, "ground", [64, 32, 64]);
    bench.settle();
    let said = bench.take(1);
    let first = chunks(&said);
    assert_eq!((first.len(), states(&said)), (4, vec![(true, 0)]));
    assert!(matches!(said.last(), Some(ServerMessage::FieldState(_))), "when everything is there");
    let home = &first[&ChunkPos::new(0, 0, 0).unwrap()];
    assert_eq!((home.moves[33], home.costs.iter().min()), (flow::GOAL, Some(&2)));
    // Far away, and above what a body can see.
    bench.change([500, 0, 0], "stone");
    bench.change([40, 31, 40], "stone");
    bench.deliver();
    assert_eq!(states(&bench.take(1)), [(false, 2)], "what is far away makes nothing stale");
    bench.settle();
    let said = bench.take(1);
    assert_eq!((chunks(&said).len(), states(&said)), (0, vec![(true, 2)]), "nothing had changed but the block");
    bench.change([63, 0, 63], "stone");
    bench.change([62, 0, 63], "stone");
    bench.settle();
    let said = bench.take(1);
    assert_eq!(states(&said), [(false, 3), (true, 4)], "stale is said once");
    let changed = chunks(&said);
    assert_eq!(changed.keys().map(|pos| pos.to_array()).collect::<Vec<_>>(), [[1, 0, 1]]);
    bench.field(2, 1, "ground", [64, 32, 64]);
    bench.settle();
    let mut held = first;
    held.extend(changed);
    let anew = chunks(&bench.take(2));
    for (pos, chunk) in &anew {
        assert!(chunk.moves == held[pos].moves && chunk.costs == held[pos].costs, "{pos}");
    }
    bench.server.hear(PathInput::Cancel { peer: PeerId(1), request: 3 });
    bench.server.hear(PathInput::Closed { peer: PeerId(2) });
    bench.change([5, 0, 5], "stone");
    bench.settle();
    assert_eq!(refusals(&bench.take(1)), [(3, PathRefusal::Cancelled)], "and nothing is told of it any more");
    assert!(bench.take(2).is_empty() && bench.server.field_bytes() == bench.server.kept_field_bytes());
}

#[test]
fn what_changes_while_a_field_is_told_is_in_what_is_told_later() {
    let mut bench = Bench::new(PathLimits::default());
    bench.field(1, 3, "fly", [128, 64, 128]);
    bench.stalled = true;
    bench.settle();
    let held = bench.stalled_bytes[&1];
    assert!(held <= OUTPUT_PATHS_BYTES_MAX, "{held} bytes wait for a client that does not read");
    let before = chunks(&bench.take(1)).len();
    assert!((1..32).contains(&before), "{before} of 32 chunks");
    bench.change([100, 40, 100], "stone");
    bench.settle();
    assert!(bench.take(1).is_empty(), "there is no room for anything");
    bench.stalled = false;
    bench.server.hear(PathInput::Sent { peer: PeerId(1), bytes: held });
    bench.settle();
    let said = bench.take(1);
    assert_eq!(states(&said), [(true, 1)]);
    let last = &chunks(&said)[&ChunkPos::new(3, 1, 3).unwrap()];
    let local = VoxelPos::new(100, 40, 100).unwrap().local();
    assert_eq!((last.moves[local.index()], last.tick), (flow::BLOCKED, 1));
}

#[test]
fn what_can_not_be_read_is_said_and_the_next_question_is_answered() {
    let mut bench = Bench::new(PathLimits::default());
    bench.field(1, 1, "ground", [8, 8, 8]);
    bench.settle();
    bench.take(1);
    bench.source.broken.store(true, Ordering::Relaxed);
    bench.way(2, 2, [500, 0, 0], [509, 0, 0]);
    bench.field(2, 3, "ground", [300, 8, 8]);
    bench.settle();
    let said = bench.take(2);
    assert_eq!(refusals(&said), [(2, PathRefusal::Unreadable), (3, PathRefusal::Unreadable)]);
    let ServerMessage::PathRefused(refused) = &said[0] else { panic!("{said:?}") };
    assert!(refused.text.contains("a damaged slot"), "{}", refused.text);
    // Nobody can say any more what the field of the first client is.
    bench.server.lost(9);
    bench.settle();
    let said = bench.take(1);
    assert_eq!((states(&said), refusals(&said)), (vec![(false, 9)], vec![(1, PathRefusal::Unreadable)]));
    bench.source.broken.store(false, Ordering::Relaxed);
    bench.way(2, 2, [500, 0, 0], [509, 0, 0]);
    bench.field(2, 3, "ground", [40, 8, 8]);
    bench.settle();
    let said = bench.take(2);
    assert!(refusals(&said).is_empty() && states(&said) == [(true, 9)], "{}", said.len());
}

#[test]
fn fields_beyond_the_room_for_them_are_refused_until_others_are_gone() {
    let mut bench = Bench::new(PathLimits { field_bytes: 3 << 20, ..PathLimits::default() });
    bench.field(1, 1, "fly", [64, 64, 64]);
    bench.field(1, 2, "fly", [64, 64, 128]);
    bench.field(2, 1, "fly", [64, 64, 64]);
    bench.field(2, 2, "fly", [64, 32, 64]);
    bench.settle();
    assert_eq!(refusals(&bench.take(1)), [(2, PathRefusal::NoRoom)]);
    let held = bench.server.field_bytes();
    assert!(held < 3 << 20, "{held}");
    bench.server.hear(PathInput::Closed { peer: PeerId(1) });
    bench.server.hear(PathInput::Closed { peer: PeerId(2) });
    bench.field(3, 1, "fly", [64, 64, 64]);
    bench.settle();
    assert_eq!(states(&bench.take(3)), [(true, 0)]);
}

#[test]
fn after_ticks_that_were_lost_a_field_is_looked_at_as_a_whole() {
    let mut bench = Bench::new(PathLimits { resident_bytes: 0, ..PathLimits::default() });
    bench.field(1, 1, "ground", [64, 32, 32]);
    bench.settle();
    bench.take(1);
    bench.server.lost(5);
    bench.settle();
    let said = bench.take(1);
    assert_eq!((states(&said), chunks(&said).len()), (vec![(false, 5), (true, 5)], 0), "and nothing had changed");
}

#[test]
fn a_field_that_is_followed_through_many_edits_is_always_what_a_new_one_is() {
    for mode in ["ground", "fly", "tunnel"] {
        let mut bench = Bench::new(PathLimits::default());
        bench.field(1, 1, mode, [64, 20, 40]);
        bench.settle();
        let mut held = chunks(&bench.take(1));
        let mut random = 7u64;
        for round in 0..30 {
            let mut next = |below: i32| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) as i32 % below
            };
            // Around the borders between chunks, and of the box, most of all.
            let at = [[0, 30, 31, 32, 63, 64][next(6) as usize], next(5) - 2, [0, 1, 31, 32, 39, 40][next(6) as usize]];
            let (column, block) = (next(3), ["stone", "air", "water", "ladder", "mud"][next(5) as usize]);
            (0..=column).for_each(|y| bench.change([at[0], at[1] + y, at[2]], block));
            bench.settle();
            let said = bench.take(1);
            assert!(states(&said).last().is_none_or(|(current, _)| *current), "{mode}, round {round}");
            held.extend(chunks(&said));
            bench.field(2, round, mode, [64, 20, 40]);
            bench.settle();
            let anew = chunks(&bench.take(2));
            assert!(held.keys().eq(anew.keys()) && refusals(&said).is_empty(), "{mode}, round {round}");
            for (pos, chunk) in &anew {
                let same = chunk.moves == held[pos].moves && chunk.costs == held[pos].costs;
                assert!(same, "{mode}, round {round}, {block} at {at:?}: chunk {pos}");
            }
            bench.server.hear(PathInput::Cancel { peer: PeerId(2), request: round });
        }
    }
}

#[test]
fn a_field_that_was_let_go_is_kept_follows_the_world_and_is_what_a_new_one_would_be() {
    let mut bench = Bench::new(PathLimits::default());
    let end = [40, 8, 40];
    bench.field(1, 1, "ground", end);
    bench.settle();
    bench.server.hear(PathInput::Cancel { peer: PeerId(1), request: 1 });
    assert!(bench.server.kept_field_bytes() > 0);
    for x in 0..30 {
        bench.change([x, 0, 4], "stone");
        bench.change([x, 1, 4], "stone");
    }
    bench.field(2, 1, "ground", end);
    bench.settle();
    assert_eq!(bench.server.kept_field_bytes(), 0, "it is followed again");
    let kept = chunks(&bench.said[&2]);
    let mut fresh = Bench::new(PathLimits::default());
    // The source does not know of edits: the chunks have to be in memory when they change.
    fresh.field(3, 1, "fly", end);
    fresh.settle();
    for x in 0..30 {
        fresh.change([x, 0, 4], "stone");
        fresh.change([x, 1, 4], "stone");
    }
    fresh.field(2, 1, "ground", end);
    fresh.settle();
    let new = chunks(&fresh.said[&2]);
    let told = |chunks: &BTreeMap<ChunkPos, FieldChunk>| {
        chunks.iter().map(|(pos, chunk)| (*pos, chunk.moves.clone(), chunk.costs.clone())).collect::<Vec<_>>()
    };
    assert!(told(&kept) == told(&new) && !new.is_empty());
}

#[test]
fn fields_are_kept_as_far_as_there_is_room_and_make_room_for_those_that_are_asked_for() {
    let limits = PathLimits { kept_field_bytes: 1, ..PathLimits::default() };
    let mut bench = Bench::new(limits);
    bench.field(1, 1, "ground", [40, 8, 40]);
    bench.settle();
    bench.server.hear(PathInput::Closed { peer: PeerId(1) });
    assert_eq!(bench.server.kept_field_bytes(), 0, "there is no room for it");
    let mut bench = Bench::new(PathLimits::default());
    for (request, width) in (1..).zip([40, 41, 42]) {
        bench.field(1, request, "ground", [width, 8, 40]);
    }
    bench.settle();
    bench.server.hear(PathInput::Closed { peer: PeerId(1) });
    let three = bench.server.kept_field_bytes();
    bench.field(2, 1, "ground", [41, 8, 40]);
    bench.settle();
    assert!(
        bench.server.kept_field_bytes() < three && bench.server.field_bytes() == three,
        "the one asked for is used"
    );
    // A goal that nobody can reach any more is refused, as it would be without what is kept.
    bench.server.hear(PathInput::Cancel { peer: PeerId(2), request: 1 });
    bench.change([1, 0, 1], "stone");
    bench.field(2, 2, "ground", [41, 8, 40]);
    bench.settle();
    assert!(refusals(&bench.said[&2]).contains(&(2, PathRefusal::GoalBlocked)));
}
