//! What an undo plans, against a model that looks at each voxel by itself; and that putting back is exact.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, Sparse, Version};
use terrane_world::physics::RuleSet;
use terrane_world::physics::plan::Owned;
use terrane_world::space::{ChunkPos, ColumnPos, LocalIndex, VoxelPos};
use terrane_world::step::{
    ActorId, Cause, CauseKind, ChunkDelta, ChunkSource, Deltas, Held, Input, Outcome, Ring, Run, SourceError,
    SparseChange, Standing, Swap, VoxelEdit, VoxelRestore, World,
};
use terrane_world::undo::plan::{PLAN_VOXELS_MAX, Plan, Planner, TooMuch};
use terrane_world::undo::{Filter, Kinds, Request, Rule};

const ID: u64 = 1_000;

fn request(filter: Filter, rule: Rule) -> Request {
    Request { id: ID, actor: ActorId(50), filter, rule, takes_back: None }
}

fn everything() -> Filter {
    Filter { actors: None, within: None, since: 0, until: ID, kinds: Kinds::all_but_undo(), undo: None }
}

/// What a voxel holds.
type State = (u16, Option<u8>);

/// One change of one voxel of a history.
#[derive(Debug, Clone)]
struct Change {
    voxel: u16,
    to: State,
    cause: Cause,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let cause = (1u64..4, 0usize..7, 1u64..4).prop_map(|(actor, kind, root)| Cause {
        kind: CauseKind::ALL[kind],
        actor: ActorId(actor),
        root,
    });
    let change = (0u16..5, 0u16..4, prop::option::weighted(0.2, 0u8..2), cause);
    prop::collection::vec(
        change.prop_map(|(voxel, block, sparse, cause)| Change { voxel, to: (block, sparse), cause }),
        0..40,
    )
}

fn data(sparse: Option<u8>) -> Option<Sparse> {
    sparse.map(|byte| [byte][..].into())
}

/// A history of single changes, one a tick, over voxels that are 0 at first; what changes nothing is left out.
struct History {
    deltas: Vec<(u64, ChunkDelta)>,
    /// By voxel, what it was before each change, and the change.
    voxels: BTreeMap<u16, Vec<(State, State, u64, Cause)>>,
    now: BTreeMap<u16, State>,
}

fn delta(voxel: u16, from: State, to: State, cause: Cause) -> ChunkDelta {
    let local = LocalIndex::new(voxel).unwrap();
    let run = Run { first: local, length: 1, old: BlockId(from.0), new: BlockId(to.0) };
    let change = SparseChange { local, old: data(from.1), new: data(to.1) };
    ChunkDelta {
        pos: ChunkPos::new(0, 0, 0).unwrap(),
        from: Version::NONE,
        to: Version::NONE,
        cause,
        body: None,
        runs: if from.0 == to.0 { vec![] } else { vec![run] },
        sparse: if from.1 == to.1 { vec![] } else { vec![change] },
    }
}

fn history(changes: &[Change]) -> History {
    let mut history = History { deltas: Vec::new(), voxels: BTreeMap::new(), now: BTreeMap::new() };
    for (tick, change) in changes.iter().enumerate() {
        let (tick, to) = (tick as u64 + 1, change.to);
        let from = history.now.insert(change.voxel, to).unwrap_or((0, None));
        if from != to {
            history.deltas.push((tick, delta(change.voxel, from, to, change.cause)));
            history.voxels.entry(change.voxel).or_default().push((from, to, tick, change.cause));
        }
    }
    history
}

fn plan(deltas: &[(u64, ChunkDelta)], request: &Request) -> Plan {
    let mut planner = Planner::new(request, PLAN_VOXELS_MAX);
    deltas.iter().for_each(|(tick, delta)| planner.take(*tick, delta).unwrap());
    planner.finish()
}

