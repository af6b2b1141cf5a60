package group

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// world is a coordinator with everything around it: a clock, a catalog, a log that
// completes appends when it is told to, and clients that remember what they asked.
type world struct {
	t       *testing.T
	mono    time.Duration
	wall    int64
	rand    uint64
	topics  map[string]core.TopicID
	catalog *core.Catalog
	topic   core.TopicID // of __consumer_offsets

	opt     Options
	c       *Coordinator
	fx      session.Effects
	due     time.Duration // the deadline that the coordinator has set; negative: none
	log     []logged      // durable batches, in order; the first is at start
	start   core.Offset
	end     core.Offset // the offset that the next append gets
	queue   []logged    // appended, not yet durable
	trims   []session.Query
	hold    bool // appends wait for release
	calls   map[uint32]asked
	slot    uint32
	answers []answered
	written []logged // by the steps since the last look
	trimmed []core.Offset
}

type logged struct {
	ticket session.Ticket
	batch  []byte
	base   core.Offset
	last   core.Offset
}

type asked struct {
	who     string
	key     int16
	version int16
}

type answered struct {
	asked
	ticket session.Ticket
	at     time.Duration
	code   core.Code
	body   []byte
}

func newWorld(t *testing.T, opt Options) *world {
	w := &world{t: t, mono: time.Second, wall: 1_700_000_000_000, topics: map[string]core.TopicID{}, topic: core.TopicID{0xff}, opt: opt, calls: map[uint32]asked{}}
	w.createTopic("a")
	w.createTopic("b")
	w.boot(nil)
	return w
}

func (w *world) Mono() time.Duration    { return w.mono }
func (w *world) Wall() int64            { return w.wall }
func (w *world) Rand() uint64           { w.rand++; return w.rand }
func (w *world) Shard() core.ShardID    { return 3 }
func (w *world) Catalog() *core.Catalog { return w.catalog }
func (w *world) Cluster() *core.Cluster { return &core.Cluster{} }

// boot starts a coordinator from the log, or from a snapshot and what follows it.
func (w *world) boot(blob []byte) {
	w.c = newCoordinator(w, core.PartitionID{Topic: w.topic}, w.opt)
	w.queue, w.trims, w.calls = nil, nil, map[uint32]asked{}
	if len(w.log) > 0 {
		w.end = w.log[len(w.log)-1].last + 1
	}
	from := core.Offset(0)
	if blob != nil {
		if err := w.c.Restore(blob); err != nil {
			w.t.Fatal(err)
		}
		if from = w.c.fold.next; from < w.start { // as the shard: what came between is gone
			w.c, from = newCoordinator(w, core.PartitionID{Topic: w.topic}, w.opt), w.start
		}
	}
	for _, l := range w.log {
		if l.base >= from && l.base >= w.start {
			w.c.Apply(l.batch)
		}
	}
	w.due = -1
	w.step(func(fx *session.Effects) { w.c.Tick(w.mono, fx) })
}

func (w *world) createTopic(name string) {
	var id core.TopicID
	binary.BigEndian.PutUint32(id[:], uint32(w.revision()+1))
	copy(id[4:], name)
	w.topics[name] = id
	w.publish()
}

func (w *world) deleteTopic(name string) {
	delete(w.topics, name)
	w.publish()
}

func (w *world) revision() int64 {
	if w.catalog == nil {
		return 0
	}
	return w.catalog.Revision
}

func (w *world) publish() {
	config := core.DefaultTopicConfig()
	list := []*core.Topic{{ID: w.topic, Name: "__consumer_offsets", Internal: true, Partitions: make([]core.ShardID, 1), Config: config}}
	for name, id := range w.topics {
		list = append(list, &core.Topic{ID: id, Name: name, Partitions: make([]core.ShardID, 4), Config: config})
	}
	w.catalog = core.NewCatalog(w.revision()+1, 0, list)
}

// step runs one step and takes its effects.
func (w *world) step(f func(fx *session.Effects)) {
	w.fx.Reset()
	f(&w.fx)
	for _, a := range w.fx.Append {
		b := append([]byte(nil), a.Batch...)
		h, err := batch.Valid(b)
		if err != nil || h.Count < 1 || h.LastDelta != h.Count-1 {
			w.t.Fatalf("a batch that is not valid: %+v, %v", h, err)
		}
		batch.Stamp{Base: w.end, Epoch: 1, AppendTime: -1}.Apply(b[:batch.HeaderSize], b[batch.HeaderSize:])
		l := logged{ticket: a.Ticket, batch: b, base: w.end, last: w.end + core.Offset(h.LastDelta)}
		w.end = l.last + 1
		w.queue = append(w.queue, l)
	}
	w.trims = append(w.trims, w.fx.Query...)
	for _, r := range w.fx.Reply {
		call, ok := w.calls[r.Ticket.Slot]
		if !ok {
			w.t.Fatalf("an answer that nobody waits for, or a second one: %+v", r.Ticket)
		}
		delete(w.calls, r.Ticket.Slot)
		w.answers = append(w.answers, answered{call, r.Ticket, w.mono, r.Code, append([]byte(nil), r.Body...)})
	}
	if w.fx.Deadline != 0 {
		w.due = w.fx.Deadline
	}
	if !w.hold {
		w.release()
	}
}

