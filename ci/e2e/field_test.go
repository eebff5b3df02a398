package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/faults"
	"github.com/copper-hpc/copper/ci/nodes"
	"github.com/copper-hpc/copper/ci/slowfs"
	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/overlay"
)

// field is a job on hosts of its own, over a PFS of its own, where nodes are broken. Where hosts can't be
// made its ranks share this one.
type field struct {
	*step
	pfs     *slowfs.Server
	backing string
	ns      []faults.Node // as they were last seen, by rank
}

// newField starts a job of n nodes on what backing holds.
func newField(t *testing.T, n int, backing string, args ...string) *field {
	t.Helper()
	binary(t, "copper")                                   // or skip
	dir, err := os.MkdirTemp("/var/tmp", "copper-field-") // each host has a /tmp of its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // what is left mounted makes this fail, not the test
	// Nothing is kept: the PFS's clients see each change at once.
	server, err := cluster.PFS(dir, backing, n, slowfs.Options{CacheLifetime: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &field{pfs: server, backing: backing}
	f.step = &step{t: t, Job: &cluster.Job{Copper: binary(t, "copper"), Dir: dir, Nodes: n}, ended: make(chan error, 1), out: filepath.Join(dir, "out")}
	serve := append([]string{f.Copper, "serve", "-v", filepath.Join(dir, "mnt{rank}"), "-d", filepath.Join(dir, "jobs"),
		"--target", cluster.Target(dir)}, args...)
	mpirun := append(launchers["copper"][1:len(launchers["copper"]):len(launchers["copper"])], fmt.Sprint(n))
	hosts := make([]*nodes.Host, n)
	if err := nodes.Check(); err != nil {
		t.Logf("no hosts of their own, so no cuts: %v", err)
		f.launcher = exec.Command(launchers["copper"][0], append(mpirun, serve...)...)
	} else {
		network, err := nodes.Up(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := network.Down(); err != nil {
				t.Error(err)
			}
		})
		hosts = network.Hosts()
		// With its host's mount of the PFS, which a host does not see otherwise.
		if err := network.Show(filepath.Dir(f.Copper), dir); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, h := range hosts {
			names = append(names, h.Name())
		}
		f.Host = hosts[0]
		f.launcher = network.Front().Command(context.Background(), launchers["copper"][0], slices.Concat([]string{
			"--host", strings.Join(names, ","), "--map-by", "node", "--mca", "plm", "rsh", "--mca", "plm_rsh_agent", network.Agent(),
			"--mca", "oob_tcp_if_include", "eth0", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "eth0"},
			mpirun, serve)...)
	}
	t.Cleanup(func() {
		if t.Failed() {
			f.complaints()
		}
	})
	f.begin()
	f.look(hosts)
	return f
}

// complaints shows what the ranks have logged but for the ordinary.
func (f *field) complaints() {
	for rank := range f.Nodes {
		var lines []string
		for line := range strings.Lines(f.log(rank)) {
			if strings.Contains(line, "ERROR") || strings.Contains(line, "FATAL") || strings.Contains(line, "WARN") || strings.Contains(line, "serves") {
				lines = append(lines, line)
			}
		}
		f.t.Logf("rank %d has logged:\n%s", rank, strings.Join(lines, ""))
	}
}

// look fills ns.
func (f *field) look(hosts []*nodes.Host) {
	f.t.Helper()
	f.ns = make([]faults.Node, f.Nodes)
	for rank := range f.ns {
		f.ns[rank] = faults.Node{Rank: rank, Host: hosts[rank]}
	}
	f.refresh(nil)
	for rank, n := range f.ns {
		f.ns[rank].Endpoints = f.endpoints(n)
	}
}

// refresh learns the daemons' process ids, of all nodes but those.
func (f *field) refresh(but []int) {
	f.t.Helper()
	for _, n := range f.status(but) {
		ours := &f.ns[n.Rank]
		if ours.Daemon = n.PID; ours.Host == nil {
			ours.Supervisor = n.Supervisor
			continue
		}
		var err error
		if ours.Daemon, err = ours.Host.MachinePID(n.PID); err != nil {
			f.t.Fatal(err)
		}
		if ours.Supervisor, err = ours.Host.MachinePID(n.Supervisor); err != nil {
			f.t.Fatal(err)
		}
	}
}

// status asks on a node that is not one of those, and returns what answers.
func (f *field) status(but []int) []launch.NodeStatus {
	f.t.Helper()
	f.askOn(but)
	var now launch.Status
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := f.Status(ctx, &now); err != nil {
		f.t.Fatalf("status: %v\n%s", err, f.said())
	}
	return now.Nodes
}

// askOn makes subcommands run on a node that is none of those.
func (f *field) askOn(but []int) {
	for rank, n := range f.ns {
		if n.Host != nil && !slices.Contains(but, rank) {
			f.Host = n.Host
			return
		}
	}
}

var endpointsLogged = regexp.MustCompile(`endpoints="?\[([^\]]*)\]`)

// endpoints are where a node's daemons listen.
func (f *field) endpoints(n faults.Node) []string {
	f.t.Helper()
	m := endpointsLogged.FindStringSubmatch(f.log(n.Rank))
	if m == nil {
		f.t.Fatalf("rank %d has not logged its endpoints:\n%s", n.Rank, f.log(n.Rank))
	}
	return strings.Fields(m[1])
}

// log is what a rank has logged.
func (f *field) log(rank int) string {
	paths, _ := filepath.Glob(filepath.Join(f.Dir, "jobs", "*", "logs", "*-output.log"))
	for _, path := range paths {
		if text, _ := os.ReadFile(path); strings.Contains(string(text), fmt.Sprintf(" rank=%d of=", rank)) {
			return string(text)
		}
	}
	return ""
}

// View is a node's mount, as this process sees it.
func (f *field) View(rank int) string {
	n := f.ns[rank]
	if n.Host == nil {
		return f.Mount(rank)
	}
	// The supervisor has the host's mounts, and lives longest.
	return filepath.Join("/proc", fmt.Sprint(n.Supervisor), "root", f.Mount(rank))
}

// whole waits until every node answers and none suspects another.
func (f *field) whole() {
	f.t.Helper()
	await(f.t, "every node to answer and to trust every other", func() bool {
		time.Sleep(20 * time.Millisecond) // a process is started for each look
		now := f.status(nil)
		return len(now) == f.Nodes && !slices.ContainsFunc(now, func(n launch.NodeStatus) bool { return n.Suspects > 0 })
	})
	f.refresh(nil)
}

// answering waits until every node answers.
func (f *field) answering() {
	f.t.Helper()
	await(f.t, "every node to answer", func() bool {
		time.Sleep(20 * time.Millisecond) // a process is started for each look
		return len(f.status(nil)) == f.Nodes
	})
	f.refresh(nil)
}

// clear drops what all nodes have cached.
func (f *field) clear() {
	f.t.Helper()
	f.askOn(nil)
	if out, err := f.Run(context.Background(), "clear"); err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
}

// end stops the job, some ranks of which may be dead, and sees to it that nothing is left of the others.
func (f *field) end(dead ...int) {
	f.t.Helper()
	f.askOn(dead)
	out, err := f.Stop(context.Background())
	if err != nil && len(dead) == 0 {
		f.t.Errorf("stop: %v\n%s", err, out)
	} else if err != nil {
		f.t.Logf("stop: %v\n%s", err, out)
	}
	if err := f.over(); err != nil && len(dead) == 0 {
		f.t.Errorf("the launcher: %v\n%s", err, f.said())
	}
	for rank, n := range f.ns {
		for _, pid := range []int{n.Daemon, n.Supervisor} {
			await(f.t, fmt.Sprintf("process %d of rank %d to end", pid, rank), func() bool { return !alive(pid) })
		}
		if n.Host == nil || slices.Contains(dead, rank) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		left, err := n.Host.Command(ctx, "sh", "-c", `grep " $1 .* fuse.copper " /proc/self/mountinfo; ls -d "$1" /tmp/copper-*/* 2>/dev/null; true`, "sh", f.Mount(rank)).Output()
		cancel()
		if err != nil || len(left) > 0 {
			f.t.Errorf("rank %d: %v; left: %s", rank, err, left)
		}
	}
}

// place is where in the only tree a node is.
type place struct {
	name  string
	ranks []int
}

// place finds a node, or some, where it makes a difference that they break.
func (f *field) place(name string, fanout int) place {
	f.t.Helper()
	var list []overlay.Node
	for _, n := range f.status(nil) {
		list = append(list, overlay.Node{Rank: n.Rank, Host: n.Host})
	}
	forest, err := overlay.NewForest(list, 1, fanout)
	if err != nil {
		f.t.Fatal(err)
	}
	p := place{name: name}
	for rank := range list {
		above, below := forest.Ancestors(0, rank), forest.Children(0, rank)
		switch {
		case name == "root" && len(above) == 0, name == "interior" && len(above) == 1 && len(below) > 0, name == "leaf" && len(below) == 0:
			p.ranks = []int{rank}
		case name == "all ancestors" && len(above) > len(p.ranks):
			p.ranks = above
		}
	}
	if len(p.ranks) == 0 {
		f.t.Fatalf("no node is at the place %q", name)
	}
	return p
}
