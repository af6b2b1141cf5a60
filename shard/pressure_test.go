package shard

import (
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

func TestAFullRingPausesTheConnectionAndLosesNothing(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	f, g := r.open(0, 1), r.open(0, 2)
	const n = 3 * ringMax
	r.do(f, func(fx *session.Effects) {
		for i := range n {
			fx.Query = append(fx.Query, session.Query{Ticket: f.ticket(uint32(i)), Partition: part(tp, 1), Kind: session.QueryBounds, Epoch: -1})
		}
	})
	if !r.loops[0].paused[f.id] || r.loops[0].paused[g.id] {
		t.Fatalf("paused: %v", r.loops[0].paused)
	}
	r.do(g, func(fx *session.Effects) { // waits behind the others
		fx.Query = append(fx.Query, session.Query{Ticket: g.ticket(0), Partition: part(tp, 1), Kind: session.QueryBounds, Epoch: -1})
	})
	if !r.loops[0].paused[g.id] {
		t.Error("a connection whose message waits is read on")
	}
	r.pump()
	if len(f.answers) != n || len(g.answers) != 1 {
		t.Fatalf("%d of %d and %d of 1 answers", len(f.answers), n, len(g.answers))
	}
	for i := range f.answers {
		if f.answers[i].Ticket.Slot != uint32(i) {
			t.Fatalf("answer %d has the ticket %d", i, f.answers[i].Ticket.Slot)
		}
	}
	if r.loops[0].paused[f.id] || r.loops[0].paused[g.id] {
		t.Errorf("still paused: %v", r.loops[0].paused)
	}
	if l := r.shards[0].links[1]; l.flying != 0 || l.bytes != 0 || l.parked.count != 0 {
		t.Errorf("credits are lost: %d messages, %d bytes, %d parked", l.flying, l.bytes, l.parked.count)
	}
}

func TestTwoShardsThatFillEachOthersRingsGoOn(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	fs := []*fake{r.open(0, 1), r.open(1, 1)}
	const n = 2*ringMax + 100
	for i, f := range fs {
		f.next = func(fx *session.Effects) {
			for k := range n {
				fx.Query = append(fx.Query, session.Query{Ticket: f.ticket(uint32(k)), Partition: part(tp, 1-i), Kind: session.QueryBounds, Epoch: -1})
			}
		}
		_, _, _ = r.shards[i].Receive(f.id, oneByte) // no end of turn: neither takes anything yet
	}
	r.shards[0].EndTurn()
	r.shards[1].EndTurn()
	r.pump()
	for i, f := range fs {
		if len(f.answers) != n {
			t.Errorf("shard %d: %d of %d answers", i, len(f.answers), n)
		}
	}
}

func TestBodiesUnderWayAreBoundedAndOneLargerBodyGoesAlone(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	b := makeBatch(-1, -1, -1, 1, 1<<20)
	r.do(f, func(fx *session.Effects) {
		for i := range 12 {
			fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(uint32(i)), Partition: part(tp, 1), Batch: b})
		}
	})
	l := r.shards[0].links[1]
	if l.bytes > creditBytes || l.parked.count != 12-7 {
		t.Errorf("%d bytes under way, %d parked", l.bytes, l.parked.count)
	}
	r.pump()
	if len(f.answers) != 12 {
		t.Errorf("%d of 12 answers", len(f.answers))
	}
}

// A small request for which there is credit waits behind the large ones for which there is
// none: requests of a connection reach a partition in their order.
func TestASmallRequestDoesNotOvertakeParkedOnes(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	large, small := makeBatch(-1, -1, -1, 1, 1<<20), makeBatch(-1, -1, -1, 1, 10)
	r.do(f, func(fx *session.Effects) {
		for i := range 12 {
			fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(uint32(i)), Partition: part(tp, 1), Batch: large})
		}
		fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(12), Partition: part(tp, 1), Batch: small})
	})
	r.pump()
	if len(f.answers) != 13 {
		t.Fatalf("%d of 13 answers", len(f.answers))
	}
	for i, c := range f.answers {
		if c.Ticket != f.ticket(uint32(i)) || c.Base != core.Offset(i) {
			t.Errorf("answer %d: %+v", i, c)
		}
	}
}

