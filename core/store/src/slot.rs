//! A chunk as the bytes of a slot: voxel column, table, sparse data.

use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, ChunkError, Form, Version};
use xxhash_rust::xxh3::xxh3_64;

/// What a directory says about one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    /// First byte of the slot; 0 if it has no bytes.
    pub place: u64,
    /// Bytes of the slot.
    pub length: u32,
    /// The chunk's version.
    pub version: Version,
    /// How the voxels are held; `None` if the chunk is not stored.
    pub form: Option<Form>,
    /// Table entries, or the block of a uniform chunk.
    pub table: u16,
    /// XXH3-64 of the slot's bytes.
    pub checksum: u64,
}

/// A chunk ready to be written: its directory entry, still without a place, and its bytes.
pub struct Encoded {
    /// What the directory will say, still without a place.
    pub entry: Entry,
    /// Voxel column, table, sparse data; empty for a uniform chunk without any.
    pub bytes: Vec<u8>,
}

/// Encodes a chunk in the smallest form.
pub fn encode(chunk: &Chunk, version: Version) -> Encoded {
    let form = chunk.form();
    let sparse = chunk.sparse_to_bytes();
    let mut bytes = Vec::with_capacity(form.data_bytes() + chunk.table().len() * 2 + sparse.len());
    bytes.extend_from_slice(&chunk.data());
    if form != Form::Uniform {
        bytes.extend(chunk.table().iter().flat_map(|block| block.0.to_le_bytes()));
    }
    bytes.extend_from_slice(&sparse);
    let table = match form {
        Form::Uniform => chunk.table()[0].0,
        _ => chunk.table().len() as u16,
    };
    let checksum = if bytes.is_empty() { uniform_checksum(table) } else { xxh3_64(&bytes) };
    let entry = Entry { place: 0, length: bytes.len() as u32, version, form: Some(form), table, checksum };
    Encoded { entry, bytes }
}

/// What stands for a checksum where there are no bytes.
fn uniform_checksum(block: u16) -> u64 {
    xxh3_64(&block.to_le_bytes())
}

/// Decodes a slot whose bytes have already been compared with the entry's checksum.
pub fn decode(entry: &Entry, bytes: &[u8]) -> Result<Chunk, ChunkError> {
    let form = entry.form.ok_or_else(|| ChunkError::Sparse("the entry is empty".into()))?;
    let short = || ChunkError::DataBytes { form, expected: form.data_bytes(), found: bytes.len() };
    let (data, rest) = bytes.split_at_checked(form.data_bytes()).ok_or_else(short)?;
    let (table, sparse) = match form {
        Form::Uniform => (vec![BlockId(entry.table)], rest),
        _ => {
            let (table, sparse) = rest.split_at_checked(usize::from(entry.table) * 2).ok_or_else(short)?;
            (read_table(table), sparse)
        }
    };
    let mut chunk = Chunk::from_parts(form, &table, data)?;
    chunk.read_sparse(sparse)?;
    Ok(chunk)
}

/// A table from its bytes.
pub fn read_table(bytes: &[u8]) -> Vec<BlockId> {
    bytes.chunks_exact(2).map(|pair| BlockId(u16::from_le_bytes([pair[0], pair[1]]))).collect()
}
