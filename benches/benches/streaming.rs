//! Clients that watch a collapse, each with a budget: how long until they see it, bytes a client, bytes an edit seen.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark tells its figures")]

use terrane_benches::watching::{Watching, watch};

fn main() {
    println!(
        "clients  KB/s  voxels  ticks  nearest    any  bytes/client  bytes/edit seen  over by  largest frame  server  longest tick"
    );
    for (clients, kilobytes) in [(200, 64), (200, 16), (200, 4_096), (20, 64)] {
        let seen = watch(Watching { clients, bytes_per_second: kilobytes << 10 });
        println!(
            "{clients:7} {kilobytes:5} {:7} {:6} {:5} ms {:4} ms {:13} {:16.2} {:8} {:14} {:4} ms {:10.1} ms",
            seen.voxels,
            seen.ticks,
            seen.nearest.as_millis(),
            seen.any.as_millis(),
            seen.bytes / clients,
            seen.bytes as f64 / seen.edits_seen as f64,
            seen.over_budget,
            seen.largest_frame,
            seen.server.as_millis(),
            seen.longest_tick.as_secs_f64() * 1e3,
        );
    }
}
