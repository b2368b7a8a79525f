//! Fields of paths as they travel: a chunk at a time, a move and a cost for each voxel.

use crate::error::ProtocolError;
use crate::message::{Payload, put};
use crate::overlay::{Values, read_values, smallest};
use crate::wire;
use terrane_world::path::flow;
use terrane_world::relax::EXITS;
use terrane_world::space::ChunkPos;

/// What a field says of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChunk {
    /// The request that it answers.
    pub request: u32,
    /// Which chunk.
    pub pos: ChunkPos,
    /// It is true after this tick.
    pub tick: u64,
    /// For each voxel the number of its move in `EXITS`, or one of the four numbers in [`flow`].
    pub moves: Box<Values>,
    /// What the way costs from each voxel that has a move, in local-index order.
    pub costs: Vec<u32>,
}

/// How a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldState {
    /// The request that it is about.
    pub request: u32,
    /// Whether the chunks that the client has are what the world allows, all of them.
    pub current: bool,
    /// The tick since when it is stale, or after which it is current.
    pub tick: u64,
    /// Chunks of the field.
    pub chunks: u32,
}

/// Whether a number in the moves is a move, with a cost.
pub const fn is_move(number: u8) -> bool {
    (number as usize) < EXITS.len()
}

/// Bytes that hold every number up to this one.
const fn width(most: u32) -> u8 {
    match most {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

/// The least cost, and the bytes that hold how much more the others are.
fn packing(costs: &[u32]) -> (u32, u8) {
    let base = costs.iter().copied().min().unwrap_or(0);
    let most = costs.iter().copied().max().unwrap_or(0);
    (base, width(most - base))
}

pub(crate) fn put_chunk(chunk: &FieldChunk, out: &mut Vec<u8>) {
    let moving = chunk.moves.iter().filter(|number| is_move(**number)).count();
    assert!(moving == chunk.costs.len(), "{} costs of {moving} voxels", chunk.costs.len());
    let (smallest, (base, cost_bytes)) = (smallest(&chunk.moves), packing(&chunk.costs));
    put(
        out,
        &wire::FieldChunkHead {
            request: chunk.request.into(),
            pos: chunk.pos.into(),
            tick: chunk.tick.into(),
            form: smallest.form() as u8,
            cost_bytes,
            zero: 0.into(),
            count: smallest.count().into(),
            base: base.into(),
            zero_2: 0.into(),
        },
    );
    smallest.put(&chunk.moves, out);
    for cost in &chunk.costs {
        out.extend_from_slice(&(cost - base).to_le_bytes()[..usize::from(cost_bytes)]);
    }
}

pub(crate) fn read_chunk(payload: &mut Payload<'_>) -> Result<FieldChunk, ProtocolError> {
    let head: &wire::FieldChunkHead = payload.read("the head")?;
    payload.zero(&head.zero, "the field at offset 26")?;
    payload.zero(&head.zero_2, "the field at offset 36")?;
    let pos = payload.chunk(head.pos)?;
    let moves = read_values(payload, head.form.into(), head.count.get())?;
    for number in moves.iter().filter(|number| !is_move(**number)) {
        payload.within(*number, flow::GOAL, u8::MAX, "move of a voxel (none of the 26)")?;
    }
    let moving = moves.iter().filter(|number| is_move(**number)).count();
    let (base, bytes) = (head.base.get(), usize::from(payload.within(head.cost_bytes, 0, 4, "bytes of a cost")?));
    let packed = payload.bytes(moving * bytes, "the costs")?;
    let mut costs = vec![base; moving];
    if bytes > 0 {
        for (cost, packed) in costs.iter_mut().zip(packed.chunks_exact(bytes)) {
            let mut more = [0; 4];
            more[..bytes].copy_from_slice(packed);
            let more = payload.within(u32::from_le_bytes(more), 0, u32::MAX - base, "cost beyond the least")?;
            *cost = base + more;
        }
    }
    let (least, fewest) = packing(&costs);
    payload.within(base, least, least, "least cost")?;
    payload.within(head.cost_bytes, fewest, fewest, "bytes of a cost (the fewest)")?;
    Ok(FieldChunk { request: head.request.get(), pos, tick: head.tick.get(), moves, costs })
}

pub(crate) fn put_state(state: FieldState, out: &mut Vec<u8>) {
    put(
        out,
        &wire::FieldStateBody {
            request: state.request.into(),
            state: state.current.into(),
            zero: [0; 3],
            tick: state.tick.into(),
            chunks: state.chunks.into(),
            zero_2: 0.into(),
        },
    );
}

pub(crate) fn read_state(payload: &mut Payload<'_>) -> Result<FieldState, ProtocolError> {
    let body: &wire::FieldStateBody = payload.read("the body")?;
    payload.zero(&body.zero, "the field at offset 5")?;
    payload.zero(&body.zero_2, "the field at offset 20")?;
    let current = payload.within(body.state, 0, 1, "state")? == 1;
    let (tick, chunks) = (body.tick.get(), body.chunks.get());
    Ok(FieldState { request: body.request.get(), current, tick, chunks })
}
