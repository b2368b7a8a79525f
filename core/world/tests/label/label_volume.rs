//! Dense arrays.

use crate::shapes::{SHAPES, a_size, flood, shape};
use proptest::prelude::*;
use terrane_world::generate::Level;
use terrane_world::label::{label_volume, label_volume_with};

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// Labels at every level and compares with the flood fill; what was in the labels before must not matter.
fn check(solid: &[u8], size: [usize; 3]) -> Result<(), TestCaseError> {
    let (expected, count) = flood(solid, size);
    for level in Level::available() {
        let mut labels = vec![u32::MAX; solid.len()];
        prop_assert_eq!(label_volume_with(level, solid, size, &mut labels), count, "{:?}", level);
        prop_assert!(labels == expected, "{:?}: the labels differ", level);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn labels_are_those_of_a_flood_fill(name in prop::sample::select(SHAPES), size in a_size(40), seed: u64) {
        check(&shape(name, size, seed), size)?;
    }

    #[test]
    fn labels_of_long_rows_are_those_of_a_flood_fill(
        name in prop::sample::select(SHAPES),
        width in 60usize..260,
        height in 1usize..6,
        depth in 1usize..6,
        seed: u64,
    ) {
        check(&shape(name, [width, height, depth], seed), [width, height, depth])?;
    }
}

#[test]
fn every_size_around_a_word_is_labelled_alike_at_every_level() {
    for width in (1..=9).chain(55..=73).chain(120..=136) {
        for name in SHAPES {
            check(&shape(name, [width, 3, 3], width as u64), [width, 3, 3]).unwrap();
        }
    }
}

#[test]
fn labels_do_not_depend_on_threads_and_hang_together_across_slabs() {
    // More than a slab's voxels, so that there are seams, the last slab a thin one.
    let size = [300, 37, 500];
    for name in ["random", "noise", "maze", "comb", "spiral", "shells"] {
        let solid = shape(name, size, 7);
        let (expected, count) = flood(&solid, size);
        for threads in [1, 2, 3, 8] {
            let mut labels = vec![9; solid.len()];
            let found = pool(threads).install(|| label_volume(&solid, size, &mut labels));
            assert_eq!(found, count, "{name} on {threads} threads");
            assert!(labels == expected, "{name} on {threads} threads");
        }
    }
}

#[test]
fn nothing_and_the_longest_row_can_be_labelled() {
    for size in [[0, 3, 3], [3, 0, 3], [3, 3, 0]] {
        assert_eq!(label_volume(&[], size, &mut []), 0);
    }
    let solid: Vec<u8> = (0..65_535u32).map(|n| u8::from(n % 3 > 0 || n > 60_000)).collect();
    check(&solid, [65_535, 1, 1]).unwrap();
}

#[test]
#[should_panic(expected = "the slices are not of")]
fn a_slice_of_the_wrong_length_is_our_error() {
    label_volume(&[1; 27], [3, 3, 3], &mut [0; 26]);
}
