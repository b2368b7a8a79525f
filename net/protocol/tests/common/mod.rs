//! What several tests need: messages at random, and a client that believes nothing.
#![allow(dead_code, reason = "no test uses all of it")]

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_protocol::body::{BodyMove, BodyPart, BodyRun};
use terrane_protocol::error::RefusedCode;
use terrane_protocol::message::{BlockInfo, EditVoxel, Hello, Reason, Refused, RefusedInput, SessionId, Welcome};
use terrane_protocol::{
    AgentMoves, AgentPlace, AgentStep, Agents, AgentsPart, ClientMessage, CrowdInfo, CrowdRequest, FieldChunk,
    FieldRequest, FieldState, FrameReader, OverlayKind, OverlayKinds, PathPart, PathRefusal, PathRefused, PathRequest,
    ServerMessage, Shape, Towards, UndoGhost, UndoOther, UndoPlan, UndoProgress, UndoRefusal, UndoRefused, UndoRequest,
    UndoState, View, Wanted,
};
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Version, new_blocks};
use terrane_world::delta::changes::{Change, Changes, NewRun};
use terrane_world::path::mode::{Medium, Mode};
use terrane_world::path::search::End;
use terrane_world::physics::state::{BodyId, Phase};
use terrane_world::relax::EXITS;
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::CauseKind;
use terrane_world::undo::Rule;

pub fn chunk_pos() -> impl Strategy<Value = ChunkPos> {
    let (h, v) = (1 << 25, 64);
    (-h..h, -v..v, -h..h).prop_map(|(x, y, z)| ChunkPos::new(x, y, z).unwrap())
}

pub fn version() -> impl Strategy<Value = Version> {
    (any::<u32>(), any::<u32>()).prop_map(|(epoch, count)| Version { epoch, count })
}

