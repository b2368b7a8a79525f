//! The verbs that work on folders, by the real executable.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use common::{shared, succeed, terrane};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A small world with every kind of thing to export.
fn land(folder: &Path) -> PathBuf {
    let world = folder.join("land");
    succeed(&["generate", "--world", world.to_str().unwrap(), "--box", "-32,32,-32:32,96,32", "--seed", "7"]);
    world
}

fn digest(world: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["digest", "--world", world.to_str().unwrap()];
    arguments.extend(more);
    succeed(&arguments).lines().last().unwrap().to_owned()
}

fn json(arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    serde_json::from_slice(&terrane(&all).stdout).unwrap()
}

fn fails(arguments: &[&str], part: &str) {
    let output = terrane(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert!(text.contains(part), "{arguments:?}: {text}");
}

#[test]
fn import_of_an_export_gives_the_same_digest_in_every_lossless_format() {
    let folder = tempfile::tempdir().unwrap();
    let world = land(folder.path());
    let within = "-32,32,-32:32,96,32";
    let expected = digest(&world, &["--box", within]);
    for name in ["part.npy", "regions"] {
        let out = folder.path().join(name);
        succeed(&["export", "--world", world.to_str().unwrap(), "--box", within, "--out", out.to_str().unwrap()]);
        let again = folder.path().join(format!("from-{name}"));
        succeed(&["import", out.to_str().unwrap(), "--world", again.to_str().unwrap()]);
        assert_eq!(digest(&again, &["--box", within]), expected, "{name}");
        let generator = json(&["info", "--world", again.to_str().unwrap()]);
        assert_eq!(generator["generator"], "void");
    }
    let side: Value = serde_json::from_slice(&fs::read(folder.path().join("part.json")).unwrap()).unwrap();
    assert_eq!(side["digest"], expected.as_str());
    assert_eq!(
        (&side["origin"], &side["axes"], &side["seed"]),
        (&serde_json::json!([-32, 32, -32]), &"yzx".into(), &7.into())
    );
    assert_eq!(side["blocks"]["0"], "air");
    assert!(!side["solid"].as_array().unwrap().is_empty() && !side["anchored"].as_array().unwrap().is_empty());
}

#[test]
fn shifted_files_join_in_one_chunk_and_existing_chunks_need_replace() {
    let folder = tempfile::tempdir().unwrap();
    let world = land(folder.path());
    let (world, out) = (world.to_str().unwrap(), folder.path().join("part.npy"));
    let out = out.to_str().unwrap();
    succeed(&["export", "--world", world, "--box", "0,60,0:20,70,20", "--out", out]);
    let joined = folder.path().join("joined");
    let joined = joined.to_str().unwrap();
    succeed(&["import", out, "--world", joined, "--at", "-7,-3,5"]);
    let whole = digest(Path::new(joined), &["--box", "-7,57,5:13,67,25"]);
    fails_with_report(&["import", out, "--world", joined], "--replace");
    assert_eq!(digest(Path::new(joined), &["--box", "-7,57,5:13,67,25"]), whole, "a refused import changes nothing");
    succeed(&["import", out, "--world", joined, "--replace", "--at", "-7,-3,5"]);
    assert_eq!(digest(Path::new(joined), &["--box", "-7,57,5:13,67,25"]), whole);
}

fn fails_with_report(arguments: &[&str], part: &str) {
    let output = terrane(arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert!(text.contains(part), "{arguments:?}: {text}");
}

#[test]
fn a_file_that_is_none_is_reported_and_the_others_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let world = land(folder.path());
    let out = folder.path().join("files");
    succeed(&[
        "export",
        "--world",
        world.to_str().unwrap(),
        "--box",
        "0,32,0:32,64,32",
        "--out",
        out.to_str().unwrap(),
    ]);
    fs::write(out.join("r.9.9.mca"), b"not a region").unwrap();
    fs::write(out.join("x.vox"), b"not a vox").unwrap();
    let into = folder.path().join("into");
    let arguments = ["import", out.to_str().unwrap(), "--world", into.to_str().unwrap()];
    fails_with_report(&arguments, "r.9.9.mca");
    let facts = json(&["info", "--world", into.to_str().unwrap()]);
    assert_eq!(facts["chunks"], 1);
}

#[test]
fn generate_goes_on_where_it_was_and_refuses_another_seed() {
    let folder = tempfile::tempdir().unwrap();
    let world = land(folder.path());
    let path = world.to_str().unwrap();
    let before = digest(&world, &[]);
    let again = json(&["generate", "--world", path, "--box", "-32,32,-32:32,96,32"]);
    assert_eq!((&again["stored"], &again["already_there"]), (&0.into(), &8.into()));
    assert_eq!(digest(&world, &[]), before);
    fails(&["generate", "--world", path, "--box", "0,0,0:1,1,1", "--seed", "8"], "seed 7");
    let other = folder.path().join("other");
    let other = other.to_str().unwrap();
    succeed(&["generate", "--world", other, "--box", "-32,64,-32:32,96,32", "--seed", "7"]);
    succeed(&["generate", "--world", other, "--box", "-32,32,-32:32,64,32", "--seed", "7"]);
    assert_eq!(digest(Path::new(other), &[]), before, "in one go or in two");
}

#[test]
fn digest_says_what_is_not_stored_and_ends_with_the_bare_hash() {
    let folder = tempfile::tempdir().unwrap();
    let world = land(folder.path());
    let output = terrane(&["digest", "--world", world.to_str().unwrap(), "--box", "-64,32,-32:32,96,32"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("4 of the 12 chunks of the box are not stored"));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last = stdout.lines().last().unwrap();
    assert!(last.len() == 32 && last.bytes().all(|b| b.is_ascii_hexdigit()), "{stdout}");
    assert_ne!(digest(&world, &[]), last);
}

#[test]
fn the_map_is_a_png_of_the_box() {
    let folder = tempfile::tempdir().unwrap();
    let world = land(folder.path());
    let out = folder.path().join("map.png");
    succeed(&["map", "--world", world.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(&out).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height), (64, 64));
    let colours: std::collections::BTreeSet<&[u8]> = pixels.chunks_exact(4).collect();
    assert!(colours.len() > 20, "{} colours", colours.len());
}

#[test]
fn wrong_use_is_answered_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing");
    let path = nothing.to_str().unwrap();
    for verb in ["digest", "info", "check"] {
        fails(&[verb, "--world", path], "is not a world");
    }
    fails(&["import", path, "--world", path], "no such file");
    assert!(!nothing.exists(), "a refused import leaves nothing behind");
    let usage = terrane(&["digest", "--world", path, "--box", "1,2,3"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("X0,Y0,Z0:X1,Y1,Z1"));
    for verb in ["new", "serve", "import", "export", "generate", "map", "digest", "info", "check"] {
        assert!(succeed(&[verb, "--help"]).contains("--world"), "{verb}");
    }
}

#[test]
fn a_box_too_large_for_one_file_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let world = land(folder.path());
    for name in ["big.npy", "big.vox"] {
        let out = folder.path().join(name);
        let (world, out_path) = (world.to_str().unwrap(), out.to_str().unwrap());
        fails(
            &["export", "--world", world, "--box", "-100000,0,-100000:100000,64,100000", "--out", out_path],
            "262144",
        );
        assert!(!out.exists(), "{name}");
    }
}

#[test]
fn region_files_that_are_there_are_kept_without_replace() {
    let folder = tempfile::tempdir().unwrap();
    let (world, out) = (land(folder.path()), folder.path().join("saves"));
    fs::create_dir(&out).unwrap();
    let foreign = out.join("r.0.0.mca");
    fs::write(&foreign, b"somebody's world").unwrap();
    let (world, out_path) = (world.to_str().unwrap(), out.to_str().unwrap());
    let arguments = ["export", "--world", world, "--box", "-32,32,-32:32,96,32", "--out", out_path, "--replace"];
    fails(&arguments[..7], "--replace");
    assert_eq!(fs::read(&foreign).unwrap(), b"somebody's world");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "nothing was written");
    succeed(&arguments);
    assert_ne!(fs::read(&foreign).unwrap(), b"somebody's world");
}

