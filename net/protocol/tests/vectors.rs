//! The files in sdk/vectors, which every client's tests read too.
//!
//! `TERRANE_WRITE_VECTORS=1 cargo test -p terrane-protocol --test vectors` writes them; without it they are compared.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use terrane_protocol::body::{BodyMove, BodyPart, BodyRun};
use terrane_protocol::error::RefusedCode;
use terrane_protocol::limits::HEADER_BYTES;
use terrane_protocol::message::{BlockInfo, EditVoxel, Hello, Reason, Refused, RefusedInput, SessionId, Welcome};
use terrane_protocol::{
    AgentMoves, AgentPlace, AgentStep, Agents, AgentsPart, ClientMessage, CrowdInfo, CrowdRequest, FieldRequest,
    FieldState, FrameReader, Kind, MAGIC, OverlayKind, OverlayKinds, PathPart, PathRefusal, PathRefused, PathRequest,
    ServerMessage, Shape, Towards, UndoGhost, UndoOther, UndoPlan, UndoProgress, UndoRefusal, UndoRefused, UndoRequest,
    UndoState, View, Wanted,
};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Form, Version, new_blocks};
use terrane_world::delta::changes::{Change, Changes, NewRun};
use terrane_world::path::flow;
use terrane_world::path::mode::{Medium, Mode};
use terrane_world::path::search::End;
use terrane_world::physics::state::{BodyId, Phase};
use terrane_world::relax::EXITS;
use terrane_world::space::{ChunkPos, ColumnPos, LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::CauseKind;
use terrane_world::undo::Rule;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../sdk/vectors")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn version_json(version: Version) -> Value {
    json!({ "epoch": version.epoch, "count": version.count })
}

/// Everything the frame says, under the names of docs/protocol.md.
fn client_json(message: &ClientMessage) -> Value {
    match message {
        ClientMessage::Hello(hello) => json!({
            "kind": Kind::Hello.number(),
            "lowest": hello.lowest,
            "highest": hello.highest,
            "session": hex(&hello.resume.map_or([0; 16], |id| id.0)),
            "name": hello.name,
        }),
        ClientMessage::Subscribe { subscription, shape } => {
            let (number, first, second) = shape.to_wire();
            let mut value = json!({ "kind": Kind::Subscribe.number(), "subscription": subscription, "shape": number });
            let fields = value.as_object_mut().unwrap();
            if number == 0 {
                fields.insert("first".into(), json!(first));
                fields.insert("past_last".into(), json!(second));
            } else {
                fields.insert("centre".into(), json!(first));
                fields.insert("horizontal_radius".into(), json!(second[0]));
                fields.insert("vertical_radius".into(), json!(second[1]));
                fields.insert("margin".into(), json!(second[2]));
            }
            value
        }
        ClientMessage::Edit { sequence, voxels } => json!({
            "kind": Kind::Edit.number(),
            "sequence": sequence.to_string(),
            "voxels": voxels.iter().map(|v| json!({ "pos": v.pos, "block": v.block.0 })).collect::<Vec<_>>(),
        }),
        ClientMessage::Ping { number } => json!({ "kind": Kind::Ping.number(), "number": number.to_string() }),
        ClientMessage::Blast { sequence, at, power } => json!({
            "kind": Kind::Blast.number(),
            "sequence": sequence.to_string(),
            "at": at,
            "power": power,
        }),
        ClientMessage::Overlay { kinds } => json!({ "kind": Kind::Overlay.number(), "kinds": kinds.mask() }),
        ClientMessage::Path(ask) => json!({
            "kind": Kind::PathRequest.number(),
            "request": ask.request,
            "wanted": ask.wanted as u8,
            "around": ask.around,
            "mode": ask.mode,
            "from": ask.from,
            "to": ask.to,
        }),
        ClientMessage::Field(ask) => json!({
            "kind": Kind::FieldRequest.number(),
            "request": ask.request,
            "mode": ask.mode,
            "goals": ask.goals,
            "first": ask.first,
            "past_last": ask.end,
        }),
        ClientMessage::Cancel { request } => json!({ "kind": Kind::Cancel.number(), "request": request }),
        ClientMessage::Crowd(ask) => json!({
            "kind": Kind::CrowdRequest.number(),
            "sequence": ask.sequence.to_string(),
            "agents": ask.agents,
            "speed": ask.speed,
            "mode": ask.mode,
            "goals": ask.goals,
            "first": ask.within[0],
            "past_last": ask.within[1],
            "from_first": ask.from[0],
            "from_past_last": ask.from[1],
        }),
        ClientMessage::Dismiss { sequence } => {
            json!({ "kind": Kind::Dismiss.number(), "sequence": sequence.to_string() })
        }
        ClientMessage::Look(View { eye, forward }) => {
            json!({ "kind": Kind::Look.number(), "eye": eye.to_array(), "forward": forward })
        }
        ClientMessage::Holds { chunks } => {
            let chunk = |(pos, version): &(ChunkPos, Version)| json!({ "pos": pos.to_array(), "version": version_json(*version) });
            json!({ "kind": Kind::Holds.number(), "chunks": chunks.iter().map(chunk).collect::<Vec<_>>() })
        }
        ClientMessage::Undo(ask) => json!({
            "kind": Kind::UndoRequest.number(),
            "request": ask.request,
            "causes": ask.causes,
            "rule": ask.rule as u8,
            "since_ms": ask.since_ms.to_string(),
            "undo": ask.undo.unwrap_or(0).to_string(),
            "box": ask.within.map(|[first, past_last]| json!({ "first": first, "past_last": past_last })),
            "name": ask.name,
        }),
        ClientMessage::UndoAct { request, ends } => {
            json!({ "kind": Kind::UndoAct.number(), "request": request, "act": u8::from(*ends) })
        }
    }
}

