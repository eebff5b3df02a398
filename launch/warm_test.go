package launch

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

// TestWarm: the order goes to every node, which is then asked how far it is until none is active.
func TestWarm(t *testing.T) {
	dir, bases := controlDir(t)
	d0, d1 := newFakeDaemon(0), newFakeDaemon(1)
	var asked atomic.Int64
	d0.Warm = func(o WarmOrder) (Warmth, error) {
		if o.Dir != "" {
			d0.note("warm " + o.Dir)
		}
		return Warmth{Active: asked.Add(1) < 3, Accesses: 4, Done: 2, Bytes: 5}, nil
	}
	d1.Warm = func(o WarmOrder) (Warmth, error) { return Warmth{Accesses: 6, Done: 6, Bytes: 7}, nil }
	serveControl(t, dir, d0, together(d0, d1))
	var shown []Warmed
	w, err := Finder{Bases: bases, Host: "n1"}.Warm(context10s(t), twoRanks, WarmOrder{Dir: "/env"}, func(w Warmed) { shown = append(shown, w) })
	want := Warmed{Nodes: 2, Sum: Warmth{Accesses: 10, Done: 8, Bytes: 12}}
	if err != nil || w != want {
		t.Errorf("warmed %+v, %v, want %+v", w, err, want)
	}
	if len(shown) != 3 || !shown[0].Sum.Active || shown[2] != want {
		t.Errorf("shown %+v", shown)
	}
	if len(d0.done) != 1 || d0.done[0] != "warm /env" {
		t.Errorf("ordered %q", d0.done)
	}
}

func TestWarmWithoutNodes(t *testing.T) {
	dir, bases := controlDir(t)
	d0, d1 := newFakeDaemon(0), newFakeDaemon(1)
	ctx, cancel := context.WithCancel(context10s(t))
	d0.Warm = func(WarmOrder) (Warmth, error) { return Warmth{Active: true}, nil }
	d1.Warm = func(WarmOrder) (Warmth, error) { return Warmth{}, errors.New("no such manifest") }
	serveControl(t, dir, d0, together(d0, d1))
	w, err := Finder{Bases: bases, Host: "n1"}.Warm(ctx, twoRanks, WarmOrder{Dir: "/"}, func(Warmed) { cancel() })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "go on warming") || w.Missing != 1 {
		t.Errorf("interrupted: %+v, %v", w, err)
	}
	d0.Warm = d1.Warm
	if _, err := (Finder{Bases: bases, Host: "n1"}).Warm(context10s(t), twoRanks, WarmOrder{Dir: "/"}, nil); err == nil || !strings.Contains(err.Error(), "no such manifest") {
		t.Errorf("no node can: %v", err)
	}
}

func TestWarmRequest(t *testing.T) {
	for _, r := range []Request{
		{Version: controlVersion, Op: OpWarm},
		{Version: controlVersion, Op: OpWarm, Warm: &WarmOrder{Dir: "env"}},
		{Version: controlVersion, Op: OpWarm, Warm: &WarmOrder{Manifest: make([]byte, MaxManifest+1)}},
		{Version: controlVersion, Op: OpStatus, Warm: &WarmOrder{}},
	} {
		if err := r.check(); err == nil {
			t.Errorf("%+v was accepted", r.Op)
		}
	}
}
