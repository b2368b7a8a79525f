//! Crowds and their agents, as they travel. Who is told of them, and when, is in [`crate::following`].

use crate::error::ProtocolError;
use crate::limits::{AGENTS_TOLD_MAX, COLUMN_EDGE, CROWD_GOALS_TOLD_MAX, GOALS_MAX};
use crate::message::{ClientMessage, Payload, put};
use crate::path::{checked_name, read_name};
use crate::wire;
use terrane_world::entity::state::Agent;
use terrane_world::limits::{AGENTS_MAX, VERTICAL_BOUND};
use terrane_world::relax::EXITS;
use terrane_world::space::{ColumnPos, VoxelBox, VoxelPos};

/// A wish for a crowd. The world may have neither the boxes nor the goals nor the mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrowdRequest {
    /// Numbered with the edits.
    pub sequence: u64,
    /// The name of the mode, 1 to 32 bytes.
    pub mode: String,
    /// 1 to 16.
    pub goals: Vec<[i32; 3]>,
    /// The first voxel of the box that agents stay in, and one past its last.
    pub within: [[i32; 3]; 2],
    /// The box that they begin in.
    pub from: [[i32; 3]; 2],
    /// How many.
    pub agents: u32,
    /// What each gathers in a tick, in 1/256 of a unit of cost.
    pub speed: u16,
}

/// What a client is told of a crowd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrowdInfo {
    /// What it is called in the frames about its agents.
    pub handle: u32,
    /// The input of the client's session that asked for it; 0 if another's did.
    pub sequence: u64,
    /// The name of its mode.
    pub mode: String,
    /// What each agent gathers in a tick, in 1/256 of a unit of cost.
    pub speed: u16,
    /// Where its agents go.
    pub goals: Vec<VoxelPos>,
    /// The box they stay in.
    pub within: VoxelBox,
}

/// What is told of at a time: the agents of one crowd in one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentsPart {
    /// The column.
    pub column: ColumnPos,
    /// The crowd.
    pub handle: u32,
}

/// Where an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentPlace {
    /// Its number in its crowd.
    pub number: u32,
    /// Its voxel, which is in the column.
    pub at: VoxelPos,
    /// The exit it took last, if it has moved.
    pub exit: Option<u8>,
}

impl AgentPlace {
    /// Of an agent as the world has it.
    pub fn new(agent: &Agent) -> Self {
        let exit = (usize::from(agent.exit) < EXITS.len()).then_some(agent.exit);
        Self { number: agent.number, at: agent.at, exit }
    }
}

/// All agents of a part that are told of: those with the lowest numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents {
    /// Whose.
    pub part: AgentsPart,
    /// It is true after this tick.
    pub tick: u64,
    /// In order of their numbers, 16,384 at most.
    pub agents: Vec<AgentPlace>,
}

/// What an agent did that was in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentStep {
    /// Its number in its crowd.
    pub number: u32,
    /// It went through this exit into a voxel of the same column; none if it is there no more, or no longer told of.
    pub exit: Option<u8>,
}

/// What the agents of a part did in a tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentMoves {
    /// Whose.
    pub part: AgentsPart,
    /// What was told before was true after this tick.
    pub from: u64,
    /// It is true after this tick.
    pub tick: u64,
    /// In order of their numbers.
    pub steps: Vec<AgentStep>,
    /// Those that were not there or not told of before, in order of their numbers.
    pub entered: Vec<AgentPlace>,
}

/// The agents of a part that clients are told of.
pub fn told(agents: &[Agent]) -> &[Agent] {
    &agents[..agents.len().min(AGENTS_TOLD_MAX)]
}

impl AgentMoves {
    /// What happened between two ticks to agents in order of their numbers; nothing has if there are neither steps nor entries.
    pub fn between(part: AgentsPart, (from, before): (u64, &[Agent]), (tick, after): (u64, &[Agent])) -> Self {
        let mut moves = Self { part, from, tick, steps: Vec::new(), entered: Vec::new() };
        let mut before = before.iter().peekable();
        for agent in after {
            while let Some(gone) = before.next_if(|known| known.number < agent.number) {
                moves.steps.push(AgentStep { number: gone.number, exit: None });
            }
            match before.next_if(|known| known.number == agent.number) {
                Some(known) if known.at == agent.at => {}
                Some(known) if taken(known.at, agent.exit) == Some(agent.at) => {
                    moves.steps.push(AgentStep { number: agent.number, exit: Some(agent.exit) });
                }
                _ => moves.entered.push(AgentPlace::new(agent)),
            }
        }
        moves.steps.extend(before.map(|gone| AgentStep { number: gone.number, exit: None }));
        moves
    }

    /// Whether nothing happened.
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.entered.is_empty()
    }
}

impl Agents {
    /// Agents of a part as the world has them.
    pub fn new(part: AgentsPart, tick: u64, agents: &[Agent]) -> Self {
        Self { part, tick, agents: told(agents).iter().map(AgentPlace::new).collect() }
    }

