//! The journal: what changed, in order, before anybody hears of it.
//!
//! A journal is a run of segments; a segment is a header and frames; a frame is what one commit wrote, under one
//! checksum, and holds records. A frame that is not whole ends the journal if nothing behind it says that it had
//! been synced (a crash tore it), and is damage if something does. docs/format.md has the bytes.

use crate::FORMAT_VERSION;
use crate::door::{Dir, File, Open};
use crate::error::{Context, StoreError};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use terrane_world::block::BlockId;
use terrane_world::chunk::{Sparse, Version};
use terrane_world::delta::changes::TickDeltas;
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{Class, pack_deltas, unpack_deltas};
use terrane_world::limits::{CHUNK_VOXELS, REGION_CHUNKS, SPARSE_BYTES_MAX};
use terrane_world::physics::state::BodyId;
use terrane_world::space::{ChunkPos, ColumnPos, LocalIndex, RegionPos, VoxelPos};
use terrane_world::step::{ActorId, ActorState, Cause, CauseKind, ChunkDelta, Run, SparseChange};
use terrane_world::undo::Request;
use xxhash_rust::xxh3::Xxh3;

const SEGMENT_MAGIC: &[u8; 8] = b"TERRJRNL";
const FRAME_MAGIC: &[u8; 4] = b"TFRM";
/// Bytes of a segment's header.
pub const SEGMENT_HEAD: u64 = 64;
/// Bytes of a frame's header.
pub const FRAME_HEAD: usize = 40;
/// A segment that has grown past this is followed by a new one.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Frames begin at multiples of this, so that the next one can be found behind a damaged one.
const ALIGN: u64 = 8;

/// Bytes of a name that the journal keeps of an actor; what is longer is cut.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes that the deltas of one record may take before they are packed, about: the rest of a tick goes into further records.
const PACK_BYTES: usize = 64 << 20;
/// Deltas of one record: their columns' sequences are told in front.
const PACK_DELTAS: usize = 1 << 20;

thread_local! {
    /// Making one costs more than using it, and a journal has many records.
    static OUTER: RefCell<Outer> = RefCell::new(Outer::new());
}

/// What a journal record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// What a tick changed, or a part of it.
    Deltas {
        /// When, in milliseconds since 1970, as the server passed it in.
        time_ms: u64,
        /// For each column, in the order in which the deltas first name them, the record number of its first delta here; the
        /// next ones count on from there.
        column_sequences: Vec<u64>,
        /// The tick, and the changes.
        deltas: TickDeltas,
    },
    /// What somebody calls themselves, before the first change of theirs in a segment.
    Name {
        /// Who.
        actor: ActorId,
        /// The name.
        name: String,
    },
    /// An undo has begun.
    UndoBegins(Request),
    /// An undo is done; so is the one that it takes back.
    UndoEnds {
        /// Its number.
        undo: u64,
    },
    /// A chunk changed, as journals told it before deltas were packed.
    Delta {
        /// The tick.
        tick: u64,
        /// When, in milliseconds since 1970, as the server passed it in.
        time_ms: u64,
        /// Counts the records of this column under this epoch, from 1.
        column_sequence: u64,
        /// The change.
        delta: ChunkDelta,
    },
    /// A chunk was loaded as a whole (import, generation); its content is in the region file, or the load did not end.
    Replaced {
        /// The tick it was loaded after.
        tick: u64,
        /// When.
        time_ms: u64,
        /// As above.
        column_sequence: u64,
        /// The chunk.
        pos: ChunkPos,
        /// Its version before, (0, 0) if it was not stored.
        from: Version,
        /// Its version now.
        to: Version,
        /// The slot's checksum.
        checksum: u64,
    },
    /// A tick, or a load, is whole.
    Tick {
        /// The tick.
        tick: u64,
        /// When.
        time_ms: u64,
        /// The world's running digest after it.
        digest: u64,
        /// Last decided input sequence of each actor heard in it.
        actors: Vec<(ActorId, u64)>,
    },
    /// Where the world stands: replay begins at a frame that begins with this.
    State {
        /// The last tick.
        tick: u64,
        /// When.
        time_ms: u64,
        /// The running digest.
        digest: u64,
        /// Every actor that is remembered.
        actors: Vec<(ActorId, ActorState)>,
    },
    /// Directories of these regions are about to be switched.
    SwitchBegins {
        /// The regions.
        regions: Vec<RegionPos>,
    },
    /// They have been.
    SwitchEnds,
    /// What is under way in a column, in place of what was there before; behind the deltas of its tick, or behind the state
    /// that replay begins with.
    Column {
        /// The tick.
        tick: u64,
        /// When.
        time_ms: u64,
        /// As above.
        column_sequence: u64,
        /// The column.
        column: ColumnPos,
        /// The epoch of its owner.
        epoch: u32,
        /// Its state, without the voxels of bodies that are known from the state before.
        state: Vec<u8>,
    },
    /// A frame stood here that was damaged and has been given up: what follows may not join up with what came before.
    Lost,
}

