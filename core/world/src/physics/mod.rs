//! What falls and what bursts.

pub mod support;
