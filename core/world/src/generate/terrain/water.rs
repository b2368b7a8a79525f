//! Rivers and lakes, and the sea: valleys along the zeros of a warped noise, hollows in low flat land, and water up to the sea's
//! level in all of them.

use super::super::error::{GenerateError, GeneratorError};
use super::super::grid;
use super::super::lanes::Lanes;
use super::super::noise::{Octaves, Warp};
use super::super::simd::{self, Kernel, Level};
use super::super::stage::{Cells, Context, Draft, Entry, Layer, MAP_CELLS, Maps, NO_WATER, Stage, Twin, cell};
use super::{AIR, Maker, WATER, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    rivers: bool,
    lakes: bool,
    /// Width of rivers, in percent.
    width: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rivers: true, lakes: true, width: 100, salt: 0 }
    }
}

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    sea: i32,
    /// Noise up to which a river is as deep as it gets; far below zero for none.
    width: i32,
    /// Noise from which a lake begins; out of reach for none.
    lakes: i32,
    ice: u32,
}

pub(super) struct Water(Parameters);

impl Water {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        let width = maker.within("width", settings.width, 10, 400)? * 160 / 100;
        Ok(Self(Parameters {
            seed: maker.seed(settings.salt),
            sea: maker.making.fixed.sea,
            width: if settings.rivers { width } else { -4_096 },
            lakes: if settings.lakes { 3_900 } else { 32_767 },
            ice: u32::from(maker.entry("ice")?),
        }))
    }
}

impl Stage for Water {
    fn name(&self) -> &str {
        "water"
    }

    fn maps(&self, maps: &mut Maps, level: Level) -> Result<(), GenerateError> {
        let Parameters { seed, .. } = self.0;
        let (mut rivers, mut lakes) = ([0; MAP_CELLS], [0; MAP_CELLS]);
        let warp = Warp { octaves: Octaves::new(7, 2, seed.wrapping_add(100)), reach: 24 };
        grid::warped2(level, maps.origin(), warp, Octaves::new(9, 2, seed), &mut rivers);
        grid::fractal2(level, maps.origin(), Octaves::new(8, 3, seed.wrapping_add(200)), &mut lakes);
        simd::run(level, Hollows { parameters: &self.0, rivers: &rivers, lakes: &lakes, maps });
        Ok(())
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let y0 = draft.pos().origin().y();
        let (_, surface) = context.maps.range(Layer::Water);
        let (lowest, _) = context.maps.range(Layer::Height);
        if y0 > i32::from(surface) || y0 + 32 <= i32::from(lowest) {
            return Ok(());
        }
        fill(y0, self.0.ice as Entry, context.maps, draft);
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "water", maps: true, blocks: true, parameters: words(&self.0) })
    }
}

struct Hollows<'a> {
    parameters: &'a Parameters,
    rivers: &'a Cells,
    lakes: &'a Cells,
    maps: &'a mut Maps,
}

impl Kernel for Hollows<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let sea = self.parameters.sea;
        let which = [Layer::Height, Layer::Overhang, Layer::Water].map(|layer| layer as usize);
        let [heights, overhangs, water] =
            self.maps.layers_mut().get_disjoint_mut(which).expect("three different layers");
        for at in 0..MAP_CELLS {
            let (rivers, lakes) = (i32::from(self.rivers[at]), i32::from(self.lakes[at]));
            let height = hollowed(self.parameters, i32::from(heights[at]), rivers, lakes);
            heights[at] = height as i16;
            // No hollow under an overhang may reach below the water beside it.
            overhangs[at] = i32::from(overhangs[at]).min((height - sea - 3).max(0)) as i16;
            water[at] = if height <= sea { sea as i16 } else { NO_WATER };
        }
    }
}

/// The height with valleys and hollows taken out of it.
#[inline(always)]
fn hollowed(parameters: &Parameters, height: i32, rivers: i32, lakes: i32) -> i32 {
    let Parameters { sea, width, lakes: least, .. } = *parameters;
    // A valley draws the land down to a bed just below the sea, less and less the higher the land is.
    let bed = sea - 4;
    let near = (width + 1_024 - rivers.abs()).clamp(0, 1_024);
    let strength = (sea + 96 - height).clamp(0, 64);
    let drawn = ((height - bed).max(0) * ((near * near) >> 10)) >> 10;
    let valley = height - ((drawn * strength) >> 6);
    // A hollow goes down with its noise to a bed of its own, less and less the higher the land is.
    let deep = ((lakes - least) >> 6).clamp(0, 28) * (sea + 24 - valley).clamp(0, 16);
    valley - (deep >> 4).min((valley - (sea - 7)).max(0))
}

/// Colder water has ice on it.
const FREEZING: i16 = -2_600;

/// Fills air with water up to its surface, where the map says that there is some.
fn fill(y0: i32, ice: Entry, maps: &Maps, draft: &mut Draft) {
    let entries = draft.entries_mut();
    for z in 0..32 {
        let from = cell(0, z as i32);
        let surface: &[i16; 32] = maps.layer(Layer::Water)[from..].first_chunk().expect("a row of a map");
        let temperature: &[i16; 32] = maps.layer(Layer::Temperature)[from..].first_chunk().expect("a row of a map");
        for row in 0..32 {
            let y = (y0 + row as i32) as i16;
            let out: &mut [Entry; 32] = entries[row * 1024 + z * 32..].first_chunk_mut().expect("a row of a chunk");
            for x in 0..32 {
                let frozen = (surface[x] == y) & (temperature[x] < FREEZING);
                let wet = if frozen { ice } else { WATER };
                out[x] = if (out[x] == AIR) & (surface[x] >= y) { wet } else { out[x] };
            }
        }
    }
}
