//! World generation on graphics devices: the twins of the built-in stages in WGSL, and the engine that runs a pipeline with
//! them. The bytes are those of the pipeline on the CPU. Beside it the twins of relaxation ([`Relaxer`]), of connected
//! components ([`Labeller`]) and of packing ([`Packer`]).
//!
//! ```no_run
//! # fn example(pipeline: std::sync::Arc<terrane_world::generate::pipeline::Pipeline>,
//! #     positions: &[terrane_world::space::ChunkPos]) -> Result<(), terrane_gpu::GpuError> {
//! let device = terrane_gpu::Device::open(&terrane_gpu::Choice::Auto)?;
//! let engine = terrane_gpu::Engine::new(device.into(), pipeline)?;
//! let chunks = engine.chunks(positions)?;
//! # Ok(())
//! # }
//! ```

mod assemble;
mod choice;
mod clock;
mod device;
mod engine;
mod error;
mod label;
pub mod layout;
mod measure;
mod module;
mod on_cpu;
mod pack;
mod passes;
mod pool;
pub mod prelude;
mod readback;
mod record;
mod relax;
mod runner;
mod scene;
pub mod shaders;
mod words;

pub use assemble::{Assembled, assemble};
pub use choice::{Choice, Kind, Listed, devices};
pub use device::Device;
pub use engine::{Engine, Options, Ticket};
pub use error::GpuError;
pub use label::{Labeller, Labels};
pub use measure::{Measurement, StageTime};
pub use pack::{PackPhases, Packer};
pub use relax::{Given, Phases, RelaxOptions, Relaxer};
pub use shaders::Shader;
pub use words::words;
