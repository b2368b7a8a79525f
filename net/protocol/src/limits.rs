//! Every maximum of the protocol with the reason, related to each other and to the world's at compile time.

use crate::wire::{
    AgentEntry, AgentMovesHead, AgentsHead, BodyHead, BodyMoveEntry, BodyMovesHead, BodyRunEntry, CrowdHead,
    CrowdRequestHead, EditHead, EditVoxel, FieldChunkHead, FieldRequestHead, FrameHeader, HoldEntry, HoldsHead,
    ModeHead, OverlayHead, PathAnswerHead, Position, RefusalEntry, SameHead, SnapshotHead, UndoCauseEntry,
    UndoGhostHead, UndoOtherHead, UndoPlanHead, UndoRefusedHead,
};
use std::time::Duration;
use terrane_world::limits::{
    AGENTS_MAX, BLOCK_NAME_BYTES_MAX, BLOCKS_MAX, BODY_VOXELS_MAX, BODY_WIDTH_MAX, CHUNK_EDGE, CHUNK_VOXELS,
    CROWD_GOALS_MAX, EDIT_VOXELS_MAX, REGION_CHUNKS_X, REGION_CHUNKS_Z, VERTICAL_BOUND,
};
use terrane_world::path::mode::{MODE_NAME_MAX, MODES_MAX};
use terrane_world::physics::body::VELOCITY_MAX;
use terrane_world::step::CauseKind;

/// Payload bytes of a frame towards the server: exactly the largest edit.
pub const PAYLOAD_TO_SERVER_BYTES_MAX: usize = size_of::<EditHead>() + EDIT_VOXELS_MAX * size_of::<EditVoxel>();
/// Payload bytes of a frame towards the client: far above the largest delta, so that clients can be strict.
pub const PAYLOAD_TO_CLIENT_BYTES_MAX: usize = 1 << 20;
/// Bytes of a header.
pub const HEADER_BYTES: usize = size_of::<FrameHeader>();

/// Bytes of a player's name: shown above a head, so it stays short.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of the text in Refused: a few sentences.
pub const REFUSED_TEXT_BYTES_MAX: usize = 1_024;

/// Chunks of one subscription: one player's view at radius 64 with five layers, and about 4 MiB of book-keeping.
pub const SUBSCRIPTION_CHUNKS_MAX: usize = 65_536;
/// Chunks from the centre of a radius to its rim, sideways and up: 2 km of sight.
pub const SUBSCRIPTION_RADIUS_MAX: i32 = 64;
/// Chunks beyond a radius in which those that are held may be kept: who goes to and fro rarely goes further.
pub const SUBSCRIPTION_MARGIN_MAX: i32 = 8;
/// Chunks that one Holds frame names: what fits a payload towards the server.
pub const HOLDS_FRAME_MAX: usize = (PAYLOAD_TO_SERVER_BYTES_MAX - size_of::<HoldsHead>()) / size_of::<HoldEntry>();
/// Chunks that one Same frame names: 12 KiB, so that it does not hold up what is behind it for long.
pub const SAME_FRAME_MAX: usize = 1_024;

/// Edits and blasts of one session that are not decided yet. More wait unread, so that a session can't fill a tick alone.
pub const EDITS_IN_FLIGHT_MAX: usize = 256;
/// Voxels in them: sixteen of the largest edits, 2 MiB in memory.
pub const EDIT_VOXELS_IN_FLIGHT_MAX: usize = 16 * EDIT_VOXELS_MAX;

/// How long a connection may be open without Hello: a slow link's handshake, not a forgotten socket.
pub const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// Sessions of one server: at the output bound below they hold 1.2 GiB in the worst case.
pub const SESSIONS_MAX: usize = 1_024;

