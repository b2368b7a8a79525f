//! The layout of headers and payload heads, as docs/protocol.md draws it.
//!
//! Every type here is plain bytes with alignment 1: it can be read in place from any offset, and means the same
//! on a big-endian machine. Padding is a named field, so that it can be checked.

use bytemuck::{Pod, Zeroable};
use terrane_world::chunk;
use terrane_world::space::{ChunkPos, SpaceError, VoxelPos};

macro_rules! little_endian {
    ($name:ident, $int:ty) => {
        #[doc = concat!("A little-endian `", stringify!($int), "` without alignment.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
        #[repr(transparent)]
        pub struct $name([u8; size_of::<$int>()]);

        impl $name {
            /// The number.
            pub const fn get(self) -> $int {
                <$int>::from_le_bytes(self.0)
            }
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value.to_le_bytes())
            }
        }
    };
}

little_endian!(U16, u16);
little_endian!(U32, u32);
little_endian!(U64, u64);
little_endian!(I32, i32);

/// Three coordinates x, y, z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(transparent)]
pub struct Position([I32; 3]);

impl Position {
    /// `[x, y, z]`, whether the world has it or not.
    pub fn to_array(self) -> [i32; 3] {
        self.0.map(I32::get)
    }

    /// As a chunk's position, if the world has it.
    pub fn chunk(self) -> Result<ChunkPos, SpaceError> {
        ChunkPos::try_from(self.to_array())
    }

    /// As a voxel's position, if the world has it.
    pub fn voxel(self) -> Result<VoxelPos, SpaceError> {
        VoxelPos::try_from(self.to_array())
    }
}

impl From<[i32; 3]> for Position {
    fn from(value: [i32; 3]) -> Self {
        Self(value.map(I32::from))
    }
}

impl From<ChunkPos> for Position {
    fn from(value: ChunkPos) -> Self {
        value.to_array().into()
    }
}

impl From<VoxelPos> for Position {
    fn from(value: VoxelPos) -> Self {
        value.to_array().into()
    }
}

/// A chunk's version: count first, so that the eight bytes grow as one little-endian number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Version {
    /// Changes so far.
    pub count: U32,
    /// Fencing number of the owner.
    pub epoch: U32,
}

impl Version {
    /// As the world has it.
    pub const fn get(self) -> chunk::Version {
        chunk::Version { epoch: self.epoch.get(), count: self.count.get() }
    }
}

impl From<chunk::Version> for Version {
    fn from(value: chunk::Version) -> Self {
        Self { count: value.count.into(), epoch: value.epoch.into() }
    }
}

macro_rules! layout {
    ($(#[$doc:meta])* $name:ident, $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
        const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 1);
    };
}