func TestWaitsTakeNoCredit(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	f, g := r.open(0, 1), r.open(0, 2)
	const n = 2 * ringMax
	for i := range n {
		r.do(f, f.wait(part(tp, 1), 0, uint32(i)))
		r.pump()
	}
	want(t, r.append(g, part(tp, 1), makeBatch(-1, -1, -1, 1, 10)), core.Done, core.OK, 0)
	if len(f.answers) != n {
		t.Errorf("%d of %d waits have ended", len(f.answers), n)
	}
}

func TestPressurePausesThoseWhoAppendAndHoldsWhatOthersSent(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	near, far := r.open(1, 1), r.open(0, 1)
	for _, w := range r.workers {
		w.stuck = true
	}
	b := makeBatch(-1, -1, -1, 1, 1<<20)
	one := func(f *fake, n uint32) {
		r.do(f, func(fx *session.Effects) {
			fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(n), Partition: part(tp, 1), Batch: b})
		})
		r.pump()
	}
	n := uint32(0)
	for ; !r.loops[1].paused[near.id]; n++ {
		if n > 100 {
			t.Fatal("the store never pushes back")
		}
		one(near, n)
	}
	for i := range uint32(3) {
		one(far, i)
	}
	if r.shards[1].held.count != 3 {
		t.Errorf("%d appends of the other shard are held", r.shards[1].held.count)
	}
	for _, w := range r.workers {
		w.stuck = false
	}
	r.pump()
	if r.loops[1].paused[near.id] || r.shards[1].held.count != 0 {
		t.Errorf("paused %v, %d held", r.loops[1].paused[near.id], r.shards[1].held.count)
	}
	if len(near.answers) != int(n) || len(far.answers) != 3 {
		t.Fatalf("%d of %d and %d of 3 answers", len(near.answers), n, len(far.answers))
	}
	for _, a := range append(near.answers, far.answers...) {
		if a.Outcome != core.Done {
			t.Errorf("%+v", a)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	f := r.open(0, 1)
	f.keep = false
	b := makeBatch(-1, -1, -1, 1, 200)
	produce := func(where int) func(*session.Effects) {
		return func(fx *session.Effects) {
			fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(1), Partition: part(tp, where), Batch: b})
		}
	}
	fetch := func(where int) func(*session.Effects) {
		return func(fx *session.Effects) {
			fx.Read = append(fx.Read, session.Read{Ticket: f.ticket(1), Partition: part(tp, where), From: 5, Epoch: -1, Max: 1000, First: true})
		}
	}
	waiting := func(where int) func(*session.Effects) {
		return func(fx *session.Effects) {
			fx.Wait = append(fx.Wait, session.Wait{Ticket: f.ticket(1), Partition: part(tp, where), From: 1 << 40})
			fx.Cancel = append(fx.Cancel, f.ticket(1))
			fx.Deadline = r.now + 1e9
		}
	}
	for name, step := range map[string]func(*session.Effects){
		"produce, own shard": produce(0), "produce, across": produce(1),
		"fetch, own shard": fetch(0), "fetch, across": fetch(1),
		"wait and cancel, own shard": waiting(0), "wait and cancel, across": waiting(1),
	} {
		for range 100 {
			r.do(f, produce(0))
			r.do(f, produce(1))
			r.do(f, step)
			r.pump()
		}
		before := f.count
		if n := testing.AllocsPerRun(2000, func() { r.do(f, step); r.pump() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if f.count-before != 2001 {
			t.Errorf("%s: %d of 2001 answers", name, f.count-before)
		}
	}
}
