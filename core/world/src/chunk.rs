//! One chunk: its voxels as columns (struct of arrays) in the smallest of four forms, and its sparse data.

use crate::block::{AIR, BlockId};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS, SPARSE_BYTES_MAX, SPARSE_CHUNK_BYTES_MAX, SPARSE_ENTRIES_MAX};
use crate::space::LocalIndex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of the index column in form u4.
pub const U4_BYTES: usize = CHUNK_VOXELS / 2;
/// Bytes of the index column in form u8.
pub const U8_BYTES: usize = CHUNK_VOXELS;
/// Bytes of the voxel column in form u16.
pub const U16_BYTES: usize = CHUNK_VOXELS * 2;

/// All voxels of a chunk as plain ids, in local-index order: the exchange form of kernels and formats.
pub type Blocks = [BlockId; CHUNK_VOXELS];

/// The version of one chunk: grows with every change and is never reused, also not across owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Version {
    /// The fencing number of the owner that made the change.
    pub epoch: u32,
    /// Changes since the chunk came to be.
    pub count: u32,
}

impl Version {
    /// Nothing is held.
    pub const NONE: Self = Self { epoch: 0, count: 0 };
    /// As the generator makes it, never changed.
    pub const GENERATED: Self = Self { epoch: 0, count: 1 };

    /// The version after one more change made under `epoch`.
    ///
    /// # Panics
    /// After 2³² changes of one chunk, or if `epoch` is older than the version's own: both are our errors.
    #[must_use]
    pub fn next(self, epoch: u32) -> Self {
        assert!(epoch >= self.epoch, "epoch {epoch} is fenced off: the chunk is at {self:?}");
        Self { epoch, count: self.count.checked_add(1).expect("2³² changes of one chunk") }
    }
}

/// How the voxels of a chunk are held; the numbers are those of files and frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Form {
    /// One block throughout.
    Uniform = 1,
    /// Half-byte indexes into a table of at most 16; the even local index is in the low half.
    U4 = 2,
    /// Byte indexes into a table of at most 256.
    U8 = 3,
    /// Plain ids, little-endian.
    U16 = 4,
}

impl Form {
    /// From the number in a file or a frame.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Uniform),
            2 => Some(Self::U4),
            3 => Some(Self::U8),
            4 => Some(Self::U16),
            _ => None,
        }
    }

    /// Bytes of the voxel column.
    pub const fn data_bytes(self) -> usize {
        match self {
            Self::Uniform => 0,
            Self::U4 => U4_BYTES,
            Self::U8 => U8_BYTES,
            Self::U16 => U16_BYTES,
        }
    }

    /// Least and most entries of the table.
    pub const fn table_range(self) -> (usize, usize) {
        match self {
            Self::Uniform => (1, 1),
            Self::U4 => (1, 16),
            Self::U8 => (1, 256),
            Self::U16 => (0, 0),
        }
    }
}

/// Bytes that are not a chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The voxel column has the wrong size for its form.
    #[error("a {form:?} chunk has {expected} bytes of voxels, not {found}")]
    DataBytes {
        /// The form stated.
        form: Form,
        /// What it needs.
        expected: usize,
        /// What was there.
        found: usize,
    },
    /// The table has the wrong size for its form.
    #[error("a {form:?} chunk has a table of {least} to {most} blocks, not {found}")]
    TableLength {
        /// The form stated.
        form: Form,
        /// Least entries.
        least: usize,
        /// Most entries.
        most: usize,
        /// What was there.
        found: usize,
    },
    /// An index points behind the table.
    #[error("voxel {local} has index {index}, but the table has {table} entries")]
    Index {
        /// Local index of the voxel.
        local: usize,
        /// The index there.
        index: usize,
        /// Entries in the table.
        table: usize,
    },
    /// Sparse data is larger than the limit, or not well formed.
    #[error("sparse data: {0}")]
    Sparse(String),
}

