// What is ground and what is air: the twin of density.rs, which explains it.
//!include stage
//!include column
//!include extent
//!include terrain

// Parameters: seed, most voxels of overhang, y of the floor.
const SEED: u32 = 0u;
const OVERHANG: u32 = 1u;
const FLOOR: u32 = 2u;

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let cell = group.x * GROUP + invocation;
    let x = footprints[group.y].x + i32(cell % MAP_EDGE);
    let z = footprints[group.y].z + i32(cell / MAP_EDGE);
    let cliffs = fractal2(x, z, Octaves(7u, 7u, 2u, parameters[SEED] + 100u));
    let at = cell_index(group.y, cell);
    let rises = rise(cells[at + LAYER_CONTINENT * MAP_CELLS], cells[at + LAYER_EROSION * MAP_CELLS]);
    let overhang = min(clamp((cliffs - 1200) >> 6u, 0, parameter(OVERHANG)), rises >> 6u);
    cells[at + LAYER_OVERHANG * MAP_CELLS] = wrap16(overhang);
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let footprint = chunks[slot].footprint;
    let x = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    let height = ground4(footprint, LAYER_HEIGHT, x, z);
    let overhang = max(ground4(footprint, LAYER_OVERHANG, x, z), vec4<i32>(0));
    let bounds = extent(height - overhang, height + overhang, invocation);
    let y0 = chunks[slot].y;
    if y0 >= bounds.y {
        return;
    }
    // Where the four voxels have no overhang, or y is beyond their bounds, noise does not matter.
    let low = min(min(height.x - overhang.x, height.y - overhang.y), min(height.z - overhang.z, height.w - overhang.w));
    let high = max(max(height.x + overhang.x, height.y + overhang.y), max(height.z + overhang.z, height.w + overhang.w));
    let bulges = any(overhang > vec4<i32>(0));
    let most = overhang << vec4<u32>(4u);
    let octaves = Octaves(5u, 4u, 3u, parameters[SEED]);
    var first = column(chunks[slot].x + x, chunks[slot].z + z, octaves, 0u);
    var second = column(chunks[slot].x + x, chunks[slot].z + z, octaves, 1u);
    var third = column(chunks[slot].x + x, chunks[slot].z + z, octaves, 2u);
    for (var row = 0; row < 32; row++) {
        let y = y0 + row;
        let way = (height - vec4<i32>(y)) << vec4<u32>(4u);
        var bulge = vec4<i32>(0);
        if bulges && y >= low && y < high {
            let noise = wrapped4(column_at(&first, y) + column_at(&second, y) + column_at(&third, y));
            bulge = clamp(scale4(noise, most << vec4<u32>(4u)), -most, most);
        }
        let is_ground = (way + bulge > vec4<i32>(0)) & vec4<bool>(y >= parameter(FLOOR));
        let entries = select(vec4<u32>(AIR), vec4<u32>(STONE), is_ground);
        after[word_index(slot, invocation) + u32(row) * GROUP] = word_of(entries);
    }
}