/// A chunk of `kinds` blocks.
pub fn varied_chunk(kinds: u32, seed: u32) -> Chunk {
    let mut blocks = new_blocks();
    for (i, block) in blocks.iter_mut().enumerate() {
        *block = BlockId(((i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 7) as u16 % kinds as u16 * 5 + 1);
    }
    Chunk::from_blocks(&blocks)
}

fn shape() -> impl Strategy<Value = Shape> {
    let boxes = (-100i32..100, -9i32..9, -100i32..100, 0i32..20, 0i32..8, 0i32..20)
        .prop_map(|(x, y, z, a, b, c)| Shape::new_box([x, y, z], [x + a, y + b, z + c]).unwrap());
    let radii = (chunk_pos(), 0i32..=64, 0i32..=2).prop_map(|(at, r, v)| Shape::new_radius(at, r, v).unwrap());
    let margins = (chunk_pos(), 0i32..=30, 0i32..=2, 0i32..=4)
        .prop_map(|(at, r, v, margin)| Shape::new_radius(at, r, v).unwrap().with_margin(margin).unwrap());
    prop_oneof![boxes, radii, margins]
}

pub fn client_message() -> impl Strategy<Value = ClientMessage> {
    let hello = (any::<u16>(), any::<u16>(), any::<[u8; 16]>(), "\\PC{0,16}").prop_map(|(a, b, id, name)| {
        let resume = (id[0] & 1 == 0 && id != [0; 16]).then_some(SessionId(id));
        ClientMessage::Hello(Hello { lowest: a.min(b), highest: a.max(b), resume, name })
    });
    let voxel = (any::<[i32; 3]>(), any::<u16>()).prop_map(|(pos, block)| EditVoxel { pos, block: BlockId(block) });
    prop_oneof![
        hello,
        (any::<u32>(), shape()).prop_map(|(subscription, shape)| ClientMessage::Subscribe { subscription, shape }),
        (1u64.., vec(voxel, 1..40)).prop_map(|(sequence, voxels)| ClientMessage::Edit { sequence, voxels }),
        any::<u64>().prop_map(|number| ClientMessage::Ping { number }),
        (1u64.., any::<[i32; 3]>(), any::<u8>()).prop_map(|(sequence, at, power)| ClientMessage::Blast {
            sequence,
            at,
            power
        }),
        (0u32..1 << OverlayKind::ALL.len())
            .prop_map(|mask| ClientMessage::Overlay { kinds: OverlayKinds::from_mask(mask).unwrap() }),
        path_request(),
        field_request(),
        any::<u32>().prop_map(|request| ClientMessage::Cancel { request }),
        crowd_request(),
        (1u64..).prop_map(|sequence| ClientMessage::Dismiss { sequence }),
        (chunk_pos(), any::<[i8; 3]>()).prop_map(|(at, forward)| {
            let eye = VoxelPos::try_from(at.to_array().map(|part| part * 32 + 31)).unwrap();
            ClientMessage::Look(View { eye, forward })
        }),
        vec((chunk_pos(), version()), 0..40).prop_map(|chunks| ClientMessage::Holds { chunks }),
        undo_request(),
        any::<(u32, bool)>().prop_map(|(request, ends)| ClientMessage::UndoAct { request, ends }),
    ]
}

fn undo_request() -> impl Strategy<Value = ClientMessage> {
    let numbers = (any::<u32>(), 0u8..32, any::<bool>(), any::<[u64; 2]>());
    (numbers, prop::option::of(any::<[[i32; 3]; 2]>()), "\\PC{0,16}").prop_map(
        |((request, causes, overwrite, [since_ms, undo]), within, name)| {
            let rule = if overwrite { Rule::Overwrite } else { Rule::Keep };
            let undo = Some(undo / 3).filter(|undo| undo % 2 == 1);
            ClientMessage::Undo(UndoRequest { request, causes, rule, since_ms, undo, within, name })
        },
    )
}

fn undos() -> impl Strategy<Value = ServerMessage> {
    let cause = || prop::sample::select(&CauseKind::ALL[..]);
    let other =
        (cause(), any::<u64>(), "\\PC{0,16}").prop_map(|(cause, voxels, name)| UndoOther { cause, voxels, name });
    let lists = (vec((cause(), any::<u64>()), 0..=7), vec(other, 0..=32));
    let plan = (any::<[u32; 3]>(), any::<[u64; 5]>(), lists).prop_map(
        |([request, chunks, gaps], [voxels, unchanged, conflicts, replaced, begins], (causes, others))| {
            let counts =
                UndoPlan { request, chunks, voxels, unchanged, conflicts, replaced, begins, gaps, causes, others };
            ServerMessage::UndoPlan(counts)
        },
    );
    let none = Version::NONE;
    let change = (chunk_pos(), runs()).prop_map(move |(pos, runs)| Change { pos, from: none, to: none, runs });
    let ghost =
        (any::<(u32, bool, bool, u64)>(), vec(change, 0..8)).prop_map(|((request, last, is_cut, tick), chunks)| {
            ServerMessage::UndoGhost(UndoGhost { request, last, is_cut, changes: Changes { tick, chunks } })
        });
    let states = [UndoState::Waiting, UndoState::Going, UndoState::Done, UndoState::Ended];
    let progress = (any::<u32>(), prop::sample::select(states.to_vec()), any::<u64>(), any::<[u64; 3]>()).prop_map(
        |(request, state, undo, mut counts)| {
            counts.sort_unstable();
            let [stayed, looked_at, of] = counts;
            ServerMessage::UndoProgress(UndoProgress { request, state, undo, looked_at, of, stayed })
        },
    );
    let refused = (any::<u32>(), 1u16..=7, "\\PC{0,200}").prop_map(|(request, code, text)| {
        ServerMessage::UndoRefused(UndoRefused { request, code: UndoRefusal::from_number(code).unwrap(), text })
    });
    prop_oneof![plan, ghost, progress, refused]
}

fn path_request() -> impl Strategy<Value = ClientMessage> {
    (any::<[u32; 2]>(), any::<bool>(), "[a-z_]{1,32}", any::<[[i32; 3]; 2]>()).prop_map(
        |([request, around], only, mode, [from, to])| {
            let wanted = if only { Wanted::Reachable } else { Wanted::Way };
            ClientMessage::Path(PathRequest { request, wanted, around, mode, from, to })
        },
    )
}

fn field_request() -> impl Strategy<Value = ClientMessage> {
    (any::<u32>(), "[a-z_]{1,32}", vec(any::<[i32; 3]>(), 1..=16), any::<[[i32; 3]; 2]>()).prop_map(
        |(request, mode, goals, [first, end])| ClientMessage::Field(FieldRequest { request, mode, goals, first, end }),
    )
}

fn crowd_request() -> impl Strategy<Value = ClientMessage> {
    let boxes = any::<[[[i32; 3]; 2]; 2]>();
    (1u64.., "[a-z_]{1,32}", vec(any::<[i32; 3]>(), 1..=16), boxes, 1u32..=131_072, 1u16..).prop_map(
        |(sequence, mode, goals, [within, from], agents, speed)| {
            ClientMessage::Crowd(CrowdRequest { sequence, mode, goals, within, from, agents, speed })
        },
    )
}

fn voxel() -> impl Strategy<Value = VoxelPos> {
    (any::<[i16; 2]>(), -2_048i32..2_048)
        .prop_map(|([x, z], y)| VoxelPos::new(i32::from(x) << 15, y, i32::from(z) << 15).unwrap())
}

fn agents_part() -> impl Strategy<Value = AgentsPart> {
    (chunk_pos(), any::<u32>()).prop_map(|(pos, handle)| AgentsPart { column: pos.column(), handle })
}

fn agent_places() -> impl Strategy<Value = Vec<([i32; 3], u32, Option<u8>)>> {
    let place = (0i32..128, -2_048i32..2_048, 0i32..128);
    vec((place, 1u32..9, prop::option::of(0u8..26)), 0..40)
        .prop_map(|list| list.into_iter().map(|((x, y, z), gap, exit)| ([x, y, z], gap, exit)).collect())
}

fn placed(part: AgentsPart, list: Vec<([i32; 3], u32, Option<u8>)>) -> Vec<AgentPlace> {
    let mut number = 0;
    let place = |([x, y, z], gap, exit): ([i32; 3], u32, Option<u8>)| {
        number += gap;
        let at = VoxelPos::new(part.column.x() * 128 + x, y, part.column.z() * 128 + z).unwrap();
        AgentPlace { number, at, exit }
    };
    list.into_iter().map(place).collect()
}

fn crowds() -> impl Strategy<Value = ServerMessage> {
    let crowd = (any::<(u32, u64)>(), "[a-z_]{1,32}", 1u16.., vec(voxel(), 1..=256)).prop_map(
        |((handle, sequence), mode, speed, goals)| {
            let within = VoxelBox::new([-5, -2_048, 9], [1 << 30, 2_048, 10]).unwrap();
            ServerMessage::Crowd(CrowdInfo { handle, sequence, mode, speed, goals, within })
        },
    );
    let agents = (agents_part(), any::<u64>(), agent_places())
        .prop_map(|(part, tick, list)| ServerMessage::Agents(Agents { part, tick, agents: placed(part, list) }));
    let steps = vec((1u32..9, prop::option::of(0u8..26)), 0..40);
    let moves =
        (agents_part(), 0u64..1 << 60, 1u64..99, steps, agent_places()).prop_map(|(part, from, ticks, steps, list)| {
            let mut number = 0;
            let step = |(gap, exit)| {
                number += gap;
                AgentStep { number, exit }
            };
            let steps = steps.into_iter().map(step).collect();
            let entered = placed(part, list);
            ServerMessage::AgentMoves(AgentMoves { part, from, tick: from + ticks, steps, entered })
        });
    prop_oneof![crowd, agents, moves, any::<u32>().prop_map(|handle| ServerMessage::CrowdEnd { handle })]
}

fn runs() -> impl Strategy<Value = Vec<NewRun>> {
    vec((1u16..300, 1u16..300, any::<u16>()), 0..50).prop_map(|parts| {
        let mut next = 0;
        parts
            .into_iter()
            .map(|(gap, length, block)| {
                let first = LocalIndex::new(next + gap).unwrap();
                next += gap + length;
                NewRun { first, length, block: BlockId(block) }
            })
            .collect()
    })
}

fn welcome() -> impl Strategy<Value = ServerMessage> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<bool>());
    (ids, any::<[u64; 2]>(), any::<[u32; 2]>(), 0u32..65_536, -2048i32..2048).prop_map(
        |((session, world, resumed), [tick, acknowledged], [epoch, tick_us], blocks, y)| {
            ServerMessage::Welcome(Welcome {
                version: 2,
                resumed,
                epoch,
                session: SessionId(session),
                world,
                tick,
                acknowledged,
                tick_us,
                blocks,
                spawn: VoxelPos::new(-(1 << 30), y, (1 << 30) - 1).unwrap(),
                identity: tick.rotate_left(9),
            })
        },
    )
}

