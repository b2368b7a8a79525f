//! `terrane check`: every checksum of a world's folder, and repair from what the folder still knows.
//!
//! Sources of repair, each named in the report: the registry's copy, the other mark, the other directory of a
//! region, the slot a chunk had before, the world's generator, and the journal, which takes a chunk from any older
//! version to the newest. What can't be restored is left as it is and reported.

use crate::door::{Dir, Open};
use crate::error::{Context, StoreError};
use crate::journal::{self, Place, Record, Scan, Scanned};
use crate::mark::{self, Mark};
use crate::notes::Notes;
use crate::packed::{self, PackedFile};
use crate::region::{self, RegionFile};
use crate::replay::{self, apply, begin, hear, hear_column, is_untouched};
use crate::settings::{self, REGISTRY_FILES, Settings};
use crate::slot::{self, Encoded};
use crate::store::{Access, Store, by_reference, take_lock};
use crate::stored::{self, Stored};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_world::block::Registry;
use terrane_world::chunk::{Chunk, Form, Version, new_blocks};
use terrane_world::generate::Generator;
use terrane_world::generate::stage::{BuiltInOnly, StageSource};
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{ChunkPos, RegionPos};
use terrane_world::step::{ChunkDelta, Standing};

/// One thing that is wrong, and what can be or was done about it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The byte in it.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
    /// What can be done about it; with `repair`, what was.
    pub repair: Repair,
}

/// What can be done about a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// It can be made whole again from this.
    From(String),
    /// The world can go on with this, but something is lost.
    Partly(String),
    /// Nothing is left to repair it from; it stays as it is.
    Impossible,
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Regions read.
    pub regions: usize,
    /// Of those, how many are packed.
    pub packed: usize,
    /// Stored chunks whose bytes were compared with their checksums.
    pub chunks: usize,
    /// Journal frames read.
    pub frames: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Report {
    fn add(&mut self, file: &str, offset: u64, what: impl Into<String>, repair: Repair) {
        self.problems.push(Problem { file: file.to_owned(), offset, what: what.into(), repair });
    }

    fn add_error(&mut self, error: &StoreError, repair: Repair) {
        let (file, offset, what) = match error {
            StoreError::Corrupt { file, offset, what } => (file.clone(), *offset, what.clone()),
            StoreError::Truncated { file, offset } => (file.clone(), *offset, "it is cut short".to_owned()),
            StoreError::Io { file, offset, reason, .. } => (file.clone(), *offset, reason.clone()),
            StoreError::Version { file, .. } => (file.clone(), 8, error.to_string()),
            other => ("the world's folder".to_owned(), 0, other.to_string()),
        };
        self.problems.push(Problem { file, offset, what, repair });
    }

    /// Whether something is wrong that nothing can make whole again.
    pub fn has_losses(&self) -> bool {
        self.problems.iter().any(|problem| !matches!(problem.repair, Repair::From(_)))
    }
}

/// Checks a world whose generator has built-in stages only; see [`check_with`].
pub fn check(dir: Arc<dyn Dir>, repair: bool, progress: &dyn Fn(usize, usize)) -> Result<Report, StoreError> {
    check_with(dir, repair, &BuiltInOnly, progress)
}

/// Checks a world; with `repair` also restores what can be, and then opens it once for writing.
///
/// `source` has the stages of the generator that are not built in. `progress` is called with region files done and to do.
pub fn check_with(
    dir: Arc<dyn Dir>,
    repair: bool,
    source: &dyn StageSource,
    progress: &dyn Fn(usize, usize),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let lock = if repair { Some(take_lock(&*dir)?) } else { None };
    let whole = run(&*dir, repair, source, &mut report, progress)?;
    drop(lock);
    if repair && whole && !report.problems.is_empty() {
        // The proof that it opens; it also raises the epoch and writes what the journal's tail holds.
        if let Err(error) = Store::open_with(dir, Access::Write, source).and_then(Store::close) {
            report.add_error(&error, Repair::Impossible);
        }
    }
    Ok(report)
}

