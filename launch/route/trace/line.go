package trace

import (
	"regexp"
	"strconv"
	"strings"
)

// call is one system call, as a line of strace tells it.
type call struct {
	pid    int
	name   string
	args   []string // as they stand there
	result int64    // -1 for an error, and where strace could not tell
	errno  string
	file   string // path of the file that the result is a descriptor of
}

// lines joins the lines of strace to calls.
type lines struct {
	open map[int]string // what a process has begun and not ended
}

const unfinished = " <unfinished ...>"

var resumed = regexp.MustCompile(`^<\.\.\. \w+ resumed>`)

// next is the call that a line ends; ok is false for lines that end none. begun is the name of the call
// that the line begins without ending it.
func (l *lines) next(line string) (c call, begun string, ok bool) {
	pid, rest, found := strings.Cut(strings.TrimLeft(line, " "), " ")
	c.pid, _ = strconv.Atoi(pid)
	if !found || c.pid <= 0 {
		return c, "", false
	}
	rest = strings.TrimLeft(rest, " ")
	if before, cut := strings.CutSuffix(strings.TrimRight(rest, "\n"), unfinished); cut {
		l.open[c.pid] = before
		name, _, _ := strings.Cut(before, "(")
		return c, name, false
	}
	if at := resumed.FindStringIndex(rest); at != nil {
		before, known := l.open[c.pid]
		delete(l.open, c.pid)
		if !known {
			return c, "", false
		}
		rest = before + rest[at[1]:]
	}
	return c, "", c.parse(rest)
}

// parse reads `name(args) = result`.
func (c *call) parse(text string) bool {
	name, rest, ok := strings.Cut(text, "(")
	if !ok || name == "" || strings.ContainsAny(name, " +-<\"") {
		return false // a signal, or the end of a process
	}
	c.name = name
	c.args, rest, ok = splitArgs(rest)
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), "= ")
	if !ok {
		return false
	}
	value, after := rest, ""
	if end := strings.IndexAny(rest, " <"); end >= 0 {
		value, after = rest[:end], rest[end:]
	}
	number, err := strconv.ParseUint(value, 0, 64) // an address may be beyond an int64
	switch {
	case err != nil: // -1, or ? for a call that never returned
		c.result = -1
		if c.errno, _, _ = strings.Cut(strings.TrimSpace(after), " "); c.errno == "" {
			c.errno = "unknown"
		}
	default:
		c.result = int64(number &^ (1 << 63))
		if strings.HasPrefix(after, "<") {
			name, _, _ := strings.Cut(after[1:], ">")
			c.file = unescape(name)
		}
	}
	return true
}

// splitArgs cuts arguments at their commas and returns what follows the closing parenthesis. Strings
// and the names that follow descriptors in <> may have anything in them but their own end.
func splitArgs(text string) (args []string, rest string, ok bool) {
	depth, begin := 0, 0
	add := func(end int) {
		if arg := strings.TrimSpace(text[begin:end]); arg != "" || len(args) > 0 {
			args = append(args, arg)
		}
		begin = end + 1
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '<':
			if !isDescriptor(strings.TrimSpace(text[begin:i])) {
				continue
			}
			if end := strings.IndexByte(text[i:], '>'); end >= 0 {
				i += end
			}
		case '/':
			if strings.HasPrefix(text[i:], "/*") {
				if end := strings.Index(text[i+2:], "*/"); end >= 0 {
					i += end + 3
				}
			}
		case '(', '{', '[':
			depth++
		case ',':
			if depth == 0 {
				add(i)
			}
		case ')', '}', ']':
			if depth == 0 {
				add(i)
				return args, text[i+1:], text[i] == ')'
			}
			depth--
		}
	}
	return nil, "", false
}

func isDescriptor(s string) bool {
	return s == "AT_FDCWD" || s != "" && strings.Trim(s, "0123456789") == ""
}

// stringArg is the string that an argument is; ok is false for NULL, addresses and cut strings.
func stringArg(arg string) (s string, ok bool) {
	inner, ok := strings.CutPrefix(arg, `"`)
	if !ok {
		return "", false
	}
	inner, ok = strings.CutSuffix(inner, `"`)
	return unescape(inner), ok
}

// fileArg is the path of the file that an argument is a descriptor of; "" if that is no file.
func fileArg(arg string) string {
	_, name, ok := strings.Cut(arg, "<")
	if !ok || !isDescriptor(arg[:len(arg)-len(name)-1]) {
		return ""
	}
	name, _, _ = strings.Cut(name, ">")
	return unescape(name)
}

// unescape undoes what strace does to bytes that are not printable.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c >= '0' && c <= '7':
			n := 0
			for k := 0; k < 3 && i < len(s) && s[i] >= '0' && s[i] <= '7'; k++ {
				n = n*8 + int(s[i]-'0')
				i++
			}
			i--
			b.WriteByte(byte(n))
		case c == 'x' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				b.WriteByte(c)
				continue
			}
			b.WriteByte(byte(n))
			i += 2
		default:
			if k := strings.IndexByte("abfnrtve", c); k >= 0 {
				c = "\a\b\f\n\r\t\v\x1b"[k]
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}
