#!/usr/bin/env bash
# The same as aggregate_profiling.sh with the job step written by hand. MPIEXEC is the launcher of the site's MPI with what
# starts one process on each node; for this machine it is mpirun.openmpi.
#
#   examples/features_examples/aggregate_profiling_bare.sh [PACKAGES]
#
# PACKAGES is the directory with the packages, /usr/lib/python3/dist-packages by default. Set
# COPPER_ROOT to the installation where copper is not in the PATH.
set -euo pipefail
packages=$(realpath "${1:-/usr/lib/python3/dist-packages}")
PATH=${COPPER_ROOT:+$COPPER_ROOT/bin:}$PATH
view=$(mktemp -d)
jobs=$(mktemp -d)
trap 'rm -r "$jobs"; rmdir "$view"' EXIT

${MPIEXEC:-mpirun.openmpi -n 1} copper serve -P -d "$jobs" --job profiled -v "$view" &
step=$!
copper wait --pid "$step" -d "$jobs" --job profiled
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'
copper status -d "$jobs" --job profiled
copper stop -d "$jobs" --job profiled
wait "$step"

copper profile aggregate "$jobs/profiled"
cat "$jobs"/profiled/profiling/cluster/cluster-profiling_summary.md
