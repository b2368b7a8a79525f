//! Chunks to region files in the layout of Minecraft 1.21.1.

use super::column::{SECTION_VOXELS, index_bits};
use super::container::{EDGE, EXTERNAL, HEADER, RegionXZ, SECTOR, SECTORS_MAX, ZLIB};
use super::nbt::{self, COMPOUND, STRING, Writer};
use crate::volume::{Source, SourceError, clipped};
use flate2::{Compression, write::ZlibEncoder};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Blocks, new_blocks};
use terrane_world::limits::CHUNK_EDGE;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox};

/// The data version of Minecraft 1.21.1, whose layout is written.
pub const DATA_VERSION: i32 = 3955;

/// The block entity that carries sparse data of another kind than Minecraft's through a region file.
pub(crate) const OPAQUE_ID: &str = "terrane:opaque";
/// Zlib's own default, a good trade of time for size.
const ZLIB_LEVEL: u32 = 6;

/// Why an export of regions failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A chunk could not be had.
    #[error("chunk {pos} can't be read for the export: {error}")]
    Source {
        /// Which.
        pos: ChunkPos,
        /// Why.
        error: SourceError,
    },
    /// A chunk names a block that the registry does not have.
    #[error("chunk {pos} holds block id {id}, which the world's registry does not have: the world is damaged there")]
    Unknown {
        /// Which chunk.
        pos: ChunkPos,
        /// Which id.
        id: u16,
    },
    /// The caller could not write a file.
    #[error("{file} can't be written: {error}")]
    Output {
        /// Which.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// A column is larger than the format can name.
    #[error(
        "chunk column {x},{z} has {bytes} bytes of block entities, {} is the most: choose a smaller box",
        super::COLUMN_BYTES_MAX
    )]
    Column {
        /// East, in Anvil chunks.
        x: i32,
        /// South, in Anvil chunks.
        z: i32,
        /// Bytes uncompressed.
        bytes: usize,
    },
}

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Files, `.mcc` included.
    pub files: usize,
    /// Chunk columns of 16×16 voxels.
    pub columns: usize,
    /// Sections of 16×16×16 voxels.
    pub sections: usize,
    /// Block entities, opaque ones included.
    pub block_entities: usize,
}

/// Writes the chunks at `positions` that `within` touches (those that `source` has) as region files, each given to `out`
/// with its name: `r.X.Z.mca`, and `c.X.Z.mcc` for a column too large for its region file.
///
/// Every section of such a chunk is written, so that importing the files gives the same set of chunks. Voxels outside
/// `within` are written as air and their sparse data is left out. Runs in the rayon pool that this is called in; the
/// bytes do not depend on the number of threads.
pub fn write_regions(
    registry: &Registry,
    positions: &[ChunkPos],
    within: VoxelBox,
    source: &Source<'_>,
    out: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
) -> Result<Exported, ExportError> {
    let mut regions: BTreeMap<RegionXZ, BTreeMap<(i32, i32), Vec<ChunkPos>>> = BTreeMap::new();
    for &pos in positions.iter().filter(|pos| within.intersection(pos.voxel_box()).is_some()) {
        let region = RegionXZ::of_column(pos.x() * 2, pos.z() * 2);
        regions.entry(region).or_default().entry((pos.x(), pos.z())).or_default().push(pos);
    }
    let context = Context { entries: palette_entries(registry), within, source };
    let mut exported = Exported::default();
    for (region, squares) in regions {
        let squares: Vec<Vec<ChunkPos>> = squares.into_values().collect();
        let columns = squares.par_iter().map(|square| context.square(square)).collect::<Result<Vec<_>, _>>()?;
        let mut columns: Vec<Packed> = columns.into_iter().flatten().collect();
        columns.sort_by_key(Packed::slot);
        let mut put = |name: String, bytes: &[u8]| {
            exported.files += 1;
            out(&name, bytes).map_err(|error| ExportError::Output { file: name, error })
        };
        for column in columns.iter().filter(|column| column.is_external()) {
            put(format!("c.{}.{}.mcc", column.x, column.z), &column.bytes)?;
        }
        if !columns.is_empty() {
            put(region.file_name(), &region_bytes(&columns))?;
        }
        exported.columns += columns.len();
        exported.sections += columns.iter().map(|column| column.sections).sum::<usize>();
        exported.block_entities += columns.iter().map(|column| column.block_entities).sum::<usize>();
    }
    Ok(exported)
}

