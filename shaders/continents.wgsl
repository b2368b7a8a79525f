// Where land is and how high: the twin of continents.rs, which explains it.
//!include stage
//!include noise
//!include terrain

// Parameters: seed, spacing as a power of two, what is added to the noise of continents, height of mountains out of 128.
const SEED: u32 = 0u;
const SPACING_BITS: u32 = 1u;
const LAND: u32 = 2u;
const MOUNTAINS: u32 = 3u;

// One piece of the line from the noise of continents to heights, in steps of a 4096th.
fn piece(continent: i32, lower: i32, low: i32, upper: i32, high: i32) -> i32 {
    return (clamp(continent, lower, upper) - lower) * (((high - low) << 12u) / (upper - lower));
}

fn profile(continent: i32) -> i32 {
    var height = 14i << 12u;
    height += piece(continent, -12000, 14, -4000, 34);
    height += piece(continent, -4000, 34, -1100, 54);
    height += piece(continent, -1100, 54, -200, 63);
    height += piece(continent, -200, 63, 1500, 69);
    height += piece(continent, 1500, 69, 6000, 84);
    height += piece(continent, 6000, 84, 14000, 100);
    return height >> 12u;
}

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let cell = group.x * GROUP + invocation;
    let x = footprints[group.y].x + i32(cell % MAP_EDGE);
    let z = footprints[group.y].z + i32(cell / MAP_EDGE);
    let seed = parameters[SEED];
    let bits = parameters[SPACING_BITS];
    let there = warp2(x, z, Warp(Octaves(8u, 8u, 2u, seed + 100u), 40));
    let noise = fractal2(there.x, there.y, Octaves(bits, bits, 5u, seed));
    let erosion = fractal2(x, z, Octaves(bits, bits, 3u, seed + 200u));
    let ridges = fractal2(x, z, Octaves(8u, 8u, 4u, seed + 300u));
    let hills = fractal2(x, z, Octaves(6u, 6u, 4u, seed + 400u));

    let land = clamp(noise + parameter(LAND), -32768, 32767);
    let rises = rise(land, erosion);
    let ridge = max(5000 - 2 * abs(ridges), 0);
    let mountain = (((rises * ridge) >> 17u) * parameter(MOUNTAINS)) >> 7u;
    let hill = (hills * (40 + (rises >> 4u))) >> 15u;
    let at = cell_index(group.y, cell);
    cells[at + LAYER_CONTINENT * MAP_CELLS] = land;
    cells[at + LAYER_EROSION * MAP_CELLS] = erosion;
    cells[at + LAYER_HEIGHT * MAP_CELLS] = clamp(profile(land) + mountain + hill, -110, 310);
}
