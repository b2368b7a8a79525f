//! The loop with real sockets: what it serves, what it refuses, and what it holds.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may, and need threads and a clock")]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use terrane_net::{
    Asset, Cache, CloseReason, Config, ConnectionId, Handler, Opened, Shell, ShellError, StatusHandle, Transport, Waker,
};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

const LOOPBACK: &str = "127.0.0.1:0";

fn page() -> Box<terrane_net::http::Page> {
    let index = Asset::new("text/html; charset=utf-8", b"<title>Terrane</title>"[..].to_vec(), Cache::Revalidate);
    let large = Asset::new("text/javascript", vec![b'x'; 5 << 20], Cache::Immutable);
    Box::new(move |path| match path {
        "/" => Some(index.clone()),
        "/large.js" => Some(large.clone()),
        _ => None,
    })
}

/// Sends back what comes, and takes no more than it may hold.
#[derive(Default)]
struct Echo {
    pending: BTreeMap<ConnectionId, usize>,
    to_send: Vec<(ConnectionId, Vec<u8>)>,
    to_resume: Vec<ConnectionId>,
    opened: Vec<Opened>,
    closed: Vec<CloseReason>,
    held_most: usize,
}

const ECHO_BYTES_MAX: usize = 256 << 10;

impl Handler for Echo {
    fn opened(&mut self, opened: Opened) {
        self.pending.insert(opened.id, 0);
        self.opened.push(opened);
    }
    fn received(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let pending = self.pending.get_mut(&id).unwrap();
        let taken = bytes.len().min(ECHO_BYTES_MAX - *pending);
        *pending += taken;
        self.held_most = self.held_most.max(*pending);
        if taken > 0 {
            self.to_send.push((id, bytes[..taken].to_vec()));
        }
        taken
    }
    fn flushed(&mut self, id: ConnectionId, bytes: usize, _room_bytes: usize) {
        *self.pending.get_mut(&id).unwrap() -= bytes;
        self.to_resume.push(id);
    }
    fn closed(&mut self, id: ConnectionId, reason: CloseReason) {
        self.pending.remove(&id).unwrap();
        self.closed.push(reason);
    }
}

impl Echo {
    fn act(&mut self, shell: &mut Shell) {
        for (id, bytes) in self.to_send.drain(..) {
            shell.send(id, &bytes);
        }
        self.to_resume.drain(..).for_each(|id| shell.resume(id));
    }
}

