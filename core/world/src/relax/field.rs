//! The values of many chunks, kept true while voxels change.

use super::{Class, EXITS, FACES, Rules, bulk, opposite, queue};
use crate::block::BlockId;
use crate::chunk::{Chunk, Form, zeroed};
use crate::generate::simd::Level;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::space::{ChunkPos, LocalIndex, PlaceMap, VoxelPos};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

/// The classes of a tile's voxels, in local-index order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classes {
    /// The same everywhere.
    One(u8),
    /// One by one.
    Each(Box<[u8; CHUNK_VOXELS]>),
}

impl Classes {
    /// What `class` says of each voxel's block.
    pub fn of(chunk: &Chunk, class: impl Fn(BlockId) -> u8) -> Self {
        let table: Vec<u8> = chunk.table().iter().map(|block| class(*block)).collect();
        if let Some(first) = table.first()
            && table.iter().all(|class| class == first)
        {
            return Self::One(*first);
        }
        let data = chunk.data();
        let mut classes = zeroed::<u8, CHUNK_VOXELS>();
        let entry = |entry: usize| table.get(entry).copied().unwrap_or_default();
        match chunk.form() {
            Form::Uniform => unreachable!("its only entry is all of them"),
            Form::U4 => {
                let pairs: [[u8; 2]; 256] = std::array::from_fn(|byte| [entry(byte & 15), entry(byte >> 4)]);
                let all = classes.chunks_exact_mut(2).zip(data.iter());
                all.for_each(|(pair, byte)| pair.copy_from_slice(&pairs[usize::from(*byte)]));
            }
            Form::U8 => {
                let entries: [u8; 256] = std::array::from_fn(entry);
                classes.iter_mut().zip(data.iter()).for_each(|(class, byte)| *class = entries[usize::from(*byte)]);
            }
            Form::U16 => {
                let ids = data.chunks_exact(2).map(|id| BlockId(u16::from_le_bytes([id[0], id[1]])));
                classes.iter_mut().zip(ids).for_each(|(at, block)| *at = class(block));
            }
        }
        Self::Each(classes)
    }

    /// The class of a voxel.
    pub fn get(&self, local: LocalIndex) -> u8 {
        match self {
            Self::One(class) => *class,
            Self::Each(classes) => classes[local.index()],
        }
    }

    /// Gives one voxel another class.
    pub fn set(&mut self, local: LocalIndex, class: u8) {
        if let Self::One(all) = *self {
            if all == class {
                return;
            }
            let mut each = zeroed::<u8, CHUNK_VOXELS>();
            each.fill(all);
            *self = Self::Each(each);
        }
        if let Self::Each(classes) = self {
            classes[local.index()] = class;
        }
    }
}

/// The distances of a tile's voxels, in local-index order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// The same everywhere.
    One(u32),
    /// What is above a base; `u16::MAX` stands for none.
    Narrow {
        /// The base.
        base: u32,
        /// Distance less base.
        values: Box<[u16; CHUNK_VOXELS]>,
    },
    /// For a tile whose distances are further apart than 16 bits can tell.
    Wide(Box<[u32; CHUNK_VOXELS]>),
}

impl Values {
    /// The distance of a voxel; `limit` stands for none.
    pub fn get(&self, local: LocalIndex, limit: u32) -> u32 {
        self.get_index(local.index(), limit)
    }

    /// The same by plain index.
    pub(super) fn get_index(&self, index: usize, limit: u32) -> u32 {
        match self {
            Self::One(value) => *value,
            Self::Narrow { values, .. } if values[index] == u16::MAX => limit,
            Self::Narrow { base, values } => base + u32::from(values[index]),
            Self::Wide(values) => values[index],
        }
    }

    /// No distance in the tile is greater, unless it is none.
    pub fn at_most(&self, limit: u32) -> u32 {
        match self {
            Self::One(value) => {
                if *value < limit {
                    *value
                } else {
                    0
                }
            }
            Self::Narrow { base, .. } => base + u32::from(u16::MAX),
            Self::Wide(_) => self.most(limit).unwrap_or(0),
        }
    }

    /// The greatest distance there is in the tile; none if no voxel has one. `limit` stands for none.
    pub fn most(&self, limit: u32) -> Option<u32> {
        match self {
            Self::One(value) => (*value < limit).then_some(*value),
            Self::Narrow { base, values } => {
                values.iter().filter(|value| **value != u16::MAX).max().map(|value| base + u32::from(*value))
            }
            Self::Wide(values) => values.iter().filter(|value| **value < limit).max().copied(),
        }
    }

