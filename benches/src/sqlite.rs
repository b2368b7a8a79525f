//! SQLite by rusqlite: one row a chunk, a blob of 64 KiB, or of 2 bytes where a chunk is of one material. Write-ahead
//! log, `synchronous = FULL`: a commit is durable when it returns.

use crate::content::{Content, Piece, Place};
use crate::lmdb::block_of;
use rusqlite::{Connection, params};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use terrane_world::limits::CHUNK_VOXELS;

/// As it stands in the table.
pub const NAME: &str = "SQLite";

/// The library's version and the crate's.
pub fn version() -> String {
    format!("{} by rusqlite {}", rusqlite::version(), crate::record::locked_version("rusqlite"))
}

/// An open database.
pub struct Sqlite(Connection);

impl Sqlite {
    /// Opens one, or makes it.
    pub fn open(folder: &Path) -> Self {
        let connection = Connection::open(folder.join("chunks.db")).expect("SQLite opens its file");
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 2147418112; \
                        PRAGMA cache_size = -262144; CREATE TABLE IF NOT EXISTS chunks(k INTEGER PRIMARY KEY, v BLOB)";
        connection.execute_batch(settings).expect("settings that SQLite knows");
        Self(connection)
    }

    /// Writes `count` chunks in one transaction, and moves them from the log to the file.
    pub fn write(&self, content: &Content, count: usize) {
        let mut buffer = Box::new([0u16; CHUNK_VOXELS]);
        self.run("BEGIN");
        {
            let mut insert = self.0.prepare("INSERT INTO chunks VALUES (?, ?)").expect("a statement");
            for k in 0..count {
                let inserted = match content.piece(k, &mut buffer) {
                    Piece::Uniform(block) => insert.execute(params![k as i64, block.to_le_bytes()]),
                    Piece::Dense(voxels) => {
                        let bytes: &[u8] = bytemuck::cast_slice(&voxels[..]);
                        insert.execute(params![k as i64, bytes])
                    }
                };
                inserted.expect("the key is new");
            }
        }
        self.run("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// Adds up the blocks at some places, by one blob handle that goes from row to row.
    pub fn read(&self, places: &[Place]) -> u64 {
        let mut blob = self.0.blob_open("main", "chunks", "v", 0, true).expect("row 0");
        let mut sum = 0;
        for place in places {
            blob.reopen(i64::from(place.chunk)).expect("stored");
            let mut voxel = [0u8; 2];
            if blob.len() > 2 {
                blob.seek(SeekFrom::Start(u64::from(place.local) * 2)).expect("inside");
            }
            blob.read_exact(&mut voxel).expect("whole");
            sum += u64::from(block_of(&voxel, 0));
        }
        sum
    }

    /// Puts a block at each place, in one durable transaction.
    pub fn edit(&self, edits: &[(Place, u16)]) {
        self.run("BEGIN");
        {
            let mut update = self.0.prepare("UPDATE chunks SET v = ?2 WHERE k = ?1").expect("a statement");
            for (place, block) in edits {
                let key = i64::from(place.chunk);
                let mut blob = self.0.blob_open("main", "chunks", "v", key, false).expect("stored");
                if blob.len() == 2 {
                    let mut voxel = [0u8; 2];
                    blob.read_exact(&mut voxel).expect("whole");
                    drop(blob);
                    update.execute(params![key, voxel.repeat(CHUNK_VOXELS)]).expect("stored");
                    blob = self.0.blob_open("main", "chunks", "v", key, false).expect("stored");
                }
                blob.seek(SeekFrom::Start(u64::from(place.local) * 2)).expect("inside");
                blob.write_all(&block.to_le_bytes()).expect("inside");
            }
        }
        self.run("COMMIT");
    }

    /// Moves what the log holds to the file.
    pub fn checkpoint(&self) {
        self.run("PRAGMA wal_checkpoint(TRUNCATE)");
    }

    fn run(&self, statements: &str) {
        self.0.execute_batch(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    }
}
