//! The undo thread: reads history, and plans what clients want taken back, one wish at a time.
//!
//! Of each connection only the newest wish waits. What is read may be newer than what is meant: a request says up to which tick, and
//! all of that is durable when it comes here.

use super::Event;
use crate::undoing::Names;
use crate::undoing::telling::known;
use crate::worlds;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use terrane_protocol::limits::UNDO_OTHERS_MAX;
use terrane_protocol::undo::ghost_frames;
use terrane_protocol::{ServerMessage, UndoOther, UndoPlan, UndoRefusal, UndoRequest};
use terrane_roles::undoing::LIVE_VOXELS_MAX;
use terrane_roles::{PeerId, Planned, UndoAnswer, UndoAsk};
use terrane_store::undo::{self, UndoError};
use terrane_store::{History, Store, StoreError};
use terrane_world::space::VoxelBox;
use terrane_world::step::ActorId;
use terrane_world::undo::plan::{Plan, Planner, Summary};
use terrane_world::undo::{Filter, Request, taking_back};

/// A wish.
struct Wish {
    token: u64,
    actor: ActorId,
    ask: UndoRequest,
    until: u64,
}

#[derive(Default)]
struct Pile {
    wishes: BTreeMap<PeerId, Wish>,
    /// Whose wish is being planned, as long as they want it.
    wanted: Option<PeerId>,
    is_closed: bool,
}

/// What the tick thread has for the undo thread: a wish a connection at most.
#[derive(Default)]
pub struct Desk {
    pile: Mutex<Pile>,
    news: Condvar,
}

impl Desk {
    fn pile(&self) -> MutexGuard<'_, Pile> {
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client wants something, or no more.
    pub fn say(&self, ask: UndoAsk) {
        match ask {
            UndoAsk::Plan { peer, token, actor, ask, until } => {
                self.pile().wishes.insert(peer, Wish { token, actor, ask, until });
            }
            UndoAsk::Forget { peer } => {
                let mut pile = self.pile();
                pile.wishes.remove(&peer);
                pile.wanted.take_if(|wanted| *wanted == peer);
            }
        }
        self.news.notify_one();
    }

    /// Ends the undo thread.
    pub fn close(&self) {
        self.pile().is_closed = true;
        self.news.notify_one();
    }

    /// The oldest wish; waits for one. None once it is closed.
    fn take(&self) -> Option<(PeerId, Wish)> {
        let is_quiet = |pile: &mut Pile| pile.wishes.is_empty() && !pile.is_closed;
        let mut pile = self.news.wait_while(self.pile(), is_quiet).unwrap_or_else(PoisonError::into_inner);
        if pile.is_closed {
            return None;
        }
        let oldest = pile.wishes.iter().min_by_key(|(_, wish)| wish.token).map(|(peer, _)| *peer)?;
        pile.wanted = Some(oldest);
        pile.wishes.remove_entry(&oldest)
    }

    /// Whether what was taken last is still wanted.
    fn is_wanted(&self) -> bool {
        let pile = self.pile();
        pile.wanted.is_some() && !pile.is_closed
    }
}

/// Runs until the desk is closed or the tick thread has ended.
pub fn run(store: &Store, desk: &Desk, events: &SyncSender<Event>) {
    while let Some((peer, wish)) = desk.take() {
        let outcome = match plan(store, &wish, &|| desk.is_wanted()) {
            Ok(planned) => Ok(planned),
            Err(NoPlan::Unwanted) => continue,
            Err(NoPlan::Because(code, text)) => Err((code, text)),
        };
        let answer = Box::new(UndoAnswer { peer, token: wish.token, outcome });
        if events.send(Event::Undo(answer)).is_err() {
            return;
        }
    }
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq)]
enum NoPlan {
    /// For programs, and for people.
    Because(UndoRefusal, String),
    /// Nobody wants one any more.
    Unwanted,
}

