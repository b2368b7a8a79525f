//! Labels against a plain flood fill: shapes that are hard on it, sizes that fit no word, borders of chunks, negative
//! coordinates, any number of threads, every level of vector instructions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod label_clusters;
mod label_components;
mod label_outwards;
mod label_volume;
mod shapes;
