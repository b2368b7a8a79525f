//! Golden digests: what a released generator makes, and what the step does, never changes. Run in two profiles.
//!
//! Each line is a version of a promise. Lines are appended when something new is released, and never edited: a world
//! that was made with `hills` 1 must be the same for ever. `TERRANE_PRINT_GOLDEN=1 cargo test -p terrane-world
//! --test golden -- --nocapture` prints every line as it comes out now.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and prints when asked")]

use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::digest::{ContentDigest, chunk_hash};
use terrane_world::generate::Generator;
use terrane_world::physics::RuleSet;
use terrane_world::physics::plan::Counts;
use terrane_world::space::{ChunkPos, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, ChunkSource, Held, Input, SourceError, Standing, VoxelEdit, World};

/// Generator, version, seed, which chunks, digest of their content.
const GENERATED: &[(&str, u32, u64, &str, &str)] = &[
    ("hills", 1, 0, "near", "cb254edc14275c0d1148d0961dd61e8a"),
    ("hills", 1, 0, "far", "47f3449ae93d8a4eae427009c236074d"),
    ("hills", 1, 0, "bounds", "a9ff34b9434230fec59fc631eb41983c"),
    ("hills", 1, 0x5eed_0000_0000_0007, "near", "1e97d02bc1332e552165b5aa2939d6fa"),
    ("hills", 1, 0x5eed_0000_0000_0007, "far", "e34b3a4cd3bc8de89814c71c61f0e249"),
    ("hills", 1, 0x5eed_0000_0000_0007, "bounds", "29b0adc88fb401dfe1a4f7b80fe1e738"),
    ("terrain", 1, 0x7e44_a9e5_0000_0007, "box", "3cbaa13f89f84aba89e0c8514f74f02f"),
    ("terrain", 1, 0, "near", "72cf19846f56828c96f5da3e491bb412"),
    ("terrain", 1, 0, "far", "3190ecdf07a7073afe9644ee218b66b8"),
    ("terrain", 1, 0, "bounds", "8c0d778bc83dd3cbdcbec35df59c5800"),
    ("terrain", 1, 0x5eed_0000_0000_0007, "near", "7c31b3df55ef81f2e7b9bd8833b94b0b"),
    ("terrain", 1, 0x5eed_0000_0000_0007, "far", "47872f2a95f7317a3bff1e2b3555dce2"),
    ("terrain", 1, 0x5eed_0000_0000_0007, "bounds", "3ce199444fe0119032756f829fb898c1"),
];

/// Script, tick, running digest after it, digest of the changed chunks after it.
const STEPPED: &[(&str, u64, u64, &str)] = &[
    ("edits", 1, 0x4162_d05c_b821_397a, "e91dc78f1810126b1d11a7ebd512e168"),
    ("edits", 8, 0xbe3f_bf56_1c4f_7e62, "f9b107e23fa3bec2ad215ad257fb3af1"),
    ("edits", 40, 0x5d9b_a177_fe42_63f6, "8583840df093a2779b063b73b0f43efb"),
];

/// The same for block physics under the rules `span`.
const FALLEN: &[(&str, u64, u64, &str)] = &[
    ("falls", 3, 0xc60d_1439_39b5_520e, "00134bc3c5ee1286bea11415986b068d"),
    ("falls", 20, 0x07f0_2858_57c9_acb2, "062d811be23970c69991b28d60d3534a"),
    ("falls", 45, 0xcb3b_1726_45df_c26f, "216c90f51b9ba841998e00d6396a4068"),
    ("falls", 60, 0x77e9_0a00_bdbd_eefe, "7d4d606577eee895a44ae8c26071d248"),
    ("falls", 100, 0xb294_29a5_c59d_30a2, "bbb989071c1c90b7f9b271a06d0c7312"),
    ("falls", 160, 0xac06_f16e_c24b_4375, "bbb989071c1c90b7f9b271a06d0c7312"),
];

fn printing() -> bool {
    std::env::var_os("TERRANE_PRINT_GOLDEN").is_some_and(|value| value == "1")
}

