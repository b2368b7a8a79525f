//! Questions about paths on a live server: the same answers as `terrane path`, clear refusals, and fields that stay true.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Client, Server, succeed};
use serde_json::Value;
use std::fs;
use std::path::Path;
use terrane_protocol::limits::PATH_REQUESTS_MAX;
use terrane_protocol::{ClientMessage, FieldRequest, PathPart, PathRefusal, PathRequest, Wanted};
use terrane_world::path::search::End;

const FLOOR: &str = "-40,0,-40:41,1,41=stone";
/// A wall across, four high, with a gap at one end.
const WALL: &str = "-40,1,0:30,5,1=dirt";
const MODES: [&str; 5] = ["fly", "ground", "spider", "tunnel", "wide"];
const FROM: [i32; 3] = [0, 1, -5];
const TO: [i32; 3] = [0, 1, 5];

/// A floor in the air, and a wall on it.
fn wall_world(world: &Path) {
    let path = world.to_str().unwrap();
    succeed(&["new", "--world", path, "--generator", "void", "--physics", "off"]);
    succeed(&["edit", "--world", path, "--fill", FLOOR, "--fill", WALL]);
    let settings = fs::read_to_string(world.join("world.toml")).unwrap();
    let own = "\n[modes.spider]\ncost = \"walk\"\nheight = 1\nstep_up = 4\ndrop = 4\n\n[modes.wide]\ncost = \"walk\"\nwidth = 3\n";
    fs::write(world.join("world.toml"), settings + own).unwrap();
}

fn way(request: u32, mode: &str, from: [i32; 3], to: [i32; 3]) -> PathRequest {
    PathRequest { request, wanted: Wanted::Way, around: 128, mode: mode.into(), from, to }
}

fn field(request: u32, mode: &str, goal: [i32; 3], first: [i32; 3], end: [i32; 3]) -> FieldRequest {
    FieldRequest { request, mode: mode.into(), goals: vec![goal], first, end }
}

fn ask(client: &mut Client, ask: PathRequest) {
    client.say(&ClientMessage::Path(ask)).unwrap();
}

fn open(client: &mut Client, ask: FieldRequest) {
    client.say(&ClientMessage::Field(ask)).unwrap();
}

/// Waits for the whole answer.
fn answer(client: &mut Client, request: u32) -> Vec<PathPart> {
    client.wait_for("an answer", |client| {
        assert!(!client.requests_refused.contains_key(&request), "{:?}", client.requests_refused);
        client.ways.get(&request).is_some_and(|parts| parts.last().is_some_and(|part| part.last))
    });
    client.ways[&request].clone()
}

/// Waits until a field is current again, `times` in all.
fn current(client: &mut Client, request: u32, times: usize) {
    client.wait_for("a field that is current", |client| {
        assert!(!client.requests_refused.contains_key(&request), "{:?}", client.requests_refused);
        client
            .fields
            .get(&request)
            .is_some_and(|field| field.states.iter().filter(|current| **current).count() >= times)
    });
}

