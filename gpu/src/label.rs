//! Connected components of chunks on a device: 6-connectivity, and numbers in order of each component's first voxel.
//!
//! Tiles of 16³ voxels are labelled in the memory of a workgroup, then joined over their faces; then every voxel is led to the
//! first one of its component, and those are counted in order (shaders/label.wgsl). Union-find by `atomicMin` after Komura,
//! *GPU-based cluster-labeling algorithm without the use of conventional iteration* (2015), and Playne and Hawick, *A new
//! algorithm for parallel connected-component labelling on GPUs* (2018): each join is complete when it returns, so there are
//! no rounds, and the smallest voxel wins whatever the order.
//!
//! **Bytes that move** for each voxel: an eighth of its row in, 4 out of the tile; 8 to be led to the first voxel; 4 to count
//! those, 8 for the number. Seams read rows and, where two stretches touch, two words and an atomic one.

use crate::device::{Device, Kernel, Shape};
use crate::error::GpuError;
use crate::layout::LabelRow;
use crate::passes::{Dispatches, Upload, grid};
use crate::pool::{Pool, Use};
use crate::prelude::{NONE, NUMBERED, TILE_VOXELS, TILES};
use crate::readback::Readback;
use crate::shaders::source;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use terrane_world::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use terrane_world::space::ChunkPos;

const STEM: &str = "label";
/// Rows along x of a chunk.
const ROWS: usize = CHUNK_EDGE * CHUNK_EDGE;
/// Bytes of a workgroup's own memory: what every voxel of a tile hangs on, its rows, and a scan.
const WORKGROUP_BYTES: u32 = 4 * TILE_VOXELS as u32 + 2 * 4 * 256 + 64;
/// Bytes of a chunk's labels.
const LABEL_BYTES: u64 = CHUNK_VOXELS as u64 * 4;
/// Most chunks: ids of voxels stay below [`NUMBERED`].
const CHUNKS_MAX: usize = NUMBERED as usize / CHUNK_VOXELS - 1;
/// Over tiles, in this order, and `add_up` by itself.
const ENTRIES: [&str; 6] = ["pieces", "seams", "flatten", "add_up", "number", "spread"];

/// Components of a set of chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// How many there are.
    pub count: u32,
    /// The number of each voxel's component, in local-index order, by chunk in the order given: from 1 on in order of the
    /// components' first voxels, as `VoxelPos` is ordered; 0 where there is none.
    pub chunks: Vec<(ChunkPos, Box<[u32; CHUNK_VOXELS]>)>,
}

/// Labelling on a device.
pub struct Labeller {
    device: Arc<Device>,
    pool: Arc<Pool>,
    kernels: Vec<Arc<Kernel>>,
    dispatches: Dispatches,
}

/// Where voxels have their ids: over all chunks, in order of y, z, x.
struct Ids {
    /// By slot.
    positions: Vec<ChunkPos>,
    rows: Vec<LabelRow>,
}

impl Ids {
    fn new(mut positions: Vec<ChunkPos>) -> Self {
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

    fn slot(&self, pos: ChunkPos) -> usize {
        self.positions.binary_search(&pos).expect("every chunk has a slot")
    }
}

impl Labeller {
    /// A labeller. The shader is compiled here, unless the device has it already.
    ///
    /// # Errors
    /// [`GpuError::TooWeak`] for a device whose workgroups have less than 19 KiB of memory.
    pub fn new(device: Arc<Device>) -> Result<Self, GpuError> {
        device.check_workgroup_bytes(WORKGROUP_BYTES)?;
        let text = source(STEM, &[]).unwrap_or_default();
        let kernel = |entry| device.kernel(STEM, text, entry, Shape::Label);
        let kernels = ENTRIES.into_iter().map(kernel).collect::<Result<_, _>>()?;
        let pool = Pool::new(device.clone(), u64::MAX);
        Ok(Self { device, pool, kernels, dispatches: Dispatches::default() })
    }

    /// The device.
    pub const fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// How often a kernel of each stem was dispatched since this was made.
    pub fn dispatches(&self) -> BTreeMap<&'static str, u64> {
        self.dispatches.all()
    }

