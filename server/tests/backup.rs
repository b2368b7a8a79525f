//! Backups of a server under load, restored elsewhere.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod common;

use common::{Client, Server, succeed, terrane};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let mut all = vec!["--json"];
    all.extend(arguments);
    serde_json::from_str(&succeed(&all)).unwrap()
}

fn digest(world: &Path) -> String {
    succeed(&["digest", "--world", text(world)]).lines().last().unwrap().to_owned()
}

/// What input `n` writes: a voxel in each of two regions, always the same for the same `n`.
fn voxels(n: u64) -> [([i32; 3], u16); 2] {
    let (x, z, y) = ((n % 32) as i32, (n / 32 % 32) as i32, 224 + (n / 1024 % 32) as i32);
    let block = 1 + (n % 50) as u16;
    [([x, y, z], block), ([x + 256, y, z], block)]
}

/// Inputs that may be under way.
const WINDOW: u64 = 64;

/// Sends edits until it is told to stop; gives the last one that was acknowledged.
fn load(port: u16, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let mut client = Client::connect(port, None).unwrap();
    let mut sent = 0;
    while !stop.load(Ordering::Acquire) {
        while sent < client.acknowledged + WINDOW {
            sent += 1;
            client.edit(sent, &voxels(sent)).unwrap();
        }
        client.listen().unwrap();
        acknowledged.store(client.acknowledged, Ordering::Release);
    }
    client.wait_for("the last edit", |client| client.acknowledged == sent);
    acknowledged.store(sent, Ordering::Release);
}

/// How many inputs a world holds: all of the first ones, each whole, and nothing of the later ones.
fn inputs_in(world: &Path, at_most: u64) -> u64 {
    let server = Server::start(world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    client.subscribe(1, [0, 7, 0], [1, 8, 1]);
    let near = client.chunks.clone();
    client.subscribe(2, [8, 7, 0], [9, 8, 1]);
    client.chunks.extend(near);
    let has = |n: u64| voxels(n).map(|(at, block)| client.block(at) == block);
    let held = (1..=at_most).take_while(|n| has(*n) == [true; 2]).count() as u64;
    for n in held + 1..=at_most {
        assert_eq!(voxels(n).map(|(at, _)| client.block(at)), [0; 2], "input {n} is in it, input {} is not", held + 1);
    }
    held
}

#[test]
fn a_backup_taken_under_load_and_restored_elsewhere_has_the_digest_of_its_tick() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    // Blocks are put into the air, and have to stay there.
    succeed(&["new", "--world", text(&world), "--physics", "off"]);
    succeed(&["generate", "--world", text(&world), "--box", "0,0,0:512,256,256"]);
    let mut server = Server::start(&world, &["--checkpoint", "1", "--ticks", "100"]);
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let names = ["first", "second", "third"];
    let mut taken = Vec::new();
    std::thread::scope(|scope| {
        let edits = scope.spawn(|| load(server.port, &stop, &acknowledged));
        for (n, name) in names.iter().enumerate() {
            let before = acknowledged.load(Ordering::Acquire);
            while acknowledged.load(Ordering::Acquire) < before + 100 {
                std::thread::yield_now();
                assert!(!edits.is_finished(), "the load has ended");
            }
            let (to, since) = (folder.path().join(name), n.checked_sub(1).map(|last| folder.path().join(names[last])));
            let mut arguments = vec!["backup", "--world", text(&world), "--to", text(&to)];
            arguments.extend(since.iter().flat_map(|since| ["--since", text(since)]));
            let least = acknowledged.load(Ordering::Acquire);
            let facts = json(&arguments);
            let most = acknowledged.load(Ordering::Acquire) + WINDOW;
            taken.push((facts, least, most));
        }
        stop.store(true, Ordering::Release);
        edits.join().unwrap();
    });
    assert!(server.terminate().success());
    let copied = |n: usize| taken[n].0["copied"].as_u64().unwrap();
    assert!(copied(1) < copied(0) && copied(2) < copied(0), "{taken:?}");
    for (n, (facts, least, most)) in taken.iter().enumerate() {
        let to = folder.path().join(format!("restored-{n}"));
        let (from, bases) = (folder.path().join(names[n]), names[..n].iter().map(|name| folder.path().join(name)));
        let bases: Vec<_> = bases.collect();
        let mut arguments = vec!["restore-backup", "--from", text(&from), "--to", text(&to)];
        arguments.extend(bases.iter().flat_map(|base| ["--base", text(base)]));
        let made = json(&arguments);
        for fact in ["tick", "running_digest", "digest", "chunks"] {
            assert_eq!(made[fact], facts[fact], "{fact}");
        }
        assert_eq!(digest(&to), facts["digest"].as_str().unwrap());
        let told = succeed(&["check", "--world", text(&to)]);
        assert!(told.contains("nothing is wrong"), "{told}");
        let held = inputs_in(&to, *most);
        println!("backup {n}: tick {}, {held} inputs, of {least} that had been acknowledged", made["tick"]);
        assert!((*least..=*most).contains(&held), "{held} inputs, {least} had been acknowledged");
    }
    let told = succeed(&["check", "--world", text(&world)]);
    assert!(told.contains("nothing is wrong"), "{told}");
}

