//! The classes of blocks for light.

use super::FULL;
use crate::block::{BlockId, BlockRule, Registry};
use crate::chunk::Chunk;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS, VERTICAL_BOUND};
use crate::relax::{ABOVE, Class, Classes, FACES, NONE, Operator, RulesError, Table};
use crate::space::{ChunkPos, LocalIndex, VoxelPos};

/// The classes of a world's blocks for light from the sky, wherever nothing is above but other voxels.
pub fn sky_table(registry: &Registry) -> Result<Table, RulesError> {
    Table::new(
        registry,
        Operator::MaxMinus,
        FULL,
        |rule| {
            let mut class = class(rule, NONE);
            class.losses[ABOVE] = u16::from(rule.light_loss) - 1;
            class
        },
        Class::CLOSED,
    )
}

/// The classes of a world's blocks for light that blocks give off.
pub fn block_table(registry: &Registry) -> Result<Table, RulesError> {
    Table::new(
        registry,
        Operator::MaxMinus,
        FULL,
        |rule| class(rule, if rule.light == 0 { NONE } else { FULL - u32::from(rule.light) }),
        Class::CLOSED,
    )
}

fn class(rule: &BlockRule, source: u32) -> Class {
    let mut losses = [0; 26];
    losses[..6].fill(u16::from(rule.light_loss));
    // What swallows everything takes nothing in, so that sky light can't pass it from above either.
    let exits = if u32::from(rule.light_loss) < FULL { FACES } else { 0 };
    Class { source, floor: 0, exits, losses }
}

/// Classes by block and place for light from the sky: in the world's topmost layer each open class is a source of what
/// would come from above.
#[derive(Debug, Clone)]
pub struct Sky {
    table: Table,
    /// By class: the one that stands for it in the topmost layer.
    topmost: Vec<u8>,
}

impl Sky {
    /// For the blocks of a registry.
    pub fn new(registry: &Registry) -> Result<Self, RulesError> {
        let (table, topmost) = sky_table(registry)?.with_variants(|rules, class| match class.exits >> ABOVE & 1 {
            1 => Class { source: rules.step(class, ABOVE, 0), ..*class },
            _ => *class,
        })?;
        Ok(Self { table, topmost })
    }

    /// The table, without regard to places.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// The class of a block at a place.
    pub fn class(&self, pos: VoxelPos, block: BlockId) -> u8 {
        let class = self.table.class(block);
        if pos.y() == VERTICAL_BOUND - 1 { self.topmost[usize::from(class)] } else { class }
    }

    /// The classes of a chunk's voxels; none for a chunk that can't be read.
    pub fn classes(&self, pos: ChunkPos, chunk: Option<&Chunk>) -> Classes {
        let mut classes = classes(&self.table, chunk);
        if pos.y() == TOP_CHUNK {
            let layer = CHUNK_VOXELS - CHUNK_EDGE * CHUNK_EDGE..CHUNK_VOXELS;
            for local in layer.filter_map(|index| LocalIndex::new(index as u16)) {
                classes.set(local, self.topmost[usize::from(classes.get(local))]);
            }
        }
        classes
    }
}

/// The height of the world's topmost chunks.
pub(super) const TOP_CHUNK: i32 = VERTICAL_BOUND / CHUNK_EDGE as i32 - 1;

/// The classes of a chunk's voxels; none for a chunk that can't be read.
pub(super) fn classes(table: &Table, chunk: Option<&Chunk>) -> Classes {
    chunk.map_or(Classes::One(table.unreadable()), |chunk| table.classes(chunk))
}
