//! The same bytes everywhere: the digest of a box of the generator `terrain` does not depend on the order of chunks, on
//! threads, on batches, on vector instructions. And what a player would see: borders without seams.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_world::block::{AIR, BlockId, Registry};
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::digest::{ContentDigest, chunk_hash};
use terrane_world::generate::noise::hash;
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::stage::{BuiltInOnly, Layer, Maps, NO_WATER};
use terrane_world::generate::terrain::STAGES;
use terrane_world::generate::terrain::biomes::BIOMES;
use terrane_world::generate::{Generator, GeneratorSetting, Level, StageSetting};
use terrane_world::space::{ChunkPos, VoxelBox};

const SEED: u64 = 0x7e44_a9e5_0000_0007;
/// The digest of [`a_box`] around the origin with that seed; `tests/golden.rs` pins it in two profiles.
const GOLDEN_BOX: &str = "3cbaa13f89f84aba89e0c8514f74f02f";

fn pipeline() -> Arc<Pipeline> {
    let generator = Generator::plain("terrain", 1, SEED, &Registry::built_in()).unwrap();
    Arc::clone(generator.pipeline().unwrap())
}

/// The version's own stages but one.
fn without(left_out: &str) -> Arc<Pipeline> {
    let stage = |name: &&str| StageSetting { stage: (*name).to_owned(), settings: toml::Table::new() };
    let stages = STAGES.iter().filter(|name| **name != left_out).map(stage).collect();
    let setting = GeneratorSetting { stages, ..GeneratorSetting::plain("terrain", 1) };
    let generator = Generator::new(&setting, SEED, &Registry::built_in(), &[], &BuiltInOnly).unwrap();
    Arc::clone(generator.pipeline().unwrap())
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// A box of 512×256×512 voxels from `x`, `z` on, in ascending order.
fn a_box(x: i32, z: i32) -> Vec<ChunkPos> {
    VoxelBox::new([x, -128, z], [x + 512, 128, z + 512]).unwrap().chunks().collect()
}

fn digest(chunks: &BTreeMap<ChunkPos, u128>) -> String {
    let mut digest = ContentDigest::new("");
    chunks.iter().for_each(|(pos, hash)| digest.add(*pos, *hash));
    digest.finish()
}

/// The digest of a box made in batches of a size, in the order given.
fn made(pipeline: &Pipeline, order: &[ChunkPos], batch: usize, threads: usize) -> String {
    let registry = Registry::built_in();
    let make = |batch: &[ChunkPos]| -> Vec<(ChunkPos, u128)> {
        let chunks = pipeline.chunks(batch).unwrap();
        batch.iter().zip(chunks).map(|(pos, chunk)| (*pos, chunk_hash(&registry, *pos, &chunk, None))).collect()
    };
    let hashes = pool(threads).install(|| order.par_chunks(batch).flat_map_iter(make).collect());
    digest(&hashes)
}

fn by_region(chunks: &[ChunkPos]) -> Vec<ChunkPos> {
    let mut chunks = chunks.to_vec();
    chunks.sort_by_key(|pos| (pos.region(), pos.x(), pos.z(), pos.y()));
    chunks
}

fn shuffled(chunks: &[ChunkPos], seed: u32) -> Vec<ChunkPos> {
    let mut chunks = chunks.to_vec();
    chunks.sort_by_key(|pos| hash(pos.x(), pos.y(), pos.z(), seed));
    chunks
}

#[test]
fn a_box_is_the_same_in_any_order_on_any_threads_in_any_batches() {
    let pipeline = pipeline();
    let chunks = a_box(-256, -256);
    let mut reverse = chunks.clone();
    reverse.reverse();
    let cases = [
        ("region by region on one thread", by_region(&chunks), 128, 1),
        ("forward, chunk by chunk", chunks.clone(), 1, 2),
        ("reverse", reverse, 7, 3),
        ("shuffled, chunk by chunk", shuffled(&chunks, 1), 1, 5),
        ("shuffled, in batches", shuffled(&chunks, 2), 100, 2),
        ("region by region on many threads", by_region(&chunks), 128, 8),
        ("all at once", chunks.clone(), chunks.len(), 1),
    ];
    for (name, order, batch, threads) in cases {
        assert_eq!(made(&pipeline, &order, batch, threads), GOLDEN_BOX, "{name}");
    }
}

#[test]
fn a_box_is_the_same_with_every_set_of_vector_instructions() {
    for (x, z) in [(0, 0), ((1 << 30) - 512, -(1 << 30))] {
        let chunks = by_region(&a_box(x, z));
        let expected = made(&pipeline(), &chunks, 128, 2);
        for level in Level::available() {
            let masked = Arc::into_inner(pipeline()).unwrap().with_level(level);
            assert_eq!(made(&masked, &chunks, 128, 2), expected, "{level:?} at {x}, {z}");
        }
    }
}

#[test]
fn stages_can_be_left_out_moved_and_set_and_each_choice_is_its_own_world() {
    let registry = Registry::built_in();
    let chunks: Vec<ChunkPos> = VoxelBox::new([-256, 0, -256], [256, 128, 256]).unwrap().chunks().collect();
    let world = |text: &str| -> String {
        let stages = toml::from_str::<toml::Table>(text).unwrap();
        let stages = stages["stage"].as_array().unwrap().iter().map(|stage| {
            let mut settings = stage.as_table().unwrap().clone();
            let stage = settings.remove("stage").unwrap().as_str().unwrap().to_owned();
            StageSetting { stage, settings }
        });
        let setting = GeneratorSetting { stages: stages.collect(), ..GeneratorSetting::plain("terrain", 1) };
        let generator = Generator::new(&setting, SEED, &registry, &[], &BuiltInOnly).unwrap();
        made(generator.pipeline().unwrap(), &chunks, 9, 2)
    };
    let list = |names: &[&str]| names.iter().map(|name| format!("[[stage]]\nstage = \"{name}\"\n")).collect::<String>();
    let own = STAGES;
    let mut worlds = BTreeSet::new();
    let mut moved = own;
    moved.swap(5, 7);
    assert_eq!(world(&list(&own)), made(&pipeline(), &chunks, 9, 2), "the own list, spelt out");
    assert!(worlds.insert(world(&list(&own))));
    assert!(worlds.insert(world(&list(&moved))), "soil lies on the floor of caves that were opened before it");
    for left_out in 0..own.len() {
        let rest: Vec<&str> = own.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, name)| *name).collect();
        assert!(worlds.insert(world(&list(&rest))), "without {}", own[left_out]);
    }
    let changed = format!("{}land = -20\n", list(&own[..1])) + &list(&own[1..]);
    assert!(worlds.insert(world(&changed)), "less land");
    let twice = list(&own)
        + "[[stage]]\nstage = \"veins\"\nsalt = 9\nores = [{ block = \"gold_block\", low = -60, high = 90, one_in = 3 }]\n";
    assert!(worlds.insert(world(&twice)), "a second stage of veins");
}

