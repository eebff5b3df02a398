package fuse

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// attendance is what [Mount.Served] saw last.
type attendance struct {
	mu    sync.Mutex
	taken [operations]uint64
}

// Served tells whether the kernel's requests are taken: false if some wait to be read and none was
// read since the last call. It says nothing of how long their answers take, touches neither the
// mount nor the Source, and does not wait for anything but this package's locks.
func (m *Mount) Served() bool {
	select {
	case <-m.fs.dead: // the kernel has no requests any more
		return true
	default:
	}
	a := &m.attendance
	a.mu.Lock()
	defer a.mu.Unlock()
	m.fs.nodes.len() // the lock that every handler takes
	var taken [operations]uint64
	for op := range taken {
		taken[op] = m.fs.counters.requests[op].Load()
	}
	idle := slices.Equal(taken[:], a.taken[:])
	a.taken = taken
	return !idle || !m.fs.requestsWait()
}

// requestsWait tells whether the kernel has requests that nobody has read.
func (fs *filesystem) requestsWait() bool {
	events := fs.poll()
	return events&unix.POLLIN != 0 && events&unix.POLLERR == 0
}

// poll is the state of the connection, 0 where it can't be told.
func (fs *filesystem) poll() int16 {
	poll := []unix.PollFd{{Fd: int32(fs.device), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); err != nil || n == 0 {
		return 0
	}
	return poll[0].Revents
}
