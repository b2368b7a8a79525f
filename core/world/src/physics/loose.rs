//! Loose blocks run down slopes: one that lies at an edge, with nothing on it, slides over it.

use super::plan::{Tick, below, beside};
use super::state::Mark;
use super::support::{Lost, Support};
use crate::block::AIR;
use crate::digest::voxel_term;
use crate::relax::EXITS;
use crate::space::{PlaceSet, VoxelPos};
use crate::step::Cause;
use std::collections::BTreeMap;

/// Where a voxel slides to, as an exit, and why.
pub type Slides = BTreeMap<VoxelPos, (u8, Cause)>;

/// Loose voxels of owned columns that slide because of the ready marks: what was put down, and what lies around a voxel
/// that became free.
pub fn slides(tick: &mut Tick<'_>, support: &Support, lost: &Lost) -> Slides {
    let start = tick.start;
    let mut slides = Slides::new();
    let mut seen = PlaceSet::default();
    for (pos, mark) in start.values().flat_map(|state| &state.marks).filter(|(_, mark)| mark.ready) {
        for candidate in candidates(tick, *pos, mark).iter().filter_map(|step| beside(*pos, *step)) {
            if !seen.insert(candidate) || lost.contains_key(&candidate) || !tick.owns(candidate) {
                continue;
            }
            if let Some(exit) = way(tick, support, candidate) {
                slides.insert(candidate, (exit, mark.cause));
            }
        }
    }
    slides
}

/// The steps from a mark to what may slide because of it.
fn candidates(tick: &mut Tick<'_>, pos: VoxelPos, mark: &Mark) -> &'static [[i32; 3]] {
    match (tick.is_solid(pos), mark.placed) {
        (true, true) => &[[0, 0, 0]],
        (true, false) => &[],
        (false, _) => &AROUND,
    }
}

/// What lay beside a voxel that became free, on it, under it, and beside what lay on it.
const AROUND: [[i32; 3]; 10] =
    [[0, 0, -1], [0, 1, -1], [0, 0, 1], [0, 1, 1], [-1, 0, 0], [-1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, -1, 0]];

/// The side to which a loose voxel slides: the first that is free, and free below, from one that its place decides.
fn way(tick: &mut Tick<'_>, support: &Support, pos: VoxelPos) -> Option<u8> {
    let is_loose = tick.block(pos).is_some_and(|block| tick.facts.of(block).loose);
    if !is_loose || beside(pos, [0, 1, 0]).is_none_or(|above| tick.is_solid(above)) {
        return None;
    }
    if !support.stands(pos) && below(pos).is_some_and(|under| !tick.is_solid(under)) {
        return None;
    }
    let first = voxel_term(pos, AIR) as usize;
    (0..4).map(|turn| 2 + (first + turn) % 4).find_map(|exit| {
        let to = beside(pos, EXITS[exit])?;
        (!tick.is_solid(to) && !tick.is_solid(below(to)?)).then_some(exit as u8)
    })
}
