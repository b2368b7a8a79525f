//! A world's generator: configured in world.toml, pinned by the first chunk, run by `terrane generate` until it is done,
//! interrupted or killed.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use common::{command, succeed, terrane};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

const BOX: &str = "-64,0,-64:64,96,64";
/// What `generate` is interrupted in: 64 regions.
const LARGE: &str = "-512,-64,-512:512,192,512";
const LARGE_CHUNKS: u64 = 8192;
/// So little memory that a batch is one region.
const LITTLE: &str = "40M";

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = terrane(&[&["--json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn fails(arguments: &[&str], parts: &[&str]) {
    let output = terrane(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    parts.iter().for_each(|part| assert!(text.contains(part), "{arguments:?}: {part} is not in {text}"));
}

/// The digest of a box, which does not cover the seed.
fn digest(world: &Path, within: &str) -> String {
    succeed(&["digest", "--world", path(world), "--box", within]).trim().to_owned()
}

fn generate(world: &Path, within: &str, more: &[&str]) -> Value {
    json(&[&["generate", "--world", path(world), "--box", within], more].concat())
}

fn new_world(folder: &Path, name: &str) -> PathBuf {
    let world = folder.join(name);
    succeed(&["new", "--world", path(&world), "--seed", "7"]);
    world
}

/// Changes world.toml.
fn edit(world: &Path, from: &str, to: &str) {
    let file = world.join("world.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn is_whole(world: &Path) {
    let checked = succeed(&["check", "--world", path(world)]);
    assert!(checked.contains("nothing is wrong"), "{checked}");
}

/// A plug-in of the examples, as file and as SHA-256.
fn lanterns() -> (PathBuf, String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins/lanterns.wasm");
    let sha256 = terrane_plugin::sha256(&fs::read(&file).unwrap());
    (file, sha256)
}

fn add_lanterns(world: &Path, sha256: &str) {
    fs::create_dir_all(world.join("plugins")).unwrap();
    fs::copy(lanterns().0, world.join("plugins/lanterns.wasm")).unwrap();
    let stage = "[[generator.stage]]\nstage = \"lanterns\"\nevery = 40\n\n[plugins]\n";
    edit(world, "[plugins]\n", &format!("{stage}lanterns = \"{sha256}\"\n"));
}

#[test]
fn a_new_world_lists_its_stages_and_makes_what_the_short_form_makes() {
    let folder = tempfile::tempdir().unwrap();
    let listed = new_world(folder.path(), "listed");
    let text = fs::read_to_string(listed.join("world.toml")).unwrap();
    assert_eq!(text.matches("[[generator.stage]]").count(), 10, "{text}");
    assert!(text.contains("docs/generation.md"), "{text}");
    is_whole(&listed);
    let short = new_world(folder.path(), "short");
    let text = fs::read_to_string(short.join("world.toml")).unwrap();
    let (head, rest) = text.split_once("[[generator.stage]]").unwrap();
    let (_, tail) = rest.split_once("[plugins]").unwrap();
    fs::write(short.join("world.toml"), format!("{head}[plugins]{tail}")).unwrap();
    is_whole(&short);
    for world in [&listed, &short] {
        generate(world, BOX, &[]);
        is_whole(world);
        let facts = json(&["info", "--world", path(world)]);
        assert_eq!(facts["stages"].as_array().unwrap().len(), 10, "{facts}");
    }
    assert_eq!(digest(&listed, BOX), digest(&short, BOX));
    let seeded = |world: &Path| succeed(&["digest", "--world", path(world)]);
    assert_eq!(seeded(&listed), seeded(&short), "writing the stages out is no other generator");
}

#[test]
fn new_makes_no_world_where_one_is_and_none_of_an_unknown_generator() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world");
    fails(&["new", "--world", path(&world)], &["is a world already"]);
    let other = folder.path().join("other");
    fails(&["new", "--world", path(&other), "--generator", "flat"], &["\"flat\"", "terrain, hills, void"]);
    assert!(!other.exists());
    succeed(&["new", "--world", path(&other), "--generator", "hills"]);
    assert_eq!(json(&["info", "--world", path(&other)])["generator"], "hills");
}

#[test]
fn stages_may_be_changed_until_something_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, edited) = (new_world(folder.path(), "plain"), new_world(folder.path(), "edited"));
    edit(&edited, "stage = \"plants\"\n", "stage = \"plants\"\ntrees = 0\n");
    is_whole(&edited);
    generate(&plain, BOX, &[]);
    assert_eq!(generate(&edited, BOX, &[])["stored"], 48);
    assert_ne!(digest(&edited, BOX), digest(&plain, BOX), "the setting counts");
    is_whole(&edited);
    let before = fs::read(edited.join("world.toml")).unwrap();
    edit(&edited, "trees = 0\n", "trees = 50\n");
    fails(&["info", "--world", path(&edited)], &["world.toml", "put back what was there"]);
    fails(&["generate", "--world", path(&edited), "--box", BOX], &["world.toml"]);
    assert_eq!(terrane(&["check", "--world", path(&edited)]).status.code(), Some(1), "check finds it as well");
    succeed(&["check", "--world", path(&edited), "--repair"]);
    assert_eq!(fs::read(edited.join("world.toml")).unwrap(), before, "and puts the pinned settings back");
    is_whole(&edited);
}

#[test]
fn a_setting_that_is_none_is_refused_with_its_stage() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world");
    edit(&world, "stage = \"plants\"\n", "stage = \"plants\"\ntrees = 4000\n");
    fails(&["info", "--world", path(&world)], &["stage 9", "\"plants\"", "trees = 4000", "400"]);
    edit(&world, "trees = 4000\n", "");
    edit(&world, "stage = \"water\"\n", "stage = \"watter\"\n");
    fails(&["info", "--world", path(&world)], &["stage 3", "\"watter\"", "continents"]);
}

