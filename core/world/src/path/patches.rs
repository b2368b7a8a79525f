//! The coarse graph of one mode: patches of voxels from each of which one gets to each other, and what it costs to get from the
//! middle of one to the middle of the next.
//!
//! Cells with abstract costs between them go back to Botea, Müller and Schaeffer, *Near optimal hierarchical path-finding*
//! (2004). Their gates lie between cells; here a node is a part of a cell itself, found as Tarjan, *Depth-first search and
//! linear graph algorithms* (1972), finds them. So both sides of a wall, floors over each other, and a ledge from which
//! nobody gets up again are nodes of their own, and the graph has a way exactly where the voxels have one. A voxel from which
//! a body can only fall is no node: links lead on to where it comes down.

use super::mode::{DROP_MAX, Mode};
use super::search::estimate_over;
use super::ways::{CLOSED, Costs, DELTAS, Ways, bits, staying};
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use crate::relax::{ABOVE, BELOW, Classes, EXITS};
use crate::space::LocalIndex;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Voxels along an edge of a cell. Patches do not reach over its faces.
pub const CELL: usize = 8;
/// Cells along an edge of a chunk.
const CELLS: usize = CHUNK_EDGE / CELL;

/// No patch: nobody can be there.
pub const NOBODY: u16 = u16::MAX;
/// No patch: a body there falls, to the voxel below.
pub const FALLING: u16 = u16::MAX - 1;

/// Which patch each voxel of a chunk belongs to.
enum Of {
    /// All voxels are closed.
    Nobody,
    /// All are open, and each cell is one patch.
    Cells,
    /// By voxel.
    Each(Box<[u16]>),
}

/// The patches of one chunk: open voxels of a cell that can all be reached from each other without leaving it, and that cost
/// about the same: so a shaft in the rock is not taken for rock.
pub struct Patches {
    of: Of,
    /// By patch, a voxel near the middle of its cell.
    middles: Vec<LocalIndex>,
}

impl Patches {
    /// Of a chunk's ways.
    pub fn new(ways: &Ways, mode: &Mode, costs: &Costs) -> Self {
        match (&ways.classes, &ways.exits) {
            (Classes::One(CLOSED), _) => Self { of: Of::Nobody, middles: Vec::new() },
            (Classes::One(_), None) => {
                let middle = |cell: usize| at_cell(cell, [CELL / 2; 3]);
                Self { of: Of::Cells, middles: (0..CELLS.pow(3)).map(middle).collect() }
            }
            (classes, _) => {
                let bands: Vec<u8> = match classes {
                    Classes::One(class) => vec![band(costs.cost(*class)); CHUNK_VOXELS],
                    Classes::Each(classes) => {
                        let bands: [u8; 256] = std::array::from_fn(|class| band(costs.cost(class as u8)));
                        let mut of = vec![0; CHUNK_VOXELS];
                        of.iter_mut().zip(&classes[..]).for_each(|(band, class)| *band = bands[usize::from(*class)]);
                        of
                    }
                };
                let (of, count) = Parts::find(ways, mode, &bands);
                Self { middles: middles(&of, count, classes), of: Of::Each(of.into()) }
            }
        }
    }

    /// The patch of a voxel, or [`NOBODY`].
    pub fn of(&self, local: LocalIndex) -> u16 {
        match &self.of {
            Of::Nobody => NOBODY,
            Of::Cells => cell_of(local.index()) as u16,
            Of::Each(of) => of[local.index()],
        }
    }

    /// By patch, its middle.
    pub fn middles(&self) -> &[LocalIndex] {
        &self.middles
    }
}

