//! cc3d, the peer in labelling, in a Python of its own: it is told what to label and says how long that took.

use crate::files;
use crate::rounds::Run;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// As it stands in the table.
pub const NAME: &str = "cc3d";

/// A running Python.
pub struct Cc3d {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    version: String,
}

/// The Python with cc3d: `TERRANE_PYTHON`, or the one that `scripts/setup.sh bench` makes.
fn interpreter() -> PathBuf {
    let own = || files::workspace().join("target/python/bin/python");
    std::env::var_os("TERRANE_PYTHON").map_or_else(own, PathBuf::from)
}

impl Default for Cc3d {
    fn default() -> Self {
        Self::start()
    }
}

impl Cc3d {
    /// Starts it; fails if there is none.
    pub fn start() -> Self {
        let python = interpreter();
        let script = files::workspace().join("benches/peers/label.py");
        let mut command = Command::new(&python);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; scripts/setup.sh bench makes it, or TERRANE_PYTHON names another", python.display())
        });
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut peer = Self { child, orders, answers, version: String::new() };
        peer.version = peer.answer();
        peer
    }

    /// Its version.
    pub fn version(&self) -> String {
        self.version.clone()
    }

    /// Labels a file of `[x, y, z]` voxels, one byte each, x fastest, then z; gives the run and how many components there are.
    pub fn label(&mut self, file: &Path, [x, y, z]: [usize; 3]) -> (Run, u32) {
        let orders = self.orders.as_mut().expect("it takes orders until it is dropped");
        writeln!(orders, "{y} {z} {x} {}", file.display()).expect("it listens");
        let answer = self.answer();
        let parsed = answer.split_once(' ').and_then(|(took, count)| Some((took.parse().ok()?, count.parse().ok()?)));
        let (took, count) = parsed.unwrap_or_else(|| panic!("{answer:?} is not a time and a count"));
        (Run { took: Duration::from_nanos(took), count: x * y * z, disk_bytes: 0 }, count)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("it writes text");
        assert!(read > 0, "{} has ended: it must have the packages of setup.sh bench", interpreter().display());
        line.trim_end().to_owned()
    }
}

impl Drop for Cc3d {
    fn drop(&mut self) {
        // Without more orders it ends.
        self.orders = None;
        let _ = self.child.wait();
    }
}