    fn set(&mut self, local: LocalIndex, distance: u32, limit: u32) {
        self.set_index(local.index(), distance, limit);
    }

    /// The same by plain index.
    pub(super) fn set_index(&mut self, index: usize, distance: u32, limit: u32) {
        if let Self::One(all) = *self {
            if all == distance {
                return;
            }
            let base = all.min(distance);
            let narrow = narrow(all, base, limit).zip(narrow(distance, base, limit));
            *self = narrow.map_or_else(
                || Self::wide(all),
                |(all, _)| {
                    let mut values = zeroed::<u16, CHUNK_VOXELS>();
                    values.fill(all);
                    Self::Narrow { base, values }
                },
            );
        }
        if let Self::Narrow { base, values } = self {
            if let Some(distance) = narrow(distance, *base, limit) {
                values[index] = distance;
                return;
            }
            let mut wide = zeroed::<u32, CHUNK_VOXELS>();
            for (wide, narrow) in wide.iter_mut().zip(values.iter()) {
                *wide = if *narrow == u16::MAX { limit } else { *base + u32::from(*narrow) };
            }
            *self = Self::Wide(wide);
        }
        if let Self::Wide(values) = self {
            values[index] = distance;
        }
    }

    fn wide(all: u32) -> Self {
        let mut values = zeroed::<u32, CHUNK_VOXELS>();
        values.fill(all);
        Self::Wide(values)
    }
}

/// A distance above a base in 16 bits, if it can be told so.
fn narrow(distance: u32, base: u32, limit: u32) -> Option<u16> {
    if distance >= limit {
        return Some(u16::MAX);
    }
    let above = distance.checked_sub(base)?;
    u16::try_from(above).ok().filter(|above| *above < u16::MAX)
}

/// For each voxel of a tile the exits that are open to it, as a mask.
pub type Exits = Arc<[u32; CHUNK_VOXELS]>;

/// A set of classes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kinds([u64; 4]);

impl Kinds {
    /// Those that occur.
    fn of(classes: &Classes) -> Self {
        let mut seen = [false; 256];
        match classes {
            Classes::One(class) => seen[usize::from(*class)] = true,
            Classes::Each(classes) => {
                for run in classes.as_chunks::<32>().0 {
                    let first = run[0];
                    seen[usize::from(first)] = true;
                    if run.iter().fold(0, |differ, class| differ | class ^ first) != 0 {
                        run.iter().for_each(|class| seen[usize::from(*class)] = true);
                    }
                }
            }
        }
        let mut kinds = Self::default();
        (0..=u8::MAX).filter(|class| seen[usize::from(*class)]).for_each(|class| kinds.add(class));
        kinds
    }

    fn add(&mut self, class: u8) {
        self.0[usize::from(class >> 6)] |= 1 << (class & 63);
    }

    /// Ascending.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |class| self.0[usize::from(class >> 6)] >> (class & 63) & 1 == 1)
    }
}

pub(super) struct Tile {
    pub(super) pos: ChunkPos,
    pub(super) classes: Classes,
    /// The classes that occur, and maybe some that did.
    pub(super) kinds: Kinds,
    /// Whether no voxel gains anything by another one of the tile.
    pub(super) is_settled: bool,
    /// Limits the exits of each voxel beyond its class.
    pub(super) exits: Option<Exits>,
    pub(super) values: Values,
    /// The tiles behind the six faces, in the order of [`EXITS`].
    pub(super) beside: [Option<u32>; 6],
}

impl Tile {
    fn change(&mut self, local: LocalIndex, change: Change) {
        self.classes.set(local, change.class);
        self.kinds.add(change.class);
        if let Some(mask) = change.exits.filter(|mask| self.exits.is_some() || *mask != u32::MAX) {
            let exits = self.exits.get_or_insert_with(|| Arc::new([u32::MAX; CHUNK_VOXELS]));
            Arc::make_mut(exits)[local.index()] = mask;
        }
    }
}

/// A voxel whose distance is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Where.
    pub pos: VoxelPos,
    /// The distance before; the limit for none.
    pub old: u32,
    /// The distance now.
    pub new: u32,
    /// If it lost its value because of a change: which, as an index into the changes given.
    pub origin: Option<u32>,
}

