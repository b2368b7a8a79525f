//! Imports and exports from the outside: files in every layout, real worlds, damage, and independent readers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod components;
mod damage;
mod layouts;
mod names;
mod npy;
mod real;
mod support;
mod vox;
