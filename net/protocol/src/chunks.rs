//! What one client holds of the world, and what is to be told of it next.
//!
//! A chunk of the subscription is *unseen* until it has been told once; from then on the client holds it at a version, and when it
//! changes it is *stale* until that is told. Nothing else is kept of a change: what is sent is made at the moment of sending, from
//! the version that the client holds ([`crate::news`]). So there is never a gap, and who is slow costs no more.

use crate::interest::{Shape, View};
use crate::limits::{OVERDUE_AFTER, SUBSCRIPTION_CHUNKS_MAX, TURN_CHUNKS_MAX};
use crate::overlay::{OverlayKind, OverlayKinds};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use terrane_world::chunk::Version;
use terrane_world::space::ChunkPos;

/// Place of a chunk among those that are unseen: how little it matters, then its rank in the subscription.
pub(crate) type Place = (u64, u32);

#[derive(Debug)]
struct ChunkState {
    /// Place in the order of the subscription.
    rank: u32,
    /// Place among what is unseen.
    place: Place,
    /// What the client holds once it has read all that was sent; before that, what it said it holds.
    held: Version,
    /// It has been told: the client knows that the chunk is in its subscription.
    seen: bool,
    /// Overlays that are to be sent.
    overlays_due: OverlayKinds,
}

/// A chunk that the client holds has changed.
#[derive(Debug, Clone, Copy)]
struct Stale {
    /// When it was first heard of.
    since: Duration,
    /// The tick of the first change.
    tick: u64,
    /// The newest version that was heard of.
    newest: Version,
    /// The client asked for it itself.
    own: bool,
}

/// The chunks of one client.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    pub(crate) subscription: u32,
    pending: Option<(u32, Shape)>,
    pub(crate) shape: Option<Shape>,
    view: Option<View>,
    /// Whether the view has changed since unseen chunks were put in order.
    looks_elsewhere: bool,
    order: Vec<ChunkPos>,
    states: HashMap<ChunkPos, ChunkState>,
    unseen: BTreeMap<Place, ChunkPos>,
    stale: BTreeMap<ChunkPos, Stale>,
    /// Versions that the client said it holds, for the next subscription.
    claims: HashMap<ChunkPos, Version>,
    pub(crate) forgets: VecDeque<(ChunkPos, u32)>,
    pub(crate) caught_up: Option<u32>,
    overlays: OverlayKinds,
    /// Chunks that have an overlay due, by rank.
    overlays_due: BTreeMap<u32, ChunkPos>,
}

impl Chunks {
    /// Replaces the subscription, once that is [applied](Self::apply).
    pub(crate) fn subscribe(&mut self, subscription: u32, shape: Shape) {
        self.pending = Some((subscription, shape));
    }

    pub(crate) fn look(&mut self, view: View) {
        self.looks_elsewhere |= self.view.replace(view) != Some(view);
    }

    /// What the client says it holds counts for the next subscription. No more is remembered than one could want.
    pub(crate) fn claim(&mut self, chunks: Vec<(ChunkPos, Version)>) {
        let room = SUBSCRIPTION_CHUNKS_MAX.saturating_sub(self.claims.len());
        self.claims.extend(chunks.into_iter().take(room));
    }

    pub(crate) fn has_more(&self) -> bool {
        !(self.forgets.is_empty() && self.unseen.is_empty() && self.stale.is_empty())
            || self.pending.is_some()
            || self.caught_up.is_some()
    }

    /// Puts a new subscription in force, if there is one; the work is done here, so that a client which changes its mind ten times
    /// a tick costs no more than one which does once. Gives whether there was one.
    pub(crate) fn apply(&mut self) -> bool {
        let Some((subscription, shape)) = self.pending.take() else { return false };
        self.subscription = subscription;
        self.shape = Some(shape);
        let mut order = shape.chunks();
        let inside = order.len();
        for pos in std::mem::take(&mut self.order) {
            if shape.contains(pos) {
                continue;
            }
            match self.states.get(&pos) {
                Some(state) if state.seen && shape.keeps(pos) => order.push(pos),
                _ => self.leave(pos),
            }
        }
        self.order = order;
        self.unseen.clear();
        self.overlays_due.clear();
        let claims = std::mem::take(&mut self.claims);
        for (rank, pos) in self.order.iter().enumerate() {
            let held = claims.get(pos).copied().unwrap_or(Version::NONE);
            let (place, overlays_due) = ((0, 0), OverlayKinds::NONE);
            let fresh = || ChunkState { rank: 0, place, held, seen: false, overlays_due };
            let state = self.states.entry(*pos).or_insert_with(fresh);
            state.rank = rank as u32;
            if !state.seen {
                state.held = held;
                debug_assert!(rank < inside, "what is kept has been seen");
                state.place = (0, state.rank);
                self.unseen.insert(state.place, *pos);
            }
            if state.overlays_due != OverlayKinds::NONE {
                self.overlays_due.insert(state.rank, *pos);
            }
        }
        self.looks_elsewhere = self.view.is_some();
        self.caught_up = self.unseen.is_empty().then_some(subscription);
        true
    }

