//! Sparse voxels in clusters.

use crate::shapes::{SHAPES, a_size, flood, in_chunks, place, shape};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use terrane_world::label::{Bits, Cluster, clusters};
use terrane_world::space::{ChunkPos, VoxelBox, VoxelPos};

/// Clusters as a flood fill finds them.
fn flooded_clusters(solid: &[u8], size: [usize; 3], origin: [i32; 3]) -> Vec<Cluster> {
    let (labels, count) = flood(solid, size);
    let mut members = vec![BTreeSet::<VoxelPos>::new(); count as usize];
    for (index, label) in labels.iter().enumerate().filter(|(_, label)| **label > 0) {
        members[*label as usize - 1].insert(place(index, size[0], size[2], origin));
    }
    let cluster = |members: BTreeSet<VoxelPos>| {
        let mut parts = BTreeMap::<ChunkPos, Bits>::new();
        members.iter().for_each(|pos| parts.entry(pos.chunk()).or_default().set(pos.local(), true));
        let least = |axis: usize| members.iter().map(|pos| pos.to_array()[axis]).min().unwrap();
        let most = |axis: usize| members.iter().map(|pos| pos.to_array()[axis] + 1).max().unwrap();
        Cluster {
            lowest: *members.first().unwrap(),
            bounds: VoxelBox::new([0, 1, 2].map(least), [0, 1, 2].map(most)).unwrap(),
            voxels: members.len() as u64,
            parts: parts.into_iter().collect(),
        }
    };
    // Raster order is the order of positions.
    members.into_iter().map(cluster).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn clusters_are_what_a_flood_fill_finds(
        name in prop::sample::select(SHAPES),
        size in a_size(37),
        origin in [-70i32..70, -70i32..70, -70i32..70],
        seed: u64,
    ) {
        let solid = shape(name, size, seed);
        let found = clusters(&in_chunks(&solid, size, origin));
        prop_assert_eq!(found, flooded_clusters(&solid, size, origin), "{} of {:?} at {:?}", name, size, origin);
    }
}

#[test]
fn no_voxels_are_no_clusters_and_the_ends_of_the_world_are_no_trouble() {
    assert_eq!(clusters(&BTreeMap::new()), []);
    let low = VoxelPos::new(-(1 << 30), -2048, -(1 << 30)).unwrap();
    let high = VoxelPos::new((1 << 30) - 1, 2047, (1 << 30) - 1).unwrap();
    let one = |pos: VoxelPos| (pos.chunk(), Bits::from_iter([pos.local()]));
    let nothing = (VoxelPos::new(0, 0, 0).unwrap().chunk(), Bits::empty());
    let found = clusters(&BTreeMap::from([one(low), nothing, one(high)]));
    assert_eq!(found.iter().map(|cluster| (cluster.lowest, cluster.voxels)).collect::<Vec<_>>(), [(low, 1), (high, 1)]);
    assert_eq!(found[1].bounds.size(), [1, 1, 1]);
}
