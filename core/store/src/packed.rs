//! A packed region: header, one directory, chunks back to back, each a frame of its own.
//!
//! A packed file is written once, whole, and never changed; it holds a region instead of the region file, and the one of the
//! two with the higher sequence counts. Each chunk is packed by itself, so that reading one costs unpacking one. What the
//! directory says of a chunk is what the region file's directory would say: form, version, bytes and checksum of the slot.
//! docs/format.md has the bytes, docs/decisions/0022-cold-regions.md the figures.

use crate::FORMAT_VERSION;
use crate::door::{Dir, File, Map, Open};
use crate::error::{Context, StoreError};
use crate::region::{self, MOVED, u32_at, u64_at};
use crate::slot::{self, Encoded, Entry};
use std::cell::RefCell;
use std::sync::Arc;
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Form, Version};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{CHUNK_BYTES_MAX, Class, pack_chunk, unpack_chunk};
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::RegionPos;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"TERRPACK";
/// Bytes of the header.
pub const HEAD: usize = 72;
/// Bytes of the header that the checksum covers, and behind them the directory.
const SUMMED: usize = 64;
/// Where the header has the sequence.
const SEQUENCE_AT: usize = 40;
/// The byte, the highest of the sequence, that says whether the region has moved to its region file.
const MOVED_AT: usize = SEQUENCE_AT + 7;
/// Bytes of the directory for each stored chunk.
pub const ENTRY_BYTES: usize = 36;
/// Bytes of a packed chunk at most: the inner layout, and the byte that says that zstd stayed out.
const PACKED_BYTES_MAX: usize = CHUNK_BYTES_MAX + 1;

thread_local! {
    /// Making a compressor costs more than using it.
    static OUTER: RefCell<Outer> = RefCell::new(Outer::new());
}

/// The path of a region's packed file in the world's folder.
pub fn file_name(pos: RegionPos) -> String {
    region::file_name(pos).replace(".trr", ".trp")
}

/// The region that a file name in `regions/` stands for, if it is that of a packed file.
pub fn parse_file_name(name: &str) -> Option<RegionPos> {
    region::parse_file_name(&format!("{}.trr", name.strip_suffix(".trp")?))
}

/// What the directory says of one chunk beyond its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Extent {
    length: u32,
    checksum: u64,
}

/// One packed chunk, as it is written.
pub struct Part {
    index: usize,
    entry: Entry,
    /// The checksum that the directory gives the packed bytes.
    checksum: u64,
    bytes: Vec<u8>,
}

impl Part {
    /// Packs a slot. `None` if the slot is not what its entry says.
    fn pack(index: usize, slot: &Encoded) -> Option<Self> {
        let mut bytes = Vec::new();
        if slot.entry.length > 0 {
            let chunk = slot::decode(&slot.entry, &slot.bytes).ok()?;
            OUTER.with_borrow_mut(|outer| pack_chunk(&chunk, Class::Small, outer, &mut bytes));
        }
        let checksum = xxh3_64(&bytes);
        Some(Self { index, entry: slot.entry, checksum, bytes })
    }

    fn write_entry(&self, out: &mut [u8]) {
        out[0] = self.index as u8;
        out[1] = self.entry.form.map_or(0, |form| form as u8);
        out[2..4].copy_from_slice(&self.entry.table.to_le_bytes());
        out[4..8].copy_from_slice(&self.entry.version.epoch.to_le_bytes());
        out[8..12].copy_from_slice(&self.entry.version.count.to_le_bytes());
        out[12..16].copy_from_slice(&self.entry.length.to_le_bytes());
        out[16..24].copy_from_slice(&self.entry.checksum.to_le_bytes());
        out[24..28].copy_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        out[28..36].copy_from_slice(&self.checksum.to_le_bytes());
    }
}

/// The bytes of a packed file. `parts` ascend by index.
fn assemble(pos: RegionPos, world: &[u8; 16], epoch: u32, sequence: u64, parts: &[Part]) -> Vec<u8> {
    let mut bytes = vec![0u8; HEAD + ENTRY_BYTES * parts.len()];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    for (axis, part) in pos.to_array().into_iter().enumerate() {
        bytes[12 + 4 * axis..16 + 4 * axis].copy_from_slice(&part.to_le_bytes());
    }
    bytes[24..40].copy_from_slice(world);
    bytes[SEQUENCE_AT..SEQUENCE_AT + 8].copy_from_slice(&sequence.to_le_bytes());
    bytes[48..52].copy_from_slice(&epoch.to_le_bytes());
    bytes[52..56].copy_from_slice(&(parts.len() as u32).to_le_bytes());
    for (part, entry) in parts.iter().zip(bytes[HEAD..].chunks_exact_mut(ENTRY_BYTES)) {
        part.write_entry(entry);
    }
    seal_head(&mut bytes);
    parts.iter().for_each(|part| bytes.extend_from_slice(&part.bytes));
    bytes
}

