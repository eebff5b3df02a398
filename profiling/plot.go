package profiling

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Widths of plots, in the units of their own coordinates; the page scales them.
const (
	plotWidth  = 720
	labelWidth = 190
	barHeight  = 22
)

// bar is a labelled amount.
type bar struct {
	label string
	value float64
	shown string
}

// bars draws amounts beside each other, the longest over the whole width.
func bars(title string, all []bar) template.HTML {
	most := 0.0
	for _, b := range all {
		most = max(most, b.value)
	}
	out := &strings.Builder{}
	beginPlot(out, title, len(all)*barHeight+4)
	for i, b := range all {
		width := 0.0
		if most > 0 {
			width = b.value / most * (plotWidth - labelWidth - 110)
		}
		y := i * barHeight
		fmt.Fprintf(out, `<text x="%d" y="%d" class="label">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" class="bar"/><text x="%.1f" y="%d">%s</text>`,
			labelWidth-8, y+16, html.EscapeString(b.label), labelWidth, y+3, max(width, 0.5), barHeight-6, labelWidth+width+6, y+16, html.EscapeString(b.shown))
	}
	return endPlot(out)
}

// distribution draws how many requests took how long, on a logarithmic scale of time.
func distribution(title string, h *Histogram) template.HTML {
	first, last, most := -1, 0, uint64(0)
	for i, c := range h.counts {
		if c > 0 {
			if first < 0 {
				first = i
			}
			last, most = i, max(most, c)
		}
	}
	if first < 0 {
		return ""
	}
	const height = 90
	out := &strings.Builder{}
	beginPlot(out, title, height+22)
	step := float64(plotWidth) / float64(last-first+1)
	for i := first; i <= last; i++ {
		tall := float64(h.counts[i]) / float64(most) * height
		if h.counts[i] > 0 {
			tall = max(tall, 1)
		}
		fmt.Fprintf(out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="bar"/>`, float64(i-first)*step, height-tall, max(step-1, 0.5), tall)
	}
	for _, q := range []struct {
		share  float64
		anchor string
	}{{0, "start"}, {1, "end"}} {
		fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="%s">%v</text>`, int(q.share*plotWidth), height+16, q.anchor, short(h.Quantile(q.share)))
	}
	fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="middle">median %v, 99%% within %v</text>`, plotWidth/2, height+16,
		short(h.Quantile(0.5)), short(h.Quantile(0.99)))
	return endPlot(out)
}

// heatMap draws a timeline: a row for each daemon, or for some neighbours; the darker, the more requests.
func heatMap(title string, t *timeline) template.HTML {
	rowHeight := min(max(240/len(t.counts), 4), 24)
	height := len(t.counts) * rowHeight
	step := float64(plotWidth-labelWidth) / float64(len(t.tags))
	out := &strings.Builder{}
	beginPlot(out, title, height+22)
	every := max(len(t.daemons)*14/height, 1) // labels need 14 units each
	for i, row := range t.counts {
		if i%every == 0 {
			fmt.Fprintf(out, `<text x="%d" y="%d" class="label">%s</text>`, labelWidth-8, i*rowHeight+min(rowHeight, 14), html.EscapeString(t.daemons[i]))
		}
		for j, n := range row {
			if n > 0 {
				fmt.Fprintf(out, `<rect x="%.1f" y="%d" width="%.2f" height="%d" class="bar" opacity="%.2f"/>`, labelWidth+float64(j)*step, i*rowHeight,
					max(step-0.5, 0.5), max(rowHeight-1, 1), 0.12+0.88*math.Log1p(n)/math.Log1p(t.most))
			}
		}
	}
	fmt.Fprintf(out, `<text x="%d" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth, height+16,
		html.EscapeString(strings.TrimPrefix(t.tags[0], runtimePrefix)), plotWidth, height+16, html.EscapeString(strings.TrimPrefix(t.tags[len(t.tags)-1], runtimePrefix)))
	return endPlot(out)
}

func beginPlot(out *strings.Builder, title string, height int) {
	fmt.Fprintf(out, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, height, html.EscapeString(title))
}

func endPlot(out *strings.Builder) template.HTML {
	out.WriteString("</svg>")
	return template.HTML(out.String())
}
