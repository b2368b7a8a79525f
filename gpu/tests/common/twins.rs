//! What the twins of relaxation and labelling are compared with.

use super::device;
use super::shapes::boxed;
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_gpu::{Given, Labeller, Phases, Relaxer};
use terrane_world::generate::noise::hash;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::relax::{EXITS, Field, Rules, Values};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelPos};

/// By chunk, rows along x with a bit for each voxel.
pub type Bits = BTreeMap<ChunkPos, Box<[u32; 1024]>>;
type Numbers = BTreeMap<ChunkPos, Box<[u32; CHUNK_VOXELS]>>;

fn distances(values: &Values, limit: u32) -> Vec<u32> {
    (0..CHUNK_VOXELS as u16).map(|n| values.get(LocalIndex::new(n).unwrap(), limit)).collect()
}

/// Solves on the device and with a field. Gives how many voxels have a value, and what it took.
#[allow(clippy::disallowed_methods, reason = "a test may have a clock")]
pub fn check_relaxation(relaxer: &Relaxer, name: &str, rules: &Rules, given: &[Given]) -> (usize, Phases) {
    let begun = std::time::Instant::now();
    let (ours, phases) = relaxer.measure(rules, given, &|| begun.elapsed()).unwrap();
    let mut field = Field::new(Arc::new(rules.clone()));
    field.load_limited(given.to_vec());
    assert!(ours.iter().map(|(pos, _)| pos).eq(given.iter().map(|(pos, ..)| pos)), "{name}: the order given");
    let mut reached = 0;
    for (pos, ours) in &ours {
        let limit = rules.limit();
        let (ours, theirs) = (distances(ours, limit), distances(field.values(*pos).unwrap(), limit));
        reached += ours.iter().filter(|distance| **distance < limit).count();
        let different: Vec<usize> = (0..CHUNK_VOXELS).filter(|n| ours[*n] != theirs[*n]).collect();
        if let Some(&n) = different.first() {
            let (count, ours, theirs) = (different.len(), ours[n], theirs[n]);
            panic!("{name}: chunk {pos} differs in {count} voxels; in {n}: {ours}, field {theirs}");
        }
    }
    assert_eq!(phases.visits > 0, reached > 0, "{name}: the device did it");
    eprintln!("{name}: {} chunks, {reached} voxels reached, {phases:?}", given.len());
    (reached, phases)
}

/// The definition: the first voxel without a number in the order of positions gets the next one, and so does all that hangs on
/// it.
fn flood(bits: &Bits) -> (u32, Numbers) {
    let mut numbers: Numbers = bits.keys().map(|pos| (*pos, boxed(vec![0; CHUNK_VOXELS]))).collect();
    let is_set = |pos: VoxelPos| {
        bits.get(&pos.chunk()).is_some_and(|rows| {
            let local = pos.local();
            rows[local.index() / 32] >> local.x() & 1 == 1
        })
    };
    let locals = || (0..CHUNK_VOXELS as u16).map(|n| LocalIndex::new(n).unwrap());
    let mut voxels: Vec<VoxelPos> = bits.keys().flat_map(|pos| locals().map(|local| pos.voxel(local))).collect();
    voxels.sort_unstable();
    let mut count = 0;
    for first in voxels {
        let mut waiting = vec![first];
        let mut is_new = true;
        while let Some(pos) = waiting.pop() {
            if !is_set(pos) || numbers[&pos.chunk()][pos.local().index()] != 0 {
                continue;
            }
            count += u32::from(std::mem::take(&mut is_new));
            numbers.get_mut(&pos.chunk()).unwrap()[pos.local().index()] = count;
            waiting.extend(
                EXITS[..6]
                    .iter()
                    .filter_map(|step| VoxelPos::new(pos.x() + step[0], pos.y() + step[1], pos.z() + step[2]).ok()),
            );
        }
    }
    (count, numbers)
}

/// Labels on the device and by a flood fill. Gives the count.
pub fn check_labels(name: &str, bits: &Bits) -> u32 {
    check_labels_with(&Labeller::new(device()).unwrap(), name, bits)
}

/// The same with a labeller that may have pages.
pub fn check_labels_with(labeller: &Labeller, name: &str, bits: &Bits) -> u32 {
    // In an order that is not that of positions.
    let mut given: Vec<_> = bits.iter().map(|(pos, rows)| (*pos, &**rows)).collect();
    given.sort_by_key(|(pos, _)| hash(pos.x(), pos.y(), pos.z(), 1));
    let labels = labeller.label(&given).unwrap();
    let (count, numbers) = flood(bits);
    assert_eq!(labels.count, count, "{name}");
    assert!(labels.chunks.iter().map(|(pos, _)| pos).eq(given.iter().map(|(pos, _)| pos)), "{name}: the order given");
    for (pos, ours) in &labels.chunks {
        let theirs = &numbers[pos];
        if let Some(n) = (0..CHUNK_VOXELS).find(|n| ours[*n] != theirs[*n]) {
            panic!("{name}: chunk {pos} differs first in {n}: {}, should be {}", ours[n], theirs[n]);
        }
    }
    assert!(labeller.dispatches()["label"] >= 6, "{name}");
    count
}