fn mode_json(mode: &Mode) -> Value {
    let media = [Medium::Walk, Medium::Fly, Medium::Swim, Medium::Dig];
    json!({
        "name": mode.name,
        "medium": media.iter().position(|medium| *medium == mode.medium),
        "diagonal": mode.diagonal,
        "swim": mode.swim,
        "climb": mode.climb,
        "height": mode.height,
        "width": mode.width,
        "step_up": mode.step_up,
        "drop": mode.drop,
    })
}

fn places_json(agents: &[AgentPlace]) -> Vec<Value> {
    let place = |agent: &AgentPlace| json!({ "number": agent.number, "at": agent.at.to_array(), "exit": agent.exit });
    agents.iter().map(place).collect()
}

fn crowds_json(message: &ServerMessage) -> Value {
    let kind = message.kind().number();
    match message {
        ServerMessage::Crowd(crowd) => json!({
            "kind": kind,
            "handle": crowd.handle,
            "sequence": crowd.sequence.to_string(),
            "mode": crowd.mode,
            "speed": crowd.speed,
            "goals": crowd.goals.iter().map(|goal| goal.to_array()).collect::<Vec<_>>(),
            "first": crowd.within.min(),
            "past_last": crowd.within.max(),
        }),
        ServerMessage::Agents(Agents { part, tick, agents }) => json!({
            "kind": kind,
            "handle": part.handle,
            "column": [part.column.x(), part.column.z()],
            "tick": tick.to_string(),
            "agents": places_json(agents),
        }),
        ServerMessage::AgentMoves(AgentMoves { part, from, tick, steps, entered }) => json!({
            "kind": kind,
            "handle": part.handle,
            "column": [part.column.x(), part.column.z()],
            "from": from.to_string(),
            "tick": tick.to_string(),
            "steps": steps.iter().map(|step| json!({ "number": step.number, "exit": step.exit })).collect::<Vec<_>>(),
            "entered": places_json(entered),
        }),
        ServerMessage::CrowdEnd { handle } => json!({ "kind": kind, "handle": handle }),
        other => panic!("{other:?} is not about crowds"),
    }
}

fn undos_json(message: &ServerMessage) -> Value {
    let kind = message.kind().number();
    match message {
        ServerMessage::UndoPlan(plan) => {
            let cause =
                |(cause, voxels): &(CauseKind, u64)| json!({ "cause": *cause as u8, "voxels": voxels.to_string() });
            let other = |other: &UndoOther| json!({ "cause": other.cause as u8, "voxels": other.voxels.to_string(), "name": other.name });
            json!({
                "kind": kind,
                "request": plan.request,
                "chunks": plan.chunks,
                "voxels": plan.voxels.to_string(),
                "unchanged": plan.unchanged.to_string(),
                "conflicts": plan.conflicts.to_string(),
                "replaced": plan.replaced.to_string(),
                "begins": plan.begins.to_string(), "gaps": plan.gaps,
                "causes": plan.causes.iter().map(cause).collect::<Vec<_>>(),
                "others": plan.others.iter().map(other).collect::<Vec<_>>(),
            })
        }
        ServerMessage::UndoGhost(ghost) => json!({
            "kind": kind,
            "request": ghost.request,
            "last": ghost.last,
            "cut": ghost.is_cut,
            "tick": ghost.changes.tick.to_string(),
            "chunks": ghost.changes.chunks.iter().map(change_json).collect::<Vec<_>>(),
        }),
        ServerMessage::UndoProgress(progress) => json!({
            "kind": kind,
            "request": progress.request,
            "state": progress.state as u8,
            "undo": progress.undo.to_string(),
            "looked_at": progress.looked_at.to_string(),
            "of": progress.of.to_string(),
            "stayed": progress.stayed.to_string(),
        }),
        ServerMessage::UndoRefused(refused) => json!({
            "kind": kind,
            "request": refused.request,
            "code": refused.code as u16,
            "text": refused.text,
        }),
        other => panic!("{other:?} is not about undos"),
    }
}

