//! Digests: a running 64-bit sum for every tick, and a canonical 128-bit hash of stored content.
//!
//! The running sum is the wrapping sum over all voxels of `mix(position, block)`, minus the same for the state the
//! world began in. A change adds the new term and takes the old one away, so it costs one multiplication
//! per changed voxel, does not depend on the order of work, and two servers that own different columns
//! can add theirs up. The canonical hash sees names, not ids, and no forms: it is what `terrane digest` prints.

use crate::block::{BlockId, Registry};
use crate::chunk::{Blocks, Chunk, Form, first_word, new_blocks};
use crate::limits::CHUNK_VOXELS;
use crate::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A 64-bit finaliser (the constants of MurmurHash3's fmix64, Appleby 2011).
pub(crate) const fn mix(mut value: u64) -> u64 {
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ value >> 33
}

/// What one voxel adds to the running sum. Air at any place adds a term as well, so that digging shows.
pub const fn voxel_term(pos: VoxelPos, block: BlockId) -> u64 {
    let place = (pos.x() as u32 as u64) << 32 | pos.z() as u32 as u64;
    mix(mix(place).wrapping_add((pos.y() as u32 as u64) << 16 | block.0 as u64))
}

/// What one voxel's sparse data adds.
pub fn sparse_term(pos: VoxelPos, data: &[u8]) -> u64 {
    mix(voxel_term(pos, BlockId(u16::MAX)) ^ xxh3_64(data))
}

/// What loading a whole chunk adds: its place and a checksum of its content.
pub const fn load_term(pos: ChunkPos, checksum: u64) -> u64 {
    mix(voxel_term(pos.origin(), BlockId(u16::MAX)).wrapping_add(checksum))
}

/// A hash of stored content, as `terrane digest` prints it: block names and sparse data, whatever ids and forms.
pub struct ContentDigest {
    hash: Xxh3,
    chunks: u64,
}

impl ContentDigest {
    /// `identity` is what else the digest covers: seed and generator for a whole world, nothing for a box.
    pub fn new(identity: &str) -> Self {
        let mut hash = Xxh3::new();
        hash.update(b"terrane content 1\n");
        hash.update(&(identity.len() as u64).to_le_bytes());
        hash.update(identity.as_bytes());
        Self { hash, chunks: 0 }
    }

    /// Takes the hashes of chunks in ascending order of position.
    pub fn add(&mut self, pos: ChunkPos, chunk_hash: u128) {
        for part in pos.to_array() {
            self.hash.update(&part.to_le_bytes());
        }
        self.hash.update(&chunk_hash.to_le_bytes());
        self.chunks += 1;
    }

    /// How many chunks have been added.
    pub const fn chunks(&self) -> u64 {
        self.chunks
    }

    /// 32 hexadecimal digits.
    pub fn finish(&self) -> String {
        format!("{:032x}", self.hash.digest128())
    }
}

/// The canonical hash of the voxels of one chunk that lie inside `within`.
pub fn chunk_hash(registry: &Registry, pos: ChunkPos, chunk: &Chunk, within: Option<VoxelBox>) -> u128 {
    let inside = within.map_or(Some(pos.voxel_box()), |b| b.intersection(pos.voxel_box()));
    let whole = inside == Some(pos.voxel_box());
    let mut hash = Xxh3::new();
    match chunk.form() {
        Form::Uniform | Form::U4 if whole && is_canonical(&chunk.data(), chunk.table()) => {
            hash_names(registry, chunk.table(), &mut hash);
            hash_half_bytes(&chunk.data(), &mut hash);
        }
        _ => {
            let counts = |local| whole || inside.is_some_and(|b| contains(b, pos.voxel(local)));
            let mut blocks = new_blocks();
            chunk.copy_to(&mut blocks);
            let mut canonical = vec![u16::MAX; CHUNK_VOXELS];
            let names = canonical_indexes(&blocks, &mut canonical, counts);
            hash_names(registry, &names, &mut hash);
            hash_numbers(&mut canonical, &mut hash);
        }
    }
    for (local, data) in chunk.sparse() {
        if whole || inside.is_some_and(|b| contains(b, pos.voxel(*local))) {
            hash.update(&local.get().to_le_bytes());
            hash.update(&(data.len() as u64).to_le_bytes());
            hash.update(data);
        }
    }
    hash.digest128()
}

fn hash_names(registry: &Registry, names: &[BlockId], hash: &mut Xxh3) {
    for block in names {
        let name = registry.name(*block).unwrap_or("?");
        hash.update(&(name.len() as u32).to_le_bytes());
        hash.update(name.as_bytes());
    }
    hash.update(&u32::MAX.to_le_bytes());
}

fn hash_numbers(numbers: &mut [u16], hash: &mut Xxh3) {
    if cfg!(target_endian = "big") {
        numbers.iter_mut().for_each(|number| *number = number.to_le());
    }
    hash.update(bytemuck::cast_slice(numbers));
}

fn contains(b: VoxelBox, pos: VoxelPos) -> bool {
    (0..3).all(|axis| (b.min()[axis]..b.max()[axis]).contains(&pos.to_array()[axis]))
}

/// Whether half-byte indexes are their own canonical numbers: each block has one, they come in order of first appearance,
/// and each appears. So it is in chunks that were just packed.
fn is_canonical(data: &[u8], table: &[BlockId]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    if data.is_empty() {
        return true;
    }
    // Indexes below this have appeared.
    let mut seen = 0;
    for eight in data.chunks_exact(8) {
        let word = first_word(eight);
        let (even, odd) = (word & (15 * ONES), word >> 4 & (15 * ONES));
        // A byte reaches its highest bit if its index is none of those seen. Nearly always none does.
        let all_below = (128 - seen) * ONES;
        if (even + all_below | odd + all_below) & (128 * ONES) == 0 {
            continue;
        }
        for n in 0..16 {
            let index = word >> (4 * n) & 15;
            if index > seen {
                return false;
            }
            seen = seen.max(index + 1);
        }
    }
    seen as usize == table.len() && table.iter().enumerate().all(|(n, block)| !table[..n].contains(block))
}

/// Voxels whose numbers are made and hashed at a time, so that they stay in the nearest cache.
const PART: usize = 2_048;

/// Hashes half-byte indexes as numbers of 16 bits; without any, as many zeros.
fn hash_half_bytes(data: &[u8], hash: &mut Xxh3) {
    let mut part = [0u16; PART];
    if data.is_empty() {
        (0..CHUNK_VOXELS / PART).for_each(|_| hash_numbers(&mut part, hash));
    }
    for data in data.chunks_exact(PART / 2) {
        for (pair, byte) in part.chunks_exact_mut(2).zip(data) {
            (pair[0], pair[1]) = (u16::from(byte & 15), u16::from(byte >> 4));
        }
        hash_numbers(&mut part, hash);
    }
}

/// Numbers blocks in order of first appearance among the voxels that count; the others keep `u16::MAX`.
fn canonical_indexes(blocks: &Blocks, out: &mut [u16], counts: impl Fn(LocalIndex) -> bool) -> Vec<BlockId> {
    let mut number_of = vec![u16::MAX; 1 << 16];
    let mut names = Vec::new();
    for (index, (block, out)) in blocks.iter().zip(out).enumerate() {
        if !counts(LocalIndex::new(index as u16).expect("below 32768")) {
            continue;
        }
        let number = &mut number_of[usize::from(block.0)];
        if *number == u16::MAX {
            *number = names.len() as u16;
            names.push(*block);
        }
        *out = *number;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::U4_BYTES;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_content_hash_sees_names_and_not_ids_or_forms() {
        let mut a = Registry::built_in();
        a.register_all(&BTreeSet::from(["xa"])).unwrap();
        a.register_all(&BTreeSet::from(["xb"])).unwrap();
        let names: Vec<String> = ["air", "xb", "xa"].iter().map(|s| (*s).to_owned()).collect();
        let b = Registry::from_names(&names, &BTreeMap::new()).unwrap();
        let pos = ChunkPos::new(1, -2, 3).unwrap();
        let make = |registry: &Registry, widen: bool| {
            let mut chunk = Chunk::uniform(registry.id("xa").unwrap());
            chunk.set(LocalIndex::new(77).unwrap(), registry.id("xb").unwrap());
            if widen {
                for extra in 0..300 {
                    let at = LocalIndex::new(900).unwrap();
                    let old = chunk.set(at, BlockId(1000 + extra));
                    assert!(extra == 0 || old == BlockId(999 + extra));
                }
                chunk.set(LocalIndex::new(900).unwrap(), registry.id("xa").unwrap());
                assert_eq!(chunk.form(), Form::U16);
            }
            chunk
        };
        let hash = chunk_hash(&a, pos, &make(&a, false), None);
        assert_eq!(hash, chunk_hash(&b, pos, &make(&b, true), None));
        assert_ne!(hash, chunk_hash(&a, pos, &Chunk::uniform(a.id("xa").unwrap()), None));
        let part = VoxelBox::new([32, -64, 96], [33, -63, 97]).unwrap();
        assert_eq!(
            chunk_hash(&a, pos, &make(&a, false), Some(part)),
            chunk_hash(&a, pos, &Chunk::uniform(a.id("xa").unwrap()), Some(part)),
            "the differing voxel is outside the box"
        );
    }

    #[test]
    fn a_chunk_that_is_canonical_already_has_the_hash_of_one_that_is_not() {
        let registry = Registry::built_in();
        let pos = ChunkPos::new(0, 0, 0).unwrap();
        let data: Vec<u8> = (0..U4_BYTES).map(|n| (n / 700 % 5 + 16 * (n / 300 % 5)) as u8).collect();
        // The same voxels with the table in another order, with a block twice, and with one that does not appear.
        let table = |ids: &[u16]| ids.iter().map(|id| BlockId(*id)).collect::<Vec<_>>();
        let turned: Vec<u8> = data.iter().map(|byte| (4 - (byte & 15)) | (4 - (byte >> 4)) << 4).collect();
        let cases = [(&data, &[7, 3, 9, 1, 5][..]), (&turned, &[5, 1, 9, 3, 7]), (&data, &[7, 3, 9, 1, 5, 44])];
        let hashes = cases.map(|(data, ids)| {
            let chunk = Chunk::from_parts(Form::U4, &table(ids), data).unwrap();
            let mut wide = new_blocks();
            chunk.copy_to(&mut wide);
            let bytes: Vec<u8> = wide.iter().flat_map(|block| block.0.to_le_bytes()).collect();
            let wide = Chunk::from_parts(Form::U16, &[], &bytes).unwrap();
            assert_eq!(chunk_hash(&registry, pos, &chunk, None), chunk_hash(&registry, pos, &wide, None));
            (is_canonical(data, &table(ids)), chunk_hash(&registry, pos, &chunk, None))
        });
        assert_eq!(hashes.map(|(canonical, _)| canonical), [true, false, false]);
        assert!(hashes.iter().all(|(_, hash)| *hash == hashes[0].1));
    }

    #[test]
    fn one_changed_sparse_byte_changes_the_hash() {
        let registry = Registry::built_in();
        let pos = ChunkPos::new(0, 0, 0).unwrap();
        let with = |byte: u8| {
            let mut chunk = Chunk::uniform(BlockId(1));
            chunk.set_sparse(LocalIndex::new(5).unwrap(), Some([1, byte].into())).unwrap();
            chunk_hash(&registry, pos, &chunk, None)
        };
        assert_ne!(with(0), with(1));
    }
}
