//! Undo on a served world, with a planner by script: who may, when it is planned, what a tick does of it, and what is told when.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use terrane_protocol::error::RefusedCode;
use terrane_protocol::message::{EditVoxel, Hello, SessionId};
use terrane_protocol::{
    ClientMessage, FrameReader, MAGIC, PROTOCOL_VERSION, ServerMessage, Towards, UndoProgress, UndoRefusal,
    UndoRequest, UndoState,
};
use terrane_roles::{ChunkServer, Commit, Input, Limits, Outbox, PeerId, Planned, UndoAnswer, UndoAsk};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::physics::RuleSet;
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{ActorId, CauseKind, ChunkSource, Deltas, Held, SourceError, Standing, World};
use terrane_world::undo::plan::Planner;
use terrane_world::undo::{Filter, Kinds, Request, Rule, changed_voxels};

/// Nothing anywhere; one chunk can't be read.
struct Nothing;

impl ChunkSource for Nothing {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        match pos.to_array() {
            [9, 9, 9] => Err(SourceError("a damaged slot".into())),
            _ => Ok(Held { chunk: Arc::new(Chunk::uniform(BlockId(0))), version: Version::GENERATED }),
        }
    }
}

#[derive(Default)]
struct Client {
    reader: Option<FrameReader>,
    progress: Vec<UndoProgress>,
    refusals: Vec<(u32, UndoRefusal, String)>,
    acknowledged: u64,
    refused: Option<RefusedCode>,
    plans: usize,
}

impl Client {
    fn take(&mut self, mut bytes: &[u8]) {
        let reader = self.reader.get_or_insert_with(|| FrameReader::new(Towards::Client));
        while let Some(frame) = reader.next(&mut bytes).unwrap() {
            match ServerMessage::decode(frame.kind, frame.payload).unwrap() {
                ServerMessage::UndoProgress(progress) => self.progress.push(progress),
                ServerMessage::UndoRefused(refused) => {
                    self.refusals.push((refused.request, refused.code, refused.text))
                }
                ServerMessage::UndoPlan(_) => self.plans += 1,
                ServerMessage::Acknowledge { sequence, .. } => self.acknowledged = sequence,
                ServerMessage::Refused(refused) => self.refused = Some(refused.code),
                _ => {}
            }
        }
    }

    fn states(&self, request: u32) -> Vec<UndoState> {
        self.progress.iter().filter(|progress| progress.request == request).map(|progress| progress.state).collect()
    }
}

/// What the journal would have, in order.
#[derive(Debug)]
enum Noted {
    Tick(Arc<Deltas>),
    Begins(Request),
    Ends(u64),
}

struct Bench {
    server: ChunkServer,
    clients: BTreeMap<u64, Client>,
    now: Duration,
    /// Not durable yet.
    waiting: Vec<Noted>,
    journal: Vec<Noted>,
    asks: Vec<UndoAsk>,
    names: Vec<(ActorId, String)>,
    sequences: BTreeMap<u64, u64>,
}

impl Bench {
    fn new(physics: RuleSet) -> Self {
        Self::with_limits(physics, Limits::default())
    }

    fn with_limits(physics: RuleSet, limits: Limits) -> Self {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        let registry = Arc::new(Registry::built_in());
        let world = World::new(pool, Box::new(Nothing), registry, Standing { epoch: 1, ..Standing::default() });
        let world = world.with_physics(physics).unwrap();
        let spawn = VoxelPos::new(0, 64, 0).unwrap();
        let server = ChunkServer::new(world, [7; 16], spawn, Duration::from_millis(50), limits);
        Self {
            server,
            clients: BTreeMap::new(),
            now: Duration::ZERO,
            waiting: Vec::new(),
            journal: Vec::new(),
            asks: Vec::new(),
            names: Vec::new(),
            sequences: BTreeMap::new(),
        }
    }