fn registry() -> impl Strategy<Value = ServerMessage> {
    let block = ("[a-z_]{1,20}", any::<[bool; 4]>(), any::<[u8; 3]>(), 0u8..16).prop_map(
        |(name, [solid, opaque, liquid, pickable], colour, light)| BlockInfo {
            name: name.as_str().into(),
            solid,
            opaque,
            liquid,
            pickable,
            colour,
            light,
        },
    );
    (0u16..60_000, vec(block, 0..20)).prop_map(|(first, blocks)| ServerMessage::Registry { first, blocks })
}

fn acknowledge() -> impl Strategy<Value = ServerMessage> {
    (1_000u64.., any::<u64>(), vec((1u64..1_000, 1u16..14), 0..20)).prop_map(|(sequence, tick, refusals)| {
        let refusals = refusals
            .into_iter()
            .map(|(sequence, reason)| RefusedInput { sequence, reason: Reason::from_number(reason).unwrap() })
            .collect();
        ServerMessage::Acknowledge { sequence, tick, refusals }
    })
}

fn body() -> impl Strategy<Value = ServerMessage> {
    let runs = vec((0u16..100, 0u16..64, 0u16..40, 1u8..24, any::<u16>()), 1..60);
    (any::<[u32; 2]>(), 1u16..=64, runs).prop_map(|([handle, tick], parts, runs)| {
        let places: BTreeMap<[u16; 3], (u8, u16)> =
            runs.into_iter().map(|(y, z, x, length, block)| ([y, z, x / 30 * 30], (length, block))).collect();
        let run = |([y, z, x], (length, block)): ([u16; 3], (u8, u16))| BodyRun {
            first: [x, y, z],
            length,
            block: BlockId(block),
        };
        let runs: Vec<BodyRun> = places.into_iter().map(run).collect();
        ServerMessage::Body(BodyPart {
            handle,
            id: BodyId { tick: tick.into(), origin: VoxelPos::new(1, -2, 3).unwrap() },
            corner: VoxelPos::new(-7, 5, 1_000).unwrap(),
            part: parts - 1,
            parts,
            voxels: 262_144,
            runs,
        })
    })
}

