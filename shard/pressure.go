package shard

import "github.com/penstock/penstock/core"

// When the store has too much pending, or no room in its arena, nobody is refused: the
// connections that appended are not read from, and what has come already waits, in
// order. A refusal would break the order of a producer that has sent more: its next
// batch might find room.

// heldMax bounds the bytes that wait. It is more than the credits of a few peers, and
// one step of a few connections; beyond it appends are refused after all.
const heldMax = 64 << 20

// holding is what waits for the store.
type holding struct {
	held      list // appends, the oldest first
	heldBytes int
	pressed   []core.ConnID // connections paused
}

// hold lets an append wait behind the others.
func (s *Shard) hold(m *message) {
	if s.heldBytes+len(m.body) > heldMax {
		s.refuse(m, core.ErrBusy)
		return
	}
	s.own(m)
	s.stats.Held++
	s.heldBytes += len(m.body)
	s.held.push(m)
}

// holdAgain lets an append wait that the store had no room for: before all others, since
// it is the oldest.
func (s *Shard) holdAgain(m *message) bool {
	if s.heldBytes+len(m.body) > heldMax {
		return false
	}
	s.own(m)
	m.c.Base = 0
	s.heldBytes += len(m.body)
	s.held.pushFront(m)
	return true
}

// release takes the oldest append that waits, or returns nil.
func (s *Shard) release() *message {
	m := s.held.pop()
	if m != nil {
		s.heldBytes -= len(m.body)
	}
	return m
}

// relieve lets appends go on as far as there is room. It runs in every turn.
func (s *Shard) relieve() {
	for s.held.head != nil && !s.store.Pressure() {
		m := s.release()
		s.handleOn(m)
		if s.held.head == m {
			return // no room yet
		}
	}
	if len(s.pressed) == 0 || s.held.head != nil || s.store.Pressure() {
		return
	}
	for _, id := range s.pressed {
		if c := s.conns.get(id); c != nil {
			s.pause(c, pausedPressure, false)
		}
	}
	s.pressed = s.pressed[:0]
}

// Relieved implements segment.Host. It comes from Commit, too late for appends of this
// turn.
func (e storeEvents) Relieved() { e.s.cfg.Loop.Ring() }