    fn step(&mut self, input: Input<'_>) {
        let mut out = Outbox::default();
        self.server.step(self.now, input, &mut out);
        while !out.send.is_empty() || !out.commit.is_empty() || !out.undos.is_empty() || !out.names.is_empty() {
            self.waiting.extend(out.commit.drain(..).map(|commit| match commit {
                Commit::Tick(deltas) => Noted::Tick(deltas),
                Commit::UndoBegins(request) => Noted::Begins(request),
                Commit::UndoEnds(undo) => Noted::Ends(undo),
            }));
            self.asks.append(&mut out.undos);
            self.names.append(&mut out.names);
            let mut next = Outbox::default();
            for (peer, bytes) in out.send.drain(..) {
                self.clients.get_mut(&peer.0).unwrap().take(&bytes);
                self.server.step(self.now, Input::Flushed { peer, bytes: bytes.len() }, &mut next);
            }
            out = next;
        }
    }

    /// What waits is durable now.
    fn commit(&mut self) {
        let noted = std::mem::take(&mut self.waiting);
        let tick = |noted: &Noted| match noted {
            Noted::Tick(deltas) => Some(deltas.tick),
            Noted::Begins(request) => Some(request.id),
            Noted::Ends(_) => None,
        };
        let last = noted.iter().filter_map(tick).max();
        let ends: Vec<u64> =
            noted.iter().filter_map(|noted| if let Noted::Ends(undo) = noted { Some(*undo) } else { None }).collect();
        self.journal.extend(noted);
        last.into_iter().for_each(|tick| self.step(Input::Committed { tick }));
        ends.into_iter().for_each(|undo| self.step(Input::UndoEnded { undo }));
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(50);
        self.step(Input::Tick);
    }

    fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick();
            self.commit();
        }
    }

    fn connect(&mut self, peer: u64, is_local: bool, name: &str) {
        self.clients.insert(peer, Client::default());
        self.step(Input::Opened { peer: PeerId(peer), fresh: SessionId([peer as u8; 16]), is_local });
        self.step(Input::Received { peer: PeerId(peer), bytes: &MAGIC });
        let (lowest, highest) = (PROTOCOL_VERSION, PROTOCOL_VERSION);
        self.say(peer, &ClientMessage::Hello(Hello { lowest, highest, resume: None, name: name.into() }));
    }

    fn say(&mut self, peer: u64, message: &ClientMessage) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.step(Input::Received { peer: PeerId(peer), bytes: &bytes });
    }

    /// Sets voxels of a row along x, at a height and a depth, in edits of 4,096.
    fn edit(&mut self, peer: u64, voxels: &[[i32; 3]], block: u16) {
        for part in voxels.chunks(4_096) {
            let sequence = self.sequences.entry(peer).or_insert(0);
            *sequence += 1;
            let voxels = part.iter().map(|pos| EditVoxel { pos: *pos, block: BlockId(block) }).collect();
            let message = ClientMessage::Edit { sequence: *sequence, voxels };
            self.say(peer, &message);
            self.ticks(1);
        }
    }

    fn ask(&mut self, peer: u64, request: u32) {
        let ask = UndoRequest {
            request,
            causes: 0,
            rule: Rule::Keep,
            since_ms: 0,
            undo: None,
            within: None,
            name: "Mallory".into(),
        };
        self.say(peer, &ClientMessage::Undo(ask));
    }

    fn act(&mut self, peer: u64, request: u32, ends: bool) {
        self.say(peer, &ClientMessage::UndoAct { request, ends });
    }

    fn actor(&self, name: &str) -> ActorId {
        self.names.iter().find(|(_, known)| known == name).unwrap().0
    }

    /// What was asked of the planner since this was last called.
    fn asked(&mut self) -> Vec<UndoAsk> {
        std::mem::take(&mut self.asks)
    }

    /// Plans as the planner would, from what is durable.
    fn plan(&mut self, ask: UndoAsk) -> UndoAnswer {
        let UndoAsk::Plan { peer, token, actor, ask, until } = ask else { panic!("{ask:?}") };
        let actors = Some([self.actor(&ask.name)].into());
        let filter = Filter { actors, within: None, since: 0, until, kinds: Kinds::all_but_undo(), undo: None };
        let request = Request { id: 0, actor, filter, rule: ask.rule, takes_back: None };
        let mut planner = Planner::new(&request, 1 << 20);
        for noted in &self.journal {
            let Noted::Tick(deltas) = noted else { continue };
            deltas.chunks.iter().for_each(|delta| planner.take(deltas.tick, delta).unwrap());
        }
        let plan = planner.finish();
        let frames = terrane_protocol::undo::ghost_frames(ask.request, until, &plan);
        UndoAnswer { peer, token, outcome: Ok(Planned { request, plan, frames }) }
    }

    /// Has what was asked planned, and hands the plan over.
    fn answer(&mut self) {
        let mut asked = self.asked();
        let answer = self.plan(asked.pop().expect("the planner is asked"));
        assert!(asked.is_empty(), "{asked:?}");
        self.step(Input::Undo(Box::new(answer)));
    }

    /// Voxels that the undo of a number put back in each tick of the journal.
    fn parts(&self, undo: u64) -> Vec<u64> {
        let voxels = self.journal.iter().map(|noted| match noted {
            Noted::Tick(deltas) => changed_voxels(deltas, undo),
            _ => 0,
        });
        voxels.filter(|voxels| *voxels > 0).collect()
    }

    fn begun(&self) -> Option<&Request> {
        self.journal.iter().find_map(|noted| if let Noted::Begins(request) = noted { Some(request) } else { None })
    }

    fn ended(&self) -> Vec<u64> {
        self.journal.iter().filter_map(|noted| if let Noted::Ends(undo) = noted { Some(*undo) } else { None }).collect()
    }
}

