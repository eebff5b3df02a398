package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	sweepBound = termBound + killBound + 20*time.Second // for the launcher, and the host that takes longest
	// A launcher starts nothing at all when one of the hosts is down. So many are then tried one by one.
	sweepSingly = 16
)

// Others is how the other hosts of a job are reached when its daemons do not answer.
type Others struct {
	Hosts []string // of the allocation, this one among them
	// Command runs [Finder.Sweep] for job id on some of Hosts.
	Command func(id string, some []string) Command
}

// RankOn is the rank that runs on the host with this short name, if each of hosts gets one, in
// their order; -1 if none does.
func RankOn(hosts []string, short string) int {
	return slices.IndexFunc(hosts, func(h string) bool { return shortened(h) == short })
}

func shortened(host string) string {
	short, _, _ := strings.Cut(host, ".")
	return short
}

// Sweep ends what runs of the finder's job on this host, but not its launcher, and removes what it leaves.
// It returns a line for each thing that it did or could not do.
func (f Finder) Sweep(ctx context.Context, mounts Mounts) []string {
	job, err := f.read(f.ID)
	if job == nil || err != nil {
		job = &Job{Dir: JobDirOf(f.Base, f.ID), State: State{ID: f.ID}}
	}
	_, report := f.endDaemons(ctx, job)
	return append(report, CleanNode(ctx, f.Bases, f.ID, mounts)...)
}

// sweepOthers has the job swept from its other hosts: from those named by short names, nil for all.
func (f Finder) sweepOthers(ctx context.Context, id string, short []string) (report []string) {
	if f.Others == nil {
		return nil
	}
	var some []string
	for _, h := range f.Others.Hosts {
		if s := shortened(h); s != f.Host && (short == nil || slices.Contains(short, s)) {
			some = append(some, h)
		}
	}
	if len(some) == 0 {
		return nil
	}
	said, err := f.sweepBy(ctx, f.Others.Command(id, some))
	report = append(report, said...)
	if err == nil {
		return report
	}
	if len(some) > 1 && len(some) <= sweepSingly {
		for _, h := range some {
			said, err := f.sweepBy(ctx, f.Others.Command(id, []string{h}))
			report = append(report, said...)
			if err != nil {
				report = append(report, fmt.Sprintf("%s could not be cleared: %v", h, err))
			}
		}
		return report
	}
	return append(report, fmt.Sprintf("%s could not be cleared: %v", strings.Join(some, " "), err))
}

func (f Finder) sweepBy(ctx context.Context, c Command) (report []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepBound)
	defer cancel()
	cmd := c.process()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	stop()
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line != "" {
			report = append(report, line)
		}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) || ctx.Err() != nil {
		err = fmt.Errorf("%s: %w: %s", c.Args[0], errors.Join(err, ctx.Err()), lastLine(said.String()))
	}
	return report, err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
