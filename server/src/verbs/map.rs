//! `terrane map`.

use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::parts::Part;
use crate::verbs::info::bounds;
use crate::worlds;
use clap::Args;
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use terrane_store::{Access, Store, StoreError};
use terrane_world::block::{AIR, Registry};
use terrane_world::chunk::new_blocks;
use terrane_world::space::{ChunkPos, VoxelBox};

/// Most pixels along one edge of a picture.
const EDGE_MAX: usize = 16_384;
/// Half the edge of the picture of a world in which nothing is stored yet.
const DEFAULT_REACH: i32 = 256;
/// Nothing has been found here.
const NOTHING: i32 = i32::MIN;

/// Draw a world from above as PNG, shaded by height, with water depth
///
/// Without --box it draws what is stored; a world with a generator in which nothing is stored is drawn around x = z = 0.
#[derive(Args)]
pub struct Map {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// The picture
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,
    /// Only this box, X0,Y0,Z0:X1,Y1,Z1, the end not included: what is above its top is not seen
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: Option<VoxelBox>,
}

/// What one sees from above, per x and z.
struct Seen {
    /// The ground's y, or `NOTHING`.
    height: Vec<i32>,
    /// Voxels of liquid above the ground.
    depth: Vec<u16>,
    /// The ground's colour, and the liquid's.
    ground: Vec<[u8; 3]>,
    liquid: Vec<[u8; 3]>,
    width: usize,
}