#[test]
fn a_failed_export_leaves_neither_a_file_nor_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let (world, out) = (land(folder.path()), folder.path().join("out"));
    fs::create_dir_all(out.join("a.json.part")).unwrap();
    let file = out.join("a.npy");
    fs::write(&file, b"the one before").unwrap();
    let (world, path) = (world.to_str().unwrap(), file.to_str().unwrap());
    fails(&["export", "--world", world, "--box", "0,32,0:32,64,32", "--out", path], "a.json");
    assert_eq!(fs::read(&file).unwrap(), b"the one before");
    assert!(!out.join("a.npy.part").exists());
    fs::remove_dir(out.join("a.json.part")).unwrap();
    succeed(&["export", "--world", world, "--box", "0,32,0:32,64,32", "--out", path]);
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.json", "a.npy"]);
}

#[test]
fn names_of_the_game_itself_come_in_without_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (world, out) = (land(folder.path()), folder.path().join("a.npy"));
    let within = "0,60,0:20,70,20";
    let (path, side) = (out.to_str().unwrap(), folder.path().join("a.json"));
    succeed(&["export", "--world", world.to_str().unwrap(), "--box", within, "--out", path]);
    let mut json: Value = serde_json::from_slice(&fs::read(&side).unwrap()).unwrap();
    for name in json["blocks"].as_object_mut().unwrap().values_mut() {
        *name = format!("minecraft:{}", name.as_str().unwrap()).into();
    }
    fs::write(&side, json.to_string()).unwrap();
    let again = folder.path().join("again");
    succeed(&["import", path, "--world", again.to_str().unwrap()]);
    assert_eq!(digest(&again, &["--box", within]), digest(&world, &["--box", within]));
}

