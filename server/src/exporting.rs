//! What `terrane export --what` computes of the voxels of a box: on the world as it stands, not cut at the box.

pub mod paths;

use crate::bars::bar;
use crate::compute::{self, Bulk, Labelling, Wanted};
use crate::failure::{About, Failure};
use crate::pathing;
use clap::ValueEnum;
use indicatif::ProgressBar;
use std::path::Path;
use std::sync::Arc;
use terrane_formats::npy::{ChunkValues, Computed, Element};
use terrane_formats::volume::SourceError as NoValues;
use terrane_store::Store;
use terrane_world::label::outwards::{Answer, OUTSIDE_MAX, OutwardsError, Question, outwards};
use terrane_world::light::Light;
use terrane_world::physics::RuleSet;
use terrane_world::resident::{Residency, Watched};
use terrane_world::space::{ChunkPos, VoxelBox};
use terrane_world::step::{ChunkSource, Held, SourceError, Standing, World};

/// Heap bytes of chunks that are held while an export goes on.
const CHUNK_BYTES: usize = 512 << 20;

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// How much support arrives at each solid voxel: 1 to 255, or 0 where nothing solid is or it does not stand.
    Support,
    /// Light of the sky in the high four bits, of blocks in the low ones: 0 to 15 each.
    Light,
    /// Which solid voxels hang together: components count from 1 in the order of their first voxels in the box (y, z, x).
    Components,
    /// The least cost from each voxel to the nearest --goal, for a --mode, inside the box.
    Cost,
    /// What entering each voxel costs a --mode.
    Enter,
    /// The move that leads on to the nearest --goal: the number of an exit.
    Flow,
}

impl What {
    /// Its name on the command line and in the `.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Light => "light",
            Self::Components => "components",
            Self::Cost => "cost",
            Self::Enter => "enter",
            Self::Flow => "flow",
        }
    }

    /// Whether it is about paths.
    pub const fn is_about_paths(self) -> bool {
        matches!(self, Self::Cost | Self::Enter | Self::Flow)
    }
}

/// What is asked for.
pub struct Wish<'a> {
    /// The world's folder, for messages.
    pub world: &'a Path,
    pub what: What,
    /// Other rules than the world's.
    pub rules: Option<RuleSet>,
    /// The mode and the goals, if it is about paths.
    pub paths: Option<paths::Asked<'a>>,
    pub compute: Wanted,
    pub device: Option<&'a str>,
}

/// Gives the values of chunks, for whichever wish.
pub struct Computing {
    what: What,
    rules: Option<RuleSet>,
    engine: Engine,
    bulk: Option<Arc<Bulk>>,
    source: Watched,
}

/// What works the values out.
enum Engine {
    Light(Box<Light>, Residency),
    /// By strength and losses.
    Span(Box<World>),
    /// By what hangs on something anchored.
    Anchored(Answer),
    Components(Answer, Option<Labelling>),
    Paths(Box<paths::Engine>),
}

impl Computing {
    /// Prepares what was asked for; what hangs together is searched here.
    pub fn new(store: &Arc<Store>, within: VoxelBox, wish: &Wish<'_>) -> Result<Self, Failure> {
        let rules = wish.rules.unwrap_or(store.settings().physics);
        let rules = (wish.what == What::Support).then_some(rules);
        let source = pathing::watched(store);
        let pool = rayon::ThreadPoolBuilder::new().build();
        let pool = Arc::new(pool.map_err(|error| Failure::new(error.to_string()))?);
        let bulk = || compute::bulk(wish.compute, wish.device);
        let search = |question| pool.install(|| search(question, within, store, &source)).about(wish.world);
        let (engine, bulk) = match (wish.what, rules) {
            (What::Light, _) => {
                let bulk = bulk()?;
                let light = Light::new(&store.registry()).with_bulk(bulk.as_ref().map(Bulk::shared));
                (Engine::Light(Box::new(light), Residency::new(pool, Box::new(source.clone()))), bulk)
            }
            (What::Components, _) => {
                let labelling = compute::labelling(wish.compute, wish.device)?;
                (Engine::Components(search(Question::Together)?, labelling), None)
            }
            (What::Support, Some(RuleSet::Span)) => {
                let bulk = bulk()?;
                let world = span(store, pool, &source, bulk.as_ref()).about(wish.world)?;
                (Engine::Span(Box::new(world)), bulk)
            }
            (What::Support, Some(RuleSet::Connectivity)) => {
                check_connectivity(wish)?;
                (Engine::Anchored(search(Question::Anchored)?), None)
            }
            (What::Support, _) => return Err(NO_SUPPORT).about(wish.world),
            (What::Cost | What::Enter | What::Flow, _) => {
                let asked = wish.paths.as_ref().ok_or_else(|| Failure::new(NO_MODE))?;
                let bulk = if wish.what == What::Enter { None } else { bulk()? };
                let shared = bulk.as_ref().map(Bulk::shared);
                let about = (wish.what, within);
                (Engine::Paths(Box::new(paths::Engine::new(store, &source, wish.world, about, asked, shared)?)), bulk)
            }
        };
        Ok(Self { what: wish.what, rules, engine, bulk, source })
    }

    /// The values of some chunks of the box that lie close together.
    pub fn values(&mut self, chunks: &[ChunkPos]) -> Result<Vec<ChunkValues>, NoValues> {
        let values = match &mut self.engine {
            Engine::Light(light, resident) => lights(light, resident, chunks)?,
            Engine::Span(world) => {
                world.evict(CHUNK_BYTES, u64::MAX);
                let supports = world.supports(chunks).expect("the world has the rules of span");
                supports.into_iter().map(ChunkValues::Bytes).collect()
            }
            Engine::Anchored(answer) => chunks.iter().map(|pos| hanging(answer, *pos)).collect(),
            Engine::Components(answer, labelling) => labels(answer, labelling, chunks),
            Engine::Paths(engine) => engine.values(chunks),
        };
        pathing::check(&self.source)?;
        Ok(values)
    }

