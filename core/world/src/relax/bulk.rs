//! Whole tiles at a time: rounds over the tiles whose surroundings have changed.

use super::field::{Classes, Field, Tile as FieldTile, Values};
use super::tile::{self, FACE, Given, Kind, Scratch, Start, Word};
use super::{ABOVE, BELOW, Class, EXITS, FACES, NONE, Rules, opposite};
use crate::chunk::zeroed;
use crate::generate::simd::Level;
use crate::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use rayon::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The losses of a table of classes as the kernel wants them: exits that lose the same share a table.
pub(super) struct LossTables {
    tables: Vec<[u32; 256]>,
    group: [usize; 6],
    floors: [u32; 256],
    own: [u32; 256],
    most: u32,
}

impl LossTables {
    pub(super) fn new(rules: &Rules) -> Self {
        let per_class = |value: &dyn Fn(&Class) -> u32| {
            let mut table = [NONE; 256];
            rules.classes().iter().zip(&mut table).for_each(|(class, entry)| *entry = value(class));
            table
        };
        let mut tables: Vec<[u32; 256]> = Vec::new();
        let group = std::array::from_fn(|exit| {
            let open = |class: &Class| if class.exits >> exit & 1 == 1 { u32::from(class.losses[exit]) } else { NONE };
            let table = per_class(&open);
            tables.iter().position(|known| *known == table).unwrap_or_else(|| {
                tables.push(table);
                tables.len() - 1
            })
        });
        let losses = tables.iter().flatten().filter(|loss| **loss != NONE);
        let most = losses.copied().max().unwrap_or(0).max(rules.classes().iter().map(|c| c.floor).max().unwrap_or(0));
        let floors = per_class(&|class| class.floor.min(rules.limit()));
        Self { tables, group, floors, own: per_class(&|class| rules.own(class)), most }
    }

    /// What a step through an exit into a voxel of a class adds; [`NONE`] if it can't be taken.
    pub(super) fn loss(&self, exit: usize, class: u8) -> u32 {
        self.tables[self.group[exit]][usize::from(class)]
    }

    /// A class in the numbers of one run.
    fn kind<T: Word + TryFrom<u32>>(&self, class: u8, frame: &mut Frame) -> Kind<T> {
        let at = usize::from(class);
        let word = |value: u32| T::try_from(value).unwrap_or(T::NONE);
        let own = if self.own[at] == NONE { T::NONE } else { frame.word(self.own[at]) };
        let floor = word(self.floors[at].saturating_sub(frame.base));
        let loss = |group: usize| self.tables.get(group).map_or(T::NONE, |table| word(table[at]));
        Kind { class, own, floor, losses: std::array::from_fn(loss) }
    }
}

/// Solves from the active tiles on until nothing changes, in rounds. Tells `replaced` of each tile that changes, as often as
/// it does, with the values that it had until then. Gives how many voxels were swept over.
pub(super) fn solve(
    field: &mut Field,
    level: Level,
    active: BTreeSet<u32>,
    replaced: &mut dyn FnMut(u32, Values),
) -> u64 {
    let tables = LossTables::new(field.rules());
    let mut active = active;
    let mut visited = 0;
    while !active.is_empty() {
        let wave = wave(field, &mut active);
        let solved: Vec<Solved> = wave.par_iter().map(|tile| solve_tile(field, &tables, level, *tile)).collect();
        let mut changed = Vec::new();
        for (number, solved) in wave.into_iter().zip(solved) {
            visited += solved.visited;
            let tile = &mut field.tiles[number as usize];
            tile.is_settled = true;
            if let Some(values) = solved.values {
                replaced(number, std::mem::replace(&mut tile.values, values));
                changed.push(number);
            }
        }
        let gaining = |number: &u32| {
            let tile = &field.tiles[*number as usize];
            let gains = |face: usize| {
                tile.beside[face]
                    .filter(|other| !active.contains(other) && gains(field, &tables, *other, face, &tile.values))
            };
            (0..6).filter_map(gains).collect::<Vec<u32>>()
        };
        let gaining: Vec<u32> = changed.par_iter().flat_map_iter(gaining).collect();
        active.extend(gaining);
    }
    visited
}

/// The tiles of the next round: those of one colour of a chess-board, so that what they find reaches the other half before
/// that is solved; where values run free along one direction, of the layer from which they run.
fn wave(field: &Field, active: &mut BTreeSet<u32>) -> Vec<u32> {
    let y = |tile: &u32| field.tiles[*tile as usize].pos.y();
    let level = match field.rules().free() {
        Some(BELOW) => active.iter().map(y).min(),
        Some(_) => active.iter().map(y).max(),
        None => None,
    };
    let in_level = |tile: &&u32| level.is_none_or(|level| y(tile) == level);
    let colour = |tile: &u32| field.tiles[*tile as usize].pos.to_array().iter().sum::<i32>() & 1;
    let first = active.iter().find(in_level).map(colour);
    let wave: Vec<u32> = active.iter().filter(in_level).filter(|tile| Some(colour(tile)) == first).copied().collect();
    active.retain(|tile| wave.binary_search(tile).is_err());
    wave
}

