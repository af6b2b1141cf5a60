package netio

import (
	"time"

	"github.com/penstock/penstock/core"
)

// statsEvery is the age at which a snapshot is taken anew.
const statsEvery = 100 * time.Millisecond

// Stats are the counters of a loop at one moment.
type Stats struct {
	At          time.Duration // core.Mono
	Connections int64         // open now
	Accepted    int64
	Refused     int64 // by Handler.Open
	Closed      int64
	Turns       int64 // calls of EndTurn
	BytesIn     int64
	BytesOut    int64
	Queued      int64 // output that waits now, extents included
	Held        int64 // input that is kept or promised to unfinished frames now
	Writevs     int64
	Sendfiles   int64
	Blocked     int64 // sends that found the socket full
	Pauses      int64 // times that reading of a connection was stopped
	Stalled     int64 // connections closed because the peer did not move
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
	s := l.stats
	s.At = core.Mono()
	s.Connections, s.Held = int64(l.open), int64(l.held)
	l.shown.Store(&s)
}
