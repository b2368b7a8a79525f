//! A stage of one's own: snow on everything above a line, as the last stage of the generator `terrain`.
//!
//! `cargo run -p terrane-world --example own_stage`. `docs/generation.md` explains it.
#![allow(clippy::print_stdout, reason = "an example may say what it did")]

use std::error::Error;
use std::sync::Arc;
use terrane_world::block::Registry;
use terrane_world::generate::stage::{Context, Draft, Entry, Halo, Making, Stage, StageSource};
use terrane_world::generate::{GenerateError, Generator, GeneratorError, GeneratorSetting, StageSetting};
use terrane_world::space::ChunkPos;

/// Voxels along one layer of a chunk.
const LAYER: usize = 32 * 32;

/// Puts snow into the air just above ground that is at least as high as `line`.
struct SnowLine {
    line: i32,
    snow: Entry,
}

impl Stage for SnowLine {
    fn name(&self) -> &str {
        "snow_line"
    }

    /// Whether there is ground below the chunk's lowest voxels is decided by the voxels of the chunk below.
    fn halo(&self) -> Halo {
        Halo { down: 1, ..Halo::NONE }
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let y0 = draft.pos().origin().y();
        let before = draft.entries().into_owned();
        let below = context.around.at([0, -1, 0]);
        for y in (0..32).filter(|y| y0 + *y as i32 > self.line) {
            for at in 0..LAYER {
                let under = match y {
                    0 => below.map_or(0, |below| below.get(31 * LAYER + at)),
                    _ => before[(y - 1) * LAYER + at],
                };
                // Entry 0 is air. What was there before counts, so that snow does not pile up on snow.
                if before[y * LAYER + at] == 0 && under != 0 {
                    draft.entries_mut()[y * LAYER + at] = self.snow;
                }
            }
        }
        Ok(())
    }
}

/// Brings the stage in where a generator names it.
struct MyStages;

impl StageSource for MyStages {
    fn stage(&self, setting: &StageSetting, making: &mut Making<'_>) -> Result<Option<Arc<dyn Stage>>, GeneratorError> {
        if setting.stage != "snow_line" {
            return Ok(None);
        }
        let line = setting.settings.get("line").and_then(toml::Value::as_integer).unwrap_or(100);
        let snow = making.palette.entry(making.registry, "snow_line", "snow_block")?;
        Ok(Some(Arc::new(SnowLine { line: line as i32, snow })))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::built_in();
    let mut setting = GeneratorSetting::listed("terrain", 1);
    let settings = toml::Table::from_iter([("line".to_owned(), 64.into())]);
    setting.stages.push(StageSetting { stage: "snow_line".into(), settings });
    let generator = Generator::new(&setting, 7, &registry, &[], &MyStages)?;
    let stack: Vec<ChunkPos> = (0..8).map(|y| ChunkPos::new(3, y, 5)).collect::<Result<_, _>>()?;
    let snow = registry.id("snow_block").ok_or("a built-in block")?;
    let chunks = generator.chunks(&stack)?;
    let with_snow = chunks.iter().filter(|chunk| chunk.table().contains(&snow)).count();
    println!("{with_snow} of {} chunks over each other have snow", chunks.len());
    // The same bytes alone and among others: the halo says what else has to be made.
    assert!(stack.iter().zip(&chunks).all(|(pos, chunk)| generator.chunk(*pos).is_ok_and(|alone| alone == *chunk)));
    Ok(())
}
