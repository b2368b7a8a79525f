//! The layer `top`: what one sees from above, shaded by height, with water depth.

use super::paint::{Area, CLEAR, Painter, Pixel, by_footprint, lit, mixed, opaque};
use super::source::Source;
use crate::failure::Failure;
use std::ops::RangeInclusive;
use std::sync::Arc;
use terrane_world::block::AIR;
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::generate::stage::Layer;
use terrane_world::space::ChunkPos;

/// No ground has been found here.
const NOTHING: i32 = i32::MIN;

/// Paints what one sees.
pub struct TopPainter<'a> {
    source: &'a Source<'a>,
}

/// What one sees looking down on one place.
#[derive(Clone, Copy)]
struct Seen {
    /// The ground's y, or `NOTHING`.
    height: i32,
    /// Voxels of liquid above the ground.
    depth: u16,
    /// The ground's colour, and the liquid's.
    ground: [u8; 3],
    liquid: [u8; 3],
}

const UNSEEN: Seen = Seen { height: NOTHING, depth: 0, ground: [0; 3], liquid: [0; 3] };

impl<'a> TopPainter<'a> {
    pub fn new(source: &'a Source<'a>) -> Self {
        Self { source }
    }

    /// One footprint from the top down, until every place has met the ground.
    fn look_down(&self, x: i32, z: i32) -> Result<Vec<Seen>, Failure> {
        let mut looking = Looking { source: self.source, seen: vec![UNSEEN; 1024], left: 1024 };
        let heights = self.source.heights();
        // Chunks that share the maps of their column are made together: first those that reach above the ground.
        let split = self.lowest_ground(x, z)?.unwrap_or(*heights.start()).clamp(*heights.start(), *heights.end());
        looking.through(&self.source.stack(x, z, split..=*heights.end())?);
        if looking.left > 0 && split > *heights.start() {
            let rest: RangeInclusive<i32> = *heights.start()..=split - 1;
            looking.through(&self.source.stack(x, z, rest)?);
        }
        Ok(looking.seen)
    }

    /// y of the chunk with the lowest ground, as the generator's maps have it.
    fn lowest_ground(&self, x: i32, z: i32) -> Result<Option<i32>, Failure> {
        let Some(pipeline) = self.source.store.generator().pipeline().filter(|_| self.source.generate) else {
            return Ok(None);
        };
        let maps = super::height::maps(pipeline, x, z)?;
        let ((low, _), (_, overhang)) = (maps.range(Layer::Height), maps.range(Layer::Overhang));
        Ok(Some((i32::from(low) - i32::from(overhang) - 1) >> 5))
    }
}

/// Eyes on a footprint, going down.
struct Looking<'a> {
    source: &'a Source<'a>,
    seen: Vec<Seen>,
    /// Places that have not met the ground.
    left: usize,
}

impl Looking<'_> {
    /// Goes down through a stack, whose y ascends.
    fn through(&mut self, stack: &[(ChunkPos, Arc<Chunk>)]) {
        let mut blocks = new_blocks();
        let within = self.source.within;
        for (pos, chunk) in stack.iter().rev().filter(|(_, chunk)| chunk.table() != [AIR]) {
            chunk.copy_to(&mut blocks);
            for y in (0..32).rev() {
                let world_y = pos.origin().y() + y as i32;
                if (within.min()[1]..within.max()[1]).contains(&world_y) && self.left > 0 {
                    self.row(world_y, &blocks[y * 1024..(y + 1) * 1024]);
                }
            }
        }
    }

    fn row(&mut self, y: i32, blocks: &[terrane_world::block::BlockId]) {
        for (seen, block) in self.seen.iter_mut().zip(blocks) {
            if seen.height != NOTHING || *block == AIR {
                continue;
            }
            let Some(rule) = self.source.registry.rule(*block) else { continue };
            if rule.liquid {
                seen.depth += 1;
                seen.liquid = if seen.depth == 1 { rule.colour } else { seen.liquid };
            } else if rule.solid || (rule.pickable && seen.depth == 0) {
                (seen.height, seen.ground) = (y, rule.colour);
                self.left -= 1;
            }
        }
    }
}

impl Painter for TopPainter<'_> {
    fn paint(&self, area: Area) -> Result<Vec<Pixel>, Failure> {
        // One place more to the west and to the north, inside the box, for the light on slopes.
        let [west, north] =
            [area.x > self.source.within.min()[0], area.z > self.source.within.min()[2]].map(usize::from);
        let wide = Area {
            x: area.x - west as i32,
            z: area.z - north as i32,
            width: area.width + west,
            depth: area.depth + north,
        };
        let seen = by_footprint(wide, UNSEEN, |x, z| self.look_down(x, z))?;
        let at = |x: usize, z: usize| seen[z * wide.width + x];
        let pixel = |x: usize, z: usize| {
            let (here, beside) = (at(x, z), [at(x.saturating_sub(1), z), at(x, z.saturating_sub(1))]);
            colour(here, beside)
        };
        Ok((north..wide.depth).flat_map(|z| (west..wide.width).map(move |x| pixel(x, z))).collect())
    }
}

/// Light from the north-west and a little from the height itself; liquid darkens what lies below it.
fn colour(here: Seen, beside: [Seen; 2]) -> Pixel {
    let depth = i32::from(here.depth);
    if here.height == NOTHING && depth == 0 {
        return CLEAR;
    }
    let rise = |other: Seen| if other.height == NOTHING { 0 } else { here.height - other.height };
    let shade = match here.height {
        NOTHING => 230,
        height => {
            let slope: i32 = beside.into_iter().map(rise).sum();
            230 + slope.clamp(-5, 5) * 13 + ((height - 40).clamp(0, 180) / 5 - 12)
        }
    };
    if depth == 0 {
        return opaque(lit(here.ground, shade));
    }
    // The bed shines through the first voxels; deep liquid is dark.
    let through = (200 - depth * 22).max(0);
    let top = lit(here.liquid, (250 - depth * 5).max(120));
    let bed = if here.height == NOTHING { [0; 3] } else { lit(here.ground, shade) };
    opaque(mixed(top, bed, through * 256 / 400))
}
