//! One PNG of the whole box, written some rows at a time.

use super::paint::{Area, Painter, Pixel};
use crate::bars::bar;
use crate::failure::{About, Failure};
use crate::parts::Part;
use std::io::Write;
use std::path::Path;
use terrane_world::space::VoxelBox;

/// Rows of voxels that are painted together.
const STRIP: usize = 256;

/// Draws the box; a pixel stands for `shrink` voxels along each edge.
pub fn write(path: &Path, within: VoxelBox, shrink: usize, painter: &dyn Painter) -> Result<(), Failure> {
    let ([width, _, depth], [x, _, z]) = (within.size(), within.min());
    let (part, mut file) = Part::create(path).about(path)?;
    let mut writer = encoder(&mut file, [width, depth].map(|edge| edge.div_ceil(shrink))).about(path)?;
    let mut rows = writer.stream_writer().about(path)?;
    let progress = bar(depth.div_ceil(STRIP) as u64, "drawing", "strips");
    for from in (0..depth).step_by(STRIP) {
        let strip = Area { x, z: z + from as i32, width, depth: STRIP.min(depth - from) };
        let pixels = shrunk(&painter.paint(strip)?, width, shrink);
        rows.write_all(pixels.as_flattened()).about(path)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    rows.finish().about(path)?;
    writer.finish().about(path)?;
    file.flush().about(path)?;
    part.finish().about(path)
}

/// A PNG in the making.
pub fn encoder<W: Write>(file: W, [width, height]: [usize; 2]) -> Result<png::Writer<W>, png::EncodingError> {
    let mut encoder = png::Encoder::new(file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    // Compressing better takes longer than painting.
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header()
}

/// Averages squares of `by` pixels; those that nothing is in do not count.
pub fn shrunk(pixels: &[Pixel], width: usize, by: usize) -> Vec<Pixel> {
    if by == 1 {
        return pixels.to_vec();
    }
    let depth = pixels.len() / width;
    let square = |x: usize, z: usize| -> Pixel {
        let rows = z * by..(z * by + by).min(depth);
        let columns = x * by..(x * by + by).min(width);
        average(rows.flat_map(|row| &pixels[row * width..][columns.clone()]))
    };
    (0..depth.div_ceil(by)).flat_map(|z| (0..width.div_ceil(by)).map(move |x| square(x, z))).collect()
}

/// The average colour of what there is.
pub fn average<'a>(pixels: impl Iterator<Item = &'a Pixel>) -> Pixel {
    let (mut sum, mut count, mut all) = ([0u32; 3], 0, 0);
    for [red, green, blue, opacity] in pixels {
        all += 1;
        if *opacity > 0 {
            count += 1;
            sum[0] += u32::from(*red);
            sum[1] += u32::from(*green);
            sum[2] += u32::from(*blue);
        }
    }
    if count == 0 {
        return [0; 4];
    }
    let [red, green, blue] = sum.map(|sum| ((sum + count / 2) / count) as u8);
    [red, green, blue, (count * 255 / all) as u8]
}