// release makes everything durable that has been appended.
func (w *world) release() {
	for len(w.queue) > 0 || len(w.trims) > 0 {
		if len(w.queue) == 0 {
			q := w.trims[0]
			w.trims = w.trims[1:]
			w.trim(core.Offset(q.Arg))
			w.complete(session.Completion{Ticket: q.Ticket, LogStart: core.Offset(q.Arg)})
			continue
		}
		w.releaseOne()
	}
}

func (w *world) releaseOne() {
	l := w.queue[0]
	w.queue = w.queue[1:]
	w.log = append(w.log, l)
	w.written = append(w.written, l)
	w.c.Apply(l.batch)
	w.complete(session.Completion{Ticket: l.ticket, Base: l.base})
}

func (w *world) trim(to core.Offset) {
	w.start = to
	w.trimmed = append(w.trimmed, to)
	for len(w.log) > 0 && w.log[0].last < to {
		w.log = w.log[1:]
	}
}

// fail ends everything that has been appended and is not durable.
func (w *world) fail(outcome core.Outcome, code core.Code) {
	for len(w.queue) > 0 {
		l := w.queue[0]
		w.queue = w.queue[1:]
		w.complete(session.Completion{Ticket: l.ticket, Outcome: outcome, Code: code})
	}
}

func (w *world) complete(c session.Completion) {
	w.step(func(fx *session.Effects) { w.c.Complete(&c, fx) })
}

// advance lets time pass, with every tick at its time.
func (w *world) advance(d time.Duration) {
	until := w.mono + d
	for w.due > 0 && w.due <= until {
		w.pass(max(w.due-w.mono, 0))
		before := w.due
		w.step(func(fx *session.Effects) { w.c.Tick(w.mono, fx) })
		if w.due == before {
			w.t.Fatalf("the deadline %v has been served and is still there", before)
		}
	}
	w.pass(until - w.mono)
}

func (w *world) pass(d time.Duration) {
	w.mono += d
	w.wall += d.Milliseconds()
}

// ask sends a request.
func (w *world) ask(who string, req kmsg.Request) uint32 {
	return w.askRaw(who, req.Key(), req.GetVersion(), req.AppendTo(nil))
}

func (w *world) askRaw(who string, key, version int16, request []byte) uint32 {
	w.slot++
	w.calls[w.slot] = asked{who, key, version}
	var body []byte
	for _, s := range []string{who, "/127.0.0.1"} {
		body = binary.BigEndian.AppendUint16(body, uint16(len(s)))
		body = append(body, s...)
	}
	body = append(body, request...)
	call := session.Call{Ticket: session.Ticket{Conn: core.MakeConnID(1, 1), Slot: w.slot}, Partition: core.PartitionID{Topic: w.topic}, Kind: key, Version: version, Body: body}
	slot := w.slot
	w.step(func(fx *session.Effects) {
		w.c.Call(&call, fx)
		for i := range body { // it was borrowed
			body[i] = 0xdb
		}
	})
	return slot
}

// decodeAnswer reads the body of an answer.
func (w *world) decodeAnswer(a *answered) kmsg.Response {
	resp := kmsg.ResponseForKey(a.key)
	resp.SetVersion(a.version)
	if err := resp.ReadFrom(a.body); err != nil {
		w.t.Fatalf("the answer to %s's %s v%d cannot be read: %v", a.who, kmsg.NameForKey(a.key), a.version, err)
	}
	return resp
}

// answerTo returns the answer to a request and forgets it; nil if it is not there yet.
func (w *world) answerTo(slot uint32) kmsg.Response {
	for i := range w.answers {
		if w.answers[i].ticket.Slot == slot {
			a := w.answers[i]
			w.answers = append(w.answers[:i], w.answers[i+1:]...)
			if a.code != core.OK {
				w.t.Fatalf("refused: %v", a.code)
			}
			return w.decodeAnswer(&a)
		}
	}
	return nil
}
