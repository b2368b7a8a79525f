// Chunks as bytes, as shaders/codec.wgsl says, on devices with subgroups.
//!include subgroups
//!include packing

// Every invocation must call it; those of a subgroup with rows that follow each other.
fn tell_changed(row: u32, is_changed: bool) {
    let votes = subgroupBallot(is_changed);
    if (lane & (min(lanes, 32u) - 1u)) == 0u {
        atomicOr(&changed[row >> 5u], votes[lane >> 5u] << (row & 31u));
    }
}

@compute @workgroup_size(GROUP)
fn pack(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    lane = invocation;
    lanes = size;
    me = subgroup * size + invocation;
    pack_chunk(group);
}
