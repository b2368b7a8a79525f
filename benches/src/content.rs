//! The world that is stored: 512×256×512 voxels of 16 materials by integer arithmetic, repeated.
//!
//! A rewrite of the generator of the measured peers' inputs; the digest of its bytes is pinned by a test, so that
//! figures of different days speak of the same content.

use rayon::prelude::*;
use terrane_world::chunk::{Blocks, Chunk, new_blocks};
use terrane_world::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelPos};

const AIR: u16 = 0;
const STONE: u16 = 1;
const DEEP: u16 = 2;
const DIRT: u16 = 3;
const GRASS: u16 = 4;
const SAND: u16 = 5;
const WATER: u16 = 6;
const GRAVEL: u16 = 7;
const BEDROCK: u16 = 8;
const COAL: u16 = 9;
const IRON: u16 = 10;
const GOLD: u16 = 11;
const DIAMOND: u16 = 12;
const LOG: u16 = 13;
const LEAF: u16 = 14;
const GRANITE: u16 = 15;
/// How many materials there are; ids are below this.
pub const MATERIALS: u16 = 16;

/// Voxels along x and z of the world that is repeated.
const WIDTH: usize = 512;
const SLAB: usize = CHUNK_EDGE;
/// Chunks along x and z, and along y.
const CHUNKS_WIDE: usize = WIDTH / CHUNK_EDGE;
const CHUNKS_HIGH: usize = STORED.height / CHUNK_EDGE;
/// Chunks of the world that is repeated.
pub const BASE_CHUNKS: usize = CHUNKS_WIDE * CHUNKS_WIDE * CHUNKS_HIGH;

/// What a generated world looks like.
struct Land {
    /// Voxels along x and z.
    width: usize,
    /// Voxels along y.
    height: usize,
    seed: u32,
    /// Whether rocks float in its sky.
    rocks: bool,
}

/// The world that is repeated.
const STORED: Land = Land { width: WIDTH, height: 256, seed: 2, rocks: false };
/// The world whose components are labelled as one array.
const ROCKY: Land = Land { width: WIDTH, height: 512, seed: 1, rocks: true };

/// A hash of lattice coordinates (the finaliser of MurmurHash3, Appleby 2011).
const fn hash3(x: u32, y: u32, z: u32, seed: u32) -> u32 {
    let mut h = x.wrapping_mul(0x9E37_79B1)
        ^ y.wrapping_mul(0x85EB_CA77)
        ^ z.wrapping_mul(0xC2B2_AE3D)
        ^ seed.wrapping_mul(0x27D4_EB2F);
    h ^= h >> 16;
    h = h.wrapping_mul(0x85EB_CA6B);
    h ^= h >> 13;
    h = h.wrapping_mul(0xC2B2_AE35);
    h ^ h >> 16
}

/// For each coordinate of an axis its lattice cell, counted from the first one, and the weight of the next.
struct Axis {
    first: usize,
    cells: Vec<(usize, i32)>,
}

impl Axis {
    fn new(start: usize, length: usize, period: usize) -> Self {
        let first = start / period;
        let cell = |at: usize| {
            let t = ((at % period * 256) / period) as i32;
            (at / period - first, (t * t * (3 * 256 - 2 * t)) >> 16)
        };
        Self { first, cells: (start..start + length).map(cell).collect() }
    }

    /// Lattice points that the cells lie between.
    fn points(&self) -> usize {
        self.cells.last().map_or(0, |(cell, _)| cell + 2)
    }
}

const fn lerp(a: i32, b: i32, weight: i32) -> i32 {
    (a * (256 - weight) + b * weight) >> 8
}

/// Adds value noise in 0..65536, shifted right by `octave`, to layers `y0..` of the field.
fn add_noise(field: &mut [i32], width: usize, y0: usize, period: usize, seed: u32, octave: usize) {
    let layer = width * width;
    let side = Axis::new(0, width, period);
    let up = Axis::new(y0, field.len() / layer, period);
    let planes: Vec<Vec<i32>> = (0..up.points()).map(|y| noise_plane(&side, (up.first + y) as u32, seed)).collect();
    for (values, &(cell, weight)) in field.chunks_exact_mut(layer).zip(&up.cells) {
        for ((sum, &a), &b) in values.iter_mut().zip(&planes[cell]).zip(&planes[cell + 1]) {
            *sum += lerp(a, b, weight) >> octave;
        }
    }
}

