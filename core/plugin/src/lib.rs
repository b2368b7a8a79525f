//! Plug-ins: stages of a generator as WebAssembly modules, in a sandbox.
//!
//! [`Plugins`] is a [`StageSource`](terrane_world::generate::stage::StageSource): for each `[[generator.stage]]` that
//! bears the name of a plug-in it checks the file's SHA-256, compiles the module, asks it for its halo and its blocks, and
//! makes a stage of it. A chunk is made by an instance of its own, which nothing outlives, with a fixed amount of fuel, of
//! memory and of stack. A plug-in has no clock, no file, no socket and no entropy, so a chunk stays a pure function of seed,
//! settings and position. `docs/plugins.md` describes the interface.
//!
//! Not here: files (a plug-in's bytes come in with [`Making`](terrane_world::generate::stage::Making)) and threads.
#![forbid(unsafe_code)]

mod engine;
mod fault;
mod host;
pub mod limits;
mod load;
mod stage;
mod view;

pub use load::{Plugins, sha256};
