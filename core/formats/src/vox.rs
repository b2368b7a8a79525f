//! MagicaVoxel `.vox`: scenes of models, read with their transforms, and boxes of voxels, written.
//!
//! MagicaVoxel's z is up; ours is y. Its (x, y, z) become our (x, z, −1 − y): a quarter turn about x, so nothing is
//! mirrored. The scene's own coordinates are kept (plus the shift); a file without a scene graph has its lowest corner
//! at the origin instead.
//!
//! A `.vox` file knows colours, not blocks. Our own export names the block of each colour in its material (the
//! property [`NAME_PROPERTY`]); without such a name, a colour becomes the block `vox:rrggbb`, which has that colour.

use crate::volume::{Counts, ImportedChunk, ImportedFile, NOT_SAID, Problems, Source, SourceError, clipped};
use dot_vox::{DotVoxData, Model, SceneNode};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use terrane_world::block::{BlockId, Registry, is_block_name};
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::space::{ChunkPos, LocalIndex, VoxelBox, VoxelPos};

/// The property of a material that names a block, in files that we write.
pub const NAME_PROPERTY: &str = "_terrane_block";
/// Different blocks in one `.vox` file: a colour is one byte, and 0 is nothing.
pub const COLOURS_MAX: usize = 255;
/// Voxels along one edge of a model.
pub const MODEL_EDGE: i32 = 256;
/// Deepest nesting of the scene graph that is followed.
const DEPTH_MAX: usize = 64;
/// Most models placed in one scene: a graph may place one model many times over.
const PLACED_MAX: usize = 1 << 16;
/// Most voxels of one import or export, all models together: they take 4 bytes each on the way.
pub const VOXELS_MAX: u64 = 1 << 27;
/// The version that MagicaVoxel 0.99 writes.
const VERSION: u32 = 150;
/// What an export leaves out.
const AIRS: [&str; 3] = ["air", "cave_air", "void_air"];

/// Why a `.vox` file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VoxError {
    /// The chunks of the file do not follow one another to its end.
    #[error("this is not a whole .vox file: at byte {offset}, {problem}")]
    Structure {
        /// Where.
        offset: usize,
        /// What.
        problem: String,
    },
    /// The scene graph can't be followed.
    #[error("the scene of this .vox file can't be followed: {0}")]
    Scene(String),
    /// There is too much of it.
    #[error("{voxels} voxels are too many for .vox, {VOXELS_MAX} is the most: take a smaller part")]
    Large {
        /// How many.
        voxels: u64,
    },
    /// There are more blocks than colours.
    #[error(
        "the box holds {blocks} different blocks and a .vox file has {COLOURS_MAX} colours: choose a smaller box, or export .npy or .mca, which have no such limit"
    )]
    Colours {
        /// How many.
        blocks: usize,
    },
    /// A chunk names a block that the registry does not have.
    #[error("chunk {pos} holds block id {id}, which the world's registry does not have: the world is damaged there")]
    Unknown {
        /// Which chunk.
        pos: ChunkPos,
        /// Which id.
        id: u16,
    },
    /// A chunk could not be had for the export.
    #[error("chunk {pos} can't be read for the export: {error}")]
    Source {
        /// Which.
        pos: ChunkPos,
        /// Why.
        error: SourceError,
    },
    /// Writing failed.
    #[error("the .vox file can't be written: {0}")]
    Output(#[from] io::Error),
}

/// Reads a scene. Only its voxels are said; the space between them shows what was there before. Of an animation the
/// first frame is taken, hidden layers are imported like the others, and of models that overlap the later one wins.
pub fn read(bytes: &[u8], shift: [i32; 3]) -> Result<ImportedFile, VoxError> {
    let checked = check_structure(bytes)?;
    let data =
        dot_vox::load_bytes(bytes).map_err(|problem| VoxError::Structure { offset: 0, problem: problem.to_owned() })?;
    let found = [data.scenes.len(), data.models.len(), data.materials.len()];
    if [checked.nodes.len(), checked.models, checked.materials] != found {
        return Err(VoxError::Scene("a model, a material or a node is damaged".to_owned()));
    }
    let placed = placed_models(&data, &checked.nodes)?;
    let voxels = placed.iter().map(|(model, _)| data.models[*model].voxels.len() as u64).sum();
    if voxels > VOXELS_MAX {
        return Err(VoxError::Large { voxels });
    }
    Ok(assemble(&data, &placed, shift))
}

