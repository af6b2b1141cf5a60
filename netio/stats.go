package netio

import (
	"net/netip"
	"time"

	"github.com/penstock/penstock/core"
)

// statsEvery is the age at which a snapshot is taken anew.
const statsEvery = 100 * time.Millisecond

// nearBy is the longest time between two turns in which a loop does not count as waiting:
// the read that brings the first bytes of a turn comes before its first callback, and a
// sleep so short leaves the core no time for anything else.
const nearBy = 20 * time.Microsecond

// Stats are the counters of a loop at one moment. The names in JSON are part of what the
// admin port shows; times are nanoseconds.
type Stats struct {
	At          time.Duration `json:"at_ns"` // core.Mono
	Connections int64         `json:"connections"`
	Accepted    int64         `json:"accepted"`
	Refused     int64         `json:"refused"` // by Handler.Open
	Closed      int64         `json:"closed"`
	Turns       int64         `json:"turns"` // calls of EndTurn
	// Busy is the time in turns, from the first callback until the output has been handed
	// to the kernel, and between turns that are at most nearBy apart. It is the loop's own
	// view: what the core did meanwhile for others is in it, and the kernel's work for the
	// loop's sockets outside of its calls is not.
	Busy      time.Duration `json:"busy_ns"`
	BytesIn   int64         `json:"bytes_in"`
	BytesOut  int64         `json:"bytes_out"`
	Queued    int64         `json:"queued_bytes"` // output that waits now, extents included
	Held      int64         `json:"held_bytes"`   // input that is kept or promised to unfinished frames now
	Writevs   int64         `json:"writevs"`
	Sendfiles int64         `json:"sendfiles"`
	Blocked   int64         `json:"blocked"` // sends that found the socket full
	Pauses    int64         `json:"pauses"`  // times that reading of a connection was stopped
	Stalled   int64         `json:"stalled"` // connections closed because the peer did not move
}

// Stats is a snapshot that is at most a tenth of a second old, unless the loop is stuck.
// Any goroutine but the loop's own may call it.
func (l *Loop) Stats() Stats {
	s := l.shown.Load()
	if core.Mono()-s.At < statsEvery {
		return *s
	}
	done := make(chan struct{})
	if l.post(task{fn: l.publish, done: done}) {
		select {
		case <-done:
		case <-time.After(statsEvery):
		}
	}
	return *l.shown.Load()
}

// publish shows the counters to other goroutines.
func (l *Loop) publish() {
	s := l.StatsNow()
	l.shown.Store(&s)
}

// StatsNow are the counters of this moment, without the present turn's time. It is called
// on the loop (Do).
func (l *Loop) StatsNow() Stats {
	s := l.stats
	s.At = core.Mono()
	s.Connections, s.Held = int64(l.open), int64(l.held)
	return s
}

// ConnStats is one open connection.
type ConnStats struct {
	ID       core.ConnID
	Local    netip.AddrPort
	Remote   netip.AddrPort
	Opened   time.Duration // core.Mono
	BytesIn  int64
	BytesOut int64
}

// Connections appends the open connections to dst. It is called on the loop (Do).
func (l *Loop) Connections(dst []ConnStats) []ConnStats {
	for _, c := range l.conns {
		if c != nil && c.known {
			dst = append(dst, ConnStats{c.id, c.local, c.from, c.openedAt, c.bytesIn, c.bytesOut})
		}
	}
	return dst
}

// turnBegins takes the time of the first callback of a turn.
func (l *Loop) turnBegins() {
	if l.turnBegin != 0 {
		return // asked for within a turn, for what follows it
	}
	l.turnBegin = core.Mono()
	if l.turnBegin-l.turnEnd <= nearBy {
		l.turnBegin = l.turnEnd
	}
}

// turnEnds counts the turn as busy.
func (l *Loop) turnEnds(now time.Duration) {
	l.stats.Busy += now - l.turnBegin
	l.turnBegin, l.turnEnd = 0, now
	if l.armed {
		l.turnBegin = now
	}
}
