package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/copper-hpc/copper/launch"
)

type versionCmd struct{}

func (*versionCmd) Run() error {
	fmt.Println(version())
	return nil
}

// version names this binary and what it was built with.
func version() string {
	version, revision := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " (" + s.Value + ")"
			}
		}
	}
	mpi := launch.NoMPI
	if program, err := os.Executable(); err == nil {
		mpi, _ = launch.LinkedMPI(program)
	}
	if mpi == launch.NoMPI {
		mpi = "none"
	}
	return fmt.Sprintf("copper %s%s, %s, MPI: %s", version, revision, runtime.Version(), mpi)
}
