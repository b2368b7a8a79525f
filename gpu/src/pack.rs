//! Packing chunks on a device: the twin of `delta::codec::pack`, byte for byte, thousands of chunks in one submission.
//!
//! The numbers of chunks that have a table go up; what comes down is their rows, masks, flags and numbers in the order of the
//! inner layout (docs/codec.md), and the CPU puts table and sparse data around them. Chunks of one block, of plain ids, and those that
//! are longer by rows are told as they are, which takes no device.
//!
//! **Bytes that move** for a chunk of 16 or 32 KiB: those once (each row is also what the next one is expected to be, and is read
//! again where it differs, but from a cache), and its bytes once out, put together in the memory of the workgroup. docs/codec.md has
//! what was measured.

use crate::clock::{Clock, between, finish};
use crate::device::{Device, Kernel, Shape};
use crate::error::GpuError;
use crate::layout::PackRow;
use crate::passes::{Dispatches, Piece, Upload, grid, put_pieces};
use crate::pool::{Pool, Pooled, Use};
use crate::prelude::GROUP;
use crate::readback::Readback;
use crate::shaders::source;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use terrane_world::chunk::{Chunk, Form};
use terrane_world::delta::codec;
use terrane_world::limits::CHUNK_VOXELS;

const STEM: &str = "codec";
/// The same for devices with subgroups.
const STEM_SUBGROUPS: &str = "codec_subgroups";
/// Bytes of a workgroup's own memory: two words for each row, those of the sums, and some more.
const WORKGROUP_BYTES: u32 = 4 * (2 * codec::ROWS as u32 + GROUP + 2 * 32) + 64;
/// Most chunks of one submission, where memory does not end it before.
const CHUNKS_MAX: usize = 16_384;

/// Where the time of packing went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackPhases {
    /// Until numbers are on the device.
    pub upload: Duration,
    /// The kernel, by the CPU's clock around its submission.
    pub kernels: Duration,
    /// The kernel by the device's own clock; nothing where it has none.
    pub kernels_on_device: Duration,
    /// Until the bytes are on the CPU, with what belongs around them.
    pub download: Duration,
    /// Bytes of numbers that went up.
    pub bytes_up: u64,
    /// Bytes that came down.
    pub bytes_down: u64,
}

/// Chunks with a table on the device: the table of chunks, how many words are taken, their numbers, their bytes.
struct Batch {
    buffers: [Pooled; 4],
    sizes: [u64; 4],
    count: u32,
}

fn has_table(chunk: &Chunk) -> bool {
    matches!(chunk.form(), Form::U4 | Form::U8)
}

fn tabled<'a>(chunks: &[&'a Chunk]) -> Vec<&'a Chunk> {
    chunks.iter().copied().filter(|chunk| has_table(chunk)).collect()
}

/// Every chunk's bytes, of which `heads` and `found` say what was found in those with a table: how many bytes, and where they
/// begin, in words, the heads counted in.
fn join(chunks: &[&Chunk], heads: &[[u32; 2]], found: &[u8]) -> Vec<Vec<u8>> {
    let mut left = heads.iter().copied();
    let heads_of: Vec<Option<[u32; 2]>> =
        chunks.iter().map(|chunk| if has_table(chunk) { left.next() } else { None }).collect();
    let whole = |(chunk, head): (&&Chunk, &Option<[u32; 2]>)| {
        let mut out = Vec::new();
        match *head {
            None => codec::pack(chunk, &mut out),
            Some([0, _]) => codec::put_found(chunk, &[], &mut out),
            Some([bytes, first]) => {
                let begin = 4 * first as usize - size_of_val(heads);
                codec::put_found(chunk, &found[begin..][..bytes as usize], &mut out);
            }
        }
        out
    };
    chunks.par_iter().zip(&heads_of).map(whole).collect()
}

/// Packing on a device.
pub struct Packer {
    device: Arc<Device>,
    pool: Arc<Pool>,
    chunks_max: usize,
    kernel: Arc<Kernel>,
    dispatches: Dispatches,
}

impl Packer {
    /// A packer. The shader is compiled here, unless the device has it already.
    ///
    /// # Errors
    /// [`GpuError::TooWeak`] for a device whose workgroups have less than 10 KiB of memory.
    pub fn new(device: Arc<Device>) -> Result<Self, GpuError> {
        let stem = if device.has_subgroups() { STEM_SUBGROUPS } else { STEM };
        Self::of(device, stem)
    }

    /// One that does without subgroups, as on a device that has none.
    ///
    /// # Errors
    /// As [`Packer::new`].
    pub fn without_subgroups(device: Arc<Device>) -> Result<Self, GpuError> {
        Self::of(device, STEM)
    }

    fn of(device: Arc<Device>, stem: &str) -> Result<Self, GpuError> {
        device.check_workgroup_bytes(WORKGROUP_BYTES)?;
        let text = source(stem, &[]).unwrap_or_default();
        let kernel = device.kernel(stem, text, "pack", Shape::Label)?;
        let binding = device.binding_bytes_max();
        let chunks_max = CHUNKS_MAX.min((binding / (CHUNK_VOXELS as u64 + 8)) as usize);
        Ok(Self {
            pool: Pool::new(device.clone(), u64::MAX),
            device,
            chunks_max,
            kernel,
            dispatches: Dispatches::default(),
        })
    }

