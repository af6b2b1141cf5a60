package shard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/penstock/penstock/codec/batch"
	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// sum is a service whose state is how many records its log has and a checksum of the
// bytes. A call appends a batch and is answered when that is durable.
type sum struct {
	t       *testing.T
	p       core.PartitionID
	records uint64
	hash    uint64
	next    core.Offset
	ticks   int
	open    []session.Ticket // of calls whose append is under way
	seen    []uint64         // records as of each completion
}

func (s *sum) Apply(b []byte) {
	h, err := batch.Valid(b)
	if err != nil || h.Base != s.next {
		s.t.Errorf("applied the batch at %d, expected %d: %v", h.Base, s.next, err)
	}
	s.next = h.Last() + 1
	s.records += uint64(h.Count)
	s.hash = s.hash*31 + uint64(h.CRC)
}

func (s *sum) Snapshot(dst []byte) []byte {
	for _, v := range []uint64{s.records, s.hash, uint64(s.next)} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return dst
}

func (s *sum) Restore(b []byte) error {
	if len(b) != 24 {
		return errors.New("not a snapshot")
	}
	be := binary.BigEndian
	s.records, s.hash, s.next = be.Uint64(b), be.Uint64(b[8:]), core.Offset(be.Uint64(b[16:]))
	return nil
}

func (s *sum) Call(c *session.Call, fx *session.Effects) {
	if s.ticks == 0 {
		s.t.Error("a call came before the first tick")
	}
	if c.Kind == 1 {
		fx.Reply = append(fx.Reply, session.Reply{Ticket: c.Ticket, Body: bytes.ToUpper(c.Body)})
		return
	}
	s.open = append(s.open, c.Ticket)
	fx.Append = append(fx.Append, session.Append{Ticket: session.Ticket{Slot: uint32(len(s.open))}, Partition: s.p,
		Batch: makeBatch(-1, -1, -1, 2, len(c.Body))})
}

func (s *sum) Complete(c *session.Completion, fx *session.Effects) {
	s.seen = append(s.seen, s.records)
	t := s.open[0]
	s.open = s.open[1:]
	fx.Reply = append(fx.Reply, session.Reply{Ticket: t, Outcome: c.Outcome, Code: c.Code})
}

func (s *sum) Tick(time.Duration, *session.Effects) { s.ticks++ }

// newSums is a rig with an internal topic.
func newSums(t *testing.T) (r *rig, tp *core.Topic, sums map[core.PartitionID]*sum) {
	tp = topic("groups", core.Synced)
	tp.Internal = true
	sums = map[core.PartitionID]*sum{}
	r = &rig{t: t}
	*r = *newRig(t, 2, tp)
	r.services = func(_ session.Host, _ *core.Topic, p core.PartitionID) session.Service {
		sums[p] = &sum{t: t, p: p}
		return sums[p]
	}
	r.start(2)
	return r, tp, sums
}

func (r *rig) call(f *fake, p core.PartitionID, kind int16, body string) *session.Completion {
	r.do(f, func(fx *session.Effects) {
		fx.Call = append(fx.Call, session.Call{Ticket: f.ticket(1), Partition: p, Kind: kind, Body: []byte(body)})
	})
	r.pump()
	return &f.last
}

func TestAServiceIsCalledFromAnyShard(t *testing.T) {
	r, tp, sums := newSums(t)
	f := r.open(0, 1)
	for _, where := range []int{0, 1} {
		want(t, r.call(f, part(tp, where), 1, "hello"), core.Done, core.OK, 0)
		if string(f.last.Body) != "HELLO" || f.last.Ticket != f.ticket(1) {
			t.Errorf("the reply is %q to %+v", f.last.Body, f.last.Ticket)
		}
		for range 3 {
			want(t, r.call(f, part(tp, where), 2, "x"), core.Done, core.OK, 0)
		}
		s := sums[part(tp, where)]
		if s.records != 6 || len(s.seen) != 3 || s.seen[0] != 2 || s.seen[2] != 6 {
			t.Errorf("applied %d records; as of the completions %v", s.records, s.seen)
		}
	}
}

func TestAServiceIsRestoredFromItsSnapshotAndTheLog(t *testing.T) {
	for _, clean := range []bool{true, false} {
		r, tp, sums := newSums(t)
		f := r.open(0, 1)
		for range 5 {
			r.call(f, part(tp, 1), 2, "some bytes")
		}
		before := *sums[part(tp, 1)]
		if clean {
			for _, s := range r.shards {
				s.Stop(func(error) {})
			}
			r.pump()
		}
		r.disk, r.memory = r.disk.Kill(), r.memory.Kill()
		r.start(2)
		after := sums[part(tp, 1)]
		if after.records != 10 || after.hash != before.hash || after.next != before.next {
			t.Errorf("clean %v: restored %+v; was %+v", clean, after, before)
		}
		f = r.open(0, 1)
		want(t, r.call(f, part(tp, 1), 2, "x"), core.Done, core.OK, 0)
		if after.records != 12 {
			t.Errorf("%d records", after.records)
		}
	}
}

func TestCallsThatAreOutDoNotKeepOthersFromBeingSent(t *testing.T) {
	r, tp, _ := newSums(t)
	f, g := r.open(0, 1), r.open(0, 2)
	for _, w := range r.workers {
		w.stuck = true
	}
	const n = 2 * ringMax
	for i := range n {
		r.do(f, func(fx *session.Effects) {
			fx.Call = append(fx.Call, session.Call{Ticket: f.ticket(uint32(i)), Partition: part(tp, 1), Kind: 2})
		})
		r.pump()
	}
	want(t, r.call(g, part(tp, 1), 1, "a"), core.Done, core.OK, 0)
	if g.count != 1 || f.count != 0 {
		t.Fatalf("%d and %d answers", g.count, f.count)
	}
	for _, w := range r.workers {
		w.stuck = false
	}
	r.pump()
	if f.count != n {
		t.Errorf("%d of %d answers", f.count, n)
	}
}

func TestASnapshotOfAServiceThatIsOlderThanTheLogIsNotUsed(t *testing.T) {
	made := &partition{producers: newProducers(), svc: &service{logic: &sum{t: t, records: 3, next: 5}, applied: 5}}
	blob := made.snapshot(nil)
	for start, want := range map[core.Offset]core.Offset{4: 5, 5: 5, 6: 6} {
		logic := &sum{t: t}
		p := &partition{producers: newProducers(), svc: &service{logic: logic}}
		if _, from := p.restore(blob, start, 10, 0); from != want || (logic.records == 3) != (start <= 5) {
			t.Errorf("a log that starts at %d: from %d with %d records", start, from, logic.records)
		}
	}
}
