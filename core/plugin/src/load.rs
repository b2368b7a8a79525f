//! From a file that `world.toml` pins to a stage: everything that is checked before a plug-in makes its first chunk.

use crate::engine::{Limiter, Machine, store};
use crate::fault::explain;
use crate::host::{Facts, Host};
use crate::limits::{
    ABI_VERSION, BLOCKS_MAX, FUEL_TO_LOAD, FUNCTIONS, HALO_MAX, LIST_BYTES_MAX, MODULE, WASM_BYTES_MAX,
};
use crate::stage::{PluginStage, Reads};
use crate::view::Numbers;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use terrane_world::generate::stage::{Entry, Making, Stage, StageSource};
use terrane_world::generate::{GeneratorError, PluginFile, StageSetting};
use wasmtime::{ExternType, Instance, InstancePre, Module, Store};

/// The plug-ins of a world: a source of stages.
///
/// It costs nothing until the first plug-in is loaded. Hand it to whatever opens a world or makes a generator.
#[derive(Default)]
pub struct Plugins {
    machine: OnceLock<Result<Machine, String>>,
}

impl Plugins {
    /// A source of plug-in stages.
    pub const fn new() -> Self {
        Self { machine: OnceLock::new() }
    }

    fn machine(&self) -> Result<&Machine, String> {
        let made = self
            .machine
            .get_or_init(|| Machine::new().map_err(|error| format!("this machine can't run plug-ins: {error:#}")));
        made.as_ref().map_err(Clone::clone)
    }
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").finish_non_exhaustive()
    }
}

impl StageSource for Plugins {
    fn stage(&self, setting: &StageSetting, making: &mut Making<'_>) -> Result<Option<Arc<dyn Stage>>, GeneratorError> {
        let Some(file) = making.plugins.iter().find(|file| file.name == setting.stage) else { return Ok(None) };
        let wrong = |problem| GeneratorError::Plugin { plugin: file.name.clone(), problem };
        let facts = Arc::new(facts(setting, making.seed).map_err(wrong)?);
        let instance = self.checked(file).map_err(wrong)?;
        let answers = Answers::ask(&instance, &facts).map_err(wrong)?;
        let numbers = Numbers::new(entries(&answers.blocks, &file.name, making)?);
        let imports = |name: &str| instance.module().imports().any(|import| import.name() == name);
        let reads = Reads { voxels: imports("read") || imports("get"), maps: imports("map") };
        Ok(Some(Arc::new(PluginStage { facts, instance, numbers, halo: answers.halo, reads })))
    }
}

impl Plugins {
    /// The module of a file that is what was pinned, and that has what a plug-in has and nothing else.
    fn checked(&self, file: &PluginFile) -> Result<InstancePre<Host>, String> {
        check_file(file)?;
        let machine = self.machine()?;
        let module = Module::from_binary(&machine.engine, &file.wasm).map_err(|error| {
            format!(
                "its file can't be compiled: {error:#}. A plug-in is WebAssembly 1.0 with SIMD, sign extension, saturating \
                 conversions, multiple values and extended constants; threads, relaxed SIMD, bulk memory, reference types \
                 and all else must be switched off where it is built (asc: --disable bulk-memory)"
            )
        })?;
        check_imports(&module)?;
        check_exports(&module)?;
        let link =
            |error: wasmtime::Error| format!("what it imports has other parameters than the server's: {error:#}");
        machine.linker.instantiate_pre(&module).map_err(link)
    }
}

fn facts(setting: &StageSetting, seed: u64) -> Result<Facts, String> {
    let integer = |(key, value): (&String, &toml::Value)| match value.as_integer() {
        Some(integer) => Ok((key.clone(), integer)),
        None => Err(format!(
            "its setting {key} = {value} is no whole number; plug-ins take only those (write 0 or 1 for no or yes)"
        )),
    };
    let settings = setting.settings.iter().map(integer).collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(Facts { name: setting.stage.clone(), seed, own_seed: own_seed(seed, &setting.stage), settings })
}

/// Two plug-ins of one world, and one plug-in of two worlds, differ in their noise.
fn own_seed(seed: u64, name: &str) -> [u32; 2] {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    let word = |n: usize| u32::from_le_bytes([digest[n], digest[n + 1], digest[n + 2], digest[n + 3]]);
    [word(0), word(4)]
}