/// So many voxels from the origin on, in rows of 100.
fn block_of(count: i32) -> Vec<[i32; 3]> {
    (0..count).map(|index| [index % 100, 64, index / 100]).collect()
}

/// Mallory has set so many voxels, and Olga's request for taking that back is planned.
fn planned(count: i32) -> Bench {
    planned_on(Bench::new(RuleSet::Off), count)
}

fn planned_on(mut bench: Bench, count: i32) -> Bench {
    bench.connect(1, true, "Mallory");
    bench.connect(2, true, "Olga");
    bench.edit(1, &block_of(count), 5);
    bench.ask(2, 7);
    bench.ticks(2);
    bench.answer();
    bench
}

#[test]
fn an_undo_goes_in_bounded_parts_beside_everybody_and_is_told_when_it_is_durable() {
    let mut bench = planned(10_000);
    assert!(bench.begun().is_none(), "nothing happens before somebody says so");
    bench.act(2, 7, false);
    // What somebody has changed since stays, in a part that is to come and in the tick of the part itself.
    let sequence = bench.sequences[&1] + 1;
    let edit = |pos| EditVoxel { pos, block: BlockId(9) };
    let voxels = vec![edit([0, 64, 0]), edit([99, 64, 99])];
    bench.say(1, &ClientMessage::Edit { sequence, voxels });
    bench.tick();
    assert!(bench.clients[&2].progress.is_empty() && bench.clients[&1].acknowledged < sequence, "before the fsync");
    bench.commit();
    assert_eq!(bench.clients[&1].acknowledged, sequence, "an undo holds nobody up");
    bench.ticks(20);
    let request = bench.begun().unwrap().clone();
    assert_eq!((bench.parts(request.id).len(), bench.ended()), (3, vec![request.id]));
    assert_eq!(bench.parts(request.id), [4_095, 4_096, 1_807], "of 10,000 two stayed");
    // The number is a tick in which nothing else happened, and stands ahead of the parts.
    let is_tick = |noted: &Noted| matches!(noted, Noted::Tick(deltas) if deltas.tick == request.id);
    assert!(!bench.journal.iter().any(is_tick));
    let at = |of: &dyn Fn(&Noted) -> bool| bench.journal.iter().position(of).unwrap();
    let begins = at(&|noted| matches!(noted, Noted::Begins(_)));
    let first = at(
        &|noted| matches!(noted, Noted::Tick(deltas) if deltas.chunks.iter().any(|d| d.cause.kind == CauseKind::Undo)),
    );
    let ends = at(&|noted| matches!(noted, Noted::Ends(_)));
    assert!(begins < first && ends + 1 == bench.journal.len());
    let progress = bench.clients[&2].progress.last().unwrap();
    let told = (progress.state, progress.undo, progress.looked_at, progress.of, progress.stayed);
    assert_eq!(told, (UndoState::Done, request.id, 10_000, 10_000, 2));
    assert!(bench.clients[&1].progress.is_empty(), "nobody else is told");
    let names: Vec<&str> =
        bench.names.iter().filter(|(actor, _)| *actor == request.actor).map(|(_, name)| &name[..]).collect();
    assert_eq!(names, ["Olga"], "history says whose undo it was");
}

