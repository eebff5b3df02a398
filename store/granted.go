package store

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// rights are those of this process's user, by which access control lists are judged.
type rights struct {
	uid    uint32
	groups []uint32
}

func ownRights() rights {
	r := rights{uid: uint32(os.Geteuid()), groups: []uint32{uint32(os.Getegid())}}
	more, _ := os.Getgroups()
	for _, g := range more {
		r.groups = append(r.groups, uint32(g))
	}
	return r
}

// grant adds to a's mode what this user may do with the file behind fd though the mode does not say so, which
// an access control list can grant. The kernel judges by the mode alone whether a file in the view
// may be opened, and would refuse what the file system behind allows. It asks the file system only
// where the mode refuses; the owner is never granted more than the mode, and root needs no grant.
func (r rights) grant(a *Attr, fd int) {
	if r.uid == 0 || r.uid == a.UID {
		return
	}
	class := 0
	if slices.Contains(r.groups, a.GID) {
		class = 3
	}
	var wanted uint32
	switch {
	case a.IsDir():
		wanted = unix.R_OK | unix.X_OK
	case a.IsRegular():
		wanted = unix.R_OK | a.Mode>>6&unix.X_OK
	}
	for _, right := range []uint32{unix.R_OK, unix.X_OK} {
		if wanted&right&^(a.Mode>>class) != 0 && unix.Faccessat2(fd, "", right, unix.AT_EACCESS|unix.AT_EMPTY_PATH) == nil {
			a.Mode |= right << class
		}
	}
}
