//! Bytes on their way from the device.

use crate::device::{Device, locked};
use crate::error::GpuError;
use crate::pool::{Pool, Pooled, Use};
use std::sync::{Arc, Mutex};

/// A submission whose last command copies bytes to where the CPU can read them.
pub(crate) struct Readback {
    device: Arc<Device>,
    buffer: Pooled,
    bytes: u64,
    submission: wgpu::SubmissionIndex,
    mapped: Arc<Mutex<Option<Result<(), wgpu::BufferAsyncError>>>>,
}

impl Readback {
    /// Copies the first `bytes` (a multiple of 4) of a buffer behind what the encoder has, and submits it.
    pub(crate) fn submit(
        device: &Arc<Device>,
        pool: &Arc<Pool>,
        mut encoder: wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<Self, GpuError> {
        let buffer = pool.take(Use::Readback, bytes, "results")?;
        let mapped = Arc::new(Mutex::new(None));
        let heard = mapped.clone();
        let submission = device.guarded("a batch", || {
            encoder.copy_buffer_to_buffer(from, 0, &buffer, 0, bytes);
            let submission = device.queue.submit([encoder.finish()]);
            buffer.map_async(wgpu::MapMode::Read, 0..bytes.max(4), move |result| *locked(&heard) = Some(result));
            submission
        })?;
        Ok(Self { device: device.clone(), buffer, bytes, submission, mapped })
    }

    /// Whether it is there already.
    pub(crate) fn is_ready(&self) -> Result<bool, GpuError> {
        let _ = self.device.guarded("a look at a batch", || self.device.device.poll(wgpu::PollType::Poll))?;
        Ok(locked(&self.mapped).is_some())
    }

    /// Waits for it, and reads it.
    pub(crate) fn read<T>(self, reader: impl FnOnce(&[u8]) -> T) -> Result<T, GpuError> {
        let doing = "the results of a batch";
        self.device.wait(self.submission.clone(), doing)?;
        let invalid = |problem: String| GpuError::Invalid {
            device: self.device.listed().name.clone(),
            doing: doing.to_owned(),
            problem,
        };
        match locked(&self.mapped).take() {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(invalid(error.to_string())),
            None => return Err(invalid("they are not there after the wait".to_owned())),
        }
        let view = self.buffer.get_mapped_range(0..self.bytes.max(4)).map_err(|error| invalid(error.to_string()))?;
        let read = reader(&view[..self.bytes as usize]);
        drop(view);
        Ok(read)
    }
}

impl Drop for Readback {
    /// The buffer goes back to the pool, where it must not be mapped, nor about to be.
    fn drop(&mut self) {
        let _ = self.device.guarded("the results of a batch", || self.buffer.unmap());
    }
}
