// 3-D noise for four voxels along x at a time, upwards: what does not change with y is taken out of the loop, as in
// core/world/src/generate/grid.rs. The same numbers as `fractal3`.
//!include noise

// One octave over four voxels. Their first x is a multiple of 4 and lattices are at least 4 wide, so they lie in one cell.
struct Column {
    i: i32,
    // The cell along y that the four numbers at the end are of.
    j: i32,
    k: i32,
    seed: u32,
    octave: u32,
    bits_y: u32,
    tx: vec4<i32>,
    ux: vec4<i32>,
    tz: i32,
    uz: i32,
    // At the cell's upper end.
    far: vec4<i32>,
    far_slope: vec4<i32>,
    // Within the cell: value and slope at the lower end, and what is left of them to the upper one.
    near: vec4<i32>,
    near_slope: vec4<i32>,
    rest: vec4<i32>,
    rest_slope: vec4<i32>,
}

fn scale4(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    return (a * b + vec4<i32>(0x4000)) >> vec4<u32>(15u);
}

fn blend4(near: vec4<i32>, far: vec4<i32>, weight: vec4<i32>) -> vec4<i32> {
    return near + scale4(far - near, weight);
}

// Octave n of a noise for the voxels from x on.
fn column(x: i32, z: i32, octaves: Octaves, n: u32) -> Column {
    var made: Column;
    let bits = octaves.bits - n;
    made.i = x >> bits;
    made.j = -0x7FFFFFFF;
    made.k = z >> bits;
    made.seed = octaves.seed + n;
    made.octave = n;
    made.bits_y = octaves.bits_y - n;
    let first = fraction(x, bits);
    let step = 1i << (15u - bits);
    made.tx = vec4<i32>(first, first + step, first + 2 * step, first + 3 * step);
    made.ux = vec4<i32>(fade(made.tx.x), fade(made.tx.y), fade(made.tx.z), fade(made.tx.w));
    made.tz = fraction(z, bits);
    made.uz = fade(made.tz);
    return made;
}

struct Face {
    value: vec4<i32>,
    slope: vec4<i32>,
}

struct Edge {
    value: vec4<i32>,
    along_y: vec4<i32>,
    along_z: vec4<i32>,
}

fn column_edge(noise: ptr<function, Column>, j: i32, k: i32) -> Edge {
    let near = hash((*noise).i, j, k, (*noise).seed);
    let far = hash((*noise).i + 1, j, k, (*noise).seed);
    let octave = (*noise).octave;
    let ux = (*noise).ux;
    let far_x = vec4<i32>(component(far, 0u, SHIFT_3D, octave));
    let near_x = scale4(vec4<i32>(component(near, 0u, SHIFT_3D, octave)), (*noise).tx);
    let near_y = vec4<i32>(component(near, 1u, SHIFT_3D, octave));
    let near_z = vec4<i32>(component(near, 2u, SHIFT_3D, octave));
    return Edge(
        blend4(near_x, scale4(far_x, (*noise).tx) - far_x, ux),
        blend4(near_y, vec4<i32>(component(far, 1u, SHIFT_3D, octave)), ux),
        blend4(near_z, vec4<i32>(component(far, 2u, SHIFT_3D, octave)), ux),
    );
}

// On level j of the lattice.
fn column_face(noise: ptr<function, Column>, j: i32) -> Face {
    let near = column_edge(noise, j, (*noise).k);
    let far = column_edge(noise, j, (*noise).k + 1);
    let t = vec4<i32>((*noise).tz);
    let u = vec4<i32>((*noise).uz);
    let rest = far.value - far.along_z - near.value;
    let value = near.value + scale4(near.along_z, t) + scale4(rest + scale4(far.along_z - near.along_z, t), u);
    return Face(value, blend4(near.along_y, far.along_y, u));
}

// The octave's part of the noise at y. Going upwards is fast.
fn column_at(noise: ptr<function, Column>, y: i32) -> vec4<i32> {
    let j = y >> (*noise).bits_y;
    if j != (*noise).j {
        if j == (*noise).j + 1 {
            (*noise).near = (*noise).far;
            (*noise).near_slope = (*noise).far_slope;
        } else {
            let near = column_face(noise, j);
            (*noise).near = near.value;
            (*noise).near_slope = near.slope;
        }
        let far = column_face(noise, j + 1);
        (*noise).far = far.value;
        (*noise).far_slope = far.slope;
        (*noise).rest = far.value - far.slope - (*noise).near;
        (*noise).rest_slope = far.slope - (*noise).near_slope;
        (*noise).j = j;
    }
    let t = fraction(y, (*noise).bits_y);
    let ts = vec4<i32>(t);
    let turned = (*noise).rest + scale4((*noise).rest_slope, ts);
    return (*noise).near + scale4((*noise).near_slope, ts) + scale4(turned, vec4<i32>(fade(t)));
}

// As Rust's `as i16`.
fn wrapped4(value: vec4<i32>) -> vec4<i32> {
    return (value << vec4<u32>(16u)) >> vec4<u32>(16u);
}