/// What an update did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updated {
    /// Voxels whose distance changed, in order of position.
    pub changed: Vec<Changed>,
    /// How often a voxel was looked at.
    pub visited: u64,
}

/// What following changes did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// The chunks in which a distance changed, ascending.
    pub chunks: Vec<ChunkPos>,
    /// How many distances changed. It depends on nothing but what was asked, unlike how often a voxel was looked at.
    pub changed: u64,
    /// How often a voxel was looked at.
    pub visited: u64,
}

/// The numbers of the bits that are set, in ascending order.
fn bits(mask: u32) -> impl Iterator<Item = usize> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(bit)
    })
}

/// Tile number and local index of a voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Address(u32);

impl Address {
    fn new(tile: u32, local: LocalIndex) -> Self {
        Self(tile << 15 | u32::from(local.get()))
    }
    const fn tile(self) -> usize {
        (self.0 >> 15) as usize
    }
    fn local(self) -> LocalIndex {
        LocalIndex::from_xyz((self.0 & 31) as usize, (self.0 >> 10 & 31) as usize, (self.0 >> 5 & 31) as usize)
    }
}

/// Tiles one field can hold: their number and a local index fit one word.
pub const TILES_MAX: usize = 1 << 17;

/// A voxel that waits, in the order of its rank, then of its position, then of the change that led to it.
type Waiting = Reverse<((u32, i32), VoxelPos, u32, Address)>;

/// Distances of the voxels of all tiles that were loaded. What is not loaded has no value.
pub struct Field {
    rules: Arc<Rules>,
    pub(super) tiles: Vec<Tile>,
    numbers: PlaceMap<ChunkPos, u32>,
    bulk: Option<Arc<dyn Bulk>>,
}

/// A chunk that is to be loaded: where, its classes, and masks that limit the exits of each voxel beyond its class.
pub type Given = (ChunkPos, Classes, Option<Exits>);

/// Something that solves many chunks at once: a graphics device.
pub trait Bulk: Send + Sync {
    /// The values of chunks that know nothing but each other, in their order; none to leave them to the CPU.
    fn solve(&self, rules: &Rules, chunks: &[Given]) -> Option<Vec<Values>>;
}

/// Looks at voxels after which what is still to be followed is done tile by tile: as many as a few tiles cost.
const FOLLOWED_MAX: u64 = 4_096;

/// Chunks from which on a load is worth handing over.
const BULK_CHUNKS_LEAST: usize = 8;

