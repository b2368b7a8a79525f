//! A kernel by itself: some words in, some words out. For tests of shared WGSL, and to try things out.

use crate::device::{Device, Shape};
use crate::error::GpuError;
use crate::pool::{Pool, Use};
use crate::prelude::GROUP;
use crate::readback::Readback;
use std::sync::Arc;

/// Runs the entry point `words` of a shader with `parameters` at binding 0 and an array of `count` words at binding 4, by
/// workgroups of 256 with one invocation for each word, and gives the array. The shader may include our shared files.
pub fn words(device: &Arc<Device>, source: &str, parameters: &[u32], count: u32) -> Result<Vec<u32>, GpuError> {
    let kernel = device.kernel("words", source, "words", Shape::Words)?;
    let pool = Pool::new(device.clone(), device.binding_bytes_max());
    let input = pool.take(Use::Storage, size_of_val(parameters) as u64, "parameters")?;
    let output = pool.take(Use::Storage, u64::from(count) * 4, "words")?;
    let readback = device.guarded("a kernel", || {
        device.queue.write_buffer(&input, 0, bytemuck::cast_slice(parameters));
        let group = device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: device.bind_group_layout(Shape::Words),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: input.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 4, resource: output.as_entire_binding() },
            ],
        });
        let mut encoder = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&kernel.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(count.div_ceil(GROUP), 1, 1);
        drop(pass);
        Readback::submit(device, &pool, encoder, &output, u64::from(count) * 4)
    })??;
    readback.read(|bytes| bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect())
}
