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
fn class(value: i32, bounds: [i32; 3]) -> u32 {
    u32::from(value >= bounds[0]) + u32::from(value >= bounds[1]) + u32::from(value >= bounds[2])
}

/// Biomes of low land, by warmth (cold first); in each word by wetness, a byte each (dry first, lowest).
const LOW_LAND: [u32; 4] = [
    u32::from_le_bytes([SNOWY_PLAINS, SNOWY_PLAINS, SNOWY_TAIGA, SNOWY_TAIGA]),
    u32::from_le_bytes([PLAINS, PLAINS, TAIGA, TAIGA]),
    u32::from_le_bytes([PLAINS, FOREST, BIRCH_FOREST, DARK_FOREST]),
    u32::from_le_bytes([DESERT, SAVANNA, FOREST, JUNGLE]),
];

/// One of two, without a branch: what decides changes from place to place.
#[inline(always)]
fn choose(condition: bool, yes: u32, no: u32) -> u32 {
    let mask = 0u32.wrapping_sub(u32::from(condition));
    yes & mask | no & !mask
}

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

/// `height` is the land's with some jitter; whether a place lies under water does not depend on that. The last of these that
/// holds decides.
#[inline(always)]
fn biome_of(parameters: &Parameters, land: Land, height: i32) -> u8 {
    let Land { temperature, humidity, continent, .. } = land;
    let (warmth, sea) = (class(temperature, [-2_600, -300, 2_300]), parameters.sea);
    let wetness = class(humidity, [-2_000, 300, 2_400]);
    let cold = warmth == 0;
    let row = choose(warmth < 2, choose(cold, LOW_LAND[0], LOW_LAND[1]), choose(warmth == 2, LOW_LAND[2], LOW_LAND[3]));
    let mut biome = row >> (8 * wetness) & 255;
    biome = choose((height <= sea + 4) & (warmth >= 2) & (humidity >= 1_200), SWAMP.into(), biome);
    biome = choose((temperature >= 3_400) & (humidity < -2_200), BADLANDS.into(), biome);
    biome = choose(height >= 104, choose(cold, SNOWY_TAIGA.into(), MEADOW.into()), biome);
    biome = choose(height >= 138, choose(cold, SNOWY_PEAKS.into(), STONY_PEAKS.into()), biome);
    biome = choose((height <= sea + 3) & (continent < 900), BEACH.into(), biome);
    choose(land.height <= sea, water_biome(continent, temperature), biome) as u8
}

#[inline(always)]
fn water_biome(continent: i32, temperature: i32) -> u32 {
    let open = choose(continent < -4_200, DEEP_OCEAN.into(), OCEAN.into());
    choose(continent >= -250, RIVER.into(), choose(temperature < -3_000, FROZEN_OCEAN.into(), open))
}
