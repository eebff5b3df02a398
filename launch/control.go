package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Control answers clients on a daemon's control socket.
type Control struct {
	listener *net.UnixListener
	daemon   *Daemon
	gather   Gather
	log      *slog.Logger

	ctx    context.Context // ends what is under way
	cancel context.CancelFunc
	wg     sync.WaitGroup
	slots  chan struct{} // bounds the clients served at once
}

const maxSocketPath = 107 // bytes, by sun_path

// ServeControl listens on the socket of daemon d in its control directory and answers until
// [Control.Close].
func ServeControl(dir string, d *Daemon, gather Gather, log *slog.Logger) (*Control, error) {
	if err := checkPrivate(dir); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	path := filepath.Join(dir, strconv.Itoa(d.Hello.Rank)+".sock")
	if len(path) > maxSocketPath {
		return nil, BadInput("control socket: %s is longer than %d bytes", path, maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // of a killed daemon
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ln, err := (&net.ListenConfig{Control: ownersOnly}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c := &Control{listener: ln.(*net.UnixListener), daemon: d, gather: gather, log: log, slots: make(chan struct{}, 16)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Add(1)
	go c.accept()
	return c, nil
}

// ownersOnly gives a socket the mode 0600 before it has a path, whatever the umask.
func ownersOnly(_, _ string, socket syscall.RawConn) error {
	var chmod error
	err := socket.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) })
	return errors.Join(err, chmod)
}

// Close ends the listening, and what is under way, and waits for it.
func (c *Control) Close() error {
	c.cancel()
	err := c.listener.Close()
	c.wg.Wait()
	return err
}

func (c *Control) accept() {
	defer c.wg.Done()
	for {
		conn, err := c.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, say: that passes
			c.log.Warn("control socket", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-c.ctx.Done():
				return
			}
		}
		select {
		case c.slots <- struct{}{}:
		case <-c.ctx.Done():
			_ = conn.Close()
			return
		}
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			defer func() { <-c.slots }()
			defer func() { _ = conn.Close() }()
			defer context.AfterFunc(c.ctx, func() { _ = conn.SetDeadline(time.Now()) })()
			c.serve(conn)
		}()
	}
}

// serve answers one request; a connection carries one.
func (c *Control) serve(conn *net.UnixConn) {
	if err := checkPeer(conn); err != nil {
		c.log.Warn("control socket: refused", "error", err)
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(requestBound))
	req, err := io.ReadAll(io.LimitReader(conn, maxRequest+1))
	if err != nil {
		c.log.Debug("control socket: request not read", "error", err)
		return
	}
	resp, after := c.respond(req)
	resp.Version, resp.Hello = controlVersion, &c.daemon.Hello
	b, err := json.Marshal(resp)
	if err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(responseBound))
		_, err = conn.Write(b)
	}
	if err != nil {
		c.log.Debug("control socket: answer not sent", "error", err)
	}
	_ = conn.Close() // the client has it all; what comes after need not keep it waiting
	after()
}

// respond does what req asks; after is to be called when the client has its answer.
func (c *Control) respond(req []byte) (resp Response, after func()) {
	after = func() {}
	r, err := decodeRequest(req)
	if err == nil && r.Op == opExit {
		err = fmt.Errorf("unknown request %q", r.Op)
	}
	if err != nil {
		return Response{Error: err.Error()}, after
	}
	if r.Op == OpHello {
		return resp, after
	}
	bound := gatherBound
	if r.Op == OpStop {
		bound = stopGatherBound
		after = c.exitAll
	}
	resp.Sum, resp.Missing, err = c.ask(r, bound)
	if err != nil {
		// The overlay failed altogether: this node can still speak for itself.
		c.log.Warn("control request did not reach the other nodes", "op", r.Op, "error", err)
		resp.Sum, resp.Missing = c.alone(req, err)
	}
	return resp, after
}

// alone is this node's own answer, where the others can't be asked.
func (c *Control) alone(req []byte, why error) (sum []byte, missing []MissingRank) {
	h := c.daemon.Hello
	for rank := range h.Size {
		if rank != h.Rank {
			missing = append(missing, MissingRank{rank, why.Error()})
		}
	}
	sum, err := c.daemon.Answer(c.ctx, req)
	if err != nil {
		missing = append(missing, MissingRank{h.Rank, err.Error()})
	}
	return sum, missing
}

func (c *Control) ask(r Request, bound time.Duration) ([]byte, []MissingRank, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, bound)
	defer cancel()
	return c.gather(ctx, b)
}

// exitAll ends all daemons, this one last.
func (c *Control) exitAll() {
	if _, _, err := c.ask(NewRequest(opExit), exitBound); err != nil {
		c.log.Debug("not every daemon was told to exit; each ends by itself", "error", err)
	}
	c.daemon.Exit()
}

// checkPeer refuses other users, who could not have reached the socket anyway.
func checkPeer(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		peer, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if sockErr != nil {
		return sockErr
	}
	if int(peer.Uid) != os.Getuid() {
		return fmt.Errorf("process %d of user %d", peer.Pid, peer.Uid)
	}
	return nil
}
