package profiling

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/copper-hpc/copper/store"
)

// Ioctl is a request that a script makes with ioctl(2) on any path of the mount. All concern the node
// on which it is made.
type Ioctl struct {
	Number uint32
	Does   string
	File   string // what it writes, behind <host>-<pid>-; "" for nothing
	run    func(*Ioctls, *Ioctl) error
	counts func(*Snapshot) []value // what it writes, if that can begin at 0 again
}

// IoctlTag is the tag of what ioctls write.
const IoctlTag = "ioctl"

// IoctlTable are all ioctls.
var IoctlTable = ioctls()

func ioctls() []Ioctl {
	table := []Ioctl{
		{Number: 100, Does: "clear the cache tables, and the kernel's caches", run: func(c *Ioctls, _ *Ioctl) error { c.Clear(); return nil }},
		{Number: 200, Does: "write the cache tables", File: "*_cache_table.csv", run: func(c *Ioctls, _ *Ioctl) error { return c.Tables(IoctlTag) }},
		operations(300, "write the calls of each operation", "operation_counts.csv", "calls", func(o *OperationCounts) float64 { return float64(o.Calls) }),
		operations(400, "write the time that each operation took", "operation_times.csv", "total_latency_seconds", func(o *OperationCounts) float64 { return o.Latency.Sum.Seconds() }),
		operations(500, "write the hits of each operation", "cache_hits.csv", "hits", func(o *OperationCounts) float64 { return float64(o.Hits) }),
		operations(600, "write the misses of each operation", "cache_misses.csv", "misses", func(o *OperationCounts) float64 { return float64(o.Misses) }),
		again(700, 300),
		again(800, 400),
		again(900, 500),
		again(1000, 600),
		events(1100, "write what happened in the data cache", "data_cache_events.csv", store.OpRead),
		events(1200, "write what happened in the tree cache", "tree_cache_events.csv", store.OpList),
		events(1300, "write what happened in the metadata cache", "metadata_cache_events.csv", store.OpStat, store.OpReadLink),
		again(1400, 1100),
		again(1500, 1200),
		again(1600, 1300),
		{Number: 1700, Does: "write the names that are known not to exist", File: "negatives.csv", run: (*Ioctls).negatives},
		{Number: 1800, Does: "clear what is known not to exist, in the kernel too", run: func(c *Ioctls, _ *Ioctl) error { c.ClearAbsences(); return nil }},
		{Number: 1900, Does: "let all counts begin at 0 again", run: func(c *Ioctls, _ *Ioctl) error { c.reset(); return nil }},
		{Number: 2000, Does: "write all metrics", File: "profiling_*", run: func(c *Ioctls, _ *Ioctl) error { return c.Snapshot(false).write(c.Dir.Set(IoctlTag)) }},
		{Number: 2100, Does: "let 2200 begin at 0 again", run: func(c *Ioctls, _ *Ioctl) error { clear(c.events); return nil }},
		{Number: 2200, Does: "write how often each ioctl was called", File: "ioctl_events.csv", run: (*Ioctls).writeEvents},
	}
	for i, t := range tables {
		table = append(table, Ioctl{Number: uint32(2300 + 100*i), Does: "write the size of the " + t.name + " cache", File: t.name + "_cache_size.csv",
			run: func(c *Ioctls, i *Ioctl) error {
				s := c.Snapshot(false)
				use := t.of(&s.Store)
				out := newTable("metric", "value")
				out.row("entries", use.Entries)
				out.row("bytes", use.Bytes)
				return c.write(s, i.File, out)
			}})
	}
	return table
}

// Ioctls carries ioctls out, one at a time. Its functions act on this node.
type Ioctls struct {
	Dir           Dir
	Snapshot      func(paths bool) *Snapshot
	Contents      func() []store.Content
	Clear         func() // the tables, and the kernel's caches
	ClearAbsences func()

	mu     sync.Mutex
	table  []Ioctl
	events map[uint32]int64
	// begins is what the counts were when they were to begin at 0 again, by the number that writes
	// them. Only what ioctls write begins again: the job's own outputs count the whole run.
	begins map[uint32]map[string]float64
}

