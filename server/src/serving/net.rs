//! The net thread: the shell on one side, the tick thread's queue on the other.

use super::Event;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError};
use std::time::{Duration, Instant};
use terrane_net::{CloseReason, ConnectionId, Handler, Opened, Shell};
use terrane_roles::PeerId;

/// How long a full queue is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(2);
/// How long clients get to read the last bytes and close by themselves.
const FAREWELL: Duration = Duration::from_millis(300);
/// Bytes that are handed on in one event.
const PORTION_BYTES: usize = 64 << 10;

/// What net tells tick.
pub enum Happened {
    Opened { peer: PeerId, is_local: bool },
    Received { peer: PeerId, bytes: Vec<u8> },
    Flushed { peer: PeerId, bytes: usize },
    Closed { peer: PeerId },
}

/// What tick asks of net.
pub enum Action {
    Send {
        peer: PeerId,
        bytes: Vec<u8>,
    },
    /// Behind what waits to be sent.
    Close {
        peer: PeerId,
    },
    /// Not to read a connection any more, or again.
    Pause {
        peer: PeerId,
        paused: bool,
    },
}

/// Connections as the role numbers them, and what doesn't fit the queue to it.
struct Bridge<'a> {
    events: &'a SyncSender<Event>,
    peers: HashMap<ConnectionId, PeerId>,
    connections: HashMap<PeerId, ConnectionId>,
    opened: u64,
    /// Openings, closings and flushes that wait for room: a few per connection at most, because nothing is read
    /// meanwhile.
    backlog: VecDeque<Happened>,
    /// Connections that are not read until there is room.
    paused: BTreeSet<PeerId>,
    /// Connections that tick does not want read.
    held: BTreeSet<PeerId>,
}

impl Bridge<'_> {
    fn tell(&mut self, happened: Happened) {
        if let (Happened::Flushed { peer, bytes }, Some(Happened::Flushed { peer: last, bytes: sum })) =
            (&happened, self.backlog.back_mut())
            && last == peer
        {
            *sum += bytes;
            return;
        }
        self.backlog.push_back(happened);
        self.drain();
    }

    /// Hands on what waits, as far as there is room.
    fn drain(&mut self) {
        while let Some(happened) = self.backlog.pop_front() {
            match self.events.try_send(Event::Net(happened)) {
                Ok(()) => {}
                Err(TrySendError::Full(Event::Net(happened))) => {
                    self.backlog.push_front(happened);
                    return;
                }
                // The tick thread has ended; there is nobody to tell.
                Err(_) => return,
            }
        }
    }
}

impl Handler for Bridge<'_> {
    fn opened(&mut self, opened: Opened) {
        self.opened += 1;
        let peer = PeerId(self.opened);
        self.peers.insert(opened.id, peer);
        self.connections.insert(peer, opened.id);
        tracing::debug!("connection {} from {} ({:?})", peer.0, opened.peer, opened.transport);
        let is_local = opened.peer.ip().to_canonical().is_loopback();
        self.tell(Happened::Opened { peer, is_local });
    }

    fn received(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let Some(peer) = self.peers.get(&id).copied() else { return bytes.len() };
        if self.held.contains(&peer) {
            return 0;
        }
        let portion = &bytes[..bytes.len().min(PORTION_BYTES)];
        let taken = if self.backlog.is_empty() {
            let event = Event::Net(Happened::Received { peer, bytes: portion.to_vec() });
            self.events.try_send(event).map_or(0, |()| portion.len())
        } else {
            0
        };
        if taken < bytes.len() {
            self.paused.insert(peer);
        }
        taken
    }

    fn flushed(&mut self, id: ConnectionId, bytes: usize, _room_bytes: usize) {
        if let Some(peer) = self.peers.get(&id).copied() {
            self.tell(Happened::Flushed { peer, bytes });
        }
    }

    fn closed(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(peer) = self.peers.remove(&id) else { return };
        self.connections.remove(&peer);
        self.paused.remove(&peer);
        self.held.remove(&peer);
        tracing::debug!("connection {} is gone: {reason}", peer.0);
        self.tell(Happened::Closed { peer });
    }
}

/// Runs until the tick thread has ended and its last bytes are sent.
pub fn run(mut shell: Shell, started: Instant, events: &SyncSender<Event>, actions: &Receiver<Action>) {
    let mut bridge = Bridge {
        events,
        peers: HashMap::new(),
        connections: HashMap::new(),
        opened: 0,
        backlog: VecDeque::new(),
        paused: BTreeSet::new(),
        held: BTreeSet::new(),
    };
    let mut ends: Option<Instant> = None;
    loop {
        let waits = !bridge.backlog.is_empty() || !bridge.paused.is_empty();
        let timeout = if waits || ends.is_some() { Some(RETRY) } else { None };
        if let Err(error) = shell.poll(started.elapsed(), timeout, &mut bridge) {
            tracing::error!("{error}");
            return;
        }
        bridge.drain();
        if bridge.backlog.is_empty() {
            for peer in std::mem::take(&mut bridge.paused) {
                bridge.connections.get(&peer).copied().into_iter().for_each(|id| shell.resume(id));
            }
        }
        if act(&mut shell, &mut bridge, actions) && ends.is_none() {
            ends = Some(Instant::now());
        }
        if ends.is_some_and(|since| has_said_farewell(&shell, &bridge, since.elapsed())) {
            return;
        }
    }
}

/// Whether the last bytes have left and their readers have had a moment, or too long has been waited for that.
fn has_said_farewell(shell: &Shell, bridge: &Bridge<'_>, waited: Duration) -> bool {
    let all_sent = bridge.connections.values().all(|id| shell.unsent_bytes(*id) == 0);
    let enough = if all_sent { FAREWELL } else { terrane_net::limits::FAREWELL_WITHIN };
    bridge.connections.is_empty() || waited > enough
}

/// Does what tick has asked for; says whether tick has ended.
fn act(shell: &mut Shell, bridge: &mut Bridge<'_>, actions: &Receiver<Action>) -> bool {
    loop {
        match actions.try_recv() {
            Ok(Action::Send { peer, bytes }) => {
                let id = bridge.connections.get(&peer).copied();
                // A connection that has gone meanwhile is reported as closed.
                id.and_then(|id| shell.send(id, &bytes));
            }
            Ok(Action::Close { peer }) => {
                bridge.connections.get(&peer).copied().into_iter().for_each(|id| shell.close(id, true));
            }
            Ok(Action::Pause { peer, paused: true }) => drop(bridge.held.insert(peer)),
            Ok(Action::Pause { peer, paused: false }) => {
                bridge.held.remove(&peer);
                bridge.connections.get(&peer).copied().into_iter().for_each(|id| shell.resume(id));
            }
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => return true,
        }
    }
}