    /// Labels the voxels whose bits are set: bit x of row z + 32·y of each chunk. The chunks may be any; what is not given is
    /// empty.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] for more chunks than the device binds at once: 128 KiB each. And what the device says.
    ///
    /// # Panics
    /// If a chunk is given twice.
    pub fn label(&self, chunks: &[(ChunkPos, &[u32; ROWS])]) -> Result<Labels, GpuError> {
        let ids = Ids::new(chunks.iter().map(|(pos, _)| *pos).collect());
        assert!(ids.positions.windows(2).all(|two| two[0] != two[1]), "a chunk is given twice");
        if chunks.is_empty() {
            return Ok(Labels { count: 0, chunks: Vec::new() });
        }
        let (needs, allowed) = (chunks.len() as u64 * LABEL_BYTES, self.device.binding_bytes_max());
        if needs > allowed || chunks.len() > CHUNKS_MAX {
            let allowed = allowed.min(CHUNKS_MAX as u64 * LABEL_BYTES);
            return Err(GpuError::TooLarge { chunks: chunks.len(), needs, allowed });
        }
        let (words, count) = self.run(&ids, chunks)?;
        let one = |(pos, _): &(ChunkPos, _)| (*pos, labels_of(&ids.rows[ids.slot(*pos)], &words));
        Ok(Labels { count, chunks: chunks.par_iter().map(one).collect() })
    }

    /// Everything on the device: labels by id, and the count.
    fn run(&self, ids: &Ids, chunks: &[(ChunkPos, &[u32; ROWS])]) -> Result<(Vec<u32>, u32), GpuError> {
        let tiles = (chunks.len() * TILES) as u32;
        let take = |bytes, doing| self.pool.take(Use::Storage, bytes, doing);
        let [row_bytes, bit_bytes, sum_bytes, label_bytes] = [
            size_of_val(&*ids.rows) as u64,
            (chunks.len() * ROWS * 4) as u64,
            (u64::from(tiles) + 1) * 4,
            chunks.len() as u64 * LABEL_BYTES,
        ];
        let (rows, bits) = (take(row_bytes, "the table of chunks")?, take(bit_bytes, "the bits")?);
        let (sums, labels) = (take(sum_bytes, "the sums")?, take(label_bytes, "the labels")?);
        let mut upload = Upload::new(&self.device);
        upload.put(&rows, 0, &ids.rows)?;
        for (pos, words) in chunks {
            upload.put(&bits, (ids.slot(*pos) * ROWS * 4) as u64, &words[..])?;
        }
        let commands = self.device.guarded("labels", || {
            let buffers =
                [(1, &*rows, row_bytes), (2, &*sums, sum_bytes), (3, &*bits, bit_bytes), (4, &*labels, label_bytes)];
            let group = self.device.bind(Shape::Label, &buffers);
            let mut commands = self.commands();
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (kernel, entry) in self.kernels.iter().zip(ENTRIES) {
                let [x, y] = if entry == "add_up" { [1, 1] } else { grid(tiles) };
                pass.set_pipeline(&kernel.pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(x, y, 1);
                self.dispatches.count(STEM);
            }
            drop(pass);
            commands
        })?;
        let words = |bytes: &[u8]| -> Vec<u32> {
            bytes.par_chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]) & !NUMBERED).collect()
        };
        let read = Readback::submit(&self.device, &self.pool, commands, &labels, label_bytes)?.read(words)?;
        let last = sum_bytes - 4..sum_bytes;
        let count = Readback::submit_part(&self.device, &self.pool, self.commands(), &sums, last)?.read(words)?;
        Ok((read, count[0]))
    }

    fn commands(&self) -> wgpu::CommandEncoder {
        self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}

/// A chunk's labels out of those by id.
fn labels_of(row: &LabelRow, by_id: &[u32]) -> Box<[u32; CHUNK_VOXELS]> {
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
            for local in (0..CHUNK_VOXELS as u16).filter_map(terrane_world::space::LocalIndex::new) {
                let id =
                    row.base + local.y() as u32 * row.stride_y + local.z() as u32 * row.stride_z + local.x() as u32;
                all.push((pos.voxel(local), id));
            }
        }
        all.sort_unstable();
        assert!(all.iter().zip(0..).all(|((_, id), n)| *id == n));
    }
}
