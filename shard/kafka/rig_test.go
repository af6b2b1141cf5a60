package kafka

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/segment"
	"github.com/penstock/penstock/segment/fakefs"
	"github.com/penstock/penstock/shard"
	"github.com/penstock/penstock/shard/kafka/group"
	"github.com/penstock/penstock/shard/meta"
	"github.com/penstock/penstock/shard/session"
)

// world is a whole broker without a network and a clock: real shards, logs on a disk in
// memory, sessions and group coordinators. Turns and jobs happen when the test says so.
type world struct {
	t            testing.TB
	now          time.Duration
	disk, memory *fakefs.FS
	catalog      *atomic.Pointer[core.Catalog]
	change       func(core.Command) core.CommandResult
	groups       group.Options
	cluster      *core.Cluster
	options      Options
	shards       []*shard.Shard
	loops        []*brokerLoop
	workers      []*brokerWorker
	next         uint32 // connection
}

type brokerWorker struct {
	loop     *brokerLoop
	stuck    bool // jobs wait
	todo     []core.Job
	finished []core.Job
}

func (w *brokerWorker) Submit(j core.Job) { w.todo = append(w.todo, j) }

func (w *brokerWorker) Drain() {
	for i := 0; i < len(w.finished); i++ {
		w.finished[i].Done()
	}
	w.finished = w.finished[:0]
}

// brokerLoop collects what is sent to each connection.
type brokerLoop struct {
	rung   bool
	timer  time.Duration
	out    map[core.ConnID][]byte
	closed map[core.ConnID]bool
}

func (l *brokerLoop) Send(id core.ConnID, p []byte) { l.out[id] = append(l.out[id], p...) }
func (l *brokerLoop) SendExtent(id core.ConnID, e core.Extent) {
	b := e.Mem
	if b == nil {
		b = make([]byte, e.Len)
		_, _ = e.File.ReadAt(b, int64(e.Pos))
	}
	l.out[id] = append(l.out[id], b...)
	e.Release()
}
func (l *brokerLoop) Queued(core.ConnID) int          { return 0 }
func (l *brokerLoop) Pause(core.ConnID, bool)         {}
func (l *brokerLoop) Close(id core.ConnID, _ bool)    { l.closed[id] = true }
func (l *brokerLoop) Timer(at time.Duration)          { l.timer = at }
func (l *brokerLoop) Ring()                           { l.rung = true }
func (b *world) Mono() time.Duration                  { return b.now }
func (b *world) Wall() int64                          { return 1_000_000 + b.now.Milliseconds() }
func (b *world) Rand() uint64                         { b.next++; return uint64(b.next) }
func (b *world) topic(name string) *core.Topic        { return b.catalog.Load().Topic(name) }
func (b *world) owns(name string, at ...core.ShardID) { b.publish(name, at, b.topic(name)) }

// publish makes a topic, or gives an old one other owners.
func (b *world) publish(name string, owners []core.ShardID, was *core.Topic) {
	t := &core.Topic{Name: name, Partitions: owners, Internal: name == offsetsName, Config: core.DefaultTopicConfig(), Set: map[string]string{}}
	copy(t.ID[:], name)
	topics := []*core.Topic{t}
	if old := b.catalog.Load(); old != nil {
		for _, o := range old.Topics {
			if o != was {
				topics = append(topics, o)
			}
		}
	}
	b.catalog.Store(core.NewCatalog(1, 3, topics))
}

// newWorld makes a broker of n shards with the topics t and __consumer_offsets, of so
// many partitions, dealt to the shards in turn.
func newWorld(t testing.TB, n, partitions int, groups group.Options) *world {
	b := &world{t: t, disk: fakefs.New(), memory: fakefs.New(), groups: groups, catalog: new(atomic.Pointer[core.Catalog])}
	b.change = func(core.Command) core.CommandResult { return core.CommandResult{Code: core.ErrUnsupported} }
	for _, name := range []string{"t", offsetsName} {
		b.publish(name, b.deal(n, partitions, 0), nil)
	}
	b.start(n)
	return b
}

// newRealWorld is newWorld with the real writer of the catalog: topics can be made.
func newRealWorld(t testing.TB, n int) *world {
	b := &world{t: t, disk: fakefs.New(), memory: fakefs.New()}
	m, err := meta.Open(fakefs.New(), meta.Options{Env: b, Shards: n, Partitions: 1, Defaults: core.DefaultTopicConfig(), PartitionsMax: 100})
	if err != nil {
		t.Fatal(err)
	}
	b.change, b.catalog = m.Do, m.Catalog()
	if r := m.Do(core.Command{Kind: core.CreateTopic, Topic: offsetsName, Partitions: 1, Internal: true}); r.Code != core.OK {
		t.Fatal(r.Text)
	}
	b.start(n)
	return b
}

// deal gives partition i to shard i+by, modulo n.
func (b *world) deal(n, partitions, by int) (owners []core.ShardID) {
	for i := range partitions {
		owners = append(owners, core.ShardID((i+by)%n))
	}
	return owners
}

