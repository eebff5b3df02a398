package fuse

import (
	"strings"
	"testing"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"github.com/copper-hpc/copper/store"
)

const (
	// since514 is what kernels have got since 5.14.
	since514 = ^uint64(1<<31 - 1)
	// optional is everything that the mount can do without.
	optional = since514 | gofuse.CAP_NO_OPEN_SUPPORT | gofuse.CAP_NO_OPENDIR_SUPPORT | gofuse.CAP_CACHE_SYMLINKS |
		gofuse.CAP_MAX_PAGES | gofuse.CAP_PARALLEL_DIROPS | gofuse.CAP_ASYNC_READ | gofuse.CAP_AUTO_INVAL_DATA
)

// withheld is what [mount] withholds from every mount.
var withheld uint64

// TestOlderKernels runs the tests that count no requests as on kernels that can do less.
func TestOlderKernels(t *testing.T) {
	for name, withhold := range map[string]uint64{
		"5.14":       since514,
		"no-opendir": since514 | gofuse.CAP_NO_OPENDIR_SUPPORT | gofuse.CAP_PARALLEL_DIROPS,
		"no-open":    since514 | gofuse.CAP_NO_OPEN_SUPPORT | gofuse.CAP_MAX_PAGES,
		"oldest":     optional,
	} {
		t.Run(name, func(t *testing.T) {
			withheld = withhold
			defer func() { withheld = 0 }()
			for name, test := range map[string]func(*testing.T){
				"Conformance": TestConformance, "Content": TestContent, "Exec": TestExec,
				"MutationsAreRefused": TestMutationsAreRefused, "ErrorsKeepTheirErrno": TestErrorsKeepTheirErrno,
				"InodeNumbers": TestInodeNumbers, "LeftToTheKernel": TestLeftToTheKernel,
				"NewVersion": TestNewVersion, "IncompleteListingIsAskedForAgain": TestIncompleteListingIsAskedForAgain,
				"AbsoluteLinksStayInTheView": TestAbsoluteLinksStayInTheView,
				"LinkIsReadWithItsLookup":    TestLinkIsReadWithItsLookup,
				"AbsenceIsRemembered":        TestAbsenceIsRemembered,
			} {
				t.Run(name, test)
			}
		})
	}
}

// TestOlderKernelsAskMore: what is not there costs requests and is told.
func TestOlderKernelsAskMore(t *testing.T) {
	tree := newTree(t)
	tree.Write("/dir/file", make([]byte, 2*store.ChunkSize))
	tree.Link("/dir/link", "file")
	use := func(m *Mount, mnt string) map[string]uint64 {
		return warmRequests(m, func() { shell(t, `cat "$1/dir/link" >/dev/null; ls "$1/dir"; readlink "$1/dir/link"`, mnt) })
	}
	for _, c := range []struct {
		withhold uint64
		missing  string
		asks     string
	}{
		{0, "", ""},
		{gofuse.CAP_NO_OPEN_SUPPORT, "no-open", "OPEN"},
		{gofuse.CAP_NO_OPENDIR_SUPPORT, "no-opendir", "OPENDIR"},
		{gofuse.CAP_CACHE_SYMLINKS, "cache-symlinks", "READLINK"},
		{gofuse.CAP_MAX_PAGES, "max-pages", ""},
	} {
		m, mnt := mount(t, Options{Source: tree, withhold: c.withhold})
		asked := use(m, mnt)
		delete(asked, "IOCTL")
		if c.asks == "" && len(asked) > 0 || c.asks != "" && (asked[c.asks] == 0 || len(asked) > 1) {
			t.Errorf("without %q, a warm node asks %v, want only %q", c.missing, asked, c.asks)
		}
		k := m.Kernel()
		var missing []string
		for _, f := range k.Features {
			if !f.Have {
				missing = append(missing, f.Name)
			}
		}
		if strings.Join(missing, " ") != c.missing || !strings.HasPrefix(k.Protocol, "7.") || k.Readahead == 0 {
			t.Errorf("told without %q: %+v", c.missing, k)
		}
		if want := map[bool]int{true: 1 << 20, false: 128 << 10}[c.missing != "max-pages"]; k.Request != want {
			t.Errorf("requests of %d bytes, want %d", k.Request, want)
		}
	}
}
