package netio

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// A client may end its side and still wait for answers: "printf … | nc -N" does, and so
// does a program that has sent all it has to say. gnet closes a connection whose peer has
// ended its side. So the socket gets another descriptor, which gnet does not know, and
// the connection goes on without gnet until it owes nothing more:
//
//	open ---peer ends its side--> half ---nothing queued, kept or owed--> closed
//	                                |
//	                                `---nothing moves for Config.Stalled--> closed

// halfOpen is called when gnet is about to close a connection. It says whether the peer
// has ended only its own side, and something is still to be sent to it.
func (l *Loop) halfOpen(c *conn) bool {
	if c.half || c.phase >= doomed || l.stopping || !c.known || !l.owes(c) {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State != tcpCloseWait {
		return false
	}
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return false
	}
	l.bells.unwatch(c) // by its old descriptor, which would stay in the epoll: the socket lives on
	c.fd, c.gc, c.half, c.deaf, c.endedAt = fd, nil, true, true, core.Mono()
	l.halves = append(l.halves, c)
	l.sweepSoon(c.endedAt + l.cfg.Stalled)
	if c.waiter {
		if err := l.bells.watch(c); err != nil {
			l.kill(c, err)
		}
	}
	return true
}

// tcpCloseWait is the kernel's TCP_CLOSE_WAIT: the peer's FIN has come, ours is not sent.
const tcpCloseWait = 8

// owes says whether the peer is to get something more: what is queued, what whole frames
// that are kept ask for, and what the handler has not answered yet.
func (l *Loop) owes(c *conn) bool {
	if c.queued > 0 {
		return true
	}
	if c.phase != open {
		return false
	}
	kept := len(c.in) - c.head
	waits := c.stop != 0 || c.due&dueResume != 0
	return waits && kept > 0 && kept >= c.need || l.h.Owes(c.id)
}

// endHalves closes those that owe nothing more. It comes at the end of a turn: what
// handlers answer, they answer in a turn.
func (l *Loop) endHalves() {
	if len(l.halves) == 0 {
		return
	}
	rest := l.halves[:0]
	for _, c := range l.halves {
		if c.phase == gone {
			continue
		}
		rest = append(rest, c)
		if !l.owes(c) {
			l.kill(c, nil)
		}
	}
	clear(l.halves[len(rest):])
	l.halves = rest
}

// sweepHalves closes those that have been owed something for too long, and says when the
// next one will have been.
func (l *Loop) sweepHalves(now time.Duration) {
	for _, c := range l.halves {
		if c.phase >= doomed {
			continue
		}
		if now-c.endedAt >= l.cfg.Stalled && c.queued == 0 {
			l.stats.Stalled++
			l.kill(c, ErrStalled)
			continue
		}
		l.sweepSoon(max(now+l.cfg.Stalled/4, c.endedAt+l.cfg.Stalled))
	}
}
