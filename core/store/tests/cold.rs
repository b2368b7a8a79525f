//! Packed regions: the same chunks, versions and digest in fewer bytes, whatever stops, breaks or reads beside it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic")]

mod common;

use common::{Content, Model, content, edit, pack_all, patterned, pool, workload, world};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use terrane_store::door::{Dir, Map};
use terrane_store::double::{Failure, Keep, MemoryDir};
use terrane_store::packed::{self, PackedFile};
use terrane_store::{Access, Load, OsDir, Repair, Shape, Store, StoreError, check, region};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, LocalIndex, RegionPos, VoxelPos};

const WORLD: &[u8; 16] = b"a world for test";

fn at(x: i32, y: i32, z: i32) -> ChunkPos {
    ChunkPos::new(x, y, z).unwrap()
}

/// A chunk of every form, one of them with sparse data, in two regions.
fn chunks() -> Vec<(ChunkPos, Chunk)> {
    let mut chest = patterned(3, 1);
    chest.set_sparse(LocalIndex::new(5).unwrap(), Some(b"chest"[..].into())).unwrap();
    let mut sign = Chunk::uniform(BlockId(4));
    sign.set_sparse(LocalIndex::new(9).unwrap(), Some(b"sign"[..].into())).unwrap();
    let all = [Chunk::uniform(BlockId(5)), chest, patterned(40, 2), patterned(700, 3), sign, patterned(9, 4)];
    all.into_iter().enumerate().map(|(n, chunk)| (at(n as i32, 1, 0), chunk)).collect()
}

/// Makes a world that knows every block of [`chunks`].
fn create(dir: &dyn Dir) {
    common::create(dir, "void").unwrap();
    let mut registry = Registry::built_in();
    registry.register_all(&(0..900).map(|n| format!("block{n}")).collect()).unwrap();
    terrane_store::settings::write_registry(dir, &registry).unwrap();
}

fn opened(dir: &Arc<dyn Dir>, access: Access) -> Arc<Store> {
    Arc::new(Store::open(Arc::clone(dir), access).unwrap())
}

/// A world of those chunks, packed.
fn packed_world(memory: &MemoryDir) -> (Arc<Store>, Content) {
    create(memory);
    let dir: Arc<dyn Dir> = Arc::new(memory.clone());
    let store = opened(&dir, Access::Write);
    store.load(chunks(), Load::OnlyNew, 1).unwrap();
    let before = content(&store, &store.current_standing()).unwrap();
    assert_eq!(pack_all(&store).unwrap(), 2);
    (store, before)
}

fn unpack(store: &Store, region: RegionPos) {
    store.unpack_region(region).unwrap().unwrap();
}

fn names(memory: &MemoryDir) -> Vec<String> {
    memory.paths().into_iter().filter(|path| path.starts_with("regions/")).collect()
}

#[test]
fn packing_and_unpacking_change_no_chunk_no_version_and_no_digest() {
    let memory = MemoryDir::new();
    let (store, before) = packed_world(&memory);
    assert_eq!(names(&memory), ["regions/r.0.0.0.trp", "regions/r.1.0.0.trp"]);
    assert_eq!(content(&store, &store.current_standing()).unwrap(), before);
    assert_eq!(pack_all(&store).unwrap(), 0, "what is packed is not packed again");
    let dir: Arc<dyn Dir> = Arc::new(memory.clone());
    drop(store);
    let again = opened(&dir, Access::Write);
    assert_eq!(content(&again, &again.current_standing()).unwrap(), before);
    let mut reader = again.reader();
    for (pos, chunk) in chunks() {
        for index in (0..32_768).step_by(397) {
            let local = LocalIndex::new(index).unwrap();
            assert_eq!(reader.voxel(pos.voxel(local)).unwrap(), Some(chunk.get(local)), "{pos}");
        }
    }
    assert_eq!(reader.voxel(at(0, 2, 0).origin()).unwrap(), None, "not stored");
    for region in again.stored_regions().unwrap() {
        let packing = again.unpack_region(region).unwrap().unwrap();
        assert!(packing.before < packing.after, "{packing:?}");
        assert!(again.unpack_region(region).unwrap().is_none());
    }
    assert_eq!(names(&memory), ["regions/r.0.0.0.trr", "regions/r.1.0.0.trr"]);
    assert_eq!(content(&again, &again.current_standing()).unwrap(), before);
    let report = check(dir, false, &|_, _| ()).unwrap();
    assert!(report.problems.is_empty() && report.packed == 0, "{report:?}");
}

