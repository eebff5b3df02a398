package overlay

import (
	"fmt"
	"time"
)

// missedPings is the number of ping intervals without a sign of life after which a peer that is waited
// for has failed.
const missedPings = 3

// beat is how often a link is looked at on which somebody waits, and pinged. A peer from which nothing
// comes for one beat after a ping is slow.
func (t Timing) beat() time.Duration { return t.Ping / 4 }

// watch sees to it that a dead peer is noticed while somebody waits for it on a link, and a slow
// one, and ends a link that is of no use. It returns when the link breaks.
//
// What it goes by is what comes from the peer, not when the peer answers: one whose pings come back
// may be waiting for the PFS itself.
func (p *peer) watch(a *asker) {
	o, timing := p.overlay, a.timing
	ticker := time.NewTicker(timing.Ping)
	defer ticker.Stop()
	heard := time.Now() // last
	used, received, replied := heard, a.received.Load(), int64(0)
	waited, pinged, looked := false, false, false // at the last tick; looked since heard
	for {
		select {
		case <-ticker.C:
		case <-a.broken:
			return
		}
		now := time.Now()
		silent := true
		if n := a.received.Load(); n != received {
			received, heard, used = n, now, now
			if at := a.replied.Load(); at != replied {
				replied = at
				if !waited { // it may be long since this was last looked at
					heard = a.born.Add(time.Duration(at))
				}
			}
			silent, looked = false, false
			p.hear(heard)
		}
		oldest := a.remind(now, o.pace.late)
		waits := len(a.places) > 0
		if waits != waited {
			waited = waits
			ticker.Reset(timing.between(waits))
		}
		if !waits {
			if pinged = false; now.Sub(used) >= timing.Idle && a.retire() {
				return
			}
			continue
		}
		used = now
		if a.channel == control && a.out.busy() {
			heard = now // pings wait behind what is being written, which has a bound of its own
		}
		since := heard
		if oldest.After(since) {
			since = oldest // nobody listened before
		}
		switch silence := now.Sub(since); {
		case silence >= missedPings*timing.Ping:
			err := fmt.Errorf("%w for %s", errSilent, silence.Round(time.Millisecond))
			p.fall(since, err)
			a.fail(err) // if only this way to it is broken
			return
		case silence >= timing.Ping && !looked:
			looked = true
			o.lookAround(a.tree, a.channel)
		}
		if silent && pinged {
			p.slowed("it has not answered a ping in " + timing.beat().String())
		}
		a.out.post(a.header(kindPing, 0, statusOK, 0))
		pinged = true
	}
}

// between is the time between two looks at a link.
func (t Timing) between(waits bool) time.Duration {
	if waits {
		return t.beat()
	}
	return t.Ping
}