impl Record {
    const fn number(&self) -> u8 {
        match self {
            Self::Delta { delta: ChunkDelta { body: None, .. }, .. } => 1,
            Self::Delta { .. } => 8,
            Self::Column { .. } => 9,
            Self::Replaced { .. } => 2,
            Self::Tick { .. } => 3,
            Self::State { .. } => 4,
            Self::SwitchBegins { .. } => 5,
            Self::SwitchEnds => 6,
            Self::Lost => 7,
            Self::Deltas { .. } => 10,
            Self::Name { .. } => 11,
            Self::UndoBegins(_) => 12,
            Self::UndoEnds { .. } => 13,
        }
    }

    /// The changes of chunks that it tells of, with their tick and time; none for other records.
    pub fn deltas(&self) -> Option<(u64, u64, &[ChunkDelta])> {
        match self {
            Self::Deltas { time_ms, deltas, .. } => Some((deltas.tick, *time_ms, &deltas.chunks)),
            Self::Delta { tick, time_ms, delta, .. } => Some((*tick, *time_ms, std::slice::from_ref(delta))),
            _ => None,
        }
    }
}

/// The deltas of a tick in parts that one record can hold.
pub fn parts(mut deltas: &[ChunkDelta]) -> Vec<&[ChunkDelta]> {
    let bytes_of = |delta: &ChunkDelta| {
        let voxels: usize = delta.runs.iter().map(|run| usize::from(run.length)).sum();
        let data = delta.sparse.iter().flat_map(|change| [&change.old, &change.new]).flatten();
        64 + 9 * delta.runs.len().min(CHUNK_VOXELS / 32) + 4 * voxels + data.map(|data| data.len() + 8).sum::<usize>()
    };
    let mut parts = Vec::new();
    while !deltas.is_empty() {
        let mut bytes = 0;
        let fits = |delta: &&ChunkDelta| {
            bytes += bytes_of(delta);
            bytes <= PACK_BYTES
        };
        let count = deltas.iter().take(PACK_DELTAS).take_while(fits).count().max(1);
        let (part, rest) = deltas.split_at(count);
        parts.push(part);
        deltas = rest;
    }
    parts
}

/// The columns that some deltas name, in the order in which they do so first.
fn columns_of(deltas: &[ChunkDelta]) -> Vec<ColumnPos> {
    let mut seen = std::collections::HashSet::new();
    deltas.iter().map(|delta| delta.pos.column()).filter(|column| seen.insert(*column)).collect()
}

