#!/usr/bin/env bash
# The benchmarks; benches/run.sh does the work and ends in one table.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

scripts/setup.sh rust bench
exec benches/run.sh "$@"
