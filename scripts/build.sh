#!/usr/bin/env bash
# Builds the viewer's page, web/dist, and then the release binary, which carries the page in it.
#   build.sh         both
#   build.sh page    the page only
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

# The page is built again only if something it is made of has changed, so that the binary is not built in vain.
build_page() {
  scripts/setup.sh page
  # Not in web/dist: everything there goes into the binary.
  local stamp=web/node_modules/.terrane-page-stamp wanted
  wanted=$(hash_of web/src web/index.html web/package-lock.json web/vite.config.ts sdk/typescript/src)
  if [ -f web/dist/index.html ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  say "building the viewer's page, web/dist"
  (cd web && npm run --silent build)
  printf '%s' "$wanted" >"$stamp"
}

build_page
if [ "${1:-all}" = page ]; then
  exit
fi
scripts/setup.sh rust
say "building target/release/terrane"
cargo build --release --package terrane