impl Field {
    /// A field without tiles.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules, tiles: Vec::new(), numbers: PlaceMap::default(), bulk: None }
    }

    /// The same field with something that large loads are handed to. Values do not depend on it.
    #[must_use]
    pub fn with_bulk(mut self, bulk: Option<Arc<dyn Bulk>>) -> Self {
        self.bulk = bulk;
        self
    }

    /// Its rules.
    pub const fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Whether a chunk is loaded.
    pub fn holds(&self, pos: ChunkPos) -> bool {
        self.numbers.contains_key(&pos)
    }

    /// The chunks that are loaded, in no order.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkPos> {
        self.tiles.iter().map(|tile| tile.pos)
    }

    /// The distance of a voxel: the limit for none, and where nothing is loaded.
    pub fn distance(&self, pos: VoxelPos) -> u32 {
        self.address(pos).map_or(self.rules.limit(), |at| self.distance_at(at))
    }

    /// The value of a voxel, as [`Rules::value`] tells it.
    pub fn value(&self, pos: VoxelPos) -> u32 {
        self.rules.value(self.distance(pos))
    }

    /// The distances of a chunk, if it is loaded.
    pub fn values(&self, pos: ChunkPos) -> Option<&Values> {
        self.numbers.get(&pos).map(|tile| &self.tiles[*tile as usize].values)
    }

    /// What a chunk is solved from: its classes, and what limits the exits of its voxels.
    pub fn given(&self, pos: ChunkPos) -> Option<(&Classes, Option<&Exits>)> {
        let tile = &self.tiles[*self.numbers.get(&pos)? as usize];
        Some((&tile.classes, tile.exits.as_ref()))
    }

    /// The class of a voxel, if its chunk is loaded.
    pub fn class(&self, pos: VoxelPos) -> Option<u8> {
        self.address(pos).map(|at| self.tiles[at.tile()].classes.get(at.local()))
    }

    /// Heap bytes of the tiles.
    pub fn memory_bytes(&self) -> usize {
        let bytes = |tile: &Tile| {
            let values = match tile.values {
                Values::One(_) => 0,
                Values::Narrow { .. } => 2 * CHUNK_VOXELS,
                Values::Wide(_) => 4 * CHUNK_VOXELS,
            };
            let classes = if matches!(tile.classes, Classes::One(_)) { 0 } else { CHUNK_VOXELS };
            size_of::<Tile>() + values + classes + tile.exits.as_ref().map_or(0, |_| 4 * CHUNK_VOXELS)
        };
        self.tiles.iter().map(bytes).sum()
    }

    /// Adds chunks and solves: values enter them from what is loaded already, and the other way round. Gives how often a
    /// voxel was looked at.
    ///
    /// # Panics
    /// If a chunk is loaded already, or there are more than [`TILES_MAX`].
    pub fn load(&mut self, chunks: Vec<(ChunkPos, Classes)>) -> u64 {
        self.load_limited(chunks.into_iter().map(|(pos, classes)| (pos, classes, None)).collect())
    }

    /// Adds chunks that are solved among themselves, and works out what they and the others mean to each other.
    fn load_solved(&mut self, chunks: Vec<Given>, values: Vec<Values>) -> u64 {
        let first = self.tiles.len() as u32;
        let kinds: Vec<Kinds> = chunks.par_iter().map(|(_, classes, _)| Kinds::of(classes)).collect();
        for (((pos, classes, exits), values), kinds) in chunks.into_iter().zip(values).zip(kinds) {
            self.push_tile(pos, classes, kinds, exits);
            let tile = self.tiles.last_mut().expect("just pushed");
            (tile.values, tile.is_settled) = (values, true);
        }
        let seams = (first..self.tiles.len() as u32).flat_map(|new| {
            let old = self.tiles[new as usize].beside.into_iter().flatten().filter(|other| *other < first);
            old.flat_map(|old| [old, new]).collect::<Vec<_>>()
        });
        let seams = seams.collect();
        bulk::solve(self, Level::best(), seams, &mut |_, _| ())
    }

    /// The same, with masks that limit the exits of each voxel beyond its class.
    pub fn load_limited(&mut self, chunks: Vec<Given>) -> u64 {
        let is_by_tiles = self.rules.exits() & !FACES == 0;
        let bulk = self.bulk.clone().filter(|_| is_by_tiles && chunks.len() >= BULK_CHUNKS_LEAST);
        if let Some(values) = bulk.and_then(|bulk| bulk.solve(&self.rules, &chunks)) {
            return self.load_solved(chunks, values);
        }
        let first = self.tiles.len() as u32;
        let kinds: Vec<Kinds> = chunks.par_iter().map(|(_, classes, _)| Kinds::of(classes)).collect();
        for ((pos, classes, exits), kinds) in chunks.into_iter().zip(kinds) {
            self.push_tile(pos, classes, kinds, exits);
        }
        if first == 0 && queue::fits(self) {
            return queue::solve(self);
        }
        if is_by_tiles {
            return bulk::solve(self, Level::best(), (first..self.tiles.len() as u32).collect(), &mut |_, _| ());
        }
        let mut queue = BinaryHeap::new();
        let mut run = Run { field: self, before: Vec::new(), visited: 0 };
        for tile in first..run.field.tiles.len() as u32 {
            run.seed_tile(tile, &mut queue);
        }
        run.settle(&mut queue, u64::MAX);
        let visited = run.visited;
        self.tiles[first as usize..].iter_mut().for_each(|tile| tile.is_settled = true);
        visited
    }

    fn push_tile(&mut self, pos: ChunkPos, classes: Classes, kinds: Kinds, exits: Option<Exits>) {
        let number = self.tiles.len() as u32;
        assert!(self.tiles.len() < TILES_MAX, "a field holds {TILES_MAX} chunks");
        assert!(self.numbers.insert(pos, number).is_none(), "chunk {pos} is loaded already");
        let mut beside = [None; 6];
        for (face, beside) in beside.iter_mut().enumerate() {
            let [x, y, z] = std::array::from_fn(|axis| i64::from(pos.to_array()[axis]) + i64::from(EXITS[face][axis]));
            let Ok(other) = ChunkPos::from_i64(x, y, z) else { continue };
            *beside = self.numbers.get(&other).copied();
            if let Some(other) = *beside {
                self.tiles[other as usize].beside[opposite(face)] = Some(number);
            }
        }
        let values = Values::One(self.rules.limit());
        self.tiles.push(Tile { pos, classes, kinds, is_settled: false, exits, values, beside });
    }

    /// Gives voxels other classes and follows what changes by that. A later entry for the same voxel wins; voxels that are
    /// not loaded are passed over.
    ///
    /// Values that are lost are cleared in the order in which they were settled, each only if nothing that is left gives
    /// it the same (steps that lose 0 are followed at equal values); then what borders on the cleared settles anew. After
    /// Ramalingam and Reps, *An incremental algorithm for a generalization of the shortest-path problem* (1996).
    pub fn update(&mut self, changes: &[(VoxelPos, u8)]) -> Updated {
        self.update_by(changes.iter().map(|(pos, class)| Change { pos: *pos, class: *class, exits: None }))
    }

    fn update_by(&mut self, changes: impl Iterator<Item = Change>) -> Updated {
        let mut run = Run { field: self, before: Vec::new(), visited: 0 };
        let (cleared, mut queue) = run.take_in(changes);
        run.settle(&mut queue, u64::MAX);
        let Run { before, visited, .. } = run;
        Updated { changed: self.changed(before, &cleared), visited }
    }

    /// Gives voxels other classes and other limits on their exits, and follows what changes by that without telling what
    /// becomes of each: so what goes far is done tile by tile.
    pub fn follow(&mut self, changes: &[(VoxelPos, u8, u32)]) -> Followed {
        let changes =
            changes.iter().map(|(pos, class, exits)| Change { pos: *pos, class: *class, exits: Some(*exits) });
        let mut run = Run { field: self, before: Vec::new(), visited: 0 };
        let (_, mut queue) = run.take_in(changes);
        let is_by_tiles = run.field.rules.exits() & !FACES == 0;
        run.settle(&mut queue, if is_by_tiles { run.visited + FOLLOWED_MAX } else { u64::MAX });
        let Run { before, mut visited, .. } = run;
        let mut active = BTreeSet::new();
        for Reverse((.., at)) in queue {
            active.insert(at.tile() as u32);
            // What has a value already changes no more, so its own tile would not tell the ones beside it.
            active.extend(self.tiles_at(at));
        }
        active.iter().for_each(|tile| self.tiles[*tile as usize].is_settled = false);
        let mut replaced: PlaceMap<u32, Values> = PlaceMap::default();
        if !active.is_empty() {
            visited += bulk::solve(self, Level::best(), active, &mut |tile, values| {
                replaced.entry(tile).or_insert(values);
            });
        }
        let (chunks, changed) = self.differing(before, replaced);
        Followed { chunks, changed, visited }
    }

    /// The chunks in which a distance is another than before, ascending, and how many are. Voxels were written one by one
    /// first, each with what stood there (`before`), and then whole tiles were (`replaced`).
    fn differing(&self, mut before: Vec<(Address, u32)>, mut replaced: PlaceMap<u32, Values>) -> (Vec<ChunkPos>, u64) {
        let limit = self.rules.limit();
        let mut counts: BTreeMap<ChunkPos, u64> = BTreeMap::new();
        // Stable: of what was written twice the first stands first.
        before.sort_by_key(|(at, _)| *at);
        before.dedup_by_key(|(at, _)| *at);
        for (at, old) in before {
            match replaced.get_mut(&(at.tile() as u32)) {
                Some(values) => values.set(at.local(), old, limit),
                None if old != self.distance_at(at) => *counts.entry(self.tiles[at.tile()].pos).or_default() += 1,
                None => {}
            }
        }
        for (tile, old) in &replaced {
            let tile = &self.tiles[*tile as usize];
            let differs = |index: &usize| old.get_index(*index, limit) != tile.values.get_index(*index, limit);
            let changed = (0..CHUNK_VOXELS).filter(differs).count() as u64;
            if changed > 0 {
                counts.insert(tile.pos, changed);
            }
        }
        let changed = counts.values().sum();
        (counts.into_keys().collect(), changed)
    }

    /// The tiles that a voxel at the border of its own lies beside.
    fn tiles_at(&self, at: Address) -> impl Iterator<Item = u32> {
        let (local, beside) = (at.local(), self.tiles[at.tile()].beside);
        let edge = CHUNK_EDGE - 1;
        let on =
            [local.y() == 0, local.y() == edge, local.z() == 0, local.z() == edge, local.x() == 0, local.x() == edge];
        (0..6).filter(move |face| on[*face]).filter_map(move |face| beside[face])
    }

    fn changed(&self, mut before: Vec<(Address, u32)>, cleared: &[(Address, u32)]) -> Vec<Changed> {
        before.sort_by_key(|(at, _)| *at);
        before.dedup_by_key(|(at, _)| *at);
        let origins: PlaceMap<Address, u32> = cleared.iter().copied().collect();
        let mut changed: Vec<Changed> = before
            .into_iter()
            .map(|(at, old)| Changed {
                pos: self.pos(at),
                old,
                new: self.distance_at(at),
                origin: origins.get(&at).copied(),
            })
            .filter(|changed| changed.old != changed.new)
            .collect();
        changed.sort_unstable_by_key(|changed| changed.pos);
        changed
    }

    fn address(&self, pos: VoxelPos) -> Option<Address> {
        self.numbers.get(&pos.chunk()).map(|tile| Address::new(*tile, pos.local()))
    }

    fn pos(&self, at: Address) -> VoxelPos {
        self.tiles[at.tile()].pos.voxel(at.local())
    }

    fn distance_at(&self, at: Address) -> u32 {
        self.tiles[at.tile()].values.get(at.local(), self.rules.limit())
    }

    /// The class of a voxel and the exits that are open to it.
    fn class_at(&self, at: Address) -> (&Class, u32) {
        let tile = &self.tiles[at.tile()];
        let class = &self.rules.classes()[usize::from(tile.classes.get(at.local()))];
        (class, class.exits & tile.exits.as_ref().map_or(u32::MAX, |exits| exits[at.local().index()]))
    }

    /// The voxel that lies beside another through an exit, if it is loaded.
    fn beside(&self, at: Address, exit: usize) -> Option<Address> {
        let mut tile = at.tile() as u32;
        let local = at.local();
        let mut to = [local.x(), local.y(), local.z()];
        for axis in 0..3 {
            let moved = to[axis] as i32 + EXITS[exit][axis];
            to[axis] = (moved & (CHUNK_EDGE as i32 - 1)) as usize;
            if moved as usize != to[axis] {
                let face = [4, 0, 2][axis] + usize::from(moved > 0);
                // Over an edge the tile between may be missing, though the one behind it is there.
                tile = match self.tiles[tile as usize].beside[face] {
                    Some(tile) => tile,
                    None => return self.beside_by_position(at, exit),
                };
            }
        }
        Some(Address::new(tile, LocalIndex::from_xyz(to[0], to[1], to[2])))
    }

    fn beside_by_position(&self, at: Address, exit: usize) -> Option<Address> {
        if exit < 6 {
            return None;
        }
        let from = self.pos(at).to_array();
        let [x, y, z] = std::array::from_fn(|axis| i64::from(from[axis]) + i64::from(EXITS[exit][axis]));
        self.address(VoxelPos::from_i64(x, y, z).ok()?)
    }
}

