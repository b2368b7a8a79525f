//! Measures relaxation, fields of paths and labelling of terrain on a device, against the CPU where that says the same:
//! `cargo run --release -p terrane-gpu --example twins -- [auto|gpu|NAME] [EDGE] [HEIGHT] [TIMES]`. EDGE is that of the square of
//! chunks, HEIGHT how many lie over each other, from two below height 0 on.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people, with a clock")]

use rayon::prelude::*;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use terrane_gpu::{Choice, Device, Given, Labeller, Phases, RelaxOptions, Relaxer};
use terrane_world::block::{BlockId, Registry};
use terrane_world::chunk::{Chunk, new_blocks};
use terrane_world::generate::Generator;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::path::field::FlowField;
use terrane_world::path::mode::Modes;
use terrane_world::path::navigation::{Blocks, Navigation};
use terrane_world::relax::{Bulk, Class, Classes, Rules, Table, Values};
use terrane_world::space::{ChunkPos, PlaceMap, VoxelBox, VoxelPos};
use terrane_world::{light, physics};

/// Chunks of a box whose lowest layer is `low`, from the lowest layer to the highest.
fn places(edge: i32, low: i32, height: i32) -> Result<Vec<ChunkPos>, Box<dyn Error>> {
    let all = (low..low + height).flat_map(|y| (0..edge).flat_map(move |z| (0..edge).map(move |x| [x, y, z])));
    Ok(all.map(ChunkPos::try_from).collect::<Result<_, _>>()?)
}

/// The rules with one more class, which has the best value by itself, for a layer of chunks that values come from.
fn with_source(table: &Table) -> Result<(Rules, u8), Box<dyn Error>> {
    let rules = table.rules();
    let mut classes = rules.classes().to_vec();
    classes.push(Class { source: 0, ..Class::CLOSED });
    Ok((Rules::new(rules.operator(), rules.limit(), classes)?, rules.classes().len() as u8))
}

/// One bit for each voxel that counts.
fn rows(chunk: &Chunk, counts: &dyn Fn(BlockId) -> bool) -> [u32; 1024] {
    let mut blocks = new_blocks();
    chunk.copy_to(&mut blocks);
    std::array::from_fn(|row| (0..32).map(|x| u32::from(counts(blocks[32 * row + x])) << x).sum())
}

/// Chunks in memory.
struct Chunks(PlaceMap<ChunkPos, Arc<Chunk>>);

impl Blocks for Chunks {
    fn chunks(&mut self, wanted: &[ChunkPos]) -> Vec<Option<Arc<Chunk>>> {
        wanted.iter().map(|pos| self.0.get(pos).cloned()).collect()
    }
}

/// A relaxer that remembers how long it took.
struct Timed {
    relaxer: Arc<Relaxer>,
    begun: Instant,
    last: Mutex<Phases>,
}

impl Timed {
    fn last(&self) -> Phases {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bulk for Timed {
    fn solve(&self, rules: &Rules, chunks: &[Given]) -> Option<Vec<Values>> {
        let (values, phases) = self.relaxer.measure(rules, chunks, &|| self.begun.elapsed()).ok()?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = phases;
        Some(values.into_iter().map(|(_, values)| values).collect())
    }
}

/// Fields of one goal in the middle of the box's highest layer but one, so of air, by mode.
fn fields(
    relaxer: &Arc<Relaxer>,
    registry: &Registry,
    chunks: &mut Chunks,
    times: usize,
) -> Result<(), Box<dyn Error>> {
    let mut places: Vec<ChunkPos> = chunks.0.keys().copied().collect();
    places.sort_unstable();
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(()) };
    let (low, high) = (first.origin().to_array(), last.origin().to_array().map(|part| part + 32));
    let within = VoxelBox::new(low, high)?;
    let voxels = (places.len() * CHUNK_VOXELS) as f64;
    let goal = VoxelPos::try_from([(low[0] + high[0]) / 2, high[1] - 40, (low[2] + high[2]) / 2])?;
    for name in ["fly", "tunnel"] {
        let modes = Modes::built_in();
        let mode = modes.get(name).ok_or("a built-in mode")?;
        let timed = Arc::new(Timed { relaxer: relaxer.clone(), begun: Instant::now(), last: Mutex::default() });
        let mut navigation = Navigation::new(mode, registry)?;
        let mut solved = |bulk: Option<Arc<dyn Bulk>>| {
            let begun = Instant::now();
            let field = FlowField::solve(&mut navigation, chunks, registry, &[goal], within, bulk);
            field.map(|field| (field, begun.elapsed()))
        };
        // What the chunks allow is worked out once, before anything is measured.
        drop(solved(None)?);
        let (on_cpu, took) = solved(None)?;
        println!("  {name}: {:.2} Gvoxel/s on the CPU", voxels / took.as_secs_f64() / 1e9);
        for _ in 0..times {
            let (field, all): (FlowField, Duration) = solved(Some(timed.clone()))?;
            let phases = timed.last();
            if places.par_iter().any(|pos| field.reaches(*pos) != on_cpu.reaches(*pos)) {
                return Err(format!("{name}: the device's field is another than the CPU's").into());
            }
            println!(
                "  {name}: {:.2} Gvoxel/s in the device's memory, {:.2} from chunks to the field; {phases:?}",
                voxels / phases.rounds.as_secs_f64() / 1e9,
                voxels / all.as_secs_f64() / 1e9,
            );
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |n: usize, other: &str| words.get(n).cloned().unwrap_or_else(|| other.to_owned());
    let device = Arc::new(Device::open(&Choice::from(word(0, "auto").as_str()))?);
    let (edge, height): (i32, i32) = (word(1, "8").parse()?, word(2, "8").parse()?);
    let times: usize = word(3, "3").parse()?;
    let registry = Registry::built_in();
    let places = places(edge, -2, height)?;
    let chunks = Generator::plain("terrain", 1, 1, &registry)?.chunks(&places)?;
    let begun = Instant::now();
    let options = RelaxOptions { memory_bytes: 64 << 30, ..RelaxOptions::default() };
    let relaxer = Arc::new(Relaxer::with(device.clone(), options)?);
    let voxels = (places.len() * CHUNK_VOXELS) as f64;
    println!("{}: {} chunks, {:.1} Mvoxel", device.listed(), places.len(), voxels / 1e6);
    for (name, table, y) in
        [("support", physics::support::table(&registry)?, -3), ("sky light", light::sky_table(&registry)?, height - 2)]
    {
        let (rules, source) = with_source(&table)?;
        let mut given: Vec<Given> =
            places.iter().zip(&chunks).map(|(pos, chunk)| (*pos, table.classes(chunk), None)).collect();
        given.extend(self::places(edge, y, 1)?.into_iter().map(|pos| (pos, Classes::One(source), None)));
        for _ in 0..times {
            let (_, phases) = relaxer.measure(&rules, &given, &|| begun.elapsed())?;
            let seconds = phases.rounds.as_secs_f64();
            println!(
                "  {name}: {:.2} Gvoxel/s in the device's memory, at least {:.1} GB/s there; {phases:?}",
                voxels / seconds / 1e9,
                phases.bytes_least as f64 / seconds / 1e9
            );
        }
    }
    let shared = |(pos, chunk): (&ChunkPos, &Chunk)| (*pos, Arc::new(chunk.clone()));
    fields(&relaxer, &registry, &mut Chunks(places.iter().zip(&chunks).map(shared).collect()), times)?;
    let solid = |block| registry.rule(block).is_some_and(|rule| rule.solid);
    let bits: Vec<[u32; 1024]> = chunks.iter().map(|chunk| rows(chunk, &solid)).collect();
    let given: Vec<_> = places.iter().copied().zip(&bits).collect();
    let labeller = Labeller::new(device)?;
    for _ in 0..times {
        let begun = Instant::now();
        let labels = labeller.label(&given)?;
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "  labels: {} components, {:.2} Gvoxel/s from the CPU to the CPU",
            labels.count,
            voxels / seconds / 1e9
        );
    }
    Ok(())
}
