//! Fields with few open voxels, voxel by voxel in order of distance: corridors, and surfaces that somebody walks on. Sweeps over
//! whole tiles would mostly pass over what is closed, and come back to a tile for each corridor that leads into it.
//!
//! Dial's algorithm (1969): voxels wait in a ring of lists, one for each distance, as no step adds more than the ring is long.

use super::bulk::LossTables;
use super::field::{Classes, Field, Tile, Values};
use super::{Class, EXITS, FACES, NONE, Rules, opposite};
use crate::chunk::zeroed;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use rayon::prelude::*;

/// Lists of the ring. No step adds as much.
const RING: usize = 256;
/// Of the voxels of tiles in which some are open, one in so many is open at most: more are swept in less time.
const OPEN_ONE_IN: usize = 3;
/// The bits of an address that tell the voxel in its tile.
const LOCAL_BITS: u32 = CHUNK_VOXELS.trailing_zeros();

/// Whether this is the way to solve a field of which nothing is solved yet.
pub(super) fn fits(field: &Field) -> bool {
    let rules = field.rules();
    let is_plain = |class: &Class| {
        let losses = (0..).zip(class.losses).filter(|(exit, _)| class.exits >> exit & 1 == 1);
        class.floor == 0 && losses.into_iter().all(|(_, loss)| usize::from(loss) < RING)
    };
    let are_plain = rules.classes().iter().all(is_plain);
    if rules.exits() & !FACES != 0 || rules.free().is_some() || !are_plain {
        return false;
    }
    let counts = field.tiles.par_iter().map(|tile| open_count(rules, tile)).filter(|count| *count > 0);
    let (tiles, open) = counts.map(|count| (1, count)).reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    tiles > 0 && open * OPEN_ONE_IN <= tiles * CHUNK_VOXELS
}

/// Voxels of a tile that may take values.
fn open_count(rules: &Rules, tile: &Tile) -> usize {
    let is_closed = |class: u8| rules.classes()[usize::from(class)].exits == 0;
    match &tile.classes {
        Classes::One(class) if is_closed(*class) => 0,
        Classes::One(_) => CHUNK_VOXELS,
        Classes::Each(classes) => {
            let closed = tile.kinds.iter().filter(|class| is_closed(*class));
            let count = |class: u8| classes.iter().filter(|there| **there == class).count();
            CHUNK_VOXELS - closed.map(count).sum::<usize>()
        }
    }
}

/// Solves all tiles, of which none may have a value. Gives how often a voxel was looked at.
pub(super) fn solve(field: &mut Field) -> u64 {
    let mut sources = sources(field);
    // The nearest last.
    sources.sort_unstable_by(|a, b| b.cmp(a));
    let mut run = Run {
        tables: LossTables::new(field.rules()),
        limit: field.rules().limit(),
        tiles: &mut field.tiles,
        ring: std::array::from_fn(|_| Vec::new()),
        waiting: 0,
    };
    let (mut distance, mut visited) = (0, 0);
    while run.waiting > 0 || !sources.is_empty() {
        if run.waiting == 0 {
            distance = sources.last().map_or(distance, |(nearest, _)| *nearest);
        }
        while let Some((_, at)) = sources.pop_if(|(nearest, _)| *nearest == distance) {
            run.offer(at, distance, distance);
        }
        let mut here = std::mem::take(&mut run.ring[distance as usize % RING]);
        run.waiting -= here.len();
        for at in here.drain(..) {
            visited += run.spread(at, distance);
        }
        // No step adds nothing, so nobody has come to this list meanwhile; its memory is used again.
        run.ring[distance as usize % RING] = here;
        distance += 1;
    }
    field.tiles.iter_mut().for_each(|tile| tile.is_settled = true);
    visited
}

/// The voxels that have a value by themselves, with that.
fn sources(field: &Field) -> Vec<(u32, u32)> {
    let rules = field.rules();
    let own = |class: u8| rules.own(&rules.classes()[usize::from(class)]);
    let mut sources = Vec::new();
    for (number, tile) in (0u32..).zip(&field.tiles) {
        if tile.kinds.iter().all(|class| own(class) == rules.limit()) {
            continue;
        }
        let class = |local: usize| match &tile.classes {
            Classes::One(class) => *class,
            Classes::Each(classes) => classes[local],
        };
        let all = (0..CHUNK_VOXELS).map(|local| (own(class(local)), number << LOCAL_BITS | local as u32));
        sources.extend(all.filter(|(own, _)| *own < rules.limit()));
    }
    sources
}

struct Run<'a> {
    tables: LossTables,
    limit: u32,
    tiles: &'a mut [Tile],
    /// By distance, which voxels wait. A voxel that has come nearer since waits there as well, and is passed over.
    ring: [Vec<u32>; RING],
    /// How many wait in all.
    waiting: usize,
}

impl Run<'_> {
    /// Offers all around a voxel what it has. Gives how many voxels were looked at.
    fn spread(&mut self, at: u32, distance: u32) -> u64 {
        let tile = &self.tiles[(at >> LOCAL_BITS) as usize];
        if tile.values.get_index(at as usize % CHUNK_VOXELS, self.limit) != distance {
            return 1;
        }
        let beside = tile.beside;
        for exit in 0..6 {
            let Some(to) = behind(at, exit, &beside) else { continue };
            let (tile, local) = (&self.tiles[(to >> LOCAL_BITS) as usize], to as usize % CHUNK_VOXELS);
            let class = match &tile.classes {
                Classes::One(class) => *class,
                Classes::Each(classes) => classes[local],
            };
            // What is offered comes to the neighbour over the face that it turns to this voxel.
            let back = opposite(exit);
            let loss = self.tables.loss(back, class);
            if loss == NONE || tile.exits.as_ref().is_some_and(|exits| exits[local] >> back & 1 == 0) {
                continue;
            }
            self.offer(to, distance.saturating_add(loss), distance);
        }
        7
    }

    /// Offers a voxel a distance. No distance below `least` is offered any more.
    #[inline]
    fn offer(&mut self, to: u32, distance: u32, least: u32) {
        let (tile, local) = (&mut self.tiles[(to >> LOCAL_BITS) as usize], to as usize % CHUNK_VOXELS);
        if distance >= self.limit || distance >= tile.values.get_index(local, self.limit) {
            return;
        }
        if matches!(tile.values, Values::One(_)) {
            let mut values = zeroed::<u16, CHUNK_VOXELS>();
            values.fill(u16::MAX);
            tile.values = Values::Narrow { base: least, values };
        }
        tile.values.set_index(local, distance, self.limit);
        self.ring[distance as usize % RING].push(to);
        self.waiting += 1;
    }
}

/// The voxel behind a face of another, if it is loaded.
#[inline]
fn behind(at: u32, face: usize, beside: &[Option<u32>; 6]) -> Option<u32> {
    const LAST: u32 = CHUNK_EDGE as u32 - 1;
    let shift = [2 * CHUNK_EDGE.trailing_zeros(), CHUNK_EDGE.trailing_zeros(), 0][face / 2];
    let (part, goes_up) = (at >> shift & LAST, face & 1 == 1);
    if part != if goes_up { LAST } else { 0 } {
        return Some(if goes_up { at + (1 << shift) } else { at - (1 << shift) });
    }
    let local = at % CHUNK_VOXELS as u32 ^ LAST << shift;
    Some(beside[face]? << LOCAL_BITS | local)
}

const _: () = assert!(EXITS[1][1] == 1 && EXITS[3][2] == 1 && EXITS[5][0] == 1, "odd faces look up their axes");
