package shard

import (
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/shard/session"
)

// Config is what a shard is made of. All of it is constant.
type Config struct {
	ID      core.ShardID
	Env     core.Env
	Loop    core.Loop
	Cluster *core.Cluster
	// Catalog is published by its single writer before Change returns.
	Catalog *atomic.Pointer[core.Catalog]
	// Store is everything but Shard, Host and Env, which are this shard.
	Store    segment.Config
	Recovery *segment.Recovery
	// Control runs Change, which may block and is called for one command at a time.
	Control core.Worker
	Change  func(core.Command) core.CommandResult
	// Gone says that this shard has nothing left of deleted topics; it runs on Control
	// too. Nil: nobody wants to know.
	Gone func(core.ShardID, []core.TopicID)
	// Sessions makes the state machine of a connection; nil refuses it.
	Sessions func(session.Host, core.ConnInfo) session.Session
	// Services makes the state machine of a partition of an internal topic; nil: none.
	Services func(session.Host, *core.Topic, core.PartitionID) session.Service
	// CrowdMax bounds the bytes of requests that this shard keeps because another shard or
	// the store has no room for them; 0 takes the default.
	CrowdMax int
	// RingMax bounds the messages of one ring, a power of two; 0 takes the default.
	RingMax int
	// OnFailure is told of a failed store (the partition is zero) or log, for the log.
	// It may be nil.
	OnFailure func(core.PartitionID, error)
}

// Shard is one core's partitions, connections and services. It is the core.Handler of
// its loop and the session.Host of its state machines. All methods but Stats belong to
// the loop; New may run before the loop does.
type Shard struct {
	cfg     Config
	clock   clock
	store   *segment.Store
	catalog *core.Catalog // the one taken in
	parts   map[core.PartitionID]*partition
	conns   conns
	timers  timers
	pool    pool
	fx      session.Effects // of the present step
	answers []answered      // of the present turn
	inbox   list            // steps to come: answers, and calls for services
	holding
	departed departed
	links    []*link // by shard; nil for this one
	drains   []drainer
	asleep   atomic.Bool // set: whoever sends something must ring
	// What is in flight: appends not yet durable, questions and trims that run beside
	// the loop, changes of the catalog.
	pendings, looking, changing int
	messages                    int // in use: asked for, on their way, or answered

	tickAt    time.Duration // of the store
	timerAt   time.Duration // what the loop was asked for; 0: nothing
	resumeAt  time.Duration // deadlines of connections and services rest until then
	stopping  stopping
	stats     Stats
	published atomic.Pointer[Stats]
	// unpublished says that there were turns since, so the timer is set for the next time.
	unpublished bool
}

// A loop that got no turn for a while (the process was stopped, or the machine slept) finds
// all deadlines past, and what would have moved them waiting in sockets and rings. So
// that is read first: a stall longer than stallMin puts deadlines off by stallGrace.
const (
	stallMin   = 2 * time.Second
	stallGrace = time.Second
)

// clock is the time of the present turn.
type clock struct {
	mono time.Duration
	wall int64
	set  bool
}

// drainer is a worker that hands finished jobs back when it is asked to.
type drainer interface{ Drain() }

// New opens the store and the partitions that the catalog gives to this shard, and
// restores their folds. It may block; the loop must not run yet. Connect follows, even
// for one shard alone.
func New(cfg Config) (*Shard, error) {
	s := &Shard{cfg: cfg, parts: map[core.PartitionID]*partition{}}
	if s.cfg.CrowdMax == 0 {
		s.cfg.CrowdMax = crowdMax
	}
	s.turn()
	cfg.Store.Shard, cfg.Store.Host, cfg.Store.Env = cfg.ID, storeEvents{s}, s
	cfg.Store.Sync = &timedWorker{Worker: cfg.Store.Sync, env: cfg.Env, into: &s.stats.Sync}
	store, err := segment.OpenStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	s.store = store
	for _, w := range []core.Worker{s.cfg.Store.Sync, cfg.Store.Write, cfg.Store.Flush, cfg.Store.Read, cfg.Control} {
		if d, ok := w.(drainer); ok && !contains(s.drains, d) {
			s.drains = append(s.drains, d)
		}
	}
	if err := s.openAll(); err != nil {
		return nil, err
	}
	s.publish()
	s.clock.set = false
	s.asleep.Store(true) // until its first turn
	return s, nil
}

