package profiling

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// table is a CSV file that is being made.
type table struct {
	buf bytes.Buffer
	csv *csv.Writer
}

func newTable(columns ...string) *table {
	t := &table{}
	t.csv = csv.NewWriter(&t.buf)
	_ = t.csv.Write(columns)
	return t
}

// row adds a row; a memory buffer takes everything.
func (t *table) row(fields ...any) {
	row := make([]string, len(fields))
	for i, f := range fields {
		switch f := f.(type) {
		case string:
			row[i] = f
		case int64:
			row[i] = strconv.FormatInt(f, 10)
		case int:
			row[i] = strconv.Itoa(f)
		case float64:
			row[i] = number(f)
		case time.Duration:
			row[i] = seconds(f)
		default:
			row[i] = fmt.Sprint(f)
		}
	}
	_ = t.csv.Write(row)
}

func (t *table) bytes() []byte {
	t.csv.Flush()
	return t.buf.Bytes()
}

// seconds is how durations are written to files: with all nanoseconds.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 9, 64) }

// shownPath is a path as it is written to files: as it is, or as a quoted Go string if it is not
// printable on one line.
func shownPath(path string) string {
	if !utf8.ValidString(path) {
		return strconv.Quote(path)
	}
	for _, r := range path {
		if !strconv.IsPrint(r) {
			return strconv.Quote(path)
		}
	}
	return path
}

// readPath reads what shownPath wrote: paths begin with a slash, quoted ones don't.
func readPath(text string) string {
	if path, err := strconv.Unquote(text); err == nil && text[0] == '"' {
		return path
	}
	return text
}

var operationColumns = []string{"operation", "calls", "hits", "misses", "negatives", "average_latency_seconds",
	"total_latency_seconds", "errors", "bytes", "p50_seconds", "p99_seconds", "measured", "latency_buckets"}

func operationsTable(operations []OperationCounts) []byte {
	t := newTable(operationColumns...)
	for i := range operations {
		o := &operations[i]
		measured := 0
		if o.Measured {
			measured = 1
		}
		t.row(o.Name, o.Calls, o.Hits, o.Misses, o.Negatives, o.Latency.Average(), o.Latency.Sum, o.Errors, o.Bytes,
			o.Latency.Quantile(0.5), o.Latency.Quantile(0.99), measured, o.Latency.String())
	}
	return t.bytes()
}

var aggregateColumns = []string{"metric", "value"}

func aggregateTable(values []value) []byte {
	t := newTable(aggregateColumns...)
	for _, v := range values {
		t.row(v.name, v.value)
	}
	return t.bytes()
}

var timelineColumns = []string{"rank", "began_unix_seconds", "seconds", "requests", "misses", "total_latency_seconds"}

// timelineTable has one row at least, so that it tells the rank.
func timelineTable(s *Snapshot) []byte {
	t := newTable(timelineColumns...)
	for _, p := range s.Spans {
		t.row(s.Rank, p.Began.seconds(), (p.Ended - p.Began).seconds(), p.Requests, p.Misses, p.Took)
	}
	if len(s.Spans) == 0 {
		t.row(s.Rank, tickOf(s.Taken).seconds(), 0, 0, 0, time.Duration(0))
	}
	return t.bytes()
}

var topColumns = []string{"place", "path", "class", "requests", "at_most_too_many", "misses", "negatives", "bytes", "total_latency_seconds"}

func topTable(paths []TopPath) []byte {
	t := newTable(topColumns...)
	for i, p := range paths {
		t.row(i+1, shownPath(p.Path), Class(p.Path, p.Requests-p.Error == p.Negatives), p.Requests, p.Error, p.Misses, p.Negatives, p.Bytes, p.Took)
	}
	return t.bytes()
}

var pathColumns = []string{"path", "class", "exists", "first_seconds", "lookup", "getattr", "readlink", "read", "readdir",
	"statfs", "misses", "negatives", "errors", "bytes", "total_latency_seconds"}

func pathTableOf(paths []PathUse) []byte {
	t := newTable(pathColumns...)
	for i := range paths {
		p := &paths[i]
		exists := 0
		if p.Exists() {
			exists = 1
		}
		fields := []any{shownPath(p.Path), Class(p.Path, p.Missing()), exists, p.First}
		for _, n := range p.Calls {
			fields = append(fields, n)
		}
		t.row(append(fields, p.Misses, p.Negatives, p.Errors, p.Bytes, p.Took)...)
	}
	return t.bytes()
}
