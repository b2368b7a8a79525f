use super::super::{ABOVE, ALL, BELOW, FACES, NONE, Operator, TENTHS, reference};
use super::*;
use proptest::prelude::*;

/// A box of voxels that lies across the borders of chunks.
struct Scene {
    rules: Arc<Rules>,
    size: [usize; 3],
    origin: [i32; 3],
}

impl Scene {
    fn pos(&self, index: usize) -> VoxelPos {
        let [width, _, depth] = self.size;
        let at = [index % width, index / (width * depth), index / width % depth];
        VoxelPos::try_from(std::array::from_fn::<i32, 3, _>(|axis| self.origin[axis] + at[axis] as i32)).unwrap()
    }

    /// A field with the box in it, loaded in `parts` calls, and class 0 around it.
    fn field(&self, classes: &[u8], parts: usize) -> Field {
        let mut chunks: std::collections::BTreeMap<ChunkPos, Classes> = std::collections::BTreeMap::new();
        for (index, class) in classes.iter().enumerate() {
            let pos = self.pos(index);
            chunks.entry(pos.chunk()).or_insert(Classes::One(0)).set(pos.local(), *class);
        }
        let chunks: Vec<_> = chunks.into_iter().collect();
        let mut field = Field::new(Arc::clone(&self.rules));
        for part in chunks.chunks(chunks.len().div_ceil(parts)) {
            field.load(part.to_vec());
        }
        field
    }

    fn distances(&self, field: &Field, count: usize) -> Vec<u32> {
        (0..count).map(|index| field.distance(self.pos(index))).collect()
    }
}

