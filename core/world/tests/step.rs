//! One tick: what goes in, what comes out, and that nothing but the input decides it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::limits::{ACTORS_MAX, EDIT_VOXELS_MAX, SPARSE_BYTES_MAX, TICK_INPUTS_MAX};
use terrane_world::space::{ChunkPos, VoxelPos};
use terrane_world::step::{
    ActorId, ChunkSource, Held, Input, Outcome, Refusal, SourceError, Standing, StepError, VoxelEdit, World,
    digest_change,
};

/// Stone everywhere, and a count of loads; one chunk can't be read.
struct Stone(Arc<AtomicUsize>);

impl ChunkSource for Stone {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match pos.to_array() {
            [5, 5, 5] => Err(SourceError("damaged".into())),
            _ => Ok(Held { chunk: Arc::new(Chunk::uniform(BlockId(1))), version: Version::GENERATED }),
        }
    }
}

fn world_with(threads: usize) -> (World, Arc<AtomicUsize>) {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let loads = Arc::new(AtomicUsize::new(0));
    let source = Box::new(Stone(Arc::clone(&loads)));
    let standing = Standing { epoch: 2, ..Standing::default() };
    (World::new(pool, source, Arc::new(Registry::built_in()), standing), loads)
}

fn world() -> World {
    world_with(1).0
}

fn set(at: [i32; 3], block: u16) -> VoxelEdit {
    VoxelEdit { pos: VoxelPos::try_from(at).unwrap(), block: BlockId(block), sparse: None }
}

fn edit(actor: u64, sequence: u64, voxels: Vec<VoxelEdit>) -> Input {
    Input::Edit { actor: ActorId(actor), sequence, voxels }
}

/// Edits all over the place, different for each tick.
fn scripted(tick: u64) -> Vec<Input> {
    (0..20u64)
        .map(|n| {
            let voxels = (0..30i32)
                .map(|i| {
                    let roll = (tick * 7919 + n * 104_729 + i as u64 * 1_299_709) as i32;
                    set([roll % 90 - 45, roll / 7 % 70 - 35, roll / 49 % 90 - 45], (roll % 60) as u16)
                })
                .collect();
            edit(n % 4, tick * 20 + n, voxels)
        })
        .collect()
}

#[test]
fn the_same_inputs_give_the_same_deltas_and_digests_on_any_number_of_threads() {
    let run = |threads| {
        let (mut world, _) = world_with(threads);
        (1..20)
            .map(|tick| world.step(tick, &scripted(tick)).unwrap())
            .map(|d| (d.digest, d.chunks, d.outcomes))
            .collect::<Vec<_>>()
    };
    let one = run(1);
    assert!(one == run(2) && one == run(7));
    assert_eq!(one.iter().map(|(digest, ..)| digest).collect::<BTreeSet<_>>().len(), 19, "each tick has its digest");
}

#[test]
fn the_digest_depends_on_the_state_and_not_on_the_way_there() {
    let (mut a, mut b) = (world(), world());
    a.step(1, &[edit(1, 1, vec![set([0, 0, 0], 5), set([40, 0, 0], 6)])]).unwrap();
    b.step(1, &[edit(1, 1, vec![set([40, 0, 0], 9)])]).unwrap();
    b.step(2, &[edit(1, 2, vec![set([40, 0, 0], 6)]), edit(2, 1, vec![set([0, 0, 0], 5)])]).unwrap();
    assert_eq!(a.standing().digest, b.standing().digest);
    b.step(3, &[edit(1, 3, vec![set([40, 0, 0], 1), set([0, 0, 0], 1)])]).unwrap();
    assert_eq!(b.standing().digest, 0, "back where the world began");
}

#[test]
fn deltas_hold_old_and_new_values_cause_and_a_chain_of_versions() {
    let mut world = world();
    let inputs = [
        edit(1, 1, vec![set([0, 0, 0], 5), set([1, 0, 0], 5), set([3, 0, 0], 5), set([2, 0, 0], 1)]),
        edit(2, 9, vec![set([0, 0, 0], 6)]),
        edit(2, 10, vec![set([0, 0, 0], 6)]),
    ];
    let deltas = world.step(1, &inputs).unwrap();
    assert_eq!(deltas.outcomes, [Outcome::Applied, Outcome::Applied, Outcome::Applied]);
    let [first, second] = &deltas.chunks[..] else {
        panic!("two causes, and an input that changed nothing: {:?}", deltas.chunks)
    };
    let runs: Vec<_> = first.runs.iter().map(|run| (run.first.get(), run.length, run.old.0, run.new.0)).collect();
    assert_eq!(runs, [(0, 2, 1, 5), (3, 1, 1, 5)]);
    assert_eq!((first.cause.actor, first.cause.root, first.from), (ActorId(1), 1, Version::GENERATED));
    assert_eq!((second.from, second.to), (first.to, Version { epoch: 2, count: 3 }));
    assert_eq!(second.runs[0].old, BlockId(5));
    assert_eq!(deltas.after[0].1.version, second.to);
    assert_eq!((deltas.before[0].1.version, deltas.before[0].1.chunk.table()), (Version::GENERATED, &[BlockId(1)][..]));
    let sum = deltas.chunks.iter().fold(0u64, |sum, d| sum.wrapping_add(digest_change(d.pos, &d.runs, &d.sparse)));
    assert_eq!(sum, deltas.digest);
}

