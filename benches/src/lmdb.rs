//! LMDB by heed: key u32, value 64 KiB of plain voxels, or 2 bytes where a chunk is of one material. Default flags: a
//! commit is durable when it returns.

use crate::content::{Content, Piece, Place};
use heed::byteorder::BigEndian;
use heed::types::{Bytes, U32};
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions};
use std::path::Path;
use terrane_world::limits::CHUNK_VOXELS;

/// As it stands in the table.
pub const NAME: &str = "LMDB";
/// Room for the chunks and for pages that edits leave behind.
const MAP_BYTES: usize = 8 << 30;

/// The library's version and the crate's.
pub fn version() -> String {
    let lmdb = heed::lmdb_version();
    let heed = crate::record::locked_version("heed");
    format!("{}.{}.{} by heed {heed}", lmdb.major, lmdb.minor, lmdb.patch)
}

/// An open database.
pub struct Lmdb {
    env: Env,
    table: Database<'static, U32<BigEndian>, Bytes>,
}

impl Lmdb {
    /// Makes an empty one.
    pub fn create(folder: &Path) -> Self {
        let env = environment(folder);
        let transaction = env.write_txn().expect("the only writer");
        let made = env.create_databases_and_commit(transaction, |opener, transaction| {
            opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        });
        let table = made.map_err(|error: heed::Error| error).expect("a new table").unwrap_commit();
        Self { env, table }
    }

    /// Opens one.
    pub fn open(folder: &Path) -> Self {
        let env = environment(folder);
        let transaction = env.read_txn().expect("a reader's slot");
        let opened = env.open_databases_and_commit(transaction, |opener, transaction| {
            opener.open_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        });
        let table = opened.map_err(|error: heed::Error| error).expect("a table").unwrap_commit().expect("it was made");
        Self { env, table }
    }

    /// Writes `count` chunks in one durable transaction.
    pub fn write(&self, content: &Content, count: usize) {
        let mut buffer = Box::new([0u16; CHUNK_VOXELS]);
        let mut transaction = self.env.write_txn().expect("the only writer");
        for k in 0..count {
            let put = match content.piece(k, &mut buffer) {
                Piece::Uniform(block) => self.table.put(&mut transaction, &(k as u32), &block.to_le_bytes()),
                Piece::Dense(voxels) => {
                    self.table.put(&mut transaction, &(k as u32), bytemuck::cast_slice(&voxels[..]))
                }
            };
            put.expect("there is room");
        }
        transaction.commit().expect("the disk works");
    }

    /// Adds up the blocks at some places, straight from the map, in one transaction.
    pub fn read(&self, places: &[Place]) -> u64 {
        let transaction = self.env.read_txn().expect("a reader's slot");
        let block = |place: &Place| {
            let value = self.table.get(&transaction, &place.chunk).expect("whole").expect("stored");
            block_of(value, place.local)
        };
        places.iter().map(block).map(u64::from).sum()
    }

    /// Puts a block at each place, in one durable transaction.
    pub fn edit(&self, edits: &[(Place, u16)]) {
        let mut chunk = vec![0u8; CHUNK_VOXELS * 2];
        let mut transaction = self.env.write_txn().expect("the only writer");
        for (place, block) in edits {
            let value = self.table.get(&transaction, &place.chunk).expect("whole").expect("stored");
            match *value {
                [low, high] => chunk.chunks_exact_mut(2).for_each(|voxel| voxel.copy_from_slice(&[low, high])),
                _ => chunk.copy_from_slice(value),
            }
            chunk[usize::from(place.local) * 2..][..2].copy_from_slice(&block.to_le_bytes());
            self.table.put(&mut transaction, &place.chunk, &chunk).expect("there is room");
        }
        transaction.commit().expect("the disk works");
    }

    /// Lets go of it: an environment can be opened once at a time.
    pub fn close(self) {
        let Self { env, table: _ } = self;
        env.prepare_for_closing().wait();
    }
}

#[allow(unsafe_code)]
fn environment(folder: &Path) -> Env {
    // SAFETY: the files are ours alone, on a local disk, and nothing but LMDB changes them while they are mapped.
    let env = unsafe { EnvOpenOptions::new().map_size(MAP_BYTES).open(folder) };
    env.expect("LMDB opens its folder")
}

/// The block at a place of a stored value.
pub fn block_of(value: &[u8], local: u16) -> u16 {
    let at = if value.len() == 2 { 0 } else { usize::from(local) * 2 };
    u16::from_le_bytes([value[at], value[at + 1]])
}
