// Command node measures what a node's second process feels of Copper: the same work on the native
// file system and through the mount, in turns, in one run. It prints medians, ratios and the requests
// that reached the daemon, and writes them to ci/bench/node/RESULTS.md. Absolute figures are this
// machine's, ratios carry over.
//
//	make bench-node
//	cd ci/bench && go run ./node profiling   # only its last rows, which are printed
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "profiling" {
		exit(onlyProfiling())
	}
	if len(os.Args) == 4 && os.Args[1] == "work" {
		exit(work(os.Args[2], os.Args[3]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exit(run(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-node:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// rounds is how often everything is measured; the medians count.
const rounds = 7

// row is one work on two sides. A time is better when it is smaller, a rate when it is larger.
type row struct {
	work    string
	against string
	unit    string // s, MB/s or k/s
	aim     string
	met     func(ratio float64) bool

	native, mount func(context.Context) (float64, error)

	natives, mounts []float64
	requests        map[string]int64 // of the daemon, for the last measurement
	paired          bool             // the ratios of the rounds count, not that of the medians
	least           bool             // the least of the rounds counts, not the median: of processor time, which other load only adds to
}

// typical is what stands for all rounds.
func (r *row) typical(v []float64) float64 {
	if r.least {
		return slices.Min(v)
	}
	return median(v)
}

func run(ctx context.Context) (err error) {
	b, err := newBench(ctx)
	if b != nil {
		defer func() { err = errors.Join(err, b.close()) }()
	}
	if err != nil {
		return err
	}
	rows := b.rows()
	for round := range rounds + 1 { // the first one warms up
		for _, r := range rows {
			fmt.Fprintf(os.Stderr, "\r\x1b[Kround %d of %d: %s", round, rounds, r.work)
			native, err := r.native(ctx)
			if err != nil {
				return err
			}
			before, err := b.requests(ctx)
			if err != nil {
				return err
			}
			mount, err := r.mount(ctx)
			if err != nil {
				return err
			}
			if r.requests, err = b.requestsSince(ctx, before); err != nil {
				return err
			}
			if round > 0 {
				r.natives, r.mounts = append(r.natives, native), append(r.mounts, mount)
			}
		}
	}
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	warm, err := b.afterWarm(ctx)
	if err != nil {
		return err
	}
	profiled, counting, err := b.profiled(ctx)
	if err != nil {
		return err
	}
	text := page(append(append(rows, warm), profiled...), b.daemonShare(), counting)
	fmt.Print(text)
	return os.WriteFile(filepath.Join("node", "RESULTS.md"), []byte(text), 0o644)
}

// ratio is how much the mount takes of time, or gives of rate, against the native file system.
func (r *row) ratio() float64 {
	if !r.paired {
		return r.typical(r.mounts) / r.typical(r.natives)
	}
	var ratios []float64
	for i := range r.natives {
		ratios = append(ratios, r.mounts[i]/r.natives[i])
	}
	return median(ratios)
}

func (r *row) figure(v float64) string {
	switch r.unit {
	case "s":
		return fmt.Sprintf("%.3f s", v)
	case "MB/s":
		return fmt.Sprintf("%.0f MB/s", v/1e6)
	}
	return fmt.Sprintf("%.1f k/s", v/1e3)
}

func page(rows []*row, share, counting float64) string {
	out := &strings.Builder{}
	fmt.Fprintf(out, "# A node's side of Copper\n\nMedians of %d rounds in turns (%d with and without profiling), by `make bench-node`. For a time less is better, for a rate more.\n\n", rounds, profileRounds)
	fmt.Fprintln(out, "| work | against | native | Copper | ratio | aim | | requests to the daemon |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range rows {
		verdict := "met"
		if !r.met(r.ratio()) {
			verdict = "missed"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %.2fx | %s | %s | %s |\n", r.work, r.against,
			r.figure(r.typical(r.natives)), r.figure(r.typical(r.mounts)), r.ratio(), r.aim, verdict, requestText(r.requests))
	}
	verdict := "met"
	if share > 0.05 {
		verdict = "missed"
	}
	fmt.Fprintf(out, "| daemon's processor time, 12 imports | the importers' | | | %.1f%% | ≤ 5%% | %s | |\n", 100*share, verdict)
	out.WriteString(countingRow(counting))
	out.WriteString(`
Reading and mapping what is in the page cache is the kernel's own work; no request reaches the daemon but for pages that
the kernel gave up meanwhile (this machine's does so by itself, DAMON). The disk's file system keeps its pages in pieces of up
to 2 MiB, which are mapped and copied faster; FUSE's are of 4 KiB on this kernel, whoever serves it: hence the rows against
libfuse's example.

What an import costs more than on tmpfs is CPython's ioctl for every file that it opens (isatty): no answer lets the kernel
do without it, each wakes the daemon and then the importer, which takes tens of microseconds in a virtual machine, and it is
what the daemon's processor time is spent on.

The rows of profiling are of two jobs side by side: one with all that profiling keeps, one without an option of it; for processor
time the least of the rounds stands. Since counters are always on, the last row has what counting takes, of all kinds together: the time of
one answer (1,200 paths, in a loop) times the requests that are counted in a cold import, by that import's processor time.
`)
	return out.String()
}

func countingRow(share float64) string {
	verdict := "met"
	if share > 0.02 {
		verdict = "missed"
	}
	return fmt.Sprintf("| counting for profiling, cold import | its processor time | | | %.2f%% | ≤ 2%% | %s | |\n", 100*share, verdict)
}

func requestText(requests map[string]int64) string {
	var parts []string
	for op, n := range requests {
		parts = append(parts, fmt.Sprintf("%d %s", n, op))
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
