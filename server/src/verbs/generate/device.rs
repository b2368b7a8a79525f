//! Makes batches on a graphics device: while it computes one part, the last one is read back and packed by the pool, and
//! the one before that is written.

use super::batches::batches;
use super::engine::{Batch, Engine, Shared};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use terrane_gpu::{GpuError, Ticket};
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, VoxelBox};

/// Parts that the device has at a time: one that it computes, and one that waits or is read back.
const IN_FLIGHT: usize = 2;

/// A part of a batch that the device has.
struct Flying {
    ticket: Ticket,
    batch: Arc<Batch>,
}

/// Parts on their way, and where they go.
struct Flight<'a> {
    engine: &'a Engine<'a>,
    device: &'a terrane_gpu::Engine,
    pool: &'a rayon::ThreadPool,
    shared: &'a Shared,
    to_writer: &'a SyncSender<Vec<(ChunkPos, Chunk)>>,
    flying: VecDeque<Flying>,
}

impl Engine<'_> {
    /// Makes what is missing of the box on a device, until it is done or told to stop. Gives how many chunks were there.
    pub(super) fn make_on(
        &self,
        device: &terrane_gpu::Engine,
        pool: &rayon::ThreadPool,
        within: VoxelBox,
        shared: &Shared,
        to_writer: &SyncSender<Vec<(ChunkPos, Chunk)>>,
        places: &Receiver<()>,
    ) -> u64 {
        let mut flight = Flight { engine: self, device, pool, shared, to_writer, flying: VecDeque::new() };
        let mut already_there = 0;
        for batch in batches(within, self.batch_chunks) {
            let Some(missing) = self.missing(batch, &mut already_there, shared) else { break };
            if missing.is_empty() {
                continue;
            }
            if !flight.wait_for_place(places) || self.is_over(shared) {
                break;
            }
            if let Err(error) = flight.launch(&missing) {
                shared.fail(&error);
                break;
            }
        }
        if let Err(error) = flight.land_down_to(0) {
            shared.fail(&error);
        }
        already_there
    }
}

impl Flight<'_> {
    /// A place is given back only for a batch that has landed, so what flies lands before it is waited for.
    fn wait_for_place(&mut self, places: &Receiver<()>) -> bool {
        while places.try_recv().is_err() {
            if self.flying.is_empty() {
                return self.engine.wait(self.shared, places);
            }
            if let Err(error) = self.land_down_to(self.flying.len() - 1) {
                self.shared.fail(&error);
                return false;
            }
        }
        true
    }

    /// Submits a batch, in as many parts as the device's memory asks for.
    fn launch(&mut self, chunks: &[ChunkPos]) -> Result<(), GpuError> {
        self.engine.progress.tell();
        let parts = self.device.batches(chunks)?;
        let batch = Batch::new(chunks.len(), parts.len());
        for part in parts {
            self.land_down_to(IN_FLIGHT - 1)?;
            let ticket = loop {
                match self.device.submit(&part) {
                    Err(GpuError::Full { .. }) if !self.flying.is_empty() => {
                        self.land_down_to(self.flying.len() - 1)?
                    }
                    submitted => break submitted?,
                }
            };
            self.flying.push_back(Flying { ticket, batch: Arc::clone(&batch) });
        }
        Ok(())
    }

    /// Waits for the oldest parts until no more than so many are left.
    fn land_down_to(&mut self, left: usize) -> Result<(), GpuError> {
        while self.flying.len() > left {
            let Some(Flying { ticket, batch }) = self.flying.pop_front() else { break };
            let positions = ticket.targets().to_vec();
            let chunks = self.pool.install(|| self.device.collect(ticket))?;
            self.engine.was_made(&positions, chunks, self.shared, &batch, self.to_writer);
        }
        Ok(())
    }
}
