//! Undo on a served world (docs/undo.md): who has asked for one, whose plan is ready, and the one that goes on.
//!
//! Somebody asks; it is waited until nothing falls and all of that is durable; a planner outside reads history; the client sees the plan
//! and has it done; then each tick puts a part back, beside everybody's inputs. A part is counted when it is durable.

use crate::chunk_server::PeerId;
use std::collections::{BTreeMap, VecDeque};
use terrane_protocol::error::ProtocolError;
use terrane_protocol::{UndoProgress, UndoRefusal, UndoRefused, UndoRequest, UndoState};
use terrane_world::limits::EDIT_VOXELS_MAX;
use terrane_world::step::{ActorId, Deltas, Input, Outcome};
use terrane_world::undo::plan::Plan;
use terrane_world::undo::{Request, changed_voxels};

/// Voxels of one undo on a served world: some 300 MiB while it is planned, and half a minute to do. More takes the verb.
pub const LIVE_VOXELS_MAX: usize = 2 << 20;
/// Voxels of all plans that wait for their clients to decide: the largest, and some beside it. The oldest make room.
const PLANS_VOXELS_MAX: u64 = 2 * LIVE_VOXELS_MAX as u64;
/// How long is waited until nothing falls, half a minute: on a world where always something falls it is planned then.
const WAIT_TICKS_MAX: u64 = 600;
/// Ticks from one frame of progress to the next.
const PROGRESS_TICKS: u64 = 4;

/// What a planner is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoAsk {
    /// To plan, in place of what the connection wanted before.
    Plan {
        /// Whose wish it is.
        peer: PeerId,
        /// To be given back.
        token: u64,
        /// Who will do it, for the journal.
        actor: ActorId,
        /// What is asked for.
        ask: UndoRequest,
        /// What happened after this tick is not meant. All of it is durable.
        until: u64,
    },
    /// Not to plan what this connection wanted.
    Forget {
        /// Which.
        peer: PeerId,
    },
}

/// What a planner has to say.
#[derive(Debug)]
pub struct UndoAnswer {
    /// To whom.
    pub peer: PeerId,
    /// As it was given.
    pub token: u64,
    /// A plan, or why there is none, for programs and for people.
    pub outcome: Result<Planned, (UndoRefusal, String)>,
}

/// An undo that can begin.
#[derive(Debug)]
pub struct Planned {
    /// What it is; its number is set when it begins.
    pub request: Request,
    /// What it does.
    pub plan: Plan,
    /// What the client is told of it.
    pub frames: Vec<Vec<u8>>,
}

/// What is to be told to a client.
#[derive(Debug)]
pub(crate) enum Said {
    Plan(Vec<Vec<u8>>),
    /// The plan before is not worth sending any more.
    Forgotten,
    Progress(UndoProgress),
    Refused(UndoRefused),
}

/// An undo that was asked for, and has not begun.
struct Asked {
    token: u64,
    request: u32,
    since: u64,
    stage: Stage,
}

enum Stage {
    /// Until nothing falls; then until that is durable.
    Waits {
        actor: ActorId,
        ask: Box<UndoRequest>,
        settled: Option<u64>,
        is_told: bool,
    },
    Planning,
    Planned(Box<Planned>),
}

/// A part that was done and is not durable yet.
struct Part {
    tick: u64,
    looked_at: u64,
    stayed: u64,
}

/// The undo that goes on.
struct Running {
    /// Who is told, unless they are gone.
    peer: Option<PeerId>,
    /// What they call it.
    number: u32,
    request: Request,
    plan: Plan,
    has_begun: bool,
    /// No more parts are done, because somebody wants it to end or a part was refused.
    stops: Option<Option<String>>,
    /// All parts are done, and the journal is told so.
    is_through: bool,
    uncommitted: VecDeque<Part>,
    /// What is durable of it.
    progress: UndoProgress,
    told_tick: u64,
}

