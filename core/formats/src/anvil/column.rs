//! One chunk column: from its NBT document to sections over names, in the layouts of 1.13 to 1.21.
//!
//! The layout is told from the structure, not from the version number: before 1.18 everything lies in `Level` and a
//! section has `Palette` and `BlockStates`; from 1.18 it lies at the root and a section has `block_states`; the
//! snapshots between mix the two, and are read as well.

use super::nbt::{self, INT_ARRAY, LONG_ARRAY, Node};
use crate::volume::{Counts, Problems};
use std::collections::{BTreeMap, HashMap};
use terrane_world::block::is_block_name;
use terrane_world::limits::{BLOCK_NAME_BYTES_MAX, SPARSE_BYTES_MAX};

/// Voxels of a section.
pub(crate) const SECTION_VOXELS: usize = 4096;
/// Most sections of a column: their number is one signed byte.
const SECTIONS_MAX: usize = 256;
/// Most palette entries of a section: more could not be numbered in 16 bits. Vanilla has 4,096 at most.
const PALETTE_MAX: usize = 1 << 16;
/// Bytes of a block entity that are not its data: x, y, z, and what wraps data of another kind.
const WRAPPING_BYTES: usize = 128;
/// A palette entry that no voxel uses.
pub(crate) const UNUSED: u32 = u32::MAX;

/// Why a chunk column can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ColumnError {
    /// The document is not NBT.
    #[error("its data is damaged: {0}")]
    Nbt(#[from] nbt::NbtError),
    /// It comes from before 1.13.
    #[error("it is older than Minecraft 1.13: open the world once in 1.13 or later, and import it then")]
    TooOld,
    /// It claims too many sections.
    #[error("it has {0} sections, {SECTIONS_MAX} is the most")]
    Sections(usize),
}

/// Why one section can't be read. The others of its column are.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    /// The palette and the indexes don't come together.
    #[error("its palette of {palette} blocks needs indexes, and there are none")]
    NoIndexes {
        /// Entries.
        palette: usize,
    },
    /// There are indexes and no palette.
    #[error("it has block data but no palette")]
    NoPalette,
    /// The palette is empty or too long.
    #[error("its palette has {0} entries; 1 to {PALETTE_MAX} can be read")]
    PaletteLength(usize),
    /// The array of indexes has no length that the format knows.
    #[error(
        "its indexes take {found} longs; a palette of {palette} blocks takes {padded} (since 1.16) or {spanning} (before)"
    )]
    IndexLength {
        /// Longs there.
        found: usize,
        /// Entries.
        palette: usize,
        /// Longs when no index spans two.
        padded: usize,
        /// Longs when indexes span.
        spanning: usize,
    },
    /// An index points behind the palette.
    #[error("voxel {voxel} has index {index}, but the palette has {palette} entries")]
    Index {
        /// `x + 16·z + 256·y` in the section.
        voxel: usize,
        /// The index.
        index: u16,
        /// Entries.
        palette: usize,
    },
    /// A palette entry is not a block.
    #[error("palette entry {entry} is {text:?}, which is not a block name of at most {BLOCK_NAME_BYTES_MAX} bytes")]
    Name {
        /// Its number.
        entry: usize,
        /// What it says, cut to the limit.
        text: String,
    },
    /// The section has no number.
    #[error("its number Y is missing or not in -128..=127")]
    Y,
}

/// The blocks of a section, in the order `x + 16·z + 256·y`, over the names of its column.
pub(crate) enum SectionBlocks {
    /// One block throughout.
    Uniform(u32),
    /// Byte indexes into a palette.
    Narrow(Vec<u32>, Box<[u8]>),
    /// Wide indexes into a palette.
    Wide(Vec<u32>, Box<[u16]>),
}

impl SectionBlocks {
    pub(crate) fn palette(&self) -> &[u32] {
        match self {
            Self::Uniform(name) => std::slice::from_ref(name),
            Self::Narrow(palette, _) | Self::Wide(palette, _) => palette,
        }
    }
}

/// Opaque data of one voxel.
pub(crate) struct BlockEntity {
    /// As the file has it, before any shift.
    pub at: [i32; 3],
    /// Canonical NBT without x, y and z.
    pub data: Vec<u8>,
}

