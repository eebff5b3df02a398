#!/usr/bin/env bash
# The same as basic_import.sh with the job step written by hand: copper serve in the background, then
# copper wait.
#
#   examples/local_examples/basic_import_bare.sh [PACKAGES]
#
# PACKAGES is the directory with the packages, /usr/lib/python3/dist-packages by default. Set
# COPPER_ROOT to the installation where copper is not in the PATH.
set -euo pipefail
packages=$(realpath "${1:-/usr/lib/python3/dist-packages}")
PATH=${COPPER_ROOT:+$COPPER_ROOT/bin:}$PATH
view=$(mktemp -d)
trap 'rmdir "$view"' EXIT

mpirun.openmpi -n 4 --oversubscribe --enable-recovery copper serve -v "$view/{rank}" &
step=$!
trap 'copper stop; wait "$step"; rmdir "$view"' EXIT
copper wait --pid "$step"

# Each rank of an application would prepend its own node's mount to just this path.
for rank in 0 1 2 3; do
  PYTHONPATH="$view/$rank$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)' &
  pids="${pids:-} $!"
done
for pid in $pids; do wait "$pid"; done

copper status
