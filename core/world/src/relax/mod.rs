//! Relaxation: one number per voxel, worked out from the numbers beside it until nothing changes.
//!
//! Path cost, structural support, blast energy and light are all `e(v) = best over exits k of op(e(v + k), w(k, v))`. Two
//! operators are offered, and one is computed: a value that falls from a `top` is held as the distance below it, so that
//! "best" is always the least number and a step always adds. Every cycle of steps adds at least 1 (only a step along one
//! vertical direction may add 0), so there is one least fixed point, and no order of work can lead anywhere else.
//!
//! A *class* says how a voxel takes values; voxels hold only the number of their class, one byte. A [`Field`] holds the
//! values of chunks (tiles of 32³) and keeps them true: [`Field::load`] solves whole tiles (or, in a new field in which little is
//! open, voxel by voxel), [`Field::update`] follows single voxels that changed. `shaders/relax.wgsl` is the twin of the first.

mod bulk;
mod field;
mod queue;
pub mod reference;
mod table;
mod tile;

pub use field::{Bulk, Changed, Classes, Exits, Field, Followed, Given, TILES_MAX, Updated, Values};
pub use table::Table;

use crate::limits::REACH;

/// Steps to the voxels that a value may come from: below, above, then −z, +z, −x, +x; then the twelve over an edge and the
/// eight over a corner, each group in order of y, z, x. `[x, y, z]`. The number of an exit is its place here.
pub const EXITS: [[i32; 3]; 26] = exits();

/// What a step over a face, an edge or a corner costs, in tenths.
pub const TENTHS: [u16; 3] = [10, 14, 17];

/// Exits over faces alone.
pub const FACES: u32 = (1 << 6) - 1;
/// All exits.
pub const ALL: u32 = (1 << 26) - 1;

/// The exit below.
pub const BELOW: usize = 0;
/// The exit above.
pub const ABOVE: usize = 1;

const fn exits() -> [[i32; 3]; 26] {
    let mut all = [[0; 3]; 26];
    all[0] = [0, -1, 0];
    all[1] = [0, 1, 0];
    all[2] = [0, 0, -1];
    all[3] = [0, 0, 1];
    all[4] = [-1, 0, 0];
    all[5] = [1, 0, 0];
    let mut at = 6;
    let mut axes = 2;
    while axes <= 3 {
        let mut n = 0;
        while n < 27 {
            let step = [n % 3 - 1, n / 9 - 1, n / 3 % 3 - 1];
            if (step[0] != 0) as i32 + (step[1] != 0) as i32 + (step[2] != 0) as i32 == axes {
                all[at] = step;
                at += 1;
            }
            n += 1;
        }
        axes += 1;
    }
    all
}

/// The exit that leads back: `EXITS[opposite(k)]` is minus `EXITS[k]`.
pub const fn opposite(exit: usize) -> usize {
    match exit {
        0..6 => exit ^ 1,
        6..18 => 23 - exit,
        _ => 43 - exit,
    }
}

/// How voxels take values from their neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// A step adds, the least value is best: path cost. No value is [`Rules::limit`] or more.
    MinPlus,
    /// A step takes away, the greatest value is best, and 0 is none: support, blast energy, light. The limit is the top.
    MaxMinus,
}

/// Not a source.
pub const NONE: u32 = u32::MAX;

/// How the voxels of one class take values. Everything is told as distances: for [`Operator::MaxMinus`] a value `e` is the
/// distance `top − e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class {
    /// The distance it has by itself, or [`NONE`].
    pub source: u32,
    /// It never comes nearer than this, whatever its neighbours have: `top − cap`.
    pub floor: u32,
    /// The exits it takes values through, as a mask of [`EXITS`].
    pub exits: u32,
    /// What is added on the way in, by exit.
    pub losses: [u16; 26],
}

impl Class {
    /// A class that never has a value.
    pub const CLOSED: Self = Self { source: NONE, floor: 0, exits: 0, losses: [0; 26] };
}

/// Why a table of classes can't be relaxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// More classes than a byte can number.
    #[error("{0} classes, and 256 is the most")]
    TooMany(usize),
    /// No class at all.
    #[error("at least one class is needed")]
    Empty,
    /// A step sideways or over an edge adds nothing, or steps both up and down do: values would go round for ever.
    #[error("class {class} loses nothing through exit {exit}: only one vertical direction may lose 0")]
    NoLoss {
        /// The class.
        class: usize,
        /// The exit.
        exit: usize,
    },
}

/// A table of classes that can be relaxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    operator: Operator,
    limit: u32,
    classes: Vec<Class>,
    exits: u32,
    free: Option<usize>,
    giver_pays: bool,
}

