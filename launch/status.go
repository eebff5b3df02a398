package launch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

// Status is what `copper status --json` prints. Fields are only ever added; Version changes if one
// must change its meaning.
type Status struct {
	Version int       `json:"version"` // 1
	Job     string    `json:"job"`
	Dir     JobDir    `json:"dir"`
	State   Phase     `json:"state"`
	Started time.Time `json:"started"`
	Totals  Totals    `json:"totals"`
	// Cluster is what all nodes that answered have counted, in more detail.
	Cluster Summary `json:"cluster"`
	// Nodes are those that answered, by rank, where they were asked for one by one: see [Finder.Status].
	Nodes   []NodeStatus  `json:"nodes"`
	Missing []MissingNode `json:"missing"` // all ranks that did not answer
	// Note says what the numbers don't hold.
	Note string `json:"note"`
}

// MissingNode is a rank that did not answer.
type MissingNode struct {
	Rank  int    `json:"rank"`
	Host  string `json:"host"`
	Error string `json:"error"`
}

// NodeStatus is one daemon's part of a [Status].
type NodeStatus struct {
	Rank       int       `json:"rank"`
	Host       string    `json:"host"`
	PID        int       `json:"pid"` // of the daemon that runs now
	Mount      string    `json:"mount"`
	Target     string    `json:"target"`         // the directory that the mount shows
	Since      time.Time `json:"since"`          // when the mount came up
	Supervisor int       `json:"supervisor_pid"` // the process that starts the daemon again when it dies
	// Error is why the end was not orderly; only in the answer to a stop.
	Error string `json:"error,omitempty"`

	Kernel      KernelStatus      `json:"kernel"`
	Compression CompressionStatus `json:"compression"`
	// SuspectPeers are the peers that failed to answer and have not been reached since.
	SuspectPeers []SuspectPeer `json:"suspect_peers"`

	Counters
}

// Counters count since the daemon started, or those of several daemons.
type Counters struct {
	// Restarts counts the daemons before this one that died.
	Restarts int `json:"restarts"`

	// Requests that the kernel sent, by FUSE opcode.
	Requests  map[string]int64 `json:"requests"`
	ReadBytes int64            `json:"read_bytes"` // answered to the kernel
	// PushedBytes went into the kernel's page cache before it asked for them.
	PushedBytes int64 `json:"pushed_bytes"`

	// Store counts the questions to this node's store, from its kernel and from its children, by
	// kind: stat, list, readlink, read.
	Store     map[string]Answers `json:"store"`
	Evictions int64              `json:"evictions"`
	Memory    MemoryStatus       `json:"memory"`
	Cache     CacheStatus        `json:"cache"`

	// PFS counts what this node asked of the parallel file system.
	PFS PFSStatus `json:"pfs"`

	// Warm is what was brought into memory before it was asked for.
	Warm Warmth `json:"warm"`

	// Trees is the traffic with the parents and children in each tree.
	Trees []TreeStatus `json:"trees"`
	// Suspects is the number of peers that failed to answer and have not been reached since.
	Suspects int `json:"suspects"`
	// Slow is the number of peers that answer, but late.
	Slow int `json:"slow"`
	// Failovers counts the times that a question went on to another node since a peer gave no answer.
	Failovers int64 `json:"failovers"`
	// DirectReads counts questions put to the PFS by this node though another is there for them.
	DirectReads int64 `json:"direct_reads"`
	// Hedges counts the questions that were put to a second node because the first took long;
	// HedgesWon those of them that the second answered first.
	Hedges    int64 `json:"hedges"`
	HedgesWon int64 `json:"hedges_won"`
}

