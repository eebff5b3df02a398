package fabric

import (
	"bytes"
	"errors"
)

var (
	errLost   = errors.New("messages were lost or came twice")
	errGreedy = errors.New("more has come than was allowed")
)

// maxEarly is how far a message may be before its turn: many more than a peer has packets to send.
const maxEarly = 4096

// early is the messages of a connection that have come before their turn.
type early struct {
	messages map[uint32]message // by their numbers
	bytes    int
}

type message struct {
	header header
	data   []byte
}

// add keeps a message that is so far before its turn, if all such messages have no more bytes than are allowed.
func (e *early) add(h header, data []byte, distance uint32, allowed int) error {
	if _, twice := e.messages[h.seq]; twice || distance > maxEarly { // one that was there already is very far
		return errLost
	}
	if e.bytes+len(data) > allowed {
		return errGreedy
	}
	if e.messages == nil {
		e.messages = make(map[uint32]message)
	}
	h.addr = nil // it was checked, and its memory is the arena's
	e.messages[h.seq] = message{h, bytes.Clone(data)}
	e.bytes += len(data)
	return nil
}

// take returns the message whose turn it is, if it has come.
func (e *early) take(seq uint32) (message, bool) {
	m, ok := e.messages[seq]
	delete(e.messages, seq)
	e.bytes -= len(m.data)
	return m, ok
}
