#!/usr/bin/env bash
# The same as discover_mode.sh with the job step written by hand. MPIEXEC is the launcher of the site's MPI with what
# starts one process on each node; for this machine it is mpirun.openmpi.
#
#   examples/features_examples/discover_mode_bare.sh [PACKAGES]
#
# PACKAGES is the directory with the packages, /usr/lib/python3/dist-packages by default. Set
# COPPER_ROOT to the installation where copper is not in the PATH.
set -euo pipefail
packages=$(realpath "${1:-/usr/lib/python3/dist-packages}")
PATH=${COPPER_ROOT:+$COPPER_ROOT/bin:}$PATH
view=$(mktemp -d)
jobs=$(mktemp -d)
trap 'rm -r "$jobs"; rmdir "$view"' EXIT

${MPIEXEC:-mpirun.openmpi -n 1} copper serve -a discover -n tcp -d "$jobs" --job discover -v "$view" &
step=$!
trap 'copper stop -d "$jobs" --job discover; wait "$step"; rm -r "$jobs"; rmdir "$view"' EXIT
copper wait --pid "$step" -d "$jobs" --job discover

PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'

copper status -d "$jobs" --job discover
echo "every interface of every host:"
cat "$jobs/discover/logs/copper_address_book_full_output.txt"
echo "the endpoints in use:"
cat "$jobs/discover/logs/copper_address_book.txt"
