package netio

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Limit bounds the connections of all listeners together. It has to lie well below the
// limit of descriptors: segments, journals and the admin port need theirs.
type Limit struct {
	max  int64
	open atomic.Int64
}

// NewLimit allows max connections at once.
func NewLimit(max int) *Limit { return &Limit{max: int64(max)} }

// Max is how many there may be.
func (l *Limit) Max() int { return int(l.max) }

// Open is how many connections there are now.
func (l *Limit) Open() int { return int(l.open.Load()) }

func (l *Limit) take() bool {
	if l.open.Add(1) > l.max {
		l.open.Add(-1)
		return false
	}
	return true
}

func (l *Limit) give() { l.open.Add(-1) }

// Listener accepts connections and hands each to a loop. gnet's own accept ends the
// whole engine when descriptors run out; this one waits and goes on.
type Listener struct {
	ln        *net.TCPListener
	index     int
	next      func() *Loop
	limit     *Limit
	done      chan struct{} // closed by Close
	ended     chan struct{} // closed when the accept goroutine has returned
	started   bool          // by whoever closes it
	closing   atomic.Bool
	refused   atomic.Int64
	exhausted atomic.Int64
	spare     int // a descriptor to give up, so that a connection can be taken and closed
}

// Listen takes addr; Start begins to accept. index names the listener in core.ConnInfo;
// next chooses the loop of each connection and is called by the accept goroutine.
func Listen(addr string, index int, next func() *Loop, limit *Limit) (*Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}}
	network := "tcp"
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is4() {
		network = "tcp4" // else 0.0.0.0 would mean the addresses of IPv6 too
	}
	ln, err := lc.Listen(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	l := &Listener{ln: ln.(*net.TCPListener), index: index, next: next, limit: limit,
		done: make(chan struct{}), ended: make(chan struct{}), spare: newSpare()}
	return l, nil
}

// Congestion says whether the kernel has a TCP congestion control, "" being its own choice.
func Congestion(name string) error {
	if name == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
}

// Start accepts connections from then on, once.
func (l *Listener) Start() {
	l.started = true
	go l.accept()
}

// Addr is the address that is served.
func (l *Listener) Addr() netip.AddrPort { return l.ln.Addr().(*net.TCPAddr).AddrPort() }

// Refused counts connections that were closed at once, because there were too many of
// them, or no descriptors.
func (l *Listener) Refused() int64 { return l.refused.Load() }

// Exhausted counts how often accept found no descriptor or no memory.
func (l *Listener) Exhausted() int64 { return l.exhausted.Load() }

// Close stops accepting and waits until no more connections reach the loops.
func (l *Listener) Close() error {
	if l.closing.Swap(true) {
		return nil
	}
	close(l.done)
	err := l.ln.Close()
	if l.started {
		<-l.ended
	} else {
		closeSpare(l.spare)
	}
	return err
}

// Pauses between attempts to accept after a failure.
const (
	backoffMin = time.Millisecond
	backoffMax = 100 * time.Millisecond
)

// accept goes on whatever accept(2) says, until Close.
func (l *Listener) accept() {
	defer close(l.ended)
	defer func() { closeSpare(l.spare) }()
	wait := backoffMin
	for {
		c, err := l.ln.AcceptTCP()
		if err == nil {
			wait = backoffMin
			l.hand(c)
			continue
		}
		if exhausted(err) {
			l.exhausted.Add(1)
			l.shed()
		}
		select {
		case <-l.done:
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, backoffMax)
	}
}

func exhausted(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// shed takes one waiting connection with the spare descriptor and closes it, unless there
// are descriptors again: its client is told at once, and does not hang in the backlog.
// (accept says EMFILE even if nobody waits: it looks for a descriptor first.)
func (l *Listener) shed() {
	if l.spare < 0 {
		l.spare = newSpare()
		return
	}
	closeSpare(l.spare)
	_ = l.ln.SetDeadline(time.Now().Add(backoffMin))
	c, err := l.ln.AcceptTCP()
	_ = l.ln.SetDeadline(time.Time{})
	l.spare = newSpare()
	switch {
	case err != nil: // nobody waits
	case l.spare >= 0:
		l.hand(c)
	default:
		_ = c.Close()
		l.refused.Add(1)
		l.spare = newSpare()
	}
}

func newSpare() int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return -1
	}
	return fd
}

func closeSpare(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// incoming is what the accept goroutine knows of a connection.
type incoming struct {
	listener      int
	local, remote netip.AddrPort
	limit         *Limit
	taken         bool // by the loop, which then gives the place back
}

func (l *Listener) hand(c *net.TCPConn) {
	if !l.limit.take() {
		l.refused.Add(1)
		_ = c.Close()
		return
	}
	in := &incoming{listener: l.index, local: addrPort(c.LocalAddr()), remote: addrPort(c.RemoteAddr()), limit: l.limit}
	if err := l.next().enroll(c, in); err != nil || !in.taken {
		l.refused.Add(1)
		l.limit.give()
		if exhausted(err) {
			l.exhausted.Add(1)
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(*net.TCPAddr); ok {
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}
