package live

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/copper-hpc/copper/launch"
)

// history is what the last two looks that were answered saw, and why later ones were not.
type history struct {
	last, before *seen
	err          error
	failed       time.Time // since when there was no answer
}

func (h *history) add(s seen) {
	if s.err != nil {
		if h.err == nil {
			h.failed = s.at.Add(-s.took)
		}
		h.err = s.err
		return
	}
	h.before, h.last, h.err = h.last, &s, nil
}

// rate is how much a number grew in a second between the last two looks. There is none while nodes come and go:
// their counters do too.
func (h *history) rate(of func(launch.Totals) int64) (perSecond float64, ok bool) {
	if h.before == nil {
		return 0, false
	}
	a, b := h.before.status.Totals, h.last.status.Totals
	span := h.last.at.Sub(h.before.at).Seconds()
	if a.Nodes != b.Nodes || a.Restarts != b.Restarts || span <= 0 {
		return 0, false
	}
	return max(float64(of(b)-of(a))/span, 0), true
}

func (h *history) bytesNow(of func(launch.Totals) int64) string {
	if r, ok := h.rate(of); ok {
		return launch.Bytes(int64(r)) + "/s"
	}
	return "-"
}

func (h *history) countNow(of func(launch.Totals) int64) string {
	if r, ok := h.rate(of); ok {
		return grouped(int64(r)) + "/s"
	}
	return "-"
}

// hitsNow is the hit rate between the last two looks.
func (h *history) hitsNow() string {
	hits, ok := h.rate(func(t launch.Totals) int64 { return t.Hits })
	asked, _ := h.rate(func(t launch.Totals) int64 { return t.Questions })
	if !ok || asked == 0 {
		return "-"
	}
	return percent(hits / asked)
}

func delivered(t launch.Totals) int64 { return t.ReadBytes + t.PushedBytes }
func requests(t launch.Totals) int64  { return t.Requests }
func exchanged(t launch.Totals) int64 { return t.OverlayBytes }
func made(t launch.Totals) int64      { return t.PFSOperations }

// line is what the last look saw.
func (h *history) line() string {
	now := time.Now().Format(time.TimeOnly)
	if h.last == nil || h.err != nil {
		return fmt.Sprintf("%s %v", now, h.err)
	}
	s := h.last.status
	t := s.Totals
	return fmt.Sprintf("%s %s: %d of %d nodes, hit rate %s, PFS %s ops made and %s saved, %s to kernels at %s, memory %s, %d suspected, %d restarts",
		now, s.State, t.Nodes, t.Nodes+t.Missing, percent(t.HitRate), grouped(t.PFSOperations), grouped(t.PFSOperationsSaved),
		launch.Bytes(delivered(t)), h.bytesNow(delivered), launch.Bytes(t.MemoryUsed), len(s.Cluster.Suspicions), t.Restarts)
}

// labelled is the width of the labels, with the gap after them.
const labelled = 12

// frame is what a terminal of that size shows: at most height lines, none longer than width. What matters least
// comes last, and is left out where there is no room.
func (h *history) frame(job string, now time.Time, width, height int) []string {
	f := &frame{width: width}
	clock := now.Format(time.TimeOnly)
	if h.last == nil {
		f.line(bold, "copper "+job)
		if h.err != nil {
			f.row(yellow, "waiting", h.err.Error())
		} else {
			f.row("", "waiting", "for the nodes' answer")
		}
		return f.fit(height)
	}
	s := h.last.status
	t := s.Totals
	nodes := fmt.Sprintf("%s of %s nodes", grouped(int64(t.Nodes)), grouped(int64(t.Nodes+t.Missing)))
	title := fmt.Sprintf("copper %s: %s, %s", job, s.State, nodes)
	if up := now.Sub(s.Started); up > 0 {
		title += ", up " + age(up)
	}
	if gap := width - len(title) - len(clock); gap > 1 {
		title += strings.Repeat(" ", gap) + clock
	}
	f.line(bold, title)
	if h.err != nil {
		f.row(yellow, "no answer", fmt.Sprintf("for %s: %v", age(now.Sub(h.failed)), h.err))
	} else if old := now.Sub(h.last.at); old > 10*time.Second {
		f.row(yellow, "as of", age(old)+" ago: somebody is slow to answer")
	}
	f.line("", "")
	f.bar("hit rate", t.HitRate, "now "+h.hitsNow())
	saved := 0.0
	if all := t.PFSOperations + t.PFSOperationsSaved; all > 0 {
		saved = float64(t.PFSOperationsSaved) / float64(all)
	}
	f.bar("PFS saved", saved, fmt.Sprintf("%s ops, %s", grouped(t.PFSOperationsSaved), launch.Bytes(t.PFSBytesSaved)))
	f.row("", "PFS made", fmt.Sprintf("%s ops, %s; now %s", grouped(t.PFSOperations), launch.Bytes(t.PFSBytes), h.countNow(made)))
	f.row("", "to kernels", fmt.Sprintf("%s; now %s", launch.Bytes(delivered(t)), h.bytesNow(delivered)))
	f.row("", "requests", fmt.Sprintf("%s; now %s", grouped(t.Requests), h.countNow(requests)))
	f.row("", "peers", fmt.Sprintf("%s; now %s", launch.Bytes(t.OverlayBytes), h.bytesNow(exchanged)))
	memory := s.Cluster.Memory
	used := 0.0
	if memory.Limit > 0 {
		used = float64(memory.Used) / float64(memory.Limit)
	}
	f.bar("memory", used, fmt.Sprintf("%s of %s", launch.Bytes(memory.Used), launch.Bytes(memory.Limit)))
	if warm := s.Cluster.Warm; warm.Active {
		done := 0.0
		if warm.Accesses > 0 {
			done = float64(warm.Done) / float64(warm.Accesses)
		}
		f.bar("warming", done, launch.Bytes(warm.Bytes))
	}
	f.troubles(s)
	if took := s.Cluster.Counted.Latency(); took.Count() > 0 {
		f.row("", "latency", fmt.Sprintf("%s on the average, 99%% within %s", short(took.Average()), short(took.Quantile(0.99))))
	}
	if len(s.Cluster.Slowest) > 1 {
		var slow []string
		for _, n := range s.Cluster.Slowest {
			slow = append(slow, fmt.Sprintf("%s (rank %d) %s", n.Host, n.Rank, short(n.Mean)))
		}
		f.list("", "slowest", slow, len(slow))
	}
	f.line("", "")
	f.line(dim, s.Note)
	return f.fit(height)
}

