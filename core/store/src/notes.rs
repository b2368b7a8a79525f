//! What the journal remembers beside the world itself: names of actors, and undos that have begun and not ended.

use crate::journal::{Journal, Record};
use std::collections::BTreeMap;
use terrane_world::limits::ACTORS_MAX;
use terrane_world::step::{ActorId, ActorState, Deltas};
use terrane_world::undo::Request;

/// Names that are kept at hand; those of actors that were not heard for long go first.
const NAMES_MAX: usize = 2 * ACTORS_MAX;

/// Names and undos, as of some frame of the journal.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    names: BTreeMap<ActorId, String>,
    undos: BTreeMap<u64, Request>,
    /// Who has been named in this segment, so that each segment can be read without those before it.
    named: (u32, BTreeMap<ActorId, String>),
}

impl Notes {
    /// Takes in what a record says.
    pub fn hear(&mut self, record: &Record) {
        match record {
            // What still holds follows.
            Record::State { .. } => *self = Self::default(),
            Record::Name { actor, name } => drop(self.names.insert(*actor, name.clone())),
            Record::UndoBegins(request) => drop(self.undos.insert(request.id, request.clone())),
            Record::UndoEnds { undo } => {
                if let Some(undone) = self.undos.remove(undo).and_then(|request| request.takes_back) {
                    self.undos.remove(&undone);
                }
            }
            _ => {}
        }
    }

    /// Undos that have not ended, in the order in which they began.
    pub fn undos(&self) -> impl Iterator<Item = &Request> {
        self.undos.values()
    }

    /// The records that say the same, for behind the one that says where the world stands.
    pub fn records(&self, actors: &BTreeMap<ActorId, ActorState>) -> Vec<Record> {
        let names = self.names.iter().filter(|(actor, _)| actors.contains_key(actor));
        let names = names.map(|(actor, name)| Record::Name { actor: *actor, name: name.clone() });
        names.chain(self.undos.values().cloned().map(Record::UndoBegins)).collect()
    }

    /// The names that have to stand in front of a tick: of those who act in it, and have not been named in this segment.
    pub fn name(
        &mut self,
        journal: &Journal,
        deltas: &Deltas,
        introduced: &BTreeMap<ActorId, String>,
        actors: &BTreeMap<ActorId, ActorState>,
    ) -> Vec<Record> {
        if self.names.is_empty() && introduced.is_empty() {
            return Vec::new();
        }
        if self.named.0 != journal.next_segment() {
            self.named = (journal.next_segment(), BTreeMap::new());
        }
        let acting =
            deltas.chunks.iter().map(|delta| delta.cause.actor).chain(deltas.actors.iter().map(|(actor, _)| *actor));
        let mut records = Vec::new();
        let mut last = None;
        for actor in acting.filter(|actor| last.replace(*actor) != Some(*actor)) {
            let Some(name) = introduced.get(&actor).or_else(|| self.names.get(&actor)).cloned() else { continue };
            if self.named.1.get(&actor) != Some(&name) {
                self.named.1.insert(actor, name.clone());
                self.names.insert(actor, name.clone());
                records.push(Record::Name { actor, name });
            }
        }
        if self.names.len() > NAMES_MAX {
            self.names.retain(|actor, _| actors.contains_key(actor));
        }
        records
    }
}
