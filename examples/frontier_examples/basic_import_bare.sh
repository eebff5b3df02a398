#!/usr/bin/env bash
#SBATCH -J copper_import
#SBATCH -N 2
#SBATCH -t 00:15:00
#SBATCH -A YOUR_PROJECT
#SBATCH --no-kill
#
# The same as basic_import.sh with the job step written by hand: copper serve in the background, once on each
# node, then copper wait.
#
#   PACKAGES=DIRECTORY sbatch basic_import_bare.sh
#
# PACKAGES is a directory with Python packages, numpy among them. RANKS_PER_NODE is 8 by default.
set -euo pipefail
packages=$(realpath "${PACKAGES:?is to be a directory with Python packages}")
ppn=${RANKS_PER_NODE:-8}
# One core for each rank, none of them a service core: those are 1 and 2.
bind=map_cpu:3,9,17,25,33,41,49,57
command -v copper >/dev/null || module load copper
view=/tmp/$USER/copper

srun --overlap -N "$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --cpus-per-task=2 --cpu-bind=mask_cpu:0x6 \
  --kill-on-bad-exit=0 --no-kill --wait=0 copper serve -v "$view" &
step=$!
trap 'copper stop; wait "$step"' EXIT
copper wait --pid "$step"

# Only this path is led through Copper: the mount goes before it.
PYTHONPATH=$view$packages srun -N "$SLURM_JOB_NUM_NODES" --ntasks-per-node="$ppn" --cpu-bind="$bind" \
  python3 -c 'import numpy; print(numpy.__file__)'

copper status
