package mpiboot

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Boot is a bootstrap under way. It is not safe for concurrent use.
type Boot struct {
	world world
	host  string
	// launched: a launcher started this process, and waits for it.
	launched bool
	watch    *watch
	stage    stage
	agreed   time.Time
	err      error // why the bootstrap is over, once stage is over; nil after a good one
}

type stage int

// What a call may be waiting for.
const (
	waitJoin  = "the step's other processes to join MPI"
	waitCards = "all ranks to start and to exchange their cards"
	waitReady = "all ranks to be ready"
	waitLeave = "all ranks to leave MPI"
	waitAbort = "MPI to abort the step"
)

const (
	started   stage = iota // Exchange comes next
	exchanged              // Ready comes next
	over                   // MPI is finalized, or broken
)

// Option changes how Start works.
type Option func(*watch)

// Bound sets how long Start, Exchange and Ready may each wait for the other ranks; 0 or less is
// the default of five minutes. When it is over, the process says on stderr what it waited for and
// exits 1: MPI has no call that can be given up.
func Bound(d time.Duration) Option {
	return func(w *watch) {
		if d > 0 {
			w.bound = d
		}
	}
}

// Start joins the step that this process was started in, or makes a step of one if no launcher
// started it. The error is a *[LaunchError] if the launcher and this binary's MPI do not belong
// together.
func Start(options ...Option) (*Boot, error) {
	env, err := readEnvironment(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	host, err := shortHost()
	if err != nil {
		return nil, err
	}
	b := &Boot{world: alone{}, host: host, launched: env.launcher != "", watch: newWatch(host)}
	for _, option := range options {
		option(b.watch)
	}
	if env.launcher == "" {
		return b, nil
	}
	if env.size != 1 {
		if b.world, err = join(env, b.watch); err != nil {
			return nil, err
		}
	}
	b.watch.who = fmt.Sprintf("%s (rank %d of %d)", host, b.Rank(), b.Size())
	return b, CloseOnExec()
}

// Rank is this process's number in the step, from 0.
func (b *Boot) Rank() int { return b.world.rank() }

// Size is the number of processes in the step.
func (b *Boot) Size() int { return b.world.size() }

// Host is this host's name without its domain.
func (b *Boot) Host() string { return b.host }

// Launched tells whether an MPI launcher started this process, or a shell that one started.
func (b *Boot) Launched() bool { return b.launched }

// OnExit has f called when the process must end while Exchange or Ready waits for other ranks: to
// unmount, say. f has ten seconds. It runs on a goroutine of its own while the main goroutine is
// held up in MPI.
func (b *Boot) OnExit(f func()) { b.watch.cleanup = f }

// Exchange gives card to all ranks and returns everybody's, with the job's secret. It waits for
// all ranks. The error is a *[FailedError] if a rank called Ready instead, or if its card could
// not be sent.
func (b *Boot) Exchange(card Card) (*Roster, error) {
	if b.stage != started {
		return nil, errors.Join(errors.New("mpiboot: Exchange called twice, or after Ready"), b.err)
	}
	card.Rank = b.Rank()
	if card.Host == "" {
		card.Host = b.host
	}
	if card.PID == 0 {
		card.PID = os.Getpid()
	}
	record, err := b.introduction(card)
	if err != nil {
		record = failureRecord(b.host, err)
	}
	return b.exchange(record)
}

// introduction is the record that brings card, and from rank 0 the secret, to the others.
func (b *Boot) introduction(card Card) ([]byte, error) {
	if b.Rank() != 0 {
		return appendCard([]byte{recordCard}, card)
	}
	record := make([]byte, 1+secretSize, maxRecord)
	record[0] = recordSecret
	rand.Read(record[1:]) // never fails: the process would end
	return appendCard(record, card)
}

func (b *Boot) exchange(record []byte) (*Roster, error) {
	records, err := b.gather(waitCards, record)
	if err != nil {
		return nil, err
	}
	roster, err := assemble(b.Rank(), records)
	for _, rec := range records {
		clear(rec) // one of them holds the secret
	}
	if err != nil {
		return nil, b.finish(err)
	}
	b.stage = exchanged
	return roster, nil
}

// Ready waits until every rank has called it. It returns nil if all of them passed nil, else the
// same *[FailedError] on every rank. MPI is finalized then. Called before Exchange, or called with
// an error instead of it, Ready takes part in the other ranks' Exchange, which then fails.
func (b *Boot) Ready(failed error) error {
	switch b.stage {
	case started:
		if failed == nil {
			failed = errors.New("mpiboot: Ready called before Exchange")
		}
		_, err := b.exchange(failureRecord(b.host, failed))
		return err
	case over:
		if b.err == nil {
			return errors.New("mpiboot: Ready called twice")
		}
		return b.err
	}
	var record []byte
	if failed != nil {
		record = failureRecord(b.host, failed)
	}
	records, err := b.gather(waitReady, record)
	if err != nil {
		return err
	}
	b.agreed = time.Now()
	return b.finish(failures(records))
}

// Agreed is when the ranks had all called Ready, before they left MPI, which may take longer than all
// else; zero until Ready has returned, or if there was no Exchange.
func (b *Boot) Agreed() time.Time { return b.agreed }

// Abort ends the whole step with the given exit code, as far as the launcher lets it, and this
// process in any case. For a process that cannot even call Ready.
func (b *Boot) Abort(code int) {
	if b.stage != over {
		b.watch.over(waitAbort, func() { b.world.abort(code) })
	}
	os.Exit(code)
}

// gather is an allgather with a bound. If MPI fails in it, other ranks may not know: MPI is left
// as it is, since finalizing could wait for them for ever.
func (b *Boot) gather(what string, record []byte) (records [][]byte, err error) {
	b.watch.over(what, func() { records, err = b.world.allgather(record) })
	if err == nil && b.Size() > 1 {
		err = CloseOnExec() // MPI connects as late as it can
	}
	if err != nil {
		b.stage, b.err = over, fmt.Errorf("%s: %w", b.watch.who, err)
		return nil, b.err
	}
	return records, nil
}

// finish leaves MPI; every rank does so at the same point, with the same result.
func (b *Boot) finish(result error) error {
	b.watch.over(waitLeave, b.world.finalize)
	b.stage, b.err = over, result
	return result
}

// shortHost is this host's name without its domain.
func shortHost() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host name: %w", err)
	}
	if short, _, _ := strings.Cut(name, "."); net.ParseIP(name) == nil && short != "" {
		name = short
	}
	return name, nil
}
