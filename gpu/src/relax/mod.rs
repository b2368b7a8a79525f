//! Relaxation of whole chunks on a device: the twin of `Field::load` in core/world/src/relax/field.rs, distance for distance.
//!
//! Tiles of 16³ voxels are settled in the memory of a workgroup (shaders/relax.wgsl). Those that touch have different colours,
//! 2 where values go over faces alone and 8 where they go over edges and corners too; a round gives every colour its turn, one
//! dispatch each, whose workgroups share out what waits. After some rounds the CPU looks whether tiles wait. After Jeong and
//! Whitaker, *A fast iterative method for eikonal equations* (2008): lists of active blocks, local updates, no heap.
//!
//! What is too large for one binding lies in pages: runs of chunks in order of position, so slabs of a box, each with copies of
//! the chunks that border on it. Pages are settled one after another, and copies that changed are brought up to date before,
//! until nothing arrives that helps. All pages stay in the device's memory.
//!
//! **Bytes that move**, with `d` = 2 where the limit fits 16 bits and 4 elsewhere: `1 + d` for each voxel at the beginning; `1 +
//! 2 d` for each voxel of a tile whenever it is settled (class, distance before, distance after); and, for each of the 1,536
//! voxels around it, `d` on the way in and `d` and seldom a class on the way out. Masks of exits add 4 for each voxel that is
//! asked. A chunk of one class moves none for its classes, and one that can't have a value is left out. Rows of 16 voxels are 32
//! bytes of 16-bit distances, a sector; of classes they are half of one, which the tile beside uses. The 512 voxels around a
//! tile along x are a sector each, so their 16 KiB come from memory once more wherever the cache has lost them. Terrain and a
//! real forest take 1.2 visits a tile for support. That is a bound from counted visits and far from what is reached: a tile is
//! settled in steps that follow from each other, and a wave has few tiles at a time. [`Relaxer::measure`] tells both;
//! docs/benchmarks.md has what was measured.

mod page;
mod parts;

use crate::device::{Device, Kernel, Shape};
use crate::error::GpuError;
use crate::passes::Dispatches;
use crate::pool::{Pool, class};
use crate::prelude::{TILE_VOXELS, TILES};
use crate::readback::Readback;
use crate::shaders::source;
use page::Page;
use parts::Scene;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::relax::{Rules, Values};
use terrane_world::space::ChunkPos;

const STEM: &str = "relax";
/// Bytes of a workgroup's own memory: the tile's distances and classes, and a few words.
const WORKGROUP_BYTES: u32 = 5 * TILE_VOXELS as u32 + 64;
/// Most bytes that come down at once.
const DOWNLOAD_BYTES: u64 = 64 << 20;

pub use terrane_world::relax::Given;

/// How a relaxer works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaxOptions {
    /// Bytes on the device that one solution may take.
    pub memory_bytes: u64,
    /// Most bytes of one buffer of a page; what the device binds at once where that is less.
    pub page_bytes: u64,
}

impl Default for RelaxOptions {
    fn default() -> Self {
        Self { memory_bytes: 8 << 30, page_bytes: u64::MAX }
    }
}

/// Where the time went, and what it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// Until classes and tables are on the device and every voxel has what it has by itself.
    pub upload: Duration,
    /// Until no tile waits.
    pub rounds: Duration,
    /// Until distances are on the CPU.
    pub download: Duration,
    /// Pages.
    pub pages: usize,
    /// Tiles of all pages.
    pub tiles: u64,
    /// How often a tile was settled; a tile that nothing reaches is not. The same on every device.
    pub visits: u64,
    /// Rounds that were run, those at the end included in which nothing waited any more.
    pub rounds_run: u64,
    /// Bytes that kernels must at least have read and written in the device's memory.
    pub bytes_least: u64,
}

/// Relaxation on a device.
pub struct Relaxer {
    device: Arc<Device>,
    pool: Arc<Pool>,
    options: RelaxOptions,
    begin: Arc<Kernel>,
    arrive: Arc<Kernel>,
    relax: Arc<Kernel>,
    dispatches: Dispatches,
}

impl Relaxer {
    /// A relaxer that may take 8 GiB on the device.
    pub fn new(device: Arc<Device>) -> Result<Self, GpuError> {
        Self::with(device, RelaxOptions::default())
    }

