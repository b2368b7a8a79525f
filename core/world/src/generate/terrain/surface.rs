//! Soil: the biome's blocks on what lies open to the sky or to water, some voxels deep.

use super::super::error::{GenerateError, GeneratorError};
use super::super::lanes::Lanes;
use super::super::simd::{self, Kernel};
use super::super::stage::{Context, Draft, Entries, Entry, Halo, Layer, Maps, Stage, Twin, cell};
use super::biomes::{BIOMES, BIOMES_MAX, SOIL_MAX};
use super::{AIR, LAVA, Maker, WATER, words};
use crate::space::ChunkPos;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Settings {}

/// Voxels below the height down to which soil lies: hollows and overhangs have some too, caves have none.
const REACH: i32 = 6;

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    /// By biome: top, below it, top under water, depth; a byte each, the first lowest.
    soils: [u32; BIOMES_MAX],
}

pub(super) struct Surface(Parameters);

impl Surface {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let Settings {} = maker.settings()?;
        let mut soils = [0; BIOMES_MAX];
        for (soil, biome) in soils.iter_mut().zip(&BIOMES) {
            let [top, below, wet] = biome.soil;
            *soil = u32::from_le_bytes([maker.entry(top)?, maker.entry(below)?, maker.entry(wet)?, biome.soil_depth]);
        }
        Ok(Self(Parameters { soils }))
    }
}

impl Stage for Surface {
    fn name(&self) -> &str {
        "surface"
    }

    fn halo(&self) -> Halo {
        Halo { up: SOIL_MAX, ..Halo::NONE }
    }

    fn reads_halo(&self, pos: ChunkPos, maps: &Maps) -> bool {
        touches(pos, maps)
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        if !touches(draft.pos(), context.maps) || draft.uniform() == Some(AIR) {
            return Ok(());
        }
        let above = context.around.at([0, 1, 0]);
        let y0 = draft.pos().origin().y();
        let out = draft.entries_mut();
        simd::run(context.level, Soils { parameters: &self.0, y0, maps: context.maps, above, out });
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "surface", maps: false, blocks: true, parameters: words(&self.0) })
    }
}

/// Whether there can be soil in a chunk.
fn touches(pos: ChunkPos, maps: &Maps) -> bool {
    let (low, high) = maps.ground();
    let y0 = pos.origin().y();
    y0 < high && y0 + 32 > low - REACH
}

struct Soils<'a> {
    parameters: &'a Parameters,
    y0: i32,
    maps: &'a Maps,
    /// The chunk above; air if there is none.
    above: Option<&'a Draft>,
    out: &'a mut Entries,
}

/// What one looks down with along a row of places: how deep in the ground one is, and all ones where the
/// ground began under water.
struct Looking {
    depth: [u8; 32],
    wet: [u8; 32],
}

impl Looking {
    #[inline(always)]
    fn step(&mut self, row: &[Entry; 32]) {
        for x in 0..32 {
            let ground = mask(row[x] > LAVA);
            self.wet[x] = choose(ground, self.wet[x], mask(row[x] == WATER));
            self.depth[x] = self.depth[x].saturating_add(1) & ground;
        }
    }
}

impl Kernel for Soils<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let uniform = [self.above.and_then(Draft::uniform).unwrap_or(AIR); 32];
        for z in 0..32 {
            let from = cell(0, z as i32);
            let row =
                |layer: Layer| -> &[i16; 32] { self.maps.layer(layer)[from..].first_chunk().expect("a row of a map") };
            let (biome, height, overhang) = (row(Layer::Biome), row(Layer::Height), row(Layer::Overhang));
            let (mut soil, mut low, mut high) = ([[0u8; 32]; 4], [0u8; 32], [0u8; 32]);
            for x in 0..32 {
                let bytes = self.parameters.soils[biome[x] as usize & (BIOMES_MAX - 1)].to_le_bytes();
                for (part, byte) in soil.iter_mut().zip(bytes) {
                    part[x] = byte;
                }
                let (height, overhang) = (i32::from(height[x]) - self.y0, i32::from(overhang[x]).max(0));
                low[x] = (height - overhang - REACH).clamp(0, 32) as u8;
                high[x] = (height + overhang).clamp(0, 32) as u8;
            }
            // Five voxels above the chunk decide how deep its topmost ones lie; deeper is as good as any depth.
            let mut looking = Looking { depth: [SOIL_MAX + 1; 32], wet: [0; 32] };
            for y in (0..usize::from(SOIL_MAX)).rev() {
                let entries = self.above.and_then(Draft::mixed);
                let row = entries.map(|entries| entries[y * 1024 + z * 32..].first_chunk().expect("a row of a chunk"));
                looking.step(row.unwrap_or(&uniform));
            }
            for y in (0..32).rev() {
                let out: &mut [Entry; 32] = self.out[y * 1024 + z * 32..].first_chunk_mut().expect("a row of a chunk");
                looking.step(out);
                lay(y as u8, &looking, &soil, &low, &high, out);
            }
        }
    }
}

/// All ones where a condition holds: rows of bytes that choose by masks need no branch.
#[inline(always)]
fn mask(condition: bool) -> u8 {
    0u8.wrapping_sub(u8::from(condition))
}

#[inline(always)]
fn choose(mask: u8, yes: u8, no: u8) -> u8 {
    yes & mask | no & !mask
}

/// Lays soil along one row.
#[inline(always)]
fn lay(y: u8, looking: &Looking, soil: &[[u8; 32]; 4], low: &[u8; 32], high: &[u8; 32], out: &mut [Entry; 32]) {
    let mut row = *out;
    for x in 0..32 {
        let deep = looking.depth[x];
        let here = mask(deep >= 1) & mask(deep <= soil[3][x]) & mask(y >= low[x]) & mask(y < high[x]);
        let first = choose(looking.wet[x], soil[2][x], soil[0][x]);
        row[x] = choose(here, choose(mask(deep == 1), first, soil[1][x]), row[x]);
    }
    *out = row;
}