#[test]
fn a_plug_in_is_added_and_its_hash_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let (world, sha256) = (new_world(folder.path(), "world"), lanterns().1);
    let wrong = "0".repeat(64);
    add_lanterns(&world, &wrong);
    fails(&["info", "--world", path(&world)], &["lanterns", &wrong, &sha256]);
    assert_eq!(terrane(&["check", "--world", path(&world)]).status.code(), Some(1));
    edit(&world, &wrong, &sha256);
    is_whole(&world);
    let facts = json(&["info", "--world", path(&world)]);
    assert_eq!((&facts["stages"][10], &facts["plugins"]["lanterns"]), (&"lanterns".into(), &sha256.as_str().into()));
    generate(&world, BOX, &[]);
    is_whole(&world);
    let facts = json(&["info", "--world", path(&world), "--blocks"]);
    assert!(facts["blocks"]["glowstone"].as_u64() > Some(10), "{facts}");
    fs::remove_file(world.join("plugins/lanterns.wasm")).unwrap();
    fails(&["info", "--world", path(&world)], &["plugins/lanterns.wasm"]);
}

#[test]
fn a_plug_in_that_fails_is_named_with_its_chunk_and_batches_stay_whole() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world");
    let wasm = wat::parse_str(ENDLESS_LOOP_EAST_OF_200).unwrap();
    let sha256 = terrane_plugin::sha256(&wasm);
    fs::create_dir(world.join("plugins")).unwrap();
    fs::write(world.join("plugins/loop.wasm"), wasm).unwrap();
    let stage = "[[generator.stage]]\nstage = \"loop\"\n\n[plugins]\n";
    edit(&world, "[plugins]\n", &format!("{stage}loop = \"{sha256}\"\n"));
    let within = "0,0,0:512,256,128";
    let arguments = ["generate", "--world", path(&world), "--box", within, "--threads", "1", "--memory", LITTLE];
    fails(&arguments, &["stage \"loop\"", "could not make chunk", "fuel"]);
    is_whole(&world);
    let stored = json(&["info", "--world", path(&world)])["chunks"].as_u64().unwrap();
    assert_eq!(stored % 128, 0, "a batch is whole regions, and {stored} chunks are stored");
    fails(&arguments, &["stage \"loop\""]);
}

