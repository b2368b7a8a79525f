//! Warmth, wetness, and the biome that follows from them and from the land.

use super::super::error::{GenerateError, GeneratorError};
use super::super::grid;
use super::super::lanes::Lanes;
use super::super::noise::{Octaves, hash};
use super::super::simd::{self, Kernel, Level};
use super::super::stage::{Layer, MAP_CELLS, MAP_EDGE, Maps, Stage, Twin};
use super::biomes::*;
use super::{Maker, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Distance of climates in voxels, as a power of two.
    spacing_bits: i64,
    /// Warmer or colder, −100..=100.
    warmth: i64,
    /// Wetter or drier, −100..=100.
    wetness: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { spacing_bits: 10, warmth: 0, wetness: 0, salt: 0 }
    }
}

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    spacing_bits: u32,
    warmth: i32,
    wetness: i32,
    sea: i32,
}

pub(super) struct Climate(Parameters);

impl Climate {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        Ok(Self(Parameters {
            seed: maker.seed(settings.salt),
            spacing_bits: maker.within("spacing_bits", settings.spacing_bits, 7, 13)? as u32,
            warmth: maker.within("warmth", settings.warmth, -100, 100)? * 80,
            wetness: maker.within("wetness", settings.wetness, -100, 100)? * 80,
            sea: maker.making.fixed.sea,
        }))
    }
}

impl Stage for Climate {
    fn name(&self) -> &str {
        "climate"
    }

    fn maps(&self, maps: &mut Maps, level: Level) -> Result<(), GenerateError> {
        let Parameters { seed, spacing_bits, .. } = self.0;
        let origin = maps.origin();
        grid::fractal2(level, origin, Octaves::new(spacing_bits, 4, seed), maps.layer_mut(Layer::Temperature));
        let wetness = Octaves::new(spacing_bits, 4, seed.wrapping_add(100));
        grid::fractal2(level, origin, wetness, maps.layer_mut(Layer::Humidity));
        simd::run(level, Biomes { parameters: &self.0, maps });
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "climate", maps: true, blocks: false, parameters: words(&self.0) })
    }
}

struct Biomes<'a> {
    parameters: &'a Parameters,
    maps: &'a mut Maps,
}

impl Kernel for Biomes<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let origin = self.maps.origin();
        let which = [Layer::Height, Layer::Continent, Layer::Temperature, Layer::Humidity, Layer::Biome];
        let layers = self.maps.layers_mut().get_disjoint_mut(which.map(|layer| layer as usize));
        let [height, continent, temperature, humidity, biomes] = layers.expect("five different layers");
        let seed = self.parameters.seed.wrapping_add(200);
        for at in 0..MAP_CELLS {
            let (x, z) = (origin[0] + (at % MAP_EDGE) as i32, origin[1] + (at / MAP_EDGE) as i32);
            let land = Land {
                height: i32::from(height[at]),
                continent: i32::from(continent[at]),
                temperature: cooled(self.parameters, i32::from(temperature[at]), i32::from(height[at])),
                humidity: (i32::from(humidity[at]) + self.parameters.wetness).clamp(-32_768, 32_767),
            };
            let (land, biome) = biome(self.parameters, land, hash(x, 0, z, seed));
            temperature[at] = land.temperature as i16;
            humidity[at] = land.humidity as i16;
            biomes[at] = i16::from(biome);
        }
    }
}

/// It gets colder with height.
#[inline(always)]
fn cooled(parameters: &Parameters, noise: i32, height: i32) -> i32 {
    (noise + parameters.warmth - (height - 84).max(0) * 60).clamp(-32_768, 32_767)
}

/// What a biome follows from.
#[derive(Clone, Copy)]
struct Land {
    height: i32,
    continent: i32,
    temperature: i32,
    humidity: i32,
}

/// Which of four classes a value is in.
#[inline(always)]
fn class(value: i32, bounds: [i32; 3]) -> usize {
    usize::from(value >= bounds[0]) + usize::from(value >= bounds[1]) + usize::from(value >= bounds[2])
}

/// Biomes of low land, by warmth (cold first), then by wetness (dry first).
const LOW_LAND: [[u8; 4]; 4] = [
    [SNOWY_PLAINS, SNOWY_PLAINS, SNOWY_TAIGA, SNOWY_TAIGA],
    [PLAINS, PLAINS, TAIGA, TAIGA],
    [PLAINS, FOREST, BIRCH_FOREST, DARK_FOREST],
    [DESERT, SAVANNA, FOREST, JUNGLE],
];

/// The land as it feels, and its biome. `jitter` is a hash of the place: it moves every border by some voxels to and fro, so
/// that biomes run into each other instead of meeting along a line.
#[inline(always)]
fn biome(parameters: &Parameters, land: Land, jitter: u32) -> (Land, u8) {
    let shake = |byte: u32| ((jitter >> (8 * byte)) & 255) as i32 - 128;
    let temperature = (land.temperature + shake(0)).clamp(-32_768, 32_767);
    let humidity = (land.humidity + shake(1)).clamp(-32_768, 32_767);
    let land = Land { temperature, humidity, ..land };
    (land, biome_of(parameters, land, land.height + (shake(2) >> 6)))
}

/// `height` is the land's with some jitter; whether a place lies under water does not depend on that.
#[inline(always)]
fn biome_of(parameters: &Parameters, land: Land, height: i32) -> u8 {
    let Land { temperature, humidity, .. } = land;
    let warmth = class(temperature, [-2_600, -300, 2_300]);
    if land.height <= parameters.sea {
        return water_biome(land.continent, temperature);
    }
    if height <= parameters.sea + 3 && land.continent < 900 {
        return BEACH;
    }
    if height >= 138 {
        return if warmth == 0 { SNOWY_PEAKS } else { STONY_PEAKS };
    }
    if height >= 104 {
        return if warmth == 0 { SNOWY_TAIGA } else { MEADOW };
    }
    if temperature >= 3_400 && humidity < -2_200 {
        return BADLANDS;
    }
    if height <= parameters.sea + 4 && warmth >= 2 && humidity >= 1_200 {
        return SWAMP;
    }
    LOW_LAND[warmth][class(humidity, [-2_000, 300, 2_400])]
}

#[inline(always)]
fn water_biome(continent: i32, temperature: i32) -> u8 {
    if continent >= -250 {
        return RIVER;
    }
    if temperature < -3_000 {
        return FROZEN_OCEAN;
    }
    if continent < -4_200 { DEEP_OCEAN } else { OCEAN }
}
