//! The region container: 4,096-byte sectors, 1,024 locations, and one compressed document per chunk column.
//!
//! The layout is Minecraft's own, as its wiki describes it under "Region file format" and "Anvil file format".

use flate2::read::{GzDecoder, ZlibDecoder};
use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use xxhash_rust::xxh32::xxh32;

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 4096;
/// Bytes of the two tables at the start of a region file.
pub(crate) const HEADER: usize = 2 * SECTOR;
/// Chunk columns along one edge of a region.
pub(crate) const EDGE: usize = 32;
/// Most sectors that a location can name.
pub(crate) const SECTORS_MAX: usize = 255;
/// Most bytes of one column's document, uncompressed: vanilla columns have under 2 MiB.
pub const COLUMN_BYTES_MAX: usize = 64 << 20;

pub(crate) const GZIP: u8 = 1;
pub(crate) const ZLIB: u8 = 2;
pub(crate) const PLAIN: u8 = 3;
pub(crate) const LZ4: u8 = 4;
pub(crate) const EXTERNAL: u8 = 0x80;

/// Which region a file is: 32×32 chunk columns, 512×512 blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionXZ {
    /// East, in regions.
    pub x: i32,
    /// South, in regions.
    pub z: i32,
}

impl RegionXZ {
    /// From a file's name, if it is of the form `r.X.Z.mca`.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (x, z) = name.strip_prefix("r.")?.strip_suffix(".mca")?.split_once('.')?;
        Some(Self { x: x.parse().ok()?, z: z.parse().ok()? })
    }

    /// The name of its file.
    pub fn file_name(self) -> String {
        format!("r.{}.{}.mca", self.x, self.z)
    }

    /// The region that holds a chunk column.
    pub const fn of_column(x: i32, z: i32) -> Self {
        Self { x: x >> 5, z: z >> 5 }
    }

    /// The chunk column that belongs in a slot, in wide integers: a file may claim any number.
    pub(crate) fn column(self, slot: usize) -> (i64, i64) {
        (i64::from(self.x) * 32 + (slot % EDGE) as i64, i64::from(self.z) * 32 + (slot / EDGE) as i64)
    }
}

/// Why the bytes of one chunk column can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The location points into the header or has no sectors.
    #[error("its location ({sectors} sectors from sector {first}) is impossible")]
    Location {
        /// First sector.
        first: usize,
        /// How many.
        sectors: usize,
    },
    /// The location points past the end.
    #[error("the file ends before it: it has {file_bytes} bytes")]
    PastEnd {
        /// Bytes of the file.
        file_bytes: usize,
    },
    /// The length does not fit.
    #[error("its length of {length} bytes does not fit the {room} bytes that the file holds for it")]
    Length {
        /// The length stated, compression byte included.
        length: usize,
        /// What there is.
        room: usize,
    },
    /// The compression is unknown.
    #[error("its compression {0} is not supported (1 gzip, 2 zlib, 3 none and 4 LZ4 are)")]
    Compression(u8),
    /// The decompressor refused.
    #[error("its {what} data is damaged: {message}")]
    Damaged {
        /// The compression.
        what: &'static str,
        /// What the decompressor says.
        message: String,
    },
    /// It is too large.
    #[error("it is larger than {COLUMN_BYTES_MAX} bytes uncompressed")]
    TooLarge,
    /// The `.mcc` file can't be read.
    #[error("its file {name}, which should lie beside the region file, can't be read: {error}")]
    External {
        /// The file.
        name: String,
        /// What reading it said.
        error: std::io::Error,
    },
    /// The `.mcc` file can't be named.
    #[error("it is kept in a .mcc file that can't be found without the region's place: name the region file r.X.Z.mca")]
    ExternalWithoutPlace,
}

/// One entry of the location table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// `x + 32·z` in the region.
    pub index: usize,
    /// First sector.
    pub first: usize,
    /// How many sectors.
    pub sectors: usize,
    /// Another slot claims a sector of this one.
    pub overlaps: bool,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {},{} at byte {}", self.index % EDGE, self.index / EDGE, self.first * SECTOR)
    }
}

/// The slots in use, in table order. `bytes` holds the whole header.
pub(crate) fn slots(bytes: &[u8]) -> Vec<Slot> {
    let mut slots: Vec<Slot> = bytes[..SECTOR]
        .chunks_exact(4)
        .enumerate()
        .map(|(index, entry)| Slot {
            index,
            first: usize::from(entry[0]) << 16 | usize::from(entry[1]) << 8 | usize::from(entry[2]),
            sectors: usize::from(entry[3]),
            overlaps: false,
        })
        .filter(|slot| slot.first != 0 || slot.sectors != 0)
        .collect();
    let mut by_place: Vec<usize> = (0..slots.len()).collect();
    by_place.sort_by_key(|&n| slots[n].first);
    let mut reach: Option<(usize, usize)> = None;
    for n in by_place {
        let end = slots[n].first + slots[n].sectors;
        match reach {
            Some((reach_end, owner)) if slots[n].first < reach_end => {
                slots[n].overlaps = true;
                slots[owner].overlaps = true;
                reach = Some(if end > reach_end { (end, n) } else { (reach_end, owner) });
            }
            _ => reach = Some((end, n)),
        }
    }
    slots
}

