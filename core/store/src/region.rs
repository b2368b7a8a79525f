//! One region file: header, two directories, slots.
//!
//! A directory names the slots of 128 chunks and carries a checksum. A checkpoint writes changed chunks to slots
//! that neither directory names, syncs, and then overwrites the older directory; so at every moment one valid
//! directory names nothing but whole slots. docs/format.md has the bytes.

use crate::FORMAT_VERSION;
use crate::door::{Dir, File, Map, Open};
use crate::error::{Context, StoreError};
use crate::slot::{self, Encoded, Entry};
use std::sync::{Arc, OnceLock};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Form, Version};
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{LocalIndex, RegionPos};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"TERRREGN";
const DIRECTORY_MAGIC: &[u8; 4] = b"TDIR";
/// Bytes of the header and of each directory: one page, so that a write touches nothing else.
const PAGE: usize = 4096;
const HEADER_BYTES: usize = 56;
const DIRECTORY_HEAD: usize = 32;
const ENTRY_BYTES: usize = 28;
const FIRST_SLOT: u64 = 3 * PAGE as u64;
/// Slots begin at multiples of this, the sector of a disk.
const SECTOR: u64 = 512;
/// The byte of a directory, the highest of its sequence, that says whether the region has moved to its packed file.
const MOVED_AT: usize = 15;
/// What stands there then; no sequence gets that far.
pub const MOVED: u8 = 0xff;
/// Regions held open at a time: two maps each during a switch stay under the signal handler's table.
pub const OPEN_MAX: usize = 6_000;

const _: () = assert!(DIRECTORY_HEAD + REGION_CHUNKS * ENTRY_BYTES <= PAGE, "a directory fits one page");

fn extent(entry: &Entry) -> Option<(u64, u64)> {
    (entry.length > 0).then(|| (entry.place, round_up(entry.place + u64::from(entry.length))))
}

const fn round_up(offset: u64) -> u64 {
    offset.div_ceil(SECTOR) * SECTOR
}

/// One of the two directories, as read.
#[derive(Clone)]
pub struct Directory {
    /// Grows by one with every switch.
    pub sequence: u64,
    /// By index in the region.
    pub entries: Box<[Entry; REGION_CHUNKS]>,
}