#[derive(Clone, PartialEq, Eq)]
enum Voxels {
    Uniform(BlockId),
    U4 { table: Vec<BlockId>, indexes: Box<[u8; U4_BYTES]> },
    U8 { table: Vec<BlockId>, indexes: Box<[u8; U8_BYTES]> },
    U16(Box<Blocks>),
}

/// Opaque data of one voxel: a chest's content, a sign's text. What it means is known to the format it came from.
pub type Sparse = Arc<[u8]>;

/// One chunk. Cloning copies the voxel column; share chunks through `Arc`.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    voxels: Voxels,
    sparse: BTreeMap<LocalIndex, Sparse>,
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({:?}, table {:?}, {} sparse)", self.form(), self.table(), self.sparse.len())
    }
}

fn nibble(indexes: &[u8], index: usize) -> usize {
    usize::from(indexes[index / 2] >> (4 * (index & 1)) & 15)
}

fn set_nibble(indexes: &mut [u8], index: usize, value: usize) {
    let shift = 4 * (index & 1);
    let byte = &mut indexes[index / 2];
    *byte = *byte & !(15 << shift) | (value as u8) << shift;
}

/// An array of zeros on the heap.
pub fn zeroed<T: bytemuck::Zeroable + Copy, const N: usize>() -> Box<[T; N]> {
    vec![T::zeroed(); N].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("the length is N"))
}

/// A zeroed exchange buffer on the heap.
pub fn new_blocks() -> Box<Blocks> {
    zeroed()
}

impl Chunk {
    /// A chunk of one block.
    pub const fn uniform(block: BlockId) -> Self {
        Self { voxels: Voxels::Uniform(block), sparse: BTreeMap::new() }
    }

    /// A chunk in the smallest form that holds `blocks`.
    pub fn from_blocks(blocks: &Blocks) -> Self {
        Self { voxels: pack(blocks), sparse: BTreeMap::new() }
    }

    /// A chunk in the smallest form, from byte-sized indexes into `palette`: the exchange form of generators.
    ///
    /// # Panics
    /// If an entry points behind the palette.
    pub fn from_entries(entries: &[u8; CHUNK_VOXELS], palette: &[BlockId]) -> Self {
        Self { voxels: pack_entries(entries, palette), sparse: BTreeMap::new() }
    }

    /// From indexes that are known to be in the table.
    pub(crate) const fn from_checked_u4(table: Vec<BlockId>, indexes: Box<[u8; U4_BYTES]>) -> Self {
        Self { voxels: Voxels::U4 { table, indexes }, sparse: BTreeMap::new() }
    }

    /// The same, in form u8.
    pub(crate) const fn from_checked_u8(table: Vec<BlockId>, indexes: Box<[u8; U8_BYTES]>) -> Self {
        Self { voxels: Voxels::U8 { table, indexes }, sparse: BTreeMap::new() }
    }

    /// From the parts of a file's slot or a frame. Every index is checked against the table.
    pub fn from_parts(form: Form, table: &[BlockId], data: &[u8]) -> Result<Self, ChunkError> {
        let (least, most) = form.table_range();
        if !(least..=most).contains(&table.len()) {
            return Err(ChunkError::TableLength { form, least, most, found: table.len() });
        }
        if data.len() != form.data_bytes() {
            return Err(ChunkError::DataBytes { form, expected: form.data_bytes(), found: data.len() });
        }
        let voxels = match form {
            Form::Uniform => Voxels::Uniform(table[0]),
            Form::U4 => {
                check_nibbles(data, table.len())?;
                let mut indexes: Box<[u8; U4_BYTES]> = zeroed();
                indexes.copy_from_slice(data);
                Voxels::U4 { table: table.to_vec(), indexes }
            }
            Form::U8 => {
                check_bytes(data, table.len())?;
                let mut indexes: Box<[u8; U8_BYTES]> = zeroed();
                indexes.copy_from_slice(data);
                Voxels::U8 { table: table.to_vec(), indexes }
            }
            Form::U16 => {
                let mut blocks = new_blocks();
                for (block, bytes) in blocks.iter_mut().zip(data.chunks_exact(2)) {
                    *block = BlockId(u16::from_le_bytes([bytes[0], bytes[1]]));
                }
                Voxels::U16(blocks)
            }
        };
        Ok(Self { voxels, sparse: BTreeMap::new() })
    }

