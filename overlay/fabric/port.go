//go:build cgo && libfabric

package fabric

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// load loads libfabric, once, and for good: nothing unloads it.
var load = sync.OnceValues(func() (Info, error) {
	library := os.Getenv("COPPER_LIBFABRIC")
	if library == "" {
		library = "libfabric.so.1"
	}
	name := C.CString(library)
	defer C.free(unsafe.Pointer(name))
	var path, why [512]C.char
	if C.shim_load(name, &path[0], C.size_t(len(path)), &why[0], C.size_t(len(why))) != 0 {
		return Info{}, fmt.Errorf("%w: %s", ErrAbsent, C.GoString(&why[0]))
	}
	version := uint32(C.shim_version())
	return Info{
		Version: fmt.Sprintf("%d.%d", version>>16, version&0xffff),
		Path:    C.GoString(&path[0]),
	}, nil
})

// libraryError is what a call of libfabric returned, in its own words.
type libraryError struct {
	call  string
	errno syscall.Errno
	words string
}

func (e *libraryError) Error() string { return e.call + ": " + e.words }

// libraryErrno is the first of libfabric's own error numbers, which the system doesn't know.
const libraryErrno = 256

func (e *libraryError) Unwrap() error {
	if e.errno >= libraryErrno {
		return nil
	}
	return e.errno
}

// failure is the error for what the shim returned, or nil.
func failure(call string, ret C.int) error {
	if ret == 0 {
		return nil
	}
	number := syscall.Errno(max(ret, -ret))
	return &libraryError{call: call, errno: number, words: C.GoString(C.shim_strerror(C.int(number)))}
}

// cstring is nil for the empty string. What it returns is freed by free.
func cstring(s string) *C.char {
	if s == "" {
		return nil
	}
	return C.CString(s)
}

func free(all ...*C.char) {
	for _, s := range all {
		C.free(unsafe.Pointer(s))
	}
}

// devices are what a provider finds on this host, with their addresses as libfabric has them.
func devices(provider string) ([]rawDevice, error) {
	if _, err := load(); err != nil {
		return nil, err
	}
	var found [128]C.struct_shim_device
	name := cstring(provider)
	defer free(name)
	n := C.shim_devices(name, &found[0], C.int(len(found)))
	if n < 0 {
		return nil, failure("fi_getinfo", n)
	}
	all := make([]rawDevice, n)
	for i := range all {
		d := &found[i]
		all[i] = rawDevice{
			Device: Device{
				Provider: C.GoString(&d.provider[0]), Domain: C.GoString(&d.domain[0]), Fabric: C.GoString(&d.fabric[0]),
				Speed: uint64(d.speed),
			},
			address: C.GoBytes(unsafe.Pointer(&d.address[0]), C.int(d.address_len)),
		}
		switch d.link {
		case 1:
			all[i].Link = "up"
		case 0:
			all[i].Link = "down"
		}
	}
	return all, nil
}

// port is an open endpoint (fi_ep). Its methods may be called at the same time, but for poll, which
// only one goroutine calls, and close, after which none is.
type port struct {
	c       *C.struct_shim_port
	limits  limits
	address []byte // its own
	offsets *C.uint64_t
	events  [C.SHIM_EVENTS]C.struct_shim_event
}

// openPort opens an endpoint. It sends and receives nothing until it is enabled.
func openPort(at site) (*port, error) {
	if _, err := load(); err != nil {
		return nil, err
	}
	provider, domain, node, service := cstring(at.provider), cstring(at.domain), cstring(at.node), cstring(at.service)
	defer free(provider, domain, node, service)
	p := &port{}
	var can C.struct_shim_limits
	var what *C.char
	if ret := C.shim_open(provider, domain, node, service, &p.c, &can, &what); ret != 0 {
		return nil, failure(C.GoString(what), ret)
	}
	p.limits = limits{receives: int(can.receives), deaf: can.deaf != 0}
	return p, nil
}

// enable makes a port ready, with its messages in an arena. It needs the port closed when it fails.
func (p *port) enable(a *arena) error {
	p.offsets = (*C.uint64_t)(C.calloc(C.size_t(len(a.offsets)), C.size_t(unsafe.Sizeof(C.uint64_t(0)))))
	copy(unsafe.Slice((*uint64)(p.offsets), len(a.offsets)), a.offsets)
	memory := C.struct_shim_arena{
		base: unsafe.Pointer(unsafe.SliceData(a.memory)), size: C.size_t(len(a.memory)),
		offset: p.offsets, places: C.uint32_t(len(a.offsets)),
	}
	var address [C.SHIM_ADDRESS]C.uint8_t
	size := C.size_t(len(address))
	var what *C.char
	if ret := C.shim_enable(p.c, &memory, &address[0], &size, &what); ret != 0 {
		return failure(C.GoString(what), ret)
	}
	p.address = C.GoBytes(unsafe.Pointer(&address[0]), C.int(size))
	return nil
}

func (p *port) close() {
	C.shim_close(p.c)
	C.free(unsafe.Pointer(p.offsets))
}

// insert makes an address known to the port, and remove forgets it.
func (p *port) insert(address []byte) (peer uint64, err error) {
	var handle C.uint64_t
	ret := C.shim_insert(p.c, (*C.uint8_t)(unsafe.SliceData(address)), &handle)
	return uint64(handle), failure("fi_av_insert", ret)
}

func (p *port) remove(peer uint64) { C.shim_remove(p.c, C.uint64_t(peer)) }

// send begins to send the first n bytes at a place, and tells whether the provider takes them at the moment.
func (p *port) send(place uint32, n int, peer, tag uint64) (taken bool, err error) {
	ret := C.shim_send(p.c, C.uint32_t(place), C.size_t(n), C.uint64_t(peer), C.uint64_t(tag))
	if ret == -C.int(syscall.EAGAIN) {
		return false, nil
	}
	return ret == 0, failure("fi_tsend", ret)
}

// poll posts receives at some places and waits for completions, up to timeout ms. It returns those places
// that were not posted, to be posted later.
func (p *port) poll(post []uint32, timeout int, into []event) ([]uint32, []event, error) {
	posted := C.uint32_t(len(post))
	n := C.shim_poll(p.c, (*C.uint32_t)(unsafe.SliceData(post)), &posted, messageSize, C.int(timeout), &p.events[0])
	post = append(post[:0], post[posted:]...)
	if n < 0 {
		return post, nil, failure("fi_cq_sread", n)
	}
	into = into[:0]
	for _, e := range p.events[:n] {
		ev := event{place: uint32(e.place), length: int(e.length), tag: uint64(e.tag)}
		ev.err = failure("a message", e.error)
		into = append(into, ev)
	}
	return post, into, nil
}

// wake ends a poll that waits, where the provider can.
func (p *port) wake() { C.shim_wake(p.c) }
