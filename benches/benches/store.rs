//! The store against LMDB and SQLite: writing, reading, editing, opening.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use terrane_benches::content::{BASE_CHUNKS, Content, Place, places};
use terrane_benches::lmdb::Lmdb;
use terrane_benches::mapped::Mapped;
use terrane_benches::rounds::{Rounds, Run};
use terrane_benches::sqlite::Sqlite;
use terrane_benches::{CHUNKS, EDITS, FEW_CHUNKS, READS, SLOW_READS, files, goals, lmdb, mapped, ours, sqlite};
use terrane_store::Access;

static CONTENT: LazyLock<Content> = LazyLock::new(Content::generate);
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| files::scratch("store"));

/// A folder of one competitor, filled if an earlier benchmark has not done it.
fn filled(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let folder = FOLDER.join(name);
    if !folder.exists() {
        files::empty(&folder);
        fill(&folder);
    }
    folder
}

fn our_world() -> PathBuf {
    filled("terrane", |folder| ours::close(ours::write(folder, &CONTENT, CHUNKS)))
}

fn our_small_world() -> PathBuf {
    filled("terrane-few", |folder| ours::close(ours::write(folder, &CONTENT, FEW_CHUNKS)))
}

fn lmdb_chunks() -> PathBuf {
    filled("lmdb", |folder| {
        let lmdb = Lmdb::create(folder);
        lmdb.write(&CONTENT, CHUNKS);
        lmdb.close();
    })
}

fn sqlite_chunks() -> PathBuf {
    filled("sqlite", |folder| Sqlite::open(folder).write(&CONTENT, CHUNKS))
}

/// Times a run in an empty folder on a quiet disk, and measures the folder.
fn in_empty(name: &str, work: impl FnOnce(&Path)) -> Run {
    let folder = FOLDER.join(name);
    files::empty(&folder);
    files::settle(&folder);
    let run = Run::timed(CHUNKS, || work(&folder));
    Run { disk_bytes: files::disk_bytes(&folder), ..run }
}

fn bulk_write(criterion: &mut Criterion) {
    assert_eq!(CONTENT.base().len(), BASE_CHUNKS);
    let rounds = Rounds::new("store/bulk write")
        .with(ours::NAME, ours::version(), |_| {
            let mut store = None;
            let run = in_empty("terrane", |folder| store = Some(ours::write(folder, &CONTENT, CHUNKS)));
            ours::close(store.expect("just written"));
            run
        })
        .with(lmdb::NAME, lmdb::version(), |_| {
            let mut open = None;
            let run = in_empty("lmdb", |folder| {
                let lmdb = open.insert(Lmdb::create(folder));
                lmdb.write(&CONTENT, CHUNKS);
            });
            open.expect("just written").close();
            run
        })
        .with(sqlite::NAME, sqlite::version(), |_| {
            in_empty("sqlite", |folder| Sqlite::open(folder).write(&CONTENT, CHUNKS))
        });
    let finished = rounds.measure(criterion);
    finished.write_rate("chunks");
    finished.write_disk("store/disk");
}

fn voxel_reads(criterion: &mut Criterion) {
    let store = ours::open(&our_world(), Access::Read);
    let mut reader = store.reader();
    let (lmdb, sqlite) = (Lmdb::open(&lmdb_chunks()), Sqlite::open(&sqlite_chunks()));
    let map_file = FOLDER.join("mapped");
    let map = Mapped::create(&map_file, &CONTENT, CHUNKS);
    let many = |round| places(round, READS, CHUNKS);
    let few = |round| places(round, SLOW_READS, CHUNKS);
    check_sums(&mut reader, &lmdb, &sqlite, &map);
    let timed = |places: &[Place], read: &mut dyn FnMut(&[Place]) -> u64| {
        Run::timed(places.len(), || {
            std::hint::black_box(read(places));
        })
    };
    let rounds = Rounds::new("store/voxel reads")
        .with(ours::NAME, ours::version(), |round| timed(&many(round), &mut |places| ours::read(&mut reader, places)))
        .with(lmdb::NAME, lmdb::version(), |round| timed(&many(round), &mut |places| lmdb.read(places)))
        .with(sqlite::NAME, sqlite::version(), |round| timed(&few(round), &mut |places| sqlite.read(places)))
        .with(mapped::NAME, mapped::version(), |round| timed(&many(round), &mut |places| map.read(places)));
    rounds.measure(criterion).write_rate("voxels");
    lmdb.close();
    drop(map);
    fs::remove_file(map_file).expect("the file is ours");
}