impl From<StoreError> for NoPlan {
    fn from(error: StoreError) -> Self {
        Self::Because(UndoRefusal::History, format!("history can't be read: {error}"))
    }
}

impl From<UndoError> for NoPlan {
    fn from(error: UndoError) -> Self {
        match error {
            UndoError::Store(error) => error.into(),
            UndoError::TooMuch(error) => Self::Because(UndoRefusal::TooMuch, error.to_string()),
            UndoError::Unwanted => Self::Unwanted,
        }
    }
}

fn plan(store: &Store, wish: &Wish, is_wanted: &dyn Fn() -> bool) -> Result<Planned, NoPlan> {
    let unfinished = store.unfinished_undos().pop().map(|request| request.id);
    if let Some(cut_off) = unfinished.filter(|unfinished| wish.ask.undo != Some(*unfinished)) {
        return Err(NoPlan::Because(UndoRefusal::Another, cut_off_text(cut_off)));
    }
    let history = store.history()?;
    let (request, names) = request(&history, wish, unfinished.is_some(), is_wanted)?;
    let mut planner = Planner::new(&request, LIVE_VOXELS_MAX);
    undo::tell(&history, request.filter.since, &mut planner, is_wanted)?;
    let plan = planner.finish();
    let begins = Some(history.known_from()).filter(|known_from| *known_from > request.filter.since);
    let frames = frames(wish, &plan, begins.unwrap_or(0), &names);
    Ok(Planned { request, plan, frames })
}

/// What is to be said of an undo that is unfinished.
pub fn cut_off_text(undo: u64) -> String {
    format!(
        "undo {undo} was cut off: it can be taken back by its number, or, on a world that nobody serves, finished with \
         `terrane undo --finish`"
    )
}

/// What a wish means, and the names that are known. Its number is set when it begins.
fn request(
    history: &History<'_>,
    wish: &Wish,
    is_unfinished: bool,
    is_wanted: &dyn Fn() -> bool,
) -> Result<(Request, Names), NoPlan> {
    let Wish { actor, ask, until, .. } = wish;
    if let Some(undo) = ask.undo {
        if !is_unfinished && !undo::knows(history, undo, is_wanted)? {
            let text = format!("there is no undo {undo} in history; undos say their number when they are done");
            return Err(NoPlan::Because(UndoRefusal::Nobody, text));
        }
        let names = undo::names(history, undo, is_wanted)?;
        return Ok((taking_back(undo, (0, *until), *actor, ask.rule, is_unfinished), names));
    }
    if ask.name.is_empty() && ask.within.is_none() && ask.since_ms == 0 && ask.causes == 0 {
        let text = "say what is to be taken back: a name, a box, a time, causes, or the number of an undo";
        return Err(NoPlan::Because(UndoRefusal::World, text.to_owned()));
    }
    let within = ask.within.map(VoxelBox::try_from).transpose();
    let within = within.map_err(|error| NoPlan::Because(UndoRefusal::World, format!("the box: {error}")))?;
    let since = match ask.since_ms {
        0 => 0,
        // Nothing has happened since: then nothing is meant.
        ago => history.tick_at(worlds::now_ms().saturating_sub(ago))?.unwrap_or(u64::MAX),
    };
    let names = undo::names(history, since, is_wanted)?;
    let actors = if ask.name.is_empty() { None } else { Some(actors(&ask.name, &names)?) };
    let filter = Filter { actors, within, since, until: *until, kinds: ask.kinds(), undo: None };
    Ok((Request { id: 0, actor: *actor, filter, rule: ask.rule, takes_back: None }, names))
}

/// The actors that have acted under a name, or the one of a number.
fn actors(name: &str, names: &Names) -> Result<BTreeSet<ActorId>, NoPlan> {
    if let Some(number) = name.strip_prefix("actor:").and_then(|number| number.parse().ok()) {
        return Ok([ActorId(number)].into());
    }
    let actors: BTreeSet<ActorId> =
        names.iter().filter(|(_, names)| names.contains(name)).map(|(actor, _)| *actor).collect();
    if !actors.is_empty() {
        return Ok(actors);
    }
    let known = known(names);
    let text = format!("nobody called {name:?} is in history ({known}; actor:N names somebody by number)");
    Err(NoPlan::Because(UndoRefusal::Nobody, text))
}

