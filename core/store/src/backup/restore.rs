//! A world from a backup and the earlier ones that it was taken since. All of it is checked before anything is written.

use super::BackupError;
use super::file::{BackupFile, Body, Entry};
use crate::door::Dir;
use crate::error::{Context, StoreError};
use crate::journal;
use crate::mark::Mark;
use crate::notes::Notes;
use crate::region;
use crate::replay::standing_records;
use crate::settings::{self, Settings};
use crate::slot::Encoded;
use crate::store::{Access, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::delta::outer::Outer;
use terrane_world::digest::{ContentDigest, chunk_hash};
use terrane_world::generate::stage::StageSource;
use terrane_world::physics::state::ColumnState;
use terrane_world::space::{ChunkPos, ColumnPos, RegionPos};
use terrane_world::step::{ActorId, ActorState, Standing};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The tick that the world stands at.
    pub tick: u64,
    /// The running digest after it.
    pub digest: u64,
    /// The content hash of all chunks.
    pub content: String,
    /// How many there are.
    pub chunks: usize,
}

/// Makes a world of a backup. `bases` are the earlier files of its chain, in any order. The folders of `to` exist and hold
/// nothing; so does `plugins` if there are any. `identity` gives what the content hash covers beside the chunks.
pub fn restore(
    backup: &BackupFile,
    bases: &[BackupFile],
    to: &Arc<dyn Dir>,
    source: &dyn StageSource,
    identity: &dyn Fn(&Settings) -> String,
    progress: &dyn Fn(usize, usize),
) -> Result<Restored, BackupError> {
    let found: Vec<String> = ["", "regions", "journal"]
        .iter()
        .map(|folder| to.list(folder).at("listing", folder, 0))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .filter(|name| !["regions", "journal", "plugins"].contains(&name.as_str()))
        .collect();
    if let Some(found) = found.first() {
        return Err(BackupError::NotEmpty { found: found.clone() });
    }
    let chain = Chain::of(backup, bases)?;
    let body = backup.body();
    let settings = read_settings(backup)?;
    let standing = read_standing(backup)?;
    chain.check(&settings, &identity(&settings), progress)?;
    write(body, &chain, &settings, &standing, &**to, progress)?;
    // The proof that it opens; from now on what stands in its journal is known to be durable.
    let store = Store::open_with(Arc::clone(to), Access::Write, source)?;
    let (tick, digest) = (store.standing().tick, store.standing().digest);
    store.close()?;
    Ok(Restored { tick, digest, content: body.content.clone(), chunks: body.index.len() })
}

/// A backup and its bases, in the order in which its index counts them.
struct Chain<'a>(Vec<&'a BackupFile>);

impl<'a> Chain<'a> {
    fn of(backup: &'a BackupFile, bases: &'a [BackupFile]) -> Result<Self, BackupError> {
        let mut chain = vec![backup];
        for checksum in &backup.body().bases {
            let missing = || BackupError::MissingBase { file: backup.name().to_owned(), checksum: *checksum };
            let base = bases.iter().find(|base| base.checksum() == *checksum).ok_or_else(missing)?;
            if base.world() != backup.world() {
                return Err(BackupError::OtherWorld { file: base.name().to_owned() });
            }
            chain.push(base);
        }
        Ok(Self(chain))
    }

    fn slot(&self, pos: ChunkPos, entry: &Entry, outer: &mut Outer) -> Result<(Chunk, Encoded), BackupError> {
        self.0[entry.file as usize].slot(pos, entry, outer)
    }

    /// Reads every chunk and compares it with its hash, and all of them with the content hash.
    fn check(&self, settings: &Settings, identity: &str, progress: &dyn Fn(usize, usize)) -> Result<(), BackupError> {
        let backup = self.0[0];
        let registry = read_registry(backup, settings)?;
        let (mut outer, mut content) = (Outer::new(), ContentDigest::new(identity));
        let index = &backup.body().index;
        for (done, (pos, entry)) in index.iter().enumerate() {
            progress(done, 2 * index.len());
            let (chunk, _) = self.slot(*pos, entry, &mut outer)?;
            if chunk_hash(&registry, *pos, &chunk, None) != entry.hash {
                let (file, what) = (backup.name().to_owned(), "its content has another hash".to_owned());
                return Err(BackupError::Chunk { file, pos: *pos, what });
            }
            content.add(*pos, entry.hash);
        }
        if content.finish() == backup.body().content {
            return Ok(());
        }
        Err(damaged(backup, "its chunks together do not have the content hash of its tick"))
    }
}

