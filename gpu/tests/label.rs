//! Components on the device are those of a plain flood fill, label by label.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::device;
use common::shapes::{Shape, boxed, comb, large, maze, noise, spiral};
use common::twins::{Bits, check_labels, check_labels_with};
use terrane_gpu::{GpuError, Labeller};
use terrane_world::generate::noise::hash;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::ChunkPos;

fn bits(shape: &Shape) -> Bits {
    let pack = |(pos, open): (ChunkPos, Box<[bool; CHUNK_VOXELS]>)| {
        let rows = open.chunks_exact(32).map(|row| row.iter().zip(0..).map(|(open, x)| u32::from(*open) << x).sum());
        (pos, boxed(rows.collect()))
    };
    shape.chunks(|n| shape.open[n]).into_iter().map(pack).collect()
}

#[test]
fn noise_has_the_components_of_a_flood_fill() {
    let edge = if large() { 160 } else { 96 };
    assert!(check_labels("half", &bits(&noise(edge, 50))) > 1000);
    assert!(check_labels("near the threshold", &bits(&noise(64, 31))) > 1000);
    assert!(check_labels("sparse", &bits(&noise(64, 10))) > 1000);
}

#[test]
fn paths_are_one_component_and_so_is_a_comb() {
    // The comb has a row at its foot that hangs on nothing.
    for (shape, count) in [(spiral(48), 1), (maze(48), 1), (comb(48), 2)] {
        assert_eq!(check_labels(shape.name, &bits(&shape)), count, "{}", shape.name);
        let mut other = shape;
        other.open.iter_mut().for_each(|open| *open = !*open);
        check_labels("all else", &bits(&other));
    }
}

#[test]
fn full_empty_and_lonely_chunks() {
    let at = |x, y, z| ChunkPos::new(x, y, z).unwrap();
    let all = |word| boxed(vec![word; 1024]);
    let nothing = Labeller::new(device()).unwrap().label(&[]).unwrap();
    assert_eq!((nothing.count, nothing.chunks.len()), (0, 0));
    assert_eq!(check_labels("one empty", &Bits::from([(at(0, 0, 0), all(0))])), 0);
    assert_eq!(check_labels("one full", &Bits::from([(at(-1, 63, 7), all(u32::MAX))])), 1);
    // Two that touch, one over an edge alone, one far away, at the bounds of the world.
    let (low, high) = (-(1 << 25), (1 << 25) - 1);
    let places = [at(0, 0, 0), at(0, 0, 1), at(1, 1, 1), at(low, -64, low), at(high, 63, high), at(low, -64, high)];
    assert_eq!(check_labels("scattered", &places.into_iter().map(|pos| (pos, all(u32::MAX))).collect()), 5);
    // Planes that touch nowhere, by chunks in a row.
    let stripes = |pos: ChunkPos| (pos, if pos.x() % 2 == 0 { all(0x5555_5555) } else { all(0xAAAA_AAAA) });
    check_labels("stripes", &(0..5).map(|x| stripes(at(x, 0, 0))).collect());
}

#[test]
fn a_set_of_chunks_with_holes() {
    let mut bits = bits(&noise(100, 60));
    let mut number = 0;
    bits.retain(|_, _| {
        number += 1;
        number % 3 != 0
    });
    check_labels("with holes", &bits);
}

#[test]
fn pages_give_what_one_binding_gives() {
    for (shape, page_chunks) in
        [(noise(100, 33), 7), (noise(100, 50), 11), (spiral(66), 5), (maze(66), 4), (comb(66), 1)]
    {
        let mut bits = bits(&shape);
        if shape.name == "noise" {
            // No box: rows and layers of different lengths.
            bits.retain(|pos, _| !hash(pos.x(), pos.y(), pos.z(), 2).is_multiple_of(8));
        }
        let labeller = Labeller::with_page_bytes(device(), page_chunks * 4 * CHUNK_VOXELS as u64).unwrap();
        let count = check_labels_with(&labeller, shape.name, &bits);
        assert!(shape.name == "noise" || count == 1 + u32::from(shape.name == "comb"), "{}: {count}", shape.name);
        assert_eq!(labeller.dispatches()["label"], 6 * (bits.len() as u64).div_ceil(page_chunks));
    }
    let error = Labeller::with_page_bytes(device(), 100_000).map(|_| ()).unwrap_err();
    assert_eq!(error, GpuError::TooLarge { chunks: 1, needs: 131_072, allowed: 100_000 });
}

#[test]
#[should_panic(expected = "given twice")]
fn a_chunk_that_is_given_twice_is_our_mistake() {
    let (pos, rows) = (ChunkPos::new(0, 0, 0).unwrap(), [0; 1024]);
    let _ = Labeller::new(device()).unwrap().label(&[(pos, &rows), (pos, &rows)]);
}
