//! The replay mark: which epoch wrote last, and from where in the journal the region files have to be brought up
//! to date. Two checksummed slots, written in turn.

use crate::FORMAT_VERSION;
use crate::door::{Dir, Open};
use crate::error::{Context, StoreError};
use xxhash_rust::xxh3::xxh3_64;

/// The file.
pub const FILE: &str = "journal/mark";
const MAGIC: &[u8; 8] = b"TERRMARK";
const SLOT: usize = 4096;
const USED: usize = 72;

/// The mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Grows by one with every write; its parity is the slot.
    pub sequence: u64,
    /// The highest epoch that was ever raised.
    pub epoch: u32,
    /// The journal segment where replay begins.
    pub segment: u32,
    /// The first segment of history: those before it have been cut. 0 stands for the first one there ever was.
    pub history: u32,
    /// The byte in it.
    pub offset: u64,
    /// The sequence of the first frame to replay.
    pub frame: u64,
    /// A hash of the world's id, seed and generator.
    pub identity: u64,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let mut slot = vec![0u8; SLOT];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        slot[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        slot[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        slot[24..28].copy_from_slice(&self.segment.to_le_bytes());
        slot[28..32].copy_from_slice(&self.history.to_le_bytes());
        slot[32..40].copy_from_slice(&self.offset.to_le_bytes());
        slot[40..48].copy_from_slice(&self.frame.to_le_bytes());
        slot[48..56].copy_from_slice(&self.identity.to_le_bytes());
        let checksum = xxh3_64(&slot[..USED - 8]);
        slot[USED - 8..USED].copy_from_slice(&checksum.to_le_bytes());
        slot
    }

    fn decode(slot: &[u8]) -> Result<Self, StoreError> {
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| slot[at + i]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| slot[at + i]));
        if slot[..8] != *MAGIC || xxh3_64(&slot[..USED - 8]) != u64_at(USED - 8) {
            return Err(StoreError::corrupt(FILE, 0, "a mark does not match its checksum"));
        }
        if u32_at(8) != FORMAT_VERSION {
            return Err(StoreError::Version { file: FILE.into(), found: u32_at(8), supported: FORMAT_VERSION });
        }
        Ok(Self {
            sequence: u64_at(16),
            epoch: u32_at(12),
            segment: u32_at(24),
            history: u32_at(28),
            offset: u64_at(32),
            frame: u64_at(40),
            identity: u64_at(48),
        })
    }

    /// Makes the file of a new world.
    pub fn create(&self, dir: &dyn Dir) -> Result<(), StoreError> {
        let file = dir.open(FILE, Open::Create).at("creating", FILE, 0)?;
        for n in 0..2 {
            let mark = Self { sequence: self.sequence + n, ..*self };
            let slot = (mark.sequence & 1) as usize;
            file.write_at(&mark.encode(), (slot * SLOT) as u64).at("writing", FILE, (slot * SLOT) as u64)?;
        }
        file.sync().synced(FILE)?;
        dir.sync("journal").synced("journal")
    }

    /// Writes this mark over the older one and syncs. The sequence must be one above the newer one's.
    pub fn write(&self, dir: &dyn Dir) -> Result<(), StoreError> {
        let offset = (self.sequence & 1) * SLOT as u64;
        let file = dir.open(FILE, Open::Write).at("opening", FILE, 0)?;
        file.write_at(&self.encode(), offset).at("writing", FILE, offset)?;
        file.sync().synced(FILE)
    }

    /// Reads the newer valid mark, and says whether the other one is damaged. With one damaged the other is
    /// enough: it lies further back, replay skips what the regions have, and epochs are found in the journal too.
    pub fn read(dir: &dyn Dir) -> Result<(Self, bool), StoreError> {
        let file = dir.open(FILE, Open::Read).at("opening", FILE, 0)?;
        let mut both = [None, None];
        let mut problem = None;
        for (n, mark) in both.iter_mut().enumerate() {
            let mut slot = vec![0u8; SLOT];
            let read = file.read_at(&mut slot, (n * SLOT) as u64).at("reading", FILE, (n * SLOT) as u64);
            match read.and_then(|()| Self::decode(&slot)) {
                Ok(found) => *mark = Some(found),
                Err(error) => problem = Some(error),
            }
        }
        match (both.into_iter().flatten().max_by_key(|mark| mark.sequence), problem) {
            (Some(mark), problem) => Ok((mark, problem.is_some())),
            (None, problem) => Err(problem.expect("neither slot could be read")),
        }
    }
}
