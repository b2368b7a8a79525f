//! Packed worlds by the real executable: the same content in fewer bytes, and a server that packs what is cold.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod common;

use common::{Client, Server, shared, succeed};
use fastnbt::Value as Nbt;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// Regions in slots, their bytes, packed regions, their bytes.
fn sizes(world: &Path) -> [u64; 4] {
    let facts = json(&["info", "--world", text(world)]);
    ["regions", "region_bytes", "packed_regions", "packed_bytes"].map(|name| facts[name].as_u64().unwrap())
}

fn checked(world: &Path) {
    let told = succeed(&["check", "--world", text(world)]);
    assert!(told.contains("nothing is wrong"), "{told}");
}

/// Every column of a region file as its NBT, unpacked.
fn columns(mca: &[u8]) -> Vec<Vec<u8>> {
    let mut columns = Vec::new();
    for entry in mca[..4096].chunks_exact(4) {
        let sector = u32::from_be_bytes([0, entry[0], entry[1], entry[2]]) as usize;
        if sector > 0 {
            let at = sector * 4096;
            let length = u32::from_be_bytes(mca[at..at + 4].try_into().unwrap()) as usize;
            assert_eq!(mca[at + 4], 2, "zlib");
            let mut nbt = Vec::new();
            flate2::read::ZlibDecoder::new(&mca[at + 5..at + 4 + length]).read_to_end(&mut nbt).unwrap();
            columns.push(nbt);
        }
    }
    columns
}

/// What is left of a column's sections if only block states and palettes are kept.
fn only_blocks(nbt: &[u8]) -> Vec<u8> {
    let mut root: HashMap<String, Nbt> = fastnbt::from_bytes(nbt).unwrap();
    let Some(Nbt::Compound(mut level)) = root.remove("Level") else { panic!("a column of 1.16") };
    let Some(Nbt::List(sections)) = level.remove("Sections") else { panic!("it has sections") };
    let keep = |section: Nbt| {
        let Nbt::Compound(mut section) = section else { panic!("a section is a compound") };
        section.retain(|name, _| ["Y", "Palette", "BlockStates"].contains(&name.as_str()));
        section.contains_key("BlockStates").then_some(Nbt::Compound(section))
    };
    let sections = Nbt::List(sections.into_iter().filter_map(keep).collect());
    let level = Nbt::Compound(HashMap::from([("Sections".to_owned(), sections)]));
    fastnbt::to_bytes(&HashMap::from([("Level".to_owned(), level)])).unwrap()
}