/// The parts in the order in which they are needed; `false` if one is lost without which the others mean nothing.
fn run(
    dir: &dyn Dir,
    repair: bool,
    source: &dyn StageSource,
    report: &mut Report,
    progress: &dyn Fn(usize, usize),
) -> Result<bool, StoreError> {
    let mark = Mark::read(dir);
    let pinned = |(mark, _): &(Mark, bool)| (!is_untouched_by_anyone(dir, mark)).then_some(mark.identity);
    let identity = mark.as_ref().ok().and_then(pinned);
    let Some(settings) = check_settings(dir, repair, identity, report)? else { return Ok(false) };
    let Some(registry) = check_registry(dir, repair, &settings, report)? else { return Ok(false) };
    let mark = check_mark(dir, repair, &settings, mark, report)?;
    let highest_epoch = mark.map_or(0, |mark| mark.epoch);
    let start = Mark { identity: settings.identity(), ..start_without_mark(dir, &settings)? };
    let mut checker = Checker {
        dir,
        settings: &settings,
        source,
        repair,
        report,
        mark: mark.unwrap_or(start),
        highest_epoch,
        standing: Standing::default(),
        notes: Notes::default(),
    };
    let history = checker.journal()?;
    checker.regions(&registry, &history, progress)?;
    if mark.is_none() && repair {
        let epoch = checker.highest_epoch.saturating_add(1);
        Mark { sequence: 1, epoch, ..start }.create(dir)?;
    }
    Ok(true)
}

/// As long as nothing is stored, another generator may still be chosen. A journal that can't be read has something in it.
fn is_untouched_by_anyone(dir: &dyn Dir, mark: &Mark) -> bool {
    let id = settings::read_settings(dir, settings::SETTINGS_FILE).map(|settings| settings.id);
    id.and_then(|id| is_untouched(dir, &id, mark)).unwrap_or(false)
}

fn check_settings(
    dir: &dyn Dir,
    repair: bool,
    identity: Option<u64>,
    report: &mut Report,
) -> Result<Option<Settings>, StoreError> {
    let fits = |settings: &Settings| identity.is_none_or(|identity| identity == settings.identity());
    let read = |file| match settings::read_settings(dir, file) {
        Ok(settings) if !fits(&settings) => {
            Err(StoreError::corrupt(file, 0, "id, seed or generator are not those the world was made with"))
        }
        result => result,
    };
    match (read(settings::SETTINGS_FILE), read(settings::SETTINGS_COPY)) {
        (Ok(settings), Ok(_)) => Ok(Some(settings)),
        (Ok(settings), Err(error)) => {
            report.add_error(&error, Repair::From(settings::SETTINGS_FILE.into()));
            if repair {
                settings::replace_file(dir, settings::SETTINGS_COPY, settings.to_toml().as_bytes())?;
            }
            Ok(Some(settings))
        }
        (Err(error), Ok(settings)) => {
            let source = format!(
                "{}, as the world was made: rules of its own that were added since are lost",
                settings::SETTINGS_COPY
            );
            report.add_error(&error, Repair::From(source));
            if repair {
                settings::replace_file(dir, settings::SETTINGS_FILE, settings.to_toml().as_bytes())?;
            }
            Ok(Some(settings))
        }
        (Err(error), Err(_)) => {
            report.add_error(&error, Repair::Impossible);
            Ok(None)
        }
    }
}

fn check_registry(
    dir: &dyn Dir,
    repair: bool,
    settings: &Settings,
    report: &mut Report,
) -> Result<Option<Registry>, StoreError> {
    let read = REGISTRY_FILES.map(|file| settings::read_registry_names(dir, file));
    let names = match &read {
        [Ok(names), Ok(_)] => names,
        [Ok(names), Err(error)] => {
            report.add_error(error, Repair::From("the registry".into()));
            names
        }
        [Err(error), Ok(names)] => {
            report.add_error(error, Repair::From("registry.copy".into()));
            names
        }
        [Err(error), Err(_)] => {
            report.add_error(error, Repair::Impossible);
            return Ok(None);
        }
    };
    let registry = Registry::from_names(names, &settings.rules)?;
    if repair && read.iter().any(Result::is_err) {
        settings::write_registry(dir, &registry)?;
    }
    Ok(Some(registry))
}

/// The mark, or `None` if it is lost and has to be made anew.
fn check_mark(
    dir: &dyn Dir,
    repair: bool,
    settings: &Settings,
    read: Result<(Mark, bool), StoreError>,
    report: &mut Report,
) -> Result<Option<Mark>, StoreError> {
    match read {
        Ok((mark, false)) => Ok(Some(mark)),
        Ok((mark, true)) => {
            report.add(mark::FILE, 0, "one of the two marks is damaged", Repair::From("the other mark".into()));
            let next = Mark { sequence: mark.sequence + 1, identity: settings.identity(), ..mark };
            if repair {
                next.write(dir)?;
                return Ok(Some(next));
            }
            Ok(Some(mark))
        }
        Err(error) => {
            report.add_error(&error, Repair::From("the journal, which is replayed from its beginning".into()));
            Ok(None)
        }
    }
}

