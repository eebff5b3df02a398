#!/usr/bin/env bash
# Starts Copper on Aurora and returns when every mount answers, or says which node failed and why.
# The options are those of `copper launch`, with the site's defaults: -h shows both.
# COPPER_ROOT is the directory of the installation, with bin/copper in it; by default the one that this script is in.
set -eu
if [ -z "${COPPER_ROOT:-}" ]; then
  COPPER_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
fi
export COPPER_ROOT
exec "$COPPER_ROOT/bin/copper" launch --site aurora "$@"
