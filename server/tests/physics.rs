//! `terrane simulate` and `terrane edit`: the same world and list give the same digests, on any device, cut off or not.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and may wait")]

mod common;

use common::{Server, command, succeed, terrane};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;

fn new_world(folder: &Path, name: &str) -> PathBuf {
    let world = folder.join(name);
    succeed(&["new", "--world", world.to_str().unwrap(), "--seed", "7"]);
    world
}

/// A tower that is built, and cut at tick 4; sand and a charge come down with it.
const SCRIPT: &str = r#"
{"tick": 1, "fill": "0,50,0:3,130,3", "block": "stone_bricks"}
{"tick": 1, "set": [[1, 130, 1, "tnt"], [0, 130, 0, "sand"], [2, 130, 2, "sand"]], "actor": 7}
{"tick": 4, "fill": "0,100,0:3,104,3", "block": "air"}
{"tick": 60, "blast": [1, 128, 1], "power": 90, "actor": 7}
"#;

fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("edits.jsonl");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// One object a tick.
fn simulate(world: &Path, more: &[&str]) -> Vec<Value> {
    let arguments = ["--json", "simulate", "--world", world.to_str().unwrap()];
    let text = succeed(&[&arguments[..], more].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn digests(ticks: &[Value]) -> Vec<String> {
    ticks.iter().map(|tick| tick["digest"].as_str().unwrap().to_owned()).collect()
}

fn sum(ticks: &[Value], key: &str) -> u64 {
    ticks.iter().map(|tick| tick[key].as_u64().unwrap()).sum()
}

#[test]
fn a_list_gives_the_same_digests_on_any_number_of_threads_and_a_dry_run_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let edits = script(folder.path(), SCRIPT);
    let world = new_world(folder.path(), "world");
    let arguments = ["--edits", &edits, "--ticks", "160", "--compute", "cpu"];
    let dry = simulate(&world, &[&arguments[..], &["--dry-run", "--threads", "1"]].concat());
    let real = simulate(&world, &[&arguments[..], &["--threads", "3"]].concat());
    assert_eq!(digests(&dry), digests(&real));
    assert_eq!(real.len(), 160);
    assert!(sum(&real, "left") > 200 && sum(&real, "left") == sum(&real, "landed"), "{:?}", real.last());
    assert!(sum(&real, "destroyed") > 50 && sum(&real, "blasts") >= 2, "the charge on top goes off as well");
    let stages = real[4]["stages_us"].as_object().unwrap();
    assert_eq!(stages.len(), 9, "{stages:?}");
    assert_eq!(real.last().unwrap()["bodies"], 0);
    succeed(&["check", "--world", world.to_str().unwrap()]);
}

#[test]
fn a_run_that_ends_in_mid_air_goes_on_in_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let edits = script(folder.path(), SCRIPT.trim_end().rsplit_once('\n').unwrap().0);
    let [whole, parts] = ["whole", "parts"].map(|name| new_world(folder.path(), name));
    let expected = digests(&simulate(&whole, &["--edits", &edits, "--ticks", "80", "--compute", "cpu"]));
    let mut found = digests(&simulate(&parts, &["--edits", &edits, "--ticks", "9", "--compute", "cpu"]));
    for ticks in ["1", "4", "66"] {
        found.extend(digests(&simulate(&parts, &["--ticks", ticks, "--compute", "cpu"])));
    }
    assert_eq!(found, expected);
}

/// One crowd in the air, which a wall stops for a while, and one that digs down from the surface.
const CROWDS: &str = r#"
{"tick": 6, "fill": "19,180,-16:20,210,32", "block": "bedrock"}
{"tick": 2, "crowd": "fly", "count": 300, "from": "0,184,0:8,204,16", "goals": [[36, 190, 8]], "within": "-16,180,-16:48,210,32", "speed": 256}
{"tick": 2, "crowd": "tunnel", "count": 20, "from": "0,100,0:16,110,16", "goals": [[8, 40, 8]], "within": "-8,32,-8:32,120,32", "speed": 2560, "actor": 2}
{"tick": 60, "fill": "19,180,-16:20,210,32", "block": "air"}
"#;

#[test]
fn crowds_go_round_dig_and_go_on_in_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let edits = script(folder.path(), CROWDS);
    let [whole, parts] = ["whole", "parts"].map(|name| new_world(folder.path(), name));
    let ticks = simulate(&whole, &["--edits", &edits, "--ticks", "260", "--compute", "cpu", "--threads", "1"]);
    assert!(ticks.iter().all(|tick| tick.get("refused").is_none()), "{:?}", ticks[1]);
    assert_eq!(ticks[1]["agents"], 320);
    assert!(sum(&ticks[..59], "lost") > 0, "the wall stops nobody");
    assert_eq!((sum(&ticks, "arrived"), &ticks[259]["agents"]), (320, &Value::from(0)));
    assert!(sum(&ticks, "dug") >= 10, "{} voxels dug", sum(&ticks, "dug"));
    let mut found = simulate(&parts, &["--edits", &edits, "--ticks", "63", "--compute", "cpu", "--threads", "3"]);
    for more in ["1", "2", "194"] {
        found.extend(simulate(&parts, &["--ticks", more, "--compute", "cpu"]));
    }
    assert_eq!(digests(&found), digests(&ticks));
    succeed(&["check", "--world", whole.to_str().unwrap()]);
}

