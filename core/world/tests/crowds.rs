//! Crowds in the ticks of a world: they go where their field leads, follow what changes, and are the same on every machine.
#![allow(clippy::unwrap_used)]

#[path = "physics/rig.rs"]
mod rig;

use rig::{Ground, pos, registry};
use std::collections::BTreeSet;
use std::sync::Arc;
use terrane_world::block::AIR;
use terrane_world::entity::state::{CrowdError, Errand, Starts};
use terrane_world::limits::{AGENTS_MAX, AGENTS_PER_VOXEL, CROWD_GOALS_MAX, CROWDS_MAX};
use terrane_world::path::PathError;
use terrane_world::physics::RuleSet;
use terrane_world::space::{VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, CauseKind, Deltas, Input, Outcome, Refusal, Standing, VoxelEdit, World};

/// Flat ground at y = 0, and a tick counter.
struct Scene {
    world: World,
    tick: u64,
}

fn within(min: [i32; 3], max: [i32; 3]) -> VoxelBox {
    VoxelBox::new(min, max).unwrap()
}

impl Scene {
    fn new(threads: usize) -> Self {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        let registry = registry();
        let source = Ground::new(&registry, &[]);
        let standing = Standing { epoch: 1, ..Standing::default() };
        let world = World::new(pool, Box::new(source), registry, standing).with_physics(RuleSet::Span).unwrap();
        Self { world, tick: 0 }
    }

    fn step(&mut self, inputs: &[Input]) -> Deltas {
        self.tick += 1;
        self.world.step(self.tick, inputs).unwrap()
    }

    fn sequence(&self) -> u64 {
        self.world.actor_sequence(ActorId(1)) + 1
    }

    fn crowd(&self, mode: &str, goals: &[VoxelPos], field: VoxelBox, from: VoxelBox, count: u32) -> Input {
        let errand = Errand { mode: mode.into(), goals: goals.to_vec(), within: field, speed: 512 };
        let starts = Starts::Within { within: from, count };
        Input::Crowd { actor: ActorId(1), sequence: self.sequence(), errand, starts }
    }

    /// A box of one block, in as many inputs as it takes.
    fn fill(&self, part: VoxelBox, name: &str) -> Vec<Input> {
        let block = self.world.registry().id(name).unwrap();
        let (min, max) = (part.min(), part.max());
        let all = (min[1]..max[1])
            .flat_map(|y| (min[2]..max[2]).flat_map(move |z| (min[0]..max[0]).map(move |x| pos(x, y, z))));
        let all: Vec<VoxelEdit> = all.map(|pos| VoxelEdit { pos, block, sparse: None }).collect();
        let input = |(n, voxels): (usize, &[VoxelEdit])| Input::Edit {
            actor: ActorId(1),
            sequence: self.sequence() + n as u64,
            voxels: voxels.to_vec(),
        };
        all.chunks(4_096).enumerate().map(input).collect()
    }

    fn places(&self) -> Vec<VoxelPos> {
        let columns = self.world.standing().columns.values();
        columns.flat_map(|state| state.agents.values()).flat_map(|agents| agents.iter().map(|agent| agent.at)).collect()
    }

