# shellcheck shell=bash
# What all scripts share: where they run, how they speak, and the cache of what has been built.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD
export ROOT
TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
export TARGET_DIR

# A fresh rustup is not on the path of the shell that installed it.
if [ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ]; then
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi

# One line about what happens now.
say() {
  printf '== %s\n' "$*"
}

# An error in three parts: what is wrong, why it is needed, what to do.
fail() {
  printf '\nerror: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do
    printf '       %s\n' "$line" >&2
  done
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# A hash over names and contents of files, so that removed and renamed ones count too.
hash_of() {
  find "$@" -type f -not -path '*/node_modules/*' -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

# The browser for the end-to-end tests; prints nothing if there is none.
find_browser() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [ -n "$name" ] && has "$name"; then
      command -v "$name"
      return
    fi
  done
}