#[cfg(feature = "gpu")]
#[test]
fn a_device_works_out_what_the_cpu_does_and_says_how_often_it_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    // In a void world little is solid, so that a device in software is done in a moment.
    let text = r#"
{"tick": 1, "fill": "-20,0,-20:20,1,20", "block": "bedrock"}
{"tick": 2, "fill": "-4,1,-4:4,12,4", "block": "stone"}
{"tick": 2, "fill": "-30,12,-2:30,13,2", "block": "oak_planks"}
{"tick": 9, "fill": "-4,5,-4:4,6,4", "block": "air"}
"#;
    let edits = script(folder.path(), text);
    let run = |name: &str, compute: &str| {
        let world = folder.path().join(name);
        let world = world.to_str().unwrap();
        succeed(&["new", "--world", world, "--generator", "void"]);
        succeed(&["simulate", "--world", world, "--edits", &edits, "--ticks", "70", "--compute", compute])
    };
    let (cpu, gpu) = (run("cpu", "cpu"), run("gpu", "gpu"));
    let digests = |text: &str| -> Vec<String> {
        let lines = text.lines().skip(1).filter(|line| !line.contains("dispatches"));
        lines.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(digests(&cpu), digests(&gpu));
    assert!(digests(&cpu).len() > 10);
    let told = gpu.lines().last().unwrap();
    let dispatches: u64 = told.split_whitespace().next().unwrap().parse().unwrap();
    assert!(told.contains("dispatches on") && dispatches > 0, "{told}");
}

#[test]
fn single_edits_run_until_everything_is_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world");
    let world = world.to_str().unwrap();
    let facts = |more: &[&str]| -> Value {
        let text = succeed(&[&["--json", "edit", "--world", world][..], more].concat());
        serde_json::from_str(&text).unwrap()
    };
    let built = facts(&["--fill", "0,50,0:2,120,2=stone_bricks", "--set", "0,120,0=glass"]);
    assert_eq!((&built["settled"], &built["left"]), (&Value::from(true), &Value::from(0)));
    let cut = facts(&["--fill", "0,100,0:2,102,2=air"]);
    assert_eq!((&cut["left"], &cut["landed"]), (&Value::from(4 * 18 + 1), &Value::from(4 * 18 + 1)), "{cut}");
    assert!(cut["settled"] == true && cut["ticks"].as_u64().unwrap() > 5);
    let blown = facts(&["--blast", "1,80,1=60"]);
    assert!(blown["destroyed"].as_u64().unwrap() > 8, "{blown}");
    for (arguments, part) in [
        (&["--set", "0,0,0=ston"][..], "there is"),
        (&["--set", "0,0,0"], "the place comes first"),
        (&["--blast", "0,0,0=900"], "1 to 255"),
        (&[], "--set, --fill or --blast"),
    ] {
        let output = terrane(&[&["edit", "--world", world][..], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn a_list_that_is_wrong_is_refused_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world");
    let world = world.to_str().unwrap();
    let edits = script(folder.path(), "{\"tick\": 1, \"set\": [[0, 70, 0, \"stone\"]]}\n{\"tick\": 2, \"sett\": []}\n");
    let output = terrane(&["simulate", "--world", world, "--edits", &edits, "--ticks", "9"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("edits.jsonl:2") && text.contains("a line is"), "{text}");
    assert!(succeed(&["info", "--world", world]).contains('0'), "nothing is stored");
    let edits = script(folder.path(), SCRIPT);
    let output = terrane(&["simulate", "--world", world, "--edits", &edits, "--ticks", "9"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("at least --ticks 60"));
    let edits = script(folder.path(), "{\"tick\": 1, \"set\": []}\n");
    let output = terrane(&["simulate", "--world", world, "--edits", &edits, "--ticks", "9"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains("edits.jsonl:1: \"set\" names no voxel"), "{text}");
    let edits = script(folder.path(), "{\"tick\": 1, \"blast\": [0, 70, 0], \"power\": 0}\n");
    let output = terrane(&["simulate", "--world", world, "--edits", &edits, "--ticks", "2"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && text.contains("edits.jsonl:1: 0 is no power"), "{text}");
}

#[test]
fn a_tower_cut_by_sigkill_in_mid_fall_comes_down_in_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world");
    let path = world.to_str().unwrap();
    // High enough to be in the air for two seconds of a served world.
    let edits = script(
        folder.path(),
        "{\"tick\": 1, \"fill\": \"0,50,0:2,200,2\", \"block\": \"stone_bricks\"}\n\
         {\"tick\": 4, \"fill\": \"0,110,0:2,170,2\", \"block\": \"air\"}\n",
    );
    let started = simulate(&world, &["--edits", &edits, "--ticks", "8", "--compute", "cpu"]);
    assert!(started.last().unwrap()["bodies"].as_u64().unwrap() > 0, "it is in the air");
    let copy = folder.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-r").arg(&world).arg(&copy).stdout(Stdio::null()).status();
    assert!(copied.unwrap().success());
    // Served for some ticks, and killed.
    let mut server = Server::start(&world, &[]);
    std::thread::sleep(std::time::Duration::from_millis(400));
    server.kill();
    let after_kill = simulate(&world, &["--ticks", "120", "--compute", "cpu"]);
    let undisturbed = simulate(&copy, &["--ticks", "300", "--until-settled", "--compute", "cpu"]);
    let (mut killed, last) = (digests(&after_kill), digests(&undisturbed).pop());
    assert_eq!(killed.pop(), last, "both ways end in the same world");
    assert_eq!(succeed(&["digest", "--world", path]), succeed(&["digest", "--world", copy.to_str().unwrap()]));
    assert!(command().args(["check", "--world", path]).stdout(Stdio::null()).status().unwrap().success());
}