#[test]
fn any_number_of_threads_and_any_memory_make_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let within = "-150,-40,-80:150,100,80";
    let digests = [["1", "1G"], ["2", "1G"], ["2", LITTLE], ["5", "2G"]].map(|[threads, memory]| {
        let world = new_world(folder.path(), &format!("{threads}-{memory}"));
        let made = generate(&world, within, &["--threads", threads, "--memory", memory]);
        assert_eq!((&made["left"], &made["interrupted"]), (&0.into(), &false.into()), "{made}");
        is_whole(&world);
        digest(&world, within)
    });
    assert!(digests.iter().all(|other| *other == digests[0]), "{digests:?}");
    fails(&["generate", "--world", "x", "--box", BOX, "--memory", "1M"], &["--memory 1M is too little"]);
    let usage = terrane(&["generate", "--world", "x", "--box", BOX, "--memory", "much"]);
    assert_eq!(usage.status.code(), Some(2));
}

/// Begins to generate and waits until some, and not yet all, is stored.
fn begin(world: &Path) -> Child {
    let arguments = [
        "--json",
        "--log",
        "warn",
        "generate",
        "--box",
        LARGE,
        "--memory",
        LITTLE,
        "--threads",
        "2",
        "--world",
        path(world),
    ];
    let child = command().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let regions = || {
        fs::read_dir(world.join("regions")).map_or(0, |entries| {
            entries
                .filter(|entry| entry.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|x| x == "trr")))
                .count()
        })
    };
    while regions() < 2 {
        std::thread::yield_now();
    }
    child
}

/// A run that is disturbed, by a world that nobody disturbed. A machine that was too busy to disturb it in time tries again.
fn resumes(disturb: impl Fn(Child) -> Option<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, disturbed) = (new_world(folder.path(), "whole"), folder.path().join("disturbed"));
    let stored = (0..10).find_map(|_| {
        let _ = fs::remove_dir_all(&disturbed);
        new_world(folder.path(), "disturbed");
        disturb(begin(&disturbed))
    });
    let stored = stored.expect("the run could be disturbed before it was done");
    is_whole(&disturbed);
    let before = json(&["info", "--world", path(&disturbed)])["chunks"].as_u64().unwrap();
    assert!(before < LARGE_CHUNKS && before >= stored, "{stored} were stored, {before} are there");
    let rest = generate(&disturbed, LARGE, &[]);
    let counts = ["already_there", "made", "stored", "left"].map(|key| rest[key].as_u64().unwrap());
    assert_eq!(counts, [before, LARGE_CHUNKS - before, LARGE_CHUNKS - before, 0], "nothing is made twice");
    is_whole(&disturbed);
    generate(&whole, LARGE, &[]);
    assert_eq!(digest(&disturbed, LARGE), digest(&whole, LARGE));
}

#[test]
fn an_interrupted_run_stores_what_is_in_hand_and_is_taken_up_again() {
    resumes(|child| {
        let sent = command_kill("-INT", &child);
        let output = child.wait_with_output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        if !sent || told["left"] == 0 {
            return None;
        }
        assert_eq!((output.status.code(), &told["interrupted"]), (Some(130), &true.into()), "{told}");
        told["stored"].as_u64()
    });
}

#[test]
fn a_killed_run_is_taken_up_again() {
    resumes(|mut child| {
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        (!output.status.success()).then_some(1)
    });
}

fn command_kill(signal: &str, child: &Child) -> bool {
    std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success()
}

/// A plug-in in the text format: it never ends where x is 200 or more.
const ENDLESS_LOOP_EAST_OF_200: &str = r#"(module (memory (export "memory") 1)
  (data (i32.const 0) "air\00")
  (func (export "terrane_abi") (result i32) i32.const 1)
  (func (export "terrane_halo") (result i32) i32.const 0)
  (func (export "terrane_blocks") (result i32) i32.const 0)
  (func (export "terrane_generate") (param $x i32) (param i32 i32)
    local.get $x i32.const 200 i32.ge_s if (loop br 0) end))"#;