/// Little-endian bytes going out.
struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn position(&mut self, value: [i32; 3]) {
        value.into_iter().for_each(|part| self.u32(part as u32));
    }
    fn version(&mut self, value: Version) {
        self.u32(value.epoch);
        self.u32(value.count);
    }
    fn sparse(&mut self, value: Option<&Sparse>) {
        // A length of u32::MAX stands for "nothing": empty data is data.
        self.u32(value.map_or(u32::MAX, |data| data.len() as u32));
        self.0.extend_from_slice(value.map_or(&[], |data| data));
    }

    /// What every record about a chunk begins with: tick, time, column, epoch, column sequence.
    fn chunk_head(&mut self, tick: u64, time_ms: u64, column: ColumnPos, epoch: u32, column_sequence: u64) {
        self.u64(tick);
        self.u64(time_ms);
        self.u32(column.x() as u32);
        self.u32(column.z() as u32);
        self.u32(epoch);
        self.u64(column_sequence);
    }

    fn record(&mut self, record: &Record) {
        self.u8(record.number());
        match record {
            Record::Delta { tick, time_ms, column_sequence, delta } => {
                self.chunk_head(*tick, *time_ms, delta.pos.column(), delta.to.epoch, *column_sequence);
                self.delta(delta);
            }
            Record::Replaced { tick, time_ms, column_sequence, pos, from, to, checksum } => {
                self.chunk_head(*tick, *time_ms, pos.column(), to.epoch, *column_sequence);
                self.position(pos.to_array());
                self.version(*from);
                self.version(*to);
                self.u64(*checksum);
            }
            Record::Tick { tick, time_ms, digest, actors } => {
                [*tick, *time_ms, *digest].into_iter().for_each(|value| self.u64(value));
                self.u32(actors.len() as u32);
                actors.iter().for_each(|(actor, sequence)| [actor.0, *sequence].into_iter().for_each(|v| self.u64(v)));
            }
            Record::State { tick, time_ms, digest, actors } => {
                [*tick, *time_ms, *digest].into_iter().for_each(|value| self.u64(value));
                self.u32(actors.len() as u32);
                for (actor, state) in actors {
                    [actor.0, state.sequence, state.tick].into_iter().for_each(|value| self.u64(value));
                }
            }
            Record::SwitchBegins { regions } => {
                self.u32(regions.len() as u32);
                regions.iter().for_each(|region| self.position(region.to_array()));
            }
            Record::Column { tick, time_ms, column_sequence, column, epoch, state } => {
                self.chunk_head(*tick, *time_ms, *column, *epoch, *column_sequence);
                self.u32(state.len() as u32);
                self.0.extend_from_slice(state);
            }
            Record::Deltas { time_ms, column_sequences, deltas } => {
                self.u64(*time_ms);
                self.u32(column_sequences.len() as u32);
                column_sequences.iter().for_each(|sequence| self.varint(*sequence));
                self.long(|bytes| {
                    OUTER.with_borrow_mut(|outer| pack_deltas(deltas.tick, &deltas.chunks, Class::Small, outer, bytes));
                });
            }
            Record::Name { actor, name } => {
                self.u64(actor.0);
                let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
                self.u8(name.len() as u8);
                self.0.extend_from_slice(name.as_bytes());
            }
            Record::UndoBegins(request) => self.long(|bytes| bytes.extend(request.to_bytes())),
            Record::UndoEnds { undo } => self.u64(*undo),
            Record::SwitchEnds | Record::Lost => {}
        }
    }

    /// Bytes behind their length.
    fn long(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.0.len();
        self.u32(0);
        write(self.0);
        let length = (self.0.len() - at - 4) as u32;
        self.0[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut value: u64) {
        while value >= 128 {
            self.u8(value as u8 | 128);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    fn delta(&mut self, delta: &ChunkDelta) {
        self.u8(delta.cause.kind as u8);
        self.u64(delta.cause.actor.0);
        self.u64(delta.cause.root);
        if let Some(body) = delta.body {
            self.u64(body.tick);
            self.position(body.origin.to_array());
        }
        self.position(delta.pos.to_array());
        self.version(delta.from);
        self.version(delta.to);
        self.u32(delta.runs.len() as u32);
        self.u32(delta.sparse.len() as u32);
        for run in &delta.runs {
            [run.first.get(), run.length, run.old.0, run.new.0].into_iter().for_each(|value| self.u16(value));
        }
        for change in &delta.sparse {
            self.u16(change.local.get());
            self.sparse(change.old.as_ref());
            self.sparse(change.new.as_ref());
        }
    }
}

/// Little-endian bytes coming in; `None` wherever they end too soon or are not what they must be.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn position(&mut self) -> Option<[i32; 3]> {
        Some([self.u32()? as i32, self.u32()? as i32, self.u32()? as i32])
    }
    fn version(&mut self) -> Option<Version> {
        Some(Version { epoch: self.u32()?, count: self.u32()? })
    }
    /// A count of things that take at least `least` bytes each, so that it can't ask for more memory than came.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = self.u32()? as usize;
        (count <= self.0.len() / least).then_some(count)
    }
    fn sparse(&mut self) -> Option<Option<Sparse>> {
        let length = self.u32()?;
        if length == u32::MAX {
            return Some(None);
        }
        if length as usize > SPARSE_BYTES_MAX {
            return None;
        }
        let (data, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(data.into()))
    }

    fn record(&mut self) -> Option<Record> {
        Some(match self.u8()? {
            1 => self.delta_record(false)?,
            8 => self.delta_record(true)?,
            9 => self.column_record()?,
            2 => self.replaced_record()?,
            3 => {
                let (tick, time_ms, digest) = (self.u64()?, self.u64()?, self.u64()?);
                let actors =
                    (0..self.count(16)?).map(|_| Some((ActorId(self.u64()?), self.u64()?))).collect::<Option<_>>()?;
                Record::Tick { tick, time_ms, digest, actors }
            }
            4 => {
                let (tick, time_ms, digest) = (self.u64()?, self.u64()?, self.u64()?);
                let actor = |this: &mut Self| {
                    Some((ActorId(this.u64()?), ActorState { sequence: this.u64()?, tick: this.u64()? }))
                };
                let actors = (0..self.count(24)?).map(|_| actor(self)).collect::<Option<_>>()?;
                Record::State { tick, time_ms, digest, actors }
            }
            5 => {
                let region = |this: &mut Self| RegionPos::try_from(this.position()?).ok();
                let regions = (0..self.count(12)?).map(|_| region(self)).collect::<Option<_>>()?;
                Record::SwitchBegins { regions }
            }
            6 => Record::SwitchEnds,
            7 => Record::Lost,
            10 => self.deltas_record()?,
            11 => {
                let (actor, length) = (ActorId(self.u64()?), self.u8()?);
                let name = String::from_utf8(self.take(usize::from(length))?.to_vec()).ok()?;
                Record::Name { actor, name }
            }
            12 => {
                let length = self.u32()? as usize;
                Record::UndoBegins(Request::from_bytes(self.take(length)?)?)
            }
            13 => Record::UndoEnds { undo: self.u64()? },
            _ => return None,
        })
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 127);
            // No bits beyond the 64th, and no more bytes than it takes.
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                return None;
            }
            value |= part << shift;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    fn deltas_record(&mut self) -> Option<Record> {
        let time_ms = self.u64()?;
        let column_sequences = (0..self.count(1)?).map(|_| self.varint()).collect::<Option<Vec<_>>>()?;
        let length = self.u32()? as usize;
        let packed = self.take(length)?;
        let deltas = OUTER.with_borrow_mut(|outer| unpack_deltas(packed, outer)).ok()?;
        let is_whole = columns_of(&deltas.chunks).len() == column_sequences.len();
        is_whole.then_some(Record::Deltas { time_ms, column_sequences, deltas })
    }

    /// Tick, time, column as x and z, epoch, column sequence.
    fn chunk_head(&mut self) -> Option<(u64, u64, [i32; 2], u32, u64)> {
        Some((self.u64()?, self.u64()?, [self.u32()? as i32, self.u32()? as i32], self.u32()?, self.u64()?))
    }

    fn column_record(&mut self) -> Option<Record> {
        let (tick, time_ms, [x, z], epoch, column_sequence) = self.chunk_head()?;
        let column = ColumnPos::new(x, z).ok()?;
        let length = self.count(1)?;
        let (state, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Record::Column { tick, time_ms, column_sequence, column, epoch, state: state.to_vec() })
    }

    fn body_id(&mut self) -> Option<BodyId> {
        Some(BodyId { tick: self.u64()?, origin: VoxelPos::try_from(self.position()?).ok()? })
    }

    fn delta_record(&mut self, with_body: bool) -> Option<Record> {
        let (tick, time_ms, column, epoch, column_sequence) = self.chunk_head()?;
        let kind = CauseKind::from_number(self.u8()?)?;
        let cause = Cause { kind, actor: ActorId(self.u64()?), root: self.u64()? };
        let body = if with_body { Some(self.body_id()?) } else { None };
        let pos = ChunkPos::try_from(self.position()?).ok()?;
        let (from, to) = (self.version()?, self.version()?);
        let (runs, sparse) = (self.count(8)?, self.u32()? as usize);
        let runs = (0..runs).map(|_| self.run()).collect::<Option<Vec<_>>>()?;
        if sparse > self.0.len() / 10 {
            return None;
        }
        let sparse = (0..sparse).map(|_| self.sparse_change()).collect::<Option<_>>()?;
        let delta = ChunkDelta { pos, from, to, cause, body, runs, sparse };
        let at = pos.column();
        (column == [at.x(), at.z()] && epoch == to.epoch).then_some(Record::Delta {
            tick,
            time_ms,
            column_sequence,
            delta,
        })
    }

    fn run(&mut self) -> Option<Run> {
        let (first, length) = (LocalIndex::new(self.u16()?)?, self.u16()?);
        let fits = length > 0 && first.index() + usize::from(length) <= CHUNK_VOXELS;
        let (old, new) = (BlockId(self.u16()?), BlockId(self.u16()?));
        fits.then_some(Run { first, length, old, new })
    }

    fn sparse_change(&mut self) -> Option<SparseChange> {
        Some(SparseChange { local: LocalIndex::new(self.u16()?)?, old: self.sparse()?, new: self.sparse()? })
    }

    fn replaced_record(&mut self) -> Option<Record> {
        let (tick, time_ms, column, epoch, column_sequence) = self.chunk_head()?;
        let pos = ChunkPos::try_from(self.position()?).ok()?;
        let (from, to, checksum) = (self.version()?, self.version()?, self.u64()?);
        let at = pos.column();
        (column == [at.x(), at.z()] && epoch == to.epoch).then_some(Record::Replaced {
            tick,
            time_ms,
            column_sequence,
            pos,
            from,
            to,
            checksum,
        })
    }
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The segment's number.
    pub segment: u32,
    /// The byte in it.
    pub offset: u64,
    /// The sequence of the frame there, written or to come.
    pub frame: u64,
}

