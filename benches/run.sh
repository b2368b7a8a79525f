#!/bin/sh
# Builds with the release profile, measures everything, and prints the table. A C compiler is needed: LMDB and SQLite
# are built from the sources that their crates bring along.
set -eu
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
cargo build --release --locked --package terrane
cargo build --release --locked --package terrane-benches --bin bench-summary
rm -rf "$target/bench-figures" "$target/bench-summary.json"
cargo bench --locked --package terrane-benches
"$target/release/bench-summary"
rm -rf "${TERRANE_BENCH_DIR:-$target/bench-files}"