/// Bytes held for one client in all: little enough that one which stopped reading costs nothing that hurts.
pub const OUTPUT_BYTES_MAX: usize = 1_216 << 10;
/// Of those, what the transport may hold: 10 MiB a second if it is filled at each of 20 ticks.
pub const OUTPUT_TRANSPORT_BYTES_MAX: usize = 512 << 10;
/// Of those, refusals of inputs that wait to be told.
pub const OUTPUT_REFUSALS_BYTES_MAX: usize = 128 << 10;
/// Of those, answers about paths that wait to be given to the transport: one of the largest, and others beside it.
pub const OUTPUT_PATHS_BYTES_MAX: usize = 256 << 10;
/// Of those, answers about undos: a plan with its ghost, and what follows from it.
pub const OUTPUT_UNDO_BYTES_MAX: usize = 256 << 10;
/// Of those, what is left for the answers that are none of these: Welcome, Pong, Refused.
pub const OUTPUT_ANSWER_BYTES_MAX: usize = 64 << 10;
/// What a queued frame costs beyond its bytes: its place in the queue.
pub const QUEUED_FRAME_BYTES: usize = 96;
/// Refusals that wait to be told. Who sends more bad edits without reading the answers is cut off.
pub const REFUSALS_PENDING_MAX: usize = 4_096;
/// Pongs that wait to be sent. Who asks more without reading the answers is cut off.
pub const PONGS_PENDING_MAX: usize = 64;
/// Requests for ways and fields that one session may have open. More are refused; each costs the server what it holds open.
pub const PATH_REQUESTS_MAX: usize = 32;
/// Requests refused for being too many that wait to be told. Who asks more without reading the answers is cut off.
pub const REQUESTS_REFUSED_PENDING_MAX: usize = 64;
/// Refusals and progress of undos that wait to be told, each in place of an older one of its request. Who asks more without reading
/// the answers is cut off.
pub const UNDO_PENDING_MAX: usize = 32;
/// Others that a plan names, those with the most voxels: more than a person wants to read.
pub const UNDO_OTHERS_MAX: usize = 32;
/// Voxels of a ghost: what a client can draw at once, and see.
pub const UNDO_GHOST_VOXELS_MAX: usize = 65_536;
/// Packed bytes of a ghost: twice of what as many voxels take at the least convenient, if they lie together.
pub const UNDO_GHOST_BYTES_MAX: usize = 192 << 10;
/// Voxels of one UndoGhost frame, or one chunk: some ten KiB, so that it does not hold up what is behind it for long.
pub const UNDO_GHOST_FRAME_VOXELS: usize = 8_192;
/// Payload bytes after which a Registry frame is closed and a new one begun.
pub const REGISTRY_FRAME_BYTES: usize = 32 << 10;
/// Bytes about chunks that changed, and bodies, that go out before chunks that the client has not seen get their turn.
pub const CHANGES_TURN_BYTES: usize = 64 << 10;
/// Of those, bytes of new bodies that go out before changes that wait for long.
pub const BODIES_TURN_BYTES: usize = 32 << 10;
/// Bytes of chunks that the client has not seen that go out before changes get their turn: one of the largest.
pub const SNAPSHOT_TURN_BYTES: usize = 64 << 10;
/// Bytes of frames of bodies that wait for one client: the largest body. One that does not fit is not told of.
pub const BODIES_QUEUED_BYTES_MAX: usize = 4 << 20;
/// Bodies whose motion is told in one turn: 3 KiB; the others get theirs in the next one.
pub const BODY_MOVES_TURN_MAX: usize = 256;
/// About so many bytes of changes go into one Delta frame, so that a budget is overdrawn by little.
pub const DELTA_BATCH_BYTES: usize = 8 << 10;
/// Chunks of one Delta frame.
pub const DELTA_CHUNKS_MAX: usize = 1_024;
/// What a delta that is remembered costs beyond its runs.
pub const DELTA_COST_BYTES: usize = 192;
/// After so long a change is told before those that matter more: far inside of the five seconds that are promised.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(2);
/// Chunks looked at in one turn, so that a long list is not put in order again and again for what a small budget sends.
pub const TURN_CHUNKS_MAX: usize = 512;
/// Bytes a second for one session, if nothing else is said: a view of a thousand chunks in half a second.
pub const SESSION_BYTES_PER_SECOND: u64 = 4 << 20;
/// Bytes a second for all sessions of a server, if nothing else is said: half of a gigabit.
pub const SERVER_BYTES_PER_SECOND: u64 = 64 << 20;
/// Voxels of edits a second that one session may ask for, and a blast counts as some: a lot more than hands do.
pub const INPUT_VOXELS_PER_SECOND: u64 = 32_768;
/// What a blast, and a crowd, count as among voxels.
pub const BLAST_COST_VOXELS: u64 = 256;
/// Requests a second that change nothing, each at its cost: 1 for a ping or a look, more where the server has work.
pub const REQUESTS_PER_SECOND: u64 = 200;
/// What a subscription, a field or a way costs among requests: twenty a second.
pub const COSTLY_REQUEST: u64 = 10;
/// Bytes of answers about paths that go out before queued deltas get their turn.
pub const PATHS_TURN_BYTES: usize = 64 << 10;
/// Snapshots that may be asked for in vain in one round before it ends; the next one goes on behind them.
pub const SNAPSHOT_TRIES_MAX: usize = 1_024;

