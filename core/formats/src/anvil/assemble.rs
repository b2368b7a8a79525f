//! From columns of 16×16×16 sections to chunks of 32×32×32 voxels, at any shift.

use super::column::{Column, SectionBlocks, UNUSED};
use crate::volume::{ImportedChunk, NOT_SAID, Problem, Problems, overlap};
use rayon::prelude::*;
use std::collections::BTreeMap;
use terrane_world::block::BlockId;
use terrane_world::chunk::{Blocks, Chunk, new_blocks};
use terrane_world::limits::CHUNK_EDGE;
use terrane_world::space::{ChunkPos, VoxelPos};

const SECTION_EDGE: usize = 16;

/// Chunks in ascending order, and what did not fit the world.
pub(super) struct Assembled {
    pub chunks: Vec<ImportedChunk>,
    pub problems: Vec<Problem>,
    pub block_entities: usize,
}

/// What falls into one chunk: `(column, section)` and `(column, block entity)`.
#[derive(Default)]
struct Parts {
    sections: Vec<(usize, i8)>,
    block_entities: Vec<(usize, usize)>,
}

struct Plan<'a> {
    columns: &'a [Box<Column>],
    number_of: &'a [Vec<u16>],
    shift: [i64; 3],
    chunks: BTreeMap<ChunkPos, Parts>,
    problems: Problems,
}

/// Makes chunks of columns. `number_of` gives the file's number of every name of every column.
pub(super) fn assemble(columns: &[Box<Column>], number_of: &[Vec<u16>], shift: [i32; 3]) -> Assembled {
    let shift = shift.map(i64::from);
    let mut plan = Plan { columns, number_of, shift, chunks: BTreeMap::new(), problems: Problems::default() };
    for column in 0..columns.len() {
        plan.add_sections(column);
        plan.add_block_entities(column);
    }
    let Plan { chunks, problems, .. } = &mut plan;
    let (chunks, mut problems) = (std::mem::take(chunks), std::mem::take(problems));
    let built: Vec<(ImportedChunk, usize, Problems)> =
        chunks.into_par_iter().map_init(new_blocks, |blocks, (pos, parts)| plan.build(pos, &parts, blocks)).collect();
    let mut assembled = Assembled { chunks: Vec::new(), problems: Vec::new(), block_entities: 0 };
    for (chunk, block_entities, more) in built {
        assembled.block_entities += block_entities;
        for problem in more.finish(&format!("world chunk {}", chunk.pos)) {
            problems.add(problem.place, problem.message);
        }
        assembled.chunks.push(chunk);
    }
    assembled.problems = problems.finish("the file");
    assembled
}

fn chunk_range(from: i64) -> std::ops::RangeInclusive<i64> {
    let edge = CHUNK_EDGE as i64;
    from.div_euclid(edge)..=(from + SECTION_EDGE as i64 - 1).div_euclid(edge)
}

/// A chunk position from wide integers, if the world has it.
fn chunk_pos(x: i64, y: i64, z: i64) -> Option<ChunkPos> {
    ChunkPos::from_i64(x, y, z).ok()
}

