package launch

import "strconv"

// Hydra is MPICH's mpiexec. It ends all ranks when one dies, which a rank of Copper does not: it is
// a supervisor.
type Hydra struct{ Path string }

// Name implements [Launcher].
func (Hydra) Name() string { return "MPICH's mpiexec" }

// Command implements [Launcher].
func (l Hydra) Command(s Step) Command {
	c := Command{Args: []string{l.Path, "-n", strconv.Itoa(s.Ranks)}}
	if s.Hosts != nil {
		c.Args = append(c.Args, "-ppn", "1")
		c.nameHosts(s, "-hosts", "-f")
	}
	c.Args = append(append(c.Args, s.Program), s.Args...)
	return c
}
