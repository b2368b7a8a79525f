//! Taking back what was done: which changes are meant, and what it takes to put their voxels back.
//!
//! History is read forwards into a [`plan::Planner`], which gives a [`plan::Plan`]: counts to look at first, and voxels to be put
//! back by [`crate::step::Input::Restore`], a bounded part a tick. What an undo changes has a cause of its own, so it can be
//! taken back in the same way. docs/undo.md says what is promised.

pub mod plan;

use crate::space::VoxelBox;
use crate::step::{ActorId, Cause, CauseKind, Deltas};
use std::collections::BTreeSet;

/// Some kinds of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u8);

impl Kinds {
    /// Everything that happens, but not what took it back.
    pub fn all_but_undo() -> Self {
        CauseKind::ALL.into_iter().filter(|kind| *kind != CauseKind::Undo).collect()
    }

    /// Whether one is among them.
    pub const fn has(self, kind: CauseKind) -> bool {
        self.0 >> (kind as u8 - 1) & 1 == 1
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<CauseKind> for Kinds {
    fn from_iter<I: IntoIterator<Item = CauseKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << (kind as u8 - 1)))
    }
}

/// Which changes are meant: those for which all of this holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of one of these; none if it does not matter whose.
    pub actors: Option<BTreeSet<ActorId>>,
    /// Of voxels in this box.
    pub within: Option<VoxelBox>,
    /// Not before this tick.
    pub since: u64,
    /// Not after this tick.
    pub until: u64,
    /// Of such a cause.
    pub kinds: Kinds,
    /// Only what this undo did.
    pub undo: Option<u64>,
}

impl Filter {
    /// Whether a change is meant, wherever it is.
    pub fn chooses(&self, tick: u64, cause: &Cause) -> bool {
        (self.since..=self.until).contains(&tick)
            && self.kinds.has(cause.kind)
            && self.actors.as_ref().is_none_or(|actors| actors.contains(&cause.actor))
            && self.undo.is_none_or(|undo| cause.kind == CauseKind::Undo && cause.root == undo)
    }
}

/// What happens to voxels that somebody else has changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// Theirs stays.
    #[default]
    Keep,
    /// They go back to what they were before the first change that is meant.
    Overwrite,
}

/// An undo, as history remembers it from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number: the tick it took to begin, so no other has it.
    pub id: u64,
    /// Who asked for it.
    pub actor: ActorId,
    /// What it takes back. Its `until` lies before its first part.
    pub filter: Filter,
    /// What it does where somebody else has built since.
    pub rule: Rule,
    /// The unfinished undo that ends with this one.
    pub takes_back: Option<u64>,
}

/// The first byte of a request.
const LAYOUT: u8 = 1;
/// Actors that one undo may be about: more than a name will ever have had sessions.
pub const REQUEST_ACTORS_MAX: usize = 65_536;

impl Request {
    /// As bytes, for the journal.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Filter { actors, within, since, until, kinds, undo } = &self.filter;
        let mut bytes = vec![LAYOUT, self.rule as u8, kinds.0];
        let numbers = [self.id, self.actor.0, self.takes_back.unwrap_or(0), *since, *until, undo.unwrap_or(0)];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.push(u8::from(within.is_some()));
        let ends = within.iter().flat_map(|within| [within.min(), within.max()]).flatten();
        bytes.extend(ends.flat_map(i32::to_le_bytes));
        bytes.push(u8::from(actors.is_some()));
        bytes.extend(actors.iter().flatten().flat_map(|actor| actor.0.to_le_bytes()));
        bytes
    }

    /// What [`Request::to_bytes`] wrote; none for all other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([layout, rule, kinds], mut rest) = bytes.split_first_chunk::<3>()?;
        let rule = match rule {
            0 => Rule::Keep,
            1 => Rule::Overwrite,
            _ => return None,
        };
        let mut numbers = [0u64; 6];
        for number in &mut numbers {
            *number = u64::from_le_bytes(take(&mut rest)?);
        }
        let [id, actor, takes_back, since, until, undo] = numbers;
        let within = match take(&mut rest)? {
            [0] => None,
            [1] => {
                let mut ends = [[0i32; 3]; 2];
                for part in ends.iter_mut().flatten() {
                    *part = i32::from_le_bytes(take(&mut rest)?);
                }
                Some(VoxelBox::try_from(ends).ok()?)
            }
            _ => return None,
        };
        let has_actors = take::<1>(&mut rest)?;
        let (actors, left) = rest.as_chunks::<8>();
        let is_whole = *layout == LAYOUT && left.is_empty() && kinds >> CauseKind::ALL.len() == 0;
        if !is_whole
            || actors.len() > REQUEST_ACTORS_MAX
            || has_actors[0] > 1
            || (has_actors == [0] && !rest.is_empty())
        {
            return None;
        }
        let actors = actors.iter().map(|actor| ActorId(u64::from_le_bytes(*actor))).collect();
        let actors = (has_actors == [1]).then_some(actors);
        let some = |number: u64| (number > 0).then_some(number);
        let filter = Filter { actors, within, since, until, kinds: Kinds(*kinds), undo: some(undo) };
        Some(Self { id, actor: ActorId(actor), filter, rule, takes_back: some(takes_back) })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

