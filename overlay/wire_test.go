package overlay

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/copper-hpc/copper/store"
	"pgregory.net/rapid"
)

var (
	paths = rapid.Map(rapid.SliceOf(rapid.StringMatching(`[a-z\xff.]{3,12}`)), func(names []string) string {
		return "/" + strings.Join(names, "/")
	})
	versions = rapid.Make[store.Version]()
	attrs    = rapid.Make[store.Attr]()
)

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := header{
			length: int(rapid.Uint32().Draw(t, "length")), kind: kind(rapid.Uint8().Draw(t, "kind")),
			flags: rapid.Uint8().Draw(t, "flags"), status: status(rapid.Uint16().Draw(t, "status")),
			id: rapid.Uint64().Draw(t, "id"), session: rapid.Uint64().Draw(t, "session"),
		}
		b := h.append(nil)
		if len(b) != headerSize || decodeHeader(b) != h {
			t.Fatalf("%+v becomes %+v in %d bytes", h, decodeHeader(b), len(b))
		}
	})
}

func TestRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := request{kind: rapid.SampledFrom([]kind{kindStat, kindList, kindReadLink, kindReadChunk, kindControl}).Draw(t, "kind")}
		if q.kind == kindControl {
			q.body = rapid.SliceOfN(rapid.Byte(), 1, -1).Draw(t, "body")
			q.patience = time.Duration(rapid.IntRange(0, 1<<30).Draw(t, "patience")) * time.Millisecond
			q.alone = rapid.Bool().Draw(t, "alone")
		} else {
			q.path = paths.Draw(t, "path")
		}
		switch q.kind {
		case kindStat, kindList:
			q.version = versions.Draw(t, "version")
		case kindReadChunk:
			q.version = versions.Draw(t, "version")
			q.version.Size = rapid.Int64Range(1, math.MaxInt64>>1).Draw(t, "size")
			q.index = rapid.Int64Range(0, q.file().Chunks()-1).Draw(t, "index")
			q.room = q.file().ChunkLen(q.index)
		}
		payload := q.append(nil)
		if len(payload) > kinds[q.kind].request {
			t.Fatalf("%d bytes, where %d are the limit", len(payload), kinds[q.kind].request)
		}
		got, err := decodeRequest(q.kind, payload)
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Fatalf("%+v becomes %+v, %v", q, got, err)
		}
		if _, err := decodeRequest(q.kind, payload[:7]); q.kind != kindReadLink && err == nil {
			t.Fatal("a payload cut short is taken for a request")
		}
	})
}

func TestOnlyCleanPathsEnter(t *testing.T) {
	for _, path := range []string{
		"", "a", "a/b", "//", "/a/", "/a//b", "/.", "/..", "/a/../b", "/a/.", "/a\x00b",
		"/" + strings.Repeat("n", maxPath),
	} {
		if _, err := decodeRequest(kindStat, statRequest(path, store.Version{}).append(nil)); err == nil {
			t.Errorf("%.20q is taken for a path", path)
		}
	}
	for _, path := range []string{"/", "/a", "/...", "/a/..b", "/\xff", "/" + strings.Repeat("n", maxPath-1)} {
		if _, err := decodeRequest(kindStat, statRequest(path, store.Version{}).append(nil)); err != nil {
			t.Errorf("%.20q: %v", path, err)
		}
	}
}

func TestAttrRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := attrs.Draw(t, "attr")
		payload := appendAttr(nil, a)
		if len(payload) != attrSize {
			t.Fatalf("%d bytes, not %d", len(payload), attrSize)
		}
		if got, err := (reply{payload: payload}).attr(); err != nil || got != a {
			t.Fatalf("%+v becomes %+v, %v", a, got, err)
		}
		if _, err := (reply{payload: payload[1:]}).attr(); err == nil {
			t.Fatal("attributes cut short are taken for whole")
		}
	})
}

