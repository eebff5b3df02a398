#!/usr/bin/env bash
# Stops Copper on Aurora: unmounts everywhere, ends the daemons and prints what was saved.
# The options are those of `copper stop`, -d and -v among them: -h shows them.
# COPPER_ROOT is the directory of the installation, with bin/copper in it; by default the one that this script is in.
set -eu
if [ -z "${COPPER_ROOT:-}" ]; then
  COPPER_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
fi
export COPPER_ROOT
exec "$COPPER_ROOT/bin/copper" stop "$@"