/// The compression byte and the compressed bytes of a slot.
pub(crate) fn payload(bytes: &[u8], slot: Slot) -> Result<(u8, &[u8]), ContainerError> {
    if slot.first < 2 || slot.sectors == 0 {
        return Err(ContainerError::Location { first: slot.first, sectors: slot.sectors });
    }
    let start = slot.first * SECTOR;
    let past_end = || ContainerError::PastEnd { file_bytes: bytes.len() };
    let (head, rest) = bytes.get(start..).and_then(|b| b.split_at_checked(5)).ok_or_else(past_end)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    // Servers that write no .mcc files put 255 for "255 or more" and mean the length.
    let room = if slot.sectors == SECTORS_MAX { usize::MAX } else { slot.sectors * SECTOR - 4 };
    let room = room.min(rest.len() + 1);
    if length == 0 || length > room {
        return Err(ContainerError::Length { length, room });
    }
    Ok((head[4], &rest[..length - 1]))
}

/// The document behind a compression byte, whose external bit is already dealt with.
pub(crate) fn decompress(compression: u8, bytes: &[u8]) -> Result<Cow<'_, [u8]>, ContainerError> {
    match compression {
        GZIP => read_all("gzip", GzDecoder::new(bytes)),
        ZLIB => read_all("zlib", ZlibDecoder::new(bytes)),
        PLAIN if bytes.len() > COLUMN_BYTES_MAX => Err(ContainerError::TooLarge),
        PLAIN => Ok(Cow::Borrowed(bytes)),
        LZ4 => lz4_blocks(bytes),
        other => Err(ContainerError::Compression(other)),
    }
}

fn read_all(what: &'static str, decoder: impl Read) -> Result<Cow<'static, [u8]>, ContainerError> {
    let mut out = Vec::new();
    decoder
        .take(COLUMN_BYTES_MAX as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|error| ContainerError::Damaged { what, message: error.to_string() })?;
    if out.len() > COLUMN_BYTES_MAX {
        return Err(ContainerError::TooLarge);
    }
    Ok(Cow::Owned(out))
}

/// The magic of one block in the stream format of lz4-java, which Minecraft 1.20.5 and later write.
pub(crate) const LZ4_MAGIC: &[u8; 8] = b"LZ4Block";
/// The seed of its checksum.
pub(crate) const LZ4_SEED: u32 = 0x9747_b28c;
/// Its checksum keeps 28 bits.
pub(crate) const LZ4_CHECKSUM_MASK: u32 = 0x0fff_ffff;
const LZ4_HEAD: usize = 21;

/// Blocks one after another: magic, token (method in the high half: 1 plain, 2 LZ4), compressed length, length and
/// checksum of the content, all little-endian, then the bytes. An empty block ends the stream.
fn lz4_blocks(mut rest: &[u8]) -> Result<Cow<'static, [u8]>, ContainerError> {
    let damaged = |message: &str| ContainerError::Damaged { what: "LZ4", message: message.to_owned() };
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(LZ4_HEAD).ok_or_else(|| damaged("a block's head is cut short"))?;
        if !head.starts_with(LZ4_MAGIC) {
            return Err(damaged("a block does not start with LZ4Block"));
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (compressed_bytes, content_bytes) = (number(9) as usize, number(13) as usize);
        if content_bytes == 0 {
            break;
        }
        if content_bytes > COLUMN_BYTES_MAX - out.len() {
            return Err(ContainerError::TooLarge);
        }
        let (data, after) = after.split_at_checked(compressed_bytes).ok_or_else(|| damaged("a block is cut short"))?;
        let start = out.len();
        match head[8] & 0xf0 {
            0x10 if compressed_bytes == content_bytes => out.extend_from_slice(data),
            0x20 => {
                out.resize(start + content_bytes, 0);
                let written = lz4_flex::block::decompress_into(data, &mut out[start..])
                    .map_err(|error| damaged(&error.to_string()))?;
                if written != content_bytes {
                    return Err(damaged("a block's content is shorter than it says"));
                }
            }
            _ => return Err(damaged("a block has an unknown method")),
        }
        if xxh32(&out[start..], LZ4_SEED) & LZ4_CHECKSUM_MASK != number(17) {
            return Err(damaged("a block's checksum does not match"));
        }
        rest = after;
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_names_parse_strictly() {
        assert_eq!(RegionXZ::from_file_name("r.-3.12.mca"), Some(RegionXZ { x: -3, z: 12 }));
        assert_eq!(RegionXZ { x: -3, z: 12 }.file_name(), "r.-3.12.mca");
        for name in ["r.1.mca", "r.1.2.mcr", "forest-1.16.mca", "r.a.2.mca", "r.1.2.3.mca"] {
            assert_eq!(RegionXZ::from_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn overlapping_slots_are_both_marked() {
        let mut bytes = vec![0; HEADER];
        for (index, first, sectors) in [(0, 2, 3), (1, 4, 1), (2, 5, 2), (9, 9, 1)] {
            bytes[index * 4 + 2] = first;
            bytes[index * 4 + 3] = sectors;
        }
        let marked: Vec<_> = slots(&bytes).iter().map(|s| (s.index, s.overlaps)).collect();
        assert_eq!(marked, [(0, true), (1, true), (2, false), (9, false)]);
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut encoder =
            flate2::read::ZlibEncoder::new(std::io::repeat(0).take(80 << 20), flate2::Compression::fast());
        let mut bomb = Vec::new();
        encoder.read_to_end(&mut bomb).unwrap();
        assert!(matches!(decompress(ZLIB, &bomb), Err(ContainerError::TooLarge)));
        let mut block = [&LZ4_MAGIC[..], &[0x25]].concat();
        block.extend([1u32, u32::MAX, 0].iter().flat_map(|n| n.to_le_bytes()));
        block.push(0);
        assert!(matches!(decompress(LZ4, &block), Err(ContainerError::TooLarge)));
    }
}
