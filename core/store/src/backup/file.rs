//! The file: header, packed chunks, body with the index, tail.

use super::BackupError;
use crate::FORMAT_VERSION;
use crate::door::{Dir, File, Open};
use crate::error::{Context, StoreError};
use crate::slot::{self, Encoded};
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_world::chunk::{Chunk, Version};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{CHUNK_BYTES_MAX, Class, pack_chunk, unpack_chunk};
use terrane_world::space::ChunkPos;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const MAGIC: &[u8; 8] = b"TERRBKUP";
const END_MAGIC: &[u8; 8] = b"TERRBKND";
const HEAD: usize = 40;
const TAIL: usize = 24;
/// Bytes read at a time when a file is checked.
const PIECE: usize = 1 << 20;
/// Bytes of a packed chunk at most.
const PACKED_BYTES_MAX: usize = CHUNK_BYTES_MAX + 1;
/// Bytes of a chunk's entry in the index.
const ENTRY_BYTES: usize = 68;

/// Where a chunk is, and what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub version: Version,
    /// Checksum of the slot that it has in a region file.
    pub checksum: u64,
    /// The canonical hash of its content.
    pub hash: u128,
    /// 0 for this file, n for the nth of its bases.
    pub file: u32,
    pub offset: u64,
    pub length: u32,
    /// Checksum of the packed bytes.
    pub packed: u64,
}

/// All of a backup but its chunks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Body {
    pub tick: u64,
    pub digest: u64,
    pub epoch: u32,
    /// What `terrane digest` says of the world at that tick.
    pub content: String,
    /// `world.toml` as it is.
    pub settings: Vec<u8>,
    /// `registry` as it is.
    pub registry: Vec<u8>,
    /// Names and files.
    pub plugins: Vec<(String, Vec<u8>)>,
    /// Id, last input decided, tick it was heard in.
    pub actors: Vec<[u64; 3]>,
    /// Column x and z, and its state.
    pub columns: Vec<(i32, i32, Vec<u8>)>,
    /// Checksums of the earlier files that chunks are in, the latest first.
    pub bases: Vec<u64>,
    pub index: BTreeMap<ChunkPos, Entry>,
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

impl Body {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.tick.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        [self.content.as_bytes(), &self.settings, &self.registry].iter().for_each(|bytes| put_bytes(&mut out, bytes));
        let count = |out: &mut Vec<u8>, n: usize| out.extend_from_slice(&(n as u64).to_le_bytes());
        count(&mut out, self.plugins.len());
        for (name, wasm) in &self.plugins {
            put_bytes(&mut out, name.as_bytes());
            put_bytes(&mut out, wasm);
        }
        count(&mut out, self.actors.len());
        out.extend(self.actors.iter().flatten().flat_map(|number| number.to_le_bytes()));
        count(&mut out, self.columns.len());
        for (x, z, state) in &self.columns {
            out.extend([x, z].iter().flat_map(|number| number.to_le_bytes()));
            put_bytes(&mut out, state);
        }
        count(&mut out, self.bases.len());
        out.extend(self.bases.iter().flat_map(|checksum| checksum.to_le_bytes()));
        count(&mut out, self.index.len());
        for (pos, entry) in &self.index {
            out.extend(pos.to_array().iter().flat_map(|number| number.to_le_bytes()));
            out.extend([entry.version.epoch, entry.version.count].iter().flat_map(|number| number.to_le_bytes()));
            out.extend_from_slice(&entry.checksum.to_le_bytes());
            out.extend_from_slice(&entry.hash.to_le_bytes());
            out.extend_from_slice(&entry.file.to_le_bytes());
            out.extend_from_slice(&entry.offset.to_le_bytes());
            out.extend_from_slice(&entry.length.to_le_bytes());
            out.extend_from_slice(&entry.packed.to_le_bytes());
        }
        out
    }

    /// `None` for bytes that [`Body::encode`] can't have made.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let mut body = Self { tick: reader.u64()?, digest: reader.u64()?, epoch: reader.u32()?, ..Self::default() };
        body.content = String::from_utf8(reader.bytes()?).ok()?;
        (body.settings, body.registry) = (reader.bytes()?, reader.bytes()?);
        for _ in 0..reader.u64()? {
            body.plugins.push((String::from_utf8(reader.bytes()?).ok()?, reader.bytes()?));
        }
        for _ in 0..reader.u64()? {
            body.actors.push([reader.u64()?, reader.u64()?, reader.u64()?]);
        }
        for _ in 0..reader.u64()? {
            body.columns.push((reader.i32()?, reader.i32()?, reader.bytes()?));
        }
        for _ in 0..reader.u64()? {
            body.bases.push(reader.u64()?);
        }
        for _ in 0..reader.u64()? {
            let (pos, entry) = reader.entry()?;
            let in_order = body.index.last_key_value().is_none_or(|(last, _)| *last < pos);
            if !in_order || entry.file as usize > body.bases.len() || entry.length as usize > PACKED_BYTES_MAX {
                return None;
            }
            body.index.insert(pos, entry);
        }
        reader.0.is_empty().then_some(body)
    }
}

