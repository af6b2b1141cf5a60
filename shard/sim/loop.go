package sim

import (
	"bytes"
	"time"

	"github.com/penstock/penstock/core"
)

// env is the clock and the randomness of all shards of one world.
type env struct{ w *world }

func (e env) Mono() time.Duration { return e.w.now }
func (e env) Wall() int64         { return e.w.wall() }
func (e env) Rand() uint64        { return e.w.r.Uint64() }

// worker is a core.Worker whose jobs run when the scheduler says so.
type worker struct {
	loop     *loop
	todo     []core.Job
	finished []core.Job
}

func (k *worker) Submit(j core.Job) { k.todo = append(k.todo, j) }

// run runs the oldest job.
func (k *worker) run() {
	j := k.todo[0]
	k.todo = k.todo[1:]
	j.Run()
	k.finished = append(k.finished, j)
	k.loop.rung = true
}

// Drain calls Done of finished jobs, as the worker of production does.
func (k *worker) Drain() {
	done := k.finished
	k.finished = nil
	for _, j := range done {
		j.Done()
	}
}

// loop is the core.Loop of one shard.
type loop struct {
	w     *world
	conns []*link // by slot
	timer time.Duration
	rung  bool
	gen   uint32
}

// link is one connection: what the client has sent and the session has not read, and
// what the session has sent and has not left.
type link struct {
	id      core.ConnID
	client  *client
	in      []byte
	need    int
	paused  bool
	closing bool
	held    []heldExtent
}

// heldExtent is output that has not left: its bytes must stay as they were.
type heldExtent struct {
	e    core.Extent
	want []byte
}

func (l *loop) get(id core.ConnID) *link {
	c := l.conns[id.Slot()]
	l.w.assert(c != nil && c.id == id, "the loop is asked about a connection that is not open")
	return c
}

func (l *loop) Send(id core.ConnID, p []byte) { l.get(id) }

func (l *loop) SendExtent(id core.ConnID, e core.Extent) {
	c := l.get(id)
	c.held = append(c.held, heldExtent{e, l.w.load(&e)})
}

func (l *loop) Queued(core.ConnID) int { return 0 }

func (l *loop) Pause(id core.ConnID, paused bool) {
	c := l.get(id)
	l.w.assert(c.paused != paused, "a connection is paused or resumed twice")
	c.paused = paused
}

func (l *loop) Close(id core.ConnID, kill bool) { l.get(id).closing = true }

func (l *loop) Timer(at time.Duration) { l.timer = at }

func (l *loop) Ring() { l.rung = true }

// ready says whether a connection has something for Receive.
func (c *link) ready() bool {
	return !c.paused && !c.closing && len(c.in) > 0 && len(c.in) >= c.need
}

// leave sends the oldest extent that is held, if there is one.
func (c *link) leave(w *world) {
	if len(c.held) == 0 {
		return
	}
	h := c.held[0]
	c.held = c.held[1:]
	w.assert(bytes.Equal(w.load(&h.e), h.want), "bytes that were on their way to a client have changed")
	h.e.Release()
}

// load reads the bytes of an extent.
func (w *world) load(e *core.Extent) []byte {
	if e.Mem != nil {
		return bytes.Clone(e.Mem)
	}
	b := make([]byte, e.Len)
	n, err := e.File.ReadAt(b, int64(e.Pos))
	if w.excused(err) { // the failure that was planned came to us
		n, err = e.File.ReadAt(b, int64(e.Pos))
	}
	if n != e.Len {
		w.failf("an extent of %d bytes at %d gives %d: %v", e.Len, e.Pos, n, err)
	}
	return b
}
