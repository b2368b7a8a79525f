//! `terrane import`.

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::worlds;
use clap::Args;
use rayon::prelude::*;
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use terrane_formats::volume::{Counts, ImportedChunk, ImportedFile, Problem};
use terrane_formats::{anvil, npy, vox};
use terrane_store::{Load, Shape, Store};
use terrane_world::block::BlockId;
use terrane_world::chunk::Chunk;
use terrane_world::space::{ChunkPos, VoxelPos};

/// Import Minecraft regions (1.13 to 1.21), MagicaVoxel .vox files or our own .npy exports
///
/// A folder stands for the files in it; the folder of a Minecraft world stands for its regions. A world that does
/// not exist yet is made, with the generator `void`. Where files of one command overlap, the later one wins. What can't be read is reported with its place and skipped, the
/// rest is imported, and the exit code is 1.
#[derive(Args)]
pub struct Import {
    /// r.X.Z.mca, FILE.vox, FILE.npy (with its FILE.json), or folders of them
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// Shift everything by this many voxels, X,Y,Z
    #[arg(long, value_name = "X,Y,Z", allow_hyphen_values = true)]
    at: Option<VoxelPos>,
    /// Replace chunks that exist; where a file says nothing, what was there stays
    #[arg(long)]
    replace: bool,
    /// Pack what is stored: small files, a little slower to read; what is changed is unpacked
    #[arg(long)]
    packed: bool,
}

/// What came of an import, over all files.
#[derive(Default)]
struct Summary {
    files: usize,
    chunks: usize,
    new_blocks: usize,
    counts: Counts,
    problems: Vec<(PathBuf, Problem)>,
    loaded: HashSet<ChunkPos>,
}

impl Import {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let files = expand(&self.files)?;
        let store = worlds::open_or_create(&self.world, 0, ("void", 1))?;
        let mut summary = Summary::default();
        for file in &files {
            match self.read(file) {
                Ok(imported) => self.load(&store, file, imported, &mut summary)?,
                // One file that is not what its name says must not keep the others out.
                Err(failure) => {
                    let problem = Problem { place: "the file".into(), message: failure.to_string() };
                    summary.problems.push((file.clone(), problem));
                }
            }
            summary.files += 1;
        }
        if self.packed {
            // What two files of this command share has been unpacked again.
            let regions: BTreeSet<_> = summary.loaded.iter().map(|pos| pos.region()).collect();
            regions.into_iter().try_for_each(|region| store.pack_region(region).map(drop)).about(&self.world)?;
        }
        worlds::close(store, &self.world)?;
        if json {
            print_json(&summary)
        } else {
            print_text(&summary, &self.world)
        }
        Ok(if summary.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn read(&self, file: &Path) -> Result<ImportedFile, Failure> {
        let shift = self.at.map_or([0; 3], VoxelPos::to_array);
        let bytes = fs::read(file).about(file)?;
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("vox") => vox::read(&bytes, shift).about(file),
            Some("npy") => {
                let side = file.with_extension("json");
                let side_bytes = fs::read(&side).map_err(|e| {
                    Failure::new(format!("{}: {e}; an array is imported with the .json of its export", side.display()))
                })?;
                let (name, side_name) = (file.display().to_string(), side.display().to_string());
                npy::read(
                    npy::Named { name: &name, bytes: &bytes },
                    npy::Named { name: &side_name, bytes: &side_bytes },
                    shift,
                )
                .map_err(|error| Failure::new(error.to_string()))
            }
            _ => {
                let region = anvil::Region::open(&bytes, anvil::RegionXZ::from_file_name(&name)).about(file)?;
                let external = |x: i64, z: i64| fs::read(file.with_file_name(format!("c.{x}.{z}.mcc")));
                let progress = bar(region.column_count() as u64, &name, "columns");
                let imported = region.decode(shift, &external, &|done| progress.inc(done as u64)).about(file);
                progress.finish_and_clear();
                imported
            }
        }
    }

