package launch

import (
	"context"
	"debug/elf"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Step is a job step to be started: one process a rank.
type Step struct {
	Ranks   int
	Hosts   []string // one rank on each; nil: all on this host
	Program string   // the copper binary
	Args    []string // its arguments
	Root    bool     // the user is root
	Part    bool     // Hosts are a part of the allocation's
	Plain   bool     // the ranks do not join MPI
	CXI     bool     // the ranks use CXI devices themselves
	Cores   Cores    // that the ranks may use, as far as the launcher can see to it

	HostFile string // path for the names of Hosts if they are too many for an argument
}

// Launcher starts the ranks of a step; [FindLauncher] chooses among them. A step that was started goes
// on when a rank dies, as far as the launcher lets it.
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

// MPI names an implementation of MPI.
type MPI string

// The implementations that are told apart.
const (
	NoMPI      MPI = ""
	OpenMPILib MPI = "Open MPI"
	MPICHLib   MPI = "MPICH" // and those with its ABI
	CrayLib    MPI = "Cray MPICH"
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
		case strings.HasPrefix(name, "libmpi_"): // libmpi_cray, libmpi_gnu_123
			return CrayLib
		case name == "libmpich":
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
	CrayLib:    {"mpiexec", "mpirun", "mpiexec.hydra"},
}

// palsCandidates go before them in a job of PBS: where PALS is, it is the site's launcher, and alone gives
// ranks the right to use the fast network; but a module may have put another mpiexec before it.
var palsCandidates = []string{"mpiexec", "/opt/cray/pals/default/bin/mpiexec"}

// Search is how [FindLauncher] looks at a system.
type Search struct {
	Look    func(program string) (path string, err error)
	Version func(path string) string // what `path --version` prints, "" on failure
	Plugins func(srun string) string // what `srun --mpi=list` prints, "" on failure
}

// SystemSearch looks along PATH.
func SystemSearch() Search {
	return Search{
		Look:    exec.LookPath,
		Version: func(path string) string { return outputOf(path, "--version") },
		Plugins: func(srun string) string { return outputOf(srun, "--mpi=list") },
	}
}

// FindLauncher chooses the launcher for ranks processes of a binary linked against mpi, in an allocation
// of scheduler.
func FindLauncher(mpi MPI, ranks int, scheduler Scheduler, s Search) (Launcher, error) {
	if mpi == NoMPI {
		if ranks == 1 {
			return Direct{}, nil
		}
		return nil, BadInput("this copper was built without MPI and can start one node, not %d: use one built with MPI (make build)", ranks)
	}
	switch scheduler {
	case Slurm:
		if path, err := s.Look("srun"); err == nil {
			return findSrun(path, mpi, s)
		}
	case PBS:
		if mpi == OpenMPILib {
			break
		}
		for _, name := range palsCandidates {
			if path, err := s.Look(name); err == nil && isPALS(path, s.Version(path)) {
				return PALS{Path: path}, nil
			}
		}
	}
	for _, name := range candidates[mpi] {
		path, err := s.Look(name)
		if err != nil || !starts(s.Version(path), mpi) {
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

// starts tells by the text of --version whether a launcher starts ranks of mpi.
func starts(version string, mpi MPI) bool {
	switch {
	case strings.Contains(version, "Open MPI"), strings.Contains(version, "OpenRTE"), strings.Contains(version, "open-mpi.org"):
		return mpi == OpenMPILib
	case strings.Contains(version, "HYDRA"), strings.Contains(version, "Intel(R) MPI"):
		return mpi == MPICHLib || mpi == CrayLib
	}
	return false
}

func outputOf(path string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	out, _ := cmd.CombinedOutput()
	return string(out)
}
