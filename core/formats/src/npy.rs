//! NumPy arrays with a `.json` beside them: u16 ids in the order `[y][z][x]`, and what the ids stand for. Values that
//! were computed of voxels are written in the same order, as u8 or u32; they are not read again.
//!
//! The header is that of NumPy's format 1.0 (`numpy.lib.format`); versions 2.0 and 3.0 are read as well. It is read
//! strictly: exactly the three keys, `'<u2'`, C order and three axes, with any white space.

use crate::volume::{Counts, ImportedChunk, ImportedFile, NAMES_MAX, NOT_SAID, Source, SourceError, clipped, overlap};
use rayon::prelude::*;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use terrane_world::block::{BlockId, Registry, is_block_name};
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::limits::{CHUNK_EDGE, CHUNK_VOXELS, SPARSE_BYTES_MAX};
use terrane_world::space::{ChunkPos, LocalIndex, SpaceError, VoxelBox, VoxelPos};

/// Voxels of one horizontal layer, at most: a layer is put together in memory, and this one has 256 MiB.
pub const LAYER_VOXELS_MAX: usize = 1 << 27;
/// Bytes that a header is padded to a multiple of.
const ALIGN: usize = 64;
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Why an array could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The first bytes or the header's dictionary are not what they should be.
    #[error(
        "{file}: the .npy header is not one that can be read: {problem}; expected is {{'descr': '<u2', 'fortran_order': False, 'shape': (Y, Z, X), }}"
    )]
    Header {
        /// The file as the caller named it.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The data is longer or shorter than the shape.
    #[error(
        "{file}: shape {shape:?} takes {expected} bytes of data, and there are {found}: the file is cut short or was changed"
    )]
    Length {
        /// The file.
        file: String,
        /// (Y, Z, X).
        shape: [usize; 3],
        /// Bytes it takes.
        expected: u128,
        /// Bytes there are.
        found: usize,
    },
    /// The `.json` is not one of ours.
    #[error("{file}: this does not describe an array: {problem}; export one with `terrane export` to see the form")]
    Json {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The array uses an id that the `.json` does not name.
    #[error("{file}: element [{y}][{z}][{x}] has id {id}, which \"blocks\" in the .json does not name")]
    Id {
        /// The file.
        file: String,
        /// Index along the first axis.
        y: usize,
        /// Index along the second axis.
        z: usize,
        /// Index along the third axis.
        x: usize,
        /// The id there.
        id: u16,
    },
    /// The array does not lie in the world.
    #[error("{file}: the array does not fit the world at that place: {error}")]
    Space {
        /// The file.
        file: String,
        /// What is outside.
        error: SpaceError,
    },
    /// The box is too wide to export.
    #[error(
        "a layer of {voxels} voxels is too wide for a .npy export, {LAYER_VOXELS_MAX} is the most: choose a smaller box"
    )]
    Wide {
        /// Voxels of one layer.
        voxels: usize,
    },
    /// A chunk could not be had for the export.
    #[error("chunk {pos} can't be read for the export: {error}")]
    Source {
        /// Which.
        pos: ChunkPos,
        /// Why.
        error: SourceError,
    },
    /// What was to be written of the voxels is not known.
    #[error(transparent)]
    Values(SourceError),
    /// Writing failed.
    #[error("the array can't be written: {0}")]
    Output(#[from] io::Error),
}

/// What the `.json` says besides the blocks; the caller knows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct About<'a> {
    /// The world's seed.
    pub seed: u64,
    /// The generator's name.
    pub generator: &'a str,
    /// The version of the generator, or of the program: as the caller has it.
    pub version: &'a str,
    /// The digest of the content that was exported.
    pub digest: &'a str,
}

/// Sparse data of one voxel in the `.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseEntry {
    /// `[x, y, z]` in the world.
    pub at: [i32; 3],
    /// The data, in base 64 (RFC 4648, with padding).
    pub data: String,
}

/// What was computed of the voxels, for the `.json` of an array that does not hold their ids.
#[derive(Debug, Clone, Serialize)]
pub struct Computed<'a> {
    /// `support`, `light`, `components`, `cost`, `enter` or `flow`.
    pub what: &'a str,
    /// What an element is, by NumPy's name.
    pub dtype: &'a str,
    /// The rules of physics, if it depends on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<&'a str>,
    /// How many components there are, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<u32>,
    /// The mode, the goals and the numbers that are no costs, if it is about paths.
    #[serde(flatten)]
    pub paths: Option<Paths<'a>>,
    /// `cpu`, or the name of the device.
    pub compute: &'a str,
    /// How often a kernel ran on the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatches: Option<u64>,
}

