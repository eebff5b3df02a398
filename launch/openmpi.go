package launch

import "strconv"

// OpenMPI is Open MPI's mpirun.
type OpenMPI struct{ Path string }

// Name implements [Launcher].
func (OpenMPI) Name() string { return "Open MPI's mpirun" }

// Command implements [Launcher]. With --enable-recovery the other ranks outlive one that dies.
func (l OpenMPI) Command(s Step) Command {
	c := Command{Args: []string{l.Path, "-n", strconv.Itoa(s.Ranks)}}
	if s.Hosts != nil {
		c.nameHosts(s, "--host", "--hostfile")
		c.Args = append(c.Args, "--map-by", "ppr:1:node")
	}
	c.Args = append(c.Args, "--oversubscribe", "--enable-recovery", "--bind-to", "none", s.Program)
	c.Args = append(c.Args, s.Args...)
	if s.Root {
		c.Env = []string{"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"}
	}
	return c
}
