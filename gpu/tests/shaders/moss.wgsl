// The twin of the test stage `Moss`: what has air beside it, as it was before, gets a cover.
//!include stage
//!include halo

fn is_air(slot: u32, x: i32, y: i32, z: i32) -> bool {
    return voxel_before(slot, x, y, z) == 0u;
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let first = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    for (var y = 0; y < 32; y++) {
        let at = word_index(slot, invocation) + u32(y) * GROUP;
        var word = before[at];
        for (var n = 0u; n < 4u; n++) {
            let x = first + i32(n);
            let open = is_air(slot, x - 1, y, z) || is_air(slot, x + 1, y, z) || is_air(slot, x, y - 1, z)
                || is_air(slot, x, y + 1, z) || is_air(slot, x, y, z - 1) || is_air(slot, x, y, z + 1);
            if open && voxel(before[at], n) != 0u {
                word = with_voxel(word, n, parameters[0]);
            }
        }
        after[at] = word;
    }
}
