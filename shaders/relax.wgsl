// Relaxation of whole chunks: the twin of core/world/src/relax/, which says what is worked out. gpu/src/relax/mod.rs runs it.
//
// A workgroup settles one tile of 16 x 16 x 16 voxels in its own memory: every invocation goes along a line of 16 voxels
// and back, along y, then z, then x, until nothing changes. What lies around the tile stands still meanwhile, because tiles
// that touch have different colours and one dispatch has tiles of one colour alone. So nothing is read while it is
// written, and what a dispatch does follows from the data. A tile that is settled puts those beside it into the lists of
// their colours, if a voxel there would gain by it. The workgroup that is done last turns to the next colour, so that no
// dispatch in between is needed.

struct Class {
    source: u32,
    floor: u32,
    exits: u32,
    // Two to a word, the even exit in the low half.
    losses: array<u32, 13>,
}

struct Rules {
    limit: u32,
    // 0: two distances to a word, the even local index in the low half, 0xFFFF for none. 1: one to a word.
    wide: u32,
    // All exits that any class has.
    exits: u32,
    // 2 if those are over faces alone, else 8.
    colours: u32,
    // Slots that are solved here; those behind them are copies of other pages' chunks, which are only read.
    own: u32,
    slots: u32,
    classes: array<Class>,
}

// One chunk, a row of the table; the row's number is its slot.
struct Chunk {
    // Slots of the chunks around, the step along x fastest, then z, then y; NONE where nothing was given.
    around: array<u32, AROUND>,
    // Where its classes begin in `cells`, four to a word; or ONE_CLASS and the class of all its voxels.
    classes: u32,
    // Where the masks of its exits begin in `cells`, one to a word; NONE for no masks.
    exits: u32,
}

// The loss where nothing goes through.
const CLOSED: u32 = 0xFFFFFFFFu;

struct Queue {
    // By colour, how many tiles wait.
    waiting: array<atomic<u32>, 8>,
    // The colour whose turn it is, and how many workgroups are done with it.
    colour: atomic<u32>,
    finished: atomic<u32>,
    // Tiles settled so far.
    visits: atomic<u32>,
    // By tile, whether it waits; then the list of each colour.
    words: array<atomic<u32>>,
}

@group(0) @binding(0) var<storage, read> rules: Rules;
@group(0) @binding(1) var<storage, read> chunks: array<Chunk>;
@group(0) @binding(2) var<storage, read_write> queue: Queue;
@group(0) @binding(3) var<storage, read> cells: array<u32>;
@group(0) @binding(4) var<storage, read_write> distances: array<u32>;

var<workgroup> held: array<u32, TILE_VOXELS>;
var<workgroup> kinds: array<u32, TILE_WORDS>;
var<workgroup> turn: u32;
var<workgroup> waiting: u32;
var<workgroup> here: u32;
var<workgroup> again: u32;
var<workgroup> raised: atomic<u32>;

var<private> me: u32;
var<private> slot: u32;
// The tile's first voxel within its chunk.
var<private> corner: vec3<i32>;

fn step_to(exit: u32) -> vec3<i32> {
    let shift = 2u * (exit & 15u);
    let late = exit > 15u;
    let x = select(EXIT_X_LOW, EXIT_X_HIGH, late) >> shift;
    let y = select(EXIT_Y_LOW, EXIT_Y_HIGH, late) >> shift;
    let z = select(EXIT_Z_LOW, EXIT_Z_HIGH, late) >> shift;
    return vec3<i32>(vec3<u32>(x, y, z) & vec3<u32>(3u)) - vec3<i32>(1);
}

// Where a voxel of the tile stands in `held`: turned so that lines along each axis lie in different banks.
fn place(at: vec3<u32>) -> u32 {
    return (at.x ^ at.z) + 16u * (at.z ^ (at.y & 1u)) + 256u * at.y;
}

fn kind(at: vec3<u32>) -> u32 {
    return (kinds[(at.x >> 2u) + 4u * at.z + 64u * at.y] >> (8u * (at.x & 3u))) & 0xFFu;
}

// A voxel's local index, from its place relative to the chunk's first one; only the low five bits of each part count.
fn local_index(at: vec3<i32>) -> u32 {
    let inside = vec3<u32>(at & vec3<i32>(31));
    return inside.x + 32u * inside.z + 1024u * inside.y;
}

// The slot of the chunk that a place relative to the chunk's first voxel lies in, each part from -32 to 63.
fn slot_at(at: vec3<i32>) -> u32 {
    let step = (at >> vec3<u32>(5u)) + vec3<i32>(1);
    return chunks[slot].around[u32(step.x + 3 * step.z + 9 * step.y)];
}

