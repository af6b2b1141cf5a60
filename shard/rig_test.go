package shard

import (
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
	"github.com/penstock/penstock/shard/session"
)

// rig is a broker without a network: shards on fake loops, whose turns and jobs happen
// when the test says so.
type rig struct {
	t        testing.TB
	now      time.Duration
	skew     int64 // ms: the wall clock was set by so much
	disk     *fakefs.FS
	memory   *fakefs.FS
	catalog  atomic.Pointer[core.Catalog]
	shards   []*Shard
	loops    []*testLoop
	workers  []*testWorker // in the order sync, write, read, control of each shard
	services func(session.Host, *core.Topic, core.PartitionID) session.Service
	failures []error
	stalled  map[int]bool // shards that get no turn
	crowd    int          // Config.CrowdMax
	idle     bool         // writes to the disk do nothing
	sessions func(session.Host, core.ConnInfo) session.Session
}

type testWorker struct {
	loop     *testLoop
	stuck    bool // jobs wait
	todo     []core.Job
	finished []core.Job
}

func (w *testWorker) Submit(j core.Job) { w.todo = append(w.todo, j) }

func (w *testWorker) Drain() {
	for i := 0; i < len(w.finished); i++ {
		w.finished[i].Done()
	}
	w.finished = w.finished[:0]
}

type testLoop struct {
	rung   bool
	timer  time.Duration
	paused map[core.ConnID]bool
	pauses int
	turns  int
	closed []core.ConnID
	sent   int
}

func (l *testLoop) Send(_ core.ConnID, p []byte) { l.sent += len(p) }
func (l *testLoop) SendExtent(_ core.ConnID, e core.Extent) {
	l.sent += e.Len
	e.Release()
}
func (l *testLoop) Queued(core.ConnID) int { return 0 }
func (l *testLoop) Pause(id core.ConnID, paused bool) {
	l.paused[id] = paused
	if paused {
		l.pauses++
	}
}
func (l *testLoop) Close(id core.ConnID, _ bool) { l.closed = append(l.closed, id) }
func (l *testLoop) Timer(at time.Duration)       { l.timer = at }
func (l *testLoop) Ring()                        { l.rung = true }

// newRig makes a rig with the topics: each has one partition per shard, partition i on
// shard i.
func newRig(t testing.TB, shards int, topics ...*core.Topic) *rig {
	return newCrowdedRig(t, shards, 0, topics...)
}

// newCrowdedRig is newRig with a Config.CrowdMax.
func newCrowdedRig(t testing.TB, shards, crowd int, topics ...*core.Topic) *rig {
	r := &rig{t: t, disk: fakefs.New(), memory: fakefs.New(), stalled: map[int]bool{}, crowd: crowd}
	for _, tp := range topics {
		tp.Partitions = nil
		for i := range shards {
			tp.Partitions = append(tp.Partitions, core.ShardID(i))
		}
	}
	r.catalog.Store(core.NewCatalog(1, 5, topics))
	r.start(shards)
	return r
}

func topic(name string, d core.Durability) *core.Topic {
	t := &core.Topic{Name: name, Config: core.DefaultTopicConfig()}
	copy(t.ID[:], name)
	t.Config.Durability = d
	return t
}

func (t *testWorker) on(l *testLoop) *testWorker { t.loop = l; return t }

// start recovers and starts all shards.
func (r *rig) start(n int) {
	r.t.Helper()
	r.shards, r.loops, r.workers = nil, nil, nil
	rec, err := segment.Recover(segment.RecoverConfig{FS: r.disk, Arena: r.memory, Shards: n})
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range n {
		l := &testLoop{paused: map[core.ConnID]bool{}}
		r.loops = append(r.loops, l)
		ws := []*testWorker{{}, {}, {}, {}}
		for _, w := range ws {
			r.workers = append(r.workers, w.on(l))
		}
		s, err := New(Config{ID: core.ShardID(i), Env: rigEnv{r}, Loop: l, Cluster: &core.Cluster{Shards: n, Listeners: []core.Listener{{Core: core.NormalView}}}, Catalog: &r.catalog,
			Store: segment.Config{FS: idleFS{r.disk, r}, Arena: r.memory, Env: rigEnv{r}, ArenaBytes: 16 << 20, ChunkBytes: 64 << 10,
				JournalBytes: 16 << 20, CheckpointBytes: 4 << 20, Sync: ws[0], Write: ws[1], Read: ws[2]},
			Recovery: rec, Control: ws[3], Change: r.change, Services: r.services, CrowdMax: r.crowd,
			Sessions:  r.session,
			OnFailure: func(_ core.PartitionID, err error) { r.failures = append(r.failures, err) }})
		if err != nil {
			r.t.Fatal(err)
		}
		r.shards = append(r.shards, s)
	}
	Connect(r.shards)
}

// change knows how to create and to delete.
func (r *rig) change(c core.Command) core.CommandResult {
	old := r.catalog.Load()
	if old.Topic(c.Topic) != nil && c.Kind == core.CreateTopic {
		return core.CommandResult{Code: core.ErrTopicExists}
	}
	var topics []*core.Topic
	for _, t := range old.Topics {
		if c.Kind != core.DeleteTopic || t.Name != c.Topic {
			topics = append(topics, t)
		}
	}
	if c.Kind == core.CreateTopic {
		t := topic(c.Topic, core.Synced)
		t.ID[15] = byte(old.Revision) // created again it is another one
		for i := range r.shards {
			t.Partitions = append(t.Partitions, core.ShardID(i))
		}
		topics = append(topics, t)
	}
	r.catalog.Store(core.NewCatalog(old.Revision+1, old.Starts, topics))
	return core.CommandResult{}
}

