package shard

import (
	"slices"

	"github.com/penstock/penstock/core"
)

// When the store has too much pending, or no room in its arena, nobody is refused: the
// connections that appended are not read from, and what has come already waits, in
// order. A refusal would break the order of a producer that has sent more: its next
// batch might find room.

const (
	// crowdMax is how many bytes wait, here for the store or in parked lists for another
	// shard, until no connection is read from: what is over it is the step that passed it,
	// one frame, and the credits of the peers.
	crowdMax = 32 << 20
	// heldMax bounds the bytes that wait for the store. Only many peers at once can come
	// so far; beyond it appends are refused after all.
	heldMax = 128 << 20
)

// holding is what waits for the store.
type holding struct {
	held        list // appends, the oldest first
	heldBytes   int
	parkedBytes int           // of all links
	pressed     []core.ConnID // connections paused
}

// crowded says that too much waits to take in more.
func (s *Shard) crowded() bool { return s.heldBytes+s.parkedBytes > s.cfg.CrowdMax }

// press stops reading from a connection until there is room.
func (s *Shard) press(c *conn) {
	if c.paused&pausedPressure != 0 {
		return
	}
	s.stats.Pressed++
	if len(s.pressed) >= 2*s.conns.count { // most of them have gone
		s.pressed = slices.DeleteFunc(s.pressed, func(id core.ConnID) bool { return s.conns.get(id) == nil })
	}
	s.pressed = append(s.pressed, c.id)
	s.pause(c, pausedPressure, true)
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
	if len(s.pressed) == 0 || s.held.head != nil || s.crowded() || s.store.Pressure() {
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
