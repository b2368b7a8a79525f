//! Explosions: energy that spreads over 26 neighbours and is swallowed by what it passes.

use super::plan::{Tick, beside};
use super::state::Charge;
use crate::block::AIR;
use crate::digest::voxel_term;
use crate::limits::REACH;
use crate::relax::{EXITS, TENTHS};
use crate::space::{PlaceMap, VoxelPos};
use crate::step::{Cause, CauseKind};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// What a blast needs to know of a voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// What it swallows, 1..=255.
    pub loss: u8,
    /// Whether it closes the way over an edge or a corner that it takes part in.
    pub solid: bool,
}

/// The voxels that a blast of `power` at `at` has energy left in, each with how much, in tenths; ascending by position.
///
/// A step takes `loss` of the voxel it leads into, times 10, 14 or 17 tenths. It may lead over an edge or a corner only if
/// some way over faces inside the 2, or 2×2×2, voxels is free of solid ones, so that nothing slips between solids that
/// touch. The voxel at `at` itself has all of the energy. Energy `e(v) = max over k of e(v + k) − w(k, v)`: the relaxation
/// of `relax`, worked out here from one source with a queue (Dijkstra 1959) because it stays small.
pub fn energy(at: VoxelPos, power: u8, passage: &mut dyn FnMut(VoxelPos) -> Option<Passage>) -> Vec<(VoxelPos, u32)> {
    let mut known: PlaceMap<VoxelPos, Option<Passage>> = PlaceMap::default();
    let mut look = |pos: VoxelPos| *known.entry(pos).or_insert_with(|| passage(pos));
    let mut left: PlaceMap<VoxelPos, u32> = PlaceMap::default();
    let mut queue = BinaryHeap::new();
    left.insert(at, u32::from(power) * 10);
    queue.push((u32::from(power) * 10, Reverse(at)));
    while let Some((energy, Reverse(from))) = queue.pop() {
        if left[&from] != energy {
            continue;
        }
        for (exit, step) in EXITS.iter().enumerate() {
            let Some(to) = beside(from, *step) else { continue };
            let Some(passed) = look(to) else { continue };
            let loss = u32::from(passed.loss) * u32::from(tenths(exit));
            let Some(rest) = energy.checked_sub(loss).filter(|rest| *rest > 0) else { continue };
            if left.get(&to).is_none_or(|known| *known < rest) && is_open(from, *step, &mut look) {
                left.insert(to, rest);
                queue.push((rest, Reverse(to)));
            }
        }
    }
    let mut all: Vec<(VoxelPos, u32)> = left.into_iter().collect();
    all.sort_unstable();
    debug_assert!(all.iter().all(|(pos, _)| (pos.x() - at.x()).abs() <= REACH && (pos.z() - at.z()).abs() <= REACH));
    all
}

/// What a step through an exit costs, in tenths.
pub const fn tenths(exit: usize) -> u16 {
    match exit {
        0..6 => TENTHS[0],
        6..18 => TENTHS[1],
        _ => TENTHS[2],
    }
}

/// Whether a step from a voxel is not squeezed off by solids: some order of its parts passes none on its way.
fn is_open(from: VoxelPos, step: [i32; 3], look: &mut impl FnMut(VoxelPos) -> Option<Passage>) -> bool {
    let mut is_free = |part: [i32; 3]| beside(from, part).and_then(&mut *look).is_some_and(|passage| !passage.solid);
    let [x, y, z] = step;
    match step.iter().filter(|part| **part != 0).count() {
        1 => true,
        2 if x == 0 => is_free([0, y, 0]) || is_free([0, 0, z]),
        2 if y == 0 => is_free([x, 0, 0]) || is_free([0, 0, z]),
        2 => is_free([x, 0, 0]) || is_free([0, y, 0]),
        _ => {
            let one = [[x, 0, 0], [0, y, 0], [0, 0, z]].map(&mut is_free);
            let two = [[0, y, z], [x, 0, z], [x, y, 0]].map(&mut is_free);
            // From a part over a face to one that has it and another.
            (0..3).any(|first| one[first] && (0..3).any(|left_out| left_out != first && two[left_out]))
        }
    }
}