/// The path of a segment.
pub fn segment_name(segment: u32) -> String {
    format!("journal/{segment:08}.trj")
}

/// The numbers of the segments that there are, ascending.
pub fn segments(dir: &dyn Dir) -> Result<Vec<u32>, StoreError> {
    let names = dir.list("journal").at("listing", "journal", 0)?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.strip_suffix(".trj")?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_header(segment: u32, world: &[u8; 16], first_frame: u64) -> Vec<u8> {
    let mut head = vec![0u8; SEGMENT_HEAD as usize];
    head[..8].copy_from_slice(SEGMENT_MAGIC);
    head[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&segment.to_le_bytes());
    head[16..32].copy_from_slice(world);
    head[32..40].copy_from_slice(&first_frame.to_le_bytes());
    let checksum = xxhash_rust::xxh3::xxh3_64(&head[..56]);
    head[56..64].copy_from_slice(&checksum.to_le_bytes());
    head
}

/// Makes an empty segment under its final name, durably.
pub fn create_segment(
    dir: &dyn Dir,
    segment: u32,
    world: &[u8; 16],
    first_frame: u64,
) -> Result<Arc<dyn File>, StoreError> {
    let name = segment_name(segment);
    let new = format!("{name}.new");
    let file = dir.open(&new, Open::Create).at("creating", &new, 0)?;
    file.write_at(&segment_header(segment, world, first_frame), 0).at("writing", &new, 0)?;
    file.sync().synced(&new)?;
    dir.rename(&new, &name).at("renaming", &name, 0)?;
    dir.sync("journal").synced("journal")?;
    Ok(file)
}

/// One frame's bytes: magic, payload length, sequence, highest sequence known to be synced, 0, checksum, payload, padding.
fn encode_frame(sequence: u64, synced: u64, records: &[Record]) -> Vec<u8> {
    let mut frame = vec![0u8; FRAME_HEAD];
    let mut writer = Writer(&mut frame);
    records.iter().for_each(|record| writer.record(record));
    seal_frame(&mut frame, sequence, synced);
    frame
}

/// Makes a whole frame of [`FRAME_HEAD`] bytes of any content and a payload behind them: writes the header, with the
/// checksum, and pads. The payload need not be records, so that tests and fuzzers can try what a checksum would hide.
pub fn seal_frame(frame: &mut Vec<u8>, sequence: u64, synced: u64) {
    let length = (frame.len() - FRAME_HEAD) as u32;
    frame[..FRAME_HEAD].fill(0);
    frame[..4].copy_from_slice(FRAME_MAGIC);
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    frame[16..24].copy_from_slice(&synced.to_le_bytes());
    let checksum = frame_checksum(frame);
    frame[32..40].copy_from_slice(&checksum.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(ALIGN as usize), 0);
}

fn frame_checksum(frame: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&frame[..32]);
    hash.update(&frame[FRAME_HEAD..]);
    hash.digest()
}

