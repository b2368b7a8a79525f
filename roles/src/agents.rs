//! Crowds and their agents as they are durable, and what clients have to be told of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_protocol::{AgentHistory, AgentNews, AgentSource, AgentsPart, CrowdInfo, ServerMessage};
use terrane_world::entity::state::{Agent, CrowdId, Errand};
use terrane_world::physics::Columns;
use terrane_world::physics::state::ColumnState;
use terrane_world::space::ColumnPos;
use terrane_world::step::{ActorId, Deltas};

/// A crowd that clients may know.
struct Crowd {
    handle: u32,
    errand: Arc<Errand>,
    /// The column that remembers it.
    home: ColumnPos,
}

/// Every crowd and every agent.
#[derive(Default)]
pub struct Crowds {
    crowds: BTreeMap<CrowdId, Crowd>,
    parts: BTreeMap<AgentsPart, AgentHistory>,
    tick: u64,
    handles: u32,
}

/// What a tick means to clients.
#[derive(Default)]
pub struct News {
    /// Where agents did something.
    pub parts: Vec<AgentsPart>,
    /// Crowds that are gone.
    pub ended: Vec<u32>,
}

impl Crowds {
    /// Those of a world as it stands.
    pub fn new(columns: &Columns, tick: u64) -> Self {
        let mut this = Self { tick, ..Self::default() };
        columns.iter().for_each(|(column, state)| this.take_crowds(*column, state, &mut News::default()));
        columns.iter().for_each(|(column, state)| this.take_agents(*column, state, true, &mut News::default()));
        this
    }

    /// Takes a durable tick in. Where nobody is told of it, nothing is kept of what agents did.
    pub fn update(&mut self, deltas: &Deltas, is_told: bool) -> News {
        self.tick = deltas.tick;
        let mut news = News::default();
        deltas.columns.iter().for_each(|update| self.take_crowds(update.column, &update.state, &mut news));
        deltas.columns.iter().for_each(|update| self.take_agents(update.column, &update.state, is_told, &mut news));
        if !news.ended.is_empty() {
            self.parts.retain(|part, _| !news.ended.contains(&part.handle));
        }
        news
    }

    /// Where there are agents.
    pub fn parts(&self) -> impl Iterator<Item = AgentsPart> {
        self.parts.keys().copied()
    }

    /// What a client is told that is this actor.
    pub const fn seen_by(&self, actor: ActorId) -> SeenBy<'_> {
        SeenBy { crowds: self, actor }
    }

    fn take_crowds(&mut self, column: ColumnPos, state: &ColumnState, news: &mut News) {
        let gone = |id: &CrowdId, crowd: &mut Crowd| crowd.home == column && !state.crowds.contains_key(id);
        news.ended.extend(self.crowds.extract_if(.., gone).map(|(_, crowd)| crowd.handle));
        for (id, crowd) in &state.crowds {
            let handles = &mut self.handles;
            self.crowds.entry(*id).or_insert_with(|| {
                *handles = handles.wrapping_add(1);
                Crowd { handle: *handles, errand: Arc::clone(&crowd.errand), home: column }
            });
        }
    }

    fn take_agents(&mut self, column: ColumnPos, state: &ColumnState, is_told: bool, news: &mut News) {
        let there = |handle| AgentsPart { column, handle };
        let known: Vec<AgentsPart> = self.parts.range(there(0)..=there(u32::MAX)).map(|(part, _)| *part).collect();
        let now = state.agents.iter().filter_map(|(id, agents)| Some((there(self.crowds.get(id)?.handle), agents)));
        let now: BTreeMap<AgentsPart, &Arc<[Agent]>> = now.filter(|(_, agents)| !agents.is_empty()).collect();
        for part in known.into_iter().filter(|part| !now.contains_key(part)) {
            self.parts.remove(&part);
            news.parts.push(part);
        }
        for (part, agents) in now {
            let agents = Arc::clone(agents);
            let is_news = match self.parts.get_mut(&part) {
                Some(known) if is_told => known.follow(agents, self.tick),
                Some(known) => {
                    known.skip(agents, self.tick);
                    true
                }
                None => {
                    self.parts.insert(part, AgentHistory::new(part, agents, self.tick));
                    true
                }
            };
            if is_news {
                news.parts.push(part);
            }
        }
    }
}

/// Agents as one client is told of them.
pub struct SeenBy<'a> {
    crowds: &'a Crowds,
    actor: ActorId,
}

impl AgentSource for SeenBy<'_> {
    fn crowd(&self, handle: u32) -> Option<Vec<u8>> {
        let (id, crowd) = self.crowds.crowds.iter().find(|(_, crowd)| crowd.handle == handle)?;
        let Errand { mode, goals, within, speed } = (*crowd.errand).clone();
        let sequence = if id.actor == self.actor { id.sequence } else { 0 };
        let mut bytes = Vec::new();
        ServerMessage::Crowd(CrowdInfo { handle, sequence, mode, speed, goals, within }).encode(&mut bytes);
        Some(bytes)
    }

    fn news(&self, part: AgentsPart, since: Option<u64>) -> Option<AgentNews> {
        Some(self.crowds.parts.get(&part)?.news(since))
    }

    fn tick(&self) -> u64 {
        self.crowds.tick
    }
}
