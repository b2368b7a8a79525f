//! Paths: fields, ways and searches against a small, slow definition of the same.
#![allow(clippy::unwrap_used)]

mod reference;
mod scene;
mod terrain;

use proptest::prelude::*;
use reference::Reference;
use scene::{Scene, pos};
use std::collections::BTreeMap;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::path::PathError;
use terrane_world::path::box_around;
use terrane_world::path::field::{FlowField, Reach};
use terrane_world::path::mode::{Mode, Modes, parse_modes};
use terrane_world::path::navigation::Navigation;
use terrane_world::path::reach::reachable;
use terrane_world::path::search::{End, Searcher};
use terrane_world::relax::EXITS;
use terrane_world::space::{ChunkPos, VoxelBox, VoxelPos};

/// Modes that differ in everything a mode can differ in.
const OWN: &str = "
[cat]\ncost = \"walk\"\nstep_up = 2\ndrop = 6\nswim = false\nclimb = false
[giant]\ncost = \"walk\"\nheight = 4\nwidth = 2\nstep_up = 2
[crab]\ncost = \"walk\"\nneighbours = 26\nheight = 1\nstep_up = 1\ndrop = 1
[snail]\ncost = \"walk\"\nstep_up = 0\ndrop = 0
[dragon]\ncost = \"fly\"\nheight = 2\nwidth = 3
[bee]\ncost = \"fly\"\nneighbours = 26
[fish]\ncost = \"swim\"
[worm]\ncost = \"dig\"\nneighbours = 26
";

fn modes() -> Modes {
    Modes::with(&parse_modes("own", OWN).unwrap())
}

fn all_modes() -> Vec<Mode> {
    modes().iter().cloned().collect()
}

/// Where random scenes are: across the borders of eight chunks.
fn within() -> VoxelBox {
    VoxelBox::new([-7, -6, -7], [7, 8, 7]).unwrap()
}

fn voxels(within: VoxelBox) -> impl Iterator<Item = VoxelPos> {
    let (min, max) = (within.min(), within.max());
    (min[1]..max[1]).flat_map(move |y| (min[2]..max[2]).flat_map(move |z| (min[0]..max[0]).map(move |x| pos(x, y, z))))
}

/// Boxes of blocks put one over the other in solid stone with a large room in it.
fn scenes() -> impl Strategy<Value = Vec<([i32; 3], [i32; 3], &'static str)>> {
    const BLOCKS: [&str; 13] = [
        "air",
        "air",
        "air",
        "stone",
        "stone",
        "grass_block",
        "stone_bricks",
        "mud",
        "water",
        "lava",
        "ladder",
        "cobweb",
        "cactus",
    ];
    let part = (-7..7i32, -6..8i32, -7..7i32, 1..6i32, 1..5i32, 1..6i32, prop::sample::select(&BLOCKS[..]));
    prop::collection::vec(part, 4..40).prop_map(|parts| {
        let all = parts.into_iter().map(|(x, y, z, dx, dy, dz, block)| ([x, y, z], [x + dx, y + dy, z + dz], block));
        [([-7, -2, -7], [7, 8, 7], "air")].into_iter().chain(all).collect()
    })
}

fn field(scene: &mut Scene, navigation: &mut Navigation, goals: &[VoxelPos]) -> Result<FlowField, PathError> {
    let registry = scene.registry.clone();
    FlowField::solve(navigation, scene, &registry, goals, within(), None)
}

