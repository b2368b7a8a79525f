//! Reading single voxels, fast: what a read needs of a chunk lies in one cache line, and the voxel in the map.

use crate::decoded::Decoded;
use crate::error::StoreError;
use crate::region::{self, RegionFile};
use crate::replay::READ_ATTEMPTS;
use crate::store::{Access, Store};
use crate::stored::Stored;
use crate::view::{PositionMap, View};
use std::sync::Arc;
use terrane_world::block::BlockId;
use terrane_world::chunk::Form;
use terrane_world::limits::REGION_CHUNKS;
use terrane_world::space::{RegionPos, VoxelPos};

/// Voxels of a batch that are looked up together: more misses than a processor keeps under way.
const TOGETHER: usize = 32;

/// What reading a voxel of one chunk needs, in one cache line. A uniform chunk is read like a u4 chunk whose table
/// holds nothing else, so that the two don't need a branch that nobody can predict.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Glance {
    /// First byte of the index column in the map.
    place: usize,
    /// Which bits of `local / 2` count: all of a u4 chunk's, none of a uniform one's.
    mask: usize,
    table: [BlockId; 16],
    /// Whether the slot has been verified and can be read this way.
    ready: bool,
}

/// A region at hand.
struct Near {
    view: Arc<View>,
    /// The view's file, if voxels can be read from its map.
    slots: Option<Arc<RegionFile>>,
    glances: Box<[Glance; REGION_CHUNKS]>,
}

/// A reading end for one thread: keeps the regions it has used at hand, so that a read takes no lock.
pub struct Reader {
    store: Arc<Store>,
    generation: u64,
    near: Vec<Near>,
    index: PositionMap<u32>,
    last: Option<(RegionPos, u32)>,
    /// Chunks of packed regions.
    decoded: Decoded,
}