/// What an array about paths needs to be understood.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Paths<'a> {
    /// The movement mode.
    pub mode: &'a str,
    /// `[x, y, z]` of the goals, if there are any.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub goals: &'a [[i32; 3]],
    /// The element where the mode can't be.
    pub blocked: u32,
    /// Where no way leads to a goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<u32>,
    /// Where one does, at a cost that can't be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_far: Option<u32>,
    /// At a goal, where elements are moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<u32>,
}

#[derive(Serialize)]
struct SidecarOut<'a> {
    origin: [i32; 3],
    axes: &'static str,
    #[serde(flatten)]
    computed: Option<&'a Computed<'a>>,
    blocks: NamesOut<'a>,
    solid: Vec<u16>,
    anchored: Vec<u16>,
    seed: u64,
    generator: &'a str,
    version: &'a str,
    digest: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sparse: &'a [SparseEntry],
}

/// Names by id, in the order of ids.
struct NamesOut<'a>(&'a Registry);

impl Serialize for NamesOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (id, name, _) in self.0.iter() {
            map.serialize_entry(&id.0, name)?;
        }
        map.end()
    }
}

/// What is read of the `.json`: `solid`, `anchored` and the rest are for other programs.
#[derive(Deserialize)]
struct SidecarIn {
    origin: [i32; 3],
    axes: String,
    #[serde(deserialize_with = "names_once")]
    blocks: BTreeMap<u16, String>,
    #[serde(default)]
    sparse: Vec<SparseEntry>,
}

/// A map in which no key is there twice.
fn names_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u16, String>, D::Error> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = BTreeMap<u16, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of ids and block names, such as {\"0\": \"air\"}")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names = BTreeMap::new();
            while let Some((id, name)) = map.next_entry::<u16, String>()? {
                // As everywhere in the world, blocks of the game itself go without its name.
                let name = name.strip_prefix("minecraft:").map(str::to_owned).unwrap_or(name);
                if !is_block_name(&name) {
                    return Err(de::Error::custom(format!("id {id} is called {name:?}, which is not a block name")));
                }
                if names.insert(id, name).is_some() {
                    return Err(de::Error::custom(format!("id {id} is named twice")));
                }
            }
            Ok(names)
        }
    }
    deserializer.deserialize_map(Names)
}

/// The header of an array of `'<u2'` in C order, shape `[Y, Z, X]`, as NumPy writes it: a multiple of 64 bytes.
pub fn header(shape: [usize; 3]) -> Vec<u8> {
    header_of("<u2", shape)
}

fn header_of(descr: &str, shape: [usize; 3]) -> Vec<u8> {
    let [y, z, x] = shape;
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({y}, {z}, {x}), }}");
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text.push_str(&" ".repeat(unpadded.next_multiple_of(ALIGN) - unpadded));
    text.push('\n');
    let mut bytes = [&MAGIC[..], &[1, 0], &(text.len() as u16).to_le_bytes()].concat();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Writes the voxels of a box as a `.npy` array of registry ids with the shape (Y, Z, X). Gives the sparse data in the
/// box, for [`write_sidecar`]. Takes memory for at most 32 layers or 256 MiB, and asks `source` for chunks in rows.
pub fn write_array(within: VoxelBox, source: &Source<'_>, out: &mut impl Write) -> Result<Vec<SparseEntry>, NpyError> {
    let [x, y, z] = within.size();
    let slabs = slabs(within)?;
    out.write_all(&header([y, z, x]))?;
    let mut sparse = Vec::new();
    for slab in slabs {
        out.write_all(&slab_bytes(slab, source, &mut sparse)?)?;
    }
    out.flush()?;
    sparse.sort_by_key(|(at, _)| *at);
    Ok(sparse.into_iter().map(|(at, data)| SparseEntry { at: at.to_array(), data: base64(&data) }).collect())
}

