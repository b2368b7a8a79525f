//! The generator `terrain`, version 1: continents, rivers and lakes, climate and biomes, overhangs, strata, soils, veins,
//! tunnels and caverns, vegetation, small structures.
//!
//! Each stage is a file here with a kernel over slices, and a shader of the same stem. Which stages run, in which order and
//! with which settings, is up to `world.toml`; [`STAGES`] is the version's own list. `docs/generation.md` describes them.
//!
//! Released, so with its own list and settings it makes the same bytes for ever: `tests/golden.rs` pins it.

pub mod biomes;
mod caverns;
mod climate;
mod continents;
mod density;
mod plants;
mod strata;
mod structures;
mod surface;
mod veins;
mod water;

use super::error::GeneratorError;
use super::noise::hash;
use super::pipeline::Pipeline;
use super::setting::StageSetting;
use super::stage::{Entry, Fixed, Making, Stage, StageSource};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The version's own stages, in order.
pub const STAGES: [&str; 10] =
    ["continents", "density", "water", "climate", "strata", "surface", "veins", "caverns", "plants", "structures"];

/// What version 1 fixes: the anchored layer, and the sea.
pub const FIXED: Fixed = Fixed { floor: -128, sea: 62 };

/// Entries that every palette of this generator begins with, so that kernels can tell them by comparing: ground is what is
/// above the liquids.
pub const AIR: Entry = 0;
/// See [`AIR`].
pub const WATER: Entry = 1;
/// See [`AIR`].
pub const LAVA: Entry = 2;
/// What density makes of ground; strata turn it into other rocks.
pub const STONE: Entry = 3;

/// The pipeline of a world. `settings` is empty for the version's own list; `source` has the stages that are not built in.
pub fn pipeline(
    settings: &[StageSetting],
    making: &mut Making<'_>,
    source: &dyn StageSource,
) -> Result<Pipeline, GeneratorError> {
    for (entry, block) in [(WATER, "water"), (LAVA, "lava"), (STONE, "stone")] {
        let got = making.palette.entry(making.registry, "terrain", block)?;
        assert_eq!(got, entry, "a fresh palette numbers entries in order");
    }
    let own = STAGES.map(|stage| StageSetting { stage: stage.to_owned(), settings: toml::Table::new() });
    let settings = if settings.is_empty() { &own[..] } else { settings };
    let mut stages = Vec::with_capacity(settings.len());
    for (index, setting) in settings.iter().enumerate() {
        let stage = match built_in(setting, index + 1, making)? {
            Some(stage) => Some(stage),
            None => source.stage(setting, making)?,
        };
        let unknown = || GeneratorError::UnknownStage {
            number: index + 1,
            stage: setting.stage.clone(),
            known: STAGES.join(", "),
        };
        stages.push(stage.ok_or_else(unknown)?);
    }
    let floor = making.palette.entry(making.registry, "terrain", "bedrock")?;
    Ok(Pipeline::new(stages, making.palette.clone(), floor, making.fixed))
}

fn built_in(
    setting: &StageSetting,
    number: usize,
    making: &mut Making<'_>,
) -> Result<Option<Arc<dyn Stage>>, GeneratorError> {
    let mut maker = Maker { setting, number, making };
    Ok(Some(match setting.stage.as_str() {
        "continents" => Arc::new(continents::Continents::new(&mut maker)?),
        "density" => Arc::new(density::Density::new(&mut maker)?),
        "water" => Arc::new(water::Water::new(&mut maker)?),
        "climate" => Arc::new(climate::Climate::new(&mut maker)?),
        "strata" => Arc::new(strata::Strata::new(&mut maker)?),
        "surface" => Arc::new(surface::Surface::new(&mut maker)?),
        "veins" => Arc::new(veins::Veins::new(&mut maker)?),
        "caverns" => Arc::new(caverns::Caverns::new(&mut maker)?),
        "plants" => Arc::new(plants::Plants::new(&mut maker)?),
        "structures" => Arc::new(structures::Structures::new(&mut maker)?),
        _ => return Ok(None),
    }))
}

/// What a built-in stage is made from.
struct Maker<'a, 'b> {
    setting: &'a StageSetting,
    number: usize,
    making: &'a mut Making<'b>,
}

impl Maker<'_, '_> {
    /// The stage's settings: what is left out keeps its own value, an unknown key is refused.
    fn settings<T: DeserializeOwned>(&self) -> Result<T, GeneratorError> {
        let table = toml::Value::Table(self.setting.settings.clone());
        table.try_into().map_err(|error: toml::de::Error| self.wrong(error.message().trim()))
    }

    fn wrong(&self, problem: impl Into<String>) -> GeneratorError {
        let stage = self.setting.stage.clone();
        GeneratorError::Setting { number: self.number, stage, problem: problem.into() }
    }

    /// A number within bounds.
    fn within(&self, key: &str, value: i64, least: i64, most: i64) -> Result<i32, GeneratorError> {
        if (least..=most).contains(&value) {
            return Ok(value as i32);
        }
        Err(self.wrong(format!("{key} = {value} is out of range: a whole number from {least} to {most} is accepted")))
    }

    fn entry(&mut self, block: &str) -> Result<Entry, GeneratorError> {
        self.making.palette.entry(self.making.registry, &self.setting.stage, block)
    }

    /// The seed of this kind of stage. `salt` tells two stages of one kind apart.
    fn seed(&self, salt: u32) -> u32 {
        let world = self.making.seed;
        let name =
            self.setting.stage.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        hash(world as u32 as i32, (world >> 32) as u32 as i32, name as i32, salt)
    }
}

/// Parameters as the words a shader reads.
fn words<T: bytemuck::Pod>(parameters: &T) -> Vec<u32> {
    bytemuck::cast_slice(std::slice::from_ref(parameters)).to_vec()
}