/// What the definition says of one voxel: its state after the undo, and whether somebody else had changed it.
fn model(changes: &[(State, State, u64, Cause)], request: &Request) -> Option<(State, bool)> {
    let chosen = |(_, _, tick, cause): &(State, State, u64, Cause)| request.filter.chooses(*tick, cause);
    let first = changes.iter().position(chosen)?;
    let now = changes.last()?.1;
    let (mut run, mut conflict): (Vec<_>, bool) = (Vec::new(), false);
    for change in &changes[first..] {
        let (from, to, _, cause) = change;
        if chosen(change) {
            if std::mem::take(&mut conflict) {
                run.clear();
            }
            run.push((*from, *to));
        } else if cause.kind != CauseKind::Undo {
            conflict = true;
        } else if cause.root != request.id && from.0 != to.0 {
            let blocks = run.iter().filter(|(from, to)| from.0 != to.0).flat_map(|(from, to)| [from.0, to.0]);
            conflict = !blocks.into_iter().any(|block| block == to.0);
        }
    }
    // Blocks and sparse data each go back to what they were before they first changed.
    let back = |from: &[(State, State)]| {
        let block = from.iter().find(|(from, to)| from.0 != to.0).map_or(now.0, |(from, _)| from.0);
        let sparse = from.iter().find(|(from, to)| from.1 != to.1).map_or(now.1, |(from, _)| from.1);
        (block, sparse)
    };
    let all: Vec<(State, State)> = changes[first..].iter().map(|(from, to, ..)| (*from, *to)).collect();
    let after = match (conflict, request.rule) {
        (true, Rule::Keep) => now,
        (true, Rule::Overwrite) => back(&all),
        (false, _) => back(&run),
    };
    Some((after, conflict))
}

/// Applies a plan to what a history left, as the step does; gives the deltas.
fn apply(history: &mut History, plan: &mut Plan, id: u64) -> Vec<(u64, ChunkDelta)> {
    let mut deltas = Vec::new();
    while let [voxel] = &plan.take_part(1)[..] {
        let at = voxel.pos.local().get();
        let from = history.now[&at];
        let mut to = from;
        if let Some(Swap { from: was, to: shall }) = &voxel.block {
            assert_eq!(was.0, from.0);
            to.0 = shall.0;
        }
        if let Some(swap) = &voxel.sparse {
            assert_eq!(swap.from, data(from.1));
            to.1 = swap.to.as_ref().map(|data| data[0]);
        }
        assert_ne!(from, to, "what does not change is not planned");
        history.now.insert(at, to);
        let cause = Cause { kind: CauseKind::Undo, actor: ActorId(50), root: id };
        deltas.push((id + 1, delta(at, from, to, cause)));
    }
    deltas
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn plans_are_what_the_definition_says_and_an_undo_of_an_undo_gives_everything_back(
        changes in changes(),
        actors in prop::option::of(prop::collection::btree_set((1u64..4).prop_map(ActorId), 0..3)),
        kinds in prop::collection::vec(0usize..7, 1..7),
        (since, until) in (0u64..30, 10u64..50),
        undo in prop::option::weighted(0.2, 1u64..4),
        overwrite: bool,
    ) {
        let kinds: Kinds = kinds.into_iter().map(|n| CauseKind::ALL[n]).collect();
        let filter = Filter { actors, within: None, since, until, kinds, undo };
        let rule = if overwrite { Rule::Overwrite } else { Rule::Keep };
        let request = request(filter, rule);
        let mut history = history(&changes);
        let mut plan = plan(&history.deltas, &request);
        let expected: BTreeMap<u16, (State, bool)> =
            history.voxels.iter().filter_map(|(voxel, all)| Some((*voxel, model(all, &request)?))).collect();
        let before = history.now.clone();
        let mut after = before.clone();
        after.extend(expected.iter().map(|(voxel, (state, _))| (*voxel, *state)));
        let changed = before.iter().filter(|(voxel, state)| after[voxel] != **state).count() as u64;
        prop_assert_eq!(plan.summary.voxels, changed);
        prop_assert_eq!(plan.summary.kinds.values().sum::<u64>(), changed);
        let conflicts = expected.values().filter(|(_, conflict)| *conflict).count() as u64;
        prop_assert_eq!(plan.summary.conflict_count(), conflicts);
        let kept = if overwrite { 0 } else { conflicts };
        prop_assert_eq!(plan.summary.voxels + plan.summary.unchanged + kept, expected.len() as u64);

        let undo = apply(&mut history, &mut plan, ID);
        prop_assert_eq!(&history.now, &after);
        // Planned again after it was done, or half of it, it only does what is left.
        for done in [undo.len(), undo.len() / 2] {
            let again = [&history.deltas[..], &undo[..done]].concat();
            let left = self::plan(&again, &request).summary.voxels;
            prop_assert_eq!(left, (undo.len() - done) as u64);
        }
        let all = [history.deltas.clone(), undo].concat();
        let filter = Filter { undo: Some(ID), kinds: [CauseKind::Undo].into_iter().collect(), since: ID, until: 2 * ID, ..everything() };
        let back = Request { id: 2 * ID, filter, rule: Rule::Keep, actor: ActorId(50), takes_back: None };
        apply(&mut history, &mut self::plan(&all, &back), 2 * ID);
        prop_assert_eq!(&history.now, &before);
    }
}

