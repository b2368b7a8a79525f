//! Block physics: what falls, what bursts, and that it is the same under one owner and under four.
#![allow(clippy::unwrap_used)]

mod rig;

use proptest::prelude::*;
use rig::{Rig, pos};
use terrane_world::limits::WORK_PER_TICK;
use terrane_world::physics::RuleSet;
use terrane_world::space::VoxelPos;
use terrane_world::step::CauseKind;

fn boxed(x: std::ops::Range<i32>, y: std::ops::Range<i32>, z: std::ops::Range<i32>) -> Vec<VoxelPos> {
    y.flat_map(|y| {
        z.clone().flat_map({
            let x = x.clone();
            move |z| x.clone().map(move |x| pos(x, y, z))
        })
    })
    .collect()
}

fn of(block: &str, voxels: Vec<VoxelPos>) -> Vec<(VoxelPos, &str)> {
    voxels.into_iter().map(|at| (at, block)).collect()
}

#[test]
fn a_tower_that_is_cut_falls_whole_and_stands_on_its_stump() {
    let mut rig = Rig::new(&of("stone", boxed(0..2, 0..20, 0..2)), 2, RuleSet::Span);
    let cut = of("air", boxed(0..2, 2..4, 0..2));
    let cut = rig.edit(&cut);
    rig.step(&[cut]);
    let ticks = rig.settle(60);
    let left: Vec<_> = ticks.iter().flat_map(|d| &d.chunks).filter(|d| d.cause.kind == CauseKind::Collapse).collect();
    assert_eq!(left.len(), 1, "one body leaves one chunk in one tick");
    assert_eq!((left[0].cause.actor.0, left[0].cause.root), (1, 1), "the cause is the edit");
    assert_eq!(rig.count(pos(0, 0, 0), pos(1, 17, 1), "stone"), 18 * 4);
    assert_eq!(rig.count(pos(0, 18, 0), pos(1, 19, 1), "stone"), 0);
}

#[test]
fn what_stayed_because_its_cluster_rested_comes_down_when_the_others_have_a_hold_of_their_own() {
    let mut rig = Rig::new(&[], 2, RuleSet::Span);
    // A beam in the air, and one tick later, when it is about to fall, a pier of soil under one end, which holds half of it.
    let beam = rig.edits(&of("bricks", boxed(-12..12, 2..3, 5..6)));
    rig.step(&beam);
    let pier = rig.edits(&of("dirt", boxed(-12..-11, 0..2, 5..6)));
    rig.step(&pier);
    rig.settle(200);
    assert_eq!(rig.hanging(pos(-12, 0, 5), pos(11, 2, 5)), []);
    let held = rig.count(pos(-12, 2, 5), pos(11, 2, 5), "bricks");
    assert!((8..20).contains(&held), "{held} are held by the pier");
    assert_eq!(rig.count(pos(-12, 0, 5), pos(11, 2, 5), "bricks"), 24, "the others lie below");
    // Without the pier nothing holds the rest.
    let cut = rig.edits(&of("air", boxed(-12..-11, 0..2, 5..6)));
    rig.step(&cut);
    rig.settle(200);
    assert_eq!(rig.hanging(pos(-12, 0, 5), pos(11, 2, 5)), []);
}

#[test]
fn what_lands_on_what_still_moves_does_not_stay_in_the_air() {
    let mut rig = Rig::new(&[], 2, RuleSet::Span);
    let gravel = rig.edits(&of("gravel", boxed(0..2, 5..15, -5..5)));
    rig.step(&gravel);
    for _ in 0..29 {
        rig.step(&[]);
    }
    let bricks = rig.edits(&of("bricks", boxed(-9..5, 16..22, -8..2)));
    rig.step(&bricks);
    rig.settle(600);
    assert_eq!(rig.hanging(pos(-30, 0, -30), pos(30, 30, 30)), []);
}

#[test]
fn gravel_that_lands_where_gravel_just_left_is_looked_at_anew() {
    let mut rig = Rig::new(&[], 1, RuleSet::Span);
    let gravel = rig.edits(&of("gravel", boxed(13..22, 18..32, 8..9)));
    rig.step(&gravel);
    rig.settle(600);
    assert_eq!(rig.hanging(pos(0, 0, -10), pos(40, 33, 30)), []);
}