    /// Bytes of the payload of so many.
    pub const fn payload_bytes(count: usize) -> usize {
        size_of::<wire::AgentsHead>() + count * size_of::<wire::AgentEntry>()
    }
}

/// Where an exit leads.
fn taken(from: VoxelPos, exit: u8) -> Option<VoxelPos> {
    let step = EXITS.get(usize::from(exit))?;
    let [x, y, z] = std::array::from_fn(|axis| i64::from(from.to_array()[axis]) + i64::from(step[axis]));
    VoxelPos::from_i64(x, y, z).ok()
}

/// What stands for no exit in a frame.
const NO_EXIT: u32 = 31;

fn put_places(agents: &[AgentPlace], out: &mut Vec<u8>) {
    for AgentPlace { number, at, exit } in agents {
        let inside = |part: i32| part.rem_euclid(COLUMN_EDGE) as u32;
        let exit = exit.map_or(NO_EXIT, u32::from);
        let place = inside(at.x()) | inside(at.z()) << 7 | ((at.y() + VERTICAL_BOUND) as u32) << 14 | exit << 26;
        put(out, &wire::AgentEntry { number: (*number).into(), place: place.into() });
    }
}

fn read_places(payload: &mut Payload<'_>, column: ColumnPos, count: usize) -> Result<Vec<AgentPlace>, ProtocolError> {
    let list: &[wire::AgentEntry] = payload.list(count, "the list of agents")?;
    let mut places = Vec::with_capacity(list.len());
    let mut next = 0;
    for entry in list {
        let number = payload.within(entry.number.get(), next, AGENTS_MAX as u32 - 1, "number of an agent")?;
        next = number + 1;
        let place = payload.within(entry.place.get(), 0u32, (1u32 << 31) - 1, "place of an agent")?;
        let bits = |first: u32, count: u32| (place >> first & ((1 << count) - 1)) as i32;
        let exit = read_exit(payload, place >> 26)?;
        let y = payload.within(bits(14, 12) - VERTICAL_BOUND, -VERTICAL_BOUND, VERTICAL_BOUND - 1, "y of an agent")?;
        let [x, z] =
            [(column.x(), bits(0, 7)), (column.z(), bits(7, 7))].map(|(corner, inside)| corner * COLUMN_EDGE + inside);
        places.push(AgentPlace { number, at: payload.voxel([x, y, z].into())?, exit });
    }
    Ok(places)
}

fn read_exit(payload: &Payload<'_>, exit: u32) -> Result<Option<u8>, ProtocolError> {
    if exit == NO_EXIT {
        return Ok(None);
    }
    Ok(Some(payload.within(exit, 0u32, EXITS.len() as u32 - 1, "exit of an agent")? as u8))
}

fn read_column(payload: &Payload<'_>, x: wire::I32, z: wire::I32) -> Result<ColumnPos, ProtocolError> {
    ColumnPos::new(x.get(), z.get()).map_err(|source| payload.position_error(source))
}

pub(crate) fn put_request(ask: &CrowdRequest, out: &mut Vec<u8>) {
    let mode = checked_name(&ask.mode);
    assert!((1..=GOALS_MAX).contains(&ask.goals.len()), "a crowd with {} goals", ask.goals.len());
    let ([first, end], [from_first, from_end]) = (ask.within, ask.from);
    put(
        out,
        &wire::CrowdRequestHead {
            sequence: ask.sequence.into(),
            agents: ask.agents.into(),
            speed: ask.speed.into(),
            goals: ask.goals.len() as u8,
            mode_bytes: mode.len() as u8,
            from_first: from_first.into(),
            from_end: from_end.into(),
            first: first.into(),
            end: end.into(),
        },
    );
    ask.goals.iter().for_each(|goal| put(out, &wire::Position::from(*goal)));
    out.extend_from_slice(mode);
}

pub(crate) fn read_request(payload: &mut Payload<'_>) -> Result<ClientMessage, ProtocolError> {
    let head: &wire::CrowdRequestHead = payload.read("the head")?;
    let sequence = payload.within(head.sequence.get(), 1, u64::MAX, "input sequence")?;
    let agents = payload.within(head.agents.get(), 1, AGENTS_MAX as u32, "number of agents")?;
    let speed = payload.within(head.speed.get(), 1, u16::MAX, "speed")?;
    let count = payload.within(head.goals, 1, GOALS_MAX as u8, "number of goals")?;
    let goals: &[wire::Position] = payload.list(usize::from(count), "the goals")?;
    let goals = goals.iter().map(|goal| goal.to_array()).collect();
    let mode = read_name(payload, head.mode_bytes)?;
    let within = [head.first.to_array(), head.end.to_array()];
    let from = [head.from_first.to_array(), head.from_end.to_array()];
    Ok(ClientMessage::Crowd(CrowdRequest { sequence, mode, goals, within, from, agents, speed }))
}

