package netio

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// Config bounds a loop. Zero values mean the defaults.
type Config struct {
	ReadBuffer int           // bytes that one read of the loop takes (64 KiB)
	OutMax     int           // bytes queued at which a connection is not read any more (1 MiB)
	InMax      int           // bytes kept of a paused connection before its reading stops (64 KiB)
	FrameMax   int           // largest frame that is put together (100 MiB)
	Stalled    time.Duration // a peer that takes nothing for so long while bytes wait is closed (30 s)
	Congestion string        // TCP congestion control; "" leaves the system's
	OnError    func(error)
}

func (c *Config) defaults() {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&c.ReadBuffer, 64<<10)
	set(&c.OutMax, 1<<20)
	set(&c.InMax, 64<<10)
	set(&c.FrameMax, 100<<20)
	if c.Stalled == 0 {
		c.Stalled = 30 * time.Second
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
}

// Stats are counters of a loop, as of its last snapshot.
type Stats struct {
	Connections, Turns, BytesIn, BytesOut, Blocked, Pauses, Closed int64
}

// Loop is one event loop. It implements core.Loop.
type Loop struct {
	gnet.BuiltinEventEngine
	cfg     Config
	h       core.Handler
	client  *gnet.Client
	bell    gnet.Conn
	n       *nested
	up      chan error // answers Start once
	conns   []*conn
	free    []uint32
	gen     uint32
	flushes []*conn // have output that this turn may send
	resumes []*conn // were unpaused in this turn
	closes  []*conn
	checkAt time.Duration
	timerAt time.Duration
	iov     [iovMax][]byte
	scratch []byte
	mu      sync.Mutex
	tasks   []func()
	stats   Stats
	shown   atomic.Pointer[Stats]
	stop    bool
}

// NewLoop makes a loop that does not run yet.
func NewLoop(cfg Config) (*Loop, error) {
	cfg.defaults()
	n, err := newNested()
	if err != nil {
		return nil, err
	}
	l := &Loop{cfg: cfg, n: n, up: make(chan error, 1), scratch: make([]byte, 256<<10)}
	l.shown.Store(&Stats{})
	l.client, err = gnet.NewClient(l, gnet.WithNumEventLoop(1), gnet.WithLockOSThread(false),
		gnet.WithReadBufferCap(cfg.ReadBuffer), gnet.WithTCPNoDelay(gnet.TCPNoDelay), gnet.WithLogger(silent{}))
	return l, err
}

// silent drops gnet's own messages: what matters reaches OnError or Closed.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}

// bellMark tells OnOpen which connection is the bell.
type bellMark struct{}

// Start runs the loop; it returns when the loop turns.
func (l *Loop) Start(h core.Handler) error {
	l.h = h
	if err := l.client.Start(); err != nil {
		return err
	}
	end, err := l.n.pair()
	if err != nil {
		return err
	}
	if _, err := l.client.EnrollContext(end, bellMark{}); err != nil {
		return fmt.Errorf("start an event loop: %w", err)
	}
	return <-l.up
}

// Do runs fn on the loop and waits for it. Not to be called on the loop.
func (l *Loop) Do(fn func()) {
	done := make(chan struct{})
	l.mu.Lock()
	l.tasks = append(l.tasks, func() { fn(); close(done) })
	l.mu.Unlock()
	l.n.wake()
	<-done
}

// Stop closes all connections and ends the loop.
func (l *Loop) Stop() error {
	l.Do(func() {
		l.stop = true
		for _, c := range l.conns {
			if c != nil {
				l.Close(c.id, true)
			}
		}
	})
	l.Do(func() {}) // the closes were carried out at the end of the turn before
	err := l.client.Stop()
	l.n.close()
	return err
}

// Stats is the last snapshot. Any goroutine.
func (l *Loop) Stats() Stats { return *l.shown.Load() }

// conn is one connection. Only the loop touches it.
type conn struct {
	id       core.ConnID
	gc       gnet.Conn
	fd       int
	in       []byte // read and not yet used
	need     int    // len(in) at which Receive is worth a call
	q        queue
	paused   bool // by the handler
	unread   bool // gnet's interest is off
	over     bool // output above OutMax: not read until it is below half
	blocked  bool // waits for EPOLLOUT
	watched  bool // is in the nested epoll
	listed   bool // stands in flushes
	closing  bool // after the output
	killing  bool // at the end of the turn, whatever the output
	doomed   bool // stands in closes
	gone     bool
	progress time.Duration // when output last moved
}

// incoming is what the accept goroutine knows.
type incoming struct {
	listener      int
	local, remote netip.AddrPort
	done          func() // gives back the place under the connection limit
}

