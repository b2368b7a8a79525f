//! The real executable, and a client that speaks to it over TCP.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods, reason = "each test uses its part, and may wait")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use terrane_protocol::message::{EditVoxel, Hello, SessionId, Welcome};
use terrane_protocol::{
    ClientMessage, FieldChunk, FrameReader, MAGIC, PROTOCOL_VERSION, PathPart, PathRefused, ServerMessage, Shape,
    Towards, UndoPlan, UndoProgress, UndoRefused,
};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::delta::changes::Change;
use terrane_world::path::mode::Mode;
use terrane_world::space::ChunkPos;

pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_terrane"))
}

/// Runs a verb to its end.
pub fn terrane(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

/// Runs a verb that must succeed, and gives its stdout.
pub fn succeed(arguments: &[&str]) -> String {
    let output = terrane(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Where the real input files are; none if they are not there, and not asked for.
pub fn shared() -> Option<PathBuf> {
    let given = std::env::var_os("TERRANE_SHARED").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared")).join("data");
    let required = std::env::var_os("TERRANE_REQUIRE_SHARED").is_some();
    assert!(folder.is_dir() || !required, "TERRANE_REQUIRE_SHARED is set, but {} is no folder", folder.display());
    folder.is_dir().then_some(folder)
}

/// A served world; killed when dropped.
pub struct Server {
    pub child: Child,
    pub port: u16,
    pub stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// Starts it on a free port and waits until it listens.
    pub fn start(world: &Path, more: &[&str]) -> Self {
        let mut child = command()
            .args(["--json", "--log", "warn", "serve", "--listen", "127.0.0.1:0", "--world"])
            .arg(world)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let port =
            line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).and_then(|port| port.parse().ok());
        let Some(port) = port else {
            let _ = child.kill();
            panic!("the server does not say where it listens: {line:?}");
        };
        Self { child, port, stdout }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Asks it to stop as the system would, and waits.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that holds what it was told.
pub struct Client {
    socket: TcpStream,
    reader: FrameReader,
    pub welcome: Welcome,
    pub blocks: Vec<String>,
    pub chunks: BTreeMap<ChunkPos, (Version, Chunk)>,
    pub acknowledged: u64,
    pub refusals: Vec<(u64, u16)>,
    pub caught_up: bool,
    pub refused: Option<String>,
    pub modes: Vec<Mode>,
    /// Parts of ways, by request, in the order in which they came.
    pub ways: BTreeMap<u32, Vec<PathPart>>,
    /// Requests that were refused.
    pub requests_refused: BTreeMap<u32, PathRefused>,
    pub fields: BTreeMap<u32, Field>,
    pub undos: BTreeMap<u32, Undo>,
}

/// What a client was told of an undo.
#[derive(Default, Debug)]
pub struct Undo {
    pub plan: Option<UndoPlan>,
    /// What would be there, and whether all of it has come.
    pub ghost: Vec<Change>,
    pub is_whole: bool,
    pub progress: Vec<UndoProgress>,
    pub refused: Option<UndoRefused>,
}

/// A field as a client holds it.
#[derive(Default)]
pub struct Field {
    pub chunks: BTreeMap<ChunkPos, FieldChunk>,
    /// Whether it was current, each time that was told.
    pub states: Vec<bool>,
    /// Chunks that came, those that came again included.
    pub chunks_heard: usize,
}

impl Client {
    pub fn connect(port: u16, resume: Option<SessionId>) -> std::io::Result<Self> {
        Self::connect_as("test", port, resume)
    }

    pub fn connect_as(name: &str, port: u16, resume: Option<SessionId>) -> std::io::Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut bytes = MAGIC.to_vec();
        ClientMessage::Hello(Hello { lowest: PROTOCOL_VERSION, highest: PROTOCOL_VERSION, resume, name: name.into() })
            .encode(&mut bytes);
        socket.write_all(&bytes)?;
        let mut waiting = Waiting { reader: FrameReader::new(Towards::Client), welcome: None };
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut rest = Vec::new();
        while waiting.welcome.is_none() {
            assert!(Instant::now() < deadline, "no Welcome");
            let Some(bytes) = read(&mut socket)? else { continue };
            rest = waiting.take(&bytes);
        }
        let welcome = waiting.welcome.unwrap();
        let acknowledged = welcome.acknowledged;
        let mut client = Self {
            socket,
            reader: waiting.reader,
            welcome,
            blocks: Vec::new(),
            chunks: BTreeMap::new(),
            acknowledged,
            refusals: Vec::new(),
            caught_up: false,
            refused: None,
            modes: Vec::new(),
            ways: BTreeMap::new(),
            requests_refused: BTreeMap::new(),
            fields: BTreeMap::new(),
            undos: BTreeMap::new(),
        };
        client.take(&rest);
        Ok(client)
    }

    pub fn say(&mut self, message: &ClientMessage) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.socket.write_all(&bytes)
    }

    pub fn edit(&mut self, sequence: u64, voxels: &[([i32; 3], u16)]) -> std::io::Result<()> {
        let voxels = voxels.iter().map(|(pos, block)| EditVoxel { pos: *pos, block: BlockId(*block) }).collect();
        self.say(&ClientMessage::Edit { sequence, voxels })
    }

    pub fn subscribe(&mut self, subscription: u32, min: [i32; 3], max: [i32; 3]) {
        self.caught_up = false;
        let shape = Shape::new_box(min, max).unwrap();
        self.say(&ClientMessage::Subscribe { subscription, shape }).unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while !self.caught_up {
            assert!(Instant::now() < deadline, "never caught up");
            self.listen().unwrap();
        }
    }

    /// Takes what has come within 20 ms.
    pub fn listen(&mut self) -> std::io::Result<()> {
        if let Some(bytes) = read(&mut self.socket)? {
            self.take(&bytes);
        }
        Ok(())
    }

    pub fn wait_for(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !done(self) {
            assert!(Instant::now() < deadline, "{what} did not happen");
            self.listen().unwrap();
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        let mut messages = Vec::new();
        while let Some(frame) = self.reader.next(&mut bytes).unwrap() {
            messages.push(ServerMessage::decode(frame.kind, frame.payload).unwrap());
        }
        messages.into_iter().for_each(|message| self.hear(message));
    }

    fn hear(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Registry { blocks, .. } => {
                self.blocks.extend(blocks.iter().map(|block| block.name.to_string()))
            }
            ServerMessage::Snapshot { pos, version, chunk, .. } => {
                drop(self.chunks.insert(pos, (version, (*chunk).clone())))
            }
            ServerMessage::Delta(changes) => {
                for change in changes.chunks {
                    let (version, chunk) =
                        self.chunks.get_mut(&change.pos).expect("changes are of chunks that are held");
                    assert_eq!(*version, change.from, "no gap in chunk {}", change.pos);
                    *version = change.to;
                    change.apply(chunk);
                }
            }
            ServerMessage::Same { chunks, .. } => panic!("{chunks:?} are the same as what was never said to be held"),
            ServerMessage::Acknowledge { sequence, refusals, .. } => {
                self.acknowledged = sequence;
                self.refusals.extend(refusals.iter().map(|refusal| (refusal.sequence, refusal.reason as u16)));
            }
            ServerMessage::CaughtUp { .. } => self.caught_up = true,
            ServerMessage::Refused(refused) => self.refused = Some(refused.text),
            ServerMessage::Forget { pos, .. } => drop(self.chunks.remove(&pos)),
            ServerMessage::Welcome(_) | ServerMessage::Pong { .. } => {}
            ServerMessage::Modes { modes } => self.modes = modes,
            ServerMessage::PathAnswer(part) => self.ways.entry(part.request).or_default().push(part),
            ServerMessage::PathRefused(refused) => {
                let request = refused.request;
                assert!(self.requests_refused.insert(request, refused).is_none(), "request {request} ended twice");
            }
            ServerMessage::FieldChunk(chunk) => {
                let field = self.fields.entry(chunk.request).or_default();
                field.chunks_heard += 1;
                field.chunks.insert(chunk.pos, chunk);
            }
            ServerMessage::FieldState(state) => {
                let field = self.fields.entry(state.request).or_default();
                assert!(!state.current || field.chunks.len() == state.chunks as usize, "every chunk comes first");
                field.states.push(state.current);
            }
            ServerMessage::UndoPlan(plan) => {
                let undo = self.undos.entry(plan.request).or_default();
                assert!(undo.plan.replace(plan).is_none(), "a request is planned once");
            }
            ServerMessage::UndoGhost(ghost) => {
                let undo = self.undos.get_mut(&ghost.request).expect("the plan comes first");
                assert!(!undo.is_whole, "nothing follows the last part");
                undo.ghost.extend(ghost.changes.chunks);
                undo.is_whole = ghost.last;
            }
            ServerMessage::UndoProgress(progress) => {
                self.undos.entry(progress.request).or_default().progress.push(progress);
            }
            ServerMessage::UndoRefused(refused) => {
                let undo = self.undos.entry(refused.request).or_default();
                assert!(undo.refused.replace(refused).is_none(), "a request is refused once");
            }
            ServerMessage::Crowd(_) | ServerMessage::Agents(_) => {}
            ServerMessage::AgentMoves(_) | ServerMessage::CrowdEnd { .. } => {}
            ServerMessage::Body(_) | ServerMessage::BodyMoves { .. } => {}
            ServerMessage::BodyEnds { .. } | ServerMessage::OverlayData { .. } => {}
        }
    }

    pub fn block(&self, at: [i32; 3]) -> u16 {
        let pos = terrane_world::space::VoxelPos::try_from(at).unwrap();
        self.chunks[&pos.chunk()].1.get(pos.local()).0
    }
}

struct Waiting {
    reader: FrameReader,
    welcome: Option<Welcome>,
}

impl Waiting {
    /// Reads up to Welcome and gives what is behind it.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut rest = bytes;
        if let Some(frame) = self.reader.next(&mut rest).unwrap() {
            match ServerMessage::decode(frame.kind, frame.payload).unwrap() {
                ServerMessage::Welcome(welcome) => {
                    self.welcome = Some(welcome);
                    return rest.to_vec();
                }
                other => panic!("Welcome comes first, not {other:?}"),
            }
        }
        Vec::new()
    }
}

/// What has come; `None` if nothing did, an error if the connection is gone.
fn read(socket: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; 256 << 10];
    match socket.read(&mut bytes) {
        Ok(0) => Err(std::io::ErrorKind::ConnectionReset.into()),
        Ok(count) => Ok(Some(bytes[..count].to_vec())),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}