impl Rules {
    /// Checks a table. `limit` is the first distance that counts as none: the top for [`Operator::MaxMinus`].
    pub fn new(operator: Operator, limit: u32, classes: Vec<Class>) -> Result<Self, RulesError> {
        if classes.is_empty() {
            return Err(RulesError::Empty);
        }
        if classes.len() > 256 {
            return Err(RulesError::TooMany(classes.len()));
        }
        let mut free = None;
        for (number, class) in classes.iter().enumerate() {
            for exit in (0..26).filter(|exit| class.exits >> exit & 1 == 1 && class.losses[*exit] == 0) {
                if exit > ABOVE || free.is_some_and(|free| free != exit) {
                    return Err(RulesError::NoLoss { class: number, exit });
                }
                free = Some(exit);
            }
        }
        let exits = classes.iter().fold(0, |all, class| all | class.exits);
        Ok(Self { operator, limit, classes, exits, free, giver_pays: false })
    }

    /// The same, but what a step adds is told by the class of the voxel that the value comes from: for steps over edges and
    /// corners, whose lengths differ, it matters who pays. Only the CPU, voxel by voxel, relaxes such rules.
    ///
    /// # Panics
    /// If all exits are over faces, or some class has a floor or an exit without loss.
    #[must_use]
    pub fn with_giver_paying(self) -> Self {
        assert!(self.exits & !FACES != 0, "over faces alone, who pays is a matter of naming");
        assert!(self.free.is_none() && self.classes.iter().all(|class| class.floor == 0), "these belong to who takes");
        Self { giver_pays: true, ..self }
    }

    /// Whether the class that a value comes from tells what a step adds.
    pub const fn giver_pays(&self) -> bool {
        self.giver_pays
    }

    /// The operator.
    pub const fn operator(&self) -> Operator {
        self.operator
    }
    /// The first distance that counts as none.
    pub const fn limit(&self) -> u32 {
        self.limit
    }
    /// The classes, by number.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }
    /// All exits that any class takes values through.
    pub const fn exits(&self) -> u32 {
        self.exits
    }
    /// The vertical exit through which some class loses nothing.
    pub const fn free(&self) -> Option<usize> {
        self.free
    }
    /// A distance as a value: itself, or how far it is below the top. None is the limit, or 0.
    pub const fn value(&self, distance: u32) -> u32 {
        let distance = if distance < self.limit { distance } else { self.limit };
        match self.operator {
            Operator::MinPlus => distance,
            Operator::MaxMinus => self.limit - distance,
        }
    }

    /// Where a distance stands in the order in which voxels are settled: who a voxel takes its value from comes before it.
    /// `y` is the voxel's height.
    pub const fn rank(&self, distance: u32, y: i32) -> (u32, i32) {
        match self.free {
            Some(BELOW) => (distance, y),
            Some(_) => (distance, -y),
            None => (distance, 0),
        }
    }

    /// The distance a voxel of this class gets through `exit` from a neighbour at `distance`.
    pub const fn step(&self, class: &Class, exit: usize, distance: u32) -> u32 {
        let sum = distance.saturating_add(class.losses[exit] as u32);
        let sum = if sum < class.floor { class.floor } else { sum };
        if sum < self.limit { sum } else { self.limit }
    }

    /// The distance a voxel of this class has without any neighbour.
    pub const fn own(&self, class: &Class) -> u32 {
        if class.source < self.limit { class.source } else { self.limit }
    }
}

const _: () = assert!(REACH <= 64, "losses of one step and a reach fit 16 bits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_has_its_opposite_and_they_come_in_order() {
        for (exit, step) in EXITS.iter().enumerate() {
            assert_eq!(EXITS[opposite(exit)], step.map(|part| -part), "exit {exit}");
        }
        let group =
            |range: std::ops::Range<usize>| EXITS[range].iter().map(|[x, y, z]| [*y, *z, *x]).collect::<Vec<_>>();
        assert!(group(6..18).is_sorted() && group(18..26).is_sorted());
        let mut all = EXITS.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 26);
    }

    #[test]
    fn rules_that_would_go_round_in_circles_are_refused() {
        let class = |exit: usize| Class { exits: 1 << exit, ..Class::CLOSED };
        let rules = |classes| Rules::new(Operator::MaxMinus, 255, classes);
        assert!(rules(vec![class(BELOW)]).is_ok() && rules(vec![class(ABOVE)]).is_ok());
        assert_eq!(rules(vec![class(2)]), Err(RulesError::NoLoss { class: 0, exit: 2 }));
        assert_eq!(rules(vec![class(BELOW), class(ABOVE)]), Err(RulesError::NoLoss { class: 1, exit: ABOVE }));
        assert_eq!(rules(vec![]), Err(RulesError::Empty));
        assert_eq!(rules(vec![Class::CLOSED; 257]), Err(RulesError::TooMany(257)));
    }
}
