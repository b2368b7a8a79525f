//! The inner layout of a chunk: rows that equal their neighbours are one bit, and a run of equal changes one number.
//!
//! A row is 32 voxels along x. What it is expected to be is the row before it along z, or for the first row of a layer the first
//! row of the layer below: terrain lies flat, so three rows of four in it are what was expected. Of the others a mask says which
//! voxels differ; of those that differ, in order, a bit says whether it is another block than the one listed before it; and of
//! those the number in the chunk's table is told. The masks stand byte by byte, all lowest bytes first, which zstd likes better
//! than whole masks (docs/codec.md has what was tried).
//!
//! The twin of [`find`] is shaders/codec.wgsl.

use super::CodecError;
use super::bytes::Reader;
use super::lanes::{self, HalfRow, Kernel, Lanes, Row};
use crate::block::BlockId;
use crate::chunk::{Chunk, Form, U4_BYTES, zeroed};
use crate::generate::simd::Level;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use std::cell::RefCell;
use std::ops::Range;

/// Rows of a chunk.
pub const ROWS: usize = CHUNK_VOXELS / CHUNK_EDGE;
/// Bytes that say which rows have a mask.
const CHANGED_BYTES: usize = ROWS / 8;

const UNIFORM: u8 = 1;
const ROWS_U4: u8 = 2;
const ROWS_U8: u8 = 3;
const PLAIN_U4: u8 = 4;
const PLAIN_U8: u8 = 5;
const PLAIN_U16: u8 = 6;

/// A chunk's numbers in its table, by local index.
pub type Entries = [u8; CHUNK_VOXELS];

/// Room behind the end of a list that is written and read 32 bytes at a time.
const SPARE: usize = CHUNK_EDGE;

/// What differs in a chunk from what was expected.
pub struct Rows {
    /// One bit for each row, the lowest first: whether it has a mask.
    pub changed: [u32; ROWS / 32],
    /// The masks of those rows; one more for what is written and not kept.
    pub masks: [u32; ROWS + 1],
    /// How many rows have a mask.
    pub mask_count: usize,
    /// One bit for each voxel in a mask, the lowest first: whether its number is another one than that listed before it. Before
    /// the first one stands 0.
    pub flags: [u32; CHUNK_VOXELS / 32],
    /// How many voxels are in masks.
    pub flag_count: usize,
    /// Their numbers, where they are another one; a 0 stands in front of them.
    pub values: [u8; 1 + CHUNK_VOXELS + SPARE],
    /// How many of those there are, without the 0.
    pub value_count: usize,
    /// The numbers of all voxels in masks, behind a 0.
    listed: [u8; 1 + CHUNK_VOXELS + SPARE],
}

impl Rows {
    /// Room for the rows of one chunk.
    pub const EMPTY: Self = Self {
        changed: [0; ROWS / 32],
        masks: [0; ROWS + 1],
        mask_count: 0,
        flags: [0; CHUNK_VOXELS / 32],
        flag_count: 0,
        values: [0; 1 + CHUNK_VOXELS + SPARE],
        value_count: 0,
        listed: [0; 1 + CHUNK_VOXELS + SPARE],
    };
}

/// 32 bytes of a list, from one on.
#[inline(always)]
fn at(list: &[u8], first: usize) -> &Row {
    list[first..].first_chunk().expect("lists have room for 32 behind their end")
}

/// The same, to write.
#[inline(always)]
fn at_mut(list: &mut [u8], first: usize) -> &mut Row {
    list[first..].first_chunk_mut().expect("lists have room for 32 behind their end")
}

struct Find<'a> {
    entries: &'a Entries,
    rows: &'a mut Rows,
}

