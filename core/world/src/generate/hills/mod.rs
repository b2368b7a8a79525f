//! The generator `hills`, version 1: a height map from fractal noise, lakes, beaches, woods, snow caps, caves and ores.
//!
//! Released, so its output never changes again: `tests/golden.rs` pins it.

mod value_noise;

use self::value_noise::{fractal2, hash, value3_chunk};
use super::{GeneratorError, block};
use crate::block::{AIR, BlockId, Registry};
use crate::chunk::{Blocks, Chunk, new_blocks};
use crate::limits::CHUNK_VOXELS;
use crate::space::{ChunkPos, LocalIndex};

/// The layer that everything rests on; below it is nothing.
const FLOOR: i32 = -128;
const SEA: i32 = 62;
const DEEPSLATE_BELOW: i32 = -16;
const SNOW_FROM: i32 = 128;
const ROCK_FROM: i32 = 112;
/// Nothing is ever placed from here up: highest ground plus the tallest tree.
const TOP: i32 = 224;
/// How far a tree's leaves reach from its trunk.
const TREE_REACH: i32 = 2;

/// The generator with its seed and ids.
#[derive(Debug, Clone)]
pub struct Hills {
    seed: u32,
    ids: Ids,
}

#[derive(Debug, Clone)]
struct Ids {
    bedrock: BlockId,
    stone: BlockId,
    deepslate: BlockId,
    granite: BlockId,
    dirt: BlockId,
    grass: BlockId,
    sand: BlockId,
    gravel: BlockId,
    snow: BlockId,
    water: BlockId,
    logs: [BlockId; 3],
    leaves: [BlockId; 3],
    ores: [(BlockId, i32, u32); 4],
}

/// The ground at one x, z.
#[derive(Clone, Copy)]
struct Ground {
    /// First y above the ground.
    height: i32,
    /// 0..=65535, above half a wood.
    wood: i32,
}

impl Hills {
    pub(super) fn new(seed: u64, registry: &Registry) -> Result<Self, GeneratorError> {
        let id = |name| block(registry, "hills", name);
        let ids = Ids {
            bedrock: id("bedrock")?,
            stone: id("stone")?,
            deepslate: id("deepslate")?,
            granite: id("granite")?,
            dirt: id("dirt")?,
            grass: id("grass_block")?,
            sand: id("sand")?,
            gravel: id("gravel")?,
            snow: id("snow_block")?,
            water: id("water")?,
            logs: [id("oak_log")?, id("birch_log")?, id("spruce_log")?],
            leaves: [id("oak_leaves")?, id("birch_leaves")?, id("spruce_leaves")?],
            // Block, highest y, one vein seed in this many 8³ cells.
            ores: [
                (id("coal_ore")?, 160, 3),
                (id("iron_ore")?, 80, 4),
                (id("gold_ore")?, 0, 9),
                (id("diamond_ore")?, -64, 14),
            ],
        };
        Ok(Self { seed: (seed ^ seed >> 32) as u32, ids })
    }

    fn ground(&self, x: i32, z: i32) -> Ground {
        let plain = fractal2(x, z, 7, 5, self.seed);
        let land = fractal2(x, z, 9, 3, self.seed.wrapping_add(40));
        let ridge = 32768 - (fractal2(x, z, 8, 4, self.seed.wrapping_add(80)) - 32768).abs() * 2;
        // Mountains rise only where the land noise is high; lakes lie where it is low.
        let rise = (land - 34000).max(0) >> 3;
        let mountain = (i64::from(ridge.max(0)) * i64::from(rise) >> 19) as i32;
        let height = 14 + (plain * 64 >> 16) + (land * 42 >> 16) + mountain;
        Ground { height: height.min(TOP - 24), wood: fractal2(x, z, 7, 2, self.seed.wrapping_add(120)) }
    }

    pub(super) fn spawn(&self) -> [i32; 3] {
        // The first dry place on a square spiral; the search is bounded, a lake is not.
        let dry = (0..64).map(|ring| (ring * 8, -ring * 4)).find(|&(x, z)| self.ground(x, z).height > SEA + 1);
        let (x, z) = dry.unwrap_or((0, 0));
        [x, self.ground(x, z).height.max(SEA + 1), z]
    }

