//! The inner layout of what a tick changed: each kind of number in a stream of its own, so that what is alike lies together.
//!
//! In a chunk, what changed lies in few rows, close to each other along x: a row is told by how far it is behind the one before,
//! and by a mask that begins at the lowest x of the chunk's changes. Blocks are numbers of a table of the batch, in as many bits
//! as they need. Clients get what is there now ([`pack`]); history also gets what was there, why, and sparse data
//! ([`pack_whole`]).

use super::CodecError;
use super::bytes::{BitReader, Reader, bits_of, put_bits, put_signed, put_varint};
use super::codec::ROWS;
use crate::block::BlockId;
use crate::chunk::{Chunk, Sparse, Version};
use crate::limits::{CHUNK_EDGE, SPARSE_BYTES_MAX};
use crate::physics::state::BodyId;
use crate::space::{ChunkPos, LocalIndex, VoxelPos};
use crate::step::{ActorId, Cause, CauseKind, ChunkDelta, Run, SparseChange};
use std::borrow::Borrow;

/// For clients, version 1.
const CHANGES: u8 = 0x20;
/// For history, version 1.
const WHOLE: u8 = 0x21;

/// What a tick changed, as clients need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The tick.
    pub tick: u64,
    /// What changed in chunks, in the order in which it did.
    pub chunks: Vec<Change>,
}

/// What changed in one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The chunk.
    pub pos: ChunkPos,
    /// Its version before.
    pub from: Version,
    /// Its version after.
    pub to: Version,
    /// Voxels that changed, ascending, not overlapping.
    pub runs: Vec<NewRun>,
}

impl Change {
    /// Puts what is there now into a chunk that is at the version before.
    pub fn apply(&self, chunk: &mut Chunk) {
        for run in &self.runs {
            for local in (run.first.get()..run.first.get() + run.length).filter_map(LocalIndex::new) {
                chunk.set(local, run.block);
            }
        }
    }
}

/// Neighbouring local indexes that became one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRun {
    /// First local index.
    pub first: LocalIndex,
    /// How many, at least 1.
    pub length: u16,
    /// What is there now.
    pub block: BlockId,
}

/// What a tick changed, as history needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickDeltas {
    /// The tick.
    pub tick: u64,
    /// The deltas, in the order in which they were made.
    pub chunks: Vec<ChunkDelta>,
}

/// Puts what a tick changed behind `out`: the new blocks.
pub fn pack<D: Borrow<ChunkDelta>>(tick: u64, deltas: &[D], out: &mut Vec<u8>) {
    let deltas: Vec<&ChunkDelta> = deltas.iter().map(Borrow::borrow).collect();
    let table = table(deltas.iter().flat_map(|delta| delta.runs.iter().map(|run| run.new)));
    out.push(CHANGES);
    put_head(tick, &deltas, &table, out);
    put_places(&deltas, out);
    put_blocks(&deltas, &table, |run| run.new, out);
}

/// Puts what a tick changed behind `out`, with all that its deltas say.
pub fn pack_whole<D: Borrow<ChunkDelta>>(tick: u64, deltas: &[D], out: &mut Vec<u8>) {
    let deltas: Vec<&ChunkDelta> = deltas.iter().map(Borrow::borrow).collect();
    let table = table(deltas.iter().flat_map(|delta| delta.runs.iter().flat_map(|run| [run.old, run.new])));
    out.push(WHOLE);
    put_head(tick, &deltas, &table, out);
    put_places(&deltas, out);
    put_blocks(&deltas, &table, |run| run.new, out);
    put_blocks(&deltas, &table, |run| run.old, out);
    put_causes(&deltas, out);
    put_sparse(&deltas, out);
}

/// Every block once, ascending.
fn table(blocks: impl Iterator<Item = BlockId>) -> Vec<BlockId> {
    let mut table: Vec<BlockId> = Vec::new();
    let mut last = None;
    for block in blocks.filter(|block| last.replace(*block) != Some(*block)) {
        if let Err(at) = table.binary_search(&block) {
            table.insert(at, block);
        }
    }
    table
}