    fn check(&mut self, deltas: &Deltas) {
        assert!(deltas.outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{:?}", deltas.outcomes);
        let mut places = self.places();
        assert_eq!(places.len(), self.world.agent_count());
        places.sort_unstable();
        let crowded = places.chunk_by(|a, b| a == b).map(<[VoxelPos]>::len).max().unwrap_or(0);
        assert!(crowded <= AGENTS_PER_VOXEL, "{crowded} in one voxel");
        // Nobody who was there at the tick's start went into something solid.
        let changed: BTreeSet<VoxelPos> = changed(deltas);
        for at in places {
            let block = self.world.chunk(at.chunk()).unwrap().chunk.get(at.local());
            let is_solid = self.world.registry().rule(block).unwrap().solid;
            assert!(!is_solid || changed.contains(&at), "an agent is inside {block:?} at {at}");
        }
    }
}

fn changed(deltas: &Deltas) -> BTreeSet<VoxelPos> {
    let runs = deltas.chunks.iter().flat_map(|delta| delta.runs.iter().map(move |run| (delta.pos, run)));
    runs.flat_map(|(chunk, run)| {
        (run.first.get()..run.first.get() + run.length).map(move |local| chunk.voxel(local.try_into().unwrap()))
    })
    .collect()
}

/// 2,000 on one side of a wall with a gate far away; the wall is dug through beside them.
fn walled(threads: usize, dig: bool, ticks: u64) -> (u64, Vec<(u64, u64)>) {
    let mut scene = Scene::new(threads);
    let deltas = scene.step(&scene.fill(within([0, 0, -64], [1, 4, 50]), "bedrock"));
    scene.check(&deltas);
    let field = within([-64, -4, -64], [64, 12, 64]);
    let crowd = scene.crowd("ground", &[pos(40, 0, -50)], field, within([-40, 0, -60], [-10, 1, -20]), 2_000);
    let mut arrived = 0;
    let mut told = Vec::new();
    for tick in 0..ticks {
        let inputs = match tick {
            0 => vec![crowd.clone()],
            60 if dig => scene.fill(within([0, 0, -50], [1, 4, -44]), "air"),
            _ => Vec::new(),
        };
        let deltas = scene.step(&inputs);
        scene.check(&deltas);
        arrived += deltas.counts.arrived;
        told.push((deltas.digest, deltas.counts.arrived));
    }
    (arrived, told)
}

#[test]
fn two_thousand_stream_to_a_goal_and_take_the_way_that_is_dug_for_them() {
    let (by_the_gate, _) = walled(2, false, 210);
    let (through_the_wall, told) = walled(2, true, 210);
    assert!(by_the_gate < 20, "{by_the_gate} arrived by the gate already");
    assert!(through_the_wall > 150, "{through_the_wall} arrived through the wall");
    for threads in [1, 7] {
        assert!(walled(threads, true, 210).1 == told, "{threads} threads");
    }
}

#[test]
fn a_wall_across_their_way_stops_agents_until_a_way_round_is_known() {
    let mut scene = Scene::new(2);
    let field = within([-32, -4, -32], [32, 12, 32]);
    let crowd = scene.crowd("ground", &[pos(28, 0, 0)], field, within([-30, 0, -10], [-10, 1, 10]), 300);
    let (mut arrived, mut told) = (0, 0);
    for tick in 0..400 {
        let inputs = match tick {
            0 => vec![crowd.clone()],
            // All the way across, then open at one end.
            8 => scene.fill(within([4, 0, -32], [6, 3, 32]), "bedrock"),
            60 => scene.fill(within([4, 0, 28], [6, 3, 30]), "air"),
            _ => Vec::new(),
        };
        let deltas = scene.step(&inputs);
        scene.check(&deltas);
        if (54..60).contains(&tick) {
            assert_eq!((deltas.counts.stepped, deltas.counts.arrived), (0, 0), "shut in at tick {tick}");
            assert!(deltas.counts.lost > 0);
        }
        arrived += deltas.counts.arrived;
        told += deltas.counts.repaired;
    }
    assert_eq!(arrived as usize + scene.world.agent_count(), 300);
    assert!(scene.world.agent_count() <= 20, "{} did not find the way round", scene.world.agent_count());
    assert!(told > 1_000);
}

#[test]
fn who_tunnels_digs_by_real_edits() {
    let mut scene = Scene::new(2);
    let field = within([-20, -20, -20], [20, 4, 20]);
    let crowd = scene.crowd("tunnel", &[pos(12, -12, 0)], field, within([-15, 0, -5], [-10, 1, 5]), 40);
    let (mut arrived, mut dug) = (0, BTreeSet::new());
    for tick in 0..600 {
        let inputs = if tick == 0 { vec![crowd.clone()] } else { Vec::new() };
        let deltas = scene.step(&inputs);
        scene.check(&deltas);
        arrived += deltas.counts.arrived;
        for delta in deltas.chunks.iter().filter(|delta| delta.cause.kind == CauseKind::Dig) {
            assert_eq!((delta.cause.actor, delta.cause.root), (ActorId(1), 1));
            assert!(delta.runs.iter().all(|run| run.new == AIR && run.old != AIR));
        }
        if deltas.counts.dug > 0 {
            dug.extend(changed(&deltas));
        }
        if scene.world.agent_count() == 0 {
            break;
        }
    }
    assert_eq!(arrived, 40);
    assert!(dug.len() >= 12, "{} voxels dug twelve down", dug.len());
    assert!(
        scene.world.standing().columns.values().all(|state| state.crowds.is_empty()),
        "a crowd without agents stays"
    );
}

#[test]
fn a_dismissed_crowd_leaves_no_trace() {
    let mut scene = Scene::new(1);
    let field = within([-32, -4, -32], [32, 12, 32]);
    scene.step(&[]);
    let digest = scene.world.standing().digest;
    let crowd = scene.crowd("ground", &[pos(28, 0, 0)], field, within([-30, 0, -10], [-10, 1, 10]), 300);
    let deltas = scene.step(&[crowd]);
    scene.check(&deltas);
    assert_ne!(deltas.digest, digest);
    assert_eq!(scene.world.agent_count(), 300);
    let dismiss = |scene: &Scene| Input::Dismiss { actor: ActorId(1), sequence: scene.sequence() };
    let deltas = scene.step(&[dismiss(&scene)]);
    scene.check(&deltas);
    assert_eq!((deltas.digest, scene.world.agent_count()), (digest, 0));
    let deltas = scene.step(&[dismiss(&scene)]);
    assert_eq!(deltas.outcomes, [Outcome::Refused(Refusal::Crowd(CrowdError::NoCrowd(1)))]);
}

#[test]
fn a_crowd_that_can_not_be_is_refused() {
    let mut scene = Scene::new(1);
    let field = within([-32, -4, -32], [32, 12, 32]);
    let from = within([-30, 0, -10], [-10, 1, 10]);
    let goal = pos(28, 0, 0);
    let mut refused = |input: Input| {
        let outcomes = scene.step(&[input]).outcomes;
        let [Outcome::Refused(Refusal::Crowd(error))] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!(scene.world.agent_count(), 0);
        error.clone()
    };
    let crowd = |sequence, mode: &str, goals: Vec<VoxelPos>, field, from, count| Input::Crowd {
        actor: ActorId(1),
        sequence,
        errand: Errand { mode: mode.into(), goals, within: field, speed: 512 },
        starts: Starts::Within { within: from, count },
    };
    let error = refused(crowd(1, "swim", vec![goal], field, from, 5));
    assert!(matches!(error, CrowdError::Path(PathError::UnknownMode { .. })), "{error}");
    let error = refused(crowd(2, "ground", vec![pos(0, -3, 0)], field, from, 5));
    assert!(matches!(error, CrowdError::Path(PathError::Blocked { .. })), "{error}");
    assert_eq!(refused(crowd(3, "ground", vec![], field, from, 5)), CrowdError::Path(PathError::NoGoal));
    assert_eq!(refused(crowd(4, "ground", vec![goal], field, from, 0)), CrowdError::Nobody);
    let error = refused(crowd(5, "ground", vec![goal], field, from, 400 * 4 + 1));
    assert_eq!(error, CrowdError::NoRoom { asked: 1_601, room: 1_600 });
    let asked = AGENTS_MAX + 1;
    let error = refused(crowd(6, "ground", vec![goal], field, from, asked as u32));
    assert_eq!(error, CrowdError::TooMany { asked, there: 0 });
    let error = refused(crowd(7, "ground", vec![goal; CROWD_GOALS_MAX + 1], field, from, 5));
    assert_eq!(error, CrowdError::TooManyGoals(CROWD_GOALS_MAX + 1));
    let far = within([-1024, -64, -1024], [1024, 64, 1024]);
    assert!(matches!(refused(crowd(8, "ground", vec![goal], far, from, 5)), CrowdError::Fields { .. }));
    for sequence in 9..9 + CROWDS_MAX as u64 {
        let outcomes = scene.step(&[crowd(sequence, "ground", vec![goal], field, from, 1)]).outcomes;
        assert_eq!(outcomes, [Outcome::Applied]);
    }
    let outcomes = scene.step(&[crowd(40, "ground", vec![goal], field, from, 1)]).outcomes;
    assert_eq!(outcomes, [Outcome::Refused(Refusal::Crowd(CrowdError::TooManyCrowds))]);
}

#[test]
fn a_world_that_is_shared_out_has_no_crowds() {
    let scene = Scene::new(1);
    let field = within([-32, -4, -32], [32, 12, 32]);
    let crowd = scene.crowd("ground", &[pos(28, 0, 0)], field, within([-30, 0, -10], [-10, 1, 10]), 3);
    let mut world = scene.world.owning([pos(0, 0, 0).chunk().column()].into()).unwrap();
    let outcomes = world.step(1, &[crowd]).unwrap().outcomes;
    assert_eq!(outcomes, [Outcome::Refused(Refusal::Crowd(CrowdError::Shared))]);
}
