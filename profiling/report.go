package profiling

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

//go:embed report.html
var reportTemplate string

var reportPage = template.Must(template.New(reportFile).Parse(reportTemplate))

const (
	reportFile = "profiling_report.html"
	reportRows = 25 // of tables of paths
	namedRanks = 12 // that are missing
)

// About is what a report says of the job beside the daemons' files.
type About struct {
	Job   string
	Hosts []string // by rank; nil where nobody knows
	When  string   // and how it stands, one line
	// Missing says why these are not the counts of the whole job, one line; "" where they are.
	Missing string
	// Origin is where the job came from, such as its command line and versions.
	Origin []Labelled
}

// Labelled is a text with what it stands for.
type Labelled struct{ Label, Value string }

// contents are what the template is filled with.
type contents struct {
	Title, Under string
	Warnings     []string
	Fine         string // where there are none
	Savings      []saving
	Figures      []Labelled
	Note         string
	Sections     []section
	Origin       []Labelled
}

// saving is what there was to do without Copper and with it.
type saving struct {
	What, Headline, Than string
	Bars                 []bar
	Note                 string
}

type section struct {
	Title, Text string
	Charts      []chart
	Small       bool // the charts stand beside each other
	Bars        []group
	Tables      []sheet
	Under       string
}

// group is bars of the same scale.
type group struct {
	Title string
	Bars  []bar
}

type sheet struct {
	Title   string
	Columns []column
	Rows    [][]string
}

type column struct {
	Name string
	Kind string // "number", "text", "path" or "hint"
}

// named are columns of a sheet: name:kind, without a kind numbers.
func named(names ...string) (all []column) {
	for _, n := range names {
		name, kind, ok := strings.Cut(n, ":")
		if !ok {
			kind = "number"
		}
		all = append(all, column{name, kind})
	}
	return all
}

func (s *sheet) add(fields ...string) { s.Rows = append(s.Rows, fields) }

// Nothing is the sum of no daemons.
func Nothing() *Cluster { return newCluster() }

// WriteReport writes a page of HTML, which needs nothing but itself, about a set's sum into dir and
// returns its path.
func (c *Cluster) WriteReport(dir, prefix string, about About) (string, error) {
	p := contents{Title: "What Copper did", Under: c.under(about), Warnings: c.warnings(about), Origin: about.Origin}
	if about.Job != "" {
		p.Title += " in job " + about.Job
	}
	if c.Files > 0 {
		p.Savings, p.Figures, p.Sections, p.Note = c.savings(), c.figures(), c.sections(), KernelNote
		p.Fine = "Nothing went wrong: every rank's counts are here, no node failed another, no request ended with an error."
	}
	var out bytes.Buffer
	if err := reportPage.Execute(&out, p); err != nil {
		return "", err
	}
	name := prefix + "-" + reportFile
	return dir + "/" + name, writeFile(dir, name, out.Bytes())
}

func (c *Cluster) under(about About) string {
	var parts []string
	switch ranks := len(about.Hosts); {
	case ranks > 0:
		parts = append(parts, counted(ranks, "rank"))
	case c.Files > 0:
		parts = append(parts, counted(c.Files, "daemon"))
	}
	if about.When != "" {
		parts = append(parts, about.When)
	}
	return strings.Join(parts, ", ")
}

// warnings are what a reader should know first.
func (c *Cluster) warnings(about About) (all []string) {
	if about.Missing != "" {
		all = append(all, about.Missing)
	}
	if c.Files == 0 {
		return all
	}
	if n := len(about.Hosts) - c.Files; n > 0 {
		all = append(all, fmt.Sprintf("%s of %s ranks are missing in these figures%s: they had not written yet, were killed (time limit, memory, "+
			"a lost node), or the file system of their outputs hung. Their logs are in the job's logs/; with -I, what they had counted until then is in profiling/"+runtimePrefix+"….",
			grouped(float64(n)), grouped(float64(len(about.Hosts))), c.missing(about.Hosts)))
	}
	if n := len(c.Unreadable); n > 0 {
		all = append(all, fmt.Sprintf("The files of %s can't be read and are not in these figures, such as %s.", counted(n, "daemon"), c.Unreadable[0]))
	}
	say := func(metric, one, many, format string) {
		if n := c.Value(metric); n == 1 {
			all = append(all, fmt.Sprintf(format, "1 "+one))
		} else if n > 1 {
			all = append(all, fmt.Sprintf(format, grouped(n)+" "+many))
		}
	}
	say("restarts", "daemon died and was", "daemons died and were", "%s started again: what had been counted until then is lost, and the rank began with empty caches.")
	say("failovers", "question", "questions", "%s went on to another node since a peer gave no answer: copper status and the logs say which peer.")
	say("direct_reads", "question", "questions", "%s went to the PFS directly though another node was there for them.")
	say("evictions", "table entry was", "table entries were", "%s given up for want of memory, and asked for again if it was wanted: --memory gives more.")
	say("total_errors", "request", "requests", "%s ended with an error other than \"not there\".")
	say("kernel_cache_off", "kernel was", "kernels were", "%s told to keep nothing (--kernel-cache off): nearly every use of a file is counted, and the run was slower than others.")
	say("warmed_accesses", "access was", "accesses were", "%s made by copper warm before the application asked: what it showed the kernels is counted as requests, and as used.")
	if c.Value("kernel_questions") == 0 {
		all = append(all, "No kernel asked anything: nothing was read through the mounts. Was the application given paths below the mount? copper env prints them.")
	}
	return all
}