// troubles are rows for what is wrong; none if nothing is.
func (f *frame) troubles(s *launch.Status) {
	var missing, suspected, restarted []string
	for _, m := range s.Missing {
		missing = append(missing, fmt.Sprintf("%s (rank %d)", m.Host, m.Rank))
	}
	f.list(yellow, "missing", missing, len(missing))
	for _, m := range s.Cluster.Suspicions {
		suspected = append(suspected, fmt.Sprintf("%s (rank %d)", m.Host, m.Rank))
	}
	f.list(yellow, "suspected", suspected, len(suspected))
	for _, n := range s.Cluster.Restarted.Nodes {
		restarted = append(restarted, fmt.Sprintf("%s (rank %d) x%d", n.Host, n.Rank, n.Value))
	}
	f.list(yellow, "restarted", restarted, s.Cluster.Restarted.Count)
	if t := s.Totals; t.Failovers+t.DirectReads > 0 {
		f.row(yellow, "repairs", fmt.Sprintf("%s questions went on to another node, %s to the PFS directly", grouped(t.Failovers), grouped(t.DirectReads)))
	}
}

// frame is lines that are being put together.
type frame struct {
	width int
	lines []string
}

// Styles of a line.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// line adds a line, cut at the width.
func (f *frame) line(style, text string) {
	text = cut(text, f.width)
	if style != "" && text != "" {
		text = style + text + plain
	}
	f.lines = append(f.lines, text)
}

func (f *frame) row(style, label, text string) {
	f.line(style, fmt.Sprintf("%-*s%s", labelled, label, text))
}

// bar adds a row with a share, 0 to 1, drawn if there is room.
func (f *frame) bar(label string, share float64, text string) {
	const most = 30
	length := min(f.width-labelled-len(text)-len("[] 100.0%  "), most)
	if length < 5 {
		f.row("", label, text)
		return
	}
	full := int(min(max(share, 0), 1)*float64(length) + 0.5)
	f.row("", label, fmt.Sprintf("[%s%s] %6s  %s", strings.Repeat("#", full), strings.Repeat("-", length-full), percent(share), text))
}

// list adds a row that names as many as there is room for, of so many.
func (f *frame) list(style, label string, names []string, of int) {
	if of == 0 {
		return
	}
	text := ""
	for i, name := range names {
		more := ""
		if rest := of - i - 1; rest > 0 {
			more = fmt.Sprintf(", %d more", rest)
		}
		sep := ", "
		if i == 0 {
			sep = ""
		}
		if i > 0 && labelled+len(text)+len(sep)+len(name)+len(more) > f.width {
			text += fmt.Sprintf(", %d more", of-i)
			break
		}
		text += sep + name
	}
	f.row(style, label, text)
}

// fit leaves out what is too much.
func (f *frame) fit(height int) []string {
	lines := f.lines
	for i := len(lines) - 1; len(lines) > height && i > 0; i-- { // first the room between
		if lines[i] == "" {
			lines = append(lines[:i:i], lines[i+1:]...)
		}
	}
	return lines[:min(len(lines), max(height, 1))]
}

// cut is text in one line of at most width characters, without control characters.
func cut(text string, width int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	const mark = ".."
	runes := []rune(text)
	if width <= len(mark) {
		return string(runes[:max(width, 0)])
	}
	return string(runes[:width-len(mark)]) + mark
}

// grouped is a number with its digits in threes.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// age is a duration in seconds or more.
func age(d time.Duration) string { return d.Round(time.Second).String() }

// short is a duration with three digits or so.
func short(d time.Duration) time.Duration {
	for unit := time.Second; unit > 1; unit /= 10 {
		if d >= unit {
			return d.Round(unit / 100)
		}
	}
	return d
}
