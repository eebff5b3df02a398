package launch

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

// shared are the file systems that nodes share, by their names in the mount table.
var shared = map[string]string{
	"lustre": "Lustre", "gpfs": "GPFS", "nfs": "NFS", "nfs4": "NFS", "cifs": "SMB", "smb3": "SMB", "beegfs": "BeeGFS",
	"ceph": "CephFS", "panfs": "PanFS", "pvfs2": "OrangeFS", "orangefs": "OrangeFS", "afs": "AFS", "wekafs": "WekaFS",
	"9p": "9P", "fuse.dfuse": "DAOS", "fuse.daos": "DAOS", "fuse.sshfs": "sshfs", "fuse.glusterfs": "GlusterFS",
}

const (
	skewSeen    = 100             // names of a directory that are looked at for their times
	skewAllowed = 2 * time.Second // of a file system's clock
)

// CheckPath looks at a directory that is to be read through Copper.
func (d Doctor) CheckPath(path string) []Finding {
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return []Finding{problem("the system does not show its mounts: ask its administrators", "%v", err)}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return []Finding{problem("name a directory", "%v", err)}
	}
	// Before anything there is touched: a dead mount gives nothing but errors.
	if at := coveredBy(table, abs); at.FSType == FSType {
		return []Finding{insideCopper(abs, at)}
	}
	real, err := filepath.EvalSymlinks(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{problem("name a directory that exists", "%s does not exist", path)}
	case err != nil:
		return []Finding{problem("Copper reads what you can read, and nothing else", "%v", err)}
	}
	at := coveredBy(table, real)
	if at.FSType == FSType {
		return []Finding{insideCopper(abs, at)}
	}
	findings := []Finding{judgeType(abs, at.FSType, readNodev())}
	if findings[0].Level == Problem {
		return findings
	}
	findings = append(findings, readable(abs, time.Now()))
	for _, m := range table {
		if m.FSType == FSType && m.Mountpoint != real && below(m.Mountpoint, real) {
			findings = append(findings, fine("the mount %s lies below it; the view leaves it out", m.Mountpoint))
		}
	}
	return findings
}

// coveredBy is the mount that path lies on: of those with the longest prefix the last.
func coveredBy(table []*mountinfo.Info, path string) (at mountinfo.Info) {
	for _, m := range table {
		if below(path, m.Mountpoint) && len(m.Mountpoint) >= len(at.Mountpoint) {
			at = *m
		}
	}
	return at
}

// below tells whether path is dir or within it; both are clean and absolute.
func below(path, dir string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

func insideCopper(path string, at mountinfo.Info) Finding {
	return problem("name the path without the mount: "+filepath.Join("/", strings.TrimPrefix(path, at.Mountpoint)),
		"%s lies within a Copper mount, %s, already", path, at.Mountpoint)
}

// judgeType tells what Copper can do for the files of a file system. nodev are the types that need no
// device.
func judgeType(path, fstype string, nodev map[string]bool) Finding {
	const gains = "route only what all nodes share; what is on the node already is faster without Copper"
	place, name := placeOf(fstype, nodev)
	switch place {
	case PlaceShared:
		return fine("%s is on %s: worth reading through Copper", path, name)
	case PlaceMemory:
		return warning(gains, "%s is in this node's memory (%s), and is never fetched from another node", path, fstype)
	case PlaceImage:
		return warning(gains, "%s is part of the node's image or container (%s), and gains nothing", path, fstype)
	case PlaceFUSE, PlaceCopper:
		return fine("%s is on a FUSE file system (%s): worth reading through Copper if a server is behind it", path, fstype)
	case PlaceState:
		return problem("name a directory with files", "%s is on %s, which shows the state of this machine and is not served", path, fstype)
	case PlaceUnknown:
		return warning("Copper works without knowing", "the file system of %s can't be told", path)
	}
	return warning(gains, "%s is on a disk of this node (%s), and gains nothing", path, fstype)
}

// readNodev reads which types of file systems need no device.
func readNodev() map[string]bool {
	content, _ := os.ReadFile("/proc/filesystems")
	types := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if fstype, ok := strings.CutPrefix(strings.TrimSpace(line), "nodev\t"); ok {
			types[fstype] = true
		}
	}
	return types
}

// readable reads a part of a directory, as an application would, and compares the times there with now.
func readable(path string, now time.Time) Finding {
	const advice = "Copper reads what you can read, and nothing else"
	dir, err := os.Open(path)
	if err != nil {
		return problem(advice, "%v", err)
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		return problem(advice, "%v", err)
	}
	newest := changed(info)
	if info.IsDir() {
		began := time.Now()
		entries, err := dir.ReadDir(skewSeen)
		if err != nil && !errors.Is(err, io.EOF) {
			return problem(advice, "%v", err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && changed(info).After(newest) {
				newest = changed(info)
			}
		}
		if took := time.Since(began); took > lookPatience {
			return warning("its servers are busy; Copper will ask them less", "%d names of %s took %v", len(entries), path, took.Round(time.Second))
		}
	}
	if ahead := newest.Sub(now); ahead > skewAllowed {
		return warning("have the clocks of node and servers set: by its times a file is known to be the same",
			"something in %s was changed %v in the future: the clocks differ", path, ahead.Round(time.Second))
	}
	return fine("%s can be read", path)
}

// changed is when the file last changed, by its server's clock; programs can't set that.
func changed(info os.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return time.Time{}
}

// HungPath is the finding where a path does not answer.
func HungPath(path string, bound time.Duration) Finding {
	return problem("its file system or its servers hang: wait, or tell the administrators", "%s does not answer within %v", path, bound)
}

// HungCheck is the finding where a check does not end; of is what it looked at.
func HungCheck(of string, bound time.Duration) Finding {
	return problem("something there hangs: look at it by hand", "%s: no result within %v", of, bound)
}
