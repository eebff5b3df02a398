package launch

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText prints s as a table for people.
func (s Status) WriteText(w io.Writer, now time.Time) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "job %s: %s since %s, %d of %d nodes answer\n\n", s.Job, s.State,
		s.Started.Format(time.DateTime), s.Totals.Nodes, s.Totals.Nodes+s.Totals.Missing)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "rank\thost\tpid\tup\tmemory\tof\trequests\thits\tPFS ops\tPFS bytes\tfrom peers\tto peers\t  mount")
	for _, n := range s.Nodes {
		t := total([]NodeStatus{n})
		var in int64
		for _, tree := range n.Trees {
			in += tree.BytesIn
		}
		fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s\t  %s\n", n.Rank, n.Host, n.PID,
			now.Sub(n.Since).Round(time.Second), Bytes(n.Memory.Used), Bytes(n.Memory.Limit), t.Requests,
			percent(t.HitRate), t.PFSOperations, Bytes(t.PFSBytes), Bytes(in), Bytes(t.OverlayBytes), n.Mount)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		if n.Restarts > 0 {
			fmt.Fprintf(out, "rank %d on %s was started again %s; it counts since then\n", n.Rank, n.Host, count(n.Restarts, "time"))
		}
	}
	for _, line := range suspicions(s.Nodes) {
		fmt.Fprintln(out, line)
	}
	for _, m := range s.Missing {
		fmt.Fprintf(out, "rank %d on %s: %s\n", m.Rank, m.Host, m.Error)
	}
	fmt.Fprintln(out)
	out.WriteString(s.Totals.text())
	out.WriteString(cacheUse(s.Nodes).text())
	out.WriteString(compressionText(s.Nodes))
	out.WriteString(s.Totals.Compression.text())
	_, err := io.WriteString(w, out.String())
	return err
}

// WriteSummary prints what a job that ended has done, and where its outputs are.
func (s Status) WriteSummary(w io.Writer) error {
	out := &strings.Builder{}
	fmt.Fprintf(out, "job %s stopped: %d of %d nodes told their counters\n", s.Job, s.Totals.Nodes, s.Totals.Nodes+s.Totals.Missing)
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

// suspicions says which nodes give no answer, to whom and since when: a line for each of them, since
// one that is gone may be missed by thousands.
func suspicions(nodes []NodeStatus) (lines []string) {
	type missed struct {
		SuspectPeer
		by     NodeStatus // the first to miss it
		others int
	}
	found := map[int]*missed{}
	for _, n := range nodes {
		for _, p := range n.SuspectPeers {
			m := found[p.Rank]
			switch {
			case m == nil:
				found[p.Rank] = &missed{p, n, 0}
				continue
			case p.Since.Before(m.Since):
				m.SuspectPeer, m.by = p, n
			}
			m.others++
		}
	}
	for _, rank := range slices.Sorted(maps.Keys(found)) {
		m := found[rank]
		line := fmt.Sprintf("rank %d on %s has given no answer to rank %d on %s since %s", m.Rank, m.Host,
			m.by.Rank, m.by.Host, m.Since.Format(time.DateTime))
		if m.others > 0 {
			line += ", nor to " + count(m.others, "other node")
		}
		lines = append(lines, line)
	}
	return lines
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }
