//! Light: what comes down from the sky and what blocks give off, 0 to 15 each.
//!
//! Every voxel takes the best of its six neighbours less what it swallows (`light_loss`). Light of the sky enters over the
//! top of the world and loses nothing on its way down through what swallows 1. Light is worked out, never stored, and
//! decides nothing.
//!
//! A way of light that arrives has gone sideways and up 14 voxels at most, and down any number of them. So the light of a
//! chunk is known from the chunks one sideways and one below, and all that are above those.

mod tables;

pub use tables::{Sky, block_table, sky_table};

use crate::block::{BlockId, Registry};
use crate::chunk::{Chunk, zeroed};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS, VERTICAL_BOUND};
use crate::relax::{Bulk, Field, TILES_MAX, Table, Values};
use crate::resident::Residency;
use crate::space::{ChunkPos, LocalIndex, VoxelPos};
use crate::step::SourceError;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use tables::{TOP_CHUNK, classes};

/// The most there is of either light.
pub const FULL: u32 = 15;

/// How far from a chunk, in chunks, light still matters to it: less than 15 voxels.
const AROUND: i32 = 1;
/// Columns of chunks that a chunk is lit from.
const COLUMNS: usize = (2 * AROUND as usize + 1).pow(2);
/// Heap bytes that light may take before it is dropped, to be worked out again where it is asked for.
const BYTES_MAX: usize = 512 << 20;
/// Chunks that may be held before all are dropped: what is loaded at once has to fit as well.
const CHUNKS_MAX: usize = TILES_MAX / 2;
/// Chunks of which light may be loaded at once, wherever they are.
pub const PREPARED_MAX: usize = (TILES_MAX - CHUNKS_MAX) / (COLUMNS * HEIGHT);
/// Chunks of a column.
const HEIGHT: usize = 2 * VERTICAL_BOUND as usize / CHUNK_EDGE;
/// Changed voxels that may wait: from there on it is cheaper to begin anew.
const PENDING_MAX: usize = 1 << 18;
/// Chunks that were told, then dropped, and are still watched; if there are more, all of them count as changed.
const STALE_MAX: usize = 1 << 18;

const _: () = assert!(AROUND * CHUNK_EDGE as i32 >= FULL as i32, "light ends within the chunks beside");
const _: () = assert!(PREPARED_MAX >= 16, "the columns of a region can be lit at once");

/// Changed voxels that are worked in at once where work is limited: under a high sky each may mean hundreds, and what is cut
/// into smaller parts takes longer in all.
const PART_VOXELS: usize = 128;

/// A column of chunks: x and z.
type Stack = [i32; 2];

const fn stack(pos: ChunkPos) -> Stack {
    [pos.x(), pos.z()]
}

/// Light as worked out so far: derived from blocks, so it can be dropped and worked out again at any time.
///
/// [`Light::set`] and [`Light::replace`] only note what has changed; [`Light::settle`] works it in, and so does every
/// question.
pub struct Light {
    sky_rules: Sky,
    block_rules: Table,
    bulk: Option<Arc<dyn Bulk>>,
    sky: Field,
    block: Field,
    /// Of each column that `sky` holds, its lowest chunk there. Columns are held from the top of the world down.
    lowest: HashMap<Stack, i32>,
    /// Chunks that could not be read.
    dark: HashSet<ChunkPos>,
    /// Chunks whose light was told, is held and has not changed since.
    told: HashSet<ChunkPos>,
    /// Chunks whose light was told and is not held any more: by column and height.
    stale: BTreeSet<(Stack, i32)>,
    /// Blocks that have changed since light was last worked out.
    pending: Vec<(VoxelPos, BlockId)>,
    /// Chunks whose light was told and is not so any more, until somebody takes their names.
    changed: BTreeSet<ChunkPos>,
}

