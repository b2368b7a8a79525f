//! Integer gradient noise (Perlin 1985, with fade and interpolation in 16-bit fixed point) on power-of-two lattices, its fractal
//! sum, and domain warp. `shaders/shared/noise.wgsl` is the twin.
//!
//! This file is the definition: one sample at a time, in i32 arithmetic that never leaves 16 bits. `grid.rs` makes whole
//! rows of samples from the same formula.
//!
//! Fixed point is Q15. `scale(a, b)` is one `pmulhrsw`. Values are signed and centred on 0; of 3-D noise with four octaves
//! two thirds lie within ±1500, of 2-D noise within ±3300, and none ever leaves 16 bits.

/// Most octaves of one sum: the seventh is a sixty-fourth as strong as the first.
pub const OCTAVES_MAX: u32 = 7;
/// Largest spacing of a lattice, as a power of two: a place between two points has 15 bits.
pub const BITS_MAX: u32 = 15;
/// Smallest spacing of a lattice, as a power of two: 32 voxels then hold eight cells.
pub const BITS_MIN: u32 = 2;

/// A fractal sum of octaves. Octave `n` has half the spacing and half the strength of the one before, and seed `seed + n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octaves {
    /// Spacing of the first octave's lattice along x and z, as a power of two.
    pub bits: u32,
    /// The same along y; 2-D noise does not look at it.
    pub bits_y: u32,
    /// How many octaves; the spacing of the last is still at least `BITS_MIN`.
    pub count: u32,
    /// Seed of the first octave.
    pub seed: u32,
}

impl Octaves {
    /// The same spacing along all axes.
    ///
    /// # Panics
    /// If a lattice would be finer than [`BITS_MIN`] or coarser than [`BITS_MAX`], or there is no octave or too many.
    pub const fn new(bits: u32, count: u32, seed: u32) -> Self {
        Self::flat(bits, bits, count, seed)
    }

    /// With another spacing along y.
    ///
    /// # Panics
    /// As [`Octaves::new`].
    pub const fn flat(bits: u32, bits_y: u32, count: u32, seed: u32) -> Self {
        assert!(Self::fits(bits, count) && Self::fits(bits_y, count), "octaves outside their limits");
        Self { bits, bits_y, count, seed }
    }

    /// Whether so many octaves from such a spacing are within the limits.
    pub const fn fits(bits: u32, count: u32) -> bool {
        0 < count && count <= OCTAVES_MAX && bits <= BITS_MAX && bits + 1 >= BITS_MIN + count
    }
}

/// Hash of a lattice point (the finaliser of MurmurHash3, Appleby 2011, over products with odd constants).
#[inline(always)]
pub const fn hash(x: i32, y: i32, z: i32, seed: u32) -> u32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ (z as u32).wrapping_mul(0xC2B2_AE3D)
        ^ seed.wrapping_mul(0x27D4_EB2F);
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ h >> 16
}

/// Product in Q15, rounded: one `pmulhrsw`.
#[inline(always)]
pub const fn scale(a: i32, b: i32) -> i32 {
    (a * b + 0x4000) >> 15
}

/// Where a coordinate lies between two lattice points, 0..32768.
#[inline(always)]
pub const fn fraction(at: i32, bits: u32) -> i32 {
    (at & ((1 << bits) - 1)) << (15 - bits)
}

/// The smooth step 3t² − 2t³ of a fraction, 0..=32767.
#[inline(always)]
pub const fn fade(t: i32) -> i32 {
    let squared = (t * t) >> 15;
    let faded = (squared * (3 * 32768 - 2 * t)) >> 15;
    if faded > 32767 { 32767 } else { faded }
}

/// One signed byte of a hash, as strong as octave `octave` is; `shift` is the strength of the first.
#[inline(always)]
pub const fn component(hash: u32, byte: u32, shift: u32, octave: u32) -> i32 {
    (((hash >> (8 * byte)) as u8 as i8 as i32) << shift) >> octave
}

