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
	fmt.Printf("copper %s%s, %s, MPI: %s\n", version, revision, runtime.Version(), mpi)
	return nil
}
