//! `terrane undo` and `terrane restore`: what one player caused goes back, what others built stays, previews tell what then
//! happens, an undo can be undone, and one that is killed can be finished or taken back.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and may wait")]

mod common;

use common::{Client, Server, command, succeed, terrane};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn new_world(folder: &Path, name: &str, more: &[&str]) -> PathBuf {
    let world = folder.join(name);
    succeed(&[&["new", "--world", world.to_str().unwrap(), "--seed", "7"][..], more].concat());
    world
}

fn copy(world: &Path, name: &str) -> PathBuf {
    let to = world.with_file_name(name);
    let copied = Command::new("cp").arg("-r").arg(world).arg(&to).stdout(Stdio::null()).status();
    assert!(copied.unwrap().success());
    to
}

/// Runs a verb on a world, and reads the facts that it tells.
fn facts(verb: &str, world: &Path, more: &[&str]) -> Value {
    let text = succeed(&[&["--json", verb, "--world", world.to_str().unwrap()][..], more].concat());
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// What a verb says that must fail.
fn refusal(verb: &str, world: &Path, more: &[&str]) -> String {
    let output = terrane(&[&[verb, "--world", world.to_str().unwrap()][..], more].concat());
    assert!(!output.status.success(), "{verb} {more:?} went through: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn simulate(world: &Path, lines: &str, ticks: &str) {
    let edits = world.with_extension("jsonl");
    std::fs::write(&edits, lines).unwrap();
    let edits = edits.to_str().unwrap();
    succeed(&["simulate", "--world", world.to_str().unwrap(), "--edits", edits, "--ticks", ticks, "--compute", "cpu"]);
}

fn digest(world: &Path, within: Option<&str>) -> String {
    let within = within.map_or(vec![], |within| vec!["--box", within]);
    facts("digest", world, &within)["digest"].as_str().unwrap().to_owned()
}

fn count(world: &Path, within: &str, block: &str) -> u64 {
    facts("info", world, &["--blocks", "--box", within])["blocks"][block].as_u64().unwrap_or(0)
}

/// Ann builds a tower, which Mallory blows up; meanwhile and afterwards Bob builds beside it, and where its top was.
const TOWER: &str = r#"{"tick": 1, "fill": "0,50,0:3,130,3", "block": "stone_bricks", "name": "Ann"}
"#;
const BLAST: &str = r#"{"tick": 4, "blast": [1, 100, 1], "power": 120, "actor": 7, "name": "Mallory"}
"#;
const HUT: &str = r#"{"tick": 9, "fill": "8,90,0:12,94,4", "block": "bedrock", "actor": 9, "name": "Bob"}
{"tick": 150, "set": [[0, 129, 0, "bedrock"], [20, 100, 3, "bedrock"]], "actor": 9}
"#;
/// All of it, and the chunks that the tower stands in.
const PLACE: &str = "0,32,0:32,160,32";
const TOWER_BOX: &str = "0,50,0:3,130,3";

#[test]
fn an_undo_of_a_collapse_leaves_what_others_built_and_does_what_its_preview_said() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world", &[]);
    simulate(&world, &[TOWER, BLAST, HUT].concat(), "200");
    let control = new_world(folder.path(), "control", &[]);
    simulate(&control, &[TOWER, HUT].concat(), "200");
    let before = digest(&world, None);
    assert!(count(&world, TOWER_BOX, "stone_bricks") < 9 * 80 - 30, "the blast has done little");

    let preview = facts("undo", &world, &["--by", "Mallory", "--preview"]);
    assert_eq!(digest(&world, None), before, "a preview changes nothing");
    let planned = preview["voxels"].as_u64().unwrap();
    let causes = preview["causes"].as_object().unwrap();
    assert!(planned > 100 && causes["blast"].as_u64().unwrap() > 0 && causes.contains_key("collapse"), "{preview}");
    assert_eq!(causes.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), planned);
    let conflicts = preview["conflicts"].as_array().unwrap();
    assert_eq!(conflicts.len(), 1, "{preview}");
    assert_eq!((&conflicts[0]["names"][0], &conflicts[0]["voxels"]), (&"Bob".into(), &1.into()));

    let undone = facts("undo", &world, &["--by", "Mallory", "--name", "Olga"]);
    for key in ["undo", "voxels", "chunks", "causes", "conflicts", "unchanged"] {
        assert_eq!(undone[key], preview[key], "{key}");
    }
    assert_eq!((&undone["put_back"], &undone["stayed"]), (&planned.into(), &0.into()));
    assert_eq!(digest(&world, Some(PLACE)), digest(&control, Some(PLACE)), "as if there had been no Mallory");
    assert_eq!(count(&world, "0,129,0:1,130,1", "bedrock"), 1, "what Bob built in its place");
    assert_eq!(facts("undo", &world, &["--by", "Mallory"])["voxels"], 0, "there is nothing left of it");

    // An undo of the undo, and one of that.
    let after = digest(&world, None);
    let id = undone["undo"].to_string();
    let again = facts("undo", &world, &["--undo", &id]);
    assert_eq!((digest(&world, None), &again["put_back"]), (before.clone(), &planned.into()));
    facts("undo", &world, &["--undo", &again["undo"].to_string()]);
    assert_eq!(digest(&world, None), after);

    // By everything else that can be asked for.
    let voxels = |more: &[&str]| facts("undo", &world, &[more, &["--preview"]].concat())["voxels"].as_u64().unwrap();
    assert_eq!(voxels(&["--by", "Bob", "--box", "8,90,0:12,94,4"]), 64);
    assert_eq!(voxels(&["--by", "actor:9", "--by", "Mallory"]), 66);
    assert_eq!(voxels(&["--by", "Bob", "--since", "tick:100"]), 2);
    assert_eq!(voxels(&["--cause", "undo", "--box", "40,0,40:41,1,41"]), 0);
    assert_eq!(voxels(&["--by", "Bob", "--since", "1h"]), 66);
    assert_eq!(voxels(&["--by", "Bob", "--since", "2100-01-01T00:00:00Z"]), 0);
    let overwrite = ["undo", "--world", world.to_str().unwrap(), "--by", "Ann", "--conflict", "overwrite", "--preview"];
    let said = succeed(&overwrite);
    assert!(said.contains("conflict: 1 voxels were changed since by Bob (edit): they go back all the same"), "{said}");
    succeed(&["check", "--world", world.to_str().unwrap()]);
}