/// Of each patch, among the voxels that cost least, the one nearest to the middle of its cell, going by x and z first.
fn middles(of: &[u16], count: usize, classes: &Classes) -> Vec<LocalIndex> {
    let mut best = vec![(usize::MAX, LocalIndex::from_xyz(0, 0, 0)); count];
    each_open(of, NOBODY, |local| {
        let (patch, local) = (of[local], LocalIndex::new(local as u16).expect("in a chunk"));
        if !is_patch(patch) {
            return;
        }
        let aside = |at: usize| (at % CELL).abs_diff(CELL / 2);
        let (x, y, z) = (aside(local.x()), aside(local.y()), aside(local.z()));
        // Classes are in order of costs.
        let rank = (usize::from(classes.get(local)) * 2 * CELL + x + z) * CELL + y;
        let best = &mut best[usize::from(patch)];
        if rank < best.0 {
            *best = (rank, local);
        }
    });
    best.into_iter().map(|(_, middle)| middle).collect()
}

/// Looks at the voxels of a chunk that are not closed, row by row: most rows are closed as a whole.
fn each_open<T: Copy + PartialEq>(of: &[T], closed: T, mut look: impl FnMut(usize)) {
    for (row, of) in of.chunks_exact(CHUNK_EDGE).enumerate() {
        let open = of.iter().zip(0..).fold(0u32, |open, (of, x)| open | u32::from(*of != closed) << x);
        bits(open).for_each(|x| look(row * CHUNK_EDGE + x as usize));
    }
}

/// Costs of one band differ by less than a factor of two; 0 is closed.
const fn band(cost: u8) -> u8 {
    (u8::BITS - cost.leading_zeros()) as u8
}

/// What is beneath patches' numbers: [`NOBODY`] and [`FALLING`] are above.
const fn is_patch(patch: u16) -> bool {
    patch < FALLING
}

/// Tarjan's search for strongly connected parts, cell by cell.
struct Parts<'a> {
    ways: &'a Ways,
    mode: &'a Mode,
    /// By voxel.
    bands: &'a [u8],
    /// By voxel, when it was found, from 1 on.
    order: Vec<u16>,
    /// The earliest voxel known to be reached from it and to lead to it.
    low: Vec<u16>,
    of: Vec<u16>,
    open: Vec<u16>,
    found: u16,
    count: u16,
    /// Voxels on the way to the one that is looked at, each with the exits that are left to try.
    calls: Vec<(u16, u32)>,
}

impl<'a> Parts<'a> {
    /// By voxel, the number of its part; and how many there are.
    fn find(ways: &'a Ways, mode: &'a Mode, bands: &'a [u8]) -> (Vec<u16>, usize) {
        let (order, low, of) = (vec![0; CHUNK_VOXELS], vec![0; CHUNK_VOXELS], vec![NOBODY; CHUNK_VOXELS]);
        let (open, calls) = Default::default();
        let mut parts = Self { ways, mode, bands, order, low, of, open, found: 0, count: 0, calls };
        each_open(bands, 0, |root| {
            if parts.order[root] == 0 {
                parts.search(root);
            }
        });
        (parts.of, parts.count.into())
    }

    fn begin(&mut self, voxel: usize) {
        self.found += 1;
        (self.order[voxel], self.low[voxel]) = (self.found, self.found);
        self.open.push(voxel as u16);
        self.calls.push((voxel as u16, self.ways.open(self.mode, voxel) & staying(voxel, CELL)));
    }

    fn search(&mut self, root: usize) {
        self.begin(root);
        while let Some((voxel, exits)) = self.calls.last_mut() {
            let voxel = usize::from(*voxel);
            if *exits != 0 {
                let to = voxel.wrapping_add_signed(DELTAS[exits.trailing_zeros() as usize]);
                *exits &= *exits - 1;
                if self.bands[to] != self.bands[voxel] {
                    continue;
                }
                if self.order[to] == 0 {
                    self.begin(to);
                } else if self.of[to] == NOBODY {
                    self.low[voxel] = self.low[voxel].min(self.order[to]);
                }
                continue;
            }
            self.calls.pop();
            if let Some((caller, _)) = self.calls.last() {
                let caller = usize::from(*caller);
                self.low[caller] = self.low[caller].min(self.low[voxel]);
            }
            if self.low[voxel] == self.order[voxel] {
                self.close(voxel, self.ways.open(self.mode, voxel) == 1 << BELOW);
            }
        }
    }

