//! The blocks that one generator places, each with a byte-sized number: half the memory of block ids while a chunk is made.

use super::error::GeneratorError;
use super::stage::Entry;
use crate::block::{AIR, BlockId, Registry};

/// Most entries of a palette.
pub const PALETTE_MAX: usize = 256;

/// The blocks of one generator. Entry 0 is air.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    ids: Vec<BlockId>,
}

impl Default for Palette {
    fn default() -> Self {
        Self { ids: vec![AIR] }
    }
}

impl Palette {
    /// The entry of a block, which gets one if it has none yet. `who` places it, for the error.
    pub fn entry(&mut self, registry: &Registry, who: &str, block: &str) -> Result<Entry, GeneratorError> {
        let missing = || GeneratorError::MissingBlock { generator: who.to_owned(), block: block.to_owned() };
        let id = registry.id(block).ok_or_else(missing)?;
        if let Some(entry) = self.ids.iter().position(|known| *known == id) {
            return Ok(entry as Entry);
        }
        if self.ids.len() == PALETTE_MAX {
            return Err(GeneratorError::PaletteFull { most: PALETTE_MAX });
        }
        self.ids.push(id);
        Ok((self.ids.len() - 1) as Entry)
    }

    /// The block of every entry.
    pub fn ids(&self) -> &[BlockId] {
        &self.ids
    }
}