// OnOpen takes a connection in.
func (l *Loop) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	if _, ok := gc.Context().(bellMark); ok {
		l.bell = gc
		l.up <- l.n.attach(gc)
		return nil, gnet.None
	}
	inc, ok := gc.Context().(*incoming)
	core.Assert(ok, "a connection came from nowhere")
	slot := uint32(len(l.conns))
	if n := len(l.free); n > 0 {
		slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		l.conns = append(l.conns, nil)
	}
	l.gen = max(1, l.gen+1)
	c := &conn{id: core.MakeConnID(slot, l.gen), gc: gc, fd: gc.Fd()}
	l.conns[slot] = c
	gc.SetContext(&open{c, inc.done})
	l.stats.Connections++
	l.n.endTurnWanted()
	if l.cfg.Congestion != "" {
		if err := unix.SetsockoptString(c.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, l.cfg.Congestion); err != nil {
			l.cfg.OnError(fmt.Errorf("set congestion control %s: %w", l.cfg.Congestion, err))
		}
	}
	if l.stop || !l.h.Open(core.ConnInfo{ID: c.id, Listener: inc.listener, Local: inc.local, Remote: inc.remote}) {
		c.gone = true // the handler does not know it: no Closed
		return nil, gnet.Close
	}
	return nil, gnet.None
}

// open is the context of an open connection.
type open struct {
	c    *conn
	done func()
}

// OnClose lets a connection go. gnet closes the descriptor.
func (l *Loop) OnClose(gc gnet.Conn, err error) gnet.Action {
	o, ok := gc.Context().(*open)
	if !ok {
		if inc, ok := gc.Context().(*incoming); ok {
			inc.done()
		}
		return gnet.None
	}
	c := o.c
	l.n.forget(c)
	c.q.release()
	l.conns[c.id.Slot()] = nil
	l.free = append(l.free, c.id.Slot())
	l.stats.Connections--
	l.stats.Closed++
	o.done()
	if !c.gone {
		c.gone = true
		l.h.Closed(c.id, err)
	}
	l.n.endTurnWanted()
	return gnet.None
}

func (l *Loop) lookup(id core.ConnID) *conn {
	if int(id.Slot()) >= len(l.conns) {
		return nil
	}
	if c := l.conns[id.Slot()]; c != nil && c.id == id && !c.gone {
		return c
	}
	return nil
}

// Send implements core.Loop.
func (l *Loop) Send(id core.ConnID, p []byte) {
	if c := l.lookup(id); c != nil && len(p) > 0 {
		c.q.push(p)
		l.wantFlush(c)
	}
}

// SendExtent implements core.Loop.
func (l *Loop) SendExtent(id core.ConnID, e core.Extent) {
	c := l.lookup(id)
	if c == nil {
		e.Release()
		return
	}
	c.q.pushExtent(e)
	l.wantFlush(c)
}

// Queued implements core.Loop.
func (l *Loop) Queued(id core.ConnID) int {
	if c := l.lookup(id); c != nil {
		return c.q.size
	}
	return 0
}

func (l *Loop) wantFlush(c *conn) {
	if c.q.size > l.cfg.OutMax {
		c.over = true
	}
	if !c.listed && !c.blocked {
		if c.progress == 0 {
			c.progress = core.Mono()
		}
		c.listed = true
		l.flushes = append(l.flushes, c)
		l.n.endTurnWanted()
	}
}

// Pause implements core.Loop.
func (l *Loop) Pause(id core.ConnID, paused bool) {
	c := l.lookup(id)
	if c == nil || c.paused == paused {
		return
	}
	c.paused = paused
	if !paused {
		l.resumes = append(l.resumes, c)
		l.n.endTurnWanted()
	}
}

// Close implements core.Loop.
func (l *Loop) Close(id core.ConnID, kill bool) {
	c := l.lookup(id)
	if c == nil {
		return
	}
	c.closing = true
	c.killing = c.killing || kill
	if c.killing || c.q.empty() {
		l.doom(c)
	}
}

func (l *Loop) doom(c *conn) {
	if !c.doomed {
		c.doomed = true
		l.closes = append(l.closes, c)
		l.n.endTurnWanted()
	}
}

// Timer implements core.Loop.
func (l *Loop) Timer(at time.Duration) {
	l.timerAt = at
	l.setTimer()
}

// setTimer serves the handler's time and the check for stalled peers with one timer.
func (l *Loop) setTimer() {
	at := l.timerAt
	if l.checkAt > 0 && (at == 0 || l.checkAt < at) {
		at = l.checkAt
	}
	l.n.setTimer(at)
}

// Ring implements core.Loop. Any goroutine.
func (l *Loop) Ring() { l.n.wake() }

// enroll hands an accepted connection to the loop. Accept goroutine only.
func (l *Loop) enroll(nc net.Conn, inc *incoming) error {
	if _, err := l.client.EnrollContext(nc, inc); err != nil {
		inc.done()
		return err
	}
	return nil
}

var errTooLarge = errors.New("the frame is larger than the limit")