fn check_field(reference: &Reference<'_>, field: &FlowField) {
    let expected = reference.costs(field.goals());
    let reaches: BTreeMap<ChunkPos, Vec<Reach>> = field.chunks().map(|pos| (pos, field.reaches(pos))).collect();
    let flows: BTreeMap<ChunkPos, _> = field.chunks().map(|pos| (pos, field.flows(pos))).collect();
    let told = |flows: &BTreeMap<ChunkPos, Box<[u8; CHUNK_VOXELS]>>, at: VoxelPos| {
        Some(flows[&at.chunk()][at.local().index()].into()).filter(|flow: &usize| *flow < 26)
    };
    for at in voxels(within()) {
        let reach = field.reach(at);
        let is_goal = field.goals().contains(&at);
        match (reference.enter(at), expected.get(&at)) {
            (None, _) => assert_eq!(reach, Reach::Blocked, "{at}"),
            (Some(_), _) if is_goal => assert_eq!(reach, Reach::Goal, "{at}"),
            (Some(_), Some(cost)) => assert_eq!(reach, Reach::Cost(*cost), "{at}"),
            (Some(_), None) => assert_eq!(reach, Reach::Unreachable, "{at}"),
        }
        assert_eq!(field.enter(at), reference.enter(at), "{at}");
        let flow = field.flow(at);
        assert_eq!((reaches[&at.chunk()][at.local().index()], told(&flows, at)), (reach, flow), "{at}");
        assert_eq!(flow.is_some(), matches!(reach, Reach::Cost(_)), "{at}");
        if let Some(exit) = flow {
            let best = (0..26).filter_map(|exit| {
                let (to, cost) = reference.step(at, exit)?;
                Some((expected.get(&to)? + cost, exit))
            });
            assert_eq!(best.min().map(|(_, exit)| exit), Some(exit), "the first of the best moves at {at}");
        }
    }
}

