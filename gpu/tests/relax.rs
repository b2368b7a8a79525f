//! Relaxation on the device ends where `Field::load` ends, and where the definition ends, distance by distance.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::shapes::{Shape, boxed, comb, large, maze, noise, spiral};
use common::twins::check_relaxation;
use common::{chunks, device, open};
use std::collections::BTreeMap;
use terrane_gpu::{Given, GpuError, Labeller, RelaxOptions, Relaxer};
use terrane_world::block::Registry;
use terrane_world::generate::Generator;
use terrane_world::generate::noise::hash;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::relax::{
    ALL, BELOW, Class, Classes, FACES, NONE, Operator, Rules, TENTHS, Table, Values, reference,
};
use terrane_world::space::{ChunkPos, LocalIndex};
use terrane_world::{light, physics};

fn relaxer() -> Relaxer {
    Relaxer::new(device()).unwrap()
}

/// By exit, the cost of a step in tenths times `cost`.
fn tenths(cost: u16) -> [u16; 26] {
    std::array::from_fn(|exit| cost * TENTHS[[6, 18, 26].iter().position(|end| exit < *end).unwrap()])
}

/// Class 0 lets nothing through; 1 to 3 cost something to enter; the last one is where paths begin.
fn paths(limit: u32, exits: u32, costs: [u16; 3]) -> Rules {
    let walk = |cost| Class { source: NONE, floor: 0, exits, losses: tenths(cost) };
    let mut classes = vec![Class::CLOSED];
    classes.extend(costs.map(walk));
    classes.push(Class { source: 0, ..walk(1) });
    Rules::new(Operator::MinPlus, limit, classes).unwrap()
}

/// The shape with its open voxels of classes 1 to 3, and a source in the last of them.
fn walked(shape: &Shape, exits: bool) -> Vec<Given> {
    let last = shape.open.iter().rposition(|open| *open).unwrap();
    let class = |n: usize| match shape.open[n] {
        false => 0,
        true if n == last => 4,
        true => 1 + (hash(n as i32, 0, 0, 3) % 3) as u8,
    };
    let masks = shape.chunks(|n| if n % 5 == 0 { hash(n as i32, 1, 1, 4) } else { u32::MAX });
    let given = |(pos, classes)| (pos, Classes::Each(classes), exits.then(|| masks[&pos].clone().into()));
    shape.chunks(class).into_iter().map(given).collect()
}

fn check(name: &str, rules: &Rules, given: &[Given]) -> usize {
    let relaxer = relaxer();
    let (reached, _) = check_relaxation(&relaxer, name, rules, given);
    assert!(reached > 0 && relaxer.dispatches()["relax"] > 0, "{name}");
    reached
}

fn edge() -> i32 {
    if large() { 48 } else { 36 }
}

#[test]
fn hard_shapes_end_where_the_field_ends() {
    for shape in [spiral(edge()), comb(edge()), maze(edge())] {
        // The row at the foot of the comb hangs on nothing.
        let foot = if shape.name == "comb" { edge() as usize } else { 0 };
        let open = shape.open.iter().filter(|open| **open).count() - foot;
        for (limit, costs) in [(60_000, [1, 1, 2]), (u32::MAX, [3800, 900, 1])] {
            let rules = paths(limit, FACES, costs);
            let reached = check(shape.name, &rules, &walked(&shape, false));
            assert!(limit < u32::MAX || reached == open, "{}: {reached} of {open}", shape.name);
        }
    }
}

#[test]
fn noise_over_edges_and_corners_with_wide_costs_and_masks() {
    for (limit, exits, masks, percent) in [
        (5_000_000, ALL, false, 50),
        (5_000_000, ALL, true, 50),
        (3000, ALL, true, 50),
        (65_535, FACES, true, 65),
        (65_536, FACES, false, 50),
        (65_536, FACES, false, 70),
    ] {
        check("noise", &paths(limit, exits, [3, 250, 3855]), &walked(&noise(edge(), percent), masks));
    }
}

