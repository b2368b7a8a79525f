//! Bytes on their way from the device.

use crate::device::{Device, locked};
use crate::error::GpuError;
use crate::pool::{Pool, Pooled, Use};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A submission whose last command copies bytes to where the CPU can read them.
pub(crate) struct Readback {
    device: Arc<Device>,
    buffer: Pooled,
    bytes: u64,
    submission: wgpu::SubmissionIndex,
    mapped: Arc<Mapped>,
}

/// Whether the bytes can be read. Whichever thread looks after the device first hears it and says it here, so the one that
/// waited for the submission may be told a moment later.
#[derive(Default)]
pub(crate) struct Mapped {
    result: Mutex<Option<Result<(), wgpu::BufferAsyncError>>>,
    told: Condvar,
}

/// How often a thread that has waited for its submission looks again for what another thread is about to tell it.
const LOOKS: u32 = 600;
/// How long it waits between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Mapped {
    /// Says that it is so, or not.
    pub(crate) fn tell(&self, result: Result<(), wgpu::BufferAsyncError>) {
        *locked(&self.result) = Some(result);
        self.told.notify_all();
    }

    /// Whether the CPU has them, after a wait for the device; an error otherwise. `doing` is for that.
    pub(crate) fn check(&self, device: &Device, doing: &str) -> Result<(), GpuError> {
        match self.take() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(device.invalid(doing, &error.to_string())),
            None => Err(device.invalid(doing, "they are not there after the wait")),
        }
    }

    fn take(&self) -> Option<Result<(), wgpu::BufferAsyncError>> {
        let mut result = locked(&self.result);
        for _ in 0..LOOKS {
            if result.is_some() {
                break;
            }
            let waited = self.told.wait_timeout(result, LOOK_EVERY);
            result = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        result.take()
    }
}

impl Readback {
    /// Copies the first `bytes` (a multiple of 4) of a buffer behind what the encoder has, and submits it.
    pub(crate) fn submit(
        device: &Arc<Device>,
        pool: &Arc<Pool>,
        encoder: wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<Self, GpuError> {
        Self::submit_part(device, pool, encoder, from, 0..bytes)
    }

    /// The same for a part of a buffer, from and to multiples of 4.
    pub(crate) fn submit_part(
        device: &Arc<Device>,
        pool: &Arc<Pool>,
        mut encoder: wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        part: std::ops::Range<u64>,
    ) -> Result<Self, GpuError> {
        let bytes = part.end - part.start;
        let buffer = pool.take(Use::Readback, bytes, "results")?;
        let mapped = Arc::new(Mapped::default());
        let heard = mapped.clone();
        let submission = device.guarded("a batch", || {
            encoder.copy_buffer_to_buffer(from, part.start, &buffer, 0, bytes);
            let submission = device.queue.submit([encoder.finish()]);
            buffer.map_async(wgpu::MapMode::Read, 0..bytes.max(4), move |result| heard.tell(result));
            submission
        })?;
        Ok(Self { device: device.clone(), buffer, bytes, submission, mapped })
    }

    /// Whether it is there already.
    pub(crate) fn is_ready(&self) -> Result<bool, GpuError> {
        let _ = self.device.guarded("a look at a batch", || self.device.device.poll(wgpu::PollType::Poll))?;
        Ok(locked(&self.mapped.result).is_some())
    }

    /// Waits for it, and reads it.
    pub(crate) fn read<T>(self, reader: impl FnOnce(&[u8]) -> T) -> Result<T, GpuError> {
        let doing = "the results of a batch";
        self.device.wait(self.submission.clone(), doing)?;
        self.mapped.check(&self.device, doing)?;
        let view = self.buffer.get_mapped_range(0..self.bytes.max(4));
        let view = view.map_err(|error| self.device.invalid(doing, &error.to_string()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the other thread has to be late")]
    fn results_that_another_thread_tells_late_are_waited_for() {
        let mapped = Mapped::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(3 * LOOK_EVERY);
                mapped.tell(Ok(()));
            });
            assert!(mapped.take().is_some_and(|result| result.is_ok()));
        });
    }
}