fn put_head(tick: u64, deltas: &[&ChunkDelta], table: &[BlockId], out: &mut Vec<u8>) {
    put_varint(out, tick);
    put_varint(out, deltas.len() as u64);
    put_varint(out, table.len() as u64);
    out.extend(table.iter().flat_map(|block| block.0.to_le_bytes()));
    let mut before = [0; 3];
    for delta in deltas {
        let pos = delta.pos.to_array().map(i64::from);
        (0..3).for_each(|axis| put_signed(out, pos[axis] - before[axis]));
        before = pos;
    }
    let mut epoch = 0;
    for delta in deltas {
        put_signed(out, i64::from(delta.from.epoch) - epoch);
        epoch = i64::from(delta.from.epoch);
    }
    deltas.iter().for_each(|delta| put_varint(out, u64::from(delta.from.count)));
    deltas.iter().for_each(|delta| put_signed(out, i64::from(delta.to.epoch) - i64::from(delta.from.epoch)));
    deltas.iter().for_each(|delta| put_signed(out, i64::from(delta.to.count) - i64::from(delta.from.count) - 1));
}

/// By row, the voxels of a chunk that changed.
fn masks(runs: &[Run]) -> Vec<(usize, u32)> {
    let mut masks: Vec<(usize, u32)> = Vec::new();
    for run in runs {
        let (mut at, end) = (run.first.index(), run.first.index() + usize::from(run.length));
        while at < end {
            let (row, x) = (at / CHUNK_EDGE, at % CHUNK_EDGE);
            let count = (end - at).min(CHUNK_EDGE - x);
            let mask = (u32::MAX >> (CHUNK_EDGE - count)) << x;
            match masks.last_mut().filter(|(last, _)| *last == row) {
                Some((_, other)) => *other |= mask,
                None => masks.push((row, mask)),
            }
            at += count;
        }
    }
    masks
}

fn put_places(deltas: &[&ChunkDelta], out: &mut Vec<u8>) {
    let masks: Vec<Vec<(usize, u32)>> = deltas.iter().map(|delta| masks(&delta.runs)).collect();
    let low = |masks: &[(usize, u32)]| masks.iter().map(|(_, mask)| mask.trailing_zeros()).min().unwrap_or(0);
    let lows: Vec<u32> = masks.iter().map(|masks| low(masks)).collect();
    masks.iter().for_each(|masks| put_varint(out, masks.len() as u64));
    out.extend(lows.iter().map(|low| *low as u8));
    for masks in &masks {
        let mut next = 0;
        for (row, _) in masks {
            put_varint(out, (row - next) as u64);
            next = row + 1;
        }
    }
    for (masks, low) in masks.iter().zip(&lows) {
        masks.iter().for_each(|(_, mask)| put_varint(out, u64::from(mask >> low)));
    }
}

fn put_blocks(deltas: &[&ChunkDelta], table: &[BlockId], block: impl Fn(&Run) -> BlockId, out: &mut Vec<u8>) {
    let number = |run: &Run| table.binary_search(&block(run)).unwrap_or_default() as u32;
    let runs = deltas.iter().flat_map(|delta| &delta.runs);
    let numbers = runs.flat_map(|run| std::iter::repeat_n(number(run), usize::from(run.length)));
    put_bits(out, bits_of(table.len()), numbers);
}

fn put_causes(deltas: &[&ChunkDelta], out: &mut Vec<u8>) {
    out.extend(deltas.iter().map(|delta| delta.cause.kind as u8));
    for part in [|cause: &Cause| cause.actor.0, |cause: &Cause| cause.root] {
        let mut before = 0u64;
        for delta in deltas {
            put_signed(out, part(&delta.cause).wrapping_sub(before) as i64);
            before = part(&delta.cause);
        }
    }
    out.extend(deltas.iter().map(|delta| u8::from(delta.body.is_some())));
    for body in deltas.iter().filter_map(|delta| delta.body) {
        put_varint(out, body.tick);
        body.origin.to_array().into_iter().for_each(|part| put_signed(out, i64::from(part)));
    }
}

