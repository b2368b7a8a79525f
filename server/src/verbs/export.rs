//! `terrane export`.

use crate::failure::{About, Failure};
use crate::parts::Part;
use crate::worlds;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use terrane_formats::{anvil, npy, vox};
use terrane_store::{Access, Store};
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, VoxelBox};

/// Chunks of a box that becomes one file: past this the file has 16 GiB, and no program opens it.
const FILE_CHUNKS_MAX: u64 = 262_144;

/// Write a box of a world as a numpy array, a MagicaVoxel file or Minecraft regions
///
/// FILE.npy gets a FILE.json beside it; FILE.vox holds at most 255 different blocks; anything else is a folder that
/// gets Minecraft 1.21 region files (r.X.Z.mca). Chunks that are not stored are written as the generator makes them;
/// in a `void` world they are air, and left out of region files. Files get their names when they are whole.
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
    /// Write into a folder that holds region files, over those with the same names
    #[arg(long)]
    replace: bool,
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
        let format = self.format.unwrap_or(by_name);
        if format != Format::Mca {
            self.check_size()?;
        }
        let facts = match format {
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

    fn check_size(&self) -> Result<(), Failure> {
        let count = self.within.chunk_count();
        if count <= FILE_CHUNKS_MAX {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the box {} has {count} chunks, and {FILE_CHUNKS_MAX} is the most for one file: give a smaller --box",
            self.within
        )))
    }

    /// Refuses a folder with region files in it: they may be somebody's world.
    fn check_folder(&self) -> Result<(), Failure> {
        if self.out.is_file() {
            return Err(Failure::new(format!("{} is a file: region files need a folder", self.out.display())));
        }
        if self.replace || !self.out.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(&self.out).about(&self.out)? {
            let path = entry.about(&self.out)?.path();
            if matches!(path.extension().and_then(|extension| extension.to_str()), Some("mca" | "mcc")) {
                return Err(Failure::new(format!(
                    "{} is there already: give --replace to write over region files, or another folder",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    fn npy(&self, store: &Store) -> Result<Value, Failure> {
        let (part, mut out) = Part::create(&self.out).about(&self.out)?;
        let sparse = npy::write_array(self.within, &chunks_of(store), &mut out).about(&self.out)?;
        out.flush().about(&self.out)?;
        let (digest, chunks) = worlds::digest(store, Some(self.within), &|| ()).about(&self.world)?;
        let settings = store.settings();
        let version = settings.generator.version.to_string();
        let about =
            npy::About { seed: settings.seed, generator: &settings.generator.name, version: &version, digest: &digest };
        let path = self.out.with_extension("json");
        let (side_part, mut side) = Part::create(&path).about(&path)?;
        npy::write_sidecar(self.within, &store.registry(), about, &sparse, &mut side).about(&path)?;
        side.flush().about(&path)?;
        part.finish().about(&self.out)?;
        side_part.finish().about(&path)?;
        let missing = self.within.chunk_count() - chunks;
        if missing > 0 {
            let instead = if settings.generator.name == "void" { "as air" } else { "as the generator makes them" };
            let total = missing + chunks;
            eprintln!("{missing} of the {total} chunks of the box are not stored: they are written {instead}");
        }
        let [x, y, z] = self.within.size();
        Ok(json!({ "voxels": x * y * z, "sparse": sparse.len(), "digest": digest, "not_stored": missing }))
    }

    fn vox(&self, store: &Store) -> Result<Value, Failure> {
        let (part, mut out) = Part::create(&self.out).about(&self.out)?;
        let written = vox::write(&store.registry(), self.within, &chunks_of(store), &mut out).about(&self.out)?;
        out.flush().about(&self.out)?;
        part.finish().about(&self.out)?;
        Ok(
            json!({ "voxels": written.voxels, "blocks": written.blocks, "models": written.models, "sparse_left_out": written.sparse_left_out }),
        )
    }

    fn mca(&self, store: &Store) -> Result<Value, Failure> {
        self.check_folder()?;
        fs::create_dir_all(&self.out).about(&self.out)?;
        let positions: Vec<ChunkPos> = match store.settings().generator.name.as_str() {
            "void" => worlds::stored(store, Some(self.within)).about(&self.world)?,
            _ => self.within.chunks().collect(),
        };
        let mut parts = Vec::new();
        let mut put = |name: &str, bytes: &[u8]| {
            let (part, mut file) = Part::create(&self.out.join(name))?;
            parts.push(part);
            file.write_all(bytes)?;
            file.flush()
        };
        let written = anvil::write_regions(&store.registry(), &positions, self.within, &chunks_of(store), &mut put)
            .about(&self.out)?;
        parts.into_iter().try_for_each(Part::finish).about(&self.out)?;
        Ok(
            json!({ "files": written.files, "columns": written.columns, "sections": written.sections, "block_entities": written.block_entities }),
        )
    }
}

fn chunks_of(
    store: &Store,
) -> impl Fn(ChunkPos) -> Result<Option<Arc<Chunk>>, Box<dyn std::error::Error + Send + Sync>> + Sync {
    |pos| Ok(Some(store.chunk_or_generated(pos)?.chunk))
}
