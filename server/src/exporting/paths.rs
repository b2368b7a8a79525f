//! What `terrane export --what cost|enter|flow` computes: a field of one mode over the box.

use super::What;
use crate::failure::{About, Failure};
use crate::pathing;
use std::path::Path;
use std::sync::Arc;
use terrane_formats::npy::{ChunkValues, Element, Paths};
use terrane_store::Store;
use terrane_world::chunk::zeroed;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::path::field::{FlowField, Reach};
use terrane_world::path::flow;
use terrane_world::path::navigation::{Navigation, Resident};
use terrane_world::path::ways::CLOSED;
use terrane_world::relax::Bulk;
use terrane_world::resident::{Residency, Watched};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};

/// Heap bytes of chunks that are held while an export goes on.
const CHUNK_BYTES: usize = 512 << 20;

/// What is wished of paths.
pub struct Asked<'a> {
    pub mode: &'a str,
    pub goals: &'a [VoxelPos],
}

/// A field, or only what entering voxels costs.
pub struct Engine {
    what: What,
    mode: String,
    goals: Vec<[i32; 3]>,
    element: Element,
    navigation: Navigation,
    resident: Residency,
    field: Option<FlowField>,
}

impl Engine {
    /// Solves the field, if one is wished for.
    pub fn new(
        store: &Arc<Store>,
        source: &Watched,
        world: &Path,
        (what, within): (What, VoxelBox),
        asked: &Asked<'_>,
        bulk: Option<Arc<dyn Bulk>>,
    ) -> Result<Self, Failure> {
        let mut navigation = pathing::navigation(store, asked.mode).about(world)?;
        let mut resident = pathing::residency(source)?;
        let mut field = None;
        if what != What::Enter {
            let pool = Arc::clone(resident.pool());
            let registry = store.registry();
            let mut blocks = Resident(&mut resident, 0);
            let solved =
                pool.install(|| FlowField::solve(&mut navigation, &mut blocks, &registry, asked.goals, within, bulk));
            pathing::check(source).about(world)?;
            field = Some(solved.about(world)?);
        }
        // Three numbers are no costs.
        let fits = field.as_ref().and_then(FlowField::most).is_none_or(|most| most < u32::from(u16::MAX) - 2);
        let element = if what != What::Cost || fits { Element::U16 } else { Element::U32 };
        let goals = field.iter().flat_map(FlowField::goals).map(|goal| goal.to_array()).collect();
        Ok(Self { what, mode: asked.mode.to_owned(), goals, element, navigation, resident, field })
    }

    /// What an element is.
    pub const fn element(&self) -> Element {
        self.element
    }

    /// What the array needs to be understood.
    pub fn told(&self) -> Paths<'_> {
        let last = if self.element == Element::U16 { u32::from(u16::MAX) } else { u32::MAX };
        let of_field = |number: u32| self.field.is_some().then_some(number);
        Paths {
            mode: &self.mode,
            goals: &self.goals,
            blocked: last,
            unreachable: of_field(last - 1),
            too_far: of_field(last - 2),
            goal: of_field(last - 3).filter(|_| self.what == What::Flow),
        }
    }

    /// The values of some chunks.
    pub fn values(&mut self, chunks: &[ChunkPos]) -> Vec<ChunkValues> {
        let last = self.told().blocked;
        let Some(field) = &self.field else {
            let pool = Arc::clone(self.resident.pool());
            self.resident.evict(CHUNK_BYTES, u64::MAX);
            if self.navigation.chunk_count() > 1 << 12 {
                self.navigation.forget();
            }
            let (navigation, mut blocks) = (&mut self.navigation, Resident(&mut self.resident, 0));
            pool.install(|| navigation.prepare(&mut blocks, chunks));
            return chunks.iter().map(|pos| entering(navigation, &mut blocks, *pos)).collect();
        };
        let is_flow = self.what == What::Flow;
        chunks
            .iter()
            .map(|pos| match self.element {
                _ if is_flow => shorts(field.flows(*pos).iter().map(|flow| number(*flow))),
                Element::U32 => {
                    let mut words = zeroed::<u32, CHUNK_VOXELS>();
                    words.iter_mut().zip(field.reaches(*pos)).for_each(|(to, reach)| *to = cost(reach, last));
                    ChunkValues::Words(words)
                }
                _ => shorts(field.reaches(*pos).into_iter().map(|reach| cost(reach, last) as u16)),
            })
            .collect()
    }
}

fn entering(navigation: &mut Navigation, blocks: &mut Resident<'_>, pos: ChunkPos) -> ChunkValues {
    let ways = navigation.ways(blocks, pos);
    let costs = navigation.costs();
    let class = |local: LocalIndex| ways.as_ref().map_or(CLOSED, |ways| ways.classes.get(local));
    let cost = |local: LocalIndex| match class(local) {
        CLOSED => u16::MAX,
        class => costs.cost(class).into(),
    };
    shorts((0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new).map(cost))
}

/// A cost as a number below `last` and the two before it, which stand for what is none.
fn cost(reach: Reach, last: u32) -> u32 {
    match reach {
        Reach::Goal => 0,
        Reach::Cost(cost) => u32::try_from(cost).expect("a field tells costs in 32 bits"),
        Reach::TooFar => last - 2,
        Reach::Unreachable => last - 1,
        Reach::Blocked | Reach::Outside => last,
    }
}

/// The number of a move, or of what is none: those count down from the greatest.
const fn number(flow: u8) -> u16 {
    if flow >= flow::GOAL { u16::MAX - (flow::BLOCKED - flow) as u16 } else { flow as u16 }
}

fn shorts(values: impl Iterator<Item = u16>) -> ChunkValues {
    let mut shorts = zeroed::<u16, CHUNK_VOXELS>();
    shorts.iter_mut().zip(values).for_each(|(to, value)| *to = value);
    ChunkValues::Shorts(shorts)
}
