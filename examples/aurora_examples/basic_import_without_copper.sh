#!/usr/bin/env bash
#PBS -N copper_import
#PBS -l select=2
#PBS -l place=scatter
#PBS -l walltime=00:15:00
#PBS -l filesystems=home:flare
#PBS -q debug
#PBS -A YOUR_PROJECT
#
# Imports numpy on all ranks of a job on Aurora, without Copper: what basic_import.sh is to be compared with.
#
#   qsub -v PACKAGES=DIRECTORY basic_import_without_copper.sh
#
# PACKAGES is a directory with Python packages, numpy among them. RANKS_PER_NODE is 12 by default.
set -euo pipefail
packages=$(realpath "${PACKAGES:?is to be a directory with Python packages}")
nodes=$(sort -u "$PBS_NODEFILE" | wc -l)
ppn=${RANKS_PER_NODE:-12}
# One core for each rank.
bind=list:4:9:14:19:24:29:56:61:66:71:76:81

mpiexec --np $((nodes * ppn)) --ppn "$ppn" --cpu-bind="$bind" --genvall --genv=PYTHONPATH="$packages" \
  python3 -c 'import numpy; print(numpy.__file__)'
