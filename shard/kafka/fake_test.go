package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	codec "github.com/penstock/penstock/codec/kafka"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// fake is a shard with partitions in memory and one connection. Completions are queued,
// as a shard does it, and given by run.
type fake struct {
	t            testing.TB
	mono         time.Duration
	catalog      *core.Catalog
	cluster      *core.Cluster
	logs         map[core.PartitionID]*fakeLog
	s            session.Session
	fx           session.Effects
	queue        []session.Completion
	waits        []session.Wait
	out          []byte
	pending      []byte // input not used yet
	closed       bool
	paused       bool
	hold         bool // completions stay in the queue
	next         int32
	pid          int64
	calls        []session.Call
	refuse       core.Code           // of appends
	refuseRead   map[int32]core.Code // of partitions, by index
	refuseChange core.Code
	commands     []core.Command // but for those that allocate producer ids
	service      func(*session.Call) session.Completion

	deadline time.Duration // that the session has set
	extents  []core.Extent // that were given out
	heldMax  int           // bytes of them that were held at once
}

type fakeLog struct {
	start, end core.Offset
	batches    [][]byte
}

func (f *fake) Mono() time.Duration    { return f.mono }
func (f *fake) Wall() int64            { return 1_000_000 }
func (f *fake) Rand() uint64           { return 4 }
func (f *fake) Shard() core.ShardID    { return 0 }
func (f *fake) Catalog() *core.Catalog { return f.catalog }
func (f *fake) Cluster() *core.Cluster { return f.cluster }

const normalListener, coreListener = 0, 2 // core 1

func newFake(t testing.TB, listener int, opt Options) *fake {
	f := &fake{t: t, logs: map[core.PartitionID]*fakeLog{}, mono: time.Second}
	f.cluster = &core.Cluster{ID: "clusterclusterclusterC", Node: 1, CoreBase: 1001, Rack: "host", Shards: 2, Brokers: 2, Listeners: []core.Listener{
		{Core: core.NormalView, Port: 9092}, {Core: 0, Port: 9192}, {Core: 1, Port: 9193, Advertised: "core.example"}}}
	f.catalog = core.NewCatalog(1, 3, nil)
	f.s = New(f, core.ConnInfo{ID: core.MakeConnID(7, 1), Listener: listener, Local: netip.MustParseAddrPort("127.0.0.1:9092"), Remote: netip.MustParseAddrPort("127.0.0.9:4000")}, opt)
	f.receive()
	return f
}

func (f *fake) topic(name string, owners ...core.ShardID) *core.Topic {
	t := &core.Topic{ID: core.TopicID{1, byte(len(f.catalog.Topics) + 1)}, Name: name, Partitions: owners, Set: map[string]string{}, Config: core.DefaultTopicConfig()}
	f.catalog = core.NewCatalog(f.catalog.Revision+1, 3, append(f.catalog.Topics[:len(f.catalog.Topics):len(f.catalog.Topics)], t))
	return t
}

func (f *fake) log(id core.PartitionID) *fakeLog {
	if f.logs[id] == nil {
		f.logs[id] = &fakeLog{}
	}
	return f.logs[id]
}

// give offers bytes, and runs what follows from them.
func (f *fake) give(b []byte) {
	f.pending = append(f.pending, b...)
	f.receive()
	f.run()
}

func (f *fake) receive() {
	if f.closed || f.paused {
		return
	}
	f.fx.Reset()
	used, _, err := f.s.Receive(f.pending, &f.fx)
	f.carry()
	f.pending = f.pending[used:]
	f.closed = f.closed || err != nil
}

func (f *fake) run() {
	for len(f.queue) > 0 && !f.hold {
		f.heldMax = max(f.heldMax, f.holding())
		c := f.queue[0]
		f.queue = f.queue[1:]
		was := f.paused
		f.fx.Reset()
		f.s.Complete(&c, &f.fx)
		f.carry()
		if was && !f.paused {
			f.receive()
		}
	}
}

func (f *fake) tick() {
	f.fx.Reset()
	f.s.Tick(f.mono, &f.fx)
	f.carry()
	f.run()
}

