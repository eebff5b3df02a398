package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/storetest"
)

var none store.Version

func newTree(t *testing.T, limit int64) (*storetest.Tree, *store.Store, *store.Memory) {
	t.Helper()
	mem := storetest.Memory(t, limit)
	tree := storetest.NewTree(mem)
	return tree, store.NewStore(tree, mem), mem
}

func wantErrno(t *testing.T, err error, want syscall.Errno) {
	t.Helper()
	if store.Errno(err) != want {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func fileOf(t *testing.T, src store.Source, path string) store.File {
	t.Helper()
	a, err := src.Stat(context.Background(), path, none)
	if err != nil {
		t.Fatal(err)
	}
	return store.File{Path: path, Version: a.Version()}
}

// TestOnce: whatever is asked again, by many at once, is asked upstream once.
func TestOnce(t *testing.T) {
	tree, s, _ := newTree(t, 64<<20)
	tree.Write("/lib/a.py", make([]byte, 3*store.ChunkSize))
	tree.Link("/lib/l", "a.py")
	ctx := context.Background()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			f := fileOf(t, s, "/lib/a.py")
			for i := range f.Chunks() {
				c, err := s.ReadChunk(ctx, f, i)
				if err != nil {
					t.Error(err)
					return
				}
				c.Release()
			}
			if _, err := s.List(ctx, "/lib", nil); err != nil {
				t.Error(err)
			}
			if target, err := s.ReadLink(ctx, "/lib/l"); target != "a.py" || err != nil {
				t.Error(target, err)
			}
			if _, err := s.Stat(ctx, "/lib/missing", none); store.Errno(err) != syscall.ENOENT {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for what, want := range map[string]int{
		"lstat /lib/a.py": 1, "readdir /lib": 1, "readlink /lib/l": 1, "read /lib/a.py": 3,
	} {
		if got := tree.Counts()[what]; got != want {
			t.Errorf("%s: %d times, want %d", what, got, want)
		}
	}
	if n := tree.Count("lstat", "/lib/missing"); n > 1 {
		t.Errorf("lstat of a missing name: %d times", n)
	}
}

// TestAbsenceFromListing: the first miss in a directory fetches its listing, which then answers
// for every other name.
func TestAbsenceFromListing(t *testing.T) {
	tree, s, _ := newTree(t, 64<<20)
	tree.Write("/lib/a.py", nil)
	ctx := context.Background()
	for i := range 100 {
		_, err := s.Stat(ctx, fmt.Sprintf("/lib/probe%d", i), none)
		wantErrno(t, err, syscall.ENOENT)
	}
	if _, err := s.Stat(ctx, "/lib/a.py", none); err != nil {
		t.Fatal(err)
	}
	counts := tree.Counts()
	if len(counts) != 3 || counts["lstat /lib/probe0"] != 1 || counts["readdir /lib"] != 1 || counts["lstat /lib/a.py"] != 1 {
		t.Errorf("asked upstream: %v", counts)
	}
}

// TestRevalidation: when its lease is over, a listing is renewed by one lstat of the directory,
// and one that changed is read again.
func TestRevalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, s, _ := newTree(t, 64<<20)
		tree.Lifetime = 2 * time.Second
		tree.Write("/lib/a.py", nil)
		ctx := context.Background()
		probe := func(name string, want syscall.Errno) {
			t.Helper()
			_, err := s.Stat(ctx, "/lib/"+name, none)
			wantErrno(t, err, want)
		}
		probe("x", syscall.ENOENT)
		probe("y", syscall.ENOENT)
		time.Sleep(3 * time.Second) // virtual
		for i := range 10 {
			probe(fmt.Sprint("z", i), syscall.ENOENT)
		}
		if c := tree.Counts(); c["lstat /lib"] != 1 || c["readdir /lib"] != 1 || len(c) != 3 {
			t.Errorf("after one lifetime: %v", c)
		}
		tree.Write("/lib/x", []byte("now"))
		probe("x", syscall.ENOENT) // within the lease
		time.Sleep(3 * time.Second)
		probe("x", 0)
		probe("y", syscall.ENOENT)
		if c := tree.Counts(); c["lstat /lib"] != 2 || c["readdir /lib"] != 2 {
			t.Errorf("after the change: %v", c)
		}
	})
}

