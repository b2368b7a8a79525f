//! Backups: exact at their tick whatever the world does meanwhile, and refused where a byte of them is wrong.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic")]

mod common;

use common::{Content, content, edit, pack_all, patterned, pool, world};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_store::backup::{BackupError, BackupFile, Hooks, Restored, Taken, restore, take};
use terrane_store::door::Dir;
use terrane_store::double::{Keep, MemoryDir};
use terrane_store::{Access, Load, Settings, Store, StoreError, check};
use terrane_world::block::BlockId;
use terrane_world::chunk::Chunk;
use terrane_world::generate::stage::BuiltInOnly;
use terrane_world::space::ChunkPos;
use terrane_world::step::World;

const IDENTITY: &str = "seed 7 generator hills 1";

fn at(x: i32, y: i32, z: i32) -> ChunkPos {
    ChunkPos::new(x, y, z).unwrap()
}

/// Takes a backup, and calls `between` at each region that is copied.
fn backup(
    memory: &MemoryDir,
    out: &MemoryDir,
    name: &str,
    since: Option<&BackupFile>,
    between: &dyn Fn(usize),
) -> Result<Taken, BackupError> {
    let dir: Arc<dyn Dir> = Arc::new(memory.clone());
    let hooks =
        Hooks { identity: IDENTITY, source: &BuiltInOnly, progress: &|done, _| between(done), pause: &|| between(99) };
    take(&dir, out, name, since, &hooks)
}

fn restored(file: &BackupFile, bases: &[BackupFile], to: &MemoryDir) -> Result<Restored, BackupError> {
    let dir: Arc<dyn Dir> = Arc::new(to.clone());
    restore(file, bases, &dir, &BuiltInOnly, &|_: &Settings| IDENTITY.to_owned(), &|_, _| ())
}

/// A world that goes on, and what it held after each thing that was done.
struct Live {
    memory: MemoryDir,
    store: Arc<Store>,
    world: RefCell<World>,
    next: Cell<u64>,
    known: RefCell<BTreeMap<(u64, u64), Content>>,
}

impl Live {
    fn new() -> Self {
        let memory = MemoryDir::new();
        common::create(&memory, "hills").unwrap();
        let store = Arc::new(Store::open(Arc::new(memory.clone()), Access::Write).unwrap());
        let chunks = (0..5).map(|x| (at(4 * x, 3, 0), patterned(9, x as u16))).collect();
        store.load(chunks, Load::OnlyNew, 1).unwrap();
        let mut standing = store.standing().clone();
        standing.digest = store.current_standing().digest;
        let source = Box::new(terrane_store::store::StoreSource(Arc::clone(&store)));
        let world = RefCell::new(World::new(pool(), source, store.registry(), standing));
        let live = Self { memory, store, world, next: Cell::new(1), known: RefCell::default() };
        live.remember();
        live
    }

    fn remember(&self) {
        self.store.sync().unwrap();
        let standing = self.store.current_standing();
        let content = content(&self.store, &standing).unwrap();
        self.known.borrow_mut().insert((standing.tick, standing.digest), content);
    }

    /// One tick: an edit in each of some regions, one of them in a chunk that was never stored.
    fn tick(&self) {
        let n = self.next.replace(self.next.get() + 1);
        let x = n as i32;
        let sign: &[u8] = &n.to_le_bytes();
        let wishes = [
            ([x % 90, 100, 3], 9, None),
            ([130 + x % 9, 100, 3], 4, Some(sign)),
            ([260 + x, 100 + 32 * (x % 5), 40], 9, None),
        ];
        let deltas = self.world.borrow_mut().step(n, &[edit(n % 3, n, &wishes)]).unwrap();
        self.store.commit(&deltas, n).unwrap();
        self.remember();
    }

    fn content_at(&self, tick: u64, digest: u64) -> Content {
        self.known.borrow()[&(tick, digest)].clone()
    }
}