/// A frame that is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Its sequence.
    pub sequence: u64,
    /// The highest sequence that was synced when it was written.
    pub synced: u64,
    /// Its records; none if it only tells what is synced.
    pub records: Vec<Record>,
    /// Bytes it takes in the segment.
    pub bytes: u64,
}

/// Reads the frame at the start of `bytes`; `None` if there is no whole one.
pub fn parse_frame(bytes: &[u8]) -> Option<Frame> {
    let mut head = Bytes(bytes.get(..FRAME_HEAD)?);
    if head.array::<4>()? != *FRAME_MAGIC {
        return None;
    }
    let (length, sequence, synced, _, checksum) =
        (head.u32()? as usize, head.u64()?, head.u64()?, head.u64()?, head.u64()?);
    // Sequences begin at 1, and the next one must be a number too.
    if matches!(sequence, 0 | u64::MAX) {
        return None;
    }
    let frame = bytes.get(..FRAME_HEAD.checked_add(length)?)?;
    if frame_checksum(frame) != checksum {
        return None;
    }
    let mut payload = Bytes(&frame[FRAME_HEAD..]);
    let mut records = Vec::new();
    while !payload.0.is_empty() {
        records.push(payload.record()?);
    }
    Some(Frame { sequence, synced, records, bytes: (frame.len() as u64).next_multiple_of(ALIGN) })
}

/// What is left to read of one segment.
pub struct Scan {
    name: String,
    /// The segment from `base` on.
    bytes: Vec<u8>,
    base: u64,
    offset: u64,
    next: u64,
}

/// What a scan met.
pub enum Scanned {
    /// A whole frame, the next in sequence, and where it began.
    Frame(Frame, u64),
    /// The segment ends here, cleanly or torn by a crash.
    End {
        /// Where the last whole frame ended.
        offset: u64,
        /// Bytes behind it that a crash left.
        torn_bytes: u64,
    },
    /// A frame that had been synced is not whole any more; a whole one stands behind it.
    Damaged {
        /// Where the damage begins.
        offset: u64,
        /// Where the next whole frame begins.
        resume: u64,
        /// The sequences that are missing.
        missing: std::ops::Range<u64>,
    },
}

impl Scan {
    /// Reads a segment from `place` on, and its header; what lies between is not read.
    pub fn open(dir: &dyn Dir, world: &[u8; 16], place: Place) -> Result<Self, StoreError> {
        let name = segment_name(place.segment);
        let file = dir.open(&name, Open::Read).at("opening", &name, 0)?;
        let length = file.len().at("measuring", &name, 0)?;
        let mut head = vec![0u8; length.min(SEGMENT_HEAD) as usize];
        file.read_at(&mut head, 0).at("reading", &name, 0)?;
        let base = place.offset.max(SEGMENT_HEAD);
        let mut bytes = vec![0u8; length.saturating_sub(base) as usize];
        if !bytes.is_empty() {
            file.read_at(&mut bytes, base).at("reading", &name, base)?;
        }
        Self::from_parts(name, &head, bytes, length, world, place)
    }

    /// The same over the bytes of a whole segment.
    pub fn from_bytes(name: String, bytes: &[u8], world: &[u8; 16], place: Place) -> Result<Self, StoreError> {
        let rest = bytes.get(place.offset.max(SEGMENT_HEAD) as usize..).unwrap_or_default();
        let head = &bytes[..bytes.len().min(SEGMENT_HEAD as usize)];
        Self::from_parts(name, head, rest.to_vec(), bytes.len() as u64, world, place)
    }

