//! What makes chunks for `terrane generate`, works out physics and labels components: the cores of the CPU, or a graphics
//! device.

use crate::failure::Failure;
use crate::memory::Bytes;
use clap::ValueEnum;
use std::sync::Arc;
use terrane_world::generate::Generator;
use terrane_world::label::Bits;
use terrane_world::limits::CHUNK_VOXELS;
use terrane_world::space::ChunkPos;

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
        check_cpu(wanted, device)?;
        if wanted == Wanted::Cpu {
            return Ok(Self::Cpu);
        }
        Self::device(wanted, device, memory, generator)
    }

    #[cfg(feature = "gpu")]
    fn device(wanted: Wanted, name: Option<&str>, memory: Bytes, generator: &Generator) -> Result<Self, Failure> {
        use terrane_gpu::{Engine, Options};
        let asked_for = wanted == Wanted::Gpu || name.is_some();
        let Some(pipeline) = generator.pipeline() else {
            let refusal =
                "this world's generator has no stages, so it runs on the CPU only: leave --compute and --device out";
            return if asked_for { Err(Failure::new(refusal)) } else { Ok(Self::Cpu) };
        };
        let Some(device) = open_device(wanted, name, "making chunks")? else { return Ok(Self::Cpu) };
        let options = Options { memory_bytes: memory.0 as u64, ..Options::default() };
        let engine = Engine::with(device, Arc::clone(pipeline), options);
        let engine = engine.map_err(|error| Failure::new(error.to_string()))?;
        engine.notes().iter().for_each(|note| tracing::info!("{note}"));
        Ok(Self::Device(Box::new(engine)))
    }

    #[cfg(not(feature = "gpu"))]
    fn device(wanted: Wanted, name: Option<&str>, _: Bytes, _: &Generator) -> Result<Self, Failure> {
        if wanted == Wanted::Gpu || name.is_some() {
            return Err(Failure::new(WITHOUT));
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

/// Refuses a device by name for the CPU.
pub fn check_cpu(wanted: Wanted, device: Option<&str>) -> Result<(), Failure> {
    match device {
        Some(name) if wanted == Wanted::Cpu => {
            Err(Failure::new(format!("--device {name} and --compute cpu exclude each other")))
        }
        _ => Ok(()),
    }
}

#[cfg(not(feature = "gpu"))]
const WITHOUT: &str = "this program was built without graphics devices: use one that was built with the feature `gpu`, as \
                       it is by default, or leave --compute and --device out";

/// The device that was asked for; none if the CPU shall do it. `what` says, in the log, what it is for.
#[cfg(feature = "gpu")]
pub fn open_device(
    wanted: Wanted,
    name: Option<&str>,
    what: &str,
) -> Result<Option<Arc<terrane_gpu::Device>>, Failure> {
    use terrane_gpu::{Choice, Device, GpuError};
    let asked_for = wanted == Wanted::Gpu || name.is_some();
    let choice = match (name, wanted) {
        (Some(name), _) => Choice::Named(name.to_owned()),
        (None, Wanted::Gpu) => Choice::Any,
        (None, _) => Choice::Auto,
    };
    match Device::open(&choice) {
        Ok(device) => {
            tracing::info!("{what} on {}", device.listed());
            Ok(Some(Arc::new(device)))
        }
        Err(GpuError::NoDevice { .. } | GpuError::NoSuchDevice { .. }) if !asked_for => {
            tracing::info!("{what} on the CPU: there is no graphics device (`terrane devices` says more)");
            Ok(None)
        }
        Err(error) if !asked_for => {
            tracing::warn!("{what} on the CPU: {error}");
            Ok(None)
        }
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

/// A device that solves large pieces of physics.
#[cfg(feature = "gpu")]
pub struct Bulk {
    relaxer: terrane_gpu::Relaxer,
    device: String,
    failed: std::sync::atomic::AtomicBool,
}

#[cfg(feature = "gpu")]
impl Bulk {
    /// As the world takes it.
    pub fn shared(self: &Arc<Self>) -> Arc<dyn terrane_world::relax::Bulk> {
        Arc::clone(self) as Arc<dyn terrane_world::relax::Bulk>
    }

    /// How much the device did.
    pub fn dispatches(&self) -> u64 {
        self.relaxer.dispatches().values().sum()
    }

    /// The device's name; none if it gave up and the CPU went on.
    pub fn device(&self) -> Option<&str> {
        (!self.failed.load(std::sync::atomic::Ordering::Relaxed)).then_some(&self.device)
    }

    /// The same for people.
    pub fn told(&self) -> String {
        format!("{} dispatches on {}", self.dispatches(), self.device)
    }
}

#[cfg(feature = "gpu")]
impl terrane_world::relax::Bulk for Bulk {
    fn solve(
        &self,
        rules: &terrane_world::relax::Rules,
        chunks: &[terrane_world::relax::Given],
    ) -> Option<Vec<terrane_world::relax::Values>> {
        use std::sync::atomic::Ordering;
        if self.failed.load(Ordering::Relaxed) {
            return None;
        }
        match self.relaxer.solve(rules, chunks) {
            Ok(values) => Some(values.into_iter().map(|(_, values)| values).collect()),
            Err(error) => {
                // The same values come from the CPU, only later.
                tracing::warn!("the device gave up, the CPU goes on: {error}");
                self.failed.store(true, Ordering::Relaxed);
                None
            }
        }
    }
}

/// What large pieces of physics are handed to; none for the CPU.
#[cfg(feature = "gpu")]
pub fn bulk(wanted: Wanted, name: Option<&str>) -> Result<Option<Arc<Bulk>>, Failure> {
    check_cpu(wanted, name)?;
    if wanted == Wanted::Cpu {
        return Ok(None);
    }
    let Some(device) = open_device(wanted, name, "working out physics")? else { return Ok(None) };
    let listed = device.listed().name.clone();
    let relaxer = terrane_gpu::Relaxer::new(device).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Some(Arc::new(Bulk { relaxer, device: listed, failed: false.into() })))
}

/// A device that labels components.
#[cfg(feature = "gpu")]
pub struct Labelling(terrane_gpu::Labeller);

#[cfg(feature = "gpu")]
impl Labelling {
    /// The label of every voxel of some chunks, which know nothing but each other: 0 where no bit is set.
    pub fn label(&self, chunks: &[(ChunkPos, Bits)]) -> Result<Vec<Box<[u32; CHUNK_VOXELS]>>, String> {
        let bits: Vec<_> = chunks.iter().map(|(pos, bits)| (*pos, &*bits.0)).collect();
        let labels = self.0.label(&bits).map_err(|error| error.to_string())?;
        Ok(labels.chunks.into_iter().map(|(_, labels)| labels).collect())
    }

    /// How much the device did.
    pub fn dispatches(&self) -> u64 {
        self.0.dispatches().values().sum()
    }

    /// The device's name.
    pub fn device(&self) -> &str {
        &self.0.device().listed().name
    }
}

/// What labels components; none for the CPU.
#[cfg(feature = "gpu")]
pub fn labelling(wanted: Wanted, name: Option<&str>) -> Result<Option<Labelling>, Failure> {
    check_cpu(wanted, name)?;
    if wanted == Wanted::Cpu {
        return Ok(None);
    }
    let Some(device) = open_device(wanted, name, "labelling components")? else { return Ok(None) };
    let labeller = terrane_gpu::Labeller::new(device).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Some(Labelling(labeller)))
}

/// Nothing, in a program without graphics devices.
#[cfg(not(feature = "gpu"))]
pub enum Labelling {}

#[cfg(not(feature = "gpu"))]
impl Labelling {
    /// The label of every voxel.
    pub fn label(&self, _: &[(ChunkPos, Bits)]) -> Result<Vec<Box<[u32; CHUNK_VOXELS]>>, String> {
        match *self {}
    }

    /// How much it did.
    pub fn dispatches(&self) -> u64 {
        match *self {}
    }

    /// The device's name.
    pub fn device(&self) -> &str {
        match *self {}
    }
}

/// What labels components; none for the CPU.
#[cfg(not(feature = "gpu"))]
pub fn labelling(wanted: Wanted, name: Option<&str>) -> Result<Option<Labelling>, Failure> {
    check_cpu(wanted, name)?;
    if wanted == Wanted::Gpu || name.is_some() { Err(Failure::new(WITHOUT)) } else { Ok(None) }
}

/// Nothing, in a program without graphics devices.
#[cfg(not(feature = "gpu"))]
pub enum Bulk {}

#[cfg(not(feature = "gpu"))]
impl Bulk {
    /// As the world takes it.
    pub fn shared(self: &Arc<Self>) -> Arc<dyn terrane_world::relax::Bulk> {
        match **self {}
    }

    /// How much it did.
    pub fn dispatches(&self) -> u64 {
        match *self {}
    }

    /// The device's name.
    pub fn device(&self) -> Option<&str> {
        match *self {}
    }

    /// The same for people.
    pub fn told(&self) -> String {
        match *self {}
    }
}

/// What large pieces of physics are handed to; none for the CPU.
#[cfg(not(feature = "gpu"))]
pub fn bulk(wanted: Wanted, name: Option<&str>) -> Result<Option<Arc<Bulk>>, Failure> {
    if wanted == Wanted::Gpu || name.is_some() { Err(Failure::new(WITHOUT)) } else { Ok(None) }
}
