//! History has limits: what lies beyond is cut at checkpoints, from its beginning on. A crash at any moment of it, or a
//! damaged mark, costs nothing else.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::{Content, content, edit, pool, settings, world};
use std::sync::Arc;
use terrane_store::door::Dir;
use terrane_store::double::{Failure, Keep, MemoryDir};
use terrane_store::journal::{Place, Record, SEGMENT_HEAD, Scan, Scanned};
use terrane_store::settings::HistoryLimits;
use terrane_store::{Access, Repair, Settings, Store, StoreError, check, journal, mark};
use terrane_world::block::Registry;
use terrane_world::step::ActorId;
use terrane_world::undo::{Filter, Kinds, Request, Rule};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn new_world(dir: &dyn Dir, history: HistoryLimits) -> Result<(), StoreError> {
    Store::create(dir, &Settings { history, ..settings("void") }, &Registry::built_in())
}

/// Data that nothing makes smaller.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..30_000).map(|_| next()).collect()
}

/// What a run has done: the content after each tick, and how many ticks were acknowledged.
#[derive(Default)]
struct Done {
    states: Vec<Content>,
    acknowledged: usize,
}

/// So many ticks of 60 kB, a day each, with a checkpoint after every third; on from where the world stands.
fn grow(dir: &Arc<dyn Dir>, ticks: u64, done: &mut Done) -> Result<(), StoreError> {
    let store = Arc::new(Store::open(Arc::clone(dir), Access::Write)?);
    let mut world = world(&store, &pool());
    if done.states.is_empty() {
        done.states.push(content(&store, world.standing())?);
    }
    for _ in 0..ticks {
        let tick = world.standing().tick + 1;
        let sequence = world.actor_sequence(ActorId(1)) + 1;
        // The same voxels again and again, so that it is the journal that grows.
        let deltas = world.step(tick, &[edit(1, sequence, &[([0, 0, 0], 4, Some(&noise(tick)))])]).unwrap();
        store.commit(&deltas, tick * DAY_MS)?;
        let mut now = done.states[done.states.len() - 1].clone();
        let registry = store.registry();
        for (pos, held) in &deltas.after {
            let hash = terrane_world::digest::chunk_hash(&registry, *pos, &held.chunk, None);
            now.chunks.insert(*pos, (hash, held.version));
        }
        now.digest = deltas.digest;
        now.actors.insert(1, sequence);
        done.states.push(now);
        store.sync()?;
        done.acknowledged = done.states.len() - 1;
        if tick.is_multiple_of(3) {
            store.checkpoint()?;
        }
    }
    Ok(())
}

fn segments(dir: &MemoryDir) -> Vec<u32> {
    journal::segments(dir).unwrap()
}

fn open(dir: &MemoryDir) -> Store {
    Store::open(Arc::new(dir.clone()), Access::Write).unwrap()
}