struct Checked {
    /// The ids of scene nodes in file order.
    nodes: HashMap<u32, usize>,
    models: usize,
    materials: usize,
}

/// Walks the chunks before the parser does: it would nest without bound, stop at the first damage without a word, and
/// number nodes by their order whatever their ids say.
fn check_structure(bytes: &[u8]) -> Result<Checked, VoxError> {
    let wrong = |offset: usize, problem: &str| VoxError::Structure { offset, problem: problem.to_owned() };
    let u32_at = |at: usize| {
        bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).ok_or(wrong(at, "it is cut short"))
    };
    if !bytes.starts_with(b"VOX ") || bytes.get(8..12) != Some(b"MAIN") {
        return Err(wrong(0, "it does not begin with VOX and MAIN"));
    }
    let mut at = 20usize.saturating_add(u32_at(12)? as usize);
    let end = at.saturating_add(u32_at(16)? as usize);
    if end > bytes.len() {
        return Err(wrong(bytes.len(), "it is cut short"));
    }
    let mut checked = Checked { nodes: HashMap::new(), models: 0, materials: 0 };
    while at < end {
        let (content, children) = (u32_at(at + 4)? as usize, u32_at(at + 8)? as usize);
        if children != 0 {
            return Err(wrong(at, "a chunk has chunks inside, which none but MAIN has"));
        }
        let id = &bytes[at..at + 4];
        if !id.is_ascii() || id == b"RGBA" && content != 1024 {
            return Err(wrong(at, "a chunk is damaged"));
        }
        match id {
            b"MATL" => checked.materials += 1,
            b"XYZI" => checked.models += 1,
            b"nTRN" | b"nGRP" | b"nSHP" => {
                let order = checked.nodes.len();
                if checked.nodes.insert(u32_at(at + 12)?, order).is_some() {
                    return Err(wrong(at, "a scene node's id is there twice"));
                }
            }
            _ => {}
        }
        at = at.saturating_add(12 + content);
    }
    if at == end { Ok(checked) } else { Err(wrong(end, "its last chunk is cut short")) }
}

/// A rotation by signed axes and a translation, as a scene node has it: row `r` of the matrix has `sign[r]` in column
/// `axis[r]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transform {
    axis: [usize; 3],
    sign: [i64; 3],
    offset: [i64; 3],
}

impl Transform {
    /// Nothing moves.
    pub const IDENTITY: Self = Self { axis: [0, 1, 2], sign: [1; 3], offset: [0; 3] };

    /// From the rotation byte `_r` (bits 0–1 and 2–3: the columns of the first and second row; bits 4–6: signs of the
    /// three rows) and the translation `_t`. `None` if the byte names one column twice.
    pub fn new(rotation: u8, offset: [i64; 3]) -> Option<Self> {
        let (first, second) = (usize::from(rotation & 3), usize::from(rotation >> 2 & 3));
        if first > 2 || second > 2 || first == second {
            return None;
        }
        let sign = [4, 5, 6].map(|bit| if rotation >> bit & 1 == 0 { 1 } else { -1 });
        Some(Self { axis: [first, second, 3 - first - second], sign, offset })
    }

    /// `self` after `inner`.
    fn after(&self, inner: &Self) -> Self {
        let row = |r: usize| inner.axis[self.axis[r]];
        Self {
            axis: [0, 1, 2].map(row),
            sign: [0, 1, 2].map(|r| self.sign[r] * inner.sign[self.axis[r]]),
            offset: [0, 1, 2].map(|r| self.sign[r] * inner.offset[self.axis[r]] + self.offset[r]),
        }
    }

    /// Where the voxel at `cell` of a model of `size` comes to lie. A model turns about the corner at size ÷ 2, rounded
    /// down, and a voxel is the unit cube above its coordinates, so what is turned round lands one lower.
    pub fn cell(&self, cell: [i64; 3], size: [i64; 3]) -> [i64; 3] {
        [0, 1, 2].map(|r| {
            let from_pivot = cell[self.axis[r]] - size[self.axis[r]] / 2;
            let turned = if self.sign[r] > 0 { from_pivot } else { -from_pivot - 1 };
            turned + self.offset[r]
        })
    }
}

/// Our coordinates of a MagicaVoxel cell: y up instead of z.
fn ours([x, y, z]: [i64; 3]) -> [i64; 3] {
    [x, z, -1 - y]
}

