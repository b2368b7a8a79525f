//! What makes chunks for `terrane generate`: the cores of the CPU, or a graphics device.

use crate::failure::Failure;
use crate::memory::Bytes;
use clap::ValueEnum;
use terrane_world::generate::Generator;

/// What `--compute` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// A real graphics device if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A graphics device; one in software if there is no other.
    Gpu,
}

/// What makes the chunks.
pub enum Compute {
    /// All threads of the pool.
    Cpu,
    /// A device, and the pool for what it leaves to the CPU.
    #[cfg(feature = "gpu")]
    Device(Box<terrane_gpu::Engine>),
}

impl Compute {
    /// Chooses what was asked for. `device` is part of a name, and asks for a device by itself.
    pub fn choose(wanted: Wanted, device: Option<&str>, memory: Bytes, generator: &Generator) -> Result<Self, Failure> {
        if wanted == Wanted::Cpu {
            return match device {
                Some(name) => Err(Failure::new(format!("--device {name} and --compute cpu exclude each other"))),
                None => Ok(Self::Cpu),
            };
        }
        Self::device(wanted, device, memory, generator)
    }

    #[cfg(feature = "gpu")]
    fn device(wanted: Wanted, name: Option<&str>, memory: Bytes, generator: &Generator) -> Result<Self, Failure> {
        use std::sync::Arc;
        use terrane_gpu::{Choice, Device, Engine, GpuError, Options};
        let asked_for = wanted == Wanted::Gpu || name.is_some();
        let Some(pipeline) = generator.pipeline() else {
            let refusal =
                "this world's generator has no stages, so it runs on the CPU only: leave --compute and --device out";
            return if asked_for { Err(Failure::new(refusal)) } else { Ok(Self::Cpu) };
        };
        let choice = match (name, wanted) {
            (Some(name), _) => Choice::Named(name.to_owned()),
            (None, Wanted::Gpu) => Choice::Any,
            (None, _) => Choice::Auto,
        };
        let device = match Device::open(&choice) {
            Ok(device) => device,
            Err(GpuError::NoDevice { .. } | GpuError::NoSuchDevice { .. }) if !asked_for => {
                tracing::info!("making chunks on the CPU: there is no graphics device (`terrane devices` says more)");
                return Ok(Self::Cpu);
            }
            Err(error) if !asked_for => {
                tracing::warn!("making chunks on the CPU: {error}");
                return Ok(Self::Cpu);
            }
            Err(error) => return Err(Failure::new(error.to_string())),
        };
        tracing::info!("making chunks on {}", device.listed());
        let options = Options { memory_bytes: memory.0 as u64, ..Options::default() };
        let engine = Engine::with(Arc::new(device), Arc::clone(pipeline), options);
        let engine = engine.map_err(|error| Failure::new(error.to_string()))?;
        engine.notes().iter().for_each(|note| tracing::info!("{note}"));
        Ok(Self::Device(Box::new(engine)))
    }

    #[cfg(not(feature = "gpu"))]
    fn device(wanted: Wanted, name: Option<&str>, _: Bytes, _: &Generator) -> Result<Self, Failure> {
        if wanted == Wanted::Gpu || name.is_some() {
            return Err(Failure::new(
                "this program was built without graphics devices: use one that was built with the feature `gpu`, as it is \
                 by default, or leave --compute and --device out",
            ));
        }
        Ok(Self::Cpu)
    }

    /// What makes the chunks, for people.
    pub fn name(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            #[cfg(feature = "gpu")]
            Self::Device(engine) => engine.device().listed().name.clone(),
        }
    }
}
