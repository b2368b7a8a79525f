//! A pipeline: the stages of a generator in order, and the engine that runs them on the CPU.
//!
//! First a plan says on which chunks each stage has to run: from the last stage back to the first, the chunks that are
//! wanted and those in the halo of a stage that reads them. Then the engine runs it, one stage after the other.

use super::error::GenerateError;
use super::palette::Palette;
use super::simd::Level;
use super::stage::{Around, Context, Draft, Fixed, Layer, Maps, NO_WATER, Stage};
use crate::block::AIR;
use crate::chunk::Chunk;
use crate::space::{ChunkPos, VoxelPos};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far out the search for a place to spawn goes, in steps of four chunks.
const SPAWN_RINGS: i32 = 24;

/// The maps of several columns, by footprint.
pub type MapsByFootprint = BTreeMap<[i32; 2], Maps>;

/// The stages of one generator with one seed.
pub struct Pipeline {
    stages: Vec<Arc<dyn Stage>>,
    palette: Palette,
    /// The entry of the anchored layer.
    floor_entry: u8,
    fixed: Fixed,
    level: Level,
    runs: Vec<AtomicU64>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|stage| stage.name())).finish()
    }
}

/// On which chunks each stage runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The chunks that are wanted, in the order they were asked for.
    pub targets: Vec<ChunkPos>,
    /// By stage, ascending. Each is part of the one before.
    pub sets: Vec<Vec<ChunkPos>>,
}

impl Plan {
    /// Every chunk that any stage runs on, ascending.
    pub fn chunks(&self) -> &[ChunkPos] {
        self.sets.first().map_or(&[], Vec::as_slice)
    }

    /// The footprints of those chunks, ascending.
    pub fn footprints(&self) -> BTreeSet<[i32; 2]> {
        self.chunks().iter().map(|pos| [pos.x(), pos.z()]).collect()
    }
}

impl Pipeline {
    /// From stages that were made with this palette. `floor_entry` is what the anchored layer consists of.
    pub fn new(stages: Vec<Arc<dyn Stage>>, palette: Palette, floor_entry: u8, fixed: Fixed) -> Self {
        let runs = stages.iter().map(|_| AtomicU64::new(0)).collect();
        Self { stages, palette, floor_entry, fixed, level: Level::best(), runs }
    }

    /// The same with other vector instructions, which give the same bytes.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The stages in order.
    pub fn stages(&self) -> &[Arc<dyn Stage>] {
        &self.stages
    }

    /// The blocks by entry.
    pub const fn palette(&self) -> &Palette {
        &self.palette
    }

    /// What the version fixes.
    pub const fn fixed(&self) -> Fixed {
        self.fixed
    }

