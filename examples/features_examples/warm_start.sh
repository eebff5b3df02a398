#!/usr/bin/env bash
# What one job has asked for is in memory, and in every node's page cache, before the application of the next job
# starts: the first leaves a manifest, the second is launched with it.
#
#   examples/features_examples/warm_start.sh [PACKAGES]
#
# It runs on one node: this machine, or a job of one node on the machine that COPPER_SITE names (aurora,
# frontier). PACKAGES is the directory with the packages, /usr/lib/python3/dist-packages by default. Set
# COPPER_ROOT to the installation where copper is not in the PATH.
set -euo pipefail
packages=$(realpath "${1:-/usr/lib/python3/dist-packages}")
PATH=${COPPER_ROOT:+$COPPER_ROOT/bin:}$PATH
site=${COPPER_SITE:-local}
view=$(mktemp -d)
jobs=$(mktemp -d)
trap 'rm -r "$jobs"; rmdir "$view"' EXIT

"launch_copper_$site.sh" -d "$jobs" --job first -v "$view"
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'
"stop_copper_$site.sh" -d "$jobs" --job first

"launch_copper_$site.sh" -d "$jobs" --job second --warm "$jobs/first/manifest.gz" -v "$view"
trap '"stop_copper_$site.sh" -d "$jobs" --job second; rm -r "$jobs"; rmdir "$view"' EXIT
PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'

copper status -d "$jobs" --job second
