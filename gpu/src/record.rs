//! A batch as commands: every stage's maps in order, then every stage's voxels.

use crate::device::{Kernel, Shape, locked};
use crate::engine::Engine;
use crate::error::GpuError;
use crate::prelude::MAP_GROUPS;
use crate::readback::Readback;
use crate::runner::Runner;
use crate::scene::{CHUNK_BYTES, Scene};
use terrane_world::generate::pipeline::MapsByFootprint;

/// The maps of a batch as the CPU knows them; `None` if it does not, or not any more.
pub(crate) type Known = Option<MapsByFootprint>;

impl Engine {
    /// Every stage of a batch.
    pub(crate) fn record(&self, scene: &mut Scene) -> Result<Readback, GpuError> {
        let mut commands = self.commands();
        self.begin(scene, &mut commands)?;
        let mut known = None;
        for stage in 0..self.runners.len() {
            self.record_maps(stage, scene, &mut commands, &mut known)?;
        }
        for stage in 0..self.runners.len() {
            self.record_blocks(stage, scene, &mut commands, &mut known)?;
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

    /// One stage's maps.
    pub(crate) fn record_maps(
        &self,
        stage: usize,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
        known: &mut Known,
    ) -> Result<(), GpuError> {
        let runner = &self.runners[stage];
        if let Some(kernel) = &runner.maps {
            *known = None;
            self.count(runner);
            return self.dispatch_maps(kernel, runner.parameters.as_ref(), scene, commands, None);
        }
        if runner.stem.is_some() { Ok(()) } else { self.maps_on_cpu(stage, scene, commands, known) }
    }

    /// One stage's voxels.
    pub(crate) fn record_blocks(
        &self,
        stage: usize,
        scene: &mut Scene,
        commands: &mut wgpu::CommandEncoder,
        known: &mut Known,
    ) -> Result<(), GpuError> {
        let runner = &self.runners[stage];
        if let Some(kernel) = &runner.blocks {
            self.count(runner);
            return self.dispatch_blocks(stage, kernel, scene, commands, None);
        }
        if runner.stem.is_some() { Ok(()) } else { self.blocks_on_cpu(stage, scene, commands, known) }
    }

    fn count(&self, runner: &Runner) {
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
}

fn entry(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() }
}