pub(crate) fn put_crowd(crowd: &CrowdInfo, out: &mut Vec<u8>) {
    let mode = checked_name(&crowd.mode);
    assert!((1..=CROWD_GOALS_TOLD_MAX).contains(&crowd.goals.len()), "a crowd with {} goals", crowd.goals.len());
    put(
        out,
        &wire::CrowdHead {
            handle: crowd.handle.into(),
            speed: crowd.speed.into(),
            goals: (crowd.goals.len() as u16).into(),
            sequence: crowd.sequence.into(),
            first: crowd.within.min().into(),
            end: crowd.within.max().into(),
            mode_bytes: mode.len() as u8,
            zero: [0; 7],
        },
    );
    crowd.goals.iter().for_each(|goal| put(out, &wire::Position::from(*goal)));
    out.extend_from_slice(mode);
}

pub(crate) fn read_crowd(payload: &mut Payload<'_>) -> Result<CrowdInfo, ProtocolError> {
    let head: &wire::CrowdHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 41")?;
    let speed = payload.within(head.speed.get(), 1, u16::MAX, "speed")?;
    let count = payload.within(head.goals.get(), 1, CROWD_GOALS_TOLD_MAX as u16, "number of goals")?;
    let goals: &[wire::Position] = payload.list(usize::from(count), "the goals")?;
    let goals = goals.iter().map(|goal| payload.voxel(*goal)).collect::<Result<_, _>>()?;
    let mode = read_name(payload, head.mode_bytes)?;
    let within = payload.voxel_box(head.first, head.end)?;
    Ok(CrowdInfo { handle: head.handle.get(), sequence: head.sequence.get(), mode, speed, goals, within })
}

pub(crate) fn put_agents(Agents { part, tick, agents }: &Agents, out: &mut Vec<u8>) {
    assert!(agents.len() <= AGENTS_TOLD_MAX, "{} agents of a column", agents.len());
    put(
        out,
        &wire::AgentsHead {
            handle: part.handle.into(),
            x: part.column.x().into(),
            z: part.column.z().into(),
            count: (agents.len() as u32).into(),
            tick: (*tick).into(),
        },
    );
    put_places(agents, out);
}

pub(crate) fn read_agents(payload: &mut Payload<'_>) -> Result<Agents, ProtocolError> {
    let head: &wire::AgentsHead = payload.read("the head")?;
    let part = AgentsPart { column: read_column(payload, head.x, head.z)?, handle: head.handle.get() };
    let count = payload.within(head.count.get(), 0, AGENTS_TOLD_MAX as u32, "number of agents")?;
    let agents = read_places(payload, part.column, count as usize)?;
    Ok(Agents { part, tick: head.tick.get(), agents })
}

pub(crate) fn put_agent_moves(moves: &AgentMoves, out: &mut Vec<u8>) {
    let AgentMoves { part, from, tick, steps, entered } = moves;
    assert!(steps.len() <= AGENTS_TOLD_MAX && entered.len() <= AGENTS_TOLD_MAX, "moves of too many agents");
    put(
        out,
        &wire::AgentMovesHead {
            handle: part.handle.into(),
            x: part.column.x().into(),
            z: part.column.z().into(),
            steps: (steps.len() as u32).into(),
            from: (*from).into(),
            tick: (*tick).into(),
            entered: (entered.len() as u32).into(),
            zero: 0.into(),
        },
    );
    for AgentStep { number, exit } in steps {
        put(out, &wire::U32::from(number << 5 | exit.map_or(NO_EXIT, u32::from)));
    }
    put_places(entered, out);
}

pub(crate) fn read_agent_moves(payload: &mut Payload<'_>) -> Result<AgentMoves, ProtocolError> {
    let head: &wire::AgentMovesHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 36")?;
    let part = AgentsPart { column: read_column(payload, head.x, head.z)?, handle: head.handle.get() };
    let from = head.from.get();
    let tick = payload.within(head.tick.get(), i128::from(from) + 1, u64::MAX, "tick")?;
    let count = payload.within(head.steps.get(), 0, AGENTS_TOLD_MAX as u32, "number of steps")?;
    let entered = payload.within(head.entered.get(), 0, AGENTS_TOLD_MAX as u32, "number of agents")?;
    let list: &[wire::U32] = payload.list(count as usize, "the list of steps")?;
    let mut steps = Vec::with_capacity(list.len());
    let mut next = 0;
    for step in list {
        let number = payload.within(step.get() >> 5, next, AGENTS_MAX as u32 - 1, "number of an agent")?;
        next = number + 1;
        steps.push(AgentStep { number, exit: read_exit(payload, step.get() & NO_EXIT)? });
    }
    let entered = read_places(payload, part.column, entered as usize)?;
    Ok(AgentMoves { part, from, tick, steps, entered })
}
