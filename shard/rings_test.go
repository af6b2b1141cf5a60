package shard

import (
	"slices"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// bounds asks n times where a partition begins and ends; the tickets count from first on.
func (f *fake) bounds(p core.PartitionID, first, n int) func(*session.Effects) {
	return func(fx *session.Effects) {
		for i := range n {
			fx.Query = append(fx.Query, session.Query{Ticket: f.ticket(uint32(first + i)), Partition: p, Kind: session.QueryBounds, Epoch: -1})
		}
	}
}

// inOrder says whether the answers have the tickets 0 to n-1, in this order.
func (f *fake) inOrder(n int) bool {
	return len(f.answers) == n && slices.IsSortedFunc(f.answers, func(a, b session.Completion) int { return int(a.Ticket.Slot) - int(b.Ticket.Slot) })
}

// nothingLeft checks that nothing is left between the shards.
func (r *rig) nothingLeft() {
	r.t.Helper()
	for i, s := range r.shards {
		if s.parkedBytes != 0 || s.heldBytes != 0 || s.held.count != 0 || s.inbox.count != 0 {
			r.t.Errorf("shard %d: %d bytes parked, %d held, %d steps to come", i, s.parkedBytes, s.heldBytes, s.inbox.count)
		}
		for j, l := range s.links {
			if l != nil && (l.flying != 0 || l.bytes != 0 || l.parked.count != 0 || l.answers.count != 0 || !l.in.empty()) {
				r.t.Errorf("shard %d towards %d: %d flying with %d bytes, %d parked, %d answers", i, j, l.flying, l.bytes, l.parked.count, l.answers.count)
			}
		}
	}
}

func TestAnswersThatFindTheRingFullComeInOrder(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	f, g := r.open(0, 1), r.open(1, 1)
	const n = 3 * ringMax
	for i := range n {
		r.do(f, f.wait(part(tp, 1), 0, uint32(i)))
		r.pump()
	}
	r.stalled[0] = true
	r.append(g, part(tp, 1), makeBatch(-1, -1, -1, 1, 10)) // ends all waits at once
	l := r.shards[1].links[0]
	if l.out.push(&message{}) || l.answers.count != n-ringMax {
		t.Fatalf("%d answers wait; the ring holds %d", l.answers.count, ringMax)
	}
	r.append(g, part(tp, 1), makeBatch(-1, -1, -1, 1, 10))
	if g.count != 2 {
		t.Error("a shard whose answers wait does not serve others")
	}
	r.do(f, f.bounds(part(tp, 1), n, 1)) // takes some, so that the ring has room
	r.pump()
	r.stalled[0] = false
	r.pump()
	if !f.inOrder(n + 1) {
		t.Errorf("%d of %d answers, or in another order", len(f.answers), n+1)
	}
	r.nothingLeft()
}

func TestAStalledPeerHoldsUpThoseWhoTalkToItAndNobodyElse(t *testing.T) {
	const crowd, size = 1 << 20, 200 << 10
	tp := topic("t", core.OS)
	r := newCrowdedRig(t, 3, crowd, tp)
	r.stalled[1] = true
	b := makeBatch(-1, -1, -1, 1, size)
	var fs []*fake
	offered := 0
	for slot := range 200 { // each has one step of two batches
		f := r.open(0, slot+1)
		fs = append(fs, f)
		f.next = func(fx *session.Effects) {
			for k := range 2 {
				fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(uint32(k)), Partition: part(tp, 1), Batch: b})
			}
		}
		if used, _, _ := r.shards[0].Receive(f.id, oneByte); used == 0 {
			if !r.loops[0].paused[f.id] {
				t.Fatal("input is left, and the connection is read on")
			}
			f.next = nil
			break
		}
		offered++
		r.shards[0].EndTurn()
	}
	l := r.shards[0].links[1]
	if l.bytes > creditBytes || r.shards[0].parkedBytes > crowd+2*(size+100) || offered > (creditBytes+crowd)/size {
		t.Errorf("%d bytes under way, %d parked, from %d connections", l.bytes, r.shards[0].parkedBytes, offered)
	}
	last := fs[len(fs)-1]
	if len(fs) == offered || last.count != 0 {
		t.Fatal("the input of no connection was left")
	}
	g := r.open(2, 1) // of a shard that has nothing to do with it
	want(t, r.append(g, part(tp, 2), makeBatch(-1, -1, -1, 1, 10)), core.Done, core.OK, 0)
	want(t, r.append(g, part(tp, 0), makeBatch(-1, -1, -1, 1, 10)), core.Done, core.OK, 0)
	r.stalled[1] = false
	r.pump()
	for i, f := range fs[:offered] {
		if !f.inOrder(2) || r.loops[0].paused[f.id] {
			t.Fatalf("connection %d: %d of 2 answers, paused %v", i, len(f.answers), r.loops[0].paused[f.id])
		}
	}
	if r.loops[0].paused[last.id] {
		t.Error("the connection whose input was left is not read on")
	}
	r.nothingLeft()
}

