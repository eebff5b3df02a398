#!/usr/bin/env bash
# Keeps every path that the kernel asked for (-A), and tells which files of the package were used and which were not.
#
#   examples/features_examples/full_paths.sh [PACKAGES]
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

"launch_copper_$site.sh" -A -d "$jobs" --job profiled -v "$view"
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'
copper status -d "$jobs" --job profiled
"stop_copper_$site.sh" -d "$jobs" --job profiled

copper profile paths "$jobs/profiled" --usage-root "$packages/numpy"
cat "$jobs"/profiled/profiling/cluster/paths_summary.md