// missing names the ranks that wrote nothing, if that is known.
func (c *Cluster) missing(hosts []string) string {
	if len(c.lanes) != c.Files {
		return ""
	}
	here := map[int]bool{}
	for _, l := range c.lanes {
		here[l.rank] = true
	}
	var names []string
	for rank, host := range hosts {
		if !here[rank] {
			if len(names) == namedRanks {
				names = append(names, "…")
				break
			}
			names = append(names, fmt.Sprintf("%d on %s", rank, host))
		}
	}
	return " (rank " + strings.Join(names, ", ") + ")"
}

// savings are what was saved, first of all.
func (c *Cluster) savings() []saving {
	made := saving{What: "Operations at the parallel file system", Note: "Without Copper, each question of a kernel is one to the file system; opening and closing come on top."}
	bytes := saving{What: "Bytes read from the parallel file system", Note: "Without Copper, each kernel reads for itself at least what it asked for here."}
	if ahead := c.Value("total_pushed_bytes") - c.Value("total_warmed_bytes"); ahead > 0 {
		bytes.Note += fmt.Sprintf(" %s more were given before they were asked for; how much of that would have been read is not known.", sized(ahead))
	}
	for _, s := range []struct {
		*saving
		without, with float64
		shown         func(float64) string
		less          string
	}{
		{&made, c.Value("kernel_questions"), c.Value("pfs_operations"), grouped, " fewer"},
		{&bytes, c.Value("total_read_bytes") + c.Value("total_warmed_bytes"), c.Value("pfs_read_bytes"), sized, " fewer"},
	} {
		s.Bars = scaled([]bar{{Label: "without Copper", Shown: s.shown(s.without), Faint: true}, {Label: "with Copper", Shown: s.shown(s.with)}},
			[]float64{s.without, s.with})
		switch {
		case s.without == 0 && s.with == 0:
			s.Headline, s.Than = "none", "were needed"
		case s.with < s.without:
			s.Headline, s.Than = percentLess(s.with/s.without)+s.less, "1 for every "+ratio(s.without/max(s.with, 1))
		default:
			s.Headline, s.Than = "none saved", "the ranks had little in common"
			if c.Files == 1 {
				s.Than = "one rank has nobody to share with"
			}
		}
	}
	return []saving{made, bytes}
}

// percentLess is how much less a share is than all.
func percentLess(share float64) string {
	percent := 100 * (1 - share)
	if percent >= 99 && percent < 100 {
		return fmt.Sprintf("%.1f%%", math.Min(percent, 99.9))
	}
	return fmt.Sprintf("%.0f%%", percent)
}

func ratio(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return grouped(math.Round(v))
}

func (c *Cluster) figures() []Labelled {
	figures := []Labelled{
		{"questions of the kernels answered", grouped(c.Value("kernel_questions"))},
		{"of them from the node's own memory", fmt.Sprintf("%.1f%%", 100*c.Value("cache_hit_ratio"))},
	}
	if d := c.waited(); d > 0 {
		figures = append(figures, Labelled{"from request to answer, summed over a rank's requests", took(d)})
	}
	sent := 0.0
	for _, v := range c.trees("bytes_out") {
		sent += v
	}
	return append(figures, Labelled{"sent from node to node", sized(sent)},
		Labelled{"most memory of a daemon", sized(c.Value("memory_peak_bytes"))})
}

// waited is the time of all requests, of one daemon on average.
func (c *Cluster) waited() time.Duration {
	return time.Duration(c.Value("total_measured_latency_seconds") / float64(c.Files) * 1e9)
}

// trees is a metric of each tree.
func (c *Cluster) trees(metric string) (all []float64) {
	for tree := 0; ; tree++ {
		v, ok := c.values[fmt.Sprintf("tree_%d_%s", tree, metric)]
		if !ok {
			return all
		}
		all = append(all, v)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(float64(n)) + " " + what + "s"
}

// grouped is a number with its thousands apart.
func grouped(v float64) string {
	if v >= 100 {
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
