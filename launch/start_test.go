package launch

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shown keeps what is shown on it, and notes each line as a file in dir, which a script can wait
// for.
type shown struct {
	bytes.Buffer
	dir string
}

func (s *shown) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		_ = os.WriteFile(filepath.Join(s.dir, strings.TrimSpace(line)), nil, 0o600)
	}
	return s.Buffer.Write(b)
}

// start runs script as the launcher of job 7; in it `state PHASE [MEMBERS]` writes the state file, and
// `seen LINE` returns when that line has been shown.
func (h *house) start(ctx context.Context, script string, timeout time.Duration) (*State, string, error) {
	h.ID = "7"
	dir := JobDirOf(h.Base, "7")
	const prelude = `state() {
	printf '{"version":1,"id":"7","state":"%s","ranks":[]%s}' "$1" "$2" >"$DIR/new" && mv "$DIR/new" "$DIR/job.json"
}
seen() { until [ -e "$SHOWN/$1" ]; do sleep 0.01; done; }
`
	out := &shown{dir: h.t.TempDir()}
	s := &Start{
		Finder: h.Finder, Timeout: timeout, Mounts: noMounts, Progress: &Progress{Out: out, Ranks: 2},
		Command: Command{Env: []string{"DIR=" + string(dir), "SHOWN=" + out.dir}, Args: []string{"/bin/sh", "-c", prelude + script}},
	}
	state, err := s.Run(ctx)
	return state, out.String(), err
}

// ended tells that the launcher's process is gone.
func (h *house) ended() {
	h.t.Helper()
	r, err := JobDirOf(h.Base, "7").readLauncher()
	if err != nil || r == nil || r.PID == 0 {
		h.t.Fatalf("the launcher's record: %+v, %v", r, err)
	}
	if r.running("n1") {
		h.t.Errorf("the launcher still runs: process %d", r.PID)
	}
}

func TestStart(t *testing.T) {
	h := newHouse(t)
	h.add("7", Failed, 0) // of an earlier attempt: it must not be taken for this one's
	state, out, err := h.start(t.Context(), `seen 'starting 2 daemons'; state starting; seen 'the first of 2 daemons runs'; state ready; exec sleep 600`, time.Minute)
	if err != nil || state.Phase != Ready {
		t.Fatalf("%+v, %v", state, err)
	}
	if want := "starting 2 daemons\nthe first of 2 daemons runs\n0 of 0 mounts ready\n"; out != want {
		t.Errorf("shown: %q, want %q", out, want)
	}
	r, err := JobDirOf(h.Base, "7").readLauncher()
	if err != nil || !r.running("n1") {
		t.Fatalf("the launcher does not run on: %+v, %v", r, err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.PID))
	if err != nil {
		t.Fatal(err)
	}
	var pid, parent, group, session int
	var name, status string
	if _, err := fmt.Sscan(string(stat), &pid, &name, &status, &parent, &group, &session); err != nil {
		t.Fatal(err)
	}
	if session != r.PID {
		t.Errorf("the launcher's session is %d, not its own", session)
	}
	if _, _, err := h.start(t.Context(), `exit 0`, time.Minute); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "running already") {
		t.Errorf("a second start: %v", err)
	}
	job, err := h.Find()
	if err != nil {
		t.Fatal(err)
	}
	h.End(t.Context(), job, noMounts)
	h.ended()
}

func TestStartFails(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		code   int
		want   string
	}{
		"the job says why":       {`state failed ',"error":"n1 (rank 0): no room"'; exit 1`, ExitFailed, "n1 (rank 0): no room; logs are in "},
		"bad input":              {`state failed ',"error":"no such target","bad_input":true'; exit 2`, ExitBadInput, "no such target"},
		"only the launcher does": {`echo ----; echo 'mpirun: no such option' >&2; exit 1`, ExitFailed, "before every mount answered:\n  mpirun: no such option; logs"},
		"nobody does":            {`state connected`, ExitFailed, "the launcher ended before every mount answered; logs"},
	} {
		h := newHouse(t)
		_, _, err := h.start(t.Context(), c.script, time.Minute)
		if err == nil || !strings.Contains(err.Error(), c.want) || ExitCode(err) != c.code {
			t.Errorf("%s: %v (exit code %d), want %q (%d)", name, err, ExitCode(err), c.want, c.code)
		}
		h.ended()
	}
}

// TestStartTakesTooLong: what does not become ready is ended.
func TestStartTakesTooLong(t *testing.T) {
	h := newHouse(t)
	_, out, err := h.start(t.Context(), `state connected; exec sleep 600`, 300*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "within 300ms") || ExitCode(err) != ExitFailed {
		t.Errorf("%v", err)
	}
	if !strings.Contains(out, "SIGTERM to the launcher") {
		t.Errorf("said: %s", out)
	}
	h.ended()

}

// TestStartInterrupted: nothing of the start goes on; and it is not begun if that is known before.
func TestStartInterrupted(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		await(ctx, time.Minute, func() bool {
			r, err := JobDirOf(h.Base, "7").readLauncher()
			return err == nil && r != nil
		})
		cancel(&interrupted{signal: syscall.SIGINT})
	}()
	_, out, err := h.start(ctx, `exec sleep 600`, time.Minute)
	if ExitCode(err) != 130 || !strings.Contains(err.Error(), "interrupted; logs are in") || !strings.Contains(out, "interrupted: ending what was started") {
		t.Errorf("%v; said: %s", err, out)
	}
	h.ended()
	h = newHouse(t)
	if _, _, err := h.start(ctx, `touch "$DIR/begun"`, time.Minute); ExitCode(err) != 130 {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(h.Base, "7", "begun")); err == nil {
		t.Error("the launcher was started")
	}
}

// TestStartWithHostDown: what the scheduler knows to be down is named, and not waited for.
func TestStartWithHostDown(t *testing.T) {
	h := newHouse(t)
	h.Others = &Others{Hosts: []string{"n1", "n2"}, Command: func(string, []string) Command { return Command{Args: []string{"/bin/false"}} },
		Down: func(context.Context) []string { return []string{"n2"} }}
	_, _, err := h.start(t.Context(), `exec sleep 600`, time.Minute)
	if ExitCode(err) != ExitFailed || !strings.Contains(err.Error(), "n2: the scheduler says that it is down") || !strings.Contains(err.Error(), "launch --exclude n2 starts without") {
		t.Error(err)
	}
	h.ended()
}

func TestStartWithoutProgram(t *testing.T) {
	h := newHouse(t)
	s := &Start{Finder: h.Finder, Timeout: time.Minute, Mounts: noMounts, Progress: &Progress{Out: &bytes.Buffer{}},
		Command: Command{Args: []string{"/nonexistent/mpirun"}}}
	s.Finder.ID = "7"
	if _, err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "/nonexistent/mpirun") {
		t.Errorf("%v", err)
	}
}
