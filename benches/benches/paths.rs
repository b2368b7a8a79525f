//! Paths: fields of costs against dijkstra3d and dijkstra3d-rs, their repair after blasts, and single ways.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use rayon::prelude::*;
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use terrane_benches::content::{FLY_COSTS, MAZE_EDGE, TUNNEL_COSTS, cube, maze};
use terrane_benches::dijkstra::{self, Dijkstra, Sum};
use terrane_benches::rounds::{Rounds, Run};
use terrane_benches::{files, goals, ours};
use terrane_world::block::{AIR, BlockId, Registry, parse_rules};
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::generate::Generator;
use terrane_world::path::box_around;
use terrane_world::path::field::FlowField;
use terrane_world::path::mode::{Mode, Modes};
use terrane_world::path::navigation::{Blocks, Navigation};
use terrane_world::path::search::{End, Searcher};
use terrane_world::space::{ChunkPos, PlaceMap, VoxelBox, VoxelPos};

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be had")
}

/// Chunks in memory.
#[derive(Clone)]
struct Chunks(PlaceMap<ChunkPos, Arc<Chunk>>);

impl Blocks for Chunks {
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>> {
        wanted.iter().map(|pos| self.0.get(pos).cloned()).collect()
    }
}

/// A cube of costs as one peer reads it from a file and as we have it in chunks.
struct Field {
    name: &'static str,
    edge: usize,
    costs: Vec<u8>,
    source: [usize; 3],
    mode: Mode,
    registry: Registry,
    chunks: Chunks,
}

impl Field {
    /// A block for each cost that there is.
    fn new(name: &'static str, mode: &str, edge: usize, costs: Vec<u8>, source: [usize; 3]) -> Self {
        let key = if mode == "tunnel" { "dig" } else { mode };
        let (mut names, mut text) = (vec!["air".to_owned()], String::new());
        let all: Vec<u8> = (0..=255).filter(|cost| costs.contains(cost)).collect();
        for (n, cost) in all.iter().enumerate() {
            let name = if n == 0 { "air".to_owned() } else { format!("cost_{cost}") };
            let cost = if *cost == 255 { "\"blocked\"".to_owned() } else { cost.to_string() };
            text += &format!("[{name}]\nsolid = false\ncolour = \"#000000\"\ncost = {{ {key} = {cost} }}\n");
            if n > 0 {
                names.push(name);
            }
        }
        let rules = parse_rules("costs", &text).expect("written above");
        let registry = Registry::from_names(&names, &rules).expect("written above");
        let block_of: Vec<u16> =
            (0..=255).map(|cost| all.iter().position(|c| *c == cost).unwrap_or(0) as u16).collect();
        let mut field = Self {
            name,
            edge,
            costs,
            source,
            mode: Modes::built_in().get(mode).expect("a built-in mode").clone(),
            registry,
            chunks: Chunks(PlaceMap::default()),
        };
        let chunk = |pos: ChunkPos| {
            let mut blocks = new_blocks();
            let [x0, y0, z0] = pos.origin().to_array().map(|part| part as usize);
            for (n, block) in blocks.iter_mut().enumerate() {
                let (x, y, z) = (x0 + n % 32, y0 + n / 1024, z0 + n / 32 % 32);
                *block = BlockId(block_of[usize::from(field.costs[(y * edge + z) * edge + x])]);
            }
            (pos, Arc::new(Chunk::from_blocks(&blocks)))
        };
        field.chunks.0 = field
            .within()
            .chunks()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(chunk)
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        field
    }

    fn within(&self) -> VoxelBox {
        VoxelBox::new([0; 3], [self.edge as i32; 3]).expect("inside the world")
    }

    fn goal(&self) -> VoxelPos {
        VoxelPos::try_from(self.source.map(|part| part as i32)).expect("inside the world")
    }