fn distance_at(there: u32, local: u32) -> u32 {
    let at = there * CHUNK_VOXELS + local;
    if rules.wide != 0u {
        return distances[at];
    }
    let half = (distances[at >> 1u] >> (16u * (at & 1u))) & 0xFFFFu;
    return select(half, rules.limit, half == 0xFFFFu);
}

fn class_at(there: u32, local: u32) -> u32 {
    let start = chunks[there].classes;
    if (start & ONE_CLASS) != 0u {
        return start & 0xFFu;
    }
    return (cells[start + (local >> 2u)] >> (8u * (local & 3u))) & 0xFFu;
}

// The exits that are open to a voxel of a class.
fn open_at(there: u32, local: u32, number: u32) -> u32 {
    let start = chunks[there].exits;
    if start == NONE {
        return rules.classes[number].exits;
    }
    return rules.classes[number].exits & cells[start + local];
}

fn own(number: u32) -> u32 {
    return min(rules.classes[number].source, rules.limit);
}

// The twin of `Rules::step`.
fn after(distance: u32, loss: u32, floor: u32) -> u32 {
    let sum = distance + loss;
    return min(max(select(sum, CLOSED, sum < distance), floor), rules.limit);
}

fn stepped(number: u32, exit: u32, distance: u32) -> u32 {
    let loss = (rules.classes[number].losses[exit >> 1u] >> (16u * (exit & 1u))) & 0xFFFFu;
    return after(distance, loss, rules.classes[number].floor);
}

// The distance at a place outside the tile, relative to its first voxel.
fn beyond(at: vec3<i32>) -> u32 {
    let there = slot_at(corner + at);
    if there == NONE {
        return rules.limit;
    }
    return distance_at(there, local_index(corner + at));
}

fn go_to(tile: u32) {
    slot = tile >> 3u;
    corner = vec3<i32>(vec3<u32>(tile & 1u, (tile >> 2u) & 1u, (tile >> 1u) & 1u) << vec3<u32>(4u));
}

fn load_kinds() {
    let start = chunks[slot].classes;
    for (var n = me; n < TILE_WORDS; n += GROUP) {
        let at = corner + vec3<i32>(vec3<u32>((n & 3u) << 2u, n >> 6u, (n >> 2u) & 15u));
        if (start & ONE_CLASS) != 0u {
            kinds[n] = (start & 0xFFu) * 0x01010101u;
        } else {
            kinds[n] = cells[start + (local_index(at) >> 2u)];
        }
    }
}

// The voxel `n` of the tile, x fastest, then z, then y.
fn voxel_of(n: u32) -> vec3<u32> {
    return vec3<u32>(n & 15u, n >> 8u, (n >> 4u) & 15u);
}

fn load_distances() {
    for (var n = me; n < TILE_VOXELS; n += GROUP) {
        let at = voxel_of(n);
        held[place(at)] = distance_at(slot, local_index(corner + vec3<i32>(at)));
    }
}

fn store_distances() {
    if rules.wide != 0u {
        for (var n = me; n < TILE_VOXELS; n += GROUP) {
            let at = voxel_of(n);
            distances[slot * CHUNK_VOXELS + local_index(corner + vec3<i32>(at))] = held[place(at)];
        }
        return;
    }
    for (var n = me; n < TILE_VOXELS / 2u; n += GROUP) {
        let at = voxel_of(2u * n);
        let low = held[place(at)];
        let high = held[place(at + vec3<u32>(1u, 0u, 0u))];
        let word = select(low, 0xFFFFu, low == rules.limit) | (select(high, 0xFFFFu, high == rules.limit) << 16u);
        distances[(slot * CHUNK_VOXELS + local_index(corner + vec3<i32>(at))) >> 1u] = word;
    }
}

// The voxel `n` of this invocation's line along an axis: 0 is y, 1 is z, 2 is x, as exits are in pairs.
fn on_line(axis: u32, n: u32) -> vec3<u32> {
    let a = me & 15u;
    let b = me >> 4u;
    if axis == 0u {
        return vec3<u32>(a, n, b);
    }
    if axis == 1u {
        return vec3<u32>(a, b, n);
    }
    return vec3<u32>(n, b, a);
}

// What a line of 16 voxels has, read before anything is worked out: what follows then waits for no memory.
struct Line {
    distances: array<u32, 16>,
    // The losses of the two exits along the axis, a word each; CLOSED where the exit is.
    ahead: array<u32, 16>,
    back: array<u32, 16>,
    floors: array<u32, 16>,
}

