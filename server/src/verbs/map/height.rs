//! The layer `height`: tints by height with light from the north-west, water by its depth.

use super::paint::{Area, CLEAR, Painter, Pixel, by_footprint, lit, mixed, opaque, ramp};
use crate::failure::Failure;
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::stage::{Layer, Maps, NO_WATER};

/// Colours of land by y.
const LAND: [(i32, [u8; 3]); 9] = [
    (60, [96, 146, 92]),
    (68, [128, 172, 106]),
    (80, [176, 196, 122]),
    (98, [222, 206, 142]),
    (122, [206, 168, 112]),
    (150, [168, 128, 96]),
    (184, [142, 120, 112]),
    (220, [206, 200, 200]),
    (256, [252, 252, 255]),
];
/// Colours of water by its depth in voxels.
const WATER: [(i32, [u8; 3]); 5] =
    [(0, [156, 204, 226]), (4, [112, 176, 214]), (12, [72, 136, 192]), (28, [38, 88, 152]), (56, [18, 46, 104])];

/// Paints heights.
pub struct HeightPainter<'a> {
    pipeline: &'a Pipeline,
}

impl<'a> HeightPainter<'a> {
    pub fn new(pipeline: &'a Pipeline) -> Self {
        Self { pipeline }
    }

    /// The places of one footprint.
    pub fn footprint(&self, x: i32, z: i32) -> Result<Vec<Pixel>, Failure> {
        let maps = maps(self.pipeline, x, z)?;
        Ok(places().map(|(x, z)| opaque(tint(&maps, x, z))).collect())
    }
}

impl Painter for HeightPainter<'_> {
    fn paint(&self, area: Area) -> Result<Vec<Pixel>, Failure> {
        by_footprint(area, CLEAR, |x, z| self.footprint(x, z))
    }
}

/// The maps of a footprint.
pub fn maps(pipeline: &Pipeline, x: i32, z: i32) -> Result<Maps, Failure> {
    pipeline.maps(x, z).map_err(|error| Failure::new(error.to_string()))
}

/// The places of a footprint relative to its first, row by row.
pub fn places() -> impl Iterator<Item = (i32, i32)> {
    (0..1024).map(|n| (n % 32, n / 32))
}

fn tint(maps: &Maps, x: i32, z: i32) -> [u8; 3] {
    let height = i32::from(maps.at(Layer::Height, x, z));
    match maps.at(Layer::Water, x, z) {
        NO_WATER => lit(ramp(&LAND, height), 256 + relief(maps, x, z)),
        surface => {
            let depth = i32::from(surface) + 1 - height;
            let bed = lit(ramp(&WATER, depth), 256 + relief(maps, x, z) / 4);
            // A thin line of foam tells the shore from the land.
            if depth <= 1 { mixed(bed, [255; 3], 40) } else { bed }
        }
    }
}

/// What light from the north-west adds to a slope: of single voxels, and of what is around, so that it is still seen where
/// one pixel stands for many voxels.
pub fn relief(maps: &Maps, x: i32, z: i32) -> i32 {
    let height = |x: i32, z: i32| i32::from(maps.at(Layer::Height, x, z));
    let slope = |by: i32| 2 * height(x, z) - height(x - by, z) - height(x, z - by);
    (slope(1) * 9).clamp(-36, 36) + (slope(8) * 3).clamp(-64, 56)
}
