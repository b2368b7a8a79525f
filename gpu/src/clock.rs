//! The device's own clock, and how fast its memory copies by it.

use crate::device::Device;
use crate::error::GpuError;
use crate::pool::{Pool, Use};
use crate::readback::Readback;
use std::sync::Arc;
use std::time::Duration;

/// Times of passes, by the device's own clock.
pub(crate) struct Clock {
    set: wgpu::QuerySet,
    next: u32,
}

impl Clock {
    /// For so many passes; none where the device has no clock.
    pub(crate) fn new(device: &Device, passes: u32) -> Option<Self> {
        let descriptor = wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 * passes };
        device.listed().timestamps.then(|| Self { set: device.device.create_query_set(&descriptor), next: 0 })
    }

    /// When the next pass begins and ends.
    pub(crate) fn pass(&mut self) -> wgpu::ComputePassTimestampWrites<'_> {
        self.next += 2;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(self.next - 2),
            end_of_pass_write_index: Some(self.next - 1),
        }
    }
}

/// Submits, waits, and takes the clock's words down: the beginning and end of each pass.
pub(crate) fn finish(
    device: &Arc<Device>,
    pool: &Arc<Pool>,
    mut commands: wgpu::CommandEncoder,
    clock: Option<Clock>,
) -> Result<Vec<u64>, GpuError> {
    let Some(clock) = clock.filter(|clock| clock.next > 0) else {
        let submission = device.guarded("a run", || device.queue.submit([commands.finish()]))?;
        device.wait(submission, "a run")?;
        return Ok(Vec::new());
    };
    let bytes = u64::from(clock.next) * 8;
    let words = device.guarded("times", || {
        let words = device.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        commands.resolve_query_set(&clock.set, 0..clock.next, &words, 0);
        words
    })?;
    Readback::submit(device, pool, commands, &words, bytes)?
        .read(|bytes| bytes.chunks_exact(8).map(|word| u64::from_le_bytes(std::array::from_fn(|n| word[n]))).collect())
}

/// The time between two of the clock's words.
pub(crate) fn between(device: &Device, begun: u64, ended: u64) -> Duration {
    let ticks = ended.saturating_sub(begun) as f64;
    Duration::from_nanos((ticks * f64::from(device.queue.get_timestamp_period())) as u64)
}

impl Device {
    /// Bytes a second, read and written, of a plain copy of so many bytes within the device's memory; the best of six. `now` is
    /// a clock, for devices that have none.
    ///
    /// # Errors
    /// What the device says.
    pub fn copy_bytes_a_second(self: &Arc<Self>, bytes: u64, now: &dyn Fn() -> Duration) -> Result<f64, GpuError> {
        let bytes = bytes.min(self.binding_bytes_max());
        let pool = Pool::new(self.clone(), u64::MAX);
        let (from, to) = (pool.take(Use::Storage, bytes, "a copy")?, pool.take(Use::Storage, bytes, "a copy")?);
        let mut best = Duration::MAX;
        for _ in 0..6 {
            let mut clock = Clock::new(self, 2);
            let mut commands = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let begun = now();
            // A copy is no pass: two empty ones around it read the clock.
            self.guarded("a copy", || {
                let empty = |commands: &mut wgpu::CommandEncoder, clock: &mut Option<Clock>| {
                    let timestamp_writes = clock.as_mut().map(Clock::pass);
                    drop(commands.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes }));
                };
                empty(&mut commands, &mut clock);
                commands.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
                empty(&mut commands, &mut clock);
            })?;
            let words = finish(self, &pool, commands, clock)?;
            let by_clock = now().saturating_sub(begun);
            best = best.min(if let [_, begun, ended, _] = words[..] { between(self, begun, ended) } else { by_clock });
        }
        Ok(2.0 * bytes as f64 / best.as_secs_f64().max(1e-9))
    }
}
