#!/usr/bin/env bash
#PBS -N copper_import
#PBS -l select=2
#PBS -l place=scatter
#PBS -l walltime=00:15:00
#PBS -l filesystems=home:flare
#PBS -q debug
#PBS -A YOUR_PROJECT
#
# The same as basic_import.sh with the job step written by hand: copper serve in the background, once on each
# node, then copper wait.
#
#   qsub -v PACKAGES=DIRECTORY basic_import_bare.sh
#
# PACKAGES is a directory with Python packages, numpy among them. RANKS_PER_NODE is 12 by default.
set -euo pipefail
packages=$(realpath "${PACKAGES:?is to be a directory with Python packages}")
nodes=$(sort -u "$PBS_NODEFILE" | wc -l)
ppn=${RANKS_PER_NODE:-12}
# One core for each rank, none of them a service core: those are 48 to 51.
bind=list:4:9:14:19:24:29:56:61:66:71:76:81
command -v copper >/dev/null || module load copper
view=/tmp/$USER/copper

mpiexec --np "$nodes" --ppn 1 --cpu-bind=list:48,49,50,51 --genvall --no-abort-on-failure copper serve -v "$view" &
step=$!
trap 'copper stop; wait "$step"' EXIT
copper wait --pid "$step"

# Only this path is led through Copper: the mount goes before it.
mpiexec --np $((nodes * ppn)) --ppn "$ppn" --cpu-bind="$bind" --genvall --genv=PYTHONPATH="$view$packages" \
  python3 -c 'import numpy; print(numpy.__file__)'

copper status