impl Reader {
    /// A reading end of `store` that has nothing at hand yet.
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            generation: 0,
            near: Vec::new(),
            index: PositionMap::default(),
            last: None,
            decoded: Decoded::default(),
        }
    }

    /// The block of a voxel as last synced; `None` if its chunk is not stored.
    #[inline]
    pub fn voxel(&mut self, pos: VoxelPos) -> Result<Option<BlockId>, StoreError> {
        let (chunk, local) = (pos.chunk(), pos.local().index());
        let at = self.near(chunk.region())?;
        let near = &self.near[at];
        let glance = &near.glances[chunk.index_in_region()];
        if glance.ready
            && let Some(file) = &near.slots
        {
            let byte = file.map_byte(glance.place + (local / 2 & glance.mask));
            let block = glance.table[usize::from(byte >> (4 * (local & 1)) & 15)];
            if self.is_current(file) {
                return Ok(Some(block));
            }
        }
        self.voxel_of_any_form(pos)
    }

    /// The blocks of many voxels, in order, each as [`Reader::voxel`] gives it. Several times as fast when they lie
    /// scattered: memory is asked for a group of them at a time, and answers while the next ones are asked for.
    pub fn voxels(&mut self, positions: &[VoxelPos], out: &mut Vec<Option<BlockId>>) -> Result<(), StoreError> {
        out.reserve(positions.len());
        positions.chunks(TOGETHER).try_for_each(|group| self.group(group, out))
    }

    /// Short loops without branches or dependencies between voxels, so that a processor overlaps their misses.
    fn group(&mut self, group: &[VoxelPos], out: &mut Vec<Option<BlockId>>) -> Result<(), StoreError> {
        let generation = self.store.generation();
        let mut regions = [0; TOGETHER];
        for (region, pos) in regions.iter_mut().zip(group) {
            *region = self.near(pos.chunk().region())?;
        }
        let (mut places, mut bytes, mut ready) = ([0; TOGETHER], [0; TOGETHER], [false; TOGETHER]);
        // A generation that has changed meanwhile has emptied what the numbers of regions point into.
        if self.generation == generation {
            for ((pos, region), (place, ready)) in group.iter().zip(regions).zip(places.iter_mut().zip(&mut ready)) {
                let near = &self.near[region];
                let glance = &near.glances[pos.chunk().index_in_region()];
                *place = glance.place + (pos.local().index() / 2 & glance.mask);
                *ready = glance.ready && near.slots.is_some();
            }
            for ((place, region), (byte, ready)) in places.iter().zip(regions).zip(bytes.iter_mut().zip(&mut ready)) {
                if *ready && let Some(file) = &self.near[region].slots {
                    *byte = file.map_byte(*place);
                }
            }
        }
        for ((pos, region), (byte, ready)) in group.iter().zip(regions).zip(bytes.iter().zip(&ready)) {
            // A read of a single voxel may have emptied them as well.
            let near = self.near.get(region).filter(|_| *ready && self.generation == generation);
            let block = match near {
                Some(Near { slots, glances, .. }) if slots.as_ref().is_some_and(|file| self.is_current(file)) => {
                    let table = &glances[pos.chunk().index_in_region()].table;
                    Some(table[usize::from(byte >> (4 * (pos.local().index() & 1)) & 15)])
                }
                _ => self.voxel(*pos)?,
            };
            out.push(block);
        }
        Ok(())
    }

    /// Whether what was just read from the map can be believed: the file has not been cut, and the directory still
    /// stands. The writer's own switches raise the generation; another process's show in the map.
    #[inline]
    fn is_current(&self, file: &RegionFile) -> bool {
        let stands = match self.store.access() {
            Access::Write => self.store.generation() == self.generation,
            Access::Read => file.is_current(),
        };
        stands && !file.is_cut()
    }

    #[cold]
    fn voxel_of_any_form(&mut self, pos: VoxelPos) -> Result<Option<BlockId>, StoreError> {
        let (chunk, local) = (pos.chunk(), pos.local());
        let (region, index) = (chunk.region(), chunk.index_in_region());
        for _ in 0..READ_ATTEMPTS {
            let at = self.near(region)?;
            let near = &mut self.near[at];
            if let Some(held) = near.view.held(index) {
                return Ok(Some(held.chunk.get(local)));
            }
            let Some(file) = &near.view.file else { return Ok(None) };
            let block = match file {
                Stored::Slots(file) => file.voxel(index, local),
                Stored::Packed(file) => self.decoded.voxel(file, chunk, local),
            };
            // Only what was read while the directory still stood can be believed.
            if file.is_current() {
                if let Stored::Slots(file) = file {
                    near.glances[index] = glance_at(file, index);
                }
                return block;
            }
            self.store.reopen(region)?;
        }
        Err(StoreError::corrupt(&region::file_name(region), 0, "its directories change faster than they can be read"))
    }

    /// Where in `near` a region is, opened if need be.
    #[inline]
    fn near(&mut self, region: RegionPos) -> Result<usize, StoreError> {
        let generation = self.store.generation();
        if generation != self.generation {
            self.near.clear();
            self.index.clear();
            self.decoded.clear();
            self.last = None;
            self.generation = generation;
        }
        match self.last {
            Some((last, at)) if last == region => Ok(at as usize),
            _ => {
                let at = match self.index.get(&region) {
                    Some(at) => *at,
                    None => self.bring_near(region)?,
                };
                self.last = Some((region, at));
                Ok(at as usize)
            }
        }
    }

    #[cold]
    fn bring_near(&mut self, region: RegionPos) -> Result<u32, StoreError> {
        let view = self.store.view(region)?;
        let nothing = Glance { place: 0, mask: 0, table: [BlockId(0); 16], ready: false };
        let slots = view.file.as_ref().and_then(Stored::slots).cloned();
        self.near.push(Near { view, slots, glances: Box::new([nothing; REGION_CHUNKS]) });
        let at = self.near.len() as u32 - 1;
        self.index.insert(region, at);
        Ok(at)
    }
}

/// How to read a chunk at a glance, if its form allows it and its slot has been verified.
fn glance_at(file: &RegionFile, index: usize) -> Glance {
    let entry = file.entry(index);
    let mut glance =
        Glance { place: 0, mask: 0, table: [BlockId(entry.table); 16], ready: entry.form == Some(Form::Uniform) };
    if let (Some(Form::U4), Some(table)) = (entry.form, file.verified_table(index)) {
        glance = Glance { place: entry.place as usize, mask: usize::MAX, ready: true, ..glance };
        glance.table[..table.len()].copy_from_slice(table);
    }
    glance
}
