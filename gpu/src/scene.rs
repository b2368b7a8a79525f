//! A batch on the device: where each chunk and each footprint has its place, and the buffers they lie in.

use crate::device::Device;
use crate::error::GpuError;
use crate::layout::{ChunkRow, FootprintRow};
use crate::pool::{Pool, Pooled, Use, class};
use crate::prelude::MAPS_WORDS;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_world::generate::pipeline::{MapsByFootprint, Plan};
use terrane_world::generate::stage::{Draft, LAYERS, MAP_CELLS, Maps};
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::ChunkPos;

/// Bytes of the voxels of one chunk.
pub(crate) const CHUNK_BYTES: u64 = CHUNK_VOXELS as u64;
/// Bytes of the maps of one footprint.
pub(crate) const MAPS_BYTES: u64 = MAPS_WORDS as u64 * 4;

/// The places of a batch. Chunks that more stages run on come first, so that every stage's set is slots 0 to its count, and so
/// is the result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) slots: Vec<ChunkPos>,
    pub(crate) footprints: Vec<[i32; 2]>,
    /// By stage, how many slots it runs on.
    pub(crate) counts: Vec<u32>,
}

impl Places {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut stages: BTreeMap<ChunkPos, usize> = BTreeMap::new();
        for pos in plan.sets.iter().flatten() {
            *stages.entry(*pos).or_default() += 1;
        }
        let mut slots: Vec<ChunkPos> = stages.keys().copied().collect();
        slots.sort_by_key(|pos| (Reverse(stages[pos]), *pos));
        let counts = plan.sets.iter().map(|set| set.len() as u32).collect();
        Self { slots, footprints: plan.footprints().into_iter().collect(), counts }
    }

    /// How many slots hold results.
    pub(crate) fn results(&self) -> u32 {
        self.counts.last().copied().unwrap_or(0)
    }

    /// Bytes of the largest buffer.
    pub(crate) fn largest_bytes(&self) -> u64 {
        class((self.slots.len() as u64 * CHUNK_BYTES).max(self.footprints.len() as u64 * MAPS_BYTES))
    }

    /// Bytes on the device, with the results once for each batch that may be in flight. `with_halo` is whether a stage on the
    /// device has one, `on_cpu` whether a stage runs on the CPU.
    pub(crate) fn bytes(&self, with_halo: bool, on_cpu: bool, in_flight: u64) -> u64 {
        let (chunks, footprints) = (self.slots.len() as u64, self.footprints.len() as u64);
        let (voxels, maps) = (class(chunks * CHUNK_BYTES), class(footprints * MAPS_BYTES));
        voxels * (1 + u64::from(with_halo))
            + maps
            + if on_cpu { voxels + maps } else { 0 }
            + class(chunks * size_of::<ChunkRow>() as u64)
            + class(footprints * size_of::<FootprintRow>() as u64)
            + class(u64::from(self.results()) * CHUNK_BYTES) * in_flight
    }
}

/// The buffers of a batch.
pub(crate) struct Scene {
    pub(crate) places: Places,
    device: Arc<Device>,
    pub(crate) chunks: Pooled,
    pub(crate) footprints: Pooled,
    pub(crate) maps: Pooled,
    voxels: Pooled,
    /// For stages with a halo, which read one and write the other.
    other: Option<Pooled>,
}

impl Scene {
    /// Takes the buffers and uploads the tables. `steps` lead to the neighbours that any stage reads.
    pub(crate) fn new(
        device: &Arc<Device>,
        pool: &Arc<Pool>,
        places: Places,
        steps: &[[i32; 3]],
    ) -> Result<Self, GpuError> {
        let mut slots: Vec<(ChunkPos, u32)> = places.slots.iter().copied().zip(0..).collect();
        slots.sort_unstable();
        let slot_of = |pos| slots.binary_search_by_key(&pos, |(pos, _)| *pos).ok().map(|number| slots[number].1);
        let footprint = |pos: &ChunkPos| places.footprints.binary_search(&[pos.x(), pos.z()]).unwrap_or(0) as u32;
        let row = |(slot, pos): (u32, &ChunkPos)| ChunkRow::new(*pos, footprint(pos), slot, steps, slot_of);
        let chunk_rows: Vec<ChunkRow> = (0..).zip(&places.slots).map(row).collect();
        let footprint_rows: Vec<FootprintRow> = places.footprints.iter().copied().map(FootprintRow::new).collect();
        let take = |bytes: u64, doing| pool.take(Use::Storage, bytes, doing);
        let voxels = places.slots.len() as u64 * CHUNK_BYTES;
        let scene = Self {
            chunks: take(size_of_val(&*chunk_rows) as u64, "the table of chunks")?,
            footprints: take(size_of_val(&*footprint_rows) as u64, "the table of footprints")?,
            maps: take(places.footprints.len() as u64 * MAPS_BYTES, "the maps")?,
            voxels: take(voxels, "the voxels")?,
            other: (!steps.is_empty()).then(|| take(voxels, "the voxels before a stage")).transpose()?,
            device: device.clone(),
            places,
        };
        device.guarded("the tables of a batch", || {
            device.queue.write_buffer(&scene.chunks, 0, bytemuck::cast_slice(&chunk_rows));
            device.queue.write_buffer(&scene.footprints, 0, bytemuck::cast_slice(&footprint_rows));
        })?;
        Ok(scene)
    }

