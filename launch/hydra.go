package launch

import (
	"strconv"
	"strings"
)

// Hydra is MPICH's mpiexec. It ends all ranks when one dies, which a rank of Copper does not: it is
// a supervisor.
type Hydra struct{ Path string }

// Name implements [Launcher].
func (Hydra) Name() string { return "MPICH's mpiexec" }

// Command implements [Launcher].
func (l Hydra) Command(s Step) Command {
	args := []string{l.Path, "-n", strconv.Itoa(s.Ranks)}
	if s.Hosts != nil {
		args = append(args, "-ppn", "1", "-hosts", strings.Join(s.Hosts, ","))
	}
	return Command{Args: append(append(args, s.Program), s.Args...)}
}
