//! Which voxels of a chunk count: one bit for each, a row along x in one `u32`.

use crate::chunk::{Chunk, Form};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::space::LocalIndex;

/// Rows along x in a chunk, in order of z and then y.
pub const ROWS: usize = CHUNK_EDGE * CHUNK_EDGE;

/// A set of voxels of one chunk: bit `x` of row `z + 32·y`, so the bit `n % 32` of word `n / 32` for local index `n`.
#[derive(Clone, PartialEq, Eq)]
pub struct Bits(pub Box<[u32; ROWS]>);

impl Default for Bits {
    fn default() -> Self {
        Self::all(0)
    }
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bits({} voxels)", self.count())
    }
}

impl FromIterator<LocalIndex> for Bits {
    fn from_iter<T: IntoIterator<Item = LocalIndex>>(voxels: T) -> Self {
        let mut bits = Self::default();
        voxels.into_iter().for_each(|local| bits.set(local, true));
        bits
    }
}

impl Bits {
    fn all(row: u32) -> Self {
        let rows = vec![row; ROWS].into_boxed_slice();
        Self(rows.try_into().unwrap_or_else(|_| unreachable!("the length is that of the array")))
    }

    /// No voxel.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Every voxel.
    pub fn full() -> Self {
        Self::all(u32::MAX)
    }

    /// The voxels of `chunk` whose block counts. `counts` is indexed by block id; a block behind its end does not count.
    pub fn of(chunk: &Chunk, counts: &[bool]) -> Self {
        let counted = |block: usize| counts.get(block).copied().unwrap_or(false);
        let in_table: Vec<bool> = chunk.table().iter().map(|block| counted(usize::from(block.0))).collect();
        if chunk.form() != Form::U16 {
            // What all entries say alike is true of every voxel, whichever entries occur.
            match in_table.iter().filter(|counts| **counts).count() {
                0 => return Self::empty(),
                all if all == in_table.len() => return Self::full(),
                _ => {}
            }
        }
        let data = chunk.data();
        let mut bits = Self::empty();
        match chunk.form() {
            Form::Uniform => unreachable!("its only entry has been asked"),
            Form::U4 => {
                let entry = |byte: u8| in_table.get(usize::from(byte)).copied().unwrap_or(false);
                let pairs: [u8; 256] = std::array::from_fn(|byte| {
                    u8::from(entry(byte as u8 & 15)) | u8::from(entry(byte as u8 >> 4)) << 1
                });
                gather::<16>(&data, &mut bits, |byte| u32::from(pairs[usize::from(byte[0])]), 1);
            }
            Form::U8 => {
                let entries: [u8; 256] =
                    std::array::from_fn(|entry| u8::from(in_table.get(entry).copied().unwrap_or(false)));
                gather::<8>(&data, &mut bits, |byte| u32::from(entries[usize::from(byte[0])]), 1);
            }
            Form::U16 => {
                let voxel = |bytes: &[u8]| u32::from(counted(usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))));
                gather::<4>(&data, &mut bits, voxel, 2);
            }
        }
        bits
    }

    /// Whether a voxel is in the set.
    pub fn get(&self, local: LocalIndex) -> bool {
        self.0[local.index() / CHUNK_EDGE] >> local.x() & 1 == 1
    }

    /// Puts a voxel in or takes it out.
    pub fn set(&mut self, local: LocalIndex, inside: bool) {
        let row = &mut self.0[local.index() / CHUNK_EDGE];
        *row = *row & !(1 << local.x()) | u32::from(inside) << local.x();
    }

    /// The row along x at `y` and `z`, which must be below 32: bit `x` for each voxel.
    pub fn row(&self, y: usize, z: usize) -> u32 {
        self.0[z + CHUNK_EDGE * y]
    }

    /// How many voxels are in the set.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|row| row.count_ones()).sum()
    }

    /// Whether no voxel is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|row| *row == 0)
    }

    /// Whether every voxel is in the set.
    pub fn is_full(&self) -> bool {
        self.0.iter().all(|row| *row == u32::MAX)
    }

    /// The voxels in the set, in local-index order.
    pub fn voxels(&self) -> impl Iterator<Item = LocalIndex> {
        self.0.iter().enumerate().filter(|(_, row)| **row != 0).flat_map(|(index, &row)| {
            let first = index * CHUNK_EDGE;
            std::iter::successors(Some(row), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|rest| *rest != 0)
                .map(move |rest| (first + rest.trailing_zeros() as usize) as u16)
                .filter_map(LocalIndex::new)
        })
    }

    /// The voxels that are in `other` too.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.0.iter_mut().zip(other.0.iter()).for_each(|(row, other)| *row &= other);
        both
    }

    /// Adds the voxels of `other`.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(row, other)| *row |= other);
    }
}