    /// How the voxels are held.
    pub const fn form(&self) -> Form {
        match self.voxels {
            Voxels::Uniform(_) => Form::Uniform,
            Voxels::U4 { .. } => Form::U4,
            Voxels::U8 { .. } => Form::U8,
            Voxels::U16(_) => Form::U16,
        }
    }

    /// The table that indexes point into: one block for a uniform chunk, none for u16.
    pub fn table(&self) -> &[BlockId] {
        match &self.voxels {
            Voxels::Uniform(block) => std::slice::from_ref(block),
            Voxels::U4 { table, .. } | Voxels::U8 { table, .. } => table,
            Voxels::U16(_) => &[],
        }
    }

    /// The voxel column as bytes in the order of files and frames (little-endian machines only need a cast).
    pub fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        match &self.voxels {
            Voxels::Uniform(_) => (&[][..]).into(),
            Voxels::U4 { indexes, .. } => indexes[..].into(),
            Voxels::U8 { indexes, .. } => indexes[..].into(),
            Voxels::U16(blocks) if cfg!(target_endian = "little") => {
                bytemuck::cast_slice::<BlockId, u8>(&blocks[..]).into()
            }
            Voxels::U16(blocks) => blocks.iter().flat_map(|b| b.0.to_le_bytes()).collect::<Vec<_>>().into(),
        }
    }

    /// The block of one voxel.
    pub fn get(&self, local: LocalIndex) -> BlockId {
        let index = local.index();
        match &self.voxels {
            Voxels::Uniform(block) => *block,
            Voxels::U4 { table, indexes } => table[nibble(&indexes[..], index)],
            Voxels::U8 { table, indexes } => table[usize::from(indexes[index])],
            Voxels::U16(blocks) => blocks[index],
        }
    }

    /// Changes one voxel, widening the form if need be, and gives the block that was there. Its sparse data stays.
    pub fn set(&mut self, local: LocalIndex, block: BlockId) -> BlockId {
        let old = self.get(local);
        if old == block {
            return old;
        }
        let entry = self.entry(block);
        let index = local.index();
        match &mut self.voxels {
            Voxels::Uniform(_) => unreachable!("entry() has widened a uniform chunk"),
            Voxels::U4 { indexes, .. } => set_nibble(&mut indexes[..], index, entry),
            Voxels::U8 { indexes, .. } => indexes[index] = entry as u8,
            Voxels::U16(blocks) => blocks[index] = block,
        }
        old
    }

    /// Makes room for `block` in the table and gives its entry there.
    fn entry(&mut self, block: BlockId) -> usize {
        if let Voxels::Uniform(old) = self.voxels {
            self.voxels = Voxels::U4 { table: vec![old], indexes: zeroed() };
        }
        if let Voxels::U4 { table, indexes } = &self.voxels
            && table.len() == 16
            && !table.contains(&block)
        {
            let mut wide: Box<[u8; U8_BYTES]> = zeroed();
            for (index, wide) in wide.iter_mut().enumerate() {
                *wide = nibble(&indexes[..], index) as u8;
            }
            self.voxels = Voxels::U8 { table: table.clone(), indexes: wide };
        }
        if let Voxels::U8 { table, .. } = &self.voxels
            && table.len() == 256
            && !table.contains(&block)
        {
            let mut blocks = new_blocks();
            self.copy_to(&mut blocks);
            self.voxels = Voxels::U16(blocks);
        }
        match &mut self.voxels {
            Voxels::U4 { table, .. } | Voxels::U8 { table, .. } => {
                table.iter().position(|&entry| entry == block).unwrap_or_else(|| {
                    table.push(block);
                    table.len() - 1
                })
            }
            Voxels::Uniform(_) | Voxels::U16(_) => 0,
        }
    }

    /// Writes every voxel as a plain id.
    pub fn copy_to(&self, blocks: &mut Blocks) {
        match &self.voxels {
            Voxels::Uniform(block) => blocks.fill(*block),
            Voxels::U4 { table, indexes } => {
                let mut wide = [AIR; 16];
                wide[..table.len()].copy_from_slice(table);
                for (pair, &byte) in blocks.chunks_exact_mut(2).zip(indexes.iter()) {
                    pair[0] = wide[usize::from(byte & 15)];
                    pair[1] = wide[usize::from(byte >> 4)];
                }
            }
            Voxels::U8 { table, indexes } => {
                for (block, &index) in blocks.iter_mut().zip(indexes.iter()) {
                    *block = table[usize::from(index)];
                }
            }
            Voxels::U16(all) => *blocks = **all,
        }
    }

    /// The same voxels in the smallest form; edits only ever widen.
    #[must_use]
    pub fn compacted(&self) -> Self {
        let mut blocks = new_blocks();
        self.copy_to(&mut blocks);
        Self { voxels: pack(&blocks), sparse: self.sparse.clone() }
    }

    /// The same voxels without any sparse data.
    #[must_use]
    pub fn without_sparse(&self) -> Self {
        Self { voxels: self.voxels.clone(), sparse: BTreeMap::new() }
    }

    /// Sparse data by voxel, in local-index order.
    pub const fn sparse(&self) -> &BTreeMap<LocalIndex, Sparse> {
        &self.sparse
    }

    /// Puts, replaces or takes away the sparse data of one voxel and gives what was there.
    pub fn set_sparse(&mut self, local: LocalIndex, data: Option<Sparse>) -> Result<Option<Sparse>, ChunkError> {
        let Some(data) = data else { return Ok(self.sparse.remove(&local)) };
        if data.len() > SPARSE_BYTES_MAX {
            return Err(ChunkError::Sparse(format!(
                "{} bytes at voxel {}, {SPARSE_BYTES_MAX} is the most",
                data.len(),
                local.get()
            )));
        }
        let others: usize = self.sparse.iter().filter(|(at, _)| **at != local).map(|(_, d)| d.len()).sum();
        if others + data.len() > SPARSE_CHUNK_BYTES_MAX {
            return Err(ChunkError::Sparse(format!(
                "{} bytes in one chunk, {SPARSE_CHUNK_BYTES_MAX} is the most",
                others + data.len()
            )));
        }
        Ok(self.sparse.insert(local, data))
    }

    /// Heap bytes, for the residency budget.
    pub fn memory_bytes(&self) -> usize {
        let sparse: usize = self.sparse.values().map(|data| data.len() + 64).sum();
        size_of::<Self>() + self.form().data_bytes() + self.table().len() * 2 + sparse
    }

    /// Sparse data as bytes: count u32, then per entry local index u16, 0 u16, length u32, data. Empty if there is none.
    pub fn sparse_to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.sparse.is_empty() {
            bytes.extend_from_slice(&(self.sparse.len() as u32).to_le_bytes());
        }
        for (local, data) in &self.sparse {
            bytes.extend_from_slice(&u32::from(local.get()).to_le_bytes());
            bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
            bytes.extend_from_slice(data);
        }
        bytes
    }

    /// Reads what [`Chunk::sparse_to_bytes`] wrote, in place of the sparse data held.
    pub fn read_sparse(&mut self, bytes: &[u8]) -> Result<(), ChunkError> {
        self.sparse.clear();
        if bytes.is_empty() {
            return Ok(());
        }
        let wrong = |what: &str| ChunkError::Sparse(what.to_owned());
        let (count, mut rest) = take_u32(bytes).ok_or_else(|| wrong("cut short"))?;
        if count as usize > SPARSE_ENTRIES_MAX {
            return Err(wrong("more entries than voxels"));
        }
        for _ in 0..count {
            let (local, after) = take_u32(rest).ok_or_else(|| wrong("cut short"))?;
            let (length, after) = take_u32(after).ok_or_else(|| wrong("cut short"))?;
            let local = u16::try_from(local)
                .ok()
                .and_then(LocalIndex::new)
                .ok_or_else(|| wrong("a local index is not below 32768"))?;
            let (data, after) = after.split_at_checked(length as usize).ok_or_else(|| wrong("cut short"))?;
            if self.sparse.last_key_value().is_some_and(|(last, _)| *last >= local) {
                return Err(wrong("entries are not in order"));
            }
            self.set_sparse(local, Some(data.into()))?;
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(wrong("bytes are left over")) }
    }
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}

