//! A plug-in as a stage of a pipeline.

use crate::engine::{Limiter, store};
use crate::fault::explain;
use crate::host::{Facts, Host, Work};
use crate::limits::FUEL_PER_CHUNK;
use crate::view::{Numbers, apply, window};
use std::sync::Arc;
use terrane_world::generate::GenerateError;
use terrane_world::generate::stage::{Context, Draft, Entries, Halo, Stage};
use wasmtime::{InstancePre, TypedFunc};

/// A plug-in that was checked, with all that its instances share.
pub struct PluginStage {
    pub(crate) facts: Arc<Facts>,
    pub(crate) instance: InstancePre<Host>,
    pub(crate) numbers: Numbers,
    pub(crate) halo: u8,
    /// Whether it imports what reads voxels, and what reads the maps.
    pub(crate) reads: Reads,
}

/// What of a chunk a plug-in can look at.
#[derive(Debug, Clone, Copy)]
pub struct Reads {
    pub voxels: bool,
    pub maps: bool,
}

impl Stage for PluginStage {
    fn name(&self) -> &str {
        &self.facts.name
    }

    fn halo(&self) -> Halo {
        let halo = if self.reads.voxels { self.halo } else { 0 };
        Halo { sideways: halo, up: halo, down: halo }
    }

    fn blocks(&self, draft: &mut Draft, context: &Context<'_>) -> Result<(), GenerateError> {
        let failed = |error: wasmtime::Error| GenerateError {
            stage: self.facts.name.clone(),
            pos: draft.pos(),
            problem: format!("the plug-in was stopped: {}", explain(&error, FUEL_PER_CHUNK)),
        };
        let made = self.run(draft, context).map_err(failed)?;
        if let Some(made) = made {
            apply(&made, draft, &self.numbers);
        }
        Ok(())
    }
}

impl PluginStage {
    /// What the plug-in makes of a chunk, in an instance that is new and goes away again.
    fn run(&self, draft: &Draft, context: &Context<'_>) -> wasmtime::Result<Option<Box<Entries>>> {
        let host = Host { facts: self.facts.clone(), work: Some(self.work(draft, context)), limiter: Limiter };
        let mut store = store(self.instance.module().engine(), host, FUEL_PER_CHUNK)?;
        let instance = self.instance.instantiate(&mut store)?;
        let generate: TypedFunc<(i32, i32, i32), ()> = instance.get_typed_func(&mut store, "terrane_generate")?;
        let first = draft.pos().origin();
        generate.call(&mut store, (first.x(), first.y(), first.z()))?;
        Ok(store.into_data().work.and_then(|work| work.made))
    }

    fn work(&self, draft: &Draft, context: &Context<'_>) -> Work {
        let halo = usize::from(self.halo);
        let window = if self.reads.voxels { window(draft, &context.around, halo, &self.numbers) } else { Vec::new() };
        let maps = if self.reads.maps { context.maps.layers().to_vec() } else { Vec::new() };
        Work { halo: i32::from(self.halo), window, maps, blocks: self.numbers.count(), made: None }
    }
}
