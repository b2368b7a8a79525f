//! Plug-ins that mean harm, or are broken: each is refused by name, and the chunk stays what it was.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{IMPORTS, Wat, file, load, parsed};
use terrane_plugin::limits;
use terrane_world::generate::palette::Palette;
use terrane_world::generate::stage::{Around, Context, Draft, Maps};
use terrane_world::generate::{GenerateError, Level, PluginFile};
use terrane_world::space::ChunkPos;

/// What each plug-in does after it has set a voxel, and what the error must say.
const STOPPED: &[(&str, &str, &str)] = &[
    ("an endless loop", "(loop $l br $l)", "used up its 100000000 units of fuel"),
    ("an endless loop of reading", "(loop $l (call $read (i32.const 0)) br $l)", "used up its"),
    (
        "an endless loop of noise",
        "(loop $l (drop (call $noise3 (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 7) (i32.const 4) (i32.const 0))) br $l)",
        "used up its",
    ),
    ("an endless loop of growing by nothing", "(loop $l (drop (memory.grow (i32.const 0))) br $l)", "used up its"),
    ("giving up", "unreachable", "gave up"),
    ("endless recursion", "(call $deep)", "recursed too deep"),
    ("a division by zero", "(drop (i32.div_s (i32.const 1) (local.get $i)))", "integer divide by zero"),
    ("reading beyond its memory", "(drop (i32.load (i32.const 131070)))", "outside its own memory"),
    ("reading far beyond its memory", "(drop (i32.load (i32.const -4)))", "outside its own memory"),
    ("a call through an empty table", "(call_indirect (i32.const 1))", "uninitialized element"),
    ("a memory bomb", "(loop $l (drop (memory.grow (i32.const 1))) br $l)", "asks for 8454144 bytes of memory"),
    ("a memory bomb at once", "(drop (memory.grow (i32.const 65000)))", "bytes of memory, and may have 8388608"),
    ("a write from a bad address", "(call $write (i32.const 98305))", "address 98305, from which 32768 bytes"),
    ("a write from a negative address", "(call $write (i32.const -1))", "address 4294967295"),
    ("a read to a bad address", "(call $read (i32.const 92000))", "read was given the address 92000"),
    ("a read to a negative address", "(call $read (i32.const -2147483648))", "address 2147483648"),
    ("setting west of the chunk", "(call $set (i32.const -1) (i32.const 0) (i32.const 0) (i32.const 1))", "[-1, 0, 0]"),
    ("setting above the chunk", "(call $set (i32.const 0) (i32.const 32) (i32.const 0) (i32.const 1))", "0 to 31"),
    (
        "setting the end of the world",
        "(call $set (i32.const 0) (i32.const 0) (i32.const 2147483647) (i32.const 1))",
        "2147483647",
    ),
    ("looking past its halo", "(drop (call $get (i32.const -3) (i32.const 0) (i32.const 0)))", "takes -2 to 33"),
    ("looking far away", "(drop (call $get (i32.const 0) (i32.const -2147483648) (i32.const 0)))", "takes -2 to 33"),
    (
        "a block that is not in its list",
        "(call $set (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 3))",
        "set was given block 3",
    ),
    ("a negative block", "(call $set (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))", "block -1"),
    (
        "a block that is not a byte",
        "(call $set (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 257))",
        "block 257",
    ),
    (
        "writing a block that is not in its list",
        "(i32.store8 (i32.const 98303) (i32.const 7)) (call $write (i32.const 65536))",
        "write was given block 7",
    ),
    (
        "a map that there is not",
        "(drop (call $map (i32.const 10) (i32.const 0) (i32.const 0)))",
        "layer 10; there are 0 to 9",
    ),
    ("a negative map", "(drop (call $map (i32.const -1) (i32.const 0) (i32.const 0)))", "layer -1"),
    ("a cell beyond the map", "(drop (call $map (i32.const 0) (i32.const 48) (i32.const 0)))", "takes -16 to 47"),
    (
        "noise without octaves",
        "(drop (call $noise2 (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 0)))",
        "0 octaves",
    ),
    (
        "noise too fine",
        "(drop (call $noise2 (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 4) (i32.const 0)))",
        "octaves are 1 to 7",
    ),
    (
        "noise of negative spacing",
        "(drop (call $noise2 (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 1) (i32.const 0)))",
        "2^-1",
    ),
    (
        "noise of endless spacing",
        "(drop (call $noise2 (i32.const 0) (i32.const 0) (i32.const 2147483647) (i32.const 1) (i32.const 0)))",
        "at most 2^15",
    ),
    (
        "a setting with an endless name",
        "(drop (call $setting (i32.const 0) (i32.const -1) (i64.const 0)))",
        "a name of 4294967295 bytes",
    ),
    (
        "a setting that is no text",
        "(i32.store8 (i32.const 0) (i32.const 255)) (drop (call $setting (i32.const 0) (i32.const 1) (i64.const 0)))",
        "not UTF-8",
    ),
    (
        "a setting at a bad address",
        "(drop (call $setting (i32.const 131070) (i32.const 9) (i64.const 0)))",
        "address 131070",
    ),
];

