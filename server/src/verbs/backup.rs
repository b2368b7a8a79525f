//! `terrane backup`.

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::stages;
use crate::worlds;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use terrane_store::OsDir;
use terrane_store::backup::{BackupFile, Hooks, take};
use terrane_store::door::Dir;
use terrane_store::settings::{SETTINGS_FILE, read_settings};

/// How long a load is waited for before it is looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// Back up a world, also while it is served, as it stands at one tick
///
/// The backup is one file with a checksum over all of it. It takes no lock and nothing waits for it. With --since only chunks
/// that differ from an earlier backup are in it, and restoring needs that file too, and those before it. History is not in it: a
/// world that is restored knows what happens from then on.
#[derive(Args)]
pub struct Backup {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// An earlier backup of this world
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

impl Backup {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        if !worlds::exists(&self.world) {
            return Err(Failure::new(format!("{} is not a world: it has no world.toml", self.world.display())));
        }
        check_outside(&self.to, &self.world)?;
        let since = self.since.as_deref().map(open).transpose()?;
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(&self.world));
        let settings = read_settings(&*dir, SETTINGS_FILE).about(&self.world)?;
        let (out, name) = place(&self.to)?;
        let progress = bar(0, "backing up", "regions");
        let hooks = Hooks {
            identity: &worlds::content_identity(&settings),
            source: &stages::source(),
            progress: &|done, total| {
                progress.set_length(total as u64);
                progress.set_position(done as u64);
            },
            pause: &|| std::thread::sleep(PAUSE),
        };
        let taken = take(&dir, &out, &name, since.as_ref(), &hooks).about(&self.to)?;
        progress.finish_and_clear();
        if json {
            let facts = json!({
                "tick": taken.tick, "running_digest": format!("{:016x}", taken.digest), "digest": taken.content,
                "chunks": taken.chunks, "copied": taken.copied, "bytes": taken.bytes,
                "checksum": format!("{:016x}", taken.checksum),
            });
            say!("{facts}");
            return Ok(ExitCode::SUCCESS);
        }
        let to = self.to.display();
        say!("{to}: {} bytes, {} of {} chunks, as of tick {}", taken.bytes, taken.copied, taken.chunks, taken.tick);
        say!("{}", taken.content);
        Ok(ExitCode::SUCCESS)
    }
}

/// A backup does not lie in the world that it is of: whoever loses that would lose both.
fn check_outside(to: &Path, world: &Path) -> Result<(), Failure> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (folder, world) = (folder.canonicalize().about(folder)?, world.canonicalize().about(world)?);
    if folder.starts_with(world) {
        return Err(Failure::new(format!(
            "{}: that is in the world's own folder, give a place outside of it",
            to.display()
        )));
    }
    Ok(())
}

/// The folder of a file as a door, and the file's name in it.
pub fn place(path: &Path) -> Result<(OsDir, String), Failure> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::new(format!("{} is no name for a file", path.display())))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((OsDir::new(folder), name.to_owned()))
}

/// Opens a backup and checks all of it.
pub fn open(path: &Path) -> Result<BackupFile, Failure> {
    let (dir, name) = place(path)?;
    BackupFile::open(&dir, &name).about(path)
}
