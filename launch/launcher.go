package launch

import (
	"context"
	"debug/elf"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Step is a job step to be started: one daemon a rank.
type Step struct {
	Ranks   int
	Program string   // the copper binary
	Args    []string // its arguments
	Root    bool     // the user is root
}

// Launcher starts the ranks of a step. A scheduler's or a site's launcher is one more type with
// its own command line; [FindLauncher] chooses among them.
type Launcher interface {
	// Name is what errors call it.
	Name() string
	// Command is the command line for step.
	Command(step Step) Command
}

// Direct starts the only rank itself.
type Direct struct{}

// Name implements [Launcher].
func (Direct) Name() string { return "no launcher" }

// Command implements [Launcher].
func (Direct) Command(s Step) Command {
	return Command{Args: append([]string{s.Program}, s.Args...)}
}

// OpenMPI is Open MPI's mpirun on this host.
type OpenMPI struct{ Path string }

// Name implements [Launcher].
func (OpenMPI) Name() string { return "Open MPI's mpirun" }

// Command implements [Launcher]. With --enable-recovery the other ranks outlive one that dies.
func (l OpenMPI) Command(s Step) Command {
	c := Command{Args: []string{l.Path, "-n", strconv.Itoa(s.Ranks), "--oversubscribe", "--enable-recovery", "--bind-to", "none", s.Program}}
	c.Args = append(c.Args, s.Args...)
	if s.Root {
		c.Env = []string{"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"}
	}
	return c
}

// Hydra is MPICH's mpiexec on this host. It ends all ranks when one dies.
type Hydra struct{ Path string }

// Name implements [Launcher].
func (Hydra) Name() string { return "MPICH's mpiexec" }

// Command implements [Launcher].
func (l Hydra) Command(s Step) Command {
	return Command{Args: append([]string{l.Path, "-n", strconv.Itoa(s.Ranks), s.Program}, s.Args...)}
}

// MPI names an implementation of MPI.
type MPI string

// The implementations that are told apart.
const (
	NoMPI      MPI = ""
	OpenMPILib MPI = "Open MPI"
	MPICHLib   MPI = "MPICH" // and those with its ABI
)

// LinkedMPI is the MPI that the binary at path is linked against.
func LinkedMPI(path string) (MPI, error) {
	f, err := elf.Open(path)
	if err != nil {
		return NoMPI, fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = f.Close() }() // was only read
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return NoMPI, fmt.Errorf("%s: %w", path, err)
	}
	return mpiAmong(libraries), nil
}

func mpiAmong(libraries []string) MPI {
	for _, lib := range libraries {
		switch name, version, _ := strings.Cut(lib, ".so"); {
		case name == "libmpich", strings.HasPrefix(name, "libmpi_"): // libmpi_cray, libmpi_gnu_123
			return MPICHLib
		case name == "libmpi" && strings.HasPrefix(version, ".12"): // the common ABI of MPICH's family
			return MPICHLib
		case name == "libmpi":
			return OpenMPILib
		}
	}
	return NoMPI
}

// candidates are the programs that may be the launcher of an MPI, the surest names first.
var candidates = map[MPI][]string{
	OpenMPILib: {"mpirun.openmpi", "mpirun", "mpiexec"},
	MPICHLib:   {"mpiexec.hydra", "mpiexec.mpich", "mpiexec", "mpirun"},
}

// Search is how [FindLauncher] looks at a system.
type Search struct {
	Look    func(program string) (path string, err error)
	Version func(path string) string // what `path --version` prints, "" on failure
}

// SystemSearch looks along PATH.
func SystemSearch() Search { return Search{Look: exec.LookPath, Version: versionOf} }

// FindLauncher chooses the launcher for ranks processes of a binary linked against mpi.
func FindLauncher(mpi MPI, ranks int, s Search) (Launcher, error) {
	if mpi == NoMPI {
		if ranks == 1 {
			return Direct{}, nil
		}
		return nil, BadInput("this copper was built without MPI and can start one node, not %d: use one built with MPI (make build)", ranks)
	}
	for _, name := range candidates[mpi] {
		path, err := s.Look(name)
		if err != nil || launcherOf(s.Version(path)) != mpi {
			continue
		}
		if mpi == OpenMPILib {
			return OpenMPI{Path: path}, nil
		}
		return Hydra{Path: path}, nil
	}
	return nil, BadInput("this copper was built with %s, whose launcher is not in PATH (looked for %s)",
		mpi, strings.Join(candidates[mpi], ", "))
}

// launcherOf tells the launchers apart by the text of --version.
func launcherOf(version string) MPI {
	switch {
	case strings.Contains(version, "Open MPI"), strings.Contains(version, "OpenRTE"), strings.Contains(version, "open-mpi.org"):
		return OpenMPILib
	case strings.Contains(version, "HYDRA"), strings.Contains(version, "Intel(R) MPI"):
		return MPICHLib
	}
	return NoMPI
}

func versionOf(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	out, _ := cmd.CombinedOutput()
	return string(out)
}