#[test]
fn a_box_a_load_and_a_limit_bound_what_is_planned() {
    let cause = Cause { kind: CauseKind::Edit, actor: ActorId(1), root: 1 };
    let deltas: Vec<_> = (0..64).map(|n| (1, delta(n, (0, None), (1, None), cause))).collect();
    let within = Some("2,0,1:5,1,2".parse().unwrap());
    let boxed = plan(&deltas, &request(Filter { within, ..everything() }, Rule::Keep));
    let places: BTreeSet<_> = boxed.voxels().map(|voxel| voxel.pos.to_array()).collect();
    assert_eq!(places, [[2, 0, 1], [3, 0, 1], [4, 0, 1]].into());

    let all = request(everything(), Rule::Keep);
    let mut planner = Planner::new(&all, PLAN_VOXELS_MAX);
    deltas.iter().for_each(|(tick, delta)| planner.take(*tick, delta).unwrap());
    planner.replaced(ChunkPos::new(0, 0, 0).unwrap());
    planner.take(2, &delta(9, (5, None), (6, None), cause)).unwrap();
    let mut loaded = planner.finish();
    assert_eq!(loaded.summary.replaced.values().sum::<u64>(), 64);
    let left = loaded.take_part(10);
    assert_eq!(left[0].block, Some(Swap { from: BlockId(6), to: BlockId(5) }), "only what came after the load");
    assert_eq!((left.len(), loaded.take_part(10).len()), (1, 0));

    let mut planner = Planner::new(&all, 63);
    let result: Result<Vec<()>, TooMuch> = deltas.iter().map(|(tick, delta)| planner.take(*tick, delta)).collect();
    assert_eq!(result, Err(TooMuch { most: 63 }));
}

struct Empty;

impl ChunkSource for Empty {
    fn load(&self, _: ChunkPos) -> Result<Held, SourceError> {
        Ok(Held { chunk: Arc::new(Chunk::uniform(BlockId(0))), version: Version::NONE })
    }
}

fn world(rules: RuleSet) -> World {
    let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let registry = Arc::new(Registry::built_in());
    World::new(pool, Box::new(Empty), registry, Standing::default()).with_physics(rules).unwrap()
}

fn at(x: i32, y: i32, z: i32) -> VoxelPos {
    VoxelPos::new(x, y, z).unwrap()
}

fn build(world: &World, sequence: u64, voxels: &[(VoxelPos, &str, Option<&[u8]>)]) -> Input {
    let edit = |(pos, name, sparse): &(VoxelPos, &str, Option<&[u8]>)| VoxelEdit {
        pos: *pos,
        block: world.registry().id(name).unwrap(),
        sparse: sparse.map(Into::into),
    };
    Input::Edit { actor: ActorId(1), sequence, voxels: voxels.iter().map(edit).collect() }
}

fn is_settled(world: &World) -> bool {
    world.standing().columns.values().all(terrane_world::physics::state::ColumnState::is_settled)
}

