//! What a stage of a pipeline is, and what it is handed: maps of the ground, a chunk being made, and the chunks around it.
//!
//! A stage is a pure function twice over. First every stage, in order, writes its layers of the [`Maps`] of a column of
//! chunks (64×64 cells around a footprint of 32×32). Then every stage, in order, changes the voxels of a chunk, and may read
//! the maps, and the chunks around it as they stood before the stage. What it reads beyond its own chunk it declares as a
//! [`Halo`], so that the pipeline makes exactly that much more.

use super::error::{GenerateError, GeneratorError};
use super::palette::Palette;
use super::pool::{Pooled, Shelf, Shelved};
use super::setting::{PluginFile, StageSetting};
use super::simd::Level;
use crate::block::Registry;
use crate::limits::CHUNK_VOXELS;
use crate::space::ChunkPos;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::thread::LocalKey;

/// Cells of a map beyond the chunk's footprint on each side: what reaches into a chunk from beside it is at most this wide.
pub const MAP_MARGIN: i32 = 16;
/// Cells along one edge of a map.
pub const MAP_EDGE: usize = 64;
/// Cells of one layer.
pub const MAP_CELLS: usize = MAP_EDGE * MAP_EDGE;

const _: () = assert!(MAP_EDGE == crate::limits::CHUNK_EDGE + 2 * MAP_MARGIN as usize);

/// One layer of the maps; the numbers are those of shaders and plug-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum Layer {
    /// y of the first voxel above the ground, where there is no overhang.
    Height = 0,
    /// How many voxels the ground may bulge above or hollow below its height.
    Overhang = 1,
    /// Number of the biome.
    Biome = 2,
    /// Warmth, −32768..=32767.
    Temperature = 3,
    /// Wetness of the air, −32768..=32767.
    Humidity = 4,
    /// Inland is high, open sea is low.
    Continent = 5,
    /// Flat land is high, rugged land is low.
    Erosion = 6,
    /// y below which tunnels may run: above the height where they may open to the sky.
    CaveTop = 7,
    /// Voxels by which strata are shifted down.
    Tilt = 8,
    /// y of the water's surface; the least number there is where no water stands.
    Water = 9,
}

/// How many layers there are.
pub const LAYERS: usize = 10;

impl Layer {
    /// All layers, by number.
    pub const ALL: [Self; LAYERS] = [
        Self::Height,
        Self::Overhang,
        Self::Biome,
        Self::Temperature,
        Self::Humidity,
        Self::Continent,
        Self::Erosion,
        Self::CaveTop,
        Self::Tilt,
        Self::Water,
    ];
}

/// The value of [`Layer::Water`] where there is none.
pub const NO_WATER: i16 = i16::MIN;

/// One layer: a cell per x, z, index `x + 64·z`, both from −16 to 47 relative to the chunk's first voxel.
pub type Cells = [i16; MAP_CELLS];

/// The maps of one column of chunks.
#[derive(Clone)]
pub struct Maps {
    footprint: [i32; 2],
    layers: Pooled<Layers>,
    /// What is asked for at every chunk, worked out once.
    bounds: OnceLock<Bounds>,
}

/// All layers of a column's maps.
type Layers = [Cells; LAYERS];

thread_local! {
    static LAYERS_SHELF: Shelf<Layers> = const { Shelf::new(Vec::new()) };
    static ENTRIES_SHELF: Shelf<Entries> = const { Shelf::new(Vec::new()) };
}

impl Shelved for Layers {
    fn shelf() -> &'static LocalKey<Shelf<Self>> {
        &LAYERS_SHELF
    }
    fn fresh() -> Box<Self> {
        let layers = vec![[0i16; MAP_CELLS]; LAYERS].into_boxed_slice();
        layers.try_into().unwrap_or_else(|_| unreachable!("the length is LAYERS"))
    }
}

impl Shelved for Entries {
    fn shelf() -> &'static LocalKey<Shelf<Self>> {
        &ENTRIES_SHELF
    }
    fn fresh() -> Box<Self> {
        new_entries()
    }
}

/// Least and greatest values over the chunk's own footprint.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    layers: [(i16, i16); LAYERS],
    ground: (i32, i32),
}

impl PartialEq for Maps {
    fn eq(&self, other: &Self) -> bool {
        (self.footprint, &*self.layers) == (other.footprint, &*other.layers)
    }
}

impl Eq for Maps {}

impl Maps {
    /// All zero, but for water, of which there is none, for the footprint of the chunks at `x`, `z` (in chunks).
    pub fn new(x: i32, z: i32) -> Self {
        let mut layers = Pooled::<Layers>::take();
        layers.iter_mut().for_each(|layer| layer.fill(0));
        layers[Layer::Water as usize].fill(NO_WATER);
        Self { footprint: [x, z], layers, bounds: OnceLock::new() }
    }

    /// x and z of the chunks whose column this is, in chunks.
    pub const fn footprint(&self) -> [i32; 2] {
        self.footprint
    }

