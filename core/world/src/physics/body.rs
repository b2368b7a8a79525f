//! Bodies on their way down, and back into the grid.

use super::facts::Facts;
use super::plan::{Tick, below, beside};
use super::state::{Body, BodyId, BodyVoxel, Phase, Shape};
use crate::limits::VERTICAL_BOUND;
use crate::space::VoxelPos;
use crate::step::{Cause, CauseKind};
use std::sync::Arc;

/// What a body gains in a tick, in 1/256 voxel a tick: about 16 m/s² at twenty ticks a second, as in the games people know.
pub const GRAVITY: u32 = 10;
/// The most it reaches.
pub const VELOCITY_MAX: u32 = 4 * 256;

/// Moves every falling body of owned columns by one tick. One that meets something stops above it and lands in the next
/// tick, when all who own a part of its place can see that it will.
pub fn fall(tick: &mut Tick<'_>) {
    let start = tick.start;
    for (column, state) in start.iter().filter(|(column, state)| tick.owned.has(**column) && !state.bodies.is_empty()) {
        let falling = state.bodies.iter().filter(|(_, body)| body.phase == Phase::Falling);
        let mut bodies: Vec<(BodyId, Body)> = falling.map(|(id, body)| (*id, moved(tick, body))).collect();
        tick.counts.moved += bodies.len() as u64;
        let next = &mut tick.next.entry(*column).or_default().bodies;
        bodies.extend(next.iter().map(|(id, body)| (*id, body.clone())));
        *next = bodies.into_iter().collect();
    }
}

fn moved(tick: &mut Tick<'_>, body: &Body) -> Body {
    let velocity = (body.velocity + GRAVITY).min(VELOCITY_MAX);
    let fallen = body.fallen + velocity;
    for step in (body.fallen >> 8) + 1..=fallen >> 8 {
        if !body.shape.feet().iter().all(|foot| is_free(tick, *foot, step)) {
            let phase = if shatters(tick.facts, &body.shape, velocity) { Phase::Shattering } else { Phase::Landing };
            return Body { fallen: (step - 1) << 8, velocity: 0, phase, ..body.clone() };
        }
    }
    Body { fallen, velocity, ..body.clone() }
}

fn is_free(tick: &mut Tick<'_>, pos: VoxelPos, down: u32) -> bool {
    beside(pos, [0, -(down as i32), 0]).is_some_and(|there| !tick.is_solid(there))
}

/// Whether a body breaks: the energy of a voxel's weight at this speed is more than its blocks' mean strength. A fall of
/// `strength / 10` voxels does it.
fn shatters(facts: &Facts, shape: &Shape, velocity: u32) -> bool {
    let strength: u64 = shape.voxels().iter().map(|voxel| u64::from(facts.of(voxel.block).strength)).sum();
    u64::from(velocity) * u64::from(velocity) * shape.voxels().len() as u64 > strength * 512
}

/// Puts the voxels of bodies that land into owned columns, lower names first.
pub fn land(tick: &mut Tick<'_>) {
    let start = tick.start;
    let mut landing: Vec<(&BodyId, &Body)> =
        start.values().flat_map(|state| state.bodies.iter()).filter(|(_, body)| body.phase != Phase::Falling).collect();
    landing.sort_unstable_by_key(|(id, _)| **id);
    for (id, body) in landing {
        let cause = Cause { kind: CauseKind::Landing, ..body.cause };
        tick.plan.group(cause, Some(*id));
        for voxel in body.shape.voxels().iter().filter(|voxel| tick.owned.has(voxel.pos.chunk().column())) {
            place(tick, body, voxel);
        }
    }
}

/// Puts one voxel where its body is, or, in pieces, as far down as it gets; upwards if its place has been taken.
fn place(tick: &mut Tick<'_>, body: &Body, voxel: &BodyVoxel) {
    let here = beside(voxel.pos, [0, -((body.fallen >> 8) as i32), 0]).expect("a body stops at the bottom");
    let mut at = here;
    while body.phase == Phase::Shattering
        && let Some(under) = below(at).filter(|under| !tick.is_solid_now(*under))
    {
        at = under;
    }
    let upwards = at.y()..VERTICAL_BOUND;
    let downwards = (-VERTICAL_BOUND..at.y()).rev();
    let free = upwards.chain(downwards).find_map(|y| {
        let there = VoxelPos::new(at.x(), y, at.z()).ok()?;
        (!tick.is_solid_now(there)).then_some(there)
    });
    match free {
        Some(free) => {
            let start = tick.block(free).expect("it was found free");
            tick.plan.set(free, start, voxel.block, voxel.sparse.clone(), true);
            tick.counts.landed += 1;
            tick.work(free, 1);
        }
        None => wait(tick, body, here, voxel),
    }
}

/// A voxel that finds no room in its whole vertical line tries again, alone.
fn wait(tick: &mut Tick<'_>, body: &Body, here: VoxelPos, voxel: &BodyVoxel) {
    let shape = Arc::new(Shape::new(vec![BodyVoxel { pos: here, ..voxel.clone() }]));
    let id = BodyId { tick: tick.tick, origin: here };
    let alone = Body { fallen: 0, velocity: 0, shape, ..body.clone() };
    tick.next(here).bodies.insert(id, alone);
}