func (f *fake) carry() {
	for i := range f.fx.Append {
		f.queue = append(f.queue, f.append(&f.fx.Append[i]))
	}
	for i := range f.fx.Read {
		f.queue = append(f.queue, f.read(&f.fx.Read[i]))
	}
	f.waits = append(f.waits, f.fx.Wait...)
	for _, t := range f.fx.Cancel {
		for i := range f.waits {
			if f.waits[i].Ticket == t {
				f.waits = append(f.waits[:i], f.waits[i+1:]...)
				f.queue = append(f.queue, session.Completion{Ticket: t, Outcome: core.Cancelled})
				break
			}
		}
	}
	for i := range f.fx.Query {
		f.queue = append(f.queue, f.query(&f.fx.Query[i]))
	}
	for i := range f.fx.Call {
		c := f.fx.Call[i]
		c.Body = append([]byte(nil), c.Body...)
		f.calls = append(f.calls, c)
		done := session.Completion{Outcome: core.Refused, Code: core.ErrCoordinatorLoading}
		if f.service != nil {
			done = f.service(&c)
		}
		done.Ticket = c.Ticket
		f.queue = append(f.queue, done)
	}
	for i := range f.fx.Change {
		f.queue = append(f.queue, f.change(&f.fx.Change[i]))
	}
	for i := range f.fx.Out {
		if o := &f.fx.Out[i]; o.Extent.Pin != nil {
			f.out = append(f.out, o.Extent.Mem...)
			o.Extent.Release()
		} else {
			f.out = append(f.out, o.Bytes...)
		}
	}
	if f.fx.Deadline != 0 {
		f.deadline = max(f.fx.Deadline, 0)
	}
	f.paused = f.fx.Pause
	f.closed = f.closed || f.fx.Close
}

func (f *fake) append(a *session.Append) session.Completion {
	l := f.log(a.Partition)
	if f.refuse != core.OK {
		return session.Completion{Ticket: a.Ticket, Outcome: core.Refused, Code: f.refuse}
	}
	b := append([]byte(nil), a.Batch...)
	binary.BigEndian.PutUint64(b, uint64(l.end))
	base := l.end
	l.end += core.Offset(binary.BigEndian.Uint32(b[57:]))
	l.batches = append(l.batches, b)
	kept := f.waits[:0]
	for _, w := range f.waits {
		if w.Partition == a.Partition && l.end > w.From {
			f.queue = append(f.queue, session.Completion{Ticket: w.Ticket})
			continue
		}
		kept = append(kept, w)
	}
	f.waits = kept
	return session.Completion{Ticket: a.Ticket, Base: base, Timestamp: -1, LogStart: l.start}
}

func (f *fake) read(r *session.Read) session.Completion {
	l := f.log(r.Partition)
	c := session.Completion{Ticket: r.Ticket, LogStart: l.start, HighWatermark: l.end, LastStable: l.end, End: l.end, Epoch: 3}
	if _, ok := f.catalog.Owner(r.Partition); !ok {
		c.Outcome, c.Code = core.Refused, core.ErrUnknownPartition
		return c
	}
	if code := f.refuseRead[r.Partition.Index]; code != core.OK {
		c.Outcome, c.Code = core.Refused, code
		return c
	}
	if code := epochError(r.Epoch); code != core.OK {
		c.Outcome, c.Code = core.Refused, code
		return c
	}
	if r.From < l.start || r.From > l.end {
		c.Outcome, c.Code = core.Refused, core.ErrOffsetRange
		return c
	}
	for _, b := range l.batches {
		last := core.Offset(binary.BigEndian.Uint64(b)) + core.Offset(binary.BigEndian.Uint32(b[57:])) - 1
		if last < r.From {
			continue
		}
		if c.Bytes+len(b) > r.Max && !(r.First && c.Bytes == 0) {
			break
		}
		pin := new(core.Pin)
		pin.Hold()
		c.Extents = append(c.Extents, core.Extent{Mem: b, Len: len(b), Pin: pin})
		c.Bytes += len(b)
	}
	f.extents = append(f.extents, c.Extents...)
	return c
}

// epochError judges the leader epoch that a client knows; ours is 3.
func epochError(e core.Epoch) core.Code {
	switch {
	case e == -1 || e == 3:
		return core.OK
	case e < 3:
		return core.ErrFencedLeaderEpoch
	}
	return core.ErrUnknownLeaderEpoch
}

// holding is how many bytes that were given out have not been released.
func (f *fake) holding() (n int) {
	for i := range f.extents {
		if f.extents[i].Pin.Held() {
			n += f.extents[i].Len
		}
	}
	return n
}

func (f *fake) query(q *session.Query) session.Completion {
	l := f.log(q.Partition)
	c := session.Completion{Ticket: q.Ticket, LogStart: l.start, HighWatermark: l.end, LastStable: l.end, End: l.end, Epoch: 3, Base: -1, Timestamp: -1, Size: 11}
	if code := f.refuseRead[q.Partition.Index]; code != core.OK {
		return session.Completion{Ticket: q.Ticket, Outcome: core.Refused, Code: code}
	}
	if code := epochError(q.Epoch); code != core.OK {
		return session.Completion{Ticket: q.Ticket, Outcome: core.Refused, Code: code}
	}
	switch q.Kind {
	case session.QueryTime:
		if q.Arg <= 500 && l.end > 0 {
			c.Base, c.Timestamp = 0, 500
		}
	case session.QueryMaxTime:
		c.Base, c.Timestamp = l.end-1, 900
	case session.QueryEpochEnd:
		if c.Epoch = -1; q.Arg >= 3 {
			c.Epoch, c.Base = 3, l.end
		}
	case session.QueryTrim:
		if q.Arg == -1 {
			q.Arg = int64(l.end)
		}
		l.start = core.Offset(q.Arg)
		c.LogStart = l.start
	}
	return c
}