struct Solved {
    /// None if they are as before.
    values: Option<Values>,
    visited: u64,
}

fn solve_tile(field: &Field, tables: &LossTables, level: Level, number: u32) -> Solved {
    let tile = &field.tiles[number as usize];
    if let Classes::One(class) = tile.classes
        && tile.exits.is_none()
        && let Some(solved) = solve_uniform(field, number, class)
    {
        return solved;
    }
    thread_local! {
        static BYTES: RefCell<Scratch<u8>> = RefCell::default();
        static NARROW: RefCell<Scratch<u16>> = RefCell::default();
        static WIDE: RefCell<Scratch<u32>> = RefCell::default();
    }
    if field.rules().limit() <= u32::from(u8::MAX) {
        return BYTES
            .with_borrow_mut(|scratch| solve_in(field, tables, level, number, scratch))
            .expect("a byte holds the limit");
    }
    if let Some(solved) = NARROW.with_borrow_mut(|scratch| solve_in(field, tables, level, number, scratch)) {
        return solved;
    }
    WIDE.with_borrow_mut(|scratch| solve_in(field, tables, level, number, scratch))
        .expect("32 bits hold every distance")
}

/// Tiles of one class that are at their best, or can't have anything, without looking at each voxel.
fn solve_uniform(field: &Field, number: u32, class: u8) -> Option<Solved> {
    let (tile, rules) = (&field.tiles[number as usize], field.rules());
    let class = &rules.classes()[usize::from(class)];
    let limit = rules.limit();
    let set = |value: u32| {
        let same = tile.values == Values::One(value);
        Some(Solved { values: (!same).then_some(Values::One(value)), visited: 1 })
    };
    if class.exits & FACES == 0 {
        return set(rules.own(class));
    }
    // Full of what comes through the free exit at no loss, if that is as good as it gets here.
    let free = rules.free().filter(|exit| class.exits >> exit & 1 == 1 && class.losses[*exit] == 0)?;
    let best = class.floor.min(limit);
    let behind = &field.tiles[tile.beside[free]? as usize].values;
    let face = opposite(free);
    let offers_best = match behind {
        Values::One(value) => *value <= best,
        values => (0..FACE).all(|n| values.get_index(face_index(face, n), limit) <= best),
    };
    if class.source >= best && offers_best { set(best) } else { None }
}

/// The local index of a voxel of a face: y faces by z and x, z faces by y and x, x faces by y and z.
fn face_index(face: usize, n: usize) -> usize {
    let far = if face & 1 == 1 { CHUNK_EDGE - 1 } else { 0 };
    match face / 2 {
        0 => far * FACE + n,
        1 => n / CHUNK_EDGE * FACE + far * CHUNK_EDGE + n % CHUNK_EDGE,
        _ => n * CHUNK_EDGE + far,
    }
}

/// Whether a voxel of the tile behind a face gains by what is offered there.
fn gains(field: &Field, tables: &LossTables, other: u32, face: usize, values: &Values) -> bool {
    let (tile, limit) = (&field.tiles[other as usize], field.rules().limit());
    let back = opposite(face);
    let losses = &tables.tables[tables.group[back]];
    match (values, &tile.classes) {
        (Values::One(value), _) if *value >= limit => return false,
        (_, Classes::One(class)) if losses[usize::from(*class)] == NONE => return false,
        _ => {}
    }
    let gains = |n: usize| {
        let (here, there) = (face_index(face, n), face_index(back, n));
        let class = match &tile.classes {
            Classes::One(class) => usize::from(*class),
            Classes::Each(classes) => usize::from(classes[there]),
        };
        let offered = values.get_index(here, limit).saturating_add(losses[class]);
        offered.max(tables.floors[class]) < tile.values.get_index(there, limit)
    };
    (0..FACE).any(gains)
}