/// A box in slabs of as many layers as are put together at once, from below. A slab never crosses a border between
/// chunks, so that every chunk is asked for as seldom as can be.
fn slabs(within: VoxelBox) -> Result<Vec<VoxelBox>, NpyError> {
    let [x, _, z] = within.size();
    let layer = x.saturating_mul(z);
    if layer > LAYER_VOXELS_MAX {
        return Err(NpyError::Wide { voxels: layer });
    }
    let layers_at_once = (LAYER_VOXELS_MAX / layer).clamp(1, CHUNK_EDGE) as i32;
    let mut slabs = Vec::new();
    let mut from = within.min()[1];
    while from < within.max()[1] {
        let border = (from.div_euclid(CHUNK_EDGE as i32) + 1) * CHUNK_EDGE as i32;
        let to = within.max()[1].min(border).min(from + layers_at_once);
        let slab = VoxelBox::new([within.min()[0], from, within.min()[2]], [within.max()[0], to, within.max()[2]]);
        slabs.push(slab.expect("a part of a box is a box"));
        from = to;
    }
    Ok(slabs)
}

/// Values of the voxels of a chunk, in local-index order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkValues {
    /// One byte each.
    Bytes(Box<[u8; CHUNK_VOXELS]>),
    /// Two bytes each.
    Shorts(Box<[u16; CHUNK_VOXELS]>),
    /// Four bytes each.
    Words(Box<[u32; CHUNK_VOXELS]>),
}

/// What an element of an array is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// `|u1`
    U8,
    /// `<u2`
    U16,
    /// `<u4`
    U32,
}

