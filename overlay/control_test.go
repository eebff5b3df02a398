package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines is a sum that keeps all answers, one a line. It won't join what is no line.
type lines struct{ strings.Builder }

func newLines([]byte) Sum { return &lines{} }

func (l *lines) Add(body []byte) error {
	if bytes.Contains(body, []byte("unlike")) {
		return errors.New("it makes no sense")
	}
	if l.Len() > 0 {
		l.WriteByte('\n')
	}
	l.Write(body)
	return nil
}

func (l *lines) Bytes() ([]byte, error) { return []byte(l.String()), nil }

// handleAll makes every member answer with its rank and the request.
func (c *cluster) handleAll() {
	for _, m := range c.members {
		m.Handle(func(_ context.Context, req []byte) ([]byte, error) {
			return fmt.Appendf(nil, "%d:%s", m.self, req), nil
		}, newLines)
	}
}

// checkAnswers wants the answer of every rank once, but of the missing ones, whose error must say so.
func checkAnswers(t *testing.T, g Gathered, n int, missing map[int]string) {
	t.Helper()
	answered := map[string]int{}
	if g.Body != nil {
		for line := range strings.SplitSeq(string(g.Body), "\n") {
			answered[line]++
		}
	}
	if len(answered)+len(g.Missing) != n || len(g.Missing) != len(missing) {
		t.Errorf("%d nodes answer and %d are missing, of %d of whom %d are to be missing: %+v", len(answered), len(g.Missing), n, len(missing), g.Missing)
	}
	for i, m := range g.Missing {
		if want, gone := missing[m.Rank]; !gone || m.Err == "" || !strings.Contains(m.Err, want) {
			t.Errorf("rank %d: error %q, want %q", m.Rank, m.Err, want)
		}
		if i > 0 && g.Missing[i-1].Rank >= m.Rank {
			t.Errorf("rank %d after %d", m.Rank, g.Missing[i-1].Rank)
		}
	}
	for rank := range n {
		want := 1
		if _, gone := missing[rank]; gone {
			want = 0
		}
		if got := answered[fmt.Sprintf("%d:hello", rank)]; got != want {
			t.Errorf("rank %d counts %d times, want %d", rank, got, want)
		}
	}
}

func TestGather(t *testing.T) {
	for _, n := range []int{1, 2, 40} {
		synctest.Test(t, func(t *testing.T) {
			_, origin := pfs(t, 0)
			c := start(t, plan{nodes: n, fanout: 3, origin: origin})
			c.handleAll()
			for _, position := range []int{0, n / 2, n - 1} {
				answers, err := c.at(0, position).Gather(t.Context(), []byte("hello"))
				if err != nil {
					t.Error(err)
				}
				checkAnswers(t, answers, n, nil)
			}
			for _, m := range c.members {
				if tree := m.Stats().Trees[0]; tree != (TreeStats{}) {
					t.Errorf("rank %d counts it as traffic: %+v", m.self, tree)
				}
			}
		})
	}
}

func TestGatherGoesAroundTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		c := start(t, plan{nodes: 40, fanout: 3, trees: 1, origin: origin})
		c.handleAll()
		missing := map[int]string{}
		for _, position := range []int{0, 1, 39} { // the root, its first child, and a leaf
			m := c.at(0, position)
			m.kill()
			missing[m.self] = "connection refused"
		}
		for _, position := range []int{2, 20} {
			answers, err := c.at(0, position).Gather(t.Context(), []byte("hello"))
			if err != nil {
				t.Error(err)
			}
			checkAnswers(t, answers, 40, missing)
		}
	})
}

// TestGatherWaitsForNobodyElse: a node whose handler hangs costs its own answer only, wherever it
// is in the tree.
func TestGatherWaitsForNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		c := start(t, plan{nodes: 40, fanout: 2, trees: 1, origin: origin})
		c.handleAll()
		missing := map[int]string{}
		for _, position := range []int{0, 1, 5, 39} {
			m := c.at(0, position)
			m.Handle(func(ctx context.Context, _ []byte) ([]byte, error) {
				<-ctx.Done()
				time.Sleep(time.Second) // it even answers late
				return nil, ctx.Err()
			}, newLines)
			missing[m.self] = "in time"
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		answers, err := c.at(0, 17).Gather(ctx, []byte("hello"))
		if err != nil || ctx.Err() != nil {
			t.Errorf("%v, after the deadline: %v", err, ctx.Err())
		}
		checkAnswers(t, answers, 40, missing)
		time.Sleep(time.Minute) // the late ones end
	})
}

