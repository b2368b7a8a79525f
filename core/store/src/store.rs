//! A world's folder, opened: what is stored, what the journal adds to it, and the ways to add more.

use crate::cold::Ages;
use crate::door::Dir;
use crate::error::{Context, StoreError};
use crate::history::{self, History};
use crate::journal::{self, Journal, Place, Record};
use crate::mark::Mark;
use crate::notes::Notes;
use crate::packed;
use crate::reader::Reader;
use crate::region::{self, OPEN_MAX};
use crate::replay::{self, READ_ATTEMPTS, hear, is_untouched, open_region, replay};
use crate::settings::{self, Settings};
use crate::slot::{self, Encoded};
use crate::stored::{self, Sizes, Stored};
use crate::view::{PositionMap, View};
use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use terrane_world::block::Registry;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::digest::load_term;
use terrane_world::generate::Generator;
use terrane_world::generate::stage::{BuiltInOnly, StageSource};
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{ChunkPos, RegionPos};
use terrane_world::step::{ActorId, ChunkSource, ColumnUpdate, Deltas, Held, SourceError, Standing};
use terrane_world::undo::Request;

/// The lock's file.
const LOCK_FILE: &str = "lock";

/// Names that may wait for their actors' first changes: more than a server has sessions.
const INTRODUCED_MAX: usize = 65_536;

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The one writer.
    Write,
    /// One of many readers, beside a writer or without one. Sees what was durable when it opened.
    Read,
}

/// What loading does with chunks that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Refuses if one of them exists.
    OnlyNew,
    /// Replaces them.
    Replace,
    /// Leaves those that exist as they are, and loads the others.
    KeepExisting,
}

/// What a region that has no file yet is loaded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A region file.
    Slots,
    /// A packed file.
    Packed,
}

/// What only the writer has.
struct Writer {
    journal: Journal,
    standing: Standing,
    notes: Notes,
    mark: Mark,
    /// When the last change was committed.
    time_ms: u64,
    /// Chunks whose deltas are appended but not synced.
    pending: Vec<(ChunkPos, Held)>,
    /// Whether frames that matter are appended but not synced.
    unsynced: bool,
}

/// A world's folder, opened. All methods take `&self`; threads share it in an `Arc`.
pub struct Store {
    pub(crate) dir: Arc<dyn Dir>,
    settings: Settings,
    generator: Generator,
    registry: RwLock<Arc<Registry>>,
    pub(crate) regions: RwLock<PositionMap<Arc<View>>>,
    /// Grows whenever a view is replaced.
    generation: AtomicU64,
    /// Regions whose directories a crash or a failed checkpoint may have torn.
    pub(crate) switching: RwLock<HashSet<RegionPos>>,
    writer: Option<Mutex<Writer>>,
    opened_standing: Standing,
    opened_notes: Notes,
    opened_mark: Mark,
    /// Names that are journaled with the first change of whoever has them.
    introduced: Mutex<BTreeMap<ActorId, String>>,
    /// One fsync of the journal at a time.
    sync_turn: Mutex<()>,
    /// One checkpoint or load at a time.
    pub(crate) checkpoint_turn: Mutex<()>,
    /// Since when nobody has looked into a region.
    pub(crate) ages: Mutex<Ages>,
    poisoned: OnceLock<String>,
    notices: Vec<String>,
    _lock: Option<Box<dyn Any + Send + Sync>>,
}
impl Store {
    /// Makes a world. The folders of `dir` must exist ([`crate::OsDir::make_folders`]).
    pub fn create(dir: &dyn Dir, settings: &Settings, registry: &Registry) -> Result<(), StoreError> {
        if dir.list("").at("listing", "the world's folder", 0)?.iter().any(|name| name == settings::SETTINGS_FILE) {
            return Err(StoreError::WorldExists { folder: "this folder".into() });
        }
        settings::write_registry(dir, registry)?;
        journal::create_segment(dir, 1, &settings.id, 1)?;
        let mark = Mark {
            sequence: 1,
            epoch: 0,
            segment: 1,
            history: 1,
            offset: journal::SEGMENT_HEAD,
            frame: 1,
            identity: settings.identity(),
        };
        mark.create(dir)?;
        settings::replace_file(dir, settings::SETTINGS_COPY, settings.to_toml().as_bytes())?;
        // Last, because its presence is what makes the folder a world.
        settings::replace_file(dir, settings::SETTINGS_FILE, settings.to_toml().as_bytes())
    }