fn body_moves() -> impl Strategy<Value = ServerMessage> {
    let to = (any::<u32>(), 0u32..1 << 20, 0u16..=1_024, 0usize..3).prop_map(|(handle, fallen, velocity, phase)| {
        let phase = [Phase::Falling, Phase::Landing, Phase::Shattering][phase];
        BodyMove { handle, fallen, velocity, phase }
    });
    (any::<u64>(), vec(to, 1..30)).prop_map(|(tick, moves)| ServerMessage::BodyMoves { tick, moves })
}

fn overlay_data() -> impl Strategy<Value = ServerMessage> {
    let kinds = prop_oneof![Just(0u32), Just(1), Just(2), Just(16), Just(17), Just(256)];
    let of = prop::sample::select(&OverlayKind::ALL[..]);
    (chunk_pos(), of, version(), kinds, 1u32..20).prop_map(|(pos, kind, version, kinds, run)| {
        ServerMessage::OverlayData { pos, kind, version, values: overlay_values(kinds, run) }
    })
}

/// Bytes of `kinds` values, in runs of `run`; none for 0.
pub fn overlay_values(kinds: u32, run: u32) -> Option<Box<[u8; 32_768]>> {
    let value = |index: u32| ((index / run).wrapping_mul(2_654_435_761) >> 9) % kinds * 255 / kinds.max(2);
    (kinds > 0).then(|| (0..32_768).map(|index| value(index) as u8).collect::<Vec<_>>().try_into().unwrap())
}

fn modes() -> impl Strategy<Value = ServerMessage> {
    let body = (1u8..=8, 1u8..=4, 0u8..=4, 0u8..=14);
    let mode = ("[a-z0-9_-]{1,32}", 0usize..4, any::<[bool; 3]>(), body).prop_map(
        |(name, medium, [diagonal, swim, climb], (height, width, step_up, drop))| {
            let medium = [Medium::Walk, Medium::Fly, Medium::Swim, Medium::Dig][medium];
            Mode { name, medium, diagonal, height, width, step_up, drop, swim, climb }
        },
    );
    vec(mode, 0..10).prop_map(|modes| ServerMessage::Modes { modes })
}

