// What every stage is handed. docs/decisions/0010-gpu-layout.md says why it is laid out like this.
//
// A shader has an entry point `maps`, or `blocks`, or both, with workgroups of GROUP invocations.
//   maps    one invocation for one cell: workgroup x is a part of a footprint, workgroup y the footprint
//   blocks  one invocation for the 128 voxels of 4 along x, one z, all y: workgroup x is the slot of a chunk
// So no two invocations write the same word.

// One footprint, a row of the table; x and z of its first cell, in voxels.
struct Footprint {
    x: i32,
    z: i32,
}

// One chunk, a row of the table; the row's number is its slot.
struct Chunk {
    // The first voxel.
    x: i32,
    y: i32,
    z: i32,
    // Number of its footprint.
    footprint: u32,
    // Slots of the chunks around, the step along x fastest, then z, then y, each -1, 0 or 1; NONE where there is none.
    around: array<u32, AROUND>,
    spare: u32,
}

@group(0) @binding(0) var<storage, read> parameters: array<u32>;
// An entry point uses one of these two.
@group(0) @binding(1) var<storage, read> footprints: array<Footprint>;
@group(0) @binding(1) var<storage, read> chunks: array<Chunk>;
// A cell to a word: LAYERS layers of MAP_CELLS cells for each footprint.
@group(0) @binding(2) var<storage, read_write> cells: array<i32>;
// Four voxels to a word, the lowest x in the lowest byte: CHUNK_WORDS words for each slot. A stage without halo changes these
// in place; one with a halo includes `halo` and writes every word of its chunk.
@group(0) @binding(4) var<storage, read_write> after: array<u32>;

// A parameter that may be negative.
fn parameter(n: u32) -> i32 {
    return i32(parameters[n]);
}

// Index of the word of layer 0 at a cell; other layers are MAP_CELLS further on each.
fn cell_index(footprint: u32, cell: u32) -> u32 {
    return footprint * (LAYERS * MAP_CELLS) + cell;
}

// A cell of a layer at a voxel relative to the chunk's first one; x and z from -16 to 47.
fn ground(footprint: u32, layer: u32, x: i32, z: i32) -> i32 {
    return cells[cell_index(footprint, u32(x + MAP_MARGIN) + MAP_EDGE * u32(z + MAP_MARGIN)) + layer * MAP_CELLS];
}

// The same for four cells along x, from `x` on.
fn ground4(footprint: u32, layer: u32, x: i32, z: i32) -> vec4<i32> {
    let at = cell_index(footprint, u32(x + MAP_MARGIN) + MAP_EDGE * u32(z + MAP_MARGIN)) + layer * MAP_CELLS;
    return vec4<i32>(cells[at], cells[at + 1u], cells[at + 2u], cells[at + 3u]);
}

// Index of the word at y = 0 for an invocation of `blocks`; each y is GROUP words further on.
fn word_index(slot: u32, invocation: u32) -> u32 {
    return slot * CHUNK_WORDS + invocation;
}

// The voxel n of a word, 0 to 3.
fn voxel(word: u32, n: u32) -> u32 {
    return (word >> (8u * n)) & 0xFFu;
}

// The word with voxel n replaced.
fn with_voxel(word: u32, n: u32, entry: u32) -> u32 {
    return (word & ~(0xFFu << (8u * n))) | (entry << (8u * n));
}

// The four voxels of a word.
fn voxels(word: u32) -> vec4<u32> {
    return (vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xFFu);
}

// The word of four voxels.
fn word_of(entries: vec4<u32>) -> u32 {
    return entries.x | (entries.y << 8u) | (entries.z << 16u) | (entries.w << 24u);
}

// As Rust's `as i16`.
fn wrap16(value: i32) -> i32 {
    return (value << 16u) >> 16u;
}
