//! What falls and what bursts.
//!
//! A tick decides from the world as it stood at the tick's start, and only then changes it. What an edit means to its
//! neighbours is found out in the tick after it (`support`), what has no hold leaves in the tick after that (`collapse`), and
//! a body that meets the ground enters the grid in the tick after it did (`body`). So whoever owns a column can decide
//! about its voxels alone, knowing its neighbours within `REACH` as they stood at the start, and all decide alike.

pub mod blast;
pub mod bodies;
pub mod body;
pub mod collapse;
pub mod connectivity;
pub mod facts;
mod loose;
pub mod plan;
pub mod state;
pub mod support;

use crate::block::Registry;
use crate::limits::{BLASTS_PER_TICK, REACH, WORK_PER_TICK};
use crate::relax::{Bulk, EXITS, RulesError, TILES_MAX};
use crate::space::{ChunkPos, ColumnPos, VoxelPos};
use crate::step::{CauseKind, Stage};
use connectivity::Connectivity;
use facts::Facts;
use plan::{Tick, beside};
use serde::{Deserialize, Serialize};
use state::{ColumnState, Leaving, Mark};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{Lost, Support};

/// Which rules decide whether a solid voxel stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleSet {
    /// Everything stands; loose blocks lie where they are put.
    Off,
    /// What is connected to something anchored stands.
    Connectivity,
    /// By strength and losses, block by block.
    #[default]
    Span,
}

impl RuleSet {
    /// Its name in settings and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Connectivity => "connectivity",
            Self::Span => "span",
        }
    }
}

/// What is already under way when a tick begins: clusters leave, charges burst, bodies land and fall. Then the edits of the
/// tick follow, and [`settle`].
pub fn begin(tick: &mut Tick<'_>, watch: &mut dyn FnMut(Stage)) {
    for (column, state) in tick.start.iter().filter(|(column, _)| tick.owned.has(**column)) {
        let next = tick.next.entry(*column).or_default();
        next.debt = state.debt;
        next.resting = Arc::clone(&state.resting);
        (next.crowds, next.agents) = (state.crowds.clone(), state.agents.clone());
        next.marks = state.marks.iter().filter(|(_, mark)| !mark.ready).map(|(pos, mark)| (*pos, *mark)).collect();
        next.charges = state.charges.iter().filter(|(_, charge)| !charge.ready).map(|(p, c)| (*p, *c)).collect();
    }
    collapse::leave(tick);
    watch(Stage::Collapse);
    blast::burst(tick);
    watch(Stage::Blast);
    body::land(tick);
    body::fall(tick);
    watch(Stage::Bodies);
}

/// Finds out what the marks that are ready mean, marks what this tick changed, and decides what the next one takes up.
pub fn settle(tick: &mut Tick<'_>, judge: &mut Judge) {
    let (lost, slides) = match judge {
        Judge::Nobody => return budget(tick),
        Judge::Connectivity(connectivity) => (connectivity.judge(tick), loose::Slides::new()),
        Judge::Span(support) => {
            let lost = support.judge(tick);
            let slides = loose::slides(tick, support, &lost);
            (lost, slides)
        }
    };
    for (pos, cause) in lost {
        leave_next(tick, pos, Leaving { cause, slide: None });
    }
    for (pos, (exit, cause)) in slides {
        leave_next(tick, pos, Leaving { cause, slide: Some(exit) });
    }
    let unmarked = mark_changes(tick);
    judge.forget(&unmarked);
    budget(tick);
}

/// What rests beside a ready mark, with why it was about to leave: it has lost what it lay on, maybe, and if it still has no
/// hold, it is about to leave again.
fn roused(tick: &Tick<'_>) -> Lost {
    // Mostly nothing rests, and marks may be many.
    if tick.next.values().all(|state| state.resting.is_empty()) {
        return Lost::new();
    }
    let start = tick.start;
    let ready = start.values().flat_map(|state| &state.marks).filter(|(_, mark)| mark.ready);
    let beside_ready = ready.flat_map(|(pos, _)| EXITS[..6].iter().filter_map(|step| beside(*pos, *step)));
    let resting = |there: VoxelPos| Some((there, *tick.next.get(&there.chunk().column())?.resting.get(&there)?));
    beside_ready.filter(|there| tick.owns(*there)).filter_map(resting).collect()
}

/// Who decides what stands.
pub enum Judge {
    /// Everything stands.
    Nobody,
    /// [`RuleSet::Connectivity`].
    Connectivity(Connectivity),
    /// [`RuleSet::Span`].
    Span(Box<Support>),
}

impl Judge {
    /// Blocks have changed in these chunks without marks. Drops what that may bear on, so that it is worked out again from the
    /// blocks where it is needed.
    fn forget(&mut self, changed: &BTreeSet<ChunkPos>) {
        match self {
            Self::Nobody => {}
            Self::Connectivity(connectivity) => connectivity.forget_chunks(changed),
            Self::Span(support) => {
                if changed.iter().any(|pos| support.holds(*pos)) {
                    support.forget();
                }
            }
        }
    }
}

/// A voxel leaves in the next tick, unless this one has changed it.
fn leave_next(tick: &mut Tick<'_>, pos: VoxelPos, leaving: Leaving) {
    if !tick.plan.disturbs(pos) {
        tick.next(pos).leaving.insert(pos, leaving);
    }
}