    pub(super) fn chunk(&self, pos: ChunkPos) -> Chunk {
        let [x0, y0, z0] = pos.origin().to_array();
        if y0 >= TOP || y0 + 32 <= FLOOR {
            return Chunk::uniform(AIR);
        }
        let edge = 32 + 2 * TREE_REACH;
        let ground: Vec<Ground> =
            (0..edge * edge).map(|i| self.ground(x0 - TREE_REACH + i % edge, z0 - TREE_REACH + i / edge)).collect();
        let highest = ground.iter().map(|g| g.height).max().expect("the slab has columns");
        if y0 >= (highest + 12).max(SEA) {
            return Chunk::uniform(AIR);
        }
        let at = |x: i32, z: i32| ground[((z + TREE_REACH) * edge + x + TREE_REACH) as usize];
        let mut blocks = new_blocks();
        self.fill_ground(pos, &at, &mut blocks);
        if y0 < highest {
            self.place_veins(pos, &mut blocks);
            self.carve_caves(pos, &at, &mut blocks);
        }
        self.plant_trees(pos, &at, &mut blocks);
        Chunk::from_blocks(&blocks)
    }

    fn fill_ground(&self, pos: ChunkPos, at: &impl Fn(i32, i32) -> Ground, blocks: &mut Blocks) {
        let y0 = pos.origin().y();
        for local in 0..CHUNK_VOXELS {
            let local = LocalIndex::new(local as u16).expect("below 32768");
            let height = at(local.x() as i32, local.z() as i32).height;
            blocks[local.index()] = self.stratum(y0 + local.y() as i32, height);
        }
    }

    fn stratum(&self, y: i32, height: i32) -> BlockId {
        let ids = &self.ids;
        let depth = height - y;
        match () {
            () if y < FLOOR => AIR,
            () if y == FLOOR => ids.bedrock,
            () if depth <= 0 && y < SEA => ids.water,
            () if depth <= 0 => AIR,
            () if depth > 4 && y < DEEPSLATE_BELOW => ids.deepslate,
            () if depth > 4 => ids.stone,
            () if height >= SNOW_FROM && depth <= 2 => ids.snow,
            () if height >= ROCK_FROM => ids.stone,
            () if height <= SEA - 6 => ids.gravel,
            () if height <= SEA + 2 => ids.sand,
            () if depth == 1 => ids.grass,
            () => ids.dirt,
        }
    }

    /// Ore veins: in each 8³ cell some seeds, each a blob that may cross into the next cell or chunk.
    fn place_veins(&self, pos: ChunkPos, blocks: &mut Blocks) {
        let [x0, y0, z0] = pos.origin().to_array();
        let rock = |b: BlockId| b == self.ids.stone || b == self.ids.deepslate;
        let kinds = self.ids.ores.iter().copied().chain([(self.ids.granite, 200, 2)]);
        for (kind, (ore, highest, one_in)) in kinds.enumerate() {
            let reach = if ore == self.ids.granite { 5 } else { 2 };
            for cell in cells_around([x0, y0, z0]) {
                let seed = hash(cell[0], cell[1], cell[2], self.seed.wrapping_add(200 + kind as u32));
                if !seed.is_multiple_of(one_in) {
                    continue;
                }
                let centre: [i32; 3] = std::array::from_fn(|axis| cell[axis] * 8 + (seed >> (8 + 3 * axis) & 7) as i32);
                if centre[1] > highest {
                    continue;
                }
                let radius = 1 + (seed >> 20) as i32 % reach;
                for_ball([x0, y0, z0], centre, radius, |local| {
                    if rock(blocks[local.index()]) {
                        blocks[local.index()] = ore;
                    }
                });
            }
        }
    }

    /// Winding tunnels where two noises are both near their middle, and chambers where a third is high.
    fn carve_caves(&self, pos: ChunkPos, at: &impl Fn(i32, i32) -> Ground, blocks: &mut Blocks) {
        let origin = pos.origin().to_array();
        let mut fields = [vec![0u16; CHUNK_VOXELS], vec![0u16; CHUNK_VOXELS], vec![0u16; CHUNK_VOXELS]];
        for (n, (field, bits)) in fields.iter_mut().zip([5, 5, 5]).enumerate() {
            value3_chunk(origin, bits, self.seed.wrapping_add(300 + n as u32), field);
        }
        let [a, b, chamber] = &fields;
        for index in 0..CHUNK_VOXELS {
            let near = |f: &[u16]| (i32::from(f[index]) - 32768).abs() < 1900;
            let local = LocalIndex::new(index as u16).expect("below 32768");
            let depth = at(local.x() as i32, local.z() as i32).height - (origin[1] + local.y() as i32);
            let y = origin[1] + local.y() as i32;
            // Lakes keep their beds: a cave opens only where the ground above it is dry.
            let dry = at(local.x() as i32, local.z() as i32).height > SEA || depth > 6;
            let open = near(a) && near(b) || (chamber[index] > 54000 && depth > 12);
            if open && dry && depth > 0 && y > FLOOR + 2 && blocks[index] != self.ids.water {
                blocks[index] = AIR;
            }
        }
    }

