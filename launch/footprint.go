package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Footprint is what a rank leaves on its node if it is killed: its supervisor writes it down, beside
// the daemon's control socket, before it makes a directory or the daemon a mount, and takes it back at
// its orderly end.
type Footprint struct {
	Job  string `json:"job"`
	Rank int    `json:"rank"`
	PID  int    `json:"pid"`  // of the supervisor
	Born uint64 `json:"born"` // see process
	// The daemon's, which change when it is started again; 0 before there is one.
	DaemonPID  int      `json:"daemon_pid"`
	DaemonBorn uint64   `json:"daemon_born"`
	Dir        JobDir   `json:"dir"`
	Mount      string   `json:"mount"`
	Made       []string `json:"made"` // directories that were created for it, outermost first

	path string // of the file that holds it
}

const maxFootprint = 64 << 10 // bytes

// NewFootprint is that of this process.
func NewFootprint(dir JobDir, rank int) *Footprint {
	f := &Footprint{Job: dir.ID(), Rank: rank, PID: os.Getpid(), Dir: dir}
	if p := readProcess(f.PID); p != nil {
		f.Born = p.born
	}
	return f
}

// Write writes the file into the job's control directory under the first of bases that is ours
// alone.
func (f *Footprint) Write(bases []string) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	var failed error
	for _, base := range bases {
		err := inControlDir(base, f.Job, func(dir string) error {
			f.path = filepath.Join(dir, strconv.Itoa(f.Rank)+".json")
			return writeFile(f.path, append(b, '\n'))
		})
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return fmt.Errorf("control directory: %w", failed)
}

// ReadFootprint reads what another process has written, at the path of [Footprint.Path].
func ReadFootprint(path string) (*Footprint, error) {
	f := &Footprint{path: path}
	if ok, err := readJSON(path, maxFootprint, f); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("there is no footprint at %s", path), err)
	}
	return f, nil
}

// NoteDaemon writes down that process pid is the daemon now.
func (f *Footprint) NoteDaemon(pid int) error {
	f.DaemonPID, f.DaemonBorn = pid, 0
	if p := readProcess(pid); p != nil {
		f.DaemonBorn = p.born
	}
	return locked(filepath.Dir(f.ControlDir()), func() error {
		now, err := ReadFootprint(f.path) // another rank may have left its directories to this one
		if err != nil {
			return err
		}
		now.DaemonPID, now.DaemonBorn = f.DaemonPID, f.DaemonBorn
		b, err := json.Marshal(now)
		if err != nil {
			return err
		}
		return writeFile(f.path, append(b, '\n'))
	})
}

// Path is the file that holds it.
func (f *Footprint) Path() string { return f.path }

// ControlDir is the job's control directory, where the footprint lies.
func (f *Footprint) ControlDir() string { return filepath.Dir(f.path) }

// Remove takes back everything but the mount, which must be gone: the directories made for it with
// the links in them, the socket, the file itself, and the control directory of the last daemon.
func (f *Footprint) Remove() {
	dir := f.ControlDir()
	_ = locked(filepath.Dir(dir), func() error {
		now := &Footprint{path: f.path}
		if ok, err := readJSON(f.path, maxFootprint, now); ok && err == nil {
			openShuttersAt(now.Mount)
			now.removeMade()
		}
		_ = os.Remove(strings.TrimSuffix(f.path, ".json") + ".sock")
		_ = os.Remove(f.path)
		removeEmpty(dir)
		return nil
	})
}

// removeMade removes the directories that were made if they are empty. One that another daemon of
// the job still uses passes to that one. Called with the directory above the control directory
// locked.
func (f *Footprint) removeMade() {
	for i := len(f.Made) - 1; i >= 0; i-- {
		err := os.Remove(f.Made[i])
		if !errors.Is(err, syscall.ENOTEMPTY) {
			continue
		}
		paths := filesIn(f.ControlDir(), ".json")
		for _, path := range paths {
			heir := &Footprint{}
			if ok, err := readJSON(path, maxFootprint, heir); path == f.path || !ok || err != nil {
				continue
			}
			if strings.HasPrefix(heir.Mount, f.Made[i]+"/") {
				heir.Made = append([]string{f.Made[i]}, heir.Made...)
				if b, err := json.Marshal(heir); err == nil && writeFile(path, append(b, '\n')) == nil {
					break
				}
			}
		}
	}
}

func (f *Footprint) alive() bool { return len(f.processes()) > 0 }

// processes are those of supervisor and daemon that run, the supervisor first.
func (f *Footprint) processes() (pids []int) {
	if serves(f.PID, f.Job, f.Born) {
		pids = append(pids, f.PID)
	}
	if f.DaemonPID != 0 && serves(f.DaemonPID, f.Job, f.DaemonBorn) {
		pids = append(pids, f.DaemonPID)
	}
	return pids
}

// footprints are those of job id on this node, of all jobs for "".
func footprints(bases []string, id string) []*Footprint {
	var found []*Footprint
	for _, dir := range controlDirs(bases, id) {
		paths := filesIn(dir, ".json")
		for _, path := range paths {
			f := &Footprint{path: path}
			if ok, err := readJSON(path, maxFootprint, f); ok && err == nil && f.Job == filepath.Base(dir) {
				found = append(found, f)
			}
		}
	}
	return found
}

// CleanNode removes what killed daemons left on this node: of job id, or of all jobs for "". The
// mount points among except are left to others, who may be mounting there. It returns a line for
// each thing that it did or could not do.
func CleanNode(ctx context.Context, bases []string, id string, mounts Mounts, except ...string) (report []string) {
	for _, f := range footprints(bases, id) {
		if f.alive() || slices.Contains(except, f.Mount) {
			continue
		}
		switch did, err := mounts.clearStale(ctx, f.Mount); {
		case err != nil:
			report = append(report, err.Error())
			continue
		case did:
			report = append(report, fmt.Sprintf("unmounted %s, left by rank %d of job %s", f.Mount, f.Rank, f.Job))
		}
		f.Remove()
	}
	for _, dir := range controlDirs(bases, id) {
		removeIfDead(dir)
	}
	return report
}

// removeIfDead removes a control directory without footprints: nobody serves there.
func removeIfDead(dir string) {
	_ = locked(filepath.Dir(dir), func() error {
		if left := filesIn(dir, ".json"); len(left) > 0 {
			return nil
		}
		sockets := filesIn(dir, ".sock")
		for _, s := range sockets {
			_ = os.Remove(s)
		}
		removeEmpty(dir)
		return nil
	})
}
