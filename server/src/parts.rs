//! Files that bear their name only when they are whole.

use std::fs;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// A file being written as NAME.part. Dropped before [`Part::finish`], it is removed: half a file helps nobody.
pub struct Part {
    path: PathBuf,
    /// `None` for a device or a pipe, which can't be renamed onto, and when nothing is left to remove.
    part: Option<PathBuf>,
}

impl Part {
    /// Makes the file, empty, in place of any part that was left behind.
    pub fn create(path: &Path) -> io::Result<(Self, BufWriter<fs::File>)> {
        // What a link points at is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_special = fs::metadata(&path).is_ok_and(|facts| !facts.is_file());
        let mut name = path.clone().into_os_string();
        name.push(".part");
        let part = (!is_special).then(|| PathBuf::from(name));
        let file = fs::File::create(part.as_ref().unwrap_or(&path)).map_err(|error| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
            folder.map_or(error, |folder| {
                io::Error::other(format!("there is no folder {}: make it first", folder.display()))
            })
        })?;
        Ok((Self { path, part }, BufWriter::new(file)))
    }

    /// Gives the file its name. Everything must have been flushed.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(part) = &self.part {
            fs::rename(part, &self.path)?;
            self.part = None;
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            let _ = fs::remove_file(part);
        }
    }
}
