//! The engine that runs a pipeline on a device: the same chunks as the pipeline on the CPU, byte for byte.
//!
//! A batch goes through in one submission: the maps of every stage in order, then the voxels of every stage on its set of the
//! plan, then the copy of what was asked for to where the CPU reads it. A stage without a twin runs on the CPU, and what it
//! needs comes down before and goes up after.

use crate::device::{Device, Kernel, Shape, locked};
use crate::error::GpuError;
use crate::pool::Pool;
use crate::prelude::MAP_GROUPS;
use crate::readback::Readback;
use crate::scene::{CHUNK_BYTES, MAPS_BYTES, Places, Scene, read_draft};
use crate::shaders::{Shader, source};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use terrane_world::block::AIR;
use terrane_world::chunk::Chunk;
use terrane_world::generate::pipeline::{MapsByFootprint, Pipeline};
use terrane_world::generate::stage::{Draft, Halo, Maps};
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

/// How one stage runs.
pub(crate) struct Runner {
    pub(crate) name: String,
    /// The shader's stem; without one it runs on the CPU.
    pub(crate) stem: Option<&'static str>,
    pub(crate) maps: Option<Arc<Kernel>>,
    pub(crate) blocks: Option<Arc<Kernel>>,
    pub(crate) parameters: Option<wgpu::Buffer>,
    halo: bool,
}