#[test]
fn a_wrong_stage_or_setting_is_refused_with_its_place_and_what_is_accepted() {
    let registry = Registry::built_in();
    let cases = [
        ("vains", "", "stage 1 of the generator, \"vains\", is not known: there are continents"),
        ("veins", "raritty = 3", "unknown field `raritty`, expected one of `ores`"),
        ("density", "overhang = 90", "overhang = 90 is out of range: a whole number from 0 to 32 is accepted"),
        ("density", "overhang = 1.5", "stage 1 of the generator, \"density\""),
        ("strata", "rocks = []", "rocks has 0 names: 1 to 16 are accepted"),
        ("strata", "rocks = [\"cheese\"]", "\"cheese\", which the world's registry does not hold"),
        ("veins", "ores = [{block=\"dirt\",low=0,high=1,one_in=1,biomes=[\"moon\"]}]", "\"moon\" is not known"),
    ];
    for (stage, settings, expected) in cases {
        let settings = toml::from_str(settings).unwrap();
        let stages = vec![StageSetting { stage: stage.into(), settings }];
        let setting = GeneratorSetting { stages, ..GeneratorSetting::plain("terrain", 1) };
        let error = Generator::new(&setting, SEED, &registry, &[], &BuiltInOnly).unwrap_err().to_string();
        assert!(error.contains(expected), "{stage}, {expected}: {error}");
    }
}