func TestABusyPeerTakesNothingFromAnother(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 3, tp)
	f, g, own := r.open(1, 1), r.open(2, 1), r.open(0, 1)
	r.stalled[0] = true
	r.do(f, f.bounds(part(tp, 0), 0, 4*ringMax)) // fills the ring and more
	r.do(g, g.bounds(part(tp, 0), 0, 1))
	r.shards[0].EndTurn() // one turn
	r.stalled[1] = true
	r.shards[2].Wake()
	if g.count != 1 {
		t.Error("a request of another peer was not answered in the same turn")
	}
	if n := r.shards[1].links[0].in.tail.Load(); n > ringPollMax {
		t.Errorf("%d requests of one peer in one turn; at most %d", n, ringPollMax)
	}
	r.do(own, own.bounds(part(tp, 0), 0, 1))
	if own.count != 1 {
		t.Error("a connection of the shard itself was not served")
	}
	r.stalled[0], r.stalled[1] = false, false
	r.pump()
	if !f.inOrder(4 * ringMax) {
		t.Errorf("%d of %d answers", len(f.answers), 4*ringMax)
	}
	r.nothingLeft()
}

func TestChangesAndCancelsGetThroughFullRings(t *testing.T) {
	tp := topic("t", core.OS)
	r := newRig(t, 2, tp)
	f, g, h := r.open(0, 1), r.open(0, 2), r.open(0, 3)
	r.do(g, g.wait(part(tp, 1), 5, 0))
	r.pump()
	r.stalled[1] = true
	r.do(f, f.bounds(part(tp, 1), 0, 2*ringMax))
	r.do(g, func(fx *session.Effects) { fx.Cancel = append(fx.Cancel, g.ticket(0)) })
	r.do(h, func(fx *session.Effects) {
		fx.Change = append(fx.Change, session.Change{Ticket: h.ticket(0), Command: core.Command{Kind: core.CreateTopic, Topic: "new"}})
	})
	r.pump()
	if g.count+h.count != 0 {
		t.Fatal("answered by a shard that had no turn")
	}
	r.stalled[1] = false
	r.pump()
	if g.last.Outcome != core.Cancelled || g.count != 1 || h.count != 1 || h.last.Outcome != core.Done {
		t.Errorf("the cancel: %+v; the change: %+v", g.last, h.last)
	}
	if r.shards[1].Catalog().Topic("new") == nil || !f.inOrder(2*ringMax) {
		t.Error("the change or an answer was lost")
	}
	r.nothingLeft()
}

func TestAShutdownWithFullRingsAnswersEverything(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	var fs []*fake
	const n = 2 * ringMax
	for i := range 2 {
		f := r.open(i, 1)
		fs = append(fs, f)
		f.next = func(fx *session.Effects) {
			f.bounds(part(tp, 1-i), 0, n)(fx)
			for k := range 20 {
				fx.Append = append(fx.Append, session.Append{Ticket: f.ticket(uint32(n + k)), Partition: part(tp, 1-i), Batch: makeBatch(-1, -1, -1, 1, 1000)})
				fx.Wait = append(fx.Wait, session.Wait{Ticket: f.ticket(uint32(n + 20 + k)), Partition: part(tp, 1-i), From: 1000})
			}
		}
		_, _, _ = r.shards[i].Receive(f.id, oneByte)
	}
	stopped := 0
	for _, s := range r.shards {
		s.Stop(func(err error) {
			if err != nil {
				t.Error(err)
			}
			stopped++
		})
		s.EndTurn()
	}
	r.pump()
	if stopped != 2 {
		t.Fatalf("%d of 2 shards have stopped", stopped)
	}
	for i, f := range fs {
		if len(f.answers) != n+40 {
			t.Errorf("shard %d: %d of %d answers", i, len(f.answers), n+40)
		}
	}
	r.nothingLeft()
}
