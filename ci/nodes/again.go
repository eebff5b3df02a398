package nodes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// The names under which the importing program is started again; see [init].
const (
	frontName = "copper-nodes-front" // first process of the front-end
	firstName = "copper-nodes-host"  // first process of a host
	rshdName  = "copper-nodes-rshd"  // runs what the agent asks for
	enterName = "copper-nodes-enter" // runs a command on a host
	showName  = "copper-nodes-show"  // mounts something on a host
	agentName = "copper-nodes-rsh"   // the agent
)

const namespaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID

// init takes over where the program was started under one of the names above.
func init() {
	name := filepath.Base(os.Args[0])
	roles := map[string]func() error{
		frontName: front, firstName: host, rshdName: rshd,
		enterName: enter, showName: showHere, agentName: rsh,
	}
	role, ok := roles[name]
	if !ok {
		return
	}
	var code exitStatus
	switch err := role(); {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", strings.Join(os.Args, " "), err)
		os.Exit(255)
	}
}

// exitStatus is an end that needs no words.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprint("exit status ", int(e)) }

// command is the program at path, to be started under another name.
func command(name, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path)
	cmd.Args = append([]string{name}, args...)
	return cmd
}

func (n *Network) command(name string, args ...string) *exec.Cmd {
	return command(name, n.Agent(), args...)
}

// runQuiet runs cmd; the error has what it said.
func runQuiet(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// lookPath also looks where an ordinary PATH does not.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}