/// Little-endian bytes coming in; memory is taken as bytes are there.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.u64()?).ok()?;
        self.take(length).map(<[u8]>::to_vec)
    }

    fn entry(&mut self) -> Option<(ChunkPos, Entry)> {
        let mut fields = Reader(self.take(ENTRY_BYTES)?);
        let pos = ChunkPos::new(fields.i32()?, fields.i32()?, fields.i32()?).ok()?;
        let entry = Entry {
            version: Version { epoch: fields.u32()?, count: fields.u32()? },
            checksum: fields.u64()?,
            hash: u128::from_le_bytes(fields.array()?),
            file: fields.u32()?,
            offset: fields.u64()?,
            length: fields.u32()?,
            packed: fields.u64()?,
        };
        Some((pos, entry))
    }
}

/// A backup being written, under a name that ends in `.new`.
pub struct Writing<'a> {
    dir: &'a dyn Dir,
    name: String,
    file: Arc<dyn File>,
    end: u64,
    hash: Xxh3,
    outer: Outer,
}

impl<'a> Writing<'a> {
    pub fn begin(dir: &'a dyn Dir, name: &str, world: &[u8; 16]) -> Result<Self, BackupError> {
        if dir.open(name, Open::Read).is_ok() {
            return Err(BackupError::Exists { file: name.to_owned() });
        }
        let new = format!("{name}.new");
        let file = dir.open(&new, Open::Create).at("creating", &new, 0)?;
        let mut head = Vec::from(*MAGIC);
        head.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(world);
        let checksum = xxh3_64(&head);
        head.extend_from_slice(&checksum.to_le_bytes());
        let outer = Outer::new();
        let mut this = Self { dir, name: name.to_owned(), file, end: 0, hash: Xxh3::new(), outer };
        this.append(&head)?;
        Ok(this)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_at(bytes, self.end).at("writing", &self.name, self.end)?;
        self.hash.update(bytes);
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Writes a chunk, and gives its entry.
    pub fn chunk(&mut self, chunk: &Chunk, version: Version, hash: u128) -> Result<Entry, StoreError> {
        let mut bytes = Vec::new();
        pack_chunk(chunk, Class::Small, &mut self.outer, &mut bytes);
        let (checksum, offset) = (slot::encode(chunk, version).entry.checksum, self.end);
        self.append(&bytes)?;
        let (length, packed) = (bytes.len() as u32, xxh3_64(&bytes));
        Ok(Entry { version, checksum, hash, file: 0, offset, length, packed })
    }

    /// A chunk that this file has already.
    pub fn read(&mut self, pos: ChunkPos, entry: &Entry) -> Result<Chunk, BackupError> {
        read_chunk(&*self.file, &self.name, pos, entry, &mut self.outer)
    }

    /// Writes what stands behind the chunks, and gives the file its name. Gives its bytes and its checksum.
    pub fn finish(mut self, body: &Body) -> Result<(u64, u64), BackupError> {
        let at = self.end;
        self.append(&body.encode())?;
        self.append(&at.to_le_bytes())?;
        let checksum = self.hash.digest();
        self.file.write_at(&checksum.to_le_bytes(), self.end).at("writing", &self.name, self.end)?;
        self.file.write_at(END_MAGIC, self.end + 8).at("writing", &self.name, self.end + 8)?;
        let new = format!("{}.new", self.name);
        self.file.sync().synced(&new)?;
        if self.dir.open(&self.name, Open::Read).is_ok() {
            return Err(BackupError::Exists { file: self.name });
        }
        self.dir.rename(&new, &self.name).at("renaming", &self.name, 0)?;
        self.dir.sync("").synced("the backup's folder")?;
        Ok((self.end + 16, checksum))
    }
}

fn read_chunk(
    file: &dyn File,
    name: &str,
    pos: ChunkPos,
    entry: &Entry,
    outer: &mut Outer,
) -> Result<Chunk, BackupError> {
    let wrong = |what: String| BackupError::Chunk { file: name.to_owned(), pos, what };
    let length = file.len().at("measuring", name, 0)?;
    if entry.offset.saturating_add(u64::from(entry.length)) > length {
        return Err(wrong("it lies behind the end of the file".into()));
    }
    let mut bytes = vec![0u8; entry.length as usize];
    file.read_at(&mut bytes, entry.offset).at("reading", name, entry.offset)?;
    if xxh3_64(&bytes) != entry.packed {
        return Err(wrong("its packed bytes do not match their checksum".into()));
    }
    unpack_chunk(&bytes, outer).map_err(|error| wrong(error.to_string()))
}

/// A backup, opened: every byte of it has been compared with its checksum.
pub struct BackupFile {
    file: Arc<dyn File>,
    name: String,
    world: [u8; 16],
    checksum: u64,
    body: Body,
}

impl std::fmt::Debug for BackupFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BackupFile({}, tick {})", self.name, self.body.tick)
    }
}

