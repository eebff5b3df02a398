package profiling

import (
	"fmt"
	"slices"
	"time"
)

func (c *Cluster) sections() []section {
	all := []section{}
	if h := newHeat(c.lanes); h != nil {
		all = append(all, h.section())
	}
	all = append(all, c.latencies(), c.kinds())
	if len(c.trees("bytes_out")) > 0 {
		all = append(all, c.treeBalance())
	}
	all = append(all, c.balance(), c.caches())
	return append(all, c.pathSections()...)
}

// section shows when the ranks asked.
func (h *heat) section() section {
	length := time.Duration(len(h.hits)) * time.Duration(h.column) * time.Second / ticks
	marks := timeMarks(length)
	strip := chart{Title: "all ranks", Lanes: true, Tall: 90, Height: 100, Below: marks}
	var most float64
	strip.Shapes, strip.Width, most = columns([]string{"own", "waited"}, h.hits, h.misses)
	most /= h.column.seconds()
	strip.Told = fmt.Sprintf("Requests of all ranks over %s, at most %s a second.", took(length), grouped(most))
	strip.Under = fmt.Sprintf("At the top %s requests a second.", grouped(most))
	where := chart{Title: "each rank", Lanes: true, Width: strip.Width, Height: float64(len(h.rows)), Tall: min(max(len(h.rows)*14, 56), 420),
		Shapes: h.cells(), Below: marks, Scale: &scale{Least: "0", Most: grouped(h.most), Unit: "requests a second"}}
	for level := 1; level <= heatLevels; level++ {
		where.Scale.Levels = append(where.Scale.Levels, fmt.Sprint("heat", level))
	}
	every := (len(h.rows)*14 + where.Tall - 1) / where.Tall // a label is 14 pixels tall
	if len(h.rows) > 16 {
		every = max(every, len(h.rows)/8)
	}
	ranks := 0
	for i, r := range h.rows {
		ranks = max(ranks, r.ranks)
		if i%every == 0 {
			label := fmt.Sprintf("%d  %s", r.first.rank, r.first.host())
			if r.ranks > 1 {
				label = fmt.Sprint(r.first.rank, " …")
			}
			where.Rows = append(where.Rows, mark{At: 100 * (float64(i) + 0.5) / float64(len(h.rows)), Text: label})
		}
	}
	where.Told = fmt.Sprintf("A heat map of %d rows of ranks over %s; the darkest cell is %s requests a second and rank.", len(h.rows), took(length), grouped(h.most))
	if ranks > 1 {
		where.Under = fmt.Sprintf("A row is the mean of up to %s neighbouring ranks, from the one that is named on.", grouped(float64(ranks)))
	}
	s := section{Title: "When the ranks asked", Charts: []chart{strip, where},
		Text: "Requests by the time of their answer. What begins late, or stays dark for long, is a rank that others waited for."}
	if h.share < 0.9995 {
		s.Text += fmt.Sprintf(" These %s hold %.1f%% of all requests; the others came long before or after.", took(length), 100*h.share)
	}
	return s
}

// host is the name without the process id.
func (l lane) host() string {
	for i := len(l.who) - 1; i >= 0; i-- {
		if l.who[i] == '-' {
			return l.who[:i]
		}
	}
	return l.who
}

// latencies shows the requests of the kernels and how long they took.
func (c *Cluster) latencies() section {
	s := section{Title: "Requests and how long they took", Small: true, Text: "From the kernel's request to its answer, on a logarithmic scale of time that is the same for all.",
		Tables: []sheet{{Title: "requests", Columns: named("operation:text", "requests", "from memory", "waited", "not there", "errors", "average", "median", "99% within")}}}
	first, last := buckets, 0
	for _, o := range c.Operations() {
		for i, n := range o.Latency.counts {
			if n > 0 {
				first, last = min(first, i), max(last, i)
			}
		}
	}
	for _, o := range c.Operations() {
		if !o.Measured {
			s.Tables[0].add(o.Name, grouped(float64(o.Calls)), "", "", "", "", "", "", "")
			continue
		}
		if o.Calls == 0 {
			s.Tables[0].add(o.Name, "0", "", "", "", "", "", "", "")
			continue
		}
		row := []string{o.Name, grouped(float64(o.Calls))}
		for _, n := range []int64{o.Hits, o.Misses, o.Negatives, o.Errors} {
			row = append(row, grouped(float64(n)))
		}
		h := &o.Latency
		s.Tables[0].Rows = append(s.Tables[0].Rows, append(row, took(h.Average()), took(h.Quantile(0.5)), took(h.Quantile(0.99))))
		counts := make([]float64, last-first+1)
		for i := range counts {
			counts[i] = float64(h.counts[first+i])
		}
		p := chart{Title: o.Name, Under: fmt.Sprintf("median %s, 99%% within %s", took(h.Quantile(0.5)), took(h.Quantile(0.99))), Height: 100, Tall: 70,
			Told: fmt.Sprintf("How long %s requests %s took: half of them %s at most.", grouped(float64(o.Calls)), o.Name, took(h.Quantile(0.5))), Below: decades(first, last)}
		p.Shapes, p.Width, _ = columns([]string{"own"}, counts)
		s.Charts = append(s.Charts, p)
	}
	s.Under = "\"Not there\" and errors are among those from memory and those that waited. Requests without figures are answered at once and only counted."
	return s
}

