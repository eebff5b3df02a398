package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/copper-hpc/copper/overlay"
	"github.com/copper-hpc/copper/overlay/fabric"
	"github.com/copper-hpc/copper/store"
)

// network is something that connections can be made over.
type network struct {
	name      string
	endpoint  string // to listen at
	transport func() overlay.Transport
}

var tcp = network{"TCP", "tcp://127.0.0.1:0", func() overlay.Transport { return overlay.TCP{} }}

// fabrics are those over libfabric's providers, if it is there. They are TCP in the end.
func fabrics() ([]network, error) {
	if _, err := fabric.Library(); errors.Is(err, fabric.ErrNotBuilt) || errors.Is(err, fabric.ErrAbsent) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	transport := func() overlay.Transport { return fabric.New(slog.Default()) }
	return []network{
		{"libfabric tcp;ofi_rxm", "ofi+tcp://127.0.0.1:0", transport},
		{"libfabric net", "ofi+net://127.0.0.1:0", transport},
	}, nil
}

// bare is a connection over a network, and nothing else.
type bare struct {
	ln        net.Listener
	near, far net.Conn
	ask       []byte
	buf       []byte
}

// connect makes one whose far end does something with it.
func (n network) connect(serve func(net.Conn) error) (*bare, error) {
	ln, err := n.transport().Listen(n.endpoint)
	if err != nil {
		return nil, err
	}
	b := &bare{ln: ln, ask: make([]byte, askSize), buf: make([]byte, answerSize)}
	if b.near, err = n.transport().Dial(context.Background(), ln.Addr().String()); err != nil {
		return nil, err
	}
	if b.far, err = ln.Accept(); err != nil {
		return nil, err
	}
	go func() { _ = serve(b.far) }()
	return b, nil
}

func (b *bare) close() {
	_ = b.near.Close()
	_ = b.far.Close()
	_ = b.ln.Close()
}

// pingPong answers messages of a stat's size, with nothing done to them.
func (n network) pingPong() (*bare, error) {
	return n.connect(func(conn net.Conn) error {
		in, out := make([]byte, askSize), make([]byte, answerSize)
		for {
			if _, err := io.ReadFull(conn, in); err != nil {
				return err
			}
			if _, err := conn.Write(out); err != nil {
				return err
			}
		}
	})
}

func (b *bare) call() error {
	if _, err := b.near.Write(b.ask); err != nil {
		return err
	}
	_, err := io.ReadFull(b.near, b.buf)
	return err
}

// stream sends as much as can be for a while, and nothing else; bytes a second.
func (n network) stream(context.Context) (float64, error) {
	piece := make([]byte, 1<<20)
	b, err := n.connect(func(conn net.Conn) error {
		for {
			if _, err := conn.Write(piece); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return 0, err
	}
	defer b.close()
	buf, bytes := make([]byte, len(piece)), 0
	begin := time.Now()
	for time.Since(begin) < period {
		k, err := io.ReadFull(b.near, buf)
		if err != nil {
			return 0, err
		}
		bytes += k
	}
	return float64(bytes) / time.Since(begin).Seconds(), nil
}

// side is what is measured over a network, to be held against the same over TCP.
type side struct {
	network
	hop                          *chain
	wire                         *bare
	calls, stats, streams, bulks []float64
}

func newSide(n network) (*side, error) {
	hop, err := newChain(n, 1, make([]byte, bulkFile), store.Raw)
	if err != nil {
		return nil, err
	}
	wire, err := n.pingPong()
	return &side{network: n, hop: hop, wire: wire}, err
}

func (s *side) close() {
	s.hop.close()
	s.wire.close()
}
