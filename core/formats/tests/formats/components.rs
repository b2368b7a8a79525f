//! The components of real worlds: the same as cc3d and SciPy find, value for value, and what floats in them.

use crate::support::{World, import, python, real_files};
use std::path::{Path, PathBuf};
use terrane_formats::anvil::RegionXZ;
use terrane_world::block::BlockRule;
use terrane_world::chunk::new_blocks;
use terrane_world::label::{Bits, Components, label_volume};
use terrane_world::space::VoxelBox;

fn real() -> Vec<(String, World)> {
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut world = World::new();
        world.take(&import(&std::fs::read(&path).unwrap(), RegionXZ::from_file_name(&name), [0; 3]));
        (name, world)
    };
    real_files().into_iter().map(read).collect()
}

fn which(world: &World, counts: impl Fn(&BlockRule) -> bool) -> Vec<bool> {
    world.registry.iter().map(|(_, _, rule)| counts(rule)).collect()
}

fn components(world: &World, solid: &[bool], anchored: &[bool]) -> Components {
    let mut components = Components::new();
    for (pos, chunk) in &world.chunks {
        components.set(*pos, Bits::of(chunk, solid), Bits::of(chunk, anchored));
    }
    components.settle();
    components
}

/// The voxels of a box that count, 1 or 0, in the order of labels.
fn volume(world: &World, within: VoxelBox, counts: &[bool]) -> Vec<u8> {
    let [width, _, depth] = within.size();
    let mut solid = vec![0; within.size().iter().product()];
    let mut blocks = new_blocks();
    for (pos, chunk) in &world.chunks {
        chunk.copy_to(&mut blocks);
        let [x, y, z] = [0, 1, 2].map(|axis| (pos.origin().to_array()[axis] - within.min()[axis]) as usize);
        for (row, blocks) in blocks.chunks_exact(32).enumerate() {
            let at = ((y + row / 32) * depth + z + row % 32) * width + x;
            for (voxel, block) in solid[at..at + 32].iter_mut().zip(blocks) {
                *voxel = u8::from(counts[usize::from(block.0)]);
            }
        }
    }
    solid
}

#[test]
fn labels_of_real_worlds_are_those_of_cc3d_and_scipy() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (solid_file, labels_file) = (folder.join("components.solid"), folder.join("components.labels"));
    for (name, world) in real() {
        let (within, counts) = (world.bounds(), which(&world, |rule| rule.solid));
        let [x, y, z] = within.size();
        let solid = volume(&world, within, &counts);
        let mut labels = vec![0; solid.len()];
        let count = label_volume(&solid, within.size(), &mut labels);
        assert!(count > 0, "{name}");
        let components = components(&world, &counts, &[]);
        assert_eq!(components.component_count(), count as usize, "{name}");
        for pos in components.chunks() {
            for (number, piece) in components.in_chunk(pos).iter().enumerate() {
                let at = [0, 1, 2].map(|axis| (pos.voxel(piece.first).to_array()[axis] - within.min()[axis]) as usize);
                let label = labels[(at[1] * z + at[2]) * x + at[0]] as usize;
                assert_eq!(components.world_component_of(pos, number as u16) + 1, label, "{name}");
            }
        }
        std::fs::write(&solid_file, &solid).unwrap();
        std::fs::write(&labels_file, labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<_>>()).unwrap();
        let shape = PathBuf::from(format!("{y},{z},{x}"));
        let found = python("compare_labels.py", &[&solid_file, &labels_file, &shape]);
        let same = serde_json::json!({ "count": count, "equal": true });
        let expected = serde_json::json!({ "cc3d": same, "scipy": same });
        assert!(found.is_none_or(|found| found == expected), "{name}: not {expected}");
    }
    let _ = [solid_file, labels_file].map(std::fs::remove_file);
}

#[test]
fn in_the_forest_838_solid_voxels_in_46_components_hang_on_nothing_anchored() {
    let Some((_, forest)) = real().into_iter().find(|(name, _)| name == "forest-1.16.mca") else { return };
    let found = components(&forest, &which(&forest, |rule| rule.solid), &which(&forest, |rule| rule.anchored));
    assert_eq!((found.unsupported_count(), found.unsupported_voxels()), (46, 838));
    assert_eq!(found.component_count(), 119);
    let voxels = found.unsupported().map(|(pos, component)| u64::from(found.bits_of(pos, component).count()));
    assert_eq!(voxels.sum::<u64>(), 838);
}