/// Stacks of chunks from bedrock to above the trees, at a few places each.
fn chunks(which: &str) -> Vec<ChunkPos> {
    let places: &[(i32, i32)] = match which {
        "near" => &[(0, 0), (-1, 0), (0, -1), (5, -9)],
        "far" => &[(31_250, -31_250), (-1_000_001, 77)],
        "bounds" => &[((1 << 25) - 1, -(1 << 25)), (-(1 << 25), (1 << 25) - 1)],
        // 512×256×512 voxels: what other tests make in other ways, in both profiles.
        "box" => return VoxelBox::new([-256, -128, -256], [256, 128, 256]).unwrap().chunks().collect(),
        other => panic!("no chunks are called {other}"),
    };
    let mut chunks: Vec<ChunkPos> =
        places.iter().flat_map(|(x, z)| (-5..8).map(|y| ChunkPos::new(*x, y, *z).unwrap())).collect();
    if which == "bounds" {
        chunks.extend([-64, 63].map(|y| ChunkPos::new(0, y, 0).unwrap()));
    }
    chunks.sort_unstable();
    chunks
}

fn generated_digest(name: &str, version: u32, seed: u64, which: &str) -> String {
    let registry = Registry::built_in();
    let generator = Generator::plain(name, version, seed, &registry).unwrap();
    let chunks = chunks(which);
    // In stacks, which share their maps: the whole box has to be made without optimisation too.
    let mut stacks = BTreeMap::<(i32, i32), Vec<ChunkPos>>::new();
    chunks.iter().for_each(|pos| stacks.entry((pos.x(), pos.z())).or_default().push(*pos));
    let hashes = |stack: &Vec<ChunkPos>| {
        let made = generator.chunks(stack).unwrap();
        let hash = |(pos, chunk): (&ChunkPos, &Chunk)| (*pos, chunk_hash(&registry, *pos, chunk, None));
        stack.iter().zip(&made).map(hash).collect::<Vec<_>>()
    };
    let hashes: BTreeMap<ChunkPos, u128> = stacks.par_iter().flat_map_iter(|(_, stack)| hashes(stack)).collect();
    let mut digest = ContentDigest::new("");
    hashes.into_iter().for_each(|(pos, hash)| digest.add(pos, hash));
    digest.finish()
}