    /// Opens a world whose generator has built-in stages only; see [`Store::open_with`].
    pub fn open(dir: Arc<dyn Dir>, access: Access) -> Result<Self, StoreError> {
        Self::open_with(dir, access, &BuiltInOnly)
    }

    /// Opens a world: reads the settings, replays the journal's tail, and, for writing, raises the epoch durably.
    /// `source` has the stages of the generator that are not built in.
    pub fn open_with(dir: Arc<dyn Dir>, access: Access, source: &dyn StageSource) -> Result<Self, StoreError> {
        let names = dir.list("").at("listing", "the world's folder", 0)?;
        if !names.iter().any(|name| name == settings::SETTINGS_FILE) {
            return Err(StoreError::NotAWorld { folder: "this folder".into(), missing: settings::SETTINGS_FILE });
        }
        let lock = match access {
            Access::Read => None,
            Access::Write => Some(take_lock(&*dir)?),
        };
        let settings = settings::read_settings(&*dir, settings::SETTINGS_FILE)?;
        let names = settings::read_registry_names(&*dir, settings::REGISTRY_FILES[0])?;
        let registry = Registry::from_names(&names, &settings.rules)?;
        let generator = settings::make_generator(&*dir, &settings, &registry, source)?;
        let (mut mark, mark_damaged) = Mark::read(&*dir)?;
        if mark.identity != settings.identity() {
            if !is_untouched(&*dir, &settings.id, &mark)? {
                let what =
                    "id, seed, generator or plug-ins are not those the world was made with: put back what was there";
                return Err(StoreError::corrupt(settings::SETTINGS_FILE, 0, what));
            }
            // Nothing has been made from the old settings, so the new ones are pinned; a writer makes that durable.
            if access == Access::Write {
                settings::replace_file(&*dir, settings::SETTINGS_COPY, settings.to_toml().as_bytes())?;
            }
            mark.identity = settings.identity();
        }
        let replayed = replay(&*dir, &settings.id, &generator, &mark, access)?;
        let mut notices = Vec::new();
        if mark_damaged {
            notices.push("one of the two marks in journal/mark is damaged; the other one was enough".to_owned());
        }
        if replayed.torn_bytes > 0 {
            notices.push(format!(
                "{} bytes at the journal's end were never acknowledged and are dropped",
                replayed.torn_bytes
            ));
        }
        let needs_checkpoint = replayed.unfinished_load || !replayed.switching.is_empty();
        let mut store = Self {
            dir,
            settings,
            generator,
            registry: RwLock::new(Arc::new(registry)),
            regions: RwLock::new(replayed.views.into_iter().map(|(pos, view)| (pos, Arc::new(view))).collect()),
            generation: AtomicU64::new(1),
            switching: RwLock::new(replayed.switching.into_iter().collect()),
            writer: None,
            opened_standing: replayed.standing,
            opened_notes: replayed.notes,
            opened_mark: mark,
            introduced: Mutex::default(),
            sync_turn: Mutex::new(()),
            checkpoint_turn: Mutex::new(()),
            ages: Mutex::new(Ages::default()),
            poisoned: OnceLock::new(),
            notices,
            _lock: lock,
        };
        if access == Access::Write {
            store.become_writer(mark, replayed.end, replayed.highest_epoch)?;
            if needs_checkpoint {
                store.checkpoint()?;
            }
        }
        Ok(store)
    }

    /// Raises the epoch above every one that was ever used, and only then goes on with the journal.
    fn become_writer(&mut self, mark: Mark, end: Place, highest_epoch: u32) -> Result<(), StoreError> {
        let switching = |pos: RegionPos| self.switching.read().contains(&pos);
        stored::remove_replaced(&*self.dir, &self.settings.id, &switching)?;
        let spent = || StoreError::corrupt("the journal", 0, format!("it names epoch {}, the last there is", u32::MAX));
        let epoch = mark.epoch.max(highest_epoch).checked_add(1).ok_or_else(spent)?;
        let mark = Mark { sequence: mark.sequence + 1, epoch, ..mark };
        mark.write(&*self.dir)?;
        let journal = Journal::resume(Arc::clone(&self.dir), self.settings.id, end)?
            .with_segments_of(history::segment_bytes(self.settings.history));
        self.opened_standing.epoch = epoch;
        let (standing, notes) = (self.opened_standing.clone(), self.opened_notes.clone());
        let (pending, unsynced, time_ms) = (Vec::new(), false, 0);
        self.writer = Some(Mutex::new(Writer { journal, standing, notes, mark, time_ms, pending, unsynced }));
        Ok(())
    }

