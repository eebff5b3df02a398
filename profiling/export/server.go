package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	headerBound = 5 * time.Second
	askBound    = 10 * time.Second
	answerBound = 30 * time.Second
	idleBound   = 2 * time.Minute
	closeBound  = 500 * time.Millisecond
	maxHeader   = 16 << 10 // bytes
	maxClients  = 32       // connections at a time; others wait
)

// Address is the host and port that text means: PORT and :PORT are of the loopback interface, others are as they
// are.
func Address(text string) (string, error) {
	if !strings.Contains(text, ":") {
		text = ":" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "" && host != "localhost" && net.ParseIP(host) == nil {
		err = errors.New("it is no IP address")
	}
	if err != nil {
		return "", fmt.Errorf("%q: want a port, or ADDRESS:PORT such as 127.0.0.1:9464", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Server answers Prometheus.
type Server struct {
	http *http.Server
	done chan struct{}
}

// Serve answers at ln until Close.
func Serve(ln net.Listener, e *Exporter, log *slog.Logger) *Server {
	s := &Server{done: make(chan struct{}), http: &http.Server{Handler: e, ReadHeaderTimeout: headerBound, ReadTimeout: askBound,
		WriteTimeout: answerBound, IdleTimeout: idleBound, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}}
	limited := &limited{Listener: ln, slots: make(chan struct{}, maxClients), closed: make(chan struct{})}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("Prometheus can't be answered any more", "error", err)
		}
	}()
	return s
}

// Close ends what is being answered soon.
func (s *Server) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeBound)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	<-s.done
}

// limited accepts so many connections at a time.
type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slot{Conn: conn, leave: func() { <-l.slots }}, nil
}

func (l *limited) Close() error {
	close(l.closed) // net/http closes a listener once
	return l.Listener.Close()
}

type slot struct {
	net.Conn
	leave func()
	once  sync.Once
}

func (s *slot) Close() error {
	s.once.Do(s.leave)
	return s.Conn.Close()
}
