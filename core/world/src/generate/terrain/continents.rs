//! Where land is and how high: continents by warped noise, mountains along ridges where the land is rugged.

use super::super::error::{GenerateError, GeneratorError};
use super::super::grid;
use super::super::lanes::Lanes;
use super::super::noise::{Octaves, Warp};
use super::super::simd::{self, Kernel, Level};
use super::super::stage::{Cells, Layer, MAP_CELLS, Maps, Stage, Twin};
use super::{Maker, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Distance of continents in voxels, as a power of two.
    spacing_bits: i64,
    /// More land, or less: −100..=100.
    land: i64,
    /// Height of mountains, in percent.
    mountains: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { spacing_bits: 10, land: 15, mountains: 100, salt: 0 }
    }
}

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    spacing_bits: u32,
    /// Added to the noise of continents.
    land: i32,
    /// Out of 128.
    mountains: i32,
}

pub(super) struct Continents(Parameters);

impl Continents {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        Ok(Self(Parameters {
            seed: maker.seed(settings.salt),
            spacing_bits: maker.within("spacing_bits", settings.spacing_bits, 8, 13)? as u32,
            land: maker.within("land", settings.land, -100, 100)? * 60,
            mountains: maker.within("mountains", settings.mountains, 0, 150)? * 128 / 100,
        }))
    }
}

impl Stage for Continents {
    fn name(&self) -> &str {
        "continents"
    }

    fn maps(&self, maps: &mut Maps, level: Level) -> Result<(), GenerateError> {
        continents(&self.0, level, maps);
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "continents", maps: true, blocks: false, parameters: words(&self.0) })
    }
}

/// Height over the noise of continents, as corners of a line: deep sea, shelf, shore, plains, uplands.
const PROFILE: [(i32, i32); 7] =
    [(-12_000, 14), (-4_000, 34), (-1_100, 54), (-200, 63), (1_500, 69), (6_000, 84), (14_000, 100)];

/// The line through [`PROFILE`], in steps of a 4096th.
#[inline(always)]
fn profile(continent: i32) -> i32 {
    let mut height = PROFILE[0].1 << 12;
    for pair in PROFILE.windows(2) {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        // What each piece adds is bounded by its ends, so no comparison is needed to find the piece.
        let slope = ((high - low) << 12) / (to - from);
        height += (continent.clamp(from, to) - from) * slope;
    }
    height >> 12
}

/// Writes `Continent`, `Erosion` and `Height`.
fn continents(parameters: &Parameters, level: Level, maps: &mut Maps) {
    let Parameters { seed, spacing_bits, .. } = *parameters;
    let origin = maps.origin();
    let warp = Warp { octaves: Octaves::new(8, 2, seed.wrapping_add(100)), reach: 40 };
    grid::warped2(level, origin, warp, Octaves::new(spacing_bits, 5, seed), maps.layer_mut(Layer::Continent));
    let erosion = Octaves::new(spacing_bits, 3, seed.wrapping_add(200));
    grid::fractal2(level, origin, erosion, maps.layer_mut(Layer::Erosion));
    let (mut ridges, mut hills) = ([0; MAP_CELLS], [0; MAP_CELLS]);
    grid::fractal2(level, origin, Octaves::new(8, 4, seed.wrapping_add(300)), &mut ridges);
    grid::fractal2(level, origin, Octaves::new(6, 4, seed.wrapping_add(400)), &mut hills);
    simd::run(level, Raise { parameters, ridges: &ridges, hills: &hills, maps });
}

struct Raise<'a> {
    parameters: &'a Parameters,
    ridges: &'a Cells,
    hills: &'a Cells,
    maps: &'a mut Maps,
}

impl Kernel for Raise<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { parameters, ridges, hills, maps } = self;
        let which = [Layer::Height, Layer::Continent, Layer::Erosion].map(|layer| layer as usize);
        let [height, continent, erosion] = maps.layers_mut().get_disjoint_mut(which).expect("three different layers");
        for at in 0..MAP_CELLS {
            let land = (i32::from(continent[at]) + parameters.land).clamp(-32_768, 32_767);
            continent[at] = land as i16;
            let rise = rise(land, i32::from(erosion[at]));
            // Ridges run where their noise crosses zero.
            let ridge = (5_000 - 2 * i32::from(ridges[at]).abs()).max(0);
            let mountain = ((rise * ridge) >> 17) * parameters.mountains >> 7;
            let hill = (i32::from(hills[at]) * (40 + (rise >> 4))) >> 15;
            height[at] = (profile(land) + mountain + hill).clamp(-110, 310) as i16;
        }
    }
}

/// How much mountains rise, 0..=3662: inland, where erosion is low.
#[inline(always)]
pub(super) fn rise(continent: i32, erosion: i32) -> i32 {
    let rugged = (1_200 - erosion).clamp(0, 5_000);
    let inland = (continent + 600).clamp(0, 3_000);
    (rugged * inland) >> 12
}
