//! A world under one owner, and the same world under four who tell each other what lies along their borders.
#![allow(dead_code, reason = "each test that includes this uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use terrane_world::block::{AIR, BlockId, Registry, parse_rules};
use terrane_world::chunk::{Chunk, Version};
use terrane_world::physics::RuleSet;
use terrane_world::physics::plan::Owned;
use terrane_world::space::{ChunkPos, ColumnPos, VoxelPos};
use terrane_world::step::{
    ActorId, CauseKind, ChunkSource, Deltas, Held, Input, Outcome, Ring, SourceError, Standing, VoxelEdit, World,
};

/// Flat ground: bedrock at y = −32, stone to y = −1, nothing above and below; and what a scene has put there before
/// anybody looked, as an import would.
pub struct Ground {
    registry: Arc<Registry>,
    scene: BTreeMap<ChunkPos, Vec<(VoxelPos, BlockId)>>,
}

impl Ground {
    pub fn new(registry: &Arc<Registry>, scene: &[(VoxelPos, &str)]) -> Self {
        let mut by_chunk: BTreeMap<ChunkPos, Vec<(VoxelPos, BlockId)>> = BTreeMap::new();
        for (at, name) in scene {
            by_chunk.entry(at.chunk()).or_default().push((*at, registry.id(name).unwrap()));
        }
        Self { registry: Arc::clone(registry), scene: by_chunk }
    }
}

impl ChunkSource for Ground {
    fn load(&self, pos: ChunkPos) -> Result<Held, SourceError> {
        let id = |name| self.registry.id(name).unwrap();
        let mut chunk = Chunk::uniform(if pos.y() == -1 { id("stone") } else { AIR });
        if pos.y() == -1 {
            for local in 0..1024 {
                chunk.set(local.try_into().unwrap(), id("bedrock"));
            }
        }
        for (at, block) in self.scene.get(&pos).into_iter().flatten() {
            chunk.set(at.local(), *block);
        }
        Ok(Held { chunk: Arc::new(chunk), version: Version::GENERATED })
    }
}

pub fn pos(x: i32, y: i32, z: i32) -> VoxelPos {
    VoxelPos::new(x, y, z).unwrap()
}

/// Rules for scenes: `beam` spans 8 blocks from where it is held.
const RULES: &str = "[beam]\nstrength = 64\nside_loss = 8\nhang_loss = 16\ncolour = \"#886644\"\n";

pub fn registry() -> Arc<Registry> {
    let built_in = Registry::built_in();
    let mut names: Vec<String> = built_in.names().iter().map(ToString::to_string).collect();
    names.push("beam".into());
    Arc::new(Registry::from_names(&names, &parse_rules("scene", RULES).unwrap()).unwrap())
}

/// One owner and four, side by side.
pub struct Rig {
    pub registry: Arc<Registry>,
    pub one: World,
    four: Vec<(Owned, World)>,
    pub tick: u64,
    sequence: u64,
    /// Solid voxels that bodies of the one owner hold, by block.
    in_bodies: BTreeMap<BlockId, i64>,
}

impl Rig {
    /// A scene of blocks by name on flat ground, `threads` for every world. Four owners have the columns around the origin.
    pub fn new(scene: &[(VoxelPos, &str)], threads: usize, rules: RuleSet) -> Self {
        let registry = registry();
        let source = || -> Box<dyn ChunkSource> { Box::new(Ground::new(&registry, scene)) };
        Self::over(&registry, &source, pos(0, 0, 0), threads, rules)
    }

    /// Any world: `source` gives each owner the same chunks. Four owners have the columns around `corner`, where they meet.
    pub fn over(
        registry: &Arc<Registry>,
        source: &dyn Fn() -> Box<dyn ChunkSource>,
        corner: VoxelPos,
        threads: usize,
        rules: RuleSet,
    ) -> Self {
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        let world = || {
            let standing = Standing { epoch: 1, ..Standing::default() };
            World::new(Arc::clone(&pool), source(), Arc::clone(registry), standing).with_physics(rules).unwrap()
        };
        let columns = [[-1, -1], [0, -1], [-1, 0], [0, 0]]
            .map(|[x, z]| pos(corner.x() + x, corner.y(), corner.z() + z).chunk().column());
        let owner = |column: ColumnPos| {
            let columns = BTreeSet::from([column]);
            (Owned::Some(columns.clone()), world().owning(columns).unwrap())
        };
        let four = if rules == RuleSet::Connectivity { Vec::new() } else { columns.map(owner).into() };
        let registry = Arc::clone(registry);
        Self { one: world(), four, registry, tick: 0, sequence: 0, in_bodies: BTreeMap::new() }
    }

    pub fn id(&self, name: &str) -> BlockId {
        self.registry.id(name).unwrap()
    }

    pub fn edit(&mut self, voxels: &[(VoxelPos, &str)]) -> Input {
        self.sequence += 1;
        let edit = |(pos, name): &(VoxelPos, &str)| VoxelEdit { pos: *pos, block: self.id(name), sparse: None };
        Input::Edit { actor: ActorId(1), sequence: self.sequence, voxels: voxels.iter().map(edit).collect() }
    }

    /// The same over several columns: an input for each.
    pub fn edits(&mut self, voxels: &[(VoxelPos, &str)]) -> Vec<Input> {
        let mut by_column: BTreeMap<ColumnPos, Vec<(VoxelPos, &str)>> = BTreeMap::new();
        voxels.iter().for_each(|voxel| by_column.entry(voxel.0.chunk().column()).or_default().push(*voxel));
        by_column.values().map(|voxels| self.edit(voxels)).collect()
    }

