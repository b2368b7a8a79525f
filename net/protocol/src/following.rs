//! What one client is told of agents: of each crowd by columns, and of each column either everything or what has happened since.
//!
//! Nothing is queued here. For every part the tick is remembered after which the client was last told of it; what is sent is
//! made at the moment of sending, from a source that remembers a few ticks back. Who is slow is told everything anew, and
//! nobody can miss a step.

use crate::crowd::{AgentMoves, Agents, AgentsPart, told};
use crate::interest::Shape;
use crate::limits::HEADER_BYTES;
use crate::message::ServerMessage;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};
use terrane_world::entity::state::Agent;
use terrane_world::limits::{CHUNK_EDGE, REGION_CHUNKS_X, VERTICAL_BOUND};
use terrane_world::space::ColumnPos;

/// Frames that bring a client up to a tick.
#[derive(Debug, Clone)]
pub struct AgentNews {
    /// The tick after which they are true.
    pub tick: u64,
    /// One Agents frame, or AgentMoves frames of ticks behind each other; none if the client knows everything.
    pub frames: Vec<Arc<[u8]>>,
}

/// Where the durable state of agents comes from.
pub trait AgentSource {
    /// The Crowd frame of a crowd, for this client.
    fn crowd(&self, handle: u32) -> Option<Vec<u8>>;
    /// What happened to the agents of a part since a tick, or all of them if nothing was told yet. None if there are none.
    fn news(&self, part: AgentsPart, since: Option<u64>) -> Option<AgentNews>;
    /// The tick after which all of it is true.
    fn tick(&self) -> u64;
}

/// No agents at all.
pub struct NoAgents;

impl AgentSource for NoAgents {
    fn crowd(&self, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn news(&self, _: AgentsPart, _: Option<u64>) -> Option<AgentNews> {
        None
    }

    fn tick(&self) -> u64 {
        0
    }
}

/// The agents of one crowd in one column, and what they did lately.
#[derive(Debug)]
pub struct AgentHistory {
    part: AgentsPart,
    agents: Arc<[Agent]>,
    /// The tick in which they did something last.
    changed: u64,
    /// The AgentMoves frames of the ticks before with the tick that each begins at, oldest first.
    past: VecDeque<(u64, Arc<[u8]>)>,
    past_bytes: usize,
    /// The frame of all of them, once somebody has wanted it.
    whole: OnceLock<Arc<[u8]>>,
}

impl AgentHistory {
    /// Agents in order of their numbers, as they are after a tick.
    pub const fn new(part: AgentsPart, agents: Arc<[Agent]>, tick: u64) -> Self {
        Self { part, agents, changed: tick, past: VecDeque::new(), past_bytes: 0, whole: OnceLock::new() }
    }

    /// Takes in where agents are after a later tick. Gives whether any of them did something.
    pub fn follow(&mut self, agents: Arc<[Agent]>, tick: u64) -> bool {
        let moves = AgentMoves::between(self.part, (self.changed, told(&self.agents)), (tick, told(&agents)));
        self.agents = agents;
        if moves.is_empty() {
            return false;
        }
        let frame = encoded(&ServerMessage::AgentMoves(moves));
        self.past_bytes += frame.len();
        self.past.push_back((self.changed, frame));
        // Whoever is further behind is served better by all of them at once.
        let whole_bytes = HEADER_BYTES + Agents::payload_bytes(told(&self.agents).len());
        while self.past_bytes > whole_bytes
            && let Some((_, first)) = self.past.pop_front()
        {
            self.past_bytes -= first.len();
        }
        self.changed = tick;
        self.whole = OnceLock::new();
        true
    }

    /// Takes the same in, and remembers nothing of what led there.
    pub fn skip(&mut self, agents: Arc<[Agent]>, tick: u64) {
        *self = Self::new(self.part, agents, tick);
    }