const DEEP: &str = "(table 4 funcref) (func $deep (call $deep) (call $deep))";

fn run(file: &PluginFile, draft: &mut Draft) -> Result<(), GenerateError> {
    let stage = load(file, "", &mut Palette::default()).unwrap_or_else(|error| panic!("{error}"));
    let maps = Maps::new(draft.pos().x(), draft.pos().z());
    stage.blocks(draft, &Context { maps: &maps, around: Around::NONE, level: Level::best() })
}

#[test]
fn what_a_plugin_does_wrong_names_it_and_the_chunk_and_changes_nothing() {
    let pos = ChunkPos::new(3, -1, -7).unwrap();
    for (what, body, says) in STOPPED {
        // First a voxel is set, and a whole chunk written, so that half of the work would show.
        let begun =
            "(call $set (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 2)) (call $write (i32.const 65536))";
        let text = Wat { halo: 2, head: DEEP, generate: &format!("{begun} {body}") }.text();
        let mut draft = Draft::new(pos);
        draft.entries_mut()[5] = 1;
        let before = draft.clone();
        let error = run(&parsed("hostile", &text), &mut draft).expect_err(what);
        assert_eq!((error.stage.as_str(), error.pos), ("hostile", pos), "{what}");
        assert!(error.problem.contains(says), "{what}: {error}");
        assert!(draft == before, "{what} changed the chunk");
    }
}

/// Whole modules that must not load, and what the error must say.
fn refused() -> Vec<(&'static str, String, &'static str)> {
    let good = Wat { halo: 0, head: "", generate: "" }.text();
    let with = |head: &'static str, generate: &'static str| Wat { halo: 0, head, generate }.text();
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    let abi = |n: &str| replaced("(func (export \"terrane_abi\") (result i32) i32.const 1)", n);
    let memory = |n: &str| replaced("(memory (export \"memory\") 2)", n);
    let blocks = |n: &str| replaced("air\\0astone\\0aglowstone\\00", n);
    let import = |n: &str| replaced(IMPORTS, n);
    vec![
        (
            "the next interface",
            abi("(func (export \"terrane_abi\") (result i32) i32.const 2)"),
            "version 2 of the interface, and this program has version 1",
        ),
        ("no interface", abi(""), "does not export the function terrane_abi"),
        (
            "another function",
            abi("(func (export \"terrane_abi\") (result i64) i64.const 1)"),
            "takes 0 i32 and returns 1",
        ),
        ("no function", abi("(global (export \"terrane_abi\") i32 (i32.const 1))"), "terrane_abi must be a function"),
        ("no memory", memory("(memory 2)"), "does not export a memory"),
        ("a huge memory", memory("(memory (export \"memory\") 4096)"), "asks for 268435456 bytes of memory"),
        ("shared memory", memory("(memory (export \"memory\") 2 2 shared)"), "threads must be enabled"),
        ("wide memory", memory("(memory (export \"memory\") i64 2)"), "memory64 must be enabled"),
        ("two memories", memory("(memory (export \"memory\") 2) (memory 1)"), "multiple memories"),
        ("a huge table", with("(table 100000 funcref)", ""), "a table of 100000 elements"),
        ("no such block", blocks("air\\0aunobtainium\\00"), "\"unobtainium\", which the world does not hold"),
        ("a block twice", blocks("air\\0astone\\0aair\\00"), "\"air\" twice"),
        ("no blocks", blocks("\\00"), "has \"\", which the world does not hold"),
        ("no text", blocks("\\ff\\00"), "not UTF-8"),
        (
            "a list outside its memory",
            replaced(
                "(func (export \"terrane_blocks\") (result i32) i32.const 16)",
                "(func (export \"terrane_blocks\") (result i32) i32.const -1)",
            ),
            "returned 4294967295",
        ),
        (
            "a list without an end",
            replaced(
                "(data (i32.const 64) \"height\")",
                "(func $f (local $i i32) (loop $l (i32.store8 (i32.add (local.get $i) (i32.const 16)) (i32.const 65)) (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $l (i32.lt_u (local.get $i) (i32.const 20000))))) (start $f)",
            ),
            "list of at most 16320 bytes",
        ),
        ("too wide a halo", Wat { halo: 33, head: "", generate: "" }.text(), "returned 33; a halo is 0 to 32"),
        ("a negative halo", Wat { halo: -1, head: "", generate: "" }.text(), "returned -1"),
        (
            "WASI",
            import("(import \"wasi_snapshot_preview1\" \"random_get\" (func (param i32 i32) (result i32)))"),
            "imports \"random_get\" from \"wasi_snapshot_preview1\"",
        ),
        (
            "abort",
            import("(import \"env\" \"abort\" (func))"),
            "imports \"abort\" from \"env\"; a plug-in may only import",
        ),
        (
            "a function that there is not",
            import("(import \"terrane\" \"clock\" (func (result i64)))"),
            "imports \"clock\" from \"terrane\"",
        ),
        ("a function of another type", import("(import \"terrane\" \"seed\" (func (result i32)))"), "other parameters"),
        (
            "a start that loops",
            with("(func $s (loop $l br $l)) (start $s)", ""),
            "while loading: it used up its 10000000 units",
        ),
        (
            "a start that sets",
            with("(func $s (call $set (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))) (start $s)", ""),
            "when there is no chunk",
        ),
        ("an atomic instruction", with("", "(drop (i32.atomic.load (i32.const 0)))"), "threads support is not enabled"),
        (
            "relaxed SIMD",
            with("", "(drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0)))"),
            "relaxed SIMD support is not enabled",
        ),
        ("bulk memory", with("", "(memory.fill (i32.const 0) (i32.const 0) (i32.const 100000))"), "bulk memory"),
        ("a tail call", with("(func $t (return_call $t))", ""), "tail calls support is not enabled"),
        ("reference types", with("(table 1 externref)", ""), "can't be compiled"),
        ("an exception", with("(tag $e)", ""), "can't be compiled"),
        ("a component", "(component)".to_owned(), "no WebAssembly module"),
    ]
}

