//! What a broken disk does to a world: a typed error that names the file, or no difference at all. Never a panic,
//! never other content.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Content, Model, content, edit, patterned, pool, workload, world};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use terrane_store::door::Dir;
use terrane_store::double::{Failure, Keep, MemoryDir};
use terrane_store::{Access, Load, OsDir, Repair, Store, StoreError, check, journal};
use terrane_world::block::BlockId;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelPos};

/// A world with loaded, generated-and-edited and uniform chunks, checkpointed twice, with a journal tail.
fn sample() -> (MemoryDir, Content) {
    let memory = MemoryDir::new();
    let dir: Arc<dyn Dir> = Arc::new(memory.clone());
    workload(&dir, &pool(), &mut Model::default()).unwrap();
    let store = Store::open(dir, Access::Read).unwrap();
    let content = content(&store, store.standing()).unwrap();
    (memory, content)
}

fn copy(memory: &MemoryDir) -> MemoryDir {
    memory.image(|_| Keep::All)
}

fn read_all(dir: MemoryDir) -> Result<Content, StoreError> {
    let store = Store::open(Arc::new(dir), Access::Read)?;
    content(&store, store.standing())
}

/// Everything but versions and the digest, which repair may not be able to keep.
fn voxels(content: &Content) -> Vec<(ChunkPos, u128)> {
    content.chunks.iter().map(|(pos, (hash, _))| (*pos, *hash)).collect()
}

#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing_and_check_finds_it() {
    let (memory, expected) = sample();
    for path in memory.paths().into_iter().filter(|path| !path.ends_with("world.toml")) {
        let mut length = 0;
        copy(&memory).damage(&path, |bytes| length = bytes.len());
        // The last frame of a journal only says that the one before it had been synced; without it, that one may be a torn tail.
        let known = if path.starts_with("journal/0") { length - journal::FRAME_HEAD } else { length };
        // Every byte of the small parts, a spread over the large ones.
        for at in (0..known).filter(|at| *at < 300 || at % 257 == 0) {
            let bad = copy(&memory);
            bad.damage(&path, |bytes| bytes[at] ^= 0x10);
            let what = format!("{path}, byte {at}");
            let read = std::panic::catch_unwind(AssertUnwindSafe(|| read_all(copy(&bad))))
                .unwrap_or_else(|_| panic!("{what}: panicked"));
            if let Ok(found) = &read {
                assert_eq!(found, &expected, "{what}: other content, and no error");
                continue;
            }
            let report = check(Arc::new(copy(&bad)), false, &|_, _| ());
            assert!(
                report.is_err() || !report.unwrap().problems.is_empty(),
                "{what}: {:?}, but check finds nothing",
                read.err()
            );
        }
    }
}

