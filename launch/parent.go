package launch

import (
	"context"
	"os"
	"strconv"
	"time"
)

const parentPoll = time.Second

// Parent is the process that started this one, when it asked. A launcher does not end before its
// children unless it is killed, and then nobody would end them.
type Parent struct{ pid int } // 0: one that may leave

// ThisParent is to be called first thing, while the parent lives. Copper itself is one that may
// leave: it starts a step of one without a launcher, and leaves it alone.
func ThisParent() Parent {
	pid := os.Getppid()
	if pid <= 1 || sameProgram(pid) {
		return Parent{}
	}
	return Parent{pid}
}

// Watch returns when ctx ends, or calls gone when the parent has ended before.
func (p Parent) Watch(ctx context.Context, gone func()) {
	if p.pid == 0 {
		return
	}
	tick := time.NewTicker(parentPoll)
	defer tick.Stop()
	for os.Getppid() == p.pid {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	gone()
}

// sameProgram tells whether process pid runs the program that this one runs.
func sameProgram(pid int) bool {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	other, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
	return err == nil && os.SameFile(own, other)
}
