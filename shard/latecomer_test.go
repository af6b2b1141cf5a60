package shard

import (
	"testing"

	"github.com/penstock/penstock/core"
)

// An answer for a connection that is closed goes to nobody, also when its slot has been
// taken again: not from this shard, and not from another.
func TestALateAnswerDoesNotReachTheNextConnectionOfItsSlot(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 2, tp)
	for _, w := range r.workers {
		w.stuck = true
	}
	f := r.open(0, 1)
	for where := range 2 {
		r.append(f, part(tp, where), makeBatch(-1, -1, -1, 1, 100))
		r.do(f, f.wait(part(tp, where), 0, uint32(10+where)))
	}
	s := r.shards[0]
	s.Closed(f.id, nil)
	s.EndTurn()
	id := core.MakeConnID(f.id.Slot(), f.id.Gen()+1)
	if !s.Open(core.ConnInfo{ID: id}) {
		t.Fatal("the connection was refused")
	}
	s.EndTurn()
	next := s.conns.get(id).session.(*fake)
	for _, w := range r.workers {
		w.stuck = false
	}
	r.pump()
	if next.count != 0 || f.count != 0 {
		t.Errorf("the next connection got %d answers, the closed one %d", next.count, f.count)
	}
	for where := range 2 {
		want(t, r.append(next, part(tp, where), makeBatch(-1, -1, -1, 1, 100)), core.Done, core.OK, 1) // the appends took effect
	}
	if n := s.StatsNow().Messages; n != 0 {
		t.Errorf("%d requests are under way", n)
	}
}