fn check_nibbles(data: &[u8], table: usize) -> Result<(), ChunkError> {
    if table == 16 {
        return Ok(());
    }
    let fits = |byte: u8| (byte & 15 < table as u8) & (byte >> 4 < table as u8);
    // Without an early end, so that many bytes are compared at a time.
    match data.iter().fold(true, |all, &byte| all & fits(byte)) {
        true => Ok(()),
        false => {
            let local = (0..CHUNK_VOXELS).find(|&i| nibble(data, i) >= table).expect("one does not fit");
            Err(ChunkError::Index { local, index: nibble(data, local), table })
        }
    }
}

fn check_bytes(data: &[u8], table: usize) -> Result<(), ChunkError> {
    let most = data.iter().copied().max().unwrap_or(0);
    if usize::from(most) < table {
        return Ok(());
    }
    let local = data.iter().position(|&index| usize::from(index) >= table).expect("the largest does not fit");
    Err(ChunkError::Index { local, index: usize::from(data[local]), table })
}

/// The smallest form of `blocks`, with the table in order of first appearance.
fn pack(blocks: &Blocks) -> Voxels {
    if blocks.iter().all(|block| *block == blocks[0]) {
        return Voxels::Uniform(blocks[0]);
    }
    let highest = blocks.iter().map(|block| block.0).max().unwrap_or(0);
    // By id: 1 + its entry in the table, 0 while it has none.
    let mut entry_of = vec![0u16; usize::from(highest) + 1];
    let mut table = Vec::with_capacity(16);
    let mut indexes: Box<[u8; U8_BYTES]> = zeroed();
    for (row, row_indexes) in blocks.chunks_exact(CHUNK_EDGE).zip(indexes.chunks_exact_mut(CHUNK_EDGE)) {
        if !look_up(row, &entry_of, row_indexes) {
            if !add_new(row, &mut entry_of, &mut table) {
                return Voxels::U16(Box::new(*blocks));
            }
            look_up(row, &entry_of, row_indexes);
        }
    }
    if table.len() > 16 {
        return Voxels::U8 { table, indexes };
    }
    let mut halves: Box<[u8; U4_BYTES]> = zeroed();
    for (half, pair) in halves.iter_mut().zip(indexes.chunks_exact(2)) {
        *half = pair[0] | pair[1] << 4;
    }
    Voxels::U4 { table, indexes: halves }
}

