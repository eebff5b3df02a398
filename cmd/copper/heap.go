package main

import (
	"os"
	"runtime/debug"
)

const (
	// heapBeside is what the Go heap may take beside the tables, in bytes, before the garbage collector
	// works harder: buffers and stacks of requests in flight.
	heapBeside = 64 << 20
	// heapShare more of the budget is for more requests of a larger node.
	heapShare = 32
	// startPercent, for GOGC, lets a daemon start without a collection: on a node that starts many, they
	// would take the cores from each other before any mount answers.
	startPercent = 400
)

// heapLimit keeps what the process has resident near its budget. File data lies outside the Go heap,
// the tables lie in it and are charged to the budget together with the data; so the heap may take
// what the tables are charged with, and garbage of a quarter of that, and a little beside.
type heapLimit struct {
	off     bool  // the user has set GOMEMLIMIT
	now     int64 // bytes
	percent int   // of GOGC, once the daemon has started; 0 from then on
}

func newHeapLimit() heapLimit {
	return heapLimit{off: os.Getenv("GOMEMLIMIT") != "", percent: debug.SetGCPercent(startPercent)}
}

// started ends what is granted to a daemon that starts.
func (l *heapLimit) started() {
	if l.percent != 0 {
		debug.SetGCPercent(l.percent)
		l.percent = 0
	}
}

// follow adapts the limit to the size of the tables, both in bytes. To set it stops the world for a
// moment: small changes are let be.
func (l *heapLimit) follow(tables, budget int64) {
	limit := heapBeside + budget/heapShare + tables + tables/4
	if l.off || max(limit-l.now, l.now-limit) < heapBeside/8 {
		return
	}
	debug.SetMemoryLimit(limit)
	l.now = limit
}
