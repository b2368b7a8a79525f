//! The journal as history: packed, named, read from any tick on, and with undos that a crash has cut off.
#![allow(clippy::unwrap_used)]

mod common;

use common::{create, edit, pool, settings, world};
use std::collections::BTreeSet;
use std::sync::Arc;
use terrane_store::door::{Dir, Open};
use terrane_store::double::{Keep, MemoryDir};
use terrane_store::journal::{Journal, Place, Record, SEGMENT_HEAD, segment_name};
use terrane_store::{Access, Load, Moment, Store, StoreError};
use terrane_world::block::BlockId;
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{ActorId, CauseKind, Deltas};
use terrane_world::undo::{Filter, Kinds, Request, Rule};

fn open(dir: &MemoryDir) -> Arc<Store> {
    Arc::new(Store::open(Arc::new(dir.clone()), Access::Write).unwrap())
}

fn void() -> MemoryDir {
    let dir = MemoryDir::new();
    create(&dir, "void").unwrap();
    dir
}

fn block(store: &Store, at: [i32; 3]) -> u16 {
    let pos = VoxelPos::try_from(at).unwrap();
    store.chunk(pos.chunk()).unwrap().map_or(0, |held| held.chunk.get(pos.local()).0)
}

/// Every record of the history from a tick on.
fn records(store: &Store, tick: u64) -> Vec<Record> {
    let mut records = Vec::new();
    let mut visit = |record: &Record| {
        records.push(record.clone());
        Ok::<(), StoreError>(())
    };
    store.history().unwrap().read(tick, &mut visit).unwrap();
    records
}

fn names(records: &[Record]) -> Vec<(u64, &str)> {
    let name = |record| match record {
        &Record::Name { actor, ref name } => Some((actor.0, name.as_str())),
        _ => None,
    };
    records.iter().filter_map(name).collect()
}

fn request(id: u64, takes_back: Option<u64>) -> Request {
    let kinds = Kinds::all_but_undo();
    let filter = Filter { actors: Some([ActorId(4)].into()), within: None, since: 1, until: id, kinds, undo: None };
    Request { id, actor: ActorId(1), filter, rule: Rule::Keep, takes_back }
}

/// The bytes of a tick of a thousand voxels in some chunks.
fn large_tick(store: &Arc<Store>) -> Deltas {
    let voxels: Vec<_> = (0..1_000).map(|n| ([n % 40 * 2, n / 400, n / 40 % 10 * 3], 9, None)).collect();
    let mut world = world(store, &pool());
    world.step(1, &[edit(1, 1, &voxels)]).unwrap()
}

#[test]
fn journals_from_before_deltas_were_packed_are_still_replayed_and_are_history() {
    let dir = void();
    let deltas = large_tick(&open(&dir));
    let place = Place { segment: 1, offset: SEGMENT_HEAD, frame: 1 };
    let mut journal = Journal::resume(Arc::new(dir.clone()), settings("void").id, place).unwrap();
    let old = |delta: &terrane_world::step::ChunkDelta| Record::Delta {
        tick: 1,
        time_ms: 5,
        column_sequence: 1,
        delta: delta.clone(),
    };
    let mut all: Vec<Record> = deltas.chunks.iter().map(old).collect();
    all.push(Record::Tick { tick: 1, time_ms: 5, digest: deltas.digest, actors: deltas.actors.clone() });
    journal.append(&all).unwrap();
    journal.to_sync().0.sync().unwrap();
    let raw = journal.place().offset;
    drop(journal);
    let store = open(&dir);
    assert_eq!((block(&store, [78, 2, 12]), store.standing().tick, store.standing().digest), (9, 1, deltas.digest));
    let told: Vec<_> = records(&store, 0).iter().filter_map(|record| record.deltas().map(|d| d.2.to_vec())).collect();
    assert_eq!(told.concat(), deltas.chunks);
    drop(store);

    let packed = void();
    let store = open(&packed);
    store.commit(&deltas, 5).unwrap();
    store.sync().unwrap();
    let told: Vec<_> = records(&store, 0).iter().filter_map(|record| record.deltas().map(|d| d.2.to_vec())).collect();
    assert_eq!(told.concat(), deltas.chunks);
    let bytes = packed.open(&segment_name(1), Open::Read).unwrap().len().unwrap();
    assert!(bytes * 4 < raw, "{bytes} packed, {raw} raw");
}

