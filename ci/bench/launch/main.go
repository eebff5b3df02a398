// Command launch measures how long `copper launch` takes until it returns, split into what the launcher
// and MPI take, until every rank knows every other and at the end to leave MPI, and what is Copper's own:
// until the last mount is made, and until every mount is known to have answered a look at it. It prints
// medians; absolute figures are this machine's. The processor time is that of all processes.
//
//	make bench-launch
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/launch"
)

const rounds = 5

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench-launch:", err)
		os.Exit(1)
	}
}

// span is one launch, in parts.
type span struct{ all, mpi, mount, probe, leave, used time.Duration }

func (s span) own() time.Duration { return s.mount + s.probe }

func run(ctx context.Context) error {
	for _, e := range cluster.MPIEnvironment() {
		if name, value, ok := strings.Cut(e, "="); ok {
			os.Setenv(name, value)
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "MPI\tranks\tlaunch\tlauncher and MPI\tmounts\tprobes\tleave MPI\tCopper's own\tits processor time")
	g := enterGroup()
	if g == nil {
		fmt.Fprintln(os.Stderr, "bench-launch: no control group can be made: the processor time is not known")
	} else {
		defer func() {
			if err := g.leave(); err != nil {
				fmt.Fprintln(os.Stderr, "bench-launch: leaving the control group:", err)
			}
		}()
	}
	for _, binary := range []string{"copper", "copper-mpich"} {
		for _, ranks := range []int{4, 16} {
			var spans []span
			for range rounds {
				s, err := once(ctx, g, binary, ranks)
				if err != nil {
					return err
				}
				spans = append(spans, s)
			}
			median := func(part func(span) time.Duration) time.Duration {
				var v []time.Duration
				for _, s := range spans {
					v = append(v, part(s))
				}
				slices.Sort(v)
				return v[len(v)/2].Round(time.Millisecond)
			}
			fmt.Fprintf(out, "%s\t%d", binary, ranks)
			for _, part := range []func(span) time.Duration{
				func(s span) time.Duration { return s.all }, func(s span) time.Duration { return s.mpi },
				func(s span) time.Duration { return s.mount }, func(s span) time.Duration { return s.probe },
				func(s span) time.Duration { return s.leave }, span.own, func(s span) time.Duration { return s.used },
			} {
				fmt.Fprintf(out, "\t%v", median(part))
			}
			fmt.Fprintln(out)
		}
	}
	return out.Flush()
}

// once launches and stops a job.
func once(ctx context.Context, g *group, binary string, ranks int) (s span, err error) {
	dir, err := os.MkdirTemp("", "copper-bench-")
	if err != nil {
		return s, err
	}
	copper, err := filepath.Abs("../../bin/" + binary)
	if err != nil {
		return s, err
	}
	used := g.record()
	begun := time.Now()
	job, err := cluster.Launch(ctx, cluster.Options{Copper: copper, Dir: dir, Nodes: ranks, Target: "/usr", Args: []string{"--job", "bench", "--memory", "64MiB"}})
	s.all = time.Since(begun)
	used.end()
	if err != nil {
		return s, err
	}
	state := launch.State{}
	content, err := os.ReadFile(filepath.Join(dir, "jobs", "bench", "job.json"))
	if err == nil {
		err = json.Unmarshal(content, &state)
	}
	mounted, failed := lastMounted(filepath.Join(dir, "jobs", "bench", "logs"), ranks)
	err = errors.Join(err, failed)
	connected, agreed := state.Reached[launch.Connected], state.Reached[launch.AllMounted]
	s.mpi, s.mount, s.probe = connected.Sub(begun), mounted.Sub(connected), agreed.Sub(mounted)
	s.leave, s.used = state.Reached[launch.Ready].Sub(agreed), used.between(connected, agreed)
	_, stopped := job.Stop(context.Background())
	if err = errors.Join(err, stopped); err == nil {
		err = os.RemoveAll(dir)
	}
	return s, err
}