fn goals(reference: &Reference<'_>, seed: u64, count: usize) -> Vec<VoxelPos> {
    let open: Vec<VoxelPos> = voxels(within()).filter(|at| reference.enter(*at).is_some()).collect();
    let place = |n: u64| open[(seed.wrapping_add(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % open.len()];
    if open.is_empty() { Vec::new() } else { (0..count as u64).map(place).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn fields_on_the_ground_equal_a_plain_directed_dijkstra(parts in scenes(), seed: u64, count in 1..4usize) {
        check_scene(&parts, modes().get("ground").unwrap(), seed, count);
    }
}

fn check_scene(parts: &[([i32; 3], [i32; 3], &str)], mode: &Mode, seed: u64, count: usize) {
    let mut scene = Scene::new(parts);
    let mut navigation = Navigation::new(mode, &scene.registry).unwrap();
    let blocks = scene.clone();
    let reference = Reference::new(&blocks, mode, within());
    let goals = goals(&reference, seed, count);
    if !goals.is_empty() {
        let field = field(&mut scene, &mut navigation, &goals).unwrap();
        check_field(&reference, &field);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn fields_of_every_mode_equal_a_plain_directed_dijkstra(
        parts in scenes(), mode in prop::sample::select(all_modes()), seed: u64, count in 1..4usize,
    ) {
        check_scene(&parts, &mode, seed, count);
    }

    #[test]
    fn a_field_that_is_repaired_equals_one_solved_anew(
        parts in scenes(), mode in prop::sample::select(all_modes()), seed: u64,
        edits in prop::collection::vec((-7..7i32, -6..8i32, -7..7i32, 0..4usize), 1..20),
    ) {
        let mut scene = Scene::new(&parts);
        let mut navigation = Navigation::new(&mode, &scene.registry).unwrap();
        let goals = goals(&Reference::new(&scene.clone(), &mode, within()), seed, 2);
        if goals.is_empty() {
            return Ok(());
        }
        let mut repaired = field(&mut scene, &mut navigation, &goals).unwrap();
        for edits in edits.chunks(3) {
            let mut chunks = std::collections::BTreeSet::new();
            for (x, y, z, block) in edits {
                let at = pos(*x, *y, *z);
                scene.set(at, ["air", "stone", "water", "mud"][*block]);
                navigation.changed(at.chunk());
                chunks.extend(navigation.affected(at));
            }
            let chunks: Vec<_> = chunks.into_iter().collect();
            let told = |field: &FlowField| -> Vec<(u64, Vec<Reach>)> {
                field.chunks().map(|pos| (field.fingerprint(pos), field.reaches(pos))).collect()
            };
            let before = told(&repaired);
            repaired.repair(&mut navigation, &mut scene, &chunks);
            for (pos, (old, new)) in repaired.chunks().zip(before.iter().zip(told(&repaired))) {
                prop_assert!(chunks.contains(&pos) || old.0 != new.0 || old.1 == new.1, "{} changed unseen", pos);
            }
            let blocks = scene.clone();
            let reference = Reference::new(&blocks, &mode, within());
            let open: Vec<_> = goals.iter().copied().filter(|at| reference.enter(*at).is_some()).collect();
            let expected = reference.costs(&open);
            for at in voxels(within()) {
                prop_assert_eq!(repaired.reach(at).cost(), expected.get(&at).copied(), "{}", at);
                prop_assert_eq!(repaired.enter(at), reference.enter(at), "{}", at);
            }
        }
    }

}

proptest! {
    // The definition is slow over all that is loaded.
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_a_legal_way_that_is_nearly_the_best(
        parts in scenes(), mode in prop::sample::select(all_modes()), seed: u64,
    ) {
        let mut scene = Scene::new(&parts);
        let mut navigation = Navigation::new(&mode, &scene.registry).unwrap();
        let blocks = scene.clone();
        let reference = Reference::new(&blocks, &mode, *scene::LOADED);
        let ends = goals(&reference, seed, 2);
        let [from, to] = ends[..] else { return Ok(()) };
        let registry = scene.registry.clone();
        let route = Searcher::default().route(&mut navigation, &mut scene, &registry, from, to).unwrap();
        let reached = reachable(&mut navigation, &mut scene, &registry, from, to, None).unwrap();
        prop_assert_eq!(reached.end, route.end, "whether there is a way does not depend on who is asked");
        match reference.costs(&[to]).get(&from) {
            None => prop_assert_eq!(route.end, End::Unreachable),
            Some(best) => {
                prop_assert_eq!(route.end, End::Goal);
                prop_assert_eq!((route.voxels[0], *route.voxels.last().unwrap()), (from, to));
                let walked = reference.walk(&route.voxels);
                prop_assert!(walked * 20 <= best * 21, "{} for {}", walked, best);
                prop_assert!(route.cost <= walked);
                check_waypoints(&reference, &mode, &route);
            }
        }
    }
}

/// Every straight line between waypoints is legal voxel by voxel, and they cost what is said.
fn check_waypoints(reference: &Reference<'_>, mode: &Mode, route: &terrane_world::path::search::Route) {
    let waypoints: Vec<VoxelPos> = route.waypoints.iter().map(|at| route.voxels[*at]).collect();
    let mut cost = 0;
    for pair in waypoints.windows(2) {
        let mut step = |from: VoxelPos, exit: usize| reference.step(from, exit).map(|(_, cost)| cost);
        cost += match terrane_world::path::smooth::line(pair[0], pair[1], mode.diagonal, &mut step) {
            Some(cost) => cost,
            // Neighbours are joined by the move of the path.
            None => reference.walk(pair),
        };
    }
    assert_eq!(cost, route.cost);
    assert_eq!((waypoints.first(), waypoints.last()), (route.voxels.first(), route.voxels.last()));
}

#[test]
fn what_can_not_be_answered_says_why() {
    let mut scene = Scene::new(&[([-7, 0, -7], [7, 8, 7], "air")]);
    let registry = scene.registry.clone();
    let ground = modes().get("ground").unwrap().clone();
    let mut navigation = Navigation::new(&ground, &registry).unwrap();
    let solve = |scene: &mut Scene, navigation: &mut Navigation, goals: &[VoxelPos]| {
        FlowField::solve(navigation, scene, &registry, goals, within(), None).err().unwrap().to_string()
    };
    assert!(solve(&mut scene, &mut navigation, &[]).contains("at least one goal"));
    let inside_rock = solve(&mut scene, &mut navigation, &[pos(0, -3, 0)]);
    assert!(inside_rock.contains("0,-3,0") && inside_rock.contains("stone is in the way"), "{inside_rock}");
    assert!(solve(&mut scene, &mut navigation, &[pos(0, 5, 0)]).contains("nothing to stand on"));
    assert!(solve(&mut scene, &mut navigation, &[pos(70, 0, 0)]).contains("outside the box"));
}

#[test]
fn a_way_that_leaves_what_is_loaded_ends_at_its_border() {
    let mut scene = Scene::new(&[([-32, 0, -32], [32, 8, 32], "air")]);
    let registry = scene.registry.clone();
    let ground = modes().get("ground").unwrap().clone();
    let mut navigation = Navigation::new(&ground, &registry).unwrap();
    let mut searcher = Searcher::default();
    let route = searcher.route(&mut navigation, &mut scene, &registry, pos(0, 0, 3), pos(100, 0, 3)).unwrap();
    assert_eq!(route.end, End::Border);
    assert_eq!(*route.voxels.last().unwrap(), pos(31, 0, 3), "straight towards the goal");
    assert_eq!(route.cost, 62);
    // A box counts as the border of what is loaded, and a way begins inside it.
    let mut within = |from, to| {
        let within = Some(VoxelBox::new([-32, -32, -32], [0, 32, 32]).unwrap());
        searcher.route_within(&mut navigation, &mut scene, &registry, from, to, within)
    };
    let route = within(pos(-20, 0, 3), pos(20, 0, 3)).unwrap();
    assert_eq!((route.end, route.voxels.last()), (End::Border, Some(&pos(-1, 0, 3))));
    assert!(within(pos(20, 0, 3), pos(-20, 0, 3)).unwrap_err().to_string().contains("20,0,3 is outside the box"));
}

#[test]
fn whether_a_goal_can_be_reached_is_known_when_one_end_is_full() {
    let hall = ([-32, 0, -32], [32, 8, 32], "air");
    let mut scene = Scene::new(&[hall, ([8, 0, 8], [13, 5, 13], "stone"), ([9, 0, 9], [12, 3, 12], "air")]);
    let registry = scene.registry.clone();
    let mut ask = |mode: &str, from: VoxelPos, to: VoxelPos| {
        let mut navigation = Navigation::new(modes().get(mode).unwrap(), &registry).unwrap();
        reachable(&mut navigation, &mut scene, &registry, from, to, None)
    };
    let closed = ask("ground", pos(-20, 0, -20), pos(10, 0, 10)).unwrap();
    assert_eq!(closed.end, End::Unreachable, "the hall has borders, but the cell has none");
    assert!(closed.searched < 200, "{}", closed.searched);
    assert_eq!(ask("ground", pos(10, 0, 10), pos(-20, 0, -20)).unwrap().end, End::Unreachable);
    assert_eq!(ask("tunnel", pos(-20, 0, -20), pos(10, 0, 10)).unwrap().end, End::Goal);
    assert_eq!(ask("ground", pos(-20, 0, -20), pos(100, 0, 0)).unwrap().end, End::Border);
    let here = ask("ground", pos(3, 0, 3), pos(3, 0, 3)).unwrap();
    assert_eq!((here.end, here.searched), (End::Goal, 0));
    assert!(ask("ground", pos(3, -4, 3), pos(3, 0, 3)).unwrap_err().to_string().contains("stone is in the way"));
    assert!(ask("ground", pos(3, 0, 3), pos(3, -4, 3)).unwrap_err().to_string().contains("3,-4,3"));
}

#[test]
fn a_drop_that_is_too_high_to_climb_leads_one_way_only() {
    let mut scene = Scene::new(&[([-7, 0, -7], [0, 8, 7], "air"), ([0, -3, -7], [7, 8, 7], "air")]);
    let registry = scene.registry.clone();
    let mut navigation = Navigation::new(modes().get("ground").unwrap(), &registry).unwrap();
    let (above, below) = (pos(-3, 0, 0), pos(3, -3, 0));
    let mut ask = |from, to| reachable(&mut navigation, &mut scene, &registry, from, to, None).unwrap().end;
    assert_eq!((ask(above, below), ask(below, above)), (End::Goal, End::Unreachable));
}

#[test]
fn a_fall_past_the_corner_of_four_chunks_leads_on() {
    // From a ledge west of the border at x = 0 down past the one at y = 0.
    let mut scene = Scene::new(&[([-7, 1, -3], [7, 8, 4], "air"), ([0, -1, -3], [7, 1, 4], "air")]);
    let registry = scene.registry.clone();
    let mut navigation = Navigation::new(modes().get("ground").unwrap(), &registry).unwrap();
    let (above, below) = (pos(-3, 1, 0), pos(3, -1, 0));
    let route = Searcher::default().route(&mut navigation, &mut scene, &registry, above, below).unwrap();
    assert_eq!((route.end, route.voxels.len()), (End::Goal, 9));
}

#[test]
fn a_box_around_two_voxels_stays_in_the_world() {
    let near = box_around(pos(5, 1, -3), pos(-2, 4, 9), 10);
    assert_eq!((near.min(), near.max()), ([-12, -9, -13], [16, 15, 20]));
    let all = box_around(pos(-(1 << 30), -2_048, 0), pos(0, 2_047, (1 << 30) - 1), u32::MAX);
    assert_eq!((all.min(), all.max()), ([-(1 << 30), -2_048, -(1 << 30)], [1 << 30, 2_048, 1 << 30]));
}

#[test]
fn costs_beyond_16_bits_are_told_exactly_and_beyond_the_limit_as_too_far() {
    // A long corridor of cobweb: 20 a voxel on foot.
    let mut scene = Scene::new(&[([0, 0, 0], [4_000, 2, 1], "cobweb")]);
    let registry = scene.registry.clone();
    let ground = modes().get("ground").unwrap().clone();
    let mut navigation = Navigation::new(&ground, &registry).unwrap();
    let within = VoxelBox::new([0, 0, 0], [4_000, 3, 1]).unwrap();
    scene.load(VoxelBox::new([-32, -32, -32], [4_032, 32, 32]).unwrap());
    let field = FlowField::solve(&mut navigation, &mut scene, &registry, &[pos(0, 0, 0)], within, None).unwrap();
    for x in [1, 100, 3_276, 3_277, 3_300, 3_999] {
        assert_eq!(field.reach(pos(x, 0, 0)), Reach::Cost(20 * x as u64));
    }
    assert_eq!(field.path(pos(3_999, 0, 0)).unwrap().len(), 4_000);
    let mut searcher = Searcher::default();
    let route = searcher.route(&mut navigation, &mut scene, &registry, pos(0, 0, 0), pos(3_999, 0, 0)).unwrap();
    assert_eq!((route.end, route.cost, route.voxels.len()), (End::Goal, 79_980, 4_000));
    assert_eq!(field.flow(pos(77, 0, 0)).map(|exit| EXITS[exit]), Some([-1, 0, 0]));
    let mut navigation = Navigation::new(&ground, &registry).unwrap().with_cost_limit(2_021);
    let mut near = FlowField::solve(&mut navigation, &mut scene, &registry, &[pos(0, 0, 0)], within, None).unwrap();
    assert_eq!(near.reach(pos(100, 0, 0)), Reach::Cost(2_000));
    for x in [101, 102, 3_999] {
        assert_eq!((near.reach(pos(x, 0, 0)), near.flow(pos(x, 0, 0))), (Reach::TooFar, None));
    }
    // Behind a wall it is not too far: there is no way.
    (0..2).for_each(|y| scene.set(pos(2_000, y, 0), "stone"));
    navigation.changed(pos(2_000, 0, 0).chunk());
    near.repair(&mut navigation, &mut scene, &[pos(2_000, 0, 0).chunk()]);
    assert_eq!((near.reach(pos(1_999, 0, 0)), near.reach(pos(2_001, 0, 0))), (Reach::TooFar, Reach::Unreachable));
    // Shut and opened again, half of the corridor is followed, which goes so far that it is done tile by tile.
    let mut field = field;
    field.repair(&mut navigation, &mut scene, &[pos(2_000, 0, 0).chunk()]);
    assert_eq!(
        (field.reach(pos(1_999, 0, 0)), field.reach(pos(2_001, 0, 0))),
        (Reach::Cost(39_980), Reach::Unreachable)
    );
    (0..2).for_each(|y| scene.set(pos(2_000, y, 0), "cobweb"));
    navigation.changed(pos(2_000, 0, 0).chunk());
    field.repair(&mut navigation, &mut scene, &[pos(2_000, 0, 0).chunk()]);
    for x in [1, 1_999, 2_000, 2_001, 3_277, 3_999] {
        assert_eq!(field.reach(pos(x, 0, 0)), Reach::Cost(20 * x as u64));
    }
}