/// All undos of a server.
#[derive(Default)]
pub(crate) struct Undos {
    asked: BTreeMap<PeerId, Asked>,
    running: Option<Running>,
    tokens: u64,
    /// To be told.
    pub(crate) said: Vec<(PeerId, Said)>,
    /// For the planner.
    pub(crate) asks: Vec<UndoAsk>,
}

impl Undos {
    /// A client asks. `actor` is who will do it; none if they may not.
    pub(crate) fn ask(
        &mut self,
        peer: PeerId,
        actor: Option<ActorId>,
        ask: UndoRequest,
        tick: u64,
    ) -> Result<(), ProtocolError> {
        let request = ask.request;
        let own = self.running.as_ref().filter(|running| running.peer == Some(peer)).map(|running| running.number);
        if own == Some(request) || self.asked.get(&peer).is_some_and(|asked| asked.request == request) {
            return Err(ProtocolError::RequestInUse { request });
        }
        self.forget(peer);
        let Some(actor) = actor else {
            let text = "only clients on the server's own machine may undo, until there are accounts; `terrane undo` does it on a \
                        world that nobody serves";
            self.refuse(peer, request, UndoRefusal::Stranger, text.to_owned());
            return Ok(());
        };
        if let Some(running) = &self.running {
            let text = format!("undo {} goes on; ask again when it is done", running.request.id);
            self.refuse(peer, request, UndoRefusal::Another, text);
            return Ok(());
        }
        self.tokens += 1;
        let stage = Stage::Waits { actor, ask: Box::new(ask), settled: None, is_told: false };
        self.asked.insert(peer, Asked { token: self.tokens, request, since: tick, stage });
        Ok(())
    }

    /// A client has its undo done, or ended.
    pub(crate) fn act(&mut self, peer: PeerId, request: u32, ends: bool) {
        let of_client = |running: &&mut Running| running.peer == Some(peer) && running.number == request;
        if let Some(running) = self.running.as_mut().filter(of_client) {
            if ends && !running.has_begun {
                let ended = UndoProgress { state: UndoState::Ended, ..running.progress };
                self.running = None;
                self.said.push((peer, Said::Progress(ended)));
            } else if ends && !running.is_through {
                running.stops.get_or_insert(None);
            }
            return;
        }
        let is_asked = self.asked.get(&peer).is_some_and(|asked| asked.request == request);
        let is_planned =
            is_asked && self.asked.get(&peer).is_some_and(|asked| matches!(asked.stage, Stage::Planned(_)));
        if is_asked && (ends || !is_planned) {
            self.forget(peer);
        }
        if ends {
            return;
        }
        if !is_planned {
            let text = "there is no plan of that request; ask for one".to_owned();
            return self.refuse(peer, request, UndoRefusal::NoPlan, text);
        }
        if let Some(Asked { stage: Stage::Planned(planned), .. }) = self.asked.remove(&peer) {
            self.start(peer, request, *planned);
        }
    }

    fn start(&mut self, peer: PeerId, number: u32, planned: Planned) {
        if let Some(running) = &self.running {
            let text = format!("undo {} goes on; ask again when it is done", running.request.id);
            return self.refuse(peer, number, UndoRefusal::Another, text);
        }
        let Planned { request, plan, .. } = planned;
        let of = plan.summary.voxels;
        let state = UndoState::Going;
        self.running = Some(Running {
            peer: Some(peer),
            number,
            request,
            plan,
            has_begun: false,
            stops: None,
            is_through: false,
            uncommitted: VecDeque::new(),
            progress: UndoProgress { request: number, state, undo: 0, looked_at: 0, of, stayed: 0 },
            told_tick: 0,
        });
    }

    fn refuse(&mut self, peer: PeerId, request: u32, code: UndoRefusal, text: String) {
        self.said.push((peer, Said::Refused(UndoRefused { request, code, text })));
    }

    /// What the connection has asked for does not count any more, unless it has begun.
    fn forget(&mut self, peer: PeerId) {
        let Some(asked) = self.asked.remove(&peer) else { return };
        self.said.push((peer, Said::Forgotten));
        if matches!(asked.stage, Stage::Planning) {
            self.asks.push(UndoAsk::Forget { peer });
        }
    }