/// Where replay begins if no mark says so: at the journal's beginning, as what the regions have already is skipped; if that has
/// been cut, at the first place that says where the world stood.
fn start_without_mark(dir: &dyn Dir, settings: &Settings) -> Result<Mark, StoreError> {
    let begin = Mark { segment: 1, history: 1, offset: journal::SEGMENT_HEAD, frame: 1, ..Mark::default() };
    let segments = journal::segments(dir)?;
    let Some(history) = segments.first().copied().filter(|first| *first > 1) else { return Ok(begin) };
    for segment in segments {
        let place = Place { segment, offset: journal::SEGMENT_HEAD, frame: 0 };
        let Ok(mut scan) = Scan::open(dir, &settings.id, place) else { continue };
        loop {
            match scan.advance() {
                Scanned::Frame(frame, offset) if matches!(frame.records.first(), Some(Record::State { .. })) => {
                    return Ok(Mark { segment, history, offset, frame: frame.sequence, ..begin });
                }
                Scanned::Frame(..) => {}
                Scanned::Damaged { resume, missing, .. } => scan.resume_at(resume, missing.end),
                Scanned::End { .. } => break,
            }
        }
    }
    Ok(begin)
}

/// Whether as many frames as are missing can have stood where they are missing.
fn missing_fit(offset: u64, resume: u64, missing: &std::ops::Range<u64>) -> bool {
    missing.end - missing.start <= (resume - offset) / journal::FRAME_HEAD as u64
}

/// What the journal says of chunks.
#[derive(Default)]
struct History {
    /// Records by chunk, oldest first. Loads that did not end are left out.
    records: BTreeMap<ChunkPos, Vec<Record>>,
    /// What the region files must hold at least: versions from before the replay mark.
    written: BTreeMap<ChunkPos, Version>,
    /// Loads that have begun, until the journal says that they have ended.
    loading: Vec<(ChunkPos, Record)>,
}