fn path_part() -> impl Strategy<Value = ServerMessage> {
    (any::<(u32, u16, bool)>(), 0usize..4, any::<[u64; 3]>(), vec(voxel(), 0..60)).prop_map(
        |((request, part, last), end, [cost, searched, tick], waypoints)| {
            let end = [End::Goal, End::Border, End::Unreachable, End::TooFar][end];
            ServerMessage::PathAnswer(PathPart { request, part, last, end, cost, searched, tick, waypoints })
        },
    )
}

/// A chunk of a field: moves of `kinds` numbers in runs of `run`, and costs that spread over `spread` from `base` on.
pub fn field_chunk(kinds: u32, run: u32, base: u32, spread: u32) -> FieldChunk {
    let number = |index: u32| match ((index / run).wrapping_mul(2_654_435_761) >> 9) % kinds {
        move_number @ 0..26 => move_number as u8,
        other => 252 + (other % 4) as u8,
    };
    let moves: Vec<u8> = (0..32_768).map(number).collect();
    let count = moves.iter().filter(|number| **number < 26).count() as u32;
    let more = |n: u32| if n + 1 == count { spread } else { n.wrapping_mul(2_654_435_761) % (spread + 1) };
    let costs = (0..count).map(|n| base + more(n)).collect();
    let pos = ChunkPos::new(-4, 2, 77).unwrap();
    FieldChunk { request: 9, pos, tick: 1 << 60, moves: moves.try_into().unwrap(), costs }
}

fn a_field_chunk() -> impl Strategy<Value = ServerMessage> {
    let spread = prop_oneof![Just(0u32), Just(255), Just(256), Just(65_535), Just(65_536), Just(1 << 30)];
    let of = (1u32..31, 1u32..5_000, 0u32..1 << 31, spread);
    (any::<u32>(), chunk_pos(), any::<u64>(), of).prop_map(|(request, pos, tick, (kinds, run, base, spread))| {
        ServerMessage::FieldChunk(FieldChunk { request, pos, tick, ..field_chunk(kinds, run, base, spread) })
    })
}

fn paths() -> impl Strategy<Value = ServerMessage> {
    let state = (any::<[u32; 2]>(), any::<bool>(), any::<u64>()).prop_map(|([request, chunks], current, tick)| {
        ServerMessage::FieldState(FieldState { request, current, tick, chunks })
    });
    let refused = (any::<u32>(), 1u16..=11, "\\PC{0,200}").prop_map(|(request, code, text)| {
        ServerMessage::PathRefused(PathRefused { request, code: PathRefusal::from_number(code).unwrap(), text })
    });
    prop_oneof![modes(), path_part(), a_field_chunk(), state, refused]
}

pub fn server_message() -> impl Strategy<Value = ServerMessage> {
    let kinds = prop_oneof![Just(1u32), Just(2), Just(16), Just(17), Just(256), Just(257), Just(4_000)];
    let snapshot = (chunk_pos(), any::<u32>(), version(), kinds, any::<u32>()).prop_map(
        |(pos, subscription, version, kinds, seed)| {
            let chunk = Arc::new(varied_chunk(kinds, seed));
            ServerMessage::Snapshot { pos, subscription, version, chunk }
        },
    );
    let change =
        (chunk_pos(), version(), version(), runs()).prop_map(|(pos, from, to, runs)| Change { pos, from, to, runs });
    let delta =
        (any::<u64>(), vec(change, 0..8)).prop_map(|(tick, chunks)| ServerMessage::Delta(Changes { tick, chunks }));
    let same = (any::<u32>(), vec(chunk_pos(), 0..40))
        .prop_map(|(subscription, chunks)| ServerMessage::Same { subscription, chunks });
    let refused = (1u16..13, "\\PC{0,200}").prop_map(|(code, text)| {
        ServerMessage::Refused(Refused { code: RefusedCode::from_number(code).unwrap(), text })
    });
    prop_oneof![
        welcome(),
        registry(),
        snapshot,
        delta,
        same,
        acknowledge(),
        refused,
        (chunk_pos(), any::<u32>()).prop_map(|(pos, subscription)| ServerMessage::Forget { pos, subscription }),
        any::<[u64; 2]>().prop_map(|[number, tick]| ServerMessage::Pong { number, tick }),
        any::<u32>().prop_map(|subscription| ServerMessage::CaughtUp { subscription }),
        body(),
        body_moves(),
        vec(any::<u32>(), 1..30).prop_map(|handles| ServerMessage::BodyEnds { handles }),
        overlay_data(),
        paths(),
        crowds(),
        undos(),
    ]
}

