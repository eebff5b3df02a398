package launch

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Supervised is the daemon's end of the channel to its supervisor.
type Supervised struct {
	channel *os.File
	gone    chan struct{}
}

// UnderSupervision reads into charge what the supervisor told this process, which it started, and
// returns the listening sockets that it handed over too.
func UnderSupervision(charge any) (*Supervised, []*os.File, error) {
	for _, fd := range []int{channelFD, listenerFD} {
		if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
			return nil, nil, BadInput("a daemon is started by copper serve, and by nothing else")
		}
		unix.CloseOnExec(fd) // the helpers that the daemon starts must not keep them open
	}
	if err := unix.SetNonblock(channelFD, true); err != nil { // so that the deadline below holds
		return nil, nil, fmt.Errorf("the supervisor's charge: %w", err)
	}
	s := &Supervised{channel: os.NewFile(channelFD, "channel to the supervisor"), gone: make(chan struct{})}
	_ = s.channel.SetReadDeadline(time.Now().Add(chargeBound))
	if err := json.NewDecoder(s.channel).Decode(charge); err != nil {
		return nil, nil, fmt.Errorf("the supervisor's charge: %w", err)
	}
	_ = s.channel.SetReadDeadline(time.Time{})
	go func() {
		defer close(s.gone)
		// Nothing of interest is sent any more: what ends the reading is the supervisor's end.
		_, _ = io.Copy(io.Discard, s.channel)
	}()
	listeners := []*os.File{os.NewFile(listenerFD, "listening socket")}
	for fd := listenerFD + 1; ; fd++ {
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			return s, listeners, nil
		}
		unix.CloseOnExec(fd)
		listeners = append(listeners, os.NewFile(uintptr(fd), "listening socket"))
	}
}

// Report tells the supervisor that the mount answers, or why it won't. To be called once.
func (s *Supervised) Report(err error) error {
	var r report
	if err != nil {
		r = report{Error: err.Error(), BadInput: ExitCode(err) == ExitBadInput}
	}
	return json.NewEncoder(s.channel).Encode(r)
}

// Gone is closed when the supervisor is gone, however it ended: nobody would end this daemon or take
// its mount away any more.
func (s *Supervised) Gone() <-chan struct{} { return s.gone }
