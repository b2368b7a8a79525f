//! Taking a backup: a copy of what is found, and then the journal on top of it, up to what is durable.
//!
//! Chunks are copied one after the other, each as some tick left it. The journal from the mark on, as it was when the copy began,
//! says what came before and since; it is read up to the last frame that is known to be synced, and what the copies lack of it is
//! applied as replay does. Everything in a region file had been synced in the journal before, so no copy is ever ahead of what
//! is read after it. A load is in no journal: its chunks are copied again, and the journal is read once more.

use super::BackupError;
use super::file::{BackupFile, Body, Entry, Writing};
use crate::door::Dir;
use crate::error::StoreError;
use crate::journal::{Frame, Place, Record};
use crate::mark::Mark;
use crate::replay::{self, apply, begin, hear, hear_column};
use crate::settings;
use crate::slot;
use crate::store::{Access, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_world::block::Registry;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::digest::{ContentDigest, chunk_hash, load_term};
use terrane_world::generate::stage::StageSource;
use terrane_world::space::{ChunkPos, RegionPos};
use terrane_world::step::{ChunkDelta, Held, Standing};

/// How often a backup is begun before it gives up.
const ATTEMPTS: usize = 3;
/// How often one attempt reads the journal: each time loads have come between.
const ROUNDS: usize = 64;

/// What taking a backup needs from outside.
pub struct Hooks<'a> {
    /// What the content hash covers beside the chunks: seed and generator, as `terrane digest` has them.
    pub identity: &'a str,
    /// The stages of the generator that are not built in.
    pub source: &'a dyn StageSource,
    /// Called with regions copied and to copy.
    pub progress: &'a dyn Fn(usize, usize),
    /// Waits a moment for a load to end.
    pub pause: &'a dyn Fn(),
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The tick that the backup shows.
    pub tick: u64,
    /// The running digest after it.
    pub digest: u64,
    /// The content hash.
    pub content: String,
    /// Chunks of the world.
    pub chunks: usize,
    /// Of those, how many are in this file.
    pub copied: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// The checksum at its end.
    pub checksum: u64,
}

/// Takes a backup of the world in `dir` as `name` in `out`. With `since` only what differs from that one is in it.
pub fn take(
    dir: &Arc<dyn Dir>,
    out: &dyn Dir,
    name: &str,
    since: Option<&BackupFile>,
    hooks: &Hooks<'_>,
) -> Result<Taken, BackupError> {
    for attempt in 1..=ATTEMPTS {
        match attempt_once(dir, out, name, since, hooks) {
            // The journal has gone on without what this attempt began with.
            Err(BackupError::FellBehind { .. }) if attempt < ATTEMPTS => (hooks.pause)(),
            Err(error) => {
                if !matches!(error, BackupError::Exists { .. }) {
                    // What was begun is of no use; if it can't be removed, that is not what went wrong.
                    let _ = out.remove(&format!("{name}.new"));
                }
                return Err(error);
            }
            result => return result,
        }
    }
    Err(BackupError::FellBehind { attempts: ATTEMPTS })
}

fn attempt_once(
    dir: &Arc<dyn Dir>,
    out: &dyn Dir,
    name: &str,
    since: Option<&BackupFile>,
    hooks: &Hooks<'_>,
) -> Result<Taken, BackupError> {
    // Read before anything is copied: what the regions lack when they are copied stands behind it.
    let (mark, _) = Mark::read(&**dir)?;
    let store = Arc::new(Store::open_with(Arc::clone(dir), Access::Read, hooks.source)?);
    if let Some(since) = since.filter(|since| *since.world() != store.settings().id) {
        return Err(BackupError::OtherWorld { file: since.name().to_owned() });
    }
    let writing = Writing::begin(out, name, &store.settings().id)?;
    let mut copy = Copy { dir, store, since, writing, index: BTreeMap::new() };
    copy.all(hooks.progress)?;
    for _ in 0..ROUNDS {
        let heard = copy.hear(&mark)?;
        if copy.copy_again(&heard)? {
            continue;
        }
        if copy.is_ahead(&heard) {
            (hooks.pause)();
            continue;
        }
        copy.apply(&heard)?;
        return copy.finish(heard.standing, mark.epoch.max(heard.epoch), hooks.identity);
    }
    Err(BackupError::FellBehind { attempts: ATTEMPTS })
}