    /// A connection is gone. An undo that has begun goes on.
    pub(crate) fn closed(&mut self, peer: PeerId) {
        self.forget(peer);
        if let Some(running) = self.running.as_mut().filter(|running| running.peer == Some(peer)) {
            running.peer = None;
            if !running.has_begun {
                self.running = None;
            }
        }
    }

    /// Whether somebody waits for what falls.
    pub(crate) fn has_waiting(&self) -> bool {
        self.asked.values().any(|asked| matches!(asked.stage, Stage::Waits { .. }))
    }

    /// A tick has been made. Whoever waited for the end of what falls, and for that to be durable, gets a plan.
    pub(crate) fn look(&mut self, tick: u64, committed_tick: u64, is_settled: bool) {
        for (peer, asked) in &mut self.asked {
            let Stage::Waits { actor, ask, settled, is_told } = &mut asked.stage else { continue };
            // What came before the request is in the world after the next tick.
            let waited = tick.saturating_sub(asked.since);
            if waited == 0 {
                continue;
            }
            if settled.is_none() && (is_settled || waited >= WAIT_TICKS_MAX) {
                *settled = Some(tick);
            } else if settled.is_none() && !std::mem::replace(is_told, true) {
                let state = UndoState::Waiting;
                let none = UndoProgress { request: asked.request, state, undo: 0, looked_at: 0, of: 0, stayed: 0 };
                self.said.push((*peer, Said::Progress(none)));
            }
            if let Some(until) = settled.filter(|settled| *settled <= committed_tick) {
                let (peer, token, actor, ask) = (*peer, asked.token, *actor, (**ask).clone());
                self.asks.push(UndoAsk::Plan { peer, token, actor, ask, until });
                asked.stage = Stage::Planning;
            }
        }
    }

    /// The planner has something to say.
    pub(crate) fn answered(&mut self, answer: UndoAnswer) {
        let UndoAnswer { peer, token, outcome } = answer;
        let is_meant = |asked: &&mut Asked| asked.token == token && matches!(asked.stage, Stage::Planning);
        let Some(asked) = self.asked.get_mut(&peer).filter(is_meant) else { return };
        match outcome {
            Ok(mut planned) => {
                self.said.push((peer, Said::Plan(std::mem::take(&mut planned.frames))));
                asked.stage = Stage::Planned(Box::new(planned));
                self.make_room();
            }
            Err((code, text)) => {
                let request = asked.request;
                self.asked.remove(&peer);
                self.refuse(peer, request, code, text);
            }
        }
    }

    /// Drops the oldest plans while all of them together are too large.
    fn make_room(&mut self) {
        let planned = |asked: &Asked| match &asked.stage {
            Stage::Planned(planned) => planned.plan.summary.voxels,
            _ => 0,
        };
        while self.asked.values().map(planned).sum::<u64>() > PLANS_VOXELS_MAX {
            let oldest = self.asked.iter().filter(|(_, asked)| planned(asked) > 0).min_by_key(|(_, asked)| asked.token);
            let Some((peer, request)) = oldest.map(|(peer, asked)| (*peer, asked.request)) else { return };
            self.asked.remove(&peer);
            let text = "others have asked since, and there is no room for so many plans; ask again".to_owned();
            self.refuse(peer, request, UndoRefusal::NoPlan, text);
        }
    }

