package netio

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// Loop is one event loop: a gnet engine without a listener, so that nothing that happens
// to an accept can end it. It implements core.Loop. All fields but those at the end
// belong to the loop's goroutine.
type Loop struct {
	cfg    Config
	h      core.Handler
	client *gnet.Client
	bells  bells
	probe  *probe // while the self-test runs

	conns []*conn  // by slot
	gens  []uint32 // generation of each slot, the next connection's
	free  []uint32 // slots
	open  int

	called bool    // a callback was made since the last EndTurn
	armed  bool    // the end of the turn has been asked for
	dirty  []*conn // have output to flush at the end of the turn
	later  []*conn // have something due before it
	spare  []*conn // memory for one of the two
	bufs   pool
	queues []*queue
	msg    unix.Msghdr
	iov    [iovMax]unix.Iovec

	held    int     // input kept or promised, of all connections
	large   int     // connections that have room for a frame above InMax
	waiting []*conn // unfinished frames that wait for room in held, in order
	halves  []*conn // whose peers have ended their side

	blocked   stallList
	sweepAt   time.Duration // when to look for stalled peers; 0: never
	handlerAt time.Duration // of Timer; 0: none
	timerAt   time.Duration // what the timerfd is set to; 0: not set
	stats     Stats
	shownAt   time.Duration
	turnBegin time.Duration // core.Mono of the first callback of this turn; 0: none yet
	turnEnd   time.Duration // of the last turn
	yieldedAt time.Duration // to the scheduler
	stopping  bool
	finished  bool
	emptied   chan struct{} // closed with finished

	// What other goroutines touch.
	rung    atomic.Bool  // the ring's eventfd has been written since the loop last looked
	wake    atomic.Bool  // Ring was called, so a Wake is wanted
	ringing atomic.Int32 // how many are about to write the eventfd
	asked   atomic.Int32 // how many want something of gnet: to take a connection in, or to end
	ending  atomic.Bool  // the engine may end
	ended   atomic.Bool  // the eventfd must not be written any more
	gate    sync.RWMutex // guards started and shut; held for reading while a connection is handed over
	started bool
	shut    bool       // no connection is taken any more
	mu      sync.Mutex // guards tasks and over
	tasks   []task
	over    bool // no task is taken any more
	shown   atomic.Pointer[Stats]
}

// task is a function to run on the loop.
type task struct {
	fn   func()
	done chan struct{} // closed after fn, or when the loop has ended without it
}

// NewLoop makes a loop that does not run yet. Ring and Timer may be called already.
func NewLoop(cfg Config) (*Loop, error) {
	cfg.defaults()
	l := &Loop{cfg: cfg, emptied: make(chan struct{})}
	l.shown.Store(&Stats{})
	if err := l.bells.open(); err != nil {
		l.bells.close()
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	var err error
	// Not locked to a thread: gnet yields before each sleep, which costs a locked thread
	// 22 us. No delay of small packets is Go's default for accepted connections already;
	// gnet's own attempt at it leaks the descriptor when it fails.
	l.client, err = gnet.NewClient(&engine{l: l}, gnet.WithNumEventLoop(1), gnet.WithLockOSThread(false),
		gnet.WithReadBufferCap(cfg.ReadBuffer), gnet.WithTCPNoDelay(gnet.TCPDelay), gnet.WithLogger(silent{}))
	if err != nil {
		l.bells.close()
		return nil, fmt.Errorf("make an event loop: %w", err)
	}
	return l, nil
}

// silent drops gnet's own messages: what matters reaches Closed or OnError.
type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}

// Start runs the loop. When it returns the loop has been seen to work: every bell rang.
// After an error the loop has ended.
func (l *Loop) Start(h core.Handler) error {
	l.h = h
	l.gate.Lock()
	l.started = true
	l.gate.Unlock()
	if err := l.client.Start(); err != nil {
		return fmt.Errorf("start an event loop: %w", errors.Join(err, l.end()))
	}
	err := l.hang()
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return fmt.Errorf("start an event loop: %w", errors.Join(err, l.end()))
	}
	return nil
}

