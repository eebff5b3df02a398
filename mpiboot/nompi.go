//go:build !(mpi && cgo)

package mpiboot

// join refuses to be one of several, since there is no MPI to find the others with.
func join(env environment, _ *watch) (world, error) {
	if env.size > 1 || env.size == 0 && env.rank > 0 {
		return nil, &LaunchError{Launcher: env.launcher, Source: env.source, Expected: env.size}
	}
	return alone{}, nil
}
