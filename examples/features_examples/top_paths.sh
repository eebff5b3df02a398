#!/usr/bin/env bash
# Keeps the ten paths that the kernel asked the daemon of each node for most (-N).
#
#   examples/features_examples/top_paths.sh [PACKAGES]
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

"launch_copper_$site.sh" -N 10 -d "$jobs" --job profiled -v "$view"
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'
copper status -d "$jobs" --job profiled
"stop_copper_$site.sh" -d "$jobs" --job profiled

head -n 11 "$jobs"/profiled/profiling/final/*-profiling_top_paths.csv