/// A client that checks every promise of the stream while it follows it.
pub struct Client {
    reader: FrameReader,
    pub chunks: BTreeMap<ChunkPos, (Version, Chunk)>,
    /// Chunks from before, which the client has said it holds.
    pub kept: BTreeMap<ChunkPos, (Version, Chunk)>,
    pub caught_up: Vec<u32>,
    pub acknowledged: u64,
    pub refusals: Vec<RefusedInput>,
    pub pongs: Vec<u64>,
    pub blocks: Vec<BlockInfo>,
    pub refused: Option<Refused>,
    pub snapshots_since_caught_up: BTreeSet<ChunkPos>,
    pub kinds: Vec<terrane_protocol::Kind>,
    /// Bodies by handle: the voxels that have come of those there are, and the newest move.
    pub bodies: BTreeMap<u32, FallingBody>,
    pub overlays: BTreeMap<(ChunkPos, OverlayKind), (Version, u8)>,
    /// Requests that have ended, in order.
    pub requests_ended: Vec<u32>,
    pub crowds: BTreeMap<u32, CrowdInfo>,
    /// Where agents are, by their numbers, and after which tick.
    pub agents: BTreeMap<AgentsPart, (u64, BTreeMap<u32, VoxelPos>)>,
}

/// A body as the client holds it.
#[derive(Default)]
pub struct FallingBody {
    pub voxels: usize,
    pub of: u32,
    pub parts: u16,
    pub moved: Option<(u64, BodyMove)>,
}

impl Client {
    pub fn new() -> Self {
        Self {
            reader: FrameReader::new(Towards::Client),
            chunks: BTreeMap::new(),
            kept: BTreeMap::new(),
            caught_up: Vec::new(),
            acknowledged: 0,
            refusals: Vec::new(),
            pongs: Vec::new(),
            blocks: Vec::new(),
            refused: None,
            snapshots_since_caught_up: BTreeSet::new(),
            kinds: Vec::new(),
            bodies: BTreeMap::new(),
            overlays: BTreeMap::new(),
            requests_ended: Vec::new(),
            crowds: BTreeMap::new(),
            agents: BTreeMap::new(),
        }
    }

    /// Takes bytes in pieces of `piece` and calls `seen` after each message.
    pub fn receive(&mut self, bytes: &[u8], piece: usize, mut seen: impl FnMut(&Self, &ServerMessage)) {
        for mut part in bytes.chunks(piece.max(1)) {
            loop {
                let message = match self.reader.next(&mut part).unwrap() {
                    None => break,
                    Some(frame) => ServerMessage::decode(frame.kind, frame.payload).unwrap(),
                };
                self.apply(&message);
                seen(self, &message);
            }
        }
    }