impl Directory {
    fn encode(&self, epoch: u32) -> Vec<u8> {
        let mut page = vec![0u8; PAGE];
        page[..4].copy_from_slice(DIRECTORY_MAGIC);
        page[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        page[16..20].copy_from_slice(&epoch.to_le_bytes());
        page[20..24].copy_from_slice(&(REGION_CHUNKS as u32).to_le_bytes());
        for (bytes, entry) in page[DIRECTORY_HEAD..].chunks_exact_mut(ENTRY_BYTES).zip(self.entries.iter()) {
            bytes[0..4].copy_from_slice(&((entry.place / SECTOR) as u32).to_le_bytes());
            bytes[4..8].copy_from_slice(&entry.length.to_le_bytes());
            bytes[8..12].copy_from_slice(&entry.version.epoch.to_le_bytes());
            bytes[12..16].copy_from_slice(&entry.version.count.to_le_bytes());
            bytes[16] = entry.form.map_or(0, |form| form as u8);
            bytes[18..20].copy_from_slice(&entry.table.to_le_bytes());
            bytes[20..28].copy_from_slice(&entry.checksum.to_le_bytes());
        }
        let checksum = xxh3_64(&page);
        page[24..32].copy_from_slice(&checksum.to_le_bytes());
        page
    }

    /// Reads a page; the error says what does not fit. Whether its content has moved does not count.
    fn decode(page: &[u8]) -> Result<Self, String> {
        if page[..4] != *DIRECTORY_MAGIC {
            return Err("a directory does not begin with its magic".into());
        }
        let mut summed = page.to_vec();
        if is_moved(page) {
            summed[MOVED_AT] = 0;
        }
        let sequence = u64_at(&summed, 8);
        summed[24..32].fill(0);
        if xxh3_64(&summed) != u64_at(page, 24) {
            return Err("a directory does not match its checksum".into());
        }
        let mut entries = Box::new([Entry::default(); REGION_CHUNKS]);
        for (entry, bytes) in entries.iter_mut().zip(page[DIRECTORY_HEAD..].chunks_exact(ENTRY_BYTES)) {
            let form;
            (*entry, form) = read_entry(bytes);
            check_entry(entry, form)?;
        }
        Ok(Self { sequence, entries })
    }
}

/// Whether a page of a directory says that the region is held by its packed file now.
fn is_moved(page: &[u8]) -> bool {
    page[MOVED_AT] == MOVED
}

/// An entry of a directory, with the number of its form as it stands there.
fn read_entry(bytes: &[u8]) -> (Entry, u8) {
    let entry = Entry {
        place: u64::from(u32_at(bytes, 0)) * SECTOR,
        length: u32_at(bytes, 4),
        version: Version { epoch: u32_at(bytes, 8), count: u32_at(bytes, 12) },
        form: Form::from_number(bytes[16]),
        table: u16::from_le_bytes([bytes[18], bytes[19]]),
        checksum: u64_at(bytes, 20),
    };
    (entry, bytes[16])
}

fn check_entry(entry: &Entry, form_number: u8) -> Result<(), String> {
    check_shape(entry, form_number)?;
    if entry.form.is_some() && entry.length > 0 && entry.place < FIRST_SLOT {
        return Err("a directory names a slot that can't be".into());
    }
    Ok(())
}

/// Whether a chunk can have this form, table and length, wherever it stands.
pub(crate) fn check_shape(entry: &Entry, form_number: u8) -> Result<(), String> {
    let Some(form) = entry.form else {
        return if form_number == 0 {
            Ok(())
        } else {
            Err(format!("a directory names the unknown form {form_number}"))
        };
    };
    let table = if form == Form::Uniform { 0 } else { usize::from(entry.table) };
    let (least, most) = form.table_range();
    let fits = form == Form::Uniform || (least..=most).contains(&table);
    if !fits || (entry.length as usize) < form.data_bytes() + table * 2 {
        return Err("a directory names a slot that can't be".into());
    }
    Ok(())
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// The path of a region's file in the world's folder.
pub fn file_name(pos: RegionPos) -> String {
    format!("regions/r.{}.{}.{}.trr", pos.x(), pos.y(), pos.z())
}

/// The region that a file name in `regions/` stands for.
pub fn parse_file_name(name: &str) -> Option<RegionPos> {
    let numbers: Vec<i32> =
        name.strip_prefix("r.")?.strip_suffix(".trr")?.split('.').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let [x, y, z] = numbers[..] else { return None };
    RegionPos::new(x, y, z).ok().filter(|pos| file_name(*pos).ends_with(name))
}

fn header(pos: RegionPos, world: &[u8; 16]) -> Vec<u8> {
    let mut page = vec![0u8; PAGE];
    page[..8].copy_from_slice(MAGIC);
    page[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    for (axis, part) in pos.to_array().into_iter().enumerate() {
        page[12 + 4 * axis..16 + 4 * axis].copy_from_slice(&part.to_le_bytes());
    }
    page[24..40].copy_from_slice(world);
    let checksum = xxh3_64(&page[..HEADER_BYTES - 8]);
    page[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    page
}

fn check_header(page: &[u8], name: &str, pos: RegionPos, world: &[u8; 16]) -> Result<(), StoreError> {
    if page[..8] != *MAGIC {
        return Err(StoreError::corrupt(name, 0, "it does not begin like a region file"));
    }
    if page == header(pos, world) {
        return Ok(());
    }
    // Only a header that is whole can speak of another version.
    let version = u32_at(page, 8);
    if xxh3_64(&page[..HEADER_BYTES - 8]) == u64_at(page, HEADER_BYTES - 8) && version != FORMAT_VERSION {
        return Err(StoreError::Version { file: name.into(), found: version, supported: FORMAT_VERSION });
    }
    Err(StoreError::corrupt(name, 8, "its header does not match its checksum, its name or this world"))
}

/// Writes a region's header again: it follows from the file's name and the world's id.
pub fn write_header(dir: &dyn Dir, pos: RegionPos, world: &[u8; 16]) -> Result<(), StoreError> {
    let name = file_name(pos);
    let file = dir.open(&name, Open::Write).at("opening", &name, 0)?;
    file.write_at(&header(pos, world), 0).at("writing", &name, 0)?;
    file.sync().synced(&name)
}

/// Makes header, directories and slots match their checksums whatever they say, and removes entries that can't be, so
/// that tests and fuzzers get past what a checksum would hide. Too few bytes stay as they are.
pub fn seal(bytes: &mut [u8], pos: RegionPos, world: &[u8; 16]) {
    if bytes.len() < FIRST_SLOT as usize {
        return;
    }
    let (head, slots) = bytes.split_at_mut(FIRST_SLOT as usize);
    head[..PAGE].copy_from_slice(&header(pos, world));
    for page in head[PAGE..].chunks_exact_mut(PAGE) {
        page[..4].copy_from_slice(DIRECTORY_MAGIC);
        for entry in page[DIRECTORY_HEAD..].chunks_exact_mut(ENTRY_BYTES) {
            let (read, form) = read_entry(entry);
            if check_entry(&read, form).is_err() {
                entry.fill(0);
                continue;
            }
            let start = read.place.saturating_sub(FIRST_SLOT) as usize;
            if let Some(slot) = slots.get(start..).and_then(|rest| rest.get(..read.length as usize)) {
                entry[20..28].copy_from_slice(&xxh3_64(slot).to_le_bytes());
            }
        }
        page[24..32].fill(0);
        let checksum = xxh3_64(page);
        page[24..32].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// One region file as it stood when it was opened. Immutable; a checkpoint makes a new one.
pub struct RegionFile {
    name: String,
    map: Map,
    /// Which of the two directories is the newer, and valid.
    current: usize,
    directory: Directory,
    /// The extents that the other directory names, if it is valid.
    older: Option<Directory>,
    /// Whether the packed file holds the region now.
    moved: bool,
    /// By index in the region, filled when the slot's checksum has been found right: the table of its indexes.
    tables: Box<[OnceLock<Box<[BlockId]>>; REGION_CHUNKS]>,
}

impl RegionFile {
    /// Opens a region file; `None` if there is none.
    ///
    /// `switching` says that a crash may have interrupted a switch of directories: then one of the two may be torn.
    /// Otherwise both must be valid.
    pub fn open(dir: &dyn Dir, pos: RegionPos, world: &[u8; 16], switching: bool) -> Result<Option<Self>, StoreError> {
        let name = file_name(pos);
        let file = match dir.open(&name, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("opening", &name, 0, &error)),
        };
        let map = file.map().at("mapping", &name, 0)?;
        Self::parse(name, map, pos, world, switching).map(Some)
    }

    /// From the bytes of a file.
    pub fn parse(
        name: String,
        map: Map,
        pos: RegionPos,
        world: &[u8; 16],
        switching: bool,
    ) -> Result<Self, StoreError> {
        let pages = first_pages(&name, &map)?;
        check_header(&pages[..PAGE], &name, pos, world)?;
        Self::of_directories(name, map, &pages, switching)
    }

    /// Opens a region file whose header need not be right, for repair. Its directories may be torn.
    pub fn open_without_header(dir: &dyn Dir, pos: RegionPos) -> Result<Self, StoreError> {
        let name = file_name(pos);
        let map = dir.open(&name, Open::Read).and_then(|file| file.map()).at("mapping", &name, 0)?;
        let pages = first_pages(&name, &map)?;
        Self::of_directories(name, map, &pages, true)
    }

    fn of_directories(name: String, map: Map, pages: &[u8], switching: bool) -> Result<Self, StoreError> {
        let read: Vec<_> = (1..3).map(|n| Directory::decode(&pages[n * PAGE..(n + 1) * PAGE])).collect();
        let sequence = |n: usize| read[n].as_ref().map_or(0, |d| d.sequence);
        let current = usize::from(sequence(1) > sequence(0));
        for (n, directory) in read.iter().enumerate() {
            if let Err(what) = directory
                && (!switching || n == current)
            {
                return Err(StoreError::corrupt(&name, ((n + 1) * PAGE) as u64, what.clone()));
            }
        }
        let moved = (0..2).any(|n| read[n].is_ok() && is_moved(&pages[(n + 1) * PAGE..]));
        let mut read = read.into_iter().map(Result::ok);
        let (first, second) = (read.next().flatten(), read.next().flatten());
        let (directory, older) = if current == 0 { (first, second) } else { (second, first) };
        let directory = directory.expect("the newer one was checked");
        let tables = Box::new([const { OnceLock::new() }; REGION_CHUNKS]);
        Ok(Self { name, map, current, directory, older, moved, tables })
    }

    /// The path in the world's folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the region had moved to its packed file when this was opened.
    pub const fn is_moved(&self) -> bool {
        self.moved
    }

    /// The newer directory's sequence.
    pub const fn sequence(&self) -> u64 {
        self.directory.sequence
    }

    /// What the newer directory says.
    pub fn entry(&self, index: usize) -> &Entry {
        &self.directory.entries[index]
    }

    /// The directory before the newer one, if it is valid.
    pub const fn older(&self) -> Option<&Directory> {
        self.older.as_ref()
    }

    /// Bytes of the file when it was opened.
    pub const fn length(&self) -> u64 {
        self.map.length() as u64
    }

    /// Whether the directory this was opened with still stands in the file. Once it has been overwritten, the slots
    /// it names may be reused: what was read has to be read again from a new `RegionFile`.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.map.u64(PAGE * (self.current + 1) + 8) == self.directory.sequence
    }

    /// Copies a slot out and compares it with its checksum.
    pub fn slot_bytes(&self, entry: &Entry) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![0u8; entry.length as usize];
        if entry.length == 0 {
            return Ok(bytes);
        }
        if !self.map.copy_to(entry.place as usize, &mut bytes) {
            return Err(self.cut_short(entry.place));
        }
        if xxh3_64(&bytes) != entry.checksum {
            return Err(StoreError::corrupt(&self.name, entry.place, "a chunk does not match its checksum"));
        }
        Ok(bytes)
    }

    fn cut_short(&self, wanted: u64) -> StoreError {
        StoreError::Truncated { file: self.name.clone(), offset: wanted.min(self.length()) }
    }

    /// The chunk at an index in the region, if it is stored.
    pub fn chunk(&self, index: usize) -> Result<Option<(Chunk, Version)>, StoreError> {
        let entry = *self.entry(index);
        self.chunk_of(&entry)
    }

    /// The chunk that an entry of either directory names.
    pub fn chunk_of(&self, entry: &Entry) -> Result<Option<(Chunk, Version)>, StoreError> {
        if entry.form.is_none() {
            return Ok(None);
        }
        let bytes = self.slot_bytes(entry)?;
        let chunk = slot::decode(entry, &bytes)
            .map_err(|error| StoreError::corrupt(&self.name, entry.place, error.to_string()))?;
        Ok(Some((chunk, entry.version)))
    }

    /// One voxel straight from the map, without decoding the chunk; `None` if the chunk is not stored.
    ///
    /// The slot's checksum is compared at the first read of the slot, not at each.
    #[inline]
    pub fn voxel(&self, index: usize, local: LocalIndex) -> Result<Option<BlockId>, StoreError> {
        let entry = &self.directory.entries[index];
        let Some(form) = entry.form else { return Ok(None) };
        if form == Form::Uniform {
            return Ok(Some(BlockId(entry.table)));
        }
        let table = match self.tables[index].get() {
            Some(table) => table,
            None => self.verify(index)?,
        };
        let (place, local) = (entry.place as usize, local.index());
        let block = match form {
            Form::U4 => table.get(usize::from(self.map.byte(place + local / 2) >> (4 * (local & 1)) & 15)).copied(),
            Form::U8 => table.get(usize::from(self.map.byte(place + local))).copied(),
            _ => Some(BlockId(self.map.u16(place + 2 * local))),
        };
        if self.map.failed() {
            return Err(self.cut_short(entry.place));
        }
        block.map(Some).ok_or_else(|| StoreError::corrupt(&self.name, entry.place, "an index points behind the table"))
    }

    /// One byte of the map. The caller asks [`RegionFile::is_cut`] and [`RegionFile::is_current`] afterwards.
    #[inline]
    pub fn map_byte(&self, offset: usize) -> u8 {
        self.map.byte(offset)
    }

    /// Whether a read has met a part of the file that is no longer there.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.map.failed()
    }

    /// The table of a chunk whose slot has been compared with its checksum.
    pub fn verified_table(&self, index: usize) -> Option<&[BlockId]> {
        self.tables[index].get().map(AsRef::as_ref)
    }

    /// Compares a slot with its checksum and keeps its table.
    #[cold]
    fn verify(&self, index: usize) -> Result<&[BlockId], StoreError> {
        let entry = self.entry(index);
        let bytes = self.slot_bytes(entry)?;
        let chunk = slot::decode(entry, &bytes)
            .map_err(|error| StoreError::corrupt(&self.name, entry.place, error.to_string()))?;
        Ok(self.tables[index].get_or_init(|| chunk.table().into()))
    }
}

/// Header and directories.
fn first_pages(name: &str, map: &Map) -> Result<Vec<u8>, StoreError> {
    let mut pages = vec![0u8; 3 * PAGE];
    if map.copy_to(0, &mut pages) {
        return Ok(pages);
    }
    Err(StoreError::Truncated { file: name.to_owned(), offset: map.length().min(3 * PAGE) as u64 })
}

/// Makes a new region file beside its final name, whole and synced. [`publish_new`] gives it its name. Its sequences
/// are the two above `after`, which is that of the packed file it takes the place of, or 0.
pub fn write_new(
    dir: &dyn Dir,
    pos: RegionPos,
    world: &[u8; 16],
    epoch: u32,
    after: u64,
    chunks: &[(usize, &Encoded)],
) -> Result<(), StoreError> {
    let name = format!("{}.new", file_name(pos));
    let file = dir.open(&name, Open::Create).at("creating", &name, 0)?;
    let mut entries = Box::new([Entry::default(); REGION_CHUNKS]);
    let mut bytes = vec![0u8; FIRST_SLOT as usize];
    for (index, chunk) in chunks {
        let mut entry = chunk.entry;
        if !chunk.bytes.is_empty() {
            entry.place = bytes.len() as u64;
            bytes.extend_from_slice(&chunk.bytes);
            bytes.resize(round_up(bytes.len() as u64) as usize, 0);
        }
        entries[*index] = entry;
    }
    bytes[..PAGE].copy_from_slice(&header(pos, world));
    // Both directories from the start, so that an invalid one always means something.
    for page in 1..=2 {
        let directory = Directory { sequence: after + page as u64, entries: entries.clone() };
        bytes[page * PAGE..(page + 1) * PAGE].copy_from_slice(&directory.encode(epoch));
    }
    file.write_at(&bytes, 0).at("writing", &name, 0)?;
    file.sync().synced(&name)
}

/// Gives a file of [`write_new`] its final name. The folder is synced by the caller, once for many.
pub fn publish_new(dir: &dyn Dir, pos: RegionPos) -> Result<(), StoreError> {
    let name = file_name(pos);
    dir.rename(&format!("{name}.new"), &name).at("renaming", &name, 0)
}

/// Says in both directories whether the region has moved to its packed file. One byte each, so that nothing is ever torn. It
/// need not be durable: it is for readers that have the file mapped, and the packed file's sequence says the same.
pub fn mark_moved(dir: &dyn Dir, name: &str, moved: bool) -> Result<(), StoreError> {
    let file = dir.open(name, Open::Write).at("opening", name, 0)?;
    let byte = if moved { MOVED } else { 0 };
    for page in 1..=2 {
        let offset = (page * PAGE + MOVED_AT) as u64;
        file.write_at(&[byte], offset).at("writing", name, offset)?;
    }
    Ok(())
}

/// A switch of directories under way: slots are written and synced, the directory is not yet.
pub struct Switch {
    file: Arc<dyn File>,
    name: String,
    next: Directory,
    page: usize,
    epoch: u32,
}

/// Writes chunks to slots that no directory names, and syncs them. `changed` is by index in the region.
pub fn write_slots(
    dir: &dyn Dir,
    region: &RegionFile,
    epoch: u32,
    changed: &[(usize, &Encoded)],
) -> Result<Switch, StoreError> {
    let name = region.name.clone();
    let file = dir.open(&name, Open::Write).at("opening", &name, 0)?;
    let mut free = FreeSpace::of(region);
    let mut next = Directory { sequence: region.directory.sequence + 1, entries: region.directory.entries.clone() };
    for (index, chunk) in changed {
        let mut entry = chunk.entry;
        if !chunk.bytes.is_empty() {
            entry.place = free.take(round_up(chunk.bytes.len() as u64));
            file.write_at(&chunk.bytes, entry.place).at("writing", &name, entry.place)?;
        }
        next.entries[*index] = entry;
    }
    file.sync().synced(&name)?;
    Ok(Switch { file, name, next, page: 1 - region.current, epoch })
}

impl Switch {
    /// Overwrites the older directory, and syncs: from here on the new slots are what the region holds.
    pub fn finish(self) -> Result<(), StoreError> {
        let offset = ((self.page + 1) * PAGE) as u64;
        self.file.write_at(&self.next.encode(self.epoch), offset).at("writing", &self.name, offset)?;
        self.file.sync().synced(&self.name)
    }
}

/// The parts of a region file that no valid directory names.
struct FreeSpace {
    gaps: Vec<(u64, u64)>,
    end: u64,
}

impl FreeSpace {
    fn of(region: &RegionFile) -> Self {
        let directories = [Some(&region.directory), region.older.as_ref()];
        let mut used: Vec<(u64, u64)> =
            directories.into_iter().flatten().flat_map(|d| d.entries.iter().filter_map(extent)).collect();
        used.sort_unstable();
        let (mut gaps, mut end) = (Vec::new(), FIRST_SLOT);
        for (start, stop) in used {
            if start > end {
                gaps.push((end, start));
            }
            end = end.max(stop);
        }
        Self { gaps, end }
    }

    /// The first gap that is large enough, or the end.
    fn take(&mut self, bytes: u64) -> u64 {
        if let Some(gap) = self.gaps.iter_mut().find(|(start, stop)| stop - start >= bytes) {
            let place = gap.0;
            gap.0 += bytes;
            return place;
        }
        let place = self.end;
        self.end += bytes;
        place
    }
}