#[test]
fn two_clusters_that_lie_on_each_other_come_down() {
    let mut rig = Rig::new(&[], 1, RuleSet::Span);
    let wall = rig.edits(&of("stone", boxed(6..7, 12..17, 0..6)));
    rig.step(&wall);
    // Through the wall, which is about to leave without it and then rests on it; and it rests on the wall.
    let beam = rig.edits(&of("beam", boxed(4..7, 13..14, 0..1)));
    rig.step(&beam);
    rig.settle(600);
    assert_eq!(rig.hanging(pos(-10, 0, -10), pos(20, 20, 20)), []);
}

#[test]
fn an_edit_that_changes_nothing_does_not_hold_what_is_about_to_fall() {
    let mut rig = Rig::new(&of("stone", boxed(0..1, 0..6, 0..1)), 1, RuleSet::Span);
    let cut = rig.edit(&[(pos(0, 2, 0), "air")]);
    rig.step(&[cut]);
    let same = rig.edit(&[(pos(0, 4, 0), "stone")]);
    rig.step(&[same]);
    rig.settle(60);
    assert_eq!(rig.count(pos(0, 0, 0), pos(0, 4, 0), "stone"), 5, "the upper three stand on the lower two");
}

#[test]
fn under_connectivity_what_rested_on_what_is_taken_away_falls() {
    let mut rig = Rig::new(&of("beam", boxed(0..3, 5..6, 0..1)), 1, RuleSet::Connectivity);
    // Nothing holds the beam, and nobody took its hold away: it stays, and what is put on it rests there.
    let on_it = rig.edit(&of("stone", boxed(0..3, 6..8, 0..1)));
    rig.step(&[on_it]);
    rig.settle(60);
    assert_eq!(rig.count(pos(0, 6, 0), pos(2, 7, 0), "stone"), 6);
    let cut = rig.edit(&of("air", boxed(0..3, 5..6, 0..1)));
    rig.step(&[cut]);
    rig.settle(60);
    assert_eq!(rig.count(pos(0, 0, 0), pos(2, 1, 0), "stone"), 6, "on the ground");
}

#[test]
fn a_bridge_of_thirty_that_spans_eight_loses_its_middle() {
    let mut scene = of("stone", boxed(-16..-15, 0..10, 0..1));
    scene.extend(of("stone", boxed(15..16, 0..10, 0..1)));
    scene.extend(of("beam", boxed(-15..15, 9..10, 0..1)));
    let mut rig = Rig::new(&scene, 1, RuleSet::Span);
    // It stands as it was imported, until somebody touches it.
    rig.step(&[]);
    assert_eq!(rig.count(pos(-15, 9, 0), pos(14, 9, 0), "beam"), 30);
    let touch = rig.edit(&[(pos(-1, 9, 0), "air")]);
    rig.step(&[touch]);
    rig.settle(80);
    assert_eq!(rig.count(pos(-15, 9, 0), pos(14, 9, 0), "beam"), 30 - 1, "what had no support before does not fall");
    // A bridge that is built from one side holds eight blocks from the pillar; what is put further out falls.
    let more: Vec<_> = (0..12).map(|n| (pos(16 + n, 5, 0), "beam")).collect();
    let more = rig.edit(&more);
    rig.step(&[more]);
    rig.settle(80);
    assert_eq!(rig.count(pos(16, 5, 0), pos(27, 5, 0), "beam"), 8);
    assert_eq!(rig.count(pos(16, 0, 0), pos(27, 1, 0), "beam"), 4);
}

#[test]
fn a_chain_of_charges_runs_over_the_borders_of_columns() {
    let charges: Vec<_> = (-6..=6).map(|n| (pos(n * 5, 0, n), "tnt")).collect();
    let mut rig = Rig::new(&charges, 2, RuleSet::Span);
    let first = rig.blast(pos(-30, 1, -6), 40);
    rig.step(&[first]);
    let ticks = rig.settle(400);
    let blasts: u64 = ticks.iter().map(|deltas| deltas.counts.blasts).sum();
    assert_eq!(blasts, 14, "the first, and each charge once");
    assert!(
        ticks.iter().flat_map(|d| &d.chunks).all(|delta| delta.cause.root == 1),
        "all of it is that one input's doing"
    );
    assert_eq!(rig.count(pos(-40, 0, -8), pos(40, 1, 8), "tnt"), 0);
    assert!(rig.count(pos(-40, -4, -8), pos(40, -1, 8), "air") > 50, "they left a trench");
}