    /// The voxels as the last stage has left them.
    pub(crate) fn current(&self) -> &wgpu::Buffer {
        &self.voxels
    }

    /// Where a stage with a halo writes.
    pub(crate) fn next(&self) -> &wgpu::Buffer {
        self.other.as_ref().unwrap_or(&self.voxels)
    }

    /// After a stage with a halo: what it wrote is current.
    pub(crate) fn turn(&mut self) {
        if let Some(other) = &mut self.other {
            std::mem::swap(&mut self.voxels, other);
        }
    }

    /// Uploads the maps of all footprints.
    pub(crate) fn write_maps(&self, maps: &MapsByFootprint) -> Result<(), GpuError> {
        self.device.guarded("maps from the CPU", || {
            for (footprint, at) in self.places.footprints.iter().zip(0..) {
                let cells = maps[footprint].layers().iter().flatten();
                let words: Vec<i32> = cells.map(|cell| i32::from(*cell)).collect();
                self.device.queue.write_buffer(&self.maps, at * MAPS_BYTES, bytemuck::cast_slice(&words));
            }
        })
    }

    /// Uploads the voxels of the first `count` slots.
    pub(crate) fn write_drafts(&self, drafts: &BTreeMap<ChunkPos, Draft>, count: u32) -> Result<(), GpuError> {
        self.device.guarded("voxels from the CPU", || {
            for (pos, at) in self.places.slots[..count as usize].iter().zip(0..) {
                let entries = drafts[pos].entries();
                self.device.queue.write_buffer(&self.voxels, at * CHUNK_BYTES, entries.as_slice());
            }
        })
    }

    /// The maps of all footprints, from what was downloaded.
    pub(crate) fn maps_from(&self, bytes: &[u8]) -> MapsByFootprint {
        let one = |(footprint, bytes): (&[i32; 2], &[u8])| {
            let mut maps = Maps::new(footprint[0], footprint[1]);
            for (layer, cells) in maps.layers_mut().iter_mut().zip(bytes.chunks_exact(MAP_CELLS * 4)) {
                for (cell, word) in cell_words(cells).zip(layer) {
                    *word = cell as i16;
                }
            }
            (*footprint, maps)
        };
        debug_assert_eq!(MAPS_BYTES as usize, LAYERS * MAP_CELLS * 4);
        self.places.footprints.iter().zip(bytes.chunks_exact(MAPS_BYTES as usize)).map(one).collect()
    }
}

fn cell_words(bytes: &[u8]) -> impl Iterator<Item = i32> + '_ {
    bytes.chunks_exact(4).map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// Fills a draft from the bytes of a slot.
pub(crate) fn read_draft(draft: &mut Draft, bytes: &[u8], slot: usize) {
    draft.entries_new().copy_from_slice(&bytes[slot * CHUNK_VOXELS..][..CHUNK_VOXELS]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_a_beginning_of_the_slots() {
        let at = |x, y, z| ChunkPos::new(x, y, z).expect("inside");
        let last = vec![at(0, 0, 0), at(5, 1, 5)];
        let middle = [vec![at(-1, 0, 0), at(0, 0, 1)], last.clone()].concat();
        let first = [middle.clone(), vec![at(-9, 0, 0)]].concat();
        let sorted = |mut set: Vec<ChunkPos>| {
            set.sort();
            set
        };
        let sets = vec![sorted(first), sorted(middle), sorted(last.clone())];
        let places = Places::of(&Plan { targets: last, sets: sets.clone() });
        assert_eq!(places.counts, [5, 4, 2]);
        for (set, count) in sets.iter().zip(&places.counts) {
            assert_eq!(&sorted(places.slots[..*count as usize].to_vec()), set);
        }
    }
}
