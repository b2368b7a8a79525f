//! Bodies on their way down: their voxels in frames, how they move, and who is told.

use crate::error::ProtocolError;
use crate::frame::{Kind, write_frame};
use crate::interest::Shape;
use crate::limits::{BODIES_FOLLOWED_MAX, BODY_PARTS_MAX, BODY_RUNS_MAX};
use crate::message::{Payload, ServerMessage, put};
use crate::wire;
use std::sync::Arc;
use terrane_world::block::BlockId;
use terrane_world::limits::{BODY_VOXELS_MAX, BODY_WIDTH_MAX, CHUNK_EDGE, HORIZONTAL_BOUND, VERTICAL_BOUND};
use terrane_world::physics::body::{GRAVITY, VELOCITY_MAX};
use terrane_world::physics::state::{self, BodyId, BodyVoxel, Phase};
use terrane_world::space::VoxelPos;

/// Voxels of one block beside each other along x, in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRun {
    /// x, y, z of the first, from the body's corner.
    pub first: [u16; 3],
    /// How many.
    pub length: u8,
    /// What they are.
    pub block: BlockId,
}

/// A body, or a part of it if its runs don't fit one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyPart {
    /// What it is called in BodyMoves and BodyEnds.
    pub handle: u32,
    /// Its name in the world: when it left the grid, and its lowest voxel there.
    pub id: BodyId,
    /// The least x, y, z of its voxels where it began to fall, at rest.
    pub corner: VoxelPos,
    /// Number of this part, from 0.
    pub part: u16,
    /// Number of parts.
    pub parts: u16,
    /// Voxels in all parts.
    pub voxels: u32,
    /// Its runs in order of y, z, x.
    pub runs: Vec<BodyRun>,
}

/// Where a body is, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyMove {
    /// Which.
    pub handle: u32,
    /// How far below its beginning, in 1/256 voxel.
    pub fallen: u32,
    /// In 1/256 voxel a tick.
    pub velocity: u16,
    /// What it is about to do.
    pub phase: Phase,
}

impl BodyMove {
    /// Of a body as the world has it.
    pub fn new(handle: u32, body: &state::Body) -> Self {
        Self { handle, fallen: body.fallen, velocity: body.velocity.min(VELOCITY_MAX) as u16, phase: body.phase }
    }

    /// A tick later, if nothing is in its way. A client does the same between two messages.
    #[must_use]
    pub fn fallen_on(self) -> Self {
        if self.phase != Phase::Falling {
            return self;
        }
        let velocity = (u32::from(self.velocity) + GRAVITY).min(VELOCITY_MAX);
        Self { fallen: self.fallen + velocity, velocity: velocity as u16, ..self }
    }
}

/// The Body frames of one body, made once and shared by every stream that sends them.
#[derive(Debug)]
pub struct BodyFrames {
    /// What it is called.
    pub handle: u32,
    /// Chunks that it can touch, first and last: those of its voxels and everything below.
    span: [[i32; 3]; 2],
    /// Frame by frame.
    pub parts: Vec<Arc<[u8]>>,
}

impl BodyFrames {
    /// The frames of a body.
    pub fn new(handle: u32, id: BodyId, shape: &state::Shape) -> Self {
        let voxels = shape.voxels();
        let ends = |end: fn(i32, i32) -> i32| {
            let first = voxels[0].pos.to_array();
            voxels.iter().fold(first, |ends, v| std::array::from_fn(|axis| end(ends[axis], v.pos.to_array()[axis])))
        };
        let (least, most) = (ends(i32::min), ends(i32::max));
        let corner = VoxelPos::try_from(least).expect("each part of it is that of a voxel in the world");
        let runs = runs(voxels, least);
        let count = runs.len().div_ceil(BODY_RUNS_MAX) as u16;
        let part = |(index, runs): (usize, &[BodyRun])| {
            let (part, voxels, runs) = (index as u16, voxels.len() as u32, runs.to_vec());
            let mut bytes = Vec::new();
            ServerMessage::Body(BodyPart { handle, id, corner, part, parts: count, voxels, runs }).encode(&mut bytes);
            bytes.into()
        };
        let chunk = |at: [i32; 3]| at.map(|part| part.div_euclid(CHUNK_EDGE as i32));
        let mut low = chunk(least);
        low[1] = -VERTICAL_BOUND / CHUNK_EDGE as i32;
        Self { handle, span: [low, chunk(most)], parts: runs.chunks(BODY_RUNS_MAX).enumerate().map(part).collect() }
    }