/// One column, compressed.
struct Packed {
    x: i32,
    z: i32,
    bytes: Vec<u8>,
    sections: usize,
    block_entities: usize,
}

impl Packed {
    fn slot(&self) -> usize {
        (self.x & 31) as usize + (self.z & 31) as usize * EDGE
    }

    fn sectors(&self) -> usize {
        (self.bytes.len() + 5).div_ceil(SECTOR)
    }

    fn is_external(&self) -> bool {
        self.sectors() > SECTORS_MAX
    }
}

fn region_bytes(columns: &[Packed]) -> Vec<u8> {
    let mut file = vec![0; HEADER];
    for column in columns {
        let external = column.is_external();
        let (compression, bytes) = if external { (ZLIB | EXTERNAL, &[][..]) } else { (ZLIB, &column.bytes[..]) };
        let (first, sectors) = (file.len() / SECTOR, if external { 1 } else { column.sectors() });
        let entry = (first as u32) << 8 | sectors as u32;
        file[column.slot() * 4..column.slot() * 4 + 4].copy_from_slice(&entry.to_be_bytes());
        file.extend_from_slice(&(bytes.len() as u32 + 1).to_be_bytes());
        file.push(compression);
        file.extend_from_slice(bytes);
        file.resize((first + sectors) * SECTOR, 0);
    }
    file
}

/// The palette entry of every block, as an NBT compound without a name.
fn palette_entries(registry: &Registry) -> Vec<Vec<u8>> {
    registry.names().iter().map(|name| palette_entry(name)).collect()
}

fn palette_entry(name: &str) -> Vec<u8> {
    let (base, states) = name.split_once('[').map_or((name, ""), |(base, rest)| (base, rest.trim_end_matches(']')));
    let space = if base.contains(':') { "" } else { "minecraft:" };
    let mut entry = Writer::new();
    entry.string("Name", &format!("{space}{base}"));
    if !states.is_empty() {
        entry.compound("Properties");
        for (key, value) in states.split(',').filter_map(|state| state.split_once('=')) {
            entry.string(key, value);
        }
        entry.end();
    }
    entry.finish().split_off(ROOT_HEAD)
}

/// Bytes of a nameless root's type and name.
const ROOT_HEAD: usize = 3;

struct Context<'a> {
    entries: Vec<Vec<u8>>,
    within: VoxelBox,
    source: &'a Source<'a>,
}

/// A chunk with what the box leaves of it.
struct Loaded {
    pos: ChunkPos,
    blocks: Box<Blocks>,
    sparse: Vec<(LocalIndex, Arc<[u8]>)>,
}

