//! The picture of ways: from above, and a cut through the world from one end to the other.

use crate::failure::{About, Failure};
use crate::parts::Part;
use crate::verbs::map::paint::{Area, Painter, Pixel, lit, opaque};
use crate::verbs::map::picture::encoder;
use crate::verbs::map::source::Source;
use crate::verbs::map::top::TopPainter;
use std::io::Write;
use std::path::Path;
use terrane_store::Store;
use terrane_world::block::AIR;
use terrane_world::resident::Residency;
use terrane_world::space::{VoxelBox, VoxelPos};

/// Colours of ways, in the order of the modes asked for.
pub const COLOURS: [(&str, [u8; 3]); 6] = [
    ("red", [235, 50, 35]),
    ("blue", [30, 110, 255]),
    ("violet", [190, 40, 220]),
    ("yellow", [250, 215, 40]),
    ("cyan", [40, 215, 215]),
    ("white", [250, 250, 250]),
];
/// What an end looks like.
const END: [u8; 3] = [250, 250, 250];
const RIM: [u8; 3] = [20, 20, 20];
const SKY: [u8; 3] = [206, 226, 244];
const GAP: [u8; 3] = [250, 250, 250];
/// Voxels around the ways that are drawn too.
const MARGIN: i32 = 12;
/// Pixels along the picture that are aimed at, and the most.
const WIDTH: usize = 960;
const EDGE_MAX: usize = 8_192;
/// Pixels between the two parts.
const GAP_PIXELS: usize = 8;

/// What is to be drawn.
pub struct Drawn<'a> {
    pub store: &'a Store,
    pub from: VoxelPos,
    pub to: VoxelPos,
    pub ways: Vec<&'a [VoxelPos]>,
}

/// Pixels row by row.
struct Canvas {
    width: usize,
    pixels: Vec<Pixel>,
}

impl Canvas {
    fn new(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, pixels: vec![opaque(colour); width * height] }
    }

    /// A square with its middle at a place.
    fn dot(&mut self, x: usize, y: usize, reach: usize, colour: [u8; 3]) {
        let height = self.pixels.len() / self.width;
        for y in y.saturating_sub(reach)..(y + reach + 1).min(height) {
            for x in x.saturating_sub(reach)..(x + reach + 1).min(self.width) {
                self.pixels[y * self.width + x] = opaque(colour);
            }
        }
    }
}

