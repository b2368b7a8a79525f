//! Noise of [`super::noise`] for whole rows at a time: the same numbers as one by one, many times faster.
//!
//! Noise on a regular grid is an interpolation of lattice values along one axis after the other. Along x, a lattice point's
//! gradient is hashed once and spread over lanes; along z, and in 3-D then along y, what does not change is taken out of the
//! loop. Three products and four sums an octave are left for each row of 32 voxels.

use super::lanes::{LANES, Lanes, Pattern, Row};
use super::noise::{self, Octaves, Warp, component, fade, fraction, hash};
use super::pool::{Pooled, Shelf, Shelved};
use super::simd::{self, Kernel, Level};
use super::stage::{Cells, MAP_CELLS, MAP_EDGE};
use crate::limits::CHUNK_VOXELS;
use std::ops::Range;
use std::thread::LocalKey;

/// A number for each voxel of a chunk, index `x + 32·y + 1024·z`: y runs inside z here, unlike in a chunk.
pub type Field = [i16; CHUNK_VOXELS];

thread_local! {
    static SHELF: Shelf<Field> = const { Shelf::new(Vec::new()) };
}

impl Shelved for Field {
    fn shelf() -> &'static LocalKey<Shelf<Self>> {
        &SHELF
    }
    fn fresh() -> Box<Self> {
        let field = vec![0; CHUNK_VOXELS].into_boxed_slice();
        field.try_into().unwrap_or_else(|_| unreachable!("the length is CHUNK_VOXELS"))
    }
}

/// A field with anything in it: rows that no noise was written to mean nothing.
pub fn any_field() -> Pooled<Field> {
    Pooled::take()
}

/// Writes fractal 2-D noise of a map whose first cell is at voxel `x`, `z`.
pub fn fractal2(level: Level, origin: [i32; 2], octaves: Octaves, out: &mut Cells) {
    simd::run(level, Fill2 { origin, octaves, out });
}

struct Fill2<'a> {
    origin: [i32; 2],
    octaves: Octaves,
    out: &'a mut Cells,
}

impl Kernel for Fill2<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        fill2::<L>(self.origin, self.octaves, self.out);
    }
}

/// Writes fractal 3-D noise of the rows `y` of a chunk whose first voxel is `origin`; other rows stay as they are.
pub fn fractal3(level: Level, origin: [i32; 3], y: Range<usize>, octaves: Octaves, out: &mut Field) {
    match octaves.count {
        1 => simd::run(level, Fill3::<1> { origin, y, octaves, out }),
        2 => simd::run(level, Fill3::<2> { origin, y, octaves, out }),
        3 => simd::run(level, Fill3::<3> { origin, y, octaves, out }),
        4 => simd::run(level, Fill3::<4> { origin, y, octaves, out }),
        5 => simd::run(level, Fill3::<5> { origin, y, octaves, out }),
        6 => simd::run(level, Fill3::<6> { origin, y, octaves, out }),
        _ => simd::run(level, Fill3::<7> { origin, y, octaves, out }),
    }
}

struct Fill3<'a, const N: usize> {
    origin: [i32; 3],
    y: Range<usize>,
    octaves: Octaves,
    out: &'a mut Field,
}

impl<const N: usize> Kernel for Fill3<'_, N> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        fill3::<L, N>(self.origin, self.y, self.octaves, self.out);
    }
}

/// Writes fractal 2-D noise, looked up where `warp` moves each cell of a map.
pub fn warped2(level: Level, origin: [i32; 2], warp: Warp, octaves: Octaves, out: &mut Cells) {
    // The warp's own noise lies on the grid; only what is looked up at moved places has to be made one by one.
    let mut moves = [[0; MAP_CELLS]; 2];
    for (axis, moves) in moves.iter_mut().enumerate() {
        fractal2(level, origin, warp.along(axis as u32), moves);
    }
    simd::run(level, Warped2 { origin, moves: &moves, reach: warp.reach, octaves, out });
}

struct Warped2<'a> {
    origin: [i32; 2],
    moves: &'a [Cells; 2],
    reach: i32,
    octaves: Octaves,
    out: &'a mut Cells,
}

