//! How fast a device makes voxels, and how much of its memory's speed that takes.

use crate::device::Shape;
use crate::engine::Engine;
use crate::error::GpuError;
use crate::pool::Use;
use crate::readback::Readback;
use crate::runner::Runner;
use crate::scene::{CHUNK_BYTES, MAPS_BYTES, Places, Scene};
use std::time::Duration;
use terrane_world::space::ChunkPos;

/// Bytes of the copy that the speed of the memory is taken from: many times what a cache holds.
const COPY_BYTES: u64 = 1 << 30;

/// What a measurement has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Voxels of the chunks that were asked for, in one run.
    pub voxels: u64,
    /// Voxels that were made for them, those of chunks in halos included.
    pub voxels_made: u64,
    /// Median time of one run, from the first kernel's beginning to the last one's end, without any download.
    pub run: Duration,
    /// By stage, the median time of its maps and of its voxels.
    pub stages: Vec<StageTime>,
    /// Bytes that kernels must at least have read and written in one run.
    pub bytes: u64,
    /// Bytes a second, read and written, of a plain copy within the device's memory.
    pub copy_bytes_a_second: f64,
    /// Whether the device timed itself; if not, these are times of the CPU's clock around the whole run, and `stages` is empty.
    pub by_the_device: bool,
}

/// Time of one stage in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTime {
    /// The stage's name.
    pub stage: String,
    /// Its maps.
    pub maps: Duration,
    /// Its voxels.
    pub blocks: Duration,
}

impl Measurement {
    /// Thousand millions of voxels a second, of the chunks that were asked for.
    pub fn gigavoxels_a_second(&self) -> f64 {
        self.voxels as f64 / self.run.as_secs_f64() / 1e9
    }

    /// Part of the memory's speed that the kernels must at least have used, 0 to 1.
    pub fn share_of_bandwidth(&self) -> f64 {
        self.bytes as f64 / self.run.as_secs_f64() / self.copy_bytes_a_second
    }
}

/// Times of passes, by the device's own clock.
struct Clock {
    set: wgpu::QuerySet,
    next: u32,
}

impl Clock {
    /// For so many passes.
    fn new(device: &wgpu::Device, passes: u32) -> Self {
        let descriptor = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 * passes };
        Self { set: device.create_query_set(&descriptor), next: 0 }
    }

    fn pass(&mut self) -> wgpu::ComputePassTimestampWrites<'_> {
        self.next += 2;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(self.next - 2),
            end_of_pass_write_index: Some(self.next - 1),
        }
    }
}

impl Engine {
    /// Makes chunks `times` times over on the device, without taking them down. They have to fit into one batch, and every
    /// stage needs a twin. `now` is a clock, for devices that have none.
    pub fn measure(
        &self,
        targets: &[ChunkPos],
        times: usize,
        now: &dyn Fn() -> Duration,
    ) -> Result<Measurement, GpuError> {
        if let Some(runner) = self.runners.iter().find(|runner| runner.stem.is_none()) {
            return Err(GpuError::NoTwin { stage: runner.name.clone() });
        }
        let places = Places::of(&self.pipeline.plan(targets, None));
        self.fits(&places)?;
        let mut scene = Scene::new(&self.device, &self.pool, places, &self.steps)?;
        let timed = self.device.listed().timestamps;
        let mut runs = Vec::new();
        // One more, which makes the device ready.
        for _ in 0..=times {
            let begun = now();
            let stages = self.timed_run(&mut scene, timed)?;
            runs.push((stages, now().saturating_sub(begun)));
        }
        runs.remove(0);
        let copy_bytes_a_second = self.copy_speed(timed, now)?;
        Ok(self.summary(&scene.places, &runs, timed, copy_bytes_a_second))
    }

    /// One run: by stage, the beginning and end of its maps and of its voxels in ticks of the device's clock.
    fn timed_run(&self, scene: &mut Scene, timed: bool) -> Result<Vec<[u64; 2]>, GpuError> {
        let passes = 2 * self.runners.len() as u32;
        let mut clock = timed.then(|| Clock::new(&self.device.device, passes.max(1)));
        let mut commands = self.commands();
        self.begin(scene, &mut commands)?;
        for stage in 0..self.runners.len() {
            self.pass(stage, false, scene, &mut commands, &mut clock)?;
        }
        for stage in 0..self.runners.len() {
            self.pass(stage, true, scene, &mut commands, &mut clock)?;
        }
        let words = self.finish(commands, clock)?;
        Ok(words.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect())
    }

    /// One stage's voxels, or its maps, if it has any.
    fn pass(
        &self,
        stage: usize,
        blocks: bool,
        scene: &mut Scene,
        commands: &mut wgpu::CommandEncoder,
        clock: &mut Option<Clock>,
    ) -> Result<(), GpuError> {
        let runner = &self.runners[stage];
        let Some(kernel) = (if blocks { &runner.blocks } else { &runner.maps }) else { return Ok(()) };
        let times = clock.as_mut().map(Clock::pass);
        match blocks {
            true => self.dispatch_blocks(stage, kernel, scene, commands, times),
            false => self.dispatch_maps(kernel, runner.parameters.as_ref(), scene, commands, times),
        }
    }