    /// How often each stage has run on a chunk or on maps on this CPU since the pipeline was made.
    pub fn runs(&self) -> Vec<u64> {
        self.runs.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// The maps of a column of chunks, after every stage.
    pub fn maps(&self, x: i32, z: i32) -> Result<Maps, GenerateError> {
        let mut maps = Maps::new(x, z);
        for stage in 0..self.stages.len() {
            self.run_maps(stage, &mut maps)?;
        }
        Ok(maps)
    }

    /// One stage's part of the maps.
    pub fn run_maps(&self, stage: usize, maps: &mut Maps) -> Result<(), GenerateError> {
        self.runs[stage].fetch_add(1, Ordering::Relaxed);
        self.stages[stage].maps(maps, self.level)
    }

    /// Plans the making of `targets`. With maps, halos that a stage does not need somewhere are left out.
    pub fn plan(&self, targets: &[ChunkPos], maps: Option<&MapsByFootprint>) -> Plan {
        let mut wanted: BTreeSet<ChunkPos> = targets.iter().copied().filter(|pos| self.has_ground(*pos)).collect();
        let mut sets = vec![Vec::new(); self.stages.len()];
        for (stage, set) in self.stages.iter().zip(&mut sets).rev() {
            *set = wanted.iter().copied().collect();
            let steps: Vec<[i32; 3]> = stage.halo().steps().collect();
            for pos in &*set {
                let known = maps.and_then(|maps| maps.get(&[pos.x(), pos.z()]));
                if !steps.is_empty() && known.is_none_or(|maps| stage.reads_halo(*pos, maps)) {
                    wanted.extend(steps.iter().filter_map(|by| step(*pos, *by)).filter(|pos| self.has_ground(*pos)));
                }
            }
        }
        Plan { targets: targets.to_vec(), sets }
    }

    /// Below the floor is nothing, whatever the stages say.
    fn has_ground(&self, pos: ChunkPos) -> bool {
        pos.origin().y() + 31 >= self.fixed.floor
    }

    /// Makes chunks: the same bytes for each, alone or among others, in any order.
    pub fn chunks(&self, targets: &[ChunkPos]) -> Result<Vec<Chunk>, GenerateError> {
        let drafts = self.drafts(targets)?;
        Ok(targets.iter().map(|pos| drafts.get(pos).map_or_else(|| Chunk::uniform(AIR), |d| self.finish(d))).collect())
    }

    /// Makes the voxels of chunks, and of those that were needed for them.
    pub fn drafts(&self, targets: &[ChunkPos]) -> Result<BTreeMap<ChunkPos, Draft>, GenerateError> {
        let mut maps = MapsByFootprint::new();
        for pos in targets {
            if let std::collections::btree_map::Entry::Vacant(entry) = maps.entry([pos.x(), pos.z()]) {
                entry.insert(self.maps(pos.x(), pos.z())?);
            }
        }
        let plan = self.plan(targets, Some(&maps));
        for [x, z] in plan.footprints() {
            if let std::collections::btree_map::Entry::Vacant(entry) = maps.entry([x, z]) {
                entry.insert(self.maps(x, z)?);
            }
        }
        let mut drafts: BTreeMap<ChunkPos, Draft> = plan.chunks().iter().map(|pos| (*pos, Draft::new(*pos))).collect();
        for (stage, set) in plan.sets.iter().enumerate() {
            self.run_blocks(stage, set, &maps, &mut drafts)?;
        }
        Ok(drafts)
    }

    /// Runs one stage on a set of chunks. Each reads its halo as it stood before the stage.
    pub fn run_blocks(
        &self,
        stage: usize,
        set: &[ChunkPos],
        maps: &MapsByFootprint,
        drafts: &mut BTreeMap<ChunkPos, Draft>,
    ) -> Result<(), GenerateError> {
        let (count, stage) = (&self.runs[stage], &self.stages[stage]);
        count.fetch_add(set.len() as u64, Ordering::Relaxed);
        let halo: Vec<[i32; 3]> = stage.halo().steps().collect();
        let mut replaced = Vec::new();
        for pos in set {
            let maps = &maps[&[pos.x(), pos.z()]];
            if halo.is_empty() || !stage.reads_halo(*pos, maps) {
                let context = Context { maps, around: Around::NONE, level: self.level };
                stage.blocks(drafts.get_mut(pos).expect("it is in the plan"), &context)?;
                continue;
            }
            let around = |by: [i32; 3]| -> Option<&Draft> {
                let inside = by == [0; 3] || halo.contains(&by);
                drafts.get(&step(*pos, by).filter(|_| inside)?)
            };
            let context = Context { maps, around: Around::new(around), level: self.level };
            let mut draft = drafts[pos].clone();
            stage.blocks(&mut draft, &context)?;
            replaced.push((*pos, draft));
        }
        drafts.extend(replaced);
        Ok(())
    }

    /// Where a new player's feet stand: on dry, level ground with air above, as near to x = z = 0 as a bounded search finds.
    pub fn spawn(&self) -> [i32; 3] {
        let ring = |ring: i32| {
            let side = (-ring..=ring).flat_map(move |z| (-ring..=ring).map(move |x| (x, z)));
            side.filter(move |(x, z)| x.abs().max(z.abs()) == ring)
        };
        let found = (0..SPAWN_RINGS).flat_map(ring).find_map(|(x, z)| self.standing_place(4 * x, 4 * z));
        found.unwrap_or([0, self.fixed.sea + 1, 0])
    }

    /// A place to stand in a column of chunks; `None` if it has none, or can't be made.
    fn standing_place(&self, x: i32, z: i32) -> Option<[i32; 3]> {
        let maps = self.maps(x, z).ok()?;
        let is_level = |x: i32, z: i32| maps.at(Layer::Water, x, z) == NO_WATER && maps.at(Layer::Overhang, x, z) == 0;
        let [x0, z0] = maps.footprint().map(|chunk| chunk * 32);
        let block = |x: i32, y: i32, z: i32| {
            let pos = VoxelPos::new(x, y, z).ok()?;
            Some(self.chunks(&[pos.chunk()]).ok()?.first()?.get(pos.local()))
        };
        let places = (0..9).map(|n| (4 + n % 3 * 12, 4 + n / 3 * 12)).filter(|(x, z)| is_level(*x, *z));
        let mut feet = places.map(|(x, z)| [x0 + x, i32::from(maps.at(Layer::Height, x, z)), z0 + z]);
        feet.find(|&[x, y, z]| {
            block(x, y, z) == Some(AIR) && block(x, y + 1, z) == Some(AIR) && block(x, y - 1, z) != Some(AIR)
        })
    }

    /// A chunk from its voxels: the anchored layer stands, whatever the stages did, and below it is nothing.
    pub fn finish(&self, draft: &Draft) -> Chunk {
        let layer = self.fixed.floor - draft.pos().origin().y();
        let ids = self.palette.ids();
        if layer < 0 {
            return match draft.uniform() {
                Some(entry) => Chunk::uniform(ids[usize::from(entry)]),
                None => Chunk::from_entries(&draft.entries(), ids),
            };
        }
        let mut entries = draft.entries().into_owned();
        let layer = (layer as usize).min(32) * 1024;
        entries[..layer].fill(0);
        if let Some(floor) = entries.get_mut(layer..layer + 1024) {
            floor.fill(self.floor_entry);
        }
        Chunk::from_entries(&entries, ids)
    }
}

/// The chunk some steps away, if the world has it.
fn step(pos: ChunkPos, [x, y, z]: [i32; 3]) -> Option<ChunkPos> {
    ChunkPos::new(pos.x() + x, pos.y() + y, pos.z() + z).ok()
}
