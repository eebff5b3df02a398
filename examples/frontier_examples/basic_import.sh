#!/usr/bin/env bash
#SBATCH -J copper_import
#SBATCH -N 2
#SBATCH -t 00:15:00
#SBATCH -A YOUR_PROJECT
#SBATCH --no-kill
#
# Imports numpy on all ranks of a job on Frontier, through Copper. By --no-kill the job outlives a lost node.
#
#   PACKAGES=DIRECTORY sbatch basic_import.sh
#
# PACKAGES is a directory with Python packages, numpy among them. RANKS_PER_NODE is 8 by default.
set -euo pipefail
packages=$(realpath "${PACKAGES:?is to be a directory with Python packages}")
ppn=${RANKS_PER_NODE:-8}
# One core for each rank, none of them a service core: those are 1 and 2.
bind=map_cpu:3,9,17,25,33,41,49,57
command -v copper >/dev/null || module load copper
view=/tmp/$USER/copper

launch_copper_frontier.sh -v "$view"
trap stop_copper_frontier.sh EXIT

# Only this path is led through Copper: the mount goes before it.
PYTHONPATH=$view$packages srun -N "$SLURM_JOB_NUM_NODES" --ntasks-per-node="$ppn" --cpu-bind="$bind" \
  python3 -c 'import numpy; print(numpy.__file__)'

copper status