fn put_sparse(deltas: &[&ChunkDelta], out: &mut Vec<u8>) {
    let put = |data: &Option<Sparse>, out: &mut Vec<u8>| {
        put_varint(out, data.as_ref().map_or(0, |data| data.len() as u64 + 1));
        out.extend_from_slice(data.as_deref().unwrap_or_default());
    };
    for delta in deltas {
        put_varint(out, delta.sparse.len() as u64);
        for change in &delta.sparse {
            put_varint(out, u64::from(change.local.get()));
            put(&change.old, out);
            put(&change.new, out);
        }
    }
}

/// What [`pack`] made.
///
/// # Errors
/// [`CodecError`], for all other bytes.
pub fn unpack(bytes: &[u8]) -> Result<Changes, CodecError> {
    let mut reader = Reader::new(bytes, "changes");
    match reader.u8()? {
        CHANGES => {}
        found => return Err(reader.layout(found)),
    }
    let head = read_head(&mut reader)?;
    let places = read_places(head.chunks.len(), &mut reader)?;
    let mut blocks = head.blocks(&places, &mut reader)?;
    reader.end()?;
    let change = |((pos, from, to), masks): (&(ChunkPos, Version, Version), &Vec<Mask>)| {
        let mut runs: Vec<NewRun> = Vec::new();
        for local in voxels(masks) {
            let block = blocks.next()?;
            match runs.last_mut().filter(|run| run.block == block && follows(run.first, run.length, local)) {
                Some(run) => run.length += 1,
                None => runs.push(NewRun { first: local, length: 1, block }),
            }
        }
        Some(Change { pos: *pos, from: *from, to: *to, runs })
    };
    let chunks = head.chunks.iter().zip(&places).filter_map(change).collect();
    Ok(Changes { tick: head.tick, chunks })
}

/// What [`pack_whole`] made.
///
/// # Errors
/// [`CodecError`], for all other bytes.
pub fn unpack_whole(bytes: &[u8]) -> Result<TickDeltas, CodecError> {
    let mut reader = Reader::new(bytes, "deltas");
    match reader.u8()? {
        WHOLE => {}
        found => return Err(reader.layout(found)),
    }
    let head = read_head(&mut reader)?;
    let places = read_places(head.chunks.len(), &mut reader)?;
    let (mut new, mut old) = (head.blocks(&places, &mut reader)?, head.blocks(&places, &mut reader)?);
    let causes = read_causes(head.chunks.len(), &mut reader)?;
    let mut chunks = Vec::with_capacity(head.chunks.len());
    for (((pos, from, to), masks), (cause, body)) in head.chunks.iter().zip(&places).zip(causes) {
        let mut runs: Vec<Run> = Vec::new();
        for (local, (old, new)) in voxels(masks).zip(old.by_ref().zip(new.by_ref())) {
            let is_same = |run: &&mut Run| (run.old, run.new) == (old, new) && follows(run.first, run.length, local);
            match runs.last_mut().filter(is_same) {
                Some(run) => run.length += 1,
                None => runs.push(Run { first: local, length: 1, old, new }),
            }
        }
        let sparse = read_sparse(&mut reader)?;
        chunks.push(ChunkDelta { pos: *pos, from: *from, to: *to, cause, body, runs, sparse });
    }
    reader.end()?;
    Ok(TickDeltas { tick: head.tick, chunks })
}

/// Whether a voxel is the next one behind a run.
fn follows(first: LocalIndex, length: u16, local: LocalIndex) -> bool {
    first.index() + usize::from(length) == local.index()
}

/// What stands in front of places and blocks.
struct Head {
    tick: u64,
    table: Vec<BlockId>,
    chunks: Vec<(ChunkPos, Version, Version)>,
}

/// A row and which of its voxels changed.
type Mask = (u16, u32);

