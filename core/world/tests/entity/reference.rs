//! What agents do, one after the other, from the definition.

use crate::Crowd;
use std::collections::BTreeMap;
use terrane_world::entity::advance::{Agents, Tally, UNIT, turn};
use terrane_world::entity::guide::Grid;
use terrane_world::limits::AGENTS_PER_VOXEL;
use terrane_world::path::field::Reach;
use terrane_world::path::mode::Medium;
use terrane_world::physics::plan::beside;
use terrane_world::relax::EXITS;
use terrane_world::space::VoxelPos;

#[derive(Clone, Copy)]
struct Agent {
    number: u32,
    at: VoxelPos,
    progress: u32,
    exit: u8,
}

pub struct Reference {
    agents: Vec<Agent>,
    pub dug: Vec<VoxelPos>,
}

/// A way on.
#[derive(Clone, Copy)]
struct Way {
    exit: usize,
    to: VoxelPos,
    price: u32,
}

impl Reference {
    pub fn new(agents: &Agents, grid: &Grid) -> Self {
        let agent = |n: usize| Agent {
            number: agents.numbers[n],
            at: grid.voxel(agents.places[n]),
            progress: agents.progress[n],
            exit: agents.exits[n],
        };
        Self { agents: (0..agents.len()).map(agent).collect(), dug: Vec::new() }
    }

    pub fn agents(&self, grid: &Grid) -> Agents {
        let mut agents = Agents::default();
        for agent in &self.agents {
            agents.push_moving(agent.number, grid.place(agent.at).unwrap(), agent.progress, agent.exit);
        }
        agents
    }

    pub(crate) fn step(&mut self, crowd: &mut Crowd) -> Tally {
        let mut tally = Tally::default();
        let mut here: BTreeMap<VoxelPos, usize> = BTreeMap::new();
        self.agents.iter().for_each(|agent| *here.entry(agent.at).or_default() += 1);
        let count = |at: VoxelPos| here.get(&at).copied().unwrap_or(0);
        let mut wishes: BTreeMap<VoxelPos, Vec<(u32, usize, Way)>> = BTreeMap::new();
        let mut gone = Vec::new();
        for index in 0..self.agents.len() {
            let agent = &mut self.agents[index];
            if crowd.field.reach(agent.at) == Reach::Goal {
                gone.push(index);
                continue;
            }
            let ways = ways(crowd, agent);
            if ways.is_empty() {
                tally.lost += 1;
                continue;
            }
            let gathered = agent.progress + crowd.pace.speed;
            let dearest = ways.iter().map(|way| way.price).max().unwrap();
            match ways.iter().find(|way| count(way.to) < AGENTS_PER_VOXEL) {
                Some(way) => {
                    agent.progress = if gathered < way.price { gathered } else { way.price };
                    if gathered >= way.price {
                        wishes.entry(way.to).or_default().push((agent.number, index, *way));
                    }
                }
                None => {
                    agent.progress = gathered.min(dearest);
                    tally.waiting += u64::from(gathered >= dearest);
                }
            }
        }
        self.dug.clear();
        for (to, mut wishes) in wishes {
            wishes.sort_unstable_by_key(|(number, ..)| *number);
            let digs = is_solid(crowd, to);
            let room = if digs { 1 } else { AGENTS_PER_VOXEL - count(to) };
            tally.waiting += wishes.len().saturating_sub(room) as u64;
            for (_, index, way) in wishes.into_iter().take(room) {
                let agent = &mut self.agents[index];
                agent.progress -= way.price;
                if digs {
                    tally.dug += 1;
                    self.dug.push(to);
                    continue;
                }
                (agent.at, agent.exit) = (to, way.exit as u8);
                tally.moved += 1;
                if crowd.field.reach(to) == Reach::Goal {
                    gone.push(index);
                }
            }
        }
        // In order of places, as the fields of one box number them.
        let grid = *crowd.guides.grid();
        self.dug.sort_unstable_by_key(|at| grid.place(*at));
        gone.sort_unstable();
        tally.arrived = gone.len() as u64;
        let mut index = 0..;
        self.agents.retain(|_| gone.binary_search(&index.next().expect("without end")).is_err());
        tally
    }
}

fn is_solid(crowd: &Crowd, at: VoxelPos) -> bool {
    let block = crowd.scene.block(at).unwrap();
    crowd.navigation.mode().medium == Medium::Dig && crowd.scene.registry.rule(block).unwrap().solid
}

/// The ways on, in the order in which an agent thinks of them.
fn ways(crowd: &mut Crowd, agent: &Agent) -> Vec<Way> {
    let Some(rest) = crowd.field.reach(agent.at).cost() else { return Vec::new() };
    let mut all: Vec<(u64, u64, Way)> = Vec::new();
    for (exit, step) in EXITS.iter().enumerate() {
        let Some(cost) = crowd.navigation.step(&mut crowd.scene, agent.at, exit) else { continue };
        let to = beside(agent.at, *step).unwrap();
        let Some(rest) = crowd.field.reach(to).cost() else { continue };
        let length =
            if crowd.pace.lengths { [256, 358, 435][step.iter().filter(|part| **part != 0).count() - 1] } else { UNIT };
        let price = u32::from(crowd.field.enter(to).unwrap()) * length;
        all.push((rest + cost, rest, Way { exit, to, price }));
    }
    let Some(least) = all.iter().map(|(total, ..)| *total).min() else { return Vec::new() };
    let turn = turn(agent.number, crowd.guides.grid().place(agent.at).unwrap()) as usize;
    let rotated = |some: Vec<Way>| {
        let first = if some.is_empty() { 0 } else { turn % some.len() };
        some[first..].iter().chain(&some[..first]).copied().collect::<Vec<_>>()
    };
    let best = all.iter().filter(|(total, ..)| *total == least).map(|(.., way)| *way).collect();
    let lower = all.iter().filter(|(total, left, way)| *total != least && *left < rest && way.exit < 6);
    let lower = lower.map(|(.., way)| *way).collect();
    rotated(best).into_iter().chain(rotated(lower)).collect()
}
