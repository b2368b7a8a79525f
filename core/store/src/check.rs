//! `terrane check`: every checksum of a world's folder, and repair from what the folder still knows.
//!
//! Sources of repair, each named in the report: the registry's copy, the other mark, the other directory of a
//! region, the slot a chunk had before, the world's generator, and the journal, which takes a chunk from any older
//! version to the newest. What can't be restored is left as it is and reported.

use crate::door::Dir;
use crate::error::{Context, StoreError};
use crate::journal::{self, Place, Record, Scan, Scanned};
use crate::mark::{self, Mark};
use crate::region::{self, RegionFile};
use crate::settings::{self, REGISTRY_FILES, Settings};
use crate::slot::{self, Encoded};
use crate::store::{Access, Store, apply, by_reference, take_lock};
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_world::block::Registry;
use terrane_world::chunk::{Chunk, Form, Version, new_blocks};
use terrane_world::generate::Generator;
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{ChunkPos, RegionPos};
use terrane_world::step::ChunkDelta;

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
    /// Region files read.
    pub regions: usize,
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
            other => ("the world's folder".to_owned(), 0, other.to_string()),
        };
        self.problems.push(Problem { file, offset, what, repair });
    }

    /// Whether something is wrong that nothing can make whole again.
    pub fn has_losses(&self) -> bool {
        self.problems.iter().any(|problem| !matches!(problem.repair, Repair::From(_)))
    }
}

/// Checks a world; with `repair` also restores what can be, and then opens it once for writing.
///
/// `progress` is called with region files done and to do.
pub fn check(dir: Arc<dyn Dir>, repair: bool, progress: &dyn Fn(usize, usize)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let lock = if repair { Some(take_lock(&*dir)?) } else { None };
    let settings = settings::read_settings(&*dir)?;
    let mut checker = Checker { dir: &*dir, settings: &settings, repair, report: &mut report };
    let registry = checker.registry()?;
    let mark = checker.mark()?;
    let history = checker.journal(&mark)?;
    checker.regions(&registry, &history, progress)?;
    drop(lock);
    if repair && !report.problems.is_empty() {
        // The proof that it opens; it also raises the epoch and writes what the journal's tail holds.
        Store::open(dir, Access::Write)?.close()?;
    }
    Ok(report)
}

/// Whether as many frames as are missing can have stood where they are missing.
fn missing_fit(offset: u64, resume: u64, missing: &std::ops::Range<u64>) -> bool {
    missing.end - missing.start <= (resume - offset) / journal::FRAME_HEAD as u64
}

/// Damage before the replay mark costs history and nothing else.
fn harmless(mark: &Mark, frame: u64) -> Option<Repair> {
    (frame < mark.frame)
        .then(|| Repair::From("the region files: it lies before the replay mark, only history is lost".into()))
}

/// All chunk records of the whole journal, by chunk, oldest first.
type History = BTreeMap<ChunkPos, Vec<Record>>;

struct Checker<'a> {
    dir: &'a dyn Dir,
    settings: &'a Settings,
    repair: bool,
    report: &'a mut Report,
}