    /// A relaxer. The shader is compiled here, unless the device has it already.
    ///
    /// # Errors
    /// [`GpuError::TooWeak`] for a device whose workgroups have less than 21 KiB of memory.
    pub fn with(device: Arc<Device>, options: RelaxOptions) -> Result<Self, GpuError> {
        device.check_workgroup_bytes(WORKGROUP_BYTES)?;
        let text = source(STEM, &[]).unwrap_or_default();
        let kernel = |entry, shape| device.kernel(STEM, text, entry, shape);
        Ok(Self {
            begin: kernel("begin", Shape::Relax)?,
            arrive: kernel("arrive", Shape::Relax)?,
            relax: kernel("relax", Shape::Relax)?,
            pool: Pool::new(device.clone(), options.memory_bytes),
            dispatches: Dispatches::default(),
            device,
            options,
        })
    }

    /// The device.
    pub const fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// How often a kernel of each stem was dispatched since this was made, those included that found no tile waiting.
    pub fn dispatches(&self) -> BTreeMap<&'static str, u64> {
        self.dispatches.all()
    }

    /// The distances of all voxels, in the order given: those that `Field::load` gives for the same chunks. What is not given
    /// has no value; the chunks may be any, and need not touch.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] if the chunks need more memory than is allowed, and what the device says.
    ///
    /// # Panics
    /// If a chunk is given twice, a voxel has a class without a rule, or the giver pays.
    pub fn solve(&self, rules: &Rules, chunks: &[Given]) -> Result<Vec<(ChunkPos, Values)>, GpuError> {
        Ok(self.measure(rules, chunks, &|| Duration::ZERO)?.0)
    }

    /// The same, and where the time went. `now` is a clock.
    ///
    /// # Errors
    /// As [`Relaxer::solve`].
    ///
    /// # Panics
    /// As [`Relaxer::solve`].
    pub fn measure(
        &self,
        rules: &Rules,
        chunks: &[Given],
        now: &dyn Fn() -> Duration,
    ) -> Result<(Vec<(ChunkPos, Values)>, Phases), GpuError> {
        assert!(!rules.giver_pays(), "the CPU relaxes such rules");
        let begun = now();
        let scene = Scene::new(rules, chunks);
        let mut pages = self.upload(&scene)?;
        let uploaded = now();
        let (visits, rounds_run) = self.settle_all(&scene, &mut pages)?;
        let settled = now();
        let mut values = self.download(&scene, &pages)?;
        let none = || Values::One(rules.limit());
        let solved = chunks.iter().map(|(pos, ..)| (*pos, values.remove(pos).unwrap_or_else(none))).collect();
        let tiles: u64 = pages.iter().map(|page| (page.part.own * TILES) as u64).sum();
        let wide = scene.distance_bytes() / CHUNK_VOXELS as u64;
        let phases = Phases {
            upload: uploaded.saturating_sub(begun),
            rounds: settled.saturating_sub(uploaded),
            download: now().saturating_sub(settled),
            pages: pages.len(),
            tiles,
            visits,
            rounds_run,
            bytes_least: TILE_VOXELS as u64 * (tiles * (1 + wide) + visits * (1 + 2 * wide)),
        };
        Ok((solved, phases))
    }

    /// All pages on the device, ready for their rounds.
    fn upload(&self, scene: &Scene<'_>) -> Result<Vec<Page>, GpuError> {
        let parts = scene.parts(self.options.page_bytes.min(self.device.binding_bytes_max()))?;
        let buffers = parts.iter().flat_map(|part| scene.bytes(part)).map(class);
        // Beside them rules, sizes of dispatches and what comes down.
        let needs = buffers.sum::<u64>() + (parts.len() as u64 * 64 << 10) + class(DOWNLOAD_BYTES);
        if needs > self.options.memory_bytes {
            let (chunks, allowed) = (scene.chunks.len(), self.options.memory_bytes);
            return Err(GpuError::TooLarge { chunks, needs, allowed });
        }
        let pages = parts.into_iter().map(|part| Page::new(self, scene, part)).collect::<Result<Vec<_>, _>>()?;
        pages.iter().try_for_each(|page| self.begin(page))?;
        Ok(pages)
    }

    /// Settles pages in turn until nothing arrives at any. Gives tiles settled and rounds run.
    fn settle_all(&self, scene: &Scene<'_>, pages: &mut [Page]) -> Result<(u64, u64), GpuError> {
        let borders = borders(pages);
        let (mut visits, mut rounds) = (0, 0);
        // By page, how often it has changed; and by page, how many of each other page's changes it has seen.
        let mut changes = vec![0u32; pages.len()];
        let mut seen = vec![changes.clone(); pages.len()];
        let mut first = true;
        loop {
            let mut worked = false;
            for here in 0..pages.len() {
                let mut arrived = false;
                for Border { page: there, slots } in &borders[here] {
                    if seen[here][*there] != changes[*there] {
                        seen[here][*there] = changes[*there];
                        arrived = true;
                        self.copy(&pages[*there], &pages[here], slots, scene.distance_bytes())?;
                    }
                }
                if arrived {
                    self.arrive(&pages[here])?;
                }
                if first || arrived {
                    let (settled, run) = self.settle(&mut pages[here])?;
                    visits += u64::from(settled);
                    rounds += run;
                    changes[here] += u32::from(settled > 0);
                    worked |= settled > 0;
                }
            }
            if !worked {
                return Ok((visits, rounds));
            }
            first = false;
        }
    }

    /// The distances of every page's own chunks.
    fn download(&self, scene: &Scene<'_>, pages: &[Page]) -> Result<HashMap<ChunkPos, Values>, GpuError> {
        let (each, limit) = (scene.distance_bytes(), scene.rules.limit());
        let at_once = (DOWNLOAD_BYTES / each) as usize;
        let read = if scene.is_wide() { wide } else { narrow };
        let mut values = HashMap::with_capacity(scene.chunks.len());
        for page in pages {
            for (piece, slots) in page.part.slots[..page.part.own].chunks(at_once).enumerate() {
                let begin = (piece * at_once) as u64 * each;
                let part = begin..begin + slots.len() as u64 * each;
                let (device, pool) = (&self.device, &self.pool);
                let readback = Readback::submit_part(device, pool, self.commands(), &page.distances, part)?;
                let one = |(pos, bytes): (&ChunkPos, &[u8])| (*pos, read(bytes, limit));
                let piece: Vec<_> = readback
                    .read(|bytes| slots.par_iter().zip(bytes.par_chunks_exact(each as usize)).map(one).collect())?;
                values.extend(piece);
            }
        }
        Ok(values)
    }
}

