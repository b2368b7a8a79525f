//! The content is the one that the peers were first measured with.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use md5::{Digest, Md5};
use terrane_benches::content::{
    BASE_CHUNKS, Content, FLY_COSTS, TUNNEL_COSTS, cube, explosions, maze, position, rocky_terrain,
};
use terrane_world::chunk::{Form, new_blocks};

/// MD5 of all voxels as little-endian u16, chunks in order (y, z, x), as the first generator (gen.py) wrote them.
const FIRST_MEASURED: &str = "626f3ddb70c8860535f943dab0a7ec40";

/// The same of `mask_terrain_512.u8`, and of `edits.u32`: rows (chunk, old, voxel, new).
const FIRST_ROCKY: &str = "63e71d2460ffb1baeca1d56da00cab24";
const FIRST_EDITS: &str = "072a3d35c6cac24842ab805fd5f46e51";

fn hex(digest: Md5) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn inputs_of_fields_are_those_first_measured() {
    let md5 = |bytes: &[u8]| {
        let mut digest = Md5::new();
        digest.update(bytes);
        hex(digest)
    };
    let costs = |cube: &[u16], table: &[u8; 16]| md5(&cube.iter().map(|m| table[usize::from(*m)]).collect::<Vec<_>>());
    let (small, large) = (cube(128), cube(256));
    assert_eq!(costs(&small, &TUNNEL_COSTS), "615f6337e5f5cf3fc2d67071d6b95775");
    assert_eq!(costs(&small, &FLY_COSTS), "9f8eac52c9cfd91e0de240a6b5b0dd6e");
    assert_eq!(costs(&large, &TUNNEL_COSTS), "fe1a498b29e15501720095e2756b8b40");
    assert_eq!(costs(&large, &FLY_COSTS), "77c1988b2cf7cf25f5d8a08fe0aeddbc");
    let maze: Vec<u8> = maze().into_iter().map(|open| if open { 1 } else { 255 }).collect();
    assert_eq!(md5(&maze), "e555c5bcca662d992d289e8188468066");
}

#[test]
fn the_rocky_terrain_is_the_one_first_measured() {
    let mut digest = Md5::new();
    digest.update(rocky_terrain());
    assert_eq!(hex(digest), FIRST_ROCKY);
}

#[test]
fn the_generated_world_is_the_one_first_measured() {
    let content = Content::generate();
    let mut digest = Md5::new();
    content.base().iter().flatten().for_each(|voxel| digest.update(voxel.to_le_bytes()));
    assert_eq!(hex(digest), FIRST_MEASURED);
    let mut digest = Md5::new();
    for change in explosions(content.base()) {
        let row = [change.chunk, u32::from(change.old), u32::from(change.local), u32::from(change.new)];
        row.iter().for_each(|number| digest.update(number.to_le_bytes()));
    }
    assert_eq!(hex(digest), FIRST_EDITS);
    assert_eq!(content.uniform_count(BASE_CHUNKS), 759);
    let mut buffer = new_blocks();
    for k in (0..BASE_CHUNKS).step_by(7) {
        let (first, second) = (content.chunk(k, &mut buffer), content.chunk(k + BASE_CHUNKS, &mut buffer));
        assert_eq!(first == second, first.form() == Form::Uniform, "chunk {k}");
        assert_eq!(position(k + BASE_CHUNKS).x(), position(k).x() + 16);
    }
}