/// Marks what this tick changed. What an undo put back has no mark, and takes away the one that was there: it stands as it
/// stood. Gives the chunks with such voxels, of which nobody is told what they mean to their neighbours.
fn mark_changes(tick: &mut Tick<'_>) -> BTreeSet<ChunkPos> {
    let mut unmarked = BTreeSet::new();
    for (pos, start, now, placed, cause) in tick.plan.changed() {
        tick.next(pos).stir(pos);
        if cause.kind == CauseKind::Undo {
            tick.next(pos).marks.remove(&pos);
            unmarked.insert(pos.chunk());
            continue;
        }
        if !tick.facts.of(start).solid && !tick.facts.of(now).solid {
            continue;
        }
        let new = Mark { old: start, placed, ready: false, tick: tick.tick, cause };
        let marks = &mut tick.next(pos).marks;
        // What has not been looked into yet is still to be compared with what was there first.
        let old = marks.get(&pos).map_or(start, |mark| mark.old);
        marks.insert(pos, Mark { old, ..new });
    }
    unmarked
}

/// Decides for each column what the next tick takes up: in order of tick and place, as much as the budget has left.
fn budget(tick: &mut Tick<'_>) {
    for (column, state) in &mut tick.next {
        let done = tick.work.get(column).copied().unwrap_or(0);
        state.debt = (state.debt + done).saturating_sub(WORK_PER_TICK);
        if state.debt == 0 {
            ready_marks(state);
            ready_charges(state, tick.tick);
        }
    }
    tick.next.retain(|column, state| !state.is_empty() || tick.start.contains_key(column));
}

fn ready_marks(state: &mut ColumnState) {
    if state.marks.len() as u64 <= WORK_PER_TICK {
        state.marks.values_mut().for_each(|mark| mark.ready = true);
        return;
    }
    let mut order: Vec<_> = state.marks.iter().map(|(pos, mark)| (mark.tick, pos.chunk(), *pos)).collect();
    order.sort_unstable();
    for (_, _, pos) in order.iter().take(WORK_PER_TICK as usize) {
        state.marks.get_mut(pos).expect("just listed").ready = true;
    }
}

fn ready_charges(state: &mut ColumnState, tick: u64) {
    let due = state.charges.iter().filter(|(_, charge)| charge.due <= tick + 1);
    let mut order: Vec<_> = due.map(|(pos, charge)| (charge.due, *pos)).collect();
    order.sort_unstable();
    for (_, pos) in order.iter().take(BLASTS_PER_TICK) {
        state.charges.get_mut(pos).expect("just listed").ready = true;
    }
}

/// Physics of one world: facts of its blocks, and who decides what stands.
pub struct Physics {
    facts: Facts,
    judge: Judge,
}

/// Heap bytes that support may take before it is dropped, to be worked out again where it is needed.
const SUPPORT_BYTES_MAX: usize = 512 << 20;
/// The same in chunks, as those that are all air take next to no memory.
const SUPPORT_CHUNKS_MAX: usize = TILES_MAX / 2;
/// Chunks whose pieces may be held before they are dropped: some kilobytes each.
const PIECES_CHUNKS_MAX: usize = 65_536;

impl Physics {
    /// Physics of a registry's blocks under [`RuleSet::Off`]: things burst, and nothing falls.
    pub fn off(registry: &Registry) -> Self {
        Self { facts: Facts::new(registry), judge: Judge::Nobody }
    }

    /// Physics of a registry's blocks under a set of rules.
    pub fn new(rule_set: RuleSet, registry: &Registry) -> Result<Self, RulesError> {
        let judge = match rule_set {
            RuleSet::Off => Judge::Nobody,
            RuleSet::Connectivity => Judge::Connectivity(Connectivity::default()),
            RuleSet::Span => Judge::Span(Box::new(Support::new(support::table(registry)?))),
        };
        Ok(Self { judge, ..Self::off(registry) })
    }

    /// The same physics with something that large pieces of work are handed to.
    #[must_use]
    pub fn with_bulk(mut self, bulk: Arc<dyn Bulk>) -> Self {
        if let Judge::Span(support) = self.judge {
            self.judge = Judge::Span(Box::new(support.with_bulk(Some(bulk))));
        }
        self
    }

    /// Whether its rules end within `REACH`, so that the owner of a column needs to know no more of its neighbours.
    pub const fn is_local(&self) -> bool {
        !matches!(self.judge, Judge::Connectivity(_))
    }

    /// The strongest blast that ends within `REACH`.
    pub fn power_max(&self) -> u8 {
        (REACH * i32::from(self.facts.blast_loss_least)).min(255) as u8
    }

    /// Drops what is worked out of what stands, as far as blocks that have changed without marks in these chunks may bear on it.
    pub fn forget(&mut self, changed: &BTreeSet<ChunkPos>) {
        self.judge.forget(changed);
    }

    /// Splits into what a tick reads and what it keeps. What has grown too large is dropped.
    pub fn parts(&mut self) -> (&Facts, &mut Judge) {
        match &mut self.judge {
            Judge::Span(support)
                if support.memory_bytes() > SUPPORT_BYTES_MAX || support.chunk_count() > SUPPORT_CHUNKS_MAX =>
            {
                support.forget();
            }
            Judge::Connectivity(connectivity) if connectivity.chunks() > PIECES_CHUNKS_MAX => connectivity.forget(),
            _ => {}
        }
        (&self.facts, &mut self.judge)
    }
}

/// Changes of column states, as a tick leaves them.
pub type Columns = BTreeMap<ColumnPos, ColumnState>;
