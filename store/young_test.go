package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

// TestYoungVersionSettles: a file is not read within the tick of its file system's clock in which it
// got its times, which may be one of whole seconds, or ahead of ours; and it is read at once after.
func TestYoungVersionSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where it is the year 2000: every real file is of the future
		mem := storetest.Memory(t, 64<<20)
		dir := t.TempDir()
		o := newOrigin(t, dir, mem)
		if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 3*store.ChunkSize), 0o644); err != nil {
			t.Fatal(err)
		}
		f := fileOf(t, o, "/f")
		took := func(f store.File, index int64) time.Duration {
			began := time.Now()
			if c, err := o.ReadChunk(context.Background(), f, index); err == nil {
				c.Release()
			}
			return time.Since(began)
		}
		if d := took(f, 0); d < 10*time.Millisecond || d > 100*time.Millisecond {
			t.Errorf("the first chunk after %v", d)
		}
		if d := took(f, 1); d != 0 {
			t.Errorf("the second chunk after %v", d)
		}
		whole := f
		whole.Version.Mtime, whole.Version.Ctime = f.Version.Mtime/1e9*1e9, f.Version.Ctime/1e9*1e9
		if d := took(whole, 0); d < time.Second || d > 2*time.Second {
			t.Errorf("whole seconds: after %v", d)
		}
		old := f
		old.Version.Mtime, old.Version.Ctime = time.Now().Add(-time.Second).UnixNano()+1, 1
		if d := took(old, 0); d != 0 {
			t.Errorf("an old version: after %v", d)
		}
		ctx, leave := context.WithCancel(context.Background())
		leave()
		whole.Version.Size--
		if _, err := o.ReadChunk(ctx, whole, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("who leaves gets %v", err)
		}
	})
}