#[test]
fn an_input_happens_as_a_whole_or_not_at_all() {
    let mut world = world();
    let unknown = world.registry().len() as u16;
    let inputs = [
        edit(1, 1, vec![set([0, 0, 0], 5), set([1, 0, 0], unknown)]),
        edit(1, 2, vec![set([0, 0, 0], 7), set([170, 170, 170], 7)]),
        edit(1, 3, vec![set([0, 0, 0], 8); EDIT_VOXELS_MAX + 1]),
        edit(1, 4, vec![set([9, 0, 0], 8)]),
    ];
    let deltas = world.step(1, &inputs).unwrap();
    assert!(matches!(
        &deltas.outcomes[..],
        [
            Outcome::Refused(Refusal::UnknownBlock(_)),
            Outcome::Refused(Refusal::Unreadable { .. }),
            Outcome::Refused(Refusal::TooManyVoxels(_)),
            Outcome::Applied,
        ]
    ));
    assert_eq!(deltas.chunks.len(), 1);
    assert_eq!(deltas.actors, [(ActorId(1), 4)], "refused inputs are decided too");
}

#[test]
fn repetitions_are_recognised_in_one_tick_and_in_later_ones() {
    let mut world = world();
    let once = edit(1, 1, vec![set([0, 0, 0], 5)]);
    let deltas = world.step(1, &[once.clone(), once.clone(), edit(2, 1, vec![set([0, 0, 0], 6)])]).unwrap();
    assert_eq!(deltas.outcomes, [Outcome::Applied, Outcome::Repeated, Outcome::Applied]);
    let deltas = world.step(2, &[once]).unwrap();
    assert_eq!(deltas.outcomes, [Outcome::Repeated]);
    assert!(deltas.chunks.is_empty());
    assert_eq!(world.actor_sequence(ActorId(1)), 1);
}

#[test]
fn sparse_data_comes_with_its_voxel_and_goes_with_it() {
    let mut world = world();
    let chest = VoxelEdit { sparse: Some([1, 2, 3][..].into()), ..set([0, 0, 0], 5) };
    let placed = world.step(1, &[edit(1, 1, vec![chest.clone()])]).unwrap();
    assert_eq!(placed.chunks[0].sparse[0].new.as_deref(), Some(&[1u8, 2, 3][..]));
    let dug = world.step(2, &[edit(1, 2, vec![set([0, 0, 0], 0)])]).unwrap();
    assert_eq!(dug.chunks[0].sparse[0].old.as_deref(), Some(&[1u8, 2, 3][..]));
    assert!(dug.after[0].1.chunk.sparse().is_empty());
    let huge = VoxelEdit { sparse: Some(vec![0u8; SPARSE_BYTES_MAX + 1].into()), ..set([0, 0, 0], 5) };
    let refused = world.step(3, &[edit(1, 3, vec![huge])]).unwrap();
    assert!(matches!(refused.outcomes[0], Outcome::Refused(Refusal::Sparse(_))) && refused.chunks.is_empty());
}

#[test]
fn ticks_only_go_up_and_take_so_many_inputs() {
    let mut world = world();
    world.step(5, &[]).unwrap();
    assert_eq!(world.step(5, &[]).unwrap_err(), StepError::TickOrder { given: 5, last: 5 });
    let many = vec![edit(1, 1, vec![]); TICK_INPUTS_MAX + 1];
    assert_eq!(world.step(6, &many).unwrap_err(), StepError::TooManyInputs(TICK_INPUTS_MAX + 1));
    assert_eq!(world.actor_sequence(ActorId(1)), 0, "an error means that nothing happened");
}

#[test]
fn chunks_leave_memory_under_the_budget_but_never_before_they_are_committed() {
    let (mut world, loads) = world_with(1);
    for n in 0..50 {
        world.chunk(ChunkPos::new(n, 0, 0).unwrap()).unwrap();
    }
    let changed = world.step(1, &[edit(1, 1, vec![set([0, 0, 0], 5)])]).unwrap();
    let full = world.resident_bytes();
    world.evict(0, 0);
    assert!(world.resident_bytes() < full);
    assert_eq!(world.chunk(ChunkPos::new(0, 0, 0).unwrap()).unwrap().version, changed.after[0].1.version);
    assert_eq!(loads.load(Ordering::Relaxed), 50, "the changed chunk stayed");
    world.evict(0, 1);
    assert_eq!(world.resident_bytes(), 0);
    world.chunk(ChunkPos::new(0, 0, 0).unwrap()).unwrap();
    assert_eq!(loads.load(Ordering::Relaxed), 51, "and is fetched again once it may go");
}

#[test]
fn only_the_actors_heard_last_are_remembered() {
    let mut world = world();
    let everybody: Vec<Input> = (0..TICK_INPUTS_MAX as u64).map(|actor| edit(actor + 1, 7, vec![])).collect();
    world.step(1, &everybody).unwrap();
    world.step(2, &[edit(999_999, 1, vec![])]).unwrap();
    assert_eq!(world.standing().actors.len(), ACTORS_MAX);
    assert_eq!(world.actor_sequence(ActorId(1)), 0, "the longest silent one, the lowest of equals, is forgotten");
    assert_eq!((world.actor_sequence(ActorId(2)), world.actor_sequence(ActorId(999_999))), (7, 1));
}

#[test]
fn inputs_are_plain_values_that_survive_serialisation() {
    let chest = VoxelEdit { sparse: Some([1, 2, 3][..].into()), ..set([-1, 2, -3], 5) };
    let input = edit(u64::MAX, 9, vec![chest]);
    let text = serde_json::to_string(&input).unwrap();
    assert_eq!(serde_json::from_str::<Input>(&text).unwrap(), input);
    assert!(serde_json::from_str::<Input>(&text.replace("[-1,2,-3]", "[-1,4096,-3]")).is_err(), "bounds hold here too");
}