#[test]
fn loading_packed_gives_the_world_that_packing_gives() {
    let memory = MemoryDir::new();
    create(&memory);
    let store = Store::open(Arc::new(memory.clone()), Access::Write).unwrap();
    assert_eq!(store.load_as(chunks(), Load::OnlyNew, Shape::Packed, 1).unwrap(), 6);
    assert_eq!(names(&memory), ["regions/r.0.0.0.trp", "regions/r.1.0.0.trp"]);
    let (_, expected) = packed_world(&MemoryDir::new());
    assert_eq!(content(&store, &store.current_standing()).unwrap(), expected);
    let sizes = store.sizes().unwrap();
    assert_eq!((sizes.regions, sizes.packed), (0, 2));
    assert!(sizes.packed_bytes > 1_000, "{sizes:?}");
    drop(store);
    let report = check(Arc::new(memory.clone()), false, &|_, _| ()).unwrap();
    assert!(report.problems.is_empty() && report.packed == 2 && report.chunks == 6, "{report:?}");
}

#[test]
fn ticks_and_loads_unpack_what_they_change_and_nothing_else() {
    let memory = MemoryDir::new();
    let (store, before) = packed_world(&memory);
    let mut world = world(&store, &pool());
    let deltas = world.step(1, &[edit(1, 1, &[([3, 33, 3], 9, None)])]).unwrap();
    store.commit(&deltas, 1).unwrap();
    store.sync().unwrap();
    let changed = content(&store, &store.current_standing()).unwrap();
    assert_ne!(changed.chunks, before.chunks);
    assert!(store.pack_region(at(0, 0, 0).region()).unwrap().is_none(), "changes wait for a checkpoint");
    store.checkpoint().unwrap();
    assert_eq!(names(&memory), ["regions/r.0.0.0.trr", "regions/r.1.0.0.trp"]);
    assert_eq!(content(&store, &store.current_standing()).unwrap(), changed);
    store.load(vec![(at(5, 2, 0), patterned(8, 8))], Load::OnlyNew, 2).unwrap();
    assert_eq!(names(&memory), ["regions/r.0.0.0.trr", "regions/r.1.0.0.trr"]);
    let loaded = content(&store, &store.current_standing()).unwrap();
    assert_eq!(loaded.chunks.len(), changed.chunks.len() + 1);
    assert_eq!(pack_all(&store).unwrap(), 2);
    assert_eq!(content(&store, &store.current_standing()).unwrap(), loaded);
}

#[test]
fn only_what_nobody_touches_for_long_enough_is_packed() {
    let memory = MemoryDir::new();
    create(&memory);
    let store = Arc::new(Store::open(Arc::new(memory.clone()), Access::Write).unwrap());
    store.load(chunks(), Load::OnlyNew, 1).unwrap();
    assert_eq!(store.pack_cold(1_000, 500, 9).unwrap(), 0, "seen for the first time");
    assert_eq!(store.pack_cold(1_400, 500, 9).unwrap(), 0, "loading touched them");
    assert!(store.chunk(at(4, 1, 0)).unwrap().is_some());
    assert_eq!(store.pack_cold(1_901, 500, 9).unwrap(), 1, "one has been read since");
    assert_eq!(names(&memory), ["regions/r.0.0.0.trp", "regions/r.1.0.0.trr"]);
    let mut world = world(&store, &pool());
    let deltas = world.step(1, &[edit(1, 1, &[([130, 33, 3], 9, None)])]).unwrap();
    store.commit(&deltas, 1).unwrap();
    store.sync().unwrap();
    assert_eq!(store.pack_cold(9_000, 500, 9).unwrap(), 0, "it has been changed");
    store.checkpoint().unwrap();
    assert_eq!(store.pack_cold(9_400, 500, 9).unwrap(), 0, "and checkpointed");
    assert_eq!(store.pack_cold(9_900, 500, 9).unwrap(), 0, "500 ms ago, which is not longer");
    assert_eq!(store.pack_cold(9_901, 500, 9).unwrap(), 1);
    assert_eq!(names(&memory), ["regions/r.0.0.0.trp", "regions/r.1.0.0.trp"]);
}

