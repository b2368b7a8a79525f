//! Resource veins: strings of balls of ore in rock, by depth, biome and rarity. A vein belongs to a cell of 16³ voxels and
//! reaches at most 13 beyond its middle, so a chunk looks at its own cells and one more on each side.

use super::super::error::{GenerateError, GeneratorError};
use super::super::lanes::Lanes;
use super::super::noise::hash;
use super::super::simd::{self, Kernel, Level};
use super::super::stage::{Context, Draft, Entries, Entry, Layer, Maps, Stage, Twin};
use super::biomes::{self, BIOMES};
use super::{AIR, Maker, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The ores; where two meet, the one that is named first stays.
    ores: Vec<OreSetting>,
    /// What ore takes the place of.
    replaces: Vec<String>,
    salt: u32,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct OreSetting {
    block: String,
    /// y of the lowest and the highest middle of a vein.
    low: i64,
    high: i64,
    /// Of how many cells one has a vein.
    one_in: i64,
    /// Radius of its balls, 1..=4, and how many of them, 1..=4.
    #[serde(default = "two")]
    radius: i64,
    #[serde(default = "two")]
    length: i64,
    /// Only in these biomes; everywhere if empty.
    #[serde(default)]
    biomes: Vec<String>,
}

fn two() -> i64 {
    2
}

impl Default for Settings {
    fn default() -> Self {
        let ore =
            |block: &str, [low, high]: [i64; 2], one_in, [radius, length]: [i64; 2], biomes: &[&str]| OreSetting {
                block: block.into(),
                low,
                high,
                one_in,
                radius,
                length,
                biomes: biomes.iter().map(|name| (*name).to_owned()).collect(),
            };
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Self {
            ores: vec![
                ore("coal_ore", [0, 220], 5, [2, 3], &[]),
                ore("iron_ore", [-72, 140], 6, [2, 2], &[]),
                ore("copper_ore", [-16, 96], 9, [2, 3], &[]),
                ore("lapis_ore", [-80, 30], 22, [1, 3], &[]),
                ore("gold_ore", [-128, -16], 14, [1, 4], &[]),
                ore("gold_ore", [30, 110], 6, [2, 2], &["badlands"]),
                ore("redstone_ore", [-128, -40], 9, [1, 4], &[]),
                ore("diamond_ore", [-128, -64], 26, [1, 4], &[]),
                ore("emerald_ore", [40, 260], 10, [1, 2], &["stony_peaks", "snowy_peaks", "meadow"]),
                ore("gravel", [-64, 120], 30, [4, 3], &[]),
                ore("dirt", [0, 120], 34, [4, 3], &[]),
                ore("calcite", [-120, -8], 40, [4, 4], &[]),
            ],
            replaces: names(&["stone", "andesite", "granite", "diorite", "tuff", "deepslate", "basalt"]),
            salt: 0,
        }
    }
}

/// Voxels along one edge of a cell, as a power of two.
const CELL_BITS: u32 = 4;
/// Most kinds of ore.
const ORES_MAX: usize = 24;

/// One kind of ore.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Ore {
    entry: u32,
    low: i32,
    high: i32,
    /// Of 2³² hashes, how many make a vein.
    chance: u32,
    radius: i32,
    length: i32,
    /// A bit for each biome.
    biomes: u32,
    unused: u32,
}

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    count: u32,
    /// A bit for each entry that ore takes the place of.
    rocks: [u32; 8],
    ores: [Ore; ORES_MAX],
}

pub(super) struct Veins(Parameters);

impl Veins {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        if settings.ores.len() > ORES_MAX {
            return Err(maker.wrong(format!("there are {} ores: {ORES_MAX} is the most", settings.ores.len())));
        }
        let mut parameters = Parameters {
            seed: maker.seed(settings.salt),
            count: settings.ores.len() as u32,
            rocks: [0; 8],
            ores: [Ore::default(); ORES_MAX],
        };
        for name in &settings.replaces {
            let entry = usize::from(maker.entry(name)?);
            if entry == usize::from(AIR) {
                return Err(maker.wrong("replaces: ore can't take the place of air; name blocks of the ground"));
            }
            parameters.rocks[entry / 32] |= 1 << (entry % 32);
        }
        for (ore, setting) in parameters.ores.iter_mut().zip(&settings.ores) {
            *ore = Ore {
                entry: u32::from(maker.entry(&setting.block)?),
                low: maker.within("low", setting.low, -2_048, 2_048)?,
                high: maker.within("high", setting.high, -2_048, 2_048)?,
                chance: u32::MAX / maker.within("one_in", setting.one_in, 1, 1_000_000)? as u32,
                radius: maker.within("radius", setting.radius, 1, 4)?,
                length: maker.within("length", setting.length, 1, 4)?,
                biomes: biome_set(maker, &setting.biomes)?,
                unused: 0,
            };
        }
        Ok(Self(parameters))
    }
}

