package mpiboot

import (
	"errors"
	"strings"
	"testing"
)

func lookupIn(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func TestReadEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		vars map[string]string
		want environment
	}{
		"no launcher": {
			map[string]string{"PATH": "/bin"},
			environment{rank: -1},
		},
		"batch script of Slurm": {
			map[string]string{"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},
			environment{rank: -1},
		},
		"mpirun": {
			map[string]string{"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"},
			environment{"Open MPI's mpirun", 4, 3, "OMPI_COMM_WORLD_SIZE=4"},
		},
		"mpirun over srun": {
			map[string]string{"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "0",
				"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"},
			environment{"Open MPI's mpirun", 8, 0, "OMPI_COMM_WORLD_SIZE=8"},
		},
		"hydra": {
			map[string]string{"PMI_SIZE": "2", "PMI_RANK": "1"},
			environment{"mpiexec (PMI)", 2, 1, "PMI_SIZE=2"},
		},
		"srun with pmix": {
			map[string]string{"SLURM_STEP_NUM_TASKS": "128", "SLURM_PROCID": "5", "PMIX_RANK": "5"},
			environment{"srun", 128, 5, "SLURM_STEP_NUM_TASKS=128"},
		},
		"PALS": {
			map[string]string{"PALS_RANKID": "2"},
			environment{"mpiexec (PALS)", 0, 2, "PALS_RANKID=2"},
		},
		"PMIx": {
			map[string]string{"PMIX_RANK": "0"},
			environment{"a PMIx launcher", 0, 0, "PMIX_RANK=0"},
		},
		"set to nothing": {
			map[string]string{"PMI_SIZE": "", "OMPI_COMM_WORLD_SIZE": ""},
			environment{rank: -1},
		},
	} {
		if got, err := readEnvironment(lookupIn(c.vars)); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestBrokenEnvironmentIsAnError(t *testing.T) {
	for name, value := range map[string]string{
		"OMPI_COMM_WORLD_SIZE": "four", "PMI_SIZE": "0", "SLURM_STEP_NUM_TASKS": "99999999999", "PALS_RANKID": "-1",
	} {
		_, err := readEnvironment(lookupIn(map[string]string{name: value}))
		if err == nil || !strings.Contains(err.Error(), name+`="`+value+`"`) {
			t.Errorf("%s=%s: got %v, want an error that names it", name, value, err)
		}
	}
}

func TestWorldMustAgreeWithLauncher(t *testing.T) {
	mpirun := environment{"Open MPI's mpirun", 4, 2, "OMPI_COMM_WORLD_SIZE=4"}
	pals := environment{"mpiexec (PALS)", 0, 2, "PALS_RANKID=2"}
	for _, c := range []struct {
		env     environment
		world   int
		library string
		want    []string // in the error's text; nil: no error
	}{
		{mpirun, 4, "Open MPI v4.1.4", nil},
		{mpirun, 1, "MPICH 4.0.2", []string{"4 processes", "sees 1", "OMPI_COMM_WORLD_SIZE=4", "MPICH 4.0.2", "--mpi=pmi2"}},
		{mpirun, 1, "Open MPI v4.1.4", []string{"4 processes", "sees 1", "--mpi=pmix"}},
		{mpirun, 8, "Another 1.0", []string{"4 processes", "sees 8", "Another 1.0", "--mpi=…"}},
		{pals, 3, "MPICH 4.0.2", nil},
		{pals, 2, "MPICH 4.0.2", []string{"several processes", "sees 2", "PALS_RANKID=2"}},
	} {
		err := c.env.agree(c.world, c.library)
		if c.want == nil {
			if err != nil {
				t.Errorf("%+v, world of %d: %v", c.env, c.world, err)
			}
			continue
		}
		var launch *LaunchError
		if !errors.As(err, &launch) || launch.World != c.world || launch.Expected != c.env.size {
			t.Errorf("%+v, world of %d: got %v, want a LaunchError", c.env, c.world, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q lacks %q", err, want)
			}
		}
	}
}
