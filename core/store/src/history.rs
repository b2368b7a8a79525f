//! History: the journal read from its oldest segment on, for whoever wants to know what was, and who did it.
//!
//! What lies before the replay mark is needed for nothing else, so it may have been cut (`journal/mark` says up to where) or be
//! damaged: what is not there is told as [`Record::Lost`].

use crate::door::{Dir, Open};
use crate::error::{Context, StoreError};
use crate::journal::{self, FRAME_HEAD, Place, Record, SEGMENT_HEAD, Scan, Scanned, parse_frame, segment_name};

/// Bytes of a segment that are looked at first to find its first tick; twice as many each time they are not enough.
const LOOK_BYTES: u64 = 64 << 10;

/// A tick, and when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The tick.
    pub tick: u64,
    /// Milliseconds since 1970.
    pub time_ms: u64,
}

/// One segment of history.
#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u32,
    bytes: u64,
    /// Its first tick, if it has one that can be read.
    first: Option<Moment>,
}

/// The journal as history, as it was when this was made; what is appended later may be read or not.
pub struct History<'a> {
    dir: &'a dyn Dir,
    world: [u8; 16],
    is_whole: bool,
    segments: Vec<Segment>,
}

impl<'a> History<'a> {
    /// Finds the segments from `first` on, and their first ticks.
    pub(crate) fn open(dir: &'a dyn Dir, world: [u8; 16], first: u32) -> Result<Self, StoreError> {
        let numbers = journal::segments(dir)?;
        let mut segments = Vec::new();
        for number in numbers.into_iter().filter(|number| *number >= first) {
            let (first, bytes) = look(dir, number)?;
            segments.push(Segment { number, bytes, first });
        }
        Ok(Self { dir, world, is_whole: first <= 1, segments })
    }

    /// Whether it goes back to when the world was made.
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The first tick it knows.
    pub fn begins(&self) -> Option<Moment> {
        self.segments.iter().find_map(|segment| segment.first)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// How many segments there are.
    pub const fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// The first tick at or after a time.
    pub fn tick_at(&self, time_ms: u64) -> Result<Option<u64>, StoreError> {
        let later = self.segments.partition_point(|s| s.first.is_none_or(|first| first.time_ms < time_ms));
        let mut found = None;
        self.read_segments(later.saturating_sub(1), &mut |record| {
            if let Record::Tick { tick, time_ms: time, .. } = record
                && *time >= time_ms
            {
                found = Some(*tick);
                return Err(None);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Tells every record from before `tick` on, oldest first: more than that, as far as it stands in the same segment. An error
    /// of the visitor ends the reading.
    pub fn read<E: From<StoreError>>(
        &self,
        tick: u64,
        visit: &mut dyn FnMut(&Record) -> Result<(), E>,
    ) -> Result<(), E> {
        let later = self.segments.partition_point(|s| s.first.is_none_or(|first| first.tick <= tick));
        let mut failed = None;
        let mut visit = |record: &Record| {
            visit(record).map_err(|error| {
                failed = Some(error);
                None
            })
        };
        self.read_segments(later.saturating_sub(1), &mut visit)?;
        failed.map_or(Ok(()), Err)
    }

    /// An error of the visitor that is none ends the reading without one.
    fn read_segments(
        &self,
        from: usize,
        visit: &mut dyn FnMut(&Record) -> Result<(), Option<StoreError>>,
    ) -> Result<(), StoreError> {
        let mut expected = None;
        for segment in &self.segments[from.min(self.segments.len())..] {
            let is_missing = expected.is_some_and(|expected| segment.number != expected);
            let told = if is_missing { visit(&Record::Lost) } else { Ok(()) };
            match told.and_then(|()| self.read_segment(segment.number, visit)) {
                Err(Some(error)) => return Err(error),
                Err(None) => return Ok(()),
                Ok(()) => expected = Some(segment.number + 1),
            }
        }
        Ok(())
    }

    fn read_segment(
        &self,
        number: u32,
        visit: &mut dyn FnMut(&Record) -> Result<(), Option<StoreError>>,
    ) -> Result<(), Option<StoreError>> {
        let place = Place { segment: number, offset: SEGMENT_HEAD, frame: 0 };
        let mut scan = match Scan::open(self.dir, &self.world, place) {
            Ok(scan) => scan,
            Err(StoreError::Corrupt { .. } | StoreError::Truncated { .. }) => return visit(&Record::Lost),
            Err(error) => return Err(Some(error)),
        };
        loop {
            match scan.advance() {
                Scanned::Frame(frame, _) => frame.records.iter().try_for_each(&mut *visit)?,
                Scanned::End { .. } => return Ok(()),
                Scanned::Damaged { resume, missing, .. } => {
                    visit(&Record::Lost)?;
                    scan.resume_at(resume, missing.end);
                }
            }
        }
    }
}

/// The first tick of a segment, and the segment's length. Only as much is read as it takes.
fn look(dir: &dyn Dir, number: u32) -> Result<(Option<Moment>, u64), StoreError> {
    let name = segment_name(number);
    let file = dir.open(&name, Open::Read).at("opening", &name, 0)?;
    let length = file.len().at("measuring", &name, 0)?;
    let mut reach = LOOK_BYTES;
    loop {
        let mut bytes = vec![0u8; length.min(reach) as usize];
        file.read_at(&mut bytes, 0).at("reading", &name, 0)?;
        let mut rest = bytes.get(SEGMENT_HEAD as usize..).unwrap_or_default();
        while let Some(frame) = Some(rest).filter(|rest| rest.len() > FRAME_HEAD).and_then(parse_frame) {
            let moment = |record: &Record| match record {
                Record::Tick { tick, time_ms, .. } => Some(Moment { tick: *tick, time_ms: *time_ms }),
                _ => None,
            };
            if let Some(moment) = frame.records.iter().find_map(moment) {
                return Ok((Some(moment), length));
            }
            rest = rest.get(frame.bytes as usize..).unwrap_or_default();
        }
        if reach >= length {
            return Ok((None, length));
        }
        reach *= 2;
    }
}
