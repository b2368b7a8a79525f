//! `terrane export`.

use super::new::Physics;
use crate::bars::bar;
use crate::compute::Wanted;
use crate::exporting::paths::Asked;
use crate::exporting::{Computing, What, Wish};
use crate::failure::{About, Failure};
use crate::parts::Part;
use crate::worlds;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use terrane_formats::{anvil, npy, vox};
use terrane_store::{Access, Store};
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, VoxelBox, VoxelPos};

/// Chunks of a box that becomes one file: past this the file has 16 GiB, and no program opens it.
const FILE_CHUNKS_MAX: u64 = 262_144;

/// Write a box of a world as a numpy array, a MagicaVoxel file or Minecraft regions
///
/// FILE.npy gets a FILE.json beside it; FILE.vox holds at most 255 different blocks; anything else is a folder that
/// gets Minecraft 1.21 region files (r.X.Z.mca). Chunks that are not stored are written as the generator makes them;
/// in a `void` world they are air, and left out of region files. Files get their names when they are whole.
///
/// With --what the array has something computed of each voxel instead: u8 for support and light, u32 for components. It
/// is computed on the world and not cut at the box: what bears on the box, lights it or joins its components from
/// outside counts. Costs of paths and moves are those of ways inside the box, u16, or u32 where a cost needs it. The bytes
/// are the same on every device.
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
    /// Instead of block ids, something computed; for FILE.npy only
    #[arg(long, value_enum)]
    what: Option<What>,
    /// The rules of support, if not those of the world; light and components depend on none
    #[arg(long, value_enum, requires = "what")]
    rules: Option<Physics>,
    /// Who goes, by name of the movement mode; for cost, enter and flow
    #[arg(long, value_name = "MODE", requires = "what")]
    mode: Option<String>,
    /// Where to, X,Y,Z; may be given more than once; for cost and flow
    #[arg(long, value_name = "X,Y,Z", requires = "mode", allow_hyphen_values = true)]
    goal: Vec<VoxelPos>,
    /// What computes it: a real graphics device if there is one, the CPU, or any device
    #[arg(long, value_enum, default_value = "auto", requires = "what")]
    compute: Wanted,
    /// A device by part of its name, as `terrane devices` lists them
    #[arg(long, value_name = "NAME", requires = "what")]
    device: Option<String>,
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
        if let Some(what) = self.what.filter(|_| format != Format::Npy) {
            let (out, what) = (self.out.display(), what.name());
            return Err(Failure::new(format!(
                "{out}: {what} can only be written as a numpy array: give --out FILE.npy, or --format npy"
            )));
        }
        if format != Format::Mca {
            self.check_size()?;
        }
        if format == Format::Npy && self.out.extension().is_some_and(|extension| extension == "json") {
            let out = self.out.display();
            return Err(Failure::new(format!("{out}: what the array holds is told in that file: give --out FILE.npy")));
        }
        let facts = match (format, self.what) {
            (Format::Npy, Some(what)) => self.computed(what, &store)?,
            _ => self.blocks(format, &store)?,
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

    fn blocks(&self, format: Format, store: &Store) -> Result<Value, Failure> {
        match format {
            Format::Npy => self.npy(store),
            Format::Vox => self.vox(store),
            Format::Mca => self.mca(store),
        }
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
        let (digest, missing) = self.sidecar(store, part, &sparse, None)?;
        let [x, y, z] = self.within.size();
        Ok(json!({ "voxels": x * y * z, "sparse": sparse.len(), "digest": digest, "not_stored": missing }))
    }

    fn computed(&self, what: What, store: &Arc<Store>) -> Result<Value, Failure> {
        let rules = self.rules.map(Into::into);
        let device = self.device.as_deref();
        if !what.is_about_paths() && self.mode.is_some() {
            let what = what.name();
            return Err(Failure::new(format!("{what} is the same for every mode: leave --mode and --goal out")));
        }
        let paths = self.mode.as_deref().map(|mode| Asked { mode, goals: &self.goal });
        let wish = Wish { world: &self.world, what, rules, paths, compute: self.compute, device };
        let mut computing = Computing::new(store, self.within, &wish)?;
        let element = computing.element();
        let (part, mut out) = Part::create(&self.out).about(&self.out)?;
        let progress = bar(self.within.chunk_count(), what.name(), "chunks");
        progress.tick();
        // Where layers are wide, a chunk is asked for more than once.
        let mut asked = HashSet::new();
        let mut values = |chunks: &[ChunkPos]| {
            let values = computing.values(chunks);
            asked.extend(chunks.iter().copied());
            progress.set_position(asked.len() as u64);
            values
        };
        let written = npy::write_values(self.within, element, &mut values, &mut out);
        progress.finish_and_clear();
        written.about(&self.out)?;
        out.flush().about(&self.out)?;
        let computed = computing.told();
        let (digest, missing) = self.sidecar(store, part, &[], Some(&computed))?;
        let [x, y, z] = self.within.size();
        let mut facts = json!({ "voxels": x * y * z, "digest": digest, "not_stored": missing });
        let told = serde_json::to_value(&computed).map_err(|error| Failure::new(error.to_string()))?;
        if let (Some(facts), Value::Object(told)) = (facts.as_object_mut(), told) {
            facts.extend(told);
        }
        Ok(facts)
    }

    /// Writes the `.json` beside an array, and gives both their names. Gives the digest of the box, and how many of its
    /// chunks are not stored.
    fn sidecar(
        &self,
        store: &Store,
        array: Part,
        sparse: &[npy::SparseEntry],
        computed: Option<&npy::Computed<'_>>,
    ) -> Result<(String, u64), Failure> {
        let progress = bar(self.within.chunk_count(), "hashing", "chunks");
        let hashed = worlds::digest(store, Some(self.within), &|| progress.inc(1));
        progress.finish_and_clear();
        let (digest, chunks) = hashed.about(&self.world)?;
        let settings = store.settings();
        let version = settings.generator.version.to_string();
        let about =
            npy::About { seed: settings.seed, generator: &settings.generator.name, version: &version, digest: &digest };
        let path = self.out.with_extension("json");
        let (part, mut side) = Part::create(&path).about(&path)?;
        npy::write_sidecar(self.within, &store.registry(), about, sparse, computed, &mut side).about(&path)?;
        side.flush().about(&path)?;
        array.finish().about(&self.out)?;
        part.finish().about(&path)?;
        let missing = self.within.chunk_count() - chunks;
        if missing > 0 {
            let instead = if settings.generator.name == "void" { "as air" } else { "as the generator makes them" };
            let total = missing + chunks;
            eprintln!("{missing} of the {total} chunks of the box are not stored: they are written {instead}");
        }
        Ok((digest, missing))
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
