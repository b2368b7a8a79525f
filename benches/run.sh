#!/bin/sh
# Builds with the release profile, measures everything, and prints the table. A C compiler is needed: LMDB and SQLite
# are built from the sources that their crates bring along.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
target="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)"
cargo build --release --locked --package terrane
cargo build --release --locked --package terrane-benches --bin bench-summary
rm -rf "$target/bench-figures" "$target/bench-summary.json"
cargo bench --locked --package terrane-benches --bench store --bench formats --bench components --bench codec --bench physics --bench paths
# For the machine it runs on: one of the peers uses wide vectors only then. In a folder of its own, so that nothing else is
# built twice; the program that is measured as a process is the plain one from above.
TERRANE_BENCH_TARGET="$target" RUSTFLAGS="-C target-cpu=native" \
  CARGO_TARGET_DIR="$target/native" cargo bench --locked --package terrane-benches --bench generate
cargo run --release --locked --package terrane-benches --bin stage-split
"$target/release/bench-summary"
rm -rf "${TERRANE_BENCH_DIR:-$target/bench-files}"
