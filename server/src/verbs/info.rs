//! `terrane info`.

use crate::failure::{About, Failure};
use crate::undoing::when::told;
use crate::worlds;
use clap::Args;
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use terrane_store::{Access, Store, StoreError};
use terrane_world::block::BlockId;
use terrane_world::chunk::new_blocks;
use terrane_world::space::{ChunkPos, VoxelBox};

/// Say what a world is and holds
#[derive(Args)]
pub struct Info {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Also count the voxels of every block in the stored chunks
    #[arg(long)]
    blocks: bool,
    /// Only this box, X0,Y0,Z0:X1,Y1,Z1, the end not included
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: Option<VoxelBox>,
}

impl Info {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let store = worlds::open(&self.world, Access::Read)?;
        let chunks = worlds::stored(&store, self.within).about(&self.world)?;
        let counts =
            if self.blocks { count(&store, &chunks, self.within).about(&self.world)? } else { BTreeMap::new() };
        let settings = store.settings();
        let sizes = store.sizes().about(&self.world)?;
        let id: String = settings.id.iter().map(|byte| format!("{byte:02x}")).collect();
        let bounds = bounds(&chunks);
        let generator = &settings.generator;
        let pipeline = store.generator().pipeline();
        let stages: Vec<&str> = pipeline.iter().flat_map(|p| p.stages()).map(|stage| stage.name()).collect();
        let history = store.history().about(&self.world)?;
        let begins = history.begins();
        let unfinished: Vec<u64> = store.unfinished_undos().iter().map(|request| request.id).collect();
        if json {
            let since = begins.map(|begins| json!({ "tick": begins.tick, "time": told(begins.time_ms) }));
            let history = json!({ "whole": history.is_whole(), "known_from": history.known_from(), "since": since, "bytes": history.bytes(), "segments": history.segment_count() });
            let facts = json!({
                "history": history, "unfinished_undos": unfinished,
                "id": id, "seed": settings.seed, "generator": generator.name, "version": generator.version,
                "stages": stages, "plugins": generator.plugins,
                "chunks": chunks.len(), "bounds": bounds.map(|b| b.to_string()), "registry": store.registry().len(),
                "regions": sizes.regions, "region_bytes": sizes.region_bytes,
                "packed_regions": sizes.packed, "packed_bytes": sizes.packed_bytes,
                "epoch": store.standing().epoch, "tick": store.standing().tick,
                "blocks": self.blocks.then_some(&counts),
            });
            say!("{facts}");
            return Ok(ExitCode::SUCCESS);
        }
        say!("world      {id}\ngenerator  {} {}, seed {}", generator.name, generator.version, settings.seed);
        if !stages.is_empty() {
            say!("stages     {}", stages.join(", "));
        }
        generator.plugins.iter().for_each(|(name, sha256)| say!("plug-in    {name}, SHA-256 {sha256}"));
        say!("chunks     {} stored{}", chunks.len(), bounds.map_or(String::new(), |b| format!(", within {b}")));
        say!(
            "regions    {} in {} bytes, {} packed in {} bytes",
            sizes.regions,
            sizes.region_bytes,
            sizes.packed,
            sizes.packed_bytes
        );
        say!(
            "registry   {} blocks\ntick       {}, epoch {}",
            store.registry().len(),
            store.standing().tick,
            store.standing().epoch
        );
        let since = begins
            .map_or("nothing yet".to_owned(), |begins| format!("since tick {}, {}", begins.tick, told(begins.time_ms)));
        let is_cut = if history.is_whole() { "" } else { "; what was before is not known" };
        say!("history    {since}, {:.1} MiB{is_cut}", history.bytes() as f64 / f64::from(1 << 20));
        unfinished
            .iter()
            .for_each(|undo| say!("undo       {undo} was cut off: `terrane undo --finish` or `--take-back`"));
        let mut by_count: Vec<_> = counts.into_iter().collect();
        by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        by_count.iter().for_each(|(name, count)| say!("{count:>12}  {name}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// The smallest box of whole chunks around all of them.
pub fn bounds(chunks: &[ChunkPos]) -> Option<VoxelBox> {
    let first = chunks.first()?.voxel_box();
    let (mut min, mut max) = (first.min(), first.max());
    for chunk in chunks {
        let b = chunk.voxel_box();
        for axis in 0..3 {
            min[axis] = min[axis].min(b.min()[axis]);
            max[axis] = max[axis].max(b.max()[axis]);
        }
    }
    VoxelBox::new(min, max).ok()
}

fn count(store: &Store, chunks: &[ChunkPos], within: Option<VoxelBox>) -> Result<BTreeMap<String, u64>, StoreError> {
    let registry = store.registry();
    let add = |mut sums: Vec<u64>, pos: &ChunkPos| -> Result<Vec<u64>, StoreError> {
        let held = store.chunk(*pos)?.expect("it is listed as stored");
        let mut blocks = new_blocks();
        held.chunk.copy_to(&mut blocks);
        let inside = within.map_or(Some(pos.voxel_box()), |b| b.intersection(pos.voxel_box()));
        let Some(inside) = inside else { return Ok(sums) };
        let origin = pos.origin().to_array();
        let range =
            |axis: usize| (inside.min()[axis] - origin[axis]) as usize..(inside.max()[axis] - origin[axis]) as usize;
        for y in range(1) {
            for z in range(2) {
                for block in &blocks[y * 1024 + z * 32..][range(0)] {
                    sums[usize::from(block.0)] += 1;
                }
            }
        }
        Ok(sums)
    };
    let join = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        Ok(a)
    };
    let zero = || vec![0u64; registry.len()];
    let sums = chunks.par_iter().try_fold(zero, add).try_reduce(zero, join)?;
    let named = sums.into_iter().enumerate().filter(|(_, count)| *count > 0);
    Ok(named.map(|(id, count)| (registry.name(BlockId(id as u16)).unwrap_or("?").to_owned(), count)).collect())
}