    /// The device.
    pub const fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// How often a kernel of each stem was dispatched since this was made.
    pub fn dispatches(&self) -> BTreeMap<&'static str, u64> {
        self.dispatches.all()
    }

    /// The inner layout of each chunk: the bytes of `delta::codec::pack`.
    ///
    /// # Errors
    /// What the device says.
    pub fn pack(&self, chunks: &[&Chunk]) -> Result<Vec<Vec<u8>>, GpuError> {
        Ok(self.measure(chunks, &|| Duration::ZERO)?.0)
    }

    /// The same, and where the time went. `now` is a clock.
    ///
    /// # Errors
    /// As [`Packer::pack`].
    pub fn measure(
        &self,
        chunks: &[&Chunk],
        now: &dyn Fn() -> Duration,
    ) -> Result<(Vec<Vec<u8>>, PackPhases), GpuError> {
        let (mut packed, mut phases) = (Vec::with_capacity(chunks.len()), PackPhases::default());
        for batch in chunks.chunks(self.chunks_max) {
            packed.extend(self.batch(batch, &mut phases, now)?);
        }
        Ok((packed, phases))
    }

    fn batch(
        &self,
        chunks: &[&Chunk],
        phases: &mut PackPhases,
        now: &dyn Fn() -> Duration,
    ) -> Result<Vec<Vec<u8>>, GpuError> {
        let tabled = tabled(chunks);
        if tabled.is_empty() {
            return Ok(join(chunks, &[], &[]));
        }
        let begun = now();
        let batch = self.upload(&tabled)?;
        let uploaded = now();
        let times = self.run(&batch, 1)?;
        let ran = now();
        let first = tabled.len() as u64 * 8;
        let heads: Vec<[u32; 2]> = self.read(&batch, 0..first)?.read(bytemuck::pod_collect_to_vec)?;
        let end = |[bytes, first]: &[u32; 2]| u64::from(*first) * 4 + u64::from(bytes.next_multiple_of(4));
        let end = heads.iter().map(end).max().unwrap_or(first);
        let packed = match end > first {
            true => self.read(&batch, first..end)?.read(|bytes| join(chunks, &heads, bytes))?,
            false => join(chunks, &heads, &[]),
        };
        phases.upload += uploaded.saturating_sub(begun);
        phases.kernels += ran.saturating_sub(uploaded);
        phases.kernels_on_device += times.first().copied().unwrap_or_default();
        phases.download += now().saturating_sub(ran);
        phases.bytes_up += batch.sizes[2];
        phases.bytes_down += end;
        Ok(packed)
    }

    /// The kernel alone, so many times over the same chunks without a pause, by the device's own clock; nothing where it has
    /// none. The chunks have to fit into one batch.
    ///
    /// # Errors
    /// As [`Packer::pack`].
    pub fn repeat(&self, chunks: &[&Chunk], times: u32) -> Result<Vec<Duration>, GpuError> {
        self.run(&self.upload(&tabled(chunks))?, times)
    }

    /// Chunks that have a table, on the device.
    fn upload(&self, chunks: &[&Chunk]) -> Result<Batch, GpuError> {
        let mut cells = 0;
        let row = |chunk: &&Chunk| {
            let first = cells;
            cells += chunk.form().data_bytes() as u32 / 4;
            PackRow { cells: first, bits: if chunk.form() == Form::U4 { 4 } else { 8 } }
        };
        let rows: Vec<PackRow> = chunks.iter().map(row).collect();
        let cell_bytes = u64::from(cells) * 4;
        // The bytes of a chunk are fewer than those of its numbers.
        let sizes = [size_of_val(&*rows) as u64, 4, cell_bytes, chunks.len() as u64 * 8 + cell_bytes];
        let doing = ["the table of chunks", "how much is taken", "the numbers of chunks", "the bytes of chunks"];
        let take = |n: usize| self.pool.take(Use::Storage, sizes[n], doing[n]);
        let buffers = [take(0)?, take(1)?, take(2)?, take(3)?];
        Upload::new(&self.device).put(&buffers[0], 0, &rows)?;
        let data: Vec<_> = chunks.iter().map(|chunk| chunk.data()).collect();
        let pieces: Vec<&Piece> = data.iter().flat_map(|data| data.as_chunks().0).collect();
        put_pieces(&self.device, &self.pool, &buffers[2], &pieces)?;
        Ok(Batch { buffers, sizes, count: rows.len() as u32 })
    }

    /// The kernel, so many times, until it is done; how long it took each time by the device's clock.
    fn run(&self, batch: &Batch, times: u32) -> Result<Vec<Duration>, GpuError> {
        let Batch { buffers, sizes, count } = batch;
        let mut clock = Clock::new(&self.device, times);
        let commands = self.device.guarded("packing", || {
            let bound: [(u32, &wgpu::Buffer, u64); 4] = std::array::from_fn(|n| (n as u32 + 1, &*buffers[n], sizes[n]));
            let group = self.device.bind(Shape::Label, &bound);
            let mut commands = self.commands();
            for _ in 0..times {
                commands.clear_buffer(&buffers[1], 0, Some(sizes[1]));
                let timestamp_writes = clock.as_mut().map(Clock::pass);
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                let mut pass = commands.begin_compute_pass(&descriptor);
                pass.set_bind_group(0, &group, &[]);
                let [x, y] = grid(*count);
                pass.set_pipeline(&self.kernel.pipeline);
                pass.dispatch_workgroups(x, y, 1);
                self.dispatches.count(STEM);
            }
            commands
        })?;
        let words = finish(&self.device, &self.pool, commands, clock)?;
        Ok(words.chunks_exact(2).map(|pair| between(&self.device, pair[0], pair[1])).collect())
    }

    fn read(&self, batch: &Batch, part: std::ops::Range<u64>) -> Result<Readback, GpuError> {
        Readback::submit_part(&self.device, &self.pool, self.commands(), &batch.buffers[3], part)
    }

    fn commands(&self) -> wgpu::CommandEncoder {
        self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}
