//! Paths: what it costs to get from each voxel to the nearest of some goals, and which way to go.
//!
//! A [`Mode`](mode::Mode) says what a body is and can do. [`Navigation`](navigation::Navigation) keeps, for one mode, what each
//! chunk's voxels cost to enter and which moves are legal. On that stand a [`FlowField`](field::FlowField), the relaxation of
//! all voxels of a box towards their goals, and a [`Searcher`](search::Searcher), which finds one way between two voxels;
//! [`reachable`](reach::reachable) only says whether there is one.
//!
//! A step costs what the voxel it leads into costs.

pub mod coarse;
pub mod field;
pub mod flow;
pub mod mode;
pub mod navigation;
pub mod patches;
pub mod reach;
pub mod search;
pub mod smooth;
pub mod ways;

use crate::limits::{HORIZONTAL_BOUND, VERTICAL_BOUND};
use crate::space::{VoxelBox, VoxelPos};

/// The box of the world that holds two voxels and everything that is up to `around` voxels away from the box of both.
pub fn box_around(from: VoxelPos, to: VoxelPos, around: u32) -> VoxelBox {
    let (from, to) = (from.to_array(), to.to_array());
    let bound = [HORIZONTAL_BOUND, VERTICAL_BOUND, HORIZONTAL_BOUND];
    let least = |n: usize| from[n].min(to[n]).saturating_sub_unsigned(around).max(-bound[n]);
    let end = |n: usize| (from[n].max(to[n]) + 1).saturating_add_unsigned(around).min(bound[n]);
    VoxelBox::new(std::array::from_fn(least), std::array::from_fn(end)).expect("it holds both voxels")
}

/// Why a question about paths can't be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The world has no such mode.
    #[error("{name:?} is no movement mode of this world: there are {known}")]
    UnknownMode {
        /// The name given.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A mode has more costs than classes can tell apart.
    #[error(
        "mode {mode} has {found} different costs, and {} is the most: give some blocks of this world the same cost",
        ways::COSTS_MAX
    )]
    Costs {
        /// The mode.
        mode: String,
        /// How many it has.
        found: usize,
    },
    /// No goal was given.
    #[error("a field needs at least one goal")]
    NoGoal,
    /// An end of the path lies where the mode can't be.
    #[error("{at} is no place for mode {mode}: {reason}")]
    Blocked {
        /// Where.
        at: VoxelPos,
        /// The mode.
        mode: String,
        /// What is there.
        reason: String,
    },
    /// A goal, or where a way begins, lies outside the box that was asked for.
    #[error("{at} is outside the box {within}")]
    OutsideBox {
        /// Where.
        at: VoxelPos,
        /// The box.
        within: String,
    },
    /// The box is too large for one field.
    #[error("the box touches {chunks} chunks, and one field has {most} at most: ask for a smaller one")]
    TooLarge {
        /// Chunks touched.
        chunks: u64,
        /// The most.
        most: u64,
    },
    /// A chunk can't be read.
    #[error("chunk {at} can't be read: {reason}")]
    Unreadable {
        /// Which.
        at: crate::space::ChunkPos,
        /// Why.
        reason: String,
    },
}