/// The smallest form of voxels that are indexes into `palette`, with the table in order of first appearance.
fn pack_entries(entries: &[u8; CHUNK_VOXELS], palette: &[BlockId]) -> Voxels {
    let mut packing = Packing::default();
    let mut halves: Box<[u8; U4_BYTES]> = zeroed();
    let half = |indexes: [u8; 8]| std::array::from_fn::<u8, 4, _>(|n| indexes[2 * n] | indexes[2 * n + 1] << 4);
    if packing.pack(entries, palette, 16, &mut halves[..], half) {
        return match packing.table.len() {
            1 => Voxels::Uniform(packing.table[0]),
            _ => Voxels::U4 { table: packing.table, indexes: halves },
        };
    }
    let mut packing = Packing::default();
    let mut indexes: Box<[u8; U8_BYTES]> = zeroed();
    let fits = packing.pack(entries, palette, 256, &mut indexes[..], |indexes| indexes);
    assert!(fits, "there are 256 entries, so no more than 256 blocks");
    Voxels::U8 { table: packing.table, indexes }
}

/// The first eight bytes as one number, which compares fast.
#[inline(always)]
pub(crate) fn first_word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("at least eight"))
}

/// A table in the making. At most 256 entries, so that the last index means "none yet" only until it is given.
struct Packing {
    index_of: [u8; 256],
    table: Vec<BlockId>,
}