// TestGatherGoesAroundSuspects: those below a node that has failed before are reached at once, and not when it has turned
// out to be dead; one that is suspected wrongly is asked all the same, and nobody answers twice.
func TestGatherGoesAroundSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 40
		_, origin := pfs(t, 0)
		network := NewVirtual()
		hosts := make([]*VirtualHost, nodes)
		for rank := range hosts {
			hosts[rank] = network.Host()
		}
		c := start(t, plan{nodes: nodes, fanout: 3, trees: 1, origin: origin, transport: func(rank int) Transport { return hosts[rank] }})
		c.handleAll()
		dead, doubted := c.at(0, 1).self, c.at(0, c.at(0, 0).forest.Children(0, c.at(0, 0).self)[1]).self
		hosts[dead].Cut()
		asker := c.at(0, 0)
		gather := func() Gathered {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			answers, err := asker.Gather(ctx, []byte("hello"))
			if err != nil {
				t.Error(err)
			}
			return answers
		}
		gather()
		if !asker.peer(dead).suspect.Load() {
			t.Fatal("nobody suspects a node that was asked and is cut off")
		}
		asker.peer(doubted).suspect.Store(true)
		var mu sync.Mutex
		var latest time.Duration
		began := time.Now()
		for _, m := range c.members {
			m.Handle(func(_ context.Context, req []byte) ([]byte, error) {
				mu.Lock()
				defer mu.Unlock()
				latest = max(latest, time.Since(began))
				return fmt.Appendf(nil, "%d:%s", m.self, req), nil
			}, newLines)
		}
		checkAnswers(t, gather(), nodes, map[int]string{dead: "deadline exceeded"})
		if latest > 100*time.Millisecond {
			t.Errorf("the last node is reached after %v", latest)
		}
	})
}

func TestGatherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		c := start(t, plan{nodes: 1, origin: origin})
		c.members[0].Handle(func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, newLines)
		began := time.Now()
		answers, err := c.members[0].Gather(t.Context(), []byte("hello"))
		if took := time.Since(began); took != gatherBound || err != nil {
			t.Errorf("it takes %v, %v", took, err)
		}
		if len(answers.Missing) != 1 || answers.Missing[0].Err == "" {
			t.Errorf("answers %+v", answers)
		}
		if _, err := c.members[0].Gather(t.Context(), make([]byte, maxControl+1)); err == nil {
			t.Error("a request that can't be sent is")
		}
	})
}

func TestGatherTellsErrors(t *testing.T) {
	_, origin := pfs(t, 0)
	c := start(t, plan{nodes: 3, origin: origin})
	c.handleAll()
	c.members[1].Handle(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("out of order") }, newLines)
	c.members[2].Handle(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("") }, newLines)
	answers, err := c.members[0].Gather(t.Context(), []byte("hello"))
	if err != nil {
		t.Error(err)
	}
	checkAnswers(t, answers, 3, map[int]string{1: "out of order", 2: "failed"})

	c = start(t, plan{nodes: 3, fanout: 1, trees: 1, origin: origin})
	if answers, err := c.at(0, 2).Gather(t.Context(), []byte("hello")); err == nil {
		t.Errorf("a node that can't answer asks: %+v", answers)
	}
	c.handleAll()
	mute, odd := c.at(0, 0), c.at(0, 1)
	mute.answering.Store(nil)
	odd.Handle(func(context.Context, []byte) ([]byte, error) { return []byte("unlike"), nil }, newLines)
	answers, err = c.at(0, 2).Gather(t.Context(), []byte("hello"))
	if err != nil {
		t.Error(err)
	}
	checkAnswers(t, answers, 3, map[int]string{mute.self: "doesn't answer", odd.self: "no sense"})
}

// TestStopReachesAll: every node leaves because of the request, and no answer is lost.
func TestStopReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		c := start(t, plan{nodes: 40, fanout: 3, trees: 1, origin: origin})
		var stopping sync.WaitGroup
		for _, m := range c.members {
			m.Handle(func(context.Context, []byte) ([]byte, error) {
				stopping.Go(func() {
					if err := m.Drain(t.Context()); err != nil {
						t.Error(err)
					}
					m.kill()
				})
				return fmt.Appendf(nil, "%d:hello", m.self), nil
			}, newLines)
		}
		answers, err := c.at(0, 17).Gather(t.Context(), nil)
		if err != nil {
			t.Error(err)
		}
		checkAnswers(t, answers, 40, nil)
		stopping.Wait()
	})
}

func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		c := start(t, plan{nodes: 1, origin: origin})
		m := c.members[0]
		if err := m.Drain(t.Context()); err != nil {
			t.Errorf("nothing is under way: %v", err)
		}
		m.Handle(func(ctx context.Context, _ []byte) ([]byte, error) {
			hurry, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return nil, m.Drain(hurry) // which waits for this very request
		}, newLines)
		answers, err := m.Gather(t.Context(), nil)
		if err != nil || len(answers.Missing) != 1 || !strings.Contains(answers.Missing[0].Err, "deadline") {
			t.Errorf("answers %+v, %v", answers, err)
		}
	})
}

// TestLargeControl: bodies larger than any buffer on the way, at a pace that has them take longer
// than any ping is waited for.
func TestLargeControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, origin := pfs(t, 0)
		network := &faulty{Transport: NewVirtual()}
		network.pace.Store(int64(time.Second / 2))
		c := start(t, plan{nodes: 2, origin: origin, transport: func(int) Transport { return network }})
		req := bytes.Repeat([]byte("request "), 16*virtualBuffer/8)
		for _, m := range c.members {
			m.Handle(func(_ context.Context, req []byte) ([]byte, error) { return req[:len(req)/2], nil }, newLines)
		}
		began := time.Now()
		answers, err := c.at(0, 1).Gather(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 2*missedPings*time.Second {
			t.Errorf("it took only %v", took)
		}
		if half := string(req[:len(req)/2]); string(answers.Body) != half+"\n"+half || len(answers.Missing) > 0 {
			t.Errorf("%d bytes, missing: %+v", len(answers.Body), answers.Missing)
		}
	})
}