/// Strength of the gradients of 2-D noise, and of 3-D noise, so that no sum leaves 16 bits.
pub const SHIFT_2D: u32 = 7;
/// See [`SHIFT_2D`].
pub const SHIFT_3D: u32 = 6;

/// Between two values with their slopes towards the second axis: `near + fade·(far − near)`, where each end is its value
/// plus its slope times the distance from it.
#[inline(always)]
const fn between(near: i32, near_slope: i32, far: i32, far_slope: i32, t: i32, u: i32) -> i32 {
    let rest = far - far_slope - near;
    near + scale(near_slope, t) + scale(rest + scale(far_slope - near_slope, t), u)
}

#[inline(always)]
const fn blend(near: i32, far: i32, weight: i32) -> i32 {
    near + scale(far - near, weight)
}

/// Fractal 2-D noise at a voxel.
#[inline(always)]
pub fn fractal2(x: i32, z: i32, octaves: Octaves) -> i16 {
    let mut sum = 0;
    for octave in 0..octaves.count {
        sum += octave2(x, z, octaves.bits - octave, octaves.seed.wrapping_add(octave), octave);
    }
    sum as i16
}

#[inline(always)]
pub(super) fn octave2(x: i32, z: i32, bits: u32, seed: u32, octave: u32) -> i32 {
    let (i, k) = (x >> bits, z >> bits);
    let (tx, tz) = (fraction(x, bits), fraction(z, bits));
    let (ux, uz) = (fade(tx), fade(tz));
    // Along x first: the value and the slope along z, on the near and on the far row of the lattice.
    let row = |k: i32| {
        let (near, far) = (hash(i, 0, k, seed), hash(i + 1, 0, k, seed));
        let part = |hash, byte| component(hash, byte, SHIFT_2D, octave);
        let value = blend(scale(part(near, 0), tx), scale(part(far, 0), tx) - part(far, 0), ux);
        (value, blend(part(near, 2), part(far, 2), ux))
    };
    let ((near, near_slope), (far, far_slope)) = (row(k), row(k + 1));
    between(near, near_slope, far, far_slope, tz, uz)
}

/// Fractal 3-D noise at a voxel.
#[inline(always)]
pub fn fractal3(x: i32, y: i32, z: i32, octaves: Octaves) -> i16 {
    let mut sum = 0;
    for octave in 0..octaves.count {
        let bits = [octaves.bits - octave, octaves.bits_y - octave];
        sum += octave3([x, y, z], bits, octaves.seed.wrapping_add(octave), octave);
    }
    sum as i16
}

#[inline(always)]
fn octave3([x, y, z]: [i32; 3], [bits, bits_y]: [u32; 2], seed: u32, octave: u32) -> i32 {
    let (i, j, k) = (x >> bits, y >> bits_y, z >> bits);
    let (tx, ty, tz) = (fraction(x, bits), fraction(y, bits_y), fraction(z, bits));
    let (ux, uy, uz) = (fade(tx), fade(ty), fade(tz));
    // Along x: the value, and the slopes along y and z.
    let edge = |j: i32, k: i32| {
        let (near, far) = (hash(i, j, k, seed), hash(i + 1, j, k, seed));
        let part = |hash, byte| component(hash, byte, SHIFT_3D, octave);
        let value = blend(scale(part(near, 0), tx), scale(part(far, 0), tx) - part(far, 0), ux);
        (value, blend(part(near, 1), part(far, 1), ux), blend(part(near, 2), part(far, 2), ux))
    };
    // Then along z: the value, and the slope along y.
    let face = |j: i32| {
        let (near, far) = (edge(j, k), edge(j, k + 1));
        (between(near.0, near.2, far.0, far.2, tz, uz), blend(near.1, far.1, uz))
    };
    let ((near, near_slope), (far, far_slope)) = (face(j), face(j + 1));
    between(near, near_slope, far, far_slope, ty, uy)
}