layout!(
    /// Before every payload.
    FrameHeader, 8 {
        /// Bytes of the payload.
        length: U32,
        /// See [`crate::frame::Kind`].
        kind: U16,
        /// 0 in version 1.
        flags: U16,
    }
);
layout!(
    /// Hello; the name follows.
    HelloHead, 26 {
        /// Lowest protocol version the client speaks.
        lowest: U16,
        /// Highest.
        highest: U16,
        /// 0.
        zero: U32,
        /// The session to resume, or zeros.
        session: [u8; 16],
        /// Bytes of the name.
        name_bytes: U16,
    }
);
layout!(
    /// Subscribe, whole.
    SubscribeBody, 32 {
        /// Chosen by the client, growing.
        subscription: U32,
        /// 0 box, 1 radius.
        shape: U16,
        /// 0.
        zero: U16,
        /// Box: first chunk. Radius: the centre.
        first: Position,
        /// Box: one past the last. Radius: horizontal, vertical, margin.
        second: Position,
    }
);
layout!(
    /// Edit; the voxels follow.
    EditHead, 16 {
        /// Input sequence.
        sequence: U64,
        /// Number of voxels.
        voxels: U16,
        /// 0.
        zero: [u8; 6],
    }
);
layout!(
    /// One voxel of an Edit.
    EditVoxel, 16 {
        /// Where.
        pos: Position,
        /// What it shall be.
        block: U16,
        /// 0.
        zero: U16,
    }
);
layout!(
    /// Ping, whole.
    PingBody, 8 {
        /// Comes back in Pong.
        number: U64,
    }
);
layout!(
    /// Welcome, whole.
    WelcomeBody, 88 {
        /// Protocol version chosen.
        version: U16,
        /// 1 if the session was resumed.
        resumed: U16,
        /// Epoch of the server.
        epoch: U32,
        /// Session id.
        session: [u8; 16],
        /// World id.
        world: [u8; 16],
        /// The tick.
        tick: U64,
        /// Acknowledged input sequence.
        acknowledged: U64,
        /// Length of a tick in microseconds.
        tick_us: U32,
        /// Blocks in the Registry frames behind.
        blocks: U32,
        /// Where a new player's feet stand.
        spawn: Position,
        /// 0.
        zero: U32,
        /// What chunks are made from.
        identity: U64,
    }
);
layout!(
    /// Registry; the blocks follow.
    RegistryHead, 8 {
        /// First block id.
        first: U16,
        /// Number of blocks.
        count: U16,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// One block of a Registry; its name follows.
    BlockHead, 8 {
        /// Bit 0 solid, 1 opaque, 2 liquid, 3 pickable.
        flags: u8,
        /// Red, green, blue.
        colour: [u8; 3],
        /// Light given off, 0–15.
        light: u8,
        /// 0.
        zero: u8,
        /// Bytes of the name.
        name_bytes: U16,
    }
);
layout!(
    /// Snapshot; the packed chunk follows.
    SnapshotHead, 24 {
        /// The chunk.
        pos: Position,
        /// The subscription it answers.
        subscription: U32,
        /// The version shown.
        version: Version,
    }
);
layout!(
    /// Same; the chunks follow.
    SameHead, 8 {
        /// The subscription it answers.
        subscription: U32,
        /// Number of chunks.
        count: U32,
    }
);
layout!(
    /// Look, whole.
    LookBody, 16 {
        /// The voxel that the eye is in.
        eye: Position,
        /// Forwards along x, y, z.
        forward: [i8; 3],
        /// 0.
        zero: u8,
    }
);
layout!(
    /// Holds; the chunks follow.
    HoldsHead, 8 {
        /// Number of chunks.
        count: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// One chunk of a Holds.
    HoldEntry, 20 {
        /// Which.
        pos: Position,
        /// At which version.
        version: Version,
    }
);
layout!(
    /// Forget, whole.
    ForgetBody, 16 {
        /// The chunk.
        pos: Position,
        /// The subscription that no longer has it.
        subscription: U32,
    }
);
layout!(
    /// Acknowledge; the refusals follow.
    AcknowledgeHead, 24 {
        /// Every input up to this one is decided and durable.
        sequence: U64,
        /// The tick.
        tick: U64,
        /// Number of refusals.
        refusals: U16,
        /// 0.
        zero: [u8; 6],
    }
);
layout!(
    /// One refusal of an Acknowledge.
    RefusalEntry, 16 {
        /// The input.
        sequence: U64,
        /// See [`crate::message::Reason`].
        reason: U16,
        /// 0.
        zero: [u8; 6],
    }
);
layout!(
    /// Pong, whole.
    PongBody, 16 {
        /// The number from Ping.
        number: U64,
        /// The tick.
        tick: U64,
    }
);
layout!(
    /// Caught up, whole.
    CaughtUpBody, 8 {
        /// Every chunk of this subscription has been sent once.
        subscription: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// Refused; the text follows.
    RefusedHead, 8 {
        /// See [`crate::error::RefusedCode`].
        code: U16,
        /// Bytes of the text.
        text_bytes: U16,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// Blast, whole.
    BlastBody, 24 {
        /// Input sequence.
        sequence: U64,
        /// Where.
        at: Position,
        /// How strong.
        power: u8,
        /// 0.
        zero: [u8; 3],
    }
);
layout!(
    /// Overlay, whole.
    OverlayBody, 8 {
        /// A bit for each kind that is wanted.
        kinds: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// Body; the runs follow.
    BodyHead, 48 {
        /// What it is called in BodyMoves and BodyEnds.
        handle: U32,
        /// The tick in which it left the grid.
        tick: U64,
        /// Its lowest voxel there.
        origin: Position,
        /// The least x, y, z of its voxels where it began to fall.
        corner: Position,
        /// Number of this part.
        part: U16,
        /// Number of parts.
        parts: U16,
        /// Voxels in all parts.
        voxels: U32,
        /// Number of runs in this part.
        runs: U32,
    }
);
layout!(
    /// One run of a Body, along x.
    BodyRunEntry, 8 {
        /// From the corner.
        y: U16,
        /// From the corner.
        z: u8,
        /// Of the first voxel, from the corner.
        x: u8,
        /// How many voxels.
        length: u8,
        /// 0.
        zero: u8,
        /// What they are.
        block: U16,
    }
);
layout!(
    /// BodyMoves; the entries follow.
    BodyMovesHead, 16 {
        /// After this tick they were so.
        tick: U64,
        /// Number of entries.
        count: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// One body of BodyMoves.
    BodyMoveEntry, 12 {
        /// Which.
        handle: U32,
        /// In 1/256 voxel.
        fallen: U32,
        /// In 1/256 voxel a tick.
        velocity: U16,
        /// 0 falling, 1 landing, 2 shattering.
        phase: u8,
        /// 0.
        zero: u8,
    }
);
layout!(
    /// BodyEnds; the handles follow.
    BodyEndsHead, 8 {
        /// Number of handles.
        count: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// OverlayData; runs, or a table and indexes, or bytes follow.
    OverlayHead, 32 {
        /// The chunk.
        pos: Position,
        /// See [`crate::overlay::OverlayKind`].
        kind: U16,
        /// 0 nothing, 1 runs, 2 u4, 3 u8.
        form: U16,
        /// The chunk's version.
        version: Version,
        /// Number of runs, or entries of the table.
        count: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// One run of an OverlayData.
    OverlayRunEntry, 3 {
        /// How many voxels.
        length: U16,
        /// What they have.
        value: u8,
    }
);
layout!(
    /// PathRequest; the mode's name follows.
    PathRequestHead, 36 {
        /// Chosen by the client.
        request: U32,
        /// 0 a way, 1 only whether there is one.
        what: u8,
        /// Bytes of the mode's name.
        mode_bytes: u8,
        /// 0.
        zero: U16,
        /// How far around both ends the way may lead, in voxels.
        around: U32,
        /// Where from.
        from: Position,
        /// Where to.
        to: Position,
    }
);
layout!(
    /// FieldRequest; the goals and the mode's name follow.
    FieldRequestHead, 32 {
        /// Chosen by the client.
        request: U32,
        /// Bytes of the mode's name.
        mode_bytes: u8,
        /// Number of goals.
        goals: u8,
        /// 0.
        zero: U16,
        /// The first voxel of the box.
        first: Position,
        /// One past its last.
        end: Position,
    }
);
layout!(
    /// Cancel, whole.
    CancelBody, 8 {
        /// The request that is not wanted any more.
        request: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// Modes; the modes follow.
    ModesHead, 8 {
        /// Number of modes.
        count: U16,
        /// 0.
        zero: [u8; 6],
    }
);
layout!(
    /// One mode; its name follows.
    ModeHead, 8 {
        /// 0 walk, 1 fly, 2 swim, 3 dig.
        medium: u8,
        /// Bit 0 26 neighbours, 1 swims, 2 climbs.
        flags: u8,
        /// Voxels that the body is high.
        height: u8,
        /// Voxels that it is wide.
        width: u8,
        /// Voxels that it climbs in one step.
        step_up: u8,
        /// Voxels that it may fall.
        drop: u8,
        /// Bytes of the name.
        name_bytes: u8,
        /// 0.
        zero: u8,
    }
);
layout!(
    /// PathAnswer; the waypoints follow.
    PathAnswerHead, 40 {
        /// The request that it answers.
        request: U32,
        /// Number of this part.
        part: U16,
        /// 1 in the last part.
        last: u8,
        /// 0 goal, 1 border, 2 unreachable, 3 too far.
        end: u8,
        /// What the whole way costs.
        cost: U64,
        /// Voxels that were looked at.
        searched: U64,
        /// The tick after which it is true.
        tick: U64,
        /// Number of waypoints in this part.
        waypoints: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// FieldChunk; the moves and then the costs follow.
    FieldChunkHead, 40 {
        /// The request that it answers.
        request: U32,
        /// The chunk.
        pos: Position,
        /// The tick after which it is true.
        tick: U64,
        /// Form of the moves: 1 runs, 2 u4, 3 u8.
        form: u8,
        /// Bytes of each cost beyond the least: 0, 1, 2 or 4.
        cost_bytes: u8,
        /// 0.
        zero: U16,
        /// Number of runs, or entries of the table.
        count: U32,
        /// The least cost.
        base: U32,
        /// 0.
        zero_2: U32,
    }
);
layout!(
    /// FieldState, whole.
    FieldStateBody, 24 {
        /// The request that it is about.
        request: U32,
        /// 0 stale, 1 current.
        state: u8,
        /// 0.
        zero: [u8; 3],
        /// The tick.
        tick: U64,
        /// Chunks of the field.
        chunks: U32,
        /// 0.
        zero_2: U32,
    }
);
layout!(
    /// PathRefused; the text follows.
    PathRefusedHead, 8 {
        /// The request.
        request: U32,
        /// See [`crate::path::PathRefusal`].
        code: U16,
        /// Bytes of the text.
        text_bytes: U16,
    }
);
layout!(
    /// CrowdRequest; the goals and the mode's name follow.
    CrowdRequestHead, 64 {
        /// Input sequence.
        sequence: U64,
        /// Number of agents.
        agents: U32,
        /// What each gathers in a tick, in 1/256 of a unit of cost.
        speed: U16,
        /// Number of goals.
        goals: u8,
        /// Bytes of the mode's name.
        mode_bytes: u8,
        /// The first voxel of the box they begin in.
        from_first: Position,
        /// One past its last.
        from_end: Position,
        /// The first voxel of the box they stay in.
        first: Position,
        /// One past its last.
        end: Position,
    }
);
layout!(
    /// Dismiss, whole.
    DismissBody, 8 {
        /// Input sequence.
        sequence: U64,
    }
);
layout!(
    /// Crowd; the goals and the mode's name follow.
    CrowdHead, 48 {
        /// What it is called in the frames about its agents.
        handle: U32,
        /// What each agent gathers in a tick, in 1/256 of a unit of cost.
        speed: U16,
        /// Number of goals.
        goals: U16,
        /// The input of this session that asked for it, or 0.
        sequence: U64,
        /// The first voxel of the box they stay in.
        first: Position,
        /// One past its last.
        end: Position,
        /// Bytes of the mode's name.
        mode_bytes: u8,
        /// 0.
        zero: [u8; 7],
    }
);
layout!(
    /// Agents; the agents follow.
    AgentsHead, 24 {
        /// Their crowd.
        handle: U32,
        /// x of the column.
        x: I32,
        /// z of the column.
        z: I32,
        /// Number of agents.
        count: U32,
        /// The tick after which it is true.
        tick: U64,
    }
);
layout!(
    /// One agent.
    AgentEntry, 8 {
        /// Its number in its crowd.
        number: U32,
        /// Bits 0–6 x and 7–13 z from the column's corner, 14–25 y from the world's lowest voxel, 26–30 the exit it took last.
        place: U32,
    }
);
layout!(
    /// AgentMoves; the steps and then those who entered follow.
    AgentMovesHead, 40 {
        /// Their crowd.
        handle: U32,
        /// x of the column.
        x: I32,
        /// z of the column.
        z: I32,
        /// Number of steps.
        steps: U32,
        /// The tick that they were told of last.
        from: U64,
        /// The tick of the steps.
        tick: U64,
        /// Number of agents that entered the column.
        entered: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// CrowdEnd, whole.
    CrowdEndBody, 8 {
        /// The crowd.
        handle: U32,
        /// 0.
        zero: U32,
    }
);
layout!(
    /// UndoRequest; the name follows.
    UndoRequestHead, 48 {
        /// The request.
        request: U32,
        /// Causes that are meant, a bit each.
        causes: u8,
        /// 0 what others have built since stays, 1 it goes back all the same.
        rule: u8,
        /// 1 if there is a box.
        has_box: u8,
        /// Bytes of the name.
        name_bytes: u8,
        /// How long ago it may have been, in milliseconds.
        since_ms: U64,
        /// The undo that is to be taken back, or 0.
        undo: U64,
        /// The first voxel of the box.
        first: Position,
        /// One past its last.
        end: Position,
    }
);
layout!(
    /// UndoAct, whole.
    UndoActBody, 8 {
        /// The request.
        request: U32,
        /// 0 do it, 1 end it.
        act: u8,
        /// 0.
        zero: [u8; 3],
    }
);
layout!(
    /// UndoPlan; the causes and then the others follow.
    UndoPlanHead, 56 {
        /// The request that it answers.
        request: U32,
        /// Chunks that would change.
        chunks: U32,
        /// Voxels that would be put back.
        voxels: U64,
        /// Voxels that are as they were already.
        unchanged: U64,
        /// Voxels that somebody else has changed since.
        conflicts: U64,
        /// Voxels in chunks that were loaded whole since.
        replaced: U64,
        /// The tick that history goes back to, if that is not far enough.
        begins: U64,
        /// Number of causes.
        causes: U16,
        /// Number of others.
        others: U16,
        /// Gaps in history.
        gaps: U32,
    }
);
layout!(
    /// How many voxels a cause changed last.
    UndoCauseEntry, 16 {
        /// See [`terrane_world::step::CauseKind`].
        cause: u8,
        /// 0.
        zero: [u8; 7],
        /// How many.
        voxels: U64,
    }
);
layout!(
    /// Somebody else; the name follows.
    UndoOtherHead, 16 {
        /// See [`terrane_world::step::CauseKind`].
        cause: u8,
        /// Bytes of the name.
        name_bytes: u8,
        /// 0.
        zero: [u8; 6],
        /// How many voxels.
        voxels: U64,
    }
);
layout!(
    /// UndoGhost; what would be there follows, packed.
    UndoGhostHead, 8 {
        /// The request that it answers.
        request: U32,
        /// 1 if no more follow.
        last: u8,
        /// 1 if there is more than is told.
        is_cut: u8,
        /// 0.
        zero: U16,
    }
);
layout!(
    /// UndoProgress, whole.
    UndoProgressBody, 40 {
        /// The request.
        request: U32,
        /// See [`crate::undo::UndoState`].
        state: u8,
        /// 0.
        zero: [u8; 3],
        /// Number of the undo.
        undo: U64,
        /// Voxels looked at.
        looked_at: U64,
        /// Of so many.
        of: U64,
        /// Of those, voxels that stayed.
        stayed: U64,
    }
);
layout!(
    /// UndoRefused; the text follows.
    UndoRefusedHead, 8 {
        /// The request.
        request: U32,
        /// See [`crate::undo::UndoRefusal`].
        code: U16,
        /// Bytes of the text.
        text_bytes: U16,
    }
);
