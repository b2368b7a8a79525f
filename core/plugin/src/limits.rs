//! The bounds of a plug-in: every maximum with the reason, and what it may import.

/// The version of the interface between the server and a plug-in; `terrane_abi` must return it.
pub const ABI_VERSION: i32 = 1;

/// The module that plug-ins import from.
pub const MODULE: &str = "terrane";
/// What they may import from it.
pub const FUNCTIONS: [&str; 10] = ["read", "write", "get", "set", "map", "seed", "hash", "noise2", "noise3", "setting"];

/// Bytes of a plug-in's file. Compiling one huge function takes longer than in proportion: about two seconds for the worst
/// that fits here. The examples have 2 KiB.
pub const WASM_BYTES_MAX: usize = 512 << 10;
/// Bytes of a plug-in's memory: a chunk with the largest halo has 884,736, and a thread of a big machine makes one each.
pub const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Elements of a plug-in's table, which holds the functions that it calls indirectly.
pub const TABLE_ELEMENTS_MAX: usize = 4_096;
/// Bytes of stack: a rayon thread has 2 MiB, of which the pipeline and the host functions need some.
pub const STACK_BYTES: usize = 256 << 10;

/// Fuel for one chunk: 3,000 instructions for each voxel of it, or 100 for each voxel with the largest halo. That takes a
/// hundredth of a second where instructions are cheap, and a third of one for the slowest mix that we found.
pub const FUEL_PER_CHUNK: u64 = 100_000_000;
/// Fuel for what a plug-in is asked when it is loaded: three answers that are written down in it.
pub const FUEL_TO_LOAD: u64 = 10_000_000;
/// What any host function costs beyond the call: about as many instructions as the way there and back takes time.
pub const FUEL_PER_CALL: u64 = 20;
/// What each octave of noise costs.
pub const FUEL_PER_OCTAVE: u64 = 40;
/// How many bytes `read` and `write` move for one unit of fuel.
pub const BYTES_PER_FUEL: u64 = 8;

/// Halo in voxels: a stage reads at most the chunks right beside its own.
pub const HALO_MAX: i32 = 32;
/// Blocks of one plug-in: their numbers are 0..=254, since 255 stands for any other block.
pub const BLOCKS_MAX: usize = 255;
/// Bytes of the list of blocks: 255 names of 64 bytes.
pub const LIST_BYTES_MAX: usize = 255 * 64;
/// Bytes of the name of a setting.
pub const SETTING_NAME_BYTES_MAX: usize = 64;

/// The number that stands for any block that is not in the plug-in's list.
pub const OTHER: u8 = 255;

const _: () = assert!(HALO_MAX as usize <= terrane_world::limits::CHUNK_EDGE);
const _: () = assert!(BLOCKS_MAX == OTHER as usize);
const _: () = assert!(96 * 96 * 96 + terrane_world::limits::CHUNK_VOXELS <= MEMORY_BYTES_MAX);
const _: () = assert!(FUEL_TO_LOAD < FUEL_PER_CHUNK);