fn whole(dir: &MemoryDir) {
    let report = check(Arc::new(dir.clone()), false, &|_, _| ()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

/// A world that has grown for so many days.
fn grown(limits: HistoryLimits, ticks: u64) -> (MemoryDir, Content) {
    let memory = MemoryDir::new();
    new_world(&memory, limits).unwrap();
    let mut done = Done::default();
    grow(&(Arc::new(memory.clone()) as Arc<dyn Dir>), ticks, &mut done).unwrap();
    (memory, done.states.pop().unwrap())
}

#[test]
fn history_stays_within_its_bytes_and_days_and_knows_where_it_begins() {
    let (unlimited, _) = grown(HistoryLimits::NONE, 60);
    let store = open(&unlimited);
    let history = store.history().unwrap();
    assert!(history.is_whole() && history.begins().unwrap().tick == 1 && history.bytes() > 1_700_000);
    drop(store);

    let (by_bytes, content_now) = grown(HistoryLimits { bytes: 400_000, days: 0 }, 60);
    let store = open(&by_bytes);
    assert_eq!(content(&store, store.standing()).unwrap().chunks, content_now.chunks);
    let history = store.history().unwrap();
    // Up to three ticks and a segment beyond it, as it is only looked at in checkpoints.
    assert!((300_000..600_000).contains(&history.bytes()), "{}", history.bytes());
    let begins = history.begins().unwrap();
    assert!(!history.is_whole() && (40..60).contains(&begins.tick), "{begins:?}");
    assert_eq!(begins.time_ms, begins.tick * DAY_MS);
    assert!(segments(&by_bytes)[0] > 1);
    drop(store);
    whole(&by_bytes);

    let (by_days, _) = grown(HistoryLimits { bytes: 0, days: 1_000 }, 30);
    assert_eq!(segments(&by_days), [1], "as long as nothing is older, nothing goes");
}

#[test]
fn what_is_older_than_its_days_goes_though_it_is_small() {
    // Small segments come with a limit of bytes, and this one is never reached.
    let (dir, _) = grown(HistoryLimits { bytes: 16 * (64 << 10), days: 9 }, 30);
    let store = open(&dir);
    let history = store.history().unwrap();
    let begins = history.begins().unwrap();
    assert!(!history.is_whole() && (12..22).contains(&begins.tick), "{begins:?}");
    assert!(history.bytes() < 900_000);
    drop(store);
    whole(&dir);
}

#[test]
fn an_unfinished_undo_keeps_its_history() {
    let (dir, _) = grown(HistoryLimits { bytes: 400_000, days: 0 }, 30);
    let store = open(&dir);
    let id = store.standing().tick + 1;
    let kinds = Kinds::all_but_undo();
    let filter = Filter { actors: None, within: None, since: 1, until: id, kinds, undo: None };
    store.begin_undo(&Request { id, actor: ActorId(1), filter, rule: Rule::Keep, takes_back: None }).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    let before = open(&dir).history().unwrap().begins();
    let mut done = Done::default();
    grow(&(Arc::new(dir.clone()) as Arc<dyn Dir>), 30, &mut done).unwrap();
    let store = open(&dir);
    assert_eq!(store.history().unwrap().begins(), before);
    store.end_undo(id).unwrap();
    for _ in 0..3 {
        store.checkpoint().unwrap();
    }
    assert!(store.history().unwrap().begins().unwrap().tick > before.unwrap().tick + 20);
}

#[test]
fn a_crash_at_any_operation_of_cutting_leaves_a_whole_world() {
    let limits = HistoryLimits { bytes: 200_000, days: 0 };
    let run = |crash: usize| {
        let memory = MemoryDir::new();
        new_world(&memory, limits).unwrap();
        memory.fail_from(memory.operations() + crash, Failure::Crash);
        let mut done = Done::default();
        let result = grow(&(Arc::new(memory.clone()) as Arc<dyn Dir>), 15, &mut done);
        (memory, done, result.is_ok())
    };
    let (finished, _, is_ok) = run(100_000);
    assert!(is_ok && segments(&finished)[0] > 2, "nothing was cut: {:?}", segments(&finished));
    let (mut images, mut cut) = (0, 0);
    for crash in 0.. {
        let (memory, done, is_ok) = run(crash);
        let count = memory.pending_bytes().len();
        let mut survivals = vec![vec![Keep::Nothing; count], vec![Keep::All; count]];
        for one in 0..count {
            let (mut dropped, mut kept) = (vec![Keep::All; count], vec![Keep::Nothing; count]);
            (dropped[one], kept[one]) = (Keep::Nothing, Keep::All);
            survivals.extend([dropped, kept]);
        }
        for keep in survivals {
            let image = memory.image(|index| keep[index]);
            let what = format!("crash at {crash}, {keep:?}");
            images += 1;
            let store = Store::open(Arc::new(image.clone()), Access::Write).unwrap_or_else(|e| panic!("{what}: {e}"));
            let found = content(&store, store.standing()).unwrap();
            assert!(
                done.states.get(done.acknowledged..).unwrap_or_default().contains(&found) || done.states.is_empty(),
                "{what}: {found:?}"
            );
            cut += usize::from(!store.history().unwrap().is_whole());
            store.close().unwrap();
            whole(&image);
        }
        if is_ok {
            break;
        }
    }
    println!("{images} images, {cut} of them with a cut history");
    assert!(images > 500 && cut > 100, "{images} images, {cut} of them cut");
}

#[test]
fn a_damaged_mark_does_not_make_what_was_cut_look_lost() {
    let (memory, now) = grown(HistoryLimits { bytes: 200_000, days: 0 }, 33);
    assert!(segments(&memory)[0] > 2);
    for slots in [&[0][..], &[4096], &[0, 4096]] {
        let bad = memory.image(|_| Keep::All);
        bad.damage(mark::FILE, |bytes| slots.iter().for_each(|slot| bytes[slot + 20] ^= 1));
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        assert_eq!(report.problems.len(), 1, "{slots:?}: {:?}", report.problems);
        assert!(matches!(report.problems[0].repair, Repair::From(_)), "{slots:?}");
        whole(&bad);
        let store = open(&bad);
        let found = content(&store, store.standing()).unwrap();
        assert_eq!((found.chunks, found.digest), (now.chunks.clone(), now.digest), "{slots:?}");
        assert!(!store.history().unwrap().is_whole());
    }
}

#[test]
fn a_chunk_that_only_cut_history_could_restore_is_told_so() {
    let (memory, _) = grown(HistoryLimits { bytes: 200_000, days: 0 }, 33);
    let region = memory.paths().into_iter().find(|path| path.starts_with("regions/r.0.0.0")).unwrap();
    memory.damage(&region, |bytes| bytes[12_288..].fill(7));
    let report = check(Arc::new(memory), false, &|_, _| ()).unwrap();
    assert!(report.has_losses() && report.problems[0].what.contains("history before it has been cut"), "{report:?}");
}

#[test]
fn what_is_read_begins_early_enough_wherever_segments_begin() {
    let (memory, _) = grown(HistoryLimits { bytes: 3_000_000, days: 0 }, 30);
    let store = open(&memory);
    // Frames without a tick, until one of them begins a segment.
    let count = segments(&memory).len();
    while segments(&memory).len() == count {
        store
            .load(
                vec![(terrane_world::space::ChunkPos::new(9, 0, 0).unwrap(), common::patterned(9, 1))],
                terrane_store::Load::Replace,
                1,
            )
            .unwrap();
    }
    let history = store.history().unwrap();
    for tick in 1..31 {
        let mut ticks = Vec::new();
        let mut visit = |record: &journal::Record| {
            ticks.extend(record.deltas().map(|(tick, ..)| tick));
            Ok::<(), StoreError>(())
        };
        history.read(tick, &mut visit).unwrap();
        assert!(
            ticks[0] <= tick && ticks.len() as u64 == 31 - ticks[0] && ticks[ticks.len() - 1] == 30,
            "{tick}: {ticks:?}"
        );
        assert_eq!(history.tick_at(tick * DAY_MS).unwrap(), Some(tick));
    }
}

#[test]
fn a_segment_lost_from_the_middle_is_a_gap_and_no_cut() {
    let (memory, _) = grown(HistoryLimits { bytes: 3_000_000, days: 0 }, 30);
    assert!(segments(&memory).len() > 4);
    let bad = memory.image(|_| Keep::All);
    bad.remove(&journal::segment_name(2)).unwrap();
    let report = check(Arc::new(bad.clone()), false, &|_, _| ()).unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.problems[0].what.contains("it is missing"), "{:?}", report.problems);
    let store = open(&bad);
    let mut gaps = 0;
    let mut visit = |record: &journal::Record| {
        gaps += usize::from(*record == journal::Record::Lost);
        Ok::<(), StoreError>(())
    };
    store.history().unwrap().read(0, &mut visit).unwrap();
    assert_eq!(gaps, 1);
}

#[test]
fn what_is_lost_at_the_end_of_a_segment_is_a_gap() {
    // So many bytes that nothing is cut, and so few that there are several segments.
    let (memory, _) = grown(HistoryLimits { bytes: 8_000_000, days: 0 }, 60);
    let gaps = || {
        let mut gaps = 0;
        let mut visit = |record: &Record| {
            gaps += usize::from(*record == Record::Lost);
            Ok::<(), StoreError>(())
        };
        open(&memory).history().unwrap().read(0, &mut visit).unwrap();
        gaps
    };
    assert_eq!(gaps(), 0);
    let name = journal::segment_name(segments(&memory)[1]);
    let place = Place { segment: segments(&memory)[1], offset: SEGMENT_HEAD, frame: 0 };
    let mut scan = Scan::open(&memory, &settings("void").id, place).unwrap();
    let mut last = 0;
    while let Scanned::Frame(_, at) = scan.advance() {
        last = at;
    }
    memory.damage(&name, |bytes| bytes[last as usize + 40] ^= 1);
    assert!(segments(&memory).len() > 2, "it is not the last segment");
    assert_eq!(gaps(), 1);
}
