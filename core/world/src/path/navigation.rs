//! What one mode knows of a world: the ways of chunks, made when they are asked for and dropped when their blocks change.

use super::PathError;
use super::mode::{Footing, Mode};
use super::patches::{Around, HERE, Links, Patches, led_to, links};
use super::ways::{CLOSED, COST_LIMIT, Costs, Footholds, Ways, bits, ways};
use crate::block::Registry;
use crate::chunk::Chunk;
use crate::limits::CHUNK_EDGE;
use crate::physics::plan::beside;
use crate::relax::{EXITS, RulesError};
use crate::resident::Residency;
use crate::space::{ChunkPos, PlaceMap, PlaceSet, VoxelPos};
use rayon::prelude::*;
use std::sync::Arc;

/// Where chunks come from.
pub trait Blocks {
    /// Those that there are, in the order asked for; none for one that is not loaded or can't be read.
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>>;
}

/// Chunks of a world in memory, the others fetched.
pub struct Resident<'a>(pub &'a mut Residency, pub u64);

impl Blocks for Resident<'_> {
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>> {
        let Self(resident, tick) = self;
        resident.fetch(*tick, wanted);
        wanted.iter().map(|pos| resident.get(*pos).map(|held| Arc::clone(&held.chunk))).collect()
    }
}

/// One mode's view of a world. It remembers what it was told, so it is always asked with the same blocks.
pub struct Navigation {
    mode: Mode,
    footings: Vec<Footing>,
    costs: Costs,
    footholds: PlaceMap<ChunkPos, Option<Arc<Footholds>>>,
    ways: PlaceMap<ChunkPos, Option<Arc<Ways>>>,
    patches: PlaceMap<ChunkPos, Option<Arc<Patches>>>,
    links: PlaceMap<ChunkPos, Option<Arc<Links>>>,
}

impl Navigation {
    /// Nothing known yet.
    pub fn new(mode: &Mode, registry: &Registry) -> Result<Self, PathError> {
        let footings = mode.footings(registry);
        let costs = Costs::new(mode, &footings, COST_LIMIT).map_err(|error| {
            let RulesError::TooMany(found) = error else { unreachable!("every step costs something: {error}") };
            PathError::Costs { mode: mode.name.clone(), found }
        })?;
        let (footholds, ways, patches, links) = Default::default();
        Ok(Self { mode: mode.clone(), footings, costs, footholds, ways, patches, links })
    }

    /// The same, for fields in which what costs `limit` or more is too far. Both ends of a way count for that.
    #[must_use]
    pub fn with_cost_limit(self, limit: u32) -> Self {
        let costs = Costs::new(&self.mode, &self.footings, limit).expect("they fitted before");
        Self { costs, ..self }
    }

    /// The mode.
    pub const fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Its costs as classes.
    pub const fn costs(&self) -> &Costs {
        &self.costs
    }

    /// Chunks whose ways are held.
    pub fn chunk_count(&self) -> usize {
        self.ways.len()
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.footholds.clear();
        self.ways.clear();
        self.patches.clear();
        self.links.clear();
    }

    /// Forgets what depends on the blocks of a chunk, in it and around it.
    pub fn changed(&mut self, pos: ChunkPos) {
        self.footholds.remove(&pos);
        let changed = if self.mode.is_plain() { vec![pos] } else { around(pos).into_iter().flatten().collect() };
        for pos in changed {
            self.ways.remove(&pos);
            self.patches.remove(&pos);
            around(pos).into_iter().flatten().for_each(|pos| drop(self.links.remove(&pos)));
        }
    }

    /// Chunks around a changed voxel whose ways may be others now: those that a body there, or one that falls past, touches.
    pub fn affected(&self, pos: VoxelPos) -> impl Iterator<Item = ChunkPos> {
        let mode = &self.mode;
        let (below, above) = if self.mode.is_plain() {
            ([0; 3], [0; 3])
        } else {
            let (width, height) = (i64::from(mode.width), i64::from(mode.height));
            let rise = i64::from(mode.step_up.max(mode.drop)) + 2;
            ([-width, -height - 1, -width], [1, rise, 1])
        };
        let at = pos.to_array().map(i64::from);
        let edge = CHUNK_EDGE as i64;
        let ends: [[i64; 2]; 3] = std::array::from_fn(|axis| {
            [(at[axis] + below[axis]).div_euclid(edge), (at[axis] + above[axis]).div_euclid(edge)]
        });
        let [x, y, z] = ends;
        (y[0]..=y[1]).flat_map(move |y| {
            (z[0]..=z[1]).flat_map(move |z| (x[0]..=x[1]).filter_map(move |x| ChunkPos::from_i64(x, y, z).ok()))
        })
    }

