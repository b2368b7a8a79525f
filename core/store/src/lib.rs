//! The world on disk: region files, journal, checkpoint, recovery.
//!
//! Maps are read-only; a changed chunk lives on the heap until a checkpoint has written it to a fresh slot and
//! switched the region's directory. docs/format.md draws every file byte by byte. The outside is two narrow
//! traits, [`door::Dir`] and [`door::File`]; [`double`] has versions of them that crash and fail.
//!
//! This is the only crate with `unsafe` code: mapping files, and the handler for what a truncated map raises.

pub mod check;
pub mod door;
pub mod double;
pub mod error;
pub mod journal;
pub mod mark;
pub mod os;
pub mod region;
pub mod settings;
mod sigbus;
mod slot;
pub mod store;

pub use check::{Problem, Repair, Report, check};
pub use error::StoreError;
pub use os::OsDir;
pub use settings::{GeneratorSetting, Settings};
pub use store::{Access, Load, Reader, Store};

/// The version of every file in a world directory; a program refuses others.
pub const FORMAT_VERSION: u32 = 1;
