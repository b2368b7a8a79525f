//! Buffers on the device, kept for the next batch: making and clearing one takes longer than filling it.

use crate::device::{Device, locked};
use crate::error::GpuError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// Kernels read and write it.
    Storage,
    /// The CPU reads it.
    Readback,
    /// The CPU writes it.
    Upload,
}

impl Use {
    fn usages(self) -> wgpu::BufferUsages {
        match self {
            Self::Storage => wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            Self::Upload => wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            Self::Readback => wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        }
    }
}

/// Buffers by use and size.
pub(crate) struct Pool {
    device: Arc<Device>,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: BTreeMap<(Use, u64), Vec<wgpu::Buffer>>,
    /// Of all buffers, in use or free.
    bytes: u64,
    made: u64,
}

/// A buffer on loan; it goes back when this is dropped.
pub(crate) struct Pooled {
    buffer: wgpu::Buffer,
    key: (Use, u64),
    pool: Arc<Pool>,
}

impl std::ops::Deref for Pooled {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        locked(&self.pool.state).free.entry(self.key).or_default().push(self.buffer.clone());
    }
}

/// The size that is made for so many bytes: a quarter of a power of two, so that at most a fifth is idle.
pub(crate) fn class(bytes: u64) -> u64 {
    let quarter = (bytes.max(1024).next_power_of_two() / 8).max(256);
    bytes.next_multiple_of(quarter).max(1024)
}

/// The same where a buffer may have at most so many bytes.
fn class_within(bytes: u64, most: u64) -> u64 {
    class(bytes).min(most).max(bytes)
}

impl Pool {
    /// At most so many bytes in all, those in use included.
    pub(crate) fn new(device: Arc<Device>, bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { device, bytes_max, state: Mutex::default() })
    }

    /// How many buffers have been made so far.
    pub(crate) fn made(&self) -> u64 {
        locked(&self.state).made
    }

    /// Bytes of all buffers, in use or free.
    pub(crate) fn bytes(&self) -> u64 {
        locked(&self.state).bytes
    }

    /// A buffer of at least so many bytes, with anything in it. `doing` is for the error.
    pub(crate) fn take(self: &Arc<Self>, usage: Use, bytes: u64, doing: &str) -> Result<Pooled, GpuError> {
        let key = (usage, class_within(bytes, self.device.buffer_bytes_max()));
        let mut state = locked(&self.state);
        // Only one of the same size: a larger one would make the batch take more than it was reckoned to.
        if let Some(buffer) = state.free.get_mut(&key).and_then(Vec::pop) {
            return Ok(Pooled { buffer, key, pool: self.clone() });
        }
        self.make_room(&mut state, key.1);
        if state.bytes + key.1 > self.bytes_max {
            return Err(GpuError::Full { in_use: state.bytes, needs: key.1, allowed: self.bytes_max });
        }
        let buffer = self.device.guarded(doing, || {
            self.device.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: key.1,
                usage: usage.usages(),
                mapped_at_creation: false,
            })
        })?;
        state.bytes += key.1;
        state.made += 1;
        Ok(Pooled { buffer, key, pool: self.clone() })
    }

    /// Gives up free buffers, the largest first, until so many bytes fit.
    fn make_room(&self, state: &mut State, bytes: u64) {
        while state.bytes + bytes > self.bytes_max {
            let largest = state.free.iter().filter(|(_, free)| !free.is_empty()).max_by_key(|((_, size), _)| *size);
            let Some(key) = largest.map(|(key, _)| *key) else { return };
            // Dropped, not destroyed: a submission that is under way may still use it.
            state.free.get_mut(&key).and_then(Vec::pop);
            state.bytes -= key.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{class, class_within};

    #[test]
    fn a_size_class_wastes_at_most_a_fifth() {
        for bytes in (1024..5_000_000u64).step_by(997) {
            let class = class(bytes);
            assert!(
                class >= bytes && (class - bytes) * 5 <= class + 1280 && class.is_multiple_of(256),
                "{bytes}: {class}"
            );
        }
        assert_eq!(class(1), 1024);
    }

    #[test]
    fn a_size_class_is_never_more_than_a_buffer_may_have() {
        let most = 2_147_418_112;
        assert_eq!(class_within(most - 4, most), most);
        assert_eq!(class_within(most / 2 + 4, most), class(most / 2 + 4));
        assert_eq!(class_within(most + 4, most), most + 4, "which the device then refuses");
    }
}
