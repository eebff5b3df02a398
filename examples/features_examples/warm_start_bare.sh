#!/usr/bin/env bash
# The same as warm_start.sh with the job steps written by hand. MPIEXEC is the launcher of the site's MPI with what
# starts one process on each node; for this machine it is mpirun.openmpi.
#
#   examples/features_examples/warm_start_bare.sh [PACKAGES]
#
# PACKAGES is the directory with the packages, /usr/lib/python3/dist-packages by default. Set
# COPPER_ROOT to the installation where copper is not in the PATH.
set -euo pipefail
packages=$(realpath "${1:-/usr/lib/python3/dist-packages}")
PATH=${COPPER_ROOT:+$COPPER_ROOT/bin:}$PATH
view=$(mktemp -d)
jobs=$(mktemp -d)
trap 'rm -r "$jobs"; rmdir "$view"' EXIT

${MPIEXEC:-mpirun.openmpi -n 1} copper serve -d "$jobs" --job first -v "$view" &
step=$!
copper wait --pid "$step" -d "$jobs" --job first
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'
copper stop -d "$jobs" --job first
wait "$step"

${MPIEXEC:-mpirun.openmpi -n 1} copper serve -d "$jobs" --job second -v "$view" &
step=$!
trap 'copper stop -d "$jobs" --job second; wait "$step"; rm -r "$jobs"; rmdir "$view"' EXIT
copper wait --pid "$step" -d "$jobs" --job second
copper warm -d "$jobs" --job second "$jobs/first/manifest.gz"
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'

copper status -d "$jobs" --job second
