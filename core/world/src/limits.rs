//! Every maximum of the system in one place, with the reason, related to each other at compile time.

/// Voxels along one edge of a chunk: a row along x is one u32 mask, and a u16 chunk is 64 KiB, which fits L2.
pub const CHUNK_EDGE: usize = 32;
/// Voxels in one chunk.
pub const CHUNK_VOXELS: usize = CHUNK_EDGE * CHUNK_EDGE * CHUNK_EDGE;

/// Horizontal bound: x and z are in [−2³⁰, 2³⁰), so that a difference of two positions still fits an i32.
pub const HORIZONTAL_BOUND: i32 = 1 << 30;
/// Vertical bound: y is in [−2048, 2048), which is also what an Anvil section number (one signed byte) can name.
pub const VERTICAL_BOUND: i32 = 2048;

/// Chunks along x of one region.
pub const REGION_CHUNKS_X: usize = 4;
/// Chunks along y of one region.
pub const REGION_CHUNKS_Y: usize = 8;
/// Chunks along z of one region.
pub const REGION_CHUNKS_Z: usize = 4;
/// Chunks in one region file: its directory of 28-byte entries fits one 4 KiB page.
pub const REGION_CHUNKS: usize = REGION_CHUNKS_X * REGION_CHUNKS_Y * REGION_CHUNKS_Z;

/// Block ids in one world: `u16`, with the last value kept free so that a count fits a u16 as well.
pub const BLOCKS_MAX: usize = 65_535;
/// Bytes of a block's name with its states. The longest vanilla name has 96; mods stay under twice that.
pub const BLOCK_NAME_BYTES_MAX: usize = 256;
/// Bytes of the sparse data of one voxel: a full shulker box of written books is under 1 MiB.
pub const SPARSE_BYTES_MAX: usize = 1 << 20;
/// Sparse entries in one chunk: every voxel may have one.
pub const SPARSE_ENTRIES_MAX: usize = CHUNK_VOXELS;
/// Bytes of all sparse data of one chunk, so that a slot's length fits its 32-bit field with room to spare.
pub const SPARSE_CHUNK_BYTES_MAX: usize = 64 << 20;

/// How far sideways a column's tick may look, in voxels: one event reaches at most half a column per tick.
pub const REACH: i32 = 64;

/// Voxels in one edit input: an input is atomic, so it must be small against a tick.
pub const EDIT_VOXELS_MAX: usize = 4_096;
/// Inputs in one tick; more wait for the next one.
pub const TICK_INPUTS_MAX: usize = 4_096;
/// Actors whose last input sequence is remembered; the longest silent one is forgotten first.
pub const ACTORS_MAX: usize = 4_096;

/// Units of physical work that a column may begin in one tick: a voxel that changed, or whose support did, is one. At a
/// few microseconds each this stays within a tick of 50 ms; what is left over waits.
pub const WORK_PER_TICK: u64 = 8_192;
/// Charges of one column that may go off in one tick.
pub const BLASTS_PER_TICK: usize = 8;
/// How wide a body may be, sideways, in voxels: a column must see all of the bodies that touch it.
pub const BODY_WIDTH_MAX: i32 = 64;
/// Voxels of one body: a cube of the greatest width.
pub const BODY_VOXELS_MAX: usize = 64 * 64 * 64;

/// Agents of one crowd that may be in one voxel: as close as people stand.
pub const AGENTS_PER_VOXEL: usize = 4;
/// Agents of one world: at 12 bytes each a tick journals 1.5 MiB of them at most.
pub const AGENTS_MAX: usize = 131_072;
/// Crowds of one world: each has a field of its own.
pub const CROWDS_MAX: usize = 16;
/// Goals of one crowd.
pub const CROWD_GOALS_MAX: usize = 256;
/// Chunks that the fields of all crowds touch together: at up to 250 KiB each they stay below 1 GiB.
pub const FIELD_CHUNKS_MAX: u64 = 4_096;
/// Distances of one crowd's field that may change in one tick before its next repair waits.
pub const FIELD_WORK_PER_TICK: u64 = 65_536;
/// Changed voxels from which on a field is repaired, whatever earlier repairs took.
pub const FIELD_PENDING_MAX: usize = 65_536;

const _: () = assert!(CHUNK_EDGE == 32, "a row along x is one u32 mask");
const _: () = assert!(CHUNK_VOXELS <= u16::MAX as usize + 1, "a local index fits u16");
const _: () = assert!(BLOCKS_MAX < u16::MAX as usize + 1, "an id and a count of ids fit u16");
const _: () = assert!(HORIZONTAL_BOUND % (CHUNK_EDGE * REGION_CHUNKS_X) as i32 == 0, "regions tile the bounds");
const _: () = assert!(VERTICAL_BOUND % (CHUNK_EDGE * REGION_CHUNKS_Y) as i32 == 0, "regions tile the bounds");
const _: () = assert!((HORIZONTAL_BOUND as i64) * 2 <= (i32::MAX as i64) + 1, "differences fit i32");
const _: () = assert!(REACH as usize == CHUNK_EDGE * REGION_CHUNKS_X / 2, "half a column");
const _: () = assert!(SPARSE_BYTES_MAX <= SPARSE_CHUNK_BYTES_MAX);
const _: () = assert!(EDIT_VOXELS_MAX <= CHUNK_VOXELS);
const _: () = assert!(BODY_WIDTH_MAX <= REACH, "whoever holds a voxel of a body sees all of it");
const _: () = assert!(EDIT_VOXELS_MAX as u64 <= WORK_PER_TICK, "one edit is one tick's work");
const _: () = assert!(EDIT_VOXELS_MAX as u64 <= FIELD_WORK_PER_TICK, "what one edit changes is not owed for long");
const _: () = assert!(AGENTS_PER_VOXEL < 7, "who is in a voxel and who wants to enter it are counted in one byte");
