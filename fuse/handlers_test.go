package fuse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/copper-hpc/copper/store"
)

var discard = slog.New(slog.DiscardHandler)

// unmounted answers requests that no kernel sent.
func unmounted(src store.Source) *filesystem {
	fs := &filesystem{
		source: src, log: discard, deadline: time.Minute, device: -1, dead: make(chan struct{}),
		nodes: newNodeTable(), snapshots: newSnapshots(), notifier: newNotifier(discard), pusher: newPusher(),
	}
	fs.notifier.kernel = forgetful{}
	return fs
}

// forgetful is a kernel that remembers nothing.
type forgetful struct{}

func (forgetful) InodeNotifyStoreCache(uint64, int64, []byte) gofuse.Status { return gofuse.ENOENT }
func (forgetful) EntryNotify(uint64, string) gofuse.Status                  { return gofuse.ENOENT }
func (forgetful) InodeNotify(uint64, int64, int64) gofuse.Status            { return gofuse.ENOENT }

func (fs *filesystem) lookup(parent uint64, name string) (gofuse.EntryOut, gofuse.Status) {
	var out gofuse.EntryOut
	st := fs.Lookup(nil, &gofuse.InHeader{NodeId: parent}, name, &out)
	return out, st
}

func TestLookupNames(t *testing.T) {
	tree := newTree(t)
	tree.Write("/dir/file", nil)
	fs := unmounted(tree)
	dir, st := fs.lookup(1, "dir")
	if st != gofuse.OK || dir.NodeId <= 1 {
		t.Fatal(dir, st)
	}
	if self, st := fs.lookup(dir.NodeId, "."); st != gofuse.OK || self.NodeId != dir.NodeId {
		t.Error("self:", self, st)
	}
	if up, st := fs.lookup(dir.NodeId, ".."); st != gofuse.OK || up.NodeId != 1 {
		t.Error("parent:", up, st)
	}
	if up, st := fs.lookup(1, ".."); st != gofuse.OK || up.NodeId != 1 {
		t.Error("parent of the root:", up, st)
	}
	if _, st := fs.lookup(1, strings.Repeat("n", 255)); st != gofuse.OK { // a negative entry
		t.Error("255 bytes:", st)
	}
	for name, want := range map[string]syscall.Errno{
		strings.Repeat("n", 256): syscall.ENAMETOOLONG, "": syscall.EINVAL, "a/b": syscall.EINVAL,
	} {
		if _, st := fs.lookup(1, name); st != gofuse.Status(want) {
			t.Errorf("%.10q: %v, want %v", name, st, want)
		}
	}
	if _, st := fs.lookup(99, "x"); st != gofuse.Status(syscall.ESTALE) {
		t.Error("an unknown directory:", st)
	}
}

func TestNodeIsAPathAtAVersion(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", []byte("old"))
	fs := unmounted(tree)
	old, _ := fs.lookup(1, "file")
	again, _ := fs.lookup(1, "file")
	if again.NodeId != old.NodeId {
		t.Error("an unchanged file is another node")
	}
	tree.Write("/file", []byte("newer"))
	changed, _ := fs.lookup(1, "file")
	if changed.NodeId == old.NodeId {
		t.Fatal("a changed file is the same node")
	}
	var attr gofuse.AttrOut
	if st := fs.GetAttr(nil, &gofuse.GetAttrIn{InHeader: gofuse.InHeader{NodeId: old.NodeId}}, &attr); st != gofuse.OK || attr.Size != 3 {
		t.Error("attributes of the old version:", attr.Size, st)
	}
	buf := make([]byte, 10)
	if _, st := fs.Read(nil, readOf(old.NodeId, 0, 10), buf); st != gofuse.Status(syscall.ESTALE) {
		t.Error("read of the old version:", st)
	}
	if data := readAll(t, fs, changed.NodeId, 1, 10); data != "ewer" {
		t.Errorf("read of the new version: %q", data)
	}
	fs.Forget(old.NodeId, 1)
	if fs.nodes.get(old.NodeId) == nil {
		t.Error("forgotten too early")
	}
	fs.Forget(old.NodeId, 1)
	fs.Forget(changed.NodeId, 1)
	fs.Forget(gofuse.FUSE_ROOT_ID, 1)
	fs.Forget(12345, 1)
	if fs.nodes.len() != 1 || len(fs.nodes.byPath) != 1 {
		t.Errorf("%d nodes are left", fs.nodes.len())
	}
	if n, _ := fs.lookup(1, "file"); n.NodeId == old.NodeId || n.NodeId == changed.NodeId {
		t.Error("a number was used twice")
	}
}

