package profiling

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Plots are shapes only, which the page stretches to the width it has; their labels are text beside them.

// bar is a labelled amount.
type bar struct {
	Label, Shown string
	Percent      float64 // of the longest
	Faint        bool    // what it is compared with
}

// scaled makes the longest bar 100% long.
func scaled(bars []bar, values []float64) []bar {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	for i, v := range values {
		if most > 0 {
			bars[i].Percent = math.Round(1000*v/most) / 10
		}
	}
	return bars
}

// shape is a path of SVG with the class that colours it.
type shape struct{ Class, Path string }

// chart is a plot of a width and height of its own units.
type chart struct {
	Title, Told   string // what it is, and what a reader who can't see it is told
	Width, Height float64
	Tall          int  // CSS pixels
	Lanes         bool // it has the room of Rows, with or without some
	Shapes        []shape
	Rows          []mark // labels at its left side
	Below         []mark
	Under         string
	Scale         *scale
}

// mark is a label at some percent of a side.
type mark struct {
	At   float64
	Text string
	End  bool // it would stand out at the end
}

// scale is the legend of a heat map.
type scale struct {
	Levels      []string // classes
	Least, Most string
	Unit        string
}

// columns draws stacked amounts beside each other: of one column all layers, the first at the bottom.
func columns(classes []string, layers ...[]float64) (all []shape, width, most float64) {
	n := len(layers[0])
	for i := range n {
		sum := 0.0
		for _, l := range layers {
			sum += l[i]
		}
		most = max(most, sum)
	}
	below := make([]float64, n)
	for k, l := range layers {
		out := &strings.Builder{}
		for i, v := range l {
			if v > 0 && most > 0 {
				tall := 100 * v / most
				if k == 0 {
					tall = max(tall, 0.7) // seen at all
				}
				fmt.Fprintf(out, "M%d %.1fh.9v-%.1fh-.9z", i, 100-below[i], tall)
				below[i] += tall
			}
		}
		all = append(all, shape{classes[k], out.String()})
	}
	return all, float64(n), most
}

// heatLevels is the number of colours of a heat map.
const heatLevels = 7

// level is the colour of a rate, from 1 on, by its square root; 0 for none.
func (h *heat) level(rate float64) int {
	if rate <= 0 {
		return 0
	}
	return min(1+int(heatLevels*math.Sqrt(rate/h.most)), heatLevels)
}

// cells draws the map, neighbours of one colour as one.
func (h *heat) cells() []shape {
	paths := make([]strings.Builder, heatLevels+1)
	for y, row := range h.rows {
		for x := 0; x < len(row.rates); {
			level, from := h.level(row.rates[x]), x
			for x < len(row.rates) && h.level(row.rates[x]) == level {
				x++
			}
			if level > 0 {
				fmt.Fprintf(&paths[level], "M%d %dh%dv.94h-%dz", from, y, x-from, x-from)
			}
		}
	}
	var all []shape
	for level := 1; level <= heatLevels; level++ {
		all = append(all, shape{fmt.Sprint("heat", level), paths[level].String()})
	}
	return all
}

// timeMarks are round times of a plot that lasts so long.
func timeMarks(length time.Duration) (marks []mark) {
	step := roundStep(length)
	for at := time.Duration(0); at <= length; at += step {
		if share := 100 * float64(at) / float64(length); share < 92 {
			marks = append(marks, mark{share, shownTime(at, step), false})
		}
	}
	return marks
}

// roundSteps are the distances of marks on an axis of time.
var roundSteps = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// roundStep is a round part of length, of which there are not too many.
func roundStep(length time.Duration) time.Duration {
	for _, step := range roundSteps {
		if length/step <= 7 {
			return step
		}
	}
	return (length / 7).Truncate(24*time.Hour) + 24*time.Hour
}

func shownTime(at, step time.Duration) string {
	switch {
	case step < time.Second:
		return fmt.Sprintf("%.1f s", at.Seconds())
	case step < 30*time.Second:
		return fmt.Sprintf("%.0f s", at.Seconds())
	case step < time.Minute:
		return fmt.Sprintf("%.1f min", at.Minutes())
	case step < time.Hour:
		return fmt.Sprintf("%.0f min", at.Minutes())
	}
	return fmt.Sprintf("%.0f h", at.Hours())
}

// decades are the powers of ten within a range of buckets, for a logarithmic axis of time.
func decades(first, last int) (marks []mark) {
	step := time.Duration(10)
	if last-first > 13*4 { // a decade is 13 buckets wide
		step = 100
	}
	for d := time.Microsecond; d <= time.Hour; d *= step {
		at := bucketOf(d)
		if at < first || at > last {
			continue
		}
		if share := 100 * float64(at-first) / float64(last-first+1); share < 80 {
			marks = append(marks, mark{share, took(d), false})
		}
	}
	return marks
}

// took is a duration with two or three digits.
func took(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Minute, "min"}, {time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d >= u.unit {
			v := float64(d) / float64(u.unit)
			switch {
			case v >= 99.95 || v == math.Trunc(v):
				return fmt.Sprintf("%.0f %s", v, u.name)
			case v >= 9.995:
				return fmt.Sprintf("%.1f %s", v, u.name)
			}
			return fmt.Sprintf("%.2f %s", v, u.name)
		}
	}
	return fmt.Sprintf("%d ns", d)
}
