package netio

import (
	"slices"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

const (
	readTurnMax = 1 << 20 // bytes that one connection reads into its frame per event
)

// traffic takes what gnet has read of a connection. The usual case, whole frames and
// nothing kept, hands gnet's buffer to the handler as it is.
func (l *Loop) traffic(c *conn, p []byte) gnet.Action {
	l.stats.BytesIn += int64(len(p))
	c.bytesIn += int64(len(p))
	if c.phase != open {
		l.deafen(c, true) // what a leaving connection still says is of no interest
		return gnet.None
	}
	full := len(p) >= l.cfg.ReadBuffer
	for len(p) > 0 && c.phase == open {
		if c.in == nil && c.receiving() {
			p = p[l.offer(c, p):]
			if len(p) == 0 || c.phase != open {
				break
			}
		}
		p = p[l.keep(c, p):]
		if c.receiving() && len(c.in)-c.head >= c.need {
			l.offerKept(c)
		}
	}
	closed := false
	if full && c.in != nil {
		closed = l.readFrame(c)
	}
	l.mindReading(c)
	if closed {
		return gnet.Close
	}
	return gnet.None
}

// offer calls Receive until that makes no progress, and returns how many bytes of p were
// used.
func (l *Loop) offer(c *conn, p []byte) (total int) {
	for total < len(p) && c.receiving() {
		l.turn()
		used, need, err := l.h.Receive(c.id, p[total:])
		core.Assert(used >= 0 && used <= len(p)-total && need >= 0, "a handler used bytes that it did not have")
		total += used
		c.need = need
		if err == nil && need > l.cfg.FrameMax {
			err = ErrFrameTooLarge
		}
		if err != nil {
			l.leave(c, err)
			return len(p)
		}
		if used == 0 || need > len(p)-total {
			break
		}
	}
	if total == len(p) {
		c.need = 0
	}
	return total
}

// offerKept offers what is kept.
func (l *Loop) offerKept(c *conn) {
	c.head += l.offer(c, c.in[c.head:])
	if c.head == len(c.in) {
		l.dropInput(c)
	}
}

// keep copies the beginning of p behind what is kept, up to the end of the frame that is
// waited for, and returns how much that is. It is never nothing.
func (l *Loop) keep(c *conn, p []byte) int {
	n := len(p)
	if missing := c.need - (len(c.in) - c.head); missing > 0 {
		n = min(n, missing)
		l.claim(c)
	}
	l.makeRoom(c, n)
	c.in = append(c.in, p[:n]...)
	return n
}

// claim sets room aside for the frame that c waits for. Without room its reading stops
// until others have finished theirs. Small frames are not asked: what they take is
// bounded by InMax and the number of connections.
func (l *Loop) claim(c *conn) {
	if c.need <= l.cfg.InMax {
		return
	}
	c.heardAt = core.Mono()
	switch {
	case c.need <= c.charge || c.waits:
	case l.fits(c) && len(l.waiting) == 0:
		l.give(c)
	default:
		c.waits = true
		l.waiting = append(l.waiting, c)
		l.sweepSoon(c.heardAt + l.cfg.Stalled)
	}
}

// fits says whether there is room for the frame that c waits for. The only large frame
// always fits: on a machine with little memory for each of many loops HeldMax may be less
// than the largest frame, and what small frames and those that wait keep would else hold
// it back for ever.
func (l *Loop) fits(c *conn) bool {
	others := l.large
	if c.large {
		others--
	}
	return others == 0 || l.held+c.need-c.charge <= l.cfg.HeldMax
}

// give sets room aside.
func (l *Loop) give(c *conn) {
	if !c.large {
		c.large = true
		l.large++
	}
	l.setCharge(c, max(c.charge, c.need))
}

// makeRoom makes sure that n bytes fit behind what is kept. A frame gets all of its room
// at once; large ones get memory that is resident only where it has been written, so four
// bytes that promise 100 MiB cost nothing (see pool).
func (l *Loop) makeRoom(c *conn, n int) {
	if len(c.in)+n <= cap(c.in) {
		return
	}
	kept := c.in[c.head:]
	room := len(kept) + n
	if !c.waits {
		room = max(room, c.need)
	}
	into := c.in
	if room > cap(c.in) {
		into = l.bufs.get(room)
	}
	into = into[:copy(into[:cap(into)], kept)]
	if c.in != nil && cap(into) != cap(c.in) {
		l.bufs.put(c.in)
	}
	c.in, c.head = into, 0
	l.setCharge(c, max(c.charge, cap(into)))
}

// readFrame reads the rest of an unfinished frame straight into its place. It says
// whether the connection has ended.
func (l *Loop) readFrame(c *conn) (closed bool) {
	for budget := readTurnMax; budget > 0 && c.receiving(); {
		missing := c.need - (len(c.in) - c.head)
		if missing <= 0 || c.in == nil {
			return false
		}
		l.claim(c)
		if c.waits {
			return false
		}
		l.makeRoom(c, 1)
		asked := min(missing, cap(c.in)-len(c.in))
		n, err := unix.Read(c.fd, c.in[len(c.in):len(c.in)+asked])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil:
			c.err = err
			return true
		case n == 0:
			return true
		}
		c.in = c.in[:len(c.in)+n]
		l.stats.BytesIn += int64(n)
		c.bytesIn += int64(n)
		budget -= n
		if n == missing {
			l.offerKept(c)
		} else if n < asked {
			return false
		}
	}
	return false
}

