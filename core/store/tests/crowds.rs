//! Crowds outlive a crash: agents, fields that wait for a repair and what is owed for the last one go on where the journal
//! left them.
#![allow(clippy::unwrap_used)]

mod common;

use common::{create, edit, pool};
use std::sync::Arc;
use terrane_store::door::Dir;
use terrane_store::double::MemoryDir;
use terrane_store::{Access, Store};
use terrane_world::entity::state::{Errand, Starts};
use terrane_world::physics::RuleSet;
use terrane_world::space::{VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, Input, World};

fn open(dir: &Arc<dyn Dir>, pool: &Arc<rayon::ThreadPool>) -> (Arc<Store>, World) {
    let store = Arc::new(Store::open(Arc::clone(dir), Access::Write).unwrap());
    let world = common::world(&store, pool).with_physics(RuleSet::Span).unwrap();
    (store, world)
}

fn crowd(actor: u64, mode: &str, goal: [i32; 3], from: VoxelBox, count: u32) -> Input {
    let goals = vec![VoxelPos::try_from(goal).unwrap()];
    let within = VoxelBox::new([-48, -32, -48], [48, 32, 48]).unwrap();
    let errand = Errand { mode: mode.into(), goals, within, speed: 300 };
    Input::Crowd { actor: ActorId(actor), sequence: 1, errand, starts: Starts::Within { within: from, count } }
}

/// Two crowds in the air and in a block of stone, and plates that are put across the way of nearly everybody: so much changes
/// by each that the next repairs wait.
fn inputs(world: &World, tick: u64) -> Vec<Input> {
    let id = |name| world.registry().id(name).unwrap().0;
    let (air, bedrock, stone) = (id("air"), id("bedrock"), id("stone"));
    let plate = |sequence: u64, y: i32, block: u16| {
        let strip = |n: u64| {
            let first = -48 + 32 * n as i32;
            let all = (first..first + 32).flat_map(|z| (-48..48).map(move |x| ([x, y, z], block, None::<&[u8]>)));
            edit(1, sequence + n, &all.collect::<Vec<_>>())
        };
        (0..3).map(strip).collect::<Vec<_>>()
    };
    let from = |min, max| VoxelBox::new(min, max).unwrap();
    match tick {
        1 => {
            let floor = (-4..4).flat_map(|z| (10..14).map(move |x| ([x, -21, z], bedrock, None::<&[u8]>)));
            let block = (-20..-17)
                .flat_map(|y| (-4..4).flat_map(move |z| (10..14).map(move |x| ([x, y, z], stone, None::<&[u8]>))));
            vec![edit(1, 1, &floor.chain(block).collect::<Vec<_>>())]
        }
        2 => vec![
            crowd(7, "fly", [0, -10, 0], from([-30, 10, -30], [30, 14, 30]), 400),
            crowd(8, "tunnel", [12, -19, 0], from([0, -16, -6], [20, -14, 6]), 30),
        ],
        4 => plate(2, -4, bedrock),
        5 => plate(5, 0, bedrock),
        7 => plate(8, -4, air),
        9 => plate(11, 0, air),
        30 => vec![Input::Dismiss { actor: ActorId(7), sequence: 2 }],
        _ => Vec::new(),
    }
}

const TICKS: u64 = 36;

/// The digest after each tick, with agents and whether a field was stale. Stops and starts without closing after the ticks in
/// `crashes`, and makes checkpoints after those in `checkpoints`.
fn run(crashes: &[u64], checkpoints: &[u64]) -> Vec<(u64, usize, u64, u64)> {
    let (dir, pool): (Arc<dyn Dir>, _) = (Arc::new(MemoryDir::default()), pool());
    create(&*dir, "void").unwrap();
    let (mut store, mut world) = open(&dir, &pool);
    let mut told = Vec::new();
    for tick in 1..=TICKS {
        let deltas = world.step(tick, &inputs(&world, tick)).unwrap();
        store.commit(&deltas, 7).unwrap();
        store.sync().unwrap();
        told.push((deltas.digest, world.agent_count(), deltas.counts.stale, deltas.counts.dug));
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
    told
}

#[test]
fn crowds_go_on_where_a_crash_cut_them() {
    let whole = run(&[], &[]);
    let agents: Vec<usize> = whole.iter().map(|(_, agents, ..)| *agents).collect();
    assert_eq!(agents[1], 430);
    assert!(agents[TICKS as usize - 1] < 30, "{agents:?}");
    assert!(whole.iter().any(|(.., stale, _)| *stale > 0), "no field ever waits for its repair");
    assert!(whole.iter().any(|(.., dug)| *dug > 0), "nobody digs");
    for tick in 2..16 {
        assert_eq!(run(&[tick], &[]), whole, "cut after tick {tick}");
    }
    for tick in (3..33).step_by(7) {
        assert_eq!(run(&[tick + 1], &[tick]), whole, "checkpoint at tick {tick}, cut after the next");
        assert_eq!(run(&[tick, tick + 2], &[tick, tick + 2]), whole, "again and again from tick {tick}");
    }
}