impl BackupFile {
    /// Opens a backup and checks all of it.
    pub fn open(dir: &dyn Dir, name: &str) -> Result<Self, BackupError> {
        let file = dir.open(name, Open::Read).at("opening", name, 0)?;
        let length = file.len().at("measuring", name, 0)?;
        let damaged = |offset: u64, what: &str| BackupError::Damaged { file: name.into(), offset, what: what.into() };
        if length < (HEAD + TAIL) as u64 {
            return Err(damaged(length, "it is cut short, or no backup"));
        }
        let (mut head, mut tail) = ([0u8; HEAD], [0u8; TAIL]);
        file.read_at(&mut head, 0).at("reading", name, 0)?;
        let tail_at = length - TAIL as u64;
        file.read_at(&mut tail, tail_at).at("reading", name, tail_at)?;
        let [version, ..] = *head[8..].as_chunks::<4>().0 else { return Err(damaged(8, "it has no version")) };
        if head[..8] != *MAGIC {
            return Err(damaged(0, "it does not begin like a backup"));
        }
        if xxh3_64(&head[..32]).to_le_bytes() != head[32..] {
            return Err(damaged(32, "its header does not match its checksum"));
        }
        let version = u32::from_le_bytes(version);
        if version != FORMAT_VERSION {
            return Err(BackupError::Version { file: name.into(), found: version, supported: FORMAT_VERSION });
        }
        if tail[16..] != *END_MAGIC {
            return Err(damaged(tail_at + 16, "it does not end like a backup: it is cut short, or was not finished"));
        }
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| tail[at + i]));
        let (body_at, checksum) = (number(0), number(8));
        if checksum_of(&*file, name, tail_at + 8)? != checksum {
            return Err(damaged(tail_at + 8, "its bytes do not match its checksum"));
        }
        let body_bytes = tail_at.checked_sub(body_at).filter(|_| body_at >= HEAD as u64);
        let mut body = vec![0u8; body_bytes.ok_or_else(|| damaged(tail_at, "its index lies outside of it"))? as usize];
        file.read_at(&mut body, body_at).at("reading", name, body_at)?;
        let body = Body::decode(&body).ok_or_else(|| damaged(body_at, "its index can't be read"))?;
        let world = std::array::from_fn(|i| head[16 + i]);
        Ok(Self { file, name: name.to_owned(), world, checksum, body })
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The checksum at its end, which names it in a chain.
    pub const fn checksum(&self) -> u64 {
        self.checksum
    }

    /// The tick it was taken at.
    pub const fn tick(&self) -> u64 {
        self.body.tick
    }

    /// The content hash of the world at that tick.
    pub fn content(&self) -> &str {
        &self.body.content
    }

    /// How many chunks the world had, and how many of them are in this file.
    pub fn chunks(&self) -> (usize, usize) {
        (self.body.index.len(), self.body.index.values().filter(|entry| entry.file == 0).count())
    }

    /// Names of the plug-ins that it holds.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.body.plugins.iter().map(|(name, _)| name.as_str())
    }

    pub(super) const fn body(&self) -> &Body {
        &self.body
    }

    pub(super) const fn world(&self) -> &[u8; 16] {
        &self.world
    }

    /// A chunk of this file, with every check there is but its hash.
    pub(super) fn slot(
        &self,
        pos: ChunkPos,
        entry: &Entry,
        outer: &mut Outer,
    ) -> Result<(Chunk, Encoded), BackupError> {
        let chunk = read_chunk(&*self.file, &self.name, pos, entry, outer)?;
        let encoded = slot::encode(&chunk, entry.version);
        if encoded.entry.checksum != entry.checksum {
            let what = "it is whole, but another one than the index names".to_owned();
            return Err(BackupError::Chunk { file: self.name.clone(), pos, what });
        }
        Ok((chunk, encoded))
    }
}