/// One column, read.
#[derive(Default)]
pub(crate) struct Column {
    pub x: i32,
    pub z: i32,
    /// Names that voxels use, without order.
    pub names: Vec<String>,
    /// Sections with blocks, ascending.
    pub sections: BTreeMap<i8, SectionBlocks>,
    pub block_entities: Vec<BlockEntity>,
    pub counts: Counts,
    pub problems: Problems,
}

/// What a slot of a region file can hold.
pub(crate) enum Content {
    /// A chunk column.
    Column(Box<Column>),
    /// A document of the `entities` or `poi` folder, which only has things to count.
    Other(Counts),
}

/// Statuses in which no block has been placed yet, without `minecraft:`.
const EMPTY_STATUSES: [&str; 4] = ["empty", "structure_starts", "structure_references", "biomes"];

/// Reads one document.
pub(crate) fn read(document: &[u8], place: &str) -> Result<Content, ColumnError> {
    let root = nbt::root(document)?;
    let body = root.field("Level").filter(|level| level.kind == nbt::COMPOUND).unwrap_or(root);
    let int = |name| body.field(name).and_then(Node::int).and_then(|n| i32::try_from(n).ok());
    let (Some(x), Some(z)) = (int("xPos"), int("zPos")) else {
        return other_folder(root).map(Content::Other);
    };
    let mut column = Column { x, z, ..Column::default() };
    column.counts.columns = 1;
    let mut sections = None;
    for (name, node) in body.fields() {
        match name {
            b"Sections" | b"sections" => sections = Some(node),
            b"TileEntities" | b"block_entities" => block_entities(&mut column, node, place),
            _ => count(&mut column.counts, name, node),
        }
    }
    read_sections(&mut column, sections, place)?;
    let status = body.field("Status").and_then(Node::str).unwrap_or("");
    let status = status.strip_prefix("minecraft:").unwrap_or(status);
    if EMPTY_STATUSES.contains(&status) && only_air(&column) {
        column.sections.clear();
    }
    column.counts.columns_without_blocks = usize::from(column.sections.is_empty());
    column.counts.sections = column.sections.len();
    let status: String = status.chars().take(64).collect();
    column.counts.statuses.insert(if status.is_empty() { "none".to_owned() } else { status }, 1);
    Ok(Content::Column(Box::new(column)))
}

fn only_air(column: &Column) -> bool {
    column.names.iter().all(|name| name == "air")
}

/// Counts what a column has besides blocks.
fn count(counts: &mut Counts, name: &[u8], node: Node<'_>) {
    match name {
        b"Entities" | b"entities" => counts.entities += node.len(),
        b"TileTicks" | b"LiquidTicks" | b"block_ticks" | b"fluid_ticks" => counts.pending_updates += node.len(),
        b"ToBeTicked" | b"LiquidsToBeTicked" | b"PostProcessing" => {
            counts.pending_updates += node.items().map(Node::len).sum::<usize>();
        }
        b"Biomes" => counts.columns_with_biomes = usize::from(has_elements(node)),
        b"Structures" | b"structures" => {
            let starts = node.field("Starts").or_else(|| node.field("starts"));
            let valid = |start: &Node<'_>| start.field("id").and_then(Node::str).is_some_and(|id| id != "INVALID");
            counts.structures += starts.map_or(0, |s| s.fields().filter(|(_, start)| valid(start)).count());
        }
        _ => {}
    }
}

fn has_elements(node: Node<'_>) -> bool {
    let elements = [nbt::BYTE_ARRAY, INT_ARRAY].into_iter().find_map(|kind| node.elements(kind));
    elements.is_some_and(|bytes| !bytes.is_empty())
}

/// A document without coordinates: entities since 1.17, points of interest, or something we don't know.
fn other_folder(root: Node<'_>) -> Result<Counts, ColumnError> {
    let mut counts = Counts::default();
    if let (Some(entities), Some(_)) = (root.field("Entities"), root.field("Position")) {
        counts.entities = entities.len();
        return Ok(counts);
    }
    match root.field("Sections").filter(|s| s.kind == nbt::COMPOUND) {
        Some(sections) => {
            counts.points_of_interest =
                sections.fields().filter_map(|(_, s)| s.field("Records")).map(Node::len).sum::<usize>();
            Ok(counts)
        }
        None => Err(nbt::NbtError::Field { field: "xPos or zPos" }.into()),
    }
}

