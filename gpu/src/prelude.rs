//! The numbers that Rust owns and WGSL needs, as the text that stands before every shader. The build script compiles this file
//! too, so it depends on `terrane-world` alone.

use std::fmt::Write as _;
use terrane_world::generate::noise;
use terrane_world::generate::stage::{LAYERS, Layer, MAP_CELLS, MAP_EDGE, MAP_MARGIN, NO_WATER};
use terrane_world::generate::terrain::{self, biomes};
use terrane_world::limits;
use terrane_world::relax::{EXITS, FACES};

/// Invocations of one workgroup: one for four voxels along x and one z of a chunk, or for one cell of a map.
pub const GROUP: u32 = 256;
/// Workgroups for the maps of one footprint.
pub const MAP_GROUPS: u32 = MAP_CELLS as u32 / GROUP;
/// Words of four voxels in one chunk.
pub const CHUNK_WORDS: usize = limits::CHUNK_VOXELS / 4;
/// Words of the maps of one footprint, a cell in each.
pub const MAPS_WORDS: usize = LAYERS * MAP_CELLS;
/// Chunks around one and itself, in the order x fastest, then z, then y.
pub const AROUND: usize = 27;
/// The number of no slot: a chunk outside the world, or one that the batch does without.
pub const NONE: u32 = u32::MAX;

/// Edge of the tiles of voxels that one workgroup of relaxation or labelling holds in its own memory.
pub const TILE_EDGE: usize = 16;
/// Voxels of a tile.
pub const TILE_VOXELS: usize = TILE_EDGE * TILE_EDGE * TILE_EDGE;
/// Tiles of a chunk.
pub const TILES: usize = limits::CHUNK_VOXELS / TILE_VOXELS;
/// Most workgroups along one dimension of a dispatch: the least that every interface allows.
pub const GROUPS_MAX: u32 = u16::MAX as u32;
/// In the place of where a chunk's classes begin: all its voxels are of the class in the low byte.
pub const ONE_CLASS: u32 = 1 << 31;
/// In the place of the voxel that a voxel hangs on: this is a component's first voxel, and its number is below this bit.
pub const NUMBERED: u32 = 1 << 31;

const _: () = assert!(TILE_EDGE * TILE_EDGE == GROUP as usize, "an invocation for each line of a tile");
const _: () = assert!(GROUP as usize == limits::CHUNK_EDGE * limits::CHUNK_EDGE / 4);

/// `MouthOfCave` as `MOUTH_OF_CAVE`.
fn shouted(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}

/// One part of the steps of [`EXITS`], plus 1, in two bits for each exit: the first 16 exits, and the others.
fn packed_steps(axis: usize) -> [u32; 2] {
    let mut words = [0; 2];
    for (exit, step) in EXITS.iter().enumerate() {
        words[exit / 16] |= ((step[axis] + 1) as u32) << (2 * (exit % 16));
    }
    words
}

/// The constants as WGSL.
pub fn prelude() -> String {
    let mut text =
        String::from("// The numbers of this part are made from the Rust code; gpu/src/prelude.rs has the list.\n");
    let mut unsigned = |name: &str, value: u32| {
        let _ = writeln!(text, "const {name}: u32 = {value}u;");
    };
    unsigned("GROUP", GROUP);
    unsigned("NONE", NONE);
    unsigned("AROUND", AROUND as u32);
    unsigned("CHUNK_EDGE", limits::CHUNK_EDGE as u32);
    unsigned("CHUNK_WORDS", CHUNK_WORDS as u32);
    unsigned("MAP_EDGE", MAP_EDGE as u32);
    unsigned("MAP_CELLS", MAP_CELLS as u32);
    unsigned("LAYERS", LAYERS as u32);
    for layer in Layer::ALL {
        unsigned(&format!("LAYER_{}", shouted(&format!("{layer:?}"))), layer as u32);
    }
    let entries =
        [("AIR", terrain::AIR), ("WATER", terrain::WATER), ("LAVA", terrain::LAVA), ("STONE", terrain::STONE)];
    for (name, entry) in entries {
        unsigned(name, u32::from(entry));
    }
    for (number, biome) in (0..).zip(&biomes::BIOMES) {
        unsigned(&format!("BIOME_{}", biome.name.to_uppercase()), number);
    }
    unsigned("BIOMES_MAX", biomes::BIOMES_MAX as u32);
    unsigned("SOIL_MAX", u32::from(biomes::SOIL_MAX));
    unsigned("SHIFT_2D", noise::SHIFT_2D);
    unsigned("SHIFT_3D", noise::SHIFT_3D);
    unsigned("OCTAVES_MAX", noise::OCTAVES_MAX);
    unsigned("WARP_STEP", noise::WARP_STEP);
    unsigned("CHUNK_VOXELS", limits::CHUNK_VOXELS as u32);
    unsigned("TILE_VOXELS", TILE_VOXELS as u32);
    unsigned("TILE_WORDS", TILE_VOXELS as u32 / 4);
    unsigned("TILES", TILES as u32);
    unsigned("GROUPS_MAX", GROUPS_MAX);
    unsigned("ONE_CLASS", ONE_CLASS);
    unsigned("NUMBERED", NUMBERED);
    unsigned("FACES", FACES);
    for (axis, name) in ["X", "Y", "Z"].into_iter().enumerate() {
        let [low, high] = packed_steps(axis);
        unsigned(&format!("EXIT_{name}_LOW"), low);
        unsigned(&format!("EXIT_{name}_HIGH"), high);
    }
    let mut signed = |name: &str, value: i32| {
        let _ = writeln!(text, "const {name}: i32 = {value}i;");
    };
    signed("MAP_MARGIN", MAP_MARGIN);
    signed("NO_WATER", i32::from(NO_WATER));
    signed("HORIZONTAL_BOUND", limits::HORIZONTAL_BOUND);
    signed("VERTICAL_BOUND", limits::VERTICAL_BOUND);
    text
}