impl Map {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let store = worlds::open(&self.world, Access::Read)?;
        let generated = store.settings().generator.name != "void";
        let chunks = worlds::stored(&store, self.within).about(&self.world)?;
        let all = || VoxelBox::new([-DEFAULT_REACH, -128, -DEFAULT_REACH], [DEFAULT_REACH, 320, DEFAULT_REACH]).ok();
        let within = self.within.or(bounds(&chunks)).or(if generated { all() } else { None });
        let Some(within) = within else {
            return Err(Failure::new(format!(
                "{}: nothing is stored in this world yet, so there is nothing to draw",
                self.world.display()
            )));
        };
        let [width, _, depth] = within.size();
        if width.max(depth) > EDGE_MAX {
            return Err(Failure::new(format!(
                "a picture of {width}×{depth} is too large: give a --box of at most {EDGE_MAX} voxels along x and z"
            )));
        }
        let seen = look(&store, within, self.within.is_some() && generated, &chunks).about(&self.world)?;
        write_png(&self.out, width, depth, &draw(&seen))?;
        if json {
            say!("{}", json!({ "width": width, "height": depth, "box": within.to_string() }));
        } else {
            say!("{}: {width}×{depth} pixels, the box {within}", self.out.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Looks down every x, z of the box, one stack of chunks after the other.
fn look(store: &Store, within: VoxelBox, generate: bool, stored: &[ChunkPos]) -> Result<Seen, StoreError> {
    let stored: BTreeSet<ChunkPos> = stored.iter().copied().collect();
    let nothing_stored = stored.is_empty();
    let mut stacks: std::collections::BTreeMap<(i32, i32), Vec<ChunkPos>> = std::collections::BTreeMap::new();
    for pos in within.chunks().filter(|pos| generate || nothing_stored || stored.contains(pos)) {
        stacks.entry((pos.z(), pos.x())).or_default().push(pos);
    }
    let progress = bar(stacks.len() as u64, "looking down", "stacks");
    let registry = store.registry();
    let looked: Vec<((i32, i32), Vec<Column>)> = stacks
        .into_par_iter()
        .map(|(at, mut stack)| {
            stack.sort_by_key(|pos| std::cmp::Reverse(pos.y()));
            progress.inc(1);
            look_down(store, &registry, within, &stack).map(|columns| (at, columns))
        })
        .collect::<Result<_, _>>()?;
    progress.finish_and_clear();
    let [width, _, depth] = within.size();
    let area = width * depth;
    let mut seen = Seen {
        height: vec![NOTHING; area],
        depth: vec![0; area],
        ground: vec![[0; 3]; area],
        liquid: vec![[0; 3]; area],
        width,
    };
    for ((z, x), columns) in looked {
        for (index, column) in columns.iter().enumerate() {
            let (vx, vz) = (x * 32 + index as i32 % 32 - within.min()[0], z * 32 + index as i32 / 32 - within.min()[2]);
            if (0..width as i32).contains(&vx) && (0..depth as i32).contains(&vz) {
                let at = vz as usize * width + vx as usize;
                (seen.height[at], seen.depth[at]) = (column.height, column.depth);
                (seen.ground[at], seen.liquid[at]) = (column.ground, column.liquid);
            }
        }
    }
    Ok(seen)
}

#[derive(Clone, Copy)]
struct Column {
    height: i32,
    depth: u16,
    ground: [u8; 3],
    liquid: [u8; 3],
}

/// One stack of chunks from the top down, until every column has met the ground.
fn look_down(
    store: &Store,
    registry: &Registry,
    within: VoxelBox,
    stack: &[ChunkPos],
) -> Result<Vec<Column>, StoreError> {
    let mut columns = vec![Column { height: NOTHING, depth: 0, ground: [0; 3], liquid: [0; 3] }; 1024];
    let mut blocks = new_blocks();
    let mut left = 1024;
    for pos in stack {
        let held = store.chunk_or_generated(*pos)?;
        if held.chunk.table() == [AIR] {
            continue;
        }
        held.chunk.copy_to(&mut blocks);
        for y in (0..32).rev() {
            let world_y = pos.origin().y() + y as i32;
            if !(within.min()[1]..within.max()[1]).contains(&world_y) {
                continue;
            }
            for (column, block) in columns.iter_mut().zip(&blocks[y * 1024..(y + 1) * 1024]) {
                let rule = registry.rule(*block);
                let Some(rule) = rule.filter(|_| column.height == NOTHING && *block != AIR) else { continue };
                if rule.liquid {
                    column.depth += 1;
                    column.liquid = if column.depth == 1 { rule.colour } else { column.liquid };
                } else if rule.solid || (rule.pickable && column.depth == 0) {
                    (column.height, column.ground) = (world_y, rule.colour);
                    left -= 1;
                }
            }
            if left == 0 {
                return Ok(columns);
            }
        }
    }
    Ok(columns)
}

/// Colours with light from the north-west and a little from the height itself; liquid darkens what lies below it.
fn draw(seen: &Seen) -> Vec<u8> {
    let width = seen.width;
    let rows = seen.height.len() / width.max(1);
    let known: Vec<i32> = seen.height.iter().copied().filter(|h| *h != NOTHING).collect();
    let (low, high) = (known.iter().min().copied().unwrap_or(0), known.iter().max().copied().unwrap_or(1));
    let height = |x: usize, z: usize, or: i32| match seen.height[z * width + x] {
        NOTHING => or,
        found => found,
    };
    let pixel = |at: usize| -> [u8; 4] {
        let (x, z) = (at % width, at / width);
        let (here, depth) = (seen.height[at], i32::from(seen.depth[at]));
        if here == NOTHING && depth == 0 {
            return [0; 4];
        }
        let (west, north) = (height(x.saturating_sub(1), z, here), height(x, z.saturating_sub(1), here));
        let slope = if here == NOTHING { 0 } else { (here - west + here - north).clamp(-5, 5) };
        let rise = if here == NOTHING { 0 } else { (here - low) * 36 / (high - low).max(1) - 12 };
        let shade = 230 + slope * 13 + rise;
        let lit = |colour: [u8; 3], shade: i32| colour.map(|c| (i32::from(c) * shade / 256).clamp(0, 255) as u8);
        if depth == 0 {
            let [r, g, b] = lit(seen.ground[at], shade);
            return [r, g, b, 255];
        }
        // The bed shines through the first voxels; deep liquid is dark.
        let through = (200 - depth * 22).max(0);
        let top = lit(seen.liquid[at], (250 - depth * 5).max(120));
        let bed = if here == NOTHING { [0; 3] } else { lit(seen.ground[at], shade) };
        let mixed: [u8; 3] =
            std::array::from_fn(|i| ((i32::from(bed[i]) * through + i32::from(top[i]) * (400 - through)) / 400) as u8);
        [mixed[0], mixed[1], mixed[2], 255]
    };
    (0..rows * width).into_par_iter().flat_map_iter(pixel).collect()
}

fn write_png(path: &PathBuf, width: usize, height: usize, pixels: &[u8]) -> Result<(), Failure> {
    let (part, mut file) = Part::create(path).about(path)?;
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().about(path)?;
    writer.write_image_data(pixels).about(path)?;
    writer.finish().about(path)?;
    file.flush().about(path)?;
    part.finish().about(path)
}
