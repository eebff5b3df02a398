package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/copper-hpc/copper/launch"
)

// Form is how what is seen is shown.
type Form int

// The forms.
const (
	Lines Form = iota // a line for each look
	View              // redrawn in place, on a terminal
	JSON              // an object a line
)

// Watch looks at a job again and again.
type Watch struct {
	Job      string
	Interval time.Duration
	// Look asks the job. A [launch.NoJobError] says that it has ended; any other error that it can't be
	// told now how it is.
	Look   func(context.Context) (*launch.Status, error)
	Form   Form
	Out    io.Writer
	Screen *Screen // for View
	// Resized and Suspended tell that the terminal has another size, and that the user wants it back for a while.
	Resized, Suspended <-chan os.Signal
	Suspend            func() // returns when the terminal is ours again
}

// seen is what came of one look.
type seen struct {
	status *launch.Status
	err    error
	at     time.Time
	took   time.Duration
}

// second is how often a view is redrawn, for its clock.
const second = time.Second

// Run returns when ctx is done, or when the job has ended: with its summary, and an error if it failed.
func (w *Watch) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	looks := make(chan seen)
	done := make(chan struct{})
	go func() { w.look(ctx, looks); close(done) }()
	defer func() { cancel(); <-done }()
	if w.Form == View {
		w.Screen.Enter()
		defer w.Screen.Leave()
	}
	var history history
	redraw := time.NewTicker(second)
	defer redraw.Stop()
	for {
		select {
		case s := <-looks:
			history.add(s)
			var ended *launch.NoJobError
			if errors.As(s.err, &ended) {
				if w.Form == View {
					w.Screen.Leave()
				}
				return w.end(history.last, ended)
			}
			if err := w.show(&history, s); err != nil {
				return err
			}
		case <-redraw.C:
			w.draw(&history)
		case <-w.Resized:
			w.draw(&history)
		case <-w.Suspended:
			if w.Form == View {
				w.Screen.Leave()
				w.Suspend()
				w.Screen.Enter()
				w.draw(&history)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// look looks at each interval until ctx is done.
func (w *Watch) look(ctx context.Context, looks chan<- seen) {
	for {
		began := time.Now()
		status, err := w.Look(ctx)
		s := seen{status: status, err: err, at: time.Now(), took: time.Since(began)}
		select {
		case looks <- s:
		case <-ctx.Done():
			return
		}
		pause := w.Interval - s.took
		if pause <= 0 { // who is slow to answer is not asked more often
			pause = w.Interval
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (w *Watch) show(h *history, s seen) error {
	switch {
	case w.Form == View:
		w.draw(h)
	case w.Form == JSON && s.status != nil:
		return json.NewEncoder(w.Out).Encode(s.status)
	case w.Form == Lines:
		_, err := fmt.Fprintln(w.Out, h.line())
		return err
	}
	return nil
}

func (w *Watch) draw(h *history) {
	if w.Form == View {
		width, height := w.Screen.Size()
		w.Screen.Draw(h.frame(w.Job, time.Now(), width, height))
	}
}

// end shows what is last known of a job that has ended.
func (w *Watch) end(last *seen, ended *launch.NoJobError) error {
	if ended.Failed {
		return ended
	}
	if last == nil {
		if w.Form != JSON {
			fmt.Fprintf(w.Out, "job %s has ended\n", w.Job)
		}
		return nil
	}
	last.status.State = launch.Stopped
	if w.Form == JSON {
		return json.NewEncoder(w.Out).Encode(last.status)
	}
	fmt.Fprintf(w.Out, "job %s has ended; what it had done %s before:\n", w.Job, age(time.Since(last.at)))
	return last.status.WriteTotals(w.Out)
}
