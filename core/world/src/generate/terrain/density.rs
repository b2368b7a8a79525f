//! What is ground and what is air: below the height is ground, and where land is rugged, 3-D noise makes it bulge and hollow.

use super::super::error::{GenerateError, GeneratorError};
use super::super::grid::{self, Field};
use super::super::lanes::Lanes;
use super::super::noise::{self, Octaves};
use super::super::simd::{self, Kernel, Level};
use super::super::stage::{Cells, Context, Draft, Entries, Layer, MAP_CELLS, Maps, Stage, Twin, cell};
use super::{AIR, Maker, STONE, continents, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Most voxels by which ground bulges or hollows; 0 for none.
    overhang: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { overhang: 22, salt: 0 }
    }
}

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    overhang: i32,
    floor: i32,
}

pub(super) struct Density(Parameters);

impl Density {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        Ok(Self(Parameters {
            seed: maker.seed(settings.salt),
            overhang: maker.within("overhang", settings.overhang, 0, 32)?,
            floor: maker.making.fixed.floor,
        }))
    }

    /// The noise of overhangs.
    fn octaves(&self) -> Octaves {
        Octaves::flat(5, 4, 3, self.0.seed)
    }
}

impl Stage for Density {
    fn name(&self) -> &str {
        "density"
    }

    fn maps(&self, maps: &mut Maps, level: Level) -> Result<(), GenerateError> {
        let mut cliffs = [0; MAP_CELLS];
        grid::fractal2(level, maps.origin(), Octaves::new(7, 2, self.0.seed.wrapping_add(100)), &mut cliffs);
        simd::run(level, Overhangs { most: self.0.overhang, cliffs: &cliffs, maps });
        Ok(())
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let [x0, y0, z0] = draft.pos().origin().to_array();
        let (low, high) = context.maps.ground();
        if y0 >= high {
            return Ok(());
        }
        if y0 + 32 <= low && y0 >= self.0.floor {
            draft.fill(STONE);
            return Ok(());
        }
        let (_, overhang) = context.maps.range(Layer::Overhang);
        let mut field = None;
        if overhang > 0 {
            let field = field.insert(grid::any_field());
            let rows = (low - y0).clamp(0, 32) as usize..(high - y0).clamp(0, 32) as usize;
            grid::fractal3(context.level, [x0, y0, z0], rows, self.octaves(), field);
        }
        let (field, floor) = (field.as_deref(), self.0.floor);
        simd::run(context.level, Fill { y0, floor, maps: context.maps, field, out: draft.entries_new() });
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "density", maps: true, blocks: true, parameters: words(&self.0) })
    }
}

struct Overhangs<'a> {
    most: i32,
    cliffs: &'a Cells,
    maps: &'a mut Maps,
}

impl Kernel for Overhangs<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let which = [Layer::Continent, Layer::Erosion, Layer::Overhang].map(|layer| layer as usize);
        let layers = self.maps.layers_mut().get_disjoint_mut(which);
        let [continent, erosion, out] = layers.expect("three different layers");
        for at in 0..MAP_CELLS {
            let rise = continents::rise(i32::from(continent[at]), i32::from(erosion[at]));
            out[at] = overhang(self.most, i32::from(self.cliffs[at]), rise) as i16;
        }
    }
}

/// Voxels of overhang: where the noise of cliffs is high and mountains rise.
#[inline(always)]
fn overhang(most: i32, cliffs: i32, rise: i32) -> i32 {
    ((cliffs - 1_200) >> 6).clamp(0, most).min(rise >> 6)
}

struct Fill<'a> {
    y0: i32,
    floor: i32,
    maps: &'a Maps,
    /// Noise, where there is any overhang; outside the bounds it is not looked at.
    field: Option<&'a Field>,
    out: &'a mut Entries,
}

impl Kernel for Fill<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for z in 0..32 {
            let from = cell(0, z as i32);
            let height: &[i16; 32] = self.maps.layer(Layer::Height)[from..].first_chunk().expect("a row of a map");
            let overhang: &[i16; 32] = self.maps.layer(Layer::Overhang)[from..].first_chunk().expect("a row of a map");
            for row in 0..32 {
                let y = self.y0 + row as i32;
                let out: &mut [u8; 32] = self.out[row * 1024 + z * 32..].first_chunk_mut().expect("a row of a chunk");
                match self.field {
                    Some(field) => {
                        let noise = field[(z * 32 + row) * 32..].first_chunk().expect("a row of a field");
                        bulging_row(y, height, overhang, noise, out);
                    }
                    None => flat_row(y, height, out),
                }
                if y < self.floor {
                    out.fill(AIR);
                }
            }
        }
    }
}

#[inline(always)]
fn flat_row(y: i32, height: &[i16; 32], out: &mut [u8; 32]) {
    let (y, mut row) = (y as i16, [0u8; 32]);
    for x in 0..32 {
        row[x] = u8::from(height[x] > y) * STONE;
    }
    *out = row;
}

/// Ground is where the way to the height, in sixteenths, and what the noise adds to it, at most the overhang, is above 0.
#[inline(always)]
fn bulging_row(y: i32, height: &[i16; 32], overhang: &[i16; 32], noise: &[i16; 32], out: &mut [u8; 32]) {
    let mut row = [0u8; 32];
    for x in 0..32 {
        let most = i32::from(overhang[x]).max(0) << 4;
        let way = (i32::from(height[x]) - y) << 4;
        let bulge = noise::scale(i32::from(noise[x]), most << 4).clamp(-most, most);
        row[x] = u8::from(way + bulge > 0) * STONE;
    }
    *out = row;
}
