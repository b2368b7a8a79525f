//! The functions that a plug-in may call: all of the world that it can see and change.

use crate::engine::Limiter;
use crate::fault::Fault;
use crate::limits::{BYTES_PER_FUEL, FUEL_PER_CALL, FUEL_PER_OCTAVE, MODULE, OTHER, SETTING_NAME_BYTES_MAX};
use std::collections::BTreeMap;
use std::sync::Arc;
use terrane_world::generate::noise::{self, Octaves};
use terrane_world::generate::stage::{Cells, Entries, LAYERS, MAP_EDGE, MAP_MARGIN, cell, new_entries};
use terrane_world::limits::{CHUNK_EDGE, CHUNK_VOXELS};
use wasmtime::{Caller, Engine, Extern, Linker, Memory, Result, Trap};

/// What is known of a plug-in wherever it runs.
pub struct Facts {
    /// Its name in `world.toml`.
    pub name: String,
    /// The world's seed.
    pub seed: u64,
    /// The world's seed and the plug-in's name, mixed: what its noise grows from.
    pub own_seed: [u32; 2],
    /// The stage's settings.
    pub settings: BTreeMap<String, i64>,
}

impl Facts {
    fn seed_of(&self, salt: i32) -> u32 {
        noise::hash(self.own_seed[0] as i32, salt, self.own_seed[1] as i32, 0)
    }
}

/// The chunk that an instance works on.
pub struct Work {
    /// Voxels around the chunk that may be read.
    pub halo: i32,
    /// The chunk with its halo as it stood before the stage; empty if the plug-in does not import what reads it.
    pub window: Vec<u8>,
    /// The layers of the maps; empty if the plug-in does not import what reads them.
    pub maps: Vec<Cells>,
    /// How many blocks the plug-in's list has.
    pub blocks: u8,
    /// What the plug-in has made so far, if anything.
    pub made: Option<Box<Entries>>,
}

/// What an instance carries with it.
pub struct Host {
    pub facts: Arc<Facts>,
    /// None while the plug-in is loaded.
    pub work: Option<Work>,
    pub limiter: Limiter,
}

impl Host {
    fn work(&mut self, function: &str) -> Result<&mut Work, Fault> {
        let early = || {
            Fault(format!(
                "{function} was called while the plug-in was loaded, when there is no chunk; before terrane_generate a \
                 plug-in may only call seed, setting, hash, noise2 and noise3"
            ))
        };
        self.work.as_mut().ok_or_else(early)
    }
}

type Call<'a> = Caller<'a, Host>;

/// All functions, to be linked to any plug-in.
pub fn linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(MODULE, "read", read)?;
    linker.func_wrap(MODULE, "write", write)?;
    linker.func_wrap(MODULE, "get", get)?;
    linker.func_wrap(MODULE, "set", set)?;
    linker.func_wrap(MODULE, "map", map)?;
    linker.func_wrap(MODULE, "seed", seed)?;
    linker.func_wrap(MODULE, "hash", hash)?;
    linker.func_wrap(MODULE, "noise2", noise2)?;
    linker.func_wrap(MODULE, "noise3", noise3)?;
    linker.func_wrap(MODULE, "setting", setting)?;
    Ok(linker)
}

/// Takes fuel for work that is done outside the plug-in, so that fuel bounds time.
fn charge(call: &mut Call<'_>, fuel: u64) -> Result<()> {
    let left = call.get_fuel()?.checked_sub(fuel + FUEL_PER_CALL).ok_or(Trap::OutOfFuel)?;
    call.set_fuel(left)
}

fn memory(call: &mut Call<'_>) -> Result<Memory> {
    let export = call.get_export("memory").and_then(Extern::into_memory);
    export.ok_or_else(|| Fault("it does not export its memory".to_owned()).into())
}

/// A place in the plug-in's memory.
fn range(data: &[u8], function: &str, pointer: i32, count: usize) -> Result<std::ops::Range<usize>, Fault> {
    let start = pointer as u32 as usize;
    match start.checked_add(count) {
        Some(end) if end <= data.len() => Ok(start..end),
        _ => Err(Fault::bytes(function, pointer, count, data.len())),
    }
}

fn read(mut call: Call<'_>, pointer: i32) -> Result<()> {
    let count = call.data_mut().work("read")?.window.len();
    charge(&mut call, count as u64 / BYTES_PER_FUEL)?;
    let (data, host) = memory(&mut call)?.data_and_store_mut(&mut call);
    let range = range(data, "read", pointer, count)?;
    data[range].copy_from_slice(&host.work("read")?.window);
    Ok(())
}

fn write(mut call: Call<'_>, pointer: i32) -> Result<()> {
    charge(&mut call, CHUNK_VOXELS as u64 / BYTES_PER_FUEL)?;
    let (data, host) = memory(&mut call)?.data_and_store_mut(&mut call);
    let work = host.work("write")?;
    let voxels = &data[range(data, "write", pointer, CHUNK_VOXELS)?];
    if let Some(unknown) = voxels.iter().find(|number| **number >= work.blocks && **number != OTHER) {
        return Err(Fault::block("write", i32::from(*unknown), work.blocks).into());
    }
    made(work).copy_from_slice(voxels);
    Ok(())
}

