//! What fuzzing the state of a column and the codec starts from: one of each kind of thing in it. `TERRANE_FUZZ_SEEDS` names the
//! folder it goes to (scripts/fuzz.sh sets it); without it the test only makes it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use terrane_world::block::BlockId;
use terrane_world::chunk::{Chunk, Version, new_blocks};
use terrane_world::delta::outer::Outer;
use terrane_world::delta::{Class, pack_changes, pack_chunk, pack_deltas, unpack_chunk, unpack_deltas};
use terrane_world::entity::advance::NO_EXIT;
use terrane_world::entity::state::{Agent, Crowd, CrowdId, Errand};
use terrane_world::physics::state::{Body, BodyId, BodyVoxel, Charge, ColumnState, Leaving, Mark, Phase, Shape};
use terrane_world::space::{LocalIndex, VoxelBox, VoxelPos};
use terrane_world::step::{ActorId, Cause, CauseKind, ChunkDelta, Run, SparseChange};

fn write(name: &str, state: &ColumnState) {
    let all: BTreeSet<BodyId> = state.bodies.keys().copied().collect();
    let bytes = state.to_bytes(&all);
    assert_eq!(ColumnState::from_bytes(&bytes, None).as_ref(), Ok(state));
    if let Some(seeds) = std::env::var_os("TERRANE_FUZZ_SEEDS") {
        std::fs::write(PathBuf::from(seeds).join("column_state").join(name), bytes).unwrap();
    }
}

#[test]
fn states_to_start_from() {
    let pos = |x| VoxelPos::new(x, 7, 3).unwrap();
    let cause = Cause { kind: CauseKind::Edit, actor: ActorId(1), root: 4 };
    let mark = Mark { old: BlockId(2), placed: true, ready: false, tick: 8, cause };
    let charge = Charge { power: 64, due: 12, ready: true, cause };
    let voxels = (1..3).map(|x| BodyVoxel { pos: pos(x), block: BlockId(3), sparse: Some([1u8, 2][..].into()) });
    let shape = Arc::new(Shape::new(voxels.collect()));
    let body = Body { cause, fallen: 700, velocity: 12, phase: Phase::Falling, shape };
    let bodies = [(BodyId { tick: 5, origin: pos(1) }, body)];
    let leaving = [(pos(1), Leaving { cause, slide: Some(3) }), (pos(2), Leaving { cause, slide: None })];
    let empty = ColumnState::default();
    write("debt", &ColumnState { debt: 77, ..empty.clone() });
    write("marks", &ColumnState { marks: [(pos(5), mark)].into(), ..empty.clone() });
    write("leaving", &ColumnState { leaving: leaving.into(), ..empty.clone() });
    write("charges", &ColumnState { charges: [(pos(4), charge)].into(), ..empty.clone() });
    write("bodies", &ColumnState { bodies: bodies.into_iter().collect(), ..empty.clone() });
    let within = VoxelBox::new([-8, -9, -8], [20, 9, 20]).unwrap();
    let errand = Errand { mode: "ground".into(), goals: vec![pos(1), pos(3)], within, speed: 300 };
    let crowd = Crowd { errand: Arc::new(errand), pending: Arc::new([(pos(6), BlockId(2))].into()), debt: 90_000 };
    let id = CrowdId { actor: ActorId(9), sequence: 5 };
    let agents = [(1, 0, NO_EXIT), (2, 40_000, 25)];
    let agents = agents.map(|(number, progress, exit)| Agent { number, at: pos(7), progress, exit });
    write("crowd", &ColumnState { crowds: [(id, crowd)].into(), ..empty.clone() });
    write("agents", &ColumnState { agents: [(id, Arc::from(agents))].into(), ..empty });
}

fn write_packed(name: &str, bytes: &[u8]) {
    if let Some(seeds) = std::env::var_os("TERRANE_FUZZ_SEEDS") {
        std::fs::write(PathBuf::from(seeds).join("codec").join(name), bytes).unwrap();
    }
}

#[test]
fn packed_chunks_and_deltas_to_start_from() {
    let mut outer = Outer::new();
    for (name, blocks, class) in [
        ("uniform", 1, Class::Fast),
        ("u4", 5, Class::Fast),
        ("u8", 30, Class::Fast),
        ("u16", 300, Class::Fast),
        ("small", 5, Class::Small),
    ] {
        let mut voxels = new_blocks();
        for (n, voxel) in voxels.iter_mut().enumerate() {
            *voxel =
                BlockId((n / 1024 + usize::from(n.is_multiple_of(37))) as u16 % blocks * if n < 400 { 3 } else { 1 });
        }
        // More than a table of 256 holds, where that is wanted.
        (0..usize::from(blocks)).for_each(|n| voxels[n] = BlockId(n as u16));
        let mut chunk = Chunk::from_blocks(&voxels);
        chunk.set_sparse(LocalIndex::new(5).unwrap(), Some([1u8, 2][..].into())).unwrap();
        let mut bytes = Vec::new();
        pack_chunk(&chunk, class, &mut outer, &mut bytes);
        assert!(unpack_chunk(&bytes, &mut outer) == Ok(chunk));
        write_packed(name, &bytes);
    }
    let local = |at| LocalIndex::new(at).unwrap();
    let pos = VoxelPos::new(40, 7, -3).unwrap();
    let delta = ChunkDelta {
        pos: pos.chunk(),
        from: Version::GENERATED,
        to: Version::GENERATED.next(2),
        cause: Cause { kind: CauseKind::Blast, actor: ActorId(9), root: 3 },
        body: Some(BodyId { tick: 4, origin: pos }),
        runs: vec![
            Run { first: local(30), length: 5, old: BlockId(1), new: BlockId(0) },
            Run { first: local(900), length: 1, old: BlockId(2), new: BlockId(7) },
        ],
        sparse: vec![SparseChange { local: local(30), old: Some([3u8][..].into()), new: None }],
    };
    let deltas = [delta.clone(), ChunkDelta { body: None, sparse: Vec::new(), ..delta }];
    for (name, class) in [("deltas", Class::Fast), ("deltas_small", Class::Small)] {
        let mut bytes = Vec::new();
        pack_deltas(8, &deltas, class, &mut outer, &mut bytes);
        assert_eq!(unpack_deltas(&bytes, &mut outer).unwrap().chunks, deltas);
        write_packed(name, &bytes);
    }
    let mut bytes = Vec::new();
    pack_changes(8, &deltas, Class::Fast, &mut outer, &mut bytes);
    write_packed("changes", &bytes);
}
