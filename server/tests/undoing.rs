//! Undo on a world that is served, over the wire: what one client did goes back, what others built stays, the plan tells what then
//! happens, an undo can be undone, and one that is killed, ended or stopped is finished or taken back.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and may wait")]

mod common;

use common::{Client, Server, Undo, succeed};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use terrane_protocol::{ClientMessage, UndoPlan, UndoRefusal, UndoRequest, UndoState};
use terrane_world::step::CauseKind;
use terrane_world::undo::Rule;

fn new_world(folder: &Path, name: &str, more: &[&str]) -> PathBuf {
    let world = folder.join(name);
    succeed(&[&["new", "--world", world.to_str().unwrap(), "--seed", "7"][..], more].concat());
    world
}

fn facts(verb: &str, world: &Path, more: &[&str]) -> Value {
    let text = succeed(&[&["--json", verb, "--world", world.to_str().unwrap()][..], more].concat());
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

fn simulate(world: &Path, lines: &str, ticks: &str) {
    let edits = world.with_extension("jsonl");
    std::fs::write(&edits, lines).unwrap();
    let edits = edits.to_str().unwrap();
    succeed(&["simulate", "--world", world.to_str().unwrap(), "--edits", edits, "--ticks", ticks, "--compute", "cpu"]);
}

fn digest(world: &Path, within: &[&str]) -> String {
    facts("digest", world, within)["digest"].as_str().unwrap().to_owned()
}

fn copy(world: &Path, name: &str) -> PathBuf {
    let to = world.with_file_name(name);
    let copied = Command::new("cp").arg("-r").arg(world).arg(&to).stdout(Stdio::null()).status();
    assert!(copied.unwrap().success());
    to
}

fn stop(mut server: Server) {
    assert!(server.terminate().success(), "SIGTERM ends in good order");
}

fn request(number: u32, name: &str, undo: Option<u64>) -> UndoRequest {
    let (rule, name) = (Rule::Keep, name.to_owned());
    UndoRequest { request: number, causes: 0, rule, since_ms: 0, undo, within: None, name }
}

/// Asks, and waits for the plan with all of its ghost.
fn plan(client: &mut Client, ask: UndoRequest) -> UndoPlan {
    let number = ask.request;
    client.say(&ClientMessage::Undo(ask)).unwrap();
    client.wait_for("a plan", |client| {
        let Some(undo) = client.undos.get(&number) else { return false };
        assert!(undo.refused.is_none(), "{:?}", undo.refused);
        undo.is_whole
    });
    client.undos[&number].plan.clone().unwrap()
}

/// Has a plan done, and waits until it is. Gives its number, and how many voxels stayed.
fn act(client: &mut Client, number: u32) -> (u64, u64) {
    client.say(&ClientMessage::UndoAct { request: number, ends: false }).unwrap();
    let is_done = |undo: &Undo| {
        assert!(undo.refused.is_none(), "{:?}", undo.refused);
        undo.progress.last().is_some_and(|progress| progress.state == UndoState::Done)
    };
    client.wait_for("the end of an undo", |client| is_done(&client.undos[&number]));
    let last = client.undos[&number].progress.last().unwrap();
    assert_eq!(last.looked_at, last.of);
    (last.undo, last.stayed)
}

/// Has a plan done, and waits until some of it is.
fn begin(client: &mut Client, number: u32) {
    client.say(&ClientMessage::UndoAct { request: number, ends: false }).unwrap();
    let has_begun = |undo: &Undo| undo.progress.iter().any(|progress| progress.looked_at > 0);
    client.wait_for("some of its parts", |client| has_begun(&client.undos[&number]));
}

/// Ann's tower, and what Bob builds beside it and where its top was.
const TOWER: &str = "{\"tick\": 1, \"fill\": \"0,50,0:3,130,3\", \"block\": \"stone_bricks\", \"name\": \"Ann\"}\n";
const HUT: &str = "{\"tick\": 9, \"fill\": \"8,90,0:12,94,4\", \"block\": \"bedrock\", \"actor\": 9, \"name\": \"Bob\"}\n\
                   {\"tick\": 150, \"set\": [[0, 129, 0, \"bedrock\"]], \"actor\": 9}\n";
/// The chunks that all of it stands in.
const PLACE: [&str; 2] = ["--box", "0,32,0:32,160,32"];

#[test]
fn what_one_client_blew_up_is_put_back_around_what_another_has_built() {
    let folder = tempfile::tempdir().unwrap();
    let world = new_world(folder.path(), "world", &[]);
    simulate(&world, TOWER, "5");
    let control = new_world(folder.path(), "control", &[]);
    simulate(&control, &[TOWER, HUT].concat(), "200");

    let server = Server::start(&world, &[]);
    let mut mallory = Client::connect_as("Mallory", server.port, None).unwrap();
    let mut bob = Client::connect_as("Bob", server.port, None).unwrap();
    bob.subscribe(1, [0, 1, 0], [1, 5, 1]);
    let bedrock = bob.blocks.iter().position(|name| name == "bedrock").unwrap() as u16;
    mallory.say(&ClientMessage::Blast { sequence: 1, at: [1, 100, 1], power: 120 }).unwrap();
    bob.wait_for("the fall of the tower's top", |bob| bob.block([0, 129, 0]) == 0);
    let hut: Vec<([i32; 3], u16)> =
        (0..64).map(|index| ([8 + index % 4, 90 + index / 16, index / 4 % 4], bedrock)).collect();
    bob.edit(1, &hut).unwrap();
    bob.edit(2, &[([0, 129, 0], bedrock)]).unwrap();
    bob.wait_for("what Bob has built", |bob| bob.acknowledged == 2);
    // Whoever looks before all has landed is told to wait, and gets a plan of all of it.
    let mut olga = Client::connect_as("Olga", server.port, None).unwrap();
    let first = plan(&mut olga, request(1, "Mallory", None));
    stop(server);
    let before = digest(&world, &[]);

    let server = Server::start(&world, &[]);
    let mut olga = Client::connect_as("Olga", server.port, None).unwrap();
    let planned = plan(&mut olga, request(1, "Mallory", None));
    assert_eq!(planned, first, "a plan changes nothing");
    let causes: Vec<CauseKind> = planned.causes.iter().map(|(cause, _)| *cause).collect();
    assert!(causes.contains(&CauseKind::Blast) && causes.contains(&CauseKind::Collapse), "{causes:?}");
    assert_eq!(planned.causes.iter().map(|(_, voxels)| voxels).sum::<u64>(), planned.voxels);
    let others: Vec<(&str, u64)> = planned.others.iter().map(|other| (&other.name[..], other.voxels)).collect();
    assert_eq!((others, planned.conflicts), (vec![("Bob", 1)], 1));
    let runs = olga.undos[&1].ghost.iter().flat_map(|change| &change.runs);
    assert_eq!(runs.map(|run| u64::from(run.length)).sum::<u64>(), planned.voxels);
    let mut nobody = request(2, "Nobody", None);
    nobody.within = Some([[0, 50, 0], [3, 130, 3]]);
    olga.say(&ClientMessage::Undo(nobody)).unwrap();
    olga.wait_for("a refusal", |olga| olga.undos.get(&2).is_some_and(|undo| undo.refused.is_some()));
    let refused = olga.undos[&2].refused.clone().unwrap();
    assert!(refused.code == UndoRefusal::Nobody && refused.text.contains("Mallory"), "{refused:?}");

    plan(&mut olga, request(3, "Mallory", None));
    let (undo, stayed) = act(&mut olga, 3);
    assert_eq!(stayed, 0);
    let nothing = plan(&mut olga, request(4, "Mallory", None));
    assert_eq!(nothing.voxels, 0, "there is nothing left of it");
    stop(server);
    assert_eq!(digest(&world, &PLACE), digest(&control, &PLACE), "as if there had been no Mallory");

    // An undo of the undo.
    let server = Server::start(&world, &[]);
    let mut olga = Client::connect_as("Olga", server.port, None).unwrap();
    let back = plan(&mut olga, request(1, "", Some(undo)));
    assert_eq!(back.voxels, planned.voxels);
    assert_eq!(act(&mut olga, 1).1, 0);
    stop(server);
    assert_eq!(digest(&world, &[]), before);
    succeed(&["check", "--world", world.to_str().unwrap()]);
}

/// Ticks so slow that an undo of 64 parts is not through before it is cut.
const SLOW: &[&str] = &["--ticks", "5"];

/// A cube of 262,144 voxels in stripes in a world where nothing falls.
fn large(folder: &Path) -> PathBuf {
    let world = new_world(folder, "large", &["--generator", "void", "--physics", "off"]);
    let fill = |x: usize| {
        let (block, end) = (["stone", "sand"][x % 2], x + 1);
        format!(
            "{{\"tick\": 1, \"fill\": \"{x},64,0:{end},128,64\", \"block\": \"{block}\", \"actor\": 3, \"name\": \"Eve\"}}\n"
        )
    };
    simulate(&world, &(0..64).map(fill).collect::<String>(), "1");
    world
}

#[test]
fn an_undo_that_is_killed_in_the_middle_is_finished_by_the_verb_or_taken_back_over_the_wire() {
    let folder = tempfile::tempdir().unwrap();
    let world = large(folder.path());
    let before = digest(&world, &[]);
    let control = copy(&world, "control");
    facts("undo", &control, &["--by", "Eve"]);
    let done = digest(&control, &[]);

    let mut server = Server::start(&world, SLOW);
    let mut olga = Client::connect_as("Olga", server.port, None).unwrap();
    let planned = plan(&mut olga, request(1, "Eve", None));
    assert_eq!(planned.voxels, 64 * 64 * 64);
    assert!(olga.undos[&1].ghost.len() < 8, "a ghost has 65,536 voxels");
    begin(&mut olga, 1);
    server.kill();
    let told = *olga.undos[&1].progress.last().unwrap();
    assert!(told.state == UndoState::Going && told.looked_at < told.of, "it was not killed in the middle: {told:?}");
    // Who only reads does not believe the last part yet; whoever writes next takes it in.
    simulate(&world, "", "1");
    let wire = copy(&world, "wire");
    assert_eq!(facts("info", &world, &[])["unfinished_undos"], Value::Array(vec![told.undo.into()]));

    let rest = facts("undo", &world, &["--finish"]);
    let left = rest["put_back"].as_u64().unwrap();
    assert!(0 < left && left <= told.of - told.looked_at, "what was told to be done is on disk: {rest} {told:?}");
    assert_eq!(digest(&world, &[]), done);

    let server = Server::start(&wire, &[]);
    let mut olga = Client::connect_as("Olga", server.port, None).unwrap();
    olga.say(&ClientMessage::Undo(request(1, "Eve", None))).unwrap();
    olga.wait_for("a refusal", |olga| olga.undos.get(&1).is_some_and(|undo| undo.refused.is_some()));
    let refused = olga.undos[&1].refused.clone().unwrap();
    assert!(refused.code == UndoRefusal::Another && refused.text.contains("was cut off"), "{refused:?}");
    let back = plan(&mut olga, request(2, "", Some(told.undo)));
    assert_eq!(back.voxels, 64 * 64 * 64 - left);
    act(&mut olga, 2);
    stop(server);
    assert_eq!(facts("info", &wire, &[])["unfinished_undos"], Value::Array(vec![]));
    assert_eq!(digest(&wire, &[]), before);
}

#[test]
fn an_undo_whose_server_is_stopped_in_the_middle_can_be_finished_and_one_that_is_ended_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let world = large(folder.path());
    let before = digest(&world, &[]);
    let control = copy(&world, "control");
    facts("undo", &control, &["--by", "Eve"]);
    let done = digest(&control, &[]);

    let server = Server::start(&world, SLOW);
    let mut olga = Client::connect_as("Olga", server.port, None).unwrap();
    plan(&mut olga, request(1, "Eve", None));
    begin(&mut olga, 1);
    olga.say(&ClientMessage::UndoAct { request: 1, ends: true }).unwrap();
    let is_over = |state| [UndoState::Done, UndoState::Ended].contains(&state);
    olga.wait_for("its end", |olga| olga.undos[&1].progress.last().is_some_and(|progress| is_over(progress.state)));
    let told = *olga.undos[&1].progress.last().unwrap();
    assert!(told.state == UndoState::Ended && told.looked_at < told.of, "{told:?}");
    let back = plan(&mut olga, request(2, "", Some(told.undo)));
    assert_eq!(back.voxels, told.looked_at, "what it had put back stayed so");
    act(&mut olga, 2);

    plan(&mut olga, request(3, "Eve", None));
    begin(&mut olga, 3);
    let undo = olga.undos[&3].progress[0].undo;
    stop(server);
    // A slow disk may have kept the server until the undo was through.
    if facts("info", &world, &[])["unfinished_undos"] == Value::Array(vec![undo.into()]) {
        facts("undo", &world, &["--finish"]);
    }
    assert_eq!(digest(&world, &[]), done);
    facts("undo", &world, &["--undo", &undo.to_string()]);
    assert_eq!(digest(&world, &[]), before);
}
