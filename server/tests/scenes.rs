//! Physics on real and on generated ground: each scene under one owner and under four, who agree at every tick.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../core/world/tests/physics/rig.rs"]
mod rig;

use common::succeed;
use rig::{Rig, pos};
use std::path::Path;
use std::sync::Arc;
use terrane_store::store::StoreSource;
use terrane_store::{Access, OsDir, Store};
use terrane_world::physics::RuleSet;
use terrane_world::space::VoxelPos;
use terrane_world::step::{CauseKind, ChunkSource, Deltas};

/// A rig over what a world's folder holds, and generates.
fn rig_over(folder: &Path, corner: VoxelPos) -> Rig {
    let store = Arc::new(Store::open(Arc::new(OsDir::new(folder)), Access::Read).unwrap());
    let source = || -> Box<dyn ChunkSource> { Box::new(StoreSource(Arc::clone(&store))) };
    Rig::over(&store.registry(), &source, corner, 2, RuleSet::Span)
}

fn generated(folder: &Path) -> Rig {
    let world = folder.join("world");
    succeed(&["new", "--world", world.to_str().unwrap(), "--seed", "7"]);
    rig_over(&world, pos(0, 0, 0))
}

/// The height of the ground: the highest voxel that is neither air nor a plant nor water.
fn ground(rig: &mut Rig, x: i32, z: i32) -> i32 {
    let soft = |name: &str| ["air", "water"].contains(&name) || name.contains("leaves") || name.contains("log");
    (-64..200)
        .rev()
        .find(|y| {
            let name = rig.name(pos(x, *y, z));
            let block = rig.id(&name);
            rig.registry.rule(block).unwrap().solid && !soft(&name)
        })
        .unwrap()
}

fn of(block: &str, voxels: impl Iterator<Item = VoxelPos>) -> Vec<(VoxelPos, &str)> {
    voxels.map(|at| (at, block)).collect()
}

fn column(x: i32, y: std::ops::Range<i32>, z: i32) -> impl Iterator<Item = VoxelPos> {
    y.map(move |y| pos(x, y, z))
}

fn total(ticks: &[Deltas], count: fn(&Deltas) -> u64) -> u64 {
    ticks.iter().map(count).sum()
}

/// A trunk in the box that stands on soil: its lowest log, and how high it is.
fn trunk(rig: &mut Rig, near: VoxelPos) -> (VoxelPos, i32) {
    for ring in 4..40 {
        for (x, z) in (-ring..=ring).flat_map(|a| [(a, -ring), (a, ring), (-ring, a), (ring, a)]) {
            for y in 50..100 {
                let at = pos(near.x() + x, y, near.z() + z);
                let is_log = |rig: &mut Rig, at: VoxelPos| rig.name(at).contains("_log");
                let soil = rig.name(pos(at.x(), y - 1, at.z()));
                if is_log(rig, at) && (soil.contains("dirt") || soil.contains("grass_block")) {
                    let height = (0..).take_while(|n| is_log(rig, pos(at.x(), y + n, at.z()))).last().unwrap() + 1;
                    // By itself: a neighbour's branches would hold it.
                    let alone = (3..6).all(|r| {
                        [(r, 0), (-r, 0), (0, r), (0, -r)]
                            .iter()
                            .all(|(dx, dz)| rig.name(pos(at.x() + dx, y + height - 1, at.z() + dz)) == "air")
                    });
                    if height >= 4 && alone {
                        return (at, height);
                    }
                }
            }
        }
    }
    panic!("no trunk near {near}")
}

#[test]
fn a_cut_trunk_in_the_real_forest_drops_its_crown_and_nothing_else_falls() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/forest-1.16.mca");
    let Ok(file) = file.canonicalize() else { return eprintln!("left out: the shared forest is not here") };
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("forest");
    succeed(&["import", file.to_str().unwrap(), "--world", world.to_str().unwrap()]);
    let corner = terrane_forest_corner(&world);
    let mut rig = rig_over(&world, corner);
    let (foot, height) = trunk(&mut rig, corner);
    for _ in 0..5 {
        assert!(rig.step(&[]).is_empty(), "nothing falls at import");
    }
    let top = foot.y() + height;
    let (low, high) = (pos(foot.x() - 2, foot.y(), foot.z() - 2), pos(foot.x() + 2, top + 2, foot.z() + 2));
    let logs = count_like(&mut rig, low, high, "_log");
    let crown = pos(foot.x() - 2, top - 1, foot.z() - 2);
    let leaves = count_like(&mut rig, crown, high, "leaves");
    let cut = rig.edit(&[(foot, "air")]);
    rig.step(&[cut]);
    let ticks = rig.settle(200);
    let left = total(&ticks, |d| d.counts.left);
    assert!(
        left as usize >= height as usize - 1 + leaves / 2,
        "{left} voxels left of {height} logs and {leaves} leaves"
    );
    assert_eq!(left, total(&ticks, |d| d.counts.landed));
    assert_eq!(count_like(&mut rig, low, high, "_log"), logs - 1, "the trunk came down by one, or lies about");
    assert!(count_like(&mut rig, crown, high, "leaves") < leaves, "the crown is lower");
    let far = ticks.iter().flat_map(|d| &d.chunks).map(|delta| delta.pos.origin());
    let is_near = |at: VoxelPos| (at.x() - foot.x()).abs() <= 64 && (at.z() - foot.z()).abs() <= 64;
    assert!(far.into_iter().all(is_near), "only what is around the tree changed");
}

