//! The served world as clients and browsers see it, by the real executable.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use common::{Client, Server, succeed, terrane};
use std::io::{Read, Write};
use std::net::TcpStream;

fn http(port: u16, request: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn two_clients_share_a_world_that_is_saved_by_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    // What is put into the air stays there.
    succeed(&["new", "--world", world.to_str().unwrap(), "--seed", "5", "--physics", "off"]);
    let mut server = Server::start(&world, &[]);
    let (mut a, mut b) = (Client::connect(server.port, None).unwrap(), Client::connect(server.port, None).unwrap());
    a.subscribe(1, [0, 8, 0], [1, 9, 1]);
    b.subscribe(1, [0, 8, 0], [1, 9, 1]);
    let stone = a.blocks.iter().position(|name| name == "stone").unwrap() as u16;
    a.edit(1, &[([3, 260, 4], stone), ([4, 260, 4], stone)]).unwrap();
    b.wait_for("the other client's edit", |b| b.block([4, 260, 4]) == stone);
    a.wait_for("the acknowledgement", |a| a.acknowledged == 1);
    a.edit(2, &[([3, 260, 4], 65_000)]).unwrap();
    a.wait_for("the refusal", |a| a.acknowledged == 2);
    assert_eq!(a.refusals, [(2, 1)]);
    assert!(server.terminate().success(), "SIGTERM ends in good order");
    a.wait_for("the farewell", |a| a.refused.is_some());
    let checked = succeed(&["check", "--world", world.to_str().unwrap()]);
    assert!(checked.contains("nothing is wrong"), "{checked}");
    let again = Server::start(&world, &[]);
    let mut c = Client::connect(again.port, None).unwrap();
    c.subscribe(1, [0, 8, 0], [1, 9, 1]);
    assert_eq!((c.block([3, 260, 4]), c.block([5, 260, 4])), (stone, 0));
    assert_eq!(c.welcome.epoch, 2, "every start raises the epoch");
}

#[test]
fn one_port_gives_the_page_the_status_and_refuses_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("world"), &[]);
    let page = http(server.port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<!doctype html>"), "{page}");
    let mut status = String::new();
    for _ in 0..50 {
        status = http(server.port, "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if status.contains("world_id") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let json = status.split("\r\n\r\n").nth(1).unwrap();
    let facts: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&facts["generator"], &facts["epoch"]), (&"terrain".into(), &1.into()), "{facts}");
    let foreign = http(server.port, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(foreign.starts_with("HTTP/1.1 4"), "a foreign name for this machine is refused: {foreign}");
}

#[test]
fn what_cannot_be_served_is_said_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    let path = world.to_str().unwrap();
    let error = |arguments: &[&str]| {
        let output = terrane(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let open = error(&["serve", "--world", path, "--listen", "0.0.0.0:0"]);
    assert!(open.contains("--open"), "{open}");
    assert!(error(&["serve", "--world", path, "--listen", "nonsense"]).contains("127.0.0.1:7777"));
    let server = Server::start(&world, &[]);
    let taken = format!("127.0.0.1:{}", server.port);
    let other = folder.path().join("other");
    assert!(error(&["serve", "--world", other.to_str().unwrap(), "--listen", &taken]).contains("can't listen"));
    let locked = error(&["serve", "--world", path, "--listen", "127.0.0.1:0"]);
    assert!(locked.contains("another process"), "{locked}");
    assert!(error(&["serve", "--world", path, "--seed", "9", "--listen", "127.0.0.1:0"]).contains("seed"));
    // Reading beside it is fine.
    assert!(succeed(&["info", "--world", path]).contains("generator  terrain 1"));
    assert!(succeed(&["check", "--world", path]).contains("nothing is wrong"));
}
