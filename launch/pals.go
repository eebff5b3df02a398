package launch

import (
	"path/filepath"
	"strconv"
	"strings"
)

// PALS is the mpiexec of HPE's Parallel Application Launch Service, as on Aurora. It takes the hosts
// from PBS.
type PALS struct{ Path string }

// Name implements [Launcher].
func (PALS) Name() string { return "PALS's mpiexec" }

// Command implements [Launcher].
func (l PALS) Command(s Step) Command {
	args := []string{l.Path, "--np", strconv.Itoa(s.Ranks)}
	if s.Hosts != nil {
		args = append(args, "--ppn", "1")
	}
	args = append(args, "--cpu-bind="+s.Cores.PALSBinding(), "--genvall", "--no-abort-on-failure", s.Program)
	return Command{Args: append(args, s.Args...)}
}

// isPALS tells PALS's mpiexec from others by where it is and what it says to --version.
func isPALS(path, version string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return strings.Contains(path, "/pals/") || strings.Contains(version, "PALS") || strings.Contains(version, "/pals/")
}
