//! What every reader gives and every writer takes: chunks over names, problems with their places, and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use terrane_world::block::{AIR, BlockId, Registry, RegistryError};
use terrane_world::chunk::{Blocks, Chunk, ChunkError, Form, new_blocks};
use terrane_world::limits::CHUNK_EDGE;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox};

/// Marks a voxel of an [`ImportedChunk`] of which its file says nothing.
pub const NOT_SAID: BlockId = BlockId(u16::MAX);

/// Most names in one file, so that [`NOT_SAID`] stays free.
pub const NAMES_MAX: usize = u16::MAX as usize;

/// Most problems kept of one chunk column or file; the others are counted in a last one.
pub const PROBLEMS_MAX: usize = 64;

/// Something in a file that could not be imported. The rest was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file: the chunk, the section or voxel, and the byte offset where there is one.
    pub place: String,
    /// What is wrong, and what to do if anything can be done.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A list of problems that hostile input can't make long.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub(crate) fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(Problem { place: place.into(), message: message.into() });
        } else {
            self.more += 1;
        }
    }

    /// The list, with one more entry for those that were not kept.
    pub(crate) fn finish(mut self, place: &str) -> Vec<Problem> {
        if self.more > 0 {
            let message = format!("and {} more problems like these", self.more);
            self.list.push(Problem { place: place.to_owned(), message });
        }
        self.list
    }
}

/// What was in a file. What is not kept yet is counted here, so that nothing is lost in silence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Anvil chunk columns that were read.
    pub columns: usize,
    /// Of these, columns whose status holds no blocks yet, or that have no section with blocks.
    pub columns_without_blocks: usize,
    /// Columns that are there but could not be read; each has a problem.
    pub columns_skipped: usize,
    /// 16×16×16 sections with blocks that were imported.
    pub sections: usize,
    /// Models placed in a `.vox` scene.
    pub models: usize,
    /// Block entities kept as sparse data.
    pub block_entities: usize,
    /// Not kept: entities, without the riders of others.
    pub entities: usize,
    /// Not kept: columns that hold biomes.
    pub columns_with_biomes: usize,
    /// Not kept: pending block and fluid updates.
    pub pending_updates: usize,
    /// Not kept: starts of structures.
    pub structures: usize,
    /// Not kept: points of interest.
    pub points_of_interest: usize,
    /// How many columns had which generation status; the status itself is not kept.
    pub statuses: BTreeMap<String, usize>,
}

impl Counts {
    /// Adds another file's counts.
    pub fn add(&mut self, other: &Self) {
        self.columns += other.columns;
        self.columns_without_blocks += other.columns_without_blocks;
        self.columns_skipped += other.columns_skipped;
        self.sections += other.sections;
        self.models += other.models;
        self.block_entities += other.block_entities;
        self.entities += other.entities;
        self.columns_with_biomes += other.columns_with_biomes;
        self.pending_updates += other.pending_updates;
        self.structures += other.structures;
        self.points_of_interest += other.points_of_interest;
        for (status, count) in &other.statuses {
            *self.statuses.entry(status.clone()).or_default() += count;
        }
    }
}

/// One file, read.
#[derive(Debug, Default)]
pub struct ImportedFile {
    /// The chunks that the file says something about, in ascending order of position, each once.
    pub chunks: Vec<ImportedChunk>,
    /// Block names with their states, sorted, each used by a voxel. A chunk's block `n` is `names[n]`.
    pub names: Vec<String>,
    /// What could not be imported, in file order.
    pub problems: Vec<Problem>,
    /// What was there.
    pub counts: Counts,
}

impl ImportedFile {
    /// Finds or makes the world's id of every name. Either all fit or the registry stays as it was.
    /// Returns the ids, parallel to `names`, and the names that are new to the world.
    pub fn register(&self, registry: &mut Registry) -> Result<(Vec<BlockId>, Vec<Arc<str>>), RegistryError> {
        let names: BTreeSet<&str> = self.names.iter().map(String::as_str).collect();
        let new = registry.register_all(&names)?;
        let ids = self.names.iter().map(|name| registry.id(name).expect("just registered")).collect();
        Ok((ids, new))
    }
}

/// One chunk as a file has it: blocks are numbers into the file's names, [`NOT_SAID`] where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedChunk {
    /// Its place in the world, shift included.
    pub pos: ChunkPos,
    /// Voxels as numbers into the file's names, and sparse data.
    pub content: Chunk,
}