impl Plan<'_> {
    /// World coordinates of a section's lowest corner.
    fn corner(&self, column: usize, y: i8) -> [i64; 3] {
        let Column { x, z, .. } = *self.columns[column];
        let own = [i64::from(x) * 16, i64::from(y) * 16, i64::from(z) * 16];
        [own[0] + self.shift[0], own[1] + self.shift[1], own[2] + self.shift[2]]
    }

    fn add_sections(&mut self, column: usize) {
        for &y in self.columns[column].sections.keys() {
            let [x0, y0, z0] = self.corner(column, y);
            let mut outside = false;
            for cy in chunk_range(y0) {
                for (cz, cx) in chunk_range(z0).flat_map(|cz| chunk_range(x0).map(move |cx| (cz, cx))) {
                    match chunk_pos(cx, cy, cz) {
                        Some(pos) => self.chunks.entry(pos).or_default().sections.push((column, y)),
                        None => outside = true,
                    }
                }
            }
            if outside {
                let place = format!("{}, section {y}", self.column_place(column));
                let message = format!("at {x0},{y0},{z0} it leaves the world; what is outside is not imported");
                self.problems.add(place, message);
            }
        }
    }

    fn column_place(&self, column: usize) -> String {
        format!("chunk {},{}", self.columns[column].x, self.columns[column].z)
    }

    fn voxel(&self, at: [i32; 3]) -> Result<VoxelPos, terrane_world::space::SpaceError> {
        let [x, y, z] = [0, 1, 2].map(|axis| i64::from(at[axis]) + self.shift[axis]);
        VoxelPos::from_i64(x, y, z)
    }

    fn add_block_entities(&mut self, column: usize) {
        for (number, entity) in self.columns[column].block_entities.iter().enumerate() {
            match self.voxel(entity.at) {
                Ok(voxel) => self.chunks.entry(voxel.chunk()).or_default().block_entities.push((column, number)),
                Err(error) => {
                    let place = self.entity_place(column, number);
                    self.problems.add(place, format!("{error}; it is not kept"));
                }
            }
        }
    }

    fn entity_place(&self, column: usize, number: usize) -> String {
        let [x, y, z] = self.columns[column].block_entities[number].at;
        format!("{}, block entity {x},{y},{z}", self.column_place(column))
    }

    fn build(&self, pos: ChunkPos, parts: &Parts, blocks: &mut Blocks) -> (ImportedChunk, usize, Problems) {
        blocks.fill(NOT_SAID);
        for &(column, y) in &parts.sections {
            let section = &self.columns[column].sections[&y];
            place(section, &self.number_of[column], self.corner(column, y), pos, blocks);
        }
        let mut content = Chunk::from_blocks(blocks);
        let mut problems = Problems::default();
        for &(column, number) in &parts.block_entities {
            let entity = &self.columns[column].block_entities[number];
            let Ok(voxel) = self.voxel(entity.at) else { continue };
            match content.set_sparse(voxel.local(), Some(entity.data[..].into())) {
                Ok(None) => {}
                Ok(Some(_)) => problems.add(
                    self.entity_place(column, number),
                    "there is another one at this place; the later one is kept",
                ),
                Err(error) => problems.add(self.entity_place(column, number), format!("{error}; it is not kept")),
            }
        }
        let kept = content.sparse().len();
        (ImportedChunk { pos, content }, kept, problems)
    }
}

/// Writes the part of a section that lies in the chunk.
fn place(section: &SectionBlocks, number_of: &[u16], corner: [i64; 3], pos: ChunkPos, blocks: &mut Blocks) {
    let number = |&name: &u32| match name {
        UNUSED => NOT_SAID,
        name => BlockId(number_of[name as usize]),
    };
    let palette: Vec<BlockId> = section.palette().iter().map(number).collect();
    let [x, y, z] = [0, 1, 2].map(|axis| overlap(corner[axis], SECTION_EDGE, pos.to_array()[axis]));
    for row_y in 0..y.2 {
        for row_z in 0..z.2 {
            let from = x.0 + (z.0 + row_z) * SECTION_EDGE + (y.0 + row_y) * SECTION_EDGE * SECTION_EDGE;
            let to = x.1 + (z.1 + row_z) * CHUNK_EDGE + (y.1 + row_y) * CHUNK_EDGE * CHUNK_EDGE;
            let row = &mut blocks[to..to + x.2];
            match section {
                SectionBlocks::Uniform(_) => row.fill(palette[0]),
                SectionBlocks::Narrow(_, indexes) => {
                    for (block, &index) in row.iter_mut().zip(&indexes[from..]) {
                        *block = palette[usize::from(index)];
                    }
                }
                SectionBlocks::Wide(_, indexes) => {
                    for (block, &index) in row.iter_mut().zip(&indexes[from..]) {
                        *block = palette[usize::from(index)];
                    }
                }
            }
        }
    }
}
