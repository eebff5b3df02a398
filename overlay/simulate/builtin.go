package simulate

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/copper-hpc/copper/store"
	"github.com/copper-hpc/copper/store/manifest"
)

// scipyStats is what `python3 -c "import scipy.stats"` asks of a directory with Debian 12's numpy and
// scipy, recorded through FUSE; ci/record says how.
//
//go:embed scipy.stats.manifest.gz
var scipyStats []byte

// builtin is the manifests that need no file.
var builtin = map[string]func() ([]manifest.Access, error){
	"scipy.stats": func() ([]manifest.Access, error) {
		return manifest.Read(bytes.NewReader(scipyStats), "scipy.stats")
	},
	"torch": func() ([]manifest.Access, error) { return torch(), nil },
	"bulk":  func() ([]manifest.Access, error) { return bulk(), nil },
}

// Manifests are the names of the built-in manifests.
func Manifests() []string {
	var names []string
	for name := range builtin {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Load is the world of the built-in manifest of that name, or else of that in the file of that name.
func Load(name string) (*World, error) {
	make, ok := builtin[name]
	if !ok {
		make = func() ([]manifest.Access, error) { return manifest.Open(name) }
	}
	accesses, err := make()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("manifest %q is neither a file nor one of %s", name, strings.Join(Manifests(), ", "))
	case err != nil:
		return nil, err
	}
	return NewWorld(name, accesses)
}

const million = 1_000_000

// torch is like the import of a large package with native libraries: 250 directories with 4 modules each,
// of which Python looks at the source and reads the compiled form, 2,000 small files in all, and five
// libraries of 1 GB together, read from front to back.
func torch() []manifest.Access {
	const root = "/site-packages/torch"
	accesses := []manifest.Access{
		{Op: manifest.Stat, Path: "/", Kind: manifest.Dir},
		{Op: manifest.Stat, Path: "/site-packages", Kind: manifest.Dir},
		{Op: manifest.List, Path: "/site-packages", Kind: manifest.Dir, Names: 300},
		{Op: manifest.Stat, Path: root, Kind: manifest.Dir},
	}
	for d := range 250 {
		dir := fmt.Sprintf("%s/pkg%03d", root, d)
		cache := dir + "/__pycache__"
		accesses = append(accesses, manifest.Access{Op: manifest.Stat, Path: dir, Kind: manifest.Dir})
		for _, suffix := range []string{".cpython-312-x86_64-linux-gnu.so", ".abi3.so", ".so"} {
			accesses = append(accesses, manifest.Access{Op: manifest.Stat, Path: dir + "/__init__" + suffix, Kind: manifest.Absent})
		}
		accesses = append(accesses, manifest.Access{Op: manifest.List, Path: dir, Kind: manifest.Dir, Names: 12})
		for m := range 4 {
			name := "__init__"
			if m > 0 {
				name = fmt.Sprintf("mod%d", m)
			}
			size := int64(1000 + (d*4+m)*7919%60000) // 1 to 61 kB
			accesses = append(accesses, file(dir+"/"+name+".py", size))
			if m == 0 {
				accesses = append(accesses, manifest.Access{Op: manifest.Stat, Path: cache, Kind: manifest.Dir})
			}
			compiled := cache + "/" + name + ".cpython-312.pyc"
			accesses = append(accesses, file(compiled, size))
			accesses = append(accesses, read(compiled, size)...)
		}
	}
	accesses = append(accesses, manifest.Access{Op: manifest.Stat, Path: root + "/lib", Kind: manifest.Dir})
	for i, size := range []int64{450 * million, 250 * million, 150 * million, 100 * million, 50 * million} {
		library := fmt.Sprintf("%s/lib/libtorch%d.so", root, i)
		accesses = append(accesses, file(library, size))
		accesses = append(accesses, read(library, size)...)
	}
	return accesses
}

// bulk is 1,024 files of 1 MiB, all in one directory.
func bulk() []manifest.Access {
	accesses := []manifest.Access{
		{Op: manifest.Stat, Path: "/", Kind: manifest.Dir},
		{Op: manifest.Stat, Path: "/bulk", Kind: manifest.Dir},
	}
	for i := range 1024 {
		name := fmt.Sprintf("/bulk/%04d.bin", i)
		accesses = append(accesses, file(name, 1<<20))
		accesses = append(accesses, read(name, 1<<20)...)
	}
	return accesses
}

func file(path string, size int64) manifest.Access {
	return manifest.Access{Op: manifest.Stat, Path: path, Kind: manifest.File, Size: size}
}

// read reads a whole file.
func read(path string, size int64) []manifest.Access {
	var accesses []manifest.Access
	for from := int64(0); from < size; from += store.ChunkSize {
		accesses = append(accesses, manifest.Access{Op: manifest.ReadData, Path: path, Kind: manifest.File, Size: size,
			From: from, To: min(from+store.ChunkSize, size)})
	}
	return accesses
}
