package faults

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// releaseBound is for a killed daemon to give up its sockets.
const releaseBound = 5 * time.Second

// babble listens where a daemon listened, and answers all who come with random bytes: some before
// they are asked, some after, some without an end. A killed daemon that waits within the kernel (for
// pages of its own mount, say) keeps its sockets: then nobody answers there.
func babble(n Node) (mend func() error, err error) {
	b := &babbler{conns: map[net.Conn]bool{}}
	for _, e := range n.Endpoints {
		_, address, _ := strings.Cut(e, "://") // of libfabric over TCP too
		ln, err := listenFor(n, address)
		if errors.Is(err, syscall.EADDRINUSE) && state(n.Daemon) != 0 {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.listeners = append(b.listeners, ln)
		b.running.Go(func() { b.serve(ln) })
	}
	return b.close, nil
}

// listenFor listens in the network of a node as soon as its killed daemon has let go of the address.
func listenFor(n Node, addr string) (ln net.Listener, err error) {
	for end := time.Now().Add(releaseBound); ; time.Sleep(time.Millisecond) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if n.Host != nil {
				// The thread is not fit for anything else afterwards: it ends with this goroutine.
				runtime.LockOSThread()
				if err = joinNetwork(n.Supervisor); err != nil {
					return
				}
			}
			ln, err = net.Listen("tcp", addr)
		}()
		<-done
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return ln, err
		}
	}
}

func joinNetwork(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("setns", unix.Setns(int(f.Fd()), unix.CLONE_NEWNET))
}

type babbler struct {
	listeners []net.Listener
	running   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // nil: closed
}

func (b *babbler) serve(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		if b.conns == nil {
			conn.Close()
		} else {
			b.conns[conn] = true
			b.running.Go(func() { b.answer(conn) })
		}
		b.mu.Unlock()
	}
}

func (b *babbler) answer(conn net.Conn) {
	defer func() {
		conn.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.conns, conn)
	}()
	noise := make([]byte, 1+rand.IntN(64<<10))
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	switch rand.IntN(3) {
	case 0:
		_, _ = conn.Write(noise)
	case 1:
		_, _ = io.ReadFull(conn, make([]byte, 16))
		_, _ = conn.Write(noise)
		_, _ = io.Copy(io.Discard, conn) // until the other side has had enough
	case 2:
		for {
			if _, err := conn.Write(noise); err != nil {
				return
			}
			time.Sleep(time.Millisecond) // a stream, not a flood
		}
	}
}

func (b *babbler) close() error {
	for _, ln := range b.listeners {
		ln.Close()
	}
	b.mu.Lock()
	for conn := range b.conns {
		conn.Close()
	}
	b.conns = nil
	b.mu.Unlock()
	b.running.Wait()
	return nil
}
