package fabric

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo is a process of its own, which sends back all it gets. It ends with its standard input.
func echo(endpoint string) {
	tr := New(slog.New(slog.DiscardHandler))
	ln, err := tr.Listen(endpoint)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// startEcho starts one and returns its endpoint.
func startEcho(t *testing.T, endpoint string) (*os.Process, string) {
	t.Helper()
	needLibrary(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "COPPER_TEST_ECHO="+endpoint)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	line = strings.TrimSpace(line)
	if _, _, wrong := parse(line); err != nil || wrong != nil {
		t.Fatalf("a process says %q, %v", line, err)
	}
	return cmd.Process, line
}

// ask has a connection echo a few bytes.
func ask(conn net.Conn) error {
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	_, err := io.ReadFull(conn, got)
	if err == nil && string(got) != "hello" {
		err = fmt.Errorf("%q came back", got)
	}
	return err
}

// TestPeerIsKilled, and another process has its place: connections to the first end with an error, and new ones
// reach the second.
func TestPeerIsKilled(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		process, at := startEcho(t, endpoint)
		tr := transport(t)
		_ = listen(t, tr, endpoint) // from where it dials
		old, err := tr.Dial(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		if err := ask(old); err != nil {
			t.Fatal(err)
		}
		_ = process.Kill()
		_, _ = process.Wait()
		_ = old.SetDeadline(time.Now().Add(500 * time.Millisecond))
		if err := ask(old); err == nil {
			t.Error("a dead process answers")
		} else {
			t.Log("after its death:", err)
		}

		_, again := startEcho(t, at)
		if again != at {
			t.Fatalf("the second listens at %s", again)
		}
		conn, err := tr.Dial(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := ask(conn); err != nil {
			t.Error(err)
		}
		_ = old.SetDeadline(time.Time{})
		if err := ask(old); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the second process answers for the first: %v", err)
		} else {
			t.Log("on the old connection:", err)
		}
	})
}

