#!/usr/bin/env bash
# Builds the example plug-ins, examples/plugins/*.wasm, and prints the line that pins each in a world.toml.
#   plugins.sh          builds them
#   plugins.sh check    builds them again elsewhere, and fails if the committed files differ
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

FOLDER=examples/plugins
NAMES=(crystals lanterns standing-stones)

has npm || fail "Node is not installed, and the example plug-ins are built with it." \
  "Get version 20 or newer from https://nodejs.org, with npm, then run this again."

# Not again as long as the list of packages is the same.
stamp=$FOLDER/node_modules/.terrane-stamp
wanted=$(sha256sum <$FOLDER/package-lock.json)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  say "installing the packages of $FOLDER/package-lock.json into $FOLDER/node_modules"
  (cd $FOLDER && npm ci --no-audit --no-fund) || fail "AssemblyScript could not be installed." \
    "npm said why above; it needs the npm registry once."
  printf '%s' "$wanted" >"$stamp"
fi

# build NAME FILE: the same flags as `npm run build`, into any file.
build() {
  (cd $FOLDER && node_modules/.bin/asc "$1.ts" --outFile "$2" --target plugin)
}

for name in "${NAMES[@]}"; do
  if [ "${1:-build}" = check ]; then
    build "$name" node_modules/again.wasm
    cmp -s $FOLDER/node_modules/again.wasm "$FOLDER/$name.wasm" || fail "$FOLDER/$name.wasm is not what its source gives." \
      "Build it again with: make plugins"
  else
    build "$name" "$name.wasm"
  fi
  printf '%s = "%s"\n' "$name" "$(sha256sum "$FOLDER/$name.wasm" | cut -d ' ' -f 1)"
done