#[test]
fn small_boxes_end_where_the_definition_ends() {
    for (edge, exits, limit) in [(20, ALL, 70_000), (20, FACES, 900), (17, ALL, 500)] {
        let shape = noise(edge, 60);
        let rules = paths(limit, exits, [1, 2, 7]);
        let given = walked(&shape, true);
        let (classes, masks): (Vec<u8>, Vec<u32>) = (0..shape.open.len())
            .map(|n| {
                let pos = shape.pos(n);
                let (_, classes, masks) = given.iter().find(|(chunk, ..)| *chunk == pos.chunk()).unwrap();
                (classes.get(pos.local()), masks.as_ref().unwrap()[pos.local().index()])
            })
            .unzip();
        let solved: BTreeMap<ChunkPos, Values> = relaxer().solve(&rules, &given).unwrap().into_iter().collect();
        let theirs = reference::solve(&rules, [edge as usize; 3], &classes, Some(&masks));
        for (n, theirs) in theirs.into_iter().enumerate() {
            let pos = shape.pos(n);
            assert_eq!(solved[&pos.chunk()].get(pos.local(), limit), theirs, "{pos} of {edge}³");
        }
    }
}

/// Any rules: with floors, exits of all kinds, sources of different worth, and steps up or down that cost nothing.
fn any_rules(seed: i32) -> Rules {
    let any = |class: i32, what: i32, below: u32| hash(seed, class, what, 77) % below;
    let faces_alone = any(0, 1, 3) > 0;
    let (free, limit) = (any(0, 2, 2) as usize, [20, 255, 60_000, 65_535, 65_536, 1 << 24][any(0, 3, 6) as usize]);
    let most_loss = (limit / 12).clamp(2, 65_535);
    let class = |class: i32| {
        let mut losses: [u16; 26] = std::array::from_fn(|exit| 1 + any(class, 10 + exit as i32, most_loss) as u16);
        if any(class, 4, 3) > 0 {
            losses[free] = 0;
        }
        let exits = (hash(seed, class, 5, 78) | 0x2d) & if faces_alone { FACES } else { ALL };
        let floor = if any(class, 6, 3) == 0 { any(class, 7, limit / 2) } else { 0 };
        let source = if any(class, 8, 4) == 0 { any(class, 9, limit / 4) } else { NONE };
        Class { source, floor, exits, losses }
    };
    let operator = if any(0, 40, 2) == 0 { Operator::MinPlus } else { Operator::MaxMinus };
    let first = Class { source: 0, ..class(1) };
    Rules::new(operator, limit, [Class::CLOSED, first].into_iter().chain((2..9).map(class)).collect()).unwrap()
}

#[test]
fn any_rules_end_where_the_field_ends() {
    let (relaxer, cases) = (relaxer(), if large() { 200 } else { 24 });
    let mut reached = 0;
    for seed in 0..cases {
        let (rules, shape) = (any_rules(seed), noise(14 + seed % 9, 75));
        let class = |n: usize| match hash(n as i32, seed, 0, 3) % 100 {
            0 => 1,
            other => u8::from(shape.open[n]) * (2 + other as u8 % 7),
        };
        let masks = shape.chunks(|n| hash(n as i32, seed, 1, 4) | hash(n as i32, seed, 2, 4));
        let mask = |pos: &ChunkPos| {
            hash(pos.x(), pos.y(), pos.z(), seed as u32).is_multiple_of(2).then(|| masks[pos].clone().into())
        };
        let given = |(pos, classes)| (pos, Classes::Each(classes), mask(&pos));
        let given: Vec<Given> = shape.chunks(class).into_iter().map(given).collect();
        reached += check_relaxation(&relaxer, "any rules", &rules, &given).0;
    }
    assert!(reached > 1000 * cases as usize, "{reached}");
}

/// Rules with one more class, a source of the best value, and the number of that class.
fn with_source(table: &Table) -> (Rules, u8) {
    let rules = table.rules();
    let mut classes = rules.classes().to_vec();
    classes.push(Class { source: 0, ..Class::CLOSED });
    (Rules::new(rules.operator(), rules.limit(), classes).unwrap(), rules.classes().len() as u8)
}

