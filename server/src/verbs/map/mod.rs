//! `terrane map`.
//!
//! A layer is a [`paint::Painter`]: it colours any area of the world, one pixel a voxel. `picture.rs` puts areas together to
//! one file, `tiles.rs` to a pyramid of small ones with a page to walk around in.

mod biome;
mod cave;
mod height;
mod layer;
pub mod paint;
pub mod picture;
pub mod source;
mod tiles;
pub mod top;
mod vein;

use crate::failure::{About, Failure};
use crate::verbs::info::bounds;
use crate::worlds;
use clap::Args;
use layer::Layer;
use paint::Painter;
use serde_json::json;
use source::Source;
use std::path::PathBuf;
use std::process::ExitCode;
use terrane_store::{Access, Store};
use terrane_world::space::VoxelBox;

/// Most pixels along one edge of a picture: what viewers still open.
const PICTURE_EDGE_MAX: usize = 16_384;
/// Most voxels along one edge of a map of tiles: a million tiles.
const TILES_EDGE_MAX: usize = 262_144;
/// Half the edge of the map of a world in which nothing is stored yet.
const DEFAULT_REACH: i32 = 256;

/// Draw a world from above: what one sees, biomes, heights, a cut through its caves, its ores
///
/// Without --box it draws what is stored; a world with a generator in which nothing is stored is drawn around x = z = 0.
/// With --box, chunks that are not stored are drawn as the generator makes them.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("where").required(true).multiple(true).args(["out", "tiles"]))]
pub struct Map {
    /// The world's folder
    #[arg(long)]
    world: PathBuf,
    /// What is drawn: top, biome, height, cave:Y (a cut at height Y) or vein
    #[arg(long, default_value = "top")]
    layer: Layer,
    /// The picture
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// A folder for tiles and index.html, a page to look at them that needs no server
    #[arg(long, value_name = "DIR")]
    tiles: Option<PathBuf>,
    /// Voxels along an edge of one pixel of the picture, a power of two
    #[arg(long, default_value_t = 1, value_parser = shrink, value_name = "VOXELS")]
    shrink: usize,
    /// Only this box, X0,Y0,Z0:X1,Y1,Z1, the end not included: what is above its top is not seen
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true)]
    within: Option<VoxelBox>,
}

fn shrink(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n: &usize| n.is_power_of_two() && *n <= 256);
    number.ok_or_else(|| "a power of two from 1 to 256 is accepted".to_owned())
}

impl Map {
    pub fn run(self, json: bool) -> Result<ExitCode, Failure> {
        let store = worlds::open(&self.world, Access::Read)?;
        let (within, generate) = self.area(&store)?;
        let [width, _, depth] = within.size();
        self.fits(width.max(depth))?;
        let source = Source { store: &store, registry: store.registry(), within, generate };
        let painter = self.layer.painter(&source).about(&self.world)?;
        let mut tiles = None;
        if let Some(folder) = &self.tiles {
            tiles = Some(tiles::write(folder, within, &self.layer, &*painter)?);
        }
        if let Some(out) = &self.out {
            picture::write(out, within, self.shrink, &*painter)?;
        }
        self.tell(json, within, tiles, &*painter);
        Ok(ExitCode::SUCCESS)
    }

    /// The box to draw, and whether what is not stored in it is generated.
    fn area(&self, store: &Store) -> Result<(VoxelBox, bool), Failure> {
        let generated = store.settings().generator.name != "void";
        if let Some(within) = self.within {
            return Ok((within, generated));
        }
        let chunks = worlds::stored(store, None).about(&self.world)?;
        if let Some(stored) = bounds(&chunks) {
            return Ok((stored, false));
        }
        let around = VoxelBox::new([-DEFAULT_REACH, -128, -DEFAULT_REACH], [DEFAULT_REACH, 320, DEFAULT_REACH]);
        around.ok().filter(|_| generated).map(|around| (around, true)).ok_or_else(|| {
            let world = self.world.display();
            Failure::new(format!("{world}: nothing is stored in this world yet, so there is nothing to draw"))
        })
    }

    fn fits(&self, edge: usize) -> Result<(), Failure> {
        if self.out.is_some() && edge / self.shrink > PICTURE_EDGE_MAX {
            return Err(Failure::new(format!(
                "a picture of {} pixels along an edge is too large, {PICTURE_EDGE_MAX} is the most: give a smaller \
                 --box, a larger --shrink, or --tiles instead of --out",
                edge / self.shrink
            )));
        }
        if edge > TILES_EDGE_MAX {
            return Err(Failure::new(format!(
                "a map of {edge} voxels along an edge is too large: give a --box of at most {TILES_EDGE_MAX} along x and z"
            )));
        }
        Ok(())
    }

    fn tell(&self, json: bool, within: VoxelBox, tiles: Option<tiles::Written>, painter: &dyn Painter) {
        let [width, _, depth] = within.size();
        let [width, depth] = [width, depth].map(|edge| edge.div_ceil(self.shrink));
        let legend = painter.legend();
        if json {
            let legend: serde_json::Map<_, _> =
                legend.into_iter().map(|entry| (entry.name, entry.share.into())).collect();
            let facts = json!({
                "layer": self.layer.to_string(), "width": width, "height": depth, "box": within.to_string(),
                "tiles": tiles.as_ref().map(|tiles| tiles.count), "zooms": tiles.as_ref().map(|tiles| tiles.zooms),
                "legend": legend,
            });
            say!("{facts}");
            return;
        }
        if let Some(out) = &self.out {
            say!("{}: {width}×{depth} pixels, the box {within}", out.display());
        }
        if let (Some(folder), Some(tiles)) = (&self.tiles, tiles) {
            let page = folder.join("index.html");
            say!("{}: {} tiles in {} zooms, the box {within}", page.display(), tiles.count, tiles.zooms);
        }
        legend.iter().for_each(|entry| say!("{:>6.2} %  {}", entry.share * 100.0, entry.name));
    }
}