fn part_json(part: &PathPart) -> Value {
    let ends = [End::Goal, End::Border, End::Unreachable, End::TooFar];
    json!({
        "kind": Kind::PathAnswer.number(),
        "request": part.request,
        "part": part.part,
        "last": part.last,
        "end": ends.iter().position(|end| *end == part.end),
        "cost": part.cost.to_string(),
        "searched": part.searched.to_string(),
        "tick": part.tick.to_string(),
        "waypoints": part.waypoints.iter().map(|at| at.to_array()).collect::<Vec<_>>(),
    })
}

fn welcome_json(welcome: &Welcome) -> Value {
    json!({
        "kind": Kind::Welcome.number(),
        "version": welcome.version,
        "resumed": u8::from(welcome.resumed),
        "epoch": welcome.epoch,
        "session": hex(&welcome.session.0),
        "world": hex(&welcome.world),
        "tick": welcome.tick.to_string(),
        "acknowledged": welcome.acknowledged.to_string(),
        "tick_us": welcome.tick_us,
        "blocks": welcome.blocks,
        "spawn": welcome.spawn.to_array(),
        "identity": welcome.identity.to_string(),
    })
}

fn registry_json(first: u16, blocks: &[BlockInfo]) -> Value {
    let blocks: Vec<Value> = blocks
        .iter()
        .enumerate()
        .map(|(index, block)| {
            json!({
                "id": usize::from(first) + index,
                "name": &*block.name,
                "solid": block.solid,
                "opaque": block.opaque,
                "liquid": block.liquid,
                "pickable": block.pickable,
                "colour": block.colour,
                "light": block.light,
            })
        })
        .collect();
    json!({ "kind": Kind::Registry.number(), "first": first, "count": blocks.len(), "blocks": blocks })
}

fn snapshot_json(pos: ChunkPos, subscription: u32, version: Version, chunk: &Chunk) -> Value {
    let samples: serde_json::Map<String, Value> = [0u16, 1, 31, 32, 1_024, 12_345, 20_001, 32_767]
        .into_iter()
        .map(|index| (index.to_string(), json!(chunk.get(LocalIndex::new(index).unwrap()).0)))
        .collect();
    json!({
        "kind": Kind::Snapshot.number(),
        "pos": pos.to_array(),
        "subscription": subscription,
        "version": version_json(version),
        "form": chunk.form() as u8,
        "table": chunk.table().iter().map(|block| block.0).collect::<Vec<_>>(),
        "voxel_samples": samples,
        "voxel_sum": voxel_sum(chunk),
    })
}

