package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/copper-hpc/copper/launch"
	"github.com/copper-hpc/copper/profiling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// status is what a large job in trouble says after so many seconds.
func status(seconds int64) *launch.Status {
	s := &launch.Status{Version: 1, Job: "7", State: launch.Ready, Started: time.Now().Add(-time.Hour), Note: profiling.KernelNote, Dir: "/logs/7"}
	s.Totals = launch.Totals{Nodes: 10_000, Missing: 2, Requests: 1_000_000 * seconds, ReadBytes: seconds << 30, HitRate: 0.987,
		Questions: 1000 * seconds, Hits: 900 * seconds, MemoryUsed: 1 << 40, PFSOperations: 1234, PFSOperationsSaved: 9_876_543,
		PFSBytesSaved: 5 << 40, OverlayBytes: seconds << 20, Failovers: 17, Restarts: 1}
	s.Missing = []launch.MissingNode{{Rank: 5, Host: "x5"}, {Rank: 6, Host: "x6"}}
	s.Cluster.Memory = launch.MemoryStatus{Limit: 4 << 40, Used: 1 << 40}
	for rank := range 64 {
		s.Cluster.Suspicions = append(s.Cluster.Suspicions, launch.Suspicion{SuspectPeer: launch.SuspectPeer{Rank: rank, Host: fmt.Sprintf("x%d", rank)}})
	}
	s.Cluster.Restarted = launch.NodeList{Count: 1, Nodes: []launch.NotedNode{{Rank: 3, Host: "x3", Value: 1}}}
	s.Cluster.Slowest = []launch.NodeLatency{{Rank: 9, Host: "x9", Mean: time.Second}, {Rank: 8, Host: "x8", Mean: time.Millisecond}}
	s.Cluster.Warm = launch.Warmth{Active: true, Accesses: 10, Done: 5}
	return s
}

var styles = regexp.MustCompile("\x1b\\[[0-9]*m")

func watched(looks ...int64) *history {
	h := &history{}
	begun := time.Now()
	for _, at := range looks {
		h.add(seen{status: status(at), at: begun.Add(time.Duration(at) * time.Second)})
	}
	return h
}

// TestFrameFits: on any terminal no line is longer than it is wide, and there are no more than it is high, with what
// matters most.
func TestFrameFits(t *testing.T) {
	h := watched(10, 12)
	for _, size := range [][2]int{{80, 24}, {200, 60}, {40, 10}, {20, 4}, {10, 2}, {1, 1}, {80, 1}} {
		width, height := size[0], size[1]
		for _, h := range []*history{h, {}, {err: errors.New("a long reason\nof two lines " + strings.Repeat("x", 100))}} {
			lines := h.frame("local-host-1234", h.now(), width, height)
			if len(lines) == 0 || len(lines) > height {
				t.Errorf("%dx%d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if bare := styles.ReplaceAllString(line, ""); utf8.RuneCountInString(bare) > width || strings.ContainsAny(bare, "\n\x1b") {
					t.Errorf("%dx%d: %q", width, height, line)
				}
			}
		}
	}
	text := styles.ReplaceAllString(strings.Join(h.frame("7", h.now(), 80, 24), "\n"), "")
	t.Log("\n" + text)
	for _, want := range []string{
		"copper 7: ready, 10,000 of 10,002 nodes, up 1h0m", "98.7%  now 90.0%", "100.0%  9,876,543 ops, 5.0 TiB", "PFS made    1,234 ops, 0 B; now 0/s",
		"to kernels  12.0 GiB; now 1.0 GiB/s", "12,000,000; now 1,000,000/s", "now 1.0 MiB/s", "25.0%  1.0 TiB of 4.0 TiB", "warming     [###",
		"missing     x5 (rank 5), x6 (rank 6)\n", "suspected   x0 (rank 0), x1", " more\n", "restarted   x3 (rank 3) x1\n", "17 questions went on",
		"slowest     x9 (rank 9) 1s, x8 (rank 8) 1ms", "\nWhat the kernel's caches answered",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the view lacks %q", want)
		}
	}
}

// now is when the last look was answered.
func (h *history) now() time.Time {
	if h.last == nil {
		return time.Now()
	}
	return h.last.at
}

