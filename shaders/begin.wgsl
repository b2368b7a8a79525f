// Maps as they are before the first stage. The twin of `Maps::new`.
//!include stage

@compute @workgroup_size(GROUP)
fn maps(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let at = cell_index(group.y, group.x * GROUP + invocation);
    for (var layer = 0u; layer < LAYERS; layer++) {
        cells[at + layer * MAP_CELLS] = select(0, NO_WATER, layer == LAYER_WATER);
    }
}