fn change_json(Change { pos, from, to, runs }: &Change) -> Value {
    let run = |run: &NewRun| json!({ "first": run.first.get(), "length": run.length, "block": run.block.0 });
    json!({
        "pos": pos.to_array(),
        "from": version_json(*from),
        "to": version_json(*to),
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}

/// A number that all voxels of a chunk make together.
fn voxel_sum(chunk: &Chunk) -> u32 {
    let blocks = (0..32_768u16).map(|index| u32::from(chunk.get(LocalIndex::new(index).unwrap()).0));
    blocks.fold(0, |sum, block| sum.wrapping_mul(31).wrapping_add(block))
}

fn server_json(message: &ServerMessage) -> Value {
    let kind = message.kind().number();
    match message {
        ServerMessage::Welcome(welcome) => welcome_json(welcome),
        ServerMessage::Registry { first, blocks } => registry_json(*first, blocks),
        ServerMessage::Snapshot { pos, subscription, version, chunk } => {
            snapshot_json(*pos, *subscription, *version, chunk)
        }
        ServerMessage::Delta(Changes { tick, chunks }) => json!({
            "kind": kind,
            "tick": tick.to_string(),
            "chunks": chunks.iter().map(change_json).collect::<Vec<_>>(),
        }),
        ServerMessage::Same { subscription, chunks } => json!({
            "kind": kind,
            "subscription": subscription,
            "chunks": chunks.iter().map(|pos| pos.to_array()).collect::<Vec<_>>(),
        }),
        ServerMessage::Forget { pos, subscription } => {
            json!({ "kind": kind, "pos": pos.to_array(), "subscription": subscription })
        }
        ServerMessage::Acknowledge { sequence, tick, refusals } => json!({
            "kind": kind,
            "sequence": sequence.to_string(),
            "tick": tick.to_string(),
            "refusals": refusals
                .iter()
                .map(|refusal| json!({ "sequence": refusal.sequence.to_string(), "reason": refusal.reason as u16 }))
                .collect::<Vec<_>>(),
        }),
        ServerMessage::Pong { number, tick } => {
            json!({ "kind": kind, "number": number.to_string(), "tick": tick.to_string() })
        }
        ServerMessage::CaughtUp { subscription } => json!({ "kind": kind, "subscription": subscription }),
        ServerMessage::Body(body) => json!({
            "kind": kind,
            "handle": body.handle,
            "tick": body.id.tick.to_string(),
            "origin": body.id.origin.to_array(),
            "corner": body.corner.to_array(),
            "part": body.part,
            "parts": body.parts,
            "voxels": body.voxels,
            "runs": body
                .runs
                .iter()
                .map(|run| json!({ "first": run.first, "length": run.length, "block": run.block.0 }))
                .collect::<Vec<_>>(),
        }),
        ServerMessage::BodyMoves { tick, moves } => json!({
            "kind": kind,
            "tick": tick.to_string(),
            "moves": moves.iter().map(move_json).collect::<Vec<_>>(),
        }),
        ServerMessage::BodyEnds { handles } => json!({ "kind": kind, "handles": handles }),
        ServerMessage::OverlayData { pos, kind: overlay, version, values } => json!({
            "kind": kind,
            "pos": pos.to_array(),
            "overlay": *overlay as u16,
            "version": version_json(*version),
            "values": values.as_ref().map(|values| {
                [0usize, 1, 31, 32, 1_024, 12_345, 20_001, 32_767].map(|index| json!([index, values[index]]))
            }),
        }),
        ServerMessage::Modes { modes } => {
            json!({ "kind": kind, "modes": modes.iter().map(mode_json).collect::<Vec<_>>() })
        }
        ServerMessage::PathAnswer(part) => part_json(part),
        ServerMessage::FieldChunk(chunk) => json!({
            "kind": kind,
            "request": chunk.request,
            "pos": chunk.pos.to_array(),
            "tick": chunk.tick.to_string(),
            "moves": Vec::from(
                [0usize, 1, 31, 32, 1_024, 12_345, 20_001, 32_767].map(|index| json!([index, chunk.moves[index]]))
            ),
            "costs": chunk.costs.len(),
            "first_costs": &chunk.costs[..chunk.costs.len().min(4)],
        }),
        ServerMessage::FieldState(state) => json!({
            "kind": kind,
            "request": state.request,
            "current": state.current,
            "tick": state.tick.to_string(),
            "chunks": state.chunks,
        }),
        ServerMessage::PathRefused(refused) => json!({
            "kind": kind,
            "request": refused.request,
            "code": refused.code as u16,
            "text": refused.text,
        }),
        ServerMessage::Crowd(_)
        | ServerMessage::Agents(_)
        | ServerMessage::AgentMoves(_)
        | ServerMessage::CrowdEnd { .. } => crowds_json(message),
        ServerMessage::UndoPlan(_)
        | ServerMessage::UndoGhost(_)
        | ServerMessage::UndoProgress(_)
        | ServerMessage::UndoRefused(_) => undos_json(message),
        ServerMessage::Refused(refused) => {
            json!({ "kind": kind, "code": refused.code.number(), "text": refused.text })
        }
    }
}

fn move_json(to: &BodyMove) -> Value {
    let phase = [Phase::Falling, Phase::Landing, Phase::Shattering].iter().position(|phase| *phase == to.phase);
    json!({ "handle": to.handle, "fallen": to.fallen, "velocity": to.velocity, "phase": phase })
}

fn client_messages() -> Vec<(&'static str, ClientMessage)> {
    let session = SessionId(std::array::from_fn(|i| (i * 17) as u8));
    let hello = Hello { lowest: 1, highest: 2, resume: Some(session), name: "Ada Łovelace ☃".into() };
    let shape_box = Shape::new_box([-3, -2, -33_554_432], [4, 2, -33_554_430]).unwrap();
    let centre = ChunkPos::new(-7, 3, 33_554_431).unwrap();
    let shape_radius = Shape::new_radius(centre, 12, 4).unwrap().with_margin(3).unwrap();
    let voxels = vec![
        EditVoxel { pos: [1, -2, 3], block: BlockId(0) },
        EditVoxel { pos: [-1_073_741_824, 2_047, 1_073_741_823], block: BlockId(65_534) },
        EditVoxel { pos: [1, -2, 3], block: BlockId(7) },
    ];
    vec![
        ("hello", ClientMessage::Hello(hello)),
        ("subscribe_box", ClientMessage::Subscribe { subscription: 4_000_000_000, shape: shape_box }),
        ("subscribe_radius", ClientMessage::Subscribe { subscription: 2, shape: shape_radius }),
        ("edit", ClientMessage::Edit { sequence: 9_007_199_254_740_993, voxels }),
        ("blast", ClientMessage::Blast { sequence: 9_007_199_254_740_993, at: [1, -2, 1_073_741_823], power: 200 }),
        ("overlay", ClientMessage::Overlay { kinds: OverlayKinds::NONE.with(OverlayKind::Support, true) }),
        ("overlay_light", ClientMessage::Overlay { kinds: OverlayKinds::NONE.with(OverlayKind::Light, true) }),
        ("ping", ClientMessage::Ping { number: 0xfedc_ba98_7654_3210 }),
        ("path_request", ClientMessage::Path(path_request(Wanted::Way))),
        ("path_request_reachable", ClientMessage::Path(path_request(Wanted::Reachable))),
        (
            "field_request",
            ClientMessage::Field(FieldRequest {
                request: 4_000_000_001,
                mode: "ground".into(),
                goals: vec![[1, -2, 3], [-1_073_741_824, 2_047, i32::MAX]],
                first: [-64, 0, -64],
                end: [64, 96, 64],
            }),
        ),
        ("cancel", ClientMessage::Cancel { request: 4_000_000_000 }),
        (
            "crowd_request",
            ClientMessage::Crowd(CrowdRequest {
                sequence: 9_007_199_254_740_993,
                mode: "ground".into(),
                goals: vec![[1, -2, 3], [-1_073_741_824, 2_047, i32::MAX]],
                within: [[-64, 0, -64], [64, 96, 64]],
                from: [[-60, 1, -60], [-40, 80, 1_000_000_000]],
                agents: 131_072,
                speed: 65_535,
            }),
        ),
        ("dismiss", ClientMessage::Dismiss { sequence: 9_007_199_254_740_994 }),
        (
            "look",
            ClientMessage::Look(View { eye: VoxelPos::new(-12, 71, 1_000_000_000).unwrap(), forward: [-128, 5, 127] }),
        ),
        (
            "holds",
            ClientMessage::Holds {
                chunks: vec![
                    (ChunkPos::new(-5, 2, 9).unwrap(), Version { epoch: 0, count: 1 }),
                    (ChunkPos::new(33_554_431, -64, -33_554_432).unwrap(), Version { epoch: 4_000_000_000, count: 7 }),
                ],
            },
        ),
        (
            "undo_request",
            ClientMessage::Undo(UndoRequest {
                request: 4_000_000_000,
                causes: 0,
                rule: Rule::Keep,
                since_ms: 0,
                undo: Some(9_007_199_254_740_993),
                within: None,
                name: String::new(),
            }),
        ),
        (
            "undo_request_box",
            ClientMessage::Undo(UndoRequest {
                request: 4_000_000_001,
                causes: 0b10110,
                rule: Rule::Overwrite,
                since_ms: 9_007_199_254_740_994,
                undo: None,
                within: Some([[-64, -2_048, -1_073_741_824], [64, 96, 1_073_741_824]]),
                name: "Ada Łovelace ☃".into(),
            }),
        ),
        ("undo_act", ClientMessage::UndoAct { request: 4_000_000_000, ends: true }),
    ]
}

fn path_request(wanted: Wanted) -> PathRequest {
    let (from, to) = ([-12, 71, 1_000_000_000], [i32::MIN, 80, 7]);
    PathRequest { request: 4_000_000_000, wanted, around: 128, mode: "spider".into(), from, to }
}

fn paths() -> Vec<(&'static str, ServerMessage)> {
    let mode = |name: &str, medium, [diagonal, swim, climb]: [bool; 3], height| Mode {
        name: name.into(),
        medium,
        diagonal,
        height,
        width: 2,
        step_up: 4,
        drop: 14,
        swim,
        climb,
    };
    let modes = vec![
        mode("fly", Medium::Fly, [true, false, false], 1),
        mode("ground", Medium::Walk, [false, true, true], 8),
        mode("mole", Medium::Dig, [false, false, false], 1),
        mode("squid-2", Medium::Swim, [false, false, false], 3),
    ];
    let at = |x, y, z| VoxelPos::new(x, y, z).unwrap();
    let part = |part, last, end, waypoints| PathPart {
        request: 4_000_000_000,
        part,
        last,
        end,
        cost: 9_007_199_254_740_993,
        searched: 12_345,
        tick: 9_007_199_254_740_995,
        waypoints,
    };
    let field = |kinds, run, spread| ServerMessage::FieldChunk(common::field_chunk(kinds, run, 1_000_000, spread));
    let (request, tick, chunks) = (4_000_000_001, 9_007_199_254_740_996, 48);
    vec![
        ("modes", ServerMessage::Modes { modes }),
        ("path_answer", part(7, false, End::Border, vec![at(-12, 71, 1_000_000_000), at(1, -2_048, 3)]).into()),
        ("path_answer_none", part(0, true, End::Unreachable, Vec::new()).into()),
        ("field_chunk_runs", field(1, 1, 255)),
        ("field_chunk_closed", field(30, 32_768, 0)),
        ("field_chunk_u4", field(14, 1, 65_535)),
        ("field_chunk_u8", field(30, 1, 65_535)),
        ("field_chunk_wide", field(400, 1, 1 << 30)),
        ("field_state_stale", ServerMessage::FieldState(FieldState { request, current: false, tick, chunks })),
        ("field_state", ServerMessage::FieldState(FieldState { request, current: true, tick, chunks })),
        (
            "path_refused",
            ServerMessage::PathRefused(PathRefused {
                request: 4_000_000_000,
                code: PathRefusal::GoalBlocked,
                text: "7,80,9 is no place for mode ground: stone is in the way – ask for another".into(),
            }),
        ),
    ]
}

fn crowds() -> Vec<(&'static str, ServerMessage)> {
    let at = |x, y, z| VoxelPos::new(x, y, z).unwrap();
    let part = AgentsPart { column: ColumnPos::new(-3, 8_388_607).unwrap(), handle: 4_000_000_000 };
    let place = |number, x, y, z, exit| AgentPlace { number, at: at(x - 384, y, z + 1_073_741_696), exit };
    let crowd = CrowdInfo {
        handle: 4_000_000_000,
        sequence: 9_007_199_254_740_993,
        mode: "spider".into(),
        speed: 300,
        goals: vec![at(1, -2_048, 3), at(-1_073_741_824, 2_047, 1_073_741_823)],
        within: VoxelBox::new([-64, -2_048, -64], [64, 2_048, 1_073_741_824]).unwrap(),
    };
    let agents =
        vec![place(0, 0, -2_048, 127, None), place(7, 127, 2_047, 0, Some(25)), place(131_071, 5, 64, 6, Some(0))];
    let steps = vec![
        AgentStep { number: 0, exit: Some(25) },
        AgentStep { number: 7, exit: None },
        AgentStep { number: 131_071, exit: Some(3) },
    ];
    let entered = vec![place(9, 127, 80, 127, Some(5)), place(10, 0, 0, 0, None)];
    let (from, tick) = (9_007_199_254_740_993, 9_007_199_254_740_995);
    vec![
        ("crowd", ServerMessage::Crowd(crowd)),
        ("agents", ServerMessage::Agents(Agents { part, tick, agents })),
        ("agents_none", ServerMessage::Agents(Agents { part, tick, agents: Vec::new() })),
        ("agent_moves", ServerMessage::AgentMoves(AgentMoves { part, from, tick, steps, entered })),
        ("crowd_end", ServerMessage::CrowdEnd { handle: 4_000_000_000 }),
    ]
}

fn undos() -> Vec<(&'static str, ServerMessage)> {
    let request = 4_000_000_000;
    let other = |cause, voxels, name: &str| UndoOther { cause, voxels, name: name.into() };
    let plan = UndoPlan {
        request,
        chunks: 70_000,
        voxels: 9_007_199_254_740_993,
        unchanged: 9_007_199_254_740_994,
        conflicts: 9_007_199_254_740_995,
        replaced: 9_007_199_254_740_996,
        begins: 9_007_199_254_740_997,
        gaps: 3,
        causes: vec![(CauseKind::Blast, 9_007_199_254_740_998), (CauseKind::Undo, 3)],
        others: vec![
            other(CauseKind::Edit, 9_007_199_254_740_999, "Ada Łovelace ☃"),
            other(CauseKind::Dig, 1, "actor:7"),
        ],
    };
    let run = |first, length, block| NewRun { first: LocalIndex::new(first).unwrap(), length, block: BlockId(block) };
    let change = |pos: [i32; 3], runs| {
        let (from, to) = (Version::NONE, Version::NONE);
        Change { pos: ChunkPos::try_from(pos).unwrap(), from, to, runs }
    };
    let chunks = vec![
        change([-5, 2, 9], vec![run(0, 1, 0), run(1, 31, 7), run(4_000, 1_000, 65_534), run(32_767, 1, 2)]),
        change([33_554_431, -64, -33_554_432], (0..400).map(|i| run(i * 80 + i % 7, 1 + i % 3, 1 + i % 5)).collect()),
    ];
    let changes = Changes { tick: 9_007_199_254_740_996, chunks };
    let progress = UndoProgress {
        request,
        state: UndoState::Ended,
        undo: 9_007_199_254_740_993,
        looked_at: 9_007_199_254_740_995,
        of: 9_007_199_254_740_996,
        stayed: 9_007_199_254_740_994,
    };
    let text = "nobody called Ada is in history – there are Bob, Łukasz".into();
    let refused = UndoRefused { request, code: UndoRefusal::Nobody, text };
    vec![
        ("undo_plan", ServerMessage::UndoPlan(plan)),
        ("undo_ghost", ServerMessage::UndoGhost(UndoGhost { request, last: true, is_cut: true, changes })),
        ("undo_progress", ServerMessage::UndoProgress(progress)),
        ("undo_refused", ServerMessage::UndoRefused(refused)),
    ]
}

fn block(name: &str, flags: [bool; 4], colour: [u8; 3], light: u8) -> BlockInfo {
    let [solid, opaque, liquid, pickable] = flags;
    BlockInfo { name: name.into(), solid, opaque, liquid, pickable, colour, light }
}

/// Ground of so many blocks under an uneven surface: rows are like each other, and zstd finds something to do.
fn hills(kinds: i32) -> Chunk {
    let mut blocks = new_blocks();
    for (index, block) in blocks.iter_mut().enumerate() {
        let [x, z, y] = [index & 31, index >> 5 & 31, index >> 10].map(|part| part as i32);
        let height = 14 + (x * x / 40 + z * (31 - z) / 60 - x * z / 90) % 9;
        *block = BlockId(if y > height { 0 } else { 1 + ((height - y) * 7 + x / 9) as u16 % kinds as u16 });
    }
    Chunk::from_blocks(&blocks)
}

fn snapshots() -> Vec<(&'static str, ServerMessage)> {
    let snapshot = |pos: [i32; 3], count, chunk: Chunk| {
        let pos = ChunkPos::try_from(pos).unwrap();
        let version = Version { epoch: 3, count };
        ServerMessage::Snapshot { pos, subscription: 5, version, chunk: Arc::new(chunk) }
    };
    let cases = vec![
        ("snapshot_uniform", snapshot([0, 63, 0], 1, Chunk::uniform(BlockId(300))), Form::Uniform),
        ("snapshot_u4", snapshot([-1, -64, 2], 70_000, common::varied_chunk(11, 1)), Form::U4),
        ("snapshot_u8", snapshot([33_554_431, 0, -33_554_432], 2, common::varied_chunk(200, 2)), Form::U8),
        ("snapshot_u16", snapshot([5, 6, 7], u32::MAX, common::varied_chunk(5_000, 3)), Form::U16),
        ("snapshot_rows_u4", snapshot([5, 6, 7], 3, hills(5)), Form::U4),
        ("snapshot_rows_u8", snapshot([5, 6, 7], 4, hills(90)), Form::U8),
    ];
    cases
        .into_iter()
        .map(|(name, message, form)| {
            assert!(matches!(&message, ServerMessage::Snapshot { chunk, .. } if chunk.form() == form));
            (name, message)
        })
        .collect()
}

fn bodies() -> Vec<(&'static str, ServerMessage)> {
    let run = |first, length, block| BodyRun { first, length, block: BlockId(block) };
    let body = BodyPart {
        handle: 4_000_000_000,
        id: BodyId { tick: 9_007_199_254_740_995, origin: VoxelPos::new(-12, 71, 1_000_000_000).unwrap() },
        corner: VoxelPos::new(-20, 71, 999_999_990).unwrap(),
        part: 1,
        parts: 2,
        voxels: 5_000,
        runs: vec![run([0, 0, 10], 64, 7), run([3, 1, 0], 1, 65_534), run([4, 1, 0], 2, 7), run([63, 1_976, 63], 1, 1)],
    };
    let to = |handle, fallen, velocity, phase| BodyMove { handle, fallen, velocity, phase };
    let moves = vec![
        to(4_000_000_000, 70_000, 1_024, Phase::Falling),
        to(1, 256, 0, Phase::Landing),
        to(2, 0, 0, Phase::Shattering),
    ];
    vec![
        ("body", ServerMessage::Body(body)),
        ("body_moves", ServerMessage::BodyMoves { tick: 9_007_199_254_740_996, moves }),
        ("body_ends", ServerMessage::BodyEnds { handles: vec![1, 4_000_000_000] }),
    ]
}

/// Sky over a floor, and a lamp that shines on it.
fn daylight() -> ServerMessage {
    let (pos, version) = (ChunkPos::new(-5, 3, 9).unwrap(), Version { epoch: 3, count: 70_001 });
    let lamp = |x: i32, y: i32, z: i32| (14 - (x - 16).abs() - (y - 10).abs() - (z - 16).abs()).max(0) as u8;
    let light = |x: i32, y: i32, z: i32| if y < 8 { 0 } else { 0xf0 | lamp(x, y, z) };
    let values: Vec<u8> = (0..32_768).map(|index| light(index & 31, index >> 10, index >> 5 & 31)).collect();
    ServerMessage::OverlayData { pos, kind: OverlayKind::Light, version, values: Some(values.try_into().unwrap()) }
}

fn overlays() -> Vec<(&'static str, ServerMessage)> {
    [("overlay_none", 0, 1), ("overlay_runs", 200, 100), ("overlay_u4", 16, 1), ("overlay_u8", 256, 1)]
        .into_iter()
        .map(|(name, kinds, run)| {
            let (pos, version) = (ChunkPos::new(-5, 2, 9).unwrap(), Version { epoch: 3, count: 70_000 });
            let values = common::overlay_values(kinds, run);
            (name, ServerMessage::OverlayData { pos, kind: OverlayKind::Support, version, values })
        })
        .chain([("overlay_daylight", daylight())])
        .collect()
}

fn server_messages() -> Vec<(&'static str, ServerMessage)> {
    let welcome = Welcome {
        version: 2,
        resumed: true,
        epoch: 4_294_967_295,
        session: SessionId(std::array::from_fn(|i| 255 - i as u8)),
        world: std::array::from_fn(|i| i as u8 + 1),
        tick: 9_007_199_254_740_995,
        acknowledged: 17,
        tick_us: 50_000,
        blocks: 3,
        spawn: VoxelPos::new(-12, 71, 1_000_000_000).unwrap(),
        identity: 0xfedc_ba98_7654_3210,
    };
    let blocks = vec![
        block("stone", [true, true, false, true], [125, 126, 127], 0),
        block("water[level=0]", [false, false, true, false], [47, 67, 244], 0),
        block("oak_stairs[facing=north,half=bottom]", [true, false, false, true], [162, 130, 78], 15),
    ];
    let run = |first, length, block| NewRun { first: LocalIndex::new(first).unwrap(), length, block: BlockId(block) };
    let version = |epoch, count| Version { epoch, count };
    let change = |pos: [i32; 3], from, to, runs| Change { pos: ChunkPos::try_from(pos).unwrap(), from, to, runs };
    let runs = vec![run(0, 1, 0), run(1, 31, 7), run(4_000, 1_000, 65_534), run(32_767, 1, 2)];
    let many = (0..400).map(|i| run(i * 80 + i % 7, 1 + i % 3, 1 + i % 5)).collect();
    let chunks = vec![
        change([-5, 2, 9], version(0, 1), version(3, 2), runs),
        change([33_554_431, -64, -33_554_432], version(3, 70_000), version(3, 70_009), many),
        change([-5, 2, 9], version(3, 2), version(3, 3), Vec::new()),
    ];
    let delta = ServerMessage::Delta(Changes { tick: 1 << 60, chunks });
    let none = ServerMessage::Delta(Changes { tick: 7, chunks: Vec::new() });
    let same = ServerMessage::Same { subscription: 4_000_000_000, chunks: vec![ChunkPos::new(1, -2, 3).unwrap(); 2] };
    let refusals = vec![
        RefusedInput { sequence: 3, reason: Reason::UnknownBlock },
        RefusedInput { sequence: 9_007_199_254_740_993, reason: Reason::ReadOnly },
    ];
    let refused = Refused { code: RefusedCode::SequenceGap, text: "sequence 9 came where 8 was due – send 8".into() };
    let mut messages = vec![
        ("welcome", ServerMessage::Welcome(welcome)),
        ("registry", ServerMessage::Registry { first: 258, blocks }),
        ("delta", delta),
        ("delta_none", none),
        ("same", same),
        ("forget", ServerMessage::Forget { pos: ChunkPos::new(1, -2, 3).unwrap(), subscription: 6 }),
        ("acknowledge", ServerMessage::Acknowledge { sequence: 9_007_199_254_740_997, tick: 12, refusals }),
        ("pong", ServerMessage::Pong { number: 0xfedc_ba98_7654_3210, tick: 13 }),
        ("caught_up", ServerMessage::CaughtUp { subscription: 4_000_000_000 }),
        ("refused", ServerMessage::Refused(refused)),
    ];
    messages.extend(snapshots());
    messages.extend(bodies());
    messages.extend(overlays());
    messages.extend(paths());
    messages.extend(crowds());
    messages.extend(undos());
    messages
}

fn check(name: &str, frame: &[u8], value: &Value) {
    let directory = directory();
    let (bin, text) = (directory.join(format!("{name}.bin")), directory.join(format!("{name}.json")));
    let json = format!("{value:#}\n");
    if std::env::var_os("TERRANE_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(&bin, frame).unwrap();
        std::fs::write(&text, &json).unwrap();
    }
    let stored = std::fs::read(&bin).unwrap_or_else(|error| panic!("{}: {error}", bin.display()));
    assert!(
        stored == frame,
        "{name}.bin is not what this crate writes: if the protocol was meant to change, write it anew"
    );
    let stored: Value = serde_json::from_slice(&std::fs::read(&text).unwrap()).unwrap();
    assert_eq!(&stored, value, "{name}.json");
}

fn check_json(name: &str, value: &Value) {
    let path = directory().join(name);
    if std::env::var_os("TERRANE_WRITE_VECTORS").is_some() {
        std::fs::write(&path, format!("{value}\n")).unwrap();
    }
    let stored: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(&stored, value, "{}", path.display());
}

/// What the moves of a field mean.
#[test]
fn the_file_of_moves_is_how_this_crate_numbers_them() {
    let instead = [flow::GOAL, flow::TOO_FAR, flow::UNREACHABLE, flow::BLOCKED];
    check_json("exits.json", &json!({ "exits": EXITS, "instead_of_a_move": instead }));
}

/// How a body falls, tick by tick, for clients that carry it on between two messages.
#[test]
fn the_file_of_a_fall_is_how_this_crate_lets_bodies_fall() {
    let mut now = BodyMove { handle: 1, fallen: 0, velocity: 0, phase: Phase::Falling };
    let mut ticks = vec![[0, 0]];
    for _ in 0..120 {
        now = now.fallen_on();
        ticks.push([now.fallen, u32::from(now.velocity)]);
    }
    check_json("fall.json", &json!({ "fallen_and_velocity": ticks }));
}

#[test]
fn the_files_that_clients_read_are_what_this_crate_writes_and_reads() {
    for (name, message) in client_messages() {
        let mut stream = MAGIC.to_vec();
        message.encode(&mut stream);
        let mut reader = FrameReader::new(Towards::Server);
        let mut input = &stream[..];
        let frame = reader.next(&mut input).unwrap().unwrap();
        assert_eq!(ClientMessage::decode(frame.kind, frame.payload).as_ref(), Ok(&message));
        check(name, &stream[MAGIC.len()..], &client_json(&message));
    }
    for (name, message) in server_messages() {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        assert_eq!(ServerMessage::decode(message.kind(), &frame[HEADER_BYTES..]).as_ref(), Ok(&message));
        check(name, &frame, &server_json(&message));
    }
}
