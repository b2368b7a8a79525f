//! A small world and a mixed workload, for tests that break its disk.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part, and may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_store::door::Dir;
use terrane_store::{Access, GeneratorSetting, Load, Settings, Store, StoreError};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version, new_blocks};
use terrane_world::digest::chunk_hash;
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{ActorId, Input, VoxelEdit, World};

pub fn settings(generator: &str) -> Settings {
    Settings {
        id: *b"a world for test",
        seed: 7,
        generator: GeneratorSetting::plain(generator, 1),
        physics: terrane_world::physics::RuleSet::default(),
        rules: BTreeMap::new(),
        modes: BTreeMap::new(),
        cold: terrane_store::settings::Cold::default(),
        history: terrane_store::settings::HistoryLimits::NONE,
    }
}

pub fn create(dir: &dyn Dir, generator: &str) -> Result<(), StoreError> {
    Store::create(dir, &settings(generator), &Registry::built_in())
}

pub fn pool() -> Arc<rayon::ThreadPool> {
    Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap())
}

pub fn world(store: &Arc<Store>, pool: &Arc<rayon::ThreadPool>) -> World {
    let source = Box::new(terrane_store::store::StoreSource(Arc::clone(store)));
    World::new(Arc::clone(pool), source, store.registry(), store.standing().clone())
}

/// A chunk with `kinds` different blocks, different for each `salt`.
pub fn patterned(kinds: u16, salt: u16) -> Chunk {
    let mut blocks = new_blocks();
    for (index, block) in blocks.iter_mut().enumerate() {
        *block = BlockId((index as u16 / 7 ^ salt) % kinds);
    }
    Chunk::from_blocks(&blocks)
}

/// Where, which block, which sparse data.
pub type Wish<'a> = ([i32; 3], u16, Option<&'a [u8]>);

pub fn edit(actor: u64, sequence: u64, voxels: &[Wish<'_>]) -> Input {
    let voxels = voxels
        .iter()
        .map(|(at, block, sparse)| VoxelEdit {
            pos: VoxelPos::try_from(*at).unwrap(),
            block: BlockId(*block),
            sparse: sparse.map(Into::into),
        })
        .collect();
    Input::Edit { actor: ActorId(actor), sequence, voxels }
}

/// Everything a store holds, comparable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    pub chunks: BTreeMap<ChunkPos, (u128, Version)>,
    pub names: usize,
    pub actors: BTreeMap<u64, u64>,
    pub digest: u64,
}

pub fn content(store: &Store, standing: &terrane_world::step::Standing) -> Result<Content, StoreError> {
    let registry = store.registry();
    let mut content = Content { names: registry.len(), digest: standing.digest, ..Content::default() };
    for region in store.stored_regions()? {
        for pos in store.stored_chunks(region)? {
            let held = store.chunk(pos)?.expect("it is listed as stored");
            content.chunks.insert(pos, (chunk_hash(&registry, pos, &held.chunk, None), held.version));
        }
    }
    content.actors = standing.actors.iter().map(|(actor, state)| (actor.0, state.sequence)).collect();
    Ok(content)
}

/// What a workload has done: the content after each operation, and how many of them were acknowledged.
#[derive(Default)]
pub struct Model {
    pub states: Vec<Content>,
    pub acknowledged: usize,
    pub highest_epoch: u32,
}

fn at(x: i32, y: i32, z: i32) -> ChunkPos {
    ChunkPos::new(x, y, z).unwrap()
}