func contains(ds []drainer, d drainer) bool {
	for _, have := range ds {
		if have == d {
			return true
		}
	}
	return false
}

// Mono, Wall, Rand, Shard, Catalog and Cluster make a session.Host. Time stands still
// within a turn.
func (s *Shard) Mono() time.Duration { return s.clock.mono }

// Wall is milliseconds since 1970-01-01 UTC.
func (s *Shard) Wall() int64 { return s.clock.wall }

// Rand is 64 random bits.
func (s *Shard) Rand() uint64 { return s.cfg.Env.Rand() }

// Shard is this shard's number.
func (s *Shard) Shard() core.ShardID { return s.cfg.ID }

// Catalog is the catalog that this shard has taken in.
func (s *Shard) Catalog() *core.Catalog { return s.catalog }

// Cluster is what does not change.
func (s *Shard) Cluster() *core.Cluster { return s.cfg.Cluster }

// turn begins a turn of the loop with the first call of it.
func (s *Shard) turn() {
	if s.clock.set {
		return
	}
	s.clock = clock{s.cfg.Env.Mono(), s.cfg.Env.Wall(), true}
	if s.timerAt != 0 && s.clock.mono-s.timerAt > stallMin {
		s.resumeAt = s.clock.mono + stallGrace
	}
	if s.asleep.Load() {
		s.asleep.Store(false)
	}
}

// Open implements core.Handler.
func (s *Shard) Open(info core.ConnInfo) bool {
	s.turn()
	if s.stopping.on {
		return false
	}
	logic := s.cfg.Sessions(s, info)
	if logic == nil {
		return false
	}
	c := &conn{id: info.ID, session: logic}
	c.deadline.conn = c
	s.conns.add(c)
	s.fx.Reset()
	_, _, _ = logic.Receive(nil, &s.fx) // so that it has a deadline also if nothing ever comes
	s.carry(c, nil)
	return true
}

// Receive implements core.Handler.
func (s *Shard) Receive(id core.ConnID, in []byte) (used, need int, err error) {
	s.turn()
	c := s.conns.get(id)
	core.Assert(c != nil, "bytes came from a connection that is not open")
	if s.crowded() {
		s.press(c)
		return 0, 0, nil // offered again when it is read on
	}
	s.fx.Reset()
	used, need, err = c.session.Receive(in, &s.fx)
	s.carry(c, nil)
	s.work()
	return used, need, err
}

// Drained implements core.Handler.
func (s *Shard) Drained(id core.ConnID) {
	s.turn()
	if c := s.conns.get(id); c != nil {
		s.fx.Reset()
		c.session.Writable(&s.fx)
		s.carry(c, nil)
		s.work()
	}
}

// Closed implements core.Handler. Waits that are out are taken back; what else is under
// way has its effect, and its answer is dropped.
func (s *Shard) Closed(id core.ConnID, _ error) {
	s.turn()
	c := s.conns.get(id)
	if c == nil {
		return
	}
	s.fx.Reset()
	c.session.Closed(&s.fx)
	for i := range s.fx.Out {
		s.fx.Out[i].Extent.Release()
	}
	s.timers.clear(&c.deadline)
	for m := c.waits.head; m != nil; m = c.waits.head {
		c.waits.remove(m)
		s.recall(m)
	}
	s.conns.remove(c)
	s.work()
}

// Wake implements core.Handler: a ring or the timer.
func (s *Shard) Wake() {
	s.clock.set = false // the timer may be younger than the turn
	s.turn()
	for _, d := range s.drains {
		d.Drain()
	}
	s.poll()
	s.work()
	if s.timerAt != 0 && s.timerAt <= s.clock.mono {
		s.timerAt = 0
	}
	s.tick()
}

