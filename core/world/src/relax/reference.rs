//! Relaxation as it is defined, without any hurry: what every other way must equal.

use super::{EXITS, Rules};

/// The distances of a box of voxels, `[x, y, z]` in size, x fastest, then z, then y. `classes` holds the class of each voxel,
/// `exits` what limits the exits of each voxel further (none: no limit). Outside of the box nothing has a value.
///
/// Repeats the definition over all voxels until nothing changes: the least fixed point, reached from "no value" by steps
/// that only ever better a value (Bellman 1958).
pub fn solve(rules: &Rules, size: [usize; 3], classes: &[u8], exits: Option<&[u32]>) -> Vec<u32> {
    let mut distances: Vec<u32> =
        classes.iter().map(|class| rules.own(&rules.classes()[usize::from(*class)])).collect();
    loop {
        let mut changed = false;
        for index in 0..distances.len() {
            let best = best(rules, size, classes, exits, &distances, index);
            changed |= best != distances[index];
            distances[index] = best;
        }
        if !changed {
            return distances;
        }
    }
}

fn best(
    rules: &Rules,
    size: [usize; 3],
    classes: &[u8],
    exits: Option<&[u32]>,
    distances: &[u32],
    index: usize,
) -> u32 {
    let class = &rules.classes()[usize::from(classes[index])];
    let open = class.exits & exits.map_or(u32::MAX, |exits| exits[index]);
    let mut best = rules.own(class);
    for (exit, step) in EXITS.iter().enumerate().filter(|(exit, _)| open >> exit & 1 == 1) {
        if let Some(from) = neighbour(size, index, *step) {
            let payer = if rules.giver_pays() { &rules.classes()[usize::from(classes[from])] } else { class };
            best = best.min(rules.step(payer, exit, distances[from]));
        }
    }
    best
}

/// The index beside another, if it is inside the box.
pub fn neighbour(size: [usize; 3], index: usize, step: [i32; 3]) -> Option<usize> {
    let [width, height, depth] = size;
    let at = [index % width, index / (width * depth), index / width % depth];
    let mut to = [0; 3];
    for axis in 0..3 {
        to[axis] = at[axis].checked_add_signed(step[axis] as isize).filter(|to| *to < [width, height, depth][axis])?;
    }
    Some(to[0] + width * (to[2] + depth * to[1]))
}
