package overlay

import (
	"context"
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxStrangers bounds the connections that have not proven anything yet.
	maxStrangers = 2048
	// strangersGrace is for how long one of them is safe when others want its place: a daemon needs
	// two round trips.
	strangersGrace = 500 * time.Millisecond
)

// descriptors is how many files this process may have open at a time.
var descriptors = sync.OnceValue(func() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
})

// strangers is the connections that have not proven anything yet. When there are as many as may be,
// a new one takes the place of the oldest of the address that has most. So those that only hang
// keep no daemon out, and an address that has many displaces itself.
type strangers struct {
	limit int

	mu       sync.Mutex
	waiting  map[string][]*stranger // by remote address, oldest first; no empty ones
	count    int
	vacated  chan struct{} // closed when one leaves; nil while nobody waits for that
	lastTold time.Time
}

type stranger struct {
	conn net.Conn
	from string
	came time.Time
	gone bool
}

func newStrangers() *strangers {
	return &strangers{
		limit:   max(min(maxStrangers, descriptors()/4), 1),
		waiting: make(map[string][]*stranger),
	}
}

// enter gives a connection a place. It waits for one no longer than strangersGrace, and fails only when ctx
// is done.
func (s *strangers) enter(ctx context.Context, conn net.Conn) (*stranger, error) {
	for {
		entered, vacated, wait := s.try(conn)
		if entered != nil {
			return entered, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-vacated:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// try returns the connection's place, or what to wait for.
func (s *strangers) try(conn net.Conn) (entered *stranger, vacated <-chan struct{}, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.count == s.limit {
		oldest := s.most()[0]
		if wait := strangersGrace - now.Sub(oldest.came); wait > 0 {
			if s.vacated == nil {
				s.vacated = make(chan struct{})
			}
			return nil, s.vacated, wait
		}
		s.remove(oldest)
		_ = oldest.conn.Close()
	}
	entered = &stranger{conn: conn, from: host(conn.RemoteAddr()), came: now}
	s.waiting[entered.from] = append(s.waiting[entered.from], entered)
	s.count++
	return entered, nil, 0
}

// most is those of the address that has most; of several such, the one whose first came first.
func (s *strangers) most() (most []*stranger) {
	for _, these := range s.waiting {
		if len(these) > len(most) || len(these) == len(most) && these[0].came.Before(most[0].came) {
			most = these
		}
	}
	return most
}

// leave gives a place up, if it was not taken away.
func (s *strangers) leave(one *stranger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !one.gone {
		s.remove(one)
	}
}

func (s *strangers) remove(one *stranger) {
	one.gone = true
	these := s.waiting[one.from]
	for i, other := range these {
		if other == one {
			these = append(these[:i:i], these[i+1:]...)
			break
		}
	}
	if s.waiting[one.from] = these; len(these) == 0 {
		delete(s.waiting, one.from)
	}
	s.count--
	if s.vacated != nil {
		close(s.vacated)
		s.vacated = nil
	}
}

// toTell tells whether a refusal is to be logged for people to see: one in a second is, lest strangers fill
// the log.
func (s *strangers) toTell() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.lastTold.IsZero() && now.Sub(s.lastTold) < time.Second {
		return false
	}
	s.lastTold = now
	return true
}

// host is an address without its port.
func host(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return addr.String()
}
