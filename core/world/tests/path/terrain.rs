//! Ways over generated terrain, against fields of the same box.

use rayon::prelude::*;
use std::sync::Arc;
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::generate::Generator;
use terrane_world::path::field::{FlowField, Reach};
use terrane_world::path::mode::Modes;
use terrane_world::path::navigation::{Blocks, Navigation};
use terrane_world::path::search::{End, Searcher};
use terrane_world::space::{ChunkPos, VoxelBox, VoxelPos};

#[derive(Clone)]
struct Land(Arc<std::collections::BTreeMap<ChunkPos, Arc<Chunk>>>);

impl Blocks for Land {
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>> {
        wanted.iter().map(|pos| self.0.get(pos).cloned()).collect()
    }
}

/// Places where a mode can be, spread by a seed.
fn places(navigation: &mut Navigation, land: &mut Land, within: VoxelBox, seed: u64, count: usize) -> Vec<VoxelPos> {
    let mut places = Vec::new();
    let mut state = seed;
    while places.len() < count {
        let at: [i32; 3] = std::array::from_fn(|axis| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let size = (within.max()[axis] - within.min()[axis]) as u64;
            within.min()[axis] + ((state >> 33) % size) as i32
        });
        let at = VoxelPos::try_from(at).expect("inside the box");
        if navigation.cost(land, at).is_some() {
            places.push(at);
        }
    }
    places
}

/// More than 1,000 pairs between which there is a way, in three modes: what is no way in the field is none for the search, and what is one costs at most a
/// twentieth more.
#[test]
fn ways_over_terrain_cost_at_most_a_twentieth_more_than_the_best() {
    let registry = Registry::built_in();
    let generator = Generator::plain("terrain", 1, 7, &registry).expect("a built-in generator");
    let within = VoxelBox::new([-64, 0, -64], [96, 128, 96]).expect("inside the world");
    let all = VoxelBox::new([-96, -32, -96], [128, 160, 128]).expect("inside the world");
    let positions: Vec<ChunkPos> = all.chunks().collect();
    let made = positions.into_par_iter().map(|pos| (pos, Arc::new(generator.chunk(pos).expect("it can be made"))));
    let mut land = Land(Arc::new(made.collect()));
    let (mut ways, mut none, mut dear) = (0, 0, Vec::new());
    // Above ground most places can be reached from each other, below it few.
    let above = VoxelBox::new([-64, 56, -64], [96, 128, 96]).expect("inside the world");
    let cases =
        [("ground", above, 48, 50), ("ground", within, 8, 30), ("fly", within, 2, 40), ("tunnel", within, 4, 45)];
    for (name, drawn, goals, starts) in cases {
        let mode = Modes::built_in().get(name).expect("a built-in mode").clone();
        let mut navigation = Navigation::new(&mode, &registry).expect("few costs");
        let mut searcher = Searcher::default();
        for (goal, seed) in places(&mut navigation, &mut land, drawn, 1, goals).into_iter().zip(2..) {
            let field =
                FlowField::solve(&mut navigation, &mut land, &registry, &[goal], within, None).expect("a field");
            for from in places(&mut navigation, &mut land, drawn, seed, starts) {
                let route = searcher.route_within(&mut navigation, &mut land, &registry, from, goal, Some(within));
                let route = route.expect("both ends are open");
                let best = match field.reach(from) {
                    Reach::Goal => 0,
                    Reach::Cost(cost) => cost,
                    other => {
                        assert!(route.end != End::Goal, "{name} {from} {goal}: {other:?} and {:?}", route.end);
                        none += 1;
                        continue;
                    }
                };
                assert_eq!(route.end, End::Goal, "{name} {from} {goal}");
                if route.cost * 20 > best * 21 {
                    dear.push(format!("{name} {from} {goal}: {} for {best}", route.cost));
                }
                let walked = route.voxels.windows(2).map(|pair| step(&mut navigation, &mut land, pair));
                assert!(walked.sum::<u64>() >= best, "{name} {from} {goal}: nothing is better than the best");
                ways += 1;
            }
        }
    }
    assert!(dear.is_empty(), "{dear:#?}");
    assert!(ways >= 1_000 && none >= 100, "{ways} ways, {none} without");
}

/// What a move costs, which must be legal.
fn step(navigation: &mut Navigation, land: &mut Land, pair: &[VoxelPos]) -> u64 {
    let moves = |exit: &usize| {
        terrane_world::physics::plan::beside(pair[0], terrane_world::relax::EXITS[*exit]) == Some(pair[1])
    };
    let exit = (0..26).find(moves).expect("the voxels of a way touch");
    navigation.step(land, pair[0], exit).expect("every step is legal")
}
