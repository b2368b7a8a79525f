//! What one client is told of bodies on their way down: that they began, where they are, and that they are gone.
//!
//! The frames of a body are shared; here is only how much of them has been sent. Of moves only the newest counts, and an end waits
//! until the changes of the tick in which the body landed have been told, so that nothing vanishes before it is there again.

use crate::body::{BodyFrames, BodyMove};
use crate::interest::Shape;
use crate::limits::{BODIES_FOLLOWED_MAX, BODY_MOVES_TURN_MAX};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// A body that the client is told of.
#[derive(Debug)]
struct Followed {
    frames: Arc<BodyFrames>,
    /// Number of its frame that goes next.
    next: usize,
    /// Its newest move that is not told, with its tick.
    moved: Option<(u64, BodyMove)>,
}

impl Followed {
    fn is_queued(&self) -> bool {
        self.next < self.frames.parts.len()
    }

    fn left_bytes(&self) -> usize {
        self.frames.parts[self.next..].iter().map(|part| part.len()).sum()
    }
}

/// The bodies of one client.
#[derive(Debug)]
pub(crate) struct Falling {
    bodies: BTreeMap<u32, Followed>,
    /// Bodies whose frames are to be sent, in order.
    queue: VecDeque<u32>,
    queued_bytes: usize,
    queued_bytes_max: usize,
    /// Bodies of which a move is to be told.
    moved: BTreeSet<u32>,
    /// The body whose move was told last: the next one gets its turn.
    last_moved: u32,
    /// Bodies whose end is to be told, with the tick that they ended in.
    ends: BTreeMap<u32, u64>,
}

impl Falling {
    /// For a client that may have so many bytes of body frames waiting.
    pub(crate) const fn new(queued_bytes_max: usize) -> Self {
        Self {
            bodies: BTreeMap::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_bytes_max,
            moved: BTreeSet::new(),
            last_moved: 0,
            ends: BTreeMap::new(),
        }
    }

    /// Offers a body: it is queued and followed, or the client has no use for it, or there is no room for it.
    pub(crate) fn offer(&mut self, shape: Option<Shape>, frames: &Arc<BodyFrames>) {
        let handle = frames.handle;
        let bytes: usize = frames.parts.iter().map(|part| part.len()).sum();
        let is_wanted = shape.is_some_and(|shape| frames.meets(shape)) && !self.bodies.contains_key(&handle);
        let has_room = self.bodies.len() + self.ends.len() < BODIES_FOLLOWED_MAX
            && self.queued_bytes + bytes <= self.queued_bytes_max;
        if is_wanted && has_room && !self.ends.contains_key(&handle) {
            self.queue.push_back(handle);
            self.queued_bytes += bytes;
            self.bodies.insert(handle, Followed { frames: Arc::clone(frames), next: 0, moved: None });
        }
    }

    /// Offers where bodies are after a tick; those that the client is not told of are passed over.
    pub(crate) fn offer_moves(&mut self, tick: u64, moves: &[BodyMove]) {
        for to in moves {
            if let Some(body) = self.bodies.get_mut(&to.handle) {
                body.moved = Some((tick, *to));
                self.moved.insert(to.handle);
            }
        }
    }

    /// Offers the end of bodies in a tick.
    pub(crate) fn offer_ends(&mut self, tick: u64, handles: &[u32]) {
        handles.iter().for_each(|handle| self.unfollow(*handle, tick));
    }

    /// Forgets bodies that the client does not look at any more.
    pub(crate) fn look(&mut self, shape: Shape) {
        let gone = self.bodies.iter().filter(|(_, body)| !body.frames.meets(shape));
        let gone: Vec<u32> = gone.map(|(handle, _)| *handle).collect();
        gone.into_iter().for_each(|handle| self.unfollow(handle, 0));
    }

    /// Forgets a body. If the client may know of it, its end is to be told.
    fn unfollow(&mut self, handle: u32, tick: u64) {
        let Some(body) = self.bodies.remove(&handle) else { return };
        self.moved.remove(&handle);
        if body.is_queued() {
            self.queued_bytes -= body.left_bytes();
            self.queue.retain(|queued| *queued != handle);
        }
        if body.next > 0 {
            self.ends.insert(handle, tick);
        }
    }

    /// Whether frames of a body wait: what took its voxels comes behind them.
    pub(crate) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn has_more(&self) -> bool {
        !(self.queue.is_empty() && self.moved.is_empty() && self.ends.is_empty())
    }

    /// The next frame of a body.
    pub(crate) fn peek_part(&self) -> Option<Arc<[u8]>> {
        let body = &self.bodies[self.queue.front()?];
        Some(Arc::clone(&body.frames.parts[body.next]))
    }

    /// What was peeked at has been sent.
    pub(crate) fn sent_part(&mut self) {
        let Some(body) = self.queue.front().and_then(|handle| self.bodies.get_mut(handle)) else { return };
        self.queued_bytes -= body.frames.parts[body.next].len();
        body.next += 1;
        if !body.is_queued() {
            self.queue.pop_front();
        }
    }

    /// Moves that go together in one frame, with their tick: of bodies that the client knows, as many as one turn tells.
    pub(crate) fn peek_moves(&self) -> Option<(u64, Vec<BodyMove>)> {
        let from = (Bound::Excluded(self.last_moved), Bound::Unbounded);
        let known = |handle: &u32| {
            let body = self.bodies.get(handle).filter(|body| !body.is_queued())?;
            body.moved
        };
        let mut moves = self.moved.range(from).chain(&self.moved).filter_map(known);
        let (tick, first) = moves.next()?;
        let alike = moves.filter(|(at, _)| *at == tick).map(|(_, to)| to);
        let mut list: Vec<BodyMove> = std::iter::once(first).chain(alike).take(BODY_MOVES_TURN_MAX).collect();
        // Going round, the first one may come again.
        list.sort_unstable_by_key(|to| to.handle);
        list.dedup_by_key(|to| to.handle);
        Some((tick, list))
    }

    /// They have been sent.
    pub(crate) fn sent_moves(&mut self, moves: &[BodyMove]) {
        for to in moves {
            self.moved.remove(&to.handle);
            self.last_moved = to.handle;
            if let Some(body) = self.bodies.get_mut(&to.handle) {
                body.moved = None;
            }
        }
    }

    /// Ends that may be told when changes from a tick on have not been.
    pub(crate) fn peek_ends(&self, untold: Option<u64>) -> Vec<u32> {
        let is_told = |tick: u64| untold.is_none_or(|untold| tick < untold);
        self.ends.iter().filter(|(_, tick)| is_told(**tick)).map(|(handle, _)| *handle).collect()
    }

    /// They have been sent.
    pub(crate) fn sent_ends(&mut self, handles: &[u32]) {
        self.ends.retain(|handle, _| !handles.contains(handle));
    }

    /// Nothing more is told.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.queued_bytes_max);
    }
}
