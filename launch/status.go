package launch

import (
	"encoding/json"
	"time"
)

// Status is what `copper status --json` prints. Fields are only ever added; Version changes if one
// must change its meaning.
type Status struct {
	Version int       `json:"version"` // 1
	Job     string    `json:"job"`
	Dir     JobDir    `json:"dir"`
	State   Phase     `json:"state"`
	Started time.Time `json:"started"`
	Totals  Totals    `json:"totals"` // over Nodes
	// Nodes are those that answered, by rank; Missing the others.
	Nodes   []NodeStatus  `json:"nodes"`
	Missing []MissingNode `json:"missing"`
}

// MissingNode is a rank that did not answer.
type MissingNode struct {
	Rank  int    `json:"rank"`
	Host  string `json:"host"`
	Error string `json:"error"`
}

// NodeStatus is one daemon's part of a [Status]. Counters count since the daemon started.
type NodeStatus struct {
	Rank   int       `json:"rank"`
	Host   string    `json:"host"`
	PID    int       `json:"pid"` // of the daemon that runs now
	Mount  string    `json:"mount"`
	Target string    `json:"target"` // the directory that the mount shows
	Since  time.Time `json:"since"`  // when the mount came up
	// Restarts counts the daemons before this one that died; Supervisor is the process that starts
	// them.
	Restarts   int `json:"restarts"`
	Supervisor int `json:"supervisor_pid"`
	// Error is why the end was not orderly; only in the answer to a stop.
	Error string `json:"error,omitempty"`

	// Requests that the kernel sent, by FUSE opcode.
	Requests  map[string]int64 `json:"requests"`
	ReadBytes int64            `json:"read_bytes"` // answered to the kernel
	// PushedBytes went into the kernel's page cache before it asked for them.
	PushedBytes int64        `json:"pushed_bytes"`
	Kernel      KernelStatus `json:"kernel"`

	// Store counts the questions to this node's store, from its kernel and from its children, by
	// kind: stat, list, readlink, read.
	Store     map[string]Answers `json:"store"`
	Evictions int64              `json:"evictions"`
	Memory    MemoryStatus       `json:"memory"`
	Cache     CacheStatus        `json:"cache"`

	// PFS counts what this node asked of the parallel file system.
	PFS PFSStatus `json:"pfs"`

	Compression CompressionStatus `json:"compression"`

	// Warm is what was brought into memory before it was asked for.
	Warm Warmth `json:"warm"`

	// Trees is the traffic with the parents and children in each tree.
	Trees []TreeStatus `json:"trees"`
	// Suspects is the number of peers that failed to answer and have not been reached since, which
	// SuspectPeers names.
	Suspects     int           `json:"suspects"`
	SuspectPeers []SuspectPeer `json:"suspect_peers"`
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

// Collect makes a job's status of the answers of its nodes. Answers that are no status count as
// missing, as do ranks without one.
func Collect(job *Job, answers []Answered) Status {
	s := Status{Version: 1, Job: job.State.ID, Dir: job.Dir, State: job.State.Phase, Started: job.State.Started,
		Nodes: []NodeStatus{}, Missing: []MissingNode{}}
	byRank := map[int]Answered{}
	for _, a := range answers {
		byRank[a.Rank] = a
	}
	for _, r := range job.State.Ranks {
		a, ok := byRank[r.Rank]
		if !ok {
			a.Error = "no answer"
		}
		var n NodeStatus
		if a.Error == "" {
			if err := json.Unmarshal(a.Answer, &n); err != nil {
				a.Error = err.Error()
			}
		}
		if a.Error != "" {
			s.Missing = append(s.Missing, MissingNode{Rank: r.Rank, Host: r.Host, Error: a.Error})
			continue
		}
		s.Nodes = append(s.Nodes, n)
	}
	s.Totals = total(s.Nodes)
	s.Totals.Missing = len(s.Missing)
	return s
}

func total(nodes []NodeStatus) Totals {
	t := Totals{Nodes: len(nodes)}
	var hits, questions, askable, warmed int64
	for _, n := range nodes {
		for _, count := range n.Requests {
			t.Requests += count
		}
		for _, op := range kernelQuestions {
			askable += n.Requests[op]
		}
		for _, a := range n.Store {
			hits += a.Hits
			questions += a.Hits + a.Misses
		}
		for _, count := range n.PFS.Operations {
			t.PFSOperations += count
		}
		for _, tree := range n.Trees {
			t.OverlayBytes += tree.BytesOut
		}
		t.ReadBytes += n.ReadBytes
		t.PushedBytes += n.PushedBytes
		warmed += n.Warm.Mapped
		t.PFSBytes += n.PFS.Bytes
		t.MemoryUsed += n.Memory.Used
		t.Failovers += n.Failovers
		t.DirectReads += n.DirectReads
		t.Hedges += n.Hedges
		t.HedgesWon += n.HedgesWon
		t.Suspicions += n.Suspects
		t.Slow += n.Slow
		t.Restarts += n.Restarts
		t.Compression = t.Compression.Plus(n.Compression.Compressed)
	}
	if questions > 0 {
		t.HitRate = float64(hits) / float64(questions)
	}
	t.PFSOperationsSaved = max(askable-t.PFSOperations, 0)
	t.PFSBytesSaved = max(t.ReadBytes+warmed-t.PFSBytes, 0)
	return t
}
