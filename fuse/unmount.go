package fuse

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// graceBound is how long those who still use the mount may take to leave it.
	graceBound = time.Second
	// endBound is how long the requests may take to end once they are given up.
	endBound = 5 * time.Second
)

// Unmount takes the mount away, whoever still uses it: properly if that is possible within a
// second, else by force, and who uses it then gets ENOTCONN. It is bounded (a minute, if
// fusermount3 hangs as well), normally returns at once, and returns an error only if something is
// left: the mount, a request whose Source does not return, or a process that keeps the mount in
// use where there is no right or no /sys/fs/fuse/connections to end that; then the end of this
// process does. A mount that is gone already is no error.
func (m *Mount) Unmount() error {
	m.unmounting.Lock()
	defer m.unmounting.Unlock()
	var failed error
	if m.mounted() && !m.leave() {
		aborted := m.abort()
		// To force is to abort as well, where the former is not possible.
		if failed = detach(m.dir, lazily|unix.MNT_FORCE); failed != nil {
			failed = errors.Join(failed, aborted)
		}
	}
	if !m.ended(graceBound) {
		m.giveUp()
		_ = m.abort() // another mount namespace may have a copy of the mount
		if !m.ended(endBound) {
			return errors.Join(failed, fmt.Errorf("unmount %s: it is still in use", m.dir))
		}
	}
	if m.mounted() {
		return errors.Join(failed, fmt.Errorf("unmount %s: it is still mounted", m.dir))
	}
	return nil
}

// leave unmounts properly, and tells whether it could.
func (m *Mount) leave() bool {
	for end := time.Now().Add(graceBound); ; {
		err := detach(m.dir, properly)
		if err == nil || !m.mounted() {
			return true
		}
		m.fs.log.Debug("unmount", "dir", m.dir, "err", err)
		if !time.Now().Before(end) {
			return false
		}
		time.Sleep(graceBound / 10)
	}
}

func (m *Mount) mounted() bool {
	mounts, err := readMounts()
	return err != nil || mounts.has(m.dir, m.connection)
}

func (m *Mount) ended(bound time.Duration) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-m.done:
		return true
	case <-timer.C:
		return false
	}
}

// abort makes the kernel end all requests, those included that it has not sent yet.
func (m *Mount) abort() error {
	return os.WriteFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", m.connection), []byte("1"), 0)
}

// How to unmount.
const (
	properly = 0
	lazily   = unix.MNT_DETACH
)

// detach unmounts dir itself where this process may, else by fusermount3.
func detach(dir string, how int) error {
	err := syscall.Unmount(dir, how|unix.UMOUNT_NOFOLLOW)
	if !errors.Is(err, syscall.EPERM) {
		return err
	}
	binary, err := Fusermount()
	if err != nil {
		return err
	}
	flags := "-u"
	if how&lazily != 0 {
		flags = "-uz"
	}
	return runFusermount(nil, binary, flags, "--", dir)
}
