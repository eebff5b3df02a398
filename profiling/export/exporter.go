package export

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

const (
	// readBound is how long the nodes may take to answer; Prometheus waits for 10 s by default.
	readBound = 8 * time.Second
	// fresh is how long an answer serves others who ask.
	fresh = time.Second
)

// Exporter makes expositions of what the nodes count.
type Exporter struct {
	Job string
	// Own is what this node has counted.
	Own  func() profiling.Sum
	Rank int
	Host string
	// Cluster sums up what all nodes have counted, and tells how many don't answer. nil: only Own is exposed.
	Cluster func(context.Context) (sum profiling.Sum, missing int, err error)

	mu    sync.Mutex
	never profiling.Never // of Cluster
	last  []profiling.Family
	at    time.Time
}

// families is what is to be told now.
func (e *Exporter) families(ctx context.Context) []profiling.Family {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last != nil && time.Since(e.at) < fresh {
		return e.last
	}
	job := profiling.Label{Name: "copper_job", Value: e.Job}
	var families []profiling.Family
	if e.Cluster != nil {
		ctx, cancel := context.WithTimeout(ctx, readBound)
		defer cancel()
		sum, missing, err := e.Cluster(ctx)
		answered := 0.0
		if err == nil {
			answered = 1
			families = sum.Families(profiling.ClusterPrefix, job)
			e.never.Fall(families)
			families = append(families, gauge("missing_ranks", "daemons that did not answer and are not in the sums", float64(missing), job))
		}
		families = append(families, gauge("up", "1 if the daemons could be asked", answered, job))
	}
	own := e.Own()
	families = append(families, own.Families(profiling.NodePrefix, job,
		profiling.Label{Name: "rank", Value: strconv.Itoa(e.Rank)}, profiling.Label{Name: "host", Value: e.Host})...)
	if ctx.Err() == nil { // else what it says of the nodes is worth nothing
		e.last, e.at = families, time.Now()
	}
	return families
}

// gauge is a family of the exporter's own.
func gauge(name, help string, value float64, labels ...profiling.Label) profiling.Family {
	return profiling.Family{Name: profiling.ClusterPrefix + name, Help: help, Kind: "gauge", Samples: []profiling.Sample{{Labels: labels, Value: value}}}
}

// ServeHTTP answers GET /metrics.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET", http.StatusMethodNotAllowed)
	case r.URL.Path == "/":
		_, _ = io.WriteString(w, "copper: Prometheus finds the metrics at /metrics\n")
	case r.URL.Path != "/metrics":
		http.NotFound(w, r)
	default:
		families := e.families(r.Context())
		w.Header().Set("Content-Type", profiling.FamiliesType)
		_ = profiling.WriteFamilies(w, families) // whoever asked has gone
	}
}
