//! Vegetation: what covers the ground, and trees. A tree belongs to a cell of 4×4 places and reaches at most four beyond its
//! trunk, so a chunk looks at the cells up to that far beside it.

use super::super::error::{GenerateError, GeneratorError};
use super::super::noise::hash;
use super::super::stage::{Context, Draft, Entries, Entry, Layer, Maps, NO_WATER, Stage, Twin};
use super::biomes::{BIOMES, BIOMES_MAX};
use super::{AIR, Maker, WATER, words};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// How many trees, in percent.
    trees: i64,
    /// How much of the ground is covered, in percent.
    cover: i64,
    salt: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { trees: 100, cover: 100, salt: 0 }
    }
}

/// Places along one edge of a tree's cell, as a power of two.
const CELL_BITS: u32 = 2;
/// How far leaves reach from the trunk.
const REACH: i32 = 4;
/// Voxels from the ground to above the tallest tree.
const TALLEST: i32 = 18;
/// Layers of leaves of one kind of tree.
const LEAF_LAYERS: usize = 8;
/// Kinds of trees.
const KINDS: usize = 8;

/// A kind of tree. Its topmost layer of leaves lies just above the trunk.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Kind {
    log: u32,
    leaf: u32,
    /// Least height of the trunk, and how many more heights there are.
    trunk: i32,
    more: u32,
    /// By layer from the top down: squared distance from the trunk below which leaves are, in four bytes a word.
    layers: [u32; LEAF_LAYERS / 4],
    unused: [u32; 2],
}

/// Names, heights and leaves of the kinds, by the numbers that biomes use.
const TREES: [(&str, &str, [i32; 2], [u8; LEAF_LAYERS]); KINDS] = [
    ("oak_log", "oak_leaves", [4, 3], [2, 2, 6, 6, 0, 0, 0, 0]),
    ("birch_log", "birch_leaves", [5, 3], [2, 2, 6, 6, 0, 0, 0, 0]),
    ("spruce_log", "spruce_leaves", [6, 5], [1, 2, 1, 5, 2, 6, 3, 9]),
    ("jungle_log", "jungle_leaves", [8, 7], [3, 6, 10, 6, 0, 0, 0, 0]),
    ("acacia_log", "acacia_leaves", [5, 3], [6, 14, 0, 0, 0, 0, 0, 0]),
    ("dark_oak_log", "dark_oak_leaves", [5, 3], [4, 10, 14, 10, 0, 0, 0, 0]),
    ("cactus", "cactus", [2, 3], [0, 0, 0, 0, 0, 0, 0, 0]),
    ("oak_log", "oak_leaves", [1, 1], [2, 4, 0, 0, 0, 0, 0, 0]),
];

/// What the kernel and its twin are given.
#[repr(C)]
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct Parameters {
    seed: u32,
    sea: i32,
    /// By biome: two kinds of trees, and of 256 places how many have one; a byte each, the first lowest.
    trees: [u32; BIOMES_MAX],
    /// By biome: two entries, and of 256 places how many are covered; a byte each, the first lowest.
    cover: [u32; BIOMES_MAX],
    kinds: [Kind; KINDS],
}

pub(super) struct Plants(Parameters);

impl Plants {
    pub(super) fn new(maker: &mut Maker<'_, '_>) -> Result<Self, GeneratorError> {
        let settings: Settings = maker.settings()?;
        let (trees, cover) =
            (maker.within("trees", settings.trees, 0, 400)?, maker.within("cover", settings.cover, 0, 400)?);
        let chance = |base: u8, percent: i32| (i32::from(base) * percent / 100).min(255) as u8;
        let mut parameters = Parameters {
            seed: maker.seed(settings.salt),
            sea: maker.making.fixed.sea,
            trees: [0; BIOMES_MAX],
            cover: [0; BIOMES_MAX],
            kinds: [Kind::default(); KINDS],
        };
        for (number, biome) in BIOMES.iter().enumerate() {
            let [first, second] = biome.trees;
            parameters.trees[number] = u32::from_le_bytes([first, second, chance(biome.tree_chance, trees), 0]);
            let [first, second] = [maker.entry(biome.cover[0])?, maker.entry(biome.cover[1])?];
            parameters.cover[number] = u32::from_le_bytes([first, second, chance(biome.cover_chance, cover), 0]);
        }
        for (kind, (log, leaf, [trunk, more], layers)) in parameters.kinds.iter_mut().zip(TREES) {
            let [low, high] = [0, 4].map(|from| u32::from_le_bytes(std::array::from_fn(|n| layers[from + n])));
            *kind = Kind {
                log: u32::from(maker.entry(log)?),
                leaf: u32::from(maker.entry(leaf)?),
                trunk,
                more: more as u32,
                layers: [low, high],
                unused: [0; 2],
            };
        }
        Ok(Self(parameters))
    }
}

impl Stage for Plants {
    fn name(&self) -> &str {
        "plants"
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let origin = draft.pos().origin().to_array();
        let (low, high) = heights(context.maps, REACH);
        if origin[1] + 32 <= low || origin[1] > high + TALLEST {
            return Ok(());
        }
        let mut planting = Planting { parameters: &self.0, origin, maps: context.maps, draft };
        planting.cover();
        planting.trees();
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "plants", maps: false, blocks: true, parameters: words(&self.0) })
    }
}