    /// What an element of the array is.
    pub fn element(&self) -> Element {
        match &self.engine {
            Engine::Components(..) => Element::U32,
            Engine::Paths(engine) => engine.element(),
            _ => Element::U8,
        }
    }

    /// What was computed and how, for the `.json`.
    pub fn told(&self) -> Computed<'_> {
        let (device, dispatches) = match (&self.engine, &self.bulk) {
            (Engine::Components(_, Some(labelling)), _) => (Some(labelling.device()), Some(labelling.dispatches())),
            (_, Some(bulk)) => (bulk.device(), Some(bulk.dispatches())),
            _ => (None, None),
        };
        let components = match &self.engine {
            Engine::Components(answer, _) => Some(answer.count),
            _ => None,
        };
        let paths = match &self.engine {
            Engine::Paths(engine) => Some(engine.told()),
            _ => None,
        };
        Computed {
            what: self.what.name(),
            dtype: self.element().name(),
            paths,
            rules: self.rules.map(RuleSet::name),
            components,
            compute: device.unwrap_or("cpu"),
            dispatches,
        }
    }
}

const NO_SUPPORT: &str = "support can't be computed by the rules `off`, under which everything stands: give --rules span \
                          or --rules connectivity";

const NO_MODE: &str =
    "what a path costs depends on who goes it: give --mode, one of those in docs/paths.md or of the world";

/// Connectivity is a search over pieces of chunks, which no device does.
fn check_connectivity(wish: &Wish<'_>) -> Result<(), Failure> {
    compute::check_cpu(wish.compute, wish.device)?;
    if wish.compute == Wanted::Gpu || wish.device.is_some() {
        return Err(Failure::new("support by connectivity runs on the CPU only: leave --compute and --device out"));
    }
    Ok(())
}

/// Answers a question about what hangs together, with a bar over the chunks that are read. How many there will be beside
/// those of the box is not known before.
fn search(question: Question, within: VoxelBox, store: &Store, source: &Watched) -> Result<Answer, OutwardsError> {
    let progress = bar(within.chunk_count(), "searching", "chunks");
    progress.tick();
    let counted = Counted { source, progress: &progress };
    let answer = outwards(question, within, &store.registry(), &counted, OUTSIDE_MAX);
    progress.finish_and_clear();
    answer
}

/// The world as its blocks stand, whatever is under way: what an edit means is known at once.
fn span(
    store: &Arc<Store>,
    pool: Arc<rayon::ThreadPool>,
    source: &Watched,
    bulk: Option<&Arc<Bulk>>,
) -> Result<World, String> {
    let world = World::new(pool, Box::new(source.clone()), store.registry(), Standing::default())
        .with_physics(RuleSet::Span)
        .map_err(|error| format!("the block rules of this world can't be used: {error}"))?;
    Ok(match bulk {
        Some(bulk) => world.with_bulk(bulk.shared()),
        None => world,
    })
}

fn lights(light: &mut Light, resident: &mut Residency, chunks: &[ChunkPos]) -> Result<Vec<ChunkValues>, SourceError> {
    resident.evict(CHUNK_BYTES, u64::MAX);
    let pool = Arc::clone(resident.pool());
    pool.install(|| {
        light.prepare(0, chunks, resident);
        chunks.iter().map(|pos| light.values(0, *pos, resident).map(ChunkValues::Bytes)).collect()
    })
}

fn hanging(answer: &Answer, pos: ChunkPos) -> ChunkValues {
    let values: Vec<u8> = answer.values(pos).iter().map(|hangs| if *hangs > 0 { 255 } else { 0 }).collect();
    ChunkValues::Bytes(values.into_boxed_slice().try_into().expect("as long as a chunk"))
}

/// Components of some chunks: as the search has them, or as a device labels these chunks, with the numbers of the search.
/// A device that fails is dropped: the same values come from the search.
fn labels(answer: &Answer, labelling: &mut Option<Labelling>, chunks: &[ChunkPos]) -> Vec<ChunkValues> {
    if let Some(device) = labelling {
        match labels_of(device, answer, chunks) {
            Ok(values) => return values,
            Err(error) => {
                tracing::warn!("the device gave up, the CPU goes on: {error}");
                *labelling = None;
            }
        }
    }
    chunks.iter().map(|pos| ChunkValues::Words(answer.values(*pos))).collect()
}

fn labels_of(device: &Labelling, answer: &Answer, chunks: &[ChunkPos]) -> Result<Vec<ChunkValues>, String> {
    let bits: Vec<_> = chunks.iter().map(|pos| (*pos, answer.solid(*pos))).collect();
    let mut labels = device.label(&bits)?;
    let mut numbers = vec![0];
    for (pos, labels) in chunks.iter().zip(&labels) {
        for (first, number) in answer.numbers(*pos) {
            let label = labels[first.index()] as usize;
            numbers.resize(numbers.len().max(label + 1), 0);
            numbers[label] = number;
        }
    }
    labels.iter_mut().for_each(|labels| labels.iter_mut().for_each(|label| *label = numbers[*label as usize]));
    Ok(labels.into_iter().map(ChunkValues::Words).collect())
}

/// A store with a bar over what is read of it.
struct Counted<'a> {
    source: &'a Watched,
    progress: &'a ProgressBar,
}

impl ChunkSource for Counted<'_> {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        self.progress.inc(1);
        let read = self.progress.position();
        if self.progress.length().is_some_and(|total| total < read) {
            self.progress.set_length(read);
        }
        self.source.load(pos)
    }
}
