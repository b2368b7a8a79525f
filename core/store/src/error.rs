//! What can go wrong on disk: each error says which file, at which byte, and what to do.

use std::io;
use terrane_world::block::{RegistryError, RulesError};
use terrane_world::generate::{GenerateError, GeneratorError};
use terrane_world::space::ChunkPos;

/// An operation of the store that could not be done. Nothing that was acknowledged is lost by any of them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The directory is not a world.
    #[error(
        "{folder} is not a world: it has no {missing}. Give the folder of a world, or make one with `terrane generate` or `terrane import`"
    )]
    NotAWorld {
        /// The folder.
        folder: String,
        /// The file that is missing.
        missing: &'static str,
    },
    /// A new world was to be made where one is.
    #[error("{folder} already holds a world")]
    WorldExists {
        /// The folder.
        folder: String,
    },
    /// Another process writes this world.
    #[error("{folder} is being written by another process: stop that one first; what only reads can go on beside it")]
    Locked {
        /// The folder.
        folder: String,
    },
    /// The disk is full.
    #[error(
        "the disk is full: writing {file} at byte {offset} failed. Nothing acknowledged is lost; free some space and start again"
    )]
    DiskFull {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
    },
    /// Writing is not allowed.
    #[error("{file} can't be written: {reason}. Check the folder's owner and mode, or open the world read-only")]
    ReadOnly {
        /// The file.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// Another failure of the system.
    #[error("{action} {file} at byte {offset} failed: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What the system said.
        reason: String,
    },
    /// A file of another version.
    #[error("{file} has format version {found}, this program reads {supported}: use a program of that version")]
    Version {
        /// The file.
        file: String,
        /// The version in it.
        found: u32,
        /// The version this program knows.
        supported: u32,
    },
    /// Bytes are not what they must be.
    #[error(
        "{file} is damaged at byte {offset}: {what}. Nothing was changed; `terrane check --repair` says what can be restored, and from what"
    )]
    Corrupt {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// A file is shorter than its directory says, or was cut while it was mapped.
    #[error(
        "{file} is cut short: it ends before byte {offset}. Nothing was changed; `terrane check --repair` says what can be restored"
    )]
    Truncated {
        /// The file.
        file: String,
        /// The first byte that is missing.
        offset: u64,
    },
    /// An earlier fsync failed; what reached the disk is not known, so nothing more is written.
    #[error(
        "the store stopped writing because an fsync failed ({reason}). What was acknowledged is safe; check the disk, then start again"
    )]
    Poisoned {
        /// The failure.
        reason: String,
    },
    /// Something was to be written to a store opened for reading.
    #[error("this world is open read-only")]
    OpenedForReading,
    /// Loading would replace chunks that exist.
    #[error("{count} of the chunks exist already, the first at {first}: give --replace to replace them")]
    ChunksExist {
        /// One of them.
        first: ChunkPos,
        /// How many.
        count: usize,
    },
    /// world.toml holds something it can't.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The world's generator can't be had.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// A chunk that is not stored can't be generated.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The registry can't hold what is needed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl StoreError {
    pub(crate) fn corrupt(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, what: what.into() }
    }

    /// Turns a failure of the system into the error a person can act on.
    pub(crate) fn io(action: &'static str, file: &str, offset: u64, error: &io::Error) -> Self {
        let file = file.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { file, offset },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { file, reason: error.to_string() }
            }
            io::ErrorKind::UnexpectedEof => Self::Truncated { file, offset },
            _ => Self::Io { action, file, offset, reason: error.to_string() },
        }
    }
}

/// Adds what was tried, and where, to a failure of the system.
pub(crate) trait Context<T> {
    fn at(self, action: &'static str, file: &str, offset: u64) -> Result<T, StoreError>;
    /// For an fsync: after a failed one nobody knows what is on disk, so it is never tried again.
    fn synced(self, file: &str) -> Result<T, StoreError>;
}

impl<T> Context<T> for io::Result<T> {
    fn at(self, action: &'static str, file: &str, offset: u64) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::io(action, file, offset, &error))
    }

    fn synced(self, file: &str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::Poisoned { reason: format!("syncing {file}: {error}") })
    }
}