    /// Whether it is, or may come, where a subscription looks.
    pub fn meets(&self, shape: Shape) -> bool {
        shape.meets(self.span[0], self.span[1])
    }
}

fn runs(voxels: &[BodyVoxel], corner: [i32; 3]) -> Vec<BodyRun> {
    let mut ordered: Vec<([i32; 3], BlockId)> = voxels.iter().map(|v| (v.pos.to_array(), v.block)).collect();
    ordered.sort_unstable_by_key(|([x, y, z], _)| (*y, *z, *x));
    let mut runs: Vec<BodyRun> = Vec::new();
    for (pos, block) in ordered {
        let first: [u16; 3] = std::array::from_fn(|axis| (pos[axis] - corner[axis]) as u16);
        match runs.last_mut() {
            Some(last)
                if last.block == block
                    && last.first[1..] == first[1..]
                    && last.first[0] + u16::from(last.length) == first[0] =>
            {
                last.length += 1;
            }
            _ => runs.push(BodyRun { first, length: 1, block }),
        }
    }
    runs
}

pub(crate) fn put_body(body: &BodyPart, out: &mut Vec<u8>) {
    assert!(body.runs.len() <= BODY_RUNS_MAX, "a part of a body with {} runs", body.runs.len());
    put(
        out,
        &wire::BodyHead {
            handle: body.handle.into(),
            tick: body.id.tick.into(),
            origin: body.id.origin.into(),
            corner: body.corner.into(),
            part: body.part.into(),
            parts: body.parts.into(),
            voxels: body.voxels.into(),
            runs: (body.runs.len() as u32).into(),
        },
    );
    for run in &body.runs {
        let [x, y, z] = run.first;
        let (y, z, x, block) = (y.into(), z as u8, x as u8, run.block.0.into());
        put(out, &wire::BodyRunEntry { y, z, x, length: run.length, zero: 0, block });
    }
}

pub(crate) fn read_body(payload: &mut Payload<'_>) -> Result<BodyPart, ProtocolError> {
    let head: &wire::BodyHead = payload.read("the head")?;
    let id = BodyId { tick: head.tick.get(), origin: payload.voxel(head.origin)? };
    let corner = payload.voxel(head.corner)?;
    let parts = payload.within(head.parts.get(), 1, BODY_PARTS_MAX as u16, "number of parts")?;
    let part = payload.within(head.part.get(), 0, parts - 1, "number of a part")?;
    let voxels = payload.within(head.voxels.get(), 1, BODY_VOXELS_MAX as u32, "number of voxels")?;
    let count = payload.within(head.runs.get(), 1, BODY_RUNS_MAX as u32, "number of runs")?;
    let list: &[wire::BodyRunEntry] = payload.list(count as usize, "the list of runs")?;
    let edge = BODY_WIDTH_MAX - 1;
    let (edge_x, edge_z) = (edge.min(HORIZONTAL_BOUND - 1 - corner.x()), edge.min(HORIZONTAL_BOUND - 1 - corner.z()));
    let mut runs = Vec::with_capacity(list.len());
    let (mut next, mut sum) = (0i64, 0i64);
    for run in list {
        payload.zero(&run.zero, "the field behind a run's length")?;
        let y = payload.within(run.y.get(), 0, VERTICAL_BOUND - 1 - corner.y(), "y of a run")?;
        let z = payload.within(run.z, 0, edge_z, "z of a run")?;
        let x = payload.within(run.x, 0, edge_x, "x of a run")?;
        let length = payload.within(run.length, 1, edge_x + 1 - i32::from(x), "length of a run")?;
        let place = (i64::from(y) * 64 + i64::from(z)) * 64 + i64::from(x);
        payload.within(place, next, i64::MAX, "place of a run")?;
        (next, sum) = (place + i64::from(length), sum + i64::from(length));
        runs.push(BodyRun { first: [x.into(), y, z.into()], length, block: BlockId(run.block.get()) });
    }
    payload.within(sum, 1, voxels, "voxels in this part")?;
    Ok(BodyPart { handle: head.handle.get(), id, corner, part, parts, voxels, runs })
}