/// Runs of one Body frame: 32 KiB, so that a large body does not hold up what is behind it for long.
pub const BODY_RUNS_MAX: usize = 4_096;
/// Parts of one body: every voxel of the largest is a run of its own.
pub const BODY_PARTS_MAX: usize = BODY_VOXELS_MAX / BODY_RUNS_MAX;
/// Bodies that one client is told of at a time; it sees no more, and 48 KiB move them all.
pub const BODIES_FOLLOWED_MAX: usize = 4_096;
/// Ticks after which a body's motion is told again though nothing has happened to it, so that a client's clock can't stray.
pub const BODY_MOVES_EVERY_TICKS: u64 = 8;

/// Goals of one field: each is looked for in every chunk of it.
pub const GOALS_MAX: usize = 16;
/// Chunks that the box of one field may touch: 256 voxels each way, and some seconds to solve at the worst.
pub const FIELD_CHUNKS_MAX: u64 = 512;
/// Chunks that the box of one way may touch: about 800 voxels each way. What a search looks at is held for its time.
pub const WAY_CHUNKS_MAX: u64 = 16_384;
/// Waypoints of one PathAnswer frame: 48 KiB, so that a long way does not hold up what is behind it for long.
pub const WAYPOINTS_PART_MAX: usize = 4_096;
/// Modes of one world, the built-in ones included.
pub const MODES_TOLD_MAX: usize = 128;

/// Goals that are told of one crowd: every one it can have.
pub const CROWD_GOALS_TOLD_MAX: usize = CROWD_GOALS_MAX;
/// Agents of one crowd that are told of in one column, those with the lowest numbers: two above each other everywhere, 256 KiB.
pub const AGENTS_TOLD_MAX: usize = 32_768;
/// Voxels of a column along x and z.
pub const COLUMN_EDGE: i32 = (CHUNK_EDGE * REGION_CHUNKS_X) as i32;
/// Bytes about agents that go out before queued deltas get their turn.
pub const AGENTS_TURN_BYTES: usize = 32 << 10;

/// Bytes that may be unsent when an overlay is added: overlays fill a link, and must not hold up what comes after them.
pub const OVERLAY_TURN_BYTES: usize = 64 << 10;
/// Bytes of the largest OverlayData frame: one a voxel.
pub const OVERLAY_FRAME_BYTES_MAX: usize = HEADER_BYTES + size_of::<OverlayHead>() + CHUNK_VOXELS;
/// Bytes of the largest FieldChunk frame: a move and a wide cost for each voxel.
pub const FIELD_FRAME_BYTES_MAX: usize = HEADER_BYTES + size_of::<FieldChunkHead>() + CHUNK_VOXELS * (1 + 4);
/// Bytes of the largest Agents frame; an AgentMoves frame is sent only where it is smaller than the Agents frame in its place.
pub const AGENTS_FRAME_BYTES_MAX: usize =
    HEADER_BYTES + size_of::<AgentsHead>() + AGENTS_TOLD_MAX * size_of::<AgentEntry>();
/// More than the bytes of the largest Delta frame: one chunk with a block of its own for each voxel (a mask and a gap a row, a table,
/// and 15 bits a voxel), behind a batch that is nearly full.
pub const DELTA_FRAME_BYTES_MAX: usize = 256 << 10;
/// Bytes of a Delta frame's changes once they are unpacked: a small multiple of the largest there is.
pub const DELTA_UNPACKED_BYTES_MAX: usize = 1 << 20;
/// Bytes of the largest Snapshot frame: plain ids, where packing makes them no smaller.
pub const SNAPSHOT_FRAME_BYTES_MAX: usize = HEADER_BYTES + size_of::<SnapshotHead>() + CHUNK_VOXELS * 2 + 16;