fn size_of_model(model: &Model) -> [i64; 3] {
    [model.size.x, model.size.y, model.size.z].map(i64::from)
}

/// Models with their transforms, in scene order.
fn placed_models(data: &DotVoxData, nodes: &HashMap<u32, usize>) -> Result<Vec<(usize, Transform)>, VoxError> {
    if data.scenes.is_empty() {
        let lowest_corner = |model: &Model| {
            let [x, y, z] = size_of_model(model);
            Transform { offset: [x / 2, y / 2 - y, z / 2], ..Transform::IDENTITY }
        };
        return Ok(data.models.iter().enumerate().map(|(n, model)| (n, lowest_corner(model))).collect());
    }
    let node = |id: u32| nodes.get(&id).copied().ok_or_else(|| VoxError::Scene(format!("node {id} is missing")));
    let root = if nodes.contains_key(&0) { node(0)? } else { 0 };
    let mut placed = Vec::new();
    let mut visits = 0;
    let mut open = vec![(root, Transform::IDENTITY, 1)];
    while let Some((index, above, depth)) = open.pop() {
        visits += 1;
        if depth > DEPTH_MAX || visits > 4 * PLACED_MAX || placed.len() > PLACED_MAX || open.len() > 4 * PLACED_MAX {
            let limit = format!(
                "it is nested more than {DEPTH_MAX} deep, places more than {PLACED_MAX} models, or is a circle"
            );
            return Err(VoxError::Scene(limit));
        }
        match &data.scenes[index] {
            SceneNode::Transform { frames, child, .. } => {
                let own = frames.first().map_or(Ok(Transform::IDENTITY), |frame| {
                    transform_of(&|key| frame.attributes.get(key).map(String::as_str))
                })?;
                open.push((node(*child)?, above.after(&own), depth + 1));
            }
            // Last in, first out: reversed, so that the order is that of the scene.
            SceneNode::Group { children, .. } => {
                for child in children.iter().rev() {
                    open.push((node(*child)?, above, depth + 1));
                }
            }
            SceneNode::Shape { models, .. } => {
                let Some(first) = models.first() else { continue };
                let model = first.model_id as usize;
                if model >= data.models.len() {
                    return Err(VoxError::Scene(format!("model {model} is missing")));
                }
                placed.push((model, above));
            }
        }
    }
    Ok(placed)
}

fn transform_of<'a>(attribute: &dyn Fn(&str) -> Option<&'a str>) -> Result<Transform, VoxError> {
    let mut offset = [0; 3];
    if let Some(text) = attribute("_t") {
        let numbers: Vec<i64> =
            text.split_whitespace().filter_map(|part| part.parse::<i32>().ok()).map(i64::from).collect();
        offset = numbers.try_into().map_err(|_| VoxError::Scene(format!("{text:?} is not a translation")))?;
    }
    let text = attribute("_r").unwrap_or("4");
    let rotation = text.trim().parse().ok().and_then(|byte| Transform::new(byte, offset));
    rotation.ok_or_else(|| VoxError::Scene(format!("{text:?} is not a rotation")))
}

/// The block's name of every colour index (counted from 0, as the parser does).
fn colour_names(data: &DotVoxData) -> Vec<String> {
    let mut names: Vec<String> = (0..256)
        .map(|index| {
            data.palette.get(index).map_or_else(
                || "vox:000000".to_owned(),
                |colour| format!("vox:{:02x}{:02x}{:02x}", colour.r, colour.g, colour.b),
            )
        })
        .collect();
    for material in &data.materials {
        let name = material.properties.get(NAME_PROPERTY).filter(|name| is_block_name(name));
        let index = (material.id as usize).checked_sub(1).filter(|&index| index < names.len());
        if let (Some(name), Some(index)) = (name, index) {
            names[index].clone_from(name);
        }
    }
    names
}

