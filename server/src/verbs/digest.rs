//! `terrane digest`.

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::worlds;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use terrane_store::Access;
use terrane_world::space::VoxelBox;

/// Hash the stored chunks of a world: block names and sparse data, whatever their ids and forms
///
/// The last line on stdout is the bare hash. Without --box it covers seed and generator too.
#[derive(Args)]
pub struct Digest {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Only this box, X0,Y0,Z0:X1,Y1,Z1, the end not included
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: Option<VoxelBox>,
}

impl Digest {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let store = worlds::open(&self.world, Access::Read)?;
        let total = worlds::stored(&store, self.within).about(&self.world)?.len() as u64;
        let progress = bar(total, "hashing", "chunks");
        let (digest, chunks) = worlds::digest(&store, self.within, &|| progress.inc(1)).about(&self.world)?;
        progress.finish_and_clear();
        let missing = self.within.map(|b| b.chunk_count() - chunks);
        if let Some(missing) = missing.filter(|missing| *missing > 0) {
            eprintln!("{missing} of the {} chunks of the box are not stored", missing + chunks);
        }
        if json {
            say!("{}", serde_json::json!({ "digest": digest, "chunks": chunks, "not_stored": missing }));
        } else {
            say!("{digest}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
