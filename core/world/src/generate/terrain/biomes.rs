//! The biomes of version 1: names, soils, what grows there, and colours for maps.

/// Numbers of biomes, as in [`crate::generate::stage::Layer::Biome`].
pub const DEEP_OCEAN: u8 = 0;
/// See [`DEEP_OCEAN`].
pub const OCEAN: u8 = 1;
/// See [`DEEP_OCEAN`].
pub const FROZEN_OCEAN: u8 = 2;
/// Rivers, and lakes of the land.
pub const RIVER: u8 = 3;
/// See [`DEEP_OCEAN`].
pub const BEACH: u8 = 4;
/// See [`DEEP_OCEAN`].
pub const PLAINS: u8 = 5;
/// See [`DEEP_OCEAN`].
pub const FOREST: u8 = 6;
/// See [`DEEP_OCEAN`].
pub const BIRCH_FOREST: u8 = 7;
/// See [`DEEP_OCEAN`].
pub const DARK_FOREST: u8 = 8;
/// See [`DEEP_OCEAN`].
pub const TAIGA: u8 = 9;
/// See [`DEEP_OCEAN`].
pub const SNOWY_PLAINS: u8 = 10;
/// See [`DEEP_OCEAN`].
pub const SNOWY_TAIGA: u8 = 11;
/// See [`DEEP_OCEAN`].
pub const SWAMP: u8 = 12;
/// See [`DEEP_OCEAN`].
pub const DESERT: u8 = 13;
/// See [`DEEP_OCEAN`].
pub const SAVANNA: u8 = 14;
/// See [`DEEP_OCEAN`].
pub const BADLANDS: u8 = 15;
/// See [`DEEP_OCEAN`].
pub const JUNGLE: u8 = 16;
/// See [`DEEP_OCEAN`].
pub const MEADOW: u8 = 17;
/// See [`DEEP_OCEAN`].
pub const STONY_PEAKS: u8 = 18;
/// See [`DEEP_OCEAN`].
pub const SNOWY_PEAKS: u8 = 19;

/// One biome.
#[derive(Debug, Clone, Copy)]
pub struct Biome {
    /// Its name, in settings and on maps.
    pub name: &'static str,
    /// Red, green, blue on maps.
    pub colour: [u8; 3],
    /// The topmost block of dry ground, what lies below it, and the topmost block under water.
    pub soil: [&'static str; 3],
    /// How many voxels deep the soil is, at most [`SOIL_MAX`].
    pub soil_depth: u8,
    /// Kinds of trees, by number in `plants.rs`, and of how many places one has a tree; 0 for none.
    pub trees: [u8; 2],
    /// Of 256 places, how many have a tree.
    pub tree_chance: u8,
    /// Plants that cover the ground, the first more often.
    pub cover: [&'static str; 2],
    /// Of 256 places, how many are covered.
    pub cover_chance: u8,
}

/// Deepest soil.
pub const SOIL_MAX: u8 = 5;

const GRASSY: [&str; 3] = ["grass_block", "dirt", "dirt"];
const SANDY: [&str; 3] = ["sand", "sand", "sand"];
const SNOWY: [&str; 3] = ["snow_block", "dirt", "gravel"];

const fn biome(
    name: &'static str,
    colour: [u8; 3],
    (soil, soil_depth): ([&'static str; 3], u8),
    (trees, tree_chance): ([u8; 2], u8),
    (cover, cover_chance): ([&'static str; 2], u8),
) -> Biome {
    Biome { name, colour, soil, soil_depth, trees, tree_chance, cover, cover_chance }
}

const NO_TREES: ([u8; 2], u8) = ([0, 0], 0);
const NO_COVER: ([&str; 2], u8) = (["short_grass", "short_grass"], 0);
const SEAWEED: [&str; 2] = ["seagrass", "seagrass"];

/// All biomes, by number. Trees: 0 oak, 1 birch, 2 spruce, 3 jungle, 4 acacia, 5 dark oak, 6 cactus, 7 shrub.
pub const BIOMES: [Biome; 20] = [
    biome("deep_ocean", [24, 48, 112], (["gravel", "gravel", "gravel"], 3), NO_TREES, (SEAWEED, 6)),
    biome("ocean", [42, 82, 160], (["sand", "sand", "gravel"], 3), NO_TREES, (SEAWEED, 40)),
    biome("frozen_ocean", [150, 178, 216], (["gravel", "gravel", "gravel"], 3), NO_TREES, NO_COVER),
    biome("river", [64, 118, 196], (["grass_block", "dirt", "clay"], 3), NO_TREES, (SEAWEED, 24)),
    biome("beach", [226, 214, 160], (SANDY, 4), NO_TREES, NO_COVER),
    biome("plains", [142, 190, 96], (GRASSY, 4), ([0, 7], 3), (["short_grass", "dandelion"], 60)),
    biome("forest", [74, 138, 62], (GRASSY, 4), ([0, 1], 150), (["short_grass", "poppy"], 36)),
    biome("birch_forest", [110, 160, 84], (GRASSY, 4), ([1, 0], 130), (["short_grass", "dandelion"], 36)),
    biome("dark_forest", [44, 96, 44], (GRASSY, 4), ([5, 0], 210), (["brown_mushroom", "fern"], 16)),
    biome("taiga", [58, 112, 88], (GRASSY, 4), ([2, 2], 140), (["fern", "short_grass"], 50)),
    biome("snowy_plains", [238, 242, 246], (SNOWY, 4), ([2, 2], 2), NO_COVER),
    biome("snowy_taiga", [190, 212, 212], (SNOWY, 4), ([2, 2], 120), NO_COVER),
    biome(
        "swamp",
        [92, 112, 62],
        (["grass_block", "dirt", "mud"], 4),
        ([0, 7], 50),
        (["short_grass", "brown_mushroom"], 70),
    ),
    biome("desert", [238, 210, 128], (["sand", "sandstone", "sand"], 5), ([6, 6], 5), NO_COVER),
    biome("savanna", [188, 178, 84], (GRASSY, 4), ([4, 7], 26), (["short_grass", "tall_grass"], 90)),
    biome("badlands", [206, 112, 62], (["red_sand", "terracotta", "red_sand"], 5), ([6, 7], 2), NO_COVER),
    biome("jungle", [48, 148, 32], (GRASSY, 4), ([3, 7], 190), (["fern", "melon"], 60)),
    biome("meadow", [128, 186, 128], (GRASSY, 3), ([2, 1], 6), (["short_grass", "dandelion"], 90)),
    biome("stony_peaks", [136, 136, 136], (["stone", "stone", "stone"], 1), NO_TREES, NO_COVER),
    biome("snowy_peaks", [250, 252, 255], (["snow_block", "snow_block", "stone"], 3), NO_TREES, NO_COVER),
];

/// The number of a biome by its name.
pub fn number(name: &str) -> Option<u8> {
    BIOMES.iter().position(|biome| biome.name == name).map(|number| number as u8)
}

/// Most biomes there can be: a set of them is one word.
pub const BIOMES_MAX: usize = 32;
const _: () = assert!(BIOMES.len() <= BIOMES_MAX);
