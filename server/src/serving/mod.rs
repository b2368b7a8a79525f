//! Serving a world: six threads around the chunk server.
//!
//! net moves bytes; tick steps the role; journal appends, syncs and reports; io writes checkpoints; paths answers questions
//! about ways; undo plans what is to be taken back. No fsync happens on net or tick. Queues are bounded: net → tick by its length (what doesn't fit stays in the socket), tick → journal
//! by the ticks that may be uncommitted, tick → net by what each client's stream may have in the transport, tick → paths by
//! the requests that sessions may have open and by the chunks of ticks that wait, tick → undo by a wish a connection.

mod net;
mod page;
mod paths;
mod tick;
mod undo;

use crate::failure::{About, Failure};
use crate::worlds;
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use terrane_net::{Config, Shell};
use terrane_protocol::Rate;
use terrane_roles::{ChunkServer, Commit, Limits, PathAnswer, UndoAnswer};
use terrane_store::{Access, Store, StoreError};
use terrane_world::path::mode::Modes;
use terrane_world::space::VoxelPos;

/// Events that may wait for the tick thread.
const EVENTS_MAX: usize = 4_096;
/// Actions that may wait for the net thread.
const ACTIONS_MAX: usize = 16_384;
/// What may wait for the journal beside ticks: that an undo begins, and ends, and the next one.
const NOTES_MAX: usize = 4;
/// Regions that are still written when the server stops: some seconds on a slow disk.
const STOP_REGIONS_MAX: usize = 512;
/// How often the io thread looks for cold regions, at most; a world that packs sooner is looked at more often.
const COLD_LOOK: Duration = Duration::from_secs(10);
/// Regions packed at one look: a checkpoint that is due waits for them.
const COLD_REGIONS: usize = 8;
/// How often the io thread looks for something to write.
const CHECKPOINT_LOOK: Duration = Duration::from_millis(500);

/// What `terrane serve` was asked for.
pub struct Plan {
    pub world: PathBuf,
    pub listen: SocketAddr,
    pub open: bool,
    pub tick_length: Duration,
    pub resident_bytes: usize,
    pub checkpoint_every: Duration,
    /// Bytes a second for one session; none for as many as there are.
    pub session_rate: Option<Rate>,
    /// Bytes a second for all sessions.
    pub server_rate: Option<Rate>,
    pub json: bool,
}

/// What the journal, the path thread, the undo thread and signals tell the tick thread, and net as well.
enum Event {
    Net(net::Happened),
    Committed { tick: u64 },
    Failing { reason: String },
    Path(PathAnswer),
    Undo(Box<UndoAnswer>),
    UndoEnded { undo: u64 },
    Stop,
}

/// Serves until a signal or a failing disk ends it.
pub fn serve(plan: &Plan) -> Result<(), Failure> {
    let store = worlds::open(&plan.world, Access::Write)?;
    // Of those that hang in each other the newest comes first.
    if let Some(undo) = store.unfinished_undos().last() {
        tracing::warn!("{}: {}", plan.world.display(), undo::cut_off_text(undo.id));
    }
    let spawn = worlds::spawn(&store).about(&plan.world)?;
    let config = Config { open: plan.open, ..Config::new(plan.listen) };
    let shell = Shell::bind(config, page::page()).map_err(|error| Failure::new(error.to_string()))?;
    let address = shell.local_addr();
    let server = chunk_server(plan, &store, spawn)?;
    let (events, incoming) = sync_channel(EVENTS_MAX);
    watch_signals(events.clone())?;
    announce(plan, &store, address);
    let started = Instant::now();
    let failed = run(plan, &store, shell, server, started, (events, incoming));
    // What the journal holds goes into the regions, so that the next start has nothing to replay.
    if let Some(reason) = failed {
        return Err(Failure::new(format!("{}: {reason}", plan.world.display())));
    }
    if store.dirty_regions() > STOP_REGIONS_MAX {
        // Everything is in the journal already; a long checkpoint would only keep people waiting.
        tracing::info!("saved and stopped; the next start brings the regions up to date from the journal");
        return Ok(());
    }
    worlds::close(store, &plan.world)?;
    tracing::info!("saved and stopped");
    Ok(())
}

type Events = (SyncSender<Event>, Receiver<Event>);

