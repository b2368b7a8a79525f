//! What docs/streaming.md promises, for a crowd around one collapse. Its time is simulated, so that it is the same on every machine.

use std::time::Duration;
use terrane_benches::watching::{Watching, watch};

#[test]
fn two_hundred_who_watch_a_collapse_are_current_in_time_and_within_their_budgets() {
    let seen = watch(Watching { clients: 200, bytes_per_second: 64 << 10 });
    assert!(seen.voxels >= 20_000, "{} voxels left and came back", seen.voxels);
    assert!(seen.nearest <= Duration::from_secs(1), "the nearest chunks were behind for {:?}", seen.nearest);
    assert!(seen.any <= Duration::from_secs(5), "some chunk was behind for {:?}", seen.any);
    assert!(seen.over_budget <= seen.largest_frame, "{} bytes over a budget", seen.over_budget);
}

#[test]
fn with_a_quarter_of_the_budget_they_still_see_all_of_it() {
    let seen = watch(Watching { clients: 50, bytes_per_second: 16 << 10 });
    assert!(seen.any <= Duration::from_secs(5), "some chunk was behind for {:?}", seen.any);
    assert!(seen.over_budget <= seen.largest_frame, "{} bytes over a budget", seen.over_budget);
}