fn read_line(axis: u32) -> Line {
    var line: Line;
    for (var n = 0u; n < 16u; n++) {
        let at = on_line(axis, n);
        let number = kind(at);
        let open = open_at(slot, local_index(corner + vec3<i32>(at)), number) >> (2u * axis);
        let losses = rules.classes[number].losses[axis];
        line.distances[n] = held[place(at)];
        line.ahead[n] = select(CLOSED, losses & 0xFFFFu, (open & 1u) != 0u);
        line.back[n] = select(CLOSED, losses >> 16u, (open & 2u) != 0u);
        line.floors[n] = rules.classes[number].floor;
    }
    return line;
}

// Along the line and back. The first time values enter from outside; they are the same later.
fn sweep(axis: u32, first: bool) -> bool {
    var line = read_line(axis);
    let before = line.distances;
    var near = rules.limit;
    if first {
        near = beyond(vec3<i32>(on_line(axis, 0u)) + step_to(2u * axis));
    }
    for (var n = 0u; n < 16u; n++) {
        near = min(line.distances[n], after(near, line.ahead[n], line.floors[n]));
        line.distances[n] = near;
    }
    near = rules.limit;
    if first {
        near = beyond(vec3<i32>(on_line(axis, 15u)) + step_to(2u * axis + 1u));
    }
    for (var n = 0u; n < 16u; n++) {
        let m = 15u - n;
        near = min(line.distances[m], after(near, line.back[m], line.floors[m]));
        line.distances[m] = near;
    }
    var changed = false;
    for (var n = 0u; n < 16u; n++) {
        if line.distances[n] < before[n] {
            held[place(on_line(axis, n))] = line.distances[n];
            changed = true;
        }
    }
    return changed;
}

// Over edges and corners, layer by layer, up or down. Every invocation must call it.
fn lean(first: bool, down: bool) -> bool {
    var changed = false;
    for (var n = 0u; n < 16u; n++) {
        let at = vec3<u32>(me & 15u, select(n, 15u - n, down), me >> 4u);
        let number = kind(at);
        var open = open_at(slot, local_index(corner + vec3<i32>(at)), number) & ~FACES;
        let now = held[place(at)];
        var better = now;
        while open != 0u {
            let exit = firstTrailingBit(open);
            open &= open - 1u;
            let source = vec3<i32>(at) + step_to(exit);
            var near = rules.limit;
            if all(source >= vec3<i32>(0)) && all(source < vec3<i32>(16)) {
                near = held[place(vec3<u32>(source))];
            } else if first {
                near = beyond(source);
            }
            if near < better {
                better = min(better, stepped(number, exit, near));
            }
        }
        workgroupBarrier();
        if better < now {
            held[place(at)] = better;
            changed = true;
        }
        workgroupBarrier();
    }
    return changed;
}

// The bit of the tile that lies in the direction of a step.
fn direction(step: vec3<i32>) -> u32 {
    return 1u << u32(step.x + 1 + 3 * (step.z + 1) + 9 * (step.y + 1));
}

// What the tile offers over its faces.
fn offer_faces() {
    for (var exit = 0u; exit < 6u; exit++) {
        let step = step_to(exit);
        let at = on_line(exit >> 1u, (exit & 1u) * 15u);
        let outside = corner + vec3<i32>(at) + step;
        let there = slot_at(outside);
        if there < rules.own {
            gains(there, local_index(outside), exit ^ 1u, held[place(at)], step);
        }
    }
}

fn gains(there: u32, local: u32, exit: u32, near: u32, step: vec3<i32>) {
    let now = distance_at(there, local);
    if near < now {
        let number = class_at(there, local);
        let open = open_at(there, local, number);
        if ((open >> exit) & 1u) != 0u && stepped(number, exit, near) < now {
            atomicOr(&raised, direction(step));
        }
    }
}

// What the tile offers to all of the shell of 18 x 18 x 18 around it.
fn offer_shell() {
    for (var n = me; n < 5832u; n += GROUP) {
        let at = vec3<i32>(vec3<u32>(n % 18u, n / 324u, (n / 18u) % 18u)) - vec3<i32>(1);
        let step = vec3<i32>(at > vec3<i32>(15)) - vec3<i32>(at < vec3<i32>(0));
        let there = slot_at(corner + at);
        if all(step == vec3<i32>(0)) || there >= rules.own {
            continue;
        }
        let local = local_index(corner + at);
        let number = class_at(there, local);
        var open = open_at(there, local, number);
        while open != 0u {
            let exit = firstTrailingBit(open);
            open &= open - 1u;
            let source = at + step_to(exit);
            if all(source >= vec3<i32>(0)) && all(source < vec3<i32>(16)) {
                gains(there, local, exit, held[place(vec3<u32>(source))], step);
            }
        }
    }
}

