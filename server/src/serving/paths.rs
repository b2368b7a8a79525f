//! The path thread: a path server, and the world as it was durable after the last tick that it was told of.
//!
//! The tick thread puts every tick into the mailbox before it goes to the journal, and says when it is durable. Until
//! this thread has taken it, a chunk that is read from the store is shown as it was before: so an answer is never about a
//! world that is half a tick old, nor about one that a crash could take back.

use super::Event;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use terrane_roles::{PathInput, PathLimits, PathServer};
use terrane_store::Store;
use terrane_store::store::StoreSource;
use terrane_world::path::mode::Modes;
use terrane_world::space::ChunkPos;
use terrane_world::step::{ChunkSource, Deltas, Held, SourceError};

/// Chunks in ticks that wait for the path thread: what they were before and after, some ten KiB each. With more it gives up on
/// following and looks at everything anew.
const CHUNKS_WAITING_MAX: usize = 4_096;

#[derive(Default)]
struct Mail {
    inputs: VecDeque<PathInput>,
    /// Ticks that have changed chunks, in order, the durable ones first.
    ticks: VecDeque<Arc<Deltas>>,
    chunks: usize,
    durable_tick: u64,
    /// Ticks were dropped: what the store shows is newer than what the path server was told.
    is_lost: bool,
    is_closed: bool,
}

/// What the tick thread has for the path thread. Requests in it are bounded by what sessions may have open.
#[derive(Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    news: Condvar,
}

/// What the path thread takes out of the mailbox.
struct Taken {
    inputs: VecDeque<PathInput>,
    ticks: Vec<Arc<Deltas>>,
    /// Ticks were dropped, up to this one.
    lost: Option<u64>,
}

impl Mailbox {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A tick was made. To be said before it goes to the journal.
    pub fn stepped(&self, deltas: &Arc<Deltas>) {
        if deltas.after.is_empty() {
            return;
        }
        let mut mail = self.mail();
        mail.chunks += deltas.before.len();
        mail.ticks.push_back(Arc::clone(deltas));
        if mail.chunks > CHUNKS_WAITING_MAX {
            // Those that are not durable have to stay.
            mail.is_lost = true;
            let durable_tick = mail.durable_tick;
            mail.ticks.retain(|waiting| waiting.tick > durable_tick);
            mail.chunks = mail.ticks.iter().map(|waiting| waiting.before.len()).sum();
        }
    }

    /// Everything up to this tick is durable.
    pub fn committed(&self, tick: u64) {
        self.mail().durable_tick = tick;
        self.news.notify_one();
    }

    /// Clients want something.
    pub fn say(&self, inputs: impl IntoIterator<Item = PathInput>) {
        self.mail().inputs.extend(inputs);
        self.news.notify_one();
    }

    /// Ends the path thread.
    pub fn close(&self) {
        self.mail().is_closed = true;
        self.news.notify_one();
    }

    /// What there is; waits for it unless there is other work. None once it is closed.
    fn take(&self, has_work: bool) -> Option<Taken> {
        let is_quiet = |mail: &mut Mail| {
            let is_durable = mail.ticks.front().is_some_and(|first| first.tick <= mail.durable_tick);
            !(has_work || mail.is_closed || mail.is_lost || is_durable) && mail.inputs.is_empty()
        };
        let mut mail = self.news.wait_while(self.mail(), is_quiet).unwrap_or_else(PoisonError::into_inner);
        if mail.is_closed {
            return None;
        }
        let durable_tick = mail.durable_tick;
        let durable = mail.ticks.partition_point(|waiting| waiting.tick <= durable_tick);
        let ticks: Vec<Arc<Deltas>> = mail.ticks.drain(..durable).collect();
        mail.chunks -= ticks.iter().map(|taken| taken.before.len()).sum::<usize>();
        let lost = std::mem::take(&mut mail.is_lost).then_some(durable_tick);
        Some(Taken { inputs: std::mem::take(&mut mail.inputs), ticks, lost })
    }

