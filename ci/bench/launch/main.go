// Command launch measures how long `copper launch` takes until every mount answers, split into what the
// launcher and MPI take and what is Copper's own. It prints medians; absolute figures are this machine's.
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
type span struct{ all, mpi, mount, rest time.Duration }

func run(ctx context.Context) error {
	for _, e := range cluster.MPIEnvironment() {
		if name, value, ok := strings.Cut(e, "="); ok {
			os.Setenv(name, value)
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "MPI\tranks\tuntil every mount answers\tlauncher and MPI\tfirst mount\tall others\tCopper's own")
	for _, binary := range []string{"copper", "copper-mpich"} {
		for _, ranks := range []int{4, 16} {
			var spans []span
			for range rounds {
				s, err := once(ctx, binary, ranks)
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
			fmt.Fprintf(out, "%s\t%d\t%v\t%v\t%v\t%v\t%v\n", binary, ranks,
				median(func(s span) time.Duration { return s.all }), median(func(s span) time.Duration { return s.mpi }),
				median(func(s span) time.Duration { return s.mount }), median(func(s span) time.Duration { return s.rest }),
				median(func(s span) time.Duration { return s.mount + s.rest }))
		}
	}
	return out.Flush()
}

// once launches and stops a job.
func once(ctx context.Context, binary string, ranks int) (s span, err error) {
	dir, err := os.MkdirTemp("", "copper-bench-")
	if err != nil {
		return s, err
	}
	copper, err := filepath.Abs("../../bin/" + binary)
	if err != nil {
		return s, err
	}
	begun := time.Now()
	job, err := cluster.Launch(ctx, cluster.Options{Copper: copper, Dir: dir, Nodes: ranks, Target: "/usr", Args: []string{"--job", "bench", "--memory", "64MiB"}})
	if err != nil {
		return s, err
	}
	s.all = time.Since(begun)
	state := launch.State{}
	content, err := os.ReadFile(filepath.Join(dir, "jobs", "bench", "job.json"))
	if err == nil {
		err = json.Unmarshal(content, &state)
	}
	s.mpi = state.Reached[launch.Connected].Sub(begun)
	s.mount = state.Reached[launch.Mounted].Sub(state.Reached[launch.Connected])
	s.rest = state.Reached[launch.Ready].Sub(state.Reached[launch.Mounted])
	_, stopped := job.Stop(context.Background())
	if err = errors.Join(err, stopped); err == nil {
		err = os.RemoveAll(dir)
	}
	return s, err
}