/// How many voxels an undo changed in a tick, in their blocks or their sparse data.
pub fn changed_voxels(deltas: &Deltas, undo: u64) -> u64 {
    let of_undo = deltas.chunks.iter().filter(|d| (d.cause.kind, d.cause.root) == (CauseKind::Undo, undo));
    let voxels = of_undo.map(|delta| {
        let is_in_run =
            |local: u16| delta.runs.iter().any(|run| (run.first.get()..run.first.get() + run.length).contains(&local));
        let blocks: u64 = delta.runs.iter().map(|run| u64::from(run.length)).sum();
        blocks + delta.sparse.iter().filter(|change| !is_in_run(change.local.get())).count() as u64
    });
    voxels.sum()
}

/// The request that takes back what an undo has done up to a tick. One that is not finished ends with it.
pub fn taking_back(undo: u64, (id, until): (u64, u64), actor: ActorId, rule: Rule, is_unfinished: bool) -> Request {
    let kinds: Kinds = [CauseKind::Undo].into_iter().collect();
    let filter = Filter { actors: None, within: None, since: undo, until, kinds, undo: Some(undo) };
    Request { id, actor, filter, rule, takes_back: is_unfinished.then_some(undo) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let filter = Filter {
            actors: Some([ActorId(7), ActorId(u64::MAX)].into()),
            within: Some("-4,0,-9:33,64,12".parse().unwrap()),
            since: 5,
            until: 99,
            kinds: [CauseKind::Blast, CauseKind::Undo].into_iter().collect(),
            undo: Some(44),
        };
        Request { id: 100, actor: ActorId(3), filter, rule: Rule::Overwrite, takes_back: Some(44) }
    }

    #[test]
    fn a_request_comes_back_and_no_part_of_one_is_one() {
        let whole = request();
        let filter = Filter { actors: None, within: None, undo: None, ..whole.filter.clone() };
        let bare = Request { filter, rule: Rule::Keep, takes_back: None, ..whole.clone() };
        let nobody =
            Request { filter: Filter { actors: Some(BTreeSet::new()), ..bare.filter.clone() }, ..bare.clone() };
        for request in [&whole, &bare, &nobody] {
            assert_eq!(Request::from_bytes(&request.to_bytes()).as_ref(), Some(request));
        }
        let bytes = whole.to_bytes();
        // Sixteen of its bytes are two actors; with one less it is another request.
        for cut in (0..bytes.len()).filter(|cut| ![8, 16].contains(&(bytes.len() - cut))) {
            assert_eq!(Request::from_bytes(&bytes[..cut]), None, "{cut} bytes");
        }
        assert_eq!(Request::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn a_filter_chooses_by_everything_it_says() {
        let filter = request().filter;
        let cause = |kind, actor, root| Cause { kind, actor: ActorId(actor), root };
        assert!(
            filter.chooses(5, &cause(CauseKind::Undo, 7, 44)) && filter.chooses(99, &cause(CauseKind::Undo, 7, 44))
        );
        assert!(
            !filter.chooses(4, &cause(CauseKind::Undo, 7, 44)) && !filter.chooses(100, &cause(CauseKind::Undo, 7, 44))
        );
        assert!(!filter.chooses(5, &cause(CauseKind::Undo, 8, 44)), "another actor");
        assert!(!filter.chooses(5, &cause(CauseKind::Undo, 7, 45)), "another undo");
        assert!(!filter.chooses(5, &cause(CauseKind::Blast, 7, 44)), "no undo at all");
        let any = Filter { undo: None, actors: None, ..filter };
        assert!(any.chooses(5, &cause(CauseKind::Blast, 1, 1)) && !any.chooses(5, &cause(CauseKind::Edit, 1, 1)));
    }
}