/// What a client is told of a plan.
fn frames(wish: &Wish, plan: &Plan, begins: u64, names: &Names) -> Vec<Vec<u8>> {
    let request = wish.ask.request;
    let Summary { voxels, chunks, kinds, unchanged, conflicts, replaced, lost_frames, .. } = &plan.summary;
    let called = |actor: &ActorId| {
        let known = names.get(actor).and_then(BTreeSet::first).cloned();
        known.unwrap_or_else(|| format!("actor:{}", actor.0))
    };
    let mut others: Vec<UndoOther> = (conflicts.iter())
        .map(|((actor, cause), voxels)| UndoOther { cause: *cause, voxels: *voxels, name: called(actor) })
        .collect();
    others.sort_by_key(|other| std::cmp::Reverse(other.voxels));
    others.truncate(UNDO_OTHERS_MAX);
    let counts = UndoPlan {
        request,
        chunks: u32::try_from(*chunks).unwrap_or(u32::MAX),
        voxels: *voxels,
        unchanged: *unchanged,
        conflicts: plan.summary.conflict_count(),
        replaced: replaced.values().sum(),
        begins,
        gaps: u32::try_from(*lost_frames).unwrap_or(u32::MAX),
        causes: kinds.iter().map(|(kind, voxels)| (*kind, *voxels)).collect(),
        others,
    };
    let mut first = Vec::new();
    ServerMessage::UndoPlan(counts).encode(&mut first);
    let mut frames = vec![first];
    frames.extend(ghost_frames(request, wish.until, plan));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use terrane_world::undo::Rule;

    fn wish(peer: u64, token: u64) -> UndoAsk {
        let (rule, within) = (Rule::Keep, None);
        let ask = UndoRequest { request: 1, causes: 1, rule, since_ms: 0, undo: None, within, name: String::new() };
        UndoAsk::Plan { peer: PeerId(peer), token, actor: ActorId(9), ask, until: 5 }
    }

    #[test]
    fn a_connection_has_one_wish_on_the_desk_and_the_oldest_is_taken_first() {
        let desk = Desk::default();
        [wish(1, 1), wish(2, 2), wish(3, 3), wish(1, 4)].into_iter().for_each(|ask| desk.say(ask));
        desk.say(UndoAsk::Forget { peer: PeerId(3) });
        let taken: Vec<(u64, u64)> =
            (0..2).map(|_| desk.take().map(|(peer, wish)| (peer.0, wish.token)).unwrap()).collect();
        assert_eq!(taken, [(2, 2), (1, 4)]);
        assert!(desk.is_wanted());
        desk.say(UndoAsk::Forget { peer: PeerId(2) });
        assert!(desk.is_wanted(), "somebody else's");
        desk.say(UndoAsk::Forget { peer: PeerId(1) });
        assert!(!desk.is_wanted());
        desk.say(wish(5, 6));
        desk.close();
        assert!(!desk.is_wanted() && desk.take().is_none(), "what waits is not planned for a server that stops");
    }

    #[test]
    fn somebody_is_found_by_every_name_and_by_number() {
        let names: Names =
            [(ActorId(7), ["Mallory".to_owned(), "Eve".to_owned()].into()), (ActorId(9), ["Eve".to_owned()].into())]
                .into();
        assert_eq!(actors("Eve", &names), Ok([ActorId(7), ActorId(9)].into()));
        assert_eq!(actors("actor:12", &names), Ok([ActorId(12)].into()));
        let Err(NoPlan::Because(UndoRefusal::Nobody, text)) = actors("Bob", &names) else { panic!("he is nobody") };
        assert!(text.contains("there are Eve, Mallory"), "{text}");
    }
}
