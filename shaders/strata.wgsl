// Layers of rock: the twin of strata.rs, which explains it.
//!include stage
//!include noise

// Parameters: seed, y below which deep rocks begin, 16 rocks, 16 deep rocks.
const SEED: u32 = 0u;
const DEEP: u32 = 1u;
const ROCKS: u32 = 2u;
const DEEP_ROCKS: u32 = 18u;

// Voxels of a band, as a power of two.
const BAND_BITS: u32 = 3u;

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let cell = group.x * GROUP + invocation;
    let x = footprints[group.y].x + i32(cell % MAP_EDGE);
    let z = footprints[group.y].z + i32(cell / MAP_EDGE);
    let tilt = fractal2(x, z, Octaves(8u, 8u, 3u, parameters[SEED] + 100u)) >> 7u;
    cells[cell_index(group.y, cell) + LAYER_TILT * MAP_CELLS] = tilt;
}

// The rock of a band.
fn rock(band: i32) -> u32 {
    let kind = hash(band, 0, 0, parameters[SEED]) & 15u;
    return parameters[select(ROCKS, DEEP_ROCKS, (band << BAND_BITS) < parameter(DEEP)) + kind];
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let tilt = ground4(chunks[slot].footprint, LAYER_TILT, 4 * i32(invocation % 8u), i32(invocation / 8u));
    let y0 = chunks[slot].y;
    var bands = vec4<i32>(-0x7FFFFFFF);
    var rocks = vec4<u32>(STONE);
    for (var row = 0; row < 32; row++) {
        let at = word_index(slot, invocation) + u32(row) * GROUP;
        let entries = voxels(after[at]);
        let stone = entries == vec4<u32>(STONE);
        if !any(stone) {
            continue;
        }
        let there = (vec4<i32>(y0 + row) + tilt) >> vec4<u32>(BAND_BITS);
        if any(there != bands) {
            bands = there;
            rocks = vec4<u32>(rock(there.x), rock(there.y), rock(there.z), rock(there.w));
        }
        after[at] = word_of(select(entries, rocks, stone));
    }
}