// kinds shows what was asked of the PFS, by kind, without and with Copper.
func (c *Cluster) kinds() section {
	s := section{Title: "What the parallel file system was asked", Text: "What the kernels asked for, and what was asked of the file system for all of them together."}
	calls := func(ops ...Operation) (n float64) {
		for _, op := range ops {
			if o := c.operations[op.String()]; o != nil {
				n += float64(o.Calls)
			}
		}
		return n
	}
	for _, k := range []struct {
		what          string
		without, with float64
		only          bool // with Copper: not a request that reaches it
	}{
		{"attributes of names (lookup, getattr → lstat)", calls(Lookup, Getattr), c.Value("pfs_lstat"), false},
		{"listings (readdir)", calls(Readdir), c.Value("pfs_readdir"), false},
		{"symbolic links (readlink)", calls(Readlink), c.Value("pfs_readlink"), false},
		{"data (read)", calls(Read), c.Value("pfs_read"), false},
		{"opening files (open; the kernels opened theirs without asking Copper)", 0, c.Value("pfs_open"), true},
	} {
		if k.without == 0 && k.with == 0 {
			continue
		}
		bars, values := []bar{{Label: "kernels", Shown: grouped(k.without), Faint: true}, {Label: "file system", Shown: grouped(k.with)}}, []float64{k.without, k.with}
		if k.only {
			bars, values = bars[1:], values[1:]
		}
		s.Bars = append(s.Bars, group{k.what, scaled(bars, values)})
	}
	if c.Value("compression_tried")+c.Value("failovers")+c.Value("hedges") > 0 {
		t := sheet{Title: "between the nodes", Columns: named("between the nodes:text", "value")}
		t.add("questions that went on to another node since a peer gave no answer", grouped(c.Value("failovers")))
		t.add("questions put to a second node since the first was slow, and won by it", grouped(c.Value("hedges"))+", "+grouped(c.Value("hedges_won")))
		t.add("data compressed, before and after", sized(c.Value("compression_raw_bytes"))+", "+sized(c.Value("compression_encoded_bytes")))
		s.Tables = append(s.Tables, t)
	}
	return s
}

// treeBalance shows the load of the trees.
func (c *Cluster) treeBalance() section {
	s := section{Title: "The trees and their balance", Small: true, Text: "Each path belongs to a tree of nodes, and is handed down it. Columns of one height are an even load."}
	if n := len(c.trees("answered")); n == 1 {
		s.Text = fmt.Sprintf("There was one tree (-T makes more): its root read the file system for all, and %s questions were answered from node to node with %s.",
			grouped(c.Value("tree_0_answered")), sized(c.Value("tree_0_bytes_out")))
		return s
	}
	for _, m := range []struct {
		metric, title string
		shown         func(float64) string
	}{{"bytes_out", "bytes sent", sized}, {"answered", "questions answered", grouped}} {
		all := c.trees(m.metric)
		sum := 0.0
		for _, v := range all {
			sum += v
		}
		mean := sum / float64(len(all))
		p := chart{Height: 100, Tall: 110,
			Told:  fmt.Sprintf("%s by tree: least %s, mean %s, most %s.", m.title, m.shown(slices.Min(all)), m.shown(mean), m.shown(slices.Max(all))),
			Below: []mark{{At: 0, Text: "tree 0"}, {At: 100, Text: fmt.Sprint("tree ", len(all)-1), End: true}}}
		p.Shapes, p.Width, _ = columns([]string{"own"}, all)
		p.Title = m.title
		p.Under = fmt.Sprintf("least %s, mean %s, most %s", m.shown(slices.Min(all)), m.shown(mean), m.shown(slices.Max(all)))
		s.Charts = append(s.Charts, p)
	}
	return s
}

// shownAs are the units of metrics for people.
func shownAs(unit string) func(float64) string {
	switch unit {
	case "bytes":
		return sized
	case "seconds":
		return func(v float64) string { return took(time.Duration(v * 1e9)) }
	}
	return grouped
}

// balance shows how even the ranks are.
func (c *Cluster) balance() section {
	s := section{Title: "How even the ranks are", Tables: []sheet{{Title: "how even the ranks are", Columns: named("metric:text", "least", "mean", "most", "most at:text")}}}
	units := map[string]string{}
	for _, m := range Metrics {
		units[m.Name] = m.Unit
	}
	for _, name := range balanced {
		if d := c.spread[name]; d != nil {
			shown := shownAs(units[name])
			mean := ""
			if !notSummed[name] {
				mean = shown(c.values[name] / float64(c.Files))
			}
			at := d.at
			if d.least == d.most {
				at = ""
			}
			s.Tables[0].add(name, shown(d.least), mean, shown(d.most), at)
		}
	}
	return s
}

// caches shows what the nodes held, and what became of names that are not there.
func (c *Cluster) caches() section {
	held := sheet{Title: "caches", Columns: named("cache:text", "entries", "size")}
	var entries, size float64
	for _, t := range tables {
		n, b := c.Value(t.name+"_cache_entries"), c.Value(t.name+"_cache_bytes")
		entries, size = entries+n, size+b
		held.add(t.name+" ("+t.holds+")", grouped(n), sized(b))
	}
	held.add("combined", grouped(entries), sized(size))
	absent := sheet{Title: "absent names", Columns: named("names that are not there:text", "times")}
	for _, what := range []struct{ name, meaning string }{{"stores", "kept one by one"}, {"serves", "answered from memory, or by a directory's listing"},
		{"expires", "asked again after their lifetime (-E)"}, {"clears", "dropped by a clear"}} {
		absent.add(what.meaning, grouped(c.Value("metadata_enoent_ttl_"+what.name)))
	}
	return section{Title: "What the nodes held at the end", Tables: []sheet{held, absent},
		Text: fmt.Sprintf("All nodes together. %s entries were given up for want of memory.", grouped(c.Value("evictions")))}
}