/// A pipeline on a device.
pub struct Engine {
    pub(crate) device: Arc<Device>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) runners: Vec<Runner>,
    begin: Arc<Kernel>,
    pub(crate) pool: Arc<Pool>,
    options: Options,
    notes: Vec<String>,
    dispatches: Mutex<BTreeMap<&'static str, u64>>,
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
        Ok(Self { device, pipeline, runners, begin, pool, options, notes, dispatches: Mutex::default() })
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
        let mut tickets = std::collections::VecDeque::new();
        let mut collect = |ticket: Ticket| -> Result<(), GpuError> {
            let targets = ticket.targets.clone();
            made.extend(targets.into_iter().zip(self.collect(ticket)?));
            Ok(())
        };
        for batch in self.batches(targets)? {
            if tickets.len() == self.options.in_flight.max(1) {
                tickets.pop_front().map(&mut collect).transpose()?;
            }
            tickets.push_back(self.submit(&batch)?);
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
        let needs = places.bytes(self.has_halo(), self.options.in_flight.max(1) as u64);
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

    pub(crate) fn has_halo(&self) -> bool {
        self.runners.iter().any(|runner| runner.halo && runner.blocks.is_some())
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
            let mut scene = Scene::new(&self.device, &self.pool, places, self.has_halo())?;
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

    /// Every stage of a batch.
    fn record(&self, scene: &mut Scene) -> Result<Readback, GpuError> {
        let mut commands = self.commands();
        self.begin(scene, &mut commands)?;
        for stage in 0..self.runners.len() {
            self.record_maps(stage, scene, &mut commands)?;
        }
        let mut maps = None;
        for stage in 0..self.runners.len() {
            self.record_blocks(stage, scene, &mut commands, &mut maps)?;
        }
        let bytes = u64::from(scene.places.results()) * CHUNK_BYTES;
        Readback::submit(&self.device, &self.pool, commands, scene.current(), bytes)
    }

    pub(crate) fn commands(&self) -> wgpu::CommandEncoder {
        self.device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// No ground and nothing but air.
    pub(crate) fn begin(&self, scene: &Scene, commands: &mut wgpu::CommandEncoder) -> Result<(), GpuError> {
        commands.clear_buffer(scene.current(), 0, Some(scene.places.slots.len() as u64 * CHUNK_BYTES));
        self.dispatch_maps(&self.begin, None, scene, commands, None)
    }

    fn record_maps(&self, stage: usize, scene: &Scene, commands: &mut wgpu::CommandEncoder) -> Result<(), GpuError> {
        let runner = &self.runners[stage];
        if let Some(kernel) = &runner.maps {
            self.count(runner);
            return self.dispatch_maps(kernel, runner.parameters.as_ref(), scene, commands, None);
        }
        if runner.stem.is_some() {
            return Ok(());
        }
        let mut maps = self.download_maps(scene, commands)?;
        let each = |one: &mut Maps| self.pipeline.run_maps(stage, one);
        maps.values_mut().collect::<Vec<_>>().into_par_iter().try_for_each(each)?;
        scene.write_maps(&maps)
    }

    /// `maps` are those of the scene, if they have been needed on the CPU before.
    fn record_blocks(
        &self,
        stage: usize,
        scene: &mut Scene,
        commands: &mut wgpu::CommandEncoder,
        maps: &mut Option<MapsByFootprint>,
    ) -> Result<(), GpuError> {
        let runner = &self.runners[stage];
        if let Some(kernel) = &runner.blocks {
            self.count(runner);
            return self.dispatch_blocks(stage, kernel, scene, commands, None);
        }
        if runner.stem.is_some() {
            return Ok(());
        }
        let known = match maps.take() {
            Some(known) => known,
            None => self.download_maps(scene, commands)?,
        };
        let before = stage.checked_sub(1).map_or(scene.places.slots.len(), |last| scene.places.counts[last] as usize);
        let mut drafts = self.download_drafts(scene, commands, before as u32)?;
        self.run_on_cpu(stage, scene, &known, &mut drafts)?;
        *maps = Some(known);
        scene.write_drafts(&drafts, scene.places.counts[stage])
    }

    fn run_on_cpu(
        &self,
        stage: usize,
        scene: &Scene,
        maps: &MapsByFootprint,
        drafts: &mut BTreeMap<ChunkPos, Draft>,
    ) -> Result<(), GpuError> {
        let set = &scene.places.slots[..scene.places.counts[stage] as usize];
        if self.runners[stage].halo {
            return Ok(self.pipeline.run_blocks(stage, set, maps, drafts)?);
        }
        // Without a halo every chunk stands for itself.
        let run = |(pos, draft): (&ChunkPos, &mut Draft)| {
            let mut alone = BTreeMap::from([(*pos, std::mem::replace(draft, Draft::new(*pos)))]);
            let ran = self.pipeline.run_blocks(stage, &[*pos], maps, &mut alone);
            alone.into_values().for_each(|made| *draft = made);
            ran
        };
        let inside = |pos: &ChunkPos| set.binary_search_by_key(&pos, |one| one).is_ok() || set.contains(pos);
        let own: Vec<_> = drafts.iter_mut().filter(|(pos, _)| inside(pos)).collect();
        Ok(own.into_par_iter().try_for_each(run)?)
    }

    pub(crate) fn count(&self, runner: &Runner) {
        if let Some(stem) = runner.stem {
            *locked(&self.dispatches).entry(stem).or_default() += 1;
        }
    }

    /// A stage's maps, for all footprints.
    pub(crate) fn dispatch_maps(
        &self,
        kernel: &Kernel,
        parameters: Option<&wgpu::Buffer>,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
        times: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) -> Result<(), GpuError> {
        let buffers = [(0, parameters.unwrap_or(&scene.footprints)), (1, &scene.footprints), (2, &scene.maps)];
        let groups = [MAP_GROUPS, scene.places.footprints.len() as u32];
        self.dispatch(kernel, &buffers, groups, commands, times)
    }

    /// A stage's voxels, for its set.
    pub(crate) fn dispatch_blocks(
        &self,
        stage: usize,
        kernel: &Kernel,
        scene: &mut Scene,
        commands: &mut wgpu::CommandEncoder,
        times: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) -> Result<(), GpuError> {
        let parameters = self.runners[stage].parameters.as_ref().unwrap_or(&scene.footprints);
        let first = [(0, parameters), (1, &*scene.chunks), (2, &*scene.maps)];
        let groups = [scene.places.counts[stage], 1];
        if kernel.shape == Shape::WithHalo {
            let voxels = [(3, scene.current()), (4, scene.next())];
            self.dispatch(kernel, &[&first[..], &voxels].concat(), groups, commands, times)?;
            scene.turn();
            return Ok(());
        }
        self.dispatch(kernel, &[&first[..], &[(4, scene.current())]].concat(), groups, commands, times)
    }

    fn dispatch(
        &self,
        kernel: &Kernel,
        buffers: &[(u32, &wgpu::Buffer)],
        [x, y]: [u32; 2],
        commands: &mut wgpu::CommandEncoder,
        times: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) -> Result<(), GpuError> {
        let entries: Vec<_> = buffers.iter().map(|&(binding, buffer)| entry(binding, buffer)).collect();
        self.device.guarded("a stage", || {
            let group = self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: self.device.bind_group_layout(kernel.shape),
                entries: &entries,
            });
            let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes: times };
            let mut pass = commands.begin_compute_pass(&descriptor);
            pass.set_pipeline(&kernel.pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(x, y, 1);
        })
    }

    /// Submits what there is and waits for the maps.
    fn download_maps(&self, scene: &Scene, commands: &mut wgpu::CommandEncoder) -> Result<MapsByFootprint, GpuError> {
        let bytes = scene.places.footprints.len() as u64 * MAPS_BYTES;
        self.flush(commands, &scene.maps, bytes)?.read(|bytes| scene.maps_from(bytes))
    }

    /// Submits what there is and waits for the voxels of the first `count` slots.
    fn download_drafts(
        &self,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
        count: u32,
    ) -> Result<BTreeMap<ChunkPos, Draft>, GpuError> {
        let slots = &scene.places.slots[..count as usize];
        self.flush(commands, scene.current(), u64::from(count) * CHUNK_BYTES)?.read(|bytes| {
            let one = |(slot, pos): (usize, &ChunkPos)| {
                let mut draft = Draft::new(*pos);
                read_draft(&mut draft, bytes, slot);
                (*pos, draft)
            };
            slots.iter().enumerate().map(one).collect()
        })
    }

    fn flush(
        &self,
        commands: &mut wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<Readback, GpuError> {
        let so_far = std::mem::replace(commands, self.commands());
        Readback::submit(&self.device, &self.pool, so_far, from, bytes)
    }
}

/// One stage by itself, for tests.
impl Engine {
    /// One stage's part of the maps, as `Pipeline::run_maps` does it.
    pub fn run_maps(&self, stage: usize, maps: &mut MapsByFootprint) -> Result<(), GpuError> {
        let places = Places { slots: Vec::new(), footprints: maps.keys().copied().collect(), counts: Vec::new() };
        let scene = Scene::new(&self.device, &self.pool, places, false)?;
        scene.write_maps(maps)?;
        let mut commands = self.commands();
        self.record_maps(stage, &scene, &mut commands)?;
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
        let mut scene = Scene::new(&self.device, &self.pool, places, self.has_halo())?;
        scene.write_maps(maps)?;
        scene.write_drafts(drafts, scene.places.slots.len() as u32)?;
        let mut commands = self.commands();
        self.record_blocks(stage, &mut scene, &mut commands, &mut None)?;
        drafts.extend(self.download_drafts(&scene, &mut commands, set.len() as u32)?);
        Ok(())
    }
}

impl Runner {
    fn new(
        device: &Device,
        pipeline: &Pipeline,
        number: usize,
        own: &[Shader],
        notes: &mut Vec<String>,
    ) -> Result<Self, GpuError> {
        let stage = &pipeline.stages()[number];
        let (name, halo) = (stage.name().to_owned(), stage.halo() != Halo::NONE);
        let on_cpu = |name| Self { name, stem: None, maps: None, blocks: None, parameters: None, halo };
        let Some(twin) = stage.twin() else {
            notes.push(format!("stage {name:?} has no twin in WGSL and runs on the CPU"));
            return Ok(on_cpu(name));
        };
        let Some(text) = source(twin.stem, own) else {
            notes.push(format!(
                "stage {name:?} has the shader {:?}, which is not in this program; it runs on the CPU",
                twin.stem
            ));
            return Ok(on_cpu(name));
        };
        let shape = if halo { Shape::WithHalo } else { Shape::InPlace };
        let kernel =
            |wanted: bool, entry, shape| wanted.then(|| device.kernel(twin.stem, text, entry, shape)).transpose();
        Ok(Self {
            maps: kernel(twin.maps, "maps", Shape::Maps)?,
            blocks: kernel(twin.blocks, "blocks", shape)?,
            parameters: Some(parameters(device, &twin.parameters)?),
            stem: Some(twin.stem),
            name,
            halo,
        })
    }
}

fn entry(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }
}

/// A buffer with a stage's parameters, at least one word.
fn parameters(device: &Device, words: &[u32]) -> Result<wgpu::Buffer, GpuError> {
    let words = if words.is_empty() { &[0] } else { words };
    device.guarded("the parameters of a stage", || {
        let buffer = device.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: size_of_val(words) as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        device.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        buffer
    })
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