#[test]
fn no_more_regions_are_packed_at_a_time_than_asked_and_the_longest_untouched_first() {
    let memory = MemoryDir::new();
    create(&memory);
    let store = Store::open(Arc::new(memory.clone()), Access::Write).unwrap();
    let of_regions = (0..5).map(|x| (at(4 * x, 0, 0), patterned(3, x as u16))).collect();
    store.load(of_regions, Load::OnlyNew, 1).unwrap();
    store.pack_cold(0, 500, 0).unwrap();
    store.pack_cold(1, 500, 0).unwrap();
    store.chunk(at(0, 0, 0)).unwrap();
    store.pack_cold(2, 500, 0).unwrap();
    assert_eq!(store.pack_cold(1_000, 500, 2).unwrap(), 2);
    assert_eq!(store.pack_cold(1_001, 500, 2).unwrap(), 2);
    let left: Vec<String> = names(&memory).into_iter().filter(|name| name.ends_with(".trr")).collect();
    assert_eq!(left, ["regions/r.0.0.0.trr"], "the one that was read last is the last");
    assert_eq!(store.pack_cold(1_002, 500, 2).unwrap(), 1);
}

/// What a crash keeps of unsynced operations: none, all, all but each one, each one alone, and all with one torn.
fn survivals(pending: &[usize]) -> Vec<Vec<Keep>> {
    let count = pending.len();
    let with = |one: usize, it: Keep, others: Keep| (0..count).map(|n| if n == one { it } else { others }).collect();
    let mut all = vec![vec![Keep::Nothing; count], vec![Keep::All; count]];
    for (one, bytes) in pending.iter().enumerate() {
        all.push(with(one, Keep::Nothing, Keep::All));
        all.push(with(one, Keep::All, Keep::Nothing));
        all.extend(
            (1..8)
                .map(|part| bytes * part / 8)
                .filter(|torn| *torn > 0)
                .map(|torn| with(one, Keep::First(torn), Keep::All)),
        );
    }
    all
}

/// What is done to a packed or unpacked world until the machine stops.
type Work = fn(&Store) -> Result<(), StoreError>;

#[test]
fn a_crash_while_packing_or_unpacking_leaves_all_of_it_in_one_file_that_counts() {
    let pack: Work = |store| pack_all(store).map(drop);
    let take_out: Work =
        |store| store.stored_regions()?.into_iter().try_for_each(|region| store.unpack_region(region).map(drop));
    let both: Work = |store| {
        for _ in 0..2 {
            pack_all(store)?;
            store.stored_regions()?.into_iter().try_for_each(|region| store.unpack_region(region).map(drop))?;
        }
        Ok(())
    };
    let mut images = 0;
    for (work, from_packed) in [(pack, false), (take_out, true), (both, false)] {
        let memory = MemoryDir::new();
        let (store, expected) = packed_world(&memory);
        if !from_packed {
            store.stored_regions().unwrap().into_iter().for_each(|region| unpack(&store, region));
        }
        Arc::into_inner(store).unwrap().close().unwrap();
        for crash in 0.. {
            let image = memory.image(|_| Keep::All);
            image.fail_from(crash, Failure::Crash);
            let done = Store::open(Arc::new(image.clone()), Access::Write).and_then(|store| work(&store)).is_ok();
            for keep in survivals(&image.pending_bytes()) {
                let what = format!("crash at {crash}, {keep:?}");
                let left = image.image(|n| keep[n]);
                let reader = Store::open(Arc::new(left.clone()), Access::Read).unwrap();
                assert_eq!(content(&reader, reader.standing()).unwrap(), expected, "{what}, read");
                let store = Store::open(Arc::new(left.clone()), Access::Write).unwrap();
                assert_eq!(content(&store, store.standing()).unwrap(), expected, "{what}");
                let regions = store.stored_regions().unwrap().len();
                let files = names(&left).into_iter().filter(|name| !name.ends_with(".new")).count();
                assert_eq!(files, regions, "{what}: the file that does not count is gone");
                work(&store).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(content(&store, store.standing()).unwrap(), expected, "{what}, once more");
                images += 1;
            }
            if done {
                break;
            }
        }
    }
    println!("{images} crash images");
    assert!(images > 150, "{images}");
}