    fn plant_trees(&self, pos: ChunkPos, at: &impl Fn(i32, i32) -> Ground, blocks: &mut Blocks) {
        let [x0, y0, z0] = pos.origin().to_array();
        for z in -TREE_REACH..32 + TREE_REACH {
            for x in -TREE_REACH..32 + TREE_REACH {
                let ground = at(x, z);
                let roll = hash(x0 + x, 7, z0 + z, self.seed.wrapping_add(500));
                let one_in = if ground.wood > 34000 { 47 } else { 700 };
                if ground.height <= SEA + 2 || ground.height >= ROCK_FROM || !roll.is_multiple_of(one_in) {
                    continue;
                }
                let kind = if ground.height > 96 { 2 } else { usize::from(roll >> 16 & 3 == 0) };
                let trunk = 4 + (roll >> 20) as i32 % 3 + if kind == 2 { 2 } else { 0 };
                self.plant_tree([x, ground.height - y0, z], trunk, kind, blocks);
            }
        }
    }

    /// One tree whose trunk starts at `base`, relative to the chunk; only what lies inside the chunk is placed.
    fn plant_tree(&self, base: [i32; 3], trunk: i32, kind: usize, blocks: &mut Blocks) {
        let [bx, by, bz] = base;
        let mut put = |x: i32, y: i32, z: i32, block: BlockId| {
            if [x, y, z].iter().all(|v| (0..32).contains(v)) {
                let local = LocalIndex::from_xyz(x as usize, y as usize, z as usize).index();
                if blocks[local] == AIR || block == self.ids.logs[kind] {
                    blocks[local] = block;
                }
            }
        };
        for layer in trunk - 3..=trunk + 1 {
            let spruce_narrow = kind == 2 && (trunk - layer) & 1 == 0;
            let reach = if layer >= trunk || spruce_narrow { 1 } else { 2 };
            for dz in -reach..=reach {
                for dx in -reach..=reach {
                    let corner = dx * dx == reach * reach && dz * dz == reach * reach;
                    if !corner || (layer < trunk && (dx + dz + layer) & 3 == 0) {
                        put(bx + dx, by + layer, bz + dz, self.ids.leaves[kind]);
                    }
                }
            }
        }
        for layer in 0..trunk {
            put(bx, by + layer, bz, self.ids.logs[kind]);
        }
    }
}

/// The 8³ cells of a chunk and one more on each side.
fn cells_around(origin: [i32; 3]) -> impl Iterator<Item = [i32; 3]> {
    let first = origin.map(|v| (v >> 3) - 1);
    (0..6).flat_map(move |j| (0..6).flat_map(move |k| (0..6).map(move |i| [first[0] + i, first[1] + j, first[2] + k])))
}

/// Calls `each` for the voxels of a ball that lie inside the chunk at `origin`.
fn for_ball(origin: [i32; 3], centre: [i32; 3], radius: i32, mut each: impl FnMut(LocalIndex)) {
    let low: [i32; 3] = std::array::from_fn(|axis| (centre[axis] - radius - origin[axis]).max(0));
    let high: [i32; 3] = std::array::from_fn(|axis| (centre[axis] + radius - origin[axis]).min(31));
    for y in low[1]..=high[1] {
        for z in low[2]..=high[2] {
            for x in low[0]..=high[0] {
                let d: [i32; 3] = std::array::from_fn(|axis| [x, y, z][axis] + origin[axis] - centre[axis]);
                if d.iter().map(|v| v * v).sum::<i32>() <= radius * radius {
                    each(LocalIndex::from_xyz(x as usize, y as usize, z as usize));
                }
            }
        }
    }
}
