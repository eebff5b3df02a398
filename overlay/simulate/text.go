package simulate

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes a result as a table for people.
func (r *Result) WriteText(w io.Writer) error {
	p := r.Plan
	fmt.Fprintf(w, "Manifest %s: %d accesses, which read %s; %d per node at one time, %d processes per node.\n",
		r.Manifest, r.Accesses, bytesText(r.Bytes), p.InFlight, p.Processes)
	fmt.Fprintf(w, "Nodes: %s/s each way, %v to each other, %v per message, %v per access.\n",
		bytesText(int64(p.Wire.Bandwidth)), p.Wire.Latency, p.Wire.Handling, p.Access)
	fmt.Fprintf(w, "PFS: %.0f metadata operations/s, %s/s in all, %s/s per client, %v.\n\n",
		p.PFS.Ops, bytesText(int64(p.PFS.Bandwidth)), bytesText(int64(p.PFS.ClientBandwidth)), p.PFS.Latency)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t\twith Copper\t\t\twithout Copper\t\t\tsent by a node\t\t\t")
	fmt.Fprintln(t, "nodes\ttrees\ttime\tPFS ops\tPFS read\ttime\tPFS ops\tPFS read\tmean\tmost\tratio\tfound by\t")
	for _, row := range r.Rows {
		fmt.Fprintln(t, strings.Join([]string{
			fmt.Sprint(row.Nodes), fmt.Sprint(row.Trees),
			secondsText(row.Seconds), fmt.Sprint(row.PFS.Metadata()), bytesText(row.PFS.Bytes),
			secondsText(row.DirectSeconds), fmt.Sprint(row.Direct.Metadata()), bytesText(row.Direct.Bytes),
			bytesText(row.MeanSent), bytesText(row.MostSent), fmt.Sprintf("%.2f", row.Hottest()), string(row.Method),
		}, "\t")+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "\n", r.notes())
	return err
}

// notes say what the columns mean, and how the rows were found.
func (r *Result) notes() string {
	var notes []string
	methods := map[Method]bool{}
	for _, row := range r.Rows {
		methods[row.Method] = true
	}
	if methods[Daemons] {
		notes = append(notes, "daemons: found by the daemons' own code, over a virtual network in virtual time.")
	}
	if methods[Model] {
		notes = append(notes, "model: found by a model of the daemons on the same trees, network and PFS.")
	}
	notes = append(notes,
		"Without Copper: arithmetic, every node asks the PFS for everything once, all taking turns.",
		"Times are what the files cost. The application's own work comes on top, with Copper as without.")
	return strings.Join(notes, "\n") + "\n"
}

func secondsText(s float64) string {
	d := time.Duration(s * 1e9)
	switch {
	case s >= 100:
		return fmt.Sprintf("%.0f s", s)
	case s >= 1:
		return fmt.Sprintf("%.2f s", s)
	}
	return d.Round(100 * time.Microsecond).String()
}

// bytesText is in powers of 1000, as link speeds are.
func bytesText(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v := float64(n) / 1000
	i := 0
	for ; v >= 999.5 && i < len(units)-1; i++ {
		v /= 1000
	}
	return fmt.Sprintf("%.3g %cB", v, units[i])
}