fn made(work: &mut Work) -> &mut Entries {
    work.made.get_or_insert_with(|| {
        let mut made = new_entries();
        made.fill(OTHER);
        made
    })
}

fn get(mut call: Call<'_>, x: i32, y: i32, z: i32) -> Result<i32> {
    charge(&mut call, 0)?;
    let work = call.data_mut().work("get")?;
    let (low, high) = (-work.halo, CHUNK_EDGE as i32 + work.halo);
    if [x, y, z].iter().any(|at| !(low..high).contains(at)) {
        return Err(Fault::outside("get", &[x, y, z], low, high - 1).into());
    }
    let edge = (high - low) as usize;
    let [x, y, z] = [x, y, z].map(|at| (at - low) as usize);
    Ok(i32::from(work.window[x + edge * (z + edge * y)]))
}

fn set(mut call: Call<'_>, x: i32, y: i32, z: i32, block: i32) -> Result<()> {
    charge(&mut call, 0)?;
    let work = call.data_mut().work("set")?;
    if [x, y, z].iter().any(|at| !(0..CHUNK_EDGE as i32).contains(at)) {
        return Err(Fault::outside("set", &[x, y, z], 0, CHUNK_EDGE as i32 - 1).into());
    }
    if !(0..i32::from(work.blocks)).contains(&block) && block != i32::from(OTHER) {
        return Err(Fault::block("set", block, work.blocks).into());
    }
    made(work)[(x + 32 * z + 1024 * y) as usize] = block as u8;
    Ok(())
}

fn map(mut call: Call<'_>, layer: i32, x: i32, z: i32) -> Result<i32> {
    charge(&mut call, 0)?;
    let work = call.data_mut().work("map")?;
    let (low, high) = (-MAP_MARGIN, MAP_EDGE as i32 - MAP_MARGIN);
    if [x, z].iter().any(|at| !(low..high).contains(at)) {
        return Err(Fault::outside("map", &[x, z], low, high - 1).into());
    }
    let known = usize::try_from(layer).ok().and_then(|layer| work.maps.get(layer));
    let cells = known.ok_or_else(|| Fault(format!("map was given layer {layer}; there are 0 to {}", LAYERS - 1)))?;
    Ok(i32::from(cells[cell(x, z)]))
}

fn seed(mut call: Call<'_>) -> Result<i64> {
    charge(&mut call, 0)?;
    Ok(call.data().facts.seed as i64)
}

fn hash(mut call: Call<'_>, x: i32, y: i32, z: i32, salt: i32) -> Result<i32> {
    charge(&mut call, 0)?;
    Ok(noise::hash(x, y, z, call.data().facts.seed_of(salt)) as i32)
}

fn octaves(call: &mut Call<'_>, bits: i32, count: i32, salt: i32) -> Result<Octaves> {
    let fits = |bits: &i32, count: &i32| Octaves::fits(*bits as u32, *count as u32);
    if bits < 0 || count < 0 || !fits(&bits, &count) {
        return Err(Fault(format!(
            "noise was given {count} octaves from a spacing of 2^{bits}; octaves are 1 to {}, the spacing is at most 2^{}, \
             and each octave halves it, down to no less than 2",
            noise::OCTAVES_MAX,
            noise::BITS_MAX
        ))
        .into());
    }
    charge(call, count as u64 * FUEL_PER_OCTAVE)?;
    Ok(Octaves::new(bits as u32, count as u32, call.data().facts.seed_of(salt)))
}

fn noise2(mut call: Call<'_>, x: i32, z: i32, bits: i32, count: i32, salt: i32) -> Result<i32> {
    Ok(i32::from(noise::fractal2(x, z, octaves(&mut call, bits, count, salt)?)))
}

fn noise3(mut call: Call<'_>, x: i32, y: i32, z: i32, bits: i32, count: i32, salt: i32) -> Result<i32> {
    Ok(i32::from(noise::fractal3(x, y, z, octaves(&mut call, bits, count, salt)?)))
}

fn setting(mut call: Call<'_>, pointer: i32, count: i32, default: i64) -> Result<i64> {
    charge(&mut call, 0)?;
    let (data, host) = memory(&mut call)?.data_and_store_mut(&mut call);
    let count = count as u32 as usize;
    if count > SETTING_NAME_BYTES_MAX {
        return Err(
            Fault(format!("setting was given a name of {count} bytes; at most {SETTING_NAME_BYTES_MAX}")).into()
        );
    }
    let name = std::str::from_utf8(&data[range(data, "setting", pointer, count)?]);
    let name = name.map_err(|_| Fault("setting was given a name that is not UTF-8".to_owned()))?;
    Ok(host.facts.settings.get(name).copied().unwrap_or(default))
}
