//! The engine that runs a pipeline on a device: the same chunks as the pipeline on the CPU, byte for byte.
//!
//! A batch goes through in one submission: the maps of every stage in order, then the voxels of every stage on its set of the
//! plan (`record.rs`), then the copy of what was asked for to where the CPU reads it. A stage without a twin runs on the CPU
//! (`on_cpu.rs`).

use crate::device::{Device, Kernel, Shape, locked};
use crate::error::GpuError;
use crate::pool::Pool;
use crate::readback::Readback;
use crate::runner::Runner;
use crate::scene::{CHUNK_BYTES, Places, Scene, read_draft};
use crate::shaders::{Shader, source};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use terrane_world::block::AIR;
use terrane_world::chunk::Chunk;
use terrane_world::generate::pipeline::{MapsByFootprint, Pipeline};
use terrane_world::generate::stage::Draft;
use terrane_world::space::ChunkPos;

/// Most chunks of a batch: a workgroup for each, and a device counts them with 16 bits.
const CHUNKS_MAX: usize = u16::MAX as usize;

/// How an engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes on the device that the batches in flight may take together.
    pub memory_bytes: u64,
    /// Batches that may be submitted and not collected.
    pub in_flight: usize,
    /// Shaders beside the built-in ones, and in their place.
    pub shaders: Vec<Shader>,
}

impl Default for Options {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, in_flight: 2, shaders: Vec::new() }
    }
}

/// A pipeline on a device.
pub struct Engine {
    pub(crate) device: Arc<Device>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) runners: Vec<Runner>,
    /// To the neighbours that any stage on the device reads.
    pub(crate) steps: Vec<[i32; 3]>,
    pub(crate) begin: Arc<Kernel>,
    pub(crate) pool: Arc<Pool>,
    options: Options,
    notes: Vec<String>,
    pub(crate) dispatches: Mutex<BTreeMap<&'static str, u64>>,
}

/// A batch under way.
pub struct Ticket {
    targets: Vec<ChunkPos>,
    slots: BTreeMap<ChunkPos, u32>,
    /// `None` if nothing had to be made.
    results: Option<Readback>,
}

impl Ticket {
    /// The chunks that are being made, in the order of the result.
    pub fn targets(&self) -> &[ChunkPos] {
        &self.targets
    }

    /// Whether [`Engine::collect`] would return without waiting for the device.
    pub fn is_ready(&self) -> Result<bool, GpuError> {
        self.results.as_ref().map_or(Ok(true), Readback::is_ready)
    }
}

impl Engine {
    /// An engine with the built-in shaders and a gibibyte.
    pub fn new(device: Arc<Device>, pipeline: Arc<Pipeline>) -> Result<Self, GpuError> {
        Self::with(device, pipeline, Options::default())
    }

    /// An engine. Shaders are compiled here, so this takes a moment; kernels that the device has already are not made again.
    pub fn with(device: Arc<Device>, pipeline: Arc<Pipeline>, options: Options) -> Result<Self, GpuError> {
        let begin = source("begin", &[]).unwrap_or_default();
        let begin = device.kernel("begin", begin, "maps", Shape::Maps)?;
        let mut notes = Vec::new();
        let runner = |number| Runner::new(&device, &pipeline, number, &options.shaders, &mut notes);
        let runners = (0..pipeline.stages().len()).map(runner).collect::<Result<Vec<_>, _>>()?;
        let pool = Pool::new(device.clone(), options.memory_bytes);
        let on_device = pipeline.stages().iter().zip(&runners).filter(|(_, runner)| runner.blocks.is_some());
        let steps: BTreeSet<[i32; 3]> = on_device.flat_map(|(stage, _)| stage.halo().steps()).collect();
        let steps = steps.into_iter().collect();
        Ok(Self { device, pipeline, runners, steps, begin, pool, options, notes, dispatches: Mutex::default() })
    }