// TestPeerIsStopped: writes end at their deadline, Close at once, and others are not concerned.
func TestPeerIsStopped(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		process, at := startEcho(t, endpoint)
		_, healthy := startEcho(t, endpoint)
		tr := transport(t)
		_ = listen(t, tr, endpoint)
		conn, err := tr.Dial(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(conn); err != nil {
			t.Fatal(err)
		}
		_ = process.Signal(syscall.SIGSTOP)
		_ = conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if n, err := conn.Write(make([]byte, 8<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n > maxWindow {
			t.Errorf("%d bytes were taken, %v", n, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := tr.Dial(ctx, at); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("connecting to a process that is stopped: %v", err)
		}
		other, err := tr.Dial(t.Context(), healthy)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if err := ask(other); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = conn.Close(), other.Close()
	})
}

// raw is a peer that sends whatever a test wants.
type raw struct {
	t      *testing.T
	port   *port
	arena  *arena
	to     uint64
	places []uint32
	next   int
}

func newRaw(t *testing.T, endpoint string, to net.Addr) *raw {
	t.Helper()
	needLibrary(t)
	at, err := siteOf(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{t: t}
	if r.port, err = openPort(at); err != nil {
		t.Fatal(err)
	}
	if r.arena, err = newArena(r.port.limits); err != nil {
		t.Fatal(err)
	}
	if err = r.port.enable(r.arena); err != nil {
		t.Fatal(err)
	}
	r.places = r.arena.receive
	t.Cleanup(func() {
		r.port.close()
		r.arena.close()
	})
	_, address, err := parse(to.String())
	if err != nil {
		t.Fatal(err)
	}
	if r.to, err = r.port.insert(address); err != nil {
		t.Fatal(err)
	}
	return r
}

// send sends bytes; it may be more than a message has.
func (r *raw) send(tag uint64, message []byte) {
	r.t.Helper()
	k := r.arena.packets[smallPackets+r.next%largePackets]
	r.next++
	copy(r.arena.memory[r.arena.offsets[k.place]:], message)
	for range 10000 {
		taken, err := r.port.send(k.place, len(message), r.to, tag)
		if err != nil {
			r.t.Fatal(err)
		}
		if taken {
			return
		}
		r.poll()
	}
	r.t.Fatal("the provider takes nothing")
}

// say sends a message as it should be.
func (r *raw) say(tag uint64, h header, data ...byte) {
	r.t.Helper()
	h.addr = r.port.address
	r.send(tag, append(h.append(nil), data...))
}

type heard struct {
	tag uint64
	header
}

func (r *raw) poll() (all []heard) {
	r.t.Helper()
	left, events, err := r.port.poll(r.places, 1, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.places = left
	for _, ev := range events {
		if int(ev.place) >= len(r.arena.receive) || ev.err != nil {
			continue
		}
		h, _, err := decode(r.arena.received(ev))
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, heard{ev.tag, h})
		r.places = append(r.places, ev.place)
	}
	return all
}

// hear waits for a message of a kind.
func (r *raw) hear(k kind) heard {
	r.t.Helper()
	for range 5000 {
		for _, h := range r.poll() {
			if h.kind == k {
				return h
			}
		}
	}
	r.t.Fatalf("no message of kind %d comes", k)
	return heard{}
}

// open makes a connection, and returns its number at the other end.
func (r *raw) open(number uint64) uint64 {
	r.t.Helper()
	r.say(tagConnect, header{kind: kindConnect, from: number, grant: 1000})
	if h := r.hear(kindAccept); h.tag != number {
		r.t.Fatalf("the number %#x was accepted for %#x", h.tag, number)
	} else {
		return h.from
	}
	return 0
}

// TestGarbage: a peer that sends what it must not is dropped or broken off, and its neighbours read on.
func TestGarbage(t *testing.T) {
	overEach(t, func(t *testing.T, endpoint string) {
		ln := listen(t, transport(t), endpoint)
		good, far := connect(t, transport(t), ln)
		go func() { _, _ = io.Copy(far, far) }()
		r := newRaw(t, endpoint, ln.Addr())

		// what is no message, to nobody or to anybody
		for tag := range uint64(3) {
			r.send(tag, nil)
			r.send(tag, []byte("words"))
			r.send(tag, make([]byte, messageSize))
			r.say(tag, header{kind: kindReset + 1, from: 7})
			r.say(tag, header{kind: kindCredit, from: 7}, 1, 2, 3)
			r.say(tag, header{kind: kindData, from: 1 << numberBits})
		}
		r.send(tagConnect, header{kind: kindConnect, from: 7}.append(nil)) // with no address
		r.say(tagConnect, header{kind: kindData, from: 7}, 1)
		if err := ask(good); err != nil {
			t.Fatal(err)
		}

		r.say(12345, header{kind: kindData, from: 7}, 1)
		if h := r.hear(kindReset); h.tag != 7 {
			t.Errorf("a message to a connection that isn't there: %+v", h)
		}
		r.say(tagConnect, header{kind: kindConnect, from: 8, grant: maxWindow + 1})
		if h := r.hear(kindRefuse); h.tag != 8 {
			t.Errorf("too large a window: %+v", h)
		}

		for name, misuse := range map[string]func(from, to uint64){
			"again": func(from, to uint64) {
				r.say(to, header{kind: kindData, seq: 1, from: from}, 1)
				r.say(to, header{kind: kindData, seq: 1, from: from}, 1)
			},
			"lost": func(from, to uint64) { r.say(to, header{kind: kindData, seq: maxEarly + 2, from: from}, 1) },
			"early twice": func(from, to uint64) {
				r.say(to, header{kind: kindData, seq: 3, from: from}, 1)
				r.say(to, header{kind: kindData, seq: 3, from: from}, 1)
			},
			"early over the window": func(from, to uint64) {
				r.say(to, header{kind: kindData, seq: 3, from: from}, make([]byte, minWindow)...)
				r.say(to, header{kind: kindData, seq: 2, from: from}, 1)
			},
			"over the window": func(from, to uint64) {
				r.say(to, header{kind: kindData, seq: 1, from: from}, make([]byte, minWindow)...)
				r.say(to, header{kind: kindData, seq: 2, from: from}, 1)
			},
			"credit": func(from, to uint64) { r.say(to, header{kind: kindCredit, seq: 1, from: from, grant: maxWindow}) },
		} {
			const number = 99
			to := r.open(number)
			r.say(tagConnect, header{kind: kindConnect, from: number, grant: 1000}) // once more: there is one already
			// not from its peer: nothing becomes of that
			r.say(to, header{kind: kindData, seq: 1, from: number + 1}, 1)
			r.say(to, header{kind: kindAccept, seq: 1, from: number})
			r.say(to, header{kind: kindRefuse, seq: 1, from: number})
			h := header{kind: kindReset, seq: 1, from: number, addr: []byte("elsewhere")}
			r.send(to, h.append(nil))
			conn, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			misuse(number, to)
			if h := r.hear(kindReset); h.tag != number {
				t.Errorf("%s: a reset of another connection: %+v", name, h)
			}
			if _, err := io.Copy(io.Discard, conn); !errors.Is(err, errLost) && !errors.Is(err, errGreedy) {
				t.Errorf("%s: %v", name, err)
			}
			_ = conn.Close()
			if err := ask(good); err != nil {
				t.Fatal(err)
			}
		}

		// as many as may wait, and one more
		for i := range uint64(backlog) {
			r.open(100 + i)
		}
		r.say(tagConnect, header{kind: kindConnect, from: 1000})
		if h := r.hear(kindRefuse); h.tag != 1000 {
			t.Errorf("one too many: %+v", h)
		}
		if err := ask(good); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTooLongMessage is dropped, and costs the receiver nothing.
func TestTooLongMessage(t *testing.T) {
	ln := listen(t, transport(t), "ofi+tcp://127.0.0.1")
	good, far := connect(t, transport(t), ln)
	go func() { _, _ = io.Copy(far, far) }()
	r := newRaw(t, "ofi+tcp://127.0.0.1", ln.Addr())
	for range 2 * receivePlaces {
		r.send(5, make([]byte, messageSize+1))
		r.poll()
	}
	if err := ask(good); err != nil {
		t.Fatal(err)
	}
}
