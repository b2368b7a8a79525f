//! A real server under load, killed fifty times: each time it comes back with everything it had acknowledged, every
//! input whole, and nothing of what it had not heard.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod common;

use common::{Client, Server};
use std::time::{Duration, Instant};
use terrane_protocol::message::SessionId;

const KILLS: u64 = 50;
const CLIENTS: usize = 2;
/// Inputs that may be under way.
const WINDOW: u64 = 24;

/// What client `c` writes with input `n`: two voxels in two regions, above all hills.
fn voxels(c: usize, n: u64) -> [([i32; 3], u16); 2] {
    let (x, z, y) = ((n % 32) as i32, (n / 32 % 32) as i32, 256 + (n / 1024 % 32) as i32);
    let block = 1 + (n % 50) as u16;
    [([x + 32 * c as i32, y, z], block), ([x + 32 * c as i32 + 256, y, z], block)]
}

#[derive(Default)]
struct Player {
    session: Option<SessionId>,
    sent: u64,
    acknowledged: u64,
}

/// Connects a player again and checks what the world holds of its inputs.
fn come_back(server: &Server, c: usize, player: &mut Player, what: &str) -> Client {
    let mut client = Client::connect(server.port, player.session).unwrap();
    let found = client.welcome.acknowledged;
    if player.session.is_some() && player.acknowledged > 0 {
        assert!(client.welcome.resumed, "{what}: the session is known");
    }
    assert!(found >= player.acknowledged, "{what}: input {} was acknowledged, now {found} is", player.acknowledged);
    assert!(found <= player.sent, "{what}: input {found} was never sent");
    let x = c as i32;
    client.subscribe(1, [x, 8, 0], [x + 1, 9, 1]);
    let near = client.chunks.clone();
    client.subscribe(2, [x + 8, 8, 0], [x + 9, 9, 1]);
    client.chunks.extend(near);
    for n in 1..=player.sent {
        for (at, block) in voxels(c, n) {
            let expected = if n <= found { block } else { 0 };
            assert_eq!(client.block(at), expected, "{what}: input {n} of client {c}, {found} are decided");
        }
    }
    player.session = Some(client.welcome.session);
    // What was not decided is forgotten here, and sent as new inputs.
    player.sent = found;
    player.acknowledged = found;
    client
}

#[test]
fn fifty_kills_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    // Blocks are put anywhere, and have to stay there.
    common::succeed(&["new", "--world", world.to_str().unwrap(), "--physics", "off"]);
    let mut players: Vec<Player> = (0..CLIENTS).map(|_| Player::default()).collect();
    let mut random = 12_345u64;
    let mut acknowledged_in_all = 0;
    for kill in 0..KILLS {
        let mut server = Server::start(&world, &["--checkpoint", "1"]);
        let what = format!("after kill {kill}");
        let mut clients: Vec<Client> =
            players.iter_mut().enumerate().map(|(c, player)| come_back(&server, c, player, &what)).collect();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Now and then long enough for a checkpoint to be under way.
        let until = Instant::now() + Duration::from_millis(if kill % 5 == 4 { 950 } else { 60 } + (random >> 33 & 127));
        while Instant::now() < until {
            for (c, (client, player)) in clients.iter_mut().zip(&mut players).enumerate() {
                while player.sent < player.acknowledged + WINDOW {
                    player.sent += 1;
                    client.edit(player.sent, &voxels(c, player.sent)).unwrap();
                }
                client.listen().unwrap();
                player.acknowledged = client.acknowledged;
            }
        }
        server.kill();
        // What had left the server before it died still counts.
        for (client, player) in clients.iter_mut().zip(&mut players) {
            while client.listen().is_ok() {}
            player.acknowledged = client.acknowledged;
            assert!(client.refusals.is_empty(), "{:?}", client.refusals);
        }
        acknowledged_in_all = players.iter().map(|player| player.acknowledged).sum();
    }
    let server = Server::start(&world, &[]);
    players.iter_mut().enumerate().for_each(|(c, player)| drop(come_back(&server, c, player, "at the end")));
    drop(server);
    println!("{acknowledged_in_all} inputs acknowledged over {KILLS} kills");
    assert!(acknowledged_in_all > 500, "only {acknowledged_in_all} inputs were acknowledged: the load was no load");
    let checked = common::succeed(&["check", "--world", world.to_str().unwrap()]);
    assert!(checked.contains("nothing is wrong"), "{checked}");
}