/// Runs the threads until the tick thread has ended; gives the disk's failure, if that was why.
fn run(
    plan: &Plan,
    store: &Arc<Store>,
    shell: Shell,
    server: ChunkServer,
    started: Instant,
    (events, incoming): Events,
) -> Option<String> {
    let (actions, to_net) = sync_channel(ACTIONS_MAX);
    let (commits, to_journal) = sync_channel(Limits::default().uncommitted_ticks + NOTES_MAX);
    let (waker, status) = (shell.waker(), shell.status_handle());
    let stopping = AtomicBool::new(false);
    let mailbox = Arc::new(paths::Mailbox::default());
    let path_server = paths::path_server(store, &mailbox);
    let desk = undo::Desk::default();
    thread::scope(|scope| {
        let (net_events, journal_events, io_events, path_events, undo_events) =
            (events.clone(), events.clone(), events.clone(), events.clone(), events);
        let (stopping, mail, desk) = (&stopping, &*mailbox, &desk);
        let net = named(scope, "net", move || net::run(shell, started, &net_events, &to_net));
        let journal = named(scope, "journal", move || run_journal(store, &to_journal, &journal_events));
        let io = named(scope, "io", move || run_checkpoints(plan, store, stopping, &io_events));
        let paths = named(scope, "paths", move || paths::run(path_server, mail, &path_events));
        let undo = named(scope, "undo", move || undo::run(store, desk, &undo_events));
        let wiring = tick::Wiring { incoming, actions, waker: waker.clone(), commits, mail, desk, status, started };
        let failed = tick::run(server, plan, store, wiring);
        stopping.store(true, Ordering::Release);
        mailbox.close();
        desk.close();
        // The queue to net is closed now; it has to look to find that out.
        if let Err(error) = waker.wake() {
            tracing::error!("the net thread can't be woken: {error}");
        }
        for thread in [net, journal, io, paths, undo] {
            if thread.join().is_err() {
                tracing::error!("a thread of the server panicked");
            }
        }
        failed
    })
}

fn named<'scope, F>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    run: F,
) -> thread::ScopedJoinHandle<'scope, ()>
where
    F: FnOnce() + Send + 'scope,
{
    thread::Builder::new()
        .name(name.to_owned())
        .spawn_scoped(scope, run)
        .expect("the system gives a process its first threads")
}

fn chunk_server(plan: &Plan, store: &Arc<Store>, spawn: VoxelPos) -> Result<ChunkServer, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("pool-{index}")).build();
    let pool = Arc::new(pool.expect("the system gives a process its first threads"));
    let world = worlds::world(store, pool)?;
    let (session_rate, server_rate) = (plan.session_rate, plan.server_rate);
    let limits = Limits { resident_bytes: plan.resident_bytes, session_rate, server_rate, ..Limits::default() };
    let server = ChunkServer::new(world, store.settings().id, spawn, plan.tick_length, limits);
    Ok(server.with_identity(store.settings().identity()).with_modes(&Modes::with(&store.settings().modes)))
}

/// Appends whatever has come, syncs once for all of it, and reports.
fn run_journal(store: &Arc<Store>, commits: &Receiver<Commit>, events: &SyncSender<Event>) {
    while let Ok(first) = commits.recv() {
        let mut written = Written::default();
        let mut result = written.write(store, first);
        while let (Ok(()), Ok(next)) = (&result, commits.try_recv()) {
            result = written.write(store, next);
        }
        let reports = match result.and_then(|()| store.sync()) {
            Ok(_) => written.reports(),
            Err(error) => {
                tracing::error!("the journal can't be written: {error}");
                vec![Event::Failing { reason: error.to_string() }]
            }
        };
        for event in reports {
            let failing = matches!(event, Event::Failing { .. });
            if events.send(event).is_err() || failing {
                return;
            }
        }
    }
}

/// What was appended for one sync.
#[derive(Default)]
struct Written {
    tick: Option<u64>,
    ended: Vec<u64>,
}

impl Written {
    fn write(&mut self, store: &Store, commit: Commit) -> Result<(), StoreError> {
        match commit {
            Commit::Tick(deltas) => {
                self.tick = Some(deltas.tick);
                store.commit(&deltas, worlds::now_ms())
            }
            Commit::UndoBegins(request) => {
                self.tick = Some(request.id);
                tracing::info!("undo {} begins", request.id);
                store.begin_undo(&request)
            }
            Commit::UndoEnds(undo) => {
                self.ended.push(undo);
                tracing::info!("undo {undo} is done");
                store.end_undo(undo)
            }
        }
    }

