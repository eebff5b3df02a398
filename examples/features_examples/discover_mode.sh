#!/usr/bin/env bash
# The daemons' endpoints are those of the interfaces that each host has (discover), in place of a site's address book
# (facility). What was found is kept in two files.
#
#   examples/features_examples/discover_mode.sh [PACKAGES]
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

"launch_copper_$site.sh" -a discover -n tcp -d "$jobs" --job discover -v "$view"
trap '"stop_copper_$site.sh" -d "$jobs" --job discover; rm -r "$jobs"; rmdir "$view"' EXIT

PYTHONPATH="$view$packages" /usr/bin/python3 -c 'import numpy; print(numpy.__file__)'

copper status -d "$jobs" --job discover
echo "every interface of every host:"
cat "$jobs/discover/logs/copper_address_book_full_output.txt"
echo "the endpoints in use:"
cat "$jobs/discover/logs/copper_address_book.txt"
