package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
)

// lookPatience is how long a mount may take to answer before it counts as hung.
const lookPatience = 5 * time.Second

// Trial begins the path of a doctor's trial mount, which nobody else is told of while it is well.
const Trial = "/tmp/copper-trial-"

// ownMounts are the points of this user's Copper mounts on this node, and how many lie there one over
// the other. It touches none of them.
func ownMounts() (map[string]int, error) {
	mine := "user_id=" + strconv.Itoa(os.Geteuid())
	all, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != FSType || !slices.Contains(strings.Split(m.VFSOptions, ","), mine), false
	})
	points := map[string]int{}
	for _, m := range all {
		points[m.Mountpoint]++
	}
	return points, err
}

// CheckMounts asks each Copper mount of this user on this node, through children that may hang in its
// stead.
func (d Doctor) CheckMounts(ctx context.Context) []Finding {
	points, err := ownMounts()
	if err != nil {
		return []Finding{problem("the system does not show its mounts: ask its administrators", "%v", err)}
	}
	owners := map[string]*Footprint{}
	for _, f := range footprints(d.Finder.Bases, "") {
		owners[realMountpoint(f.Mount)] = f
	}
	var names []string
	for point := range points {
		names = append(names, point)
	}
	slices.Sort(names)
	said := make([]error, len(names))
	var wg sync.WaitGroup
	for i, point := range names {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, lookPatience)
			defer cancel()
			said[i] = d.Mounts.Probe(ctx, point)
		})
	}
	wg.Wait()
	var findings []Finding
	for i, point := range names {
		fstype, err := d.Mounts.Type(point)
		ended := err == nil && fstype != FSType // meanwhile
		if ended || said[i] == nil && strings.HasPrefix(point, Trial) {
			continue
		}
		findings = append(findings, d.judgeMount(point, points[point], owners[point], said[i]))
	}
	if findings == nil {
		return []Finding{fine("no Copper mount of yours is on this node")}
	}
	return findings
}

// judgeMount judges what a probe of a mount said; owner may be nil.
func (d Doctor) judgeMount(point string, stacked int, owner *Footprint, said error) Finding {
	name, pids := point, []int(nil)
	if stacked > 1 {
		name += fmt.Sprintf(" (%d mounts, one over the other)", stacked)
	}
	end := "fusermount3 -u -z -- " + quote(point)
	if owner != nil {
		name += fmt.Sprintf(", rank %d of job %s,", owner.Rank, owner.Job)
		pids = owner.processes()
		if len(pids) > 0 {
			end = "copper stop --job " + owner.Job
			if base := filepath.Dir(string(owner.Dir)); base != d.Finder.Base {
				end += " -d " + quote(base)
			}
		}
	}
	switch {
	case said == nil && stacked > 1:
		return warning("those below are hidden: "+end, "%s answers", name)
	case said == nil:
		return fine("%s answers", name)
	case errors.Is(said, ErrDead) && len(pids) > 0:
		return warning("wait a moment; if it stays so: "+end, "%s is dead, and its daemon is being started again", name)
	case errors.Is(said, ErrDead):
		return problem("take it away: "+end+" (the next copper launch at this place does too)", "%s is dead: whoever looks there meets an error", name)
	case !errors.Is(said, errHung):
		return problem("see the daemon's log", "%s: %v", name, said)
	}
	if pid, state := notRunning(pids, 'T', 't', 'D'); pid != 0 {
		return problem(fmt.Sprintf("let it go on (kill -CONT %d), or end it: %s", pid, end), "%s does not answer: its process %d %s", name, pid, state)
	}
	if len(pids) > 0 {
		return problem("wait for the file system behind it (copper doctor DIR looks at one), or end it: "+end, "%s does not answer, though its daemon runs", name)
	}
	return problem("end its daemon, then "+end, "%s does not answer, and its daemon can't be told", name)
}

// notRunning is the first of pids in one of states, and what that is; 0 if none is. D alone, which stands
// for waiting within the kernel, is nothing unusual.
func notRunning(pids []int, states ...byte) (pid int, state string) {
	for _, pid := range pids {
		p := readProcess(pid)
		switch {
		case p == nil || !slices.Contains(states, p.state):
		case p.state == 'D':
			return pid, "waits within the kernel"
		default:
			return pid, "is stopped"
		}
	}
	return 0, ""
}