/// Every voxel in some masks, ascending.
fn voxels(masks: &[Mask]) -> impl Iterator<Item = LocalIndex> {
    let one = |(row, mask): &Mask| {
        let (first, mut mask) = (*row * CHUNK_EDGE as u16, *mask);
        std::iter::from_fn(move || {
            let x = mask.trailing_zeros();
            mask &= mask.wrapping_sub(1);
            LocalIndex::new(first + x as u16).filter(|_| x < u32::BITS)
        })
    };
    masks.iter().flat_map(one)
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head, CodecError> {
    let tick = reader.varint()?;
    let count = reader.count("more chunks than bytes")?;
    let blocks = reader.count("more blocks than bytes")?;
    let table = reader.take(2 * blocks)?.as_chunks::<2>().0;
    let table: Vec<BlockId> = table.iter().map(|two| BlockId(u16::from_le_bytes(*two))).collect();
    if !table.is_sorted_by(|a, b| a < b) {
        return Err(reader.wrong("the table of blocks is not in order"));
    }
    let mut positions = Vec::with_capacity(count);
    let mut before = [0i64; 3];
    for _ in 0..count {
        for part in &mut before {
            *part = part.saturating_add(reader.signed()?);
        }
        let pos = ChunkPos::from_i64(before[0], before[1], before[2]);
        positions.push(pos.map_err(|_| reader.wrong("a chunk lies outside the world"))?);
    }
    let versions = read_versions(count, reader)?;
    let chunks = positions.into_iter().zip(versions).map(|(pos, (from, to))| (pos, from, to)).collect();
    Ok(Head { tick, table, chunks })
}

fn read_versions(count: usize, reader: &mut Reader<'_>) -> Result<Vec<(Version, Version)>, CodecError> {
    const WHAT: &str = "a version has more than 32 bits";
    let mut versions = vec![(Version::NONE, Version::NONE); count];
    let sum = |reader: &mut Reader<'_>, base: i64| {
        let value = base.saturating_add(reader.signed()?);
        u32::try_from(value).map_err(|_| reader.wrong(WHAT))
    };
    let mut epoch = 0;
    for (from, _) in &mut versions {
        from.epoch = sum(reader, epoch)?;
        epoch = i64::from(from.epoch);
    }
    for (from, _) in &mut versions {
        from.count = reader.small(WHAT)?;
    }
    for (from, to) in &mut versions {
        to.epoch = sum(reader, i64::from(from.epoch))?;
    }
    for (from, to) in &mut versions {
        to.count = sum(reader, i64::from(from.count) + 1)?;
    }
    Ok(versions)
}

fn read_places(count: usize, reader: &mut Reader<'_>) -> Result<Vec<Vec<Mask>>, CodecError> {
    let mut places: Vec<Vec<Mask>> = Vec::with_capacity(count);
    let mut all = 0;
    for _ in 0..count {
        let rows: usize = reader.small("more rows than a chunk has")?;
        all += rows;
        // A row takes two bytes that are still to come.
        if rows > ROWS || 2 * all > reader.left() {
            return Err(reader.wrong("more rows than a chunk, or than there are bytes"));
        }
        places.push(vec![(0, 0); rows]);
    }
    let lows = reader.take(count)?;
    for masks in &mut places {
        let mut next = 0usize;
        for (row, _) in masks {
            next = next.saturating_add(reader.small("a row is none of the chunk's")?);
            if next >= ROWS {
                return Err(reader.wrong("a row is none of the chunk's"));
            }
            *row = next as u16;
            next += 1;
        }
    }
    for (masks, low) in places.iter_mut().zip(lows) {
        let mut any = 0;
        for (_, mask) in masks.iter_mut() {
            let shifted: u32 = reader.small("a mask has more bits than a row has voxels")?;
            any |= shifted;
            let Some(whole) = shifted.checked_shl(u32::from(*low)).filter(|m| m >> low == shifted && *m != 0) else {
                return Err(reader.wrong("a mask is empty, or reaches beyond its row"));
            };
            *mask = whole;
        }
        if any & 1 == 0 && (*low != 0 || !masks.is_empty()) {
            return Err(reader.wrong("masks begin below the first change"));
        }
    }
    Ok(places)
}