    pub fn blast(&mut self, at: VoxelPos, power: u8) -> Input {
        self.sequence += 1;
        Input::Blast { actor: ActorId(1), sequence: self.sequence, at, power }
    }

    /// One tick of all; the digests of the four add up to that of the one, and no voxel is lost.
    pub fn step(&mut self, inputs: &[Input]) -> Deltas {
        self.tick += 1;
        let deltas = self.one.step(self.tick, inputs).unwrap();
        assert!(deltas.outcomes.iter().all(|outcome| *outcome == Outcome::Applied), "{:?}", deltas.outcomes);
        let of_four: Vec<Deltas> =
            self.four.iter_mut().map(|(owned, world)| world.step(self.tick, &mine(owned, inputs)).unwrap()).collect();
        for (index, (owned, world)) in self.four.iter_mut().enumerate() {
            let others = of_four.iter().enumerate().filter(|(other, _)| *other != index);
            others.for_each(|(_, deltas)| world.hear(Ring::new(deltas, owned)));
        }
        let sum = of_four.iter().fold(0u64, |sum, deltas| sum.wrapping_add(deltas.digest));
        assert!(
            of_four.is_empty() || sum == deltas.digest,
            "four owners differ from one in tick {}: {:?}",
            self.tick,
            deltas.counts
        );
        self.check_mass(&deltas);
        deltas
    }

    /// Steps without inputs until nothing is under way, at most `most` ticks; gives all deltas.
    pub fn settle(&mut self, most: u64) -> Vec<Deltas> {
        let mut all = Vec::new();
        while self.one.standing().columns.values().any(|state| !state.is_at_rest()) {
            assert!((all.len() as u64) < most, "still under way after {most} ticks: {:?}", self.one.standing().columns);
            all.push(self.step(&[]));
        }
        all
    }

    /// Blocks that fall, slide and land go from the grid into bodies and back, one for one.
    fn check_mass(&mut self, deltas: &Deltas) {
        let is_solid = |block: BlockId| self.registry.rule(block).unwrap().solid;
        let mut moved: BTreeMap<BlockId, i64> = BTreeMap::new();
        for delta in &deltas.chunks {
            let moves = matches!(delta.cause.kind, CauseKind::Collapse | CauseKind::Slide | CauseKind::Landing);
            assert_eq!(moves, delta.body.is_some(), "{delta:?}");
            for run in delta.runs.iter().filter(|_| moves) {
                *moved.entry(run.new).or_default() += i64::from(run.length);
                *moved.entry(run.old).or_default() -= i64::from(run.length);
            }
        }
        let mut bodies: BTreeMap<BlockId, i64> = BTreeMap::new();
        for body in self.one.standing().columns.values().flat_map(|state| state.bodies.values()) {
            body.shape.voxels().iter().for_each(|voxel| *bodies.entry(voxel.block).or_default() += 1);
        }
        let blocks: BTreeSet<BlockId> =
            moved.keys().chain(bodies.keys()).chain(self.in_bodies.keys()).copied().collect();
        for block in blocks.into_iter().filter(|block| is_solid(*block)) {
            let count = |map: &BTreeMap<BlockId, i64>| map.get(&block).copied().unwrap_or(0);
            assert_eq!(
                count(&moved) + count(&bodies),
                count(&self.in_bodies),
                "{:?} lost or doubled in tick {}",
                self.registry.name(block),
                self.tick
            );
        }
        self.in_bodies = bodies;
    }

    pub fn name(&mut self, at: VoxelPos) -> String {
        let block = self.one.chunk(at.chunk()).unwrap().chunk.get(at.local());
        self.registry.name(block).unwrap().to_owned()
    }

    /// Solid voxels of a box that have no support and nothing solid below them.
    pub fn hanging(&mut self, from: VoxelPos, to: VoxelPos) -> Vec<VoxelPos> {
        let mut hanging = Vec::new();
        for y in from.y()..=to.y() {
            for z in from.z()..=to.z() {
                for x in from.x()..=to.x() {
                    let (at, under) = (pos(x, y, z), pos(x, y - 1, z));
                    let is_solid = |rig: &mut Self, at: VoxelPos| {
                        let block = rig.one.chunk(at.chunk()).unwrap().chunk.get(at.local());
                        rig.registry.rule(block).is_some_and(|rule| rule.solid)
                    };
                    if is_solid(self, at) && !is_solid(self, under) {
                        let support = self.one.support(at.chunk()).expect("there are rules")[at.local().index()];
                        if support == 0 {
                            hanging.push(at);
                        }
                    }
                }
            }
        }
        hanging
    }

    /// How many voxels of a box have this block.
    pub fn count(&mut self, from: VoxelPos, to: VoxelPos, name: &str) -> usize {
        let all = (from.y()..=to.y())
            .flat_map(|y| (from.z()..=to.z()).flat_map(move |z| (from.x()..=to.x()).map(move |x| pos(x, y, z))));
        all.filter(|at| self.name(*at) == name).count()
    }
}

/// The inputs whose column an owner has. A scene never edits across columns in one input.
fn mine(owned: &Owned, inputs: &[Input]) -> Vec<Input> {
    let column = |input: &Input| match input {
        Input::Edit { voxels, .. } => voxels[0].pos.chunk().column(),
        Input::Blast { at, .. } => at.chunk().column(),
        Input::Restore { voxels, .. } => voxels[0].pos.chunk().column(),
        Input::Crowd { .. } | Input::Dismiss { .. } => unreachable!("a world that is shared out has no crowds"),
    };
    inputs.iter().filter(|input| owned.has(column(input))).cloned().collect()
}
