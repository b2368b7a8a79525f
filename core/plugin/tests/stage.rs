//! Plug-ins that do as they should: the same chunk however it is made.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{SEED, Wat, load, parsed, pipeline};
use rayon::prelude::*;
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::generate::palette::Palette;
use terrane_world::generate::stage::{Around, Context, Draft, Maps};
use terrane_world::generate::{Level, PluginFile};
use terrane_world::space::{ChunkPos, LocalIndex};

fn positions() -> Vec<ChunkPos> {
    let all = (-1..2).flat_map(|y| (0..3).flat_map(move |z| (-2..1).map(move |x| [x, y, z])));
    all.map(|[x, y, z]| ChunkPos::new(x, y, z).unwrap()).collect()
}

/// Glowstone wherever stone stands five to the east, three down and two to the south, and the voxel is air.
fn copies() -> PluginFile {
    let generate = r#"
      (loop $voxels
        (local.set $j (i32.and (local.get $i) (i32.const 31)))
        (local.set $k (i32.and (i32.shr_u (local.get $i) (i32.const 5)) (i32.const 31)))
        (if (i32.and
              (i32.eqz (call $get (local.get $j) (i32.shr_u (local.get $i) (i32.const 10)) (local.get $k)))
              (i32.eq (i32.const 1) (call $get
                (i32.add (local.get $j) (i32.const 5))
                (i32.sub (i32.shr_u (local.get $i) (i32.const 10)) (i32.const 3))
                (i32.add (local.get $k) (i32.const 2)))))
          (then (call $set (local.get $j) (i32.shr_u (local.get $i) (i32.const 10)) (local.get $k) (i32.const 2))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $voxels (i32.lt_u (local.get $i) (i32.const 32768))))"#;
    parsed("copies", &Wat { halo: 5, head: "", generate }.text())
}

fn names(chunk: &Chunk) -> Vec<String> {
    let registry = Registry::built_in();
    let name = |n: u16| registry.name(chunk.get(LocalIndex::new(n).unwrap())).unwrap().to_owned();
    (0..32768).map(name).collect()
}

#[test]
fn a_chunk_is_the_same_alone_among_others_in_any_order_and_on_any_thread() {
    let (pipeline, positions) = (pipeline(&copies(), ""), positions());
    let together = pipeline.chunks(&positions).unwrap();
    let backwards: Vec<ChunkPos> = positions.iter().rev().copied().collect();
    let mut reverse = pipeline.chunks(&backwards).unwrap();
    reverse.reverse();
    let alone = |pos: &ChunkPos| pipeline.chunks(&[*pos]).unwrap().remove(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let threads: Vec<Chunk> = pool.install(|| positions.par_iter().map(alone).collect());
    for (n, pos) in positions.iter().enumerate() {
        let expected = names(&together[n]);
        assert_eq!(names(&alone(pos)), expected, "{pos} alone");
        assert_eq!(names(&reverse[n]), expected, "{pos} in reverse");
        assert_eq!(names(&threads[n]), expected, "{pos} on another thread");
    }
    let glowing = together.iter().flat_map(names).filter(|name| name == "minecraft:glowstone" || name == "glowstone");
    assert!(glowing.count() > 1000, "the plug-in places nothing");
}

#[test]
fn a_plugin_sees_its_neighbours_as_they_were_before_it() {
    let (pipeline, positions) = (pipeline(&copies(), ""), positions());
    let before = common::pipeline(&parsed("nothing", &Wat { halo: 0, head: "", generate: "" }.text()), "");
    for pos in positions {
        let made = names(&pipeline.chunks(&[pos]).unwrap()[0]);
        let first = pos.origin();
        let ground = |x: i32, y: i32, z: i32| {
            let at = terrane_world::space::VoxelPos::new(first.x() + x, first.y() + y, first.z() + z).unwrap();
            let chunk = before.chunks(&[at.chunk()]).unwrap().remove(0);
            names(&chunk)[at.local().index()].clone()
        };
        // The corner where all three neighbours meet.
        for [x, y, z] in [[31, 0, 31], [30, 2, 30], [31, 31, 0], [0, 0, 0]] {
            let (here, there) = (ground(x, y, z), ground(x + 5, y - 3, z + 2));
            let expected = if here.ends_with("air") && there.ends_with("stone") { "glowstone" } else { here.as_str() };
            assert!(made[(x + 32 * z + 1024 * y) as usize].ends_with(expected), "{pos} at {x} {y} {z}");
        }
    }
}

#[test]
fn read_and_write_move_the_same_voxels_as_get_and_set() {
    // Copies the chunk one voxel to the west with read and write; a row of the window has 34 voxels.
    let moved = r#"
      (call $read (i32.const 1024))
      (loop $voxels
        (i32.store8 (i32.add (local.get $i) (i32.const 65536))
          (i32.load8_u (i32.add (i32.const 1026) (i32.add (i32.and (local.get $i) (i32.const 31))
            (i32.add
              (i32.mul (i32.const 34) (i32.add (i32.const 1) (i32.and (i32.shr_u (local.get $i) (i32.const 5)) (i32.const 31))))
              (i32.mul (i32.const 1156) (i32.add (i32.const 1) (i32.shr_u (local.get $i) (i32.const 10)))))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $voxels (i32.lt_u (local.get $i) (i32.const 32768))))
      (call $write (i32.const 65536))"#;
    let same = r#"
      (loop $voxels
        (local.set $j (i32.and (local.get $i) (i32.const 31)))
        (local.set $k (i32.and (i32.shr_u (local.get $i) (i32.const 5)) (i32.const 31)))
        (call $set (local.get $j) (i32.shr_u (local.get $i) (i32.const 10)) (local.get $k)
          (call $get (i32.add (local.get $j) (i32.const 1)) (i32.shr_u (local.get $i) (i32.const 10)) (local.get $k)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $voxels (i32.lt_u (local.get $i) (i32.const 32768))))"#;
    let made = [moved, same].map(|generate| {
        pipeline(&parsed("moves", &Wat { halo: 1, head: "", generate }.text()), "").chunks(&positions()).unwrap()
    });
    let unmoved = pipeline(&parsed("nothing", &Wat { halo: 0, head: "", generate: "" }.text()), "");
    let unmoved = unmoved.chunks(&positions()).unwrap();
    assert_eq!(made[0].iter().map(names).collect::<Vec<_>>(), made[1].iter().map(names).collect::<Vec<_>>());
    assert!(names(&made[0][12]) != names(&unmoved[12]), "something moves");
}

/// Runs a plug-in on an empty chunk and returns what it left at its first voxel, as an entry of the palette.
fn first_voxel(file: &PluginFile, settings: &str, times: usize) -> Vec<u8> {
    let stage = load(file, settings, &mut Palette::default()).unwrap_or_else(|error| panic!("{error}"));
    let maps = Maps::new(2, 0);
    let run = |_| {
        let mut draft = Draft::new(ChunkPos::new(2, 0, 0).unwrap());
        let context = Context { maps: &maps, around: Around::NONE, level: Level::best() };
        stage.blocks(&mut draft, &context).unwrap_or_else(|error| panic!("{error}"));
        draft.get(0)
    };
    (0..times).map(run).collect()
}

/// The body that places glowstone if a condition holds, and otherwise stone.
fn places_if(condition: &str) -> String {
    format!("(call $set (i32.const 0) (i32.const 0) (i32.const 0) (select (i32.const 2) (i32.const 1) {condition}))")
}

#[test]
fn nothing_is_carried_over_from_one_chunk_to_the_next() {
    let head = "(global $calls (mut i32) (i32.const 0))";
    let first =
        places_if("(i32.and (i32.eq (global.get $calls) (i32.const 1)) (i32.eqz (i32.load (i32.const 70000))))");
    let generate = format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) {first} (i32.store (i32.const 70000) (i32.const 9))"
    );
    let counts = parsed("counts", &Wat { halo: 0, head, generate: &generate }.text());
    assert_eq!(first_voxel(&counts, "", 5), [2; 5]);
}

#[test]
fn not_a_number_has_the_same_bits_everywhere() {
    let bits = |number: &str| format!("(i32.eq (i32.reinterpret_f32 {number}) (i32.const 0x7fc00000))");
    for number in [
        "(f32.div (f32.convert_i32_s (local.get $i)) (f32.convert_i32_s (local.get $i)))",
        "(f32.add (f32.const nan:0x200001) (f32.convert_i32_s (local.get $i)))",
        "(f32.sqrt (f32.convert_i32_s (i32.sub (local.get $i) (i32.const 1))))",
        "(f32.sub (f32.const -nan) (f32.convert_i32_s (local.get $i)))",
    ] {
        let generate = places_if(&bits(number));
        let file = parsed("floats", &Wat { halo: 0, head: "", generate: &generate }.text());
        assert_eq!(first_voxel(&file, "", 1), [2], "{number}");
    }
}

#[test]
fn a_plugin_reads_its_settings_its_seed_and_where_it_is() {
    let conditions = [
        "(i64.eq (call $setting (i32.const 64) (i32.const 6) (i64.const 5)) (i64.const -12))".to_owned(),
        "(i64.eq (call $setting (i32.const 64) (i32.const 5) (i64.const 5)) (i64.const 5))".to_owned(),
        format!("(i64.eq (call $seed) (i64.const {SEED}))"),
        "(i32.eq (local.get $x) (i32.const 64))".to_owned(),
        "(i32.eq (call $map (i32.const 9) (i32.const -16) (i32.const 47)) (i32.const -32768))".to_owned(),
        "(i32.eqz (call $get (i32.const 0) (i32.const 0) (i32.const 0)))".to_owned(),
    ];
    for condition in conditions {
        let generate = places_if(&condition);
        let file = parsed("asks", &Wat { halo: 0, head: "", generate: &generate }.text());
        assert_eq!(first_voxel(&file, "height = -12", 1), [2], "{condition}");
    }
}

#[test]
fn two_plugins_of_a_world_have_other_noise_and_one_has_it_again() {
    let bits = |name: &str, salt: i32| -> Vec<u8> {
        // Sixteen voxels that say on which side of 0 the hash is.
        let generate = format!(
            "(loop $l (call $set (local.get $i) (i32.const 0) (i32.const 0)
               (i32.and (i32.const 1) (call $hash (local.get $i) (i32.const 0) (i32.const 0) (i32.const {salt}))))
             (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 32))))"
        );
        let stage =
            load(&parsed(name, &Wat { halo: 0, head: "", generate: &generate }.text()), "", &mut Palette::default());
        let (maps, mut draft) = (Maps::new(0, 0), Draft::new(ChunkPos::new(0, 0, 0).unwrap()));
        let context = Context { maps: &maps, around: Around::NONE, level: Level::best() };
        stage.unwrap_or_else(|error| panic!("{error}")).blocks(&mut draft, &context).unwrap();
        (0..32).map(|n| draft.get(n)).collect()
    };
    assert_eq!(bits("one", 1), bits("one", 1));
    assert!(bits("one", 1) != bits("two", 1) && bits("one", 1) != bits("one", 2));
}

#[test]
fn what_a_plugin_does_not_know_stays_where_it_is() {
    // Its list has neither stone nor air, so everything reads 255, and writing that back changes nothing.
    let text =
        Wat { halo: 0, head: "", generate: "(call $read (i32.const 65536)) (call $write (i32.const 65536))" }.text();
    let text = text.replace("air\\0astone\\0aglowstone", "glowstone");
    let plain = pipeline(&parsed("nothing", &Wat { halo: 0, head: "", generate: "" }.text()), "");
    let made = pipeline(&parsed("keeps", &text), "");
    for pos in positions() {
        assert_eq!(names(&made.chunks(&[pos]).unwrap()[0]), names(&plain.chunks(&[pos]).unwrap()[0]));
    }
}