func (f *fake) change(ch *session.Change) session.Completion {
	cmd := &ch.Command
	r := &core.CommandResult{}
	if f.refuseChange != core.OK {
		return session.Completion{Ticket: ch.Ticket, Outcome: core.Refused, Code: f.refuseChange}
	}
	switch cmd.Kind {
	case core.AlterTopic:
		f.commands = append(f.commands, *cmd)
	case core.CreatePartitions:
		if t := f.catalog.Topic(cmd.Topic); t == nil {
			r.Code, r.Text = core.ErrUnknownTopic, "there is no topic "+cmd.Topic
		} else if f.commands = append(f.commands, *cmd); int(cmd.Partitions) <= len(t.Partitions) {
			r.Code, r.Text = core.ErrInvalidPartitions, "the number can only grow"
		}
	case core.AllocateProducerID:
		f.pid++
		r.ProducerID = f.pid
	case core.CreateTopic:
		f.commands = append(f.commands, *cmd)
		set := map[string]string{}
		for k, v := range cmd.Set {
			set[k] = *v
		}
		if _, err := core.ParseTopicConfig(core.DefaultTopicConfig(), set); err != nil {
			r.Code, r.Text = core.ErrInvalidConfig, err.Error()
			break
		}
		n := max(int(cmd.Partitions), 1)
		r.Topic = &core.Topic{Name: cmd.Topic, Partitions: make([]core.ShardID, n), Config: core.DefaultTopicConfig()}
		if !cmd.DryRun {
			r.Topic = f.topic(cmd.Topic, make([]core.ShardID, n)...)
		}
	default:
		r.Code, r.Text = core.ErrUnknownTopic, "there is no topic "+cmd.Topic
	}
	return session.Completion{Ticket: ch.Ticket, Result: r}
}

// frame encodes a request.
func (f *fake) frame(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	f.next++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, f.next)
}

// ask sends a request and decodes its answer.
func (f *fake) ask(req kmsg.Request, version int16) kmsg.Response {
	f.t.Helper()
	f.give(f.frame(req, version))
	return f.answer(req, version, f.next)
}

// answer takes the next response off the output.
func (f *fake) answer(req kmsg.Request, version int16, correlation int32) kmsg.Response {
	f.t.Helper()
	if len(f.out) < 8 {
		f.t.Fatalf("no answer to key %d version %d (closed: %v)", req.Key(), version, f.closed)
	}
	n := int(binary.BigEndian.Uint32(f.out))
	b := f.out[4 : 4+n]
	f.out = f.out[4+n:]
	if got := int32(binary.BigEndian.Uint32(b)); got != correlation {
		f.t.Fatalf("correlation %d, want %d", got, correlation)
	}
	b = b[4:]
	if api := codec.Lookup(req.Key()); version >= api.Flexible && req.Key() != codec.ApiVersions {
		b = b[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if err := resp.ReadFrom(b); err != nil {
		f.t.Fatalf("key %d version %d: %v", req.Key(), version, err)
	}
	return resp
}

// someBatch is a batch of n records; change alters it before its CRC is made.
func someBatch(n int, change func(b []byte)) []byte {
	b := make([]byte, 61, 61+10*n)
	be := binary.BigEndian
	var num [10]byte
	for i := range n {
		delta := num[:binary.PutVarint(num[:], int64(i))]
		b = append(b, byte(2*(5+len(delta)))) // length, zigzag
		b = append(b, 0, 0)                   // attributes, timestamp delta
		b = append(b, delta...)
		b = append(b, 1, 0, 0) // null key, empty value, no headers
	}
	be.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	be.PutUint32(b[23:], uint32(n-1))
	be.PutUint64(b[27:], 1_000_000)
	be.PutUint64(b[35:], 1_000_000)
	be.PutUint64(b[43:], 1<<64-1)
	be.PutUint16(b[51:], 1<<16-1)
	be.PutUint32(b[53:], 1<<32-1)
	be.PutUint32(b[57:], uint32(n))
	if change != nil {
		change(b)
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func produceOf(topic string, id core.TopicID, acks int16, records ...[]byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	for i, r := range records {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i), r
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func fetchOf(topic string, id core.TopicID, wait, minBytes int32, froms ...int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = wait, minBytes, 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	for i, from := range froms {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = int32(i), from, 1<<20, -1
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}