#[test]
fn what_still_falls_lands_before_it_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world", &[]);
    let cut = "{\"tick\": 4, \"fill\": \"0,90,0:3,110,3\", \"block\": \"air\", \"actor\": 7, \"name\": \"Mallory\"}\n";
    simulate(&world, &[TOWER, cut].concat(), "10");
    let control = new_world(folder.path(), "control", &[]);
    simulate(&control, TOWER, "10");
    assert!(refusal("undo", &world, &["--by", "Mallory", "--ticks", "1"]).contains("more --ticks"));
    let preview = facts("undo", &world, &["--by", "Mallory", "--preview"]);
    let undone = facts("undo", &world, &["--by", "Mallory"]);
    assert_eq!((&preview["voxels"], &preview["undo"]), (&undone["put_back"], &undone["undo"]), "{preview} {undone}");
    assert_eq!((&undone["bodies_in_part"], &undone["conflicts"]), (&0.into(), &Value::Array(vec![])));
    assert_eq!(digest(&world, Some(PLACE)), digest(&control, Some(PLACE)));
}

/// A cube of 262,144 voxels in stripes in a world where nothing falls.
fn large(folder: &Path) -> PathBuf {
    let world = new_world(folder, "large", &["--generator", "void", "--physics", "off"]);
    let fills: String = (0..64)
        .map(|x| {
            let block = ["stone", "sand"][x % 2];
            format!(
                "{{\"tick\": 1, \"fill\": \"{x},64,0:{},128,64\", \"block\": \"{block}\", \"actor\": 3, \"name\": \"Eve\"}}\n",
                x + 1
            )
        })
        .collect();
    simulate(&world, &fills, "1");
    world
}

fn journal_bytes(world: &Path) -> u64 {
    std::fs::metadata(world.join("journal/00000001.trj")).unwrap().len()
}

/// Begins an undo, and sends it a signal when some of it is done. Gives what it said.
fn cut(world: &Path, signal: &str, what: &[&str]) -> std::process::Output {
    let before = journal_bytes(world);
    let child = command()
        .args(["undo", "--world", world.to_str().unwrap()])
        .args(what)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Started before it is needed: starting a program takes as long as some parts.
    let mut signaller = Command::new("sh")
        .args(["-c", &format!("read go; kill {signal} {}", child.id())])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Its beginning and some of its 64 parts, which take more than 100 bytes each.
    while journal_bytes(world) < before + 3_000 {
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::sleep(Duration::from_micros(200));
    }
    signaller.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(signaller.wait().unwrap().success());
    child.wait_with_output().unwrap()
}