/// Loads, ticks, syncs, checkpoints, registry growth, a restart in between: until the disk fails or all is done.
pub fn workload(dir: &Arc<dyn Dir>, pool: &Arc<rayon::ThreadPool>, model: &mut Model) -> Result<(), StoreError> {
    create(&**dir, "void")?;
    let mut known = Content { names: Registry::built_in().len(), ..Content::default() };
    model.states.push(known.clone());
    model.acknowledged = 0;
    for session in 0..2u16 {
        let store = Arc::new(Store::open(Arc::clone(dir), Access::Write)?);
        model.highest_epoch = store.standing().epoch;
        let mut world = world(&store, pool);
        let base = u64::from(session) * 100;
        if session == 1 {
            // What follows loads into a packed region, and changes another by a checkpoint.
            checkpoint(&store)?;
            assert_eq!(pack_all(&store)?, 2, "both regions");
        }
        let first = [(at(0, 0, 0), patterned(3, session)), (at(1, 0, 0), Chunk::uniform(BlockId(5)))];
        load(&store, first.into(), Load::Replace, &mut known, model)?;
        // The world had read nothing of what the load replaced, so it may go on with the same standing.
        world = reopen_world(&store, pool, &world, &known);
        tick(
            &store,
            &mut world,
            base + 1,
            &[edit(1, base + 1, &[([3, 3, 3], 9, None), ([40, 3, 3], 4, Some(b"chest"))])],
            &mut known,
            model,
        )?;
        tick(
            &store,
            &mut world,
            base + 2,
            &[edit(2, base + 1, &[([4, 3, 3], 9, None)]), edit(1, base + 2, &[([200, 0, 0], 2 + session, None)])],
            &mut known,
            model,
        )?;
        acknowledge(&store, model)?;
        known.names += 1;
        model.states.push(known.clone());
        store.register(&BTreeSet::from([format!("grown{session}")]))?;
        model.acknowledged = model.states.len() - 1;
        checkpoint(&store)?;
        tick(
            &store,
            &mut world,
            base + 3,
            &[edit(1, base + 3, &[([3, 3, 3], 0, None), ([40, 3, 3], 4, None)])],
            &mut known,
            model,
        )?;
        acknowledge(&store, model)?;
        tick(
            &store,
            &mut world,
            base + 4,
            &[edit(1, base + 4, &[([5, 5, 5], 11, Some(&[session as u8; 900]))])],
            &mut known,
            model,
        )?;
        checkpoint(&store)?;
        model.acknowledged = model.states.len() - 1;
        tick(&store, &mut world, base + 5, &[edit(3, base + 1, &[([1, 1, 1], 12, None)])], &mut known, model)?;
        acknowledge(&store, model)?;
    }
    Ok(())
}

/// Packs every region that can be; gives how many were.
pub fn pack_all(store: &Store) -> Result<usize, StoreError> {
    let mut packed = 0;
    for region in store.stored_regions()? {
        packed += usize::from(store.pack_region(region)?.is_some());
    }
    Ok(packed)
}

fn reopen_world(store: &Arc<Store>, pool: &Arc<rayon::ThreadPool>, world: &World, known: &Content) -> World {
    let mut standing = world.standing().clone();
    standing.digest = known.digest;
    let source = Box::new(terrane_store::store::StoreSource(Arc::clone(store)));
    World::new(Arc::clone(pool), source, store.registry(), standing)
}

fn load(
    store: &Store,
    chunks: Vec<(ChunkPos, Chunk)>,
    how: Load,
    known: &mut Content,
    model: &mut Model,
) -> Result<(), StoreError> {
    let registry = store.registry();
    let mut after = known.clone();
    for (pos, chunk) in &chunks {
        let before = known.chunks.get(pos).map_or(Version::NONE, |(_, version)| *version);
        after.chunks.insert(*pos, (chunk_hash(&registry, *pos, chunk, None), before.next(store.standing().epoch)));
    }
    let result = store.load(chunks, how, 1);
    // The digest is the store's own sum; it is compared between a run without and one with a crash.
    after.digest = u64::MAX;
    model.states.push(after.clone());
    result?;
    after.digest = store.current_standing().digest;
    *model.states.last_mut().unwrap() = after.clone();
    model.acknowledged = model.states.len() - 1;
    *known = after;
    Ok(())
}

fn tick(
    store: &Store,
    world: &mut World,
    tick: u64,
    inputs: &[Input],
    known: &mut Content,
    model: &mut Model,
) -> Result<(), StoreError> {
    let deltas = world.step(tick, inputs).expect("the workload's ticks are in order");
    let registry = store.registry();
    for (pos, held) in &deltas.after {
        known.chunks.insert(*pos, (chunk_hash(&registry, *pos, &held.chunk, None), held.version));
    }
    known.actors.extend(deltas.actors.iter().map(|(actor, sequence)| (actor.0, *sequence)));
    known.digest = deltas.digest;
    model.states.push(known.clone());
    store.commit(&deltas, tick)
}

fn acknowledge(store: &Store, model: &mut Model) -> Result<(), StoreError> {
    store.sync()?;
    model.acknowledged = model.states.len() - 1;
    Ok(())
}

fn checkpoint(store: &Store) -> Result<(), StoreError> {
    store.checkpoint().map(drop)
}
