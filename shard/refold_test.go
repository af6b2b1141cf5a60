package shard

import (
	"bytes"
	"testing"

	"github.com/penstock/penstock/core"
	"github.com/penstock/penstock/shard/session"
)

// What a producer wrote last may have been deleted, and the snapshot be older than that:
// with the sequence of the snapshot it could not go on.
func TestAProducerGoesOnWhereWhatItWroteLastWasDeleted(t *testing.T) {
	tp := topic("t", core.Synced)
	r := newRig(t, 1, tp)
	f, p := r.open(0, 1), part(tp, 0)
	want(t, r.append(f, p, makeBatch(7, 0, 0, 2, 10)), core.Done, core.OK, 0)
	want(t, r.append(f, p, makeBatch(9, 0, 0, 1, 10)), core.Done, core.OK, 2)
	restarts["is stopped"](r) // leaves a snapshot
	f = r.open(0, 1)
	want(t, r.append(f, p, makeBatch(7, 0, 2, 3, 10)), core.Done, core.OK, 3)
	want(t, r.append(f, p, makeBatch(8, 0, 0, 1, 10)), core.Done, core.OK, 6)
	if c := r.query(f, session.Query{Partition: p, Kind: session.QueryTrim, Epoch: -1, Arg: 6}); c.LogStart != 6 {
		t.Fatalf("trim: %+v", c)
	}
	restarts["is killed"](r)
	f = r.open(0, 1)
	want(t, r.append(f, p, makeBatch(7, 0, 5, 1, 10)), core.Done, core.OK, 7)
	want(t, r.append(f, p, makeBatch(7, 0, 5, 1, 10)), core.Done, core.OK, 7) // known from here on
	want(t, r.append(f, p, makeBatch(8, 0, 0, 1, 10)), core.Done, core.OK, 6) // what is left is folded in
	want(t, r.append(f, p, makeBatch(8, 0, 5, 1, 10)), core.Refused, core.ErrSequence, 0)
}

// idempotent is a sum whose batches have sequences.
type idempotent struct {
	*sum
	sequence int32
}

func (s *idempotent) Call(c *session.Call, fx *session.Effects) {
	s.sum.Call(c, fx)
	for i := range fx.Append {
		fx.Append[i].Batch = makeBatch(7, 0, s.sequence, 2, 30)
		s.sequence += 2
	}
}

// A checkpoint that is made while a group commit is under way has a snapshot of what the
// log holds, and one of the service, which has applied less. Each goes on at its own.
func TestASnapshotDuringACommitIsFoldedOnceIntoEach(t *testing.T) {
	tp := topic("groups", core.Synced)
	tp.Internal = true
	r := newRig(t, 1, tp)
	var service *idempotent
	r.services = func(_ session.Host, _ *core.Topic, p core.PartitionID) session.Service {
		service = &idempotent{sum: &sum{t: t, p: p}}
		return service
	}
	r.start(1)
	f, p := r.open(0, 1), part(tp, 0)
	want(t, r.call(f, p, 2, "x"), core.Done, core.OK, 0)
	r.workers[0].stuck = true
	r.call(f, p, 2, "x")
	r.call(f, p, 2, "x")
	s := r.shards[0]
	made := s.store.Stats().Checkpoints
	s.store.Checkpoint()
	s.EndTurn() // the snapshots are taken
	if service.records != 2 || s.parts[p].log.End() != 6 {
		t.Fatalf("%d of %d records are applied", service.records, s.parts[p].log.End())
	}
	r.pump()
	if s.store.Stats().Checkpoints == made {
		t.Fatal("no checkpoint was made")
	}
	before := s.parts[p].producers.snapshot(nil)
	restarts["is killed"](r)
	if service.records != 6 || service.next != 6 {
		t.Errorf("restored with %d records up to %d; want 6", service.records, service.next)
	}
	if after := r.shards[0].parts[p].producers.snapshot(nil); !bytes.Equal(before, after) {
		t.Errorf("the producers are\n%x; they were\n%x", after, before)
	}
}
