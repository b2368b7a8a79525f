//! A stage without a twin: what it needs comes down from the device, it runs on the CPU, and what it has made goes up again.

use crate::engine::Engine;
use crate::error::GpuError;
use crate::readback::Readback;
use crate::record::Known;
use crate::scene::{CHUNK_BYTES, MAPS_BYTES, Scene, read_draft};
use rayon::prelude::*;
use std::collections::BTreeMap;
use terrane_world::generate::GenerateError;
use terrane_world::generate::pipeline::MapsByFootprint;
use terrane_world::generate::stage::{Draft, Maps};
use terrane_world::space::ChunkPos;

/// Chunks that one thread takes at a time. They lie near each other, so their halos are copied once.
const PART: usize = 16;

type Drafts = BTreeMap<ChunkPos, Draft>;

impl Engine {
    /// A stage's maps. They go up only if it has changed them: most stages that bring no twin have none.
    pub(crate) fn maps_on_cpu(
        &self,
        stage: usize,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
        known: &mut Known,
    ) -> Result<(), GpuError> {
        let before = self.known_maps(scene, commands, known)?;
        let mut maps = before.clone();
        let each = |one: &mut Maps| self.pipeline.run_maps(stage, one);
        maps.values_mut().collect::<Vec<_>>().into_par_iter().try_for_each(each)?;
        if maps != before {
            scene.write_maps(&maps)?;
        }
        *known = Some(maps);
        Ok(())
    }

    /// A stage's voxels, on its set.
    pub(crate) fn blocks_on_cpu(
        &self,
        stage: usize,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
        known: &mut Known,
    ) -> Result<(), GpuError> {
        let maps = self.known_maps(scene, commands, known)?;
        let places = &scene.places;
        let before = stage.checked_sub(1).map_or(places.slots.len() as u32, |last| places.counts[last]);
        let drafts = self.download_drafts(scene, commands, before)?;
        let made = self.run_parts(stage, &places.slots[..places.counts[stage] as usize], &maps, &drafts)?;
        *known = Some(maps);
        scene.write_drafts(&made, places.counts[stage])
    }

    /// Runs a stage in the rayon pool that this is called in. Gives the chunks of its set.
    fn run_parts(
        &self,
        stage: usize,
        set: &[ChunkPos],
        maps: &MapsByFootprint,
        drafts: &Drafts,
    ) -> Result<Drafts, GenerateError> {
        let steps: Vec<[i32; 3]> = self.pipeline.stages()[stage].halo().steps().collect();
        let run = |part: &[ChunkPos]| -> Result<Vec<(ChunkPos, Draft)>, GenerateError> {
            let around = |pos: &ChunkPos| {
                let [x, y, z] = pos.to_array();
                let there = steps.iter().filter_map(move |by| ChunkPos::new(x + by[0], y + by[1], z + by[2]).ok());
                there.chain([*pos]).collect::<Vec<_>>()
            };
            let read = part.iter().flat_map(around).filter_map(|pos| drafts.get_key_value(&pos));
            let mut near: Drafts = read.map(|(pos, draft)| (*pos, draft.clone())).collect();
            self.pipeline.run_blocks(stage, part, maps, &mut near)?;
            Ok(part.iter().filter_map(|pos| near.remove_entry(pos)).collect())
        };
        let parts: Vec<Vec<(ChunkPos, Draft)>> = set.par_chunks(PART).map(run).collect::<Result<_, _>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The maps of a batch, downloaded unless they are known.
    fn known_maps(
        &self,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
        known: &mut Known,
    ) -> Result<MapsByFootprint, GpuError> {
        known.take().map_or_else(|| self.download_maps(scene, commands), Ok)
    }

    /// Submits what there is and waits for the maps.
    pub(crate) fn download_maps(
        &self,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
    ) -> Result<MapsByFootprint, GpuError> {
        let bytes = scene.places.footprints.len() as u64 * MAPS_BYTES;
        self.flush(commands, &scene.maps, bytes)?.read(|bytes| scene.maps_from(bytes))
    }

    /// Submits what there is and waits for the voxels of the first `count` slots.
    pub(crate) fn download_drafts(
        &self,
        scene: &Scene,
        commands: &mut wgpu::CommandEncoder,
        count: u32,
    ) -> Result<BTreeMap<ChunkPos, Draft>, GpuError> {
        let slots = &scene.places.slots[..count as usize];
        self.flush(commands, scene.current(), u64::from(count) * CHUNK_BYTES)?.read(|bytes| {
            let one = |(slot, pos): (usize, &ChunkPos)| {
                let mut draft = Draft::new(*pos);
                read_draft(&mut draft, bytes, slot);
                (*pos, draft)
            };
            slots.iter().enumerate().map(one).collect()
        })
    }

    fn flush(
        &self,
        commands: &mut wgpu::CommandEncoder,
        from: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<Readback, GpuError> {
        let so_far = std::mem::replace(commands, self.commands());
        Readback::submit(&self.device, &self.pool, so_far, from, bytes)
    }
}