    /// Submits, waits, and takes the clock's words down.
    fn finish(&self, mut commands: wgpu::CommandEncoder, clock: Option<Clock>) -> Result<Vec<u64>, GpuError> {
        let Some(clock) = clock.filter(|clock| clock.next > 0) else {
            let submission = self.device.guarded("a run", || self.device.queue.submit([commands.finish()]))?;
            self.device.wait(submission, "a run")?;
            return Ok(Vec::new());
        };
        let bytes = u64::from(clock.next) * 8;
        let words = self.device.guarded("times", || {
            let words = self.device.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            commands.resolve_query_set(&clock.set, 0..clock.next, &words, 0);
            words
        })?;
        Readback::submit(&self.device, &self.pool, commands, &words, bytes)?.read(|bytes| {
            bytes.chunks_exact(8).map(|word| u64::from_le_bytes(std::array::from_fn(|n| word[n]))).collect()
        })
    }

    /// Bytes a second of a copy within the device, read and written.
    fn copy_speed(&self, timed: bool, now: &dyn Fn() -> Duration) -> Result<f64, GpuError> {
        let bytes = COPY_BYTES.min(self.device.binding_bytes_max());
        let pool = crate::pool::Pool::new(self.device.clone(), 4 * COPY_BYTES);
        let (from, to) = (pool.take(Use::Storage, bytes, "a copy")?, pool.take(Use::Storage, bytes, "a copy")?);
        let mut best = Duration::MAX;
        for _ in 0..6 {
            let mut clock = timed.then(|| Clock::new(&self.device.device, 2));
            let mut commands = self.commands();
            let begun = now();
            // A copy is no pass: two empty ones around it read the clock.
            self.device.guarded("a copy", || {
                let empty = |commands: &mut wgpu::CommandEncoder, clock: &mut Option<Clock>| {
                    let timestamp_writes = clock.as_mut().map(Clock::pass);
                    drop(commands.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }));
                };
                empty(&mut commands, &mut clock);
                commands.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
                empty(&mut commands, &mut clock);
            })?;
            let words = self.finish(commands, clock)?;
            let by_clock = now().saturating_sub(begun);
            best = best.min(if let [_, begun, ended, _] = words[..] { self.ticks(begun, ended) } else { by_clock });
        }
        Ok(2.0 * bytes as f64 / best.as_secs_f64().max(1e-9))
    }

    fn ticks(&self, begun: u64, ended: u64) -> Duration {
        Duration::from_nanos(
            (ended.saturating_sub(begun) as f64 * f64::from(self.device.queue.get_timestamp_period())) as u64,
        )
    }

    fn summary(
        &self,
        places: &Places,
        runs: &[(Vec<[u64; 2]>, Duration)],
        timed: bool,
        copy_bytes_a_second: f64,
    ) -> Measurement {
        let passes = |blocks: bool| {
            let has = move |(_, runner): &(usize, &Runner)| {
                if blocks { runner.blocks.is_some() } else { runner.maps.is_some() }
            };
            self.runners.iter().enumerate().filter(has).map(|(stage, _)| stage)
        };
        let order: Vec<(usize, bool)> =
            passes(false).map(|stage| (stage, false)).chain(passes(true).map(|s| (s, true))).collect();
        let time = |stage: usize, blocks: bool| match order.iter().position(|one| *one == (stage, blocks)) {
            Some(pass) => median(runs.iter().map(|(passes, _)| self.ticks(passes[pass][0], passes[pass][1])).collect()),
            None => Duration::ZERO,
        };
        let stage = |(number, runner): (usize, &Runner)| StageTime {
            stage: runner.name.clone(),
            maps: time(number, false),
            blocks: time(number, true),
        };
        let whole = |(passes, by_clock): &(Vec<[u64; 2]>, Duration)| match (passes.first(), passes.last()) {
            (Some(first), Some(last)) => self.ticks(first[0], last[1]),
            _ => *by_clock,
        };
        Measurement {
            voxels: u64::from(places.results()) * CHUNK_BYTES,
            voxels_made: places.slots.len() as u64 * CHUNK_BYTES,
            run: median(runs.iter().map(whole).collect()),
            stages: if timed { self.runners.iter().enumerate().map(stage).collect() } else { Vec::new() },
            bytes: self.bytes_least(places),
            copy_bytes_a_second,
            by_the_device: timed,
        }
    }

    /// Every stage with maps writes a layer; every stage with voxels reads and writes those of its set.
    fn bytes_least(&self, places: &Places) -> u64 {
        let layer = MAPS_BYTES / terrane_world::generate::stage::LAYERS as u64;
        let stages = self.runners.iter().zip(&places.counts);
        let bytes = stages.map(|(runner, count)| {
            let maps = if runner.maps.is_some() { places.footprints.len() as u64 * layer } else { 0 };
            let reads_before = runner.blocks.as_ref().is_some_and(|kernel| kernel.shape == Shape::WithHalo);
            let voxels = if runner.blocks.is_some() { u64::from(*count) * CHUNK_BYTES } else { 0 };
            maps + voxels * (1 + u64::from(reads_before))
        });
        bytes.sum()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
