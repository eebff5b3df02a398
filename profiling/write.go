package profiling

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Writer writes a daemon's files. Its methods may be called from everywhere.
type Writer struct {
	Dir   Dir
	Paths bool // the table of all paths is written with the final set
	// Snapshot reads all counters, and the table of all paths if that is wanted.
	Snapshot func(paths bool) *Snapshot
	Log      *slog.Logger

	ends    chan struct{} // closed by Close
	running sync.WaitGroup
}

// Write writes one set: three tables and a summary, the hottest paths if they are watched, and with the
// final set the table of all paths.
func (w *Writer) Write(tag string) error {
	s := w.Snapshot(w.Paths && tag == Final)
	return s.write(w.Dir.Set(tag))
}

func (s *Snapshot) write(dir string) error {
	files := []struct {
		name    string
		content []byte
	}{
		{operationsFile, operationsTable(s.Operations)},
		{AggregateFile, aggregateTable(s.values())},
		{timelineFile, timelineTable(s)},
		{summaryFile, s.summary()},
	}
	for _, f := range files {
		if err := writeFile(dir, s.ownName(f.name), f.content); err != nil {
			return err
		}
	}
	var top, paths error
	if s.Top != nil {
		top = writeFile(dir, s.ownName(topFile), topTable(s.Top))
	}
	if s.Paths != nil {
		paths = writeFile(dir, s.ownName(PathsFile), pathTableOf(s.Paths))
	}
	return errors.Join(top, paths)
}

// Every writes a set each interval until Close, numbered by the time since began, so that the sets of
// all ranks, and of a daemon that was started again, have the same names.
func (w *Writer) Every(interval time.Duration, began time.Time) {
	w.ends = make(chan struct{})
	w.running.Go(func() {
		for {
			n := int(time.Since(began)/interval) + 1
			next := time.NewTimer(time.Until(began.Add(time.Duration(n) * interval)))
			select {
			case <-next.C:
			case <-w.ends:
				next.Stop()
				return
			}
			if err := w.Write(runtimeTag(n)); err != nil {
				w.Log.Warn("a profiling snapshot was not written", "error", err)
			}
		}
	})
}

// Close ends Every, after what it is writing, or after the bound: the file system may hang.
func (w *Writer) Close(bound time.Duration) {
	if w.ends == nil {
		return
	}
	close(w.ends)
	done := make(chan struct{})
	go func() { w.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(bound):
	}
}

// summary is the set's page for people, in Markdown.
func (s *Snapshot) summary() []byte {
	out := &strings.Builder{}
	fmt.Fprintf(out, "# What rank %d on %s did\n\nProcess %d, %s after its start, at %s.\n\n%s\n", s.Rank, s.Host, s.PID,
		s.Up.Round(time.Millisecond), s.Taken.Format(time.DateTime), KernelNote)
	if !s.KernelCache {
		fmt.Fprintln(out, "\nThe kernel was told to keep nothing (`--kernel-cache off`): nearly every use of a file is counted.")
	}
	if s.Restarts > 0 {
		fmt.Fprintf(out, "\nThe counts of %d daemons of this rank that died are lost.\n", s.Restarts)
	}
	writeOperations(out, s.Operations)
	if len(s.Top) > 0 {
		fmt.Fprint(out, "\n## Hottest paths\n\n| requests | misses | bytes | path |\n| ---: | ---: | ---: | --- |\n")
		for _, p := range s.Top {
			fmt.Fprintf(out, "| %d | %d | %d | %s |\n", p.Requests, p.Misses, p.Bytes, cell(p.Path))
		}
	}
	if s.LeftOut > 0 {
		fmt.Fprintf(out, "\n%d requests were for paths that found no room in the table of all paths.\n", s.LeftOut)
	}
	fmt.Fprint(out, "\n## Metrics\n")
	writeValues(out, s.values())
	return []byte(out.String())
}

func writeOperations(out *strings.Builder, operations []OperationCounts) {
	fmt.Fprint(out, "\n## Requests of the kernel\n\n| operation | calls | hits | misses | negatives | errors | average | median | 99% within |\n"+
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for i := range operations {
		o := &operations[i]
		if !o.Measured {
			fmt.Fprintf(out, "| %s | %d | | | | | | | |\n", o.Name, o.Calls)
			continue
		}
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %d | %v | %v | %v |\n", o.Name, o.Calls, o.Hits, o.Misses, o.Negatives,
			o.Errors, short(o.Latency.Average()), short(o.Latency.Quantile(0.5)), short(o.Latency.Quantile(0.99)))
	}
}

func writeValues(out *strings.Builder, values []value) {
	meanings := map[string]string{}
	for _, m := range append(Metrics, TreeMetrics(0)...) {
		meanings[m.Name] = m.Meaning
	}
	fmt.Fprint(out, "\n| metric | value | meaning |\n| --- | ---: | --- |\n")
	for _, v := range values {
		fmt.Fprintf(out, "| %s | %s | %s |\n", v.name, number(v.value), meanings[v.name])
	}
}

// short is a duration with three digits or so.
func short(d time.Duration) time.Duration {
	for unit := time.Second; unit > 1; unit /= 10 {
		if d >= unit {
			return d.Round(unit / 100)
		}
	}
	return d
}

// cell is a path as it stands in a table of Markdown.
func cell(path string) string {
	return "`" + strings.NewReplacer("|", "\\|", "`", "'").Replace(shownPath(path)) + "`"
}
