//! The doors on a real file system.

use crate::door::{Dir, File, Map, Open};
use std::any::Any;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folders of a world.
const FOLDERS: [&str; 2] = ["regions", "journal"];

/// A folder of the file system.
#[derive(Debug, Clone)]
pub struct OsDir {
    root: PathBuf,
}

impl OsDir {
    /// The folder at `root`, which need not exist for [`crate::Store::create`].
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes the folder and those inside it, durably.
    pub fn make_folders(&self) -> io::Result<()> {
        for folder in FOLDERS {
            fs::create_dir_all(self.root.join(folder))?;
        }
        fs::File::open(&self.root)?.sync_all()?;
        match self.root.canonicalize()?.parent() {
            // A parent that may not be opened for reading can't be synced; the world itself is whole.
            Some(parent) => fs::File::open(parent).map_or(Ok(()), |parent| parent.sync_all()),
            None => Ok(()),
        }
    }

    /// Where the folder is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Dir for OsDir {
    fn open(&self, path: &str, how: Open) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        match how {
            Open::Read => options.read(true),
            Open::Write => options.read(true).write(true),
            Open::Create => options.read(true).write(true).create(true).truncate(true),
        };
        Ok(Arc::new(OsFile(options.open(self.root.join(path))?)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        fs::read_dir(self.root.join(folder))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(path))
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        fs::File::open(self.root.join(folder))?.sync_all()
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(self.root.join(path))?;
        // The lock goes with the process, also by SIGKILL.
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

struct OsFile(fs::File);

impl File for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    #[allow(unsafe_code)]
    fn map(&self) -> io::Result<Map> {
        if self.len()? == 0 {
            return Ok(Map::copied(Vec::new()));
        }
        // SAFETY: the file may change or shrink under the map; `Map` hands out no references into it, reads by
        // copying or volatile loads, and watches for the signal that a cut raises.
        let mapping = unsafe { memmap2::MmapOptions::new().map(&self.0)? };
        Map::mapped(mapping)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
