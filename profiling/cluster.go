package profiling

import (
	"fmt"
	"slices"
	"strings"
)

// mostTop bounds the hottest paths that are written for all daemons together.
const mostTop = 1000

// Write writes the cluster's tables and its summary into dir and returns the files' paths. expected
// is the number of daemons that the job has, 0 where nobody knows.
func (c *Cluster) Write(dir, prefix string, expected int) ([]string, error) {
	top := c.hottest()
	files := []struct {
		name    string
		content []byte
	}{
		{AggregateFile, aggregateTable(c.ordered())},
		{operationsFile, operationsTable(c.Operations())},
		{summaryFile, c.summary(expected, top)},
		{topFile, topTable(top)},
		{"profiling_path_classes.csv", classTable(c.classes())},
	}
	if len(top) == 0 {
		files = slices.Delete(files, 3, 4)
	}
	if len(c.paths) == 0 {
		files = files[:len(files)-1]
	}
	var written []string
	for _, f := range files {
		name := prefix + "-" + f.name
		if err := writeFile(dir, name, f.content); err != nil {
			return written, err
		}
		written = append(written, dir+"/"+name)
	}
	return written, nil
}

func (c *Cluster) hottest() []TopPath {
	var all []TopPath
	for _, p := range c.top {
		all = append(all, *p)
	}
	sortTop(all)
	return all[:min(len(all), mostTop)]
}

// class is what was asked for the paths of one class.
type class struct {
	name            string
	missing         bool
	paths, requests int64
	negatives, data int64
}

// classes are the classes of the paths that were asked for, those that exist first, each with the most
// asked for in front.
func (c *Cluster) classes() []class {
	found := map[string]*class{}
	for _, p := range c.paths {
		missing := p.Missing()
		if !missing && !p.Exists() {
			continue // nothing but errors
		}
		name := Class(p.Path, missing)
		k := found[name]
		if k == nil {
			k = &class{name: name, missing: missing}
			found[name] = k
		}
		k.paths++
		k.requests += p.Requests()
		k.negatives += p.Negatives
		k.data += p.Bytes
	}
	var all []class
	for _, k := range found {
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b class) int {
		switch {
		case a.missing != b.missing && b.missing:
			return -1
		case a.missing != b.missing:
			return 1
		case a.requests != b.requests:
			return int(b.requests - a.requests)
		}
		return strings.Compare(a.name, b.name)
	})
	return all
}

func classTable(classes []class) []byte {
	t := newTable("class", "exists", "paths", "requests", "negatives", "bytes")
	for _, k := range classes {
		exists := 1
		if k.missing {
			exists = 0
		}
		t.row(k.name, exists, k.paths, k.requests, k.negatives, k.data)
	}
	return t.bytes()
}

// balanced are the metrics of which the summary shows how even they are over the daemons.
var balanced = []string{"kernel_questions", "total_cache_misses", "total_measured_latency_seconds", "total_read_bytes",
	"pfs_operations", "pfs_read_bytes", "memory_peak_bytes"}

func (c *Cluster) summary(expected int, top []TopPath) []byte {
	out := &strings.Builder{}
	fmt.Fprintf(out, "# What the job's nodes did\n\nThe sum of %d daemons, from %s.\n\n%s\n", c.Files, c.Set, KernelNote)
	if expected > c.Files {
		fmt.Fprintf(out, "\n**The job has %d ranks: %d are missing here.** They had not written yet, or died.\n", expected, expected-c.Files)
	}
	for i, why := range c.Unreadable {
		if i == 20 {
			fmt.Fprintf(out, "- and %d more\n", len(c.Unreadable)-i)
			break
		}
		if i == 0 {
			fmt.Fprintf(out, "\n**The files of %d daemons can't be read and are not in the sum:**\n\n", len(c.Unreadable))
		}
		fmt.Fprintf(out, "- %s\n", why)
	}
	made, asked := c.Value("pfs_operations"), c.Value("kernel_questions")
	fmt.Fprintf(out, "\nThe kernels asked %s times for what a client of the PFS would have had to answer; %s operations were made there, %s fewer.\n",
		number(asked), number(made), number(asked-made))
	writeOperations(out, c.Operations())
	fmt.Fprint(out, "\n## How even the nodes are\n\n| metric | least | most | at | mean |\n| --- | ---: | ---: | --- | ---: |\n")
	for _, name := range balanced {
		if s := c.spread[name]; s != nil {
			mean := "" // of a maximum there is none
			if !notSummed[name] {
				mean = fmt.Sprintf("%.6g", c.values[name]/float64(c.Files))
			}
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", name, number(s.least), number(s.most), s.at, mean)
		}
	}
	if classes := c.classes(); len(classes) > 0 {
		fmt.Fprint(out, "\n## Kinds of paths\n\n| class | paths | requests | \"not there\" | bytes |\n| --- | ---: | ---: | ---: | ---: |\n")
		for _, k := range classes {
			fmt.Fprintf(out, "| %s | %d | %d | %d | %d |\n", k.name, k.paths, k.requests, k.negatives, k.data)
		}
	}
	if len(top) > 0 {
		fmt.Fprint(out, "\n## Hottest paths\n\n| requests | misses | bytes | path |\n| ---: | ---: | ---: | --- |\n")
		for _, p := range top[:min(len(top), 50)] {
			fmt.Fprintf(out, "| %d | %d | %d | %s |\n", p.Requests, p.Misses, p.Bytes, cell(p.Path))
		}
	}
	fmt.Fprint(out, "\n## Metrics\n")
	writeValues(out, c.ordered())
	return []byte(out.String())
}
