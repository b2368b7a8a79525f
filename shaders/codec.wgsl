// What differs in chunks from what was expected: the twin of `find` in core/world/src/delta/codec.rs, and the bytes that come of
// it. gpu/src/pack.rs runs it.
//
// A workgroup takes one chunk, and each invocation four rows that follow each other, so that sums over invocations put masks,
// flags and numbers in order. `find` writes them where the chunk has room, `place` says where each chunk's bytes begin, and
// `write` puts them there.

const ROWS: u32 = CHUNK_EDGE * CHUNK_EDGE;
const ROWS_EACH: u32 = ROWS / GROUP;
// Where things stand in a chunk's room: three counts and the bytes it becomes, then these.
const CHANGED: u32 = 4u;
const MASKS: u32 = CHANGED + ROWS / 32u;
const FLAGS: u32 = MASKS + ROWS;
const VALUES: u32 = FLAGS + CHUNK_VOXELS / 32u;
const ROOM: u32 = VALUES + CHUNK_VOXELS / 4u;
const CHANGED_BYTES: u32 = ROWS / 8u;

struct Chunk {
    // Where its numbers begin in `cells`, in words.
    cells: u32,
    // Bits of a number: 4 or 8.
    bits: u32,
}

@group(0) @binding(1) var<storage, read> chunks: array<Chunk>;
// By chunk, its room.
@group(0) @binding(2) var<storage, read_write> rooms: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> cells: array<u32>;
// By chunk the bytes and where they begin, in words, two words each; then all bytes.
@group(0) @binding(4) var<storage, read_write> packed: array<u32>;

var<workgroup> sums: array<u32, GROUP>;
var<workgroup> changed: array<atomic<u32>, ROWS / 32u>;
var<workgroup> flags: array<atomic<u32>, CHUNK_VOXELS / 32u>;

var<private> me: u32;
var<private> first_cell: u32;
var<private> bits: u32;

// The bytes that are not 0 of a word whose bytes differ there, as four bits.
fn bytes_of(word: u32) -> u32 {
    var any = word | (word >> 4u);
    any = any | (any >> 2u);
    any = (any | (any >> 1u)) & 0x01010101u;
    any = (any | (any >> 7u)) & 0x00030003u;
    return (any | (any >> 14u)) & 0xFu;
}

// The same for half bytes, as eight bits.
fn halves_of(word: u32) -> u32 {
    var any = word | (word >> 2u);
    any = (any | (any >> 1u)) & 0x11111111u;
    any = (any | (any >> 3u)) & 0x03030303u;
    any = (any | (any >> 6u)) & 0x000F000Fu;
    return (any | (any >> 12u)) & 0xFFu;
}

// Bits of the voxels of a row that are not what was expected.
fn mask_of(row: u32) -> u32 {
    let words = bits;
    let here = first_cell + row * words;
    var there = here - words;
    if row % CHUNK_EDGE == 0u {
        there = here - words * CHUNK_EDGE;
    }
    var mask = 0u;
    for (var n = 0u; n < words; n++) {
        var other = 0u;
        if row > 0u {
            other = cells[there + n];
        }
        let differs = cells[here + n] ^ other;
        if bits == 4u {
            mask |= halves_of(differs) << (8u * n);
        } else {
            mask |= bytes_of(differs) << (4u * n);
        }
    }
    return mask;
}

fn value_at(row: u32, x: u32) -> u32 {
    let at = x * bits;
    return (cells[first_cell + row * bits + (at >> 5u)] >> (at & 31u)) & ((1u << bits) - 1u);
}

// The sum over all invocations before this one; `sums[GROUP - 1]` has that over all. Every invocation must call it.
fn sum_before(value: u32) -> u32 {
    workgroupBarrier();
    sums[me] = value;
    workgroupBarrier();
    for (var step = 1u; step < GROUP; step = step << 1u) {
        var other = 0u;
        if me >= step {
            other = sums[me - step];
        }
        workgroupBarrier();
        sums[me] += other;
        workgroupBarrier();
    }
    return sums[me] - value;
}

// The last one that is not 0 of the values of the invocations before this one. Every invocation must call it.
fn last_before(value: u32) -> u32 {
    workgroupBarrier();
    sums[me] = value;
    workgroupBarrier();
    for (var step = 1u; step < GROUP; step = step << 1u) {
        var other = 0u;
        if me >= step {
            other = sums[me - step];
        }
        let mine = sums[me];
        workgroupBarrier();
        sums[me] = select(mine, other, mine == 0u);
        workgroupBarrier();
    }
    if me == 0u {
        return 0u;
    }
    return sums[me - 1u];
}

