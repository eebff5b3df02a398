package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/overlay/simulate"
)

// simulateCmd's defaults for a node were measured on one: 40 µs from a request to its answer between two
// daemons over TCP, 5.5 µs of processor time for a request under load at both ends together, 20 µs for a
// request of the kernel.
type simulateCmd struct {
	Manifest string `name:"manifest" default:"scipy.stats" placeholder:"NAME|FILE" help:"What a process asks of the file system: scipy.stats (recorded), torch (1,000 modules and libraries of 1 GB), bulk (1,024 files of 1 MiB), or a recorded file (${default})."`
	Nodes    []int  `name:"nodes" default:"32,256,2048,8300,10624" placeholder:"N" help:"Numbers of nodes (${default})."`
	PPN      int    `name:"ppn" default:"8" placeholder:"N" help:"Processes per node; what one has asked, the node's kernel tells the others (${default})."`
	InFlight int    `name:"in-flight" default:"1" placeholder:"N" help:"Accesses that a node has under way at one time: 1 as a process that starts, more as one that loads files ahead (${default})."`
	Trees    int    `name:"trees" short:"T" default:"0" placeholder:"N" help:"Number of overlay trees; 0: automatic."`
	Fanout   int    `name:"fanout" default:"0" placeholder:"K" help:"Children of a node in a tree; 0: automatic."`

	Latency   time.Duration `name:"latency" default:"20us" placeholder:"D" help:"Time of a message from one daemon to another: the wire's and the software's (${default})."`
	Handling  time.Duration `name:"handling" default:"3us" placeholder:"D" help:"Work that a message is to the daemon that gets it, one after the other (${default})."`
	Access    time.Duration `name:"access" default:"20us" placeholder:"D" help:"What an access costs on the node itself: kernel, FUSE (${default})."`
	Bandwidth float64       `name:"bandwidth" default:"10" placeholder:"GB/s" help:"GB/s of a node, each way (${default})."`

	PFSOps    float64       `name:"pfs-ops" default:"50000" placeholder:"N" help:"Metadata operations per second of the whole PFS (${default})."`
	PFSRate   float64       `name:"pfs-bandwidth" default:"100" placeholder:"GB/s" help:"GB/s of the whole PFS (${default})."`
	PFSClient float64       `name:"pfs-client-bandwidth" default:"2" placeholder:"GB/s" help:"GB/s that one client gets of the PFS (${default})."`
	PFSTime   time.Duration `name:"pfs-latency" default:"500us" placeholder:"D" help:"Time of an operation of the PFS when nobody else is there (${default})."`

	Real  int    `name:"real" default:"256" placeholder:"N" help:"Number of nodes up to which the daemons' own code runs, with some 10 MB and 0.1 to 0.5 s per node; a model above (${default})."`
	JSON  bool   `name:"json" help:"Print JSON; its fields are those of simulate.Result."`
	Plot  string `name:"plot" placeholder:"FILE" help:"Draw the times into a file, .svg or .png."`
	Quiet bool   `name:"quiet" short:"q" help:"Show no progress."`
}

func (c *simulateCmd) plan() simulate.Plan {
	return simulate.Plan{
		Nodes: c.Nodes, Processes: c.PPN, InFlight: c.InFlight, Trees: c.Trees, Fanout: c.Fanout, Real: c.Real,
		Access: c.Access,
		Wire:   overlay.Wire{Latency: c.Latency, Handling: c.Handling, Bandwidth: c.Bandwidth * 1e9},
		PFS:    simulate.PFS{Ops: c.PFSOps, Bandwidth: c.PFSRate * 1e9, ClientBandwidth: c.PFSClient * 1e9, Latency: c.PFSTime},
	}
}

// Validate is called by kong.
func (c *simulateCmd) Validate() error {
	if c.Plot != "" {
		if err := simulate.CheckPlot(c.Plot); err != nil {
			return err
		}
	}
	return c.plan().Check()
}

func (c *simulateCmd) Run() error {
	world, err := simulate.Load(c.Manifest)
	if err != nil {
		return &launch.InputError{Err: err}
	}
	if err := world.Check(c.plan()); err != nil {
		return &launch.InputError{Err: err}
	}
	progress := simulate.ShowProgress(os.Stderr, launch.IsTerminal(os.Stderr))
	if c.Quiet {
		progress = nil
	}
	result, err := simulate.Run(simulate.NewBubble(), c.plan(), world, progress)
	if err != nil {
		return err
	}
	if c.Plot != "" {
		if err := result.WritePlot(c.Plot); err != nil {
			return err
		}
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(result)
	}
	return result.WriteText(os.Stdout)
}
