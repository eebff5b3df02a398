package profiling

import (
	"math"
	"testing"
	"time"
)

// A timeline keeps all requests in bounded room, and the busy times as finely as they came.
func TestSpans(t *testing.T) {
	var s spans
	began := time.Unix(1_800_000_000, 0)
	requests := 0
	note := func(at time.Duration, times int) {
		for range times {
			s.note(Answer{Began: began.Add(at), Took: time.Millisecond, Waited: requests%2 == 0})
			requests++
		}
	}
	for i := range 100 { // ten seconds of an application's start
		note(time.Duration(i)*100*time.Millisecond, 50)
	}
	for i := range 5000 { // a day of one request now and then
		note(time.Minute+time.Duration(i)*17*time.Second, 1)
	}
	note(0, 1) // late
	all := s.read()
	if len(all) > mostSpans {
		t.Errorf("%d spans", len(all))
	}
	var sum Span
	for i, p := range all {
		sum.Requests += p.Requests
		sum.Misses += p.Misses
		sum.Took += p.Took
		if p.Ended <= p.Began || i > 0 && p.Began < all[i-1].Ended {
			t.Errorf("span %d: %+v after %+v", i, p, all[max(i-1, 0)])
		}
		if i < 100 && (p.Requests != 50 || p.Ended != p.Began+1) {
			t.Errorf("the start is joined: %+v", p)
		}
	}
	if sum.Requests != int64(requests) || sum.Misses != int64((requests+1)/2) || sum.Took != time.Duration(requests)*time.Millisecond {
		t.Errorf("%+v of %d requests", sum, requests)
	}
}

func TestHeat(t *testing.T) {
	if newHeat(nil) != nil || newHeat([]lane{{}}) != nil {
		t.Error("a heat map of nothing")
	}
	lanes := []lane{
		{rank: 0, who: "n1-7", spans: []Span{{Began: 100, Ended: 101, Requests: 10, Misses: 4}, {Began: 102, Ended: 104, Requests: 20}}},
		{rank: 1, who: "n2-7", spans: []Span{{Began: 101, Ended: 102, Requests: 40, Misses: 40}}},
	}
	h := newHeat(lanes)
	if h.began != 100 || h.column != 1 || len(h.rows) != 2 || h.share != 1 || h.most != 400 {
		t.Fatalf("%+v", h)
	}
	for i, want := range [][]float64{{100, 0, 100, 100}, {0, 400, 0, 0}} {
		for j := range want {
			if got := h.rows[i].rates[j]; math.Abs(got-want[j]) > 1e-9 {
				t.Errorf("row %d: %v, want %v", i, h.rows[i].rates, want)
				break
			}
		}
	}
	if h.hits[0] != 6 || h.misses[0] != 4 || h.misses[1] != 40 || h.hits[1] != 0 {
		t.Errorf("hits %v, misses %v", h.hits, h.misses)
	}
	// One request a day later does not make the start a single column.
	lanes[0].spans = append(lanes[0].spans, Span{Began: 900_000, Ended: 900_001, Requests: 1})
	if h := newHeat(lanes); h.began > 100 || len(h.hits) < 1 || time.Duration(len(h.hits))*time.Duration(h.column) > 100 || h.share >= 1 {
		t.Errorf("with a late one: %d columns of %d from %d on, %v of all", len(h.hits), h.column, h.began, h.share)
	}
	// Many ranks share rows.
	many := make([]lane, 10_624)
	for i := range many {
		many[i] = lane{rank: i, spans: []Span{{Began: 5, Ended: 6, Requests: 3}}}
	}
	h = newHeat(many)
	ranks := 0
	for _, r := range h.rows {
		ranks += r.ranks
	}
	if len(h.rows) != heatRows || ranks != len(many) || math.Abs(h.most-30) > 1e-9 {
		t.Errorf("%d rows, %d ranks, most %v", len(h.rows), ranks, h.most)
	}
}

func TestTimeMarks(t *testing.T) {
	for length, want := range map[time.Duration]string{700 * time.Millisecond: "0.1 s", 12 * time.Second: "2 s", 3 * time.Minute: "0.5 min", 5 * time.Hour: "1 h", 90 * 24 * time.Hour: "312 h"} {
		marks := timeMarks(length)
		if len(marks) < 4 || len(marks) > 8 || marks[0].At != 0 || marks[1].Text != want {
			t.Errorf("%v: %+v, want the first at %s", length, marks, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0 ns", 999: "999 ns", 1500: "1.50 µs", 12_340_000: "12.3 ms", time.Second: "1 s", 250 * time.Millisecond: "250 ms", 90 * time.Second: "1.50 min"} {
		if got := took(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