impl Kernel for Warped2<'_> {
    /// The compiler makes vectors of the innermost loop: a hash needs no memory.
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let [x0, z0] = self.origin;
        for (z, row) in self.out.chunks_exact_mut(MAP_EDGE).enumerate() {
            let moves = self.moves.each_ref().map(|moves| &moves[z * MAP_EDGE..][..MAP_EDGE]);
            let (mut xs, mut zs, mut sums) = ([0; MAP_EDGE], [0; MAP_EDGE], [0; MAP_EDGE]);
            for x in 0..MAP_EDGE {
                xs[x] = x0 + x as i32 + noise::moved(moves[0][x], self.reach);
                zs[x] = z0 + z as i32 + noise::moved(moves[1][x], self.reach);
            }
            for octave in 0..self.octaves.count {
                let (bits, seed) = (self.octaves.bits - octave, self.octaves.seed.wrapping_add(octave));
                for x in 0..MAP_EDGE {
                    sums[x] += noise::octave2(xs[x], zs[x], bits, seed, octave);
                }
            }
            row.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum as i16);
        }
    }
}

/// How the lanes of a row lie on a lattice.
struct Along {
    /// First lattice point.
    first: i32,
    /// Cells that the row touches.
    cells: usize,
    pattern: Pattern,
    fraction: Row,
    fade: Row,
}

impl Along {
    #[inline(always)]
    fn new(x0: i32, bits: u32) -> Self {
        let first = x0 >> bits;
        let mut along = Self {
            first,
            cells: (((x0 + LANES as i32 - 1) >> bits) - first + 1) as usize,
            pattern: Pattern([0; 2 * LANES]),
            fraction: Row([0; LANES]),
            fade: Row([0; LANES]),
        };
        for lane in 0..LANES {
            let x = x0 + lane as i32;
            let cell = ((x >> bits) - first) as u8;
            along.pattern.0[2 * lane] = 2 * cell;
            along.pattern.0[2 * lane + 1] = 2 * cell + 1;
            along.fraction.0[lane] = fraction(x, bits) as i16;
            along.fade.0[lane] = fade(fraction(x, bits)) as i16;
        }
        along
    }

    /// The gradients of a row of lattice points, one part after the other, and the value and slopes they give each lane.
    #[inline(always)]
    fn edge<L: Lanes>(&self, j: i32, k: i32, seed: u32, shift: u32, octave: u32) -> [L; 3] {
        let mut parts = [[0i16; 16]; 3];
        for point in 0..=self.cells.min(8) {
            let hash = hash(self.first + point as i32, j, k, seed);
            for (byte, part) in parts.iter_mut().enumerate() {
                part[point] = component(hash, byte as u32, shift, octave) as i16;
            }
        }
        let (t, u) = (L::load(&self.fraction.0), L::load(&self.fade.0));
        let near = parts.each_ref().map(|part| L::expand(part.first_chunk().expect("16"), &self.pattern));
        let far = parts.each_ref().map(|part| L::expand(part[1..].first_chunk().expect("15"), &self.pattern));
        [blend(near[0].scale(t), far[0].scale(t).sub(far[0]), u), blend(near[1], far[1], u), blend(near[2], far[2], u)]
    }
}

#[inline(always)]
fn blend<L: Lanes>(near: L, far: L, weight: L) -> L {
    near.add(far.sub(near).scale(weight))
}

/// Near value, near slope, what is left to the far value, what is left to the far slope.
#[inline(always)]
fn span<L: Lanes>([near, near_slope]: [L; 2], [far, far_slope]: [L; 2]) -> [L; 4] {
    [near, near_slope, far.sub(far_slope).sub(near), far_slope.sub(near_slope)]
}

/// The value at a place within a span.
#[inline(always)]
fn within<L: Lanes>([near, near_slope, rest, slope]: [L; 4], t: L, u: L) -> L {
    near.add(near_slope.scale(t)).add(rest.add(slope.scale(t)).scale(u))
}

