//! History: the journal read from its oldest segment on, for whoever wants to know what was, and who did it.
//!
//! What lies before the replay mark is needed for nothing else, so it may have been cut (`journal/mark` says up to where) or be
//! damaged: what is not there is told as [`Record::Lost`].

use crate::door::{Dir, Open};
use crate::error::{Context, StoreError};
use crate::journal::{
    self, FRAME_HEAD, Place, Record, SEGMENT_BYTES, SEGMENT_HEAD, Scan, Scanned, parse_frame, segment_name,
};
use crate::settings::HistoryLimits;

/// The smallest segments there are.
const SEGMENT_BYTES_LEAST: u64 = 64 << 10;
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
    /// The tick that the world stood at, if it begins with that.
    stands: Option<u64>,
    /// Its first tick, if it has one that can be read.
    first: Option<Moment>,
}

/// The journal as history, as it was when this was made; what is appended later may be read or not.
pub struct History<'a> {
    dir: &'a dyn Dir,
    world: [u8; 16],
    segments: Vec<Segment>,
}

impl<'a> History<'a> {
    /// Finds the segments from `first` on, and their first ticks.
    pub(crate) fn open(dir: &'a dyn Dir, world: [u8; 16], first: u32) -> Result<Self, StoreError> {
        let numbers = journal::segments(dir)?;
        let mut segments = Vec::new();
        for number in numbers.into_iter().filter(|number| *number >= first) {
            segments.push(look(dir, number)?);
        }
        Ok(Self { dir, world, segments })
    }

    /// Whether it goes back to when the world was made.
    pub fn is_whole(&self) -> bool {
        self.known_from() == 0
    }

    /// The tick from which on all is known: 0 if that is since the world was made. What was before has been cut, or the world was
    /// restored from a backup, which has no history.
    pub fn known_from(&self) -> u64 {
        let Some(oldest) = self.segments.first() else { return 0 };
        match oldest.stands {
            Some(tick) if tick > 0 => tick + 1,
            _ if oldest.number <= 1 => 0,
            _ => self.begins().map_or(u64::MAX, |begins| begins.tick),
        }
    }

    /// The first tick in which something happened that it knows.
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

