package netio

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/penstock/penstock/core"
)

// engine is what gnet calls; all of it comes on the loop's goroutine.
type engine struct {
	gnet.BuiltinEventEngine
	l *Loop
}

// OnOpen takes a connection or a bell in.
func (e *engine) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	switch ctx := gc.Context().(type) {
	case *bell:
		ctx.err = e.l.bells.attach(ctx, gc)
	case *incoming:
		ctx.taken = true
		if !e.l.opened(gc, ctx) {
			return nil, gnet.Close
		}
	default:
		core.Fail("a connection came from nowhere")
	}
	return nil, gnet.None
}

// OnTraffic brings what gnet has read of a connection, or a bell that rings.
func (e *engine) OnTraffic(gc gnet.Conn) gnet.Action {
	p, err := gc.Next(-1) // borrowed from gnet's read buffer; nothing is ever left with gnet
	core.Assert(err == nil, "gnet has no bytes where it says so")
	switch ctx := gc.Context().(type) {
	case *conn:
		return e.l.traffic(ctx, p)
	case *bell:
		e.l.ring(ctx.kind)
	}
	return gnet.None
}

// OnClose lets a connection go; gnet then closes the descriptor.
func (e *engine) OnClose(gc gnet.Conn, err error) gnet.Action {
	switch ctx := gc.Context().(type) {
	case *conn:
		if e.l.halfOpen(ctx) {
			return gnet.None
		}
		if errors.Is(err, io.EOF) {
			err = nil // the peer closed
		}
		e.l.closed(ctx, err)
	case *bell:
		if !e.l.ending.Load() {
			core.Fail("gnet has ended an event loop")
		}
	}
	return gnet.None
}

// ring is called when a bell rings.
func (l *Loop) ring(k bellKind) {
	if l.finished {
		return
	}
	l.probed(k)
	switch k {
	case bellTurn:
		l.endTurn()
	case bellRing:
		l.rung.Swap(false) // before its work is looked for, so that no ring is lost
		l.runTasks()
		if l.wake.Swap(false) {
			l.turn()
			l.h.Wake()
		}
	case bellTimer:
		l.timer()
	case bellReady:
		events := l.bells.ready()
		for i := range events {
			l.writable(token(&events[i]))
		}
	}
}

func (l *Loop) runTasks() {
	l.mu.Lock()
	tasks := l.tasks
	l.tasks = nil
	l.mu.Unlock()
	for _, t := range tasks {
		t.fn()
		close(t.done)
	}
}

// turn is called before every callback, so that an EndTurn follows it.
func (l *Loop) turn() {
	l.called = true
	l.arm()
}

// arm asks for the end of this turn. The bell joins the end of epoll's list, behind the
// sockets that are ready already.
func (l *Loop) arm() {
	if !l.armed {
		l.armed = true
		l.turnBegins()
		l.bells.endTurn()
	}
}

// endTurn does what is due, tells the handler, and sends. What these ask for in their
// turn is done in the next one, so that the loop looks at its sockets in between.
func (l *Loop) endTurn() {
	l.armed = false
	l.runLater()
	if l.called {
		l.called = false
		l.stats.Turns++
		l.h.EndTurn()
	}
	l.flushDirty()
	l.endHalves()
	now := core.Mono()
	l.turnEnds(now)
	if now-l.shownAt >= statsEvery {
		l.shownAt = now
		l.publish()
	}
	if l.stopping && l.open == 0 && !l.called {
		l.finish()
	}
	l.sleep(now)
}

// yieldEvery is how often a busy loop gives way. The runtime's monitor takes a thread that
// has not for 10 ms for a stuck one, and then polls it every 20 us.
const yieldEvery = 4 * time.Millisecond

// sleep waits here for what comes next, unless the next turn has been asked for: gnet
// yields before it sleeps itself, and each time that wakes a thread of the runtime to
// look for work. What others have asked of gnet is in its queue, and once gnet has seen
// that, not in its epoll any more: then it must go on.
func (l *Loop) sleep(now time.Duration) {
	if now-l.yieldedAt >= yieldEvery {
		l.yieldedAt = now
		runtime.Gosched()
	}
	if !l.armed && l.asked.Load() == 0 {
		l.bells.sleep()
	}
}

// due is what a connection waits for in Loop.later.
type due uint8

const (
	dueClose due = 1 << iota
	dueDrained
	dueResume
)

// soon has something done with a connection before the end of the turn is told.
func (l *Loop) soon(c *conn, d due) {
	if c.due == 0 {
		l.later = append(l.later, c)
		l.arm()
	}
	c.due |= d
}

func (l *Loop) runLater() {
	if len(l.later) == 0 {
		return
	}
	list := l.later
	l.later, l.spare = l.spare[:0], nil
	for _, c := range list {
		d := c.due
		c.due = 0
		switch {
		case c.phase == gone:
			continue
		case d&dueClose != 0:
			l.shutDown(c)
			continue
		}
		if d&dueDrained != 0 {
			l.turn()
			l.h.Drained(c.id)
		}
		if d&dueResume != 0 {
			l.resume(c)
		}
	}
	clear(list)
	l.spare = list[:0]
}

// Timer implements core.Loop.
func (l *Loop) Timer(at time.Duration) {
	l.handlerAt = at
	l.setTimer()
}

// setTimer sets the timerfd to the earlier of the handler's time and the sweep's. A time
// that has moved back is left: one wake too many is cheaper than a call per turn.
func (l *Loop) setTimer() {
	at := l.handlerAt
	if l.sweepAt > 0 && (at <= 0 || l.sweepAt < at) {
		at = l.sweepAt
	}
	if at <= 0 || l.timerAt > 0 && l.timerAt <= at {
		return
	}
	l.timerAt = at
	l.bells.setTimer(at - core.Mono())
}

func (l *Loop) timer() {
	l.timerAt = 0
	now := core.Mono()
	if l.sweepAt > 0 && now >= l.sweepAt {
		l.sweep(now)
	}
	if l.handlerAt > 0 && now >= l.handlerAt {
		l.handlerAt = 0
		l.turn()
		l.h.Wake()
	}
	l.setTimer()
}

// sweep closes peers that do not move: what their queues pin must not be held for ever,
// nor the memory that others wait for.
func (l *Loop) sweep(now time.Duration) {
	l.sweepAt = 0
	for c := l.blocked.head; c != nil && now-c.movedAt >= l.cfg.Stalled; c = l.blocked.head {
		l.blocked.remove(c)
		left, err := unix.IoctlGetInt(c.fd, unix.SIOCOUTQ)
		if err == nil && left <= c.unacked-stallBytes {
			c.unacked = left // it is slow: the kernel's buffer is large, and it takes from there
			l.blocked.push(c, now)
			continue
		}
		l.stats.Stalled++
		l.kill(c, ErrStalled)
	}
	if c := l.blocked.head; c != nil {
		l.sweepAt = c.movedAt + l.cfg.Stalled
	}
	l.sweepHalves(now)
	if len(l.waiting) > 0 {
		l.sweepFrames(now)
		l.sweepSoon(now + l.cfg.Stalled/4)
	}
	l.setTimer()
}

// sweepSoon makes sure that sweep is called at the given time or before.
func (l *Loop) sweepSoon(at time.Duration) {
	if l.sweepAt == 0 || at < l.sweepAt {
		l.sweepAt = at
		l.setTimer()
	}
}

// failed reports what went wrong beside a connection.
func (l *Loop) failed(what string, err error) { l.cfg.OnError(fmt.Errorf("%s: %w", what, err)) }