    /// The ways of a chunk, made if need be; none if the chunk is not there.
    pub fn ways(&mut self, blocks: &mut dyn Blocks, pos: ChunkPos) -> Option<Arc<Ways>> {
        if let Some(known) = self.ways.get(&pos) {
            return known.clone();
        }
        self.prepare(blocks, &[pos]);
        self.ways[&pos].clone()
    }

    /// Makes the ways of many chunks at once, in parallel.
    pub fn prepare(&mut self, blocks: &mut dyn Blocks, wanted: &[ChunkPos]) {
        let missing: Vec<ChunkPos> = wanted.iter().filter(|pos| !self.ways.contains_key(pos)).copied().collect();
        if missing.is_empty() {
            return;
        }
        if self.mode.is_plain() {
            let chunks = blocks.chunks(&missing);
            let (costs, footings) = (&self.costs, &self.footings);
            let plain = |chunk: Option<Arc<Chunk>>| chunk.map(|chunk| Arc::new(Ways::plain(&chunk, costs, footings)));
            let made: Vec<_> = chunks.into_par_iter().map(plain).collect();
            self.ways.extend(missing.into_iter().zip(made));
            return;
        }
        self.find_footholds(blocks, &missing);
        let (mode, costs, footings, footholds) = (&self.mode, &self.costs, &self.footings, &self.footholds);
        let make = |pos: &ChunkPos| {
            let around = around(*pos).map(|pos| footholds.get(&pos?)?.as_deref());
            around[13].is_some().then(|| Arc::new(ways(mode, costs, footings, &around)))
        };
        let made: Vec<_> = missing.par_iter().map(make).collect();
        self.ways.extend(missing.into_iter().zip(made));
    }

    /// The patches of a chunk, made if need be; none if the chunk is not there.
    pub fn patches(&mut self, blocks: &mut dyn Blocks, pos: ChunkPos) -> Option<Arc<Patches>> {
        if let Some(known) = self.patches.get(&pos) {
            return known.clone();
        }
        self.prepare_patches(blocks, &[pos]);
        self.patches[&pos].clone()
    }

    fn prepare_patches(&mut self, blocks: &mut dyn Blocks, wanted: &[ChunkPos]) {
        let missing: Vec<ChunkPos> = wanted.iter().filter(|pos| !self.patches.contains_key(pos)).copied().collect();
        self.prepare(blocks, &missing);
        let (mode, costs, ways) = (&self.mode, &self.costs, &self.ways);
        let make = |pos: &ChunkPos| ways[pos].as_ref().map(|ways| Arc::new(Patches::new(ways, mode, costs)));
        let made: Vec<_> = missing.par_iter().map(make).collect();
        self.patches.extend(missing.into_iter().zip(made));
    }

    /// Where moves lead from the patches of a chunk, found out if need be; none if the chunk is not there.
    pub fn links(&mut self, blocks: &mut dyn Blocks, pos: ChunkPos) -> Option<Arc<Links>> {
        if let Some(known) = self.links.get(&pos) {
            return known.clone();
        }
        self.prepare_links(blocks, &[pos]);
        self.links[&pos].clone()
    }

    /// Finds out where moves lead from the patches of many chunks at once, in parallel.
    pub fn prepare_links(&mut self, blocks: &mut dyn Blocks, wanted: &[ChunkPos]) {
        let missing: Vec<ChunkPos> = wanted.iter().filter(|pos| !self.links.contains_key(pos)).copied().collect();
        self.prepare_patches(blocks, &missing);
        // Of each, the chunks around it that matter, as bits. Others that may be known are left out: so that costs do not depend
        // on what was asked before.
        let mut near = vec![1 << HERE; missing.len()];
        loop {
            let led_to = |(pos, near): (&ChunkPos, &u32)| {
                let around = self.known_around(*pos, *near);
                if around[HERE].is_some() { led_to(&self.mode, &around) } else { 1 << HERE }
            };
            let more: Vec<u32> = missing.par_iter().zip(&near).map(led_to).collect();
            if more == near {
                break;
            }
            let all =
                |(pos, near): (&ChunkPos, &u32)| bits(*near).filter_map(|at| one_around(*pos, at as usize)).collect();
            let all: Vec<Vec<ChunkPos>> = missing.iter().zip(&more).map(all).collect();
            let all: PlaceSet<ChunkPos> = all.into_iter().flatten().collect();
            self.prepare_patches(blocks, &all.into_iter().collect::<Vec<_>>());
            near = more;
        }
        let make = |(pos, near): (&ChunkPos, &u32)| {
            let around = self.known_around(*pos, *near);
            around[HERE].is_some().then(|| Arc::new(links(&self.mode, &self.costs, &around)))
        };
        let made: Vec<_> = missing.par_iter().zip(&near).map(make).collect();
        self.links.extend(missing.into_iter().zip(made));
    }

