//! `terrane restore-backup`.

use super::backup::open;
use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::stages;
use crate::worlds;
use clap::Args;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use terrane_store::OsDir;
use terrane_store::backup::{BackupError, BackupFile, restore};
use terrane_store::door::Dir;

/// Make a world of a backup, with the digest of its tick
///
/// Everything is checked before anything is written, and nothing is ever overwritten: the folder must be empty, or not exist.
#[derive(Args)]
pub struct RestoreBackup {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The earlier backups that it was taken since, all of them, in any order
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,
    /// The new world's folder
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

impl RestoreBackup {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let backup = open(&self.from)?;
        let bases = self.base.iter().map(|path| open(path)).collect::<Result<Vec<BackupFile>, _>>()?;
        // Before anything is made in it.
        if self.to.exists() {
            let first = fs::read_dir(&self.to).about(&self.to)?.next().transpose().about(&self.to)?;
            if let Some(found) = first {
                let found = found.file_name().to_string_lossy().into_owned();
                return Err(Failure::new(format!("{}: {}", self.to.display(), BackupError::NotEmpty { found })));
            }
        }
        let dir = OsDir::new(&self.to);
        dir.make_folders().about(&self.to)?;
        if backup.plugins().next().is_some() {
            fs::create_dir(self.to.join("plugins")).about(&self.to)?;
        }
        let dir: Arc<dyn Dir> = Arc::new(dir);
        let progress = bar(0, "restoring", "chunks, checked and written");
        let made = restore(&backup, &bases, &dir, &stages::source(), &worlds::content_identity, &|done, total| {
            progress.set_length(total as u64);
            progress.set_position(done as u64);
        });
        progress.finish_and_clear();
        let made = made.about(&self.to)?;
        if json {
            let facts = json!({
                "tick": made.tick, "running_digest": format!("{:016x}", made.digest), "digest": made.content,
                "chunks": made.chunks,
            });
            say!("{facts}");
            return Ok(ExitCode::SUCCESS);
        }
        say!("{}: {} chunks, as of tick {}", self.to.display(), made.chunks, made.tick);
        say!("{}", made.content);
        Ok(ExitCode::SUCCESS)
    }
}
