// Package e2e runs Copper as a user does, from end to end: real daemons under a real MPI, real
// mounts, a real Python. It needs the binaries that `make` builds, in $COPPER_E2E.
//
// TestFaultMatrix and TestSoak break nodes that have hosts of their own ([nodes]) and judge all that
// is read meanwhile ([oracle]). To soak for longer, to do again what a seed did, and to play some
// cells of the matrix only:
//
//	COPPER_E2E=$PWD/bin go test -count=1 -v -run TestSoak ./ci/e2e/ -soak=10m
//	COPPER_E2E=$PWD/bin go test -count=1 -v -run TestSoak ./ci/e2e/ -soak.seed=42
//	COPPER_E2E=$PWD/bin go test -count=1 -v -run TestFaultMatrix ./ci/e2e/ -matrix='root stop'
//	COPPER_E2E=$PWD/bin go test -count=1 -v -run TestLibfabricFaults ./ci/e2e/ -libfabric -matrix='root stop'
package e2e
