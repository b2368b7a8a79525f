//! The layer `biome`: the biomes' colours, lightly shaded by height.

use super::height::{maps, places, relief};
use super::paint::{Area, CLEAR, Entry, Painter, Pixel, by_footprint, lit, opaque};
use crate::failure::Failure;
use std::sync::atomic::{AtomicU64, Ordering};
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::stage::{Layer, Maps, NO_WATER};
use terrane_world::generate::terrain::biomes::BIOMES;

/// Paints biomes, and counts them.
pub struct BiomePainter<'a> {
    pipeline: &'a Pipeline,
    places: [AtomicU64; BIOMES.len()],
}

impl<'a> BiomePainter<'a> {
    pub fn new(pipeline: &'a Pipeline) -> Self {
        Self { pipeline, places: [const { AtomicU64::new(0) }; BIOMES.len()] }
    }

    /// Number of the biome and colour of every place of a footprint.
    fn footprint(&self, x: i32, z: i32) -> Result<Vec<(u8, Pixel)>, Failure> {
        let maps = maps(self.pipeline, x, z)?;
        Ok(places().map(|(x, z)| place(&maps, x, z)).collect())
    }
}

fn place(maps: &Maps, x: i32, z: i32) -> (u8, Pixel) {
    let biome = (maps.at(Layer::Biome, x, z) as usize).min(BIOMES.len() - 1);
    let height = i32::from(maps.at(Layer::Height, x, z));
    let shade = match maps.at(Layer::Water, x, z) {
        NO_WATER => 236 + relief(maps, x, z) * 5 / 8 + (height - 62).clamp(0, 160) / 10,
        surface => 264 - (i32::from(surface) + 1 - height).clamp(0, 48) * 3 / 2 + relief(maps, x, z) / 8,
    };
    (biome as u8, opaque(lit(BIOMES[biome].colour, shade)))
}

impl Painter for BiomePainter<'_> {
    fn paint(&self, area: Area) -> Result<Vec<Pixel>, Failure> {
        let places = by_footprint(area, (0, CLEAR), |x, z| self.footprint(x, z))?;
        let mut counts = [0u64; BIOMES.len()];
        places.iter().for_each(|(biome, _)| counts[usize::from(*biome)] += 1);
        for (sum, count) in self.places.iter().zip(counts) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
        Ok(places.into_iter().map(|(_, pixel)| pixel).collect())
    }

    fn legend(&self) -> Vec<Entry> {
        let counts: Vec<u64> = self.places.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let counted = BIOMES.iter().zip(counts).filter(|(_, count)| *count > 0);
        let mut legend: Vec<Entry> = counted
            .map(|(biome, count)| Entry {
                name: biome.name.to_owned(),
                colour: biome.colour,
                share: count as f64 / total,
            })
            .collect();
        legend.sort_by(|a, b| b.share.total_cmp(&a.share));
        legend
    }
}
