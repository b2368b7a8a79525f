//! What a world remembers of crowds: state, journaled and part of the digest like blocks.

use super::advance::{NO_EXIT, UNIT};
use crate::block::BlockId;
use crate::limits::{AGENTS_MAX, AGENTS_PER_VOXEL, CROWD_GOALS_MAX, CROWDS_MAX, FIELD_CHUNKS_MAX};
use crate::path::PathError;
use crate::space::{VoxelBox, VoxelPos};
use crate::step::ActorId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A name for a crowd that no other ever has: who asked for it, and the sequence of that input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CrowdId {
    /// Who asked.
    pub actor: ActorId,
    /// With which input.
    pub sequence: u64,
}

/// Where the agents of a new crowd begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Starts {
    /// One at each of these; a voxel may be named as often as it has room.
    Places(Vec<VoxelPos>),
    /// So many, spread evenly over the voxels of a box from which a goal can be reached.
    Within {
        /// The box.
        within: VoxelBox,
        /// How many.
        count: u32,
    },
}

/// Where a crowd goes and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// The name of its movement mode.
    pub mode: String,
    /// Each agent goes to one of these, whichever is nearest.
    pub goals: Vec<VoxelPos>,
    /// The box of its field: agents never leave it.
    pub within: VoxelBox,
    /// What an agent gathers in a tick for its next step, in 1/256 of a unit of cost.
    pub speed: u16,
}

/// Agents with the same errand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crowd {
    /// Where they go. The column of the first goal, in order of y, z, x, remembers the crowd.
    pub errand: Arc<Errand>,
    /// Voxels that changed since the field was last worked out, with what stood there then: while there are any, the field is
    /// *stale*. It is what the world's blocks with these put back give.
    pub pending: Arc<BTreeMap<VoxelPos, BlockId>>,
    /// Distances that earlier repairs changed beyond what a tick has for that.
    pub debt: u64,
}

/// One agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// Its number in its crowd.
    pub number: u32,
    /// Where it is.
    pub at: VoxelPos,
    /// What it has gathered for its next step, in 1/256 of a unit of cost.
    pub progress: u32,
    /// The exit it took last; [`NO_EXIT`] if none.
    pub exit: u8,
}

/// No step costs as much.
pub const PROGRESS_MAX: u32 = (1 << 27) - 1;
const _: () = assert!(255 * 2 * UNIT < PROGRESS_MAX && NO_EXIT == u8::MAX);

/// Why there can't be such a crowd.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrowdError {
    /// It has no field.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It has nobody in it, or they do not move.
    #[error("a crowd has at least one agent, and a speed of at least 1/256 of a unit of cost a tick")]
    Nobody,
    /// The world has too many agents.
    #[error("a world has {AGENTS_MAX} agents at most: {asked} more do not fit beside the {there} there are")]
    TooMany {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        there: usize,
    },
    /// The world has too many crowds.
    #[error("a world has {CROWDS_MAX} crowds at most")]
    TooManyCrowds,
    /// Too many goals.
    #[error("a crowd has {CROWD_GOALS_MAX} goals at most, not {0}")]
    TooManyGoals(usize),
    /// The fields of all crowds are too large together.
    #[error(
        "the fields of a world's crowds touch {FIELD_CHUNKS_MAX} chunks at most: {asked} more do not fit beside {there}"
    )]
    Fields {
        /// Chunks that the new one touches.
        asked: u64,
        /// Chunks that the others touch.
        there: u64,
    },
    /// There is not enough room for its agents.
    #[error("{asked} agents do not fit there: there is room for {room}, {AGENTS_PER_VOXEL} a voxel")]
    NoRoom {
        /// How many were asked for.
        asked: usize,
        /// For how many there is room.
        room: usize,
    },
    /// A digging body of more than one voxel.
    #[error("agents that dig take up one voxel, those of mode {0} more")]
    Body(String),
    /// The world is shared out.
    #[error("crowds need a world that has one owner")]
    Shared,
    /// The actor has no crowd.
    #[error("actor {0} has no crowd")]
    NoCrowd(u64),
}