/// The noise at one lattice height, interpolated along x and z.
fn noise_plane(side: &Axis, y: u32, seed: u32) -> Vec<i32> {
    let row = |z: usize| -> Vec<i32> {
        let points: Vec<i32> = (0..side.points()).map(|x| (hash3(x as u32, y, z as u32, seed) >> 16) as i32).collect();
        side.cells.iter().map(|&(cell, weight)| lerp(points[cell], points[cell + 1], weight)).collect()
    };
    let rows: Vec<Vec<i32>> = (0..side.points()).map(row).collect();
    let mut plane = Vec::with_capacity(side.cells.len() * side.cells.len());
    for &(cell, weight) in &side.cells {
        plane.extend(rows[cell].iter().zip(&rows[cell + 1]).map(|(&a, &b)| lerp(a, b, weight)));
    }
    plane
}

/// Octaves of noise over layers of `width`², normalised to 0..65536.
fn fractal(width: usize, y0: usize, layers: usize, period: usize, octaves: usize, seed: u32) -> Vec<i32> {
    let mut field = vec![0i32; layers * width * width];
    let mut total = 0i64;
    for octave in 0..octaves {
        add_noise(&mut field, width, y0, (period >> octave).max(1), seed + octave as u32, octave);
        total += 65_535 >> octave;
    }
    field.iter_mut().for_each(|value| *value = (i64::from(*value) * 65_535 / total) as i32);
    field
}

impl Land {
    /// All layers, in slabs from the lowest up.
    fn slabs(&self) -> Vec<Vec<u16>> {
        let noise = fractal(self.width, 0, 1, 128, 6, self.seed);
        let (base, range) = ((self.height * 30 / 100) as i32, (self.height * 45 / 100) as i32);
        let heights: Vec<i32> = noise.iter().map(|value| base + (value * range >> 16)).collect();
        (0..self.height / SLAB).into_par_iter().map(|n| self.slab(n * SLAB, &heights)).collect()
    }

    /// Layers `y0..y0 + SLAB` of the world, index `(y·width + z)·width + x`.
    fn slab(&self, y0: usize, heights: &[i32]) -> Vec<u16> {
        let sea = (self.height * 45 / 100) as i32;
        let area = self.width * self.width;
        let mut blocks = vec![AIR; SLAB * area];
        let depth = |at: usize| heights[at % area] - (y0 + at / area) as i32;
        let layer = |at: usize| y0 + at / area;
        let rock = fractal(self.width, y0, SLAB, 32, 2, self.seed + 100);
        for (at, block) in blocks.iter_mut().enumerate().filter(|(at, _)| depth(*at) > 0) {
            *block = match rock[at] {
                44_001.. => GRANITE,
                ..20_000 => GRAVEL,
                _ if layer(at) < self.height / 8 => DEEP,
                _ => STONE,
            };
        }
        for (ore, period, threshold, below, seed) in [
            (COAL, 8, 56_500, self.height, 200),
            (IRON, 8, 57_500, self.height * 6 / 10, 210),
            (GOLD, 6, 59_500, self.height * 3 / 10, 220),
            (DIAMOND, 5, 61_000, self.height / 6, 230),
        ] {
            let noise = fractal(self.width, y0, SLAB, period, 1, self.seed + seed);
            for (at, block) in blocks.iter_mut().enumerate() {
                if noise[at] > threshold && depth(at) > 4 && layer(at) < below {
                    *block = ore;
                }
            }
        }
        let caverns = fractal(self.width, y0, SLAB, 48, 3, self.seed + 300);
        let (tunnels, others) = (
            fractal(self.width, y0, SLAB, 32, 2, self.seed + 310),
            fractal(self.width, y0, SLAB, 32, 2, self.seed + 320),
        );
        let near = |value: i32| (value - 32_768).abs() < 2_300;
        for (at, block) in blocks.iter_mut().enumerate() {
            let depth = depth(at);
            if depth > 0 && (caverns[at] > 45_000 || near(tunnels[at]) && near(others[at])) {
                *block = AIR;
            } else if (1..=4).contains(&depth) {
                *block = match depth {
                    _ if heights[at % area] <= sea + 2 => SAND,
                    1 => GRASS,
                    _ => DIRT,
                };
            } else if depth <= 0 && (layer(at) as i32) < sea {
                *block = WATER;
            }
        }
        if self.rocks {
            let noise = fractal(self.width, y0, SLAB, 16, 2, self.seed + 400);
            let high = |at: &usize| depth(*at) < -12 && noise[*at] > 53_000;
            (0..blocks.len()).filter(high).for_each(|at| blocks[at] = STONE);
        }
        self.plant(&mut blocks, y0, heights, sea);
        if y0 == 0 {
            blocks[..area].fill(BEDROCK);
        }
        blocks
    }