#[test]
fn an_array_says_how_much_of_it_was_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (world, out) = (land(folder.path()), folder.path().join("a.npy"));
    let (world, path) = (world.to_str().unwrap(), out.to_str().unwrap());
    let output = terrane(&["export", "--world", world, "--box", "-64,32,-32:32,96,32", "--out", path]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("4 of the 12 chunks of the box are not stored"), "{text}");
}

#[test]
fn wrong_use_is_told_in_json_where_json_was_asked_for() {
    for arguments in [&["--json", "digest"][..], &["digest", "--box", "1,2,3", "--json"], &["--json"]] {
        let output = terrane(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(told["error"].as_str().is_some_and(|text| !text.starts_with("error")), "{told}");
    }
    assert!(terrane(&["digest"]).stdout.is_empty());
}

#[test]
#[cfg(unix)]
fn what_is_not_a_regular_file_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world");
    fails(&["import", "/dev/null", "--world", path.to_str().unwrap()], "not a regular file");
}

#[test]
fn real_worlds_come_back_from_their_export() {
    let Some(data) = shared() else {
        eprintln!("the real region files are not here (TERRANE_SHARED): skipped");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, columns) in [("forest-1.16.mca", 253), ("overworld-1.21.1.mca", 225)] {
        let first = folder.path().join(format!("first-{name}"));
        let file = data.join(name);
        let facts = json(&["import", file.to_str().unwrap(), "--world", first.to_str().unwrap()]);
        assert_eq!((&facts["columns"], &facts["problems"]), (&columns.into(), &serde_json::json!([])), "{facts}");
        let out = folder.path().join(format!("out-{name}"));
        succeed(&[
            "export",
            "--world",
            first.to_str().unwrap(),
            "--box",
            "-512,-64,-512:1024,320,1024",
            "--out",
            out.to_str().unwrap(),
        ]);
        let second = folder.path().join(format!("second-{name}"));
        succeed(&["import", out.to_str().unwrap(), "--world", second.to_str().unwrap()]);
        assert_eq!(digest(&first, &[]), digest(&second, &[]), "{name}");
    }
}