impl Light {
    /// Nothing worked out yet.
    ///
    /// # Panics
    /// Never: losses of 1 to 15 and lights of 0 to 15 make 240 classes at most, and all lose something sideways.
    pub fn new(registry: &Registry) -> Self {
        let sky_rules = Sky::new(registry).expect("at most 31 classes");
        let block_rules = block_table(registry).expect("at most 241 classes");
        Self {
            sky: Field::new(Arc::clone(sky_rules.table().rules())),
            block: Field::new(Arc::clone(block_rules.rules())),
            bulk: None,
            sky_rules,
            block_rules,
            lowest: HashMap::new(),
            dark: HashSet::new(),
            told: HashSet::new(),
            stale: BTreeSet::new(),
            pending: Vec::new(),
            changed: BTreeSet::new(),
        }
    }

    /// The same with something that large loads are handed to. Values do not depend on it.
    #[must_use]
    pub fn with_bulk(mut self, bulk: Option<Arc<dyn Bulk>>) -> Self {
        self.sky = self.sky.with_bulk(bulk.clone());
        self.block = self.block.with_bulk(bulk.clone());
        self.bulk = bulk;
        self
    }

    /// Drops what is worked out.
    pub fn forget(&mut self) {
        self.sky = Field::new(Arc::clone(self.sky_rules.table().rules())).with_bulk(self.bulk.clone());
        self.block = Field::new(Arc::clone(self.block_rules.rules())).with_bulk(self.bulk.clone());
        self.lowest.clear();
        self.dark.clear();
        // What still waits is not worked in any more, so what it may mean is assumed.
        let waiting: BTreeSet<ChunkPos> =
            std::mem::take(&mut self.pending).iter().map(|(pos, _)| pos.chunk()).collect();
        waiting.into_iter().for_each(|pos| self.told_changed(pos));
        self.stale.extend(self.told.drain().map(|pos| (stack(pos), pos.y())));
        if self.stale.len() > STALE_MAX {
            let all = std::mem::take(&mut self.stale);
            self.changed.extend(all.into_iter().map(|([x, z], y)| ChunkPos::new(x, y, z).expect("it was told")));
        }
    }

    /// Heap bytes of what is worked out.
    pub fn memory_bytes(&self) -> usize {
        self.sky.memory_bytes() + self.block.memory_bytes()
    }

    /// How many chunks light is held of.
    pub fn chunk_count(&self) -> usize {
        self.sky.chunks().count()
    }

    /// Notes that a voxel is another block than before.
    pub fn set(&mut self, pos: VoxelPos, block: BlockId) {
        self.doubt(pos.chunk());
        if !self.sky.holds(pos.chunk()) {
            return;
        }
        self.pending.push((pos, block));
        if self.pending.len() > PENDING_MAX {
            self.forget();
        }
    }

    /// Notes that a chunk has other blocks than before, whichever they are.
    pub fn replace(&mut self, pos: ChunkPos, chunk: &Chunk) {
        self.doubt(pos);
        self.dark.remove(&pos);
        if !self.sky.holds(pos) {
            return;
        }
        self.settle();
        let voxels = (0..).map_while(LocalIndex::new).map(|local| (pos.voxel(local), chunk.get(local)));
        let other = |(at, block): &(VoxelPos, BlockId)| {
            let is = |held: Option<u8>, class: u8| held.is_none_or(|held| held == class);
            !is(self.sky.class(*at), self.sky_rules.class(*at, *block))
                || !is(self.block.class(*at), self.block_rules.class(*block))
        };
        self.pending = voxels.filter(other).collect();
    }

    /// Chunks around a change that were told and are not held count as changed.
    fn doubt(&mut self, pos: ChunkPos) {
        if self.stale.is_empty() {
            return;
        }
        for at in around(pos) {
            let hit: Vec<_> = self.stale.range((at, i32::MIN)..=(at, pos.y() + AROUND)).copied().collect();
            for ([x, z], y) in hit {
                self.stale.remove(&([x, z], y));
                self.changed.insert(ChunkPos::new(x, y, z).expect("it was told"));
            }
        }
    }

    /// Chunks around a change that were told count as changed.
    fn told_changed(&mut self, pos: ChunkPos) {
        let near = around(pos);
        let hit = |told: &ChunkPos| near.contains(&stack(*told)) && told.y() <= pos.y() + AROUND;
        self.changed.extend(self.told.extract_if(hit));
    }