    /// The device.
    pub const fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// What a user may want to know: which stages run on the CPU, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How often a kernel of each stem was dispatched since the engine was made.
    pub fn dispatches(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.dispatches).clone()
    }

    /// Buffers made since the engine was, and bytes of those that there are now.
    pub fn buffers(&self) -> (u64, u64) {
        (self.pool.made(), self.pool.bytes())
    }

    /// Makes chunks, in as many batches as it takes: exactly those of `Pipeline::chunks`, in the same order.
    pub fn chunks(&self, targets: &[ChunkPos]) -> Result<Vec<Chunk>, GpuError> {
        let mut made: BTreeMap<ChunkPos, Chunk> = BTreeMap::new();
        let mut tickets = VecDeque::new();
        let mut collect = |ticket: Ticket| -> Result<(), GpuError> {
            let targets = ticket.targets.clone();
            made.extend(targets.into_iter().zip(self.collect(ticket)?));
            Ok(())
        };
        for batch in self.batches(targets)? {
            while tickets.len() >= self.options.in_flight.max(1) {
                tickets.pop_front().map(&mut collect).transpose()?;
            }
            let ticket = loop {
                match self.submit(&batch) {
                    // Batches of very different shapes can be too much together.
                    Err(GpuError::Full { .. }) if !tickets.is_empty() => {
                        tickets.pop_front().map(&mut collect).transpose()?;
                    }
                    submitted => break submitted?,
                }
            };
            tickets.push_back(ticket);
        }
        tickets.into_iter().try_for_each(collect)?;
        Ok(targets.iter().map(|pos| made[pos].clone()).collect())
    }

    /// Divides chunks into batches that fit into the memory, each of chunks near each other. One that is there twice
    /// comes once.
    pub fn batches(&self, targets: &[ChunkPos]) -> Result<Vec<Vec<ChunkPos>>, GpuError> {
        let mut waiting = vec![targets.to_vec()];
        waiting[0].sort();
        waiting[0].dedup();
        let mut batches = Vec::new();
        while let Some(batch) = waiting.pop() {
            let places = Places::of(&self.pipeline.plan(&batch, None));
            match self.fits(&places) {
                Ok(()) => batches.push(batch),
                Err(error) if batch.len() < 2 => return Err(error),
                Err(_) => {
                    let (near, far) = halves(batch);
                    waiting.extend([far, near]);
                }
            }
        }
        Ok(batches)
    }

    /// Whether a batch fits.
    pub(crate) fn fits(&self, places: &Places) -> Result<(), GpuError> {
        let on_cpu = self.runners.iter().any(|runner| runner.stem.is_none());
        let needs = places.bytes(!self.steps.is_empty(), on_cpu, self.options.in_flight.max(1) as u64);
        let largest = self.device.binding_bytes_max();
        let too_large = |needs, allowed| GpuError::TooLarge { chunks: places.slots.len(), needs, allowed };
        if needs > self.options.memory_bytes {
            Err(too_large(needs, self.options.memory_bytes))
        } else if places.largest_bytes() > largest {
            Err(too_large(places.largest_bytes(), largest))
        } else if places.slots.len() > CHUNKS_MAX {
            Err(too_large(places.slots.len() as u64 * CHUNK_BYTES, CHUNKS_MAX as u64 * CHUNK_BYTES))
        } else {
            Ok(())
        }
    }

    /// Begins a batch. It has to fit into the memory: see [`Engine::batches`]. Returns before the device is done, unless a stage
    /// has to run on the CPU.
    pub fn submit(&self, targets: &[ChunkPos]) -> Result<Ticket, GpuError> {
        let places = Places::of(&self.pipeline.plan(targets, None));
        let slots = (0..).zip(&places.slots).take(places.results() as usize).map(|(slot, pos)| (*pos, slot)).collect();
        let results = if places.slots.is_empty() {
            None
        } else {
            self.fits(&places)?;
            let mut scene = Scene::new(&self.device, &self.pool, places, &self.steps)?;
            Some(self.record(&mut scene)?)
        };
        Ok(Ticket { targets: targets.to_vec(), slots, results })
    }

    /// Waits for a batch, and makes its chunks in the rayon pool that this is called in.
    pub fn collect(&self, ticket: Ticket) -> Result<Vec<Chunk>, GpuError> {
        let Ticket { targets, slots, results } = ticket;
        let Some(results) = results else {
            return Ok(vec![Chunk::uniform(AIR); targets.len()]);
        };
        results.read(|bytes| {
            let new_draft = || Draft::new(targets[0]);
            let finish = |draft: &mut Draft, pos: &ChunkPos| match slots.get(pos) {
                None => Chunk::uniform(AIR),
                Some(slot) => {
                    draft.reset(*pos);
                    read_draft(draft, bytes, *slot as usize);
                    self.pipeline.finish(draft)
                }
            };
            targets.par_iter().map_init(new_draft, finish).collect()
        })
    }
}

/// One stage by itself, for tests.
impl Engine {
    /// One stage's part of the maps, as `Pipeline::run_maps` does it.
    pub fn run_maps(&self, stage: usize, maps: &mut MapsByFootprint) -> Result<(), GpuError> {
        let places = Places { slots: Vec::new(), footprints: maps.keys().copied().collect(), counts: Vec::new() };
        let scene = Scene::new(&self.device, &self.pool, places, &[])?;
        scene.write_maps(maps)?;
        let mut commands = self.commands();
        self.record_maps(stage, &scene, &mut commands, &mut None)?;
        *maps = self.download_maps(&scene, &mut commands)?;
        Ok(())
    }

    /// One stage on a set of chunks, as `Pipeline::run_blocks` does it.
    pub fn run_blocks(
        &self,
        stage: usize,
        set: &[ChunkPos],
        maps: &MapsByFootprint,
        drafts: &mut BTreeMap<ChunkPos, Draft>,
    ) -> Result<(), GpuError> {
        let others = drafts.keys().filter(|pos| !set.contains(pos));
        let slots: Vec<ChunkPos> = set.iter().chain(others).copied().collect();
        let mut counts = vec![slots.len() as u32; self.runners.len()];
        counts[stage] = set.len() as u32;
        let places = Places { slots, footprints: maps.keys().copied().collect(), counts };
        let mut scene = Scene::new(&self.device, &self.pool, places, &self.steps)?;
        scene.write_maps(maps)?;
        scene.write_drafts(drafts, scene.places.slots.len() as u32)?;
        let mut commands = self.commands();
        self.record_blocks(stage, &mut scene, &mut commands, &mut None)?;
        drafts.extend(self.download_drafts(&scene, &mut commands, set.len() as u32)?);
        Ok(())
    }
}

/// Two halves of chunks, cut where they reach furthest, across x or z as long as there is a choice: halos are thickest there.
fn halves(mut chunks: Vec<ChunkPos>) -> (Vec<ChunkPos>, Vec<ChunkPos>) {
    let reach = |part: fn(ChunkPos) -> i32| {
        let (low, high) =
            chunks.iter().fold((i32::MAX, i32::MIN), |(low, high), pos| (low.min(part(*pos)), high.max(part(*pos))));
        i64::from(high) - i64::from(low)
    };
    let (x, z) = (reach(ChunkPos::x), reach(ChunkPos::z));
    let part: fn(ChunkPos) -> i32 = match (x, z) {
        (0, 0) => ChunkPos::y,
        (x, z) if x >= z => ChunkPos::x,
        _ => ChunkPos::z,
    };
    chunks.sort_by_key(|pos| (part(*pos), *pos));
    let far = chunks.split_off(chunks.len() / 2);
    (chunks, far)
}