/// An echo server on its own thread.
struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Waker,
    status: StatusHandle,
    count: Arc<AtomicUsize>,
    echo: Arc<Mutex<Echo>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        Self::with(Config::new(LOOPBACK.parse().unwrap()))
    }

    fn with(config: Config) -> Self {
        let mut shell = Shell::bind(config, page()).unwrap();
        let (address, waker, status) = (shell.local_addr(), shell.waker(), shell.status_handle());
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let echo = Arc::new(Mutex::new(Echo::default()));
        let (stopped, counted, shared) = (Arc::clone(&stop), Arc::clone(&count), Arc::clone(&echo));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let mut echo = shared.lock().unwrap();
                shell.poll(start.elapsed(), Some(Duration::from_millis(5)), &mut *echo).unwrap();
                echo.act(&mut shell);
                counted.store(shell.connection_count(), Ordering::Relaxed);
            }
        });
        Self { address, stop, waker, status, count, echo, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    }

    fn ask(&self, request: &str) -> String {
        let mut socket = self.connect();
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, path: &str, headers: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address))
    }

    fn web_socket(&self) -> WebSocket<TcpStream> {
        tungstenite::client(format!("ws://{}/ws", self.address), self.connect()).unwrap().0
    }

    fn wait_for_count(&self, count: usize) {
        let start = Instant::now();
        while self.count.load(Ordering::Relaxed) != count {
            assert!(start.elapsed() < Duration::from_secs(10), "{} connections", self.count.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake().unwrap();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn noise(count: usize) -> Vec<u8> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn echo_over_tcp(socket: &TcpStream, bytes: &[u8]) {
    let (mut writer, data) = (socket.try_clone().unwrap(), bytes.to_vec());
    let sender = std::thread::spawn(move || writer.write_all(&data).unwrap());
    let mut back = vec![0; bytes.len()];
    (&*socket).read_exact(&mut back).unwrap();
    sender.join().unwrap();
    assert!(back == bytes);
}

#[test]
fn frames_over_tcp_come_back_in_order_in_drips_and_in_floods() {
    let server = Server::start();
    let mut socket = server.connect();
    for byte in b"TRNE and more" {
        socket.write_all(&[*byte]).unwrap();
    }
    let mut back = [0; 13];
    socket.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"TRNE and more");
    echo_over_tcp(&socket, &noise(20 << 20));
    let echo = server.echo.lock().unwrap();
    assert_eq!(echo.opened[0].transport, Transport::Tcp);
    assert!(echo.held_most <= ECHO_BYTES_MAX);
}

#[test]
fn web_socket_messages_come_back_whole_in_parts_and_in_drips() {
    let server = Server::start();
    let mut socket = server.web_socket();
    for size in [0usize, 1, 125, 126, 65_535, 65_536, 100_000] {
        let bytes = noise(size);
        socket.send(Message::binary(bytes.clone())).unwrap();
        let mut back = Vec::new();
        while back.len() < size {
            back.extend(socket.read().unwrap().into_data());
        }
        assert!(back == bytes);
    }
    socket.send(Message::Ping(b"here?"[..].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"here?"[..].into()));

    // One message in two fragments with a ping between them, one byte at a time, by hand (mask 0).
    let raw = [&[0x02, 0x82, 0, 0, 0, 0, b'a', b'b'][..], &[0x89, 0x80, 0, 0, 0, 0], &[0x80, 0x81, 0, 0, 0, 0, b'c']];
    for byte in raw.concat() {
        socket.get_mut().write_all(&[byte]).unwrap();
    }
    let mut back = Vec::new();
    while back.len() < 3 {
        match socket.read().unwrap() {
            Message::Binary(bytes) => back.extend(bytes),
            Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(back, b"abc");
    assert_eq!(server.echo.lock().unwrap().opened[0].transport, Transport::WebSocket);
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);
    server.wait_for_count(0);
    assert_eq!(server.echo.lock().unwrap().closed, [CloseReason::Peer]);
}

#[test]
fn text_and_messages_that_are_too_long_close_a_web_socket_with_a_reason() {
    let server = Server::start();
    for (message, code) in
        [(Message::text("hello"), CloseCode::Unsupported), (Message::binary(noise(200_000)), CloseCode::Size)]
    {
        let mut socket = server.web_socket();
        let _ = socket.send(message);
        let Ok(Message::Close(Some(frame))) = socket.read() else { panic!("no reason") };
        assert_eq!(frame.code, code);
        drop(socket);
    }
    server.wait_for_count(0);
    assert!(server.echo.lock().unwrap().closed.iter().all(|reason| matches!(reason, CloseReason::WebSocket(_))));
}

#[test]
fn the_page_and_the_status_are_served() {
    let server = Server::start();
    let answer = server.get("/?query", "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n<title>Terrane</title>"), "{answer}");
    for header in ["Content-Type: text/html; charset=utf-8", "default-src 'self'", "nosniff", "Content-Length: 22"] {
        assert!(answer.contains(header), "{header} in {answer}");
    }
    let tag = answer.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap();
    let again = server.get("/", &format!("If-None-Match: {tag}\r\n"));
    assert!(again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"), "{again}");
    let head = server.ask(&format!("HEAD / HTTP/1.1\r\nHost: {}\r\n\r\n", server.address));
    assert!(head.contains("Content-Length: 22") && head.ends_with("\r\n\r\n"), "{head}");

    server.status.set(br#"{"tick":7}"#.to_vec());
    let status = server.get("/status", "");
    assert!(status.contains("application/json") && status.contains("no-store"), "{status}");
    assert!(status.ends_with("{\"tick\":7}"), "{status}");

    let large = server.get("/large.js", "");
    assert!(large.contains("immutable") && large.len() > 5 << 20);
    assert!(server.get("/nothing", "").starts_with("HTTP/1.1 404 "));
    server.wait_for_count(0);
    assert!(server.echo.lock().unwrap().opened.is_empty());
}

const KEY: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn other_sites_and_broken_requests_are_refused() {
    let server = Server::start();
    let upgrade = |headers: &str| server.get("/ws", &format!("{KEY}{headers}"));
    let long = format!("Cookie: {}\r\n", "x".repeat(20_000));
    let many = "X: y\r\n".repeat(100);
    let cases = [
        (upgrade("Origin: http://evil.example\r\n"), "403"),
        (upgrade("Origin: null\r\n"), "403"),
        (
            server.ask(&format!(
                "GET /ws HTTP/1.1\r\nHost: localhost:7802\r\n{KEY}Origin: http://localhost:9999\r\n\r\n"
            )),
            "403",
        ),
        (server.ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "403"),
        (
            server.ask(&format!("GET /ws HTTP/1.1\r\nHost: evil.example\r\n{KEY}Origin: http://evil.example\r\n\r\n")),
            "403",
        ),
        (server.ask("GET / HTTP/1.1\r\n\r\n"), "400"),
        (server.ask("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"), "400"),
        (server.ask("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "405"),
        (server.ask("POST /ws HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"), "405"),
        (server.ask("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"), "400"),
        (server.ask("NONSENSE\r\n\r\n"), "400"),
        (server.get("/", &long), "431"),
        (server.get("/", &many), "431"),
        (server.get("/ws", ""), "426"),
        (server.get("/ws", &KEY.replace("13", "8")), "426"),
        (server.get("/ws", &KEY.replace("==", "=")), "400"),
    ];
    for (index, (answer, status)) in cases.iter().enumerate() {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "case {index}: {answer}");
    }
    server.wait_for_count(0);
    assert!(server.echo.lock().unwrap().opened.is_empty());
    let mut socket = server.connect();
    let request = format!("GET /ws HTTP/1.1\r\nHost: localhost:7802\r\n{KEY}Origin: http://localhost:7802\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 300];
    let count = socket.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // The example of RFC 6455, section 1.3.
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
}

#[test]
fn bytes_behind_the_upgrade_in_the_same_packet_are_not_lost() {
    let server = Server::start();
    let mut socket = server.connect();
    let mut request = format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{KEY}\r\n").into_bytes();
    request.extend([0x82, 0x84, 0, 0, 0, 0, b'T', b'R', b'N', b'E']);
    socket.write_all(&request).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x82\x04TRNE") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
}

#[test]
fn tls_is_closed_and_other_noise_goes_to_the_owner() {
    let server = Server::start();
    let mut socket = server.connect();
    socket.write_all(&[0x16, 3, 1, 0, 200]).unwrap();
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    echo_over_tcp(&server.connect(), &[0, 1, 2, 3, 4]);
    assert_eq!(server.echo.lock().unwrap().opened.len(), 1);
}

#[test]
fn a_connection_that_does_not_read_neither_grows_nor_holds_up_others() {
    let server = Server::start();
    let flooding = server.connect();
    flooding.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flood = std::thread::spawn(move || {
        let mut socket = &flooding;
        let _ = socket.write_all(b"TRNE");
        while !stopped.load(Ordering::Relaxed) {
            let _ = socket.write(&[7; 60_000]);
        }
        flooding.shutdown(Shutdown::Both)
    });
    // A second one reads what it sends, so that it never blocks: its turn comes again and again.
    let busy = server.connect();
    (&busy).write_all(b"TRNE").unwrap();
    let (reader, stopped) = (busy.try_clone().unwrap(), Arc::clone(&stop));
    let drain = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while !stopped.load(Ordering::Relaxed) && (&reader).read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let stopped = Arc::clone(&stop);
    let pour = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) && (&busy).write_all(&[9; 60_000]).is_ok() {}
        busy.shutdown(Shutdown::Both)
    });
    let quiet = server.connect();
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let start = Instant::now();
        echo_over_tcp(&quiet, b"TRNE");
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(server.echo.lock().unwrap().held_most <= ECHO_BYTES_MAX);
    stop.store(true, Ordering::Relaxed);
    let _ = (flood.join().unwrap(), pour.join().unwrap());
    drain.join().unwrap();
}

#[test]
fn two_hundred_connections_leave_nothing_behind() {
    let server = Server::start();
    for _ in 0..3 {
        let sockets: Vec<TcpStream> = (0..200).map(|_| server.connect()).collect();
        for (index, socket) in sockets.iter().enumerate() {
            match index % 3 {
                0 => echo_over_tcp(socket, b"TRNE"),
                1 => (&*socket).write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap(),
                _ => {}
            }
        }
        drop(sockets);
        server.wait_for_count(0);
    }
    let echo = server.echo.lock().unwrap();
    assert_eq!((echo.opened.len(), echo.closed.len(), echo.pending.len()), (201, 201, 0));
}

#[test]
fn more_connections_than_the_bound_are_closed_and_later_ones_are_not() {
    let server = Server::with(Config { connections_max: 2, ..Config::new(LOOPBACK.parse().unwrap()) });
    let (first, second) = (server.connect(), server.connect());
    echo_over_tcp(&first, b"TRNE");
    echo_over_tcp(&second, b"TRNE");
    let mut third = server.connect();
    assert!(third.read(&mut [0]).map_or(true, |count| count == 0));
    drop(first);
    server.wait_for_count(1);
    echo_over_tcp(&server.connect(), b"TRNE");
}

/// Polls until something has happened; the time is whatever the test says.
fn poll_until(shell: &mut Shell, echo: &mut Echo, now: Duration, done: impl Fn(&Shell, &Echo) -> bool) {
    for _ in 0..2_000 {
        shell.poll(now, Some(Duration::from_millis(2)), echo).unwrap();
        if done(shell, echo) {
            return;
        }
    }
    panic!("it did not happen");
}

fn bare() -> (Shell, Echo) {
    (Shell::bind(Config::new(LOOPBACK.parse().unwrap()), page()).unwrap(), Echo::default())
}

#[test]
fn a_stale_id_does_nothing_after_its_slot_has_a_new_tenant() {
    let (mut shell, mut echo) = bare();
    let mut first = TcpStream::connect(shell.local_addr()).unwrap();
    first.write_all(b"TRNE").unwrap();
    poll_until(&mut shell, &mut echo, Duration::ZERO, |_, echo| echo.opened.len() == 1);
    let stale = echo.opened[0].id;
    drop(first);
    poll_until(&mut shell, &mut echo, Duration::ZERO, |_, echo| echo.closed.len() == 1);
    let mut second = TcpStream::connect(shell.local_addr()).unwrap();
    second.write_all(b"TRNE").unwrap();
    poll_until(&mut shell, &mut echo, Duration::ZERO, |_, echo| echo.opened.len() == 2);
    let fresh = echo.opened[1].id;
    assert_eq!(stale.number() as u32, fresh.number() as u32, "the slot is used again");
    assert_eq!(shell.send(stale, b"to nobody"), None);
    shell.close(stale, false);
    shell.resume(stale);
    assert_eq!((shell.unsent_bytes(stale), shell.connection_count()), (0, 1));
    assert!(shell.send(fresh, b"to you").is_some());
    let mut back = [0; 6];
    second.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"to you");
}

#[test]
fn closing_behind_what_waits_delivers_the_last_bytes() {
    let (mut shell, mut echo) = bare();
    let mut socket = TcpStream::connect(shell.local_addr()).unwrap();
    socket.write_all(b"TRNE").unwrap();
    poll_until(&mut shell, &mut echo, Duration::ZERO, |_, echo| echo.opened.len() == 1);
    let id = echo.opened[0].id;
    let last = noise(400_000);
    assert!(shell.send(id, &last).is_some());
    socket.write_all(&[5; 1_000]).unwrap();
    shell.close(id, true);
    assert_eq!(shell.send(id, b"too late"), None);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        socket.read_to_end(&mut all).unwrap();
        all
    });
    poll_until(&mut shell, &mut echo, Duration::ZERO, |_, echo| !echo.closed.is_empty());
    assert_eq!(echo.closed, [CloseReason::Asked]);
    assert!(reader.join().unwrap() == last);
}

