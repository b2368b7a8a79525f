//! Which chunks lie in which page: runs of chunks in order of position, each with copies of what borders on it.

use super::Given;
use crate::error::GpuError;
use crate::layout::{QueueHead, RelaxRow};
use crate::prelude::TILES;
use std::collections::BTreeMap;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::relax::{Classes, EXITS, FACES, Rules};
use terrane_world::space::ChunkPos;

/// Bytes of the classes of a chunk that has more than one.
pub(crate) const CLASSES_BYTES: u64 = CHUNK_VOXELS as u64;
/// Bytes of a chunk's masks of exits.
pub(crate) const EXITS_BYTES: u64 = CHUNK_VOXELS as u64 * 4;

/// What is to be solved, by position: chunks that can't have a value are left out, as if they were not given.
pub(crate) struct Scene<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) chunks: BTreeMap<ChunkPos, &'a Given>,
}

impl<'a> Scene<'a> {
    /// # Panics
    /// If a chunk is given twice, or a class has no rule.
    pub(crate) fn new(rules: &'a Rules, given: &'a [Given]) -> Self {
        let mut all = BTreeMap::new();
        for one in given {
            assert!(all.insert(one.0, one).is_none(), "chunk {} is given twice", one.0);
            let most = match &one.1 {
                Classes::One(class) => *class,
                Classes::Each(classes) => classes.iter().copied().max().unwrap_or(0),
            };
            assert!(usize::from(most) < rules.classes().len(), "chunk {} has class {most}, which has no rule", one.0);
        }
        all.retain(|_, (_, classes, _)| match classes {
            Classes::Each(_) => true,
            Classes::One(class) => {
                let class = &rules.classes()[usize::from(*class)];
                class.exits != 0 || class.source < rules.limit()
            }
        });
        Self { rules, chunks: all }
    }

    /// Whether distances take 32 bits: with 16, the last number stands for none.
    pub(crate) fn is_wide(&self) -> bool {
        self.rules.limit() > u32::from(u16::MAX)
    }

    /// Whether values go over edges and corners.
    pub(crate) fn leans(&self) -> bool {
        self.rules.exits() & !FACES != 0
    }

    /// Bytes of the distances of a chunk.
    pub(crate) fn distance_bytes(&self) -> u64 {
        CHUNK_VOXELS as u64 * if self.is_wide() { 4 } else { 2 }
    }

    /// Bytes of a part's buffers: distances, classes with exits, rows, queue.
    pub(crate) fn bytes(&self, part: &Part) -> [u64; 4] {
        let cells = part.slots.iter().map(|pos| {
            let (_, classes, exits) = self.chunks[pos];
            let classes = if matches!(classes, Classes::Each(_)) { CLASSES_BYTES } else { 0 };
            classes + if exits.is_some() { EXITS_BYTES } else { 0 }
        });
        [
            part.slots.len() as u64 * self.distance_bytes(),
            // A binding has at least one word.
            cells.sum::<u64>().max(4),
            (part.slots.len() * size_of::<RelaxRow>()) as u64,
            (size_of::<QueueHead>() + part.own * TILES * 2 * 4) as u64,
        ]
    }

    /// Divides the chunks into as few halves of halves as make every buffer fit into `page_bytes`.
    pub(crate) fn parts(&self, page_bytes: u64) -> Result<Vec<Part>, GpuError> {
        let mut waiting = vec![self.chunks.keys().copied().collect::<Vec<_>>()];
        let mut parts = Vec::new();
        while let Some(mut run) = waiting.pop().filter(|run| !run.is_empty()) {
            let part = self.part(&run);
            let largest = self.bytes(&part).into_iter().max().unwrap_or(0);
            if largest <= page_bytes {
                parts.push(part);
            } else if run.len() == 1 {
                return Err(GpuError::TooLarge { chunks: part.slots.len(), needs: largest, allowed: page_bytes });
            } else {
                let above = run.split_off(run.len() / 2);
                waiting.extend([above, run]);
            }
        }
        Ok(parts)
    }

    fn part(&self, run: &[ChunkPos]) -> Part {
        let steps = if self.leans() { &EXITS[..] } else { &EXITS[..6] };
        let around = run.iter().flat_map(|pos| steps.iter().filter_map(|step| beside(*pos, *step)));
        let is_other = |pos: &ChunkPos| self.chunks.contains_key(pos) && run.binary_search(pos).is_err();
        let mut others: Vec<ChunkPos> = around.filter(is_other).collect();
        others.sort_unstable();
        others.dedup();
        Part { slots: [run, &others].concat(), own: run.len() }
    }
}

/// The chunks of a page by slot: first its own, in order of position, then copies of others that border on them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) slots: Vec<ChunkPos>,
    pub(crate) own: usize,
}

/// The chunk a step further, if it is inside the world.
pub(crate) fn beside(pos: ChunkPos, step: [i32; 3]) -> Option<ChunkPos> {
    ChunkPos::new(pos.x() + step[0], pos.y() + step[1], pos.z() + step[2]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrane_world::relax::{Class, Operator};

    #[test]
    fn parts_hold_every_chunk_once_and_what_borders_on_it() {
        let class = Class { source: 0, exits: FACES, losses: [1; 26], ..Class::CLOSED };
        let rules = Rules::new(Operator::MinPlus, 100, vec![Class::CLOSED, class]).expect("rules");
        let at = |x, y, z| ChunkPos::new(x, y, z).expect("inside");
        let positions = (0..5).flat_map(|x| (0..4).flat_map(move |y| (0..3).map(move |z| (x, y, z))));
        let given: Vec<Given> =
            positions.map(|(x, y, z)| (at(x, y, z), Classes::One(u8::from((x, y, z) != (4, 3, 2))), None)).collect();
        let scene = Scene::new(&rules, &given);
        assert_eq!(scene.chunks.len(), 59, "a chunk that can't have a value is left out");
        let whole = scene.parts(1 << 30).expect("it fits");
        assert_eq!((whole.len(), whole[0].own, whole[0].slots.len()), (1, 59, 59));
        let parts = scene.parts(65_536 * 30).expect("it fits");
        assert!(parts.len() > 3 && parts.iter().all(|part| part.slots.len() <= 30));
        let own: Vec<ChunkPos> = parts.iter().flat_map(|part| part.slots[..part.own].to_vec()).collect();
        assert_eq!(own, scene.chunks.keys().copied().collect::<Vec<_>>());
        for part in &parts {
            for pos in &part.slots[..part.own] {
                let around = EXITS[..6].iter().filter_map(|step| beside(*pos, *step));
                assert!(around.filter(|pos| scene.chunks.contains_key(pos)).all(|pos| part.slots.contains(&pos)));
            }
        }
        assert!(matches!(scene.parts(65_536 * 2), Err(GpuError::TooLarge { allowed: 131_072, .. })));
    }
}