    /// Trees, in order of z and x.
    fn plant(&self, blocks: &mut [u16], y0: usize, heights: &[i32], sea: i32) {
        let (width, area) = (self.width, self.width * self.width);
        for at in 0..area {
            let (x, z, ground) = (at % width, at / width, heights[at]);
            if ground <= sea + 2 || !hash3(x as u32, 0, z as u32, self.seed + 500).is_multiple_of(97) {
                continue;
            }
            let top = ground as usize + 4 + (hash3(x as u32, 1, z as u32, self.seed + 501) % 4) as usize;
            for y in (ground as usize).max(y0)..top.min(y0 + SLAB) {
                blocks[(y - y0) * area + at] = LOG;
            }
            for y in (top - 2).max(y0)..(top + 2).min(y0 + SLAB) {
                let reach = if y < top { 2 } else { 1 };
                for z in z.saturating_sub(reach)..(z + reach + 1).min(width) {
                    let row = (y - y0) * area + z * width;
                    let leaves = &mut blocks[row + x.saturating_sub(reach)..row + (x + reach + 1).min(width)];
                    leaves.iter_mut().filter(|block| **block == AIR).for_each(|block| *block = LEAF);
                }
            }
        }
    }
}

/// A chunk as whoever stores it gets it.
pub enum Piece<'a> {
    /// One material throughout; nobody has to store 64 KiB for it.
    Uniform(u16),
    /// Every voxel, index x + 32·z + 1024·y.
    Dense(&'a [u16; CHUNK_VOXELS]),
}

/// The content of all worlds: chunk `k` is chunk `k % 2048` of the generated world, and in a dense chunk voxel 0 says
/// which repetition it is.
pub struct Content {
    voxels: Vec<[u16; CHUNK_VOXELS]>,
    uniform: Vec<bool>,
}

impl Content {
    /// Generates it, in a few seconds.
    pub fn generate() -> Self {
        let slabs = STORED.slabs();
        let cut = |k: usize| {
            let (x, z) = (k % CHUNKS_WIDE * CHUNK_EDGE, k / CHUNKS_WIDE % CHUNKS_WIDE * CHUNK_EDGE);
            let mut chunk = [0u16; CHUNK_VOXELS];
            for (row, target) in chunk.chunks_exact_mut(CHUNK_EDGE).enumerate() {
                let from = (row / CHUNK_EDGE * WIDTH + z + row % CHUNK_EDGE) * WIDTH + x;
                target.copy_from_slice(&slabs[k / CHUNKS_WIDE / CHUNKS_WIDE][from..from + CHUNK_EDGE]);
            }
            chunk
        };
        let voxels: Vec<_> = (0..BASE_CHUNKS).into_par_iter().map(cut).collect();
        let uniform = voxels.iter().map(|chunk| chunk.iter().all(|voxel| *voxel == chunk[0])).collect();
        Self { voxels, uniform }
    }

    /// The generated world's chunks, in order (y, z, x).
    pub fn base(&self) -> &[[u16; CHUNK_VOXELS]] {
        &self.voxels
    }

    /// How many of the first `count` chunks are of one material.
    pub fn uniform_count(&self, count: usize) -> usize {
        (0..count).filter(|k| self.uniform[k % BASE_CHUNKS]).count()
    }

    /// Chunk `k`, laid out in `buffer` if it is dense.
    pub fn piece<'a>(&self, k: usize, buffer: &'a mut [u16; CHUNK_VOXELS]) -> Piece<'a> {
        let base = &self.voxels[k % BASE_CHUNKS];
        if self.uniform[k % BASE_CHUNKS] {
            return Piece::Uniform(base[0]);
        }
        buffer.copy_from_slice(base);
        buffer[0] = self.voxel(k, 0);
        Piece::Dense(buffer)
    }

    /// Chunk `k` in our form.
    pub fn chunk(&self, k: usize, buffer: &mut Blocks) -> Chunk {
        let voxels: &mut [u16] = bytemuck::cast_slice_mut(&mut buffer[..]);
        match self.piece(k, voxels.try_into().expect("as long as a chunk")) {
            Piece::Uniform(block) => Chunk::uniform(terrane_world::block::BlockId(block)),
            Piece::Dense(_) => Chunk::from_blocks(buffer),
        }
    }

    /// One voxel of chunk `k`.
    pub fn voxel(&self, k: usize, local: usize) -> u16 {
        let voxel = self.voxels[k % BASE_CHUNKS][local];
        if local > 0 || self.uniform[k % BASE_CHUNKS] {
            return voxel;
        }
        (voxel + (k / BASE_CHUNKS) as u16) % MATERIALS
    }

    /// Our chunks `range`, packed on all threads.
    pub fn chunks(&self, range: std::ops::Range<usize>) -> Vec<(ChunkPos, Chunk)> {
        range.into_par_iter().map_init(new_blocks, |buffer, k| (position(k), self.chunk(k, buffer))).collect()
    }
}

