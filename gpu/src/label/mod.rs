//! Connected components of chunks on a device: 6-connectivity, and numbers in order of each component's first voxel.
//!
//! Tiles of 16³ voxels are labelled in the memory of a workgroup, then joined over their faces; then every voxel is led to the
//! first one of its component, and those are counted in order (shaders/label.wgsl). Union-find by `atomicMin` after Komura,
//! *GPU-based cluster-labeling algorithm without the use of conventional iteration* (2015), and Playne and Hawick, *A new
//! algorithm for parallel connected-component labelling on GPUs* (2018): each join is complete when it returns, so there are
//! no rounds, and the smallest voxel wins whatever the order.
//!
//! What is too large for one binding is labelled in pages, runs of chunks in order of position; the CPU then joins labels over
//! the faces where pages touch, and numbers them anew.
//!
//! **Bytes that move** for each voxel: an eighth of its row in, 4 out of the tile; 8 to be led to the first voxel; 4 to count
//! those, 8 for the number. Seams read rows and, where two stretches touch, two words and an atomic one.

mod ids;
mod join;

use crate::device::{Device, Kernel, Shape};
use crate::error::GpuError;
use crate::passes::{Dispatches, Upload, grid};
use crate::pool::{Pool, Use};
use crate::prelude::{NUMBERED, TILE_VOXELS, TILES};
use crate::readback::Readback;
use crate::shaders::source;
use ids::{Ids, labels_of};
use join::Page;
use rayon::prelude::*;
use std::collections::BTreeMap;
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
/// Most bytes that come down at once.
const DOWNLOAD_BYTES: u64 = 64 << 20;
/// Most chunks of a page: ids of voxels stay below [`NUMBERED`].
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
    page_chunks: usize,
    kernels: Vec<Arc<Kernel>>,
    dispatches: Dispatches,
}

impl Labeller {
    /// A labeller whose pages are as large as the device binds at once.
    ///
    /// # Errors
    /// As [`Labeller::with_page_bytes`].
    pub fn new(device: Arc<Device>) -> Result<Self, GpuError> {
        Self::with_page_bytes(device, u64::MAX)
    }

    /// A labeller with pages of at most so many bytes, 128 KiB for each chunk; they take little more on the device. The
    /// shader is compiled here, unless the device has it already.
    ///
    /// # Errors
    /// [`GpuError::TooWeak`] for a device whose workgroups have less than 19 KiB of memory, [`GpuError::TooLarge`] if not one
    /// chunk fits into a page.
    pub fn with_page_bytes(device: Arc<Device>, page_bytes: u64) -> Result<Self, GpuError> {
        device.check_workgroup_bytes(WORKGROUP_BYTES)?;
        let allowed = page_bytes.min(device.binding_bytes_max());
        let page_chunks = (allowed / LABEL_BYTES).min(CHUNKS_MAX as u64) as usize;
        if page_chunks == 0 {
            return Err(GpuError::TooLarge { chunks: 1, needs: LABEL_BYTES, allowed });
        }
        let text = source(STEM, &[]).unwrap_or_default();
        let kernel = |entry| device.kernel(STEM, text, entry, Shape::Label);
        let kernels = ENTRIES.into_iter().map(kernel).collect::<Result<_, _>>()?;
        let pool = Pool::new(device.clone(), u64::MAX);
        Ok(Self { device, pool, page_chunks, kernels, dispatches: Dispatches::default() })
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
    /// empty. Takes the rayon pool that this is called in.
    ///
    /// # Errors
    /// What the device says.
    ///
    /// # Panics
    /// If a chunk is given twice, or there are 2³² components.
    pub fn label(&self, chunks: &[(ChunkPos, &[u32; ROWS])]) -> Result<Labels, GpuError> {
        let mut sorted = chunks.to_vec();
        sorted.sort_unstable_by_key(|(pos, _)| *pos);
        assert!(sorted.windows(2).all(|two| two[0].0 != two[1].0), "a chunk is given twice");
        let mut pages = sorted.chunks(self.page_chunks).map(|page| self.page(page)).collect::<Result<Vec<_>, _>>()?;
        let count = join::join(&mut pages);
        let of = |(pos, _): &(ChunkPos, _)| {
            let number = pages.partition_point(|page| page.ids.positions.last().is_some_and(|last| last < pos));
            let Page { ids, labels, .. } = &pages[number];
            (*pos, labels_of(&ids.rows[ids.slot(*pos)], labels))
        };
        Ok(Labels { count, chunks: chunks.par_iter().map(of).collect() })
    }

    /// A page by itself, of chunks in order of position.
    fn page(&self, chunks: &[(ChunkPos, &[u32; ROWS])]) -> Result<Page, GpuError> {
        let ids = Ids::new(chunks.iter().map(|(pos, _)| *pos).collect());
        let (labels, count) = self.run(&ids, chunks)?;
        Ok(Page { ids, labels, count })
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
        for ((_, words), slot) in chunks.iter().zip(0..) {
            upload.put(&bits, slot * (ROWS * 4) as u64, &words[..])?;
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
        let _ = self.device.guarded("labels", || self.device.queue.submit([commands.finish()]))?;
        let mut by_id = Vec::with_capacity((label_bytes / 4) as usize);
        for begin in (0..label_bytes).step_by(DOWNLOAD_BYTES as usize) {
            self.read(&labels, begin..label_bytes.min(begin + DOWNLOAD_BYTES), &mut by_id)?;
        }
        let mut count = Vec::new();
        self.read(&sums, sum_bytes - 4..sum_bytes, &mut count)?;
        Ok((by_id, count[0]))
    }

    /// Adds the words of a part of a buffer, without the bit of those that are numbered.
    fn read(&self, buffer: &wgpu::Buffer, part: std::ops::Range<u64>, words: &mut Vec<u32>) -> Result<(), GpuError> {
        let word = |w: &[u8]| u32::from_le_bytes([w[0], w[1], w[2], w[3]]) & !NUMBERED;
        Readback::submit_part(&self.device, &self.pool, self.commands(), buffer, part)?
            .read(|bytes| words.extend(bytes.chunks_exact(4).map(word)))
    }

    fn commands(&self) -> wgpu::CommandEncoder {
        self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}