impl Kernel for Find<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { entries, rows } = self;
        let (mut masks, mut listed) = (0, 0);
        rows.listed[0] = 0;
        let mut below = &[0; CHUNK_EDGE];
        let (layers, _) = entries.as_chunks::<{ CHUNK_EDGE * CHUNK_EDGE }>();
        for (layer, changed) in layers.iter().zip(&mut rows.changed) {
            let mut expected = below;
            *changed = 0;
            for (z, row) in layer.as_chunks::<CHUNK_EDGE>().0.iter().enumerate() {
                // Without branches: nobody can foretell which rows differ.
                let mask = L::unequal(row, expected);
                *changed |= u32::from(mask != 0) << z;
                rows.masks[masks] = mask;
                masks += usize::from(mask != 0);
                L::compress(row, mask, at_mut(&mut rows.listed, 1 + listed));
                listed += mask.count_ones() as usize;
                expected = row;
            }
            below = at(layer, 0);
        }
        (rows.mask_count, rows.flag_count) = (masks, listed);
        let mut told = 0;
        for (first, flags) in (0..listed).step_by(CHUNK_EDGE).zip(&mut rows.flags) {
            let is_there = u32::MAX >> (CHUNK_EDGE - (listed - first).min(CHUNK_EDGE));
            let row = at(&rows.listed, 1 + first);
            *flags = L::unequal(row, at(&rows.listed, first)) & is_there;
            L::compress(row, *flags, at_mut(&mut rows.values, 1 + told));
            told += flags.count_ones() as usize;
        }
        rows.value_count = told;
    }
}

/// Finds what differs. The same at every level.
pub fn find(entries: &Entries, level: Level, rows: &mut Rows) {
    lanes::run(level, Find { entries, rows });
}

/// Where a chunk is on its way in or out: 75 KiB that are not made anew for each.
struct Scratch {
    entries: Entries,
    rows: Rows,
}

thread_local! {
    static SCRATCH: RefCell<Box<Scratch>> =
        RefCell::new(Box::new(Scratch { entries: [0; CHUNK_VOXELS], rows: Rows::EMPTY }));
}

/// Two numbers out of each byte.
struct Widen<'a>(&'a [u8], &'a mut [u8]);

impl Kernel for Widen<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (pair, byte) in self.1.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            // As one number of 16 bits, which vectors can do.
            let two = u16::from(*byte);
            *pair = ((two | two << 4) & 0x0f0f).to_le_bytes();
        }
    }
}

/// Puts a chunk's inner layout behind `out`.
pub fn pack(chunk: &Chunk, out: &mut Vec<u8>) {
    let data = chunk.data();
    match chunk.form() {
        Form::Uniform => {
            out.push(UNIFORM);
            put_table(chunk.table(), out);
        }
        Form::U16 => {
            out.push(PLAIN_U16);
            out.extend_from_slice(&data);
        }
        Form::U4 | Form::U8 => SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { entries, rows } = &mut **scratch;
            let level = Level::best();
            match chunk.form() {
                Form::U4 => lanes::run(level, Widen(&data, &mut entries[..])),
                _ => entries.copy_from_slice(&data),
            }
            find(entries, level, rows);
            put_rows(chunk, &data, rows, out);
        }),
    }
    out.extend_from_slice(&chunk.sparse_to_bytes());
}

fn put_table(table: &[BlockId], out: &mut Vec<u8>) {
    out.extend(table.iter().flat_map(|block| block.0.to_le_bytes()));
}

/// A chunk with a table from what a twin of [`find`] made of it: rows that differ, masks, flags and numbers in the order of the
/// layout; nothing where its numbers as they are take no more.
pub fn put_found(chunk: &Chunk, found: &[u8], out: &mut Vec<u8>) {
    put_head(chunk, found.is_empty(), out);
    match found {
        [] => out.extend_from_slice(&chunk.data()),
        found => out.extend_from_slice(found),
    }
    out.extend_from_slice(&chunk.sparse_to_bytes());
}

fn put_head(chunk: &Chunk, is_plain: bool, out: &mut Vec<u8>) {
    out.push(match (is_plain, chunk.form()) {
        (false, Form::U4) => ROWS_U4,
        (false, _) => ROWS_U8,
        (true, Form::U4) => PLAIN_U4,
        (true, _) => PLAIN_U8,
    });
    out.push((chunk.table().len() - 1) as u8);
    put_table(chunk.table(), out);
}