#[test]
fn a_slab_wider_than_a_body_falls_in_pieces_of_the_grid() {
    let pillars = [-20, 20].map(|x| of("stone", boxed(x..x + 1, 0..8, -1..0)));
    let scene = [pillars.concat(), of("stone", boxed(-50..50, 8..9, -2..2))].concat();
    let mut rig = Rig::new(&scene, 2, RuleSet::Span);
    let cuts = [-20, 20].map(|x| rig.edit(&[(pos(x, 3, -1), "air")]));
    rig.step(&cuts);
    let ticks = rig.settle(120);
    let bodies: std::collections::BTreeSet<_> = ticks.iter().flat_map(|d| &d.chunks).filter_map(|d| d.body).collect();
    assert!(bodies.len() >= 2, "{bodies:?}");
}

#[test]
fn sand_that_hangs_falls_and_runs_down_to_a_slope() {
    let mut rig = Rig::new(&[], 2, RuleSet::Span);
    let sand = of("sand", boxed(-1..1, 10..40, 0..1));
    let (west, east): (Vec<_>, Vec<_>) = sand.into_iter().partition(|(at, _)| at.x() < 0);
    let inputs = [rig.edit(&west), rig.edit(&east)];
    rig.step(&inputs);
    rig.settle(1_000);
    assert_eq!(rig.count(pos(-40, 0, -40), pos(39, 60, 39), "sand"), 60);
    for at in boxed(-20..20, 0..40, -20..20) {
        let is_top = rig.name(at) == "sand" && rig.name(pos(at.x(), at.y() + 1, at.z())) == "air";
        for (dx, dz) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
            let beside = pos(at.x() + dx, at.y(), at.z() + dz);
            let lower = pos(at.x() + dx, at.y() - 1, at.z() + dz);
            assert!(!is_top || rig.name(beside) != "air" || rig.name(lower) != "air", "sand at {at} lies at an edge");
        }
    }
}

/// More than a tick's work at once: what is over waits, nothing is lost, and each tick stays within its budget.
#[test]
fn a_large_change_is_worked_off_within_the_budget_of_each_tick() {
    let mut rig = Rig::new(&[], 2, RuleSet::Span);
    let layers: Vec<_> = (0..6).map(|y| of("gravel", boxed(2..66, 40 + y..41 + y, 2..66))).collect();
    let inputs: Vec<_> = layers.iter().map(|layer| rig.edit(layer)).collect();
    rig.step(&inputs);
    let ticks = rig.settle(400);
    let marks: Vec<u64> = ticks.iter().map(|deltas| deltas.counts.marks).collect();
    assert!(marks.iter().all(|marks| *marks <= WORK_PER_TICK), "{marks:?}");
    assert!(
        marks.iter().filter(|marks| **marks == WORK_PER_TICK).count() >= 2,
        "it was too little for a budget: {marks:?}"
    );
    let gravel = 6 * 64 * 64;
    assert_eq!(rig.count(pos(-4, 0, -4), pos(72, 12, 72), "gravel"), gravel);
}

#[test]
fn without_rules_everything_stands_and_blasts_still_burst() {
    let mut rig = Rig::new(&of("stone", boxed(0..2, 0..20, 0..2)), 1, RuleSet::Off);
    let inputs = [rig.edit(&of("air", boxed(0..2, 2..4, 0..2))), rig.blast(pos(30, 0, 30), 60)];
    rig.step(&inputs);
    let ticks = rig.settle(10);
    assert!(ticks.iter().any(|deltas| deltas.counts.destroyed > 0));
    assert_eq!(rig.count(pos(0, 4, 0), pos(1, 19, 1), "stone"), 16 * 4);
}

