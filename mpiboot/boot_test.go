package mpiboot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hall is where the ranks of a test meet: an allgather among goroutines.
type hall struct {
	mu      sync.Mutex
	arrived *sync.Cond
	size    int
	round   int
	records [][]byte // of the round under way
	last    [][]byte // of the round before
	count   int
	left    int // ranks that finalized
}

func newHall(size int) *hall {
	h := &hall{size: size, records: make([][]byte, size)}
	h.arrived = sync.NewCond(&h.mu)
	return h
}

type seat struct {
	*hall
	me int
}

func (s seat) rank() int { return s.me }
func (s seat) size() int { return s.hall.size }
func (s seat) abort(int) {}

func (s seat) finalize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left++
}

func (s seat) allgather(record []byte) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[s.me] = bytes.Clone(record)
	s.count++
	if s.count == s.hall.size {
		s.last, s.records, s.count = s.records, make([][]byte, s.hall.size), 0
		s.round++
		s.arrived.Broadcast()
	} else {
		for round := s.round; s.round == round; {
			s.arrived.Wait()
		}
	}
	own := make([][]byte, len(s.last))
	for i, rec := range s.last {
		own[i] = bytes.Clone(rec)
	}
	return own, nil
}

// step runs f as every rank of a step of the given size, and returns the errors by rank.
func step(t *testing.T, size int, f func(b *Boot) error) []error {
	t.Helper()
	h := newHall(size)
	errs := make([]error, size)
	var wg sync.WaitGroup
	for rank := range size {
		b := &Boot{world: seat{h, rank}, host: fmt.Sprintf("n%d", rank), watch: newWatch("test")}
		wg.Go(func() { errs[rank] = f(b) })
	}
	wg.Wait()
	if h.left != size {
		t.Errorf("%d of %d ranks finalized", h.left, size)
	}
	return errs
}

