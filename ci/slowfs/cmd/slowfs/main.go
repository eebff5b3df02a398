// Command slowfs runs a simulated parallel file system, see package slowfs: it mounts, prints
// "ready", obeys its control socket, and unmounts on SIGTERM or SIGINT.
//
// It exits with 0 after a signal, 1 when it failed, 2 when its command line is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/copper-hpc/copper/ci/slowfs"
)

type flags struct {
	Backing      string        `required:"" placeholder:"DIR" help:"Directory whose contents every mount shows."`
	Mount        []string      `required:"" placeholder:"DIR" sep:"none" help:"Mount point of one simulated node; repeat it for more."`
	MetadataRate float64       `placeholder:"N" help:"Metadata operations per second that all mounts share; 0: unlimited."`
	Bandwidth    float64       `placeholder:"N" help:"Bytes per second that all mounts share; 0: unlimited."`
	Latency      time.Duration `default:"0s" help:"Added to every operation."`
	Cache        time.Duration `default:"1h" help:"How long a mount's kernel keeps what it learnt; 0s: not at all."`
	Negative     time.Duration `default:"0s" help:"How long a mount's kernel remembers that a name does not exist."`
	AllowOther   bool          `help:"Let other users into the mounts."`
	Control      string        `required:"" placeholder:"SOCKET" help:"Unix socket of the HTTP control: GET /counts[?paths=1], POST /reset, POST /fault, DELETE /fault, POST /changed?path=P."`
}

func (f flags) options(log *slog.Logger) slowfs.Options {
	cache := f.Cache
	if cache == 0 {
		cache = -1
	}
	return slowfs.Options{
		Backing:          f.Backing,
		Mounts:           f.Mount,
		MetadataRate:     f.MetadataRate,
		Bandwidth:        f.Bandwidth,
		Latency:          f.Latency,
		CacheLifetime:    cache,
		NegativeLifetime: f.Negative,
		AllowOther:       f.AllowOther,
		Log:              log,
	}
}

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, stop))
}

// run is main with everything that it touches as an argument; it returns the exit status.
func run(args []string, stdout, stderr io.Writer, stop <-chan os.Signal) int {
	fail := func(code int, err error) int {
		_, _ = fmt.Fprintln(stderr, "slowfs:", err)
		return code
	}

	var f flags
	var helped bool
	parser, err := kong.New(&f, kong.Name("slowfs"), kong.Writers(stdout, stderr),
		kong.Description("A simulated parallel file system: counts, throttles, fails on demand."),
		kong.Exit(func(int) { helped = true }))
	if err != nil {
		return fail(1, err)
	}
	_, err = parser.Parse(args)
	if helped {
		return 0
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	options := f.options(log)
	if err == nil {
		err = options.Validate()
	}
	if err != nil {
		return fail(2, err)
	}

	listener, err := listen(f.Control)
	if err != nil {
		return fail(2, err)
	}
	defer func() { _ = listener.Close() }()

	server, err := slowfs.Start(options)
	if err != nil {
		return fail(1, err)
	}
	control := &http.Server{Handler: server.Control(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- control.Serve(listener) }()

	_, err = fmt.Fprintln(stdout, "ready")
	if err == nil {
		select {
		case <-stop:
		case err = <-served:
		}
	}
	err = errors.Join(err, server.Close(), control.Close())
	if err != nil {
		return fail(1, err)
	}
	return 0
}

// listen opens the control socket for this user alone. It replaces a socket that a killed server
// left behind, never one that answers.
func listen(path string) (net.Listener, error) {
	listener, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		info, statErr := os.Lstat(path)
		if statErr == nil && info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("control socket %q: there is something else", path)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, dialErr := new(net.Dialer).DialContext(ctx, "unix", path)
		if dialErr == nil {
			_ = conn.Close()
		}
		if !errors.Is(dialErr, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("control socket %q: in use", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
		listener, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return listener, nil
}
