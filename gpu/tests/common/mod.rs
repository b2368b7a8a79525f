//! What the tests share: the device, and stages that are small enough to see through, with their twins.
#![allow(dead_code, reason = "not every test uses all of it")]

pub mod shapes;
pub mod twins;

use std::sync::{Arc, LazyLock};
use terrane_gpu::{Choice, Device, Options, Shader};
use terrane_world::block::Registry;
use terrane_world::generate::noise::{Octaves, fractal2, hash};
use terrane_world::generate::palette::Palette;
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::stage::{Context, Draft, Fixed, Halo, Layer, Maps, Stage, Twin};
use terrane_world::generate::{GenerateError, Level};
use terrane_world::space::ChunkPos;

/// The device of the tests, in software where there is no other. None at all is a failure: `scripts/setup.sh gpu` installs one.
pub fn device() -> Arc<Device> {
    static DEVICE: LazyLock<Arc<Device>> = LazyLock::new(open);
    DEVICE.clone()
}

/// A device of its own, for a test that breaks it. `TERRANE_TEST_DEVICE` names another one.
pub fn open() -> Arc<Device> {
    let choice = std::env::var("TERRANE_TEST_DEVICE").unwrap_or_else(|_| "gpu".to_owned());
    Arc::new(Device::open(&Choice::from(choice.as_str())).unwrap_or_else(|error| panic!("{error}")))
}

/// Ground from noise.
pub struct Mounds {
    pub seed: u32,
}

impl Stage for Mounds {
    fn name(&self) -> &str {
        "mounds"
    }

    fn maps(&self, maps: &mut Maps, _: Level) -> Result<(), GenerateError> {
        let [x, z] = maps.origin();
        for (cell, height) in (0..).zip(maps.layer_mut(Layer::Height)) {
            *height = fractal2(x + cell % 64, z + cell / 64, Octaves::new(6, 3, self.seed)) >> 8;
        }
        Ok(())
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let origin = draft.pos().origin();
        let entries = draft.entries_mut();
        for (local, entry) in (0..).zip(entries) {
            let [x, y, z] = [local % 32, local / 1024, local / 32 % 32];
            *entry = match origin.y() + y < i32::from(context.maps.at(Layer::Height, x, z)) {
                true => 1 + (hash(origin.x() + x, origin.y() + y, origin.z() + z, self.seed) & 1) as u8,
                false => 0,
            };
        }
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "mounds", maps: true, blocks: true, parameters: vec![self.seed] })
    }
}

/// What has air beside it gets a cover.
pub struct Moss {
    pub entry: u8,
}

impl Stage for Moss {
    fn name(&self) -> &str {
        "moss"
    }

    fn halo(&self) -> Halo {
        Halo { sideways: 1, up: 1, down: 1 }
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let before = draft.entries().into_owned();
        let is_air = |[x, y, z]: [i32; 3]| {
            let step = [x, y, z].map(|part| part >> 5);
            let local = (x & 31) + 32 * (z & 31) + 1024 * (y & 31);
            match step {
                [0, 0, 0] => before[local as usize] == 0,
                step => context.around.at(step).is_some_and(|there| there.get(local as usize) == 0),
            }
        };
        for (local, entry) in (0..).zip(draft.entries_mut()) {
            let [x, y, z] = [local % 32, local / 1024, local / 32 % 32];
            let beside = [[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]];
            if *entry != 0 && beside.iter().any(|by| is_air([x + by[0], y + by[1], z + by[2]])) {
                *entry = self.entry;
            }
        }
        Ok(())
    }

    fn twin(&self) -> Option<Twin> {
        Some(Twin { stem: "moss", maps: false, blocks: true, parameters: vec![u32::from(self.entry)] })
    }
}

/// A stage without a twin: digs every third voxel away, and raises the ground for whoever reads it later.
pub struct Sieve;

impl Stage for Sieve {
    fn name(&self) -> &str {
        "sieve"
    }

    fn maps(&self, maps: &mut Maps, _: Level) -> Result<(), GenerateError> {
        maps.layer_mut(Layer::Height).iter_mut().for_each(|height| *height += 3);
        Ok(())
    }

    fn blocks(&self, draft: &mut Draft, _: &Context<'_>) -> Result<(), GenerateError> {
        draft.entries_mut().iter_mut().step_by(3).for_each(|entry| *entry = 0);
        Ok(())
    }
}

/// A pipeline of these stages, with enough kinds of blocks for them.
pub fn pipeline(stages: Vec<Arc<dyn Stage>>) -> Arc<Pipeline> {
    let registry = Registry::built_in();
    let mut palette = Palette::default();
    let mut entry = |block| palette.entry(&registry, "a test", block).expect("a built-in block");
    let [_, _, _, floor] = ["stone", "dirt", "sand", "bedrock"].map(&mut entry);
    Arc::new(Pipeline::new(stages, palette, floor, Fixed { floor: -2000, sea: 0 }))
}

/// Options with the twins of these stages.
pub fn options() -> Options {
    let shader = |stem: &str, source: &str| Shader { stem: stem.to_owned(), source: source.to_owned() };
    let shaders = vec![
        shader("mounds", include_str!("../shaders/mounds.wgsl")),
        shader("moss", include_str!("../shaders/moss.wgsl")),
    ];
    Options { shaders, ..Options::default() }
}

/// Chunks of a box, in chunks, the upper end left out.
pub fn chunks([x, y, z]: [std::ops::Range<i32>; 3]) -> Vec<ChunkPos> {
    let at = |x, y, z| ChunkPos::new(x, y, z).expect("inside the world");
    let (ys, zs) = (&y, &z);
    x.flat_map(|x| zs.clone().flat_map(move |z| ys.clone().map(move |y| at(x, y, z)))).collect()
}
