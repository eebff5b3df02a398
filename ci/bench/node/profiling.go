package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/copper-hpc/copper/ci/cluster"
	"github.com/copper-hpc/copper/profiling"
)

// profileRounds is how often an import with profiling is compared with one without.
const profileRounds = 25

// profiled compares an import in a job with all of profiling on with one in a job without: its time, and
// the processor time of the daemon and of the importer together, which other load does not disturb.
// counting is what counting takes of a cold import's processor time, as a share.
func (b *bench) profiled(ctx context.Context) (rows []*row, counting float64, err error) {
	var jobs [2]*cluster.Job
	for i, o := range []struct {
		id   string
		args []string
	}{{"plain", nil}, {"profiled", []string{"-N", "100", "-A", "-I", "60"}}} {
		if jobs[i], err = b.launch(ctx, o.id, o.args...); err != nil {
			return nil, 0, err
		}
		defer func() {
			_, e := jobs[i].Stop(context.WithoutCancel(ctx))
			err = errors.Join(err, e)
		}()
	}
	atMost := func(r float64) bool { return r <= 1.02 }
	for _, kind := range []string{"warm", "cold"} {
		took := &row{work: kind + " import, with profiling", against: "without", unit: "s", aim: "≤ 1.02x", met: atMost, paired: true}
		processor := &row{work: "processor time of that, daemon and importer", against: "without", unit: "s", aim: "≤ 1.02x", met: atMost, least: true}
		for round := range profileRounds + 1 { // the first one warms up
			var wall, used [2]float64
			for turn := range jobs {
				i := (turn + round) % len(jobs)
				if wall[i], used[i], err = b.importOnce(ctx, jobs[i], kind == "cold"); err != nil {
					return nil, 0, err
				}
			}
			if round > 0 {
				took.natives, took.mounts = append(took.natives, wall[0]), append(took.mounts, wall[1])
				processor.natives, processor.mounts = append(processor.natives, used[0]), append(processor.mounts, used[1])
			}
		}
		rows = append(rows, took, processor)
	}
	s, err := statusOf(ctx, jobs[1])
	if err != nil {
		return nil, 0, err
	}
	var counted int64
	for _, op := range []string{"LOOKUP", "GETATTR", "READLINK", "READ", "READDIR", "STATFS"} {
		counted += s.Nodes[0].Requests[op]
	}
	each := float64(counted) / (profileRounds + 1) // the warm ones ask for next to nothing
	return rows, each * answerTime() / slices.Min(rows[len(rows)-1].natives), nil
}

// answerTime is what counting one answer takes with all of profiling on, in seconds.
func answerTime() float64 {
	r := profiling.NewRecorder(profiling.RecorderOptions{Top: 100, Paths: true})
	paths := make([]string, 1200)
	for i := range paths {
		paths[i] = fmt.Sprintf("/sw/envs/science/lib/python3.11/site-packages/scipy/stats/module_%04d.py", i)
	}
	const times = 200
	began := time.Now()
	for range times {
		for _, p := range paths {
			r.Answered(profiling.Answer{Request: "LOOKUP", Path: p, Began: began, Took: time.Millisecond, Waited: true})
		}
	}
	return time.Since(began).Seconds() / float64(times*len(paths))
}

// importOnce returns the time of an import and its processor time, in seconds.
func (b *bench) importOnce(ctx context.Context, job *cluster.Job, cold bool) (wall, used float64, err error) {
	if cold {
		if _, err := job.Run(ctx, "clear"); err != nil {
			return 0, 0, err
		}
	}
	s, err := statusOf(ctx, job)
	if err != nil {
		return 0, 0, err
	}
	daemon := s.Nodes[0].PID
	before, err := threadTime(daemon)
	if err != nil {
		return 0, 0, err
	}
	children := childrenTime()
	if wall, err = b.imports(job.Mount(0), 1)(ctx); err != nil {
		return 0, 0, err
	}
	used = childrenTime() - children
	after, err := threadTime(daemon)
	return wall, used + after - before, err
}

// threadTime is the processor time of a process's threads so far, in seconds, to the nanosecond.
func threadTime(pid int) (sum float64, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("process %d has no threads", pid)
	}
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseFloat(first, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += ns / 1e9
	}
	return sum, nil
}

// onlyProfiling prints the rows of profiling alone.
func onlyProfiling() (err error) {
	b := &bench{}
	if b.dir, err = os.MkdirTemp("/var/tmp", "copper-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	tree := filepath.Join(b.dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if _, err := cluster.CopyPackages(tree); err != nil {
		return err
	}
	rows, counting, err := b.profiled(context.Background())
	if err != nil {
		return err
	}
	for _, r := range rows {
		fmt.Printf("%s: %.4f s, %s %.4f s: %.3fx (%s)\n", r.work, r.typical(r.mounts), r.against, r.typical(r.natives), r.ratio(), r.aim)
	}
	fmt.Printf("counting: %.2f%% of a cold import's processor time (≤ 2%%)\n", 100*counting)
	return nil
}