// TestListingContradicts: what a new listing shows gone or replaced is asked again.
func TestListingContradicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, s, _ := newTree(t, 64<<20)
		tree.Lifetime = time.Second
		tree.Write("/lib/gone", []byte("1"))
		tree.Write("/lib/replaced", []byte("1"))
		tree.Write("/lib/kept", []byte("1"))
		var changed []string
		s.OnChange = func(p string) { changed = append(changed, p) }
		ctx := context.Background()
		for _, p := range []string{"/lib/gone", "/lib/replaced", "/lib/kept"} {
			fileOf(t, s, p)
		}
		if _, err := s.List(ctx, "/lib", nil); err != nil {
			t.Fatal(err)
		}
		tree.Remove("/lib/gone")
		tree.Write("/lib/replaced", []byte("22"))
		time.Sleep(2 * time.Second)
		if _, err := s.List(ctx, "/lib", nil); err != nil {
			t.Fatal(err)
		}
		_, err := s.Stat(ctx, "/lib/gone", none)
		wantErrno(t, err, syscall.ENOENT)
		if a, err := s.Stat(ctx, "/lib/replaced", none); err != nil || a.Size != 2 {
			t.Errorf("replaced: %+v, %v", a, err)
		}
		fileOf(t, s, "/lib/kept")
		if n := tree.Count("lstat", "/lib/kept"); n != 1 {
			t.Errorf("the unchanged name was asked %d times", n)
		}
		slices.Sort(changed)
		if !slices.Equal(changed, []string{"/lib", "/lib/gone", "/lib/replaced"}) {
			t.Errorf("OnChange told of %v", changed)
		}
	})
}

// TestErrorsAreNotRemembered: only absence is.
func TestErrorsAreNotRemembered(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EACCES, syscall.ELOOP} {
		tree, s, mem := newTree(t, 64<<20)
		tree.Write("/f", []byte("data"))
		tree.Link("/l", "f")
		f := fileOf(t, tree, "/f")
		ctx := context.Background()
		for _, op := range []string{"lstat", "read"} {
			tree.Fail(op, "/f", errno)
		}
		tree.Fail("readlink", "/l", errno)
		tree.Fail("readdir", "/", errno)
		_, err := s.Stat(ctx, "/f", none)
		wantErrno(t, err, errno)
		_, err = s.ReadChunk(ctx, f, 0)
		wantErrno(t, err, errno)
		_, err = s.ReadLink(ctx, "/l")
		wantErrno(t, err, errno)
		_, err = s.List(ctx, "/", nil)
		wantErrno(t, err, errno)
		for _, op := range []string{"lstat", "read"} {
			tree.Fail(op, "/f", 0)
		}
		tree.Fail("readlink", "/l", 0)
		tree.Fail("readdir", "/", 0)
		if a, err := s.Stat(ctx, "/f", none); err != nil || a.Size != 4 {
			t.Errorf("%v: then Stat: %+v, %v", errno, a, err)
		}
		c, err := s.ReadChunk(ctx, f, 0)
		if err != nil || string(c.Bytes()) != "data" {
			t.Fatalf("%v: then ReadChunk: %v", errno, err)
		}
		c.Release()
		if l, err := s.List(ctx, "/", nil); err != nil || len(l.Entries) != 2 {
			t.Errorf("%v: then List: %v, %v", errno, l, err)
		}
		s.Forget("/")
		if u := mem.Use(); u.Used != 0 {
			t.Errorf("%v: %d bytes held after all was dropped", errno, u.Used)
		}
	}
}