func TestStaleVersionIsTold(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", []byte("old"))
	src := &rememberStale{Source: tree}
	fs := unmounted(src)
	n, _ := fs.lookup(1, "file")
	version := fs.nodes.get(n.NodeId).attr.Version()
	tree.Fail("read", "/file", syscall.ESTALE)
	if _, st := fs.Read(nil, readOf(n.NodeId, 0, 3), make([]byte, 3)); st != gofuse.Status(syscall.ESTALE) {
		t.Fatal(st)
	}
	if _, st := fs.lookup(1, "file"); st != gofuse.OK || src.stale != version {
		t.Errorf("the Source was told %+v (%v), want %+v", src.stale, st, version)
	}
	if _, st := fs.lookup(1, "file"); st != gofuse.OK || src.stale != (store.Version{}) {
		t.Errorf("told again: %+v (%v)", src.stale, st)
	}
}

type rememberStale struct {
	store.Source
	stale store.Version
}

func (s *rememberStale) Stat(ctx context.Context, path string, stale store.Version) (store.Attr, error) {
	s.stale = stale
	return s.Source.Stat(ctx, path, stale)
}

func readOf(node uint64, off int64, size int) *gofuse.ReadIn {
	return &gofuse.ReadIn{InHeader: gofuse.InHeader{NodeId: node}, Offset: uint64(off), Size: uint32(size)}
}

func readAll(t *testing.T, fs *filesystem, node uint64, off int64, size int) string {
	t.Helper()
	buf := make([]byte, size)
	result, st := fs.Read(nil, readOf(node, off, size), buf)
	if st != gofuse.OK {
		t.Fatal(st)
	}
	data, st := result.Bytes(make([]byte, size))
	if st != gofuse.OK || len(data) != result.Size() {
		t.Fatal(st, len(data), result.Size())
	}
	s := string(data)
	result.Done()
	return s
}

func TestReadRanges(t *testing.T) {
	content := make([]byte, 2*store.ChunkSize+100)
	for i := range content {
		content[i] = byte(i * 7 >> 3)
	}
	tree := newTree(t)
	tree.Write("/file", content)
	fs := unmounted(tree)
	n, _ := fs.lookup(1, "file")
	size := int64(len(content))
	for _, off := range []int64{0, 1, store.ChunkSize - 1, store.ChunkSize, size - 1, size, size + 1, 1 << 40} {
		for _, want := range []int{0, 1, 4096, store.ChunkSize, 2 * store.ChunkSize, 3 * store.ChunkSize} {
			expected := string(content[min(off, size):min(off+int64(want), size)])
			if got := readAll(t, fs, n.NodeId, off, want); got != expected {
				t.Errorf("%d bytes at %d: got %d, want %d, or they differ", want, off, len(got), len(expected))
			}
		}
	}
	if _, st := fs.Read(nil, readOf(n.NodeId, -1, 10), make([]byte, 10)); st != gofuse.EINVAL {
		t.Error("a negative offset:", st)
	}
	if _, st := fs.Read(nil, readOf(1, 0, 10), make([]byte, 10)); st != gofuse.EINVAL {
		t.Error("a directory:", st)
	}
}

