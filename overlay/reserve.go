package overlay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/copper-hpc/copper/overlay/iface"
	"golang.org/x/sys/unix"
)

// Place is an endpoint that stays this node's for as long as the place is held, whether somebody
// listens there or not. While nobody does, callers are refused at once, as they would be if the
// node did not exist, and ask others: they never wait in the queue of a process that is gone.
type Place struct {
	endpoint string
	fd       int // bound, and never listens; noSocket: nothing has to be held
}

const noSocket = -1

// socketSchemes are those whose addresses are TCP's.
var socketSchemes = []string{schemeTCP, "ofi+tcp", "ofi+net"}

// Reserve takes an endpoint for this node. One that a socket can hold may be as incomplete as [TCP.Listen]
// takes it; all others are held by whatever they belong to.
func Reserve(endpoint string) (*Place, error) {
	scheme, address, _ := strings.Cut(endpoint, "://")
	if !slices.Contains(socketSchemes, scheme) {
		return &Place{endpoint: endpoint, fd: noSocket}, nil
	}
	p, err := reserveTCP(schemeTCP + "://" + address)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", endpoint, err)
	}
	p.endpoint = scheme + strings.TrimPrefix(p.endpoint, schemeTCP)
	return p, nil
}

// reserveTCP takes the endpoint that [TCP.Listen] would listen at.
func reserveTCP(endpoint string) (*Place, error) {
	host, port, err := splitEndpoint(endpoint)
	if err == nil {
		host, err = iface.Address(host)
	}
	var addr *net.TCPAddr
	if err == nil {
		addr, err = net.ResolveTCPAddr("tcp", net.JoinHostPort(host, port))
	}
	if err != nil {
		return nil, err
	}
	fd, err := bind(addr)
	if err != nil {
		return nil, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("getsockname", err)
	}
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		addr.Port = b.Port
	case *unix.SockaddrInet6:
		addr.Port = b.Port
	}
	return &Place{endpoint: schemeTCP + "://" + addr.String(), fd: fd}, nil
}

// bind returns a socket that holds addr. SO_REUSEADDR, which Go's listeners and libfabric's set too, lets
// one socket listen where others are merely bound; two can't listen.
func bind(addr *net.TCPAddr) (int, error) {
	family := unix.AF_INET6
	var sockaddr unix.Sockaddr
	if ip := addr.IP.To4(); ip != nil {
		family, sockaddr = unix.AF_INET, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(ip)}
	} else {
		six := &unix.SockaddrInet6{Port: addr.Port, Addr: [16]byte(addr.IP.To16())}
		if zone, err := net.InterfaceByName(addr.Zone); err == nil {
			six.ZoneId = uint32(zone.Index)
		}
		sockaddr = six
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, sockaddr))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Endpoint is what others dial.
func (p *Place) Endpoint() string { return p.endpoint }

// TCP tells whether another process can make the listening socket for the one that serves there. At all other
// places that one listens itself.
func (p *Place) TCP() bool { return strings.HasPrefix(p.endpoint, schemeTCP+"://") }

// Listen makes a listening socket at the place, for another process to take over by [Adopt].
func (p *Place) Listen() (*os.File, error) {
	ln, err := TCP{}.Listen(p.endpoint)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	own, ok := ln.(tcpListener).Listener.(*net.TCPListener)
	if !ok {
		return nil, errors.New("not a TCP listener")
	}
	return own.File()
}

// Close gives the place up.
func (p *Place) Close() error {
	if p.fd == noSocket {
		return nil
	}
	return unix.Close(p.fd)
}

// Places are a node's places, one for each of its network interfaces that the job uses. The trees
// are spread over them.
type Places []*Place

// ReserveAll takes all of some endpoints, or none.
func ReserveAll(endpoints []string) (Places, error) {
	var all Places
	for _, endpoint := range endpoints {
		p, err := Reserve(endpoint)
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all = append(all, p)
	}
	return all, nil
}

// Endpoints are what others dial.
func (ps Places) Endpoints() []string {
	endpoints := make([]string, len(ps))
	for i, p := range ps {
		endpoints[i] = p.Endpoint()
	}
	return endpoints
}

// Keep gives up all but the places of one scheme: a node may have to say where it can listen before it knows
// where the others do.
func (ps Places) Keep(scheme string) (Places, error) {
	var kept Places
	var errs []error
	for _, p := range ps {
		if strings.HasPrefix(p.endpoint, scheme+"://") {
			kept = append(kept, p)
			continue
		}
		errs = append(errs, p.Close())
	}
	return kept, errors.Join(errs...)
}

// Listen makes a listening socket at each place over TCP, for another process to take over by [Adopt].
func (ps Places) Listen() ([]*os.File, error) {
	var files []*os.File
	for _, p := range ps {
		if !p.TCP() {
			continue
		}
		f, err := p.Listen()
		if err != nil {
			for _, f := range files {
				_ = f.Close()
			}
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// Close gives the places up.
func (ps Places) Close() error {
	var errs []error
	for _, p := range ps {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Adopt listens on sockets that [Places.Listen] made, maybe in another process. It takes the files
// over.
func Adopt(files []*os.File) ([]net.Listener, error) {
	var all []net.Listener
	var errs []error
	for _, f := range files {
		ln, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			errs = append(errs, fmt.Errorf("take a listening socket over: %w", err))
			continue
		}
		all = append(all, tcpListener{ln})
	}
	return all, errors.Join(errs...)
}
