package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// JobDir is the directory that holds one job's outputs. Directories are made 0700 and files 0600,
// and only when something is written to them.
type JobDir string

// JobDirOf is the directory of job id under the base directory of all jobs.
func JobDirOf(base, id string) JobDir { return JobDir(filepath.Join(base, id)) }

// ID is the job's id.
func (d JobDir) ID() string { return filepath.Base(string(d)) }

// Logs is the directory of logs and launch artefacts.
func (d JobDir) Logs() string { return filepath.Join(string(d), "logs") }

// LauncherLog is what the launcher and the ranks' standard streams say.
func (d JobDir) LauncherLog() string { return filepath.Join(d.Logs(), "launcher.log") }

// NodeFile lists the hosts of the job, one a rank.
func (d JobDir) NodeFile() string { return filepath.Join(d.Logs(), "node_file.txt") }

// Manifest is the record of what the kernel of the first rank asked for, in the order of asking; see
// store/manifest.
func (d JobDir) Manifest() string { return filepath.Join(string(d), "manifest.gz") }

// WriteManifest replaces the job's manifest.
func (d JobDir) WriteManifest(content []byte) error { return writeFile(d.Manifest(), content) }

// Profiles is the directory of what the daemons counted, where that was asked for.
func (d JobDir) Profiles() string { return filepath.Join(string(d), "profiling", "final") }

// RankLog is the log of one rank.
func (d JobDir) RankLog(host string, pid int) string {
	return filepath.Join(d.Logs(), fmt.Sprintf("%s-%d-output.log", host, pid))
}

func (d JobDir) stateFile() string    { return filepath.Join(string(d), "job.json") }
func (d JobDir) stopFile() string     { return filepath.Join(string(d), "stop") }
func (d JobDir) launcherFile() string { return filepath.Join(string(d), "launcher.json") }

// Make creates the directory with its logs.
func (d JobDir) Make() error {
	if err := os.MkdirAll(d.Logs(), 0o700); err != nil {
		return BadInput("directory for the job's outputs: %w", err)
	}
	return nil
}

// Stopping tells whether `copper stop` was called for the job.
func (d JobDir) Stopping() bool {
	_, err := os.Lstat(d.stopFile())
	return err == nil
}

// noteStop is for those who can't be told: whose daemon is being started again just now.
func (d JobDir) noteStop() error { return writeFile(d.stopFile(), nil) }

// ForgetStop makes the directory that of a job that was not stopped yet.
func (d JobDir) ForgetStop() error {
	err := os.Remove(d.stopFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// WriteNodeFile writes the list of hosts, by rank.
func (d JobDir) WriteNodeFile(hosts []string) error {
	return writeFile(d.NodeFile(), []byte(strings.Join(hosts, "\n")+"\n"))
}

// writeFile replaces the file at path by rename, so that a reader sees the old or the new content.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
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

// readFile reads a file that may be missing: nil then. A larger one than limit is an error.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Size() > limit) {
		err = fmt.Errorf("%s: not a file of at most %d bytes", path, limit)
	}
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