impl Default for Packing {
    fn default() -> Self {
        Self { index_of: [u8::MAX; 256], table: Vec::with_capacity(16) }
    }
}

impl Packing {
    /// Writes the indexes of all entries, eight at a time; `false` as soon as there are more than `most`.
    ///
    /// Neighbours along x mostly are of one block, so each eight are compared with the eight before them.
    fn pack<const N: usize>(
        &mut self,
        entries: &[u8; CHUNK_VOXELS],
        palette: &[BlockId],
        most: usize,
        out: &mut [u8],
        packed: impl Fn([u8; 8]) -> [u8; N],
    ) -> bool {
        let (mut last, mut last_packed) = (!first_word(entries), [0u8; N]);
        for (eight, out) in entries.chunks_exact(8).zip(out.chunks_exact_mut(N)) {
            let word = first_word(eight);
            if word != last {
                last = word;
                let mut indexes = [0u8; 8];
                for (index, entry) in indexes.iter_mut().zip(eight) {
                    *index = self.index(*entry, palette);
                }
                if self.table.len() > most {
                    return false;
                }
                last_packed = packed(indexes);
            }
            out.copy_from_slice(&last_packed);
        }
        true
    }

    #[inline]
    fn index(&mut self, entry: u8, palette: &[BlockId]) -> u8 {
        let index = self.index_of[usize::from(entry)];
        if index != u8::MAX { index } else { self.add(entry, palette) }
    }

    #[cold]
    fn add(&mut self, entry: u8, palette: &[BlockId]) -> u8 {
        let block = palette[usize::from(entry)];
        // Two entries may stand for one block, and the 256th index looks like none.
        let known = self.table.iter().position(|known| *known == block);
        let index = known.unwrap_or_else(|| {
            self.table.push(block);
            self.table.len() - 1
        });
        self.index_of[usize::from(entry)] = index as u8;
        index as u8
    }
}

/// Writes the entry of each block; `false` if one of them has none yet. No branch depends on a block: where blocks
/// change often, guessing wrong costs more than looking up.
fn look_up(row: &[BlockId], entry_of: &[u16], indexes: &mut [u8]) -> bool {
    let mut least = u16::MAX;
    for (index, block) in indexes.iter_mut().zip(row) {
        let entry = entry_of[usize::from(block.0)];
        least = least.min(entry);
        *index = entry.wrapping_sub(1) as u8;
    }
    least > 0
}

