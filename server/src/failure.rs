//! What a verb says when it can't go on: one sentence with the file, the reason and the way out.

use std::fmt;
use std::path::Path;

/// A failure, ready to be printed behind "error: ".
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names what an error is about.
pub trait About<T> {
    fn about(self, path: &Path) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> About<T> for Result<T, E> {
    fn about(self, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("{}: {error}", path.display())))
    }
}