#[test]
fn generated_terrain_with_support_and_both_lights() {
    let registry = Registry::built_in();
    let generator = Generator::plain("terrain", 1, 11, &registry).unwrap();
    let (width, top) = if large() { (4, 6) } else { (2, 4) };
    let places = chunks([0..width, -1..top, 0..width]);
    let made = generator.chunks(&places).unwrap();
    let tables = [
        ("support", physics::support::table(&registry).unwrap()),
        ("sky light", light::sky_table(&registry).unwrap()),
        ("block light", light::block_table(&registry).unwrap()),
    ];
    for (name, table) in tables {
        let (rules, source) = with_source(&table);
        let mut given: Vec<Given> =
            places.iter().zip(&made).map(|(pos, chunk)| (*pos, table.classes(chunk), None)).collect();
        // Support from a chunk below, sky from one above, and lamps strewn through the air.
        for (x, z) in (0..width).flat_map(|x| (0..width).map(move |z| (x, z))) {
            let y = if name == "support" { -2 } else { top };
            given.push((ChunkPos::new(x, y, z).unwrap(), Classes::One(source), None));
        }
        if name == "block light" {
            given.truncate(places.len());
            given.iter_mut().for_each(|(pos, classes, _)| {
                let lamp = |n: i32| hash(pos.x() ^ n, pos.y(), pos.z(), 9).is_multiple_of(3000);
                let class = |(n, class)| if lamp(n) { source } else { class };
                let locals = (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new);
                let all = (0..).zip(locals.map(|local| classes.get(local))).map(class).collect();
                *classes = Classes::Each(boxed(all));
            });
        }
        let reached = check(name, &rules, &given);
        assert!(reached > 100_000, "{name}: {reached}");
    }
}

#[test]
fn support_leans_out_and_hangs() {
    let registry = Registry::built_in();
    let table = physics::support::table(&registry).unwrap();
    let (rules, source) = with_source(&table);
    let solid = table.class(registry.id("oak_log").unwrap_or(registry.id("stone").unwrap()));
    let shape = noise(edge(), 42);
    let floor = (shape.edge * shape.edge) as usize;
    let class = |n: usize| {
        if n < floor {
            source
        } else if shape.open[n] {
            solid
        } else {
            0
        }
    };
    let given: Vec<Given> =
        shape.chunks(class).into_iter().map(|(pos, classes)| (pos, Classes::Each(classes), None)).collect();
    check("support in noise", &rules, &given);
}

#[test]
fn pages_give_what_one_binding_gives() {
    let shape = noise(70, 65);
    let all = walked(&shape, true);
    let wall: Vec<Given> = all.iter().filter(|(pos, ..)| pos.z() == 1 && (-1..1).contains(&pos.y())).cloned().collect();
    for (exits, limit, mut given, page_chunks) in [(FACES, 60_000, all, 24), (ALL, 200_000, wall, 6)] {
        let rules = paths(limit, exits, [3, 9, 40]);
        // A source in every chunk, so that pages have something to tell each other in all directions.
        for (_, classes, _) in &mut given {
            let Classes::Each(classes) = classes else { continue };
            classes.iter_mut().rfind(|class| **class == 1).into_iter().for_each(|class| *class = 4);
        }
        given.sort_by_key(|(pos, ..)| hash(pos.x(), pos.y(), pos.z(), 1));
        let (whole, one) = check_relaxation(&relaxer(), "whole", &rules, &given);
        // Classes and masks of exits are what is largest here.
        let options = RelaxOptions { page_bytes: page_chunks * 5 * CHUNK_VOXELS as u64, ..RelaxOptions::default() };
        let paged = Relaxer::with(device(), options).unwrap();
        let (parts, many) = check_relaxation(&paged, "in pages", &rules, &given);
        assert_eq!(whole, parts);
        assert!(one.pages == 1 && many.pages > 2 && many.tiles == one.tiles, "{many:?}");
    }
}

#[test]
fn what_it_takes_depends_on_the_chunks_alone() {
    let (rules, mut given) = (paths(60_000, FACES, [1, 5, 9]), walked(&noise(edge(), 70), false));
    let relaxer = relaxer();
    let (_, first) = check_relaxation(&relaxer, "in order", &rules, &given);
    given.reverse();
    let (_, second) = check_relaxation(&relaxer, "backwards", &rules, &given);
    assert_eq!((first.visits, first.rounds_run), (second.visits, second.rounds_run));
}

