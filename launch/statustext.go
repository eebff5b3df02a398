package launch

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText prints s as a table for people.
func (s Status) WriteText(w io.Writer, now time.Time) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "job %s: %s since %s, %d of %d nodes answer\n", s.Job, s.State,
		s.Started.Format(time.DateTime), s.Totals.Nodes, s.Totals.Nodes+s.Totals.Missing)
	if len(s.Nodes) == 0 && s.Totals.Nodes > 0 {
		fmt.Fprintln(out, "(copper status --nodes has a row for each)")
	}
	if len(s.Nodes) > 0 {
		fmt.Fprintln(out)
		if err := s.writeRows(out, now); err != nil {
			return err
		}
	}
	for _, n := range s.Cluster.Restarted.lines(func(n NotedNode) string {
		return fmt.Sprintf("rank %d on %s was started again %s; it counts since then", n.Rank, n.Host, count(int(n.Value), "time"))
	}) {
		fmt.Fprintln(out, n)
	}
	for _, line := range s.Cluster.suspicions() {
		fmt.Fprintln(out, line)
	}
	for i, m := range s.Missing {
		if i == mostNoted {
			fmt.Fprintf(out, "and %s\n", count(len(s.Missing)-i, "other node"))
			break
		}
		fmt.Fprintf(out, "rank %d on %s: %s\n", m.Rank, m.Host, m.Error)
	}
	fmt.Fprintln(out)
	out.WriteString(s.Totals.text())
	out.WriteString(s.Cluster.latencies())
	out.WriteString(s.Cluster.Cache.text())
	out.WriteString(s.Cluster.Compression.doing())
	out.WriteString(s.Totals.Compression.text())
	fmt.Fprintf(out, "\n%s\n", s.Note)
	_, err := io.WriteString(w, out.String())
	return err
}

// writeRows prints a line for each node.
func (s Status) writeRows(out io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "rank\thost\tpid\tup\tmemory\tof\trequests\thits\tPFS ops\tPFS bytes\tfrom peers\tto peers\t  mount")
	for _, n := range s.Nodes {
		t := n.totals()
		var in int64
		for _, tree := range n.Trees {
			in += tree.BytesIn
		}
		fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\t  %s\n", n.Rank, n.Host, n.PID,
			now.Sub(n.Since).Round(time.Second), Bytes(n.Memory.Used), Bytes(n.Memory.Limit), t.Requests,
			percent(t.HitRate), t.PFSOperations, Bytes(t.PFSBytes), Bytes(in), Bytes(t.OverlayBytes), n.Mount)
	}
	return table.Flush()
}

// WriteSummary prints what a job that ended has done, and where its outputs are.
func (s Status) WriteSummary(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "job %s stopped: %d of %d nodes told their counters\n", s.Job, s.Totals.Nodes, s.Totals.Nodes+s.Totals.Missing); err != nil {
		return err
	}
	return s.WriteTotals(w)
}

// WriteTotals prints what a job has done, and where its outputs are.
func (s Status) WriteTotals(w io.Writer) error {
	out := &strings.Builder{}
	out.WriteString(s.Totals.text())
	out.WriteString(s.Totals.Compression.text())
	fmt.Fprintf(out, "  outputs      %s\n", s.Dir)
	if info, err := os.Lstat(s.Dir.Profiles()); err == nil && info.IsDir() {
		fmt.Fprintf(out, "  profile      copper profile report %s\n", s.Dir)
	}
	if info, err := os.Lstat(s.Dir.Manifest()); err == nil && !info.ModTime().Before(s.Started) {
		fmt.Fprintf(out, "  next time    copper launch --warm %s\n", s.Dir.Manifest())
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (t Totals) text() string {
	out := &strings.Builder{}
	fmt.Fprintf(out, "  requests     %d answered to the kernels, %s of file data", t.Requests, Bytes(t.ReadBytes))
	if t.PushedBytes > 0 {
		fmt.Fprintf(out, "; %s given before they asked", Bytes(t.PushedBytes))
	}
	fmt.Fprintln(out)
	fmt.Fprintf(out, "  PFS          %d operations and %s made; %d operations and %s saved\n",
		t.PFSOperations, Bytes(t.PFSBytes), t.PFSOperationsSaved, Bytes(t.PFSBytesSaved))
	fmt.Fprintf(out, "  hit rate     %s of the questions to the nodes' tables\n", percent(t.HitRate))
	fmt.Fprintf(out, "  peers        %s sent from node to node\n", Bytes(t.OverlayBytes))
	fmt.Fprintf(out, "  failovers    %d questions went on to another node, %d to the PFS directly\n", t.Failovers, t.DirectReads)
	if t.Hedges > 0 || t.Slow > 0 {
		fmt.Fprintf(out, "  slow peers   %d questions were put to a second node, which was faster for %d", t.Hedges, t.HedgesWon)
		if t.Slow > 0 {
			fmt.Fprintf(out, "; %s slow now", count(t.Slow, "link"))
		}
		fmt.Fprintln(out)
	}
	return out.String()
}

// suspicions says which nodes give no answer, to whom and since when: a line for each of them.
func (s *Summary) suspicions() (lines []string) {
	for _, m := range s.Suspicions {
		line := fmt.Sprintf("rank %d on %s has given no answer to rank %d on %s since %s", m.Rank, m.Host,
			m.ByRank, m.ByHost, m.Since.Format(time.DateTime))
		if m.Others > 0 {
			line += ", nor to " + count(m.Others, "other node")
		}
		lines = append(lines, line)
	}
	return lines
}

// latencies says how long the kernels waited for answers, and where longest.
func (s *Summary) latencies() string {
	took := s.Counted.Latency()
	if took.Count() == 0 {
		return ""
	}
	line := fmt.Sprintf("  latency      %s on the average, 99%% within %s", short(took.Average()), short(took.Quantile(0.99)))
	if s.NodesCounted > 1 && len(s.Slowest) > 0 {
		line += fmt.Sprintf("; slowest: %s on the average for rank %d on %s", short(s.Slowest[0].Mean), s.Slowest[0].Rank, s.Slowest[0].Host)
	}
	return line + "\n"
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

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }
