package launch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandLines(t *testing.T) {
	step := Step{Ranks: 4, Program: "/opt/my copper", Args: []string{"serve", "--job", "7", "--mount", "/tmp/it's/{rank}"}}
	const rest = `'/opt/my copper' serve --job 7 --mount '/tmp/it'\''s/{rank}'`
	for _, c := range []struct {
		launcher Launcher
		root     bool
		want     string
	}{
		{Direct{}, false, rest},
		{OpenMPI{"/usr/bin/mpirun.openmpi"}, false, "/usr/bin/mpirun.openmpi -n 4 --oversubscribe --enable-recovery --bind-to none " + rest},
		{OpenMPI{"mpirun"}, true, "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -n 4 --oversubscribe --enable-recovery --bind-to none " + rest},
		{Hydra{"mpiexec.hydra"}, true, "mpiexec.hydra -n 4 " + rest},
	} {
		step.Root = c.root
		if got := c.launcher.Command(step).String(); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.launcher.Name(), got, c.want)
		}
	}
	step = Step{Ranks: 3, Hosts: []string{"n1", "n2", "n3"}, Program: "copper", Args: []string{"serve"}}
	plain := step
	plain.Plain, plain.Part = true, true
	bound := Step{Ranks: 2, Program: "copper", Cores: coresOf(t, "48,49")}
	one := Step{Ranks: 1, Hosts: []string{"n1"}, Program: "copper", CXI: true}
	two := Step{Ranks: 2, Hosts: []string{"n1", "n2"}, Program: "copper", CXI: true}
	for _, c := range []struct {
		launcher Launcher
		step     Step
		want     string
	}{
		{OpenMPI{"mpirun"}, step, "mpirun -n 3 --host n1,n2,n3 --map-by ppr:1:node --oversubscribe --enable-recovery --bind-to none copper serve"},
		{Hydra{"mpiexec"}, step, "mpiexec -n 3 -ppn 1 -hosts n1,n2,n3 copper serve"},
		{PALS{"mpiexec"}, plain, "mpiexec --np 3 --ppn 1 --hosts n1,n2,n3 --cpu-bind=none --genvall --no-abort-on-failure copper serve"},
		{PALS{"mpiexec"}, step, "mpiexec --np 3 --ppn 1 --hosts n1,n2,n3 --cpu-bind=none --genvall --no-abort-on-failure copper serve"},
		{Srun{"srun", "pmix"}, step, "SLURM_PMIX_FENCE=tree srun --overlap -N 3 -n 3 --ntasks-per-node=1 --kill-on-bad-exit=0 --no-kill --wait=0 --export=ALL --cpu-bind=none --mpi=pmix copper serve"},
		{Srun{"srun", "pmix"}, plain, "srun --overlap -N 3 -n 3 --ntasks-per-node=1 --nodelist=n1,n2,n3 --kill-on-bad-exit=0 --no-kill --wait=0 --export=ALL --cpu-bind=none --mpi=none copper serve"},
		{Srun{"srun", "pmi2"}, Step{Ranks: 2, Program: "copper"}, "srun --overlap -N 1 -n 2 --ntasks-per-node=2 --kill-on-bad-exit=0 --no-kill --wait=0 --export=ALL --cpu-bind=none --mpi=pmi2 copper"},
		{PALS{"mpiexec"}, bound, "mpiexec --np 2 --cpu-bind=list:48-49 --genvall --no-abort-on-failure copper"},
		{Srun{"srun", "pmi2"}, bound, "srun --overlap -N 1 -n 2 --ntasks-per-node=2 --kill-on-bad-exit=0 --no-kill --wait=0 --export=ALL --cpu-bind=mask_cpu:0x3000000000000 --mpi=pmi2 copper"},
		{PALS{"mpiexec"}, one, "PALS_LOCAL_LAUNCH=0 mpiexec --np 1 --ppn 1 --hosts n1 --single-node-vni --cpu-bind=none --genvall --no-abort-on-failure copper"},
		{PALS{"mpiexec"}, two, "mpiexec --np 2 --ppn 1 --hosts n1,n2 --cpu-bind=none --genvall --no-abort-on-failure copper"},
		{Srun{"srun", "cray_shasta"}, one, "srun --overlap -N 1 -n 1 --ntasks-per-node=1 --network=single_node_vni --kill-on-bad-exit=0 --no-kill --wait=0 --export=ALL --cpu-bind=none --mpi=cray_shasta copper"},
		{Srun{"srun", "cray_shasta"}, two, "srun --overlap -N 2 -n 2 --ntasks-per-node=1 --kill-on-bad-exit=0 --no-kill --wait=0 --export=ALL --cpu-bind=none --mpi=cray_shasta copper"},
	} {
		if got := c.launcher.Command(c.step).String(); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.launcher.Name(), got, c.want)
		}
	}
}

