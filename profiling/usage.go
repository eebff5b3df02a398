package profiling

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Names of what [Usage.Write] writes.
const (
	possibleFile    = "all_possible_existing_paths.txt"
	usedFile        = "used_paths_existing.txt"
	notObservedFile = "same_run_candidate_not_observed_existing_paths.txt"
	missingFile     = "missing_probe_paths.txt"
	rootsFile       = "roots_and_counts.txt"
	usageFile       = "paths_summary.md"
)

// Usage is which paths a job's kernels asked for, and which they could have.
type Usage struct {
	Set     string
	Tables  int // daemons whose tables of paths these are
	Roots   []string
	Derived bool // nobody named the roots: they were found in what was used

	used, missing map[string]*PathUse
	existing      map[string]struct{} // below the roots
	unreadable    []string
}

// UsePaths reads the tables of paths in a set's directory and walks the roots, paths of the view, below
// target. Without roots, the environments and package directories that were used are walked.
func UsePaths(set, target string, roots []string) (*Usage, error) {
	files, err := filesNamed(set, PathsFile)
	if err != nil {
		return nil, err
	}
	u := &Usage{Set: set, Roots: slices.Clone(roots), used: map[string]*PathUse{}, missing: map[string]*PathUse{}, existing: map[string]struct{}{}}
	all := newCluster()
	for _, file := range files {
		one := map[string]*PathUse{}
		if err := readPaths(file, func(p *PathUse) { one[p.Path] = p }); err != nil {
			u.unreadable = append(u.unreadable, err.Error())
			continue
		}
		join(all.paths, one, func(mine, other *PathUse) { mine.add(other) })
		u.Tables++
	}
	if u.Tables == 0 {
		return nil, fmt.Errorf("%s: no table of paths can be read: %w", set, errors.New(strings.Join(u.unreadable, "; ")))
	}
	for path, p := range all.paths {
		switch {
		case p.Exists():
			u.used[path] = p
		case p.Missing():
			u.missing[path] = p
		}
	}
	if len(u.Roots) == 0 {
		u.Derived, u.Roots = true, u.deriveRoots()
	}
	for _, root := range u.Roots {
		u.walk(target, filepath.Clean("/"+root))
	}
	return u, nil
}

// deriveRoots finds the environments, and the package directories outside of them, that were used.
func (u *Usage) deriveRoots() []string {
	found := map[string]bool{}
	for path := range u.used {
		if m := environment.FindStringSubmatch(path); m != nil {
			found[m[1]] = true
		} else if at := packages.FindStringIndex(path); at != nil {
			found[strings.TrimSuffix(path[:at[1]], "/")] = true
		}
	}
	var roots []string
	for _, r := range slices.Sorted(maps.Keys(found)) {
		if !slices.ContainsFunc(roots, func(outer string) bool { return below(r, outer) }) {
			roots = append(roots, r)
		}
	}
	return roots
}

func below(path, root string) bool {
	return root == "/" || path == root || strings.HasPrefix(path, root+"/")
}

// walk notes what exists below root. What can't be read is said, and passed over.
func (u *Usage) walk(target, root string) {
	target = strings.TrimSuffix(filepath.Clean(target), "/")
	_ = filepath.WalkDir(target+root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			u.unreadable = append(u.unreadable, err.Error())
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		view := strings.TrimPrefix(path, target)
		if view == "" {
			view = "/"
		}
		u.existing[view] = struct{}{}
		return nil
	})
}

// Write writes the lists and the summary into dir and returns the files' paths.
func (u *Usage) Write(dir string) ([]string, error) {
	notObserved := map[string]struct{}{}
	for path := range u.existing {
		if u.used[path] == nil {
			notObserved[path] = struct{}{}
		}
	}
	files := []struct {
		name    string
		content []byte
	}{
		{possibleFile, lines(u.existing)},
		{usedFile, lines(u.used)},
		{notObservedFile, lines(notObserved)},
		{missingFile, lines(u.missing)},
		{rootsFile, u.counts()},
		{usageFile, u.summary(len(notObserved))},
	}
	var written []string
	for _, f := range files {
		if err := writeFile(dir, f.name, f.content); err != nil {
			return written, err
		}
		written = append(written, filepath.Join(dir, f.name))
	}
	return written, nil
}

// lines are the paths, one a line, in order.
func lines[T any](paths map[string]T) []byte {
	var out bytes.Buffer
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		out.WriteString(shownPath(p))
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// count tells of root how many paths there are below it, were used, were not, and were missed.
func (u *Usage) count(root string) (existing, used, notObserved, missing int) {
	for p := range u.existing {
		if below(p, root) {
			existing++
			if u.used[p] == nil {
				notObserved++
			}
		}
	}
	for p := range u.used {
		if below(p, root) {
			used++
		}
	}
	for p := range u.missing {
		if below(p, root) {
			missing++
		}
	}
	return existing, used, notObserved, missing
}

func (u *Usage) counts() []byte {
	var out bytes.Buffer
	out.WriteString("existing\tused\tnot observed\tmissing\troot\n")
	for _, root := range u.Roots {
		existing, used, notObserved, missing := u.count(filepath.Clean("/" + root))
		fmt.Fprintf(&out, "%d\t%d\t%d\t%d\t%s\n", existing, used, notObserved, missing, shownPath(root))
	}
	return out.Bytes()
}

func (u *Usage) summary(notObserved int) []byte {
	out := &strings.Builder{}
	fmt.Fprintf(out, "# Which paths were used\n\nFrom the tables of %d daemons in %s.\n\n%s A path counts as used when a "+
		"kernel asked for it through Copper at least once; that a directory's listing named it does not count.\n", u.Tables, u.Set, KernelNote)
	fmt.Fprintf(out, "\n| list | paths |\n| --- | ---: |\n| %s | %d |\n| %s | %d |\n| %s | %d |\n| %s | %d |\n",
		possibleFile, len(u.existing), usedFile, len(u.used), notObservedFile, notObserved, missingFile, len(u.missing))
	switch {
	case len(u.Roots) == 0:
		fmt.Fprint(out, "\nNo environment or package directory was used, so nothing was walked for paths that could have been: name one with --usage-root.\n")
	case u.Derived:
		fmt.Fprint(out, "\nThe roots are the environments and package directories that were used; --usage-root names others.\n")
	}
	if len(u.Roots) > 0 {
		fmt.Fprint(out, "\n| root | existing | used | not observed | missing |\n| --- | ---: | ---: | ---: | ---: |\n")
		for _, root := range u.Roots {
			existing, used, unused, missing := u.count(filepath.Clean("/" + root))
			fmt.Fprintf(out, "| %s | %d | %d | %d | %d |\n", cell(root), existing, used, unused, missing)
		}
	}
	c := newCluster()
	c.paths = maps.Clone(u.used)
	maps.Copy(c.paths, u.missing)
	fmt.Fprint(out, "\n| class | paths | requests |\n| --- | ---: | ---: |\n")
	for _, k := range c.classes() {
		fmt.Fprintf(out, "| %s | %d | %d |\n", k.name, k.paths, k.requests)
	}
	for i, why := range u.unreadable {
		if i == 0 {
			fmt.Fprintf(out, "\n%d times something could not be read:\n\n", len(u.unreadable))
		}
		if i == 20 {
			fmt.Fprintf(out, "- and %d more\n", len(u.unreadable)-i)
			break
		}
		fmt.Fprintf(out, "- %s\n", why)
	}
	return []byte(out.String())
}

// Counts are the numbers of paths in the lists.
func (u *Usage) Counts() (existing, used, missing int) {
	return len(u.existing), len(u.used), len(u.missing)
}