fn block_entities(column: &mut Column, list: Node<'_>, place: &str) {
    for node in list.items() {
        let int = |name| node.field(name).and_then(Node::int).and_then(|n| i32::try_from(n).ok());
        let (Some(x), Some(y), Some(z)) = (int("x"), int("y"), int("z")) else {
            column.problems.add(place, "a block entity has no position x, y, z; it is not kept");
            continue;
        };
        let place = || format!("{place}, block entity {x},{y},{z}");
        if (x >> 4, z >> 4) != (column.x, column.z) {
            column.problems.add(place(), "it lies outside its chunk column; it is not kept");
        } else if node.bytes.len() > SPARSE_BYTES_MAX + WRAPPING_BYTES {
            let message = format!("it has {} bytes, {SPARSE_BYTES_MAX} is the most; it is not kept", node.bytes.len());
            column.problems.add(place(), message);
        } else {
            let data = nbt::opaque(node).map_or_else(|| nbt::canonical(node, &["x", "y", "z"]), <[u8]>::to_vec);
            column.block_entities.push(BlockEntity { at: [x, y, z], data });
        }
    }
}

fn read_sections(column: &mut Column, sections: Option<Node<'_>>, place: &str) -> Result<(), ColumnError> {
    let Some(sections) = sections else { return Ok(()) };
    if sections.len() > SECTIONS_MAX {
        return Err(ColumnError::Sections(sections.len()));
    }
    let mut names = HashMap::new();
    for (number, node) in sections.items().enumerate() {
        let raw = RawSection::new(node);
        if raw.numeric {
            return Err(ColumnError::TooOld);
        }
        column.counts.columns_with_biomes |= usize::from(raw.biomes);
        let blocks = match raw.blocks(&mut names, &mut column.names) {
            Ok(None) => continue,
            Ok(Some(blocks)) => raw.y.map(|y| (y, blocks)).ok_or(SectionError::Y),
            Err(error) => Err(error),
        };
        let place = || match raw.y {
            Some(y) => format!("{place}, section {y}"),
            None => format!("{place}, section number {number} in its list"),
        };
        match blocks {
            Ok((y, blocks)) => {
                if column.sections.insert(y, blocks).is_some() {
                    column.problems.add(place(), "it is there twice; the later one is imported");
                }
            }
            Err(error) => column.problems.add(place(), error.to_string()),
        }
    }
    Ok(())
}

/// The parts of a section, wherever its layout has them.
#[derive(Default)]
struct RawSection<'a> {
    y: Option<i8>,
    palette: Option<Node<'a>>,
    indexes: Option<&'a [u8]>,
    biomes: bool,
    /// Block numbers of before 1.13.
    numeric: bool,
}

impl<'a> RawSection<'a> {
    fn new(node: Node<'a>) -> Self {
        let mut raw = Self::default();
        for (name, value) in node.fields() {
            match name {
                b"Y" => raw.y = value.int().and_then(|y| i8::try_from(y).ok()),
                b"Palette" => raw.palette = Some(value),
                b"BlockStates" => raw.indexes = value.elements(LONG_ARRAY),
                b"block_states" => {
                    raw.palette = value.field("palette");
                    raw.indexes = value.field("data").and_then(|data| data.elements(LONG_ARRAY));
                }
                b"biomes" => raw.biomes = true,
                b"Blocks" => raw.numeric = true,
                _ => {}
            }
        }
        raw
    }

    /// `None` for a section that only has light.
    fn blocks(
        &self,
        numbers: &mut HashMap<String, u32>,
        names: &mut Vec<String>,
    ) -> Result<Option<SectionBlocks>, SectionError> {
        let indexes = self.indexes.filter(|bytes| !bytes.is_empty());
        let palette = match (self.palette, indexes) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(SectionError::NoPalette),
            (Some(palette), _) => palette,
        };
        let length = palette.len();
        if !(1..=PALETTE_MAX).contains(&length) {
            return Err(SectionError::PaletteLength(length));
        }
        let mut voxels = [0u16; SECTION_VOXELS];
        let mut used = vec![false; length];
        match indexes {
            Some(longs) => unpack(longs, &mut used, &mut voxels)?,
            None if length == 1 => used[0] = true,
            None => return Err(SectionError::NoIndexes { palette: length }),
        }
        let mut entries = vec![UNUSED; length];
        for (entry, node) in palette.items().enumerate().filter(|(entry, _)| used[*entry]) {
            let name = block_name(node);
            if !is_block_name(&name) {
                return Err(SectionError::Name { entry, text: name.chars().take(BLOCK_NAME_BYTES_MAX).collect() });
            }
            entries[entry] = *numbers.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                names.len() as u32 - 1
            });
        }
        let first = entries[usize::from(voxels[0])];
        Ok(Some(if entries.iter().all(|&entry| entry == UNUSED || entry == first) {
            SectionBlocks::Uniform(first)
        } else if length <= 256 {
            SectionBlocks::Narrow(entries, voxels.iter().map(|&v| v as u8).collect())
        } else {
            SectionBlocks::Wide(entries, voxels.into())
        }))
    }
}

