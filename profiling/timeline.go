package profiling

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// timelineFiles bounds the files that a timeline is made of; of more sets, some are left out.
	timelineFiles = 50_000
	// timelineRows bounds the rows of a timeline: neighbouring daemons share one.
	timelineRows = 64
)

// timeline is how many requests the kernels made between one periodic snapshot and the next.
type timeline struct {
	tags    []string
	daemons []string    // the first of each row, by name
	counts  [][]float64 // by row and tag
	most    float64
	shared  int // daemons in a row
}

// readTimeline reads the periodic snapshots of a job; nil if there are none. What can't be read counts
// nothing.
func readTimeline(job Dir) *timeline {
	entries, err := os.ReadDir(filepath.Join(string(job), "profiling"))
	if err != nil {
		return nil
	}
	var tags []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), runtimePrefix) {
			tags = append(tags, e.Name())
		}
	}
	if len(tags) == 0 {
		return nil
	}
	first, err := filesNamed(job.Set(tags[0]), AggregateFile)
	if err != nil {
		return nil
	}
	if step := (len(tags)*len(first) + timelineFiles - 1) / timelineFiles; step > 1 {
		var some []string
		for i := step - 1; i < len(tags); i += step {
			some = append(some, tags[i])
		}
		tags = some
	}
	totals := map[string][]float64{} // by daemon, at each tag
	for i, tag := range tags {
		files, _ := filesNamed(job.Set(tag), AggregateFile)
		for _, file := range files {
			who := strings.TrimSuffix(filepath.Base(file), "-"+AggregateFile)
			if totals[who] == nil {
				totals[who] = make([]float64, len(tags))
			}
			_ = eachRow(file, aggregateColumns, func(f []string) error {
				var n numbers
				if f[0] == "total_counted_fuse_operations" {
					totals[who][i] = n.float(f[1])
				}
				return n.err
			})
		}
	}
	return newTimeline(tags, totals)
}

func newTimeline(tags []string, totals map[string][]float64) *timeline {
	var daemons []string
	for who := range totals {
		daemons = append(daemons, who)
	}
	slices.Sort(daemons)
	t := &timeline{tags: tags, shared: max((len(daemons)+timelineRows-1)/timelineRows, 1)}
	for i, who := range daemons {
		if i%t.shared == 0 {
			t.daemons = append(t.daemons, who)
			t.counts = append(t.counts, make([]float64, len(tags)))
		}
		row := t.counts[len(t.counts)-1]
		before := 0.0
		for j, now := range totals[who] {
			if now > before { // a set that this daemon is missing in counts nothing
				row[j] += now - before
				before = now
			}
			t.most = max(t.most, row[j])
		}
	}
	return t
}
