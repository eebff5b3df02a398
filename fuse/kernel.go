package fuse

import (
	"fmt"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
)

// Kernel is what this machine's kernel and the mount agreed upon.
type Kernel struct {
	Protocol  string    `json:"protocol"`  // of FUSE, such as "7.34"
	Request   int       `json:"request"`   // the largest READ, in bytes
	Readahead int       `json:"readahead"` // what the kernel reads ahead of who reads from front to back, in bytes
	Features  []Feature `json:"features"`
}

// Feature is something that newer kernels can and that the mount makes use of. Without one of them
// every answer is the same, after more requests.
type Feature struct {
	Name    string `json:"name"`
	Without string `json:"without"` // what is slower where it is missing
	Have    bool   `json:"have"`
}

var features = []struct {
	capability uint64
	Feature
}{
	{gofuse.CAP_NO_OPEN_SUPPORT, Feature{Name: "no-open", Without: "opening and closing a file are a request each"}},
	{gofuse.CAP_NO_OPENDIR_SUPPORT, Feature{Name: "no-opendir", Without: "opening and closing a directory are a request each"}},
	{gofuse.CAP_CACHE_SYMLINKS, Feature{Name: "cache-symlinks", Without: "each readlink is a request"}},
	{gofuse.CAP_MAX_PAGES, Feature{Name: "max-pages", Without: "a READ carries at most 128 KiB"}},
	{gofuse.CAP_PARALLEL_DIROPS, Feature{Name: "parallel-dirops", Without: "one lookup at a time in each directory"}},
	{gofuse.CAP_ASYNC_READ, Feature{Name: "async-read", Without: "one READ at a time of each open file"}},
}

// Kernel tells what was negotiated when the mount was made.
func (m *Mount) Kernel() Kernel {
	k := m.fs.kernel
	k.Features = append([]Feature(nil), k.Features...)
	return k
}

// agreed is what is used of what the kernel offered, apart from what is withheld.
func agreed(offer *gofuse.InitIn, withheld uint64) Kernel {
	have := offer.Flags64() &^ withheld
	k := Kernel{
		Protocol:  fmt.Sprintf("%d.%d", offer.Major, offer.Minor),
		Request:   128 << 10,
		Readahead: int(offer.MaxReadAhead),
	}
	if have&gofuse.CAP_MAX_PAGES != 0 {
		k.Request = maxRequest
	}
	for _, f := range features {
		f.Have = have&f.capability != 0
		k.Features = append(k.Features, f.Feature)
	}
	return k
}
