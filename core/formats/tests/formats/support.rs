//! Region files written by another NBT library than ours, and a few ways to look at what was imported.

use fastnbt::{ByteArray, LongArray, Value};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use terrane_formats::anvil::{Region, RegionXZ};
use terrane_formats::volume::{ImportedFile, NOT_SAID, SourceError};
use terrane_world::block::Registry;
use terrane_world::chunk::Chunk;
use terrane_world::digest::{ContentDigest, chunk_hash};
use terrane_world::space::{ChunkPos, VoxelBox, VoxelPos};

/// A small generator of numbers (SplitMix64, Steele et al. 2014), so that every run tests the same.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Where a column's parts lie in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In `Level`, as before 1.18.
    Level,
    /// At the root, as since 1.18.
    Root,
}

/// How indexes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Since 1.16.
    Padded,
    /// Before.
    Spanning,
}

/// A column to write: sections of 4,096 full names.
#[derive(Clone)]
pub struct Column {
    pub x: i32,
    pub z: i32,
    pub status: &'static str,
    pub sections: Vec<(i8, Vec<String>)>,
    pub block_entities: Vec<([i32; 3], &'static str)>,
}

pub fn compound<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Compound(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn palette_entry(name: &str) -> Value {
    let (base, states) = name.split_once('[').unwrap_or((name, "]"));
    let base = if base.contains(':') { base.to_owned() } else { format!("minecraft:{base}") };
    let states: HashMap<String, Value> = states
        .trim_end_matches(']')
        .split(',')
        .filter_map(|state| state.split_once('='))
        .map(|(key, value)| (key.to_owned(), Value::String(value.to_owned())))
        .collect();
    let mut entry = HashMap::from([("Name".to_owned(), Value::String(base))]);
    if !states.is_empty() {
        entry.insert("Properties".to_owned(), Value::Compound(states));
    }
    Value::Compound(entry)
}

/// Packs bit by bit.
fn pack(indexes: &[usize], palette: usize, packing: Packing) -> Value {
    let mut bits = 4;
    while 1 << bits < palette {
        bits += 1;
    }
    let mut longs: Vec<i64> = Vec::new();
    let mut at = 0usize;
    for index in indexes {
        if packing == Packing::Padded && at % 64 + bits > 64 {
            at = at.div_ceil(64) * 64;
        }
        for bit in 0..bits {
            if at / 64 == longs.len() {
                longs.push(0);
            }
            longs[at / 64] |= ((index >> bit & 1) as i64) << (at % 64);
            at += 1;
        }
    }
    Value::LongArray(LongArray::new(longs))
}

fn section(y: i8, names: &[String], layout: Layout, packing: Packing) -> Value {
    let mut palette: Vec<&String> = names.iter().collect();
    palette.sort();
    palette.dedup();
    palette.reverse();
    let number: HashMap<&String, usize> = palette.iter().enumerate().map(|(n, name)| (*name, n)).collect();
    let indexes: Vec<usize> = names.iter().map(|name| number[name]).collect();
    let data = pack(&indexes, palette.len(), packing);
    let entries = Value::List(palette.iter().map(|name| palette_entry(name)).collect());
    let light = Value::ByteArray(ByteArray::new(vec![7; 2048]));
    match layout {
        Layout::Level => {
            compound([("BlockLight", light), ("Y", Value::Byte(y)), ("Palette", entries), ("BlockStates", data)])
        }
        Layout::Root => {
            let states = match palette.len() {
                1 => compound([("palette", entries)]),
                _ => compound([("data", data), ("palette", entries)]),
            };
            let plains = Value::List(vec![Value::String("minecraft:plains".to_owned())]);
            let biomes = compound([("palette", plains)]);
            compound([("Y", Value::Byte(y)), ("block_states", states), ("biomes", biomes), ("SkyLight", light)])
        }
    }
}

/// The uncompressed document of a column.
pub fn document(column: &Column, layout: Layout, packing: Packing) -> Vec<u8> {
    let mut sections: Vec<Value> =
        column.sections.iter().map(|(y, names)| section(*y, names, layout, packing)).collect();
    sections.push(compound([("Y", Value::Byte(-128))]));
    let entity = |([x, y, z], id): &([i32; 3], &str)| {
        compound([
            ("x", Value::Int(*x)),
            ("id", Value::String((*id).to_owned())),
            ("y", Value::Int(*y)),
            ("z", Value::Int(*z)),
            ("Items", Value::List(vec![compound([("Slot", Value::Byte(1)), ("count", Value::Int(3))])])),
        ])
    };
    let block_entities = Value::List(column.block_entities.iter().map(entity).collect());
    let status = Value::String(column.status.to_owned());
    let (x, z) = (Value::Int(column.x), Value::Int(column.z));
    let list = Value::List(sections);
    let tick = Value::List(vec![compound([("i", Value::String("minecraft:water".to_owned()))])]);
    let root = match layout {
        Layout::Level => {
            let entities = Value::List(vec![compound([("id", Value::String("minecraft:cow".to_owned()))])]);
            let fields = [("xPos", x), ("zPos", z), ("Status", status), ("Sections", list)];
            let more = [("TileEntities", block_entities), ("Entities", entities), ("LiquidTicks", tick)];
            let Value::Compound(mut level) = compound(fields) else { unreachable!() };
            level.extend(more.map(|(key, value)| (key.to_owned(), value)));
            let version = if packing == Packing::Padded { 2586 } else { 1976 };
            compound([("DataVersion", Value::Int(version)), ("Level", Value::Compound(level))])
        }
        Layout::Root => compound([
            ("DataVersion", Value::Int(3700)),
            ("xPos", x),
            ("zPos", z),
            ("yPos", Value::Int(-4)),
            ("Status", status),
            ("sections", list),
            ("block_entities", block_entities),
            ("fluid_ticks", tick),
        ]),
    };
    fastnbt::to_bytes(&root).unwrap()
}

/// Bytes as lz4-java's block stream, in blocks of 1,000 bytes, the second one not compressed.
fn lz4_stream(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = |method: u8, data: &[u8], content: &[u8]| {
        out.extend_from_slice(b"LZ4Block");
        out.push(method | 5);
        let checksum = if content.is_empty() { 0 } else { xxhash_rust::xxh32::xxh32(content, 0x9747_b28c) };
        for number in [data.len() as u32, content.len() as u32, checksum & 0x0fff_ffff] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(data);
    };
    for (n, content) in bytes.chunks(1000).enumerate() {
        if n == 1 {
            block(0x10, content, content);
        } else {
            block(0x20, &lz4_flex::block::compress(content), content);
        }
    }
    block(0x10, &[], &[]);
    out
}

/// Compresses a document as the region format numbers it.
pub fn compress(compression: u8, bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match compression {
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        2 => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        3 => bytes.to_vec(),
        4 => lz4_stream(bytes),
        other => panic!("compression {other}"),
    }
}

/// A region file of compressed documents: `(slot, compression byte, bytes)`. External ones have no bytes in it.
pub fn region(columns: &[(usize, u8, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![0u8; 8192];
    for (slot, compression, bytes) in columns {
        let first = file.len() / 4096;
        let sectors = (bytes.len() + 5).div_ceil(4096);
        assert!(sectors < 256);
        file[slot * 4..slot * 4 + 4].copy_from_slice(&((first as u32) << 8 | sectors as u32).to_be_bytes());
        file.extend_from_slice(&(bytes.len() as u32 + 1).to_be_bytes());
        file.push(*compression);
        file.extend_from_slice(bytes);
        file.resize((first + sectors) * 4096, 0);
    }
    file
}

pub fn slot(x: i32, z: i32) -> usize {
    (x.rem_euclid(32) + 32 * z.rem_euclid(32)) as usize
}

/// 4,096 names drawn from the first `kinds` of a fixed list, every one of them at least once.
pub fn varied_names(numbers: &mut Numbers, kinds: usize) -> Vec<String> {
    let name = |n: usize| match n {
        0 => "air".to_owned(),
        1 => "stone".to_owned(),
        2 => "mod:thing/part".to_owned(),
        n => format!("oak_stairs[facing=f{n},half=bottom,waterlogged=false]"),
    };
    (0..4096).map(|voxel| name(if voxel < kinds { voxel } else { numbers.below(kinds) })).collect()
}

/// Imports without external files.
pub fn import(bytes: &[u8], pos: Option<RegionXZ>, shift: [i32; 3]) -> ImportedFile {
    let none = |_, _| Err(std::io::Error::from(std::io::ErrorKind::NotFound));
    Region::open(bytes, pos).unwrap().decode(shift, &none, &|_| ()).unwrap()
}

/// The name at a voxel, if the file says one.
pub fn name_at(file: &ImportedFile, at: [i32; 3]) -> Option<&str> {
    let pos = VoxelPos::try_from(at).unwrap();
    let chunk = file.chunks.binary_search_by_key(&pos.chunk(), |chunk| chunk.pos).ok()?;
    let block = file.chunks[chunk].content.get(pos.local());
    if block == NOT_SAID { None } else { Some(&file.names[usize::from(block.0)]) }
}

/// How many voxels the file says to be what.
pub fn counts_by_name(file: &ImportedFile) -> BTreeMap<String, u64> {
    let mut counts = vec![0; file.names.len()];
    let mut blocks = terrane_world::chunk::new_blocks();
    for chunk in &file.chunks {
        chunk.content.copy_to(&mut blocks);
        for block in blocks.iter().filter(|block| **block != NOT_SAID) {
            counts[usize::from(block.0)] += 1;
        }
    }
    file.names.iter().cloned().zip(counts).collect()
}

/// Chunks of a world with its registry.
pub struct World {
    pub registry: Registry,
    pub chunks: BTreeMap<ChunkPos, Arc<Chunk>>,
}

impl World {
    pub fn new() -> Self {
        Self { registry: Registry::built_in(), chunks: BTreeMap::new() }
    }

    pub fn take(&mut self, file: &ImportedFile) {
        let (ids, _) = file.register(&mut self.registry).unwrap();
        for chunk in &file.chunks {
            let base = self.chunks.get(&chunk.pos).map(AsRef::as_ref);
            let chunk = (chunk.pos, Arc::new(chunk.onto(&ids, base).unwrap()));
            self.chunks.insert(chunk.0, chunk.1);
        }
    }

    pub fn digest(&self) -> String {
        let mut digest = ContentDigest::new("");
        for (pos, chunk) in &self.chunks {
            digest.add(*pos, chunk_hash(&self.registry, *pos, chunk, None));
        }
        digest.finish()
    }

    pub fn positions(&self) -> Vec<ChunkPos> {
        self.chunks.keys().copied().collect()
    }

    /// The smallest box of whole chunks around everything.
    pub fn bounds(&self) -> VoxelBox {
        let ends = |axis: usize| {
            let all = || self.chunks.keys().map(|pos| pos.to_array()[axis]);
            (all().min().unwrap() * 32, all().max().unwrap() * 32 + 32)
        };
        let [x, y, z] = [0, 1, 2].map(ends);
        VoxelBox::new([x.0, y.0, z.0], [x.1, y.1, z.1]).unwrap()
    }

    pub fn source(&self) -> impl Fn(ChunkPos) -> Result<Option<Arc<Chunk>>, SourceError> + Sync + '_ {
        |pos| Ok(self.chunks.get(&pos).cloned())
    }
}

fn required() -> bool {
    std::env::var("TERRANE_REQUIRE_SHARED").is_ok_and(|v| v == "1")
}

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The real region files, sorted. None if they are not there; where they are required, that is a failure.
pub fn real_files() -> Vec<PathBuf> {
    let shared = std::env::var_os("TERRANE_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let entries = std::fs::read_dir(shared.join("data")).map(|dir| dir.map(|e| e.unwrap().path()).collect::<Vec<_>>());
    let mut files: Vec<PathBuf> =
        entries.unwrap_or_default().into_iter().filter(|p| p.extension().is_some_and(|e| e == "mca")).collect();
    files.sort();
    assert!(!files.is_empty() || !required(), "{}/data holds no region files", shared.display());
    if files.is_empty() {
        eprintln!("no real region files in {}/data: only files that the tests write are checked", shared.display());
    }
    files
}

/// Runs a script of `tests/independent` and gives its JSON, if there is a Python with nbtlib and numpy.
pub fn python(script: &str, arguments: &[&std::path::Path]) -> Option<serde_json::Value> {
    let interpreter =
        std::env::var_os("TERRANE_PYTHON").map_or_else(|| workspace().join("target/python/bin/python"), PathBuf::from);
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/independent").join(script);
    let run = std::process::Command::new(&interpreter).arg(&script).args(arguments).output();
    match run {
        Ok(run) => {
            assert!(run.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&run.stderr));
            Some(serde_json::from_slice(&run.stdout).unwrap())
        }
        Err(error) => {
            assert!(!required(), "{}: {error}", interpreter.display());
            eprintln!("{}: {error}; the independent reader is not asked", interpreter.display());
            None
        }
    }
}
