package launch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Op is what can be asked of a job through its control sockets.
type Op string

// The operations. OpHello concerns only the daemon that is asked; the others every node.
const (
	OpHello  Op = "hello"
	OpStatus Op = "status"
	OpHold   Op = "hold" // first half of clearing
	OpClear  Op = "clear"
	OpWarm   Op = "warm"
	OpStop   Op = "stop" // unmount, answer for the last time, then end
	opExit   Op = "exit" // second half of OpStop, only between daemons
)

const (
	controlVersion  = 2
	maxRequest      = 2 * MaxManifest  // bytes of JSON
	maxResponse     = 256 << 20        // bytes of JSON; with rows some 10 KiB for each of 25,000 ranks
	requestBound    = 5 * time.Second  // for a client to say what it wants
	responseBound   = 30 * time.Second // for a client to take the answer, and a daemon to give it
	gatherBound     = 20 * time.Second
	stopGatherBound = time.Minute // unmounting takes its time
	exitBound       = 5 * time.Second
)

// Request is what a client asks, and what travels over the overlay to every node.
type Request struct {
	Version int    `json:"version"`
	Op      Op     `json:"op"`
	Prefix  string `json:"prefix,omitempty"` // OpHold, OpClear: drop only this path and what is below it
	// Warm is OpWarm's order.
	Warm *WarmOrder `json:"warm,omitempty"`
	// Rows asks OpStatus for each node beside the sum.
	Rows bool `json:"rows,omitempty"`
}

// Response is what a client gets.
type Response struct {
	Version int    `json:"version"`
	Error   string `json:"error,omitempty"` // why nothing was done
	Hello   *Hello `json:"hello,omitempty"` // of the daemon that was asked
	// Sum is the sum of the nodes' answers: [Summary], [Cleared] or [Warmth]. None has it where none answers.
	Sum     json.RawMessage `json:"sum,omitempty"`
	Missing []MissingRank   `json:"missing,omitempty"` // whose answers are not in it
}

// MissingRank is a rank without an answer.
type MissingRank struct {
	Rank  int    `json:"rank"`
	Error string `json:"error,omitempty"` // why, of the first few
}

// Hello is who a daemon is.
type Hello struct {
	Job   string `json:"job"`
	Rank  int    `json:"rank"`
	Size  int    `json:"size"` // ranks of the job
	PID   int    `json:"pid"`
	Mount string `json:"mount"`
	// Target is the directory that the mount shows.
	Target string `json:"target"`
	Dir    JobDir `json:"dir"`
}

// Cleared answers OpHold and OpClear.
type Cleared struct {
	Entries int `json:"entries"` // dropped from the node's tables
}

// NewRequest is a request of this version.
func NewRequest(op Op) Request { return Request{Version: controlVersion, Op: op} }

// decodeRequest accepts what [Request] says and nothing else.
func decodeRequest(b []byte) (Request, error) {
	var r Request
	if len(b) > maxRequest {
		return r, fmt.Errorf("request of more than %d bytes", maxRequest)
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("request: %w", err)
	}
	if d.More() {
		return r, fmt.Errorf("request: more than one")
	}
	if r.Version != controlVersion {
		return r, fmt.Errorf("request of version %d, want %d: client and daemon are different versions of copper", r.Version, controlVersion)
	}
	return r, r.check()
}

func (r Request) check() error {
	if r.Warm != nil && r.Op != OpWarm {
		return fmt.Errorf("request %s takes no order to warm", r.Op)
	}
	if r.Rows && r.Op != OpStatus {
		return fmt.Errorf("request %s has no rows", r.Op)
	}
	switch r.Op {
	case OpHello, OpStatus, OpStop, opExit:
		if r.Prefix != "" {
			return fmt.Errorf("request %s takes no prefix", r.Op)
		}
	case OpHold, OpClear:
		if r.Prefix != "" && r.Prefix[0] != '/' {
			return fmt.Errorf("prefix %q is not an absolute path", r.Prefix)
		}
	case OpWarm:
		switch {
		case r.Warm == nil:
			return fmt.Errorf("request %s without an order", r.Op)
		case r.Warm.Dir != "" && r.Warm.Dir[0] != '/':
			return fmt.Errorf("directory %q is not an absolute path", r.Warm.Dir)
		case len(r.Warm.Manifest) > MaxManifest:
			return fmt.Errorf("a manifest of %d bytes, where %d are the limit", len(r.Warm.Manifest), MaxManifest)
		}
	default:
		return fmt.Errorf("unknown request %q", r.Op)
	}
	return nil
}

// cleared is the sum of the answers to OpHold or OpClear; all ranks must have given one.
func (r *Response) cleared() (entries int, err error) {
	var c Cleared
	if r.Sum != nil {
		if err := json.Unmarshal(r.Sum, &c); err != nil {
			return 0, err
		}
	}
	for _, m := range r.Missing {
		return c.Entries, fmt.Errorf("rank %d: %s", m.Rank, cmp.Or(m.Error, "no answer"))
	}
	return c.Entries, nil
}
