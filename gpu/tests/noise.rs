//! `shaders/shared/noise.wgsl` gives the numbers of core/world/src/generate/noise.rs, bit for bit.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use terrane_world::generate::noise::{Octaves, Warp, fractal2, fractal3, hash, warp2, warp3};

/// Places around the origin, at the bounds of the world, at odd and at even places of every lattice.
fn places() -> Vec<[i32; 3]> {
    let far = 1 << 30;
    let sides = [-far, -far + 1, -4096, -33, -32, -1, 0, 1, 31, 32, 4095, 123_456_789, far - 1];
    let heights = [-2048, -65, -1, 0, 7, 64, 2047];
    let corners = sides.iter().flat_map(|x| sides.iter().flat_map(move |z| heights.map(move |y| [*x, y, *z])));
    // And strewn over everything.
    let strewn = (0..3000).map(|n| {
        let part = |seed, bits| (hash(n, 0, 0, seed) as i32) >> (32 - bits);
        [part(1, 31), part(2, 12), part(3, 31)]
    });
    corners.chain(strewn).collect()
}

fn octaves() -> Vec<Octaves> {
    vec![
        Octaves::new(2, 1, 0),
        Octaves::new(6, 4, 0xDEAD_BEEF),
        Octaves::flat(7, 5, 4, u32::MAX),
        Octaves::new(15, 7, 12345),
        Octaves::flat(8, 15, 6, 99),
    ]
}

const KERNEL: &str = "
//!include noise
@group(0) @binding(0) var<storage, read> parameters: array<u32>;
@group(0) @binding(4) var<storage, read_write> after: array<u32>;
@compute @workgroup_size(GROUP)
fn words(@builtin(global_invocation_id) id: vec3<u32>) {
    let count = arrayLength(&parameters) / 3u - 2u;
    if id.x >= count {
        return;
    }
    let octaves = Octaves(parameters[0], parameters[1], parameters[2], parameters[3]);
    let warp = Warp(octaves, i32(parameters[4]));
    let at = 6u + 3u * id.x;
    let place = vec3<i32>(vec3<u32>(parameters[at], parameters[at + 1u], parameters[at + 2u]));
    let to = 7u * id.x;
    after[to] = u32(fractal2(place.x, place.z, octaves));
    after[to + 1u] = u32(fractal3(place.x, place.y, place.z, octaves));
    let flat = vec2<u32>(warp2(place.x, place.z, warp));
    after[to + 2u] = flat.x;
    after[to + 3u] = flat.y;
    let deep = vec3<u32>(warp3(place.x, place.y, place.z, warp));
    after[to + 4u] = deep.x;
    after[to + 5u] = deep.y;
    after[to + 6u] = deep.z;
}
";

#[test]
fn noise_on_the_device_is_noise_on_the_cpu() {
    let (device, places) = (common::device(), places());
    for octaves in octaves() {
        for reach in [0, 77, 4096] {
            let warp = Warp { octaves, reach };
            let mut parameters = vec![octaves.bits, octaves.bits_y, octaves.count, octaves.seed, reach as u32, 0];
            parameters.extend(places.iter().flatten().map(|part| *part as u32));
            let words = terrane_gpu::words(&device, KERNEL, &parameters, places.len() as u32 * 7).unwrap();
            for (&[x, y, z], words) in places.iter().zip(words.chunks_exact(7)) {
                let (flat, deep) = (i32::from(fractal2(x, z, octaves)), i32::from(fractal3(x, y, z, octaves)));
                let ([a, b], [c, d, e]) = (warp2(x, z, warp), warp3([x, y, z], warp));
                let expected = [flat, deep, a, b, c, d, e].map(|number| number as u32);
                assert_eq!(words, expected, "at {x} {y} {z} with {warp:?}");
            }
        }
    }
}
