package netio

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Limit bounds the connections of all listeners together.
type Limit struct {
	max  int64
	open atomic.Int64
}

// NewLimit allows max connections at once.
func NewLimit(max int) *Limit { return &Limit{max: int64(max)} }

func (l *Limit) take() bool {
	if l.open.Add(1) > l.max {
		l.open.Add(-1)
		return false
	}
	return true
}

func (l *Limit) give() { l.open.Add(-1) }

// Listener accepts connections and hands each to a loop.
type Listener struct {
	ln      *net.TCPListener
	index   int
	next    func() *Loop
	limit   *Limit
	done    chan struct{}
	refused atomic.Int64
}

// Listen starts accepting on addr. index names the listener in core.ConnInfo; next
// chooses the loop of each connection.
func Listen(addr string, index int, next func() *Loop, limit *Limit) (*Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &Listener{ln: ln.(*net.TCPListener), index: index, next: next, limit: limit, done: make(chan struct{})}
	go l.accept()
	return l, nil
}

// Addr is the address that is served.
func (l *Listener) Addr() netip.AddrPort { return l.ln.Addr().(*net.TCPAddr).AddrPort() }

// Refused counts connections that were closed at once: over the limit, or for want of
// descriptors.
func (l *Listener) Refused() int64 { return l.refused.Load() }

// Close stops accepting.
func (l *Listener) Close() error {
	close(l.done)
	return l.ln.Close()
}

// accept goes on whatever accept(2) says, until Close: without descriptors or memory it
// waits a little, and the connections wait in the backlog.
func (l *Listener) accept() {
	for {
		c, err := l.ln.AcceptTCP()
		if err != nil {
			select {
			case <-l.done:
				return
			case <-time.After(backoff(err)):
			}
			continue
		}
		l.hand(c)
	}
}

func backoff(err error) time.Duration {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if errors.Is(err, e) {
			return 50 * time.Millisecond
		}
	}
	return time.Millisecond
}

func (l *Listener) hand(c *net.TCPConn) {
	if !l.limit.take() {
		l.refused.Add(1)
		_ = c.Close() // over the limit
		return
	}
	inc := &incoming{listener: l.index, done: l.limit.give}
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		inc.local = a.AddrPort()
	}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		inc.remote = a.AddrPort()
	}
	if err := l.next().enroll(c, inc); err != nil {
		l.refused.Add(1)
	}
}