// hang enrols the bells.
func (l *Loop) hang() error {
	for _, b := range l.bells.all {
		s, err := socket()
		if err != nil {
			return err
		}
		if err := l.hand(s, b); err != nil {
			return err
		}
		if b.err != nil { // written by the loop before the call above returned
			return b.err
		}
	}
	return nil
}

// Do runs fn on the loop and waits for it. It counts as a callback: an EndTurn follows.
// Not to be called on the loop. If the loop has ended fn is not run.
func (l *Loop) Do(fn func()) {
	done := make(chan struct{})
	if l.post(task{fn: func() { l.turn(); fn() }, done: done}) {
		<-done
	}
}

// post says whether the loop will take the task. Any goroutine.
func (l *Loop) post(t task) bool {
	l.mu.Lock()
	over := l.over
	if !over {
		l.tasks = append(l.tasks, t)
	}
	l.mu.Unlock()
	if !over {
		l.signal()
	}
	return !over
}

// Ring implements core.Loop. Any goroutine.
func (l *Loop) Ring() {
	l.wake.Store(true)
	l.signal()
}

// signal writes the ring's eventfd unless it has been written since the loop last looked.
func (l *Loop) signal() {
	if l.rung.Swap(true) {
		return
	}
	l.ringing.Add(1) // holds off the closing of the descriptor
	if !l.ended.Load() {
		if err := eventfdAdd(l.bells.all[bellRing].src, 1); err != nil && !errors.Is(err, unix.EAGAIN) {
			core.Fail("the ring of a loop is broken") // full is well: then it is ringing
		}
	}
	l.ringing.Add(-1)
}

// enroll hands an accepted connection to the loop and waits until it has been opened.
func (l *Loop) enroll(c net.Conn, in *incoming) error {
	l.gate.RLock()
	defer l.gate.RUnlock()
	if l.shut {
		_ = c.Close()
		return ErrStopped
	}
	return l.hand(c, in)
}

// hand gives gnet a connection and waits until the loop has opened it. It closes c: gnet
// has a descriptor of its own.
func (l *Loop) hand(c net.Conn, ctx any) error {
	l.asked.Add(1) // the loop must not sleep on it
	defer l.asked.Add(-1)
	_, err := l.client.EnrollContext(c, ctx)
	return err
}

// Stop closes all connections, with an EndTurn after the last, and ends the loop. What is
// queued leaves as far as the sockets take it at once.
// Close the listeners first. Not to be called on the loop.
func (l *Loop) Stop() error {
	l.gate.Lock()
	was, runs := l.shut, l.started
	l.shut = true
	l.gate.Unlock()
	if was {
		return nil
	}
	if !runs {
		return l.end()
	}
	l.post(task{fn: l.killAll, done: make(chan struct{})})
	<-l.emptied
	return l.end()
}

func (l *Loop) killAll() {
	l.stopping = true
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		if c.phase < doomed && c.queued > 0 && !c.waiter {
			l.flush(c) // of this very turn: the last answers before a stop
		}
		l.kill(c, ErrStopped)
	}
	l.arm()
}

// finish makes an end after the last connection is gone and its EndTurn was told: no
// callback follows any more.
func (l *Loop) finish() {
	l.finished = true
	l.refuseTasks()
	close(l.emptied)
}

func (l *Loop) refuseTasks() {
	l.mu.Lock()
	tasks := l.tasks
	l.over, l.tasks = true, nil
	l.mu.Unlock()
	for _, t := range tasks {
		close(t.done)
	}
}

// end ends the engine. What other goroutines still want of the loop comes to nothing.
func (l *Loop) end() error {
	l.gate.Lock()
	l.shut = true
	l.gate.Unlock()
	l.ending.Store(true)
	l.asked.Add(1) // and for ever
	err := l.client.Stop()
	l.refuseTasks() // the loop may never have run
	l.ended.Store(true)
	for l.ringing.Load() > 0 {
		runtime.Gosched()
	}
	l.bells.close()
	l.publish() // the loop's goroutine is gone
	return err
}