#[test]
fn readers_in_another_process_follow_a_region_from_one_file_to_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Arc::new(OsDir::new(folder.path()));
    dir.make_folders().unwrap();
    create(&*dir);
    let store = Arc::new(Store::open(dir.clone(), Access::Write).unwrap());
    store.load(chunks(), Load::OnlyNew, 1).unwrap();
    let region = at(1, 1, 0).region();
    let mut world = world(&store, &pool());
    let mut readers: Vec<(Arc<Store>, terrane_store::Reader, u16)> = Vec::new();
    for tick in 1..=9u64 {
        let block = 100 + tick as u16;
        let deltas = world.step(tick, &[edit(1, tick, &[([35, 33, 3], block, None)])]).unwrap();
        store.commit(&deltas, tick).unwrap();
        store.checkpoint().unwrap();
        match tick % 3 {
            0 => assert!(store.pack_region(region).unwrap().is_some()),
            1 if tick > 1 => assert!(store.unpack_region(region).unwrap().is_none(), "the checkpoint has unpacked it"),
            _ => {}
        }
        let opened = Arc::new(Store::open(dir.clone(), Access::Read).unwrap());
        readers.push((Arc::clone(&opened), opened.reader(), block));
        for (opened, reader, oldest) in &mut readers {
            let seen = reader.voxel(VoxelPos::new(35, 33, 3).unwrap()).unwrap().unwrap().0;
            // A file that is gone has been left; one that is changed is read as it was until its directory is overwritten.
            let least = if tick % 3 == 0 { block } else { *oldest };
            assert!((least..=block).contains(&seen), "opened at {oldest}, tick {tick}: {seen} of {block}");
            for (pos, chunk) in chunks().into_iter().filter(|(pos, _)| *pos != at(1, 1, 0)) {
                let local = LocalIndex::new(4_321).unwrap();
                assert_eq!(reader.voxel(pos.voxel(local)).unwrap(), Some(chunk.get(local)));
                assert_eq!(*opened.chunk(pos).unwrap().unwrap().chunk, chunk);
            }
        }
    }
}

#[test]
fn a_flipped_byte_or_a_cut_of_a_packed_file_is_an_error_or_changes_nothing() {
    let memory = MemoryDir::new();
    let (store, expected) = packed_world(&memory);
    Arc::into_inner(store).unwrap().close().unwrap();
    let read_all = |dir: MemoryDir| {
        let store = Store::open(Arc::new(dir), Access::Read)?;
        content(&store, store.standing())
    };
    for path in names(&memory) {
        let mut length = 0;
        memory.damage(&path, |bytes| length = bytes.len());
        for n in (0..length).filter(|n| *n < 400 || n % 31 == 0) {
            let flip = |bytes: &mut Vec<u8>| bytes[n] ^= 0x10;
            let fill = |bytes: &mut Vec<u8>| bytes[n] = 0xff;
            let cut = |bytes: &mut Vec<u8>| bytes.truncate(n);
            for change in [&flip as &dyn Fn(&mut Vec<u8>), &fill, &cut] {
                let bad = memory.image(|_| Keep::All);
                bad.damage(&path, |bytes| change(bytes));
                match read_all(bad.image(|_| Keep::All)) {
                    Ok(found) => assert_eq!(found, expected, "{path}, byte {n}: other content, and no error"),
                    Err(StoreError::Corrupt { file, .. } | StoreError::Truncated { file, .. }) => {
                        assert_eq!(file, path, "byte {n}");
                        let report = check(Arc::new(bad), false, &|_, _| ()).unwrap();
                        assert!(report.problems.iter().any(|problem| problem.file == path), "byte {n}: {report:?}");
                    }
                    Err(error) => panic!("{path}, byte {n}: {error}"),
                }
            }
        }
    }
}

