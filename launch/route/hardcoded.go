package route

import (
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Shebang is the absolute path of the interpreter that a script names in its first line; "" if the file
// is no script. `env` in its stead names none by its path.
func Shebang(path string) string {
	start, err := readStart(path, 256)
	if err != nil {
		return ""
	}
	line, ok := strings.CutPrefix(string(start), "#!")
	if !ok {
		return ""
	}
	line, _, _ = strings.Cut(line, "\n")
	fields := strings.Fields(line)
	if len(fields) == 0 || !filepath.IsAbs(fields[0]) || filepath.Base(fields[0]) == "env" {
		return ""
	}
	return filepath.Clean(fields[0])
}

// Search is where a program or library looks for the libraries that it needs, as far as that is
// hard-coded: only absolute directories.
type Search struct {
	RPath   []string // before LD_LIBRARY_PATH
	RunPath []string // after it
	Loader  string   // the program's own loader
}

// Libraries reads the search path of an ELF file; it is empty for other files.
func Libraries(path string) (s Search) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return s // a FIFO would hang
	}
	f, err := elf.Open(path)
	if err != nil {
		return s
	}
	defer func() { _ = f.Close() }()
	s.RPath = directories(f, elf.DT_RPATH)
	s.RunPath = directories(f, elf.DT_RUNPATH)
	if s.RunPath != nil {
		s.RPath = nil // the loader's rule
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			if b, err := io.ReadAll(io.LimitReader(p.Open(), 4096)); err == nil {
				s.Loader = strings.TrimRight(string(b), "\x00")
			}
		}
	}
	return s
}

func directories(f *elf.File, tag elf.DynTag) (absolute []string) {
	values, err := f.DynString(tag)
	if err != nil {
		return nil
	}
	for _, value := range values {
		for dir := range strings.SplitSeq(value, ":") {
			if filepath.IsAbs(dir) && !slices.Contains(absolute, filepath.Clean(dir)) {
				absolute = append(absolute, filepath.Clean(dir))
			}
		}
	}
	return absolute
}

// readStart reads up to limit bytes of a regular file.
func readStart(path string, limit int64) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