#[test]
fn what_is_no_plugin_does_not_load_and_says_why() {
    for (what, text, says) in refused() {
        let Err(error) = load(&parsed("hostile", &text), "", &mut Palette::default()) else { panic!("{what} loads") };
        let error = error.to_string();
        assert!(error.starts_with("plug-in \"hostile\": "), "{what}: {error}");
        assert!(error.contains(says), "{what}: {error}");
    }
}

#[test]
fn another_file_than_the_pinned_one_does_not_load() {
    let mut other = parsed("crystals", &Wat { halo: 0, head: "", generate: "" }.text());
    let found = std::mem::replace(&mut other.sha256, "00".repeat(32));
    let error = load(&other, "", &mut Palette::default()).err().unwrap().to_string();
    assert!(error.contains(&found) && error.contains(&other.sha256), "{error}");
    assert!(error.contains(&format!("write crystals = \"{found}\" under [plugins]")), "{error}");
}

#[test]
fn settings_that_are_no_whole_numbers_are_refused() {
    let plugin = parsed("crystals", &Wat { halo: 0, head: "", generate: "" }.text());
    for setting in ["depth = 'deep'", "depth = true", "depth = 1.5", "depth = [1]"] {
        let error = load(&plugin, setting, &mut Palette::default()).err().unwrap().to_string();
        assert!(error.starts_with("plug-in \"crystals\": its setting depth = "), "{error}");
    }
    assert!(load(&plugin, "depth = -3", &mut Palette::default()).is_ok());
}

#[test]
fn a_file_too_large_does_not_load() {
    let mut wasm = wat::parse_str(Wat { halo: 0, head: "", generate: "" }.text()).unwrap();
    wasm.resize(limits::WASM_BYTES_MAX + 1, 0);
    let error = load(&file("large", wasm), "", &mut Palette::default()).err().unwrap().to_string();
    assert!(error.contains("has 524289 bytes, and may have 524288"), "{error}");
}

#[test]
fn a_damaged_file_never_panics() {
    let body =
        "(call $set (i32.const 1) (call $get (i32.const -1) (i32.const 0) (i32.const 0)) (i32.const 3) (i32.const 2))";
    let wasm = wat::parse_str(Wat { halo: 1, head: "", generate: body }.text()).unwrap();
    let (mut loaded, mut ran) = (0, 0);
    for n in 0..wasm.len() {
        for flip in [0x01, 0x40, 0xff] {
            let mut damaged = wasm.clone();
            damaged[n] ^= flip;
            if let Ok(stage) = load(&file("damaged", damaged), "", &mut Palette::default()) {
                loaded += 1;
                let maps = Maps::new(0, 0);
                let mut draft = Draft::new(ChunkPos::new(0, 0, 0).unwrap());
                let context = Context { maps: &maps, around: Around::NONE, level: Level::best() };
                ran += usize::from(stage.blocks(&mut draft, &context).is_ok());
            }
        }
    }
    assert!(loaded > 0 && ran <= loaded, "{loaded} of {} load, {ran} run", wasm.len());
}