fn list_of(colour: u32) -> u32 {
    return rules.own * TILES + colour * (rules.own * TILES / rules.colours);
}

fn enqueue(tile: u32) {
    if atomicExchange(&queue.words[tile], 1u) != 0u {
        return;
    }
    let part = tile & 7u;
    let colour = select(part, countOneBits(part) & 1u, rules.colours == 2u);
    let n = atomicAdd(&queue.waiting[colour], 1u);
    atomicStore(&queue.words[list_of(colour) + n], tile);
}

// Puts the tiles around that gain by this one into their lists. Every invocation must call it, `raised` being 0.
fn offer() {
    if (rules.exits & ~FACES) == 0u {
        offer_faces();
    } else {
        offer_shell();
    }
    workgroupBarrier();
    if me < AROUND && ((atomicLoad(&raised) >> me) & 1u) != 0u {
        let step = vec3<i32>(vec3<u32>(me % 3u, me / 9u, (me / 3u) % 3u)) - vec3<i32>(1);
        let at = corner + 16 * step;
        let part = vec3<u32>(at >> vec3<u32>(4u)) & vec3<u32>(1u);
        enqueue(slot_at(at) * TILES + part.x + 2u * part.z + 4u * part.y);
    }
}

// Every voxel of every slot has what it has by itself, and tiles with sources wait.
@compute @workgroup_size(GROUP)
fn begin(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tile = group.x + group.y * GROUPS_MAX;
    if tile >= rules.slots * TILES {
        return;
    }
    me = index;
    go_to(tile);
    if me == 0u {
        atomicStore(&raised, 0u);
    }
    load_kinds();
    workgroupBarrier();
    for (var n = me; n < TILE_VOXELS; n += GROUP) {
        let at = voxel_of(n);
        let distance = own(kind(at));
        held[place(at)] = distance;
        if distance < rules.limit {
            atomicStore(&raised, 1u);
        }
    }
    workgroupBarrier();
    store_distances();
    if me == 0u && slot < rules.own && atomicLoad(&raised) != 0u {
        enqueue(tile);
    }
}

// What chunks of other pages offer to those of this one.
@compute @workgroup_size(GROUP)
fn arrive(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tile = rules.own * TILES + group.x + group.y * GROUPS_MAX;
    if tile >= rules.slots * TILES {
        return;
    }
    me = index;
    go_to(tile);
    if me == 0u {
        atomicStore(&raised, 0u);
    }
    load_distances();
    workgroupBarrier();
    offer();
}

// Settles the tile that stands at a place of a list. Every invocation must call it, and none of the workgroup may still be at
// another tile.
fn settle(at: u32) {
    if me == 0u {
        here = atomicLoad(&queue.words[at]);
        atomicStore(&queue.words[here], 0u);
        atomicStore(&raised, 0u);
    }
    go_to(workgroupUniformLoad(&here));
    load_kinds();
    load_distances();
    workgroupBarrier();
    var runs = 0u;
    loop {
        var changed = false;
        for (var axis = 0u; axis < 3u; axis++) {
            changed |= sweep(axis, runs == 0u);
            workgroupBarrier();
        }
        if (rules.exits & ~FACES) != 0u {
            changed |= lean(runs == 0u, (runs & 1u) == 1u);
        }
        if changed {
            atomicStore(&raised, 1u);
        }
        workgroupBarrier();
        if me == 0u {
            again = atomicExchange(&raised, 0u);
        }
        if workgroupUniformLoad(&again) == 0u {
            break;
        }
        runs++;
    }
    if runs > 0u {
        store_distances();
    }
    offer();
}

// The tiles of the colour whose turn it is, as many workgroups at a time as there are.
@compute @workgroup_size(GROUP)
fn relax(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    me = index;
    if me == 0u {
        turn = atomicLoad(&queue.colour);
        waiting = atomicLoad(&queue.waiting[turn]);
    }
    let colour = workgroupUniformLoad(&turn);
    let count = workgroupUniformLoad(&waiting);
    for (var n = group.x; n < count; n += groups.x) {
        settle(list_of(colour) + n);
        workgroupBarrier();
    }
    // Whoever is last here is the last to have read what waits.
    if me == 0u && atomicAdd(&queue.finished, 1u) + 1u == groups.x {
        atomicStore(&queue.finished, 0u);
        atomicStore(&queue.waiting[colour], 0u);
        atomicStore(&queue.colour, (colour + 1u) & (rules.colours - 1u));
        atomicAdd(&queue.visits, count);
    }
}