/// The checksum of the first bytes of a file.
fn checksum_of(file: &dyn File, name: &str, length: u64) -> Result<u64, StoreError> {
    let (mut hash, mut at) = (Xxh3::new(), 0);
    let mut piece = vec![0u8; PIECE];
    while at < length {
        let part = &mut piece[..(length - at).min(PIECE as u64) as usize];
        file.read_at(part, at).at("reading", name, at)?;
        hash.update(part);
        at += part.len() as u64;
    }
    Ok(hash.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Body {
        let entry = Entry {
            version: Version { epoch: 3, count: 9 },
            checksum: 1,
            hash: 2,
            file: 1,
            offset: 77,
            length: 12,
            packed: 5,
        };
        let at = |x| ChunkPos::new(x, -4, 9).expect("inside the world");
        Body {
            tick: 7,
            digest: 8,
            epoch: 9,
            content: "0123".into(),
            settings: b"format = 1".to_vec(),
            registry: b"air".to_vec(),
            plugins: vec![("lanterns".into(), vec![0, 1])],
            actors: vec![[1, 2, 3]],
            columns: vec![(-1, 5, vec![4; 9])],
            bases: vec![11, 12],
            index: [(at(-8), entry), (at(2), Entry { file: 2, ..entry })].into(),
        }
    }

    #[test]
    fn a_body_comes_back_as_written_and_not_if_it_names_a_file_that_is_not_in_its_chain() {
        let body = sample();
        assert_eq!(Body::decode(&body.encode()), Some(body.clone()));
        let shorter = Body { bases: vec![11], ..body };
        assert_eq!(Body::decode(&shorter.encode()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_body_or_none(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..9),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = sample().encode();
            for (index, value) in changes {
                let at = index.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(body) = Body::decode(&bytes) {
                prop_assert_eq!(body.encode(), bytes.clone());
            }
            prop_assert_eq!(Body::decode(&bytes[..cut.index(bytes.len())]), None);
        }
    }
}