// Run carries one out; ENOTTY for a number that is none.
func (c *Ioctls) Run(number uint32) error {
	at := slices.IndexFunc(IoctlTable, func(i Ioctl) bool { return i.Number == number })
	if at < 0 {
		return syscall.ENOTTY
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.events == nil {
		c.table, c.events, c.begins = IoctlTable, map[uint32]int64{}, map[uint32]map[string]float64{}
	}
	c.events[number]++
	return IoctlTable[at].run(c, &IoctlTable[at])
}

func (c *Ioctls) write(s *Snapshot, name string, t *table) error {
	return writeFile(c.Dir.Set(IoctlTag), s.ownName(name), t.bytes())
}

// operations writes a figure of each operation.
func operations(number uint32, does, file, figure string, of func(*OperationCounts) float64) Ioctl {
	return counting(number, does, file, "operation", figure, func(s *Snapshot) (values []value) {
		for i := range s.Operations {
			values = append(values, value{s.Operations[i].Name, of(&s.Operations[i])})
		}
		return values
	})
}

// events writes what happened in the table that answers these questions.
func events(number uint32, does, file string, ops ...store.Op) Ioctl {
	return counting(number, does, file, "event", "count", func(s *Snapshot) []value {
		var sum store.OpCounts
		for _, op := range ops {
			o := s.Store.Ops[op]
			sum.Hits += o.Hits
			sum.Misses += o.Misses
			sum.Negatives += o.Negatives
			sum.Errors += o.Errors
		}
		return []value{{"hits", float64(sum.Hits)}, {"misses", float64(sum.Misses)}, {"negatives", float64(sum.Negatives)}, {"errors", float64(sum.Errors)}}
	})
}

// counting writes counts since they began at 0.
func counting(number uint32, does, file, of, figure string, counts func(*Snapshot) []value) Ioctl {
	return Ioctl{Number: number, Does: does, File: file, counts: counts, run: func(c *Ioctls, i *Ioctl) error {
		s := c.Snapshot(false)
		t := newTable(of, figure)
		for _, v := range counts(s) {
			t.row(v.name, v.value-c.begins[number][v.name])
		}
		return c.write(s, i.File, t)
	}}
}

// again lets the counts that another number writes begin at 0.
func again(number, of uint32) Ioctl {
	return Ioctl{Number: number, Does: fmt.Sprintf("let %d begin at 0 again", of), run: func(c *Ioctls, _ *Ioctl) error {
		s := c.Snapshot(false)
		for i := range c.table {
			if c.table[i].Number == of {
				c.begin(&c.table[i], s)
			}
		}
		return nil
	}}
}

func (c *Ioctls) begin(i *Ioctl, s *Snapshot) {
	now := map[string]float64{}
	for _, v := range i.counts(s) {
		now[v.name] = v.value
	}
	c.begins[i.Number] = now
}

// reset lets all counts begin at 0.
func (c *Ioctls) reset() {
	s := c.Snapshot(false)
	for i := range c.table {
		if c.table[i].counts != nil {
			c.begin(&c.table[i], s)
		}
	}
	clear(c.events)
}

func (c *Ioctls) negatives(i *Ioctl) error {
	t := newTable("path", "seconds_left")
	for _, e := range c.Contents() {
		if e.Kind == "absent" {
			t.row(shownPath(e.Path), max(time.Until(e.Expires), 0))
		}
	}
	return c.write(c.Snapshot(false), i.File, t)
}

func (c *Ioctls) writeEvents(i *Ioctl) error {
	t := newTable("ioctl", "calls")
	for _, n := range slices.Sorted(maps.Keys(c.events)) {
		t.row(strconv.Itoa(int(n)), c.events[n])
	}
	return c.write(c.Snapshot(false), i.File, t)
}

// Tables writes the contents of the cache tables.
func (c *Ioctls) Tables(tag string) error {
	s := c.Snapshot(false)
	out := map[string]*table{}
	for _, t := range tables {
		out[t.name] = newTable("path", "kind", "chunk", "names", "bytes", "seconds_left")
	}
	for _, e := range c.Contents() {
		left := ""
		if !e.Expires.IsZero() {
			left = seconds(max(time.Until(e.Expires), 0))
		}
		out[e.Table].row(shownPath(e.Path), e.Kind, e.Index, e.Names, e.Bytes, left)
	}
	for _, t := range tables {
		if err := writeFile(c.Dir.Tables(tag), s.ownName(t.name+"_cache_table.csv"), out[t.name].bytes()); err != nil {
			return err
		}
	}
	return nil
}

// WriteIoctls prints the table of ioctls as Markdown.
func WriteIoctls(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "Numbers for ioctl(2) on any path of the mount; they concern the node on which that is called. "+
		"Files lie in the job's directory below profiling/%s, tables below tables/%s.\n\n| ioctl | does | file, behind `<host>-<pid>-` |\n| --- | --- | --- |\n", IoctlTag, IoctlTag); err != nil {
		return err
	}
	for _, i := range IoctlTable {
		if _, err := fmt.Fprintf(w, "| %d | %s | %s |\n", i.Number, i.Does, i.File); err != nil {
			return err
		}
	}
	return nil
}
