//! After a crash at any operation, with any part of what was not synced on the disk, the store opens and holds
//! exactly a prefix of what was done, with everything in it that was acknowledged.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use common::{Content, Model, content, edit, pool, workload, world};
use std::sync::Arc;
use terrane_store::door::Dir;
use terrane_store::double::{Failure, Keep, MemoryDir};
use terrane_store::{Access, Store, StoreError};

/// A small generator for choosing subsets; its seed is in every message.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// Runs the workload until operation `crash` and gives the folder and what was done.
fn run_until(crash: usize, pool: &Arc<rayon::ThreadPool>) -> (MemoryDir, Model, bool) {
    let memory = MemoryDir::new();
    memory.fail_from(crash, Failure::Crash);
    let dir: Arc<dyn Dir> = Arc::new(memory.clone());
    let mut model = Model::default();
    let done = workload(&dir, pool, &mut model).is_ok();
    (memory, model, done)
}

/// Which unsynced operations survive: none, all, all but one, all with one torn at each sector, seeded subsets.
fn survivals(pending: &[usize], crash: usize) -> Vec<Vec<Keep>> {
    let count = pending.len();
    let mut all = vec![vec![Keep::Nothing; count], vec![Keep::All; count]];
    for one in 0..count {
        let mut dropped = vec![Keep::All; count];
        dropped[one] = Keep::Nothing;
        all.push(dropped);
        for torn in (512..pending[one]).step_by(512) {
            let mut keep = vec![Keep::All; count];
            keep[one] = Keep::First(torn);
            all.push(keep);
        }
    }
    if count > 1 {
        let mut random = Random(crash as u64);
        for _ in 0..32 {
            all.push((0..count).map(|_| if random.next() & 1 == 0 { Keep::All } else { Keep::Nothing }).collect());
        }
    }
    all
}

/// Opens what a crash left and compares it with the model; `None` if there is no world yet and none was acknowledged.
fn recover(dir: &MemoryDir, model: &Model, what: &str) -> Option<Store> {
    let store = match Store::open(Arc::new(dir.clone()), Access::Write) {
        Ok(store) => store,
        Err(StoreError::NotAWorld { .. }) if model.states.is_empty() => return None,
        Err(error) => panic!("{what}: the world does not open: {error}"),
    };
    let found = content(&store, store.standing()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        store.standing().epoch > model.highest_epoch || model.states.len() <= 1,
        "{what}: epoch {} again",
        store.standing().epoch
    );
    let allowed: Vec<&Content> =
        if model.states.is_empty() { Vec::new() } else { model.states[model.acknowledged..].iter().collect() };
    let same = |state: &&Content| {
        let digest = if state.digest == u64::MAX { found.digest } else { state.digest };
        Content { digest, ..(*state).clone() } == found
    };
    // A world that nobody was told of may hold nothing yet.
    let fits = allowed.iter().any(same) || (model.states.is_empty() && found.chunks.is_empty());
    assert!(fits, "{what}: found {found:#?}\n none of {allowed:#?}");
    Some(store)
}

#[test]
fn recovery_gives_a_prefix_with_everything_acknowledged() {
    let pool = pool();
    let (whole, model, done) = run_until(usize::MAX, &pool);
    assert!(done && model.states.len() > 12, "the workload itself must run through");
    let operations = whole.operations();
    let mut images = 0usize;
    for crash in 0..=operations {
        let (memory, model, _) = run_until(crash, &pool);
        for (n, keep) in survivals(&memory.pending_bytes(), crash).iter().enumerate() {
            let what = || format!("crash at operation {crash}, survival {n} ({keep:?})");
            let image = memory.image(|index| keep[index]);
            images += 1;
            let Some(store) = recover(&image, &model, &what()) else { continue };
            if n < 2 {
                goes_on_working(image, Arc::new(store), &pool, &what());
            }
        }
    }
    println!("{operations} operations, {images} crash images");
    assert!(images > 5_000, "{images} images are fewer than this workload can leave");
}

/// The recovered store takes a tick, and holds it after another start.
fn goes_on_working(image: MemoryDir, store: Arc<Store>, pool: &Arc<rayon::ThreadPool>, what: &str) {
    let mut world = world(&store, pool);
    let deltas = world.step(10_000, &[edit(9, 1, &[([7, 7, 7], 13, None)])]).unwrap();
    store.commit(&deltas, 1).unwrap_or_else(|error| panic!("{what}: {error}"));
    store.sync().unwrap_or_else(|error| panic!("{what}: {error}"));
    let expected = content(&store, world.standing()).unwrap();
    drop((world, store));
    let store =
        Store::open(Arc::new(image), Access::Write).unwrap_or_else(|error| panic!("{what}, second start: {error}"));
    assert_eq!(content(&store, store.standing()).unwrap(), expected, "{what}, second start");
}

#[test]
fn a_crash_while_recovering_from_a_crash_loses_nothing_either() {
    let pool = pool();
    let operations = run_until(usize::MAX, &pool).0.operations();
    let mut images = 0usize;
    for crash in (0..=operations).step_by(3) {
        let (memory, model, _) = run_until(crash, &pool);
        for first in [Keep::Nothing, Keep::All] {
            for second_crash in 0..64 {
                let image = memory.image(|_| first);
                image.fail_from(second_crash, Failure::Crash);
                let opened = Store::open(Arc::new(image.clone()), Access::Write).is_ok();
                for second in [Keep::Nothing, Keep::All] {
                    let what = format!("crash at {crash} ({first:?}), then at {second_crash} of recovery ({second:?})");
                    recover(&image.image(|_| second), &model, &what);
                    images += 1;
                }
                if opened {
                    break;
                }
            }
        }
    }
    assert!(images > 300, "{images}");
}
