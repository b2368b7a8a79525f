//! What relaxation, labelling and packing share: dispatches over tiles, and uploads in bounded pieces.

use crate::device::{Device, locked};
use crate::error::GpuError;
use crate::pool::{Pool, Pooled, Use};
use crate::prelude::GROUPS_MAX;
use crate::readback::Mapped;
use rayon::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Bytes that are handed to the device before it is told to take them: the driver holds a copy of each until then.
const UPLOAD_BYTES: u64 = 64 << 20;

/// What an upload is called in errors.
const DOING: &str = "an upload";

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
        device.guarded(DOING, || device.queue.write_buffer(to, at, bytes))?;
        self.waiting_bytes += bytes.len() as u64;
        if self.waiting_bytes >= UPLOAD_BYTES {
            self.waiting_bytes = 0;
            let submission = device.guarded(DOING, || device.queue.submit([]))?;
            device.wait(submission, DOING)?;
        }
        Ok(())
    }
}

/// A part of what all cores upload at once.
pub(crate) type Piece = [u8; 16 << 10];
/// Pieces of one buffer on their way to the device.
const PIECES: usize = (32 << 20) / size_of::<Piece>();

/// Fills a buffer from its beginning with pieces, and waits until they are there. Two buffers of the CPU take turns: one is filled by
/// all cores while the bytes of the other one are on their way.
pub(crate) fn put_pieces(
    device: &Arc<Device>,
    pool: &Arc<Pool>,
    to: &wgpu::Buffer,
    pieces: &[&Piece],
) -> Result<(), GpuError> {
    let mut under_way: VecDeque<(Pooled, wgpu::SubmissionIndex)> = VecDeque::new();
    let mut at = 0;
    for pieces in pieces.chunks(PIECES) {
        if under_way.len() == 2
            && let Some((_buffer, submission)) = under_way.pop_front()
        {
            device.wait(submission, DOING)?;
        }
        let bytes = (pieces.len() * size_of::<Piece>()) as u64;
        let buffer = pool.take(Use::Upload, bytes, DOING)?;
        let filled = fill(device, &buffer, pieces);
        device.guarded(DOING, || buffer.unmap())?;
        filled?;
        let submission = device.guarded(DOING, || {
            let mut commands = device.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            commands.copy_buffer_to_buffer(&buffer, 0, to, at, bytes);
            device.queue.submit([commands.finish()])
        })?;
        under_way.push_back((buffer, submission));
        at += bytes;
    }
    under_way.into_iter().try_for_each(|(_, submission)| device.wait(submission, DOING))
}

/// Writes pieces into a buffer that nothing uses, and leaves it mapped.
fn fill(device: &Device, buffer: &wgpu::Buffer, pieces: &[&Piece]) -> Result<(), GpuError> {
    let bytes = (pieces.len() * size_of::<Piece>()) as u64;
    let mapped = Arc::new(Mapped::default());
    let heard = mapped.clone();
    device.guarded(DOING, || buffer.map_async(wgpu::MapMode::Write, 0..bytes, move |result| heard.tell(result)))?;
    let _ = device.guarded(DOING, || device.device.poll(wgpu::PollType::Poll))?;
    mapped.check(device, DOING)?;
    let view = buffer.get_mapped_range_mut(0..bytes);
    let mut view = view.map_err(|error| device.invalid(DOING, &error.to_string()))?;
    let parts: Vec<_> = view.slice(..).into_chunks().0.into_iter().collect();
    parts.into_par_iter().zip(pieces).for_each(|(part, piece)| part.write(**piece));
    Ok(())
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
