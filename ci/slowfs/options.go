package slowfs

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultCacheLifetime is what Options.CacheLifetime means when it is zero.
const DefaultCacheLifetime = time.Hour

// Options says what is served, where, and how slowly.
type Options struct {
	// Backing is the directory whose contents every mount shows.
	Backing string
	// Mounts are existing directories, one for each simulated node.
	Mounts []string

	// MetadataRate is the number of metadata operations per second that all mounts share: every
	// counted operation except read. 0: unlimited.
	MetadataRate float64
	// Bandwidth is the number of bytes per second that all mounts share. 0: unlimited.
	Bandwidth float64
	// Latency is added to every counted operation, reads included.
	Latency time.Duration

	// CacheLifetime is how long each mount's kernel may keep what it learnt. 0:
	// DefaultCacheLifetime; negative: not at all, pages and directory contents are then dropped
	// at each open.
	CacheLifetime time.Duration
	// NegativeLifetime is how long each mount's kernel may remember that a name does not exist.
	// 0: not at all.
	NegativeLifetime time.Duration

	// Tick is the granularity of the times that are shown, as of a PFS that keeps whole seconds. 0: as
	// the backing directory has them.
	Tick time.Duration

	// AllowOther lets other users than the server's into the mounts; for an unprivileged server
	// /etc/fuse.conf must permit it.
	AllowOther bool

	// Log is told about mounts coming and going; nil: nothing is logged.
	Log *slog.Logger

	clock clock
}

// Validate tells in one line what is wrong with o, or nil. Start calls it.
func (o Options) Validate() error {
	_, err := o.resolve()
	return err
}

// resolve returns o with defaults filled in and with absolute paths free of symbolic links.
func (o Options) resolve() (Options, error) {
	for _, rate := range []struct {
		name  string
		value float64
	}{{"metadata rate", o.MetadataRate}, {"bandwidth", o.Bandwidth}} {
		if rate.value < 0 || math.IsNaN(rate.value) || math.IsInf(rate.value, 0) {
			return o, fmt.Errorf("%s %v: must be a number of at least 0", rate.name, rate.value)
		}
	}
	if o.Latency < 0 {
		return o, fmt.Errorf("latency %v: must not be negative", o.Latency)
	}
	if o.NegativeLifetime < 0 {
		return o, fmt.Errorf("negative lifetime %v: must not be negative", o.NegativeLifetime)
	}
	if o.Tick < 0 {
		return o, fmt.Errorf("tick %v: must not be negative", o.Tick)
	}
	if o.CacheLifetime == 0 {
		o.CacheLifetime = DefaultCacheLifetime
	}
	o.CacheLifetime = max(o.CacheLifetime, 0)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.clock == nil {
		o.clock = wallClock{}
	}

	var err error
	if o.Backing, err = resolveDirectory(o.Backing); err != nil {
		return o, fmt.Errorf("backing directory: %w", err)
	}
	if len(o.Mounts) == 0 {
		return o, errors.New("no mount point given")
	}
	taken := []string{o.Backing}
	for _, dir := range o.Mounts {
		dir, err := resolveDirectory(dir)
		if err != nil {
			return o, fmt.Errorf("mount point: %w", err)
		}
		for _, other := range taken {
			if below(dir, other) || below(other, dir) {
				return o, fmt.Errorf("mount point %q: overlaps with %q", dir, other)
			}
		}
		taken = append(taken, dir)
	}
	o.Mounts = taken[1:]
	return o, nil
}

func resolveDirectory(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("empty path")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	abs, err = filepath.EvalSymlinks(abs)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%q: not a directory", abs)
	}
	return abs, nil
}

// below tells whether path is dir or lies under it; both absolute and clean.
func below(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
