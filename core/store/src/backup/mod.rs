//! Backups of a world that may be served meanwhile, consistent at one tick.
//!
//! `take.rs` copies chunks as it finds them and then reads in the journal what came meanwhile, up to a frame that is known to be
//! durable; `file.rs` is the file; `restore.rs` makes a world of it. A backup takes no lock and writes nothing into the world's
//! folder. docs/format.md has the bytes, docs/decisions/0024-backup.md the reasons.

mod file;
mod restore;
mod take;

pub use file::BackupFile;
pub use restore::{Restored, restore};
pub use take::{Hooks, Taken, take};

use crate::error::StoreError;
use terrane_world::space::ChunkPos;

/// Why a backup can't be taken, read or restored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    /// There is a file of this name.
    #[error("{file} exists already: give another name, backups are never overwritten")]
    Exists {
        /// The file.
        file: String,
    },
    /// It is no backup, or not whole any more.
    #[error(
        "{file} is damaged at byte {offset}: {what}. Take it from another copy, or from another backup; nothing was written"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// It was made by another version.
    #[error("{file} has format version {found}, this program reads {supported}: use a program of that version")]
    Version {
        /// The file.
        file: String,
        /// The version in it.
        found: u32,
        /// The version this program knows.
        supported: u32,
    },
    /// An earlier backup is of another world.
    #[error("{file} is a backup of another world: give one of this world, or take a whole one")]
    OtherWorld {
        /// The file.
        file: String,
    },
    /// A file of the chain is missing.
    #[error(
        "{file} was taken since a backup with the checksum {checksum:016x}, which was not given: add it with --base"
    )]
    MissingBase {
        /// The file that needs it.
        file: String,
        /// The checksum at the end of the file that is needed.
        checksum: u64,
    },
    /// The world changed faster than it could be read.
    #[error(
        "the backup was begun {attempts} times and the world's journal or loads were faster each time: try again when less is loaded"
    )]
    FellBehind {
        /// How often.
        attempts: usize,
    },
    /// The folder to restore to holds something.
    #[error(
        "the folder to restore to is not empty (it holds {found}): give another one, nothing is ever overwritten; what a restore that was cut off has left may be removed"
    )]
    NotEmpty {
        /// What is there.
        found: String,
    },
    /// A chunk of it is not what its index says.
    #[error("{file}: chunk {pos} is not what the backup's index says: {what}. Nothing was written")]
    Chunk {
        /// The file.
        file: String,
        /// The chunk.
        pos: ChunkPos,
        /// What does not fit.
        what: String,
    },
    /// The world, old or new.
    #[error(transparent)]
    Store(#[from] StoreError),
}