#[test]
fn under_connectivity_what_hangs_together_with_bedrock_stands_however_far() {
    // An arm of sixty leaves, weaker than anything, from a pillar of glass.
    let scene = [of("glass", boxed(0..1, 0..6, 0..1)), of("oak_leaves", boxed(1..61, 5..6, 0..1))].concat();
    let mut rig = Rig::new(&scene, 2, RuleSet::Connectivity);
    let touch = rig.edit(&[(pos(60, 5, 0), "air"), (pos(30, 6, 0), "stone")]);
    rig.step(&[touch]);
    rig.settle(20);
    assert_eq!(rig.count(pos(1, 5, 0), pos(60, 5, 0), "oak_leaves"), 59);
    let cut = rig.edit(&[(pos(20, 5, 0), "air")]);
    rig.step(&[cut]);
    rig.settle(60);
    assert_eq!(rig.count(pos(1, 5, 0), pos(60, 5, 0), "oak_leaves"), 19, "the outer part fell");
    assert_eq!(rig.count(pos(1, 0, 0), pos(60, 0, 0), "oak_leaves"), 39);
    assert_eq!(rig.name(pos(30, 1, 0)), "stone");
    let hung = rig.edit(&[(pos(-9, 20, 0), "stone")]);
    rig.step(&[hung]);
    rig.settle(60);
    assert_eq!(rig.name(pos(-9, 0, 0)), "stone", "what is put into the air falls");
}

#[test]
fn a_world_under_connectivity_has_one_owner() {
    let rig = Rig::new(&[], 1, RuleSet::Connectivity);
    let error = rig.one.owning(std::collections::BTreeSet::new()).err().unwrap();
    assert!(error.to_string().contains("one owner"), "{error}");
}

const BLOCKS: [&str; 6] = ["air", "stone", "beam", "sand", "tnt", "oak_log"];

/// Voxels in a box around the origin, where four columns meet.
fn voxel() -> impl Strategy<Value = (VoxelPos, &'static str)> {
    (-9..9i32, -2..14i32, -9..9i32, 0..BLOCKS.len()).prop_map(|(x, y, z, block)| (pos(x, y, z), BLOCKS[block]))
}

/// A vertical stick, so that scenes have something that stands.
fn stick() -> impl Strategy<Value = Vec<(VoxelPos, &'static str)>> {
    (-9..9i32, -9..9i32, 0..5i32, 1..14i32, 1..BLOCKS.len())
        .prop_map(|(x, z, from, length, block)| of(BLOCKS[block], boxed(x..x + 1, from..from + length, z..z + 1)))
}

/// A block to fill a box with, and the box, over the place where four columns meet.
fn fill() -> impl Strategy<Value = Vec<(VoxelPos, &'static str)>> {
    let blocks = prop::sample::select(&["air", "air", "stone", "beam", "sand", "gravel", "bricks", "dirt"][..]);
    (blocks, -12..8i32, 0..20i32, -12..8i32, 1..12i32, 1..8i32, 1..12i32)
        .prop_map(|(block, x, y, z, dx, dy, dz)| of(block, boxed(x..x + dx, y..y + dy, z..z + dz)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Mass is conserved in each tick, four owners equal one in each tick, and everything comes to rest.
    #[test]
    fn random_edits_and_blasts_conserve_every_voxel_and_agree_under_four_owners(
        sticks in prop::collection::vec(stick(), 0..20),
        edits in prop::collection::vec((prop::collection::vec(voxel(), 1..12), 0..6u64, any::<bool>()), 1..10),
        threads in 1..4usize,
    ) {
        let scene: Vec<_> = sticks.into_iter().flatten().collect();
        let mut rig = Rig::new(&scene, threads, RuleSet::Span);
        for (voxels, pause, bursts) in edits {
            let at = voxels[0].0;
            let same: Vec<_> = voxels.into_iter().filter(|(v, _)| v.chunk().column() == at.chunk().column()).collect();
            let mut inputs = vec![rig.edit(&same)];
            if bursts {
                inputs.push(rig.blast(at, 40));
            }
            rig.step(&inputs);
            (0..pause).for_each(|_| drop(rig.step(&[])));
        }
        rig.settle(2_000);
    }

    /// Whatever was built and cut, in whatever haste: when all is at rest nothing without support has air below it.
    #[test]
    fn at_rest_nothing_that_was_put_there_hangs(
        fills in prop::collection::vec((fill(), 0..40u64), 2..8),
        threads in 1..3usize,
    ) {
        let mut rig = Rig::new(&[], threads, RuleSet::Span);
        for (voxels, pause) in fills {
            let inputs = rig.edits(&voxels);
            rig.step(&inputs);
            (0..pause).for_each(|_| drop(rig.step(&[])));
        }
        rig.settle(3_000);
        prop_assert_eq!(rig.hanging(pos(-40, 0, -40), pos(40, 40, 40)), []);
    }
}
