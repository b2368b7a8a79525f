//! `terrane new`.

use crate::failure::Failure;
use crate::worlds::{self, DEFAULT_GENERATOR};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use terrane_world::generate::{GENERATORS, own_stages};
use terrane_world::physics::RuleSet;

/// Make a world and nothing else, so that its generator can be configured first
///
/// Its world.toml lists the stages of the generator. As long as nothing is stored they may be given settings, moved, left
/// out and joined by plug-ins: docs/generation.md and docs/plugins.md tell how.
#[derive(Args)]
pub struct New {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The generator, in its newest version
    #[arg(long, default_value = DEFAULT_GENERATOR.0, value_name = "NAME")]
    generator: String,
    /// What falls: by strength and losses, what is not connected to bedrock, or nothing
    #[arg(long, value_enum, default_value = "span")]
    physics: Physics,
}

/// Names of rules on the command line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Physics {
    Span,
    Connectivity,
    Off,
}

impl From<Physics> for RuleSet {
    fn from(physics: Physics) -> Self {
        match physics {
            Physics::Span => Self::Span,
            Physics::Connectivity => Self::Connectivity,
            Physics::Off => Self::Off,
        }
    }
}

impl New {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        if worlds::exists(&self.world) {
            let path = self.world.display();
            return Err(Failure::new(format!("{path} is a world already: give another folder")));
        }
        let generator = GENERATORS.iter().find(|(name, _)| *name == self.generator).ok_or_else(|| {
            let known: Vec<&str> = GENERATORS.iter().map(|(name, _)| *name).collect();
            Failure::new(format!("there is no generator {:?}: choose one of {}", self.generator, known.join(", ")))
        })?;
        worlds::create(&self.world, self.seed, *generator, self.physics.into())?;
        let (name, version) = *generator;
        let stages = own_stages(name, version);
        if json {
            say!("{}", json!({ "generator": name, "version": version, "seed": self.seed, "stages": stages }));
            return Ok(ExitCode::SUCCESS);
        }
        let path = self.world.display();
        say!("{path}: a world of the generator {name} {version} with seed {}", self.seed);
        if !stages.is_empty() {
            say!("{path}/world.toml lists its stages; they may be changed until something is stored");
        }
        Ok(ExitCode::SUCCESS)
    }
}
