package live

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Screen is a terminal of which all is ours for a while.
type Screen struct {
	out  io.Writer
	fd   int // for its size
	keys int // the terminal that is typed at; -1: none
	was  *unix.Termios
	on   bool
}

// NewScreen is that of a terminal; what is typed at in does not show while it is ours.
func NewScreen(out, in *os.File) *Screen {
	return &Screen{out: out, fd: int(out.Fd()), keys: int(in.Fd())}
}

const (
	alternate = "\x1b[?1049h\x1b[?25l" // another page, without the cursor
	original  = "\x1b[?25h\x1b[?1049l"
	// Terminals that know it show all between these at once; others ignore them.
	beginUpdate, endUpdate = "\x1b[?2026h", "\x1b[?2026l"
	home, toLineEnd        = "\x1b[H", "\x1b[K"
	toEnd                  = "\x1b[J"
)

// Enter takes the terminal.
func (s *Screen) Enter() {
	if s.on {
		return
	}
	s.on = true
	if t, err := unix.IoctlGetTermios(s.keys, unix.TCGETS); err == nil {
		quiet := *t
		quiet.Lflag &^= unix.ECHO
		if unix.IoctlSetTermios(s.keys, unix.TCSETS, &quiet) == nil {
			s.was = t
		}
	}
	_, _ = io.WriteString(s.out, alternate)
}

// Leave gives it back as it was.
func (s *Screen) Leave() {
	if !s.on {
		return
	}
	s.on = false
	_, _ = io.WriteString(s.out, home+toEnd+original) // some terminals keep lines of the other page after a resize
	if s.was != nil {
		_ = unix.IoctlSetTermios(s.keys, unix.TCSETS, s.was)
		s.was = nil
	}
}

// Size is in characters.
func (s *Screen) Size() (width, height int) {
	size, err := unix.IoctlGetWinsize(s.fd, unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// Draw replaces what is shown in one write, each line in its place, so that nothing flickers.
func (s *Screen) Draw(lines []string) {
	if !s.on {
		return
	}
	_, _ = io.WriteString(s.out, beginUpdate+home+strings.Join(lines, toLineEnd+"\r\n")+toLineEnd+toEnd+endUpdate)
}
