package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
	"github.com/penstock/penstock/shard"
	"github.com/penstock/penstock/shard/session"
)

// world is one run of the simulator: the disk and the clients, which stay, and the
// broker, which comes and goes.
type world struct {
	r       *rand.Rand
	now     time.Duration
	disk    *fakefs.FS // data directory
	memory  *fakefs.FS // of the arenas
	catalog *catalog
	model   *model
	prods   []*producer

	committers   []*committer
	segmentBytes int64
	skew         int64 // ms: the wall clock has been set by so much
	skewed       int64 // in all, whichever way
	wallMax      int64 // the wall clock has shown
	mishap       mishap

	// The broker. generation counts its starts.
	generation      int
	arena           int64 // bytes of each
	ring            int   // messages in each
	crowd           int   // bytes
	shards          []*shard.Shard
	loops           []*loop
	workers         []*worker
	clients         []*client
	failed          bool // a store has failed: nothing will be acknowledged any more
	cutting         bool // the power goes during some call to come
	powerSinceAudit bool
	auditing        bool

	altering    map[string]int // changes of a topic that have not been answered
	nextOp      int
	outstanding int
	steps       int
	trace       hashTrace
	counts      [opKinds][core.Cancelled + 1]int
	refusals    map[core.Code]int
	stats       totals
}

// totals is what a run has done, to see that it does what it is for.
type totals struct {
	kills, cuts, stops, midJob, inRecovery, mishaps, full, failures, forgotten, indexes, flips, quarantined int
	batches, audited                                                                                        int
	shard                                                                                                   counts // of all shards
}

// counts are sums of shard.Stats.
type counts struct {
	appends, repeats, reads, crossed, parked, held, pressed, commits, checkpoints int64
}

func (t *counts) count(st *shard.Stats) {
	t.add(&counts{st.Appends, st.Repeats, st.Reads, st.Crossed, st.Parked, st.Held, st.Pressed, st.Store.Commits, st.Store.Checkpoints})
}

func (t *counts) add(o *counts) {
	t.appends += o.appends
	t.repeats += o.repeats
	t.reads += o.reads
	t.crossed += o.crossed
	t.parked += o.parked
	t.held += o.held
	t.pressed += o.pressed
	t.commits += o.commits
	t.checkpoints += o.checkpoints
}

// add sums up runs.
func (t *totals) add(o *totals) {
	t.kills += o.kills
	t.cuts += o.cuts
	t.stops += o.stops
	t.midJob += o.midJob
	t.inRecovery += o.inRecovery
	t.mishaps += o.mishaps
	t.full += o.full
	t.failures += o.failures
	t.forgotten += o.forgotten
	t.indexes += o.indexes
	t.flips += o.flips
	t.quarantined += o.quarantined
	t.batches += o.batches
	t.audited += o.audited
	t.shard.add(&o.shard)
}

// hashTrace is a fingerprint of all that happened, and the last lines of it.
type hashTrace struct {
	sum   uint64
	lines []string
}

const traceLines = 60

func (w *world) tracef(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	h := fnv.New64a()
	fmt.Fprintf(h, "%x %s", w.trace.sum, line)
	w.trace.sum = h.Sum64()
	w.trace.lines = append(w.trace.lines, fmt.Sprintf("%6d %8.3fs %s", w.steps, w.now.Seconds(), line))
	if len(w.trace.lines) > 2*traceLines {
		w.trace.lines = append(w.trace.lines[:0], w.trace.lines[traceLines:]...)
	}
}

// failure is what a run panics with when a promise is broken.
type failure struct{ text string }

func (w *world) failf(format string, args ...any) {
	panic(failure{fmt.Sprintf(format, args...) + "\n" + strings.Join(w.trace.lines, "\n")})
}

func (w *world) assert(ok bool, text string) {
	if !ok {
		w.failf("%s", text)
	}
}

func (w *world) count(k opKind, o core.Outcome) { w.counts[k][o]++ }

// isSynced says whether the topic is synced, and all shards know it.
func (w *world) isSynced(p *part) bool {
	if w.altering[p.topic] > 0 {
		return false
	}
	t := w.catalog.now().TopicByID(p.id.Topic)
	return t != nil && t.Config.Durability == core.Synced
}