impl ImportedChunk {
    /// The world's chunk. `ids` is parallel to the file's names. Where the file says nothing, `base` shows through with
    /// its sparse data: a chunk of another file (or of the same world before), or air.
    pub fn onto(&self, ids: &[BlockId], base: Option<&Chunk>) -> Result<Chunk, ChunkError> {
        let translate = |block: BlockId| ids.get(usize::from(block.0)).copied();
        if self.content.form() != Form::U16
            && let Some(table) = self.content.table().iter().map(|&b| translate(b)).collect::<Option<Vec<_>>>()
        {
            let mut chunk = Chunk::from_parts(self.content.form(), &table, &self.content.data())?;
            self.put_sparse(&mut chunk)?;
            return Ok(chunk);
        }
        let mut blocks = new_blocks();
        let mut below = new_blocks();
        self.content.copy_to(&mut blocks);
        if let Some(base) = base {
            base.copy_to(&mut below);
        }
        let mut said = vec![true; blocks.len()];
        for ((block, below), said) in blocks.iter_mut().zip(below.iter()).zip(&mut said) {
            (*block, *said) = translate(*block).map_or((*below, false), |id| (id, true));
        }
        let mut chunk = Chunk::from_blocks(&blocks);
        for (&local, data) in base.into_iter().flat_map(Chunk::sparse).filter(|(local, _)| !said[local.index()]) {
            chunk.set_sparse(local, Some(data.clone()))?;
        }
        self.put_sparse(&mut chunk)?;
        Ok(chunk)
    }

    fn put_sparse(&self, chunk: &mut Chunk) -> Result<(), ChunkError> {
        for (&local, data) in self.content.sparse() {
            chunk.set_sparse(local, Some(data.clone()))?;
        }
        Ok(())
    }
}

/// An error of whoever holds the chunks.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Where an export gets its chunks: `None` stands for a chunk of air that is not stored.
pub type Source<'a> = dyn Fn(ChunkPos) -> Result<Option<Arc<Chunk>>, SourceError> + Sync + 'a;

/// A chunk for an export: voxels outside `within` and their sparse data are gone.
pub(crate) fn clipped(
    pos: ChunkPos,
    chunk: &Chunk,
    within: VoxelBox,
    out: &mut Blocks,
) -> Vec<(LocalIndex, Arc<[u8]>)> {
    chunk.copy_to(out);
    let inside = within.intersection(pos.voxel_box());
    if inside == Some(pos.voxel_box()) {
        return chunk.sparse().iter().map(|(at, data)| (*at, data.clone())).collect();
    }
    let contains = |local: LocalIndex| {
        let voxel = pos.voxel(local).to_array();
        inside.is_some_and(|b| (0..3).all(|axis| (b.min()[axis]..b.max()[axis]).contains(&voxel[axis])))
    };
    for (index, block) in out.iter_mut().enumerate() {
        if !LocalIndex::new(index as u16).is_some_and(contains) {
            *block = AIR;
        }
    }
    chunk.sparse().iter().filter(|(at, _)| contains(**at)).map(|(at, data)| (*at, data.clone())).collect()
}

/// The part of `size` cells starting at `from` (world voxels along one axis) that lies in the chunk at `chunk`
/// (along the same axis): first cell, first voxel in the chunk, and how many.
pub(crate) fn overlap(from: i64, size: usize, chunk: i32) -> (usize, usize, usize) {
    let start = i64::from(chunk) * CHUNK_EDGE as i64;
    let first = from.max(start);
    let end = (from + size as i64).min(start + CHUNK_EDGE as i64);
    ((first - from).max(0) as usize, (first - start).max(0) as usize, (end - first).max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_does_not_say_shows_the_base_with_its_sparse_data() {
        let at = |n| LocalIndex::new(n).unwrap();
        let mut content = Chunk::uniform(NOT_SAID);
        content.set(at(0), BlockId(0));
        content.set(at(1), BlockId(1));
        content.set_sparse(at(1), Some([9][..].into())).unwrap();
        let imported = ImportedChunk { pos: ChunkPos::new(0, 0, 0).unwrap(), content };
        let mut base = Chunk::uniform(BlockId(7));
        base.set_sparse(at(0), Some([1][..].into())).unwrap();
        base.set_sparse(at(5), Some([5][..].into())).unwrap();
        let chunk = imported.onto(&[BlockId(30), BlockId(31)], Some(&base)).unwrap();
        assert_eq!([0, 1, 2].map(|n| chunk.get(at(n)).0), [30, 31, 7]);
        let sparse: Vec<_> = chunk.sparse().iter().map(|(at, data)| (at.get(), data[0])).collect();
        assert_eq!(sparse, [(1, 9), (5, 5)]);
        assert_eq!(imported.onto(&[BlockId(30), BlockId(31)], None).unwrap().get(at(2)), AIR);
    }

    #[test]
    fn overlaps_are_clipped_to_the_chunk() {
        assert_eq!(overlap(-16, 16, -1), (0, 16, 16));
        assert_eq!(overlap(24, 16, 0), (0, 24, 8));
        assert_eq!(overlap(24, 16, 1), (8, 0, 8));
        assert_eq!(overlap(24, 16, 2).2, 0);
        assert_eq!(overlap(24, 16, -1).2, 0);
        assert_eq!(overlap(-100, 300, 1), (132, 0, 32));
    }
}