/// What was found in a chunk with a table, or its voxels as they are if that is shorter.
fn put_rows(chunk: &Chunk, data: &[u8], rows: &Rows, out: &mut Vec<u8>) {
    let is_u4 = chunk.form() == Form::U4;
    let value_bytes = if is_u4 { rows.value_count.div_ceil(2) } else { rows.value_count };
    let flag_bytes = rows.flag_count.div_ceil(8);
    let is_plain = CHANGED_BYTES + 4 * rows.mask_count + flag_bytes + value_bytes >= data.len();
    put_head(chunk, is_plain, out);
    if is_plain {
        return out.extend_from_slice(data);
    }
    let masks = &rows.masks[..rows.mask_count];
    out.extend(rows.changed.iter().flat_map(|word| word.to_le_bytes()));
    for byte in 0..4 {
        out.extend(masks.iter().map(|mask| (mask >> (8 * byte)) as u8));
    }
    let flags = &rows.flags[..rows.flag_count.div_ceil(32)];
    let begin = out.len();
    out.extend(flags.iter().flat_map(|word| word.to_le_bytes()));
    out.truncate(begin + flag_bytes);
    let values = &rows.values[1..][..rows.value_count];
    match is_u4 {
        true => out.extend(values.chunks(2).map(|two| two[0] | two.get(1).map_or(0, |high| high << 4))),
        false => out.extend_from_slice(values),
    }
}

/// A chunk from its inner layout.
///
/// # Errors
/// [`CodecError`] for bytes that [`pack`] can't have made, apart from numbers that say what was expected anyway.
pub fn unpack(bytes: &[u8]) -> Result<Chunk, CodecError> {
    let mut reader = Reader::new(bytes, "a chunk");
    let layout = reader.u8()?;
    let mut chunk = match layout {
        UNIFORM => Chunk::uniform(BlockId(reader.u16()?)),
        PLAIN_U16 => Chunk::from_parts(Form::U16, &[], reader.take(Form::U16.data_bytes())?)?,
        ROWS_U4 | ROWS_U8 | PLAIN_U4 | PLAIN_U8 => {
            let form = if matches!(layout, ROWS_U4 | PLAIN_U4) { Form::U4 } else { Form::U8 };
            let table = read_table(form, &mut reader)?;
            match layout {
                PLAIN_U4 | PLAIN_U8 => Chunk::from_parts(form, &table, reader.take(form.data_bytes())?)?,
                _ => SCRATCH.with_borrow_mut(|scratch| {
                    read_rows(form, table.len(), &mut reader, &mut scratch.rows)?;
                    Ok::<_, CodecError>(filled(form, table, &mut scratch.rows))
                })?,
            }
        }
        found => return Err(reader.layout(found)),
    };
    match reader.rest() {
        [] => {}
        sparse => chunk.read_sparse(sparse)?,
    }
    Ok(chunk)
}

fn read_table(form: Form, reader: &mut Reader<'_>) -> Result<Vec<BlockId>, CodecError> {
    let length = usize::from(reader.u8()?) + 1;
    if length > form.table_range().1 {
        return Err(reader.wrong("a table has more blocks than its form has numbers"));
    }
    Ok(reader.take(2 * length)?.as_chunks::<2>().0.iter().map(|two| BlockId(u16::from_le_bytes(*two))).collect())
}

/// A chunk from rows whose numbers are in the table.
fn filled(form: Form, table: Vec<BlockId>, rows: &mut Rows) -> Chunk {
    let level = Level::best();
    if form == Form::U8 {
        let mut indexes: Box<Entries> = zeroed();
        lanes::run(level, Fill { rows, out: indexes.as_chunks_mut::<{ size_of::<Row>() }>().0 });
        return Chunk::from_checked_u8(table, indexes);
    }
    let mut indexes: Box<[u8; U4_BYTES]> = zeroed();
    lanes::run(level, Fill { rows, out: indexes.as_chunks_mut::<{ size_of::<HalfRow>() }>().0 });
    Chunk::from_checked_u4(table, indexes)
}