/// Turns voxel data into bits, eight bytes at a time, which hold `VOXELS` voxels. `step` bytes become `8 / VOXELS·step` bits
/// by `look_up`. Neighbours along x mostly are alike, so each eight bytes are compared with the eight before them.
#[inline(always)]
fn gather<const VOXELS: usize>(data: &[u8], bits: &mut Bits, look_up: impl Fn(&[u8]) -> u32, step: usize) {
    let per_step = VOXELS * step / 8;
    let (mut last, mut last_bits) = (None, 0u32);
    let words_per_row = CHUNK_EDGE / VOXELS;
    assert_eq!(data.len(), CHUNK_VOXELS / VOXELS * 8, "a chunk has as many voxels as bits");
    for (row, bytes) in bits.0.iter_mut().zip(data.chunks_exact(8 * words_per_row)) {
        for (n, word) in bytes.chunks_exact(8).enumerate() {
            if last != word.first_chunk::<8>() {
                last = word.first_chunk::<8>();
                let parts = word.chunks_exact(step).enumerate();
                last_bits = parts.fold(0, |all, (part, bytes)| all | look_up(bytes) << (part * per_step));
            }
            *row |= last_bits << (n * VOXELS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BlockId;
    use crate::chunk::new_blocks;
    use proptest::prelude::*;

    fn local(n: usize) -> LocalIndex {
        LocalIndex::new(n as u16).expect("below the number of voxels")
    }

    proptest! {
        #[test]
        fn bits_of_every_form_are_those_of_its_voxels(
            kinds in prop::sample::select(vec![1u32, 2, 3, 16, 17, 255, 256, 257, 3000]),
            stretch in 1u32..40,
            seed: u32,
            salt in 0u16..5,
        ) {
            let mut blocks = new_blocks();
            for (n, block) in blocks.iter_mut().enumerate() {
                *block = BlockId(((n as u32 / stretch ^ seed).wrapping_mul(2_654_435_761).rotate_left(9) % kinds) as u16);
            }
            let counts: Vec<bool> = (0..kinds as u16 * 3 / 4).map(|id| (id + salt) % 3 != 0).collect();
            let chunk = Chunk::from_blocks(&blocks);
            let bits = Bits::of(&chunk, &counts);
            for (n, block) in blocks.iter().enumerate() {
                let counts = counts.get(usize::from(block.0)).copied().unwrap_or(false);
                prop_assert_eq!(bits.get(local(n)), counts, "voxel {} of {:?}", n, chunk);
            }
        }
    }

    #[test]
    fn voxels_go_in_come_out_and_are_listed_in_order() {
        let places = [0, 31, 32, 1023, 1024, 20_000, 32_767].map(local);
        let mut bits: Bits = places.into_iter().collect();
        assert_eq!(bits.voxels().collect::<Vec<_>>(), places);
        assert_eq!((bits.count(), bits.is_empty(), bits.is_full()), (7, false, false));
        assert_eq!((bits.row(0, 0), bits.row(0, 31), bits.row(31, 31)), (1 | 1 << 31, 1 << 31, 1 << 31));
        let mut more = Bits::full();
        assert!(more.is_full() && more.and(&bits) == bits);
        more.set(local(5), false);
        assert_eq!((more.count(), more.get(local(5)), more.get(local(6))), (32_767, false, true));
        places.iter().for_each(|place| bits.set(*place, false));
        assert!(bits.is_empty() && bits == Bits::empty());
        bits.add(&more);
        assert_eq!(bits, more);
    }
}