func TestEveryRankGetsTheSameRoster(t *testing.T) {
	const size = 5
	rosters := make([]*Roster, size)
	errs := step(t, size, func(b *Boot) error {
		card := Card{Version: 3, Mount: "/m", Endpoints: make([]string, b.Rank())}
		for i := range card.Endpoints {
			card.Endpoints[i] = fmt.Sprintf("tcp://10.0.%d.%d:1", b.Rank(), i)
		}
		roster, err := b.Exchange(card)
		rosters[b.Rank()] = roster
		if !b.Agreed().IsZero() {
			return errors.New("the ranks have agreed before any called Ready")
		}
		err = errors.Join(err, b.Ready(nil))
		if b.Agreed().IsZero() {
			return errors.New("Ready does not tell when the ranks agreed")
		}
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for rank, r := range rosters {
		if r.Self != rank {
			t.Errorf("rank %d: Self is %d", rank, r.Self)
		}
		if !reflect.DeepEqual(r.Cards, rosters[0].Cards) || r.Secret != rosters[0].Secret {
			t.Errorf("rank %d has another roster than rank 0", rank)
		}
		c := r.Cards[rank]
		if c.Rank != rank || c.Host != fmt.Sprintf("n%d", rank) || c.PID != os.Getpid() || len(c.Endpoints) != rank {
			t.Errorf("card of rank %d: %+v", rank, c)
		}
	}
	if rosters[0].Secret == [secretSize]byte{} {
		t.Error("the secret is all zero")
	}
}

func TestReadyTellsEveryoneWhoFailed(t *testing.T) {
	errs := step(t, 4, func(b *Boot) error {
		if _, err := b.Exchange(Card{}); err != nil {
			return fmt.Errorf("Exchange: %w", err)
		}
		if b.Rank()%2 == 1 {
			return b.Ready(fmt.Errorf("no\n/dev/fuse%d", b.Rank()))
		}
		return b.Ready(nil)
	})
	for rank, err := range errs {
		const want = "2 of 4 ranks failed: n1 (rank 1): no /dev/fuse1; n3 (rank 3): no /dev/fuse3"
		if err == nil || err.Error() != want {
			t.Errorf("rank %d: got %v, want %s", rank, err, want)
		}
	}
}

func TestFailureBeforeExchangeReachesEveryone(t *testing.T) {
	for name, fail := range map[string]func(b *Boot) error{
		"port in use": func(b *Boot) error { return b.Ready(errors.New("port in use")) },
		"card: endpoint of 0 bytes, want 1 to 255": func(b *Boot) error {
			_, err := b.Exchange(Card{Endpoints: []string{""}})
			return err
		},
	} {
		errs := step(t, 3, func(b *Boot) error {
			if b.Rank() == 0 {
				return fail(b)
			}
			_, err := b.Exchange(Card{})
			if again := b.Ready(nil); !errors.Is(again, err) {
				return fmt.Errorf("Ready after a failed Exchange: %w", again)
			}
			return err
		})
		for rank, err := range errs {
			var failed *FailedError
			if !errors.As(err, &failed) || err.Error() != "n0 (rank 0): "+name {
				t.Errorf("rank %d: got %v, want n0 (rank 0): %s", rank, err, name)
			}
		}
	}
}

func TestDifferentProtocolVersions(t *testing.T) {
	for rank, err := range step(t, 3, func(b *Boot) error {
		_, err := b.Exchange(Card{Version: 7 + b.Rank()/2})
		return err
	}) {
		if err == nil || !strings.Contains(err.Error(), "n2 (rank 2) speaks protocol version 8, n0 (rank 0) version 7") {
			t.Errorf("rank %d: got %v", rank, err)
		}
	}
}

func TestAssembleRefusesForeignRecords(t *testing.T) {
	card := func(prefix string, rank int) []byte {
		b, err := appendCard([]byte(prefix), Card{Rank: rank, Host: "n"})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	root := card("s"+strings.Repeat("k", secretSize), 0)
	if _, err := assemble(0, [][]byte{root, card("c", 1)}); err != nil {
		t.Fatal(err)
	}
	for want, records := range map[string][][]byte{
		"rank 0: not a card":                {card("c", 0), card("c", 1)},
		"rank 1: not a card":                {root, card("s"+strings.Repeat("k", secretSize), 1)},
		"rank 0: record ends":               {[]byte("sshort"), card("c", 1)},
		"rank 1: card ends too early":       {root, {recordCard, cardFormat}},
		"card of rank 0 came from rank 1":   {root, card("c", 0)},
		"unknown host (rank 1): unknown re": {root, []byte("f\x09cut")},
	} {
		if _, err := assemble(0, records); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestManyFailuresMakeAShortText(t *testing.T) {
	records := make([][]byte, 10_000)
	for rank := range records {
		records[rank] = failureRecord("n", errors.New(strings.Repeat("é", 2000)))
	}
	err := failures(records)
	var failed *FailedError
	if !errors.As(err, &failed) || len(failed.Failed) != len(records) {
		t.Fatalf("got %v", err)
	}
	text := err.Error()
	if !strings.HasPrefix(text, "10000 of 10000 ranks failed: ") || !strings.HasSuffix(text, "; and 9990 more") {
		t.Errorf("text is %.40s … %s", text, text[len(text)-40:])
	}
	if len(text) > 20_000 {
		t.Errorf("text of %d bytes", len(text))
	}
	if n := len(failureRecord(strings.Repeat("h", 1000), errors.New(text))); n > maxRecord {
		t.Errorf("failure record of %d bytes does not fit", n)
	}
}

func TestRosterOfOneWithoutLauncher(t *testing.T) {
	for _, l := range launchers {
		for _, name := range []string{l.size, l.rank} {
			if name != "" {
				t.Setenv(name, "")
			}
		}
	}
	b, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Exchange(Card{Endpoints: []string{"here"}})
	if err != nil {
		t.Fatal(err)
	}
	if b.Rank() != 0 || b.Size() != 1 || r.Self != 0 || len(r.Cards) != 1 || r.Cards[0].Host != b.Host() {
		t.Errorf("got %v with cards %+v", r, r.Cards)
	}
	if err := b.Ready(nil); err != nil {
		t.Error(err)
	}
	if _, err := b.Exchange(Card{}); err == nil {
		t.Error("a second Exchange succeeded")
	}
}

func TestNothingPrintsTheSecret(t *testing.T) {
	r := Roster{Cards: make([]Card, 1)}
	for i := range r.Secret {
		r.Secret[i] = 0xAB
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n"+verb+"\n", r, &r)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("m", "value", r, "pointer", &r)
	}
	marshalled, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(marshalled)
	text := strings.ToLower(out.String())
	for _, leak := range []string{"abab", "171", "0xab", "q6ur", "\xab"} {
		if strings.Contains(text, leak) {
			t.Errorf("the secret shows as %q in %s", leak, text)
		}
	}
}