    /// x and z of the first cell, in voxels.
    pub const fn origin(&self) -> [i32; 2] {
        [self.footprint[0] * 32 - MAP_MARGIN, self.footprint[1] * 32 - MAP_MARGIN]
    }

    /// All cells of a layer.
    pub fn layer(&self, layer: Layer) -> &Cells {
        &self.layers[layer as usize]
    }

    /// All cells of a layer, to be written.
    pub fn layer_mut(&mut self, layer: Layer) -> &mut Cells {
        self.bounds = OnceLock::new();
        &mut self.layers[layer as usize]
    }

    /// All layers, in the order of their numbers.
    pub fn layers(&self) -> &[Cells; LAYERS] {
        &self.layers
    }

    /// All layers, to be written.
    pub fn layers_mut(&mut self) -> &mut [Cells; LAYERS] {
        self.bounds = OnceLock::new();
        &mut self.layers
    }

    /// One cell; `x` and `z` are voxels relative to the chunk's first one, −16..48.
    #[inline]
    pub fn at(&self, layer: Layer, x: i32, z: i32) -> i16 {
        self.layers[layer as usize][cell(x, z)]
    }

    /// Least and greatest value of a layer over the chunk's own footprint.
    pub fn range(&self, layer: Layer) -> (i16, i16) {
        self.bounds().layers[layer as usize]
    }

    /// Below the first y everything is ground, from the second up nothing is: height with overhang, over the chunk's own
    /// footprint.
    pub fn ground(&self) -> (i32, i32) {
        self.bounds().ground
    }

    fn bounds(&self) -> &Bounds {
        self.bounds.get_or_init(|| {
            let row = |layer: usize, z: i32| -> &[i16; 32] {
                self.layers[layer][cell(0, z)..].first_chunk().expect("a row of a map")
            };
            let layers = std::array::from_fn(|layer| {
                (0..32)
                    .flat_map(|z| row(layer, z))
                    .fold((i16::MAX, i16::MIN), |(low, high), value| (low.min(*value), high.max(*value)))
            });
            let heights =
                (0..32).flat_map(|z| row(Layer::Height as usize, z).iter().zip(row(Layer::Overhang as usize, z)));
            let ground = heights.fold((i32::MAX, i32::MIN), |(low, high), (height, overhang)| {
                let (height, overhang) = (i32::from(*height), i32::from(*overhang).max(0));
                (low.min(height - overhang), high.max(height + overhang))
            });
            Bounds { layers, ground }
        })
    }
}

/// Index of the cell at voxel `x`, `z` relative to the chunk's first one.
#[inline]
pub const fn cell(x: i32, z: i32) -> usize {
    (x + MAP_MARGIN) as usize + MAP_EDGE * (z + MAP_MARGIN) as usize
}

/// An index into the generator's palette: the voxels of a chunk being made. 0 is air.
pub type Entry = u8;

/// The voxels of a chunk being made, in local-index order.
pub type Entries = [Entry; CHUNK_VOXELS];

/// A chunk being made.
#[derive(Clone)]
pub struct Draft {
    pos: ChunkPos,
    uniform: Option<Entry>,
    // Undefined as long as `uniform` is set.
    entries: Pooled<Entries>,
}

impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.pos == other.pos && self.entries() == other.entries()
    }
}

impl Eq for Draft {}

impl Draft {
    /// All air.
    pub fn new(pos: ChunkPos) -> Self {
        Self { pos, uniform: Some(0), entries: Pooled::take() }
    }

    /// Begins anew with all air, in the same memory.
    pub fn reset(&mut self, pos: ChunkPos) {
        (self.pos, self.uniform) = (pos, Some(0));
    }

    /// Where the chunk is.
    pub const fn pos(&self) -> ChunkPos {
        self.pos
    }

    /// The entry that the whole chunk is known to consist of.
    pub const fn uniform(&self) -> Option<Entry> {
        self.uniform
    }

    /// Makes the whole chunk of one entry.
    pub fn fill(&mut self, entry: Entry) {
        self.uniform = Some(entry);
    }

    /// One voxel.
    #[inline]
    pub fn get(&self, local: usize) -> Entry {
        self.uniform.unwrap_or_else(|| self.entries[local])
    }

    /// All voxels, if the chunk is not known to consist of one entry.
    pub fn mixed(&self) -> Option<&Entries> {
        self.uniform.is_none().then_some(&*self.entries)
    }

    /// All voxels.
    pub fn entries(&self) -> Cow<'_, Entries> {
        match self.uniform {
            None => Cow::Borrowed(&*self.entries),
            Some(entry) => Cow::Owned([entry; CHUNK_VOXELS]),
        }
    }

    /// All voxels, to be changed.
    pub fn entries_mut(&mut self) -> &mut Entries {
        if let Some(entry) = self.uniform.take() {
            self.entries.fill(entry);
        }
        &mut self.entries
    }

    /// All voxels, to be written without being read: every one of them must be.
    pub fn entries_new(&mut self) -> &mut Entries {
        self.uniform = None;
        &mut self.entries
    }
}

/// Zeroed voxels on the heap.
pub fn new_entries() -> Box<Entries> {
    vec![0; CHUNK_VOXELS].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("the length is CHUNK_VOXELS"))
}

