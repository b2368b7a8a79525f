//! The components of an edited world: after any edits the same as from scratch, and as a flood fill of the whole world finds.

use crate::shapes::{Numbers, SHAPES, flood, place, shape};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use terrane_world::label::{Bits, Components};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};

/// Voxels along x, y, z of the world that is edited, in whole chunks, and its first voxel.
const SIZE: [usize; 3] = [96, 64, 64];
const ORIGIN: [i32; 3] = [-64, -32, -32];

/// Solid and anchored voxels of the chunks that are there.
type World = BTreeMap<ChunkPos, (Bits, Bits)>;

fn all_chunks() -> Vec<ChunkPos> {
    let max = std::array::from_fn(|axis| ORIGIN[axis] + SIZE[axis] as i32);
    VoxelBox::new(ORIGIN, max).unwrap().chunks().collect()
}

fn full_with(seed: u64, name: &str) -> Bits {
    let solid = shape(name, [32; 3], seed);
    (0..32_768).filter(|n| solid[usize::from(*n)] != 0).filter_map(LocalIndex::new).collect()
}

/// Changes up to a few chunks and gives their positions.
fn edit(world: &mut World, numbers: &mut Numbers) -> BTreeSet<ChunkPos> {
    let chunks = all_chunks();
    let mut changed = BTreeSet::new();
    for _ in 0..1 + numbers.below(4) {
        let pos = chunks[numbers.below(chunks.len())];
        changed.insert(pos);
        let kind = numbers.below(6);
        if kind == 0 {
            world.remove(&pos);
            continue;
        }
        let (solid, anchored) = world.entry(pos).or_default();
        let local = |numbers: &mut Numbers| LocalIndex::new(numbers.below(32_768) as u16).unwrap();
        match kind {
            1 => *solid = full_with(numbers.next(), SHAPES[numbers.below(SHAPES.len())]),
            2 => *anchored = Bits::from_iter([local(numbers), local(numbers)]),
            3 => *anchored = Bits::empty(),
            4 => (0..50).for_each(|_| solid.set(local(numbers), numbers.below(2) == 0)),
            // A layer, so that something is cut off or joined.
            _ => (0..1024).for_each(|n| solid.set(LocalIndex::from_xyz(n % 32, numbers.below(3), n / 32), n % 7 > 0)),
        }
    }
    changed
}

fn put(components: &mut Components, world: &World, pos: ChunkPos) {
    match world.get(&pos) {
        Some((solid, anchored)) => components.set(pos, solid.clone(), anchored.clone()),
        None => components.remove(pos),
    }
}

