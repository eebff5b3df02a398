package profiling

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

//go:embed report.html
var reportTemplate string

const (
	reportFile = "profiling_report.html"
	reportRows = 25 // of tables of paths
)

// About is what a report says of the job beside the daemons' files.
type About struct {
	Job      string
	Expected int // ranks of the job, 0 where nobody knows
	// Origin is where the job came from, such as its command line and versions.
	Origin []Labelled
}

// Labelled is a text with what it stands for.
type Labelled struct{ Label, Value string }

type reportPage struct {
	Title, Under, Note string
	Warnings           []string
	Figures            []Labelled
	Sections           []section
	Origin             []Labelled
	Text               func(column string) bool // whether a column holds texts
}

type section struct {
	Title, Text string
	Plots       []plot
	Table       *sheet
}

type plot struct {
	Plot    template.HTML
	Caption string
}

type sheet struct {
	Columns []string
	Rows    [][]string
}

// textColumns are those of tables that hold no numbers.
var textColumns = []string{"operation", "path", "class", "hint", "metric", "meaning", "at", "cache"}

// WriteReport writes a page of HTML, which needs nothing but itself, about a set's sum into dir and
// returns its path.
func (c *Cluster) WriteReport(dir, prefix string, job Dir, about About) (string, error) {
	page := reportPage{
		Title: "What Copper did", Under: fmt.Sprintf("%d daemons, %s", c.Files, c.Set), Note: KernelNote,
		Warnings: c.warnings(about.Expected), Figures: c.figures(), Origin: about.Origin,
		Text: func(column string) bool { return slices.Contains(textColumns, column) },
	}
	if about.Job != "" {
		page.Title += " in job " + about.Job
	}
	page.Sections = c.sections(job)
	made, err := template.New(reportFile).Parse(reportTemplate)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := made.Execute(&out, page); err != nil {
		return "", err
	}
	name := prefix + "-" + reportFile
	return dir + "/" + name, writeFile(dir, name, out.Bytes())
}

// warnings are what a reader should know first.
func (c *Cluster) warnings(expected int) (all []string) {
	say := func(n float64, format string) {
		if n > 0 {
			all = append(all, fmt.Sprintf(format, grouped(n)))
		}
	}
	say(float64(expected-c.Files), "%s ranks of the job are missing here: they had not written yet, or died.")
	say(float64(len(c.Unreadable)), "The files of %s daemons can't be read and are not in these figures.")
	say(c.Value("restarts"), "%s daemons died and were started again; what they had counted is lost.")
	say(c.Value("failovers"), "%s questions went on to another node since a peer gave no answer.")
	say(c.Value("direct_reads"), "%s questions went to the PFS directly though another node was there for them.")
	say(c.Value("evictions"), "%s table entries were given up for want of memory: --memory gives more.")
	say(c.Value("total_errors"), "%s requests ended with an error other than \"not there\".")
	say(c.Value("kernel_cache_off"), "%s kernels were told to keep nothing (--kernel-cache off): this run was slower than others.")
	if c.Value("kernel_questions") == 0 {
		all = append(all, "No kernel asked anything: nothing was read through the mounts, or not by paths below them.")
	}
	return all
}

func (c *Cluster) figures() []Labelled {
	asked, made := c.Value("kernel_questions"), c.Value("pfs_operations")
	given := c.Value("total_read_bytes") + c.Value("total_pushed_bytes")
	figures := []Labelled{
		{"requests of the kernels", grouped(asked)},
		{"operations at the PFS", grouped(made)},
		{"given to the kernels", sized(given)},
		{"read from the PFS", sized(c.Value("pfs_read_bytes"))},
		{"answered from the node's memory", fmt.Sprintf("%.1f%%", 100*c.Value("cache_hit_ratio"))},
	}
	if made > 0 && asked > made {
		figures = append(figures, Labelled{"requests for each operation at the PFS", fmt.Sprintf("%.1f", asked/made)})
	}
	return figures
}

func (c *Cluster) sections(job Dir) []section {
	amounts := func(shown func(float64) string, labelled ...string) (all []bar) {
		for i := 0; i < len(labelled); i += 2 {
			v := c.Value(labelled[i+1])
			all = append(all, bar{labelled[i], v, shown(v)})
		}
		return all
	}
	saved := section{Title: "What was saved", Text: "Without Copper each request of a kernel is one at the PFS, and so are the bytes.", Plots: []plot{
		{bars("operations without and with Copper", amounts(grouped, "operations without", "kernel_questions", "operations with", "pfs_operations")), ""},
		{bars("bytes without and with Copper", amounts(sized, "bytes without", "total_read_bytes", "bytes with", "pfs_read_bytes")),
			"Bytes that were put into the page cache before the kernel asked are not in the first of these."},
	}}
	operations := section{Title: "Requests and how long they took", Table: &sheet{Columns: []string{"operation", "calls", "hits", "misses", "negatives", "errors", "average", "median", "99% within"}}}
	for _, o := range c.Operations() {
		row := []string{o.Name, grouped(float64(o.Calls)), "", "", "", "", "", "", ""}
		if o.Measured {
			for i, n := range []int64{o.Hits, o.Misses, o.Negatives, o.Errors} {
				row[2+i] = grouped(float64(n))
			}
			row[6], row[7], row[8] = short(o.Latency.Average()).String(), short(o.Latency.Quantile(0.5)).String(), short(o.Latency.Quantile(0.99)).String()
			if p := distribution("latencies of "+o.Name, &o.Latency); p != "" && (o.Name == Lookup.String() || o.Name == Read.String()) {
				operations.Plots = append(operations.Plots, plot{p, o.Name + ": requests by the time until their answer, shortest left, on a logarithmic scale"})
			}
		}
		operations.Table.Rows = append(operations.Table.Rows, row)
	}
	all := []section{saved}
	if job != "" {
		if t := readTimeline(job); t != nil && t.most > 0 {
			caption := "Requests of each daemon's kernel between one periodic snapshot and the next, by number; the darker, the more."
			if t.shared > 1 {
				caption += fmt.Sprintf(" A row stands for %d daemons.", t.shared)
			}
			all = append(all, section{Title: "When the nodes asked", Plots: []plot{{heatMap("requests over time", t), caption}}})
		}
	}
	all = append(all, operations, section{Title: "What was asked of the PFS", Plots: []plot{{bars("operations at the PFS", amounts(grouped,
		"lstat", "pfs_lstat", "readdir", "pfs_readdir", "readlink", "pfs_readlink", "open", "pfs_open", "read", "pfs_read")), ""}}})
	if trees := c.trees(); len(trees) > 1 {
		all = append(all, section{Title: "The trees", Text: "What the nodes of each tree sent each other: even bars are an even load.",
			Plots: []plot{{bars("bytes of each tree", trees), ""}}})
	}
	all = append(all, c.balance(), c.caches())
	return append(all, c.pathSections()...)
}

