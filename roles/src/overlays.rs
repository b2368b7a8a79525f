//! Overlay frames: made when somebody wants to see them, and kept until they may be others. Support may when something changes
//! near by; whose light has become another, the world says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use terrane_protocol::OverlayKind;
use terrane_protocol::overlay::{Values, encode_overlay};
use terrane_world::chunk::Version;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::{ChunkPos, ColumnPos};
use terrane_world::step::{Deltas, Held, SourceError, World};

/// A column of chunks: x and z.
type Stack = [i32; 2];

/// Frames that were made, shared by all who want them.
#[derive(Default)]
pub struct Overlays {
    frames: HashMap<(ChunkPos, OverlayKind), Arc<[u8]>>,
    bytes: usize,
    /// Chunks with voxels whose change support has not followed yet.
    marked: BTreeMap<ColumnPos, BTreeSet<ChunkPos>>,
}

impl Overlays {
    /// A frame that was made before and still holds.
    pub fn get(&self, pos: ChunkPos, kind: OverlayKind) -> Option<Arc<[u8]>> {
        self.frames.get(&(pos, kind)).cloned()
    }

    /// Keeps a frame. If that makes more than `bytes_max`, the others go: they can be made again.
    pub fn put(&mut self, pos: ChunkPos, kind: OverlayKind, frame: &Arc<[u8]>, bytes_max: usize) {
        if self.bytes + frame.len() > bytes_max {
            self.frames.clear();
            self.bytes = 0;
        }
        self.bytes += frame.len();
        if let Some(before) = self.frames.insert((pos, kind), Arc::clone(frame)) {
            self.bytes -= before.len();
        }
    }

    /// Takes a durable tick in: the support of these chunks may be something else now. What a change means to support is
    /// found out in a tick after it, so that the chunk is named a second time then.
    pub fn update(&mut self, deltas: &Deltas) -> BTreeSet<ChunkPos> {
        let mut changed: BTreeSet<ChunkPos> = deltas.chunks.iter().map(|delta| delta.pos).collect();
        for update in &deltas.columns {
            changed.extend(self.marked.remove(&update.column).into_iter().flatten());
            let marked: BTreeSet<ChunkPos> = update.state.marks.keys().map(|pos| pos.chunk()).collect();
            if !marked.is_empty() {
                self.marked.insert(update.column, marked);
            }
        }
        let stale: BTreeSet<ChunkPos> = changed.into_iter().flat_map(around).collect();
        stale.iter().for_each(|pos| self.spoil(*pos, OverlayKind::Support));
        stale
    }

    /// An overlay of a chunk may be another one now.
    pub fn spoil(&mut self, pos: ChunkPos, kind: OverlayKind) {
        if let Some(frame) = self.frames.remove(&(pos, kind)) {
            self.bytes -= frame.len();
        }
    }
}

/// What may be worked out in one step, counted in [`LIGHT_WORK`].
pub struct Budget {
    /// Work that may be done.
    pub work: usize,
    /// Work that has been done.
    pub spent: usize,
    /// Chunks that may still be loaded, to tell the light of others.
    pub loads: usize,
    /// Whether nothing has been loaded yet.
    pub is_fresh: bool,
}

/// Work in telling the light of a chunk when everything is at hand.
pub const LIGHT_WORK: usize = 1;
/// Work in telling the support of a chunk: it takes several times as long.
pub const SUPPORT_WORK: usize = 4;

/// Makes the frame of a chunk as the world stands, and counts the work. None if it has to wait for another step.
pub fn make(world: &mut World, pos: ChunkPos, kind: OverlayKind, budget: &mut Budget) -> Option<Arc<[u8]>> {
    let held = match kind {
        OverlayKind::Light if !load_for_light(world, pos, budget) => return None,
        _ => world.chunk(pos),
    };
    let (values, work) = match (kind, &held) {
        (_, Err(_)) => (None, SUPPORT_WORK),
        (OverlayKind::Support, Ok(held)) if is_empty(world, &held.chunk) => (Some(zeros()), 0),
        (OverlayKind::Support, Ok(_)) => (world.support(pos), SUPPORT_WORK),
        (OverlayKind::Light, Ok(_)) => (world.light(pos).ok(), LIGHT_WORK),
    };
    budget.spent += work;
    Some(frame(pos, kind, &held, values.as_deref()))
}

fn frame(pos: ChunkPos, kind: OverlayKind, held: &Result<Held, SourceError>, values: Option<&Values>) -> Arc<[u8]> {
    let version = held.as_ref().map_or(Version::NONE, |held| held.version);
    let mut frame = Vec::new();
    encode_overlay(pos, kind, version, values, &mut frame);
    frame.into()
}

/// Whether the light of a chunk may be told in this step: everything beside it and above it, up to the sky, is loaded for that,
/// after it has been fetched over several steps if it is much.
fn load_for_light(world: &mut World, pos: ChunkPos, budget: &mut Budget) -> bool {
    let (count, absent) = world.light_needs(pos);
    if count == 0 {
        return true;
    }
    if count > budget.loads && !budget.is_fresh {
        return false;
    }
    let part = &absent[..absent.len().min(budget.loads)];
    (budget.loads, budget.is_fresh) = (budget.loads.saturating_sub(count), false);
    if part.len() == absent.len() {
        return true;
    }
    world.prefetch(part);
    // What can't be read is not waited for.
    world.light_needs(pos).1.len() == absent.len()
}

/// Where light may become another by what is not durable yet: of each column of chunks the highest one that has changed.
pub struct Unsettled {
    highest: HashMap<Stack, i32>,
}

impl Unsettled {
    /// Of these changed chunks.
    pub fn new(changed: impl Iterator<Item = ChunkPos>) -> Self {
        let mut highest: HashMap<Stack, i32> = HashMap::new();
        for pos in changed {
            let held = highest.entry([pos.x(), pos.z()]).or_insert(i32::MIN);
            *held = pos.y().max(*held);
        }
        Self { highest }
    }

    /// Whether the light of a chunk may be another when all of it is durable: light goes down any number of voxels, and
    /// less than a chunk sideways and up.
    pub fn may_light(&self, pos: ChunkPos) -> bool {
        let columns = (0..9).map(|place| [pos.x() + place % 3 - 1, pos.z() + place / 3 - 1]);
        columns.into_iter().any(|column| self.highest.get(&column).is_some_and(|highest| *highest >= pos.y() - 1))
    }
}

/// Whether a chunk is one block throughout in which nothing can stand: most of the sky.
fn is_empty(world: &World, chunk: &terrane_world::chunk::Chunk) -> bool {
    let [block] = chunk.table() else { return false };
    !world.registry().rule(*block).is_some_and(|rule| rule.solid)
}

fn zeros() -> Box<Values> {
    vec![0; CHUNK_VOXELS].into_boxed_slice().try_into().expect("it has that length")
}

/// A chunk and those beside it, as far as the world has them.
pub fn around(pos: ChunkPos) -> impl Iterator<Item = ChunkPos> {
    let [x, y, z] = pos.to_array();
    (0..27).filter_map(move |place| ChunkPos::new(x + place % 3 - 1, y + place / 9 - 1, z + place / 3 % 3 - 1).ok())
}
