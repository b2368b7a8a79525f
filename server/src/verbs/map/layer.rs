//! Which layers there are, and their painters.

use super::biome::BiomePainter;
use super::cave::CavePainter;
use super::height::HeightPainter;
use super::paint::Painter;
use super::source::Source;
use super::top::TopPainter;
use super::vein::VeinPainter;
use std::fmt;
use std::str::FromStr;
use terrane_world::limits::VERTICAL_BOUND;

/// What a map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// What one sees from above.
    Top,
    /// Biomes, from the generator's maps.
    Biome,
    /// The ground's height and the water's depth, from the generator's maps.
    Height,
    /// A cut at this y.
    Cave(i32),
    /// Ores, seen through the rock.
    Vein,
}

impl FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "top" => return Ok(Self::Top),
            "biome" => return Ok(Self::Biome),
            "height" => return Ok(Self::Height),
            "vein" => return Ok(Self::Vein),
            _ => {}
        }
        let y = text.strip_prefix("cave:").ok_or("choose one of top, biome, height, cave:Y and vein")?;
        let inside = |y: &i32| (-VERTICAL_BOUND..VERTICAL_BOUND).contains(y);
        let y = y.parse().ok().filter(inside);
        y.map(Self::Cave).ok_or_else(|| "in cave:Y, Y is a height from -2048 to 2047, as in cave:20".to_owned())
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("top"),
            Self::Biome => f.write_str("biome"),
            Self::Height => f.write_str("height"),
            Self::Cave(y) => write!(f, "cave:{y}"),
            Self::Vein => f.write_str("vein"),
        }
    }
}

impl Layer {
    /// The painter of this layer. A layer of maps needs a generator that has some.
    pub fn painter<'a>(&self, source: &'a Source<'a>) -> Result<Box<dyn Painter + 'a>, String> {
        let maps = || {
            let generator = &source.store.settings().generator;
            source.store.generator().pipeline().ok_or_else(|| {
                format!(
                    "the layer {self} is drawn from the maps of a generator with stages, and this world's generator, {} {}, \
                     has none: draw --layer top, or make a world of the generator terrain",
                    generator.name, generator.version
                )
            })
        };
        Ok(match *self {
            Self::Top => Box::new(TopPainter::new(source)),
            Self::Biome => Box::new(BiomePainter::new(maps()?)),
            Self::Height => Box::new(HeightPainter::new(maps()?)),
            Self::Cave(y) => Box::new(CavePainter::new(source, y)),
            Self::Vein => Box::new(VeinPainter::new(source)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_as_they_are_written() {
        for layer in [Layer::Top, Layer::Biome, Layer::Height, Layer::Cave(-20), Layer::Cave(2047), Layer::Vein] {
            assert_eq!(layer.to_string().parse(), Ok(layer));
        }
        for (text, part) in [("caves", "cave:Y"), ("cave:", "height"), ("cave:9999", "2047"), ("cave:x", "height")] {
            assert!(text.parse::<Layer>().unwrap_err().contains(part), "{text}");
        }
    }
}