/// What the header's checksum must be: it covers header and directory, whether the region has moved or not.
fn head_checksum(head: &[u8], directory: &[u8]) -> u64 {
    let mut summed = head[..SUMMED].to_vec();
    if summed[MOVED_AT] == MOVED {
        summed[MOVED_AT] = 0;
    }
    summed.extend_from_slice(directory);
    xxh3_64(&summed)
}

fn seal_head(bytes: &mut [u8]) {
    let count = (u32_at(bytes, 52) as usize).min((bytes.len() - HEAD) / ENTRY_BYTES);
    let (head, rest) = bytes.split_at(HEAD);
    let checksum = head_checksum(head, &rest[..count * ENTRY_BYTES]);
    bytes[SUMMED..HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes header, directory and chunks match their checksums whatever they say, so that tests and fuzzers get past what a
/// checksum would hide. Too few bytes stay as they are.
pub fn seal(bytes: &mut [u8], pos: RegionPos, world: &[u8; 16]) {
    if bytes.len() < HEAD {
        return;
    }
    let (epoch, sequence) = (u32_at(bytes, 48), u64_at(bytes, SEQUENCE_AT));
    let count = u32_at(bytes, 52).min(REGION_CHUNKS as u32).min(((bytes.len() - HEAD) / ENTRY_BYTES) as u32);
    bytes[..HEAD].copy_from_slice(&assemble(pos, world, epoch, sequence, &[]));
    bytes[52..56].copy_from_slice(&count.to_le_bytes());
    let (head, chunks) = bytes.split_at_mut(HEAD + ENTRY_BYTES * count as usize);
    let mut place = 0usize;
    for entry in head[HEAD..].chunks_exact_mut(ENTRY_BYTES) {
        let length = u32_at(entry, 24) as usize;
        if let Some(packed) = chunks.get(place..).and_then(|rest| rest.get(..length)) {
            entry[28..36].copy_from_slice(&xxh3_64(packed).to_le_bytes());
        }
        place = place.saturating_add(length);
    }
    seal_head(bytes);
}

/// Makes a packed file beside its final name, whole and synced; [`publish_new`] gives it its name. Everything in it has been
/// unpacked and compared before it is written. Gives its bytes. `slots` ascend by index.
pub fn write_new(
    dir: &dyn Dir,
    pos: RegionPos,
    world: &[u8; 16],
    epoch: u32,
    sequence: u64,
    slots: &[(usize, &Encoded)],
) -> Result<u64, StoreError> {
    let name = file_name(pos);
    let pack = |(index, slot): &(usize, &Encoded)| {
        let wrong = || StoreError::corrupt(&region::file_name(pos), slot.entry.place, "a chunk can't be decoded");
        Part::pack(*index, slot).ok_or_else(wrong)
    };
    let parts = slots.iter().map(pack).collect::<Result<Vec<_>, _>>()?;
    let bytes = assemble(pos, world, epoch, sequence, &parts);
    let packed = PackedFile::parse(name, Map::copied(bytes.clone()), pos, world)?;
    slots.iter().try_for_each(|(index, _)| packed.encoded(*index).map(drop))?;
    write_bytes(dir, pos, &bytes)
}

/// Makes a packed file again from what `file` holds, with `replaced` in it. What of it is damaged stays as it is.
pub fn rewrite(
    dir: &dyn Dir,
    pos: RegionPos,
    world: &[u8; 16],
    epoch: u32,
    file: &PackedFile,
    replaced: &[(usize, &Encoded)],
) -> Result<u64, StoreError> {
    let part = |index: usize| match replaced.iter().find(|(at, _)| *at == index) {
        Some((_, slot)) => Part::pack(index, slot),
        None => file.part(index),
    };
    let parts: Vec<Part> = (0..REGION_CHUNKS).filter_map(part).collect();
    write_bytes(dir, pos, &assemble(pos, world, epoch, file.sequence + 1, &parts))
}

fn write_bytes(dir: &dyn Dir, pos: RegionPos, bytes: &[u8]) -> Result<u64, StoreError> {
    let name = format!("{}.new", file_name(pos));
    let file = dir.open(&name, Open::Create).at("creating", &name, 0)?;
    file.write_at(bytes, 0).at("writing", &name, 0)?;
    file.sync().synced(&name)?;
    Ok(bytes.len() as u64)
}

/// Gives a file of [`write_new`] or [`rewrite`] its final name. The folder is synced by the caller, once for many.
pub fn publish_new(dir: &dyn Dir, pos: RegionPos) -> Result<(), StoreError> {
    let name = file_name(pos);
    // Whoever has a file of this name mapped must learn that it is not the one any more.
    let before = dir.open(&name, Open::Write).ok();
    dir.rename(&format!("{name}.new"), &name).at("renaming", &name, 0)?;
    before.map_or(Ok(()), |before| mark_moved(&before, &name, true))
}

/// Says in the header whether the region is held by another file now. One byte, so that it is never torn. It need not be
/// durable: it is for readers that have the file mapped, and the other file's sequence says the same.
pub fn mark_moved(file: &Arc<dyn File>, name: &str, moved: bool) -> Result<(), StoreError> {
    file.write_at(&[if moved { MOVED } else { 0 }], MOVED_AT as u64).at("writing", name, MOVED_AT as u64)
}

/// One packed file as it stood when it was opened.
pub struct PackedFile {
    name: String,
    map: Map,
    sequence: u64,
    moved: bool,
    /// By index in the region. The place of an entry is that of its packed bytes.
    entries: Box<[Entry; REGION_CHUNKS]>,
    extents: Box<[Extent; REGION_CHUNKS]>,
}

impl PackedFile {
    /// Opens a packed file; `None` if there is none.
    pub fn open(dir: &dyn Dir, pos: RegionPos, world: &[u8; 16]) -> Result<Option<Self>, StoreError> {
        let name = file_name(pos);
        let file = match dir.open(&name, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("opening", &name, 0, &error)),
        };
        let map = file.map().at("mapping", &name, 0)?;
        Self::parse(name, map, pos, world).map(Some)
    }

    /// From the bytes of a file.
    pub fn parse(name: String, map: Map, pos: RegionPos, world: &[u8; 16]) -> Result<Self, StoreError> {
        let mut head = vec![0u8; HEAD];
        copy(&name, &map, 0, &mut head)?;
        if head[..8] != *MAGIC {
            return Err(StoreError::corrupt(&name, 0, "it does not begin like a packed region"));
        }
        let count = u32_at(&head, 52) as usize;
        let wrong = |at: usize, what: &str| StoreError::corrupt(&name, at as u64, what);
        if count > REGION_CHUNKS {
            return Err(wrong(52, "it lists more chunks than a region has"));
        }
        let mut directory = vec![0u8; ENTRY_BYTES * count];
        copy(&name, &map, HEAD, &mut directory)?;
        if head_checksum(&head, &directory) != u64_at(&head, SUMMED) {
            return Err(wrong(SUMMED, "header and directory do not match their checksum"));
        }
        // Only a header that is whole can speak of another version.
        let version = u32_at(&head, 8);
        if version != FORMAT_VERSION {
            return Err(StoreError::Version { file: name, found: version, supported: FORMAT_VERSION });
        }
        if head[12..40] != assemble(pos, world, 0, 0, &[])[12..40] {
            return Err(wrong(12, "its header does not match its name or this world"));
        }
        let moved = head[MOVED_AT] == MOVED;
        if moved {
            head[MOVED_AT] = 0;
        }
        let (entries, extents) = read_directory(&directory).map_err(|(at, what)| wrong(HEAD + at, &what))?;
        Ok(Self { map, sequence: u64_at(&head, SEQUENCE_AT), moved, entries, extents, name })
    }

    /// The path in the world's folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number that says which of a region's two files counts.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the region had moved to another file when this was opened.
    pub const fn is_moved(&self) -> bool {
        self.moved
    }

    /// Bytes of the file when it was opened.
    pub const fn length(&self) -> u64 {
        self.map.length() as u64
    }

    /// Whether this file still holds the region.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.map.byte(MOVED_AT) != MOVED
    }

    /// What the directory says of a chunk; its place is that of the packed bytes.
    pub fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    /// The packed bytes of a chunk, as they are.
    fn packed_bytes(&self, index: usize) -> Result<Vec<u8>, StoreError> {
        let (place, length) = (self.entries[index].place as usize, self.extents[index].length as usize);
        // Before memory is taken for it.
        if place.saturating_add(length) > self.map.length() {
            return Err(StoreError::Truncated { file: self.name.clone(), offset: self.length().min(place as u64) });
        }
        let mut bytes = vec![0u8; length];
        copy(&self.name, &self.map, place, &mut bytes)?;
        Ok(bytes)
    }

    /// A chunk as it is written again, damaged or not; `None` if it is not stored. What is cut off stays so.
    fn part(&self, index: usize) -> Option<Part> {
        let entry = self.entries[index];
        entry.form?;
        let bytes = self.packed_bytes(index).unwrap_or_default();
        Some(Part { index, entry, checksum: self.extents[index].checksum, bytes })
    }

    /// The chunk at an index in the region, if it is stored.
    pub fn chunk(&self, index: usize) -> Result<Option<(Chunk, Version)>, StoreError> {
        let (entry, extent) = (&self.entries[index], &self.extents[index]);
        let Some(form) = entry.form else { return Ok(None) };
        if entry.length == 0 {
            return Ok(Some((Chunk::uniform(BlockId(entry.table)), entry.version)));
        }
        let wrong = |what: String| StoreError::corrupt(&self.name, entry.place, what);
        let bytes = self.packed_bytes(index)?;
        if xxh3_64(&bytes) != extent.checksum {
            return Err(wrong("a packed chunk does not match its checksum".into()));
        }
        let unpacked = OUTER.with_borrow_mut(|outer| unpack_chunk(&bytes, outer));
        let chunk = unpacked.map_err(|error| wrong(error.to_string()))?;
        if chunk.form() != form {
            return Err(wrong(format!("a chunk of form {:?} is packed, where {form:?} should be", chunk.form())));
        }
        Ok(Some((chunk, entry.version)))
    }

    /// The chunk as the slot that it was packed from, byte by byte; compared with that slot's checksum.
    pub fn encoded(&self, index: usize) -> Result<Option<Encoded>, StoreError> {
        let Some((chunk, version)) = self.chunk(index)? else { return Ok(None) };
        let (encoded, entry) = (slot::encode(&chunk, version), self.entries[index]);
        if encoded.entry != (Entry { place: 0, ..entry }) {
            let what = "a packed chunk is whole, but not the chunk that its directory names";
            return Err(StoreError::corrupt(&self.name, entry.place, what));
        }
        Ok(Some(encoded))
    }
}