const fn phase_number(phase: Phase) -> u8 {
    match phase {
        Phase::Falling => 0,
        Phase::Landing => 1,
        Phase::Shattering => 2,
    }
}

/// Bytes of the BodyMoves frame of so many bodies.
pub(crate) const fn moves_frame_bytes(count: usize) -> usize {
    crate::limits::HEADER_BYTES + size_of::<wire::BodyMovesHead>() + count * size_of::<wire::BodyMoveEntry>()
}

/// Bytes of the BodyEnds frame of so many bodies.
pub(crate) const fn ends_frame_bytes(count: usize) -> usize {
    crate::limits::HEADER_BYTES + size_of::<wire::BodyEndsHead>() + count * size_of::<wire::U32>()
}

/// Appends the BodyMoves frame of bodies as they were after `tick`.
pub(crate) fn encode_moves(tick: u64, moves: &[BodyMove], out: &mut Vec<u8>) {
    assert!((1..=BODIES_FOLLOWED_MAX).contains(&moves.len()), "moves of {} bodies", moves.len());
    write_frame(Kind::BodyMoves, out, |out| {
        put(out, &wire::BodyMovesHead { tick: tick.into(), count: (moves.len() as u32).into(), zero: 0.into() });
        for BodyMove { handle, fallen, velocity, phase } in moves {
            let (handle, fallen, velocity) = ((*handle).into(), (*fallen).into(), (*velocity).into());
            put(out, &wire::BodyMoveEntry { handle, fallen, velocity, phase: phase_number(*phase), zero: 0 });
        }
    });
}

pub(crate) fn read_moves(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::BodyMovesHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 12")?;
    let count = payload.within(head.count.get(), 1, BODIES_FOLLOWED_MAX as u32, "number of bodies")?;
    let list: &[wire::BodyMoveEntry] = payload.list(count as usize, "the list of bodies")?;
    let mut moves = Vec::with_capacity(list.len());
    for entry in list {
        payload.zero(&entry.zero, "the field behind a phase")?;
        let phase = match payload.within(entry.phase, 0, 2, "phase of a body")? {
            0 => Phase::Falling,
            1 => Phase::Landing,
            _ => Phase::Shattering,
        };
        let fallen =
            payload.within(entry.fallen.get(), 0, (2 * VERTICAL_BOUND as u32) << 8, "how far a body has fallen")?;
        let velocity = payload.within(entry.velocity.get(), 0, VELOCITY_MAX, "velocity of a body")?;
        moves.push(BodyMove { handle: entry.handle.get(), fallen, velocity, phase });
    }
    Ok(ServerMessage::BodyMoves { tick: head.tick.get(), moves })
}

/// Appends the BodyEnds frame of bodies.
pub(crate) fn encode_ends(handles: &[u32], out: &mut Vec<u8>) {
    assert!((1..=BODIES_FOLLOWED_MAX).contains(&handles.len()), "ends of {} bodies", handles.len());
    write_frame(Kind::BodyEnds, out, |out| {
        put(out, &wire::BodyEndsHead { count: (handles.len() as u32).into(), zero: 0.into() });
        handles.iter().for_each(|handle| put(out, &wire::U32::from(*handle)));
    });
}

pub(crate) fn read_ends(payload: &mut Payload<'_>) -> Result<ServerMessage, ProtocolError> {
    let head: &wire::BodyEndsHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 4")?;
    let count = payload.within(head.count.get(), 1, BODIES_FOLLOWED_MAX as u32, "number of bodies")?;
    let list: &[wire::U32] = payload.list(count as usize, "the list of bodies")?;
    Ok(ServerMessage::BodyEnds { handles: list.iter().map(|handle| handle.get()).collect() })
}
