package store

import "time"

// Entry is one name in a directory; "." and ".." are never among them.
type Entry struct {
	Name string
	Ino  uint64
	Type uint32 // S_IFMT part of the mode; 0 where the file system does not tell
}

// Listing is the content of one directory, immutable once made. Entries are sorted by name.
type Listing struct {
	// Dir is the directory's own attributes, which did not change while it was read if Complete.
	Dir     Attr
	Entries []Entry

	// Complete: the directory's version agreed before and after it was read, so a name that is
	// not in Entries did not exist.
	Complete bool
	// Settled: the directory had been quiet for so long before it was read that any later change
	// shows in its version. A listing that is not Settled can't be renewed, only read again.
	Settled bool
	// Expires ends the time for which absence may be concluded without asking again.
	Expires time.Time
}

// Renewed is l with a new lease, sharing its entries.
func (l *Listing) Renewed(expires time.Time) *Listing {
	r := *l
	r.Expires = expires
	return &r
}

// Find returns the entry of that name.
func (l *Listing) Find(name string) (Entry, bool) {
	lo, hi := 0, len(l.Entries)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if l.Entries[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(l.Entries) && l.Entries[lo].Name == name {
		return l.Entries[lo], true
	}
	return Entry{}, false
}