impl Element {
    /// Its name in NumPy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
        }
    }

    const fn descr(self) -> &'static str {
        match self {
            Self::U8 => "|u1",
            Self::U16 => "<u2",
            Self::U32 => "<u4",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

/// Gives the values of some chunks, in their order, or says why there are none. It is asked for chunks that lie close
/// together, 16 at most.
pub type Values<'a> = dyn FnMut(&[ChunkPos]) -> Result<Vec<ChunkValues>, SourceError> + 'a;

/// Writes values of the voxels of a box as a `.npy` array with the shape (Y, Z, X). Takes memory for as many voxels at once as [`write_array`]: 512 MiB at most.
///
/// # Panics
/// If `values` gives too few, or those of the other width.
pub fn write_values(
    within: VoxelBox,
    element: Element,
    values: &mut Values<'_>,
    out: &mut impl Write,
) -> Result<(), NpyError> {
    let [x, y, z] = within.size();
    let slabs = slabs(within)?;
    out.write_all(&header_of(element.descr(), [y, z, x]))?;
    for slab in slabs {
        out.write_all(&slab_values(slab, element, values)?)?;
    }
    out.flush()?;
    Ok(())
}

fn slab_values(slab: VoxelBox, element: Element, values: &mut Values<'_>) -> Result<Vec<u8>, NpyError> {
    let [width, height, depth] = slab.size();
    let mut bytes = vec![0; width * height * depth * element.bytes()];
    let mut groups: BTreeMap<_, Vec<ChunkPos>> = BTreeMap::new();
    slab.chunks().for_each(|pos| groups.entry(pos.column()).or_default().push(pos));
    for group in groups.into_values() {
        let found = values(&group).map_err(NpyError::Values)?;
        assert_eq!(found.len(), group.len(), "as many as were asked for");
        for (pos, values) in group.into_iter().zip(found) {
            put_values(slab, pos, &values, &mut bytes);
        }
    }
    Ok(bytes)
}

/// Puts the values of a chunk where they belong in a slab.
fn put_values(slab: VoxelBox, pos: ChunkPos, values: &ChunkValues, bytes: &mut [u8]) {
    let [width, _, depth] = slab.size();
    let [x, y, z] = ranges(slab.min(), slab.size(), pos);
    for (row_y, row_z) in (0..y.2).flat_map(|row_y| (0..z.2).map(move |row_z| (row_y, row_z))) {
        let to = ((y.0 + row_y) * depth + z.0 + row_z) * width + x.0;
        let from = LocalIndex::from_xyz(x.1, y.1 + row_y, z.1 + row_z).index();
        match values {
            ChunkValues::Bytes(values) => bytes[to..to + x.2].copy_from_slice(&values[from..from + x.2]),
            ChunkValues::Shorts(values) => {
                let row = bytes[to * 2..(to + x.2) * 2].chunks_exact_mut(2);
                row.zip(&values[from..from + x.2]).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
            }
            ChunkValues::Words(values) => {
                let row = bytes[to * 4..(to + x.2) * 4].chunks_exact_mut(4);
                row.zip(&values[from..from + x.2]).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
            }
        }
    }
}

type SparseAt = Vec<(VoxelPos, Arc<[u8]>)>;

/// The bytes of a box that lies in one layer of chunks.
fn slab_bytes(slab: VoxelBox, source: &Source<'_>, sparse: &mut SparseAt) -> Result<Vec<u8>, NpyError> {
    let [width, height, depth] = slab.size();
    let mut bytes = vec![0; width * height * depth * 2];
    let mut blocks = new_blocks();
    for pos in slab.chunks() {
        let Some(chunk) = source(pos).map_err(|error| NpyError::Source { pos, error })? else { continue };
        sparse
            .extend(clipped(pos, &chunk, slab, &mut blocks).into_iter().map(|(local, data)| (pos.voxel(local), data)));
        let [x, y, z] = ranges(slab.min(), slab.size(), pos);
        for (row_y, row_z) in (0..y.2).flat_map(|row_y| (0..z.2).map(move |row_z| (row_y, row_z))) {
            let to = (((y.0 + row_y) * depth + z.0 + row_z) * width + x.0) * 2;
            let from = LocalIndex::from_xyz(x.1, y.1 + row_y, z.1 + row_z).index();
            for (pair, block) in bytes[to..to + x.2 * 2].chunks_exact_mut(2).zip(&blocks[from..from + x.2]) {
                pair.copy_from_slice(&block.0.to_le_bytes());
            }
        }
    }
    Ok(bytes)
}

fn ranges(origin: [i32; 3], size: [usize; 3], pos: ChunkPos) -> [(usize, usize, usize); 3] {
    [0, 1, 2].map(|axis| overlap(i64::from(origin[axis]), size[axis], pos.to_array()[axis]))
}

/// Writes the `.json` that belongs to an array: every id of the registry with its name, which of them are solid and
/// which anchored, where the array lies, and `about`. `sparse` comes from [`write_array`] and is left out if empty;
/// `computed` belongs to [`write_values`].
pub fn write_sidecar(
    within: VoxelBox,
    registry: &Registry,
    about: About<'_>,
    sparse: &[SparseEntry],
    computed: Option<&Computed<'_>>,
    out: &mut impl Write,
) -> io::Result<()> {
    let ids = |wanted: fn(&terrane_world::block::BlockRule) -> bool| {
        registry.iter().filter(|(_, _, rule)| wanted(rule)).map(|(id, ..)| id.0).collect()
    };
    let sidecar = SidecarOut {
        origin: within.min(),
        axes: "yzx",
        computed,
        blocks: NamesOut(registry),
        solid: ids(|rule| rule.solid),
        anchored: ids(|rule| rule.anchored),
        seed: about.seed,
        generator: about.generator,
        version: about.version,
        digest: about.digest,
        sparse,
    };
    serde_json::to_writer(&mut *out, &sidecar)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A file's bytes with its name for messages.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// As the user knows it.
    pub name: &'a str,
    /// All of it.
    pub bytes: &'a [u8],
}

/// Reads an array and its `.json`. It lands at its own origin plus `shift`, in voxels. Ids are translated by name, so
/// the array may come from another world.
pub fn read(array: Named<'_>, json: Named<'_>, shift: [i32; 3]) -> Result<ImportedFile, NpyError> {
    let sidecar = read_sidecar(json)?;
    let (shape, data) = read_header(array)?;
    let within = placed(array.name, sidecar.origin, shape, shift)?;
    let (names, number_of) = used_names(array.name, shape, data, &sidecar)?;
    let positions: Vec<ChunkPos> = within.chunks().collect();
    let mut chunks: Vec<ImportedChunk> = positions
        .into_par_iter()
        .map_init(new_blocks, |blocks, pos| {
            blocks.fill(NOT_SAID);
            let [x, y, z] = ranges(within.min(), within.size(), pos);
            for (row_y, row_z) in (0..y.2).flat_map(|row_y| (0..z.2).map(move |row_z| (row_y, row_z))) {
                let from = ((y.0 + row_y) * shape[1] + z.0 + row_z) * shape[2] + x.0;
                let to = LocalIndex::from_xyz(x.1, y.1 + row_y, z.1 + row_z).index();
                let row = data[from * 2..(from + x.2) * 2].chunks_exact(2);
                for (block, pair) in blocks[to..to + x.2].iter_mut().zip(row) {
                    *block = number_of[usize::from(u16::from_le_bytes([pair[0], pair[1]]))];
                }
            }
            ImportedChunk { pos, content: Chunk::from_blocks(blocks) }
        })
        .collect();
    let counts = Counts { block_entities: sidecar.sparse.len(), ..Counts::default() };
    put_sparse(&mut chunks, &sidecar.sparse, shift, within, json.name)?;
    Ok(ImportedFile { chunks, names, problems: Vec::new(), counts })
}

fn read_sidecar(json: Named<'_>) -> Result<SidecarIn, NpyError> {
    let wrong = |problem: String| NpyError::Json { file: json.name.to_owned(), problem };
    let sidecar: SidecarIn = serde_json::from_slice(json.bytes).map_err(|error| wrong(error.to_string()))?;
    if sidecar.axes != "yzx" {
        return Err(wrong(format!("\"axes\" is {:?}, and only \"yzx\" can be read", sidecar.axes)));
    }
    Ok(sidecar)
}

fn placed(file: &str, origin: [i32; 3], shape: [usize; 3], shift: [i32; 3]) -> Result<VoxelBox, NpyError> {
    let size = [shape[2], shape[0], shape[1]];
    let space = |error| NpyError::Space { file: file.to_owned(), error };
    let wide = |axis: usize| i64::from(origin[axis]) + i64::from(shift[axis]);
    let [x, y, z] = [0, 1, 2].map(wide);
    let min = VoxelPos::from_i64(x, y, z).map_err(space)?.to_array();
    let last = [0, 1, 2].map(|axis| wide(axis).saturating_add(i64::try_from(size[axis]).unwrap_or(i64::MAX) - 1));
    let last = VoxelPos::from_i64(last[0], last[1], last[2]).map_err(space)?.to_array();
    VoxelBox::new(min, last.map(|v| v + 1)).map_err(space)
}

/// The names that the array uses, sorted, and the file's number of every raw id.
fn used_names(
    file: &str,
    shape: [usize; 3],
    data: &[u8],
    sidecar: &SidecarIn,
) -> Result<(Vec<String>, Vec<BlockId>), NpyError> {
    let mut used = vec![false; 1 << 16];
    for pair in data.chunks_exact(2) {
        used[usize::from(u16::from_le_bytes([pair[0], pair[1]]))] = true;
    }
    if let Some(id) = (0..=u16::MAX).find(|id| used[usize::from(*id)] && !sidecar.blocks.contains_key(id)) {
        let at = data.chunks_exact(2).position(|pair| u16::from_le_bytes([pair[0], pair[1]]) == id).unwrap_or(0);
        let (y, z, x) = (at / shape[2] / shape[1], at / shape[2] % shape[1], at % shape[2]);
        return Err(NpyError::Id { file: file.to_owned(), y, z, x, id });
    }
    let named = sidecar.blocks.iter().filter(|(id, _)| used[usize::from(**id)]);
    let names: BTreeSet<&String> = named.clone().map(|(_, name)| name).collect();
    if names.len() > NAMES_MAX {
        let problem = format!("it uses {} different blocks, and {NAMES_MAX} is the most", names.len());
        return Err(NpyError::Json { file: file.to_owned(), problem });
    }
    let numbers: HashMap<&String, u16> = names.iter().enumerate().map(|(n, name)| (*name, n as u16)).collect();
    let mut number_of = vec![NOT_SAID; 1 << 16];
    for (id, name) in named {
        number_of[usize::from(*id)] = BlockId(numbers[name]);
    }
    Ok((names.into_iter().cloned().collect(), number_of))
}

fn put_sparse(
    chunks: &mut [ImportedChunk],
    sparse: &[SparseEntry],
    shift: [i32; 3],
    within: VoxelBox,
    file: &str,
) -> Result<(), NpyError> {
    for (number, entry) in sparse.iter().enumerate() {
        let wrong = |problem: String| {
            let problem = format!("entry {number} of \"sparse\", at {:?}, {problem}", entry.at);
            NpyError::Json { file: file.to_owned(), problem }
        };
        let [x, y, z] = [0, 1, 2].map(|axis| i64::from(entry.at[axis]) + i64::from(shift[axis]));
        let pos = VoxelPos::from_i64(x, y, z).map_err(|error| wrong(error.to_string()))?;
        let inside = (0..3).all(|axis| (within.min()[axis]..within.max()[axis]).contains(&pos.to_array()[axis]));
        let chunk = chunks.binary_search_by_key(&pos.chunk(), |chunk| chunk.pos).ok().filter(|_| inside);
        let chunk = &mut chunks[chunk.ok_or_else(|| wrong("lies outside the array".to_owned()))?];
        let data = from_base64(&entry.data).ok_or_else(|| wrong("is not base 64".to_owned()))?;
        let old = chunk.content.set_sparse(pos.local(), Some(data.into())).map_err(|error| wrong(error.to_string()))?;
        if old.is_some() {
            return Err(wrong("is there twice".to_owned()));
        }
    }
    Ok(())
}

/// The shape (Y, Z, X) and the data of a `.npy` file.
fn read_header(array: Named<'_>) -> Result<([usize; 3], &[u8]), NpyError> {
    let wrong = |problem: &str| NpyError::Header { file: array.name.to_owned(), problem: problem.to_owned() };
    let bytes = array.bytes;
    if !bytes.starts_with(MAGIC) || bytes.len() < 10 {
        return Err(wrong("it does not begin as a .npy file does"));
    }
    let (length, start) = match (bytes[6], bytes[7]) {
        (1, 0) => (usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), 10),
        (2 | 3, 0) if bytes.len() >= 12 => {
            (u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize, 12)
        }
        _ => return Err(wrong("its version is not 1.0, 2.0 or 3.0")),
    };
    let text = bytes[start..].get(..length).ok_or_else(|| wrong("it is cut short"))?;
    let data = &bytes[start + length..];
    let text = std::str::from_utf8(text).map_err(|_| wrong("it is not text"))?;
    let shape = parse_header(text).map_err(|problem| wrong(&problem))?;
    let expected = shape.iter().map(|&n| n as u128).product::<u128>().saturating_mul(2);
    if expected != data.len() as u128 {
        return Err(NpyError::Length { file: array.name.to_owned(), shape, expected, found: data.len() });
    }
    Ok((shape, data))
}

