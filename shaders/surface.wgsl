// Soil: the twin of surface.rs, which explains it.
//!include stage
//!include halo

// Parameters by biome: top, below it, top under water, depth; a byte each, the first lowest.

// Voxels below the height down to which soil lies.
const REACH: i32 = 6;

// What one looks down with: how deep in the ground one is, and whether it began under water.
struct Looking {
    depth: vec4<u32>,
    wet: vec4<bool>,
}

fn step(looking: Looking, entries: vec4<u32>) -> Looking {
    let is_ground = entries > vec4<u32>(LAVA);
    return Looking(
        select(vec4<u32>(0u), looking.depth + vec4<u32>(1u), is_ground),
        select(entries == vec4<u32>(WATER), looking.wet, is_ground),
    );
}

@compute @workgroup_size(GROUP)
fn blocks(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    let slot = group.x;
    let footprint = chunks[slot].footprint;
    let x = 4 * i32(invocation % 8u);
    let z = i32(invocation / 8u);
    let biome = vec4<u32>(ground4(footprint, LAYER_BIOME, x, z)) & vec4<u32>(BIOMES_MAX - 1u);
    let soils = vec4<u32>(parameters[biome.x], parameters[biome.y], parameters[biome.z], parameters[biome.w]);
    let top = soils & vec4<u32>(0xFFu);
    let below = (soils >> vec4<u32>(8u)) & vec4<u32>(0xFFu);
    let wet = (soils >> vec4<u32>(16u)) & vec4<u32>(0xFFu);
    let depth = soils >> vec4<u32>(24u);
    let height = ground4(footprint, LAYER_HEIGHT, x, z);
    let overhang = max(ground4(footprint, LAYER_OVERHANG, x, z), vec4<i32>(0));
    let low = height - overhang - vec4<i32>(REACH);
    let high = height + overhang;

    // The voxels above the chunk decide how deep its topmost ones lie; deeper than any soil is as good as any depth.
    var looking = Looking(vec4<u32>(SOIL_MAX + 1u), vec4<bool>(false));
    // A step up along y is the middle of the upper nine.
    let above = chunks[slot].around[22];
    for (var row = SOIL_MAX; row > 0u; row--) {
        var entries = vec4<u32>(AIR);
        if above != NONE {
            entries = voxels(before[word_index(above, invocation) + (row - 1u) * GROUP]);
        }
        looking = step(looking, entries);
    }
    for (var row = 31; row >= 0; row--) {
        let y = vec4<i32>(chunks[slot].y + row);
        let at = word_index(slot, invocation) + u32(row) * GROUP;
        let entries = voxels(before[at]);
        looking = step(looking, entries);
        let is_soil = (looking.depth >= vec4<u32>(1u)) & (looking.depth <= depth) & (y >= low) & (y < high);
        let block = select(below, select(top, wet, looking.wet), looking.depth == vec4<u32>(1u));
        after[at] = word_of(select(entries, block, is_soil));
    }
}