    fn reports(self) -> Vec<Event> {
        let committed = self.tick.map(|tick| Event::Committed { tick });
        committed.into_iter().chain(self.ended.into_iter().map(|undo| Event::UndoEnded { undo })).collect()
    }
}

/// Writes a checkpoint now and then, and whenever much has changed; and packs what is cold.
fn run_checkpoints(plan: &Plan, store: &Arc<Store>, stopping: &AtomicBool, events: &SyncSender<Event>) {
    let mut last = Instant::now();
    let mut cold = Cold::new(store);
    while !stopping.load(Ordering::Acquire) {
        thread::sleep(CHECKPOINT_LOOK.min(plan.checkpoint_every));
        if let Err(error) = cold.look(store, Instant::now()) {
            tracing::error!("a cold region can't be packed, none is from now on: {error}");
        }
        let dirty = store.dirty_bytes();
        let much = dirty > plan.resident_bytes / 4;
        if dirty == 0 || (!much && last.elapsed() < plan.checkpoint_every) {
            continue;
        }
        match store.checkpoint() {
            Ok(chunks) => tracing::debug!("checkpoint: {chunks} chunks"),
            Err(error) => {
                tracing::error!("the checkpoint failed: {error}");
                let _ = events.send(Event::Failing { reason: error.to_string() });
                return;
            }
        }
        last = Instant::now();
    }
}

/// When the io thread has looked for cold regions, and looks again.
struct Cold {
    after: Duration,
    begun: Instant,
    next: Instant,
}

impl Cold {
    fn new(store: &Store) -> Self {
        let now = Instant::now();
        Self { after: Duration::from_millis(store.settings().cold.after_ms), begun: now, next: now }
    }

    /// Packs some of what nobody has touched for long enough. Gives up after an error: what keeps the world from being
    /// written ends the server at the next commit, anything else is for `terrane check`.
    fn look(&mut self, store: &Store, now: Instant) -> Result<(), StoreError> {
        if self.after.is_zero() || now < self.next {
            return Ok(());
        }
        let after_ms = self.after.as_millis() as u64;
        let packed = store.pack_cold((now - self.begun).as_millis() as u64, after_ms, COLD_REGIONS);
        self.next = if matches!(packed, Ok(COLD_REGIONS)) { now } else { now + COLD_LOOK.min(self.after / 4) };
        match packed {
            Ok(0) => Ok(()),
            Ok(regions) => {
                tracing::debug!("packed {regions} regions that nobody has touched");
                Ok(())
            }
            Err(error) => {
                self.after = Duration::ZERO;
                Err(error)
            }
        }
    }
}

/// The first signal stops the server in good order; the second one ends the process.
fn watch_signals(events: SyncSender<Event>) -> Result<(), Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::new(format!("signals can't be watched: {error}")))?;
    let watch = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                tracing::warn!("stopping at once; the next start replays the journal");
                std::process::exit(128 + signal);
            }
            tracing::info!("stopping: saving the world");
            // If the queue is full the tick thread is alive and will have room.
            let _ = events.send(Event::Stop);
        }
    };
    let thread = thread::Builder::new().name("signals".into()).spawn(watch);
    thread.map(drop).map_err(|error| Failure::new(format!("a thread can't be started: {error}")))
}

fn announce(plan: &Plan, store: &Store, address: SocketAddr) {
    let settings = store.settings();
    let url = format!("http://{address}/");
    if plan.json {
        say!(
            "{}",
            serde_json::json!({ "url": url, "world": plan.world.display().to_string(), "epoch": store.standing().epoch })
        );
    } else {
        say!(
            "{}: generator {} {}, seed {}",
            plan.world.display(),
            settings.generator.name,
            settings.generator.version,
            settings.seed
        );
        say!("open {url} in a browser; Ctrl-C saves and stops");
    }
    if plan.open {
        tracing::warn!("--open: everybody who can reach {address} can look and build; there are no accounts yet");
    }
}

/// What `/status` shows.
#[derive(Serialize)]
struct Status<'a> {
    version: &'a str,
    world: &'a Path,
    world_id: String,
    generator: &'a str,
    seed: u64,
    epoch: u32,
    tick: u64,
    committed_tick: u64,
    digest: String,
    sessions: usize,
    waiting_inputs: usize,
    resident_bytes: usize,
    dirty_bytes: usize,
    uptime_s: u64,
}
