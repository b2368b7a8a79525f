//! cc3d, the peer in labelling.

use crate::python::Python;
use crate::rounds::Run;
use std::path::Path;
use std::time::Duration;

/// As it stands in the table.
pub const NAME: &str = "cc3d";

/// A running cc3d.
pub struct Cc3d(Python);

impl Default for Cc3d {
    fn default() -> Self {
        Self::start()
    }
}

impl Cc3d {
    /// Starts it; fails if there is none.
    pub fn start() -> Self {
        Self(Python::start("label.py", &[]))
    }

    /// Its version.
    pub fn version(&self) -> String {
        self.0.version()
    }

    /// Labels a file of `[x, y, z]` voxels, one byte each, x fastest, then z; gives the run and how many components there are.
    pub fn label(&mut self, file: &Path, [x, y, z]: [usize; 3]) -> (Run, u32) {
        let answer = self.0.order(&format!("{y} {z} {x} {}", file.display()));
        let [took, count] = answer[..] else { panic!("{answer:?} is not a time and a count") };
        (Run { took: Duration::from_nanos(took), count: x * y * z, disk_bytes: 0 }, count as u32)
    }
}