#[test]
fn a_backup_is_never_written_over_anything_and_never_restored_over_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (world, file, to) = (folder.path().join("world"), folder.path().join("file"), folder.path().join("to"));
    succeed(&["generate", "--world", text(&world), "--box", "0,0,0:64,64,64"]);
    let told = succeed(&["backup", "--world", text(&world), "--to", text(&file)]);
    assert_eq!(told.lines().last().unwrap(), digest(&world));
    let fails = |arguments: &[&str], part: &str| {
        let output = terrane(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains(part), "{arguments:?}: {text}");
    };
    let before = fs::read(&file).unwrap();
    fails(&["backup", "--world", text(&world), "--to", text(&file)], "never overwritten");
    assert_eq!(fs::read(&file).unwrap(), before);
    fails(&["restore-backup", "--from", text(&file), "--to", text(&world)], "not empty");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("something"), "mine").unwrap();
    fails(&["restore-backup", "--from", text(&file), "--to", text(&to)], "it holds something");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    fs::remove_file(to.join("something")).unwrap();
    let mut bad = before;
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&file, &bad).unwrap();
    fails(&["restore-backup", "--from", text(&file), "--to", text(&to)], "damaged at byte");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "nothing is written of a damaged one");
    bad[middle] ^= 1;
    fs::write(&file, &bad).unwrap();
    let made = succeed(&["restore-backup", "--from", text(&file), "--to", text(&to)]);
    assert_eq!(made.lines().last().unwrap(), digest(&world));
    assert_eq!(digest(&to), digest(&world));
    fails(&["backup", "--world", text(&world), "--to", text(&world.join("inside"))], "in the world's own folder");
    // What a restore that was cut off has left is no world, and none is made over it.
    fs::remove_file(to.join("world.toml")).unwrap();
    fails(&["restore-backup", "--from", text(&file), "--to", text(&to)], "cut off");
    for verb in [&["new"][..], &["generate", "--box", "0,0,0:32,32,32"]] {
        fails(&[verb, &["--world", text(&to)]].concat(), "holds regions but no world.toml");
    }
}

#[test]
fn a_world_that_was_restored_knows_what_happens_from_then_on_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (world, file, to) = (folder.path().join("world"), folder.path().join("file"), folder.path().join("to"));
    succeed(&["new", "--world", text(&world), "--generator", "void", "--physics", "off"]);
    let edit = |world: &Path, what: &str| {
        succeed(&["edit", "--world", text(world), "--fill", what, "--name", "Ann"]);
    };
    edit(&world, "0,0,0:9,9,9=stone");
    let told = json(&["backup", "--world", text(&world), "--to", text(&file)]);
    let tick = told["tick"].as_u64().unwrap();
    succeed(&["restore-backup", "--from", text(&file), "--to", text(&to)]);
    let restore = |at: &str| {
        let output = terrane(&["--json", "restore", "--world", text(&to), "--at", at, "--box", "0,0,0:16,16,16"]);
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let known_from = || json(&["info", "--world", text(&to)])["history"]["known_from"].as_u64().unwrap();
    assert_eq!(known_from(), tick + 1);
    for at in ["tick:0", "1h"] {
        let (done, said) = restore(at);
        assert!(!done && said.contains(&format!("history goes back to tick {}", tick + 1)), "{at}: {said}");
    }
    let before = digest(&to);
    edit(&to, "4,4,4:12,12,12=glass");
    assert_eq!(known_from(), tick + 1, "a change does not make more of it known");
    for at in ["tick:0", "1h"] {
        let (done, said) = restore(at);
        assert!(!done && said.contains(&format!("history goes back to tick {}", tick + 1)), "{at}: {said}");
    }
    let (done, said) = restore(&format!("tick:{tick}"));
    assert!(done && said.contains("\"put_back\":512"), "{said}");
    assert_eq!(digest(&to), before);
}
