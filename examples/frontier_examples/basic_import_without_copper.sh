#!/usr/bin/env bash
#SBATCH -J copper_import
#SBATCH -N 2
#SBATCH -t 00:15:00
#SBATCH -A YOUR_PROJECT
#
# Imports numpy on all ranks of a job on Frontier, without Copper: what basic_import.sh is to be compared with.
#
#   PACKAGES=DIRECTORY sbatch basic_import_without_copper.sh
#
# PACKAGES is a directory with Python packages, numpy among them. RANKS_PER_NODE is 8 by default.
set -euo pipefail
packages=$(realpath "${PACKAGES:?is to be a directory with Python packages}")
ppn=${RANKS_PER_NODE:-8}
# One core for each rank.
bind=map_cpu:3,9,17,25,33,41,49,57

PYTHONPATH=$packages srun -N "$SLURM_JOB_NUM_NODES" --ntasks-per-node="$ppn" --cpu-bind="$bind" \
  python3 -c 'import numpy; print(numpy.__file__)'
