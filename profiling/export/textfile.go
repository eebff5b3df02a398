package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/copper-hpc/copper/profiling"
)

// Interval is how often a file is written.
const Interval = 15 * time.Second

// CheckFile tells whether path can be a textfile: node_exporter reads those that end with .prom.
func CheckFile(path string) error {
	if !strings.HasSuffix(path, ".prom") || filepath.Base(path) == ".prom" {
		return fmt.Errorf("%q: want a file's name that ends with .prom, which node_exporter reads", path)
	}
	return nil
}

// CheckPlace tells whether the file's directory is there.
func CheckPlace(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s: it is no directory", filepath.Dir(path))
	}
	return err
}

// Textfile is a file that is written at each interval until Close.
type Textfile struct {
	path    string
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Keep begins to write the file.
func Keep(path string, interval time.Duration, e *Exporter, log *slog.Logger) *Textfile {
	f := &Textfile{path: path}
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	f.running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		told := false
		for {
			err := f.write(ctx, e)
			if ctx.Err() != nil {
				return
			}
			if err != nil && !told {
				log.Warn("the file for Prometheus is not written", "path", path, "error", err)
			}
			told = err != nil
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return f
}

// write replaces the file, which everybody may read: node_exporter has another user.
func (f *Textfile) write(ctx context.Context, e *Exporter) error {
	var b bytes.Buffer
	if err := profiling.WriteFamilies(&b, e.families(ctx)); err != nil || ctx.Err() != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+"-*") // which node_exporter doesn't read
	if err != nil {
		return err
	}
	_, err = temporary.Write(b.Bytes())
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), f.path)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

// Close ends the writing, and takes the file away: numbers of a job that is over would be read for ever. It
// waits no longer than the bound for a file system that hangs.
func (f *Textfile) Close(bound time.Duration) {
	f.cancel()
	done := make(chan struct{})
	go func() {
		f.running.Wait()
		_ = os.Remove(f.path) // there may be none
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(bound):
	}
}
