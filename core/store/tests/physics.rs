//! What is under way outlives a crash: bodies, marks and charges go on where the journal left them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{create, edit, pool};
use std::sync::Arc;
use terrane_store::door::Dir;
use terrane_store::double::MemoryDir;
use terrane_store::{Access, Store};
use terrane_world::physics::RuleSet;
use terrane_world::space::VoxelPos;
use terrane_world::step::{ActorId, Input, World};

fn open(dir: &Arc<dyn Dir>, pool: &Arc<rayon::ThreadPool>) -> (Arc<Store>, World) {
    let store = Arc::new(Store::open(Arc::clone(dir), Access::Write).unwrap());
    let world = common::world(&store, pool).with_physics(RuleSet::Span).unwrap();
    (store, world)
}

/// A tower of stone is built beside a bedrock pillar and cut, sand and charges fall with it; by tick.
fn inputs(world: &World, tick: u64) -> Vec<Input> {
    let id = |name| world.registry().id(name).unwrap().0;
    let (air, stone, sand, tnt, bedrock) = (id("air"), id("stone"), id("sand"), id("tnt"), id("bedrock"));
    let column = |x: i32, from: i32, to: i32, block| (from..to).map(move |y| ([x, y, 127], block, None::<&[u8]>));
    match tick {
        1 => {
            let floor = (0..9).flat_map(|x| (122..133).map(move |z| ([x, -4, z], bedrock, None)));
            vec![edit(1, 1, &floor.collect::<Vec<_>>()), edit(1, 2, &column(4, -3, 24, stone).collect::<Vec<_>>())]
        }
        2 => vec![edit(
            1,
            3,
            &[([5, 14, 127], tnt, Some(b"a fuse")), ([3, 20, 127], sand, None), ([3, 21, 127], sand, None)],
        )],
        4 => vec![edit(2, 1, &column(4, 6, 8, air).collect::<Vec<_>>())],
        12 => vec![Input::Blast { actor: ActorId(2), sequence: 2, at: VoxelPos::new(4, 2, 128).unwrap(), power: 90 }],
        _ => Vec::new(),
    }
}

const TICKS: u64 = 90;

/// The digest after each tick, and whether anything was under way. Stops and starts without closing after the ticks in
/// `crashes`, and makes checkpoints after those in `checkpoints`.
fn run(crashes: &[u64], checkpoints: &[u64]) -> Vec<(u64, bool)> {
    let (dir, pool): (Arc<dyn Dir>, _) = (Arc::new(MemoryDir::default()), pool());
    create(&*dir, "void").unwrap();
    let (mut store, mut world) = open(&dir, &pool);
    let mut digests = Vec::new();
    for tick in 1..=TICKS {
        let deltas = world.step(tick, &inputs(&world, tick)).unwrap();
        store.commit(&deltas, 7).unwrap();
        store.sync().unwrap();
        digests.push((deltas.digest, world.standing().columns.values().any(|state| !state.is_at_rest())));
        if checkpoints.contains(&tick) {
            store.checkpoint().unwrap();
        }
        if crashes.contains(&tick) {
            let before = world.standing().clone();
            drop((store, world));
            (store, world) = open(&dir, &pool);
            let after = world.standing();
            assert_eq!((after.digest, &after.columns), (before.digest, &before.columns), "after tick {tick}");
        }
    }
    digests
}

#[test]
fn a_fall_goes_on_where_a_crash_cut_it() {
    let whole = run(&[], &[]);
    assert!(whole[..40].iter().all(|(_, busy)| *busy), "the scene is over too soon to be cut");
    assert!(!whole[TICKS as usize - 1].1, "the scene is not over");
    for tick in 1..50 {
        assert_eq!(run(&[tick], &[]), whole, "cut after tick {tick}");
    }
    for tick in (1..50).step_by(6) {
        assert_eq!(run(&[tick + 1], &[tick]), whole, "checkpoint at tick {tick}, cut after the next");
        assert_eq!(run(&[tick, tick + 2, tick + 9], &[tick, tick + 2]), whole, "again and again from tick {tick}");
    }
}