// TestCommandIsWhatAShellRuns: the printed form, pasted into a shell, gives the same words.
func TestCommandIsWhatAShellRuns(t *testing.T) {
	words := []string{"a b", "it's", "", "$HOME", "*", "{rank}", "x\ny", `\`, "-n", "tcp://n1:7"}
	c := Command{Env: []string{"GIVEN=a 'b' $c"}, Args: append([]string{"/bin/sh", "-c", `printf '%s|' "$GIVEN" "$@"`, "sh"}, words...)}
	out, err := exec.Command("/bin/sh", "-c", c.String()).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(append([]string{"a 'b' $c"}, words...), "|") + "|"; string(out) != want {
		t.Errorf("%q, want %q", out, want)
	}
}

const (
	openMPIVersion = "mpirun.openmpi (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n"
	openMPI5       = "mpirun (Open MPI) 5.0.3\n"
	palsVersion    = "/opt/cray/pals/1.3.4/bin/mpiexec version 1.3.4 revision 7.0.1\n"
	pluginList     = "MPI plugin types are...\n\tpmix\n\tnone\n\tcray_shasta\n\tpmi2\nspecific pmix plugin versions available: pmix_v4\n"
	hydraVersion   = "HYDRA build details:\n    Version:                                 4.0.2\n"
)

// system is a Search of made-up programs and what they say to --version.
func system(programs map[string]string) Search {
	return Search{
		Look: func(name string) (string, error) {
			if _, ok := programs[name]; !ok {
				return "", exec.ErrNotFound
			}
			return "/bin/" + name, nil
		},
		Version: func(path string) string { return programs[filepath.Base(path)] },
		Plugins: func(path string) string { return programs[filepath.Base(path)] },
	}
}

func TestFindLauncher(t *testing.T) {
	both := map[string]string{"mpirun.openmpi": openMPIVersion, "mpirun": hydraVersion, "mpiexec.hydra": hydraVersion, "mpiexec": openMPIVersion}
	pals := map[string]string{"mpiexec": palsVersion, "mpiexec.hydra": hydraVersion, "mpirun.openmpi": openMPIVersion}
	slurm := map[string]string{"srun": pluginList, "mpiexec.hydra": hydraVersion, "mpirun.openmpi": openMPIVersion}
	for _, c := range []struct {
		mpi       MPI
		ranks     int
		scheduler Scheduler
		programs  map[string]string
		want      Launcher
	}{
		{NoMPI, 1, NoScheduler, both, Direct{}},
		{NoMPI, 1, Slurm, slurm, Direct{}},
		{OpenMPILib, 4, NoScheduler, both, OpenMPI{"/bin/mpirun.openmpi"}},
		{MPICHLib, 4, NoScheduler, both, Hydra{"/bin/mpiexec.hydra"}},
		{OpenMPILib, 1, NoScheduler, map[string]string{"mpirun": openMPI5}, OpenMPI{"/bin/mpirun"}},
		{OpenMPILib, 2, NoScheduler, map[string]string{"mpirun": hydraVersion, "mpiexec": openMPI5}, OpenMPI{"/bin/mpiexec"}},
		{MPICHLib, 2, NoScheduler, map[string]string{"mpiexec": openMPIVersion, "mpirun": hydraVersion}, Hydra{"/bin/mpirun"}},
		{MPICHLib, 2, PBS, pals, PALS{"/bin/mpiexec"}},
		{CrayLib, 2, PBS, pals, PALS{"/bin/mpiexec"}},
		{MPICHLib, 2, NoScheduler, pals, Hydra{"/bin/mpiexec.hydra"}},
		{MPICHLib, 2, PBS, both, Hydra{"/bin/mpiexec.hydra"}},
		{OpenMPILib, 2, PBS, pals, OpenMPI{"/bin/mpirun.openmpi"}},
		{OpenMPILib, 2, Slurm, slurm, Srun{"/bin/srun", "pmix"}},
		{MPICHLib, 2, Slurm, slurm, Srun{"/bin/srun", "pmi2"}},
		{CrayLib, 2, Slurm, slurm, Srun{"/bin/srun", "cray_shasta"}},
		{OpenMPILib, 2, Slurm, map[string]string{"srun": "none pmix_v4"}, Srun{"/bin/srun", "pmix_v4"}},
		{MPICHLib, 2, Slurm, both, Hydra{"/bin/mpiexec.hydra"}}, // Slurm without srun
		{MPICHLib, 2, Slurm, map[string]string{"srun": "none pmix", "mpiexec.hydra": hydraVersion}, nil},
		{NoMPI, 2, NoScheduler, both, nil},
		{OpenMPILib, 2, NoScheduler, map[string]string{"mpirun": hydraVersion}, nil},
		{MPICHLib, 2, NoScheduler, nil, nil},
	} {
		got, err := FindLauncher(c.mpi, c.ranks, c.scheduler, system(c.programs))
		if got != c.want || (err != nil) != (c.want == nil) || err != nil && ExitCode(err) != ExitBadInput {
			t.Errorf("%q, %d ranks, %q: %v, %v; want %v", c.mpi, c.ranks, c.scheduler, got, err, c.want)
		}
	}
}

func TestMPIAmong(t *testing.T) {
	for libraries, want := range map[string]MPI{
		"libc.so.6":                     NoMPI,
		"libmpi.so.40 libc.so.6":        OpenMPILib,
		"libc.so.6 libmpich.so.12":      MPICHLib,
		"libmpi.so.12":                  MPICHLib,
		"libmpi_gnu_123.so.12":          CrayLib,
		"libmpi_cray.so.12 libc.so.6":   CrayLib,
		"libmpifort.so.12 libmpio.so.1": NoMPI,
	} {
		if got := mpiAmong(strings.Fields(libraries)); got != want {
			t.Errorf("%s: %q, want %q", libraries, got, want)
		}
	}
}

// TestLinkedMPI reads real binaries, linked against libraries that have the names only.
func TestLinkedMPI(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	build := func(args ...string) {
		t.Helper()
		cmd := exec.Command(gcc, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc %v: %v\n%s", args, err, out)
		}
	}
	for name, source := range map[string]string{"lib.c": "int mpi(void) { return 0; }", "main.c": "int mpi(void); int main(void) { return mpi(); }"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for soname, want := range map[string]MPI{"libmpi.so.40": OpenMPILib, "libmpich.so.12": MPICHLib, "libother.so.1": NoMPI} {
		build("-shared", "-fPIC", "-Wl,-soname,"+soname, "-o", soname, "lib.c")
		build("-o", "main", "main.c", soname)
		if got, err := LinkedMPI(filepath.Join(dir, "main")); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", soname, got, err, want)
		}
	}
	if _, err := LinkedMPI(filepath.Join(dir, "main.c")); err == nil {
		t.Error("a text is no binary")
	}
	if _, err := LinkedMPI("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
