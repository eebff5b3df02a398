package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Exam is one check, to be done by a process of its own.
type Exam struct {
	Name  string
	Args  []string // of the binary
	Bound time.Duration
	// Hung is what is to be said when the check does not end within Bound.
	Hung Finding
}

// Examine does the exams side by side, each by `program args…`, which prints its findings as JSON. A check
// that hangs is killed, or left behind where that is impossible, and that is its finding. The findings
// are in the order of the exams.
func Examine(ctx context.Context, program string, exams []Exam) []Finding {
	results := make([][]Finding, len(exams))
	var wg sync.WaitGroup
	for i, e := range exams {
		wg.Go(func() {
			results[i] = e.do(ctx, program)
			for k := range results[i] {
				results[i][k].Check = e.Name
			}
		})
	}
	wg.Wait()
	findings := []Finding{}
	for _, r := range results {
		findings = append(findings, r...)
	}
	return findings
}

func (e Exam) do(ctx context.Context, program string) []Finding {
	ctx, cancel := context.WithTimeout(ctx, e.Bound)
	defer cancel()
	const advice = "copper itself failed here: please report it"
	out, err := BoundedOutput(ctx, exec.Command(program, e.Args...))
	if errors.Is(err, context.DeadlineExceeded) {
		return []Finding{e.Hung}
	}
	if err != nil {
		return []Finding{problem(advice, "the check could not be made: %v", err)}
	}
	var findings []Finding
	if err := json.Unmarshal(out, &findings); err != nil {
		return []Finding{problem(advice, "the check told nothing: %v", err)}
	}
	return findings
}

// BoundedOutput is what cmd prints. Unlike [exec.CommandContext] it does not wait for a child that can't
// be killed, because it hangs in the kernel: the error is ctx's then.
func BoundedOutput(ctx context.Context, cmd *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // for what it has started, and left behind itself
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if said := strings.TrimSpace(stderr.String()); err != nil && said != "" {
			err = errors.New(said)
		}
		return stdout.Bytes(), err
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGKILL)
		return nil, ctx.Err()
	}
}
