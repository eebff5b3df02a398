#!/usr/bin/env bash
# Imports a Python package through Copper, and tells what that has saved.
#
#   examples/features_examples/basic_import.sh [PACKAGES]
#
# It runs on one node: this machine, or a job of one node on the machine that COPPER_SITE names (aurora,
# frontier). PACKAGES is the directory with the packages, /usr/lib/python3/dist-packages by default. Set
# COPPER_ROOT to the installation where copper is not in the PATH.
set -euo pipefail
packages=$(realpath "${1:-/usr/lib/python3/dist-packages}")
PATH=${COPPER_ROOT:+$COPPER_ROOT/bin:}$PATH
site=${COPPER_SITE:-local}
view=$(mktemp -d)
trap 'rmdir "$view"' EXIT

"launch_copper_$site.sh" -v "$view"
trap '"stop_copper_$site.sh"; rmdir "$view"' EXIT

# The mount shows / again: the path of the packages is that of the mount and then their own.
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'

copper status
