package slowfs

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// changeTimeout bounds how long Changed waits for a kernel that is busy with the path, for
// instance with a stalled operation.
const changeTimeout = 10 * time.Second

// Changed tells every mount's kernel to drop what it keeps of path and of everything below it:
// names, attributes, pages, link targets; and of the directory that path is in: its attributes,
// its list of names, and whether there is such a name. path is within the view and need not
// exist. It is what a PFS does when it revokes its clients' locks: call it after each change of
// the backing directory that the mounts are to see before the cache lifetime ends.
//
// It waits up to 10 s for each kernel to comply, which cannot happen while an operation on the
// path stalls.
func (s *Server) Changed(viewPath string) error {
	if err := checkPath(viewPath); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return fmt.Errorf("revoke %q: closed", viewPath)
	default:
	}
	errs := make([]error, len(s.mounts))
	var wg sync.WaitGroup
	for i, m := range s.mounts {
		done := make(chan error, 1)
		go func() { done <- m.changed(viewPath) }()
		wg.Go(func() {
			timer := time.NewTimer(changeTimeout)
			defer timer.Stop()
			select {
			case errs[i] = <-done:
			case <-s.closing:
				errs[i] = errors.New("closed")
			case <-timer.C:
				errs[i] = fmt.Errorf("not done after %v", changeTimeout)
			}
			if errs[i] != nil {
				errs[i] = fmt.Errorf("revoke %q on %q: %w", viewPath, m.dir, errs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// changed notifies one kernel. It holds no lock meanwhile, because the kernel may first have to
// finish requests that need one. Names go last: a name that is looked up anew brings new
// attributes with it.
func (m *mount) changed(viewPath string) error {
	parent, name := path.Split(viewPath)
	parent = path.Clean(parent)
	for _, id := range m.nodes.find(func(p string) bool { return p == parent || below(p, viewPath) }) {
		if err := notified(m.conn.InodeNotify(id, 0, 0)); err != nil {
			return err
		}
	}
	if name == "" {
		return nil // the root has no name
	}
	for _, id := range m.nodes.find(func(p string) bool { return p == parent }) {
		if err := notified(m.conn.EntryNotify(id, name)); err != nil {
			return err
		}
	}
	return nil
}

// notified turns the kernel's answer to a notification into an error. ENOENT says that it did not
// keep such a thing.
func notified(status fuse.Status) error {
	if status == fuse.OK || status == fuse.ENOENT {
		return nil
	}
	return fmt.Errorf("notify: %s", status)
}

// checkPath tells whether a path is one that the view can have.
func checkPath(viewPath string) error {
	if !path.IsAbs(viewPath) || path.Clean(viewPath) != viewPath {
		return fmt.Errorf("path %q: not a clean absolute path", viewPath)
	}
	return nil
}