/// The rows of a chunk that differ.
fn read_rows(form: Form, table: usize, reader: &mut Reader<'_>, rows: &mut Rows) -> Result<(), CodecError> {
    let changed = reader.take(CHANGED_BYTES)?;
    for (word, bytes) in rows.changed.iter_mut().zip(changed.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut mask_count = 0;
    lanes::run(Level::best(), Ones(changed, &mut mask_count));
    rows.mask_count = mask_count;
    let planes = reader.take(4 * mask_count)?;
    let plane = |byte: usize| &planes[byte * mask_count..(byte + 1) * mask_count];
    let planes = [plane(0), plane(1), plane(2), plane(3)];
    let masks = &mut rows.masks[..mask_count];
    lanes::run(Level::best(), Join { planes, masks });
    if masks.contains(&0) {
        return Err(reader.wrong("a row that differs differs nowhere"));
    }
    lanes::run(Level::best(), Ones(bytemuck::cast_slice(&rows.masks[..mask_count]), &mut rows.flag_count));
    read_values(form, table, reader, rows)?;
    Ok(())
}

/// Which voxels have another number than the one before, and those numbers. In front of the first stands a 0 here.
fn read_values(form: Form, table: usize, reader: &mut Reader<'_>, rows: &mut Rows) -> Result<(), CodecError> {
    let flags = reader.take(rows.flag_count.div_ceil(8))?;
    for (word, bytes) in rows.flags.iter_mut().zip(flags.chunks(4)) {
        let mut whole = [0; 4];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u32::from_le_bytes(whole);
    }
    if !rows.flag_count.is_multiple_of(32) && rows.flags[rows.flag_count / 32] >> (rows.flag_count % 32) != 0 {
        return Err(reader.wrong("bits behind the last voxel that differs"));
    }
    lanes::run(Level::best(), Ones(flags, &mut rows.value_count));
    let values = &mut rows.values[1..];
    match form {
        Form::U4 => {
            let halves = reader.take(rows.value_count.div_ceil(2))?;
            lanes::run(Level::best(), Widen(halves, values));
            if !rows.value_count.is_multiple_of(2) && values[rows.value_count] != 0 {
                return Err(reader.wrong("half a byte behind the last number"));
            }
        }
        _ => values[..rows.value_count].copy_from_slice(reader.take(rows.value_count)?),
    }
    let most = values[..rows.value_count].iter().copied().max().unwrap_or(0);
    if usize::from(most) >= table {
        return Err(reader.wrong("a number has no block in the table"));
    }
    Ok(())
}

/// Whole masks from their bytes.
struct Join<'a> {
    planes: [&'a [u8]; 4],
    masks: &'a mut [u32],
}

impl Kernel for Join<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { planes: [one, two, three, four], masks } = self;
        let bytes = one.iter().zip(two).zip(three.iter().zip(four));
        for (mask, ((one, two), (three, four))) in masks.iter_mut().zip(bytes) {
            *mask = u32::from_le_bytes([*one, *two, *three, *four]);
        }
    }
}

/// How many bits are set in some bytes.
struct Ones<'a>(&'a [u8], &'a mut usize);

impl Kernel for Ones<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (words, rest) = self.0.as_chunks::<8>();
        let words: u32 = words.iter().map(|word| u64::from_le_bytes(*word).count_ones()).sum();
        let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
        *self.1 = (words + rest) as usize;
    }
}

/// A row as it stands in a chunk.
trait Stored: Copy {
    fn of<L: Lanes>(row: L::Held) -> Self;
}

/// Form u8.
impl Stored for Row {
    #[inline(always)]
    fn of<L: Lanes>(row: L::Held) -> Self {
        L::bytes(row)
    }
}

/// Form u4.
impl Stored for HalfRow {
    #[inline(always)]
    fn of<L: Lanes>(row: L::Held) -> Self {
        L::halves(row)
    }
}

/// Rows that are written at once where the same one goes on: terrain has as many on average.
const AT_ONCE: usize = 4;

/// Every row of a chunk from those that differ. What is not there yet is zeros.
struct Fill<'a, S> {
    rows: &'a mut Rows,
    out: &'a mut [S],
}

