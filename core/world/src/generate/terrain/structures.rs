//! Small structures: boulders, ruins, standing stones, huts. One belongs to a cell of 64×64 places and reaches at most
//! seven beyond its middle, so a chunk looks at up to four cells.

use super::super::error::{GenerateError, GeneratorError};
use super::super::noise::hash;
use super::super::stage::{Context, Draft, Entry, Layer, NO_WATER, Stage, Twin};
use super::plants::{heights, is_plain};
use super::{Maker, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Of how many cells one has a structure.
    one_in: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { one_in: 3, salt: 0 }
    }
}

/// Places along one edge of a cell, as a power of two.
const CELL_BITS: u32 = 6;
/// How far a structure reaches sideways, up and down from the place its middle stands on.
const REACH: i32 = 7;
const ABOVE: i32 = 7;
const BELOW: i32 = 4;

/// The blocks of structures, by the numbers that [`voxel`] gives.
const BLOCKS: [&str; 12] = [
    "air",
    "mossy_cobblestone",
    "cobblestone",
    "andesite",
    "stone_bricks",
    "oak_planks",
    "oak_log",
    "glass",
    "glowstone",
    "spruce_planks",
    "moss_block",
    "bookshelf",
];

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    one_in: u32,
    entries: [u32; BLOCKS.len()],
}

pub(super) struct Structures(Parameters);

impl Structures {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        let one_in = maker.within("one_in", settings.one_in, 1, 1_000_000)? as u32;
        let mut entries = [0; BLOCKS.len()];
        for (entry, name) in entries.iter_mut().zip(BLOCKS) {
            *entry = u32::from(maker.entry(name)?);
        }
        Ok(Self(Parameters { seed: maker.seed(settings.salt), one_in, entries }))
    }
}

impl Stage for Structures {
    fn name(&self) -> &str {
        "structures"
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let (low, high) = heights(context.maps, REACH);
        let y0 = draft.pos().origin().y();
        if y0 + 32 > low - BELOW && y0 <= high + ABOVE {
            structures(&self.0, draft, context);
        }
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "structures", maps: false, blocks: true, parameters: words(&self.0) })
    }
}

/// Places the structures of all cells that reach into the chunk, cell by cell along z, then x.
fn structures(parameters: &Parameters, draft: &mut Draft, context: &Context<'_>) {
    let [x0, y0, z0] = draft.pos().origin().to_array();
    let cells = |at: i32| (at - REACH) >> CELL_BITS..=(at + 31 + REACH) >> CELL_BITS;
    for (k, i) in cells(z0).flat_map(|k| cells(x0).map(move |i| (k, i))) {
        let roll = hash(i, 3, k, parameters.seed);
        let shape = hash(i, 4, k, parameters.seed);
        let (x, z) = ((i << CELL_BITS) + (shape & 63) as i32 - x0, (k << CELL_BITS) + (shape >> 6 & 63) as i32 - z0);
        let reached = [x, z].iter().all(|at| (-REACH..32 + REACH).contains(at));
        if !roll.is_multiple_of(parameters.one_in) || !reached {
            continue;
        }
        let dry = context.maps.at(Layer::Water, x, z) == NO_WATER;
        if dry && is_plain(context.maps, x, z) {
            let base = [x, i32::from(context.maps.at(Layer::Height, x, z)) - y0, z];
            place(parameters, shape, base, draft);
        }
    }
}

/// One structure whose middle stands on the ground at `base`, relative to the chunk.
fn place(parameters: &Parameters, shape: u32, base: [i32; 3], draft: &mut Draft) {
    let (low, high) = ((base[1] - BELOW).max(0), (base[1] + ABOVE).min(31));
    if low > high {
        return;
    }
    let out = draft.entries_mut();
    let range = |axis: usize| (base[axis] - REACH).max(0)..=(base[axis] + REACH).min(31);
    for y in low..=high {
        for z in range(2) {
            for x in range(0) {
                if let Some(block) = voxel(shape, x - base[0], y - base[1], z - base[2]) {
                    out[(x + 32 * z + 1024 * y) as usize] = parameters.entries[block] as Entry;
                }
            }
        }
    }
}

/// The block of a structure at a place relative to the first voxel above the ground in its middle, by number in [`BLOCKS`].
#[inline(always)]
fn voxel(shape: u32, x: i32, y: i32, z: i32) -> Option<usize> {
    let grain = hash(x, y, z, shape);
    match shape >> 12 & 3 {
        0 => boulder(shape, grain, x, y, z),
        1 => ruin(shape, grain, x, y, z),
        2 => stones(shape, grain, x, y, z),
        _ => hut(grain, x, y, z),
    }
}

fn boulder(shape: u32, grain: u32, x: i32, y: i32, z: i32) -> Option<usize> {
    let radius = 2 + (shape >> 14 & 1) as i32;
    (x * x + y * y + z * z <= radius * radius + 1).then(|| 1 + (grain % 3) as usize)
}

/// Walls of uneven height around a floor with gaps; a foundation below the walls.
fn ruin(shape: u32, grain: u32, x: i32, y: i32, z: i32) -> Option<usize> {
    let (reach, wall) = (x.abs().max(z.abs()), 4 + (shape >> 14 & 1) as i32);
    let weathered = if grain & 3 == 0 { 1 } else { 4 };
    if reach == wall && y < 0 {
        return Some(weathered);
    }
    let top = (hash(x, 0, z, shape) & 3) as i32;
    match () {
        () if reach == wall && y <= top => Some(weathered),
        () if reach < wall && y == -1 && grain >> 2 & 3 != 0 => Some(if grain & 1 == 0 { 2 } else { 1 }),
        () if reach < wall && (0..4).contains(&y) => Some(0),
        () => None,
    }
}

/// Eight stones in a ring, moss in the middle.
fn stones(shape: u32, grain: u32, x: i32, y: i32, z: i32) -> Option<usize> {
    let (far, near) = (x.abs().max(z.abs()), x.abs().min(z.abs()));
    let stone = (far == 6 && near == 0) || (far == 4 && near == 4);
    let tall = 2 + (hash(x, 0, z, shape) & 1) as i32;
    match () {
        () if stone && y <= tall => Some(if grain & 3 == 0 { 1 } else { 3 }),
        () if x == 0 && z == 0 && y == 0 => Some(8),
        () if x * x + z * z <= 5 && y == -1 => Some(10),
        () => None,
    }
}

/// Four walls with a door and windows, a roof, a lamp.
fn hut(grain: u32, x: i32, y: i32, z: i32) -> Option<usize> {
    let (far, near) = (x.abs().max(z.abs()), x.abs().min(z.abs()));
    if far > 3 {
        return (far == 4 && y == 3).then_some(9);
    }
    let door = z == -3 && x == 0 && (0..2).contains(&y);
    let window = far == 3 && near == 0 && y == 1;
    match () {
        () if y < -1 => Some(2),
        () if y == -1 => Some(5),
        () if door => Some(0),
        () if (0..3).contains(&y) && far == 3 && near == 3 => Some(6),
        () if (0..3).contains(&y) && window => Some(7),
        () if (0..3).contains(&y) && far == 3 => Some(5),
        () if y == 2 && far == 0 => Some(8),
        () if y < 2 && z == 2 && x != 0 && grain & 1 == 0 && y >= 0 => Some(11),
        () if (0..3).contains(&y) => Some(0),
        () if y == 3 => Some(9),
        () if y == 4 && far <= 2 => Some(9),
        () => None,
    }
}
