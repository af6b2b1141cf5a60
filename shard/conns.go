package shard

import (
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// pauses says why a connection is not read from. It is read again when none is left.
type pauses uint8

const (
	pausedSession  pauses = 1 << iota // by its own wish
	pausedRing                        // a message of it waits for room towards another shard
	pausedPressure                    // it appended while the store had too much pending, or anything while too much waits
)

// conn is one connection of this shard.
type conn struct {
	id       core.ConnID
	session  session.Session
	deadline deadline
	waits    waitList // of ours that are out
	parked   int      // messages in the parked lists of links
	paused   pauses
}

// conns is the table of connections by slot.
type conns struct {
	slots []*conn
	count int
}

// get returns the connection, or nil if it is closed.
func (t *conns) get(id core.ConnID) *conn {
	slot := int(id.Slot())
	if slot >= len(t.slots) || t.slots[slot] == nil || t.slots[slot].id != id {
		return nil
	}
	return t.slots[slot]
}

func (t *conns) add(c *conn) {
	slot := int(c.id.Slot())
	for slot >= len(t.slots) {
		t.slots = append(t.slots, nil)
	}
	core.Assert(t.slots[slot] == nil, "two connections share a slot")
	t.slots[slot] = c
	t.count++
}

func (t *conns) remove(c *conn) {
	t.slots[c.id.Slot()] = nil
	t.count--
}

// pause sets or clears one reason, and tells the loop if that makes a difference.
func (s *Shard) pause(c *conn, why pauses, on bool) {
	was := c.paused
	if on {
		c.paused |= why
	} else {
		c.paused &^= why
	}
	if (was != 0) != (c.paused != 0) {
		s.cfg.Loop.Pause(c.id, c.paused != 0)
	}
}

// waitList is the waits of one connection that have not been answered, in the order
// in which they were asked. It uses the links of the asker, which the owner of the
// partition never touches.
type waitList struct{ head, tail *message }

func (l *waitList) push(m *message) {
	m.asked = links{prev: l.tail}
	if l.tail == nil {
		l.head = m
	} else {
		l.tail.asked.next = m
	}
	l.tail = m
}

func (l *waitList) remove(m *message) {
	if m.asked.prev == nil {
		l.head = m.asked.next
	} else {
		m.asked.prev.asked.next = m.asked.next
	}
	if m.asked.next == nil {
		l.tail = m.asked.prev
	} else {
		m.asked.next.asked.prev = m.asked.prev
	}
	m.asked = links{}
}

// find returns the wait with this ticket, or nil. Sessions take waits back in the order
// of asking, so it is mostly the first.
func (l *waitList) find(t session.Ticket) *message {
	for m := l.head; m != nil; m = m.asked.next {
		if m.ticket == t && !m.recalls {
			return m
		}
	}
	return nil
}
