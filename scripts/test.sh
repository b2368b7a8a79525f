#!/usr/bin/env bash
# Runs the named steps in order, prints how long each took, and stops at the first that fails with its name last.
#   test.sh all | STEP…
# Steps: page format clippy rust golden twins plugins binary web e2e edges fuzz. `all` runs the web tests beside the compiler.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

PROFILE=checked
SUMMARY=()
BACKGROUND_LOG=

setup_for() {
  case $1 in
    format | clippy) scripts/setup.sh rust lints ;;
    rust) scripts/setup.sh rust gpu python ;;
    twins) scripts/setup.sh rust gpu ;;
    golden | binary | edges) scripts/setup.sh rust ;;
    web) scripts/setup.sh page ;;
    e2e) scripts/setup.sh page browser ;;
    fuzz) scripts/setup.sh rust fuzz ;;
    page | plugins) ;;
    *) fail "test.sh does not know the step $1" ;;
  esac
}

step_page() { scripts/build.sh page; }
step_format() { cargo fmt --all --check; }
# In the tests' own profile, so that macros and build scripts are compiled once for both.
step_clippy() { cargo clippy --workspace --all-targets --profile "$PROFILE" -- -D warnings; }
step_rust() { cargo test --workspace --profile "$PROFILE"; }
# Larger than in `rust`; TERRANE_TEST_DEVICE names another device than the one that would be taken.
step_twins() {
  TERRANE_TWINS=large cargo test --package terrane-gpu --profile "$PROFILE" --test relax --test label --test forest --test pack
}
step_golden() { cargo test --package terrane-world --test golden; }
# The committed plug-ins are what their sources give.
step_plugins() { scripts/plugins.sh check; }
step_binary() { cargo build --workspace --bins --profile "$PROFILE"; }
step_edges() { cargo test --package terrane --test edges --profile "$PROFILE"; }
step_web() { (cd web && npm test --silent); }

# The behaviour of the page against the real server; the pictures of e2e/pictures.e2e.ts are for people.
step_e2e() {
  local binary=$TARGET_DIR/$PROFILE/terrane browser
  browser=$(find_browser)
  (cd web && CHROMIUM=$browser TERRANE_BIN=$binary node_modules/.bin/vitest run --config e2e/vitest.config.ts viewer keeping physics light tiles paths ways undo)
}

step_fuzz() {
  if [ "${TERRANE_REQUIRE_FUZZ:-0}" != 1 ] && ! cargo +nightly --version >/dev/null 2>&1; then
    say "left out: fuzzing needs a nightly toolchain (rustup toolchain install nightly)"
    return
  fi
  scripts/fuzz.sh smoke
}

finish() {
  local code=$?
  if [ -n "$BACKGROUND_LOG" ]; then
    kill "$BACKGROUND_PID" 2>/dev/null || true
    rm -f "$BACKGROUND_LOG"
  fi
  exit "$code"
}
trap finish EXIT

print_summary() {
  printf '\n'
  printf '%s\n' "${SUMMARY[@]}"
}

# run_step NAME: announces it, runs it, notes its time.
run_step() {
  local name=$1 begun=$SECONDS
  printf '\n'
  say "$name"
  if ! "step_$name"; then
    SUMMARY+=("$(printf '  %-10s %4d s  failed' "$name" $((SECONDS - begun)))")
    print_summary
    printf '\nerror: make test failed in the step: %s\n' "$name" >&2
    exit 1
  fi
  SUMMARY+=("$(printf '  %-10s %4d s' "$name" $((SECONDS - begun)))")
}

# The web tests leave the compiler most of the machine, so they run beside it; their output comes in one piece.
start_web() {
  BACKGROUND_LOG=$(mktemp)
  BACKGROUND_BEGUN=$SECONDS
  (step_web) >"$BACKGROUND_LOG" 2>&1 &
  BACKGROUND_PID=$!
}

await_web() {
  local code=0
  wait "$BACKGROUND_PID" || code=$?
  printf '\n'
  say "web (ran beside the steps before)"
  cat "$BACKGROUND_LOG"
  rm -f "$BACKGROUND_LOG"
  BACKGROUND_LOG=
  SUMMARY+=("$(printf '  %-10s      beside the others, from second %d' web "$BACKGROUND_BEGUN")")
  if [ "$code" -ne 0 ]; then
    print_summary
    printf '\nerror: make test failed in the step: web\n' >&2
    exit 1
  fi
}

if [ "${1:-all}" = all ]; then
  scripts/setup.sh rust gpu page test fuzz
  run_step page
  start_web
  for name in format clippy rust golden plugins; do
    run_step "$name"
    if [ -n "$BACKGROUND_LOG" ] && ! kill -0 "$BACKGROUND_PID" 2>/dev/null; then
      await_web
    fi
  done
  if [ -n "$BACKGROUND_LOG" ]; then
    await_web
  fi
  for name in binary e2e fuzz; do
    run_step "$name"
  done
else
  for name in "$@"; do
    setup_for "$name"
    run_step "$name"
  done
fi
print_summary
printf '\nall steps passed in %d s\n' "$SECONDS"
