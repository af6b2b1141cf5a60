package netio

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

const (
	sendTurnMax = 1 << 20   // bytes that one connection sends per turn
	iovMax      = 64        // runs that one sendmsg takes
	memCopyMax  = 4 << 10   // memory extents up to this are copied: their pins are free at once
	fileCopyMax = 16 << 10  // file extents below this are read and leave with the bytes around them
	copiedMax   = 256 << 10 // of a connection with more queued nothing is copied that can be pinned
)

// fileCopyMax by BenchmarkSend (Xeon, 2 CPUs, loopback, CPU of the sender in us, read and
// one sendmsg against MSG_MORE and sendfile): 1 KiB 3.0 and 3.3, 4 KiB 3.3 and 3.2, 16 KiB
// 3.8 and 3.5, 32 KiB 5.0 and 3.9, 256 KiB 24 and 11. An answer of many small ranges pays
// two calls into the socket for each by sendfile, so the limit is above the crossing.

// Send implements core.Loop.
func (l *Loop) Send(id core.ConnID, p []byte) {
	c := l.get(id)
	if c == nil || len(p) == 0 || c.phase != open {
		return
	}
	n := len(p)
	if q := c.q; q != nil && len(q.runs) > q.head { // fill up the last buffer
		if r := &q.runs[len(q.runs)-1]; r.buf != nil {
			k := min(len(p), cap(r.buf)-len(r.buf))
			r.buf = append(r.buf, p[:k]...)
			p = p[k:]
		}
	}
	if len(p) > 0 {
		r := l.tail(c, len(p))
		r.buf = append(r.buf, p...)
	}
	l.queued(c, n)
}

// SendExtent implements core.Loop. A small extent is copied, which lets small answers
// leave in one call and their pins go at once; large ones are sent from where they lie.
func (l *Loop) SendExtent(id core.ConnID, e core.Extent) {
	c := l.get(id)
	if c == nil || e.Len == 0 || c.phase != open {
		e.Release()
		return
	}
	switch n := e.Len; {
	case c.queued > copiedMax:
		l.queueOf(c).push(run{ext: e})
	case e.Mem != nil && n <= memCopyMax:
		r := l.tail(c, n)
		r.buf = append(r.buf, e.Mem[:n]...)
		e.Release()
	case e.Mem == nil && n < fileCopyMax:
		r := l.tail(c, n)
		at := len(r.buf)
		got, err := e.File.ReadAt(r.buf[at:at+n], int64(e.Pos))
		e.Release()
		if got < n {
			l.kill(c, errors.Join(ErrFileShort, err)) // the answer cannot be finished
			return
		}
		r.buf = r.buf[:at+n]
	default:
		l.queueOf(c).push(run{ext: e})
	}
	l.queued(c, e.Len)
}

// queued counts n bytes more of a connection, and has them sent at the end of the turn.
func (l *Loop) queued(c *conn, n int) {
	c.queued += n
	l.stats.Queued += int64(n)
	if c.queued > l.cfg.OutMax {
		c.stop |= stopOutput
	}
	if !c.waiter {
		l.soil(c)
	}
}

// soil puts a connection on the list of those that have output to flush.
func (l *Loop) soil(c *conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
		l.arm()
	}
}

// Queued implements core.Loop.
func (l *Loop) Queued(id core.ConnID) int {
	if c := l.get(id); c != nil {
		return c.queued
	}
	return 0
}

// writable follows when a socket that was full has room.
func (l *Loop) writable(t uint64) {
	if t == probeToken {
		l.probed(bellReady)
		return
	}
	if c := l.get(core.ConnID(t)); c != nil && c.waiter {
		l.blocked.remove(c)
		l.soil(c)
	}
}

// flushDirty sends. Who has more than its share of the turn comes again in the next.
func (l *Loop) flushDirty() {
	if len(l.dirty) == 0 {
		return
	}
	list := l.dirty
	l.dirty, l.spare = l.spare[:0], nil
	for _, c := range list {
		c.dirty = false
		if c.phase < doomed {
			l.flush(c)
		}
	}
	clear(list)
	l.spare = list[:0]
}

// outcome is how a flush ended.
type outcome uint8

const (
	drained outcome = iota
	full            // the socket takes no more
	yielded         // the turn's share is used up
	broken
)

