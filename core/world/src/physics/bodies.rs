//! The bodies of a column.

use super::state::{Body, BodyId};
use std::sync::Arc;

/// Bodies by name, ascending: one row, as every tick makes nearly all of them anew, and shared with whoever keeps an older
/// state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bodies(Arc<Vec<(BodyId, Body)>>);

impl Bodies {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by name.
    pub fn get(&self, id: &BodyId) -> Option<&Body> {
        self.place(id).ok().map(|at| &self.0[at].1)
    }

    /// Whether there is one of this name.
    pub fn contains_key(&self, id: &BodyId) -> bool {
        self.place(id).is_ok()
    }

    /// Puts one in, in place of one of the same name.
    pub fn insert(&mut self, id: BodyId, body: Body) {
        let place = if self.0.last().is_some_and(|(last, _)| *last < id) { Err(self.len()) } else { self.place(&id) };
        let all = Arc::make_mut(&mut self.0);
        match place {
            Ok(at) => all[at].1 = body,
            Err(at) => all.insert(at, (id, body)),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&BodyId, &Body)> {
        self.0.iter().map(|(id, body)| (id, body))
    }

    /// Their names.
    pub fn keys(&self) -> impl Iterator<Item = &BodyId> {
        self.0.iter().map(|(id, _)| id)
    }

    /// Them without their names.
    pub fn values(&self) -> impl Iterator<Item = &Body> {
        self.0.iter().map(|(_, body)| body)
    }

    /// The names of those that `before` does not have.
    pub fn new_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = BodyId> + 'a {
        let mut old = before.keys().peekable();
        self.keys().copied().filter(move |id| {
            while old.next_if(|old| *old < id).is_some() {}
            old.peek() != Some(&id)
        })
    }

    fn place(&self, id: &BodyId) -> Result<usize, usize> {
        self.0.binary_search_by_key(id, |(id, _)| *id)
    }
}

/// Of several with one name the last counts.
impl FromIterator<(BodyId, Body)> for Bodies {
    fn from_iter<I: IntoIterator<Item = (BodyId, Body)>>(bodies: I) -> Self {
        let mut all: Vec<_> = bodies.into_iter().collect();
        if !all.is_sorted_by(|a, b| a.0 < b.0) {
            all.reverse();
            all.sort_by_key(|(id, _)| *id);
            all.dedup_by_key(|(id, _)| *id);
        }
        Self(Arc::new(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::state::{BodyVoxel, Phase, Shape};
    use crate::space::VoxelPos;
    use crate::step::{ActorId, Cause, CauseKind};

    fn id(tick: u64) -> BodyId {
        BodyId { tick, origin: VoxelPos::new(0, 0, 0).unwrap() }
    }

    fn body(fallen: u32) -> Body {
        let voxel = BodyVoxel { pos: id(0).origin, block: crate::block::AIR, sparse: None };
        let cause = Cause { kind: CauseKind::Edit, actor: ActorId(1), root: 1 };
        Body { cause, fallen, velocity: 0, phase: Phase::Falling, shape: Arc::new(Shape::new(vec![voxel])) }
    }

    #[test]
    fn bodies_are_in_order_of_their_names_and_the_last_of_a_name_counts() {
        let named = [(3, 0), (1, 1), (3, 2), (2, 3), (1, 4)];
        let all: Bodies = named.iter().map(|(tick, fallen)| (id(*tick), body(*fallen))).collect();
        let mut one_by_one = Bodies::default();
        named.iter().for_each(|(tick, fallen)| one_by_one.insert(id(*tick), body(*fallen)));
        assert_eq!(all, one_by_one);
        assert_eq!(all.iter().map(|(id, body)| (id.tick, body.fallen)).collect::<Vec<_>>(), [(1, 4), (2, 3), (3, 2)]);
        assert!(all.contains_key(&id(2)) && !all.contains_key(&id(4)));
        assert_eq!(all.get(&id(3)), Some(&body(2)));
    }

    #[test]
    fn what_is_new_is_what_was_not_there() {
        let of = |ticks: &[u64]| ticks.iter().map(|tick| (id(*tick), body(0))).collect::<Bodies>();
        let new = |now: &[u64], before: &[u64]| {
            let (now, before) = (of(now), of(before));
            now.new_since(&before).map(|id| id.tick).collect::<Vec<_>>()
        };
        assert_eq!(new(&[1, 2, 5, 7], &[0, 2, 3, 7]), [1, 5]);
        assert_eq!(new(&[4, 5], &[]), [4, 5]);
        assert_eq!(new(&[], &[1]), []);
        assert_eq!(new(&[9], &[1, 2, 3]), [9]);
    }
}