fn damaged(backup: &BackupFile, what: &str) -> BackupError {
    BackupError::Damaged { file: backup.name().to_owned(), offset: 0, what: what.to_owned() }
}

fn read_settings(backup: &BackupFile) -> Result<Settings, BackupError> {
    let text =
        std::str::from_utf8(&backup.body().settings).map_err(|_| damaged(backup, "its settings are not UTF-8"))?;
    let settings = Settings::parse(text)?;
    if settings.id == *backup.world() {
        return Ok(settings);
    }
    Err(damaged(backup, "its settings are of another world than its header"))
}

fn read_registry(backup: &BackupFile, settings: &Settings) -> Result<Registry, BackupError> {
    let names = settings::parse_registry(settings::REGISTRY_FILES[0], &backup.body().registry)?;
    Ok(Registry::from_names(&names, &settings.rules).map_err(StoreError::from)?)
}

fn read_standing(backup: &BackupFile) -> Result<Standing, BackupError> {
    let body = backup.body();
    let actors =
        body.actors.iter().map(|[id, sequence, tick]| (ActorId(*id), ActorState { sequence: *sequence, tick: *tick }));
    let mut standing = Standing { epoch: body.epoch, tick: body.tick, digest: body.digest, ..Standing::default() };
    standing.actors = actors.collect();
    for (x, z, state) in &body.columns {
        let column = ColumnPos::new(*x, *z).map_err(|_| damaged(backup, "a column lies outside of the world"))?;
        let state = ColumnState::from_bytes(state, None)
            .map_err(|_| damaged(backup, "what is under way in a column can't be read"))?;
        standing.columns.insert(column, state);
    }
    Ok(standing)
}

/// The world's files; the settings last, because their presence is what makes the folder a world.
fn write(
    body: &Body,
    chain: &Chain<'_>,
    settings: &Settings,
    standing: &Standing,
    to: &dyn Dir,
    progress: &dyn Fn(usize, usize),
) -> Result<(), BackupError> {
    for name in settings::REGISTRY_FILES.iter().rev() {
        settings::replace_file(to, name, &body.registry)?;
    }
    for (name, wasm) in &body.plugins {
        settings::replace_file(to, &settings::plugin_file(name), wasm)?;
    }
    if !body.plugins.is_empty() {
        to.sync("plugins").synced("plugins")?;
    }
    write_regions(body, chain, settings, to, progress)?;
    journal::begin_anew(to, 1, &settings.id, 1, &standing_records(standing, &Notes::default()))?;
    let offset = journal::SEGMENT_HEAD;
    // Nothing was cut: its history begins here.
    let (epoch, identity) = (body.epoch, settings.identity());
    Mark { sequence: 1, epoch, segment: 1, history: 0, offset, frame: 1, identity }.create(to)?;
    settings::replace_file(to, settings::SETTINGS_COPY, &body.settings)?;
    Ok(settings::replace_file(to, settings::SETTINGS_FILE, &body.settings)?)
}

fn write_regions(
    body: &Body,
    chain: &Chain<'_>,
    settings: &Settings,
    to: &dyn Dir,
    progress: &dyn Fn(usize, usize),
) -> Result<(), BackupError> {
    let mut regions: BTreeMap<RegionPos, BTreeMap<usize, ChunkPos>> = BTreeMap::new();
    for pos in body.index.keys() {
        regions.entry(pos.region()).or_default().insert(pos.index_in_region(), *pos);
    }
    let (mut outer, mut done) = (Outer::new(), body.index.len());
    for (region, chunks) in regions {
        let slot = |(index, pos): (&usize, &ChunkPos)| {
            chain.slot(*pos, &body.index[pos], &mut outer).map(|(_, slot)| (*index, slot))
        };
        let slots = chunks.iter().map(slot).collect::<Result<Vec<_>, _>>()?;
        let slots: Vec<(usize, &Encoded)> = slots.iter().map(|(index, slot)| (*index, slot)).collect();
        region::write_new(to, region, &settings.id, body.epoch, 0, &slots)?;
        region::publish_new(to, region)?;
        done += slots.len();
        progress(done, 2 * body.index.len());
    }
    Ok(to.sync("regions").synced("regions")?)
}
