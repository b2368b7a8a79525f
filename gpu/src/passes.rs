//! What relaxation and labelling share: dispatches over tiles, and uploads in bounded pieces.

use crate::device::{Device, locked};
use crate::error::GpuError;
use crate::prelude::GROUPS_MAX;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Bytes that are handed to the device before it is told to take them: the driver holds a copy of each until then.
const UPLOAD_BYTES: u64 = 64 << 20;

/// How often kernels of each stem were dispatched.
#[derive(Default)]
pub(crate) struct Dispatches(Mutex<BTreeMap<&'static str, u64>>);

impl Dispatches {
    pub(crate) fn count(&self, stem: &'static str) {
        *locked(&self.0).entry(stem).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        locked(&self.0).clone()
    }
}

/// Workgroups along x and y for so many tiles; kernels know how to number them, and leave out those that are too many.
pub(crate) fn grid(tiles: u32) -> [u32; 2] {
    [tiles.min(GROUPS_MAX), tiles.div_ceil(GROUPS_MAX)]
}

/// Writes into buffers, a bounded number of bytes at a time.
pub(crate) struct Upload<'a> {
    device: &'a Arc<Device>,
    waiting_bytes: u64,
}

impl<'a> Upload<'a> {
    pub(crate) const fn new(device: &'a Arc<Device>) -> Self {
        Self { device, waiting_bytes: 0 }
    }

    /// Puts words or bytes into a buffer, from the byte `at` on.
    pub(crate) fn put<T: bytemuck::NoUninit>(
        &mut self,
        to: &wgpu::Buffer,
        at: u64,
        what: &[T],
    ) -> Result<(), GpuError> {
        let device = self.device;
        let bytes: &[u8] = bytemuck::cast_slice(what);
        device.guarded("an upload", || device.queue.write_buffer(to, at, bytes))?;
        self.waiting_bytes += bytes.len() as u64;
        if self.waiting_bytes >= UPLOAD_BYTES {
            self.waiting_bytes = 0;
            let submission = device.guarded("an upload", || device.queue.submit([]))?;
            device.wait(submission, "an upload")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_has_a_workgroup() {
        for tiles in [0, 1, 255, GROUPS_MAX, GROUPS_MAX + 1, 3 * GROUPS_MAX - 1, 1 << 30] {
            let [x, y] = grid(tiles).map(u64::from);
            let groups = x * y;
            assert!(groups >= u64::from(tiles) && groups < u64::from(tiles + GROUPS_MAX), "{tiles}");
        }
    }
}
