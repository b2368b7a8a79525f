//! The tick thread: steps the chunk server with whatever happens, and at every tick.

use super::net::{Action, Happened};
use super::paths::Mailbox;
use super::undo::Desk;
use super::{Event, Plan, Status};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use terrane_net::{StatusHandle, Waker};
use terrane_protocol::message::SessionId;
use terrane_roles::{ChunkServer, Commit, Input, Outbox};
use terrane_store::Store;

/// Events taken between two looks at the clock.
const EVENTS_PER_LOOK: usize = 256;
/// How long stopping waits for the last fsync.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// The ends of the queues that the tick thread holds.
pub struct Wiring<'a> {
    pub incoming: Receiver<Event>,
    pub actions: SyncSender<Action>,
    pub waker: Waker,
    pub commits: SyncSender<Commit>,
    pub mail: &'a Mailbox,
    pub desk: &'a Desk,
    pub status: StatusHandle,
    pub started: Instant,
}

struct Loop<'a> {
    server: ChunkServer,
    plan: &'a Plan,
    store: &'a Store,
    wiring: Wiring<'a>,
    out: Outbox,
    stop: Option<Instant>,
    failed: Option<String>,
}

/// Runs until it is told to stop, or the disk fails; gives the disk's failure.
pub fn run(server: ChunkServer, plan: &Plan, store: &Store, wiring: Wiring<'_>) -> Option<String> {
    let mut this = Loop { server, plan, store, wiring, out: Outbox::default(), stop: None, failed: None };
    let mut next = Instant::now();
    loop {
        this.take_events(next);
        let now = Instant::now();
        if now >= next {
            this.step(Input::Tick);
            this.show_status();
            // A tick that took too long is not made up for: the world slows down instead of piling up work.
            next = (next + plan.tick_length).max(now);
        }
        this.deliver();
        let stopped = this.stop.is_some_and(|by| this.server.is_idle() || now > by);
        if stopped || this.failed.is_some() {
            if this.failed.is_none() {
                this.step(Input::Stop);
            }
            this.deliver();
            return this.failed;
        }
    }
}

impl Loop<'_> {
    /// Waits for events until `until`, and takes a portion of them.
    fn take_events(&mut self, until: Instant) {
        let wait = until.saturating_duration_since(Instant::now());
        match self.wiring.incoming.recv_timeout(wait) {
            Ok(event) => self.event(event),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
        for _ in 0..EVENTS_PER_LOOK {
            match self.wiring.incoming.try_recv() {
                Ok(event) => self.event(event),
                Err(_) => return,
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Net(Happened::Opened { peer, is_local }) => {
                let mut id = [0u8; 16];
                // Without entropy no session can be told from another; the system has it from its start.
                getrandom::fill(&mut id).expect("the system gives random numbers");
                self.step(Input::Opened { peer, fresh: SessionId(id), is_local });
            }
            Event::Net(Happened::Received { peer, bytes }) => self.step(Input::Received { peer, bytes: &bytes }),
            Event::Net(Happened::Flushed { peer, bytes }) => self.step(Input::Flushed { peer, bytes }),
            Event::Net(Happened::Closed { peer }) => self.step(Input::Closed { peer }),
            Event::Committed { tick } => {
                self.wiring.mail.committed(tick);
                self.step(Input::Committed { tick });
            }
            Event::Path(answer) => self.step(Input::Path(answer)),
            Event::Undo(answer) => self.step(Input::Undo(answer)),
            Event::UndoEnded { undo } => self.step(Input::UndoEnded { undo }),
            Event::Failing { reason } => {
                self.step(Input::Failing { reason: reason.clone() });
                self.failed = Some(reason);
            }
            Event::Stop => self.stop = Some(Instant::now() + STOP_WITHIN),
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.server.step(self.wiring.started.elapsed(), input, &mut self.out);
    }

    /// Hands on what the role has put into its outbox.
    fn deliver(&mut self) {
        self.out.names.drain(..).for_each(|(actor, name)| self.store.introduce(actor, &name));
        for commit in self.out.commit.drain(..) {
            if let Commit::Tick(deltas) = &commit {
                self.wiring.mail.stepped(deltas);
            }
            // The role lets no more ticks wait than this queue holds; a journal that has ended reports by itself.
            let _ = self.wiring.commits.send(commit);
        }
        for (pos, reason) in self.out.unreadable.drain(..) {
            tracing::error!("chunk {pos} can't be read, its place stays empty: {reason}");
        }
        if !self.out.paths.is_empty() {
            self.wiring.mail.say(self.out.paths.drain(..));
        }
        self.out.undos.drain(..).for_each(|ask| self.wiring.desk.say(ask));
        let speaks = !self.out.send.is_empty() || !self.out.close.is_empty() || !self.out.pause.is_empty();
        for (peer, bytes) in self.out.send.drain(..) {
            let _ = self.wiring.actions.send(Action::Send { peer, bytes });
        }
        for (peer, paused) in self.out.pause.drain(..) {
            let _ = self.wiring.actions.send(Action::Pause { peer, paused });
        }
        for peer in self.out.close.drain(..) {
            let _ = self.wiring.actions.send(Action::Close { peer });
        }
        if speaks && let Err(error) = self.wiring.waker.wake() {
            tracing::error!("the net thread can't be woken: {error}");
        }
    }

    fn show_status(&self) {
        let (facts, settings) = (self.server.facts(), self.store.settings());
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            world: &self.plan.world,
            world_id: settings.id.iter().map(|byte| format!("{byte:02x}")).collect(),
            generator: &settings.generator.name,
            seed: settings.seed,
            epoch: self.store.standing().epoch,
            tick: facts.tick,
            committed_tick: facts.committed_tick,
            digest: format!("{:016x}", facts.digest),
            sessions: facts.sessions,
            waiting_inputs: facts.waiting_inputs,
            resident_bytes: facts.resident_bytes,
            dirty_bytes: self.store.dirty_bytes(),
            uptime_s: self.wiring.started.elapsed().as_secs(),
        };
        match simd_json::serde::to_vec(&status) {
            Ok(json) => self.wiring.status.set(json),
            Err(error) => tracing::error!("the status can't be written as JSON: {error}"),
        }
    }
}
