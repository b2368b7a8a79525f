//! Packing chunks on a device: the twin of `delta::codec::pack`, byte for byte, thousands of chunks in one submission.
//!
//! The numbers of chunks that have a table go up; what comes down is their rows, masks, flags and numbers in the order of the
//! inner layout (docs/codec.md), and the CPU puts table and sparse data around them. Chunks of one block, of plain ids, and those that
//! are longer by rows are told as they are, which takes no device.
//!
//! **Bytes that move** for a chunk of 16 or 32 KiB: those twice (each row is also what the next one is expected to be), what was found
//! once out, once in and once out again. That is not what takes the time yet: docs/codec.md has what was measured.

use crate::device::{Device, Kernel, Shape};
use crate::error::GpuError;
use crate::layout::PackRow;
use crate::passes::{Dispatches, Upload, grid};
use crate::pool::{Pool, Pooled, Use};
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
/// In this order; `place` by one workgroup.
const ENTRIES: [&str; 3] = ["find", "place", "write"];
/// Bytes that a chunk has on the device for what is found in it, as in shaders/codec.wgsl.
const ROOM_BYTES: u64 = 4 * (4 + 32 + 1024 + CHUNK_VOXELS as u64 / 32 + CHUNK_VOXELS as u64 / 4);
/// Bytes of a workgroup's own memory.
const WORKGROUP_BYTES: u32 = 4 * (256 + 32 + CHUNK_VOXELS as u32 / 32) + 64;
/// Most chunks of one submission, where memory does not end it before.
const CHUNKS_MAX: usize = 16_384;

/// Where the time of packing went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackPhases {
    /// Until numbers are on the device.
    pub upload: Duration,
    /// The kernels, by the CPU's clock around their submission.
    pub kernels: Duration,
    /// Until the bytes are on the CPU, with what belongs around them.
    pub download: Duration,
    /// Bytes of numbers that went up.
    pub bytes_up: u64,
    /// Bytes that came down.
    pub bytes_down: u64,
}

/// Packing on a device.
pub struct Packer {
    device: Arc<Device>,
    pool: Arc<Pool>,
    chunks_max: usize,
    kernels: Vec<Arc<Kernel>>,
    dispatches: Dispatches,
}

