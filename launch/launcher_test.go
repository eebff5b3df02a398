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
	}
}

func TestFindLauncher(t *testing.T) {
	both := map[string]string{"mpirun.openmpi": openMPIVersion, "mpirun": hydraVersion, "mpiexec.hydra": hydraVersion, "mpiexec": openMPIVersion}
	for _, c := range []struct {
		mpi      MPI
		ranks    int
		programs map[string]string
		want     Launcher
	}{
		{NoMPI, 1, both, Direct{}},
		{OpenMPILib, 4, both, OpenMPI{"/bin/mpirun.openmpi"}},
		{MPICHLib, 4, both, Hydra{"/bin/mpiexec.hydra"}},
		{OpenMPILib, 1, map[string]string{"mpirun": openMPI5}, OpenMPI{"/bin/mpirun"}},
		{OpenMPILib, 2, map[string]string{"mpirun": hydraVersion, "mpiexec": openMPI5}, OpenMPI{"/bin/mpiexec"}},
		{MPICHLib, 2, map[string]string{"mpiexec": openMPIVersion, "mpirun": hydraVersion}, Hydra{"/bin/mpirun"}},
		{NoMPI, 2, both, nil},
		{OpenMPILib, 2, map[string]string{"mpirun": hydraVersion}, nil},
		{MPICHLib, 2, nil, nil},
	} {
		got, err := FindLauncher(c.mpi, c.ranks, system(c.programs))
		if got != c.want || (err != nil) != (c.want == nil) || err != nil && ExitCode(err) != ExitBadInput {
			t.Errorf("%q, %d ranks: %v, %v; want %v", c.mpi, c.ranks, got, err, c.want)
		}
	}
}

func TestMPIAmong(t *testing.T) {
	for libraries, want := range map[string]MPI{
		"libc.so.6":                     NoMPI,
		"libmpi.so.40 libc.so.6":        OpenMPILib,
		"libc.so.6 libmpich.so.12":      MPICHLib,
		"libmpi.so.12":                  MPICHLib,
		"libmpi_gnu_123.so.12":          MPICHLib,
		"libmpi_cray.so.12 libc.so.6":   MPICHLib,
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
