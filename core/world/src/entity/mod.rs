//! Agents: simple bodies that walk, fly or dig along a flow field, many at a time.

pub mod advance;
pub mod guide;
