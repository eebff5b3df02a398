package launch

import (
	"slices"
	"strconv"
	"strings"
)

// Srun is Slurm's launcher.
type Srun struct {
	Path string
	MPI  string // value of --mpi
}

// Name implements [Launcher].
func (Srun) Name() string { return "Slurm's srun" }

// Command implements [Launcher]. The step shares its nodes with the application's (--overlap), and goes on
// when a rank dies (--kill-on-bad-exit=0), when a node does (--no-kill; the job must have been submitted
// with it too) and when a rank ends before the others (--wait=0). It has this environment, whatever the job was
// submitted with (--export=ALL).
//
// There is no --cpus-per-task: by that the step would have just so many cores, of Slurm's choice (--exact), and the
// binding may want others of the job's. With Slingshot each step has a VNI of its own, by which its ranks alone reach
// each other over CXI; a step on one node gets none unless it asks for it (HPE's Slurm plugin, srun(1) --network).
func (l Srun) Command(s Step) Command {
	nodes, mpi := "1", l.MPI
	perNode := s.Ranks
	if s.Hosts != nil {
		nodes, perNode = strconv.Itoa(len(s.Hosts)), 1
	}
	if s.Plain {
		mpi = "none"
	}
	c := Command{Args: []string{l.Path, "--overlap", "-N", nodes, "-n", strconv.Itoa(s.Ranks), "--ntasks-per-node=" + strconv.Itoa(perNode)}}
	if s.Part {
		c.nameHosts(s, "--nodelist=", "--nodelist=") // a file is what has a slash
	}
	if s.CXI && len(s.Hosts) < 2 {
		c.Args = append(c.Args, "--network=single_node_vni")
	}
	c.Args = append(c.Args, "--kill-on-bad-exit=0", "--no-kill", "--wait=0", "--export=ALL", "--cpu-bind="+s.Cores.SlurmBinding(), "--mpi="+mpi, s.Program)
	c.Args = append(c.Args, s.Args...)
	if strings.HasPrefix(mpi, "pmix") {
		// By default a fence without data does not wait for all ranks, and Open MPI's MPI_Init, which relies
		// on it, crashes now and then in a rank that others have overtaken (Slurm 22.05, Open MPI 4.1).
		c.Env = []string{"SLURM_PMIX_FENCE=tree"}
	}
	return c
}

// plugins are the values of --mpi with which srun starts ranks of an MPI, the best first.
var plugins = map[MPI][]string{
	OpenMPILib: {"pmix", "pmix_v5", "pmix_v4", "pmix_v3", "pmix_v2"},
	MPICHLib:   {"pmi2"},
	CrayLib:    {"cray_shasta", "pmi2"},
}

// findSrun finds the value of --mpi for ranks of mpi.
func findSrun(path string, mpi MPI, s Search) (Launcher, error) {
	list := s.Plugins(path)
	offered := strings.FieldsFunc(list, func(c rune) bool { return strings.ContainsRune(" \t\r\n:,", c) })
	for _, p := range plugins[mpi] {
		if slices.Contains(offered, p) {
			return Srun{Path: path, MPI: p}, nil
		}
	}
	return nil, BadInput("this copper was built with %s, and %s --mpi=list names none of %s: use a copper built with the site's MPI",
		mpi, path, strings.Join(plugins[mpi], ", "))
}
