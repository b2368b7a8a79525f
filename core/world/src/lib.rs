//! The world and its rules: pure and deterministic.
//!
//! Nothing in this crate touches a file, a socket, a clock or entropy; time and ticks come in as
//! arguments and every change leaves as a [`step::Deltas`] value. Other crates store it
//! (`terrane-store`), carry it (`terrane-protocol`) and run it (`terrane-roles`).

pub mod block;
pub mod chunk;
pub mod delta;
pub mod digest;
pub mod entity;
pub mod generate;
pub mod label;
pub mod light;
pub mod limits;
pub mod path;
pub mod physics;
pub mod relax;
pub mod resident;
pub mod space;
pub mod step;
pub mod undo;
