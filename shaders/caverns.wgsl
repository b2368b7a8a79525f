// Tunnels and caverns: the twin of caverns.rs, which explains it.
//!include stage
//!include column

// Parameters: seed, noise of tunnels, noise of caverns, y below which there is lava, y of the lowest open voxel, y of the sea.
const SEED: u32 = 0u;
const TUNNEL: u32 = 1u;
const CAVERN: u32 = 2u;
const LAVA_BELOW: u32 = 3u;
const LOWEST: u32 = 4u;
const SEA: u32 = 5u;

// Voxels of ground above a tunnel, where it may not open to the sky, and above a cavern.
const ROOF: i32 = 7;
const CAVERN_ROOF: i32 = 20;

const NEIGHBOURS: array<vec2<i32>, 9> = array<vec2<i32>, 9>(
    vec2<i32>(-3, 0), vec2<i32>(3, 0), vec2<i32>(0, -3), vec2<i32>(0, 3), vec2<i32>(0, 0),
    vec2<i32>(-2, -2), vec2<i32>(2, -2), vec2<i32>(-2, 2), vec2<i32>(2, 2),
);

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let cell = group.x * GROUP + invocation;
    let place = vec2<i32>(i32(cell % MAP_EDGE), i32(cell / MAP_EDGE));
    let octaves = Octaves(6u, 6u, 2u, parameters[SEED] + 30u);
    let mouth = fractal2(footprints[group.y].x + place.x, footprints[group.y].z + place.y, octaves);
    let at = cell_index(group.y, cell);
    let height = cells[at + LAYER_HEIGHT * MAP_CELLS];
    var wet = false;
    var lowest = height;
    var neighbours = NEIGHBOURS;
    for (var n = 0; n < 9; n++) {
        let there = clamp(place + neighbours[n], vec2<i32>(0), vec2<i32>(i32(MAP_EDGE) - 1));
        let near = cell_index(group.y, u32(there.x) + MAP_EDGE * u32(there.y));
        wet = wet || cells[near + LAYER_WATER * MAP_CELLS] != NO_WATER;
        lowest = min(lowest, cells[near + LAYER_HEIGHT * MAP_CELLS]);
    }
    var top = height - ROOF;
    if wet {
        top = lowest - ROOF;
    } else if mouth > 3400 && height > parameter(SEA) + 3 {
        top = height + cells[at + LAYER_OVERHANG * MAP_CELLS];
    }
    cells[at + LAYER_CAVE_TOP * MAP_CELLS] = wrap16(top);
}

// For each of four voxels along x a bit for each row, where the noise is above `low` and below `high`.
fn rows_between(x: i32, y0: i32, z: i32, first: i32, end: i32, seed: u32, low: i32, high: i32) -> vec4<u32> {
    let octaves = Octaves(6u, 5u, 2u, seed);
    var coarse = column(x, z, octaves, 0u);
    var fine = column(x, z, octaves, 1u);
    var rows = vec4<u32>(0u);
    for (var row = first; row < end; row++) {
        let noise = wrapped4(column_at(&coarse, y0 + row) + column_at(&fine, y0 + row));
        let inside = (noise > vec4<i32>(low)) & (noise < vec4<i32>(high));
        rows |= select(vec4<u32>(0u), vec4<u32>(1u << u32(row)), inside);
    }
    return rows;
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let footprint = chunks[slot].footprint;
    let x = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    let y0 = chunks[slot].y;
    let top = ground4(footprint, LAYER_CAVE_TOP, x, z);
    let highest = max(max(top.x, top.y), max(top.z, top.w));
    let first = clamp(parameter(LOWEST) - y0, 0, 32);
    let end = clamp(highest - y0, 0, 32);
    if first >= end {
        return;
    }
    let at_x = chunks[slot].x + x;
    let at_z = chunks[slot].z + z;
    let seed = parameters[SEED];
    let tunnel = parameter(TUNNEL);
    var open = rows_between(at_x, y0, at_z, first, end, seed, -tunnel, tunnel);
    if any(open != vec4<u32>(0u)) {
        open &= rows_between(at_x, y0, at_z, first, end, seed + 10u, -tunnel, tunnel);
    }
    let rooms = rows_between(at_x, y0, at_z, first, end, seed + 20u, parameter(CAVERN), 0x7FFF + 1);
    let roof = ground4(footprint, LAYER_HEIGHT, x, z) - vec4<i32>(CAVERN_ROOF);
    for (var row = first; row < end; row++) {
        let y = vec4<i32>(y0 + row);
        let bit = vec4<u32>(1u << u32(row));
        let in_tunnel = (open & bit) != vec4<u32>(0u);
        let in_cavern = ((rooms & bit) != vec4<u32>(0u)) & (y < roof);
        let opened = (in_tunnel | in_cavern) & (y < top);
        if any(opened) {
            let at = word_index(slot, invocation) + u32(row) * GROUP;
            let entries = voxels(after[at]);
            let room = select(AIR, LAVA, y0 + row < parameter(LAVA_BELOW));
            after[at] = word_of(select(entries, vec4<u32>(room), opened & (entries > vec4<u32>(LAVA))));
        }
    }
}