// EndTurn implements core.Handler: take what came from other shards meanwhile, start the
// group commit, wake whom we sent something, and declare ourselves asleep.
func (s *Shard) EndTurn() {
	s.turn()
	more := s.poll()
	s.relieve()
	s.work()
	s.endAnswers()
	if !s.stopping.over {
		s.store.Commit() // after the last append of the turn
	}
	s.finish()
	if s.unpublished = s.clock.mono-s.stats.At < statsEvery; !s.unpublished {
		s.publish()
	}
	s.bell()
	s.setTimer()
	s.clock.set = false
	s.asleep.Store(true)
	if (more || s.inbox.head != nil || s.waiting()) && s.asleep.Swap(false) {
		s.cfg.Loop.Ring()
	}
}

// tick runs the deadlines that have come.
func (s *Shard) tick() {
	if s.clock.mono >= s.tickAt {
		if !s.stopping.over {
			s.tellDeparted()
			s.store.Tick()
		}
		s.tickAt = s.nextTick()
		s.work()
	}
	if s.clock.mono < s.resumeAt {
		return
	}
	for d := s.timers.due(s.clock.mono); d != nil; d = s.timers.due(s.clock.mono) {
		if d.svc != nil {
			s.tickService(d.svc)
		} else {
			s.fx.Reset()
			d.conn.session.Tick(s.clock.mono, &s.fx)
			s.carry(d.conn, nil)
		}
		s.work()
	}
}

// nextTick is when the store's tick is due at the latest, as of this turn.
func (s *Shard) nextTick() time.Duration {
	at := s.clock.mono + s.store.NextTick()
	if s.departing() {
		at = min(at, s.departed.lookAt)
	}
	return at
}

// setTimer asks the loop for the earliest deadline. One that has become later is left:
// a wake too many costs less than a timer set anew in every turn.
func (s *Shard) setTimer() {
	s.tickAt = min(s.tickAt, s.nextTick())
	at := s.tickAt
	if s.unpublished {
		at = min(at, s.stats.At+statsEvery)
	}
	if d, ok := s.timers.next(); ok {
		at = min(at, max(d, s.resumeAt))
	}
	if at = max(at, 1); s.timerAt == 0 || at < s.timerAt {
		s.timerAt = at
		s.cfg.Loop.Timer(at)
	}
}

// storeEvents is what the store tells its shard.
type storeEvents struct{ s *Shard }

// Durable implements segment.Host.
func (e storeEvents) Durable(l *segment.Log) {
	if p := e.s.parts[l.ID()]; p != nil && p.log == l {
		p.refresh()
		e.s.advanced(p)
		e.s.settle(p)
	}
}

// Ready implements segment.Host.
func (e storeEvents) Ready(l *segment.Log) {
	if p := e.s.parts[l.ID()]; p != nil && p.log == l {
		e.s.retryReads(p)
	}
}

// Snapshot implements segment.Host.
func (e storeEvents) Snapshot(l *segment.Log, dst []byte) []byte {
	if p := e.s.parts[l.ID()]; p != nil && p.log == l {
		return p.snapshot(dst)
	}
	return dst
}

// Failed implements segment.Host. What has not been acknowledged never is: whether it
// will be there after a restart is not known. Reading goes on.
func (e storeEvents) Failed(l *segment.Log, err error) {
	s, id := e.s, core.PartitionID{}
	if l != nil {
		id = l.ID()
		if p := s.parts[id]; p != nil && p.log == l {
			s.failAppends(p)
		}
	} else {
		s.stats.Failed = err.Error()
		s.publish()
		s.each(s.failAppends)
		for m := s.release(); m != nil; m = s.release() {
			s.refuse(m, core.ErrStorage)
		}
	}
	if s.cfg.OnFailure != nil {
		s.cfg.OnFailure(id, err)
	}
}

func (s *Shard) failAppends(p *partition) {
	p.broken = true
	for m := p.pending.pop(); m != nil; m = p.pending.pop() {
		s.pendings--
		m.c.Outcome, m.c.Code = core.Unknown, core.ErrStorage
		s.answer(m)
	}
}

// each calls fn for every partition of this shard, in the catalog's order.
func (s *Shard) each(fn func(*partition)) {
	for _, t := range s.catalog.Topics {
		for i := range t.Partitions {
			if p := s.parts[core.PartitionID{Topic: t.ID, Index: int32(i)}]; p != nil {
				fn(p)
			}
		}
	}
}
