//! The world on disk: region files, journal, checkpoint, recovery.
//!
//! Maps are read-only; a changed chunk lives on the heap until a checkpoint has written it to a fresh slot and
//! switched the region's directory. docs/format.md draws every file byte by byte. The outside is two narrow
//! traits, [`door::Dir`] and [`door::File`]; [`double`] has versions of them that crash and fail.
//!
//! `unsafe` code stands in three files: mapping files (`door.rs`, `os.rs`), and the handler for what a truncated map raises
//! (`sigbus.rs`).

pub mod backup;
pub mod check;
mod cold;
mod decoded;
pub mod door;
pub mod double;
pub mod error;
pub mod history;
pub mod journal;
pub mod mark;
mod notes;
pub mod os;
pub mod packed;
pub mod reader;
pub mod region;
mod replay;
pub mod settings;
mod sigbus;
pub mod slot;
pub mod store;
pub mod stored;
pub mod undo;
mod view;

pub use check::{Problem, Repair, Report, check, check_with};
pub use cold::Packing;
pub use error::StoreError;
pub use history::{History, Moment};
pub use os::OsDir;
pub use reader::Reader;
pub use settings::Settings;
pub use store::{Access, Load, Shape, Store};
pub use stored::Sizes;
pub use terrane_world::generate::GeneratorSetting;

/// The version of every file in a world directory; a program refuses others.
pub const FORMAT_VERSION: u32 = 1;
