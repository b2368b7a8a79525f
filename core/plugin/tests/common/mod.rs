//! Plug-ins as text, loaded the way a world loads them.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;
use terrane_plugin::{Plugins, sha256};
use terrane_world::block::Registry;
use terrane_world::generate::noise::{Octaves, fractal2, fractal3};
use terrane_world::generate::palette::Palette;
use terrane_world::generate::pipeline::Pipeline;
use terrane_world::generate::stage::{Context, Draft, Entry, Fixed, Layer, MAP_EDGE, Making, Maps, Stage, StageSource};
use terrane_world::generate::{GenerateError, GeneratorError, Level, PluginFile, StageSetting};

pub const SEED: u64 = 77;
pub const FIXED: Fixed = Fixed { floor: -64, sea: 62 };

/// A plug-in whose blocks are air 0, stone 1, glowstone 2, with two pages of memory.
pub struct Wat<'a> {
    pub halo: i32,
    /// What comes before the functions: imports, which must be first, and globals.
    pub head: &'a str,
    /// The body of `terrane_generate`, which is called with $x, $y, $z.
    pub generate: &'a str,
}

pub const IMPORTS: &str = r#"
    (import "terrane" "read" (func $read (param i32)))
    (import "terrane" "write" (func $write (param i32)))
    (import "terrane" "get" (func $get (param i32 i32 i32) (result i32)))
    (import "terrane" "set" (func $set (param i32 i32 i32 i32)))
    (import "terrane" "map" (func $map (param i32 i32 i32) (result i32)))
    (import "terrane" "seed" (func $seed (result i64)))
    (import "terrane" "hash" (func $hash (param i32 i32 i32 i32) (result i32)))
    (import "terrane" "noise2" (func $noise2 (param i32 i32 i32 i32 i32) (result i32)))
    (import "terrane" "noise3" (func $noise3 (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "terrane" "setting" (func $setting (param i32 i32 i64) (result i64)))"#;

impl Wat<'_> {
    pub fn text(&self) -> String {
        let Self { halo, head, generate } = self;
        format!(
            r#"(module {IMPORTS} {head}
              (memory (export "memory") 2)
              (data (i32.const 16) "air\0astone\0aglowstone\00")
              (data (i32.const 64) "height")
              (func (export "terrane_abi") (result i32) i32.const 1)
              (func (export "terrane_halo") (result i32) i32.const {halo})
              (func (export "terrane_blocks") (result i32) i32.const 16)
              (func (export "terrane_generate") (param $x i32) (param $y i32) (param $z i32)
                (local $i i32) (local $j i32) (local $k i32)
                {generate}))"#
        )
    }
}

/// A file as it is pinned.
pub fn file(name: &str, wasm: Vec<u8>) -> PluginFile {
    PluginFile { name: name.to_owned(), sha256: sha256(&wasm), wasm }
}

/// A file from text.
pub fn parsed(name: &str, text: &str) -> PluginFile {
    file(name, wat::parse_str(text).unwrap_or_else(|error| panic!("{text}\n{error}")))
}

/// Makes the stage of a file.
pub fn load(file: &PluginFile, settings: &str, palette: &mut Palette) -> Result<Arc<dyn Stage>, GeneratorError> {
    let registry = Registry::built_in();
    let plugins = std::slice::from_ref(file);
    let mut making = Making { seed: SEED, palette, registry: &registry, plugins, fixed: FIXED };
    let setting = StageSetting { stage: file.name.clone(), settings: settings.parse().unwrap() };
    Plugins::new().stage(&setting, &mut making).map(|stage| stage.expect("the plug-in has the stage's name"))
}

/// Rolling ground of stone, from noise, with its height in the maps.
pub struct Ground {
    pub stone: Entry,
}

impl Stage for Ground {
    fn name(&self) -> &str {
        "ground"
    }

    fn maps(&self, maps: &mut Maps, _: Level) -> Result<(), GenerateError> {
        let [x, z] = maps.origin();
        let cells = maps.layer_mut(Layer::Height);
        for (n, cell) in cells.iter_mut().enumerate() {
            let (x, z) = (x + (n % MAP_EDGE) as i32, z + (n / MAP_EDGE) as i32);
            *cell = 16 + (fractal2(x, z, Octaves::new(7, 3, 9)) >> 9);
        }
        Ok(())
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let first = draft.pos().origin();
        for (n, entry) in draft.entries_mut().iter_mut().enumerate() {
            let (x, y, z) = ((n & 31) as i32, (n >> 10) as i32, (n >> 5 & 31) as i32);
            let ground = first.y() + y < i32::from(context.maps.at(Layer::Height, x, z));
            *entry = if ground { self.stone } else { 0 };
        }
        Ok(())
    }
}

/// Caves under the ground.
pub struct Caves;

impl Stage for Caves {
    fn name(&self) -> &str {
        "caves"
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let first = draft.pos().origin();
        for (n, entry) in draft.entries_mut().iter_mut().enumerate() {
            let (x, y, z) = ((n & 31) as i32, (n >> 10) as i32, (n >> 5 & 31) as i32);
            let below = first.y() + y < i32::from(context.maps.at(Layer::Height, x, z)) - 3;
            if below && fractal3(first.x() + x, first.y() + y, first.z() + z, Octaves::new(5, 3, 4)) > 900 {
                *entry = 0;
            }
        }
        Ok(())
    }
}

/// One of the examples, as it is committed.
pub fn example(name: &str) -> PluginFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugins").join(format!("{name}.wasm"));
    file(name, std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// A pipeline of the ground, its caves and one plug-in.
pub fn pipeline(file: &PluginFile, settings: &str) -> Pipeline {
    let mut palette = Palette::default();
    let stone = palette.entry(&Registry::built_in(), "ground", "stone").unwrap();
    let plugin = load(file, settings, &mut palette).unwrap_or_else(|error| panic!("{error}"));
    Pipeline::new(vec![Arc::new(Ground { stone }), Arc::new(Caves), plugin], palette, stone, FIXED)
}
