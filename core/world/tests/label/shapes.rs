//! Shapes that are hard to label, and the plain flood fill that everything is compared with.

use proptest::prelude::*;
use std::collections::BTreeMap;
use terrane_world::label::Bits;
use terrane_world::space::{ChunkPos, VoxelPos};

/// A small generator of numbers (SplitMix64, Steele et al. 2014), so that every run tests the same.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Shapes to label, as names: [`shape`] has them.
pub const SHAPES: &[&str] =
    &["full", "empty", "random", "sparse", "comb", "spiral", "maze", "noise", "checkerboard", "shells"];

/// Whether a shape of the given size has a voxel at `[x, y, z]`, C-order [y][z][x].
pub fn shape(name: &str, size: [usize; 3], seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let [width, height, depth] = size;
    let mut solid = vec![0u8; width * height * depth];
    let blobs: Vec<u64> = (0..8 * 8 * 8).map(|_| numbers.next()).collect();
    if name == "maze" {
        carve(&mut solid, size, &mut numbers);
        return solid;
    }
    for (index, voxel) in solid.iter_mut().enumerate() {
        let (x, y, z) = (index % width, index / width / depth, index / width % depth);
        let inside = match name {
            "full" => true,
            "empty" => false,
            "random" => numbers.below(2) == 0,
            "sparse" => numbers.below(50) == 0,
            // Teeth that only a back at the very end joins, so that what looked like many is one.
            "comb" => x % 2 == 0 && z % 2 == 0 || y == height - 1 && (x % 2 == 0 || z % 4 == 0),
            // One path that winds inwards in every second layer, with a way up at the outer or the inner end.
            "spiral" => y % 2 == 0 && winds(x, z, width, depth) || y % 4 == 1 && (x, z) == (0, 0),
            "noise" => blobs[x / 3 % 8 + z / 3 % 8 * 8 + y / 3 % 8 * 64].is_multiple_of(3),
            "checkerboard" => (x + y + z) % 2 == 0,
            "shells" => [x, y, z, width - 1 - x, height - 1 - y, depth - 1 - z].into_iter().min().unwrap() % 2 == 0,
            other => panic!("no shape is called {other}"),
        };
        // Anything but 0 is solid.
        *voxel = if inside { 1 + (index % 255) as u8 } else { 0 };
    }
    solid
}

/// Whether a rectangular spiral covers a place.
fn winds(x: usize, z: usize, width: usize, depth: usize) -> bool {
    let ring = x.min(z).min(width - 1 - x).min(depth - 1 - z);
    // Every second ring is wall; a gap at its corner leads one ring further in.
    ring.is_multiple_of(2) != (x == ring && z == ring + 1 && ring + 1 < depth)
}

/// A perfect maze on the even places: a random depth-first walk, whose corridors are one voxel wide.
fn carve(solid: &mut [u8], [width, height, depth]: [usize; 3], numbers: &mut Numbers) {
    let at = |[x, y, z]: [usize; 3]| (y * depth + z) * width + x;
    let mut path = vec![[0usize; 3]];
    solid[0] = 1;
    while let Some(&here) = path.last() {
        let (turn, mut moved) = (numbers.below(6), false);
        for direction in (0..6).map(|n| (n + turn) % 6) {
            let (mut wall, mut next) = (here, here);
            let axis = direction / 2;
            let (Some(one), Some(two)) = (match direction % 2 {
                0 => (here[axis].checked_add(1), here[axis].checked_add(2)),
                _ => (here[axis].checked_sub(1), here[axis].checked_sub(2)),
            }) else {
                continue;
            };
            (wall[axis], next[axis]) = (one, two);
            if two < [width, height, depth][axis] && solid[at(next)] == 0 {
                (solid[at(wall)], solid[at(next)]) = (1, 1);
                path.push(next);
                moved = true;
                break;
            }
        }
        if !moved {
            path.pop();
        }
    }
}

/// Labels by flood fill, from 1 in raster order of first voxels, and how many there are.
pub fn flood(solid: &[u8], [width, height, depth]: [usize; 3]) -> (Vec<u32>, u32) {
    let mut labels = vec![0u32; solid.len()];
    let mut count = 0;
    for start in 0..solid.len() {
        if solid[start] == 0 || labels[start] != 0 {
            continue;
        }
        count += 1;
        labels[start] = count;
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            let (x, y, z) = (at % width, at / width / depth, at / width % depth);
            let layer = width * depth;
            let near = [
                (x > 0).then(|| at - 1),
                (x + 1 < width).then(|| at + 1),
                (z > 0).then(|| at - width),
                (z + 1 < depth).then(|| at + width),
                (y > 0).then(|| at - layer),
                (y + 1 < height).then(|| at + layer),
            ];
            for next in near.into_iter().flatten().filter(|&next| solid[next] != 0) {
                if labels[next] == 0 {
                    labels[next] = count;
                    open.push(next);
                }
            }
        }
    }
    (labels, count)
}

/// The voxels of an array as bits of chunks, its first voxel at `origin`.
pub fn in_chunks(solid: &[u8], [width, _, depth]: [usize; 3], origin: [i32; 3]) -> BTreeMap<ChunkPos, Bits> {
    let mut chunks = BTreeMap::<ChunkPos, Bits>::new();
    for (index, _) in solid.iter().enumerate().filter(|(_, voxel)| **voxel != 0) {
        let pos = place(index, width, depth, origin);
        chunks.entry(pos.chunk()).or_default().set(pos.local(), true);
    }
    chunks
}

/// Where the voxel of an index lies.
pub fn place(index: usize, width: usize, depth: usize, origin: [i32; 3]) -> VoxelPos {
    let offset = [index % width, index / width / depth, index / width % depth];
    VoxelPos::try_from(std::array::from_fn::<i32, 3, _>(|axis| origin[axis] + offset[axis] as i32)).unwrap()
}

pub fn a_size(most: usize) -> impl Strategy<Value = [usize; 3]> {
    [1..=most, 1..=most, 1..=most]
}