#[test]
fn every_mode_gets_the_way_that_the_command_line_finds() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    wall_world(&world);
    let told = |from: &str, to: &str| -> Value {
        let modes: Vec<&str> = MODES.iter().flat_map(|mode| ["--mode", mode]).collect();
        let ends = ["--json", "path", "--world", world.to_str().unwrap(), "--from", from, "--to", to];
        serde_json::from_str(&succeed(&[&ends[..], &modes].concat())).unwrap()
    };
    let (there, back) = (told("0,1,-5", "0,1,5"), told("0,1,5", "0,1,-5"));
    let server = Server::start(&world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    client.wait_for("the modes", |client| !client.modes.is_empty());
    let names: Vec<&str> = client.modes.iter().map(|mode| &*mode.name).collect();
    assert_eq!(names, MODES);
    assert_eq!(client.modes.iter().map(|mode| mode.height).collect::<Vec<_>>(), [1, 2, 1, 1, 1]);
    // All at once, and each twice: what was asked before makes no difference.
    let asked = [(&there, FROM, TO), (&back, TO, FROM), (&there, FROM, TO)];
    for (round, (_, from, to)) in (0u32..).zip(asked) {
        (0u32..).zip(MODES).for_each(|(n, mode)| ask(&mut client, way(10 * round + n, mode, from, to)));
    }
    for (round, (expected, ..)) in (0u32..).zip(asked) {
        for (n, mode) in (0u32..).zip(MODES) {
            let parts = answer(&mut client, 10 * round + n);
            let waypoints: Vec<[i32; 3]> =
                parts.iter().flat_map(|part| &part.waypoints).map(|at| at.to_array()).collect();
            let expected = &expected["ways"][n as usize];
            assert_eq!((expected["mode"].as_str(), expected["end"].as_str()), (Some(mode), Some("goal")));
            assert_eq!(serde_json::json!(waypoints), expected["waypoints"], "{mode}");
            assert_eq!((parts[0].end, parts[0].cost), (End::Goal, expected["cost"].as_u64().unwrap()), "{mode}");
            assert_eq!(parts[0].searched, expected["searched"].as_u64().unwrap(), "{mode}");
        }
    }
    for (n, mode) in (0u32..).zip(MODES) {
        ask(&mut client, PathRequest { wanted: Wanted::Reachable, ..way(100 + n, mode, FROM, TO) });
        let parts = answer(&mut client, 100 + n);
        assert_eq!((parts.len(), parts[0].end, parts[0].cost), (1, End::Goal, 0), "{mode}");
        assert!(parts[0].waypoints.is_empty());
    }
    // In a box that ends where the wall does there is no way around it.
    ask(&mut client, PathRequest { around: 2, ..way(200, "ground", [-20, 1, -5], [-20, 1, 5]) });
    assert_eq!(answer(&mut client, 200)[0].end, End::Border, "a way may lead around it further out");
}

#[test]
fn an_edit_that_is_acknowledged_is_seen_by_the_next_question() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    wall_world(&world);
    let server = Server::start(&world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    ask(&mut client, way(1, "ground", FROM, TO));
    let around = answer(&mut client, 1)[0].cost;
    client.edit(1, &[([0, 1, 0], 0), ([0, 2, 0], 0)]).unwrap();
    client.wait_for("the acknowledgement", |client| client.acknowledged == 1);
    ask(&mut client, way(2, "ground", FROM, TO));
    let through = answer(&mut client, 2)[0].cost;
    assert_eq!((around > 100, through), (true, 20), "around: {around}");
    let dirt = client.blocks.iter().position(|name| name == "dirt").unwrap() as u16;
    client.edit(2, &[([0, 1, 0], dirt), ([0, 2, 0], dirt)]).unwrap();
    client.wait_for("the acknowledgement", |client| client.acknowledged == 2);
    ask(&mut client, way(3, "ground", FROM, TO));
    assert_eq!(answer(&mut client, 3)[0].cost, around);
    ask(&mut client, PathRequest { wanted: Wanted::Reachable, ..way(4, "ground", FROM, TO) });
    assert!(answer(&mut client, 4)[0].tick >= answer(&mut client, 3)[0].tick);
}

