//! Components on the device are those of a plain flood fill, label by label.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::device;
use common::shapes::{Shape, boxed, comb, large, maze, noise, spiral};
use common::twins::{Bits, check_labels};
use terrane_gpu::Labeller;
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
#[should_panic(expected = "given twice")]
fn a_chunk_that_is_given_twice_is_our_mistake() {
    let (pos, rows) = (ChunkPos::new(0, 0, 0).unwrap(), [0; 1024]);
    let _ = Labeller::new(device()).unwrap().label(&[(pos, &rows), (pos, &rows)]);
}
