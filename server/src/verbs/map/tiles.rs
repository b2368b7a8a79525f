//! A pyramid of tiles, DIR/{z}/{x}/{y}.png, and a page to look at it.
//!
//! In the last zoom a pixel is a voxel, and every zoom before halves that, down to one tile for the whole box. Tiles are made
//! depth first: four tiles become the one above them as soon as they are there, so few are in memory at a time.

use super::layer::Layer;
use super::paint::{Area, CLEAR, Painter, Pixel};
use super::picture::{average, encoder};
use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::parts::Part;
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use terrane_world::space::VoxelBox;

/// Pixels along one edge of a tile.
const TILE: usize = 256;
/// The page; the line with [`FACTS`] is replaced.
const PAGE: &str = include_str!("tiles.html");
/// Where the page wants to know what it shows.
const FACTS: &str = "/* facts */ null";

/// What was written.
pub struct Written {
    /// Tiles of all zooms.
    pub count: u64,
    /// How many zooms there are.
    pub zooms: u32,
}

/// Draws the box.
pub fn write(folder: &Path, within: VoxelBox, layer: &Layer, painter: &dyn Painter) -> Result<Written, Failure> {
    let [width, _, depth] = within.size();
    let across = width.max(depth).div_ceil(TILE);
    let last = across.next_power_of_two().trailing_zeros();
    make_folders(folder, last, [width, depth])?;
    let progress = bar((width.div_ceil(TILE) * depth.div_ceil(TILE)) as u64, "drawing", "tiles");
    let pyramid = Pyramid { folder, within, last, painter, progress, count: AtomicU64::new(0) };
    let drawn = pyramid.tile(0, 0, 0);
    pyramid.progress.finish_and_clear();
    drawn?;
    let zooms = last + 1;
    let [x, _, z] = within.min();
    let facts = json!({
        "layer": layer.to_string(), "box": within.to_string(), "x": x, "z": z, "width": width, "depth": depth,
        "tile": TILE, "last": last, "legend": painter.legend(),
    });
    write_whole(&folder.join("index.html"), page(&facts).as_bytes())?;
    Ok(Written { count: pyramid.count.into_inner(), zooms })
}

/// The page with its facts. `</` is the one thing that would end the script.
fn page(facts: &serde_json::Value) -> String {
    assert!(PAGE.contains(FACTS), "the page has a place for its facts");
    PAGE.replacen(FACTS, &facts.to_string().replace("</", "<\\/"), 1)
}

fn make_folders(folder: &Path, last: u32, [width, _]: [usize; 2]) -> Result<(), Failure> {
    for zoom in 0..=last {
        for x in 0..width.div_ceil(TILE << (last - zoom)) {
            let columns = folder.join(format!("{zoom}/{x}"));
            fs::create_dir_all(&columns).about(&columns)?;
        }
    }
    Ok(())
}

struct Pyramid<'a> {
    folder: &'a Path,
    within: VoxelBox,
    /// The zoom in which a pixel is a voxel.
    last: u32,
    painter: &'a dyn Painter,
    progress: ProgressBar,
    count: AtomicU64,
}

impl Pyramid<'_> {
    /// Draws a tile and all below it; `None` if it lies outside the box.
    fn tile(&self, zoom: u32, x: usize, y: usize) -> Result<Option<Vec<Pixel>>, Failure> {
        let ([width, _, depth], edge) = (self.within.size(), TILE << (self.last - zoom));
        if x * edge >= width || y * edge >= depth {
            return Ok(None);
        }
        let pixels = if zoom == self.last { self.painted(x, y)? } else { self.joined(zoom, x, y)? };
        if pixels.iter().any(|pixel| *pixel != CLEAR) {
            self.save(&self.folder.join(format!("{zoom}/{x}/{y}.png")), &pixels)?;
        }
        Ok(Some(pixels))
    }

    fn painted(&self, x: usize, y: usize) -> Result<Vec<Pixel>, Failure> {
        let ([width, _, depth], [x0, _, z0]) = (self.within.size(), self.within.min());
        let area = Area {
            x: x0 + (x * TILE) as i32,
            z: z0 + (y * TILE) as i32,
            width: TILE.min(width - x * TILE),
            depth: TILE.min(depth - y * TILE),
        };
        let painted = self.painter.paint(area)?;
        self.progress.inc(1);
        if [area.width, area.depth] == [TILE; 2] {
            return Ok(painted);
        }
        let mut pixels = vec![CLEAR; TILE * TILE];
        for (row, from) in pixels.chunks_exact_mut(TILE).zip(painted.chunks_exact(area.width)) {
            row[..area.width].copy_from_slice(from);
        }
        Ok(pixels)
    }

    /// From the four tiles below, each at half its size.
    fn joined(&self, zoom: u32, x: usize, y: usize) -> Result<Vec<Pixel>, Failure> {
        let below = |n: usize| self.tile(zoom + 1, 2 * x + n % 2, 2 * y + n / 2);
        let quarters: Vec<_> = (0..4).into_par_iter().map(below).collect::<Result<_, _>>()?;
        let mut pixels = vec![CLEAR; TILE * TILE];
        for (n, quarter) in quarters.iter().enumerate() {
            let Some(quarter) = quarter else { continue };
            let (left, top) = (n % 2 * TILE / 2, n / 2 * TILE / 2);
            for (row, column) in (0..TILE / 2).flat_map(|row| (0..TILE / 2).map(move |column| (row, column))) {
                let four =
                    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(z, x)| quarter[(2 * row + z) * TILE + 2 * column + x]);
                pixels[(top + row) * TILE + left + column] = average(four.iter());
            }
        }
        Ok(pixels)
    }

    fn save(&self, path: &Path, pixels: &[Pixel]) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        let mut writer = encoder(&mut bytes, [TILE; 2]).about(path)?;
        writer.write_image_data(pixels.as_flattened()).about(path)?;
        writer.finish().about(path)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        write_whole(path, &bytes)
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let (part, mut file) = Part::create(path).about(path)?;
    file.write_all(bytes).about(path)?;
    file.flush().about(path)?;
    part.finish().about(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_cannot_end_the_script_of_the_page() {
        let page = page(&json!({ "layer": "</script><b>" }));
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(!page.contains(FACTS));
    }
}