    /// What brings a client up to date that was last told of a tick, or of none.
    pub fn news(&self, since: Option<u64>) -> AgentNews {
        let tick = self.changed;
        if since == Some(tick) {
            return AgentNews { tick, frames: Vec::new() };
        }
        let first = self.past.iter().position(|(from, _)| since == Some(*from));
        let frames = match first {
            Some(first) => self.past.range(first..).map(|(_, frame)| Arc::clone(frame)).collect(),
            None => {
                let whole = || encoded(&ServerMessage::Agents(Agents::new(self.part, tick, &self.agents)));
                vec![Arc::clone(self.whole.get_or_init(whole))]
            }
        };
        AgentNews { tick, frames }
    }
}

/// What a client knows of agents.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Crowds it was told of.
    crowds: BTreeSet<u32>,
    /// Of those, the ones that are gone.
    ended: BTreeSet<u32>,
    /// The tick after which it was last told of a part.
    told: BTreeMap<AgentsPart, u64>,
    /// Parts of which there is something to tell.
    due: BTreeSet<AgentsPart>,
    /// The part that was told last: the next one gets its turn, so that none starves on a slow link.
    last: Option<AgentsPart>,
}

/// Whether a subscription looks into a column.
fn sees(shape: Option<Shape>, column: ColumnPos) -> bool {
    let (edge, height) = (REGION_CHUNKS_X as i32, VERTICAL_BOUND / CHUNK_EDGE as i32);
    let (x, z) = (column.x() * edge, column.z() * edge);
    shape.is_some_and(|shape| shape.meets([x, -height, z], [x + edge - 1, height - 1, z + edge - 1]))
}

impl Following {
    /// Something has happened in a part.
    pub(crate) fn offer(&mut self, shape: Option<Shape>, part: AgentsPart) {
        if sees(shape, part.column) {
            self.due.insert(part);
        }
    }

    /// A crowd is gone, with all its agents.
    pub(crate) fn end(&mut self, handle: u32) {
        self.told.retain(|part, _| part.handle != handle);
        self.due.retain(|part| part.handle != handle);
        if self.crowds.remove(&handle) {
            self.ended.insert(handle);
        }
    }

    /// The client looks elsewhere: of what it no longer sees it is told that nobody is there.
    pub(crate) fn look(&mut self, shape: Option<Shape>) {
        self.due.retain(|part| sees(shape, part.column));
        self.due.extend(self.told.keys().filter(|part| !sees(shape, part.column)));
    }

    pub(crate) fn has_more(&self) -> bool {
        !self.ended.is_empty() || !self.due.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is to be sent next, as frames that go together; none if there is nothing.
    pub(crate) fn peek(&self, shape: Option<Shape>, source: &dyn AgentSource) -> Option<Next> {
        if let Some(handle) = self.ended.first() {
            return Some(Next {
                what: What::End(*handle),
                frames: vec![encoded(&ServerMessage::CrowdEnd { handle: *handle })],
            });
        }
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let part = *self.due.range((after, Bound::Unbounded)).next().or_else(|| self.due.first())?;
        let told = self.told.get(&part).copied();
        let news = if sees(shape, part.column) { source.news(part, told) } else { None };
        let Some(AgentNews { tick, mut frames }) = news else {
            // Nobody is there any more, or nobody that the client sees.
            let nobody = Agents { part, tick: source.tick(), agents: Vec::new() };
            let frames = told.map(|_| encoded(&ServerMessage::Agents(nobody))).into_iter().collect();
            return Some(Next { what: What::Nobody(part), frames });
        };
        if !self.crowds.contains(&part.handle) {
            frames.splice(0..0, source.crowd(part.handle).map(Arc::from));
        }
        Some(Next { what: What::News(part, tick), frames })
    }

    /// What was peeked at has been sent.
    pub(crate) fn sent(&mut self, what: What) {
        match what {
            What::End(handle) => drop(self.ended.remove(&handle)),
            What::Nobody(part) => {
                self.told.remove(&part);
                self.due.remove(&part);
                self.last = Some(part);
            }
            What::News(part, tick) => {
                self.crowds.insert(part.handle);
                self.told.insert(part, tick);
                self.due.remove(&part);
                self.last = Some(part);
            }
        }
    }
}

fn encoded(message: &ServerMessage) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes.into()
}

/// Frames that go together, and what they tell.
pub(crate) struct Next {
    pub(crate) what: What,
    pub(crate) frames: Vec<Arc<[u8]>>,
}

/// What frames tell.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// A crowd is gone.
    End(u32),
    /// No agents are left in a part, or the client does not see it any more.
    Nobody(AgentsPart),
    /// What has happened in a part up to a tick.
    News(AgentsPart, u64),
}
