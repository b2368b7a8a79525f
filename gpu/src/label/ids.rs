//! Numbers of voxels over a set of chunks, dense and in order of position.

use crate::layout::LabelRow;
use crate::prelude::NONE;
use std::collections::HashMap;
use terrane_world::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelPos};

/// Where voxels have their ids: over all chunks, in order of y, z, x.
pub(crate) struct Ids {
    /// By slot, in order.
    pub(crate) positions: Vec<ChunkPos>,
    pub(crate) rows: Vec<LabelRow>,
}

impl Ids {
    pub(crate) fn new(mut positions: Vec<ChunkPos>) -> Self {
        positions.sort_unstable();
        let slot_of: HashMap<ChunkPos, u32> = positions.iter().copied().zip(0..).collect();
        let edge = CHUNK_EDGE as u32;
        let mut rows = Vec::with_capacity(positions.len());
        for layer in positions.chunk_by(|a, b| a.y() == b.y()) {
            let (before, stride_y) = (rows.len() as u32, layer.len() as u32 * edge * edge);
            for row in layer.chunk_by(|a, b| a.z() == b.z()) {
                let base = before * CHUNK_VOXELS as u32 + (rows.len() as u32 - before) * edge * edge;
                let stride_z = row.len() as u32 * edge;
                rows.extend(row.iter().zip(0..).map(|(pos, n)| {
                    let beside = [[0, -1, 0], [0, 0, -1], [-1, 0, 0]].map(|[x, y, z]| {
                        let there = ChunkPos::new(pos.x() + x, pos.y() + y, pos.z() + z).ok();
                        there.and_then(|pos| slot_of.get(&pos).copied()).unwrap_or(NONE)
                    });
                    LabelRow { beside, base: base + n * edge, stride_y, stride_z }
                }));
            }
        }
        Self { positions, rows }
    }

    pub(crate) fn slot(&self, pos: ChunkPos) -> usize {
        self.positions.binary_search(&pos).expect("every chunk has a slot")
    }

    /// The voxel that has an id.
    pub(crate) fn voxel(&self, id: u32) -> VoxelPos {
        let edge = CHUNK_EDGE as u32;
        // The ids of a layer of chunks lie together, those of all its chunks at one y, and there those of a row of chunks.
        let layer_begin = |slot: usize| self.positions.partition_point(|pos| pos.y() < self.positions[slot].y());
        let slot = layer_begin((id / CHUNK_VOXELS as u32) as usize);
        let above = id - slot as u32 * CHUNK_VOXELS as u32;
        let (y, rest) = (above / self.rows[slot].stride_y, above % self.rows[slot].stride_y);
        let near = slot + (rest / (edge * edge)) as usize;
        let there = |pos: &ChunkPos| (pos.y(), pos.z()) < (self.positions[near].y(), self.positions[near].z());
        let first = self.positions.partition_point(there);
        let rest = rest - (first - slot) as u32 * edge * edge;
        let (z, x) = (rest / self.rows[first].stride_z, rest % self.rows[first].stride_z);
        let pos = self.positions[first + (x / edge) as usize];
        pos.voxel(LocalIndex::from_xyz((x % edge) as usize, y as usize, z as usize))
    }
}

/// The id of a voxel of a chunk.
pub(crate) const fn id_of(row: &LabelRow, local: LocalIndex) -> u32 {
    row.base + local.y() as u32 * row.stride_y + local.z() as u32 * row.stride_z + local.x() as u32
}

/// A chunk's labels out of those by id.
pub(crate) fn labels_of(row: &LabelRow, by_id: &[u32]) -> Box<[u32; CHUNK_VOXELS]> {
    let mut labels = vec![0; CHUNK_VOXELS];
    for (n, line) in (0..).zip(labels.chunks_exact_mut(CHUNK_EDGE)) {
        let first = row.base + n / CHUNK_EDGE as u32 * row.stride_y + n % CHUNK_EDGE as u32 * row.stride_z;
        line.copy_from_slice(&by_id[first as usize..][..CHUNK_EDGE]);
    }
    labels.into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("a chunk has {CHUNK_VOXELS} voxels"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dense_and_in_the_order_of_positions() {
        let at = |x, y, z| ChunkPos::new(x, y, z).expect("inside");
        let given = vec![at(3, 0, 0), at(-5, 0, 0), at(3, 1, 0), at(0, 0, 7), at(4, 0, 0), at(4, 9, -2)];
        let ids = Ids::new(given);
        let mut all: Vec<_> = Vec::new();
        for (pos, row) in ids.positions.iter().zip(&ids.rows) {
            let locals = (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new);
            all.extend(locals.map(|local| (pos.voxel(local), id_of(row, local))));
        }
        all.sort_unstable();
        for (n, (pos, id)) in (0..).zip(all) {
            assert_eq!((id, ids.voxel(n)), (n, pos));
        }
    }
}
