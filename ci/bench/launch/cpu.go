package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// group is a control group with this process in it and all that it starts, to be told what processor time
// they took: it is the same whatever else the machine has to do.
type group struct{ parent, dir, usage string }

const groupRoot = "/sys/fs/cgroup"

// enterGroup makes the group and enters it; nil where this process may not.
func enterGroup() *group {
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(self)) { // number:controllers:path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		g := &group{parent: filepath.Join(groupRoot, fields[2]), usage: "cpu.stat"}
		if fields[1] != "" {
			if !strings.Contains(","+fields[1]+",", ",cpuacct,") {
				continue
			}
			g.parent, g.usage = filepath.Join(groupRoot, fields[1], fields[2]), "cpuacct.usage"
		}
		g.dir = filepath.Join(g.parent, "copper-bench-"+strconv.Itoa(os.Getpid()))
		if os.Mkdir(g.dir, 0o755) != nil {
			continue
		}
		if _, err := g.read(); err == nil && move(g.dir) == nil {
			return g
		}
		_ = os.Remove(g.dir)
	}
	return nil
}

func move(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

func (g *group) leave() error { return errors.Join(move(g.parent), os.Remove(g.dir)) }

// read is the processor time that the group has taken.
func (g *group) read() (time.Duration, error) {
	f, err := os.Open(filepath.Join(g.dir, g.usage))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		value, unit := lines.Text(), time.Nanosecond
		if micros, ok := strings.CutPrefix(value, "usage_usec "); ok {
			value, unit = micros, time.Microsecond
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return time.Duration(n) * unit, nil
		}
	}
	return 0, fmt.Errorf("%s tells no time", f.Name())
}

// sampleEvery is a few times what a launch of one rank takes.
const sampleEvery = 2 * time.Millisecond

// record is the group's processor time over the time.
type record struct {
	at   []time.Time
	used []time.Duration
	stop chan struct{}
	done chan struct{}
}

func (g *group) record() *record {
	r := &record{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for g != nil {
			if used, err := g.read(); err == nil {
				r.at, r.used = append(r.at, time.Now()), append(r.used, used)
			}
			select {
			case <-tick.C:
			case <-r.stop:
				return
			}
		}
	}()
	return r
}

func (r *record) end() {
	close(r.stop)
	<-r.done
}

// between is the time used from one sample after from to the first after to.
func (r *record) between(from, to time.Time) (used time.Duration) {
	first := -1
	for i, at := range r.at {
		if first < 0 && !at.Before(from) {
			first = i
		}
		if first >= 0 {
			used = r.used[i] - r.used[first]
		}
		if !at.Before(to) {
			break
		}
	}
	return used
}