/// A packed region of a world of hills: one chunk as generated, one of those edited, one that was imported.
fn hills() -> (MemoryDir, Content) {
    let memory = MemoryDir::new();
    common::create(&memory, "hills").unwrap();
    let store = Arc::new(Store::open(Arc::new(memory.clone()), Access::Write).unwrap());
    let generated = at(2, 2, 2);
    let made = store.generator().chunk(generated).unwrap();
    store.load(vec![(generated, made), (at(1, 3, 0), patterned(20, 3))], Load::OnlyNew, 1).unwrap();
    let mut world = world(&store, &pool());
    let deltas = world.step(1, &[edit(1, 1, &[([1, 40, 3], 9, None), ([70, 70, 70], 9, Some(b"x"))])]).unwrap();
    store.commit(&deltas, 1).unwrap();
    store.checkpoint().unwrap();
    drop(world);
    assert_eq!(pack_all(&store).unwrap(), 1);
    let expected = content(&store, &store.current_standing()).unwrap();
    Arc::into_inner(store).unwrap().close().unwrap();
    (memory, expected)
}

/// Where the packed bytes of a chunk stand in a file.
fn place(memory: &MemoryDir, path: &str, pos: ChunkPos) -> (usize, u8) {
    let mut bytes = Vec::new();
    memory.damage(path, |file| bytes.clone_from(file));
    let file = PackedFile::parse(path.into(), Map::copied(bytes), pos.region(), WORLD).unwrap();
    (file.entry(pos.index_in_region()).place as usize, pos.index_in_region() as u8)
}

#[test]
fn a_damaged_packed_chunk_comes_back_from_generator_and_journal_and_an_imported_one_is_reported() {
    let (memory, expected) = hills();
    let path = "regions/r.0.0.0.trp";
    for (pos, restorable) in [(at(2, 2, 2), true), (at(0, 1, 0), true), (at(1, 3, 0), false)] {
        let bad = memory.image(|_| Keep::All);
        let (offset, _) = place(&bad, path, pos);
        bad.damage(path, |bytes| bytes[offset + 9] ^= 4);
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        let [problem] = &report.problems[..] else { panic!("{report:?}") };
        assert_eq!((&*problem.file, problem.offset), (path, offset as u64), "{problem:?}");
        assert_eq!(matches!(problem.repair, Repair::From(_)), restorable, "{problem:?}");
        let again = check(Arc::new(bad.clone()), false, &|_, _| ()).unwrap();
        assert_eq!(again.problems.len(), usize::from(!restorable), "{again:?}");
        let store = Store::open(Arc::new(bad.clone()), Access::Read).unwrap();
        assert!(bad.paths().iter().any(|name| name == path), "it stays packed");
        if restorable {
            assert_eq!(content(&store, store.standing()).unwrap().chunks, expected.chunks);
        } else {
            assert!(matches!(store.chunk(pos), Err(StoreError::Corrupt { .. })));
            assert!(store.chunk(at(2, 2, 2)).unwrap().is_some(), "the others are read as before");
        }
    }
}

#[test]
fn a_damaged_header_or_a_lost_packed_file_is_made_from_generator_and_journal_as_far_as_they_lead() {
    let (memory, expected) = hills();
    let path = "regions/r.0.0.0.trp";
    for lost in [false, true] {
        let bad = memory.image(|_| Keep::All);
        match lost {
            true => bad.remove(path).unwrap(),
            false => bad.damage(path, |bytes| bytes[20] ^= 1),
        }
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        let impossible = report.problems.iter().filter(|problem| problem.repair == Repair::Impossible).count();
        assert_eq!(impossible, 1, "only what was imported is gone: {report:?}");
        let store = Store::open(Arc::new(bad.clone()), Access::Read).unwrap();
        let mut left = expected.chunks.clone();
        left.remove(&at(1, 3, 0));
        assert_eq!(content(&store, store.standing()).unwrap().chunks, left);
        assert_eq!(bad.paths().iter().any(|name| name.ends_with(".trp.damaged")), !lost);
    }
}

