//! Agents: simple bodies that walk, fly or dig along a flow field, many at a time.
//!
//! A *crowd* is agents with the same goals. Its field is pinned: kept in memory, and repaired in ticks, in a fixed order and in
//! portions, so that nothing but the world's state decides where agents go. `docs/agents.md` tells the rules.

pub mod advance;
pub mod crowds;
pub mod guide;
pub mod state;
