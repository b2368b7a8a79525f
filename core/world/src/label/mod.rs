//! Connected components: which voxels hang together through faces (6-connectivity), and what no longer hangs on anything.
//!
//! [`volume`] labels a dense array, [`components`] keeps the components of a world of chunks up to date while it is edited,
//! [`clusters`] groups a sparse set of voxels, [`outwards`] tells the components of a box in a world without end. All of
//! them are made of [`runs`], and their results depend on the voxels alone: not on threads, not on vector instructions, not
//! on the order of edits.

pub mod bits;
pub mod clusters;
pub mod components;
pub mod outwards;
pub mod pieces;
pub mod runs;
pub mod volume;

pub use bits::Bits;
pub use clusters::{Cluster, clusters};
pub use components::Components;
pub use volume::{label_volume, label_volume_with};