#[test]
fn what_can_not_be_answered_is_refused_with_its_reason_and_the_connection_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    wall_world(&world);
    let server = Server::start(&world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    let (min, max) = ([-8, 0, -8], [8, 8, 8]);
    let ways = [
        (way(1, "crawl", FROM, TO), PathRefusal::Mode, "there are fly, ground, spider, tunnel, wide"),
        (way(2, "fly", [0, 5_000, 0], TO), PathRefusal::OutsideWorld, "5000"),
        (way(3, "ground", [0, 0, -5], TO), PathRefusal::StartBlocked, "stone is in the way"),
        (way(4, "ground", FROM, [0, 9, 5]), PathRefusal::GoalBlocked, "nothing to stand on"),
        (way(5, "fly", FROM, [0, 0, 5]), PathRefusal::GoalBlocked, "0,0,5 is no place for mode fly: stone"),
        (way(6, "fly", FROM, [100_000, 1, 0]), PathRefusal::TooFar, "16384 is the most"),
        (PathRequest { around: u32::MAX, ..way(7, "fly", FROM, TO) }, PathRefusal::TooFar, "chunks"),
        (
            PathRequest { wanted: Wanted::Reachable, ..way(8, "wide", FROM, [0, 1, 0]) },
            PathRefusal::GoalBlocked,
            "dirt",
        ),
    ];
    let fields = [
        (field(21, "crawl", TO, min, max), PathRefusal::Mode, "crawl"),
        (field(22, "fly", TO, min, [8, 0, 8]), PathRefusal::Box, "empty"),
        (field(23, "fly", TO, [-400, 0, -400], [400, 64, 400]), PathRefusal::Box, "512 is the most"),
        (field(24, "fly", TO, [0, 0, 0], [8, 4_000, 8]), PathRefusal::OutsideWorld, "3999"),
        (field(25, "fly", [0, -9_000, 0], min, max), PathRefusal::OutsideWorld, "-9000"),
        (field(26, "fly", [9, 1, 0], min, max), PathRefusal::GoalOutsideBox, "9,1,0"),
        (field(27, "ground", [0, 0, 3], min, max), PathRefusal::GoalBlocked, "stone is in the way"),
    ];
    ways.iter().for_each(|(asked, ..)| ask(&mut client, asked.clone()));
    fields.iter().for_each(|(asked, ..)| open(&mut client, asked.clone()));
    let expected = ways.iter().map(|(asked, code, part)| (asked.request, code, part));
    for (request, code, part) in expected.chain(fields.iter().map(|(asked, code, part)| (asked.request, code, part))) {
        client.wait_for("a refusal", |client| client.requests_refused.contains_key(&request));
        let refused = &client.requests_refused[&request];
        assert_eq!(refused.code, *code, "request {request}: {}", refused.text);
        assert!(refused.text.contains(part), "request {request}: {}", refused.text);
    }
    // What was refused is open no more: its number can be used again.
    client.requests_refused.clear();
    ask(&mut client, way(1, "ground", FROM, TO));
    assert_eq!(answer(&mut client, 1)[0].end, End::Goal);
    assert!(client.refused.is_none());
}

#[test]
fn too_many_requests_are_refused_and_a_cancelled_one_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    wall_world(&world);
    let server = Server::start(&world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    let most = PATH_REQUESTS_MAX as u32;
    (0..most).for_each(|n| open(&mut client, field(n, "fly", TO, [0, 1, 1], [8, 8, 8])));
    ask(&mut client, way(most, "ground", FROM, TO));
    client.wait_for("the refusal", |client| client.requests_refused.contains_key(&most));
    assert_eq!(client.requests_refused[&most].code, PathRefusal::TooManyRequests);
    client.say(&ClientMessage::Cancel { request: 3 }).unwrap();
    client.wait_for("the end of the field", |client| client.requests_refused.contains_key(&3));
    assert_eq!(client.requests_refused[&3].code, PathRefusal::Cancelled);
    ask(&mut client, way(3, "ground", FROM, TO));
    client.requests_refused.clear();
    assert_eq!(answer(&mut client, 3)[0].end, End::Goal);
    current(&mut client, most - 1, 1);
    // Another session has its own requests, and a question that is called off ends once, with an answer or without.
    let mut other = Client::connect(server.port, None).unwrap();
    ask(&mut other, way(7, "ground", FROM, TO));
    other.say(&ClientMessage::Cancel { request: 7 }).unwrap();
    other.say(&ClientMessage::Cancel { request: 8 }).unwrap();
    ask(&mut other, way(9, "ground", FROM, TO));
    answer(&mut other, 9);
    let ends = (other.ways.contains_key(&7), other.requests_refused.contains_key(&7));
    assert!(ends == (true, false) || ends == (false, true), "{ends:?}");
}

/// A field as it is solved now, by asking for it anew.
fn anew(client: &mut Client, request: u32, mode: &str) {
    open(client, field(request, mode, TO, [-40, 0, -40], [41, 16, 41]));
    current(client, request, 1);
}

fn assert_same(client: &Client, a: u32, b: u32) {
    let (a, b) = (&client.fields[&a].chunks, &client.fields[&b].chunks);
    assert!(a.keys().eq(b.keys()) && a.len() > 4);
    for (pos, chunk) in a {
        assert!(chunk.moves == b[pos].moves && chunk.costs == b[pos].costs, "chunk {pos} differs");
    }
}