/// Bursts every charge that is ready, on the blocks of the tick's start, where they still are.
pub fn burst(tick: &mut Tick<'_>) {
    let start = tick.start;
    let ready = start.values().flat_map(|state| &state.charges).filter(|(_, charge)| charge.ready);
    let ready: BTreeMap<VoxelPos, Charge> = ready.map(|(at, charge)| (*at, *charge)).collect();
    for (at, charge) in ready {
        let facts = tick.facts;
        let field = energy(at, charge.power, &mut |pos| facts.passage(tick.block(pos)?));
        tick.counts.blasts += u64::from(tick.owns(at));
        tick.work(at, field.len() as u64 / 16);
        tick.plan.group(Cause { kind: CauseKind::Blast, ..charge.cause }, None);
        let owned = tick.owned;
        field
            .iter()
            .filter(|(pos, _)| owned.has(pos.chunk().column()))
            .for_each(|(pos, _)| destroy(tick, *pos, &charge));
    }
}

/// A voxel that a blast has energy left in: gone, and if it is explosive, the next charge.
fn destroy(tick: &mut Tick<'_>, pos: VoxelPos, charge: &Charge) {
    let Some(start) = tick.block(pos) else { return };
    let fact = tick.facts.of(start);
    // What has left with a body is not there any more; what can't be destroyed is where the charge itself was.
    if start == AIR || fact.liquid || fact.anchored || tick.block_now(pos) != Some(start) {
        return;
    }
    tick.plan.set(pos, start, AIR, None, false);
    tick.counts.destroyed += u64::from(fact.solid);
    tick.work(pos, 1);
    if fact.explosive > 0 {
        let due = tick.tick + fuse(pos);
        let next = Charge { power: fact.explosive, due, ready: false, cause: charge.cause };
        tick.next(pos).add_charge(pos, next);
    }
}

/// Ticks that an explosive burns: 4 to 11, by its place, so that a pile goes off as a rattle.
fn fuse(pos: VoxelPos) -> u64 {
    4 + (voxel_term(pos, AIR) & 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pos(x: i32, y: i32, z: i32) -> VoxelPos {
        VoxelPos::new(x, y, z).unwrap()
    }

    #[test]
    fn in_the_open_energy_falls_by_ten_fourteen_and_seventeen() {
        let field = energy(pos(0, 0, 0), 10, &mut |_| Some(Passage { loss: 2, solid: false }));
        let left = |at| field.iter().find(|(pos, _)| *pos == at).map(|(_, left)| *left);
        assert_eq!(left(pos(0, 0, 0)), Some(100));
        assert_eq!(left(pos(1, 0, 0)), Some(80));
        assert_eq!(left(pos(1, 0, -1)), Some(72));
        assert_eq!(left(pos(1, 1, 1)), Some(66));
        assert_eq!(left(pos(0, 4, 0)), Some(20));
        assert_eq!(left(pos(0, 5, 0)), None, "nothing is left after a hundred tenths");
        assert!(field.is_sorted());
    }

    #[test]
    fn nothing_slips_between_solids_that_touch() {
        let wall = |solid: &[[i32; 3]], to: VoxelPos| {
            let mut look = |at: VoxelPos| {
                let is_solid = solid.contains(&at.to_array());
                // Only the voxels between the two places count here: all others are closed by their loss.
                let inside = (0..2).contains(&at.x()) && (0..2).contains(&at.y()) && (0..2).contains(&at.z());
                Some(Passage { loss: if is_solid || !inside { 255 } else { 1 }, solid: is_solid })
            };
            energy(pos(0, 0, 0), 10, &mut look).iter().any(|(at, _)| *at == to)
        };
        assert!(wall(&[], pos(1, 1, 0)) && wall(&[[1, 0, 0]], pos(1, 1, 0)) && wall(&[[0, 1, 0]], pos(1, 1, 0)));
        // Both ways are closed, and the detour over z is closed as well.
        let flat = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]];
        assert!(!wall(&flat, pos(1, 1, 0)));
        assert!(wall(&[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pos(1, 1, 1)));
        assert!(!wall(&[[1, 0, 0], [0, 1, 0], [0, 0, 1]], pos(1, 1, 1)));
        assert!(!wall(&[[1, 1, 0], [1, 0, 1], [0, 1, 1]], pos(1, 1, 1)));
        assert!(!wall(&[[0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]], pos(1, 1, 1)));
    }
}