@compute @workgroup_size(GROUP)
fn find(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let chunk = group.x + group.y * GROUPS_MAX;
    if chunk >= arrayLength(&chunks) {
        return;
    }
    me = index;
    first_cell = chunks[chunk].cells;
    bits = chunks[chunk].bits;
    let room = chunk * ROOM;
    if me < ROWS / 32u {
        atomicStore(&changed[me], 0u);
    }
    for (var n = me; n < CHUNK_VOXELS / 32u; n += GROUP) {
        atomicStore(&flags[n], 0u);
    }
    var masks: array<u32, ROWS_EACH>;
    var counts = 0u;
    // One more than the number of the last voxel that is listed here; 0 for none.
    var last = 0u;
    for (var n = 0u; n < ROWS_EACH; n++) {
        let row = me * ROWS_EACH + n;
        let mask = mask_of(row);
        masks[n] = mask;
        if mask != 0u {
            counts += 0x10000u + countOneBits(mask);
            last = 1u + value_at(row, firstLeadingBit(mask));
        }
    }
    let before = sum_before(counts);
    let all = sums[GROUP - 1u];
    let came = max(last_before(last), 1u) - 1u;

    // Masks, and which voxels have another number than the one listed before.
    var mask_at = before >> 16u;
    var listed = before & 0xFFFFu;
    var value = came;
    var told = 0u;
    for (var n = 0u; n < ROWS_EACH; n++) {
        let row = me * ROWS_EACH + n;
        var mask = masks[n];
        if mask == 0u {
            continue;
        }
        atomicOr(&changed[row >> 5u], 1u << (row & 31u));
        atomicStore(&rooms[room + MASKS + mask_at], mask);
        mask_at++;
        while mask != 0u {
            let other = value_at(row, firstTrailingBit(mask));
            mask &= mask - 1u;
            if other != value {
                atomicOr(&flags[listed >> 5u], 1u << (listed & 31u));
                value = other;
                told++;
            }
            listed++;
        }
    }
    var value_at_first = sum_before(told);
    let value_count = sums[GROUP - 1u];

    // Their numbers, into words that are 0 before.
    let each = 32u / bits;
    for (var n = me; n < (value_count + each - 1u) / each; n += GROUP) {
        atomicStore(&rooms[room + VALUES + n], 0u);
    }
    storageBarrier();
    workgroupBarrier();
    value = came;
    for (var n = 0u; n < ROWS_EACH; n++) {
        let row = me * ROWS_EACH + n;
        var mask = masks[n];
        while mask != 0u {
            let other = value_at(row, firstTrailingBit(mask));
            mask &= mask - 1u;
            if other != value {
                value = other;
                atomicOr(&rooms[room + VALUES + value_at_first / each], other << (bits * (value_at_first % each)));
                value_at_first++;
            }
        }
    }
    let mask_count = all >> 16u;
    let flag_count = all & 0xFFFFu;
    if me < ROWS / 32u {
        atomicStore(&rooms[room + CHANGED + me], atomicLoad(&changed[me]));
    }
    for (var n = me; n < (flag_count + 31u) / 32u; n += GROUP) {
        atomicStore(&rooms[room + FLAGS + n], atomicLoad(&flags[n]));
    }
    if me == 0u {
        let bytes = CHANGED_BYTES + 4u * mask_count + (flag_count + 7u) / 8u + (value_count * bits + 7u) / 8u;
        atomicStore(&rooms[room], mask_count);
        atomicStore(&rooms[room + 1u], flag_count);
        atomicStore(&rooms[room + 2u], value_count);
        // What is not shorter than the numbers as they are is not wanted.
        atomicStore(&rooms[room + 3u], select(bytes, 0u, bytes >= CHUNK_VOXELS * bits / 8u));
    }
}

// Where the bytes of each chunk begin. By one workgroup, a stretch of chunks each invocation.
@compute @workgroup_size(GROUP)
fn place(@builtin(local_invocation_index) index: u32) {
    me = index;
    let count = arrayLength(&chunks);
    let each = (count + GROUP - 1u) / GROUP;
    let first = min(me * each, count);
    let end = min(first + each, count);
    var words = 0u;
    for (var chunk = first; chunk < end; chunk++) {
        words += (atomicLoad(&rooms[chunk * ROOM + 3u]) + 3u) / 4u;
    }
    var next = 2u * count + sum_before(words);
    for (var chunk = first; chunk < end; chunk++) {
        let bytes = atomicLoad(&rooms[chunk * ROOM + 3u]);
        packed[2u * chunk] = bytes;
        packed[2u * chunk + 1u] = next;
        next += (bytes + 3u) / 4u;
    }
}

// A byte of what a chunk becomes.
fn byte_at(room: u32, place: u32) -> u32 {
    var at = place;
    let mask_count = atomicLoad(&rooms[room]);
    if at < CHANGED_BYTES {
        return atomicLoad(&rooms[room + CHANGED + at / 4u]) >> (8u * (at & 3u));
    }
    at -= CHANGED_BYTES;
    if at < 4u * mask_count {
        // All lowest bytes of masks, then the next ones.
        return atomicLoad(&rooms[room + MASKS + at % mask_count]) >> (8u * (at / mask_count));
    }
    at -= 4u * mask_count;
    let flag_bytes = (atomicLoad(&rooms[room + 1u]) + 7u) / 8u;
    if at < flag_bytes {
        return atomicLoad(&rooms[room + FLAGS + at / 4u]) >> (8u * (at & 3u));
    }
    at -= flag_bytes;
    return atomicLoad(&rooms[room + VALUES + at / 4u]) >> (8u * (at & 3u));
}

@compute @workgroup_size(GROUP)
fn write(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let chunk = group.x + group.y * GROUPS_MAX;
    if chunk >= arrayLength(&chunks) {
        return;
    }
    let bytes = packed[2u * chunk];
    let first = packed[2u * chunk + 1u];
    for (var n = index; n < (bytes + 3u) / 4u; n += GROUP) {
        var word = 0u;
        for (var k = 0u; k < min(4u, bytes - 4u * n); k++) {
            word |= (byte_at(chunk * ROOM, 4u * n + k) & 0xFFu) << (8u * k);
        }
        packed[first + n] = word;
    }
}