func newWorld(seed uint64) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), disk: fakefs.New(), memory: fakefs.New(), refusals: map[core.Code]int{}}
	w.arena, w.ring = int64(48<<10)<<w.r.IntN(4), 2<<w.r.IntN(6)
	w.crowd = 1 << (12 + w.r.IntN(10))
	w.model = &model{w: w, byID: map[core.PartitionID]*part{}}
	w.catalog = newCatalog(w)
	w.committers = newCommitters(w)
	w.segmentBytes = int64(8<<10 + w.r.IntN(64<<10))
	return w
}

// config is small, so that journals wrap, arenas run out and segments roll.
func (w *world) config(i int) segment.Config {
	l := w.loops[i]
	work := func() *worker {
		k := &worker{loop: l}
		w.workers = append(w.workers, k)
		return k
	}
	return segment.Config{FS: w.disk, Arena: w.memory, Env: env{w}, ArenaBytes: w.arena, ChunkBytes: 4 << 10,
		JournalBytes: 192 << 10, CheckpointBytes: 48 << 10, IndexBytes: 1, FilesMax: 1, Sync: work(), Write: work(), Flush: work(), Read: work()}
}

// start recovers and starts a broker. False: it was cut off.
func (w *world) start(shards int, clean bool) bool {
	w.generation++
	w.shards, w.loops, w.workers, w.clients = make([]*shard.Shard, shards), nil, nil, nil
	w.failed, w.outstanding, w.altering = false, 0, map[string]int{}
	w.model.restart()
	for _, g := range w.committers {
		g.busy = false
	}
	w.tracef("start %d with %d shards", w.generation, shards)
	if err := w.catalog.open(shards, clean); err != nil {
		return w.cutOff("open the catalog", err)
	}
	rec, err := w.recover(shards, clean)
	if err != nil {
		return w.cutOff("recover", err)
	}
	for range shards {
		w.loops = append(w.loops, &loop{w: w})
	}
	for i := range shards {
		control := &worker{loop: w.loops[i]}
		w.workers = append(w.workers, control)
		s, err := shard.New(shard.Config{ID: core.ShardID(i), Env: env{w}, Loop: w.loops[i], Cluster: &core.Cluster{Shards: shards},
			Catalog: w.catalog.meta.Catalog(), Store: w.config(i), Recovery: rec, Control: control, Change: w.catalog.do, Gone: w.catalog.gone,
			Sessions: w.session, Services: w.service, RingMax: w.ring, CrowdMax: w.crowd, OnFailure: w.onFailure})
		if err != nil {
			return w.cutOff("start a shard", err)
		}
		w.shards[i] = s
	}
	shard.Connect(w.shards)
	for range 2 + w.r.IntN(2*shards) {
		w.connect()
	}
	return true
}

// recover brings the disk to a state from which shards can start.
func (w *world) recover(shards int, clean bool) (*segment.Recovery, error) {
	rec, err := segment.Recover(segment.RecoverConfig{FS: w.disk, Arena: w.memory, Shards: shards, Clean: clean,
		Topics: w.catalog.known, Deleted: w.catalog.meta.IsDeleted})
	if err != nil {
		return nil, err
	}
	for _, id := range rec.Report.Quarantined {
		w.stats.quarantined++
		if p := w.model.byID[id]; p == nil || !p.damaged {
			w.failf("recovery quarantined %v: %v", p, rec.Logs[id].Quarantined)
		}
	}
	if len(rec.Report.Unknown) > 0 {
		w.failf("recovery found files of no topic: %v", rec.Report.Unknown)
	}
	return rec, w.catalog.meta.Sweep()
}

// cutOff is a start that does not succeed, as it may not after what was done to the disk.
func (w *world) cutOff(what string, err error) bool {
	if !w.excused(err) {
		w.failf("%s: %v", what, err)
	}
	return false
}

func (w *world) onFailure(p core.PartitionID, err error) {
	w.tracef("storage failed: %v %v", p, err)
	if d := w.model.byID[p]; d != nil && d.damaged {
		w.stats.quarantined++
		return
	}
	w.failed = true
	w.stats.failures++
	if !w.excused(err) {
		w.failf("the storage failed and nobody made it fail: %v", err)
	}
}

// session is shard.Config.Sessions: it hands over the client that connect prepared.
func (w *world) session(h session.Host, info core.ConnInfo) session.Session {
	c := w.clients[len(w.clients)-1]
	c.shard = h.Shard()
	return c
}

