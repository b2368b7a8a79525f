// Small structures: the twin of structures.rs, which explains it.
//!include stage
//!include noise
//!include terrain

// Parameters: seed, of how many cells one has a structure, the entry of each block by its number.
const SEED: u32 = 0u;
const ONE_IN: u32 = 1u;
const ENTRIES: u32 = 2u;

// Places along one edge of a cell, as a power of two.
const CELL_BITS: u32 = 6u;
// How far a structure reaches sideways, up and down from the place its middle stands on.
const REACH: i32 = 7;
const ABOVE: i32 = 7;
const BELOW: i32 = 4;

// Number of no block: what was there stays.
const NOTHING: u32 = NONE;

fn boulder(shape: u32, grain: u32, x: i32, y: i32, z: i32) -> u32 {
    let radius = 2 + i32((shape >> 14u) & 1u);
    return select(NOTHING, 1u + grain % 3u, x * x + y * y + z * z <= radius * radius + 1);
}

// Walls of uneven height around a floor with gaps; a foundation below the walls.
fn ruin(shape: u32, grain: u32, x: i32, y: i32, z: i32) -> u32 {
    let reach = max(abs(x), abs(z));
    let wall = 4 + i32((shape >> 14u) & 1u);
    let top = i32(hash(x, 0, z, shape) & 3u);
    if reach == wall && y <= top {
        return select(4u, 1u, (grain & 3u) == 0u);
    }
    if reach < wall && y == -1 && ((grain >> 2u) & 3u) != 0u {
        return select(1u, 2u, (grain & 1u) == 0u);
    }
    return select(NOTHING, 0u, reach < wall && y >= 0 && y < 4);
}

// Eight stones in a ring, moss in the middle.
fn stones(shape: u32, grain: u32, x: i32, y: i32, z: i32) -> u32 {
    let far = max(abs(x), abs(z));
    let near = min(abs(x), abs(z));
    let is_stone = (far == 6 && near == 0) || (far == 4 && near == 4);
    let tall = 2 + i32(hash(x, 0, z, shape) & 1u);
    if is_stone && y <= tall {
        return select(3u, 1u, (grain & 3u) == 0u);
    }
    if x == 0 && z == 0 && y == 0 {
        return 8u;
    }
    return select(NOTHING, 10u, x * x + z * z <= 5 && y == -1);
}

// The walls and the room of a hut, from its floor to below its roof.
fn room(grain: u32, x: i32, y: i32, z: i32) -> u32 {
    let far = max(abs(x), abs(z));
    let near = min(abs(x), abs(z));
    if z == -3 && x == 0 && y < 2 {
        return 0u;
    }
    if far == 3 {
        return select(select(5u, 7u, near == 0 && y == 1), 6u, near == 3);
    }
    if y == 2 && far == 0 {
        return 8u;
    }
    return select(0u, 11u, y < 2 && z == 2 && x != 0 && (grain & 1u) == 0u);
}

// Four walls with a door and windows, a roof, a lamp.
fn hut(grain: u32, x: i32, y: i32, z: i32) -> u32 {
    let far = max(abs(x), abs(z));
    if far > 3 {
        return select(NOTHING, 9u, far == 4 && y == 3);
    }
    if y < -1 {
        return 2u;
    }
    if y == -1 {
        return 5u;
    }
    if y < 3 {
        return room(grain, x, y, z);
    }
    return select(NOTHING, 9u, y == 3 || (y == 4 && far <= 2));
}

// The number of the block at a place relative to the first voxel above the ground in the structure's middle.
fn block_of(shape: u32, x: i32, y: i32, z: i32) -> u32 {
    let grain = hash(x, y, z, shape);
    switch (shape >> 12u) & 3u {
        case 0u: {
            return boulder(shape, grain, x, y, z);
        }
        case 1u: {
            return ruin(shape, grain, x, y, z);
        }
        case 2u: {
            return stones(shape, grain, x, y, z);
        }
        default: {
            return hut(grain, x, y, z);
        }
    }
}

// What of a structure lies in the invocation's voxels.
fn place(slot: u32, x0: i32, z: i32, shape: u32, base: vec3<i32>) {
    if abs(z - base.z) > REACH {
        return;
    }
    for (var y = max(base.y - BELOW, 0); y <= min(base.y + ABOVE, 31); y++) {
        for (var x = max(base.x - REACH, x0); x <= min(base.x + REACH, x0 + 3); x++) {
            let block = block_of(shape, x - base.x, y - base.y, z - base.z);
            if block != NOTHING {
                replace_entry(slot, x, y, z, parameters[ENTRIES + block]);
            }
        }
    }
}

// The structure of a cell, if it has one that reaches into the chunk.
fn structure_of(slot: u32, x0: i32, z0: i32, i: i32, k: i32) {
    let footprint = chunks[slot].footprint;
    let shape = hash(i, 4, k, parameters[SEED]);
    let x = (i << CELL_BITS) + i32(shape & 63u) - chunks[slot].x;
    let z = (k << CELL_BITS) + i32((shape >> 6u) & 63u) - chunks[slot].z;
    let reached = x >= -REACH && x < 32 + REACH && z >= -REACH && z < 32 + REACH;
    if !reached || hash(i, 3, k, parameters[SEED]) % parameters[ONE_IN] != 0u {
        return;
    }
    if ground(footprint, LAYER_WATER, x, z) == NO_WATER && is_plain(footprint, x, z) {
        place(slot, x0, z0, shape, vec3<i32>(x, ground(footprint, LAYER_HEIGHT, x, z) - chunks[slot].y, z));
    }
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let x0 = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    let last_i = (chunks[slot].x + 31 + REACH) >> CELL_BITS;
    let last_k = (chunks[slot].z + 31 + REACH) >> CELL_BITS;
    for (var k = (chunks[slot].z - REACH) >> CELL_BITS; k <= last_k; k++) {
        for (var i = (chunks[slot].x - REACH) >> CELL_BITS; i <= last_i; i++) {
            structure_of(slot, x0, z, i, k);
        }
    }
}
