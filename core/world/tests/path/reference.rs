//! What a body may do, voxel by voxel, and what that costs: written down once more, for clearness alone.

use crate::scene::{Scene, pos};
use std::collections::{BTreeMap, BTreeSet};
use terrane_world::block::{BLOCKED, BlockRule};
use terrane_world::path::mode::{Medium, Mode};
use terrane_world::relax::EXITS;
use terrane_world::space::{VoxelBox, VoxelPos};

pub struct Reference<'a> {
    scene: &'a Scene,
    mode: &'a Mode,
    within: VoxelBox,
    /// Of every voxel of the box and of those around it: how high a body hangs there, and what entering costs.
    places: Vec<(Option<i32>, Option<u8>)>,
}

fn moved(at: VoxelPos, step: [i32; 3]) -> VoxelPos {
    let [x, y, z] = at.to_array();
    pos(x + step[0], y + step[1], z + step[2])
}

impl<'a> Reference<'a> {
    pub fn new(scene: &'a Scene, mode: &'a Mode, within: VoxelBox) -> Self {
        let mut reference = Self { scene, mode, within, places: Vec::new() };
        let (min, max) = (within.min(), within.max());
        for y in min[1] - 1..=max[1] {
            for z in min[2] - 1..=max[2] {
                for x in min[0] - 1..=max[0] {
                    let height = reference.find_height(pos(x, y, z));
                    let enter = reference.find_cost(pos(x, y, z), height);
                    reference.places.push((height, enter));
                }
            }
        }
        reference
    }

    fn place(&self, at: VoxelPos) -> (Option<i32>, Option<u8>) {
        let size = self.within.size();
        let [x, y, z]: [usize; 3] =
            std::array::from_fn(|n| (at.to_array()[n] - self.within.min()[n] + 1).try_into().expect("beside the box"));
        self.places[x + (size[0] + 2) * (z + (size[2] + 2) * y)]
    }

    fn rule(&self, at: VoxelPos) -> Option<&BlockRule> {
        self.scene.registry.rule(self.scene.block(at)?)
    }

    /// The voxels of a body, or under it.
    fn body(&self, at: VoxelPos, from: i32, to: i32) -> Vec<VoxelPos> {
        let width = i32::from(self.mode.width);
        let mut all = Vec::new();
        for y in from..to {
            for z in 0..width {
                all.extend((0..width).map(|x| moved(at, [x, y, z])));
            }
        }
        all
    }

    fn walks(&self) -> bool {
        self.mode.medium == Medium::Walk
    }

    fn swims_in(&self, rule: &BlockRule) -> bool {
        self.walks() && self.mode.swim && rule.liquid && rule.cost.swim != BLOCKED
    }

    /// What it costs a part of the body to be in a voxel.
    fn through(&self, at: VoxelPos) -> Option<u8> {
        let rule = self.rule(at)?;
        let cost = match self.mode.medium {
            Medium::Fly => rule.cost.fly,
            Medium::Swim => rule.cost.swim,
            Medium::Dig => rule.cost.dig,
            Medium::Walk if rule.solid => BLOCKED,
            Medium::Walk if self.swims_in(rule) => rule.cost.swim,
            Medium::Walk => rule.cost.walk,
        };
        (cost != BLOCKED).then_some(cost)
    }

    fn fits(&self, at: VoxelPos) -> bool {
        let height = i32::from(self.mode.height);
        let head = self.body(at, height - 1, height);
        let breathes = head
            .iter()
            .all(|at| self.rule(*at).is_some_and(|rule| !self.walks() || !rule.liquid || self.swims_in(rule)));
        breathes && self.body(at, 0, height).iter().all(|at| self.through(*at).is_some())
    }

    /// What it costs to stand on a voxel.
    fn on(&self, at: VoxelPos) -> Option<u8> {
        self.rule(at).filter(|rule| rule.solid && rule.cost.walk != BLOCKED).map(|rule| rule.cost.walk)
    }

    fn stands(&self, at: VoxelPos) -> bool {
        let on_something = self.body(at, -1, 0).iter().any(|at| self.on(*at).is_some());
        let held = self
            .body(at, 0, 1)
            .iter()
            .any(|at| self.rule(*at).is_some_and(|rule| self.swims_in(rule) || self.mode.climb && rule.climb));
        self.fits(at) && (!self.walks() || on_something || held)
    }

    /// How high a body hangs over the first place below where it stands, if it could fall there.
    fn find_height(&self, at: VoxelPos) -> Option<i32> {
        let mut height = 0;
        let mut there = at;
        while !self.stands(there) {
            if !self.fits(there) || height == i32::from(self.mode.drop.max(self.mode.step_up)) {
                return None;
            }
            there = moved(there, [0, -1, 0]);
            height += 1;
        }
        Some(height)
    }

