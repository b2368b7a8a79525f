//! Whether there is a way at all: floods from both ends, a voxel in turn, until they meet or one of them is full.

use super::PathError;
use super::navigation::{Blocks, Navigation};
use super::search::{End, SEARCHED_MAX, check_ends, is_near};
use crate::block::Registry;
use crate::label::bits::Bits;
use crate::limits::CHUNK_EDGE;
use crate::physics::plan::beside;
use crate::relax::{EXITS, opposite};
use crate::space::{ChunkPos, PlaceMap, VoxelBox, VoxelPos};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// `Goal` if there is a way, `Border` if none is inside of what is loaded.
    pub end: End,
    /// Voxels that were looked at.
    pub searched: u64,
}

/// Tells whether a way leads from one voxel to another, and stops as soon as it knows. Chunks that `blocks` does not have, and
/// those that do not meet the box, if there is one, are a border, beyond which anything may be.
///
/// # Errors
/// One of the ends is no place for the mode.
pub fn reachable(
    navigation: &mut Navigation,
    blocks: &mut dyn Blocks,
    registry: &Registry,
    from: VoxelPos,
    to: VoxelPos,
    within: Option<VoxelBox>,
) -> Result<Reached, PathError> {
    let is_there = check_ends(navigation, blocks, registry, [from, to], within)?;
    if from == to {
        return Ok(Reached { end: End::Goal, searched: 0 });
    }
    let (mut ahead, mut back) = (Flood::new(from, to), Flood::new(to, from));
    // Of what lies around a goal that is not loaded nothing is known.
    back.touches_border = !is_there;
    let mut searched = 0;
    while searched < SEARCHED_MAX {
        if ahead.is_closed() || back.is_closed() {
            return Ok(Reached { end: End::Unreachable, searched });
        }
        if ahead.open.is_empty() || (is_there && back.open.is_empty()) {
            return Ok(Reached { end: End::Border, searched });
        }
        let mut job = Job { navigation: &mut *navigation, blocks: &mut *blocks, within };
        searched += 1;
        let mut met = ahead.grow(&mut job, &back, Leads::On);
        if is_there && !met {
            searched += 1;
            met = back.grow(&mut job, &ahead, Leads::Here);
        }
        if met {
            return Ok(Reached { end: End::Goal, searched });
        }
    }
    Ok(Reached { end: End::TooFar, searched })
}

/// Which moves a flood follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leads {
    /// Those that lead on from its voxels.
    On,
    /// Those that lead to them.
    Here,
}

struct Job<'a, 'b> {
    navigation: &'a mut Navigation,
    blocks: &'b mut dyn Blocks,
    within: Option<VoxelBox>,
}

/// What is reached from one end, those voxels first that are nearest to the other.
struct Flood {
    towards: VoxelPos,
    seen: PlaceMap<ChunkPos, Bits>,
    open: BinaryHeap<Reverse<(u64, VoxelPos)>>,
    touches_border: bool,
}

impl Flood {
    fn new(from: VoxelPos, towards: VoxelPos) -> Self {
        let mut flood = Self { towards, seen: PlaceMap::default(), open: BinaryHeap::new(), touches_border: false };
        flood.see(from);
        flood
    }

    /// Whether it has nowhere to go, inside of what is loaded and outside.
    fn is_closed(&self) -> bool {
        self.open.is_empty() && !self.touches_border
    }

    fn has(&self, pos: VoxelPos) -> bool {
        self.seen.get(&pos.chunk()).is_some_and(|seen| seen.get(pos.local()))
    }

    fn see(&mut self, pos: VoxelPos) {
        self.seen.entry(pos.chunk()).or_default().set(pos.local(), true);
        let (at, to) = (pos.to_array(), self.towards.to_array());
        let distance = (0..3).map(|axis| u64::from(at[axis].abs_diff(to[axis]))).sum();
        self.open.push(Reverse((distance, pos)));
    }

    /// Goes one step in every direction from the first voxel that waits. Whether it has met the other flood.
    fn grow(&mut self, job: &mut Job<'_, '_>, other: &Self, leads: Leads) -> bool {
        let Some(Reverse((_, pos))) = self.open.pop() else { return false };
        self.touches_border = self.touches_border || job.is_at_border(pos);
        let exits = job.navigation.mode().exits();
        for exit in (0..EXITS.len()).filter(|exit| exits >> exit & 1 == 1) {
            let step = if leads == Leads::On { exit } else { opposite(exit) };
            let Some(next) = beside(pos, EXITS[step]) else { continue };
            let start = if leads == Leads::On { pos } else { next };
            if !is_near(job.within, next.chunk())
                || self.has(next)
                || job.navigation.step(job.blocks, start, exit).is_none()
            {
                continue;
            }
            if other.has(next) {
                return true;
            }
            self.see(next);
        }
        false
    }
}

impl Job<'_, '_> {
    /// Whether a voxel lies at a face behind which the world goes on and nothing is loaded.
    fn is_at_border(&mut self, pos: VoxelPos) -> bool {
        let local = pos.local();
        let at = [local.x(), local.y(), local.z()];
        EXITS[..6].iter().any(|step| {
            let is_at_face = (0..3).any(|axis| match step[axis] {
                -1 => at[axis] == 0,
                1 => at[axis] == CHUNK_EDGE - 1,
                _ => false,
            });
            let behind = if is_at_face { beside(pos, *step) } else { None };
            let mut is_there =
                |pos: ChunkPos| is_near(self.within, pos) && self.navigation.ways(self.blocks, pos).is_some();
            behind.map(VoxelPos::chunk).is_some_and(|behind| !is_there(behind))
        })
    }
}