func (l *Loop) flush(c *conn) {
	before := c.queued
	end, err := l.send(c)
	if c.queued < before {
		c.movedAt = 0
	}
	switch end {
	case drained:
		if c.phase == leaving {
			l.kill(c, nil)
		}
	case full:
		l.stats.Blocked++
		if err := l.bells.watch(c); err != nil {
			l.kill(c, err)
			return
		}
		l.wait(c)
	case yielded:
		l.soil(c)
	case broken:
		l.kill(c, err)
		return
	}
	if c.stop&stopOutput != 0 && c.queued <= l.cfg.OutMax/2 {
		c.stop &^= stopOutput
		l.soon(c, dueDrained|dueResume)
	}
}

// wait notes since when the peer takes nothing.
func (l *Loop) wait(c *conn) {
	if c.movedAt == 0 {
		c.movedAt = core.Mono()
		if left, err := unix.IoctlGetInt(c.fd, unix.SIOCOUTQ); err == nil {
			c.unacked = left
		}
	}
	l.blocked.push(c, c.movedAt)
	l.sweepSoon(c.movedAt + l.cfg.Stalled)
}

// send writes what is queued until it is all gone, the socket is full, or the share of
// the turn is used up.
func (l *Loop) send(c *conn) (outcome, error) {
	for budget := sendTurnMax; c.queued > 0; {
		if budget <= 0 {
			return yielded, nil
		}
		r := &c.q.runs[c.q.head]
		var n, want int
		var err error
		if r.bytes() == nil && r.ext.File.Fd() >= 0 {
			want = min(r.size(), budget)
			pos := int64(r.ext.Pos) + int64(r.off)
			n, err = unix.Sendfile(c.fd, r.ext.File.Fd(), &pos, want)
			l.stats.Sendfiles++
			if n == 0 && err == nil {
				return broken, ErrFileShort
			}
		} else if n, want, err = l.sendRuns(c, budget); err == ErrFileShort {
			return broken, err
		}
		switch err {
		case nil:
		case unix.EAGAIN:
			return full, nil
		case unix.EINTR:
			continue
		default:
			return broken, err
		}
		l.sent(c, n)
		budget -= n
		if n < want {
			return full, nil
		}
	}
	return drained, nil
}

// sendRuns sends runs that lie in memory with one call. If a file follows them the
// kernel is told that more comes (MSG_MORE), so that a header does not leave alone: 7.8
// against 12.8 us for an answer of 4 KiB.
func (l *Loop) sendRuns(c *conn, budget int) (n, want int, err error) {
	q := c.q
	flags := unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT
	k := 0
	for i := q.head; i < len(q.runs) && k < iovMax && want < budget; i++ {
		p := q.runs[i].bytes()
		if p == nil {
			if i == q.head {
				return l.sendRead(c, budget)
			}
			flags |= unix.MSG_MORE
			break
		}
		p = p[:min(len(p), budget-want)]
		l.iov[k].Base = &p[0]
		l.iov[k].SetLen(len(p))
		want += len(p)
		k++
	}
	n, err = l.sendmsg(c.fd, k, flags)
	return n, want, err
}

// sendmsg is the call itself: the wrappers of x/sys allocate the vector every time.
func (l *Loop) sendmsg(fd, iovs, flags int) (int, error) {
	l.msg.Iov = &l.iov[0]
	l.msg.SetIovlen(iovs)
	l.stats.Writevs++
	n, _, e := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&l.msg)), uintptr(flags))
	clear(l.iov[:iovs]) // no reference stays
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// sendRead sends a piece of a file that has no descriptor, as those of tests have none.
func (l *Loop) sendRead(c *conn, budget int) (n, want int, err error) {
	r := &c.q.runs[c.q.head]
	want = min(r.size(), budget, bufNext)
	buf := l.bufs.get(want)[:want]
	defer l.bufs.put(buf)
	if got, _ := r.ext.File.ReadAt(buf, int64(r.ext.Pos)+int64(r.off)); got < want {
		return 0, want, ErrFileShort
	}
	l.iov[0].Base = &buf[0]
	l.iov[0].SetLen(want)
	n, err = l.sendmsg(c.fd, 1, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	return n, want, err
}
