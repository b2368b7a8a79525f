// Chunks as bytes: the twin of `find` in core/world/src/delta/codec.rs, and the bytes that come of it. gpu/src/pack.rs runs it
// on devices without subgroups; shaders/codec_subgroups.wgsl is for the others.
//!include sums
//!include packing

fn tell_changed(row: u32, is_changed: bool) {
    if is_changed {
        atomicOr(&changed[row >> 5u], 1u << (row & 31u));
    }
}

@compute @workgroup_size(GROUP)
fn pack(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    me = index;
    pack_chunk(group);
}
