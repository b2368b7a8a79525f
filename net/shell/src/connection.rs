//! One socket: what it turned out to be, what waits in both directions, and how it ends.

use crate::http::{self, Door, Verdict};
use crate::limits::{ANSWER_WITHIN, FAREWELL_WITHIN, REQUEST_WITHIN, WRITE_BUDGET_BYTES};
use crate::output::Output;
use crate::shell::Handler;
use crate::slots::ConnectionId;
use crate::websocket::{Came, WebSocket};
use crate::{CloseReason, Opened, Transport};
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;
use terrane_protocol::MAGIC;

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

enum Talk {
    Undecided,
    Http,
    Stream,
    WebSocket(Box<WebSocket>),
}

enum Life {
    Open,
    /// What waits is written, nothing more is read.
    Leaving(CloseReason),
    /// Our side is shut; the other side's bytes are thrown away until it closes, lest a reset eat our last ones.
    Lingering(CloseReason),
}

/// What connections share.
pub(crate) struct Shared<'a> {
    pub scratch: &'a mut [u8],
    pub door: Door<'a>,
    pub output_bytes_max: usize,
}

pub(crate) struct Connection {
    id: ConnectionId,
    socket: TcpStream,
    peer: SocketAddr,
    talk: Talk,
    life: Life,
    /// Bytes that are not decided yet, or that the owner did not take.
    stash: Vec<u8>,
    output: Output,
    pub readable: bool,
    pub writable: bool,
    /// It is in the ready list.
    pub listed: bool,
    paused: bool,
    opened: bool,
    limit: Option<Duration>,
    deadline: Option<Duration>,
}

fn lost(error: &io::Error) -> CloseReason {
    CloseReason::Lost(error.to_string())
}

impl Connection {
    pub fn new(id: ConnectionId, socket: TcpStream, peer: SocketAddr) -> Self {
        Self {
            id,
            socket,
            peer,
            talk: Talk::Undecided,
            life: Life::Open,
            stash: Vec::new(),
            output: Output::default(),
            readable: true,
            writable: true,
            listed: false,
            paused: false,
            opened: false,
            limit: Some(REQUEST_WITHIN),
            deadline: None,
        }
    }

    pub const fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Whether the owner knows of it.
    pub const fn is_opened(&self) -> bool {
        self.opened
    }

    /// Whether the owner may send on it.
    pub const fn is_sendable(&self) -> bool {
        self.opened && matches!(self.life, Life::Open)
    }

    pub const fn unsent_bytes(&self) -> usize {
        self.output.payload_bytes()
    }

    /// Whether it has a time limit; an error when that has passed.
    pub fn check_time(&mut self, now: Duration) -> Result<bool, CloseReason> {
        let Some(limit) = self.limit else { return Ok(false) };
        let deadline = *self.deadline.get_or_insert(now + limit);
        match &self.life {
            _ if now < deadline => Ok(true),
            // Everything was said; that the other side keeps its half open changes nothing.
            Life::Lingering(reason) => Err(reason.clone()),
            _ => Err(CloseReason::TimedOut { limit_ms: limit.as_millis() }),
        }
    }

    fn set_limit(&mut self, limit: Option<Duration>) {
        (self.limit, self.deadline) = (limit, None);
    }

    /// Takes one turn. `Ok(true)` means that there is more to do at once; an error that the connection is over.
    pub fn serve(&mut self, shared: &mut Shared<'_>, handler: &mut impl Handler) -> Result<bool, CloseReason> {
        self.flush()?;
        let flushed = self.output.take_flushed();
        if flushed > 0 && self.is_sendable() {
            handler.flushed(self.id, flushed, shared.output_bytes_max.saturating_sub(self.output.len()));
        }
        if matches!(self.life, Life::Open) {
            self.listen(shared, handler)?;
        }
        match &self.life {
            Life::Open => Ok(self.readable && !self.paused || self.can_write_more()),
            _ => self.leave(shared.scratch),
        }
    }

    /// Whether writing ended with the turn's budget and not with a full socket.
    fn can_write_more(&self) -> bool {
        self.writable && !self.output.is_empty()
    }

