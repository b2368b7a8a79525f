// Connected components through faces: the twin of core/world/src/label/. gpu/src/label/mod.rs runs it.
//
// A voxel's id is its place among all voxels given, in order of y, z, x over all chunks. Every voxel hangs on another one of
// its component with a smaller id, or on itself: first within tiles of 16 x 16 x 16, in the memory of a workgroup, then
// across their faces. Components are joined by atomicMin at their first voxels (Komura 2015; Playne and Hawick 2018), which
// ends in the same whoever comes first. What is left is to count first voxels in order of their ids.

// One chunk, a row of the table; the row's number is its slot.
struct Chunk {
    // Slots of the chunks towards -y, -z and -x; NONE where nothing was given.
    beside: array<u32, 3>,
    // The id of its first voxel, and how far ids are apart from one y to the next, and from one z to the next.
    base: u32,
    stride_y: u32,
    stride_z: u32,
}

@group(0) @binding(1) var<storage, read> chunks: array<Chunk>;
// By block of TILE_VOXELS ids: how many first voxels, later how many before it; behind them the count of all.
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;
// Rows along x, a bit for each voxel: x is the bit, z + 32 y the row of the slot.
@group(0) @binding(3) var<storage, read> bits: array<u32>;
// By id: 0 for an empty voxel, else 1 + the id it hangs on; at the end its component's number, with NUMBERED.
@group(0) @binding(4) var<storage, read_write> parents: array<atomic<u32>>;

var<workgroup> near: array<atomic<u32>, TILE_VOXELS>;
var<workgroup> rows: array<u32, GROUP>;
var<workgroup> parts: array<u32, GROUP>;
var<workgroup> total: atomic<u32>;

fn id_of(slot: u32, at: vec3<u32>) -> u32 {
    return chunks[slot].base + at.y * chunks[slot].stride_y + at.z * chunks[slot].stride_z + at.x;
}

// The tile's first voxel within its chunk.
fn corner_of(tile: u32) -> vec3<u32> {
    return vec3<u32>(tile & 1u, (tile >> 2u) & 1u, (tile >> 1u) & 1u) << vec3<u32>(4u);
}

fn row_at(slot: u32, at: vec3<u32>) -> u32 {
    return bits[slot * (CHUNK_EDGE * CHUNK_EDGE) + at.z + CHUNK_EDGE * at.y];
}

fn find_near(voxel: u32) -> u32 {
    var at = voxel;
    var next = atomicLoad(&near[at]);
    while next != at {
        at = next;
        next = atomicLoad(&near[at]);
    }
    return at;
}

fn join_near(one: u32, other: u32) {
    var a = find_near(one);
    var b = find_near(other);
    while a != b {
        let high = max(a, b);
        let low = min(a, b);
        let before = atomicMin(&near[high], low);
        if before == high {
            return;
        }
        // Somebody else has joined `high` to `before`, which has to come to `low` as well.
        a = find_near(before);
        b = find_near(low);
    }
}

fn find(voxel: u32) -> u32 {
    var at = voxel;
    var next = atomicLoad(&parents[at]) - 1u;
    while next != at {
        at = next;
        next = atomicLoad(&parents[at]) - 1u;
    }
    return at;
}

fn join(one: u32, other: u32) {
    var a = find(one);
    var b = find(other);
    while a != b {
        let high = max(a, b);
        let low = min(a, b);
        let before = atomicMin(&parents[high], low + 1u) - 1u;
        if before == high {
            return;
        }
        a = find(before);
        b = find(low);
    }
}

// Joins two rows of the tile where they touch, once for each stretch of voxels that do.
fn join_rows(row: u32, other: u32) {
    let both = rows[row] & rows[other];
    var starts = both & ~(both << 1u);
    while starts != 0u {
        let x = firstTrailingBit(starts);
        starts &= starts - 1u;
        join_near(16u * row + x, 16u * other + x);
    }
}

// Within each tile. An invocation has a row of 16 voxels, whose stretches hang on their first voxels at once.
@compute @workgroup_size(GROUP)
fn pieces(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) me: u32) {
    let tile = group.x + group.y * GROUPS_MAX;
    if tile >= arrayLength(&sums) - 1u {
        return;
    }
    let slot = tile >> 3u;
    let corner = corner_of(tile);
    let z = me & 15u;
    let y = me >> 4u;
    let row = (row_at(slot, corner + vec3<u32>(0u, y, z)) >> corner.x) & 0xFFFFu;
    rows[me] = row;
    var start = 0u;
    for (var x = 0u; x < 16u; x++) {
        if ((row >> x) & 1u) == 0u {
            start = x + 1u;
        }
        atomicStore(&near[16u * me + x], 16u * me + start);
    }
    workgroupBarrier();
    if z > 0u {
        join_rows(me, me - 1u);
    }
    if y > 0u {
        join_rows(me, me - 16u);
    }
    workgroupBarrier();
    for (var n = me; n < TILE_VOXELS; n += GROUP) {
        let at = vec3<u32>(n & 15u, n >> 8u, (n >> 4u) & 15u);
        var parent = 0u;
        if ((rows[n >> 4u] >> at.x) & 1u) != 0u {
            let first = find_near(n);
            parent = 1u + id_of(slot, corner + vec3<u32>(first & 15u, first >> 8u, (first >> 4u) & 15u));
        }
        atomicStore(&parents[id_of(slot, corner + at)], parent);
    }
}

// Where a place lies that is one step below 0 along an axis at most: its slot, or NONE.
fn slot_below(slot: u32, outside: bool, axis: u32) -> u32 {
    if outside {
        return chunks[slot].beside[axis];
    }
    return slot;
}

