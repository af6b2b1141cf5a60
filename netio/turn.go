package netio

import (
	"slices"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

const readEvents = unix.EPOLLIN | unix.EPOLLPRI

// OnTraffic is called for every readable connection, and for the bell.
func (l *Loop) OnTraffic(gc gnet.Conn) gnet.Action {
	o, ok := gc.Context().(*open)
	if !ok {
		l.rang(gc)
		return gnet.None
	}
	l.n.endTurnWanted()
	p, err := gc.Next(-1) // borrowed from the loop's read buffer
	if err != nil || o.c.gone || o.c.doomed {
		return gnet.None
	}
	l.stats.BytesIn += int64(len(p))
	l.read(o.c, p)
	return gnet.None
}

// read takes what gnet has read. Bytes that a frame is waiting for are then read from
// the socket straight into the frame's own buffer.
func (l *Loop) read(c *conn, p []byte) {
	if len(c.in) == 0 && !c.paused && !c.over {
		used := l.offer(c, p)
		if used == len(p) || c.gone || c.doomed {
			return
		}
		p = p[used:]
	}
	c.in = append(c.in, p...)
	for turn := turnMax; len(c.in) < c.need && turn > 0; {
		c.grow()
		n, err := unix.Read(c.fd, c.in[len(c.in):min(c.need, cap(c.in))])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			break // empty, closed or broken: gnet will find out which
		}
		c.in = c.in[:len(c.in)+n]
		l.stats.BytesIn += int64(n)
		turn -= n
	}
	l.deliver(c)
}

// grow makes room for more of a frame: twice what has come, never more than the frame, so
// that a length that a peer only claims costs nothing.
func (c *conn) grow() {
	if len(c.in) == cap(c.in) {
		room := min(c.need, max(2*len(c.in), 256<<10))
		c.in = slices.Grow(c.in, room-len(c.in))
	}
}

// deliver offers what is kept of a connection, and stops its reading if too much stays.
func (l *Loop) deliver(c *conn) {
	if len(c.in) >= c.need && len(c.in) > 0 && !c.paused && !c.over {
		used := l.offer(c, c.in)
		if used == len(c.in) {
			c.in = c.in[:0]
			if cap(c.in) > l.cfg.InMax {
				c.in = nil
			}
		} else if used > 0 {
			c.in = c.in[:copy(c.in, c.in[used:])]
		}
	}
	l.mind(c)
}

// mind sets whether gnet reads the connection: not while more than InMax waits for a
// handler that has paused, or the output is over its bound.
func (l *Loop) mind(c *conn) {
	if c.gone || c.doomed {
		return
	}
	unread := c.over || c.paused && len(c.in) > l.cfg.InMax
	if unread == c.unread {
		return
	}
	c.unread = unread
	events := uint32(readEvents)
	if unread {
		events = 0
		l.stats.Pauses++
	}
	if err := l.n.interest(c.fd, events); err != nil {
		l.cfg.OnError(err)
		l.Close(c.id, true)
	}
}

// offer calls Receive until it makes no progress, and returns the bytes used.
func (l *Loop) offer(c *conn, p []byte) (total int) {
	for len(p) > 0 && !c.paused && !c.over && !c.closing {
		used, need, err := l.h.Receive(c.id, p)
		core.Assert(used >= 0 && used <= len(p), "a session used bytes that it did not have")
		total += used
		p = p[used:]
		c.need = need
		if err == nil && need > l.cfg.FrameMax {
			err = errTooLarge
		}
		if err != nil {
			l.cfg.OnError(err)
			l.Close(c.id, false)
			return total
		}
		if used == 0 || need > len(p) {
			break
		}
	}
	return total
}

