package netio

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// phase is how far a connection is.
type phase uint8

// The phases, in order. A connection never goes back.
const (
	open    phase = iota
	leaving       // takes no input; closes when its output has been sent
	doomed        // closes at the end of the turn
	gone          // closed
)

// stops are the reasons why Receive is not called.
type stops uint8

const (
	stopHandler stops = 1 << iota // Pause
	stopOutput                    // more than OutMax is queued
)

// conn is one connection. Only the loop touches it.
type conn struct {
	id    core.ConnID
	gc    gnet.Conn
	fd    int
	from  netip.AddrPort
	local netip.AddrPort
	limit *Limit
	phase phase
	known bool // to the handler: it gets a Closed
	err   error
	due   due
	stop  stops
	deaf  bool // gnet does not read it
	half  bool // the peer has ended its side: gnet does not know it any more

	openedAt          time.Duration
	bytesIn, bytesOut int64

	// Input. in[head:] is read and not used; need of it must be there before Receive is
	// worth a call. charge is what it counts in Loop.held: the memory, or the promise to
	// a frame of need bytes.
	in      []byte
	head    int
	need    int
	charge  int
	waits   bool // in Loop.waiting
	large   bool // has room for a frame above InMax; in Loop.large
	heardAt time.Duration
	endedAt time.Duration // when it became half open

	// Output.
	q       *queue // nil when nothing is queued
	queued  int    // bytes
	dirty   bool   // in Loop.dirty
	watched bool   // in the nested epoll
	waiter  bool   // in Loop.blocked: the socket is full
	prev    *conn
	next    *conn
	movedAt time.Duration // since when the peer takes nothing; 0: it does
	unacked int           // bytes in the kernel's buffer then
}

// receiving says whether the handler may get input.
func (c *conn) receiving() bool { return c.phase == open && c.stop == 0 }

// opened makes a connection known. It says whether the handler wants it.
func (l *Loop) opened(gc gnet.Conn, in *incoming) bool {
	slot := uint32(len(l.conns))
	if n := len(l.free); n > 0 {
		slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.conns, l.gens = append(l.conns, nil), append(l.gens, 1)
	}
	c := &conn{id: core.MakeConnID(slot, l.gens[slot]), gc: gc, fd: gc.Fd(), from: in.remote, local: in.local, limit: in.limit, openedAt: core.Mono()}
	gc.SetContext(c)
	gc.SetSafeContext(nil) // nothing of the accept goroutine is needed any more
	l.conns[slot] = c
	l.open++
	l.stats.Accepted++
	if err := l.bells.read(c, true); err != nil {
		c.err = err
		return false
	}
	if l.cfg.Congestion != "" {
		if err := unix.SetsockoptString(c.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, l.cfg.Congestion); err != nil {
			l.failed("set the congestion control "+l.cfg.Congestion, err)
		}
	}
	l.turn()
	c.known = l.h.Open(core.ConnInfo{ID: c.id, Listener: in.listener, Local: in.local, Remote: in.remote})
	if !c.known {
		l.stats.Refused++
	}
	return c.known
}

// get returns the connection, or nil if it is gone or about to be.
func (l *Loop) get(id core.ConnID) *conn {
	slot := int(id.Slot())
	if slot >= len(l.conns) {
		return nil
	}
	if c := l.conns[slot]; c != nil && c.id == id && c.phase < doomed {
		return c
	}
	return nil
}

// closed forgets a connection that gnet is about to close.
func (l *Loop) closed(c *conn, err error) {
	core.Assert(c.phase != gone, "a connection was closed twice")
	c.phase = gone
	l.bells.unwatch(c)
	l.blocked.remove(c)
	l.dropInput(c)
	l.dropOutput(c)
	slot := c.id.Slot()
	l.conns[slot] = nil
	l.gens[slot] = max(1, l.gens[slot]+1) // 0 is the id of none
	l.free = append(l.free, slot)
	l.open--
	l.stats.Closed++
	c.limit.give()
	if c.err != nil {
		err = c.err
	}
	if c.known {
		l.turn()
		l.h.Closed(c.id, err)
	}
	l.report(c)
}

// report tells OnError why the loop or the handler closed a connection. That a peer is
// gone is no news.
func (l *Loop) report(c *conn) {
	if c.err == nil || c.err == ErrStopped {
		return
	}
	for _, e := range []error{unix.EPIPE, unix.ECONNRESET, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH} {
		if errors.Is(c.err, e) {
			return
		}
	}
	l.cfg.OnError(fmt.Errorf("connection from %s: %w", c.from, c.err))
}

// Pause implements core.Loop.
func (l *Loop) Pause(id core.ConnID, paused bool) {
	c := l.get(id)
	if c == nil || paused == (c.stop&stopHandler != 0) {
		return
	}
	if paused {
		c.stop |= stopHandler // reading goes on until InMax is there: most pauses are short
		return
	}
	c.stop &^= stopHandler
	if c.head < len(c.in) || c.deaf {
		l.soon(c, dueResume)
	}
}

// Close implements core.Loop.
func (l *Loop) Close(id core.ConnID, kill bool) {
	c := l.get(id)
	switch {
	case c == nil:
	case kill:
		l.kill(c, nil)
	default:
		l.leave(c, nil)
	}
}

// leave closes a connection after its output.
func (l *Loop) leave(c *conn, err error) {
	if c.err == nil {
		c.err = err // also if the handler has asked for the close already
	}
	if c.phase != open {
		return
	}
	c.phase = leaving
	if c.queued == 0 {
		l.kill(c, err)
	}
}

// kill closes a connection at the end of the turn.
func (l *Loop) kill(c *conn, err error) {
	if c.phase >= doomed {
		return
	}
	if c.err == nil {
		c.err = err
	}
	c.phase = doomed
	l.soon(c, dueClose)
}

// drainMax bounds what is read and dropped of a connection before it is closed.
const drainMax = 256 << 10

// shutDown closes. What the peer has already sent is read first: with unread bytes the
// kernel resets the connection, and the peer may lose the last answer.
func (l *Loop) shutDown(c *conn) {
	if c.half {
		fd := c.fd
		l.closed(c, nil)
		if err := unix.Close(fd); err != nil {
			l.failed("close a connection", err)
		}
		return
	}
	if c.queued == 0 {
		scratch := l.bufs.get(64 << 10)
		for left := drainMax; left > 0; {
			n, err := unix.Read(c.fd, scratch[:cap(scratch)])
			if n <= 0 || err != nil {
				break
			}
			left -= n
		}
		l.bufs.put(scratch)
	}
	if err := c.gc.EventLoop().Close(c.gc); err != nil { // OnClose comes from in there
		l.failed("close a connection", err)
	}
}

// stallBytes is what a peer has to take per Config.Stalled to count as alive.
const stallBytes = 16 << 10

// stallList holds the connections whose socket is full, the longest without movement
// first.
type stallList struct{ head, tail *conn }

// push puts c where its time belongs, which is nearly always the end.
func (s *stallList) push(c *conn, at time.Duration) {
	core.Assert(!c.waiter, "a connection waits twice")
	c.waiter, c.movedAt = true, at
	before := s.tail
	for before != nil && before.movedAt > at {
		before = before.prev
	}
	c.prev = before
	if before == nil {
		c.next, s.head = s.head, c
	} else {
		c.next, before.next = before.next, c
	}
	if c.next == nil {
		s.tail = c
	} else {
		c.next.prev = c
	}
}

func (s *stallList) remove(c *conn) {
	if !c.waiter {
		return
	}
	if c.prev == nil {
		s.head = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		s.tail = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.waiter, c.prev, c.next = false, nil, nil
}
