// The twin of the test stage `Mounds`: ground from noise, of two kinds by a hash.
//!include stage
//!include noise

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let cell = group.x * GROUP + invocation;
    let x = footprints[group.y].x + i32(cell % MAP_EDGE);
    let z = footprints[group.y].z + i32(cell / MAP_EDGE);
    let noise = fractal2(x, z, Octaves(6u, 6u, 3u, parameters[0]));
    cells[cell_index(group.y, cell) + LAYER_HEIGHT * MAP_CELLS] = noise >> 8u;
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let chunk = chunks[group.x];
    let x = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    for (var y = 0; y < 32; y++) {
        var word = 0u;
        for (var n = 0u; n < 4u; n++) {
            let at = vec3<i32>(x + i32(n), y, z);
            if chunk.y + y < ground(chunk.footprint, LAYER_HEIGHT, at.x, at.z) {
                word = with_voxel(word, n, 1u + (hash(chunk.x + at.x, chunk.y + y, chunk.z + at.z, parameters[0]) & 1u));
            }
        }
        after[word_index(group.x, invocation) + u32(y) * GROUP] = word;
    }
}