    fn leave(&mut self, pos: ChunkPos) {
        self.stale.remove(&pos);
        if self.states.remove(&pos).is_some_and(|state| state.seen) {
            self.forgets.push_back((pos, self.subscription));
        }
    }

    /// Puts what is unseen in order by where the client looks now.
    fn order_unseen(&mut self) {
        if !std::mem::take(&mut self.looks_elsewhere) {
            return;
        }
        let Some(view) = self.view else { return };
        for ((_, rank), pos) in std::mem::take(&mut self.unseen) {
            let place = (view.remoteness(pos), rank);
            self.unseen.insert(place, pos);
            if let Some(state) = self.states.get_mut(&pos) {
                state.place = place;
            }
        }
    }

    /// A chunk has changed; `own` says that the client asked for it itself.
    pub(crate) fn change(&mut self, pos: ChunkPos, to: Version, tick: u64, now: Duration, own: bool) {
        // A snapshot that was newer than the change may have been sent.
        if self.states.get(&pos).is_some_and(|state| state.seen && to > state.held) {
            let stale = self.stale.entry(pos).or_insert(Stale { since: now, tick, newest: to, own });
            stale.newest = stale.newest.max(to);
            stale.own |= own;
        }
    }

    /// The version that the client holds of a chunk of its subscription.
    pub(crate) fn held(&self, pos: ChunkPos) -> Version {
        self.states.get(&pos).map_or(Version::NONE, |state| state.held)
    }

    /// Whether the client knows that a chunk is in its subscription.
    pub(crate) fn is_seen(&self, pos: ChunkPos) -> bool {
        self.states.get(&pos).is_some_and(|state| state.seen)
    }

    pub(crate) fn follows(&self, pos: ChunkPos) -> bool {
        self.states.contains_key(&pos)
    }

    /// Chunks that were never told, the next one first.
    pub(crate) fn unseen(&mut self) -> impl Iterator<Item = ChunkPos> {
        self.order_unseen();
        self.unseen.values().copied()
    }

    /// The same from a place on, as many as are looked at in one turn.
    pub(crate) fn unseen_from(&mut self, place: Place) -> Vec<(Place, ChunkPos)> {
        self.order_unseen();
        self.unseen.range(place..).take(TURN_CHUNKS_MAX).map(|(place, pos)| (*place, *pos)).collect()
    }

    /// Changes that the client asked for itself, oldest first.
    pub(crate) fn own(&self) -> Vec<ChunkPos> {
        self.in_order(|stale| stale.own)
    }

    /// Changes that have waited for long, oldest first.
    pub(crate) fn overdue(&self, now: Duration) -> Vec<ChunkPos> {
        let is_overdue = |stale: &Stale| now.saturating_sub(stale.since) >= OVERDUE_AFTER;
        self.in_order(|stale| is_overdue(stale))
    }

    /// All changes, those that matter most first.
    pub(crate) fn stale(&self) -> Vec<ChunkPos> {
        let mut list: Vec<(u64, ChunkPos)> = self.stale.keys().map(|pos| (self.remoteness(*pos), *pos)).collect();
        list.sort_unstable();
        list.into_iter().take(TURN_CHUNKS_MAX).map(|(_, pos)| pos).collect()
    }

    fn remoteness(&self, pos: ChunkPos) -> u64 {
        let rank = || self.states.get(&pos).map_or(u64::MAX, |state| u64::from(state.rank));
        self.view.map_or_else(rank, |view| view.remoteness(pos))
    }