func TestFail(t *testing.T) {
	fs := unmounted(nil)
	for want, err := range map[syscall.Errno]error{
		0:                 nil,
		syscall.EIO:       errors.New("something"),
		syscall.EACCES:    &store.Error{Errno: syscall.EACCES},
		syscall.EINTR:     context.Canceled,
		syscall.ESTALE:    fmt.Errorf("peer: %w", syscall.ESTALE),
		syscall.ETIMEDOUT: context.DeadlineExceeded,
	} {
		if got := fs.fail(err); got != gofuse.Status(want) {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
	for _, errno := range []syscall.Errno{512, 100000, syscall.ENOSYS} {
		if got := fs.fail(errno); got != gofuse.EIO {
			t.Errorf("%d: %v, want EIO", errno, got)
		}
	}
	close(fs.dead)
	if got := fs.fail(context.Canceled); got != gofuse.Status(syscall.ENOTCONN) {
		t.Errorf("given up: %v, want ENOTCONN", got)
	}
}

func TestOldKernelsOpen(t *testing.T) {
	fs := unmounted(newTree(t))
	var out gofuse.OpenOut
	if st := fs.Open(nil, &gofuse.OpenIn{}, &out); st != gofuse.OK || out.OpenFlags != gofuse.FOPEN_KEEP_CACHE {
		t.Error("open:", st, out.OpenFlags)
	}
	if st := fs.OpenDir(nil, &gofuse.OpenIn{}, &out); st != gofuse.OK || out.OpenFlags != gofuse.FOPEN_KEEP_CACHE|gofuse.FOPEN_CACHE_DIR {
		t.Error("opendir:", st, out.OpenFlags)
	}
	fs.noOpen, fs.noOpendir = true, true
	if st := fs.Open(nil, &gofuse.OpenIn{Flags: syscall.O_RDWR}, &out); st != gofuse.EROFS {
		t.Error("open for writing:", st)
	}
	if st := fs.Open(nil, &gofuse.OpenIn{}, &out); st != gofuse.ENOSYS {
		t.Error("open:", st)
	}
}

func TestTimesBeforeTheEpoch(t *testing.T) {
	for ns, want := range map[int64][2]int64{0: {0, 0}, 1_500_000_000: {1, 500_000_000}, -1: {-1, 999_999_999}, -2_000_000_000: {-2, 0}} {
		sec, nsec := seconds(ns)
		if int64(sec) != want[0] || int64(nsec) != want[1] {
			t.Errorf("%d: %d %d, want %v", ns, int64(sec), nsec, want)
		}
	}
}

func TestInodeNumbersDoNotCollide(t *testing.T) {
	var i inodes
	i.root.Store(&store.Attr{Dev: 1})
	seen := map[uint64]bool{}
	for dev := uint64(1); dev < 20; dev++ {
		for ino := range uint64(2000) {
			shown := i.shown(dev, ino)
			if seen[shown] || shown > 1<<63-1 || (dev == 1) != (shown == ino) {
				t.Fatalf("%d on %d is shown as %d", ino, dev, shown)
			}
			seen[shown] = true
		}
	}
}

func TestSnapshots(t *testing.T) {
	s := newSnapshots()
	listing := func(names ...string) *store.Listing {
		l := &store.Listing{}
		for _, n := range names {
			l.Entries = append(l.Entries, store.Entry{Name: n})
		}
		return l
	}
	first := listing("a", "b")
	g := s.start(7, first)
	if again := s.start(7, first.Renewed(time.Now())); again != g {
		t.Error("the same entries are another snapshot")
	}
	changed := s.start(7, listing("a", "c"))
	if changed == g || s.find(7, g) != first {
		t.Error("a changed directory replaced the snapshot of a stream")
	}
	if s.find(8, g) != nil {
		t.Error("another directory's snapshot")
	}
	for i := range maxSnapshots - 1 {
		s.find(7, g)
		s.start(uint64(100+i), listing("x"))
	}
	if s.find(7, changed) != nil || s.find(7, g) == nil || s.recent.Len() != maxSnapshots || len(s.byKey) != maxSnapshots {
		t.Errorf("not the least recently used was dropped; %d are kept", s.recent.Len())
	}
	huge := &store.Listing{Entries: make([]store.Entry, maxSnapshotEntries+1)}
	if g := s.start(9, huge); s.find(9, g) != huge || s.recent.Len() != 1 || s.entries != len(huge.Entries) {
		t.Errorf("beside a huge listing %d are kept", s.recent.Len())
	}
}

// TestStreamsWithoutSnapshots: streams whose snapshots gave way to others go on while no directory changes; in one that changed, the stream is told.
func TestStreamsWithoutSnapshots(t *testing.T) {
	tree := newTree(t)
	fs := unmounted(tree)
	read := func(node, off uint64) (names []string, next uint64, st gofuse.Status) {
		out := gofuse.NewDirEntryList(make([]byte, 80), off)
		st = fs.ReadDir(nil, &gofuse.ReadIn{InHeader: gofuse.InHeader{NodeId: node}, Offset: off}, out)
		for b := out.Bytes(); len(b) >= 24; {
			length := binary.NativeEndian.Uint32(b[16:])
			names, next = append(names, string(b[24:24+length])), binary.NativeEndian.Uint64(b[8:])
			b = b[(24+length+7)/8*8:]
		}
		return names, next, st
	}
	type stream struct{ node, off uint64 }
	var streams []stream
	for i := range 10 {
		dir := fmt.Sprint("dir", i)
		tree.Write("/"+dir+"/file", nil)
		out, st := fs.lookup(1, dir)
		if st != gofuse.OK {
			t.Fatal(st)
		}
		names, off, st := read(out.NodeId, 0)
		if st != gofuse.OK || !slices.Equal(names, []string{".", ".."}) {
			t.Fatal(names, st)
		}
		streams = append(streams, stream{out.NodeId, off})
	}
	for i := range maxSnapshots {
		fs.snapshots.start(uint64(1000+i), &store.Listing{Entries: make([]store.Entry, 1)})
	}
	if fs.snapshots.find(streams[0].node, streams[0].off>>indexBits) != nil {
		t.Error("no snapshot was dropped")
	}
	tree.Write("/dir3/another", nil)
	for i, s := range streams {
		names, _, st := read(s.node, s.off)
		if i == 3 {
			if st != gofuse.Status(syscall.ESTALE) {
				t.Errorf("a directory that changed: %q, %v, want ESTALE", names, st)
			}
		} else if st != gofuse.OK || !slices.Equal(names, []string{"file"}) {
			t.Fatalf("stream %d: %q, %v", i, names, st)
		}
	}
}

func TestFatalPending(t *testing.T) {
	status := func(pending, shared, blocked, ignored, caught uint64) []byte {
		return fmt.Appendf(nil, "Name:\tx\nSigQ:\t0/1\nSigPnd:\t%016x\nShdPnd:\t%016x\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n",
			pending, shared, blocked, ignored, caught)
	}
	bit := func(s syscall.Signal) uint64 { return 1 << (s - 1) }
	for name, c := range map[string]struct {
		status []byte
		want   bool
	}{
		"none":              {status(0, 0, 0, 0, 0), false},
		"kill":              {status(bit(syscall.SIGKILL), 0, 0, 0, 0), true},
		"interrupt":         {status(0, bit(syscall.SIGINT), 0, 0, 0), true},
		"interrupt caught":  {status(0, bit(syscall.SIGINT), 0, 0, bit(syscall.SIGINT)), false},
		"interrupt blocked": {status(bit(syscall.SIGINT), 0, bit(syscall.SIGINT), 0, 0), false},
		"interrupt ignored": {status(bit(syscall.SIGINT), 0, 0, bit(syscall.SIGINT), 0), false},
		"urgent, child":     {status(bit(syscall.SIGURG), bit(syscall.SIGCHLD), 0, 0, 0), false},
		"alarm":             {status(0, bit(syscall.SIGALRM), 0, 0, 0), true},
		"real-time":         {status(1<<40, 0, 0, 0, 0), true},
		"one of two":        {status(bit(syscall.SIGURG), bit(syscall.SIGTERM), 0, 0, bit(syscall.SIGURG)), true},
		"nothing to read":   {nil, false},
	} {
		if got := fatalPending(c.status); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if endsBySignal(0) || endsBySignal(1<<30) {
		t.Error("a caller that can't be seen ends")
	}
}

func TestRequestContext(t *testing.T) {
	fs := unmounted(newTree(t))
	r := fs.begin(nil, &gofuse.InHeader{})
	if r.Err() != nil {
		t.Error(r.Err())
	}
	child, cancel := context.WithCancel(r)
	defer cancel()
	r.finish(Answer{}, gofuse.OK)
	<-child.Done()
	if !errors.Is(r.Err(), context.Canceled) {
		t.Error(r.Err())
	}

	fs.deadline = -time.Second
	r = fs.begin(nil, &gofuse.InHeader{})
	if !errors.Is(r.Err(), context.DeadlineExceeded) {
		t.Error(r.Err())
	}
	<-r.Done()

	fs.deadline = time.Millisecond
	r = fs.begin(nil, &gofuse.InHeader{})
	<-r.Done()
	if !errors.Is(r.Err(), context.DeadlineExceeded) {
		t.Error(r.Err())
	}
}

func TestRequestsFromMemoryAllocateLittle(t *testing.T) {
	tree := newTree(t)
	tree.Write("/file", make([]byte, 8192))
	mem := &fixedAnswers{}
	fs := unmounted(mem)
	var err error
	mem.attr, err = tree.Stat(t.Context(), "/file", store.Version{})
	must(t, err)
	mem.chunk, err = tree.ReadChunk(t.Context(), store.File{Path: "/file", Version: mem.attr.Version()}, 0)
	must(t, err)
	defer mem.chunk.Release()
	n, _ := fs.lookup(1, "file")
	buf, in := make([]byte, 4096), readOf(n.NodeId, 0, 4096)
	if allocs := testing.AllocsPerRun(100, func() {
		r, _ := fs.Read(nil, in, buf)
		r.Done()
	}); allocs > 3 {
		t.Errorf("%v allocations a READ", allocs)
	}
	header, out := &gofuse.InHeader{NodeId: 1}, new(gofuse.EntryOut)
	if allocs := testing.AllocsPerRun(100, func() { fs.Lookup(nil, header, "file", out) }); allocs > 4 {
		t.Errorf("%v allocations a LOOKUP", allocs)
	}
}

type fixedAnswers struct {
	store.Source
	attr  store.Attr
	chunk *store.Chunk
}

func (s *fixedAnswers) Stat(context.Context, string, store.Version) (store.Attr, error) {
	return s.attr, nil
}

func (s *fixedAnswers) ReadChunk(context.Context, store.File, int64) (*store.Chunk, error) {
	s.chunk.Retain()
	return s.chunk, nil
}

// BenchmarkLookup shows what an observer costs in a handler that answers from memory.
func BenchmarkLookup(b *testing.B) {
	tree := newTree(b)
	tree.Write("/file", nil)
	for name, observe := range map[string]func(Answer){"alone": nil, "observed": func(Answer) {}} {
		b.Run(name, func(b *testing.B) {
			fs := unmounted(tree)
			fs.observe = observe
			for b.Loop() {
				if _, st := fs.lookup(1, "file"); st != gofuse.OK {
					b.Fatal(st)
				}
			}
		})
	}
}
