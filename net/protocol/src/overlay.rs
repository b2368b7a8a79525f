//! What lies over chunks: a byte a voxel, for those who asked to see it.

use crate::error::ProtocolError;
use crate::frame::{Kind, write_frame};
use crate::message::{Payload, ServerMessage, put};
use crate::wire;
use terrane_world::chunk::Version;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::ChunkPos;

/// A byte for each voxel of a chunk, in local-index order.
pub type Values = [u8; CHUNK_VOXELS];

/// What the bytes mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum OverlayKind {
    /// How much of what holds it arrives at a voxel: 0 nothing, 255 anchored.
    Support = 0,
    /// Light of the sky in the high four bits, of blocks in the low four, 0 to 15 each, of solid voxels and air alike.
    Light = 1,
}

impl OverlayKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Support, Self::Light];

    /// From the number in a frame.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == number)
    }
}

/// Kinds that a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OverlayKinds(u32);

impl OverlayKinds {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// From the mask in a frame; `None` if it has a bit that means nothing.
    pub fn from_mask(mask: u32) -> Option<Self> {
        (mask < 1 << OverlayKind::ALL.len()).then_some(Self(mask))
    }

    /// As the mask in a frame: bit n is the kind of number n.
    pub const fn mask(self) -> u32 {
        self.0
    }

    /// Whether a kind is among them.
    pub const fn contains(self, kind: OverlayKind) -> bool {
        self.0 >> kind as u16 & 1 == 1
    }

    /// The same with or without one kind.
    #[must_use]
    pub const fn with(self, kind: OverlayKind, wanted: bool) -> Self {
        let bit = 1 << kind as u16;
        Self(if wanted { self.0 | bit } else { self.0 & !bit })
    }

    /// Those that are among both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not among the others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Those that are among either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The first kind among them.
    pub fn first(self) -> Option<OverlayKind> {
        OverlayKind::ALL.into_iter().find(|kind| self.contains(*kind))
    }
}

const NOTHING: u16 = 0;
const RUNS: u16 = 1;
const U4: u16 = 2;
const U8: u16 = 3;

fn zeroed() -> Box<Values> {
    vec![0; CHUNK_VOXELS].into_boxed_slice().try_into().expect("it has that length")
}

/// Runs of equal bytes: how many, and which.
fn runs(values: &Values) -> impl Iterator<Item = (u16, u8)> {
    values.chunk_by(|a, b| a == b).map(|run| (run.len() as u16, run[0]))
}

/// The different bytes, ascending, unless they are more than 16.
fn table(values: &Values) -> Option<Vec<u8>> {
    let mut seen = [false; 256];
    values.iter().for_each(|value| seen[usize::from(*value)] = true);
    let table: Vec<u8> = (0..=255u8).filter(|value| seen[usize::from(*value)]).collect();
    (table.len() <= 16).then_some(table)
}

/// Appends the OverlayData frame of a chunk in its smallest form; of several equally small ones the first.
pub fn encode_overlay(pos: ChunkPos, kind: OverlayKind, version: Version, values: Option<&Values>, out: &mut Vec<u8>) {
    let head = |form: u16, count: u32| wire::OverlayHead {
        pos: pos.into(),
        kind: (kind as u16).into(),
        form: form.into(),
        version: version.into(),
        count: count.into(),
        zero: 0.into(),
    };
    write_frame(Kind::OverlayData, out, |out| {
        let Some(values) = values else { return put(out, &head(NOTHING, 0)) };
        let smallest = smallest(values);
        put(out, &head(smallest.form(), smallest.count()));
        smallest.put(values, out);
    });
}

/// The form with the fewest bytes.
pub(crate) enum Smallest {
    /// So many runs.
    Runs(usize),
    /// Indexes into this table.
    Table(Vec<u8>),
    Bytes,
}

impl Smallest {
    /// Its number in a frame.
    pub(crate) const fn form(&self) -> u16 {
        match self {
            Self::Runs(_) => RUNS,
            Self::Table(_) => U4,
            Self::Bytes => U8,
        }
    }

    /// Its runs, or the entries of its table.
    pub(crate) const fn count(&self) -> u32 {
        match self {
            Self::Runs(count) => *count as u32,
            Self::Table(table) => table.len() as u32,
            Self::Bytes => 0,
        }
    }

