//! `terrane path`: ways between two voxels, in words, as JSON and as a picture.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{succeed, terrane};
use serde_json::Value;
use std::fs;

const WORLD: &str = "-40,0,-40:41,1,41=stone";
/// A wall across, four high, with a gap at one end.
const WALL: &str = "-40,1,0:30,5,1=dirt";

#[test]
fn every_mode_has_its_own_way_around_over_and_through_a_wall() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    let path = world.to_str().unwrap();
    succeed(&["new", "--world", path, "--generator", "void", "--physics", "off"]);
    succeed(&["edit", "--world", path, "--fill", WORLD, "--fill", WALL]);
    let settings = fs::read_to_string(world.join("world.toml")).unwrap();
    fs::write(
        world.join("world.toml"),
        settings + "\n[modes.spider]\ncost = \"walk\"\nheight = 1\nstep_up = 4\ndrop = 4\n\n[modes.wide]\ncost = \"walk\"\nwidth = 3\n",
    )
    .unwrap();
    let picture = folder.path().join("way.png");
    let ask = |modes: &[&str], more: &[&str]| -> Vec<Value> {
        let modes: Vec<&str> = modes.iter().flat_map(|mode| ["--mode", mode]).collect();
        let ends = ["--json", "path", "--world", path, "--from", "0,1,-5", "--to", "0,1,5"];
        let told: Value = serde_json::from_str(&succeed(&[&ends[..], &modes, more].concat())).unwrap();
        told["ways"].as_array().unwrap().clone()
    };
    let ways = ask(&["ground", "fly", "tunnel", "spider", "wide"], &["--map", picture.to_str().unwrap()]);
    let cost = |n: usize| ways[n]["cost"].as_u64().unwrap();
    assert!(ways.iter().all(|way| way["end"] == "goal"), "{ways:?}");
    let limit = |best: u64| best..=best * 21 / 20;
    assert!(limit(2 * (10 + 2 * 30)).contains(&cost(0)), "around: {}", cost(0));
    assert!(limit(10 + 2 * 4).contains(&cost(1)), "over: {}", cost(1));
    assert!(limit(9 + 4).contains(&cost(2)), "through one block of dirt: {}", cost(2));
    assert!(cost(3) < cost(0), "a spider steps over it: {}", cost(3));
    assert!(cost(4) >= cost(0), "who is wide has the longest way: {}", cost(4));
    let [first, last] =
        [0, 1].map(|n| ways[1]["waypoints"][n * (ways[1]["waypoints"].as_array().unwrap().len() - 1)].clone());
    assert_eq!((first, last), (serde_json::json!([0, 1, -5]), serde_json::json!([0, 1, 5])));
    let png = fs::read(&picture).unwrap();
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert!(png.starts_with(b"\x89PNG") && size(16) > 300 && size(20) > size(16) / 2, "{}×{}", size(16), size(20));
}

#[test]
fn where_there_is_no_way_it_says_so_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    let path = world.to_str().unwrap();
    succeed(&["new", "--world", path, "--generator", "void", "--physics", "off"]);
    succeed(&["edit", "--world", path, "--fill", WORLD, "--fill", "-40,1,0:41,5,1=bricks"]);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--from", "0,1,-5", "--to", "0,1,5"], &["ground: there is no way"]),
        (&["--from", "0,1,-5", "--to", "0,1,5", "--mode", "crawl"], &["crawl", "fly, ground, tunnel"]),
        (&["--from", "0,0,-5", "--to", "0,1,5"], &["0,0,-5 is no place for mode ground: stone is in the way"]),
        (&["--from", "0,1,-5", "--to", "0,9,5"], &["0,9,5 is no place", "nothing to stand on"]),
    ];
    for (more, parts) in cases {
        let output = terrane(&[&["path", "--world", path][..], more].concat());
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{more:?}: {text}");
    }
}