impl Context<'_> {
    /// The four columns over one square of chunks.
    fn square(&self, positions: &[ChunkPos]) -> Result<Vec<Packed>, ExportError> {
        let mut chunks = Vec::new();
        for &pos in positions {
            let Some(chunk) = (self.source)(pos).map_err(|error| ExportError::Source { pos, error })? else { continue };
            let mut blocks = new_blocks();
            let sparse = clipped(pos, &chunk, self.within, &mut blocks);
            if let Some(id) = blocks.iter().find(|id| usize::from(id.0) >= self.entries.len()) {
                return Err(ExportError::Unknown { pos, id: id.0 });
            }
            chunks.push(Loaded { pos, blocks, sparse });
        }
        chunks.sort_by_key(|chunk| chunk.pos);
        let Some(square) = chunks.first().map(|chunk| (chunk.pos.x(), chunk.pos.z())) else { return Ok(Vec::new()) };
        let corners = [(0, 0), (1, 0), (0, 1), (1, 1)];
        corners.iter().map(|(dx, dz)| self.column(square.0 * 2 + dx, square.1 * 2 + dz, &chunks)).collect()
    }

    fn column(&self, x: i32, z: i32, chunks: &[Loaded]) -> Result<Packed, ExportError> {
        let mut nbt = Writer::new();
        nbt.int("DataVersion", DATA_VERSION);
        nbt.int("xPos", x);
        nbt.int("yPos", chunks.first().map_or(0, |chunk| chunk.pos.y() * 2));
        nbt.int("zPos", z);
        nbt.string("Status", "minecraft:full");
        nbt.long("LastUpdate", 0);
        nbt.long("InhabitedTime", 0);
        nbt.byte("isLightOn", 0);
        nbt.list("sections", COMPOUND, chunks.len() * 2);
        for chunk in chunks {
            for half in 0..2 {
                self.section(&mut nbt, chunk, [(x & 1) as usize, half, (z & 1) as usize]);
            }
        }
        let block_entities = write_block_entities(&mut nbt, x, z, chunks);
        for list in ["block_ticks", "fluid_ticks", "PostProcessing"] {
            nbt.list(list, COMPOUND, 0);
        }
        nbt.compound("structures");
        nbt.compound("References");
        nbt.end();
        nbt.compound("starts");
        nbt.end();
        nbt.end();
        let document = nbt.finish();
        if document.len() > super::COLUMN_BYTES_MAX {
            return Err(ExportError::Column { x, z, bytes: document.len() });
        }
        Ok(Packed { x, z, bytes: compress(&document), sections: chunks.len() * 2, block_entities })
    }

    /// One eighth of a chunk: `half` counts sections along x, y and z.
    fn section(&self, nbt: &mut Writer, chunk: &Loaded, half: [usize; 3]) {
        let mut palette: Vec<BlockId> = Vec::new();
        let mut entry_of: HashMap<BlockId, u16> = HashMap::new();
        let mut indexes = [0u16; SECTION_VOXELS];
        let mut last = None;
        for (voxel, index) in indexes.iter_mut().enumerate() {
            let (x, y, z) = (voxel & 15 | half[0] << 4, voxel >> 8 | half[1] << 4, voxel >> 4 & 15 | half[2] << 4);
            let block = chunk.blocks[LocalIndex::from_xyz(x, y, z).index()];
            *index = match last {
                Some((last, entry)) if last == block => entry,
                _ => *entry_of.entry(block).or_insert_with(|| {
                    palette.push(block);
                    palette.len() as u16 - 1
                }),
            };
            last = Some((block, *index));
        }
        nbt.byte("Y", (chunk.pos.y() * 2 + half[1] as i32) as i8);
        nbt.compound("block_states");
        nbt.list("palette", COMPOUND, palette.len());
        for block in &palette {
            nbt.raw(&self.entries[usize::from(block.0)]);
        }
        if palette.len() > 1 {
            nbt.longs("data", &packed(&indexes, index_bits(palette.len())));
        }
        nbt.end();
        nbt.compound("biomes");
        nbt.list("palette", STRING, 1);
        nbt.item_string("minecraft:plains");
        nbt.end();
        nbt.end();
    }
}

/// Indexes in longs, none spanning two.
fn packed(indexes: &[u16; SECTION_VOXELS], bits: usize) -> Vec<u64> {
    indexes
        .chunks(64 / bits)
        .map(|group| group.iter().rev().fold(0, |long, &index| long << bits | u64::from(index)))
        .collect()
}

fn write_block_entities(nbt: &mut Writer, x: i32, z: i32, chunks: &[Loaded]) -> usize {
    let edge = CHUNK_EDGE / 2;
    let here = |local: &LocalIndex| (local.x() / edge, local.z() / edge) == ((x & 1) as usize, (z & 1) as usize);
    let entries: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| chunk.sparse.iter().map(move |(local, data)| (chunk.pos, local, data)))
        .filter(|(_, local, _)| here(local))
        .collect();
    nbt.list("block_entities", COMPOUND, entries.len());
    for (pos, local, data) in &entries {
        let at = pos.voxel(**local);
        nbt.int("x", at.x());
        nbt.int("y", at.y());
        nbt.int("z", at.z());
        match own_fields(data) {
            Some(fields) => nbt.raw(fields),
            None => {
                nbt.string("id", OPAQUE_ID);
                nbt.bytes("data", data);
                nbt.end();
            }
        }
    }
    entries.len()
}

/// The fields (with their end) of sparse data that an import made; `None` for data of another kind.
fn own_fields(data: &[u8]) -> Option<&[u8]> {
    let root = nbt::root(data).ok()?;
    let own = nbt::canonical(root, &["x", "y", "z"]) == data && nbt::opaque(root).is_none();
    if own { data.get(ROOT_HEAD..) } else { None }
}

fn compress(document: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(ZLIB_LEVEL));
    encoder.write_all(document).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}