    /// Works in what was noted.
    pub fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            self.work_in(&pending);
        }
    }

    /// Works in what was noted, in parts, until voxels have been looked at `visits` times. Gives whether that was all.
    pub fn settle_some(&mut self, visits: u64) -> bool {
        let pending = std::mem::take(&mut self.pending);
        let (mut parts, mut visited) = (pending.chunks(PART_VOXELS), 0);
        while visited < visits
            && let Some(part) = parts.next()
        {
            visited += self.work_in(part);
        }
        self.pending = parts.flatten().copied().collect();
        self.pending.is_empty()
    }

    /// Works in changes, and gives how often a voxel was looked at.
    fn work_in(&mut self, pending: &[(VoxelPos, BlockId)]) -> u64 {
        let mut visited = 0;
        let sky: BTreeMap<VoxelPos, u8> =
            pending.iter().map(|(pos, block)| (*pos, self.sky_rules.class(*pos, *block))).collect();
        let block: BTreeMap<VoxelPos, u8> =
            pending.iter().map(|(pos, block)| (*pos, self.block_rules.class(*block))).collect();
        for (field, classes) in [(&mut self.sky, sky), (&mut self.block, block)] {
            let other = |(pos, class): &(VoxelPos, u8)| field.class(*pos).is_some_and(|held| held != *class);
            let changes: Vec<(VoxelPos, u8)> = classes.into_iter().filter(other).collect();
            let updated = field.update(&changes);
            visited += updated.visited;
            let chunks = updated.changed.iter().map(|changed| changed.pos.chunk());
            self.changed.extend(chunks.filter(|pos| self.told.remove(pos)));
        }
        visited
    }

    /// Chunks whose light was told and is another now, or may be; each is named once until it is told again. Ascending.
    pub fn take_changed(&mut self) -> Vec<ChunkPos> {
        self.settle();
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// The light of every voxel of a chunk in local-index order: of the sky in the high four bits, of blocks in the low
    /// ones. What is around it and not held is fetched. A chunk that can't be read is an error if it is this one, and
    /// dark otherwise.
    pub fn values(
        &mut self,
        tick: u64,
        pos: ChunkPos,
        chunks: &mut Residency,
    ) -> Result<Box<[u8; CHUNK_VOXELS]>, SourceError> {
        self.prepare(tick, &[pos], chunks);
        if self.dark.contains(&pos) {
            self.read_again(tick, pos, chunks)?;
        }
        self.settle();
        self.told.insert(pos);
        self.stale.remove(&(stack(pos), pos.y()));
        self.changed.remove(&pos);
        let mut values = zeroed();
        write(&self.sky, pos, 4, &mut values);
        write(&self.block, pos, 0, &mut values);
        Ok(values)
    }

    /// Loads at once what lights some chunks and is not held, so that [`Light::values`] finds it.
    ///
    /// # Panics
    /// If there are more than [`PREPARED_MAX`].
    pub fn prepare(&mut self, tick: u64, centres: &[ChunkPos], chunks: &mut Residency) {
        assert!(centres.len() <= PREPARED_MAX, "{} chunks at once; {PREPARED_MAX} is the most", centres.len());
        if centres.iter().all(|pos| self.told.contains(pos)) {
            return;
        }
        if self.memory_bytes() > BYTES_MAX || self.chunk_count() > CHUNKS_MAX {
            self.forget();
        }
        let Missing { bottoms, sky, block } = self.missing(centres);
        self.load(tick, &sky, &block, chunks);
        self.lowest.extend(bottoms);
    }

    /// The chunks that would have to be loaded to tell the light of a chunk, ascending.
    pub fn needed(&self, pos: ChunkPos) -> Vec<ChunkPos> {
        if self.told.contains(&pos) {
            return Vec::new();
        }
        let Missing { sky, mut block, .. } = self.missing(&[pos]);
        block.extend(sky);
        block.into_iter().collect()
    }

    /// What lights some chunks and is not held.
    fn missing(&self, centres: &[ChunkPos]) -> Missing {
        let mut bottoms: BTreeMap<Stack, i32> = BTreeMap::new();
        for centre in centres {
            let bottom = (centre.y() - AROUND).max(-TOP_CHUNK - 1);
            for at in around(*centre) {
                bottoms.entry(at).and_modify(|lowest| *lowest = bottom.min(*lowest)).or_insert(bottom);
            }
        }
        bottoms.retain(|at, bottom| *bottom < self.held_from(*at));
        let column = |(at, bottom): (&Stack, &i32)| {
            let ([x, z], heights) = (*at, *bottom..self.held_from(*at));
            heights.filter_map(move |y| ChunkPos::new(x, y, z).ok()).collect::<Vec<_>>()
        };
        let sky = bottoms.iter().flat_map(column).collect();
        let block = centres.iter().flat_map(|pos| cube(*pos)).filter(|pos| !self.block.holds(*pos)).collect();
        Missing { bottoms, sky, block }
    }

    /// The lowest chunk of a column that light of the sky is held of.
    fn held_from(&self, at: Stack) -> i32 {
        self.lowest.get(&at).copied().unwrap_or(TOP_CHUNK + 1)
    }

    fn load(&mut self, tick: u64, sky: &[ChunkPos], block: &BTreeSet<ChunkPos>, chunks: &mut Residency) {
        let needed: BTreeSet<ChunkPos> = sky.iter().chain(block).copied().collect();
        if needed.is_empty() {
            return;
        }
        self.dark.extend(chunks.fetch(tick, &needed.into_iter().collect::<Vec<_>>()).into_keys());
        let read = |pos: ChunkPos| chunks.get(pos).map(|held| &*held.chunk);
        let of_sky = |pos: &ChunkPos| (*pos, self.sky_rules.classes(*pos, read(*pos)));
        let of_block = |pos: &ChunkPos| (*pos, classes(&self.block_rules, read(*pos)));
        let (sky, block) = (sky.iter().map(of_sky).collect(), block.iter().map(of_block).collect());
        self.sky.load(sky);
        self.block.load(block);
    }

    /// Tries again to read a chunk that could not be read.
    fn read_again(&mut self, tick: u64, pos: ChunkPos, chunks: &mut Residency) -> Result<(), SourceError> {
        if let Some(error) = chunks.fetch(tick, &[pos]).remove(&pos) {
            return Err(error);
        }
        let chunk = Arc::clone(&chunks.get(pos).expect("just fetched").chunk);
        self.replace(pos, &chunk);
        Ok(())
    }
}