impl History {
    fn frame(&mut self, frame: &journal::Frame, mark: &Mark) {
        for record in &frame.records {
            match record {
                Record::Deltas { deltas, time_ms, .. } => {
                    for delta in &deltas.chunks {
                        // By itself, so that a chunk can be brought forward without the others of its tick.
                        let (tick, time_ms, delta) = (deltas.tick, *time_ms, delta.clone());
                        let (pos, to) = (delta.pos, delta.to);
                        let record = Record::Delta { tick, time_ms, column_sequence: 0, delta };
                        self.note(pos, to, &record, frame.sequence < mark.frame);
                    }
                }
                Record::Delta { delta, .. } => self.note(delta.pos, delta.to, record, frame.sequence < mark.frame),
                Record::Replaced { pos, .. } => self.loading.push((*pos, record.clone())),
                Record::SwitchBegins { .. } => self.loading.clear(),
                Record::SwitchEnds => {
                    for (pos, record) in std::mem::take(&mut self.loading) {
                        let Record::Replaced { to, .. } = record else { continue };
                        // A load writes its slots at once, whatever the mark says.
                        self.note(pos, to, &record, true);
                    }
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, pos: ChunkPos, to: Version, record: &Record, written: bool) {
        self.records.entry(pos).or_default().push(record.clone());
        if written {
            let version = self.written.entry(pos).or_default();
            *version = to.max(*version);
        }
    }

    fn of(&self, pos: ChunkPos) -> &[Record] {
        self.records.get(&pos).map_or(&[], Vec::as_slice)
    }
}

struct Checker<'a> {
    dir: &'a dyn Dir,
    settings: &'a Settings,
    source: &'a dyn StageSource,
    repair: bool,
    report: &'a mut Report,
    mark: Mark,
    highest_epoch: u32,
    /// Where the journal's last frames leave the world.
    standing: Standing,
    notes: Notes,
}

impl Checker<'_> {
    /// Damage before the replay mark costs history and nothing else.
    fn harmless(&self, frame: u64) -> Option<Repair> {
        (frame < self.mark.frame)
            .then(|| Repair::From("the region files: it lies before the replay mark, only history is lost".into()))
    }

    /// Reads every segment there is. Damage before the mark costs history; behind it, changes.
    fn journal(&mut self) -> Result<History, StoreError> {
        let mut history = History::default();
        let listed = self.dir.list("journal").at("listing", "journal", 0)?;
        let numbers = |end: &str| -> BTreeSet<u32> {
            listed.iter().filter_map(|name| name.strip_suffix(end)?.parse().ok()).collect()
        };
        let (segments, aside) = (numbers(".trj"), numbers(".trj.damaged"));
        let last = segments.last().copied().unwrap_or(0).max(self.mark.segment);
        let mut reached = 0;
        // What lies before has been cut, whether it is gone already or not.
        for number in self.mark.history.max(1)..=last {
            match (segments.contains(&number), aside.contains(&number)) {
                (true, _) => reached = self.segment(number, &mut history)?.unwrap_or(reached),
                (false, true) => {}
                (false, false) if number < self.mark.segment => {
                    let repair =
                        Repair::From("the region files: it lies before the replay mark, only history is lost".into());
                    self.report.add(&journal::segment_name(number), 0, "it is missing", repair);
                }
                (false, false) => {}
            }
        }
        if reached < self.mark.frame {
            self.begin_anew(last, segments.contains(&self.mark.segment), reached)?;
        }
        Ok(history)
    }

    /// The journal ends before the replay mark, or what stands there can't be read.
    fn begin_anew(&mut self, last: u32, there: bool, reached: u64) -> Result<(), StoreError> {
        let name = journal::segment_name(self.mark.segment);
        let what = if there {
            format!("it ends at frame {reached}, replay begins at frame {}", self.mark.frame)
        } else {
            "it is missing".into()
        };
        let source = "the region files; what was changed after the last checkpoint is lost, if anything was";
        self.report.add(&name, 0, what, Repair::Partly(source.into()));
        if !self.repair {
            return Ok(());
        }
        if there {
            journal::set_aside(self.dir, self.mark.segment)?;
        }
        let records = replay::standing_records(&self.standing, &self.notes);
        journal::begin_anew(self.dir, last + 1, &self.settings.id, self.mark.frame, &records)?;
        self.move_mark(last + 1, self.mark.frame)
    }

    fn move_mark(&mut self, segment: u32, frame: u64) -> Result<(), StoreError> {
        // A lost mark is made at the end, when every epoch has been seen.
        if let Ok((newest, _)) = Mark::read(self.dir) {
            let mark = Mark { sequence: newest.sequence + 1, segment, offset: journal::SEGMENT_HEAD, frame, ..newest };
            mark.write(self.dir)?;
        }
        Ok(())
    }

    /// One segment; gives the sequence that follows its last frame, unless it can't be read.
    fn segment(&mut self, number: u32, history: &mut History) -> Result<Option<u64>, StoreError> {
        let place = Place { segment: number, offset: journal::SEGMENT_HEAD, frame: 0 };
        let mut scan = match Scan::open(self.dir, &self.settings.id, place) {
            Ok(scan) => scan,
            Err(error) if number < self.mark.segment => {
                self.report.add_error(&error, self.harmless(0).unwrap_or(Repair::Impossible));
                return Ok(None);
            }
            Err(error) => {
                self.report.add_error(&error, Repair::Impossible);
                return Ok(None);
            }
        };
        // The whole frames, and stand-ins for what is missing, in case the segment has to be written again.
        let (mut salvaged, mut damaged) = (Vec::new(), false);
        loop {
            match scan.advance() {
                Scanned::Frame(frame, _) => {
                    self.frame(&frame, history);
                    salvaged.push(frame);
                }
                Scanned::End { .. } => break,
                Scanned::Damaged { offset, resume, missing } if !missing_fit(offset, resume, &missing) => {
                    let what = format!(
                        "frame {} had been synced and is not whole, and frame {} behind it is none of this journal's",
                        missing.start, missing.end
                    );
                    self.report.add(scan.name(), offset, what, Repair::Impossible);
                    return Ok(Some(scan.next_sequence()));
                }
                Scanned::Damaged { offset, resume, missing } => {
                    self.damaged_frames(scan.name(), offset, &missing);
                    damaged = true;
                    salvaged.extend(missing.clone().map(journal::stand_in));
                    scan.resume_at(resume, missing.end);
                }
            }
        }
        if damaged && self.repair {
            journal::rewrite_segment(self.dir, number, &self.settings.id, &salvaged)?;
            if self.mark.segment == number {
                // Offsets have moved; replay begins at the segment's start, which only means that it skips more.
                let first = salvaged.first().map_or(self.mark.frame, |frame| frame.sequence);
                self.move_mark(number, first)?;
            }
        }
        Ok(Some(scan.next_sequence()))
    }

    fn frame(&mut self, frame: &journal::Frame, history: &mut History) {
        self.report.frames += 1;
        history.frame(frame, &self.mark);
        for record in &frame.records {
            self.notes.hear(record);
            for ChunkDelta { to, .. } in record.deltas().map_or(&[][..], |(_, _, deltas)| deltas) {
                self.highest_epoch = self.highest_epoch.max(to.epoch);
            }
            match record {
                Record::Replaced { to, .. } => self.highest_epoch = self.highest_epoch.max(to.epoch),
                Record::UndoBegins(request) => replay::begin_undo(&mut self.standing, request.id),
                Record::Tick { tick, digest, actors, .. } => hear(&mut self.standing, *tick, *digest, actors),
                Record::State { tick, digest, actors, .. } => begin(&mut self.standing, *tick, *digest, actors),
                Record::Column { column, epoch, state, .. } => {
                    self.highest_epoch = self.highest_epoch.max(*epoch);
                    // Here as much counts as can be had: what is not whole is told of when it is replayed.
                    let _ = hear_column(&mut self.standing, *column, state, true);
                }
                _ => {}
            }
        }
    }

    fn damaged_frames(&mut self, name: &str, offset: u64, missing: &std::ops::Range<u64>) {
        let what = format!("frames {} to {} had been synced and are not whole", missing.start, missing.end - 1);
        let partly = || Repair::Partly("every whole frame behind it; the changes in those frames are lost".into());
        let repair = self.harmless(missing.start).unwrap_or_else(partly);
        self.report.add(name, offset, what, repair);
    }

    fn regions(
        &mut self,
        registry: &Registry,
        history: &History,
        progress: &dyn Fn(usize, usize),
    ) -> Result<(), StoreError> {
        let listed = self.dir.list("regions").at("listing", "regions", 0)?;
        let mut regions: BTreeSet<RegionPos> = listed.iter().filter_map(|name| stored::parse_file_name(name)).collect();
        self.report.regions = regions.len();
        // Files that the journal says have been written.
        regions.extend(history.written.keys().map(|pos| pos.region()));
        let generator = settings::make_generator(self.dir, self.settings, registry, self.source)?;
        for (done, pos) in regions.iter().enumerate() {
            progress(done, regions.len());
            self.region(*pos, registry, &generator, history)?;
        }
        progress(regions.len(), regions.len());
        Ok(())
    }

    /// Opens a region as well as it can be, and says what of it must be written again.
    fn open_region(&mut self, pos: RegionPos) -> Result<Opened, StoreError> {
        let world = &self.settings.id;
        let error = match stored::open(self.dir, pos, world, false) {
            Ok(file) => return Ok(Opened { file, torn: None }),
            Err(error) => error,
        };
        if let Ok(Some(file @ Stored::Slots(_))) = stored::open(self.dir, pos, world, true) {
            return Ok(Opened { file: Some(file), torn: Some(error) });
        }
        if let Some(file) = self.other_file(pos, &error)? {
            return Ok(Opened { file: Some(file), torn: None });
        }
        match RegionFile::open_without_header(self.dir, pos) {
            Ok(file) => {
                self.report.add_error(&error, Repair::From("its name and world.toml".into()));
                if self.repair {
                    region::write_header(self.dir, pos, world)?;
                }
                let torn = file.older().is_none().then_some(error);
                Ok(Opened { file: Some(Stored::Slots(Arc::new(file))), torn })
            }
            // Nothing of it can be read: each chunk is made again, or reported.
            Err(_) => {
                self.report.add_error(
                    &error,
                    Repair::From("what can be made again of its chunks, each named here if it can't".into()),
                );
                Ok(Opened { file: None, torn: None })
            }
        }
    }

    /// The file of a region that is whole, where its other one is damaged, or gone although it should have taken its place.
    /// What it lacks of what had been written is then found chunk by chunk.
    fn other_file(&mut self, pos: RegionPos, error: &StoreError) -> Result<Option<Stored>, StoreError> {
        let world = &self.settings.id;
        let slots = RegionFile::open(self.dir, pos, world, false).map(|file| file.map(|f| Stored::Slots(Arc::new(f))));
        let packed = PackedFile::open(self.dir, pos, world).map(|file| file.map(|f| Stored::Packed(Arc::new(f))));
        let (file, damaged) = match (slots, packed) {
            (Ok(Some(file)), Err(_)) => (file, Some(packed::file_name(pos))),
            (Err(_), Ok(Some(file))) => (file, Some(region::file_name(pos))),
            (Ok(Some(file)), Ok(None)) | (Ok(None), Ok(Some(file))) => (file, None),
            _ => return Ok(None),
        };
        self.report.add_error(error, Repair::From(format!("{}, and the journal", file.name())));
        if self.repair {
            if let Some(name) = damaged {
                self.dir.rename(&name, &format!("{name}.damaged")).at("renaming", &name, 0)?;
                self.dir.sync("regions").synced("regions")?;
            }
            file.mark(self.dir, false)?;
        }
        Ok(Some(file))
    }

    fn region(
        &mut self,
        pos: RegionPos,
        registry: &Registry,
        generator: &Generator,
        history: &History,
    ) -> Result<(), StoreError> {
        let opened = self.open_region(pos)?;
        self.report.packed += usize::from(opened.file.as_ref().is_some_and(Stored::is_packed));
        let name = opened.file.as_ref().map_or_else(|| region::file_name(pos), |file| file.name().to_owned());
        let mut restored: Vec<(usize, Encoded)> = Vec::new();
        for index in 0..REGION_CHUNKS {
            let at = pos.chunk(index);
            let wanted = history.written.get(&at).copied().unwrap_or_default();
            let problem = match self.stored(&opened, index, registry) {
                Ok(Some(chunk)) if opened.torn.is_some() => {
                    // The directory that is left may be the older one: the journal knows what came since.
                    restored.extend(newer(index, chunk, history.of(at)));
                    continue;
                }
                Ok(Some((_, version))) if version >= wanted => continue,
                Ok(Some((_, version))) => {
                    let what = format!("a chunk is at {version:?}, {wanted:?} had been written");
                    StoreError::corrupt(&name, 0, what)
                }
                Ok(None) if wanted == Version::NONE => continue,
                Ok(None) => StoreError::corrupt(&name, 0, "a chunk is missing that had been written"),
                Err(error) => error,
            };
            match restore(opened.file.as_ref(), index, wanted, generator, at, history.of(at)) {
                Ok((encoded, source)) => {
                    self.report.add_error(&problem, Repair::From(format!("{source}, chunk {at}")));
                    restored.push((index, encoded));
                }
                Err(why) => {
                    self.report.add_error(&problem, Repair::Impossible);
                    let problem = self.report.problems.last_mut().expect("just added");
                    let cut = if self.mark.history > 1 { ", history before it has been cut" } else { "" };
                    problem.what = format!("{} (chunk {at}; {why}{cut})", problem.what);
                }
            }
        }
        if let Some(error) = &opened.torn {
            self.report.add_error(error, Repair::From("the region's other directory, and the journal".into()));
        }
        if self.repair && (opened.torn.is_some() || !restored.is_empty()) {
            self.write_restored(pos, opened.file.as_ref(), &restored)?;
        }
        Ok(())
    }

    fn write_restored(
        &self,
        pos: RegionPos,
        file: Option<&Stored>,
        restored: &[(usize, Encoded)],
    ) -> Result<(), StoreError> {
        let restored = by_reference(restored);
        let (world, epoch) = (&self.settings.id, self.highest_epoch);
        match file {
            Some(Stored::Slots(file)) => return region::write_slots(self.dir, file, epoch, &restored)?.finish(),
            Some(Stored::Packed(file)) => {
                packed::rewrite(self.dir, pos, world, epoch, file, &restored)?;
                packed::publish_new(self.dir, pos)?;
                return self.dir.sync("regions").synced("regions");
            }
            None => region::write_new(self.dir, pos, world, epoch, 0, &restored)?,
        }
        // What can't be read is kept beside the new file, in case somebody knows more.
        for name in [region::file_name(pos), packed::file_name(pos)] {
            if self.dir.open(&name, Open::Read).is_ok() {
                self.dir.rename(&name, &format!("{name}.damaged")).at("renaming", &name, 0)?;
            }
        }
        region::publish_new(self.dir, pos)?;
        self.dir.sync("regions").synced("regions")
    }

    /// The chunk as the newer directory names it, with every check there is.
    fn stored(
        &mut self,
        opened: &Opened,
        index: usize,
        registry: &Registry,
    ) -> Result<Option<(Chunk, Version)>, StoreError> {
        let Some(file) = &opened.file else { return Ok(None) };
        self.highest_epoch = self.highest_epoch.max(file.entry(index).version.epoch);
        let Some((chunk, version)) = file.checked_chunk(index)? else { return Ok(None) };
        self.report.chunks += 1;
        let known = |block: &terrane_world::block::BlockId| registry.contains(*block);
        let unknown = if chunk.form() == Form::U16 {
            let mut blocks = new_blocks();
            chunk.copy_to(&mut blocks);
            blocks.iter().find(|block| !known(block)).copied()
        } else {
            chunk.table().iter().find(|block| !known(block)).copied()
        };
        match unknown {
            None => Ok(Some((chunk, version))),
            Some(block) => {
                let what = format!("a chunk holds block id {}, the registry ends at {}", block.0, registry.len() - 1);
                Err(StoreError::corrupt(file.name(), file.entry(index).place, what))
            }
        }
    }
}

/// A region file as well as it can be opened.
struct Opened {
    file: Option<Stored>,
    /// Why one of the two directories can't be believed.
    torn: Option<StoreError>,
}

/// What the journal makes of an intact chunk, if it knows more.
fn newer(index: usize, chunk: (Chunk, Version), records: &[Record]) -> Option<(usize, Encoded)> {
    let before = chunk.1;
    let (chunk, version) = bring_forward(chunk, records, None).ok()?;
    (version > before).then(|| (index, slot::encode(&chunk.compacted(), version)))
}

/// Makes a damaged or missing chunk again, and says from what.
fn restore(
    file: Option<&Stored>,
    index: usize,
    wanted: Version,
    generator: &Generator,
    at: ChunkPos,
    records: &[Record],
) -> Result<(Encoded, String), String> {
    let wanted = file.map_or(wanted, |file| file.entry(index).version.max(wanted));
    let mut why = "no older slot of it is left, and it was not generated".to_owned();
    let older = file.and_then(Stored::slots).and_then(|file| {
        let entry = file.older()?.entries[index];
        (entry.place != file.entry(index).place).then(|| file.chunk_of(&entry).ok().flatten())?
    });
    let generated = generator.chunk(at).map_err(|error| error.to_string())?;
    let candidates =
        [(older, "the slot it had before"), (Some((generated.clone(), Version::GENERATED)), "the world's generator")];
    for (base, name) in candidates {
        let Some(base) = base else { continue };
        match bring_forward(base, records, Some(&generated)) {
            Ok((chunk, version)) if version >= wanted => {
                return Ok((slot::encode(&chunk.compacted(), version), format!("{name} and the journal")));
            }
            Ok((_, version)) => why = format!("{name} and the journal only lead to version {version:?} of {wanted:?}"),
            Err(error) => why = format!("{name} and the journal do not lead to it: {error}"),
        }
    }
    Err(why)
}

/// Applies every record behind the chunk's version. What was loaded as a whole can be had again if it is what the
/// generator makes.
fn bring_forward(
    (mut chunk, mut version): (Chunk, Version),
    records: &[Record],
    generated: Option<&Chunk>,
) -> Result<(Chunk, Version), String> {
    for record in records {
        match record {
            Record::Delta { delta, .. } if delta.to > version => {
                if delta.from != version {
                    let from = delta.from;
                    return Err(format!("a change from {from:?} is there, but none that leads to it from {version:?}"));
                }
                apply(&mut chunk, delta).map_err(|error| error.to_string())?;
                version = delta.to;
            }
            Record::Replaced { to, checksum, .. } if *to > version => {
                let same = generated.filter(|chunk| slot::encode(chunk, *to).entry.checksum == *checksum);
                chunk = same
                    .cloned()
                    .ok_or_else(|| format!("it was loaded as a whole at {to:?}, which the journal does not keep"))?;
                version = *to;
            }
            _ => {}
        }
    }
    Ok((chunk, version))
}