    /// Everything found since a voxel is one part with it.
    fn close(&mut self, voxel: usize, falls: bool) {
        if falls && self.open.last() == Some(&(voxel as u16)) {
            self.open.pop();
            self.of[voxel] = FALLING;
            return;
        }
        while let Some(last) = self.open.pop() {
            self.of[usize::from(last)] = self.count;
            if usize::from(last) == voxel {
                break;
            }
        }
        self.count += 1;
    }
}

/// A move from one patch to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// In which of the 27 chunks around and including its own the other patch lies, the step along x fastest, then z, then y.
    pub chunk: u8,
    /// Its number there.
    pub patch: u16,
    /// What the way from middle to middle costs.
    pub cost: u32,
}

/// Where moves lead from each patch of a chunk.
pub struct Links {
    first: Vec<u32>,
    links: Vec<Link>,
}

impl Links {
    /// From one patch.
    pub fn of(&self, patch: u16) -> &[Link] {
        let [first, last] = [0, 1].map(|next| self.first[usize::from(patch) + next] as usize);
        &self.links[first..last]
    }
}

/// A chunk and the 26 around it, the step along x fastest, then z, then y: as far as they are there.
pub type Around<'a> = [Option<(&'a Ways, &'a Patches)>; 27];

/// The middle one of [`Around`].
pub const HERE: usize = 13;

/// The chunks among 27 in which moves from the middle one end, and itself, as bits. A body may fall on from one into another: so there
/// may be more as soon as those are known.
///
/// # Panics
/// If the middle one is not there.
pub fn led_to(mode: &Mode, around: &Around<'_>) -> u32 {
    let (ways, patches) = around[HERE].expect("links begin in a chunk that is there");
    let mut found = 1 << HERE;
    if matches!(patches.of, Of::Nobody) {
        return found;
    }
    const LAST: usize = CHUNK_EDGE - 1;
    for (y, z) in (0..CHUNK_EDGE).flat_map(|y| (0..CHUNK_EDGE).map(move |z| (y, z))) {
        let is_rim = matches!(y, 0 | LAST) || matches!(z, 0 | LAST);
        for x in (0..CHUNK_EDGE).step_by(if is_rim { 1 } else { LAST }) {
            let local = LocalIndex::from_xyz(x, y, z);
            if patches.of(local) == NOBODY {
                continue;
            }
            for exit in bits(ways.open(mode, local.index()) & !staying(local.index(), CHUNK_EDGE)) {
                let mut at = Place::of(local).step(exit as usize);
                found |= 1 << at.chunk();
                while at.patch(around) == Some(FALLING) {
                    at = at.step(BELOW);
                    found |= 1 << at.chunk();
                }
            }
        }
    }
    found
}
const _: () = assert!((DROP_MAX as usize) < CHUNK_EDGE, "nobody falls past the chunk below");

/// The links of the middle one of 27 chunks. Those around it that are there are those that [`led_to`] tells.
///
/// # Panics
/// If it is not there.
pub fn links(mode: &Mode, costs: &Costs, around: &Around<'_>) -> Links {
    let (ways, patches) = around[HERE].expect("links begin in a chunk that is there");
    let mut found = leading(mode, ways, patches, around);
    let least = match mode.walks() {
        true => mode.cost_in_air(),
        false => around.iter().flatten().map(|(ways, _)| ways.least).min().unwrap_or(0),
    };
    let mut measure = Measure { mode, costs, around, least, seen: Vec::new(), queue: BinaryHeap::new() };
    for (patch, link) in &mut found {
        link.cost = measure.cost(*patch, *link);
    }
    let mut first = vec![0; patches.middles.len() + 1];
    found.iter().for_each(|(patch, _)| first[usize::from(*patch) + 1] += 1);
    for patch in 0..patches.middles.len() {
        first[patch + 1] += first[patch];
    }
    Links { first, links: found.into_iter().map(|(_, link)| link).collect() }
}