#[test]
fn released_generators_make_what_they_always_made() {
    let mut wrong = Vec::new();
    for (name, version, seed, which, expected) in GENERATED {
        let digest = generated_digest(name, *version, *seed, which);
        if printing() {
            println!("    (\"{name}\", {version}, {seed:#x}, \"{which}\", \"{digest}\"),");
        } else if digest != *expected {
            wrong.push(format!("{name} {version}, seed {seed:#x}, {which}: {digest}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "a released generator has changed:\n{}", wrong.join("\n"));
}

/// Ground below y = 0, air above: the script does not depend on a generator.
struct Flat(BlockId);

impl ChunkSource for Flat {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        let block = if pos.y() < 0 { self.0 } else { BlockId(0) };
        Ok(Held { chunk: Arc::new(Chunk::uniform(block)), version: Version::GENERATED })
    }
}

/// What the actors do in a tick: single voxels, rows over chunk borders, data, repetitions, a refusal.
fn script(tick: u64, registry: &Registry) -> Vec<Input> {
    let blocks = ["air", "dirt", "oak_log", "sand", "water"].map(|name| registry.id(name).unwrap());
    let voxel = |x: i32, y: i32, z: i32, block: BlockId, data: Option<&[u8]>| VoxelEdit {
        pos: VoxelPos::new(x, y, z).unwrap(),
        block,
        sparse: data.map(Into::into),
    };
    let t = tick as i32;
    let block = blocks[tick as usize % blocks.len()];
    let row = (0..40).map(|x| voxel(x * 3 - 60, t % 5 - 2, t, block, None)).collect();
    let chest = vec![voxel(t, 1, -1, blocks[2], Some(&tick.to_le_bytes())), voxel(t - 1, 1, -1, blocks[0], None)];
    let far = vec![voxel((1 << 30) - 1 - t, 2_047, -(1 << 30), block, None)];
    let sequence = if tick.is_multiple_of(7) { tick - 1 } else { tick };
    let mut inputs = vec![
        Input::Edit { actor: ActorId(1), sequence, voxels: row },
        Input::Edit { actor: ActorId(2), sequence: tick, voxels: chest },
        Input::Edit { actor: ActorId(1), sequence: 1_000 * tick, voxels: far },
    ];
    if tick.is_multiple_of(11) {
        let unknown = vec![voxel(0, 0, 0, BlockId(60_000), None)];
        inputs.push(Input::Edit { actor: ActorId(3), sequence: tick, voxels: unknown });
    }
    inputs
}

/// A script of inputs by tick.
type Script = fn(u64, &Registry) -> Vec<Input>;

/// Runs a script for some ticks under any number of threads, and compares it with its lines.
fn check_script(
    lines: &[(&str, u64, u64, &str)],
    (name, script, ticks): (&str, Script, u64),
    build: &dyn Fn(Arc<rayon::ThreadPool>, Arc<Registry>) -> World,
) -> Vec<Counts> {
    let registry = Arc::new(Registry::built_in());
    let (mut wrong, mut counts) = (Vec::new(), Vec::new());
    for threads in [1, 3] {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        let mut world = build(pool, Arc::clone(&registry));
        for tick in 1..=ticks {
            let deltas = world.step(tick, &script(tick, &registry)).unwrap();
            counts.push(deltas.counts);
            let mut content = ContentDigest::new("");
            for (pos, held) in &deltas.after {
                content.add(*pos, chunk_hash(&registry, *pos, &held.chunk, None));
            }
            let (running, content) = (deltas.digest, content.finish());
            for (_, _, expected_running, expected) in lines.iter().filter(|line| (line.0, line.1) == (name, tick)) {
                if printing() && threads == 1 {
                    println!("    (\"{name}\", {tick}, {running:#018x}, \"{content}\"),");
                } else if !printing() && (running, content.as_str()) != (*expected_running, *expected) {
                    wrong.push(format!("{name}, tick {tick}, {threads} threads: {running:#018x}, {content}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "the step has changed:\n{}", wrong.join("\n"));
    counts
}

#[test]
fn a_scripted_run_of_ticks_ends_where_it_always_ended() {
    check_script(STEPPED, ("edits", script, 40), &|pool, registry| {
        let source = Box::new(Flat(registry.id("stone").unwrap()));
        World::new(pool, source, registry, Standing { epoch: 1, ..Standing::default() })
    });
}

/// 32 of stone on bedrock, air above.
struct OnBedrock(Arc<Registry>);

impl ChunkSource for OnBedrock {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        let block = match pos.y() {
            ..-1 => self.0.id("bedrock").unwrap(),
            -1 => self.0.id("stone").unwrap(),
            _ => BlockId(0),
        };
        Ok(Held { chunk: Arc::new(Chunk::uniform(block)), version: Version::GENERATED })
    }
}

/// What falls and bursts over a corner of four columns: a tower and the arm it carries, a block of sand in the air, charges
/// in a row. The tower is cut, a charge is set off, and a crater is blown into the ground.
fn falling_script(tick: u64, registry: &Registry) -> Vec<Input> {
    let voxel = |[x, y, z]: [i32; 3], block: &str| VoxelEdit {
        pos: VoxelPos::new(x, y, z).unwrap(),
        block: registry.id(block).unwrap(),
        sparse: None,
    };
    let edit = |voxels| vec![Input::Edit { actor: ActorId(1), sequence: tick, voxels }];
    let blast = |x, y, z, power| {
        let at = VoxelPos::new(x, y, z).unwrap();
        vec![Input::Blast { actor: ActorId(2), sequence: tick, at, power }]
    };
    match tick {
        1 => {
            let tower = (0..24).flat_map(|y| (0..4).map(move |n| [n % 2 - 1, y, n / 2 - 1]));
            let arm = (1..7).map(|x| [x, 20, 0]);
            edit(tower.chain(arm).map(|at| voxel(at, "stone_bricks")).collect())
        }
        2 => edit((0..216).map(|n| voxel([n % 6 + 8, n / 36 + 12, n / 6 % 6 - 3], "sand")).collect()),
        3 => edit((0..5).map(|n| voxel([-8 - 3 * n, 0, 4], "tnt")).collect()),
        10 => edit((0..4).map(|n| voxel([n % 2 - 1, 8, n / 2 - 1], "air")).collect()),
        12 => blast(-8, 0, 4, 100),
        40 => blast(10, -2, 0, 150),
        _ => Vec::new(),
    }
}

#[test]
fn what_falls_and_bursts_ends_where_it_always_ended() {
    let counts = check_script(FALLEN, ("falls", falling_script, 160), &|pool, registry| {
        let source = Box::new(OnBedrock(Arc::clone(&registry)));
        let world = World::new(pool, source, registry, Standing { epoch: 1, ..Standing::default() });
        world.with_physics(RuleSet::Span).unwrap()
    });
    let sum = |count: fn(&Counts) -> u64| counts.iter().map(count).sum::<u64>() / 2;
    let (left, landed, destroyed) = (sum(|c| c.left), sum(|c| c.landed), sum(|c| c.destroyed));
    assert!(left > 280 && landed == left && destroyed > 100, "{left} left, {landed} landed, {destroyed} destroyed");
    assert_eq!(sum(|c| c.blasts), 7, "two blasts, and five charges");
    assert_eq!(counts.last(), Some(&Counts::default()), "all is at rest");
}