    /// From chunks to the field.
    fn solve(&self) -> (Navigation, FlowField) {
        let mut navigation = Navigation::new(&self.mode, &self.registry).expect("few costs");
        let mut chunks = self.chunks.clone();
        let field = FlowField::solve(&mut navigation, &mut chunks, &self.registry, &[self.goal()], self.within(), None);
        (navigation, field.expect("the goal is open"))
    }

    /// What the peers call the distance: with the cost of the voxel itself, and without that of the source.
    fn sum(&self, field: &FlowField) -> Sum {
        let source = u64::from(field.enter(self.goal()).expect("it is open"));
        let told = |pos: ChunkPos| {
            let reaches = field.reaches(pos);
            let costs = reaches.iter().zip(0u16..).filter_map(|(reach, local)| {
                let at = pos.voxel(local.try_into().expect("below a chunk's voxels"));
                Some(reach.cost()? + u64::from(field.enter(at)?) - source)
            });
            costs.fold((0, 0), |(count, sum), cost| (count + 1, sum + cost))
        };
        let add = |a: Sum, b: Sum| (a.0 + b.0, a.1 + b.1);
        self.within().chunks().map(told).fold((0, 0), add)
    }

    fn write(&self, folder: &Path) -> std::path::PathBuf {
        let path = folder.join(self.name.replace('/', "-"));
        std::fs::write(&path, &self.costs).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
        path
    }
}

fn inputs() -> Vec<Field> {
    let with =
        |cube: &[u16], table: &[u8; 16]| cube.iter().map(|material| table[usize::from(*material)]).collect::<Vec<u8>>();
    let (small, large) = (cube(128), cube(256));
    let maze: Vec<u8> = maze().into_iter().map(|open| if open { 1 } else { 255 }).collect();
    vec![
        Field::new("paths/tunnel 128", "tunnel", 128, with(&small, &TUNNEL_COSTS), [64; 3]),
        Field::new("paths/fly 128", "fly", 128, with(&small, &FLY_COSTS), [64, 126, 64]),
        Field::new("paths/tunnel 256", "tunnel", 256, with(&large, &TUNNEL_COSTS), [128; 3]),
        Field::new("paths/fly 256", "fly", 256, with(&large, &FLY_COSTS), [128, 254, 128]),
        Field::new("paths/maze 128", "fly", MAZE_EDGE, maze, [64; 3]),
    ]
}

fn fields(criterion: &mut Criterion) {
    let folder = files::scratch("paths");
    let (one, two) = (pool(1), pool(2));
    let rust = RefCell::new(Dijkstra::start(dijkstra::RUST));
    let cpp = RefCell::new(Dijkstra::start(dijkstra::CPP));
    for input in inputs() {
        let path = input.write(&folder);
        let expected = cpp.borrow_mut().field(&path, input.edge, input.source).1;
        assert_eq!(input.sum(&two.install(|| input.solve()).1), expected, "{}: we and dijkstra3d differ", input.name);
        if !input.costs.contains(&255) {
            let theirs = rust.borrow_mut().field(&path, input.edge, input.source).1;
            assert_eq!(theirs, expected, "{}: the peers differ", input.name);
        }
        let ours = |pool: &rayon::ThreadPool| {
            Run::timed(input.costs.len(), || drop(std::hint::black_box(pool.install(|| input.solve()))))
        };
        let rounds = Rounds::new(input.name)
            .with(ours::NAME, ours::version(), |_| ours(&two))
            .with(goals::ONE_THREAD, ours::version(), |_| ours(&one))
            .with(dijkstra::RUST, rust.borrow().version(), |_| {
                rust.borrow_mut().field(&path, input.edge, input.source).0
            })
            .with(dijkstra::CPP, cpp.borrow().version(), |_| cpp.borrow_mut().field(&path, input.edge, input.source).0);
        rounds.measure(criterion).write_rate("voxels");
    }
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}

/// Blasts that are looked at.
const BLASTS: u64 = 100;
/// Voxels that each takes.
const BLAST_VOXELS: usize = 1_000;

