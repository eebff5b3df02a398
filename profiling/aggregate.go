package profiling

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// readers is how many files are read at once, at most: more would only burden the file system.
const readers = 8

// Cluster is the sum of a set of daemons' files.
type Cluster struct {
	Set        string
	Files      int      // daemons that are in the sum
	Unreadable []string // daemons that are not, and why

	Sum
	top   map[string]*TopPath
	paths map[string]*PathUse
	lanes []lane
}

// lane is when one daemon was asked.
type lane struct {
	rank  int
	who   string // <host>-<pid>
	spans []Span
}

func newCluster() *Cluster {
	return &Cluster{Sum: newSum(), top: map[string]*TopPath{}, paths: map[string]*PathUse{}}
}

// Aggregate sums the files in a set's directory up. Files are read one after the other, and their size
// in memory is that of their sum.
func Aggregate(set string) (*Cluster, error) {
	files, err := filesNamed(set, AggregateFile)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no files *-%s", set, AggregateFile)
	}
	present := map[string]bool{}
	entries, err := os.ReadDir(set)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		present[filepath.Join(set, e.Name())] = true
	}
	work := make(chan string)
	parts := make([]*Cluster, min(readers, runtime.GOMAXPROCS(0)))
	var running sync.WaitGroup
	for i := range parts {
		parts[i] = newCluster()
		running.Go(func() {
			for file := range work {
				parts[i].read(strings.TrimSuffix(file, AggregateFile), present)
			}
		})
	}
	for _, f := range files {
		work <- f
	}
	close(work)
	running.Wait()
	c := newCluster()
	c.Set = set
	for _, p := range parts {
		c.add(p)
	}
	slices.Sort(c.Unreadable)
	slices.SortFunc(c.lanes, func(a, b lane) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.who, b.who))
	})
	if c.Files == 0 {
		return nil, fmt.Errorf("%s: no daemon's files can be read: %s", set, c.Unreadable[0])
	}
	derive(c.values)
	return c, nil
}

// read adds one daemon, whose files' names begin with prefix; all of it or nothing.
func (c *Cluster) read(prefix string, present map[string]bool) {
	one := newCluster()
	err := eachRow(prefix+AggregateFile, aggregateColumns, func(f []string) error {
		var n numbers
		one.values[strings.Clone(f[0])] = n.float(f[1])
		return n.err
	})
	if err == nil {
		err = readOperations(prefix+operationsFile, func(o OperationCounts) {
			o.Name = strings.Clone(o.Name)
			one.operations[o.Name] = &o
		})
	}
	who := strings.TrimSuffix(filepath.Base(prefix), "-")
	if err == nil && present[prefix+timelineFile] {
		mine := lane{who: who}
		mine.rank, mine.spans, err = readTimeline(prefix + timelineFile)
		one.lanes = []lane{mine}
	}
	if err == nil && present[prefix+topFile] {
		err = readTop(prefix+topFile, func(p *TopPath) { one.top[p.Path] = p })
	}
	if err == nil && present[prefix+PathsFile] {
		err = readPaths(prefix+PathsFile, func(p *PathUse) { one.paths[p.Path] = p })
	}
	if err != nil {
		c.Unreadable = append(c.Unreadable, err.Error())
		return
	}
	one.Files = 1
	for name, v := range one.values {
		one.spread[name] = &spread{least: v, leastAt: who, most: v, at: who}
	}
	c.add(one)
}

// add takes over what o has; o is not used any more.
func (c *Cluster) add(o *Cluster) {
	c.Files += o.Files
	c.Unreadable = append(c.Unreadable, o.Unreadable...)
	c.lanes = append(c.lanes, o.lanes...)
	c.Add(&o.Sum)
	join(c.top, o.top, func(mine, other *TopPath) { mine.add(other) })
	join(c.paths, o.paths, func(mine, other *PathUse) { mine.add(other) })
}
