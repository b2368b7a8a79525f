//! How each stage of a pipeline runs: with which kernels, or on the CPU.

use crate::device::{Device, Kernel, Shape};
use crate::error::GpuError;
use crate::shaders::{Shader, source};
use std::sync::Arc;
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::stage::Halo;

/// How one stage runs.
pub(crate) struct Runner {
    pub(crate) name: String,
    /// The shader's stem; without one it runs on the CPU.
    pub(crate) stem: Option<&'static str>,
    pub(crate) maps: Option<Arc<Kernel>>,
    pub(crate) blocks: Option<Arc<Kernel>>,
    pub(crate) parameters: Option<wgpu::Buffer>,
}

impl Runner {
    /// `own` are shaders in the place of ours; `notes` hears of stages that run on the CPU.
    pub(crate) fn new(
        device: &Device,
        pipeline: &Pipeline,
        number: usize,
        own: &[Shader],
        notes: &mut Vec<String>,
    ) -> Result<Self, GpuError> {
        let stage = &pipeline.stages()[number];
        let (name, halo) = (stage.name().to_owned(), stage.halo() != Halo::NONE);
        let on_cpu = |name| Self { name, stem: None, maps: None, blocks: None, parameters: None };
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
        })
    }
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