fn class(neighbours: u32, free: usize) -> impl Strategy<Value = Class> {
    let loss = prop::collection::vec(1..5u16, 26);
    let source = prop_oneof![4 => Just(NONE), 1 => 0..6u32];
    (source, prop_oneof![2 => Just(0u32), 1 => 0..12u32], any::<u32>(), loss, prop::bool::weighted(0.6)).prop_map(
        move |(source, floor, exits, loss, falls)| {
            let mut losses: [u16; 26] = loss.try_into().unwrap();
            losses[free] = if falls { 0 } else { losses[free] };
            Class { source, floor, exits: (exits | FACES & 0x2d) & neighbours, losses }
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    let neighbours = prop_oneof![3 => Just(FACES), 1 => Just(ALL)];
    (neighbours, prop_oneof![Just(BELOW), Just(ABOVE)], any::<bool>(), 8..40u32).prop_flat_map(
        |(neighbours, free, plus, limit)| {
            let operator = if plus { Operator::MinPlus } else { Operator::MaxMinus };
            prop::collection::vec(class(neighbours, free), 2..6).prop_map(move |mut classes| {
                classes[0] = Class::CLOSED;
                Rules::new(operator, limit, classes).unwrap()
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Any order of loading and of edits ends where the definition ends, and the work stays within what changed.
    #[test]
    fn incremental_equals_from_scratch_across_chunk_borders(
        rules in rules(),
        voxels in prop::collection::vec(any::<u8>(), 9 * 7 * 8),
        edits in prop::collection::vec(prop::collection::vec((0..9 * 7 * 8usize, any::<u8>()), 1..24), 1..6),
        parts in 1..4usize,
    ) {
        let count = rules.classes().len() as u8;
        let scene = Scene { rules: Arc::new(rules), size: [9, 7, 8], origin: [-4, 28, 60] };
        let mut classes: Vec<u8> = voxels.iter().map(|v| v % count).collect();
        let mut field = scene.field(&classes, parts);
        let mut before = reference::solve(&scene.rules, scene.size, &classes, None);
        prop_assert_eq!(&scene.distances(&field, classes.len()), &before);
        for edit in edits {
            let changes: Vec<_> = edit.iter().map(|(at, class)| (scene.pos(*at), class % count)).collect();
            edit.iter().for_each(|(at, class)| classes[*at] = class % count);
            let updated = field.update(&changes);
            let after = reference::solve(&scene.rules, scene.size, &classes, None);
            prop_assert_eq!(&scene.distances(&field, classes.len()), &after);
            let mut expected: Vec<_> =
                (0..after.len()).filter(|at| before[*at] != after[*at]).map(|at| (scene.pos(at), before[at], after[at])).collect();
            expected.sort_unstable();
            let told: Vec<_> = updated.changed.iter().map(|c| (c.pos, c.old, c.new)).collect();
            prop_assert_eq!(told, expected.clone());
            let per_voxel = if scene.rules.exits() == FACES { 64 } else { 256 };
            prop_assert!(updated.visited <= per_voxel * (changes.len() + expected.len()) as u64, "{} visits", updated.visited);
            before = after;
        }
    }
}

/// The same distances whether voxels wait in a ring or tiles are swept, which a field does that has something in it.
#[test]
fn few_open_voxels_are_solved_as_many_are() {
    for (limit, dearest, one_in) in [(u32::MAX, 7, 3), (1_000, 255, 4), (u32::MAX, 255, 64), (3, 1, 3)] {
        let class = |n: u16| Class { source: if n == 1 { 1 } else { NONE }, exits: FACES, losses: [n; 26], floor: 0 };
        let mut classes: Vec<Class> = (0..=dearest).map(class).collect();
        (classes[0], classes[1].losses) = (Class::CLOSED, [dearest; 26]);
        let rules = Arc::new(Rules::new(Operator::MinPlus, limit, classes).unwrap());
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = |below: u64| {
            random = crate::digest::mix(random.wrapping_add(1));
            random % below
        };
        let places = (0..12).map(|n| ChunkPos::new(n % 3, n / 6 - 1, n / 3 % 2).unwrap());
        let mut given: Vec<super::Given> = Vec::new();
        for (n, pos) in places.enumerate() {
            let mut classes = Classes::One(0);
            let mut exits = Arc::new([u32::MAX; CHUNK_VOXELS]);
            for local in (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new).filter(|_| n != 7) {
                // Planks that lead far, and single voxels.
                let is_open = local.y() % 4 == 0 && next(8) > 0 || next(one_in * 4) == 0;
                classes
                    .set(local, if is_open { 2.min(dearest) as u8 + next(2) as u8 * (dearest as u8 / 2) } else { 0 });
                Arc::make_mut(&mut exits)[local.index()] = if next(5) == 0 { next(64) as u32 } else { u32::MAX };
            }
            if n % 5 == 0 {
                (0..3).for_each(|k| classes.set(LocalIndex::from_xyz(k * 9, 4, 11), 1));
            }
            given.push((pos, classes, (n % 2 == 0).then_some(exits)));
        }
        let mut waiting = Field::new(Arc::clone(&rules));
        waiting.load_limited(given.clone());
        let mut swept = Field::new(Arc::clone(&rules));
        swept.load(vec![(ChunkPos::new(90, 0, 0).unwrap(), Classes::One(0))]);
        swept.load_limited(given.clone());
        let mut reached = 0;
        for (pos, ..) in &given {
            let values = [&waiting, &swept].map(|field| field.values(*pos).unwrap());
            for index in 0..CHUNK_VOXELS {
                let [ours, theirs] = values.map(|values| values.get_index(index, limit));
                assert_eq!(ours, theirs, "voxel {index} of chunk {pos}, limit {limit}");
                reached += usize::from(ours < limit);
            }
        }
        assert!(queue::fits(&waiting) && reached > 0, "limit {limit}");
        assert!(limit < u32::MAX || reached > 5_000, "only {reached} voxels are reached");
    }
}

/// Solves with a field of its own, as a device would: without knowing what else is loaded.
struct Elsewhere(std::sync::atomic::AtomicUsize);

impl Bulk for Elsewhere {
    fn solve(&self, rules: &Rules, chunks: &[Given]) -> Option<Vec<Values>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut field = Field::new(Arc::new(rules.clone()));
        field.load_limited(chunks.to_vec());
        Some(chunks.iter().map(|(pos, ..)| field.values(*pos).unwrap().clone()).collect())
    }
}

#[test]
fn chunks_that_were_solved_elsewhere_join_what_is_loaded_already() {
    let registry = crate::block::Registry::built_in();
    let table = crate::physics::support::table(&registry).unwrap();
    let class = |name| table.class(registry.id(name).unwrap());
    let classes = |pos: ChunkPos| {
        let mut classes = Classes::One(class(if pos.y() < 0 { "bedrock" } else { "air" }));
        // Shelves that hang from a wall in the first chunk only.
        for local in (0..CHUNK_VOXELS as u16).filter_map(LocalIndex::new).filter(|_| pos.y() == 0) {
            let wall = pos.x() == 0 && local.x() == 0;
            if wall || local.y() % 8 == 5 || local.get() % 97 == 0 {
                classes.set(local, class(if wall { "stone" } else { "oak_planks" }));
            }
        }
        (pos, classes)
    };
    let chunks = |range: std::ops::Range<i32>| {
        range.flat_map(|x| (-1..1).flat_map(move |y| (0..3).map(move |z| ChunkPos::new(x, y, z).unwrap()))).map(classes)
    };
    let mut whole = Field::new(Arc::clone(table.rules()));
    whole.load(chunks(0..8).collect());
    let elsewhere = Arc::new(Elsewhere(Default::default()));
    let mut joined = Field::new(Arc::clone(table.rules())).with_bulk(Some(Arc::clone(&elsewhere) as Arc<dyn Bulk>));
    joined.load(chunks(4..8).collect());
    joined.load(chunks(0..1).collect());
    joined.load(chunks(1..4).collect());
    assert_eq!(elsewhere.0.load(std::sync::atomic::Ordering::Relaxed), 2, "small loads stay here");
    for (pos, _) in chunks(0..8) {
        let at = |field: &Field, n| field.values(pos).unwrap().get_index(n, 255);
        assert!((0..CHUNK_VOXELS).all(|n| at(&whole, n) == at(&joined, n)), "chunk {pos}");
    }
}

#[test]
fn values_move_between_forms_without_loss() {
    let local = |n| LocalIndex::new(n).unwrap();
    let limit = 10_000_000;
    let mut values = Values::One(limit);
    let mut expected = vec![limit; CHUNK_VOXELS];
    for (n, value) in
        [(0, 700_000), (5, 700_001), (9, 765_534), (11, limit), (30, 699_999), (77, 9_999_999), (5, limit)]
    {
        values.set(local(n), value, limit);
        expected[usize::from(n)] = value;
        let all: Vec<u32> = (0..CHUNK_VOXELS as u16).map(|n| values.get(local(n), limit)).collect();
        assert_eq!(all, expected, "after {value} at {n}");
    }
    assert!(matches!(values, Values::Wide(_)));
}

#[test]
fn tenths_are_no_more_than_the_true_length() {
    assert!(TENTHS.iter().zip([100u32, 200, 300]).all(|(tenths, square)| u32::from(*tenths).pow(2) <= square));
}