    /// Whether one is to begin, which takes a tick.
    pub(crate) fn is_due(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !running.has_begun)
    }

    /// The one that is due begins, and has the tick's number. Gives what the journal has to know, and whether it is through already, because it
    /// has nothing to do.
    pub(crate) fn begin(&mut self, tick: u64) -> Option<(Request, bool)> {
        let running = self.running.as_mut().filter(|running| !running.has_begun)?;
        running.has_begun = true;
        running.request.id = tick;
        running.progress.undo = tick;
        running.told_tick = tick;
        running.is_through = running.plan.voxels().next().is_none();
        Some((running.request.clone(), running.is_through))
    }

    /// The part that the next tick does; `sequence` gives an actor's last one.
    pub(crate) fn next_part(&mut self, sequence: impl FnOnce(ActorId) -> u64) -> Option<Input> {
        let running = self.running.as_mut()?;
        if !running.has_begun || running.is_through || running.stops.is_some() {
            return None;
        }
        let voxels = running.plan.take_part(EDIT_VOXELS_MAX);
        let (actor, undo) = (running.request.actor, running.request.id);
        Some(Input::Restore { actor, sequence: sequence(actor) + 1, undo, voxels })
    }

    /// A tick has done a part of so many voxels. Gives the undo's number if that was the last one: the journal has to know.
    pub(crate) fn stepped(&mut self, voxels: u64, outcome: &Outcome, deltas: &Deltas) -> Option<u64> {
        let running = self.running.as_mut()?;
        let id = running.request.id;
        if let Outcome::Refused(refusal) = outcome {
            let text =
                format!("a part was refused: {refusal}; undo {id} is unfinished, and can be taken back by its number");
            running.stops = Some(Some(text));
            return None;
        }
        let stayed = voxels - changed_voxels(deltas, id).min(voxels);
        running.uncommitted.push_back(Part { tick: deltas.tick, looked_at: voxels, stayed });
        running.is_through = running.plan.voxels().next().is_none();
        running.is_through.then_some(id)
    }

    /// Everything up to a tick is durable.
    pub(crate) fn committed(&mut self, tick: u64) {
        let Some(running) = &mut self.running else { return };
        while let Some(part) = running.uncommitted.front().filter(|part| part.tick <= tick) {
            running.progress.looked_at += part.looked_at;
            running.progress.stayed += part.stayed;
            running.uncommitted.pop_front();
        }
        if running.progress.looked_at > 0 && tick >= running.told_tick + PROGRESS_TICKS && !running.is_through {
            running.told_tick = tick;
            self.said.extend(running.peer.map(|peer| (peer, Said::Progress(running.progress))));
        }
    }

    /// Looks whether the one that was stopped has come to rest. To be called once nothing of it is on its way any more.
    pub(crate) fn rest(&mut self, committed_tick: u64) {
        let at_rest = |running: &mut Running| {
            let is_begun = running.has_begun && running.request.id <= committed_tick;
            running.stops.is_some() && !running.is_through && is_begun && running.uncommitted.is_empty()
        };
        let Some(Running { peer, stops, number, progress, .. }) = self.running.take_if(at_rest) else { return };
        self.refuse_planned(progress.undo);
        let Some(peer) = peer else { return };
        match stops.flatten() {
            Some(text) => self.refuse(peer, number, UndoRefusal::World, text),
            None => self.said.push((peer, Said::Progress(UndoProgress { state: UndoState::Ended, ..progress }))),
        }
    }

    /// An undo is unfinished: what was planned before it must not begin, as nothing that is asked for now may.
    fn refuse_planned(&mut self, unfinished: u64) {
        let is_planned = |asked: &Asked| !matches!(asked.stage, Stage::Waits { .. });
        let planned: Vec<PeerId> =
            self.asked.iter().filter(|(_, asked)| is_planned(asked)).map(|(peer, _)| *peer).collect();
        for peer in planned {
            let Some(request) = self.asked.get(&peer).map(|asked| asked.request) else { continue };
            self.forget(peer);
            let text = format!("undo {unfinished} was cut off; take it back by its number first");
            self.refuse(peer, request, UndoRefusal::Another, text);
        }
    }

    /// The end of an undo is durable.
    pub(crate) fn ended(&mut self, undo: u64) {
        let Some(running) = self.running.take_if(|running| running.request.id == undo && running.is_through) else {
            return;
        };
        let done = UndoProgress { state: UndoState::Done, ..running.progress };
        self.said.extend(running.peer.map(|peer| (peer, Said::Progress(done))));
    }
}
