#!/usr/bin/env bash
# Fuzzing. A long run keeps its corpus in fuzz/corpus and what it breaks in fuzz/artifacts.
#   fuzz.sh smoke                  every target: the seeds, then a fixed number of runs from a fixed random seed
#   fuzz.sh long TARGET SECONDS    one target for so long, on the corpus that earlier runs left
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

TARGETS=(frames region_open journal_replay anvil_import column_state codec)
# A file from outside may be large; what reading it takes must not be.
LIMITS=(-rss_limit_mb=1024 -timeout=20)

length_of() {
  case $1 in
    frames) echo 131072 ;;
    region_open) echo 66000 ;;
    journal_replay) echo 16384 ;;
    anvil_import) echo 65536 ;;
    column_state) echo 8192 ;;
    codec) echo 40000 ;;
    *) fail "there is no fuzz target $1: there are ${TARGETS[*]}" ;;
  esac
}

# How many runs the smoke test makes: each target gets a few seconds.
runs_of() {
  case $1 in
    frames) echo 60000 ;;
    region_open) echo 8000 ;;
    journal_replay) echo 1000 ;;
    anvil_import) echo 3000 ;;
    column_state) echo 100000 ;;
    codec) echo 60000 ;;
  esac
}

# What the crates' own tests write is what mutation starts from.
write_seeds() {
  local folder=$1
  mkdir -p "$folder"/{frames,region_open,journal_replay,anvil_import,column_state,codec}
  cp sdk/vectors/*.bin "$folder/frames/"
  TERRANE_FUZZ_SEEDS=$folder cargo test --quiet --profile checked --test fuzz_seeds \
    --package terrane-store --package terrane-formats --package terrane-world
}

build() {
  # Without a sanitizer it compiles in half the time; the one crate with unsafe code checks its bounds itself.
  cargo +nightly fuzz build --sanitizer "${SANITIZER:-none}"
}

smoke() {
  local target seeds
  seeds=$(mktemp -d)
  # Expanded now: at the exit the variable is gone.
  # shellcheck disable=SC2064
  trap "rm -rf '$seeds'" EXIT
  write_seeds "$seeds"
  build
  for target in "${TARGETS[@]}"; do
    if ! cargo +nightly fuzz run --sanitizer "${SANITIZER:-none}" "$target" "$seeds/$target" -- \
      "${LIMITS[@]}" -max_len="$(length_of "$target")" -runs="$(runs_of "$target")" -seed=1 \
      >"$seeds/log" 2>&1; then
      tail -n 80 "$seeds/log"
      fail "The fuzz target $target broke something; the output above says what, and fuzz/artifacts/$target has the input."
    fi
    say "fuzz $target: $(grep '^Done' "$seeds/log")"
  done
}

long() {
  local target=$1 seconds=$2
  [ -n "$target" ] || fail "Which target? make fuzz TARGET=… takes one of: ${TARGETS[*]}"
  length_of "$target" >/dev/null
  mkdir -p "fuzz/corpus/$target"
  write_seeds "$ROOT/fuzz/target/seeds"
  cargo +nightly fuzz run --sanitizer "${SANITIZER:-none}" "$target" "fuzz/corpus/$target" "fuzz/target/seeds/$target" -- \
    "${LIMITS[@]}" -max_len="$(length_of "$target")" -max_total_time="$seconds"
}

scripts/setup.sh rust
TERRANE_REQUIRE_FUZZ=1 scripts/setup.sh fuzz
case ${1:-} in
  smoke) smoke ;;
  long) long "${2:-}" "${3:-180}" ;;
  *) fail "fuzz.sh smoke, or fuzz.sh long TARGET SECONDS" ;;
esac