/// What lights some chunks and is not held.
struct Missing {
    /// Columns that don't reach down far enough, each with the lowest chunk that it has to hold.
    bottoms: BTreeMap<Stack, i32>,
    /// Their chunks.
    sky: Vec<ChunkPos>,
    /// Chunks whose blocks may shine on it.
    block: BTreeSet<ChunkPos>,
}

/// The columns that matter to a chunk's light, inside the world or not.
fn around(pos: ChunkPos) -> [Stack; COLUMNS] {
    let edge = 2 * AROUND + 1;
    std::array::from_fn(|n| [pos.x() + n as i32 % edge - AROUND, pos.z() + n as i32 / edge - AROUND])
}

/// The chunks whose blocks' light reaches a chunk.
fn cube(centre: ChunkPos) -> impl Iterator<Item = ChunkPos> {
    let layers = centre.y() - AROUND..=centre.y() + AROUND;
    layers.flat_map(move |y| around(centre).into_iter().filter_map(move |[x, z]| ChunkPos::new(x, y, z).ok()))
}

/// Adds the values of a chunk to `out`, shifted up.
fn write(field: &Field, pos: ChunkPos, shift: u32, out: &mut [u8; CHUNK_VOXELS]) {
    let value = |distance: u32| (field.rules().value(distance) << shift) as u8;
    match field.values(pos).expect("loaded before") {
        Values::One(distance) => {
            let value = value(*distance);
            out.iter_mut().for_each(|out| *out |= value);
        }
        values => {
            for (out, local) in out.iter_mut().zip((0..).map_while(LocalIndex::new)) {
                *out |= value(values.get(local, FULL));
            }
        }
    }
}
