package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Sizes of a stat's question and answer on Copper's wire, in bytes, for the opponents to carry.
const (
	askSize    = 24 + 60
	answerSize = 24 + 104
)

// rawCodec lets grpc carry bytes as they are: what it costs beside encoding.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (rawCodec) Name() string                       { return "raw" }

type grpcPair struct {
	server *grpc.Server
	conn   *grpc.ClientConn
	ask    []byte
}

func newGRPC() (*grpcPair, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	out := make([]byte, answerSize)
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Stat",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var in []byte
				if err := decode(&in); err != nil {
					return nil, err
				}
				return &out, nil
			},
		}},
	}, nil)
	go func() { _ = server.Serve(ln) }()
	conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	return &grpcPair{server: server, conn: conn, ask: make([]byte, askSize)}, err
}

func (g *grpcPair) call() error {
	var answer []byte
	return g.conn.Invoke(context.Background(), "/bench/Stat", &g.ask, &answer)
}

func (g *grpcPair) close() {
	_ = g.conn.Close()
	g.server.Stop()
}

// iperf3 is the rate of one iperf3 stream over loopback with cubic, in bytes a second.
func iperf3(ctx context.Context) (float64, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	server := exec.CommandContext(ctx, "iperf3", "-s", "-1", "--forceflush", "-B", "127.0.0.1", "-p", strconv.Itoa(port))
	out, err := server.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := server.Start(); err != nil {
		return 0, fmt.Errorf("iperf3 (Debian: apt-get install iperf3): %w", err)
	}
	defer func() { _ = server.Wait() }()
	for seen := ""; !strings.Contains(seen, "listening"); {
		buf := make([]byte, 512)
		n, err := out.Read(buf)
		if err != nil {
			return 0, fmt.Errorf("iperf3's server: %w", err)
		}
		seen += string(buf[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	text, err := exec.CommandContext(ctx, "iperf3", "-c", "127.0.0.1", "-p", strconv.Itoa(port), "-C", "cubic", "-t", "1", "-J").Output()
	if err != nil {
		return 0, fmt.Errorf("iperf3: %w", err)
	}
	var result struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return 0, err
	}
	return result.End.Received.Bits / 8, nil
}