/// The cube, and its voxels.
const WHOLE: &str = "0,64,0:64,128,64";
const ALL: u64 = 64 * 64 * 64;

/// A copy of a world in which an undo was cut off in the middle, so that so many are unfinished, and what it said. On a machine that
/// is busy with something else one may be through before the signal comes: then it is tried on another copy.
fn cut_in_the_middle(world: &Path, signal: &str, what: &[&str], unfinished: usize) -> (PathBuf, std::process::Output) {
    for attempt in 0..30 {
        let copied = copy(world, &format!("cut{signal}-{unfinished}-{attempt}"));
        let output = cut(&copied, signal, what);
        // Who only reads does not believe the last part, which may be that it is done.
        let opened = copy(&copied, "opened");
        simulate(&opened, "", "1");
        let is_cut = facts("info", &opened, &[])["unfinished_undos"].as_array().unwrap().len() == unfinished;
        std::fs::remove_dir_all(&opened).unwrap();
        if is_cut {
            return (copied, output);
        }
    }
    panic!("in thirty attempts no undo was cut off in the middle");
}

#[test]
fn an_undo_that_is_killed_in_the_middle_is_finished_or_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = large(folder.path());
    let (before, all, whole) = (digest(&world, None), ALL, WHOLE);
    let control = copy(&world, "control");
    assert_eq!(facts("undo", &control, &["--by", "Eve"])["put_back"], all);
    let done = digest(&control, None);

    let (world, _) = cut_in_the_middle(&world, "-KILL", &["--by", "Eve"], 1);
    let finished = copy(&world, "finished");
    // Who only reads does not believe the last part yet; whoever writes next takes it in.
    let counted = copy(&world, "counted");
    simulate(&counted, "", "1");
    let left = count(&counted, whole, "stone") + count(&counted, whole, "sand");
    assert!(0 < left && left < all, "{left} of {all} voxels are left: it was not cut in the middle");
    let said = refusal("undo", &world, &["--by", "Eve"]);
    assert!(said.contains("was cut off") && said.contains("--finish") && said.contains("--take-back"), "{said}");
    let said = refusal("restore", &world, &["--at", "tick:1", "--box", whole]);
    assert!(said.contains("was cut off"), "{said}");

    // Even the taking back may be cut off: finishing that ends both, and taking that back leaves the first one to be finished.
    let id = facts("info", &world, &[])["unfinished_undos"][0].clone();
    let (twice, _) = cut_in_the_middle(&world, "-KILL", &["--take-back"], 2);
    let thrice = copy(&twice, "thrice");
    facts("undo", &twice, &["--finish"]);
    assert_eq!(digest(&twice, None), before);
    facts("undo", &thrice, &["--take-back"]);
    assert_eq!(facts("info", &thrice, &[])["unfinished_undos"], Value::Array(vec![id]));
    facts("undo", &thrice, &["--finish"]);
    assert_eq!(digest(&thrice, None), done);
    assert!(refusal("undo", &thrice, &["--finish"]).contains("no undo is unfinished"));

    let preview = facts("undo", &finished, &["--finish", "--preview"]);
    let rest = facts("undo", &finished, &["--finish"]);
    assert_eq!((&rest["put_back"], &preview["voxels"], &rest["finished"]), (&left.into(), &left.into(), &true.into()));
    assert_eq!(digest(&finished, None), done);
    assert!(refusal("undo", &finished, &["--finish"]).contains("no undo is unfinished"));
    let back = facts("undo", &finished, &["--undo", &rest["undo"].to_string()]);
    assert_eq!((digest(&finished, None), &back["put_back"]), (before.clone(), &all.into()));

    let back = facts("undo", &world, &["--take-back"]);
    assert_eq!((digest(&world, None), &back["put_back"]), (before, &(all - left).into()));
    assert!(refusal("undo", &world, &["--take-back"]).contains("no undo is unfinished"));
    assert_eq!(facts("undo", &world, &["--by", "Eve"])["put_back"], all, "it can begin anew");
    assert_eq!(digest(&world, None), done);
    succeed(&["check", "--world", world.to_str().unwrap()]);
}