    fn is_inside(&self, at: VoxelPos) -> bool {
        (0..3).all(|n| (self.within.min()[n]..self.within.max()[n]).contains(&at.to_array()[n]))
    }

    /// What entering a voxel costs, if the body can be there.
    pub fn enter(&self, at: VoxelPos) -> Option<u8> {
        self.place(at).1
    }

    fn find_cost(&self, at: VoxelPos, height: Option<i32>) -> Option<u8> {
        if !self.is_inside(at) {
            return None;
        }
        let height = height?;
        let body = self.body(at, 0, i32::from(self.mode.height)).iter().filter_map(|at| self.through(*at)).max()?;
        let ground = match height {
            0 if self.walks() => self.body(at, -1, 0).iter().filter_map(|at| self.on(*at)).max().unwrap_or(2),
            0 => 0,
            _ => 2,
        };
        Some(body.max(ground))
    }

    /// Where a move leads and what it costs, if it is legal.
    pub fn step(&self, from: VoxelPos, exit: usize) -> Option<(VoxelPos, u64)> {
        if exit >= 6 && !self.mode.diagonal {
            return None;
        }
        let step = EXITS[exit];
        let to = moved(from, step);
        let ((before, entered), (after, cost)) = (self.place(from), self.place(to));
        let (before, after) = (before.filter(|_| entered.is_some())?, after?);
        let cost = u64::from(cost?);
        let (up, drop) = (i32::from(self.mode.step_up), i32::from(self.mode.drop));
        let axes = step.iter().filter(|part| **part != 0).count();
        // Nothing between may be in the way of a move over an edge or a corner.
        let between = (1..7).map(|part: i32| std::array::from_fn(|n| step[n] * (part >> n & 1)));
        let is_free = between
            .filter(|part: &[i32; 3]| *part != step && *part != [0; 3])
            .all(|part| axes == 1 || self.fits(moved(from, part)));
        let is_legal = match (self.walks(), exit) {
            (false, _) => is_free,
            (true, 0) => true,
            (true, 1) => before < up && after <= up || before == 0 && after == 0,
            (true, 2..6) => before == 0 && (after == 0 || after <= drop) || before <= up && after == 0,
            (true, _) if step[1] > 0 => up > 0 && before == 0 && after == 0 && is_free,
            (true, _) if step[1] < 0 && drop == 0 => false,
            (true, _) => before == 0 && (after == 0 || after <= drop) && is_free,
        };
        let tenths = if self.mode.diagonal { [10, 14, 17][axes - 1] } else { 1 };
        is_legal.then_some((to, cost * tenths))
    }

    /// The least cost to the nearest goal, of every voxel that has a way there: by trying again until nothing betters.
    pub fn costs(&self, goals: &[VoxelPos]) -> BTreeMap<VoxelPos, u64> {
        let (min, max) = (self.within.min(), self.within.max());
        let mut moves: BTreeMap<VoxelPos, Vec<(VoxelPos, u64)>> = BTreeMap::new();
        for y in min[1]..max[1] {
            for z in min[2]..max[2] {
                for x in min[0]..max[0] {
                    let from = pos(x, y, z);
                    if self.enter(from).is_some() {
                        for (to, cost) in (0..26).filter_map(|exit| self.step(from, exit)) {
                            moves.entry(to).or_default().push((from, cost));
                        }
                    }
                }
            }
        }
        let mut costs: BTreeMap<VoxelPos, u64> = BTreeMap::new();
        let mut waiting: BTreeSet<(u64, VoxelPos)> = goals.iter().map(|goal| (0, *goal)).collect();
        while let Some((cost, at)) = waiting.pop_first() {
            if costs.contains_key(&at) {
                continue;
            }
            costs.insert(at, cost);
            waiting.extend(moves.get(&at).into_iter().flatten().map(|(from, step)| (cost + step, *from)));
        }
        costs
    }

    /// What it costs to walk from voxel to voxel.
    ///
    /// # Panics
    /// If a move is not legal.
    pub fn walk(&self, voxels: &[VoxelPos]) -> u64 {
        let step = |pair: &[VoxelPos]| {
            let exit = (0..26).find(|exit| moved(pair[0], EXITS[*exit]) == pair[1]).expect("neighbours");
            self.step(pair[0], exit).unwrap_or_else(|| panic!("{} to {} is no legal move", pair[0], pair[1])).1
        };
        voxels.windows(2).map(step).sum()
    }
}
