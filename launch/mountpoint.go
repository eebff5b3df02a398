package launch

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Fill replaces {rank} and {host} in a mount point or target. host is short.
func Fill(template string, rank int, host string) string {
	return strings.NewReplacer("{rank}", strconv.Itoa(rank), "{host}", host).Replace(template)
}

// DefaultMount is the template of the mount point where none was asked for; shared tells that
// ranks share hosts.
func DefaultMount(shared bool) string {
	mount := filepath.Join(userDir(), "copper")
	if shared {
		mount += "-{rank}"
	}
	return mount
}

// userDir is the directory of this user that the default mount point lies in.
func userDir() string {
	name := os.Getenv("USER")
	if name == "" || strings.ContainsRune(name, '/') || name[0] == '.' {
		name = strconv.Itoa(os.Getuid())
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return filepath.Join("/tmp", name)
}

// CheckUserDir reports why mount, if it lies in the default place, can't be trusted: anybody may
// create a directory under /tmp.
func CheckUserDir(mount string) error {
	dir := userDir()
	if filepath.Dir(mount) != dir {
		return nil
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil // not there yet, or MakeMountpoint will tell
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(st.Uid) != os.Getuid() {
		return BadInput("%s is not a directory of yours: choose another mount point with -v", dir)
	}
	return nil
}

// FillMounts gives each rank whose mount point is "" the default one.
func FillMounts(ranks []Rank) {
	perHost := map[string]int{}
	shared := false
	for _, r := range ranks {
		perHost[r.Host]++
		shared = shared || perHost[r.Host] > 1
	}
	for i, r := range ranks {
		if r.Mount == "" {
			ranks[i].Mount = Fill(DefaultMount(shared), r.Rank, r.Host)
		}
	}
}

// SharedMount finds two ranks of one host with one mount point and returns the later rank with the
// error; rank is -1 where there are none.
func SharedMount(ranks []Rank) (rank int, err error) {
	type place struct{ host, mount string }
	first := map[place]int{}
	for _, r := range ranks {
		p := place{r.Host, filepath.Clean(r.Mount)}
		if other, taken := first[p]; taken {
			return r.Rank, BadInput("ranks %d and %d share host %s and mount point %s: put {rank} into it, such as -v %s-{rank}",
				other, r.Rank, r.Host, r.Mount, r.Mount)
		}
		first[p] = r.Rank
	}
	return -1, nil
}

// CheckTarget reports why dir can't be the directory that the view shows.
func CheckTarget(dir string) error {
	info, err := os.Stat(dir)
	var perr *os.PathError
	if errors.As(err, &perr) {
		return BadInput("target %s: %w", dir, perr.Err)
	}
	if !info.IsDir() {
		return BadInput("target %s is not a directory", dir)
	}
	return nil
}

// MountList is a short text of the mount points of ranks.
func MountList(ranks []Rank) string {
	const most = 4
	var mounts []string
	for _, r := range ranks {
		if !slices.Contains(mounts, r.Mount) {
			mounts = append(mounts, r.Mount)
		}
	}
	if len(mounts) > most {
		return fmt.Sprintf("%s … %s (%d)", strings.Join(mounts[:most-1], " "), mounts[len(mounts)-1], len(mounts))
	}
	return strings.Join(mounts, " ")
}