    /// The first tick at or after a time; 0 if that may be one that is not known any more.
    pub fn tick_at(&self, time_ms: u64) -> Result<Option<u64>, StoreError> {
        if !self.is_whole() && self.begins().is_none_or(|begins| time_ms < begins.time_ms) {
            return Ok(Some(0));
        }
        let from = self.last_before(|first| first.time_ms < time_ms);
        let mut found = None;
        self.read_segments(from, &mut |record| {
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
        let from = self.last_before(|first| first.tick <= tick);
        let mut failed = None;
        let mut visit = |record: &Record| {
            visit(record).map_err(|error| {
                failed = Some(error);
                None
            })
        };
        self.read_segments(from, &mut visit)?;
        failed.map_or(Ok(()), Err)
    }

    /// The last segment whose first tick is early enough, by its place in the list. One without a tick says nothing of when it is.
    fn last_before(&self, is_before: impl Fn(Moment) -> bool) -> usize {
        self.segments.iter().rposition(|segment| segment.first.is_some_and(&is_before)).unwrap_or(0)
    }

    /// An error of the visitor that is none ends the reading without one.
    fn read_segments(
        &self,
        from: usize,
        visit: &mut dyn FnMut(&Record) -> Result<(), Option<StoreError>>,
    ) -> Result<(), StoreError> {
        let mut next_frame = None;
        for segment in &self.segments[from.min(self.segments.len())..] {
            match self.read_segment(segment.number, next_frame, visit) {
                Err(Some(error)) => return Err(error),
                Err(None) => return Ok(()),
                Ok(next) => next_frame = next.or(next_frame),
            }
        }
        Ok(())
    }

    /// Reads one segment, which should begin with a frame. Gives the one that should follow it, unless it can't be read at all.
    fn read_segment(
        &self,
        number: u32,
        begins: Option<u64>,
        visit: &mut dyn FnMut(&Record) -> Result<(), Option<StoreError>>,
    ) -> Result<Option<u64>, Option<StoreError>> {
        let place = Place { segment: number, offset: SEGMENT_HEAD, frame: 0 };
        let mut scan = match Scan::open(self.dir, &self.world, place) {
            Ok(scan) => scan,
            Err(StoreError::Corrupt { .. } | StoreError::Truncated { .. }) => {
                return visit(&Record::Lost).map(|()| None);
            }
            Err(error) => return Err(Some(error)),
        };
        // What ends a segment may be lost as well, and whole segments.
        if begins.is_some_and(|begins| begins < scan.next_sequence()) {
            visit(&Record::Lost)?;
        }
        loop {
            match scan.advance() {
                Scanned::Frame(frame, _) => frame.records.iter().try_for_each(&mut *visit)?,
                Scanned::End { .. } => return Ok(Some(scan.next_sequence())),
                Scanned::Damaged { resume, missing, .. } => {
                    visit(&Record::Lost)?;
                    scan.resume_at(resume, missing.end);
                }
            }
        }
    }
}

/// Bytes of a segment under some limits: so few that what is cut at once is a small part of history.
pub(crate) fn segment_bytes(limits: HistoryLimits) -> u64 {
    match limits.bytes {
        0 => SEGMENT_BYTES,
        bytes => (bytes / 16).clamp(SEGMENT_BYTES_LEAST, SEGMENT_BYTES),
    }
}

/// The first segment that the limits keep. `first` is the first that has not been cut yet, `replay` the one that replay may have
/// to begin in: it and what follows stay, whatever the limits say.
pub(crate) fn first_kept(
    dir: &dyn Dir,
    (first, replay): (u32, u32),
    limits: HistoryLimits,
    now_ms: u64,
) -> Result<u32, StoreError> {
    if limits == HistoryLimits::NONE {
        return Ok(first);
    }
    let numbers: Vec<u32> = journal::segments(dir)?.into_iter().filter(|number| *number >= first).collect();
    let length = |number: &u32| {
        let name = segment_name(*number);
        dir.open(&name, Open::Read).and_then(|file| file.len()).at("measuring", &name, 0)
    };
    let lengths = numbers.iter().map(length).collect::<Result<Vec<u64>, _>>()?;
    let mut left: u64 = lengths.iter().sum();
    let mut kept = first;
    for (pair, bytes) in numbers.windows(2).zip(lengths).take_while(|(pair, _)| pair[1] <= replay) {
        let is_too_much = limits.bytes > 0 && left > limits.bytes;
        // What stands in a segment is older than the first tick of the next one.
        let age_max_ms = limits.days.saturating_mul(24 * 60 * 60 * 1_000);
        let is_old = |moment: Moment| moment.time_ms.saturating_add(age_max_ms) < now_ms;
        let is_beyond = is_too_much || (limits.days > 0 && look(dir, pair[1])?.first.is_some_and(is_old));
        if !is_beyond {
            break;
        }
        left -= bytes;
        kept = pair[1];
    }
    Ok(kept)
}

/// Removes the segments before one, oldest first. Nothing has to be durable: what comes back after a crash is removed again.
pub(crate) fn remove_before(dir: &dyn Dir, first: u32) -> Result<(), StoreError> {
    for number in journal::segments(dir)?.into_iter().filter(|number| *number < first) {
        let name = segment_name(number);
        dir.remove(&name).at("removing", &name, 0)?;
    }
    Ok(())
}

/// How a segment begins. Only as much is read as it takes.
fn look(dir: &dyn Dir, number: u32) -> Result<Segment, StoreError> {
    let name = segment_name(number);
    let file = dir.open(&name, Open::Read).at("opening", &name, 0)?;
    let length = file.len().at("measuring", &name, 0)?;
    let mut segment = Segment { number, bytes: length, stands: None, first: None };
    let mut reach = LOOK_BYTES;
    loop {
        let mut bytes = vec![0u8; length.min(reach) as usize];
        file.read_at(&mut bytes, 0).at("reading", &name, 0)?;
        let mut rest = bytes.get(SEGMENT_HEAD as usize..).unwrap_or_default();
        if let Some(Record::State { tick, .. }) = parse_frame(rest).iter().flat_map(|frame| &frame.records).next() {
            segment.stands = Some(*tick);
        }
        while let Some(frame) = Some(rest).filter(|rest| rest.len() > FRAME_HEAD).and_then(parse_frame) {
            let moment = |record: &Record| match record {
                Record::Tick { tick, time_ms, .. } => Some(Moment { tick: *tick, time_ms: *time_ms }),
                _ => None,
            };
            if let Some(moment) = frame.records.iter().find_map(moment) {
                segment.first = Some(moment);
                return Ok(segment);
            }
            rest = rest.get(frame.bytes as usize..).unwrap_or_default();
        }
        if reach >= length {
            return Ok(segment);
        }
        reach *= 2;
    }
}
