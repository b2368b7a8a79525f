//! A sparse set of voxels in groups that hang together through faces, across the borders of chunks.

use super::bits::Bits;
use super::pieces::{Axis, Pieces, contacts};
use super::runs::{Run, number, unite};
use crate::limits::CHUNK_EDGE;
use crate::space::{ChunkPos, VoxelBox, VoxelPos};
use std::collections::BTreeMap;

/// Voxels that hang together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The lowest voxel, in the order of positions: by y, then z, then x.
    pub lowest: VoxelPos,
    /// The smallest box around all voxels.
    pub bounds: VoxelBox,
    /// How many voxels there are.
    pub voxels: u64,
    /// The voxels by chunk, ascending, no chunk without any.
    pub parts: Vec<(ChunkPos, Bits)>,
}

/// Groups voxels that touch through faces. Clusters are in ascending order of their lowest voxels.
pub fn clusters(parts: &BTreeMap<ChunkPos, Bits>) -> Vec<Cluster> {
    let chunks: Vec<(ChunkPos, Pieces)> =
        parts.iter().map(|(pos, bits)| (*pos, Pieces::label(bits, &Bits::empty()))).collect();
    let mut base = Vec::with_capacity(chunks.len());
    let mut count = 0u32;
    for (_, pieces) in &chunks {
        base.push(count);
        count += pieces.all().len() as u32;
    }
    let mut groups: Vec<u32> = (0..count).collect();
    for (index, (pos, pieces)) in chunks.iter().enumerate() {
        for axis in Axis::ALL {
            let next = axis.neighbour(*pos).and_then(|next| chunks.binary_search_by_key(&next, |chunk| chunk.0).ok());
            let Some(next) = next else { continue };
            for (one, other) in contacts(pieces, &chunks[next].1, axis) {
                unite(&mut groups, base[index] + u32::from(one), base[next] + u32::from(other));
            }
        }
    }
    let mut growing = vec![None; number(&mut groups) as usize];
    for ((pos, pieces), base) in chunks.iter().zip(base) {
        pieces.for_each_run(|row, run, piece| {
            let group = groups[(base + u32::from(piece)) as usize] as usize;
            growing[group].get_or_insert_with(Growing::default).add(*pos, row, run);
        });
    }
    let mut clusters: Vec<Cluster> = growing.into_iter().flatten().map(Growing::finish).collect();
    clusters.sort_unstable_by_key(|cluster| cluster.lowest);
    clusters
}

/// A cluster in the making.
#[derive(Clone)]
struct Growing {
    /// `[y, z, x]`, as positions are ordered.
    lowest: [i32; 3],
    /// `[x, y, z]`.
    min: [i32; 3],
    max: [i32; 3],
    voxels: u64,
    parts: Vec<(ChunkPos, Bits)>,
}

impl Default for Growing {
    fn default() -> Self {
        Self { lowest: [i32::MAX; 3], min: [i32::MAX; 3], max: [i32::MIN; 3], voxels: 0, parts: Vec::new() }
    }
}

impl Growing {
    /// Adds a run. Chunks come one after the other.
    fn add(&mut self, pos: ChunkPos, row: usize, run: Run) {
        let [x, y, z] = pos.origin().to_array();
        let (y, z) = (y + (row / CHUNK_EDGE) as i32, z + (row % CHUNK_EDGE) as i32);
        let (start, end) = (x + i32::from(run.start), x + i32::from(run.end));
        self.lowest = self.lowest.min([y, z, start]);
        for (axis, (from, to)) in [(start, end), (y, y + 1), (z, z + 1)].into_iter().enumerate() {
            self.min[axis] = self.min[axis].min(from);
            self.max[axis] = self.max[axis].max(to);
        }
        self.voxels += u64::from(run.length());
        if self.parts.last().is_none_or(|(last, _)| *last != pos) {
            self.parts.push((pos, Bits::empty()));
        }
        self.parts.last_mut().expect("one has just been pushed").1.0[row] |= run.mask();
    }

    fn finish(self) -> Cluster {
        let [y, z, x] = self.lowest;
        Cluster {
            lowest: VoxelPos::new(x, y, z).expect("chunks are inside the world"),
            bounds: VoxelBox::new(self.min, self.max).expect("chunks are inside the world"),
            voxels: self.voxels,
            parts: self.parts,
        }
    }
}