    /// What `world.toml` says.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
    /// The registry as it stands.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }
    /// Where the world stood when it was opened; its epoch is this owner's.
    pub const fn standing(&self) -> &Standing {
        &self.opened_standing
    }
    /// Where the world stands with everything committed so far, for the writer.
    pub fn current_standing(&self) -> Standing {
        self.writer.as_ref().map_or_else(|| self.opened_standing.clone(), |writer| writer.lock().standing.clone())
    }
    /// What opening had to put right, in sentences for a log.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    pub(crate) fn must_write(&self) -> Result<(), StoreError> {
        self.writer().map(drop)
    }

    fn writer(&self) -> Result<&Mutex<Writer>, StoreError> {
        if let Some(reason) = self.poisoned.get() {
            return Err(StoreError::Poisoned { reason: reason.clone() });
        }
        self.writer.as_ref().ok_or(StoreError::OpenedForReading)
    }

    /// Remembers a failed fsync for good.
    pub(crate) fn watch<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Poisoned { reason }) = &result {
            let _ = self.poisoned.set(reason.clone());
        }
        result
    }

    /// Appends what a tick changed to the journal. It is durable, and seen by readers, after the next [`Store::sync`].
    pub fn commit(&self, deltas: &Deltas, time_ms: u64) -> Result<(), StoreError> {
        let mut writer = self.writer()?.lock();
        let writer = &mut *writer;
        if deltas.chunks.is_empty() && deltas.actors.is_empty() && deltas.columns.is_empty() {
            writer.standing.tick = deltas.tick;
            return Ok(());
        }
        let tick = deltas.tick;
        let mut records = {
            let introduced = self.introduced.lock();
            writer.notes.name(&writer.journal, deltas, &introduced, &writer.standing.actors)
        };
        records.extend(writer.journal.deltas(tick, time_ms, &deltas.chunks));
        let epoch = writer.standing.epoch;
        for ColumnUpdate { column, state, fresh } in &deltas.columns {
            let (column_sequence, state) = (writer.journal.column_sequence(*column), state.to_bytes(fresh));
            records.push(Record::Column { tick, time_ms, column_sequence, column: *column, epoch, state });
        }
        records.push(Record::Tick { tick, time_ms, digest: deltas.digest, actors: deltas.actors.clone() });
        self.watch(writer.journal.append(&records))?;
        writer.unsynced = true;
        writer.time_ms = time_ms;
        writer.pending.extend(deltas.after.iter().cloned());
        hear(&mut writer.standing, tick, deltas.digest, &deltas.actors);
        deltas
            .columns
            .iter()
            .for_each(|update| replay::set_column(&mut writer.standing, update.column, update.state.clone()));
        Ok(())
    }

    /// Says what somebody calls themselves; it is journaled with their first change.
    pub fn introduce(&self, actor: ActorId, name: &str) {
        let mut introduced = self.introduced.lock();
        if introduced.len() >= INTRODUCED_MAX {
            introduced.pop_first();
        }
        introduced.insert(actor, name.to_owned());
    }

    /// Notes that an undo has begun: durable with the next sync, and remembered until it ends. Its number must be the tick after
    /// the last one, and that tick is taken by it.
    pub fn begin_undo(&self, request: &Request) -> Result<(), StoreError> {
        let mut writer = self.writer()?.lock();
        self.append_note(&mut writer, Record::UndoBegins(request.clone()))?;
        replay::begin_undo(&mut writer.standing, request.id);
        Ok(())
    }

    /// Notes that an undo is done, and with it the one that it takes back.
    pub fn end_undo(&self, undo: u64) -> Result<(), StoreError> {
        let mut writer = self.writer()?.lock();
        self.append_note(&mut writer, Record::UndoEnds { undo })
    }

    fn append_note(&self, writer: &mut Writer, record: Record) -> Result<(), StoreError> {
        self.watch(writer.journal.append(std::slice::from_ref(&record)))?;
        writer.unsynced = true;
        writer.notes.hear(&record);
        Ok(())
    }

    /// Undos that have begun and not ended, in the order in which they began.
    pub fn unfinished_undos(&self) -> Vec<Request> {
        match &self.writer {
            Some(writer) => writer.lock().notes.undos().cloned().collect(),
            None => self.opened_notes.undos().cloned().collect(),
        }
    }

    /// The journal as history.
    pub fn history(&self) -> Result<History<'_>, StoreError> {
        let first = self.writer.as_ref().map_or(self.opened_mark.history, |writer| writer.lock().mark.history);
        History::open(&*self.dir, self.settings.id, first)
    }

    /// Makes everything appended so far durable and shows it to readers. Commits may go on meanwhile; the next call
    /// takes them all. Gives the tick that is durable now.
    pub fn sync(&self) -> Result<u64, StoreError> {
        let _turn = self.sync_turn.lock();
        let writer = self.writer()?;
        let (file, sequence, pending, tick) = {
            let mut writer = writer.lock();
            if !writer.unsynced {
                return Ok(writer.standing.tick);
            }
            writer.unsynced = false;
            let (file, sequence) = writer.journal.to_sync();
            (file, sequence, std::mem::take(&mut writer.pending), writer.standing.tick)
        };
        self.watch(file.sync().synced("the journal"))?;
        let mut writer = writer.lock();
        self.publish(pending)?;
        self.watch(writer.journal.synced(sequence))?;
        Ok(tick)
    }

    /// Puts chunks into the overlays of their regions, where readers find them.
    fn publish(&self, chunks: Vec<(ChunkPos, Held)>) -> Result<(), StoreError> {
        let mut by_region: BTreeMap<RegionPos, Vec<(usize, Held)>> = BTreeMap::new();
        for (pos, held) in chunks {
            by_region.entry(pos.region()).or_default().push((pos.index_in_region(), held));
        }
        for (region, chunks) in by_region {
            let opened = self.view(region)?;
            let mut regions = self.regions.write();
            // A checkpoint or a packing may have opened another file of it since.
            let mut view = (**regions.entry(region).or_insert(opened)).clone();
            chunks.into_iter().for_each(|(index, held)| view.put(index, held));
            regions.insert(region, Arc::new(view));
        }
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The region as it stands, opened if need be.
    pub(crate) fn view(&self, pos: RegionPos) -> Result<Arc<View>, StoreError> {
        if let Some(view) = self.regions.read().get(&pos) {
            view.touched.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(view));
        }
        let file = self.open_region(pos)?;
        let mut regions = self.regions.write();
        if regions.len() >= OPEN_MAX {
            regions.retain(|_, view| view.overlay.is_some());
            self.generation.fetch_add(1, Ordering::Release);
        }
        let view = View { file, overlay: None, touched: Arc::new(true.into()) };
        // Another thread may have been faster, and have changed it since.
        Ok(Arc::clone(regions.entry(pos).or_insert_with(|| Arc::new(view))))
    }

    fn open_region(&self, pos: RegionPos) -> Result<Option<Stored>, StoreError> {
        let switching = self.switching.read().contains(&pos);
        open_region(&*self.dir, pos, &self.settings.id, switching, self.writer.is_none())
    }

    /// Reads a region's directories again, after another process has switched them.
    pub(crate) fn reopen(&self, pos: RegionPos) -> Result<(), StoreError> {
        let file = self.open_region(pos)?;
        let mut regions = self.regions.write();
        let mut view = View { file, ..regions.get(&pos).map(|view| (**view).clone()).unwrap_or_default() };
        view.touched.store(true, Ordering::Relaxed);
        view.drop_written();
        regions.insert(pos, Arc::new(view));
        drop(regions);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// A reading end for one thread.
    pub fn reader(self: &Arc<Self>) -> Reader {
        Reader::new(Arc::clone(self))
    }

    /// The chunk as last synced; `None` if it is not stored.
    pub fn chunk(&self, pos: ChunkPos) -> Result<Option<Held>, StoreError> {
        for _ in 0..READ_ATTEMPTS {
            let view = self.view(pos.region())?;
            let read = view.chunk(pos.index_in_region());
            if view.file.as_ref().is_none_or(|file| file.is_current()) {
                return read;
            }
            self.reopen(pos.region())?;
        }
        Err(StoreError::corrupt(
            &region::file_name(pos.region()),
            0,
            "its directories change faster than they can be read",
        ))
    }

    /// Every region that holds a chunk, in ascending order.
    pub fn stored_regions(&self) -> Result<Vec<RegionPos>, StoreError> {
        let names = self.dir.list("regions").at("listing", "regions", 0)?;
        let mut found: BTreeSet<RegionPos> = names.iter().filter_map(|name| stored::parse_file_name(name)).collect();
        found.extend(self.regions.read().iter().filter(|(_, view)| view.overlay.is_some()).map(|(pos, _)| *pos));
        Ok(found.into_iter().collect())
    }

    /// How many regions stand in files, packed and not, and their bytes.
    pub fn sizes(&self) -> Result<Sizes, StoreError> {
        stored::sizes(&*self.dir)
    }

    /// The stored chunks of one region, by index.
    pub fn stored_chunks(&self, region: RegionPos) -> Result<Vec<ChunkPos>, StoreError> {
        let view = self.view(region)?;
        Ok((0..REGION_CHUNKS).filter(|index| view.has(*index)).map(|index| region.chunk(index)).collect())
    }

    /// Whether a chunk is stored.
    pub fn has_chunk(&self, pos: ChunkPos) -> Result<bool, StoreError> {
        Ok(self.view(pos.region())?.has(pos.index_in_region()))
    }

    /// Heap bytes of changed chunks that wait for a checkpoint.
    pub fn dirty_bytes(&self) -> usize {
        let held = |view: &Arc<View>| -> usize {
            view.overlay.iter().flat_map(|overlay| overlay.iter().flatten()).map(|held| held.chunk.memory_bytes()).sum()
        };
        self.regions.read().values().map(held).sum()
    }

    /// Regions with changed chunks that wait for a checkpoint.
    pub fn dirty_regions(&self) -> usize {
        self.regions.read().values().filter(|view| view.overlay.is_some()).count()
    }

    /// Gives names ids, durably, before any chunk uses them. Gives the registry with them.
    pub fn register(&self, names: &BTreeSet<String>) -> Result<Arc<Registry>, StoreError> {
        let _writer = self.writer()?.lock();
        let mut registry = (*self.registry()).clone();
        if !registry.register_all(names)?.is_empty() {
            self.watch(settings::write_registry(&*self.dir, &registry))?;
            *self.registry.write() = Arc::new(registry);
        }
        Ok(self.registry())
    }

    /// Writes every changed chunk to a fresh slot, switches directories, and moves the replay mark. Commits may go on
    /// meanwhile. Gives the number of chunks written.
    pub fn checkpoint(&self) -> Result<usize, StoreError> {
        let _turn = self.checkpoint_turn.lock();
        let (place, dirty) = self.begin_checkpoint()?;
        let written = self.watch(self.write_checkpoint(&dirty));
        if written.is_err() {
            // A directory may be half written; until the next checkpoint it may be torn.
            self.switching.write().extend(dirty.keys().copied());
        }
        written?;
        self.end_checkpoint(place, &dirty)?;
        Ok(dirty.values().map(|view| (0..REGION_CHUNKS).filter(|i| view.held(*i).is_some()).count()).sum())
    }

    /// Notes in the journal where the world stands and which regions will be switched, and takes the changed chunks.
    fn begin_checkpoint(&self) -> Result<(Place, BTreeMap<RegionPos, Arc<View>>), StoreError> {
        let (place, dirty) = loop {
            self.sync()?;
            let mut writer = self.writer()?.lock();
            if !writer.pending.is_empty() {
                continue;
            }
            let mut dirty: BTreeMap<RegionPos, Arc<View>> = self.dirty_views();
            for pos in self.switching.read().iter() {
                dirty.entry(*pos).or_insert(self.view(*pos)?);
            }
            let regions = dirty.iter().filter(|(_, view)| is_switched(view)).map(|(pos, _)| *pos).collect();
            let mut records = replay::standing_records(&writer.standing, &writer.notes);
            records.push(Record::SwitchBegins { regions });
            let place = writer.journal.place();
            self.watch(writer.journal.append(&records))?;
            writer.unsynced = true;
            // A new segment may have been begun for the frame.
            let after = writer.journal.place();
            let place = if after.segment == place.segment {
                place
            } else {
                Place { segment: after.segment, offset: journal::SEGMENT_HEAD, frame: place.frame }
            };
            break (place, dirty);
        };
        self.sync()?;
        Ok((place, dirty))
    }

    fn dirty_views(&self) -> BTreeMap<RegionPos, Arc<View>> {
        let regions = self.regions.read();
        regions.iter().filter(|(_, view)| view.overlay.is_some()).map(|(pos, view)| (*pos, Arc::clone(view))).collect()
    }

    fn write_checkpoint(&self, dirty: &BTreeMap<RegionPos, Arc<View>>) -> Result<(), StoreError> {
        let mut new = Vec::new();
        for (pos, view) in dirty {
            let changed = encode_overlay(view);
            match &view.file {
                None => {
                    region::write_new(&*self.dir, *pos, &self.settings.id, self.epoch(), 0, &by_reference(&changed))?;
                    region::publish_new(&*self.dir, *pos)?;
                    new.push((*pos, None));
                }
                Some(Stored::Packed(file)) => {
                    self.write_unpacked(*pos, file, &by_reference(&changed))?;
                    region::publish_new(&*self.dir, *pos)?;
                    new.push((*pos, view.file.clone()));
                }
                Some(Stored::Slots(file)) => {
                    // A directory that a crash has torn is the older one, so this overwrites it.
                    region::write_slots(&*self.dir, file, self.epoch(), &by_reference(&changed))?.finish()?;
                    self.reopen_switched(*pos)?;
                }
            }
        }
        if !new.is_empty() {
            self.dir.sync("regions").synced("regions")?;
        }
        new.into_iter().try_for_each(|(pos, replaced)| self.reopen_replaced(pos, replaced.as_ref()))
    }

    fn reopen_switched(&self, pos: RegionPos) -> Result<(), StoreError> {
        self.switching.write().remove(&pos);
        self.reopen(pos)
    }

    /// Opens the file that holds a region now, durably, and removes the one that held it before.
    pub(crate) fn reopen_replaced(&self, pos: RegionPos, replaced: Option<&Stored>) -> Result<(), StoreError> {
        self.reopen_switched(pos)?;
        replaced.map_or(Ok(()), |file| file.remove(&*self.dir))
    }

    fn end_checkpoint(&self, place: Place, dirty: &BTreeMap<RegionPos, Arc<View>>) -> Result<(), StoreError> {
        {
            let mut writer = self.writer()?.lock();
            self.watch(writer.journal.append(&[Record::SwitchEnds]))?;
            writer.unsynced = true;
        }
        self.sync()?;
        let mut switching = self.switching.write();
        switching.retain(|pos| !dirty.contains_key(pos));
        drop(switching);
        let mut writer = self.writer()?.lock();
        let mark = Mark {
            sequence: writer.mark.sequence + 1,
            segment: place.segment,
            history: self.history_begins(&writer)?,
            offset: place.offset,
            frame: place.frame,
            ..writer.mark
        };
        self.watch(mark.write(&*self.dir))?;
        let before = std::mem::replace(&mut writer.mark, mark);
        drop(writer);
        // Only what both marks have given up: if one of them is damaged, the other one misses nothing.
        history::remove_before(&*self.dir, before.history)
    }

    /// The first segment that is kept from now on. An unfinished undo may need all there is.
    fn history_begins(&self, writer: &Writer) -> Result<u32, StoreError> {
        let Mark { history, segment, .. } = writer.mark;
        if writer.notes.undos().next().is_some() {
            return Ok(history);
        }
        history::first_kept(&*self.dir, (history, segment), self.settings.history, writer.time_ms)
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.opened_standing.epoch
    }

    /// Loads whole chunks (import, generation): straight into slots, with one `Replaced` record each. The chunks of one
    /// region come to be all at once or not at all. Gives how many were loaded.
    pub fn load(&self, chunks: Vec<(ChunkPos, Chunk)>, how: Load, time_ms: u64) -> Result<usize, StoreError> {
        self.load_as(chunks, how, Shape::Slots, time_ms)
    }

    /// The same, and says what regions become that have no file yet. Packed ones that have are unpacked.
    pub fn load_as(
        &self,
        chunks: Vec<(ChunkPos, Chunk)>,
        how: Load,
        shape: Shape,
        time_ms: u64,
    ) -> Result<usize, StoreError> {
        let _turn = self.checkpoint_turn.lock();
        self.writer()?;
        let loads = self.plan_load(chunks, how, shape)?;
        if loads.is_empty() {
            return Ok(0);
        }
        self.watch(self.sync())?;
        let result = self.watch(self.write_load(&loads, time_ms));
        if result.is_err() {
            self.switching.write().extend(loads.iter().map(|load| load.pos));
        }
        result
    }

    fn plan_load(
        &self,
        chunks: Vec<(ChunkPos, Chunk)>,
        how: Load,
        shape: Shape,
    ) -> Result<Vec<RegionLoad>, StoreError> {
        let mut by_region: BTreeMap<RegionPos, BTreeMap<usize, Chunk>> = BTreeMap::new();
        for (pos, chunk) in chunks {
            by_region.entry(pos.region()).or_default().insert(pos.index_in_region(), chunk);
        }
        let mut existing: Vec<ChunkPos> = Vec::new();
        let mut loads = Vec::new();
        for (pos, mut chunks) in by_region {
            let view = self.view(pos)?;
            existing.extend(chunks.keys().filter(|index| view.has(**index)).map(|index| pos.chunk(*index)));
            if how == Load::KeepExisting {
                chunks.retain(|index, _| !view.has(*index));
            }
            if !chunks.is_empty() {
                loads.push((pos, view, chunks));
            }
        }
        if let (Load::OnlyNew, Some(first)) = (how, existing.first()) {
            return Err(StoreError::ChunksExist { first: *first, count: existing.len() });
        }
        let epoch = self.epoch();
        let encode = |view: &View, index: usize, chunk: Chunk| {
            let from = view.version(index);
            (index, from, slot::encode(&chunk, from.next(epoch)))
        };
        Ok(loads
            .into_par_iter()
            .map(|(pos, view, chunks)| {
                let chunks = chunks.into_iter().map(|(index, chunk)| encode(&view, index, chunk)).collect();
                RegionLoad { pos, view, chunks, shape }
            })
            .collect())
    }

    fn write_load(&self, loads: &[RegionLoad], time_ms: u64) -> Result<usize, StoreError> {
        // Slots first, then the records, then what makes the slots count.
        let switches = loads.par_iter().map(|load| self.write_load_slots(load)).collect::<Result<Vec<_>, _>>()?;
        self.journal_load(loads, time_ms)?;
        let mut new = false;
        for (load, switch) in loads.iter().zip(switches) {
            match switch {
                Some(switch) => switch.finish()?,
                None => {
                    match load.is_packed() {
                        true => packed::publish_new(&*self.dir, load.pos)?,
                        false => region::publish_new(&*self.dir, load.pos)?,
                    }
                    new = true;
                }
            }
        }
        if new {
            self.dir.sync("regions").synced("regions")?;
        }
        let mut writer = self.writer()?.lock();
        writer.journal.append(&[Record::SwitchEnds])?;
        writer.unsynced = true;
        writer.standing.digest = loads.iter().fold(writer.standing.digest, |sum, load| sum.wrapping_add(load.digest()));
        drop(writer);
        for load in loads {
            let replaced = load.view.file.as_ref().filter(|file| file.is_packed());
            self.reopen_replaced(load.pos, replaced)?;
        }
        Ok(loads.iter().map(|load| load.chunks.len()).sum())
    }

    fn write_load_slots(&self, load: &RegionLoad) -> Result<Option<region::Switch>, StoreError> {
        let chunks: Vec<(usize, &Encoded)> = load.chunks.iter().map(|(index, _, encoded)| (*index, encoded)).collect();
        match &load.view.file {
            Some(Stored::Slots(file)) => {
                return region::write_slots(&*self.dir, file, self.epoch(), &chunks).map(Some);
            }
            Some(Stored::Packed(file)) => return self.write_unpacked(load.pos, file, &chunks).map(|()| None),
            None => {}
        }
        // Changed chunks of a region that has no file yet go in with the loaded ones.
        let changed = encode_overlay(&load.view);
        let mut all = chunks.clone();
        all.extend(by_reference(&changed).into_iter().filter(|(index, _)| !chunks.iter().any(|(at, _)| at == index)));
        all.sort_by_key(|(index, _)| *index);
        match load.shape {
            Shape::Packed => {
                packed::write_new(&*self.dir, load.pos, &self.settings.id, self.epoch(), 1, &all).map(|_| None)
            }
            Shape::Slots => {
                region::write_new(&*self.dir, load.pos, &self.settings.id, self.epoch(), 0, &all).map(|()| None)
            }
        }
    }

    fn journal_load(&self, loads: &[RegionLoad], time_ms: u64) -> Result<(), StoreError> {
        let mut writer = self.writer()?.lock();
        let regions = loads.iter().filter(|load| is_switched(&load.view)).map(|load| load.pos).collect();
        let mut records = vec![Record::SwitchBegins { regions }];
        let tick = writer.standing.tick;
        for load in loads {
            for (index, from, encoded) in &load.chunks {
                let pos = load.pos.chunk(*index);
                let column_sequence = writer.journal.column_sequence(pos.column());
                let checksum = encoded.entry.checksum;
                records.push(Record::Replaced {
                    tick,
                    time_ms,
                    column_sequence,
                    pos,
                    from: *from,
                    to: encoded.entry.version,
                    checksum,
                });
            }
        }
        writer.journal.append(&records)?;
        writer.unsynced = true;
        drop(writer);
        self.sync().map(drop)
    }

    /// Checkpoints and lets go of the world; dropping does without and leaves the tail to the next start.
    pub fn close(self) -> Result<(), StoreError> {
        self.checkpoint().map(drop)
    }

    /// The chunk as last synced, or as the world's generator makes it.
    pub fn chunk_or_generated(&self, pos: ChunkPos) -> Result<Held, StoreError> {
        match self.chunk(pos)? {
            Some(held) => Ok(held),
            None => Ok(Held { chunk: Arc::new(self.generator.chunk(pos)?), version: Version::GENERATED }),
        }
    }

    /// The generator of chunks that are not stored.
    pub const fn generator(&self) -> &Generator {
        &self.generator
    }

    /// What the store was opened for.
    pub(crate) const fn access(&self) -> Access {
        match self.writer {
            Some(_) => Access::Write,
            None => Access::Read,
        }
    }

    /// A number that changes whenever a region does.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

/// One region's part of a load: by index, the version before and the encoded chunk.
struct RegionLoad {
    pos: RegionPos,
    view: Arc<View>,
    chunks: Vec<(usize, Version, Encoded)>,
    /// What it becomes if it has no file yet.
    shape: Shape,
}

impl RegionLoad {
    /// Whether it comes to be as a packed file.
    fn is_packed(&self) -> bool {
        self.view.file.is_none() && self.shape == Shape::Packed
    }

    /// What these chunks add to the running digest.
    fn digest(&self) -> u64 {
        let term =
            |(index, _, encoded): &(usize, Version, Encoded)| load_term(self.pos.chunk(*index), encoded.entry.checksum);
        self.chunks.iter().map(term).fold(0, u64::wrapping_add)
    }
}

/// Whether a change of a region is a switch of directories, and not a new file.
fn is_switched(view: &View) -> bool {
    view.file.as_ref().is_some_and(|file| !file.is_packed())
}

fn encode_overlay(view: &View) -> Vec<(usize, Encoded)> {
    let Some(overlay) = &view.overlay else { return Vec::new() };
    let held = overlay.par_iter().enumerate().filter_map(|(index, held)| Some((index, held.as_ref()?)));
    // Edits only widen a chunk's form, so it is made as small as it can be once, here.
    held.map(|(index, held)| (index, slot::encode(&held.chunk.compacted(), held.version))).collect()
}

pub(crate) fn by_reference(chunks: &[(usize, Encoded)]) -> Vec<(usize, &Encoded)> {
    chunks.iter().map(|(index, encoded)| (*index, encoded)).collect()
}

pub(crate) fn take_lock(dir: &dyn Dir) -> Result<Box<dyn Any + Send + Sync>, StoreError> {
    dir.lock(LOCK_FILE).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => StoreError::Locked { folder: "this world".into() },
        _ => StoreError::io("locking", LOCK_FILE, 0, &error),
    })
}
/// A store as the world's source of chunks.
pub struct StoreSource(pub Arc<Store>);

impl ChunkSource for StoreSource {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        self.0.chunk_or_generated(pos).map_err(|error| SourceError(error.to_string()))
    }

    fn load_stack(&self, positions: &[ChunkPos]) -> Vec<Result<Held, SourceError>> {
        let told = |error: StoreError| SourceError(error.to_string());
        let stored: Vec<_> = positions.iter().map(|pos| self.0.chunk(*pos)).collect();
        let missing = positions.iter().zip(&stored).filter(|(_, stored)| matches!(stored, Ok(None)));
        let missing: Vec<ChunkPos> = missing.map(|(pos, _)| *pos).collect();
        let Ok(made) = self.0.generator.chunks(&missing) else {
            // One of them can't be made: each tells for itself.
            return positions.iter().map(|pos| self.load(*pos)).collect();
        };
        let mut made = made.into_iter();
        let mut held = |stored: Option<Held>| {
            let generated = |chunk| Held { chunk: Arc::new(chunk), version: Version::GENERATED };
            stored.or_else(|| made.next().map(generated)).expect("one was made for each that is missing")
        };
        stored.into_iter().map(|stored| stored.map(&mut held).map_err(told)).collect()
    }
}
