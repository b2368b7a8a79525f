// For stages that read voxels of other chunks, or of other columns of their own: as they stood before the stage.
//!include stage

@group(0) @binding(3) var<storage, read> before: array<u32>;

// The voxel at a place relative to the first voxel of the chunk in `slot`, each part from -32 to 63; NONE outside the halo that
// the stage has declared and outside the world.
fn voxel_before(slot: u32, x: i32, y: i32, z: i32) -> u32 {
    let step = vec3<i32>(x >> 5u, y >> 5u, z >> 5u) + vec3<i32>(1);
    let there = chunks[slot].around[u32(step.x + 3 * step.z + 9 * step.y)];
    if there == NONE {
        return NONE;
    }
    let local = u32(x & 31) + 32u * u32(z & 31) + 1024u * u32(y & 31);
    return voxel(before[there * CHUNK_WORDS + (local >> 2u)], local & 3u);
}