func TestListingRoundTrip(t *testing.T) {
	names := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z\xff .]{3,20}`), func(name string) string { return name })
	rapid.Check(t, func(t *rapid.T) {
		l := &store.Listing{
			Dir:      attrs.Draw(t, "dir"),
			Entries:  []store.Entry{},
			Complete: rapid.Bool().Draw(t, "complete"),
			Settled:  rapid.Bool().Draw(t, "settled"),
		}
		for _, name := range names.Draw(t, "names") {
			l.Entries = append(l.Entries, store.Entry{
				Name: name, Ino: rapid.Uint64().Draw(t, "inode"), Type: rapid.Uint32Range(0, 15).Draw(t, "type") << typeShift,
			})
		}
		slices.SortFunc(l.Entries, func(a, b store.Entry) int { return strings.Compare(a.Name, b.Name) })
		payload, err := encoded(l)
		if err != nil {
			t.Fatal(err)
		}
		got, err := reply{payload: payload}.listing(nil)
		if err != nil || !reflect.DeepEqual(got, l) {
			t.Fatalf("%+v becomes %+v, %v", l, got, err)
		}
		if _, err := (reply{payload: payload[:len(payload)-1]}).listing(nil); err == nil {
			t.Fatal("a listing cut short is taken for whole")
		}
	})
}

func encoded(l *store.Listing) ([]byte, error) {
	size, err := listingSize(l)
	if err != nil {
		return nil, err
	}
	b := encodeListing(l, size)
	if len(b) != size {
		err = fmt.Errorf("%d bytes, not %d", len(b), size)
	}
	return b, err
}

func TestListingRefuses(t *testing.T) {
	for name, entries := range map[string][]store.Entry{
		"unsorted names": {{Name: "b"}, {Name: "a"}},
		"an empty name":  {{Name: ""}},
		"a slash":        {{Name: "a/b"}},
		"dot":            {{Name: "."}},
		"dot-dot":        {{Name: ".."}},
		"a zero byte":    {{Name: "a\x00"}},
	} {
		payload, err := encoded(&store.Listing{Entries: entries})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (reply{payload: payload}).listing(nil); err == nil {
			t.Errorf("a listing with %s is accepted", name)
		}
	}
	if _, err := encoded(&store.Listing{Entries: []store.Entry{{Name: strings.Repeat("n", maxName+1)}}}); err == nil {
		t.Error("a name that nobody would accept is sent")
	}
	if _, err := (reply{payload: appendUnchanged(nil, time.Time{})}).listing(nil); err == nil {
		t.Error("nothing is renewed")
	}
}

// TestRenewal: what the caller holds is kept only if nothing can have changed since.
func TestRenewal(t *testing.T) {
	known := &store.Listing{Dir: store.Attr{Ino: 7, Mtime: 1}, Complete: true, Settled: true}
	version := known.Dir.Version()
	if q := listRequest("/d", known); q.version != version {
		t.Errorf("a renewable listing is not mentioned: %+v", q)
	}
	for name, unfit := range map[string]*store.Listing{
		"none": nil, "incomplete": {Dir: known.Dir, Settled: true}, "unsettled": {Dir: known.Dir, Complete: true},
	} {
		if q := listRequest("/d", unfit); q.version != (store.Version{}) {
			t.Errorf("%s: is mentioned as renewable: %+v", name, q)
		}
	}
	if !renews(known, version) {
		t.Error("the same version is not a renewal")
	}
	for name, found := range map[string]*store.Listing{
		"changed":    {Dir: store.Attr{Ino: 7, Mtime: 2}, Complete: true, Settled: true},
		"incomplete": {Dir: known.Dir, Settled: true},
	} {
		if renews(found, version) {
			t.Errorf("%s: is a renewal", name)
		}
	}
	if renews(&store.Listing{Complete: true}, store.Version{}) {
		t.Error("a caller without a listing has it renewed")
	}
}

func TestLeasesTravelAsWhatRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, c := range []struct{ expires, want time.Time }{
			{time.Time{}, time.Time{}},
			{now, time.Time{}},
			{now.Add(-time.Hour), time.Time{}},
			{now.Add(1500*time.Millisecond + 7), now.Add(1500 * time.Millisecond)},
			{now.Add(math.MaxInt64), now.Add(maxLease)},
		} {
			d := decoder{rest: appendLease(nil, c.expires)}
			if got := d.lease(); !got.Equal(c.want) || d.done() != nil {
				t.Errorf("%v arrives as %v, want %v", c.expires, got, c.want)
			}
		}
		d := decoder{rest: bytes.Repeat([]byte{0xff}, 8)}
		if got := d.lease(); !got.Equal(now.Add(maxLease)) {
			t.Errorf("the longest lease arrives as %v", got)
		}
	})
}

func TestGatheredRoundTrip(t *testing.T) {
	_, origin := pfs(t, 0)
	m := start(t, plan{nodes: 40, fanout: 3, trees: 1, origin: origin}).at(0, 0)
	f := m.forest
	head := f.children(0)[1]
	child, inside, outside := f.Rank(controlTree, head), f.Rank(controlTree, head+1), f.Rank(controlTree, 0)
	for _, g := range []Gathered{
		{Body: []byte("three")}, {Body: []byte{}},
		{Body: []byte("x"), Missing: []Missing{{inside, strings.Repeat("gone ", 20)}, {child, ""}}},
	} {
		got, err := m.decodeGathered(encodeGathered(g), child, false)
		if err != nil || !reflect.DeepEqual(got, g) {
			t.Errorf("%+v becomes %+v, %v", g, got, err)
		}
	}
	for what, g := range map[string]Gathered{
		"speaks for a node that isn't below it": {Body: []byte("x"), Missing: []Missing{{outside, ""}}},
		"names a node twice":                    {Body: []byte("x"), Missing: []Missing{{inside, ""}, {inside, ""}}},
		"names a node beyond the roster":        {Body: []byte("x"), Missing: []Missing{{40, ""}}},
		"loses nodes":                           {Missing: []Missing{{inside, ""}}},
	} {
		if got, err := m.decodeGathered(encodeGathered(g), child, false); err == nil {
			t.Errorf("a node %s: %+v", what, got)
		}
	}
	if got, err := m.decodeGathered(encodeGathered(Gathered{Body: []byte("x"), Missing: []Missing{{inside, ""}}}), child, true); err == nil {
		t.Errorf("alone, a node speaks for others: %+v", got)
	}
	if got, err := m.decodeGathered(bytes.Repeat([]byte{0xff}, 20), child, false); err == nil {
		t.Errorf("%+v", got)
	}
}