fn occupied(row: u32, x: u32) -> bool {
    return ((row >> x) & 1u) != 0u;
}

// Over the face towards -y or -z (`axis` 0 or 1): a voxel of a row of 16 for each invocation.
fn join_low_face(slot: u32, at: vec3<u32>, axis: u32, along_x: u32) {
    let outside = select(at.z, at.y, axis == 0u) == 0u;
    let there = slot_below(slot, outside, axis);
    if there == NONE {
        return;
    }
    let to = (at - select(vec3<u32>(0u, 0u, 1u), vec3<u32>(0u, 1u, 0u), axis == 0u)) & vec3<u32>(31u);
    let both = row_at(slot, at) & row_at(there, to);
    // The stretch is joined by its first voxel.
    if occupied(both, at.x) && (along_x == 0u || !occupied(both, at.x - 1u)) {
        join(id_of(slot, at), id_of(there, to));
    }
}

// Over the faces of each tile towards -y, -z and -x.
@compute @workgroup_size(GROUP)
fn seams(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) me: u32) {
    let tile = group.x + group.y * GROUPS_MAX;
    if tile >= arrayLength(&sums) - 1u {
        return;
    }
    let slot = tile >> 3u;
    let corner = corner_of(tile);
    let a = me & 15u;
    let b = me >> 4u;
    join_low_face(slot, corner + vec3<u32>(a, 0u, b), 0u, a);
    join_low_face(slot, corner + vec3<u32>(a, b, 0u), 1u, a);
    let there = slot_below(slot, corner.x == 0u, 2u);
    if there == NONE {
        return;
    }
    let at = corner + vec3<u32>(0u, b, a);
    let to = vec3<u32>((at.x - 1u) & 31u, at.y, at.z);
    let joined = occupied(row_at(slot, at), at.x) && occupied(row_at(there, to), to.x);
    let last = vec3<u32>(0u, 0u, min(a, 1u));
    let before = a > 0u && occupied(row_at(slot, at - last), at.x) && occupied(row_at(there, to - last), to.x);
    if joined && !before {
        join(id_of(slot, at), id_of(there, to));
    }
}

// Every voxel hangs on its component's first one; `sums` gets how many of those each block has.
@compute @workgroup_size(GROUP)
fn flatten(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) me: u32) {
    let block = group.x + group.y * GROUPS_MAX;
    if block >= arrayLength(&sums) - 1u {
        return;
    }
    if me == 0u {
        atomicStore(&total, 0u);
    }
    workgroupBarrier();
    var count = 0u;
    for (var id = block * TILE_VOXELS + me; id < (block + 1u) * TILE_VOXELS; id += GROUP) {
        let parent = atomicLoad(&parents[id]);
        if parent == 0u {
            continue;
        }
        let first = find(id);
        if first == id {
            count++;
        } else {
            atomicStore(&parents[id], first + 1u);
        }
    }
    atomicAdd(&total, count);
    workgroupBarrier();
    if me == 0u {
        sums[block] = atomicLoad(&total);
    }
}

// What all invocations before this one have in `parts`; the last one gets the total as well. Every invocation must call it.
fn before_me(me: u32, count: u32) -> u32 {
    parts[me] = count;
    workgroupBarrier();
    var sum = count;
    for (var reach = 1u; reach < GROUP; reach <<= 1u) {
        var more = 0u;
        if me >= reach {
            more = parts[me - reach];
        }
        workgroupBarrier();
        sum += more;
        parts[me] = sum;
        workgroupBarrier();
    }
    return sum - count;
}

// One workgroup: how many first voxels there are before each block.
@compute @workgroup_size(GROUP)
fn add_up(@builtin(local_invocation_index) me: u32) {
    let blocks = arrayLength(&sums) - 1u;
    let each = (blocks + GROUP - 1u) / GROUP;
    let start = min(me * each, blocks);
    let to = min(start + each, blocks);
    var count = 0u;
    for (var n = start; n < to; n++) {
        count += sums[n];
    }
    var sum = before_me(me, count);
    for (var n = start; n < to; n++) {
        let here = sums[n];
        sums[n] = sum;
        sum += here;
    }
    if me == GROUP - 1u {
        sums[blocks] = sum;
    }
}

// First voxels get their numbers, from 1 on.
@compute @workgroup_size(GROUP)
fn number(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) me: u32) {
    let block = group.x + group.y * GROUPS_MAX;
    if block >= arrayLength(&sums) - 1u {
        return;
    }
    let start = block * TILE_VOXELS + 16u * me;
    var firsts = 0u;
    for (var n = 0u; n < 16u; n++) {
        firsts |= select(0u, 1u << n, atomicLoad(&parents[start + n]) == start + n + 1u);
    }
    var next = 1u + sums[block] + before_me(me, countOneBits(firsts));
    while firsts != 0u {
        let n = firstTrailingBit(firsts);
        firsts &= firsts - 1u;
        atomicStore(&parents[start + n], NUMBERED | next);
        next++;
    }
}

// All others get the number of the voxel that they hang on.
@compute @workgroup_size(GROUP)
fn spread(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) me: u32) {
    let block = group.x + group.y * GROUPS_MAX;
    if block >= arrayLength(&sums) - 1u {
        return;
    }
    for (var id = block * TILE_VOXELS + me; id < (block + 1u) * TILE_VOXELS; id += GROUP) {
        let parent = atomicLoad(&parents[id]);
        if parent != 0u && (parent & NUMBERED) == 0u {
            atomicStore(&parents[id], atomicLoad(&parents[parent - 1u]));
        }
    }
}
