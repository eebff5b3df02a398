package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/copper-hpc/copper/launch"
)

// make sets these to what git says of the sources; in other builds they are empty.
var (
	version   string // git describe
	committed string // when the last commit was made, RFC 3339
)

type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *versionCmd) Run() error {
	b := thisBuild()
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(b)
	}
	fmt.Println(b)
	return nil
}

// build is how this binary was made.
type build struct {
	Version    string    `json:"version"`
	CommitTime time.Time `json:"commit_time,omitzero"` // of the sources; zero if unknown
	Go         string    `json:"go"`
	MPI        string    `json:"mpi"` // that it is linked with, or none
	OS         string    `json:"os"`
	Arch       string    `json:"arch"`
}

func thisBuild() build {
	b := build{Version: version, Go: runtime.Version(), MPI: "none", OS: runtime.GOOS, Arch: runtime.GOARCH}
	when := committed
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = cmp.Or(b.Version, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				when = cmp.Or(when, s.Value)
			}
		}
	}
	if t, err := time.Parse(time.RFC3339, when); err == nil {
		b.CommitTime = t.UTC()
	}
	if program, err := os.Executable(); err == nil {
		if mpi, err := launch.LinkedMPI(program); err == nil && mpi != launch.NoMPI {
			b.MPI = string(mpi)
		}
	}
	return b
}

// String is one line for people.
func (b build) String() string {
	committed := ""
	if !b.CommitTime.IsZero() {
		committed = " of " + b.CommitTime.Format(time.RFC3339)
	}
	return fmt.Sprintf("copper %s%s, %s %s/%s, MPI: %s", b.Version, committed, b.Go, b.OS, b.Arch, b.MPI)
}
