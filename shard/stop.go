package shard

import "github.com/penstock/penstock/core"

// stopping is how far a shutdown has come: refuse what is new, finish what is in
// flight, then shut the store down.
type stopping struct {
	on     bool
	closed bool // the store was told
	over   bool // the store is closed: what it did from here on a clean start would not see
	done   func(error)
}

// Stop begins the shutdown. It is called on the loop, once; done is called on the loop
// when everything is on disk. The loop must go on until every shard is done, since
// others may still ask this one.
func (s *Shard) Stop(done func(error)) {
	s.turn()
	s.stopping = stopping{on: true, done: done}
	for m := s.release(); m != nil; m = s.release() {
		s.refuse(m, core.ErrStopping)
	}
	s.each(func(p *partition) {
		for m := p.waits.pop(); m != nil; m = p.waits.pop() {
			s.refuse(m, core.ErrStopping)
		}
	})
	s.work()
	s.cfg.Loop.Ring() // a turn in which finish looks
}

// finish shuts the store down once nothing is in flight.
func (s *Shard) finish() {
	if !s.stopping.on || s.stopping.closed || s.pendings+s.looking+s.changing > 0 {
		return
	}
	for _, l := range s.links {
		if l != nil && (l.flying > 0 || l.parked.head != nil || l.answers.head != nil) {
			return
		}
	}
	s.stopping.closed = true
	s.store.Shutdown(func(err error) {
		s.stopping.over = true
		s.stopping.done(err)
	})
}
