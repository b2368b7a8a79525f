//! Fewer waypoints: where a straight line is as legal and no dearer, voxel by voxel, what lies between is left out.

use crate::physics::plan::beside;
use crate::relax::EXITS;
use crate::space::VoxelPos;

/// Voxels of a path that one line may replace.
const LINE_MAX: usize = 64;

/// What a move through an exit costs, if it is legal.
pub type Step<'a> = dyn FnMut(VoxelPos, usize) -> Option<u64> + 'a;

/// The places in `path` that remain when everything is left out that a legal line, costing no more than the part of the path
/// it replaces, passes by; and the cost of what is walked then. The first and the last always remain. `diagonal` says that
/// lines may go over edges and corners.
pub fn smooth(path: &[VoxelPos], diagonal: bool, step: &mut Step<'_>) -> (Vec<usize>, u64) {
    let mut waypoints = vec![0];
    let mut total = 0;
    let mut at = 0;
    while at + 1 < path.len() {
        let mut along = between(path[at], path[at + 1], step);
        let (mut next, mut cost) = (at + 1, along);
        for to in at + 2..path.len().min(at + 1 + LINE_MAX) {
            along += between(path[to - 1], path[to], step);
            match line(path[at], path[to], diagonal, step) {
                Some(straight) if straight <= along => (next, cost) = (to, straight),
                _ => break,
            }
        }
        total += cost;
        waypoints.push(next);
        at = next;
    }
    (waypoints, total)
}

/// What the move between neighbours costs.
fn between(from: VoxelPos, to: VoxelPos, step: &mut Step<'_>) -> u64 {
    let difference: [i32; 3] = std::array::from_fn(|axis| to.to_array()[axis] - from.to_array()[axis]);
    let exit = EXITS.iter().position(|step| *step == difference).expect("a path goes from neighbour to neighbour");
    step(from, exit).expect("every move of a path is legal")
}

/// What it costs to walk the voxels that a straight line passes, if every move is legal.
pub fn line(from: VoxelPos, to: VoxelPos, diagonal: bool, step: &mut Step<'_>) -> Option<u64> {
    let mut cost = 0;
    let mut at = from;
    for exit in line_exits(from, to, diagonal) {
        cost += step(at, exit)?;
        at = beside(at, EXITS[exit])?;
    }
    Some(cost)
}

/// The moves from voxel to voxel along the line between two voxels' middles: at each the axis whose next border lies first.
/// Where borders are met together, a diagonal line crosses them in one move, another goes along x, then z, then y.
///
/// After Amanatides and Woo, *A fast voxel traversal algorithm for ray tracing* (1987), in whole numbers.
pub fn line_exits(from: VoxelPos, to: VoxelPos, diagonal: bool) -> impl Iterator<Item = usize> {
    const ORDER: [usize; 3] = [0, 2, 1];
    let difference: [i64; 3] =
        std::array::from_fn(|axis| i64::from(to.to_array()[axis]) - i64::from(from.to_array()[axis]));
    let mut done = [0i64; 3];
    std::iter::from_fn(move || {
        let left = |axis: &usize| done[*axis] < difference[*axis].abs();
        // Border n of an axis lies at (2n + 1) / 2|d| of the way.
        let is_before =
            |a: usize, b: usize| (2 * done[a] + 1) * difference[b].abs() < (2 * done[b] + 1) * difference[a].abs();
        let mut first: Option<usize> = None;
        for axis in ORDER.into_iter().filter(left) {
            if first.is_none_or(|first| is_before(axis, first)) {
                first = Some(axis);
            }
        }
        let first = first?;
        let mut step = [0i32; 3];
        for axis in ORDER.into_iter().filter(left) {
            if axis == first || diagonal && !is_before(first, axis) {
                step[axis] = difference[axis].signum() as i32;
            }
        }
        for axis in 0..3 {
            done[axis] += i64::from(step[axis].abs());
        }
        EXITS.iter().position(|exit| *exit == step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pos(x: i32, y: i32, z: i32) -> VoxelPos {
        VoxelPos::new(x, y, z).expect("inside")
    }

    proptest! {
        #[test]
        fn a_line_ends_where_it_should_and_stays_beside_the_straight_one(
            to in (-20i32..20, -20i32..20, -20i32..20), diagonal: bool,
        ) {
            let (from, to) = (pos(3, 5, 7), pos(to.0, to.1, to.2));
            let mut at = from;
            for exit in line_exits(from, to, diagonal) {
                prop_assert!(diagonal || exit < 6);
                at = beside(at, EXITS[exit]).expect("inside");
                // No voxel is further than one from the line: twice the area over the length.
                let d: [i64; 3] = std::array::from_fn(|n| i64::from(to.to_array()[n] - from.to_array()[n]));
                let p: [i64; 3] = std::array::from_fn(|n| i64::from(at.to_array()[n] - from.to_array()[n]));
                let cross = [d[1] * p[2] - d[2] * p[1], d[2] * p[0] - d[0] * p[2], d[0] * p[1] - d[1] * p[0]];
                let square = |v: [i64; 3]| v.iter().map(|n| n * n).sum::<i64>();
                prop_assert!(square(cross) <= square(d), "{:?}", at);
            }
            prop_assert_eq!(at, to);
        }
    }

    #[test]
    fn over_open_ground_two_waypoints_remain_and_a_wall_keeps_its_corner() {
        let wall = |at: VoxelPos| at.x() == 4 && at.z() > 0;
        let mut step = |from: VoxelPos, exit: usize| {
            let to = beside(from, EXITS[exit])?;
            (!wall(to)).then_some(2)
        };
        let straight: Vec<VoxelPos> = (0..10).map(|x| pos(x, 0, -5)).collect();
        assert_eq!(smooth(&straight, false, &mut step), (vec![0, 9], 18));
        let mut round: Vec<VoxelPos> = (0..=5).rev().map(|z| pos(3, 0, z)).collect();
        round.extend((4..=8).map(|x| pos(x, 0, 0)));
        round.extend((1..=5).map(|z| pos(8, 0, z)));
        let (waypoints, cost) = smooth(&round, false, &mut step);
        assert!(waypoints.len() <= 5 && waypoints.len() >= 4, "{waypoints:?}");
        assert_eq!(cost, 2 * (round.len() as u64 - 1));
    }
}
