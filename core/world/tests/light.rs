//! Light follows edits: what is kept true bit by bit is what the definition gives for the blocks that stand.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::light::{FULL, Sky, block_table};
use terrane_world::limits::VERTICAL_BOUND;
use terrane_world::relax::reference;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, ChunkSource, Held, Input, SourceError, Standing, VoxelEdit, World};

/// Blocks by name, and what is at a place where nothing was put.
#[derive(Clone)]
struct Place {
    blocks: BTreeMap<VoxelPos, BlockId>,
    ground: fn(VoxelPos) -> &'static str,
    registry: Arc<Registry>,
    unreadable: Option<ChunkPos>,
    is_broken: Arc<AtomicBool>,
}

impl Place {
    fn new(ground: fn(VoxelPos) -> &'static str) -> Self {
        let registry = Arc::new(Registry::built_in());
        Self { blocks: BTreeMap::new(), ground, registry, unreadable: None, is_broken: Arc::default() }
    }

    fn id(&self, name: &str) -> BlockId {
        self.registry.id(name).unwrap()
    }

    fn block(&self, pos: VoxelPos) -> BlockId {
        self.blocks.get(&pos).copied().unwrap_or_else(|| self.id((self.ground)(pos)))
    }

    fn world(&self) -> World {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        World::new(pool, Box::new(self.clone()), Arc::clone(&self.registry), Standing::default())
    }
}

impl ChunkSource for Place {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        if self.unreadable == Some(pos) && self.is_broken.load(Ordering::Relaxed) {
            return Err(SourceError("damaged".into()));
        }
        let lowest = (self.ground)(pos.origin());
        let mut chunk = Chunk::uniform(self.id(lowest));
        let is_there = |at: VoxelPos| self.blocks.contains_key(&at) || (self.ground)(at) != lowest;
        for local in (0..).map_while(LocalIndex::new).filter(|local| is_there(pos.voxel(*local))) {
            chunk.set(local, self.block(pos.voxel(local)));
        }
        Ok(Held { chunk: Arc::new(chunk), version: Version::GENERATED })
    }
}

fn at(x: i32, y: i32, z: i32) -> VoxelPos {
    VoxelPos::new(x, y, z).unwrap()
}

/// A world that is being edited.
struct Edited {
    place: Place,
    world: World,
    tick: u64,
}

impl Edited {
    fn new(place: Place) -> Self {
        Self { world: place.world(), place, tick: 0 }
    }

    fn set(&mut self, voxels: &[(VoxelPos, &str)]) {
        self.tick += 1;
        let voxels: Vec<(VoxelPos, BlockId)> = voxels.iter().map(|(pos, name)| (*pos, self.place.id(name))).collect();
        self.place.blocks.extend(voxels.iter().copied());
        let voxels = voxels.into_iter().map(|(pos, block)| VoxelEdit { pos, block, sparse: None }).collect();
        let deltas = self.world.step(self.tick, &[Input::Edit { actor: ActorId(1), sequence: self.tick, voxels }]);
        assert!(deltas.unwrap().outcomes.iter().all(|outcome| *outcome == terrane_world::step::Outcome::Applied));
    }

    /// Light of the sky and of blocks.
    fn light(&mut self, x: i32, y: i32, z: i32) -> (u8, u8) {
        let pos = at(x, y, z);
        let light = self.world.light(pos.chunk()).unwrap()[pos.local().index()];
        (light >> 4, light & 15)
    }
}

/// Everything is stone but a room under the top of the world, where eight chunks meet.
const ROOM: ([i32; 3], [i32; 3]) = ([-7, VERTICAL_BOUND - 38, -6], [6, VERTICAL_BOUND, 7]);

fn is_in_room(pos: VoxelPos) -> bool {
    (0..3).all(|axis| (ROOM.0[axis]..ROOM.1[axis]).contains(&pos.to_array()[axis]))
}

fn room_chunks() -> Vec<ChunkPos> {
    VoxelBox::new(ROOM.0, ROOM.1).unwrap().chunks().collect()
}