#[test]
fn a_file_cut_short_is_an_error_or_changes_nothing() {
    let (memory, expected) = sample();
    for path in memory.paths() {
        let mut length = 0;
        copy(&memory).damage(&path, |bytes| length = bytes.len());
        for cut in (0..length).filter(|at| *at < 100 || at % 509 == 0) {
            let bad = copy(&memory);
            bad.damage(&path, |bytes| bytes.truncate(cut));
            // A journal cut at the end of a frame is a journal; only what nobody could know to be missing may be.
            let tail = path.starts_with("journal/0");
            match std::panic::catch_unwind(AssertUnwindSafe(|| read_all(bad)))
                .unwrap_or_else(|_| panic!("{path} cut at {cut}: panicked"))
            {
                Ok(found) if !tail => assert_eq!(found, expected, "{path} cut at {cut}"),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

#[test]
fn repair_brings_back_chunks_directories_registry_and_mark() {
    let (memory, expected) = sample();
    let region = memory.paths().into_iter().find(|path| path.starts_with("regions/r.0.0.0")).unwrap();
    let cases: [(&str, usize); 5] =
        [(&region, 4096 + 40), (&region, 8192 + 40), ("registry", 30), ("registry.copy", 30), ("journal/mark", 20)];
    for (path, at) in cases {
        let bad = copy(&memory);
        bad.damage(path, |bytes| bytes[at] ^= 1);
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        assert_eq!(report.problems.len(), 1, "{path}: {report:?}");
        assert!(matches!(&report.problems[0].repair, Repair::From(_)), "{path}: {report:?}");
        let again = check(Arc::new(bad.clone()), false, &|_, _| ()).unwrap();
        assert!(again.problems.is_empty(), "{path}: {again:?}");
        assert_eq!(voxels(&read_all(bad).unwrap()), voxels(&expected), "{path}");
    }
}

#[test]
fn check_finds_what_is_missing_and_repair_brings_it_back_or_says_what_is_lost() {
    let (memory, expected) = sample();
    let cases: [(&str, &str, bool); 6] = [
        ("world.toml", "world.toml.copy", true),
        ("world.toml.copy", "world.toml", true),
        ("journal/mark", "from its beginning", true),
        ("registry", "registry.copy", true),
        ("journal/00000001.trj", "after the last checkpoint is lost", false),
        ("regions/r.0.0.0.trr", "", false),
    ];
    for (path, source, whole) in cases {
        let bad = copy(&memory);
        bad.remove(path).unwrap();
        let found = check(Arc::new(copy(&bad)), false, &|_, _| ()).unwrap();
        assert!(!found.problems.is_empty(), "{path} is missing, and check finds nothing");
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        let said = report
            .problems
            .iter()
            .any(|problem| matches!(&problem.repair, Repair::From(s) | Repair::Partly(s) if s.contains(source)));
        assert!(said || source.is_empty(), "{path}: {report:?}");
        assert_eq!(report.has_losses(), !whole, "{path}: {report:?}");
        if path.starts_with("regions") {
            // What was imported is nowhere else: it takes a backup, and nothing pretends otherwise.
            continue;
        }
        let opened = read_all(bad.clone());
        assert!(opened.is_ok(), "{path}: {:?}", opened.err());
        if whole {
            assert_eq!(voxels(&opened.unwrap()), voxels(&expected), "{path}");
            let again = check(Arc::new(bad), false, &|_, _| ()).unwrap();
            assert!(again.problems.is_empty(), "{path}: {again:?}");
        }
    }
}

#[test]
fn a_region_header_is_written_again_and_a_lost_file_is_made_from_generator_and_journal() {
    let memory = MemoryDir::new();
    common::create(&memory, "hills").unwrap();
    let store = Arc::new(Store::open(Arc::new(memory.clone()), Access::Write).unwrap());
    let generated = ChunkPos::new(2, 2, 2).unwrap();
    store.load(vec![(generated, store.generator().chunk(generated).unwrap())], Load::OnlyNew, 1).unwrap();
    let mut world = world(&store, &pool());
    let deltas = world.step(1, &[edit(1, 1, &[([1, 70, 3], 9, None), ([70, 70, 70], 9, Some(b"x"))])]).unwrap();
    store.commit(&deltas, 1).unwrap();
    store.checkpoint().unwrap();
    drop(world);
    let expected = content(&store, store.standing()).unwrap();
    Arc::into_inner(store).unwrap().close().unwrap();
    let path = "regions/r.0.0.0.trr";
    let header = |bytes: &mut Vec<u8>| bytes[30] ^= 1;
    let version = |bytes: &mut Vec<u8>| bytes[9] ^= 1;
    let all = |bytes: &mut Vec<u8>| bytes.truncate(3000);
    for damage in [&header as &dyn Fn(&mut Vec<u8>), &version, &all] {
        let bad = copy(&memory);
        bad.damage(path, |bytes| damage(bytes));
        assert!(matches!(read_all(copy(&bad)), Err(StoreError::Corrupt { .. } | StoreError::Truncated { .. })));
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        assert!(!report.problems.is_empty() && !report.has_losses(), "{report:?}");
        assert_eq!(read_all(bad).unwrap().chunks, expected.chunks);
    }
    let bad = copy(&memory);
    bad.remove(path).unwrap();
    let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
    assert!(!report.problems.is_empty() && !report.has_losses(), "{report:?}");
    assert_eq!(read_all(bad).unwrap().chunks, expected.chunks);
}

#[test]
fn damage_before_the_mark_is_reported_once_and_is_gone_after_repair() {
    let (memory, expected) = sample();
    let bad = copy(&memory);
    bad.damage("journal/00000001.trj", |bytes| bytes[64 + 60] ^= 1);
    let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
    assert!(report.problems.len() == 1 && !report.has_losses(), "{report:?}");
    let again = check(Arc::new(bad.clone()), false, &|_, _| ()).unwrap();
    assert!(again.problems.is_empty(), "{again:?}");
    assert_eq!(voxels(&read_all(bad).unwrap()), voxels(&expected));
}

#[test]
fn a_damaged_chunk_comes_back_from_the_generator_or_its_older_slot_and_the_journal() {
    let memory = MemoryDir::new();
    common::create(&memory, "hills").unwrap();
    let store = Arc::new(Store::open(Arc::new(memory.clone()), Access::Write).unwrap());
    let loaded = ChunkPos::new(1, 3, 0).unwrap();
    store.load(vec![(loaded, patterned(20, 3))], Load::OnlyNew, 1).unwrap();
    let mut world = world(&store, &pool());
    for tick in 1..=4 {
        // One edit in a generated chunk, one in a loaded one.
        let at = tick as i32;
        let deltas =
            world.step(tick, &[edit(1, tick, &[([at, 40, 3], 9, None), ([32 + at, 100, 3], 9, Some(b"x"))])]).unwrap();
        store.commit(&deltas, tick).unwrap();
        store.checkpoint().unwrap();
    }
    drop(world);
    let expected = content(&store, store.standing()).unwrap();
    Arc::into_inner(store).unwrap().close().unwrap();
    for (chunk, source) in [(ChunkPos::new(0, 1, 0).unwrap(), "generator"), (loaded, "slot it had before")] {
        let bad = copy(&memory);
        let place = slot_place(&bad, chunk);
        bad.damage("regions/r.0.0.0.trr", |bytes| bytes[place + 99] ^= 4);
        if source == "generator" {
            // Its older slot is damaged as well.
            let older = older_slot_place(&bad, chunk);
            bad.damage("regions/r.0.0.0.trr", |bytes| bytes[older + 7] ^= 4);
        }
        assert!(matches!(read_all(copy(&bad)), Err(StoreError::Corrupt { .. })));
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        assert!(
            matches!(&report.problems[..], [one] if matches!(&one.repair, Repair::From(from) if from.contains(source))),
            "{report:?}"
        );
        assert_eq!(read_all(bad).unwrap().chunks, expected.chunks, "{source}");
    }
}

fn directory_entry(memory: &MemoryDir, chunk: ChunkPos, newest: bool) -> usize {
    let mut place = 0;
    copy(memory).damage("regions/r.0.0.0.trr", |bytes| {
        let sequence = |page: usize| u64::from_le_bytes(bytes[page * 4096 + 8..][..8].try_into().unwrap());
        let page = if (sequence(2) > sequence(1)) == newest { 2 } else { 1 };
        let at = page * 4096 + 32 + chunk.index_in_region() * 28;
        place = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize * 512;
    });
    assert!(place >= 3 * 4096);
    place
}

fn slot_place(memory: &MemoryDir, chunk: ChunkPos) -> usize {
    directory_entry(memory, chunk, true)
}

fn older_slot_place(memory: &MemoryDir, chunk: ChunkPos) -> usize {
    directory_entry(memory, chunk, false)
}

#[test]
fn a_synced_journal_frame_that_is_damaged_is_refused_and_given_up_only_by_repair() {
    let memory = MemoryDir::new();
    common::create(&memory, "void").unwrap();
    let store = Arc::new(Store::open(Arc::new(memory.clone()), Access::Write).unwrap());
    let mut world = world(&store, &pool());
    for tick in 1..=3 {
        let deltas = world.step(tick, &[edit(1, tick, &[([tick as i32, 0, 0], 9, None)])]).unwrap();
        store.commit(&deltas, tick).unwrap();
        store.sync().unwrap();
    }
    drop((world, store));
    let segment = "journal/00000001.trj";
    let mut at = 0;
    // The first frame begins behind the header; hit its payload.
    memory.damage(segment, |bytes| {
        at = 64 + 60;
        bytes[at] ^= 1;
    });
    assert!(
        matches!(Store::open(Arc::new(memory.clone()), Access::Write), Err(StoreError::Corrupt { file, .. }) if file == segment)
    );
    let report = check(Arc::new(memory.clone()), true, &|_, _| ()).unwrap();
    assert!(report.has_losses() && matches!(&report.problems[0].repair, Repair::Partly(_)), "{report:?}");
    assert!(memory.paths().iter().any(|path| path.ends_with(".damaged")), "the damaged segment is kept");
    let store = Store::open(Arc::new(memory), Access::Read).unwrap();
    let held = store.chunk(ChunkPos::new(0, 0, 0).unwrap()).unwrap().unwrap();
    let block = |x| held.chunk.get(LocalIndex::from_xyz(x, 0, 0)).0;
    assert_eq!([block(1), block(2), block(3)], [0, 9, 9], "tick 1 is lost, ticks 2 and 3 are not");
}

#[test]
fn a_full_disk_or_a_read_only_folder_is_a_typed_error_and_loses_nothing() {
    let pool = pool();
    let whole = sample().0.operations();
    for failure in [Failure::DiskFull, Failure::ReadOnly, Failure::SyncFails] {
        for from in 0..whole {
            let memory = MemoryDir::new();
            memory.fail_from(from, failure);
            let dir: Arc<dyn Dir> = Arc::new(memory.clone());
            let mut model = Model::default();
            let Err(error) = workload(&dir, &pool, &mut model) else { continue };
            let fits = match failure {
                Failure::DiskFull => matches!(error, StoreError::DiskFull { .. }),
                Failure::ReadOnly => matches!(error, StoreError::ReadOnly { .. } | StoreError::Poisoned { .. }),
                _ => matches!(error, StoreError::Poisoned { .. }),
            };
            assert!(fits, "{failure:?} from operation {from}: {error}");
            let store = match Store::open(Arc::new(memory.image(|_| Keep::All)), Access::Write) {
                Ok(store) => store,
                Err(StoreError::NotAWorld { .. }) if model.states.is_empty() => continue,
                Err(error) => panic!("{failure:?} from operation {from}: afterwards {error}"),
            };
            let found = content(&store, store.standing()).unwrap();
            let fits =
                model.states.is_empty() || model.states[model.acknowledged..].iter().any(|s| s.chunks == found.chunks);
            assert!(fits, "{failure:?} from operation {from}: content");
        }
    }
}

#[test]
fn after_a_failed_fsync_nothing_more_is_written() {
    let memory = MemoryDir::new();
    common::create(&memory, "void").unwrap();
    let store = Arc::new(Store::open(Arc::new(memory.clone()), Access::Write).unwrap());
    let mut world = world(&store, &pool());
    let deltas = world.step(1, &[edit(1, 1, &[([0, 0, 0], 9, None)])]).unwrap();
    store.commit(&deltas, 1).unwrap();
    memory.fail_from(0, Failure::SyncFails);
    assert!(matches!(store.sync(), Err(StoreError::Poisoned { .. })));
    memory.fail_from(usize::MAX, Failure::SyncFails);
    assert!(matches!(store.sync(), Err(StoreError::Poisoned { .. })), "a failed fsync is not retried");
    assert!(matches!(store.commit(&deltas, 1), Err(StoreError::Poisoned { .. })));
    assert!(matches!(store.checkpoint(), Err(StoreError::Poisoned { .. })));
    assert!(store.chunk(ChunkPos::new(0, 0, 0).unwrap()).unwrap().is_none(), "what was not synced is not shown");
}

#[test]
fn other_versions_other_worlds_and_other_identities_are_refused() {
    let (memory, _) = sample();
    let region = memory.paths().into_iter().find(|path| path.starts_with("regions/")).unwrap();
    for (path, summed) in [("journal/00000001.trj", 56), (&*region, 48)] {
        let bad = copy(&memory);
        bad.damage(path, |bytes| {
            bytes[8] = 9;
            let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..summed]);
            bytes[summed..summed + 8].copy_from_slice(&checksum.to_le_bytes());
        });
        let error = read_all(bad).unwrap_err();
        assert!(matches!(&error, StoreError::Version { file, found: 9, .. } if file == path), "{path}: {error}");
    }
    let bad = copy(&memory);
    bad.damage("world.toml", |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap().replace("seed = \"7\"", "seed = \"8\"");
        *bytes = text.into_bytes();
    });
    assert!(matches!(read_all(bad), Err(StoreError::Corrupt { file, .. }) if file == "world.toml"));
    assert!(matches!(read_all(MemoryDir::new()), Err(StoreError::NotAWorld { .. })));
}

fn on_disk(generator: &str) -> (tempfile::TempDir, Arc<OsDir>) {
    let folder = tempfile::tempdir().unwrap();
    let dir = Arc::new(OsDir::new(folder.path()));
    dir.make_folders().unwrap();
    common::create(&*dir, generator).unwrap();
    (folder, dir)
}

#[test]
fn one_process_writes_and_others_read_beside_it() {
    let (_folder, dir) = on_disk("void");
    let store = Arc::new(Store::open(dir.clone(), Access::Write).unwrap());
    assert!(matches!(Store::open(dir.clone(), Access::Write), Err(StoreError::Locked { .. })));
    let pos = ChunkPos::new(0, 0, 0).unwrap();
    store.load(vec![(pos, patterned(3, 1))], Load::OnlyNew, 1).unwrap();
    let mut world = world(&store, &pool());
    let mut readers: Vec<_> = Vec::new();
    for tick in 1..=12u64 {
        let block = tick as u16;
        let deltas = world.step(tick, &[edit(1, tick, &[([0, 0, 0], block, None)])]).unwrap();
        store.commit(&deltas, tick).unwrap();
        store.sync().unwrap();
        if tick % 3 == 0 {
            store.checkpoint().unwrap();
        }
        let reader = Arc::new(Store::open(dir.clone(), Access::Read).unwrap());
        readers.push(reader.reader());
        // Every reader, however old, sees a state that was: at least the one it was opened at.
        for (opened, reader) in readers.iter_mut().enumerate() {
            let seen = reader.voxel(VoxelPos::new(0, 0, 0).unwrap()).unwrap().unwrap().0;
            assert!((opened as u16 + 1..=block).contains(&seen), "reader {opened} sees {seen} at tick {tick}");
            let other = reader.voxel(VoxelPos::new(9, 9, 9).unwrap()).unwrap().unwrap();
            assert_eq!(other, patterned(3, 1).get(LocalIndex::from_xyz(9, 9, 9)), "reader {opened}");
        }
        assert!(matches!(reader.load(vec![], Load::OnlyNew, 1), Err(StoreError::OpenedForReading)));
    }
}

#[test]
fn a_region_file_cut_while_readers_loop_gives_errors_and_no_crash() {
    let (folder, dir) = on_disk("void");
    let store = Arc::new(Store::open(dir, Access::Write).unwrap());
    let chunks: Vec<_> = (0..128)
        .map(|i| (VoxelPos::new(0, 0, 0).unwrap().chunk().region().chunk(i), patterned(300, i as u16)))
        .collect();
    let expected: Vec<_> = chunks.iter().map(|(pos, chunk)| (*pos, chunk.clone())).collect();
    store.load(chunks, Load::OnlyNew, 1).unwrap();
    let path = folder.path().join("regions/r.0.0.0.trr");
    let (mut right, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|thread| {
                let (mut reader, expected) = (store.reader(), &expected);
                scope.spawn(move || {
                    let (mut right, mut refused) = (0usize, 0usize);
                    for round in 0..40_000usize {
                        let (pos, chunk) = &expected[(round * 7 + thread) % 128];
                        let local = LocalIndex::new((round * 31 % 32_768) as u16).unwrap();
                        match reader.voxel(pos.voxel(local)) {
                            Ok(found) => {
                                assert_eq!(found, Some(chunk.get(local)), "zeros must not pass for voxels");
                                right += 1;
                            }
                            Err(StoreError::Truncated { .. } | StoreError::Corrupt { .. }) => refused += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    (right, refused)
                })
            })
            .collect();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        for part in (0..20).rev() {
            file.set_len(length / 20 * part).unwrap();
            std::thread::yield_now();
        }
        for reader in readers {
            let (r, f) = reader.join().expect("a reader panicked");
            right += r;
            refused += f;
        }
    });
    assert!(refused > 0, "the cut was not noticed in {right} reads");
    assert!(matches!(store.chunk(expected[5].0), Err(StoreError::Truncated { .. } | StoreError::Corrupt { .. })));
}

#[test]
fn single_voxels_read_like_whole_chunks_in_every_form() {
    let (_folder, dir) = on_disk("hills");
    let store = Arc::new(Store::open(dir, Access::Write).unwrap());
    let chunks: Vec<_> = [1, 2, 16, 17, 256, 257, 900]
        .into_iter()
        .enumerate()
        .map(|(x, kinds)| (ChunkPos::new(x as i32, -1, 2).unwrap(), patterned(kinds, 5)))
        .collect();
    store.load(chunks.clone(), Load::OnlyNew, 1).unwrap();
    let mut reader = store.reader();
    for (pos, chunk) in &chunks {
        for index in (0..32_768).step_by(13) {
            let local = LocalIndex::new(index).unwrap();
            assert_eq!(reader.voxel(pos.voxel(local)).unwrap(), Some(chunk.get(local)));
        }
        let scattered: Vec<VoxelPos> =
            (0..5_000u32).map(|n| pos.voxel(LocalIndex::new((n * 12_347 % 32_768) as u16).unwrap())).collect();
        for again in [store.reader(), store.reader()].iter_mut() {
            let mut blocks = Vec::new();
            again.voxels(&scattered, &mut blocks).unwrap();
            let expected: Vec<_> = scattered.iter().map(|at| Some(chunk.get(at.local()))).collect();
            assert!(blocks == expected, "in batches, {:?}", chunk.form());
        }
        assert_eq!(*store.chunk(*pos).unwrap().unwrap().chunk, *chunk);
    }
    assert_eq!(reader.voxel(VoxelPos::new(0, 1000, 0).unwrap()).unwrap(), None, "not stored");
    let mut mixed = Vec::new();
    let (none, some) = (VoxelPos::new(0, 1000, 0).unwrap(), chunks[2].0.origin());
    reader.voxels(&[some, none, some], &mut mixed).unwrap();
    let first = Some(chunks[2].1.get(LocalIndex::from_xyz(0, 0, 0)));
    assert_eq!(mixed, [first, None, first]);
    let mut world = world(&store, &pool());
    let deltas = world.step(1, &[edit(1, 1, &[([3, -30, 70], 77, None)])]).unwrap();
    store.commit(&deltas, 1).unwrap();
    let at = VoxelPos::new(3, -30, 70).unwrap();
    assert_ne!(reader.voxel(at).unwrap(), Some(BlockId(77)), "not yet synced, not yet seen");
    store.sync().unwrap();
    assert_eq!(reader.voxel(at).unwrap(), Some(BlockId(77)));
    store.checkpoint().unwrap();
    assert_eq!(reader.voxel(at).unwrap(), Some(BlockId(77)));
    assert_eq!(store.dirty_bytes(), 0);
}