#[test]
fn where_a_crash_left_two_files_and_one_is_damaged_repair_takes_the_other() {
    // A crash right after a region has moved, with everything on the disk but the removal of the old file.
    let memory = MemoryDir::new();
    let (store, expected) = packed_world(&memory);
    store.unpack_region(at(0, 0, 0).region()).unwrap().unwrap();
    let names_changed = memory.pending_bytes().len();
    let left = memory.image(|n| if n + 1 == names_changed { Keep::Nothing } else { Keep::All });
    drop(store);
    let both = ["regions/r.0.0.0.trp", "regions/r.0.0.0.trr"];
    assert!(both.iter().all(|name| left.paths().iter().any(|path| path == name)), "{:?}", left.paths());
    for damaged in both {
        let bad = left.image(|_| Keep::All);
        bad.damage(damaged, |bytes| bytes[20] ^= 1);
        let read =
            Store::open(Arc::new(bad.clone()), Access::Read).and_then(|store| store.chunk(at(0, 1, 0)).map(drop));
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "nobody passes it over in silence: {read:?}");
        let report = check(Arc::new(bad.clone()), true, &|_, _| ()).unwrap();
        assert!(report.problems.len() == 1 && !report.has_losses(), "{damaged}: {report:?}");
        let again = check(Arc::new(bad.clone()), false, &|_, _| ()).unwrap();
        assert!(again.problems.is_empty(), "{damaged}: {again:?}");
        let store = Store::open(Arc::new(bad), Access::Read).unwrap();
        assert_eq!(content(&store, store.standing()).unwrap(), expected, "{damaged}");
    }
    let gone = left.image(|_| Keep::All);
    gone.remove(both[1]).unwrap();
    let read = Store::open(Arc::new(gone.clone()), Access::Read).and_then(|store| store.chunk(at(0, 1, 0)).map(drop));
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "the one that is left says that it has moved: {read:?}");
    let report = check(Arc::new(gone.clone()), true, &|_, _| ()).unwrap();
    assert!(report.problems.len() == 1 && !report.has_losses(), "{report:?}");
    let store = Store::open(Arc::new(gone), Access::Read).unwrap();
    assert_eq!(content(&store, store.standing()).unwrap(), expected);
}

#[test]
fn a_full_disk_while_packing_is_a_typed_error_and_the_region_stays_as_it_was() {
    let memory = MemoryDir::new();
    let (store, expected) = packed_world(&memory);
    store.stored_regions().unwrap().into_iter().for_each(|region| unpack(&store, region));
    Arc::into_inner(store).unwrap().close().unwrap();
    let mut failed = 0;
    for from in 0..40 {
        let image = memory.image(|_| Keep::All);
        let Ok(store) = Store::open(Arc::new(image.clone()), Access::Write) else { panic!("nothing fails yet") };
        image.fail_from(image.operations() + from, Failure::DiskFull);
        match pack_all(&store) {
            Ok(_) => break,
            Err(StoreError::DiskFull { .. }) => failed += 1,
            Err(error) => panic!("from operation {from}: {error}"),
        }
        assert_eq!(content(&store, &store.current_standing()).unwrap(), expected, "from operation {from}");
        image.fail_from(usize::MAX, Failure::DiskFull);
        assert!(pack_all(&store).is_ok(), "there is room again");
        assert_eq!(content(&store, &store.current_standing()).unwrap(), expected, "from operation {from}");
    }
    assert!(failed > 4, "{failed}");
}

/// The file of the first region of [`packed_world`].
fn sample_file() -> (Vec<u8>, RegionPos) {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let made = || {
        let memory = MemoryDir::new();
        drop(packed_world(&memory));
        let mut bytes = Vec::new();
        memory.damage("regions/r.0.0.0.trp", |file| bytes.clone_from(file));
        bytes
    };
    (BYTES.get_or_init(made).clone(), at(0, 0, 0).region())
}

