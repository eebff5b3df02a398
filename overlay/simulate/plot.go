package simulate

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// CheckPlot tells whether a plot can be written to a file of that name.
func CheckPlot(name string) error {
	if ext := filepath.Ext(name); ext != ".svg" && ext != ".png" {
		return fmt.Errorf("plot %q: want a name that ends in .svg or .png", name)
	}
	return nil
}

// WritePlot draws the times against the number of nodes, with Copper and without, into an SVG or PNG
// file.
func (r *Result) WritePlot(name string) error {
	if err := CheckPlot(name); err != nil {
		return err
	}
	p := plot.New()
	p.Title.Text = "Time to have all files of " + r.Manifest
	p.X.Label.Text, p.Y.Label.Text = "nodes", "seconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = r.ticks(), plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.Padding = vg.Points(8), vg.Points(3)
	p.Add(plotter.NewGrid())
	least, most := math.Inf(1), 0.0
	for _, l := range []struct {
		name  string
		y     func(Row) float64
		color color.Color
	}{
		{"every node asks the PFS", func(r Row) float64 { return r.DirectSeconds }, color.RGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}},
		{"with Copper", func(r Row) float64 { return r.Seconds }, color.RGBA{R: 0xb8, G: 0x5c, B: 0x1e, A: 0xff}},
	} {
		var points plotter.XYs
		for _, row := range r.Rows {
			y := max(l.y(row), 1e-6) // a logarithm is wanted
			least, most = min(least, y), max(most, y)
			points = append(points, plotter.XY{X: float64(row.Nodes), Y: y})
		}
		slices.SortFunc(points, func(a, b plotter.XY) int { return int(a.X - b.X) })
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		line.Color, line.Width = l.color, vg.Points(1.5)
		marks.Color, marks.Shape = l.color, draw.CircleGlyph{}
		p.Add(line, marks)
		p.Legend.Add(l.name, line, marks)
	}
	// Whole decades, and room for the legend.
	p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(3*most)))
	if p.X.Min == p.X.Max {
		p.X.Min, p.X.Max = p.X.Min/2, p.X.Max*2
	}
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, name)
}

// ticks are at the numbers of nodes that were simulated, with room between their labels.
func (r *Result) ticks() plot.Ticker {
	var ticks []plot.Tick
	var labelled float64
	nodes := make([]int, len(r.Rows))
	for i, row := range r.Rows {
		nodes[i] = row.Nodes
	}
	slices.Sort(nodes)
	for i, n := range nodes {
		tick := plot.Tick{Value: float64(n), Label: strconv.Itoa(n)}
		if i > 0 && tick.Value < 1.2*labelled {
			tick.Label = ""
		} else {
			labelled = tick.Value
		}
		ticks = append(ticks, tick)
	}
	return plot.ConstantTicks(ticks)
}
