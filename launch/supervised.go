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
	// Beneath is the directory beneath the daemon's mount, whatever is mounted there.
	Beneath *os.File

	channel *os.File
	gone    chan struct{}
}

// UnderSupervision reads into charge what the supervisor told this process, which it started, and
// returns the listening sockets that it handed over too, if any.
func UnderSupervision(charge any) (*Supervised, []*os.File, error) {
	var beneath unix.Stat_t
	if _, err := unix.GetsockoptInt(channelFD, unix.SOL_SOCKET, unix.SO_TYPE); err != nil ||
		unix.Fstat(beneathFD, &beneath) != nil || beneath.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, nil, BadInput("a daemon is started by copper serve, and by nothing else")
	}
	unix.CloseOnExec(channelFD)                               // the helpers that the daemon starts must not keep them open
	if err := unix.SetNonblock(channelFD, true); err != nil { // so that the deadline below holds
		return nil, nil, fmt.Errorf("the supervisor's charge: %w", err)
	}
	unix.CloseOnExec(beneathFD)
	s := &Supervised{
		Beneath: os.NewFile(beneathFD, "directory beneath the mount"),
		channel: os.NewFile(channelFD, "channel to the supervisor"), gone: make(chan struct{}),
	}
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
	var listeners []*os.File
	for fd := listenerFD; ; fd++ {
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

// Beat tells the supervisor again and again that this daemon lives, as long as lives says so: if it
// does not return, or returns false for long, the supervisor starts another one. It must not wait
// for anything but this process itself. To be called once, after Report.
func (s *Supervised) Beat(every time.Duration, lives func() bool) {
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.gone:
				return
			}
			if lives() {
				_ = s.channel.SetWriteDeadline(time.Now().Add(every)) // a stopped supervisor does not read
				_, _ = s.channel.Write([]byte{'\n'})
			}
		}
	}()
}

// Gone is closed when the supervisor is gone, however it ended: nobody would end this daemon or take
// its mount away any more.
func (s *Supervised) Gone() <-chan struct{} { return s.gone }