#[test]
fn an_interrupted_undo_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = large(folder.path());
    let (world, output) = cut_in_the_middle(&world, "-INT", &["--by", "Eve"], 1);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted when") && said.contains("--finish"), "{said}");
    facts("undo", &world, &["--finish"]);
    assert_eq!(count(&world, WHOLE, "air"), ALL);
}

#[test]
fn a_box_is_restored_to_a_moment_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world", &["--generator", "void", "--physics", "off"]);
    let edit = |more: &[&str]| facts("edit", &world, more);
    edit(&["--fill", "0,0,0:32,8,32=stone", "--name", "Ann"]);
    let tick = facts("info", &world, &[])["tick"].to_string();
    let (left, right) = ("0,0,0:16,8,32", "16,0,0:32,8,32");
    let then = digest(&world, Some(left));
    edit(&["--fill", "4,2,4:28,6,28=air", "--actor", "2", "--name", "Bob"]);
    edit(&["--fill", "10,3,10:22,5,22=sand"]);
    let (now, now_right) = (digest(&world, None), digest(&world, Some(right)));
    assert_ne!(then, digest(&world, Some(left)));
    let moment = format!("tick:{tick}");
    let arguments = ["--at", moment.as_str(), "--box", left];
    let png = folder.path().join("restore.png");
    let preview = facts("restore", &world, &[&arguments[..], &["--preview", "--map", png.to_str().unwrap()]].concat());
    assert_eq!((digest(&world, None), &preview["voxels"]), (now.clone(), &(12 * 4 * 24).into()));
    let restored = facts("restore", &world, &arguments);
    assert_eq!((&restored["put_back"], &restored["conflicts"]), (&preview["voxels"], &Value::Array(vec![])));
    assert_eq!((digest(&world, Some(left)), digest(&world, Some(right))), (then, now_right));
    facts("undo", &world, &["--undo", &restored["undo"].to_string()]);
    assert_eq!(digest(&world, None), now);

    // Greenish where something comes back, and only there.
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&png).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let scale = info.width as usize / (12 + 2 * 12);
    let at = |x: usize, z: usize| &pixels[((z * scale) * info.width as usize + x * scale) * 4..][..3];
    let is_green = |pixel: &[u8]| pixel[1] > pixel[0].saturating_add(40) && pixel[1] > pixel[2].saturating_add(40);
    assert!(is_green(at(12, 12)) && is_green(at(23, 35)), "{:?} {:?}", at(12, 12), at(23, 35));
    assert!(!is_green(at(11, 12)) && !is_green(at(24, 20)), "{:?} {:?}", at(11, 12), at(24, 20));

    // Of 4,096 voxels of stone the hole has taken 1,152, and 144 of sand are in it.
    for (moment, voxels) in [("2100-01-01T00:00:00Z", 0), ("0s", 0), ("1970-01-01T00:00:01Z", 3_088)] {
        let facts = facts("restore", &world, &["--at", moment, "--box", left, "--preview"]);
        assert_eq!(facts["voxels"], voxels, "{moment}");
    }
}

#[test]
fn names_come_from_clients_too_and_what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world", &["--generator", "void", "--physics", "off"]);
    let mut server = Server::start(&world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    client.edit(1, &[([0, 70, 0], 1), ([1, 70, 0], 1)]).unwrap();
    client.wait_for("the acknowledgement", |client| client.acknowledged == 1);
    assert!(server.terminate().success());
    drop(client);
    facts("edit", &world, &["--set", "1,70,0=sand", "--actor", "5", "--name", "Bob"]);
    let undone = facts("undo", &world, &["--by", "test"]);
    assert_eq!((&undone["put_back"], &undone["conflicts"][0]["names"][0]), (&1.into(), &"Bob".into()));
    assert_eq!(count(&world, "0,70,0:2,71,1", "sand"), 1);

    let said = refusal("undo", &world, &["--by", "Tset"]);
    assert!(said.contains("nobody called \"Tset\"") && said.contains("Bob, test"), "{said}");
    assert!(refusal("undo", &world, &[]).contains("say what is to be taken back"));
    assert!(refusal("undo", &world, &["--since", "yesterday"]).contains("2026-05-01T18:30:00Z"));
    assert!(refusal("undo", &world, &["--undo", "3", "--by", "Bob"]).contains("cannot be used with"));
    assert!(refusal("undo", &world, &["--undo", "99999"]).contains("there is no undo 99999 in history"));
}