/// Whole chunks of a box as one array, for looking across their borders.
struct Volume {
    min: [i32; 3],
    size: [usize; 3],
    blocks: Vec<BlockId>,
}

impl Volume {
    fn generate(pipeline: &Pipeline, within: VoxelBox) -> Self {
        let mut volume =
            Self { min: within.min(), size: within.size(), blocks: vec![AIR; within.size().iter().product()] };
        let chunks: Vec<ChunkPos> = within.chunks().collect();
        // One by one, so that whatever two chunks share they found out separately.
        let made: Vec<Chunk> = chunks.par_iter().map(|pos| pipeline.chunks(&[*pos]).unwrap().swap_remove(0)).collect();
        let mut blocks = new_blocks();
        for (pos, chunk) in chunks.iter().zip(made) {
            chunk.copy_to(&mut blocks);
            for (index, block) in blocks.iter().enumerate() {
                let at = pos.origin().to_array();
                let at = [at[0] + (index & 31) as i32, at[1] + (index >> 10) as i32, at[2] + (index >> 5 & 31) as i32];
                let place = volume.index(at);
                volume.blocks[place] = *block;
            }
        }
        volume
    }

    fn index(&self, at: [i32; 3]) -> usize {
        let [x, y, z]: [usize; 3] = std::array::from_fn(|axis| (at[axis] - self.min[axis]) as usize);
        (y * self.size[2] + z) * self.size[0] + x
    }

    /// Calls `each` for every two neighbours of which both are of the kind, with the place of the first and the axis.
    fn joined(&self, kind: impl Fn(BlockId) -> bool, mut each: impl FnMut(usize, usize, [usize; 3], usize)) {
        let [w, h, d] = self.size;
        for (y, z, x) in (0..h).flat_map(|y| (0..d).flat_map(move |z| (0..w).map(move |x| (y, z, x)))) {
            let here = (y * d + z) * w + x;
            if !kind(self.blocks[here]) {
                continue;
            }
            for (axis, (inside, step)) in [(x + 1 < w, 1), (y + 1 < h, w * d), (z + 1 < d, w)].into_iter().enumerate() {
                if inside && kind(self.blocks[here + step]) {
                    each(here, here + step, [x, y, z], axis);
                }
            }
        }
    }

    /// Components of what is of a kind, by union-find: the component of every voxel.
    fn components(&self, kind: impl Fn(BlockId) -> bool + Copy) -> Vec<u32> {
        let mut parents: Vec<u32> = (0..self.blocks.len() as u32).collect();
        fn root(parents: &mut [u32], mut at: u32) -> u32 {
            while parents[at as usize] != at {
                parents[at as usize] = parents[parents[at as usize] as usize];
                at = parents[at as usize];
            }
            at
        }
        self.joined(kind, |a, b, _, _| {
            let (a, b) = (root(&mut parents, a as u32), root(&mut parents, b as u32));
            parents[a.max(b) as usize] = a.min(b);
        });
        (0..self.blocks.len() as u32).map(|at| root(&mut parents, at)).collect()
    }
}

/// How many pairs of neighbours of a kind lie on the two sides of the upright borders that come every `border` voxels, and of
/// the planes one voxel behind them. (Depth changes what there is, so borders between layers of chunks don't compare.)
fn pairs(volume: &Volume, kind: impl Fn(BlockId) -> bool, border: i32) -> (usize, usize) {
    let (mut across, mut within) = (0, 0);
    volume.joined(kind, |_, _, at, axis| {
        let next = volume.min[axis] + at[axis] as i32 + 1;
        match next & (border - 1) {
            0 if axis != 1 => across += 1,
            1 if axis != 1 => within += 1,
            _ => {}
        }
    });
    (across, within)
}