#[inline(always)]
fn fill2<L: Lanes>([x0, z0]: [i32; 2], octaves: Octaves, out: &mut Cells) {
    for octave in 0..octaves.count {
        let (bits, seed) = (octaves.bits - octave, octaves.seed.wrapping_add(octave));
        for half in 0..MAP_EDGE / LANES {
            let along = Along::new(x0 + (half * LANES) as i32, bits);
            let (mut row, mut near) = (0, along.edge::<L>(0, z0 >> bits, seed, noise::SHIFT_2D, octave));
            while row < MAP_EDGE {
                let cell = (z0 + row as i32) >> bits;
                let far = along.edge::<L>(0, cell + 1, seed, noise::SHIFT_2D, octave);
                let cell_end = (((cell + 1) << bits) - z0).min(MAP_EDGE as i32) as usize;
                let over = span([near[0], near[2]], [far[0], far[2]]);
                for z in row..cell_end {
                    let t = fraction(z0 + z as i32, bits);
                    let value = within(over, L::splat(t as i16), L::splat(fade(t) as i16));
                    let at = z * MAP_EDGE + half * LANES;
                    let place = out[at..].first_chunk_mut::<LANES>().expect("a row has two halves");
                    let sum = if octave == 0 { value } else { L::load(place).add(value) };
                    sum.store(place);
                }
                (row, near) = (cell_end, far);
            }
        }
    }
}

/// Most lattice points along y that one octave needs for 32 voxels: nine at the finest spacing of 4.
const POINTS_MAX: usize = 9;

/// One octave of a chunk, made ready: everything along x is done.
struct Prepared<L> {
    /// By lattice point along z, then along y: the value, the slope along y, the slope along z.
    edges: Vec<[L; 3]>,
    points_y: usize,
    bits: u32,
    bits_y: u32,
}

#[inline(always)]
fn prepare<L: Lanes>(origin: [i32; 3], rows: &Range<usize>, octaves: Octaves, octave: u32, ready: &mut Prepared<L>) {
    let [x0, y0, z0] = origin;
    let (bits, bits_y) = (octaves.bits - octave, octaves.bits_y - octave);
    let along = Along::new(x0, bits);
    let (first_y, last_y) = ((y0 + rows.start as i32) >> bits_y, ((y0 + rows.end as i32 - 1) >> bits_y) + 1);
    let (first_z, last_z) = (z0 >> bits, ((z0 + 31) >> bits) + 1);
    *ready = Prepared { edges: Vec::new(), points_y: (last_y - first_y + 1) as usize, bits, bits_y };
    ready.edges.reserve(ready.points_y * (last_z - first_z + 1) as usize);
    for k in first_z..=last_z {
        for j in first_y..=last_y {
            let edge = along.edge::<L>(j, k, octaves.seed.wrapping_add(octave), noise::SHIFT_3D, octave);
            ready.edges.push(edge);
        }
    }
}

#[inline(always)]
fn fill3<L: Lanes, const N: usize>(origin: [i32; 3], rows: Range<usize>, octaves: Octaves, out: &mut Field) {
    if rows.is_empty() {
        return;
    }
    let [_, y0, z0] = origin;
    let mut prepared: [Prepared<L>; N] = [const { Prepared { edges: Vec::new(), points_y: 0, bits: 0, bits_y: 0 } }; N];
    for octave in 0..N {
        prepare(origin, &rows, octaves, octave as u32, &mut prepared[octave]);
    }
    // Fractions and fades along y, spread over lanes once, and the cell each row lies in.
    let zero = L::splat(0);
    let mut steps = [[(zero, zero); 32]; N];
    let mut cells = [[0u8; 32]; N];
    for (octave, ready) in prepared.iter().enumerate() {
        let first = (y0 + rows.start as i32) >> ready.bits_y;
        for row in rows.clone() {
            let t = fraction(y0 + row as i32, ready.bits_y);
            steps[octave][row] = (L::splat(t as i16), L::splat(fade(t) as i16));
            cells[octave][row] = (((y0 + row as i32) >> ready.bits_y) - first) as u8;
        }
    }
    let mut spans = [[[zero; 4]; POINTS_MAX]; N];
    for z in 0..32 {
        for octave in 0..N {
            spans_along_y(&prepared[octave], z0, z, &mut spans[octave]);
        }
        for row in rows.clone() {
            let mut sum = zero;
            for octave in 0..N {
                let (t, u) = steps[octave][row];
                sum = sum.add(within(spans[octave][usize::from(cells[octave][row])], t, u));
            }
            sum.store(out[(z * 32 + row) * LANES..].first_chunk_mut().expect("a field has 1024 rows"));
        }
    }
}

