//! Recovery: brings the world up to date from the journal's tail.

use crate::door::Dir;
use crate::error::{Context, StoreError};
use crate::journal::{self, Place, Record, Scan, Scanned};
use crate::mark::Mark;
use crate::notes::Notes;
use crate::store::Access;
use crate::stored::{self, Stored, parse_file_name};
use crate::view::View;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::digest::load_term;
use terrane_world::generate::Generator;
use terrane_world::physics::state::ColumnState;
use terrane_world::space::{ColumnPos, LocalIndex, RegionPos};
use terrane_world::step::{ActorId, ActorState, ChunkDelta, Held, Standing, forget_silent_actors};

/// How often a region that another process is just switching is read again.
pub const READ_ATTEMPTS: usize = 100;

/// What replaying the journal's tail found.
pub struct Replayed {
    pub standing: Standing,
    pub notes: Notes,
    pub views: BTreeMap<RegionPos, View>,
    pub switching: BTreeSet<RegionPos>,
    pub end: Place,
    /// Whether a load was cut off.
    pub unfinished_load: bool,
    pub highest_epoch: u32,
    pub torn_bytes: u64,
}
/// Opens a region; a reader beside a writer reads again what the writer may just have been switching.
pub fn open_region(
    dir: &dyn Dir,
    pos: RegionPos,
    world: &[u8; 16],
    switching: bool,
    patient: bool,
) -> Result<Option<Stored>, StoreError> {
    let mut result = stored::open(dir, pos, world, switching);
    for _ in 0..if patient { READ_ATTEMPTS } else { 0 } {
        if !matches!(result, Err(StoreError::Corrupt { .. })) {
            break;
        }
        result = stored::open(dir, pos, world, switching);
    }
    result
}

/// Whether nothing was ever stored in a world: no region, and no change in the journal.
pub fn is_untouched(dir: &dyn Dir, world: &[u8; 16], mark: &Mark) -> Result<bool, StoreError> {
    let regions = dir.list("regions").at("listing", "regions", 0)?;
    if mark.segment != 1 || regions.iter().any(|name| parse_file_name(name).is_some()) {
        return Ok(false);
    }
    let first = Place { segment: 1, offset: journal::SEGMENT_HEAD, frame: 1 };
    let (frames, ..) = read_tail(dir, world, first)?;
    let changes =
        |record: &Record| !matches!(record, Record::State { .. } | Record::SwitchBegins { .. } | Record::SwitchEnds);
    Ok(!frames.iter().flat_map(|frame| &frame.records).any(changes))
}

/// Brings the world up to date from the journal's tail.
pub fn replay(
    dir: &dyn Dir,
    world: &[u8; 16],
    generator: &Generator,
    mark: &Mark,
    access: Access,
) -> Result<Replayed, StoreError> {
    let start = Place { segment: mark.segment, offset: mark.offset, frame: mark.frame };
    let (frames, end, torn_bytes) = read_tail(dir, world, start)?;
    let switching = unfinished_switches(frames.iter().flat_map(|frame| &frame.records));
    let synced = frames.iter().map(|frame| frame.synced).max().unwrap_or(0);
    let standing = Standing { epoch: mark.epoch, ..Standing::default() };
    let mut replay = Replay {
        dir,
        generator,
        world,
        access,
        switching,
        views: BTreeMap::new(),
        standing,
        notes: Notes::default(),
        unfinished_load: false,
        highest_epoch: mark.epoch,
        lenient: false,
    };
    for frame in &frames {
        // Beside a writer, a frame that is not yet known to be durable may still be taken back by a crash.
        if access == Access::Read && frame.sequence > synced {
            break;
        }
        frame.records.iter().try_for_each(|record| replay.record(record))?;
    }
    let Replay { standing, notes, views, switching, unfinished_load, highest_epoch, .. } = replay;
    Ok(Replayed { standing, notes, views, switching, end, unfinished_load, highest_epoch, torn_bytes })
}