/// Least and greatest height up to `reach` voxels beyond the chunk.
pub(super) fn heights(maps: &Maps, reach: i32) -> (i32, i32) {
    let cells = maps.layer(Layer::Height);
    let mut bounds = (i32::MAX, i32::MIN);
    for z in -reach..32 + reach {
        let row = &cells[super::super::stage::cell(-reach, z)..][..(32 + 2 * reach) as usize];
        bounds = row.iter().fold(bounds, |(low, high), h| (low.min(i32::from(*h)), high.max(i32::from(*h))));
    }
    bounds
}

/// Whether the ground at a place, relative to the chunk, is just its height: no overhang, no cave that opens there.
#[inline]
pub(super) fn is_plain(maps: &Maps, x: i32, z: i32) -> bool {
    maps.at(Layer::Overhang, x, z) == 0 && maps.at(Layer::CaveTop, x, z) < maps.at(Layer::Height, x, z)
}

struct Planting<'a> {
    parameters: &'a Parameters,
    origin: [i32; 3],
    maps: &'a Maps,
    draft: &'a mut Draft,
}

impl Planting<'_> {
    /// One voxel of cover on the ground: on dry ground in air, under water in water.
    fn cover(&mut self) {
        let [x0, y0, z0] = self.origin;
        for (z, x) in (0..32).flat_map(|z| (0..32).map(move |x| (z, x))) {
            let y = i32::from(self.maps.at(Layer::Height, x, z)) - y0;
            let [first, second, chance, _] = self.parameters.cover[self.biome(x, z)].to_le_bytes();
            let roll = hash(x0 + x, 1, z0 + z, self.parameters.seed);
            if !(0..32).contains(&y) || roll & 255 >= u32::from(chance) || !is_plain(self.maps, x, z) {
                continue;
            }
            let wet = self.maps.at(Layer::Water, x, z) != NO_WATER;
            let index = (x + 32 * z + 1024 * y) as usize;
            if self.draft.get(index) == if wet { WATER } else { AIR } {
                self.draft.entries_mut()[index] = if roll >> 8 & 7 == 0 { second } else { first };
            }
        }
    }

    #[inline]
    fn biome(&self, x: i32, z: i32) -> usize {
        self.maps.at(Layer::Biome, x, z) as usize & (BIOMES_MAX - 1)
    }

    /// The trees of all cells that reach into the chunk, cell by cell along z, then x.
    fn trees(&mut self) {
        let [x0, _, z0] = self.origin;
        let cells = |at: i32| (at - REACH) >> CELL_BITS..=(at + 31 + REACH) >> CELL_BITS;
        for (k, i) in cells(z0).flat_map(|k| cells(x0).map(move |i| (k, i))) {
            let roll = hash(i, 2, k, self.parameters.seed);
            let (x, z) = ((i << CELL_BITS) + (roll & 3) as i32 - x0, (k << CELL_BITS) + (roll >> 2 & 3) as i32 - z0);
            let [first, second, chance, _] = self.parameters.trees[self.biome(x, z)].to_le_bytes();
            let dry = self.maps.at(Layer::Water, x, z) == NO_WATER;
            if roll >> 8 & 255 >= u32::from(chance) || !dry || !is_plain(self.maps, x, z) {
                continue;
            }
            let kind = if roll >> 16 & 3 == 0 { second } else { first };
            let kind = self.parameters.kinds[usize::from(kind) & (KINDS - 1)];
            let trunk = kind.trunk + ((roll >> 20) % kind.more) as i32;
            self.tree(&kind, trunk, [x, i32::from(self.maps.at(Layer::Height, x, z)) - self.origin[1], z]);
        }
    }

    /// One tree with its lowest log at `base`, relative to the chunk: leaves in air, logs through everything.
    fn tree(&mut self, kind: &Kind, trunk: i32, [bx, by, bz]: [i32; 3]) {
        if by > 31 || by + trunk < 0 {
            return;
        }
        let out = self.draft.entries_mut();
        let layers = kind.layers.map(u32::to_le_bytes);
        for layer in 0..LEAF_LAYERS as i32 {
            let (y, below) = (by + trunk - layer, i32::from(layers[layer as usize / 4][layer as usize % 4]));
            if below > 0 && (0..32).contains(&y) && y > by {
                leaves(out, kind.leaf as Entry, [bx, y, bz], below);
            }
        }
        if (0..32).contains(&bx) && (0..32).contains(&bz) {
            for y in by.max(0)..(by + trunk).min(32) {
                out[(bx + 32 * bz + 1024 * y) as usize] = kind.log as Entry;
            }
        }
    }
}

/// A disc of leaves in what is air of a layer.
fn leaves(out: &mut Entries, leaf: Entry, [bx, y, bz]: [i32; 3], below: i32) {
    for z in (bz - REACH).max(0)..=(bz + REACH).min(31) {
        for x in (bx - REACH).max(0)..=(bx + REACH).min(31) {
            let index = (x + 32 * z + 1024 * y) as usize;
            if (x - bx).pow(2) + (z - bz).pow(2) < below && out[index] == AIR {
                out[index] = leaf;
            }
        }
    }
}