fn assemble(data: &DotVoxData, placed: &[(usize, Transform)], shift: [i32; 3]) -> ImportedFile {
    let colours = colour_names(data);
    let mut used = [false; 256];
    let mut problems = Problems::default();
    let mut chunks: BTreeMap<ChunkPos, Vec<(LocalIndex, u8)>> = BTreeMap::new();
    for (number, (model, transform)) in placed.iter().enumerate() {
        let model = &data.models[*model];
        let size = size_of_model(model);
        let mut outside = 0usize;
        for voxel in &model.voxels {
            let cell = transform.cell([voxel.x, voxel.y, voxel.z].map(i64::from), size);
            let [x, y, z] = ours(cell);
            let [dx, dy, dz] = shift.map(i64::from);
            match VoxelPos::from_i64(x.saturating_add(dx), y.saturating_add(dy), z.saturating_add(dz)) {
                Ok(pos) => {
                    used[usize::from(voxel.i)] = true;
                    chunks.entry(pos.chunk()).or_default().push((pos.local(), voxel.i));
                }
                Err(_) => outside += 1,
            }
        }
        if outside > 0 {
            let message = format!("{outside} of its {} voxels are outside the world", model.voxels.len());
            problems.add(format!("model {number} of the scene"), message);
        }
    }
    let mut names: Vec<String> = colours.iter().zip(used).filter(|(_, used)| *used).map(|(n, _)| n.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let number = |name: &String| BlockId(names.binary_search(name).map_or(NOT_SAID.0, |n| n as u16));
    let number_of: Vec<BlockId> = colours.iter().map(number).collect();
    let chunks = chunks
        .into_par_iter()
        .map_init(new_blocks, |blocks, (pos, voxels)| {
            blocks.fill(NOT_SAID);
            for (local, colour) in voxels {
                blocks[local.index()] = number_of[usize::from(colour)];
            }
            ImportedChunk { pos, content: Chunk::from_blocks(blocks) }
        })
        .collect();
    let counts = Counts { models: placed.len(), ..Counts::default() };
    ImportedFile { chunks, names, problems: problems.finish("the file"), counts }
}

/// What an export wrote, and what `.vox` can't hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Models of at most 256×256×256.
    pub models: usize,
    /// Voxels.
    pub voxels: u64,
    /// Different blocks.
    pub blocks: usize,
    /// Not written: voxels with sparse data, which keep their blocks.
    pub sparse_left_out: usize,
}

/// Writes the voxels of a box, each block in the colour of its rule. `air`, `cave_air` and `void_air` are left out.
/// Importing the file puts every block back in its place. Chunks that `source` does not have are air.
pub fn write(
    registry: &Registry,
    within: VoxelBox,
    source: &Source<'_>,
    out: &mut impl Write,
) -> Result<Exported, VoxError> {
    let (models, colours, mut exported) = collect(registry, within, source)?;
    let mut children = Vec::new();
    for (model, voxels) in &models {
        let size = model_box(within, *model).size();
        put_chunk(&mut children, b"SIZE", &words(&[size[0] as u32, size[2] as u32, size[1] as u32]));
        let mut content = words(&[voxels.len() as u32]);
        content.extend(voxels.iter().flatten());
        put_chunk(&mut children, b"XYZI", &content);
    }
    put_scene(&mut children, within, &models.keys().copied().collect::<Vec<_>>());
    put_palette(&mut children, registry, &colours);
    (exported.models, exported.blocks) = (models.len(), colours.len());
    out.write_all(b"VOX ")?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(b"MAIN")?;
    out.write_all(&words(&[0, children.len() as u32]))?;
    out.write_all(&children)?;
    out.flush()?;
    Ok(exported)
}

/// Models on a grid of 256 voxels from the box's lowest corner, by their place in the grid: x, y, z and colour each.
type Models = BTreeMap<[i32; 3], Vec<[u8; 4]>>;

/// The box of one model of the grid.
fn model_box(within: VoxelBox, [x, y, z]: [i32; 3]) -> VoxelBox {
    let min = [0, 1, 2].map(|axis| within.min()[axis] + [x, y, z][axis] * MODEL_EDGE);
    let max = [0, 1, 2].map(|axis| within.max()[axis].min(min[axis].saturating_add(MODEL_EDGE)));
    VoxelBox::new(min, max).expect("a part of a box is a box")
}