/// A bit for each biome named; all of them if none is.
fn biome_set(maker: &Maker<'_, '_>, names: &[String]) -> Result<u32, GeneratorError> {
    let mut set = if names.is_empty() { u32::MAX } else { 0 };
    for name in names {
        let known = || BIOMES.iter().map(|biome| biome.name).collect::<Vec<_>>().join(", ");
        let number = biomes::number(name)
            .ok_or_else(|| maker.wrong(format!("biomes: {name:?} is not known: there are {}", known())))?;
        set |= 1 << number;
    }
    Ok(set)
}

impl Stage for Veins {
    fn name(&self) -> &str {
        "veins"
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        if draft.uniform() == Some(AIR) {
            return Ok(());
        }
        let origin = draft.pos().origin().to_array();
        veins(&self.0, origin, context.maps, context.level, draft.entries_mut());
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "veins", maps: false, blocks: true, parameters: words(&self.0) })
    }
}

/// The hashes of 64 cells, which say whether they have a vein: by far most have none, so they are looked at many at a time.
struct Rolls<'a> {
    first: [i32; 3],
    seed: u32,
    rolls: &'a mut [u32; 64],
}

impl Kernel for Rolls<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let [x, y, z] = self.first;
        for n in 0..64 {
            let at = n as i32;
            self.rolls[n] = hash(x + (at & 3), y + (at >> 4), z + (at >> 2 & 3), self.seed);
        }
    }
}

/// Places the veins of all cells that reach into the chunk, ore by ore, cell by cell along y, z, x.
fn veins(parameters: &Parameters, origin: [i32; 3], maps: &Maps, level: Level, out: &mut Entries) {
    let first = origin.map(|v| (v >> CELL_BITS) - 1);
    for (number, ore) in parameters.ores[..parameters.count as usize].iter().enumerate() {
        // No cell of the chunk has its middles within the ore's depths.
        if (first[1] + 4) << CELL_BITS <= ore.low || first[1] << CELL_BITS > ore.high {
            continue;
        }
        let seed = parameters.seed.wrapping_add(2 * number as u32);
        let mut rolls = [0u32; 64];
        simd::run(level, Rolls { first, seed, rolls: &mut rolls });
        for (n, _) in (0..64).zip(rolls).filter(|(_, roll)| *roll <= ore.chance) {
            let at = [first[0] + (n & 3), first[1] + (n >> 4), first[2] + (n >> 2 & 3)];
            let shape = hash(at[0], at[1], at[2], seed.wrapping_add(1));
            let middle: [i32; 3] =
                std::array::from_fn(|axis| (at[axis] << CELL_BITS) + (shape >> (4 * axis) & 15) as i32);
            if middle[1] < ore.low || middle[1] > ore.high {
                continue;
            }
            let biome = maps.at(Layer::Biome, middle[0] - origin[0], middle[2] - origin[2]);
            if ore.biomes >> (biome & 31) & 1 == 1 {
                vein(parameters, ore, shape, middle, origin, out);
            }
        }
    }
}

/// One vein: balls, each a radius and a half from the last, in one of 26 directions (or all in one place).
fn vein(parameters: &Parameters, ore: &Ore, shape: u32, middle: [i32; 3], origin: [i32; 3], out: &mut Entries) {
    let direction: [i32; 3] = std::array::from_fn(|axis| ((shape >> (12 + 5 * axis)) % 3) as i32 - 1);
    for ball in 0..ore.length {
        let step = (ball * ore.radius * 3) >> 2;
        let centre: [i32; 3] = std::array::from_fn(|axis| middle[axis] + direction[axis] * step - origin[axis]);
        place_ball(parameters, ore, centre, out);
    }
}

/// A ball around a place relative to the chunk. One voxel in eight stays rock.
fn place_ball(parameters: &Parameters, ore: &Ore, centre: [i32; 3], out: &mut Entries) {
    let reach = ore.radius * ore.radius + 1;
    let range = |axis: usize| (centre[axis] - ore.radius).max(0)..=(centre[axis] + ore.radius).min(31);
    for y in range(1) {
        for z in range(2) {
            let rest = reach - (y - centre[1]).pow(2) - (z - centre[2]).pow(2);
            for x in range(0) {
                let index = (x + 32 * z + 1024 * y) as usize;
                let entry = out[index];
                let rock = parameters.rocks[usize::from(entry >> 5)] >> (entry & 31) & 1 == 1;
                // Relative to the ball, so that it needs no place in the world: the same in every chunk it reaches.
                let speck = || hash(x - centre[0], y - centre[1], z - centre[2], parameters.seed) & 7 == 0;
                if (x - centre[0]).pow(2) <= rest && rock && !speck() {
                    out[index] = ore.entry as Entry;
                }
            }
        }
    }
}
