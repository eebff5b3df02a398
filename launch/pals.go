package launch

import (
	"path/filepath"
	"strconv"
	"strings"
)

// PALS is the mpiexec of HPE's Parallel Application Launch Service, as on Aurora. Its options are in mpiexec(1)
// there, and in the source of HPE's cray mpiexec; docs.alcf.anl.gov/aurora shows --cpu-bind=list: and --genvall in use.
type PALS struct{ Path string }

// Name implements [Launcher].
func (PALS) Name() string { return "PALS's mpiexec" }

// Command implements [Launcher]. The hosts are named, each once: PBS_NODEFILE, which PALS would read, has one
// several times where the job asked for several processes there, and PALS_HOSTFILE may be the application's.
// The ranks of an application have a VNI of their own, by which they alone reach each other over CXI; where all
// of it is on one host it gets one only if it is asked for (libfabric's fi_domain fails without).
func (l PALS) Command(s Step) Command {
	c := Command{Args: []string{l.Path, "--np", strconv.Itoa(s.Ranks)}}
	if s.Hosts != nil {
		c.Args = append(c.Args, "--ppn", "1")
		c.nameHosts(s, "--hosts", "--hostfile")
	}
	if s.CXI && len(s.Hosts) < 2 {
		c.Args = append(c.Args, "--single-node-vni")
		c.Env = []string{"PALS_LOCAL_LAUNCH=0"} // or that is forgotten where mpiexec's host is the one
	}
	c.Args = append(c.Args, "--cpu-bind="+s.Cores.PALSBinding(), "--genvall", "--no-abort-on-failure", s.Program)
	c.Args = append(c.Args, s.Args...)
	return c
}

// isPALS tells PALS's mpiexec from others by where it is and what it says to --version.
func isPALS(path, version string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return strings.Contains(path, "/pals/") || strings.Contains(version, "PALS") || strings.Contains(version, "/pals/")
}
