//! Agents against a small, slow definition of the same, and what has to hold for them however they are placed.
#![allow(clippy::unwrap_used)]

mod reference;
#[path = "../path/scene.rs"]
mod scene;

use proptest::prelude::*;
use reference::Reference;
use scene::{Scene, pos};
use std::collections::BTreeMap;
use terrane_world::entity::advance::{Agents, Pace, Scratch, Tally, advance};
use terrane_world::entity::guide::{Grid, Guides, Now, guide};
use terrane_world::limits::AGENTS_PER_VOXEL;
use terrane_world::path::field::{FlowField, Reach};
use terrane_world::path::mode::{Medium, Mode, Modes, parse_modes};
use terrane_world::path::navigation::Navigation;
use terrane_world::space::{VoxelBox, VoxelPos};

/// Modes that go over edges and corners too.
const OWN: &str = "[crab]\ncost = \"walk\"\nneighbours = 26\n[bee]\ncost = \"fly\"\nneighbours = 26\n";

fn all_modes() -> Vec<Mode> {
    Modes::with(&parse_modes("own", OWN).unwrap()).iter().cloned().collect()
}

/// Across the borders of eight chunks.
fn within() -> VoxelBox {
    VoxelBox::new([-7, -6, -7], [7, 8, 7]).unwrap()
}

fn voxels(within: VoxelBox) -> impl Iterator<Item = VoxelPos> {
    let (min, max) = (within.min(), within.max());
    (min[1]..max[1]).flat_map(move |y| (min[2]..max[2]).flat_map(move |z| (min[0]..max[0]).map(move |x| pos(x, y, z))))
}

/// A crowd in a scene.
struct Crowd {
    scene: Scene,
    navigation: Navigation,
    field: FlowField,
    guides: Guides,
    pace: Pace,
}

impl Crowd {
    fn new(scene: &Scene, mode: &Mode, goals: &[VoxelPos], within: VoxelBox, speed: u32) -> Self {
        let mut scene = scene.clone();
        let registry = scene.registry.clone();
        let mut navigation = Navigation::new(mode, &registry).unwrap();
        let field = FlowField::solve(&mut navigation, &mut scene, &registry, goals, within, None).unwrap();
        let pace = Pace { speed, lengths: mode.diagonal };
        let mut crowd = Self { scene, navigation, field, guides: Guides::new(within), pace };
        crowd.make_guides();
        crowd
    }

    /// Makes all guides, of what is legal now.
    fn make_guides(&mut self) {
        let solid: Vec<bool> = self.scene.registry.iter().map(|(_, _, rule)| rule.solid).collect();
        let solid = if self.navigation.mode().medium == Medium::Dig { solid } else { Vec::new() };
        for chunk in self.field.within().chunks() {
            let now = Now::new(&mut self.navigation, &mut self.scene, chunk, &solid);
            let made = guide(&self.field, &self.navigation, chunk, &now);
            self.guides.put(self.guides.grid().number(chunk).unwrap(), &made);
        }
    }

    /// Puts a block without working it into the field.
    fn set(&mut self, at: VoxelPos, block: &str) {
        self.scene.set(at, block);
        self.navigation.changed(at.chunk());
    }

    /// One agent in each voxel of `starts`, as far as they fit.
    fn agents(&self, starts: &[VoxelPos]) -> Agents {
        let (mut agents, mut there) = (Agents::default(), BTreeMap::new());
        for (number, at) in (0..).zip(starts) {
            let count = there.entry(*at).or_insert(0);
            if *count < AGENTS_PER_VOXEL {
                *count += 1;
                agents.push(number, self.guides.grid().place(*at).unwrap());
            }
        }
        agents
    }

    /// Checks that nobody is where too many are, and that who moved could.
    fn check(&mut self, before: &Agents, after: &Agents) {
        let grid = *self.guides.grid();
        let mut there: BTreeMap<VoxelPos, usize> = BTreeMap::new();
        let places: BTreeMap<u32, VoxelPos> =
            before.numbers.iter().copied().zip(before.places.iter().map(|place| grid.voxel(*place))).collect();
        for n in 0..after.len() {
            let (from, to) = (places[&after.numbers[n]], grid.voxel(after.places[n]));
            *there.entry(to).or_default() += 1;
            if from != to {
                let exit = usize::from(after.exits[n]);
                assert_eq!(terrane_world::physics::plan::beside(from, terrane_world::relax::EXITS[exit]), Some(to));
                let step = self.navigation.step(&mut self.scene, from, exit);
                assert!(step.is_some(), "agent {} went from {from} to {to}", after.numbers[n]);
            }
        }
        assert!(there.values().all(|count| *count <= AGENTS_PER_VOXEL), "{there:?}");
    }

    fn step(&mut self, agents: &mut Agents, scratch: &mut Scratch) -> Tally {
        let before = agents.clone();
        let tally = advance(&self.guides, self.pace, agents, scratch);
        assert_eq!(before.len() as u64, agents.len() as u64 + tally.arrived);
        self.check(&before, agents);
        for dug in scratch.dug.clone() {
            self.set(self.guides.grid().voxel(dug), "air");
        }
        tally
    }
}