impl Checker<'_> {
    fn registry(&mut self) -> Result<Registry, StoreError> {
        let read = REGISTRY_FILES.map(|file| settings::read_registry_names(self.dir, file));
        let names = match &read {
            [Ok(names), Ok(_)] => names,
            [Ok(names), Err(error)] => {
                self.report.add_error(error, Repair::From("the registry".into()));
                names
            }
            [Err(error), Ok(names)] => {
                self.report.add_error(error, Repair::From("registry.copy".into()));
                names
            }
            [Err(error), Err(_)] => return Err(error.clone()),
        };
        let registry = Registry::from_names(names, &self.settings.rules)?;
        if self.repair && read.iter().any(Result::is_err) {
            settings::write_registry(self.dir, &registry)?;
        }
        Ok(registry)
    }

    fn mark(&mut self) -> Result<Mark, StoreError> {
        let (mark, damaged) = Mark::read(self.dir)?;
        if damaged {
            self.report.add(mark::FILE, 0, "one of the two marks is damaged", Repair::From("the other mark".into()));
            if self.repair {
                Mark { sequence: mark.sequence + 1, ..mark }.write(self.dir)?;
                return Ok(Mark { sequence: mark.sequence + 1, ..mark });
            }
        }
        Ok(mark)
    }

    /// Reads every segment there is. Damage before the mark costs history; behind it, changes.
    fn journal(&mut self, mark: &Mark) -> Result<History, StoreError> {
        let mut history = History::new();
        let listed = self.dir.list("journal").at("listing", "journal", 0)?;
        let mut segments: Vec<u32> = listed.iter().filter_map(|name| name.strip_suffix(".trj")?.parse().ok()).collect();
        segments.sort_unstable();
        let mut expected = None;
        for segment in segments {
            let place = Place { segment, offset: journal::SEGMENT_HEAD, frame: 0 };
            let mut scan = match Scan::open(self.dir, &self.settings.id, place) {
                Ok(scan) => scan,
                Err(error) => {
                    let frame = if segment < mark.segment { 0 } else { u64::MAX };
                    self.report.add_error(&error, harmless(mark, frame).unwrap_or(Repair::Impossible));
                    continue;
                }
            };
            if expected.is_some_and(|frame| frame < scan.next_sequence()) {
                let what =
                    format!("frames {} to {} are missing before it", expected.unwrap_or(0), scan.next_sequence() - 1);
                let repair = harmless(mark, expected.unwrap_or(0)).unwrap_or(Repair::Impossible);
                self.report.add(&journal::segment_name(segment), 0, what, repair);
            }
            self.segment(segment, &mut scan, mark, &mut history)?;
            expected = Some(scan.next_sequence());
        }
        Ok(history)
    }

    fn segment(&mut self, number: u32, scan: &mut Scan, mark: &Mark, history: &mut History) -> Result<(), StoreError> {
        // The whole frames, and stand-ins for what is missing, in case the segment has to be written again.
        let (mut salvaged, mut lost) = (Vec::new(), false);
        loop {
            match scan.advance() {
                Scanned::Frame(frame, _) => {
                    self.report.frames += 1;
                    for record in &frame.records {
                        if let Record::Delta { delta: ChunkDelta { pos, .. }, .. } | Record::Replaced { pos, .. } =
                            record
                        {
                            history.entry(*pos).or_default().push(record.clone());
                        }
                    }
                    salvaged.push(frame);
                }
                Scanned::End { .. } => break,
                Scanned::Damaged { offset, resume, missing } if !missing_fit(offset, resume, &missing) => {
                    let what = format!(
                        "frame {} had been synced and is not whole, and frame {} behind it is none of this journal's",
                        missing.start, missing.end
                    );
                    self.report.add(scan.name(), offset, what, Repair::Impossible);
                    return Ok(());
                }
                Scanned::Damaged { offset, resume, missing } => {
                    let what =
                        format!("frames {} to {} had been synced and are not whole", missing.start, missing.end - 1);
                    let partly =
                        || Repair::Partly("every whole frame behind it; the changes in those frames are lost".into());
                    let repair = harmless(mark, missing.start);
                    lost |= repair.is_none();
                    self.report.add(scan.name(), offset, what, repair.unwrap_or_else(partly));
                    salvaged.extend(missing.clone().map(journal::stand_in));
                    scan.resume_at(resume, missing.end);
                }
            }
        }
        if lost && self.repair {
            journal::rewrite_segment(self.dir, number, &self.settings.id, &salvaged)?;
            // Offsets have moved; replay begins at the segment's start, which only means that it skips more.
            let first = salvaged.first().map_or(mark.frame, |frame| frame.sequence);
            if mark.segment == number {
                let newest = Mark::read(self.dir)?.0;
                Mark { sequence: newest.sequence + 1, offset: journal::SEGMENT_HEAD, frame: first, ..newest }
                    .write(self.dir)?;
            }
        }
        Ok(())
    }

    fn regions(
        &mut self,
        registry: &Registry,
        history: &History,
        progress: &dyn Fn(usize, usize),
    ) -> Result<(), StoreError> {
        let listed = self.dir.list("regions").at("listing", "regions", 0)?;
        let mut regions: Vec<RegionPos> = listed.iter().filter_map(|name| region::parse_file_name(name)).collect();
        regions.sort_unstable();
        let setting = &self.settings.generator;
        let generator = Generator::new(&setting.name, setting.version, self.settings.seed, registry)?;
        for (done, pos) in regions.iter().enumerate() {
            progress(done, regions.len());
            self.region(*pos, registry, &generator, history)?;
        }
        progress(regions.len(), regions.len());
        self.report.regions = regions.len();
        Ok(())
    }

    fn region(
        &mut self,
        pos: RegionPos,
        registry: &Registry,
        generator: &Generator,
        history: &History,
    ) -> Result<(), StoreError> {
        let (file, directory_lost) = match RegionFile::open(self.dir, pos, &self.settings.id, false) {
            Ok(file) => (file, None),
            Err(error) => match RegionFile::open(self.dir, pos, &self.settings.id, true) {
                Ok(file) => (file, Some(error)),
                Err(_) => {
                    self.report.add_error(&error, Repair::Impossible);
                    return Ok(());
                }
            },
        };
        let Some(file) = file else { return Ok(()) };
        let mut restored: Vec<(usize, Encoded)> = Vec::new();
        for index in 0..REGION_CHUNKS {
            let at = pos.chunk(index);
            let stored = self.stored(&file, index, registry);
            let records = history.get(&at).map_or(&[][..], Vec::as_slice);
            match stored {
                // With one directory lost, the other may be the older one: the journal knows what came since.
                Ok(Some(chunk)) if directory_lost.is_some() => {
                    restored.extend(self.newer(&file, index, chunk, records))
                }
                Ok(_) => {}
                Err(error) => match restore(&file, index, generator, at, records) {
                    Ok((encoded, source)) => {
                        self.report.add_error(&error, Repair::From(format!("{source}, chunk {at}")));
                        restored.push((index, encoded));
                    }
                    Err(why) => {
                        self.report.add_error(&error, Repair::Impossible);
                        let problem = self.report.problems.last_mut().expect("just added");
                        problem.what = format!("{} (chunk {at}; {why})", problem.what);
                    }
                },
            }
        }
        if let Some(error) = &directory_lost {
            self.report.add_error(error, Repair::From("the region's other directory, and the journal".into()));
        }
        if self.repair && (directory_lost.is_some() || !restored.is_empty()) {
            let epoch = Mark::read(self.dir)?.0.epoch;
            region::write_slots(self.dir, &file, epoch, &by_reference(&restored))?.finish()?;
        }
        Ok(())
    }

    /// The chunk as the newer directory names it, with every check there is.
    fn stored(
        &mut self,
        file: &RegionFile,
        index: usize,
        registry: &Registry,
    ) -> Result<Option<(Chunk, Version)>, StoreError> {
        let Some((chunk, version)) = file.chunk(index)? else { return Ok(None) };
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

    /// What the journal makes of an intact chunk, if it knows more.
    fn newer(
        &self,
        file: &RegionFile,
        index: usize,
        chunk: (Chunk, Version),
        records: &[Record],
    ) -> Option<(usize, Encoded)> {
        let before = file.entry(index).version;
        let (chunk, version) = bring_forward(chunk, records).ok()?;
        (version > before).then(|| (index, slot::encode(&chunk.compacted(), version)))
    }
}