impl Head {
    /// A block for each voxel in the masks.
    fn blocks<'a>(&'a self, places: &[Vec<Mask>], reader: &mut Reader<'a>) -> Result<BlockReader<'a>, CodecError> {
        let count = places.iter().flatten().map(|(_, mask)| mask.count_ones() as usize).sum();
        let bits = bits_of(self.table.len());
        if count > 0 && self.table.is_empty() {
            return Err(reader.wrong("voxels changed, and there is no block"));
        }
        let mut check = BitReader::new(reader, bits, count)?;
        let numbers = check.clone();
        if (0..count).any(|_| check.read() as usize >= self.table.len()) {
            return Err(reader.wrong("a number has no block in the table"));
        }
        Ok(BlockReader { table: &self.table, numbers, left: count })
    }
}

/// The blocks of voxels, one after the other; every number has been looked at.
struct BlockReader<'a> {
    table: &'a [BlockId],
    numbers: BitReader<'a>,
    left: usize,
}

impl Iterator for BlockReader<'_> {
    type Item = BlockId;

    fn next(&mut self) -> Option<BlockId> {
        self.left = self.left.checked_sub(1)?;
        self.table.get(self.numbers.read() as usize).copied()
    }
}

fn read_causes(count: usize, reader: &mut Reader<'_>) -> Result<Vec<(Cause, Option<BodyId>)>, CodecError> {
    let mut causes = Vec::with_capacity(count);
    for number in reader.take(count)? {
        let kind = CauseKind::from_number(*number).ok_or_else(|| reader.wrong("there is no such cause"))?;
        causes.push((Cause { kind, actor: ActorId(0), root: 0 }, None));
    }
    let mut before = 0u64;
    for (cause, _) in &mut causes {
        before = before.wrapping_add(reader.signed()? as u64);
        cause.actor = ActorId(before);
    }
    let mut before = 0u64;
    for (cause, _) in &mut causes {
        before = before.wrapping_add(reader.signed()? as u64);
        cause.root = before;
    }
    let has_body = reader.take(count)?;
    if has_body.iter().any(|has| *has > 1) {
        return Err(reader.wrong("a body is there or is not"));
    }
    for ((_, body), _) in causes.iter_mut().zip(has_body).filter(|(_, has)| **has == 1) {
        let tick = reader.varint()?;
        let [x, y, z] = [reader.signed()?, reader.signed()?, reader.signed()?];
        let part = |part: i64| i32::try_from(part).map_err(|_| reader.wrong("a body began outside the world"));
        let origin = VoxelPos::new(part(x)?, part(y)?, part(z)?);
        let origin = origin.map_err(|_| reader.wrong("a body began outside the world"))?;
        *body = Some(BodyId { tick, origin });
    }
    Ok(causes)
}

fn read_sparse(reader: &mut Reader<'_>) -> Result<Vec<SparseChange>, CodecError> {
    let count = reader.count("more sparse data than bytes")?;
    let mut changes: Vec<SparseChange> = Vec::new();
    for _ in 0..count {
        let local = LocalIndex::new(reader.small("a local index is not below 32768")?);
        let local = local.ok_or_else(|| reader.wrong("a local index is not below 32768"))?;
        if changes.last().is_some_and(|last| last.local >= local) {
            return Err(reader.wrong("sparse data is not in order"));
        }
        changes.push(SparseChange { local, old: read_data(reader)?, new: read_data(reader)? });
    }
    Ok(changes)
}

fn read_data(reader: &mut Reader<'_>) -> Result<Option<Sparse>, CodecError> {
    let length: usize = reader.small("sparse data is too long")?;
    if length > SPARSE_BYTES_MAX + 1 {
        return Err(reader.wrong("sparse data is too long"));
    }
    Ok(if length == 0 { None } else { Some(reader.take(length - 1)?.into()) })
}