/// Reads the Python dictionary of a header: the three keys in any order, once each, and nothing else.
fn parse_header(text: &str) -> Result<[usize; 3], String> {
    let mut rest = text;
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    expect(&mut rest, "{")?;
    loop {
        if expect(&mut rest, "}").is_ok() {
            break;
        }
        let key = quoted(&mut rest)?;
        expect(&mut rest, ":")?;
        let twice = match key {
            "descr" => descr.replace(quoted(&mut rest)?).is_some(),
            "fortran_order" => fortran.replace(boolean(&mut rest)?).is_some(),
            "shape" => shape.replace(tuple(&mut rest)?).is_some(),
            other => return Err(format!("it has an unknown key {other:?}")),
        };
        if twice {
            return Err(format!("it has the key {key:?} twice"));
        }
        if expect(&mut rest, ",").is_err() {
            expect(&mut rest, "}")?;
            break;
        }
    }
    if !rest.trim().is_empty() {
        return Err("something follows its dictionary".to_owned());
    }
    if descr != Some("<u2") {
        return Err(format!("its type is {}, not '<u2'", descr.unwrap_or("missing")));
    }
    if fortran != Some(false) {
        return Err("it is in Fortran order, or does not say: use numpy.ascontiguousarray before saving".to_owned());
    }
    let shape: Vec<usize> = shape.ok_or("it has no shape")?;
    let wrong = format!("its shape has {} axes, not 3", shape.len());
    let shape: [usize; 3] = shape.try_into().map_err(|_| wrong)?;
    if shape.contains(&0) { Err("it holds no voxels".to_owned()) } else { Ok(shape) }
}

