//! What an undo needs of history: its planner fed, and the names that actors have gone by.

use crate::error::StoreError;
use crate::history::History;
use crate::journal::Record;
use std::collections::{BTreeMap, BTreeSet};
use terrane_world::step::ActorId;
use terrane_world::undo::plan::{Planner, TooMuch};

/// Why an undo can't be planned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UndoError {
    /// History can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much is meant.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// Nobody wanted it any more.
    #[error("history was not read to its end, because nobody wants it any more")]
    Unwanted,
}

/// Reads history from before a tick on, as long as that is wanted.
fn read(
    history: &History<'_>,
    since: u64,
    is_wanted: &dyn Fn() -> bool,
    visit: &mut dyn FnMut(&Record) -> Result<(), UndoError>,
) -> Result<(), UndoError> {
    history.read(since, &mut |record| if is_wanted() { visit(record) } else { Err(UndoError::Unwanted) })
}

/// Tells a planner of everything from before `since` on, as long as that is wanted.
pub fn tell(
    history: &History<'_>,
    since: u64,
    planner: &mut Planner<'_>,
    is_wanted: &dyn Fn() -> bool,
) -> Result<(), UndoError> {
    // A load counts when it has ended; one that a crash cut off has replaced nothing.
    let mut loading = Vec::new();
    read(history, since, is_wanted, &mut |record| {
        match record {
            Record::Lost => planner.lost(),
            Record::SwitchBegins { .. } => loading.clear(),
            Record::Replaced { pos, .. } => loading.push(*pos),
            Record::SwitchEnds => loading.drain(..).for_each(|pos| planner.replaced(pos)),
            _ => {}
        }
        let (tick, _, deltas) = record.deltas().unwrap_or_default();
        Ok(deltas.iter().try_for_each(|delta| planner.take(tick, delta))?)
    })
}

/// Whether an undo of this number has begun, as far as history goes back.
pub fn knows(history: &History<'_>, undo: u64, is_wanted: &dyn Fn() -> bool) -> Result<bool, UndoError> {
    let mut found = false;
    read(history, undo, is_wanted, &mut |record| {
        found |= matches!(record, Record::UndoBegins(request) if request.id == undo);
        Ok(())
    })?;
    Ok(found)
}

/// Every name that somebody has acted under since a tick, by actor, read as long as that is wanted: more than that, as far as it stands
/// in the same segment.
pub fn names(
    history: &History<'_>,
    since: u64,
    is_wanted: &dyn Fn() -> bool,
) -> Result<BTreeMap<ActorId, BTreeSet<String>>, UndoError> {
    let mut names: BTreeMap<ActorId, BTreeSet<String>> = BTreeMap::new();
    read(history, since, is_wanted, &mut |record| {
        if let Record::Name { actor, name } = record {
            names.entry(*actor).or_default().insert(name.clone());
        }
        Ok(())
    })?;
    Ok(names)
}
