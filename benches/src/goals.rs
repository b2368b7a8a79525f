//! The rows of the table, and what is to be reached in each. A later benchmark adds its rows here.

/// Whom ours is compared with.
pub enum Peer {
    /// One competitor.
    One(&'static str),
    /// Whichever of these is better in this run.
    Better(&'static [&'static str]),
    /// A fixed limit, in the row's unit.
    Limit(f64),
}

/// One row.
pub struct Row {
    /// What it tells.
    pub name: &'static str,
    /// The benchmark that measures it.
    pub measured: &'static str,
    /// Which of its competitors is ours here.
    pub ours: &'static str,
    /// Whom that is compared with.
    pub peer: Peer,
    /// The least ratio, higher being better; none for a row that only informs.
    pub goal: Option<f64>,
}

const fn row(name: &'static str, measured: &'static str, ours: &'static str, peer: Peer, goal: Option<f64>) -> Row {
    Row { name, measured, ours, peer, goal }
}

use crate::{
    cc3d::NAME as CC3D, crackle::NAME as CRACKLE, dijkstra::CPP as DIJKSTRA, dijkstra::RUST as DIJKSTRA_RS,
    lmdb::NAME as LMDB, luanti::NAME as LUANTI, mapped::NAME as MAPPED, ours::NAME as OURS, ours::ONE_BY_ONE,
    sqlite::NAME as SQLITE,
};

/// The name under which a world of 2,000 chunks competes with one of 20,000.
pub const FEW: &str = "terrane, 2,000 chunks";
/// The name under which opening and reading one voxel competes.
pub const AND_READ: &str = "terrane, and one voxel";

const PEERS: Peer = Peer::Better(&[LMDB, SQLITE]);

