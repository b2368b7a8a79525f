//! The loop, and the owner's door to it.

use crate::connection::{Connection, Shared};
use crate::http::{Door, Page};
use crate::limits::{ACCEPT_BUDGET, ACCEPT_PAUSE, CONNECTIONS_MAX, OUTPUT_BYTES_MAX, READ_BUDGET_BYTES, TIMER_GRAIN};
use crate::slots::{ConnectionId, Slots};
use crate::{CloseReason, Opened};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const EVENTS_PER_POLL: usize = 1_024;

/// Where to listen and how much to hold.
#[derive(Debug, Clone)]
pub struct Config {
    /// The one address; port 0 takes any.
    pub listen: SocketAddr,
    /// Others than this machine may connect.
    pub open: bool,
    /// Connections at once; more are closed at once.
    pub connections_max: usize,
    /// Bytes that wait for one connection.
    pub output_bytes_max: usize,
}

impl Config {
    /// This machine only, with the limits of [`crate::limits`].
    pub const fn new(listen: SocketAddr) -> Self {
        Self { listen, open: false, connections_max: CONNECTIONS_MAX, output_bytes_max: OUTPUT_BYTES_MAX }
    }
}

/// Why the shell can't run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The address is not this machine's own, and that was not asked for.
    #[error(
        "{listen} can be reached by other machines, and nobody has to log in: listen on 127.0.0.1 or [::1], or say \
         --open if that is meant"
    )]
    NotLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// The address can't be listened on.
    #[error("can't listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The operating system's event queue failed.
    #[error("waiting for sockets failed: {0}")]
    Poll(#[from] io::Error),
}

/// What the owner is told, from within [`Shell::poll`]. HTTP connections don't come up here.
pub trait Handler {
    /// A connection carries a byte stream.
    fn opened(&mut self, opened: Opened);
    /// Bytes came. Returns how many of them are taken, from the front; if not all, the rest waits and nothing more
    /// is read from the connection until [`Shell::resume`].
    fn received(&mut self, id: ConnectionId, bytes: &[u8]) -> usize;
    /// So many of the bytes given to [`Shell::send`] have left, and so much room there is now.
    fn flushed(&mut self, id: ConnectionId, bytes: usize, room_bytes: usize);
    /// The connection is no more, and its id means nothing from now on.
    fn closed(&mut self, id: ConnectionId, reason: CloseReason);
}

/// Ends a [`Shell::poll`] that waits, from any thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Wakes the loop; once is enough for any number of reasons.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// What `/status` shows, to be set from any thread.
#[derive(Debug, Clone)]
pub struct StatusHandle(Arc<Mutex<Arc<[u8]>>>);

impl StatusHandle {
    /// Replaces the JSON text.
    pub fn set(&self, json: impl Into<Arc<[u8]>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = json.into();
    }

