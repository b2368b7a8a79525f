//! crackle, a codec for labelled volumes, a peer in packing chunks.

use crate::python::Python;
use crate::rounds::Run;
use std::path::Path;
use std::time::Duration;

/// As it stands in the table.
pub const NAME: &str = "crackle";

/// A running crackle that has a file of chunks.
pub struct Crackle {
    python: Python,
    count: usize,
    /// What all of them become.
    pub bytes: u64,
}

impl Crackle {
    /// Starts it on the file `chunks` of a folder, so many of 32³ 16-bit numbers; fails if there is none.
    pub fn start(folder: &Path, count: usize) -> Self {
        let file = folder.join("chunks");
        let mut python = Python::start("codec.py", &[&file.display().to_string()]);
        let answer = python.order("bytes");
        let [bytes] = answer[..] else { panic!("{answer:?} is not a number") };
        Self { python, count, bytes }
    }

    /// Its version.
    pub fn version(&self) -> String {
        self.python.version()
    }

    fn run(&mut self, order: &str) -> Run {
        let answer = self.python.order(order);
        let [took] = answer[..] else { panic!("{answer:?} is not a time") };
        Run { took: Duration::from_nanos(took), count: self.count * 65_536, disk_bytes: 0 }
    }

    /// Packs all chunks.
    pub fn pack(&mut self) -> Run {
        self.run("pack")
    }

    /// Unpacks all of them.
    pub fn unpack(&mut self) -> Run {
        self.run("unpack")
    }
}
