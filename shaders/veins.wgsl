// Resource veins: the twin of veins.rs, which explains it.
//
// The invocations of a chunk look for veins together, four ores by 64 cells at a time; then each lays them, in the same order as
// the CPU, into its own voxels.
//!include stage
//!include noise
//!include terrain

// Parameters: seed, number of ores, 8 words with a bit for each entry that ore takes the place of, 8 words for each ore: entry,
// lowest and highest middle, of how many cells one has a vein, radius, number of balls, a bit for each biome, nothing.
const SEED: u32 = 0u;
const COUNT: u32 = 1u;
const ROCKS: u32 = 2u;
const ORES: u32 = 10u;
const ORE_WORDS: u32 = 8u;

// Voxels along one edge of a cell, as a power of two.
const CELL_BITS: u32 = 4u;

// A bit for each vein that was found, and its shape.
var<workgroup> found: array<atomic<u32>, 8>;
var<workgroup> shapes: array<u32, GROUP>;

// Cell n of the 64 that a chunk looks at: along y, then z, then x.
fn cell_of(slot: u32, n: u32) -> vec3<i32> {
    let origin = vec3<i32>(chunks[slot].x, chunks[slot].y, chunks[slot].z);
    return (origin >> vec3<u32>(CELL_BITS)) - vec3<i32>(1) + vec3<i32>(vec3<u32>(n & 3u, n >> 4u, (n >> 2u) & 3u));
}

// The middle of the vein of a cell.
fn middle_of(cell: vec3<i32>, shape: u32) -> vec3<i32> {
    let within = (vec3<u32>(shape) >> vec3<u32>(0u, 4u, 8u)) & vec3<u32>(15u);
    return (cell << vec3<u32>(CELL_BITS)) + vec3<i32>(within);
}

// Looks for the vein of an ore in a cell.
fn look(slot: u32, ore: u32, invocation: u32) {
    let words = ORES + ORE_WORDS * ore;
    let cell = cell_of(slot, invocation % 64u);
    let seed = parameters[SEED] + 2u * ore;
    if hash(cell.x, cell.y, cell.z, seed) % parameters[words + 3u] != 0u {
        return;
    }
    let shape = hash(cell.x, cell.y, cell.z, seed + 1u);
    let middle = middle_of(cell, shape);
    if middle.y < parameter(words + 1u) || middle.y > parameter(words + 2u) {
        return;
    }
    let biome = ground(chunks[slot].footprint, LAYER_BIOME, middle.x - chunks[slot].x, middle.z - chunks[slot].z);
    if ((parameters[words + 6u] >> (u32(biome) & 31u)) & 1u) == 1u {
        shapes[invocation] = shape;
        atomicOr(&found[invocation / 32u], 1u << (invocation % 32u));
    }
}

// What of a ball lies in the invocation's voxels. One voxel in eight stays rock.
fn lay_ball(slot: u32, invocation: u32, ore: u32, centre: vec3<i32>) {
    let words = ORES + ORE_WORDS * ore;
    let radius = parameter(words + 4u);
    let x0 = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    let dz = z - centre.z;
    if abs(dz) > radius || centre.x + radius < x0 || centre.x - radius > x0 + 3 {
        return;
    }
    for (var y = max(centre.y - radius, 0); y <= min(centre.y + radius, 31); y++) {
        let dy = y - centre.y;
        let rest = radius * radius + 1 - dy * dy - dz * dz;
        for (var x = max(centre.x - radius, x0); x <= min(centre.x + radius, x0 + 3); x++) {
            let dx = x - centre.x;
            let entry = entry_at(slot, x, y, z);
            let is_rock = ((parameters[ROCKS + (entry >> 5u)] >> (entry & 31u)) & 1u) == 1u;
            if dx * dx <= rest && is_rock && (hash(dx, dy, dz, parameters[SEED]) & 7u) != 0u {
                replace_entry(slot, x, y, z, parameters[words]);
            }
        }
    }
}

// One vein: balls, each a radius and a half from the last, in one direction.
fn lay(slot: u32, invocation: u32, ore: u32, cell: u32, shape: u32) {
    let words = ORES + ORE_WORDS * ore;
    let origin = vec3<i32>(chunks[slot].x, chunks[slot].y, chunks[slot].z);
    let middle = middle_of(cell_of(slot, cell), shape) - origin;
    let direction = vec3<i32>((vec3<u32>(shape) >> vec3<u32>(12u, 17u, 22u)) % vec3<u32>(3u)) - vec3<i32>(1);
    for (var ball = 0; ball < parameter(words + 5u); ball++) {
        let distance = (ball * parameter(words + 4u) * 3) >> 2u;
        lay_ball(slot, invocation, ore, middle + direction * distance);
    }
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let count = parameters[COUNT];
    for (var first = 0u; first < count; first += 4u) {
        if invocation < 8u {
            atomicStore(&found[invocation], 0u);
        }
        workgroupBarrier();
        let ore = first + invocation / 64u;
        if ore < count {
            look(slot, ore, invocation);
        }
        workgroupBarrier();
        for (var word = 0u; word < 8u; word++) {
            var bits = atomicLoad(&found[word]);
            while bits != 0u {
                let vein = 32u * word + firstTrailingBit(bits);
                bits &= bits - 1u;
                lay(slot, invocation, first + vein / 64u, vein % 64u, shapes[vein]);
            }
        }
        workgroupBarrier();
    }
}
