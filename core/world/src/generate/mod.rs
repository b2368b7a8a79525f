//! Generators: a chunk is a pure function of (seed, generator, position), in integers only.
//!
//! A world's `world.toml` pins the generator by name and version, and every version that was ever released stays
//! here: a world never changes under its owner.

mod hills;
mod noise;

use crate::block::{AIR, BlockId, Registry};
use crate::chunk::Chunk;
use crate::space::ChunkPos;

/// Names and versions of all generators, newest first.
pub const GENERATORS: &[(&str, u32)] = &[("hills", 1), ("void", 1)];

/// A generator that can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeneratorError {
    /// The name or the version is not known to this program.
    #[error("there is no generator {name:?} version {version} in this program; it has {}", known())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The version asked for.
        version: u32,
    },
    /// The world's registry lacks a block that the generator places.
    #[error("generator {generator:?} places {block:?}, which the world's registry does not hold")]
    MissingBlock {
        /// The generator.
        generator: &'static str,
        /// The block it needs.
        block: &'static str,
    },
}

fn known() -> String {
    GENERATORS.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
}

/// A generator with its seed and the block ids of one world.
#[derive(Debug, Clone)]
pub enum Generator {
    /// Nothing but air: the generator of imported worlds.
    Void,
    /// Rolling hills with lakes, beaches, woods, snow, caves and ores.
    Hills(hills::Hills),
}

impl Generator {
    /// The generator of a world.
    pub fn new(name: &str, version: u32, seed: u64, registry: &Registry) -> Result<Self, GeneratorError> {
        match (name, version) {
            ("void", 1) => Ok(Self::Void),
            ("hills", 1) => Ok(Self::Hills(hills::Hills::new(seed, registry)?)),
            _ => Err(GeneratorError::Unknown { name: name.to_owned(), version }),
        }
    }

    /// One chunk.
    pub fn chunk(&self, pos: ChunkPos) -> Chunk {
        match self {
            Self::Void => Chunk::uniform(AIR),
            Self::Hills(hills) => hills.chunk(pos),
        }
    }

    /// Where a new player's feet stand, near x = z = 0.
    pub fn spawn(&self) -> [i32; 3] {
        match self {
            Self::Void => [0, 64, 0],
            Self::Hills(hills) => hills.spawn(),
        }
    }
}

fn block(registry: &Registry, generator: &'static str, block: &'static str) -> Result<BlockId, GeneratorError> {
    registry.id(block).ok_or(GeneratorError::MissingBlock { generator, block })
}