/// Every row, in the order of the table.
pub const ROWS: &[Row] = &[
    row("durable bulk write, 20,000 chunks", "store/bulk write", OURS, PEERS, Some(1.5)),
    row("  against LMDB", "store/bulk write", OURS, Peer::One(LMDB), None),
    row("  against SQLite", "store/bulk write", OURS, Peer::One(SQLITE), None),
    row("disk, 20,000 chunks", "store/disk", OURS, PEERS, Some(2.0)),
    row("  against LMDB", "store/disk", OURS, Peer::One(LMDB), None),
    row("  against SQLite", "store/disk", OURS, Peer::One(SQLITE), None),
    row("random voxel reads in batches, 1 thread", "store/voxel reads", OURS, PEERS, Some(10.0)),
    row("  one voxel a call", "store/voxel reads", ONE_BY_ONE, PEERS, None),
    row("  against LMDB", "store/voxel reads", OURS, Peer::One(LMDB), None),
    row("  against SQLite", "store/voxel reads", OURS, Peer::One(SQLITE), None),
    row("  against a plain mapped file", "store/voxel reads", OURS, Peer::One(MAPPED), None),
    row("2,000 random durable edits in one batch", "store/edits", OURS, Peer::One(LMDB), Some(4.0)),
    row("  against SQLite", "store/edits", OURS, Peer::One(SQLITE), None),
    row("opening 20,000 chunks for writing", "store/open", OURS, Peer::Limit(20.0), Some(1.0)),
    row("  against opening 2,000 chunks", "store/open", OURS, Peer::One(FEW), Some(0.5)),
    row("  and one voxel, against LMDB", "store/open", AND_READ, Peer::One(LMDB), None),
    row("terrane import of 253 Anvil columns", "formats/import", OURS, Peer::Limit(1000.0), Some(1.0)),
    row("noise, 3-D, 4 octaves, 1 thread", "generate/noise 1 thread", OURS, Peer::One(QUICK_NOISE), Some(1.0)),
    row("  with AVX2 alone", "generate/noise 1 thread", AVX2, Peer::One(QUICK_NOISE), Some(0.5)),
    row("  without vectors", "generate/noise 1 thread", "terrane, no vectors", Peer::One(QUICK_NOISE), None),
    row("noise, 2 threads", "generate/noise 2 threads", OURS, Peer::One(QUICK_NOISE), Some(1.0)),
    row("a world generated and stored, 1 thread", "generate/world 1 thread", OURS, Peer::One(LUANTI), Some(20.0)),
    row("  only digested", "generate/world 1 thread", DIGESTED, Peer::One(LUANTI), Some(30.0)),
    row("a world generated and stored, 2 threads", "generate/world 2 threads", OURS, Peer::One(LUANTI), Some(20.0)),
    row("  only digested", "generate/world 2 threads", DIGESTED, Peer::One(LUANTI), Some(30.0)),
    row("a terrain of 512³ labelled, 1 thread", "components/volume 1 thread", OURS, Peer::One(CC3D), Some(3.3)),
    row("  into memory never used before", "components/volume 1 thread", FRESH, Peer::One(CC3D), None),
    row("a terrain of 512³ labelled, 2 threads", "components/volume 2 threads", OURS, Peer::One(CC3D), Some(5.5)),
    row("  into memory never used before", "components/volume 2 threads", FRESH, Peer::One(CC3D), None),
    row("what 1,000 edits left unsupported, 1 thread", "components/edits", OURS, Peer::One(CC3D), Some(80.0)),
    row("  2 threads", "components/edits", TWO_THREADS, Peer::One(CC3D), Some(80.0)),
    // 200 million voxels a second.
    row("full support of 128×256×128, 2 threads", "physics/support 2 threads", OURS, Peer::Limit(20.97), Some(1.0)),
    row("  1 thread", "physics/support 1 thread", OURS, Peer::Limit(20.97), None),
    // A hundredth of the CPU time that Luanti takes for the same, 30.6 s.
    row("10,000 hanging voxels of sand come down", "physics/sand", OURS, Peer::Limit(306.0), Some(1.0)),
    row("field of 256³, tunnel, 2 threads", "paths/tunnel 256", OURS, Peer::One(DIJKSTRA_RS), Some(8.0)),
    row("  1 thread", "paths/tunnel 256", ONE_THREAD, Peer::One(DIJKSTRA_RS), None),
    row("  2 threads, against dijkstra3d", "paths/tunnel 256", OURS, Peer::One(DIJKSTRA), None),
    row("field of 256³, fly, 2 threads", "paths/fly 256", OURS, Peer::One(DIJKSTRA_RS), Some(8.0)),
    row("  1 thread", "paths/fly 256", ONE_THREAD, Peer::One(DIJKSTRA_RS), None),
    row("field of 128³, tunnel, 2 threads", "paths/tunnel 128", OURS, Peer::One(DIJKSTRA_RS), Some(6.0)),
    row("  1 thread", "paths/tunnel 128", ONE_THREAD, Peer::One(DIJKSTRA_RS), None),
    row("field of 128³, fly, 2 threads", "paths/fly 128", OURS, Peer::One(DIJKSTRA_RS), Some(6.0)),
    row("field of a maze of 128³, 2 threads", "paths/maze 128", OURS, Peer::One(DIJKSTRA_RS), Some(1.5)),
    row("  1 thread", "paths/maze 128", ONE_THREAD, Peer::One(DIJKSTRA_RS), None),
    // Twenty times the 45 ways a second that Luanti finds: 200 in 222 ms.
    row("200 ways over 200 voxels of terrain nobody has looked at", "paths/ways", OURS, Peer::Limit(222.0), Some(1.0)),
    row("  of terrain that is known", "paths/ways known", OURS, Peer::Limit(222.0), None),
    row("surface chunks packed, fast", "codec/pack", OURS, Peer::One(ZSTD_1), None),
    row("  small", "codec/pack", SMALL, Peer::One(ZSTD_1), None),
    row("  fast, against lz4", "codec/pack", OURS, Peer::One(LZ4), None),
    row("  fast, against crackle", "codec/pack", OURS, Peer::One(CRACKLE), None),
    row("surface chunks unpacked, fast", "codec/unpack", OURS, Peer::One(ZSTD_1), None),
    row("  small", "codec/unpack", SMALL, Peer::One(ZSTD_1), None),
    row("  fast, against lz4", "codec/unpack", OURS, Peer::One(LZ4), None),
    row("1,000 edits packed, small", "codec/edits", SMALL, Peer::One(ZSTD_3), None),
    row("100,000 agents one tick on, 2 threads", "agents/advance", OURS, Peer::Limit(5.0), Some(1.0)),
    row("  1 thread", "agents/advance", ONE_THREAD, Peer::Limit(5.0), None),
];

/// Ours on one thread, where the row is about two.
pub const ONE_THREAD: &str = "terrane, 1 thread";
/// Ours with zstd behind it.
pub const SMALL: &str = "terrane, small";
/// Peers in packing.
pub const ZSTD_1: &str = "zstd 1";
/// The same at its usual level.
pub const ZSTD_3: &str = "zstd 3";
/// The same on chunks as a region holds them.
pub const ZSTD_PACKED: &str = "zstd 3 of 4-bit numbers";
/// The fast one.
pub const LZ4: &str = "lz4_flex";
/// The peer in noise.
pub const QUICK_NOISE: &str = "quick-noise";
/// Our noise without AVX-512.
pub const AVX2: &str = "terrane, AVX2 alone";
/// Our generation without a store.
pub const DIGESTED: &str = "terrane, digest only";
/// Our labels of a volume in memory that was asked for just before, as the peer's always are.
pub const FRESH: &str = "terrane, fresh memory";
/// Ours on two threads, where the row is about one.
pub const TWO_THREADS: &str = "terrane, 2 threads";