/// Restores a chain and compares it with what the world held at the tick of its last file.
fn is_exact(live: &Live, out: &MemoryDir, taken: &Taken, name: &str, bases: &[&str]) -> MemoryDir {
    let file = BackupFile::open(out, name).unwrap();
    let bases: Vec<BackupFile> = bases.iter().map(|name| BackupFile::open(out, name).unwrap()).collect();
    let to = MemoryDir::new();
    let made = restored(&file, &bases, &to).unwrap();
    assert_eq!((made.tick, made.digest, &made.content), (taken.tick, taken.digest, &taken.content));
    let store = Store::open(Arc::new(to.clone()), Access::Read).unwrap();
    assert_eq!(content(&store, store.standing()).unwrap(), live.content_at(taken.tick, taken.digest), "{name}");
    let report = check(Arc::new(to.clone()), false, &|_, _| ()).unwrap();
    assert!(report.problems.is_empty(), "{name}: {report:?}");
    to
}

/// What the world does while regions are copied, told how many have been.
type Work<'a> = &'a dyn Fn(&Live, usize);

#[test]
fn a_backup_of_a_world_that_goes_on_meanwhile_is_exact_at_its_tick() {
    let works: [(&str, Work<'_>); 5] = [
        ("nothing", &|_, _| ()),
        ("ticks", &|live, _| (0..3).for_each(|_| live.tick())),
        ("ticks and checkpoints", &|live, done| {
            live.tick();
            if done % 2 == 1 {
                live.store.checkpoint().unwrap();
            }
            live.tick();
        }),
        ("packing and unpacking", &|live, _| {
            live.store.checkpoint().unwrap();
            pack_all(&live.store).unwrap();
            live.tick();
        }),
        ("checkpoints alone", &|live, _| assert!(live.store.checkpoint().is_ok())),
    ];
    for (what, work) in works {
        let live = Live::new();
        (0..6).for_each(|_| live.tick());
        let out = MemoryDir::new();
        let taken = backup(&live.memory, &out, "one", None, &|done| work(&live, done)).unwrap();
        is_exact(&live, &out, &taken, "one", &[]);
        assert_eq!(taken.copied, taken.chunks, "{what}");
        assert_eq!(taken.tick, live.store.current_standing().tick, "{what}: the last tick that was durable at the end");
    }
}

#[test]
fn chunks_that_are_loaded_while_a_backup_is_taken_are_in_it_as_its_tick_has_them() {
    let live = Live::new();
    live.tick();
    let (out, loads) = (MemoryDir::new(), Cell::new(0));
    let work = |done: usize| {
        if done < 3 {
            loads.set(loads.get() + 1);
            // One that was copied already, one in a region that nobody has seen yet.
            let n = loads.get() as u16;
            let chunks = vec![(at(0, 3, 0), patterned(30, n)), (at(40, i32::from(n), 0), Chunk::uniform(BlockId(5)))];
            live.store.load(chunks, Load::Replace, 1).unwrap();
            live.remember();
        }
    };
    let taken = backup(&live.memory, &out, "one", None, &work).unwrap();
    assert_eq!(loads.get(), 3);
    is_exact(&live, &out, &taken, "one", &[]);
}

#[test]
fn a_backup_since_another_has_what_differs_and_needs_the_files_before_it() {
    let live = Live::new();
    live.tick();
    live.store.checkpoint().unwrap();
    let out = MemoryDir::new();
    let first = backup(&live.memory, &out, "first", None, &|_| ()).unwrap();
    let mut names = vec!["first"];
    for name in ["second", "third", "fourth"] {
        let since = BackupFile::open(&out, names[0]).unwrap();
        // While the third is taken the world goes on.
        let work = |_| {
            if name == "third" {
                live.tick()
            }
        };
        live.tick();
        if name != "fourth" {
            live.store.checkpoint().unwrap();
        }
        let taken = backup(&live.memory, &out, name, Some(&since), &work).unwrap();
        assert!(taken.copied > 0 && taken.copied < taken.chunks, "{name}: {taken:?}");
        assert!(taken.bytes < first.bytes || name != "second", "{name}: {taken:?}");
        is_exact(&live, &out, &taken, name, &names);
        let file = BackupFile::open(&out, name).unwrap();
        let missing = restored(&file, &[], &MemoryDir::new()).unwrap_err();
        assert!(matches!(missing, BackupError::MissingBase { .. }), "{missing}");
        names.insert(0, name);
    }
}

#[test]
fn what_waits_for_a_checkpoint_is_not_copied_again_when_it_is_the_same() {
    let live = Live::new();
    live.store.checkpoint().unwrap();
    (0..8).for_each(|_| live.tick());
    let out = MemoryDir::new();
    let first = backup(&live.memory, &out, "first", None, &|_| ()).unwrap();
    let since = BackupFile::open(&out, "first").unwrap();
    let second = backup(&live.memory, &out, "second", Some(&since), &|_| ()).unwrap();
    // Of the last frame nobody who reads knows at first whether it is durable: its three chunks are copied as they were before it.
    assert!(second.copied <= 3 && first.copied > 8, "{first:?} {second:?}");
    is_exact(&live, &out, &second, "second", &["first"]);
}

#[test]
fn an_earlier_backup_of_another_world_or_of_a_world_that_went_another_way_is_not_believed() {
    let live = Live::new();
    live.tick();
    live.store.checkpoint().unwrap();
    let out = MemoryDir::new();
    let first = backup(&live.memory, &out, "first", None, &|_| ()).unwrap();
    // The restored world is opened twice, and so comes to the epoch of the other one with other changes.
    let other = is_exact(&live, &out, &first, "first", &[]);
    let since = BackupFile::open(&out, "first").unwrap();
    let store = Arc::new(Store::open(Arc::new(other.clone()), Access::Write).unwrap());
    let mut going = world(&store, &pool());
    let deltas = going.step(50, &[edit(1, 50, &[([3, 100, 3], 11, None)])]).unwrap();
    store.commit(&deltas, 1).unwrap();
    store.checkpoint().unwrap();
    let expected = content(&store, &store.current_standing()).unwrap();
    let taken = backup(&other, &out, "branch", Some(&since), &|_| ()).unwrap();
    let to = MemoryDir::new();
    let files = [BackupFile::open(&out, "first").unwrap()];
    restored(&BackupFile::open(&out, "branch").unwrap(), &files, &to).unwrap();
    let again = Store::open(Arc::new(to), Access::Read).unwrap();
    assert_eq!(content(&again, again.standing()).unwrap(), expected, "{taken:?}");
    let strange = MemoryDir::new();
    let settings = Settings { id: *b"quite another id", ..common::settings("hills") };
    Store::create(&strange, &settings, &terrane_world::block::Registry::built_in()).unwrap();
    let refused = backup(&strange, &out, "strange", Some(&since), &|_| ()).unwrap_err();
    assert!(matches!(refused, BackupError::OtherWorld { .. }), "{refused}");
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let live = Live::new();
    let out = MemoryDir::new();
    backup(&live.memory, &out, "one", None, &|_| ()).unwrap();
    let again = backup(&live.memory, &out, "one", None, &|_| ()).unwrap_err();
    assert!(matches!(again, BackupError::Exists { .. }), "{again}");
    let file = BackupFile::open(&out, "one").unwrap();
    let before = live.memory.paths();
    let refused = restored(&file, &[], &live.memory).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    assert_eq!(live.memory.paths(), before);
}

#[test]
fn a_flipped_byte_or_a_cut_of_a_backup_is_a_typed_error_and_nothing_is_written() {
    let live = Live::new();
    live.tick();
    let out = MemoryDir::new();
    backup(&live.memory, &out, "one", None, &|_| ()).unwrap();
    let mut length = 0;
    out.damage("one", |bytes| length = bytes.len());
    for n in (0..length).filter(|n| *n < 200 || n % 41 == 0 || n + 200 > length) {
        for cut in [false, true] {
            let bad = out.image(|_| Keep::All);
            bad.damage("one", |bytes| if cut { bytes.truncate(n) } else { bytes[n] ^= 0x10 });
            let opened = BackupFile::open(&bad, "one");
            assert!(matches!(opened, Err(BackupError::Damaged { .. })), "byte {n}, cut {cut}: {opened:?}");
        }
    }
}

#[test]
fn a_disk_that_is_full_leaves_no_backup_of_that_name() {
    use terrane_store::double::Failure;
    let (live, mut failed) = (Live::new(), 0);
    for from in 0..12 {
        let out = MemoryDir::new();
        out.fail_from(from, Failure::DiskFull);
        match backup(&live.memory, &out, "one", None, &|_| ()) {
            Ok(_) => assert!(BackupFile::open(&out, "one").is_ok()),
            Err(BackupError::Store(StoreError::DiskFull { .. })) => {
                failed += 1;
                assert!(!out.paths().contains(&"one".to_owned()), "from {from}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(failed > 3, "{failed}");
}