#[test]
fn progress_is_told_every_fourth_tick_and_once_at_the_end() {
    let mut bench = planned(60_000);
    bench.act(2, 7, false);
    bench.ticks(30);
    let states = bench.clients[&2].states(7);
    let going = states.iter().filter(|state| **state == UndoState::Going).count();
    assert!((2..=4).contains(&going), "{states:?}: fifteen parts");
    assert_eq!(states.iter().filter(|state| **state == UndoState::Done).count(), 1);
    let looked_at: Vec<u64> = bench.clients[&2].progress.iter().map(|progress| progress.looked_at).collect();
    assert!(looked_at.is_sorted() && looked_at.last() == Some(&60_000), "{looked_at:?}");
}

#[test]
fn the_end_is_told_when_the_journal_has_it_and_not_with_the_last_part() {
    let mut bench = planned(100);
    bench.act(2, 7, false);
    bench.tick();
    assert_eq!(bench.waiting.len(), 3, "begins, a part, ends: {:?}", bench.waiting);
    let Some(Noted::Ends(undo)) = bench.waiting.pop() else { panic!("the end comes last") };
    bench.commit();
    assert!(bench.clients[&2].progress.is_empty(), "the part is durable, that it was the last is not");
    bench.step(Input::UndoEnded { undo });
    bench.tick();
    assert_eq!(bench.clients[&2].states(7), [UndoState::Done]);
}

#[test]
fn an_undo_that_is_ended_stops_behind_a_part_and_stays_unfinished() {
    let mut bench = planned(20_000);
    bench.connect(3, true, "Hugo");
    bench.ask(3, 1);
    bench.ticks(2);
    bench.answer();
    bench.act(2, 7, false);
    bench.ticks(2);
    bench.act(2, 7, true);
    bench.ticks(5);
    assert_eq!(
        bench.clients[&3].refusals[0].1,
        UndoRefusal::Another,
        "what was planned before does not begin any more"
    );
    bench.act(3, 1, false);
    assert_eq!(bench.clients[&3].refusals[1].1, UndoRefusal::NoPlan);
    let undo = bench.begun().unwrap().id;
    assert_eq!((bench.parts(undo), bench.ended()), (vec![4_096, 4_096], vec![]));
    let last = bench.clients[&2].progress.last().unwrap();
    assert_eq!((last.state, last.looked_at, last.undo), (UndoState::Ended, 8_192, undo));
    // There is room for another one.
    bench.ask(2, 8);
    bench.ticks(2);
    assert!(matches!(bench.asked()[..], [UndoAsk::Plan { .. }]));
}

#[test]
fn an_undo_that_is_ended_before_it_begins_says_so_and_has_no_number() {
    let mut bench = planned(20_000);
    bench.act(2, 7, false);
    bench.act(2, 7, true);
    bench.ticks(3);
    assert!(bench.begun().is_none());
    let last = bench.clients[&2].progress.last().unwrap();
    assert_eq!((last.state, last.looked_at, last.undo), (UndoState::Ended, 0, 0));
}

#[test]
fn an_undo_goes_on_without_its_client_and_a_plan_does_not() {
    let mut bench = planned(20_000);
    bench.act(2, 7, false);
    bench.ticks(2);
    bench.step(Input::Closed { peer: PeerId(2) });
    bench.ticks(8);
    let undo = bench.begun().unwrap().id;
    assert_eq!((bench.parts(undo).iter().sum::<u64>(), bench.ended()), (20_000, vec![undo]));
    // One that was only planned, and one that is being planned.
    let mut bench = planned(100);
    bench.connect(3, true, "Hugo");
    bench.ask(3, 1);
    bench.ticks(2);
    assert!(matches!(bench.asked()[..], [UndoAsk::Plan { .. }]));
    bench.act(2, 7, false);
    bench.step(Input::Closed { peer: PeerId(2) });
    bench.step(Input::Closed { peer: PeerId(3) });
    bench.ticks(3);
    assert!(bench.begun().is_none());
    assert_eq!(bench.asked(), [UndoAsk::Forget { peer: PeerId(3) }]);
}