/// SHA-256 of a plug-in's bytes as `[plugins]` has it: 64 hexadecimal digits.
pub fn sha256(wasm: &[u8]) -> String {
    Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_file(file: &PluginFile) -> Result<(), String> {
    let (name, found) = (&file.name, sha256(&file.wasm));
    if !file.sha256.eq_ignore_ascii_case(&found) {
        return Err(format!(
            "plugins/{name}.wasm has the SHA-256 {found}, and world.toml pins {}: put the pinned file back, or, in a world \
             that has stored nothing yet, write {name} = \"{found}\" under [plugins]",
            file.sha256
        ));
    }
    if file.wasm.len() > WASM_BYTES_MAX {
        let size = file.wasm.len();
        return Err(format!("its file has {size} bytes, and may have {WASM_BYTES_MAX}; build it for size"));
    }
    if !file.wasm.starts_with(b"\0asm\x01\0\0\0") {
        return Err(format!(
            "plugins/{name}.wasm is no WebAssembly module: it does not begin with \\0asm and version 1"
        ));
    }
    Ok(())
}

fn check_imports(module: &Module) -> Result<(), String> {
    let known = |name: &str| FUNCTIONS.contains(&name);
    match module.imports().find(|import| import.module() != MODULE || !known(import.name())) {
        None => Ok(()),
        Some(import) => Err(format!(
            "it imports {:?} from {:?}; a plug-in may only import from {MODULE:?}, and of that {}",
            import.name(),
            import.module(),
            FUNCTIONS.join(", ")
        )),
    }
}

/// The functions that a plug-in has, each with how many i32 it takes and returns.
const EXPORTS: [(&str, usize, usize); 4] =
    [("terrane_abi", 0, 1), ("terrane_halo", 0, 1), ("terrane_blocks", 0, 1), ("terrane_generate", 3, 0)];

fn check_exports(module: &Module) -> Result<(), String> {
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err("it does not export a memory of the name \"memory\"".to_owned());
    }
    for (name, takes, returns) in EXPORTS {
        let fits = match module.get_export(name) {
            None => return Err(format!("it does not export the function {name}, which every plug-in has")),
            Some(ExternType::Func(function)) => {
                let types = function.params().chain(function.results()).collect::<Vec<_>>();
                function.params().len() == takes && types.len() == takes + returns && types.iter().all(|t| t.is_i32())
            }
            Some(_) => false,
        };
        if !fits {
            return Err(format!("its export {name} must be a function that takes {takes} i32 and returns {returns}"));
        }
    }
    Ok(())
}

/// What a plug-in says of itself.
struct Answers {
    halo: u8,
    blocks: Vec<String>,
}

impl Answers {
    fn ask(instance: &InstancePre<Host>, facts: &Arc<Facts>) -> Result<Self, String> {
        let host = Host { facts: facts.clone(), work: None, limiter: Limiter };
        let stopped =
            |error: wasmtime::Error| format!("it was stopped while loading: {}", explain(&error, FUEL_TO_LOAD));
        let mut store = store(instance.module().engine(), host, FUEL_TO_LOAD).map_err(stopped)?;
        let instance = instance.instantiate(&mut store).map_err(stopped)?;
        let mut ask = |name: &str| -> Result<i32, String> {
            let function = instance.get_typed_func::<(), i32>(&mut store, name).map_err(stopped)?;
            function.call(&mut store, ()).map_err(stopped)
        };
        match ask("terrane_abi")? {
            ABI_VERSION => {}
            found => {
                return Err(format!(
                    "it is written for version {found} of the interface, and this program has version {ABI_VERSION}: build \
                     the plug-in for that, or take a program that has {found}"
                ));
            }
        }
        let halo = ask("terrane_halo")?;
        if !(0..=HALO_MAX).contains(&halo) {
            return Err(format!("terrane_halo returned {halo}; a halo is 0 to {HALO_MAX} voxels"));
        }
        let pointer = ask("terrane_blocks")?;
        Ok(Self { halo: halo as u8, blocks: block_list(&mut store, &instance, pointer)? })
    }
}

/// The names that stand at an address of the plug-in's memory.
fn block_list(store: &mut Store<Host>, instance: &Instance, pointer: i32) -> Result<Vec<String>, String> {
    let memory = instance.get_memory(&mut *store, "memory").ok_or("it does not export its memory")?;
    let from = memory.data(&*store).get(pointer as u32 as usize..).unwrap_or_default();
    let from = &from[..from.len().min(LIST_BYTES_MAX + 1)];
    let end = from.iter().position(|byte| *byte == 0).ok_or_else(|| {
        let pointer = pointer as u32;
        format!(
            "terrane_blocks returned {pointer}, where no list of at most {LIST_BYTES_MAX} bytes with a NUL after it is"
        )
    })?;
    let text = std::str::from_utf8(&from[..end]).map_err(|_| "its list of blocks is not UTF-8")?;
    let names: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if names.len() > BLOCKS_MAX {
        return Err(format!("its list has {} blocks, and may have {BLOCKS_MAX}", names.len()));
    }
    Ok(names)
}

/// An entry of the generator's palette for each block of the list.
fn entries(blocks: &[String], plugin: &str, making: &mut Making<'_>) -> Result<Vec<Entry>, GeneratorError> {
    let wrong = |problem| GeneratorError::Plugin { plugin: plugin.to_owned(), problem };
    let mut entries = Vec::with_capacity(blocks.len());
    for block in blocks {
        let entry = making.palette.entry(making.registry, plugin, block).map_err(|error| match error {
            GeneratorError::MissingBlock { .. } => wrong(format!(
                "its list of blocks has {block:?}, which the world does not hold: use one that it does, or import it first"
            )),
            other => other,
        })?;
        if entries.contains(&entry) {
            return Err(wrong(format!("its list of blocks has {block:?} twice")));
        }
        entries.push(entry);
    }
    Ok(entries)
}
