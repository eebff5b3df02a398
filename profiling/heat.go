package profiling

import (
	"math"
	"slices"
)

const (
	// heatRows bounds the rows of a heat map: neighbouring ranks share one.
	heatRows = 48
	// heatColumns bounds the columns of a heat map: neighbouring ticks share one.
	heatColumns = 120
	// heatShare is the share of all requests that a heat map is of: those close together. One request
	// after hours would make the start a single column.
	heatShare = 0.97
	// heatMore is how many times longer all may be than these to be shown whole.
	heatMore = 3
	// heatBins bounds the memory for finding these.
	heatBins = 1 << 16
)

// heat is when the ranks asked, in rows of ranks and columns of time.
type heat struct {
	began  tick
	column tick // the width of a column
	rows   []heatRow
	// Requests of all ranks by column, by whether they waited.
	hits, misses []float64
	share        float64 // of all requests, that are in it
	most         float64 // of all cells
}

// heatRow is one rank, or some neighbours.
type heatRow struct {
	first lane
	ranks int
	rates []float64 // requests by second and rank, by column
}

// newHeat returns nil where nothing was asked. The lanes are sorted.
func newHeat(lanes []lane) *heat {
	began, ended := tick(math.MaxInt64), tick(math.MinInt64)
	for _, l := range lanes {
		for _, s := range l.spans {
			began, ended = min(began, s.Began), max(ended, s.Ended)
		}
	}
	if began >= ended {
		return nil
	}
	h := &heat{}
	h.began, ended, h.share = busiest(lanes, began, ended)
	h.column = (ended - h.began + heatColumns - 1) / heatColumns
	columns := int((ended - h.began + h.column - 1) / h.column)
	h.hits, h.misses = make([]float64, columns), make([]float64, columns)
	rows := min(len(lanes), heatRows)
	for i := range rows {
		some := lanes[i*len(lanes)/rows : (i+1)*len(lanes)/rows]
		row := heatRow{first: some[0], ranks: len(some), rates: make([]float64, columns)}
		for _, l := range some {
			for _, s := range l.spans {
				overColumns(s, h.began, h.column, columns, func(column int, share float64) {
					requests, misses := share*float64(s.Requests), share*float64(s.Misses)
					row.rates[column] += requests / float64(row.ranks) / h.column.seconds()
					h.hits[column] += requests - misses
					h.misses[column] += misses
				})
			}
		}
		h.most = max(h.most, slices.Max(row.rates))
		h.rows = append(h.rows, row)
	}
	return h
}

// overColumns tells which columns a span lies in, and with which share of it. Columns are so wide and begin
// at began.
func overColumns(s Span, began, width tick, columns int, each func(column int, share float64)) {
	for column := max((s.Began-began)/width, 0); column < tick(columns); column++ {
		from, to := max(s.Began, began+column*width), min(s.Ended, began+(column+1)*width)
		if from >= to {
			if began+column*width >= s.Ended {
				return
			}
			continue
		}
		each(int(column), float64(to-from)/float64(s.Ended-s.Began))
	}
}

// busiest finds the shortest stretch of time with heatShare of all requests, and the share that is in it.
func busiest(lanes []lane, began, ended tick) (from, to tick, share float64) {
	width := (ended-began)/heatBins + 1
	bins := make([]float64, (ended-began+width-1)/width)
	all := 0.0
	for _, l := range lanes {
		for _, s := range l.spans {
			all += float64(s.Requests)
			overColumns(s, began, width, len(bins), func(bin int, share float64) { bins[bin] += share * float64(s.Requests) })
		}
	}
	whole := len(bins)
	best, first, within := whole+1, 0, 0.0
	bestFirst, bestWithin := 0, 0.0
	for last := range bins {
		within += bins[last]
		for within-bins[first] >= heatShare*all && first < last {
			within -= bins[first]
			first++
		}
		if within >= heatShare*all && last+1-first < best {
			best, bestFirst, bestWithin = last+1-first, first, within
		}
	}
	if best*heatMore > whole { // all of it can be seen; or no best, for want of precision
		return began, ended, 1
	}
	return began + tick(bestFirst)*width, min(began+tick(bestFirst+best)*width, ended), min(bestWithin/all, 1)
}
