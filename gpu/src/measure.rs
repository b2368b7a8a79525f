//! How fast a device makes voxels, and how much of its memory's speed that takes.

use crate::clock::{Clock, between, finish};
use crate::device::Shape;
use crate::engine::Engine;
use crate::error::GpuError;
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
            let stages = self.timed_run(&mut scene)?;
            runs.push((stages, now().saturating_sub(begun)));
        }
        runs.remove(0);
        let copy_bytes_a_second = self.device.copy_bytes_a_second(COPY_BYTES, now)?;
        Ok(self.summary(&scene.places, &runs, timed, copy_bytes_a_second))
    }

    /// One run: by stage, the beginning and end of its maps and of its voxels in ticks of the device's clock.
    fn timed_run(&self, scene: &mut Scene) -> Result<Vec<[u64; 2]>, GpuError> {
        let passes = 2 * self.runners.len() as u32;
        let mut clock = Clock::new(&self.device, passes.max(1));
        let mut commands = self.commands();
        self.begin(scene, &mut commands)?;
        for stage in 0..self.runners.len() {
            self.pass(stage, false, scene, &mut commands, &mut clock)?;
        }
        for stage in 0..self.runners.len() {
            self.pass(stage, true, scene, &mut commands, &mut clock)?;
        }
        let words = finish(&self.device, &self.pool, commands, clock)?;
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
            Some(pass) => {
                median(runs.iter().map(|(passes, _)| between(&self.device, passes[pass][0], passes[pass][1])).collect())
            }
            None => Duration::ZERO,
        };
        let stage = |(number, runner): (usize, &Runner)| StageTime {
            stage: runner.name.clone(),
            maps: time(number, false),
            blocks: time(number, true),
        };
        let whole = |(passes, by_clock): &(Vec<[u64; 2]>, Duration)| match (passes.first(), passes.last()) {
            (Some(first), Some(last)) => between(&self.device, first[0], last[1]),
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
