// What several stages of the generator terrain share.
//!include stage

// How much mountains rise: inland, where erosion is low. The twin of `continents::rise`.
fn rise(continent: i32, erosion: i32) -> i32 {
    return (clamp(1200 - erosion, 0, 5000) * clamp(continent + 600, 0, 3000)) >> 12u;
}

// Whether the ground at a place, relative to the chunk, is just its height. The twin of `plants::is_plain`.
fn is_plain(footprint: u32, x: i32, z: i32) -> bool {
    return ground(footprint, LAYER_OVERHANG, x, z) == 0
        && ground(footprint, LAYER_CAVE_TOP, x, z) < ground(footprint, LAYER_HEIGHT, x, z);
}

// Replaces one voxel of the chunk in `slot`; the invocation's own.
fn replace_entry(slot: u32, x: i32, y: i32, z: i32, entry: u32) {
    let at = slot * CHUNK_WORDS + u32(x >> 2u) + 8u * u32(z) + GROUP * u32(y);
    after[at] = with_voxel(after[at], u32(x & 3), entry);
}

// One voxel of the chunk in `slot`; the invocation's own.
fn entry_at(slot: u32, x: i32, y: i32, z: i32) -> u32 {
    return voxel(after[slot * CHUNK_WORDS + u32(x >> 2u) + 8u * u32(z) + GROUP * u32(y)], u32(x & 3));
}
