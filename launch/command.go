package launch

import (
	"os"
	"os/exec"
	"strings"
)

// Command is the exact command line that starts a job step.
type Command struct {
	Env  []string // NAME=value, beside what is inherited; never a secret
	Args []string // the program first

	HostFile string   // that Args name, to be written before; "" if there is none
	Hosts    []string // what it is to hold, one a line
}

// String is the command as one would type it into a shell.
func (c Command) String() string {
	var words []string
	for _, assignment := range c.Env {
		name, value, _ := strings.Cut(assignment, "=")
		words = append(words, name+"="+quote(value))
	}
	for _, arg := range c.Args {
		words = append(words, quote(arg))
	}
	return strings.Join(words, " ")
}

const plainRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+"

func quote(s string) string {
	if s != "" && strings.Trim(s, plainRunes) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// process is the command ready to be started, with its host file written.
func (c Command) process() (*exec.Cmd, error) {
	if err := c.writeHostFile(); err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	return cmd, nil
}
