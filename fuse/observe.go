package fuse

import (
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// Answer is one request of the kernel that was answered, for [Options.Observe].
type Answer struct {
	Request string // LOOKUP, GETATTR, READLINK, READ, READDIR or STATFS
	Path    string // in the view
	Began   time.Time
	Took    time.Duration
	Waited  bool // the answer was not in this process's memory
	Absent  bool // it was "not there"
	Failed  bool // it was another error
	Bytes   int  // of file data
}

// observed tells the observer, if there is one, of a request that began then and has its answer.
func (fs *filesystem) observed(a Answer, began time.Time, status gofuse.Status) {
	if fs.observe == nil {
		return
	}
	switch syscall.Errno(status) {
	case 0:
	case syscall.ENOENT, syscall.ENOTDIR:
		a.Absent = true
	default:
		a.Failed = true
	}
	a.Began, a.Took = began, time.Since(began)
	fs.observe(a)
}
