//! Opening and making the folder of a world.

use crate::failure::{About, Failure};
use crate::stages;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use terrane_store::settings::{Cold, HistoryLimits};
use terrane_store::store::StoreSource;
use terrane_store::{Access, GeneratorSetting, OsDir, Settings, Store};
use terrane_world::block::AIR;
use terrane_world::block::Registry;
use terrane_world::digest::{ContentDigest, chunk_hash};
use terrane_world::path::mode::Modes;
use terrane_world::physics::RuleSet;
use terrane_world::space::{ChunkPos, LocalIndex, RegionPos, VoxelBox, VoxelPos};
use terrane_world::step::World;

/// The generator of new worlds.
pub const DEFAULT_GENERATOR: (&str, u32) = ("terrain", 1);

/// Milliseconds since 1970, for the journal.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

/// Whether a folder holds a world.
pub fn exists(path: &Path) -> bool {
    path.join("world.toml").is_file()
}

/// Makes a world that lists the stages of its generator.
pub fn create(path: &Path, seed: u64, (name, version): (&str, u32), physics: RuleSet) -> Result<(), Failure> {
    // A world writes its regions last, so without a world.toml they are not those of one that is being made.
    if std::fs::read_dir(path.join("regions")).is_ok_and(|mut files| files.next().is_some()) {
        let what = "it holds regions but no world.toml: what is left of a world, or of a restore that was cut off. Give another folder, \
                    or remove it";
        return Err(Failure::new(format!("{}: {what}", path.display())));
    }
    let dir = OsDir::new(path);
    dir.make_folders().about(path)?;
    let mut id = [0u8; 16];
    getrandom::fill(&mut id).about(path)?;
    let generator = GeneratorSetting::listed(name, version);
    let (rules, modes, cold) = (BTreeMap::new(), BTreeMap::new(), Cold::default());
    let history = HistoryLimits::default();
    let settings = Settings { id, seed, generator, physics, rules, modes, cold, history };
    Store::create(&dir, &settings, &Registry::built_in()).about(path)?;
    tracing::info!("made the world {} (generator {name} {version}, seed {seed})", path.display());
    Ok(())
}

/// Opens a world.
pub fn open(path: &Path, access: Access) -> Result<Arc<Store>, Failure> {
    if !exists(path) {
        let hint = "`terrane new`, `serve`, `generate` and `import` make worlds";
        return Err(Failure::new(format!("{} is not a world: it has no world.toml ({hint})", path.display())));
    }
    let store = Store::open_with(Arc::new(OsDir::new(path)), access, &stages::source()).about(path)?;
    for notice in store.notices() {
        tracing::warn!("{}: {notice}", path.display());
    }
    Ok(Arc::new(store))
}

/// Opens a world for writing, and makes it first if there is none.
pub fn open_or_create(path: &Path, seed: u64, generator: (&str, u32)) -> Result<Arc<Store>, Failure> {
    if !exists(path) {
        create(path, seed, generator, RuleSet::default())?;
    }
    open(path, Access::Write)
}

/// The world that a store holds, under its physics.
pub fn world(store: &Arc<Store>, pool: Arc<rayon::ThreadPool>) -> Result<World, Failure> {
    let source = Box::new(StoreSource(Arc::clone(store)));
    World::new(pool, source, store.registry(), store.standing().clone())
        .with_modes(Modes::with(&store.settings().modes))
        .with_physics(store.settings().physics)
        .map_err(|error| Failure::new(format!("the block rules of this world can't be used: {error}")))
}

/// Writes what the journal holds to the regions, and lets go of the world.
pub fn close(store: Arc<Store>, path: &Path) -> Result<(), Failure> {
    match Arc::into_inner(store) {
        Some(store) => store.close().about(path),
        None => Ok(()),
    }
}