#[test]
fn sealing_what_is_whole_changes_nothing() {
    let (bytes, pos) = sample_file();
    let mut sealed = bytes.clone();
    packed::seal(&mut sealed, pos, WORLD);
    assert!(sealed == bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_a_packed_region_or_a_typed_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        sealed in any::<bool>(),
    ) {
        let (mut bytes, pos) = sample_file();
        for (index, value) in changes {
            // Half of them where the structure is.
            let span = if value & 1 == 0 { packed::HEAD + 4 * packed::ENTRY_BYTES } else { bytes.len() };
            bytes[index.index(span)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if sealed {
            packed::seal(&mut bytes, pos, WORLD);
        }
        if let Ok(file) = PackedFile::parse("a packed region".into(), Map::copied(bytes), pos, WORLD) {
            for index in 0..128 {
                let (chunk, encoded) = (file.chunk(index), file.encoded(index));
                // What is compared with every checksum is never more than what is read.
                prop_assert!(!matches!((&chunk, &encoded), (Err(_) | Ok(None), Ok(Some(_)))));
            }
        }
    }
}

#[test]
fn file_names_of_both_kinds_name_one_region() {
    let pos = RegionPos::new(-3, 1, 7).unwrap();
    assert_eq!(
        (packed::file_name(pos), region::file_name(pos)),
        ("regions/r.-3.1.7.trp".into(), "regions/r.-3.1.7.trr".into())
    );
    assert_eq!(packed::parse_file_name("r.-3.1.7.trp"), Some(pos));
    for other in ["r.-3.1.7.trr", "r.-3.1.7.trp.new", "r.-3.1.trp", "r.-03.1.7.trp", "r.9999999999.1.7.trp"] {
        assert_eq!(packed::parse_file_name(other), None, "{other}");
    }
}

#[test]
fn the_whole_workload_of_the_crash_tests_reads_the_same_when_all_of_it_is_packed() {
    let memory = MemoryDir::new();
    let dir: Arc<dyn Dir> = Arc::new(memory);
    workload(&dir, &pool(), &mut Model::default()).unwrap();
    let store = opened(&dir, Access::Write);
    store.checkpoint().unwrap();
    let before = content(&store, &store.current_standing()).unwrap();
    assert!(pack_all(&store).unwrap() > 0);
    assert_eq!(store.sizes().unwrap().regions, 0);
    assert_eq!(content(&store, &store.current_standing()).unwrap(), before);
}

#[test]
fn ticks_checkpoints_packing_and_reading_at_once_lose_nothing() {
    const TICKS: u64 = 300;
    let side = |tick: u64| (tick / 10 % 2) as i32;
    let folder = tempfile::tempdir().unwrap();
    let dir = Arc::new(OsDir::new(folder.path()));
    dir.make_folders().unwrap();
    create(&*dir);
    let store = Arc::new(Store::open(dir.clone(), Access::Write).unwrap());
    store.load(chunks(), Load::OnlyNew, 1).unwrap();
    let mut world = world(&store, &pool());
    let (done, packed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let beside = Arc::new(Store::open(dir.clone(), Access::Read).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                store.checkpoint().unwrap();
                packed.fetch_add(pack_all(&store).unwrap(), Ordering::Relaxed);
            }
        });
        for own in [&store, &beside] {
            let (mut reader, done) = (own.reader(), &done);
            scope.spawn(move || {
                let (pos, chunk) = (at(3, 1, 0), patterned(700, 3));
                let mut n = 0u16;
                while !done.load(Ordering::Acquire) {
                    n = (n + 4_099) % 32_768;
                    let local = LocalIndex::new(n).unwrap();
                    assert_eq!(reader.voxel(pos.voxel(local)).unwrap(), Some(chunk.get(local)));
                    assert_eq!(*own.chunk(pos).unwrap().unwrap().chunk, chunk);
                }
            });
        }
        for tick in 1..=TICKS {
            let x = (tick % 32) as i32;
            // One region is left alone while the other is changed.
            let wishes = [([130 * side(tick) + x, 33, 3], 1 + (tick % 90) as u16, None)];
            let deltas = world.step(tick, &[edit(1, tick, &wishes)]).unwrap();
            store.commit(&deltas, tick).unwrap();
            store.sync().unwrap();
            while tick % 50 == 0 && store.sizes().unwrap().regions > 0 {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
    });
    let packed = packed.load(Ordering::Relaxed);
    println!("{packed} regions packed during {TICKS} ticks");
    assert!(packed > 2, "{packed}: nothing was packed while it was changed");
    let expected = content(&store, &store.current_standing()).unwrap();
    let last: BTreeMap<i32, u16> =
        (1..=TICKS).map(|tick| (130 * side(tick) + (tick % 32) as i32, 1 + (tick % 90) as u16)).collect();
    for (x, block) in last {
        let pos = VoxelPos::new(x, 33, 3).unwrap();
        let held = store.chunk(pos.chunk()).unwrap().unwrap();
        assert_eq!(held.chunk.get(pos.local()).0, block, "x {x}");
    }
    drop((world, store));
    let again = Store::open(dir.clone(), Access::Write).unwrap();
    assert_eq!(content(&again, again.standing()).unwrap().chunks, expected.chunks);
    drop(again);
    let report = check(dir, false, &|_, _| ()).unwrap();
    assert!(report.problems.is_empty(), "{report:?}");
}