/// All competitors must have read the same.
fn check_sums(reader: &mut terrane_store::Reader, lmdb: &Lmdb, sqlite: &Sqlite, map: &Mapped) {
    let places = places(1 << 20, SLOW_READS, CHUNKS);
    let expected: u64 = places.iter().map(|p| u64::from(CONTENT.voxel(p.chunk as usize, p.local.into()))).sum();
    let sums = [ours::read(reader, &places), lmdb.read(&places), sqlite.read(&places), map.read(&places)];
    assert_eq!(sums, [expected; 4], "ours, LMDB, SQLite and the mapped file");
}

fn open(criterion: &mut Criterion) {
    let (many, few, lmdb_folder) = (our_world(), our_small_world(), lmdb_chunks());
    let ours = |folder: &Path| {
        files::settle(folder);
        let mut store = None;
        let run = Run::timed(1, || store = Some(ours::open(folder, Access::Write)));
        drop(store);
        run
    };
    let rounds = Rounds::new("store/open")
        .with(ours::NAME, ours::version(), |_| ours(&many))
        .with(goals::FEW, ours::version(), |_| ours(&few))
        .with(goals::AND_READ, ours::version(), |round| {
            files::settle(&many);
            let mut store = None;
            let run = Run::timed(1, || {
                let store = store.insert(ours::open(&many, Access::Write));
                std::hint::black_box(ours::read(&mut store.reader(), &places(round, 1, CHUNKS)));
            });
            drop(store);
            run
        })
        .with(lmdb::NAME, lmdb::version(), |round| {
            files::settle(&lmdb_folder);
            let mut lmdb = None;
            let run = Run::timed(1, || {
                let lmdb = lmdb.insert(Lmdb::open(&lmdb_folder));
                std::hint::black_box(lmdb.read(&places(round, 1, CHUNKS)));
            });
            lmdb.expect("just opened").close();
            run
        });
    rounds.measure(criterion).write_milliseconds("");
}

/// Last, because it changes the chunks.
fn edits(criterion: &mut Criterion) {
    let (ours_folder, lmdb_folder, sqlite_folder) = (our_world(), lmdb_chunks(), sqlite_chunks());
    let edits = |round: u64| -> Vec<(Place, u16)> {
        let changed = |place: Place| {
            let block = CONTENT.voxel(place.chunk as usize, place.local.into());
            (place, (block + 1) % terrane_benches::content::MATERIALS)
        };
        places(1000 + round, EDITS, CHUNKS).into_iter().map(changed).collect()
    };
    let (lmdb, sqlite) = (Lmdb::open(&lmdb_folder), Sqlite::open(&sqlite_folder));
    let rounds = Rounds::new("store/edits")
        .with(ours::NAME, ours::version(), |round| {
            let inputs = ours::edits(&edits(round), round);
            let mut editor = ours::Editor::new(&ours_folder);
            files::settle(&ours_folder);
            let run = Run::timed(EDITS, || editor.apply(&inputs));
            editor.close();
            run
        })
        .with(lmdb::NAME, lmdb::version(), |round| {
            let edits = edits(round);
            files::settle(&lmdb_folder);
            Run::timed(EDITS, || lmdb.edit(&edits))
        })
        .with(sqlite::NAME, sqlite::version(), |round| {
            let edits = edits(round);
            files::settle(&sqlite_folder);
            let run = Run::timed(EDITS, || sqlite.edit(&edits));
            sqlite.checkpoint();
            run
        });
    rounds.measure(criterion).write_rate("edits");
    lmdb.close();
}

criterion_group!(benches, bulk_write, voxel_reads, open, edits);
criterion_main!(benches);