    fn get(&self) -> Arc<[u8]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The listener and its connections.
pub struct Shell {
    config: Config,
    address: SocketAddr,
    page: Box<Page>,
    status: StatusHandle,
    poll: Poll,
    events: Events,
    waker: Waker,
    listener: TcpListener,
    slots: Slots<Connection>,
    /// Connections that have something to do, in the order of their turns. A stale id does nothing.
    ready: VecDeque<ConnectionId>,
    /// Connections that ended outside a turn, to be told.
    closed: Vec<(ConnectionId, CloseReason)>,
    accept_ready: bool,
    accept_paused_until: Option<Duration>,
    checked: Duration,
    has_timed: bool,
    scratch: Vec<u8>,
}

impl Shell {
    /// Listens. `page` gives browsers what they ask for.
    pub fn bind(config: Config, page: Box<Page>) -> Result<Self, ShellError> {
        let listen = config.listen;
        if !config.open && !listen.ip().to_canonical().is_loopback() {
            return Err(ShellError::NotLoopback { listen });
        }
        let refused = |source| ShellError::Listen { listen, source };
        let mut listener = TcpListener::bind(listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
        Ok(Self {
            config,
            address,
            page,
            status: StatusHandle(Arc::new(Mutex::new(b"{}"[..].into()))),
            poll,
            events: Events::with_capacity(EVENTS_PER_POLL),
            waker,
            listener,
            slots: Slots::new(),
            ready: VecDeque::new(),
            closed: Vec::new(),
            accept_ready: false,
            accept_paused_until: None,
            checked: Duration::ZERO,
            has_timed: false,
            scratch: vec![0; READ_BUDGET_BYTES],
        })
    }

    /// The address listened on, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// For other threads, to end a wait.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// For other threads, to set what `/status` shows.
    pub fn status_handle(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Connections at the moment, HTTP included.
    pub const fn connection_count(&self) -> usize {
        self.slots.len()
    }

    /// Waits for something to happen, at most `timeout`, and gives every connection that has something to do one
    /// turn. `now` is the time since any fixed point; it may only grow.
    pub fn poll(
        &mut self,
        now: Duration,
        timeout: Option<Duration>,
        handler: &mut impl Handler,
    ) -> Result<(), ShellError> {
        self.check_times(now);
        self.tell_closed(handler);
        let wait = self.wait(timeout);
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => self.note_events(),
        }
        if self.accept_ready && self.accept_paused_until.is_none() {
            self.accept(now);
        }
        for id in std::mem::take(&mut self.ready) {
            self.serve(id, handler);
        }
        self.tell_closed(handler);
        Ok(())
    }

    fn wait(&self, timeout: Option<Duration>) -> Option<Duration> {
        let is_busy = !self.ready.is_empty() || self.accept_ready && self.accept_paused_until.is_none();
        if is_busy {
            return Some(Duration::ZERO);
        }
        let has_timer = self.has_timed || self.accept_paused_until.is_some();
        if has_timer { Some(timeout.unwrap_or(TIMER_GRAIN).min(TIMER_GRAIN)) } else { timeout }
    }

    fn note_events(&mut self) {
        for event in &self.events {
            match event.token() {
                LISTENER => self.accept_ready = true,
                WAKER => {}
                token => {
                    let id = ConnectionId::from_token(token);
                    let Some(connection) = self.slots.get_mut(id) else { continue };
                    connection.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    connection.writable |= event.is_writable() || event.is_error();
                    list(&mut self.ready, id, connection);
                }
            }
        }
    }

    fn accept(&mut self, now: Duration) {
        for _ in 0..ACCEPT_BUDGET {
            match self.listener.accept() {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.accept_ready = false;
                    return;
                }
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(_) => {
                    // Out of files or memory: trying again at once would only spin.
                    self.accept_paused_until = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    /// A socket that there is no room for, or that can't be watched, is closed by being dropped.
    fn admit(&mut self, mut socket: mio::net::TcpStream, peer: SocketAddr) {
        if self.slots.len() >= self.config.connections_max || socket.set_nodelay(true).is_err() {
            return;
        }
        let registry = self.poll.registry();
        let admitted = self.slots.insert_with(|id| {
            registry.register(&mut socket, id.token(), Interest::READABLE | Interest::WRITABLE)?;
            Ok::<_, io::Error>(Connection::new(id, socket, peer))
        });
        if let Ok(id) = admitted {
            self.has_timed = true;
            let connection = self.slots.get_mut(id).expect("just admitted");
            list(&mut self.ready, id, connection);
        }
    }

    fn serve(&mut self, id: ConnectionId, handler: &mut impl Handler) {
        let Some(connection) = self.slots.get_mut(id) else { return };
        connection.listed = false;
        let mut shared = Shared {
            scratch: &mut self.scratch,
            door: Door {
                listen: self.address,
                open: self.config.open,
                page: &*self.page,
                status: &|| self.status.get(),
            },
            output_bytes_max: self.config.output_bytes_max,
        };
        match connection.serve(&mut shared, handler) {
            Ok(true) => list(&mut self.ready, id, connection),
            Ok(false) => {}
            Err(reason) => self.remove(id, reason),
        }
        self.has_timed = true;
    }

    fn remove(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(mut connection) = self.slots.remove(id) else { return };
        // The socket is closed right behind; that it could not be taken off the queue first changes nothing.
        let _ = self.poll.registry().deregister(connection.socket_mut());
        if connection.is_opened() {
            self.closed.push((id, reason));
        }
    }

    fn tell_closed(&mut self, handler: &mut impl Handler) {
        for (id, reason) in self.closed.drain(..) {
            handler.closed(id, reason);
        }
    }

    /// Ends what was too slow, and accepts again after a pause.
    fn check_times(&mut self, now: Duration) {
        if now.saturating_sub(self.checked) < TIMER_GRAIN {
            return;
        }
        self.checked = now;
        self.has_timed = false;
        let mut late = Vec::new();
        for (id, connection) in self.slots.iter_mut() {
            match connection.check_time(now) {
                Ok(timed) => self.has_timed |= timed,
                Err(reason) => late.push((id, reason)),
            }
        }
        for (id, reason) in late {
            self.remove(id, reason);
        }
        if self.accept_paused_until.is_some_and(|until| now >= until) {
            self.accept_paused_until = None;
            self.accept_ready = true;
        }
    }

    /// Sends bytes; over WebSocket they are one message. Gives the room that is left, or `None` if there is no such
    /// connection any more. More than there was room for closes the connection.
    pub fn send(&mut self, id: ConnectionId, bytes: &[u8]) -> Option<usize> {
        let connection = self.slots.get_mut(id).filter(|connection| connection.is_sendable())?;
        match connection.send(bytes, self.config.output_bytes_max) {
            Ok(room) => {
                // What has left already is told in the next poll.
                list(&mut self.ready, id, connection);
                Some(room)
            }
            Err(reason) => {
                self.remove(id, reason);
                None
            }
        }
    }

    /// Reads on from a connection whose bytes were not all taken.
    pub fn resume(&mut self, id: ConnectionId) {
        if let Some(connection) = self.slots.get_mut(id) {
            connection.resume();
            list(&mut self.ready, id, connection);
        }
    }

    /// Closes a connection: behind what waits to be sent, or at once. The handler is told in a later poll.
    pub fn close(&mut self, id: ConnectionId, after_flush: bool) {
        let Some(connection) = self.slots.get_mut(id) else { return };
        if !after_flush {
            return self.remove(id, CloseReason::Asked);
        }
        if connection.is_sendable() {
            connection.say_goodbye(CloseReason::Asked);
            self.has_timed = true;
            list(&mut self.ready, id, connection);
        }
    }

    /// Bytes given to [`Shell::send`] that have not left.
    pub fn unsent_bytes(&self, id: ConnectionId) -> usize {
        self.slots.get(id).map_or(0, Connection::unsent_bytes)
    }
}

/// Puts a connection on the ready list, once.
fn list(ready: &mut VecDeque<ConnectionId>, id: ConnectionId, connection: &mut Connection) {
    if !connection.listed {
        connection.listed = true;
        ready.push_back(id);
    }
}
