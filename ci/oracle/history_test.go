package oracle

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func nothing() error { return nil }

// present is a state of a file with some content.
func present(version int, size int64) State {
	return State{Content: ContentOf("/d/f", version), Size: size}
}

// must wants a verdict: "" is that all is well, else a part of what it says.
func must(t *testing.T, what string, verdict error, want string) {
	t.Helper()
	switch {
	case want == "" && verdict != nil:
		t.Errorf("%s: %v", what, verdict)
	case want != "" && (verdict == nil || !strings.Contains(verdict.Error(), want)):
		t.Errorf("%s: %v, want %q", what, verdict, want)
	}
}

// history of /d/f: absent, then version 1 of 5000 bytes, then version 2 of 3000 bytes, with a pause
// around each, then absent again. It returns a moment in each state.
func lived(t *testing.T, h *History) (moments []time.Time) {
	t.Helper()
	note := func() {
		time.Sleep(2 * time.Millisecond)
		moments = append(moments, time.Now())
		time.Sleep(2 * time.Millisecond)
	}
	note()
	for _, s := range []State{present(1, 5000), present(2, 3000), {Absent: true}} {
		if err := h.Change("/d/f", nil, s, nothing); err != nil {
			t.Fatal(err)
		}
		note()
	}
	return moments
}

func at(begin, end time.Time) Read { return Read{File: "/d/f", Begin: begin, End: end} }

func TestContent(t *testing.T) {
	c := ContentOf("/a", 3)
	whole := c.Bytes(20_000)
	for _, off := range []int64{0, 1, 7, 8, 4095, 4096, 10_001} {
		if i := c.Differs(whole[off:], off); i >= 0 {
			t.Errorf("from %d on it differs from itself at %d", off, i)
		}
	}
	whole[12_345]++
	if i := c.Differs(whole[5:], 5); i != 12_340 {
		t.Errorf("the wrong byte is at %d", i)
	}
	for _, other := range []Content{ContentOf("/a", 4), ContentOf("/b", 3)} {
		if i := other.Differs(c.Bytes(100), 0); i < 0 || i > 8 {
			t.Errorf("another content differs at %d", i)
		}
	}
}

// TestBytes: those of one state between the horizon and the end of the read, whole.
func TestBytes(t *testing.T) {
	h := &History{}
	m := lived(t, h)
	one, two := ContentOf("/d/f", 1), ContentOf("/d/f", 2)
	must(t, "version 1 while it is there", h.Bytes(at(m[1], m[1]), one.Bytes(5000)), "")
	must(t, "version 1 later: it may be remembered", h.Bytes(at(m[3], m[3]), one.Bytes(5000)), "")
	must(t, "version 2 before it is made", h.Bytes(at(m[1], m[1]), two.Bytes(3000)), "right")
	must(t, "version 2 made during the read", h.Bytes(at(m[1], m[2]), two.Bytes(3000)), "")
	must(t, "cut short", h.Bytes(at(m[1], m[1]), one.Bytes(4999)), "4999 bytes, the first")
	must(t, "padded", h.Bytes(at(m[1], m[1]), append(one.Bytes(5000), 0)), "right")
	must(t, "empty", h.Bytes(at(m[2], m[2]), nil), "0 bytes")
	must(t, "mixed", h.Bytes(at(m[2], m[2]), append(one.Bytes(1000), two.Bytes(3000)[1000:]...)), "the first 1000 of which are right")

	must(t, "one state", h.Pieces(at(m[1], m[2]), []Piece{{0, one.Bytes(10), false}, {4990, one.Bytes(5000)[4990:], true}}), "")
	must(t, "two states", h.Pieces(at(m[1], m[2]), []Piece{{0, one.Bytes(10), false}, {0, two.Bytes(10), false}}), "no one state")
	must(t, "an early end", h.Pieces(at(m[1], m[1]), []Piece{{0, one.Bytes(10), true}}), "no one state")
	must(t, "the size", h.Size(at(m[1], m[1]), 5000), "")
	must(t, "another size", h.Size(at(m[1], m[1]), 3000), "its size")

	h.clears = []clear{{"/d", span{m[2], m[2]}}, {"/e", span{m[3], m[3]}}}
	must(t, "version 1 after a clear in the time of 2", h.Bytes(at(m[3], m[3]), one.Bytes(5000)), "right")
	must(t, "version 2 after the same clear", h.Bytes(at(m[3], m[3]), two.Bytes(3000)), "")
}

