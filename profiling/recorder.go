package profiling

import (
	"strings"
	"sync/atomic"
	"time"
)

// Operation is a kind of request that the kernel makes and that is measured.
type Operation int

// The measured operations. Others are only counted.
const (
	Lookup Operation = iota
	Getattr
	Readlink
	Read
	Readdir
	Statfs
	Operations
)

var operationNames = [Operations]string{"lookup", "getattr", "readlink", "read", "readdir", "statfs"}

// String is the operation's name in outputs.
func (o Operation) String() string { return operationNames[o] }

// operationOf takes a FUSE opcode's name.
func operationOf(request string) (Operation, bool) {
	switch request {
	case "LOOKUP":
		return Lookup, true
	case "GETATTR":
		return Getattr, true
	case "READLINK":
		return Readlink, true
	case "READ":
		return Read, true
	case "READDIR":
		return Readdir, true
	case "STATFS":
		return Statfs, true
	}
	return 0, false
}

// Answer is a request of the kernel that was answered.
type Answer struct {
	Request string // FUSE opcode
	Path    string // in the view
	Began   time.Time
	Took    time.Duration
	Waited  bool // the answer was not in this node's memory: a miss
	Absent  bool // it was "not there"
	Failed  bool // it was another error
	Bytes   int  // of file data
}

// Recorder counts the answers to the kernel. It costs some 0.1 µs an answer (BenchmarkRecorder), to
// which keeping paths adds its part.
type Recorder struct {
	spans      spans
	operations [Operations]struct {
		took                            recording
		misses, negatives, errors, data atomic.Int64
	}
	top   *topPaths // nil: not asked for
	paths *pathTable
}

// RecorderOptions say what a Recorder keeps beside counters.
type RecorderOptions struct {
	Top   int  // the number of hottest paths
	Paths bool // every path
}

// NewRecorder returns an empty Recorder.
func NewRecorder(o RecorderOptions) *Recorder {
	r := &Recorder{}
	if o.Top > 0 {
		r.top = newTopPaths(o.Top)
	}
	if o.Paths {
		r.paths = newPathTable(time.Now())
	}
	return r
}

// Answered counts one answer.
func (r *Recorder) Answered(a Answer) {
	op, ok := operationOf(a.Request)
	if !ok {
		return
	}
	c := &r.operations[op]
	c.took.record(a.Took)
	if a.Waited {
		c.misses.Add(1)
	}
	if a.Absent {
		c.negatives.Add(1)
	}
	if a.Failed {
		c.errors.Add(1)
	}
	if a.Bytes > 0 {
		c.data.Add(int64(a.Bytes))
	}
	r.spans.note(a)
	if r.top != nil {
		r.top.note(a)
	}
	if r.paths != nil {
		r.paths.note(op, a)
	}
}

// OperationCounts is what was counted of one operation. Calls = Hits + Misses.
type OperationCounts struct {
	Name      string
	Measured  bool // else only Calls is known
	Calls     int64
	Hits      int64 // answered from this node's memory
	Misses    int64 // waited for another node or for the PFS
	Negatives int64 // of both: "not there"
	Errors    int64 // of both: other failures
	Bytes     int64 // of file data
	Latency   Histogram
}

func (c *OperationCounts) add(o *OperationCounts) {
	c.Measured = c.Measured || o.Measured
	c.Calls += o.Calls
	c.Hits += o.Hits
	c.Misses += o.Misses
	c.Negatives += o.Negatives
	c.Errors += o.Errors
	c.Bytes += o.Bytes
	c.Latency.add(&o.Latency)
}

// Operations reads the counters of the measured operations.
func (r *Recorder) Operations() []OperationCounts {
	counts := make([]OperationCounts, Operations)
	for op := range Operations {
		c := &r.operations[op]
		// Before the calls, which are counted first: a reading never has more of these than of those.
		misses, negatives, errors, data := c.misses.Load(), c.negatives.Load(), c.errors.Load(), c.data.Load()
		took := c.took.read()
		calls := int64(took.Count())
		counts[op] = OperationCounts{Name: op.String(), Measured: true, Calls: calls, Hits: calls - misses,
			Misses: misses, Negatives: negatives, Errors: errors, Bytes: data, Latency: took}
	}
	return counts
}

// otherOperations are those of a mount's requests that are only counted.
func otherOperations(requests map[string]uint64) []OperationCounts {
	var counts []OperationCounts
	for name, n := range requests {
		if _, measured := operationOf(name); !measured {
			counts = append(counts, OperationCounts{Name: strings.ToLower(name), Calls: int64(n)})
		}
	}
	return counts
}