/// For one plane of constant z: everything along z is done, a span for each cell along y is left.
#[inline(always)]
fn spans_along_y<L: Lanes>(ready: &Prepared<L>, z0: i32, z: usize, spans: &mut [[L; 4]; POINTS_MAX]) {
    let at = z0 + z as i32;
    let k = ((at >> ready.bits) - (z0 >> ready.bits)) as usize;
    let t = fraction(at, ready.bits);
    let (t, u) = (L::splat(t as i16), L::splat(fade(t) as i16));
    let near = &ready.edges[k * ready.points_y..][..ready.points_y];
    let far = &ready.edges[(k + 1) * ready.points_y..][..ready.points_y];
    let mut last = face(near[0], far[0], t, u);
    for point in 1..ready.points_y {
        let next = face(near[point], far[point], t, u);
        spans[point - 1] = span(last, next);
        last = next;
    }
}

/// Between two edges: the value, and the slope along y.
#[inline(always)]
fn face<L: Lanes>(near: [L; 3], far: [L; 3], t: L, u: L) -> [L; 2] {
    [within(span([near[0], near[2]], [far[0], far[2]]), t, u), blend(near[1], far[1], u)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Near the origin, across it, far out, at the bounds; aligned to chunks and to maps.
    const PLACES: [[i32; 3]; 5] =
        [[0, 0, 0], [-32, -64, 32], [4096, 2016, -65_536], [(1 << 30) - 32, -2048, -(1 << 30)], [-(1 << 30), 0, 96]];

    #[test]
    fn rows_of_3d_noise_are_what_single_samples_are_at_every_level() {
        let sums = [
            Octaves::new(6, 4, 7),
            Octaves::new(5, 4, 8),
            Octaves::flat(7, 6, 5, 9),
            Octaves::flat(8, 6, 1, u32::MAX),
            Octaves::flat(9, 8, 7, 11),
        ];
        for (octaves, origin) in sums.iter().flat_map(|sum| PLACES.map(|place| (*sum, place))) {
            for (level, rows) in Level::available().into_iter().flat_map(|level| [(level, 0..32), (level, 5..18)]) {
                let mut field = any_field();
                field.fill(0);
                fractal3(level, origin, rows.clone(), octaves, &mut field);
                for (index, value) in field.iter().enumerate() {
                    let (x, y, z) = (index % 32, index / 32 % 32, index / 1024);
                    let at = [x, y, z].map(|v| v as i32);
                    let expected = noise::fractal3(origin[0] + at[0], origin[1] + at[1], origin[2] + at[2], octaves);
                    let expected = if rows.contains(&y) { expected } else { 0 };
                    assert_eq!(*value, expected, "{octaves:?}, {origin:?} + {at:?}, {level:?}");
                }
            }
        }
    }

    #[test]
    fn rows_of_2d_noise_are_what_single_samples_are_at_every_level() {
        let sums = [Octaves::new(6, 4, 7), Octaves::new(4, 3, 8), Octaves::new(11, 7, 9), Octaves::new(3, 2, 1)];
        let warp = Warp { octaves: Octaves::new(7, 2, 77), reach: 48 };
        for (octaves, [x, _, z]) in sums.iter().flat_map(|sum| PLACES.map(|place| (*sum, place))) {
            for level in Level::available() {
                let (x0, z0) = (x - 16, z - 16);
                let (mut plain, mut warped) = ([0; MAP_CELLS], [0; MAP_CELLS]);
                fractal2(level, [x0, z0], octaves, &mut plain);
                warped2(level, [x0, z0], warp, octaves, &mut warped);
                for index in 0..MAP_CELLS {
                    let (x, z) = (x0 + (index % MAP_EDGE) as i32, z0 + (index / MAP_EDGE) as i32);
                    assert_eq!(plain[index], noise::fractal2(x, z, octaves), "{octaves:?}, {x}, {z}, {level:?}");
                    let [x, z] = noise::warp2(x, z, warp);
                    assert_eq!(warped[index], noise::fractal2(x, z, octaves), "{octaves:?}, {x}, {z}, {level:?}");
                }
            }
        }
    }
}