// TestGrowing: any length that the file has while it grows.
func TestGrowing(t *testing.T) {
	h := &History{}
	grown, meanwhile := present(1, 4000), present(1, 4000)
	meanwhile.Least = 1000
	c := grown.Content
	var begin time.Time
	if err := h.Change("/d/f", &meanwhile, grown, func() error {
		begin = time.Now()
		time.Sleep(2 * time.Millisecond)
		for _, n := range []int64{1000, 2500, 4000} {
			must(t, "while it grows", h.Bytes(at(begin, begin), c.Bytes(n)), "")
		}
		must(t, "less than it was", h.Bytes(at(begin, begin), c.Bytes(999)), "right")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	h.clears = []clear{{"", span{time.Now(), time.Now()}}}
	time.Sleep(2 * time.Millisecond)
	must(t, "when it is done", h.Bytes(at(time.Now(), time.Now()), c.Bytes(2500)), "right")
	must(t, "when it is done", h.Bytes(at(time.Now(), time.Now()), c.Bytes(4000)), "")
}

// TestErrno: every errno needs its reason.
func TestErrno(t *testing.T) {
	h := &History{Lease: 3 * time.Millisecond}
	m := lived(t, h)
	later := m[3].Add(time.Hour)
	must(t, "before it was made", h.Errno(at(m[0], m[0]), syscall.ENOENT), "")
	must(t, "long after it was made", h.Errno(at(m[2], m[2]), syscall.ENOENT), "no such file")
	must(t, "after it was removed", h.Errno(at(later, later), syscall.ENOENT), "")
	h.Lease = time.Minute
	must(t, "within the lease", h.Errno(at(m[2], m[2]), syscall.ENOENT), "")
	must(t, "changed", h.Errno(at(m[2], m[2]), syscall.ESTALE), "")
	must(t, "EIO", h.Errno(at(m[2], m[2]), syscall.EIO), "input/output")

	if err := h.Change("/d/g", nil, present(1, 1), nothing); err != nil {
		t.Fatal(err)
	}
	g := at(later, later)
	g.File = "/d/g"
	h.clears = []clear{{"", span{m[3].Add(time.Minute), m[3].Add(time.Minute)}}}
	must(t, "not changed since the horizon", h.Errno(g, syscall.ESTALE), "stale")

	end := h.Begin(Fault{What: "EIO below /d", Node: 2, Prefix: "/d", Errnos: []syscall.Errno{syscall.EIO}})
	now := at(time.Now(), time.Now())
	must(t, "on another node", h.Errno(now, syscall.EIO), "input/output")
	now.Node = 2
	must(t, "where it may be met", h.Errno(now, syscall.EIO), "")
	must(t, "another errno", h.Errno(now, syscall.EACCES), "permission")
	now.File = "/dd/f"
	must(t, "elsewhere", h.Errno(now, syscall.EIO), "input/output")
	end()
	time.Sleep(2 * time.Millisecond)
	now = at(time.Now(), time.Now())
	now.Node = 2
	must(t, "afterwards", h.Errno(now, syscall.EIO), "input/output")
	h.Grace = time.Minute
	must(t, "afterwards, on its way", h.Errno(now, syscall.EIO), "")
}

// TestDelayed: while answers are delayed, an absence may be older than its lease.
func TestDelayed(t *testing.T) {
	h := &History{Lease: time.Millisecond}
	end := h.Begin(Fault{What: "slow", Node: 1, Delays: true})
	m := lived(t, h)
	must(t, "under way", h.Errno(at(m[2], m[2]), syscall.ENOENT), "")
	end()
	must(t, "long after", h.Errno(at(m[2].Add(time.Hour), m[2].Add(time.Hour)), syscall.ENOENT), "") // it is absent again
	if began := time.Now(); !h.Cleared("", began) {
		t.Error("a clear in quiet times does not count")
	}
	if h.Cleared("", m[1]) {
		t.Error("a clear amid faults counts")
	}
}

// TestNames: a listing shows what was there and lacks what was not.
func TestNames(t *testing.T) {
	h := &History{}
	m := lived(t, h)
	if err := h.Change("/d/g", nil, present(1, 1), nothing); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	look := func(when time.Time) Read { return Read{File: "/d", Begin: when, End: when} }
	now := time.Now()
	must(t, "now", h.Names(look(now), []string{"g"}), "")
	must(t, "remembered", h.Names(look(now), nil), "")
	must(t, "too early", h.Names(look(m[0]), []string{"f"}), "listed: true")
	must(t, "unheard of", h.Names(look(now), []string{"x"}), "never was")
	h.clears = []clear{{"", span{m[2], m[2]}}}
	must(t, "both", h.Names(look(now), []string{"f", "g"}), "")
	h.clears = []clear{{"", span{now, now}}}
	now = now.Add(time.Millisecond)
	must(t, "lacking", h.Names(look(now), nil), "listed: false")
	must(t, "removed before the clear", h.Names(look(now), []string{"f", "g"}), "listed: true")
}