/// Chunks of another page of which a page has copies.
struct Border {
    page: usize,
    /// Pairs of slots, there and here.
    slots: Vec<(usize, usize)>,
}

/// By page, where its copies are from.
fn borders(pages: &[Page]) -> Vec<Vec<Border>> {
    let mut owner: HashMap<ChunkPos, (usize, usize)> = HashMap::new();
    for (number, page) in pages.iter().enumerate() {
        owner.extend(page.part.slots[..page.part.own].iter().enumerate().map(|(slot, pos)| (*pos, (number, slot))));
    }
    let of = |page: &Page| {
        let mut others: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (here, pos) in page.part.slots.iter().enumerate().skip(page.part.own) {
            let (number, there) = owner[pos];
            others.entry(number).or_default().push((there, here));
        }
        others.into_iter().map(|(page, slots)| Border { page, slots }).collect()
    };
    pages.iter().map(of).collect()
}

/// A boxed array from as many numbers.
fn boxed<T>(numbers: Vec<T>) -> Box<[T; CHUNK_VOXELS]> {
    numbers.into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("a chunk has {CHUNK_VOXELS} voxels"))
}

/// 16-bit distances: on the device, too, the last number stands for none.
fn narrow(bytes: &[u8], limit: u32) -> Values {
    let values: Vec<u16> = bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    match values[0] {
        first if values.iter().any(|value| *value != first) => Values::Narrow { base: 0, values: boxed(values) },
        u16::MAX => Values::One(limit),
        first => Values::One(u32::from(first)),
    }
}

/// 32-bit distances, told in 16 bits where they are near enough to each other.
fn wide(bytes: &[u8], limit: u32) -> Values {
    let values: Vec<u32> = bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect();
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return Values::One(first);
    }
    let some = || values.iter().copied().filter(|value| *value < limit);
    let (base, most) = (some().min().unwrap_or(0), some().max().unwrap_or(0));
    if most - base >= u32::from(u16::MAX) {
        return Values::Wide(boxed(values));
    }
    let above = |value: &u32| if *value < limit { (value - base) as u16 } else { u16::MAX };
    Values::Narrow { base, values: boxed(values.iter().map(above).collect()) }
}