impl Packer {
    /// A packer. The shader is compiled here, unless the device has it already.
    ///
    /// # Errors
    /// [`GpuError::TooWeak`] for a device whose workgroups have less than 6 KiB of memory.
    pub fn new(device: Arc<Device>) -> Result<Self, GpuError> {
        device.check_workgroup_bytes(WORKGROUP_BYTES)?;
        let text = source(STEM, &[]).unwrap_or_default();
        let kernels = ENTRIES.map(|entry| device.kernel(STEM, text, entry, Shape::Label));
        let kernels = kernels.into_iter().collect::<Result<_, _>>()?;
        let chunks_max = CHUNKS_MAX.min((device.binding_bytes_max() / ROOM_BYTES) as usize);
        Ok(Self {
            pool: Pool::new(device.clone(), u64::MAX),
            device,
            chunks_max,
            kernels,
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
        let has_table = |chunk: &&&Chunk| matches!(chunk.form(), Form::U4 | Form::U8);
        let tabled: Vec<&Chunk> = chunks.iter().filter(has_table).copied().collect();
        let found = if tabled.is_empty() { Vec::new() } else { self.find(&tabled, phases, now)? };
        let begun = now();
        // By chunk, which of those with a table it is.
        let mut next = 0;
        let numbered: Vec<(&Chunk, usize)> = chunks
            .iter()
            .map(|chunk| {
                let number = next;
                next += usize::from(has_table(&chunk));
                (*chunk, number)
            })
            .collect();
        let whole = |(chunk, number): &(&Chunk, usize)| {
            let mut out = Vec::new();
            match chunk.form() {
                Form::U4 | Form::U8 => codec::put_found(chunk, &found[*number], &mut out),
                _ => codec::pack(chunk, &mut out),
            }
            out
        };
        let packed = numbered.par_iter().map(whole).collect();
        phases.download += now().saturating_sub(begun);
        Ok(packed)
    }

    /// What differs in chunks that have a table; nothing for those that are longer so.
    fn find(
        &self,
        chunks: &[&Chunk],
        phases: &mut PackPhases,
        now: &dyn Fn() -> Duration,
    ) -> Result<Vec<Vec<u8>>, GpuError> {
        let begun = now();
        let mut cells = 0;
        let row = |chunk: &&Chunk| {
            let first = cells;
            cells += chunk.form().data_bytes() as u32 / 4;
            PackRow { cells: first, bits: if chunk.form() == Form::U4 { 4 } else { 8 } }
        };
        let rows: Vec<PackRow> = chunks.iter().map(row).collect();
        let (count, cell_bytes) = (chunks.len() as u64, u64::from(cells) * 4);
        // The bytes of a chunk are fewer than those of its numbers.
        let sizes = [size_of_val(&*rows) as u64, count * ROOM_BYTES, cell_bytes, count * 8 + cell_bytes];
        let [table, rooms, numbers, packed] = sizes;
        let take = |bytes, doing| self.pool.take(Use::Storage, bytes, doing);
        let buffers = [
            take(table, "the table of chunks")?,
            take(rooms, "what is found in chunks")?,
            take(numbers, "the numbers of chunks")?,
            take(packed, "the bytes of chunks")?,
        ];
        let mut upload = Upload::new(&self.device);
        upload.put(&buffers[0], 0, &rows)?;
        for (chunk, row) in chunks.iter().zip(&rows) {
            upload.put(&buffers[2], u64::from(row.cells) * 4, &chunk.data()[..])?;
        }
        let submission = self.device.guarded("an upload", || self.device.queue.submit([]))?;
        self.device.wait(submission, "an upload")?;
        let uploaded = now();
        self.run(&buffers, sizes, chunks.len() as u32)?;
        let ran = now();
        let heads = self.read(&buffers[3], 0..count * 8)?;
        let head = |n: usize| -> [u32; 2] {
            std::array::from_fn(|k| u32::from_le_bytes(std::array::from_fn(|byte| heads[8 * n + 4 * k + byte])))
        };
        let [bytes, first] = head(chunks.len() - 1);
        let end = u64::from(first) * 4 + u64::from(bytes.next_multiple_of(4));
        let all = if end > count * 8 { self.read(&buffers[3], count * 8..end)? } else { Vec::new() };
        let part = |n: usize| {
            let [bytes, first] = head(n);
            let begin = (u64::from(first) * 4 - count * 8) as usize;
            all[begin..begin + bytes as usize].to_vec()
        };
        let found = (0..chunks.len()).map(part).collect();
        phases.upload += uploaded.saturating_sub(begun);
        phases.kernels += ran.saturating_sub(uploaded);
        phases.download += now().saturating_sub(ran);
        phases.bytes_up += cell_bytes;
        phases.bytes_down += end;
        Ok(found)
    }

    /// The three kernels in one submission, until they are done.
    fn run(&self, buffers: &[Pooled; 4], sizes: [u64; 4], count: u32) -> Result<(), GpuError> {
        let commands = self.device.guarded("packing", || {
            let bound: [(u32, &wgpu::Buffer, u64); 4] = std::array::from_fn(|n| (n as u32 + 1, &*buffers[n], sizes[n]));
            let group = self.device.bind(Shape::Label, &bound);
            let mut commands = self.commands();
            let mut pass = commands.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for (kernel, entry) in self.kernels.iter().zip(ENTRIES) {
                let [x, y] = if entry == "place" { [1, 1] } else { grid(count) };
                pass.set_pipeline(&kernel.pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(x, y, 1);
                self.dispatches.count(STEM);
            }
            drop(pass);
            commands
        })?;
        let submission = self.device.guarded("packing", || self.device.queue.submit([commands.finish()]))?;
        self.device.wait(submission, "packing")
    }

    fn read(&self, buffer: &wgpu::Buffer, part: std::ops::Range<u64>) -> Result<Vec<u8>, GpuError> {
        Readback::submit_part(&self.device, &self.pool, self.commands(), buffer, part)?.read(<[u8]>::to_vec)
    }

    fn commands(&self) -> wgpu::CommandEncoder {
        self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}
