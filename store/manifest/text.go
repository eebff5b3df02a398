package manifest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	heading = "copper-manifest 1"
	// maxLine bounds a line, in bytes; a quoted path is up to four times as long as it is.
	maxLine = 128 << 10
)

// Open reads a manifest from a file, which may be compressed with gzip. Errors name the file and the line.
func Open(name string) ([]Access, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f, name)
}

// Read reads a manifest, which may be compressed with gzip; name is what errors call it.
func Read(r io.Reader, name string) ([]Access, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		in = bufio.NewReader(unpacked)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	var accesses []Access
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimRight(lines.Text(), " \t\r")
		switch {
		case number == 1:
			if line != heading {
				return nil, fmt.Errorf("%s:1: want %q", name, heading)
			}
			continue
		case line == "" || line[0] == '#':
			continue
		}
		a, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		accesses = append(accesses, a)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s:%d: a line of more than %d bytes", name, number+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case number == 0:
		return nil, fmt.Errorf("%s:1: want %q", name, heading)
	}
	return accesses, nil
}

// Write writes a manifest.
func Write(w io.Writer, accesses []Access) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, heading)
	for _, a := range accesses {
		fmt.Fprintln(out, a)
	}
	return out.Flush()
}

// String is the access as its line in a file.
func (a Access) String() string {
	s := string(a.Op) + " " + quote(a.Path)
	switch a.Op {
	case Stat:
		if s += " " + string(a.Kind); a.Kind == File {
			s += fmt.Sprintf(" size=%d", a.Size)
			if a.Mtime != 0 {
				s += fmt.Sprintf(" mtime=%d", a.Mtime)
			}
		}
	case List:
		s += fmt.Sprintf(" names=%d", a.Names)
	case ReadData:
		s += fmt.Sprintf(" size=%d from=%d to=%d", a.Size, a.From, a.To)
	}
	return s
}

// parse reads a line that is not empty.
func parse(line string) (a Access, err error) {
	op, rest, _ := strings.Cut(line, " ")
	a.Op = Op(op)
	var wanted []string
	switch a.Op {
	case Stat, ReadLink:
		a.Kind = Link
	case List:
		a.Kind, wanted = Dir, []string{"names"}
	case ReadData:
		a.Kind, wanted = File, []string{"size", "from", "to"}
	default:
		return a, fmt.Errorf("%q: want stat, list, readlink or read", op)
	}
	if a.Path, rest, err = unquote(rest); err != nil {
		return a, err
	}
	fields := strings.Fields(rest)
	if a.Op == Stat {
		if len(fields) == 0 {
			return a, errors.New("want absent, file, dir, link or other after the path")
		}
		a.Kind, fields = Kind(fields[0]), fields[1:]
		switch a.Kind {
		case File:
			wanted = []string{"size"}
			if len(fields) > 1 {
				wanted = []string{"size", "mtime"}
			}
		case Absent, Dir, Link, Other:
		default:
			return a, fmt.Errorf("%q: want absent, file, dir, link or other", a.Kind)
		}
	}
	if err := a.numbers(fields, wanted); err != nil {
		return a, err
	}
	return a, a.check()
}

// numbers reads the fields name=number, each of which is wanted and has to be there.
func (a *Access) numbers(fields, wanted []string) error {
	for i, name := range wanted {
		if i == len(fields) || !strings.HasPrefix(fields[i], name+"=") {
			return fmt.Errorf("want %s=NUMBER", name)
		}
		n, err := strconv.ParseInt(fields[i][len(name)+1:], 10, 64)
		if err != nil {
			return fmt.Errorf("%q: want %s=NUMBER", fields[i], name)
		}
		switch name {
		case "size":
			a.Size = n
		case "mtime":
			a.Mtime = n
		case "names":
			if a.Names = int(n); n < 0 || n > maxNames {
				return fmt.Errorf("names=%d: want 0 to 2^30", n)
			}
		case "from":
			a.From = n
		case "to":
			a.To = n
		}
	}
	if len(fields) > len(wanted) {
		return fmt.Errorf("%q: nothing is wanted there", fields[len(wanted)])
	}
	return nil
}

func quote(path string) string {
	if !utf8.ValidString(path) {
		return strconv.Quote(path)
	}
	for _, r := range path {
		if r == ' ' || r == '"' || !strconv.IsPrint(r) {
			return strconv.Quote(path)
		}
	}
	return path
}

// unquote cuts the path that text begins with.
func unquote(text string) (path, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		path, rest, _ = strings.Cut(text, " ")
		return path, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", "", fmt.Errorf("%s: a quoted path that doesn't end", text)
	}
	path, err = strconv.Unquote(quoted)
	return path, text[len(quoted):], err
}