impl<S: Stored> Kernel for Fill<'_, S> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rows, out } = self;
        rows.list::<L>();
        let (mut masks, mut listed) = (0, 0);
        let mut below = L::none();
        for (layer, changed) in rows.changed.iter().enumerate() {
            let (mut expected, mut left, mut z) = (below, *changed, 0);
            while z < CHUNK_EDGE {
                if left >> z & 1 == 1 {
                    let mask = rows.masks[masks];
                    expected = L::expand(expected, mask, at(&rows.listed, listed));
                    (masks, listed) = (masks + 1, listed + mask.count_ones() as usize);
                    left &= left - 1;
                }
                below = if z == 0 { expected } else { below };
                let end = (left.trailing_zeros() as usize).min(CHUNK_EDGE);
                repeat(S::of::<L>(expected), &mut out[layer * CHUNK_EDGE..], z..end);
                z = end;
            }
        }
    }
}

/// Writes a row into some places. What stands right behind them may be written too: it is told later.
#[inline(always)]
fn repeat<S: Stored>(row: S, out: &mut [S], places: Range<usize>) {
    let Some(first) = out[places.start..].first_chunk_mut::<AT_ONCE>() else {
        return out[places].fill(row);
    };
    *first = [row; AT_ONCE];
    if places.len() > AT_ONCE {
        out[places.start + AT_ONCE..places.end].fill(row);
    }
}

impl Rows {
    /// The numbers of all voxels in masks, from those that are told.
    #[inline(always)]
    fn list<L: Lanes>(&mut self) {
        let mut told = 0;
        let words = self.listed.as_chunks_mut::<CHUNK_EDGE>().0.iter_mut().zip(&self.flags);
        for (listed, word) in words.take(self.flag_count.div_ceil(CHUNK_EDGE)) {
            for (listed, flags) in listed.as_chunks_mut::<8>().0.iter_mut().zip(word.to_le_bytes()) {
                let values = self.values[told..].first_chunk().expect("lists have room for 32 behind their end");
                *listed = L::pick(values, ones_up_to(flags));
                told += flags.count_ones() as usize;
            }
        }
    }
}

/// For each bit of a byte, how many are set up to it, a byte each.
#[inline(always)]
const fn ones_up_to(bits: u8) -> [u8; 8] {
    // Each bit in a byte of its own; the highest bit of those that are set, moved down; sums.
    let apart = (bits as u64).wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    let set = (apart + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101;
    set.wrapping_mul(0x0101_0101_0101_0101).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::noise::hash;

    /// Layers that follow each other, with some rows that differ, and some voxels in those.
    fn entries(seed: u32) -> Box<Entries> {
        let mut entries: Box<Entries> = zeroed();
        for (index, entry) in entries.iter_mut().enumerate() {
            let (x, z, y) = (index as i32 % 32, index as i32 / 32 % 32, index as i32 / 1_024);
            let row = hash(0, y, z, seed) % 4;
            *entry = (if row == 0 { hash(x / 3, y, z, seed) } else { hash(0, y / 5, 0, seed) } % 16) as u8;
        }
        entries
    }

    #[test]
    fn every_level_fills_rows_as_they_were() {
        for seed in 0..20 {
            let expected = entries(seed);
            let mut rows = Box::new(Rows::EMPTY);
            find(&expected, Level::best(), &mut rows);
            for level in Level::available() {
                let mut bytes: Box<Entries> = zeroed();
                lanes::run(level, Fill { rows: &mut rows, out: bytes.as_chunks_mut::<{ size_of::<Row>() }>().0 });
                assert!(bytes == expected, "{level:?}, {seed}");
                let mut halves: Box<[u8; U4_BYTES]> = zeroed();
                lanes::run(level, Fill { rows: &mut rows, out: halves.as_chunks_mut::<{ size_of::<HalfRow>() }>().0 });
                let pairs = expected.as_chunks::<2>().0;
                assert!(
                    halves.iter().zip(pairs).all(|(byte, [low, high])| *byte == low | high << 4),
                    "{level:?}, {seed}"
                );
            }
        }
    }
}
