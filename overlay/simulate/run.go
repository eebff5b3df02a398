package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// Result is a simulation of one manifest at several sizes of the job.
type Result struct {
	Manifest string `json:"manifest"`
	Accesses int    `json:"accesses"` // of one process
	Bytes    int64  `json:"bytes"`    // that it reads
	Plan     Plan   `json:"plan"`
	Rows     []Row  `json:"rows"`
}

// Method is how a row was found.
type Method string

// The methods.
const (
	Daemons Method = "daemons" // by the daemons' own code over a virtual network
	Model   Method = "model"   // by a model of it
)

// Row is one size of the job.
type Row struct {
	Nodes  int    `json:"nodes"`
	Method Method `json:"method"`
	Trees  int    `json:"trees"`
	// Seconds until the last node has everything, with Copper and with every node asking the PFS.
	Seconds       float64 `json:"seconds"`
	DirectSeconds float64 `json:"direct_seconds"`
	// PFS is what the PFS is asked with Copper, Direct without.
	PFS    Count `json:"pfs"`
	Direct Count `json:"direct"`
	// MeanSent and MostSent are the bytes that a node sends to others, on average and at most.
	MeanSent int64 `json:"mean_sent"`
	MostSent int64 `json:"most_sent"`
	// Took is what the simulation itself took, in seconds.
	Took float64 `json:"simulation_seconds"`
}

// Hottest is the ratio of what the busiest node sends to what nodes send on average.
func (r Row) Hottest() float64 {
	if r.MeanSent == 0 {
		return 0
	}
	return float64(r.MostSent) / float64(r.MeanSent)
}

// Progress tells how far a simulation is. It is called from several goroutines.
type Progress func(nodes int, method Method, done, of int64)

// Run simulates a manifest according to a plan that was checked. progress may be nil.
func Run(bubble Bubble, p Plan, w *World, progress Progress) (*Result, error) {
	hollow, err := store.NewHollow()
	if err != nil {
		return nil, err
	}
	result := &Result{Manifest: w.name, Accesses: len(w.accesses), Bytes: w.bytes, Plan: p}
	for _, n := range p.Nodes {
		begin := time.Now()
		forest, err := overlay.NewForest(Roster(n), p.Trees, p.Fanout)
		if err != nil {
			return nil, err
		}
		row := Row{Nodes: n, Method: Daemons, Trees: forest.Trees()}
		if n > p.Real {
			row.Method = Model
		}
		tell := func(done, of int64) {
			if progress != nil {
				progress(n, row.Method, done, of)
			}
		}
		tell(0, 1)
		var o outcome
		if row.Method == Model {
			o = runModel(p, w, n, forest, tell)
		} else if o, err = runDaemons(bubble, p, w, n, forest, hollow, tell); err != nil {
			return nil, fmt.Errorf("%d nodes: %w", n, err)
		}
		tell(1, 1)
		row.Seconds, row.PFS = o.took.Seconds(), o.pfs
		for _, sent := range o.sent {
			row.MeanSent += sent
		}
		row.MeanSent /= int64(n)
		row.MostSent = slices.Max(o.sent)
		took, count := direct(p, w, n)
		row.DirectSeconds, row.Direct = took.Seconds(), count
		row.Took = time.Since(begin).Seconds()
		result.Rows = append(result.Rows, row)
	}
	return result, nil
}

// outcome is what a simulated start-up with Copper came to.
type outcome struct {
	took time.Duration // until the last node was done
	pfs  Count
	sent []int64 // by rank, bytes
}

// direct is the same without Copper: all nodes go through the manifest side by side, each asking the
// PFS for everything once. They take turns there, so each access takes as long as the PFS needs for
// all of them, or as long as it takes when nobody else is there. A file's data is read ahead, so
// that only its beginning waits for the PFS's latency.
func direct(p Plan, w *World, n int) (time.Duration, Count) {
	var count Count
	var seconds float64
	nodes, latency := float64(n), p.PFS.Latency.Seconds()/float64(p.InFlight)
	operation := func(counter *int64) {
		*counter += int64(n)
		seconds += max(nodes/p.PFS.Ops, latency+1/p.PFS.Ops)
	}
	type place struct {
		path  string
		chunk int64
	}
	seen := map[place]bool{}
	again := func(path string, chunk int64) bool {
		known := seen[place{path, chunk}]
		seen[place{path, chunk}] = true
		return known
	}
	for _, a := range w.accesses {
		switch a.Op {
		case manifest.Stat:
			operation(&count.Stat)
		case manifest.List:
			operation(&count.List)
		case manifest.ReadLink:
			operation(&count.ReadLink)
		case manifest.ReadData:
			wait := 0.0
			if !again(a.Path, -1) {
				operation(&count.Open)
				wait = latency
			}
			f := store.File{Path: a.Path, Version: w.attrs[a.Path].Version()}
			for i := range chunksOf(a) {
				if again(a.Path, i) {
					continue
				}
				bytes := float64(f.ChunkLen(i))
				seconds += max(nodes*bytes/p.PFS.Bandwidth, bytes/p.PFS.ClientBandwidth, wait)
				count.Read += int64(n)
				count.Bytes += int64(n) * int64(f.ChunkLen(i))
				wait = 0
			}
		}
	}
	count.Repeated = (count.Stat + count.List + count.ReadLink + count.Read) / int64(n) * int64(n-1)
	return time.Duration(seconds * 1e9), count
}
