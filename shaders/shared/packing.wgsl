// What differs in a chunk from what was expected, and the bytes that come of it: the body of shaders/codec.wgsl and of
// shaders/codec_subgroups.wgsl, which bring `me`, `sum_over` and `tell_changed`.
//
// A workgroup takes a chunk from its numbers to its bytes; on the way all stands in the workgroup's own memory. First each
// invocation compares rows that lie GROUP apart, so that those beside each other are read together. The masks of those that
// differ, a quarter in terrain, are put in order, and from there on an invocation has only such rows, some that follow each
// other. Sums over invocations say where its flags and numbers go. Chunks' bytes lie in the order in which workgroups ask for
// room; each chunk's head says where.

const ROWS: u32 = CHUNK_EDGE * CHUNK_EDGE;
const ROWS_EACH: u32 = ROWS / GROUP;
const CHANGED_WORDS: u32 = ROWS / 32u;
// Words of flags and numbers that are put together at once. Of most chunks that is all.
const WINDOW: u32 = ROWS;

struct Chunk {
    // Where its numbers begin in `cells`, in words.
    cells: u32,
    // Bits of a number: 4 or 8.
    bits: u32,
}

@group(0) @binding(1) var<storage, read> chunks: array<Chunk>;
// Words of `packed` that are taken, those of heads left out.
@group(0) @binding(2) var<storage, read_write> taken: atomic<u32>;
// A row of halves of bytes, or half a row of bytes.
@group(0) @binding(3) var<storage, read> cells: array<vec4<u32>>;
// By chunk the bytes and where they begin, in words, two words each; then all bytes.
@group(0) @binding(4) var<storage, read_write> packed: array<u32>;

// A bit for each row that has a mask; and how many have one before the first of these 32 rows.
var<workgroup> changed: array<atomic<u32>, CHANGED_WORDS>;
var<workgroup> ranks: array<u32, CHANGED_WORDS>;
// The masks of the rows that have one.
var<workgroup> masks: array<u32, ROWS>;
// First which rows those are, then flags and behind them, from a whole byte on, numbers.
var<workgroup> stream: array<atomic<u32>, WINDOW>;
var<workgroup> stream_words: u32;
var<workgroup> begin: u32;

// Bits of a number: 4 or 8.
var<private> bits: u32;
var<private> first_cell: u32;
// Of the rows that have a mask and are this invocation's: which they are, and the voxels whose numbers are told.
var<private> my_rows: array<u32, ROWS_EACH>;
var<private> my_told: array<u32, ROWS_EACH>;

// The first sixteen bytes of a row: all of it where numbers have four bits.
fn cells_of(row: u32) -> vec4<u32> {
    return cells[first_cell + row * (bits >> 2u)];
}

// The other sixteen of a row of bytes.
fn more_of(row: u32) -> vec4<u32> {
    return cells[first_cell + 2u * row + 1u];
}

// A voxel's number. `four` is `cells_of` its row.
fn number_in(four: vec4<u32>, row: u32, x: u32) -> u32 {
    if bits == 8u {
        let word = cells[first_cell + 2u * row + (x >> 4u)][(x >> 2u) & 3u];
        return (word >> (8u * (x & 3u))) & 0xFFu;
    }
    let two = select(four.xy, four.zw, (x & 16u) != 0u);
    let word = select(two.x, two.y, (x & 8u) != 0u);
    return (word >> (4u * (x & 7u))) & 0xFu;
}

// Bits `by` apart, of which the lower one is in `lower`, change places.
fn swapped(word: u32, by: u32, lower: u32) -> u32 {
    let differs = ((word >> by) ^ word) & lower;
    return word ^ differs ^ (differs << by);
}

// A bit for each half of a byte that is not 0. Words are laid over each other in such an order that three swaps sort the bits: each
// changes two digits of a bit's place, and the digits of the half and of the word have to change sides.
fn halves_of(words: vec4<u32>) -> u32 {
    var any = words | (words >> vec4<u32>(2u));
    any = (any | (any >> vec4<u32>(1u))) & vec4<u32>(0x11111111u);
    let all = any.x | (any.z << 1u) | (any.y << 2u) | (any.w << 3u);
    return swapped(swapped(swapped(all, 3u, 0x0A0A0A0Au), 6u, 0x00CC00CCu), 12u, 0x0000F0F0u);
}

// The same for bytes, as sixteen bits; here two swaps do.
fn bytes_of(words: vec4<u32>) -> u32 {
    var any = words | (words >> vec4<u32>(4u));
    any = any | (any >> vec4<u32>(2u));
    any = (any | (any >> vec4<u32>(1u))) & vec4<u32>(0x01010101u);
    let all = any.x | (any.z << 1u) | (any.y << 4u) | (any.w << 5u);
    return swapped(swapped(all, 7u, 0x00AA00AAu), 14u, 0x0000CCCCu);
}