/// Every whole frame from `start` to the journal's end.
pub fn read_tail(
    dir: &dyn Dir,
    world: &[u8; 16],
    start: Place,
) -> Result<(Vec<journal::Frame>, Place, u64), StoreError> {
    let segments = dir.list("journal").at("listing", "journal", 0)?;
    let mut frames = Vec::new();
    let mut place = start;
    loop {
        let mut scan = Scan::open(dir, world, place)?;
        let (end, torn_bytes) = loop {
            match scan.advance() {
                Scanned::Frame(frame, _) => frames.push(frame),
                Scanned::End { offset, torn_bytes } => break (offset, torn_bytes),
                Scanned::Damaged { offset, missing, .. } => {
                    let what =
                        format!("frames {} to {} had been synced and are not whole", missing.start, missing.end - 1);
                    return Err(StoreError::corrupt(scan.name(), offset, what));
                }
            }
        };
        let next = Place { segment: place.segment + 1, offset: journal::SEGMENT_HEAD, frame: scan.next_sequence() };
        let next_name = journal::segment_name(next.segment);
        if !segments.iter().any(|name| next_name.ends_with(name.as_str()) && name.ends_with(".trj")) {
            return Ok((frames, Place { segment: place.segment, offset: end, frame: next.frame }, torn_bytes));
        }
        // A segment is synced before the next one is begun.
        let first = Scan::open(dir, world, next)?.next_sequence();
        if torn_bytes > 0 || first != next.frame {
            let what =
                format!("frames {} to {} had been synced and are not whole", next.frame, first.saturating_sub(1));
            return Err(StoreError::corrupt(scan.name(), end, what));
        }
        place = next;
    }
}

/// Regions whose switch began and did not end.
fn unfinished_switches<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeSet<RegionPos> {
    let mut open = BTreeSet::new();
    for record in records {
        match record {
            Record::SwitchBegins { regions } => open.extend(regions.iter().copied()),
            Record::SwitchEnds => open.clear(),
            _ => {}
        }
    }
    open
}

struct Replay<'a> {
    dir: &'a dyn Dir,
    generator: &'a Generator,
    world: &'a [u8; 16],
    access: Access,
    switching: BTreeSet<RegionPos>,
    views: BTreeMap<RegionPos, View>,
    standing: Standing,
    notes: Notes,
    unfinished_load: bool,
    highest_epoch: u32,
    /// A frame has been given up by repair: from here on new values count, whatever stood there before.
    lenient: bool,
}

impl Replay<'_> {
    fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        self.notes.hear(record);
        match record {
            Record::Deltas { deltas, .. } => deltas.chunks.iter().try_for_each(|delta| self.delta(delta))?,
            Record::Delta { delta, .. } => self.delta(delta)?,
            Record::UndoBegins(request) => begin_undo(&mut self.standing, request.id),
            Record::Replaced { pos, to, checksum, .. } => {
                self.highest_epoch = self.highest_epoch.max(to.epoch);
                // The switch is what counts; the record alone may stand for a load that was cut off.
                if self.view(pos.region())?.version(pos.index_in_region()) >= *to {
                    self.standing.digest = self.standing.digest.wrapping_add(load_term(*pos, *checksum));
                } else {
                    self.unfinished_load = true;
                }
            }
            Record::Tick { tick, digest, actors, .. } => hear(&mut self.standing, *tick, *digest, actors),
            Record::State { tick, digest, actors, .. } => begin(&mut self.standing, *tick, *digest, actors),
            Record::Column { column, epoch, state, .. } => {
                self.highest_epoch = self.highest_epoch.max(*epoch);
                hear_column(&mut self.standing, *column, state, self.lenient)?;
            }
            Record::Lost => self.lenient = true,
            Record::SwitchBegins { .. } | Record::SwitchEnds | Record::Name { .. } | Record::UndoEnds { .. } => {}
        }
        Ok(())
    }

    fn view(&mut self, pos: RegionPos) -> Result<&mut View, StoreError> {
        use std::collections::btree_map::Entry;
        match self.views.entry(pos) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let file =
                    open_region(self.dir, pos, self.world, self.switching.contains(&pos), self.access == Access::Read)?;
                Ok(entry.insert(View { file, ..View::default() }))
            }
        }
    }

    fn delta(&mut self, delta: &ChunkDelta) -> Result<(), StoreError> {
        self.highest_epoch = self.highest_epoch.max(delta.to.epoch);
        let index = delta.pos.index_in_region();
        let (generator, lenient) = (self.generator, self.lenient);
        let view = self.view(delta.pos.region())?;
        if delta.to <= view.version(index) {
            return Ok(());
        }
        // What nobody stored was generated when it changed, and generating it again gives the same bytes.
        let held = match view.chunk(index)? {
            Some(held) => held,
            None => Held { chunk: Arc::new(generator.chunk(delta.pos)?), version: Version::GENERATED },
        };
        let version = held.version;
        if delta.from != version && !lenient {
            let what = format!("chunk {} is at {version:?}, but the journal goes on from {:?}", delta.pos, delta.from);
            return Err(StoreError::corrupt("the journal", 0, what));
        }
        let mut chunk = (*held.chunk).clone();
        match apply(&mut chunk, delta) {
            Err(error) if !lenient => return Err(error),
            _ => {}
        }
        view.put(index, Held { chunk: Arc::new(chunk), version: delta.to });
        Ok(())
    }
}