/// The patches to which moves lead from each patch of the middle one of 27 chunks, in order, and nothing said of the costs.
fn leading(mode: &Mode, ways: &Ways, patches: &Patches, around: &Around<'_>) -> Vec<(u16, Link)> {
    let of = |local: usize| patches.of(LocalIndex::new(local as u16).expect("in a chunk"));
    // Told by number, so that they are quickly put in order: patch, chunk, patch there.
    let mut found: Vec<u64> = Vec::new();
    let mut latest = vec![u64::MAX; patches.middles.len()];
    let look = |from: usize| {
        let patch = of(from);
        if !is_patch(patch) {
            return;
        }
        let stays = staying(from, CHUNK_EDGE);
        for exit in bits(ways.open(mode, from)) {
            let mut there = None;
            if stays >> exit & 1 == 1 {
                let to = of(from.wrapping_add_signed(DELTAS[exit as usize]));
                if to == patch || to == NOBODY {
                    continue;
                }
                there = Some((HERE, to)).filter(|_| is_patch(to));
            }
            let landing = || {
                let place = Place::of(LocalIndex::new(from as u16).expect("in a chunk"));
                let (place, patch) = place.step(exit as usize).landing(around)?;
                Some((place.chunk(), patch))
            };
            let Some((chunk, to)) = there.or_else(landing).filter(|there| *there != (HERE, patch)) else { continue };
            let link = u64::from(patch) << 32 | (chunk as u64) << 16 | u64::from(to);
            if std::mem::replace(&mut latest[usize::from(patch)], link) != link {
                found.push(link);
            }
        }
    };
    match &patches.of {
        Of::Nobody => {}
        // In whole cells, moves to other patches lead over the faces of cells.
        Of::Cells => (0..CHUNK_VOXELS).filter(|local| is_rim(*local)).for_each(look),
        Of::Each(of) => each_open(of, NOBODY, look),
    }
    found.sort_unstable();
    found.dedup();
    let link = |link: u64| Link { chunk: (link >> 16) as u8, patch: link as u16, cost: 0 };
    found.into_iter().map(|told| ((told >> 32) as u16, link(told))).collect()
}

/// A voxel in one of 27 chunks, counted from the middle one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place([i32; 3]);

impl Place {
    fn of(local: LocalIndex) -> Self {
        Self([local.x() as i32, local.y() as i32, local.z() as i32])
    }

    fn step(self, exit: usize) -> Self {
        Self(std::array::from_fn(|axis| self.0[axis] + EXITS[exit][axis]))
    }

    fn chunk(self) -> usize {
        let Self([x, y, z]) = self;
        (HERE as i32 + (x >> 5) + 3 * (z >> 5) + 9 * (y >> 5)) as usize
    }

    fn local(self) -> LocalIndex {
        let Self([x, y, z]) = self;
        LocalIndex::from_xyz(x as usize, y as usize, z as usize)
    }

    fn patch(self, around: &Around<'_>) -> Option<u16> {
        Some(around.get(self.chunk())?.as_ref()?.1.of(self.local()))
    }

    /// Where a body that goes there comes to be, and the patch; none if nobody can be there, or it isn't known.
    fn landing(self, around: &Around<'_>) -> Option<(Self, u16)> {
        let mut at = self;
        loop {
            match at.patch(around)? {
                NOBODY => return None,
                FALLING => at = at.step(BELOW),
                patch => return Some((at, patch)),
            }
        }
    }

    fn aside(self, other: Self) -> u32 {
        (0..3).map(|axis| self.0[axis].abs_diff(other.0[axis])).sum()
    }
}