fn expect(rest: &mut &str, token: &str) -> Result<(), String> {
    *rest = rest.trim_start();
    *rest = rest.strip_prefix(token).ok_or_else(|| format!("{token:?} was expected at {:?}", excerpt(rest)))?;
    Ok(())
}

fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(24)]
}

fn quoted<'a>(rest: &mut &'a str) -> Result<&'a str, String> {
    *rest = rest.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let quote = quote.ok_or_else(|| format!("a quoted text was expected at {:?}", excerpt(rest)))?;
    let (text, after) = rest[1..].split_once(quote).ok_or("a quoted text does not end")?;
    *rest = after;
    Ok(text)
}

fn boolean(rest: &mut &str) -> Result<bool, String> {
    match expect(rest, "False") {
        Ok(()) => Ok(false),
        Err(_) => expect(rest, "True").map(|()| true),
    }
}

fn tuple(rest: &mut &str) -> Result<Vec<usize>, String> {
    expect(rest, "(")?;
    let (inside, after) = rest.split_once(')').ok_or("its shape does not end")?;
    *rest = after;
    let inside = inside.trim();
    let inside = inside.strip_suffix(',').unwrap_or(inside);
    let number = |part: &str| part.trim().parse::<usize>().map_err(|_| format!("its shape has {part:?} for a number"));
    inside.split(',').map(number).collect()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for group in data.chunks(3) {
        let value = group.iter().fold(0u32, |v, &b| v << 8 | u32::from(b)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (value >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= group.len() { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) || text.len() / 4 * 3 > SPARSE_BYTES_MAX + 3 {
        return None;
    }
    let value = |digit: u8| DIGITS.iter().position(|&d| d == digit).map(|v| v as u32);
    let mut data = Vec::with_capacity(text.len() / 4 * 3);
    for (n, group) in text.chunks(4).enumerate() {
        let padding = group.iter().rev().take_while(|&&b| b == b'=').count();
        if padding > 2 || padding > 0 && (n + 1) * 4 != text.len() {
            return None;
        }
        let digits = group[..4 - padding].iter().try_fold(0u32, |v, &digit| Some(v << 6 | value(digit)?))?;
        let bytes = (digits << (6 * padding)).to_be_bytes();
        data.extend_from_slice(&bytes[1..4 - padding]);
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_numpys_own_byte_for_byte() {
        // numpy.save of numpy.zeros((3, 20, 100), "<u2"), NumPy 2.4.
        let golden = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<u2', 'fortran_order': False, 'shape': (3, 20, 100), }";
        let bytes = header([3, 20, 100]);
        assert_eq!(bytes.len(), 128);
        assert_eq!(&bytes[..golden.len()], golden);
        assert!(bytes[golden.len()..127].iter().all(|&b| b == b' '));
        assert_eq!(bytes[127], b'\n');
    }

    #[test]
    fn headers_are_read_strictly_but_with_any_white_space() {
        let good = [
            "{'descr': '<u2', 'fortran_order': False, 'shape': (1, 2, 3), }   \n",
            "{\"shape\":(1,2,3),\"fortran_order\":False,\"descr\":\"<u2\"}",
            " { 'descr' :\n'<u2' , 'shape' : ( 1 , 2 , 3 , ) , 'fortran_order' : False } ",
        ];
        for text in good {
            assert_eq!(parse_header(text), Ok([1, 2, 3]), "{text}");
        }
        for (text, problem) in [
            ("{'descr': '>u2', 'fortran_order': False, 'shape': (1, 2, 3), }", "'<u2'"),
            ("{'descr': '<u2', 'fortran_order': True, 'shape': (1, 2, 3), }", "Fortran"),
            ("{'descr': '<u2', 'fortran_order': False, 'shape': (6,), }", "1 axes"),
            ("{'descr': '<u2', 'fortran_order': False, 'shape': (), }", "for a number"),
            ("{'descr': '<u2', 'fortran_order': False, 'shape': (1, 0, 3), }", "no voxels"),
            ("{'descr': '<u2', 'fortran_order': False, 'shape': (1, -2, 3), }", "for a number"),
            ("{'descr': '<u2', 'fortran_order': False}", "no shape"),
            ("{'descr': '<u2', 'descr': '<u2'}", "twice"),
            ("{'descr': [('a', '<u2')]}", "quoted"),
            ("{'other': 1}", "unknown key"),
            ("{'descr': '<u2', 'fortran_order': False, 'shape': (1, 2, 3)} x", "follows"),
            ("", "expected"),
        ] {
            let error = parse_header(text).expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn base64_round_trips_and_refuses_what_it_would_not_write() {
        for length in 0..70u8 {
            let data: Vec<u8> = (0..length).map(|n| n.wrapping_mul(73) ^ 0xa5).collect();
            assert_eq!(from_base64(&base64(&data)), Some(data));
        }
        assert_eq!(base64(b"terrane!"), "dGVycmFuZSE=");
        for bad in ["a", "====", "ab=c", "a===", "ab==abcd", "ab c"] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
    }
}