#[test]
fn veins_and_tunnels_cross_the_borders_of_chunks_regions_and_columns_and_hang_together() {
    let registry = Registry::built_in();
    let id = |name: &str| registry.id(name).unwrap();
    let pipeline = pipeline();
    let volume = Volume::generate(&pipeline, VoxelBox::new([-256, -64, -256], [256, 32, 256]).unwrap());
    let air = |block: BlockId| block == AIR;
    for ore in ["coal_ore", "iron_ore", "copper_ore"] {
        let ore = id(ore);
        for border in [32, 128] {
            // What crosses a border is about as much as what crosses the next plane within a chunk; of the wider borders
            // there are too few for that.
            let (across, within) = pairs(&volume, |block| block == ore, border);
            let alike = across * 3 > within * 2 && within * 3 > across * 2;
            assert!(across > 20 && (alike || border > 32), "{across} across, {within} within");
        }
    }
    for border in [32, 128] {
        let (across, within) = pairs(&volume, air, border);
        let alike = across * 5 > within * 4 && within * 5 > across * 4;
        assert!(across > 1_000 && (alike || border > 32), "{across} across, {within} within");
    }
    // Tunnels are networks: the largest connected room crosses many chunks and more than one column.
    let components = volume.components(air);
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    components
        .iter()
        .zip(&volume.blocks)
        .filter(|(_, block)| air(**block))
        .for_each(|(root, _)| *sizes.entry(*root).or_default() += 1);
    let (largest, size) = sizes.iter().max_by_key(|(_, size)| **size).map(|(root, size)| (*root, *size)).unwrap();
    let [w, _, d] = volume.size;
    let columns: BTreeSet<(usize, usize)> = components
        .iter()
        .enumerate()
        .filter(|(_, root)| **root == largest)
        .map(|(at, _)| (at % w / 128, at / w % d / 128))
        .collect();
    let all: usize = sizes.values().sum();
    assert!(columns.len() >= 4, "the largest network lies in {} columns", columns.len());
    assert!(size * 4 > all, "the largest network has {size} of {all} voxels of air");
}

#[test]
fn trees_and_structures_cross_borders_whole() {
    let registry = Registry::built_in();
    let id = |name: &str| registry.id(name).unwrap();
    let pipeline = pipeline();
    let volume = Volume::generate(&pipeline, VoxelBox::new([-256, 32, -256], [256, 160, 256]).unwrap());
    let leaves =
        ["oak_leaves", "birch_leaves", "spruce_leaves", "jungle_leaves", "acacia_leaves", "dark_oak_leaves"].map(id);
    let bricks = ["stone_bricks", "oak_planks", "cobblestone", "mossy_cobblestone"].map(id);
    for (name, kinds) in [("leaves", &leaves[..]), ("walls", &bricks[..])] {
        let (across, within) = pairs(&volume, |block| kinds.contains(&block), 32);
        assert!(across > 10 && across * 3 > within && within * 3 > across, "{name}: {across} across, {within} within");
    }
    // No leaf is without its tree, unless a structure took the tree's place: each component of leaves and logs holds a log.
    let volume = Volume::generate(&without("structures"), VoxelBox::new([-256, 32, -256], [256, 160, 256]).unwrap());
    let logs = ["oak_log", "birch_log", "spruce_log", "jungle_log", "acacia_log", "dark_oak_log"].map(id);
    let wood = |block: BlockId| leaves.contains(&block) || logs.contains(&block);
    let components = volume.components(wood);
    let (mut with_log, mut at_edge) = (BTreeSet::new(), BTreeSet::new());
    let [w, _, d] = volume.size;
    for (at, (root, block)) in components.iter().zip(&volume.blocks).enumerate() {
        if logs.contains(block) {
            with_log.insert(*root);
        }
        if at % w < 6 || at % w >= w - 6 || at / w % d < 6 || at / w % d >= d - 6 {
            at_edge.insert(*root);
        }
    }
    let all = volume.blocks.iter().filter(|block| leaves.contains(block)).count();
    let lost = components
        .iter()
        .zip(&volume.blocks)
        .filter(|(root, block)| leaves.contains(block) && !with_log.contains(root) && !at_edge.contains(root));
    // A canopy that meets a hillside leaves some behind the rock; a seam would orphan whole sides of trees.
    let lost = lost.count();
    assert!(lost * 1_000 < all, "{lost} of {all} leaves without a log");
}

