//! Directions: of each voxel of a chunk the move that leads on to the nearest goal.

use crate::chunk::zeroed;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::relax::{EXITS, TENTHS};

/// The voxel is a goal.
pub const GOAL: u8 = 252;
/// It has a way that costs more than can be told.
pub const TOO_FAR: u8 = 253;
/// It has none.
pub const UNREACHABLE: u8 = 254;
/// The mode can't be there.
pub const BLOCKED: u8 = 255;

/// Voxels along an edge of a chunk with one more on each side.
pub const WIDE: usize = CHUNK_EDGE + 2;

/// A chunk and the voxels around it.
pub struct Around {
    /// What each voxel has, x fastest, then z, then y, from one before the chunk; `limit` for none.
    pub totals: Vec<u32>,
    /// What entering each costs; only where the giver pays.
    pub costs: Vec<u8>,
    /// The first total that counts as none.
    pub limit: u32,
}

impl Around {
    /// The place in it of a voxel of the chunk.
    pub const fn place(x: usize, y: usize, z: usize) -> usize {
        (x + 1) + WIDE * ((z + 1) + WIDE * (y + 1))
    }
}

/// The number of the move of each voxel whose total is below the limit: of those that cost least, the first. Others have
/// [`UNREACHABLE`]. `exits` limits the moves `open` of each voxel.
pub fn directions(around: &Around, open: u32, exits: Option<&[u32; CHUNK_VOXELS]>) -> Box<[u8; CHUNK_VOXELS]> {
    let mut moves = zeroed::<u8, CHUNK_VOXELS>();
    for y in 0..CHUNK_EDGE {
        for z in 0..CHUNK_EDGE {
            let first = (z + CHUNK_EDGE * y) * CHUNK_EDGE;
            let exits = exits.map(|exits| exits[first..].first_chunk::<CHUNK_EDGE>().expect("a row"));
            let row = row(around, Around::place(0, y, z), open, exits);
            moves[first..first + CHUNK_EDGE].copy_from_slice(&row);
        }
    }
    moves
}

fn row(around: &Around, first: usize, open: u32, exits: Option<&[u32; CHUNK_EDGE]>) -> [u8; CHUNK_EDGE] {
    let mut best = [around.limit; CHUNK_EDGE];
    let mut moves = [UNREACHABLE; CHUNK_EDGE];
    for exit in (0..EXITS.len()).filter(|exit| open >> exit & 1 == 1) {
        let [x, y, z] = EXITS[exit].map(|part| part as isize);
        let from = first.strict_add_signed(x + WIDE as isize * (z + WIDE as isize * y));
        let totals = around.totals[from..].first_chunk::<CHUNK_EDGE>().expect("one row beside another");
        let costs = around.costs.get(from..).and_then(|costs| costs.first_chunk::<CHUNK_EDGE>());
        let axes = EXITS[exit].iter().filter(|part| **part != 0).count();
        for n in 0..CHUNK_EDGE {
            let step = costs.map_or(0, |costs| u32::from(costs[n]) * u32::from(TENTHS[axes - 1]));
            let total = if totals[n] < around.limit { totals[n].saturating_add(step) } else { u32::MAX };
            let is_open = exits.is_none_or(|exits| exits[n] >> exit & 1 == 1);
            let is_better = is_open && total < best[n];
            best[n] = if is_better { total } else { best[n] };
            moves[n] = if is_better { exit as u8 } else { moves[n] };
        }
    }
    moves
}