const _: () = assert!(
    DELTA_BATCH_BYTES * 8 + (7 * CHUNK_VOXELS / CHUNK_EDGE) + 4 * CHUNK_VOXELS <= DELTA_FRAME_BYTES_MAX,
    "the largest delta fits behind a batch, each of whose voxels may take eight times what is thought"
);
const _: () = assert!(
    size_of::<HoldsHead>() + HOLDS_FRAME_MAX * size_of::<HoldEntry>() <= PAYLOAD_TO_SERVER_BYTES_MAX
        && size_of::<SameHead>() + SAME_FRAME_MAX * size_of::<Position>() <= PAYLOAD_TO_CLIENT_BYTES_MAX,
    "lists of chunks fit their frames"
);
const _: () = assert!(
    EDITS_IN_FLIGHT_MAX as u64 * BLAST_COST_VOXELS <= EDIT_VOXELS_IN_FLIGHT_MAX as u64,
    "as many blasts as may be undecided are taken at once"
);
const _: () = assert!(BODIES_TURN_BYTES < CHANGES_TURN_BYTES, "bodies leave room for changes");
const _: () = assert!(DELTA_FRAME_BYTES_MAX - HEADER_BYTES <= PAYLOAD_TO_CLIENT_BYTES_MAX, "a delta fits a frame");
const _: () = assert!(SNAPSHOT_FRAME_BYTES_MAX - HEADER_BYTES <= PAYLOAD_TO_CLIENT_BYTES_MAX, "so does a snapshot");
const _: () = assert!(CHUNK_VOXELS + 256 * 2 <= CHUNK_VOXELS * 2, "the largest snapshot is u16");
const _: () = assert!(
    REFUSALS_PENDING_MAX * size_of::<RefusalEntry>() + 24 <= PAYLOAD_TO_CLIENT_BYTES_MAX
        && REFUSALS_PENDING_MAX <= u16::MAX as usize,
    "all pending refusals fit one Acknowledge"
);
const _: () = assert!(EDIT_VOXELS_MAX <= u16::MAX as usize, "a count of voxels fits u16");
const _: () = assert!(EDIT_VOXELS_IN_FLIGHT_MAX >= EDIT_VOXELS_MAX, "one edit always fits");
const _: () = assert!(NAME_BYTES_MAX <= REFUSED_TEXT_BYTES_MAX && REFUSED_TEXT_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(BLOCKS_MAX <= u16::MAX as usize, "a count of blocks fits u16");
const _: () = assert!(REGISTRY_FRAME_BYTES + BLOCK_NAME_BYTES_MAX + 16 <= PAYLOAD_TO_CLIENT_BYTES_MAX);
const _: () = assert!(
    DELTA_FRAME_BYTES_MAX <= OUTPUT_TRANSPORT_BYTES_MAX && SNAPSHOT_FRAME_BYTES_MAX <= OUTPUT_TRANSPORT_BYTES_MAX,
    "the largest frame fits an empty transport, so a stream never stands still"
);
const _: () = assert!(
    REFUSALS_PENDING_MAX * size_of::<RefusalEntry>() + 2 * QUEUED_FRAME_BYTES <= OUTPUT_REFUSALS_BYTES_MAX,
    "all pending refusals fit their part"
);
const _: () = assert!(
    PONGS_PENDING_MAX * (QUEUED_FRAME_BYTES + 24)
        + REQUESTS_REFUSED_PENDING_MAX * (QUEUED_FRAME_BYTES + 256)
        + REFUSED_TEXT_BYTES_MAX
        + 1_024
        <= OUTPUT_ANSWER_BYTES_MAX,
    "the answers fit their part"
);
const _: () = assert!(
    OUTPUT_TRANSPORT_BYTES_MAX
        + OUTPUT_REFUSALS_BYTES_MAX
        + OUTPUT_PATHS_BYTES_MAX
        + OUTPUT_UNDO_BYTES_MAX
        + OUTPUT_ANSWER_BYTES_MAX
        <= OUTPUT_BYTES_MAX,
    "the parts make the whole"
);
const _: () = assert!(BODY_PARTS_MAX * BODY_RUNS_MAX == BODY_VOXELS_MAX, "the largest body has room in its parts");
const _: () =
    assert!(BODY_PARTS_MAX <= u16::MAX as usize && BODY_WIDTH_MAX <= u8::MAX as i32 && VERTICAL_BOUND < 1 << 15);
const _: () = assert!(VELOCITY_MAX <= u16::MAX as u32, "a velocity fits u16");
const _: () = assert!(
    HEADER_BYTES + size_of::<BodyHead>() + BODY_RUNS_MAX * size_of::<BodyRunEntry>() <= OUTPUT_TRANSPORT_BYTES_MAX
        && HEADER_BYTES + size_of::<BodyMovesHead>() + BODIES_FOLLOWED_MAX * size_of::<BodyMoveEntry>()
            <= OUTPUT_TRANSPORT_BYTES_MAX
        && OVERLAY_FRAME_BYTES_MAX <= OVERLAY_TURN_BYTES
        && OVERLAY_TURN_BYTES <= OUTPUT_TRANSPORT_BYTES_MAX,
    "the largest part of a body, all moves and the largest overlay fit an empty transport"
);
const _: () = assert!(
    FIELD_FRAME_BYTES_MAX <= OUTPUT_PATHS_BYTES_MAX
        && FIELD_FRAME_BYTES_MAX <= OUTPUT_TRANSPORT_BYTES_MAX
        && HEADER_BYTES + size_of::<PathAnswerHead>() + WAYPOINTS_PART_MAX * size_of::<Position>()
            <= OUTPUT_PATHS_BYTES_MAX,
    "the largest answers about paths fit their part and an empty transport"
);
const _: () = assert!(GOALS_MAX <= u8::MAX as usize, "a count of goals fits u8");
const _: () = assert!(MODE_NAME_MAX <= u8::MAX as usize, "so does the length of a mode's name");
const _: () = assert!(
    size_of::<FieldRequestHead>() + GOALS_MAX * size_of::<Position>() + MODE_NAME_MAX <= PAYLOAD_TO_SERVER_BYTES_MAX
);
const _: () = assert!(
    MODES_MAX < MODES_TOLD_MAX && MODES_TOLD_MAX * (size_of::<ModeHead>() + MODE_NAME_MAX) <= REGISTRY_FRAME_BYTES,
    "a world's modes and the built-in ones fit one frame"
);
const _: () = assert!(
    size_of::<CrowdRequestHead>() + GOALS_MAX * size_of::<Position>() + MODE_NAME_MAX <= PAYLOAD_TO_SERVER_BYTES_MAX
        && size_of::<CrowdHead>() + CROWD_GOALS_TOLD_MAX * size_of::<Position>() + MODE_NAME_MAX
            <= OUTPUT_TRANSPORT_BYTES_MAX
        && CROWD_GOALS_TOLD_MAX <= u16::MAX as usize,
    "crowds fit their frames"
);
const _: () = assert!(
    AGENTS_FRAME_BYTES_MAX + size_of::<AgentMovesHead>() <= OUTPUT_TRANSPORT_BYTES_MAX
        && AGENTS_MAX < 1 << 27
        && COLUMN_EDGE == 1 << 7
        && REGION_CHUNKS_X == REGION_CHUNKS_Z
        && 2 * VERTICAL_BOUND <= 1 << 12,
    "the agents of a column fit an empty transport, and numbers and places their bits"
);
/// Frames of a ghost: each but the last is followed by one with which it would have been too large, or names as many chunks as it may.
const UNDO_GHOST_FRAMES_MAX: usize =
    2 * UNDO_GHOST_VOXELS_MAX.div_ceil(UNDO_GHOST_FRAME_VOXELS) + UNDO_GHOST_VOXELS_MAX / DELTA_CHUNKS_MAX + 1;
const _: () = assert!(
    UNDO_GHOST_BYTES_MAX
        + UNDO_GHOST_FRAMES_MAX * (QUEUED_FRAME_BYTES + HEADER_BYTES + size_of::<UndoGhostHead>())
        + QUEUED_FRAME_BYTES
        + HEADER_BYTES
        + size_of::<UndoPlanHead>()
        + CauseKind::ALL.len() * size_of::<UndoCauseEntry>()
        + UNDO_OTHERS_MAX * (size_of::<UndoOtherHead>() + NAME_BYTES_MAX)
        + UNDO_PENDING_MAX
            * (QUEUED_FRAME_BYTES + HEADER_BYTES + size_of::<UndoRefusedHead>() + REFUSED_TEXT_BYTES_MAX)
        <= OUTPUT_UNDO_BYTES_MAX,
    "answers about undos fit their part"
);
const _: () = assert!(
    UNDO_GHOST_BYTES_MAX + HEADER_BYTES + size_of::<UndoGhostHead>() <= OUTPUT_TRANSPORT_BYTES_MAX
        && UNDO_GHOST_FRAME_VOXELS <= CHUNK_VOXELS
        && NAME_BYTES_MAX <= u8::MAX as usize,
    "a ghost fits an empty transport, and lengths of names their fields"
);