#[test]
fn whoever_acts_is_named_once_in_a_segment_and_known_after_a_checkpoint_and_a_crash() {
    let dir = void();
    let store = open(&dir);
    let step = |store: &Arc<Store>, tick: u64, actor: u64| {
        let deltas =
            world(store, &pool()).step(tick, &[edit(actor, tick, &[([32 * tick as i32, 0, 0], 9, None)])]).unwrap();
        store.commit(&deltas, tick * 10).unwrap();
        store.sync().unwrap();
    };
    store.introduce(ActorId(7), "Ann");
    store.introduce(ActorId(8), "never seen");
    step(&store, 1, 7);
    step(&store, 2, 9);
    step(&store, 3, 7);
    assert_eq!(names(&records(&store, 0)), [(7, "Ann")]);
    store.introduce(ActorId(7), "Anna");
    step(&store, 4, 7);
    assert_eq!(names(&records(&store, 0)), [(7, "Ann"), (7, "Anna")]);
    store.checkpoint().unwrap();
    assert_eq!(names(&records(&store, 0)), [(7, "Ann"), (7, "Anna"), (7, "Anna")], "where the world stands");
    drop(store);
    // Another process knows who 7 is, and says so with the first change.
    let store = open(&dir);
    step(&store, 5, 7);
    assert_eq!(names(&records(&store, 0))[3..], [(7, "Anna")]);
    drop(store);
    let report = terrane_store::check(Arc::new(dir), false, &|_, _| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[test]
fn an_undo_that_has_begun_is_remembered_through_crashes_and_checkpoints_until_it_ends() {
    let dir = void();
    let mut dir = dir.image(|_| Keep::All);
    let numbers = |store: &Store| store.unfinished_undos().iter().map(|request| request.id).collect::<Vec<_>>();
    let store = open(&dir);
    store.begin_undo(&request(1, None)).unwrap();
    store.sync().unwrap();
    assert_eq!(numbers(&store), [1]);
    drop(store);
    dir = dir.image(|_| Keep::Nothing);
    let store = open(&dir);
    assert_eq!(store.unfinished_undos(), [request(1, None)]);
    assert_eq!(store.standing().tick, 1, "the tick is taken");
    store.checkpoint().unwrap();
    let reader = Store::open(Arc::new(dir.clone()), Access::Read).unwrap();
    assert_eq!(numbers(&reader), [1], "readers see it too");
    drop(store);
    let store = open(&dir);
    assert_eq!(numbers(&store), [1]);
    store.begin_undo(&request(2, Some(1))).unwrap();
    store.begin_undo(&request(3, None)).unwrap();
    store.checkpoint().unwrap();
    store.end_undo(2).unwrap();
    store.sync().unwrap();
    assert_eq!(numbers(&store), [3], "what takes an undo back ends both");
    drop(store);
    let store = open(&dir);
    assert_eq!((numbers(&store), store.standing().tick), (vec![3], 3));
    store.end_undo(3).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    assert!(open(&dir).unfinished_undos().is_empty());
    let report = terrane_store::check(Arc::new(dir), false, &|_, _| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[test]
fn history_knows_when_it_begins_finds_times_and_tells_of_loads() {
    let dir = void();
    let store = open(&dir);
    assert_eq!(store.history().unwrap().begins(), None);
    let mut world = world(&store, &pool());
    for tick in 2..6 {
        let deltas = world.step(tick, &[edit(1, tick, &[([0, 0, tick as i32], 9, None)])]).unwrap();
        store.commit(&deltas, tick * 10).unwrap();
    }
    store.load(vec![(ChunkPos::new(5, 0, 0).unwrap(), Chunk::uniform(BlockId(3)))], Load::OnlyNew, 77).unwrap();
    store.sync().unwrap();
    let history = store.history().unwrap();
    assert!(history.is_whole() && history.segment_count() == 1 && history.bytes() > SEGMENT_HEAD);
    assert_eq!(history.begins(), Some(Moment { tick: 2, time_ms: 20 }));
    let found: Vec<_> = [0, 20, 21, 50, 51].iter().map(|time| history.tick_at(*time).unwrap()).collect();
    assert_eq!(found, [Some(2), Some(2), Some(3), Some(5), None]);
    let all = records(&store, 0);
    let ticks: BTreeSet<u64> = all.iter().filter_map(|record| record.deltas().map(|(tick, ..)| tick)).collect();
    assert_eq!(ticks, (2..6).collect());
    let kinds = |record: &Record| record.deltas().is_some_and(|(_, _, d)| d[0].cause.kind == CauseKind::Edit);
    assert_eq!(all.iter().filter(|record| kinds(record)).count(), 4);
    assert!(all.iter().any(|record| matches!(record, Record::Replaced { pos, .. } if pos.x() == 5)));
    // A visitor that has seen enough.
    let mut seen = 0;
    let mut visit = |_: &Record| {
        seen += 1;
        if seen == 3 { Err(StoreError::OpenedForReading) } else { Ok(()) }
    };
    assert!(matches!(history.read(0, &mut visit), Err(StoreError::OpenedForReading)));
    assert_eq!(seen, 3);
}
