//! Ours, through the public interface.

use crate::content::{Content, Place};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use terrane_store::store::StoreSource;
use terrane_store::{Access, GeneratorSetting, Load, OsDir, Reader, Settings, Store};
use terrane_world::block::{BlockId, Registry};
use terrane_world::step::{ActorId, Input, VoxelEdit, World};

/// As it stands in the table.
pub const NAME: &str = "terrane";
/// Chunks loaded at a time: as many as the generated world has, so no region is loaded twice.
const BATCH: usize = crate::content::BASE_CHUNKS;
/// Voxels read in one call.
const READ_BATCH: usize = 1024;
/// The same store, asked for one voxel a call.
pub const ONE_BY_ONE: &str = "terrane, one voxel a call";
/// Actors that the edits come from.
const ACTORS: u64 = 100;

/// Our version.
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Makes an empty world.
pub fn create(folder: &Path) {
    let dir = OsDir::new(folder);
    dir.make_folders().expect("the folder is ours");
    let settings = Settings {
        id: *b"a benchmark's id",
        seed: 1,
        generator: GeneratorSetting::plain("void", 1),
        physics: terrane_world::physics::RuleSet::default(),
        rules: BTreeMap::new(),
        modes: BTreeMap::new(),
        cold: terrane_store::settings::Cold::default(),
        history: terrane_store::settings::HistoryLimits::NONE,
    };
    Store::create(&dir, &settings, &Registry::built_in()).expect("the folder is empty");
}

/// Opens a world.
pub fn open(folder: &Path, access: Access) -> Arc<Store> {
    let store = Store::open(Arc::new(OsDir::new(folder)), access).expect("a world that we made");
    Arc::new(store)
}

/// Checkpoints and lets go of a world.
pub fn close(store: Arc<Store>) {
    Arc::into_inner(store).expect("nobody else holds it").close().expect("the disk works");
}

/// Makes a world of `count` chunks, durably: from plain voxels to the last sync. The store is still open.
pub fn write(folder: &Path, content: &Content, count: usize) -> Arc<Store> {
    create(folder);
    let store = open(folder, Access::Write);
    let batch = |first: usize| content.chunks(first.min(count)..count.min(first + BATCH));
    let mut chunks = batch(0);
    for first in (0..count).step_by(BATCH) {
        // While the disk is busy with one batch, the next one is packed.
        let load = || store.load(chunks, Load::OnlyNew, 0).expect("the world is new");
        let (_, next) = rayon::join(load, || batch(first + BATCH));
        chunks = next;
    }
    store.sync().expect("the disk works");
    store
}

/// Adds up the blocks at some places, asked for in batches.
pub fn read(reader: &mut Reader, places: &[Place]) -> u64 {
    let (mut positions, mut blocks) = (Vec::with_capacity(READ_BATCH), Vec::with_capacity(READ_BATCH));
    let mut sum = 0;
    for batch in places.chunks(READ_BATCH) {
        positions.clear();
        positions.extend(batch.iter().map(|place| place.voxel));
        blocks.clear();
        reader.voxels(&positions, &mut blocks).expect("whole");
        sum += blocks.iter().map(|block| u64::from(block.expect("stored").0)).sum::<u64>();
    }
    sum
}

/// Adds up the blocks at some places, asked for one by one.
pub fn read_one_by_one(reader: &mut Reader, places: &[Place]) -> u64 {
    let block = |place: &Place| reader.voxel(place.voxel).expect("whole").expect("stored").0;
    places.iter().map(block).map(u64::from).sum()
}

/// The edits that put `block` at each place, one input each, numbered on from what each actor sent before.
pub fn edits(places: &[(Place, u16)], round: u64) -> Vec<Input> {
    let per_actor = (places.len() as u64).div_ceil(ACTORS);
    let edit = |(index, (place, block)): (usize, &(Place, u16))| Input::Edit {
        actor: ActorId(1 + index as u64 % ACTORS),
        sequence: 1 + round * per_actor + index as u64 / ACTORS,
        voxels: vec![VoxelEdit { pos: place.voxel, block: BlockId(*block), sparse: None }],
    };
    places.iter().enumerate().map(edit).collect()
}

/// A world opened afresh, with nothing in memory.
pub struct Editor {
    store: Arc<Store>,
    world: World,
}

impl Editor {
    /// Opens it.
    pub fn new(folder: &Path) -> Self {
        let store = open(folder, Access::Write);
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().build().expect("threads can be had"));
        let source = Box::new(StoreSource(Arc::clone(&store)));
        let world = World::new(pool, source, store.registry(), store.standing().clone());
        Self { store, world }
    }

    /// One tick with all the edits, and the sync that makes it durable.
    pub fn apply(&mut self, inputs: &[Input]) {
        let tick = self.world.standing().tick + 1;
        let deltas = self.world.step(tick, inputs).expect("ticks go up");
        self.store.commit(&deltas, tick).expect("the disk works");
        self.store.sync().expect("the disk works");
        assert_eq!(deltas.chunks.len(), inputs.len(), "every edit changes a voxel");
    }

    /// Checkpoints and lets go of it.
    pub fn close(self) {
        drop(self.world);
        close(self.store);
    }
}