/// Voxels of blocks that follow no order, a tick of them by somebody.
fn noise(seed: u64, name: &str) -> String {
    let mut state = seed;
    let mut next = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let blocks = ["stone", "sand", "dirt", "air", "glass", "stone_bricks", "oak_planks", "gravel"];
    let mut lines = String::new();
    for _ in 0..20 {
        let voxel = |_| format!("[{},{},{},\"{}\"]", next(64), next(64), next(64), blocks[next(8) as usize]);
        let voxels: Vec<String> = (0..2_000).map(voxel).collect();
        lines +=
            &format!("{{\"tick\": 1, \"set\": [{}], \"actor\": {seed}, \"name\": \"{name}\"}}\n", voxels.join(","));
    }
    lines
}

#[test]
fn history_that_was_cut_is_said_to_be_and_nothing_is_restored_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world", &["--generator", "void", "--physics", "off"]);
    let settings = std::fs::read_to_string(world.join("world.toml")).unwrap();
    assert!(settings.contains("[history]\nbytes = 1073741824\ndays = 90\n"), "{settings}");
    assert_eq!(facts("info", &world, &[])["history"]["since"], Value::Null);
    std::fs::write(world.join("world.toml"), settings.replace("bytes = 1073741824", "bytes = 200000")).unwrap();
    simulate(&world, &noise(2, "Early"), "1");
    let early = facts("info", &world, &[])["history"].clone();
    assert_eq!((&early["whole"], &early["since"]["tick"]), (&true.into(), &1.into()));
    (3..10).for_each(|seed| simulate(&world, &noise(seed, "Late"), "1"));
    let late = facts("info", &world, &[])["history"].clone();
    let begins = late["known_from"].as_u64().unwrap();
    assert!(late["whole"] == false && begins > 3 && late["bytes"].as_u64().unwrap() < 600_000, "{late}");
    assert!(succeed(&["info", "--world", world.to_str().unwrap()]).contains("what was before is not known"));

    let within = ["--box", "0,0,0:64,64,64"];
    let reach = format!("history goes back to tick {begins}, ");
    let said = refusal("restore", &world, &[&["--at", "tick:1"], &within[..]].concat());
    assert!(said.contains(&reach), "{said}");
    // A time of before is no tick of after it.
    let said = refusal("restore", &world, &[&["--at", "1d"], &within[..]].concat());
    assert!(said.contains(&reach), "{said}");
    for since in ["1d", "tick:0"] {
        let told = facts("undo", &world, &["--since", since, "--preview"]);
        assert_eq!(told["history_from"], begins, "{since}: {told}");
    }
    let said = refusal("undo", &world, &["--by", "Nobody"]);
    assert!(said.contains("there are Early, Late") && said.contains(&reach), "{said}");
    let said = refusal("undo", &world, &["--undo", "2"]);
    assert!(said.contains("there is no undo 2 in history") && said.contains(&reach), "{said}");
    // Who Early was is remembered, and what they did is not.
    for (name, nothing) in [("Early", true), ("Late", false)] {
        let output = terrane(&["undo", "--world", world.to_str().unwrap(), "--by", name, "--preview"]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains(&reach), "{name}");
        assert_eq!(output.stdout.starts_with(b"0 voxels"), nothing, "{name}");
    }
    let last = facts("info", &world, &[])["tick"].as_u64().unwrap();
    let moment = format!("tick:{}", last - 1);
    assert_eq!(facts("undo", &world, &["--since", &moment, "--preview"])["history_from"], Value::Null);
    let restored = facts("restore", &world, &[&["--at", moment.as_str()], &within[..]].concat());
    assert!(restored["put_back"].as_u64().unwrap() > 10_000, "{restored}");
    succeed(&["check", "--world", world.to_str().unwrap()]);
}

#[test]
fn a_gap_in_history_keeps_a_box_from_being_restored_unless_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world", &["--generator", "void", "--physics", "off"]);
    (2..6).for_each(|seed| simulate(&world, &noise(seed, "Ann"), "1"));
    let segment = world.join("journal/00000001.trj");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let arguments = ["--at", "tick:1", "--box", "0,0,0:64,64,64", "--preview"];
    let said = refusal("restore", &world, &arguments);
    assert!(said.contains("gaps since then") && said.contains("--despite-gaps"), "{said}");
    let told = facts("restore", &world, &[&arguments[..], &["--despite-gaps"]].concat());
    assert!(told["gaps"].as_u64().unwrap() > 0 && told["voxels"].as_u64().unwrap() > 0, "{told}");
}