#[test]
fn a_field_is_stale_after_an_edit_and_then_what_a_new_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    wall_world(&world);
    let server = Server::start(&world, &[]);
    let (mut client, mut digger) =
        (Client::connect(server.port, None).unwrap(), Client::connect(server.port, None).unwrap());
    let modes = ["ground", "tunnel", "wide"];
    (0u32..).zip(modes).for_each(|(n, mode)| open(&mut client, field(n, mode, TO, [-40, 0, -40], [41, 16, 41])));
    (0..3).for_each(|n| current(&mut client, n, 1));
    let (first, heard) = (client.fields[&0].chunks.clone(), client.fields[&0].chunks_heard);
    let dirt = digger.blocks.iter().position(|name| name == "dirt").unwrap() as u16;
    // A gap, the same shut, a hole in the floor, and a change that nobody can walk to.
    let edits: [&[([i32; 3], u16)]; 4] = [
        &[([0, 1, 0], 0), ([0, 2, 0], 0)],
        &[([0, 1, 0], dirt), ([0, 2, 0], dirt)],
        &[([3, 0, 3], 0), ([-9, 4, 0], 0)],
        &[([31, 15, 32], dirt)],
    ];
    for (sequence, edit) in (1u64..).zip(edits) {
        digger.edit(sequence, edit).unwrap();
        (0..3).for_each(|n| current(&mut client, n, 1 + sequence as usize));
        for (n, mode) in (0u32..).zip(modes) {
            let states = &client.fields[&n].states;
            assert_eq!(*states, [true, false].repeat(sequence as usize + 1)[..states.len()], "current, stale, current");
            let request = 100 + 10 * sequence as u32 + n;
            anew(&mut client, request, mode);
            assert_same(&client, n, request);
            client.say(&ClientMessage::Cancel { request }).unwrap();
            client.wait_for("its end", |client| client.requests_refused.contains_key(&request));
        }
        if sequence == 2 {
            let now = &client.fields[&0].chunks;
            assert!(first.iter().all(|(pos, chunk)| chunk.costs == now[pos].costs && chunk.moves == now[pos].moves));
        }
    }
    let again = client.fields[&0].chunks_heard - heard;
    assert!(again < 3 * first.len(), "{again} of {} chunks came again: only what differs does", first.len());
}

#[test]
fn a_client_that_comes_back_asks_again_and_what_it_left_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    wall_world(&world);
    let server = Server::start(&world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    (0..PATH_REQUESTS_MAX as u32).for_each(|n| open(&mut client, field(n, "ground", TO, [-8, 0, 1], [8, 8, 8])));
    current(&mut client, 0, 1);
    let session = client.welcome.session;
    drop(client);
    let mut client = Client::connect(server.port, Some(session)).unwrap();
    assert!(client.welcome.resumed);
    (0..PATH_REQUESTS_MAX as u32).for_each(|n| open(&mut client, field(n, "ground", TO, [-8, 0, 1], [8, 8, 8])));
    current(&mut client, PATH_REQUESTS_MAX as u32 - 1, 1);
    assert!(client.requests_refused.is_empty(), "{:?}", client.requests_refused);
}

#[test]
fn long_searches_hold_up_neither_ticks_nor_edits() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    let path = world.to_str().unwrap();
    succeed(&["new", "--world", path, "--generator", "void", "--physics", "off"]);
    // A cell that nobody gets into, in much air: it takes seconds to give up on a way to it.
    succeed(&["edit", "--world", path, "--fill", "-3,-3,-3:4,4,4=stone", "--fill", "-1,-1,-1:2,2,2=air"]);
    let server = Server::start(&world, &[]);
    let mut client = Client::connect(server.port, None).unwrap();
    let (cell, outside) = ([0; 3], [100, 0, 0]);
    (0..20).for_each(|request| ask(&mut client, way(request, "fly", outside, cell)));
    for sequence in 1..=3 {
        client.edit(sequence, &[([50, 0, 0], sequence as u16)]).unwrap();
        client.wait_for("the acknowledgement", |client| client.acknowledged == sequence);
    }
    assert!(client.ways.len() < 20, "edits were decided only when every search had ended");
    (1..20).for_each(|request| client.say(&ClientMessage::Cancel { request }).unwrap());
    client.wait_for("the end of what had not begun", |client| client.requests_refused.len() + client.ways.len() >= 19);
    // Whether there is a way is known at once: the cell is soon full.
    ask(&mut client, PathRequest { wanted: Wanted::Reachable, ..way(30, "fly", outside, cell) });
    let parts = answer(&mut client, 30);
    assert_eq!(parts[0].end, End::Unreachable);
    assert!(parts[0].searched < 200, "{} voxels", parts[0].searched);
}