/// Makes a damaged chunk again, and says from what.
fn restore(
    file: &RegionFile,
    index: usize,
    generator: &Generator,
    at: ChunkPos,
    records: &[Record],
) -> Result<(Encoded, String), String> {
    let wanted = file.entry(index).version;
    let mut why = "no older slot of it is left, and it was not generated".to_owned();
    let older =
        file.older().map(|directory| directory.entries[index]).filter(|entry| entry.place != file.entry(index).place);
    let older = older.and_then(|entry| file.chunk_of(&entry).ok().flatten());
    let generated = || (generator.chunk(at), Version::GENERATED);
    let candidates = [(older, "the slot it had before"), (Some(generated()), "the world's generator")];
    for (base, name) in candidates {
        let Some(base) = base else { continue };
        match bring_forward(base, records) {
            Ok((chunk, version)) if version >= wanted => {
                return Ok((slot::encode(&chunk.compacted(), version), format!("{name} and the journal")));
            }
            Ok((_, version)) => why = format!("{name} and the journal only lead to version {version:?} of {wanted:?}"),
            Err(error) => why = format!("{name} and the journal do not lead to it: {error}"),
        }
    }
    Err(why)
}

/// Applies every record behind the chunk's version.
fn bring_forward((mut chunk, mut version): (Chunk, Version), records: &[Record]) -> Result<(Chunk, Version), String> {
    for record in records {
        match record {
            Record::Delta { delta, .. } if delta.to > version => {
                if delta.from != version {
                    return Err(format!(
                        "a change from {:?} is there, but none that leads to it from {version:?}",
                        delta.from
                    ));
                }
                apply(&mut chunk, delta).map_err(|error| error.to_string())?;
                version = delta.to;
            }
            Record::Replaced { to, .. } if *to > version => {
                return Err(format!("it was loaded as a whole at {to:?}, which the journal does not keep"));
            }
            _ => {}
        }
    }
    Ok((chunk, version))
}
