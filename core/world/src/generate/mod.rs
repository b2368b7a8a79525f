//! Generators: a chunk is a pure function of (seed, generator with its settings, position), in integers only.
//!
//! A world's `world.toml` pins the generator by name and version, and every version that was ever released stays
//! here: a world never changes under its owner. `docs/generation.md` describes the stages and their settings.

mod error;
pub mod grid;
mod hills;
pub(crate) mod lanes;
pub mod noise;
pub mod palette;
pub mod pipeline;
pub mod pool;
pub mod setting;
pub mod simd;
pub mod stage;
pub mod terrain;

pub use error::{GenerateError, GeneratorError};
pub use setting::{GeneratorSetting, PluginFile, StageSetting};
pub use simd::Level;

use crate::block::{AIR, BlockId, Registry};
use crate::chunk::Chunk;
use crate::space::ChunkPos;
use palette::Palette;
use pipeline::Pipeline;
use stage::{BuiltInOnly, Making, StageSource};
use std::sync::Arc;

/// Names and versions of all generators, newest first.
pub const GENERATORS: &[(&str, u32)] = &[("terrain", 1), ("hills", 1), ("void", 1)];

/// The stages that a generator's version has of its own, in order; none if it is no pipeline.
pub fn own_stages(name: &str, version: u32) -> &'static [&'static str] {
    match (name, version) {
        ("terrain", 1) => &terrain::STAGES,
        _ => &[],
    }
}

fn known() -> String {
    GENERATORS.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
}

/// The generators that are pipelines.
fn with_stages() -> &'static str {
    "terrain 1"
}

/// A generator with its seed and the block ids of one world.
#[derive(Debug, Clone)]
pub enum Generator {
    /// Nothing but air: the generator of imported worlds.
    Void,
    /// Rolling hills with lakes, beaches, woods, snow, caves and ores.
    Hills(hills::Hills),
    /// Stages in order.
    Pipeline(Arc<Pipeline>),
}

impl Generator {
    /// A generator as its version has it, without plug-ins.
    pub fn plain(name: &str, version: u32, seed: u64, registry: &Registry) -> Result<Self, GeneratorError> {
        Self::new(&GeneratorSetting::plain(name, version), seed, registry, &[], &BuiltInOnly)
    }

    /// The generator of a world. `plugins` are the files that the setting pins, `source` has the stages that are not
    /// built in.
    pub fn new(
        setting: &GeneratorSetting,
        seed: u64,
        registry: &Registry,
        plugins: &[PluginFile],
        source: &dyn StageSource,
    ) -> Result<Self, GeneratorError> {
        let plain = match (setting.name.as_str(), setting.version) {
            ("terrain", 1) => {
                let mut palette = Palette::default();
                let mut making = Making { seed, palette: &mut palette, registry, plugins, fixed: terrain::FIXED };
                return Ok(Self::Pipeline(Arc::new(terrain::pipeline(&setting.stages, &mut making, source)?)));
            }
            ("void", 1) => Self::Void,
            ("hills", 1) => Self::Hills(hills::Hills::new(seed, registry)?),
            (name, version) => return Err(GeneratorError::Unknown { name: name.to_owned(), version }),
        };
        if setting.stages.is_empty() && setting.plugins.is_empty() {
            Ok(plain)
        } else {
            Err(GeneratorError::NoStages { name: setting.name.clone() })
        }
    }

    /// One chunk.
    pub fn chunk(&self, pos: ChunkPos) -> Result<Chunk, GenerateError> {
        match self {
            Self::Void => Ok(Chunk::uniform(AIR)),
            Self::Hills(hills) => Ok(hills.chunk(pos)),
            Self::Pipeline(pipeline) => Ok(pipeline.chunks(&[pos])?.swap_remove(0)),
        }
    }

    /// Many chunks, in the order of `positions`. The same bytes as one by one; faster for neighbours, above all those
    /// over each other.
    pub fn chunks(&self, positions: &[ChunkPos]) -> Result<Vec<Chunk>, GenerateError> {
        match self {
            Self::Pipeline(pipeline) => pipeline.chunks(positions),
            _ => positions.iter().map(|pos| self.chunk(*pos)).collect(),
        }
    }

    /// The stages, if this generator has some.
    pub fn pipeline(&self) -> Option<&Arc<Pipeline>> {
        match self {
            Self::Pipeline(pipeline) => Some(pipeline),
            _ => None,
        }
    }

    /// Where a new player's feet stand, near x = z = 0.
    pub fn spawn(&self) -> [i32; 3] {
        match self {
            Self::Void => [0, 64, 0],
            Self::Hills(hills) => hills.spawn(),
            Self::Pipeline(pipeline) => pipeline.spawn(),
        }
    }
}

fn block(registry: &Registry, generator: &str, block: &str) -> Result<BlockId, GeneratorError> {
    let missing = || GeneratorError::MissingBlock { generator: generator.to_owned(), block: block.to_owned() };
    registry.id(block).ok_or_else(missing)
}