// resume follows the end of a pause.
func (l *Loop) resume(c *conn) {
	if kept := len(c.in) - c.head; c.receiving() && kept > 0 && kept >= c.need {
		l.offerKept(c)
	}
	l.mindReading(c)
}

// mindReading sets whether gnet reads the connection: not while it waits for room for a
// frame, and not while it is stopped and InMax is kept of it, or too much of all.
func (l *Loop) mindReading(c *conn) {
	kept := len(c.in) - c.head
	full := kept > 0 && (kept >= l.cfg.InMax || l.held > l.cfg.HeldMax)
	if c.receiving() && c.need == 0 && kept >= l.cfg.InMax {
		l.leave(c, ErrFrameTooLarge) // the handler uses nothing of it, and asks for no more
	}
	l.deafen(c, c.phase != open || c.waits || c.stop != 0 && full)
}

func (l *Loop) deafen(c *conn, on bool) {
	if c.deaf == on || c.half || c.phase == gone {
		return
	}
	c.deaf = on
	if on {
		l.stats.Pauses++
	}
	if err := l.bells.read(c, !on); err != nil {
		l.kill(c, err)
	}
}

// dropInput gives back what is kept of a connection, and the place it had.
func (l *Loop) dropInput(c *conn) {
	if c.in != nil {
		l.bufs.put(c.in)
	}
	c.in, c.head, c.need = nil, 0, 0
	l.setCharge(c, 0)
	if c.large {
		c.large = false
		l.large--
	}
	if c.waits {
		c.waits = false
		l.waiting = slices.DeleteFunc(l.waiting, func(w *conn) bool { return w == c })
	}
	l.grant()
}

func (l *Loop) setCharge(c *conn, n int) {
	l.held += n - c.charge
	c.charge = n
}

// grant gives room to the frames that wait for it, in order.
func (l *Loop) grant() {
	for len(l.waiting) > 0 {
		c := l.waiting[0]
		if !l.fits(c) {
			return
		}
		l.waiting = slices.Delete(l.waiting, 0, 1)
		c.waits = false
		l.give(c)
		l.soon(c, dueResume)
	}
}

// sweepFrames closes connections whose large frame does not grow while others wait for
// its room. Those that wait themselves are not to blame.
func (l *Loop) sweepFrames(now time.Duration) {
	for _, c := range l.conns {
		if c != nil && !c.waits && c.receiving() && c.need > l.cfg.InMax && now-c.heardAt >= l.cfg.Stalled {
			l.stats.Stalled++
			l.kill(c, ErrStalled)
		}
	}
}