/// Every stored chunk inside `within`, in ascending order.
pub fn stored(store: &Store, within: Option<VoxelBox>) -> Result<Vec<ChunkPos>, terrane_store::StoreError> {
    let mut chunks = Vec::new();
    for region in store.stored_regions()? {
        if within.is_none_or(|b| touches(b, region)) {
            chunks.extend(store.stored_chunks(region)?);
        }
    }
    chunks.retain(|pos| within.is_none_or(|b| b.intersection(pos.voxel_box()).is_some()));
    chunks.sort_unstable();
    Ok(chunks)
}

/// Whether a box and a region have a voxel in common.
pub fn touches(within: VoxelBox, region: RegionPos) -> bool {
    let (first, last) = (region.chunk(0).voxel_box().min(), region.chunk(127).voxel_box().max());
    (0..3).all(|axis| within.min()[axis] < last[axis] && first[axis] < within.max()[axis])
}

/// The digest of the stored chunks, of a box or of the whole world with seed and generator; and how many chunks it covers.
pub fn digest(
    store: &Store,
    within: Option<VoxelBox>,
    each: &(dyn Fn() + Sync),
) -> Result<(String, u64), terrane_store::StoreError> {
    use rayon::prelude::*;
    let identity = within.map_or_else(|| content_identity(store.settings()), |_| String::new());
    let registry = store.registry();
    let hash = |pos: &ChunkPos| -> Result<(ChunkPos, u128), terrane_store::StoreError> {
        let held = store.chunk(*pos)?.expect("it is listed as stored");
        each();
        Ok((*pos, chunk_hash(&registry, *pos, &held.chunk, within)))
    };
    let hashes: Vec<(ChunkPos, u128)> = stored(store, within)?.par_iter().map(hash).collect::<Result<_, _>>()?;
    let mut digest = ContentDigest::new(&identity);
    hashes.into_iter().for_each(|(pos, hash)| digest.add(pos, hash));
    Ok((digest.finish(), digest.chunks()))
}

/// What the digest of a whole world covers beside its chunks.
pub fn content_identity(settings: &Settings) -> String {
    format!("seed {} generator {}", settings.seed, generator_identity(&settings.generator))
}

/// The generator as the digest has it: name and version, and what was chosen beyond them.
fn generator_identity(generator: &GeneratorSetting) -> String {
    if generator.is_plain() {
        return GeneratorSetting::plain(&generator.name, generator.version).identity();
    }
    generator.identity()
}

/// Refuses a seed that is not the one an existing world was made with.
pub fn check_seed(path: &Path, seed: u64) -> Result<(), Failure> {
    let found = open(path, Access::Read)?.settings().seed;
    if found == seed {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} has seed {found}, not {seed}: leave --seed out, or give another folder",
        path.display()
    )))
}

/// Where the feet of new players stand: where the generator says, or on top of what was imported first.
pub fn spawn(store: &Store) -> Result<VoxelPos, terrane_store::StoreError> {
    let somewhere = VoxelPos::new(0, 64, 0).expect("inside the world");
    if store.settings().generator.name != "void" {
        return Ok(VoxelPos::try_from(store.generator().spawn()).unwrap_or(somewhere));
    }
    // The middle of one stored region; the regions around it need not be opened.
    let Some(region) = store.stored_regions()?.pop() else { return Ok(somewhere) };
    let mut stack = store.stored_chunks(region)?;
    let Some(middle) = stack.get(stack.len() / 2).copied() else { return Ok(somewhere) };
    stack.retain(|pos| (pos.x(), pos.z()) == (middle.x(), middle.z()));
    stack.sort_unstable_by_key(|pos| std::cmp::Reverse(pos.y()));
    for pos in stack {
        let Some(held) = store.chunk(pos)? else { continue };
        let top = (0..32).rev().find(|y| held.chunk.get(LocalIndex::from_xyz(16, *y, 16)) != AIR);
        if let Some(top) = top {
            let ground = pos.voxel(LocalIndex::from_xyz(16, top, 16));
            return Ok(VoxelPos::new(ground.x(), ground.y() + 1, ground.z()).unwrap_or(ground));
        }
    }
    Ok(middle.origin())
}
