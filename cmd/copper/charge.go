package main

import (
	"time"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/mpiboot"
)

// charge is what a supervisor tells its daemon. It goes through the channel between the two and
// nowhere else: never into arguments, the environment, a file or a log.
type charge struct {
	Options   options
	Roster    *mpiboot.Roster // its secret is not encoded with it
	Secret    []byte
	Dir       launch.JobDir
	Log       string // path
	Target    string // without placeholders
	Footprint string // path
	Sharers   int    // daemons on this node
	Began     time.Time
	Restarts  int // how many daemons of this rank died before this one
}

func (c *charge) host() string { return c.Roster.Cards[c.Roster.Self].Host }
