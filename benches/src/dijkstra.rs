//! dijkstra3d and dijkstra3d-rs, the peers in fields of costs.

use crate::python::Python;
use crate::rounds::Run;
use std::path::Path;
use std::time::Duration;

/// As they stand in the table.
pub const CPP: &str = "dijkstra3d";
/// The other one, in Rust.
pub const RUST: &str = "dijkstra3d-rs";

/// A running peer.
pub struct Dijkstra(Python);

/// What tells fields apart: how many voxels are reached below a cost of a million, and the sum of what they say.
pub type Sum = (u64, u64);

impl Dijkstra {
    /// Starts one of the two; fails if there is none.
    pub fn start(package: &'static str) -> Self {
        Self(Python::start("distance.py", &[package]))
    }

    /// Its version.
    pub fn version(&self) -> String {
        self.0.version()
    }

    /// Works out the field over a file of `edge`³ costs, one byte each, x fastest, then z, from a source `[x, y, z]`.
    pub fn field(&mut self, file: &Path, edge: usize, [x, y, z]: [usize; 3]) -> (Run, Sum) {
        let answer = self.0.order(&format!("{edge} {y} {z} {x} {}", file.display()));
        let [took, count, sum] = answer[..] else { panic!("{answer:?} is not a time, a count and a sum") };
        (Run { took: Duration::from_nanos(took), count: edge.pow(3), disk_bytes: 0 }, (count, sum))
    }
}