    fn apply(&mut self, message: &ServerMessage) {
        assert!(self.refused.is_none(), "nothing comes behind Refused");
        self.kinds.push(message.kind());
        match message {
            ServerMessage::Welcome(_) => assert_eq!(self.kinds.len(), 1),
            ServerMessage::Registry { first, blocks } => {
                assert_eq!(usize::from(*first), self.blocks.len());
                self.blocks.extend(blocks.iter().cloned());
            }
            ServerMessage::Snapshot { pos, version, chunk, .. } => {
                let before = self.chunks.insert(*pos, (*version, (**chunk).clone()));
                assert!(before.is_none_or(|(before, _)| before <= *version), "a version went back");
                self.snapshots_since_caught_up.insert(*pos);
            }
            ServerMessage::Delta(changes) => changes.chunks.iter().for_each(|change| self.change(change)),
            ServerMessage::Same { chunks, .. } => chunks.iter().for_each(|pos| {
                let kept = self.kept.get(pos).expect("only what the client said it holds is the same");
                self.chunks.insert(*pos, kept.clone());
            }),
            ServerMessage::Forget { pos, .. } => {
                self.chunks.remove(pos).expect("what is forgotten was held");
                self.overlays.retain(|(held, _), _| held != pos);
            }
            ServerMessage::Body(part) => {
                let body = self.bodies.entry(part.handle).or_default();
                assert_eq!(body.parts, part.part, "parts come in order, once");
                body.parts += 1;
                body.of = part.voxels;
                body.voxels += part.runs.iter().map(|run| usize::from(run.length)).sum::<usize>();
                assert!(body.parts < part.parts || body.voxels == part.voxels as usize, "the parts make the body");
            }
            ServerMessage::BodyMoves { tick, moves } => {
                for to in moves {
                    // A body that ended before it was sent may have left its moves in the queue.
                    let Some(body) = self.bodies.get_mut(&to.handle) else { continue };
                    assert!(body.moved.is_none_or(|(last, _)| last <= *tick), "a body went back in time");
                    body.moved = Some((*tick, *to));
                }
            }
            ServerMessage::BodyEnds { handles } => handles.iter().for_each(|handle| {
                self.bodies.remove(handle).expect("only what is known ends");
            }),
            ServerMessage::OverlayData { pos, kind, version, values } => {
                assert!(self.chunks.contains_key(pos), "overlays are for chunks that are held");
                let value = values.as_ref().map_or(0, |values| values[0]);
                let before = self.overlays.insert((*pos, *kind), (*version, value));
                assert!(before.is_none_or(|(before, _)| before <= *version), "a version went back");
            }
            ServerMessage::Acknowledge { sequence, refusals, .. } => {
                assert!(*sequence >= self.acknowledged);
                self.acknowledged = *sequence;
                self.refusals.extend(refusals);
            }
            ServerMessage::Pong { number, .. } => self.pongs.push(*number),
            ServerMessage::CaughtUp { subscription } => self.caught_up.push(*subscription),
            ServerMessage::PathAnswer(part) => self.requests_ended.extend(part.last.then_some(part.request)),
            ServerMessage::PathRefused(refused) => self.requests_ended.push(refused.request),
            ServerMessage::Modes { .. } | ServerMessage::FieldChunk(_) | ServerMessage::FieldState(_) => {}
            ServerMessage::Crowd(crowd) => {
                assert!(self.crowds.insert(crowd.handle, crowd.clone()).is_none(), "a crowd is told once");
            }
            ServerMessage::Agents(agents) => self.place_agents(agents),
            ServerMessage::AgentMoves(moves) => self.move_agents(moves),
            ServerMessage::CrowdEnd { handle } => {
                self.crowds.remove(handle).expect("only what is known ends");
                self.agents.retain(|part, _| part.handle != *handle);
            }
            ServerMessage::UndoPlan(_) | ServerMessage::UndoGhost(_) => {}
            ServerMessage::UndoProgress(_) | ServerMessage::UndoRefused(_) => {}
            ServerMessage::Refused(refused) => self.refused = Some(refused.clone()),
        }
    }

    /// A change of a chunk that is held, or was kept from before.
    fn change(&mut self, change: &Change) {
        let kept = || self.kept.get(&change.pos).cloned().expect("changes are of chunks that are held");
        let (version, chunk) = self.chunks.entry(change.pos).or_insert_with(kept);
        assert_eq!(*version, change.from, "a gap");
        change.apply(chunk);
        *version = change.to;
    }

    fn place_agents(&mut self, Agents { part, tick, agents }: &Agents) {
        assert!(self.crowds.contains_key(&part.handle), "a crowd is told before its agents");
        let places: BTreeMap<u32, VoxelPos> = agents.iter().map(|agent| (agent.number, agent.at)).collect();
        let before = match places.is_empty() {
            true => self.agents.remove(part),
            false => self.agents.insert(*part, (*tick, places)),
        };
        assert!(before.is_none_or(|(before, _)| before <= *tick), "agents went back in time");
    }

    fn move_agents(&mut self, AgentMoves { part, from, tick, steps, entered }: &AgentMoves) {
        let (told, places) = self.agents.get_mut(part).expect("moves are of agents that are held");
        assert_eq!(told, from, "a gap");
        *told = *tick;
        for AgentStep { number, exit } in steps {
            let at = places.remove(number).expect("who moves is held");
            let Some(exit) = exit else { continue };
            let to: [i32; 3] = std::array::from_fn(|axis| at.to_array()[axis] + EXITS[usize::from(*exit)][axis]);
            let to = VoxelPos::try_from(to).unwrap();
            assert_eq!(to.chunk().column(), part.column, "a step stays in the column");
            places.insert(*number, to);
        }
        places.extend(entered.iter().map(|agent| (agent.number, agent.at)));
    }
}
