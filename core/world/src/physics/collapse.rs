//! What lost its hold leaves the grid, in clusters.

use super::plan::{Tick, below, beside};
use super::state::{Body, BodyId, BodyVoxel, Leaving, Mark, Phase, Shape};
use crate::block::AIR;
use crate::limits::{BODY_VOXELS_MAX, BODY_WIDTH_MAX};
use crate::relax::EXITS;
use crate::space::VoxelPos;
use crate::step::{Cause, CauseKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How fast a loose voxel is when it has slid over an edge, in 1/256 voxel a tick: it has rolled there.
pub const SLIDE_VELOCITY: u32 = 128;

/// Takes out of the grid what the last tick found to have no hold, and makes bodies of it.
///
/// Everybody who owns a voxel of a cluster decides the same from the same start: a cluster that reaches further than
/// [`BODY_WIDTH_MAX`] is seen to do so by each of them, and is split on a fixed grid inside columns.
pub fn leave(tick: &mut Tick<'_>) {
    let mut falling: BTreeMap<VoxelPos, Leaving> = BTreeMap::new();
    let mut sliding: BTreeMap<VoxelPos, Leaving> = BTreeMap::new();
    for (pos, leaving) in tick.start.values().flat_map(|state| &state.leaving) {
        if leaving.slide.is_some() { &mut sliding } else { &mut falling }.insert(*pos, *leaving);
    }
    sliding.iter().for_each(|(pos, leaving)| slide(tick, *pos, *leaving));
    take_along(tick, &sliding, &mut falling);
    let all: BTreeSet<VoxelPos> = falling.keys().copied().collect();
    for cluster in clusters(&all) {
        if !cluster.iter().any(|pos| tick.owns(*pos)) {
            continue;
        }
        for piece in pieces(cluster) {
            let free = if rests(tick, &piece, &all) { rest(tick, &piece, &falling) } else { vec![piece] };
            free.iter().for_each(|piece| fall(tick, piece, falling[&piece[0]].cause));
        }
    }
}

/// Adds what rests and hangs together with what is about to leave: it has no hold either, so neither can lie on the other.
/// What slides goes its own way.
fn take_along(tick: &Tick<'_>, sliding: &BTreeMap<VoxelPos, Leaving>, falling: &mut BTreeMap<VoxelPos, Leaving>) {
    if tick.start.values().all(|state| state.resting.is_empty()) {
        return;
    }
    let mut waiting: Vec<VoxelPos> = falling.keys().copied().collect();
    while let Some(pos) = waiting.pop() {
        for there in EXITS[..6].iter().filter_map(|step| beside(pos, *step)) {
            let resting = tick.start.get(&there.chunk().column()).and_then(|state| state.resting.get(&there));
            if let Some(cause) = resting.filter(|_| !falling.contains_key(&there) && !sliding.contains_key(&there)) {
                falling.insert(there, Leaving { cause: *cause, slide: None });
                waiting.push(there);
            }
        }
    }
}

/// The 6-connected clusters of a set, each ascending, in order of their lowest voxels.
pub fn clusters(set: &BTreeSet<VoxelPos>) -> Vec<Vec<VoxelPos>> {
    let mut left = set.clone();
    let mut clusters = Vec::new();
    while let Some(first) = left.pop_first() {
        let mut cluster = vec![first];
        let mut next = 0;
        while let Some(pos) = cluster.get(next).copied() {
            next += 1;
            let beside = EXITS[..6].iter().filter_map(|step| beside(pos, *step));
            cluster.extend(beside.filter(|pos| left.remove(pos)));
        }
        cluster.sort_unstable();
        clusters.push(cluster);
    }
    clusters
}

/// A cluster as it may move: whole, or split on the grid of [`BODY_WIDTH_MAX`] if it is wider, and by height if it has more
/// than [`BODY_VOXELS_MAX`] voxels.
fn pieces(cluster: Vec<VoxelPos>) -> Vec<Vec<VoxelPos>> {
    let width = |part: fn(&VoxelPos) -> i32| {
        let (least, most) = cluster.iter().map(part).fold((i32::MAX, i32::MIN), |(a, b), v| (a.min(v), b.max(v)));
        most - least + 1
    };
    let wide = width(|pos| pos.x()).max(width(|pos| pos.z())) > BODY_WIDTH_MAX;
    let cells = if wide {
        split(cluster, |pos| [pos.x().div_euclid(BODY_WIDTH_MAX), 0, pos.z().div_euclid(BODY_WIDTH_MAX)])
    } else {
        vec![cluster]
    };
    let by_height = |pos: &VoxelPos| [0, pos.y().div_euclid(BODY_WIDTH_MAX), 0];
    let cut = |piece: Vec<VoxelPos>| if piece.len() > BODY_VOXELS_MAX { split(piece, by_height) } else { vec![piece] };
    cells.into_iter().flat_map(cut).collect()
}

fn split(cluster: Vec<VoxelPos>, cell: impl Fn(&VoxelPos) -> [i32; 3]) -> Vec<Vec<VoxelPos>> {
    let mut cells: BTreeMap<[i32; 3], BTreeSet<VoxelPos>> = BTreeMap::new();
    for pos in cluster {
        cells.entry(cell(&pos)).or_default().insert(pos);
    }
    cells.values().flat_map(clusters).collect()
}

/// Whether something stands under a piece that does not leave with it: then it stays where it is, for it would land at once.
fn rests(tick: &mut Tick<'_>, piece: &[VoxelPos], leaving: &BTreeSet<VoxelPos>) -> bool {
    piece.iter().any(|pos| below(*pos).is_none_or(|under| !leaving.contains(&under) && tick.is_solid(under)))
}

/// Lets a piece stay, and gives what is free of it all the same.
fn rest(tick: &mut Tick<'_>, piece: &[VoxelPos], leaving: &BTreeMap<VoxelPos, Leaving>) -> Vec<Vec<VoxelPos>> {
    let free = loose_of(tick, piece);
    let falls: BTreeSet<VoxelPos> = free.iter().flatten().copied().collect();
    for pos in piece.iter().filter(|pos| !falls.contains(pos)) {
        if tick.owns(*pos) {
            tick.next(*pos).rest(*pos, leaving[pos].cause);
        }
    }
    free
}

/// The loose voxels of a piece that rests, as far as nothing holds them from below: in clusters.
fn loose_of(tick: &mut Tick<'_>, piece: &[VoxelPos]) -> Vec<Vec<VoxelPos>> {
    let mut free: BTreeSet<VoxelPos> = BTreeSet::new();
    for pos in piece {
        let is_loose = tick.block(*pos).is_some_and(|block| tick.facts.of(block).loose);
        if is_loose && below(*pos).is_some_and(|under| free.contains(&under) || !tick.is_solid(under)) {
            free.insert(*pos);
        }
    }
    clusters(&free)
}

fn fall(tick: &mut Tick<'_>, piece: &[VoxelPos], cause: Cause) {
    let id = BodyId { tick: tick.tick, origin: piece[0] };
    let cause = Cause { kind: CauseKind::Collapse, ..cause };
    if tick.owns(piece[0]) {
        let voxels = piece.iter().filter_map(|pos| voxel(tick, *pos, *pos)).collect();
        tick.next(piece[0]).bodies.insert(id, body(cause, voxels));
    }
    tick.plan.group(cause, Some(id));
    for pos in piece.iter().filter(|pos| tick.owned.has(pos.chunk().column())) {
        take(tick, *pos);
    }
}

/// A loose voxel leaves to the side, if the way is still free.
fn slide(tick: &mut Tick<'_>, pos: VoxelPos, leaving: Leaving) {
    let step = EXITS[usize::from(leaving.slide.unwrap_or_default())];
    let Some(to) = beside(pos, step) else { return };
    if tick.is_solid(to) || below(to).is_none_or(|under| tick.is_solid(under)) {
        return look_again(tick, pos, leaving.cause);
    }
    let id = BodyId { tick: tick.tick, origin: pos };
    let cause = Cause { kind: CauseKind::Slide, ..leaving.cause };
    if tick.owns(to)
        && let Some(voxel) = voxel(tick, pos, to)
    {
        let body = Body { velocity: SLIDE_VELOCITY, ..body(cause, vec![voxel]) };
        tick.next(to).bodies.insert(id, body);
    }
    if tick.owns(pos) {
        tick.plan.group(cause, Some(id));
        take(tick, pos);
    }
}

/// The way was closed meanwhile; there may be another one.
fn look_again(tick: &mut Tick<'_>, pos: VoxelPos, cause: Cause) {
    if let (true, Some(old)) = (tick.owns(pos), tick.block(pos)) {
        let mark = Mark { old, placed: true, ready: false, tick: tick.tick, cause };
        tick.next(pos).marks.entry(pos).or_insert(mark);
    }
}

fn voxel(tick: &mut Tick<'_>, from: VoxelPos, to: VoxelPos) -> Option<BodyVoxel> {
    let block = tick.block(from)?;
    Some(BodyVoxel { pos: to, block, sparse: tick.chunks.sparse(tick.tick, from) })
}

fn body(cause: Cause, voxels: Vec<BodyVoxel>) -> Body {
    Body { cause, fallen: 0, velocity: 0, phase: Phase::Falling, shape: Arc::new(Shape::new(voxels)) }
}

fn take(tick: &mut Tick<'_>, pos: VoxelPos) {
    let Some(start) = tick.block(pos) else { return };
    tick.plan.set(pos, start, AIR, None, false);
    tick.counts.left += 1;
    tick.work(pos, 1);
}
