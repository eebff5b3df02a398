package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	sweepBound = termBound + killBound + 20*time.Second // for the launcher, and the host that takes longest
	// A host on which a sweep has not even begun is given up sooner; hosts take the launcher some time each.
	reachBound   = 10 * time.Second
	reachPerHost = 2 * time.Millisecond
	// A launcher starts nothing at all when one of the hosts is down. So many are then tried each by itself.
	sweepSingly = 16
)

// Others is how the other hosts of a job are reached when its daemons do not answer.
type Others struct {
	Hosts []string // of the allocation, this one among them
	// Command runs [Finder.Sweep] for job id on some of Hosts. Each host prints a line when it begins and when
	// it has done, [Reached] and [Swept].
	Command func(id string, some []string) Command
	// Down names those of Hosts that the scheduler knows to be down, on which nothing can be started; nil: it can't
	// be asked.
	Down func(ctx context.Context) []string
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

// down are the hosts that are known to be down.
func (o *Others) down(ctx context.Context) []string {
	if o == nil || o.Down == nil {
		return nil
	}
	return o.Down(ctx)
}

// sweepOthers has the job swept from its other hosts: from those named by short names, nil for all. silent are
// the hosts that gave no sign of life, as far as that was not the launcher's fault.
func (f Finder) sweepOthers(ctx context.Context, id string, short []string) (report, silent []string) {
	if f.Others == nil {
		return nil, nil
	}
	var some []string
	for _, h := range f.Others.Hosts {
		if s := shortened(h); s != f.Host && (short == nil || slices.Contains(short, s)) {
			some = append(some, h)
		}
	}
	if len(some) == 0 {
		return nil, nil
	}
	down := f.Others.down(ctx)
	some = slices.DeleteFunc(some, func(h string) bool {
		is := slices.Contains(down, h)
		if is {
			silent = append(silent, h)
			report = append(report, fmt.Sprintf("%s could not be cleared: it is down", h))
		}
		return is
	})
	if len(some) == 0 {
		return report, silent
	}
	bound := reachBound + time.Duration(len(some))*reachPerHost
	f.say(fmt.Sprintf("clearing %s; a host is given up that shows no sign of life within %v", few(some), bound.Round(time.Second)))
	s := f.sweepBy(ctx, f.Others.Command(id, some), bound, some)
	report = append(report, s.said...)
	switch {
	case s.err == nil:
		return report, silent
	case len(s.silent) == len(some) && 1 < len(some) && len(some) <= sweepSingly:
		singly := make([]sweep, len(some))
		var all sync.WaitGroup
		for i, h := range some {
			all.Go(func() { singly[i] = f.sweepBy(ctx, f.Others.Command(id, []string{h}), bound, []string{h}) })
		}
		all.Wait()
		works := slices.ContainsFunc(singly, func(s sweep) bool { return s.err == nil })
		for i, h := range some {
			report = append(report, singly[i].said...)
			if singly[i].err != nil {
				report = append(report, fmt.Sprintf("%s could not be cleared: %v", h, singly[i].err))
				if works || singly[i].gaveUp {
					silent = append(silent, singly[i].silent...)
				}
			}
		}
		return report, silent
	case s.gaveUp:
		some = s.silent
		silent = append(silent, some...)
	}
	return append(report, fmt.Sprintf("%s could not be cleared: %v", few(some), s.err)), silent
}

// say tells what is being done, to somebody who waits.
func (f Finder) say(line string) {
	if f.Say != nil {
		f.Say(line)
	}
}