/// Solves in one width of numbers; none if that could have been too narrow.
fn solve_in<T: Word + TryFrom<u32> + Into<u32>>(
    field: &Field,
    tables: &LossTables,
    level: Level,
    number: u32,
    scratch: &mut Scratch<T>,
) -> Option<Solved> {
    let limit = field.rules().limit();
    let tile = &field.tiles[number as usize];
    let most: u32 = T::NONE.into();
    let base = if limit <= most { 0 } else { least(field, tables, number) };
    if base >= limit {
        return Some(Solved { values: None, visited: 1 });
    }
    let mut frame = Frame { base, limit, dropped: false };
    fill_halo(field, tile, scratch, &mut frame);
    let kinds: Vec<Kind<T>> = tile.kinds.iter().map(|class| tables.kind(class, &mut frame)).collect();
    let start = start(tile, scratch, &mut frame);
    let is_settled = tile.is_settled;
    let exits = tile.exits.as_ref();
    let given = Given { classes: &tile.classes, kinds: &kinds, group: tables.group, exits, start, is_settled };
    let swept = tile::solve(level, &given, scratch);
    if most < limit - base {
        let reach = scratch.distances.iter().filter(|d| **d != T::NONE).map(|d| (*d).into()).max().unwrap_or(0);
        if frame.dropped || reach.saturating_add(tables.most) >= most {
            return None;
        }
    }
    let values = (swept.is_changed || !is_settled).then(|| frame.values(level, &scratch.distances));
    Some(Solved { values: values.filter(|values| *values != tile.values), visited: swept.voxels })
}

/// How distances are told in one run: above a base.
struct Frame {
    base: u32,
    limit: u32,
    /// A distance was too far above the base.
    dropped: bool,
}

impl Frame {
    fn word<T: Word + TryFrom<u32>>(&mut self, distance: u32) -> T {
        if distance >= self.limit {
            return T::NONE;
        }
        match T::try_from(distance - self.base) {
            Ok(word) if word != T::NONE => word,
            _ => {
                self.dropped = true;
                T::NONE
            }
        }
    }

    /// Distances in the narrowest form.
    fn values<T: Word>(&self, level: Level, distances: &[T; CHUNK_VOXELS]) -> Values {
        let limit = self.limit - self.base;
        let mut values = zeroed::<u16, CHUNK_VOXELS>();
        let narrow = tile::narrow(level, distances, limit, &mut values);
        let told = |word: T| if word == T::NONE { limit } else { word.widened().min(limit) };
        if narrow.is_one {
            return Values::One(self.base + told(distances[0]));
        }
        if narrow.fits {
            return Values::Narrow { base: self.base, values };
        }
        let mut values = zeroed::<u32, CHUNK_VOXELS>();
        values.iter_mut().zip(distances).for_each(|(value, word)| *value = self.base + told(*word));
        Values::Wide(values)
    }
}

/// The least distance that a tile has or is offered: nothing in it comes below that.
fn least(field: &Field, tables: &LossTables, number: u32) -> u32 {
    let (tile, limit) = (&field.tiles[number as usize], field.rules().limit());
    let of = |values: &Values| match values {
        Values::One(value) => *value,
        Values::Narrow { base, .. } => *base,
        Values::Wide(values) => values.iter().copied().min().unwrap_or(limit),
    };
    let around = tile.beside.iter().flatten().map(|other| of(&field.tiles[*other as usize].values));
    let own = tile.kinds.iter().map(|class| tables.own[usize::from(class)]).min().unwrap_or(NONE);
    around.chain([of(&tile.values), own.min(limit)]).min().unwrap_or(limit)
}

/// What lies around a tile.
fn fill_halo<T: Word + TryFrom<u32>>(field: &Field, tile: &FieldTile, scratch: &mut Scratch<T>, frame: &mut Frame) {
    for face in 0..6 {
        match tile.beside[face].map(|other| &field.tiles[other as usize].values) {
            None => scratch.halo[face].fill(T::NONE),
            Some(Values::One(value)) => scratch.halo[face].fill(frame.word(*value)),
            Some(values) => fill_face(values, opposite(face), frame, &mut scratch.halo[face]),
        }
    }
}

/// Where a tile's distances begin.
fn start<'a, T: Word + TryFrom<u32>>(tile: &'a FieldTile, scratch: &mut Scratch<T>, frame: &mut Frame) -> Start<'a> {
    let limit = frame.limit;
    match &tile.values {
        // What a tile was solved to has its own distances in it.
        Values::Narrow { base, values } if *base == frame.base => return Start::Narrow(values),
        Values::One(value) if *value >= limit => return Start::Own,
        values => {
            for (n, distance) in scratch.distances.iter_mut().enumerate() {
                *distance = frame.word(values.get_index(n, limit));
            }
        }
    }
    Start::Filled
}

/// What a neighbour has on the face it turns to a tile.
fn fill_face<T: Word + TryFrom<u32>>(values: &Values, face: usize, frame: &mut Frame, halo: &mut [T; FACE]) {
    let limit = frame.limit;
    match values {
        Values::Narrow { base, values } if *base == frame.base => {
            for (n, halo) in halo.iter_mut().enumerate() {
                *halo = T::from_narrow(values[face_index(face, n)]);
            }
        }
        values => {
            for (n, halo) in halo.iter_mut().enumerate() {
                *halo = frame.word(values.get_index(face_index(face, n), limit));
            }
        }
    }
}

const _: () = assert!(EXITS[BELOW][1] == -1 && EXITS[ABOVE][1] == 1, "faces are numbered as exits are");