#[test]
fn chunks_that_touch_over_edges_or_not_at_all_and_those_at_the_bounds() {
    let (low, high) = (-(1 << 25), (1 << 25) - 1);
    let at = |x, y, z| ChunkPos::new(x, y, z).unwrap();
    let one = |pos, class| -> Given { (pos, Classes::One(class), None) };
    let given = vec![
        one(at(0, 0, 0), 4),
        // Over an edge, over a corner, behind a gap; the tiles between are missing.
        one(at(1, 0, 1), 1),
        one(at(2, 1, 2), 2),
        one(at(0, 2, 0), 1),
        one(at(low, -64, low), 1),
        one(at(low, -63, low), 4),
        one(at(high, 63, high), 4),
        one(at(high, 63, high - 1), 3),
    ];
    for (exits, reached) in [(ALL, 7), (FACES, 5)] {
        let rules = paths(80_000, exits, [2, 3, 4]);
        assert_eq!(check("apart", &rules, &given), reached * CHUNK_VOXELS);
    }
}

#[test]
fn nothing_given_nothing_that_can_have_a_value_and_nothing_to_begin_from() {
    let rules = paths(1000, FACES, [1, 1, 1]);
    assert_eq!(relaxer().solve(&rules, &[]).unwrap(), []);
    let pos = ChunkPos::new(3, -3, 3).unwrap();
    for class in [0, 1] {
        let (reached, phases) = check_relaxation(&relaxer(), "nothing", &rules, &[(pos, Classes::One(class), None)]);
        assert_eq!((reached, phases.visits, phases.tiles), (0, 0, 8 * u64::from(class)));
    }
    // A limit of 0 leaves nothing, not even sources; sources of their own need no way in.
    check_relaxation(&relaxer(), "limit 0", &paths(0, FACES, [1, 1, 1]), &[(pos, Classes::One(4), None)]);
    let lonely = vec![Class { source: 7, ..Class::CLOSED }, Class { source: 7, exits: 1 << BELOW, ..Class::CLOSED }];
    let rules = Rules::new(Operator::MaxMinus, 15, lonely).unwrap();
    check("lonely", &rules, &[(pos, Classes::One(0), None)]);
    check("falling", &rules, &[(pos, Classes::One(1), None)]);
}

#[test]
fn what_does_not_fit_is_an_error_that_says_by_how_much() {
    let given = walked(&noise(40, 50), false);
    let rules = paths(1000, FACES, [1, 1, 1]);
    let with = |memory_bytes, page_bytes| {
        let relaxer = Relaxer::with(device(), RelaxOptions { memory_bytes, page_bytes }).unwrap();
        relaxer.solve(&rules, &given).unwrap_err()
    };
    let error = with(1 << 20, u64::MAX);
    assert!(matches!(error, GpuError::TooLarge { allowed: 1_048_576, .. }), "{error}");
    let error = with(1 << 30, 100_000);
    assert!(matches!(error, GpuError::TooLarge { allowed: 100_000, .. }), "{error}");
}

#[test]
fn a_lost_device_is_an_error() {
    let lost = open();
    let relaxer = Relaxer::new(lost.clone()).unwrap();
    let (rules, given) = (paths(1000, FACES, [1, 1, 1]), walked(&comb(20), false));
    assert!(relaxer.solve(&rules, &given).is_ok());
    lost.abandon();
    let error = relaxer.solve(&rules, &given).unwrap_err();
    assert!(matches!(error, GpuError::Lost { .. }), "{error}");
    assert!(matches!(Labeller::new(lost).map(|_| ()), Err(GpuError::Lost { .. })));
}

#[test]
fn threads_may_share_them() {
    fn shared<T: Send + Sync>() {}
    shared::<Relaxer>();
    shared::<Labeller>();
    let relaxer = relaxer();
    let (rules, given) = (paths(60_000, FACES, [1, 5, 9]), walked(&noise(20, 70), false));
    let expected = relaxer.solve(&rules, &given).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..3).for_each(|_| assert!(relaxer.solve(&rules, &given).unwrap() == expected)));
        }
    });
}

#[test]
#[should_panic(expected = "has no rule")]
fn a_class_without_a_rule_is_our_mistake() {
    let given = [(ChunkPos::new(0, 0, 0).unwrap(), Classes::One(5), None)];
    let _ = relaxer().solve(&paths(1000, FACES, [1, 1, 1]), &given);
}