    fn from_parts(
        name: String,
        head: &[u8],
        bytes: Vec<u8>,
        length: u64,
        world: &[u8; 16],
        place: Place,
    ) -> Result<Self, StoreError> {
        if head.len() < SEGMENT_HEAD as usize {
            return Err(StoreError::Truncated { file: name, offset: length });
        }
        // Only a header that is whole can speak of another version.
        let whole = xxhash_rust::xxh3::xxh3_64(&head[..56]).to_le_bytes() == head[56..64];
        if whole && head[..8] == *SEGMENT_MAGIC && head[8..12] != FORMAT_VERSION.to_le_bytes() {
            let found = u32::from_le_bytes(std::array::from_fn(|i| head[8 + i]));
            return Err(StoreError::Version { file: name, found, supported: FORMAT_VERSION });
        }
        let first = u64::from_le_bytes(std::array::from_fn(|i| head[32 + i]));
        if first == 0 || head != segment_header(place.segment, world, first) {
            let what = "its header does not match its checksum, its name or this world";
            return Err(StoreError::corrupt(&name, 0, what));
        }
        let base = place.offset.max(SEGMENT_HEAD);
        if base > length {
            return Err(StoreError::Truncated { file: name, offset: length });
        }
        let next = if place.offset <= SEGMENT_HEAD { first } else { place.frame };
        Ok(Self { name, bytes, base, offset: base, next })
    }

    /// The sequence that the next frame must have.
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    const fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// The segment's path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Goes on behind damage, for checking and repair.
    pub const fn resume_at(&mut self, offset: u64, sequence: u64) {
        self.offset = offset;
        self.next = sequence;
    }

    /// The next thing in the segment.
    pub fn advance(&mut self) -> Scanned {
        let rest = &self.bytes[(self.offset - self.base) as usize..];
        if let Some(frame) = parse_frame(rest).filter(|frame| frame.sequence == self.next) {
            let at = self.offset;
            self.offset = (at + frame.bytes).min(self.end());
            self.next += 1;
            return Scanned::Frame(frame, at);
        }
        match self.whole_frame_behind() {
            Some((resume, sequence)) => Scanned::Damaged { offset: self.offset, resume, missing: self.next..sequence },
            None => Scanned::End { offset: self.offset, torn_bytes: rest.len() as u64 },
        }
    }

    /// The next whole frame behind a place that has none, if one of those behind knew that place to be synced.
    fn whole_frame_behind(&self) -> Option<(u64, u64)> {
        let mut first = None;
        let mut at = self.offset + ALIGN;
        while at + FRAME_HEAD as u64 <= self.end() {
            match parse_frame(&self.bytes[(at - self.base) as usize..]).filter(|frame| frame.sequence >= self.next) {
                Some(frame) => {
                    first = first.or(Some((at, frame.sequence)));
                    if frame.synced >= self.next {
                        return first;
                    }
                    at += frame.bytes;
                }
                None => at += ALIGN,
            }
        }
        None
    }
}

/// A frame in place of one that is lost.
pub fn stand_in(sequence: u64) -> Frame {
    Frame { sequence, synced: sequence, records: vec![Record::Lost], bytes: 0 }
}

/// Writes a segment again with these frames; the old one stays beside it under another name.
pub fn rewrite_segment(dir: &dyn Dir, segment: u32, world: &[u8; 16], frames: &[Frame]) -> Result<(), StoreError> {
    let name = segment_name(segment);
    let mut bytes = segment_header(segment, world, frames.first().map_or(1, |frame| frame.sequence));
    frames.iter().for_each(|frame| bytes.extend(encode_frame(frame.sequence, frame.synced, &frame.records)));
    let new = format!("{name}.new");
    let file = dir.open(&new, Open::Create).at("creating", &new, 0)?;
    file.write_at(&bytes, 0).at("writing", &new, 0)?;
    file.sync().synced(&new)?;
    set_aside(dir, segment)?;
    dir.rename(&new, &name).at("renaming", &name, 0)?;
    dir.sync("journal").synced("journal")
}

/// Keeps a damaged segment under another name.
pub fn set_aside(dir: &dyn Dir, segment: u32) -> Result<(), StoreError> {
    let name = segment_name(segment);
    dir.rename(&name, &format!("{name}.damaged")).at("renaming", &name, 0)
}

/// Begins the journal anew with where the world stands, behind everything that was there.
pub fn begin_anew(
    dir: &dyn Dir,
    segment: u32,
    world: &[u8; 16],
    first: u64,
    records: &[Record],
) -> Result<(), StoreError> {
    let file = create_segment(dir, segment, world, first)?;
    let name = segment_name(segment);
    file.write_at(&encode_frame(first, first - 1, records), SEGMENT_HEAD).at("writing", &name, SEGMENT_HEAD)?;
    file.sync().synced(&name)
}

/// The writing end.
pub struct Journal {
    dir: Arc<dyn Dir>,
    world: [u8; 16],
    file: Arc<dyn File>,
    segment: u32,
    /// Where the next frame goes.
    end: u64,
    next_frame: u64,
    synced: u64,
    column_sequences: HashMap<ColumnPos, u64>,
    /// A segment that has grown past this is followed by a new one.
    segment_bytes: u64,
}