func (r *rig) session(h session.Host, c core.ConnInfo) session.Session {
	if r.sessions != nil {
		return r.sessions(h, c)
	}
	return &fake{id: c.ID, shard: h.Shard()}
}

// idleFS is a disk whose files, while the rig is idle, swallow what is written: the fake
// disk allocates, and looks at every file.
type idleFS struct {
	segment.FS
	r *rig
}

func (f idleFS) Open(name string, mode segment.Mode) (segment.File, error) {
	file, err := f.FS.Open(name, mode)
	return idleFile{file, f.r}, err
}

func (f idleFS) SyncDir(name string) error {
	if f.r.idle {
		return nil
	}
	return f.FS.SyncDir(name)
}

type idleFile struct {
	segment.File
	r *rig
}

func (f idleFile) WriteAt(p []byte, pos int64) (int, error) {
	if f.r.idle {
		return len(p), nil
	}
	return f.File.WriteAt(p, pos)
}

func (f idleFile) WritevAt(bufs [][]byte, pos int64) error {
	if f.r.idle {
		return nil
	}
	return f.File.WritevAt(bufs, pos)
}

func (f idleFile) Datasync() error {
	if f.r.idle {
		return nil
	}
	return f.File.Datasync()
}

func (f idleFile) Allocate(pos, n int64) error {
	if f.r.idle {
		return nil
	}
	return f.File.Allocate(pos, n)
}

type rigEnv struct{ r *rig }

func (e rigEnv) Mono() time.Duration { return e.r.now }
func (e rigEnv) Wall() int64         { return 1_000_000 + e.r.now.Milliseconds() + e.r.skew }
func (e rigEnv) Rand() uint64        { return 4 }

// pump lets everything happen that can without time passing.
func (r *rig) pump() {
	for busy := true; busy; {
		busy = false
		for _, w := range r.workers {
			if !w.stuck && len(w.todo) > 0 {
				j := w.todo[0]
				w.todo = append(w.todo[:0], w.todo[1:]...)
				j.Run()
				w.finished = append(w.finished, j)
				w.loop.rung, busy = true, true
			}
		}
		for i, l := range r.loops {
			if !r.stalled[i] && (l.rung || l.timer != 0 && l.timer <= r.now) {
				if l.timer != 0 && l.timer <= r.now {
					l.timer = 0
				}
				l.rung, busy = false, true
				l.turns++
				r.shards[i].Wake()
				r.shards[i].EndTurn()
			}
		}
	}
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	for end := r.now + d; r.now < end; r.now += 10 * time.Millisecond {
		r.pump()
	}
	r.pump()
}

// fake is a session that asks for what the test put into next, and keeps the answers.
type fake struct {
	id      core.ConnID
	shard   core.ShardID
	next    func(fx *session.Effects)
	answers []session.Completion // without slices
	last    session.Completion
	bytes   []byte // of the last read
	keep    bool
	closed  bool
	ticks   int
	count   int
}

func (f *fake) Receive(in []byte, fx *session.Effects) (int, int, error) {
	if f.next != nil {
		f.next(fx)
	}
	return len(in), 0, nil
}

func (f *fake) Complete(c *session.Completion, fx *session.Effects) {
	f.count++
	f.last = *c
	f.last.Extents = nil
	if f.keep {
		f.answers = append(f.answers, f.last)
	}
	f.bytes = f.bytes[:0]
	for i := range c.Extents {
		if f.keep {
			b := c.Extents[i].Mem
			if b == nil {
				b = make([]byte, c.Extents[i].Len)
				_, _ = c.Extents[i].File.ReadAt(b, int64(c.Extents[i].Pos))
			}
			f.bytes = append(f.bytes, b...)
		}
		fx.SendExtent(c.Extents[i])
	}
}

func (f *fake) Writable(*session.Effects)            {}
func (f *fake) Tick(time.Duration, *session.Effects) { f.ticks++ }
func (f *fake) Closed(*session.Effects)              { f.closed = true }

// open makes a connection to a shard.
func (r *rig) open(shard, slot int) *fake {
	r.t.Helper()
	id := core.MakeConnID(uint32(slot), 1)
	if !r.shards[shard].Open(core.ConnInfo{ID: id}) {
		r.t.Fatal("the connection was refused")
	}
	r.shards[shard].EndTurn()
	f := r.shards[shard].conns.get(id).session.(*fake)
	f.keep = true
	return f
}

// do makes one step of a session.
func (r *rig) do(f *fake, next func(fx *session.Effects)) {
	f.next = next
	s := r.shards[f.shard]
	_, _, _ = s.Receive(f.id, oneByte)
	s.EndTurn()
}

var oneByte = []byte{1}

func (f *fake) ticket(slot uint32) session.Ticket {
	return session.Ticket{Conn: f.id, Shard: f.shard, Slot: slot}
}

func part(t *core.Topic, i int) core.PartitionID {
	return core.PartitionID{Topic: t.ID, Index: int32(i)}
}

// makeBatch is a valid batch of n records' worth; pid -1 is not idempotent.
func makeBatch(pid int64, epoch int16, sequence int32, n, size int) []byte {
	be := binary.BigEndian
	b := make([]byte, batch.HeaderSize+size)
	be.PutUint32(b[8:], uint32(len(b)-batch.LengthEnd))
	b[16] = batch.Magic
	be.PutUint32(b[23:], uint32(n-1))
	be.PutUint64(b[43:], uint64(pid))
	be.PutUint16(b[51:], uint16(epoch))
	be.PutUint32(b[53:], uint32(sequence))
	be.PutUint32(b[57:], uint32(n))
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
