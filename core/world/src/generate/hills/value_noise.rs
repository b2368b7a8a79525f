//! Integer value noise on a power-of-two lattice (Perlin 1985 in the value-noise form, smoothstep in 8-bit fixed point).

pub use super::super::noise::hash;

/// Weight of the far lattice point, 0..=255, for a place `at` between two points `1 << bits` apart.
fn weight(at: i32, bits: u32) -> i32 {
    let t = ((at & ((1 << bits) - 1)) << 8) >> bits;
    (t * t * (3 * 256 - 2 * t)) >> 16
}

fn blend(near: i32, far: i32, weight: i32) -> i32 {
    (near * (256 - weight) + far * weight) >> 8
}

/// 2-D noise, 0..=65535, lattice spacing `1 << bits` voxels.
pub fn value2(x: i32, z: i32, bits: u32, seed: u32) -> i32 {
    let (i, k) = (x >> bits, z >> bits);
    let at = |i, k| (hash(i, 0, k, seed) >> 16) as i32;
    let (u, v) = (weight(x, bits), weight(z, bits));
    blend(blend(at(i, k), at(i + 1, k), u), blend(at(i, k + 1), at(i + 1, k + 1), u), v)
}

/// Sum of `octaves` layers, each half as wide and half as strong as the one before; 0..=65535.
pub fn fractal2(x: i32, z: i32, bits: u32, octaves: u32, seed: u32) -> i32 {
    let (mut sum, mut total) = (0i64, 0i64);
    for octave in 0..octaves.min(bits) {
        sum += i64::from(value2(x, z, bits - octave, seed.wrapping_add(octave)) >> octave);
        total += 65535 >> octave;
    }
    (sum * 65535 / total) as i32
}

/// 3-D noise over one chunk whose first voxel is `origin`, 0..=65535, in local-index order; lattice spacing
/// `1 << bits` with `bits` at most 5, so that a chunk holds whole cells.
pub fn value3_chunk(origin: [i32; 3], bits: u32, seed: u32, out: &mut [u16]) {
    debug_assert!(bits <= 5 && out.len() == 32768);
    let [x0, y0, z0] = origin;
    let cells = 32 >> bits;
    let points = cells + 1;
    let mut lattice = Vec::with_capacity((points * points * points) as usize);
    for j in 0..points {
        for k in 0..points {
            for i in 0..points {
                lattice.push((hash((x0 >> bits) + i, (y0 >> bits) + j, (z0 >> bits) + k, seed) >> 16) as i32);
            }
        }
    }
    let point = |j: i32, k: i32, i: i32| lattice[((j * points + k) * points + i) as usize];
    for y in 0..32 {
        for z in 0..32 {
            let (j, k) = (y >> bits, z >> bits);
            let (v, w) = (weight(y, bits), weight(z, bits));
            let along = |i: i32| {
                blend(
                    blend(point(j, k, i), point(j, k + 1, i), w),
                    blend(point(j + 1, k, i), point(j + 1, k + 1, i), w),
                    v,
                )
            };
            let row = &mut out[((y * 32 + z) * 32) as usize..][..32];
            for i in 0..cells {
                let (near, far) = (along(i), along(i + 1));
                for x in 0..1 << bits {
                    row[((i << bits) + x) as usize] = blend(near, far, weight(x, bits)) as u16;
                }
            }
        }
    }
}
