#!/usr/bin/env bash
# Serves a world: run.sh WORLD ADDRESS:PORT [more arguments of `terrane serve`]
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

world=$1 listen=$2
shift 2
say "serving the world in $world; open http://$listen/ in a browser; stop with Ctrl-C"
exec "$TARGET_DIR"/release/terrane serve --world "$world" --listen "$listen" "$@"