// TestStale: a file that has another version by now is ESTALE, and its attributes are asked again
// even where a store in between still holds the old ones.
func TestStale(t *testing.T) {
	tree, parent, mem := newTree(t, 64<<20)
	child := store.NewStore(parent, storetest.Memory(t, 64<<20))
	_ = mem
	tree.Write("/f", make([]byte, 2*store.ChunkSize))
	ctx := context.Background()
	old := fileOf(t, child, "/f")
	c, err := child.ReadChunk(ctx, old, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	tree.Write("/f", []byte("new"))
	// As another tree's root would find out: not through parent.
	if a, err := child.Stat(ctx, "/f", old.Version); err != nil || a.Size != 3 {
		t.Fatalf("Stat with the stale version: %+v, %v", a, err)
	}
	if a, err := parent.Stat(ctx, "/f", none); err != nil || a.Size != 3 {
		t.Fatalf("parent's Stat: %+v, %v", a, err)
	}
	_, err = child.ReadChunk(ctx, old, 1)
	wantErrno(t, err, syscall.ESTALE)
	c, err = child.ReadChunk(ctx, fileOf(t, child, "/f"), 0)
	if err != nil || string(c.Bytes()) != "new" {
		t.Fatalf("new version: %v", err)
	}
	c.Release()
}

// TestDoubt: an answer that contradicts what is known of the way makes that be asked again, also of a
// store in between.
func TestDoubt(t *testing.T) {
	ctx := context.Background()
	for _, errno := range []syscall.Errno{syscall.ESTALE, syscall.ENOTDIR} {
		for what, ask := range map[string]func(s *store.Store) error{
			"lstat /a/b/f":    func(s *store.Store) error { _, err := s.Stat(ctx, "/a/b/f", none); return err },
			"readdir /a/b":    func(s *store.Store) error { _, err := s.List(ctx, "/a/b", nil); return err },
			"readlink /a/b/l": func(s *store.Store) error { _, err := s.ReadLink(ctx, "/a/b/l"); return err },
		} {
			tree, parent, _ := newTree(t, 64<<20)
			child := store.NewStore(parent, storetest.Memory(t, 64<<20))
			tree.Write("/a/b/f", nil)
			for _, dir := range []string{"/a", "/a/b"} {
				if _, err := child.Stat(ctx, dir, none); err != nil {
					t.Fatal(err)
				}
			}
			op, path, _ := strings.Cut(what, " ")
			tree.Fail(op, path, errno)
			wantErrno(t, ask(child), errno)
			tree.Link("/a", "elsewhere") // is why
			if a, err := child.Stat(ctx, "/a", none); err != nil || a.Type() != syscall.S_IFLNK {
				t.Errorf("%s, %v: then /a is %o, %v", what, errno, a.Mode, err)
			}
		}
	}
}

// TestCallersComeAndLeave: one who leaves takes nobody along; when the last one leaves the
// question is given up, and who comes later asks anew.
func TestCallersComeAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, s, _ := newTree(t, 64<<20)
		tree.Write("/f", []byte("data"))
		f := fileOf(t, tree, "/f")
		resume := tree.Stall("read", "/f")
		impatient, leave := context.WithCancel(context.Background())
		left, answered := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := s.ReadChunk(impatient, f, 0)
			left <- err
		}()
		synctest.Wait()
		go func() {
			c, err := s.ReadChunk(context.Background(), f, 0)
			if err == nil {
				c.Release()
			}
			answered <- err
		}()
		synctest.Wait()
		leave()
		wantErrno(t, <-left, syscall.EINTR)
		resume()
		wantErrno(t, <-answered, 0)
		if n := tree.Count("read", "/f"); n != 1 {
			t.Errorf("asked %d times", n)
		}

		s.Forget("/")
		tree.Stall("read", "/f")
		alone, leave := context.WithCancel(context.Background())
		go func() {
			_, err := s.ReadChunk(alone, f, 0)
			left <- err
		}()
		synctest.Wait()
		leave()
		wantErrno(t, <-left, syscall.EINTR)
		synctest.Wait() // the flight ends: nobody is left to stall
	})
}

