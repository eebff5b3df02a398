#!/usr/bin/env bash
# Counts what the daemons of a job do (-P), and adds their counters up when it has ended.
#
#   examples/features_examples/aggregate_profiling.sh [PACKAGES]
#
# It runs on one node: this machine, or a job of one node on the machine that COPPER_SITE names (aurora,
# frontier). PACKAGES is the directory with the packages, /usr/lib/python3/dist-packages by default. Set
# COPPER_ROOT to the installation where copper is not in the PATH.
set -euo pipefail
packages=$(realpath "${1:-/usr/lib/python3/dist-packages}")
PATH=${COPPER_ROOT:+$COPPER_ROOT/bin:}$PATH
site=${COPPER_SITE:-local}
view=$(mktemp -d)
jobs=$(mktemp -d)
trap 'rm -r "$jobs"; rmdir "$view"' EXIT

"launch_copper_$site.sh" -P -d "$jobs" --job profiled -v "$view"
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'
copper status -d "$jobs" --job profiled
"stop_copper_$site.sh" -d "$jobs" --job profiled

copper profile aggregate "$jobs/profiled"
cat "$jobs"/profiled/profiling/cluster/cluster-profiling_summary.md