fn zlib6(bytes: &[u8]) -> usize {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

fn bytes_below(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn the_packed_forest_is_smaller_than_its_mca_and_than_its_blocks_alone_by_zlib_6() {
    let Some(file) = shared().map(|data| data.join("forest-1.16.mca")) else {
        return eprintln!("the real region files are not here (TERRANE_SHARED): skipped");
    };
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("forest");
    succeed(&["import", text(&file), "--world", text(&world), "--packed"]);
    let [regions, _, packed, _] = sizes(&world);
    assert_eq!((regions, packed), (0, 8));
    let bytes = bytes_below(&world.join("regions"));
    let mca = fs::read(&file).unwrap();
    let blocks: usize = columns(&mca).iter().map(|nbt| zlib6(&only_blocks(nbt))).sum();
    println!(
        "{bytes} bytes packed: {:.3} of the .mca ({}), {:.3} of its blocks by zlib 6 ({blocks})",
        bytes as f64 / mca.len() as f64,
        mca.len(),
        bytes as f64 / blocks as f64
    );
    assert!(bytes < mca.len() as u64);
    assert!(bytes < blocks as u64);
    checked(&world);
}

#[test]
fn a_packed_world_is_no_larger_than_the_same_content_as_mca_files() {
    let Some(data) = shared() else {
        return eprintln!("the real region files are not here (TERRANE_SHARED): skipped");
    };
    let folder = tempfile::tempdir().unwrap();
    for name in ["forest-1.16.mca", "overworld-1.21.1.mca"] {
        let (world, out) = (folder.path().join(format!("world-{name}")), folder.path().join(format!("out-{name}")));
        let facts = json(&["import", text(&data.join(name)), "--world", text(&world), "--packed"]);
        assert_eq!(facts["problems"], serde_json::json!([]));
        let within = "-512,-64,-512:1024,320,1024";
        succeed(&["export", "--world", text(&world), "--box", within, "--out", text(&out)]);
        let (packed, mca) = (bytes_below(&world.join("regions")), bytes_below(&out));
        println!("{name}: {packed} bytes packed, {mca} as .mca of blocks alone, {:.3}", packed as f64 / mca as f64);
        assert!(packed <= mca, "{name}");
    }
}

/// What verbs make of a world: its digest, an export of it and a picture.
fn seen(world: &Path, folder: &Path, name: &str) -> (String, Vec<u8>, Vec<u8>) {
    let (array, map) = (folder.join(format!("{name}.npy")), folder.join(format!("{name}.png")));
    succeed(&["export", "--world", text(world), "--box", "-40,30,-40:70,90,70", "--out", text(&array)]);
    succeed(&["map", "--world", text(world), "--out", text(&map)]);
    (digest(world), fs::read(array).unwrap(), fs::read(map).unwrap())
}

#[test]
fn every_verb_gives_the_same_of_a_world_before_it_is_packed_while_it_is_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    let within = "-64,0,-64:128,128,128";
    // What is put into the air has to stay there.
    succeed(&["new", "--world", text(&world), "--seed", "7", "--physics", "off"]);
    succeed(&["generate", "--world", text(&world), "--box", within]);
    let before = seen(&world, folder.path(), "before");
    let [regions, region_bytes, ..] = sizes(&world);
    let told = json(&["pack", "--world", text(&world)]);
    let [left, _, packed, packed_bytes] = sizes(&world);
    assert_eq!((left, packed), (0, regions));
    assert_eq!((&told["before"], &told["after"]), (&region_bytes.into(), &packed_bytes.into()));
    assert!(packed_bytes < region_bytes);
    assert!(seen(&world, folder.path(), "packed") == before);
    checked(&world);
    succeed(&["edit", "--world", text(&world), "--set", "3,120,3=stone"]);
    assert_eq!(sizes(&world)[0], 1, "what is changed is unpacked");
    succeed(&["edit", "--world", text(&world), "--set", "3,120,3=air"]);
    let again = json(&["pack", "--world", text(&world)]);
    assert_eq!(again["regions"], 1);
    let told = json(&["pack", "--unpack", "--world", text(&world)]);
    assert_eq!((&told["regions"], sizes(&world)[2]), (&regions.into(), 0));
    assert!(seen(&world, folder.path(), "after") == before);
    checked(&world);
    let straight = folder.path().join("straight");
    succeed(&["generate", "--world", text(&straight), "--box", "-64,0,-64:64,64,64", "--seed", "7", "--packed"]);
    succeed(&["generate", "--world", text(&straight), "--box", within, "--packed"]);
    assert_eq!((digest(&straight), sizes(&straight)[0]), (before.0, 0));
}

fn files(world: &Path, end: &str) -> usize {
    let names = fs::read_dir(world.join("regions")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(end)).count()
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A world whose regions are cold after a fraction of a second.
fn soon_cold(folder: &Path) -> PathBuf {
    let world = folder.join("world");
    succeed(&["new", "--world", text(&world), "--physics", "off"]);
    let settings = fs::read_to_string(world.join("world.toml")).unwrap();
    assert!(settings.contains("after_minutes = 30\n"), "{settings}");
    let soon = settings.replace("after_minutes = 30\n", "after_minutes = 0.005\n");
    fs::write(world.join("world.toml"), soon).unwrap();
    world
}

#[test]
fn a_server_packs_what_nobody_touches_and_goes_on_with_it_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let world = soon_cold(folder.path());
    succeed(&["generate", "--world", text(&world), "--box", "0,0,0:256,256,128"]);
    let before = digest(&world);
    let mut server = Server::start(&world, &["--checkpoint", "1"]);
    wait_for("packing", || files(&world, ".trr") == 0);
    assert_eq!(digest(&world), before, "read beside the server");
    let mut client = Client::connect(server.port, None).unwrap();
    client.subscribe(1, [0, 0, 0], [8, 8, 4]);
    client.edit(1, &[([3, 200, 3], 5)]).unwrap();
    client.wait_for("the edit", |client| client.acknowledged == 1);
    assert_eq!(client.block([3, 200, 3]), 5);
    wait_for("unpacking", || files(&world, ".trr") == 1);
    wait_for("packing again", || files(&world, ".trr") == 0);
    client.edit(2, &[([3, 200, 3], 0), ([200, 200, 3], 7)]).unwrap();
    client.wait_for("the second edit", |client| client.acknowledged == 2);
    assert_eq!(client.block([200, 200, 3]), 7);
    client.edit(3, &[([200, 200, 3], 0)]).unwrap();
    client.wait_for("the third edit", |client| client.acknowledged == 3);
    // Killed at whatever it does just now; the next start has to find the same.
    server.kill();
    let mut server = Server::start(&world, &["--checkpoint", "1"]);
    wait_for("packing after a kill", || files(&world, ".trr") == 0);
    assert!(server.terminate().success());
    assert_eq!(digest(&world), before);
    checked(&world);
}