impl Journal {
    /// Goes on behind the last whole frame; what a crash left there is cut off.
    pub fn resume(dir: Arc<dyn Dir>, world: [u8; 16], place: Place) -> Result<Self, StoreError> {
        let name = segment_name(place.segment);
        let file = dir.open(&name, Open::Write).at("opening", &name, 0)?;
        if file.len().at("measuring", &name, 0)? > place.offset {
            file.set_len(place.offset).at("cutting", &name, place.offset)?;
        }
        // What replay has read is believed from now on, so it has to be durable, whoever wrote it.
        file.sync().synced(&name)?;
        let (segment, end, next_frame) = (place.segment, place.offset, place.frame);
        Ok(Self {
            dir,
            world,
            file,
            segment,
            end,
            next_frame,
            synced: next_frame - 1,
            column_sequences: HashMap::new(),
            segment_bytes: SEGMENT_BYTES,
        })
    }

    /// The same journal with segments of another size.
    #[must_use]
    pub const fn with_segments_of(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Where the next frame goes.
    pub const fn place(&self) -> Place {
        Place { segment: self.segment, offset: self.end, frame: self.next_frame }
    }

    /// What a tick changed as records, with the next record numbers of their columns.
    pub fn deltas(&mut self, tick: u64, time_ms: u64, deltas: &[ChunkDelta]) -> Vec<Record> {
        let record = |part: &[ChunkDelta]| {
            let mut column_sequences = Vec::new();
            for column in columns_of(part) {
                column_sequences.push(self.column_sequences.get(&column).copied().unwrap_or(0) + 1);
            }
            for delta in part {
                self.column_sequence(delta.pos.column());
            }
            Record::Deltas { time_ms, column_sequences, deltas: TickDeltas { tick, chunks: part.to_vec() } }
        };
        parts(deltas).into_iter().map(record).collect()
    }

    /// The segment that the next frame will be in.
    pub const fn next_segment(&self) -> u32 {
        self.segment + if self.end > self.segment_bytes { 1 } else { 0 }
    }

    /// The next record number of a column.
    pub fn column_sequence(&mut self, column: ColumnPos) -> u64 {
        let sequence = self.column_sequences.entry(column).or_insert(0);
        *sequence += 1;
        *sequence
    }

    /// Appends one frame and gives the file to be synced with the frame's sequence. After an error the frame is not
    /// there, and the journal is as before.
    pub fn append(&mut self, records: &[Record]) -> Result<u64, StoreError> {
        if self.next_segment() > self.segment {
            self.start_segment()?;
        }
        let frame = encode_frame(self.next_frame, self.synced, records);
        let name = segment_name(self.segment);
        if let Err(error) = self.file.write_at(&frame, self.end) {
            // Part of it may stand there; without the cut a later, shorter frame could leave its tail behind.
            let _ = self.file.set_len(self.end);
            return Err(StoreError::io("writing", &name, self.end, &error));
        }
        self.end += frame.len() as u64;
        self.next_frame += 1;
        Ok(self.next_frame - 1)
    }

    fn start_segment(&mut self) -> Result<(), StoreError> {
        // The old segment must be whole before anything stands in the new one.
        self.file.sync().synced(&segment_name(self.segment))?;
        self.file = create_segment(&*self.dir, self.segment + 1, &self.world, self.next_frame)?;
        self.segment += 1;
        self.end = SEGMENT_HEAD;
        Ok(())
    }

    /// The file that has to be synced, and the sequence of the last frame in it.
    pub fn to_sync(&self) -> (Arc<dyn File>, u64) {
        (Arc::clone(&self.file), self.next_frame - 1)
    }

    /// Notes that frames up to `sequence` are durable. The journal itself says so with its next frame; if none waits
    /// to be written, an empty one is appended, so that later damage can be told from a torn tail.
    pub fn synced(&mut self, sequence: u64) -> Result<(), StoreError> {
        self.synced = self.synced.max(sequence);
        if self.next_frame == sequence + 1 { self.append(&[]).map(drop) } else { Ok(()) }
    }
}

/// The most bytes that the records of one frame may have: far under what `u32` can count.
pub const FRAME_BYTES_MAX: usize = 1 << 30;
const _: () = assert!(REGION_CHUNKS * 128 < FRAME_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use terrane_world::undo::{Filter, Kinds, Rule};

    fn sample() -> Vec<Record> {
        let pos = ChunkPos::new(-3, 2, 9).unwrap();
        let run = |first: u16, length, new| Run {
            first: LocalIndex::new(first).unwrap(),
            length,
            old: BlockId(3),
            new: BlockId(new),
        };
        let change = SparseChange { local: LocalIndex::new(9).unwrap(), old: None, new: Some([1u8, 2, 3][..].into()) };
        let version = |count| Version { epoch: 4, count };
        let cause = Cause { kind: CauseKind::Edit, actor: ActorId(77), root: 5 };
        let delta = ChunkDelta {
            pos,
            from: version(1),
            to: version(2),
            cause,
            body: None,
            runs: vec![run(0, 5, 1), run(32_767, 1, 2)],
            sparse: vec![change],
        };
        let body = Some(BodyId { tick: 7, origin: VoxelPos::new(-9, 3, 12).unwrap() });
        let with_body = ChunkDelta { body, ..delta.clone() };
        let filter = Filter {
            actors: Some([ActorId(77)].into()),
            within: None,
            since: 3,
            until: 8,
            kinds: Kinds::all_but_undo(),
            undo: None,
        };
        let request = Request { id: 9, actor: ActorId(1), filter, rule: Rule::Keep, takes_back: None };
        let elsewhere = ChunkDelta { pos: ChunkPos::new(70, 2, 9).unwrap(), ..delta.clone() };
        let packed = TickDeltas { tick: 8, chunks: vec![delta.clone(), elsewhere, with_body.clone()] };
        vec![
            Record::Name { actor: ActorId(77), name: "Ann Müller".into() },
            Record::UndoBegins(request),
            Record::Deltas { time_ms: 9, column_sequences: vec![1, u64::MAX], deltas: packed },
            Record::UndoEnds { undo: 9 },
            Record::Delta { tick: 8, time_ms: 9, column_sequence: 1, delta },
            Record::Delta { tick: 8, time_ms: 9, column_sequence: 2, delta: with_body },
            Record::Column {
                tick: 8,
                time_ms: 9,
                column_sequence: 3,
                column: pos.column(),
                epoch: 4,
                state: vec![1, 2, 3],
            },
            Record::Replaced {
                tick: 8,
                time_ms: 9,
                column_sequence: 2,
                pos,
                from: Version::NONE,
                to: version(3),
                checksum: 6,
            },
            Record::Tick { tick: 8, time_ms: 9, digest: 10, actors: vec![(ActorId(77), 5)] },
            Record::State {
                tick: 8,
                time_ms: 9,
                digest: 10,
                actors: vec![(ActorId(77), ActorState { sequence: 5, tick: 8 })],
            },
            Record::SwitchBegins { regions: vec![pos.region()] },
            Record::SwitchEnds,
            Record::Lost,
        ]
    }

    #[test]
    fn a_frame_comes_back_as_written_and_no_flipped_bit_passes() {
        let bytes = encode_frame(7, 6, &sample());
        let frame = parse_frame(&bytes).unwrap();
        assert_eq!((frame.sequence, frame.synced, frame.bytes), (7, 6, bytes.len() as u64));
        assert_eq!(frame.records, sample());
        let padding = bytes.len() - FRAME_HEAD - u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        for bit in 0..(bytes.len() - padding) * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_frame(&bad).is_none(), "bit {bit}");
        }
        for cut in 0..bytes.len() - padding {
            assert!(parse_frame(&bytes[..cut]).is_none());
        }
    }

    #[test]
    fn deltas_of_a_tick_too_large_for_a_record_are_told_in_parts_and_lengths_are_no_promise_of_memory() {
        let Some(Record::Deltas { deltas, .. }) = sample().into_iter().find(|r| matches!(r, Record::Deltas { .. }))
        else {
            panic!("the sample has one")
        };
        let data: Sparse = vec![7u8; SPARSE_BYTES_MAX].into();
        let change =
            |n| SparseChange { local: LocalIndex::new(n).unwrap(), old: None, new: Some(Sparse::clone(&data)) };
        let large = ChunkDelta { sparse: (0..40).map(change).collect(), ..deltas.chunks[0].clone() };
        let all = [large.clone(), deltas.chunks[1].clone(), large.clone(), large];
        assert_eq!(parts(&all).iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 1, 1]);
        assert!(parts(&[]).is_empty());
        // A count of columns without columns.
        let mut bytes = vec![0u8; FRAME_HEAD];
        bytes.push(10);
        bytes.extend_from_slice(&9u64.to_le_bytes());
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        seal_frame(&mut bytes, 1, 0);
        assert!(parse_frame(&bytes).is_none());
    }

    #[test]
    fn a_torn_tail_ends_the_journal_and_damage_of_synced_frames_does_not() {
        let world = [1; 16];
        let segment = |frames: &[(u64, u64)]| {
            let mut bytes = segment_header(1, &world, 1);
            frames.iter().for_each(|(sequence, synced)| bytes.extend(encode_frame(*sequence, *synced, &sample())));
            bytes
        };
        let scan = |bytes: Vec<u8>| {
            let place = Place { segment: 1, offset: SEGMENT_HEAD, frame: 1 };
            Scan::from_bytes("s".into(), &bytes, &world, place).unwrap()
        };
        let frame = encode_frame(1, 0, &sample()).len();
        let mut torn = segment(&[(1, 0), (2, 0), (3, 1)]);
        torn[SEGMENT_HEAD as usize + frame + 50] ^= 1;
        let mut torn = scan(torn);
        assert!(matches!(torn.advance(), Scanned::Frame(..)));
        let Scanned::End { offset, torn_bytes } = torn.advance() else { panic!("nothing knew frame 2 to be synced") };
        assert_eq!((offset, torn_bytes), (SEGMENT_HEAD + frame as u64, 2 * frame as u64));

        let mut damaged = segment(&[(1, 0), (2, 0), (3, 1), (4, 3)]);
        damaged[SEGMENT_HEAD as usize + frame + 50] ^= 1;
        let mut damaged = scan(damaged);
        assert!(matches!(damaged.advance(), Scanned::Frame(..)));
        let Scanned::Damaged { offset, missing, .. } = damaged.advance() else { panic!("frame 4 knew") };
        assert_eq!((offset, missing), (SEGMENT_HEAD + frame as u64, 2..3));
    }
}