/// The light of the room by the definition.
fn defined(place: &Place) -> BTreeMap<VoxelPos, u8> {
    let size: [usize; 3] = std::array::from_fn(|axis| (ROOM.1[axis] - ROOM.0[axis]) as usize);
    let [low, high] = [ROOM.0, ROOM.1];
    let voxels: Vec<VoxelPos> = (low[1]..high[1])
        .flat_map(|y| (low[2]..high[2]).flat_map(move |z| (low[0]..high[0]).map(move |x| at(x, y, z))))
        .collect();
    let (sky, block) = (Sky::new(&place.registry).unwrap(), block_table(&place.registry).unwrap());
    let classes: Vec<u8> = voxels.iter().map(|pos| sky.class(*pos, place.block(*pos))).collect();
    let skylight = reference::solve(sky.table().rules(), size, &classes, None);
    let classes: Vec<u8> = voxels.iter().map(|pos| block.class(place.block(*pos))).collect();
    let blocklight = reference::solve(block.rules(), size, &classes, None);
    let both = skylight.iter().zip(&blocklight).map(|(sky, block)| ((FULL - sky) << 4 | (FULL - block)) as u8);
    voxels.into_iter().zip(both).collect()
}

/// The light of the room's part of a chunk; outside of the room it must be dark.
fn seen(light: &[u8], pos: ChunkPos) -> BTreeMap<VoxelPos, u8> {
    let (inside, outside): (Vec<_>, Vec<_>) =
        (0..).map_while(LocalIndex::new).map(|local| pos.voxel(local)).partition(|pos| is_in_room(*pos));
    assert!(outside.iter().all(|pos| light[pos.local().index()] == 0), "light in stone in {pos}");
    inside.into_iter().map(|pos| (pos, light[pos.local().index()])).collect()
}

/// What happens to the room.
#[derive(Debug, Clone)]
enum Act {
    Edit(Vec<([i32; 3], usize)>),
    /// A box of one block, as far as it lies in the room.
    Fill([i32; 3], [i32; 3], usize),
    Ask(usize),
    Forget,
}

const BLOCKS: [&str; 8] = ["air", "stone", "air", "oak_leaves", "water", "torch", "glass", "lava"];

fn voxel() -> impl Strategy<Value = [i32; 3]> {
    (ROOM.0[0]..ROOM.1[0], ROOM.0[1]..ROOM.1[1], ROOM.0[2]..ROOM.1[2]).prop_map(|(x, y, z)| [x, y, z])
}

fn act() -> impl Strategy<Value = Act> {
    let edit = proptest::collection::vec((voxel(), 0..BLOCKS.len()), 1..12).prop_map(Act::Edit);
    // Walls, floors and shafts, most of all of stone and of air.
    let sizes = prop_oneof![Just([14, 1, 14]), Just([1, 14, 14]), Just([1, 38, 1]), Just([5, 4, 6]), Just([9, 2, 9])];
    let block = prop_oneof![3 => Just(1), 2 => Just(0), 1 => 2..BLOCKS.len()];
    let fill = (voxel(), sizes, block).prop_map(|(from, size, block)| Act::Fill(from, size, block));
    prop_oneof![4 => edit, 4 => fill, 4 => (0..8usize).prop_map(Act::Ask), 1 => Just(Act::Forget)]
}

fn voxels_of(act: &Act) -> Vec<(VoxelPos, &'static str)> {
    let all: Vec<([i32; 3], usize)> = match act {
        Act::Edit(voxels) => voxels.clone(),
        Act::Fill([x, y, z], [w, h, d], block) => (*y..y + h)
            .flat_map(|y| (*z..z + d).flat_map(move |z| (*x..x + w).map(move |x| ([x, y, z], *block))))
            .collect(),
        Act::Ask(_) | Act::Forget => Vec::new(),
    };
    let voxels = all.into_iter().filter_map(|([x, y, z], block)| Some((VoxelPos::new(x, y, z).ok()?, BLOCKS[block])));
    voxels.filter(|(pos, _)| is_in_room(*pos)).collect()
}