    /// A chunk as it was before the first tick that was not taken yet, if one of them has changed it.
    fn before(&self, pos: ChunkPos) -> Result<Option<Held>, SourceError> {
        let mail = self.mail();
        if mail.is_lost {
            return Err(SourceError("the world changes faster than it can be looked at; ask again".to_owned()));
        }
        if mail.is_closed {
            // What is under way comes to its end sooner when it can look no further.
            return Err(SourceError("the server is stopping".to_owned()));
        }
        Ok(mail.ticks.iter().find_map(|waiting| {
            let at = waiting.before.binary_search_by_key(&pos, |(changed, _)| *changed).ok()?;
            Some(waiting.before[at].1.clone())
        }))
    }
}

/// A store as it was durable after the last tick that was taken out of the mailbox.
struct AsOf<S> {
    store: S,
    mailbox: Arc<Mailbox>,
}

impl<S> AsOf<S> {
    /// What was read may be of a tick that waits: it is in the mailbox before it is in the store.
    fn shown(&self, pos: ChunkPos, read: Result<Held, SourceError>) -> Result<Held, SourceError> {
        let read = read?;
        Ok(self.mailbox.before(pos)?.unwrap_or(read))
    }
}

impl<S: ChunkSource> ChunkSource for AsOf<S> {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        self.shown(pos, self.store.load(pos))
    }

    fn load_stack(&self, positions: &[ChunkPos]) -> Vec<Result<Held, SourceError>> {
        let read = self.store.load_stack(positions);
        positions.iter().zip(read).map(|(pos, read)| self.shown(*pos, read)).collect()
    }
}

/// The path server of a world.
pub fn path_server(store: &Arc<Store>, mailbox: &Arc<Mailbox>) -> PathServer {
    // Half of the machine is enough: the tick has the other half at least.
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|index| format!("paths-{index}")).build();
    let pool = Arc::new(pool.expect("the system gives a process its first threads"));
    let source = AsOf { store: StoreSource(Arc::clone(store)), mailbox: Arc::clone(mailbox) };
    let modes = Modes::with(&store.settings().modes);
    PathServer::new(modes, store.registry(), pool, Arc::new(source), store.standing().tick, PathLimits::default())
}

/// Runs until the mailbox is closed or the tick thread has ended.
pub fn run(mut server: PathServer, mailbox: &Mailbox, events: &SyncSender<Event>) {
    let mut has_work = false;
    while let Some(Taken { inputs, ticks, lost }) = mailbox.take(has_work) {
        lost.into_iter().for_each(|tick| server.lost(tick));
        ticks.iter().for_each(|deltas| server.changed(deltas));
        inputs.into_iter().for_each(|input| server.hear(input));
        // That a field is stale is said before it is repaired.
        if !tell(&mut server, events) {
            return;
        }
        server.work();
        if !tell(&mut server, events) {
            return;
        }
        has_work = server.has_work();
    }
}