/// Whether a material holds others up: all but air and water.
pub const fn is_solid(material: u16) -> bool {
    material != AIR && material != WATER
}

/// Whether a material holds itself up.
pub const fn is_anchored(material: u16) -> bool {
    material == BEDROCK
}

/// Voxels along x, y and z of [`rocky_terrain`].
pub const ROCKY_SIZE: [usize; 3] = [WIDTH, ROCKY.height, WIDTH];

/// Which voxels of a terrain with caves and floating rocks are solid, 1 or 0, index `(y·512 + z)·512 + x`.
pub fn rocky_terrain() -> Vec<u8> {
    let solid = |slab: Vec<u16>| slab.into_par_iter().map(|material| u8::from(is_solid(material)));
    ROCKY.slabs().into_par_iter().flat_map(solid).collect()
}

/// A terrain with caves and floating rocks, `edge` voxels along each axis: materials, index `(y·edge + z)·edge + x`.
pub fn cube(edge: usize) -> Vec<u16> {
    Land { width: edge, height: edge, seed: 1, rocks: true }.slabs().concat()
}

/// What digging into each material costs.
pub const TUNNEL_COSTS: [u8; MATERIALS as usize] = [1, 10, 16, 4, 4, 3, 6, 5, 60, 12, 14, 15, 20, 6, 2, 11];

/// What flying through each material costs; 255 is blocked.
pub const FLY_COSTS: [u8; MATERIALS as usize] = {
    let mut costs = [255; MATERIALS as usize];
    (costs[AIR as usize], costs[LEAF as usize], costs[WATER as usize]) = (2, 8, 12);
    costs
};

/// Voxels along each axis of [`maze`].
pub const MAZE_EDGE: usize = 128;

/// A perfect maze, a random spanning tree over every other voxel, with corridors one voxel wide: which voxels are open.
pub fn maze() -> Vec<bool> {
    const CELLS: usize = MAZE_EDGE / 2;
    let number = |x: usize, z: usize, y: usize| (y * CELLS + z) * CELLS + x;
    let mut walls: Vec<(u32, usize, [usize; 3])> = Vec::new();
    for (axis, step) in [(0, [0, 0, 1]), (1, [0, 1, 0]), (2, [1, 0, 0])] {
        let end = |n: usize| CELLS - step[n];
        for y in 0..end(2) {
            for z in 0..end(1) {
                walls.extend(
                    (0..end(0)).map(|x| (hash3(x as u32, y as u32, z as u32, 900 + axis as u32), axis, [x, z, y])),
                );
            }
        }
    }
    walls.sort_unstable();
    let mut parents: Vec<u32> = (0..(CELLS * CELLS * CELLS) as u32).collect();
    let mut open = vec![false; MAZE_EDGE * MAZE_EDGE * MAZE_EDGE];
    let at = |x: usize, z: usize, y: usize| (y * MAZE_EDGE + z) * MAZE_EDGE + x;
    for y in 0..CELLS {
        for z in 0..CELLS {
            (0..CELLS).for_each(|x| open[at(2 * x, 2 * z, 2 * y)] = true);
        }
    }
    for (_, axis, [x, z, y]) in walls {
        let step = [[0, 0, 1], [0, 1, 0], [1, 0, 0]][axis];
        let ends = [number(x, z, y), number(x + step[0], z + step[1], y + step[2])]
            .map(|cell| root(&mut parents, cell as u32));
        if ends[0] != ends[1] {
            parents[ends[0] as usize] = ends[1];
            open[at(2 * x + step[0], 2 * z + step[1], 2 * y + step[2])] = true;
        }
    }
    open
}

fn root(parents: &mut [u32], mut cell: u32) -> u32 {
    while parents[cell as usize] != cell {
        parents[cell as usize] = parents[parents[cell as usize] as usize];
        cell = parents[cell as usize];
    }
    cell
}

