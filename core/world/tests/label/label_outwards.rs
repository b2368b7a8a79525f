//! Components of a box against a flood fill of everything around it.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::label::label_volume;
use terrane_world::label::outwards::{OUTSIDE_MAX, OutwardsError, Question, outwards};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::{ChunkSource, Held, SourceError};

/// A world by the block of every voxel.
struct Places<F>(F);

impl<F: Fn(VoxelPos) -> u16 + Send + Sync> ChunkSource for Places<F> {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        if pos.to_array() == [9, 9, 9] {
            return Err(SourceError("damaged".into()));
        }
        let mut chunk = Chunk::uniform(BlockId(0));
        for local in (0..).map_while(LocalIndex::new) {
            chunk.set(local, BlockId(self.0(pos.voxel(local))));
        }
        Ok(Held { chunk: Arc::new(chunk), version: Version::GENERATED })
    }
}

fn ids() -> (Registry, u16, u16) {
    let registry = Registry::built_in();
    let id = |name| registry.id(name).unwrap().0;
    let (stone, bedrock) = (id("stone"), id("bedrock"));
    (registry, stone, bedrock)
}

fn voxels(within: VoxelBox) -> impl Iterator<Item = VoxelPos> {
    let (low, high) = (within.min(), within.max());
    (low[1]..high[1]).flat_map(move |y| {
        (low[2]..high[2]).flat_map(move |z| (low[0]..high[0]).map(move |x| VoxelPos::new(x, y, z).unwrap()))
    })
}

/// Numbers of the voxels of a box, in order.
fn answered(
    question: Question,
    within: VoxelBox,
    registry: &Registry,
    source: &dyn ChunkSource,
) -> (Vec<u32>, u32, usize) {
    let answer = outwards(question, within, registry, source, OUTSIDE_MAX).unwrap();
    let chunks: BTreeMap<ChunkPos, _> = within.chunks().map(|pos| (pos, answer.values(pos))).collect();
    let numbers = voxels(within).map(|voxel| chunks[&voxel.chunk()][voxel.local().index()]).collect();
    (numbers, answer.count, answer.outside)
}

/// Labels of `all` cut to a box and counted anew in the order of first voxels.
fn cut(all: VoxelBox, labels: &[u32], within: VoxelBox) -> Vec<u32> {
    let mut numbers = BTreeMap::new();
    let inside = voxels(all).zip(labels).filter(|(voxel, _)| {
        (0..3).all(|axis| (within.min()[axis]..within.max()[axis]).contains(&voxel.to_array()[axis]))
    });
    inside
        .map(|(_, label)| {
            let next = numbers.len() as u32 + 1;
            if *label == 0 { 0 } else { *numbers.entry(*label).or_insert(next) }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_box_is_told_as_the_world_around_it_has_it(
        seed: u32,
        density in 22u32..38,
        low in prop::array::uniform3(-30i32..10),
        size in prop::array::uniform3(1i32..40),
    ) {
        let (registry, stone, bedrock) = ids();
        let all = VoxelBox::new([-40; 3], [50, 45, 55]).unwrap();
        // Around the density at which noise begins to hang together (0.3116), ways wind far.
        let block = move |voxel: VoxelPos| {
            let inside = (0..3).all(|axis| (all.min()[axis]..all.max()[axis]).contains(&voxel.to_array()[axis]));
            let [x, y, z] = voxel.to_array().map(|v| v as u32);
            let hash = (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA6B) ^ z.wrapping_mul(0xC2B2_AE35) ^ seed)
                .wrapping_mul(0x27D4_EB2F);
            let hash = (hash ^ hash >> 15).wrapping_mul(0x2C1B_3C6D) >> 12;
            match hash % 100 {
                n if !inside || n >= density => 0,
                _ if hash % 4096 == 7 => bedrock,
                _ => stone,
            }
        };
        let source = Places(block);
        let within = VoxelBox::new(low, std::array::from_fn(|axis| low[axis] + size[axis])).unwrap();
        let solid: Vec<u8> = voxels(all).map(|voxel| u8::from(block(voxel) != 0)).collect();
        let mut labels = vec![0; solid.len()];
        label_volume(&solid, all.size(), &mut labels);
        let expected = cut(all, &labels, within);
        let (numbers, count, _) = answered(Question::Together, within, &registry, &source);
        prop_assert_eq!(&numbers, &expected);
        prop_assert_eq!(count, expected.iter().copied().max().unwrap_or(0));
        let anchored: std::collections::BTreeSet<u32> =
            voxels(all).zip(&labels).filter(|(voxel, _)| block(*voxel) == bedrock).map(|(_, label)| *label).collect();
        let hangs: Vec<u32> = labels.iter().map(|label| u32::from(anchored.contains(label))).collect();
        let (numbers, ..) = answered(Question::Anchored, within, &registry, &source);
        let expected: Vec<u32> = voxels(all).zip(&hangs).filter(|(voxel, _)| {
            (0..3).all(|axis| (within.min()[axis]..within.max()[axis]).contains(&voxel.to_array()[axis]))
        }).map(|(_, hangs)| *hangs).collect();
        prop_assert_eq!(numbers, expected);
    }
}

#[test]
fn ground_without_end_is_no_obstacle() {
    let (registry, stone, bedrock) = ids();
    // Two hills on endless ground over bedrock, a rock in the air above each.
    let source = Places(move |voxel: VoxelPos| {
        let hill = (voxel.x().rem_euclid(50) - 25).abs() < 8 && voxel.y() < 20;
        let rock = voxel.x().rem_euclid(50) == 25 && voxel.z() == 5 && (30..40).contains(&voxel.y());
        match voxel.y() {
            y if y < -2000 => bedrock,
            y if y < -70 || hill || rock => stone,
            _ => 0,
        }
    });
    let within: VoxelBox = "0,10,0:100,35,10".parse().unwrap();
    let (numbers, count, outside) = answered(Question::Together, within, &registry, &source);
    assert_eq!((count, numbers.iter().copied().max()), (3, Some(3)), "the hills are one");
    assert!(outside < 1000, "{outside} chunks");
    let (numbers, count, outside) = answered(Question::Anchored, within, &registry, &source);
    assert_eq!(count, 1);
    let of = |x: i32, y: i32| numbers[(((y - 10) * 10 + 5) * 100 + x) as usize];
    assert_eq!((of(25, 19), of(75, 12), of(25, 30), of(50, 12)), (1, 1, 0, 0));
    assert!(outside < 200, "{outside} chunks: straight down");
}

#[test]
fn what_goes_on_for_ever_side_by_side_is_an_error_that_says_so() {
    let (registry, stone, _) = ids();
    let source = Places(move |voxel: VoxelPos| if voxel.y().rem_euclid(20) == 0 { stone } else { 0 });
    let ask = |question, within: &str, most| outwards(question, within.parse().unwrap(), &registry, &source, most);
    let error = ask(Question::Together, "0,0,0:5,30,5", 300).unwrap_err();
    assert_eq!(error, OutwardsError::TooFar { open: 2, most: 300 });
    assert!(error.to_string().contains("300 chunks"));
    assert_eq!(ask(Question::Together, "0,0,0:5,10,5", 300).unwrap().count, 1, "one alone needs no search");
    assert_eq!(ask(Question::Anchored, "0,0,0:5,10,5", 300).unwrap_err(), OutwardsError::TooFar { open: 1, most: 300 });
    assert!(matches!(ask(Question::Together, "290,290,290:300,300,300", 300), Err(OutwardsError::Unreadable { .. })));
}