/// What was told must be as told, unless it is among what changed; and as long as nothing was forgotten, what is named did
/// change.
fn check_changed(edited: &mut Edited, told: &mut BTreeMap<ChunkPos, Vec<u8>>, is_exact: bool) {
    let named: BTreeSet<ChunkPos> = edited.world.light_changed().into_iter().collect();
    let now = defined(&edited.place);
    for (pos, light) in told.iter() {
        let is_same = seen(light, *pos).iter().all(|(pos, light)| now[pos] == *light);
        assert!(is_same || named.contains(pos), "{pos} has changed and is not named");
        assert!(!is_exact || !is_same || !named.contains(pos), "{pos} is named and has not changed");
    }
    assert!(named.iter().all(|pos| told.remove(pos).is_some()), "only what was told is named, and once");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn light_that_follows_edits_is_light_worked_out_anew(
        acts in proptest::collection::vec(act(), 4..24), parts in 0..4usize,
    ) {
        let mut edited = Edited::new(Place::new(|pos| if is_in_room(pos) { "air" } else { "stone" }));
        let chunks = room_chunks();
        let mut told = BTreeMap::new();
        // In parts, light may go and come back before anybody asks.
        let mut is_exact = parts == 0;
        for act in &acts {
            match act {
                Act::Ask(n) => {
                    let light = edited.world.light(chunks[*n]).unwrap();
                    let now = defined(&edited.place);
                    for (pos, light) in seen(&light[..], chunks[*n]) {
                        prop_assert_eq!(light, now[&pos], "{}", pos);
                    }
                    told.insert(chunks[*n], light.to_vec());
                }
                Act::Forget => {
                    edited.world.forget_light();
                    is_exact = false;
                }
                act => {
                    edited.set(&voxels_of(act));
                    for _ in 0..parts {
                        edited.world.settle_light(1);
                    }
                    check_changed(&mut edited, &mut told, is_exact);
                }
            }
        }
        // Asked for afresh, in another order, it is the same.
        let mut fresh = edited.place.world();
        for pos in chunks.iter().rev() {
            prop_assert_eq!(fresh.light(*pos).unwrap(), edited.world.light(*pos).unwrap(), "{}", pos);
        }
    }
}

fn flat(pos: VoxelPos) -> &'static str {
    if pos.y() < 0 { "stone" } else { "air" }
}

#[test]
fn the_sky_comes_down_a_shaft_and_turns_a_corner() {
    let mut edited = Edited::new(Place::new(flat));
    assert_eq!(edited.light(5, 0, 5), (15, 0), "open land");
    assert_eq!(edited.light(5, -1, 5), (0, 0), "stone");
    let mut shaft: Vec<(VoxelPos, &str)> = (-70..0).map(|y| (at(31, y, 5), "air")).collect();
    shaft.extend((32..60).map(|x| (at(x, -70, 5), "air")));
    edited.set(&shaft);
    assert_eq!(edited.light(31, -70, 5), (15, 0), "70 down, three chunks lower");
    for (x, light) in (32..60).zip((0..15).rev().chain(std::iter::repeat(0))) {
        assert_eq!(edited.light(x, -70, 5), (light, 0), "along the tunnel at {x}");
    }
    edited.set(&[(at(50, -70, 5), "torch"), (at(31, -1, 5), "oak_leaves"), (at(31, -2, 5), "water")]);
    assert_eq!(edited.light(31, -40, 5), (13, 0), "leaves and water take one each");
    assert_eq!(edited.light(45, -70, 5), (0, 9), "a torch gives 14");
    edited.set(&[(at(31, 0, 5), "stone")]);
    assert_eq!(edited.light(31, -1, 5), (0, 0), "closed by a lid");
    assert_eq!(edited.light(32, -70, 5), (0, 0), "and all that hangs on it");
    for pos in edited.world.light_changed() {
        edited.world.light(pos).unwrap();
    }
    edited.set(&[(at(31, 0, 5), "glass"), (at(50, -70, 5), "air")]);
    let changed: Vec<[i32; 3]> = edited.world.light_changed().into_iter().map(ChunkPos::to_array).collect();
    assert_eq!(changed, [[0, -3, 0], [1, -3, 0], [0, -2, 0], [0, -1, 0], [0, 0, 0]], "lit again");
}

