//! The layer `cave:Y`: a cut through the world at one height, looked at from above.

use super::paint::{Area, CLEAR, Painter, Pixel, by_footprint, lit, mixed, opaque};
use super::source::Source;
use crate::failure::Failure;
use std::sync::Arc;
use terrane_world::block::{AIR, BlockId, BlockRule};
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::generate::stage::Layer;
use terrane_world::space::{ChunkPos, LocalIndex};

/// How many voxels one sees down from the cut.
const SIGHT: i32 = 16;
/// Chunks above the cut that are looked at for something between it and the sky.
const CHUNKS_ABOVE: i32 = 10;
/// Air with nothing in sight below it.
const DARK: [u8; 3] = [6, 7, 14];
/// What the light of caves makes of their floors.
const LAMP: [u8; 3] = [96, 112, 168];
/// What rock fades to, so that caves stand out.
const CHALK: [u8; 3] = [204, 192, 172];
/// Above the ground.
const SKY: [u8; 3] = [232, 238, 244];
const WATER: [u8; 3] = [58, 134, 232];
const LAVA: [u8; 3] = [255, 132, 24];

/// Paints a cut.
pub struct CavePainter<'a> {
    source: &'a Source<'a>,
    y: i32,
}

impl<'a> CavePainter<'a> {
    pub fn new(source: &'a Source<'a>, y: i32) -> Self {
        Self { source, y }
    }

    fn footprint(&self, x: i32, z: i32) -> Result<Vec<Pixel>, Failure> {
        let mut pixels = vec![CLEAR; 1024];
        let stack = self.source.stack(x, z, (self.y - SIGHT) >> 5..=self.y >> 5)?;
        let Some(cut) = stack.iter().find(|(pos, _)| pos.y() == self.y >> 5) else { return Ok(pixels) };
        let row = row(&cut.1, self.y & 31);
        let is_air = |block: BlockId| self.source.registry.rule(block).is_none_or(|rule| !rule.solid && !rule.liquid);
        let open = if row.iter().any(|block| is_air(*block)) { self.open(x, z)? } else { vec![false; 1024] };
        for (place, pixel) in pixels.iter_mut().enumerate() {
            let colour = match self.source.registry.rule(row[place]).filter(|_| !is_air(row[place])) {
                Some(rule) => self.cut(row[place], rule),
                None => self.below(&stack, place, open[place]),
            };
            *pixel = opaque(colour);
        }
        Ok(pixels)
    }

    /// What the cut goes through.
    fn cut(&self, block: BlockId, rule: &BlockRule) -> [u8; 3] {
        if rule.liquid {
            return self.liquid(block);
        }
        let name = self.source.registry.name(block).unwrap_or("");
        if name.ends_with("_ore") {
            return lit(rule.colour, 224);
        }
        mixed(rule.colour, CHALK, 132)
    }

    fn liquid(&self, block: BlockId) -> [u8; 3] {
        if self.source.registry.name(block).is_some_and(|name| name.starts_with("lava")) { LAVA } else { WATER }
    }

    /// What one sees below air: the floor, darker the deeper it lies; pale under the open sky.
    fn below(&self, stack: &[(ChunkPos, Arc<Chunk>)], place: usize, open: bool) -> [u8; 3] {
        let floor = (1..=SIGHT).find_map(|down| {
            let block = block(stack, self.y - down, place)?;
            let rule = self.source.registry.rule(block).filter(|rule| rule.solid || rule.liquid)?;
            Some((down, if rule.liquid { self.liquid(block) } else { rule.colour }))
        });
        match (floor, open) {
            (Some((down, colour)), false) => mixed(DARK, mixed(colour, LAMP, 176), 176 - down * 10),
            (None, false) => DARK,
            (Some((down, colour)), true) => mixed(colour, SKY, 140 + down * 6),
            (None, true) => SKY,
        }
    }

    /// Which places of a footprint have nothing above the cut.
    fn open(&self, x: i32, z: i32) -> Result<Vec<bool>, Failure> {
        if let Some(pipeline) = self.source.store.generator().pipeline() {
            let maps = super::height::maps(pipeline, x, z)?;
            let height = super::height::places().map(|(x, z)| i32::from(maps.at(Layer::Height, x, z)));
            return Ok(height.map(|height| self.y >= height).collect());
        }
        let mut open = vec![true; 1024];
        let mut blocks = new_blocks();
        for (pos, chunk) in self.source.stack(x, z, self.y >> 5..=(self.y >> 5) + CHUNKS_ABOVE)? {
            if chunk.table() == [AIR] {
                continue;
            }
            chunk.copy_to(&mut blocks);
            let from = (self.y + 1 - pos.origin().y()).max(0) as usize;
            for (n, block) in blocks.iter().enumerate().skip(from * 1024) {
                let hides = self.source.registry.rule(*block).is_some_and(|rule| rule.solid);
                open[n % 1024] &= !hides;
            }
        }
        Ok(open)
    }
}

/// The blocks of one layer of a chunk.
fn row(chunk: &Chunk, y: i32) -> Vec<BlockId> {
    (0..1024).filter_map(|n| LocalIndex::new(y as u16 * 1024 + n)).map(|at| chunk.get(at)).collect()
}

/// The block at a height and a place of the footprint.
fn block(stack: &[(ChunkPos, Arc<Chunk>)], y: i32, place: usize) -> Option<BlockId> {
    let (_, chunk) = stack.iter().find(|(pos, _)| pos.y() == y >> 5)?;
    Some(chunk.get(LocalIndex::new((y & 31) as u16 * 1024 + place as u16)?))
}

impl Painter for CavePainter<'_> {
    fn paint(&self, area: Area) -> Result<Vec<Pixel>, Failure> {
        by_footprint(area, CLEAR, |x, z| self.footprint(x, z))
    }
}