    fn flush(&mut self) -> Result<(), CloseReason> {
        if !self.writable || self.output.is_empty() {
            return Ok(());
        }
        let wrote = self.output.write_to(&mut self.socket, WRITE_BUDGET_BYTES).map_err(|error| lost(&error))?;
        self.writable = !wrote.is_full;
        if wrote.moved && matches!(self.life, Life::Leaving(_)) {
            self.deadline = None;
        }
        Ok(())
    }

    /// Reads one budget of bytes, once what was read before is used up.
    fn listen(&mut self, shared: &mut Shared<'_>, handler: &mut impl Handler) -> Result<(), CloseReason> {
        if self.opened && !self.paused && !self.stash.is_empty() {
            let stash = std::mem::take(&mut self.stash);
            self.deliver(&stash, handler);
        }
        self.drain_messages(shared.output_bytes_max, handler)?;
        if self.paused || !self.readable || !matches!(self.life, Life::Open) {
            return Ok(());
        }
        match self.socket.read(shared.scratch) {
            Ok(0) => Err(CloseReason::Peer),
            Ok(count) => {
                let scratch = std::mem::take(&mut shared.scratch);
                let result = self.take(&scratch[..count], shared, handler);
                shared.scratch = scratch;
                result
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(lost(&error)),
        }
    }

    fn take(&mut self, bytes: &[u8], shared: &Shared<'_>, handler: &mut impl Handler) -> Result<(), CloseReason> {
        match &mut self.talk {
            Talk::Stream => self.deliver(bytes, handler),
            Talk::WebSocket(socket) => {
                socket.feed(bytes);
                self.drain_messages(shared.output_bytes_max, handler)?;
            }
            Talk::Undecided | Talk::Http => {
                self.stash.extend_from_slice(bytes);
                if matches!(self.talk, Talk::Undecided) {
                    self.decide(handler)?;
                }
                if matches!(self.talk, Talk::Http) {
                    self.answer(shared, handler)?;
                }
            }
        }
        Ok(())
    }

    /// Finds out from the first bytes what the other side speaks.
    fn decide(&mut self, handler: &mut impl Handler) -> Result<(), CloseReason> {
        let head = &self.stash[..self.stash.len().min(MAGIC.len())];
        if head == &MAGIC[..head.len()] {
            if head.len() == MAGIC.len() {
                self.open(Transport::Tcp, handler);
            }
        } else if head[0].is_ascii_uppercase() {
            self.talk = Talk::Http;
        } else if head[0] == TLS_HANDSHAKE {
            // Whoever begins with TLS would not understand anything that we could say.
            return Err(CloseReason::Asked);
        } else {
            // The owner names the mistake.
            self.open(Transport::Tcp, handler);
        }
        Ok(())
    }

    fn open(&mut self, transport: Transport, handler: &mut impl Handler) {
        self.set_limit(None);
        self.opened = true;
        handler.opened(Opened { id: self.id, transport, peer: self.peer });
        let stash = std::mem::take(&mut self.stash);
        match transport {
            Transport::Tcp => {
                self.talk = Talk::Stream;
                self.deliver(&stash, handler);
            }
            Transport::WebSocket => {
                let mut socket = Box::new(WebSocket::new());
                socket.feed(&stash);
                self.talk = Talk::WebSocket(socket);
            }
        }
    }

    fn answer(&mut self, shared: &Shared<'_>, handler: &mut impl Handler) -> Result<(), CloseReason> {
        match http::judge(&self.stash, &shared.door) {
            Verdict::Incomplete => {}
            Verdict::Answer(answer) => {
                self.output.push(&answer.head, 0);
                self.output.set_body(answer.body);
                self.stash = Vec::new();
                self.life = Life::Leaving(CloseReason::Asked);
                self.set_limit(Some(ANSWER_WITHIN));
            }
            Verdict::Upgrade { head, consumed } => {
                self.output.push(&head, 0);
                self.stash.drain(..consumed);
                self.open(Transport::WebSocket, handler);
                self.drain_messages(shared.output_bytes_max, handler)?;
            }
        }
        self.flush()
    }

    /// Gives bytes to the owner; what it does not take waits, and nothing more is read until it asks.
    fn deliver(&mut self, bytes: &[u8], handler: &mut impl Handler) {
        if bytes.is_empty() {
            return;
        }
        let taken = handler.received(self.id, bytes);
        assert!(taken <= bytes.len(), "the owner took {taken} bytes of {}", bytes.len());
        if taken < bytes.len() {
            self.stash.extend_from_slice(&bytes[taken..]);
            self.paused = true;
        }
    }

    fn drain_messages(&mut self, output_bytes_max: usize, handler: &mut impl Handler) -> Result<(), CloseReason> {
        while !self.paused
            && matches!(self.life, Life::Open)
            && let Talk::WebSocket(socket) = &mut self.talk
        {
            match socket.next() {
                Came::Bytes(bytes) => self.deliver(&bytes, handler),
                Came::Nothing => break,
                Came::Closed => self.say_goodbye(CloseReason::Peer),
                Came::Broken(problem) => self.say_goodbye(CloseReason::WebSocket(problem)),
            }
        }
        self.move_outgoing(0, output_bytes_max)?;
        self.flush()
    }

    /// Moves what the WebSocket wants to say to the output; the last `payload` bytes of it are the owner's.
    fn move_outgoing(&mut self, payload: usize, output_bytes_max: usize) -> Result<(), CloseReason> {
        if let Talk::WebSocket(socket) = &mut self.talk {
            let bytes = socket.take_outgoing();
            if self.output.len() + bytes.len() > output_bytes_max {
                return Err(self.overflow(bytes.len(), output_bytes_max));
            }
            self.output.push(&bytes, payload);
        }
        Ok(())
    }

    fn overflow(&self, given: usize, max: usize) -> CloseReason {
        CloseReason::Overflow { unsent: self.output.len(), given, max }
    }

    /// Queues bytes and writes what the socket takes; gives the room that is left.
    pub fn send(&mut self, bytes: &[u8], output_bytes_max: usize) -> Result<usize, CloseReason> {
        if self.output.len() + bytes.len() > output_bytes_max {
            return Err(self.overflow(bytes.len(), output_bytes_max));
        }
        match &mut self.talk {
            Talk::WebSocket(socket) => {
                if !socket.send(bytes) {
                    return Err(CloseReason::Peer);
                }
                self.move_outgoing(bytes.len(), output_bytes_max)?;
            }
            _ => self.output.push(bytes, bytes.len()),
        }
        self.flush()?;
        Ok(output_bytes_max - self.output.len())
    }

    /// Reads on after the owner did not take all.
    pub const fn resume(&mut self) {
        self.paused = false;
    }

    /// Ends the connection behind what waits.
    pub fn say_goodbye(&mut self, reason: CloseReason) {
        if let Talk::WebSocket(socket) = &mut self.talk {
            if reason == CloseReason::Asked {
                socket.say_goodbye();
            }
            let bytes = socket.take_outgoing();
            self.output.push(&bytes, 0);
        }
        self.stash = Vec::new();
        self.life = Life::Leaving(reason);
        self.set_limit(Some(FAREWELL_WITHIN));
    }

    fn leave(&mut self, scratch: &mut [u8]) -> Result<bool, CloseReason> {
        self.flush()?;
        if let Life::Leaving(reason) = &self.life {
            if !self.output.is_empty() {
                return Ok(self.can_write_more());
            }
            let reason = reason.clone();
            if self.socket.shutdown(Shutdown::Write).is_err() {
                return Err(reason);
            }
            self.life = Life::Lingering(reason);
            self.set_limit(Some(FAREWELL_WITHIN));
        }
        let Life::Lingering(reason) = &self.life else { return Ok(false) };
        if !self.readable {
            return Ok(false);
        }
        match self.socket.read(scratch) {
            Ok(count) if count > 0 => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            _ => Err(reason.clone()),
        }
    }
}
