package launch

import (
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Place is where the files of a file system are.
type Place string

// The places.
const (
	PlaceShared  Place = "shared" // on servers, for all nodes
	PlaceFUSE    Place = "fuse"   // a FUSE file system, behind which there may be a server
	PlaceMemory  Place = "memory" // this node's
	PlaceImage   Place = "image"  // the node's image or container
	PlaceDisk    Place = "disk"   // this node's
	PlaceState   Place = "state"  // no files, but the state of this machine
	PlaceCopper  Place = "copper" // a Copper mount
	PlaceUnknown Place = ""
)

// Gains tells whether files there can gain from being read through Copper.
func (p Place) Gains() bool { return p == PlaceShared || p == PlaceFUSE || p == PlaceUnknown }

// Placement tells of paths where they are, from the mount table: it touches no file system.
type Placement struct {
	table []*mountinfo.Info
	nodev map[string]bool
}

// ReadPlacement reads the mount table.
func ReadPlacement() (*Placement, error) {
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	return &Placement{table, readNodev()}, nil
}

// Of is the place of a clean absolute path, the name of its file system, and where that is mounted.
// Symbolic links are not followed.
func (p *Placement) Of(path string) (place Place, name, point string) {
	at := coveredBy(p.table, path)
	place, name = placeOf(at.FSType, p.nodev)
	return place, name, at.Mountpoint
}

// placeOf judges a type of file systems. nodev are the types that need no device.
func placeOf(fstype string, nodev map[string]bool) (Place, string) {
	name, known := shared[fstype]
	switch {
	case known:
		return PlaceShared, name
	case fstype == FSType:
		return PlaceCopper, "Copper"
	case fstype == "tmpfs" || fstype == "ramfs":
		return PlaceMemory, fstype
	case fstype == "overlay" || fstype == "squashfs" || fstype == "rootfs" || fstype == "fuse.squashfuse" || fstype == "fuse.squashfuse_ll" || fstype == "fuse.fuse-overlayfs":
		return PlaceImage, fstype
	case strings.HasPrefix(fstype, "fuse.") || fstype == "fuse":
		return PlaceFUSE, fstype
	case nodev[fstype]:
		return PlaceState, fstype
	case fstype == "":
		return PlaceUnknown, ""
	}
	return PlaceDisk, fstype
}