/// One voxel of the generated world that an explosion changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The chunk's number.
    pub chunk: u32,
    /// What was there.
    pub old: u16,
    /// The voxel in it.
    pub local: u16,
    /// What is there now.
    pub new: u16,
}

/// Explosions in 64 chunks at the surface of the generated world: 1,000 changes, the same in every run.
pub fn explosions(chunks: &[[u16; CHUNK_VOXELS]]) -> Vec<Change> {
    const COUNT: usize = 1_000;
    const CHUNKS: usize = 64;
    let has = |chunk: &[u16; CHUNK_VOXELS], materials: &[u16]| chunk.iter().any(|voxel| materials.contains(voxel));
    let at_surface = |k: &usize| has(&chunks[*k], &[AIR]) && has(&chunks[*k], &[GRASS, SAND]);
    let surface: Vec<usize> = (0..chunks.len()).filter(at_surface).collect();
    let picks: Vec<usize> = (0..CHUNKS).map(|n| surface[n * 7_919 % surface.len()]).collect();
    let (mut changes, mut more) = (Vec::new(), Vec::new());
    for (n, &k) in picks.iter().enumerate() {
        let mut hit = explosion(&chunks[k], k as u32, n as u32);
        more.extend(hit.split_off(hit.len().min(COUNT / CHUNKS)));
        changes.extend(hit);
    }
    more.truncate(COUNT - changes.len());
    changes.extend(more);
    let order = |change: &Change| picks.iter().rposition(|k| *k == change.chunk as usize);
    changes.sort_by_key(|change| (order(change), change.local));
    changes
}

/// What a sphere around a solid voxel of a chunk changes, from the inside out: most to air, a tenth to gravel.
fn explosion(chunk: &[u16; CHUNK_VOXELS], k: u32, n: u32) -> Vec<Change> {
    let random = hash3(n, 0, 0, 9);
    let solid: Vec<usize> = (0..CHUNK_VOXELS).filter(|local| chunk[*local] != AIR).collect();
    let centre = solid[(random >> 4) as usize % solid.len()];
    let place = |local: usize| [local % 32, local / 1_024, local / 32 % 32];
    let distance = |local: usize| -> usize {
        place(local).iter().zip(place(centre)).map(|(a, b)| a.abs_diff(b) * a.abs_diff(b)).sum()
    };
    let radius = 3 + random as usize % 3;
    let change = |&local: &usize| {
        let [x, y, z] = place(local);
        let gravel = hash3(x as u32, y as u32, z as u32, n).is_multiple_of(10);
        Change { chunk: k, old: chunk[local], local: local as u16, new: if gravel { GRAVEL } else { AIR } }
    };
    let near = solid.iter().filter(|local| distance(**local) <= radius * radius).map(change);
    let mut changes: Vec<Change> = near.filter(|change| change.new != change.old).collect();
    changes.sort_by_key(|change| distance(usize::from(change.local)));
    changes
}

/// Where chunk `k` lies: the generated world again and again along x, whole regions each time.
pub fn position(k: usize) -> ChunkPos {
    let x = k % CHUNKS_WIDE + k / BASE_CHUNKS * CHUNKS_WIDE;
    let (y, z) = (k % BASE_CHUNKS / CHUNKS_WIDE / CHUNKS_WIDE, k / CHUNKS_WIDE % CHUNKS_WIDE);
    ChunkPos::new(x as i32, y as i32, z as i32).expect("a few thousand chunks are inside every bound")
}

/// A place as each side names it.
#[derive(Clone, Copy)]
pub struct Place {
    /// The chunk's number.
    pub chunk: u32,
    /// The voxel in it.
    pub local: u16,
    /// The same for us.
    pub voxel: VoxelPos,
}

/// Random places among `chunks` chunks; the same for the same `seed` (SplitMix64, Steele et al. 2014).
pub fn places(seed: u64, count: usize, chunks: usize) -> Vec<Place> {
    let mut state = seed.wrapping_mul(77).wrapping_add(5);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    };
    let place = |random: u64| {
        let (chunk, local) = ((random % chunks as u64) as u32, (random >> 32) as u16 % CHUNK_VOXELS as u16);
        let voxel = position(chunk as usize).voxel(LocalIndex::new(local).expect("just reduced"));
        Place { chunk, local, voxel }
    };
    (0..count).map(|_| place(next())).collect()
}
