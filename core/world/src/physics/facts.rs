//! What physics needs to know of a block, by id.

use super::blast::Passage;
use crate::block::{AIR, BlockId, Registry};

/// One block's part in physics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// Takes up its place: others rest on it and bump into it.
    pub solid: bool,
    /// Never falls, never bursts.
    pub anchored: bool,
    /// Runs down slopes.
    pub loose: bool,
    /// Stays where a blast passes.
    pub liquid: bool,
    /// How much support it carries on.
    pub strength: u8,
    /// Power of its own blast; 0 if it has none.
    pub explosive: u8,
    /// What a blast loses in it.
    pub blast_loss: u8,
}

/// The facts of a registry's blocks.
#[derive(Debug, Clone)]
pub struct Facts {
    blocks: Vec<Fact>,
    solid: Vec<bool>,
    anchored: Vec<bool>,
    /// The least that a blast loses in any block.
    pub blast_loss_least: u8,
}

impl Facts {
    /// Of all blocks of a registry.
    pub fn new(registry: &Registry) -> Self {
        let fact = |rule: &crate::block::BlockRule| Fact {
            solid: rule.solid,
            anchored: rule.solid && rule.anchored,
            loose: rule.solid && rule.loose && !rule.anchored,
            liquid: rule.liquid,
            strength: rule.strength,
            explosive: rule.explosive,
            blast_loss: rule.blast_loss,
        };
        let blocks: Vec<Fact> = registry.iter().map(|(_, _, rule)| fact(rule)).collect();
        let blast_loss_least = blocks.iter().map(|fact| fact.blast_loss).min().unwrap_or(1);
        let solid = blocks.iter().map(|fact| fact.solid).collect();
        let anchored = blocks.iter().map(|fact| fact.anchored).collect();
        Self { blocks, solid, anchored, blast_loss_least }
    }

    /// Which blocks are solid, by id.
    pub fn solid(&self) -> &[bool] {
        &self.solid
    }

    /// Which blocks are anchored, by id.
    pub fn anchored(&self) -> &[bool] {
        &self.anchored
    }

    /// Of one block; an id that is not registered counts as air.
    pub fn of(&self, block: BlockId) -> Fact {
        self.blocks.get(usize::from(block.0)).copied().unwrap_or(self.blocks[usize::from(AIR.0)])
    }

    /// What a blast finds in a block; none if it can't pass at all.
    pub fn passage(&self, block: BlockId) -> Option<Passage> {
        let fact = self.of(block);
        (!fact.anchored).then_some(Passage { loss: fact.blast_loss, solid: fact.solid })
    }
}