/// The name of a palette entry with its properties in sorted order. What is no block gives what is no block name.
fn block_name(node: Node<'_>) -> String {
    let name = node.field("Name").and_then(Node::str).unwrap_or("");
    let mut text = name.strip_prefix("minecraft:").unwrap_or(name).to_owned();
    let mut properties = BTreeMap::new();
    for (key, value) in node.field("Properties").into_iter().flat_map(Node::fields) {
        properties.insert(key, value.str().unwrap_or("?"));
    }
    for (n, (key, value)) in properties.iter().enumerate() {
        text.push(if n == 0 { '[' } else { ',' });
        text.push_str(&String::from_utf8_lossy(key));
        text.push('=');
        text.push_str(value);
        if text.len() > BLOCK_NAME_BYTES_MAX {
            return text;
        }
    }
    if !properties.is_empty() {
        text.push(']');
    }
    text
}

/// Bits of an index into a palette: at least 4.
pub(crate) fn index_bits(palette: usize) -> usize {
    (palette.next_power_of_two().trailing_zeros() as usize).max(4)
}

/// Unpacks 4,096 indexes. Since 20w17a (1.16) none spans two longs; before, they follow each other without gaps. The two
/// have different lengths unless the bits divide 64, and then they are the same.
fn unpack(longs: &[u8], used: &mut [bool], out: &mut [u16; SECTION_VOXELS]) -> Result<(), SectionError> {
    let (count, palette) = (longs.len() / 8, used.len());
    let bits = index_bits(palette);
    let per_long = 64 / bits;
    let (padded, spanning) = (SECTION_VOXELS.div_ceil(per_long), SECTION_VOXELS * bits / 64);
    let long = |n: usize| u64::from_be_bytes(longs[n * 8..n * 8 + 8].try_into().expect("eight bytes"));
    let mask = (1u64 << bits) - 1;
    if count == padded {
        for (n, group) in out.chunks_mut(per_long).enumerate() {
            let mut value = long(n);
            for index in group {
                *index = (value & mask) as u16;
                value >>= bits;
            }
        }
    } else if count == spanning {
        for (n, index) in out.iter_mut().enumerate() {
            let (at, shift) = (n * bits / 64, n * bits % 64);
            let mut value = long(at) >> shift;
            if shift + bits > 64 {
                value |= long(at + 1) << (64 - shift);
            }
            *index = (value & mask) as u16;
        }
    } else {
        return Err(SectionError::IndexLength { found: count, palette, padded, spanning });
    }
    for (voxel, &index) in out.iter().enumerate() {
        *used.get_mut(usize::from(index)).ok_or(SectionError::Index { voxel, index, palette })? = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_bits_are_at_least_four() {
        let bits = [1, 2, 16, 17, 32, 33, 4096, 4097, 65536].map(index_bits);
        assert_eq!(bits, [4, 4, 4, 5, 5, 6, 12, 13, 16]);
    }

    #[test]
    fn the_two_packings_never_have_the_same_length_unless_they_are_the_same() {
        for bits in 4..=16 {
            let (padded, spanning) = (SECTION_VOXELS.div_ceil(64 / bits), SECTION_VOXELS * bits / 64);
            assert_eq!(padded == spanning, 64 % bits == 0, "{bits} bits");
        }
    }

    #[test]
    fn an_index_behind_the_palette_names_its_voxel() {
        let mut longs = [0u8; 2048];
        longs[8 * 3 + 7] = 0x70;
        let mut out = [0; SECTION_VOXELS];
        let error = unpack(&longs, &mut [false; 5], &mut out).unwrap_err();
        assert_eq!(error, SectionError::Index { voxel: 49, index: 7, palette: 5 });
    }
}
