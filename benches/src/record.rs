//! What was measured, as it goes from the benchmarks to the table: one JSON file for each benchmark.

use crate::files;
use serde::{Deserialize, Serialize};
use std::fs;

/// What a figure counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Unit {
    /// Things in a second: more is better.
    PerSecond(String),
    /// Milliseconds: less is better.
    Milliseconds,
    /// Megabytes, 10⁶ bytes: less is better.
    Megabytes,
}

impl Unit {
    /// As it stands in the table.
    pub fn name(&self) -> String {
        match self {
            Self::PerSecond(things) => format!("{things}/s"),
            Self::Milliseconds => "ms".into(),
            Self::Megabytes => "MB".into(),
        }
    }

    /// How many times better the first figure is.
    pub fn ratio(&self, ours: f64, peer: f64) -> f64 {
        match self {
            Self::PerSecond(_) => ours / peer,
            Self::Milliseconds | Self::Megabytes => peer / ours,
        }
    }
}

/// One competitor's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Which competitor.
    pub competitor: String,
    /// Its version.
    pub version: String,
    /// One figure for each run, in order of time.
    pub runs: Vec<f64>,
}

/// One benchmark's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The benchmark.
    pub name: String,
    /// What else is to be said of the input; goes into the row's name.
    pub note: String,
    /// What the figures count.
    pub unit: Unit,
    /// Each competitor's, taken in turns.
    pub figures: Vec<Figures>,
}

impl Measured {
    fn folder() -> std::path::PathBuf {
        files::target().join("bench-figures")
    }

    /// Writes it where the table's tool looks.
    pub fn write(&self) {
        let folder = Self::folder();
        let path = folder.join(format!("{}.json", self.name.replace('/', "-")));
        let text = serde_json::to_string_pretty(self).expect("plain data");
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, text + "\n"));
        written.unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
    }

    /// Everything that has been written.
    pub fn read_all() -> Result<Vec<Self>, String> {
        let folder = Self::folder();
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let text = fs::read_to_string(path).map_err(|error| error.to_string());
            text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
                .map_err(|error| format!("{}: {error}", path.display()))
        };
        paths.iter().map(read).collect()
    }
}

/// The version of one of our dependencies, as the lock file pins it.
pub fn locked_version(package: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let after = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).map(|(_, rest)| rest);
    after.and_then(|rest| rest.split('"').next()).unwrap_or("unknown")
}