// rang looks at the nested epoll. The bell's unread byte has been read by gnet and is
// put back.
func (l *Loop) rang(gc gnet.Conn) {
	n, err := gc.Discard(-1)
	core.Assert(err == nil && n > 0, "the bell of a loop rang without a byte")
	if _, err := unix.Write(l.n.bellPeer, []byte{1}); err != nil {
		core.Fail("the bell of a loop cannot be set again")
	}
	k, err := unix.EpollWait(l.n.ep, l.n.events, 0)
	if err != nil {
		return // interrupted: it is still readable
	}
	end := false
	for i := range k {
		switch token := tokenOf(&l.n.events[i]); token {
		case tokenTurn:
			end = true
		case tokenRing:
			l.n.take()
			l.runTasks()
			l.h.Wake()
			l.n.endTurnWanted()
		case tokenTimer:
			l.timerFired()
		default:
			l.writable(core.ConnID(token))
		}
	}
	if end {
		l.endTurn()
	}
}

func (l *Loop) runTasks() {
	l.mu.Lock()
	tasks := l.tasks
	l.tasks = nil
	l.mu.Unlock()
	for _, t := range tasks {
		t()
	}
}

func (l *Loop) timerFired() {
	var b [8]byte
	_, _ = unix.Read(l.n.timer, b[:])
	now := core.Mono()
	if l.checkAt > 0 && now >= l.checkAt {
		l.checkStalled()
	}
	if l.timerAt > 0 && now >= l.timerAt {
		l.timerAt = 0
		l.h.Wake()
		l.n.endTurnWanted()
	}
	l.setTimer()
}

// checkStalled closes peers that have taken nothing for too long: their pins must not
// live for ever.
func (l *Loop) checkStalled() {
	now, waiting := core.Mono(), false
	for _, c := range l.conns {
		if c == nil || !c.blocked {
			continue
		}
		if now-c.progress > l.cfg.Stalled {
			l.Close(c.id, true)
		} else {
			waiting = true
		}
	}
	l.checkAt = 0
	if waiting {
		l.checkAt = now + l.cfg.Stalled/4
	}
}

// writable follows EPOLLOUT of a blocked connection.
func (l *Loop) writable(id core.ConnID) {
	if c := l.lookup(id); c != nil {
		c.blocked = false
		l.wantFlush(c)
	}
}

// endTurn lets the handler gather what the turn brought, then sends and closes.
func (l *Loop) endTurn() {
	l.n.armed = false
	l.stats.Turns++
	for i := 0; i < len(l.resumes); i++ {
		if c := l.resumes[i]; !c.gone && !c.paused {
			l.deliver(c)
		}
	}
	l.resumes = l.resumes[:0]
	l.h.EndTurn()
	flushes := l.flushes
	l.flushes = nil
	for _, c := range flushes {
		c.listed = false
		if !c.gone && !c.killing {
			l.flush(c)
		}
	}
	if l.flushes == nil {
		clear(flushes)
		l.flushes = flushes[:0]
	}
	for len(l.closes) > 0 {
		c := l.closes[len(l.closes)-1]
		l.closes = l.closes[:len(l.closes)-1]
		if !c.gone {
			_ = c.gc.EventLoop().Close(c.gc) // OnClose follows, within
		}
	}
	s := l.stats
	if old := l.shown.Load(); s.Turns-old.Turns >= 1024 || s.Connections != old.Connections {
		l.shown.Store(&s)
	}
}

func (l *Loop) flush(c *conn) {
	before := c.q.size
	out := c.q.flush(c.fd, &l.iov, l.scratch)
	if c.q.size < before {
		c.progress = core.Mono()
		l.stats.BytesOut += int64(before - c.q.size)
	}
	switch out {
	case again:
		c.blocked = true
		l.stats.Blocked++
		if err := l.n.wantWrite(c); err != nil {
			l.cfg.OnError(err)
			l.Close(c.id, true)
		}
		if l.checkAt == 0 {
			l.checkAt = core.Mono() + l.cfg.Stalled/4
			l.setTimer()
		}
	case yielded:
		l.wantFlush(c)
	case broken:
		l.Close(c.id, true)
	case drained:
		if c.closing {
			l.doom(c)
		}
	}
	if c.over && c.q.size <= l.cfg.OutMax/2 {
		c.over = false
		l.h.Drained(c.id)
		l.resumes = append(l.resumes, c)
		l.n.endTurnWanted()
	}
}
