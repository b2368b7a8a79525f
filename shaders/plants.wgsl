// Vegetation: the twin of plants.rs, which explains it. An invocation looks at the trees that reach into its own voxels.
//!include stage
//!include noise
//!include terrain

// Parameters: seed, y of the sea; by biome two kinds of trees and of 256 places how many have one; by biome two entries and of
// 256 places how many are covered; 8 words for each kind of tree: log, leaf, least height, number of heights, two words of
// layers, two of nothing.
const SEED: u32 = 0u;
const TREES: u32 = 2u;
const COVER: u32 = TREES + BIOMES_MAX;
const KINDS: u32 = COVER + BIOMES_MAX;
const KIND_WORDS: u32 = 8u;
const KIND_COUNT: u32 = 8u;

// Places along one edge of a tree's cell, as a power of two.
const CELL_BITS: u32 = 2u;
// How far leaves reach from the trunk.
const REACH: i32 = 4;
// Layers of leaves of one kind of tree.
const LEAF_LAYERS: i32 = 8;

fn biome_at(footprint: u32, x: i32, z: i32) -> u32 {
    return u32(ground(footprint, LAYER_BIOME, x, z)) & (BIOMES_MAX - 1u);
}

// One voxel of cover on the ground: on dry ground in air, under water in water.
fn cover(slot: u32, x: i32, z: i32) {
    let footprint = chunks[slot].footprint;
    let y = ground(footprint, LAYER_HEIGHT, x, z) - chunks[slot].y;
    if y < 0 || y > 31 {
        return;
    }
    let plants = parameters[COVER + biome_at(footprint, x, z)];
    let roll = hash(chunks[slot].x + x, 1, chunks[slot].z + z, parameters[SEED]);
    if (roll & 255u) >= ((plants >> 16u) & 255u) || !is_plain(footprint, x, z) {
        return;
    }
    let wet = ground(footprint, LAYER_WATER, x, z) != NO_WATER;
    if entry_at(slot, x, y, z) == select(AIR, WATER, wet) {
        replace_entry(slot, x, y, z, (plants >> select(0u, 8u, ((roll >> 8u) & 7u) == 0u)) & 255u);
    }
}

// What of a tree lies in the invocation's voxels. Its lowest log is at `base`: leaves in air, logs through everything.
fn tree(slot: u32, x0: i32, z: i32, kind: u32, trunk: i32, base: vec3<i32>) {
    if base.y > 31 || base.y + trunk < 0 {
        return;
    }
    for (var layer = 0; layer < LEAF_LAYERS; layer++) {
        let y = base.y + trunk - layer;
        let below = i32((parameters[kind + 4u + u32(layer / 4)] >> (8u * u32(layer % 4))) & 255u);
        if below == 0 || y < 0 || y > 31 || y <= base.y {
            continue;
        }
        for (var x = max(base.x - REACH, x0); x <= min(base.x + REACH, x0 + 3); x++) {
            let dx = x - base.x;
            let dz = z - base.z;
            if dx * dx + dz * dz < below && entry_at(slot, x, y, z) == AIR {
                replace_entry(slot, x, y, z, parameters[kind + 1u]);
            }
        }
    }
    if base.z == z && base.x >= x0 && base.x < x0 + 4 {
        for (var y = max(base.y, 0); y < min(base.y + trunk, 32); y++) {
            replace_entry(slot, base.x, y, z, parameters[kind]);
        }
    }
}

// The tree of a cell, if it has one.
fn tree_of(slot: u32, x0: i32, z0: i32, i: i32, k: i32) {
    let footprint = chunks[slot].footprint;
    let roll = hash(i, 2, k, parameters[SEED]);
    let x = (i << CELL_BITS) + i32(roll & 3u) - chunks[slot].x;
    let z = (k << CELL_BITS) + i32((roll >> 2u) & 3u) - chunks[slot].z;
    let trees = parameters[TREES + biome_at(footprint, x, z)];
    let dry = ground(footprint, LAYER_WATER, x, z) == NO_WATER;
    if ((roll >> 8u) & 255u) >= ((trees >> 16u) & 255u) || !dry || !is_plain(footprint, x, z) {
        return;
    }
    let number = (trees >> select(0u, 8u, ((roll >> 16u) & 3u) == 0u)) & (KIND_COUNT - 1u);
    let kind = KINDS + KIND_WORDS * number;
    let trunk = parameter(kind + 2u) + i32((roll >> 20u) % parameters[kind + 3u]);
    tree(slot, x0, z0, kind, trunk, vec3<i32>(x, ground(footprint, LAYER_HEIGHT, x, z) - chunks[slot].y, z));
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let x0 = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    for (var n = 0; n < 4; n++) {
        cover(slot, x0 + n, z);
    }
    let first_i = (chunks[slot].x + x0 - REACH) >> CELL_BITS;
    let last_i = (chunks[slot].x + x0 + 3 + REACH) >> CELL_BITS;
    let last_k = (chunks[slot].z + z + REACH) >> CELL_BITS;
    for (var k = (chunks[slot].z + z - REACH) >> CELL_BITS; k <= last_k; k++) {
        for (var i = first_i; i <= last_i; i++) {
            tree_of(slot, x0, z, i, k);
        }
    }
}