fn count_like(rig: &mut Rig, from: VoxelPos, to: VoxelPos, part: &str) -> usize {
    let all = (from.y()..=to.y())
        .flat_map(|y| (from.z()..=to.z()).flat_map(move |z| (from.x()..=to.x()).map(move |x| pos(x, y, z))));
    all.filter(|at| rig.name(*at).contains(part)).count()
}

/// Where four columns meet in the middle of what a world stores.
fn terrane_forest_corner(world: &Path) -> VoxelPos {
    let store = Store::open(Arc::new(OsDir::new(world)), Access::Read).unwrap();
    let regions = store.stored_regions().unwrap();
    let middle = |part: fn(&terrane_world::space::RegionPos) -> i32| {
        let (least, most) = regions.iter().map(part).fold((i32::MAX, i32::MIN), |(a, b), v| (a.min(v), b.max(v)));
        (least + most + 1) / 2 * 128
    };
    pos(middle(|r| r.x()), 64, middle(|r| r.z()))
}

#[test]
fn a_bridge_of_planks_over_a_border_falls_when_its_piers_are_blown_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = generated(folder.path());
    let piers = [-10, 10];
    let heights = piers.map(|x| ground(&mut rig, x, 3));
    let deck = heights[0].max(heights[1]) + 12;
    let mut inputs = Vec::new();
    for (x, height) in piers.into_iter().zip(heights) {
        inputs.push(rig.edit(&of("stone_bricks", column(x, height - 9..deck, 3))));
    }
    for side in [-10..0, 0..11] {
        inputs.push(rig.edit(&of("oak_planks", side.map(|x| pos(x, deck, 3)))));
    }
    // The piers are founded in rock: soil carries little.
    rig.step(&inputs);
    let quiet = rig.settle(20);
    assert_eq!(total(&quiet, |d| d.counts.left), 0, "it stands");
    assert_eq!(rig.count(pos(-10, deck, 3), pos(10, deck, 3), "oak_planks"), 21);
    let blasts = [rig.blast(pos(-10, heights[0] + 4, 3), 24), rig.blast(pos(10, heights[1] + 4, 3), 24)];
    rig.step(&blasts);
    let ticks = rig.settle(300);
    assert!(total(&ticks, |d| d.counts.left) >= 21);
    assert_eq!(rig.count(pos(-10, deck, 3), pos(10, deck, 3), "oak_planks"), 0);
    let planks = rig.count(pos(-20, deck - 40, -4), pos(20, deck, 10), "oak_planks");
    assert_eq!(planks, 21, "all of it lies below");
}

#[test]
fn a_fuse_of_charges_runs_through_generated_ground_over_a_corner_of_four_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = generated(folder.path());
    let mut inputs = Vec::new();
    for n in -5..5 {
        let (x, z) = (n * 6, n * 5 + 1);
        let height = ground(&mut rig, x, z);
        inputs.push(rig.edit(&of("tnt", column(x, height..height + 2, z))));
    }
    rig.step(&inputs);
    rig.settle(20);
    let height = ground(&mut rig, -30, -24);
    let first = rig.blast(pos(-30, height + 1, -24), 30);
    rig.step(&[first]);
    let ticks = rig.settle(600);
    assert_eq!(total(&ticks, |d| d.counts.blasts), 21, "the first, and each charge once");
    assert!(total(&ticks, |d| d.counts.destroyed) > 500);
    let causes = ticks.iter().flat_map(|d| &d.chunks).map(|delta| delta.cause);
    let root = first_root(&ticks);
    assert!(causes.into_iter().all(|cause| cause.root == root), "all of it comes from the one input");
}

fn first_root(ticks: &[Deltas]) -> u64 {
    ticks.iter().flat_map(|d| &d.chunks).find(|d| d.cause.kind == CauseKind::Blast).unwrap().cause.root
}

#[test]
fn a_tower_on_a_corner_of_four_columns_falls_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = generated(folder.path());
    let corners = [(-1, -1), (0, -1), (-1, 0), (0, 0)];
    let base = corners.map(|(x, z)| ground(&mut rig, x, z)).into_iter().max().unwrap();
    let inputs: Vec<_> = corners
        .iter()
        .map(|(x, z)| {
            let from = ground(&mut rig, *x, *z) + 1;
            rig.edit(&of("stone_bricks", column(*x, from..base + 40, *z)))
        })
        .collect();
    rig.step(&inputs);
    rig.settle(20);
    let cuts: Vec<_> = corners.iter().map(|(x, z)| rig.edit(&of("air", column(*x, base + 4..base + 7, *z)))).collect();
    rig.step(&cuts);
    let ticks = rig.settle(300);
    let left: Vec<_> = ticks.iter().flat_map(|d| &d.chunks).filter(|d| d.cause.kind == CauseKind::Collapse).collect();
    assert!(left.windows(2).all(|two| two[0].body == two[1].body), "one body");
    assert!(left.len() >= 4, "a chunk of each column");
    assert_eq!(total(&ticks, |d| d.counts.left), 33 * 4);
    assert_eq!(
        rig.count(pos(-1, base + 4, -1), pos(0, base + 36, 0), "stone_bricks"),
        33 * 4,
        "it stands on its stump"
    );
}
