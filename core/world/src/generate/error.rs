//! What can go wrong with a generator: when it is made, and while it makes a chunk.

use crate::space::ChunkPos;

/// A generator that can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeneratorError {
    /// The name or the version is not known to this program.
    #[error("there is no generator {name:?} version {version} in this program; it has {}", super::known())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The version asked for.
        version: u32,
    },
    /// The world's registry lacks a block that the generator places.
    #[error("generator {generator:?} places {block:?}, which the world's registry does not hold")]
    MissingBlock {
        /// The generator or the stage.
        generator: String,
        /// The block it needs.
        block: String,
    },
    /// A generator that is not a pipeline was given stages.
    #[error("generator {name:?} has no stages to choose; [[generator.stage]] is for {}", super::with_stages())]
    NoStages {
        /// The generator.
        name: String,
    },
    /// A stage that nobody has.
    #[error(
        "stage {number} of the generator, {stage:?}, is not known: there are {known}, and the plug-ins of [plugins]"
    )]
    UnknownStage {
        /// Its place in the list, from 1.
        number: usize,
        /// Its name.
        stage: String,
        /// The names that there are.
        known: String,
    },
    /// A stage's settings are not understood.
    #[error("stage {number} of the generator, {stage:?}: {problem}")]
    Setting {
        /// Its place in the list, from 1.
        number: usize,
        /// Its name.
        stage: String,
        /// What is wrong, and what would be accepted.
        problem: String,
    },
    /// The stages together place more kinds of blocks than a palette holds.
    #[error("the stages place more than {most} kinds of blocks: leave some of them out")]
    PaletteFull {
        /// The most there may be.
        most: usize,
    },
    /// A plug-in can't be used.
    #[error("plug-in {plugin:?}: {problem}")]
    Plugin {
        /// Its name in `world.toml`.
        plugin: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// A chunk that could not be made. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stage {stage:?} could not make chunk {pos}: {problem}")]
pub struct GenerateError {
    /// The stage, which is the plug-in's name for a plug-in.
    pub stage: String,
    /// The chunk.
    pub pos: ChunkPos,
    /// What went wrong, and what to do.
    pub problem: String,
}
