package manifest

import (
	"os"
	"path/filepath"
	"sync"
)

// visitors is how many paths are visited at once.
const visitors = 4

// Visit looks at every path of accesses below the mount point, so that the kernel knows them: it
// takes attributes, reads directories and links, and reads no file. What it can't see is none of
// its business. It hangs as long as the mount does, so it is only for a process made for it.
func Visit(mount string, accesses []Access) {
	paths := make(chan Access)
	var running sync.WaitGroup
	for range visitors {
		running.Go(func() {
			for a := range paths {
				p := filepath.Join(mount, a.Path)
				switch a.Op {
				case Stat:
					_, _ = os.Lstat(p)
				case List:
					_, _ = os.ReadDir(p)
				case ReadLink:
					_, _ = os.Readlink(p)
				}
			}
		})
	}
	for _, a := range accesses {
		if a.Op != ReadData {
			paths <- a
		}
	}
	close(paths)
	running.Wait()
}
