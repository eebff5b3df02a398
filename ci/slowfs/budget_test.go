package slowfs

import (
	"os"
	"testing"
	"time"
)

func TestBudgetHandsOutTheRate(t *testing.T) {
	b := budget{rate: 100} // 10 ms a unit
	now := time.Unix(1000, 0)
	for i, want := range []time.Duration{0, 10, 20, 30} { // the first is on credit
		if got := b.take(now, 1); got != want*time.Millisecond {
			t.Errorf("unit %d: wait %v, want %v ms", i, got, int64(want))
		}
	}
	now = now.Add(25 * time.Millisecond)
	if got := b.take(now, 2); got != 25*time.Millisecond {
		t.Errorf("two more after 25 ms: wait %v, want 25ms", got)
	}
	now = now.Add(time.Hour) // idle for long: still one credit only
	if got := b.take(now, 3); got != 20*time.Millisecond {
		t.Errorf("three after an hour: wait %v, want 20ms", got)
	}
}

func TestBudgetUnlimited(t *testing.T) {
	var b budget
	for range 3 {
		if got := b.take(time.Unix(0, 0), 1<<40); got != 0 {
			t.Fatalf("wait %v without a rate", got)
		}
	}
}

func TestWallClockWait(t *testing.T) {
	if !(wallClock{}).wait(time.Nanosecond, nil) {
		t.Error("a wait that was not cut short says that it was")
	}
	done := make(chan struct{})
	close(done)
	if (wallClock{}).wait(time.Hour, done) {
		t.Error("a wait that was cut short says that it was not")
	}
}

// TestSharedMetadataRate: the operations of two mounts together take the time that one budget
// gives them, whoever asks.
func TestSharedMetadataRate(t *testing.T) {
	clock := &fakeClock{now: time.Unix(1000, 0)}
	s := start(t, 2, Options{MetadataRate: 10, clock: clock}, nil)
	begin := clock.Now()
	for i := range 10 {
		if _, err := os.Lstat(s.on(i%2, "missing")); !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	ops := s.Counts().Metadata()
	if ops < 10 {
		t.Fatalf("%d operations counted, want at least 10", ops)
	}
	want := time.Duration(ops)*100*time.Millisecond - credit
	if got := clock.Now().Sub(begin); got != want {
		t.Errorf("%d operations at 10/s took %v, want %v", ops, got, want)
	}
}

func TestSharedBandwidth(t *testing.T) {
	const page = 4096 // one READ
	clock := &fakeClock{now: time.Unix(1000, 0)}
	s := start(t, 2, Options{Bandwidth: page, clock: clock}, func(backing string) {
		write(t, backing+"/a", string(make([]byte, page)))
	})
	begin := clock.Now()
	read(t, s.on(0, "a"))
	read(t, s.on(0, "a")) // from the kernel's cache
	read(t, s.on(1, "a"))
	if got, want := clock.Now().Sub(begin), 2*time.Second-credit; got != want {
		t.Errorf("two pages at one page per second took %v, want %v", got, want)
	}
}

func TestLatencyOfEveryOperation(t *testing.T) {
	clock := &fakeClock{now: time.Unix(1000, 0)}
	s := start(t, 1, Options{Latency: time.Second, clock: clock}, func(backing string) {
		write(t, backing+"/a", "hello")
	})
	begin := clock.Now()
	read(t, s.on(0, "a"))
	counts := s.Counts()
	ops := counts.Metadata() + counts.Op(OpRead)
	if counts.Op(OpRead) != 1 || ops < 3 {
		t.Fatalf("unexpected operations: %+v", counts.Operations)
	}
	if got, want := clock.Now().Sub(begin), time.Duration(ops)*time.Second; got != want {
		t.Errorf("%d operations took %v, want %v", ops, got, want)
	}
}