    /// Puts one file's chunks into the world. Chunks that an earlier file of this command began are completed.
    fn load(
        &self,
        store: &Arc<Store>,
        file: &Path,
        imported: ImportedFile,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let existing =
            |chunk: &&ImportedChunk| !summary.loaded.contains(&chunk.pos) && store.has_chunk(chunk.pos).unwrap_or(true);
        if !self.replace {
            let there: Vec<ChunkPos> = imported.chunks.iter().filter(existing).map(|chunk| chunk.pos).collect();
            if let Some(first) = there.first() {
                let error = terrane_store::StoreError::ChunksExist { first: *first, count: there.len() };
                return Err(Failure::new(format!("{}: {error}", file.display())));
            }
        }
        let names: BTreeSet<String> = imported.names.iter().cloned().collect();
        let before = store.registry().len();
        let registry = store.register(&names).about(file)?;
        let ids: Vec<BlockId> = imported.names.iter().map(|name| registry.id(name).expect("just registered")).collect();
        let made: Result<Vec<(ChunkPos, Chunk)>, Failure> =
            imported.chunks.par_iter().map(|chunk| translate(store, chunk, &ids, file)).collect();
        let made = made?;
        summary.loaded.extend(made.iter().map(|(pos, _)| *pos));
        let shape = if self.packed { Shape::Packed } else { Shape::Slots };
        store.load_as(made, Load::Replace, shape, worlds::now_ms()).about(&self.world)?;
        summary.chunks = summary.loaded.len();
        summary.new_blocks += registry.len() - before;
        summary.counts.add(&imported.counts);
        summary.problems.extend(imported.problems.into_iter().map(|problem| (file.to_path_buf(), problem)));
        Ok(())
    }
}

fn translate(store: &Store, chunk: &ImportedChunk, ids: &[BlockId], file: &Path) -> Result<(ChunkPos, Chunk), Failure> {
    let base = store.chunk(chunk.pos).about(file)?;
    let made = chunk.onto(ids, base.as_ref().map(|held| &*held.chunk)).about(file)?;
    Ok((chunk.pos, made))
}

/// The files that the arguments stand for, each folder's in order of name.
fn expand(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in arguments {
        if !path.is_dir() {
            if !path.is_file() {
                let problem = match path.exists() {
                    true => "this is not a regular file",
                    false => "there is no such file or folder",
                };
                return Err(Failure::new(format!("{}: {problem}", path.display())));
            }
            files.push(path.clone());
            continue;
        }
        let regions = path.join("region");
        let folder = if regions.is_dir() { &regions } else { path };
        let entries = fs::read_dir(folder).about(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let wanted = |path: &PathBuf| matches!(path.extension().and_then(|e| e.to_str()), Some("mca" | "vox" | "npy"));
        let mut inside: Vec<PathBuf> = entries.filter(wanted).collect();
        if inside.is_empty() {
            return Err(Failure::new(format!("{}: the folder holds no .mca, .vox or .npy file", folder.display())));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn print_text(summary: &Summary, world: &Path) {
    for (file, problem) in &summary.problems {
        say!("{}: {}: {}", file.display(), problem.place, problem.message);
    }
    say!(
        "{}: {} files, {} chunks, {} blocks new to the world",
        world.display(),
        summary.files,
        summary.chunks,
        summary.new_blocks
    );
    for (what, count) in facts(&summary.counts) {
        if count > 0 {
            say!("  {count:>9}  {what}");
        }
    }
    for (status, count) in &summary.counts.statuses {
        say!("  {count:>9}  columns with status {status}");
    }
    if !summary.problems.is_empty() {
        say!("{} problems: what they name was skipped, the rest was imported", summary.problems.len());
    }
}

fn facts(counts: &Counts) -> [(&'static str, usize); 12] {
    [
        ("columns", counts.columns),
        ("columns without blocks", counts.columns_without_blocks),
        ("columns skipped", counts.columns_skipped),
        ("sections", counts.sections),
        ("models", counts.models),
        ("block entities, kept as sparse data", counts.block_entities),
        ("entities, not kept", counts.entities),
        ("columns with biomes, not kept", counts.columns_with_biomes),
        ("pending block and fluid updates, not kept", counts.pending_updates),
        ("structures, not kept", counts.structures),
        ("points of interest, not kept", counts.points_of_interest),
        ("generation statuses, not kept", counts.statuses.len()),
    ]
}

fn print_json(summary: &Summary) {
    let counts = &summary.counts;
    let problems: Vec<_> = (summary.problems.iter())
        .map(|(file, problem)| json!({ "file": file.display().to_string(), "place": problem.place, "message": problem.message }))
        .collect();
    let facts = json!({
        "files": summary.files, "chunks": summary.chunks, "new_blocks": summary.new_blocks, "columns": counts.columns,
        "columns_without_blocks": counts.columns_without_blocks, "columns_skipped": counts.columns_skipped,
        "sections": counts.sections, "models": counts.models, "block_entities": counts.block_entities,
        "not_kept": {
            "entities": counts.entities, "columns_with_biomes": counts.columns_with_biomes,
            "pending_updates": counts.pending_updates, "structures": counts.structures,
            "points_of_interest": counts.points_of_interest,
        },
        "statuses": counts.statuses, "problems": problems,
    });
    say!("{facts}");
}
