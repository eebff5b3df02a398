package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

var (
	// errNoDaemon says that no daemon of the job answers on this node.
	errNoDaemon = errors.New("no daemon of it answers on this node")
	// errNoAnswer says that a daemon ended while it was asked.
	errNoAnswer = errors.New("the daemon ended without an answer")
)

// Ask sends r to the first daemon of job id on this node that answers. All requests can be repeated,
// so one that failed half-way may be sent to the next daemon.
func Ask(ctx context.Context, bases []string, id string, r Request) (*Response, error) {
	failed := errNoDaemon
	for _, dir := range controlDirs(bases, id) {
		sockets := filesIn(dir, ".sock")
		for _, socket := range sockets {
			// A daemon that hangs shows it here, before it is given the time that r may take.
			resp, err := dial(ctx, socket, NewRequest(OpHello))
			if err == nil && r.Op != OpHello {
				resp, err = dial(ctx, socket, r)
			}
			if err == nil {
				return resp, nil
			}
			if !errors.Is(err, syscall.ECONNREFUSED) { // that one was killed; others may live
				failed = fmt.Errorf("%s: %w", socket, err)
			}
		}
	}
	return nil, failed
}

func dial(ctx context.Context, socket string, r Request) (*Response, error) {
	conn, err := (&net.Dialer{Timeout: requestBound}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return exchange(ctx, conn.(*net.UnixConn), r)
}

// exchange sends one request and reads its response, within the bound of what it asks for.
func exchange(ctx context.Context, conn *net.UnixConn, r Request) (*Response, error) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	bound := requestBound
	switch r.Op {
	case OpStatus, OpHold, OpClear, OpWarm:
		bound = gatherBound + responseBound
	case OpStop:
		bound = stopGatherBound + responseBound
	}
	_ = conn.SetDeadline(time.Now().Add(bound))
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	if err := conn.CloseWrite(); err != nil {
		return nil, err
	}
	b, err = io.ReadAll(io.LimitReader(conn, maxResponse+1))
	if errors.Is(err, syscall.ECONNRESET) || err == nil && len(b) == 0 {
		return nil, errNoAnswer
	}
	if err != nil {
		return nil, err
	}
	if len(b) > maxResponse {
		return nil, fmt.Errorf("answer of more than %d bytes", maxResponse)
	}
	var resp Response
	if err := json.Unmarshal(b, &resp); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	if resp.Version != controlVersion {
		return nil, fmt.Errorf("answer of version %d, want %d: client and daemon are different versions of copper", resp.Version, controlVersion)
	}
	return &resp, nil
}