/// What a blast at the surface takes: the solid voxels nearest to one, as many as one blast has.
fn blast(input: &Field, seed: u64) -> Vec<VoxelPos> {
    let edge = input.edge as i32;
    let random = |n: u64| (seed * 64 + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let is_ground = |x: i32, y: i32, z: i32| {
        let cost = input.costs[((y * edge + z) * edge + x) as usize];
        cost == 255 || input.mode.name == "tunnel" && cost > 2
    };
    let (x, z) = (24 + random(0) as i32 % (edge - 48), 24 + random(1) as i32 % (edge - 48));
    let y = (0..edge).rev().find(|y| (0..8).all(|below| *y > below && is_ground(x, y - below, z))).unwrap_or(edge / 2);
    let mut around: Vec<(i32, [i32; 3])> = Vec::new();
    for dy in -20i32..=20 {
        for dz in -20i32..=20 {
            for dx in -20i32..=20 {
                let at = [x + dx, y + dy, z + dz];
                if at.iter().all(|part| (0..edge).contains(part)) && is_ground(at[0], at[1], at[2]) {
                    around.push((dx * dx + dy * dy + dz * dz, at));
                }
            }
        }
    }
    around.sort_unstable();
    around.truncate(BLAST_VOXELS);
    around.into_iter().map(|(_, at)| VoxelPos::try_from(at).expect("inside the world")).collect()
}

/// How long repairs take, as shares of solving anew.
fn repairs(_: &mut Criterion) {
    let two = pool(2);
    for input in inputs().into_iter().filter(|input| input.edge == 256) {
        let mut full: Vec<f64> = (0..5)
            .map(|_| Run::timed(1, || drop(std::hint::black_box(two.install(|| input.solve())))).took.as_secs_f64())
            .collect();
        full.sort_by(f64::total_cmp);
        let (mut navigation, mut field) = two.install(|| input.solve());
        let before = input.sum(&field);
        let (mut times, mut visits) = (Vec::new(), Vec::new());
        for seed in 0..BLASTS {
            let voxels = blast(&input, seed);
            let mut chunks = input.chunks.clone();
            for at in &voxels {
                Arc::make_mut(chunks.0.get_mut(&at.chunk()).expect("inside")).set(at.local(), AIR);
            }
            let mut touched: Vec<ChunkPos> = voxels.iter().map(|at| at.chunk()).collect();
            touched.sort_unstable();
            touched.dedup();
            let mut repair = |navigation: &mut Navigation, chunks: &mut Chunks| {
                let mut visited = 0;
                let run = Run::timed(1, || {
                    touched.iter().for_each(|pos| navigation.changed(*pos));
                    visited = two.install(|| field.repair(navigation, chunks, &touched).visited);
                });
                (run.took.as_secs_f64(), visited)
            };
            let (time, visited) = repair(&mut navigation, &mut chunks);
            times.push(time);
            visits.push(visited);
            repair(&mut navigation, &mut input.chunks.clone());
        }
        assert_eq!(input.sum(&field), before, "all blasts were taken back");
        times.sort_by(f64::total_cmp);
        visits.sort_unstable();
        let (full, median, worst) = (full[2], times[times.len() / 2], times[times.len() - 1]);
        eprintln!(
            "{}: repair after {BLAST_VOXELS} voxels: median 1/{:.0} of {:.1} ms, worst 1/{:.1}; median {} voxels looked at",
            input.name,
            full / median,
            full * 1e3,
            full / worst,
            visits[visits.len() / 2]
        );
    }
}

/// Ways that are looked for.
const WAYS: usize = 200;
/// How far around both ends a way may lead: as far as the peer was told to look.
const AROUND: u32 = 16;
/// Where they lead: over 200 voxels, along x and z.
const AWAY: [[i32; 2]; 12] = [
    [200, 0],
    [173, 100],
    [100, 173],
    [0, 200],
    [-100, 173],
    [-173, 100],
    [-200, 0],
    [-173, -100],
    [-100, -173],
    [0, -200],
    [100, -173],
    [173, -100],
];

fn ways(criterion: &mut Criterion) {
    let registry = Registry::built_in();
    let generator = Generator::plain("terrain", 1, 7, &registry).expect("a built-in generator");
    let within = VoxelBox::new([-384, -64, -384], [384, 192, 384]).expect("inside the world");
    let made: Vec<(ChunkPos, Arc<Chunk>)> = within
        .chunks()
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|pos| (pos, Arc::new(generator.chunk(pos).expect("built-in stages do not fail"))))
        .collect();
    let chunks = Chunks(made.into_iter().collect());
    let ground = Modes::built_in().get("ground").expect("a built-in mode").clone();
    let ends = ends(&ground, &registry, &chunks);
    let mut found = (0, 0, 0);
    let mut search = |navigation: &mut Navigation| {
        let (mut searcher, mut chunks) = (Searcher::default(), chunks.clone());
        found = (0, 0, 0);
        for (from, to) in &ends {
            let within = Some(box_around(*from, *to, AROUND));
            let route = searcher.route_within(navigation, &mut chunks, &registry, *from, *to, within);
            let route = route.expect("both ends are open");
            found.0 += usize::from(route.end == End::Goal);
            found.1 += route.searched;
            found.2 += route.cost;
        }
    };
    let fresh = || Navigation::new(&ground, &registry).expect("few costs");
    let rounds =
        Rounds::new("paths/ways").with(ours::NAME, ours::version(), |_| Run::timed(WAYS, || search(&mut fresh())));
    rounds.measure(criterion).write_milliseconds("");
    let mut known = fresh();
    search(&mut known);
    let rounds =
        Rounds::new("paths/ways known").with(ours::NAME, ours::version(), |_| Run::timed(WAYS, || search(&mut known)));
    rounds.measure(criterion).write_milliseconds("");
    eprintln!("paths/ways: {} of {WAYS} ways found, {} looked at, cost {}", found.0, found.1, found.2);
}