#[test]
fn sending_past_the_bound_closes_the_connection() {
    let (mut shell, mut echo) = bare();
    let mut socket = TcpStream::connect(shell.local_addr()).unwrap();
    socket.write_all(b"TRNE").unwrap();
    poll_until(&mut shell, &mut echo, Duration::ZERO, |_, echo| echo.opened.len() == 1);
    let id = echo.opened[0].id;
    while let Some(room) = shell.send(id, &[1; 50_000]) {
        assert!(shell.unsent_bytes(id) + room == terrane_net::limits::OUTPUT_BYTES_MAX);
    }
    poll_until(&mut shell, &mut echo, Duration::ZERO, |_, echo| !echo.closed.is_empty());
    assert!(matches!(echo.closed[0], CloseReason::Overflow { .. }));
    assert_eq!(shell.connection_count(), 0);
}

#[test]
fn who_says_nothing_or_drips_a_request_is_cut_off_in_time() {
    let (mut shell, mut echo) = bare();
    let silent = TcpStream::connect(shell.local_addr()).unwrap();
    let mut dripping = TcpStream::connect(shell.local_addr()).unwrap();
    dripping.write_all(b"GET / HT").unwrap();
    let mut stream = TcpStream::connect(shell.local_addr()).unwrap();
    stream.write_all(b"TRNE").unwrap();
    let start = Duration::from_secs(1_000);
    poll_until(&mut shell, &mut echo, start, |shell, echo| shell.connection_count() == 3 && echo.opened.len() == 1);
    let seconds = |s| start + Duration::from_secs(s);
    shell.poll(seconds(1), Some(Duration::ZERO), &mut echo).unwrap();
    dripping.write_all(b"TP").unwrap();
    shell.poll(seconds(10), Some(Duration::ZERO), &mut echo).unwrap();
    assert_eq!(shell.connection_count(), 3);
    shell.poll(seconds(12), Some(Duration::ZERO), &mut echo).unwrap();
    assert_eq!(shell.connection_count(), 1, "only the stream is left: its time limit is the owner's");
    assert!(echo.closed.is_empty());
    drop(silent);
}

#[test]
fn an_address_that_others_can_reach_needs_to_be_meant() {
    let anywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let error = Shell::bind(Config::new(anywhere), page()).err().unwrap();
    assert!(matches!(error, ShellError::NotLoopback { .. }));
    assert!(error.to_string().contains("--open"));
    assert!(Shell::bind(Config { open: true, ..Config::new(anywhere) }, page()).is_ok());

    let taken = Shell::bind(Config::new(LOOPBACK.parse().unwrap()), page()).unwrap();
    let error = Shell::bind(Config::new(taken.local_addr()), page()).err().unwrap();
    assert!(matches!(error, ShellError::Listen { .. }), "{error}");
}

#[test]
fn another_thread_ends_a_wait() {
    let (mut shell, mut echo) = bare();
    let waker = shell.waker();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        waker.wake().unwrap();
    });
    // Without a timeout only the waker can end this.
    shell.poll(Duration::ZERO, None, &mut echo).unwrap();
    thread.join().unwrap();
}