/// What the journal says, up to a frame that is known to be durable.
#[derive(Default)]
struct Heard {
    standing: Standing,
    epoch: u32,
    deltas: BTreeMap<ChunkPos, Vec<ChunkDelta>>,
    /// Chunks that were loaded, with their last version from a load.
    loaded: BTreeMap<ChunkPos, Version>,
    /// Versions of a load that has not ended yet, and of what is behind it: they do not count.
    later: Vec<(ChunkPos, Version)>,
}

impl Heard {
    /// Adds up frames. What is behind a load that has not ended is left out, and that load is named.
    fn of(frames: &[Frame]) -> Result<Self, StoreError> {
        let mut heard = Self::default();
        let ended = ended_loads(frames);
        for (number, frame) in frames.iter().enumerate() {
            let is_load = frame.records.iter().any(|record| matches!(record, Record::Replaced { .. }));
            match ended.get(&number) {
                None if is_load => {
                    heard.later = frames[number..].iter().flat_map(|frame| &frame.records).flat_map(changed).collect();
                    return Ok(heard);
                }
                // It was cut off, and nobody will end it.
                Some(false) => continue,
                _ => {}
            }
            frame.records.iter().try_for_each(|record| heard.record(record))?;
        }
        Ok(heard)
    }

    fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        for delta in record.deltas().map_or(&[][..], |(_, _, deltas)| deltas) {
            self.epoch = self.epoch.max(delta.to.epoch);
            self.deltas.entry(delta.pos).or_default().push(delta.clone());
        }
        match record {
            Record::UndoBegins(request) => replay::begin_undo(&mut self.standing, request.id),
            Record::Replaced { pos, to, checksum, .. } => {
                self.epoch = self.epoch.max(to.epoch);
                self.loaded.insert(*pos, *to);
                self.standing.digest = self.standing.digest.wrapping_add(load_term(*pos, *checksum));
            }
            Record::Tick { tick, digest, actors, .. } => hear(&mut self.standing, *tick, *digest, actors),
            Record::State { tick, digest, actors, .. } => begin(&mut self.standing, *tick, *digest, actors),
            Record::Column { column, epoch, state, .. } => {
                self.epoch = self.epoch.max(*epoch);
                hear_column(&mut self.standing, *column, state, false)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// The chunks that a record changes, and what they become.
fn changed(record: &Record) -> Vec<(ChunkPos, Version)> {
    match record {
        Record::Replaced { pos, to, .. } => vec![(*pos, *to)],
        _ => {
            record.deltas().map_or(&[][..], |(_, _, deltas)| deltas).iter().map(|delta| (delta.pos, delta.to)).collect()
        }
    }
}

/// The frames with loads, by number, of which it is known whether they ended: another switch that begins means that it did not.
fn ended_loads(frames: &[Frame]) -> BTreeMap<usize, bool> {
    let (mut ended, mut open) = (BTreeMap::new(), None);
    for (number, record) in frames.iter().enumerate().flat_map(|(n, frame)| frame.records.iter().map(move |r| (n, r))) {
        match record {
            Record::SwitchBegins { .. } => {
                open.take().map(|load| ended.insert(load, false));
            }
            Record::SwitchEnds => {
                open.take().map(|load| ended.insert(load, true));
            }
            Record::Replaced { .. } => open = Some(number),
            _ => {}
        }
    }
    ended
}

/// A backup under way.
struct Copy<'a> {
    dir: &'a Arc<dyn Dir>,
    store: Arc<Store>,
    since: Option<&'a BackupFile>,
    writing: Writing<'a>,
    index: BTreeMap<ChunkPos, Entry>,
}

impl Copy<'_> {
    fn all(&mut self, progress: &dyn Fn(usize, usize)) -> Result<(), BackupError> {
        let regions = self.store.stored_regions()?;
        for (done, region) in regions.iter().enumerate() {
            progress(done, regions.len());
            self.region(*region)?;
        }
        progress(regions.len(), regions.len());
        Ok(())
    }

    fn region(&mut self, region: RegionPos) -> Result<(), BackupError> {
        let mut found: Vec<(ChunkPos, Held)> = Vec::new();
        for pos in self.store.stored_chunks(region)? {
            if let Some(entry) = self.unchanged(pos)? {
                self.index.insert(pos, entry);
                continue;
            }
            found.extend(self.held(pos)?.map(|held| (pos, held)));
        }
        self.put(&found)
    }

    /// The entry of a chunk that an earlier backup has in the very version.
    fn unchanged(&self, pos: ChunkPos) -> Result<Option<Entry>, StoreError> {
        let Some(since) = self.since else { return Ok(None) };
        let Some(earlier) = since.body().index.get(&pos) else { return Ok(None) };
        let (view, index) = (self.store.view(pos.region())?, pos.index_in_region());
        if view.version(index) != earlier.version {
            return Ok(None);
        }
        // Versions are not used twice by one world, but may be by one that was restored and went another way.
        let checksum = match view.held(index) {
            Some(held) => Some(slot::encode(&held.chunk.compacted(), held.version).entry.checksum),
            None => view.file.as_ref().map(|file| file.entry(index).checksum),
        };
        Ok((checksum == Some(earlier.checksum)).then(|| Entry { file: earlier.file + 1, ..*earlier }))
    }

    /// A chunk as its region file holds it, or will after a checkpoint.
    fn held(&self, pos: ChunkPos) -> Result<Option<Held>, StoreError> {
        if let Some(held) = self.store.view(pos.region())?.held(pos.index_in_region()) {
            return Ok(Some(Held { chunk: Arc::new(held.chunk.compacted()), version: held.version }));
        }
        self.store.chunk(pos)
    }

    fn put(&mut self, found: &[(ChunkPos, Held)]) -> Result<(), BackupError> {
        if found.is_empty() {
            return Ok(());
        }
        // Read behind the chunks, so that it has every block that they do.
        let registry = read_registry(&**self.dir, self.store.settings())?;
        for (pos, held) in found {
            self.put_one(&registry, *pos, &held.chunk, held.version)?;
        }
        Ok(())
    }

    fn put_one(
        &mut self,
        registry: &Registry,
        pos: ChunkPos,
        chunk: &Chunk,
        version: Version,
    ) -> Result<(), BackupError> {
        let entry = self.writing.chunk(chunk, version, chunk_hash(registry, pos, chunk, None))?;
        self.index.insert(pos, entry);
        Ok(())
    }

    fn version(&self, pos: ChunkPos) -> Version {
        self.index.get(&pos).map_or(Version::NONE, |entry| entry.version)
    }

    /// Reads the journal from the mark on, up to the last frame that is known to be durable.
    fn hear(&self, mark: &Mark) -> Result<Heard, BackupError> {
        let place = Place { segment: mark.segment, offset: mark.offset, frame: mark.frame };
        let read = replay::read_tail(&**self.dir, &self.store.settings().id, place);
        let (mut frames, ..) = read.map_err(|error| match Mark::read(&**self.dir) {
            Ok((now, _)) if now.frame > mark.frame => BackupError::FellBehind { attempts: ATTEMPTS },
            _ => error.into(),
        })?;
        let synced = frames.iter().map(|frame| frame.synced).max().unwrap_or(0);
        frames.retain(|frame| frame.sequence <= synced);
        Ok(Heard::of(&frames)?)
    }

    /// Copies again what was loaded since, and what is to be changed and lies in an earlier file; whether there was any.
    fn copy_again(&mut self, heard: &Heard) -> Result<bool, BackupError> {
        let loaded = heard.loaded.iter().filter(|(pos, to)| self.version(**pos) < **to).map(|(pos, _)| *pos);
        let earlier = heard.deltas.iter().filter(|(pos, deltas)| {
            let entry = self.index.get(pos).filter(|entry| entry.file > 0);
            entry.is_some_and(|entry| deltas.iter().any(|delta| delta.to > entry.version))
        });
        let again: BTreeSet<ChunkPos> = loaded.chain(earlier.map(|(pos, _)| *pos)).collect();
        let regions: BTreeSet<RegionPos> = again.iter().map(|pos| pos.region()).collect();
        regions.into_iter().try_for_each(|region| self.store.reopen(region))?;
        let mut found = Vec::new();
        for pos in &again {
            found.extend(self.held(*pos)?.map(|held| (*pos, held)));
        }
        self.put(&found)?;
        Ok(!again.is_empty())
    }

    /// Whether a copy has something of a load that has not ended, or of what is behind it.
    fn is_ahead(&self, heard: &Heard) -> bool {
        heard.later.iter().any(|(pos, to)| self.version(*pos) >= *to)
    }

    /// Brings every copy to where the journal leads.
    fn apply(&mut self, heard: &Heard) -> Result<(), BackupError> {
        let registry = read_registry(&**self.dir, self.store.settings())?;
        for (pos, deltas) in &heard.deltas {
            let copied = self.version(*pos);
            let mut missing = deltas.iter().filter(|delta| delta.to > copied).peekable();
            if missing.peek().is_none() {
                continue;
            }
            let (mut chunk, mut version) = match self.index.get(pos) {
                Some(entry) => (self.writing.read(*pos, &entry.clone())?, entry.version),
                None => (self.store.generator().chunk(*pos).map_err(StoreError::from)?, Version::GENERATED),
            };
            for delta in missing {
                if delta.from != version {
                    let what = format!("chunk {pos} is at {version:?}, but the journal goes on from {:?}", delta.from);
                    return Err(StoreError::corrupt("the journal", 0, what).into());
                }
                apply(&mut chunk, delta)?;
                version = delta.to;
            }
            self.put_one(&registry, *pos, &chunk.compacted(), version)?;
        }
        Ok(())
    }

    fn finish(self, standing: Standing, epoch: u32, identity: &str) -> Result<Taken, BackupError> {
        let Self { dir, store, since, writing, index } = self;
        let mut content = ContentDigest::new(identity);
        index.iter().for_each(|(pos, entry)| content.add(*pos, entry.hash));
        let plugins = settings::read_plugins(&**dir, &store.settings().generator)?;
        let bases = since.map(|since| std::iter::once(since.checksum()).chain(since.body().bases.iter().copied()));
        let body = Body {
            tick: standing.tick,
            digest: standing.digest,
            epoch,
            content: content.finish(),
            settings: settings::read_file(&**dir, settings::SETTINGS_FILE)?,
            registry: settings::read_file(&**dir, settings::REGISTRY_FILES[0])?,
            plugins: plugins.into_iter().map(|plugin| (plugin.name, plugin.wasm)).collect(),
            actors: standing.actors.iter().map(|(actor, state)| [actor.0, state.sequence, state.tick]).collect(),
            columns: (standing.columns.iter())
                .map(|(at, state)| (at.x(), at.z(), state.to_bytes(&state.bodies.keys().copied().collect())))
                .collect(),
            bases: bases.into_iter().flatten().collect(),
            index,
        };
        let copied = body.index.values().filter(|entry| entry.file == 0).count();
        let (bytes, checksum) = writing.finish(&body)?;
        let Body { tick, digest, content, index, .. } = body;
        Ok(Taken { tick, digest, content, chunks: index.len(), copied, bytes, checksum })
    }
}

fn read_registry(dir: &dyn Dir, settings: &settings::Settings) -> Result<Registry, StoreError> {
    let names = settings::read_registry_names(dir, settings::REGISTRY_FILES[0])?;
    Ok(Registry::from_names(&names, &settings.rules)?)
}
