//! One file a verb.

pub mod backup;
pub mod check;
pub mod devices;
pub mod digest;
pub mod edit;
pub mod export;
pub mod generate;
pub mod import;
pub mod info;
pub mod map;
pub mod new;
pub mod pack;
pub mod path;
pub mod restore;
pub mod restore_backup;
pub mod serve;
pub mod simulate;
pub mod undo;