// TestRates: nodes that come and go make no rate, and neither do counters that begin again.
func TestRates(t *testing.T) {
	if h := watched(10); h.bytesNow(delivered) != "-" || h.hitsNow() != "-" {
		t.Error("a rate of one look")
	}
	h := watched(10, 20)
	h.last.status.Totals.Nodes++
	if got := h.bytesNow(delivered); got != "-" {
		t.Errorf("with another node: %s", got)
	}
	h = watched(20)
	h.add(seen{status: status(10), at: h.last.at.Add(time.Second)})
	if got := h.countNow(requests); got != "0/s" {
		t.Errorf("backwards: %s", got)
	}
	h = watched(10, 20)
	h.add(seen{err: errors.New("silence"), at: time.Now(), took: 3 * time.Second})
	text := strings.Join(h.frame("7", time.Now().Add(4*time.Second), 80, 24), "\n")
	if !strings.Contains(text, "no answer   for 7s: silence") || !strings.Contains(text, "now 1.0 GiB/s") {
		t.Errorf("%s", text)
	}
}

// looks plays a job that says these, and then that it has ended.
func looks(said ...any) func(context.Context) (*launch.Status, error) {
	return func(context.Context) (*launch.Status, error) {
		next := said[0]
		said = said[1:]
		switch next := next.(type) {
		case int:
			return status(int64(next)), nil
		case error:
			return nil, next
		}
		panic(next)
	}
}

var ended = &launch.NoJobError{Base: "/logs", ID: "7", Why: "job 7 was stopped"}

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began := time.Now()
		w := &Watch{Job: "7", Interval: 5 * time.Second, Out: &out, Look: looks(1, errors.New("silence"), 11, ended)}
		if err := w.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("it takes %v", took)
		}
		lines := strings.Split(out.String(), "\n")
		for i, want := range []string{"ready: 10000 of 10002 nodes, hit rate 98.7%, PFS 1,234 ops made and 9,876,543 saved", "silence",
			"11.0 GiB to kernels at 1.0 GiB/s", "job 7 has ended; what it had done 5s before:", "requests"} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d lacks %q:\n%s", i, want, out.String())
			}
		}
	})
}

func TestJSONLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := &Watch{Job: "7", Interval: time.Second, Form: JSON, Out: &out, Look: looks(1, errors.New("silence"), 2, ended)}
		if err := w.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var states []launch.Phase
		for line := range strings.Lines(out.String()) {
			var s launch.Status
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Errorf("%v: %q", err, line)
			}
			states = append(states, s.State)
		}
		if fmt.Sprint(states) != "[ready ready stopped]" {
			t.Errorf("%q", states)
		}
	})
}

// TestViewLeavesTheTerminal: whether the job ends, it fails, or somebody interrupts while nothing is answered.
func TestViewLeavesTheTerminal(t *testing.T) {
	failed := &launch.NoJobError{Base: "/logs", ID: "7", Why: "job 7 failed", Failed: true}
	for what, c := range map[string]struct {
		look func(context.Context) (*launch.Status, error)
		want string
		err  error
	}{
		"the job ends": {looks(1, 2, ended), "job 7 has ended; what it had done 1s before:\n  requests ", nil},
		"at once":      {looks(ended), "job 7 has ended\n", nil},
		"it fails":     {looks(failed), "", failed},
		"is interrupted": {func(ctx context.Context) (*launch.Status, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, "", nil},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				resized, suspended := make(chan os.Signal, 1), make(chan os.Signal, 1)
				paused := false
				w := &Watch{Job: "7", Interval: time.Second, Form: View, Out: &out, Look: c.look,
					Screen: &Screen{out: &out, fd: -1, keys: -1}, Resized: resized, Suspended: suspended, Suspend: func() { paused = true }}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				resized <- nil
				suspended <- nil
				if err := w.Run(ctx); err != c.err { //nolint:errorlint // this very one
					t.Errorf("%v, want %v", err, c.err)
				}
				text := out.String()
				enters, leaves := strings.Count(text, alternate), strings.Count(text, original)
				if enters != leaves || enters == 0 || paused && enters != 2 {
					t.Errorf("entered %d times, left %d", enters, leaves)
				}
				if _, after, _ := strings.Cut(text[strings.LastIndex(text, original):], original); !strings.HasPrefix(after, c.want) || strings.Contains(after, "\x1b") {
					t.Errorf("afterwards: %q", after)
				}
			})
		})
	}
}