/// How far beyond its own chunk a stage reads voxels; at most 32 in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Halo {
    /// Along x and z, to both sides.
    pub sideways: u8,
    /// Towards higher y.
    pub up: u8,
    /// Towards lower y.
    pub down: u8,
}

impl Halo {
    /// Nothing beyond the chunk.
    pub const NONE: Self = Self { sideways: 0, up: 0, down: 0 };

    /// The chunks that a stage at `pos` reads voxels of, itself left out, as steps along x, y and z.
    pub fn steps(self) -> impl Iterator<Item = [i32; 3]> {
        let side = i32::from(self.sideways > 0);
        let (low, high) = (-i32::from(self.down > 0), i32::from(self.up > 0));
        let all =
            (low..=high).flat_map(move |y| (-side..=side).flat_map(move |z| (-side..=side).map(move |x| [x, y, z])));
        all.filter(|step| *step != [0; 3])
    }
}

/// The chunks around one, as they stood before the stage.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    drafts: [Option<&'a Draft>; 27],
}

impl<'a> Around<'a> {
    /// Nothing around.
    pub const NONE: Around<'static> = Around { drafts: [None; 27] };

    /// From a function of steps along x, y and z, each −1, 0 or 1.
    pub fn new(draft: impl Fn([i32; 3]) -> Option<&'a Draft>) -> Self {
        let step = |n: usize| [n % 3, n / 9, n / 3 % 3].map(|part| part as i32 - 1);
        Self { drafts: std::array::from_fn(|n| draft(step(n))) }
    }

    /// The chunk a step away, the middle one included. `None` outside the halo and outside the world.
    pub fn at(&self, [x, y, z]: [i32; 3]) -> Option<&'a Draft> {
        self.drafts[(x + 1 + 3 * (z + 1) + 9 * (y + 1)) as usize]
    }
}

/// A stage's twin in WGSL: which shader, and the parameters it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Stem of the shader's file, and of the file with the CPU kernel.
    pub stem: &'static str,
    /// Whether it writes layers of the maps.
    pub maps: bool,
    /// Whether it changes voxels.
    pub blocks: bool,
    /// The stage's parameters as 32-bit words; the head of each shader says which is which.
    pub parameters: Vec<u32>,
}

/// What a stage is handed beside the chunk.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The maps of the chunk's column.
    pub maps: &'a Maps,
    /// The chunks around, if the stage has asked for them.
    pub around: Around<'a>,
    /// The vector instructions to use. The bytes do not depend on it.
    pub level: Level,
}

/// One stage of a pipeline. Implement it to add a stage of your own in Rust; [`StageSource`] brings it in.
///
/// Both functions must depend on nothing but what they are handed and the stage's own settings and seed.
pub trait Stage: Send + Sync {
    /// The name in `world.toml`.
    fn name(&self) -> &str;

    /// How far beyond its chunk the stage reads voxels.
    fn halo(&self) -> Halo {
        Halo::NONE
    }

    /// Whether the stage reads its halo at this chunk; leaving it out where it does not saves the work of making it.
    fn reads_halo(&self, _pos: ChunkPos, _maps: &Maps) -> bool {
        self.halo() != Halo::NONE
    }

    /// Writes the stage's layers. Those of earlier stages are there.
    fn maps(&self, _maps: &mut Maps, _level: Level) -> Result<(), GenerateError> {
        Ok(())
    }

    /// Changes the voxels of a chunk.
    fn blocks(&self, _draft: &mut Draft, _context: &Context<'_>) -> Result<(), GenerateError> {
        Ok(())
    }

    /// The same in WGSL; without one the stage runs on the CPU in between.
    fn twin(&self) -> Option<Twin> {
        None
    }
}

/// What there is to make a stage from.
pub struct Making<'a> {
    /// The world's seed.
    pub seed: u64,
    /// The blocks that stages place; a stage asks it for an entry for each.
    pub palette: &'a mut Palette,
    /// The world's blocks.
    pub registry: &'a Registry,
    /// The plug-ins that `world.toml` names, with their bytes.
    pub plugins: &'a [PluginFile],
    /// The generator's own settings that are fixed for each version.
    pub fixed: Fixed,
}

/// What a generator's version fixes for all its stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// y of the layer that everything rests on; below it is nothing.
    pub floor: i32,
    /// y of the highest voxel of water.
    pub sea: i32,
}

/// Where stages come from that are not built in: plug-ins, and stages that a Rust user has written.
pub trait StageSource: Send + Sync {
    /// Makes a stage; `None` if this source has none of that name.
    fn stage(&self, setting: &StageSetting, making: &mut Making<'_>) -> Result<Option<Arc<dyn Stage>>, GeneratorError>;
}

/// No stages but the built-in ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuiltInOnly;

impl StageSource for BuiltInOnly {
    fn stage(&self, _: &StageSetting, _: &mut Making<'_>) -> Result<Option<Arc<dyn Stage>>, GeneratorError> {
        Ok(None)
    }
}