// TestForgetDuringFlight: what was asked before a clear is not kept after it.
func TestForgetDuringFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree, s, _ := newTree(t, 64<<20)
		tree.Write("/d/f", []byte("old"))
		resume := tree.Stall("lstat", "/d/f")
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := s.Stat(context.Background(), "/d/f", none); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		s.Forget("/d")
		resume()
		<-done
		fileOf(t, s, "/d/f")
		if n := tree.Count("lstat", "/d/f"); n != 2 {
			t.Errorf("asked %d times, want once before the clear and once after", n)
		}
	})
}

// TestForgetPrefix: only what lies below goes.
func TestForgetPrefix(t *testing.T) {
	tree, s, _ := newTree(t, 64<<20)
	for _, p := range []string{"/lib/a", "/lib64/a"} {
		tree.Write(p, nil)
		fileOf(t, s, p)
	}
	if n := s.Forget("/lib"); n != 1 {
		t.Errorf("%d entries dropped, want 1", n)
	}
	fileOf(t, s, "/lib/a")
	fileOf(t, s, "/lib64/a")
	if a, b := tree.Count("lstat", "/lib/a"), tree.Count("lstat", "/lib64/a"); a != 2 || b != 1 {
		t.Errorf("asked %d and %d times, want 2 and 1", a, b)
	}
}

// TestBudget: a working set far above the budget is read right, and the budget holds throughout.
func TestBudget(t *testing.T) {
	const limit = store.MinMemory
	tree, s, mem := newTree(t, limit)
	ctx := context.Background()
	for i := range 60 {
		data := make([]byte, 1+i*40_000) // every size class, several chunks
		for j := range data {
			data[j] = byte(i)
		}
		tree.Write(fmt.Sprintf("/f%02d", i), data)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 120 {
				i := (n*7 + w*13) % 60
				f := fileOf(t, s, fmt.Sprintf("/f%02d", i))
				for k := range f.Chunks() {
					c, err := s.ReadChunk(ctx, f, k)
					if err != nil {
						t.Error(err)
						return
					}
					if b := c.Bytes(); b[0] != byte(i) || b[len(b)-1] != byte(i) || !c.Intact() {
						t.Errorf("f%02d chunk %d: wrong content", i, k)
					}
					c.Release()
				}
			}
		})
	}
	wg.Wait()
	u, st := mem.Use(), s.Stats()
	if u.Peak > limit {
		t.Errorf("peak %d above the limit %d", u.Peak, int64(limit))
	}
	if st.Evictions == 0 {
		t.Error("nothing was evicted: the test does not test")
	}
	if n := s.Forget("/"); n == 0 {
		t.Error("the store was empty")
	}
	if u := mem.Use(); u.Used != 0 {
		t.Errorf("%d bytes held after all was dropped", u.Used)
	}
}

// TestMemoryWait: when all memory is in use, a caller waits for a release, and gives up in time.
func TestMemoryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := storetest.Memory(t, store.MinMemory)
		ctx := context.Background()
		var held []*store.Chunk
		for range store.MinMemory / store.ChunkSize {
			c, err := mem.Chunk(ctx, store.ChunkSize)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		if _, err := mem.Chunk(ctx, 1); !errors.Is(err, store.ErrBusy) {
			t.Fatalf("%v, want ErrBusy", err)
		}
		got := make(chan error)
		go func() {
			c, err := mem.Chunk(ctx, 1)
			if err == nil {
				c.Release()
			}
			got <- err
		}()
		synctest.Wait()
		held[0].Release()
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		for _, c := range held[1:] {
			c.Release()
		}
		if u := mem.Use(); u.Used != 0 {
			t.Errorf("%d bytes in use", u.Used)
		}
	})
}