fn collect(
    registry: &Registry,
    within: VoxelBox,
    source: &Source<'_>,
) -> Result<(Models, Vec<BlockId>, Exported), VoxError> {
    let air: Vec<bool> = registry.names().iter().map(|name| AIRS.contains(&name.as_ref())).collect();
    let mut number_of: HashMap<BlockId, usize> = HashMap::new();
    let mut colours = Vec::new();
    let mut models = Models::new();
    let mut exported = Exported::default();
    let mut blocks = new_blocks();
    for pos in within.chunks() {
        let Some(chunk) = source(pos).map_err(|error| VoxError::Source { pos, error })? else { continue };
        exported.sparse_left_out += clipped(pos, &chunk, within, &mut blocks).len();
        for (index, &block) in blocks.iter().enumerate() {
            match air.get(usize::from(block.0)) {
                Some(true) => continue,
                Some(false) => {}
                None => return Err(VoxError::Unknown { pos, id: block.0 }),
            }
            let number = *number_of.entry(block).or_insert_with(|| {
                colours.push(block);
                colours.len()
            });
            if number <= COLOURS_MAX {
                let voxel = pos.voxel(LocalIndex::new(index as u16).expect("below 32768"));
                let (model, cell) = grid_cell(within, voxel);
                models.entry(model).or_default().push([cell[0], cell[1], cell[2], number as u8]);
                exported.voxels += 1;
            }
        }
        if exported.voxels > VOXELS_MAX {
            return Err(VoxError::Large { voxels: exported.voxels });
        }
    }
    if colours.len() > COLOURS_MAX {
        return Err(VoxError::Colours { blocks: colours.len() });
    }
    Ok((models, colours, exported))
}

/// The model a voxel belongs to, and its MagicaVoxel coordinates there.
fn grid_cell(within: VoxelBox, voxel: VoxelPos) -> ([i32; 3], [u8; 3]) {
    let from_min = [0, 1, 2].map(|axis| voxel.to_array()[axis] - within.min()[axis]);
    let model = from_min.map(|v| v / MODEL_EDGE);
    let depth = (within.size()[2] as i32 - model[2] * MODEL_EDGE).min(MODEL_EDGE);
    let [x, y, z] = from_min.map(|v| v % MODEL_EDGE);
    (model, [x as u8, (depth - 1 - z) as u8, y as u8])
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn put_chunk(out: &mut Vec<u8>, id: &[u8; 4], content: &[u8]) {
    out.extend_from_slice(id);
    out.extend_from_slice(&words(&[content.len() as u32, 0]));
    out.extend_from_slice(content);
}

fn dictionary(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = words(&[entries.len() as u32]);
    for text in entries.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend_from_slice(&words(&[text.len() as u32]));
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// A root transform (node 0) over a group (node 1), and for each model a transform and a shape.
fn put_scene(out: &mut Vec<u8>, within: VoxelBox, models: &[[i32; 3]]) {
    let transform = |id: u32, child: u32, layer: u32, frame: &[(&str, &str)]| {
        [words(&[id]), dictionary(&[]), words(&[child, u32::MAX, layer, 1]), dictionary(frame)].concat()
    };
    put_chunk(out, b"nTRN", &transform(0, 1, u32::MAX, &[]));
    let children: Vec<u32> = (0..models.len() as u32).map(|n| 2 + 2 * n).collect();
    put_chunk(out, b"nGRP", &[words(&[1]), dictionary(&[]), words(&[models.len() as u32]), words(&children)].concat());
    for (n, &model) in models.iter().enumerate() {
        let b = model_box(within, model);
        let half = b.size().map(|s| s as i32 / 2);
        // The lowest cell along MagicaVoxel's y is our highest z.
        let (x, y, z) = (b.min()[0] + half[0], -b.max()[2] + half[2], b.min()[1] + half[1]);
        let id = 2 + 2 * n as u32;
        put_chunk(out, b"nTRN", &transform(id, id + 1, 0, &[("_t", &format!("{x} {y} {z}"))]));
        put_chunk(out, b"nSHP", &[words(&[id + 1]), dictionary(&[]), words(&[1, n as u32]), dictionary(&[])].concat());
    }
    put_chunk(out, b"LAYR", &[words(&[0]), dictionary(&[("_name", "terrane")]), words(&[u32::MAX])].concat());
}

fn put_palette(out: &mut Vec<u8>, registry: &Registry, colours: &[BlockId]) {
    let mut palette = [[0u8, 0, 0, 255]; 256];
    for (entry, &block) in palette.iter_mut().zip(colours) {
        let [r, g, b] = registry.rule(block).map_or([0; 3], |rule| rule.colour);
        *entry = [r, g, b, 255];
    }
    put_chunk(out, b"RGBA", palette.as_flattened());
    for (n, &block) in colours.iter().enumerate() {
        let name = registry.name(block).unwrap_or("air");
        let properties = dictionary(&[("_type", "_diffuse"), (NAME_PROPERTY, name)]);
        put_chunk(out, b"MATL", &[words(&[n as u32 + 1]), properties].concat());
    }
}