/// Applies a delta whose old values must be what stands there; all of it is applied even if they are not.
pub fn apply(chunk: &mut Chunk, delta: &ChunkDelta) -> Result<(), StoreError> {
    let mut result = Ok(());
    let damaged = |what: String| StoreError::corrupt("the journal", 0, format!("chunk {}: {what}", delta.pos));
    for run in &delta.runs {
        for index in run.first.get()..run.first.get() + run.length {
            let local = LocalIndex::new(index).expect("checked when the record was read");
            let old = chunk.set(local, run.new);
            if old != run.old {
                result =
                    Err(damaged(format!("voxel {index} holds block {}, the journal expects {}", old.0, run.old.0)));
            }
        }
    }
    for change in &delta.sparse {
        if let Err(error) = chunk.set_sparse(change.local, change.new.clone()) {
            result = Err(damaged(error.to_string()));
        }
    }
    result
}

/// The records that say where a world stands, for a frame that replay may begin with.
pub fn standing_records(standing: &Standing, notes: &Notes) -> Vec<Record> {
    let Standing { epoch, tick, digest, actors, columns } = standing;
    let actors = actors.iter().map(|(actor, state)| (*actor, *state)).collect();
    let mut records = vec![Record::State { tick: *tick, time_ms: 0, digest: *digest, actors }];
    records.extend(columns.iter().map(|(column, state)| Record::Column {
        tick: *tick,
        time_ms: 0,
        column_sequence: 0,
        column: *column,
        epoch: *epoch,
        state: state.to_bytes(&state.bodies.keys().copied().collect()),
    }));
    records.extend(notes.records(&standing.actors));
    records
}

/// The world stands as a state record says; what is under way follows in records of columns.
pub fn begin(standing: &mut Standing, tick: u64, digest: u64, actors: &[(ActorId, ActorState)]) {
    (standing.tick, standing.digest) = (tick, digest);
    standing.actors = actors.iter().copied().collect();
    standing.columns.clear();
}

/// Takes in what a record says is under way in a column. Behind a lost frame, bodies that only it told of are left out.
pub fn hear_column(standing: &mut Standing, column: ColumnPos, bytes: &[u8], lenient: bool) -> Result<(), StoreError> {
    let before = standing.columns.get(&column);
    let state = match ColumnState::from_bytes(bytes, before) {
        Ok(state) => state,
        Err(_) if lenient => ColumnState::salvage(bytes, before).map(|(state, _)| state).unwrap_or_default(),
        Err(error) => {
            let what = format!("column {},{}: {error}", column.x(), column.z());
            return Err(StoreError::corrupt("the journal", 0, what));
        }
    };
    set_column(standing, column, state);
    Ok(())
}

/// Puts what is under way in a column.
pub fn set_column(standing: &mut Standing, column: ColumnPos, state: ColumnState) {
    if state.is_empty() {
        standing.columns.remove(&column);
    } else {
        standing.columns.insert(column, state);
    }
}

/// An undo takes a tick to begin, so that no other has its number.
pub fn begin_undo(standing: &mut Standing, id: u64) {
    standing.tick = standing.tick.max(id);
}

pub fn hear(standing: &mut Standing, tick: u64, digest: u64, actors: &[(ActorId, u64)]) {
    standing.tick = tick;
    standing.digest = digest;
    for (actor, sequence) in actors {
        standing.actors.insert(*actor, ActorState { sequence: *sequence, tick });
    }
    forget_silent_actors(&mut standing.actors);
}