func (c *Cluster) trees() (all []bar) {
	for tree := 0; ; tree++ {
		v, ok := c.values[fmt.Sprintf("tree_%d_bytes_out", tree)]
		if !ok {
			return all
		}
		all = append(all, bar{fmt.Sprintf("tree %d", tree), v, sized(v)})
	}
}

func (c *Cluster) balance() section {
	s := section{Title: "How even the nodes are", Table: &sheet{Columns: []string{"metric", "least", "mean", "most", "at"}}}
	for _, name := range balanced {
		if d := c.spread[name]; d != nil {
			mean := ""
			if !notSummed[name] {
				mean = grouped(c.values[name] / float64(c.Files))
			}
			s.Table.Rows = append(s.Table.Rows, []string{name, grouped(d.least), mean, grouped(d.most), d.at})
		}
	}
	return s
}

func (c *Cluster) caches() section {
	s := section{Title: "What the nodes held at the end", Table: &sheet{Columns: []string{"cache", "entries", "size"}}}
	var entries, size float64
	for _, t := range tables {
		n, b := c.Value(t.name+"_cache_entries"), c.Value(t.name+"_cache_bytes")
		entries, size = entries+n, size+b
		s.Table.Rows = append(s.Table.Rows, []string{t.name + " (" + t.holds + ")", grouped(n), sized(b)})
	}
	s.Table.Rows = append(s.Table.Rows, []string{"combined", grouped(entries), sized(size)})
	return s
}

// pathSections are about paths, if the daemons kept any.
func (c *Cluster) pathSections() (all []section) {
	if classes := c.classes(); len(classes) > 0 {
		s := section{Title: "Kinds of paths", Table: &sheet{Columns: []string{"class", "paths", "requests", "bytes"}}}
		for _, k := range classes {
			s.Table.Rows = append(s.Table.Rows, []string{k.name, grouped(float64(k.paths)), grouped(float64(k.requests)), sized(float64(k.data))})
		}
		all = append(all, s)
	}
	top := c.hottest()
	if len(top) == 0 {
		for _, p := range c.paths {
			top = append(top, TopPath{Path: p.Path, Requests: p.Requests(), Misses: p.Misses, Negatives: p.Negatives, Bytes: p.Bytes})
		}
		sortTop(top)
	}
	hot := section{Title: "Hottest paths", Table: &sheet{Columns: []string{"requests", "bytes", "path"}}}
	missed := section{Title: "Most missed names", Text: "Names that were looked for and are not there.", Table: &sheet{Columns: []string{"requests", "path", "hint"}}}
	for _, p := range top {
		missing := p.Negatives > 0 && p.Negatives >= p.Requests-p.Error
		switch {
		case missing && len(missed.Table.Rows) < reportRows:
			missed.Table.Rows = append(missed.Table.Rows, []string{grouped(float64(p.Requests)), shownPath(p.Path), hints[Class(p.Path, true)]})
		case !missing && len(hot.Table.Rows) < reportRows:
			hot.Table.Rows = append(hot.Table.Rows, []string{grouped(float64(p.Requests)), sized(float64(p.Bytes)), shownPath(p.Path)})
		}
	}
	for _, s := range []section{hot, missed} {
		if len(s.Table.Rows) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// hints say what names that are missing are about.
var hints = map[string]string{
	PythonZipProbe:       "Python looks for a zipped library at each start; harmless",
	VirtualEnvProbe:      "Python looks whether it is in a virtual environment; harmless",
	HwcapsProbe:          "the loader looks for libraries made for this processor; harmless",
	MissingSharedLibrary: "a directory early in LD_LIBRARY_PATH, or an RPATH, that lacks this library",
	OtherNegativeProbe:   "an entry early in PATH or PYTHONPATH that lacks this name",
}

// grouped is a number with its thousands apart.
func grouped(v float64) string {
	if v >= 1000 {
		v = math.Round(v)
	}
	if v != float64(int64(v)) {
		return fmt.Sprintf("%.2f", v)
	}
	digits := fmt.Sprintf("%d", int64(v))
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// sized is a number of bytes.
func sized(v float64) string {
	unit := 0
	for ; v >= 1024 && unit < 5; unit++ {
		v /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%.0f B", v)
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[unit-1])
}