/// Compares every answer with a flood fill.
fn check(components: &Components, world: &World) {
    let at = |index: usize| place(index, SIZE[0], SIZE[2], ORIGIN);
    let get = |pos: VoxelPos, of: fn(&(Bits, Bits)) -> &Bits| {
        world.get(&pos.chunk()).is_some_and(|chunk| of(chunk).get(pos.local()))
    };
    let volume: usize = SIZE.iter().product();
    let solid: Vec<u8> = (0..volume).map(|index| u8::from(get(at(index), |chunk| &chunk.0))).collect();
    let (labels, count) = flood(&solid, SIZE);
    let (mut supported, mut voxels) = (vec![false; count as usize + 1], vec![0u64; count as usize + 1]);
    for (index, label) in labels.iter().enumerate() {
        supported[*label as usize] |= get(at(index), |chunk| &chunk.1);
        voxels[*label as usize] += 1;
    }
    assert_eq!(components.component_count(), count as usize);
    let mut loose = BTreeMap::<ChunkPos, Bits>::new();
    for (index, &label) in labels.iter().enumerate() {
        let pos = at(index);
        assert_eq!(components.is_supported(pos), (label > 0).then(|| supported[label as usize]), "{pos}");
        if let Some(component) = components.at(pos) {
            assert_eq!(components.world_component_of(pos.chunk(), component), label as usize - 1, "{pos}");
            assert_eq!(components.voxels_around(pos.chunk(), component), voxels[label as usize], "{pos}");
            if !supported[label as usize] {
                loose.entry(pos.chunk()).or_default().set(pos.local(), true);
            }
        }
    }
    let expected: u64 = loose.values().map(|bits| u64::from(bits.count())).sum();
    assert_eq!(components.unsupported_voxels(), expected);
    assert_eq!(components.unsupported_count(), supported[1..].iter().filter(|supported| !**supported).count());
    let mut found = BTreeMap::<ChunkPos, Bits>::new();
    for (pos, component) in components.unsupported() {
        let bits = components.bits_of(pos, component);
        assert_eq!(bits.count(), components.in_chunk(pos)[usize::from(component)].voxels);
        found.entry(pos).or_default().add(&bits);
    }
    assert!(found == loose, "the voxels that nothing supports");
    assert!(components.unsupported().is_sorted());
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 8, ..ProptestConfig::with_cases(4) })]
    #[test]
    fn after_any_edits_components_are_those_of_a_flood_fill_and_from_scratch(seed: u64) {
        let mut numbers = Numbers(seed);
        let (mut world, mut components) = (World::new(), Components::new());
        let mut order = all_chunks();
        for pos in &order {
            world.insert(*pos, (full_with(numbers.next(), SHAPES[numbers.below(SHAPES.len())]), Bits::empty()));
            put(&mut components, &world, *pos);
        }
        for step in 0..10 {
            for pos in edit(&mut world, &mut numbers) {
                put(&mut components, &world, pos);
            }
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1 + step % 4).build().unwrap();
            pool.install(|| components.settle());
            if step % 3 == 0 {
                check(&components, &world);
            }
        }
        let mut scratch = Components::new();
        order.reverse();
        for pos in &order {
            put(&mut scratch, &world, *pos);
            if numbers.below(3) == 0 {
                scratch.settle();
            }
        }
        scratch.settle();
        prop_assert!(scratch.chunks().eq(components.chunks()));
        prop_assert!(scratch.unsupported().eq(components.unsupported()));
        for pos in order {
            prop_assert_eq!(scratch.in_chunk(pos), components.in_chunk(pos));
            for component in 0..scratch.in_chunk(pos).len() as u16 {
                let of = |components: &Components| components.world_component_of(pos, component);
                prop_assert_eq!(of(&scratch), of(&components));
            }
        }
    }
}

#[test]
fn a_bridge_over_borders_falls_when_its_last_pillar_goes() {
    // A beam along x through four chunks, at negative coordinates too, on one anchored pillar.
    let voxel = |x, y, z| VoxelPos::new(x, y, z).unwrap();
    let beam = (-40..40).map(|x| voxel(x, 0, -1));
    let pillar = (-33..0).map(|y| voxel(3, y, -1));
    let mut chunks = BTreeMap::<ChunkPos, Bits>::new();
    beam.chain(pillar).for_each(|pos| chunks.entry(pos.chunk()).or_default().set(pos.local(), true));
    let foot = voxel(3, -33, -1);
    let mut components = Components::new();
    for (pos, solid) in &chunks {
        let anchored = if *pos == foot.chunk() { Bits::from_iter([foot.local()]) } else { Bits::empty() };
        components.set(*pos, solid.clone(), anchored);
    }
    components.settle();
    assert_eq!((components.component_count(), components.unsupported_count()), (1, 0));
    assert_eq!(components.is_supported(voxel(-40, 0, -1)), Some(true));
    assert_eq!(components.is_supported(voxel(-41, 0, -1)), None);
    assert_eq!(components.is_supported(voxel(5000, 0, -1)), None);
    // The chunk with the upper part of the pillar loses a voxel of it.
    let cut = voxel(3, -7, -1);
    chunks.get_mut(&cut.chunk()).unwrap().set(cut.local(), false);
    components.set(cut.chunk(), chunks[&cut.chunk()].clone(), Bits::empty());
    components.settle();
    assert_eq!((components.component_count(), components.unsupported_voxels()), (2, 80 + 6));
    assert_eq!((components.is_supported(voxel(39, 0, -1)), components.is_supported(foot)), (Some(false), Some(true)));
    let chunks: BTreeSet<ChunkPos> = components.unsupported().map(|(pos, _)| pos).collect();
    assert_eq!(chunks.len(), 5);
    components.remove(foot.chunk());
    components.settle();
    assert_eq!(components.unsupported_count(), components.component_count());
}

#[test]
#[should_panic(expected = "1 chunks have changed since settle()")]
fn asking_before_settling_is_our_error() {
    let mut components = Components::new();
    components.remove(ChunkPos::new(0, 0, 0).unwrap());
    components.component_count();
}
