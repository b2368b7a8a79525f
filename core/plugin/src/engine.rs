//! The engine that runs plug-ins, set so that a plug-in does the same on every machine and can't take more than its share.

use crate::fault::Fault;
use crate::host::{self, Host};
use crate::limits;
use wasmtime::{Config, Engine, Linker, OperatorCost, OptLevel, ResourceLimiter, Store, WasmFeatures};

/// The engine, and the host functions that it links to plug-ins.
pub struct Machine {
    pub engine: Engine,
    pub linker: Linker<Host>,
}

impl Machine {
    pub fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config())?;
        let linker = host::linker(&engine)?;
        Ok(Self { engine, linker })
    }
}

/// What a plug-in may consist of: WebAssembly 1.0 and the later additions whose results are fixed.
///
/// Left out are threads and relaxed SIMD, whose results are not; bulk memory, since one instruction that costs one unit of
/// fuel could move megabytes; and everything that needs a garbage collector.
fn features() -> WasmFeatures {
    WasmFeatures::FLOATS
        | WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::SIMD
        | WasmFeatures::CALL_INDIRECT_OVERLONG
}

/// An instruction costs one, but this one leaves the plug-in's code, and takes as long as hundreds of others.
fn costs() -> OperatorCost {
    OperatorCost { MemoryGrow: u8::MAX, ..OperatorCost::default() }
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_features(WasmFeatures::all(), false).wasm_features(features(), true);
    config.cranelift_nan_canonicalization(true).cranelift_opt_level(OptLevel::Speed);
    config.consume_fuel(true).operator_cost(costs()).max_wasm_stack(limits::STACK_BYTES);
    // Bounds are checked in code: signal handlers are one to a process, and the store has its own.
    config.signals_based_traps(false).memory_guard_size(0).guard_before_linear_memory(false);
    config.memory_reservation(limits::MEMORY_BYTES_MAX as u64).memory_may_move(false);
    config
}

/// Holds a plug-in to its memory and its table, and says so where it asks for more.
pub struct Limiter;

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= limits::MEMORY_BYTES_MAX { Ok(true) } else { Err(Fault::memory(desired).into()) }
    }

    /// A plug-in must not see how much memory the machine has left.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired <= limits::TABLE_ELEMENTS_MAX { Ok(true) } else { Err(Fault::table(desired).into()) }
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }
}

/// A store with its fuel and its limits, for one instance.
pub fn store(engine: &Engine, host: Host, fuel: u64) -> wasmtime::Result<Store<Host>> {
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.limiter);
    store.set_fuel(fuel)?;
    Ok(store)
}
