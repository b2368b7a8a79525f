//! `terrane export`.

use crate::failure::{About, Failure};
use crate::worlds;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use terrane_formats::{anvil, npy, vox};
use terrane_store::{Access, Store};
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, VoxelBox};

/// Write a box of a world as a numpy array, a MagicaVoxel file or Minecraft regions
///
/// FILE.npy gets a FILE.json beside it; FILE.vox holds at most 255 different blocks; anything else is a folder that
/// gets Minecraft 1.21 region files (r.X.Z.mca). Chunks that are not stored are written as the generator makes them;
/// in a `void` world they are air, and left out of region files.
#[derive(Args)]
pub struct Export {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The box, X0,Y0,Z0:X1,Y1,Z1, the end not included
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: VoxelBox,
    /// FILE.npy, FILE.vox, or a folder for region files
    #[arg(long)]
    out: PathBuf,
    /// The format, if the name doesn't tell
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Npy,
    Vox,
    Mca,
}

impl Export {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let store = worlds::open(&self.world, Access::Read)?;
        let by_name = match self.out.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Format::Npy,
            Some("vox") => Format::Vox,
            _ => Format::Mca,
        };
        let facts = match self.format.unwrap_or(by_name) {
            Format::Npy => self.npy(&store)?,
            Format::Vox => self.vox(&store)?,
            Format::Mca => self.mca(&store)?,
        };
        if json {
            say!("{facts}");
        } else {
            let parts: Vec<String> =
                facts.as_object().into_iter().flatten().map(|(key, value)| format!("{key} {value}")).collect();
            say!("{}: {}", self.out.display(), parts.join(", "));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn npy(&self, store: &Store) -> Result<Value, Failure> {
        let mut out = create(&self.out)?;
        let sparse = npy::write_array(self.within, &chunks_of(store), &mut out).about(&self.out)?;
        out.flush().about(&self.out)?;
        let (digest, _) = worlds::digest(store, Some(self.within), &|| ()).about(&self.world)?;
        let settings = store.settings();
        let version = settings.generator.version.to_string();
        let about =
            npy::About { seed: settings.seed, generator: &settings.generator.name, version: &version, digest: &digest };
        let path = self.out.with_extension("json");
        let mut side = create(&path)?;
        npy::write_sidecar(self.within, &store.registry(), about, &sparse, &mut side).about(&path)?;
        side.flush().about(&path)?;
        let [x, y, z] = self.within.size();
        Ok(json!({ "voxels": x * y * z, "sparse": sparse.len(), "digest": digest }))
    }

    fn vox(&self, store: &Store) -> Result<Value, Failure> {
        let mut out = create(&self.out)?;
        let written = vox::write(&store.registry(), self.within, &chunks_of(store), &mut out).about(&self.out);
        if written.is_err() {
            // Half a file helps nobody.
            let _ = fs::remove_file(&self.out);
        }
        let written = written?;
        out.flush().about(&self.out)?;
        Ok(
            json!({ "voxels": written.voxels, "blocks": written.blocks, "models": written.models, "sparse_left_out": written.sparse_left_out }),
        )
    }

    fn mca(&self, store: &Store) -> Result<Value, Failure> {
        if self.out.is_file() {
            return Err(Failure::new(format!("{} is a file: region files need a folder", self.out.display())));
        }
        fs::create_dir_all(&self.out).about(&self.out)?;
        let positions: Vec<ChunkPos> = match store.settings().generator.name.as_str() {
            "void" => worlds::stored(store, Some(self.within)).about(&self.world)?,
            _ => self.within.chunks().collect(),
        };
        let mut put = |name: &str, bytes: &[u8]| fs::write(self.out.join(name), bytes);
        let written = anvil::write_regions(&store.registry(), &positions, self.within, &chunks_of(store), &mut put)
            .about(&self.out)?;
        Ok(
            json!({ "files": written.files, "columns": written.columns, "sections": written.sections, "block_entities": written.block_entities }),
        )
    }
}

fn create(path: &Path) -> Result<BufWriter<fs::File>, Failure> {
    fs::File::create(path).map(BufWriter::new).about(path)
}

fn chunks_of(
    store: &Store,
) -> impl Fn(ChunkPos) -> Result<Option<Arc<Chunk>>, Box<dyn std::error::Error + Send + Sync>> + Sync {
    |pos| Ok(Some(store.chunk_or_generated(pos)?.chunk))
}
