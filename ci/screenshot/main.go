// Command screenshot runs a small real job, makes its report, and takes the picture of it that the
// documentation shows: profiling/report.png.
//
//	make screenshot
//
// It needs Chromium. With -keep DIR the job's directory, with the report itself, is left there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/ci/browser"
	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/ci/slowfs"
)

const (
	nodes = 8
	code  = "import scipy.stats"
	// Where the packages are in the view.
	packages = "/sw/envs/science/lib/python3.11/site-packages"
	// settled is how long a directory must be quiet before anybody keeps its listing.
	settled = 3 * time.Second
)

// pfs is the file system of the demonstration.
var pfs = slowfs.Options{MetadataRate: 400, Bandwidth: 50e6, Latency: 200 * time.Microsecond}

func main() {
	picture := flag.String("o", "profiling/report.png", "the picture")
	keep := flag.String("keep", "", "where the job's directory is left")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *picture, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "screenshot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, picture, keep string) (err error) {
	dir, err := os.MkdirTemp("", "copper-screenshot-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	job, err := profiled(ctx, dir)
	if err != nil {
		return err
	}
	report := filepath.Join(job, "profiling", "cluster", "cluster-profiling_report.html")
	if err := take(ctx, report, picture); err != nil {
		return err
	}
	fmt.Println(picture)
	if keep == "" {
		return nil
	}
	if out, err := exec.Command("cp", "-a", job, keep).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	fmt.Println(keep)
	return nil
}

// profiled runs a job with all of profiling on and returns its directory, with the report.
func profiled(ctx context.Context, dir string) (jobDir string, err error) {
	copper, err := filepath.Abs("bin/copper")
	if err != nil {
		return "", err
	}
	backing := filepath.Join(dir, "backing")
	if _, err := cluster.CopyPackages(filepath.Dir(filepath.Join(backing, packages))); err != nil {
		return "", err
	}
	time.Sleep(settled)
	server, err := cluster.PFS(dir, backing, nodes, pfs)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	for _, e := range cluster.MPIEnvironment() {
		if name, value, ok := strings.Cut(e, "="); ok {
			if err := os.Setenv(name, value); err != nil {
				return "", err
			}
		}
	}
	job, err := cluster.Launch(ctx, cluster.Options{Copper: copper, Dir: dir, Nodes: nodes, Target: cluster.Target(dir),
		Args: []string{"--job", "scipy", "-T", "4", "-N", "100", "-A"}})
	if err != nil {
		return "", err
	}
	defer func() {
		if !job.Stopped {
			_, e := job.Stop(context.WithoutCancel(ctx))
			err = errors.Join(err, e)
		}
	}()
	if err := cluster.Together(nodes, 1, func(node int) *exec.Cmd {
		return cluster.Python(ctx, job.Mount(node)+packages, code)
	}); err != nil {
		return "", err
	}
	summary, err := job.Stop(ctx)
	if err != nil {
		return "", err
	}
	fmt.Print(summary)
	jobDir = filepath.Join(dir, "jobs", "scipy")
	out, err := exec.CommandContext(ctx, copper, "profile", "report", jobDir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("copper profile report: %w: %s", err, out)
	}
	return jobDir, nil
}

// take takes a picture of the beginning of the page.
func take(ctx context.Context, page, picture string) (err error) {
	b, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	look := browser.Look{Size: browser.Size{Width: 1040, Height: 1400}}
	if err := b.Open(ctx, page, look); err != nil {
		return err
	}
	// Until the end of the first figures of latencies.
	var end float64
	if err := b.Evaluate(ctx, `document.querySelector(".small").getBoundingClientRect().bottom + 16`, &end); err != nil {
		return err
	}
	look.Height = int(end)
	if err := b.Open(ctx, page, look); err != nil {
		return err
	}
	return b.Screenshot(ctx, picture, false)
}