#[test]
fn strangers_may_not_and_there_is_one_undo_at_a_time() {
    let mut bench = planned(20_000);
    bench.connect(3, false, "Hugo");
    bench.ask(3, 1);
    bench.ticks(3);
    assert_eq!((bench.clients[&3].refusals[0].0, bench.clients[&3].refusals[0].1), (1, UndoRefusal::Stranger));
    bench.connect(4, true, "Ida");
    bench.ask(4, 1);
    bench.ticks(2);
    bench.answer();
    bench.act(2, 7, false);
    bench.ticks(1);
    // One that is planned, and one that is asked for.
    bench.act(4, 1, false);
    bench.ask(4, 2);
    let codes: Vec<(u32, UndoRefusal)> =
        bench.clients[&4].refusals.iter().map(|(request, code, _)| (*request, *code)).collect();
    assert_eq!(codes, [(1, UndoRefusal::Another), (2, UndoRefusal::Another)]);
    bench.ticks(10);
    assert!(bench.asked().is_empty() && bench.ended().len() == 1);
    bench.act(4, 1, false);
    assert_eq!(bench.clients[&4].refusals[2].1, UndoRefusal::NoPlan, "a request that has ended");
}

#[test]
fn a_newer_request_takes_the_place_of_the_one_before_and_late_plans_are_of_no_use() {
    let mut bench = planned(100);
    bench.ask(2, 8);
    bench.act(2, 7, false);
    bench.ticks(2);
    assert_eq!(bench.clients[&2].refusals[0].1, UndoRefusal::NoPlan, "the older one is gone");
    let late = bench.asked().pop().unwrap();
    let late = bench.plan(late);
    bench.ask(2, 9);
    bench.step(Input::Undo(Box::new(late)));
    bench.act(2, 9, false);
    bench.ticks(2);
    assert!(bench.begun().is_none(), "what is not planned does not begin");
    assert_eq!(bench.clients[&2].refusals.len(), 2);
    bench.ask(2, 10);
    bench.ask(2, 10);
    assert_eq!(bench.clients[&2].refused, Some(RefusedCode::OutOfBounds), "a number that is in use");
}

#[test]
fn it_is_waited_until_nothing_falls_before_an_undo_is_planned() {
    let mut bench = Bench::new(RuleSet::default());
    bench.connect(1, true, "Mallory");
    bench.connect(2, true, "Olga");
    // In the air, with nothing below it.
    bench.edit(1, &block_of(10), 1);
    bench.ask(2, 7);
    bench.ticks(5);
    assert!(bench.asked().is_empty(), "it falls");
    assert_eq!(bench.clients[&2].states(7), [UndoState::Waiting]);
    // It falls for long, out of the world or until it is enough.
    bench.ticks(700);
    assert_eq!(bench.asked().len(), 1);
}

#[test]
fn a_plan_that_nobody_can_make_is_refused_with_its_reason() {
    let mut bench = Bench::new(RuleSet::Off);
    bench.connect(2, true, "Olga");
    bench.ask(2, 7);
    bench.ticks(2);
    let Some(UndoAsk::Plan { peer, token, .. }) = bench.asked().pop() else { panic!("the planner is asked") };
    let outcome = Err((UndoRefusal::Nobody, "nobody called Mallory is in history".to_owned()));
    bench.step(Input::Undo(Box::new(UndoAnswer { peer, token, outcome })));
    bench.ticks(1);
    assert_eq!((bench.clients[&2].refusals[0].0, bench.clients[&2].refusals[0].1), (7, UndoRefusal::Nobody));
    bench.act(2, 7, false);
    assert_eq!(bench.clients[&2].refusals[1].1, UndoRefusal::NoPlan);
}

#[test]
fn a_slow_journal_holds_an_undo_up() {
    let limits = Limits { uncommitted_ticks: 4, ..Limits::default() };
    let mut bench = planned_on(Bench::with_limits(RuleSet::Off, limits), 60_000);
    bench.act(2, 7, false);
    (0..20).for_each(|_| bench.tick());
    let parts = bench.waiting.iter().filter(|noted| matches!(noted, Noted::Tick(_))).count();
    assert_eq!(parts, 4, "no more wait than may");
    bench.commit();
    bench.ticks(15);
    let undo = bench.begun().unwrap().id;
    assert_eq!((bench.parts(undo).len(), bench.ended()), (15, vec![undo]));
}