// connect opens a connection to some shard.
func (w *world) connect() {
	i := w.r.IntN(len(w.shards))
	l := w.loops[i]
	slot := 0
	for slot < len(l.conns) && l.conns[slot] != nil {
		slot++
	}
	if slot == len(l.conns) {
		l.conns = append(l.conns, nil)
	}
	l.gen++
	c := &client{w: w, ops: map[uint32]*op{}}
	c.link = &link{id: core.MakeConnID(uint32(slot), l.gen), client: c}
	l.conns[slot] = c.link
	w.clients = append(w.clients, c)
	w.assert(w.shards[i].Open(core.ConnInfo{ID: c.link.id}), "a connection was refused")
	w.shards[i].EndTurn()
}

// turn gives a shard one turn: of what is there it takes a random part.
func (w *world) turn(i int) {
	l, s := w.loops[i], w.shards[i]
	if l.rung || l.timer != 0 && l.timer <= w.now {
		if l.timer != 0 && l.timer <= w.now {
			l.timer = 0
		}
		l.rung = false
		s.Wake()
	}
	for _, c := range l.conns {
		if c == nil || w.r.IntN(4) == 0 {
			continue
		}
		if c.closing {
			w.drop(i, c)
			continue
		}
		if c.ready() {
			w.receive(s, c)
		}
		if w.r.IntN(2) == 0 {
			c.leave(w)
		}
	}
	s.EndTurn()
}

// receive offers a session some prefix of what the client has sent.
func (w *world) receive(s *shard.Shard, c *link) {
	n := max(c.need, 1+w.r.IntN(len(c.in)))
	used, need, err := s.Receive(c.id, c.in[:n])
	w.assert(err == nil && used <= n && (need == 0 || need > n-used), "what Receive answers makes no sense")
	c.in = c.in[used:]
	c.need = need
}

// drop is the end of a connection.
func (w *world) drop(i int, c *link) {
	for len(c.held) > 0 {
		c.leave(w)
	}
	w.loops[i].conns[c.id.Slot()] = nil
	for k, x := range w.clients {
		if x == c.client {
			w.clients = append(w.clients[:k:k], w.clients[k+1:]...)
			break
		}
	}
	w.shards[i].Closed(c.id, nil)
	for _, o := range c.client.ops {
		if o.prod != nil {
			o.prod.dropped(o)
		}
	}
}

// busy says whether a shard's turn would do something.
func (w *world) busy(i int) bool {
	l := w.loops[i]
	if l.rung || l.timer != 0 && l.timer <= w.now {
		return true
	}
	for _, c := range l.conns {
		if c != nil && (c.ready() || c.closing || len(c.held) > 0) {
			return true
		}
	}
	return false
}

// step does one thing: a turn, a job, or a passing of time. It reports whether there was
// anything but time to do.
func (w *world) step() bool {
	w.steps++
	n := len(w.shards) + len(w.workers)
	for k, at := 0, w.r.IntN(n); k < n; k, at = k+1, (at+1)%n {
		if at < len(w.shards) {
			if w.busy(at) {
				w.turn(at)
				w.pass(20 * time.Microsecond)
				return true
			}
		} else if j := w.workers[at-len(w.shards)]; len(j.todo) > 0 {
			w.tracef("worker %d runs %T", at-len(w.shards), j.todo[0])
			j.run()
			w.pass(time.Duration(w.r.IntN(500)) * time.Microsecond)
			return true
		}
	}
	next := time.Duration(math.MaxInt64)
	for _, l := range w.loops {
		if l.timer != 0 {
			next = min(next, l.timer)
		}
	}
	w.assert(next != math.MaxInt64, "no shard has set a timer")
	w.now = max(w.now, next)
	return false
}

func (w *world) pass(d time.Duration) { w.now += d }

// wall is the wall clock, in ms.
func (w *world) wall() int64 {
	t := 1_700_000_000_000 + w.now.Milliseconds() + w.skew
	w.wallMax = max(w.wallMax, t)
	return t
}

// off says whether the planned power cut has come.
func (w *world) off() bool {
	_, err := w.disk.ReadDir(".")
	return errors.Is(err, fakefs.ErrPowerCut)
}
