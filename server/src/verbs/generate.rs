//! `terrane generate`.

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::worlds::{self, DEFAULT_GENERATOR};
use clap::Args;
use rayon::prelude::*;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use terrane_store::Load;
use terrane_world::chunk::Chunk;
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{ChunkPos, RegionPos, VoxelBox, VoxelPos};

/// Chunks generated before they are written together: eight regions' worth.
const BATCH_CHUNKS: usize = 1024;

/// Generate and store every chunk of a box; makes the world if there is none
#[derive(Args)]
pub struct Generate {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The box, X0,Y0,Z0:X1,Y1,Z1, the end not included
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: VoxelBox,
    /// The seed of a new world (default 0); an existing world keeps its own
    #[arg(long)]
    seed: Option<u64>,
}

impl Generate {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        if let Some(seed) = self.seed.filter(|_| worlds::exists(&self.world)) {
            worlds::check_seed(&self.world, seed)?;
        }
        let store = worlds::open_or_create(&self.world, self.seed.unwrap_or(0), DEFAULT_GENERATOR)?;
        let settings = store.settings();
        if settings.generator.name == "void" {
            let path = self.world.display();
            return Err(Failure::new(format!(
                "{path} has the generator `void` (it was imported): there is nothing to generate in it"
            )));
        }
        let total = self.within.chunk_count();
        let progress = bar(total, "generating", "chunks");
        progress.tick();
        let (mut stored, mut positions) = (0, by_region(self.within).peekable());
        while positions.peek().is_some() {
            let batch: Vec<ChunkPos> = positions.by_ref().take(BATCH_CHUNKS).collect();
            let make = |pos: ChunkPos| -> Option<Result<(ChunkPos, Chunk), Failure>> {
                let missing = !store.has_chunk(pos).unwrap_or(false);
                progress.inc(1);
                missing.then(|| store.generator().chunk(pos).map(|chunk| (pos, chunk)).about(&self.world))
            };
            let chunks = batch.into_par_iter().filter_map(make).collect::<Result<_, _>>()?;
            stored += store.load(chunks, Load::KeepExisting, worlds::now_ms()).about(&self.world)?;
        }
        progress.finish_and_clear();
        worlds::close(store, &self.world)?;
        if json {
            say!("{}", json!({ "chunks": total, "stored": stored, "already_there": total - stored as u64 }));
        } else {
            say!("{stored} chunks stored, {} were there already", total - stored as u64);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The chunks of the box, region by region, so that a batch fills whole files. None is made before it is asked for: a
/// box may have more chunks than fit in memory.
fn by_region(within: VoxelBox) -> impl Iterator<Item = ChunkPos> {
    regions(within).flat_map(move |region| {
        let (first, last) = (region.chunk(0).voxel_box(), region.chunk(REGION_CHUNKS - 1).voxel_box());
        let whole = VoxelBox::new(first.min(), last.max()).expect("a region lies inside the world");
        within.intersection(whole).into_iter().flat_map(VoxelBox::chunks)
    })
}

/// The regions that the box touches, in ascending order.
fn regions(within: VoxelBox) -> impl Iterator<Item = RegionPos> {
    let region = |voxel: [i32; 3]| VoxelPos::try_from(voxel).expect("a box lies inside the world").chunk().region();
    let (first, last) = (region(within.min()), region(within.max().map(|end| end - 1)));
    (first.y()..=last.y()).flat_map(move |y| {
        (first.z()..=last.z()).flat_map(move |z| {
            (first.x()..=last.x()).map(move |x| RegionPos::new(x, y, z).expect("between two regions of the world"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrane_world::limits::{HORIZONTAL_BOUND, VERTICAL_BOUND};

    #[test]
    fn chunks_come_region_by_region_and_each_once() {
        let within = VoxelBox::new([-200, -300, -5], [300, 40, 140]).unwrap();
        let mut expected: Vec<ChunkPos> = within.chunks().collect();
        expected.sort_by_key(|pos| (pos.region(), *pos));
        assert_eq!(by_region(within).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_largest_box_of_all_begins_at_once() {
        let (h, v) = (HORIZONTAL_BOUND, VERTICAL_BOUND);
        let within = VoxelBox::new([-h, -v, -h], [h, v, h]).unwrap();
        let first: Vec<ChunkPos> = by_region(within).take(BATCH_CHUNKS).collect();
        assert_eq!(first[0], VoxelPos::try_from(within.min()).unwrap().chunk());
        assert_eq!(first.len(), BATCH_CHUNKS);
    }
}
