//! The picture of a plan: the world from above, and over it where something comes back and where something goes.

use crate::failure::{About, Failure};
use crate::parts::Part;
use crate::verbs::map::paint::{Area, Painter, Pixel, mixed, opaque};
use crate::verbs::map::picture::{encoder, shrunk};
use crate::verbs::map::source::Source;
use crate::verbs::map::top::TopPainter;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use terrane_store::Store;
use terrane_world::block::AIR;
use terrane_world::limits::VERTICAL_BOUND;
use terrane_world::space::VoxelBox;
use terrane_world::step::VoxelRestore;
use terrane_world::undo::plan::Plan;

/// Something comes back, or becomes another block.
pub const COMES: (&str, [u8; 3]) = ("green", [40, 200, 70]);
/// Something goes, and air is left.
pub const GOES: (&str, [u8; 3]) = ("red", [235, 50, 35]);
/// Both, at different heights.
pub const BOTH: (&str, [u8; 3]) = ("yellow", [250, 215, 40]);
const SKY: [u8; 3] = [206, 226, 244];
/// Voxels around what changes that are drawn too.
const MARGIN: i32 = 12;
/// Most voxels along an edge, and the pixels that are aimed at.
const EDGE_MAX: usize = 8_192;
const WIDTH: usize = 960;

/// Draws it; `within` is what to draw at least, if something was asked for.
pub fn write(path: &Path, store: &Store, plan: &Plan, within: Option<VoxelBox>) -> Result<(), Failure> {
    let Some([x0, z0, x1, z1]) = ends(plan, within) else {
        return Err(Failure::new(format!("{}: nothing changes, so there is nothing to draw", path.display())));
    };
    let (width, depth) = ((x1 - x0) as usize, (z1 - z0) as usize);
    if width.max(depth) > EDGE_MAX {
        let told =
            format!("{}: a picture of {width}×{depth} voxels is too large, {EDGE_MAX} is the most", path.display());
        return Err(Failure::new(format!("{told}: choose a smaller box, or leave --map out")));
    }
    let tall = VoxelBox::new([x0, -VERTICAL_BOUND, z0], [x1, VERTICAL_BOUND, z1]).about(path)?;
    let generate = store.settings().generator.name != "void";
    let within = if generate { VoxelBox::new([x0, -256, z0], [x1, 512, z1]).about(path)? } else { tall };
    let source = Source { store, registry: store.registry(), within, generate };
    let mut pixels = TopPainter::new(&source).paint(Area { x: x0, z: z0, width, depth })?;
    pixels.iter_mut().filter(|pixel| pixel[3] == 0).for_each(|pixel| *pixel = opaque(SKY));
    for ([x, z], (comes, goes)) in places(plan) {
        let (_, colour) = match (comes, goes) {
            (true, true) => BOTH,
            (true, false) => COMES,
            (false, _) => GOES,
        };
        let pixel = &mut pixels[(z - z0) as usize * width + (x - x0) as usize];
        *pixel = opaque(mixed([pixel[0], pixel[1], pixel[2]], colour, 180));
    }
    let shrink = width.max(depth).div_ceil(4 * WIDTH);
    let scale = (WIDTH / width.max(depth)).clamp(1, 12);
    let pixels = shrunk(&pixels, width, shrink);
    save(path, &pixels, width.div_ceil(shrink), scale)
}

/// The westernmost and northernmost place, and the first ones beyond, of all that changes.
fn ends(plan: &Plan, within: Option<VoxelBox>) -> Option<[i32; 4]> {
    let of_box = within.iter().flat_map(|b| [[b.min()[0], b.min()[2]], [b.max()[0] - 1, b.max()[2] - 1]]);
    let changed = plan.voxels().map(|voxel| [voxel.pos.x(), voxel.pos.z()]);
    let mut ends: Option<[i32; 4]> = None;
    // A box may be far larger than what changes in it.
    let all: Box<dyn Iterator<Item = [i32; 2]>> =
        if plan.summary.voxels > 0 { Box::new(changed) } else { Box::new(of_box) };
    for [x, z] in all {
        let [x0, z0, x1, z1] = ends.unwrap_or([x, z, x + 1, z + 1]);
        ends = Some([x0.min(x), z0.min(z), x1.max(x + 1), z1.max(z + 1)]);
    }
    ends.map(|[x0, z0, x1, z1]| [x0 - MARGIN, z0 - MARGIN, x1 + MARGIN, z1 + MARGIN])
}

/// Seen from above: whether something comes, and whether something goes.
fn places(plan: &Plan) -> BTreeMap<[i32; 2], (bool, bool)> {
    let mut places: BTreeMap<[i32; 2], (bool, bool)> = BTreeMap::new();
    for VoxelRestore { pos, block, .. } in plan.voxels() {
        let goes = block.as_ref().is_some_and(|block| block.to == AIR);
        let place = places.entry([pos.x(), pos.z()]).or_default();
        *place = (place.0 || !goes, place.1 || goes);
    }
    places
}

fn save(path: &Path, pixels: &[Pixel], width: usize, scale: usize) -> Result<(), Failure> {
    let depth = pixels.len() / width;
    let (part, mut file) = Part::create(path).about(path)?;
    let mut writer = encoder(&mut file, [width * scale, depth * scale]).about(path)?;
    let mut large = Vec::with_capacity(pixels.len() * scale * scale);
    for row in pixels.chunks(width) {
        let wide: Vec<Pixel> = row.iter().flat_map(|pixel| std::iter::repeat_n(*pixel, scale)).collect();
        (0..scale).for_each(|_| large.extend_from_slice(&wide));
    }
    writer.write_image_data(large.as_flattened()).about(path)?;
    writer.finish().about(path)?;
    file.flush().about(path)?;
    part.finish().about(path)
}