func (b *world) start(n int) {
	b.t.Helper()
	b.shards, b.loops, b.workers = nil, nil, nil
	b.cluster = &core.Cluster{ID: "clusterclusterclusterC", Node: 1, CoreBase: 1001, Shards: n, Brokers: n, Listeners: []core.Listener{{Core: core.NormalView, Port: 9092}}}
	for i := range n {
		b.cluster.Listeners = append(b.cluster.Listeners, core.Listener{Core: i, Port: int32(9192 + i)})
	}
	rec, err := segment.Recover(segment.RecoverConfig{FS: b.disk, Arena: b.memory, Shards: n})
	if err != nil {
		b.t.Fatal(err)
	}
	for i := range n {
		l := &brokerLoop{out: map[core.ConnID][]byte{}, closed: map[core.ConnID]bool{}}
		b.loops = append(b.loops, l)
		var ws []*brokerWorker
		for range 4 {
			ws = append(ws, &brokerWorker{loop: l})
		}
		b.workers = append(b.workers, ws...)
		s, err := shard.New(shard.Config{ID: core.ShardID(i), Env: b, Loop: l, Cluster: b.cluster, Catalog: b.catalog,
			Store: segment.Config{FS: b.disk, Arena: b.memory, Env: b, ArenaBytes: 2 << 20, ChunkBytes: 64 << 10,
				JournalBytes: 4 << 20, CheckpointBytes: 1 << 20, Sync: ws[0], Write: ws[1], Read: ws[2]},
			Recovery: rec, Control: ws[3], Change: b.change,
			Sessions: func(h session.Host, c core.ConnInfo) session.Session { return New(h, c, b.options) },
			Services: func(h session.Host, t *core.Topic, p core.PartitionID) session.Service {
				return group.New(h, p, b.groups)
			}})
		if err != nil {
			b.t.Fatal(err)
		}
		b.shards = append(b.shards, s)
	}
	shard.Connect(b.shards)
}

// pump lets everything happen that can without time passing.
func (b *world) pump() {
	for busy := true; busy; {
		busy = false
		for _, w := range b.workers {
			if !w.stuck && len(w.todo) > 0 {
				j := w.todo[0]
				w.todo = append(w.todo[:0], w.todo[1:]...)
				j.Run()
				w.finished = append(w.finished, j)
				w.loop.rung, busy = true, true
			}
		}
		for i, l := range b.loops {
			if due := l.timer != 0 && l.timer <= b.now; l.rung || due {
				if due {
					l.timer = 0
				}
				l.rung, busy = false, true
				b.shards[i].Wake()
				b.shards[i].EndTurn()
			}
		}
	}
}

// pass lets time go by.
func (b *world) pass(d time.Duration) {
	for end := b.now + d; b.now < end; b.now += 10 * time.Millisecond {
		b.pump()
	}
	b.pump()
}

// restart ends the shards, in good order or by killing the process, and starts n others
// with the partitions dealt to them in another way.
func (b *world) restart(clean bool, n, by int) {
	if clean {
		for _, s := range b.shards {
			s.Stop(func(error) {})
		}
		b.pump()
	}
	b.disk, b.memory = b.disk.Kill(), b.memory.Kill()
	for _, t := range b.catalog.Load().Topics {
		b.owns(t.Name, b.deal(n, len(t.Partitions), by)...)
	}
	b.start(n)
}

// client is one connection.
type client struct {
	b     *world
	shard int
	id    core.ConnID
	in    []byte
	next  int32
}

func (b *world) open(shard, listener int) *client {
	b.t.Helper()
	b.next++
	c := &client{b: b, shard: shard, id: core.MakeConnID(b.next, 1)}
	info := core.ConnInfo{ID: c.id, Listener: listener, Local: netip.MustParseAddrPort("127.0.0.1:9092"), Remote: netip.MustParseAddrPort("127.0.0.9:4000")}
	if !b.shards[shard].Open(info) {
		b.t.Fatal("the connection was refused")
	}
	b.shards[shard].EndTurn()
	return c
}

// send sends a request and lets everything happen that follows at once.
func (c *client) send(req kmsg.Request, version int16) {
	req.SetVersion(version)
	c.next++
	c.in = kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(c.in, req, c.next)
	used, _, err := c.b.shards[c.shard].Receive(c.id, c.in)
	if err != nil {
		c.b.t.Fatal(err)
	}
	c.in = c.in[used:]
	c.b.shards[c.shard].EndTurn()
	c.b.pump()
}

// take decodes the next answer; nil if there is none yet.
func (c *client) take(req kmsg.Request) kmsg.Response {
	l := c.b.loops[c.shard]
	out := l.out[c.id]
	if len(out) < 4 || len(out) < 4+int(binary.BigEndian.Uint32(out)) {
		return nil
	}
	n := 4 + int(binary.BigEndian.Uint32(out))
	body := out[8:n]
	l.out[c.id] = out[n:]
	if req.GetVersion() >= codec.Lookup(req.Key()).Flexible && req.Key() != codec.ApiVersions {
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body); err != nil {
		c.b.t.Fatal(err)
	}
	return resp
}

// ask is send and take.
func (c *client) ask(req kmsg.Request, version int16) kmsg.Response {
	c.b.t.Helper()
	c.send(req, version)
	resp := c.take(req)
	if resp == nil {
		c.b.t.Fatalf("no answer to %s", kmsg.NameForKey(req.Key()))
	}
	return resp
}
