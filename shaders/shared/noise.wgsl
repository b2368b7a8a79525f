// Integer gradient noise: the twin of core/world/src/generate/noise.rs, which explains it. The same numbers, bit for bit.

struct Octaves {
    bits: u32,
    bits_y: u32,
    count: u32,
    seed: u32,
}

struct Warp {
    octaves: Octaves,
    reach: i32,
}

fn hash(x: i32, y: i32, z: i32, seed: u32) -> u32 {
    var h = (u32(x) * 0x9E3779B1u) ^ (u32(y) * 0x85EBCA77u) ^ (u32(z) * 0xC2B2AE3Du) ^ (seed * 0x27D4EB2Fu);
    h ^= h >> 16u;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13u;
    h *= 0xC2B2AE35u;
    return h ^ (h >> 16u);
}

fn scale(a: i32, b: i32) -> i32 {
    return (a * b + 0x4000) >> 15u;
}

fn fraction(at: i32, bits: u32) -> i32 {
    return (at & ((1i << bits) - 1)) << (15u - bits);
}

fn fade(t: i32) -> i32 {
    let squared = (t * t) >> 15u;
    return min((squared * (98304 - 2 * t)) >> 15u, 32767);
}

fn component(hashed: u32, byte: u32, shift: u32, octave: u32) -> i32 {
    return (extractBits(bitcast<i32>(hashed), 8u * byte, 8u) << shift) >> octave;
}

fn between(near: i32, near_slope: i32, far: i32, far_slope: i32, t: i32, u: i32) -> i32 {
    let rest = far - far_slope - near;
    return near + scale(near_slope, t) + scale(rest + scale(far_slope - near_slope, t), u);
}

fn blend(near: i32, far: i32, weight: i32) -> i32 {
    return near + scale(far - near, weight);
}

// Along x: the value and the slope along z, on one row of the lattice.
fn row2(i: i32, k: i32, seed: u32, octave: u32, tx: i32, ux: i32) -> vec2<i32> {
    let near = hash(i, 0, k, seed);
    let far = hash(i + 1, 0, k, seed);
    let far_x = component(far, 0u, SHIFT_2D, octave);
    let value = blend(scale(component(near, 0u, SHIFT_2D, octave), tx), scale(far_x, tx) - far_x, ux);
    return vec2<i32>(value, blend(component(near, 2u, SHIFT_2D, octave), component(far, 2u, SHIFT_2D, octave), ux));
}

fn octave2(x: i32, z: i32, bits: u32, seed: u32, octave: u32) -> i32 {
    let i = x >> bits;
    let k = z >> bits;
    let tx = fraction(x, bits);
    let tz = fraction(z, bits);
    let ux = fade(tx);
    let near = row2(i, k, seed, octave, tx, ux);
    let far = row2(i, k + 1, seed, octave, tx, ux);
    return between(near.x, near.y, far.x, far.y, tz, fade(tz));
}

fn fractal2(x: i32, z: i32, octaves: Octaves) -> i32 {
    var sum = 0;
    for (var octave = 0u; octave < octaves.count; octave++) {
        sum += octave2(x, z, octaves.bits - octave, octaves.seed + octave, octave);
    }
    return (sum << 16u) >> 16u;
}

// Along x: the value, and the slopes along y and z.
fn edge3(i: i32, j: i32, k: i32, seed: u32, octave: u32, tx: i32, ux: i32) -> vec3<i32> {
    let near = hash(i, j, k, seed);
    let far = hash(i + 1, j, k, seed);
    let far_x = component(far, 0u, SHIFT_3D, octave);
    let value = blend(scale(component(near, 0u, SHIFT_3D, octave), tx), scale(far_x, tx) - far_x, ux);
    let along_y = blend(component(near, 1u, SHIFT_3D, octave), component(far, 1u, SHIFT_3D, octave), ux);
    let along_z = blend(component(near, 2u, SHIFT_3D, octave), component(far, 2u, SHIFT_3D, octave), ux);
    return vec3<i32>(value, along_y, along_z);
}

// Then along z: the value and the slope along y, on one level of the lattice.
fn face3(i: i32, j: i32, k: i32, seed: u32, octave: u32, t: vec2<i32>, u: vec2<i32>) -> vec2<i32> {
    let near = edge3(i, j, k, seed, octave, t.x, u.x);
    let far = edge3(i, j, k + 1, seed, octave, t.x, u.x);
    return vec2<i32>(between(near.x, near.z, far.x, far.z, t.y, u.y), blend(near.y, far.y, u.y));
}

fn octave3(x: i32, y: i32, z: i32, bits: u32, bits_y: u32, seed: u32, octave: u32) -> i32 {
    let i = x >> bits;
    let j = y >> bits_y;
    let k = z >> bits;
    let t = vec2<i32>(fraction(x, bits), fraction(z, bits));
    let u = vec2<i32>(fade(t.x), fade(t.y));
    let ty = fraction(y, bits_y);
    let near = face3(i, j, k, seed, octave, t, u);
    let far = face3(i, j + 1, k, seed, octave, t, u);
    return between(near.x, near.y, far.x, far.y, ty, fade(ty));
}

fn fractal3(x: i32, y: i32, z: i32, octaves: Octaves) -> i32 {
    var sum = 0;
    for (var octave = 0u; octave < octaves.count; octave++) {
        let bits = octaves.bits - octave;
        sum += octave3(x, y, z, bits, octaves.bits_y - octave, octaves.seed + octave, octave);
    }
    return (sum << 16u) >> 16u;
}

// The octaves of a warp along an axis.
fn warp_along(octaves: Octaves, axis: u32) -> Octaves {
    return Octaves(octaves.bits, octaves.bits_y, octaves.count, octaves.seed + axis * WARP_STEP);
}

fn moved(noise: i32, reach: i32) -> i32 {
    return (noise * reach + 0x1000) >> 13u;
}

fn warp2(x: i32, z: i32, warp: Warp) -> vec2<i32> {
    let by_x = moved(fractal2(x, z, warp_along(warp.octaves, 0u)), warp.reach);
    let by_z = moved(fractal2(x, z, warp_along(warp.octaves, 1u)), warp.reach);
    return vec2<i32>(x + by_x, z + by_z);
}

fn warp3(x: i32, y: i32, z: i32, warp: Warp) -> vec3<i32> {
    let by_x = moved(fractal3(x, y, z, warp_along(warp.octaves, 0u)), warp.reach);
    let by_y = moved(fractal3(x, y, z, warp_along(warp.octaves, 1u)), warp.reach);
    let by_z = moved(fractal3(x, y, z, warp_along(warp.octaves, 2u)), warp.reach);
    return vec3<i32>(x + by_x, y + by_y, z + by_z);
}