    /// Some changes, oldest first.
    fn in_order(&self, is_meant: impl Fn(&Stale) -> bool) -> Vec<ChunkPos> {
        let meant = self.stale.iter().filter(|(_, stale)| is_meant(stale));
        let mut list: Vec<(Duration, ChunkPos)> = meant.map(|(pos, stale)| (stale.since, *pos)).collect();
        list.sort_unstable();
        list.into_iter().take(TURN_CHUNKS_MAX).map(|(_, pos)| pos).collect()
    }

    /// Whether something that the client asked for waits to be told.
    pub(crate) fn has_own(&self) -> bool {
        self.stale.values().any(|stale| stale.own)
    }

    /// The chunk can't be told now: what was asked for is not waited for, and others have their turn before it.
    pub(crate) fn postpone(&mut self, pos: ChunkPos, now: Duration) {
        if let Some(stale) = self.stale.get_mut(&pos) {
            (stale.own, stale.since) = (false, now);
        }
    }

    /// The tick of the oldest change that is not told.
    pub(crate) fn oldest_tick(&self) -> Option<u64> {
        self.stale.values().map(|stale| stale.tick).min()
    }

    /// When the oldest change that is not told was heard of.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        self.stale.values().map(|stale| stale.since).min()
    }

    /// The client has been told of a chunk: it holds this version.
    ///
    /// # Panics
    /// If that is older than a change that was heard of: the client would miss it.
    pub(crate) fn told(&mut self, pos: ChunkPos, version: Version) {
        let state = self.states.get_mut(&pos).expect("what is told is subscribed to");
        if let Some(stale) = self.stale.remove(&pos) {
            let newest = stale.newest;
            assert!(version >= newest, "{pos:?} is told at {version:?}, but a change to {newest:?} was heard of");
        }
        state.held = version;
        if self.overlays != OverlayKinds::NONE && !state.seen {
            state.overlays_due = self.overlays;
            self.overlays_due.insert(state.rank, pos);
        }
        if !std::mem::replace(&mut state.seen, true) {
            self.unseen.remove(&state.place);
            if self.unseen.is_empty() {
                self.caught_up = Some(self.subscription);
            }
        }
    }

    /// What the client wants to see over its chunks, in place of what it wanted before. What it wanted already is not sent again.
    pub(crate) fn want_overlays(&mut self, kinds: OverlayKinds) {
        let fresh = kinds.without(self.overlays);
        self.overlays = kinds;
        self.overlays_due.clear();
        for (pos, state) in self.states.iter_mut().filter(|(_, state)| state.seen) {
            state.overlays_due = state.overlays_due.and(kinds).or(fresh);
            if state.overlays_due != OverlayKinds::NONE {
                self.overlays_due.insert(state.rank, *pos);
            }
        }
    }

    pub(crate) const fn overlays(&self) -> OverlayKinds {
        self.overlays
    }

    /// An overlay of a chunk may be another one now.
    pub(crate) fn spoil_overlay(&mut self, pos: ChunkPos, kind: OverlayKind) {
        if self.overlays.contains(kind)
            && let Some(state) = self.states.get_mut(&pos).filter(|state| state.seen)
        {
            state.overlays_due = state.overlays_due.with(kind, true);
            self.overlays_due.insert(state.rank, pos);
        }
    }

    pub(crate) fn has_overlays_due(&self) -> bool {
        !self.overlays_due.is_empty()
    }

    /// The next overlay that is due, of chunks from a rank on, with that chunk's rank.
    pub(crate) fn overlay_due(&mut self, from_rank: u32) -> Option<(u32, ChunkPos, OverlayKind)> {
        while let Some((&rank, &pos)) = self.overlays_due.range(from_rank..).next() {
            match self.states.get(&pos).and_then(|state| state.overlays_due.first()) {
                Some(kind) => return Some((rank, pos, kind)),
                None => drop(self.overlays_due.remove(&rank)),
            }
        }
        None
    }

    pub(crate) fn overlay_sent(&mut self, pos: ChunkPos, kind: OverlayKind) {
        if let Some(state) = self.states.get_mut(&pos) {
            state.overlays_due = state.overlays_due.with(kind, false);
        }
    }

    /// Nothing more is told.
    pub(crate) fn clear(&mut self) {
        *self = Self { subscription: self.subscription, ..Self::default() };
    }
}
