package manifest

import (
	"fmt"
	"path"
	"strings"
)

// Op is what is asked.
type Op string

// The four questions of a [store.Source].
const (
	Stat     Op = "stat"
	List     Op = "list"
	ReadLink Op = "readlink"
	ReadData Op = "read"
)

// Kind is what a stat found.
type Kind string

// What a name can be. Other is a device, a socket or a pipe.
const (
	Absent Kind = "absent"
	File   Kind = "file"
	Dir    Kind = "dir"
	Link   Kind = "link"
	Other  Kind = "other"
)

// Access is one question, and what is known of the answer.
type Access struct {
	Op   Op
	Path string // absolute and cleaned
	// Kind is what was found. It is [File] for ReadData, [Dir] for List, [Link] for ReadLink.
	Kind Kind
	// Size of a file in bytes.
	Size int64
	// Mtime is the modification time of a file that was found, in nanoseconds since 1970; 0 where
	// it is not known.
	Mtime int64
	// Names is the number of names in a directory that was listed.
	Names int
	// From and To are the range [From, To) of a file's bytes that is read.
	From, To int64
}

const (
	// maxSize bounds a file, 1 EiB, and maxNames a directory: far beyond what exists, and
	// within what arithmetic stands.
	maxSize  = 1 << 60
	maxNames = 1 << 30
)

// check tells what is wrong with an access.
func (a Access) check() error {
	switch {
	case !strings.HasPrefix(a.Path, "/") || path.Clean(a.Path) != a.Path || strings.Contains(a.Path, "\x00"):
		return fmt.Errorf("%q is not an absolute, cleaned path", a.Path)
	case a.Size < 0 || a.Size > maxSize:
		return fmt.Errorf("size=%d: want 0 to 2^60", a.Size)
	case a.Names < 0 || a.Names > maxNames:
		return fmt.Errorf("names=%d: want 0 to 2^30", a.Names)
	case a.Op == ReadData && (a.From < 0 || a.From >= a.To || a.To > a.Size):
		return fmt.Errorf("from=%d to=%d: want a range within the file's %d bytes", a.From, a.To, a.Size)
	}
	return nil
}
