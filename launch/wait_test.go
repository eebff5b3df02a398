package launch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func (h *house) wait(bound time.Duration) (*Job, string, error) {
	var out bytes.Buffer
	job, err := h.Wait(h.t.Context(), nil, bound, &Progress{Out: &out})
	return job, out.String(), err
}

func TestWaitForReady(t *testing.T) {
	h := newHouse(t)
	h.add("old", Failed, 0, Rank{0, "n1", noProcess, ""})
	pid := fakeServe(t, "new").Process.Pid
	ranks := []Rank{{0, "n1", pid, "/m0"}, {1, "n1", pid, "/m1"}}
	dir := JobDirOf(h.Base, "new")
	if err := dir.Make(); err != nil {
		t.Fatal(err)
	}
	shown := make(chan string, 100)
	go func() { // the job goes on when the one who waits has seen how far it is
		states := []State{
			{ID: "new", Phase: Starting, Started: time.Now(), Ranks: ranks[:1]},
			{ID: "new", Phase: Connected, Started: time.Now(), Ranks: ranks},
			{ID: "new", Phase: Ready, Started: time.Now(), Ranks: ranks},
		}
		for _, s := range states {
			<-shown
			if err := dir.WriteState(s); err != nil {
				t.Error(err)
			}
		}
	}()
	job, err := h.Wait(t.Context(), nil, time.Minute, &Progress{Out: tellTale(shown)})
	if err != nil || job.State.ID != "new" || job.State.Phase != Ready {
		t.Fatalf("%+v, %v", job, err)
	}
	close(shown)
	var lines []string
	for line := range shown {
		lines = append(lines, line)
	}
	if got := strings.Join(lines, ""); got != "2 of 2 mounts ready\n" {
		t.Errorf("at the end was shown %q", got)
	}
}

// tellTale passes on what is written.
type tellTale chan<- string

func (c tellTale) Write(b []byte) (int, error) {
	c <- string(b)
	return len(b), nil
}

func TestWaitForFailed(t *testing.T) {
	h := newHouse(t)
	h.write(State{ID: "7", Phase: Failed, Error: "n1 (rank 0): no such target", BadInput: true, Started: time.Now()})
	if _, _, err := h.wait(time.Minute); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "no such target") {
		t.Errorf("%v, want why it failed, as bad input", err)
	}
}

func TestWaitForKilled(t *testing.T) {
	h := newHouse(t)
	h.write(State{ID: "7", Phase: Connected, Started: time.Now(), Ranks: []Rank{{0, "n1", noProcess, ""}}})
	if _, _, err := h.wait(time.Minute); err == nil || !strings.Contains(err.Error(), "its daemons are gone") {
		t.Errorf("%v", err)
	}
}

func TestWaitInVain(t *testing.T) {
	h := newHouse(t)
	if _, out, err := h.wait(time.Millisecond); err == nil || !strings.Contains(err.Error(), "none appeared within 1ms") || out != "waiting for a job to start\n" {
		t.Errorf("no job at all: %v; shown %q", err, out)
	}
	h.add("old", Stopped, 0)
	if _, _, err := h.wait(time.Millisecond); err == nil || !strings.Contains(err.Error(), "job old was stopped") {
		t.Errorf("an old job: %v", err)
	}
	pid := fakeServe(t, "slow").Process.Pid
	h.add("slow", Connected, time.Hour, Rank{0, "n1", pid, "/m"})
	if _, _, err := h.wait(time.Millisecond); err == nil || !strings.Contains(err.Error(), "not every mount answered within 1ms") {
		t.Errorf("a slow job: %v", err)
	}
}

func TestFailedFor(t *testing.T) {
	now := time.Now()
	for what, c := range map[string]struct {
		started, changed, began time.Duration // before now
		want                    bool
	}{
		"while it was waited for":          {2 * time.Second, time.Second, 3 * time.Second, true},
		"just before":                      {3100 * time.Millisecond, 3 * time.Second, 3 * time.Second, true},
		"a little before, nothing new yet": {9 * time.Second, 8 * time.Second, time.Second, false},
		"a little before, nothing new":     {20 * time.Second, 19 * time.Second, 11 * time.Second, true},
		"an hour ago":                      {time.Hour, time.Hour, time.Minute, false},
	} {
		s := State{Started: now.Add(-c.started), Changed: now.Add(-c.changed)}
		if got := failedFor(s, now.Add(-c.began), now); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestProgress(t *testing.T) {
	ranks := make([]Rank, 4)
	states := []*State{nil, nil, {Phase: Starting}, {Phase: Connected, Ranks: ranks}, {Phase: Mounted, Ranks: ranks},
		{Phase: Mounted, Ranks: ranks}, {Phase: Ready, Ranks: ranks}, {Phase: Failed, Ranks: ranks}}
	show := func(p *Progress) string {
		var out bytes.Buffer
		p.Out = &out
		for _, s := range states {
			p.Show(s)
		}
		p.End()
		return out.String()
	}
	want := "starting 4 daemons\nthe first of 4 daemons runs\n4 daemons connected, 0 of 4 mounts ready\n1 of 4 mounts ready\n4 of 4 mounts ready\n"
	if got := show(&Progress{Ranks: 4}); got != want {
		t.Errorf("lines:\n%swant\n%s", got, want)
	}
	got := show(&Progress{Ranks: 4, Terminal: true})
	if strings.Contains(got, "\n") || strings.Count(got, "\r\x1b[K") != 6 || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("on a terminal: %q", got)
	}
}

// TestWaitForProcess: what was to start the job has ended, so none is waited for; why, a job that failed tells.
func TestWaitForProcess(t *testing.T) {
	h := newHouse(t)
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	step := FindStepProcess(cmd.Process.Pid)
	if FindStepProcess(0).ended() || step.ended() {
		t.Error("it has ended already")
	}
	wait := func() error {
		_, err := h.Wait(t.Context(), step, time.Minute, &Progress{Out: io.Discard})
		return err
	}
	time.AfterFunc(10*time.Millisecond, func() { _ = cmd.Process.Kill() })
	if err := wait(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d, which was to start one, has ended", cmd.Process.Pid)) {
		t.Error(err)
	}
	_ = cmd.Wait()
	h.write(State{ID: "7", Phase: Failed, Error: "n1 (rank 0): no such target", BadInput: true, Started: longAgo})
	if err := wait(); ExitCode(err) != ExitBadInput || !strings.Contains(err.Error(), "no such target") {
		t.Error(err)
	}
	if !FindStepProcess(noProcess).ended() {
		t.Error("a process that never was has not ended")
	}
}

// TestWaitHints: who waits for a job that does not come is told of hosts that are down.
func TestWaitHints(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h.Others = &Others{Down: func(context.Context) []string { return []string{"n3"} }}
	var said string
	h.Say = func(line string) { said = line; cancel() }
	if _, err := h.Wait(ctx, nil, time.Minute, &Progress{Out: io.Discard}); err == nil || !strings.HasPrefix(said, "n3: down, says the scheduler") {
		t.Errorf("%v; said %q", err, said)
	}
}