/// Runs until nothing falls; every tick's deltas.
fn settle(world: &mut World, tick: &mut u64, inputs: &[Input]) -> Vec<Deltas> {
    let mut all = Vec::new();
    loop {
        *tick += 1;
        let deltas = world.step(*tick, if all.is_empty() { inputs } else { &[] }).unwrap();
        assert!(deltas.outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{:?}", deltas.outcomes);
        all.push(deltas);
        if is_settled(world) {
            return all;
        }
    }
}

/// Every voxel of some chunks, with its sparse data.
fn content(world: &mut World) -> Vec<(ChunkPos, Vec<u16>, BTreeMap<LocalIndex, Sparse>)> {
    let chunks = (-1..2).flat_map(|y| (-1..2).flat_map(move |z| (-1..2).map(move |x| ChunkPos::new(x, y, z).unwrap())));
    chunks
        .map(|pos| {
            let chunk = world.chunk(pos).unwrap().chunk;
            let blocks = (0..).map_while(LocalIndex::new).map(|local| chunk.get(local).0).collect();
            (pos, blocks, chunk.sparse().clone().into_iter().collect())
        })
        .collect()
}

fn tower(world: &World) -> Input {
    let mut voxels: Vec<(VoxelPos, &str, Option<&[u8]>)> = Vec::new();
    for x in -6..7 {
        voxels.extend((-6..7).map(|z| (at(x, 0, z), "bedrock", None)));
    }
    for y in 1..20 {
        voxels.extend([(0, 0), (0, 1), (1, 0), (1, 1)].map(|(x, z)| (at(x, y, z), "stone_bricks", None)));
    }
    voxels.push((at(0, 20, 0), "stone", Some(b"a chest")));
    build(world, 1, &voxels)
}

#[test]
fn a_blast_and_the_collapse_it_made_are_put_back_to_the_voxel_under_every_rule_set() {
    for rules in [RuleSet::Span, RuleSet::Connectivity] {
        let (mut world, mut tick) = (world(rules), 0);
        let built = tower(&world);
        settle(&mut world, &mut tick, &[built]);
        let before = content(&mut world);
        let blast = Input::Blast { actor: ActorId(2), sequence: 1, at: at(0, 3, 0), power: 60 };
        let happened = settle(&mut world, &mut tick, &[blast]);
        let kinds: BTreeSet<CauseKind> =
            happened.iter().flat_map(|d| &d.chunks).map(|delta| delta.cause.kind).collect();
        assert!(kinds.is_superset(&[CauseKind::Blast, CauseKind::Collapse, CauseKind::Landing].into()), "{kinds:?}");
        let after = content(&mut world);
        assert_ne!(before, after);

        let filter = Filter { actors: Some([ActorId(2)].into()), ..everything() };
        let request = request(filter, Rule::Keep);
        let mut planner = Planner::new(&request, PLAN_VOXELS_MAX);
        let all = happened.iter().flat_map(|d| d.chunks.iter().map(|delta| (d.tick, delta)));
        all.for_each(|(tick, delta)| planner.take(tick, delta).unwrap());
        let mut plan = planner.finish();
        assert_eq!((plan.summary.conflict_count(), plan.summary.bodies_in_part), (0, 0));
        let planned = plan.summary.voxels;
        let (mut sequence, mut put_back) = (1, 0);
        loop {
            let voxels = plan.take_part(25);
            if voxels.is_empty() {
                break;
            }
            sequence += 1;
            let input = Input::Restore { actor: ActorId(2), sequence, undo: ID, voxels };
            let done = settle(&mut world, &mut tick, &[input]);
            assert_eq!(done.len(), 1, "nothing falls of what was put back");
            assert!(done[0].chunks.iter().all(|delta| (delta.cause.kind, delta.cause.root) == (CauseKind::Undo, ID)));
            put_back += done[0].chunks.iter().flat_map(|d| &d.runs).map(|run| u64::from(run.length)).sum::<u64>();
        }
        assert_eq!(put_back, planned, "the preview's count is what happened");
        assert_eq!(content(&mut world), before);
        // It stands as it stood: what takes its hold away makes it fall as it did.
        let blast = Input::Blast { actor: ActorId(2), sequence: sequence + 1, at: at(0, 3, 0), power: 60 };
        settle(&mut world, &mut tick, &[blast]);
        assert_eq!(content(&mut world), after);
    }
}

#[test]
fn what_is_not_as_expected_stays() {
    let (mut world, mut tick) = (world(RuleSet::Off), 0);
    let place = build(
        &world,
        1,
        &[(at(0, 0, 0), "stone", None), (at(1, 0, 0), "sand", None), (at(2, 0, 0), "dirt", Some(b"x"))],
    );
    settle(&mut world, &mut tick, &[place]);
    let id = |name: &str| Registry::built_in().id(name).unwrap();
    let voxel = |x, from: &str, to: &str| VoxelRestore {
        pos: at(x, 0, 0),
        block: Some(Swap { from: id(from), to: id(to) }),
        sparse: None,
    };
    let other = Swap { from: Some(b"y"[..].into()), to: None };
    let wrong_data = VoxelRestore { sparse: Some(Box::new(other)), ..voxel(2, "dirt", "air") };
    let restore = Input::Restore {
        actor: ActorId(2),
        sequence: 1,
        undo: 9,
        voxels: vec![
            voxel(0, "stone", "air"),
            voxel(1, "dirt", "air"),
            wrong_data,
            voxel(0, "stone", "sand"),
            voxel(3, "air", "sand"),
        ],
    };
    // Another input of the same tick is faster.
    let faster = build(&world, 2, &[(at(3, 0, 0), "stone", None)]);
    settle(&mut world, &mut tick, &[faster, restore]);
    let chunk = world.chunk(ChunkPos::new(0, 0, 0).unwrap()).unwrap().chunk;
    let found: Vec<u16> = (0..4).map(|x| chunk.get(at(x, 0, 0).local()).0).collect();
    assert_eq!(found, [id("air").0, id("sand").0, id("dirt").0, id("stone").0]);
}

/// A world of one owner, or of two that share it at x = 0.
fn owners(count: usize) -> Vec<(World, Owned)> {
    if count == 1 {
        return vec![(world(RuleSet::Span), Owned::All)];
    }
    let columns = |xs: [i32; 2]| -> BTreeSet<ColumnPos> {
        xs.into_iter().flat_map(|x| (-2..2).map(move |z| ColumnPos::new(x, z).unwrap())).collect()
    };
    let owner =
        |columns: BTreeSet<ColumnPos>| (world(RuleSet::Span).owning(columns.clone()).unwrap(), Owned::Some(columns));
    vec![owner(columns([-2, -1])), owner(columns([0, 1]))]
}

/// One tick of every owner, each then told of the others'. Gives the deltas of all.
fn step_all(owners: &mut [(World, Owned)], tick: u64, inputs: &[Input]) -> Vec<Deltas> {
    let all: Vec<Deltas> = owners.iter_mut().map(|(world, _)| world.step(tick, inputs).unwrap()).collect();
    for (n, (world, owned)) in owners.iter_mut().enumerate() {
        all.iter().enumerate().filter(|(m, _)| *m != n).for_each(|(_, deltas)| world.hear(Ring::new(deltas, owned)));
    }
    all
}

/// Blocks of the scene, each as its owner has it.
fn blocks(owners: &mut [(World, Owned)]) -> Vec<u16> {
    let places = (-1..24).flat_map(|y| (-2..4).flat_map(move |z| (-20..20).map(move |x| at(x, y, z))));
    places
        .map(|pos| {
            let (world, _) = owners.iter_mut().find(|(_, owned)| owned.has(pos.chunk().column())).unwrap();
            world.chunk(pos.chunk()).unwrap().chunk.get(pos.local()).0
        })
        .collect()
}

/// A pier at x = −12, and from it a bridge over the border, cut at the pier; undone; and cut again.
fn cut_undone_and_cut(count: usize) -> Vec<Vec<u16>> {
    let mut owners = owners(count);
    let (mut seen, mut history, mut sequence) = (Vec::new(), Vec::new(), 0);
    let mut run = |owners: &mut [(World, Owned)], input: Input, from: u64, history: &mut Vec<(u64, ChunkDelta)>| {
        for tick in from..from + 60 {
            let all = step_all(owners, tick, if tick == from { std::slice::from_ref(&input) } else { &[] });
            history.extend(all.into_iter().flat_map(|deltas| deltas.chunks).map(|delta| (tick, delta)));
        }
        assert!(owners.iter().all(|(world, _)| is_settled(world)));
        seen.push(blocks(owners));
    };
    let mut next = || {
        sequence += 1;
        sequence
    };
    let mut voxels: Vec<(VoxelPos, &str, Option<&[u8]>)> = (-20..20).map(|x| (at(x, 0, 0), "bedrock", None)).collect();
    voxels.push((at(3, 0, 5), "bedrock", None));
    voxels.extend((1..12).map(|y| (at(-12, y, 0), "stone_bricks", None)));
    voxels.extend((-12..9).map(|x| (at(x, 12, 0), "oak_planks", None)));
    let place = build(&owners[0].0, next(), &voxels);
    run(&mut owners, place, 1, &mut history);
    let cut = |owners: &[(World, Owned)], sequence| {
        build(&owners[0].0, sequence, &[(at(-12, 12, 0), "air", None), (at(-11, 12, 0), "air", None)])
    };
    let first = cut(&owners, next());
    run(&mut owners, first, 100, &mut history);
    let request = request(Filter { since: 100, ..everything() }, Rule::Keep);
    let mut plan = plan(&history, &request);
    // First the half of the second owner, which then works out that nothing holds it; then what holds it, of the first one alone.
    let (theirs, mine) = plan.take_part(4_096).into_iter().partition::<Vec<_>, _>(|voxel| voxel.pos.x() < 0);
    let put_back = |sequence, voxels| Input::Restore { actor: ActorId(1), sequence, undo: ID, voxels };
    run(&mut owners, put_back(next(), mine), 200, &mut history);
    let beside = build(&owners[0].0, next(), &[(at(3, 1, 5), "stone", None)]);
    run(&mut owners, beside, 300, &mut history);
    run(&mut owners, put_back(next(), theirs), 400, &mut history);
    let again = cut(&owners, next());
    run(&mut owners, again, 500, &mut history);
    seen
}

#[test]
fn what_was_put_back_falls_alike_under_one_owner_and_under_two() {
    let [one, two] = [1, 2].map(cut_undone_and_cut);
    assert!(one[0] != one[1] && one[0] == one[4] && one[1] == one[5], "it falls, is put back, and falls again");
    assert_eq!(one, two);
}

/// A wall of bricks on bedrock.
fn wall(world: &World, sequence: u64, x0: i32) -> Input {
    let column = |x: i32, z: i32| {
        let bricks = (1..12).map(move |y| (at(x, y, z), "stone_bricks", None));
        std::iter::once((at(x, 0, z), "bedrock", None)).chain(bricks)
    };
    let voxels: Vec<_> = (x0..x0 + 12).flat_map(|x| (0..12).flat_map(move |z| column(x, z))).collect();
    build(world, sequence, &voxels)
}

#[test]
fn an_undo_leaves_what_is_worked_out_far_away_and_not_what_is_near() {
    let (mut world, mut tick) = (world(RuleSet::Span), 0);
    let walls = [wall(&world, 1, 0), wall(&world, 2, 1_000)];
    settle(&mut world, &mut tick, &walls);
    let mut sequence = 2;
    // How many voxels are looked at when somebody puts another brick on the first wall.
    let mut touch = |world: &mut World, tick: &mut u64, y: i32| {
        sequence += 1;
        let brick = build(world, sequence, &[(at(3, y, 3), "stone_bricks", None)]);
        settle(world, tick, &[brick]).iter().map(|deltas| deltas.counts.visited).sum::<u64>()
    };
    touch(&mut world, &mut tick, 12);
    let known = touch(&mut world, &mut tick, 13);
    let bricks = world.registry().id("stone_bricks").unwrap();
    let undo = |world: &mut World, tick: &mut u64, sequence: u64, x: i32| {
        let block = Some(Swap { from: bricks, to: BlockId(0) });
        let voxels = vec![VoxelRestore { pos: at(x, 11, sequence as i32), block, sparse: None }];
        let input = Input::Restore { actor: ActorId(2), sequence, undo: ID, voxels };
        assert_eq!(settle(world, tick, &[input])[0].chunks.len(), 1);
    };
    // The first part drops all of it, as both walls have just been built; then only what is near the first one is worked out.
    undo(&mut world, &mut tick, 1, 1_005);
    touch(&mut world, &mut tick, 14);
    undo(&mut world, &mut tick, 2, 1_005);
    let far = touch(&mut world, &mut tick, 15);
    undo(&mut world, &mut tick, 3, 5);
    let near = touch(&mut world, &mut tick, 16);
    assert!(far <= 2 * known && near > 4 * known.max(1), "{known} when it is known, {far} and {near} behind an undo");
}
