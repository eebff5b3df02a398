package nodes

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// rshPort is where every host runs commands for whoever reaches it. Host and agent trust each other:
// nothing else is in their network.
const rshPort = 514

// order is what the agent asks for: the first thing on the connection, a line; standard input follows.
type order struct {
	Command  string // for a shell
	UID, GID uint32
	Home     string
}

// What comes back is frames: one byte that says what it is, four of length, and that many bytes.
const (
	frameOut  = 1
	frameErr  = 2
	frameExit = 0 // its exit code, the last one
)

// rsh is the agent: [OPTIONS] HOST COMMAND...
func rsh() error {
	args := os.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-l", "-p", "-o", "-i", "-F": // ssh's, with a value
			args = args[min(2, len(args)):]
		default:
			args = args[1:]
		}
	}
	if len(args) < 2 {
		return errors.New("want [OPTIONS] HOST COMMAND")
	}
	c, err := net.Dial("tcp", net.JoinHostPort(args[0], strconv.Itoa(rshPort)))
	if err != nil {
		return err
	}
	defer c.Close()
	o := order{Command: strings.Join(args[1:], " "), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Home: os.Getenv("HOME")}
	if err := json.NewEncoder(c).Encode(o); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	var head [5]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return fmt.Errorf("connection to %s: %w", args[0], err)
		}
		n := int64(binary.BigEndian.Uint32(head[1:]))
		switch head[0] {
		case frameExit:
			return exitStatus(n)
		case frameOut:
			_, err = io.CopyN(os.Stdout, c, n)
		default:
			_, err = io.CopyN(os.Stderr, c, n)
		}
		if err != nil {
			return err
		}
	}
}

// startRshd starts rshd, which listens before this returns.
func startRshd(p plan) error {
	l, err := net.Listen("tcp4", fmt.Sprint(":", rshPort))
	if err != nil {
		return err
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer socket.Close()
	cmd := command(rshdName, p.Program)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Start()
}

// rshd runs commands on this host. It is not the first process, which waits for any child: these are
// to be waited for one by one.
func rshd() error {
	const socket = 3
	l, err := net.FileListener(os.NewFile(socket, "listener"))
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if err := obey(c); err != nil {
				fmt.Fprintf(os.Stderr, "rshd: %v\n", err)
			}
		}()
	}
}

// obey runs one command. As with sshd without a terminal, it goes on when the other end is gone.
func obey(c net.Conn) error {
	input := bufio.NewReader(c)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		return err
	}
	cmd := exec.Command("/bin/bash", "-c", o.Command)
	cmd.Dir = "/"
	if info, err := os.Stat(o.Home); err == nil && info.IsDir() {
		cmd.Dir = o.Home
	}
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + o.Home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if o.UID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.UID, Gid: o.GID}
	}
	var mu sync.Mutex // one frame at a time
	cmd.Stdout, cmd.Stderr = frames{c, &mu, frameOut}, frames{c, &mu, frameErr}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(stdin, input)
		_ = stdin.Close()
	}()
	code := 0
	var exit *exec.ExitError
	switch err := cmd.Wait(); {
	case errors.As(err, &exit):
		if code = exit.ExitCode(); code < 0 { // by a signal
			code = 255
		}
	case err != nil && !errors.Is(err, net.ErrClosed):
		code = 255
	}
	return frames{c, &mu, frameExit}.head(code)
}

// frames writes what a stream says as frames.
type frames struct {
	to   io.Writer
	mu   *sync.Mutex
	kind byte
}

func (f frames) head(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.to.Write(binary.BigEndian.AppendUint32([]byte{f.kind}, uint32(n)))
	return err
}

func (f frames) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	frame := binary.BigEndian.AppendUint32([]byte{f.kind}, uint32(len(b)))
	if _, err := f.to.Write(append(frame, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}