    /// A chunk and those around it that are told by bits, as far as they are there.
    fn known_around(&self, pos: ChunkPos, near: u32) -> Around<'_> {
        std::array::from_fn(|at| {
            let pos = one_around(pos, at).filter(|_| near >> at & 1 == 1)?;
            self.ways[&pos].as_deref().zip(self.patches[&pos].as_deref())
        })
    }

    fn find_footholds(&mut self, blocks: &mut dyn Blocks, centres: &[ChunkPos]) {
        let mut seen = PlaceSet::default();
        let near = centres.iter().flat_map(|pos| around(*pos)).flatten();
        let missing: Vec<ChunkPos> =
            near.filter(|pos| !self.footholds.contains_key(pos) && seen.insert(*pos)).collect();
        let chunks = blocks.chunks(&missing);
        let footings = &self.footings;
        let made: Vec<_> =
            chunks.into_par_iter().map(|chunk| chunk.map(|chunk| Arc::new(Footholds::new(chunk, footings)))).collect();
        self.footholds.extend(missing.into_iter().zip(made));
    }

    /// What entering a voxel costs; none where the mode can't be, or nothing is there.
    pub fn cost(&mut self, blocks: &mut dyn Blocks, pos: VoxelPos) -> Option<u8> {
        let ways = self.ways(blocks, pos.chunk())?;
        let class = ways.classes.get(pos.local());
        (class != CLOSED).then(|| self.costs.cost(class))
    }

    /// The moves that are legal from a voxel, as a mask of [`EXITS`]: those that lead out of what is loaded included.
    pub fn exits(&mut self, blocks: &mut dyn Blocks, pos: VoxelPos) -> u32 {
        if self.cost(blocks, pos).is_none() {
            return 0;
        }
        let ways = self.ways(blocks, pos.chunk()).expect("it has a cost");
        let open = self.mode.exits() & ways.exits.as_ref().map_or(u32::MAX, |exits| exits[pos.local().index()]);
        let leads = |exit: &u32| {
            let to = beside(pos, EXITS[*exit as usize]);
            to.is_some_and(|to| self.cost(blocks, to).is_some())
        };
        (0..26).filter(|exit| open >> exit & 1 == 1).filter(leads).fold(0, |mask, exit| mask | 1 << exit)
    }

    /// What a move through an exit costs, if it is legal.
    pub fn step(&mut self, blocks: &mut dyn Blocks, from: VoxelPos, exit: usize) -> Option<u64> {
        let ways = self.ways(blocks, from.chunk())?;
        let open = self.mode.exits() & ways.exits.as_ref().map_or(u32::MAX, |exits| exits[from.local().index()]);
        if open >> exit & 1 == 0 || ways.classes.get(from.local()) == CLOSED {
            return None;
        }
        let to = beside(from, EXITS[exit])?;
        let ways = if to.chunk() == from.chunk() { ways } else { self.ways(blocks, to.chunk())? };
        let class = ways.classes.get(to.local());
        (class != CLOSED).then(|| self.costs.step(&self.mode, class, exit).into())
    }

    /// Why a voxel is no place for the mode, in words.
    pub fn refusal(&mut self, blocks: &mut dyn Blocks, registry: &Registry, at: VoxelPos) -> PathError {
        let block = |blocks: &mut dyn Blocks, at: VoxelPos| {
            let chunk = blocks.chunks(&[at.chunk()]).pop().flatten()?;
            Some(chunk.get(at.local()))
        };
        let reason = match block(blocks, at) {
            None => "its chunk is not loaded or can't be read".to_owned(),
            Some(id) => {
                let name = registry.name(id).unwrap_or("?");
                let footing = self.footings.get(usize::from(id.0)).copied().unwrap_or_default();
                if footing.through == 0 {
                    format!("{name} is in the way")
                } else if self.mode.walks() {
                    format!("the body does not fit there, or has nothing to stand on ({name} is at the voxel itself)")
                } else {
                    "the body does not fit there".to_owned()
                }
            }
        };
        PathError::Blocked { at, mode: self.mode.name.clone(), reason }
    }
}

/// A chunk and the 26 around it, as far as they are inside the world, the step along x fastest, then z, then y.
pub(super) fn around(pos: ChunkPos) -> [Option<ChunkPos>; 27] {
    std::array::from_fn(|at| one_around(pos, at))
}

/// One of the 27.
pub(super) fn one_around(pos: ChunkPos, at: usize) -> Option<ChunkPos> {
    let step = [at % 3, at / 9, at / 3 % 3].map(|part| part as i64 - 1);
    let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + step[axis]);
    ChunkPos::from_i64(x, y, z).ok()
}