/// Pairs of places where somebody on foot can stand, as far apart as a way shall lead.
fn ends(ground: &Mode, registry: &Registry, chunks: &Chunks) -> Vec<(VoxelPos, VoxelPos)> {
    let mut navigation = Navigation::new(ground, registry).expect("few costs");
    let (mut chunks, mut ground_chunks) = (chunks.clone(), chunks.clone());
    let mut surface = |x: i32, z: i32| {
        let down = (-32..160).rev().filter_map(|y| VoxelPos::new(x, y, z).ok());
        let mut is_open = |at: &VoxelPos| navigation.cost(&mut chunks, *at).is_some();
        // From the air above down to where it stands: as for the peer, not on a tree.
        let mut last = None;
        for at in down {
            match is_open(&at) {
                true => last = Some(at),
                false if last.is_some() => break,
                false => {}
            }
        }
        let under = last.and_then(|at| VoxelPos::new(x, at.y() - 1, z).ok())?;
        let block = ground_chunks.chunks(&[under.chunk()]).pop()??.get(under.local());
        let name = registry.name(block)?;
        last.filter(|_| !name.contains("leaves") && !name.contains("log"))
    };
    let mut pairs = Vec::new();
    for n in 0u64.. {
        if pairs.len() == WAYS {
            break;
        }
        let random = |m: u64| ((n * 4 + m + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as i32;
        let (x, z) = (random(0) % 200 - 100, random(1) % 200 - 100);
        let [dx, dz] = AWAY[random(2) as usize % AWAY.len()];
        if let (Some(from), Some(to)) = (surface(x, z), surface(x + dx, z + dz)) {
            pairs.push((from, to));
        }
    }
    pairs
}

criterion_group!(benches, fields, repairs, ways);
criterion_main!(benches);
