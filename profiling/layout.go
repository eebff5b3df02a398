package profiling

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dir is the directory of a job's outputs. Below it profiling/final and profiling/<tag> hold one set of
// files for each daemon, named <host>-<pid>-<name>; profiling/cluster what was made of them; and
// tables/final and tables/<tag> the contents of caches.
type Dir string

// Tags of the sets that a job writes by itself, in the order of writing.
const (
	PreDestroy = "pre-destroy" // before the mounts go
	Final      = "final"       // after that
)

// Set is the directory with the daemons' files of one tag.
func (d Dir) Set(tag string) string { return filepath.Join(string(d), "profiling", tag) }

// Cluster is the directory with what was made of the daemons' files.
func (d Dir) Cluster() string { return d.Set("cluster") }

// Tables is the directory with the contents of caches, of one tag.
func (d Dir) Tables(tag string) string { return filepath.Join(string(d), "tables", tag) }

// runtimeTag is the tag of the n-th periodic snapshot, the same on all ranks.
func runtimeTag(n int) string { return fmt.Sprintf("%s%06d", runtimePrefix, n) }

const runtimePrefix = "runtime-snapshot-"

// Names of a daemon's files, behind <host>-<pid>-. Every daemon that writes writes the aggregate; the
// table of paths is for [UsePaths].
const (
	summaryFile    = "profiling_summary.md"
	operationsFile = "profiling_operations.csv"
	AggregateFile  = "profiling_aggregate.csv"
	timelineFile   = "profiling_timeline.csv"
	topFile        = "profiling_top_paths.csv"
	PathsFile      = "profiling_path_table.csv"
)

// ownName is the name of a daemon's file.
func (s *Snapshot) ownName(name string) string { return fmt.Sprintf("%s-%d-%s", s.Host, s.PID, name) }

// writeFile makes dir if need be and replaces the file by rename, so that a reader sees the old or the
// new content. Directories are 0700 and files 0600.
func writeFile(dir, name string, content []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	f, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// filesNamed are the daemons' files of that name in dir, by name.
func filesNamed(dir, name string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, "-"+name) && n[0] != '.' {
			paths = append(paths, filepath.Join(dir, n))
		}
	}
	return paths, nil
}
