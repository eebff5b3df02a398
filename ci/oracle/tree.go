package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// RandomTree fills dir with some 300 files, directories, links and FIFOs, the same for the same
// seed.
func RandomTree(dir string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 0))
	dirs := []string{dir}
	for i := range 300 {
		parent := dirs[r.IntN(len(dirs))]
		path := filepath.Join(parent, randomName(r, i))
		var err error
		switch k := r.IntN(20); {
		case k < 3:
			if err = os.Mkdir(path, 0o755); err == nil {
				dirs = append(dirs, path)
			}
		case k < 5:
			err = os.Symlink(randomTarget(r, parent), path)
		case k < 6:
			err = syscall.Mkfifo(path, 0o600)
		default:
			err = randomFile(r, path)
		}
		if err != nil {
			return err
		}
	}
	// Times last, deepest first, since making a name changes its directory's.
	for i := len(dirs) - 1; i >= 0; i-- {
		when := time.Unix(1_500_000_000+int64(r.IntN(100_000_000)), int64(r.IntN(1_000_000_000)))
		if err := os.Chtimes(dirs[i], when, when); err != nil {
			return err
		}
	}
	return nil
}

func randomName(r *rand.Rand, i int) string {
	switch r.IntN(12) {
	case 0:
		return fmt.Sprintf("%d with space\tand \xff\xfe", i)
	case 1:
		return fmt.Sprintf("%d%s", i, strings.Repeat("x", 240))
	case 2:
		return fmt.Sprintf(".hidden%d", i)
	}
	return fmt.Sprintf("name%d.py", i)
}

func randomTarget(r *rand.Rand, parent string) string {
	if names, err := os.ReadDir(parent); err == nil && len(names) > 0 && r.IntN(3) > 0 {
		return names[r.IntN(len(names))].Name()
	}
	return []string{"dangling", "/etc/hostname", "../..", strings.Repeat("deep/", 300)}[r.IntN(4)]
}

func randomFile(r *rand.Rand, path string) error {
	sizes := []int{0, 1, 4095, 4096, 4097, 131072, 1<<20 - 1, 1 << 20, 1<<20 + 1, r.IntN(10_000), r.IntN(10_000), r.IntN(10_000), r.IntN(3 << 20)}
	data := make([]byte, sizes[r.IntN(len(sizes))])
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	when := time.Unix(1_400_000_000+int64(r.IntN(100_000_000)), int64(r.IntN(1_000_000_000)))
	if err := os.Chtimes(path, when, when); err != nil {
		return err
	}
	return os.Chmod(path, []os.FileMode{0o644, 0o755, 0o600, 0o444, 0o4755 | os.ModeSetuid}[r.IntN(5)])
}
