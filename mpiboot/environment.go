package mpiboot

import (
	"fmt"
	"strconv"
	"strings"
)

// launchers lists what each launcher tells its processes. Where one runs inside another (mpirun
// starts its own daemons by srun), the inner one stands first, for it is the one that counts.
// SLURM_PROCID alone says nothing: a batch script has it too.
var launchers = []struct {
	name, size, rank string
}{
	{"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
	{"mpiexec (PMI)", "PMI_SIZE", "PMI_RANK"},
	{"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
	{"mpiexec (PALS)", "", "PALS_RANKID"},
	{"a PMIx launcher", "", "PMIX_RANK"},
}

// environment is what the launcher's variables say about the step.
type environment struct {
	launcher string // "" if no launcher started this process
	size     int    // processes in the step; 0: the launcher does not tell
	rank     int    // -1: the launcher does not tell
	source   string // "VARIABLE=value", for errors
}

// readEnvironment finds out who started this process. lookup is os.LookupEnv or the like.
func readEnvironment(lookup func(string) (string, bool)) (environment, error) {
	for _, l := range launchers {
		named := l.size
		if named == "" {
			named = l.rank
		}
		value, ok := lookup(named)
		if !ok || value == "" {
			continue
		}
		e := environment{launcher: l.name, rank: -1, source: named + "=" + value}
		var err error
		if l.size != "" {
			e.size, err = parseCount(named, value, 1)
			if err != nil {
				return environment{}, err
			}
		}
		if value, ok := lookup(l.rank); ok && value != "" {
			e.rank, err = parseCount(l.rank, value, 0)
			if err != nil {
				return environment{}, err
			}
		}
		return e, nil
	}
	return environment{rank: -1}, nil
}

func parseCount(name, value string, least int) (int, error) {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || int(n) < least {
		return 0, fmt.Errorf("environment: %s=%q is not a number of %d or more", name, value, least)
	}
	return int(n), nil
}

// LaunchError says that the launcher and the MPI in this binary do not belong together. It is a
// mistake of the command line: exit 2.
type LaunchError struct {
	Launcher string // who started the process
	Source   string // what the launcher says, "VARIABLE=value"
	Expected int    // processes according to the launcher; 0: only the rank is known
	World    int    // processes according to MPI; 0: this binary was built without MPI
	Library  string // the MPI library, "" without
}

func (e *LaunchError) Error() string {
	started := "several processes"
	if e.Expected > 0 {
		started = fmt.Sprintf("%d processes", e.Expected)
	}
	if e.World == 0 {
		return fmt.Sprintf("%s started %s (%s), but this binary was built without MPI and can only be alone: "+
			"use one built with MPI (go build -tags mpi)", e.Launcher, started, e.Source)
	}
	remedy := "start it with the launcher of that MPI, or under Slurm choose the plugin by srun --mpi=…"
	switch {
	case strings.HasPrefix(e.Library, "Open MPI"):
		remedy = "start it with Open MPI's own mpirun, or under Slurm with srun --mpi=pmix"
	case strings.HasPrefix(e.Library, "MPICH"):
		remedy = "start it with MPICH's own mpiexec, or under Slurm with srun --mpi=pmi2"
	}
	return fmt.Sprintf("%s started %s (%s), but MPI sees %d: this binary was built for %s; %s, "+
		"or use a binary built for this launcher's MPI",
		e.Launcher, started, e.Source, e.World, e.Library, remedy)
}

// agree compares the launcher's word with MPI's: the wrong launcher gives every process a world
// of its own, and says nothing.
func (e environment) agree(world int, library string) error {
	if e.size == world || e.size == 0 && e.rank < world {
		return nil
	}
	return &LaunchError{Launcher: e.launcher, Source: e.source, Expected: e.size, World: world, Library: library}
}
