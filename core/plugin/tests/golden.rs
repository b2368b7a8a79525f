//! What plug-ins make, pinned: the same on every machine, in every profile, and with every later version of the runtime.
//!
//! A line changes if an example is changed on purpose. If one changes by itself, worlds with plug-ins would change too.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Wat, example, parsed, pipeline};
use terrane_plugin::sha256;
use terrane_world::generate::PluginFile;
use terrane_world::space::ChunkPos;

/// Glowstone where sums of quotients, roots and NaNs have an odd last bit, in scalars and in vectors.
const FLOATS: &str = r#"
  (loop $voxels
    (local.set $j (i32.xor
      (i32.reinterpret_f32 (f32.div (f32.convert_i32_s (i32.sub (local.get $i) (i32.const 9000)))
        (f32.sqrt (f32.convert_i32_s (i32.sub (i32.and (local.get $i) (i32.const 1023)) (i32.const 300))))))
      (i32.wrap_i64 (i64.reinterpret_f64 (f64.mul
        (f64.sqrt (f64.convert_i32_u (local.get $i))) (f64.const 0.1))))))
    (local.set $j (i32.xor (local.get $j) (i32x4.extract_lane 2 (f32x4.div
      (f32x4.convert_i32x4_s (i32x4.splat (local.get $j)))
      (f32x4.sqrt (f32x4.convert_i32x4_s (i32x4.splat (i32.sub (local.get $i) (i32.const 500)))))))))
    (call $set (i32.and (local.get $i) (i32.const 31)) (i32.shr_u (local.get $i) (i32.const 10))
      (i32.and (i32.shr_u (local.get $i) (i32.const 5)) (i32.const 31))
      (select (i32.const 2) (i32.const 255) (i32.and (local.get $j) (i32.const 1))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $voxels (i32.lt_u (local.get $i) (i32.const 32768))))"#;

/// Glowstone where hash and noise say so.
const CHANCE: &str = r#"
  (loop $voxels
    (local.set $j (i32.and (local.get $i) (i32.const 31)))
    (local.set $k (i32.shr_u (local.get $i) (i32.const 10)))
    (if (i32.gt_s
          (i32.add (call $noise3 (i32.add (local.get $x) (local.get $j)) (local.get $k) (local.get $z) (i32.const 5) (i32.const 4) (i32.const 7))
            (i32.add (call $noise2 (local.get $x) (local.get $i) (i32.const 6) (i32.const 3) (i32.const 8))
              (i32.shr_s (call $hash (local.get $x) (local.get $i) (local.get $z) (i32.const 9)) (i32.const 20))))
          (i32.const 0))
      (then (call $set (local.get $j) (local.get $k)
        (i32.and (i32.shr_u (local.get $i) (i32.const 5)) (i32.const 31)) (i32.const 2))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $voxels (i32.lt_u (local.get $i) (i32.const 32768))))"#;

/// SHA-256 of the palette entries of some chunks, by plug-in.
const GOLDEN: [(&str, &str, &str); 5] = [
    ("crystals", "", "0428c31f9c00d1f50fe9d74a77c749eaf359355793ef722ddf78a7a3e8e1a43f"),
    ("lanterns", "every = 100", "a5ea8b6821e7d5ef1b32909cb397daaf478cc33df91421484c6ce2e34a2c5790"),
    ("standing-stones", "spacing = 32\nrarity = 1", "ab303472c043a31ccff76d5d8985d29e0ebdedb6269ff35aab1039171ed81718"),
    ("floats", "", "6c25a19d7094eed6c4d5ce7095ab3c57fe317435018bd03ebf3ee42ec273f6d9"),
    ("chance", "", "5b19de3f33ee7067485d397908dcb4c8b12404083d6c13c681ce5d8f1965c232"),
];

fn file(name: &str) -> PluginFile {
    let wat = |generate: &str| parsed(name, &Wat { halo: 0, head: "", generate }.text());
    match name {
        "floats" => wat(FLOATS),
        "chance" => wat(CHANCE),
        _ => example(name),
    }
}

#[test]
fn plugins_make_the_bytes_that_they_made_before() {
    let all = (-1..2).flat_map(|y| (-2..2).flat_map(move |z| (-2..2).map(move |x| [x, y, z])));
    let positions: Vec<ChunkPos> = all.map(|[x, y, z]| ChunkPos::new(x, y, z).unwrap()).collect();
    let made = GOLDEN.map(|(name, settings, _)| {
        let drafts = pipeline(&file(name), settings).drafts(&positions).unwrap();
        sha256(&positions.iter().flat_map(|pos| drafts[pos].entries().into_owned()).collect::<Vec<u8>>())
    });
    let expected = GOLDEN.map(|(.., digest)| digest.to_owned());
    assert_eq!(made, expected);
}
