// Command demo shows on one machine what Copper does: it plays a slow parallel file system and
// four compute nodes, imports scipy.stats on all of them, first straight from the file system and
// then through Copper, and prints what each cost. It runs as root and as an ordinary user.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/slowfs"
)

const (
	nodes     = 4
	processes = 2  // per node
	turns     = 11 // for the medians
	code      = "import scipy.stats"
)

// pfs is what the played file system can do in all. It is a part of a real one as four nodes are a
// part of a machine: 100,000 metadata operations a second for 10,000 nodes are 40 for four. This
// one is ten times as good. A request waits for its turn and then takes the latency.
var pfs = slowfs.Options{MetadataRate: 400, Bandwidth: 50e6, Latency: 200 * time.Microsecond}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type row struct {
	what    string
	seconds float64
	tally   slowfs.Tally
	counted bool
}

func demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "copper-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := filepath.Abs("bin/copper")
	if err != nil {
		return err
	}
	fmt.Println("Copying numpy and scipy to play the parallel file system (PFS) …")
	site, err := cluster.CopyPackages(dir)
	if err != nil {
		return err
	}
	d := &demonstration{dir: dir, binary: binary, backing: site}
	fmt.Printf("The PFS serves %.0f metadata operations and %.0f MB a second, for all %d nodes together.\n",
		pfs.MetadataRate, pfs.Bandwidth/1e6, nodes)
	fmt.Printf("On each node %d processes run: python3 -c %q\n\n", processes, code)

	if err := d.direct(ctx); err != nil {
		return err
	}
	status, err := d.copper(ctx)
	if err != nil {
		return err
	}
	d.table()
	fmt.Printf("\nAt the end, copper status said:\n\n%s", status)
	return nil
}

type demonstration struct {
	dir, binary, backing string
	rows                 []row
	// warm and native are the medians of importing once more in one process at a time, through Copper
	// and from the local disk, in turns.
	warm, native time.Duration
}

// measure runs the import on all nodes at once, each finding the packages at path(node).
func (d *demonstration) measure(ctx context.Context, what string, server *slowfs.Server, path func(node int) string) error {
	fmt.Printf("  %s …\n", what)
	if server != nil {
		server.Reset()
	}
	start := time.Now()
	err := cluster.Together(nodes, processes, func(node int) *exec.Cmd { return cluster.Python(ctx, path(node), code) })
	if err != nil {
		return err
	}
	r := row{what: what, seconds: time.Since(start).Seconds(), counted: server != nil}
	if server != nil {
		r.tally = server.Counts().Tally
	}
	d.rows = append(d.rows, r)
	return nil
}

func (d *demonstration) direct(ctx context.Context) (err error) {
	dir := filepath.Join(d.dir, "direct")
	server, err := cluster.PFS(dir, d.backing, nodes, pfs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	path := func(node int) string { return filepath.Join(dir, fmt.Sprint("pfs", node)) }
	if err := d.measure(ctx, "straight from the PFS, first time", server, path); err != nil {
		return err
	}
	return d.measure(ctx, "straight from the PFS, again", server, path)
}

func (d *demonstration) copper(ctx context.Context) (status string, err error) {
	dir := filepath.Join(d.dir, "copper")
	server, err := cluster.PFS(dir, d.backing, nodes, pfs) // mounts, and so client caches, of its own
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	fmt.Printf("  copper launch --nodes %d …\n", nodes)
	job, err := cluster.Launch(ctx, cluster.Options{Copper: d.binary, Dir: dir, Nodes: nodes, Target: cluster.Target(dir)})
	if err != nil {
		return "", err
	}
	defer func() {
		_, e := job.Stop(context.WithoutCancel(ctx))
		err = errors.Join(err, e)
	}()
	for _, what := range []string{"through Copper, first time", "through Copper, again"} {
		if err := d.measure(ctx, what, server, job.Mount); err != nil {
			return "", err
		}
	}
	if err := d.measure(ctx, "from this machine's own disk", nil, func(int) string { return d.backing }); err != nil {
		return "", err
	}
	fmt.Printf("  one process at a time, in turns, %d times each …\n", turns)
	var warm, native []time.Duration
	for range turns {
		for times, path := range map[*[]time.Duration]string{&warm: job.Mount(0), &native: d.backing} {
			start := time.Now()
			if err := cluster.Python(ctx, path, code).Run(); err != nil {
				return "", err
			}
			*times = append(*times, time.Since(start))
		}
	}
	d.warm, d.native = median(warm), median(native)
	return job.Run(ctx, "status")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func (d *demonstration) table() {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tseconds\tPFS requests\tattributes\tmisses\tlistings\topens\treads\tMB read\t")
	for _, r := range d.rows {
		fmt.Fprintf(w, "%s\t%.1f\t", r.what, r.seconds)
		if !r.counted {
			fmt.Fprintln(w, "\t\t\t\t\t\t\t")
			continue
		}
		t := r.tally
		lookups, getattrs := t.Operations[slowfs.OpLookup], t.Operations[slowfs.OpGetAttr]
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t\n", t.Metadata()+t.Op(slowfs.OpRead),
			lookups.Total()-lookups.Missing+getattrs.Total(), lookups.Missing, t.Listings,
			t.Op(slowfs.OpOpen), t.Op(slowfs.OpRead), float64(t.Bytes)/1e6)
	}
	_ = w.Flush()
	requests := func(r row) int64 { return r.tally.Metadata() + r.tally.Op(slowfs.OpRead) }
	first, through := d.rows[0], d.rows[2]
	fmt.Printf("\nCopper saved %d of %d requests to the PFS (%.0f%%), and the first import took %.1fx less time.\n",
		requests(first)-requests(through), requests(first),
		100*(1-float64(requests(through))/float64(requests(first))), first.seconds/through.seconds)
	fmt.Printf("Once warm, one process imports in %v through Copper and in %v from the local disk: %.2fx.\n",
		d.warm.Round(time.Millisecond), d.native.Round(time.Millisecond), d.warm.Seconds()/d.native.Seconds())
}