/// A voxel that becomes another.
struct Change {
    pos: VoxelPos,
    class: u8,
    exits: Option<u32>,
}

/// One run of work on a field.
struct Run<'a> {
    field: &'a mut Field,
    /// What stood where something was written, in the order of writing.
    before: Vec<(Address, u32)>,
    visited: u64,
}

impl Run<'_> {
    /// Makes changes, clears what is lost by them, and queues what gains. Gives the cleared as [`Run::clear`] does.
    fn take_in(&mut self, changes: impl Iterator<Item = Change>) -> (Vec<(Address, u32)>, BinaryHeap<Waiting>) {
        let mut queue = BinaryHeap::new();
        let mut seeds = Vec::new();
        for (origin, change) in changes.enumerate() {
            let Some(at) = self.field.address(change.pos) else { continue };
            self.field.tiles[at.tile()].change(at.local(), change);
            seeds.push(at);
            queue.push(self.waiting(at, self.field.distance_at(at), origin as u32));
            if self.field.rules.giver_pays() {
                // What took from it has paid by its old class.
                self.followers(at, |run, to, _, _| {
                    seeds.push(to);
                    queue.push(run.waiting(to, run.field.distance_at(to), origin as u32));
                });
            }
        }
        let cleared = self.clear(queue);
        seeds.extend(cleared.iter().map(|(at, _)| *at));
        let queue = self.seeds(&seeds);
        (cleared, queue)
    }

    fn waiting(&self, at: Address, distance: u32, origin: u32) -> Waiting {
        let pos = self.field.pos(at);
        Reverse((self.field.rules.rank(distance, pos.y()), pos, origin, at))
    }

    fn set(&mut self, at: Address, distance: u32) {
        let limit = self.field.rules.limit();
        self.before.push((at, self.field.distance_at(at)));
        self.field.tiles[at.tile()].values.set(at.local(), distance, limit);
    }

    /// The best distance that a voxel gets from itself and from neighbours that settled before `rank`.
    fn best(&mut self, at: Address, rank: Option<(u32, i32)>) -> u32 {
        self.visited += 1;
        let rules = &self.field.rules;
        let (class, open) = self.field.class_at(at);
        let mut best = rules.own(class);
        for exit in bits(open) {
            let Some(from) = self.field.beside(at, exit) else { continue };
            let distance = self.field.distance_at(from);
            if rank.is_none_or(|rank| rules.rank(distance, self.field.pos(from).y()) < rank) {
                let payer = if rules.giver_pays() { self.field.class_at(from).0 } else { class };
                best = best.min(rules.step(payer, exit, distance));
            }
        }
        best
    }

    /// Clears every value that nothing gives any more. Gives the cleared, each with the change that led to it.
    fn clear(&mut self, mut queue: BinaryHeap<Waiting>) -> Vec<(Address, u32)> {
        let limit = self.field.rules.limit();
        let mut cleared = Vec::new();
        while let Some(Reverse((rank, _, origin, at))) = queue.pop() {
            let old = self.field.distance_at(at);
            if old == limit {
                continue;
            }
            let best = self.best(at, Some(rank));
            if best <= old {
                continue;
            }
            self.set(at, limit);
            cleared.push((at, origin));
            self.followers(at, |run, to, class, exit| {
                let distance = run.field.distance_at(to);
                if distance < limit && run.field.rules.step(&class, exit, old) == distance {
                    queue.push(run.waiting(to, distance, origin));
                }
            });
        }
        cleared
    }

    /// Calls `each` for every voxel that may take its value from `at`, with the class of who pays and the exit through which
    /// it does.
    fn followers(&mut self, at: Address, mut each: impl FnMut(&mut Self, Address, Class, usize)) {
        let exits = self.field.rules.exits();
        for exit in bits(exits) {
            let Some(to) = self.field.beside(at, opposite(exit)) else { continue };
            self.visited += 1;
            let (class, open) = self.field.class_at(to);
            if open >> exit & 1 == 1 {
                let class = if self.field.rules.giver_pays() { *self.field.class_at(at).0 } else { *class };
                each(self, to, class, exit);
            }
        }
    }

    /// Gives voxels the best that their neighbours offer, and queues those that gained by it.
    fn seeds(&mut self, voxels: &[Address]) -> BinaryHeap<Waiting> {
        let mut queue = BinaryHeap::new();
        for at in voxels {
            let best = self.best(*at, None);
            if best < self.field.distance_at(*at) {
                self.set(*at, best);
                queue.push(self.waiting(*at, best, 0));
            }
        }
        queue
    }

    /// Queues what gives a new tile its first values: its sources, and what enters over its faces.
    fn seed_tile(&mut self, tile: u32, queue: &mut BinaryHeap<Waiting>) {
        let all = (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new);
        let voxels: Vec<Address> = all.map(|local| Address::new(tile, local)).collect();
        queue.extend(self.seeds(&voxels));
    }

    /// Dijkstra's algorithm (1959) from what is queued, until nothing is or so many voxels have been looked at.
    fn settle(&mut self, queue: &mut BinaryHeap<Waiting>, visited_max: u64) {
        while self.visited < visited_max
            && let Some(Reverse(((distance, _), _, _, at))) = queue.pop()
        {
            if self.field.distance_at(at) != distance {
                continue;
            }
            self.followers(at, |run, to, class, exit| {
                let better = run.field.rules.step(&class, exit, distance);
                if better < run.field.distance_at(to) {
                    run.set(to, better);
                    queue.push(run.waiting(to, better, 0));
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