#[test]
fn there_are_biomes_enough_and_the_ground_is_smooth_where_they_meet() {
    let pipeline = pipeline();
    let footprints: Vec<(i32, i32)> = (0..80).flat_map(|z| (0..80).map(move |x| (x * 4 - 160, z * 4 - 160))).collect();
    let maps: Vec<Maps> = footprints.par_iter().map(|(x, z)| pipeline.maps(*x, *z).unwrap()).collect();
    let by_climate = ["plains", "forest", "birch_forest", "dark_forest", "taiga", "desert", "savanna", "jungle"];
    let (mut seen, mut inside, mut between) = (BTreeMap::new(), [0u64; 2], [0u64; 2]);
    for maps in &maps {
        for (z, x) in (0..32).flat_map(|z| (0..31).map(move |x| (z, x))) {
            let step = maps.at(Layer::Height, x, z).abs_diff(maps.at(Layer::Height, x + 1, z));
            let (here, next) = (maps.at(Layer::Biome, x, z), maps.at(Layer::Biome, x + 1, z));
            *seen.entry(here).or_insert(0u32) += 1;
            // Where height itself is what decides (shores, peaks), a border says nothing.
            if [here, next].iter().all(|biome| by_climate.contains(&BIOMES[*biome as usize].name)) {
                let sum = if here == next { &mut inside } else { &mut between };
                (sum[0], sum[1]) = (sum[0] + u64::from(step), sum[1] + 1);
            }
        }
    }
    let named =
        seen.iter().map(|(biome, count)| format!("{} {count}", BIOMES[*biome as usize].name)).collect::<Vec<_>>();
    assert!(seen.len() >= 18, "{} biomes: {}", seen.len(), named.join(", "));
    assert!(between[1] > 10_000);
    // The mean step where biomes meet is at most one and a half times that inside of them.
    assert!(between[0] * inside[1] * 2 <= 3 * inside[0] * between[1], "{between:?} between, {inside:?} inside");
}

#[test]
fn the_floor_is_anchored_with_nothing_below_and_no_cave_is_flooded() {
    let registry = Registry::built_in();
    let bedrock = registry.id("bedrock").unwrap();
    assert!(registry.rule(bedrock).unwrap().anchored);
    let pipeline = pipeline();
    let volume = Volume::generate(&pipeline, VoxelBox::new([-64, -160, -64], [64, 96, 64]).unwrap());
    let layer = volume.size[0] * volume.size[2];
    let at = |y: i32| &volume.blocks[(y + 160) as usize * layer..][..layer];
    assert!((-160..-128).all(|y| at(y).iter().all(|block| *block == AIR)));
    assert!(at(-128).iter().all(|block| *block == bedrock) && at(-127).iter().all(|block| *block != AIR));
    // Air never lies below or beside water, except above its surface.
    let water = registry.id("water").unwrap();
    let [w, h, d] = volume.size;
    let mut holes = 0;
    for (y, z, x) in (1..h).flat_map(|y| (0..d - 1).flat_map(move |z| (0..w - 1).map(move |x| (y, z, x)))) {
        let here = (y * d + z) * w + x;
        let lower = [here - layer, here + 1, here + w];
        if volume.blocks[here] == water {
            holes += lower.iter().filter(|near| volume.blocks[**near] == AIR).count();
        }
    }
    let wet = volume.blocks.iter().filter(|block| **block == water).count();
    assert!(wet > 500 && holes * 500 < wet, "{holes} holes in {wet} voxels of water");
    let maps = pipeline.maps(0, 0).unwrap();
    assert!(maps.layer(Layer::Water).iter().all(|y| *y == NO_WATER || *y == 62));
}
