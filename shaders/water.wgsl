// Rivers, lakes and the sea: the twin of water.rs, which explains it.
//!include stage
//!include noise
//!include extent

// Parameters: seed, y of the sea, noise of a river's width, noise from which a lake begins, the entry of ice.
const SEED: u32 = 0u;
const SEA: u32 = 1u;
const WIDTH: u32 = 2u;
const LAKES: u32 = 3u;
const ICE: u32 = 4u;

// Colder water has ice on it.
const FREEZING: i32 = -2600;

// The height with valleys and hollows taken out of it.
fn hollowed(height: i32, rivers: i32, lakes: i32) -> i32 {
    let sea = parameter(SEA);
    let near = clamp(parameter(WIDTH) + 1024 - abs(rivers), 0, 1024);
    let strength = clamp(sea + 96 - height, 0, 64);
    let drawn = (max(height - (sea - 4), 0) * ((near * near) >> 10u)) >> 10u;
    let valley = height - ((drawn * strength) >> 6u);
    let deep = clamp((lakes - parameter(LAKES)) >> 6u, 0, 28) * clamp(sea + 24 - valley, 0, 16);
    return valley - min(deep >> 4u, max(valley - (sea - 7), 0));
}

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let cell = group.x * GROUP + invocation;
    let x = footprints[group.y].x + i32(cell % MAP_EDGE);
    let z = footprints[group.y].z + i32(cell / MAP_EDGE);
    let seed = parameters[SEED];
    let there = warp2(x, z, Warp(Octaves(7u, 7u, 2u, seed + 100u), 24));
    let rivers = fractal2(there.x, there.y, Octaves(9u, 9u, 2u, seed));
    let lakes = fractal2(x, z, Octaves(8u, 8u, 3u, seed + 200u));
    let at = cell_index(group.y, cell);
    let sea = parameter(SEA);
    let height = hollowed(cells[at + LAYER_HEIGHT * MAP_CELLS], rivers, lakes);
    let overhang = min(cells[at + LAYER_OVERHANG * MAP_CELLS], max(height - sea - 3, 0));
    cells[at + LAYER_HEIGHT * MAP_CELLS] = wrap16(height);
    cells[at + LAYER_OVERHANG * MAP_CELLS] = wrap16(overhang);
    cells[at + LAYER_WATER * MAP_CELLS] = select(NO_WATER, wrap16(sea), height <= sea);
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let footprint = chunks[slot].footprint;
    let x = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    let surface = ground4(footprint, LAYER_WATER, x, z);
    let bounds = extent(ground4(footprint, LAYER_HEIGHT, x, z), surface, invocation);
    let y0 = chunks[slot].y;
    if y0 > bounds.y || y0 + 32 <= bounds.x {
        return;
    }
    let cold = ground4(footprint, LAYER_TEMPERATURE, x, z) < vec4<i32>(FREEZING);
    for (var row = 0; row < 32; row++) {
        let y = vec4<i32>(y0 + row);
        let at = word_index(slot, invocation) + u32(row) * GROUP;
        let entries = voxels(after[at]);
        let wet = select(vec4<u32>(WATER), vec4<u32>(parameters[ICE]), (surface == y) & cold);
        let filled = (entries == vec4<u32>(AIR)) & (surface >= y);
        if any(filled) {
            after[at] = word_of(select(entries, wet, filled));
        }
    }
}