/// A domain warp: how far a place is moved before noise is looked up there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warp {
    /// The noise that moves places along x; the seed plus `WARP_STEP` moves them along the next axis, and so on.
    pub octaves: Octaves,
    /// Voxels by which noise of 8192 moves a place; at most 4096.
    pub reach: i32,
}

/// From the seed of one axis of a warp to that of the next.
pub const WARP_STEP: u32 = 0x51ED;

impl Warp {
    pub(super) const fn along(self, axis: u32) -> Octaves {
        Octaves { seed: self.octaves.seed.wrapping_add(axis * WARP_STEP), ..self.octaves }
    }
}

#[inline(always)]
pub(super) const fn moved(noise: i16, reach: i32) -> i32 {
    (noise as i32 * reach + 0x1000) >> 13
}

/// Where a warp moves a place, in 2-D.
#[inline(always)]
pub fn warp2(x: i32, z: i32, warp: Warp) -> [i32; 2] {
    [x + moved(fractal2(x, z, warp.along(0)), warp.reach), z + moved(fractal2(x, z, warp.along(1)), warp.reach)]
}

/// Where a warp moves a place, in 3-D.
#[inline(always)]
pub fn warp3([x, y, z]: [i32; 3], warp: Warp) -> [i32; 3] {
    let by = |axis| moved(fractal3(x, y, z, warp.along(axis)), warp.reach);
    [x + by(0), y + by(1), z + by(2)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn noise_is_smooth_and_never_leaves_sixteen_bits(
            x in -(1 << 30)..(1i32 << 30), y in -2048..2048, z in -(1 << 30)..(1i32 << 30), seed: u32, bits in 5u32..12,
        ) {
            // In wide arithmetic, so that leaving 16 bits would show.
            let octaves = Octaves::new(bits, 4, seed);
            let wide3: i32 = (0..4).map(|n| octave3([x, y, z], [bits - n, bits - n], seed.wrapping_add(n), n)).sum();
            prop_assert_eq!(i32::from(fractal3(x, y, z, octaves)), wide3);
            let wide2: i32 = (0..4).map(|n| octave2(x, z, bits - n, seed.wrapping_add(n), n)).sum();
            prop_assert_eq!(i32::from(fractal2(x, z, octaves)), wide2);
            // One voxel changes it by at most the slope there: 3 parts of 127·2⁷ over the spacing, and rounding.
            let step = i32::from(fractal2(x + 1, z, octaves)) - i32::from(fractal2(x, z, octaves));
            prop_assert!(step.abs() < (6 << 14 >> bits) * 4 + 16, "{} at spacing 2^{}", step, bits);
        }

        #[test]
        fn noise_is_zero_on_its_lattice(i in -1000i32..1000, j in -60i32..60, k in -1000i32..1000, seed: u32) {
            prop_assert_eq!(fractal3(i << 5, j << 5, k << 5, Octaves::new(5, 1, seed)), 0);
            prop_assert_eq!(fractal2(i << 6, k << 6, Octaves::new(6, 1, seed)), 0);
        }
    }

    #[test]
    fn its_spread_is_what_the_documents_say() {
        let spread = |sample: &dyn Fn(i32, i32) -> i16| -> i64 {
            let squares = (0..256).flat_map(|z| (0..256).map(move |x| (x, z)));
            let sum: i64 = squares.map(|(x, z)| i64::from(sample(x * 7, z * 11)).pow(2)).sum();
            (sum / 65536).isqrt()
        };
        let flat = spread(&|x, z| fractal2(x, z, Octaves::new(6, 4, 5)));
        let deep = spread(&|x, z| fractal3(x, x ^ z, z, Octaves::new(6, 4, 5)));
        assert!((2900..3700).contains(&flat), "{flat}");
        assert!((1200..1800).contains(&deep), "{deep}");
    }
}
