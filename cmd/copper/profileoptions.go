package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

// profileOptions say what is written of what the daemons count.
type profileOptions struct {
	Profile  bool   `name:"profile" short:"P" env:"COPPER_PROFILE" help:"Write what each daemon counted, into the job's directory below profiling/."`
	Top      int    `name:"profile-top" short:"N" env:"COPPER_PROFILE_TOP" default:"0" placeholder:"N" help:"Also the N paths that the kernel asked for most; it turns profiling on."`
	AllPaths bool   `name:"profile-paths" short:"A" env:"COPPER_PROFILE_PATHS" help:"Also every path that the kernel asked for, and the caches' contents at the end; it turns profiling on. What the kernel answers from its own caches is not seen: see --kernel-cache."`
	Interval int    `name:"profile-interval" short:"I" env:"COPPER_PROFILE_INTERVAL" default:"0" placeholder:"S" help:"Also while the job runs, every S seconds; it turns profiling on."`
	Kernel   string `name:"kernel-cache" env:"COPPER_KERNEL_CACHE" default:"on" enum:"on,off" placeholder:"K" help:"off: the kernel keeps no names, attributes, listings and data, so that nearly every use of a file is counted; much slower (${default})."`
}

const (
	mostTop      = 100_000
	mostInterval = 7 * 24 * 3600
)

func (o *profileOptions) check() error {
	switch {
	case o.Top < 0 || o.Top > mostTop:
		return fmt.Errorf("--profile-top=%d: want 0 to %d", o.Top, mostTop)
	case o.Interval < 0 || o.Interval > mostInterval:
		return fmt.Errorf("--profile-interval=%d: want 0 to %d seconds", o.Interval, mostInterval)
	}
	return nil
}

// on tells whether anything is to be written.
func (o *profileOptions) on() bool { return o.Profile || o.Top > 0 || o.AllPaths || o.Interval > 0 }

func (o *profileOptions) interval() time.Duration { return time.Duration(o.Interval) * time.Second }

func (o *profileOptions) recorder() profiling.RecorderOptions {
	return profiling.RecorderOptions{Top: o.Top, Paths: o.AllPaths}
}

func (o *profileOptions) args() []string {
	return []string{"--profile=" + strconv.FormatBool(o.Profile), "--profile-top", strconv.Itoa(o.Top),
		"--profile-paths=" + strconv.FormatBool(o.AllPaths), "--profile-interval", strconv.Itoa(o.Interval),
		"--kernel-cache", o.Kernel}
}
