//! Cuts a box into batches of whole regions, each batch into stacks of chunks over each other.
//!
//! A batch is what is stored at once. A stack is what one thread makes: its chunks share the maps of their column.

use std::collections::BTreeMap;
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{ChunkPos, RegionPos, VoxelBox, VoxelPos};

/// Most regions over each other that are made together; a taller column is cut, so that no stack is too large a bite.
const PILE_REGIONS_MAX: i32 = 4;

/// The chunks of the box by region, batch by batch: regions over each other stay together, and a batch has at most
/// `most` chunks or is one region. None is listed before it is asked for: a box may have more than fit in memory.
pub fn batches(within: VoxelBox, most: usize) -> impl Iterator<Item = Vec<ChunkPos>> {
    let height = ((most / REGION_CHUNKS) as i32).clamp(1, PILE_REGIONS_MAX);
    let mut piles = piles(within, height).map(move |pile| chunks(within, &pile)).peekable();
    std::iter::from_fn(move || {
        let mut batch = piles.next()?;
        while let Some(more) = piles.next_if(|pile| batch.len() + pile.len() <= most) {
            batch.extend(more);
        }
        Some(batch)
    })
}

/// Regions over each other, at most `height` of them, along y, then x, then z.
fn piles(within: VoxelBox, height: i32) -> impl Iterator<Item = Vec<RegionPos>> {
    let region = |voxel: [i32; 3]| VoxelPos::try_from(voxel).expect("a box lies inside the world").chunk().region();
    let (first, last) = (region(within.min()), region(within.max().map(|end| end - 1)));
    let at = |x, y, z| RegionPos::new(x, y, z).expect("between two regions of the world");
    (first.z()..=last.z()).flat_map(move |z| {
        (first.x()..=last.x()).flat_map(move |x| {
            let bottoms = (first.y()..=last.y()).step_by(height as usize);
            bottoms.map(move |low| (low..=last.y().min(low + height - 1)).map(|y| at(x, y, z)).collect())
        })
    })
}

/// The chunks of regions that touch the box, region by region.
fn chunks(within: VoxelBox, regions: &[RegionPos]) -> Vec<ChunkPos> {
    let of_region = |region: &RegionPos| {
        let (first, last) = (region.chunk(0).voxel_box(), region.chunk(REGION_CHUNKS - 1).voxel_box());
        let whole = VoxelBox::new(first.min(), last.max()).expect("a region lies inside the world");
        within.intersection(whole).into_iter().flat_map(VoxelBox::chunks)
    };
    regions.iter().flat_map(of_region).collect()
}

/// The same chunks by stack: those over each other, y ascending.
pub fn stacks(chunks: &[ChunkPos]) -> Vec<Vec<ChunkPos>> {
    let mut stacks: BTreeMap<[i32; 4], Vec<ChunkPos>> = BTreeMap::new();
    for pos in chunks {
        let region = pos.region();
        stacks.entry([region.z(), region.x(), pos.z(), pos.x()]).or_default().push(*pos);
    }
    let mut stacks: Vec<_> = stacks.into_values().collect();
    stacks.iter_mut().for_each(|stack| stack.sort_unstable_by_key(|pos| pos.y()));
    stacks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use terrane_world::limits::{HORIZONTAL_BOUND, VERTICAL_BOUND};

    #[test]
    fn every_chunk_comes_once_and_a_region_is_never_split() {
        let within = VoxelBox::new([-200, -300, -5], [300, 40, 140]).unwrap();
        for most in [1, 128, 300, 5000] {
            let mut all = Vec::new();
            let mut seen = BTreeSet::new();
            for batch in batches(within, most) {
                let regions: BTreeSet<RegionPos> = batch.iter().map(|pos| pos.region()).collect();
                assert!(batch.len() <= most || regions.len() == 1, "{most}: {} chunks", batch.len());
                assert!(regions.iter().all(|region| seen.insert(*region)), "{most}: a region is in two batches");
                let stacked: usize = stacks(&batch).iter().map(Vec::len).sum();
                assert_eq!(stacked, batch.len());
                all.extend(batch);
            }
            all.sort_unstable();
            let mut expected: Vec<ChunkPos> = within.chunks().collect();
            expected.sort_unstable();
            assert_eq!(all, expected, "{most}");
        }
    }

    #[test]
    fn stacks_go_up_through_the_regions_of_a_batch() {
        let within = VoxelBox::new([0, -64, 0], [128, 192, 128]).unwrap();
        let batch = batches(within, 1024).next().unwrap();
        let stacks = stacks(&batch);
        assert_eq!(stacks.len(), 16);
        assert!(stacks.iter().all(|stack| stack.len() == 8 && stack.windows(2).all(|pair| pair[0].y() < pair[1].y())));
    }

    #[test]
    fn the_largest_box_of_all_begins_at_once() {
        let (h, v) = (HORIZONTAL_BOUND, VERTICAL_BOUND);
        let within = VoxelBox::new([-h, -v, -h], [h, v, h]).unwrap();
        let first = batches(within, 1024).next().unwrap();
        assert_eq!(first[0], VoxelPos::try_from(within.min()).unwrap().chunk());
        assert!(first.len() <= 1024);
    }
}