// SuspectPeer is a peer that failed to answer a node and has not been reached by it since.
type SuspectPeer struct {
	Rank  int       `json:"rank"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// Answers counts the answers to one kind of question.
type Answers struct {
	Hits      int64 `json:"hits"`      // from memory
	Misses    int64 `json:"misses"`    // asked of others
	Negatives int64 `json:"negatives"` // of both: "not there"
	Errors    int64 `json:"errors"`    // of both: other failures
}

// MemoryStatus is the use of a node's budget, in bytes.
type MemoryStatus struct {
	Limit  int64 `json:"limit"`
	Used   int64 `json:"used"`
	Peak   int64 `json:"peak"`
	Tables int64 `json:"tables"` // of Used: all but file data
}

// CacheStatus is the size of a node's tables.
type CacheStatus struct {
	Tree TableUse `json:"tree"`     // listings
	Meta TableUse `json:"metadata"` // attributes, absences, links
	Data TableUse `json:"data"`     // file data
}

// TableUse is the size of one table.
type TableUse struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
}

// PFSStatus counts operations on the parallel file system.
type PFSStatus struct {
	Operations map[string]int64 `json:"operations"` // lstat, readdir, readlink, open, read
	Bytes      int64            `json:"bytes"`      // of file data
}

// TreeStatus counts one tree's traffic at one node.
type TreeStatus struct {
	Tree     int   `json:"tree"`
	Asked    int64 `json:"asked"`     // questions sent to other nodes
	Answered int64 `json:"answered"`  // questions of other nodes answered
	BytesIn  int64 `json:"bytes_in"`  // received as answers
	BytesOut int64 `json:"bytes_out"` // sent as answers
}

// Totals sums a job up.
type Totals struct {
	Nodes    int   `json:"nodes"`
	Missing  int   `json:"missing"`
	Requests int64 `json:"requests"` // that the kernels sent
	// ReadBytes is what the kernels got, in bytes. What they then answer from their page caches
	// is nowhere counted.
	ReadBytes   int64 `json:"read_bytes"`
	PushedBytes int64 `json:"pushed_bytes"`
	// HitRate is the share of all questions to the stores that were answered from memory, 0 to 1.
	HitRate       float64 `json:"hit_rate"`
	Questions     int64   `json:"questions"` // to the stores
	Hits          int64   `json:"hits"`      // of them
	MemoryUsed    int64   `json:"memory_used"`
	PFSOperations int64   `json:"pfs_operations"`
	PFSBytes      int64   `json:"pfs_bytes"`
	// PFSOperationsSaved is the number of the kernels' requests that would have gone to the PFS
	// (LOOKUP, GETATTR, READLINK, READ, READDIR) less the operations that did. What the kernels
	// answered themselves is not counted as saved.
	PFSOperationsSaved int64 `json:"pfs_operations_saved"`
	// PFSBytesSaved is what the kernels asked for and what was warmed for them, less PFSBytes. What was
	// pushed beside is not counted: without Copper they need not have read all of it.
	PFSBytesSaved int64 `json:"pfs_bytes_saved"`
	Failovers     int64 `json:"failovers"`
	DirectReads   int64 `json:"direct_reads"`
	Hedges        int64 `json:"hedges"`
	HedgesWon     int64 `json:"hedges_won"`
	Suspicions    int   `json:"suspicions"` // pairs of a node and one that it suspects
	Slow          int   `json:"slow"`       // pairs of a node and one that it finds slow
	Restarts      int   `json:"restarts"`
	OverlayBytes  int64 `json:"overlay_bytes"` // that nodes sent each other as answers

	Compression Compressed `json:"compression"`
}

// kernelQuestions are the FUSE requests that a PFS client would have had to answer in the place of
// Copper.
var kernelQuestions = []string{"LOOKUP", "GETATTR", "READLINK", "READ", "READDIR", "READDIRPLUS"}

// Collect makes a job's status of what its nodes answered.
func Collect(job *Job, resp *Response) (Status, error) {
	s := Status{Version: 1, Job: job.State.ID, Dir: job.Dir, State: job.State.Phase, Started: job.State.Started,
		Nodes: []NodeStatus{}, Missing: []MissingNode{}, Note: profiling.KernelNote}
	if resp.Sum != nil {
		if err := json.Unmarshal(resp.Sum, &s.Cluster); err != nil {
			return s, fmt.Errorf("the nodes' answer: %w", err)
		}
	}
	s.Cluster.fill()
	s.Nodes, s.Cluster.Rows = append(s.Nodes, s.Cluster.Rows...), nil
	slices.SortFunc(s.Nodes, func(a, b NodeStatus) int { return cmp.Compare(a.Rank, b.Rank) })
	hosts := make(map[int]string, len(job.State.Ranks))
	for _, r := range job.State.Ranks {
		hosts[r.Rank] = r.Host
	}
	for _, m := range resp.Missing {
		s.Missing = append(s.Missing, MissingNode{Rank: m.Rank, Host: hosts[m.Rank], Error: cmp.Or(m.Error, "no answer")})
	}
	s.Totals = s.Cluster.totals()
	s.Totals.Missing = len(s.Missing)
	return s, nil
}

// totals are those of one node or of the sum of several.
func (c *Counters) totals() Totals {
	t := Totals{
		ReadBytes: c.ReadBytes, PushedBytes: c.PushedBytes, PFSBytes: c.PFS.Bytes, MemoryUsed: c.Memory.Used,
		Failovers: c.Failovers, DirectReads: c.DirectReads, Hedges: c.Hedges, HedgesWon: c.HedgesWon,
		Suspicions: c.Suspects, Slow: c.Slow, Restarts: c.Restarts,
	}
	var askable int64
	for _, count := range c.Requests {
		t.Requests += count
	}
	for _, op := range kernelQuestions {
		askable += c.Requests[op]
	}
	for _, a := range c.Store {
		t.Hits += a.Hits
		t.Questions += a.Hits + a.Misses
	}
	for _, count := range c.PFS.Operations {
		t.PFSOperations += count
	}
	for _, tree := range c.Trees {
		t.OverlayBytes += tree.BytesOut
	}
	if t.Questions > 0 {
		t.HitRate = float64(t.Hits) / float64(t.Questions)
	}
	t.PFSOperationsSaved = max(askable-t.PFSOperations, 0)
	t.PFSBytesSaved = max(t.ReadBytes+c.Warm.Mapped-t.PFSBytes, 0)
	return t
}