    /// Appends the values for which this is the smallest form.
    pub(crate) fn put(&self, values: &Values, out: &mut Vec<u8>) {
        match self {
            Self::Runs(_) => runs(values)
                .for_each(|(length, value)| put(out, &wire::OverlayRunEntry { length: length.into(), value })),
            Self::Table(table) => {
                let index = |value: u8| table.partition_point(|entry| *entry < value) as u8;
                out.extend_from_slice(table);
                out.extend(values.as_chunks().0.iter().map(|[even, odd]| index(*even) | index(*odd) << 4));
            }
            Self::Bytes => out.extend_from_slice(values),
        }
    }
}

pub(crate) fn smallest(values: &Values) -> Smallest {
    let (count, table) = (runs(values).count(), table(values));
    let packed_bytes = table.as_ref().map_or(CHUNK_VOXELS, |table| table.len() + CHUNK_VOXELS / 2);
    match table {
        _ if count * size_of::<wire::OverlayRunEntry>() <= packed_bytes => Smallest::Runs(count),
        Some(table) => Smallest::Table(table),
        None => Smallest::Bytes,
    }
}

pub(crate) fn read_overlay(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::OverlayHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 28")?;
    let pos = payload.chunk(head.pos)?;
    let kind = payload.within(head.kind.get(), 0, OverlayKind::ALL.len() as u16 - 1, "kind of overlay")?;
    let kind = OverlayKind::from_number(kind).expect("checked above");
    let values = if head.form.get() == NOTHING {
        payload.within(head.count.get(), 0, 0, "count of runs or values")?;
        None
    } else {
        Some(read_values(payload, head.form.get(), head.count.get())?)
    };
    Ok(ServerMessage::OverlayData { pos, kind, version: head.version.get(), values })
}

/// Reads values in the smallest form that they have.
pub(crate) fn read_values(payload: &mut Payload<'_>, form: u16, count: u32) -> Result<Box<Values>, ProtocolError> {
    let form = payload.within(form, RUNS, U8, "form")?;
    let (least, most) = [(1, CHUNK_VOXELS as u32), (1, 16), (0, 0)][usize::from(form - RUNS)];
    let count = payload.within(count, least, most, "count of runs or values")?;
    let values = match form {
        RUNS => read_runs(payload, count as usize)?,
        U4 => read_u4(payload, count as usize)?,
        _ => {
            let mut values = zeroed();
            values.copy_from_slice(payload.bytes(CHUNK_VOXELS, "the bytes")?);
            values
        }
    };
    let smallest = smallest(&values);
    payload.within(form, smallest.form(), smallest.form(), "form (the smallest for these values)")?;
    payload.within(count, smallest.count(), smallest.count(), "count of runs or values (the least)")?;
    Ok(values)
}

fn read_runs(payload: &mut Payload<'_>, count: usize) -> Result<Box<Values>, ProtocolError> {
    let list: &[wire::OverlayRunEntry] = payload.list(count, "the list of runs")?;
    let mut values = zeroed();
    let mut next = 0;
    for run in list {
        let length = payload.within(run.length.get(), 1, (CHUNK_VOXELS - next) as u32, "length of a run")?;
        values[next..next + usize::from(length)].fill(run.value);
        next += usize::from(length);
    }
    payload.within(next as u32, CHUNK_VOXELS as u32, CHUNK_VOXELS as u32, "voxels in all runs")?;
    Ok(values)
}

fn read_u4(payload: &mut Payload<'_>, count: usize) -> Result<Box<Values>, ProtocolError> {
    let table = payload.bytes(count, "the table")?;
    for pair in table.windows(2) {
        payload.within(pair[1], u16::from(pair[0]) + 1, 255, "entry of the table (ascending)")?;
    }
    let indexes = payload.bytes(CHUNK_VOXELS / 2, "the indexes")?;
    let mut values = zeroed();
    for (pair, byte) in values.as_chunks_mut::<2>().0.iter_mut().zip(indexes) {
        for (value, index) in pair.iter_mut().zip([byte & 15, byte >> 4]) {
            *value = table[usize::from(payload.within(index, 0, count as u32 - 1, "index into the table")?)];
        }
    }
    Ok(values)
}