#[test]
fn under_an_overhang_light_falls_off_from_the_edges() {
    let mut edited = Edited::new(Place::new(flat));
    let roof: Vec<(VoxelPos, &str)> =
        (-20..21).flat_map(|z| (-20..21).map(move |x| (at(x, 10, z), "oak_planks"))).collect();
    edited.set(&roof);
    for x in -24i32..=24 {
        let depth = 21 - x.abs();
        assert_eq!(edited.light(x, 3, 0), (15 - depth.clamp(0, 15) as u8, 0), "{x}");
        assert_eq!(edited.light(0, 3, x), (15 - depth.clamp(0, 15) as u8, 0), "{x}");
    }
    edited.set(&[(at(0, 10, 0), "air")]);
    assert_eq!(edited.light(0, 0, 0), (15, 0), "under a hole");
    assert_eq!(edited.light(-6, 3, 2), (7, 0));
}

#[test]
fn the_topmost_layer_lets_in_what_would_come_from_above() {
    let mut edited = Edited::new(Place::new(flat));
    let top = VERTICAL_BOUND - 1;
    assert_eq!(edited.light(0, top, 0), (15, 0));
    edited.set(&[(at(0, top, 0), "oak_leaves"), (at(1, top, 0), "stone")]);
    assert_eq!(edited.light(0, top, 0), (14, 0));
    assert_eq!(edited.light(1, top, 0), (0, 0));
    assert_eq!(edited.light(1, top - 1, 0), (14, 0), "from the sides");
    assert_eq!(edited.light(1, 0, 0), (14, 0), "and down from there without loss");
}

#[test]
fn what_light_needs_can_be_fetched_beforehand_and_many_changes_are_worked_in_by_parts() {
    let mut edited = Edited::new(Place::new(flat));
    let pos = ChunkPos::new(0, 0, 0).unwrap();
    let (count, absent) = edited.world.light_needs(pos);
    assert_eq!((count, absent.len()), (9 * 65, 9 * 65), "nine columns from one below to the top");
    edited.world.prefetch(&absent[..500]);
    assert_eq!(edited.world.light_needs(pos), (9 * 65, absent[500..].to_vec()));
    assert_eq!(edited.light(0, 9, 0), (15, 0));
    assert_eq!(edited.world.light_needs(pos), (0, Vec::new()));
    assert_eq!(
        edited.world.light_needs(ChunkPos::new(0, 1, 0).unwrap()),
        (9, Vec::new()),
        "for what shines from above"
    );
    let roof: Vec<(VoxelPos, &str)> = (-32..32).flat_map(|z| (-32..32).map(move |x| (at(x, 20, z), "stone"))).collect();
    edited.set(&roof);
    let mut steps = 1;
    while !edited.world.settle_light(1) {
        steps += 1;
    }
    assert_eq!(steps, 32, "128 voxels at a time");
    assert_eq!([(0, 9), (0, 20), (0, 21), (-32, 9)].map(|(x, y)| edited.light(x, y, 0).0), [0, 0, 15, 14]);
}

#[test]
fn what_cannot_be_read_is_dark_and_an_error_for_itself() {
    let mut place = Place::new(flat);
    place.unreadable = ChunkPos::new(0, 1, 0).ok();
    place.is_broken.store(true, Ordering::Relaxed);
    let is_broken = Arc::clone(&place.is_broken);
    let mut edited = Edited::new(place);
    let broken = ChunkPos::new(0, 1, 0).unwrap();
    assert!(edited.world.light(broken).is_err());
    assert_eq!(edited.light(0, 31, 0), (14, 0), "from the side alone");
    assert_eq!(edited.light(15, 31, 15), (0, 0), "too far from any side");
    assert_eq!(edited.world.light(broken), Err(SourceError("damaged".into())));
    assert_eq!(edited.light(40, 31, 0), (15, 0));
    is_broken.store(false, Ordering::Relaxed);
    assert!(edited.world.light(broken).unwrap().iter().all(|light| *light == 15 << 4));
    assert_eq!(edited.world.light_changed(), [ChunkPos::new(0, 0, 0).unwrap()]);
    assert_eq!(edited.light(15, 31, 15), (15, 0));
}