/// The exits to try in turn on the straight way from one place to another: sideways, first along the longer axis, then up and
/// down, where that leads there or it can't go on sideways: up first, over a step.
fn towards(from: Place, to: Place) -> [Option<usize>; 4] {
    let [x, y, z] = std::array::from_fn(|axis| to.0[axis] - from.0[axis]);
    let exit = |left: i32, first: usize| (left != 0).then_some(first + usize::from(left > 0));
    let sideways = if x.abs() >= z.abs() { [exit(x, 4), exit(z, 2)] } else { [exit(z, 2), exit(x, 4)] };
    let is_aside = x != 0 || z != 0;
    [sideways[0], sideways[1], (is_aside || y > 0).then_some(ABOVE), (is_aside || y <= 0).then_some(BELOW)]
}

/// Room around two middles, along x, y and z, for their patches and a fall between them.
const WINDOW: [i32; 3] = [4 * CELL as i32, 6 * CELL as i32, 4 * CELL as i32];
const _: () = assert!(DROP_MAX as usize + 4 * CELL <= 6 * CELL, "the deepest fall has room");

/// Finds out what links cost.
struct Measure<'a> {
    mode: &'a Mode,
    costs: &'a Costs,
    around: &'a Around<'a>,
    /// The least that entering a voxel of no patch costs, in a fall.
    least: u8,
    seen: Vec<u32>,
    /// What a way through a voxel costs at least, what it has cost up to there, and the voxel.
    queue: BinaryHeap<Reverse<(u32, u32, u32)>>,
}

