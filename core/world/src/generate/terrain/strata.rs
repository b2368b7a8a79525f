//! Layers of rock: bands of eight voxels, bent by a tilt of the land, and other rocks below a depth.

use super::super::error::{GenerateError, GeneratorError};
use super::super::grid;
use super::super::lanes::Lanes;
use super::super::noise::{Octaves, hash};
use super::super::simd::{self, Kernel, Level};
use super::super::stage::{Context, Draft, Entries, Entry, Layer, Maps, Stage, Twin, cell};
use super::{AIR, Maker, STONE, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Which rocks the bands are of; a rock that is named twice is twice as frequent. At most 16.
    rocks: Vec<String>,
    /// The same for bands below `deep`.
    deep_rocks: Vec<String>,
    /// y below which deep rocks begin.
    deep: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        let names = |list: &[(&str, usize)]| {
            list.iter().flat_map(|(name, count)| std::iter::repeat_n((*name).to_owned(), *count)).collect()
        };
        Self {
            rocks: names(&[("stone", 10), ("andesite", 2), ("granite", 2), ("diorite", 1), ("tuff", 1)]),
            deep_rocks: names(&[("deepslate", 12), ("tuff", 3), ("basalt", 1)]),
            deep: -16,
            salt: 0,
        }
    }
}

/// Voxels of a band, as a power of two.
const BAND_BITS: i32 = 3;

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    deep: i32,
    /// Entries, by the low four bits of a band's hash.
    rocks: [u32; 16],
    deep_rocks: [u32; 16],
}

pub(super) struct Strata(Parameters);

impl Strata {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        let mut entries = |key: &str, names: &[String]| -> Result<[u32; 16], GeneratorError> {
            if names.is_empty() || names.len() > 16 {
                return Err(maker.wrong(format!("{key} has {} names: 1 to 16 are accepted", names.len())));
            }
            let entries: Vec<Entry> = names.iter().map(|name| maker.entry(name)).collect::<Result<_, _>>()?;
            Ok(std::array::from_fn(|n| u32::from(entries[n * entries.len() / 16])))
        };
        let (rocks, deep_rocks) = (entries("rocks", &settings.rocks)?, entries("deep_rocks", &settings.deep_rocks)?);
        let deep = maker.within("deep", settings.deep, -2_048, 2_048)?;
        Ok(Self(Parameters { seed: maker.seed(settings.salt), deep, rocks, deep_rocks }))
    }
}

impl Stage for Strata {
    fn name(&self) -> &str {
        "strata"
    }

    fn maps(&self, maps: &mut Maps, level: Level) -> Result<(), GenerateError> {
        let origin = maps.origin();
        let tilt = maps.layer_mut(Layer::Tilt);
        grid::fractal2(level, origin, Octaves::new(8, 3, self.0.seed.wrapping_add(100)), tilt);
        tilt.iter_mut().for_each(|tilt| *tilt >>= 7);
        Ok(())
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        if draft.uniform() == Some(AIR) {
            return Ok(());
        }
        let y0 = draft.pos().origin().y();
        let out = draft.entries_mut();
        simd::run(context.level, Layers { parameters: &self.0, y0, maps: context.maps, out });
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "strata", maps: true, blocks: true, parameters: words(&self.0) })
    }
}

/// The rock of a band.
#[inline(always)]
fn rock(parameters: &Parameters, band: i32) -> Entry {
    let kind = (hash(band, 0, 0, parameters.seed) & 15) as usize;
    let deep = (band << BAND_BITS) < parameters.deep;
    (if deep { parameters.deep_rocks[kind] } else { parameters.rocks[kind] }) as Entry
}

struct Layers<'a> {
    parameters: &'a Parameters,
    y0: i32,
    maps: &'a Maps,
    out: &'a mut Entries,
}

impl Kernel for Layers<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for z in 0..32 {
            let tilt: &[i16; 32] =
                self.maps.layer(Layer::Tilt)[cell(0, z as i32)..].first_chunk().expect("a row of a map");
            let (least, most) = tilt.iter().fold((i16::MAX, i16::MIN), |(a, b), t| (a.min(*t), b.max(*t)));
            let (mut last_band, mut last_rock) = (i32::MIN, STONE);
            for row in 0..32 {
                let y = self.y0 + row as i32;
                let (low, high) = ((y + i32::from(least)) >> BAND_BITS, (y + i32::from(most)) >> BAND_BITS);
                if low != last_band {
                    (last_band, last_rock) = (low, rock(self.parameters, low));
                }
                let out: &mut [Entry; 32] =
                    self.out[row * 1024 + z * 32..].first_chunk_mut().expect("a row of a chunk");
                if low == high && last_rock == STONE {
                    continue;
                }
                // Few bands meet in one row, so each is laid over those below it.
                let mut rocks = [last_rock; 32];
                for band in low + 1..=high {
                    let (rock, from) = (rock(self.parameters, band), ((band << BAND_BITS) - y) as i16);
                    for x in 0..32 {
                        rocks[x] = if tilt[x] >= from { rock } else { rocks[x] };
                    }
                }
                for x in 0..32 {
                    out[x] = if out[x] == STONE { rocks[x] } else { out[x] };
                }
            }
        }
    }
}
