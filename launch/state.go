package launch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Phase is how far a job has come.
type Phase string

// The phases of a job, in order; it can fail in any before Ready.
const (
	Starting   Phase = "starting"    // rank 0 runs
	Connected  Phase = "connected"   // every rank knows every other
	Mounted    Phase = "mounted"     // rank 0's own mount answers
	AllMounted Phase = "all-mounted" // every mount answers; the ranks leave MPI then. Never written alone
	Ready      Phase = "ready"       // that is done: the mounts can be used
	Stopped    Phase = "stopped"     // ended in order
	Failed     Phase = "failed"      // never became ready
)

// Running tells whether a job in this phase has daemons, unless they were killed.
func (p Phase) Running() bool { return p != Stopped && p != Failed && p != "" }

const (
	stateVersion = 1
	maxStateSize = 64 << 20 // bytes; 100,000 ranks with long mount points
)

// State is what job.json tells of a job. Rank 0 writes it; nobody else does.
type State struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`
	Phase    Phase     `json:"state"`
	Error    string    `json:"error,omitempty"`     // why it failed, one line
	BadInput bool      `json:"bad_input,omitempty"` // the failure is the caller's to mend
	Started  time.Time `json:"started"`             // of rank 0
	Build    string    `json:"build,omitempty"`     // of rank 0: which Copper it is
	Command  string    `json:"command,omitempty"`   // of rank 0
	Changed  time.Time `json:"changed"`             // when this state was written
	// Reached is when the job came to each phase.
	Reached map[Phase]time.Time `json:"reached,omitempty"`
	Ranks   []Rank              `json:"ranks"` // until Connected only rank 0
}

// Rank is one daemon of a job.
type Rank struct {
	Rank  int    `json:"rank"`
	Host  string `json:"host"`  // without domain
	PID   int    `json:"pid"`   // of the supervisor; daemons come and go
	Mount string `json:"mount"` // "" while not known
}

// Err is the error that the job failed with, nil if it did not.
func (s *State) Err() error {
	switch {
	case s.Phase != Failed:
		return nil
	case s.BadInput:
		return BadInput("%s", s.Error)
	}
	return errors.New(s.Error)
}

// Reach puts the job into a phase, which it came to at that time.
func (s *State) Reach(p Phase, at time.Time) {
	s.Phase = p
	if s.Reached == nil {
		s.Reached = map[Phase]time.Time{}
	}
	s.Reached[p] = at
}

// Took tells how long a job that is ready took to become so since it was begun, and with what.
func (s *State) Took(begun time.Time) string {
	span := func(from, to time.Time) string { return to.Sub(from).Round(10 * time.Millisecond).String() }
	connected, mounted, answered, ready := s.Reached[Connected], s.Reached[Mounted], s.Reached[AllMounted], s.Reached[Ready]
	return fmt.Sprintf("%s (%s for the launcher and MPI, %s until the first mount answered, %s until all did, %s to leave MPI)",
		span(begun, ready), span(begun, connected), span(connected, mounted), span(mounted, answered), span(answered, ready))
}

// On is the ranks of s on host.
func (s *State) On(host string) []Rank {
	var here []Rank
	for _, r := range s.Ranks {
		if r.Host == host {
			here = append(here, r)
		}
	}
	return here
}

// shortHosts are the hosts of all ranks; nil while rank 0 does not know the others.
func (s *State) shortHosts() (hosts []string) {
	if s.Phase == Starting || len(s.Ranks) < 2 {
		return nil
	}
	for _, r := range s.Ranks {
		hosts = append(hosts, r.Host)
	}
	return hosts
}

// WriteState replaces the state file.
func (d JobDir) WriteState(s State) error {
	s.Version, s.Changed = stateVersion, time.Now()
	ranks := s.Ranks
	s.Ranks = nil
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	// One rank a line, so that the file can be read and searched.
	var out bytes.Buffer
	out.Write(bytes.TrimSuffix(b, []byte("null}")))
	sep := "[\n"
	for _, r := range ranks {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		out.WriteString(sep)
		out.Write(line)
		sep = ",\n"
	}
	if len(ranks) == 0 {
		out.WriteString("[")
	}
	out.WriteString("]}\n")
	return writeFile(d.stateFile(), out.Bytes())
}

// ReadState reads the state file; nil if there is none.
func (d JobDir) ReadState() (*State, error) {
	var s State
	if ok, err := readJSON(d.stateFile(), maxStateSize, &s); !ok {
		return nil, err
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("%s: version %d, want %d: written by another version of copper", d.stateFile(), s.Version, stateVersion)
	}
	return &s, nil
}

// launcherRecord is the launcher's process, as `copper launch` started it.
type launcherRecord struct {
	PID     int       `json:"pid"`
	Born    uint64    `json:"born"` // see process
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
	Command string    `json:"command"`
}

func (d JobDir) writeLauncher(r launcherRecord) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeFile(d.launcherFile(), append(b, '\n'))
}

// LauncherCommand is the command by which `copper launch` started the job; "" if it did not.
func (d JobDir) LauncherCommand() (string, error) {
	r, err := d.readLauncher()
	if r == nil || err != nil {
		return "", err
	}
	return r.Command, nil
}

// readLauncher reads the launcher's record; nil if the job was not started by `copper launch`.
func (d JobDir) readLauncher() (*launcherRecord, error) {
	var r launcherRecord
	if ok, err := readJSON(d.launcherFile(), 1<<20, &r); !ok {
		return nil, err
	}
	return &r, nil
}

// readJSON tells whether there was a file to decode.
func readJSON(path string, limit int64, v any) (bool, error) {
	content, err := readFile(path, limit)
	if err != nil || content == nil {
		return false, err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}