/// Gives entries to blocks that have none; `false` if there are more than 256.
fn add_new(row: &[BlockId], entry_of: &mut [u16], table: &mut Vec<BlockId>) -> bool {
    for block in row {
        let entry = &mut entry_of[usize::from(block.0)];
        if *entry == 0 {
            if table.len() == 256 {
                return false;
            }
            table.push(*block);
            *entry = table.len() as u16;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varied(kinds: u16) -> Box<Blocks> {
        let mut blocks = new_blocks();
        for (i, b) in blocks.iter_mut().enumerate() {
            *b = BlockId((i as u32).wrapping_mul(2_654_435_761).rotate_left(9) as u16 % kinds * 3);
        }
        blocks
    }

    #[test]
    fn every_form_gives_back_what_went_in() {
        for (kinds, form) in [(1, Form::Uniform), (16, Form::U4), (17, Form::U8), (256, Form::U8), (257, Form::U16)] {
            let blocks = varied(kinds);
            let chunk = Chunk::from_blocks(&blocks);
            assert_eq!(chunk.form(), form);
            let mut out = new_blocks();
            chunk.copy_to(&mut out);
            assert!(out == blocks);
            let again = Chunk::from_parts(form, chunk.table(), &chunk.data()).unwrap();
            assert!(again == chunk);
        }
    }

    #[test]
    fn entries_are_packed_as_the_blocks_they_stand_for() {
        for kinds in [1u16, 2, 16, 17, 255, 256] {
            // Every third block has two entries.
            let palette: Vec<BlockId> = (0..256).map(|n| BlockId((n % kinds) * 3 / 2)).collect();
            let mut entries = [0u8; CHUNK_VOXELS];
            let mut blocks = new_blocks();
            for (index, (entry, block)) in entries.iter_mut().zip(blocks.iter_mut()).enumerate() {
                *entry = (index / 5 * 7 + index / 900) as u8;
                *block = palette[usize::from(*entry)];
            }
            assert!(Chunk::from_entries(&entries, &palette) == Chunk::from_blocks(&blocks), "{kinds} kinds");
        }
    }

    #[test]
    fn edits_widen_the_form_and_compaction_narrows_it() {
        let mut chunk = Chunk::uniform(AIR);
        for i in 0..300u16 {
            let at = LocalIndex::new(i * 7).unwrap();
            assert_eq!(chunk.set(at, BlockId(i + 1)), AIR);
            assert_eq!(chunk.get(at), BlockId(i + 1));
        }
        assert_eq!(chunk.form(), Form::U16);
        for i in 0..300u16 {
            chunk.set(LocalIndex::new(i * 7).unwrap(), AIR);
        }
        assert_eq!(chunk.compacted(), Chunk::uniform(AIR));
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let table = [AIR, BlockId(1)];
        assert!(matches!(Chunk::from_parts(Form::U4, &table, &[0; 5]), Err(ChunkError::DataBytes { .. })));
        assert!(matches!(Chunk::from_parts(Form::U4, &[], &[0; U4_BYTES]), Err(ChunkError::TableLength { .. })));
        let mut data = vec![0u8; U4_BYTES];
        data[3] = 0x20;
        assert_eq!(Chunk::from_parts(Form::U4, &table, &data), Err(ChunkError::Index { local: 7, index: 2, table: 2 }));
        let mut data = vec![0u8; U8_BYTES];
        data[9] = 2;
        assert_eq!(Chunk::from_parts(Form::U8, &table, &data), Err(ChunkError::Index { local: 9, index: 2, table: 2 }));
    }

    proptest! {
        #[test]
        fn sparse_bytes_round_trip_and_hostile_ones_are_refused(
            entries in proptest::collection::btree_map(0u16..32768, proptest::collection::vec(any::<u8>(), 0..20), 0..8),
            cut in 0usize..64,
        ) {
            let mut chunk = Chunk::uniform(AIR);
            for (at, data) in &entries {
                chunk.set_sparse(LocalIndex::new(*at).unwrap(), Some(data[..].into())).unwrap();
            }
            let bytes = chunk.sparse_to_bytes();
            let mut again = Chunk::uniform(AIR);
            again.read_sparse(&bytes).unwrap();
            prop_assert_eq!(&again, &chunk);
            if cut < bytes.len() && cut > 0 {
                prop_assert!(again.read_sparse(&bytes[..cut]).is_err());
            }
        }
    }
}