impl Drawn<'_> {
    /// Draws and writes the file.
    pub fn write(&self, path: &Path, resident: &mut Residency) -> Result<(), Failure> {
        let within = self.area()?;
        let [width, height, depth] = within.size();
        let scale = (WIDTH / width.max(depth)).clamp(1, 12);
        if width.max(depth + height) * scale > EDGE_MAX {
            return Err(Failure::new(format!(
                "{}: a picture of {width}×{depth} voxels is too large, {EDGE_MAX} is the most: leave --map out",
                path.display()
            )));
        }
        let above = self.above(within, scale)?;
        let cut = self.cut(within, scale, resident);
        let gap = Canvas::new(width * scale, GAP_PIXELS, GAP);
        let pixels = [above.pixels, gap.pixels, cut.pixels].concat();
        let (part, mut file) = Part::create(path).about(path)?;
        let size = [width * scale, pixels.len() / (width * scale)];
        let mut writer = encoder(&mut file, size).about(path)?;
        writer.write_image_data(pixels.as_flattened()).about(path)?;
        writer.finish().about(path)?;
        file.flush().about(path)?;
        part.finish().about(path)
    }

    /// The ways, both ends, and what lies around.
    fn area(&self) -> Result<VoxelBox, Failure> {
        let all = || self.ways.iter().flat_map(|way| way.iter()).chain([&self.from, &self.to]).map(|at| at.to_array());
        let ends = |n: usize| {
            let (least, most) = all().fold((i32::MAX, i32::MIN), |(a, b), at| (a.min(at[n]), b.max(at[n])));
            (least - MARGIN, most + MARGIN + 1)
        };
        let [x, y, z] = [ends(0), ends(1), ends(2)];
        VoxelBox::new([x.0, y.0, z.0], [x.1, y.1, z.1]).map_err(|error| Failure::new(error.to_string()))
    }

    fn above(&self, within: VoxelBox, scale: usize) -> Result<Canvas, Failure> {
        let ([width, _, depth], [x0, _, z0]) = (within.size(), within.min());
        let (x1, z1) = (within.max()[0], within.max()[2]);
        // Everything above is looked through for the ground.
        let tall = VoxelBox::new([x0, -256, z0], [x1, 512, z1]).map_err(|error| Failure::new(error.to_string()))?;
        let generate = self.store.settings().generator.name != "void";
        let source = Source { store: self.store, registry: self.store.registry(), within: tall, generate };
        let pixels = TopPainter::new(&source).paint(Area { x: x0, z: z0, width, depth })?;
        let mut canvas = Canvas::new(width * scale, depth * scale, SKY);
        for (n, pixel) in canvas.pixels.iter_mut().enumerate() {
            let (x, z) = (n % (width * scale) / scale, n / (width * scale) / scale);
            let seen = pixels[z * width + x];
            *pixel = if seen[3] == 0 { *pixel } else { seen };
        }
        self.lines(&mut canvas, scale, |at| [(at.x() - x0) as usize, (at.z() - z0) as usize]);
        Ok(canvas)
    }

    /// Straight from one end to the other, as wide as the picture from above.
    fn cut(&self, within: VoxelBox, scale: usize, resident: &mut Residency) -> Canvas {
        let [width, height, _] = within.size();
        let top = within.max()[1] - 1;
        let registry = self.store.registry();
        let mut canvas = Canvas::new(width * scale, height * scale, SKY);
        for column in 0..width {
            let [x, z] = self.place_along(column as i64 - i64::from(MARGIN), width as i64 - 2 * i64::from(MARGIN) - 1);
            for row in 0..height {
                let at = VoxelPos::new(x, top - row as i32, z).ok();
                let block = at.and_then(|at| resident.block(0, at)).filter(|block| *block != AIR);
                let Some(rule) = block.and_then(|block| registry.rule(block)) else { continue };
                let colour = if rule.solid { lit(rule.colour, 232) } else { rule.colour };
                for y in row * scale..(row + 1) * scale {
                    canvas.pixels[y * width * scale + column * scale..][..scale].fill(opaque(colour));
                }
            }
        }
        let span = width as i64 - 2 * i64::from(MARGIN) - 1;
        self.lines(&mut canvas, scale, |at| {
            let column = (self.share(at, span) + i64::from(MARGIN)).clamp(0, width as i64 - 1);
            [column as usize, (top - at.y()) as usize]
        });
        canvas
    }

    /// The place `n` out of `span` of the way from one end to the other.
    fn place_along(&self, n: i64, span: i64) -> [i32; 2] {
        let along = |from: i32, to: i32| {
            let length = i64::from(to) - i64::from(from);
            (i64::from(from) + length * n / span.max(1)) as i32
        };
        [along(self.from.x(), self.to.x()), along(self.from.z(), self.to.z())]
    }

    /// How far along the straight line from one end to the other a voxel lies, out of `span`.
    fn share(&self, at: VoxelPos, span: i64) -> i64 {
        let [dx, dz] = [self.to.x() - self.from.x(), self.to.z() - self.from.z()].map(i64::from);
        let [x, z] = [at.x() - self.from.x(), at.z() - self.from.z()].map(i64::from);
        span * (dx * x + dz * z) / (dx * dx + dz * dz).max(1)
    }

    /// The ways, then both ends over them.
    fn lines(&self, canvas: &mut Canvas, scale: usize, place: impl Fn(VoxelPos) -> [usize; 2]) {
        let middle = |at: VoxelPos| place(at).map(|part| part * scale + scale / 2);
        let reach = (scale / 3).max(1);
        for (n, (way, (_, colour))) in self.ways.iter().zip(COLOURS.iter().cycle()).enumerate() {
            // Beside each other where they are the same.
            let aside = |at: VoxelPos| middle(at).map(|part| part + n * scale.div_ceil(4));
            for pair in way.windows(2) {
                let ([x0, y0], [x1, y1]) = (aside(pair[0]), aside(pair[1]));
                for n in 0..=scale {
                    let between = |from: usize, to: usize| (from * (scale - n) + to * n) / scale;
                    canvas.dot(between(x0, x1), between(y0, y1), reach, *colour);
                }
            }
        }
        for at in [self.from, self.to] {
            let [x, y] = middle(at);
            canvas.dot(x, y, reach + 4, RIM);
            canvas.dot(x, y, reach + 2, END);
        }
    }
}