fn copy(name: &str, map: &Map, offset: usize, buffer: &mut [u8]) -> Result<(), StoreError> {
    if map.copy_to(offset, buffer) {
        return Ok(());
    }
    Err(StoreError::Truncated { file: name.to_owned(), offset: map.length().min(offset + buffer.len()) as u64 })
}

type Listed = (Box<[Entry; REGION_CHUNKS]>, Box<[Extent; REGION_CHUNKS]>);

/// The directory by index; the error says at which of its bytes what does not fit.
fn read_directory(directory: &[u8]) -> Result<Listed, (usize, String)> {
    let mut entries = Box::new([Entry::default(); REGION_CHUNKS]);
    let mut extents = Box::new([Extent::default(); REGION_CHUNKS]);
    let mut place = (HEAD + directory.len()) as u64;
    let mut last = None;
    for (number, bytes) in directory.chunks_exact(ENTRY_BYTES).enumerate() {
        let wrong = |what: &str| (number * ENTRY_BYTES, what.to_owned());
        let index = usize::from(bytes[0]);
        if index >= REGION_CHUNKS || last.is_some_and(|last| last >= index) {
            return Err(wrong("the directory is not in order"));
        }
        let (entry, extent) = read_entry(bytes, place);
        region::check_shape(&entry, bytes[1]).map_err(|what| wrong(&what))?;
        let fits = entry.form.is_some()
            && extent.length as usize <= PACKED_BYTES_MAX
            && (entry.length == 0) == (extent.length == 0)
            && (entry.length > 0 || entry.form == Some(Form::Uniform));
        if !fits {
            return Err(wrong("the directory names a chunk that can't be"));
        }
        place += u64::from(extent.length);
        (entries[index], extents[index], last) = (entry, extent, Some(index));
    }
    Ok((entries, extents))
}

fn read_entry(bytes: &[u8], place: u64) -> (Entry, Extent) {
    let length = u32_at(bytes, 12);
    let entry = Entry {
        place: if length == 0 { 0 } else { place },
        length,
        version: Version { epoch: u32_at(bytes, 4), count: u32_at(bytes, 8) },
        form: Form::from_number(bytes[1]),
        table: u16::from_le_bytes([bytes[2], bytes[3]]),
        checksum: u64_at(bytes, 16),
    };
    (entry, Extent { length: u32_at(bytes, 24), checksum: u64_at(bytes, 28) })
}
