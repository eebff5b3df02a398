package profiling

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// NoProfileError says why there is nothing to work on in a directory.
type NoProfileError struct {
	Dir string
	// Early: it is the right directory, where nothing is yet or ever will be; else it is a wrong one.
	Early bool
	State string // of the job, where it is known
	Why   string
}

func (e *NoProfileError) Error() string {
	if e.Early {
		return fmt.Sprintf("%s: the right directory, but too early: %s", e.Dir, e.Why)
	}
	return fmt.Sprintf("%s: not the right directory: %s", e.Dir, e.Why)
}

// Found is a set of daemons' files.
type Found struct {
	Set string // their directory
	Job Dir    // "" where the set lies in no job's directory
}

// Out is where what is made of the set goes, unless somebody says otherwise.
func (f Found) Out() string {
	if f.Job == "" {
		return filepath.Join(f.Set, "cluster") // not among what would be summed up the next time
	}
	return f.Job.Cluster()
}

// Find finds the files named name in dir: a job's directory, where it takes the set of that tag, or
// the directory of a set. job tells what is known of a job's directory: whether it is one, and why it
// may have no files. The error is a [*NoProfileError].
func Find(dir, tag, name string, job func(dir string) (is bool, state string)) (Found, error) {
	wrong := func(format string, args ...any) (Found, error) {
		return Found{}, &NoProfileError{Dir: dir, Why: fmt.Sprintf(format, args...)}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return wrong("%v", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return wrong("there is no such directory")
	}
	if filepath.Base(dir) == "cluster" {
		return wrong("what is in it has been summed up already; name the job's directory")
	}
	if files, err := filesNamed(dir, name); err == nil && len(files) > 0 {
		f := Found{Set: dir}
		if profiles := filepath.Dir(dir); filepath.Base(profiles) == "profiling" {
			f.Job = Dir(filepath.Dir(profiles))
		}
		return f, nil
	}
	if filepath.Base(dir) == "profiling" {
		dir = filepath.Dir(dir)
	}
	set := Dir(dir).Set(tag)
	if files, err := filesNamed(set, name); err == nil && len(files) > 0 {
		return Found{Set: set, Job: Dir(dir)}, nil
	}
	is, state := job(dir)
	early := func(format string, args ...any) (Found, error) {
		return Found{}, &NoProfileError{Dir: dir, Early: true, State: state, Why: fmt.Sprintf(format, args...)}
	}
	if !is {
		if below, _ := filepath.Glob(filepath.Join(dir, "*", "job.json")); len(below) > 0 {
			return wrong("it holds %d jobs; name one of them, such as %s", len(below), filepath.Dir(below[len(below)-1]))
		}
		return wrong("it is no job's directory and has no files *-%s", name)
	}
	if others := setsWith(dir, name); len(others) > 0 {
		if len(others) > namedSets {
			others = slices.Concat(others[:namedSets/2], []string{"…"}, others[len(others)-namedSets/2:])
		}
		return early("there is no %s yet (%s); --tag takes one of: %s", set, state, strings.Join(others, ", "))
	}
	return early("no files *-%s below it (%s)", name, state)
}

// namedSets is how many tags an error names.
const namedSets = 8

// setsWith are the tags of a job that have files of that name.
func setsWith(dir, name string) (tags []string) {
	entries, _ := os.ReadDir(filepath.Join(dir, "profiling"))
	for _, e := range entries {
		if files, err := filesNamed(Dir(dir).Set(e.Name()), name); err == nil && len(files) > 0 && e.IsDir() {
			tags = append(tags, e.Name())
		}
	}
	return tags
}

// latelySets is how many of the last periodic sets are compared: the very last may still be being written.
const latelySets = 3

// LastSet is the tag of the last set of a job's files of that name, "" if there is none. Of the periodic
// ones it is the fullest of the last few.
func (d Dir) LastSet(name string) (tag string) {
	tags := setsWith(string(d), name)
	for _, tag := range []string{Final, PreDestroy} {
		if slices.Contains(tags, tag) {
			return tag
		}
	}
	tags = slices.DeleteFunc(tags, func(tag string) bool { return !strings.HasPrefix(tag, runtimePrefix) })
	most := 0
	for _, t := range tags[max(len(tags)-latelySets, 0):] { // by name, and so by time
		if files, err := filesNamed(d.Set(t), name); err == nil && len(files) >= most {
			tag, most = t, len(files)
		}
	}
	return tag
}