// Bits of the voxels of a row that are not what was expected.
fn mask_of(row: u32) -> u32 {
    var there = row - select(1u, CHUNK_EDGE, row % CHUNK_EDGE == 0u);
    there = select(there, 0u, row == 0u);
    // The very first row is expected to be of number 0.
    let counts = vec4<u32>(select(0xFFFFFFFFu, 0u, row == 0u));
    let differs = cells_of(row) ^ (cells_of(there) & counts);
    if bits == 4u {
        return halves_of(differs);
    }
    return bytes_of(differs) | (bytes_of(more_of(row) ^ (more_of(there) & counts)) << 16u);
}

// The masks, in order; how many there are.
fn find_masks() -> u32 {
    var found: array<u32, ROWS_EACH>;
    for (var n = 0u; n < ROWS_EACH; n++) {
        found[n] = mask_of(me + n * GROUP);
    }
    workgroupBarrier();
    for (var n = 0u; n < ROWS_EACH; n++) {
        tell_changed(me + n * GROUP, found[n] != 0u);
    }
    workgroupBarrier();
    var count = 0u;
    if me < CHANGED_WORDS {
        count = countOneBits(atomicLoad(&changed[me]));
    }
    let sum = sum_over(count);
    if me < CHANGED_WORDS {
        ranks[me] = sum.before;
    }
    workgroupBarrier();
    for (var n = 0u; n < ROWS_EACH; n++) {
        if found[n] != 0u {
            let row = me + n * GROUP;
            let before = atomicLoad(&changed[row >> 5u]) & ((1u << (row & 31u)) - 1u);
            let rank = ranks[row >> 5u] + countOneBits(before);
            masks[rank] = found[n];
            atomicStore(&stream[rank], row);
        }
    }
    workgroupBarrier();
    return sum.all;
}

// Of the voxels in a mask those whose number is another one than that listed before it. Before the first stands `came`.
fn told_of(four: vec4<u32>, row: u32, mask: u32, came: u32) -> u32 {
    var all = 0u;
    if bits == 4u {
        all = halves_of(four ^ ((four << vec4<u32>(4u)) | (vec4<u32>(0u, four.xyz) >> vec4<u32>(28u))));
    } else {
        let more = more_of(row);
        all = bytes_of(four ^ ((four << vec4<u32>(8u)) | (vec4<u32>(0u, four.xyz) >> vec4<u32>(24u))));
        all |= bytes_of(more ^ ((more << vec4<u32>(8u)) | (vec4<u32>(four.w, more.xyz) >> vec4<u32>(24u)))) << 16u;
    }
    all &= mask;
    // The first of a stretch of voxels is compared with the last one of the stretch before.
    var starts = mask & ~(mask << 1u);
    var value = came;
    while starts != 0u {
        let start = starts & (~starts + 1u);
        starts ^= start;
        let before = mask & (start - 1u);
        if before != 0u {
            value = number_in(four, row, firstLeadingBit(before));
        }
        let differs = number_in(four, row, firstTrailingBit(start)) != value;
        all = select(all & ~start, all | start, differs);
    }
    return all;
}

// Which numbers are told, for the rows `first` to `end` of those that have masks; how many voxels are listed in the upper half
// of a word, and how many are told in the lower one.
fn find_told(first: u32, end: u32) -> u32 {
    var counts = 0u;
    var value = 0u;
    if first > 0u && first < end {
        let row = atomicLoad(&stream[first - 1u]);
        value = number_in(cells_of(row), row, firstLeadingBit(masks[first - 1u]));
    }
    for (var n = 0u; n < ROWS_EACH; n++) {
        if first + n < end {
            let row = atomicLoad(&stream[first + n]);
            let mask = masks[first + n];
            let four = cells_of(row);
            my_rows[n] = row;
            my_told[n] = told_of(four, row, mask, value);
            value = number_in(four, row, firstLeadingBit(mask));
            counts += (countOneBits(mask) << 16u) + countOneBits(my_told[n]);
        }
    }
    return counts;
}

// Puts bits into a word of the stream, if it is in this window.
fn put(word: u32, window: u32, what: u32) {
    if word - window < WINDOW {
        atomicOr(&stream[word - window], what);
    }
}

// Flags of a row, the `these` of its `mask`, from the bit `at` on; how many.
fn put_flags(these: u32, whole_mask: u32, window: u32, at: u32) -> u32 {
    // The bits of each stretch of the mask move together.
    var mask = whole_mask;
    var flags = 0u;
    var count = 0u;
    while mask != 0u {
        let x = firstTrailingBit(mask);
        let length = countTrailingZeros(~(mask >> x));
        let stretch = 0xFFFFFFFFu >> (32u - length);
        flags |= ((these >> x) & stretch) << count;
        mask &= ~(stretch << x);
        count += length;
    }
    if flags != 0u {
        put(at >> 5u, window, flags << (at & 31u));
        if (at & 31u) + count > 32u {
            put((at >> 5u) + 1u, window, flags >> (32u - (at & 31u)));
        }
    }
    return count;
}