/// Boxes of blocks put one over the other in solid stone with a large room in it.
fn scenes() -> impl Strategy<Value = Vec<([i32; 3], [i32; 3], &'static str)>> {
    const BLOCKS: [&str; 9] = ["air", "air", "air", "stone", "grass_block", "stone_bricks", "mud", "water", "ladder"];
    let part = (prop::array::uniform3(-8..8i32), prop::array::uniform3(1..7i32), prop::sample::select(&BLOCKS[..]));
    let part = part.prop_map(|(from, size, block)| (from, [0, 1, 2].map(|n| (from[n] + size[n]).min(9)), block));
    prop::collection::vec(part, 1..14).prop_map(|mut parts| {
        parts.insert(0, ([-6, -3, -6], [6, 6, 6], "air"));
        parts
    })
}

fn starts() -> impl Strategy<Value = Vec<VoxelPos>> {
    let at = (-7..7i32, -6..8i32, -7..7i32).prop_map(|(x, y, z)| pos(x, y, z));
    // Some stand in one place.
    prop::collection::vec((at, 1..6usize), 1..60)
        .prop_map(|starts| starts.into_iter().flat_map(|(at, count)| std::iter::repeat_n(at, count)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn agents_do_what_the_definition_says(parts in scenes(), starts in starts(), pick in any::<usize>(), speed in 1..3_000u32) {
        let scene = Scene::new(&parts);
        for mode in all_modes() {
            let mut navigation = Navigation::new(&mode, &scene.registry).unwrap();
            let mut blocks = scene.clone();
            let open: Vec<VoxelPos> =
                voxels(within()).filter(|at| navigation.cost(&mut blocks, *at).is_some()).collect();
            if open.is_empty() {
                continue;
            }
            let mut crowd = Crowd::new(&scene, &mode, &[open[pick % open.len()]], within(), speed);
            let mut agents = crowd.agents(&starts);
            let mut reference = Reference::new(&agents, crowd.guides.grid());
            let mut scratch = Scratch::default();
            for _ in 0..12 {
                let expected = reference.step(&mut crowd);
                let tally = advance(&crowd.guides, crowd.pace, &mut agents, &mut scratch);
                prop_assert_eq!(tally, expected, "{}", &mode.name);
                prop_assert_eq!(reference.agents(crowd.guides.grid()), agents.clone(), "{}", &mode.name);
                let dug: Vec<VoxelPos> = scratch.dug.iter().map(|place| crowd.guides.grid().voxel(*place)).collect();
                prop_assert_eq!(&reference.dug, &dug);
            }
        }
    }

    #[test]
    fn a_field_that_is_out_of_date_never_leads_where_nobody_can_go(
        parts in scenes(), starts in starts(), later in scenes(), pick in any::<usize>(),
    ) {
        let scene = Scene::new(&parts);
        for mode in all_modes() {
            let mut navigation = Navigation::new(&mode, &scene.registry).unwrap();
            let mut blocks = scene.clone();
            let open: Vec<VoxelPos> =
                voxels(within()).filter(|at| navigation.cost(&mut blocks, *at).is_some()).collect();
            if open.is_empty() {
                continue;
            }
            let mut crowd = Crowd::new(&scene, &mode, &[open[pick % open.len()]], within(), 700);
            let (mut agents, mut scratch) = (crowd.agents(&starts), Scratch::default());
            for (from, to, block) in &later[1..] {
                let part = VoxelBox::new(*from, *to).unwrap();
                voxels(part).for_each(|at| crowd.set(at, block));
                crowd.make_guides();
                crowd.step(&mut agents, &mut scratch);
            }
        }
    }
}

#[test]
fn places_lie_beside_each_other_as_voxels_do() {
    let grid = Grid::new(VoxelBox::new([-40, -3, 5], [33, 20, 60]).unwrap());
    let is_near_border = |part: &i32| [0, 1, 2, 3, 4, 15, 16, 30, 31].contains(&(part & 31));
    let all = voxels(VoxelBox::new([-64; 3], [64; 3]).unwrap()).filter(|at| at.to_array().iter().all(is_near_border));
    let mut count = 0;
    for (at, place) in all.filter_map(|at| Some((at, grid.place(at)?))) {
        assert_eq!(grid.voxel(place), at);
        for (exit, step) in (0..).zip(terrane_world::relax::EXITS) {
            let there = terrane_world::physics::plan::beside(at, step).and_then(|there| grid.place(there));
            assert_eq!(grid.beside(place, exit), there, "exit {exit} from {at}");
            count += usize::from(there.is_some());
        }
    }
    assert!(count > 100_000, "{count} places");
}

/// A flat room 60 by 60 over the borders of chunks, 4 high.
fn hall() -> Scene {
    Scene::new(&[([-30, 0, -30], [30, 4, 30], "air")])
}

fn hall_box() -> VoxelBox {
    VoxelBox::new([-31, -2, -31], [31, 6, 31]).unwrap()
}

fn mode(name: &str) -> Mode {
    Modes::built_in().get(name).unwrap().clone()
}

#[test]
fn everybody_arrives_in_an_open_scene() {
    for name in ["ground", "fly", "tunnel"] {
        let mut crowd = Crowd::new(&hall(), &mode(name), &[pos(29, 0, 29)], hall_box(), 640);
        let starts: Vec<VoxelPos> = (0..2_000).map(|n| pos(n % 25 - 30, 0, n / 4 / 25 - 30)).collect();
        let (mut agents, mut scratch) = (crowd.agents(&starts), Scratch::default());
        assert_eq!(agents.len(), 2_000);
        let mut arrived = 0;
        for _ in 0..1_200 {
            let tally = crowd.step(&mut agents, &mut scratch);
            assert_eq!((tally.lost, tally.dug), (0, 0));
            assert!(tally.arrived as usize <= AGENTS_PER_VOXEL, "one voxel takes so many a tick");
            arrived += tally.arrived;
        }
        assert_eq!((arrived, agents.len()), (2_000, 0), "{name}");
    }
}

#[test]
fn a_crowd_spreads_over_ways_that_are_equally_good() {
    let mut crowd = Crowd::new(&hall(), &mode("ground"), &[pos(20, 0, 20)], hall_box(), 512);
    let starts: Vec<VoxelPos> = (0..64).map(|n| pos(n % 4 - 20, 0, n / 16 - 20)).collect();
    let (mut agents, mut scratch) = (crowd.agents(&starts), Scratch::default());
    (0..40).for_each(|_| assert_eq!(crowd.step(&mut agents, &mut scratch).lost, 0));
    let places: std::collections::BTreeSet<u32> = agents.places.iter().copied().collect();
    assert!(places.len() > 40, "64 agents from 16 voxels are in {} voxels", places.len());
}

#[test]
fn who_digs_opens_the_way_for_all() {
    let scene = Scene::new(&[([-10, 0, -2], [-1, 3, 2], "air"), ([2, 0, -2], [10, 3, 2], "air")]);
    let within = VoxelBox::new([-12, -3, -6], [12, 6, 6]).unwrap();
    let mut crowd = Crowd::new(&scene, &mode("tunnel"), &[pos(8, 0, 0)], within, 512);
    let starts: Vec<VoxelPos> = (0..40).map(|n| pos(-9, n % 3, n / 12 - 2)).collect();
    let (mut agents, mut scratch) = (crowd.agents(&starts), Scratch::default());
    let (mut dug, mut arrived) = (0, 0);
    for _ in 0..120 {
        let before: Vec<VoxelPos> = scratch.dug.iter().map(|place| crowd.guides.grid().voxel(*place)).collect();
        let chunks: Vec<_> = before.iter().map(|at| at.chunk()).collect();
        crowd.field.repair(&mut crowd.navigation, &mut crowd.scene, &chunks);
        crowd.make_guides();
        let tally = crowd.step(&mut agents, &mut scratch);
        (dug, arrived) = (dug + tally.dug, arrived + tally.arrived);
    }
    assert_eq!(arrived, 40);
    assert!((3..=36).contains(&dug), "{dug} voxels dug through a wall three thick");
}

#[test]
fn the_answer_depends_neither_on_threads_nor_on_the_order_of_agents() {
    let mut scene = hall();
    (-20..20).for_each(|n| scene.set(pos(n, 0, n / 3), "stone"));
    (-20..20).for_each(|n| scene.set(pos(n, 1, n / 3), "stone"));
    let run = |threads: usize, stride: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut crowd = Crowd::new(&scene, &mode("ground"), &[pos(29, 0, 29), pos(29, 0, -29)], hall_box(), 400);
        let starts: Vec<VoxelPos> = voxels(VoxelBox::new([-30, 0, -30], [20, 1, 30]).unwrap())
            .filter(|at| matches!(crowd.field.reach(*at), Reach::Cost(_)))
            .flat_map(|at| std::iter::repeat_n(at, 3))
            .collect();
        let sorted = crowd.agents(&starts);
        let mut agents = Agents::default();
        for n in 0..sorted.len() {
            let from = n * stride % sorted.len();
            agents.push(sorted.numbers[from], sorted.places[from]);
        }
        let mut scratch = Scratch::default();
        let mut told = Vec::new();
        for _ in 0..60 {
            let tally = pool.install(|| crowd.step(&mut agents, &mut scratch));
            let mut all: Vec<_> = (0..agents.len())
                .map(|n| (agents.numbers[n], agents.places[n], agents.progress[n], agents.exits[n]))
                .collect();
            all.sort_unstable();
            told.push((tally, all));
        }
        told
    };
    let one = run(1, 1);
    assert!(one[0].1.len() > 8_000 && one.iter().any(|(tally, _)| tally.waiting > 100), "the hall is not crowded");
    for (threads, stride) in [(2, 1), (7, 1), (1, 7_919), (7, 7_919)] {
        assert!(run(threads, stride) == one, "{threads} threads, stride {stride}");
    }
}
