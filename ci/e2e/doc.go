// Package e2e runs Copper as a user does, from end to end: real daemons under a real MPI, real
// mounts, a real Python. It needs the binaries that `make` builds, in $COPPER_E2E.
package e2e