impl Measure<'_> {
    fn cost(&mut self, patch: u16, link: Link) -> u32 {
        let middle = |chunk: usize, patch: u16| {
            let local =
                self.around[chunk].expect("a link leads to a chunk that is there").1.middles[usize::from(patch)];
            let step = [chunk % 3, chunk / 9, chunk / 3 % 3].map(|part| (part as i32 - 1) * CHUNK_EDGE as i32);
            let Place(at) = Place::of(local);
            Place(std::array::from_fn(|axis| at[axis] + step[axis]))
        };
        let (from, to) = (middle(HERE, patch), middle(usize::from(link.chunk), link.patch));
        let straight = if self.mode.diagonal { None } else { self.straight(from, to) };
        let [here, there] = [from, to].map(|at| self.costs.step(self.mode, self.class(at), 0));
        let cheap = from.aside(to) * here.min(there);
        match straight {
            // Hardly anything is to be saved; or it leads into the rock or out of it, where a straight line does.
            Some(cost) if cost <= cheap + cheap / 4 || here.ilog2() != there.ilog2() => cost,
            _ => {
                // No voxel of a patch costs less than its middle.
                let [here, there] = [from, to].map(|at| self.costs.cost(self.class(at)));
                let least = here.min(there).min(self.least);
                let found = self.search(from, to, [(HERE, patch), (usize::from(link.chunk), link.patch)], least);
                let found = found.expect("a link leads from part to part, and each part hangs together");
                straight.map_or(found, |straight| straight.min(found))
            }
        }
    }

    fn ways(&self, at: Place) -> Option<&Ways> {
        self.around.get(at.chunk())?.map(|(ways, _)| ways)
    }

    /// The class of a place, closed if it is not there.
    fn class(&self, at: Place) -> u8 {
        self.ways(at).map_or(CLOSED, |ways| ways.classes.get(at.local()))
    }

    /// What it costs to go straight on, as the ground leads.
    fn straight(&self, from: Place, to: Place) -> Option<u32> {
        let (mut at, mut cost) = (from, 0);
        for _ in 0..4 * CELL {
            if at == to {
                return Some(cost);
            }
            let open = self.ways(at)?.open(self.mode, at.local().index());
            let (exit, next, class) = towards(at, to).into_iter().flatten().find_map(|exit| {
                let next = at.step(exit);
                let class = (open >> exit & 1 == 1).then(|| self.class(next))?;
                (class != CLOSED).then_some((exit, next, class))
            })?;
            cost += self.costs.step(self.mode, class, exit);
            at = next;
        }
        None
    }

    /// What the best way inside two patches costs, where entering a voxel costs `least`.
    fn search(&mut self, from: Place, to: Place, inside: [(usize, u16); 2], least: u8) -> Option<u32> {
        let corner: [i32; 3] = std::array::from_fn(|axis| from.0[axis].min(to.0[axis]) - CELL as i32);
        // What lies outside neither patch reaches, nor a fall from one to the other.
        let number = |place: Place| {
            let [x, y, z]: [i32; 3] = std::array::from_fn(|axis| place.0[axis] - corner[axis]);
            let is_inside = (0..WINDOW[0]).contains(&x) && (0..WINDOW[1]).contains(&y) && (0..WINDOW[2]).contains(&z);
            is_inside.then_some((x + WINDOW[0] * (z + WINDOW[2] * y)) as u32)
        };
        let place = |number: u32| {
            let [width, _, depth] = WINDOW.map(|edge| edge as u32);
            let at = [number % width, number / (width * depth), number / width % depth];
            Place(std::array::from_fn(|axis| at[axis] as i32 + corner[axis]))
        };
        let rest = |at: Place| {
            let distance = std::array::from_fn(|axis| at.0[axis].abs_diff(to.0[axis]).into());
            estimate_over(least.into(), self.mode.diagonal, distance) as u32
        };
        let start = number(from)?;
        self.seen.resize((WINDOW[0] * WINDOW[1] * WINDOW[2]) as usize, u32::MAX);
        let mut touched = vec![start];
        self.seen[start as usize] = 0;
        self.queue.clear();
        self.queue.push(Reverse((rest(from), 0, start)));
        let mut found = None;
        while let Some(Reverse((_, cost, at))) = self.queue.pop() {
            let here = place(at);
            if here == to {
                found = Some(cost);
                break;
            }
            if cost > self.seen[at as usize] {
                continue;
            }
            let open = self.ways(here).map_or(0, |ways| ways.open(self.mode, here.local().index()));
            for exit in bits(open).map(|exit| exit as usize) {
                let next = here.step(exit);
                let chunk = next.chunk();
                let Some((ways, patches)) = self.around[chunk] else { continue };
                let patch = patches.of(next.local());
                if patch != FALLING && !inside.contains(&(chunk, patch)) {
                    continue;
                }
                let Some(number) = number(next) else { continue };
                let total = cost + self.costs.step(self.mode, ways.classes.get(next.local()), exit);
                let seen = &mut self.seen[number as usize];
                if total < *seen {
                    if *seen == u32::MAX {
                        touched.push(number);
                    }
                    *seen = total;
                    self.queue.push(Reverse((total + rest(next), total, number)));
                }
            }
        }
        touched.into_iter().for_each(|at| self.seen[at as usize] = u32::MAX);
        found
    }
}

/// Whether a voxel lies at a face of its cell.
fn is_rim(local: usize) -> bool {
    [local, local >> 5, local >> 10].into_iter().any(|at| matches!(at % CELL, 0 | 7))
}
const _: () = assert!(CELL == 8, "the rim is the first and the last layer of a cell");

const fn cell_of(local: usize) -> usize {
    (local & 31) / CELL + CELLS * ((local >> 5 & 31) / CELL + CELLS * ((local >> 10) / CELL))
}

fn at_cell(cell: usize, [x, y, z]: [usize; 3]) -> LocalIndex {
    let corner = [cell % CELLS, cell / CELLS / CELLS, cell / CELLS % CELLS].map(|at| at * CELL);
    LocalIndex::from_xyz(corner[0] + x, corner[1] + y, corner[2] + z)
}