// Flags and numbers of the rows `first` to `end` of those that have masks. Both places are in bits.
fn put_rows(first: u32, end: u32, window: u32, first_flag: u32, first_number: u32) {
    var flag = first_flag;
    var number = first_number;
    var word = 0u;
    for (var n = 0u; n < ROWS_EACH; n++) {
        if first + n < end {
            var these = my_told[n];
            flag += put_flags(these, masks[first + n], window, flag);
            if these != 0u {
                let row = my_rows[n];
                let four = cells_of(row);
                while these != 0u {
                    word |= number_in(four, row, firstTrailingBit(these)) << (number & 31u);
                    these &= these - 1u;
                    number += bits;
                    if (number & 31u) == 0u {
                        put((number >> 5u) - 1u, window, word);
                        word = 0u;
                    }
                }
            }
        }
    }
    if (number & 31u) != 0u {
        put(number >> 5u, window, word);
    }
}

// A word of masks: all lowest bytes of masks, then the next ones.
fn word_of_masks(word: u32, mask_count: u32) -> u32 {
    let at = 4u * word;
    var plane = u32(at >= mask_count) + u32(at >= 2u * mask_count) + u32(at >= 3u * mask_count);
    var rank = at - plane * mask_count;
    var all = 0u;
    for (var n = 0u; n < 4u; n++) {
        all |= ((masks[rank] >> (8u * plane)) & 0xFFu) << (8u * n);
        rank++;
        if rank == mask_count {
            rank = 0u;
            plane++;
        }
    }
    return all;
}

fn pack_chunk(group: vec3<u32>) {
    let chunk = group.x + group.y * GROUPS_MAX;
    if chunk >= arrayLength(&chunks) {
        return;
    }
    // Compiled once for each, with as much known beforehand as in a kernel of its own.
    if chunks[chunk].bits == 4u {
        bits = 4u;
        pack_numbers(chunk);
    } else {
        bits = 8u;
        pack_numbers(chunk);
    }
}

fn pack_numbers(chunk: u32) {
    first_cell = chunks[chunk].cells / 4u;
    if me < CHANGED_WORDS {
        atomicStore(&changed[me], 0u);
    }
    let mask_count = find_masks();
    let each = (mask_count + GROUP - 1u) / GROUP;
    let first = min(me * each, mask_count);
    let end = min(first + each, mask_count);
    let counts = sum_over(find_told(first, end));
    let flag_bytes = ((counts.all >> 16u) + 7u) / 8u;
    let stream_bytes = flag_bytes + ((counts.all & 0xFFFFu) * bits + 7u) / 8u;
    let masks_end = CHANGED_WORDS + mask_count;
    if me == 0u {
        // What is not shorter than the numbers as they are is not wanted.
        let bytes = 4u * masks_end + stream_bytes;
        let is_wanted = bytes < CHUNK_VOXELS * bits / 8u;
        let words = select(0u, (bytes + 3u) / 4u, is_wanted);
        stream_words = select(0u, (stream_bytes + 3u) / 4u, is_wanted);
        begin = 2u * arrayLength(&chunks) + atomicAdd(&taken, words);
        packed[2u * chunk] = select(0u, bytes, is_wanted);
        packed[2u * chunk + 1u] = begin;
    }
    let stream_end = workgroupUniformLoad(&stream_words);
    let first_word = begin;
    if stream_end == 0u && 4u * masks_end + stream_bytes >= CHUNK_VOXELS * bits / 8u {
        return;
    }
    for (var n = me; n < masks_end; n += GROUP) {
        if n < CHANGED_WORDS {
            packed[first_word + n] = atomicLoad(&changed[n]);
        } else {
            packed[first_word + n] = word_of_masks(n - CHANGED_WORDS, mask_count);
        }
    }
    let first_flag = counts.before >> 16u;
    let first_number = 8u * flag_bytes + bits * (counts.before & 0xFFFFu);
    for (var window = 0u; window < stream_end; window += WINDOW) {
        let words = min(stream_end - window, WINDOW);
        for (var n = me; n < words; n += GROUP) {
            atomicStore(&stream[n], 0u);
        }
        workgroupBarrier();
        put_rows(first, end, window, first_flag, first_number);
        workgroupBarrier();
        for (var n = me; n < words; n += GROUP) {
            packed[first_word + masks_end + window + n] = atomicLoad(&stream[n]);
        }
        workgroupBarrier();
    }
}