/// Hands on what the path server has to say. Whether there is still somebody to say it to.
fn tell(server: &mut PathServer, events: &SyncSender<Event>) -> bool {
    let mut answers = Vec::new();
    server.take_answers(&mut answers);
    answers.into_iter().all(|answer| events.send(Event::Path(answer)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;
    use terrane_roles::PeerId;
    use terrane_world::block::BlockId;
    use terrane_world::chunk::{Chunk, Version};

    /// A store that shows one block everywhere.
    struct Shows(Arc<Mutex<u16>>);

    impl ChunkSource for Shows {
        fn load(&self, _: ChunkPos) -> Result<Held, SourceError> {
            Ok(held(*self.0.lock().unwrap()))
        }
    }

    fn held(block: u16) -> Held {
        Held { chunk: Arc::new(Chunk::uniform(BlockId(block))), version: Version::GENERATED }
    }

    /// A tick that changes some chunks in a row from one block to another.
    fn step(tick: u64, chunks: i32, before: u16, after: u16) -> Arc<Deltas> {
        let all = |block| (0..chunks).map(|x| (ChunkPos::new(x, 0, 0).unwrap(), held(block))).collect();
        Arc::new(Deltas { tick, before: all(before), after: all(after), ..Deltas::default() })
    }

    fn ticks(taken: &Taken) -> Vec<u64> {
        taken.ticks.iter().map(|deltas| deltas.tick).collect()
    }

    #[test]
    fn a_chunk_is_shown_as_it_was_until_its_tick_is_durable_and_taken() {
        let (mailbox, shown) = (Arc::new(Mailbox::default()), Arc::new(Mutex::new(1)));
        let source = AsOf { store: Shows(Arc::clone(&shown)), mailbox: Arc::clone(&mailbox) };
        let (near, far) = (ChunkPos::new(1, 0, 0).unwrap(), ChunkPos::new(5, 0, 0).unwrap());
        let block = |pos: ChunkPos| source.load(pos).unwrap().chunk.table()[0].0;
        mailbox.stepped(&step(1, 2, 1, 2));
        mailbox.stepped(&step(2, 2, 2, 3));
        *shown.lock().unwrap() = 3;
        assert_eq!((block(near), block(far)), (1, 3), "as before the first of the two");
        let stack = source.load_stack(&[near, far]);
        assert_eq!(stack.into_iter().map(|read| read.unwrap().chunk.table()[0].0).collect::<Vec<_>>(), [1, 3]);
        assert!(ticks(&mailbox.take(true).unwrap()).is_empty());
        mailbox.committed(1);
        assert_eq!(block(near), 1, "durable, but not taken");
        assert_eq!(ticks(&mailbox.take(false).unwrap()), [1]);
        assert_eq!(block(near), 2);
        mailbox.committed(7);
        assert_eq!((ticks(&mailbox.take(false).unwrap()), block(near)), (vec![2], 3));
        mailbox.close();
        assert!(source.load(near).is_err() && mailbox.take(true).is_none());
    }

    #[test]
    fn more_ticks_than_there_is_room_for_are_dropped_and_nothing_is_read_until_that_is_known() {
        let mailbox = Arc::new(Mailbox::default());
        let source = AsOf { store: Shows(Arc::new(Mutex::new(1))), mailbox: Arc::clone(&mailbox) };
        let most = CHUNKS_WAITING_MAX as i32;
        mailbox.stepped(&step(1, most, 1, 1));
        mailbox.committed(1);
        mailbox.stepped(&step(2, 1, 1, 1));
        assert!(source.load(ChunkPos::new(0, 0, 0).unwrap()).is_err());
        let taken = mailbox.take(false).unwrap();
        assert!(ticks(&taken).is_empty() && taken.lost == Some(1));
        assert!(source.load(ChunkPos::new(0, 0, 0).unwrap()).is_ok());
        mailbox.committed(2);
        let taken = mailbox.take(false).unwrap();
        assert_eq!((ticks(&taken), taken.lost), (vec![2], None), "what was not durable has stayed");
    }

    #[test]
    fn the_thread_ends_when_the_mailbox_is_closed_or_nobody_listens() {
        let server = |mailbox: &Arc<Mailbox>| {
            let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
            let source = AsOf { store: Shows(Arc::new(Mutex::new(0))), mailbox: Arc::clone(mailbox) };
            let registry = Arc::new(terrane_world::block::Registry::built_in());
            PathServer::new(Modes::built_in(), registry, pool, Arc::new(source), 0, PathLimits::default())
        };
        let mailbox = Arc::new(Mailbox::default());
        let (events, incoming) = sync_channel(1);
        mailbox.close();
        run(server(&mailbox), &mailbox, &events);
        drop(incoming);
        let mailbox = Arc::new(Mailbox::default());
        let ask = terrane_protocol::PathRequest {
            request: 1,
            wanted: terrane_protocol::Wanted::Way,
            around: 1,
            mode: "none".into(),
            from: [0; 3],
            to: [1; 3],
        };
        mailbox.say([PathInput::Way { peer: PeerId(1), ask }]);
        run(server(&mailbox), &mailbox, &events);
    }
}
