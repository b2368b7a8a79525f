//! The layer `vein`: ores seen from above through the rock, brighter where more voxels are over each other.

use super::height::HeightPainter;
use super::paint::{Area, CLEAR, Entry, Painter, Pixel, by_footprint, lit, mixed, opaque};
use super::source::Source;
use crate::failure::Failure;
use std::sync::atomic::{AtomicU64, Ordering};
use terrane_world::block::BlockId;
use terrane_world::chunk::new_blocks;

/// Names of ores without their ending, how they look on a map, and how much one voxel counts beside another.
const ORES: [(&str, [u8; 3], u32); 8] = [
    ("coal", [128, 132, 150], 1),
    ("iron", [232, 170, 132], 2),
    ("copper", [236, 112, 60], 2),
    ("lapis", [74, 104, 255], 4),
    ("redstone", [255, 44, 44], 4),
    ("gold", [255, 214, 48], 5),
    ("emerald", [40, 236, 110], 8),
    ("diamond", [96, 246, 255], 8),
];
/// No ore.
const NONE: u8 = u8::MAX;

/// Paints ores, and counts them.
pub struct VeinPainter<'a> {
    source: &'a Source<'a>,
    /// By block id: the ore's number, or `NONE`.
    ores: Vec<u8>,
    ground: Option<HeightPainter<'a>>,
    voxels: [AtomicU64; ORES.len()],
}

impl<'a> VeinPainter<'a> {
    pub fn new(source: &'a Source<'a>) -> Self {
        let ores = source.registry.names().iter().map(|name| number(name)).collect();
        let ground = source.store.generator().pipeline().map(|pipeline| HeightPainter::new(pipeline));
        Self { source, ores, ground, voxels: [const { AtomicU64::new(0) }; ORES.len()] }
    }

    fn ore(&self, block: BlockId) -> u8 {
        self.ores.get(usize::from(block.0)).copied().unwrap_or(NONE)
    }

    /// Voxels of each ore at each place of a footprint.
    fn count(&self, x: i32, z: i32) -> Result<Vec<[u16; ORES.len()]>, Failure> {
        let mut counts = vec![[0; ORES.len()]; 1024];
        let mut blocks = new_blocks();
        let [low, high] = [self.source.within.min()[1], self.source.within.max()[1]];
        for (pos, chunk) in self.source.stack(x, z, self.source.heights())? {
            if chunk.table().iter().any(|block| self.ore(*block) != NONE) || chunk.table().is_empty() {
                chunk.copy_to(&mut blocks);
                let y0 = pos.origin().y();
                let rows = (low - y0).max(0) as usize..(high - y0).clamp(0, 32) as usize;
                for (n, block) in blocks[rows.start * 1024..rows.end * 1024].iter().enumerate() {
                    let ore = self.ore(*block);
                    if ore != NONE {
                        counts[n % 1024][usize::from(ore)] += 1;
                    }
                }
            }
        }
        Ok(counts)
    }

    fn footprint(&self, x: i32, z: i32) -> Result<Vec<(Pixel, [u16; ORES.len()])>, Failure> {
        let ground = match &self.ground {
            Some(ground) => ground.footprint(x, z)?,
            None => vec![[110, 110, 116, 255]; 1024],
        };
        let counts = self.count(x, z)?;
        Ok(ground.into_iter().zip(counts).map(|(ground, counts)| (colour(ground, &counts), counts)).collect())
    }
}

/// The number of the ore that a block is.
fn number(name: &str) -> u8 {
    let name = name.split('[').next().unwrap_or(name);
    let ore = name.strip_suffix("_ore").map(|name| name.trim_start_matches("deepslate_").trim_start_matches("nether_"));
    ORES.iter().position(|(known, ..)| Some(*known) == ore).map_or(NONE, |number| number as u8)
}

/// Ores over each other mix by count and worth.
fn colour(ground: Pixel, counts: &[u16; ORES.len()]) -> Pixel {
    let [red, green, blue, _] = ground;
    // Grey, so that only ores have colours.
    let grey = ((u32::from(red) * 3 + u32::from(green) * 6 + u32::from(blue)) / 10) as u8;
    let dim = lit([grey, grey, grey.saturating_add(12)], 96);
    let weights = || ORES.iter().zip(counts).map(|((_, colour, worth), count)| (*colour, worth * u32::from(*count)));
    let total: u32 = weights().map(|(_, weight)| weight).sum();
    if total == 0 {
        return opaque(dim);
    }
    let sum = |part: usize| weights().map(|(colour, weight)| u32::from(colour[part]) * weight).sum::<u32>();
    let ore = std::array::from_fn(|part| (sum(part) / total) as u8);
    let voxels: i32 = counts.iter().map(|count| i32::from(*count)).sum();
    opaque(mixed(dim, ore, 72 + voxels * 34))
}

impl Painter for VeinPainter<'_> {
    fn paint(&self, area: Area) -> Result<Vec<Pixel>, Failure> {
        let places = by_footprint(area, (CLEAR, [0; ORES.len()]), |x, z| self.footprint(x, z))?;
        for (number, sum) in self.voxels.iter().enumerate() {
            let count: u64 = places.iter().map(|(_, counts)| u64::from(counts[number])).sum();
            sum.fetch_add(count, Ordering::Relaxed);
        }
        Ok(places.into_iter().map(|(pixel, _)| pixel).collect())
    }

    fn legend(&self) -> Vec<Entry> {
        let counts: Vec<u64> = self.voxels.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let counted = ORES.iter().zip(counts).filter(|(_, count)| *count > 0);
        counted
            .map(|((name, colour, _), count)| Entry {
                name: format!("{name}_ore"),
                colour: *colour,
                share: count as f64 / total,
            })
            .collect()
    }
}
